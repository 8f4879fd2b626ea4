-- Chest X-rays: augmented deep transfer with ensembles of networks and of dictionaries.
-- Altaf, Islam, Janjua, Neural Computing & Applications 2021, doi 10.1007/s00521-021-06044-0.
--
-- [F] found in the abstract and introduction: an ensemble of networks, each with extra layers
-- for
--     the change of dimensions from the source's pictures; hierarchical tuning on augmented
-- data;
--     an ensemble of dictionaries on the networks' features; more than 50 % fewer errors than
--     plain transfer on ChestXray-14; COVID-19 99.49 % of two classes, 99.24 % of three.
-- [P] ours, for what is left open: three narrowed backbones and their source (textures of 32
--     pixels), the adapter's layers, stages and rates of tuning, the dictionaries and their
--     classifiers, fusion, folds by patient, the simulated thorax (sim/thorax.lua, settled
-- before
--     any training) where --data gives no chest_xray, the controls.
local al = require "albedo"
local lab, metrics = al.lab, al.metrics
local sparse, shortcut = al.classical.sparse, al.classical.shortcut

local run = lab.start("dictionaries", {
  title = "X-rays by ensembles of networks and dictionaries",
  about = "Plain transfer, adapter layers, hierarchical tuning, three networks, dictionaries.",
  set = "chest_xray", size = 128, patients = 240, steps = 600, source_steps = 200, batch = 16,
  width = 0.125, lr = 2e-3, atoms = 8, nonzeros = 4,
  quick = { patients = 30, steps = 6, source_steps = 3, seeds = 1, batch = 6 },
  claims = { patients = 400, steps = 1800, source_steps = 400, seeds = 5 },
  help = {
    set = "of --data: chest_xray or pneumonia_mnist", size = "pixels along a side",
    steps = "training steps of each network", width = "factor on the backbones' channels",
  },
})

-- ---- data: a fold a seed, patients apart ---------------------------------------------------

local from = run:data_dir(run.set)
local load = al.sim.xrays(from, { size = run.size, patients = run.patients })
local first = load(run.first_seed)
local classes = #first.classes

-- ---- networks [P] --------------------------------------------------------------------------

local backbones = { "resnet18", "vgg11", "mobilenet_v2" }

local function made(backbone, count, adapter) -- the source's pictures are a quarter as large
  local width = run.width * (backbone == "mobilenet_v2" and 2 or 1)
  return al.models.adapted(backbone, { classes = count, width = width, adapter = adapter,
    shrink = count == classes and 4 or 1 })
end

-- The backbone's weights after the source task, once a seed.
local function source(backbone, cache)
  if not cache[backbone] then
    local net = made(backbone, 8)
    run:fit(net, function() return al.sim.textures(run.batch, { size = run.size / 4 }) end,
      { steps = run.source_steps, lr = run.lr, label = "source-" .. backbone })
    cache[backbone] = net.net:state_dict { copy = true }
  end
  return cache[backbone]
end

local augment = al.data.augment
local change = augment.compose { augment.flip { axes = { -1 } },
  augment.affine { degrees = 10, shift = 0.05, scale = { 0.9, 1.1 } },
  augment.color { brightness = 0.1, contrast = 0.1 } }

local function batches(part, augmented) -- classes drawn alike
  local set = al.data.tensors(part.x, part.y)
  if augmented then set = set:map(function(x, y) return change(x), y end) end
  return al.data.loader(set, { batch = run.batch, sampler = al.data.balanced(part.y) })
end

local function probabilities(net, x)
  return lab.predict(function(b) return net(b):softmax(2) end, x, 32)
end

-- Shares of the steps, factors on the rate, what trains; the last stages on augmented pictures.
local PLAIN = { { 1, 1, "all" } }
local HIERARCHY = { { 1 / 3, 1, "head" }, { 1 / 3, 0.3, "last" }, { 1 / 3, 0.1, "all" } }
local function tuned(backbone, data, cache, label, adapter, stages)
  local net = made(backbone, classes, adapter)
  net.net:load_state_dict(source(backbone, cache))
  run:stages(net, stages or PLAIN, { batches = batches(data.fit, stages), lr = run.lr,
    label = label, validate = function(n)
      return metrics.accuracy(probabilities(n, data.val.x):argmax(2), data.val.y)
    end })
  return net
end

-- ---- dictionaries --------------------------------------------------------------------------

local function signals(net, x)
  local f = lab.predict(function(b) return net:features(b) end, x, 32):to "float64"
  return f / (f:norm(2, 2, true) + 1e-12)
end

local function coded(net, data)
  local classify = sparse.ensemble(signals(net, data.fit.x), data.fit.y,
    { atoms = run.atoms, nonzeros = run.nonzeros, classes = classes })
  return { val = classify(signals(net, data.val.x)),
    test = classify(signals(net, data.test.x)) }
end

-- ---- a fold --------------------------------------------------------------------------------

