--- SqueezeNet 1.0 and 1.1 (Iandola et al. 2016), torchvision's layout and names.

local al = require "albedo"
local nn = require "albedo.nn"
local define = require "albedo.models.define"

local Fire = nn.class "Fire"

function Fire:init(inputs, squeeze, expand)
  self.squeeze = nn.Conv2d(inputs, squeeze, 1)
  self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
  self.expand3x3 = nn.Conv2d(squeeze, expand, 3, { pad = 1 })
end

function Fire:forward(x)
  x = self.squeeze(x):relu()
  return al.cat({ self.expand1x1(x), self.expand3x3(x) }, 2):relu()
end

-- The first convolution's channels and kernel; then each Fire's squeeze channels, a quarter of
-- each expansion's, or 0 for a pooling.
local plans = {
  squeezenet1_0 = { 96, 7, fires = { 0, 16, 16, 32, 0, 32, 48, 48, 64, 0, 64 } },
  squeezenet1_1 = { 64, 3, fires = { 0, 16, 16, 0, 32, 32, 0, 48, 48, 64, 64 } },
}

local SqueezeNet = nn.class "SqueezeNet"

function SqueezeNet:init(plan, o)
  local wide, channels = o.wide, o.wide(plan[1])
  self.features = nn.Sequential {
    nn.Conv2d(o.in_channels, channels, plan[2], { stride = 2 }), nn.ReLU(),
  }
  for _, squeeze in ipairs(plan.fires) do
    if squeeze == 0 then
      self.features:add(nn.MaxPool2d(3, { stride = 2, ceil_mode = true }))
    else
      self.features:add(Fire(channels, wide(squeeze), wide(4 * squeeze)))
      channels = 2 * wide(4 * squeeze)
    end
  end
  local head = nn.Conv2d(channels, o.classes, 1)
  for _, module in self:modules() do
    if module.classname == "Conv2d" then
      nn.init.kaiming_uniform_(module.weight)
      nn.init.zeros_(module.bias)
    end
  end
  nn.init.normal_(head.weight, 0, 0.01)
  nn.init.zeros_(head.bias)
  self.classifier = nn.Sequential { nn.Dropout(o.dropout), head, nn.ReLU(), nn.GlobalAvgPool() }
end

function SqueezeNet:forward(x) return self.classifier(self.features(x)) end

--- squeezenet1_0(opts), squeezenet1_1(opts): x (n, in_channels, h, w) -> scores (n, classes).
-- Options: in_channels = 3, dropout = 0.5, and those of models.define.
local squeezenets = {}
for name, plan in pairs(plans) do
  squeezenets[name] = define(name, function(o) return SqueezeNet(plan, o) end,
    "^classifier%.1%.", { in_channels = 3, dropout = 0.5 })
end
return squeezenets
