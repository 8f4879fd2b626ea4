--- Limited-memory BFGS (Liu and Nocedal 1989) with the strong-Wolfe line search of Nocedal and
-- Wright (2006), algorithms 3.5 and 3.6, safeguarded as minFunc (Schmidt 2005) and PyTorch do:
-- the same settings give PyTorch's iterates.

local al = require "albedo"

-- ---- the line search ------------------------------------------------------------------------

-- Minimum within [low, high] of the cubic through two points { t, f, slope }.
local function cubic(a, b, low, high)
  local d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
  local square = d1 * d1 - a.slope * b.slope
  if not (square >= 0) then return (low + high) / 2 end
  if a.t > b.t then a, b = b, a end
  local d2 = math.sqrt(square)
  local t = b.t - (b.t - a.t) * (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2)
  return math.min(math.max(t, low), high)
end

local C1, C2, MOST = 1e-4, 0.9, 25 -- decrease, curvature, evaluations

local function enough(start, point) return point.f <= start.f + C1 * point.t * start.slope end
local function flat(start, point) return math.abs(point.slope) <= -C2 * start.slope end

-- Lengthens the step until two points enclose one that will do. Returns one point that does, or
-- two; and how many more evaluations were made.
local function enclose(at, start, point)
  local former, count = start, 0
  while count < MOST do
    if not enough(start, point) or count > 1 and point.f >= former.f then
      return former, point, count
    end
    if flat(start, point) then return point, nil, count end
    if point.slope >= 0 then return former, point, count end
    local t = cubic(former, point, point.t + 0.01 * (point.t - former.t), point.t * 10)
    former, point = point, at(t)
    count = count + 1
  end
  return start, point, count
end

-- at(t) = { t, f, slope, grad } along the direction; `extent` is its largest component.
-- Returns the point taken and the evaluations made.
local function wolfe(at, start, t, extent, tolerance)
  local a, b, count = enclose(at, start, at(t))
  if not b then return a, count + 1 end
  local low, high = a, b
  if b.f < a.f then low, high = b, a end
  local stuck = false
  while count < MOST do
    local left, right = math.min(low.t, high.t), math.max(low.t, high.t)
    if (right - left) * extent < tolerance then break end
    t = cubic(low, high, left, right)
    -- twice in a row at an end, or beyond it: a tenth of the way inside
    local margin = 0.1 * (right - left)
    if math.min(right - t, t - left) >= margin then
      stuck = false
    elseif stuck or t >= right or t <= left then
      t = math.abs(t - right) < math.abs(t - left) and right - margin or left + margin
      stuck = false
    else
      stuck = true
    end
    local point = at(t)
    count = count + 1
    if not enough(start, point) or point.f >= low.f then
      high = point
      if high.f < low.f then low, high = high, low end
    else
      if flat(start, point) then return point, count + 1 end
      if point.slope * (high.t - low.t) >= 0 then high = low end
      low = point
    end
  end
  return low, count + 1
end

-- ---- the direction --------------------------------------------------------------------------

local function number(x) return x:item() end
local function largest(x) return x:abs():max():item() end

-- -H g by the two loops over the pairs of steps s and gradient changes y.
local function direction(memory, g)
  local q, weight = -g, {}
  for i = #memory, 1, -1 do
    local pair = memory[i]
    weight[i] = number(pair.s:dot(q)) * pair.rho
    q = q - pair.y * weight[i]
  end
  q = q * (memory.scale or 1)
  for i, pair in ipairs(memory) do
    q = q + pair.s * (weight[i] - number(pair.y:dot(q)) * pair.rho)
  end
  return q
end

