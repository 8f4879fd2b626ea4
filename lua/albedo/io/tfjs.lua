--- TensorFlow.js layers models: model.json and the shards beside it, quantised or not.
-- Format: the weights manifest of tfjs-core's io/types.ts; a group's tensors lie one after
-- another in its shards, joined in the order of its paths.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local json = require "albedo.json"
local options = require "albedo.options"
local fail = bytes.fail

local tfjs = {}

local LIMIT, TEXT = 4000000000, 2 ^ 21 -- bytes of all weights, and of model.json
-- stored as -> block_read's name; int32 and bool for those without quantisation only
local STORED = { float32 = "F32", float16 = "F16", uint8 = "U8", uint16 = "U16", int32 = "I32",
  bool = "BOOL" }
local QUANTISED = { uint8 = true, uint16 = true, float16 = true }

local function is_list(v)
  if type(v) ~= "table" then return false end
  for key in pairs(v) do
    if type(key) ~= "number" then return false end
  end
  return true
end

local function finite(v) return type(v) == "number" and v - v == 0 end

-- One tensor of the manifest: { name, format, shape, size (bytes stored), scale, min, dtype }.
local function checked(path, w, limit)
  if type(w) ~= "table" or type(w.name) ~= "string" or w.name:find "%c" then
    fail(path, "a weight of the manifest has no name")
  end
  local q = w.quantization
  local stored = w.dtype
  if q ~= nil then
    stored = type(q) == "table" and q.dtype
    local linear = stored ~= "float16"
    if not QUANTISED[stored] or linear and not (finite(q.scale) and finite(q.min)) then
      fail(path, "%s has a quantisation of an unknown kind", w.name)
    end
  end
  local format = type(stored) == "string" and STORED[stored]
  if not format or w.dtype ~= "float32" and w.dtype ~= "int32" and w.dtype ~= "bool" then
    local dtype = tostring(w.dtype):gsub("%c", "?")
    fail(path, "%s has the dtype %s, which is not read", w.name, dtype)
  end
  local n = is_list(w.shape) and bytes.product(w.shape, limit / 4)
  if not n then fail(path, "%s has a wrong shape or claims more than max_bytes", w.name) end
  return { name = w.name, format = format, shape = w.shape, dtype = w.dtype,
    size = n * bytes.SIZES[format], linear = q ~= nil and stored ~= "float16" and q or nil }
end

-- The shards of a group as one source of bytes.
local function join(path, paths, want)
  local folder, size = path:match "^(.*/)[^/]*$" or "", 0
  local names = {}
  for i, name in ipairs(paths) do
    if type(name) ~= "string" or name == "" or name:find "[/\\%c]" or name == ".." then
      fail(path, "a shard's name is not that of a file beside it")
    end
    names[i] = folder .. name
    local file = io.open(names[i], "rb")
    if not file then fail(path, "its shard %s cannot be opened", name) end
    file:close()
    size = size + bytes.size(names[i])
    if size > want then break end
  end
  if size ~= want then
    fail(path, "its shards hold %s%.0f bytes, the weights need %.0f",
      size > want and "at least " or "", size, want)
  end
  if #names == 1 then return bytes.file(names[1]) end
  local parts = {}
  for i, name in ipairs(names) do
    local shard = bytes.file(name)
    parts[i] = shard:tensor(0, "U8", { shard.size })
  end
  return bytes.memory(path, #parts > 0 and al.cat(parts, 1) or al.zeros(0, { dtype = "uint8" }))
end

-- q scale + min in float64, as TensorFlow.js computes it.
local function value(source, offset, w)
  local x = source:tensor(offset, w.format, w.shape, false, w.name)
  if w.linear then
    x = x:to("float64"):mul_(w.linear.scale):add_(w.linear.min)
    if w.dtype ~= "float32" then x = x:round() end
  end
  return x:to(w.dtype)
end

local function read_group(path, group, state, budget)
  if type(group) ~= "table" or not is_list(group.paths) or not is_list(group.weights) then
    fail(path, "a group of the manifest has no paths or no weights")
  end
  local list, size = {}, 0
  for i, w in ipairs(group.weights) do
    list[i] = checked(path, w, budget)
    if state[list[i].name] ~= nil then fail(path, "two weights are named %s", list[i].name) end
    state[list[i].name] = false
    size = size + list[i].size
    budget = budget - list[i].size / bytes.SIZES[list[i].format] * 4
    if budget < 0 then fail(path, "the weights claim more than max_bytes") end
  end
  local source, at = join(path, group.paths, size), 0
  for _, w in ipairs(list) do
    state[w.name] = value(source, at, w)
    at = at + w.size
  end
  return budget
end

--- tfjs(path, {max_bytes = 4e9}): the weights of a TensorFlow.js layers model, name -> tensor
--- (float32, int32, bool; laid out as Keras', channels last), and its topology, the tables of
--- model.json. Shards lie beside the file. Quantised weights (8 and 16 bits, half) come back as
--- numbers.
function tfjs.tfjs(path, opts)
  local limit = options("io.tfjs", opts, { max_bytes = LIMIT }).max_bytes
  if bytes.size(path) > TEXT then fail(path, "is longer than %d bytes", TEXT) end
  local text = bytes.read(path, 0, TEXT)
  local _, tables = text:gsub("[%[{]", "")
  -- tables take twenty times their text: more of them than networks have is an attack
  if tables > 4096 + #text / 16 then fail(path, "holds no model of TensorFlow.js") end
  local ok, model = pcall(json.decode, text)
  local manifest = ok and type(model) == "table" and model.weightsManifest
  if not is_list(manifest) then fail(path, "holds no model of TensorFlow.js") end
  return al.scope(function()
    local state, budget = {}, limit
    for _, group in ipairs(manifest) do budget = read_group(path, group, state, budget) end
    return state, type(model.modelTopology) == "table" and model.modelTopology or {}
  end)
end

return tfjs
