local al = require "albedo"

local function int(t) return al.tensor(t, { dtype = "int64" }) end
local function near(want, t) assert.near(want, t:item(), 1e-6) end
local fails = assert.error_matches
local log, exp = math.log, math.exp

describe("cross_entropy", function()
  it("of equal logits is the logarithm of their number", function()
    near(log(5), al.zeros(3, 5):cross_entropy(int { 1, 5, 2 }))
    near(log(5) * 3, al.zeros(3, 5):cross_entropy(int { 1, 5, 2 }, { reduction = "sum" }))
    near(log(5), al.zeros(3, 5):cross_entropy(int { 1, 5, 2 }, { label_smoothing = 0.3 }))
  end)

  it("has the gradient (softmax - one-hot) / n", function()
    local x = al.tensor({ { log(1), log(3) }, { log(2), log(2) } }):requires_grad_()
    local loss = x:cross_entropy(int { 2, 1 })
    near((log(4 / 3) + log(2)) / 2, loss)
    loss:backward()
    local g = x.grad:flatten():totable()
    for i, want in ipairs { 0.125, -0.125, -0.25, 0.25 } do assert.near(want, g[i], 1e-7) end
  end)

  it("weighs classes and ignores a label", function()
    local x = al.tensor { { 0, 0 }, { 0, 0 }, { 7, 7 } }
    local w = al.tensor { 1, 3 }
    near(log(2), x:cross_entropy(int { 1, 2, -100 }, { weight = w }))
    local opts = { weight = w, reduction = "none" }
    local each = x:cross_entropy(int { 1, 2, -100 }, opts):totable()
    for i, k in ipairs { 1, 3, 0 } do assert.near(k * log(2), each[i], 1e-6) end
    near(log(2), x:cross_entropy(int { 1, 2, 2 }, { ignore_index = 1 }))
  end)

  it("takes pictures, and probabilities", function()
    assert.same({ 2, 4, 5 }, al.zeros(2, 3, 4, 5):cross_entropy(
      al.ones({ 2, 4, 5 }, { dtype = "int64" }), { reduction = "none" }).shape)
    local p = al.tensor { { 0.25, 0.75 } }
    near(-(0.25 * log(0.25) + 0.75 * log(0.75)), p:log():cross_entropy(p))
  end)

  it("stays finite for large logits", function()
    near(0, al.tensor({ { 1000, 0 } }):cross_entropy(int { 1 }))
    near(1000, al.tensor({ { 1000, 0 } }):cross_entropy(int { 2 }))
  end)

  it("says that labels count from 1", function()
    local x = al.zeros(2, 3)
    fails(
      function() return x:cross_entropy(int { 0, 1 }) end,
      "indices and labels count from 1"
    )
    fails(function() return x:cross_entropy(int { 4, 1 }) end, "label 4 lies outside 1..3")
    fails(function() return x:cross_entropy(int { -1, 1 }) end, "label %-1 lies outside")
    fails(function() return x:cross_entropy(int { 1 }) end, "labels are 1, x %(2x3%) expects 2")
    fails(
      function() return x:cross_entropy(int { 1, 1 }, { reduction = "avg" }) end,
      "mean, sum, none"
    )
    fails(
      function() return x:cross_entropy(int { 1, 1 }, { weight = al.ones(2) }) end,
      "weight needs 3"
    )
  end)
end)

describe("losses", function()
  it("for regression", function()
    local x, t = al.tensor { 1, 2, 4 }, al.tensor { 1, 0, 1 }
    near(13 / 3, x:mse_loss(t))
    near(5, x:l1_loss(t, { reduction = "sum" }))
    assert.same({ 0, 1.5, 2.5 }, x:smooth_l1_loss(t, { reduction = "none" }):totable())
    assert.same({ 0, 1, 2 }, x:smooth_l1_loss(t, { reduction = "none", beta = 2 }):totable())
    assert.same({ 0, 2, 4 }, x:huber_loss(t, { reduction = "none", delta = 2 }):totable())
    near(4, x[3]:mse_loss(2))
  end)

  it("for two classes", function()
    local p = al.tensor { 0.25, 0.5 }
    near(-(log(0.25) + log(0.5)) / 2, p:binary_cross_entropy(al.tensor { 1, 0 }))
    near(100, al.tensor({ 0 }):bce(al.tensor { 1 }))
    local x = al.tensor { 0, 2 }
    near((log(2) + log(1 + exp(2))) / 2, x:bce_with_logits(al.tensor { 1, 0 }))
    near(800, al.tensor({ 800 }):bce_with_logits(al.tensor { 0 }))
    near(0, al.tensor({ 800 }):bce_with_logits(al.tensor { 1 }))
    local opts = { pos_weight = al.tensor { 3 } }
    near(3 * log(2), al.tensor({ 0 }):bce_with_logits(al.tensor { 1 }, opts))
  end)

  it("for distributions", function()
    local p, q = al.tensor { { 0.5, 0.5 } }, al.tensor { { 1, 0 } }
    near(log(2), p:log():kl_div(q, { reduction = "sum" }))
    near(log(2) / 2, p:log():kl_div(q))
    near(log(2), p:log():kl_div(q, { reduction = "batchmean" }))
    near(0, p:log():kl_div(p:log(), { log_target = true }))
    near(-log(0.5), p:log():nll_loss(int { 2 }))
  end)

  -- Values of PyTorch 1.13.
  it("binary_cross_entropy at 0 and 1: finite gradients, 0 where x is the target", function()
    local x = al.tensor({ 0, 1, 0, 1, 0.5 }, { dtype = "float64", requires_grad = true })
    local t = al.tensor({ 0, 1, 1, 0, 0.5 }, { dtype = "float64", requires_grad = true })
    local loss = al.binary_cross_entropy(x, t, { reduction = "none" })
    assert.same({ 0, 0, 100, 100 }, loss:narrow(1, 1, 4):totable())
    local g = al.grad(loss:sum(), { x, t })
    assert.same({ 0, 0, -1e12, 1e12, 0 }, g[1]:totable())
    assert.same({ 100, -100, 100, -100, 0 }, g[2]:totable())
  end)

  it("binary_cross_entropy raises for what is no probability", function()
    for _, bad in ipairs { -0.1, 1.5, 0 / 0 } do
      assert.error_matches(function() al.binary_cross_entropy(al.tensor { 0.5, bad }, 1) end,
        "binary_cross_entropy: x has an element outside %[0, 1%]")
    end
    assert.same({ 0 }, al.binary_cross_entropy(al.zeros(0), 1, { reduction = "none" }).shape)
  end)

  it("cross_entropy is log_softmax's, and makes no tensor of log-probabilities", function()
    for _, shape in ipairs { { 7, 33 }, { 3, 5, 41 }, { 2, 17, 9, 67 } } do
      local x = al.randn(shape) * 30
      local t = al.randint(1, shape[2], { shape[1], shape[3], shape[4] })
      local all = -x:log_softmax(2):gather(2, t:unsqueeze(2)):squeeze(2)
      assert.equal(all:bytes(), x:cross_entropy(t, { reduction = "none" }):bytes())
    end
    local x, t = al.randn(64, 20000), al.randint(1, 20000, { 64 })
    al.memory_reset_peak()
    local before = al.memory().live
    al.no_grad(al.cross_entropy, x, t)
    assert.is_true(al.memory().peak - before < x:numel()) -- a quarter of x
  end)
end)
