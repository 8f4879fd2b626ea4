local al = require "albedo"

local function plane(h, w) return al.arange(h * w):to("float32"):reshape(1, 1, h, w) end

describe("max_pool", function()
  it("takes the largest of each window", function()
    local x = plane(4, 4)
    assert.same({ { 6, 8 }, { 14, 16 } }, x:max_pool2d(2)[1][1]:totable())
    assert.same({ { 11, 12 }, { 15, 16 } }, x:max_pool2d(3, 1)[1][1]:totable())
    assert.same({ { 6, 8, 8 }, { 14, 16, 16 }, { 14, 16, 16 } },
      x:max_pool2d(3, 2, { pad = 1, ceil_mode = true })[1][1]:totable())
    assert.equal(-1, (x * -1):max_pool2d(2, 4, { pad = 1 })[1][1][1][1]:item())
    assert.same({ { { 7, 5 } } }, al.tensor({ { { 1, 7, 5, 2, 9 } } }):max_pool1d(2):totable())
    assert.equal(27, al.ones(1, 1, 3, 3, 3):mul(27):max_pool3d(3):item())
  end)

  it("tells where, and sends gradients there", function()
    local x = al.tensor({ { { { 1, 5 }, { 7, 2 } } } }):requires_grad_()
    local y, at = x:max_pool_with_indices(2)
    assert.equal(3, at:item())
    y:backward()
    assert.same({ { 0, 0 }, { 1, 0 } }, x.grad[1][1]:totable())
    local tie = al.ones(1, 1, 2, 2):requires_grad_()
    tie:max_pool2d(2):backward()
    assert.same({ { 1, 0 }, { 0, 0 } }, tie.grad[1][1]:totable())
  end)

  it("keeps NaN, refuses windows that do not fit", function()
    local y = al.tensor({ { { 1, 0 / 0, 3 } } }):max_pool1d(3)
    assert.is_true(y:item() ~= y:item())
    assert.error_matches(function() return plane(2, 2):max_pool2d(3) end, "wider than padded x")
    assert.error_matches(
      function() return plane(4, 4):max_pool2d(2, { pad = 2 }) end,
      "half the kernel"
    )
    assert.error_matches(
      function() return plane(4, 4):max_pool3d(2) end,
      "x has 4 dims, needs 5"
    )
  end)
end)

describe("avg_pool", function()
  it("takes means, of padding too unless told otherwise", function()
    local x = plane(2, 2)
    assert.same({ { 2.5 } }, x:avg_pool2d(2)[1][1]:totable())
    assert.same({ { 0.25, 0.5 }, { 0.75, 1 } }, x:avg_pool2d(2, { pad = 1 })[1][1]:totable())
    assert.same(
      { { 1, 2 }, { 3, 4 } },
      x:avg_pool2d(2, { pad = 1, count_include_pad = false })[1][1]:totable()
    )
  end)

  it("adapts to any size", function()
    local x = al.tensor { { { 1, 2, 3, 4, 5 } } }
    assert.same({ { { 2, 4 } } }, x:adaptive_avg_pool(2):totable()) -- 1..3 and 3..5
    assert.same({ { { 1.5, 3, 4.5 } } }, x:adaptive_avg_pool(3):totable()) -- 1..2, 2..4, 4..5
    assert.same({ { { 3 } } }, x:adaptive_avg_pool(1):totable())
    assert.same({ { 3 } }, x:global_avg_pool():totable())
    assert.same({ { 8.5 } }, plane(4, 4):adaptive_avg_pool2d({ 1, 1 })[1][1]:totable())
  end)
end)

describe("pooling", function()
  it("leaves the same bits on any number of threads", function()
    local former = al.threads()
    local x = al.randn(4, 30, 33, 35)
    local function run(n)
      al.threads(n)
      return al.cat({ x:max_pool2d(3, 2, { pad = 1 }), x:avg_pool2d(3, 2, { pad = 1 }) })
    end
    assert.equal(0, run(1):ne(run(4)):sum():item())
    al.threads(former)

  end)

  it("lp_pool has gradient 0 where a window is zero, as PyTorch's", function()
    local x = al.zeros(1, 1, 2, 4)
    x[{ 1, 1, 1, 3 }] = 3
    x[{ 1, 1, 2, 4 }] = 4
    x.requires_grad = true
    local y = al.lp_pool(x, 2, 2)
    assert.same({ { { { 0, 5 } } } }, y:totable())
    local g = al.grad(y:sum(), x):totable()[1][1]
    assert.same({ 0, 0 }, { g[1][1], g[2][2] })
    assert.is_near(0.6, g[1][3], 1e-6)
    assert.is_near(0.8, g[2][4], 1e-6)
  end)
end)
