--- al.fit: a training in one call, that goes on where it stopped, to the same bits.
--
--   local train = al.data.loader(set, { batch = 64, shuffle = true, workers = 2 })
--   local history = al.fit(net, train, {
--     epochs = 10, lr = 1e-3, warmup = 20, validate = al.data.loader(val, { batch = 64 }),
--     patience = 5, save = "runs/digits/net" })
--
-- What it does a step is what an explicit loop does: net(x), loss, backward, optimizer,
-- schedule. With `save` the run leaves NAME.safetensors, NAME.best.safetensors on the way, and
-- NAME.jsonl, a line a step; killed at any instant, the same call goes on from its checkpoint:
-- weights, optimizer, schedule, averages, random state, the loader's place, early stopping. A
-- finished run goes on from its last checkpoint when more epochs are asked.

local al = require "albedo"
local length = require "albedo.length"
local options = require "albedo.options"
local progress = require "albedo.progress"
local saves = require "albedo.saves"

local clock, exists = al.clock, al.io.exists

local Fit = {}
Fit.__index = Fit

local function say(format, ...) io.stderr:write(format:format(...), "\n") end

-- ---- batches --------------------------------------------------------------------------------

local function has_state(v) return type(v) == "table" and type(v.state_dict) == "function" end

-- Calls body(x, y, ...) for the batches after the first `done`, each in a memory scope, until
-- it gives true. `batches` is a function of the batch's number, or a loader, run for as many
-- epochs as it takes; one without a state is read from its start, and ready() called where
-- that is behind.
local function each_batch(batches, done, ready, body)
  if type(batches) == "function" then
    ready()
    repeat
      done = done + 1
      local over = al.scope(function() return body(batches(done)) end)
    until over
    return
  end
  local at, first = has_state(batches) and done or 0, true
  if at == done then ready() end
  while true do
    local before = at
    for x, y, z in batches() do
      at = at + 1
      if at > done and body(x, y, z) then return end
      if at == done then ready() end
    end
    if at == before and not first then error("al.fit: the loader is empty", 0) end
    first = at == before
  end
end

-- ---- set-up ---------------------------------------------------------------------------------

local function whole(what, v)
  if type(v) ~= "number" or v < 1 or v % 1 ~= 0 then
    al.native.raise(("al.fit: %s is a whole number from 1, got %s"):format(what, tostring(v)))
  end
  return v
end

local function schedule_of(o, optim, steps)
  local kind = o.schedule or (optim.closure and "none" or "cosine")
  if kind == "none" then return nil end
  if kind == "cosine" then
    return al.optim.schedule.cosine(optim, { steps = steps, warmup = o.warmup })
  end
  if type(kind) == "function" then return kind(optim, steps) end
  if has_state(kind) then return kind end
  al.native.raise(('al.fit: schedule is "cosine", "none", a schedule, or function(optimizer, '
    .. 'steps) -> one; got %s'):format(tostring(kind)))
end

local DEFAULTS = {
  lr = 1e-3, weight_decay = 0.01, warmup = 0, checks = 10, accumulate = 1, save_every = 20,
  save = false, fresh = false, extend = true, label = "train",
}
local FURTHER = {
  "steps", "epochs", "optim", "loss", "schedule", "validate", "watch", "best", "patience",
  "clip", "ema",
}

local function start(net, batches, opts)
  local o = options("al.fit", opts, DEFAULTS, FURTHER)
  whole("accumulate", o.accumulate)
  local steps = o.steps
  if not steps and o.epochs then
    steps = math.max(1, math.floor(whole("epochs", o.epochs) * length(batches) / o.accumulate))
  end
  whole("steps", steps)
  local low = type(o.validate) == "table" and not o.watch
  local best = o.best or (low and "low" or "high")
  if best ~= "low" and best ~= "high" then
    al.native.raise('al.fit: best is "low" or "high", got ' .. tostring(best))
  end
  local optim = o.optim
    or al.optim.adamw(net:parameters(), { lr = o.lr, weight_decay = o.weight_decay })
  if optim.closure and o.clip then
    al.native.raise "al.fit: clip would change the slopes that this optimizer searches along"
  end
  local ema = o.ema
  if type(ema) == "number" then ema = al.optim.ema(net, { decay = ema }) end
  local schedule = schedule_of(o, optim, steps)
  return setmetatable({
    net = net, o = o, batches = batches, steps = steps, step = 0, bad = 0, sum = 0, count = 0,
    better = best == "low" and function(a, b) return a < b end
      or function(a, b) return a > b end,
    checks = math.min(math.max(math.floor(o.checks), 1), steps),
    parts = { -- what has a state beside the figures below
      model = net, optim = optim, schedule = schedule, ema = ema,
      loader = has_state(batches) and batches or nil,
      validation = has_state(o.validate) and o.validate or nil,
    },
    loss_of = o.loss or function(output, y) return al.cross_entropy(output, y) end,
    history = { loss = { step = {}, value = {} }, score = { step = {}, value = {} } },
    saves = o.save and saves(o.save) or nil, began = clock(), saved = clock(),
  }, Fit)
