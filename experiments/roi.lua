-- Lumbar discs: the whole picture against a region of interest, and three sources of transfer.
-- Al-kubaisi, Khamiss, Electronics 2022 11(1) 85, doi 10.3390/electronics11010085.
--
-- [F] found in abstract and figures: VGG16, VGG19, ResNet50, MobileNetV2; a region of interest
--     made of blocks of a grid of twenty; +2, +2, +16, +5 points of accuracy over the whole
-- picture;
--     two VGGs trained first on labelled brain MRI, or on unlabelled MRI, are 4 and 6 points
--     above ImageNet's; Grad-CAM.
-- [P] ours, for what is left open: the simulated discs and heads (sim/lumbar.lua, sim/head.lua,
--     settled before any training), the blocks kept, three slices through the disc as what
--     the selection keeps, widths and sizes reduced, the pretext of unlabelled pictures (turns
--     by right angles), the far source (coloured textures), stages and rates, folds by patient.
local al = require "albedo"
local lab, metrics, lumbar = al.lab, al.metrics, al.sim.lumbar

local run = lab.start("roi", {
  title = "Lumbar discs by region of interest",
  about = "Whole pictures, regions of interest and random crops for four networks; three "
    .. "sources of transfer for two of them.",
  size = 160, side = 64, patients = 80, steps = 120, source_steps = 80, batch = 16,
  width = 0.125, lr = 2e-3,
  quick = { patients = 24, steps = 4, source_steps = 2, batch = 4, seeds = 1, width = 0.0625 },
  claims = { patients = 200, steps = 600, source_steps = 400 },
  help = {
    side = "pixels along a side that the networks see", patients = "of the simulation",
    steps = "training steps of each network", source_steps = "steps of each source task",
    width = "factor on the backbones' channels: 1 is the paper's",
  },
})

-- ---- data: a fold a seed, patients apart ----------------------------------------------------

local dir = run:data_dir "lumbar_mri"
local exams = dir and al.io.exists(dir .. "/boxes.csv") and lumbar.exams(dir, run.size)
local function load(seed)
  return exams or lumbar { patients = run.patients, size = run.size, seed = seed }
end

