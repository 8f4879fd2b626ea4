--- Ops as nodes of ONNX's opset 13 (https://onnx.ai/onnx/operators). An entry of `ops` takes
-- the graph, the op's arguments by name and its results, and says by g:set which value each
-- result is. Dims count from 1 with us and from 0 there.

local al = require "albedo"
local layers = require "albedo.onnx.layers"

local unpack = table.unpack or unpack
local ops = {}
for name, f in pairs(layers) do ops[name] = f end

local function axis(x, d) return d < 0 and d + x.ndim or d - 1 end

-- The dims of a reduction as axes; all of them when none are given.
local function axes(x, dims)
  local out = {}
  if type(dims) == "number" then dims = { dims } end
  if dims == nil or #dims == 0 then
    for d = 1, x.ndim do out[d] = d - 1 end
  else
    for i, d in ipairs(dims) do out[i] = axis(x, d) end
  end
  return out
end

-- ---- one element at a time ------------------------------------------------------------------

for name, op in pairs {
  relu = "Relu", sigmoid = "Sigmoid", tanh = "Tanh", exp = "Exp", log = "Log", sqrt = "Sqrt",
  abs = "Abs", neg = "Neg", floor = "Floor", ceil = "Ceil", round = "Round", erf = "Erf",
  sin = "Sin", cos = "Cos", tan = "Tan", asin = "Asin", acos = "Acos", atan = "Atan",
  sinh = "Sinh", cosh = "Cosh", sign = "Sign", reciprocal = "Reciprocal",
  softsign = "Softsign", isnan = "IsNaN", isinf = "IsInf", logical_not = "Not",
} do
  ops[name] = function(g, a, y) g:set(y, g:node(op, { a.x })) end
end

local function clip(g, x, low, high, y)
  g:set(y, g:node("Clip", { x, low and g:number(low, y.dtype) or false,
    high and g:number(high, y.dtype) or false }))
end

function ops.clamp(g, a, y) clip(g, a.x, a.min, a.max, y) end
function ops.hardtanh(g, a, y) clip(g, a.x, a.min_val, a.max_val, y) end
function ops.elu(g, a, y) g:set(y, g:node("Elu", { a.x }, { alpha = a.alpha })) end
function ops.selu(g, a, y)
  g:set(y, g:node("Selu", { a.x }, { alpha = 1.6732632423543772, gamma = 1.0507009873554805 }))
end
function ops.leaky_relu(g, a, y)
  g:set(y, g:node("LeakyRelu", { a.x }, { alpha = a.negative_slope }))
end
local function hardsigmoid(g, x, beta)
  return g:node("HardSigmoid", { x }, { alpha = 1 / 6, beta = beta or 0.5 })
end
function ops.hardsigmoid(g, a, y) g:set(y, hardsigmoid(g, a.x)) end
-- 6 min(max(x / 6, 0), 1), as OpenCV 4.6 does not read a Clip of this opset
function ops.relu6(g, a, y)
  g:set(y, g:node("Mul", { hardsigmoid(g, a.x, 0), g:number(6, y.dtype) }))
end
function ops.hardswish(g, a, y) g:set(y, g:node("Mul", { a.x, hardsigmoid(g, a.x) })) end
function ops.silu(g, a, y) g:set(y, g:node("Mul", { a.x, g:node("Sigmoid", { a.x }) })) end
function ops.square(g, a, y) g:set(y, g:node("Mul", { a.x, a.x })) end
function ops.rsqrt(g, a, y) g:set(y, g:node("Reciprocal", { g:node("Sqrt", { a.x }) })) end
function ops.logsigmoid(g, a, y)
  g:set(y, g:node("Neg", { g:node("Softplus", { g:node("Neg", { a.x }) }) }))
end
function ops.softplus(g, a, y)
  if a.beta == 1 then return g:set(y, g:node("Softplus", { a.x })) end
  local beta = g:number(a.beta, y.dtype)
  g:set(y, g:node("Div", { g:node("Softplus", { g:node("Mul", { a.x, beta }) }), beta }))
end
function ops.mish(g, a, y)
  g:set(y, g:node("Mul", { a.x, g:node("Tanh", { g:node("Softplus", { a.x }) }) }))
end
function ops.gelu(g, a, y) -- x / 2 (1 + erf(x / sqrt 2))
  local e = g:node("Erf", { g:node("Mul", { a.x, g:number(math.sqrt(0.5), y.dtype) }) })
  local half = g:node("Mul", { a.x, g:number(0.5, y.dtype) })
  g:set(y, g:node("Mul", { half, g:node("Add", { e, g:number(1, y.dtype) }) }))
end

-- ---- two operands ---------------------------------------------------------------------------

-- An operand, a tensor or number, in a dtype.
local function operand(g, v, dtype)
  if type(v) == "boolean" then v = v and 1 or 0 end
  if type(v) == "number" then return g:number(v, dtype) end
  return v.dtype == dtype and v or g:cast(v, dtype)