end

-- ---- checkpoints ----------------------------------------------------------------------------

local function column(list) return al.tensor(list, { dtype = "float64" }) end

-- The figures a checkpoint holds beside the parts.
function Fit:figures()
  local h = self.history
  return {
    step = self.step, steps = self.steps, score = self.score, score_step = self.score_step,
    bad = self.bad, sum = self.sum, count = self.count, rng = al.rng_state(),
    seconds = clock() - self.began, stopped = self.stopped,
    loss_step = column(h.loss.step), loss_value = column(h.loss.value),
    val_step = column(h.score.step), val_value = column(h.score.value),
  }
end

-- Takes the figures of a file back; the random state is the caller's to set.
function Fit:restore(from)
  for _, name in ipairs { "step", "score", "score_step", "bad", "sum", "count", "stopped" } do
    if from[name] ~= nil then self[name] = from[name] end
  end
  self.began = clock() - (from.seconds or 0)
  for name, part in pairs { loss = "loss", score = "val" } do
    if from[part .. "_step"] then
      self.history[name].step = from[part .. "_step"]:to("int64"):totable()
      self.history[name].value = from[part .. "_value"]:totable()
    end
  end
  for name, t in pairs(from) do
    local key = name:match "^best%.(.*)$"
    if key then
      self.best = self.best or {}
      self.best[key] = al.hold(t)
    end
  end
  self.rng = { from["rng.1"], from["rng.2"] }
  -- a call with more patience than the one that stopped goes on
  if self.stopped then self.stopped = self.bad >= (self.o.patience or math.huge) or nil end
end

function Fit:save()
  self.saved, self.saved_step = clock(), self.step
  local state = self:figures()
  for name, part in pairs(self.parts) do state[name] = part end
  state.best = self.best
  local ok, reason = al.scope(function() return self.saves:save(state) end)
  if not ok then
    say("%s: step %d is not saved, the checkpoint before it stands: %s", self.o.label,
      self.step, reason)
  end
  return ok
end

-- A training is not made shorter.
function Fit:check_steps(path, steps)
  if steps and steps > self.steps then
    error(("al.fit: %s was trained for %d steps, %d are asked: train elsewhere, or with "
      .. "fresh = true"):format(path, steps, self.steps), 0)
  end
end

-- The steps of a training that is over, or nil.
function Fit:trained()
  local path = self.saves.final
  if not exists(path) then return nil end
  local file = al.io.open(path)
  local steps = al.scope(function()
    return file.entries.steps and file:read("steps"):item() or self.steps
  end)
  self:check_steps(path, steps)
  return steps
end

-- Goes on from what the path holds; true when that training was over.
function Fit:resume()
  local s = self.saves
  if self.o.fresh then
    s:remove()
    os.remove(s.part)
    os.remove(s.final)
  end
  local trained = self:trained()
  if trained == self.steps then
    self:restore(al.load(s.final, { model = self.net, loader = self.parts.loader }))
    al.rng_state(self.rng)
    say("%s: trained already, %s", self.o.label, s.final)
    self.net:eval()
    return true
  end
  local rest = s:load(self.parts)
  if not rest then
    if trained then
      error(("al.fit: %s was trained for %d steps, %d are asked, and the checkpoint to go on "
        .. "from is gone: train elsewhere, or with fresh = true")
        :format(s.final, trained, self.steps), 0)
    end
    return false
  end
  self:check_steps(s.part, rest.steps)
  self:restore(rest)
  s:rewind(self.step)
  say("%s: going on from step %d", self.o.label, self.step)
  return false
end

-- The trained network's file; then what led to it is not needed any more.
function Fit:finish()
  local s = self.saves
  local ok, reason = s:flush()
  local state = self:figures()
  state.model, state.loader = self.net, self.parts.loader
  if ok then ok, reason = pcall(al.save, s.final, state) end
  if not ok then
    error(("al.fit: %s is trained but not saved, the same call goes on from its last "
      .. "checkpoint: %s"):format(self.o.label, tostring(reason)), 0)
  end
  s:remove()
  if not self.o.extend then os.remove(s.part) end
