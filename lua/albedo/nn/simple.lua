--- Layers without parameters: activations, pooling, dropout, reshaping, losses.

local al = require "albedo"
local class = require("albedo.nn.module").class
local options = require "albedo.options"
local layers = {}

-- Activations, each one op of x.
for name, op in pairs {
  ReLU = "relu", ReLU6 = "relu6", Sigmoid = "sigmoid", Tanh = "tanh", SiLU = "silu",
  GELU = "gelu",
} do
  local Layer = class(name)
  layers[name] = Layer
  function Layer.forward(_, x) return al[op](x) end
end

--- max(x, 0) + slope min(x, 0).
local LeakyReLU = class "LeakyReLU"
layers.LeakyReLU = LeakyReLU
function LeakyReLU:init(slope) self.slope = slope or 0.01 end
function LeakyReLU:forward(x) return al.leaky_relu(x, self.slope) end
function LeakyReLU:describe() return tostring(self.slope) end

--- exp(x) / sum exp(x) along a dim (the last by default).
local Softmax = class "Softmax"
layers.Softmax = Softmax
function Softmax:init(dim) self.dim = dim or -1 end
function Softmax:forward(x) return al.softmax(x, self.dim) end
function Softmax:describe() return "dim " .. self.dim end

-- Dropout draws in training only: elements for Dropout, whole channels for Dropout2d; what
-- stays is scaled by 1 / (1 - p).
for name, op in pairs { Dropout = "dropout", Dropout2d = "dropout2d" } do
  local Dropout = class(name)
  layers[name] = Dropout
  function Dropout:init(p) self.p = p or 0.5 end
  function Dropout:forward(x)
    if not self.training or self.p == 0 then return x end
    return al[op](x, self.p)
  end
  function Dropout:describe() return tostring(self.p) end
end

--- x (n, a, b, ...) -> (n, a * b * ...); nn.Flatten(first, last) names other dims.
local Flatten = class "Flatten"
layers.Flatten = Flatten
function Flatten:init(first, last) self.first, self.last = first or 2, last or -1 end
function Flatten:forward(x) return al.flatten(x, self.first, self.last) end

--- x as it is.
local Identity = class "Identity"
layers.Identity = Identity
function Identity.forward(_, ...) return ... end

--- A function as a layer: nn.Fn(function(x) return x:square() end, "square"). It may not hold
-- parameters.
local Fn = class "Fn"
layers.Fn = Fn
function Fn:init(fn, label) self.fn, self.label = fn, label end
function Fn:forward(...) return self.fn(...) end
function Fn:describe() return self.label or "" end

local function text(value)
  return type(value) == "table" and table.concat(value, "x") or tostring(value)
end

-- nn.MaxPoolNd(kernel, opts) and nn.AvgPoolNd: over windows of `kernel`, a number or one a dim.
-- Options: stride = kernel, pad = 0, ceil_mode = false.
local function pooling(name, op)
  local Pool = class(name)
  layers[name] = Pool
  function Pool:init(kernel, opts)
    self.kernel = kernel
    self.options = options(name, opts, { stride = kernel, pad = 0, ceil_mode = false }, nil, 4)
  end
  function Pool:forward(x) return al[op](x, self.kernel, self.options) end
  function Pool:describe()
    local o = self.options
    local stride = text(o.stride) ~= text(self.kernel) and ", stride=" .. text(o.stride) or ""
    return text(self.kernel) .. stride
      .. (text(o.pad):find "[1-9]" and ", pad=" .. text(o.pad) or "")
      .. (o.ceil_mode and ", ceil_mode" or "")
  end
end
for dims = 1, 3 do
  pooling(("MaxPool%dd"):format(dims), ("max_pool%dd"):format(dims))
  pooling(("AvgPool%dd"):format(dims), ("avg_pool%dd"):format(dims))
end

--- Averages over a grid of windows so that the output has a given size: nn.AdaptiveAvgPool2d(7)
-- or ({ 7, 5 }).
local AdaptiveAvgPool2d = class "AdaptiveAvgPool2d"
layers.AdaptiveAvgPool2d = AdaptiveAvgPool2d
function AdaptiveAvgPool2d:init(size)
  self.size = type(size) == "number" and { size, size } or size
end
function AdaptiveAvgPool2d:forward(x)
  local shape = x.shape
  if shape[#shape - 1] == self.size[1] and shape[#shape] == self.size[2] then return x end
  return al.adaptive_avg_pool2d(x, self.size)
end
function AdaptiveAvgPool2d:describe() return text(self.size) end

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
    { "scale", "size" }, 4)
  self.size, o.size = o.size, nil
  self.options = o
end
function Upsample:forward(x) return al.interpolate(x, self.size, self.options) end
function Upsample:describe()
  local o = self.options
  return text(self.size or "x" .. text(o.scale)) .. ", " .. o.mode
end

-- Losses as layers: nn.CrossEntropyLoss(opts)(scores, labels); the functions take the same
-- options.
for name, op in pairs {
  CrossEntropyLoss = "cross_entropy", MSELoss = "mse_loss", L1Loss = "l1_loss",
  BCELoss = "bce_loss",
  BCEWithLogitsLoss = "bce_with_logits", NLLLoss = "nll_loss", SmoothL1Loss = "smooth_l1_loss",
} do
  local Loss = class(name)
  layers[name] = Loss
  function Loss:init(opts) self.options = opts or {} end
  function Loss:forward(input, target) return al[op](input, target, self.options) end
end

return layers
