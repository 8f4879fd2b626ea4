-- Battery electrodes: segmentation of X-ray tomographies, helped by artificial electrodes.
-- Müller, Sauter, Shunmugasundaram, Wenzler, De Andrade, De Carlo, Konukoglu, Wood,
-- Nat. Commun. 2021 12:6205, doi 10.1038/s41467-021-26480-9.
--
-- [F] found: graphite-silicon anodes of four phases (pore, graphite, silicon, carbon black and
--     binder: CBD) that tomography hardly tells apart; few labelled real volumes; artificial
--     electrodes with simulated tomography beside them; a 3D U-Net; how CBD changes by cycling.
-- [P] ours, for what is left open: the generator and its tomography (sim/electrode.lua, settled
--     before any training), the stand-in for the real electrode (its "measured" domain: other
--     shapes, photons, blur, rings), sizes, loss, schedule, the statistics and intervals.
local al = require "albedo"
local lab, metrics, structure = al.lab, al.metrics, al.classical.structure

local run = lab.start("electrode", {
  title = "Electrode segmentation with artificial electrodes",
  about = "A 3D U-Net trained on little labelled data, on artificial electrodes, and on both.",
  side = 48, volumes = 4, labelled = 28, patch = 24, batch = 2, steps = 300, base = 8,
  lr = 4e-3, volume = "",
  quick = {
    side = 24, volumes = 2, labelled = 16, patch = 16, steps = 12, base = 4, seeds = 1,
  },
  claims = { side = 64, volumes = 8, labelled = 32, patch = 32, steps = 1200 },
  help = {
    side = "voxels along a side of a volume", volumes = "artificial volumes a seed",
    labelled = "side of the one labelled real volume", patch = "side of a training patch",
    batch = "patches a step", steps = "training steps of each network",
    base = "channels of the first level", lr = "learning rate",
    volume = "a TIFF stack to segment by the last network: segmented.tif",
  },
})

-- ---- data -----------------------------------------------------------------------------------

local artificial = al.sim.electrode { domain = "synthetic" }
local real = al.sim.electrode { domain = "measured" }
local PHASES = real.phases

local function normal(scan) return (scan - scan:mean()) / scan:std() end

local function made(sim, seed, more)
  local o = { seed = seed }
  for key, value in pairs(more or {}) do o[key] = value end
  local v = sim:volume(run.side, o)
  return { x = normal(v.scan), scan = v.scan, y = v.labels:to "int64" }
end

-- a corner of a volume, as little as is labelled
local function little(v)
  local n = run.labelled
  local function cut(t) return t:narrow(1, 1, n):narrow(2, 1, n):narrow(3, 1, n) end
  return { x = cut(v.x), scan = cut(v.scan), y = cut(v.y) }
end

-- ---- the network ----------------------------------------------------------------------------

-- Cross-entropy weighted by 1 / (4 share of a phase in the artificial electrodes), and 1 minus
-- the mean of the phases' soft Dice.
local shares = artificial.set
local weight = 1 / (4 * al.tensor { 1 - shares.graphite - shares.silicon - shares.binder,
  shares.graphite, shares.silicon, shares.binder })