end

-- ---- validation -----------------------------------------------------------------------------

-- Mean loss, and accuracy where labels are whole numbers, over a loader.
function Fit:over(loader)
  local loss, right, n, labelled = 0, 0, 0, true
  for x, y, z in loader() do
    local output = self.net(x)
    loss = loss + self.loss_of(output, y, x, z):item() * x.shape[1]
    n = n + x.shape[1]
    labelled = labelled and al.is_tensor(output) and output.ndim == 2 and al.is_tensor(y)
      and y.ndim == 1 and y.dtype == "int64"
    if labelled then right = right + output:argmax(2):eq(y):to("int64"):sum():item() end
  end
  if n == 0 then error("al.fit: the loader of validate is empty", 0) end
  return { loss = loss / n, accuracy = labelled and right / n or nil }
end

-- The figures of validation, in evaluation mode, of the averages where there are any; and the
-- one that is watched.
function Fit:validate()
  local validate, watch = self.o.validate, self.o.watch
  local function ask()
    self.net:eval()
    local figures = al.scope(al.no_grad, function()
      if type(validate) == "table" then return self:over(validate) end
      return validate(self.net)
    end)
    self.net:train()
    return figures
  end
  local ema = self.parts.ema
  local figures = ema and ema:with(ask) or not ema and ask()
  if type(figures) ~= "table" then figures = { [watch or "score"] = figures } end
  for name, v in pairs(figures) do
    if al.is_tensor(v) then figures[name] = v:item() end
  end
  watch = watch or type(validate) == "table" and "loss" or next(figures)
  local score = figures[watch]
  if type(score) ~= "number" then
    error(("al.fit: validate gives no number named %s"):format(tostring(watch)), 0)
  end
  return figures, score
end

-- After a share of the steps: the mean loss since the last time; validation, the best weights,
-- patience. Returns the figures for the step's line.
function Fit:check()
  local h = self.history
  table.insert(h.loss.step, self.step)
  table.insert(h.loss.value, self.sum / self.count)
  self.sum, self.count = 0, 0
  if not self.o.validate then return {} end
  local figures, score = self:validate()
  table.insert(h.score.step, self.step)
  table.insert(h.score.value, score)
  local schedule = self.parts.schedule
  if schedule and schedule.watches then schedule:step(score) end
  if score == score and (not self.score or self.better(score, self.score)) then
    self.score, self.score_step, self.bad = score, self.step, 0
    local function copy() self.best = self.net:state_dict { copy = true } end
    if self.parts.ema then self.parts.ema:with(copy) else copy() end
    if self.saves then
      local state = { model = self.best, step = self.step, score = score }
      local ok, reason = pcall(al.save, self.saves.best, state)
      if not ok then say("%s: the best is not saved: %s", self.o.label, reason) end
    end
  else
    self.bad = self.bad + 1
    self.stopped = self.o.patience and self.bad >= self.o.patience or nil
  end
  return figures, score
end

-- ---- the loop -------------------------------------------------------------------------------

-- The gradients of a step's batches, added up; returns their mean loss.
function Fit:backward(batches)
  local sum = 0
  for _, b in ipairs(batches) do
    local loss = self.loss_of(self.net(b[1]), b[2], b[1], b[3])
    if self.o.accumulate > 1 then loss = loss / self.o.accumulate end
    loss:backward()
    sum = sum + loss:item()
  end
  if sum ~= sum and not self.searching then
    error(("al.fit: the loss of %s is NaN at step %d"):format(self.o.label, self.step + 1), 0)
  end
  return sum
end

-- The step of an optimizer that asks for the loss more than once: over the same batches with
-- the same random numbers, so that what it searches is one function. The loss it began with.
function Fit:search(batches)
  local optim, rng = self.parts.optim, al.rng_state()
  local loss = optim:step(function()
    al.rng_state(rng)
    optim:zero_grad()
    local sum = self:backward(batches)
    self.searching = true -- where it looks, there may be NaN
    return sum
  end)
  self.searching = nil
  return type(loss) == "number" and loss or loss:item()
end

