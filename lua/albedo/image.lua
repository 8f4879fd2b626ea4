--- al.image: pictures as tensors, C x H x W (gray, gray and alpha, RGB, RGBA) or N x C x H x W.
--
--   local image = al.image
--   local x = image.load "photo.jpg"         -- uint8, upright; { channels = 1 } for gray
--   local y = image.resize(image.to_float(x), { 224, 224 })
--   image.save("small.png", y)                          -- floats are clamped to [0, 1]
--   image.save("grid.png", image.grid(batch, { columns = 8 }))
--
-- Bytes (uint8) count 0 to 255, floats 0 to 1; every function keeps the kind it is given. Rows
-- and columns count from 1; sizes are { height, width }.

local al = require "albedo"
local options = require "albedo.options"
local optional = require "albedo.optional"
local raise = al.native.raise

local image = {}

-- Opened at first use: it brings libpng and libjpeg.
local function plugin() return optional.open "image" end

local function check(x, who)
  if not al.is_tensor(x) then
    raise(("image.%s: x must be a tensor, got %s"):format(who, type(x)))
  end
  if x.ndim < 2 then
    raise(("image.%s: x has %d dims, wants H x W, C x H x W or N x C x H x W")
      :format(who, x.ndim))
  end
  return x.dtype == "float32" or x.dtype == "float64"
end

-- The value of white.
local function full(x)
  local dtype = x.dtype
  return dtype == "uint8" and 255 or dtype == "int32" and 65535 or 1
end

-- ---- kinds ----------------------------------------------------------------------------------

--- Floats in [0, 1] from bytes, 16-bit values (int32, 0 to 65535) or bool.
function image.to_float(x, dtype)
  if check(x, "to_float") then return dtype and x:to(dtype) or x end
  return x:to(dtype or "float32") * (1 / full(x))
end

--- Bytes from floats in [0, 1] (clamped, rounded), 16-bit values or bool.
function image.to_bytes(x)
  local float = check(x, "to_bytes")
  if x.dtype == "uint8" then return x end
  if not float then x = x:to "float32" * (255 / full(x)) else x = x * 255 end
  return (x:clamp(0, 255) + 0.5):to "uint8"
end

-- Runs fn on x as floats and gives the kind of x back.
local function as_float(x, fn)
  local dtype = x.dtype
  if dtype == "float32" or dtype == "float64" then return fn(x) end
  local y = fn(image.to_float(x))
  if dtype == "uint8" then return image.to_bytes(y) end
  return (y:clamp(0, 1) * full(x) + 0.5):to(dtype)
end

-- ---- files ----------------------------------------------------------------------------------

local TIFF = { ["II*\0"] = true, ["MM\0*"] = true, ["II+\0"] = true, ["MM\0+"] = true }

local function is_tiff(path)
  local file = type(path) == "string" and io.open(path, "rb")
  local first = file and file:read(4)
  if file then file:close() end
  return TIFF[first] or false
end

local function read_tiff(path, o)
  local x = optional.open("tiff").tiff_read(path, { page = o.page, max_bytes = o.max_bytes })
  if o.channels == 1 then return image.to_gray(x) end
  if o.channels == 3 then return image.to_rgb(x) end
  if o.channels == 0 then return x end
  raise(("image.load: channels is %s: 0, 1 and 3 are possible for a TIFF")
    :format(tostring(o.channels)))
end

--- A picture from a PNG, JPEG, BMP, PGM, PPM or TIFF file, whatever its name: uint8, or
-- int32 of 0..65535 from 16 bits. JPEGs are turned upright. A TIFF of many pages is P x C x H
-- x W and may hold any dtype (al.help "tiff_read"). Options: channels (0 as stored, 1 gray, 3
-- RGB, 4 RGBA), float (true: [0, 1]), max_bytes (4e9: what it may claim); of a TIFF page (one
-- of many, from 1).
function image.load(path, opts)
  local o = options("image.load", opts,
    { channels = 0, float = false, page = 0, max_bytes = 4000000000 })
  local x = is_tiff(path) and read_tiff(path, o)
    or plugin().image_read(path, { channels = o.channels, max_bytes = o.max_bytes })
  return o.float and image.to_float(x) or x
