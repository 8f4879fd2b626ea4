--- data.augment: random changes of pictures and volumes, the same for a picture and its masks.
--
--   local augment = al.data.augment
--   local change = augment.compose {
--     augment.flip(), augment.affine { degrees = 10, scale = { 0.9, 1.1 } },
--     augment.color { brightness = 0.2, hue = 0.05 },
--     augment.jpeg { quality = { 60, 95 }, p = 0.5 },
--   }
--   local x, mask = change(x, mask)
--   local set = al.data.list(items, read):map(change)
--
-- Pictures are ... x H x W, volumes (dims = 3) ... x D x H x W; bytes count 0 to 255, floats 0
-- to 1, and keep their kind. Further values that are tensors of the same spatial size are
-- masks: they go through the same geometry, each pixel taking its nearest neighbour's value,
-- and are left alone by what changes colours. Other values, such as labels, pass.
--
-- Every transform takes p, the chance that it is applied (1, flips 0.5 an axis), and generator,
-- its source of random numbers. Without one it is the default generator, which a loader seeds
-- for each sample by (seed, epoch, sample).

local al = require "albedo"
local options = require "albedo.options"
local image = al.image

local augment = {}

-- ---- chance ---------------------------------------------------------------------------------

local Dice = {}
Dice.__index = Dice

local function dice(generator)
  return setmetatable({ generator = generator, left = {} }, Dice)
end

--- A uniform number from a to b; taken 16 at a time.
function Dice:between(a, b)
  if #self.left == 0 then
    self.left = al.scope(function()
      return al.rand(16, { dtype = "float64", generator = self.generator }):totable()
    end)
  end
  return a + (b - a) * table.remove(self.left)
end

-- A whole number from a to b, both included.
function Dice:whole(a, b) return math.min(b, a + math.floor(self:between(0, b - a + 1))) end

-- An option as a range: { a, b }; or a number r, for middle - r to middle + r.
local function range(what, v, middle)
  if type(v) == "number" then return { middle - v, middle + v } end
  if type(v) ~= "table" or type(v[1]) ~= "number" or type(v[2]) ~= "number" then
    error(what .. " is a number, or a range { low, high }", 3)
  end
  return v
end

-- ---- transforms -----------------------------------------------------------------------------

local Transform = {}
Transform.__index = Transform

-- The spatial size of x: its last d dims.
local function size_of(x, d)
  local size = {}
  for i = 1, d do size[i] = x:size(i - d - 1) end
  return size
end

local function is_mask(value, x, d)
  if not al.is_tensor(value) or value.ndim < d then return false end
  for i = 1, d do
    if value:size(-i) ~= x:size(-i) then return false end
  end
  return true
end

--- With numbers from `random`: what calling the transform does.
function Transform:apply(random, x, ...)
  if not al.is_tensor(x) or x.ndim < self.dims then
    error(("augment.%s: x must be a tensor of %d dims or more"):format(self.name, self.dims), 2)
  end
  if self.p < 1 and random:between(0, 1) >= self.p then return x, ... end
  local drawn = self.draw(random, x)
  local out, n = { ... }, select("#", ...)
  for k = 1, n do
    if self.mask and is_mask(out[k], x, self.dims) then out[k] = self.mask(out[k], drawn) end
  end
  return self.picture(x, drawn, random), (table.unpack or unpack)(out, 1, n)
end

-- What comes out as it went in stays in the scope it is in.
local function keep_new(given, ...)
  for k = 1, select("#", ...) do
    local value, old = (select(k, ...)), false
    for i = 1, given.n do old = old or rawequal(given[i], value) end
    if not old then al.keep(value) end
  end
  return ...
end

local function finish(scope, given, ok, ...)
  if ok then keep_new(given, ...) end
  scope:close()
  if not ok then error((...), 0) end
  return ...
end

local function run(self, ...)
  local given = { n = select("#", ...), ... }
  return finish(al.scope(), given,
    pcall(al.with_grad, false, self.apply, self, dice(self.generator), ...))
end
Transform.__call = run

-- fields: draw(random, x) -> drawn, picture(x, drawn, random), mask(m, drawn)
local function transform(name, o, fields)
  fields.name, fields.p, fields.generator = name, o.p or 1, o.generator
  fields.dims = o.dims or 2
  return setmetatable(fields, Transform)
