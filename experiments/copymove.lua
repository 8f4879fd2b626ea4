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
    .. "photographs that none of them has seen.",
  steps = 260, source_steps = 60, width = 16, lr = 3e-3, test_pairs = 24, val_pairs = 12,
  quick = { steps = 40, source_steps = 10, test_pairs = 6, val_pairs = 3, seeds = 1 },
  claims = { steps = 900, source_steps = 400, test_pairs = 60, seeds = 5 },
  help = {
    steps = "training steps of each network",
    source_steps = "steps of the source task of transfer",
    width = "channels of the first layer, on which the others depend", lr = "learning rate",
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

-- A trunk reduces the picture to a quarter; there the field of block matches joins. The last
-- layers are the same for both networks: a map of suspicion, and the decision from its
-- features' maxima and means over the picture.
local Detector = nn.class "Detector"
function Detector:init(trunk)
  self.trunk = trunk
  self.join = nn.Sequential { conv(2 * run.width + 6, 48), nn.MaxPool2d(2), conv(48, 48) }
  self.map = nn.Conv2d(48, 1, 1)
  self.drop = nn.Dropout(0.2)
  self.decide = nn.Linear(96, 2)
end
function Detector:forward(x)
  local input, matches = al.no_grad(look, x)
  local h = self.join(al.cat({ self.trunk(input), matches }, 2))
  local pooled = al.cat({ h:amax { 3, 4 }, h:mean { 3, 4 } }, 2)
  return { self.decide(self.drop(pooled)), self.map(h) }
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
  local marked = truth.copy:bitwise_or(truth.source):to "float32"
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
    steps = o.steps or run.steps, lr = run.lr, warmup = 20, checks = 3, loss = loss,
    label = o.label,
    validate = val and function(n) return metrics.auc(ask(n, val), val.y) end,
  })
end

-- ---- the comparison -------------------------------------------------------------------------

local pooled = al.pooled() -- the scores of all seeds
local cost = {} -- seconds of training, mean over the seeds

local function note(name, seed, set, score, threshold, validated)
  pooled:add(name, seed, set, score)
  local figures = metrics.binary(score, set.y, { threshold = threshold })
  run:score(name, seed, {
    auc = figures.auc, precision = figures.precision, recall = figures.recall, f1 = figures.f1,
    validation = validated,
  })
end

local last -- of the last seed, for the pictures
for seed in run:seeds() do
  local shares = { 0.6, 0.15, 0.25 }
  local part, val, test = al.data.split(album, shares, { by = "photo", seed = seed })
  local val_set = forge:fixed(val, run.val_pairs, { seed = 1000 + seed })
  local test_set = forge:fixed(test, run.test_pairs, { seed = 2000 + seed })
  last = { set = test_set }

  local function judge(name, net, history)
    local before = ask(net, val_set)
    note(name, seed, test_set, ask(net, test_set), metrics.best_threshold(before, val_set.y),
      metrics.auc(before, val_set.y))
    cost[name] = (cost[name] or 0) + history.seconds / run.seed_count
    last[name] = net
  end

  for name in run:arms { { "custom", custom }, { "transfer", vgg } } do
    if name == "custom" then
      local net = custom()
      judge(name, net, train(net, part, val_set, { label = name }))
    else
      local net = vgg() -- the source task: regions pasted from another place or photograph
      local source = train(net, part, nil,
        { label = "source", splice = true, steps = run.source_steps })
      local history = train(net, part, val_set, { label = name })
      history.seconds = history.seconds + source.seconds
      judge(name, net, history)
    end
  end
  local before = block_scores(val_set)
  note("blocks", seed, test_set, block_scores(test_set),
    metrics.best_threshold(before, val_set.y), metrics.auc(before, val_set.y))
  al.seed(seed)
  local net = custom()
  local short = math.max(1, math.floor(run.steps / 5))
  train(net, part, nil, { label = "control", shuffled = true, steps = short })
  note("control", seed, test_set, ask(net, test_set), 0.5)
end

-- ---- tables ---------------------------------------------------------------------------------

local best = run:summary("custom", "validation").mean
  >= run:summary("transfer", "validation").mean and "custom" or "transfer"
local other = best == "custom" and "transfer" or "custom"

run:heading "Detection on photographs never seen"
run:text(("Chosen on validation: %s. Pictures of %d pixels; each original is tested beside its "
  .. "forgery, with the same noise and JPEG quality."):format(best, forge.size))
local arms = { "custom", "transfer", "blocks" }
run:scores({ "auc", "precision", "recall", "f1", "validation" }, { arms = arms })

local rows, labels, series = {}, {}, {}
for k, name in ipairs(arms) do series[k] = { name = name, values = {}, low = {}, high = {} } end
local overall = {}
for _, name in ipairs(arms) do overall[name] = pooled:auc(name) end
for i, regime in ipairs(forge.regimes) do
  rows[i], labels[i] = { regime.name }, regime.name
  for k, name in ipairs(arms) do
    local m = pooled:auc(name, { regime = regime.name })
    rows[i][k + 1] = m
    series[k].values[i], series[k].low[i], series[k].high[i] = m.mean, m.low, m.high
  end
