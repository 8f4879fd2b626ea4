-- Recurrent layers by hand; spec/nn/torch_spec.lua and spec/peer compare them with PyTorch.
local al = require "albedo"

local function sigmoid(v) return 1 / (1 + math.exp(-v)) end
local function tanh(v) return 1 - 2 / (math.exp(2 * v) + 1) end
local function column(...)
  local rows = {}
  for i, v in ipairs { ... } do rows[i] = { v } end
  return al.tensor(rows, { dtype = "float64" })
end

describe("lstm", function()
  it("is its formula", function()
    -- one unit: gates i f g o see weight 1, 2, 3, 4 of x and 0.1 .. 0.4 of the state
    local x = al.tensor({ { { 0.5 }, { -1 } } }, { dtype = "float64" })
    local y, h, c = al.lstm(x, column(1, 2, 3, 4), column(0.1, 0.2, 0.3, 0.4))
    local state, cell, want = 0, 0, {}
    for t, v in ipairs { 0.5, -1 } do
      local i, f = sigmoid(v + 0.1 * state), sigmoid(2 * v + 0.2 * state)
      local g, o = tanh(3 * v + 0.3 * state), sigmoid(4 * v + 0.4 * state)
      cell = f * cell + i * g
      state = o * tanh(cell)
      want[t] = state
    end
    for t = 1, 2 do assert.near(want[t], y[1][t][1]:item(), 1e-12) end
    assert.near(state, h:item(), 1e-12)
    assert.near(cell, c:item(), 1e-12)
  end)

  it("ends each sequence at its length, and starts there backwards", function()
    al.seed(1)
    local w = {}
    for i = 1, 4 do w[i] = al.randn(8, 2) end
    local x = al.randn(3, 5, 2)
    local lengths = al.tensor({ 5, 2, 0 }, { dtype = "int64" })
    local y, h, c = al.lstm(x, w[1], w[2], nil, nil, w[3], w[4], { lengths = lengths })
    local z, k, d = al.lstm(x:narrow(1, 2, 1):narrow(2, 1, 2), w[1], w[2], nil, nil, w[3], w[4])
    local function same(a, b) return (a - b):abs():max():item() < 1e-6 end
    assert.is_true(same(y[2]:narrow(1, 1, 2), z[1]))
    assert.is_true(same(h:select(2, 2), k:select(2, 1)) and same(c:select(2, 2), d:select(2, 1)))
    assert.equal(0, y[2]:narrow(1, 3, 3):abs():sum():item() + y[3]:abs():sum():item())
  end)

  it("is its formula at every size: few weights, and more than a cache holds", function()
    al.seed(3)
    local function step(x, h, c, wi, wh)
      local a = al.linear(x, wi) + al.linear(h, wh)
      local n = h.shape[2]
      local i, f = a:narrow(2, 1, n):sigmoid(), a:narrow(2, n + 1, n):sigmoid()
      local g, o = a:narrow(2, 2 * n + 1, n):tanh(), a:narrow(2, 3 * n + 1, n):sigmoid()
      c = f * c + i * g
      return o * c:tanh(), c
    end
    for _, size in ipairs { { 7, 40, "float32" }, { 7, 40, "float64" }, { 21, 190, "float64" } } do
      local n, units, dtype = size[1], size[2], size[3]
      local like = { dtype = dtype }
      local x = al.randn({ n, 3, 6 }, like):requires_grad_()
      local wi = (al.randn({ 4 * units, 6 }, like) / 3):requires_grad_()
      local wh = (al.randn({ 4 * units, units }, like) / math.sqrt(units)):requires_grad_()
      local h, c = al.zeros({ n, units }, like), al.zeros({ n, units }, like)
      local total, y = 0, (al.lstm(x, wi, wh))
      local weight = al.randn(y.shape, like)
      for t = 1, 3 do
        h, c = step(x:select(2, t), h, c, wi, wh)
        total = total + (h * weight:select(2, t)):sum()
      end
      local close = dtype == "float32" and 2e-5 or 1e-12
      local function near(a, b)
        local gap = (a - b):detach():abs():max():item() / b:detach():abs():max():item()
        assert.is_true(gap < close, ("%d units: %g"):format(units, gap))
      end
      near(y:select(2, 3), h)
      local got = al.grad((y * weight):sum(), { x, wi, wh })
      local want = al.grad(total, { x, wi, wh })
      for k = 1, 3 do near(got[k], want[k]) end
    end
  end)

  it("says what does not fit", function()
    local x, w = al.randn(2, 3, 4), al.randn(8, 4)
    local fails = assert.error_matches
    fails(function() al.lstm(x, w, al.randn(8, 3)) end, "w_ih is 8x4, needs 12x4")
    fails(function() al.lstm(x, w, al.randn(8, 2), { h0 = al.ones(1, 3, 2) }) end,
      "h0 is 1x3x2, needs 1x2x2")
    fails(function()
      al.lstm(x, w, al.randn(8, 2), { lengths = al.tensor({ 4, 1 }, { dtype = "int64" }) })
    end, "length 4 lies outside 0..3")
    fails(function() al.lstm(x[1], w, al.randn(8, 2)) end, "x has 2 dims, needs 3")
  end)

  it("takes no steps, or no sequences", function()
    local w, v = al.randn(8, 4), al.randn(8, 2)
    assert.same({ 2, 0, 2 }, (al.lstm(al.zeros(2, 0, 4), w, v)).shape)
    local x = al.zeros(0, 3, 4):requires_grad_()
    local y, h = al.lstm(x, w, v)
    assert.same({ 0, 3, 2 }, y.shape)
    assert.same({ 1, 0, 2 }, h.shape)
    y:sum():backward()
    assert.same({ 0, 3, 4 }, x.grad.shape)
  end)
end)

describe("gru", function()
  it("is its formula", function()
    local x = al.tensor({ { { 0.5 }, { -1 } } }, { dtype = "float64" })
    local b = al.tensor({ 0.1, 0.2, 0.3 }, { dtype = "float64" })
    local y = al.gru(x, column(1, 2, 3), column(0.1, 0.2, 0.3), nil, b)
    local state = 0
    for t, v in ipairs { 0.5, -1 } do
      local r = sigmoid(v + 0.1 * state + 0.1)
      local z = sigmoid(2 * v + 0.2 * state + 0.2)
      local n = tanh(3 * v + r * (0.3 * state + 0.3))
      state = (1 - z) * n + z * state
      assert.near(state, y[1][t][1]:item(), 1e-12)
    end
  end)
end)
