-- al.fn and al.checkpoint: ops written in Lua, blocks computed again.
local al = require "albedo"

local function leaf(v) return al.tensor(v, { dtype = "float64", requires_grad = true }) end
local function line() return debug.getinfo(2, "l").currentline end

local function blocks()
  if jit then jit.flush() end -- compiled loops hold what they met
  collectgarbage()
  collectgarbage()
  collectgarbage()
  return al.memory().blocks
end

local swish = al.fn {
  name = "swish",
  forward = function(ctx, x)
    ctx:save(x)
    return x * x:sigmoid()
  end,
  backward = function(ctx, g)
    local x = ctx:saved()
    local s = x:sigmoid()
    return g * (s + x * s * (1 - s))
  end,
}
-- saves its result
local exponential = al.fn {
  forward = function(ctx, x)
    local y = x:exp()
    ctx:save(nil, y)
    return y
  end,
  backward = function(ctx, g)
    local none, y = ctx:saved()
    assert(none == nil)
    return g * y
  end,
}

describe("al.fn", function()
  it("records an op whose gradient, and the gradient's gradient, are Lua's", function()
    local x = leaf { 1, -2, 0.5 }
    assert.equal("swish", swish(x).grad_fn)
    assert.same((x * x:sigmoid()):detach():totable(), swish(x):detach():totable())
    for _, f in ipairs { swish, exponential } do
      assert.is_true(al.gradcheck(f, { x }))
      assert.is_true(al.gradgradcheck(f, { x }))
    end
    swish(x * 2):sum():backward()
    assert.is_true((x.grad - al.grad((x * 2 * (x * 2):sigmoid()):sum(), x)):abs():max():item() < 1e-15)
  end)

  it("has several arguments and results, some without a gradient", function()
    local seen
    local f = al.fn {
      forward = function(ctx, a, k, b)
        ctx.k = k
        ctx:save(a, b)
        return a * b * k, a:gt(0), b + k
      end,
      backward = function(ctx, g, _, h)
        local a, b = ctx:saved()
        seen = ctx.needs
        return g * b * ctx.k, nil, g * a * ctx.k + h
      end,
    }
    local a, b = leaf { 1, -2 }, leaf { 3, 4 }
    local y, positive, z = f(a, 5, b)
    assert.same({ true, false }, positive:totable())
    assert.is_false(positive.requires_grad);
    (y:sum() + (z * z):sum()):backward()
    assert.same({ 15, 20 }, a.grad:totable())
    assert.same({ 5 + 16, -10 + 18 }, b.grad:totable())
    assert.same({ true, true }, { seen[1], seen[3] })
    b.grad = nil
    select(3, f(a, 5, b)):sum():backward() -- the first result's gradient is zeros then
    assert.same({ 1, 1 }, b.grad:totable())
    assert.same({ 0, 0 }, al.grad(f(a, 5, b), { b }, { grad_outputs = { al.zeros(2, { dtype = "float64" }) } })[1]:totable())
    seen = nil
    f(a, 5, b:detach()):sum():backward()
    assert.is_false(seen[3])
  end)

  it("records nothing where nothing is asked for", function()
    assert.is_nil(swish(al.ones(2)).grad_fn)
    assert.is_nil(al.no_grad(swish, leaf { 1 }).grad_fn)
    local inner
    al.fn { forward = function(_, x) inner = (x * 2).requires_grad return x end, backward = print } (leaf { 1 })
    assert.is_false(inner)
  end)

  it("gives a result of its own where forward returns its argument", function()
    local same = al.fn { forward = function(_, x) return x end, backward = function(_, g) return g * 3 end }
    local x = leaf { 1, 2 }
    local y = same(x)
    assert.is_true(x.is_leaf)
    y:mul_(10)
    assert.same({ 1, 2 }, x:totable())
    assert.same({ 30, 30 }, al.grad(y:sum(), x):totable())
  end)

  it("hands over what it saved after its scope closed, and knows later writes", function()
    local x = leaf { 1, 2 }
    local y
    al.scope(function() y = al.keep(swish(x * 2)) end)
    y:sum():backward()
    assert.is_truthy(x.grad)
    local v = x * 1
    local z = swish(v)
    v:mul_(2)
    assert.error_matches(function() z:sum():backward() end, "backward of swish: swish keeps tensor 1 .- mul overwrote it")
    local e = exponential(x)
    e:mul_(2)
    assert.error_matches(function() e:sum():backward() end, "fn keeps its result .- mul overwrote it")
  end)

  it("arrives with the user's line, and the way to it, when backward fails", function()
    local at, called
    local f = al.fn {
      name = "faulty",
      forward = function(_, x) return x * 2 end,
      backward = function()
        local function helper()
          at = line() + 1
          error("no luck")
        end
        called = line() + 1
        helper()
        return nil
      end,
    }
    local x = leaf { 1 }
    local here = line() + 1
    local ok, message = pcall(function() f(x):backward() end)
    assert.is_false(ok)
    local wanted = ("S:%d: backward of faulty: S:%d: no luck\n  in S:%d, called from S:%d")
      :format(here, at, at, called)
    assert.equal(wanted, (message:gsub("%.?/?spec/fn_spec%.lua", "S")))
    assert.equal(4, (x * 2):pow(2):item()) -- recording and frames are as they were
    assert.is_true((x * 2).requires_grad)
  end)

  it("says what is wrong with what backward gives", function()
    local function with(backward, x)
      local f = al.fn { forward = function(_, a) return a * 2 end, backward = backward }
      return function() (f(x or leaf { 1, 2 }, 3) * 2):sum():backward() end
    end
    assert.error_matches(with(function() return 1 end), "must return a tensor or nil for argument 1, got number")
    assert.error_matches(with(function(_, g) return g, g end), "gradient for argument 2, which is no tensor")
    assert.error_matches(with(function(_, g) return al.cat { g, g } end), "gradient has shape 4, the input 2")
    assert.error_matches(with(function(_, g) return g:mul_(2) end), "wrote into the gradient it was given")
    assert.error_matches(with(function() coroutine.yield() end), "yield")
    local loose
    with(function(ctx, g) loose = ctx return g * 2 end)()
    assert.error_matches(function() al.native.fn_operands() end, "no backward pass")
    assert.is_nil(loose:saved())
  end)

  it("says what is wrong with its definition and with forward", function()
    assert.error_matches(function() al.fn { forward = print } end, "fn: backward must be a function, got nil")
    assert.error_matches(function() al.fn { forward = print, backward = print, back = 1 } end, "unknown option 'back'")
    local function of(forward) return al.fn { name = "f", forward = forward, backward = print } end
    assert.error_matches(function() of(function() return 3 end)(leaf { 1 }) end, "what forward returns%[1%] must be a tensor")
    assert.error_matches(function() of(function() end)(leaf { 1 }) end, "1 to 4 tensors, got 0")
    assert.error_matches(function() of(function(ctx) ctx:save(3) end)(leaf { 1 }) end, "value 1 is a number")
  end)

  it("does not differentiate what it cannot see", function()
    local f = al.fn {
      forward = function(ctx, x)
        local s = x:sin()
        ctx:save(s)
        return s * s
      end,
      backward = function(ctx, g) return g * ctx:saved() * 2 end,
    }
    local x = leaf { 1 }
    f(x):backward()
    assert.error_matches(function() al.grad(f(x), x, { create_graph = true }) end, "saved tensor 1 is neither")
  end)

  it("may ask for gradients inside, of the graph it stands in too", function()
    local x = leaf { 0.3, 0.6 }
    local function plain(v) return (v * v):sin() * v end
    local f = al.fn {
      forward = function(ctx, v)
        ctx:save(v)
        return plain(v)
      end,
      backward = function(ctx, g)
        local v = ctx:saved()
        return al.with_grad(true, function()
          return al.grad(plain(v), v, { grad_outputs = g, create_graph = ctx.create_graph })
        end)
      end,
    }
    local function whole(with) -- v is computed, and used beside f
      local v = x * 2
      return ((with(v) + v * v) * with(v * v)):sum()
    end
    local a, b = al.grad(whole(plain), x), al.grad(whole(f), x)
    assert.is_true((a - b):abs():max():item() < 1e-14)
    assert.is_true(al.gradgradcheck(f, { x }))
    assert.is_true(al.gradgradcheck(function(t) x = t return whole(f) end, { x }))
  end)

  it("works in a coroutine, and thousands deep", function()
    local x = leaf { 1 }
    local co = coroutine.wrap(function()
      local y = swish(x)
      coroutine.yield()
      y:backward()
    end)
    co()
    co()
    assert.is_truthy(x.grad)
    local add = al.fn { forward = function(_, v) return v + 1 end, backward = function(_, g) return g end }
    local y = x
    for _ = 1, 3000 do y = add(y) end
    assert.equal(1, al.grad(y, x):item())
  end)

  it("leaves no block behind, used or not", function()
    local x = leaf { 1, 2 }
    local before = blocks()
    do
      local y = swish(exponential(swish(x)))
      y:sum():backward()
      for _ = 1, 20 do swish(exponential(x * 2)) end
      pcall(function() swish(x):backward() end)
      x.grad = nil
    end
    assert.equal(before, blocks())
  end)

  it("survives the failure of each allocation", function()
    local x = leaf { 1, 2 }
    local function step()
      local y = al.checkpoint(function(a) return swish(a) * x end, exponential(x))
      return al.grad(y:sum(), x):sum():item()
    end
    local expected, before, n, failures = step(), blocks(), 0, 0
    repeat
      n = n + 1
      al.fault_after(n, 1000000)
      local ok, message = pcall(step)
      al.fault_after(0)
      if not ok then
        failures = failures + 1
        assert.is_truthy(tostring(message):find("out of memory", 1, true), message)
      end
    until ok or n > 2000
    assert.is_true(failures > 20)
    assert.equal(expected, step())
    assert.equal(before, blocks())
  end)
end)