-- Notes a step s that changed the gradient by y, unless the curvature along it is too small.
local function remember(memory, s, y, most)
  local ys = number(y:dot(s))
  if ys <= 1e-10 then return end
  if #memory >= most then table.remove(memory, 1) end
  memory[#memory + 1] = { s = al.hold(s), y = al.hold(y), rho = 1 / ys }
  memory.scale = ys / number(y:dot(y))
end

-- ---- the step -------------------------------------------------------------------------------

-- All parameters as one vector, and their gradients.
local function joined(group, of)
  local parts = {}
  for i, p in ipairs(group.params) do parts[i] = of(p):reshape(-1) end
  return al.cat(parts, 1)
end
local function values(p) return p:detach() end
local function gradient(p) return p.grad and p.grad:detach() or al.zeros_like(p:detach()) end

local function put(group, flatly)
  local from = 1
  for _, p in ipairs(group.params) do
    local n = p:numel()
    p:detach():copy_(flatly:narrow(1, from, n):reshape(p.shape))
    from = from + n
  end
end

-- One call of opt:step(closure): up to max_iter iterations. memory: what calls share.
local function minimize(group, memory, closure)
  local function evaluate()
    local loss = closure()
    return type(loss) == "number" and loss or number(loss), joined(group, gradient)
  end
  local loss, g = evaluate()
  local first, evaluations, iterations = loss, 1, 0
  if largest(g) <= group.tolerance_grad then return first end
  while iterations < group.max_iter do
    iterations = iterations + 1
    local t = group.lr
    if memory.grad then
      remember(memory, memory.d * memory.t, g - memory.grad, group.history)
    else
      t = math.min(1, 1 / number(g:abs():sum())) * t
    end
    local d = al.hold(direction(memory, g))
    memory.d, memory.t, memory.grad = d, t, al.hold(g)
    local former, slope = loss, number(g:dot(d))
    if slope > -group.tolerance_change then break end
    local from = joined(group, values)
    local function at(step)
      put(group, from + d * step)
      local f, grad = evaluate()
      return { t = step, f = f, slope = number(grad:dot(d)), grad = grad }
    end
    if group.line_search then
      local start = { t = 0, f = loss, slope = slope, grad = g }
      local point, count = wolfe(at, start, t, largest(d), 1e-9)
      loss, g, memory.t, evaluations = point.f, point.grad, point.t, evaluations + count
      put(group, from + d * memory.t)
    elseif iterations < group.max_iter then
      local point = at(t)
      loss, g, evaluations = point.f, point.grad, evaluations + 1
    else
      put(group, from + d * t) -- the next call evaluates there
    end
    if evaluations >= group.max_eval or largest(g) <= group.tolerance_grad
      or largest(d) * memory.t <= group.tolerance_change
      or math.abs(loss - former) < group.tolerance_change then
      break
    end
  end
  return first
end

-- ---- as an optimizer ------------------------------------------------------------------------

return function(Optimizer, construct)
  local Lbfgs = setmetatable({ __tostring = Optimizer.__tostring }, { __index = Optimizer })
  Lbfgs.__index = Lbfgs
  Lbfgs.closure = true -- step wants one: al.fit asks

  --- Calls closure() -> loss, which clears the gradients, computes the loss and its gradients,
  -- as often as the search wants. Returns the loss before the step.
  function Lbfgs:step(closure)
    if type(closure) ~= "function" then
      al.raise("lbfgs: step(closure) wants a function that computes the loss and its "
        .. "gradients, and returns the loss")
    end
    if #self.groups > 1 then al.raise "lbfgs: one group of parameters only" end
    self.memory = self.memory or {}
    return al.scope(minimize, self.groups[1], self.memory, closure)
  end

  function Lbfgs:state_dict()
    local out, memory = Optimizer.state_dict(self), self.memory or {}
    for _, name in ipairs { "d", "grad", "t", "scale" } do
      out["memory." .. name] = memory[name]
    end
    for i, pair in ipairs(memory) do
      out[("memory.%d.s"):format(i - 1)], out[("memory.%d.y"):format(i - 1)] = pair.s, pair.y
    end
    return out
  end

  function Lbfgs:load_state_dict(dict)
    local rest, memory, pairs_of = {}, {}, {}
    local n = joined(self.groups[1], values):numel()
    for key, value in pairs(dict) do
      local name, i, part = key:match "^memory%.(%a+)$", key:match "^memory%.(%d+)%.([sy])$"
      if name == "t" or name == "scale" then
        memory[name] = value
      elseif name or i then
        if not al.is_tensor(value) or value:numel() ~= n then
          al.raise(("lbfgs: the state dict's '%s' does not fit this optimizer"):format(key))
        end
        value = al.hold(value:detach():clone())
        if name then memory[name] = value
        else
          i = tonumber(i) + 1
          pairs_of[i] = pairs_of[i] or {}
          pairs_of[i][part] = value
        end
      else
        rest[key] = value
      end
    end
    for i, pair in ipairs(pairs_of) do
      pair.rho = 1 / number(pair.y:dot(pair.s))
      memory[i] = pair
    end
    Optimizer.load_state_dict(self, rest)
    self.memory = memory
  end

  --- L-BFGS, for smooth problems without noise. Options: lr = 1 (the first step tried),
  -- max_iter = 20 and max_eval = 1.25 max_iter (a step), tolerance_grad = 1e-7,
  -- tolerance_change = 1e-9, history = 100, line_search = false (true: strong Wolfe).
  --
  --   opt:step(function()
  --     opt:zero_grad()
  --     local loss = net(x):mse_loss(y)
  --     loss:backward()
  --     return loss
  --   end)
  return function(params, opts)
    local self = construct(params, opts)
    local group = self.groups[1]
    group.max_eval = group.max_eval or math.floor(group.max_iter * 1.25)
    return setmetatable(self, Lbfgs)
  end
end
