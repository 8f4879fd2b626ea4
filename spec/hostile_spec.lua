-- Files made to hurt: one clear error each, at once, in little memory. spec/fuzz finds the ones nobody thought of.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"
local bytes = require "albedo.io.bytes"
local zip = require "albedo.io.zip"
local have = al.version().plugins
local tmp, write, refuses, put = files.tmp, files.write, files.refuses, bytes.put
local sanitized = os.getenv "ALBEDO_LIGHT" ~= nil

teardown(files.clear)

-- ---- memory, as the system sees it ----------------------------------------------------------

local function resident(which)
  for line in io.lines "/proc/self/status" do
    local n = line:match("^" .. which .. ":%s*(%d+)")
    if n then return n * 1024 end
  end
end

-- The bytes that fn makes resident beyond what is there before, at most; and its results.
local function growth(fn, ...)
  collectgarbage()
  collectgarbage()
  al.native.memory_trim()
  local clear = io.open("/proc/self/clear_refs", "w")
  if not (clear and clear:write "5" and clear:close()) then return nil, { pcall(fn, ...) } end
  local before = resident "VmRSS"
  local results = { pcall(fn, ...) }
  return resident "VmHWM" - before, results
end

local MB = 1048576

-- Bytes of a value's tensors.
local function size_of(v, seen)
  if al.is_tensor(v) then
    local width = ({ float64 = 8, int64 = 8, float32 = 4, int32 = 4, float16 = 2 })[v.dtype] or 1
    return v:numel() * width
  end
  if type(v) ~= "table" or seen[v] then return 0 end
  seen[v] = true
  local n = 0
  for _, part in pairs(v) do n = n + size_of(part, seen) end
  return n
end

local function saver(ending, x, opts)
  return function()
    local path, state = tmp(ending), x()
    if ending == ".tif" or ending == ".png" or ending == ".jpg" then al.image.save(path, state, opts)
    else al.save(path, state, opts) end
    return path
  end
end
local function ramp(...)
  local n = 1
  for _, k in ipairs { ... } do n = n * k end
  return al.arange(1, n):remainder(251):to "uint8":reshape(...)
