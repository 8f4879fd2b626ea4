local al = require "albedo"
local optim = al.optim

-- Steps two parameters through `steps` gradients that a formula gives, in plain Lua numbers and
-- by the optimizer.
local function gradient(i, k, t) return math.sin(1.7 * i + 0.3 * k + t) * (k + 1) / 4 end

local function run(make, options, rule, steps, dtype, n)
  n = n or 5
  local params, plain = {}, {}
  for i = 1, 2 do
    local values = {}
    for k = 1, n do values[k] = math.cos(i + k / 7) end
    params[i] = al.tensor(values, { dtype = dtype })
    params[i].requires_grad = true
    plain[i] = { values = values, state = {} }
    for k = 1, n do plain[i].state[k] = {} end
  end
  local opt = make(params, options)
  for t = 1, steps do
    for i, p in ipairs(params) do
      local g = {}
      for k = 1, n do
        g[k] = gradient(i, k, t)
        plain[i].values[k] = rule(plain[i].values[k], g[k], plain[i].state[k], t)
      end
      p.grad = al.tensor(g, { dtype = dtype })
    end
    opt:step()
  end
  local tolerance = dtype == "float64" and 1e-12 or 2e-5
  local gap = 0
  for i, p in ipairs(params) do
    for k, v in ipairs(p:totable()) do gap = math.max(gap, math.abs(plain[i].values[k] - v)) end
  end
  assert.is_true(gap <= tolerance, ("differs by %g"):format(gap))
  return opt, params
end

local function sgd_rule(lr, momentum, decay, nesterov)
  return function(p, g, s)
    g = g + decay * p
    if momentum == 0 then return p - lr * g end
    s.m = s.m and momentum * s.m + g or g
    return p - lr * (nesterov and g + momentum * s.m or s.m)
  end
end

local function adam_rule(lr, b1, b2, eps, decay, decoupled)
  return function(p, g, s, t)
    if decoupled then p = p - lr * decay * p else g = g + decay * p end
    s.m = b1 * (s.m or 0) + (1 - b1) * g
    s.v = b2 * (s.v or 0) + (1 - b2) * g * g
    return p - lr * (s.m / (1 - b1 ^ t)) / (math.sqrt(s.v / (1 - b2 ^ t)) + eps)
  end
end

