--- al.pooled: scores of several detectors on the test sets of several seeds, kept together, so
-- that intervals can be drawn over the groups (photographs, patients) of all seeds.
--
--   local pooled = al.pooled()
--   pooled:add("custom", seed, { y = classes, photo = names, regime = names }, scores)
--   local auc = pooled:auc("custom", { regime = "small" })      -- { mean, low, high, n }

local al = require "albedo"
local options = require "albedo.options"

local Pooled = {}
Pooled.__index = Pooled

--- Notes the scores (a list or tensor) of a detector on one seed's test set. set.y: classes, 2
-- the positive one; its other fields that are lists with an entry a sample serve as keys of
-- `auc`.
function Pooled:add(name, seed, set, scores)
  local list = self.samples[name] or {}
  self.samples[name] = list
  if al.is_tensor(scores) then scores = scores:totable() end
  local y = al.is_tensor(set.y) and set.y:totable() or set.y
  if #y ~= #scores then
    error(("pooled: %d scores of %s for %d samples"):format(#scores, name, #y), 2)
  end
  for i, score in ipairs(scores) do
    local sample = { score = score, y = y[i], seed = seed }
    for key, value in pairs(set) do
      if type(value) == "table" and not al.is_tensor(value) and key ~= "y" then
        sample[key] = value[i]
      end
    end
    list[#list + 1] = sample
  end
end

-- Mean over the seeds of the AUC of some samples; seeds of which one class is missing are left
-- out.
local function mean_auc(samples)
  local per, order = {}, {}
  for _, s in ipairs(samples) do
    if not per[s.seed] then
      per[s.seed] = { {}, {}, {} }
      order[#order + 1] = s.seed
    end
    local own = per[s.seed]
    table.insert(own[1], s.score)
    table.insert(own[2], s.y)
    own[3][s.y] = true
  end
  local sum, n = 0, 0
  for _, seed in ipairs(order) do
    local own = per[seed]
    if own[3][1] and own[3][2] then
      sum, n = sum + al.metrics.auc(own[1], own[2]), n + 1
    end
  end
  if n == 0 then error("pooled: one class only", 0) end
  return sum / n, n
end

--- The AUC, mean over the seeds, with a 95 % interval by drawing groups of all seeds with
-- replacement. Options: by (the groups: "photo"), rounds (300); any other field of the
-- samples, such as regime = "small", chooses those that have this value.
function Pooled:auc(name, opts)
  local chosen = {}
  for key, value in pairs(opts or {}) do chosen[key] = value end
  local o = options("pooled.auc", { by = chosen.by, rounds = chosen.rounds },
    { by = "photo", rounds = 300 })
  chosen.by, chosen.rounds = nil, nil
  local samples, groups = {}, {}
  if not self.samples[name] then error("pooled.auc: nothing was added for " .. name, 2) end
  for _, s in ipairs(self.samples[name]) do
    local fits = true
    for key, value in pairs(chosen) do fits = fits and s[key] == value end
    if fits then
      if s[o.by] == nil then error("pooled.auc: the samples have no field " .. o.by, 2) end
      samples[#samples + 1] = s
      groups[#groups + 1] = s[o.by]
    end
  end
  local mean, n = mean_auc(samples)
  local interval = al.metrics.bootstrap(function(drawn)
    local list = {}
    for k, i in ipairs(drawn) do list[k] = samples[i] end
    return (mean_auc(list))
  end, groups, { rounds = o.rounds })
  return { mean = mean, low = interval[1], high = interval[2], n = n }
end

--- Puts a table of AUCs into a report (a run of al.lab), a level of the field `by` a row and a
-- detector a column, last a row over all, and bars beside it. o: name ("auc_by_" .. by), by,
-- levels (a list), arms (names), titles (of the columns: the names).
function Pooled:breakdown(run, o)
  local name, columns, rows, series = o.name or "auc_by_" .. o.by, { o.by }, {}, {}
  for i, level in ipairs(o.levels) do rows[i] = { level } end
  rows[#rows + 1] = { "all" }
  for k, arm in ipairs(o.arms) do
    columns[k + 1] = (o.titles or o.arms)[k]
    local bars = { name = columns[k + 1], values = {}, low = {}, high = {} }
    for i, level in ipairs(o.levels) do
      local m = self:auc(arm, { [o.by] = level })
      rows[i][k + 1], bars.values[i], bars.low[i], bars.high[i] = m, m.mean, m.low, m.high
    end
    rows[#rows][k + 1], series[k] = self:auc(arm), bars
  end
  run:table(name, {
    caption = "AUC, mean over the seeds; 95 % intervals by bootstrap over photographs.",
    columns = columns, rows = rows,
  })
  run:plot("bars", name,
    { y = "AUC", labels = o.levels, series = series, y_range = { 0.4, 1 } },
    { alt = "AUC of the detectors by " .. o.by, caption = "AUC by " .. o.by })
end

--- Puts a table of one row into a report: the AUC of each detector over all samples. o: name,
-- arms, caption.
function Pooled:total(run, o)
  local columns, row = { "" }, { "AUC" }
  for k, arm in ipairs(o.arms) do columns[k + 1], row[k + 1] = arm, self:auc(arm) end
  run:table(o.name, { caption = o.caption, columns = columns, rows = { row } })
end

return function() return setmetatable({ samples = {} }, Pooled) end
