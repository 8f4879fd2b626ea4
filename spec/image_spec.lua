local al = require "albedo"
local image = al.image
package.path = "./spec/?.lua;" .. package.path

local made = {}
local function tmp(ending)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ending
  made[#made + 1] = path
  return path
end

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  return path
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

local function same(a, b)
  assert.same(a.shape, b.shape)
  assert.equal(a.dtype, b.dtype)
  assert.is_true(a:bytes() == b:bytes(), "the values differ")
end

-- Every value once and more, in no simple order; uint8.
local function noise(...)
  local shape, n = { ... }, 1
  for _, d in ipairs(shape) do n = n * d end
  local values, v = {}, 7
  for i = 1, n do
    v = (v * 1103 + 12345) % 65536
    values[i] = math.floor(v / 256)
  end
  return al.tensor(values, { dtype = "uint8" }):reshape(shape)
end

-- A smooth picture, as photographs are.
local function smooth(c, h, w)
  local planes = {}
  for k = 1, c do
    planes[k] = {}
    for y = 1, h do
      planes[k][y] = {}
      for x = 1, w do
        planes[k][y][x] = math.floor(128 + 90 * math.sin(x / 9 + k) * math.cos(y / 11 - k / 2))
      end
    end
  end
  return al.tensor(planes, { dtype = "uint8" })
end

local function hex(text)
  return (text:gsub("%s", ""):gsub("..",
    function(two) return string.char(tonumber(two, 16)) end))
end

local function le(v, n)
  local out = {}
  for i = 1, n do
    out[i] = string.char(v % 256)
    v = math.floor(v / 256)
  end
  return table.concat(out)
end

-- A 24-bit BMP of rows of { r, g, b }, bottom row first as the format has it.
local function bmp(rows)
  local w, h = #rows[1], #rows
  local data = {}
  for y = h, 1, -1 do
    for x = 1, w do
      local p = rows[y][x]
      data[#data + 1] = string.char(p[3], p[2], p[1])
    end
    data[#data + 1] = ("\0"):rep(-3 * w % 4)
  end
  local body = table.concat(data)
  return "BM" .. le(54 + #body, 4) .. le(0, 4) .. le(54, 4) .. le(40, 4) .. le(w, 4) .. le(h, 4)
    .. le(1, 2) .. le(24, 2) .. le(0, 4) .. le(#body, 4) .. le(2835, 4) .. le(2835, 4)
      .. le(0, 8) .. body
end

local function mean_error(a, b)
  return ((a:to "float32" - b:to "float32"):abs():mean()):item()
end

-- One error of a sentence, which names the op and does not end the interpreter.
local function refuses(fn, pattern)
  local ok, message = pcall(fn)
  assert.is_false(ok, "no error was raised")
  message = tostring(message)
  assert.is_truthy(message:find(pattern), message)
  assert.is_nil(message:find "\n", message)
  assert.is_truthy(message:find "image_spec", message)
end

teardown(function()
  for _, path in ipairs(made) do os.remove(path) end
end)

describe("PNG", function()
  it("keeps 8 bits to the bit, gray, gray and alpha, RGB, RGBA", function()
    for c = 1, 4 do
      local x, path = noise(c, 13, 17), tmp ".png"
      image.save(path, x)
      same(x, image.load(path))
      same(x, image.decode(image.encode(x, "png")))
    end
    same(noise(1, 5, 7), image.decode(image.encode(noise(5, 7), "png")))
  end)

  it("keeps 16 bits to the bit", function()
    for c = 1, 4 do
      local x = noise(c, 9, 11):to "int32" * 257 - noise(c, 9, 11):to "int32"
      x[{ 1, 1, { 1, 4 } }] = al.tensor({ 0, 255, 256, 65535 }, { dtype = "int32" })
      local path = tmp ".png"
      image.save(path, x)
      same(x, image.load(path))
    end
  end)

  it("writes views and floats", function()
    local x = noise(3, 8, 6)
    same(x:flip(-1):contiguous(), image.decode(image.encode(x:flip(-1), "png")))
    same(x:transpose(2, 3):contiguous(), image.decode(image.encode(x:transpose(2, 3), "png")))
    same(x, image.decode(image.encode(image.to_float(x), "png")))
    local path = tmp ".png"
    image.save(path, image.to_float(x), { bits = 16 })
    same(x:to "int32" * 257, image.load(path))
  end)

  it("converts channels when asked", function()
    local x = noise(4, 3, 5)
    local bytes = image.encode(x, "png")
    same(x:narrow(1, 1, 3):contiguous(), image.decode(bytes, { channels = 3 }))
    local gray = image.decode(bytes, { channels = 1 })
    local r, g, b = x[{ 1, 2, 3 }]:item(), x[{ 2, 2, 3 }]:item(), x[{ 3, 2, 3 }]:item()
    assert.near(0.299 * r + 0.587 * g + 0.114 * b, gray[{ 1, 2, 3 }]:item(), 0.51)
    local one = noise(1, 4, 4)
    local rgba = image.decode(image.encode(one, "png"), { channels = 4 })
    for k = 1, 3 do same(one[1]:contiguous(), rgba[k]:contiguous()) end
    assert.equal(255, rgba[4]:min():item())
    refuses(function() image.load("spec/data/dot.png", { channels = 5 }) end, "channels is 5")
  end)

  it("reads what others wrote", function()
    local x = image.load "spec/data/dot.png"
    assert.same({ { { 255, 0, 0 }, { 10, 255, 0 } }, { { 0, 255, 0 }, { 20, 255, 0 } },
      { { 0, 0, 255 }, { 30, 255, 0 } } }, x:totable())
  end)

  it("is read by others", function()
    if os.execute "/usr/bin/python3 -c 'import PIL, numpy' 2>/dev/null" ~= true then
      return pending "python3-pil is not installed"
    end
    local x, path = noise(3, 6, 4), tmp ".png"
    image.save(path, x)
    local deep, path16 = noise(1, 6, 4):to "int32" * 200, tmp ".png"
    image.save(path16, deep)
    local pipe = io.popen(([[/usr/bin/python3 -c "
from PIL import Image; import numpy
print(numpy.asarray(Image.open('%s')).transpose(2, 0, 1).astype(int).sum(axis=(1, 2)).tolist())
print(int(numpy.asarray(Image.open('%s')).astype(int).sum()))"]]):format(path, path16))
    local first, second = pipe:read "*l", pipe:read "*l"
    pipe:close()
    local sums = {}
    for k = 1, 3 do sums[k] = ("%d"):format(x[k]:to "int64":sum():item()) end
    assert.equal("[" .. table.concat(sums, ", ") .. "]", first)
    assert.equal(deep:to "int64":sum():item(), tonumber(second))
  end)

  it("refuses what it cannot hold", function()
    local x = al.tensor({ { 65536 } }, { dtype = "int32" })
    refuses(function() image.encode(x, "png") end, "x holds 65536")
    refuses(function() image.encode(noise(5, 2, 2), "png") end, "5 channels")
    refuses(function() image.save("picture.gif", noise(1, 2, 2)) end, "%.png")
  end)
end)

describe("JPEG", function()
  it("keeps a smooth picture within a small error", function()
    for _, c in ipairs { 1, 3 } do
      local x, path = smooth(c, 45, 67), tmp ".jpg"
      image.save(path, x, { quality = 95 })
      local y = image.load(path)
      assert.same(x.shape, y.shape)
      assert.is_true(mean_error(x, y) < 2)
      assert.is_true(mean_error(x, image.jpeg(x, 30)) > mean_error(x, image.jpeg(x, 95)))
    end
  end)

  it("recompresses exactly as writing and reading do, alone or in a batch", function()
    local x = smooth(3, 40, 56)
    for _, quality in ipairs { 40, 75, 90, 91, 100 } do
      same(image.decode(image.encode(x, "jpeg", { quality = quality })), image.jpeg(x, quality))
    end
    local batch = al.stack({ x, x:flip(-1), x:flip(-2), x }, 1)
    local y = image.jpeg(batch, { 50, 75, 95, 95 })
    for i, quality in ipairs { 50, 75, 95, 95 } do
      same(image.jpeg(batch[i], quality), y[i]:contiguous())
    end
    same(image.jpeg(batch, 80)[3]:contiguous(), image.jpeg(batch[3], 80))
  end)

  it("gives the same bits for any number of threads", function()
    local x = noise(8, 3, 24, 32)
    local former = al.threads()
    al.threads(1)
    local one = image.jpeg(x, 77)
    al.threads(2)
    local two = image.jpeg(x, 77)
    al.threads(former)
    same(one, two)
  end)

  it("keeps the kind it is given", function()
    local x = image.to_float(smooth(3, 16, 16))
    local y = image.jpeg(x, 90)
    assert.equal("float32", y.dtype)
    same(image.jpeg(smooth(3, 16, 16), 90), image.to_bytes(y))
  end)

  it("refuses bad arguments", function()
    local x = smooth(3, 8, 8)
    refuses(function() image.jpeg(x, 0) end, "quality is 0")
    refuses(function() image.jpeg(x, 101) end, "quality is 101")
    refuses(function() image.jpeg(al.stack({ x, x }, 1), { 1, 2, 3 }) end,
      "for each of the 2 pictures")
    refuses(function() image.jpeg(noise(2, 8, 8), 75) end, "2 channels")
  end)
end)

describe("EXIF orientation", function()
  -- an APP1 segment holding orientation `turn`, in either byte order, after `skip` entries
  local function exif(turn, big, skip)
    local function num(v, n) return big and le(v, n):reverse() or le(v, n) end
    local entries = {}
    for i = 1, skip or 0 do
      entries[i] = num(0x0100 + i, 2) .. num(3, 2) .. num(1, 4) .. num(9, 2) .. num(0, 2)
    end
    entries[#entries + 1] = num(0x0112, 2) .. num(3, 2) .. num(1, 4) .. num(turn, 2)
      .. num(0, 2)
    local tiff = (big and "MM" or "II") .. num(42, 2) .. num(8, 4) .. num(#entries, 2)
      .. table.concat(entries) .. num(0, 4)
    local body = "Exif\0\0" .. tiff
    return "\255\225" .. le(#body + 2, 2):reverse() .. body
  end
  local x = al.cat({ al.cat({ noise(3, 8, 16) * 0 + 250, smooth(3, 8, 16) }, 3),
    smooth(3, 8, 32) }, 2)
  local plain = image.encode(x, "jpeg", { quality = 95 })
  local function with(segment) return plain:sub(1, 2) .. segment .. plain:sub(3) end
  local stored = image.decode(plain)

  local upright = {
    function(y) return y end,
    function(y) return image.flip(y) end,
    function(y) return image.rotate90(y, 2) end,
    function(y) return image.flip(y, "vertical") end,
    function(y) return y:transpose(-1, -2) end,
    function(y) return image.rotate90(y, 1) end,
    function(y) return image.rotate90(y, 2):transpose(-1, -2) end,
    function(y) return image.rotate90(y, 3) end,
  }
  for turn = 1, 8 do
    it("is obeyed: " .. turn, function()
      same(upright[turn](stored):contiguous(), image.decode(with(exif(turn, false))))
      same(upright[turn](stored):contiguous(), image.decode(with(exif(turn, true, 5))))
    end)
  end

  it("puts the first row where the tag says", function()
    local y = image.decode(with(exif(6,
      true))) -- turned clockwise: the bright corner goes to the top right
    assert.same({ 3, 32, 16 }, y.shape)
    assert.is_true(y[{ 1, 2, 15 }]:item() > 230 and y[{ 1, 2, 2 }]:item() < 230)
  end)

  it("is ignored when it is damaged", function()
    local good = exif(6, false)
    local damaged = {
      exif(0, false), exif(9, true), exif(60000, false),
      (good:gsub("II\42", "IJ\42")), (good:gsub("II\42", "II\43")),
      (good:gsub("\42%z\8%z%z%z", "\42\0\255\255\255\255")), -- the directory lies outside
      (good:gsub("\42%z\8%z%z%z\1%z", "\42\0\8\0\0\0\255\255")), -- 65535 entries
      "\255\225\0\8Exif\0\0", "\255\225\0\16Exif\0\0II\42\0\8\0\0\0",
    }
    for _, segment in ipairs(damaged) do
      local y = image.decode(with(segment))
      assert.equal(3, #y)
    end
    same(stored, image.decode(with(damaged[1])))
    same(stored, image.decode(with(damaged[6])))
  end)
end)

describe("BMP and PNM", function()
  it("are read", function()
    local rows = {
      { { 1, 2, 3 }, { 40, 50, 60 }, { 255, 0, 128 } },
      { { 9, 8, 7 }, { 0, 0, 0 }, { 77, 88, 99 } },
    }
    local x = image.decode(bmp(rows))
    assert.same({ 3, 2, 3 }, x.shape)
    for y = 1, 2 do
      for k = 1, 3 do
        for c = 1, 3 do assert.equal(rows[y][k][c], x[{ c, y, k }]:item()) end
      end
    end
    same(al.tensor({ { { 1, 2, 3 }, { 4, 5, 6 } } }, { dtype = "uint8" }),
      image.decode "P5\n# a comment\n3 2\n255\n\1\2\3\4\5\6")
    same(al.tensor({ { { 7 } }, { { 8 } }, { { 9 } } }, { dtype = "uint8" }),
      image.decode "P6 1 1 255 \7\8\9")
    same(al.tensor({ { { 256, 65535 } } }, { dtype = "int32" }),
      image.decode "P5 2 1 65535\n\1\0\255\255")
    same(al.tensor({ { { 0, 85, 255 } } }, { dtype = "uint8" }),
      image.decode "P5 3 1 3\n\0\1\3")
    same(al.tensor({ { { 0, 85, 255 } } }, { dtype = "uint8" }),
      image.decode "P2 3 1 3\n0\n#c\n 1 3")
    same(al.tensor({ { { 7 } }, { { 8 } }, { { 9 } } }, { dtype = "uint8" }),
      image.decode "P3 1 1 255 7 8 9")
    local black = al.tensor({ { { 0, 255, 0 }, { 255, 255, 0 } } }, { dtype = "uint8" })
    same(black, image.decode "P1\n3 2\n1 01\n001")
    same(black, image.decode "P4\n3 2\n\160\32")
    for _, bytes in ipairs { "P1 3 2\n10100", "P2 2 1 9\n1", "P4 9 1\n1", "P3 9999999 9999999 1 1" } do
      assert.error_matches(function() image.decode(bytes) end, "damaged PNM")
    end
  end)
end)

describe("pictures of others", function()
  -- What Pillow writes, and the values it reads from it, as raw int32.
  local SCRIPT = [[
from PIL import Image
import numpy as np, sys
im, out = Image.open(sys.argv[1]).convert('RGB'), sys.argv[2]
gray = im.convert('L')
deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 200)
for name, img, as_, options in (
    ('rgb.jpg', im, 0, dict(quality=90)), ('progressive.jpg', im, 0, dict(progressive=True)),
    ('444.jpg', im, 0, dict(subsampling=0)), ('422.jpg', im, 0, dict(subsampling=1)),
    ('gray.jpg', gray, 0, {}), ('cmyk.jpg', im.convert('CMYK'), 'RGB', {}),
    ('palette.png', im.convert('P', palette=Image.ADAPTIVE), 'RGB', {}),
    ('bit.png', im.convert('1'), 'L', {}), ('ga.png', im.convert('LA'), 0, {}),
    ('rgba.png', im.convert('RGBA'), 0, {}), ('deep.png', deep, 0, {}),
    ('rgb.bmp', im, 0, {}), ('rgb.ppm', im, 0, {}), ('gray.pgm', gray, 0, {})):
  img.save(out + name, **options)
  back = Image.open(out + name)
  a = np.asarray(back.convert(as_) if as_ else back)
  a = a[:, :, None] if a.ndim == 2 else a
  open(out + name + '.raw', 'wb').write(a.transpose(2, 0, 1).astype('<i4').tobytes())
  print(name)
]]

  it("are read to the bit as Pillow reads them", function()
    if os.execute "/usr/bin/python3 -c 'import PIL, numpy' 2>/dev/null" ~= true then
      return pending "python3-pil is not installed"
    end
    local path, script, out = tmp ".png", write(tmp ".py", SCRIPT), tmp "-"
    image.save(path, smooth(3, 67, 101))
    local pipe, count = io.popen(("/usr/bin/python3 %s %s %s"):format(script, path, out)), 0
    for name in pipe:lines() do
      made[#made + 1] = out .. name
      made[#made + 1] = out .. name .. ".raw"
      local x = image.load(out .. name):to "int32"
      assert.is_true(x:bytes() == read(out .. name .. ".raw"), name)
      count = count + 1
    end
    pipe:close()
    assert.equal(14, count)
  end)
end)

describe("damaged pictures", function()
  local png = image.encode(noise(3, 20, 30), "png")
  local png16 = image.encode(noise(2, 20, 30):to "int32" * 250, "png")
  local jpeg = image.encode(smooth(3, 40, 50), "jpeg", { quality = 80 })

  it("that end early give one error each", function()
    local files = {
      png, png16, jpeg, bmp { { { 1, 2, 3 }, { 4, 5, 6 } } }, "P6 2 2 255\n0123456789ab",
    }
    for _, bytes in ipairs(files) do
      for n = 0, #bytes - 1, math.max(1, math.floor(#bytes / 40)) do
        refuses(function() image.decode(bytes:sub(1, n)) end, "image_decode: ")
      end
    end
  end)

  it("never read past their end, whatever byte changes", function()
    local seed = 1
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
    for _, bytes in ipairs { png, jpeg, bmp { { { 1, 2, 3 }, { 4, 5, 6 } } } } do
      for _ = 1, 150 do
        local at = random(math.min(#bytes, 400))
        local changed = bytes:sub(1, at - 1) .. string.char(random(256) - 1)
          .. bytes:sub(at + 1)
        local ok, message = pcall(image.decode, changed)
        if not ok then assert.is_nil(tostring(message):find "\n") end
      end
    end
  end)

  it("that claim absurd sizes are refused before memory is taken", function()
    al.memory_reset_peak()
    local before = al.memory().peak
    -- 2147483647 and 50000 pixels square in a hundred bytes; the checksums are right
    local tail = "0000000c49444154789c6360a03d00000064000186643c350000000049454e44ae426082"
    for _, size in ipairs { "7fffffff7fffffff08020000009bab9c31",
      "0000c3500000c3500802000000c4cdaa9d" } do
      local bytes = hex("89504e470d0a1a0a0000000d49484452" .. size .. tail)
      refuses(function() image.decode(bytes) end, "image_decode: .*pixels")
    end
    refuses(function() image.decode "P6 99999 99999 255\n" end, "99999")
    refuses(function() image.decode "P5 999999999999999999999 1 255\n" end, "header")
    -- a JPEG frame of 65500 x 65500, the most that libjpeg takes
    local at = jpeg:find("\255\192", 1, true)
    local lie = jpeg:sub(1, at + 4) .. "\255\220\255\220" .. jpeg:sub(at + 9)
    refuses(function() image.decode(lie) end, "more pixels than it can hold")
    local flat = bmp { { { 1, 2, 3 } } }
    refuses(function() image.decode(flat:sub(1, 18) .. "\255\255\255\127\255\255\255\127"
      .. flat:sub(27)) end, "BMP")
    assert.is_true(al.memory().peak - before < 1e7)
  end)

  it("leave no memory behind", function()
    collectgarbage()
    collectgarbage()
    local before = al.memory().live
    for _, bytes in ipairs { png, png16, jpeg } do
      for n = 10, #bytes - 1, math.floor(#bytes / 9) do pcall(image.decode, bytes:sub(1, n)) end
    end
    pcall(image.save, "/dev/full.png", noise(3, 4, 4))
    collectgarbage()
    collectgarbage()
    assert.equal(before, al.memory().live)
  end)

  it("and failing allocations leave no memory behind either", function()
    local x, batch = noise(3, 20, 30), noise(2, 3, 16, 16)
    local path, failed = tmp ".png", 0
    local steps = {
      function() image.decode(png) end, function() image.decode(jpeg) end,
      function() image.save(path, x) end, function() image.encode(x, "jpeg") end,
      function() image.jpeg(batch, 80) end, function() image.resize(x, { 9, 40 }) end,
      function() image.rotate(x, 30) end, function() image.load(path) end,
    }
    image.save(path, x)
    collectgarbage()
    collectgarbage()
    local before = al.memory().live
    for _, step in ipairs(steps) do
      for n = 1, 30 do
        al.fault_after(n, 1000)
        local ok = pcall(step)
        al.fault_after(0, 0)
        if not ok then failed = failed + 1 end
      end
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, al.memory().live)
    assert.is_true(failed > 20)
    same(x, image.load(path))
  end)

  it("in files are named", function()
    refuses(function() image.load "nowhere/at/all.png" end, "nowhere/at/all.png: No such file")
    refuses(function() image.load "spec" end, "directory")
    refuses(function() image.load(write(tmp ".png", "")) end, "not a picture")
    refuses(function() image.load "LICENSE" end, "not a picture.*LICENSE")
    local path = write(tmp ".png", png:sub(1, 300))
    refuses(function() image.load(path) end, "damaged PNG.*" .. path:gsub("%p", "%%%0"))
  end)

  it("are not left behind by a failed write", function()
    refuses(function() al.plugin("image").png_write("/dev/full", noise(3, 4, 4)) end,
      "No space left")
    refuses(function() image.save("nowhere/at/all.png", noise(3, 4, 4)) end, "No such file")
    local path = tmp ".png"
    image.save(path, noise(3, 4, 4))
    local good = read(path)
    assert.is_false(pcall(image.save, path, al.tensor({ { -1 } }, { dtype = "int32" })))
    assert.is_true(read(path) == good)
    local pipe = io.popen("ls " .. path .. ".* 2>/dev/null")
    assert.equal("", pipe:read "*a")
    pipe:close()
  end)
end)

describe("resize", function()
  it("leaves a flat picture flat and a picture at its size as it is", function()
    for _, mode in ipairs { "area", "bilinear", "bicubic", "nearest" } do
      local flat = al.full({ 3, 11, 7 }, 200, { dtype = "uint8" })
      same(al.full({ 3, 5, 13 }, 200, { dtype = "uint8" }), image.resize(flat, { 5, 13 }, mode))
      same(noise(3, 9, 14), image.resize(noise(3, 9, 14), { 9, 14 }, mode))
    end
  end)

  it("takes means over areas", function()
    local x = al.tensor { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } }
    assert.same({ { 3.5, 5.5 } }, al.resize(x, { 1, 2 }, { mode = "area" }):totable())
    -- thirds: the second pixel covers a third of each of the middle two
    local row = al.resize(al.tensor { { 3, 6, 9, 12 } }, { 1, 3 }, { mode = "area" })
    assert.near((3 + 6 / 3) / (4 / 3), row[{ 1, 1 }]:item(), 1e-5)
    assert.near((6 * 2 / 3 + 9 * 2 / 3) / (4 / 3), row[{ 1, 2 }]:item(), 1e-5)
  end)

  it("weighs as Pillow does", function()
    -- 4 to 2: a triangle of half width 2 around 1 and 3: weights 3/4 3/4 1/4, over 7/4
    local y = al.resize(al.tensor({ { 1, 2, 4, 8 } }, { dtype = "float64" }), { 1, 2 })
    assert.near((0.75 * 1 + 0.75 * 2 + 0.25 * 4) / 1.75, y[{ 1, 1 }]:item(), 1e-12)
    assert.near((0.25 * 2 + 0.75 * 4 + 0.75 * 8) / 1.75, y[{ 1, 2 }]:item(), 1e-12)
    -- 2 to 4: plain interpolation at -.25 .25 .75 1.25, held at the borders
    y = al.resize(al.tensor({ { 0, 1 } }, { dtype = "float64" }), { 1, 4 })
    assert.same({ { 0, 0.25, 0.75, 1 } }, y:totable())
  end)

  it("agrees with Pillow on a picture", function()
    if os.execute "/usr/bin/python3 -c 'import PIL, numpy' 2>/dev/null" ~= true then
      return pending "python3-pil is not installed"
    end
    local x, path, out = smooth(3, 61, 47), tmp ".png", tmp ".png"
    image.save(path, x)
    for mode, filter in pairs { bilinear = "BILINEAR", bicubic = "BICUBIC",
      nearest = "NEAREST" } do
      for _, size in ipairs { { 20, 30 }, { 90, 31 }, { 128, 128 } } do
        os.execute(([[/usr/bin/python3 -c "
from PIL import Image
Image.open('%s').resize((%d, %d), Image.%s).save('%s')"]])
          :format(path, size[2], size[1], filter, out))
        local gap = (image.resize(x, size,
          mode):to "float32" - image.load(out):to "float32"):abs()
        assert.is_true(gap:max():item() <= 1, mode)
      end
    end
  end)

  it("gives the same bits for any number of threads, and any batch", function()
    local x = noise(2, 3, 50, 70)
    local former = al.threads()
    al.threads(1)
    local one = image.resize(x, { 33, 91 })
    al.threads(2)
    same(one, image.resize(x, { 33, 91 }))
    same(one[2]:contiguous(), image.resize(x[2], { 33, 91 }))
    al.threads(former)
  end)

  it("takes the shorter side, masks and 16 bits", function()
    assert.same({ 3, 10, 20 }, image.resize(noise(3, 20, 40), 10).shape)
    local mask = al.tensor { { true, false }, { false, true } }
    assert.equal("bool", image.resize(mask, { 4, 4 }).dtype)
    local deep = al.full({ 4, 4 }, 40000, { dtype = "int32" })
    same(al.full({ 2, 3 }, 40000, { dtype = "int32" }), image.resize(deep, { 2, 3 }))
    assert.error_matches(function() al.resize(deep, { 0, 3 }) end, "impossible")
    assert.error_matches(function() al.resize(deep, { 2, 3 }, { mode = "cubic" }) end,
      "unknown mode cubic")
  end)
end)

describe("geometry", function()
  local x = noise(3, 6, 9)

  it("crops and mirrors", function()
    same(x[{ {}, { 2, 4 }, { 5, 9 } }]:contiguous(), image.crop(x, 2, 5, 3, 5):contiguous())
    same(x[{ {}, { 2, 5 }, { 3, 6 } }]:contiguous(), image.center_crop(x, 4):contiguous())
    assert.equal(x[{ 1, 1, 9 }]:item(), image.flip(x)[{ 1, 1, 1 }]:item())
    assert.equal(x[{ 1, 6, 1 }]:item(), image.flip(x, "vertical")[{ 1, 1, 1 }]:item())
    refuses(function() image.flip(x, "sideways") end, "sideways")
  end)

  it("turns by quarters", function()
    local y = image.rotate90(x)
    assert.same({ 3, 9, 6 }, y.shape)
    assert.equal(x[{ 2, 1, 1 }]:item(), y[{ 2, 1, 6 }]:item())
    same(x, image.rotate90(image.rotate90(x, 3)):contiguous())
    same(x, image.rotate90(image.rotate90(x, -2), 2):contiguous())
  end)

  it("turns by any angle, clockwise as by quarters", function()
    same(x, image.rotate(x, 0))
    same(image.rotate90(x):contiguous(), image.rotate(x, 90, { size = "all" }))
    same(image.rotate90(x, 2):contiguous(), image.rotate(x, 180))
    same(image.rotate90(x, 3):contiguous(),
      image.rotate(x, -90, { size = "all", mode = "nearest" }))
    local turned = image.rotate(al.full({ 1, 21, 21 }, 1), 45, { fill = 0 })
    assert.near(1, turned[{ 1, 11, 11 }]:item(), 1e-6)
    assert.near(0, turned[{ 1, 1, 1 }]:item(), 1e-6)
    local small = image.rotate(image.to_float(smooth(1, 40, 40)), 0,
      { scale = 2, size = { 80, 80 } })
    assert.same({ 1, 80, 80 }, small.shape)
  end)
end)

describe("colour", function()
  it("counts 0 to 255 or 0 to 1, and nothing is lost between", function()
    local all = al.arange(0, 255):to "uint8":reshape(1, 16, 16)
    same(all, image.to_bytes(image.to_float(all)))
    same(all, image.to_bytes(all:to "int32" * 257))
    assert.near(1, image.to_float(all):max():item(), 1e-7)
    same(al.tensor({ { 0, 255 } }, { dtype = "uint8" }),
      image.to_bytes(al.tensor { { -3, 7 } }))
  end)

  it("is adjusted", function()
    local x = smooth(3, 12, 12)
    assert.equal(0, image.brightness(x, 0):max():item())
    same(x, image.adjust(x))
    local flat = image.contrast(x, 0)
    assert.is_true((flat:max() - flat:min()):item() == 0)
    local gray = image.saturation(x, 0)
    same(gray[1]:contiguous(), gray[2]:contiguous())
    assert.is_true(mean_error(gray:narrow(1, 1, 1), image.to_gray(x)) < 1)
    assert.is_true(mean_error(image.gamma(x, 1), x) == 0)
    assert.near(0.25, image.gamma(al.full({ 1, 1, 1 }, 0.5), 2):item(), 1e-6)
    refuses(function() image.adjust(x, { hue = 1 }) end, "unknown option 'hue'")
  end)

  it("becomes gray and back", function()
    assert.same({ 1, 4, 5 }, image.to_gray(noise(3, 4, 5)).shape)
    assert.same({ 3, 4, 5 }, image.to_rgb(noise(4, 5)).shape)
    assert.same({ 2, 3, 4, 5 }, image.to_rgb(noise(2, 1, 4, 5)).shape)
  end)
end)

describe("drawing", function()
  it("draws boxes on a copy, inside the picture", function()
    local x = al.zeros({ 3, 20, 30 }, { dtype = "uint8" })
    local y = image.boxes(x, { { 3, 4, 10, 12 }, { 15, 25, 50, 50 } },
      { color = { 1, 0, 0 }, width = 1 })
    assert.equal(0, x:max():item())
    assert.equal(255, y[{ 1, 3, 4 }]:item())
    assert.equal(255, y[{ 1, 12, 15 }]:item())
    assert.equal(0, y[{ 1, 13, 15 }]:item())
    assert.equal(0, y[{ 1, 5, 8 }]:item())
    assert.equal(0, y[2]:max():item())
    refuses(function() image.boxes(x, { { 1, 1, 2, 2 } }, { color = "mauve" }) end, "mauve")
  end)

  it("tints where a mask is set", function()
    local x = al.full({ 1, 4, 4 }, 100, { dtype = "uint8" })
    local mask = al.zeros({ 4, 4 }, { dtype = "bool" })
    mask[{ 2, 3 }] = true
    local y = image.overlay(x, mask, { color = { 1, 0, 0 }, alpha = 0.5 })
    assert.same({ 3, 4, 4 }, y.shape)
    assert.near(177.5, y[{ 1, 2, 3 }]:item(), 0.6)
    assert.near(50, y[{ 2, 2, 3 }]:item(), 0.6)
    assert.equal(100, y[{ 1, 1, 1 }]:item())
  end)

  it("maps values to colours that only grow lighter", function()
    local y = image.heatmap(al.linspace(0, 1, 64):reshape(1, 64))
    assert.same({ 3, 1, 64 }, y.shape)
    local gray, last = image.to_gray(y), -1
    for i = 1, 64 do
      local v = gray[{ 1, 1, i }]:item()
      assert.is_true(v > last)
      last = v
    end
    assert.is_true(y:min():item() >= 0 and y:max():item() <= 1)
    assert.same({ 3, 2, 2 }, image.heatmap(al.full({ 2, 2 }, 5)).shape)
  end)

  it("lays pictures out in a grid", function()
    local list = {
      noise(3, 8, 10), noise(1, 8, 10), noise(8, 10), image.to_float(noise(3, 8, 10)),
      noise(3, 16, 20),
    }
    local sheet = image.grid(list, { columns = 3, pad = 1 })
    assert.same({ 3, 2 * 9 + 1, 3 * 11 + 1 }, sheet.shape)
    same(list[1], sheet[{ {}, { 2, 9 }, { 2, 11 } }]:contiguous())
    same(list[1], sheet[{ {}, { 11, 18 }, { 2, 11 } }]:contiguous())
    assert.equal(255, sheet[{ 1, 1, 1 }]:item())
    local four = al.stack({ list[1], list[1], list[1], list[1] }, 1)
    assert.same({ 3, 32, 40 }, image.grid(four, { scale = 2, pad = 0 }).shape)
  end)
end)

describe("netpbm's pictures", function()
  local files = require "support.files"
  local function runs(command)
    local ok = os.execute("(" .. command .. ") >/dev/null 2>&1")
    return ok == true or ok == 0
  end
  if not runs "command -v pgmnoise && command -v pamdepth && command -v pnmtopng" then
    return pending "(no netpbm here)"
  end
  teardown(files.clear)

  -- What plain text says, read without our own code.
  local function numbers(path)
    local list, skip = {}, 4 -- kind, width, height, white
    for word in files.read(path):gmatch "%S+" do
      skip = skip - 1
      if skip < 0 then list[#list + 1] = tonumber(word) end
    end
    return list
  end

  it("are read to the bit, in each form that its tools write", function()
    local gray, colour, deep = files.tmp ".pgm", files.tmp ".ppm", files.tmp ".pgm"
    assert.is_true(runs(("pgmnoise -randomseed=1 23 17 >%s && pamdepth 65535 %s >%s"):format(gray, gray, deep)))
    assert.is_true(runs(("pgmnoise -randomseed=2 23 17 >%s.g && pgmnoise -randomseed=3 23 17 >%s.b && "
      .. "rgb3toppm %s %s.g %s.b >%s; s=$?; rm %s.g %s.b; exit $s")
      :format(colour, colour, gray, colour, colour, colour, colour, colour)))
    local tried = 0
    for _, case in ipairs { { gray, 1 }, { colour, 3 }, { deep, 1 } } do
      local path, c = case[1], case[2]
      local plain = files.tmp ".txt"
      assert.is_true(runs(("pnmtoplainpnm %s >%s"):format(path, plain)))
      local x = al.tensor(numbers(plain), { dtype = "int32" }):reshape(17, 23, c):permute(3, 1, 2)
      same(x:contiguous(), image.load(path):to "int32")
      same(x:contiguous(), image.load(plain):to "int32")
      for tool, ending in pairs { ["pnmtopng"] = ".png", ["ppmtobmp"] = ".bmp", ["pamtotiff -none"] = ".tif",
        ["pamtotiff -lzw"] = ".tif", ["pamtotiff -packbits"] = ".tif" } do
        local out = files.tmp(ending)
        local may = (ending ~= ".tif" or al.version().plugins.tiff) and not (path == deep and ending == ".bmp")
        if may and runs(("%s %s >%s"):format(tool, path, out)) then
          tried = tried + 1
          local y = image.load(out)
          local eight = path == deep and y.dtype == "uint8" -- its values are 257 times 8 bits
          y = y:to "int32" * (eight and 257 or 1)
          if y:size(1) > c then y = y:narrow(1, 1, c):contiguous() end -- a gray BMP has a palette
          assert.is_true(x:bytes() == y:bytes(), tool .. " " .. c .. " " .. table.concat(y.shape, "x"))
        end
      end
    end
    assert.is_true(tried >= 5, tried .. " tools ran")
  end)
end)
