local al = require "albedo"
local inf, nan = math.huge, 0 / 0

local function int(t) return al.tensor(t, { dtype = "int64" }) end
local function list(...)
  local out = { ... }
  for i, t in ipairs(out) do out[i] = t:totable() end
  return out
end

describe("medians and quantiles", function()
  it("take the lower of two in the middle; NaN wins or is left out", function()
    local x = al.tensor { { 5, 1, 4, 2 }, { 9, 7, 8, 6 } }
    assert.equal(5, al.median(x):item())
    assert.same({ { 2, 7 }, { 4, 2 } }, list(x:median(2)))
    assert.same({ { { 5, 1, 4, 2 } }, { { 1, 1, 1, 1 } } }, list(x:median(1, true)))
    local y = al.tensor { 3, nan, 1 }
    assert.is_true(al.median(y):isnan():item())
    assert.same({ 1, 3 }, { al.nanmedian(y):item(), select(2, y:nanmedian(1)):item() })
    assert.is_true(al.tensor({ nan, nan }):nanmedian():isnan():item())
    assert.error_matches(function() al.zeros(0):median() end, "no element")
  end)

  it("interpolate between ranks", function()
    local x = al.tensor { 4, 1, 3, 2 }
    assert.near(1.9, x:quantile(0.3):item(), 1e-6)
    assert.same({ 1, 2.5, 4 }, x:quantile(al.tensor { 0, 0.5, 1 }):totable())
    local how = { lower = 1, higher = 2, midpoint = 1.5, nearest = 2 }
    for mode, want in pairs(how) do
      assert.equal(want, x:quantile(0.3, { interpolation = mode }):item(), mode)
    end
    assert.same({ 2, 3, 1 }, al.ones(3, 5):quantile(al.tensor { 0.1, 0.2 }, 2, true).shape)
    assert.error_matches(function() x:quantile(1.1) end, "outside %[0, 1%]")
  end)
end)

describe("distinct values and counts", function()
  it("unique", function()
    local x = int { { 3, 1 }, { 3, 7 } }
    local v, inverse, counts = x:unique { return_inverse = true, return_counts = true }
    assert.same({ { 1, 3, 7 }, { { 2, 1 }, { 2, 3 } }, { 1, 2, 1 } }, list(v, inverse, counts))
    assert.same({ 1, 2, 1 }, select(2, x:unique { return_counts = true }):totable())
    assert.equal(2, al.tensor({ nan, nan }):unique():numel())
    assert.same({ 0 }, al.zeros(0, 2):unique().shape)
  end)

  it("bincount counts from 1", function()
    assert.same({ 1, 0, 2 }, int({ 3, 1, 3 }):bincount():totable())
    assert.same({ 0.5, 0, 4, 0 }, int({ 3, 1, 3 }):bincount(al.tensor { 1, 0.5, 3 }, 4):totable())
    assert.error_matches(function() int({ 1, 0 }):bincount() end, "count from 1")
    assert.error_matches(function() al.tensor({ 1.5 }):bincount() end, "vector of integers")
  end)

  it("searchsorted and bucketize: before equals, or after them", function()
    local edges, x = al.tensor { 1, 3, 3, 5 }, al.tensor { 0, 3, 9, nan }
    assert.same({ 1, 2, 5, 5 }, edges:searchsorted(x):totable())
    assert.same({ 1, 4, 5, 5 }, edges:searchsorted(x, { right = true }):totable())
    assert.same({ 1, 2, 5, 5 }, al.bucketize(x, edges):totable())
    assert.error_matches(function() al.ones(2, 3):searchsorted(al.ones(3, 3)) end, "do not fit")
  end)

  it("histogram: the last bin has its end", function()
    local x = al.tensor { 0, 1, 1.5, 2, 3, nan }
    assert.same({ { 1, 3 }, { 0, 1, 2 } }, list(x:histogram(2, { min = 0, max = 2 })))
    assert.same({ 1, 2, 2 }, (x:histogram(al.tensor { 0, 1, 2, 3 })):totable())
    assert.same({ 0.25, 0.375 }, (al.tensor({ 0, 1, 2, 2 }):histogram(
      al.tensor { 0, 1, 3 }, { density = true })):totable())
    assert.same({ 1, 3 }, x:histc(2, 0, 2):totable())
  end)

  it("running extremes give the last of equals", function()
    assert.same({ { 1, 3, 3, 3 }, { 1, 2, 2, 4 } }, list(al.tensor({ 1, 3, 2, 3 }):cummax(1)))
    assert.same({ { 2, 2, 1 }, { 1, 1, 3 } }, list(int({ 2, 4, 1 }):cummin(1)))
  end)
end)

