--- NumPy's files: .npy, one array, and .npz, a zip archive of them.
-- Format: numpy.lib.format, versions 1 to 3.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local zip = require "albedo.io.zip"
local fail = bytes.fail

local npy = {}

local FORMATS = {
  f8 = "F64", f4 = "F32", f2 = "F16", i8 = "I64", i4 = "I32", i2 = "I16", i1 = "I8", u8 = "U64",
  u4 = "U32", u2 = "U16", u1 = "U8", b1 = "BOOL", c8 = "F32", c16 = "F64",
}
local CODES = {
  float64 = "<f8", float32 = "<f4", float16 = "<f2", int64 = "<i8", int32 = "<i4",
  uint8 = "|u1", bool = "|b1",
}

-- The sizes in "3, 4"; nil when they are none.
local function sizes(text)
  local shape = {}
  for part in text:gmatch "[^,%s]+" do
    local n = tonumber((part:match "^(%d+)L?$"))
    if not n then return nil end
    shape[#shape + 1] = n
  end
  return #shape <= 7 and shape or nil
end

-- Where the data start, and the header's text.
local function header_of(source, name)
  local head = source:text(0, 12)
  local wide = #head == 12 and head:byte(7) > 1
  if #head < 10 or head:sub(1, 6) ~= "\147NUMPY" or head:byte(7) > 3 then
    fail(source.path, "%s is no npy array", name)
  end
  local length = wide and bytes.le(head, 9, 4) or bytes.le(head, 9, 2)
  local start = wide and 12 or 10
  if start + length > source.size or length > 1000000 then
    fail(source.path, "%s ends early", name)
  end
  return start + length, source:text(start, length)
end

-- The array in a source of bytes; name is what errors call it.
local function decode(source, name, limit)
  local path = source.path
  local start, text = header_of(source, name)
  local order, code = text:match "['\"]descr['\"]%s*:%s*['\"]([<>=|]?)(%w+)['\"]"
  local fortran = text:match "['\"]fortran_order['\"]%s*:%s*(%a+)"
  local shape = sizes(text:match "['\"]shape['\"]%s*:%s*%(([%d,%sL]*)%)" or "?")
  if not shape or (fortran ~= "True" and fortran ~= "False") then
    fail(path, "%s has a damaged header", name)
  end
  local format = FORMATS[code or ""]
  if not format then
    fail(path, "%s holds %s: numbers and bools are read", name,
      code and "elements of the type " .. code or "records")
  end
  local stored = {}
  for i, n in ipairs(shape) do stored[fortran == "True" and #shape + 1 - i or i] = n end
  if code:sub(1, 1) == "c" then stored[#stored + 1] = 2 end
  if not bytes.product(stored, limit / bytes.SIZES[format]) then
    fail(path, "%s claims more than max_bytes = %.0f", name, limit)
  end
  local x = source:tensor(start, format, stored, order == ">", name)
  if fortran == "False" or #shape < 2 then return x end
  local dims = {}
  for i = 1, #shape do dims[i] = #shape + 1 - i end
  if #stored > #shape then dims[#stored] = #stored end
  return x:permute(dims):contiguous()
end

--- The array of a .npy file; Fortran's order comes out as any other; complex numbers get a last
-- dim of 2. max_bytes: 4e9.
function npy.read(path, max_bytes)
  return decode(bytes.file(path), "the file", max_bytes or 4000000000)
end

--- The arrays of a .npz file, name -> tensor.
function npy.read_archive(z, max_bytes)
  local out = {}
  for _, name in ipairs(z.order) do
    local key = name:match "^(.*)%.npy$"
    if not key then fail(z.path, "%s is no npy array", name) end
    out[key] = decode(zip.source(z, name), name, max_bytes or 4000000000)
  end
  return out
end

-- The header of a tensor, as a tensor of bytes.
local function header(x, path)
  local code = CODES[x.dtype]
  if not code then fail(path, "NumPy has no %s: safetensors has", x.dtype) end
  local list = {}
  for i, n in ipairs(x.shape) do list[i] = ("%d,"):format(n) end
  local text = ("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }")
    :format(code, table.concat(list, " "))
  text = text .. (" "):rep(-(#text + 11) % 64) .. "\n"
  return al.from_bytes("\147NUMPY\1\0" .. bytes.put(#text, 2) .. text, "uint8")
end

local function tensor_of(value, path, name)
  if al.is_tensor(value) then return value:detach() end
  local kind = type(value)
  if kind == "boolean" then return al.tensor(value and 1 or 0, { dtype = "bool" }) end
  if kind == "number" then
    local whole = math.type and math.type(value) == "integer"
    return al.tensor(value, { dtype = whole and "int64" or "float64" })
  end
  fail(path, "%s is a %s: tensors, numbers and booleans can be written", name, kind)
end

--- Writes a tensor (or number) as .npy.
function npy.write(path, x)
  x = tensor_of(x, path, "the value")
  al.bytes_write(path, { header(x, path), x })
end

--- Writes a table name -> tensor as .npz; compress deflates.
function npy.write_archive(path, state, compress)
  local list, names = {}, {}
  for name in pairs(state) do
    if type(name) ~= "string" then fail(path, "a key is a %s, not a string", type(name)) end
    names[#names + 1] = name
  end
  table.sort(names)
  for k, name in ipairs(names) do
    local x = tensor_of(state[name], path, name)
    list[k] = { name .. ".npy", header(x, path), x }
  end
  zip.save(path, list, compress)
end

return npy
