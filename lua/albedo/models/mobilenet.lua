--- MobileNetV2 (Sandler et al. 2018), torchvision's layout and names.

local al = require "albedo"
local nn = require "albedo.nn"
local define = require "albedo.models.define"
local conv = require("albedo.models.blocks").conv

-- Convolution, batch norm, ReLU6: children 0, 1, 2.
local ConvNorm = nn.Sequential:extend "ConvNorm"

function ConvNorm:init(inputs, outputs, kernel, stride, groups)
  self.stride = stride
  self:add(conv(inputs, outputs, kernel, { stride = stride, groups = groups }))
  self:add(nn.BatchNorm2d(outputs))
  self:add(nn.ReLU6 { inplace = true })
end

-- TensorFlow's "same" with stride 2 puts the odd row and column of padding at the end. Only
-- even sizes differ from symmetric padding.
function ConvNorm:forward(x)
  if not (self.tensorflow and self.stride == 2) then return nn.Sequential.forward(self, x) end
  local layer, shape = self[1], x.shape
  x = al.pad(x, { shape[4] % 2, 1, shape[3] % 2, 1 })
  x = al.conv2d(x, layer.weight, nil, { stride = 2, groups = layer.options.groups })
  return self[3](self[2](x))
end

local InvertedResidual = nn.class "InvertedResidual"

function InvertedResidual:init(inputs, outputs, stride, expand)
  local hidden = inputs * expand
  self.shortcut = stride == 1 and inputs == outputs
  self.conv = nn.Sequential()
  if expand ~= 1 then self.conv:add(ConvNorm(inputs, hidden, 1, 1)) end
  self.conv:add(ConvNorm(hidden, hidden, 3, stride, hidden))
  self.conv:add(conv(hidden, outputs, 1)):add(nn.BatchNorm2d(outputs))
end

function InvertedResidual:forward(x)
  local y = self.conv(x)
  return self.shortcut and y:add_(x) or y
end

-- expansion, channels, repeats, stride of the first
local blocks = {
  { 1, 16, 1, 1 }, { 6, 24, 2, 2 }, { 6, 32, 3, 2 }, { 6, 64, 4, 2 }, { 6, 96, 3, 1 },
  { 6, 160, 3, 2 }, { 6, 320, 1, 1 },
}

-- The multiple of 8 next to n, never more than 10 % below it.
local function divisible(n)
  local rounded = math.max(8, math.floor((n + 4) / 8) * 8)
  return rounded < 0.9 * n and rounded + 8 or rounded
end

local MobileNetV2 = nn.class "MobileNetV2"

function MobileNetV2:init(o)
  local channels, last = divisible(32 * o.width), divisible(1280 * math.max(1, o.width))
  self.features = nn.Sequential { ConvNorm(o.in_channels, channels, 3, 2) }
  for _, block in ipairs(blocks) do
    local expand, outputs, stride = block[1], divisible(block[2] * o.width), block[4]
    for i = 1, block[3] do
      self.features:add(InvertedResidual(channels, outputs, i == 1 and stride or 1, expand))
      channels = outputs
    end
  end
  self.features:add(ConvNorm(channels, last, 1, 1))
  self.classifier = nn.Sequential { nn.Dropout(o.dropout), nn.Linear(last, o.classes) }
  nn.init.normal_(self.classifier[2].weight, 0, 0.01)
  nn.init.zeros_(self.classifier[2].bias)
end

function MobileNetV2:forward(x)
  return self.classifier(al.global_avg_pool(self.features(x)):flatten(2, -1))
end

--- mobilenet_v2(opts): x (n, in_channels, h, w) -> scores (n, classes). Options: in_channels =
-- 3, dropout = 0.2, padding = "symmetric" (torchvision's) or "same_tf" (TensorFlow's), and
-- those of models.define.
return {
  mobilenet_v2 = define("mobilenet_v2", MobileNetV2, "^classifier%.1%.",
    { in_channels = 3, dropout = 0.2, padding = "symmetric" }),
}
