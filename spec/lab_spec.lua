local al = require "albedo"
local nn, lab = al.nn, al.lab

local folders = {}
local function folder()
  local dir = os.tmpname()
  os.remove(dir)
  folders[#folders + 1] = dir
  return dir
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local bytes = file:read "*a"
  file:close()
  return bytes
end

-- Starts a run that says nothing.
local function start(own, args)
  local run = lab.start("toy", own, args)
  run.say = function() end
  return run
end

local stderr = io.stderr -- progress is not the suite's to show
setup(function() rawset(io, "stderr", io.open("/dev/null", "w")) end)
teardown(function()
  io.stderr:close()
  rawset(io, "stderr", stderr)
  for _, dir in ipairs(folders) do os.execute("rm -r '" .. dir .. "'") end
end)

describe("al.cli", function()
  local own = {
    depth = 4, rate = 0.5, jpeg = true, slow = false, name = "x", steps = 100, seeds = 3,
    quick = { steps = 10, seeds = 1 }, claims = { seeds = 5 },
  }

  it("types options like their defaults", function()
    local o = al.cli.parse("toy", "about", own, {})
    assert.same({ 4, 0.5, true, false, "x", 100, 3, 1 },
      { o.depth, o.rate, o.jpeg, o.slow, o.name, o.steps, o.seeds, o.seed })
    assert.is_false(o.quick)
    o = al.cli.parse("toy", "about", own,
      { "--depth", "6", "--no-jpeg", "--slow", "--rate", "2", "--data", "d" })
    assert.same({ 6, false, true, 2, "d" }, { o.depth, o.jpeg, o.slow, o.rate, o.data })
  end)

  it("lets the command line win over --quick and --claims", function()
    local o = al.cli.parse("toy", "about", own, { "--quick" })
    assert.same({ 10, 1, true }, { o.steps, o.seeds, o.quick })
    o = al.cli.parse("toy", "about", own, { "--quick", "--steps", "77" })
    assert.same({ 77, 1 }, { o.steps, o.seeds })
    assert.equal(5, al.cli.parse("toy", "about", own, { "--claims" }).seeds)
  end)
end)

describe("a run", function()
  it("keeps its folder, seeds, arms and scores", function()
    local dir = folder()
    local run = start({ title = "Toy", width = 8, seeds = 2 }, { "--out", dir, "--seed", "5" })
    assert.equal(8, run.width)
    local seen = {}
    for seed in run:seeds() do
      for name, build in run:arms { b = function() return 2 end,
        a = function() return 1 end } do
        seen[#seen + 1] = ("%s%d%s"):format(name, seed, al.rand({ 1 }):item())
        run:score(name, seed, { f1 = build() + seed, bad = 0 / 0 })
      end
      assert.is_not_nil(read(dir .. "/metrics.json") or seed == 5)
    end
    assert.equal(4, #seen)
    assert.equal(seen[1]:sub(2), seen[2]:sub(2)) -- both arms start from the same random state
    assert.not_equal(seen[1]:sub(3), seen[3]:sub(3))
    assert.same({ 6, 7 }, run:values("a", "f1"))
    assert.equal(7.5, run:summary("b", "f1").mean)
    local difference = run:paired("b", "a", "f1")
    assert.same({ 1, 2 }, { difference.mean, difference.n })
    assert.equal(0, run:paired("b", "none", "f1").n)
  end)

  it("finds a data set given directly or by the folder around it", function()
    local run = start({}, { "--out", folder(), "--data", "spec" })
    assert.equal("spec/data", run:data_dir "data")
    assert.equal("spec", run:data_dir "none")
  end)

  it("runs the arms of a list in its order", function()
    local run, order = start({}, { "--out", folder() }), ""
    for name in run:arms { { "z", print }, { "a", print } } do order = order .. name end
    assert.equal("za", order)
  end)

  it("judges claims by their rule", function()
    local run = start({}, { "--out", folder() })
    local function holds(c)
      c.id = "x"
      return run:claim(c).holds
    end
    assert.is_true(holds { measured = { mean = 2, low = 1, high = 3, n = 3 }, above = 0 })
    assert.is_false(holds { measured = { mean = 2, low = -1, high = 5, n = 3 }, above = 0 })
    assert.is_true(holds { measured = 0.91, at_least = 0.9 })
    assert.is_false(holds { measured = 0.89, at_least = 0.9 })
    assert.is_true(holds { measured = 0.52, interval = { 0.46, 0.58 }, contains = 0.5 })
    assert.is_false(holds { measured = 0.62, interval = { 0.56, 0.68 }, contains = 0.5 })
    assert.is_true(holds { measured = 2, within = { 1.5, 2 } })
    assert.is_false(holds { measured = { mean = 2.1, low = 1, high = 3, n = 3 }, within = { 1.5, 2 } })
    assert.is_false(holds { measured = 1, at_least = 0, holds = false })
    assert.is_nil(holds { measured = 0 / 0, above = 0 })
    assert.is_nil(holds { measured = 1 })
    assert.is_nil(holds { measured = { n = 0 }, above = 0 })
  end)

  it("judges no interval of a single seed, and pairs by seed", function()
    local run = start({}, { "--out", folder(), "--seeds", "3" })
    run:score("a", 1, { f1 = 0.5 })
    run:score("a", 2, { f1 = 0.9 })
    run:score("b", 1, { f1 = 0.1 })
    run:score("b", 3, { f1 = 0.2 })
    local pair = run:paired("a", "b", "f1")
    assert.same({ 1, 0.4 }, { pair.n, pair.mean })
    assert.is_nil(run:claim({ id = "x", text = "x", measured = pair, above = 0 }).holds)
    assert.is_true(run:claim({ id = "y", text = "y", measured = 0.7, above = 0.5 }).holds)
  end)

  it("leaves report.html and metrics.json", function()
    local dir = folder()
    local run = start({ title = "Toy <1>", about = "Lead." }, { "--out", dir, "--seeds", "1" })
    run:heading "Detection"
    run:table("detection",
      { caption = "c", columns = { "arm", "f1" },
      rows = { { "a", 0 / 0 }, { "b", { mean = 1 } } } })
    run:picture("map", al.zeros { 3, 4, 4 }, { alt = "black", credit = "B. Author, CC0" })
    run:plot("lines", "loss", { series = { { y = { 1, 2 } } } },
      { alt = "curve", caption = "Loss" })
    run:claim { id = "c1", text = "t", paper = "p", measured = 0.5, interval = { 0.4, 0.6 },
      seeds = 3, contains = 0.5 }
    run:claim { id = "c2", text = "t", measured = 0 / 0, above = 0 }
    assert.equal(dir .. "/report.html", run:report())
    local html = read(dir .. "/report.html")
    assert.is_nil(html:find "http")
    assert.is_truthy(html:find("B. Author, CC0", 1, true))
    assert.is_not_nil(read(dir .. "/map.png"))
    local m = al.json.read(dir .. "/metrics.json")
    assert.equal("toy", m.experiment)
    assert.same({ 1 }, m.seeds)
    assert.is_true(m.complete)
    assert.equal("number", type(m.seconds))
    assert.equal("string", type(m.device))
    assert.equal(al.json.null, m.tables.detection.rows[1][2])
    assert.same({ id = "c1", text = "t", paper = "p", measured = 0.5, interval = { 0.4, 0.6 },
      seeds = 3, holds = true },
      m.claims[1])
    assert.equal(al.json.null, m.claims[2].measured)
    assert.equal(al.json.null, m.claims[2].holds)
    assert.is_truthy(m.notes[1]:find "NaN")
  end)
end)

describe("asking a network", function()
  it("takes a function too, and times it", function()
    local x = al.arange(10):to "float32":reshape(10, 1)
    assert.equal(110, lab.predict(function(part) return part * 2 end, x, 3):sum():item())
    local calls = 0
    assert.is_true(lab.seconds(function() calls = calls + 1 end, x) >= 0)
    assert.equal(7, calls)
  end)
end)

describe("run:fit", function()
  al.seed(1)
  local x = al.randn { 200, 2 }
  local y = (x[":, 1"] * x[":, 2"]):gt(0):to "int64" + 1
  local function network() return nn.Sequential { nn.Linear(2, 16), nn.Tanh(),
    nn.Linear(16, 2) } end
  local function accuracy(net)
    return (lab.predict(net, x):argmax(2):eq(y)):to "float32":mean()
  end
  local function weights(net)
    local out = {}
    for _, p in ipairs(net:parameters()) do out[#out + 1] = p:bytes() end
    return table.concat(out)
  end
  local function batches()
    return al.data.loader(al.data.tensors(x, y), { batch = 40, shuffle = true, seed = 9 })
  end

  it("learns, from a loader or a function, and keeps the best weights", function()
    for _, stream in ipairs { batches(), function() return x, y end } do
      local run = start({ steps = 150 }, { "--out", folder() })
      al.seed(2)
      local net = network()
      local history = run:fit(net, stream, { lr = 0.03, validate = accuracy, clip = 5 })
      local best = 0
      for _, score in ipairs(history.score.value) do best = math.max(best, score) end
      assert.equal(best, accuracy(net):item())
      assert.is_true(best > 0.9)
      assert.equal(10, #history.loss.step)
      assert.is_false(net.training)
    end
  end)

  it("goes on from its checkpoint to the same bits", function()
    local function train(dir, fail_at, stream)
      local run = start({ steps = 40 }, { "--out", dir })
      al.seed(4)
      local net = nn.Sequential { nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(16, 2) }
      local calls = 0
      local function loss(output, target)
        calls = calls + 1
        if calls == fail_at then error "the power failed" end
        return output:cross_entropy(target)
      end
      local ok = pcall(run.fit, run, net, stream,
        {
        lr = 0.02, checks = 4, loss = loss, validate = accuracy, save_every = 0,
      })
      return ok, weights(net), run
    end
    local streams = {
      function() return batches() end,
      function() return function() return x + al.randn(200, 2) * 0.1, y end end,
        -- draws random numbers
    }
    for _, stream in ipairs(streams) do
      local _, whole = train(folder(), nil, stream())
      local dir = folder()
      local ok = train(dir, 27, stream())
      assert.is_false(ok)
      assert.is_not_nil(read(dir .. "/train-0.part.safetensors"))
      local done, resumed = train(dir, nil, stream())
      assert.is_true(done)
      assert.is_true(whole == resumed, "the weights differ")
      assert.is_nil(read(dir .. "/train-0.part.safetensors"))
      local _, again = train(dir, nil, stream()) -- trained already: read back
      assert.is_true(whole == again)
    end
  end)

  it("says when a finished training was of other steps, and what it does not know", function()
    local dir = folder()
    local run = start({}, { "--out", dir })
    run:fit(network(), batches(), { steps = 3 })
    assert.error_matches(function() start({}, { "--out", dir }):fit(network(), batches(), { steps = 5 }) end,
      "was trained for 3 steps, 5 are asked")
    assert.error_matches(function() run:fit(network(), batches(), { steps = 3, schedule = "cosin" }) end, "schedule is")
    for _, steps in ipairs { 0, 2.5 } do
      assert.error_matches(function() run:fit(network(), batches(), { steps = steps }) end, "whole number")
    end
  end)

  it("keeps apart the trainings of one arm", function()
    local dir = folder()
    local run = start({ steps = 3 }, { "--out", dir })
    local net = network()
    run:fit(net, batches())
    local first = weights(net)
    run:fit(net, batches())
    assert.is_false(first == weights(net))
    assert.is_not_nil(read(dir .. "/train-0.safetensors"))
    assert.is_not_nil(read(dir .. "/train-0-2.safetensors"))
  end)

  it("stops at a loss that is NaN", function()
    local run = start({ steps = 5 }, { "--out", folder() })
    local net = network()
    assert.error_matches(function()
      run:fit(net, function() return x, y end,
        { loss = function(o) return o:sum() * (0 / 0) end })
    end, "NaN at step 1")
    assert.error_matches(function() run:fit(net, batches(), { stepz = 3 }) end,
      "unknown option 'stepz'")
  end)
end)

describe("lab.claims", function()
  it("puts the claims of all runs on one page, and says which have not ended", function()
    local dirs = {}
    for k, name in ipairs { "one", "two" } do
      local run = start({ title = name }, { "--out", folder() })
      run:claim { id = "first", text = "more is more", measured = k, at_least = 2 }
      run:claim { id = "second", text = "one seed proves nothing", measured = { mean = 1, n = 1 },
        above = 0 }
      run:report()
      dirs[k] = run.dir
    end
    dirs[3] = "no/such/run"
    local page = os.tmpname()
    assert.equal(2, lab.claims(page, dirs))
    local html = read(page)
    os.remove(page)
    local _, holds = html:gsub("\226\156\147 holds", "")
    local _, fails = html:gsub("does not hold", "")
    assert.same({ 1, 1 }, { holds, fails })
    assert.is_truthy(html:find("not judged", 1, true) and html:find("has not ended", 1, true))
    assert.is_truthy(html:find("1 of 2 judged claims hold", 1, true))
    assert.is_nil(html:find("<img", 1, true))
  end)
end)
