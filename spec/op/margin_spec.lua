-- Losses by hand.
local al = require "albedo"

local function value(name, ...) return al[name](...):item() end
local x = al.tensor({ 0.5, -2, 3 }, { dtype = "float64" })
local t = al.tensor({ 1, 1, -1 }, { dtype = "float64" })

describe("losses with margins", function()
  it("are their definitions", function()
    assert.near((0.5 + 3 + 4) / 3, value("hinge_loss", x, t), 1e-12)
    assert.near((0.5 - 2 + 0) / 3, value("hinge_embedding_loss", x, t), 1e-12)
    assert.near(0.5 + 5.5 + 7.5, value("margin_ranking_loss", x, -x, t,
      { margin = 1.5, reduction = "sum" }), 1e-12)
    local scores = al.tensor({ { 1, 2, 4 } }, { dtype = "float64" })
    local label = al.tensor({ 2 }, { dtype = "int64" })
    assert.near((0 + 3) / 3, value("multi_margin_loss", scores, label), 1e-12)
    assert.near((0 + 9) / 3, value("multi_margin_loss", scores, label, { p = 2 }), 1e-12)
  end)

  it("of regions: equal ones cost nothing, apart ones almost all", function()
    local a = al.tensor({ { { 1, 1, 0, 0 } } }, { dtype = "float64" })
    assert.near(0, value("dice_loss", a, a), 1e-12)
    assert.near(1 - 1 / 5, value("dice_loss", a, 1 - a), 1e-12)
    local even = al.zeros(1, { dtype = "float64" })
    assert.near(0.25 * 0.25 * math.log(2), value("focal_loss", even, 1), 1e-12)
    assert.near(0.75 * 0.25 * math.log(2), value("focal_loss", even, 0), 1e-12)
  end)

  it("cosine_similarity of a zero vector is 0, and so is its gradient", function()
    local zero = al.zeros(1, 3):requires_grad_()
    local y = al.cosine_similarity(zero, al.ones(1, 3))
    y:sum():backward()
    assert.equal(0, y:item())
    assert.is_true(zero.grad:isfinite():all():item())
  end)
end)
