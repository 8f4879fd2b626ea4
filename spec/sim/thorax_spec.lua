local al = require "albedo"

describe("sim.thorax", function()
  local set
  setup(function() set = al.sim.thorax { patients = 12, size = 64, seed = 3 } end)

  it("gives pictures of patients, the same for a seed", function()
    assert.same({ #set.patient, 1, 64, 64 }, set.x.shape)
    assert.is_true(set.x:min():item() >= 0 and set.x:max():item() <= 1)
    local of = {}
    for i, name in ipairs(set.patient) do
      assert.is_true(of[name] == nil or of[name] == set.y[i]:item())
      of[name] = set.y[i]:item()
    end
    local again = al.sim.thorax { patients = 12, size = 64, seed = 3 }
    assert.is_true(again.x:eq(set.x):all():item())
  end)

  it("shows lungs darker than the mediastinum", function()
    for i = 1, #set.x do
      local x = set.x[i][1]
      assert.is_true(x["20:36, 20"]:mean():item() < x["20:36, 33"]:mean():item(), i)
    end
  end)

  it("puts fluid into one lung, ground glass into both, nothing into healthy ones", function()
    local function made(severity)
      return al.sim.thorax { patients = 15, size = 64, seed = 5, severity = { severity, severity } }
    end
    local ill, well = made(1), made(0)
    for i = 1, #ill.x do
      local more = (ill.x[i][1] - well.x[i][1]):gaussian_blur(2):clamp(0, 1)
      local left, right = more["1:64, 1:31"]:amax():item(), more["1:64, 33:64"]:amax():item()
      local low, high = math.min(left, right), math.max(left, right)
      local class = ill.y[i]:item()
      if class == 1 then assert.is_true(high < 0.02) end
      if class == 2 then assert.is_true(high > 0.04 and low < 0.5 * high) end
      if class == 3 then assert.is_true(low > 0.015, low) end
    end
  end)

  it("marks a source only when asked", function()
    local two = al.sim.thorax { patients = 9, size = 48, seed = 1, marker = 1 }
    for i, source in ipairs(two.source) do
      assert.equal(two.y[i]:item() == 3 and 2 or 1, source)
      if source == 2 then assert.equal(0, two.x[i][1]["1:2, 1:48"]:max():item()) end
    end
    for _, source in ipairs(set.source) do assert.equal(1, source) end
  end)
end)

describe("sim.textures", function()
  it("draws eight classes in colours", function()
    local g = al.generator(2)
    local x, y = al.sim.textures(200, { size = 24, generator = g })
    assert.same({ 200, 3, 24, 24 }, x.shape)
    assert.is_true(x:min():item() >= 0 and x:max():item() <= 1)
    for k = 1, 8 do assert.is_true(y:eq(k):any():item()) end
    -- gratings across (class 1) change along a row more than down a column
    local first = x[y:eq(5)]
    local right = (first:narrow(4, 2, 23) - first:narrow(4, 1, 23)):abs():mean():item()
    local down = (first:narrow(3, 2, 23) - first:narrow(3, 1, 23)):abs():mean():item()
    assert.is_true(right > 1.2 * down)
  end)
end)
