--- DICOM pictures and series (https://www.dicomstandard.org, parts 5 and 10): implicit and
-- explicit values in either order of bytes, deflated files, RLE, JPEG with 8 bits, and with
-- the plugin jpegs JPEG 2000 and lossless JPEG. Not read: JPEG-LS (CharLS takes seconds to
-- refuse damaged bytes), JPEG of 12 bits, and what enhanced files say frame by frame. al.io
-- has the functions.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local optional = require "albedo.optional"
local options = require "albedo.options"
local fail = bytes.fail

local dicom = {}
local LIMIT, UNDEFINED, DEEPEST, LONGEST = 4000000000, 2 ^ 32 - 1, 16, 4096

-- Attributes by name; what is a number, or several, says so.
local TAGS = {
  ["0002,0010"] = { "TransferSyntaxUID" }, ["0008,0018"] = { "SOPInstanceUID" },
  ["0008,0060"] = { "Modality" }, ["0010,0010"] = { "PatientName" },
  ["0010,0020"] = { "PatientID" }, ["0020,000d"] = { "StudyInstanceUID" },
  ["0020,000e"] = { "SeriesInstanceUID" }, ["0020,0013"] = { "InstanceNumber", "text" },
  ["0018,0050"] = { "SliceThickness", "text" },
  ["0018,0088"] = { "SpacingBetweenSlices", "text" },
  ["0020,0032"] = { "ImagePositionPatient", "text", 3 },
  ["0020,0037"] = { "ImageOrientationPatient", "text", 6 },
  ["0028,0002"] = { "SamplesPerPixel", "short" },
  ["0028,0004"] = { "PhotometricInterpretation" },
  ["0028,0006"] = { "PlanarConfiguration", "short" },
  ["0028,0008"] = { "NumberOfFrames", "text" },
  ["0028,0010"] = { "Rows", "short" }, ["0028,0011"] = { "Columns", "short" },
  ["0028,0030"] = { "PixelSpacing", "text", 2 }, ["0028,0100"] = { "BitsAllocated", "short" },
  ["0028,0101"] = { "BitsStored", "short" }, ["0028,0102"] = { "HighBit", "short" },
  ["0028,0103"] = { "PixelRepresentation", "short" },
  ["0028,1050"] = { "WindowCenter", "text" },
  ["0028,1051"] = { "WindowWidth", "text" }, ["0028,1052"] = { "RescaleIntercept", "text" },
  ["0028,1053"] = { "RescaleSlope", "text" },
}
-- explicit values whose length takes four bytes, after two of padding
local LONG = { OB = 1, OD = 1, OF = 1, OL = 1, OV = 1, OW = 1, SQ = 1, SV = 1, UC = 1, UN = 1,
  UR = 1, UT = 1, UV = 1 }

-- ---- elements -------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

-- n bytes at an offset, through a window on the file.
function Reader:text(at, n)
  if at < self.from or at + n > self.from + #self.window then
    self.from, self.window = at, self.source:text(at, math.max(n, 65536))
  end
  local s = self.window:sub(at - self.from + 1, at - self.from + n)
  if #s < n then fail(self.source.path, "damaged DICOM: it ends early") end
  return s
end

function Reader:number(at, n)
  return (self.big and bytes.be or bytes.le)(self:text(at, n), 1, n)
end

-- The element at self.at: tag, kind of value (nil: implicit), length; self.at is then its
-- value.
function Reader:element()
  local at = self.at
  local tag = ("%04x,%04x"):format(self:number(at, 2), self:number(at + 2, 2))
  if not self.explicit or tag:sub(1, 4) == "fffe" then
    self.at = at + 8
    return tag, nil, self:number(at + 4, 4)
  end
  local kind = self:text(at + 4, 2)
  if not kind:find "^%u%u$" then fail(self.source.path, "damaged DICOM at byte %.0f", at) end
  self.at = at + (LONG[kind] and 12 or 8)
  return tag, kind, LONG[kind] and self:number(at + 8, 4) or self:number(at + 6, 2)
end

-- Passes over a value; of a sequence of no said length, item by item.
function Reader:skip(length, depth)
  if length ~= UNDEFINED then
    self.at = self.at + length
    return
  end
  if depth > DEEPEST then fail(self.source.path, "its sequences are too deep") end
  while true do
    local tag, _, size = self:element()
    if tag == "fffe,e0dd" or tag == "fffe,e00d" then return end
    self:skip(size, depth + 1)
  end
end

-- A value as text, or numbers.
function Reader:value(tag, kind, length)
  local known = TAGS[tag]
  local is_text = known or kind and (not LONG[kind] or kind == "UT")
  if length > LONGEST or not is_text then return nil end
  if known and known[2] == "short" then
    if length < 2 then fail(self.source.path, "damaged DICOM: %s is empty", known[1]) end
    return known[1], self:number(self.at, 2)
  end
  local s = self:text(self.at, length):gsub("[%z ]+$", ""):gsub("^ +", "")
  if not known or not known[2] then return known and known[1] or tag, s end
  local list = {}
  for part in s:gmatch "[^\\]+" do list[#list + 1] = tonumber(part) end
  if known[3] and #list ~= known[3] then return nil end
  return known[1], known[3] and list or list[1]
end

-- A deflated file goes on with what is inflated (part 5, A.5): at most `limit` bytes of pixels.
local function inflate(r, limit)
  local size = r.source.size - r.at
  limit = math.floor(math.min(limit + 16777216, 1032 * size))
  local path, zlib = r.source.path, optional.open "zlib"
  r.source = bytes.memory(path,
    zlib.inflate_read(path, math.floor(r.at), math.floor(size), limit))
  r.at, r.from, r.window = 0, 0, ""
  return r.source
end

-- The attributes, and where the pixels are: offset and length.
local function attributes(source, limit)
  if source:text(128, 4) ~= "DICM" then fail(source.path, "no DICOM file") end
  local r = setmetatable(
    { source = source, at = 132, from = 0, window = "", explicit = true }, Reader)
  local about, meta = {}, true
  while r.at + 8 <= source.size do
    if meta and r:text(r.at, 2) ~= "\2\0" then
      meta = false
      local syntax = about.TransferSyntaxUID
      if not syntax then fail(source.path, "damaged DICOM: no transfer syntax") end
      r.explicit, r.big = syntax ~= "1.2.840.10008.1.2", syntax == "1.2.840.10008.1.2.2"
      if syntax == "1.2.840.10008.1.2.1.99" then source = inflate(r, limit) end
    end
    local tag, kind, length = r:element()
    if tag == "7fe0,0010" or tag == "7fe0,0008" or tag == "7fe0,0009" then
      return about, { at = r.at, length = length, tag = tag, reader = r }
    end
    if length ~= UNDEFINED then
      if r.at + length > source.size then
        fail(source.path, "damaged DICOM: %s ends beyond it", tag)
      end
      local name, value = r:value(tag, kind, length)
      if name then about[name] = value end
    end
    r:skip(length, 1)
  end
  return about
end

-- ---- pixels ---------------------------------------------------------------------------------

-- The fragments of compressed pixels, as { offset, length }; the first is the table of offsets.
local function fragments(r, at)
  local list = {}
  r.at = at
  while true do
    local tag, _, length = r:element()
    if tag == "fffe,e0dd" then return list end
    if tag ~= "fffe,e000" or r.at + length > r.source.size then
      fail(r.source.path, "damaged DICOM: its fragments are wrong")
    end
    list[#list + 1] = { r.at, length }
    r.at = r.at + length
  end
end

-- The bytes (a tensor) of each frame.
local function compressed_frames(r, pixels, frames)
  local list = fragments(r, pixels.at)
  local table_at = table.remove(list, 1)
  local groups = {}
  if #list == frames then
    for k, piece in ipairs(list) do groups[k] = { piece } end
  elseif frames == 1 then
    groups[1] = list
  elseif table_at and table_at[2] == 4 * frames then
    local k, base = 0, list[1] and list[1][1] - 8
    for _, piece in ipairs(list) do
      if k < frames and piece[1] - 8 - base == r:number(table_at[1] + 4 * k, 4) then
        k = k + 1
        groups[k] = {}
      end
      if k > 0 then table.insert(groups[k], piece) end
    end
  end
  if #groups ~= frames or frames == 1 and #list == 0 then
    fail(r.source.path, "damaged DICOM: %d fragments for %d frames", #list, frames)
  end
  for k, group in ipairs(groups) do
    local parts = {}
    for i, piece in ipairs(group) do
      parts[i] = r.source:tensor(piece[1], "U8", { piece[2] })
    end
    groups[k] = #parts == 1 and parts[1] or al.cat(parts, 1)
  end
  return groups
end

local WHOLE = {
  [8] = { [0] = "U8", "I8" }, [16] = { [0] = "U16", "I16" }, [32] = { [0] = "U32", "I32" },
}
local function whole_of(a)
  return WHOLE[a.BitsAllocated][a.PixelRepresentation == 1 and 1 or 0]
end

-- RLE (part 5, annex G): a plane of bytes after the other, the higher bytes first.
local function rle(path, data, a)
  local head = data:narrow(1, 1, math.min(64, data:numel())):bytes()
  local planes, width = #head == 64 and bytes.le(head, 1, 4) or 0, a.BitsAllocated / 8
  if planes ~= a.SamplesPerPixel * width or planes > 15 then
    fail(path, "damaged DICOM: RLE of %.0f planes", planes)
  end
  local n = a.Rows * a.Columns
  local function sample(s)
    local parts = {} -- the lowest byte first
    for k = 1, width do
      local place = s * width + k
      local at = bytes.le(head, 4 * place + 1, 4)
      local last = place < planes and bytes.le(head, 4 * place + 5, 4) or data:numel()
      if at < 64 or last < at or last > data:numel() then
        fail(path, "damaged DICOM: RLE from %.0f to %.0f", at, last)
      end
      parts[width + 1 - k] =
        al.unpack_bits(data:narrow(1, math.floor(at) + 1, math.floor(last - at)), n)
    end
    return al.block_decode(al.stack(parts, 2):reshape(-1), 0, whole_of(a),
      { 1, a.Rows, a.Columns })
  end
  local out = {}
  for s = 1, a.SamplesPerPixel do out[s] = al.scope(sample, s - 1) end
  return #out == 1 and out[1] or al.cat(out, 1)
end

local function by_jpeg(_, data, a)
  return al.image.decode(data, { max_bytes = a.Rows * a.Columns * a.SamplesPerPixel })
end
-- Lossless JPEG holds negative numbers as what is left of them in so many bits.
local function by_jpegs(_, data, a)
  local x = optional.open("jpegs").jpegs_decode(data,
    { max_bytes = 4 * a.Rows * a.Columns * a.SamplesPerPixel })
  if a.PixelRepresentation ~= 1 then return a.BitsAllocated == 8 and x:to "uint8" or x end
  local stored = math.min(math.max(a.BitsStored or a.BitsAllocated, 1), 16)
  return al.where(x:ge(math.floor(2 ^ (stored - 1))), x - math.floor(2 ^ stored), x)
end
local CODECS = {
  ["1.2.840.10008.1.2.5"] = rle,
  ["1.2.840.10008.1.2.4.50"] = by_jpeg, ["1.2.840.10008.1.2.4.51"] = by_jpeg,
}
for _, kind in ipairs { 57, 70, 90, 91 } do
  CODECS["1.2.840.10008.1.2.4." .. kind] = by_jpegs
end
local PLUGIN = { [by_jpeg] = "image", [by_jpegs] = "jpegs" }

local FLOATS = { ["7fe0,0008"] = { "F32", 32 }, ["7fe0,0009"] = { "F64", 64 } }

-- Numbers of `stored` bits as those of more: what lies above them is no part of them.
local function narrowed(x, a)
  local stored, all = a.BitsStored or a.BitsAllocated, 2 ^ (a.BitsStored or a.BitsAllocated)
  if stored >= a.BitsAllocated or stored < 1 or stored >= 31 then return x end
  x = x % math.floor(all)
  if a.PixelRepresentation ~= 1 then return x end
  return al.where(x:ge(math.floor(all / 2)), x - math.floor(all), x)
end

-- YBR_FULL to RGB (part 3, C.7.6.3.1.2), channels at dim 2.
local function to_rgb(x)
  x = x:to "float32"
  local y, b, r = x:narrow(2, 1, 1), x:narrow(2, 2, 1) - 128, x:narrow(2, 3, 1) - 128
  local rgb = al.cat({ y + r * 1.402, y - b * 0.344136 - r * 0.714136, y + b * 1.772 }, 2)
  return (rgb:clamp(0, 255) + 0.5):to "uint8"
end

-- What the attributes must say of pixels.
local function checked(path, a, pixels)
  if not pixels then fail(path, "holds no pixels") end
  a.SamplesPerPixel = a.SamplesPerPixel or 1
  for _, name in ipairs { "Rows", "Columns", "BitsAllocated" } do
    if not a[name] or a[name] < 1 then fail(path, "damaged DICOM: no %s", name) end
  end
  local frames = a.NumberOfFrames or 1
  if frames < 1 or frames % 1 ~= 0 or frames > 2 ^ 31 then
    fail(path, "damaged DICOM: %s frames", tostring(frames))
  end
  if a.SamplesPerPixel ~= 1 and a.SamplesPerPixel ~= 3 then
    fail(path, "has %d samples a pixel: 1 and 3 are read", a.SamplesPerPixel)
  end
  if not FLOATS[pixels.tag] and not WHOLE[a.BitsAllocated] then
    fail(path, "has %d bits a sample: 8, 16 and 32 are read", a.BitsAllocated)
  end
  if a.HighBit and a.BitsStored and a.HighBit ~= a.BitsStored - 1 then
    fail(path, "its bits are shifted, which is not read")
  end
  return math.floor(frames)
end

-- The pixels, frames x samples x rows x columns.
local function read_pixels(source, a, pixels, limit)
  local path, frames = source.path, checked(source.path, a, pixels)
  local h, w, c = a.Rows, a.Columns, a.SamplesPerPixel
  if not bytes.product({ frames, c, h, w }, limit / math.max(4, a.BitsAllocated / 8)) then
    fail(path, "claims more than max_bytes = %.0f", limit)
  end
  if pixels.length ~= UNDEFINED then
    local form = FLOATS[pixels.tag] and FLOATS[pixels.tag][1] or whole_of(a)
    local planar = c > 1 and a.PlanarConfiguration == 1
    local shape = planar and { frames, c, h, w } or { frames, h, w, c }
    local r = pixels.reader
    local x = r.source:tensor(pixels.at, form, shape, r.big, "its pixels")
    x = FLOATS[pixels.tag] and x or narrowed(x, a)
    return planar and x or x:permute(1, 4, 2, 3)
  end
  local codec = CODECS[a.TransferSyntaxUID]
  if not codec then fail(path, "the transfer syntax %s is not read", a.TransferSyntaxUID) end
  if PLUGIN[codec] then optional.open(PLUGIN[codec]) end
  local out = compressed_frames(pixels.reader, pixels, frames)
  for k, data in ipairs(out) do
    local fine, x = pcall(codec, path, data, a)
    if not fine then -- an op's error does not know the file
      local why = tostring(x):gsub("^[^:]*:%d+: ", ""):gsub(" %(bytes: .*$", "")
      al.native.raise(why:sub(1, #path) == path and why or path .. ": damaged DICOM: " .. why)
    end
    if x:size(1) ~= c or x:size(2) ~= h or x:size(3) ~= w then
      fail(path, "damaged DICOM: a frame is %s", table.concat(x.shape, "x"))
    end
    out[k] = x
  end
  local x = al.stack(out, 1)
  return x.dtype == "int32" and narrowed(x, a) or x
end

-- One file: frames x samples x rows x columns, scaled, and its attributes.
local function read_file(path, o)
  local source = bytes.file(path)
  local a, pixels = attributes(source, o.max_bytes)
  local x = read_pixels(source, a, pixels, o.max_bytes)
  local by_decoder = CODECS[a.TransferSyntaxUID] == by_jpeg
  if a.PhotometricInterpretation == "YBR_FULL" and x.dtype == "uint8" and not by_decoder then
    x = to_rgb(x)
  end
  local slope, shift = a.RescaleSlope or 1, a.RescaleIntercept or 0
  if o.scale and (slope ~= 1 or shift ~= 0) then
    x = x:to(x.dtype == "float64" and "float64" or "float32"):mul_(slope):add_(shift)
  end
  return x, a
end

-- ---- series ---------------------------------------------------------------------------------

local function paths_of(given)
  if type(given) == "table" then return given, true end
  local fine, lfs = pcall(require, "lfs")
  if not fine or lfs.attributes(given, "mode") ~= "directory" then return { given } end
  local paths = {}
  for name in lfs.dir(given) do
    local path = given .. "/" .. name
    if lfs.attributes(path, "mode") == "file" and bytes.read(path, 128, 4) == "DICM" then
      paths[#paths + 1] = path
    end
  end
  table.sort(paths)
  if #paths == 0 then fail(given, "holds no DICOM file") end
  return paths, true
end

-- The paths of one series, in the order of their places along the normal of their planes, or
-- else of their numbers.
local function ordered(given, paths, wanted, limit)
  local slices, series = {}, {}
  for _, path in ipairs(paths) do
    local a, pixels = attributes(bytes.file(path), limit)
    local id = a.SeriesInstanceUID or ""
    if pixels and (not wanted or id == wanted) then
      local at, to = a.ImagePositionPatient, a.ImageOrientationPatient
      slices[#slices + 1] = { path = path, number = a.InstanceNumber or 0, along = at and to
        and at[1] * (to[2] * to[6] - to[3] * to[5]) + at[2] * (to[3] * to[4] - to[1] * to[6])
        + at[3] * (to[1] * to[5] - to[2] * to[4]) }
      if not series[id] then series[#series + 1] = id end
      series[id] = true
    end
  end
  given = type(given) == "table" and tostring(given[1]) or given
  if #slices == 0 then fail(given, "holds no picture of the series") end
  if #series > 1 then
    fail(given, "holds %d series, say series = one of %s", #series, table.concat(series, ", "))
  end
  local placed = true
  for _, slice in ipairs(slices) do placed = placed and slice.along end
  table.sort(slices, function(x, y)
    local p, q = placed and x.along or x.number, placed and y.along or y.number
    if p ~= q then return p < q end
    return x.path < y.path
  end)
  return slices, placed
end

-- From column, row, slice (from 0) to millimetres, as DICOM counts them: x to the patient's
-- left, y to the back, z to the head.
local function geometry(about, first, last, n)
  local to, at = first.ImageOrientationPatient, first.ImagePositionPatient
  local step, deep = first.PixelSpacing, first.SpacingBetweenSlices or first.SliceThickness or 1
  if not to or not at or not step then
    about.spacing = step and { deep, step[1], step[2] }
    return
  end
  local normal = { to[2] * to[6] - to[3] * to[5], to[3] * to[4] - to[1] * to[6],
    to[1] * to[5] - to[2] * to[4] }
  about.affine = {}
  local length = 0
  for k = 1, 3 do
    local way = n > 1 and last.ImagePositionPatient
      and (last.ImagePositionPatient[k] - at[k]) / (n - 1) or normal[k] * deep
    length = length + way * way
    about.affine[k] = { to[k] * step[2], to[k + 3] * step[1], way, at[k] }
  end
  about.spacing = { math.sqrt(length), step[1], step[2] }
end

--- The picture of a DICOM file: H x W, C x H x W with colours (RGB), frames before them; or the
-- volume of a folder's series, or of a list of files, slices x H x W in the order of their
-- places. And a table of the first file's attributes by their names (Rows, PixelSpacing,
-- PatientID, ...; others as "0008,103e"), with spacing (slice, row, column, millimetres) and
-- affine (3 x 4, from column, row, slice counted from 0 to millimetres, x to the patient's
-- left, y to the back). Numbers are rescaled as the file says, to float32 (Hounsfield units of
-- CT), unless scale = false. Options: series (its UID, where a folder holds several), scale,
-- max_bytes (4e9).
function dicom.dicom(path, opts)
  local o = options("io.dicom", opts, { scale = true, max_bytes = LIMIT }, { "series" })
  local paths, several = paths_of(path)
  local slices = several and ordered(path, paths, o.series, o.max_bytes)
    or { { path = paths[1] } }
  local out, about, last = {}, nil, nil
  local left = o.max_bytes
  for k, slice in ipairs(slices) do
    local x, a = read_file(slice.path, { scale = o.scale, max_bytes = left })
    left = left - x:numel() * 4
    about, last = about or a, a
    if k > 1 and table.concat(x.shape, "x") ~= table.concat(out[1].shape, "x") then
      fail(slice.path, "is %s, the series began with %s", table.concat(x.shape, "x"),
        table.concat(out[1].shape, "x"))
    end
    out[k] = x
  end
  geometry(about, about, last, #slices)
  local x = #out == 1 and out[1] or al.cat(out, 1)
  if x:size(2) == 1 then x = x:squeeze(2) end
  if not several and x:size(1) == 1 then x = x:squeeze(1) end
  return x, about
end

return dicom
