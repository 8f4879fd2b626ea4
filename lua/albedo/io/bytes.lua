--- What the readers of al.io share: numbers in bytes, parts of files, checked sizes.

local al = require "albedo"
local optional = require "albedo.optional"

local bytes = {}

--- An error at the script's line, itself of one line whatever the file's names hold.
function bytes.fail(path, message, ...)
  al.native.raise(("%s: %s"):format(path, (message:format(...):gsub("%c", "?"))))
end

--- The unsigned number in the n bytes of s from i on, little-endian.
function bytes.le(s, i, n)
  local v = 0
  for k = i + n - 1, i, -1 do v = v * 256 + s:byte(k) end
  return v
end

--- The same, big-endian.
function bytes.be(s, i, n)
  local v = 0
  for k = i, i + n - 1 do v = v * 256 + s:byte(k) end
  return v
end

--- v as n bytes, little-endian.
function bytes.put(v, n)
  local out = {}
  for k = 1, n do
    out[k] = string.char(v % 256)
    v = math.floor(v / 256)
  end
  return table.concat(out)
end

--- The number of bytes of a file.
function bytes.size(path)
  if type(path) ~= "string" then
    al.native.raise("a file's name is wanted, got a " .. type(path))
  end
  local file, message = io.open(path, "rb")
  if not file then al.native.raise(message) end
  local size = file:seek "end"
  file:close()
  if not size or size >= 2 ^ 53 then bytes.fail(path, "cannot be read") end
  return size
end

--- n bytes of a file from offset on (0 is the first), as a string; fewer at its end.
function bytes.read(path, offset, n)
  local file, message = io.open(path, "rb")
  if not file then al.native.raise(message) end
  local s = file:seek("set", math.floor(offset)) and file:read(math.floor(n)) or ""
  file:close()
  return s
end

--- The product of sizes, whole numbers from 0 on, when at most `limit`; else nil.
function bytes.product(shape, limit)
  local n = 1.0
  for _, size in ipairs(shape) do
    if type(size) ~= "number" or size < 0 or size % 1 ~= 0 or size >= 2 ^ 53 then return nil end
    n = n * size
  end
  if not (n <= limit) or #shape > 8 then return nil end
  return math.floor(n)
end

--- bytes an element of the stored formats takes, by block_read's names
bytes.SIZES = {
  F64 = 8, F32 = 4, I64 = 8, I32 = 4, U8 = 1, BOOL = 1, F16 = 2, BF16 = 2, I8 = 1, I16 = 2,
  U16 = 2, U32 = 4, U64 = 8,
}

--- the stored formats by dtypes' names, ours and those that become wider
bytes.FORMATS = {
  float64 = "F64", float32 = "F32", float16 = "F16", bfloat16 = "BF16", int64 = "I64",
  int32 = "I32", int16 = "I16", int8 = "I8", uint64 = "U64", uint32 = "U32", uint16 = "U16",
  uint8 = "U8", bool = "BOOL",
}

--- The bytes of x as a file holds them, big-endian when wanted: a tensor.
function bytes.stored(x, big)
  x = x:detach():contiguous()
  if not big then return x end
  return al.block_decode(al.from_bytes(x:bytes(), "uint8"), 0, bytes.FORMATS[x.dtype], x.shape,
    { big = true })
end

--- Where stored bytes are, in a file or a tensor of bytes: source.size counts them.
local Source = {}
Source.__index = Source

--- The source that is a part of a file; by default all of it.
function bytes.file(path, start, size)
  return setmetatable({ path = path, start = start or 0, size = size or bytes.size(path) },
    Source)
end

--- The source that is a tensor of bytes, made of the file of that name.
function bytes.memory(path, data)
  return setmetatable({ path = path, data = data, size = data:numel() }, Source)
end

--- The source that is a file, inflated to at most `limit` bytes when it is a gzip file.
function bytes.source(path, limit)
  local size = bytes.size(path)
  if bytes.read(path, 0, 2) ~= "\31\139" then return bytes.file(path, 0, size) end
  return bytes.memory(path, optional.open("zlib").inflate_read(path, 0, size,
    math.floor(limit), { gzip = true }))
end

--- n bytes from offset on as a string; fewer at the end.
function Source:text(offset, n)
  n = math.max(math.min(n, self.size - offset), 0)
  if not self.data then return bytes.read(self.path, self.start + offset, n) end
  return n > 0 and self.data:narrow(1, math.floor(offset) + 1, math.floor(n)):bytes() or ""
end

--- The tensor at an offset, checked against the bytes there are. what names it in the error.
function Source:tensor(offset, format, shape, big, what)
  local size = bytes.SIZES[format]
  local n = bytes.product(shape, 2 ^ 48)
  if not n then bytes.fail(self.path, "%s has a wrong shape", what or "the array") end
  if offset < 0 or offset + n * size > self.size then
    bytes.fail(self.path, "%s needs %.0f bytes at %.0f, there are %.0f", what or "the array",
      n * size, offset, self.size)
  end
  local o = { big = big or false }
  if self.data then
    return al.block_decode(self.data, math.floor(offset), format, shape, o)
  end
  return al.block_read(self.path, math.floor(self.start + offset), format, shape, o)
end

--- The same for a claim that comes from the file: at most `limit` bytes.
function Source:array(offset, format, shape, big, limit)
  if not bytes.product(shape, limit / bytes.SIZES[format]) then
    bytes.fail(self.path, "claims more than max_bytes = %.0f", limit)
  end
  return self:tensor(offset, format, shape, big)
end

return bytes
