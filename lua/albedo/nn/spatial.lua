--- Layers over space without parameters: pooling, padding, folding, resizing.

local al = require "albedo"
local class = require("albedo.nn.module").class
local options = require "albedo.options"
local layers = {}

local function text(value)
  return type(value) == "table" and table.concat(value, "x") or tostring(value)
end

-- nn.MaxPoolNd(kernel, opts), nn.AvgPoolNd and nn.LPPoolNd(p, kernel, opts): over windows of
-- `kernel`, a number or one a dim. Options: stride = kernel, pad = 0 (not LP), ceil_mode =
-- false; Max: dilation = 1, return_indices = false; Avg: count_include_pad = true.
local own = {
  Max = { pad = 0, dilation = 1, return_indices = false },
  Avg = { pad = 0, count_include_pad = true },
  LP = {},
}
local function pooling(kind, dims)
  local name = ("%sPool%dd"):format(kind, dims)
  local op = ("%s_pool%dd"):format(kind:lower(), dims)
  local Pool = class(name)
  layers[name] = Pool
  function Pool:init(kernel, opts, more)
    if kind == "LP" then self.power, kernel, opts = kernel, opts, more end
    local o = { stride = kernel, ceil_mode = false }
    for key, value in pairs(own[kind]) do o[key] = value end
    o = options(name, opts, o)
    self.kernel, self.return_indices, o.return_indices = kernel, o.return_indices, nil
    self.options = o
  end
  function Pool:forward(x)
    if self.power then return al[op](x, self.power, self.kernel, self.options) end
    if self.return_indices then
      return al.max_pool_with_indices(x, self.kernel, self.options)
    end
    return al[op](x, self.kernel, self.options)
  end
  function Pool:describe()
    local o = self.options
    local stride = text(o.stride) ~= text(self.kernel) and ", stride=" .. text(o.stride) or ""
    return (self.power and self.power .. ", " or "") .. text(self.kernel) .. stride
      .. (text(o.pad or 0):find "[1-9]" and ", pad=" .. text(o.pad) or "")
      .. (o.ceil_mode and ", ceil_mode" or "")
  end
end

-- nn.MaxUnpoolNd(kernel, opts)(x, indices, size): see al.help "max_unpool". Options: stride =
-- kernel, pad = 0.
local function unpooling(dims)
  local name, op = ("MaxUnpool%dd"):format(dims), ("max_unpool%dd"):format(dims)
  local Unpool = class(name)
  layers[name] = Unpool
  function Unpool:init(kernel, opts)
    self.kernel = kernel
    self.options = options(name, opts, { stride = kernel, pad = 0 })
  end
  function Unpool:forward(x, indices, size)
    local o = self.options
    return al[op](x, indices, self.kernel, o.stride, { pad = o.pad, size = size })
  end
  function Unpool:describe() return text(self.kernel) end
end

-- nn.AdaptiveAvgPoolNd(size), nn.AdaptiveMaxPoolNd(size): over a grid of windows so that the
-- output has a given size, a number or one a dim.
local function adaptive(kind, dims)
  local name = ("Adaptive%sPool%dd"):format(kind, dims)
  local op = ("adaptive_%s_pool%dd"):format(kind:lower(), dims)
  local Adaptive = class(name)
  layers[name] = Adaptive
  function Adaptive:init(size)
    self.size = {}
    for i = 1, dims do self.size[i] = type(size) == "number" and size or size[i] end
  end
  function Adaptive:forward(x)
    local shape, same = x.shape, true
    for i = 1, dims do same = same and shape[#shape - dims + i] == self.size[i] end
    return same and x or al[op](x, self.size)
  end
  function Adaptive:describe() return text(self.size) end
end

-- nn.ZeroPadNd(pads), ConstantPadNd(pads, value), ReflectionPadNd, ReplicationPadNd,
-- CircularPadNd: pads is a number, or pairs (before, after), the last dim's first, as al.pad's.
local function padding(name, mode, dims)
  name = name .. dims .. "d"
  local Pad = class(name)
  layers[name] = Pad
  function Pad:init(pads, value)
    self.value, self.pads = value or 0, {}
    for i = 1, 2 * dims do self.pads[i] = type(pads) == "number" and pads or pads[i] end
  end
  function Pad:forward(x) return al.pad(x, self.pads, { mode = mode, value = self.value }) end
  function Pad:describe() return table.concat(self.pads, ", ") end
end

for dims = 1, 3 do
  for kind in pairs(own) do pooling(kind, dims) end
  unpooling(dims)
  adaptive("Avg", dims)
  adaptive("Max", dims)
  for name, mode in pairs {
    ZeroPad = "constant", ConstantPad = "constant", ReflectionPad = "reflect",
    ReplicationPad = "replicate", CircularPad = "circular",
  } do
    padding(name, mode, dims)
  end
end

-- Ops whose arguments are given once: nn.Unfold(kernel, opts), nn.Fold(size, kernel, opts),
-- nn.PixelShuffle(factor), nn.PixelUnshuffle(factor), nn.ChannelShuffle(groups).
for name, op in pairs {
  Unfold = "unfold", Fold = "fold", PixelShuffle = "pixel_shuffle",
  PixelUnshuffle = "pixel_unshuffle", ChannelShuffle = "channel_shuffle",
} do
  local Layer = class(name)
  layers[name] = Layer
  function Layer:init(...) self.arguments = { ... } end
  function Layer:forward(x) return al[op](x, (table.unpack or unpack)(self.arguments)) end
  function Layer:describe()
    local parts = {}
    for _, v in ipairs(self.arguments) do
      if type(v) ~= "table" or #v > 0 then parts[#parts + 1] = text(v) end
    end
    return table.concat(parts, ", ")
  end
end

--- The mean over space: x (n, c, ...) -> (n, c).
local GlobalAvgPool = class "GlobalAvgPool"
layers.GlobalAvgPool = GlobalAvgPool
function GlobalAvgPool.forward(_, x) return al.global_avg_pool(x):flatten(2, -1) end

--- Resizes space by a factor, or to a size. nn.Upsample { scale = 2 } or { size = { 32, 32 },
-- mode = "bilinear" }. Options: scale, size, mode = "nearest", align_corners = false.
local Upsample = class "Upsample"
layers.Upsample = Upsample
function Upsample:init(opts)
  local o = options("Upsample", opts, { mode = "nearest", align_corners = false },
    { "scale", "size" })
  self.size, o.size = o.size, nil
  self.options = o
end
function Upsample:forward(x) return al.interpolate(x, self.size, self.options) end
function Upsample:describe()
  local o = self.options
  return text(self.size or "x" .. text(o.scale)) .. ", " .. o.mode
end

return layers
