--- al.onnx: networks for other programs, as ONNX files (https://onnx.ai, opset 13).
--
--   al.onnx.save("net.onnx", net, al.zeros(1, 3, 224, 224))
--   al.onnx.save("net.onnx", net, x, { batch = true })         -- any number of samples

local al = require "albedo"
local options = require "albedo.options"
local graph = require "albedo.onnx.graph"
local protobuf = require "albedo.onnx.protobuf"
local native = al.native
local unpack = table.unpack or unpack

local CALLS = 8 -- native.watch: tell of every call

local function pack(...) return { n = select("#", ...), ... } end

-- The tensors of the arguments of net as its inputs, each replaced by one apart that records:
-- what depends on it shows so.
local function enter(g, args, given)
  local inputs = {}
  local function take(v, name)
    if not al.is_tensor(v) then
      if type(v) ~= "table" or getmetatable(v) then return v end
      local copy, keys = {}, {}
      for key in pairs(v) do keys[#keys + 1] = key end
      table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
      for _, key in ipairs(keys) do copy[key] = take(v[key], tostring(key)) end
      return copy
    end
    name = given[#inputs + 1] or name
    table.insert(inputs, { name = name, dtype = v.dtype, shape = v.shape })
    local x = v:detach():clone()
    if v.dtype:find "float" then x = x:requires_grad_() * 1 end
    g:set(x, name)
    return x
  end
  local out = { n = args.n }
  for i = 1, args.n do out[i] = take(args[i], i == 1 and "input" or "input" .. i) end
  return inputs, out
end

-- Calls net(...) and hands g each op that has part in the result.
local function trace(g, net, args)
  local translate = require "albedo.onnx.ops"
  local function told(op, a, ...)
    native.watch(0)
    translate(g, op, a, pack(...))
    native.watch(CALLS)
  end
  local former = native.watch()
  native.set_hook("calls", told)
  native.watch(CALLS)
  local results = pack(pcall(net, unpack(args, 1, args.n)))
  native.watch(former)
  native.set_hook("calls", nil)
  if not results[1] then error(results[2], 0) end
  return { n = results.n - 1, unpack(results, 2, results.n) }
end

local function parameters_of(net)
  local named = {}
  for name, p in net:named_parameters() do named[p] = name end
  for name, b in net:buffers() do named[b] = name end
  return named
end

local function export(path, net, example, o)
  local g = graph.new(parameters_of(net), o.batch == true and "n" or o.batch or nil)
  local args = al.is_tensor(example) and { example } or example
  local inputs, given = enter(g, { n = #args, unpack(args) }, o.inputs)
  local results = net:evaluating(trace, g, net, given)
  local outputs = {}
  for i = 1, results.n do
    local y = results[i]
    if al.is_tensor(y) then
      if not g:traced(y) then g:name(y) end -- says what is out of sight
      local k = #outputs + 1
      outputs[k] = { value = g:name(y), dtype = y.dtype, shape = y.shape,
        name = o.outputs[k] or k == 1 and "output" or "output" .. k }
    end
  end
  if #outputs == 0 then al.raise("onnx.save: the network gives no tensor") end
  local m, nodes = g:encode(inputs, outputs, net.classname)
  protobuf.write(path, m)
  return nodes
end

local onnx = {}

--- save(path, net, example, opts): the network as it computes net(example) in evaluation mode,
--- as an ONNX file; returns its number of nodes. example: a tensor, or the list of net's
--- arguments: tensors among them, or in tables of options, are the file's inputs; other values
--- are as they are now. The ops that run are translated, wherever they are called; what runs
--- because of the values of a tensor (if, #, item) is fixed as it was. Parameters and buffers
--- keep their names. Labels and indices count from 1 in the file, too. An op that has no
--- translation raises, naming itself and the layer.
--- Options: batch = false (true, or a name: dim 1 of every input and output is open), inputs
--- and outputs: lists of their names ("input", "input2" or the option's; "output", "output2").
function onnx.save(path, net, example, opts)
  local o = options("onnx.save", opts, { batch = false, inputs = {}, outputs = {} })
  local class = type(net) == "table" and getmetatable(net)
  if type(path) ~= "string" or not (class and class.is_module_class)
    or not (al.is_tensor(example)
      or type(example) == "table" and not getmetatable(example)) then
    al.raise "onnx.save(path, net, example): a file's name, a module, and what net is given"
  end
  return al.scope(al.with_grad, true, export, path, net, example, o)
end

return onnx
