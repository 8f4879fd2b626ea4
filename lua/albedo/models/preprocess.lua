--- Pictures as ImageNet networks want them.

local al = require "albedo"
local options = require "albedo.options"

-- As torchvision rounds: sizes down, places to the even neighbour at a half.
local function middle(long, short)
  local half = (long - short) / 2
  local down = math.floor(half)
  return down + ((half > down and down % 2 == 1) and 1 or 0) + 1
end

local function one(picture, o)
  local image = al.image
  if type(picture) == "string" then picture = image.load(picture) end
  local x = image.to_float(image.to_rgb(picture))
  local h, w, side = x:size(-2), x:size(-1), math.floor(o.size * o.margin + 0.5)
  local short = math.min(h, w)
  h, w = math.floor(h * side / short), math.floor(w * side / short)
  x = image.resize(x, { h, w })
  x = image.crop(x, middle(h, o.size), middle(w, o.size), o.size, o.size)
  local shape = { 3, 1, 1 }
  return (x - al.tensor(o.mean):reshape(shape)) / al.tensor(o.std):reshape(shape)
end

--- A picture (C x H x W, bytes or floats in [0, 1]), a file's path, or a list of them ->
-- (n, 3, size, size): RGB, the shorter side resized to margin * size, the middle cut out,
-- (x - mean) / std.
-- Options: size = 224, margin = 256 / 224, mean and std of a channel (torchvision's).
return function(pictures, opts)
  local o = options("models.preprocess", opts, {
    size = 224, margin = 256 / 224,
    mean = { 0.485, 0.456, 0.406 }, std = { 0.229, 0.224, 0.225 },
  })
  if al.is_tensor(pictures) or type(pictures) == "string" then pictures = { pictures } end
  return al.scope(function()
    local batch = {}
    for i, picture in ipairs(pictures) do batch[i] = one(picture, o) end
    return al.stack(batch, 1)
  end)
end
