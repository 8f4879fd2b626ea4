--- sim.mri: what the magnetic-resonance phantoms share: tissues, painting, the scanner.
--
-- Signal of a T2-weighted spin echo, density (1 - exp(-TR / T1)) exp(-TE / T2), at TR 4000 ms,
-- TE 100 ms, with published times at 1.5 T (ms): fluid 4000, 2000; nucleus of a disc 1000, 110;
-- its annulus 700, 45; muscle 900, 45; fat 260, 85; marrow 550, 60; white matter 780, 90; gray
-- matter 920, 100; oedema 1400, 160; cortical bone and ligament none. The scanner: a smooth
-- field of the coil, blur, and Rician noise.

local al = require "albedo"

local mri = {}

local TR, TE = 4000, 100
local function echo(density, t1, t2)
  return density * (1 - math.exp(-TR / t1)) * math.exp(-TE / t2)
end
mri.signal = {
  air = 0, bone = 0.01, fluid = echo(1, 4000, 2000), nucleus = echo(0.9, 1000, 110),
  annulus = echo(0.7, 700, 45), muscle = echo(0.8, 900, 45), fat = echo(0.9, 260, 85),
  marrow = echo(0.7, 550, 60), white = echo(0.7, 780, 90), gray = echo(0.8, 920, 100),
  oedema = echo(0.9, 1400, 160),
}

--- A picture of air, n x n, on which shapes are painted one over the other. Lengths are in mm
-- about the middle, x to the right and y down; the whole is `wide` mm, turned and moved by
-- pose.
local Canvas = {}
Canvas.__index = Canvas
function mri.canvas(n, wide, pose)
  local axis = (al.arange(n):to "float32" - (n + 1) / 2) * (wide / n)
  local c, s = math.cos(pose.turn), math.sin(pose.turn)
  local u, v = axis - pose.x, (axis - pose.y):reshape(n, 1)
  return setmetatable({ x = u * c + v * s, y = v * c - u * s, edge = wide / n,
    picture = al.zeros { n, n } }, Canvas)
end

--- How far within an ellipse the pixels are: 1 inside, 0 outside, between them over a pixel.
function Canvas:ellipse(x, y, a, b, turn)
  local c, s = math.cos(turn or 0), math.sin(turn or 0)
  local u, v = self.x - x, self.y - y
  local r = (((u * c + v * s) / a) ^ 2 + ((v * c - u * s) / b) ^ 2):sqrt()
  return ((1 - r) * (math.min(a, b) / self.edge) + 0.5):clamp(0, 1)
end

--- Paints `signal` where inside is 1.
function Canvas:paint(inside, signal)
  self.picture = self.picture * (1 - inside) + inside * signal
end

--- The scanner's picture, n x n in [0, 1]. noise: of the brightest signal's, about 0.02.
function Canvas:scan(generator, noise)
  local opts, n = { generator = generator }, self.picture:size(1)
  local field = al.randn(1, 1, n, n, opts):gaussian_blur(n / 5)[1][1]
  field = 1 + 0.15 * field / field:std()
  local x = (self.picture * field):unsqueeze(1):unsqueeze(1):gaussian_blur(0.6)[1][1]
  local re, im = x + noise * al.randn(n, n, opts), noise * al.randn(n, n, opts)
  x = (re ^ 2 + im ^ 2):sqrt()
  return (x / (0.98 * x:max())):clamp(0, 1)
end

return mri
