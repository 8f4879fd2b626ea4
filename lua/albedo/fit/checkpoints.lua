--- al.fit's part that keeps a training and goes on from what was kept.

local al = require "albedo"
local json = require "albedo.json"
local record = require "albedo.fit.record"
local wrong = require("albedo.fit.given").wrong

local exists = al.io.exists

return function(Fit)

local function column(list) return al.tensor(list, { dtype = "float64" }) end

-- The figures a file holds beside the parts: the steps done and asked for; the best score of
-- the validation, its step, and how many checks were no better since (bad); the losses since
-- the last check (their sum, their count); what was before, for the history; the run's record.
function Fit:figures()
  local h = self.history
  return {
    step = self.step, steps = self.steps, score = self.score, score_step = self.score_step,
    bad = self.bad, sum = self.sum, count = self.count, rng = al.rng_state(),
    stopped = self.stopped, run = json.encode(self.record),
    about = self.o.about and json.encode(self.o.about),
    loss_step = column(h.loss.step), loss_value = column(h.loss.value),
    val_step = column(h.score.step), val_value = column(h.score.value),
  }
end

-- Takes the figures of a file back; the random state is the caller's to set.
function Fit:restore(from)
  for _, name in ipairs { "step", "score", "score_step", "bad", "sum", "count", "stopped" } do
    if from[name] ~= nil then self[name] = from[name] end
  end
  self.began = al.clock() - (from.seconds or 0)
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

-- Whether all the weights are finite numbers: x - x is 0 then.
local function finite(net)
  return al.scope(al.no_grad, function()
    for _, t in pairs(net:state_dict()) do
      if t.dtype:find "float" and (t - t):sum():item() ~= 0 then return false end
    end
    return true
  end)
end

-- Writes a checkpoint, of finite weights only. Where it cannot, says so, once until it can
-- again, and returns false.
function Fit:save()
  if not finite(self.net) then self:broken("the weights are not finite after", self.step) end
  self.saved, self.saved_step = al.clock(), self.step
  local state = self:figures()
  state.seconds = al.clock() - self.began
  for name, part in pairs(self.parts) do state[name] = part end
  state.best = self.best
  local ok, reason = al.scope(function() return self.saves:save(state) end)
  if ok then
    self.kept_step = self.step
  elseif not self.told then
    self.say("%s: step %d is not saved, the checkpoint before it stands: %s", self.o.label,
      self.step, reason)
  end
  self.told = not ok
  return ok
end

-- Raises for a training that makes no sense any more.
function Fit:broken(what, step)
  local kept = ""
  if self.kept_step then
    kept = (" Step %d is kept in %s, from which the same call would come here again: other "
      .. "options need fresh = true, or another `save`.")
      :format(self.kept_step, self.saves.part)
  elseif self.saves then
    kept = " Nothing was saved."
  end
  wrong("%s step %d of %s. A smaller lr, warmup or clip = 1 may help; al.check(true) names the "
    .. "op it comes from.%s", what, step, self.o.label, kept)
end

-- Refuses a file of another training than the one called for.
function Fit:check_record(file)
  local found, kept = pcall(json.decode, file.metadata.run or "")
  local words = found and type(kept) == "table" and record.difference(kept, self.record)
  if words then
    wrong("%s is of another run: %s. fresh = true trains anew in its place, another `save` "
      .. "beside it; al.load(%q, { model = net }) gives its weights to start from", file.path,
      words, file.path)
  end
end

-- A training is not made shorter.
function Fit:check_steps(file)
  local steps = file.entries.steps
    and al.scope(function() return file:read("steps"):item() end) or self.steps
  if steps > self.steps then
    wrong("%s was trained for %d steps, %d are asked: train elsewhere, or with fresh = true",
      file.path, steps, self.steps)
  end
  return steps
end

-- The steps of a training that is over, or nil.
function Fit:trained()
  if not exists(self.saves.final) then return nil end
  local file = al.io.open(self.saves.final)
  self:check_record(file)
  return self:check_steps(file)
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
    self.began = al.clock() - s:seconds()
    al.rng_state(self.rng)
    self.say("%s: trained already, %s", self.o.label, s.final)
    self.net:eval()
    return true
  end
  local file, damaged = s:open()
  if not file then
    if trained then
      wrong("%s was trained for %d steps, %d are asked, and the checkpoint to go on from is "
        .. "gone: train elsewhere, or with fresh = true", s.final, trained, self.steps)
    end
    return false
  end
  self:check_record(file)
  self:check_steps(file)
  self:restore(al.load(file.path, self.parts))
  self.kept_step = self.step
  if damaged then self.say("%s: %s; the checkpoint before it serves", self.o.label, damaged) end
  local lines = s:rewind(self.step)
  self.say("%s: going on from step %d", self.o.label, self.step)
  if lines < self.step then
    self.say("%s: %s has lost the figures of %d steps", self.o.label, s.lines,
      self.step - lines)
  end
  return false
end

-- The trained network's file; then what led to it is not needed any more. Where it cannot be
-- written, the weights go to the folder for temporary files.
function Fit:finish()
  local s = self.saves
  local ok, reason = s:flush()
  local state = self:figures()
  state.model, state.loader = self.net, self.parts.loader
  if ok then ok, reason = pcall(al.save, s.final, state) end
  if not ok then
    local elsewhere = os.tmpname()
    os.remove(elsewhere)
    elsewhere = elsewhere .. ".safetensors"
    local kept = pcall(al.save, elsewhere, state)
    reason = tostring(reason):gsub("^.-al%.save: ", "")
    wrong("%s is trained but not saved: %s. %s", self.o.label, reason, kept
      and "Its weights are in " .. elsewhere
      or "The same call goes on from its last checkpoint")
  end
  s:remove()
  if not self.o.extend then os.remove(s.part) end
end

end
