--- VGG-11, 13, 16, 19 (Simonyan and Zisserman 2015), torchvision's layout and names.

local nn = require "albedo.nn"
local define = require "albedo.models.define"

-- Convolutions before each of the five poolings; the stages are 64, 128, 256, 512, 512
-- channels wide.
local depths = {
  [11] = { 1, 1, 2, 2, 2 }, [13] = { 2, 2, 2, 2, 2 }, [16] = { 2, 2, 3, 3, 3 },
  [19] = { 2, 2, 4, 4, 4 },
}
local stages = { 64, 128, 256, 512, 512 }

local VGG = nn.class "VGG"

function VGG:init(depth, o)
  local wide, channels = o.wide, o.in_channels
  self.features = nn.Sequential()
  for stage, count in ipairs(depths[depth]) do
    for _ = 1, count do
      local conv = nn.Conv2d(channels, wide(stages[stage]), 3, { pad = 1 })
      nn.init.kaiming_normal_(conv.weight, { mode = "fan_out", nonlinearity = "relu" })
      nn.init.zeros_(conv.bias)
      self.features:add(conv)
      channels = wide(stages[stage])
      if o.batch_norm then self.features:add(nn.BatchNorm2d(channels)) end
      self.features:add(nn.ReLU { inplace = true })
    end
    self.features:add(nn.MaxPool2d(2))
  end
  self.avgpool = nn.AdaptiveAvgPool2d(o.pool)
  local hidden = wide(o.hidden)
  local function relu() return nn.ReLU { inplace = true } end
  self.classifier = nn.Sequential {
    nn.Linear(channels * o.pool * o.pool, hidden), relu(), nn.Dropout(o.dropout),
    nn.Linear(hidden, hidden), relu(), nn.Dropout(o.dropout),
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

--- vgg11(opts), vgg11_bn(opts) ...: x (n, in_channels, h, w) -> scores (n, classes). Options:
-- in_channels = 3, batch_norm = false (_bn: true), dropout = 0.5, pool = 7 (side of the pooled
-- map), hidden = 4096, and those of models.define.
local vggs = {}
for depth in pairs(depths) do
  for suffix, norm in pairs { [""] = false, _bn = true } do
    local name = "vgg" .. depth .. suffix
    vggs[name] = define(name, function(o) return VGG(depth, o) end, "^classifier%.6%.",
      { in_channels = 3, batch_norm = norm, dropout = 0.5, pool = 7, hidden = 4096 })
  end
end
return vggs
