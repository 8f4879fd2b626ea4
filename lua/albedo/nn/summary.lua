-- What a network is made of and costs.
local al = require "albedo"
local options = require "albedo.options"
local thousands = require("albedo.nn.describe").thousands

-- Multiply-adds of one call of a layer of its own weights; what is computed without a layer
-- (sums, activations, poolings, attention's products) counts nothing.
local function multiply_adds(m, x, y)
  local kind, w = m.classname, m.weight
  local function rows(t, dim) return math.floor(t:numel() / t.shape[dim]) end
  if kind:find "^ConvTranspose" then return w:numel() * rows(x, 2) end
  if kind:find "^Conv%dd$" then return w:numel() * rows(y, 2) end
  if kind == "Linear" then return w:numel() * rows(y, y.ndim) end
  if kind:find "^LSTM" or kind:find "^GRU" then
    local sum = 0
    for name, p in m:named_parameters() do
      if name:find "^weight" then sum = sum + p:numel() end
    end
    return sum * rows(x, x.ndim)
  end
  return 0
end

local sizes = { float64 = 8, int64 = 8, float32 = 4, int32 = 4, float16 = 2, bfloat16 = 2 }
local function bytes_of(t) return t:numel() * (sizes[t.dtype] or 1) end

-- Of a module alone, without what its children hold: elements of its parameters, bytes of
-- these and the buffers. A shared tensor counts once: `seen`.
local function own(m, seen)
  local count, bytes = 0, 0
  for _, name in ipairs(m._tensors) do
    local t = m._members[name]
    if not seen[t] and m._kinds[name] ~= "tensor" then
      seen[t] = true
      if m._kinds[name] == "parameter" then count = count + t:numel() end
      bytes = bytes + bytes_of(t)
    end
  end
  return count, bytes
end

local function mib(n) return ("%.2f"):format(n / 2 ^ 20) end

local Summary = {}
Summary.__index = Summary

function Summary:__tostring()
  local cells = { { "name", "layer", "output", "parameters", "multiply-adds", "MiB" } }
  for i, row in ipairs(self) do
    local shape = row.shape and table.concat(row.shape, "x") or "not run"
    cells[i + 1] = { row.name, row.layer, shape, thousands(row.parameters),
      thousands(row.multiply_adds), mib(row.bytes) }
  end
  cells[#cells + 1] = { "total", "", "", thousands(self.parameters),
    thousands(self.multiply_adds), mib(self.activation_bytes) }
  local lines, width = {}, { 0, 0, 0, 0, 0, 0 }
  for _, row in ipairs(cells) do
    for c, text in ipairs(row) do width[c] = math.max(width[c], #text) end
  end
  for i, row in ipairs(cells) do
    for c, text in ipairs(row) do
      local fill = (" "):rep(width[c] - #text)
      row[c] = c > 3 and fill .. text or text .. fill
    end
    lines[i] = table.concat(row, "  ")
  end
  lines[#lines + 1] = ("%s parameters, %s trained; they and the buffers %s MiB, outputs %s MiB")
    :format(thousands(self.parameters), thousands(self.trained), mib(self.parameter_bytes),
      mib(self.activation_bytes))
  return table.concat(lines, "\n")
end

-- Modules that count: without children, or with parameters of their own.
local function layers(net)
  local list = {}
  for name, m in net:modules() do
    if #m._children == 0 or #m._tensors > 0 then
      list[#list + 1] = { name = name, module = m }
    end
  end
  return list
end

local function run(net, x, given)
  local rows, undo, seen, list = {}, {}, {}, layers(net)
  local function enter(entry, shape, bytes, work)
    local count, weight = own(entry.module, seen)
    entry.run = true
    rows[#rows + 1] = { name = entry.name, layer = entry.module.classname, shape = shape,
      parameters = count, parameter_bytes = weight, bytes = bytes, multiply_adds = work }
  end
  for i, entry in ipairs(list) do
    undo[i] = entry.module:hook(function(m, inputs, outputs)
      local y = outputs[1]
      enter(entry, y.shape, bytes_of(y), multiply_adds(m, inputs[1], y))
    end)
  end
  local ok, message = pcall(al.no_grad, net, x, given)
  for _, f in ipairs(undo) do f() end
  if not ok then error(message, 0) end
  for _, entry in ipairs(list) do
    if not entry.run then enter(entry, nil, 0, 0) end
  end
  return rows
end

--- summary(net, shape): a row for every layer in the order they run on an input of that shape
--- (or on a tensor), as a list that prints as a table. A row: name, layer (its class), shape
--- (of the first output; nil: not run), parameters, parameter_bytes (with buffers),
--- multiply_adds (of convolutions, linear and recurrent layers), bytes (of the first output).
--- The list has the sums: parameters, trained, parameter_bytes, multiply_adds,
--- activation_bytes. The network runs in evaluation mode and is as it was afterwards. Options:
--- dtype = "float32" of the input, which is ones; call: what else is given to net.
local function summary(net, shape, opts)
  local o = options("summary", opts, { dtype = "float32" }, { "call" })
  local rows = al.scope(function()
    local x = al.is_tensor(shape) and shape or al.ones(shape, { dtype = o.dtype })
    return net:evaluating(run, net, x, o.call)
  end)
  rows.parameters, rows.trained = net:num_parameters()
  rows.multiply_adds, rows.parameter_bytes, rows.activation_bytes = 0, 0, 0
  for _, row in ipairs(rows) do
    rows.multiply_adds = rows.multiply_adds + row.multiply_adds
    rows.parameter_bytes = rows.parameter_bytes + row.parameter_bytes
    rows.activation_bytes = rows.activation_bytes + row.bytes
  end
  return setmetatable(rows, Summary)
end

return { summary = summary }
