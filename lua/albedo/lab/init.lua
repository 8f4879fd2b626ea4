--- al.lab: what every experiment does around its science: options, run folder, seeds, arms,
-- training, scores, claims, report. A script reads:
--
--   local run = al.lab.start("copymove", {
--     title = "Copy-move forgery detection", about = "A custom network against transfer.",
--     depth = 4, steps = 1200, quick = { steps = 60, seeds = 1 } })
--   for seed in run:seeds() do
--     for name, build in run:arms { custom = build_custom, transfer = build_transfer } do
--       local net = build()
--       run:fit(net, batches, { validate = function(n) return auc(n) end })
--       run:score(name, seed, { f1 = 0.91, auc = 0.97 })
--     end
--   end
--   run:scores { "f1", "auc" }
--   run:claim { id = "transfer_wins", text = "...", paper = "about +10 points of F1",
--     measured = run:paired("transfer", "custom", "f1"), above = 0 }
--   run:report()
--
-- Options are fields of the run: run.depth, run.data, run.quick (see al.cli). The folder
-- receives report.html, metrics.json (also after each seed, so that a run cut short leaves its
-- figures), PNG figures and checkpoints. The same --out twice takes up unfinished trainings
-- where they stopped, to the same bits.

local al = require "albedo"
local cli = require "albedo.cli"
local json = require "albedo.json"

local Run = {}
Run.__index = Run
local lab = {}

-- ---- the folder and the clock ---------------------------------------------------------------

local clock = al.native.clock or os.time

local exists = al.io.exists

local function make_folder(name, out)
  local dir = out
  if not dir then
    local base = ("runs/%s-%s"):format(name, os.date "%Y%m%d-%H%M%S")
    dir = base
    local n = 1
    while exists(dir) do
      n = n + 1
      dir = ("%s-%d"):format(base, n)
    end
  end
  al.io.make_folder(dir)
  return dir
end

-- "AMD EPYC, 2 threads, avx512 kernels"
local function device()
  local model
  local file = io.open "/proc/cpuinfo"
  for line in file and file:lines() or function() end do
    model = model or line:match "^model name%s*:%s*(.+)"
  end
  if file then file:close() end
  local system = al.version()
  return ("%s, %d threads, %s kernels%s"):format(model or "unknown processor", system.threads,
    system.isa, system.blas_forced and ", products held to " .. system.blas or "")
end

--- Starts an experiment: reads the command line (or `args`), makes the run folder. `own` holds
-- title, about, the experiment's options with their defaults, and quick and claims, tables of
-- what --quick and --claims change.
function lab.start(name, own, args)
  local declared, title, about = {}, name, nil
  for key, value in pairs(own or {}) do
    if key == "title" then title = value
    elseif key == "about" then about = value
    else declared[key] = value end
  end
  local chosen = cli.parse(name, about or title, declared, args)
  if chosen.threads then al.threads(chosen.threads) end
  local self = setmetatable({
    name = name, title = title, about = about, options = chosen, began = clock(),
    dir = make_folder(name, chosen.out), parts = {}, tables = {}, claim_list = {},
    score_of = {}, arm_order = {}, seed_list = {}, stems = {}, trainings = {},
  }, Run)
  for key, value in pairs(chosen) do
    if Run[key] == nil and rawget(self, key) == nil then self[key] = value end
  end
  self.seed_count, self.first_seed = chosen.seeds, chosen.seed
  for i = 1, self.seed_count do self.seed_list[i] = self.first_seed + i - 1 end
  self:say("%s -> %s", title, self.dir)
  return self
end

--- A line on the terminal.
function Run.say(_, format, ...)
  io.stderr:write(format:format(...), "\n")
end

--- The path of a file in the run folder.
function Run:path(name) return self.dir .. "/" .. name end

--- The folder of a data set: --data itself, or the one of that name in it; nil when --data was
-- not given.
function Run:data_dir(name)
  local dir = self.options.data
  if not dir then return nil end
  local inside = dir .. "/" .. name
  return exists(inside) and inside or dir
