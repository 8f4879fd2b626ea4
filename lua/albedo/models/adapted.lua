--- models.adapted: a backbone without its head, a new head, and, where pictures differ from
-- those it was trained on, layers in front that learn the change.
--
--   local net = al.models.adapted("resnet18", { classes = 3, adapter = true, width = 0.125 })
--   net:features(x), net(x)       -- n x net.wide, n x classes
--   net:freeze "^net%."; net:only_last()   -- the head trains; and the backbone's last stage

local al = require "albedo"
local length = require "albedo.length"
local nn = require "albedo.nn"
local options = require "albedo.options"
local ranges = require "albedo.models.ranges"

local resnet = { "fc", "^net%.layer4%.", { stem = 3 } }
local vgg = { "classifier", "^net%.features%.", { batch_norm = true, pool = 1 } }
-- the head; the last stage; options for small pictures
local known = {
  resnet18 = resnet, resnet50 = resnet, vgg11 = vgg, vgg16 = vgg, vgg19 = vgg,
  mobilenet_v2 = { "classifier", "^net%.features%.1[4-8]%.", {} },
}

local Adapted = nn.class "Adapted"

function Adapted:init(name, o)
  local plan, settings = known[name], { width = o.width }
  for key, value in pairs(o.small and plan[3] or {}) do settings[key] = value end
  self.net = al.models[name](settings)
  self.net:replace(plan[1], nn.Identity())
  self.last, self.shrink = { plan[2] }, o.shrink
  if plan == vgg then -- of five stages, each ended by a pooling, the last
    local at, pools = length(self.net.features), 0
    self.last = {}
    while pools < 2 do
      if self.net.features[at].classname == "MaxPool2d" then pools = pools + 1
      elseif self.net.features[at].classname ~= "ReLU" then
        table.insert(self.last, ("^net%%.features%%.%d%%."):format(at - 1))
      end
      at = at - 1
    end
  end
  if o.adapter then
    self.adapter = nn.Sequential {
      nn.Conv2d(1, 8, 3, { stride = 2, pad = 1, bias = false }), nn.BatchNorm2d(8), nn.ReLU(),
      nn.Conv2d(8, 16, 3, { stride = 2, pad = 1, bias = false }), nn.BatchNorm2d(16), nn.ReLU(),
      nn.Conv2d(16, 3, 1),
    }
  end
  self.wide = self:evaluating(function()
    return al.no_grad(function() return self.net(al.zeros(1, 3, 64, 64)):size(2) end)
  end)
  self.drop = nn.Dropout(o.dropout)
  self.head = nn.Linear(self.wide, o.classes)
end

--- What the backbone makes of x, n x wide.
function Adapted:features(x)
  if self.adapter then return self.net(self.adapter(x)) end
  if self.shrink > 1 then x = x:avg_pool2d(self.shrink) end
  return self.net(x:size(2) == 1 and x:expand(-1, 3, -1, -1) or x)
end

function Adapted:forward(x) return self.head(self.drop(self:features(x))) end

--- Freezes the backbone but for its last stage; net:unfreeze() undoes it.
function Adapted:only_last()
  self:freeze "^net%."
  for _, pattern in ipairs(self.last) do self:unfreeze(pattern) end
end

--- A transferable network: a backbone by name, n x classes scores; methods features, only_last.
-- Names: resnet18, resnet50, vgg11, vgg16, vgg19, mobilenet_v2. Options: classes =
-- 2; width = 1 (factor on the channels); adapter = false: x is n x 3 x h x w, or of one
-- channel, which is repeated; true: x is n x 1 x 4h x 4w, brought to n x 3 x h x w by
-- convolutions of stride 2 and 2 (8, 16 channels, batch norm, ReLU) and one of 1 x 1; shrink =
-- 1: without an adapter, the factor by which x is averaged down; dropout = 0 before the head;
-- small = true: first layers for pictures of 28 to 64 pixels where the backbone has such.
return function(name, given)
  if not known[name] then
    al.raise(('models.adapted: "%s" is unknown'):format(tostring(name)))
  end
  local defaults = { classes = 2, width = 1, adapter = false, shrink = 1, dropout = 0,
    small = true }
  local o = options("models.adapted", given, defaults)
  ranges("models.adapted", o, defaults)
  return Adapted(name, o)
end