describe("al.checkpoint", function()
  local w, outer = leaf { { 0.5, -1 }, { 2, 0.3 } }, leaf { 1, -1 }
  local x = leaf { { 1, 2 }, { 3, -4 }, { 0, 1 } }

  -- Two blocks, dropout inside, with what is computed outside, a leaf from outside, two results.
  local function net(run, a, b, c)
    local h = c * 2
    local function block(v) return (v:matmul(b) + h):tanh():dropout(0.5), v * h end
    al.seed(5)
    local y, z = run(block, a)
    y = run(block, y)
    return (y * y):sum() + z:sum()
  end
  local function direct(f, ...) return f(...) end

  it("gives the gradients of the block itself, to the bit where sums agree", function()
    local a = al.grad(net(direct, x, w, outer), { x, w, outer })
    local b = al.grad(net(al.checkpoint, x, w, outer), { x, w, outer })
    for i = 1, 3 do assert.is_true((a[i] - b[i]):abs():max():item() < 1e-14) end
    net(al.checkpoint, x, w, outer):backward()
    assert.is_true((w.grad - a[2]):abs():max():item() < 1e-14)
    assert.is_true((outer.grad - a[3]):abs():max():item() < 1e-14)
    local function f(...) return net(al.checkpoint, ...) end
    assert.is_true(al.gradcheck(f, { x, w, outer }))
    assert.is_true(al.gradgradcheck(f, { x, w, outer }))
  end)

  it("leaves the random stream where the block left it", function()
    al.seed(3)
    local y = al.checkpoint(function(v) return v:dropout(0.5) end, x)
    local state = al.rng_state()
    y:sum():backward()
    assert.same(state, al.rng_state())
    al.seed(3)
    assert.same(y:detach():totable(), x:dropout(0.5):detach():totable())
  end)

  it("keeps a stream's state as text, exact in either Lua and in files", function()
    al.seed(7)
    al.rand(3)
    local state, path = al.rng_state(), os.tmpname()
    assert.same({ "string", "string" }, { type(state[1]), type(state[2]) })
    local after = al.rand(4):totable()
    al.save(path, { rng = state })
    local from = al.load(path)
    os.remove(path)
    al.rng_state { from["rng.1"], from["rng.2"] }
    assert.same(after, al.rand(4):totable())
    local all = { "18446744073709551615", "9007199254740993" }
    assert.same(all, al.rng_state(all))
    assert.same({ "18446744073709551615", "3" }, al.rng_state { -1, 3 }) -- as older files hold them
  end)

  it("passes other values through, and is the function itself where nothing is recorded", function()
    local function f(a, k, t) return a and a * k or al.ones(1) * t.n end
    assert.equal(6, al.checkpoint(f, nil, 2, { n = 6 }):item())
    assert.equal("checkpoint", al.checkpoint(f, x, 2).grad_fn)
    assert.is_nil(al.no_grad(al.checkpoint, f, x, 2).grad_fn)
    local plain = al.ones(3, 2, { dtype = "float64" })
    local y = al.checkpoint(function(a, b) return a * b end, plain, x)
    assert.same(plain:totable(), al.grad(y:sum(), x, { create_graph = true }):detach():totable())
  end)

  it("notices that what it reads was written to", function()
    local v = leaf { 1, 2 }
    local y = al.checkpoint(function(a) return (a * v):exp() end, x)
    al.no_grad(function() v:mul_(2) end)
    assert.error_matches(function() y:sum():backward() end, "checkpoint keeps tensor 3 .- mul overwrote it")
  end)

  it("keeps less", function()
    local function block(v)
      for _ = 1, 10 do v = v:sigmoid() end
      return v
    end
    local function held(run)
      local v = al.ones(1000):requires_grad_()
      local before = blocks() and al.memory().live
      local y = v
      for _ = 1, 5 do y = run(block, y) end
      blocks()
      local live = al.memory().live - before
      y:sum():backward()
      return live, v.grad
    end
    local all, g = held(direct)
    local few, h = held(al.checkpoint)
    assert.same(g:totable(), h:totable())
    assert.is_true(few < all / 4, ("%d of %d bytes"):format(few, all))
  end)

  it("goes with an error of the block, in both passes", function()
    local calls = 0
    local function f(v)
      calls = calls + 1
      if calls == 2 then error("second time") end
      return v * 2
    end
    local y = al.checkpoint(f, x)
    assert.error_matches(function() y:sum():backward() end, "backward of checkpoint: .-second time")
    assert.error_matches(function() al.checkpoint(function() error("first") end, x) end, "first")
    assert.is_true(al.grad_enabled())
    assert.equal(2, calls)
  end)
end)
