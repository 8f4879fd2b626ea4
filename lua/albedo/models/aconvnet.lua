--- A-ConvNet (Chen et al. 2016): convolutions alone, for SAR chips of 88 x 88.

local al = require "albedo"
local nn = require "albedo.nn"
local define = require "albedo.models.define"

local AConvNet = nn.class "AConvNet"

function AConvNet:init(o)
  local channels = o.in_channels
  local function conv(outputs, kernel)
    local layer = nn.Conv2d(channels, outputs, kernel)
    nn.init.kaiming_normal_(layer.weight, { nonlinearity = "relu" })
    nn.init.constant_(layer.bias, 0.1)
    channels = outputs
    return layer
  end
  self.features = nn.Sequential {
    conv(o.wide(16), 5), nn.ReLU(), nn.MaxPool2d(2), conv(o.wide(32), 5), nn.ReLU(),
    nn.MaxPool2d(2), conv(o.wide(64), 6), nn.ReLU(), nn.MaxPool2d(2), conv(o.wide(128), 5),
    nn.ReLU(),
  }
  self.classifier = nn.Sequential { nn.Dropout(o.dropout), conv(o.classes, 3) }
end

function AConvNet:forward(x)
  return al.global_avg_pool(self.classifier(self.features(x))):flatten(2, -1)
end

--- aconvnet(opts): x (n, in_channels, 88, 88) -> scores (n, classes); of larger pictures, the
-- mean of the scores of their parts. Options: in_channels = 1, classes = 10, dropout = 0.5,
-- and those of models.define.
return {
  aconvnet = define("aconvnet", AConvNet, "^classifier%.1%.",
    { in_channels = 1, classes = 10, dropout = 0.5 }),
}
