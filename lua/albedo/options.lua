--- Options of a trailing table, checked: options("Conv2d", given, { stride = 1, bias = true })
-- returns the defaults overlaid with what was given. A key without a default raises at the
-- script's line, naming the valid ones; `optional` lists further keys, which have none.

local raise = require("albedo").raise
local suggest = require "albedo.suggest"

return function(what, given, defaults, optional)
  local out = {}
  for key, value in pairs(defaults) do out[key] = value end
  if given == nil then return out end
  if type(given) ~= "table" then
    raise(("%s: options are a table, such as { %s = ... }; got %s")
      :format(what, next(defaults) or "name", type(given)))
  end
  local known = {}
  for _, key in ipairs(optional or {}) do known[key] = true end
  for key, value in pairs(given) do
    if defaults[key] == nil and not known[key] then
      local names = {}
      for name in pairs(defaults) do names[#names + 1] = name end
      for name in pairs(known) do names[#names + 1] = name end
      table.sort(names)
      raise(("%s: unknown option '%s'%s (valid: %s)"):format(what, tostring(key),
        suggest(tostring(key), defaults, known), table.concat(names, ", ")))
    end
    out[key] = value
  end
  return out
end
