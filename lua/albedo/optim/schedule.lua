--- al.optim.schedule: learning rates that follow the step. Each multiplies every group's own
-- rate by a factor.
--
--   local schedule = al.optim.schedule.cosine(opt, { steps = 1000, warmup = 50 })
--   ... opt:step(); schedule:step()

local options = require "albedo.options"

local Schedule = {}
Schedule.__index = Schedule

local function apply(self)
  self.factor = self.fn(self.t)
  for g, group in ipairs(self.optimizer.groups) do
    self.base[g] = self.base[g] or group.lr
    group.lr = self.base[g] * self.factor
  end
end

local function make(optimizer, fn)
  local self = setmetatable({ optimizer = optimizer, fn = fn, t = 0, base = {} }, Schedule)
  apply(self)
  return self
end

--- To be called after each optimizer step. Returns the factor now in force.
function Schedule:step()
  self.t = self.t + 1
  apply(self)
  return self.factor
end

--- For a checkpoint: the step reached and the groups' base rates.
function Schedule:state_dict()
  local out = { t = self.t }
  for g, lr in ipairs(self.base) do out["base." .. g - 1] = lr end
  return out
end

function Schedule:load_state_dict(dict)
  self.t = dict.t
  for g in ipairs(self.base) do self.base[g] = dict["base." .. g - 1] end
  apply(self)
end

local schedule = {}

--- factor = fn(t), t the steps done so far, from 0.
function schedule.lambda(optimizer, fn) return make(optimizer, fn) end

-- fn after a linear rise over `warmup` steps: 1/warmup, 2/warmup, ..., 1.
local function warmed(warmup, fn)
  return function(t)
    if t < warmup then return (t + 1) / warmup end
    return fn(t - warmup)
  end
end

--- Multiplied by gamma every so many steps. Options: every, gamma = 0.1, warmup = 0.
function schedule.step(optimizer, opts)
  local o = options("schedule.step", opts, { gamma = 0.1, warmup = 0 }, { "every" })
  if not o.every then error("schedule.step: option 'every' is missing", 2) end
  return make(optimizer, warmed(o.warmup,
    function(t) return o.gamma ^ math.floor(t / o.every) end))
end

--- Half a cosine from 1 down to `floor` over `steps`, then `floor`. Options: steps, floor = 0,
-- warmup = 0 (of the steps).
function schedule.cosine(optimizer, opts)
  local o = options("schedule.cosine", opts, { floor = 0, warmup = 0 }, { "steps" })
  if not o.steps then error("schedule.cosine: option 'steps' is missing", 2) end
  local length = math.max(o.steps - o.warmup, 1)
  return make(optimizer, warmed(o.warmup, function(t)
    return o.floor + (1 - o.floor) * 0.5 * (1 + math.cos(math.pi * math.min(t / length, 1)))
  end))
end

-- An option that must be given.
local function needed(what, o, ...)
  for _, name in ipairs { ... } do
    if o[name] == nil then error(("%s: option '%s' is missing"):format(what, name), 3) end
  end
end

--- Multiplied by gamma at each of these steps. Options: at = { 300, 800 }, gamma = 0.1, warmup
-- = 0.
function schedule.multistep(optimizer, opts)
  local o = options("schedule.multistep", opts, { gamma = 0.1, warmup = 0 }, { "at" })
  needed("schedule.multistep", o, "at")
  return make(optimizer, warmed(o.warmup, function(t)
    local passed = 0
    for _, at in ipairs(o.at) do if t >= at then passed = passed + 1 end end
    return o.gamma ^ passed
  end))
end

--- Multiplied by gamma at every step. Options: gamma, warmup = 0.
function schedule.exponential(optimizer, opts)
  local o = options("schedule.exponential", opts, { warmup = 0 }, { "gamma" })
  needed("schedule.exponential", o, "gamma")
  return make(optimizer, warmed(o.warmup, function(t) return o.gamma ^ t end))
end

--- A linear rise from `from` to 1 over `steps`, then 1. Options: steps, from = 0.
function schedule.warmup(optimizer, opts)
  local o = options("schedule.warmup", opts, { from = 0 }, { "steps" })
  needed("schedule.warmup", o, "steps")
  return make(optimizer, function(t)
    return o.from + (1 - o.from) * math.min(t / o.steps, 1)
  end)
end