end

--- The picture in a file's bytes, a string or a uint8 tensor. Options as for load.
function image.decode(bytes, opts)
  local o = options("image.decode", opts,
    { channels = 0, float = false, max_bytes = 4000000000 })
  if type(bytes) == "string" then bytes = al.from_bytes(bytes, "uint8") end
  local x = plugin().image_decode(bytes, { channels = o.channels, max_bytes = o.max_bytes })
  return o.float and image.to_float(x) or x
end

-- What the encoders take: uint8, or int32 when `deep`.
local function for_file(x, who, deep)
  check(x, who)
  if deep and x.dtype == "int32" then return x end
  return image.to_bytes(x)
end

local function extension(path) return (tostring(path):match "%.([%w]+)$" or ""):lower() end

local function write(path, x, o)
  local kind = extension(path)
  if kind == "png" then
    if o.bits == 16 and x.dtype ~= "int32" then
      x = (image.to_float(x):clamp(0, 1) * 65535 + 0.5):to "int32"
    end
    plugin().png_write(path, for_file(x, "save", true), { level = o.level })
  elseif kind == "jpg" or kind == "jpeg" then
    plugin().jpeg_write(path, for_file(x, "save"), o.quality)
  elseif kind == "tif" or kind == "tiff" then
    optional.open("tiff").tiff_write(path, x, { compression = o.compression, big = o.big })
  else
    raise(("image.save: %s: the name must end in .png, .jpg, .jpeg, .tif or .tiff")
      :format(tostring(path)))
  end
end

--- Writes x to a PNG, JPEG or TIFF file, by the name's ending; the file appears whole or not
-- at all. In PNG and JPEG floats are clamped to [0, 1]; int32 gives a 16-bit PNG, as does bits
-- = 16. TIFF keeps every value of any dtype, P x C x H x W as pages. Options: quality (JPEG,
-- 90), level (PNG, 0 to 9), bits, compression (TIFF: "deflate", "lzw", "zstd", "none"), big
-- (BigTIFF).
function image.save(path, x, opts)
  al.scope(write, path, x, options("image.save", opts,
    { quality = 90, level = 6, bits = 8, compression = "deflate", big = false }))
end

--- The bytes of x as a "png" or "jpeg" file, as a string.
function image.encode(x, kind, opts)
  local o = options("image.encode", opts, { quality = 90, level = 6 })
  if kind == "png" then
    return plugin().png_encode(for_file(x, "encode", true), { level = o.level }):bytes()
  end
  if kind == "jpeg" then
    return plugin().jpeg_encode(for_file(x, "encode"), o.quality):bytes()
  end
  raise(("image.encode: kind is %s: png, jpeg"):format(tostring(kind)))
end

--- x as JPEG would leave it at a quality of 1 to 100 (a number, or one for each picture of a
-- batch).
function image.jpeg(x, quality)
  check(x, "jpeg")
  if x.ndim == 2 then return image.jpeg(x:unsqueeze(1), quality):squeeze(1) end
  if type(quality) == "table" then quality = al.tensor(quality, { dtype = "int64" }) end
  local y = plugin().jpeg_recompress(image.to_bytes(x), quality)
  if x.dtype == "uint8" then return y end
  return image.to_float(y, x.dtype)
end

-- ---- geometry -------------------------------------------------------------------------------

--- x at another size: { height, width }, or a number for the length of the shorter side. mode:
-- "bilinear" (the default), "area", "bicubic", all antialiased, or "nearest" for masks.
function image.resize(x, size, mode)
  check(x, "resize")
  if type(size) == "number" then
    local h, w = x:size(-2), x:size(-1)
    local short = math.min(h, w)
    size = { math.floor(h * size / short + 0.5), math.floor(w * size / short + 0.5) }
  end
  if x.dtype == "bool" then
    return al.resize(x:to "uint8", size, { mode = mode or "nearest" }):to "bool"
  end
  return al.resize(x, size, { mode = mode or "bilinear" })
end

--- The part of x from row top and column left, height x width: a view.
function image.crop(x, top, left, height, width)
  check(x, "crop")
  return x:narrow(-2, top, height):narrow(-1, left, width)
end

