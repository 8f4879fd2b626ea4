-- Tensors in Lua: operators, printing, iteration. The methods of ops come from the registry.
local al = package.loaded["albedo"]
local native = al.native
local methods, fields, meta, ops = native.methods, native.fields, native.meta, native.ops

-- ---- operators ------------------------------------------------------------------------------
local binary = {
  __add = "add", __sub = "sub", __mul = "mul", __div = "div", __pow = "pow",
  __mod = "remainder", __idiv = "floor_divide", __band = "bitwise_and", __bor = "bitwise_or",
  __bxor = "bitwise_xor",
}
for event, op in pairs(binary) do meta[event] = ops[op] end
local neg, bitwise_not = ops.neg, ops.bitwise_not
function meta.__unm(t) return neg(t) end
function meta.__bnot(t) return bitwise_not(t) end

-- `..` joins tensors along dim 1; with text or a number on either side it gives text.
function meta.__concat(a, b)
  if al.is_tensor(a) and al.is_tensor(b) then return ops.cat({ a, b }, 1) end
  return tostring(a) .. tostring(b)
end

-- `<` and `<=` compare one-element tensors and numbers; larger ones have lt and le.
local function scalar(v, event)
  if type(v) == "number" then return v end
  if v:numel() ~= 1 then
    native.raise(("%s compares one-element tensors; a:%s(b) compares elementwise")
      :format(event == "lt" and "<" or "<=", event))
  end
  return v:item()
end
function meta.__lt(a, b) return scalar(a, "lt") < scalar(b, "lt") end
function meta.__le(a, b) return scalar(a, "le") <= scalar(b, "le") end

function fields.__missing(name)
  local hint = require("albedo.suggest")(name, methods, fields)
  return ("a tensor has no field or method \"%s\"%s"):format(name, hint)
end

-- ---- small methods --------------------------------------------------------------------------
--- Number of dims.
function methods.dim(t) return t.ndim end

--- Iterates over the first dim: for i, row in t:rows() do ... end
function methods.rows(t)
  local n = #t
  return function(_, i)
    if i < n then return i + 1, t[i + 1] end
  end, nil, 0
end

--- The transpose of a matrix: t:T(). (Fields T and mT are methods here.)
function methods.T(t) return ops.transpose(t, -2, -1) end

for _, dtype in ipairs {
  "float32", "float64", "int32", "int64", "uint8", "bool", "float16", "bfloat16",
} do
  methods[dtype] = function(t) return ops.to(t, dtype) end
end
methods.float, methods.double = methods.float32, methods.float64
methods.long, methods.int = methods.int64, methods.int32
methods.half = methods.float16

--- Copies src into t, broadcasting and casting; returns t.
function methods.copy_(t, src)
  t["..."] = src
  return t
end

--- Fills t with a number; returns t.
function methods.fill_(t, value)
  t["..."] = value
  return t
end
function methods.zero_(t) return methods.fill_(t, 0) end

--- Asks for a gradient: t:requires_grad_() or t:requires_grad_(false); returns t.
function methods.requires_grad_(t, on)
  t.requires_grad = on ~= false
  return t
end

--- Forgets the gradient.
function methods.zero_grad(t) t.grad = nil end

--- A list of tensors of `size` entries each (the last may be smaller), or of the given sizes,
--- along dim.
function methods.split(t, size, dim)
  dim = dim or 1
  local n, parts, at = t:size(dim), {}, 1
  local i = 0
  while at <= n do
    i = i + 1
    local len = type(size) == "table" and size[i] or size
    if type(len) ~= "number" or len < 1 then
      native.raise(("split: sizes of dim %d add up to %d, it has %d"):format(dim, at - 1, n))
    end
    if type(size) == "number" then len = math.min(len, n - at + 1) end
    parts[i] = ops.narrow(t, dim, at, len)
    at = at + len
  end
  return parts
end

--- A list of at most n tensors of equal size along dim.
function methods.chunk(t, n, dim)
  return methods.split(t, math.max(1, math.ceil(t:size(dim or 1) / n)), dim)
end

--- A list of the entries of dim, that dim gone.
function methods.unbind(t, dim)
  local parts = {}
  for i = 1, t:size(dim or 1) do parts[i] = ops.select(t, dim or 1, i) end
  return parts
