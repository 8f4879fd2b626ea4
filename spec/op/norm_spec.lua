local al = require "albedo"

local function close(want, t, tolerance)
  local got = t:flatten():totable()
  assert.equal(#want, #got)
  for i, v in ipairs(want) do assert.near(v, got[i], tolerance or 1e-6) end
end

describe("batch_norm", function()
  it("centres and scales each channel, and follows the statistics", function()
    -- channel 1 holds 1, 3 (mean 2, variance 1), channel 2 holds 10, 30 (mean 20, variance 100)
    local x = al.tensor { { 1, 10 }, { 3, 30 } }
    local mean, var = al.zeros(2), al.ones(2)
    local y = x:batch_norm(nil, nil, mean, var, { training = true, eps = 0 })
    assert.same({ { -1, -1 }, { 1, 1 } }, y:totable())
    close({ 0.2, 2 }, mean)
    close({ 0.9 + 0.1 * 2, 0.9 + 0.1 * 200 }, var, 1e-5) -- unbiased
    y = x:batch_norm(al.tensor { 2, 3 }, al.tensor { 0, 1 }, { training = true, eps = 0 })
    assert.same({ { -2, -2 }, { 2, 4 } }, y:totable())
  end)

  it("uses the running statistics without training", function()
    local x = al.tensor { { { 1, 3 }, { 5, 9 } } }
    local y = x:batch_norm(nil, nil, al.tensor { 1, 5 }, al.tensor { 4, 16 }, { eps = 0 })
    assert.same({ { { 0, 1 }, { 0, 1 } } }, y:totable())
    assert.error_matches(function() return x:batch_norm() end, "needs running_mean")
    assert.error_matches(
      function() return al.ones(1, 3):batch_norm({ training = true }) end,
      "more than one value a channel"
    )
    assert.error_matches(
      function() return x:batch_norm(al.ones(3), { training = true }) end,
      "weight has 3"
    )
  end)

  it("keeps its digits when the mean is far from zero", function()
    al.seed(6)
    local x = al.randn(8, 4, 64)
    local far = (x + 4096):batch_norm({ training = true })
    local near = x:batch_norm({ training = true })
    assert.is_true((far - near):abs():max():item() < 1e-3)
  end)

  it("leaves the same bits, backwards too, on any number of threads", function()
    local former = al.threads()
    local function run(threads, ...)
      al.threads(threads)
      al.seed(4)
      local x = al.randn(...):requires_grad_()
      local w, b = al.randn(x.shape[2]):requires_grad_(), al.randn(x.shape[2]):requires_grad_()
      local y = x:batch_norm(w, b, { training = true })
      y:square():sum():backward()
      return { y:detach(), x.grad, w.grad, b.grad }
    end
    for _, shape in ipairs { { 4, 16, 50, 50 }, { 300, 70 }, { 1, 2, 300, 300 } } do
      local one, four = run(1, shape), run(4, shape)
      for k = 1, 4 do assert.equal(0, one[k]:ne(four[k]):sum():item()) end
    end
    al.threads(former)
  end)
end)

describe("layer, group and instance norm", function()
  it("normalise rows, blocks of channels, channels", function()
    local x = al.tensor { { 1, 3, 10, 30 } }
    close({ -1, 1, -1, 1 }, x:group_norm(2, { eps = 0 }))
    local s = math.sqrt(131.5) -- of 1, 3, 10, 30: mean 11, squares 100, 64, 1, 361
    close({ -10 / s, -8 / s, -1 / s, 19 / s }, x:layer_norm(4, { eps = 0 }))
    close({ -10 / s, -8 / s, -1 / s, 19 / s }, x:group_norm(1, { eps = 0 }))
    close({ -1, 1, -1, 1 }, x:reshape(1, 2, 2):instance_norm({ eps = 0 }))
    close({ -1, 2, -1, 2 }, x:reshape(2, 2):layer_norm(2, al.tensor { 1, 2 }, { eps = 0 }))
    local w, b = al.tensor { 1, 1, 2, 3 }, al.tensor { 1, 1, 6, 7 }
    close({ 0, 2, 4, 10 }, x:group_norm(2, w, b, { eps = 0 }))
    assert.error_matches(function() return x:layer_norm(3) end, "not that of x's last dims")
    assert.error_matches(function() return x:group_norm(3) end, "3 groups do not divide 4")
    assert.error_matches(function() return x:instance_norm() end, "needs at least 3")
  end)
end)
