-- 07: transfer. A network learns one task, hands what it learnt to another with few pictures,
-- and shows where it looks. Shows: al.models, weights and heads, freeze, thaw, param_groups,
-- al.gradcam, al.summary.
local al = require "albedo"
al.seed(1)
math.randomseed(1)

-- Noise with a striped patch of 8 x 8 somewhere; the class is the stripes' direction.
local directions = { { 0, 1 }, { 1, 0 }, { 1, 1 }, { 1, -1 } }
local function pictures(count, first)
  local x, places = al.randn(count, 1, 24, 24) * 0.3, {}
  local labels = al.randint(1, 2, { count })
  local wave = al.arange(8):to "float32" * (math.pi / 2)
  for i = 1, count do
    local d = directions[first - 1 + labels[i]:item()]
    local stripes = (wave:reshape(8, 1) * d[1] + wave * d[2]):sin()
    local top, left = math.random(17), math.random(17)
    x[{ i, 1, { top, top + 7 }, { left, left + 7 } }] = stripes
    places[i] = { top, left }
  end
  return x, labels, places
end

local function train(net, opt, x, labels, epochs, each)
  local batches = al.data.loader(al.data.tensors(x, labels), { batch = 32, shuffle = true })
  for _ = 1, epochs do
    for picture, label in batches() do
      local loss = net(picture):cross_entropy(label)
      opt:zero_grad() loss:backward() opt:step()
    end
    if each then each() end
  end
end

local function accuracy(net, x, labels)
  return net:evaluating(al.no_grad, net, x):argmax(2):eq(labels):to "float32":mean():item()
end

-- The source: horizontal or vertical stripes, 512 pictures.
local settings = { in_channels = 1, classes = 2, width = 0.125, stem = 3 }
local source = al.models.resnet18(settings)
local x, labels = pictures(512, 1)
train(source, al.optim.adam(source, { lr = 3e-3 }), x, labels, 4)
print(("source task: %.2f"):format(accuracy(source, pictures(200, 1))))

-- The target: diagonals, 32 pictures. Weights by name; the head starts anew.
settings.weights = source:state_dict()
local net = al.models.resnet18(settings)
print(net.report)
net:replace("fc", al.nn.Linear(64, 2))
net:freeze_norm()                                   -- too few pictures for statistics
local parts = { "^fc", "^layer4", "^layer3" }       -- from the head down
local thaw = net:thaw(parts, { every = 5 })         -- one more each 5 epochs
local groups = net:param_groups(parts, { lr = 1e-2, decay = 0.3 })
x, labels = pictures(32, 3)
train(net, al.optim.adam(groups), x, labels, 20, function() thaw:step() end)
local scratch = al.models.resnet18 { in_channels = 1, classes = 2, width = 0.125, stem = 3 }
train(scratch, al.optim.adam(scratch, { lr = 3e-3 }), x, labels, 20)
local test, truth, places = pictures(200, 3)
print(("target task: %.2f with transfer, %.2f from scratch")
  :format(accuracy(net, test, truth), accuracy(scratch, test, truth)))

-- Where it looks: the share of the map inside the patch, 0.11 of the picture.
local maps, inside = al.gradcam(net, test, { layer = "layer2", class = truth }), 0
for i, place in ipairs(places) do
  local own = maps[{ i, { place[1], place[1] + 7 }, { place[2], place[2] + 7 } }]
  inside = inside + own:sum():item() / (maps[i]:sum():item() + 1e-12) / #places
end
print(("Grad-CAM inside the patch: %.2f"):format(inside))
print((tostring(al.summary(net, { 1, 1, 24, 24 })):match "[^\n]*$"))
