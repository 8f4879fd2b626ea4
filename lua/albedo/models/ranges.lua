--- Checks of the options that networks take.

local al = require "albedo"

-- What the numbers among networks' options may be; those not named here are whole, from 1 on.
local WHOLE = { "a whole number from 1 on", function(v)
  return v >= 1 and v <= 2 ^ 31 and v % 1 == 0
end }
local RANGES = {
  width = { "a number above 0, at most 1000", function(v) return v > 0 and v <= 1000 end },
  dropout = { "a number from 0 on and below 1", function(v) return v >= 0 and v < 1 end },
}

--- ranges(name, o, defaults): raises where an option of a network, `o`, is not of its default's
-- kind, or a number out of range.
return function(name, o, defaults)
  for key, default in pairs(defaults) do
    local kind, v, wanted = type(default), o[key], nil
    if kind == "number" then
      local range = RANGES[key] or WHOLE
      wanted = not (type(v) == "number" and range[2](v)) and range[1]
    elseif kind == "boolean" then
      wanted = type(v) ~= "boolean" and "true or false"
    end
    if wanted then
      al.raise(("%s: %s is %s, got %s"):format(name, key, wanted, tostring(v)))
    end
  end
end