--- The middle of x, height x width (default: square).
function image.center_crop(x, height, width)
  width = width or height
  local top = math.floor((x:size(-2) - height) / 2) + 1
  local left = math.floor((x:size(-1) - width) / 2) + 1
  return image.crop(x, top, left, height, width)
end

--- x mirrored: "horizontal" swaps left and right (the default), "vertical" top and bottom.
function image.flip(x, direction)
  check(x, "flip")
  direction = direction or "horizontal"
  if direction ~= "horizontal" and direction ~= "vertical" then
    raise(("image.flip: direction is %s: horizontal, vertical"):format(tostring(direction)))
  end
  return x:flip(direction == "horizontal" and -1 or -2)
end

--- x turned by k quarter turns clockwise.
function image.rotate90(x, k)
  check(x, "rotate90")
  k = (k or 1) % 4
  if k == 0 then return x end
  if k == 2 then return x:flip(-1, -2) end
  return x:transpose(-1, -2):flip(k == 1 and -1 or -2)
end

--- x turned about its centre by degrees clockwise. Options: scale (1), size ({ height, width }
-- of the result; "all" makes it as large as the turned picture), fill (0), mode ("bilinear",
-- "nearest").
function image.rotate(x, degrees, opts)
  check(x, "rotate")
  local o = options("image.rotate", opts, { scale = 1, fill = 0, mode = "bilinear" },
    { "size" })
  local a = math.rad(degrees)
  local c, s = math.cos(a), math.sin(a)
  local size = o.size
  if size == "all" then
    local h, w = x:size(-2), x:size(-1)
    size = {
      math.ceil(o.scale * (math.abs(w * s) + math.abs(h * c)) - 1e-6),
      math.ceil(o.scale * (math.abs(w * c) + math.abs(h * s)) - 1e-6),
    }
  end
  local m = al.tensor({ { c / o.scale, s / o.scale, 0 }, { -s / o.scale, c / o.scale, 0 } },
    { dtype = "float64" })
  return al.affine(x, m, size or { x:size(-2), x:size(-1) }, { mode = o.mode, fill = o.fill })
end

-- ---- colour ---------------------------------------------------------------------------------

local function channels(x) return x.ndim == 2 and 1 or x:size(-3) end

local function luma(x)
  local r, g, b = x:narrow(-3, 1, 1), x:narrow(-3, 2, 1), x:narrow(-3, 3, 1)
  return r * 0.299 + g * 0.587 + b * 0.114
end

--- The brightness of x (ITU-R BT.601) as one channel; alpha is dropped.
function image.to_gray(x)
  check(x, "to_gray")
  if x.ndim == 2 then return x end
  if channels(x) < 3 then return x:narrow(-3, 1, 1) end
  return as_float(x, luma)
end

--- x with three equal channels when it is gray; alpha is dropped.
function image.to_rgb(x)
  check(x, "to_rgb")
  if x.ndim == 2 then x = x:unsqueeze(1) end
  if channels(x) >= 3 then return x:narrow(-3, 1, 3) end
  local gray = x:narrow(-3, 1, 1)
  return al.cat({ gray, gray, gray }, -3)
end

-- brightness, contrast, saturation as torchvision has them: a blend with black, the mean gray,
-- the gray picture
local function adjust(x, o)
  if o.brightness ~= 1 then x = (x * o.brightness):clamp(0, 1) end
  if o.contrast ~= 1 then
    local gray = x.ndim > 2 and channels(x) >= 3 and luma(x) or x
    local dims = x.ndim > 2 and { -3, -2, -1 } or { -2, -1 }
    x = ((x - gray:mean(dims, true)) * o.contrast + gray:mean(dims, true)):clamp(0, 1)
  end
  if o.saturation ~= 1 and x.ndim > 2 and channels(x) >= 3 then
    local gray = luma(x)
    x = ((x - gray) * o.saturation + gray):clamp(0, 1)
  end
  if o.gamma ~= 1 then x = x:clamp(0, 1) ^ o.gamma end
  return x
end

