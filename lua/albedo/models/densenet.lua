--- DenseNet-121 (Huang et al. 2017), torchvision's layout and names.

local al = require "albedo"
local nn = require "albedo.nn"
local define = require "albedo.models.define"
local conv = require("albedo.models.blocks").conv

local fan = { fan = "fan_in" }

-- Norm, ReLU, 1x1 convolution to 4 * growth channels, again with 3x3 to `growth`, which are
-- appended to the input's.
local DenseLayer = nn.class "DenseLayer"

function DenseLayer:init(inputs, growth, dropout)
  self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, 4 * growth, 1, fan)
  self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), conv(4 * growth, growth, 3, fan)
  self.dropout = nn.Dropout(dropout)
end

function DenseLayer:forward(x)
  local y = self.conv1(self.norm1(x):relu())
  return al.cat({ x, self.dropout(self.conv2(self.norm2(y):relu())) }, 2)
end

local DenseNet = nn.class "DenseNet"

function DenseNet:init(blocks, o)
  local channels, growth = o.wide(64), o.wide(32)
  local features = nn.Sequential()
  features:add("conv0", conv(o.in_channels, channels, 7, { stride = 2, fan = "fan_in" }))
    :add("norm0", nn.BatchNorm2d(channels)):add("relu0", nn.ReLU())
    :add("pool0", nn.MaxPool2d(3, { stride = 2, pad = 1 }))
  for b, layers in ipairs(blocks) do
    local block = nn.Sequential()
    for i = 1, layers do
      block:add("denselayer" .. i, DenseLayer(channels, growth, o.dropout))
      channels = channels + growth
    end
    features:add("denseblock" .. b, block)
    if b < #blocks then
      local half = math.floor(channels / 2)
      features:add("transition" .. b, nn.Sequential():add("norm", nn.BatchNorm2d(channels))
        :add("relu", nn.ReLU()):add("conv", conv(channels, half, 1, fan))
        :add("pool", nn.AvgPool2d(2)))
      channels = half
    end
  end
  self.features = features:add("norm5", nn.BatchNorm2d(channels))
  self.classifier = nn.Linear(channels, o.classes)
  nn.init.zeros_(self.classifier.bias)
end

function DenseNet:forward(x)
  return self.classifier(al.global_avg_pool(self.features(x):relu()):flatten(2, -1))
end

--- densenet121(opts): x (n, in_channels, h, w), sides of 29 or more -> scores (n, classes).
-- Options: in_channels = 3, dropout = 0 (in every dense layer), and those of
-- models.define.
return {
  densenet121 = define("densenet121", function(o) return DenseNet({ 6, 12, 24, 16 }, o) end,
    "^classifier%.", { in_channels = 3, dropout = 0 },
    { { "(denselayer%d+%.%a+)%.([12]%.)", "%1%2" } }), -- norm.1 in torchvision's file: norm1
}
