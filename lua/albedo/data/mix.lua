--- Augmentations that mix the samples of a batch: al.data.augment.mixup and cutmix.

local al = require "albedo"
local options = require "albedo.options"

local mix = {}

-- Options, shares of classes for y, a share drawn from Beta(alpha, alpha), and another order.
local function prepare(name, x, y, opts, alpha)
  local o = options("augment." .. name, opts, { alpha = alpha }, { "classes", "generator" })
  if y.ndim == 1 then
    if not o.classes then
      al.native.raise(("augment.%s: option 'classes' is missing"):format(name))
    end
    y = y:one_hot(o.classes):to(x.dtype)
  end
  local g = al.gamma(al.full({ 2 }, o.alpha, { dtype = "float64" }),
    { generator = o.generator }):totable()
  local sum = g[1] + g[2]
  return o, y, sum > 0 and g[1] / sum or 1, al.randperm(#x, { generator = o.generator })
end

--- Mixes a batch with itself in another order (Zhang et al. 2018): x (n, ...) and y, classes
-- from 1 (n) or shares of classes (n, classes), become share * (x, y) + (1 - share) * (x, y) of
-- another sample. Options: alpha = 0.2 (share is drawn from Beta(alpha, alpha)), classes
-- (needed for y of classes), generator. Returns x, the shares of the classes, share.
function mix.mixup(x, y, opts)
  local _, shares, share, order = prepare("mixup", x, y, opts, 0.2)
  local function blend(t) return t * share + t:index_select(1, order) * (1 - share) end
  return blend(x), blend(shares), share
end

--- Puts a box of another sample into each (Yun et al. 2019): x (n, channels, spatial ...), y as
-- for mixup. The box takes 1 - share of the area, share drawn from Beta(alpha, alpha), its
-- centre anywhere; what lies within the picture counts. Options: alpha = 1, classes, generator.
-- Returns x, the shares of the classes, share.
function mix.cutmix(x, y, opts)
  local o, shares, share, order = prepare("cutmix", x, y, opts, 1)
  local d = x.ndim - 2
  if d < 1 then al.native.raise "augment.cutmix: x wants (n, channels, spatial ...)" end
  local places = al.rand(d, { dtype = "float64", generator = o.generator }):totable()
  local out, part, area, all = x:clone(), x:index_select(1, order), 1, 1
  local hole = out
  for i = 1, d do
    local n = x:size(i + 2)
    local half, centre = n * (1 - share) ^ (1 / d) / 2, places[i] * n
    local from, to = math.max(0, math.floor(centre - half + 0.5)),
      math.min(n, math.floor(centre + half + 0.5))
    hole = hole:narrow(i + 2, from + 1, to - from)
    part = part:narrow(i + 2, from + 1, to - from)
    area, all = area * (to - from), all * n
  end
  if area > 0 then al.no_grad(function() hole:copy_(part) end) end
  share = 1 - area / all
  return out, shares * share + shares:index_select(1, order) * (1 - share), share
end

return mix
