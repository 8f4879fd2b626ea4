--- What `make fuzz` feeds: a row a reader.
--
--   name    of the reader, for --reader
--   ending  of the file's name
--   seeds   function(make) -> list of files as strings; make(ending, fn) is the file that fn(path) writes,
--           corpus(ending) those of spec/data/corpus
--   read    function(path, max_bytes) -> a value, or an error of one line that names the file
--   words   strings that belong to the format, put in as they are
--   wrap    function(path, bytes): writes an input that is a part of a file (default: the whole)
--   repair  function(bytes) -> bytes with their checksums right, used every other time
--   plugin  needed: the reader is left out without it
local al = require "albedo"
local bytes = require "albedo.io.bytes"
local lfs = require "lfs"

local readers = {}

local function some(dtype, ...) return (al.arange(1, 24) * 5):reshape(...):to(dtype) end
local function ramp(...) return (al.arange(1, 60) * 4):to("uint8"):reshape(...) end

local function slurp(path)
  local file = assert(io.open(path, "rb"))
  local s = file:read "*a"
  file:close()
  return s
end

local function corpus(ending)
  local list, dir = {}, "spec/data/corpus/"
  for name in lfs.dir(dir) do
    if name:sub(-#ending) == ending then list[#list + 1] = name end
  end
  table.sort(list)
  for k, name in ipairs(list) do list[k] = slurp(dir .. name) end
  return list
end

local function row(r) readers[#readers + 1] = r end

local function picture(path, limit) return al.image.load(path, { max_bytes = limit }) end

-- ---- pictures -------------------------------------------------------------------------------

-- A PNG's chunks with their lengths as they are and their checksums right.
local function png_sums(s)
  local crc32 = al.plugin("zlib").crc32
  local out, at = { s:sub(1, 8) }, 9
  while at + 11 <= #s do
    local length = bytes.be(s, at, 4)
    if length > #s - at - 11 then break end
    local sum = crc32(al.from_bytes(s:sub(at + 4, at + 7 + length), "uint8")):item()
    out[#out + 1] = s:sub(at, at + 7 + length) .. bytes.put(sum, 4):reverse()
    at = at + 12 + length
  end
  return table.concat(out) .. s:sub(at)
end

row { name = "png", ending = ".png", plugin = "image", read = picture, repair = png_sums,
  words = { "IHDR", "PLTE", "tRNS", "IDAT", "IEND", "iCCP", "gAMA", "zTXt" },
  seeds = function(make)
    local list = corpus ".png"
    for _, x in ipairs { ramp(1, 6, 10), ramp(3, 4, 5), ramp(4, 3, 5), ramp(2, 5, 6), ramp(3, 4, 5):to "int32" * 257 } do
      list[#list + 1] = make(".png", function(path) al.image.save(path, x) end)
    end
    return list
  end }

row { name = "jpeg", ending = ".jpg", plugin = "image", read = picture,
  words = { "\255\216", "\255\217", "\255\218", "\255\192", "\255\194", "\255\196", "\255\219", "\255\221\0\4\0\1", "\255\208", "Exif\0\0" },
  seeds = function(make)
    local list = corpus ".jpg"
    for _, quality in ipairs { 30, 95 } do
      for _, x in ipairs { ramp(1, 6, 10), ramp(3, 4, 5) } do
        list[#list + 1] = make(".jpg", function(path) al.image.save(path, x, { quality = quality }) end)
      end
    end
    return list
  end }

row { name = "bmp", ending = ".bmp", plugin = "image", read = picture,
  seeds = function() return corpus ".bmp" end }

row { name = "pnm", ending = ".ppm", plugin = "image", read = picture,
  words = { "P5", "P6", "#", "\n", " ", "65535", "255", "2147483648", "99999999999" },
  seeds = function()
    return { "P5 4 3\n255\n" .. ("ab"):rep(6), "P6\n# c\n2 2 200\n" .. ("abc"):rep(4), "P6 2 2\n65535\n" .. ("\1\2"):rep(12) }
  end }

row { name = "tiff", ending = ".tif", plugin = "tiff", read = picture,
  seeds = function(make)
    local list = corpus ".tif"
    local function add(x, o)
      list[#list + 1] = make(".tif", function(path) al.image.save(path, x, o) end)
    end
    for _, codec in ipairs { "none", "deflate", "lzw", "zstd" } do
      add(ramp(3, 4, 5), { compression = codec })
      add(ramp(1, 10, 6):to "float32", { compression = codec })
      add(ramp(2, 1, 5, 6):to "int32", { compression = codec, big = true })
    end
    add(ramp(1, 6, 10):gt(99))
    add(ramp(1, 6, 10):to "float64")
    add(ramp(5, 1, 3, 4))
    return list
  end }

-- ---- arrays ---------------------------------------------------------------------------------

row { name = "idx", ending = ".idx", read = function(path, limit) return al.io.idx(path, { max_bytes = limit }) end,
  seeds = function(make)
    local list = {}
    for k, dtype in ipairs { "uint8", "int32", "float32", "float64" } do
      list[k] = make(".idx", function(path) al.io.write_idx(path, some(dtype, 2, 3, 4)) end)
    end
    return list
  end }

row { name = "raw", ending = ".raw",
  read = function(path, limit)
    return al.io.raw(path, { dtype = "int16", shape = { 3, 4 }, max_bytes = limit, endian = "big" }),
      al.io.raw(path, { max_bytes = limit, offset = 3 })
  end,
  seeds = function() return { ("\0\1"):rep(12), ("\1\0\255"):rep(20) } end }

row { name = "gzip", ending = ".idx.gz", plugin = "zlib",
  read = function(path, limit) return al.io.idx(path, { max_bytes = limit }) end,
  seeds = function(make)
    local plain = make(".idx", function(path) al.io.write_idx(path, some("uint8", 2, 3, 4)) end)
    local lib = al.plugin "zlib"
    local function gz(s) return lib.deflate_bytes(al.from_bytes(s, "uint8"), { gzip = true }):bytes() end
    return { gz(plain), gz(plain:sub(1, 20)) .. gz(plain:sub(21)), gz(plain .. ("\0"):rep(20000)) }
  end }

row { name = "nifti", ending = ".nii", read = function(path, limit) return al.io.nifti(path, { max_bytes = limit }) end,
  words = { "n+1\0", "ni1\0", "\0\0\128\63", "\0\0\192\127" },
  seeds = function(make)
    local list = {}
    for k, dtype in ipairs { "uint8", "int32", "int64", "float32", "float64" } do
      list[k] = make(".nii", function(path) al.io.write_nifti(path, some(dtype, 2, 3, 4)) end)
    end
    return list
  end }

row { name = "mstar", ending = ".mstar", read = function(path, limit) return al.io.mstar(path, { max_bytes = limit }) end,
  words = { "NumberOfRows= ", "PhoenixHeaderLength= ", "native_header_length= ", "-1", "1e999", "0x7fffffff", "99999999999" },
  seeds = function()
    local head = "[PhoenixHeaderVer01.04]\nPhoenixHeaderLength= 00160\nnative_header_length= 0\n"
      .. "NumberOfColumns= 3\nNumberOfRows= 2\nTargetType= none\n[EndofPhoenixHeader]\n"
    head = head .. (" "):rep(160 - #head)
    return { head .. ("\63\128\0\0"):rep(12), (head:gsub("length= 0", "length= 4")) .. "head" .. ("\63\128\0\0"):rep(12) }
  end }

row { name = "npy", ending = ".npy", read = function(path, limit) return al.io.read(path, { max_bytes = limit }) end,
  words = { "'descr'", "'<f8'", "'>i2'", "'|b1'", "'<c8'", "True", "False", "(3, 4)", "()", "(0,)", "99999999999", "-1", "," },
  seeds = function(make)
    local list = {}
    for k, dtype in ipairs { "uint8", "int32", "int64", "float16", "float32", "float64", "bool" } do
      list[k] = make(".npy", function(path) al.save(path, some(dtype, 2, 3, 4)) end)
    end
    list[#list + 1] = (list[5]:gsub("False,", "True, "))
    return list
  end }

-- Every local header and directory entry of a zip archive gets the checksum of what it stores.
row { name = "npz", ending = ".npz", plugin = "zlib", read = function(path, limit) return al.io.read(path, { max_bytes = limit }) end,
  words = { "PK\1\2", "PK\3\4", "PK\5\6", "PK\6\7", "PK\6\6", "\1\0\16\0" },
  seeds = function(make)
    local state = { a = some("float32", 2, 3, 4), b = some("uint8", 24) }
    return { make(".npz", function(path) al.save(path, state) end),
      make(".npz", function(path) al.save(path, state, { compress = true }) end) }
  end }

-- ---- surveys, pictures of patients ----------------------------------------------------------

row { name = "segy", ending = ".sgy", plugin = "segy",
  read = function(path, limit) return (al.io.segy(path, { max_bytes = limit })) end,
  seeds = function(make)
    local list = {}
    for _, shape in ipairs { { 2, 3, 4 }, { 3, 8 } } do
      local x = some("float32", (table.unpack or unpack)(shape))
      list[#list + 1] = make(".sgy", function(path) al.io.write_segy(path, x) end)
    end
    for format = 1, 2 do -- IBM's floats, integers
      list[#list + 1] = list[1]:sub(1, 3224) .. "\0" .. string.char(format) .. list[1]:sub(3227)
    end
    return list
  end }

-- A DICOM element with explicit little-endian values.
local LONG = { OB = true, OW = true, SQ = true }
local function element(group, number, kind, value)
  value = value .. ("\0"):rep(#value % 2)
  return bytes.put(group, 2) .. bytes.put(number, 2) .. kind
    .. (LONG[kind] and "\0\0" .. bytes.put(#value, 4) or bytes.put(#value, 2)) .. value
end
local function dicom(syntax, bits, more, pixels)
  local function short(number, v) return element(0x28, number, "US", bytes.put(v, 2)) end
  return ("\0"):rep(128) .. "DICM" .. element(2, 16, "UI", syntax)
    .. element(8, 0x60, "CS", "CT") .. (more or "") .. short(2, 1) .. short(0x10, 2) .. short(0x11, 3)
    .. element(0x28, 0x30, "DS", "0.5\\0.7") .. short(0x100, bits) .. short(0x101, bits) .. short(0x102, bits - 1) .. short(0x103, 0)
    .. element(0x28, 0x1052, "DS", "-10") .. element(0x28, 0x1053, "DS", "2") .. pixels
end
local function fragments(...)
  local out = { "\224\127\16\0OB\0\0\255\255\255\255" }
  for _, s in ipairs { "", ... } do out[#out + 1] = "\254\255\0\224" .. bytes.put(#s, 4) .. s end
  return table.concat(out) .. "\254\255\221\224\0\0\0\0"
end

row { name = "dicom", ending = ".dcm", read = function(path, limit) return (al.io.dicom(path, { max_bytes = limit })) end,
  words = { "\255\255\255\255", "\254\255\0\224", "\254\255\221\224", "\254\255\13\224", "OB\0\0", "SQ\0\0", "UN\0\0", "1e999", "-1" },
  seeds = function(make)
    local plain, more = "1.2.840.10008.1.2.1", element(0x20, 0x32, "DS", "1\\2\\3") .. element(0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0")
    local list = {
      dicom(plain, 16, more, element(0x7fe0, 16, "OW", ("\1\2"):rep(6))),
      dicom(plain, 8, element(0x28, 8, "IS", "2"), element(0x7fe0, 16, "OB", ("\1\2"):rep(6))),
      dicom("1.2.840.10008.1.2.5", 8, nil, fragments("\1\0\0\0\64" .. ("\0"):rep(59) .. "\2\1\2\3\254\7")),
      dicom(plain, 16, "\8\0\64\17SQ\0\0\255\255\255\255\254\255\0\224\255\255\255\255" .. element(8, 0x60, "CS", "MR")
        .. "\254\255\13\224\0\0\0\0\254\255\221\224\0\0\0\0", element(0x7fe0, 16, "OW", ("\1\2"):rep(6))),
    }
    if al.version().plugins.image then
      local jpeg = make(".jpg", function(path) al.image.save(path, ramp(1, 6, 10):narrow(2, 1, 2):narrow(3, 1, 3)) end)
      list[#list + 1] = dicom("1.2.840.10008.1.2.4.50", 8, nil, fragments(jpeg .. ("\0"):rep(#jpeg % 2)))
    end
    return list
  end }

-- What DICOM holds compressed, alone: its frames' sizes would refuse most of what is changed.
row { name = "jpegs", ending = ".jp", plugin = "jpegs", words = { "\255\82", "\255\83", "\255\144", "\255\147", "\255\218", "\255\196" },
  seeds = function() return corpus ".jp" end,
  read = function(path, limit)
    local fine, x = pcall(al.plugin("jpegs").jpegs_decode, al.from_bytes(slurp(path), "uint8"), { max_bytes = limit })
    if not fine then error(path .. ": " .. tostring(x), 0) end
    return x
  end }

-- ---- weights --------------------------------------------------------------------------------

row { name = "safetensors", ending = ".safetensors",
  read = function(path, limit) return al.io.read(path, { max_bytes = limit }) end,
  words = { '"dtype"', '"shape"', '"data_offsets"', "__metadata__", "F32", "BF16", "BOOL", "U64", "[", "]", "{", "}", '"', ":", ",", "-1",
    "1e400", "18446744073709551616", "0.5", "null", "\\u0000", "[[[[[[[[[[[[[[[[" },
  seeds = function(make)
    return {
      make(".safetensors", function(path)
        al.save(path, { a = some("float32", 2, 3, 4), b = some("bool", 24), c = 1.5, d = true, note = "x\n" })
      end),
      make(".safetensors", function(path) al.save(path, { h = some("float16", 4, 6), i = some("bfloat16", 24), j = 7 }) end),
      make(".safetensors", function(path) al.save(path, {}) end),
    }
  end }

-- A checkpoint's pickle as Python's pickler writes one, protocol 2: an OrderedDict of two tensors on
-- one storage, numbers, strings, None, a list, a tuple, a dict.
local function pickles()
  local tensor = "ctorch._utils\n_rebuild_tensor_v2\nq\2((X\7\0\0\0storageq\3ctorch\nFloatStorage\nq\4X\1\0\0\0000q\5X\3\0\0\0cpuq\6K\24tq\7Q"
    .. "K\0K\4K\6\134q\8K\6K\1\134q\9\137ccollections\nOrderedDict\nq\10)Rq\11tq\12Rq\13"
  local again = "h\2((h\3h\4h\5h\6K\24tQK\2K\2K\3\134K\12K\2\134\137h\10)RtR"
  return {
    "\128\2ccollections\nOrderedDict\nq\0)Rq\1(X\1\0\0\0a" .. tensor .. "X\1\0\0\0b" .. again .. "X\1\0\0\0sK\3u.",
    "\128\2}q\0(X\5\0\0\0modelq\1}q\14X\1\0\0\0w" .. tensor .. "sX\4\0\0\0listq\15]q\16(K\1M\1\1J\255\255\255\255G?\248\0\0\0\0\0\0"
      .. "NU\1xX\2\0\0\0yyeX\1\0\0\0t((K\1K\2\136ltX\1\0\0\0n\138\9\1\2\3\4\5\6\7\8\9u.",
    "\128\4\149\0\0\0\0\0\0\0\0}\148(\140\1a\148]\148(K\1K\2e\140\1b\148\143\148(K\1\144u.",
    "(lp0\nI1\naF2.5\naS'x'\nap1\ng0\na(dp2\nS'k'\ng0\ns.",
  }
end
local ZEROS = al.hold(al.arange(1, 24):to "float32")

row { name = "pickle", ending = ".pth", plugin = "zlib",
  read = function(path, limit) return al.io.read(path, { max_bytes = limit }) end,
  words = { "]", "}", ")", "(", "t", "e", "u", "R", "Q", "2", "0", "b", "ccollections\nOrderedDict\n", "cos\nsystem\n",
    "\140\8builtins\140\4eval\147", "\138\255", "\139\255\255\255\127", "X\255\255\255\255", "q\0", "h\0", "h\2", "h\7Q", "]q\0h\0a" },
  wrap = function(path, pickle)
    require("albedo.io.zip").save(path, { { "x/data.pkl", al.from_bytes(pickle, "uint8") }, { "x/data/0", ZEROS } })
  end,
  seeds = pickles }

row { name = "torch", ending = ".pt", plugin = "zlib", read = function(path, limit) return al.io.read(path, { max_bytes = limit }) end,
  words = { "PK\1\2", "PK\3\4", "PK\5\6", "PK\6\7", "PK\6\6" },
  seeds = function(make)
    local list = {}
    for k, pickle in ipairs(pickles()) do
      list[k] = make(".pt", function(path)
        require("albedo.io.zip").save(path, { { "x/data.pkl", al.from_bytes(pickle, "uint8") }, { "x/data/0", ZEROS } }, k == 2)
      end)
    end
    return list
  end }

-- ---- texts ----------------------------------------------------------------------------------

row { name = "csv", ending = ".csv", read = function(path, limit) return al.io.csv(path, { max_bytes = limit }) end,
  words = { '"', '""', ",", "\n", "\r\n", "\r", "nan", "1e999", "-", ".5", "0x10", "\239\187\191" },
  seeds = function() return { 'a,b,c\n1,x,2.5\n-3,"y ""z"", w",\n4e2,"two\nlines",nan\n', "1;2\r\n3;4\r\n", "n\n\n7\n" } end }

row { name = "lines", ending = ".txt",
  read = function(path, limit)
    local texts = al.io.labelled(path, { max_bytes = limit })
    return al.io.vocabulary(texts):encode(texts)
  end,
  words = { "\t", "\n", "\r", "\t\t", "\0", "\255" },
  seeds = function() return { "pos\tA fine film, isn't it?\nneg\tno\n", "1\tx\r\n\r\n2\t" } end }

row { name = "json", ending = ".json", read = function(path, limit) return al.json.read(path, { max_bytes = limit }) end,
  words = { "{", "}", "[", "]", '"', ":", ",", "null", "true", "1e400", "-0", "\\ud800", "\\u0000", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[" },
  seeds = function() return { '{"a": [1, 2.5, -3e-2, true, false, null], "b": {"c": "x\\n\\u00e9"}}', "[[[[1]]], {}, [], \"\"]" } end }

-- The model.json of a TensorFlow.js network; its shard, which lies beside it, stays.
row { name = "tfjs", ending = ".json", read = function(path, limit) return (al.io.tfjs(path, { max_bytes = limit })) end,
  words = { "uint8", "uint16", "float16", "int32", "bool", "-1", "1e999", "99999999999", "[]", "{}", "null", '"../x"', '"shard"' },
  wrap = function(path, text)
    for name, bytes_ in pairs { [path] = text, [path:match "^.*/" .. "shard"] = "\0\1\2\255\1\0\255\255\0\62\0\192" } do
      local file = assert(io.open(name, "wb"))
      file:write(bytes_)
      file:close()
    end
  end,
  seeds = function()
    return { '{"modelTopology": {}, "weightsManifest": [{"paths": ["shard"], "weights": ['
      .. '{"name": "a", "shape": [2, 2], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1}},'
      .. '{"name": "b", "shape": [2], "dtype": "float32", "quantization": {"dtype": "uint16", "scale": 0.25, "min": 1}},'
      .. '{"name": "c", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16"}}]}]}',
      '{"weightsManifest": [{"paths": ["shard"], "weights": [{"name": "w", "shape": [3], "dtype": "float32"}]}]}' }
  end }

return readers
