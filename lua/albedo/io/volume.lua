--- Arrays and volumes of other programs: IDX, raw values, MSTAR chips; each may be compressed
-- by gzip. al.io has the functions.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local options = require "albedo.options"
local fail, be = bytes.fail, bytes.be

local volume = {}
local LIMIT = 4000000000

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
  local source = bytes.source(path, o.max_bytes)
  local format, shape = idx_head(source)
  if not format then fail(path, "no IDX file") end
  return source:array(4 + 4 * #shape, format, shape, true, o.max_bytes)
end

--- Writes x (uint8, int32, float32 or float64) as an IDX file.
function volume.write_idx(path, x)
  local code = CODES[x.dtype]
  if not code or x.ndim < 1 then fail(path, "IDX holds no %s of %d dims", x.dtype, x.ndim) end
  local head = { "\0\0" .. string.char(code, x.ndim) }
  for k, n in ipairs(x.shape) do head[k + 1] = bytes.put(n, 4):reverse() end
  al.bytes_write(path, { al.from_bytes(table.concat(head), "uint8"), bytes.stored(x, true) })
end

-- ---- raw values -----------------------------------------------------------------------------

--- The values of a file without a header: io.raw(path, { dtype = "uint16", shape = { 64, 64, 64
-- } }). dtype: also int8, int16, uint16, uint32, uint64, which become int32 or int64. Options:
-- endian ("little", "big"), offset (bytes to skip), max_bytes.
function volume.raw(path, opts)
  local o = options("io.raw", opts,
    { dtype = "uint8", endian = "little", offset = 0, max_bytes = LIMIT }, { "shape" })
  local format = bytes.FORMATS[o.dtype]
  if not format then fail(path, "the dtype is %s, which is none", tostring(o.dtype)) end
  if o.endian ~= "little" and o.endian ~= "big" then
    fail(path, "endian is %s: little, big", tostring(o.endian))
  end
  local source = bytes.source(path, o.max_bytes)
  local size = (source.size - o.offset) / bytes.SIZES[format]
  return source:array(o.offset, format, o.shape or { math.floor(size) }, o.endian == "big",
    o.max_bytes)
end

--- Writes the values of x without a header. Options: endian.
function volume.write_raw(path, x, opts)
  local o = options("io.write_raw", opts, { endian = "little" })
  al.bytes_write(path, { bytes.stored(x, o.endian == "big") })
end

-- ---- MSTAR ----------------------------------------------------------------------------------

--- A chip of the MSTAR release: 2 x H x W float32, magnitude and phase; and its Phoenix header,
-- name -> text, such as TargetType and TargetAz. Options: max_bytes.
function volume.mstar(path, opts)
  local limit = options("io.mstar", opts, { max_bytes = LIMIT }).max_bytes
  local source = bytes.source(path, limit)
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
  return source:array(start, "F32", { 2, h, w }, true, limit), header
end

-- ---- which it is ----------------------------------------------------------------------------

--- What a source's content says: "idx", "mstar" or nil.
function volume.kind(source)
  local format, shape = idx_head(source)
  local n = format and bytes.product(shape, 2 ^ 48)
  if n and 4 + 4 * #shape + n * bytes.SIZES[format] == source.size then return "idx" end
  return source:text(0, 14) == "[PhoenixHeader" and "mstar" or nil
end

return volume
