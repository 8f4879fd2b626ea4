--- The graph that al.onnx.save builds up: names of values, nodes, constants, and its bytes.
-- Fields by the numbers of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).

local al = require "albedo"
local protobuf = require "albedo.onnx.protobuf"
local message, int, bytes = protobuf.message, protobuf.int, protobuf.bytes

local OPSET, IR = 13, 7
local types = {
  float32 = 1, uint8 = 2, int32 = 6, int64 = 7, bool = 9, float16 = 10, float64 = 11,
  bfloat16 = 16,
}

local Graph = {}
Graph.__index = Graph

--- nodes: { op, inputs, outputs, attributes } in order; value: tensor -> the name of what the
-- net computes; constant: tensor -> the name of a constant; made: tensors that traced ops
-- computed from constants alone; named: tensor -> the name a parameter or buffer goes by;
-- initializers: { name, dtype, shape, data }; batch: the name of an open dim 1, or nil.
local function new(named, batch)
  return setmetatable({ batch = batch, named = named, nodes = {}, value = {}, constant = {},
    made = {}, initializers = {}, count = {}, cache = {} }, Graph)
end

local function numbered(self, base)
  self.count[base] = (self.count[base] or 0) + 1
  return ("%s_%d"):format(base, self.count[base])
end

local function initializer(self, name, dtype, shape, data)
  table.insert(self.initializers, { name = name, dtype = dtype, shape = shape, data = data })
  return name
end

