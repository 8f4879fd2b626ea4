-- Copy-move forgery detection: a custom network against VGG-16 transfer.
-- Rodriguez-Ortega, Ballesteros, Renza, J. Imaging 2021 7(3) 59, doi 10.3390/jimaging7030059.
--
-- [F] found in the paper's abstract: image-level decision original / tampered; a custom network
--     and a transferred VGG-16; precision, recall, F1; eight open data sets; times of training
--     and inference. VGG-16 is about 10 points better and takes about twice the time to answer.
-- [P] ours, for what is left open: the photographs, the simulator (nine regimes for the eight
--     sets), image size, both layer tables, residual and match maps beside RGB, the source task
--     of transfer, every setting of training, splits by photograph, the intervals.
local al = require "albedo"
local nn, lab, metrics, blocks = al.nn, al.lab, al.metrics, al.classical.copymove

local run = lab.start("copymove", {
  title = "Copy-move forgery detection",
  about = "A custom network, a transferred VGG-16-shaped one and block matching, on "
    .. "unseen photographs.",
  steps = 240, source_steps = 60, width = 16, lr = 3e-3, test_pairs = 24, val_pairs = 12,
  quick = { steps = 40, source_steps = 10, test_pairs = 6, val_pairs = 3, seeds = 1 },
  claims = { steps = 900, source_steps = 400, test_pairs = 60, seeds = 5 },
  help = {
    steps = "training steps of each network", source_steps = "steps of transfer's source task",
    width = "channels of the first layer", lr = "learning rate",
    test_pairs = "test pairs a regime", val_pairs = "validation pairs a regime",
  },
})

-- ---- data [P] -------------------------------------------------------------------------------

