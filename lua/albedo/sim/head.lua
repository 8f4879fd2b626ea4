--- sim.head: axial pictures of heads, another organ seen by the same scanner as sim.lumbar.
--
--   local x, y = al.sim.head(32, { size = 160 })   -- n x 1 x size x size in [0, 1], classes
--
-- Classes: 1 nothing; 2 a round mass at the brain's edge; 3 an irregular one within, with
-- oedema; 4 a small one near the middle. Skull, white and gray matter, ventricles; tissues and
-- scanner: sim/mri.lua. Options: size = 160, noise = 0.02, generator.

local al = require "albedo"
local dice = require "albedo.sim.dice"
local mri = require "albedo.sim.mri"
local options = require "albedo.options"

local S = mri.signal

local function picture(o, class, draw)
  local pose = { turn = draw(-0.15, 0.15), x = draw(-8, 8), y = draw(-8, 8) }
  local c, k = mri.canvas(o.size, 220, pose), draw(0.9, 1.1)
  c:paint(c:ellipse(0, 0, 78 * k, 96 * k), S.fat)
  c:paint(c:ellipse(0, 0, 74 * k, 92 * k), S.bone)
  c:paint(c:ellipse(0, 0, 68 * k, 86 * k), S.fluid)
  c:paint(c:ellipse(0, 0, 66 * k, 84 * k), S.gray)
  for fold = 1, 12 do
    local a = fold * math.pi / 6 + draw(-0.2, 0.2)
    local x, y = 58 * k * math.cos(a), 74 * k * math.sin(a)
    c:paint(c:ellipse(x, y, 2, 9, a + math.pi / 2), S.fluid)
  end
  c:paint(c:ellipse(0, 0, 52 * k, 68 * k), S.white)
  for side = -1, 1, 2 do
    c:paint(c:ellipse(side * 10 * k, -6, draw(4, 8), draw(18, 26), side * 0.25), S.fluid)
  end
  local a, side = draw(0, 2 * math.pi), draw(0, 1) < 0.5 and -1 or 1
  if class == 2 then
    local x, y = 54 * k * math.cos(a), 70 * k * math.sin(a)
    c:paint(c:ellipse(x, y, draw(9, 15), draw(9, 15)), 0.3)
  elseif class == 3 then
    local x, y = side * draw(20, 36), draw(-35, 35)
    c:paint(c:ellipse(x, y, draw(18, 26), draw(18, 26), a), S.oedema)
    for _ = 1, 4 do
      local u, v = x + draw(-8, 8), y + draw(-8, 8)
      c:paint(c:ellipse(u, v, draw(4, 8), draw(4, 8)), draw(0.2, 0.6))
    end
  elseif class == 4 then
    c:paint(c:ellipse(draw(-4, 4), draw(22, 32), draw(5, 8), draw(5, 8)), S.oedema)
  end
  return c:scan(o.generator, o.noise)
end

return function(n, given)
  local o = options("head", given, { size = 160, noise = 0.02 }, { "generator" })
  local draw = dice(o.generator)
  local pictures, y = {}, {}
  for i = 1, n do
    y[i] = math.min(4, 1 + math.floor(draw(0, 4)))
    pictures[i] = al.no_grad(al.scope, picture, o, y[i], draw):unsqueeze(1):unsqueeze(1)
  end
  return al.cat(pictures, 1), al.tensor(y, { dtype = "int64" })
end