--- A list of whole numbers as a constant.
function Graph:ints(list)
  local name = "ints_" .. table.concat(list, "_"):gsub("%-", "minus")
  if not self.cache[name] then
    self.cache[name] = initializer(self, name, "int64", { #list },
      #list > 0 and al.tensor(list, { dtype = "int64" }):bytes() or "")
  end
  return name
end

--- A number as a constant of a dtype, without dims.
function Graph:number(v, dtype)
  local key = ("%s %.17g"):format(dtype, v)
  if not self.cache[key] then
    self.cache[key] = initializer(self, numbered(self, "number"), dtype, {},
      al.tensor(v, { dtype = "float64" }):to(dtype):bytes())
  end
  return self.cache[key]
end

--- A tensor, as it is now, as a constant.
function Graph:fixed(t, base)
  return initializer(self, numbered(self, base or "constant"), t.dtype, t.shape, t:bytes())
end

--- Whether a tensor is computed from the inputs.
function Graph:traced(t) return al.is_tensor(t) and self.value[t] ~= nil end

--- Raises for a tensor that depends on the inputs in a way that was not seen.
function Graph:check(t)
  if self.value[t] or self.made[t] or not t.requires_grad or t.is_leaf then return end
  al.native.raise(("onnx: the result of %s is out of sight: it is no op's"):format(t.grad_fn))
end

--- The name of a tensor's value: what a node gave, a parameter's, or a new constant's.
function Graph:name(t)
  local name = self.value[t] or self.constant[t]
  if name then return name end
  self:check(t)
  if self.named[t] then
    name = initializer(self, self.named[t], t.dtype, t.shape, t:detach())
  else
    name = self:fixed(t:detach())
  end
  self.constant[t] = name
  return name
end

local function names_of(self, inputs)
  local names = {}
  for i, v in ipairs(inputs) do
    names[i] = type(v) == "string" and v or v == false and "" or self:name(v)
  end
  return names
end

--- Appends a node. inputs: tensors, names, or false for an absent one. attributes: name ->
-- number, string or list of numbers; whole numbers are integers but those named in `floats`.
-- Returns the name of its output, or a list of `outputs` names.
function Graph:node(op, inputs, attributes, outputs)
  local names = {}
  for i = 1, outputs or 1 do names[i] = numbered(self, op:lower()) end
  table.insert(self.nodes, { op = op, inputs = names_of(self, inputs), outputs = names,
    attributes = attributes or {} })
  if outputs then return names end
  return names[1]
end

--- Raises: what has no translation.
function Graph:unknown(what) -- luacheck: ignore self
  al.native.raise(("onnx: %s has no translation"):format(what))
end

function Graph:cast(x, dtype) return self:node("Cast", { x }, { to = types[dtype] }) end

--- x (or the value of that name, which has the dims of `like`) in another shape. A first dim
-- that stays is taken from x: it may be open.
function Graph:reshape(x, shape, like)
  local first = (like or al.is_tensor(x) and x or {}).shape
  local to = {}
  if al.is_tensor(x) and table.concat(first, "x") == table.concat(shape, "x") then
    return self:name(x)
  end
  for i, n in ipairs(shape) do to[i] = n end
  if first and self.batch and first[1] == to[1] then to[1] = 0 end
  return self:node("Reshape", { x, self:ints(to) })
end

--- From now on tensor t is the value of that name.
function Graph:set(t, name) self.value[t] = name end

-- Attributes that are floats even where their value is whole.
local floats = { alpha = true, beta = true, gamma = true, epsilon = true }

local function attribute(name, v)
  local m = message()
  bytes(m, 1, name)
  if type(v) == "string" then
    bytes(m, 4, v)
    int(m, 20, 3)
  elseif type(v) == "table" and type(v[1]) == "string" then
    for _, s in ipairs(v) do bytes(m, 9, s) end
    int(m, 20, 8)
  elseif type(v) == "table" then
    for _, i in ipairs(v) do int(m, 8, i) end
    int(m, 20, 7)
  elseif floats[name] then
    protobuf.float(m, 2, v)
    int(m, 20, 1)
  else
    int(m, 3, v)
    int(m, 20, 2)
  end
  return m
end

local function node(n, renamed)
  local m = message()
  for _, name in ipairs(n.inputs) do bytes(m, 1, renamed[name] or name) end
  for _, name in ipairs(n.outputs) do bytes(m, 2, renamed[name] or name) end
  bytes(m, 3, "node_" .. n.outputs[1])
  bytes(m, 4, n.op)
  local keys = {}
  for key in pairs(n.attributes) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do bytes(m, 5, attribute(key, n.attributes[key])) end
  return m
end

local function constant(c)
  local m = message()
  for _, size in ipairs(c.shape) do int(m, 1, size) end
  int(m, 2, types[c.dtype])
  bytes(m, 8, c.name)
  bytes(m, 9, c.data)
  return m
end

-- An input or output. batch: the name of dim 1 where its size is open.
local function value_info(v, batch)
  local shape, tensor, kind, m = message(), message(), message(), message()
  for i, size in ipairs(v.shape) do
    local dim = message()
    if i == 1 and batch then bytes(dim, 2, batch) else int(dim, 1, size) end
    bytes(shape, 1, dim)
  end
  int(tensor, 1, types[v.dtype])
  bytes(tensor, 2, shape)
  bytes(kind, 1, tensor)
  bytes(m, 1, v.name)
  bytes(m, 2, kind)
  return m
end

-- The nodes that outputs need, and the names these read.
local function needed(self, outputs)
  local wanted, keep = {}, {}
  for _, o in ipairs(outputs) do wanted[o.value] = true end
  for i = #self.nodes, 1, -1 do
    local n, used = self.nodes[i], false
    for _, name in ipairs(n.outputs) do used = used or wanted[name] end
    if used then
      table.insert(keep, 1, n)
      for _, name in ipairs(n.inputs) do wanted[name] = true end
    end
  end
  return keep, wanted
end

--- The file's message. inputs: { name, dtype, shape }; outputs: the same and `value`, the name
-- of what each is.
function Graph:encode(inputs, outputs, title)
  local renamed, made = {}, {}
  for _, n in ipairs(self.nodes) do
    for _, name in ipairs(n.outputs) do made[name] = true end
  end
  for _, out in ipairs(outputs) do
    if renamed[out.value] or not made[out.value] then
      out.value = self:node("Identity", { out.value })
    end
    renamed[out.value] = out.name
  end
  local nodes, wanted = needed(self, outputs)
  local g, opset, m = message(), message(), message()
  for _, n in ipairs(nodes) do bytes(g, 1, node(n, renamed)) end
  bytes(g, 2, title)
  for _, c in ipairs(self.initializers) do
    if wanted[c.name] then bytes(g, 5, constant(c)) end
  end
  for _, v in ipairs(inputs) do bytes(g, 11, value_info(v, self.batch)) end
  for _, v in ipairs(outputs) do bytes(g, 12, value_info(v, self.batch)) end
  bytes(opset, 1, "")
  int(opset, 2, OPSET)
  int(m, 1, IR)
  bytes(m, 2, "albedo")
  bytes(m, 3, al.version().version)
  bytes(m, 7, g)
  bytes(m, 8, opset)
  if m.size >= 2 ^ 31 then
    al.native.raise(("onnx: the file would have %.0f bytes, the format ends at 2^31")
      :format(m.size))
  end
  return m, #nodes
end

return { new = new }
