-- Ops written in Lua, and blocks that are computed again instead of kept.
local al = require "albedo"
local options = require "albedo.options"
local native = al.native
local unpack = table.unpack or unpack

local fn = {}

local function pack(...) return { n = select("#", ...), ... } end

-- What forward and backward get as their first argument.
local Context = {}
Context.__index = Context

--- ctx:save(...), in forward: tensors (or nil) that backward will read by ctx:saved().
--- Arguments and results are what it is for: through these, create_graph differentiates.
function Context:save(...)
  local list = pack(...)
  self.at, self.list = {}, {}
  for i = 1, list.n do
    if al.is_tensor(list[i]) then
      self.list[#self.list + 1] = list[i]
      self.at[i] = #self.list
    elseif list[i] ~= nil then
      al.raise(("ctx:save: tensors are saved, value %d is a %s: make it a field of ctx")
        :format(i, type(list[i])))
    end
  end
  self.at.n = list.n
end

--- ctx:saved() -> what forward saved. Raises when one was written to since.
function Context:saved()
  local out, at = {}, self.at or { n = 0 }
  for i = 1, at.n do out[i] = at[i] and self.list[at[i]] end
  return unpack(out, 1, at.n)
end

-- Gradients by argument into gradients by tensor argument.
local function by_tensor(name, found, slots, args)
  local out = {}
  for i = 1, math.max(found.n, args.n) do
    local g = found[i]
    if g ~= nil and not al.is_tensor(g) then
      al.raise(("%s: backward must return a tensor or nil for argument %d, got %s")
        :format(name, i, type(g)))
    end
    if slots[i] then out[slots[i]] = g
    elseif g ~= nil then
      al.raise(("%s: backward returns a gradient for argument %d, which is no tensor")
        :format(name, i))
    end
  end
  return out
end

-- A gradient for the kernel: f(create_graph, saved, gradients...) in a scope of its own; errors
-- come with the lines that led to them. The kernel calls it with create_graph.
local function gradient(f)
  return function(create)
    local former, scope = native.grad_enabled(create), native.scope_open()
    local function run() f(create, native.fn_operands()) end
    local ok, message = xpcall(run, native.fn_trace)
    scope:close()
    native.grad_enabled(former)
    if not ok then error(message, 0) end
  end
end

local function gradient_of(def, ctx, slots, args)
  return gradient(function(create, saved, ...)
    ctx.create_graph, ctx.list = create, saved
    local found = pack(def.backward(ctx, ...))
    ctx.list = nil
    native.fn_results(unpack(by_tensor(def.name, found, slots, args), 1, args.tensors))
  end)
end

local function call(def, ...)
  local args, slots, xs, ctx = pack(...), {}, {}, setmetatable({ needs = {} }, Context)
  local record = false
  for i = 1, args.n do
    if al.is_tensor(args[i]) then
      xs[#xs + 1] = args[i]
      slots[i] = #xs
      ctx.needs[i] = args[i].requires_grad
      record = record or ctx.needs[i]
    end
  end
  record = record and native.grad_enabled()
  local ys = pack(al.no_grad(def.forward, ctx, ...))
  if not record then return unpack(ys, 1, ys.n) end
  local saved, counts = ctx.list or {}, { n = args.n, tensors = #xs }
  ctx.list = nil
  native.hold(ctx)
  return native.fn_record(def.name, gradient_of(def, ctx, slots, counts), xs, saved, ys)
end

--- fn{forward, backward, name = "fn"} -> an op written in Lua: a function like the others.
---
--- forward(ctx, ...) gets the call's arguments and returns one to four tensors; nothing inside
--- is recorded. backward(ctx, g...) gets the gradient of each result and returns one for each
--- argument, nil where there is none. Made of recorded ops, it can be differentiated itself
--- (create_graph). ctx:save(...) and ctx:saved() hand tensors over, checked against later
--- writes; other values are fields of ctx. ctx.needs[i]: argument i wants a gradient;
--- ctx.create_graph, in backward. Do not yield inside backward.
---
---   local swish = al.fn {
---     name = "swish",
---     forward = function(ctx, x) ctx:save(x) return x * x:sigmoid() end,
---     backward = function(ctx, g)
---       local x = ctx:saved()
---       local s = x:sigmoid()
---       return g * (s + x * s * (1 - s))
---     end,
---   }
function fn.fn(def)
  def = options("fn", def, { name = "fn" }, { "forward", "backward" })
  for _, part in ipairs { "forward", "backward" } do
    if type(def[part]) ~= "function" then
      al.raise(("fn: %s must be a function, got %s"):format(part, type(def[part])))
    end
  end
  return function(...) return al.scope(call, def, ...) end
end

-- Tensors among the values, in a list; the values, each of these replaced by its position.
local function take_tensors(values)
  local list, slots, rest = {}, {}, { n = values.n }
  for i = 1, values.n do
    if al.is_tensor(values[i]) then
      list[#list + 1] = values[i]
      slots[i] = #list
    else
      rest[i] = values[i]
    end
  end
  return list, slots, rest
end

-- Runs f(...) with the default generator where `state` says, then puts it back.
local function with_random(state, f, ...)
  local former = native.rng_state()
  native.rng_state(state)
  local ys = pack(pcall(f, ...))
  native.rng_state(former)
  if not ys[1] then error(ys[2], 0) end
  table.remove(ys, 1)
  ys.n = ys.n - 1
  return ys
end

-- Gradients of the function's tensors xs, which stand behind its tensor arguments in `kept`.
local function again(f, state, slots, rest, first)
  return gradient(function(create, kept, ...)
    local args, xs, gradients = { n = rest.n }, {}, { ... }
    for i = 1, rest.n do args[i] = slots[i] and kept[slots[i]] or rest[i] end
    for i = first, #kept do xs[#xs + 1] = kept[i] end
    local ys = with_random(state, al.with_grad, true, f, unpack(args, 1, args.n))
    local roots, seeds = {}, {}
    for i = 1, ys.n do
      if ys[i].requires_grad then
        roots[#roots + 1] = ys[i]
        seeds[#roots] = gradients[i]
      end
    end
    native.fn_results(unpack(al.grad(roots, xs, { grad_outputs = seeds, partial = true,
      create_graph = create, allow_unused = true }), 1, #xs))
  end)
end

local function record_again(f, ...)
  local state, since = native.rng_state(), native.graph_now()
  local kept, slots, rest = take_tensors(pack(...))
  local ys = pack(f(...))
  local xs = native.fn_frontier(ys, since)
  if #xs == 0 then return unpack(ys, 1, ys.n) end
  -- Kept: the arguments, then the xs. Plain arguments join the edges, so that they are known.
  local first = #kept + 1
  for i = 1, first - 1 do xs[#xs + 1] = not kept[i].requires_grad and kept[i] or nil end
  for _, x in ipairs(xs) do
    if x.requires_grad then kept[#kept + 1] = x end
  end
  return native.fn_record("checkpoint", again(f, state, slots, rest, first), xs, kept, ys)
end

--- checkpoint(f, ...) -> f(...), whose inner tensors are not kept for the gradient but computed
--- again during backward: memory for time. f gives one to four tensors and must compute the
--- same each time: the default generator starts from the same state, other generators and
--- buffers (running statistics, which are updated twice) are f's own. Tensors that f takes from
--- outside get their gradients too. What f reads must not be written to before backward: that
--- raises.
function fn.checkpoint(f, ...)
  local meta = getmetatable(f)
  if type(f) ~= "function" and not (type(meta) == "table" and meta.__call) then
    al.raise("checkpoint: the first argument must be a function, got " .. type(f))
  end
  -- nor while each call is told of (albedo.onnx)
  if not native.grad_enabled() or native.watch() >= 8 then return f(...) end
  return al.scope(record_again, f, ...)
end

return fn
