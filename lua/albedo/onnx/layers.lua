--- Convolutions, poolings, norms, linear and recurrent ops as ONNX nodes: see albedo.onnx.ops.

local al = require "albedo"

local layers = {}

-- One number for each of n dims, from a list of one or of n.
local function spread(list, n)
  local out = {}
  for i = 1, n do out[i] = list[#list == 1 and 1 or i] end
  return out
end

-- before..., after...
local function both(before, after)
  local out = {}
  for i, v in ipairs(before) do out[i], out[#before + i] = v, (after or before)[i] end
  return out
end

-- The sizes of the last n dims of x.
local function space(x, n)
  local shape, out = x.shape, {}
  for i = 1, n do out[i] = shape[#shape - n + i] end
  return out
end

-- ---- convolution ----------------------------------------------------------------------------

-- What is common to conv and conv_transpose.
local function window(a)
  local n = a.x.ndim - 2
  return n, { kernel_shape = space(a.w, n), strides = spread(a.stride, n),
    dilations = spread(a.dilation, n), group = a.groups }
end

function layers.conv(g, a, y)
  local n, o = window(a)
  if a.pad[1] < 0 then -- "same": the odd one at the end
    local before, after = {}, {}
    for i = 1, n do
      local all = o.dilations[i] * (o.kernel_shape[i] - 1)
      before[i] = math.floor(all / 2)
      after[i] = all - before[i]
    end
    o.pads = both(before, after)
  else
    o.pads = both(spread(a.pad, n))
  end
  g:set(y, g:node("Conv", { a.x, a.w, a.b }, o))
end

function layers.conv_transpose(g, a, y)
  local n, o = window(a)
  o.pads, o.output_padding = both(spread(a.pad, n)), spread(a.output_padding, n)
  g:set(y, g:node("ConvTranspose", { a.x, a.w, a.b }, o))
end

function layers.linear(g, a, y)
  if a.x.ndim == 2 then
    return g:set(y, g:node("Gemm", { a.x, a.w, a.b }, { transB = 1 }))
  end
  local w = g:traced(a.w) and g:node("Transpose", { a.w }, { perm = { 1, 0 } })
    or g:fixed(a.w:detach():transpose(1, 2):contiguous(), "linear_weight")
  local v = g:node("MatMul", { a.x, w })
  g:set(y, a.b and g:node("Add", { v, a.b }) or v)
end

-- ---- pooling --------------------------------------------------------------------------------

local function pooling(a)
  local n = a.x.ndim - 2
  local kernel = spread(a.kernel, n)
  local stride = a.stride and #a.stride > 0 and spread(a.stride, n) or kernel
  return n, kernel, stride, spread(a.pad, n)
end

-- With ceil_mode the last window may lie partly past the end: as padding there, which a maximum
-- does not see. Evaluators differ in what their own ceil_mode means.
local function overhang(a, y, n, kernel, stride, pad)
  local size, out, after = space(a.x, n), space(y, n), {}
  local dilation = spread(a.dilation or { 1 }, n)
  for i = 1, n do
    local last = (out[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
    after[i] = math.max(pad[i], last - size[i] - pad[i])
  end
  return after
end

function layers.max_pool(g, a, y)
  local n, kernel, stride, pad = pooling(a)
  local pads = both(pad, overhang(a, y, n, kernel, stride, pad))
  g:set(y, g:node("MaxPool", { a.x }, { kernel_shape = kernel, strides = stride,
    dilations = spread(a.dilation, n), pads = pads }))
end
layers.max_pool_with_indices = layers.max_pool

-- Padding that counts is a node of its own: evaluators differ in whether they count it.
function layers.avg_pool(g, a, y)
  local n, kernel, stride, pad = pooling(a)
  local after, x, padded = overhang(a, y, n, kernel, stride, pad), a.x, false
  for i = 1, n do
    if a.ceil_mode and after[i] > pad[i] then g:unknown "avg_pool with ceil_mode" end
    padded = padded or pad[i] > 0
  end
  if padded and a.count_include_pad then
    local zeros = { 0, 0 }
    for i = 1, n do zeros[2 + i] = pad[i] end
    x = g:node("Pad", { x, g:ints(both(zeros)), g:number(0, y.dtype) }, { mode = "constant" })
    pad = spread({ 0 }, n)
  end
  g:set(y, g:node("AveragePool", { x }, { kernel_shape = kernel, strides = stride,
    pads = both(pad) }))
end

for name, op in pairs {
  global_avg_pool = "GlobalAveragePool", global_max_pool = "GlobalMaxPool",
} do
  layers[name] = function(g, a, y) -- ours without the dims of space
    g:set(y, g:reshape(g:node(op, { a.x }), y.shape, a.x))
  end
end

-- Row o of (out, size): the share of each entry in mean o.
local function shares(size, out, dtype)
  local m = al.zeros(out, size, { dtype = dtype })
  for o = 1, out do
    local first, last = math.floor((o - 1) * size / out) + 1, math.ceil(o * size / out)
    m:narrow(1, o, 1):narrow(2, first, last - first + 1):fill_(1 / (last - first + 1))
  end
  return m
end

-- Even windows are an average pooling; else each dim is multiplied by a matrix of shares.
function layers.adaptive_avg_pool(g, a, y)
  local n = a.x.ndim - 2
  local size, out, kernel, even = space(a.x, n), space(y, n), {}, true
  for i = 1, n do
    kernel[i] = size[i] / out[i]
    even = even and kernel[i] % 1 == 0
  end
  if even then
    return g:set(y, g:node("AveragePool", { a.x }, { kernel_shape = kernel, strides = kernel }))
  end
  local x = a.x
  for i = 1, n do
    local perm = {}
    for d = 1, n + 2 do perm[d] = d - 1 end
    perm[i + 2], perm[n + 2] = perm[n + 2], perm[i + 2]
    local m = g:fixed(shares(size[i], out[i], y.dtype):transpose(1, 2):contiguous(), "shares")
    if i < n then x = g:node("Transpose", { x }, { perm = perm }) end
    x = g:node("MatMul", { x, m })
    if i < n then x = g:node("Transpose", { x }, { perm = perm }) end
  end
  g:set(y, x)
end

function layers.interpolate(g, a, y)
  local n = a.x.ndim - 2
  local linear = a.mode:find "linear$" ~= nil
  if a.antialias or not (linear or a.mode == "nearest") then
    g:unknown(("interpolate with mode = \"%s\"%s")
      :format(a.mode, a.antialias and ", antialias" or ""))
  end
  local size, out, scale, whole = space(a.x, n), space(y, n), { 1, 1 }, true
  for i = 1, n do
    scale[2 + i] = out[i] / size[i]
    whole = whole and scale[2 + i] % 1 == 0
  end
  local o = linear and { mode = "linear",
    coordinate_transformation_mode = a.align_corners and "align_corners" or "half_pixel" }
    or { mode = "nearest", coordinate_transformation_mode = "asymmetric",
      nearest_mode = "floor" }
  local scales = whole and g:fixed(al.tensor(scale), "scales") or false
  g:set(y, g:node("Resize", { a.x, false, scales, not whole and g:ints(y.shape) or nil }, o))
end
layers.upsample = layers.interpolate

-- ---- norms ----------------------------------------------------------------------------------

-- A constant of n equal numbers.
local function filled(g, n, v, dtype)
  return g:fixed(al.full({ n }, v, { dtype = dtype }), "filled")
end

function layers.batch_norm(g, a, y)
  if a.training then g:unknown "batch_norm by the batch's own statistics" end
  local c = a.x:size(2)
  g:set(y, g:node("BatchNormalization", { a.x, a.weight or filled(g, c, 1, y.dtype),
    a.bias or filled(g, c, 0, y.dtype), a.running_mean, a.running_var }, { epsilon = a.eps }))
end

-- x scaled and shifted by one weight and bias a channel.
local function affine(g, a, v, y)
  local shape = { a.x:size(2) }
  for d = 3, a.x.ndim do shape[d - 1] = 1 end
  if a.weight then v = g:node("Mul", { v, g:reshape(a.weight, shape) }) end
  if a.bias then v = g:node("Add", { v, g:reshape(a.bias, shape) }) end
  g:set(y, v)
end

function layers.group_norm(g, a, y)
  local n, groups = a.x:size(1), a.groups
  local grouped = g:reshape(a.x, { n, groups, math.floor(a.x:numel() / (n * groups)) })
  local v = g:node("InstanceNormalization", { grouped, filled(g, groups, 1, y.dtype),
    filled(g, groups, 0, y.dtype) }, { epsilon = a.eps })
  affine(g, a, g:reshape(v, y.shape, a.x), y)
end
function layers.instance_norm(g, a, y)
  a.groups = a.x:size(2)
  layers.group_norm(g, a, y)
end

function layers.layer_norm(g, a, y)
  local last = {}
  for i = 1, #a.shape do last[i] = i - 1 - #a.shape end
  local function mean(x) return g:node("ReduceMean", { x }, { axes = last }) end
  local v = g:node("Sub", { a.x, mean(a.x) })
  local var = g:node("Add", { mean(g:node("Mul", { v, v })), g:number(a.eps, y.dtype) })
  v = g:node("Div", { v, g:node("Sqrt", { var }) })
  if a.weight then v = g:node("Mul", { v, a.weight }) end
  if a.bias then v = g:node("Add", { v, a.bias }) end
  g:set(y, v)
end

-- ---- recurrence -----------------------------------------------------------------------------

-- Rows of a weight or bias in ONNX's order of gates: `order`, ours by place.
local function gates(w, order)
  local parts, h = {}, w:size(1) / #order
  for i, k in ipairs(order) do parts[i] = w:detach():narrow(1, (k - 1) * h + 1, h) end
  return al.cat(parts, 1)
end

-- ours: LSTM i f g o, GRU r z n; ONNX's: i o f c and z r h
local function recurrent(g, op, order, a, results)
  local h, dirs = a.w_hh:size(2), a.w_hh_reverse and 2 or 1
  local function stacked(name)
    local list = {}
    for d = 1, dirs do
      local w = a[name .. (d == 2 and "_reverse" or "")]
      if g:traced(w) then g:unknown(op:lower() .. " with weights that are computed") end
      list[d] = w and gates(w, order) or al.zeros(#order * h, { dtype = a.x.dtype })
    end
    return al.stack(list, 1)
  end
  local low = op:lower()
  local w, r = g:fixed(stacked "w_ih", low .. "_w"), g:fixed(stacked "w_hh", low .. "_r")
  local b = g:fixed(al.cat({ stacked "b_ih", stacked "b_hh" }, 2), low .. "_b")
  local x = g:node("Transpose", { a.x }, { perm = { 1, 0, 2 } })
  local lengths = a.lengths and g:cast(a.lengths, "int32") or false
  local out = g:node(op, { x, w, r, b, lengths, a.h0 or false, a.c0 },
    { hidden_size = h, direction = dirs == 2 and "bidirectional" or "forward",
      linear_before_reset = op == "GRU" and 1 or nil }, #results)
  local y = g:node("Transpose", { out[1] }, { perm = { 2, 0, 1, 3 } }) -- (steps, dirs, n, h)
  g:set(results[1], g:reshape(y, results[1].shape, a.x))
  for i = 2, #results do g:set(results[i], out[i]) end
end
function layers.lstm(g, a, ...) recurrent(g, "LSTM", { 1, 4, 2, 3 }, a, { ... }) end
function layers.gru(g, a, ...) recurrent(g, "GRU", { 2, 1, 3 }, a, { ... }) end

return layers