end
rows[#rows + 1] = { "all", overall.custom, overall.transfer, overall.blocks }
run:table("auc_by_regime", {
  caption = "AUC, mean over the seeds; 95 % intervals by bootstrap over photographs.",
  columns = { "regime", "custom", "transfer", "block matching" }, rows = rows,
})
run:plot("bars", "regimes",
  { y = "AUC", labels = labels, series = series, y_range = { 0.4, 1 } },
  { alt = "AUC of the detectors by regime", caption = "AUC by regime" })

-- ---- time -----------------------------------------------------------------------------------

local function seconds_of(net, batch)
  local x, times = last.set.x:narrow(1, 1, batch):to "float32" * (1 / 255), {}
  for k = 1, 7 do
    local began = al.native.clock()
    al.scope(function() al.no_grad(net, x) end)
    times[k] = al.native.clock() - began
  end
  table.sort(times)
  return times[4]
end

local times = {}
for _, name in ipairs { "custom", "transfer" } do
  local net, count = last[name], 0
  for _, p in ipairs(net:parameters()) do count = count + p:numel() end
  times[name] = { seconds_of(net, 1), seconds_of(net, 32) }
  times[#times + 1] = { name, count, cost[name], times[name][1] * 1000,
    times[name][2] * 1000 / 32 }
end
run:table("time", {
  caption = "Training (a seed, source task included) and inference, milliseconds a picture.",
  columns = { "network", "parameters", "training s", "batch of 1", "batch of 32" },
  rows = times,
})

-- ---- where the copy is ----------------------------------------------------------------------

run:heading "Where the copy is"
local shown = {}
for i = 1, #forge.regimes do -- the first forgery of each regime
  local at = (i - 1) * 2 * run.test_pairs + run.test_pairs + 1
  local pair = (i - 1) * run.test_pairs + 1
  local x = last.set.x:narrow(1, at, 1):to "float32" * (1 / 255)
  local truth = al.image.overlay(al.image.overlay(x[1], last.set.truth.copy[pair]),
    last.set.truth.source[pair], { color = "green" })
  local heat = al.no_grad(function() return last[best](x)[2]:sigmoid() end)
  local _, votes = blocks.detect(x)
  local full = { forge.size, forge.size }
  heat = al.image.resize(heat[1], full)[1]
  votes = al.image.resize(votes, full, "nearest")[1]
  for _, picture in ipairs {
    x[1], truth, al.image.overlay(x[1], heat),
    al.image.overlay(x[1], votes, { color = "yellow" }),
  } do
    shown[#shown + 1] = picture
  end
end
run:picture("where", al.image.grid(shown, { columns = 12 }), {
  alt = "Forgeries, their masks, and what the detectors mark",
  caption = "A test forgery of each regime, three a row: the picture; copy (red) and source "
    .. "(green); the " .. best .. " network's suspicion; the votes of block matching.",
  credit = credit,
})

-- ---- real forgeries -------------------------------------------------------------------------

if real then
  local set = al.sim.forged(real, { size = 256, most = 4 })
  local line = { "AUC" }
  local found = al.pooled()
  for k, name in ipairs(arms) do
    found:add(name, 1, set, name == "blocks" and block_scores(set) or ask(last[name], set))
    line[k + 1] = found:auc(name)
  end
  run:table("real_forgeries", {
    caption = ("%d windows of 256 pixels of real forgeries, %d holding copy and source.")
      :format(#set.y, set.y:eq(2):to "int64":sum():item()),
    columns = { "", "custom", "transfer", "block matching" }, rows = { line },
  })
end

-- ---- claims ---------------------------------------------------------------------------------

run:claim { id = "translation",
  text = "AUC on translated copies, detector chosen on validation",
  measured = pooled:auc(best, { regime = "translation" }), at_least = 0.90 }
run:claim { id = "all_regimes", text = "AUC over all regimes, detector chosen on validation",
  measured = overall[best], at_least = 0.72 }
run:claim { id = "beats_chance", text = "AUC over all regimes, the other network: above chance",
  measured = overall[other], above = 0.5 }
-- What a network learns of shuffled labels points to either side by chance: the interval is
-- over the seeds, and one seed proves nothing.
local control = run:summary("control", "auc")
run:claim { id = "control", text = "AUC of networks trained on shuffled labels: chance",
  measured = control, contains = control.low and 0.5 }
run:claim { id = "transfer_beats_custom", text = "F1 of transfer minus F1 of custom",
  paper = "about +10 points", measured = run:paired("transfer", "custom", "f1"), above = 0 }
local ratio = times.transfer[2] / times.custom[2]
run:claim { id = "inference_time", text = "inference time of transfer over custom, batch of 32",
  paper = "about 2", measured = ratio, holds = ratio >= 1.3 and ratio <= 4 }
run:report()