describe("optim", function()
  for _, dtype in ipairs { "float64", "float32" } do
    it("sgd follows its formula in " .. dtype, function()
      run(optim.sgd, { lr = 0.1 }, sgd_rule(0.1, 0, 0), 4, dtype)
      run(optim.sgd, { lr = 0.1, weight_decay = 0.2 }, sgd_rule(0.1, 0, 0.2), 4, dtype)
      run(optim.sgd, { lr = 0.1, momentum = 0.9, weight_decay = 0.1 }, sgd_rule(0.1, 0.9, 0.1),
        5, dtype)
      run(optim.sgd, { lr = 0.1, momentum = 0.9, nesterov = true }, sgd_rule(0.1, 0.9, 0, true),
        5, dtype)
    end)

    it("adam and adamw follow theirs in " .. dtype, function()
      run(optim.adam, { lr = 0.05 }, adam_rule(0.05, 0.9, 0.999, 1e-8, 0), 6, dtype)
      run(optim.adam, { lr = 0.05, beta1 = 0.8, beta2 = 0.95, eps = 1e-3, weight_decay = 0.3 },
        adam_rule(0.05, 0.8, 0.95, 1e-3, 0.3), 6, dtype)
      run(optim.adamw, { lr = 0.05, weight_decay = 0.3 },
        adam_rule(0.05, 0.9, 0.999, 1e-8, 0.3, true), 6, dtype)
    end)

    it("rmsprop follows its own in " .. dtype, function()
      local function rule(momentum)
        return function(p, g, s)
          s.a = 0.9 * (s.a or 0) + 0.1 * g * g
          s.b = momentum * (s.b or 0) + g / (math.sqrt(s.a) + 1e-8)
          return p - 0.01 * s.b
        end
      end
      run(optim.rmsprop, { lr = 0.01, alpha = 0.9 }, rule(0), 5, dtype)
      run(optim.rmsprop, { lr = 0.01, alpha = 0.9, momentum = 0.5 }, rule(0.5), 5, dtype)
    end)
  end

  it("steps tensors larger than a chunk, with the same bits for any thread count", function()
    local former, results = al.threads(), {}
    for n = 1, 3 do
      al.threads(n)
      al.seed(2)
      local params = {}
      for i, size in ipairs { 50000, 3, 16384, 16385 } do
        params[i] = al.randn(size):requires_grad_()
        params[i].grad = al.randn(size)
      end
      local opt = optim.adamw(params, { lr = 0.05 })
      local norm = optim.clip_grad_norm(params, 1)
      opt:step()
      opt:step()
      results[n] = { norm }
      for i, p in ipairs(params) do results[n][i + 1] = p:bytes() end
    end
    al.threads(former)
    for k = 1, 5 do
      assert.is_true(results[1][k] == results[2][k] and results[2][k] == results[3][k])
    end
  end)

  it("steps every element of tensors of any size", function()
    for _, size in ipairs { 1, 16383, 16384, 16385, 40000 } do
      local p = al.zeros(size):requires_grad_()
      p.grad = al.arange(size):to "float32"
      optim.sgd({ p }, { lr = 1, momentum = 0.5 }):step()
      assert.equal(0, (p:detach() + p.grad):abs():max():item())
    end
  end)

  it("has a buffer of momentum only with momentum, and takes one up or loads one", function()
    local p = al.ones(2):requires_grad_()
    p.grad = al.ones(2)
    local opt = optim.sgd({ p }, { lr = 1 })
    opt:step()
    assert.is_nil(opt:state_dict()["state.0.momentum"])
    assert.equal(1, opt:state_dict()["state.0.step"])
    opt.groups[1].momentum = 0.5
    opt:step()
    opt:step()
    assert.same({ -2.5, -2.5 }, p:totable()) -- 1 - 1 - 1 - (0.5 + 1)
    local again = optim.sgd({ p }, { lr = 1 })
    again:load_state_dict(opt:state_dict())
    assert.same({ 1.5, 1.5 }, again:state_dict()["state.0.momentum"]:totable())
    assert.equal(0.5, again.groups[1].momentum)
  end)

  it("keeps groups with rates of their own", function()
    local a, b = al.ones(2), al.ones(2)
    a.requires_grad, b.requires_grad = true, true
    local opt = optim.sgd({ { params = { a }, lr = 1 }, { params = { b } } }, { lr = 0.5 })
    a.grad, b.grad = al.ones(2), al.ones(2)
    opt:step()
    assert.same({ 0, 0 }, a:totable())
    assert.same({ 0.5, 0.5 }, b:totable())
    opt:zero_grad()
    assert.is_nil(a.grad)
    opt:step()
    assert.same({ 0, 0 }, a:totable(), "no gradient, no step")
  end)

  it("steps a strided parameter and a strided gradient", function()
    local p = al.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }):transpose(1, 2):detach()
    p.requires_grad = true
    p.grad = al.ones(2, 3):transpose(1, 2)
    optim.sgd({ p }, { lr = 1, momentum = 0.9 }):step()
    assert.same({ { 0, 3 }, { 1, 4 }, { 2, 5 } }, p:totable())
  end)

  it("leaves frozen parameters alone", function()
    local net = al.nn.Linear(2, 2)
    local opt = optim.adam(net, { lr = 0.1 })
    net(al.ones(1, 2)):sum():backward()
    net:freeze "weight"
    local before = net.weight:totable()
    opt:step()
    assert.same(before, net.weight:totable())
  end)

  it("resumes to the same bits from its state", function()
    local function make()
      al.seed(4)
      local net = al.nn.Linear(3, 2)
      return net, optim.adamw(net:parameters(), { lr = 0.1 })
    end
    local function train(net, opt, from, to)
      for t = from, to do
        opt:zero_grad()
        net(al.ones(1, 3) * t):square():sum():backward()
        opt:step()
      end
    end
    local net, opt = make()
    train(net, opt, 1, 6)
    local net2, opt2 = make()
    train(net2, opt2, 1, 3)
    local path = os.tmpname()
    al.save(path, { model = net2, optim = opt2 })
    local net3, opt3 = make()
    al.load(path, { model = net3, optim = opt3 })
    os.remove(path)
    train(net3, opt3, 4, 6)
    assert.equal(net.weight:bytes(), net3.weight:bytes())
    assert.equal(net.bias:bytes(), net3.bias:bytes())
  end)

  it("tells what is wrong", function()
    local p = al.ones(2)
    assert.has_error(function() optim.sgd({ p }, { rate = 1 }) end,
      "sgd: unknown option 'rate' (valid: lr, momentum, nesterov, weight_decay)")
    assert.has_error(function() optim.adam {} end, "adam: no parameters given")
    p.requires_grad = true
    assert.has_error(function() optim.sgd({ p * 2 }) end,
      "sgd: parameter 1 is the result of an operation, not a leaf tensor")
    assert.has_error(function() optim.sgd({ { params = { p } }, { params = { p } } }) end,
      "sgd: parameter 1 is given twice")
    assert.has_error(function() optim.sgd { p, p } end, "sgd: parameter 2 is given twice")
    for _, lr in ipairs { 0 / 0, -1, math.huge, "1" } do
      assert.error_matches(function() optim.sgd({ p }, { lr = lr }) end, "sgd: lr must be a number from 0 on")
    end
    assert.has_error(function() optim.sgd { p, p[{}] } end, "sgd: parameter 2 is given twice")
    assert.error_matches(function() optim.adam({ p }, { beta1 = 2 }) end, "beta1 must be a number from 0 on and below 1")
    assert.error_matches(function() optim.adam({ p }, { eps = -1 }) end, "eps must be")
    assert.error_matches(function() optim.sgd { al.ones(2, { dtype = "int64" }) } end, "parameter 1 is int64")
    assert.error_matches(function() optim.adam(nil) end, "a module, or a list of tensors, is wanted, got nil")
    for key, value in pairs { ["group.0.lr"] = 0 / 0, ["state.0.exp_avg"] = al.ones(1), ["state.0.step"] = al.ones(1) } do
      assert.error_matches(function() optim.adam({ p }):load_state_dict { [key] = value } end, "does not fit this optimizer")
    end
    local foreign = { ["state.5.momentum"] = p }
    assert.has_error(function() optim.sgd({ p }):load_state_dict(foreign) end,
      "sgd: the state dict's 'state.5.momentum' does not fit this optimizer")
  end)

  it("is seen by backward: a step between forward and backward raises", function()
    local p = al.ones(2)
    p.requires_grad = true
    local loss = (p * p):sum()
    p.grad = al.ones(2)
    optim.sgd({ p }):step()
    assert.has_error(function() loss:backward() end)
  end)

  it("keeps its state through scopes", function()
    local net = al.nn.Linear(2, 1)
    local opt = optim.adam(net, { lr = 0.1 })
    for _ = 1, 3 do
      al.scope(function()
        opt:zero_grad()
        net(al.ones(1, 2)):sum():backward()
        opt:step()
      end)
    end
    assert.equal(3, opt:state_dict()["state.0.step"])
  end)

  it("clips the joint norm of gradients", function()
    local a, b = al.zeros(2), al.zeros(1)
    a.requires_grad, b.requires_grad = true, true
    a.grad, b.grad = al.tensor { 3, 0 }, al.tensor { 4 }
    assert.near(5, optim.clip_grad_norm({ a, b }, 10), 1e-6)
    assert.same({ 3, 0 }, a.grad:totable())
    assert.near(5, optim.clip_grad_norm({ a, b }, 1), 1e-6)
    assert.near(0.6, a.grad[1]:item(), 1e-5)
    assert.near(0.8, b.grad[1]:item(), 1e-5)
    assert.equal(0, optim.clip_grad_norm({ al.zeros(1) }, 1))
  end)
