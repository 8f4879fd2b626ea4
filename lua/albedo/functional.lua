-- Derivatives of functions: products with vectors, whole Jacobians and Hessians.
--
-- fn takes tensors and returns tensors (several values, or one list). `inputs` is a tensor or a
-- list of tensors; results take the same form. Floating inputs only. Intermediate tensors go
-- when the call ends. {create_graph = true} makes the results differentiable.
local al = require "albedo"
local options = require "albedo.options"
local unpack = table.unpack or unpack

local functional = {}

-- A tensor or list of tensors as a list; says whether it was one tensor.
local function list_of(v, who, what)
  if al.is_tensor(v) then return { v }, true end
  if type(v) ~= "table" or #v == 0 then
    al.raise(("%s: %s must be a tensor or a list of tensors, got %s")
      :format(who, what, type(v)))
  end
  for i, t in ipairs(v) do
    if not al.is_tensor(t) then
      al.raise(("%s: %s[%d] must be a tensor, got %s"):format(who, what, i, type(t)))
    end
  end
  return v, false
end

-- Inputs as fn shall see them: apart from all other uses, so that only fn's paths count.
local function apart(inputs, who, create)
  local xs, single = list_of(inputs, who, "inputs")
  local out = {}
  for i, x in ipairs(xs) do
    if not x.dtype:find("float") then
      al.raise(("%s: input %d is %s, only floating tensors have gradients")
        :format(who, i, x.dtype))
    end
    out[i] = create and x.requires_grad and x:clone() or x:detach():requires_grad_()
  end
  return out, single
end

local function results_of(fn, xs, who)
  local ys = { fn(unpack(xs)) }
  if #ys == 1 then return list_of(ys[1], who, "what fn returns") end
  return list_of(ys, who, "what fn returns")
end