describe("special functions", function()
  it("at known points", function()
    local x = al.tensor({ 1, 0.5, 3 }, { dtype = "float64" })
    local euler = 0.57721566490153286
    assert.near(math.log(math.sqrt(math.pi)), x:lgamma()[2]:item(), 1e-15)
    assert.near(-euler, x:digamma()[1]:item(), 1e-14)
    assert.near(-euler - 2 * math.log(2), x:digamma()[2]:item(), 1e-14)
    assert.near(math.pi ^ 2 / 6, al.polygamma(1, x)[1]:item(), 1e-14)
    assert.near(math.pi ^ 2 / 2, al.polygamma(1, x)[2]:item(), 1e-13)
    assert.near(0.47693627620446987, al.erfinv(al.tensor({ 0.5 }, { dtype = "float64" })):item(), 1e-15)
    assert.same({ inf, -inf }, al.erfinv(al.tensor { 1, -1 }):totable())
    for _, v in ipairs { -0.999999, -0.3, 1e-12, 0.7, 1 - 1e-14 } do
      local y = al.tensor({ v }, { dtype = "float64" })
      assert.near(1, (y:erfinv():erf() / y):item(), 1e-13)
    end
    assert.same({ 1, 0 }, { al.sinc(al.tensor { 0 }):item(), math.floor(al.sinc(al.tensor { 1 }):item() + 0.5) })
    assert.same({ 0, 5, 1, -1 }, al.tensor({ nan, inf, 1, -inf }):nan_to_num(0, 5, -1):totable())
  end)

  it("of two numbers", function()
    assert.near(1, al.hypot(al.tensor({ 3e200 }, { dtype = "float64" }), 4e200):item() / 5e200, 1e-15)
    assert.same({ 0, 0 }, al.xlogy(al.tensor { 0, 1 }, al.tensor { 0, 1 }):totable())
    assert.same({ inf, -inf, 1 }, al.logaddexp(al.tensor { inf, -inf, 1 }, al.tensor { 1, -inf, -inf }):totable())
    assert.same({ 0, 0.5, 1 }, al.heaviside(al.tensor { -2, 0, 3 }, al.tensor { 0.5 }):totable())
    assert.is_true(al.allclose(al.ones(3), al.ones(3) * (1 + 1e-6)))
    assert.is_false(al.allclose(al.tensor { nan }, al.tensor { nan }))
    assert.is_true(al.allclose(al.tensor { nan, inf }, al.tensor { nan, inf }, { equal_nan = true }))
  end)
end)

describe("arranging", function()
  it("diagonals, dims, turns, grids", function()
    assert.same({ { 0, 2 }, { 0, 0 } }, al.diag(al.tensor { 2 }, 1):totable())
    assert.same({ 2, 6 }, al.arange(6):reshape(2, 3):diag(1):totable())
    assert.same({ 4, 2, 3 }, al.zeros(2, 3, 4):movedim(3, 1).shape)
    assert.same({ 2, 3, 4 }, al.zeros(2, 12):unflatten(2, { 3, -1 }).shape)
    assert.same({ { 2, 4 }, { 1, 3 } }, al.arange(4):reshape(2, 2):rot90():totable())
    local a, b = al.meshgrid({ al.arange(2), al.arange(3) })
    assert.same({ { { 1, 1, 1 }, { 2, 2, 2 } }, { { 1, 2, 3 }, { 1, 2, 3 } } }, list(a, b))
    assert.same({ { 1, 2 }, { 7, 4 } }, al.arange(4):reshape(2, 2):masked_scatter(
      al.tensor { { false, false }, { true, false } }, al.tensor({ 7, 8 })):totable())
    assert.error_matches(function()
      al.ones(2):masked_scatter(al.tensor { true, true }, al.ones(1))
    end, "src has 1 elements")
  end)

  it("differences, integrals, sums without NaN", function()
    assert.same({ 0, 2 }, al.tensor({ 1, 2, 3, 6 }):diff(2):totable())
    assert.equal(4.5, al.trapezoid(al.tensor { 1, 2, 4 }):item())
    assert.equal(7, al.trapz(al.tensor { 1, 3, 3 }, al.tensor { 0, 2, 3 }):item())
    assert.equal(4, al.tensor({ 1, nan, 3 }):nansum():item())
    assert.equal(2, al.tensor({ 1, nan, 3 }):nanmean():item())
    assert.equal(2, #al.zeros(2, 3):unbind())
  end)
end)