end

-- ---- seeds and arms -------------------------------------------------------------------------

--- for seed in run:seeds() do ... end: seeds the generator, and writes the metrics so far after
-- each.
function Run:seeds()
  local i = 0
  return function()
    if i > 0 then self:write_metrics(false) end
    i = i + 1
    local seed = self.seed_list[i]
    if seed then
      self.current_seed = seed
      al.seed(seed)
      if self.seed_count > 1 then self:say("seed %d (%d of %d)", seed, i, self.seed_count) end
    end
    return seed
  end
end

--- for name, build in run:arms { custom = f, transfer = g } do ... end, by name; or in order,
-- from a list of { name, f }. Every arm starts from the same random state.
function Run:arms(arms)
  local list = {}
  for key, value in pairs(arms) do
    list[#list + 1] = type(key) == "number" and { value[1], value[2], key }
      or { key, value, key }
  end
  table.sort(list, function(a, b)
    if type(a[3]) == type(b[3]) then return a[3] < b[3] end
    return type(a[3]) == "number"
  end)
  local i = 0
  return function()
    i = i + 1
    if not list[i] then return nil end
    self.current_arm = list[i][1]
    if self.current_seed then al.seed(self.current_seed) end
    return list[i][1], list[i][2]
  end
end

-- ---- scores ---------------------------------------------------------------------------------

--- Notes the figures of an arm at a seed: run:score("custom", seed, { f1 = 0.9, auc = 0.95 }).
function Run:score(arm, seed, figures)
  if not self.score_of[arm] then
    self.score_of[arm] = {}
    table.insert(self.arm_order, arm)
  end
  self.score_of[arm][seed] = self.score_of[arm][seed] or {}
  local text = {}
  for name, value in pairs(figures) do
    if al.is_tensor(value) then value = value:item() end
    self.score_of[arm][seed][name] = value
    if type(value) == "number" then
      text[#text + 1] = name .. " " .. al.report.show(value)
    end
  end
  table.sort(text)
  self:say("  %s: %s", arm, table.concat(text, ", "))
end

--- The values of a figure of an arm, in the order of the seeds.
function Run:values(arm, figure)
  local list = {}
  for _, seed in ipairs(self.seed_list) do
    local figures = (self.score_of[arm] or {})[seed]
    if figures and figures[figure] ~= nil then list[#list + 1] = figures[figure] end
  end
  return list
end

local function summary(s)
  if s.interval then
    s.low, s.high = s.interval.low or s.interval[1], s.interval.high or s.interval[2]
  end
  return s
end

--- { mean, std, n, low, high, values } over the seeds, with a 95 % Student interval.
function Run:summary(arm, figure)
  local values = self:values(arm, figure)
  if #values == 0 then return { n = 0 } end
  local zeros = {}
  for i = 1, #values do zeros[i] = 0 end
  local s = summary(al.metrics.paired(values, zeros))
  s.values = values
  if #values < 2 then s.low, s.high, s.interval = nil, nil, nil end
  return s
end

--- The difference of two arms over the seeds at which both were scored: { mean, std, n, low,
-- high }, with a 95 % Student interval.
function Run:paired(a, b, figure)
  local va, vb, of = {}, {}, self.score_of
  for _, seed in ipairs(self.seed_list) do
    local one, other = (of[a] or {})[seed], (of[b] or {})[seed]
    if one and other and one[figure] ~= nil and other[figure] ~= nil then
      va[#va + 1], vb[#vb + 1] = one[figure], other[figure]
    end
  end
  if #va == 0 then return { n = 0 } end
  local s = summary(al.metrics.paired(va, vb))
  if #va < 2 then s.low, s.high, s.interval = nil, nil, nil end
  return s
end

--- A table of figures, an arm a row, means with intervals over the seeds. o: caption, arms
-- (all).
function Run:scores(figures, o)
  o = o or {}
  local rows = {}
  for i, arm in ipairs(o.arms or self.arm_order) do
    rows[i] = { arm }
    for k, figure in ipairs(figures) do
      local s = self:summary(arm, figure)
      rows[i][k + 1] = s.mean and { mean = s.mean, low = s.low, high = s.high } or nil
    end
  end
  local columns = { "arm" }
  for _, figure in ipairs(figures) do columns[#columns + 1] = figure end
  local n = #self.seed_list
  local caption = o.caption
    or (n > 1 and ("Means over %d seeds, with 95 %% intervals."):format(n) or "One seed.")
  return self:table(o.name or "scores", { caption = caption, columns = columns, rows = rows })
end

-- ---- what the report holds, in the order of the calls ---------------------------------------

function Run:part(fn) self.parts[#self.parts + 1] = fn end
function Run:heading(text) self:part(function(page) page:heading(text) end) end
function Run:text(text) self:part(function(page) page:text(text) end) end

--- A table, t = { caption, columns, rows }; a cell is a number, a text, or { mean, low, high }.
-- It enters metrics.json under its name.
function Run:table(name, t)
  self.tables[name] = { columns = t.columns, rows = t.rows }
  self:part(function(page) page:table(t) end)
end

--- A picture (a tensor), saved as NAME.png. o: alt (required), caption, credit (author and
-- licence), pixels.
function Run:picture(name, x, o)
  local path = self:path(name .. ".png")
  al.image.save(path, x)
  self:part(function(page)
    page:picture { path = path, alt = o.alt, caption = o.caption, credit = o.credit,
      pixels = o.pixels }
  end)
end

--- A drawn figure of al.report (see Report:figure). o: alt (required unless the spec has it),
-- caption, credit.
function Run:figure(kind, spec, o)
  local all = {}
  for _, from in ipairs { spec, o or {} } do
    for key, value in pairs(from) do all[key] = value end
  end
  self:part(function(page) page:figure(kind, all) end)
end

--- A plot of al.plot ("lines", "bars", "roc"): drawn in the report, and saved as NAME.png by
-- gnuplot. o: alt (required), caption. Returns whether the file was made, or false and why not.
function Run:plot(kind, name, spec, o)
  self:figure(kind, spec, { alt = o.alt, caption = o.caption })
  return al.plot[kind](self:path(name .. ".png"), spec)
end

--- What the paper says and what was measured. c: id, text, paper, measured (a number, or a
-- summary of run:summary or run:paired), interval, seeds; and holds, or the rule: above = v
-- (the whole interval lies above v), at_least = v (the mean), within = { low, high } (the
-- mean), contains = v (the interval). A
-- rule on an interval judges no summary without one, such as that of a single seed.
function Run:claim(c)
  local measured, sure = c.measured, true
  local claim = {
    id = c.id, text = c.text, paper = c.paper, interval = c.interval, holds = c.holds,
    seeds = c.seeds,
  }
  if type(measured) == "table" then
    claim.interval = claim.interval or measured.low and { measured.low, measured.high } or nil
    claim.seeds = claim.seeds or measured.n
    measured = measured.mean
    sure = claim.interval ~= nil
  end
  claim.measured = measured
  claim.seeds = claim.seeds or #self.seed_list
  if claim.interval and claim.interval.low then
    claim.interval = { claim.interval.low, claim.interval.high }
  end
  if claim.holds == nil and measured and measured == measured then
    local low = claim.interval and claim.interval[1] or measured
    local high = claim.interval and claim.interval[2] or measured
    if c.above and sure then claim.holds = low > c.above end
    if c.at_least then claim.holds = (claim.holds ~= false) and measured >= c.at_least end
    if c.within then claim.holds = c.within[1] <= measured and measured <= c.within[2] end
    if c.contains and sure then claim.holds = low <= c.contains and c.contains <= high end
  end
  table.insert(self.claim_list, claim)
  return claim
end

-- ---- the end --------------------------------------------------------------------------------

--- metrics.json as a table.
function Run:metrics(complete)
  local claims = {}
  for i, c in ipairs(self.claim_list) do
    claims[i] = {
      id = c.id, text = c.text, paper = c.paper or json.null, measured = c.measured
        or json.null,
      interval = c.interval or json.null, seeds = c.seeds,
    }
    if c.holds == nil then claims[i].holds = json.null else claims[i].holds = c.holds end
  end
  local scores = {}
  for _, arm in ipairs(self.arm_order) do
    scores[arm] = {}
    for _, seed in ipairs(self.seed_list) do
      local figures = self.score_of[arm][seed]
      if figures then scores[arm][tostring(seed)] = figures end
    end
    json.object(scores[arm])
  end
  local chosen = {}
  for key, value in pairs(self.options) do chosen[key] = value end
  return {
    experiment = self.name, seconds = clock() - self.began, device = device(),
      seeds = self.seed_list,
    tables = json.object(self.tables), claims = claims, scores = json.object(scores),
      options = json.object(chosen),
    complete = complete,
  }
end

function Run:write_metrics(complete)
  local notes = json.write(self:path "metrics.json", self:metrics(complete))
  for _, note in ipairs(complete and notes or {}) do
    self:say("metrics.json: null for %s", note)
  end
end

local function option_text(chosen)
  local list = {}
  for key, value in pairs(chosen) do
    list[#list + 1] = ("%s = %s"):format(key, tostring(value))
  end
  table.sort(list)
  return table.concat(list, ", ")
end

-- The losses and the validation scores of the trainings, up to eight.
function Run:show_trainings(page)
  local loss, score = {}, {}
  for _, t in ipairs(self.trainings) do
    local h = t.history
    if #h.loss.step > 1 and #loss < 8 then
      loss[#loss + 1] = { name = t.name, x = h.loss.step, y = h.loss.value, points = true }
    end
    if #h.score.step > 1 and #score < 8 then
      score[#score + 1] = { name = t.name, x = h.score.step, y = h.score.value, points = true }
    end
  end
  if #loss == 0 then return end
  page:heading("Training")
  page:figure("lines", { series = loss, x = "step", y = "loss", size = { 760, 320 },
    keys = true, alt = "Training loss by step",
    caption = "Training loss, mean since the check before." })
  if #score > 0 then
    page:figure("lines", { series = score, x = "step", y = "validation", size = { 760, 320 },
      keys = true, alt = "Validation score by step", caption = "Validation at the checks." })
  end
end

--- Writes metrics.json and report.html, and prints the claims. Returns the report's path.
function Run:report()
  self:write_metrics(true)
  local page = al.report.new { title = self.title, lead = self.about }
  if #self.claim_list > 0 then page:heading("Claims"):claims(self.claim_list) end
  for _, part in ipairs(self.parts) do part(page) end
  local seconds = clock() - self.began
  self:show_trainings(page)
  page:heading("How this was run")
  page:note(("%s. %s. Seeds %s. %.0f seconds on %s.")
    :format(tostring(al.version()):match "^[^(]*[^( ]" or "albedo",
    option_text(self.options), table.concat(self.seed_list, ", "), seconds, device()))
  local path = page:write(self:path "report.html")
  for _, c in ipairs(self.claim_list) do
    local verdict = c.holds == nil and "not judged" or c.holds and "holds" or "does not hold"
    local between = c.interval
      and (" [%s, %s]"):format(al.report.show(c.interval[1]), al.report.show(c.interval[2]))
      or ""
    self:say("claim %s: %s%s: %s (paper: %s)", c.id, al.report.show(c.measured), between,
      verdict,
      tostring(c.paper or "-"))
  end
  self:say("%.0f s, %s", seconds, path)
  return path
end

require "albedo.lab.fit"(lab, Run)
require "albedo.lab.tiled"(lab)
require "albedo.lab.stream"(lab, Run)
lab.claims = require "albedo.lab.claims"
return lab