end)

describe("optim: more of them", function()
  local function quadratic(p) return (p - 3):square():sum() end

  it("lamb follows its formula", function()
    local values, m, v = { 1, -2, 0.5 }, { 0, 0, 0 }, { 0, 0, 0 }
    local p = al.tensor(values, { dtype = "float64" }):requires_grad_()
    local opt = optim.lamb({ p }, { lr = 0.1, weight_decay = 0.2, beta1 = 0.8 })
    for t = 1, 5 do
      local step, own, wanted = {}, 0, 0
      local g = {}
      for k = 1, 3 do
        g[k] = gradient(1, k, t)
        m[k] = 0.8 * m[k] + 0.2 * g[k]
        v[k] = 0.999 * v[k] + 0.001 * g[k] ^ 2
        step[k] = m[k] / (1 - 0.8 ^ t) / (math.sqrt(v[k] / (1 - 0.999 ^ t)) + 1e-6)
          + 0.2 * values[k]
        own, wanted = own + values[k] ^ 2, wanted + step[k] ^ 2
      end
      for k = 1, 3 do values[k] = values[k] - 0.1 * math.sqrt(own / wanted) * step[k] end
      p.grad = al.tensor(g, { dtype = "float64" })
      opt:step()
    end
    for k, x in ipairs(p:totable()) do assert.near(values[k], x, 1e-12) end
    local zero = al.zeros(2):requires_grad_()
    zero.grad = al.ones(2)
    optim.lamb({ zero }, { lr = 0.1 }):step()
    assert.near(-0.1, zero[1]:item(), 1e-5, "a parameter of zeros takes the plain step")
  end)

  it("lbfgs resumes to the same bits, and names what it wants", function()
    local function valley(p)
      return 10 * (p[2] - p[1]:square()):square() + (1 - p[1]):square()
    end
    local function make()
      local p = al.tensor({ -1.2, 1 }, { dtype = "float64" }):requires_grad_()
      local opt = optim.lbfgs({ p }, { max_iter = 2, line_search = true })
      return p, opt, function()
        opt:zero_grad()
        local loss = valley(p)
        loss:backward()
        return loss
      end
    end
    local p, opt, closure = make()
    local first = opt:step(closure)
    assert.near(10 * (1 - 1.44) ^ 2 + 2.2 ^ 2, first, 1e-12)
    for _ = 1, 3 do opt:step(closure) end
    local path = os.tmpname()
    al.save(path, { p = p, optim = opt })
    for _ = 1, 2 do opt:step(closure) end
    local q, other, again = make()
    q:detach():copy_(al.load(path, { optim = other }).p)
    os.remove(path)
    for _ = 1, 2 do other:step(again) end
    assert.equal(p:bytes(), q:bytes())
    for _ = 1, 20 do opt:step(closure) end
    -- it stops where the loss, about (x - 1)^2, changes by less than 1e-9
    assert.near(1, p[1]:item(), 1e-4)
    assert.near(1, p[2]:item(), 2e-4)
    assert.error_matches(function() opt:step() end, "lbfgs: step%(closure%) wants a function")
  end)

  it("errors stand at the script's line, lbfgs' too", function()
    local p, q = al.ones(3):requires_grad_(), al.ones(2):requires_grad_()
    local function says(pattern, fn)
      local ok, message = pcall(fn)
      assert.is_false(ok)
      assert.is_truthy(message:find("^spec/optim_spec%.lua:%d+: " .. pattern), message)
    end
    for _, name in ipairs { "sgd", "lbfgs", "lamb" } do
      local make = optim[name]
      says(name .. ": no parameters given", function() make {} end)
      says(name .. ": lr must be a number from 0 on, got x", function() make({ p }, { lr = "x" }) end)
      says(name .. ": parameter 2 is given twice", function() make { p, p } end)
      says(name .. ": unknown option 'lx'", function() make({ p }, { lx = 1 }) end)
      says(name .. ": a group is", function() make({ p }):add_group {} end)
      says(name .. ": the state dict's 'x' does not fit", function() make({ p }):load_state_dict { x = 1 } end)
    end
    local two = optim.lbfgs { { params = { p } }, { params = { q } } }
    says("lbfgs: one group", function() two:step(function() return 0 end) end)
    says("lbfgs: the state dict's 'memory.d'", function() optim.lbfgs({ p }):load_state_dict { ["memory.d"] = al.ones(2) } end)
  end)

  it("clips values", function()
    local p = al.zeros(3):requires_grad_()
    p.grad = al.tensor { -5, 0.5, 7 }
    optim.clip_grad_value({ p, al.zeros(1) }, 2)
    assert.same({ -2, 0.5, 2 }, p.grad:totable())
    assert.error_matches(function() optim.clip_grad_value({ p }, -1) end, "max is a number")
  end)

  it("gradients add up: four quarters make one step of the whole", function()
    local x = al.arange(1, 8):to "float64":reshape(8, 1)
    local results = {}
    for way, size in ipairs { 8, 2 } do
      local p = al.tensor({ 0.5 }, { dtype = "float64" }):requires_grad_()
      local opt = optim.sgd({ p }, { lr = 0.01 })
      for from = 1, 8, size do
        ((x:narrow(1, from, size) * p):square():mean() * size / 8):backward()
      end
      opt:step()
      results[way] = p[1]:item()
    end
    assert.near(results[1], results[2], 1e-14)
  end)

  it("ema follows its formula, lends its averages, and resumes", function()
    al.seed(1)
    local net = al.nn.Sequential { al.nn.Linear(2, 1, { bias = false }), al.nn.BatchNorm1d(1) }
    local w = net[1].weight
    local function set(v) w:detach():copy_(al.tensor { { v, -v } }) end
    set(1)
    local ema = optim.ema(net, { decay = 0.5 })
    set(2)
    al.scope(function() ema:update() end)
    set(4)
    net:train()
    net(al.tensor { { 1, 0 }, { 3, 0 } })
    ema:update()
    local mean = 0.5 * (0.5 * 1 + 0.5 * 2) + 0.5 * 4
    local seen = ema:with(function() return w[1][1]:item() end)
    assert.near(mean, seen, 1e-6)
    assert.equal(4, w[1][1]:item())
    assert.equal(net[2].running_mean:item(), ema.shadow["1.running_mean"]:item())
    assert.is_true(w.requires_grad)
    assert.has_error(function() ema:with(function() error("stop", 0) end) end, "stop")
    assert.equal(4, w[1][1]:item(), "an error gives the weights back")
    local other = optim.ema(net, { decay = 0.5 })
    other:load_state_dict(ema:state_dict())
    set(0)
    ema:update()
    other:update()
    assert.equal(ema.shadow["0.weight"]:bytes(), other.shadow["0.weight"]:bytes())
    assert.error_matches(function() optim.ema(net, { decay = 1 }) end, "decay is from 0 on")
    local p = al.ones(1):requires_grad_()
    local warm = optim.ema(al.nn.Linear(1, 1), { decay = 0.9, warmup = true })
    local before = warm.shadow.weight:item()
    warm.net.weight:detach():copy_(p:detach():reshape(1, 1))
    warm:update()
    assert.near(before + (1 - 2 / 11) * (1 - before), warm.shadow.weight:item(), 1e-6)
  end)

  it("lbfgs is right after many scopes, in float32", function()
    local p = al.zeros(50):requires_grad_()
    local opt = optim.lbfgs({ p }, { line_search = true })
    for _ = 1, 3 do
      al.scope(function()
        opt:step(function()
          opt:zero_grad()
          local loss = quadratic(p)
          loss:backward()
          return loss
        end)
      end)
    end
    assert.near(0, (p:detach() - 3):abs():max():item(), 1e-4)
  end)
end)

