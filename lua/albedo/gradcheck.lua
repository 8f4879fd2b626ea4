-- Gradients against central differences, in float64.
local al = require "albedo"

local check = {}

local STEP, TOLERANCE = 1e-5, 1e-6

-- The floating outputs of fn(unpack(inputs)).
local function outputs_of(fn, inputs)
  local list = {}
  for _, y in ipairs { fn((table.unpack or unpack)(inputs, 1, inputs.n)) } do
    if al.is_tensor(y) and y.dtype:sub(1, 5) == "float" then list[#list + 1] = y end
  end
  return list
end

-- sum_i <cotangent_i, output_i> as a number.
local function projected(fn, inputs, cotangents)
  return al.no_grad(al.scope, function()
    local total = 0
    for i, y in ipairs(outputs_of(fn, inputs)) do
      total = total + (y:detach() * cotangents[i]):sum():item()
    end
    return total
  end)
end

local function is_leaf_input(x)
  return al.is_tensor(x) and x.dtype == "float64" and x.requires_grad
end

-- Elements of one input checked one by one; beyond, evenly chosen ones and a random direction.
local MANY = 24

local function near(a, numeric)
  return math.abs(a - numeric) <= TOLERANCE * math.max(1, math.abs(a))
end

-- The projection's slope along `direction` (a tensor, or one element's position) of argument k.
local function slope(fn, plain, cotangents, flat, direction)
  local function at(step)
    if type(direction) == "number" then
      local v = flat[direction]:item()
      flat[direction] = v + step
      local p = projected(fn, plain, cotangents)
      flat[direction] = v
      return p
    end
    local kept = flat:clone()
    flat:add_(direction * step)
    local p = projected(fn, plain, cotangents)
    flat:copy_(kept)
    return p
  end
  return (at(STEP) - at(-STEP)) / (2 * STEP)
end

local function compare_input(fn, inputs, cotangents, gradient, k, which)
  local plain = { n = inputs.n }
  for j = 1, inputs.n do
    plain[j] = al.is_tensor(inputs[j]) and inputs[j]:detach() or inputs[j]
  end
  plain[k] = inputs[k]:detach():clone():contiguous()
  local flat = plain[k]:reshape(-1)
  local analytic = gradient and gradient:detach():contiguous():reshape(-1)
  local n = flat:numel()
  local function agrees(direction, a, name)
    local numeric = slope(fn, plain, cotangents, flat, direction)
    if near(a, numeric) then return true end
    return false, ("%sgradient of argument %d, %s: %.10g, by differences %.10g")
      :format(which, k, name, a, numeric)
  end
  for j = 1, math.min(n, MANY) do
    local i = n <= MANY and j or 1 + math.floor((j - 1) * (n - 1) / (MANY - 1))
    local ok, why = agrees(i, analytic and analytic[i]:item() or 0, "element " .. i)
    if not ok then return false, why end
  end
  if n <= MANY then return true end
  local direction = al.randn(n, { dtype = "float64", generator = al.generator(n) })
  direction = direction / math.sqrt(n)
  local along = analytic and (analytic * direction):sum():item() or 0
  return agrees(direction, along, "a random direction")
end

local function compare(fn, inputs, cotangents, gradients, which)
  for k = 1, inputs.n do
    if is_leaf_input(inputs[k]) then
      local ok, why = compare_input(fn, inputs, cotangents, gradients[k], k, which)
      if not ok then return false, why end
    end
  end
  return true
end

-- Cotangents that are neither symmetric nor constant, the same each time.
local function random_like(list, seed)
  local g, out = al.generator(seed), {}
  for i, y in ipairs(list) do
    out[i] = al.randn(y.shape, { dtype = "float64", generator = g })
  end
  return out
end

--- gradcheck(fn, inputs) -> true, or false and where. fn(inputs...) returns tensors;
--- every float64 input that requires a gradient is checked:
--- |analytic - central difference| <= 1e-6 max(1, |analytic|), element by element, in
--- large inputs at chosen elements and along a random direction over all.
--- inputs.n counts them when some are nil.
function check.gradcheck(fn, inputs, which)
  inputs.n = inputs.n or #inputs
  local outputs = outputs_of(fn, inputs)
  local cotangents, leaves, at, gradients = random_like(outputs, 7), {}, {}, {}
  for k = 1, inputs.n do
    if is_leaf_input(inputs[k]) then
      leaves[#leaves + 1] = inputs[k]
      at[#leaves] = k
    end
  end
  local roots, seeds = {}, {}
  for i, y in ipairs(outputs) do
    if y.requires_grad then
      roots[#roots + 1] = y
      seeds[#seeds + 1] = cotangents[i]
    end
  end
  if #leaves == 0 then return false, (which or "") .. "no input requires a gradient" end
  -- no root at all says that every gradient is zero, which the differences then confirm or deny
  local found = #roots == 0 and {}
    or al.grad(roots, leaves, { grad_outputs = seeds, allow_unused = true })
  for i, k in ipairs(at) do gradients[k] = found[i] end
  return compare(fn, inputs, cotangents, gradients, which or "")
end

--- gradgradcheck(fn, inputs): the same of the gradients as functions of the inputs and of the
--- cotangents.
function check.gradgradcheck(fn, inputs)
  inputs.n = inputs.n or #inputs
  local outputs = outputs_of(fn, inputs)
  local n, all = inputs.n, {}
  for k = 1, n do all[k] = inputs[k] end
  for i, g in ipairs(random_like(outputs, 11)) do all[n + i] = g:requires_grad_() end
  all.n = n + #outputs
  local function gradient(...)
    local args = { n = n, ... }
    local roots, seeds, leaves = {}, {}, {}
    local plain = {}
    for k = 1, n do
      plain[k] = args[k]
      if is_leaf_input(inputs[k]) then
        if not args[k].requires_grad then plain[k] = args[k]:detach():requires_grad_() end
        leaves[#leaves + 1] = plain[k]
      end
    end
    plain.n = n
    return al.with_grad(true, function()
      for i, y in ipairs(outputs_of(fn, plain)) do
        if y.requires_grad then
          roots[#roots + 1] = y
          seeds[#seeds + 1] = args[n + i]
        end
      end
      if #roots == 0 then return end
      local found = al.grad(roots, leaves,
        { grad_outputs = seeds, create_graph = true, allow_unused = true })
      local out = {}
      for i = 1, #leaves do out[#out + 1] = found[i] end
      return (table.unpack or unpack)(out)
    end)
  end
  return check.gradcheck(gradient, all, "second ")
end

return check