-- A step is over: the optimizer's update unless it searched, the schedule, the line of figures,
-- the checks.
function Fit:update(loss, lr)
  local parts, o = self.parts, self.o
  local line = { step = self.step + 1, loss = loss, lr = lr }
  if o.clip then line.norm = al.optim.clip_grad_norm(self.net:parameters(), o.clip) end
  if not parts.optim.closure then parts.optim:step() end
  parts.optim:zero_grad()
  if parts.schedule and not parts.schedule.watches then parts.schedule:step() end
  if parts.ema then parts.ema:update() end
  self.step, self.sum, self.count = line.step, self.sum + loss, self.count + 1
  self.shown.loss = self.sum / self.count
  -- the checks lie evenly, the last at the end
  if self.step * self.checks % self.steps < self.checks then
    local figures, score = self:check()
    for name, v in pairs(figures) do line["val_" .. name] = v end
    self.shown.val = score
  end
  line.seconds = clock() - self.began
  if self.saves then self.saves:line(line) end
  self.bar:step(self.shown)
  return self.step == self.steps or self.stopped
end

-- An interrupted training, as an error: what to say, and what it is.
local Interrupted = { __tostring = function(e) return e.message end }

function Fit:interrupt()
  local message = ("%s: interrupted after step %d"):format(self.o.label, self.step)
  if self.saves and self:save() then
    message = message .. "; saved, the same call goes on from there"
  end
  error(setmetatable({ message = message, step = self.step }, Interrupted), 0)
end

function Fit:loop()
  local k, optim = self.o.accumulate, self.parts.optim
  local waiting, seen, sum = {}, 0, 0
  optim:zero_grad()
  local function ready() if self.rng then al.rng_state(self.rng) end end
  each_batch(self.batches, self.step * k, ready, function(...)
    seen = seen + 1
    if optim.closure then
      waiting[seen] = { ... }
      if seen < k then al.keep(...) end -- past this batch's scope
    else
      sum = sum + self:backward { { ... } }
    end
    if seen < k then return false end
    local lr = optim.groups[1].lr
    local over = self:update(optim.closure and self:search(waiting) or sum, lr)
    waiting, seen, sum = {}, 0, 0
    if over then return true end
    if al.native.interrupts() then self:interrupt() end
    if self.saves and clock() - self.saved >= self.o.save_every then self:save() end
  end)
end

--- Trains net, with progress on standard error. `batches` is a loader, or a function(i) -> x,
-- y, ... of the batch's number; two values beside x reach the loss.
--
-- Options: steps or epochs; lr (1e-3), weight_decay (0.01) of AdamW, or optim, an optimizer;
-- loss = function(output, y, x, z) -> tensor (cross-entropy); schedule ("cosine" with `warmup`
-- steps, "none" as for L-BFGS, a schedule, or function(optimizer, steps) -> one; a plateau
-- steps at the checks); clip (largest gradient norm); accumulate (batches a step: 1); ema
-- (decay: the averages are validated and kept). validate = a loader (mean loss, accuracy), or
-- function(net) -> a score or a table of figures, asked `checks` (10) times; `watch` names the
-- figure that counts (a loader's loss), best ("high"; "low" for a loader's loss) says which
-- way: the best weights are kept; patience = n stops after n checks without a better one.
-- save = path without ending, for checkpoints every save_every (20) seconds and figures;
-- fresh = true begins anew; label.
--
-- The same call with more epochs (or steps) goes on where a finished run ended: to the bits of
-- a run of that length, unless it depends on the length (the cosine does: its rate rises again;
-- so do the checks: checks = epochs puts one after each). extend = false leaves no checkpoint
-- for it. An optimizer with .closure, as L-BFGS, is called as opt:step(closure) over the step's
-- batches.
--
-- Returns { loss = { step, value }, score = { step, value } (lists), best, step, stopped,
-- resumed, seconds }. The network has the best weights then, and is in evaluation mode. SIGINT
-- and SIGTERM end the step, save, and raise. A loss of NaN raises.
return { fit = function(net, batches, opts)
  local self = start(net, batches, opts)
  local over = self.saves and self:resume()
  local resumed = self.step > 0
  if not over then
    self.bar = progress { total = self.steps, from = self.step, label = self.o.label }
    self.shown = {}
    net:train()
    al.native.interrupts(true)
    local ok, message = true, nil
    if self.step < self.steps and not self.stopped then ok, message = pcall(self.loop, self) end
    al.native.interrupts(false)
    self.bar:done()
    if not ok then
      if self.saves then self.saves:flush() end
      error(message, 0)
    end
    if self.saves and self.saved_step ~= self.step then self:save() end
    if self.best then
      net:load_state_dict(self.best)
    elseif self.parts.ema then
      self.parts.ema:swap()
    end
    net:eval()
  end
  local history = self.history
  history.best, history.seconds, history.step = self.score, clock() - self.began, self.step
  history.stopped, history.resumed = self.stopped or false, resumed
  if self.saves and not over then self:finish() end
  return history
end }
