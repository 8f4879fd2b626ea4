--- sim.copymove: copy-move forgeries of photographs, with exact masks.
--
--   local forge = al.sim.copymove { size = 128, jpeg = { 75, 95 } }
--   local album = forge:album(photos)              -- photographs, and where they have texture
--   run:fit(net, forge:stream(album))          -- fresh forgeries each step
--   local set = forge:fixed(album, 40, { seed = 7 })   -- 40 pairs a regime, always the same
--
-- A pair is one crop twice: as it was photographed (class 1), and with a region copied to
-- another place (class 2). Both then get the same noise level and the same JPEG quality, so
-- that neither the codec nor the subject tells them apart. The region is an ellipse bent by
-- two harmonics; it is copied from where the photograph has texture (a copied piece of clear
-- sky leaves no trace), may be turned, scaled and mirrored, and its border is softened. A
-- plain translation copies pixels exactly.

local al = require "albedo"
local dice = require "albedo.sim.dice"
local length = require "albedo.length"
local options = require "albedo.options"

-- What each regime changes. radius: of the circle around the region, pixels; turn: degrees,
-- either way; scale: factor, up or down; mirror: chance; feather: width of the soft border,
-- pixels; clones; quality: JPEG; noise: standard deviation, of 255.
local plain = {
  radius = { 18, 30 }, turn = { 0, 0 }, scale = { 1, 1 }, mirror = 0, feather = { 1, 1 },
  clones = { 1, 1 }, noise = { 0, 0 },
}
local regimes = {
  { name = "translation" },
  { name = "rotation", turn = { 15, 90 } },
  { name = "scale", scale = { 1.08, 1.25 } },
  { name = "flip", mirror = 1 },
  { name = "feather", feather = { 3, 7 } },
  { name = "small", radius = { 10, 14 } },
  { name = "clones", clones = { 2, 3 }, radius = { 13, 19 } },
  { name = "degraded", quality = { 50, 70 }, noise = { 1, 3 } },
  {
    name = "mixed", turn = { 15, 90 }, scale = { 1.08, 1.25 }, mirror = 0.5,
    feather = { 1, 5 },
  },
}

local Forge, Album = {}, {}
Forge.__index, Album.__index = Forge, Album

-- ---- chance ---------------------------------------------------------------------------------

local function whole(draw, a, b) return math.min(b, a + math.floor(draw(0, b - a + 1))) end

-- ---- photographs ----------------------------------------------------------------------------

local CELL = 8

-- Mean absolute step between neighbouring pixels, of 255, about each cell of 8 x 8 pixels:
-- rows x columns.
local function texture(photo)
  local gray = al.image.to_gray(photo):to "float32"
  local h, w = gray:size(-2), gray:size(-1)
  local down = gray:narrow(-2, 2, h - 1) - gray:narrow(-2, 1, h - 1)
  local right = gray:narrow(-1, 2, w - 1) - gray:narrow(-1, 1, w - 1)
  local step = down:narrow(-1, 1, w - 1):abs() + right:narrow(-2, 1, h - 1):abs()
  local cells = step:reshape(1, 1, h - 1, w - 1):avg_pool2d(CELL)
  return cells:avg_pool2d(5, { stride = 1, pad = 2 })
end

