-- IDX, raw values, NIfTI, MSTAR, CSV, labelled lines.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"
local tmp, write, read, same = files.tmp, files.write, files.read, files.same
local refuses = files.refuses
local zlib = al.version().plugins.zlib

local function some(dtype, ...) return (al.arange(1, 24):to(dtype) * 5):reshape(...) end

teardown(files.clear)

describe("IDX", function()
  it("gives its dtypes back to the bit, and refuses damage", function()
    local path = tmp ".idx"
    for _, dtype in ipairs { "uint8", "int32", "float32", "float64" } do
      al.io.write_idx(path, some(dtype, 2, 3, 4))
      same(some(dtype, 2, 3, 4), al.load(path))
    end
    files.mutate(read(path), ".idx", al.io.idx, 200)
    write(path, "\0\0\8\3\255\255\255\255\255\255\255\255\0\0\0\1")
    refuses(function() al.io.idx(path) end, "more than max_bytes")
    refuses(function() al.io.idx(write(path, "\0\0\8\1\0\0\0\009123")) end, "needs 9 bytes")
    refuses(function() al.io.write_idx(path, al.ones(2):to "int64") end, "IDX holds no int64")
    same(al.tensor({ 1, 258 }, { dtype = "int32" }),
      al.io.idx(write(path, "\0\0\11\1\0\0\0\2\0\1\1\2")))
  end)
end)

describe("raw values", function()
  it("are read by dtype, shape and order of bytes", function()
    local path = write(tmp ".raw", "\1\2\255\254")
    local function raw(o) return al.io.raw(path, o):totable() end
    assert.same({ 1, 2, 255, 254 }, raw())
    assert.same({ 513, 65279 }, raw { dtype = "uint16" })
    assert.same({ 258, -2 }, raw { dtype = "int16", endian = "big" })
    assert.same({ { 2 }, { 255 } }, raw { shape = { 2, 1 }, offset = 1 })
    refuses(function() raw { dtype = "int32", shape = { 2 } } end, "needs 8 bytes")
    refuses(function() raw { shape = { -2 } } end, "claims more")
    refuses(function() raw { dtype = "int7" } end, "dtype is int7")
    refuses(function() raw { endian = "middle" } end, "little, big")
    for _, endian in ipairs { "little", "big" } do
      al.io.write_raw(path, some("float64", 4, 6), { endian = endian })
      same(some("float64", 4, 6),
        al.io.raw(path, { dtype = "float64", shape = { 4, 6 }, endian = endian }))
    end
  end)
end)

