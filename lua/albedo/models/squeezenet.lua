--- SqueezeNet 1.0 (Iandola et al. 2016), torchvision's layout and names.

local al = require "albedo"
local nn = require "albedo.nn"
local options = require "albedo.options"
local transfer = require "albedo.models.transfer"

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

-- squeeze and expand channels of each Fire
local fires = {
  { 16, 64 }, { 16, 64 }, { 32, 128 }, "pool",
  { 32, 128 }, { 48, 192 }, { 48, 192 }, { 64, 256 }, "pool",
  { 64, 256 },
}

local SqueezeNet = nn.class "SqueezeNet"

function SqueezeNet:init(o)
  local function wide(n) return math.max(1, math.floor(n * o.width + 0.5)) end
  local pool = { stride = 2, ceil_mode = true }
  local channels = wide(96)
  self.features = nn.Sequential {
    nn.Conv2d(o.in_channels, channels, 7, { stride = 2 }), nn.ReLU(), nn.MaxPool2d(3, pool),
  }
  for _, fire in ipairs(fires) do
    if fire == "pool" then
      self.features:add(nn.MaxPool2d(3, pool))
    else
      self.features:add(Fire(channels, wide(fire[1]), wide(fire[2])))
      channels = 2 * wide(fire[2])
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

--- x (n, in_channels, h, w) -> scores (n, classes). Options: classes = 1000, width = 1,
-- in_channels = 3, dropout = 0.5, weights = path or state dict, freeze = Lua pattern of
-- parameter names.
return function(opts)
  local o = options("squeezenet1_0", opts,
    { classes = 1000, width = 1, in_channels = 3, dropout = 0.5 },
    { "weights", "freeze" }, 3)
  return (transfer(SqueezeNet(o), o, "^classifier%.1%."))
end