end

local rank = { bool = 0, uint8 = 1, int32 = 2, int64 = 3, float16 = 4, bfloat16 = 4,
  float32 = 5, float64 = 6 }

-- What both operands of a comparison are cast to.
local function common(x, y)
  if not al.is_tensor(x) then x, y = y, x end
  if not al.is_tensor(y) then
    local whole = type(y) ~= "number" or y % 1 == 0
    return (whole or x.dtype:find "float") and x.dtype or "float32"
  end
  return rank[x.dtype] >= rank[y.dtype] and x.dtype or y.dtype
end

for name, op in pairs {
  add = "Add", sub = "Sub", mul = "Mul", div = "Div", pow = "Pow", maximum = "Max",
  minimum = "Min", logical_and = "And", logical_or = "Or", logical_xor = "Xor",
} do
  ops[name] = function(g, a, y)
    g:set(y, g:node(op, { operand(g, a.x, y.dtype), operand(g, a.y, y.dtype) }))
  end
end

for name, op in pairs {
  eq = "Equal", lt = "Less", gt = "Greater", le = "LessOrEqual", ge = "GreaterOrEqual",
} do
  ops[name] = function(g, a, y)
    local dtype = common(a.x, a.y)
    g:set(y, g:node(op, { operand(g, a.x, dtype), operand(g, a.y, dtype) }))
  end
end
function ops.ne(g, a, y)
  local dtype = common(a.x, a.y)
  local equal = g:node("Equal", { operand(g, a.x, dtype), operand(g, a.y, dtype) })
  g:set(y, g:node("Not", { equal }))
end

for _, name in ipairs { "matmul", "mm", "bmm", "mv", "dot" } do
  ops[name] = function(g, a, y) g:set(y, g:node("MatMul", { a.x, a.y })) end
end

function ops.where(g, a, y)
  g:set(y, g:node("Where", { operand(g, a.mask, "bool"), operand(g, a.x, y.dtype),
    operand(g, a.y, y.dtype) }))
end
function ops.masked_fill(g, a, y)
  g:set(y, g:node("Where", { operand(g, a.mask, "bool"), g:number(a.value, y.dtype), a.x }))
end

-- ---- form -----------------------------------------------------------------------------------

-- What leaves the values as they are.
for _, name in ipairs { "detach", "contiguous", "clone" } do
  ops[name] = function(g, a, y) g:set(y, g:name(a.x)) end
end

function ops.to(g, a, y)
  g:set(y, y.dtype == a.x.dtype and g:name(a.x) or g:cast(a.x, y.dtype))
end

-- Everything that gives the same elements in the same order.
for _, name in ipairs { "reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze" } do
  ops[name] = function(g, a, y) g:set(y, g:reshape(a.x, y.shape)) end
end

function ops.permute(g, a, y)
  g:set(y, g:node("Transpose", { a.x }, { perm = axes(a.x, a.dims) }))
end

local function swapped(g, x, d, e, y)
  local perm = axes(x)
  perm[d + 1], perm[e + 1] = e, d
  g:set(y, g:node("Transpose", { x }, { perm = perm }))
end
function ops.transpose(g, a, y) swapped(g, a.x, axis(a.x, a.dim1), axis(a.x, a.dim2), y) end
function ops.t(g, a, y)
  if a.x.ndim < 2 then return g:set(y, g:name(a.x)) end
  swapped(g, a.x, 0, 1, y)
end

function ops.expand(g, a, y) g:set(y, g:node("Expand", { a.x, g:ints(y.shape) })) end

function ops.cat(g, a, y) g:set(y, g:node("Concat", a.xs, { axis = axis(a.xs[1], a.dim) })) end

function ops.stack(g, a, y)
  local d, parts = axis(y, a.dim), {}
  for i, x in ipairs(a.xs) do
    local shape = x.shape
    table.insert(shape, d + 1, 1)
    parts[i] = g:reshape(x, shape)
  end
  g:set(y, g:node("Concat", parts, { axis = d }))
end

function ops.narrow(g, a, y)
  local first = a.start < 0 and a.start + a.x:size(a.dim) or a.start - 1
  g:set(y, g:node("Slice", { a.x, g:ints { first }, g:ints { first + a.length },
    g:ints { axis(a.x, a.dim) } }))
end

function ops.slice(g, a, y) -- x[...] of numbers and ranges
  local from, to, step, dims = {}, {}, {}, {}
  for d, first in ipairs(a.from) do
    local n = a.x:size(d)
    if first ~= 0 or a.step[d] ~= 1 or a.count[d] ~= n then
      local past = first + a.step[d] * a.count[d]
      table.insert(from, first)
      table.insert(to, past < 0 and -n - 1 or past)
      table.insert(step, a.step[d])
      table.insert(dims, d - 1)
    end
  end
  local v = #dims == 0 and g:name(a.x)
    or g:node("Slice", { a.x, g:ints(from), g:ints(to), g:ints(dims), g:ints(step) })
  g:set(y, a.x.ndim == y.ndim and v or g:reshape(v, y.shape, a.x))
