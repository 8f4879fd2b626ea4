--- VGG-11, 13, 16, 19 (Simonyan and Zisserman 2015), torchvision's layout and names.

local nn = require "albedo.nn"
local options = require "albedo.options"
local transfer = require "albedo.models.transfer"

-- Convolutions before each of the five poolings; the stages are 64, 128, 256, 512, 512 channels
-- wide.
local depths = {
  [11] = { 1, 1, 2, 2, 2 }, [13] = { 2, 2, 2, 2, 2 }, [16] = { 2, 2, 3, 3, 3 },
  [19] = { 2, 2, 4, 4, 4 },
}
local stages = { 64, 128, 256, 512, 512 }

local VGG = nn.class "VGG"

function VGG:init(depth, o)
  local function wide(n) return math.max(1, math.floor(n * o.width + 0.5)) end
  local channels = o.in_channels
  self.features = nn.Sequential()
  for stage, count in ipairs(depths[depth]) do
    for _ = 1, count do
      local conv = nn.Conv2d(channels, wide(stages[stage]), 3, { pad = 1 })
      nn.init.kaiming_normal_(conv.weight, { mode = "fan_out", nonlinearity = "relu" })
      nn.init.zeros_(conv.bias)
      self.features:add(conv)
      channels = wide(stages[stage])
      if o.batch_norm then self.features:add(nn.BatchNorm2d(channels)) end
      self.features:add(nn.ReLU())
    end
    self.features:add(nn.MaxPool2d(2))
  end
  self.avgpool = nn.AdaptiveAvgPool2d(o.pool)
  local hidden = wide(o.hidden)
  self.classifier = nn.Sequential {
    nn.Linear(channels * o.pool * o.pool, hidden), nn.ReLU(), nn.Dropout(o.dropout),
    nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(o.dropout),
    nn.Linear(hidden, o.classes),
  }
  for _, i in ipairs { 1, 4, 7 } do
    nn.init.normal_(self.classifier[i].weight, 0, 0.01)
    nn.init.zeros_(self.classifier[i].bias)
  end
end

function VGG:forward(x)
  return self.classifier(self.avgpool(self.features(x)):flatten(2, -1))
end

--- x (n, in_channels, h, w) -> scores (n, classes). Options: classes = 1000, width = 1 (factor
-- on all channels), in_channels = 3, batch_norm = false, dropout = 0.5, pool = 7 (side of the
-- pooled map), hidden = 4096, weights = path or state dict, freeze = Lua pattern of parameter
-- names.
return function(depth, opts)
  local o = options("vgg" .. depth, opts, {
    classes = 1000, width = 1, in_channels = 3, batch_norm = false, dropout = 0.5, pool = 7,
    hidden = 4096,
  }, { "weights", "freeze" }, 3)
  return (transfer(VGG(depth, o), o, "^classifier%.6%."))
end
