--- classical.copymove: block matching on DCT features (after Fridrich, Soukal and Lukas 2003,
-- with a dense field of nearest neighbours as Cozzolino, Poggi and Verdoliva 2015 have it).
--
--   local field = al.classical.copymove.field(x)     -- x: N x 3 x H x W in [0, 1]
--   local score, map = al.classical.copymove.detect(x)
--
-- Every block of 12 x 12 pixels is described by its 14 lowest DCT coefficients without the
-- mean, under a soft window, shortened where there is little contrast. Every 4th pixel asks
-- for the block most like its own, at least 16 pixels away, on a grid of every 2nd pixel. A
-- copied region shows as neighbours that agree on the offset to their match.

local al = require "albedo"

local SIDE, DEGREE, KEYS, ASK, APART = 12, 4, 2, 4, 16
local FLOOR = 4 -- contrast, of 255, at which a block is taken seriously

local copymove = {}

-- High-pass filters of steganalysis (Fridrich and Kodovsky 2012): the square 5 x 5, the square
-- 3 x 3 and the second difference, on the scale of the first.
local high_pass = al.hold(al.tensor {
  { { -1, 2, -2, 2, -1 }, { 2, -6, 8, -6, 2 }, { -2, 8, -12, 8, -2 }, { 2, -6, 8, -6, 2 },
    { -1, 2, -2, 2, -1 } },
  { { 0, 0, 0, 0, 0 }, { 0, -3, 6, -3, 0 }, { 0, 6, -12, 6, 0 }, { 0, -3, 6, -3, 0 },
    { 0, 0, 0, 0, 0 } },
  { { 0, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0 }, { 0, 6, -12, 6, 0 }, { 0, 0, 0, 0, 0 },
    { 0, 0, 0, 0, 0 } },
}:unsqueeze(2))

--- Three residuals of the brightness of x (N x 3 x H x W in [0, 1]), N x 3 x H x W, cut at 3:
-- what a copied region's border disturbs.
function copymove.residuals(x)
  return al.conv2d(al.image.to_gray(x), high_pass, nil, { pad = 2 }):clamp(-3, 3)
end

