local al = require "albedo"
local image = al.image
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"

local have = al.version().plugins.tiff
local tmp, read, same, refuses = files.tmp, files.read, files.same, files.refuses

teardown(files.clear)

-- Values of every size that the dtype holds, in no simple order.
local function values(dtype, ...)
  local shape, n = { ... }, 1
  for _, d in ipairs(shape) do n = n * d end
  local list, v = {}, 7
  for i = 1, n do
    v = (v * 1103 + 12345) % 65536
    list[i] = v
  end
  local x = al.tensor(list, { dtype = "float64" }):reshape(shape)
  if dtype == "bool" then return x:gt(30000) end
  if dtype == "uint8" then return (x / 257):floor():to "uint8" end
  if dtype == "int32" then return (x * 30011 - 2 ^ 29):to "int32" end
  if dtype == "int64" then return (x * 3000000011 - 2 ^ 44):to "int64" end
  return ((x - 30000) / 777):to(dtype)
end

describe("TIFF", function()
  if not have then return pending "(no libtiff here)" end

  it("gives every dtype, shape and lossless codec back to the bit", function()
    for _, dtype in ipairs { "bool", "uint8", "int32", "int64", "float16", "float32", "float64" } do
      for _, compression in ipairs { "none", "deflate", "lzw", "zstd" } do
        for _, shape in ipairs { { 1, 7, 5 }, { 3, 4, 9 }, { 2, 3, 3 }, { 5, 3, 2 },
          { 4, 1, 6, 11 }, { 2, 3, 8, 5 }, { 1, 300, 401 } } do
          local x, path = values(dtype, (table.unpack or unpack)(shape)), tmp ".tif"
          image.save(path, x, { compression = compression, big = #shape == 4 })
          same(x, image.load(path))
          os.remove(path)
        end
      end
    end
    local deep, path = values("uint8", 1, 5, 6):to "int32" * 257, tmp ".tiff"
    image.save(path, deep, { compression = "none" })
    same(deep, image.load(path))
    assert.is_true(#read(path) < 400) -- 16 bits, not 32
    image.save(path, al.ones(3, 4))
    same(al.ones(1, 3, 4), image.load(path))
    local odd = al.tensor { { 0 / 0, math.huge, -math.huge, -0.0, 1e-45, 3.4e38 } }
    image.save(path, odd)
    assert.is_true(odd:bytes() == image.load(path):bytes())
  end)

  it("gives pages by number and counts them", function()
    local x, path = values("uint8", 5, 1, 4, 3), tmp ".tif"
    image.save(path, x)
    for k = 1, 5 do same(x[k], image.load(path, { page = k })) end
    refuses(function() image.load(path, { page = 6 }) end, "has 5 pages, none numbered 6")
    refuses(function() image.load(path, { page = -1 }) end, "page is %-1")
    refuses(function() image.load(path, { channels = 4 }) end, "channels is 4")
    assert.same({ 5, 3, 4, 3 }, image.load(path, { channels = 3 }).shape)
  end)

  it("refuses what it cannot hold", function()
    refuses(function() image.save(tmp ".tif", al.ones(3)) end, "wants H x W")
    refuses(function() image.save(tmp ".tif", al.ones(0, 3)) end, "wants H x W")
    refuses(function() image.save(tmp ".tif", al.ones(2, 2), { compression = "zip" }) end,
      "none, deflate, lzw, zstd")
    refuses(function() image.save("nowhere/at/all.tif", al.ones(2, 2)) end, "No such file")
  end)

  it("that is damaged gives one error and no crash", function()
    for compression, x in pairs { none = values("uint8", 3, 1, 9, 7),
      deflate = values("float32", 1, 30, 20), lzw = values("int32", 2, 3, 8, 8) } do
      local path = tmp ".tif"
      image.save(path, x, { compression = compression, big = compression == "lzw" })
      files.mutate(read(path), ".tif", image.load)
    end
    refuses(function() image.load(files.write(tmp ".tif", "II*\0\8\0\0\0")) end, "damaged TIFF")
    refuses(function() image.load(files.write(tmp ".tif", "II*\0")) end, "damaged TIFF")
  end)

  it("claiming more than max_bytes is refused before anything is allocated", function()
    local path = tmp ".tif"
    image.save(path, al.zeros(1, 100, 100))
    refuses(function() image.load(path, { max_bytes = 39999 }) end, "more than max_bytes")
    same(al.zeros(1, 100, 100), image.load(path, { max_bytes = 40000 }))
    -- width and height of 65535: the directory's first two entries
    local bytes = read(path)
    local at = #bytes
    local huge = bytes:gsub("(\0\1[\3\4]\0\1%z%z%z)....", "%1\255\255\255\127")
      :gsub("(\1\1[\3\4]\0\1%z%z%z)....", "%1\255\255\255\127")
    assert.is_true(at == #huge)
    refuses(function() image.load(files.write(path, huge)) end, "65535x65535.*more than max")
  end)

  it("of others is read to the bit", function()
    local names, prefix = files.python("numpy, tifffile, PIL", [=[
import sys, numpy as n, tifffile as t
from PIL import Image
g = n.random.default_rng(1)
def put(name, a, want=None, **o):
  t.imwrite(sys.argv[1] + name, a, **o)
  keep(name, a if want is None else want)
def keep(name, a):
  wide = {'u2': 'i4', 'i1': 'i4', 'i2': 'i4', 'u4': 'i8'}.get(a.dtype.str[1:], a.dtype.str[1:])
  n.ascontiguousarray(a).astype('<' + wide).tofile(sys.argv[1] + name + '.raw')
  print(name)
def some(kind, *shape):
  if kind[0] == 'f': return g.standard_normal(shape).astype(kind)
  i = n.iinfo(kind)
  return g.integers(i.min, i.max, shape, kind, True)
for kind in 'u1 i1 u2 i2 u4 i4 i8 f2 f4 f8'.split():
  for order in '<>':
    a = some(kind, 3, 37, 21)
    put(kind + {'<': 'le', '>': 'be'}[order] + '.tif', a.astype(a.dtype.newbyteorder(order)), a,
      photometric='minisblack', byteorder=order)
  put(kind + 'tiles.tif', a, photometric='minisblack', tile=(16, 32))
  put(kind + 'zip.tif', a, photometric='minisblack', compression='zlib', bigtiff=True)
  put(kind + 'strips.tif', a, photometric='minisblack', rowsperstrip=5)
  c = some(kind, 20, 33, 3)
  put(kind + 'rgb.tif', c, c.transpose(2, 0, 1), photometric='rgb')
  put(kind + 'planes.tif', c.transpose(2, 0, 1), photometric='rgb', planarconfig='separate')
  put(kind + 'planetiles.tif', c.transpose(2, 0, 1), photometric='rgb', planarconfig='separate',
    tile=(16, 16))
c = some('u1', 40, 50, 3)
for codec in 'raw tiff_lzw tiff_adobe_deflate tiff_deflate packbits zstd lzma'.split():
  name = codec + '.tif'
  Image.fromarray(c).save(sys.argv[1] + name, compression=codec)
  keep(name, c.transpose(2, 0, 1))
smooth = (n.mgrid[0:40, 0:48][0] * 5).astype('u1')
for a, name in (smooth, 'jpeg.tif'), (n.stack([smooth] * 3, 2), 'jpegrgb.tif'):
  Image.fromarray(a).save(sys.argv[1] + name, compression='jpeg', quality=95)
  back = n.asarray(Image.open(sys.argv[1] + name))
  keep(name, back if back.ndim == 2 else back.transpose(2, 0, 1))
p = Image.fromarray(c).quantize(200)
p.save(sys.argv[1] + 'palette.tif')
keep('palette.tif', n.asarray(p.convert('RGB')).transpose(2, 0, 1))
b = Image.fromarray(c).convert('1')
for codec in 'raw group4 group3'.split():
  b.save(sys.argv[1] + 'bits' + codec + '.tif', compression=codec)
  keep('bits' + codec + '.tif', n.asarray(b).astype('u1'))
]=])
    if not names then return pending "python3-tifffile, -numpy or -pil is not installed" end
    for _, name in ipairs(names) do
      local x = image.load(prefix .. name)
      assert.is_true(x:bytes() == read(prefix .. name .. ".raw"),
        name .. " " .. table.concat(x.shape, "x") .. " " .. x.dtype)
    end
    assert.equal(93, #names)
  end)

  it("of a real electrode is a volume", function()
    local folder = os.getenv "ALBEDO_DATA" or "../shared/data"
    local pipe = io.popen(("ls %s/electrode/*.tif* 2>/dev/null"):format(folder))
    local path = pipe:read "*l"
    pipe:close()
    if not path then return pending "the set electrode is absent" end
    local x = image.load(path)
    assert.equal(4, x.ndim)
    assert.is_true(x:size(1) == x:size(3) and x:size(3) == x:size(4))
  end)
end)
