--- ResNet-18, 34, 50, 101 (He et al. 2016), torchvision's layout and names: the stride of a
-- bottleneck stands at its 3x3 convolution.

local al = require "albedo"
local nn = require "albedo.nn"
local define = require "albedo.models.define"
local conv = require("albedo.models.blocks").conv

-- Two convolutions (basic) or three (bottleneck) of `kernels`, added to x, which a 1x1
-- convolution fits where the shape changes. `convs`: each { outputs, kernel, stride }.
local Block = nn.class "ResidualBlock"

function Block:init(inputs, convs, stride)
  local channels = inputs
  self.count = #convs
  for i, c in ipairs(convs) do
    self["conv" .. i] = conv(channels, c[1], c[2], { stride = c[3] })
    self["bn" .. i] = nn.BatchNorm2d(c[1])
    channels = c[1]
  end
  if stride ~= 1 or inputs ~= channels then
    self.downsample = nn.Sequential {
      conv(inputs, channels, 1, { stride = stride }), nn.BatchNorm2d(channels),
    }
  end
end

function Block:forward(x)
  local y = x
  for i = 1, self.count do
    y = self["bn" .. i](self["conv" .. i](y))
    if i < self.count then y = y:relu_() end
  end
  return y:add_(self.downsample and self.downsample(x) or x):relu_()
end

-- blocks of the four stages; bottlenecks end four times as wide
local depths = {
  [18] = { 2, 2, 2, 2 }, [34] = { 3, 4, 6, 3 },
  [50] = { 3, 4, 6, 3, bottleneck = true }, [101] = { 3, 4, 23, 3, bottleneck = true },
}

local ResNet = nn.class "ResNet"

function ResNet:init(depth, o)
  local plan, channels = depths[depth], o.wide(64)
  self.conv1 = conv(o.in_channels, channels, o.stem, { stride = o.stem == 7 and 2 or 1 })
  self.bn1 = nn.BatchNorm2d(channels)
  if o.stem == 7 then self.maxpool = nn.MaxPool2d(3, { stride = 2, pad = 1 }) end
  for stage = 1, 4 do
    local w, blocks = o.wide(32 * 2 ^ stage), nn.Sequential()
    for i = 1, plan[stage] do
      local stride = stage > 1 and i == 1 and 2 or 1
      local convs = plan.bottleneck and { { w, 1 }, { w, 3, stride }, { 4 * w, 1 } }
        or { { w, 3, stride }, { w, 3 } }
      blocks:add(Block(channels, convs, stride))
      channels = convs[#convs][1]
    end
    self["layer" .. stage] = blocks
  end
  self.dropout = nn.Dropout(o.dropout)
  self.fc = nn.Linear(channels, o.classes)
end

function ResNet:forward(x)
  x = self.bn1(self.conv1(x)):relu_()
  if self.maxpool then x = self.maxpool(x) end
  for stage = 1, 4 do x = self["layer" .. stage](x) end
  return self.fc(self.dropout(al.global_avg_pool(x):flatten(2, -1)))
end

--- resnet18(opts) ...: x (n, in_channels, h, w) -> scores (n, classes). Options: in_channels =
-- 3, dropout = 0 (before the last layer), stem = 7 (a first convolution of stride 2 and a
-- pooling; 3: stride 1 and none, for pictures of 28 to 64 pixels), and those of
-- models.define.
local resnets = {}
for depth in pairs(depths) do
  local name = "resnet" .. depth
  resnets[name] = define(name, function(o) return ResNet(depth, o) end, "^fc%.",
    { in_channels = 3, dropout = 0, stem = 7 })
end
return resnets