-- Real forgeries with masks in --data are tested on, never trained on.
local photos, real, credit = al.sim.photographs(run.data)
local forge = al.sim.copymove { size = 128, jpeg = { 75, 95 } }
local album = forge:album(photos)
run:say("%d photographs; without texture: %s", #album, table.concat(album.left_out, ", "))

-- ---- the networks [P] -----------------------------------------------------------------------

-- RGB beside three high-pass residuals of the brightness, and the field of block matches.
local function look(x)
  return al.cat({ x * 2 - 1, blocks.residuals(x) }, 2), blocks.features(blocks.field(x))
end

local function conv(from, to, kernel, stride)
  local o = { pad = kernel and (kernel - 1) / 2 or 1, stride = stride or 1, bias = false }
  return nn.Sequential { nn.Conv2d(from, to, kernel or 3, o), nn.BatchNorm2d(to), nn.ReLU() }
end

-- A trunk reduces the picture to a quarter; there the field of block matches joins. The last
-- layers are the same for both networks: a map of suspicion, and the decision.
local Detector = nn.class "Detector"
function Detector:init(trunk)
  self.trunk = trunk
  local channels = trunk.channels or 2 * run.width
  self.join = nn.Sequential { conv(channels + 6, 48), nn.MaxPool2d(2), conv(48, 48) }
  self.map = nn.Conv2d(48, 1, 1)
  self.drop = nn.Dropout(0.2)
  self.decide = nn.Linear(96, 2)
end
function Detector:forward(x)
  local input, matches = al.no_grad(look, x)
  local seen = self.trunk(self.trunk.channels and x or input) -- --weights know RGB alone
  local h = self.join(al.cat({ seen, matches }, 2))
  local pooled = al.cat({ h:amax { 3, 4 }, h:mean { 3, 4 } }, 2)
  return { self.decide(self.drop(pooled)), self.map(h) }
end

local function custom()
  local w = run.width
  local pool = nn.MaxPool2d(2)
  return Detector(nn.Sequential { conv(6, w, 5, 2), conv(w, 2 * w), pool, conv(2 * w, 2 * w) })
end

-- VGG-16 narrowed and cut after its third block of convolutions; or the network of --weights.
local function vgg()
  if run.weights then return Detector(al.models.trunk(run.weights)) end
  local net = al.models.vgg16 { width = run.width / 128, in_channels = 6, batch_norm = true }
  return Detector(net.features:slice(1, 23))
end

-- ---- training and scoring -------------------------------------------------------------------

-- Cross-entropy of the decision, and of the map against the masks of copy and source.
local function loss(output, y, _, truth)
  local total = output[1]:cross_entropy(y)
  if not truth then return total end
  local marked = truth.copy:bitwise_or(truth.source):to "float32"
  marked = al.cat({ al.zeros_like(marked), marked }, 1):unsqueeze(2):avg_pool2d(8)
  return total + al.binary_cross_entropy_with_logits(output[2], marked)
end

-- Scores of a set's pictures, in [0, 1].
local function scores(detect, set)
  return lab.predict(function(x) return detect(x:to "float32" * (1 / 255)) end, set.x, 32)
end
local function decision(net)
  return function(x) return net(x)[1]:softmax(2):select(2, 2) end
end

local function train(net, part, val, label, kind, steps)
  local count = steps or run.steps
  return run:fit(net, forge:stream(part, kind), {
    steps = count, lr = run.lr, warmup = math.min(20, count), checks = 3, label = label,
    loss = loss,
    validate = val and function(n) return metrics.auc(scores(decision(n), val), val.y) end,
  }).seconds
end

-- An arm trains on photographs `part`: a detector (pictures to scores), seconds, the network.
local arms = {
  { "custom", function(part, val)
    local net = custom()
    local seconds = train(net, part, val, "custom")
    return decision(net), seconds, net
  end },
  { "transfer", function(part, val) -- source: regions from another place or photograph
    local net, before = vgg(), 0
    if not run.weights then
      before = train(net, part, nil, "source", { splice = true }, run.source_steps)
    end
    local seconds = train(net, part, val, "transfer")
    return decision(net), before + seconds, net
  end },
  { "blocks", function() return function(x) return (blocks.detect(x)) end, 0 end },
  { "control", function(part)
    local net = custom()
    return decision(net),
      train(net, part, nil, "control", { shuffled = true }, math.ceil(run.steps / 2))
  end },
}

-- ---- the comparison -------------------------------------------------------------------------

local pooled, cost, last = al.pooled(), {}, nil -- scores of all seeds; seconds; the last seed's
for seed in run:seeds() do
  local of = { by = "photo", seed = seed }
  local part, val, test = al.data.split(album, { 0.6, 0.15, 0.25 }, of)
  local val_set = forge:fixed(val, run.val_pairs, { seed = 1000 + seed })
  local test_set = forge:fixed(test, run.test_pairs, { seed = 2000 + seed })
  last = { set = test_set, net = {}, detect = {} }
  for name, learn in run:arms(arms) do
    local detect, seconds, net = learn(part, val_set)
    local before, after = scores(detect, val_set), scores(detect, test_set)
    local figures = metrics.binary(after, test_set.y,
      { threshold = metrics.best_threshold(before, val_set.y) })
    pooled:add(name, seed, test_set, after)
    figures.validation = metrics.auc(before, val_set.y)
    run:score(name, seed, figures)
    cost[name] = (cost[name] or 0) + seconds / run.seed_count
    last.net[name], last.detect[name] = net, detect
  end
end

-- ---- tables ---------------------------------------------------------------------------------

local best = run:summary("custom", "validation").mean
  >= run:summary("transfer", "validation").mean and "custom" or "transfer"
local other = best == "custom" and "transfer" or "custom"

run:heading "Detection on photographs never seen"
run:text("Chosen on validation: " .. best .. ". Each original is tested beside its forgery, "
  .. "with the same noise and JPEG quality.")
local shown = { "custom", "transfer", "blocks" }
run:scores({ "auc", "precision", "recall", "f1", "validation" }, { arms = shown })
pooled:breakdown(run, { by = "regime", arms = shown, levels = forge.names })

local took = run:costs("time", { networks = last.net, order = { "custom", "transfer" },
  training = cost, x = last.set.x:narrow(1, 1, 32):to "float32" * (1 / 255),
  caption = "Training (a seed, source task included) and inference, milliseconds a picture." })

run:heading "Where the copy is"
run:picture("where", forge:show(last.set, {
  function(x) return last.net[best](x)[2]:sigmoid() end,
  function(x) return (select(2, blocks.detect(x))) end,
}), {
  alt = "Forgeries, their masks, and what the detectors mark", credit = credit,
  caption = "A test forgery of each regime, three a row: the picture; copy (red) and source "
    .. "(green); the " .. best .. " network's suspicion; the votes of block matching.",
})

if real then
  local set, found = al.sim.forged(real, { size = 256, most = 4 }), al.pooled()
  for _, name in ipairs(shown) do found:add(name, 1, set, scores(last.detect[name], set)) end
  found:total(run, { name = "real_forgeries", arms = shown,
    caption = ("%d windows of 256 pixels of real forgeries, %d holding copy and source.")
      :format(#set.y, set.y:eq(2):to "int64":sum():item()) })
end

-- ---- claims ---------------------------------------------------------------------------------

run:claim { id = "translation", text = "AUC on translated copies, detector as chosen",
  measured = pooled:auc(best, { regime = "translation" }), at_least = 0.90 }
run:claim { id = "all_regimes", text = "AUC over all regimes, detector chosen on validation",
  measured = pooled:auc(best), at_least = 0.72 }
run:claim { id = "beats_chance", text = "AUC over all regimes, the other network: above chance",
  measured = pooled:auc(other), above = 0.5 }
run:claim { id = "control", text = "AUC of networks trained on shuffled labels: chance",
  measured = run:summary("control", "auc"), contains = 0.5 } -- over seeds: one proves nothing
run:claim { id = "transfer_beats_custom", text = "F1 of transfer minus F1 of custom",
  paper = "about +10 points", measured = run:paired("transfer", "custom", "f1"), above = 0 }
run:claim { id = "inference_time", text = "inference time of transfer over custom, batch of 32",
  paper = "about 2", measured = took.transfer / took.custom, within = { 1.5, 2.5 } }
run:report()