local function loss(scores, y)
  local p = scores:softmax(2)
  local g = y:one_hot(#PHASES, { dtype = "float32" }):permute(1, 5, 2, 3, 4)
  local all = { 1, 3, 4, 5 }
  local dice = ((p * g):sum(all) * 2 + 1) / (p:sum(all) + g:sum(all) + 1)
  return scores:cross_entropy(y, { weight = weight }) + 1 - dice:mean()
end

local function segment(net, x)
  local scores = lab.tiled(net, x:unsqueeze(1), { tile = 32, margin = 12, step = 4 })
  return scores:argmax(1)
end

local function trained(lists, val, label)
  local shape = { in_channels = 1, classes = #PHASES, base = run.base, levels = 3 }
  local net = al.models.unet3d(shape)
  run:fit(net, lab.patches(lists, { size = run.patch, batch = run.batch }), {
    lr = run.lr, warmup = math.min(10, run.steps), checks = 4, loss = loss, label = label,
    clip = 5,
    validate = function(n) return structure.compare(segment(n, val.x), val.y, PHASES).dice end,
  })
  return function(v) return segment(net, v.x) end, net
end

-- Multi-Otsu: the phases in the order of their attenuation.
local ORDER = al.tensor({ 1, 4, 2, 3 }, { dtype = "int64" })
local function threshold(v)
  local class = al.ones_like(v.y)
  for _, t in ipairs(v.scan:threshold_multiotsu(4):totable()) do
    class = class + v.scan:gt(t):to "int64"
  end
  return ORDER:index_select(1, class:reshape(-1)):reshape(v.y.shape)
end

-- ---- arms -----------------------------------------------------------------------------------

local arms = {
  { "threshold", function() return threshold end },
  { "real", function(d) return trained({ d.real }, d.val, "real") end },
  { "synthetic", function(d) return trained({ d.synthetic }, d.val, "synthetic") end },
  { "both", function(d) return trained({ d.real, d.synthetic }, d.val, "both") end },
  { "control", function(d) -- each artificial scan beside another one's labels
    local wrong = {}
    for k, v in ipairs(d.synthetic) do
      wrong[k] = { x = v.x, y = d.synthetic[k % #d.synthetic + 1].y }
    end
    return trained({ d.real, wrong }, d.val, "control")
  end },
}

-- Cycling: electrodes whose CBD grows and breaks up; how the estimates follow in rank.
local function cycling(detect, seed)
  local found, truth = { {}, {} }, { {}, {} }
  for k = 1, 6 do
    local now = { binder = 0.05 + 0.02 * k, grain = 2 - 0.15 * k }
    local v = made(real, 5000 + 10 * seed + k, now)
    for to, labels in pairs { [found] = detect(v), [truth] = v.y } do
      to[1][k] = structure.fractions(labels, 4)[4]
      to[2][k] = structure.surface(labels:eq(4))
    end
  end
  local function rank(k) -- NaN where what was found never changes
    local ok, r = pcall(metrics.spearman, found[k], truth[k])
    return ok and r or 0 / 0
  end
  return rank(1), rank(2), found[1], truth[1]
end

local series, last = nil, nil
for seed in run:seeds() do
  local data = { synthetic = {}, real = { little(made(real, 1000 + seed)) },
    val = little(made(real, 2000 + seed)) }
  for k = 1, run.volumes do data.synthetic[k] = made(artificial, 4000 + 100 * seed + k) end
  local test = made(real, 3000 + seed)
  last = { test = test, found = {} }
  for name, learn in run:arms(arms) do
    local detect, net = learn(data)
    last.found[name] = detect(test)
    local figures = structure.compare(last.found[name], test.y, PHASES)
    figures.rare = (figures.dice_silicon + figures.dice_binder) / 2
    if name == "both" then
      last.net = net
      figures.follows, figures.follows_surface, series, last.series = cycling(detect, seed)
    end
    run:score(name, seed, figures)
  end
end

-- ---- tables and pictures --------------------------------------------------------------------

run:heading "Segmentation of real volumes never seen"
run:text(("One labelled volume of %d^3 voxels, %d artificial ones of %d^3; 3D U-Nets of %d "
  .. "channels, %d steps each."):format(run.labelled, run.volumes, run.side, run.base,
    run.steps))
run:scores { "dice", "iou", "rare", "fraction_error", "connected_error", "tortuosity_ratio" }
run:scores({ "dice_pore", "dice_graphite", "dice_silicon", "dice_binder",
  "surface_error_binder" }, { name = "phases" })
run:plot("lines", "cycling", { x = "volume of the series", y = "share of CBD", series = {
  { name = "truth", x = al.arange(6):totable(), y = last.series },
  { name = "estimate", x = al.arange(6):totable(), y = series } } },
  { alt = "CBD along a series", caption = "A cycling series: CBD grows and breaks up." })

local COLOURS = { { 1, 1, 1 }, { 0.35, 0.38, 0.42 }, { 0.9, 0.62, 0.1 }, { 0.15, 0.45, 0.75 } }
local half = math.floor(run.side / 2)
local gray = ((last.test.x[half] + 1.5) / 4):clamp(0, 1):unsqueeze(1):expand(3, -1, -1)
local views = { gray, structure.paint(last.test.y[half], COLOURS) }
for _, name in ipairs { "threshold", "real", "both" } do
  views[#views + 1] = structure.paint(last.found[name][half], COLOURS)
end
run:picture("slices", al.cat(views, 3), { pixels = true, alt = "A slice of a test volume",
  caption = "A slice: tomography, truth, multi-Otsu, real only, real and artificial. Graphite "
    .. "gray, silicon orange, CBD blue." })
run:picture("volume", al.cat({ structure.render(last.test.y, COLOURS),
  structure.render(last.found.both, COLOURS) }, 3), { alt = "A test volume rendered",
  caption = "The test volume: truth, and as segmented by the network of both." })

if al.version().plugins.tiff then -- from a stack to a stack, a few layers in memory
  local from = run.volume ~= "" and run.volume or run:path "scan.tif"
  if run.volume == "" then al.image.save(from, last.test.x:unsqueeze(2)) end
  lab.segment_stack(function(x) return last.net(run.volume ~= "" and normal(x) or x) end, from,
    run:path "segmented.tif", { tile = 32, margin = 12, step = 4 })
end

-- ---- claims ---------------------------------------------------------------------------------

run:claim { id = "both_beats_real", text = "mean Dice, artificial and real minus real only",
  paper = "artificial electrodes enhance", measured = run:paired("both", "real", "dice"),
  above = 0 }
run:claim { id = "rare_phases", text = "Dice of silicon and CBD, both minus real only",
  measured = run:paired("both", "real", "rare"), at_least = 0.03 }
run:claim { id = "control", text = "the same gain over labels that belong to other scans",
  measured = run:paired("both", "control", "rare"), above = 0 }
run:claim { id = "real_beats_threshold", text = "mean Dice, real only minus multi-Otsu",
  measured = run:paired("real", "threshold", "dice"), at_least = 0.2 }
run:claim { id = "both_beats_threshold", text = "mean Dice, both minus multi-Otsu",
  measured = run:paired("both", "threshold", "dice"), at_least = 0.2 }
run:claim { id = "useful", text = "mean Dice of both", measured = run:summary("both", "dice"),
  at_least = 0.85 }
local otsu = run:summary("threshold", "dice")
run:claim { id = "otsu_fails", text = "mean Dice of multi-Otsu: at most 0.65", measured = otsu,
  holds = otsu.mean <= 0.65 }
local off = run:summary("both", "fraction_error")
run:claim { id = "fractions", text = "largest error of a phase's share, both: below 0.02",
  measured = off, holds = off.mean < 0.02 }
run:claim { id = "cycling_share", text = "rank correlation of CBD's share along the series",
  paper = "CBD followed over cycles", measured = run:summary("both", "follows"),
  at_least = 0.9 }
run:claim { id = "cycling_surface", text = "rank correlation of CBD's surface along the series",
  measured = run:summary("both", "follows_surface"), at_least = 0.9 }
run:report()