local function figures(scores, y)
  local found = scores:argmax(2)
  local counts = metrics.confusion(found, y, classes)
  local ends = y:eq(1):logical_or(y:eq(classes))
  local two = al.where(scores:select(2, classes):gt(scores:select(2, 1)), classes, 1)
  local accuracy = counts:accuracy()
  return { accuracy = accuracy, error = 1 - accuracy, recall = counts:macro().recall,
    binary = metrics.accuracy(two[ends]:to "int64", y[ends]) }
end

local ARMS = { "conventional", "adapters", "tuning", "networks", "full" }

for seed in run:seeds() do
  local set, cache, coders = seed == run.first_seed and first or load(seed), {}, {}
  local data = set:parts(seed)
  local function score(name, scores) run:score(name, seed, figures(scores, data.test.y)) end
  local function seen(net) return probabilities(net, data.test.x) end
  score("conventional", seen(tuned(backbones[1], data, cache, "conventional")))
  score("adapters", seen(tuned(backbones[1], data, cache, "adapters", true)))
  local val, test = 0, 0
  for k, backbone in ipairs(backbones) do
    local net = tuned(backbone, data, cache, "tuning-" .. backbone, true, HIERARCHY)
    local own = seen(net)
    if k == 1 then score("tuning", own) end
    val, test, coders[k] = val + probabilities(net, data.val.x), test + own, coded(net, data)
  end
  score("networks", test)
  local both = { val = 0, test = 0 } -- the dictionaries' part
  for _, kind in ipairs { "src", "crc", "sacrc", "lcksvd" } do
    local alone = 0
    for _, c in ipairs(coders) do
      alone = alone + c.test[kind]:softmax(2)
      both.val = both.val + c.val[kind]:softmax(2)
    end
    both.test = both.test + alone
    score(kind, alone)
  end
  score("dictionaries", both.test)
  local best, weight = -1, 0
  for _, w in ipairs { 0, 0.1, 0.25, 0.5, 1, 2 } do -- fusion on validation
    local right = metrics.accuracy((val + w * both.val):argmax(2), data.val.y)
    if right > best then best, weight = right, w end
  end
  run:say("  weight of the dictionaries: %g", weight)
  score("full", test + weight * both.test)
  score("pixels", shortcut.pixels(data.fit, data.test.x, classes))
  score("shortcut", shortcut.border(data.fit, data.test.x, classes))
  local order = al.randperm(#data.fit.y)
  local wrong = { x = data.fit.x, y = data.fit.y:index_select(1, order) }
  score("control", seen(tuned(backbones[1], { fit = wrong, val = data.val }, cache, "control",
    true)))
end

-- ---- tables --------------------------------------------------------------------------------

run:heading "Patients never seen"
run:text(("%s. %d steps a network; weights of fusion chosen on validation; a fold a seed.")
  :format(first.real and run.set or "Simulated thorax", run.steps))
run:scores({ "accuracy", "recall", "binary", "error" }, { arms = ARMS })
run:scores({ "accuracy", "recall" }, { name = "controls", arms = { "src", "crc", "sacrc",
  "lcksvd", "dictionaries", "pixels", "shortcut", "control" } })
if not first.real then
  run:picture("examples", al.image.grid(first.x:narrow(1, 1, 12), { columns = 6 }),
    { alt = "Simulated X-rays", caption = "Simulated X-rays." })
end

-- ---- claims --------------------------------------------------------------------------------

local ratio = run:summary("full", "error").mean / run:summary("conventional", "error").mean
run:claim { id = "half_error", text = "error of all parts over that of plain transfer",
  paper = "below 0.5", measured = ratio, holds = ratio <= 0.5 }
run:claim { id = "fewer_errors", text = "accuracy, all parts minus plain transfer",
  measured = run:paired("full", "conventional", "accuracy"), above = 0 }
local falls = true
for k = 2, #ARMS do
  local d = run:paired(ARMS[k], ARMS[k - 1], "error")
  falls = falls and d.mean <= d.std / math.sqrt(d.n) + 1e-12
end
run:claim { id = "each_part", text = "no part adds errors, within a standard error (1: so)",
  measured = falls and 1 or 0, holds = falls }
run:claim { id = "dictionaries", text = "recall of the dictionaries alone: above chance",
  measured = run:summary("dictionaries", "recall"), above = 1 / classes }
run:claim { id = "dictionaries_help", text = "accuracy, with minus without dictionaries",
  measured = run:paired("full", "networks", "accuracy"), at_least = 0 }
if classes > 2 then
  local two = run:summary("full", "binary").mean - run:summary("full", "accuracy").mean
  run:claim { id = "two_easier", text = "accuracy of two classes minus that of three",
    paper = "99.49 % against 99.24 %", measured = two, holds = two > 0 }
end
run:claim { id = "beats_pixels", text = "accuracy, all parts minus regression on pixels",
  measured = run:paired("full", "pixels", "accuracy"), above = 0 }
local chance = run:summary("control", "recall")
run:claim { id = "control", text = "recall of networks trained on shuffled labels: chance",
  measured = chance, contains = chance.low and 1 / classes }
local cut = run:summary("shortcut", "recall") -- reported beside every accuracy, not hoped for
run:claim { id = "shortcut", text = "recall by the picture's border alone: chance",
  measured = cut, contains = cut.low and 1 / classes }
run:report()
