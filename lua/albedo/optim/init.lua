--- al.optim: optimizers over lists of parameters, or groups of them with their own options.
--
--   local opt = al.optim.adamw(net:parameters(), { lr = 1e-3, weight_decay = 0.01 })
--   local opt = al.optim.sgd({ { params = net.body:parameters(), lr = 1e-4 },
--     { params = net.head:parameters() } }, { lr = 1e-2, momentum = 0.9 })
--   opt:zero_grad(); loss:backward(); opt:step()
--
-- Gradients add up until zero_grad, so that k small batches make a step of a large one:
--   for k, x, y in ... do
--     (loss(net(x), y) / 4):backward()
--     if k % 4 == 0 then opt:step(); opt:zero_grad() end
--   end
--
-- The update itself is one fused kernel call a group. Parameters without a gradient are left
-- alone.

local al = require "albedo"
local options = require "albedo.options"
local ops, has_grad = al.native.ops, al.native.has_grad

-- The parameters of a module, of a list of tensors that list itself.
local function as_list(params)
  if al.is_tensor(params) then return { params } end
  if type(params) ~= "table" then
    al.raise("optim: a module, or a list of tensors, is wanted, got " .. type(params))
  end
  return type(params.parameters) == "function" and params:parameters() or params
end

local Optimizer = {}
Optimizer.__index = Optimizer

-- rule: { name, options with defaults, states = names of the buffers each parameter has (one
-- that is an option's name too, only where that option is not 0), step(group, params, buffers,
-- t): from the .grad of each }
local function optimizer(rule)
  return function(params, opts)
    local self = setmetatable({ rule = rule, groups = {}, state = {}, member = {} }, Optimizer)
    self.defaults = options(rule.name, opts, rule.options, rule.further)
    params = as_list(params)
    if #params == 0 then al.raise(rule.name .. ": no parameters given") end
    if al.is_tensor(params[1]) then params = { { params = params } } end
    for _, group in ipairs(params) do self:add_group(group) end
    return self
  end
end

-- Numbers are finite and not negative; those that must stay below 1 do.
local below_one = { beta1 = true, beta2 = true, alpha = true, rho = true }
local function check_options(name, group)
  for key, v in pairs(group) do
    local wrong = type(v) == "number" and not (v >= 0 and v < math.huge)
      or key == "lr" and type(v) ~= "number"
    if wrong or below_one[key] and v >= 1 then
      al.raise(("%s: %s must be a number from 0 on%s, got %s"):format(name, key,
        below_one[key] and " and below 1" or "", tostring(v)))
    end
  end
end

-- What tells a parameter, and views of all of it, from others.
local function identity(p) return p:numel() > 0 and p:data_ptr() or p end

--- Adds parameters with options of their own: opt:add_group { params = list, lr = 1e-4 }.
function Optimizer:add_group(given)
  local name = self.rule.name
  local params, own = given.params, {}
  if type(params) ~= "table" then
    al.raise(name .. ": a group is { params = list of tensors, lr = ..., ... }")
  end
  params = as_list(params)
  for key, value in pairs(given) do
    if key ~= "params" then own[key] = value end
  end
  local group = options(name, own, self.defaults, self.rule.further)
  check_options(name, group)
  group.params = {}
  local seen = {}
  for i, p in ipairs(params) do
    if not (al.is_tensor(p) and p.is_leaf) then
      al.raise(("%s: parameter %d is %s, not a leaf tensor"):format(name, i,
        al.is_tensor(p) and "the result of an operation" or "a " .. type(p)))
    end
    if p.dtype:sub(1, 5) ~= "float" then
      al.raise(("%s: parameter %d is %s"):format(name, i, p.dtype))
    end
    local key = identity(p)
    if seen[key] or self.member[key] then
      al.raise(("%s: parameter %d is given twice"):format(name, i))
    end
    seen[key] = true
    group.params[i] = al.hold(p)
  end
  for p in pairs(seen) do self.member[p] = true end
  table.insert(self.groups, group)
end

--- Forgets the gradients of all parameters.
function Optimizer:zero_grad()
  for _, group in ipairs(self.groups) do
    for _, p in ipairs(group.params) do p.grad = nil end
  end
end

local function state_of(self, p)
  local state = self.state[p] or { step = 0 }
  self.state[p] = state
  return state
end

-- The buffer `name` of a parameter's state, made of zeros when first wanted.
local function buffer_of(state, name, p)
  state[name] = state[name] or al.hold(al.zeros_like(p:detach()))
  return state[name]