-- what a fold's parts see: { fit, val, test } of { x, y, mask }
local function parts_of(set, kind, seed)
  local x, mask = lumbar.view(set, kind, run.side, al.generator(seed))
  local out, o = {}, { by = set.patient, stratify = set.y:totable(), seed = seed }
  local lists = { al.data.fold(#x, (seed - 1) % 5 + 1, o) }
  for k, name in ipairs { "fit", "val", "test" } do
    local at = al.tensor(lists[k], { dtype = "int64" })
    local function pick(t) return t:index_select(1, at) end
    out[name] = { x = pick(x), y = pick(set.y), mask = pick(mask) }
  end
  return out
end

-- ---- sources of transfer [P] ----------------------------------------------------------------

local function heads() return al.sim.head(run.batch, { size = run.side }) end
local sources = {
  far = { 8, function() return al.sim.textures(run.batch, { size = run.side }) end },
  labelled = { 4, heads },
  unlabelled = { 4, function() -- which right angle a head is turned by
    local x, y, turned = (heads()), {}, {}
    for i = 1, run.batch do
      y[i] = math.min(4, 1 + math.floor(al.rand(1):item() * 4))
      turned[i] = al.image.rotate90(x[i], y[i] - 1):unsqueeze(1)
    end
    return al.cat(turned, 1), al.tensor(y, { dtype = "int64" })
  end },
}

local function made(backbone, classes)
  return al.models.adapted(backbone, { classes = classes, width = run.width, dropout = 0.3,
    small = backbone:find "vgg" ~= nil }) -- batch norm for the VGGs
end

local function source(backbone, name, cache)
  local key = backbone .. "-" .. name
  if not cache[key] then
    local net = made(backbone, sources[name][1])
    run:fit(net, sources[name][2], { steps = run.source_steps, lr = run.lr, label = key })
    cache[key] = net.net:state_dict { copy = true }
  end
  return cache[key]
end

-- ---- networks [P] ---------------------------------------------------------------------------

-- Shares of the steps, factors on the rate, what trains.
local STAGES = { { 0.25, 1, "head" }, { 0.25, 0.5, "last" }, { 0.5, 0.5, "all" } }

local function probabilities(net, x)
  return lab.predict(function(b) return net(b):softmax(2) end, x, 32)
end

local function trained(backbone, from, data, cache, label, classes)
  local net = made(backbone, classes)
  net.net:load_state_dict(source(backbone, from, cache))
  local fit = al.data.tensors(data.fit.x, data.fit.y)
  run:stages(net, STAGES, { label = label, lr = run.lr,
    batches = al.data.loader(fit, { batch = run.batch,
      sampler = al.data.balanced(data.fit.y) }),
    validate = function(n)
      return metrics.accuracy(probabilities(n, data.val.x):argmax(2), data.val.y)
    end })
  return net
end

-- Share of Grad-CAM's energy within disc and canal, over the mask's share of the picture.
local LAYER = { vgg16 = "net.features.32", vgg19 = "net.features.38",
  resnet50 = "net.layer3", mobilenet_v2 = "net.features.10" }
local function looks(net, backbone, part)
  local n = math.min(#part.x, 24)
  local maps = al.gradcam(net, part.x:narrow(1, 1, n), { layer = LAYER[backbone] })
  local mask = part.mask:narrow(1, 1, n):select(2, 1):to "float32"
  local energy = (maps * mask):sum():item() / (maps:sum():item() + 1e-12)
  return energy, energy / (mask:mean():item() + 1e-12)
end

local NETS = { "vgg16", "vgg19", "resnet50", "mobilenet_v2" }
local KINDS, SOURCES = { "full", "roi", "random" }, { "far", "labelled", "unlabelled" }
for seed in run:seeds() do
  local set, cache, views = load(seed), {}, {}
  for _, kind in ipairs(KINDS) do views[kind] = parts_of(set, kind, seed) end
  local function score(name, backbone, from, kind, mixed)
    local data = views[kind]
    if mixed then
      local order = al.randperm(#data.fit.y)
      data = { val = data.val, test = data.test,
        fit = { x = data.fit.x, y = data.fit.y:index_select(1, order) } }
    end
    al.seed(seed)
    local net = trained(backbone, from, data, cache, name, #set.classes)
    local found = probabilities(net, data.test.x):argmax(2)
    local counts = metrics.confusion(found, data.test.y, #set.classes)
    local energy, times = looks(net, backbone, data.test)
    run:score(name, seed, { accuracy = counts:accuracy(), recall = counts:macro().recall,
      f1 = counts:macro().f1, energy = energy, concentration = times })
  end
  for _, backbone in ipairs(NETS) do
    for _, kind in ipairs(KINDS) do score(backbone .. "-" .. kind, backbone, "far", kind) end
    for _, from in ipairs(backbone:find "vgg" and { "labelled", "unlabelled" } or {}) do
      score(backbone .. "-roi-" .. from, backbone, from, "roi")
    end
  end
  score("control", "mobilenet_v2", "far", "roi", true)
end

-- ---- tables and claims ----------------------------------------------------------------------

local function cells(names)
  local row = {}
  for k, name in ipairs(names) do
    local s = run:summary(name, "accuracy")
    row[k] = { mean = s.mean, low = s.low, high = s.high }
  end
  return row
end
local rows, near = {}, {}
for k, net in ipairs(NETS) do
  rows[k] = cells { net .. "-full", net .. "-roi", net .. "-random" }
  table.insert(rows[k], 1, net)
end
for k, net in ipairs { "vgg16", "vgg19" } do
  near[k] = cells { net .. "-roi", net .. "-roi-labelled", net .. "-roi-unlabelled" }
  table.insert(near[k], 1, net)
end
run:heading "Patients never seen"
run:text(("%s; %d steps a network, width %g of the paper's, %d pixels."):format(exams
  and "Height of the lowest disc, sagittal MRI" or "Simulated axial discs", run.steps,
  run.width, run.side))
run:table("roi", { caption = "Accuracy by what the network sees; far source.", rows = rows,
  columns = { "network", "whole picture", "region of interest", "random crop" } })
run:table("sources", { caption = "Accuracy on regions of interest by source.", rows = near,
  columns = { "network", "far", "near, labelled", "near, unlabelled" } })
run:scores({ "accuracy", "recall", "f1", "energy", "concentration" }, { name = "all" })

local PAPER = { vgg16 = 2, vgg19 = 2, resnet50 = 16, mobilenet_v2 = 5 }
for _, net in ipairs(NETS) do
  run:claim { id = "roi_" .. net, text = "accuracy, region of interest minus whole, " .. net,
    paper = ("+%d points"):format(PAPER[net]), above = 0,
    measured = run:paired(net .. "-roi", net .. "-full", "accuracy") }
  run:claim { id = "crop_" .. net, text = "accuracy, region of interest minus random, " .. net,
    measured = run:paired(net .. "-roi", net .. "-random", "accuracy"), above = 0 }
end
local function gain(net) return run:paired(net .. "-roi", net .. "-full", "accuracy").mean end
local more = gain "resnet50" - math.max(gain "vgg16", gain "vgg19")
run:claim { id = "resnet_gains_most", text = "gain of ResNet50 minus the larger of the VGGs'",
  paper = "16 against 2 points", measured = more,
  holds = more >= 0 and gain "resnet50" > 0 }
for _, net in ipairs { "vgg16", "vgg19" } do
  for _, from in ipairs { SOURCES[2], SOURCES[3] } do
    run:claim { id = net .. "_" .. from, text = ("accuracy of %s, %s near source minus far")
      :format(net, from), paper = net == "vgg16" and "+4 points" or "+6 points", above = 0,
      measured = run:paired(net .. "-roi-" .. from, net .. "-roi", "accuracy") }
  end
  run:claim { id = "gradcam_" .. net, text = "Grad-CAM energy on disc and canal, region of "
    .. "interest minus whole, " .. net, above = 0,
    measured = run:paired(net .. "-roi", net .. "-full", "energy") }
end
local chance = run:summary("control", "recall")
run:claim { id = "control", text = "recall of a network trained on shuffled labels: chance",
  measured = chance, contains = chance.low and 1 / #load(run.first_seed).classes }
run:report()
