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
-- finished run goes on from its last checkpoint when more epochs are asked. The files hold what
-- the run was (fit/record.lua): another network, other data or options are refused.

local al = require "albedo"
local given = require "albedo.fit.given"
local progress = require "albedo.progress"
local record = require "albedo.fit.record"
local saves = require "albedo.saves"

local clock, wrong = al.clock, given.wrong

local Fit = {}
Fit.__index = Fit
require "albedo.fit.checkpoints"(Fit)

function Fit.say(format, ...) io.stderr:write(format:format(...), "\n") end
local say = Fit.say

-- ---- batches --------------------------------------------------------------------------------

local function has_state(v) return type(v) == "table" and type(v.state_dict) == "function" end

-- Calls body(x, y, ...) for the batches after the first `done`, each in a memory scope, until
-- it gives true. `batches` is a function of the batch's number, or a loader, run for as many
-- epochs as it takes; one without a state is read from its start, and ready() called where
-- that is behind. A scope forgets where an error came from: traced(message) adds it before.
local function each_batch(batches, done, ready, traced, body)
  if type(batches) == "function" then
    ready()
    repeat
      done = done + 1
      local ok, over = al.scope(xpcall, function() return body(batches(done)) end, traced)
      if not ok then error(over, 0) end
    until over
    return
  end
  -- what is left of the epoch that a loader stopped in may be nothing
  local at, first = has_state(batches) and done or 0, done > 0
  if at == done then ready() end
  while true do
    local before = at
    for x, y, z in batches() do
      at = at + 1
      if at > done and body(x, y, z) then return end
      if at == done then ready() end
    end
    if at == before and not first then wrong("the loader gives no batch any more") end
    first = false
  end
end

-- ---- set-up ---------------------------------------------------------------------------------

local function schedule_of(o, optim, steps)
  local kind = o.schedule or (optim.closure and "none" or "cosine")
  if kind == "none" then return nil end
  if kind == "cosine" then
    return al.optim.schedule.cosine(optim, { steps = steps, warmup = o.warmup })
  end
  if type(kind) == "function" then return kind(optim, steps) end
  if has_state(kind) then return kind end
  wrong('schedule is "cosine", "none", a schedule, or function(optimizer, steps) -> one; '
    .. "got %s", tostring(kind))
end