end

--- One update from the gradients that the last backward left.
function Optimizer:step()
  local rule = self.rule
  for _, group in ipairs(self.groups) do
    -- parameters by the number of their step: nearly always one batch
    local batches, order = {}, {}
    for _, p in ipairs(group.params) do
      if has_grad(p) and p.requires_grad then -- p.grad itself would outlive zero_grad
        local state = state_of(self, p)
        local t = state.step + 1
        local batch = batches[t]
        if not batch then
          batch = { t = t, states = {}, params = {}, buffers = {} }
          for i in ipairs(rule.states) do batch.buffers[i] = {} end
          batches[t] = batch
          order[#order + 1] = batch
        end
        table.insert(batch.states, state)
        table.insert(batch.params, p)
        for i, name in ipairs(rule.states) do
          if group[name] ~= 0 then
            table.insert(batch.buffers[i], buffer_of(state, name, p))
          end
        end
      end
    end
    for _, batch in ipairs(order) do
      rule.step(group, batch.params, batch.buffers, batch.t)
      for _, state in ipairs(batch.states) do state.step = batch.t end
    end
  end
end

-- Calls visit(number of the parameter from 0, parameter) over all groups.
local function each(self, visit)
  local n = 0
  for _, group in ipairs(self.groups) do
    for _, p in ipairs(group.params) do
      visit(n, p)
      n = n + 1
    end
  end
end

--- For a checkpoint, flat name -> tensor or number: state.N.NAME of parameter N (from 0),
-- group.N.OPTION.
function Optimizer:state_dict()
  local out = {}
  for g, group in ipairs(self.groups) do
    for key, value in pairs(group) do
      if type(value) == "number" then out[("group.%d.%s"):format(g - 1, key)] = value end
    end
  end
  each(self, function(n, p)
    for name, value in pairs(self.state[p] or {}) do
      out[("state.%d.%s"):format(n, name)] = value
    end
  end)
  return out
end

--- Takes the state back; the groups must be those of the optimizer that saved it. A name or
-- value that does not fit raises.
function Optimizer:load_state_dict(dict)
  local params, known = {}, {}
  local function misfit(key)
    al.raise(("%s: the state dict's '%s' does not fit this optimizer")
      :format(self.rule.name, key))
  end
  each(self, function(n, p) params[n] = p end)
  for _, name in ipairs(self.rule.states) do known[name] = true end
  for key, value in pairs(dict) do
    local kind, number, name = key:match "^(%a+)%.(%d+)%.([%w_]+)$"
    number = tonumber(number)
    local group = kind == "group" and self.groups[number + 1]
    local p = kind == "state" and params[number]
    if group and type(group[name]) == "number" then
      if type(value) ~= "number" or value ~= value then misfit(key) end
      group[name] = value
    elseif p and name == "step" then
      if type(value) ~= "number" or value < 0 then misfit(key) end
      state_of(self, p).step = value
    elseif p and known[name] and al.is_tensor(value) then
      if table.concat(value.shape, "x") ~= table.concat(p.shape, "x") then misfit(key) end
      buffer_of(state_of(self, p), name, p):copy_(value)
    else
      misfit(key)
    end
  end
end

function Optimizer:__tostring()
  local lines = {}
  for g, group in ipairs(self.groups) do
    local parts = {}
    for key, value in pairs(group) do
      if type(value) == "number" or value == true then
        parts[#parts + 1] = ("%s = %s"):format(key, tostring(value))
      end
    end
    table.sort(parts)
    lines[g] = ("%s, %d parameters: %s")
      :format(self.rule.name, #group.params, table.concat(parts, ", "))
  end
  return table.concat(lines, "\n")
end

local function pick(from, ...)
  local out = {}
  for _, name in ipairs { ... } do out[name] = from[name] end
  return out
end

local optim = {
  Optimizer = Optimizer,
  schedule = require "albedo.optim.schedule",
}

--- Stochastic gradient descent. Options: lr = 0.01, momentum = 0, weight_decay = 0 (L2),
-- nesterov = false.
optim.sgd = optimizer {
  name = "sgd", states = { "momentum" },
  options = { lr = 0.01, momentum = 0, weight_decay = 0, nesterov = false },
  step = function(o, params, buffers)
    ops.sgd_step(params, nil, o.momentum ~= 0 and buffers[1] or nil,
      pick(o, "lr", "momentum", "weight_decay", "nesterov"))
  end,
}

local function adam(name, weight_decay, decoupled)
  return optimizer {
    name = name, states = { "exp_avg", "exp_avg_sq" },
    options = {
      lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = weight_decay,
    },
    step = function(o, params, buffers, t)
      local settings = pick(o, "lr", "beta1", "beta2", "eps", "weight_decay")
      settings.decoupled, settings.step = decoupled, t
      ops.adam_step(params, nil, buffers[1], buffers[2], settings)
    end,
  }
end

--- Adam (Kingma and Ba 2015). Options: lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8,
-- weight_decay = 0 (L2).
optim.adam = adam("adam", 0, false)

--- AdamW (Loshchilov and Hutter 2019): Adam with decoupled weight decay. Options as adam,
-- weight_decay = 0.01.
optim.adamw = adam("adamw", 0.01, true)

--- RMSprop. Options: lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0.
optim.rmsprop = optimizer {
  name = "rmsprop", states = { "square_avg", "momentum" },
  options = { lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0 },
  step = function(o, params, buffers)
    ops.rmsprop_step(params, nil, buffers[1], o.momentum ~= 0 and buffers[2] or nil,
      pick(o, "lr", "alpha", "eps", "weight_decay", "momentum"))
  end,
}

-- A rule made of tensor ops: update(options, parameter, gradient, t, its buffers ...).
local function composed(update)
  return function(o, params, buffers, t)
    al.scope(function()
      for i, p in ipairs(params) do
        local own = {}
        for k, buffer in ipairs(buffers) do own[k] = buffer[i] end
        update(o, p:detach(), p.grad:detach(), t, (table.unpack or unpack)(own))
      end
    end)
  end
end

--- Adagrad (Duchi, Hazan and Singer 2011). Options: lr = 0.01, lr_decay = 0, weight_decay = 0,
-- initial = 0 (of the sums of squares), eps = 1e-10.
optim.adagrad = optimizer {
  name = "adagrad", states = { "sum" },
  options = { lr = 0.01, lr_decay = 0, weight_decay = 0, initial = 0, eps = 1e-10 },
  step = composed(function(o, p, g, t, sum)
    if t == 1 and o.initial ~= 0 then sum:add_(o.initial) end
    if o.weight_decay ~= 0 then g = g + p * o.weight_decay end
    sum:add_(g * g)
    p:sub_(g * (o.lr / (1 + (t - 1) * o.lr_decay)) / (sum:sqrt() + o.eps))
  end),
}

--- LAMB (You et al. 2020), for large batches: AdamW's step, scaled for each parameter to the
-- parameter's own norm. Options as adamw, eps = 1e-6.
optim.lamb = optimizer {
  name = "lamb", states = { "exp_avg", "exp_avg_sq" },
  options = { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-6, weight_decay = 0.01 },
  step = composed(function(o, p, g, t, mean, square)
    mean:mul_(o.beta1):add_(g * (1 - o.beta1))
    square:mul_(o.beta2):add_(g * g * (1 - o.beta2))
    local step = mean / (1 - o.beta1 ^ t)
      / ((square / (1 - o.beta2 ^ t)):sqrt() + o.eps) + p * o.weight_decay
    local own, wanted = p:norm():item(), step:norm():item()
    p:sub_(step * (own > 0 and wanted > 0 and o.lr * own / wanted or o.lr))
  end),
}

optim.lbfgs = require "albedo.optim.lbfgs"(Optimizer, optimizer {
  name = "lbfgs", states = {}, further = { "max_eval" },
  options = {
    lr = 1, max_iter = 20, tolerance_grad = 1e-7, tolerance_change = 1e-9, history = 100,
    line_search = false,
  },
})

optim.ema = require "albedo.optim.ema"

--- Clamps every element of the gradients of a list of parameters (or of a module) to [-max,
-- max].
function optim.clip_grad_value(params, max)
  if type(max) ~= "number" or not (max >= 0) then
    al.raise("clip_grad_value: max is a number from 0 on, got " .. tostring(max))
  end
  for _, p in ipairs(as_list(params)) do
    if p.grad then p.grad:detach():clamp_(-max, max) end
  end
end

--- Scales the gradients of a list of parameters (or of a module) so that their joint L2 norm is
-- at most `max`. Returns the norm they had.
function optim.clip_grad_norm(params, max)
  params = as_list(params)
  local grads = {}
  for _, p in ipairs(params) do grads[#grads + 1] = p.grad end
  if #grads == 0 then return 0 end
  return ops.clip_grads(grads, { max = max }):item()
end

return optim
