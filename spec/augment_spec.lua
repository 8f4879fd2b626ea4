local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local augment = al.data.augment

local function gap(a, b) return (a:to "float64" - b:to "float64"):abs():max():item() end

-- Where each pixel is: one channel a dim, and the same as a mask of whole numbers.
local function places(...)
  local lines = {}
  for i, n in ipairs { ... } do lines[i] = al.arange(1, n, { dtype = "float64" }) end
  local channels = { al.meshgrid(lines) }
  local x = al.stack({ (table.unpack or unpack)(channels, 1, #lines) }, 1)
  return x, x:to "int64"
end

describe("augment", function()
  before_each(function() al.seed(3) end)

  it("flips and turns picture and mask together", function()
    local x, m = places(4, 6)
    local y, n, label = augment.flip { p = 1 }(x, m[1], 7)
    assert.equal(0, gap(y, x:flip(-1)))
    assert.equal(0, gap(n, m[1]:flip(-1)))
    assert.equal(7, label)
    local turns = {}
    for _ = 1, 40 do
      y, n = augment.rotate90()(x, m)
      assert.equal(0, gap(y, n))
      turns[y[1][1][1]:item() * 10 + y[2][1][1]:item()] = true
    end
    local seen = {}
    for corner in pairs(turns) do seen[#seen + 1] = corner end
    table.sort(seen)
    assert.same({ 11, 16, 41, 46 }, seen, "all four quarters come")
  end)

  it("crops within the picture, of the size asked for", function()
    local x, m = places(9, 7)
    local tops = {}
    for _ = 1, 60 do
      local y, n = augment.crop { size = { 5, 3 } }(x, m[2])
      assert.same({ 2, 5, 3 }, y.shape)
      assert.equal(0, gap(y[2], n))
      assert.equal(4, y[1][5][1]:item() - y[1][1][1]:item())
      tops[y[1][1][1]:item()] = true
    end
    for top = 1, 5 do assert.is_true(tops[top], "top " .. top) end
    assert.is_nil(tops[6])
    local z, k = augment.resized_crop { size = 6, area = { 0.3, 0.5 } }(x, m)
    assert.same({ 2, 6, 6 }, z.shape)
    assert.same({ 2, 6, 6 }, k.shape)
    assert.equal("int64", k.dtype)
    assert.error_matches(function() augment.crop { size = 20 }(x) end, "a crop of 20 from 9 pixels")
  end)

  it("affine: nothing, whole shifts and quarter turns are exact; masks take the nearest", function()
    local x = places(5, 5)
    assert.is_true(gap(augment.affine()(x), x) < 1e-5)
    local y = augment.affine { shift = { 0.4, 0.4 }, fill = -1 }(x)
    assert.is_true(gap(y[{ {}, { 3, 5 }, { 3, 5 } }],
      x[{ {}, { 1, 3 }, { 1, 3 } }]) < 1e-5)
    assert.is_true(math.abs(y[1][1][1]:item() + 1) < 1e-5)
    local turned = augment.affine { degrees = { 90, 90 } }(x)
    local way = math.min(gap(turned, x:rot90(1, { -2, -1 })), gap(turned, x:rot90(3, { -2, -1 })))
    assert.is_true(way < 1e-5)
    local big, mask = places(40, 40)
    for _ = 1, 5 do
      local z, k = augment.affine { degrees = 30, scale = 0.2, shear = 10, fill = "border",
        fill_mask = "border" }(big, mask)
      assert.is_true(gap(z, k) <= 0.5 + 1e-4, "the mask is the picture, rounded")
    end
    local bytes = augment.affine { degrees = { 45, 45 } }(al.full({ 3, 8, 8 }, 200, { dtype = "uint8" }))
    assert.equal("uint8", bytes.dtype)
    assert.equal(200, bytes[1][4][4]:item())
    assert.equal(0, bytes[1][1][1]:item())
  end)

  it("elastic: displacements of the deviation asked for, alike in picture and mask", function()
    local x, m = places(200, 200)
    local y, n = augment.elastic { amount = 3, smooth = 6 }(x, m)
    assert.is_true(gap(y, n) <= 0.5 + 1e-4)
    local inner = (y - x)[{ {}, { 20, 180 }, { 20, 180 } }]
    for k = 1, 2 do
      assert.near(0, inner[k]:mean():item(), 0.6)
      assert.near(3, inner[k]:std():item(), 0.6)
    end
  end)

  it("perspective: straight lines stay straight, and nothing moves by 0", function()
    local x = places(30, 40)
    assert.is_true(gap(augment.perspective { amount = 0 }(x), x) < 1e-4)
    local y = augment.perspective { amount = 0.1, fill = "border" }(x)
    assert.is_true(gap(y, x) > 0.5)
    local a, b, c = { 8, 10 }, { 15, 20 }, { 22, 30 } -- on one line
    local function at(p) return y[1][p[1]][p[2]]:item(), y[2][p[1]][p[2]]:item() end
    local ax, ay = at(a)
    local bx, by = at(b)
    local cx, cy = at(c)
    assert.near(0, (bx - ax) * (cy - ay) - (by - ay) * (cx - ax), 1e-3)
    assert.is_true(math.abs(ax - bx) > 1)
  end)

  it("reads where SciPy's map_coordinates does", function()
    local files = require "support.files"
    local names, prefix = files.python("scipy, numpy", [=[
import sys, numpy as n
from scipy.ndimage import map_coordinates as m
g = n.random.default_rng(2)
for d, shape in (1, (2, 9)), (2, (3, 7, 8)), (3, (2, 5, 6, 7)):
  x = g.standard_normal(shape).astype('f4')
  at = (g.uniform(-2, 9, (d, 300))).astype('f4')
  want = [n.stack([m(p.astype('f8'), at.astype('f8'), order=o, mode=mode, cval=0.25) for p in x])
    for o in (0, 1) for mode in ('grid-constant', 'nearest')]
  n.concatenate([x.ravel(), at.ravel(), n.stack(want).astype('f4').ravel()]).tofile(sys.argv[1] + str(d))
  print(d)
]=])
    if not names then return pending "python3-scipy is not installed" end
    for d, shape in ipairs { { 2, 9 }, { 3, 7, 8 }, { 2, 5, 6, 7 } } do
      local all, n = al.io.raw(prefix .. d, { dtype = "float32" }), 1
      for _, size in ipairs(shape) do n = n * size end
      local x = all[{ { 1, n } }]:reshape(shape)
      local at = all[{ { n + 1, n + 300 * d } }]:reshape(d, 300)
      local want = all[{ { n + 300 * d + 1, -1 } }]:reshape(4, shape[1], 300)
      for k, o in ipairs { { mode = "nearest", fill = 0.25 }, { mode = "nearest", border = true },
        { fill = 0.25 }, { border = true } } do
        local y = x:map_coordinates(at, o)
        assert.is_true(gap(y, want[k]) < 2e-6, d .. " dims, case " .. k)
        if k < 3 then
          local whole = (x * 1000):to "int64"
          assert.is_true(gap(whole:map_coordinates(at, { mode = "nearest", border = true }),
            ((x * 1000):to "int64"):to("float32"):map_coordinates(at,
              { mode = "nearest", border = true })) == 0)
        end
      end
    end
    files.clear()
  end)

  it("hue turns as HSV does", function()
    -- by Python's colorsys
    for _, case in ipairs {
      { { 0.2, 0.5, 0.8 }, 0.25, { 0.8000000, 0.2000000, 0.8000000 } },
      { { 0.9, 0.3, 0.3 }, 0.6, { 0.3000000, 0.5400000, 0.9000000 } },
      { { 0.1, 0.9, 0.7 }, -0.1, { 0.1000000, 0.9000000, 0.2200000 } },
      { { 1, 0, 0 }, 1 / 3, { 0, 1, 0 } }, { { 0.4, 0.4, 0.4 }, 0.3, { 0.4, 0.4, 0.4 } },
    } do
      local y = al.image.hue(al.tensor(case[1], { dtype = "float64" }):reshape(3, 1, 1), case[2])
      for k = 1, 3 do assert.near(case[3][k], y[k]:item(), 1e-6) end
    end
  end)

  it("colours change the picture only, as al.image does", function()
    local x, m = al.rand(3, 8, 8), al.randint(1, 3, { 8, 8 })
    local y, n = augment.color { brightness = { 0.5, 0.5 }, hue = { 0.25, 0.25 } }(x, m)
    assert.is_true(gap(y, al.image.hue(x * 0.5, 0.25)) < 1e-6)
    assert.is_true(rawequal(m, n))
    local bytes = al.image.to_bytes(x)
    assert.equal(0, gap(augment.jpeg { quality = { 30, 30 } }(bytes), al.image.jpeg(bytes, 30)))
    assert.is_true(gap(augment.blur { sigma = { 1.5, 1.5 } }(x), x:gaussian_blur(1.5)) < 1e-6)
    local gray = al.full({ 1, 100, 100 }, 0.5)
    assert.near(0.1, augment.noise { sd = { 0.1, 0.1 } }(gray):std():item(), 0.005)
    local boxes = augment.cutout { size = { 0.25, 0.25 }, fill = 0.9 }(al.zeros(2, 8, 8))
    assert.near(0.9 * 2 * 4, boxes:sum():item(), 1e-5)
  end)

  it("volumes and their masks", function()
    local x, m = places(6, 7, 8)
    local y, n = augment.flip { dims = 3, p = 1 }(x, m)
    assert.equal(0, gap(y, x:flip(-1, -2, -3)))
    assert.equal(0, gap(y, n))
    local planes = {}
    for _ = 1, 60 do
      y, n = augment.rotate90 { dims = 3 }(x, m[3])
      assert.equal(0, gap(y[3], n))
      planes[table.concat(y.shape, "x")] = true
    end
    for _, shape in ipairs { "3x6x7x8", "3x7x6x8", "3x8x7x6", "3x6x8x7" } do
      assert.is_true(planes[shape], shape)
    end
    assert.is_true(gap(augment.affine { dims = 3 }(x), x) < 1e-5)
    for _, change in ipairs {
      augment.affine { dims = 3, degrees = 20, scale = 0.1, fill = "border", fill_mask = "border" },
      augment.elastic { dims = 3, amount = 1, smooth = 3 },
    } do
      y, n = change(x, m)
      assert.same(x.shape, y.shape)
      assert.is_true(gap(y, x) > 0.2)
      assert.is_true(gap(y, n) <= 0.5 + 1e-4)
    end
    assert.same({ 2, 4, 4, 4 }, (augment.crop { dims = 3, size = 4 }(al.zeros(2, 6, 7, 8))).shape)
  end)

  it("draws from a generator or the default stream, and composes", function()
    local x, m = al.rand(3, 16, 16), al.randint(1, 3, { 16, 16 })
    local function make(generator)
      return augment.compose({
        augment.flip(), augment.one_of { augment.blur(), augment.noise() },
        augment.affine { degrees = 20, p = 0.7 },
      }, { generator = generator })
    end
    local change = make(al.generator(4))
    local y, n = change(x, m)
    local again, n2 = make(al.generator(4))(x, m)
    assert.equal(y:bytes(), again:bytes())
    assert.equal(n:bytes(), n2:bytes())
    assert.not_equal(y:bytes(), (change(x, m)):bytes())
    local default = make()
    al.seed(8)
    local first = default(x, m)
    al.seed(8)
    assert.equal(first:bytes(), (default(x, m)):bytes())
    al.seed(9)
    assert.not_equal(first:bytes(), (default(x, m)):bytes())
    local count = 0
    for _ = 1, 200 do
      if not rawequal(augment.blur { p = 0.3 }(x), x) then count = count + 1 end
    end
    assert.is_true(count > 35 and count < 85, "p = 0.3 came " .. count .. " times of 200")
  end)

  it("leaves what passes in its scope, keeps what is new, releases the rest", function()
    local lost, new
    local identity = augment.compose { augment.blur { p = 0 } }
    al.scope(function()
      local x = al.rand(3, 8, 8)
      lost = identity(x)
      assert.is_true(rawequal(x, lost))
    end)
    assert.is_false(al.alive(lost))
    local x = al.ones(1, 8, 8)
    collectgarbage() -- what other specs left; then none meanwhile
    collectgarbage()
    collectgarbage "stop"
    local before = al.memory().blocks
    new = augment.elastic()(x)
    local after = al.memory().blocks
    collectgarbage "restart"
    assert.is_true(al.alive(new))
    assert.equal(before + 1, after, "one tensor")
  end)

  it("mixup mixes pictures and labels by the same share", function()
    local x = al.eye(4):reshape(4, 4)
    local y = al.tensor({ 1, 2, 3, 4 }, { dtype = "int64" })
    local mixed, shares, share = augment.mixup(x, y, { alpha = 1, classes = 4 })
    assert.is_true(share > 0 and share < 1)
    assert.is_true(gap(mixed, shares) < 1e-6, "picture k is class k")
    assert.is_true(gap(shares:sum(2), al.ones(4)) < 1e-6)
    assert.error_matches(function() augment.mixup(x, y) end, "option 'classes' is missing")
    local shared = select(3, augment.mixup(x, shares, { generator = al.generator(1) }))
    assert.equal(shared, select(3, augment.mixup(x, shares, { generator = al.generator(1) })))
  end)

  it("cutmix puts a box of another sample in, labels by its area", function()
    local x = al.arange(1, 4, { dtype = "float32" }):reshape(4, 1, 1, 1):expand(4, 2, 10, 8)
    local y = al.tensor({ 1, 2, 3, 4 }, { dtype = "int64" })
    local seen = 0
    for _ = 1, 20 do
      local mixed, shares, share = augment.cutmix(x, y, { classes = 4 })
      local means, wanted = mixed:mean { 2, 3, 4 }, shares:matmul(al.arange(1, 4):to "float32")
      assert.is_true(gap(means, wanted) < 1e-4, "the box's area is the other's share")
      assert.is_true(gap(shares:sum(2), al.ones(4)) < 1e-6)
      assert.is_true(gap(mixed, mixed:floor()) == 0, "pixels are of one sample or the other")
      if share > 0.05 and share < 0.95 then seen = seen + 1 end
    end
    assert.is_true(seen > 8)
    assert.equal(1, x:amin():item())
    local volume = augment.cutmix(al.rand(2, 1, 4, 5, 6), al.eye(2))
    assert.same({ 2, 1, 4, 5, 6 }, volume.shape)
    assert.error_matches(function() augment.cutmix(x, y) end, "option 'classes' is missing")
  end)

  it("tones: gray, solarize, posterize, stretch, sharpen, and colours of volumes", function()
    local x = al.rand(3, 8, 8)
    local gray = augment.gray()(x)
    assert.is_true(gap(gray, al.image.to_rgb(al.image.to_gray(x))) == 0)
    local y = augment.solarize { threshold = { 0.6, 0.6 } }(al.tensor { { 0.5, 0.6, 1 } })
    assert.is_true(gap(y, al.tensor { { 0.5, 0.4, 0 } }) < 1e-6)
    y = augment.posterize { levels = { 3, 3 } }(al.tensor { { 0, 0.24, 0.26, 0.7, 0.8 } })
    assert.is_true(gap(y, al.tensor { { 0, 0, 0.5, 0.5, 1 } }) < 1e-6)
    local bytes = augment.posterize { levels = { 2, 2 } }(al.tensor({ { 3, 128, 200 } }, { dtype = "uint8" }))
    assert.same({ { 0, 255, 255 } }, bytes:totable())
    y = augment.stretch()(al.tensor { { { 0.25, 0.5 }, { 0.75, 0.25 } }, { { 0.5, 0.5 }, { 0.5, 0.5 } } })
    assert.is_true(gap(y, al.tensor { { { 0, 0.5 }, { 1, 0 } }, { { 0.5, 0.5 }, { 0.5, 0.5 } } }) < 1e-6)
    assert.is_true(gap(augment.sharpen { amount = { 1, 1 } }(x),
      (x * 2 - x:gaussian_blur(1)):clamp(0, 1)) < 1e-6)
    local v = al.rand(1, 5, 6, 7)
    local changed = augment.color { contrast = { 0.5, 0.5 }, dims = 3 }(v)
    assert.is_true(gap(changed, v * 0.5 + v:mean() * 0.5) < 1e-6)
  end)

  it("shows all of them on a photograph", function()
    local x = al.rand(3, 60, 80)
    local sheet, names = augment.gallery(x, { side = 32 })
    assert.equal(22, #names)
    assert.same({ 3, 6 * 34 + 2, 4 * 34 + 2 }, sheet.shape)
    assert.equal(0, gap(sheet, (augment.gallery(x, { side = 32 }))))
  end)

  it("tells what is wrong", function()
    assert.error_matches(function() augment.flip { q = 1 } end, "augment.flip: unknown option 'q'")
    assert.error_matches(function() augment.flip()(3) end, "augment.flip: x must be a tensor of 2 dims")
    assert.error_matches(function() augment.affine { degrees = "5" } end, "degrees is a number, or a range")
  end)
end)
