-- Parts whose unknown names raise and name the nearest: al.nn.Linaer -> "did you mean Linear?".
local raise = require("albedo").raise
local suggest = require "albedo.suggest"

--- near(part, "al.nn"): the part, and the plain tables within it, from now on so. What it loads
--- when first touched (a metatable's __index and homes) still loads.
local near
function near(part, path)
  local meta = getmetatable(part) or {}
  local lazy = rawget(meta, "__index")
  if lazy == part then return part end -- a class, whose objects have fields of their own
  meta.__index = function(t, name)
    local value
    if type(lazy) == "function" then value = lazy(t, name)
    elseif lazy then value = lazy[name] end
    if type(value) == "table" and not getmetatable(value) then
      near(value, path .. "." .. name)
    end
    if value ~= nil or type(name) ~= "string" or name:find "^_" then return value end
    local hint = suggest(name, t, rawget(meta, "homes") or {})
    raise(("%s has no \"%s\"%s"):format(path, name, hint))
  end
  for name, inner in pairs(part) do
    if type(inner) == "table" and not getmetatable(inner) and not rawget(inner, "__index") then
      near(inner, path .. "." .. name)
    end
  end
  return setmetatable(part, meta)
end

return near