end

local COMMON = { "p", "generator" }
local function settings(name, given, defaults)
  return options("augment." .. name, given, defaults, COMMON)
end

local Chain = { __call = run }
Chain.__index = Chain
function Chain:apply(random, ...)
  if self.p < 1 and random:between(0, 1) >= self.p then return ... end
  return self.follow(random, 1, ...)
end

--- These transforms, one after another. Options: p, generator.
function augment.compose(parts, opts)
  local o = settings("compose", opts, {})
  local function follow(random, k, ...)
    if not parts[k] then return ... end
    return follow(random, k + 1, parts[k]:apply(random, ...))
  end
  return setmetatable({ p = o.p or 1, generator = o.generator, follow = follow }, Chain)
end

--- One of these transforms, each as likely. Options: p, generator.
function augment.one_of(parts, opts)
  local o = settings("one_of", opts, {})
  local function follow(random, _, ...)
    return parts[random:whole(1, #parts)]:apply(random, ...)
  end
  return setmetatable({ p = o.p or 1, generator = o.generator, follow = follow }, Chain)
end

-- ---- geometry -------------------------------------------------------------------------------

-- Runs fn on x as floats from 0 to 1 and gives the kind of x back.
local function as_float(x, fn)
  if x.dtype:find "^float" then return fn(x) end
  local white = x.dtype == "uint8" and 255 or x.dtype == "int32" and 65535 or 1
  return (fn(x:to "float32" / white):clamp(0, 1) * white + 0.5):to(x.dtype)
end

-- x (... x spatial) read at coords (d x spatial), in pixels from 0: linear between the 2^d
-- neighbours, or the nearest one. fill: the value outside, or "border": the nearest pixel's.
local function read_at(x, coords, nearest, fill)
  local border = fill == "border"
  return x:map_coordinates(coords, { mode = nearest and "nearest" or "linear",
    fill = border and 0 or fill, border = border })
end

-- A transform whose draw gives the coordinates to read at, a list. o.fill (0 to 1) is the
-- pictures', o.fill_mask the masks'.
local function warp(name, o, draw)
  return transform(name, o, {
    draw = function(random, x) return al.stack(draw(random, x), 1) end,
    picture = function(x, coords)
      if x.dtype == "uint8" then
        return read_at(x, coords, false, o.fill == "border" and "border" or o.fill * 255)
      end
      return as_float(x, function(y) return read_at(y, coords, false, o.fill) end)
    end,
    mask = function(m, coords) return read_at(m, coords, true, o.fill_mask) end,
  })
end

-- For each spatial dim the positions 0 .. n - 1 minus `from`, a line along that dim.
local function positions(size, from)
  local lines = {}
  for i, n in ipairs(size) do
    local shape = {}
    for k = 1, #size do shape[k] = k == i and n or 1 end
    lines[i] = (al.arange(0, n - 1, { dtype = "float32" }) - (from and from[i] or 0))
      :reshape(shape)
  end
  return lines
end

--- Mirrors each of these dims with chance p. Options: axes = { -1 } (with dims = 3: { -1, -2,
-- -3 }), dims = 2, p = 0.5.
function augment.flip(opts)
  local o = settings("flip", opts, { dims = 2, axes = false })
  local axes, p = o.axes or (o.dims == 3 and { -1, -2, -3 } or { -1 }), o.p or 0.5
  local function flip(x, chosen)
    return #chosen > 0 and x:flip((table.unpack or unpack)(chosen)) or x
  end
  return transform("flip", { dims = o.dims, generator = o.generator }, {
    draw = function(random)
      local chosen = {}
      for _, axis in ipairs(axes) do
        if random:between(0, 1) < p then chosen[#chosen + 1] = axis end
      end
      return chosen
    end,
    picture = flip, mask = flip,
  })
end

--- Turns by 0 to 3 quarters, in the plane of the last two dims, or of two of three (dims = 3).
function augment.rotate90(opts)
  local o = settings("rotate90", opts, { dims = 2 })
  local function turn(x, drawn) return x:rot90(drawn.quarters, { drawn.a, drawn.b }) end
  return transform("rotate90", o, {
    draw = function(random)
      local out = { quarters = random:whole(0, 3), a = -2, b = -1 }
      if o.dims == 3 then
        local left_out = random:whole(1, 3)
        out.a, out.b = left_out == 3 and -2 or -3, left_out == 1 and -2 or -1
      end
      return out
    end,
    picture = turn, mask = turn,
  })
end

local function corner_of(random, size, part)
  local from = {}
  for i, n in ipairs(size) do
    if part[i] > n then
      error(("augment: a crop of %d from %d pixels"):format(part[i], n), 0)
    end
    from[i] = random:whole(1, n - part[i] + 1)
  end
  return from
end

local function cut(x, drawn)
  local d = #drawn.from
  for i = 1, d do x = x:narrow(i - d - 1, drawn.from[i], drawn.size[i]) end
  return x
end

--- A part of this size, anywhere. Options: size ({ height, width }, or { depth, height, width }
-- with dims = 3; a number for all), dims = 2.
function augment.crop(opts)
  local o = options("augment.crop", opts, { dims = 2 }, { "p", "generator", "size" })
  local size = o.size
  if type(size) == "number" then size = { size, size, o.dims == 3 and size or nil } end
  if type(size) ~= "table" or #size ~= o.dims then
    error(("augment.crop: size is a number or a list of %d"):format(o.dims), 2)
  end
  return transform("crop", o, {
    draw = function(random, x)
      return { from = corner_of(random, size_of(x, o.dims), size), size = size }
    end,
    picture = cut, mask = cut,
  })
end

--- A part of random area and shape, resized (Szegedy et al. 2015). Options: size ({ height,
-- width } or a number), area = { 0.08, 1 } (of the picture), ratio = { 3/4, 4/3 } (width to
-- height, evenly in the logarithm).
function augment.resized_crop(opts)
  local o = options("augment.resized_crop", opts,
    { area = { 0.08, 1 }, ratio = { 3 / 4, 4 / 3 } }, { "p", "generator", "size" })
  local size = type(o.size) == "number" and { o.size, o.size } or o.size
  if type(size) ~= "table" then error("augment.resized_crop: option 'size' is missing", 2) end
  return transform("resized_crop", o, {
    draw = function(random, x)
      local full = size_of(x, 2)
      local area = full[1] * full[2] * random:between(o.area[1], o.area[2])
      local ratio = math.exp(random:between(math.log(o.ratio[1]), math.log(o.ratio[2])))
      local part = { math.sqrt(area / ratio), math.sqrt(area * ratio) }
      for i = 1, 2 do
        part[i] = math.max(1, math.min(full[i], math.floor(part[i] + 0.5)))
      end
      return { from = corner_of(random, full, part), size = part }
    end,
    picture = function(x, drawn) return image.resize(cut(x, drawn), size) end,
    mask = function(m, drawn) return image.resize(cut(m, drawn), size, "nearest") end,
  })
end

local function product(a, b)
  local out = {}
  for i = 1, #a do
    out[i] = {}
    for j = 1, #b[1] do
      local sum = 0
      for k = 1, #b do sum = sum + a[i][k] * b[k][j] end
      out[i][j] = sum
    end
  end
  return out
end

-- Turns dims a and b of d by an angle.
local function turn_of(d, a, b, angle)
  local m = {}
  for i = 1, d do
    m[i] = {}
    for j = 1, d do m[i][j] = i == j and 1 or 0 end
  end
  m[a][a], m[b][b] = math.cos(angle), math.cos(angle)
  m[a][b], m[b][a] = -math.sin(angle), math.sin(angle)
  return m
end

--- Turns (about each axis, with dims = 3), scales, shears and shifts about the centre. Options,
-- each a range or a number r for -r to r: degrees = 0, shear = 0 (degrees), shift = 0 (of the
-- size); scale = { 1, 1 } (a number r: 1 - r to 1 + r); fill = 0 ("border": the nearest pixel),
-- fill_mask = 0, dims = 2.
function augment.affine(opts)
  local o = settings("affine", opts,
    { degrees = 0, shear = 0, shift = 0, scale = 0, fill = 0, fill_mask = 0, dims = 2 })
  local degrees, shear = range("degrees", o.degrees, 0), range("shear", o.shear, 0)
  local shift, scale = range("shift", o.shift, 0), range("scale", o.scale, 1)
  local d = o.dims
  return warp("affine", o, function(random, x)
    -- the place read for each place written: the inverse of what the eye sees
    local size, centre, m = size_of(x, d), {}, turn_of(d, 1, 2, 0)
    for a = 1, d do
      for b = a + 1, d do
        local angle = math.rad(random:between(degrees[1], degrees[2]))
        m = product(m, turn_of(d, a, b, angle))
      end
    end
    local lean = turn_of(d, 1, 2, 0)
    lean[d][d - 1] = math.tan(math.rad(random:between(shear[1], shear[2])))
    m = product(m, lean)
    local factor = 1 / random:between(scale[1], scale[2])
    for i, n in ipairs(size) do centre[i] = (n - 1) / 2 end
    local at, coords = positions(size, centre), {}
    for i = 1, d do
      local c = centre[i] - size[i] * random:between(shift[1], shift[2])
      local sum
      for j = 1, d do
        local term = at[j] * (m[i][j] * factor)
        sum = sum and sum + term or term
      end
      coords[i] = sum + c
    end
    return coords
  end)
end

--- Bends smoothly (Simard et al. 2003): each pixel is read elsewhere, by normal displacements
-- of standard deviation `amount` pixels, smoothed by a Gaussian of `smooth` pixels. Options:
-- amount = 3, smooth = 8, fill = "border", fill_mask = "border", dims = 2.
function augment.elastic(opts)
  local o = settings("elastic", opts,
    { amount = 3, smooth = 8, fill = "border", fill_mask = "border", dims = 2 })
  -- smoothing divides the deviation of white noise by (2 sqrt(pi) smooth)^(d/2)
  local gain = o.amount * (2 * math.sqrt(math.pi) * o.smooth) ^ (o.dims / 2)
  return warp("elastic", o, function(random, x)
    local size = size_of(x, o.dims)
    local coords = positions(size)
    for i = 1, o.dims do
      local noise = al.randn(size, { generator = random.generator })
      coords[i] = coords[i]
        + noise:gaussian_blur(o.smooth, { spatial = o.dims, mode = "wrap" }) * gain
    end
    return coords
  end)
end

--- Looks from elsewhere: each corner of the part that is read moves by up to `amount` of the
-- size. Options: amount = 0.15, fill = 0, fill_mask = 0.
function augment.perspective(opts)
  local o = settings("perspective", opts, { amount = 0.15, fill = 0, fill_mask = 0 })
  return warp("perspective", o, function(random, x)
    local c = {} -- corners (x, y) at (0, 0), (1, 0), (1, 1), (0, 1)
    for k, corner in ipairs { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 0, 1 } } do
      c[k] = {
        corner[1] + random:between(-o.amount, o.amount),
        corner[2] + random:between(-o.amount, o.amount),
      }
    end
    -- from the unit square to the quadrilateral (Heckbert 1989, section 2.2.3)
    local sx = c[1][1] - c[2][1] + c[3][1] - c[4][1]
    local sy = c[1][2] - c[2][2] + c[3][2] - c[4][2]
    local ax, ay, bx, by = c[2][1] - c[3][1], c[2][2] - c[3][2], c[4][1] - c[3][1],
      c[4][2] - c[3][2]
    local det = ax * by - ay * bx
    local g, h = (sx * by - sy * bx) / det, (ax * sy - ay * sx) / det
    local size = size_of(x, 2)
    local at = positions(size, { -0.5, -0.5 })
    local v, u = at[1] / size[1], at[2] / size[2]
    local below = u * g + v * h + 1
    local function place(k, n)
      local across = c[2][k] - c[1][k] + g * c[2][k]
      local down = c[4][k] - c[1][k] + h * c[4][k]
      return (u * across + v * down + c[1][k]) / below * n - 0.5
    end
    return { place(2, size[1]), place(1, size[2]) }
  end)
end

-- ---- colours --------------------------------------------------------------------------------

--- Other colours. Options, each a range or a number r for 1 - r to 1 + r: brightness, contrast,
-- saturation (factors), gamma (an exponent); hue (turns of the colour wheel, -r to r); dims = 2
-- (3: volumes, each channel by itself, without saturation and hue).
function augment.color(opts)
  local o = settings("color", opts,
    { brightness = 0, contrast = 0, saturation = 0, gamma = 0, hue = 0, dims = 2 })
  local names, ranges = { "brightness", "contrast", "saturation", "gamma" }, {}
  for _, name in ipairs(names) do ranges[name] = range(name, o[name], 1) end
  local hue = range("hue", o.hue, 0)
  return transform("color", o, {
    draw = function(random)
      local drawn = {}
      for _, name in ipairs(names) do
        drawn[name] = random:between(ranges[name][1], ranges[name][2])
      end
      return { adjust = drawn, hue = random:between(hue[1], hue[2]) }
    end,
    picture = function(x, drawn)
      if o.dims == 3 then -- a volume's channel is a gray picture
        local flat = x:reshape(-1, 1, x:size(-3) * x:size(-2), x:size(-1))
        return image.adjust(flat, drawn.adjust):reshape(x.shape)
      end
      x = image.adjust(x, drawn.adjust)
      return drawn.hue ~= 0 and image.hue(x, drawn.hue) or x
    end,
  })
end

-- A transform that draws a number from the range `given` and changes pictures as floats.
local function tone(name, o, given, change)
  return transform(name, o, {
    draw = function(random) return random:between(given[1], given[2]) end,
    picture = function(x, drawn)
      return as_float(x, function(y) return change(y, drawn) end)
    end,
  })
end

--- Gray, with as many channels as before: meant with p < 1.
function augment.gray(opts)
  return transform("gray", settings("gray", opts, {}), {
    draw = function() return true end,
    picture = function(x)
      return x.ndim > 2 and x:size(-3) == 3 and image.to_rgb(image.to_gray(x)) or x
    end,
  })
end

--- Turns what is brighter than a threshold around, v to 1 - v. Options: threshold = { 0.5, 0.9
-- } (a range), dims = 2.
function augment.solarize(opts)
  local o = settings("solarize", opts, { threshold = { 0.5, 0.9 }, dims = 2 })
  return tone("solarize", o, range("threshold", o.threshold, 0), function(y, threshold)
    return al.where(y:ge(threshold), 1 - y, y)
  end)
end

--- Leaves so many levels, evenly from black to white. Options: levels = { 4, 32 }, dims = 2.
function augment.posterize(opts)
  local o = settings("posterize", opts, { levels = { 4, 32 }, dims = 2 })
  return tone("posterize", o, { o.levels[1], o.levels[2] + 1 }, function(y, levels)
    local steps = math.max(1, math.min(math.floor(levels), o.levels[2]) - 1)
    return (y * steps + 0.5):floor() / steps
  end)
end

--- Stretches each channel from black to white; a flat one stays. Option: dims = 2.
function augment.stretch(opts)
  local o = settings("stretch", opts, { dims = 2 })
  local over = o.dims == 3 and { -3, -2, -1 } or { -2, -1 }
  return tone("stretch", o, { 0, 1 }, function(y)
    local low, high = y:amin(over, true), y:amax(over, true)
    return al.where(high:gt(low), (y - low) / (high - low):clamp(1e-12, 1e12), y)
  end)
end

--- Adds what a blur of one pixel takes away, times a number from amount = { 0, 2 } (an unsharp
-- mask). Option: dims = 2.
function augment.sharpen(opts)
  local o = settings("sharpen", opts, { amount = { 0, 2 }, dims = 2 })
  return tone("sharpen", o, o.amount, function(y, amount)
    return (y + (y - y:gaussian_blur(1, { spatial = o.dims })) * amount):clamp(0, 1)
  end)
end

--- Normal noise of a standard deviation drawn from the range sd = { 0, 0.05 } (of white).
-- Option: dims = 2.
function augment.noise(opts)
  local o = settings("noise", opts, { sd = { 0, 0.05 }, dims = 2 })
  return transform("noise", o, {
    draw = function(random) return random:between(o.sd[1], o.sd[2]) end,
    picture = function(x, sd, random)
      return as_float(x, function(y)
        local noise = al.randn_like(y, { generator = random.generator })
        return (y + noise * sd):clamp(0, 1)
      end)
    end,
  })
end

--- A Gaussian blur of sigma = { 0.1, 2 } pixels. Option: dims = 2.
function augment.blur(opts)
  local o = settings("blur", opts, { sigma = { 0.1, 2 }, dims = 2 })
  return transform("blur", o, {
    draw = function(random) return random:between(o.sigma[1], o.sigma[2]) end,
    picture = function(x, sigma)
      return as_float(x, function(y) return y:gaussian_blur(sigma, { spatial = o.dims }) end)
    end,
  })
end

--- What JPEG leaves at a quality drawn from the range quality = { 50, 95 }.
function augment.jpeg(opts)
  local o = settings("jpeg", opts, { quality = { 50, 95 } })
  return transform("jpeg", o, {
    draw = function(random) return random:whole(o.quality[1], o.quality[2]) end,
    picture = function(x, quality) return image.jpeg(x, quality) end,
  })
end

--- Blanks boxes (DeVries and Taylor 2017). Options: size = { 0.1, 0.3 } (of each side), count =
-- 1, fill = 0 (in x's own numbers), dims = 2.
function augment.cutout(opts)
  local o = settings("cutout", opts, { size = { 0.1, 0.3 }, count = 1, fill = 0, dims = 2 })
  return transform("cutout", o, {
    draw = function(random, x)
      local boxes, full = {}, size_of(x, o.dims)
      for k = 1, o.count do
        local part = {}
        for i, n in ipairs(full) do
          local share = random:between(o.size[1], o.size[2])
          part[i] = math.max(1, math.min(n, math.floor(share * n + 0.5)))
        end
        boxes[k] = { from = corner_of(random, full, part), size = part }
      end
      return boxes
    end,
    picture = function(x, boxes)
      local y = x:clone()
      for _, box in ipairs(boxes) do cut(y, box):fill_(o.fill) end
      return y
    end,
  })
end

for name, f in pairs(require "albedo.data.mix") do augment[name] = f end

-- ---- a picture of all -----------------------------------------------------------------------

--- A sheet (3 x H x W) of a photograph, and what each transform makes of it, row by row; and
-- the names, in that order. Options: seed = 1, side = 160 (pixels of each), columns = 4.
function augment.gallery(photo, opts)
  local o = options("augment.gallery", opts, { seed = 1, side = 160, columns = 4 })
  local side = o.side
  local x = image.to_rgb(image.to_bytes(image.resize(photo, side)))
  x = image.center_crop(x, side)
  local sheet, names = { x }, { "as it was" }
  for _, entry in ipairs {
    { "flip", { p = 1 } }, { "rotate90" }, { "crop", { size = math.floor(side * 0.6) } },
    { "resized_crop", { size = side, area = { 0.2, 0.6 } } },
    { "affine", { degrees = 25, scale = 0.2, shear = 10 } },
    { "elastic", { amount = side / 40, smooth = side / 16 } }, { "perspective" },
    { "color", { brightness = { 1.3, 1.6 } } }, { "color", { contrast = { 1.5, 2 } } },
    { "color", { gamma = { 1.8, 2.4 } } }, { "color", { hue = { 0.2, 0.8 } } },
    { "color", { saturation = { 1.8, 2.5 } } }, { "gray" }, { "solarize" },
    { "posterize", { levels = { 4, 4 } } }, { "stretch" }, { "sharpen", { amount = { 2, 3 } } },
    { "noise", { sd = { 0.1, 0.15 } } }, { "blur", { sigma = { 2, 3 } } },
    { "jpeg", { quality = { 5, 10 } } }, { "cutout", { count = 2 } },
  } do
    local name, given = entry[1], { generator = al.generator(o.seed + #sheet) }
    for key, value in pairs(entry[2] or {}) do given[key] = value end
    sheet[#sheet + 1] = image.resize((augment[name](given)(x)), { side, side })
    local key = name == "color" and next(entry[2])
    names[#names + 1] = key or name
  end
  return image.grid(sheet, { columns = o.columns }), names
end

return augment
