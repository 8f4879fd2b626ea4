--- al.save and al.load: state dicts as safetensors files
-- (https://github.com/huggingface/safetensors), and every other file that holds tensors.
--
--   local x = al.load "x.npy"; al.save("x.npy", x); al.save("all.npz", { x = x, y = y })
--   al.save("net.safetensors", { model = net, optim = opt, step = 1200, note = "second run" })
--   local rest = al.load("net.safetensors", { model = net, optim = opt }) -- rest.step
--   local state = al.load "squeezenet.safetensors"                        -- name -> tensor
--   local file = al.io.open "squeezenet.safetensors"
--   file:names(); file:read "features.0.weight"
--
-- A value is a tensor, a number, a boolean, a string, an object with state_dict and
-- load_state_dict, or a table of these; what lies in an object or table gets its name as a
-- prefix: "model.0.weight". Numbers and booleans are stored as tensors of one element, to the
-- bit, and come back as they were; strings are metadata. Files appear whole or not at all.

local al = require "albedo"
local json = require "albedo.json"
local options = require "albedo.options"

local HEADER_LIMIT = 100 * 1024 * 1024
local FORMATS = {
  float64 = "F64", float32 = "F32", int64 = "I64", int32 = "I32", uint8 = "U8", bool = "BOOL",
  float16 = "F16", bfloat16 = "BF16",
}
local SIZES = {
  F64 = 8, F32 = 4, I64 = 8, I32 = 4, U8 = 1, BOOL = 1, F16 = 2, BF16 = 2, I8 = 1, I16 = 2,
  U16 = 2, U32 = 4,
}
-- metadata entries of our own: names of values that are Lua's and not tensors
local NUMBERS, BOOLEANS = "albedo.numbers", "albedo.booleans"

-- ---- writing --------------------------------------------------------------------------------

local function describe(v)
  return al.is_tensor(v) and "a tensor" or "a " .. type(v)
end

-- Gathers value under name into out = { tensors, strings, numbers, booleans }.
local function flatten(out, name, value, seen)
  local kind = type(value)
  if out.tensors[name] or out.strings[name] then
    error(("al.save: two values would be named %s"):format(name), 0)
  end
  if (kind == "number" or kind == "boolean") and name:find "\n" then
    error(("al.save: the name %q of a number holds a line's end"):format(name), 0)
  end
  if al.is_tensor(value) then
    out.tensors[name] = value
  elseif kind == "number" then
    local whole = math.type and math.type(value) == "integer"
    out.tensors[name] = al.tensor(value, { dtype = whole and "int64" or "float64" })
    table.insert(out.numbers, name)
  elseif kind == "boolean" then
    out.tensors[name] = al.tensor(value and 1 or 0, { dtype = "bool" })
    table.insert(out.booleans, name)
  elseif kind == "string" then
    if name == NUMBERS or name == BOOLEANS then
      error(("al.save: the name %s is taken"):format(name), 0)
    end
    out.strings[name] = value
  elseif kind == "table" then
    if seen[value] then error(("al.save: %s holds itself"):format(name), 0) end
    seen[value] = true
    local state = value
    if type(value.state_dict) == "function" then state = value:state_dict() end
    for key, part in pairs(state) do
      if type(key) ~= "string" and type(key) ~= "number" then
        error(("al.save: %s has a key that is %s"):format(name, describe(key)), 0)
      end
      flatten(out, name == "" and tostring(key) or name .. "." .. key, part, seen)
    end
    seen[value] = nil
  else
    error(("al.save: %s is %s, which no file can hold")
      :format(name == "" and "the state" or name, describe(value)), 0)
  end
end

-- Names in the order of the file: wide elements first, so that everything is aligned; then by
-- name.
local function file_order(tensors)
  local names = {}
  for name in pairs(tensors) do names[#names + 1] = name end
  local function size(name) return SIZES[FORMATS[tensors[name].dtype]] end
  table.sort(names, function(a, b)
    local x, y = size(a), size(b)
    if x ~= y then return x > y end
    return a < b
  end)
  return names
end

local function eight_bytes_up(text)
  return text .. (" "):rep(-#text % 8)
end

-- Writers of other files, by the name's ending.
local WRITERS = {
  npy = function(path, x) require("albedo.io.npy").write(path, x) end,
  npz = function(path, state, o)
    require("albedo.io.npy").write_archive(path, state, o.compress)
  end,
  pth = function(path, state) return require("albedo.io.torch").write(path, state) end,
}
WRITERS.pt = WRITERS.pth

--- Writes a state (see above) to a safetensors file, and returns the number of tensors; a
-- tensor to a file named .npy, a table of tensors to one named .npz, a state to one named .pth
-- or .pt as PyTorch's checkpoint (numbers and tables as they are). Options: compress (npz:
-- false).
local function save(path, state, opts)
  if type(path) ~= "string" then
    error("al.save(path, state): path is " .. describe(path), 2)
  end
  local writer = WRITERS[path:match "%.(%w+)$"]
  if type(state) ~= "table" and not (writer and path:find "%.npy$") then
    error("al.save(path, state): state is " .. describe(state), 2)
  end
  if writer then
    return writer(path, state, options("save", opts, { compress = false }))
  end
  local out = { tensors = {}, strings = {}, numbers = {}, booleans = {} }
  local ok, message = pcall(flatten, out, "", state, {})
  if not ok then error(message, 2) end

  local names, header, list, offset = file_order(out.tensors), {}, {}, 0
  for i, name in ipairs(names) do
    local t = out.tensors[name]:detach()
    local format = FORMATS[t.dtype]
    local bytes = t:numel() * SIZES[format]
    header[name] = { dtype = format, shape = t.shape,
      data_offsets = { offset, offset + bytes } }
    offset = offset + bytes
    list[i] = t
  end
  for key, group in pairs { [NUMBERS] = out.numbers, [BOOLEANS] = out.booleans } do
    table.sort(group)
    if #group > 0 then out.strings[key] = table.concat(group, "\n") end
  end
  if header.__metadata__ then error("al.save: __metadata__ cannot name a tensor", 2) end
  if next(out.strings) then header.__metadata__ = json.object(out.strings) end
  local text = eight_bytes_up((json.encode(json.object(header))))
  ok, message = pcall(al.blocks_write, path, text, list)
  if not ok then
    error("al.save: " .. (message:match "blocks_write: (.-) %(path=" or message), 2)
  end
  return #names
end

-- ---- reading --------------------------------------------------------------------------------

local function whole(v) return type(v) == "number" and v >= 0 and v < 2 ^ 53 and v % 1 == 0 end

-- Number of elements of a shape from a file, or nil and what is wrong.
local function count_of(shape)
  if type(shape) ~= "table" then return nil, "has no shape" end
  local n, most, dims = 1.0, 1.0, 0 -- most: zeros left out, as strides are counted
  for key, size in pairs(shape) do
    if not whole(key) or not whole(size) then
      return nil, "has a shape that is no list of sizes"
    end
    n, most, dims = n * size, most * math.max(size, 1), dims + 1
  end
  if dims ~= #shape then return nil, "has a shape that is no list of sizes" end
  if dims > 8 then return nil, ("has %d dims, at most 8 are possible"):format(dims) end
  if n == 0 and most >= 2 ^ 53 then return nil, "has a shape that is too large" end
  return n
end

-- A name from a file, fit for one line.
local function printable(name) return (tostring(name):gsub("%c", "?")) end

-- Checks one entry of a header against `available` bytes of data. Returns what is wrong with
-- it, or nil.
local function fault(entry, available)
  if type(entry) ~= "table" then return "is no object" end
  local size = SIZES[entry.dtype]
  if not size then return ("has the unknown dtype %s"):format(printable(entry.dtype)) end
  local n, reason = count_of(entry.shape)
  if not n then return reason end
  local offsets = entry.data_offsets
  local first, last
  if type(offsets) == "table" then first, last = offsets[1], offsets[2] end
  if not whole(first) or not whole(last) or #offsets ~= 2 or first > last then
    return "has wrong data_offsets"
  end
  if last > available then return "lies beyond the end of the file" end
  if last - first ~= n * size then
    return ("has %.0f bytes of data, its shape needs %.0f"):format(last - first, n * size)
  end
  return nil
end

-- The names in the order of their data, which must follow one another without gaps up to the
-- end.
local function check_layout(entries, available)
  local names = {}
  for name in pairs(entries) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    local x, y = entries[a].data_offsets, entries[b].data_offsets
    if x[1] ~= y[1] then return x[1] < y[1] end
    if x[2] ~= y[2] then return x[2] < y[2] end
    return a < b
  end)
  local at = 0
  for _, name in ipairs(names) do
    local offsets = entries[name].data_offsets
    if offsets[1] ~= at then
      return nil, ("%s %s")
        :format(name, offsets[1] < at and "overlaps another tensor" or "leaves a gap before it")
    end
    at = offsets[2]
  end
  if at ~= available then
    return nil, ("%.0f bytes at the end belong to no tensor"):format(available - at)
  end
  return names
end

-- Header text, data start, data bytes; or nil and what is wrong.
local function read_header(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local size = file:seek "end"
  file:seek "set"
  local first = file:read(8) or ""
  local text, length = nil, 0
  if not size or size > 2 ^ 53 then
    message = "cannot be read"
  elseif #first < 8 then
    message = (size == 0 and "is empty, and so " or "is too short, and so ")
      .. "no safetensors file"
  else
    for i = 8, 1, -1 do length = length * 256.0 + first:byte(i) end
    if length > HEADER_LIMIT then
      message = ("claims a header of %.0f bytes, the limit is %d"):format(length, HEADER_LIMIT)
    elseif length > size - 8 then
      message = ("claims a header of %.0f bytes, the file has %d"):format(length, size)
    else
      text = file:read(math.floor(length)) or ""
      if #text ~= length then text, message = nil, "ended early" end
    end
  end
  file:close()
  if not text then return nil, path .. " " .. message end
  return text, math.floor(8 + length), size - 8 - length
end

local File = {}
File.__index = File

-- Whether a large header can hold what its brackets and commas, outside strings, promise: an
-- entry is no shorter than "a":{"dtype":"U8","shape":[],"data_offsets":[0,0]} and has 8 dims
-- at most. Tables take many times the memory of their text.
local function plausible(text)
  if #text < 1000000 then return true end
  local marks = text:gsub("\\.", ""):gsub('"[^"]*"', ""):gsub("[^%[{,]+", "")
  local entries = #text / 45 + 3
  local braces, brackets = #marks:gsub("[^{]", ""), #marks:gsub("[^%[]", "")
  return braces <= entries and brackets <= 2 * entries and #marks <= 14 * entries
end

-- Opens and checks; nil and the reason when the file is not sound.
local function open_file(path)
  local text, start, available = read_header(path)
  if not text then return nil, start end
  local decode = json.decode -- outside pcall: a missing JSON package is not the file's fault
  local ok, entries = pcall(plausible(text) and decode or error, text)
  if not ok or type(entries) ~= "table" or text:byte(1) ~= 123 then
    return nil, path .. " has no safetensors header"
  end
  local metadata = entries.__metadata__ or {}
  entries.__metadata__ = nil
  if type(metadata) ~= "table" then return nil, path .. ": __metadata__ is no object" end
  for key, value in pairs(metadata) do
    if type(key) ~= "string" or type(value) ~= "string" then
      return nil, path .. ": __metadata__ holds more than strings"
    end
  end
  for name, entry in pairs(entries) do
    local reason = fault(entry, available)
    if reason then return nil, ("%s: %s %s"):format(path, printable(name), reason) end
  end
  local names, reason = check_layout(entries, available)
  if not names then return nil, path .. ": " .. printable(reason) end
  return setmetatable({ path = path, metadata = metadata, entries = entries, order = names,
    start = start }, File)
end

--- The names of the tensors, in the order of the file.
function File:names()
  local names = {}
  for i, name in ipairs(self.order) do names[i] = name end
  return names
end

--- The tensor of a name. Large ones view the file (memory-mapped): pages are read when used,
-- and copied when written to, so the file stays as it is. It may be replaced or removed, as
-- al.save does; a program that cuts it short under us ends us with a bus error.
function File:read(name)
  local entry = self.entries[name]
  if not entry then error(("%s holds no %s"):format(self.path, tostring(name)), 2) end
  return al.block_read(self.path, self.start + entry.data_offsets[1], entry.dtype, entry.shape,
    { map = true })
end

-- What a name's ending says a file is, in the words of an error about one that is not.
local CALLED = {
  npy = "npy array", npz = "npz archive", pth = "PyTorch checkpoint", dcm = "DICOM file",
  nii = "NIfTI file", idx = "IDX file", gz = "gzip file", csv = "CSV table",
  mstar = "MSTAR chip", svs = "slide that al.load takes: al.io.slide does",
  png = "picture that al.load takes: al.image.load does",
}
CALLED.pt, CALLED.ndpi, CALLED.mrxs = CALLED.pth, CALLED.svs, CALLED.svs
for _, ending in ipairs { "jpg", "jpeg", "bmp", "pgm", "ppm", "pnm", "tif", "tiff" } do
  CALLED[ending] = CALLED.png
end

-- Raises where a file, none of those told by their content, is named as another than
-- safetensors and does not look like one either.
local function check_name(path)
  local called = CALLED[(path:match "%.(%w+)$" or ""):lower()]
  local file = called and io.open(path, "rb")
  if not file then return end
  local first = file:read(9) or ""
  file:close()
  if first:sub(9) == "{" then return end
  al.raise(("al.load: %s is %sno %s")
    :format(path, first == "" and "empty, and so " or "", called))
end

--- Opens a safetensors file and checks its header; tensors are read when asked for.
local function open(path)
  check_name(path)
  local file, reason = open_file(path)
  if not file then al.raise("al.load: " .. reason) end
  return file
end

local function lines(text)
  local set = {}
  for line in (text or ""):gmatch "[^\n]+" do set[line] = true end
  return set
end

-- Everything in a file: name -> tensor, number, boolean or string.
local function read_all(file)
  local numbers, booleans, state = lines(file.metadata[NUMBERS]),
    lines(file.metadata[BOOLEANS]), {}
  for _, name in ipairs(file.order) do
    local t = file:read(name)
    if (numbers[name] or booleans[name]) and t:numel() == 1 then
      t = t:item()
      if booleans[name] then t = t == true or t == 1 end
    end
    state[name] = t
  end
  for key, value in pairs(file.metadata) do
    if key ~= NUMBERS and key ~= BOOLEANS then state[key] = value end
  end
  return state
end

-- Moves the entries "prefix.*" out of state into a table of their own.
local function take(state, prefix)
  local part, names = {}, {}
  for name in pairs(state) do
    if name:sub(1, #prefix + 1) == prefix .. "." then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do
    part[name:sub(#prefix + 2)] = state[name]
    state[name] = nil
  end
  return part, #names
end

-- What a file is, by its first bytes; nil: safetensors.
local function kind_of(path, limit)
  limit = limit or 4000000000
  local file = io.open(path, "rb")
  local first = file and file:read(8) or ""
  local medical = file and file:seek("set", 128) and file:read(4) == "DICM"
  if file then file:close() end
  if medical then return "dicom" end
  if first:sub(1, 6) == "\147NUMPY" then return "npy" end
  if first:sub(1, 4) == "PK\3\4" or first:sub(1, 4) == "PK\5\6" then return "zip" end
  if first:sub(1, 4) == "\128\2\138\10" then return "old" end
  if path:find "%.csv$" then return "csv" end
  if path:find "%.json$" then return "tfjs" end
  if path:find "%.se?gy$" then return "segy" end
  local two, four = first:sub(1, 2), first:sub(1, 4)
  if two ~= "\31\139" and two ~= "\0\0" and four ~= "\92\1\0\0" and four ~= "\28\2\0\0"
    and first ~= "[Phoenix" then
    return nil
  end
  local source = require("albedo.io.bytes").source(path, limit)
  return require("albedo.io.volume").kind(source) or require("albedo.io.nifti").kind(source)
end

local function read_zip(path, o)
  local z = require("albedo.io.zip").open(path, o.max_bytes)
  local torch = require "albedo.io.torch"
  if torch.entry(z) then return torch.read(z, o.max_bytes) end
  return require("albedo.io.npy").read_archive(z, o.max_bytes)
end

-- Readers of other files: path, options -> value.
local READERS = {
  npy = function(path, o) return require("albedo.io.npy").read(path, o.max_bytes) end,
  zip = read_zip,
  csv = function(path, o) return require("albedo.io.text").csv(path, o) end,
  idx = function(path, o) return require("albedo.io.volume").idx(path, o) end,
  nifti = function(path, o) return (require("albedo.io.nifti").nifti(path, o)) end,
  dicom = function(path, o) return (require("albedo.io.dicom").dicom(path, o)) end,
  segy = function(path, o) return (require("albedo.io.segy").segy(path, o)) end,
  tfjs = function(path, o) return (require("albedo.io.tfjs").tfjs(path, o)) end,
  mstar = function(path, o) return (require("albedo.io.volume").mstar(path, o)) end,
  old = function(path)
    al.native.raise(path .. ": a checkpoint of PyTorch before 1.6: save it there again")
  end,
}

-- What stored elements grow by when they are read.
local WIDER = { I8 = 4, I16 = 2, U16 = 2, U32 = 2 }

local function read_safetensors(path, o)
  local file, total = open(path), 0
  for _, entry in pairs(file.entries) do
    total = total + (entry.data_offsets[2] - entry.data_offsets[1]) * (WIDER[entry.dtype] or 1)
  end
  if o and total > o.max_bytes then
    al.raise(("al.load: %s claims %.0f bytes, more than max_bytes = %.0f")
      :format(path, total, o.max_bytes))
  end
  return read_all(file)
end

--- What a file holds, told by its content: see al.load. Options: max_bytes (4e9), what it may
-- claim.
local function read(path, opts)
  local o = options("io.read", opts, { max_bytes = 4000000000 })
  return (READERS[kind_of(path, o.max_bytes)] or read_safetensors)(path, o)
end

-- What is left of a file prints as what went where, and the names of the rest.
local function said(state, parts)
  local names = {}
  for name in pairs(state) do names[#names + 1] = name end
  table.sort(parts)
  table.sort(names)
  local text = table.concat(parts, "\n")
  if names[1] then text = text .. "\nleft, by name: " .. table.concat(names, ", ") end
  return setmetatable(state, { __tostring = function() return text end })
end

--- Reads a safetensors file: name -> value (its large tensors view the file: see io.open); npy
-- gives a tensor, npz name -> tensor, PyTorch's
-- .pth and .pt what they hold, as tables (no code of the file runs). With `into`, a table of
-- objects, each object's part is handed to its load_state_dict (a tensor's to its copy_) and
-- left out of what is returned. `load_options` go to load_state_dict.
local function load(path, into, load_options)
  if type(path) ~= "string" then error("al.load(path, into): path is " .. describe(path), 2) end
  local reader = READERS[kind_of(path)]
  local state = reader and reader(path, {}) or not reader and read_safetensors(path)
  if into and type(state) ~= "table" then
    error(("al.load: %s holds one tensor, nothing by name"):format(path), 2)
  end
  local parts = {}
  for name, target in pairs(into or {}) do
    if al.is_tensor(target) then
      if not al.is_tensor(state[name]) then
        error(("al.load: %s holds no tensor %s"):format(path, name), 2)
      end
      if table.concat(target.shape, "x") ~= table.concat(state[name].shape, "x") then
        error(("al.load: %s of %s has shape %s, not %s"):format(name, path,
          table.concat(state[name].shape, "x"), table.concat(target.shape, "x")), 2)
      end
      al.no_grad(function() target:copy_(state[name]) end)
      state[name] = nil
    else
      local part, n = take(state, name)
      if n == 0 then error(("al.load: %s holds nothing named %s.*"):format(path, name), 2) end
      if type(target) ~= "table" or not target.load_state_dict then
        error(("al.load: %s has no load_state_dict"):format(name), 2)
      end
      local report = target:load_state_dict(part, load_options)
      parts[#parts + 1] = ("%s: %s"):format(name, report and tostring(report) or "taken")
    end
  end
  return parts[1] and said(state, parts) or state
end

--- The weights in a file, safetensors or PyTorch's: name -> tensor, and the file's metadata.
local function weights(path)
  if kind_of(path) == "zip" then
    local value = read(path)
    if type(value) ~= "table" then error(path .. " holds no state dict", 2) end
    return require("albedo.io.torch").state_dict(value), {}
  end
  local file, state = open(path), {}
  for _, name in ipairs(file:names()) do state[name] = file:read(name) end
  return state, file.metadata
end

--- Whether a file or folder of that name can be opened.
local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- Makes a folder, and those around it, where they are missing.
local function make_folder(path)
  local done = os.execute("mkdir -p -- '" .. path:gsub("'", "'\\''") .. "'")
  if done ~= true and done ~= 0 then error("the folder " .. path .. " cannot be made", 0) end
end

local io_part = {
  save = save, load = load, open = open, read = read, weights = weights, exists = exists,
  make_folder = make_folder,
}
for _, part in ipairs { "volume", "nifti", "segy", "dicom", "slide", "text", "tfjs" } do
  for name, f in pairs(require("albedo.io." .. part)) do
    if name ~= "kind" then io_part[name] = f end
  end
end
return io_part
