-- SEG-Y, by segyio.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"
local tmp, write, read, same, refuses = files.tmp, files.write, files.read, files.same, files.refuses

teardown(files.clear)

describe("SEG-Y", function()
  if not al.version().plugins.segy then return pending "(no segyio here)" end

  local function some(...) return (al.arange(1, 24):to "float32" / 7 - 1):reshape(...) end

  it("gives cubes and traces back to the bit, with their numbers", function()
    local path = tmp ".sgy"
    al.io.write_segy(path, some(2, 3, 4), { interval = 2, inlines = { 110, 112 },
      crosslines = { 7, 9, 8 }, text = "C 1 ROCK (salt) ~\n" })
    local x, about = al.io.segy(path)
    same(some(2, 3, 4):index_select(2, al.tensor({ 1, 3, 2 }, { dtype = "int64" })), x)
    same(x, al.load(path))
    assert.same({ 110, 112 }, about.inlines)
    assert.same({ 7, 8, 9 }, about.crosslines)
    assert.equal(2, about.interval)
    assert.equal("C 1 ROCK (salt) ~", (about.text:gsub("%s+$", "")))
    assert.equal(3200, #about.text)
    same(some(6, 4)[{ { 2, 5 } }], (al.io.segy(path, { traces = { 2, 5 } })))
    al.io.write_segy(path, some(4, 6))
    same(some(1, 4, 6), (al.io.segy(path)))
    local odd = al.tensor { { 0 / 0, math.huge, -math.huge, -0.0, 1e-45, 3.4e38 } }
    al.io.write_segy(path, odd)
    assert.is_true(odd:bytes() == al.io.segy(path):bytes())
  end)

  it("that is damaged or claims too much gives one error", function()
    local path = tmp ".sgy"
    al.io.write_segy(path, some(2, 3, 4))
    local good = read(path)
    for _, byte in ipairs { 3221, 3222, 3225, 3226, 3505, 3506 } do -- samples, format, more texts
      for value = 0, 255, 5 do
        local ok, why = pcall(al.io.segy,
          write(path, good:sub(1, byte - 1) .. string.char(value) .. good:sub(byte + 1)))
        assert.is_true(ok or not why:find "\n", why)
      end
    end
    files.mutate(good, ".sgy", al.io.segy, 200)
    write(path, good)
    refuses(function() al.io.segy(path, { max_bytes = 95 }) end, "more than max_bytes")
    refuses(function() al.io.segy(path, { traces = { 3, 7 } }) end, "has 6 traces, none from 3 to 7")
    refuses(function() al.io.segy(path, { inline = 300 }) end, "no word at byte 300")
    refuses(function() al.io.segy(write(path, good:sub(1, -2))) end, "damaged SEG%-Y")
    refuses(function() al.io.segy(write(path, ("\0"):rep(3600))) end, "format 0 are not read")
    refuses(function() al.io.segy "nowhere.sgy" end, "nowhere.sgy")
    refuses(function() al.io.write_segy(path, al.ones(3, 40000)) end, "at most 32767")
    -- a grid far larger than the traces stays a list of traces
    al.io.write_segy(path, some(2, 3, 4), { inlines = { 1, 2 ^ 31 - 1 } })
    assert.same({ 2, 3, 4 }, al.io.segy(path).shape)
  end)

  it("of segyio is read, segyio reads ours", function()
    local path = tmp ".sgy"
    al.io.write_segy(path, some(2, 3, 4), { inlines = { 5, 7 }, text = "C 1 OURS" })
    local names, prefix = files.python("segyio, numpy", ([=[
import sys, segyio, numpy as n
with segyio.open('%s') as f:
  assert list(f.ilines) == [5, 7] and list(f.xlines) == [1, 2, 3] and list(f.samples) == [0, 4, 8, 12]
  want = (n.arange(1, 25, dtype='f4') / n.float32(7) - n.float32(1)).reshape(2, 3, 4)
  assert (segyio.cube(f) == want).all() and f.text[0].startswith(b'C 1 OURS')
g = n.random.default_rng(1)
for kind, code in dict(f4=5, ibm=1, i2=3, i4=2, i1=8).items():
  for endian in 'big little'.split()[:1 if kind in ('i1', 'i2') else 2]:
    for offsets in [1], [100, 200]:
      s = segyio.spec()
      s.format, s.sorting, s.endian = code, 2, endian
      s.ilines, s.xlines, s.offsets = [3, 4, 6], [11, 10], offsets
      s.samples = n.arange(8) * 2. # its writer errs at odd sizes
      name = '%%s%%s%%d.sgy' %% (kind, endian, len(offsets))
      a = g.standard_normal((3, 2, len(offsets), 8)) * 50
      if kind == 'ibm': a = n.round(a * 16) / 16 # what 6 hexadecimal digits hold
      a = a.astype('f4' if kind == 'ibm' else kind)
      with segyio.create(sys.argv[1] + name, s) as f:
        f.bin.update(hdt=2000)
        t = 0
        for i, il in enumerate(s.ilines):
          for j, xl in enumerate(s.xlines):
            for k, o in enumerate(offsets):
              f.header[t] = {189: il, 193: xl, 37: o, 115: 8, 117: 2000}
              f.trace[t] = a[i, j, k]
              t += 1
      b = a[:, ::-1]
      if len(offsets) == 1: b = b[:, :, 0]
      wide = {'i1': 'i4', 'i2': 'i4'}.get(a.dtype.str[1:], a.dtype.str[1:])
      n.ascontiguousarray(b).astype('<' + wide).tofile(sys.argv[1] + name + '.raw')
      print(name)
]=]):format(path))
    if not names then return pending "python3-segyio is not installed" end
    assert.equal(16, #names)
    for _, name in ipairs(names) do
      local x, about = al.io.segy(prefix .. name)
      assert.is_true(x:bytes() == read(prefix .. name .. ".raw"), name)
      assert.same({ 3, 4, 6 }, about.inlines, name)
      assert.same({ 10, 11 }, about.crosslines, name)
      assert.same(name:find "2.sgy" and { 100, 200 } or nil, about.offsets, name)
      assert.equal(2, about.interval, name)
    end
  end)

  it("with traces missing has them filled, or is a list of traces", function()
    local path = tmp ".sgy"
    al.io.write_segy(path, some(2, 3, 4), { inlines = { 5, 7 } })
    write(path, read(path):sub(1, 3600 + 5 * (240 + 16)))
    local cube = al.io.segy(path, { fill = -9 })
    same(some(2, 3, 4)[{ {}, { 1, 2 } }], cube[{ {}, { 1, 2 } }])
    assert.same({ -9, -9, -9, -9 }, cube[2][3]:totable())
    al.io.write_segy(path, some(2, 3, 4), { crosslines = { 1, 1, 2 } }) -- two at a place
    assert.same({ 6, 4 }, al.io.segy(path).shape)
  end)
end)
