--- al.classical: methods without networks, the baselines of the experiments; a file each.

local classical = {}
local parts = {
  copymove = true, pca = true, kmeans = true, logistic = true, sparse = true,
  structure = true, shortcut = true,
}

return setmetatable(classical, { homes = parts, __index = function(t, name)
  if not parts[name] then return nil end
  local part = require("albedo.classical." .. name)
  rawset(t, name, part)
  return part
end })