end

function ops.select(g, a, y)
  local d = axis(a.x, a.dim)
  local at = a.index < 0 and a.index + a.x:size(a.dim) or a.index - 1
  g:set(y, g:reshape(g:node("Slice", { a.x, g:ints { at }, g:ints { at + 1 }, g:ints { d } }),
    y.shape, a.x))
end

-- Positions that count from 1 as those that count from 0.
local function positions(g, index)
  return g:node("Sub", { operand(g, index, "int64"), g:number(1, "int64") })
end

function ops.embedding(g, a, y)
  g:set(y, g:node("Gather", { a.weight, positions(g, a.index) }))
end
function ops.index_select(g, a, y)
  g:set(y, g:node("Gather", { a.x, positions(g, a.index) }, { axis = axis(a.x, a.dim) }))
end
function ops.gather(g, a, y)
  local o = { axis = axis(a.x, a.dim) }
  g:set(y, g:node("GatherElements", { a.x, positions(g, a.index) }, o))
end

local modes = { constant = "constant", reflect = "reflect", replicate = "edge" }
function ops.pad(g, a, y)
  local before, after, n = {}, {}, a.x.ndim
  for d = 1, n do before[d], after[d] = 0, 0 end
  for i = 1, #a.pads, 2 do
    local d = n - (i - 1) / 2
    before[d], after[d] = a.pads[i], a.pads[i + 1]
  end
  for d = 1, n do before[n + d] = after[d] end
  if not modes[a.mode] then return g:unknown(("pad with mode = \"%s\""):format(a.mode)) end
  g:set(y, g:node("Pad", { a.x, g:ints(before), g:number(a.value, y.dtype) },
    { mode = modes[a.mode] }))
end

function ops.pixel_shuffle(g, a, y)
  g:set(y, g:node("DepthToSpace", { a.x }, { blocksize = a.factor, mode = "CRD" }))
end

-- ---- reductions -----------------------------------------------------------------------------

function ops.sum(g, a, y)
  local x = a.x.dtype == y.dtype and a.x or g:cast(a.x, y.dtype)
  local o = { keepdims = a.keepdim and 1 or 0 }
  g:set(y, g:node("ReduceSum", { x, g:ints(axes(a.x, a.dims)) }, o))
end

local function reduced(g, op, x, dims, keep)
  return g:node(op, { x }, { axes = axes(x, dims), keepdims = keep and 1 or 0 })
end
for name, op in pairs { mean = "ReduceMean", amax = "ReduceMax", amin = "ReduceMin",
  prod = "ReduceProd", logsumexp = "ReduceLogSumExp" } do
  ops[name] = function(g, a, y) g:set(y, reduced(g, op, a.x, a.dims, a.keepdim)) end
end

-- The place of the largest or smallest entry, from 1.
local function place(g, op, x, dim, keep)
  local at = g:node(op, { x }, { axis = axis(x, dim), keepdims = keep and 1 or 0 })
  return g:node("Add", { at, g:number(1, "int64") })
end
for name, word in pairs { max = "Max", min = "Min" } do
  ops[name] = function(g, a, y, at)
    g:set(y, reduced(g, "Reduce" .. word, a.x, a.dim, a.keepdim))
    if at then g:set(at, place(g, "Arg" .. word, a.x, a.dim, a.keepdim)) end
  end
  ops["arg" .. name] = function(g, a, y)
    if not a.dim then return g:unknown("arg" .. name .. " over all dims") end
    g:set(y, place(g, "Arg" .. word, a.x, a.dim, a.keepdim))
  end
end

function ops.softmax(g, a, y)
  g:set(y, g:node("Softmax", { a.x }, { axis = axis(a.x, a.dim) }))
end
function ops.log_softmax(g, a, y)
  g:set(y, g:node("LogSoftmax", { a.x }, { axis = axis(a.x, a.dim) }))
end

-- ---- one call -------------------------------------------------------------------------------

local function tensors_of(a)
  local list = {}
  for _, v in pairs(a) do
    if al.is_tensor(v) then list[#list + 1] = v end
    for _, t in ipairs(type(v) == "table" and v or {}) do
      if al.is_tensor(t) then list[#list + 1] = t end
    end
  end
  return list
end

--- What albedo.onnx does with each call: op's name, arguments by name, list of results. Ops of
-- constants alone give constants.
return function(g, op, a, results)
  local traced = false
  for _, t in ipairs(tensors_of(a)) do
    g:check(t)
    traced = traced or g:traced(t)
  end
  if traced then
    if not ops[op] then g:unknown(op) end
    ops[op](g, a, unpack(results, 1, results.n))
  else
    for i = 1, results.n do
      if results[i] then g.made[results[i]] = true end
    end
  end
end
