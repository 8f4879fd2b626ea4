--- al.sim: simulators that make training data with exact labels.

local sim = {}
local parts = {
  copymove = "albedo.sim.copymove", forged = "albedo.sim.forged",
  photographs = "albedo.sim.photographs", electrode = "albedo.sim.electrode",
  thorax = "albedo.sim.thorax", xrays = "albedo.sim.xrays",
  lumbar = "albedo.sim.lumbar", head = "albedo.sim.head", textures = "albedo.sim.textures",
}

return setmetatable(sim, { homes = parts, __index = function(t, name)
  if not parts[name] then return nil end
  local part = require(parts[name])
  rawset(t, name, part)
  return part
end })
