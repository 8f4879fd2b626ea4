--- NIfTI volumes (https://nifti.nimh.nih.gov), versions 1 and 2, in either order of bytes; may
-- be compressed by gzip. al.io has the functions.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local options = require "albedo.options"
local optional = require "albedo.optional"
local fail = bytes.fail

local nifti = {}
local LIMIT = 4000000000

-- datatype -> stored format, and how many of it make a voxel
local TYPES = {
  [2] = { "U8", 1 }, [4] = { "I16", 1 }, [8] = { "I32", 1 }, [16] = { "F32", 1 },
  [64] = { "F64", 1 }, [256] = { "I8", 1 }, [512] = { "U16", 1 }, [768] = { "U32", 1 },
  [1024] = { "I64", 1 }, [1280] = { "U64", 1 }, [128] = { "U8", 3 }, [2304] = { "U8", 4 },
  [32] = { "F32", 2 }, [1792] = { "F64", 2 },
}
local CODES = { uint8 = 2, int32 = 8, float32 = 16, float64 = 64, int64 = 1024 }

-- Where the fields are (offset, format, count), by nifti1.h and nifti2.h.
local FIELDS = {
  { dim = { 40, "I16", 8 }, code = { 70, "I16", 1 }, spacing = { 76, "F32", 8 },
    start = { 108, "F32", 1 }, scale = { 112, "F32", 2 }, forms = { 252, "I16", 2 },
    turn = { 256, "F32", 6 }, rows = { 280, "F32", 12 }, least = 348 },
  { dim = { 16, "I64", 8 }, code = { 12, "I16", 1 }, spacing = { 104, "F64", 8 },
    start = { 168, "I64", 1 }, scale = { 176, "F64", 2 }, forms = { 344, "I32", 2 },
    turn = { 352, "F64", 6 }, rows = { 400, "F64", 12 }, least = 540 },
}
local MAGIC = { ["n+1\0"] = { 1 }, ["ni1\0"] = { 1, true },
  ["n+2\0\r\n\26\n"] = { 2 }, ["ni2\0\r\n\26\n"] = { 2, true } }

-- The fields of a header, each a list; or nil.
local function head_of(source)
  local head = source:text(0, 540)
  local found = #head >= 348 and (MAGIC[head:sub(345, 348)] or MAGIC[head:sub(5, 12)])
  local fields = found and FIELDS[found[1]]
  if not fields or #head < fields.least then return nil end
  local big = bytes.le(head, 1, 4) ~= fields.least
  if big and bytes.be(head, 1, 4) ~= fields.least then return nil end
  local raw = al.from_bytes(head, "uint8")
  local h = { big = big, pair = found[2], least = fields.least }
  for name, field in pairs(fields) do
    if type(field) == "table" then
      h[name] = al.block_decode(raw, field[1], field[2], { field[3] }, { big = big }):totable()
    end
  end
  return h
end

-- From column, row, slice to millimetres, 3 x 4: the header's matrix; or its quaternion, the
-- lengths of a voxel and the shift (nifti1.h, method 2); or nil.
local function affine_of(h)
  local m, r = {}, h.rows
  if h.forms[2] > 0 then
    for k = 0, 2 do m[k + 1] = { r[4 * k + 1], r[4 * k + 2], r[4 * k + 3], r[4 * k + 4] } end
    return m
  end
  if h.forms[1] <= 0 then return nil end
  local b, c, d = h.turn[1], h.turn[2], h.turn[3]
  local a = math.sqrt(math.max(0, 1 - b * b - c * c - d * d))
  local x, y, z = h.spacing[2], h.spacing[3], h.spacing[4] * (h.spacing[1] < 0 and -1 or 1)
  return {
    { (a * a + b * b - c * c - d * d) * x, 2 * (b * c - a * d) * y, 2 * (b * d + a * c) * z,
      h.turn[4] },
    { 2 * (b * c + a * d) * x, (a * a + c * c - b * b - d * d) * y, 2 * (c * d - a * b) * z,
      h.turn[5] },
    { 2 * (b * d - a * c) * x, 2 * (c * d + a * b) * y, (a * a + d * d - c * c - b * b) * z,
      h.turn[6] },
  }
end

--- The volume of a NIfTI file (.nii, .nii.gz, or .hdr beside .img): D x H x W, with time and
-- further dims before them, colours or (re, im) after; and a table { spacing (of those dims),
-- affine (3 x 4, from column, row, slice counted from 0 to millimetres) }. Stored numbers are
-- scaled as the header says, to float32, unless scale = false. Options: scale, max_bytes.
function nifti.nifti(path, opts)
  local o = options("io.nifti", opts, { scale = true, max_bytes = LIMIT })
  local source = bytes.source(path, o.max_bytes)
  local h = head_of(source)
  if not h then fail(path, "no NIfTI file") end
  local kind, n = TYPES[h.code[1]], h.dim[1]
  if not kind then fail(path, "the datatype %d is not read", h.code[1]) end
  local shape, spacing = {}, {}
  if n < 1 or n > 7 then fail(path, "has %d dims", n) end
  for k = n, 1, -1 do
    if h.dim[k + 1] < 1 then fail(path, "has the size %d", h.dim[k + 1]) end
    shape[#shape + 1], spacing[#spacing + 1] = h.dim[k + 1], h.spacing[k + 1]
  end
  if kind[2] > 1 then shape[#shape + 1] = kind[2] end
  if #shape > 8 then fail(path, "has %d dims", #shape) end
  local start = h.pair and 0 or h.start[1]
  if not (start >= 0 and start < 2 ^ 40) or (not h.pair and start < h.least) then
    fail(path, "its data start at %g", start)
  end
  if h.pair then source = bytes.source((path:gsub("%.hdr", ".img")), o.max_bytes) end
  local x = source:array(math.floor(start), kind[1], shape, h.big, o.max_bytes)
  local slope, shift = h.scale[1], h.scale[2]
  if o.scale and slope ~= 0 and slope == slope and (slope ~= 1 or shift ~= 0) then
    x = x:to(x.dtype == "float64" and "float64" or "float32") * slope + shift
  end
  return x, { spacing = spacing, affine = affine_of(h) }
end

-- A header of either version; `fields` are those of FIELDS, what is not named is zero.
local function head_for(version, magic, fields)
  local places, parts, at = FIELDS[version], {}, 0
  local texts = {
    { 0, bytes.put(places.least, 4) }, { version == 1 and 344 or 4, magic },
  }
  for name, values in pairs(fields) do
    local offset, format, list = places[name][1], places[name][2], {}
    for k, v in ipairs(values) do
      list[k] = format:find "^I" and bytes.put(v, bytes.SIZES[format])
        or al.tensor(v, { dtype = format == "F32" and "float32" or "float64" }):bytes()
    end
    texts[#texts + 1] = { offset, table.concat(list) }
  end
  table.sort(texts, function(x, y) return x[1] < y[1] end)
  for k, entry in ipairs(texts) do
    parts[k] = ("\0"):rep(entry[1] - at) .. entry[2]
    at = entry[1] + #entry[2]
  end
  return table.concat(parts) .. ("\0"):rep(places.least + 4 - at)
end

--- Writes x, D x H x W or with further dims before, as a NIfTI file; a name that ends in .gz is
-- compressed. Options: spacing (a list as long as x has dims, millimetres), affine (3 x 4, as
-- io.nifti gives it; by default the spacing), version (1, or 2: by itself beyond 32767 a dim).
function nifti.write_nifti(path, x, opts)
  local o = options("io.write_nifti", opts, {}, { "spacing", "affine", "version" })
  local code = CODES[x.dtype]
  if not code or x.ndim < 1 or x.ndim > 7 then
    fail(path, "NIfTI holds no %s of %d dims", x.dtype, x.ndim)
  end
  local dim, spacing, version = { x.ndim }, { 1 }, o.version or 1
  for k = 1, 7 do
    dim[k + 1] = k <= x.ndim and x:size(x.ndim + 1 - k) or 1
    spacing[k + 1] = k <= x.ndim and o.spacing and o.spacing[x.ndim + 1 - k] or 1
    if dim[k + 1] < 1 then fail(path, "NIfTI holds no empty dim") end
    if dim[k + 1] > 32767 and not o.version then version = 2 end
    if dim[k + 1] > 32767 and version == 1 then fail(path, "NIfTI-1 holds 1 to 32767 a dim") end
  end
  local rows = {}
  for i = 1, 3 do
    for j = 1, 4 do
      rows[4 * i + j - 4] = o.affine and o.affine[i][j] or i == j and spacing[i + 1] or 0
    end
  end
  local width = bytes.SIZES[bytes.FORMATS[x.dtype]] * 8
  local head = head_for(version, version == 1 and "n+1\0" or "n+2\0\r\n\26\n", {
    dim = dim, code = { code, width }, spacing = spacing, scale = { 1, 0 },
    start = { version == 1 and 352 or 544 }, forms = { 0, 2 }, rows = rows,
  })
  local parts = { al.from_bytes(head, "uint8"), bytes.stored(x) }
  if path:find "%.gz$" then
    parts[2] = al.from_bytes(parts[2]:bytes(), "uint8")
    parts = { optional.open("zlib").deflate_bytes(al.cat(parts, 1), { gzip = true }) }
  end
  al.bytes_write(path, parts)
end

--- "nifti" when the source holds one.
function nifti.kind(source) return head_of(source) and "nifti" end

return nifti
