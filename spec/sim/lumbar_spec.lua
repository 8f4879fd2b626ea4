local al = require "albedo"
local lumbar = al.sim.lumbar

describe("sim.lumbar", function()
  local set
  setup(function() set = lumbar { patients = 8, size = 80, seed = 3 } end)

  it("gives three slices a patient, the same for a seed", function()
    assert.same({ 24, 1, 80, 80 }, set.x.shape)
    assert.is_true(set.x:min():item() >= 0 and set.x:max():item() <= 1)
    assert.is_true(set.x:eq(lumbar { patients = 8, size = 80, seed = 3 }.x):all():item())
    for i = 1, 24 do assert.equal("P" .. math.floor((i + 2) / 3), set.patient[i]) end
  end)

  it("puts the class's evidence into disc and canal, which the middle blocks hold, and nowhere else", function()
    local well = lumbar { patients = 8, size = 80, seed = 3, severity = 0, noise = 0 }
    local ill = lumbar { patients = 8, size = 80, seed = 3, noise = 0 }
    for i = 1, 24 do
      local change = (ill.x[i] - well.x[i]):abs()
      -- the coil's field and the brightest value move a little with the whole
      local within = lumbar.roi(change, 5, 4, { { 2, 2 }, { 4, 3 } })
      local outside = change:sum():item() - within:sum():item()
      if ill.y[i]:item() == 1 then assert.equal(0, change:amax():item())
      else
        assert.is_true(within:amax():item() > 0.1, i)
        assert.is_true(outside < 0.2 * within:sum():item() + 5, i)
      end
    end
    local kept = lumbar.roi(set.mask, 5, 4, { { 2, 2 }, { 4, 3 } }):to("int64"):sum():item()
    assert.is_true(kept > 0.97 * set.mask:to("int64"):sum():item())
  end)

  it("narrows the canal of stenosis: less fluid than in the same patient well", function()
    local well = lumbar { patients = 8, size = 80, seed = 3, severity = 0 }
    local function fluid(x)
      return lumbar.roi(x, 5, 4, { { 3, 2 }, { 4, 3 } }):gt(0.6):to("int64"):sum():item()
    end
    local sick, healthy = 0, 0
    for i = 1, 24 do
      if set.y[i]:item() == 4 then
        assert.is_true(fluid(set.x[i]) < fluid(well.x[i]), i)
        sick, healthy = sick + fluid(set.x[i]), healthy + fluid(well.x[i])
      end
    end
    assert.is_true(sick < 0.75 * healthy)
  end)

  it("cuts regions by blocks, and shows other ones at random", function()
    local x = al.arange(5 * 4):reshape(1, 1, 5, 4)
    assert.same({ { 6, 7 }, { 10, 11 } }, lumbar.roi(x, 5, 4, { { 2, 2 }, { 3, 3 } })[1][1]:totable())
    local roi, mask = lumbar.view(set, "roi", 24)
    assert.same({ 24, 1, 24, 24 }, roi.shape)
    local other, elsewhere = lumbar.view(set, "random", 24, al.generator(1))
    assert.same({ 24, 1, 24, 24 }, other.shape)
    assert.is_true(elsewhere:to("int64"):sum():item() < 0.8 * mask:to("int64"):sum():item())
    local full, whole = lumbar.view(set, "full", 40)
    assert.same({ 24, 1, 40, 40 }, full.shape)
    assert.is_true(whole:any():item())
  end)
end)

describe("sim.head", function()
  it("draws heads of four classes, again from the same generator's state", function()
    local x, y = al.sim.head(12, { size = 48, generator = al.generator(5) })
    assert.same({ 12, 1, 48, 48 }, x.shape)
    assert.is_true(y:min():item() >= 1 and y:max():item() <= 4)
    local again = al.sim.head(12, { size = 48, generator = al.generator(5) })
    assert.is_true(x:eq(again):all():item())
    assert.is_true(x["1:12, 1, 20:28, 20:28"]:mean():item() > 3 * x["1:12, 1, 1:4, 1:4"]:mean():item())
  end)
end)
