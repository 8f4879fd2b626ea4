-- Copy-move forgery detection: a custom network against VGG-16 transfer.
-- Rodriguez-Ortega, Ballesteros, Renza, J. Imaging 2021 7(3) 59, doi 10.3390/jimaging7030059.
--
-- [F] found in the paper's abstract: image-level decision original / tampered; a custom network and a
--     transferred VGG-16; precision, recall, F1; eight open data sets; times of training and
--     inference. VGG-16 is about 10 points better and takes about twice the time to answer.
-- [P] ours, for what is left open: the photographs, the simulator (nine regimes for the eight sets),
--     image size, both layer tables, residual and match maps beside RGB, the source task of transfer,
--     every setting of training, splits by photograph, the intervals.
local al = require "albedo"
local nn, lab, metrics, blocks = al.nn, al.lab, al.metrics, al.classical.copymove

local run = lab.start("copymove", {
  title = "Copy-move forgery detection",
  about = "A custom network, a transferred VGG-16-shaped one and block matching, on photographs "
    .. "that none of them has seen.",
  steps = 280, source_steps = 120, width = 16, lr = 3e-3, test_pairs = 24, val_pairs = 10,
  quick = { steps = 60, source_steps = 20, test_pairs = 8, val_pairs = 4, seeds = 1 },
  claims = { steps = 900, source_steps = 400, test_pairs = 60, seeds = 5 },
  help = {
    steps = "training steps of each network", source_steps = "steps of the source task of transfer",
    width = "channels of the first layer, on which the others depend", lr = "learning rate",
    test_pairs = "test pairs a regime", val_pairs = "validation pairs a regime",
  },
})

-- ---- data [P] -------------------------------------------------------------------------------