--- x with other brightness, contrast, saturation (factors, 1 leaves as is, 0 takes away) and
-- gamma (an exponent), applied in this order: image.adjust(x, { brightness = 1.2, gamma = 0.8
-- }). Gray or RGB.
function image.adjust(x, opts)
  check(x, "adjust")
  local o = options("image.adjust", opts,
    { brightness = 1, contrast = 1, saturation = 1, gamma = 1 })
  return as_float(x, function(y) return adjust(y, o) end)
end

--- image.brightness(x, factor), contrast, saturation, gamma: one of these alone, as adjust has
--- it; 1 leaves the picture as it is.
for _, name in ipairs { "brightness", "contrast", "saturation", "gamma" } do
  image[name] = function(x, factor) return image.adjust(x, { [name] = factor }) end
end

-- RGB turned about the colour wheel: hue and chroma from the largest and smallest channel
-- (Smith 1978), channel n back as value - chroma * clamp(min(k, 4 - k), 0, 1), k = n + 6 hue
-- mod
-- 6, n = 5, 3, 1.
local function turned(x, turns)
  local r, g, b = x:narrow(-3, 1, 1), x:narrow(-3, 2, 1), x:narrow(-3, 3, 1)
  local value, low = x:amax({ -3 }, true), x:amin({ -3 }, true)
  local chroma = value - low
  local d = al.where(chroma:eq(0), 1, chroma)
  local sixth = al.where(value:eq(r), (g - b) / d,
    al.where(value:eq(g), (b - r) / d + 2, (r - g) / d + 4)) + 6 * turns
  local planes = {}
  for i, n in ipairs { 5, 3, 1 } do
    local k = (sixth + n):remainder(6)
    planes[i] = value - chroma * al.minimum(k, 4 - k):clamp(0, 1)
  end
  return al.cat(planes, -3)
end

--- x (RGB; gray stays) with its hues turned: 1 is once around the colour wheel, red to green
-- 1/3.
function image.hue(x, turns)
  check(x, "hue")
  if x.ndim < 3 or channels(x) < 3 then return x end
  return as_float(image.to_rgb(x), function(y) return turned(y, turns) end)
end

-- ---- drawing --------------------------------------------------------------------------------

local COLORS = {
  red = { 0.90, 0.10, 0.11 }, green = { 0.17, 0.63, 0.17 }, blue = { 0.12, 0.47, 0.71 },
  yellow = { 1, 0.85, 0 }, orange = { 1, 0.50, 0.05 }, cyan = { 0, 0.75, 0.80 },
  magenta = { 0.85, 0.2, 0.75 }, white = { 1, 1, 1 }, black = { 0, 0, 0 },
}

-- A colour, by name or as { r, g, b } in [0, 1], as a 3 x 1 x 1 tensor in the range of x.
local function color_of(color, x, who)
  local rgb = type(color) == "string" and COLORS[color] or color
  if type(rgb) ~= "table" or #rgb ~= 3 then
    raise(("image.%s: color is %s: { r, g, b } from 0 to 1, or a name such as red")
      :format(who, tostring(color)))
  end
  local scale = full(x)
  local values = {}
  for k = 1, 3 do
    values[k] = x.dtype:find "^float" and rgb[k] or math.floor(rgb[k] * scale + 0.5)
  end
  return al.tensor(values, { dtype = x.dtype }):reshape(3, 1, 1)
end

--- A copy of x (gray becomes RGB) with boxes drawn: a list of { top, left, height, width }.
-- Options: color (a name, { r, g, b }, or a list of one a box), width of the lines (2).
function image.boxes(x, list, opts)
  check(x, "boxes")
  local o = options("image.boxes", opts, { color = "red", width = 2 })
  local y = image.to_rgb(x):clone()
  local h, w = y:size(-2), y:size(-1)
  local function fill(color, top, left, bottom, right)
    top, left, bottom, right = math.max(top, 1), math.max(left, 1), math.min(bottom, h),
      math.min(right, w)
    if top <= bottom and left <= right then
      y[{ {}, { top, bottom }, { left, right } }] = color
    end
  end
  local one = type(o.color) == "string" or type(o.color[1]) == "number"
  for i, box in ipairs(list) do
    local color = color_of(one and o.color or o.color[i], y, "boxes")
    local top, left = box[1], box[2]
    local bottom, right, t = top + box[3] - 1, left + box[4] - 1, o.width
    fill(color, top, left, math.min(top + t - 1, bottom), right)
    fill(color, math.max(bottom - t + 1, top), left, bottom, right)
    fill(color, top, left, bottom, math.min(left + t - 1, right))
    fill(color, top, math.max(right - t + 1, left), bottom, right)
  end
  return y
