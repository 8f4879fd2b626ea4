--- PyTorch's checkpoints (.pth, .pt, since PyTorch 1.6): a zip archive of a pickle and the
-- storages of its tensors. No code of the file runs.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local pickle = require "albedo.io.pickle"
local zip = require "albedo.io.zip"

local torch = {}

-- Storages by type: the stored format, and how many of it make an element.
local STORAGES = {
  Float = { "F32", 1 }, Double = { "F64", 1 }, Half = { "F16", 1 }, BFloat16 = { "BF16", 1 },
  Long = { "I64", 1 }, Int = { "I32", 1 }, Short = { "I16", 1 }, Char = { "I8", 1 },
  Byte = { "U8", 1 }, Bool = { "BOOL", 1 }, ComplexFloat = { "F32", 2 },
  ComplexDouble = { "F64", 2 },
}

--- The pickle's entry in an archive; nil when it is no checkpoint.
function torch.entry(z)
  for _, name in ipairs(z.order) do
    if name:match "^[^/]*/data%.pkl$" or name == "data.pkl" then return name end
  end
  return nil
end

-- Whether dims in this order follow one another in memory without gaps.
local function dense(size, stride, order)
  local step = 1
  for k = #order, 1, -1 do
    local i = order[k]
    if size[i] ~= 1 and stride[i] ~= step then return false end
    step = step * size[i]
  end
  return true
end

-- Part of a storage, 1-dim, as the tensor of those strides: a view where that is possible.
local function strided(x, offset, size, stride, n)
  local order = {}
  for i = 1, #size do order[i] = i end
  if not dense(size, stride, order) then
    table.sort(order, function(a, b)
      if stride[a] ~= stride[b] then return stride[a] > stride[b] end
      return a < b
    end)
  end
  if n == 0 then return al.zeros(size, { dtype = x.dtype }) end
  if dense(size, stride, order) then
    local sizes, back = {}, {}
    for k, i in ipairs(order) do sizes[k], back[i] = size[i], k end
    local y = x:narrow(1, offset + 1, n):reshape(sizes)
    return #size > 1 and y:permute(back) or y
  end
  local at = al.full({ 1 }, offset + 1, { dtype = "int64" })
  for i = 1, #size do
    at = at:unsqueeze(-1) + al.arange(0, size[i] - 1):to "int64" * stride[i]
  end
  return x:index_select(1, at:reshape(-1)):reshape(size)
end

local function whole(v) return type(v) == "number" and v >= 0 and v < 2 ^ 53 and v % 1 == 0 end

local function whole_list(list)
  for _, v in ipairs(list) do if not whole(v) then return false end end
  return true
end

-- A function that gives storages by their persistent id, each read once.
local function reader(z, prefix)
  local big, read = false, {}
  if z.entries[prefix .. "byteorder"] then
    big = zip.source(z, prefix .. "byteorder"):text(0, 3) == "big"
  end
  return function(m, id)
    local kind = type(id) == "table" and m.kinds[id] == "storage" and id[1] == "storage"
      and m.kinds[id[2]] == "name" and STORAGES[id[2][1]:match "^torch (%w+)Storage$" or ""]
    if not kind or type(id[3]) ~= "string" or not whole(id[5]) then
      m:fail "has a storage of an unknown kind"
    end
    local key = id[3] .. " " .. kind[1]
    read[key] = read[key] or zip.source(z, prefix .. "data/" .. id[3])
      :tensor(0, kind[1], { id[5] * kind[2] }, big, "storage " .. id[3])
    return read[key], kind[2]
  end
end