-- sum_i d<ys_i, vs_i>/dxs, zeros where xs is not reached.
local function gradients(ys, xs, vs, create)
  local roots, seeds, found = {}, {}, {}
  for i, y in ipairs(ys) do
    if y.requires_grad then
      roots[#roots + 1] = y
      seeds[#roots] = vs and vs[i] or nil
    end
  end
  if #roots > 0 then
    found = al.grad(roots, xs, { grad_outputs = vs and seeds, create_graph = create,
      retain_graph = true, allow_unused = true })
  end
  for i, x in ipairs(xs) do found[i] = found[i] or al.zeros_like(x) end
  return found
end

-- The vectors given, one a tensor of `like`; nil is allowed for a single element.
local function vectors(v, like, who, what)
  if v == nil then
    if #like == 1 and like[1]:numel() == 1 then return { al.ones_like(like[1]) } end
    al.raise(("%s: v is missing: a tensor of the shape of each of the %s"):format(who, what))
  end
  local vs = list_of(v, who, "v")
  if #vs ~= #like then
    al.raise(("%s: v holds %d tensors, there are %d %s"):format(who, #vs, #like, what))
  end
  for i, t in ipairs(vs) do
    local a, b = table.concat(t.shape, "x"), table.concat(like[i].shape, "x")
    if a ~= b then
      al.raise(("%s: v[%d] has shape %s, the %s %s"):format(who, i, a, what:gsub("s$", ""), b))
    end
  end
  return vs
end

local function given_back(list, single, create)
  local out = {}
  for i, t in ipairs(list) do out[i] = create and t or t:detach() end
  return single and out[1] or out
end

-- Runs body(create) with recording on, inside a scope that keeps its results.
local function derive(who, opts, body)
  local create = options(who, opts, { create_graph = false }).create_graph
  return al.scope(al.with_grad, true, body, create)
end

-- The one scalar fn gives.
local function scalar_of(fn, xs, who)
  local ys = results_of(fn, xs, who)
  if #ys ~= 1 or ys[1]:numel() ~= 1 then
    al.raise(("%s: fn must give one element, got %s"):format(who,
      #ys > 1 and #ys .. " tensors" or table.concat(ys[1].shape, "x")))
  end
  return ys
end

--- vjp(fn, inputs, [v], {create_graph = false}) -> fn(inputs), v^T J. v has the shape of what
--- fn returns (a list for a list); it may be left out where that is a single element.
function functional.vjp(fn, inputs, v, opts)
  return derive("vjp", opts, function(create)
    local xs, single = apart(inputs, "vjp", create)
    local ys, one = results_of(fn, xs, "vjp")
    local g = gradients(ys, xs, vectors(v, ys, "vjp", "outputs"), create)
    return given_back(ys, one, create), given_back(g, single, create)
  end)
end

--- jvp(fn, inputs, [v], {create_graph = false}) -> fn(inputs), J v. v has the shape of inputs.
--- Computed as the derivative of u^T J by u: two backward passes, no forward mode.
function functional.jvp(fn, inputs, v, opts)
  return derive("jvp", opts, function(create)
    local xs = apart(inputs, "jvp", create)
    local ys, one = results_of(fn, xs, "jvp")
    local vs, us = vectors(v, xs, "jvp", "inputs"), {}
    for i, y in ipairs(ys) do us[i] = al.zeros_like(y):requires_grad_() end
    local g = gradients(ys, xs, us, true)
    local d = gradients(g, us, vs, create)
    return given_back(ys, one, create), given_back(d, one, create)
  end)
end

--- hvp(fn, inputs, v, {create_graph = false}) -> fn(inputs), H v, with fn's Hessian H. fn gives
--- one element; v has the shape of inputs.
function functional.hvp(fn, inputs, v, opts)
  return derive("hvp", opts, function(create)
    local xs, single = apart(inputs, "hvp", create)
    local ys = scalar_of(fn, xs, "hvp")
    local vs = vectors(v, xs, "hvp", "inputs")
    local h = gradients(gradients(ys, xs, nil, true), xs, vs, create)
    return given_back(ys, true, create), given_back(h, single, create)
  end)
end

-- For y: a list over xs of dy/dx, of shape y.shape x x.shape; a backward pass an element of y.
local function rows(y, xs, create)
  local parts, out = {}, {}
  for j = 1, #xs do parts[j] = {} end
  for k = 1, y:numel() do
    local one = al.zeros(y:numel(), { dtype = y.dtype })
    one[k] = 1
    for j, g in ipairs(gradients({ y }, xs, { one:reshape(y.shape) }, create)) do
      parts[j][k] = g
    end
  end
  for j, x in ipairs(xs) do
    local shape = {}
    for _, n in ipairs(y.shape) do shape[#shape + 1] = n end
    for _, n in ipairs(x.shape) do shape[#shape + 1] = n end
    out[j] = #parts[j] > 0 and al.stack(parts[j]):reshape(shape)
      or al.zeros(shape, { dtype = x.dtype })
  end
  return out
end

--- jacobian(fn, inputs, {create_graph = false}) -> dy/dx of shape y.shape x x.shape; for lists,
--- J[i][j] is that of output i by input j. One backward pass an element of the outputs.
function functional.jacobian(fn, inputs, opts)
  return derive("jacobian", opts, function(create)
    local xs, single = apart(inputs, "jacobian", create)
    local ys, one = results_of(fn, xs, "jacobian")
    local out = {}
    for i, y in ipairs(ys) do out[i] = given_back(rows(y, xs, create), single, create) end
    return one and out[1] or out
  end)
end

--- hessian(fn, inputs, {create_graph = false}) -> second derivatives of fn, which gives one
--- element: shape x.shape x x.shape; for a list, H[i][j] by inputs i and j. One backward pass
--- an element of the inputs: for small functions; hvp serves large ones.
function functional.hessian(fn, inputs, opts)
  return derive("hessian", opts, function(create)
    local xs, single = apart(inputs, "hessian", create)
    local out = {}
    for i, g in ipairs(gradients(scalar_of(fn, xs, "hessian"), xs, nil, true)) do
      out[i] = given_back(rows(g, xs, create), single, create)
    end
    return single and out[1] or out
  end)
end

return functional
