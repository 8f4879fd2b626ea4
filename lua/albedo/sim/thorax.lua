--- sim.thorax: chest X-rays from physics, labelled 1 no finding, 2 pneumonia, 3 COVID-like.
--
--   local set = al.sim.thorax { patients = 120, size = 128, seed = 1 }
--   set.x (n x 1 x size x size in [0, 1]), set.y, set.patient, set.source (lists of n)
--
-- A picture is Beer and Lambert's law along parallel rays through a frontal thorax: path
-- lengths in cm through soft tissue (a trunk 22 cm deep), two lungs (up to 15 cm), heart and
-- mediastinum, ribs and spine. Attenuation at 60 keV, per cm (NIST): soft tissue 0.206, lung at
-- density 0.26 0.054, bone 0.32 (cortex and marrow). Pneumonia fills one region of one lung, 3
-- to 6 cm wide, with fluid (0.206); the COVID-like picture has 4 to 9 patches of ground glass
-- (half filled) near the outer walls of both lungs, more below. Every lung has vessels: a
-- Gaussian random field. Scatter adds a blurred half of the signal; photons are counted
-- (Poisson); the picture is minus the logarithm, windowed to its 1st and 99th percentiles. A
-- patient's anatomy is the same in all of one to three pictures; pose, exposure and noise are
-- not.
--
-- Options: patients = 120, size = 128, seed = 1, severity = { 0.35, 1 } (how far regions fill),
-- marker = 0: chance that a COVID-like picture comes from a source 2 of other borders, so that
-- a shortcut exists; with 0 there is none.

local al = require "albedo"
local dice = require "albedo.sim.dice"
local options = require "albedo.options"

local TISSUE, LUNG, BONE = 0.206, 0.054, 0.32
local WIDE = 34 -- cm across the picture

-- 1 - (x/a)^2 - (y/b)^2 about a centre, turned; at least 0
local function dome(g, x, y, a, b, turn)
  local c, s = math.cos(turn or 0), math.sin(turn or 0)
  local u, v = g.x - x, g.y - y
  local p, q = (u * c + v * s) / a, (v * c - u * s) / b
  return (1 - p * p - q * q):clamp(0, 1)
end

-- What a patient is: sizes in cm.
local function anatomy(draw)
  local p = { trunk = draw(14.5, 16.5), deep = draw(19, 24), ribs = draw(2.6, 3.1), lungs = {} }
  p.heart = { draw(1, 2), draw(4, 5.5), draw(4.2, 5.5), draw(5, 6.5) }
  for side = -1, 1, 2 do
    p.lungs[#p.lungs + 1] = { side * draw(6.2, 7), draw(-1.5, -0.5), draw(4.6, 5.4),
      draw(10.5, 12.5), side * draw(-0.12, 0), draw(12, 15) }
  end
  return p
end

-- Where fluid is: patches { x, y, a, b, share of the path filled }.
local function findings(class, p, draw, severity)
  local list = {}
  if class == 2 then
    local lung = p.lungs[draw(0, 1) < 0.5 and 1 or 2]
    list[1] = { lung[1] + draw(-1.5, 1.5), lung[2] + draw(-5, 6), draw(1.5, 3), draw(1.5, 3),
      draw(severity[1], severity[2]) * 0.55 }
  elseif class == 3 then
    for k = 1, math.floor(draw(4, 10)) do
      local lung = p.lungs[k % 2 + 1]
      local side = lung[1] > 0 and 1 or -1
      list[k] = { lung[1] + side * draw(1.5, 3.8), lung[2] + draw(-4, 8), draw(0.8, 2),
        draw(0.8, 2), draw(severity[1], severity[2]) * 0.3 }
    end
  end
  return list
end

local function picture(o, p, class, draw, generator)
  local n, opts = o.size, { generator = generator }
  local turn, scale = draw(-0.06, 0.06), WIDE / n * draw(0.94, 1.06)
  local axis = al.arange(n):to "float32" - (n + 1) / 2
  local u, v = axis * scale + draw(-1, 1), (axis * scale + draw(-1, 1)):reshape(n, 1)
  local g = { x = u * math.cos(turn) + v * math.sin(turn),
    y = v * math.cos(turn) - u * math.sin(turn) }
  local path = dome(g, 0, 2, p.trunk, 30):sqrt() * p.deep * TISSUE
  local grain = al.randn(1, 1, n, n, opts):gaussian_blur(n / 90)[1][1]
  grain = grain / grain:std()
  local air, filled = nil, nil
  for _, l in ipairs(p.lungs) do
    local depth = dome(g, l[1], l[2], l[3], l[4], l[5]):sqrt() * l[6]
    air = air and air + depth or depth
  end
  local h = p.heart
  local heart = dome(g, h[1], h[2], h[3], h[4], 0.5):sqrt() * 9
  air = (air - heart):clamp(0, 15) * (1 + 0.06 * grain)
  for _, f in ipairs(findings(class, p, draw, o.severity)) do
    local share = (dome(g, f[1], f[2], f[3], f[4], draw(0, 3)) * 2):clamp(0, 1) * f[5]
      * (1 + 0.25 * grain)
    filled = filled and filled:maximum(share) or share
  end
  local gain = TISSUE - LUNG
  path = path - air * gain
  if filled then path = path + air * filled:clamp(0, 1) * gain end
  local arch = ((g.y + g.x * g.x * 0.035) * (2 * math.pi / p.ribs)):sin()
  path = path + (arch - 0.35):clamp(0, 1) * (BONE - TISSUE) * 1.4 * dome(g, 0, 0, 13.5, 15)
  path = path + (-(g.x / 1.6) ^ 2):exp() * (BONE - TISSUE) * 5
  local direct = (-path):exp()
  local seen = direct + 0.5 * direct:unsqueeze(1):unsqueeze(1):gaussian_blur(n / 16)[1][1]
  local photons = (seen * draw(3e4, 8e4)):poisson(opts)
  local dark = -(photons + 1):log()
  local sorted = dark:reshape(-1):sort()
  if type(sorted) == "table" then sorted = sorted[1] end
  local lo, hi = sorted[math.ceil(0.01 * n * n)]:item(), sorted[math.floor(0.99 * n * n)]:item()
  return ((dark - lo) / (hi - lo)):clamp(0, 1)
end

return function(given)
  local o = options("thorax", given, { patients = 120, size = 128, seed = 1,
    severity = { 0.35, 1 }, marker = 0 })
  local draw = dice(al.generator(o.seed))
  local set = { y = {}, patient = {}, source = {},
    classes = { "no finding", "pneumonia", "COVID-like" } }
  local pictures = {}
  for k = 1, o.patients do
    local p, class = anatomy(draw), (k - 1) % 3 + 1
    for _ = 1, math.floor(draw(1, 4)) do
      -- grain and photons of their own: they do not move what anatomy comes next
      local noise = al.generator(o.seed * 100003 + #pictures)
      local x = al.no_grad(al.scope, picture, o, p, class, draw, noise)
      local source = class == 3 and draw(0, 1) < o.marker and 2 or 1
      if source == 2 then -- a collimator's edge
        local edge = math.ceil(o.size / 24)
        x:narrow(1, 1, edge):fill_(0)
        x:narrow(1, o.size - edge + 1, edge):fill_(0)
      end
      pictures[#pictures + 1] = x:unsqueeze(1):unsqueeze(1)
      set.y[#set.y + 1], set.patient[#set.patient + 1] = class, "P" .. k
      set.source[#set.source + 1] = source
    end
  end
  set.x, set.y = al.cat(pictures, 1), al.tensor(set.y, { dtype = "int64" })
  return set
end
