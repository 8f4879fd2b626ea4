--- optim.ema: an exponential moving average of a network's weights (Polyak and Juditsky 1992).
--
--   local ema = al.optim.ema(net, { decay = 0.999 })
--   ... opt:step(); ema:update()
--   ema:with(function() evaluate(net) end)      -- net has the averages meanwhile

local al = require "albedo"
local options = require "albedo.options"

local Ema = {}
Ema.__index = Ema

-- name -> tensor: what is averaged, and the statistics that are copied as they are
local function tensors_of(net)
  local averaged, copied = {}, {}
  for name, p in net:named_parameters() do averaged[name] = p:detach() end
  for name, b in net:buffers() do copied[name] = b end
  return averaged, copied
end

--- Once after each step: average = decay * average + (1 - decay) * weight. Buffers, such as
-- batch norm's statistics, are copied.
function Ema:update()
  self.steps = self.steps + 1
  local decay = self.decay
  if self.warmup then decay = math.min(decay, (1 + self.steps) / (10 + self.steps)) end
  al.scope(function()
    local averaged, copied = tensors_of(self.net)
    for name, p in pairs(averaged) do
      local mean = self.shadow[name]
      mean:add_((p - mean) * (1 - decay))
    end
    for name, b in pairs(copied) do self.shadow[name]:copy_(b) end
  end)
end

--- Exchanges the network's values with the averages; again, and they are back.
function Ema:swap()
  al.scope(function()
    for _, list in ipairs { tensors_of(self.net) } do
      for name, t in pairs(list) do
        local former = t:detach():clone()
        t:detach():copy_(self.shadow[name])
        self.shadow[name]:copy_(former)
      end
    end
  end)
end

--- Runs fn(...) while the network has the averages, and returns what it returns.
function Ema:with(fn, ...)
  self:swap()
  local function back(ok, ...)
    self:swap()
    if not ok then error((...), 0) end
    return ...
  end
  return back(pcall(fn, ...))
end

--- For a checkpoint: the averages, and the updates so far.
function Ema:state_dict()
  local out = { steps = self.steps }
  for name, t in pairs(self.shadow) do out["shadow." .. name] = t end
  return out
end

function Ema:load_state_dict(dict)
  for name, t in pairs(self.shadow) do
    local value = dict["shadow." .. name]
    if not al.is_tensor(value) then
      error(("optim.ema: the state dict has no 'shadow.%s'"):format(name), 2)
    end
    t:copy_(value)
  end
  self.steps = dict.steps
end

--- Averages of a network's weights, to be updated after each step, and to be evaluated in
-- their place by ema:with(fn). Options: decay = 0.999; warmup = false (true: decay
-- is at most (1 + t) / (10 + t) at update t, so that the first averages follow faster).
return function(net, opts)
  local o = options("optim.ema", opts, { decay = 0.999, warmup = false })
  if type(net) ~= "table" or type(net.named_parameters) ~= "function" then
    error("optim.ema: expects a module, got a " .. type(net), 2)
  end
  if type(o.decay) ~= "number" or not (o.decay >= 0 and o.decay < 1) then
    error("optim.ema: decay is from 0 on and below 1, got " .. tostring(o.decay), 2)
  end
  local shadow = {}
  for _, list in ipairs { tensors_of(net) } do
    for name, t in pairs(list) do shadow[name] = al.hold(t:detach():clone()) end
  end
  return setmetatable(
    { net = net, decay = o.decay, warmup = o.warmup, steps = 0, shadow = shadow }, Ema)
end
