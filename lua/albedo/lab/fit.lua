--- al.lab's training: run:fit, and what asks a trained network: lab.predict, lab.seconds.

local al = require "albedo"
local options = require "albedo.options"
local progress = require "albedo.progress"

local clock, exists = al.native.clock or os.time, al.io.exists

-- Calls body(step, x, y, ...) for the steps first .. last, each in a memory scope. `batches` is
-- a function of the step, or a loader, run for as many epochs as it takes; its batches before
-- `first` are read and passed over, and passed() is called after the last of them.
local function each_batch(batches, first, last, passed, body)
  if type(batches) == "function" then
    if first > 1 then passed() end
    for step = first, last do
      al.scope(function() body(step, batches(step)) end)
    end
    return
  end
  local step = 0
  while step < last do
    local before = step
    for x, y, z in batches() do
      step = step + 1
      if step >= first then body(step, x, y, z) end
      if step == first - 1 then passed() end
      if step == last then break end
    end
    if step == before then error("run:fit: the loader is empty", 0) end
  end
end

-- Restores a training from its checkpoint: { step, rng, best, score, seconds }; best holds
-- weights by name.
local function take_up(path, parts)
  if not exists(path) then return { step = 0 } end
  local rest = al.load(path, parts)
  rest.rng = { rest["rng.1"], rest["rng.2"] }
  local best
  for name, t in pairs(rest) do
    local key = name:match "^best%.(.*)$"
    if key then
      best = best or {}
      best[key] = al.hold(t)
    end
  end
  rest.best = best
  return rest
end

return function(lab, Run)

--- Trains net for a number of steps, with progress. `batches` is a loader, or a function(step)
-- -> x, y.
--
-- Options: steps (run.steps); lr (1e-3); optim (an optimizer; default AdamW); loss =
-- function(output, y, x) (default cross-entropy); validate = function(net) -> a score, higher
-- is better, asked `checks` times (10): the best weights are kept; clip (largest gradient
-- norm); schedule ("cosine", "none"); warmup (steps); label; save = false leaves no checkpoint,
-- save_every: seconds between those on the way (20). Returns { loss = { step, value lists },
-- score = ..., best, seconds }.
function Run:fit(net, batches, opts)
  local o = options("run:fit", opts, {
    lr = 1e-3, checks = 10, schedule = "cosine", warmup = 0, save = true, save_every = 20,
    weight_decay = 0.01, label = self.current_arm or "train",
  }, { "steps", "optim", "loss", "validate", "clip" })
  local steps = o.steps or self.options.steps
  if type(steps) ~= "number" or steps < 1 or steps % 1 ~= 0 then
    error("run:fit: steps is a whole number from 1, got " .. tostring(steps), 2)
  end
  if o.schedule ~= "cosine" and o.schedule ~= "none" then
    error(('run:fit: schedule is "cosine" or "none", got %s'):format(tostring(o.schedule)), 2)
  end
  local optim = o.optim
    or al.optim.adamw(net:parameters(), { lr = o.lr, weight_decay = o.weight_decay })
  local parts = { model = net, optim = optim }
  local schedule
  if o.schedule == "cosine" then
    schedule = al.optim.schedule.cosine(optim, { steps = steps, warmup = o.warmup })
    parts.schedule = schedule
  end
  local loss_of = o.loss or function(output, y) return al.cross_entropy(output, y) end

  local stem = ("%s-%s"):format(o.label:gsub("[^%w_-]", "_"), self.current_seed or 0)
  self.stems[stem] = (self.stems[stem] or 0) + 1 -- an arm may train twice: source, then target
  if self.stems[stem] > 1 then stem = stem .. "-" .. self.stems[stem] end
  local running, final = self:path(stem .. ".part.safetensors"),
    self:path(stem .. ".safetensors")
  local history = { loss = { step = {}, value = {} }, score = { step = {}, value = {} } }
  if o.save and exists(final) then
    local rest = al.load(final, { model = net })
    if rest.steps ~= steps then
      error(("run:fit: %s was trained for %d steps, %d are asked: another --out, or without it")
        :format(final, rest.steps, steps), 0)
    end
    al.rng_state { rest["rng.1"], rest["rng.2"] }
    net:eval()
    self:say("%s: trained already, %s", o.label, final)
    history.best, history.seconds, history.resumed = rest.score, rest.seconds, true
    return history
  end
  local from = { step = 0 }
  if o.save then from = take_up(running, parts) end
  local done, best, best_score = from.step, from.best, from.score
  if done > 0 then self:say("%s: going on from step %d", o.label, done) end
  local began = clock() - (from.seconds or 0)
  local saved = clock()

  local bar = progress { total = steps - done, label = o.label }
  local every = math.max(1, math.floor(steps / math.max(o.checks, 1)))
  local sum, count, shown = 0, 0, {}

  local function check(step)
    table.insert(history.loss.step, step)
    table.insert(history.loss.value, sum / count)
    sum, count = 0, 0
    if o.validate then
      net:eval()
      local score = al.scope(function() return al.no_grad(o.validate, net) end)
      if al.is_tensor(score) then score = score:item() end
      net:train()
      table.insert(history.score.step, step)
      table.insert(history.score.value, score)
      shown.val = score
      if not best_score or score > best_score then
        best_score, best = score, net:state_dict { copy = true }
      end
    end
    if o.save and step < steps and clock() - saved >= o.save_every then
      al.save(running, {
        model = net, optim = optim, schedule = schedule, step = step, rng = al.rng_state(),
        best = best, score = best_score, seconds = clock() - began,
      })
      saved = clock()
    end
  end

  net:train()
  local function passed() al.rng_state(from.rng) end
  each_batch(batches, done + 1, steps, passed, function(step, x, y, z)
    local loss = loss_of(net(x), y, x, z)
    optim:zero_grad()
    loss:backward()
    if o.clip then al.optim.clip_grad_norm(net:parameters(), o.clip) end
    optim:step()
    if schedule then schedule:step() end
    local value = loss:item()
    if value ~= value then
      error(("run:fit: the loss of %s is NaN at step %d"):format(o.label, step), 0)
    end
    sum, count = sum + value, count + 1
    shown.loss = sum / count
    if step % every == 0 or step == steps then check(step) end
    bar:step(shown)
  end)
  bar:done()
  if best then net:load_state_dict(best) end
  net:eval()
  history.best, history.seconds = best_score, clock() - began
  if o.save then
    al.save(final, {
      model = net, steps = steps, seed = self.current_seed or 0, score = best_score,
      rng = al.rng_state(), seconds = history.seconds,
    })
    os.remove(running)
  end
  return history
end

-- ---- asking a trained network ---------------------------------------------------------------

--- net(x) over N x ..., batch by batch without a graph, a module in evaluation mode; the
-- outputs joined. net may be any function of a batch.
function lab.predict(net, x, batch)
  batch = batch or 64
  local was = al.nn.is_module(net) and net.training
  if was then net:eval() end
  local outputs = {}
  for at = 1, #x, batch do
    outputs[#outputs + 1] = al.scope(function()
      return al.no_grad(net, x:narrow(1, at, math.min(batch, #x - at + 1)))
    end)
  end
  if was then net:train() end
  return al.cat(outputs, 1)
end

--- Seconds that net(x) takes, without a graph: the median of 7.
function lab.seconds(net, x)
  local took = {}
  for k = 1, 7 do
    local began = clock()
    al.scope(function() al.no_grad(net, x) end)
    took[k] = clock() - began
  end
  table.sort(took)
  return took[4]
end

end
