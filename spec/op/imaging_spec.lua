-- Filters, shapes and thresholds of pictures: values by hand and identities (SciPy: spec/peer).
local al = require "albedo"

local f64 = { dtype = "float64" }
local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.is_truthy(message:find(pattern), message)
end

describe("correlate1d", function()
  it("borders", function()
    local x, w = al.tensor { 1, 2, 3, 4 }, al.tensor { 1, 0, 0 } -- the entry before
    local want = { reflect = 1, mirror = 2, nearest = 1, wrap = 4, constant = 0 }
    for mode, first in pairs(want) do
      assert.same({ first, 1, 2, 3 }, x:correlate1d(w, 1, mode):totable())
    end
    -- taps reaching over the line several times
    local far = al.tensor { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } -- the entry five before
    local two = al.tensor { 1, 2 }
    assert.same({ 1, 1 }, two:correlate1d(far, 1, "reflect"):totable()) -- 1, 1 2 2 1 before
    assert.same({ 2, 1 }, two:correlate1d(far, 1, "mirror"):totable())
    assert.same({ 2, 1 }, two:correlate1d(far, 1, "wrap"):totable())
  end)

  it("gives the same bits for any number of threads", function()
    local former = al.threads()
    local x = al.randn(3, 300, 301):requires_grad_()
    local w = al.randn(7):requires_grad_()
    local function bits(n)
      al.threads(n)
      local y = x:separable_filter({ w, w })
      local g = al.grad(y:square():sum(), { x, w })
      return y:bytes() .. g[1]:bytes() .. g[2]:bytes()
    end
    local one, two, four = bits(1), bits(2), bits(4)
    al.threads(former)
    assert.is_true(one == two and one == four)
  end)
end)

describe("gaussian_blur", function()
  it("of a point is the separable Gaussian", function()
    local x = al.zeros(9, 9, f64)
    x["5, 5"] = 1
    local y, sum = x:gaussian_blur(1), 0
    for t = -4, 4 do sum = sum + math.exp(-t * t / 2) end
    for i = 1, 9 do
      local want = math.exp(-((i - 5) ^ 2 + 4) / 2) / sum ^ 2
      assert.near(want, y[i][7]:item(), 1e-15)
    end
  end)
  it("keeps means and constants, and does nothing at sigma 0", function()
    local x = al.randn(2, 3, 20, 17, f64)
    assert.near(x:mean():item(), x:gaussian_blur(1.7):mean():item(), 1e-14)
    assert.equal(0, (x:gaussian_blur(0) - x):abs():max():item())
    assert.near(0, (al.ones(5, 6, f64):gaussian_blur(3, { mode = "nearest" }) - 1):abs():max():item(), 1e-15)
  end)
  it("names what it cannot do", function()
    raises("none of reflect", function() al.ones(4, 4):gaussian_blur(1, { mode = "zero" }) end)
    raises("wants 0 or more", function() al.ones(4, 4):gaussian_blur(-1) end)
    raises("x is uint8, needs a float", function() al.ones(4, 4):to("uint8"):gaussian_blur(1) end)
    raises("2 spatial dims", function() al.ones(4, 4):gaussian_blur(al.ones(3), { spatial = 2 }) end)
    raises("needs 1 to 3 spatial", function() al.ones(4, 4):laplace { spatial = 3 } end)
  end)
  it("of nothing is nothing", function()
    assert.same({ 0, 4, 4 }, al.zeros(0, 4, 4):gaussian_blur(1).shape)
    assert.same({ 2, 0, 4 }, al.zeros(2, 0, 4):gaussian_blur(1).shape)
    assert.same({ 2, 0, 4 }, al.zeros(2, 0, 4):median_filter(3).shape)
  end)
end)

describe("sobel, laplace, median_filter", function()
  it("of a slope", function()
    local x = (al.arange(7):to("float64") * 3):expand(5, 7)
    assert.near(24, x:sobel(2)[3][4]:item(), 1e-13)
    assert.near(0, x:sobel(1):abs():max():item(), 1e-13)
    assert.near(3 / math.sqrt(2), x:sobel()[3][4]:item(), 1e-13)
    assert.near(0, x:laplace()["2:4, 2:6"]:abs():max():item(), 1e-13)
  end)
  it("the median drops single pixels and keeps edges and dtypes", function()
    local x = al.zeros(6, 6):to("uint8")
    x["3, 3"] = 200
    x[":, 5:6"] = 90
    local y = x:median_filter(3)
    assert.equal("uint8", y.dtype)
    assert.same({ 0, 0, 0, 0, 90, 90 }, y[3]:totable())
  end)
end)
