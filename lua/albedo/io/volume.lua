--- Arrays and volumes of other programs: IDX, raw values, NIfTI-1, MSTAR chips; each may be
-- compressed by gzip. al.io has the functions.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local options = require "albedo.options"
local optional = require "albedo.optional"
local fail, be, le = bytes.fail, bytes.be, bytes.le

local volume = {}
local LIMIT = 4000000000

-- The bytes of a file, inflated when it is a gzip file.
local function source_of(path, limit)
  local size = bytes.size(path)
  if bytes.read(path, 0, 2) ~= "\31\139" then return bytes.file(path) end
  return bytes.memory(path, optional.open("zlib").inflate_read(path, 0, size,
    math.floor(limit), { gzip = true }))
end

-- The tensor, whose claim is within the limit.
local function tensor(source, offset, format, shape, big, limit)
  if not bytes.product(shape, limit / bytes.SIZES[format]) then
    fail(source.path, "claims more than max_bytes = %.0f", limit)
  end
  return source:tensor(offset, format, shape, big)
end

-- ---- IDX ------------------------------------------------------------------------------------

local IDX = { [8] = "U8", [9] = "I8", [11] = "I16", [12] = "I32", [13] = "F32", [14] = "F64" }
local CODES = { uint8 = 8, int32 = 12, float32 = 13, float64 = 14 }

-- Format and shape of an IDX file, or nil.
local function idx_head(source)
  local head = source:text(0, 36)
  if #head < 8 or head:sub(1, 2) ~= "\0\0" or not IDX[head:byte(3)] then return nil end
  local ndim, shape = head:byte(4), {}
  if ndim < 1 or ndim > 8 or #head < 4 + 4 * ndim then return nil end
  for k = 1, ndim do shape[k] = be(head, 1 + 4 * k, 4) end
  return IDX[head:byte(3)], shape
end

