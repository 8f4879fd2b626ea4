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

local function mask(rows)
  local list = {}
  for k, row in ipairs(rows) do
    list[k] = {}
    for v in row:gmatch "." do list[k][#list[k] + 1] = v == "#" and 1 or 0 end
  end
  return al.tensor(list):to("bool")
end

describe("erode, dilate, opening, closing", function()
  local x = mask { ".......", ".####..", ".####.#", ".####..", "......." }
  it("by hand", function()
    assert.same(mask { ".......", ".......", "..##...", ".......", "......." }:totable(), x:erode():totable())
    assert.same(mask { ".......", ".####..", ".####..", ".####..", "......." }:totable(), x:opening():totable())
    local cross = mask { ".#.", "###", ".#." }
    local point = mask { "....", ".#..", "....", "...." }
    assert.same(mask { ".#..", "###.", ".#..", "...." }:totable(), point:dilate(3, cross):totable())
    assert.same(mask { "##.#", "#..#" }:totable(), mask { "##.#", "#..#" }:closing(1):totable())
    assert.same({ 1, 1, 1 }, mask { "#.#" }:closing(3):to("float32")[1]:totable())
  end)
  it("order, duality, idempotence", function()
    local y = al.randn(2, 9, 11, f64)
    local f = mask { "##.", ".##" }
    local e, d, o, c = y:erode(3, f), y:dilate(3, f), y:opening(3, f), y:closing(3, f)
    assert.is_true(o:le(y):all():item() and c:ge(y):all():item())
    assert.is_true(e:le(d):all():item())
    assert.equal(0, (o:opening(3, f) - o):abs():max():item())
    assert.equal(0, (c:closing(3, f) - c):abs():max():item())
    local odd = mask { "##.", ".##", "..#" }
    local back = mask { "#..", "##.", ".##" } -- mirrored
    assert.equal(0, (y:erode(3, odd) + (-y):dilate(3, back)):abs():max():item())
  end)
  it("names what it cannot do", function()
    raises("no true entry", function() al.ones(3, 3):erode(3, al.zeros(2, 2):to("bool")) end)
    raises("footprint has 1 dims", function() al.ones(3, 3):erode(3, al.ones(2)) end)
    assert.same({ 0, 3, 3 }, al.zeros(0, 3, 3):erode().shape)
  end)
end)

describe("label", function()
  it("counts parts in reading order", function()
    local x = mask { "#.#.", "#..#", "..#.", "##.." }
    local y, n = al.label(x)
    assert.equal("int64", y.dtype)
    assert.same({ { 1, 0, 2, 0 }, { 1, 0, 0, 3 }, { 0, 0, 4, 0 }, { 5, 5, 0, 0 } }, y:totable())
    assert.equal(5, n:item())
    y, n = x:label(2)
    assert.same({ { 1, 0, 2, 0 }, { 1, 0, 0, 2 }, { 0, 0, 2, 0 }, { 2, 2, 0, 0 } }, y:totable())
    assert.equal(2, n:item())
  end)
  it("joins a spiral, and labels each picture by itself", function()
    local spiral = mask { "#####", "....#", "###.#", "#...#", "#####" }
    local y, n = al.stack({ spiral, spiral:logical_not() }):label()
    assert.same({ 1, 1 }, n:totable())
    assert.equal(17, y[1]:sum():item())
    raises("wants 1 to 2", function() spiral:label(3) end)
    local none, zero = al.zeros(2, 0, 3):label()
    assert.same({ 2, 0, 3 }, none.shape)
    assert.same({ 0, 0 }, zero:totable())
  end)
end)

describe("distance_transform", function()
  it("of one hole is the distance to it", function()
    local x = al.ones(20, 30)
    x["8, 11"] = 0
    local y = x:distance_transform(al.tensor { 2, 0.5 })
    for _, p in ipairs { { 1, 1 }, { 20, 30 }, { 8, 2 }, { 13, 12 } } do
      assert.near(math.sqrt((2 * (p[1] - 8)) ^ 2 + (0.5 * (p[2] - 11)) ^ 2), y[p[1]][p[2]]:item(), 1e-5)
    end
    assert.equal(math.huge, al.ones(3, 3):distance_transform():min():item())
    raises("sampling is 0", function() x:distance_transform(0) end)
  end)
end)

describe("threshold_otsu, threshold_multiotsu", function()
  it("part what is far apart", function()
    local x = al.cat({ al.randn(200, f64) * 0.1, al.randn(100, f64) * 0.1 + 5 }, 1)
    local t = x:threshold_otsu():item() + 0.05 -- past the bin it is the centre of
    assert.equal(100, x:gt(t):sum():item())
    local y = al.cat({ x, al.randn(50, f64) * 0.1 - 7 }, 1)
    local two = y:threshold_multiotsu(3) + 0.05
    assert.equal(50, y:le(two[1]):sum():item())
    assert.equal(100, y:gt(two[2]):sum():item())
  end)
  it("of integers are values", function()
    local x = al.tensor { 10, 10, 12, 60, 61, 61 }:to("uint8")
    assert.equal(12, x:threshold_otsu():item())
    assert.same({ 10, 12 }, al.tensor({ 10, 10, 12, 60 }):to("uint8"):threshold_multiotsu():totable())
    assert.equal(3, al.full({ 4 }, 3):threshold_otsu():item())
    raises("fewer than 3 classes", function() al.full({ 4 }, 3):threshold_multiotsu() end)
    raises("x is empty", function() al.zeros(0):threshold_otsu() end)
    raises("x holds", function() al.tensor({ 1, al.nan }):threshold_otsu() end)
  end)
end)
