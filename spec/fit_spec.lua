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
      { { steps = 0 }, "steps is a whole number from 1" }, { {}, "steps is a whole" },
      { { steps = 2, schedule = "cosin" }, "schedule is" },
      { { steps = 2, best = "most" }, 'best is "low" or "high"' },
      { { steps = 2, stepz = 3 }, "unknown option 'stepz'" },
      { { steps = 2, validate = function() return "x" end }, "gives no number" },
    } do
      assert.error_matches(function() al.fit(net, loader(), case[1]) end, case[2])
    end
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