--- The array of an IDX file, such as MNIST's; also gzipped. Options: max_bytes.
function volume.idx(path, opts)
  local o = options("io.idx", opts, { max_bytes = LIMIT })
  local source = source_of(path, o.max_bytes)
  local format, shape = idx_head(source)
  if not format then fail(path, "no IDX file") end
  return tensor(source, 4 + 4 * #shape, format, shape, true, o.max_bytes)
end

local FORMATS = {
  float64 = "F64", float32 = "F32", float16 = "F16", bfloat16 = "BF16", int64 = "I64",
  int32 = "I32", int16 = "I16", int8 = "I8", uint64 = "U64", uint32 = "U32", uint16 = "U16",
  uint8 = "U8", bool = "BOOL",
}

-- The bytes of x, big-endian when wanted.
local function stored(x, big)
  x = x:detach():contiguous()
  if not big then return x end
  return al.block_decode(al.from_bytes(x:bytes(), "uint8"), 0, FORMATS[x.dtype], x.shape,
    { big = true })
end

--- Writes x (uint8, int32, float32 or float64) as an IDX file.
function volume.write_idx(path, x)
  local code = CODES[x.dtype]
  if not code or x.ndim < 1 then fail(path, "IDX holds no %s of %d dims", x.dtype, x.ndim) end
  local head = { "\0\0" .. string.char(code, x.ndim) }
  for k, n in ipairs(x.shape) do head[k + 1] = bytes.put(n, 4):reverse() end
  al.bytes_write(path, { al.from_bytes(table.concat(head), "uint8"), stored(x, true) })
end

-- ---- raw values -----------------------------------------------------------------------------

--- The values of a file without a header: io.raw(path, { dtype = "uint16", shape = { 64, 64, 64
-- } }). dtype: also int8, int16, uint16, uint32, uint64, which become int32 or int64. Options:
-- endian ("little", "big"), offset (bytes to skip), max_bytes.
function volume.raw(path, opts)
  local o = options("io.raw", opts,
    { dtype = "uint8", endian = "little", offset = 0, max_bytes = LIMIT }, { "shape" })
  local format = FORMATS[o.dtype]
  if not format then fail(path, "the dtype is %s, which is none", tostring(o.dtype)) end
  if o.endian ~= "little" and o.endian ~= "big" then
    fail(path, "endian is %s: little, big", tostring(o.endian))
  end
  local source = source_of(path, o.max_bytes)
  local size = (source.size - o.offset) / bytes.SIZES[format]
  return tensor(source, o.offset, format, o.shape or { math.floor(size) }, o.endian == "big",
    o.max_bytes)
end

--- Writes the values of x without a header. Options: endian.
function volume.write_raw(path, x, opts)
  local o = options("io.write_raw", opts, { endian = "little" })
  al.bytes_write(path, { stored(x, o.endian == "big") })
end

-- ---- NIfTI ----------------------------------------------------------------------------------

-- datatype -> stored format, and how many of it make a voxel
local NIFTI = {
  [2] = { "U8", 1 }, [4] = { "I16", 1 }, [8] = { "I32", 1 }, [16] = { "F32", 1 },
  [64] = { "F64", 1 }, [256] = { "I8", 1 }, [512] = { "U16", 1 }, [768] = { "U32", 1 },
  [1024] = { "I64", 1 }, [1280] = { "U64", 1 }, [128] = { "U8", 3 }, [32] = { "F32", 2 },
}
local NIFTI_CODES = { uint8 = 2, int32 = 8, float32 = 16, float64 = 64, int64 = 1024 }

-- Fields of the header, by their offsets in nifti1.h.
local function nifti_head(source)
  local head = source:text(0, 352)
  local magic = head:sub(345, 348)
  if #head < 348 or (magic ~= "n+1\0" and magic ~= "ni1\0") then return nil end
  local big = le(head, 1, 4) ~= 348
  if big and be(head, 1, 4) ~= 348 then return nil end
  local raw = al.from_bytes(head, "uint8")
  local function list(offset, format, n)
    return al.block_decode(raw, offset, format, { n }, { big = big }):totable()
  end
  local dim = list(40, "I16", 8)
  return {
    big = big, pair = magic == "ni1\0", dim = dim, code = list(70, "I16", 1)[1],
    spacing = list(76, "F32", 8), start = list(108, "F32", 1)[1], scale = list(112, "F32", 2),
    sform = list(254, "I16", 1)[1], rows = list(280, "F32", 12),
  }
end

--- The volume of a NIfTI-1 file (.nii, .nii.gz, or .hdr beside .img): D x H x W, with time and
-- further dims before them, RGB after; and a table { spacing (of those dims), affine (3 x 4,
-- from column, row, slice counted from 0 to millimetres) }. Stored numbers are scaled as the
-- header says, to float32, unless scale = false. Options: scale, max_bytes.
function volume.nifti(path, opts)
  local o = options("io.nifti", opts, { scale = true, max_bytes = LIMIT })
  local source = source_of(path, o.max_bytes)
  local h = nifti_head(source)
  if not h then fail(path, "no NIfTI-1 file") end
  local kind, n = NIFTI[h.code], h.dim[1]
  if not kind then fail(path, "the datatype %d is not read", h.code) end
  local shape, spacing = {}, {}
  if n < 1 or n > 7 then fail(path, "has %d dims", n) end
  for k = n, 1, -1 do
    if h.dim[k + 1] < 1 then fail(path, "has the size %d", h.dim[k + 1]) end
    shape[#shape + 1], spacing[#spacing + 1] = h.dim[k + 1], h.spacing[k + 1]
  end
  if kind[2] > 1 then shape[#shape + 1] = kind[2] end
  if #shape > 8 then fail(path, "has %d dims", #shape) end
  local start = h.pair and 0 or h.start
  if not (start >= 0 and start < 2 ^ 40) or (not h.pair and start < 348) then
    fail(path, "its data start at %g", start)
  end
  if h.pair then source = source_of((path:gsub("%.hdr", ".img")), o.max_bytes) end
  local x = tensor(source, math.floor(start), kind[1], shape, h.big, o.max_bytes)
  local slope, shift = h.scale[1], h.scale[2]
  if o.scale and slope ~= 0 and slope == slope and (slope ~= 1 or shift ~= 0) then
    x = x:to(x.dtype == "float64" and "float64" or "float32") * slope + shift
  end
  local affine
  if h.sform > 0 then
    affine = {}
    for k = 0, 2 do affine[k + 1] = { h.rows[4 * k + 1], h.rows[4 * k + 2], h.rows[4 * k + 3],
      h.rows[4 * k + 4] } end
  end
  return x, { spacing = spacing, affine = affine }
end

--- Writes x, D x H x W or with further dims before, as a NIfTI-1 file; a name that ends in .gz
-- is compressed. Options: spacing (a list as long as x has dims, millimetres).
function volume.write_nifti(path, x, opts)
  local o = options("io.write_nifti", opts, {}, { "spacing" })
  local code = NIFTI_CODES[x.dtype]
  if not code or x.ndim < 1 or x.ndim > 7 then
    fail(path, "NIfTI holds no %s of %d dims", x.dtype, x.ndim)
  end
  local dim, spacing = { x.ndim }, { 1 }
  for k = 1, 7 do
    dim[k + 1] = k <= x.ndim and x:size(x.ndim + 1 - k) or 1
    spacing[k + 1] = k <= x.ndim and o.spacing and o.spacing[x.ndim + 1 - k] or 1
    if dim[k + 1] < 1 or dim[k + 1] > 32767 then fail(path, "NIfTI holds 1 to 32767 a dim") end
  end
  local function pack(list, dtype) return al.tensor(list, { dtype = dtype }):bytes() end
  local words = {}
  for k, v in ipairs(dim) do words[k] = bytes.put(v, 2) end
  local row = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
  for k = 1, 3 do row[5 * k - 4] = spacing[k + 1] end
  local width = bytes.SIZES[FORMATS[x.dtype]] * 8
  local head = bytes.put(348, 4) .. ("\0"):rep(36) .. table.concat(words) .. ("\0"):rep(14)
    .. bytes.put(code, 2) .. bytes.put(width, 2) .. "\0\0" .. pack(spacing, "float32")
    .. pack({ 352, 1, 0 }, "float32") .. "\0\0\0\2" .. ("\0"):rep(130) .. bytes.put(2, 2)
    .. ("\0"):rep(24) .. pack(row, "float32") .. ("\0"):rep(16) .. "n+1\0\0\0\0\0"
  local parts = { al.from_bytes(head, "uint8"), stored(x) }
  if path:find "%.gz$" then
    parts[2] = al.from_bytes(parts[2]:bytes(), "uint8")
    parts = { optional.open("zlib").deflate_bytes(al.cat(parts, 1), { gzip = true }) }
  end
  al.bytes_write(path, parts)
end

-- ---- MSTAR ----------------------------------------------------------------------------------

--- A chip of the MSTAR release: 2 x H x W float32, magnitude and phase; and its Phoenix header,
-- name -> text, such as TargetType and TargetAz.
function volume.mstar(path)
  local source = source_of(path, LIMIT)
  local text = source:text(0, 65536)
  local stop = text:find("[EndofPhoenixHeader]", 1, true)
  if text:sub(1, 14) ~= "[PhoenixHeader" or not stop then fail(path, "no Phoenix header") end
  local header = {}
  for name, value in text:sub(1, stop):gmatch "([%w_]+)%s*=%s*([^\r\n]*)" do
    header[name] = value:gsub("%s+$", "")
  end
  local function number(name)
    local v = tonumber(header[name] or "")
    if not v or v < 0 or v % 1 ~= 0 then fail(path, "its header has no %s", name) end
    return v
  end
  local h, w, start = number "NumberOfRows", number "NumberOfColumns",
    number "PhoenixHeaderLength"
  local native = tonumber(header.native_header_length or "") or 0
  if start + native + 8.0 * h * w == source.size then start = start + native end
  return tensor(source, start, "F32", { 2, h, w }, true, LIMIT), header
end

-- ---- which it is ----------------------------------------------------------------------------

--- What a file's content says: "idx", "nifti", "mstar" or nil.
function volume.kind(path, limit)
  local source = source_of(path, limit or LIMIT)
  local format, shape = idx_head(source)
  local n = format and bytes.product(shape, 2 ^ 48)
  if n and 4 + 4 * #shape + n * bytes.SIZES[format] == source.size then return "idx" end
  if nifti_head(source) then return "nifti" end
  return source:text(0, 14) == "[PhoenixHeader" and "mstar" or nil
end

return volume