local wallpapers = "/usr/share/backgrounds" -- lomiri-wallpapers-16.04 and -20.04, CC BY-SA
local forge = al.sim.copymove { size = 128, jpeg = { 75, 95 } }
local album = forge:album(al.data.photos(run.data or wallpapers))
run:say("%d photographs; without texture: %s", #album, table.concat(album.left_out, ", "))

-- ---- the networks [P] -----------------------------------------------------------------------

-- RGB beside three high-pass residuals of the brightness.
local residuals = al.hold(al.tensor {
  { { -1, 2, -2, 2, -1 }, { 2, -6, 8, -6, 2 }, { -2, 8, -12, 8, -2 }, { 2, -6, 8, -6, 2 },
    { -1, 2, -2, 2, -1 } },
  { { 0, 0, 0, 0, 0 }, { 0, -3, 6, -3, 0 }, { 0, 6, -12, 6, 0 }, { 0, -3, 6, -3, 0 },
    { 0, 0, 0, 0, 0 } },
  { { 0, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0 }, { 0, 6, -12, 6, 0 }, { 0, 0, 0, 0, 0 },
    { 0, 0, 0, 0, 0 } },
}:unsqueeze(2))

local function look(x)
  local high = al.conv2d(al.image.to_gray(x), residuals, nil, { pad = 2 }):clamp(-3, 3)
  return al.cat({ x * 2 - 1, high }, 2), blocks.features(blocks.field(x))
end

local function conv(from, to, kernel, stride)
  kernel = kernel or 3
  return nn.Sequential {
    nn.Conv2d(from, to, kernel, { pad = (kernel - 1) / 2, stride = stride or 1, bias = false }),
    nn.BatchNorm2d(to), nn.ReLU(),
  }
end

-- A trunk reduces the picture to a quarter; there the field of block matches joins. The last layers
-- are the same for both networks: a map of suspicion, and the decision from its features' maxima and
-- means over the picture.
local Detector = nn.class "Detector"
function Detector:init(trunk)
  self.trunk = trunk
  self.join = nn.Sequential { conv(2 * run.width + 5, 48), nn.MaxPool2d(2), conv(48, 48) }
  self.map = nn.Conv2d(48, 1, 1)
  self.drop = nn.Dropout(0.2)
  self.decide = nn.Linear(96, 2)
end
function Detector:forward(x)
  local input, matches = al.no_grad(look, x)
  local h = self.join(al.cat({ self.trunk(input), matches }, 2))
  return { self.decide(self.drop(al.cat({ h:amax { 3, 4 }, h:mean { 3, 4 } }, 2))), self.map(h) }
end

local function custom()
  local w = run.width
  return Detector(nn.Sequential {
    conv(6, w, 5, 2), conv(w, 2 * w), nn.MaxPool2d(2), conv(2 * w, 2 * w),
  })
end

-- VGG-16 narrowed and cut after its third block of convolutions.
local function vgg()
  local net = al.models.vgg16 { width = run.width / 128, in_channels = 6, batch_norm = true }
  return Detector(net.features:slice(1, 23))
end

-- ---- training and scoring -------------------------------------------------------------------

-- Cross-entropy of the decision, and of the map against the masks of copy and source.
local function loss(output, y, _, truth)
  local total = output[1]:cross_entropy(y)
  if not truth then return total end
  local marked = (truth.copy | truth.source):to "float32"
  marked = al.cat({ al.zeros_like(marked), marked }, 1):unsqueeze(2):avg_pool2d(8)
  return total + al.binary_cross_entropy_with_logits(output[2], marked)
end

local function in_batches(set, fn)
  local list = {}
  for at = 1, #set.x, 32 do
    local part = al.scope(function()
      local x = set.x:narrow(1, at, math.min(32, #set.x - at + 1)):to "float32" * (1 / 255)
      return al.no_grad(fn, x)
    end)
    for _, v in ipairs(part:totable()) do list[#list + 1] = v end
  end
  return list
end

-- Scores of a set's pictures, in [0, 1].
local function ask(net, set)
  return in_batches(set, function(x) return net(x)[1]:softmax(2):select(2, 2) end)
end
local function block_scores(set)
  return in_batches(set, function(x) return (blocks.detect(x)) end)
end

local function train(net, part, val, o)
  return run:fit(net, forge:stream(part, { splice = o.splice, shuffled = o.shuffled }), {
    steps = o.steps or run.steps, lr = run.lr, warmup = 20, checks = o.checks or 3, loss = loss,
    label = o.label,
    validate = val and function(n) return metrics.auc(ask(n, val), val.y) end,
  })
end

-- ---- the comparison -------------------------------------------------------------------------

local detectors = { "custom", "transfer", "blocks", "control" }
local pooled = {} -- detector -> { score, y, regime, photo, seed } over all seeds
for _, name in ipairs(detectors) do
  pooled[name] = { score = {}, y = {}, regime = {}, photo = {}, seed = {} }
end
local chosen, cost = {}, {}

local function note(name, seed, set, score, threshold, validated)
  local p, y = pooled[name], set.y:totable()
  for i, v in ipairs(score) do
    local k = #p.score + 1
    p.score[k], p.y[k], p.regime[k], p.photo[k], p.seed[k] = v, y[i], set.regime[i], set.photo[i], seed
  end
  local figures = metrics.binary(score, y, { threshold = threshold })
  run:score(name, seed, {
    auc = figures.auc, precision = figures.precision, recall = figures.recall, f1 = figures.f1,
    validation = validated,
  })
end

local last -- of the last seed, for the pictures
for seed in run:seeds() do
  local part, val, test = al.data.split(album, { 0.6, 0.15, 0.25 }, { by = "photo", seed = seed })
  local val_set = forge:fixed(val, run.val_pairs, { seed = 1000 + seed })
  local test_set = forge:fixed(test, run.test_pairs, { seed = 2000 + seed })
  last = { set = test_set }

  local function judge(name, net, history)
    local before = metrics.best_threshold(ask(net, val_set), val_set.y)
    note(name, seed, test_set, ask(net, test_set), before, history.best)
    cost[name] = (cost[name] or 0) + history.seconds / run.seed_count
    last[name] = net
  end

  for name in run:arms { { "custom", custom }, { "transfer", vgg } } do
    if name == "custom" then
      local net = custom()
      judge(name, net, train(net, part, val_set, { label = name }))
    else
      local net = vgg() -- the source task: a region pasted from another of the training photographs
      local source = train(net, part, nil, { label = "source", splice = true, steps = run.source_steps })
      local history = train(net, part, val_set, { label = name })
      history.seconds = history.seconds + source.seconds
      judge(name, net, history)
    end
  end
  local score = block_scores(test_set)
  note("blocks", seed, test_set, score, metrics.best_threshold(block_scores(val_set), val_set.y))
  if seed == run.first_seed then
    al.seed(seed)
    local net = custom()
    train(net, part, nil, { label = "control", shuffled = true, steps = math.floor(run.steps / 3) })
    note("control", seed, test_set, ask(net, test_set), 0.5)
  end
end
