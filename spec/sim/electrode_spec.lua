local al = require "albedo"

local function share(labels, k) return labels:eq(k):to("float64"):mean():item() end

describe("sim.electrode", function()
  it("builds what its domain says, the same for a seed", function()
    for _, domain in ipairs { "synthetic", "measured" } do
      local make = al.sim.electrode { domain = domain }
      local v = make:structure(28, { seed = 4 })
      assert.same({ 28, 28, 28 }, v.shape)
      assert.is_true(share(v, 2) >= make.set.graphite and share(v, 2) < make.set.graphite + 0.08)
      assert.is_true(share(v, 3) >= make.set.silicon and share(v, 3) < make.set.silicon + 0.02)
      assert.near(make.set.binder, share(v, 4), 1e-3)
      assert.is_true(v:eq(make:structure(28, { seed = 4 })):all():item())
      assert.is_false(v:eq(make:structure(28, { seed = 5 })):all():item())
    end
  end)

  it("lays flakes flat: graphite runs further across than up", function()
    local v = al.sim.electrode {}:structure(40, { seed = 2, tilt = 5 }):eq(2):to "float32"
    local function steps(dim)
      return (v:narrow(dim, 2, 39) - v:narrow(dim, 1, 39)):abs():sum():item()
    end
    assert.is_true(steps(1) > 1.3 * steps(2) and steps(1) > 1.3 * steps(3))
  end)

  it("puts binder near solids", function()
    local make = al.sim.electrode {}
    local v = make:structure(32, { seed = 1 })
    local away = v:eq(1):logical_or(v:eq(4)):to("float32"):reshape(1, 1, 32, 32, 32):distance_transform()
      :reshape(32, 32, 32)
    assert.is_true(away[v:eq(4)]:mean():item() < away[v:eq(1)]:mean():item())
  end)

  it("reconstructs attenuation: without noise and blur a disc's value to 2 % inside", function()
    local n, clean = 96, { blur = 0, gain = 0, read = 0, edge = 0, flux = 1e12 }
    local axis = al.arange(n):to "float32" - 49
    local disc = (axis ^ 2 + axis:reshape(n, 1) ^ 2):sqrt()
    local labels = disc:lt(36):to("uint8"):expand(2, n, n) + 1
    local mu = 0.01
    local x = al.sim.electrode(clean):scan(labels, { attenuation = { 0, mu } })
    assert.near(mu, x[1][disc:lt(30)]:mean():item(), 0.01 * mu)
    assert.is_true((x[1][disc:lt(30)] - mu):abs():max():item() < 0.02 * mu)
    assert.near(0, x[2][disc:gt(40)]:mean():item(), 0.02 * mu)
  end)

  it("keeps mass: every projection of a unit blob sums to 1", function()
    local x = al.zeros { 1, 1, 41, 41 }
    x[1][1][13][18] = 1
    x = x:gaussian_blur(3)[1][1]
    local sums = x:radon(al.arange(0, 175, 5):to "float32", { circle = false }):sum(1)
    assert.is_true((sums - 1):abs():max():item() < 2e-3) -- bilinear
  end)

  it("counts photons: noise falls with their root", function()
    local labels = al.ones({ 4, 40, 40 }, { dtype = "uint8" })
    local function noise(flux)
      local make = al.sim.electrode { gain = 0, read = 0, blur = 0, flux = flux }
      return make:scan(labels, { attenuation = { 0 } }):std():item()
    end
    assert.near(10, noise(1e4) / noise(1e6), 1)
  end)

  it("names a domain or setting it does not know", function()
    assert.has_error(function() al.sim.electrode { domain = "moon" } end)
    assert.has_error(function() al.sim.electrode { colour = 1 } end)
  end)
end)