local function start(net, batches, opts)
  local o = given.check(net, batches, opts)
  local best = o.best or type(o.validate) == "table" and not o.watch and "low" or "high"
  local optim = o.optim
    or al.optim.adamw(net:parameters(), { lr = o.lr, weight_decay = o.weight_decay })
  local ema = o.ema
  if type(ema) == "number" then ema = al.optim.ema(net, { decay = ema }) end
  return setmetatable({
    net = net, o = o, batches = batches, steps = o.steps, step = 0, bad = 0, sum = 0, count = 0,
    better = best == "low" and function(a, b) return a < b end
      or function(a, b) return a > b end,
    checks = math.min(math.floor(o.checks), o.steps),
    record = o.save and record.of(net, batches, optim, o),
    parts = { -- what has a state beside the figures of a checkpoint
      model = net, optim = optim, schedule = schedule_of(o, optim, o.steps), ema = ema,
      loader = has_state(batches) and batches or nil,
      validation = has_state(o.validate) and o.validate or nil,
    },
    loss_of = o.loss or function(output, y) return al.cross_entropy(output, y) end,
    history = { loss = { step = {}, value = {} }, score = { step = {}, value = {} } },
    saves = o.save and saves(o.save) or nil, began = clock(), saved = clock(),
  }, Fit)
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
  if n == 0 then wrong "validate gives no batch" end
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
  if figures == nil then wrong "validate returned nothing: a score is wanted, or figures" end
  if type(figures) ~= "table" then figures = { [watch or "score"] = figures } end
  for name, v in pairs(figures) do
    if al.is_tensor(v) then figures[name] = v:item() end
  end
  watch = watch or type(validate) == "table" and "loss" or next(figures)
  if not self.o.watch and type(validate) == "function" and next(figures, watch) ~= nil then
    wrong "validate returns several figures: `watch` names the one that counts"
  end
  local score = figures[watch]
  if type(score) ~= "number" then
    wrong("validate gives no number named %s", tostring(watch))
  end
  if score ~= score then say("%s: validate is NaN at step %d", self.o.label, self.step) end
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
    if not al.is_tensor(loss) or loss:numel() ~= 1 then
      wrong("loss gives a tensor of one number; it returned %s", loss == nil and "nothing"
        or al.is_tensor(loss) and "one of " .. loss:numel() or "a " .. type(loss))
    end
    if self.o.accumulate > 1 then loss = loss / self.o.accumulate end
    loss:backward()
    sum = sum + loss:item()
  end
  if sum - sum ~= 0 and not self.searching then
    self:broken(("the loss is %s at"):format(sum ~= sum and "NaN" or sum), self.step + 1)
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
  if not parts.optim.closure then
    local norm = al.optim.clip_grad_norm(self.net:parameters(), o.clip or math.huge)
    if norm - norm ~= 0 then self:broken("the gradient is not finite at", line.step) end
    line.norm = o.clip and norm
    parts.optim:step()
  end
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
  local function traced(message) return self:traced(message) end
  each_batch(self.batches, self.step * k, ready, traced, function(...)
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

-- An error of the loop with the lines that led to it, those outside the library: the call of a
-- model, of what it calls.
function Fit:traced(message)
  if type(message) ~= "string" then return message end
  local library, lines, at = "@" .. al.native.system().path, {}, message:match "^(.-:%d+:)"
  for level = 3, 200 do
    local f = debug.getinfo(level, "Slf")
    if not f or f.func == self.loop then break end
    local line = ("%s:%d:"):format(f.short_src, f.currentline)
    if f.currentline > 0 and f.source:sub(1, #library) ~= library and line ~= at then
      lines[#lines + 1] = "\n  called from " .. line:sub(1, -2)
    end
  end
  return message .. table.concat(lines, "", 1, math.min(#lines, 8))
end

-- The steps that are missing, then the best weights.
function Fit:train()
  local net = self.net
  self.bar = progress { total = self.steps, from = self.step, label = self.o.label }
  self.shown = {}
  net:train()
  al.native.interrupts(true)
  local ok, message = true, nil
  if self.step < self.steps and not self.stopped then
    ok, message = xpcall(function() return self:loop() end,
      function(e) return self:traced(e) end)
  end
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

-- A training from beginning, or from what is kept, to its history.
function Fit:run(unwritable)
  local over = self.saves and self:resume()
  local history, resumed = self.history, self.step > 0
  if unwritable and not over then wrong("%s", unwritable) end
  if not over then self:train() end
  history.best, history.seconds, history.step = self.score, clock() - self.began, self.step
  history.stopped, history.resumed = self.stopped or false, resumed
  if self.saves and not over then self:finish() end
  return history
end

--- Trains net, with progress on standard error. `batches` is a loader, or a function(i) -> x,
-- y, ... of the batch's number; two values beside x reach the loss.
--
-- Options:
--   steps, epochs          how long: one of them
--   lr (1e-3)              rate of AdamW; weight_decay (0.01) likewise
--   optim                  an optimizer of your own, in AdamW's place
--   loss (cross-entropy)   function(output, y, x, z) -> tensor
--   schedule ("cosine")    with `warmup` steps; "none", as for L-BFGS; a schedule, or
--                          function(optimizer, steps) -> one; a plateau steps at the checks
--   clip                   largest gradient norm
--   accumulate (1)         batches a step
--   ema                    decay: the averages are validated and kept
--   validate               a loader (mean loss, accuracy), or function(net) -> a score or a
--                          table of figures
--   checks (10)            how many times it is asked
--   watch                  the figure that counts (a loader's loss)
--   best ("high")          which way it counts ("low" for a loader's loss): the best weights
--                          are kept
--   patience               early stopping: ends after so many checks without a better one
--   save                   path without ending, of checkpoints and figures
--   save_every (20)        seconds between checkpoints
--   fresh (false)          begins anew
--   label                  what the progress bar says
--   about                  table (names, numbers, lists: the classes, the size) kept with the
--                          weights, as JSON in the file's "about"
--   extend (true)          false: no checkpoint for a longer run
--
-- Called again it goes on where it was cut off, or reads back what is trained already. The
-- files hold what the run was: the network's shapes, the data (number, batches; paths and
-- classes of a folder), the options, `about`. Where one of these is another, al.fit raises, and
-- names it; functions are not looked into. One process at a time trains at a `save`.
--
-- The same call with more epochs (or steps) goes on where a finished run ended: to the bits of
-- a run of that length, unless it depends on the length (the cosine does: its rate rises again;
-- so do the checks: checks = epochs puts one after each). An optimizer with
-- .closure, as L-BFGS, is called as opt:step(closure) over the step's batches.
--
-- Returns { loss = { step, value }, score = { step, value } (lists), best, step, stopped,
-- resumed, seconds }. The network has the best weights then, and is in evaluation mode. SIGINT
-- and SIGTERM end the step, save, and raise. A loss or gradient of NaN or infinity raises
-- before it reaches the weights.
return { fit = function(net, batches, opts)
  local self = start(net, batches, opts)
  if not self.saves then return self:run() end
  local _, unwritable = self.saves:lock()
  local ok, history = pcall(self.run, self, unwritable)
  self.saves:unlock()
  if not ok then error(history, 0) end
  return history
end }
