local al = require "albedo"
local files = require "spec.support.files"
local nn = al.nn

local function folder()
  local dir = files.tmp()
  al.io.make_folder(dir)
  return dir
end

local stderr, folders = io.stderr, {} -- progress is not the suite's to show
setup(function() rawset(io, "stderr", io.open("/dev/null", "w")) end)
teardown(function()
  io.stderr:close()
  rawset(io, "stderr", stderr)
  for _, dir in ipairs(folders) do os.execute("rm -r '" .. dir .. "'") end
end)

al.seed(1)
local x = al.randn { 120, 2 }
local y = (x[":, 1"] * x[":, 2"]):gt(0):to "int64" + 1
local set = al.data.tensors(x, y)

local function network()
  return nn.Sequential { nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 2) }
end

local function weights(net)
  local out = {}
  for _, p in ipairs(net:parameters()) do out[#out + 1] = p:bytes() end
  return table.concat(out)
end

local function loader() return al.data.loader(set, { batch = 16, shuffle = true, seed = 9 }) end

local function stem()
  local dir = folder()
  folders[#folders + 1] = dir
  return dir .. "/net"
end

-- So that the next call begins anew.
local function forget(path)
  for _, ending in ipairs { ".part", "" } do os.remove(path .. ending .. ".safetensors") end
end

local function lines(path)
  local out = {}
  for line in io.lines(path) do out[#out + 1] = al.json.decode(line) end
  return out
end

describe("al.fit", function()
  it("does what an explicit loop does, to the bit", function()
    al.seed(5)
    local one = network()
    al.fit(one, loader(), { steps = 20, lr = 0.02, warmup = 3, clip = 0.5 })
    al.seed(5)
    local other = network()
    local opt = al.optim.adamw(other:parameters(), { lr = 0.02 })
    local schedule = al.optim.schedule.cosine(opt, { steps = 20, warmup = 3 })
    local batches, step = loader(), 0
    other:train()
    while step < 20 do
      for a, b in batches() do
        step = step + 1
        local loss = other(a):cross_entropy(b)
        opt:zero_grad()
        loss:backward()
        al.optim.clip_grad_norm(other:parameters(), 0.5)
        opt:step()
        schedule:step()
        if step == 20 then break end
      end
    end
    assert.is_true(weights(one) == weights(other))
  end)

  it("adds up batches: accumulate = 2 is a batch twice as large", function()
    local function train(batch, k)
      al.seed(5)
      local net = nn.Linear(2, 2):to "float64"
      local even = al.data.tensors(x:narrow(1, 1, 96):to "float64", y:narrow(1, 1, 96))
      al.fit(net, al.data.loader(even, { batch = batch }), { epochs = 2, accumulate = k })
      return net.weight
    end
    assert.is_true((train(16, 1) - train(8, 2)):abs():max():item() < 1e-12)
  end)

  it("validates by a loader, keeps the best weights, stops early", function()
    local net = network()
    local scores = { 3, 2, 5, 4, 4, 1, 9 }
    local at = 0
    local kept
    local h = al.fit(net, loader(), { steps = 70, checks = 7, patience = 2, best = "high",
      validate = function(n)
        at = at + 1
        assert.is_false(n.training)
        if scores[at] == 5 then kept = weights(n) end
        return scores[at]
      end })
    assert.same({ 3, 2, 5, 4, 4 }, h.score.value)
    assert.same({ 5, 50, true }, { h.best, h.step, h.stopped })
    assert.is_true(weights(net) == kept)
    h = al.fit(network(), loader(), { epochs = 4, checks = 2, lr = 0.05, validate = loader() })
    assert.equal(h.best, math.min(h.score.value[1], h.score.value[2])) -- a loss: the lowest
  end)

  it("validates and keeps the averages of ema; plateau follows the checks", function()
    local net, seen = network(), nil
    local optim = al.optim.sgd(net:parameters(), { lr = 0.1 })
    al.fit(net, loader(), { steps = 10, checks = 1, ema = 0.5, optim = optim,
      schedule = al.optim.schedule.plateau(optim, { best = "high", patience = 0 }),
      validate = function(n) seen = weights(n) return 1 end })
    assert.is_true(seen == weights(net))
    al.fit(net, loader(), { steps = 10, optim = optim, validate = function() return 1 end,
      schedule = al.optim.schedule.plateau(optim, { best = "high", patience = 3 }) })
    assert.near(0.001, optim.groups[1].lr, 1e-12) -- ten checks: worse at 2-5 and 6-9
  end)

  it("goes on at any step to the same bits, figures and history", function()
    local function train(path, fail_at)
      al.seed(4)
      local net, calls = network(), 0
      local function loss(output, target)
        calls = calls + 1
        if calls == fail_at then error "the power failed" end
        return output:cross_entropy(target)
      end
      local ok, h = pcall(al.fit, net, loader(), { steps = 24, lr = 0.02, checks = 4, loss = loss,
        validate = loader(), ema = 0.9, save = path, save_every = 0, clip = 1 })
      return ok, weights(net), h
    end
    local whole = stem()
    local _, expected, history = train(whole)
    for _, at in ipairs { 2, 8, 9, 23 } do -- within, at the end, and at the start of an epoch
      local path = stem()
      assert.is_false((train(path, at)))
      local ok, found, h = train(path)
      assert.is_true(ok)
      assert.is_true(found == expected, "stopped at " .. at)
      assert.same(history.loss, h.loss)
      assert.same(history.score, h.score)
      assert.is_true(h.resumed)
      local a, b = lines(whole .. ".jsonl"), lines(path .. ".jsonl")
      assert.equal(24, #b)
      for i = 1, 24 do assert.equal(a[i].loss, b[i].loss) assert.equal(i, b[i].step) end
      for _, ending in ipairs { ".previous", ".best" } do
        assert.is_false(al.io.exists(path .. ending .. ".safetensors"))
      end
      local again
      ok, again, h = train(path) -- over: read back
      assert.is_true(ok and again == expected)
      assert.same(history.score, h.score)
    end
  end)

  it("falls back on the checkpoint before when the last is spoilt", function()
    local path = stem()
    local function train(fail_at)
      al.seed(4)
      local net, calls = network(), 0
      local ok = pcall(al.fit, net, loader(), { steps = 12, save = path, save_every = 0,
        loss = function(o, t)
          calls = calls + 1
          if calls == fail_at then error "out" end
          return o:cross_entropy(t)
        end })
      return weights(net), ok
    end
    local expected = train()
    forget(path)
    train(7)
    local part = path .. ".part.safetensors"
    files.write(part, files.read(part):sub(1, -9))
    local found, ok = train()
    assert.is_true(ok and found == expected)
    forget(path)
    train(7)
    for _, name in ipairs { ".part", ".previous" } do
      files.write(path .. name .. ".safetensors", "spoilt")
    end
    assert.error_matches(function() al.fit(network(), loader(), { steps = 12, save = path }) end,
      "no checkpoint can be read")
  end)

  it("ends the step at SIGINT, saves, raises, and goes on", function()
    if jit then return end -- the call below names lua's process through sh
    local path = stem()
    local function train(kill)
      al.seed(4)
      local net, calls = network(), 0
      local ok, message = pcall(al.fit, net, loader(), { steps = 12, save = path,
        loss = function(o, t)
          calls = calls + 1
          if calls == kill then io.popen("kill -INT $PPID"):close() end
          return o:cross_entropy(t)
        end })
      return ok, weights(net), message
    end
    local _, expected = train()
    forget(path)
    local ok, _, message = train(5)
    assert.is_false(ok)
    assert.equal(5, message.step)
    assert.is_truthy(tostring(message):find("interrupted after step 5; saved", 1, true))
    local done, found = train()
    assert.is_true(done and found == expected)
  end)

  it("goes on where a finished run ended when more is asked, to the bits of a longer run", function()
    local function train(path, epochs, o)
      al.seed(4)
      local net = network()
      local given = { epochs = epochs, checks = epochs, schedule = "none", lr = 0.02, ema = 0.9,
        validate = loader(), save = path }
      for name, value in pairs(o or {}) do given[name] = value end
      local h = al.fit(net, loader(), given)
      return weights(net), h
    end
    local whole, path = stem(), stem()
    local expected, history = train(whole, 6)
    train(path, 2)
    local found, h = train(path, 6)
    assert.is_true(found == expected)
    assert.same({ history.loss, history.score, history.step }, { h.loss, h.score, h.step })
    assert.is_true(h.resumed)
    local a, b = lines(whole .. ".jsonl"), lines(path .. ".jsonl")
    assert.equal(48, #b)
    for i = 1, 48 do assert.equal(a[i].loss, b[i].loss) end
    assert.is_true(select(1, train(path, 6)) == expected) -- over: read back
    assert.error_matches(function() train(path, 5) end, "trained for 48 steps, 40 are asked")
    path = stem()
    train(path, 2, { schedule = "cosine" }) -- whose rate depends on the length: other bits
    assert.equal(24, select(2, train(path, 3, { schedule = "cosine" })).step)
    path = stem()
    train(path, 2, { extend = false })
    assert.is_false(al.io.exists(path .. ".part.safetensors"))
    assert.error_matches(function() train(path, 3) end, "16 steps, 24 are asked, and the checkpoint")
  end)

  it("stays stopped when longer is asked, unless with more patience", function()
    local path = stem()
    local function train(steps, patience)
      local scores, at = { 1, 0, 0, 0, 0, 0 }, 0
      return al.fit(network(), loader(), { steps = steps, checks = steps / 10, patience = patience,
        schedule = "none", save = path, validate = function() at = at + 1 return scores[at] end })
    end
    assert.equal(30, train(60, 2).step)
    local h = train(80, 2)
    assert.same({ 30, true }, { h.step, h.stopped })
    assert.is_true(train(90, 4).step > 30)
  end)

  it("calls L-BFGS with a closure: an explicit loop's steps, the same noise in each search", function()
    local whole = al.data.tensors(x, y)
    local function all() return al.data.loader(whole, { batch = 120 }) end
    local function options() return { lr = 0.5, max_iter = 5, line_search = true } end
    al.seed(5)
    local one = nn.Sequential { nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2) }
    local h = al.fit(one, all(), { steps = 6, optim = al.optim.lbfgs(one:parameters(), options()) })
    al.seed(5)
    local other = nn.Sequential { nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2) }
    local opt, last = al.optim.lbfgs(other:parameters(), options()), nil
    for _ = 1, 6 do
      last = opt:step(function()
        opt:zero_grad()
        local loss = other(x):cross_entropy(y)
        loss:backward()
        return loss
      end)
    end
    assert.is_true(weights(one) == weights(other))
    assert.equal(last, h.loss.value[6])
    assert.is_true(last < 0.9 * h.loss.value[1])

    local calls, seen = 0, {} -- within one step the noise does not change
    local net = nn.Linear(2, 2)
    al.fit(net, all(), { steps = 1, optim = al.optim.lbfgs(net:parameters(), options()),
      loss = function(o, t)
        calls = calls + 1
        seen[calls] = al.rand(1):item()
        return o:cross_entropy(t)
      end })
    assert.is_true(calls > 2)
    for i = 2, calls do assert.equal(seen[1], seen[i]) end
    assert.error_matches(function()
      al.fit(net, all(), { steps = 1, clip = 1, optim = al.optim.lbfgs(net:parameters(), {}) })
    end, "clip would change")
    assert.error_matches(function()
      al.fit(net, all(), { steps = 1, optim = al.optim.lbfgs(net:parameters(), {}),
        loss = function(o) return o:sum() * (0 / 0) end })
    end, "NaN at step 1")
  end)

  it("goes on with L-BFGS to the same bits; accumulate joins its batches", function()
    local function train(path, fail_at, batch, k)
      al.seed(4)
      local net, calls = network():to "float64", 0
      local set64 = al.data.tensors(x:narrow(1, 1, 96):to "float64", y:narrow(1, 1, 96))
      local ok = pcall(al.fit, net, al.data.loader(set64, { batch = batch or 48 }), { steps = 6,
        accumulate = k, save = path, save_every = 0,
        optim = al.optim.lbfgs(net:parameters(), { max_iter = 4, line_search = true, lr = 0.5 }),
        loss = function(o, t)
          calls = calls + 1
          if calls == fail_at then error "out" end
          return o:cross_entropy(t)
        end })
      return weights(net), ok, net
    end
    local whole, path = stem(), stem()
    local expected = train(whole)
    local _, ok = train(path, 14)
    assert.is_false(ok)
    local found, done = train(path)
    assert.is_true(done and found == expected)
    local function plain(batch, k)
      al.seed(4)
      local net = nn.Linear(2, 2):to "float64"
      local set64 = al.data.tensors(x:narrow(1, 1, 96):to "float64", y:narrow(1, 1, 96))
      al.fit(net, al.data.loader(set64, { batch = batch }), { steps = 3, accumulate = k,
        optim = al.optim.lbfgs(net:parameters(), { max_iter = 4, line_search = true }) })
      return net.weight
    end
    assert.is_true((plain(96, 1) - plain(32, 3)):abs():max():item() < 1e-9)
  end)

  it("reports a full disk, goes on, and leaves the former checkpoint", function()
    -- a limit on a file's size fails as a full disk does: the write gives an error
    local path, script = stem(), files.tmp ".lua"
    files.write(script, ([[
      local al = require "albedo"
      al.seed(1)
      local net = al.nn.Linear(2, 2)
      local function batches() return al.ones(4, 2), al.ones(4, { dtype = "int64" }) end
      local calls, big = 0, nil
      al.fit(net, batches, { steps = 6, save = %q, save_every = 0,
        optim = setmetatable({}, { __index = function(t, name)
          if not big then big = al.optim.sgd(net:parameters(), { lr = 0.1 }) end
          local f = big[name]
          if name == "state_dict" then
            return function()
              calls = calls + 1 -- from the third save on the state outgrows the limit
              local s = big:state_dict()
              if calls > 2 then s.ballast = al.zeros(100000) end
              return s
            end
          end
          return type(f) == "function" and function(_, ...) return f(big, ...) end or f
        end }), loss = function(o, y, x)
          if calls == 4 then
            local f = al.load(%q .. ".part.safetensors")
            print("former", f.step)
          end
          return o:cross_entropy(y)
        end })
      print "done" ]]):format(path, path))
    local pipe = io.popen(("sh -c 'trap \"\" XFSZ; ulimit -f 40; exec %s %s' 2>&1")
      :format(os.getenv "LUA" or "lua5.4", script))
    local out = pipe:read "*a"
    pipe:close()
    assert.is_truthy(out:find("step 3 is not saved, the checkpoint before it stands: ", 1, true), out)
    assert.is_truthy(out:find("File too large", 1, true), out)
    assert.is_truthy(out:find("former%s+2"), out)
    assert.is_truthy(out:find("done", 1, true), out)
    assert.equal(6, #lines(path .. ".jsonl"))
  end)

  it("says what is wrong with its options", function()
    local net = network()
    for _, case in ipairs {
      { { steps = 0 }, "steps is a whole number from 1" }, { {}, "steps or epochs" },
      { { steps = 2, schedule = "cosin" }, "schedule is" },
      { { steps = 2, best = "most" }, 'best is "low" or "high"' },
      { { steps = 2, stepz = 3 }, "unknown option 'stepz'" },
      { { steps = 2, validate = function() return "x" end }, "gives no number" },
    } do
      assert.error_matches(function() al.fit(net, loader(), case[1]) end, case[2])
    end
  end)
end)

describe("al.fit, called wrongly", function()
  local net = network()
  local function batches(o) return al.data.loader(set, o) end
  local none = al.data.list({}, function(v) return v end)

  it("raises at once where a loader gives no batch", function()
    local large = { batch = 500, drop_last = true }
    for _, case in ipairs {
      { al.data.loader(none, { batch = 4 }), { steps = 5 }, "the loader gives no batch: 0 samples" },
      { batches(large), { epochs = 2 }, "120 samples, batch = 500, drop_last" },
      { batches { batch = 8 }, { steps = 1, validate = batches(large) }, "validate gives no batch" },
    } do
      assert.error_matches(function() al.fit(net, case[1], case[2]) end, case[3])
    end
    -- what cannot say its length: an epoch without a batch ends it
    local silent = setmetatable({}, { __call = function() return function() end end })
    assert.error_matches(function() al.fit(net, silent, { steps = 5 }) end, "no batch any more")
  end)

  it("says so in one sentence at the caller's line", function()
    local loss = function() end
    for _, case in ipairs {
      { { nil, batches { batch = 8 }, { steps = 1 } }, "net is a module" },
      { { loss, batches { batch = 8 }, { steps = 1 } }, "net is a module.*got a function" },
      { { net, nil, { steps = 1 } }, "batches is a loader.*got nothing" },
      { { net, set, { steps = 1 } }, "batches is a loader.*got a dataset: al.data.loader" },
      { { net, function() end, { epochs = 1 } }, "steps must be given" },
      { { net, batches { batch = 8 }, { steps = 1, epochs = 1 } }, "steps or epochs, not both" },
      { { net, batches { batch = 8 }, { steps = 1, optim = "sgd" } }, 'got "sgd"' },
      { { net, batches { batch = 8 }, { steps = 1, optim = al.optim.sgd } }, "optim is an optimizer" },
      { { net, batches { batch = 8 }, { steps = 1, loss = "mse" } }, 'loss is a function.*got "mse"' },
      { { net, batches { batch = 8 }, { steps = 1, loss = loss } }, "it returned nothing" },
      { { net, batches { batch = 8 }, { steps = 1, loss = function(o) return o end } }, "one of 16" },
      { { net, batches { batch = 8 }, { steps = 1, clip = 0 } }, "clip is a number above 0" },
      { { net, batches { batch = 8 }, { steps = 1, warmup = -3 } }, "warmup is" },
      { { net, batches { batch = 8 }, { steps = 1, warmup = 3 } }, "warmup = 3 is longer" },
      { { net, batches { batch = 8 }, { steps = 1, checks = 0 } }, "checks is" },
      { { net, batches { batch = 8 }, { steps = 1, patience = 2 } }, "patience waits" },
      { { net, batches { batch = 8 }, { steps = 1, lr = -1 } }, "lr is" },
      { { net, batches { batch = 8 }, { steps = 1, ema = 2 } }, "ema is" },
      { { net, batches { batch = 8 }, { steps = 1, validate = set } }, "validate is.*a dataset" },
      { { net, batches { batch = 8 }, { steps = 1, validate = loss } }, "validate returned nothing" },
      { { net, batches { batch = 8 }, { steps = 1,
        validate = function() return { a = 1, b = 2 } end } }, "several figures: `watch`" },
      { { net, batches { batch = 8 }, { steps = 1, save = true } }, "save is a path" },
      { { net, batches { batch = 8 }, { steps = 1, save = "spec/" } }, "is a folder" },
      { { net, batches { batch = 8 }, { steps = 1, save = "spec" } }, "is a folder" },
      { { net, batches { batch = 8 }, { steps = 1, about = { print } } }, "about is a table" },
    } do
      local a = case[1]
      local ok, message = pcall(function() al.fit(a[1], a[2], a[3]) end)
      assert.is_false(ok)
      assert.is_truthy(message:find "^[^\n]*fit_spec.lua:%d+: al.fit: [^\n]*$", message)
      assert.is_truthy(message:find(case[2]), message)
    end
  end)

  it("keeps the lines that led to an error inside a model", function()
    local function inner(v) return v.nothing.at_all end
    local model = nn.Sequential { nn.Linear(2, 2) }
    local function loss(output)
      local value = inner(output) -- not a tail call
      return value
    end
    for _, from in ipairs { loader(), function() return x, y end } do
      local ok, message = pcall(al.fit, model, from, { steps = 1, loss = loss })
      assert.is_false(ok)
      local _, n = message:gsub("fit_spec.lua:%d+", "")
      assert.equal(2, n, message)
    end
  end)
end)

describe("a run's files", function()
  local function train(path, o, other)
    al.seed(4)
    local net = other or network()
    local given = { steps = 12, lr = 0.02, save = path, save_every = 0 }
    for name, value in pairs(o or {}) do given[name] = value end
    local batches = given.batches or loader()
    given.batches = nil
    local h = al.fit(net, batches, given)
    return weights(net), h
  end
  -- Cut off at a batch; a loss that raises is still a function to the record.
  local function cut(path, at, o)
    local calls = 0
    local given = { loss = function(output, target)
      calls = calls + 1
      if calls == at then error "out" end
      return output:cross_entropy(target)
    end }
    for name, value in pairs(o or {}) do given[name] = value end
    return pcall(train, path, given)
  end
  local function refused(path, o, words, other)
    local ok, message = pcall(function() train(path, o, other) end)
    assert.is_false(ok, words)
    assert.is_truthy(message:find("is of another run: ", 1, true), message)
    assert.is_truthy(message:find(words), message)
    assert.is_truthy(message:find "fresh = true")
    assert.is_truthy(message:find "another `save`")
  end
  local plain = function(output, target) return output:cross_entropy(target) end

  it("are of one run: a trained network is not passed off as another call's", function()
    local path = stem()
    local expected = train(path, { about = { classes = { "in", "out" } } })
    local kept = al.load(path .. ".safetensors")
    assert.same({ classes = { "in", "out" } }, al.json.decode(kept.about))
    assert.is_nil(kept.seconds)
    local about = { classes = { "in", "out" } }
    assert.is_true(train(path, { about = about }) == expected) -- the same: read back
    refused(path, { about = about, batches = al.data.loader(al.data.tensors(x + 1, y),
      { batch = 16, shuffle = true }) }, "data was 120 samples %(%x+%) by 16, shuffled, is 120")
    refused(path, { about = about, batches = al.data.loader(set, { batch = 15 }) }, "data was")
    refused(path, { about = about }, "network was",
      nn.Sequential { nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2) })
    refused(path, { about = { classes = { "a" } } }, "about was")
    refused(path, { about = about, lr = 0.5, clip = 1 }, "clip was not given, is 1; lr was 0.02")
    assert.is_false(train(path, { lr = 0.5, fresh = true }) == expected)
  end)

  it("tell folders of pictures apart by names and classes, wherever they lie", function()
    local function pictures(dir, class)
      local items = {}
      for i = 1, 20 do
        items[i] = { path = ("%s/%s/%d.png"):format(dir, class, i), class = class, at = i }
      end
      local read = al.data.list(items, function(item) return x[item.at], y[item.at]:item() end)
      return al.data.loader(read:map(function(a, b) return a, b end):subset { 3, 1, 2, 5 },
        { batch = 2 })
    end
    local path = stem()
    train(path, { batches = pictures("one", "cat") })
    train(path, { batches = pictures("two/three", "cat") })
    refused(path, { batches = pictures("one", "dog") }, "data was 4 samples")
  end)

  it("of a run cut off: a changed option is named", function()
    local path = stem()
    assert.is_false((cut(path, 7)))
    for name, value in pairs { lr = 0.001, weight_decay = 0.5, clip = 1, accumulate = 2,
      schedule = "none", warmup = 2, ema = 0.5 } do
      refused(path, { loss = plain, [name] = value }, name .. " was")
    end
    refused(path, {}, "loss was a function, is cross_entropy")
    local whole = stem()
    assert.is_true(train(path, { loss = plain, save_every = 9 }) == train(whole, { loss = plain }))
    assert.equal(files.read(whole .. ".safetensors"), files.read(path .. ".safetensors"))
  end)

  it("hold no weights that are not finite: infinite loss, gradient, weights", function()
    local function broken(kind)
      local path, calls = stem(), 0
      local function loss(output, target)
        calls = calls + 1
        local value = output:cross_entropy(target)
        if calls < 6 then return value end
        if kind == "loss" then return value * math.huge end
        -- the root's slope at 0 is infinite, its value is not
        return value + (output * 0):abs():sum():sqrt()
      end
      local ok, message = pcall(train, path, { loss = loss })
      assert.is_false(ok)
      return path, message
    end
    for kind, words in pairs { loss = "the loss is inf at step 6", slope = "gradient is not finite at step 6" } do
      local path, message = broken(kind)
      assert.is_truthy(message:find(words, 1, true), message)
      assert.is_truthy(message:find("Step 5 is kept in " .. path, 1, true), message)
      assert.is_truthy(message:find "fresh = true")
      for name, t in pairs(al.load(path .. ".part.safetensors")) do
        if al.is_tensor(t) and name:find "^model" then
          assert.equal(0, (t - t):abs():sum():item(), name)
        end
      end
      train(path, { loss = plain }) -- goes on from there
    end
    local path = stem() -- weights that a step of the optimizer spoils
    local net = network()
    local sgd = al.optim.sgd(net:parameters(), { lr = 0.1 })
    local step = sgd.step
    sgd.step = function(self)
      step(self)
      al.no_grad(function() net[1].weight:fill_(0 / 0) end)
    end
    assert.error_matches(function()
      al.fit(net, loader(), { steps = 3, optim = sgd, save = path, save_every = 0 })
    end, "weights are not finite after step 1")
    assert.is_false(al.io.exists(path .. ".part.safetensors"))
  end)

  it("are one process's at a time; a dead one holds nothing", function()
    if jit then return end -- names lua5.4
    local path = stem()
    local held = al.native.lock(path .. ".lock")
    local ok, message = pcall(train, path)
    assert.is_false(ok)
    assert.is_truthy(message:find("is being trained by process %d+"), message)
    al.native.unlock(path .. ".lock", held)
    os.execute(("%s -l albedo -e 'albedo.native.lock(%q) os.exit(true, false)'")
      :format(os.getenv "LUA" or "lua5.4", path .. ".lock"))
    assert.is_true(al.io.exists(path .. ".lock"))
    train(path)
    assert.is_false(al.io.exists(path .. ".lock"))
    cut(path, 3, { fresh = true }) -- an error frees it
    assert.is_false(al.io.exists(path .. ".lock"))
  end)

  it("show a flipped bit by their checksum: the checkpoint before serves", function()
    if not require("albedo.optional").list().zlib then return end
    local path = stem()
    local expected = train(path, { loss = plain })
    forget(path)
    cut(path, 7)
    local part = path .. ".part.safetensors"
    local bytes = files.read(part)
    local at = #bytes - 50
    files.write(part, bytes:sub(1, at - 1) .. string.char((bytes:byte(at) + 64) % 256) .. bytes:sub(at + 1))
    local saves = require "albedo.saves"(path)
    local file, why = saves:open()
    assert.is_truthy(file.path:find(".previous", 1, true))
    assert.is_truthy(why:find "damaged", why)
    assert.is_true(train(path, { loss = plain }) == expected)
  end)

  it("cannot be written: told before the first step, or the weights are elsewhere", function()
    local before, calls = stem(), 0
    local function count(output, target)
      calls = calls + 1
      return output:cross_entropy(target)
    end
    files.write(before, "a file where a folder is asked for")
    assert.error_matches(function() train(before .. "/net", { loss = count }) end, "cannot write")
    assert.equal(0, calls)
    local path = stem()
    local _, message = pcall(train, path, { loss = function(output, target)
      al.io.make_folder(path .. ".safetensors") -- in the place of the trained network's file
      return output:cross_entropy(target)
    end })
    local elsewhere = message:match "Its weights are in (%S+)"
    assert.is_truthy(elsewhere, message)
    al.load(elsewhere, { model = network() })
    os.remove(elsewhere)
  end)

  it("say how many figures are lost with the file of their lines", function()
    local path, said = stem(), {}
    cut(path, 7)
    os.remove(path .. ".jsonl")
    local null = io.stderr
    rawset(io, "stderr", { write = function(_, ...) said[#said + 1] = table.concat { ... } end,
      flush = function() end })
    local ok, message = pcall(train, path, { loss = plain })
    rawset(io, "stderr", null)
    assert.is_true(ok, message)
    assert.is_truthy(table.concat(said):find("net.jsonl has lost the figures of 6 steps", 1, true))
  end)

  it("left over by a process that was killed are removed", function()
    local path = stem()
    local left = { ".part.safetensors.new.lEgQpS", ".safetensors.aB3dEf", ".part.safetensors.abcdef" }
    local other = path .. "2.safetensors.aB3dEf" -- another training's
    for _, ending in ipairs(left) do files.write(path .. ending, "x") end
    files.write(other, "x")
    train(path)
    for _, ending in ipairs(left) do assert.is_false(al.io.exists(path .. ending), ending) end
    assert.is_true(al.io.exists(other))
  end)
end)

describe("a loader's place", function()
  it("is in its state: the rest of an epoch comes, and those after it", function()
    local function values(batches, n)
      local out = {}
      for a in batches() do
        out[#out + 1] = a:bytes()
        if #out == n then return out, batches:state_dict() end
      end
      return out
    end
    for _, workers in ipairs { 0, not jit and 2 or nil } do
      local function fresh()
        return al.data.loader(set, { batch = 16, shuffle = true, seed = 9, workers = workers })
      end
      local a, b = fresh(), fresh()
      local first = values(a)
      local _, state = values(b, 3)
      assert.same({ 1, 3, 9 }, { state.epoch, state.given, state.seed })
      local c = fresh()
      c:load_state_dict(state)
      assert.same(state, c:state_dict())
      local rest = values(c)
      assert.equal(#first - 3, #rest)
      for i = 1, #rest do assert.is_true(rest[i] == first[i + 3]) end
      local second = values(c)
      assert.same(values(a), second)
    end
  end)
end)
