-- Random tensors: moments, ranges, reproducibility, independence of threads and of slicing.
local al = require "albedo"

local function moments(x)
  x = x:to("float64")
  return x:mean():item(), x:var():item()
end

describe("random tensors", function()
  it("repeat after al.seed and with equal generators", function()
    al.seed(7)
    local a, b = al.randn(100), al.randn(100)
    al.seed(7)
    assert.same(a:totable(), al.randn(100):totable())
    assert.same(b:totable(), al.randn(100):totable())
    assert.not_same(a:totable(), b:totable())
    local g, h = al.generator(3), al.generator(3)
    assert.same(al.rand(9, { generator = g }):totable(), al.rand(9,
      { generator = h }):totable())
    al.seed(8)
    assert.not_same(a:totable(), al.randn(100):totable())
  end)

  it("have the moments of their distributions", function()
    local n, g = 400000, { generator = al.generator(11) }
    for _, dtype in ipairs { "float32", "float64" } do
      local o = { generator = g.generator, dtype = dtype }
      local mean, var = moments(al.rand(n, o))
      assert.is_true(math.abs(mean - 0.5) < 5 * math.sqrt(1 / 12 / n))
      assert.is_true(math.abs(var - 1 / 12) < 1e-3)
      local z = al.randn(n, o)
      mean, var = moments(z)
      assert.is_true(math.abs(mean) < 5 / math.sqrt(n) and math.abs(var - 1) < 0.015)
      local fourth = (z:to("float64") ^ 4):mean():item()
      assert.is_true(math.abs(fourth - 3) < 0.1)
      assert.is_true(math.abs(z:abs():lt(1):sum():item() / n - 0.6826895) < 0.005)
      -- neighbours and halves of a pair are uncorrelated
      for _, lag in ipairs { 1, 16, 32, 64 } do
        local c = (z:narrow(1, 1, n - lag) * z:narrow(1, 1 + lag, n - lag)):mean():item()
        assert.is_true(math.abs(c) < 5 / math.sqrt(n), lag .. ": " .. c)
      end
    end
    local mean, var = moments(al.empty(n):uniform_(-2, 4, g))
    assert.is_true(math.abs(mean - 1) < 0.02 and math.abs(var - 3) < 0.03)
    mean, var = moments(al.empty(n):normal_(3, 0.5, g))
    assert.is_true(math.abs(mean - 3) < 0.005 and math.abs(var - 0.25) < 0.005)
    assert.is_true(math.abs(al.zeros(n):bernoulli(0.2, g):mean():item() - 0.2) < 0.004)
  end)

  it("stay in range", function()
    local u = al.rand(100000)
    assert.is_true(u:min():item() >= 0 and u:max():item() < 1)
    local d = al.randint(1, 6, 60000)
    assert.equal("int64", d.dtype)
    for face = 1, 6 do assert.is_true(math.abs(d:eq(face):sum():item() - 10000) < 500) end
    assert.equal(0, (d:lt(1) + d:gt(6)):sum():item())
    assert.same({ -3, -3 }, al.randint(-3, -3, 2):totable())
    assert.error_matches(function() al.randint(3, 2, 1) end, "empty")
    assert.error_matches(function() al.rand(2, { dtype = "int64" }) end, "float32 or float64")
    assert.same({ 2, 0 }, al.randn(2, 0).shape)
    assert.same({}, al.randn({}).shape)
  end)

  it("randperm holds every integer once", function()
    local p = al.randperm(1000):totable()
    table.sort(p)
    for i = 1, 1000 do assert.equal(i, p[i]) end
    assert.same({}, al.randperm(0):totable())
  end)

  it("depend neither on threads nor on the length asked for", function()
    local first
    local former = al.threads()
    for _, n in ipairs { 1, 2, 4 } do
      al.threads(n)
      al.seed(5)
      local t = { al.randn(100003):sum():item(), al.rand(100003):sum():item(),
        al.ones(100003):dropout(0.5):sum():item() }
      first = first or t
      assert.same(first, t)
    end
    al.threads(former)
    al.seed(5)
    local long = al.randn(70000)
    al.seed(5)
    assert.same(long["1:100"]:totable(), al.randn(100):totable())
  end)
end)

describe("dropout", function()
  it("keeps the expectation, scales, and repeats its mask in the gradient", function()
    local x = al.ones(100000)
    x.requires_grad = true
    local y = x:dropout(0.25)
    y:sum():backward()
    assert.same(y:detach():totable(), x.grad:totable())
    local kept = y:ne(0):sum():item()
    assert.is_true(math.abs(kept - 75000) < 1000)
    assert.is_true(math.abs(y:max():item() - 4 / 3) < 1e-6)
    assert.equal(x, x:dropout(0.5, { training = false }))
    assert.equal(0, x:dropout(1):abs():sum():item())
    assert.error_matches(function() x:dropout(1.5) end, "p must be in")
  end)

  it("of channels drops whole channels", function()
    local y = al.ones(8, 50, 4, 3):feature_dropout(0.5)
    local per = y:sum({ 3, 4 })
    assert.equal(400, (per:eq(0) + per:eq(24)):sum():item())
    local dropped = per:eq(0):sum():item()
    assert.is_true(dropped > 140 and dropped < 260)
  end)
end)

describe("distributions", function()
  local n = 100000
  local function has(mean, var, x)
    local m, v = moments(x)
    assert.is_true(math.abs(m - mean) < 6 * math.sqrt(var / n), ("mean %g, not %g"):format(m,
      mean))
    assert.is_true(math.abs(v / var - 1) < 0.05, ("variance %g, not %g"):format(v, var))
  end

  it("have their means and variances", function()
    local o = { generator = al.generator(2) }
    has(0.5, 0.25, al.empty(n):exponential_(2, o))
    for _, rate in ipairs { 0.3, 4, 12, 300 } do has(rate, rate, al.full({ n },
      rate):poisson(o)) end
    assert.equal(math.huge, al.tensor({ math.huge }):gamma():item())
    for _, shape in ipairs { 0.4, 1, 7.5 } do has(shape, shape, al.full({ n },
      shape):gamma(o)) end
  end)

  it("multinomial follows its weights, and draws nothing twice without replacement", function()
    local w = al.tensor { 1, 0, 3 }
    local drawn = w:multinomial(40000, { replacement = true })
    assert.is_true(math.abs(drawn:eq(1):sum():item() / 40000 - 0.25) < 0.015)
    assert.equal(0, drawn:eq(2):sum():item())
    local once = al.ones(50, 6):multinomial(6):totable()
    for _, row in ipairs(once) do
      table.sort(row)
      assert.same({ 1, 2, 3, 4, 5, 6 }, row)
    end
    assert.error_matches(function() w:multinomial(3) end, "too few")
    assert.error_matches(function() al.tensor({ 1, -1 }):multinomial(1) end, "not negative")
  end)
end)