--- What a checkpoint's archive holds: dicts, lists and tuples become tables (lists from 1),
-- None is nil. Tensors on one storage stay so.
function torch.read(z, max_bytes)
  local name = torch.entry(z)
  local prefix, budget = name:sub(1, -9), max_bytes or 4000000000
  local storage = reader(z, prefix)
  local function rebuild(m, args)
    local x, parts = storage(m, args[1])
    local offset, size, stride = args[2], args[3], args[4]
    if not whole(offset) or m.kinds[size] ~= "tuple" or m.kinds[stride] ~= "tuple"
      or #size ~= #stride or not whole_list(size) or not whole_list(stride) then
      m:fail "has a tensor of a wrong shape"
    end
    local shape, steps = {}, {}
    for i = 1, #size do shape[i], steps[i] = size[i], stride[i] * parts end
    if parts == 2 then shape[#shape + 1], steps[#steps + 1] = 2, 1 end
    local n = bytes.product(shape, budget)
    if not n then m:fail("has a tensor larger than max_bytes = %.0f", budget) end
    local last = offset * parts
    for i = 1, #shape do last = last + math.max(shape[i] - 1, 0) * steps[i] end
    if n > 0 and last >= x:numel() then m:fail "has a tensor beyond its storage" end
    return strided(x, offset * parts, shape, steps, n)
  end
  local source = zip.source(z, name)
  return pickle(z.path, source:text(0, source.size), rebuild, budget)
end

-- ---- writing --------------------------------------------------------------------------------

local TYPES = {
  float32 = "Float", float64 = "Double", float16 = "Half", bfloat16 = "BFloat16",
  int64 = "Long", int32 = "Int", uint8 = "Byte", bool = "Bool",
}

-- A pickle being written: out (its parts), storages (tensors), place (tensor -> key), open (the
-- tables around).
local Writer = {}
Writer.__index = Writer

function Writer:put(...)
  for k = 1, select("#", ...) do self.out[#self.out + 1] = (select(k, ...)) end
end

function Writer:text(s) self:put("X", bytes.put(#s, 4), s) end

function Writer:number(v)
  local integer = v % 1 == 0 and math.abs(v) < 2 ^ 53
  if math.type then integer = math.type(v) == "integer" end
  if not integer then
    self:put("G", (al.tensor(v, { dtype = "float64" }):bytes():reverse()))
  elseif v >= -2 ^ 31 and v < 2 ^ 31 then
    self:put("J", bytes.put(v % 2 ^ 32, 4))
  else
    self:put("\138\8", (al.tensor(v, { dtype = "int64" }):bytes()))
  end
end

function Writer:sizes(list)
  self:put "("
  for _, v in ipairs(list) do self:number(v) end
  self:put "t"
end

-- A call of _rebuild_tensor_v2: a storage of the tensor's own, its elements in order.
function Writer:tensor(x)
  local key = self.place[x]
  if not key then
    key = #self.storages + 1
    self.storages[key], self.place[x] = x:detach(), key
  end
  local steps, step = {}, 1
  for k = x.ndim, 1, -1 do steps[k], step = step, step * x:size(k) end
  self:put "ctorch._utils\n_rebuild_tensor_v2\n(("
  self:text "storage"
  self:put("ctorch\n", TYPES[x.dtype], "Storage\n")
  self:text(("%d"):format(key - 1))
  self:text "cpu"
  self:number(x:numel())
  self:put "tQJ\0\0\0\0"
  self:sizes(x.shape)
  self:sizes(steps)
  self:put "\137ccollections\nOrderedDict\n)RtR"
end

-- A table 1 .. n is a list, any other a dict in the order of its keys' names.
function Writer:table(t, where)
  if self.open[t] then bytes.fail(self.path, "%s holds itself", where) end
  self.open[t] = true
  if type(t.state_dict) == "function" then t = t:state_dict() end
  local keys, list = {}, #t > 0
  for key in pairs(t) do
    keys[#keys + 1] = key
    if type(key) ~= "string" and type(key) ~= "number" then
      bytes.fail(self.path, "%s has a key that is a %s", where, type(key))
    end
    list = list and type(key) == "number"
  end
  list = list and #keys == #t
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  self:put(list and "](" or "}(")
  for _, key in ipairs(keys) do
    if not list then self:value(key, where) end
    self:value(t[key], where .. "." .. tostring(key))
  end
  self:put(list and "e" or "u")
end

function Writer:value(v, where)
  local kind = type(v)
  if al.is_tensor(v) then
    self:tensor(v)
  elseif kind == "number" then
    self:number(v)
  elseif kind == "string" then
    self:text(v)
  elseif kind == "boolean" then
    self:put(v and "\136" or "\137")
  elseif kind == "table" then
    local t = v
    self:table(v, where)
    self.open[t] = nil
  else
    bytes.fail(self.path, "%s is a %s, which no checkpoint can hold", where, kind)
  end
end

--- Writes a table of tensors, numbers, booleans, strings, tables of these and objects with
-- state_dict as torch.save would (since PyTorch 1.6), whole or not at all; returns the number
-- of tensors. Each tensor gets a storage of its own.
function torch.write(path, state)
  local w = setmetatable(
    { path = path, out = {}, storages = {}, place = {}, open = {} }, Writer)
  w:put "\128\2"
  w:value(state, "the state")
  w:put "."
  local function text(s) return al.from_bytes(s, "uint8") end
  local list = { { "archive/data.pkl", text(table.concat(w.out)) } }
  for k, x in ipairs(w.storages) do list[k + 1] = { ("archive/data/%d"):format(k - 1), x } end
  list[#list + 1] = { "archive/version", text "3\n" }
  zip.save(path, list)
  return #w.storages
end

-- ---- state dicts ----------------------------------------------------------------------------

local WRAPPED = { "state_dict", "model_state_dict", "model" }

--- The state dict in what a checkpoint held: the table of tensors, by itself or under one of
-- the usual names, without the prefix that DataParallel adds.
function torch.state_dict(value)
  for _, key in ipairs(WRAPPED) do
    if type(value[key]) == "table" then value = value[key] end
  end
  local state, prefixed = {}, true
  for name, x in pairs(value) do
    if al.is_tensor(x) then
      state[name] = x
      prefixed = prefixed and type(name) == "string" and name:sub(1, 7) == "module."
    end
  end
  if not prefixed then return state end
  local short = {}
  for name, x in pairs(state) do short[name:sub(8)] = x end
  return short
end

return torch
