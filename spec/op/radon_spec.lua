-- Projections: a disc's closed form, reconstruction, exact transposes (scikit-image's formulas: spec/peer).
local al = require "albedo"

local f64 = { dtype = "float64" }
local function raises(pattern, f)
  local ok, message = pcall(f)
  assert.is_false(ok)
  assert.is_truthy(message:find(pattern), message)
end

-- Discs {value, x, y, radius} about the middle of an n x n picture, edges softened over 4 x 4 points a pixel.
local function phantom(n, discs)
  local picture = {}
  local m = math.floor(n / 2)
  for y = 0, n - 1 do
    for x = 0, n - 1 do
      local v = 0
      for k = 0, 15 do
        local u, w = x - m + (k % 4 - 1.5) / 4, y - m + (math.floor(k / 4) - 1.5) / 4
        for _, d in ipairs(discs) do
          if (u - d[2]) ^ 2 + (w - d[3]) ^ 2 < d[4] ^ 2 then v = v + d[1] / 16 end
        end
      end
      picture[#picture + 1] = v
    end
  end
  return al.tensor(picture, f64):reshape(n, n)
end

local function degrees(n) return (al.arange(n):to("float64") - 1) * (180 / n) end

describe("radon", function()
  it("of a disc is 2 sqrt(r^2 - s^2) at every angle", function()
    local n, r, cx, cy = 65, 17, 6, -9
    local angles = al.tensor({ 0, 17, 45, 90, 133 }, f64)
    local s = phantom(n, { { 1, cx, cy, r } }):radon(angles)
    assert.same({ n, 5 }, s.shape)
    for a = 1, 5 do
      local t = math.rad(angles[a]:item())
      local middle = cx * math.cos(t) - cy * math.sin(t) + 32
      for c = 0, n - 1 do
        local off = math.abs(c - middle)
        if math.abs(off - r) > 1.5 then
          local want = off < r and 2 * math.sqrt(r * r - off * off) or 0
          assert.near(want, s[c + 1][a]:item(), off < r - 4 and 0.35 or 1.2)
        end
      end
    end
  end)

  it("keeps the sum at right angles, and at 0 is the sum over rows", function()
    local x = al.randn(2, 7, 7, f64)
    local s = x:radon(al.tensor({ 0, 90 }, f64))
    assert.near(0, (s["..., 1"] - x:sum(-2)):abs():max():item(), 1e-13)
    assert.near(0, (s["..., 2"] - x:sum(-1):flip(-1)):abs():max():item(), 1e-12)
  end)

  it("is the transpose of its gradient", function()
    local x, angles = al.randn(16, 16, f64):requires_grad_(), degrees(9)
    local y = x:radon(angles)
    local g = al.randn(y.shape, f64)
    local back = al.grad(y, { x }, { grad_outputs = { g } })[1]
    assert.near((y:detach() * g):sum():item(), (x:detach() * back):sum():item(), 1e-10)
  end)

  it("gives the same bits for any number of threads", function()
    local former = al.threads()
    local x, angles = al.randn(2, 40, 40):requires_grad_(), degrees(31)
    local function bits(n)
      al.threads(n)
      local y = x:radon(angles)
      local z = y:iradon(angles)
      return y:bytes() .. z:bytes() .. al.grad(z:square():sum(), { x })[1]:bytes()
    end
    local one, two, four = bits(1), bits(2), bits(4)
    al.threads(former)
    assert.is_true(one == two and one == four)
  end)

  it("names what it cannot do", function()
    raises("needs a float", function() al.ones(4, 4):to("int64"):radon(al.ones(2)) end)
    raises("no gradient in angles", function() al.ones(4, 4):radon(al.ones(2):requires_grad_()) end)
    raises("x has 4 angles, angles 2", function() al.ones(4, 4):iradon(al.ones(2)) end)
    raises("none of ramp", function() al.ones(4, 2):iradon(al.ones(2), { filter = "box" }) end)
  end)

  it("of nothing is nothing", function()
    assert.same({ 0, 4, 3 }, al.zeros(0, 4, 4):radon(al.ones(3)).shape)
    assert.same({ 4, 0 }, al.zeros(4, 4):radon(al.ones(0)).shape)
    assert.equal(0, al.zeros(4, 0):iradon(al.ones(0)):abs():max():item())
  end)
end)

describe("iradon", function()
  it("gives a phantom back, the better the more angles", function()
    local x = phantom(64, { { 1, 0, 0, 26 }, { -0.5, 8, 3, 9 }, { 0.7, -11, -8, 6 } })
    local function off(n, filter)
      local angles = degrees(n)
      local y = x:radon(angles):iradon(angles, { filter = filter })
      return (y - x):square():mean():sqrt():item() / x:square():mean():sqrt():item()
    end
    assert.is_true(off(90, "ramp") < 0.15, off(90, "ramp"))
    assert.is_true(off(12, "ramp") > 1.5 * off(90, "ramp"))
    for _, filter in ipairs { "shepp-logan", "cosine", "hamming", "hann" } do
      assert.is_true(off(90, filter) < 0.2, filter .. off(90, filter))
    end
    assert.is_true(off(90, "none") > 1)
    -- the level within the large disc, away from edges
    local angles = degrees(90)
    local y = x:radon(angles):iradon(angles)
    assert.near(1, y["45:50, 25:30"]:mean():item(), 0.02)
  end)

  -- 2 % in the interior; outside, streaks of the finite number of angles average out.
  it("gives a disc's value back from its closed form, wherever it lies", function()
    local n, mu = 256, 0.35
    local angles = degrees(360)
    local turn = angles * (math.pi / 180)
    local axis = al.arange(0, n - 1):to "float64" - n / 2
    for _, disc in ipairs { { 0, 0, 90 }, { 31, -22, 60 } } do
      local x, y, r = disc[1], disc[2], disc[3]
      local off = axis:reshape(n, 1) - (turn:cos() * x - turn:sin() * y)
      local picture = ((r * r - off ^ 2):clamp(0, r * r):sqrt() * (2 * mu)):iradon(angles)
      local away = ((axis - x) ^ 2 + (axis:reshape(n, 1) - y) ^ 2):sqrt()
      local inside = picture[away:lt(r - 4)]
      assert.near(mu, inside:mean():item(), 0.002 * mu)
      assert.is_true((inside - mu):abs():max():item() < 0.02 * mu)
      assert.is_true(picture[away:gt(r + 4)]:abs():mean():item() < 0.01 * mu)
    end
  end)
end)
