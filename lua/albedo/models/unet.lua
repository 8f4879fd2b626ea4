--- U-Net in 2 or 3 dimensions, convolutions padded so that the output is as large as the
-- input.
--
-- Level l is w[l] = base * 2^(l - 1) channels wide. `plan` says how widths change:
-- "ronneberger" (Ronneberger et al. 2015): both convolutions of a level have w[l] channels,
-- the up-convolution halves them; "cicek" (Cicek et al. 2016): going down the first
-- convolution has w[l] / 2 channels, and the up-convolution keeps what comes from below.

local al = require "albedo"
local length = require "albedo.length"
local nn = require "albedo.nn"
local define = require "albedo.models.define"

-- Convolution, norm, ReLU, twice: children 0 1 2 and 4 5 6, dropout as child 3 or 7.
local function double(o, inputs, middle, outputs)
  local block = nn.Sequential()
  local conv, norm = nn[("Conv%dd"):format(o.dims)], nn[("BatchNorm%dd"):format(o.dims)]
  for i, channels in ipairs { middle, outputs } do
    block:add(conv(inputs, channels, 3, { pad = 1 }))
    block:add(o.batch_norm and norm(channels) or nn.Identity())
    block:add(nn.ReLU { inplace = true })
    if (i == 1) == (o.dropout_at == "inside") then block:add(nn.Dropout(o.dropout))
    elseif i == 1 then block:add(nn.Identity()) end
    inputs = channels
  end
  return block
end

-- From w channels to a map twice as large of `outputs` channels, or as many as came where
-- nothing is learnt. The module and its channels.
local function up(o, w, outputs)
  if o.up ~= "conv" then return nn.Upsample { scale = 2, mode = o.up }, w end
  local conv = nn[("ConvTranspose%dd"):format(o.dims)]
  return conv(w, outputs, 2, { stride = 2, bias = o.up_bias }), outputs
end

local choices = {
  dims = { 2, 3 }, plan = { "ronneberger", "cicek" }, up = { "conv", "nearest", "linear" },
  dropout_at = { "inside", "after" },
}

local function check(o)
  for key, values in pairs(choices) do
    local known = {}
    for _, value in ipairs(values) do known[value] = true end
    if not known[o[key]] then
      al.raise(("unet: %s is %s, got %s"):format(key, table.concat(values, " or "),
        tostring(o[key])))
    end
  end
end

local UNet = nn.class "UNet"

function UNet:init(o)
  check(o)
  local cicek, w = o.plan == "cicek", {}
  for l = 1, o.levels do w[l] = o.wide(o.base * 2 ^ (l - 1)) end
  self.down, self.pool = nn.ModuleList(), nn[("MaxPool%dd"):format(o.dims)](2)
  self.up, self.join = nn.ModuleList(), nn.ModuleList()
  for l = 1, o.levels do
    local middle = cicek and o.wide(o.base * 2 ^ (l - 2)) or w[l]
    self.down:add(double(o, w[l - 1] or o.in_channels, middle, w[l]))
  end
  for l = 1, o.levels - 1 do
    local layer, channels = up(o, w[l + 1], cicek and w[l + 1] or w[l])
    self.up:add(layer)
    self.join:add(double(o, w[l] + channels, w[l], w[l]))
  end
  self.head = nn[("Conv%dd"):format(o.dims)](w[1], o.classes, 1)
end

function UNet:forward(x)
  local maps, levels = {}, length(self.down)
  for d = 3, x.ndim do
    if x:size(d) % 2 ^ (levels - 1) ~= 0 then
      al.raise(("unet: %d levels need sizes that are multiples of %d, dim %d of x is %d")
        :format(levels, 2 ^ (levels - 1), d, x:size(d)))
    end
  end
  for l = 1, levels do
    x = self.down[l](l == 1 and x or self.pool(x))
    maps[l] = x
  end
  for l = levels - 1, 1, -1 do
    x = self.join[l](al.cat({ maps[l], self.up[l](x) }, 2))
  end
  return self.head(x)
end

--- unet2d(opts), unet3d(opts): x (n, in_channels, h, w) or (n, in_channels, d, h, w), each
-- size a multiple of 2^(levels - 1), -> scores (n, classes, sizes of x). Options, and those of
-- models.define:
--                      unet2d          unet3d
--   in_channels        1               3
--   classes            2               3
--   base               64              64       channels of the first level
--   levels             5               4
--   plan               "ronneberger"   "cicek"
--   up_bias            true            false    whether up-convolutions have a bias
--   batch_norm = true; up = "conv", or "nearest" or "linear": resized, nothing learnt
--   dropout = 0; dropout_at = "inside": between the two convolutions of a level, or "after"
local function unet(name, own)
  local defaults = { batch_norm = true, dropout = 0, dropout_at = "inside", up = "conv",
    base = 64 }
  for key, value in pairs(own) do defaults[key] = value end
  return define(name, UNet, "^head%.", defaults)
end

return {
  unet2d = unet("unet2d", { dims = 2, in_channels = 1, classes = 2, levels = 5,
    plan = "ronneberger", up_bias = true }),
  unet3d = unet("unet3d", { dims = 3, in_channels = 3, classes = 3, levels = 4,
    plan = "cicek", up_bias = false }),
}