end

--- A copy of x (gray becomes RGB) tinted where mask (H x W or 1 x H x W: bool, or weights from
-- 0 to 1; uint8 counts from 0 to 255) is set. Options: color, alpha (0.5).
function image.overlay(x, mask, opts)
  check(x, "overlay")
  check(mask, "overlay")
  local o = options("image.overlay", opts, { color = "red", alpha = 0.5 })
  if mask.ndim > 2 then mask = mask:squeeze(1) end
  local weight = image.to_float(mask):clamp(0, 1) * o.alpha
  return as_float(image.to_rgb(x),
    function(y) return y + (color_of(o.color, y, "overlay") - y) * weight end)
end

-- A map from dark violet over teal to yellow, of our own: lightness rises evenly, so that it
-- survives gray printing and colour-blind eyes. Anchors at equal steps.
local HEAT = {
  { 0.16, 0.02, 0.30 }, { 0.21, 0.16, 0.47 }, { 0.17, 0.31, 0.54 }, { 0.11, 0.44, 0.54 },
    { 0.10, 0.56, 0.51 },
  { 0.25, 0.68, 0.43 }, { 0.48, 0.78, 0.32 }, { 0.74, 0.85, 0.24 }, { 0.98, 0.91, 0.30 },
}

--- Values H x W (or 1 x H x W) as colours, 3 x H x W float: the lowest dark violet, the highest
-- yellow. Options: low, high (default: the extremes), colors (a list of anchors { r, g, b }).
function image.heatmap(values, opts)
  check(values, "heatmap")
  local o = options("image.heatmap", opts, { colors = HEAT }, { "low", "high" })
  local v = values:detach():to "float32"
  if v.ndim > 2 then v = v:squeeze(1) end
  local low = o.low or v:min():item()
  local high = o.high or v:max():item()
  if high <= low then high = low + 1 end
  local n = #o.colors - 1
  local at = ((v - low) * (n / (high - low))):clamp(0, n)
  -- a sum of hat functions interpolates the anchors
  local planes = { 0, 0, 0 }
  for i, anchor in ipairs(o.colors) do
    local hat = (1 - (at - (i - 1)):abs()):clamp(0, 1)
    for k = 1, 3 do planes[k] = hat * anchor[k] + planes[k] end
  end
  return al.stack(planes, 1)
end

--- One picture of many: a list of pictures, or N x C x H x W. All become RGB and the size of
-- the first. Options: columns (default: about square), pad between them (2), fill (1 = white),
-- scale (an integer: larger pixels).
function image.grid(pictures, opts)
  local o = options("image.grid", opts, { pad = 2, fill = 1, scale = 1 }, { "columns" })
  local list = {}
  if al.is_tensor(pictures) then
    for _, x in pictures:rows() do list[#list + 1] = x end
  else
    for i, x in ipairs(pictures) do list[i] = x end
  end
  if #list == 0 then raise "image.grid: no pictures" end
  local columns = math.min(o.columns or math.ceil(math.sqrt(#list)), #list)
  local rows = math.ceil(#list / columns)
  local h, w = list[1]:size(-2) * o.scale, list[1]:size(-1) * o.scale
  local sheet = al.full({ 3, rows * (h + o.pad) + o.pad, columns * (w + o.pad) + o.pad },
    math.floor(o.fill * 255 + 0.5), { dtype = "uint8" })
  for i, x in ipairs(list) do
    local y = image.to_rgb(image.to_bytes(x:detach()))
    if y:size(-2) ~= h or y:size(-1) ~= w then
      y = image.resize(y, { h, w }, o.scale > 1 and "nearest" or "area")
    end
    local top = math.floor((i - 1) / columns) * (h + o.pad) + o.pad + 1
    local left = (i - 1) % columns * (w + o.pad) + o.pad + 1
    sheet[{ {}, { top, top + h - 1 }, { left, left + w - 1 } }] = y
  end
  return sheet
end

return image