--- The photographs of a dataset (al.data.photos) or a list of uint8 tensors C x H x W, reduced
-- to `side` pixels at most, as material: photographs with too little texture are left out (see
-- album.left_out). Names come from the dataset's items.
function Forge:album(photos)
  local album = setmetatable({ left_out = {} }, Album)
  for i = 1, length(photos) do
    local photo = al.is_tensor(photos[i]) and photos[i] or photos:get(i)
    local name = photos.field and photos:field(i, "photo") or tostring(i)
    al.scope(function()
      local x = al.image.to_rgb(photo)
      local h, w = x:size(2), x:size(3)
      local ratio = self.side / math.max(h, w)
      if ratio < 1 then
        h, w = math.floor(h * ratio + 0.5), math.floor(w * ratio + 0.5)
        x = al.image.resize(x, { h, w }, "area")
      end
      local places, rows, reach = {}, texture(x)[1][1]:totable(), self.reach
      for r, row in ipairs(rows) do
        for c, value in ipairs(row) do
          local top, left = r * CELL - CELL / 2, c * CELL - CELL / 2
          if value >= self.texture and top > reach and left > reach and top <= h - reach
            and left <= w - reach then
            places[#places + 1] = { top, left }
          end
        end
      end
      if #places >= self.least * #rows * #rows[1] and h >= self.size and w >= self.size then
        album[#album + 1] = { name = name, pixels = al.keep(x:contiguous()), places = places }
      else
        table.insert(album.left_out, name)
      end
    end)
  end
  return album
end

--- The photographs at these positions.
function Album:subset(list)
  local part = setmetatable({ left_out = {} }, Album)
  for k, i in ipairs(list) do part[k] = self[i] end
  return part
end

--- For al.data.split: photographs are the groups.
function Album:field(i, name) return name == "photo" and self[i].name or nil end

-- ---- one forgery ----------------------------------------------------------------------------

-- The shape of a region, inside its circle of radius r: a function of offsets (dy, dx) in the
-- source giving the distance to the border, positive inside. An ellipse, or one bent by two
-- harmonics.
local function shape(draw, r)
  local bent = draw(0, 1) < 0.6
  local stretch, at = math.exp(draw(-0.3, 0.3)), draw(0, math.pi)
  local c, s = math.cos(at), math.sin(at)
  local function bend() return draw(-0.15, 0.15) end
  local p2, q2, p3, q3 = bend(), bend(), bend(), bend()
  local reach = math.max(stretch, 1 / stretch)
  if bent then
    reach = reach * (1 + math.sqrt(p2 * p2 + q2 * q2) + math.sqrt(p3 * p3 + q3 * q3))
  end
  local radius = r / reach
  return function(dy, dx)
    local a, b = (dx * c + dy * s) * stretch, (dy * c - dx * s) / stretch
    local rho = (a * a + b * b + 1e-12):sqrt()
    if not bent then return radius - rho end
    local u, v = a / rho, b / rho -- cosine and sine of the angle
    local u2, v2 = u * u - v * v, u * v * 2
    local wave = u2 * p2 + v2 * q2 + (u2 * u - v2 * v) * p3 + (v2 * u + u2 * v) * q3
    return (wave + 1) * radius - rho
  end
end

-- Offsets from the middle of a square window of 2 n + 1 pixels.
local function offsets(n)
  local line = al.arange(-n, n, { dtype = "float32" })
  local side = 2 * n + 1
  return line:reshape(-1, 1):expand(side, side), line:reshape(1, -1):expand(side, side)
end

-- Where source and copies go: centres in a crop of `size`, circles inside it and apart. The
-- radius shrinks when they do not fit.
local function places(draw, size, r, scale, count, soft)
  local function tries()
    local rim = math.ceil(r * math.max(scale, 1) + soft) + 1
    if 2 * rim >= size then return nil end
    local list = {}
    for i = 1, count + 1 do
      local y, x = whole(draw, rim + 1, size - rim), whole(draw, rim + 1, size - rim)
      for j, other in ipairs(list) do
        local apart = r * ((j == 1 and 1 or scale) + scale) + soft
        if (y - other[1]) ^ 2 + (x - other[2]) ^ 2 < apart * apart then return nil end
      end
      list[i] = { y, x }
    end
    return list
  end
  while r > 1 do
    local list = tries()
    if list then return list, r end
    r = r * 0.985
  end
  error(("sim.copymove: crops of %d pixels are too small for a forgery"):format(size), 0)
end

--- What is to be done to one crop, drawn as the regime says: centres (of the source, then of
-- the copies), radius, border (the shape), scale, turn, mirror, soft, quality, noise.
function Forge:plan(regime, draw)
  local scale = draw(regime.scale[1], regime.scale[2])
  if draw(0, 1) < 0.5 then scale = 1 / scale end
  local turn = math.rad(draw(regime.turn[1], regime.turn[2]))
  if draw(0, 1) < 0.5 then turn = -turn end
  local soft = draw(regime.feather[1], regime.feather[2])
  local centres, radius = places(draw, self.size, draw(regime.radius[1], regime.radius[2]),
    scale, whole(draw, regime.clones[1], regime.clones[2]), soft / 2)
  return {
    regime = regime.name, scale = scale, turn = turn, mirror = draw(0, 1) < regime.mirror,
    soft = soft, centres = centres, radius = radius, border = shape(draw, radius),
    quality = whole(draw, regime.quality[1], regime.quality[2]),
    noise = draw(regime.noise[1], regime.noise[2]),
  }
end

--- Carries a plan out on a crop (3 x size x size, 0 to 255, uint8 or float32): the forged crop
-- (float32) and the masks of copies and source, bool. With a donor, the region comes from that
-- crop instead: a splice, whose source mask is empty.
function Forge:apply(crop, plan, donor)
  local size = self.size
  local c, s, k = math.cos(plan.turn), math.sin(plan.turn), 1 / plan.scale
  local m = plan.mirror and -1 or 1
  -- from an offset in the copy to one in the source: turned back, scaled back, mirrored
  local xx, xy, yx, yy = m * c * k, m * s * k, -s * k, c * k
  local out = crop:to "float32"
  if out == crop then out = crop:clone() end
  local before = (donor or crop):to "float32"
  local copy, source = al.zeros(size, size), al.zeros(size, size)
  local from = plan.centres[1]
  local mid = (size + 1) / 2
  for i = 2, #plan.centres do
    local to = plan.centres[i]
    local n = math.ceil(plan.radius * plan.scale + plan.soft / 2)
    local dy, dx = offsets(n)
    local alpha = plan.border(dx * yx + dy * yy, dx * xx + dy * xy) * plan.scale
    alpha = (alpha / plan.soft + 0.5):clamp(0, 1)
    local map = { { xx, xy, from[2] - mid }, { yx, yy, from[1] - mid } }
    local patch = al.affine(before, al.tensor(map, { dtype = "float64" }),
      { 2 * n + 1, 2 * n + 1 })
    local rows, columns = { to[1] - n, to[1] + n }, { to[2] - n, to[2] + n }
    local under = out[{ {}, rows, columns }]
    out[{ {}, rows, columns }] = under + (patch - under) * alpha
    copy[{ rows, columns }] = al.maximum(copy[{ rows, columns }], alpha)
  end
  if donor then return out, copy:gt(0.5), source:gt(0.5) end
  local n = math.ceil(plan.radius)
  local dy, dx = offsets(n)
  source[{ { from[1] - n, from[1] + n }, { from[2] - n, from[2] + n } }] =
    plan.border(dy, dx):gt(0):to "float32"
  return out, copy:gt(0.5), source:gt(0.5)
end

-- ---- batches --------------------------------------------------------------------------------

-- A crop of a random photograph in which the region at plan.centres[1] has texture, and the
-- photograph's name.
local function take(self, album, plan, draw)
  if #album == 0 then error("sim.copymove: the album holds no photograph", 0) end
  local photo = album[whole(draw, 1, #album)]
  local h, w, size = photo.pixels:size(2), photo.pixels:size(3), self.size
  local from, top, left = plan.centres[1], nil, nil
  for _ = 1, 50 do
    local place = photo.places[whole(draw, 1, #photo.places)]
    top = place[1] + whole(draw, -3, 4) - from[1] + 1
    left = place[2] + whole(draw, -3, 4) - from[2] + 1
    if top >= 1 and left >= 1 and top + size - 1 <= h and left + size - 1 <= w then break end
  end
  top = math.max(1, math.min(top, h - size + 1))
  left = math.max(1, math.min(left, w - size + 1))
  return photo.pixels:narrow(2, top, size):narrow(3, left, size), photo.name
end

--- `count` pairs: x (2 count x 3 x size x size, float32 in [0, 1]; originals first), y (classes
-- 1 and 2), truth = { copy, source (bool, count x size x size), plans, photos (names) }. The
-- regimes are taken in turn from the list given, or drawn. splice = true pastes from another
-- photograph.
function Forge:pairs(album, count, opts)
  local o = options("copymove.pairs", opts, { splice = false }, { "regimes", "generator" })
  local draw = dice(o.generator)
  local originals, forged, quality, copies, sources = {}, {}, {}, {}, {}
  local plans, names = {}, {}
  for i = 1, count do
    local asked = o.regimes and o.regimes[i]
    local regime = asked and self.by_name[asked] or self.regimes[whole(draw, 1, #self.regimes)]
    if asked and not self.by_name[asked] then
      error(("copymove.pairs: no regime is named %s"):format(asked), 2)
    end
    local plan = self:plan(regime, draw)
    local crop, name = take(self, album, plan, draw)
    local donor = o.splice and take(self, album, plan, draw) or nil
    forged[i], copies[i], sources[i] = self:apply(crop, plan, donor)
    originals[i] = crop:to "float32"
    if plan.noise > 0 then
      local rng = { generator = o.generator }
      originals[i] = originals[i] + al.randn(3, self.size, self.size, rng) * plan.noise
      forged[i] = forged[i] + al.randn(3, self.size, self.size, rng) * plan.noise
    end
    quality[i], quality[count + i] = plan.quality, plan.quality
    plans[i], names[i] = plan, name
  end
  local x = al.cat({ al.stack(originals, 1), al.stack(forged, 1) }, 1)
  x = al.image.jpeg((x:clamp(0, 255) + 0.5):to "uint8", quality)
  local one = al.ones(count, { dtype = "int64" })
  local y = al.cat({ one, one * 2 }, 1)
  return x:to "float32" * (1 / 255), y,
    { copy = al.stack(copies, 1), source = al.stack(sources, 1), plans = plans, photos = names }
end

--- Fresh forgeries: a function(step) -> x, y, truth, for run:fit. Options: batch (32, even);
-- splice = true pastes regions from another photograph: a source task; shuffled = true deals
-- the labels at random and leaves out the truth: a control.
function Forge:stream(album, opts)
  local o = options("copymove.stream", opts, { batch = 32, splice = false, shuffled = false })
  return function()
    local x, y, truth = self:pairs(album, math.floor(o.batch / 2), { splice = o.splice })
    if o.shuffled then return x, y:index_select(1, al.randperm(#y)) end
    return x, y, truth
  end
end

--- The same pairs each time: `each` a regime, seeded. A table with x (uint8), y, and lists
-- photo, regime and pair, an entry a sample; truth as from pairs; #set and set:get(i).
function Forge:fixed(album, each, opts)
  local o = options("copymove.fixed", opts, { seed = 1 })
  local rng = al.generator(o.seed)
  local set = { photo = {}, regime = {}, truth = { copy = {}, source = {}, plans = {} } }
  local xs, ys = {}, {}
  for _, regime in ipairs(self.regimes) do
    local wanted = {}
    for i = 1, each do wanted[i] = regime.name end
    local x, y, truth = self:pairs(album, each, { regimes = wanted, generator = rng })
    xs[#xs + 1], ys[#ys + 1] = (x * 255 + 0.5):to "uint8", y
    table.insert(set.truth.copy, truth.copy)
    table.insert(set.truth.source, truth.source)
    for _ = 1, 2 do
      for i = 1, each do
        table.insert(set.photo, truth.photos[i])
        table.insert(set.regime, regime.name)
      end
    end
    for i = 1, each do table.insert(set.truth.plans, truth.plans[i]) end
  end
  set.x, set.y = al.cat(xs, 1), al.cat(ys, 1)
  set.truth.copy, set.truth.source = al.cat(set.truth.copy, 1), al.cat(set.truth.source, 1)
  return set
end

--- A picture of a fixed set: the first forgery of each regime, then its masks (copy red, source
-- green), then what each detector marks. detectors: functions from a batch (1 x 3 x size x size
-- in [0, 1]) to one map of any size in [0, 1], shown in red and yellow.
function Forge:show(set, detectors)
  local shown, full, colors = {}, { self.size, self.size }, { "red", "yellow" }
  local each = #set.x / (2 * #self.regimes)
  for i = 1, #self.regimes do
    local x = set.x:narrow(1, (2 * i - 1) * each + 1, 1):to "float32" * (1 / 255)
    local pair = (i - 1) * each + 1
    local truth = al.image.overlay(x[1], set.truth.copy[pair])
    shown[#shown + 1] = x[1]
    shown[#shown + 1] = al.image.overlay(truth, set.truth.source[pair], { color = "green" })
    for k, detect in ipairs(detectors) do
      local map = al.no_grad(detect, x)
      map = map:reshape(1, map:size(-2), map:size(-1))
      shown[#shown + 1] =
        al.image.overlay(x[1], al.image.resize(map, full)[1], { color = colors[k] })
    end
  end
  return al.image.grid(shown, { columns = 3 * (#detectors + 2) })
end

--- A forgery simulator. Options: size of the crops (128); side, the longest a photograph keeps
-- (2048); jpeg, the range of qualities ({ 75, 95 }); texture, the mean step between
-- neighbouring pixels, of 255, that a copied region must have (4); regimes, a list of tables
-- as in this file, each naming what it changes (radius, turn, scale, mirror, feather, clones,
-- quality, noise).
return function(opts)
  local o = options("sim.copymove", opts,
    { size = 128, side = 2048, jpeg = { 75, 95 }, texture = 4, least = 0.02,
      regimes = regimes })
  local forge = setmetatable({
    size = o.size, side = o.side, texture = o.texture, least = o.least, reach = 32,
    regimes = {}, by_name = {}, names = {},
  }, Forge)
  for i, given in ipairs(o.regimes) do
    local regime = { quality = o.jpeg }
    for key, value in pairs(plain) do regime[key] = value end
    for key, value in pairs(given) do
      if key ~= "name" and key ~= "quality" and plain[key] == nil then
        error(("sim.copymove: regime %s has no setting %s")
          :format(tostring(given.name), key), 2)
      end
      regime[key] = value
    end
    forge.regimes[i], forge.by_name[regime.name], forge.names[i] = regime, regime, regime.name
  end
  return forge
end
