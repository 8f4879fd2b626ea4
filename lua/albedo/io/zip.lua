--- Zip archives, as npz and .pth files are: entries stored or deflated, of known sizes.
-- Format: PKWARE's APPNOTE 6.3.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local optional = require "albedo.optional"
local fail, le, put = bytes.fail, bytes.le, bytes.put

local zip = {}
local LIMIT = 4000000000

-- Start, size and number of entries of the central directory.
local function directory(path, size)
  local tail = bytes.read(path, math.max(0, size - 65557), 65557)
  local at
  for i = #tail - 21, 1, -1 do
    if tail:sub(i, i + 3) == "PK\5\6" then
      at = i
      break
    end
  end
  if not at then fail(path, "the zip archive has no end: the file is damaged or cut short") end
  local n, length, start = le(tail, at + 10, 2), le(tail, at + 12, 4), le(tail, at + 16, 4)
  local here = size - #tail + at - 1
  local locator = here >= 20 and bytes.read(path, here - 20, 20) or ""
  if locator:sub(1, 4) == "PK\6\7" then
    local place = le(locator, 9, 8)
    local record = place >= 0 and place < size and bytes.read(path, place, 56) or ""
    if #record < 56 or record:sub(1, 4) ~= "PK\6\6" then
      fail(path, "the archive's zip64 end is damaged")
    end
    n, length, start = le(record, 33, 8), le(record, 41, 8), le(record, 49, 8)
  end
  if n < 0 or start < 0 or length < 0 or start > size or length > size - start
    or n > length / 46 then
    fail(path, "the zip directory lies outside the file")
  end
  return start, length, n
end

-- Sizes and offset of entry e, where a zip64 field holds them.
local function widen(text, at, last, e)
  while at + 3 <= last do
    local kind, length = le(text, at, 2), le(text, at + 2, 2)
    local from, stop = at + 4, math.min(at + 3 + length, last)
    if kind == 1 then
      for _, key in ipairs { "size", "packed", "offset" } do
        if e[key] == 0xffffffff and from + 7 <= stop then
          e[key], from = le(text, from, 8), from + 8
        end
      end
    end
    at = at + 4 + length
  end
end

-- The entries, as the directory tells them.
local function list(path, text, n)
  local entries, at = {}, 1
  for k = 1, n do
    if at + 45 > #text or text:sub(at, at + 3) ~= "PK\1\2" then
      fail(path, "entry %d of the zip directory is damaged", k)
    end
    local long, extra, note = le(text, at + 28, 2), le(text, at + 30, 2), le(text, at + 32, 2)
    local e = {
      flags = le(text, at + 8, 2), method = le(text, at + 10, 2), crc = le(text, at + 16, 4),
      packed = le(text, at + 20, 4), size = le(text, at + 24, 4), offset = le(text, at + 42, 4),
      name = text:sub(at + 46, at + 45 + long):gsub("%c", "?"),
    }
    local last = at + 45 + long + extra
    if last > #text then fail(path, "entry %d of the zip directory is damaged", k) end
    widen(text, at + 46 + long, last, e)
    entries[k] = e
    at = last + note + 1
  end
  return entries
end

-- Finds an entry's data in the file.
local function locate(path, e, size)
  if e.flags % 2 == 1 then fail(path, "%s is encrypted", e.name) end
  if e.method ~= 0 and e.method ~= 8 then
    fail(path, "%s is compressed by method %d: stored and deflated are read", e.name, e.method)
  end
  if e.offset < 0 or e.packed < 0 or e.size < 0 or e.offset > size - 30 then
    fail(path, "%s lies outside the file", e.name)
  end
  local head = bytes.read(path, e.offset, 30)
  if #head < 30 or head:sub(1, 4) ~= "PK\3\4" then fail(path, "%s has no header", e.name) end
  e.data = e.offset + 30 + le(head, 27, 2) + le(head, 29, 2)
  if e.packed > size - e.data then fail(path, "%s lies outside the file", e.name) end
  if e.method == 0 and e.size ~= e.packed or e.size > e.packed * 1032.0 + 64 then
    fail(path, "%s claims %.0f bytes in %.0f", e.name, e.size, e.packed)
  end
