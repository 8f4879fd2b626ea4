local al = require "albedo"
local s = al.classical.structure

local function ball(n, r)
  local a = al.arange(n):to "float64" - (n + 1) / 2
  return (a:reshape(n, 1, 1) ^ 2 + a:reshape(1, n, 1) ^ 2 + a ^ 2):le(r * r)
end

describe("structure", function()
  it("counts fractions", function()
    local labels = al.tensor({ 1, 1, 3, 1, 3, 3, 3, 4 }, { dtype = "uint8" }):reshape(2, 2, 2)
    assert.same({ 3 / 8, 0, 4 / 8, 1 / 8 }, s.fractions(labels, 4))
  end)

  it("finds a ball's surface", function()
    assert.near(4 * math.pi * 14 ^ 2 / 36 ^ 3, s.surface(ball(36, 14)), 0.03 * 4 * math.pi * 14 ^ 2 / 36 ^ 3)
    assert.equal(0, s.surface(al.ones({ 4, 4, 4 }, { dtype = "bool" })))
  end)

  it("tells pieces, and those that span the volume", function()
    local m = al.zeros({ 5, 6, 6 }, { dtype = "bool" })
    m["1:5, 1, 1"] = true     -- spans
    m["1:3, 4:5, 4"] = true   -- does not
    m["5, 6, 6"] = true
    local c = s.connectivity(m)
    assert.equal(3, c.pieces)
    assert.near(5 / 12, c.share, 1e-12)
    assert.near(6 / 12, c.largest, 1e-12)
    assert.same({ pieces = 0, largest = 0, share = 0 }, s.connectivity(al.zeros({ 3, 3, 3 }, { dtype = "bool" })))
  end)

  it("measures tortuosity: straight pores 1, a bent one by its length and share", function()
    local full = al.ones({ 6, 3, 4 }, { dtype = "bool" })
    assert.near(1, s.tortuosity(full), 1e-6)
    local straight = full:logical_and(al.tensor({ true, false, true, false }))
    assert.near(1, s.tortuosity(straight), 1e-6)
    -- one voxel wide: 3 down, 4 across, 3 down are links of 1 in series: 2 half ones, 9 whole
    local bent = al.zeros({ 6, 5, 1 }, { dtype = "bool" })
    bent["1:3, 1, 1"] = true
    bent["3, 1:5, 1"] = true
    bent["3:6, 5, 1"] = true
    local share, conduct = 10 / 30, 1 / 10 * 6 / 5
    assert.near(share / conduct, s.tortuosity(bent), 1e-6)
    assert.equal(math.huge, s.tortuosity(ball(9, 3)))
  end)

  it("draws a volume, its colours where it is and white around", function()
    local labels = ball(24, 9):to "uint8" + 1
    local x = s.render(labels, { { 1, 1, 1 }, { 1, 0, 0 } }, { size = 64 })
    assert.same({ 3, 64, 64 }, x.shape)
    assert.same({ 1, 1, 1 }, x["1:3, 1, 1"]:totable())
    assert.is_true(x[1][32][32]:item() > 0.2 and x[2][32][32]:item() == 0)
    local red = x[2]:lt(0.5):to("float32"):mean():item()
    assert.near(math.pi * 9 ^ 2 / (1.75 * 24) ^ 2, red, 0.03)
  end)
end)

describe("structure.compare", function()
  it("is exact on counts: Dice 2tp / (2tp + fp + fn), 1 on the truth itself", function()
    local truth = al.tensor({ 1, 1, 1, 2, 2, 1, 1, 1 }, { dtype = "int64" }):reshape(2, 2, 2)
    local found = al.tensor({ 1, 1, 2, 2, 1, 1, 1, 1 }, { dtype = "int64" }):reshape(2, 2, 2)
    local f = s.compare(found, truth, { "a", "b" })
    assert.near(2 * 5 / 12, f.dice_a, 1e-12)
    assert.near(2 * 1 / 4, f.dice_b, 1e-12)
    assert.near((5 / 6 + 1 / 2) / 2, f.dice, 1e-12)
    assert.near((5 / 7 + 1 / 3) / 2, f.iou, 1e-12)
    assert.equal(0, f.fraction_error)
    local same = s.compare(truth, truth, { "a", "b" })
    assert.same({ 1, 1, 0, 0, 1 }, { same.dice, same.iou, same.surface_error_b, same.connected_error,
      same.tortuosity_ratio })
  end)
end)
