-- pca, kmeans, logistic: closed forms, and the conditions that only the right answer meets.
local al = require "albedo"
local classical = al.classical
local double = { dtype = "float64" }

local function near(want, got, tolerance)
  if not al.is_tensor(want) then want = al.tensor(want, double) end
  assert.same(want.shape, got.shape)
  local off = (want - got):abs():max():item()
  assert.is_true(off <= (tolerance or 1e-10), "off by " .. off)
end
local function randn(...) return al.randn({ ... }, { dtype = "float64", generator = al.generator(5) }) end

describe("pca", function()
  it("finds the line points lie on", function()
    local x = al.tensor({ { 0, 1 }, { -1, 2 }, { -2, 3 }, { -3, 4 } }, double)
    local p = classical.pca(x)
    near({ -1.5, 2.5 }, p.mean)
    near({ -math.sqrt(0.5), math.sqrt(0.5) }, p.components[1] * p.components[1][2]:sign())
    near({ 10 / 3, 0 }, p.variance)
    near({ 1, 0 }, p.ratio)
    near(x, p:inverse(p:transform(x)))
    local one = classical.pca(x, { components = 1, whiten = true })
    assert.same({ 4, 1 }, one:transform(x).shape)
    near({ 1 }, one:transform(x):var(1))
    near(x, one:inverse(one:transform(x)))
  end)

  it("turns the covariance diagonal, its largest entries first", function()
    local x = randn(40, 5):matmul(randn(5, 5)) + 3
    local p = classical.pca(x, { components = 3 })
    local centred = x - x:mean(1)
    local covariance = centred:t():matmul(centred) / 39
    local values = covariance:eigvalsh():flip(1)
    near(values:narrow(1, 1, 3), p.variance)
    near(values:narrow(1, 1, 3) / covariance:trace(), p.ratio)
    near(p.variance * al.eye(3, double), p.components:matmul(covariance):matmul(p.components:t()))
    assert.is_true(p.components:gather(2, p.components:abs():argmax(2, true)):gt(0):all():item())
  end)

  it("names what it cannot do", function()
    assert.error_matches(function() classical.pca(al.ones(3)) end, "pca: x must be n x d")
    assert.error_matches(function() classical.pca(al.ones(3, 2), { components = 3 }) end, "x allows 1 to 2")
    assert.error_matches(function() classical.pca(al.ones(3, 2), { k = 1 }) end, "unknown option 'k'")
  end)
end)

describe("kmeans", function()
  -- least inertia of 1-d values over all ways to cut them in two
  local function best_cut(values)
    local best = math.huge
    for mask = 1, 2 ^ #values - 2 do
      local sum, square, count = { 0, 0 }, { 0, 0 }, { 0, 0 }
      for i, v in ipairs(values) do
        local side = math.floor(mask / 2 ^ (i - 1)) % 2 + 1
        sum[side], square[side], count[side] = sum[side] + v, square[side] + v * v, count[side] + 1
      end
      local cost = square[1] - sum[1] ^ 2 / count[1] + square[2] - sum[2] ^ 2 / count[2]
      best = math.min(best, cost)
    end
    return best
  end

  it("finds the best partition", function()
    local values = { 0.3, -1.2, 4, 5.5, 0.9, 3.1, 9, -2 }
    local m = classical.kmeans(al.tensor(values, double):reshape(-1, 1), 2, { restarts = 10 })
    assert.is_true(math.abs(m.inertia - best_cut(values)) < 1e-10)
    m = classical.kmeans(al.tensor({ { 0 }, { 10 }, { 1 }, { 11 } }, double), 2)
    near({ { 0.5 }, { 10.5 } }, (m.centers:sort(1)))
    assert.equal(1, m.inertia)
    assert.equal(m.labels[1]:item(), m.labels[3]:item())
    assert.same(m.labels:totable(), m:predict(al.tensor({ { -1 }, { 9 }, { 3 }, { 90 } }, double)):totable())
  end)

  it("gives the same for the same seed, and copes with equal rows", function()
    local x = randn(60, 3)
    local a, b = classical.kmeans(x, 5, { seed = 4 }), classical.kmeans(x, 5, { seed = 4 })
    assert.same(a.centers:totable(), b.centers:totable())
    assert.equal(0, classical.kmeans(x, 60, { restarts = 1 }).inertia)
    local same = classical.kmeans(al.ones(4, 2), 3)
    assert.equal(0, same.inertia)
    assert.is_false(same.centers:isnan():any():item())
    assert.error_matches(function() classical.kmeans(al.ones(4, 2), 5) end, "k is 5, x has 4 rows")
  end)
end)

describe("logistic", function()
  it("gives a table's frequencies", function()
    local x, y = {}, {}
    for i = 1, 20 do
      x[i] = { i <= 10 and 0 or 1 }
      y[i] = (i <= 3 or (i > 10 and i <= 16)) and 2 or 1 -- 3 of 10 at 0, 6 of 10 at 1
    end
    local m = classical.logistic(al.tensor(x, double), al.tensor(y, { dtype = "int64" }), { l2 = 0 })
    assert.is_true(m.converged)
    near({ { 0.7, 0.3 }, { 0.4, 0.6 } }, m:probabilities(al.tensor({ { 0 }, { 1 } }, double)), 1e-8)
    assert.same({ 1, 2 }, m:predict(al.tensor({ { 0 }, { 1 } }, double)):totable())
    local labels = al.tensor({ 1, 2, 2, 3, 3, 3 }, { dtype = "int64" })
    m = classical.logistic(al.zeros({ 6, 2 }, double), labels)
    near({ { 1 / 6, 1 / 3, 1 / 2 } }, m:probabilities(al.zeros({ 1, 2 }, double)), 1e-8)
  end)

  it("stands where the gradient vanishes", function()
    local x = randn(50, 4)
    for _, k in ipairs { 2, 4 } do
      local y = al.randint(1, k, { 50 }, { generator = al.generator(2) })
      local m = classical.logistic(x, y, { l2 = 0.7 })
      assert.is_true(m.converged)
      local off = m:probabilities(x) - y:one_hot(k, double)
      near(al.zeros({ k }, double), off:sum(1), 1e-6)
      if k == 2 then -- one vector w: sum (p - y) x + l2 w = 0
        local w = m.weights["..., 2"] - m.weights["..., 1"]
        near(w * -0.7, x:t():matmul(off["..., 2"]), 1e-6)
      else
        near(m.weights * -0.7, x:t():matmul(off), 1e-6)
      end
    end
  end)

  it("keeps x's dtype, and says when it did not arrive", function()
    local x, y = al.tensor { { -1 }, { 1 } }, al.tensor({ 1, 2 }, { dtype = "int64" })
    local m = classical.logistic(x, y)
    assert.equal("float32", m.weights.dtype)
    assert.same({ 1, 2 }, m:predict(x):totable())
    assert.is_false(classical.logistic(x, y, { l2 = 0, iterations = 3 }).converged)
    assert.same({ 2, 3 }, classical.logistic(x, y, { classes = 3 }):probabilities(x).shape)
    assert.error_matches(function() classical.logistic(x, y:narrow(1, 1, 1)) end, "y hold n labels")
  end)
end)
