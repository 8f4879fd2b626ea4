-- Whole slides, by OpenSlide.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"
local same, refuses = files.same, files.refuses

teardown(files.clear)

describe("a whole slide", function()
  if not al.version().plugins.slide then return pending "(no OpenSlide here)" end
  local path = "spec/data/slide.tif" -- 3 x 40 x 48: 5 x 6 squares of one colour
  local whole = al.version().plugins.tiff and al.image.load(path)

  it("is read region by region, white beyond", function()
    local slide = al.io.slide(path)
    assert.same({ { 40, 48, 1 } }, slide.levels)
    assert.equal("1", slide.properties["openslide.level-count"])
    local x = slide:read { at = { 10, 20 }, size = { 12, 9 } }
    assert.same({ 3, 12, 9 }, x.shape)
    if whole then
      same(whole[{ {}, { 10, 21 }, { 20, 28 } }]:contiguous(), x)
      local y = slide:read { at = { 33, 41 }, size = 16 }
      same(whole[{ {}, { 33, 40 }, { 41, 48 } }]:contiguous(), y[{ {}, { 1, 8 }, { 1, 8 } }]:contiguous())
      assert.is_true(y[{ {}, { 9, 16 }, {} }]:eq(255):all():item())
    end
  end)

  it("gives tiles, alike to any number of workers", function()
    local set = al.io.slide(path):tiles { size = 16, stride = 8 }
    assert.equal(4 * 5, #set.items)
    assert.same({ 1, 9 }, set.items[2].at)
    local all = {}
    for _, workers in ipairs(jit and { 0 } or { 0, 2 }) do
      local seen = {}
      for x in al.data.loader(set, { batch = 5, workers = workers }) do seen[#seen + 1] = x:bytes() end
      all[#all + 1] = table.concat(seen)
    end
    assert.equal(20 * 3 * 16 * 16, #all[1])
    assert.is_true(all[1] == all[#all])
  end)

  it("of levels is read in each", function()
    local names, prefix = files.python("tifffile, numpy", [=[
import sys, numpy as n, tifffile as t
a = n.random.default_rng(3).integers(0, 255, (160, 192, 3), 'u1', True)
with t.TiffWriter(sys.argv[1] + 'levels.tif') as f:
  for k, s in enumerate((1, 2, 4)):
    b = a[::s, ::s]
    f.write(b, tile=(32, 32), photometric='rgb', compression='zlib', subfiletype=int(k > 0))
    b.transpose(2, 0, 1).copy().tofile(sys.argv[1] + '%d.raw' % s)
print('levels.tif')
print('1.raw'); print('2.raw'); print('4.raw')
]=])
    if not names then return pending "python3-tifffile is not installed" end
    local slide = al.io.slide(prefix .. "levels.tif")
    assert.same({ { 160, 192, 1 }, { 80, 96, 2 }, { 40, 48, 4 } }, slide.levels)
    for k, level in ipairs(slide.levels) do
      local want = al.io.raw(prefix .. ("%d.raw"):format(level[3]), { shape = { 3, level[1], level[2] } })
      same(want[{ {}, { 7, 30 }, { 11, 40 } }]:contiguous(),
        slide:read { at = { 7, 11 }, size = { 24, 30 }, level = k })
    end
  end)

  it("that is none, damaged or asked for too much gives one error", function()
    local slide = al.io.slide(path)
    refuses(function() slide:read { size = 16, level = 2 } end, "has 1 levels, none numbered 2")
    refuses(function() slide:read { size = 1e6 } end, "is impossible")
    refuses(function() slide:read {} end, "size is a number")
    refuses(function() al.io.slide "nowhere.svs" end, "no such file")
    refuses(function() al.io.slide "LICENSE" end, "no slide that OpenSlide reads")
    files.mutate(files.read(path), ".tif", function(name)
      return al.io.slide(name):read { size = 48 }
    end, 200)
  end)
end)