end
local function load(path, limit) return al.io.read(path, { max_bytes = limit }) end
local function reader(name) return function(path, limit) return al.io[name](path, { max_bytes = limit }) end end
-- A DICOM file of `syntax`, 16 bits a sample, 1000 x `rows`, whose last element is `pixels`.
local function dicom(syntax, rows, bits, pixels)
  local function element(group, number, kind, value)
    return put(group, 2) .. put(number, 2) .. kind .. put(#value, 2) .. value
  end
  local function short(number, v) return element(0x28, number, "US", put(v, 2)) end
  return write(tmp ".dcm", ("\0"):rep(128) .. "DICM" .. element(2, 16, "UI", syntax .. ("\0"):rep(#syntax % 2)) .. short(2, 1)
    .. short(0x10, rows) .. short(0x11, 1000) .. short(0x100, bits) .. short(0x101, bits) .. short(0x102, bits - 1) .. short(0x103, 0)
    .. element(0x28, 0x1052, "DS", "-10 ") .. element(0x28, 0x1053, "DS", "2 ") .. pixels)
end
local function wrapped(data) -- as the one fragment of compressed pixels
  return "\224\127\16\0OB\0\0\255\255\255\255\254\255\0\224\0\0\0\0\254\255\0\224" .. put(#data, 4) .. data .. "\254\255\221\224\0\0\0\0"
end
local function picture(path, limit) return al.image.load(path, { max_bytes = limit }) end

-- Readers with files of some megabytes: name, plugin, file, read(path, max_bytes)
local LARGE = {
  { "png", "image", saver(".png", function() return ramp(3, 2000, 3000) end, { level = 1 }), picture },
  { "png of 16 bits", "image", saver(".png", function() return ramp(1, 2000, 3000):to "int32" * 257 end, { level = 1 }), picture },
  { "jpeg", "image", saver(".jpg", function() return ramp(3, 2000, 3000) end), picture },
  { "bmp", "image", function()
    local head = "BM" .. put(54 + 18000000, 4) .. put(0, 4) .. put(54, 4) .. put(40, 4) .. put(3000, 4) .. put(2000, 4)
      .. put(1, 2) .. put(24, 2) .. put(0, 24)
    return write(tmp ".bmp", head .. ("abc"):rep(6000000))
  end, picture },
  { "ppm", "image", function() return write(tmp ".ppm", "P6 3000 2000 255\n" .. ("abc"):rep(6000000)) end, picture },
  { "tiff", "tiff", saver(".tif", function() return ramp(3, 2000, 3000) end), picture },
  { "tiff of floats", "tiff", saver(".tif", function() return ramp(4, 1, 1000, 1000):to "float32" end, { compression = "zstd" }), picture },
  { "idx", nil, function()
    local path = tmp ".idx"
    al.io.write_idx(path, ramp(20, 1000, 1000))
    return path
  end, load },
  { "idx.gz", "zlib", function()
    local path = tmp ".nii.gz"
    al.io.write_nifti(path, ramp(20, 1000, 1000))
    return path
  end, load },
  { "nifti", nil, function()
    local path = tmp ".nii"
    al.io.write_nifti(path, ramp(20, 1000, 1000))
    return path
  end, load },
  { "raw", nil, function() return write(tmp ".raw", ("\0\1"):rep(5000000)) end,
    function(path, limit) return al.io.raw(path, { dtype = "int16", max_bytes = limit }) end },
  { "npy", nil, saver(".npy", function() return ramp(20, 1000, 1000) end), load },
  { "npz", "zlib", saver(".npz", function() return { a = ramp(20, 1000, 1000), b = al.ones(1000, 1000) } end, { compress = true }), load },
  { "pth", "zlib", function()
    local path = tmp ".pth"
    zip.save(path, { { "x/data.pkl", al.from_bytes("\128\2}(X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nByteStorage\n"
      .. "X\1\0\0\0000X\3\0\0\0cpuJ" .. put(20000000, 4) .. "tQK\0J" .. put(20000000, 4) .. "\133K\1\133\137}tRu.", "uint8") },
      { "x/data/0", ramp(20000000) } })
    return path
  end, load },
  { "safetensors", nil, saver(".safetensors", function() return { a = ramp(20, 1000, 1000), b = al.ones(1000, 1000) } end), load },
  { "csv", nil, function()
    local lines = {}
    for i = 1, 300000 do lines[i] = ("%d,%d"):format(i % 7, i) end
    return write(tmp ".csv", "a,b\n" .. table.concat(lines, "\n"))
  end, load },
  { "csv of texts", nil, function() return write(tmp ".csv", "a,b\n" .. ("x y,z\n"):rep(400000)) end, load },
  { "rows", nil, function() return write(tmp ".csv", ("x,yy,z\n"):rep(100000)) end, reader "rows" },
  { "labelled lines", nil, function()
    local lines = {}
    for i = 1, 200000 do lines[i] = ("%d\tthe film number %d was a fine one"):format(i % 2, i) end
    return write(tmp ".txt", table.concat(lines, "\n"))
  end, reader "labelled" },
  { "json", nil, function() return write(tmp ".json", "[" .. ("1.5,"):rep(2000000) .. "1]") end,
    function(path, limit) return al.json.read(path, { max_bytes = limit }) end },
  { "json of objects", nil, function() return write(tmp ".json", "[" .. ('{"a":[1,"b"]},'):rep(100000) .. "1]") end,
    function(path, limit) return al.json.read(path, { max_bytes = limit }) end },
  { "mstar", nil, function()
    local head = "[PhoenixHeaderVer01.04]\nPhoenixHeaderLength= 00160\n"
      .. "native_header_length= 0\nNumberOfColumns= 1000\nNumberOfRows= 1000\n[EndofPhoenixHeader]\n"
    return write(tmp ".mstar", head .. (" "):rep(160 - #head) .. ("\63\128\0\0"):rep(2000000))
  end, reader "mstar" },
  { "segy", "segy", function()
    local path = tmp ".sgy"
    al.io.write_segy(path, al.ones(40, 50, 1500))
    return path
  end, reader "segy" },
  { "segy of one trace after the other", "segy", function()
    local path = tmp ".sgy"
    al.io.write_segy(path, al.ones(30000, 40), { inlines = { 7 } })
    return path
  end, reader "segy" },
  { "dicom", nil, function()
    return dicom("1.2.840.10008.1.2.1", 2500, 16, "\224\127\16\0OW\0\0" .. put(5000000, 4) .. ("\1\2"):rep(2500000))
  end, reader "dicom" },
  { "dicom by RLE", nil, function()
    local plane = ("\129\5"):rep(math.ceil(2500000 / 128))
    return dicom("1.2.840.10008.1.2.5", 2500, 16, wrapped("\2\0\0\0\64\0\0\0" .. put(64 + #plane, 4) .. ("\0"):rep(52) .. plane .. plane))
  end, reader "dicom" },
  { "dicom by JPEG", "image", function()
    local data = al.plugin("image").jpeg_encode(ramp(1, 2500, 1000), 90):bytes()
    return dicom("1.2.840.10008.1.2.4.50", 2500, 8, wrapped(data .. ("\0"):rep(#data % 2)))
  end, reader "dicom" },
  { "tfjs of bytes", nil, function()
    local path = tmp ".json"
    write(path .. ".bin", ("\1\2"):rep(1500000))
    files.keep(path .. ".bin")
    return write(path, ('{"weightsManifest": [{"paths": ["%s"], "weights": [{"name": "a", "shape": [1000, 3000], "dtype": "float32", '
      .. '"quantization": {"dtype": "uint8", "scale": 0.5, "min": -1}}]}]}'):format(path:match "[^/]*$" .. ".bin"))
  end, reader "tfjs" },
  { "tfjs of floats in two shards", nil, function()
    local path, names = tmp ".json", {}
    for k = 1, 2 do
      files.keep(write(("%s.%d"):format(path, k), ("\0\0\128\63"):rep(1000000)))
      names[k] = ('"%s.%d"'):format(path:match "[^/]*$", k)
    end
    return write(path, ('{"weightsManifest": [{"paths": [%s], "weights": [{"name": "a", "shape": [2000, 1000], "dtype": "float32"}]}]}')
      :format(table.concat(names, ",")))
  end, reader "tfjs" },
}

describe("memory stays within 4 times the larger of file and decoded size, plus 16 MB:", function()
  if sanitized then return end -- ASan keeps what is freed
  for _, case in ipairs(LARGE) do
    it(case[1], function()
      if case[2] and not have[case[2]] then return end
      local path = al.scope(case[3])
      local file = bytes.size(path)
      collectgarbage()
      collectgarbage()
      local heap = collectgarbage "count"
      local made, results = growth(function() return case[4](path, 4000000000) end)
      if not made then return end
      assert(results[1], results[2])
      collectgarbage()
      collectgarbage()
      local decoded = size_of(results[2], {})
      if decoded == 0 or case[1]:find "texts" then decoded = decoded + (collectgarbage "count" - heap) * 1024 end
      assert.is_true(decoded > 4e6, "the file is too small for this")
      assert.is_true(made <= 4 * math.max(file, decoded) + 16 * MB,
        ("%.1f MB for a file of %.1f and a value of %.1f"):format(made / MB, file / MB, decoded / MB))
      -- refused before any of it is allocated
      results = nil -- luacheck: ignore
      collectgarbage()
      local live = al.memory().live
      al.native.memory_reset_peak()
      local gz = case[1]:find "gz"
      refuses(function() case[4](path, (gz and decoded or math.min(decoded, file)) - 1) end, gz and "allowed" or "max_bytes")
      local most = gz and 16 * MB + decoded or 1.25 * file + MB -- some read the file whole
      assert.is_true(al.memory().peak - live < most, ("%.1f MB"):format((al.memory().peak - live) / MB))
      os.remove(path)
    end)
  end
end)

-- fn raises one line with that pattern, at once, and in 24 MB at most.
local function quickly(pattern, fn, ...)
  local args, clock = { ... }, os.clock()
  local made, results = growth(function() refuses(function() fn((table.unpack or unpack)(args)) end, pattern) end)
  assert(results[1], results[2])
  assert.is_true(os.clock() - clock < (sanitized and 60 or 6))
  assert.is_true(sanitized or not made or made < 24 * MB, ("%.1f MB"):format((made or 0) / MB))
end

-- ---- TIFF -----------------------------------------------------------------------------------

-- A little-endian TIFF: 8 bytes of head, then what is given; the first directory at `first`.
local function tiff(first, rest) return write(tmp ".tif", "II*\0" .. put(first, 4) .. rest) end
-- A directory: entries { tag, type, count, value }, and where the next one is.
local function directory(entries, next_one)
  local list = { put(#entries, 2) }
  for k, e in ipairs(entries) do list[k + 1] = put(e[1], 2) .. put(e[2], 2) .. put(e[3], 4) .. put(e[4], 4) end
  list[#list + 1] = put(next_one or 0, 4)
  return table.concat(list)
end
local function page(w, h, more)
  local list = { { 256, 4, 1, w }, { 257, 4, 1, h }, { 258, 3, 1, 8 }, { 259, 3, 1, 1 }, { 262, 3, 1, 1 }, { 273, 4, 1, 8 },
    { 277, 3, 1, 1 }, { 278, 4, 1, h }, { 279, 4, 1, w * h } }
  for _, e in ipairs(more or {}) do list[#list + 1] = e end
  return list
end

describe("a hostile TIFF", function()
  if not have.tiff then return pending "(no libtiff here)" end
  it("whose directories go in a circle, or overlap, ends", function()
    local one = directory(page(2, 2), 8) -- its own next
    quickly("circle", picture, tiff(8, one))
    local size = #one
    quickly("circle", picture, tiff(8, directory(page(2, 2), 8 + size) .. directory(page(2, 2), 8)))
    -- a thousand directories, each a little within the one before
    local list = {}
    for k = 1, 1000 do list[k] = put(5000, 2) .. ("\0"):rep(4) end
    quickly("TIFF", picture, tiff(8, table.concat(list)))
  end)

  it("whose entries claim the same megabyte ten thousand times takes no memory", function()
    local more = {}
    for k = 1, 10000 do more[k] = { 40000 + k, 1, 1000000, 8 } end
    quickly("claim more than the file", picture, tiff(1000008, ("\0"):rep(1000000) .. directory(page(2, 2, more))))
  end)

  it("of absurd sizes, strips, tiles and samples is refused", function()
    local function with(changes)
      local list = page(4, 4)
      for tag, e in pairs(changes) do
        local found
        for k, old in ipairs(list) do
          if old[1] == tag then list[k], found = { tag, e[1], e[2], e[3] }, true end
        end
        if not found then list[#list + 1] = { tag, e[1], e[2], e[3] } end
      end
      table.sort(list, function(a, b) return a[1] < b[1] end)
      return tiff(24, ("\7"):rep(16) .. directory(list))
    end
    assert.same({ 1, 4, 4 }, picture(with {}).shape)
    quickly("", picture, with { [256] = { 4, 1, 0xffffffff }, [257] = { 4, 1, 0xffffffff } })
    quickly("", picture, with { [256] = { 4, 1, 60000 }, [257] = { 4, 1, 60000 }, [278] = { 4, 1, 60000 } })
    quickly("", picture, with { [257] = { 4, 1, 0x7fffffff }, [278] = { 4, 1, 1 } })
    quickly("", picture, with { [277] = { 3, 1, 65535 } })
    quickly("", picture, with { [322] = { 4, 1, 0x7ffffff0 }, [323] = { 4, 1, 0x7ffffff0 }, [324] = { 4, 1, 8 }, [325] = { 4, 1, 16 } })
    quickly("", picture, with { [273] = { 4, 1, 0xfffffff0 } })
    quickly("max_bytes", function(path) picture(path, 15) end, with {})
  end)
end)

-- ---- PNG ------------------------------------------------------------------------------------

describe("a hostile PNG", function()
  if not have.image or not have.zlib then return pending "(no libpng or zlib here)" end
  local zlib = al.plugin "zlib"
  local function chunk(name, data)
    return put(#data, 4):reverse() .. name .. data .. put(zlib.crc32(al.from_bytes(name .. data, "uint8")):item(), 4):reverse()
  end
  -- zlib's format around raw deflate; Adler-32 of n zeros is n mod 65521 and 1
  local function zeros(n)
    local raw = zlib.deflate_bytes(al.zeros({ n }, { dtype = "uint8" }), { level = 9 }):bytes()
    return "\120\218" .. raw .. put(n % 65521, 2):reverse() .. "\0\1"
  end
  local function png(w, h, between, data)
    return write(tmp ".png", "\137PNG\r\n\26\n" .. chunk("IHDR", put(w, 4):reverse() .. put(h, 4):reverse() .. "\8\0\0\0\0")
      .. between .. chunk("IDAT", data) .. chunk("IEND", ""))
  end

  it("with hundreds of texts that inflate to megabytes is read without them", function()
    local bomb = chunk("zTXt", "a\0\0" .. zeros(8000000)) .. chunk("iCCP", "a\0\0" .. zeros(8000000))
    local path = png(3, 2, bomb:rep(200), zeros(8))
    local made, results = growth(picture, path)
    assert.same({ 1, 2, 3 }, results[2].shape)
    assert.is_true(sanitized or not made or made < 24 * MB)
  end)

  it("of more pixels than its data can hold is refused", function()
    quickly("claims far more", picture, png(60000, 60000, "", zeros(8)))
    quickly("max_bytes", picture, png(3, 2, "", zeros(8)), 5)
  end)
end)

-- ---- zip, npz, pth --------------------------------------------------------------------------

describe("a hostile archive", function()
  if not have.zlib then return pending "(no zlib here)" end
  -- Local entry and directory entry; o: method, size (claimed), offset (claimed), flags
  local function archive(list)
    local parts, central, at = {}, {}, 0
    for k, e in ipairs(list) do
      local crc = al.plugin("zlib").crc32(al.from_bytes(e.data, "uint8")):item()
      local fields = put(20, 2) .. put(e.flags or 0, 2) .. put(e.method or 0, 2) .. put(0, 4) .. put(e.crc or crc, 4)
        .. put(e.packed or #e.data, 4) .. put(e.size or #e.data, 4) .. put(#e.name, 2) .. put(0, 2)
      parts[k] = "PK\3\4" .. fields .. e.name .. e.data
      central[k] = "PK\1\2" .. put(20, 2) .. fields .. put(0, 10) .. put(e.offset or at, 4) .. e.name
      at = at + #parts[k]
    end
    local all = table.concat(central)
    return write(tmp ".npz", table.concat(parts) .. all .. "PK\5\6" .. put(0, 4) .. put(#list, 2) .. put(#list, 2)
      .. put(#all, 4) .. put(at, 4) .. put(0, 2))
  end
  local npy
  setup(function()
    local path = tmp ".npy"
    al.save(path, al.ones(3))
    npy = files.read(path)
  end)

  it("whose entries overlap or hold each other is refused", function()
    quickly("overlaps", load, archive { { name = "a.npy", data = npy }, { name = "b.npy", data = npy, offset = 0 } })
    local many = {}
    for k = 1, 2000 do many[k] = { name = ("%d.npy"):format(k), data = "", packed = 100, size = 100, offset = 0 } end
    many[1].data = ("x"):rep(4000)
    quickly("overlaps", load, archive(many))
    quickly("two entries", load, archive { { name = "a.npy", data = npy }, { name = "a.npy", data = npy } })
  end)

  it("that claims more than deflate can make, or more than max_bytes, is refused", function()
    local deflated = al.plugin("zlib").deflate_bytes(al.zeros({ 30000000 }, { dtype = "uint8" }), { level = 9 }):bytes()
    quickly("claims", load, archive { { name = "a.npy", data = "ab", method = 8, size = 0xfffffff0 } })
    quickly("max_bytes", load, archive { { name = "a.npy", data = deflated, method = 8, size = 30000000 } }, 1000000)
    quickly("allowed", load, archive { { name = "a.npy", data = deflated, method = 8, size = 1000 } }, 1000000)
    quickly("checksum", load, archive { { name = "a.npy", data = npy, crc = 1 } })
    quickly("encrypted", load, archive { { name = "a.npy", data = npy, flags = 1 } })
  end)

  local function pickled(pickle, storage)
    local path = tmp ".pth"
    zip.save(path, { { "x/data.pkl", al.from_bytes(pickle, "uint8") }, { "x/data/0", storage or al.ones(6) } }, true)
    return path
  end
  local TENSOR = "\128\2ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\6tQ%s\137}tR."

  it("whose pickle holds itself gives what it says; one that piles up is refused", function()
    local ring = load(pickled "]q\0h\0a.")
    assert.equal(ring, ring[1])
    local value, depth = load(pickled(("]"):rep(100000) .. ("a"):rep(99999) .. ".")), 0
    while value do value, depth = value[1], depth + 1 end
    assert.equal(100000, depth)
    refuses(function() load(pickled(("("):rep(5000000) .. ".")) end, "piles up")
    refuses(function() load(pickled("]" .. ("]0"):rep(400000) .. "."), 40000000) end, "more containers than max_bytes")
    quickly("no known function", load, pickled "ccollections\nOrderedDict\n(tq\0h\0R.")
    quickly("no code", load, pickled "cos\nsystem\n(S'true'\ntR.")
    quickly("key", load, pickled "}]K\1s.")
  end)

  it("whose tensors have negative, huge or overlapping strides is refused", function()
    for text, fields in pairs {
      ["wrong shape"] = "K\0J\255\255\255\255\133K\1\133",
      ["shape"] = "K\0K\6\133J\255\255\255\255\133",
      ["beyond its storage"] = "K\5K\3\133K\1\133",
      ["larger than max_bytes"] = "K\0\138\7\0\0\0\0\0\0\1\133K\0\133",
    } do
      quickly(text, load, pickled((TENSOR:gsub("%%s", function() return fields end))), 100000)
    end
    -- the same element a million times is what it says, but counts against max_bytes
    quickly("larger than max_bytes", load, pickled((TENSOR:gsub("%%s", function() return "K\0J" .. put(1000000, 4) .. "\133K\0\133" end))), 99999)
  end)
end)

-- ---- arrays and weights ---------------------------------------------------------------------

describe("a hostile array", function()
  it("of negative, huge or false sizes is refused: npy", function()
    local function npy(header, length)
      header = header .. (" "):rep(118 - #header)
      return write(tmp ".npy", "\147NUMPY\1\0" .. put(length or #header, 2) .. header .. ("x"):rep(8))
    end
    local form = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"
    for shape, text in pairs { ["(-2,)"] = "damaged", ["(99999999999,)"] = "max_bytes", ["(4294967296, 4294967296)"] = "max_bytes",
      ["(2, 2)"] = "needs 16", ["(1,1,1,1,1,1,1,1,1,1,1,1,1,1)"] = "damaged", ["2"] = "damaged", ["(" .. ("9"):rep(40) .. ",)"] = "max_bytes" } do
      quickly(text, load, npy(form:format(shape)))
    end
    quickly("early", load, npy(form:format "(2,)", 65535))
    quickly("records", load, npy(form:gsub("'<f4'", "[('a', '<f4')]"):format "(2,)"))
    quickly("type O", load, npy(form:gsub("<f4", "|O"):format "(2,)"))
  end)

  it("of negative, huge or false sizes is refused: NIfTI, IDX, MSTAR", function()
    local path = tmp ".nii"
    al.io.write_nifti(path, al.ones(2, 3))
    local nii = files.read(path)
    local function with(at, s) return write(path, nii:sub(1, at) .. s .. nii:sub(at + #s + 1)) end
    for at, s in pairs { [40] = put(8, 2), [42] = put(65535, 2), [44] = put(0, 2), [70] = put(1, 2), [108] = "\0\0\192\127" } do
      quickly("nii", al.io.nifti, with(at, s))
    end
    quickly("max_bytes", al.io.nifti, with(40, put(4, 2) .. put(32767, 2):rep(4)))
    quickly("nii", al.io.nifti, with(108, "\0\0\128\255")) -- data at minus infinity
    quickly("idx", al.io.idx, write(tmp ".idx", "\0\0\8\255" .. ("\255"):rep(1020)))
    quickly("max_bytes", al.io.idx, write(tmp ".idx", "\0\0\14\8" .. ("\255"):rep(32)))
    for rows, text in pairs { ["-1"] = "no NumberOfRows", ["1e999"] = "no NumberOfRows", ["99999999"] = "max_bytes", ["nan"] = "no NumberOfRows" } do
      quickly(text, al.io.mstar, write(tmp ".015", "[PhoenixHeaderVer01.04]\nPhoenixHeaderLength= 9\nNumberOfColumns= 99999999\nNumberOfRows= "
        .. rows .. "\n[EndofPhoenixHeader]\n"))
    end
  end)

  it("that inflates without an end is refused", function()
    if not have.zlib then return end
    local lib = al.plugin "zlib"
    local bomb = write(tmp ".gz", lib.deflate_bytes(al.zeros({ 50000000 }, { dtype = "uint8" }), { level = 9, gzip = true }):bytes():rep(20))
    quickly("allowed", function() al.io.idx(bomb, { max_bytes = 2000000 }) end)
    quickly("allowed", function() al.io.raw(bomb, { max_bytes = 2000000 }) end)
  end)
end)

describe("a hostile safetensors file", function()
  local function file_of(header, data) return write(tmp ".safetensors", put(#header, 8) .. header .. (data or "")) end

  it("of overlapping, negative, huge or nested claims is refused", function()
    local entry = '"%s":{"dtype":"F32","shape":[%s],"data_offsets":[%s]}'
    local function two(a, b) return file_of("{" .. entry:format("a", "2", a) .. "," .. entry:format("b", "2", b) .. "}", ("x"):rep(20)) end
    quickly("overlaps", load, two("0,8", "4,12"))
    quickly("overlaps", load, two("0,8", "0,8"))
    quickly("gap", load, two("0,8", "12,20"))
    quickly("belong to no tensor", load, file_of("{" .. entry:format("a", "2", "0,8") .. "}", ("x"):rep(9)))
    for _, shape in ipairs { "-2", "1e300,1e300", "0.5", "4294967296,4294967296", "1,1,1,1,1,1,1,1,1", "null", '"2"', "[2]", "true" } do
      quickly("safetensors", load, file_of("{" .. entry:format("a", shape, "0,8") .. "}", ("x"):rep(8)))
    end
    for _, offsets in ipairs { "8,0", "-8,0", "0,1e300", "0", "0,8,8", "0,9223372036854775808" } do
      quickly("safetensors", load, file_of("{" .. entry:format("a", "2", offsets) .. "}", ("x"):rep(8)))
    end
    quickly("claims a header", load, write(tmp ".safetensors", ("\255"):rep(8) .. "{}"))
    quickly("no safetensors header", load, file_of(("["):rep(100000)))
    quickly("no safetensors header", load, file_of('{"a":' .. ("{"):rep(900000)))
  end)

  it("whose header would take many times its size as tables is refused", function()
    for _, junk in ipairs { "[],", "{},", "1," } do
      local path = file_of('{"a":[' .. junk:rep(2000000) .. "0]}")
      local made = growth(function() refuses(function() load(path) end, "no safetensors header") end)
      assert.is_true(sanitized or not made or made < 4 * bytes.size(path) + 16 * MB, ("%.1f MB"):format((made or 0) / MB))
      os.remove(path)
    end
    -- metadata may hold any text, and a name any bytes
    local note = ("[{,"):rep(400000)
    local path = tmp ".safetensors"
    al.save(path, { a = al.ones(2), note = note })
    assert.equal(note, load(path).note)
    quickly("a%?b has the unknown dtype", load, file_of '{"a\\nb":{}}')
  end)
end)

describe("a file that is not what its name says", function()
  it("is named as what was asked for, at the script's line", function()
    for ending, words in pairs { npy = "no npy array", npz = "no npz archive", pth = "no PyTorch checkpoint", pt = "no PyTorch checkpoint",
      dcm = "no DICOM file", nii = "no NIfTI file", ["nii.gz"] = "no gzip file", idx = "no IDX file", png = "no picture", jpg = "no picture",
      tif = "no picture", csv = "is empty: no table", json = "no model of TensorFlow.js", safetensors = "no safetensors file" } do
      local path = write(tmp("." .. ending), "")
      for _, fn in ipairs { al.load, al.io.read } do
        local ok, message = pcall(function() return (fn(path)) end)
        assert.is_false(ok, ending)
        assert.is_truthy(message:find "^spec/hostile_spec%.lua:%d+: [^\n]*$", message)
        assert.is_truthy(message:find(path, 1, true) and message:find(words, 1, true), message)
        assert.is_nil(message:find("^spec.*spec/hostile", 1), message)
      end
    end
    refuses(function() al.io.weights(write(tmp ".pth", "")) end, "is empty, and so no PyTorch checkpoint")
    refuses(function() al.load(write(tmp ".mstar", "")) end, "is empty, and so no MSTAR chip")
    refuses(function() al.load(write(tmp ".svs", "")) end, "is empty, and so no slide that al.load takes: al.io.slide does")
    if al.version().plugins.segy then
      refuses(function() al.load(write(tmp ".sgy", "short")) end, "no SEG.Y file")
    end
    refuses(function() al.load(write(tmp ".npy", "not an array at all")) end, "is no npy array")
    -- safetensors under any name is read
    local path = tmp ".safetensors"
    al.save(path, { a = al.ones(2) })
    assert.same({ 1, 1 }, al.load(write(tmp ".pt", files.read(path))).a:totable())
    -- an empty file has no rows and no labelled lines
    assert.same({}, al.io.rows(write(tmp ".csv", "")))
    assert.same({}, (al.io.labelled(write(tmp ".txt", ""))))
  end)
end)

describe("hostile texts", function()
  it("give one error", function()
    quickly("not closed", al.io.csv, write(tmp ".csv", '"' .. ("a\n"):rep(100000)))
    quickly("has 1 fields", al.io.csv, write(tmp ".csv", "a,b\n1,2\n3"))
    quickly("json", al.json.read, write(tmp ".json", ("["):rep(1000000)))
    quickly("json", al.json.read, write(tmp ".json", '{"a":' .. ("9"):rep(100000)))
  end)
end)

describe("every writer", function()
  -- ending -> what writes a file of that name
  local x = al.arange(1, 24):reshape(1, 4, 6):to "uint8"
  local WRITERS = {
    [".png"] = have.image and function(path) al.image.save(path, x) end,
    [".jpg"] = have.image and function(path) al.image.save(path, x) end,
    [".tif"] = have.tiff and function(path) al.image.save(path, x) end,
    [".npy"] = function(path) al.save(path, x) end,
    [".npz"] = have.zlib and function(path) al.save(path, { x = x }) end,
    [".pth"] = have.zlib and function(path) al.save(path, { x = x }) end,
    [".safetensors"] = function(path) al.save(path, { x = x }) end,
    [".idx"] = function(path) al.io.write_idx(path, x) end,
    [".raw"] = function(path) al.io.write_raw(path, x) end,
    [".nii"] = function(path) al.io.write_nifti(path, x) end,
    [".sgy"] = function(path) al.io.write_segy(path, x:to "float32") end,
    [".csv"] = function(path) al.io.write_csv(path, { names = { "a" }, columns = { a = { 1, 2 } }, rows = 2 }) end,
    [".json"] = function(path) al.json.write(path, { 1, 2 }) end,
  }

  it("leaves nothing half-written where the disk is full or the folder is missing, and says so once", function()
    local lfs = require "lfs"
    local dir = tmp "-full"
    assert(lfs.mkdir(dir))
    for ending, fn in pairs(WRITERS) do
      if fn then
        -- a file where a folder should be, and no folder at all
        refuses(function() fn("/dev/null/x" .. ending) end, "/dev/null/x")
        refuses(function() fn(dir .. "/none/x" .. ending) end, "No such file")
        local path = dir .. "/x" .. ending
        fn(path)
        local before = files.read(path)
        -- the name leads to a full device: what stands at the end of the link is written to directly
        local link = dir .. "/full" .. ending
        assert(lfs.link("/dev/full", link, true))
        if ending ~= ".json" then refuses(function() fn(link) end, "No space left") end -- json replaces the link
        os.remove(link)
        assert.equal(before, files.read(path))
        os.remove(path)
      end
    end
    for name in lfs.dir(dir) do assert.is_truthy(name:find "^%.+$", name .. " was left behind") end
    lfs.rmdir(dir)
  end)
end)