-- The window and the basis, 14 x 1 x 12 x 12: products of cosines of total degree 1 to 4,
-- under the window, orthogonal to it and to each other (Gram and Schmidt).
local function basis()
  local function each(f)
    local t = {}
    for i = 0, SIDE - 1 do t[i + 1] = f(i) end
    return t
  end
  local window = each(function(i) return math.cos(math.pi * (i - (SIDE - 1) / 2) / SIDE) end)
  local function product(u, v)
    local t = {}
    for i = 1, SIDE do
      for j = 1, SIDE do
        t[#t + 1] = window[i] * window[j] * math.cos(math.pi * (2 * i - 1) * u / (2 * SIDE))
          * math.cos(math.pi * (2 * j - 1) * v / (2 * SIDE))
      end
    end
    return t
  end
  local function sum(f)
    local s = 0
    for k = 1, SIDE * SIDE do s = s + f(k) end
    return s
  end
  local flat, list = product(0, 0), {}
  local weight = sum(function(k) return flat[k] end)
  for u = 0, DEGREE do
    for v = 0, DEGREE - u do
      if u + v > 0 then
        local b = product(u, v)
        local mean = sum(function(k) return b[k] end) / weight
        for k = 1, #b do b[k] = b[k] - mean * flat[k] end -- blind to the block's brightness
        for _, other in ipairs(list) do
          local p = sum(function(k) return b[k] * other[k] end)
          for k = 1, #b do b[k] = b[k] - p * other[k] end
        end
        local length = math.sqrt(sum(function(k) return b[k] * b[k] end))
        for k = 1, #b do b[k] = b[k] / length end
        list[#list + 1] = b
      end
    end
  end
  return al.tensor(list, { dtype = "float32" }):reshape(#list, 1, SIDE, SIDE)
end

local filters

--- Descriptors of every 2nd pixel, N x 14 x H/2 x W/2, of squared length 0 (flat) to 1.
function copymove.describe(x)
  if not filters then filters = al.hold(basis()) end
  local gray = al.image.to_gray(x) * 255
  local before, after = SIDE / 2, SIDE / 2 - 1
  local f = al.conv2d(al.pad(gray, { before, after, before, after }, { mode = "reflect" }),
    filters, nil, { stride = KEYS })
  local energy = (f * f):sum(2, true)
  return f / (energy + (FLOOR * SIDE) ^ 2):sqrt()
end

--- The match of every 4th pixel: { distance, energy, dy, dx }, each N x H/4 x W/4: squared
-- distance of the descriptors, squared length of the asker's, offset to the match in pixels.
function copymove.field(x)
  return al.scope(function()
    local f = copymove.describe(x)
    local step = ASK / KEYS
    local distance, at = al.self_match(f, step, APART / KEYS)
    local w = f:size(4)
    local h4, w4 = distance:size(2), distance:size(3)
    at = at:to "float32" - 1
    local row = (at / w):floor()
    local rows = al.arange(0, h4 - 1, { dtype = "float32" }):reshape(1, -1, 1) * ASK
    local columns = al.arange(0, w4 - 1, { dtype = "float32" }):reshape(1, 1, -1) * ASK
    local asker = f[("..., ::%d, ::%d"):format(step, step)]
    return {
      distance = distance, energy = (asker * asker):sum(2),
      dy = row * KEYS - rows, dx = (at - row * w) * KEYS - columns,
    }
  end)
end

-- |difference| of the offsets of neighbours along dim, one shorter than the field.
local function change(field, dim)
  local n = field.dy:size(dim) - 1
  local function d(v) return (v:narrow(dim, 2, n) - v:narrow(dim, 1, n)) end
  return d(field.dy), d(field.dx)
end

-- The places that vote: 1 where a place of some contrast agrees with its right and lower
-- neighbours on the offset to 2 pixels, else 0; N x (H/4 - 1) x (W/4 - 1).
local function votes(field)
  local ys, xs = change(field, 2)
  local yr, xr = change(field, 3)
  local h, w = field.dy:size(2) - 1, field.dy:size(3) - 1
  local below = (ys:abs() + xs:abs()):le(2):narrow(3, 1, w)
  local right = (yr:abs() + xr:abs()):le(2):narrow(2, 1, h)
  local contrast = field.energy:gt(0.1):narrow(2, 1, h):narrow(3, 1, w)
  return below:bitwise_and(right):bitwise_and(contrast):to "float32"
end

-- Votes around each place: the mean over 4 x 4.
local function dense(vote) return vote:unsqueeze(2):avg_pool2d(4, { stride = 1 }):squeeze(2) end

--- What a network may read of a field, N x 6 x H/4 x W/4 in [0, 1]: likeness of the match,
-- contrast, agreement of the offset with the neighbour below and on the right (translations),
-- smoothness of the offsets' change (any affine copy), and the votes of `detect`, averaged.
function copymove.features(field)
  return al.scope(function()
    local likeness = (field.distance * -10):exp()
    local ys, xs = change(field, 2)
    local yr, xr = change(field, 3)
    local function bend(d, dim)
      local n = d:size(dim) - 1
      return (d:narrow(dim, 2, n) - d:narrow(dim, 1, n)):abs()
    end
    local below = ((ys:abs() + xs:abs()) * -0.25):exp():pad { 0, 0, 0, 1 }
    local right = ((yr:abs() + xr:abs()) * -0.25):exp():pad { 0, 1, 0, 0 }
    local smooth_y = ((bend(ys, 2) + bend(xs, 2)) * -0.125):exp():pad { 0, 0, 1, 1 }
    local smooth_x = ((bend(yr, 3) + bend(xr, 3)) * -0.125):exp():pad { 1, 1, 0, 0 }
    local around = dense(votes(field)):pad { 2, 2, 2, 2 }
    return al.stack({ likeness, field.energy, below, right, smooth_y * smooth_x, around }, 2)
  end)
end

--- Scores (N; larger = more likely a copy-move) and maps (N x H/4 x W/4, 0 or 1) of the places
-- that vote. The score is the densest 4 x 4 places.
function copymove.detect(x)
  return al.scope(function()
    local vote = votes(copymove.field(x))
    return dense(vote):amax { 2, 3 }, vote:pad { 0, 1, 0, 1 }
  end)
end

return copymove
