--- al.classical: methods without learning, the baselines of the experiments.

local classical = {}
local parts = { copymove = "albedo.classical.copymove" }

return setmetatable(classical, { __index = function(t, name)
  if not parts[name] then return nil end
  local part = require(parts[name])
  rawset(t, name, part)
  return part
end })