--- One cycle (Smith and Topin 2019): from 1 / start up to 1, the groups' own rates, over the
-- part `rise` of the steps, then down to 1 / (start * finish). Options: steps, rise = 0.3,
-- start = 25, finish = 1e4, shape = "cosine" ("linear").
function schedule.one_cycle(optimizer, opts)
  local o = options("schedule.one_cycle", opts,
    { rise = 0.3, start = 25, finish = 1e4, shape = "cosine" }, { "steps" })
  needed("schedule.one_cycle", o, "steps")
  if o.shape ~= "cosine" and o.shape ~= "linear" then
    error(("schedule.one_cycle: shape is %s: cosine, linear"):format(tostring(o.shape)), 2)
  end
  local function between(a, b, share)
    share = math.min(math.max(share, 0), 1)
    if o.shape == "cosine" then share = (1 - math.cos(math.pi * share)) / 2 end
    return a + (b - a) * share
  end
  local top, last = o.rise * o.steps - 1, o.steps - 1
  return make(optimizer, function(t)
    if t <= top then return between(1 / o.start, 1, t / top) end
    return between(1, 1 / (o.start * o.finish), (t - top) / (last - top))
  end)
end

--- Cyclical rates (Smith 2017): triangles between `floor` and 1. Options: floor, up (steps of
-- the rise), down = up, mode = "triangular" ("triangular2": half as high each cycle,
-- "exp_range": gamma ^ t as high), gamma = 1.
function schedule.cyclic(optimizer, opts)
  local o = options("schedule.cyclic", opts, { mode = "triangular", gamma = 1 },
    { "floor", "up", "down" })
  needed("schedule.cyclic", o, "floor", "up")
  local heights = {
    triangular = function() return 1 end,
    triangular2 = function(cycle) return 0.5 ^ cycle end,
    exp_range = function(_, t) return o.gamma ^ t end,
  }
  local height = heights[o.mode]
  if not height then
    error(("schedule.cyclic: mode is %s: exp_range, triangular, triangular2")
      :format(tostring(o.mode)), 2)
  end
  local down = o.down or o.up
  return make(optimizer, function(t)
    local cycle = math.floor(t / (o.up + down))
    local x = t - cycle * (o.up + down)
    local share = x <= o.up and x / o.up or 1 - (x - o.up) / down
    return o.floor + (1 - o.floor) * share * height(cycle, t)
  end)
end

local Plateau = setmetatable({ watches = true }, { __index = Schedule })
Plateau.__index = Plateau

--- To be called with each new value of what is watched, as after an epoch: schedule:step(loss).
-- Returns the factor now in force.
function Plateau:step(value)
  local o = self.options
  if type(value) ~= "number" then
    error("schedule.plateau: step(value) wants the value that is watched", 2)
  end
  self.t = self.t + 1
  local sign = o.best == "low" and 1 or -1
  if not self.best
    or sign * value < sign * self.best - o.threshold * math.abs(self.best) then
    self.best, self.bad = value, 0
  else
    self.bad = self.bad + 1
  end
  if self.wait > 0 then self.wait, self.bad = self.wait - 1, 0 end
  if self.bad > o.patience then
    self.reached = math.max(self.reached * o.gamma, o.floor)
    self.wait, self.bad = o.cooldown, 0
  end
  apply(self)
  return self.factor
end

function Plateau:state_dict()
  local out = Schedule.state_dict(self)
  for _, name in ipairs { "best", "bad", "wait", "reached" } do out[name] = self[name] end
  return out
end

function Plateau:load_state_dict(dict)
  for _, name in ipairs { "best", "bad", "wait", "reached" } do self[name] = dict[name] end
  Schedule.load_state_dict(self, dict)
end

--- Multiplied by gamma when the watched value has not bettered its best by the part `threshold`
-- for more than `patience` steps. Options: best = "low" ("high"), gamma = 0.1, patience = 10,
-- threshold = 1e-4, cooldown = 0 (steps after a change that do not count), floor = 0.
function schedule.plateau(optimizer, opts)
  local o = options("schedule.plateau", opts, { best = "low", gamma = 0.1, patience = 10,
    threshold = 1e-4, cooldown = 0, floor = 0 })
  if o.best ~= "low" and o.best ~= "high" then
    error(("schedule.plateau: best is %s: low, high"):format(tostring(o.best)), 2)
  end
  local self
  self = setmetatable({ optimizer = optimizer, t = 0, base = {}, options = o, bad = 0,
    wait = 0, reached = 1, fn = function() return self.reached end }, Plateau)
  apply(self)
  return self
end

return schedule