describe("NIfTI", function()
  it("gives its dtypes back to the bit, with the spacing", function()
    for _, ending in ipairs { ".nii", zlib and ".nii.gz" } do
      local path = tmp(ending)
      for _, dtype in ipairs { "uint8", "int32", "int64", "float32", "float64" } do
        al.io.write_nifti(path, some(dtype, 2, 3, 4), { spacing = { 3, 2, 0.5 } })
        local x, about = al.io.nifti(path)
        same(some(dtype, 2, 3, 4), x)
        same(x, al.load(path))
        assert.same({ 3, 2, 0.5 }, about.spacing)
        assert.same({ { 0.5, 0, 0, 0 }, { 0, 2, 0, 0 }, { 0, 0, 3, 0 } }, about.affine)
      end
      al.io.write_nifti(path, some("int64", 2, 12), { version = 2, spacing = { 0.1, 3 },
        affine = { { 1, 2, 3, 4 }, { 5, 6, 7, 8 }, { 9, 10, 11, 12.5 } } })
      local x, about = al.io.nifti(path)
      same(some("int64", 2, 12), x)
      same(x, al.load(path))
      assert.same({ 0.1, 3 }, about.spacing)
      assert.equal(12.5, about.affine[3][4])
      files.mutate(read(path), ending, al.io.nifti, 100)
      al.io.write_nifti(path, al.ones(40000)) -- more than version 1 counts
      assert.same({ 40000 }, al.load(path).shape)
      refuses(function() al.io.write_nifti(path, al.ones(40000), { version = 1 }) end, "32767")
      al.io.write_nifti(path, some("float64", 2, 3, 4))
      files.mutate(read(path), ending, al.io.nifti, 300)
      refuses(function() al.io.nifti(path, { max_bytes = 191 }) end, "191")
    end
    refuses(function() al.io.nifti(write(tmp ".nii", "short")) end, "no NIfTI")
  end)

  it("of nibabel is read, nibabel reads ours", function()
    local path = tmp ".nii"
    al.io.write_nifti(path, some("float32", 2, 3, 4), { spacing = { 3, 2, 0.5 } })
    local second = tmp ".nii"
    al.io.write_nifti(second, some("int32", 2, 12), { version = 2,
      affine = { { 1, 2, 3, 4 }, { 5, 6, 7, 8 }, { 9, 10, 11, 12 } } })
    local names, prefix = files.python("nibabel, numpy", ([=[
import sys, numpy as n, nibabel as b
m = b.load('%s')
assert m.header.get_zooms() == (.5, 2, 3), m.header.get_zooms()
assert (n.asarray(m.dataobj).T == n.arange(5, 121, 5).reshape(2, 3, 4)).all()
assert (m.affine == n.diag([.5, 2, 3, 1])).all()
g = n.random.default_rng(1)
m = b.load('%s')
assert (n.asarray(m.dataobj).T == n.arange(5, 121, 5).reshape(2, 12)).all()
assert (m.affine[:3] == n.arange(1, 13).reshape(3, 4)).all() and m.header['sizeof_hdr'] == 540
for kind in 'u1 i1 i2 u2 i4 u4 i8 u8 f4 f8 c8 c16'.split():
  for order, make, head in [(o, m, h) for o in '<>' for m, h in
    [(b.Nifti1Image, b.Nifti1Header), (b.Nifti2Image, b.Nifti2Header), (b.Nifti1Pair, b.Nifti1Header)]]:
    a = (g.standard_normal((5, 4, 3)) * 40).astype('f8')
    a = (n.abs(a) if kind[0] == 'u' else a).astype(order + kind)
    m = make(a, n.eye(4), head(endianness=order), dtype=a.dtype)
    name = '%%s%%d%%s.%%s' %% (kind, ord(order), make.__name__, 'hdr' if make is b.Nifti1Pair else 'nii')
    m.header.set_slope_inter(1, 0)
    m.to_filename(sys.argv[1] + name)
    wide = {'i1': 'i4', 'i2': 'i4', 'u2': 'i4', 'u4': 'i8', 'u8': 'i8'}.get(kind, kind)
    n.ascontiguousarray(a.T).astype('<' + wide).tofile(sys.argv[1] + name + '.raw')
    print(name)
q = n.array([[0, -2, 0, 5], [1.5, 0, 0, 6], [0, 0, -3, 7], [0, 0, 0, 1.]])
m = b.Nifti1Image(n.zeros((4, 3, 2), 'u1'), None)
m.header.set_qform(q, 1)
m.to_filename(sys.argv[1] + 'turned.nii')
print('turned.nii')
]=]):format(path, second))
    if not names then return pending "python3-nibabel is not installed" end
    assert.equal(12 * 6 + 1, #names)
    local turned = select(2, al.io.nifti(prefix .. table.remove(names))).affine
    for i, row in ipairs { { 0, -2, 0, 5 }, { 1.5, 0, 0, 6 }, { 0, 0, -3, 7 } } do
      for j = 1, 4 do assert.near(row[j], turned[i][j], 1e-5) end
    end
    for _, name in ipairs(names) do
      assert.is_true(al.load(prefix .. name):bytes() == read(prefix .. name .. ".raw"), name)
      os.remove(prefix .. name:gsub("hdr$", "img"))
    end
  end)

  it("scales as the header says", function()
    local path = tmp ".nii"
    al.io.write_nifti(path, some("uint8", 2, 3, 4))
    local s = read(path)
    write(path, s:sub(1, 112) .. al.tensor({ 0.5, 3 }):bytes() .. s:sub(121))
    same(some("float32", 2, 3, 4) * 0.5 + 3, (al.io.nifti(path)))
    same(some("uint8", 2, 3, 4), (al.io.nifti(path, { scale = false })))
  end)
end)

describe("MSTAR chips", function()
  it("are read with their header", function()
    local head = "[PhoenixHeaderVer01.04]\nPhoenixHeaderLength= 00200\nnative_header_length= 0\n"
      .. "NumberOfColumns= 3\nNumberOfRows= 2\nTargetType= t72_tank\n[EndofPhoenixHeader]\n"
    local x, path = (al.arange(1, 12):to "float32"):reshape(2, 2, 3), tmp ".015"
    al.io.write_raw(path, x, { endian = "big" })
    local chip = head .. (" "):rep(200 - #head) .. read(path)
    local y, about = al.io.mstar(write(path, chip))
    same(x, y)
    assert.equal("t72_tank", about.TargetType)
    same(x, al.load(path))
    files.mutate(chip, ".015", al.io.mstar, 200)
    refuses(function() al.io.mstar(write(path, chip:sub(1, 240))) end, "needs 48 bytes")
    refuses(function() al.io.mstar(write(path, (chip:gsub("Rows= 2", "Rows= x")))) end,
      "no NumberOfRows")
  end)
end)

describe("CSV", function()
  local function csv(s, o) return al.io.csv(write(tmp ".csv", s), o) end

  it("gives columns by name, numbers as tensors", function()
    local t = csv 'a,b,"c ""x"", y",d\r\n1,2.5,"one\ntwo",\r\n-2,,three,1e3\r\n'
    assert.same({ "a", "b", 'c "x", y', "d" }, t.names)
    assert.equal(2, t.rows)
    same(al.tensor({ 1, -2 }, { dtype = "int64" }), t.columns.a)
    assert.equal("float64", t.columns.b.dtype)
    assert.equal(2.5, t.columns.b[1]:item())
    assert.is_true(t.columns.b[2]:item() ~= t.columns.b[2]:item())
    assert.same({ "one\ntwo", "three" }, t.columns['c "x", y'])
    t = csv("7;x\n8;y", { header = false, separator = ";" })
    assert.same({ 7, 8 }, t.columns[1]:totable())
    assert.same({ "0x10", "inf" }, csv("a\n0x10\ninf\n").columns.a)
    assert.equal(0, csv("a,b\n").rows)
    assert.error_matches(function() csv "" end, "is empty: no table of columns")
  end)

  it("is written and read back equal, and damage is named", function()
    local path = tmp ".csv"
    local t = { names = { "n", "x", "s" }, rows = 3, columns = {
      n = al.tensor({ 1, 2, 9007199254740991 }, { dtype = "int64" }),
      x = al.tensor({ 0.1, 1 / 3, -5e-324 }, { dtype = "float64" }),
      s = { 'a,"b"', "", "c\nd" } } }
    al.io.write_csv(path, t)
    local back = al.load(path)
    assert.same(t.names, back.names)
    same(t.columns.n, back.columns.n)
    same(t.columns.x, back.columns.x)
    assert.same(t.columns.s, back.columns.s)
    refuses(function() csv "a,b\n1,2\n3\n" end, "row 2 has 1 fields, not 2")
    refuses(function() csv 'a\n"b' end, "line 2: a quote is not closed")
    refuses(function() csv 'a\n"b"c\n' end, "text after a quote")
    refuses(function() csv "a,a\n1,2\n" end, "two columns are named a")
    refuses(function() csv("a\n1\n", { max_bytes = 3 }) end, "more than max_bytes")
    files.mutate(read(path), ".csv", al.io.csv, 200)
  end)
end)

describe("labelled lines", function()
  it("become words and numbers", function()
    local path = write(tmp ".txt", "1\tA good, good film!\n0\tbad\r\n")
    local texts, labels = al.io.labelled(path)
    assert.same({ "A good, good film!", "bad" }, texts)
    assert.same({ "1", "0" }, labels)
    assert.same({ "a", "good", ",", "good", "film", "!" }, al.io.tokens(texts[1]))
    local v = al.io.vocabulary(texts)
    assert.same({ "<pad>", "<unknown>", "good", "!", ",", "a", "bad", "film" }, v.words)
    local x, n = v:encode { "good bad", "new" }
    assert.same({ { 3, 7 }, { 2, 1 } }, x:totable())
    assert.same({ 2, 1 }, n:totable())
    assert.same({ { 6, 3, 5 } }, (v:encode({ texts[1] }, { length = 3 })):totable())
    assert.equal(3, #al.io.vocabulary(texts, { size = 3 }).words)
    assert.equal(3, #al.io.vocabulary(texts, { least = 2 }).words)
    write(path, "1\ta\nno label\n")
    refuses(function() al.io.labelled(path) end, "line 2 has no label")
  end)
end)