describe("optim.schedule", function()
  local function rates(make, n)
    local p = al.ones(1)
    p.requires_grad = true
    local opt = optim.sgd({ { params = { p }, lr = 2 } })
    local schedule, out = make(opt), {}
    for t = 1, n do
      out[t] = opt.groups[1].lr
      schedule:step()
    end
    return out, schedule, opt
  end
  local function same(expected, actual)
    for i, v in ipairs(expected) do assert.near(v, actual[i], 1e-12) end
  end

  it("step, cosine, warm-up, lambda", function()
    local s = optim.schedule
    same({ 2, 2, 0.2, 0.2, 0.02 }, (rates(function(o) return s.step(o, { every = 2 }) end, 5)))
    same({ 2, 1 + math.cos(math.pi / 4), 1, 1 + math.cos(3 * math.pi / 4), 0, 0 },
      (rates(function(o) return optim.schedule.cosine(o, { steps = 4 }) end, 6)))
    same({ 0.5, 1, 1.5, 2, 2, 1.05, 0.1 },
      (rates(function(o) return s.cosine(o, { steps = 6, warmup = 4, floor = 0.05 }) end, 7)))
    local function decay(t) return 1 / (t + 1) end
    same({ 2, 1, 2 / 3 }, (rates(function(o) return s.lambda(o, decay) end, 3)))
  end)

  it("a plateau resumes and names what it wants", function()
    local function make()
      local opt = optim.sgd({ al.ones(1):requires_grad_() }, { lr = 1 })
      return optim.schedule.plateau(opt, { patience = 1, gamma = 0.5 }), opt
    end
    local a, opt = make()
    for _, v in ipairs { 2, 2, 2, 1, 1 } do a:step(v) end
    assert.equal(0.5, opt.groups[1].lr)
    local b, other = make()
    b:load_state_dict(a:state_dict())
    assert.equal(0.5, other.groups[1].lr)
    assert.equal(0.25, a:step(1))
    assert.equal(0.25, b:step(1))
    assert.error_matches(function() a:step() end, "wants the value that is watched")
    assert.error_matches(function() optim.schedule.one_cycle(opt, {}) end,
      "schedule.one_cycle: option 'steps' is missing")
    assert.error_matches(function() optim.schedule.cyclic(opt, { floor = 0, up = 2, mode = "x" }) end,
      "mode is x: exp_range, triangular, triangular2")
  end)

  it("resumes", function()
    local make = function(o) return optim.schedule.cosine(o, { steps = 10 }) end
    local _, schedule = rates(make, 4)
    local _, other, opt = rates(make, 0)
    other:load_state_dict(schedule:state_dict())
    assert.near(1 + math.cos(0.4 * math.pi), opt.groups[1].lr, 1e-12)
  end)
end)
