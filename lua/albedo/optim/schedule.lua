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

return schedule
