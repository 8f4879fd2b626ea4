--- Protocol buffers, the writing half, as far as ONNX needs it (no Lua package of Debian writes
-- them; the format: https://protobuf.dev/programming-guides/encoding).
--
-- A message is a list of pieces with their length: { size = bytes, piece, ... }. A piece is a
-- string, or a tensor, which stands for its bytes: nothing large is copied before it is
-- written.

local al = require "albedo"

local protobuf = {}

local sizes = {
  float64 = 8, int64 = 8, float32 = 4, int32 = 4, float16 = 2, bfloat16 = 2, uint8 = 1,
  bool = 1,
}

-- Seven bits a byte, the lowest first; negative numbers as those of 64 bits.
local function varint(v)
  local out = {}
  for i = 1, 10 do
    local low = v % 128
    v = (v - low) / 128
    if v < 0 and i == 10 then low, v = 1, 0 end
    out[i] = string.char(v ~= 0 and low + 128 or low)
    if v == 0 then break end
  end
  return table.concat(out)
end

function protobuf.message() return { size = 0 } end

local function append(m, piece, size)
  m[#m + 1] = piece
  m.size = m.size + (size or #piece)
end

local function key(field, wire) return varint(field * 8 + wire) end

--- Appends a whole number.
function protobuf.int(m, field, v) append(m, key(field, 0) .. varint(v)) end

--- Appends a number as a float of 4 bytes.
function protobuf.float(m, field, v) append(m, key(field, 5) .. al.tensor(v):bytes()) end

--- Appends text, another message, or the bytes of a tensor.
function protobuf.bytes(m, field, value)
  local size = type(value) == "string" and #value or type(value) == "table" and value.size
    or value:numel() * sizes[value.dtype]
  append(m, key(field, 2) .. varint(size))
  if type(value) ~= "table" then return append(m, value, size) end
  for _, piece in ipairs(value) do m[#m + 1] = piece end
  m.size = m.size + size
end

--- Writes a message to a file, whole or not at all.
function protobuf.write(path, m)
  local temporary = path .. ".new"
  local file, message = io.open(temporary, "wb")
  if not file then al.native.raise("cannot write " .. message) end
  local ok, reason = true, nil
  for _, piece in ipairs(m) do
    if ok then ok, reason = file:write(type(piece) == "string" and piece or piece:bytes()) end
  end
  local closed, late = file:close()
  if ok and closed then ok, reason = os.rename(temporary, path) end
  if not (ok and closed) then
    os.remove(temporary)
    al.native.raise(("cannot write %s: %s"):format(path, tostring(reason or late)))
  end
end

return protobuf
