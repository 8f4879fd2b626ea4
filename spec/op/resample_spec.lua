local al = require "albedo"

local function row(t) return al.tensor { { t } } end -- 1x1xn
local function of(y) return y[1][1]:totable() end
local function near(want, got)
  assert.equal(#want, #got)
  for i, v in ipairs(want) do assert.near(v, got[i], 1e-6) end
end

describe("interpolate", function()
  it("nearest, linear, area along one dim", function()
    local x = row { 0, 4 }
    assert.same({ 0, 0, 4, 4 }, of(x:interpolate(4)))
    near({ 0, 1, 3, 4 }, of(x:interpolate(4, { mode = "linear" })))
    near({ 0, 2, 4 }, of(x:interpolate(3, { mode = "linear", align_corners = true })))
    near({ 1.5, 3.5 }, of(row({ 1, 2, 3, 4 }):interpolate(2, { mode = "area" })))
    near({ 2, 4 }, of(row({ 1, 2, 3, 4, 5 }):interpolate(2, { mode = "area" })))
    assert.same({ 0, 0, 4, 4 }, of(x:interpolate({ scale = 2 })))
  end)

  it("keeps constants and straight lines", function()
    for _, mode in ipairs { "bilinear", "bicubic", "area", "nearest" } do
      local y = al.full({ 1, 2, 5, 7 }, 3):interpolate({ 9, 4 }, { mode = mode })
      assert.near(0, (y - 3):abs():max():item(), 1e-5)
    end
    local line = al.arange(8):to("float32"):reshape(1, 1, 8)
    local opts = { mode = "linear", align_corners = true }
    near({ 1, 2.4, 3.8, 5.2, 6.6, 8 }, of(line:interpolate(6, opts)))
    local cubic = of(line:interpolate(15, { mode = "cubic", align_corners = true }))
    for i = 3, 13 do assert.near(1 + (i - 1) / 2, cubic[i], 1e-5) end
  end)

  it("antialias keeps the mean and widens the filter", function()
    al.seed(3)
    local x = al.rand(1, 1, 64, 64)
    local y = x:interpolate(8, { mode = "bilinear", antialias = true })
    assert.near(x:mean():item(), y:mean():item(), 0.02)
    assert.is_true(y:std():item() < 0.5 * x:interpolate(8, { mode = "bilinear" }):std():item())
  end)

  it("names what it cannot do", function()
    local x = al.ones(1, 1, 4, 4)
    assert.error_matches(
      function() return x:interpolate(2, { mode = "lanczos" }) end,
      "none of nearest"
    )
    assert.error_matches(function() return x:interpolate() end, "either size or scale")
    assert.error_matches(function() return x:interpolate({ 2, 2, 2 }) end, "needs 1 or 2")
    assert.error_matches(function() return x:interpolate(0) end, "at least 1")
  end)
end)

describe("grid_sample", function()
  local identity = al.tensor { { { 1, 0, 0 }, { 0, 1, 0 } } }

  it("of the identity grid is the picture", function()
    local x = al.arange(12):to("float32"):reshape(1, 1, 3, 4)
    for _, align in ipairs { true, false } do
      local grid = identity:affine_grid({ 1, 1, 3, 4 }, { align_corners = align })
      local y = x:grid_sample(grid, { align_corners = align })
      assert.near(0, (y - x):abs():max():item(), 1e-5)
    end
  end)

  it("turns by a quarter", function()
    local x = al.tensor { { { { 1, 2 }, { 3, 4 } } } }
    local turn = al.tensor { { { 0, -1, 0 }, { 1, 0, 0 } } }
    local grid = turn:affine_grid({ 1, 1, 2, 2 })
    local y = x:grid_sample(grid, { mode = "nearest" })
    assert.same({ { 2, 4 }, { 1, 3 } }, y[1][1]:totable())
  end)

  it("is zero outside, or the border", function()
    local x = al.full({ 1, 1, 2, 2 }, 5)
    local grid = al.tensor { { { { 3, 0 }, { 0, 0 }, { -1, -1 } } } }
    near({ 0, 5, 1.25 }, x:grid_sample(grid)[1][1][1]:totable())
    near({ 5, 5, 5 }, x:grid_sample(grid, { padding_mode = "border" })[1][1][1]:totable())
    local nan = al.full({ 1, 1, 1, 2 }, 0 / 0)
    assert.same({ 0 }, x:grid_sample(nan)[1][1][1]:totable())
  end)

  it("recorded and direct forms agree", function()
    al.seed(2)
    local x, grid = al.randn(2, 3, 6, 5), al.randn(2, 4, 4, 2)
    local ways = { {}, { mode = "nearest" }, { padding_mode = "border" } }
    ways[4] = { align_corners = true }
    for _, opts in ipairs(ways) do
      local direct = x:grid_sample(grid, opts)
      local recorded = x:detach():requires_grad_():grid_sample(grid, opts)
      assert.near(0, (direct - recorded:detach()):abs():max():item(), 1e-5)
    end
  end)
end)