end

-- Refuses entries that overlap, or claim too much together.
local function check(path, entries, limit)
  local total, order = 0.0, {}
  for k, e in ipairs(entries) do total, order[k] = total + e.size, e end
  if total > limit then
    fail(path, "claims %.0f bytes, more than max_bytes = %.0f", total, limit)
  end
  table.sort(order, function(a, b) return a.offset < b.offset end)
  for k = 2, #order do
    if order[k].offset < order[k - 1].data + order[k - 1].packed then
      fail(path, "%s overlaps %s", order[k].name, order[k - 1].name)
    end
  end
end

--- The archive of a path: { path, order (names), entries (name -> where it is) }. All that it
-- holds may take max_bytes (4e9).
function zip.open(path, max_bytes)
  local size = bytes.size(path)
  local start, length, n = directory(path, size)
  local entries = list(path, bytes.read(path, start, length), n)
  local z = { path = path, order = {}, entries = {} }
  for k, e in ipairs(entries) do
    locate(path, e, size)
    if z.entries[e.name] then fail(path, "two entries are named %s", e.name) end
    z.order[k], z.entries[e.name] = e.name, e
  end
  check(path, entries, max_bytes or LIMIT)
  return z
end

--- Where the bytes of an entry are, as bytes.file and bytes.memory tell: a stored one stays in
-- the file. The checksum is checked where the plugin zlib is there.
function zip.source(z, name)
  local e = z.entries[name]
  if not e then fail(z.path, "the archive holds no %s", (name:gsub("%c", "?"))) end
  local source
  if e.method == 8 then
    source = bytes.memory(z.path, optional.open("zlib").inflate_read(z.path, math.floor(e.data),
      math.floor(e.packed), math.floor(e.size)))
  else
    source = bytes.file(z.path, e.data, e.size)
  end
  if source.size ~= e.size then
    fail(z.path, "%s has %d bytes, not %.0f", name, source.size, e.size)
  end
  if optional.list().zlib then
    local crc = al.scope(function()
      local all = source.data or source:tensor(0, "U8", { e.size })
      return optional.open("zlib").crc32(all):item()
    end)
    if crc ~= e.crc then fail(z.path, "the checksum of %s is wrong", name) end
  end
  return source
end

--- Writes an archive: list of { name, tensors ... }, whose raw bytes follow one another.
function zip.save(path, list_of, compress)
  local lib = optional.open "zlib"
  local parts, central, at = {}, {}, 0
  for k, e in ipairs(list_of) do
    local pieces = {}
    for i = 2, #e do pieces[i - 1] = al.from_bytes(e[i]:bytes(), "uint8") end
    local data = al.cat(pieces, 1)
    local size, crc = data:numel(), lib.crc32(data):item()
    if compress then data = lib.deflate_bytes(data) end
    local packed = data:numel()
    if at + packed + size >= 2 ^ 32 then fail(path, "a zip archive holds at most 4 GB") end
    local fields = put(20, 2) .. put(0, 2) .. put(compress and 8 or 0, 2) .. put(0, 2)
      .. put(33, 2) .. put(crc, 4) .. put(packed, 4) .. put(size, 4) .. put(#e[1], 2)
      .. put(0, 2)
    parts[#parts + 1] = al.from_bytes("PK\3\4" .. fields .. e[1], "uint8")
    parts[#parts + 1] = data
    central[k] = "PK\1\2" .. put(20, 2) .. fields .. put(0, 10) .. put(at, 4) .. e[1]
    at = at + 30 + #e[1] + packed
  end
  local all = table.concat(central)
  parts[#parts + 1] = al.from_bytes(all .. "PK\5\6" .. put(0, 4) .. put(#list_of, 2)
    .. put(#list_of, 2) .. put(#all, 4) .. put(at, 4) .. put(0, 2), "uint8")
  al.bytes_write(path, parts)
end

return zip