end
al.split, al.chunk, al.unbind = methods.split, methods.chunk, methods.unbind

--- Whether all of x is close to y, as a Lua boolean: options and meaning of isclose.
function methods.allclose(t, ...)
  return ops.all(ops.isclose(t, ...)):item()
end
al.allclose = methods.allclose

-- ---- printing -------------------------------------------------------------------------------
-- Entries shown at each end, elements from which to shorten, columns.
local EDGE, MANY, WIDTH = 3, 1000, 80

-- The positions of a dim to print; false stands for the gap.
local function positions(n, shorten)
  local list = {}
  if shorten and n > 2 * EDGE then
    for i = 1, EDGE do list[#list + 1] = i end
    list[#list + 1] = false
    for i = n - EDGE + 1, n do list[#list + 1] = i end
  else
    for i = 1, n do list[i] = i end
  end
  return list
end

-- Calls visit(value) for each element that will be printed.
local function each(t, shorten, visit)
  if t.ndim == 0 then return visit(t:item()) end
  for _, i in ipairs(positions(#t, shorten)) do
    if i then each(t[i], shorten, visit) end
  end
end

-- One format for all: integers, fixed or scientific, as wide as the widest.
local function formatter(t, shorten)
  if t.dtype == "bool" then return function(v) return v and " true" or "false" end end
  local largest, least, whole, width = 0, math.huge, true, 0
  each(t, shorten, function(v)
    local a = math.abs(v)
    if a == a and a ~= math.huge then
      largest = math.max(largest, a)
      if a > 0 then least = math.min(least, a) end
      whole = whole and a == math.floor(a)
    end
  end)
  local float = t.dtype:find "float"
  local pattern = not float and "%d" or "%.4f"
  if float and whole and largest < 1e9 then pattern = "%d."
  elseif float and largest > 0
    and (largest >= 1e5 or largest < 1e-3 or largest / least > 1e6) then
    pattern = "%.4e"
  end
  local function text(v)
    if v ~= v then return "nan" end
    if v == math.huge or v == -math.huge then return v > 0 and "inf" or "-inf" end
    if pattern == "%d." then return ("%.0f."):format(v) end
    return pattern:format(v)
  end
  each(t, shorten, function(v) width = math.max(width, #text(v)) end)
  return function(v)
    local s = text(v)
    return (" "):rep(width - #s) .. s
  end
end

local function row_text(t, shorten, form, indent)
  local cells, line, lines = {}, "", {}
  for _, i in ipairs(positions(#t, shorten)) do
    cells[#cells + 1] = i and form(t[i]:item()) or "..."
  end
  for k, cell in ipairs(cells) do
    local piece = cell .. (k < #cells and ", " or "")
    if #line + #piece + indent > WIDTH and line ~= "" then
      lines[#lines + 1] = line
      line = ""
    end
    line = line .. piece
  end
  lines[#lines + 1] = line
  return "[" .. table.concat(lines, "\n" .. (" "):rep(indent)) .. "]"
end

local function body(t, shorten, form, indent)
  if t.ndim == 0 then return form(t:item()) end
  if t.ndim == 1 then return row_text(t, shorten, form, indent + 1) end
  local rows = {}
  for _, i in ipairs(positions(#t, shorten)) do
    rows[#rows + 1] = i and body(t[i], shorten, form, indent + 1) or "..."
  end
  local gap = "," .. ("\n"):rep(t.ndim - 1) .. (" "):rep(indent + 1)
  return "[" .. table.concat(rows, gap) .. "]"
end

function meta.__tostring(t)
  if not al.alive(t) then return "tensor(released: its scope closed)" end
  return al.scope(function()
    local shape = t.ndim == 0 and "scalar" or table.concat(t.shape, "x")
    local note = ""
    if t.requires_grad then
      note = t.grad_fn and (" <%s>"):format(t.grad_fn) or " requires_grad"
    end
    local d = t:detach()
    local text = ""
    if t:numel() > 0 then
      local shorten = t:numel() > MANY
      text = body(d, shorten, formatter(d, shorten), 0) .. "\n"
    end
    return ("%s[%s %s%s]"):format(text, t.dtype, shape, note)
  end)
end
