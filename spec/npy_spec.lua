local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"
local tmp, write, read, same = files.tmp, files.write, files.read, files.same
local refuses = files.refuses

local zlib = al.version().plugins.zlib
local DTYPES = { "bool", "uint8", "int32", "int64", "float16", "float32", "float64" }

local function some(dtype, ...)
  local shape, n = { ... }, 1
  for _, d in ipairs(shape) do n = n * d end
  local x = n > 0 and al.arange(1, n):to "float32" or al.zeros { 0 }
  return (x * 37 % 5 - 2):abs():to(dtype):reshape(shape)
end

teardown(files.clear)

describe("npy", function()
  it("gives every dtype and shape back to the bit", function()
    local path = tmp ".npy"
    for _, dtype in ipairs(DTYPES) do
      for _, shape in ipairs { {}, { 1 }, { 7 }, { 2, 3, 5 }, { 0 }, { 3, 0, 2 } } do
        local x = some(dtype, (table.unpack or unpack)(shape))
        al.save(path, x)
        same(x, al.load(path))
      end
    end
    al.save(path, some("float32", 4, 6):transpose(1, 2))
    same(some("float32", 4, 6):transpose(1, 2):contiguous(), al.load(path))
    refuses(function() al.save(path, al.ones(2):to "bfloat16") end, "NumPy has no bfloat16")
    refuses(function() al.save(path, "text") end, "the value is a string")
    refuses(function() al.load(path, { x = al.ones(2) }) end, "holds one tensor")
  end)

  it("that is damaged gives one error", function()
    local function file(text, data)
      return "\147NUMPY\1\0" .. string.char(#text % 256, math.floor(#text / 256)) .. text
        .. (data or "")
    end
    local path = tmp ".npy"
    local function case(text, data, pattern)
      write(path, file(text, data))
      refuses(function() al.load(path) end, pattern)
    end
    local head = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }"
    case(head:format("<f4", "(3,)"), "1234", "needs 12 bytes")
    case(head:format("<f4", "(-3,)"), "", "damaged header")
    case(head:format("<f4", "(4294967296, 4294967296, 4294967296)"), "", "max_bytes")
    case(head:format("<f4", "(2000000000,)"), "", "max_bytes")
    case(head:format("<f4", "(0, 99999999999999999999)"), "", "max_bytes")
    case(head:format("|O", "(1,)"), "", "type O")
    case(head:format("<U5", "(1,)"), "", "type U5")
    case(head:format("|b1", "(1,)"), "\2", "bool is stored as 2")
    case(head:format("<u8", "(1,)"), ("\255"):rep(8), "int64 ends at")
    case("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", "", "records")
    case("", "", "damaged header")
    write(path, "\147NUMPY\1\0\255\255{}")
    refuses(function() al.load(path) end, "ends early")
    al.save(path, some("float32", 3, 4))
    files.mutate(read(path), ".npy", al.load)
    refuses(function() al.io.read(path, { max_bytes = 47 }) end, "max_bytes")
    same(some("float32", 3, 4), al.io.read(path, { max_bytes = 48 }))
  end)

  it("of NumPy is read, NumPy reads ours", function()
    local x, path = some("float32", 3, 4) / 7, tmp ".npy"
    al.save(path, x)
    local names, prefix = files.python("numpy", ([=[
import sys, numpy as n
g = n.random.default_rng(1)
assert n.load('%s').tolist() == (n.abs(n.arange(1, 13, dtype='f4') * 37 %% 5 - 2)
  .reshape(3, 4) / n.float32(7)).tolist()
wide = {'i1': 'i4', 'i2': 'i4', 'u2': 'i4', 'u4': 'i8', 'u8': 'i8'}
def put(name, a):
  n.save(sys.argv[1] + name, a)
  kind = a.dtype.str[1:]
  n.ascontiguousarray(a).astype('<' + wide.get(kind, kind)).tofile(sys.argv[1] + name + '.raw')
  print(name)
for kind in '?1 u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 c8 c16'.replace('?1', '?').split():
  for order in '<>':
    for shape in (), (5,), (2, 3, 4):
      a = (g.standard_normal(shape) * 50).astype(kind[0] == 'u' and 'f8' or 'f8')
      a = n.asarray(n.abs(a) if kind[0] == 'u' else a).astype(kind)
      a = a.astype(a.dtype.newbyteorder(order))
      put('%%s%%s%%d.npy' %% ({'?': 'b'}.get(kind, kind), ord(order), len(shape)), a)
      if len(shape) > 1:
        put('%%s%%sF.npy' %% ({'?': 'b'}.get(kind, kind), ord(order)), n.asfortranarray(a))
]=]):format(path))
    if not names then return pending "python3-numpy is not installed" end
    assert.equal(14 * 2 * 4, #names)
    for _, name in ipairs(names) do
      local y = al.load(prefix .. name)
      assert.is_true(y:bytes() == read(prefix .. name .. ".raw"), name)
    end
  end)
end)

describe("npz", function()
  if not zlib then return pending "(no zlib here)" end

  local function state()
    local all = { n = 3, yes = true }
    for _, dtype in ipairs(DTYPES) do all[dtype] = some(dtype, 2, 3, 5) end
    return all
  end

  it("gives every dtype back to the bit, stored and deflated", function()
    local path = tmp ".npz"
    for _, compress in ipairs { false, true } do
      al.save(path, state(), { compress = compress })
      local back = al.load(path)
      for _, dtype in ipairs(DTYPES) do same(some(dtype, 2, 3, 5), back[dtype]) end
      assert.equal(3, back.n:item())
      local target = al.zeros(2, 3, 5)
      local rest = al.load(path, { float32 = target })
      same(some("float32", 2, 3, 5), target)
      assert.is_nil(rest.float32)
    end
    al.save(path, {})
    assert.same({}, al.load(path))
    refuses(function() al.save(path, { f = print }) end, "f is a function")
  end)

  it("that is damaged gives one error", function()
    local path = tmp ".npz"
    for _, compress in ipairs { false, true } do
      al.save(path, { x = some("float32", 3, 4), y = some("int64", 9) }, { compress = compress })
      local bytes = read(path)
      files.mutate(bytes, ".npz", al.load, 500)
      -- the directory's claims, byte by byte
      local at = bytes:find("PK\1\2", 1, true)
      for k = at, #bytes do
        for _, c in ipairs { "\0", "\255" } do
          local ok, message = pcall(al.load,
            write(path, bytes:sub(1, k - 1) .. c .. bytes:sub(k + 1)))
          assert.is_true(ok or not message:find "\n", message)
        end
      end
      local middle = bytes:find("NUMPY", 1, true)
      if middle then
        refuses(function()
          al.load(write(path, bytes:sub(1, middle) .. "X" .. bytes:sub(middle + 2)))
        end, "checksum")
      end
    end
  end)

  it("bombs are refused", function()
    local path = tmp ".npz"
    al.save(path, { x = al.zeros(1000000) }, { compress = true })
    assert.is_true(#read(path) < 20000)
    refuses(function() al.io.read(path, { max_bytes = 1000000 }) end, "more than max_bytes")
    assert.equal(1000000, al.load(path).x:numel())
    local bytes = read(path)
    -- the directory claims 2^31 bytes of these
    local at = bytes:find("PK\1\2", 1, true)
    local claim = bytes:sub(1, at + 23) .. "\0\0\0\128" .. bytes:sub(at + 28)
    refuses(function() al.load(write(path, claim)) end, "claims 2147483648 bytes in")
    claim = bytes:sub(1, at + 23) .. "\0\0\1\0" .. bytes:sub(at + 28)
    refuses(function() al.load(write(path, claim)) end, "more than the 65536 bytes")
  end)

  it("of NumPy is read, NumPy reads ours", function()
    local path, deflated = tmp ".npz", tmp ".npz"
    al.save(path, { x = some("float32", 3, 4), k = 7 })
    al.save(deflated, { x = some("float32", 3, 4), k = 7 }, { compress = true })
    local names, prefix = files.python("numpy", ([=[
import sys, numpy as n
for p in '%s', '%s':
  d = n.load(p)
  assert sorted(d) == ['k', 'x'] and d['k'] == 7
  assert d['x'].tolist() == n.abs(n.arange(1, 13) * 37 %% 5 - 2).reshape(3, 4).tolist()
a, b = n.arange(12, dtype='f8').reshape(3, 4), n.asfortranarray(n.arange(6, dtype='i2').reshape(2, 3))
n.savez(sys.argv[1] + 'a.npz', a=a, b=b)
n.savez_compressed(sys.argv[1] + 'b.npz', a=a, b=b)
print('a.npz\nb.npz')
]=]):format(path, deflated))
    if not names then return pending "python3-numpy is not installed" end
    assert.equal(2, #names)
    for _, name in ipairs(names) do
      local d = al.load(prefix .. name)
      same(al.arange(0, 11):to("float64"):reshape(3, 4), d.a)
      same(al.arange(0, 5):to("int32"):reshape(2, 3), d.b)
    end
  end)
end)
