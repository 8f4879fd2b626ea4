--- sim.textures: coloured textures, a source far from any medical picture.
--
--   local x, y = al.sim.textures(32, { size = 32 })   -- n x 3 x size x size in [0, 1], classes
--
-- Eight classes: gratings of four directions, fine and coarse, as the source tasks of early
-- transfer learning have; each of random phase, contrast and two colours, under noise. Options:
-- size = 32, noise = 0.1, generator.

local al = require "albedo"
local options = require "albedo.options"

return function(n, given)
  local o = options("textures", given, { size = 32, noise = 0.1 }, { "generator" })
  local opts = { generator = o.generator }
  return al.no_grad(function()
    local y = al.randint(1, 8, { n }, opts)
    local kind = (y - 1):to "float32"
    local turn = (kind % 4) * (math.pi / 4) + 0.2 * (al.rand(n, opts) - 0.5)
    local wave = (kind / 4):floor() * 0.5 + 0.45 + 0.1 * al.rand(n, opts) -- radians a pixel
    local axis = al.arange(o.size):to "float32" - o.size / 2
    local function each(t) return t:reshape(n, 1, 1) end
    local along = each(turn:cos()) * axis + each(turn:sin()) * axis:reshape(o.size, 1)
    local bright = (along * each(wave) + each(al.rand(n, opts) * 6.28)):sin() * 0.5 + 0.5
    local one, other = al.rand(n, 3, 1, 1, opts), al.rand(n, 3, 1, 1, opts)
    local x = other + (one - other) * bright:unsqueeze(2)
    return (x + o.noise * al.randn(x.shape, opts)):clamp(0, 1), y
  end)
end
