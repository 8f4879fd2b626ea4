-- al.compare: runs side by side in one page.
local al = require "albedo"
local options = require "albedo.options"

local function sorted_keys(set)
  local keys = {}
  for key in pairs(set) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function plain(v) return require("albedo.report.runs").known(v) end

-- The runs that have figures of al.lab.
local function of_lab(runs)
  local list = {}
  for _, run in ipairs(runs) do list[#list + 1] = run.metrics and run or nil end
  return list
end

-- What the runs are, a row each; columns that say nothing of any run are left out.
local function overview(page, runs)
  local titles, said = { "run", "of", "steps", "seconds", "ended", "device" }, {}
  local rows, columns, cells = {}, {}, {}
  for i, run in ipairs(runs) do
    local m, seconds, steps = run.metrics, nil, 0
    for _, t in ipairs(run.trainings) do
      steps = steps + t.step[#t.step]
      seconds = t.seconds and (seconds or 0) + t.seconds or seconds
    end
    rows[i] = { run = run.name, of = m and plain(m.experiment) or "training",
      steps = steps > 0 and steps or nil, seconds = m and plain(m.seconds) or seconds,
      ended = m and (m.complete and "yes" or "no"), device = m and plain(m.device) }
    for title, v in pairs(rows[i]) do said[title] = said[title] or v end
    cells[i] = {}
  end
  for _, title in ipairs(titles) do
    if said[title] then
      columns[#columns + 1] = title
      for i, row in ipairs(rows) do cells[i][#columns] = row[title] or nil end
    end
  end
  page:heading "Runs"
  page:table { caption = "What ran, and for how long.", columns = columns, rows = cells }
end

-- The options in which the runs differ.
local function options_table(page, runs)
  local values, rows = {}, {}
  for _, run in ipairs(runs) do
    for key in pairs(run.metrics.options) do values[key] = true end
  end
  values.out = nil
  for _, key in ipairs(sorted_keys(values)) do
    local row, differs = { key }, false
    for i, run in ipairs(runs) do
      local v = plain(run.metrics.options[key])
      row[i + 1] = v == nil and "" or tostring(v)
      differs = differs or row[i + 1] ~= row[2]
    end
    if differs then rows[#rows + 1] = row end
  end
  if #runs < 2 then return end
  page:heading "What differs"
  if #rows == 0 then
    page:text "All options are the same in all runs."
    return
  end
  local columns = { "" }
  for i, run in ipairs(runs) do columns[i + 1] = run.name end
  page:table { caption = "Options that are not the same in all runs.", columns = columns,
    rows = rows }
end

-- Mean and interval of a figure of an arm of a run over its seeds.
local function cell(run, arm, figure)
  local values = {}
  for _, figures in pairs(run.metrics.scores[arm] or {}) do
    local v = type(figures) == "table" and plain(figures[figure])
    if type(v) == "number" then values[#values + 1] = v end
  end
  if #values == 0 then return nil end
  table.sort(values)
  local zeros = {}
  for i = 1, #values do zeros[i] = 0 end
  local s = al.metrics.paired(values, zeros)
  local between = s.interval or {}
  return { mean = s.mean, low = between[1], high = between[2] }
end

-- Counts behind the scores, left to the runs' own pages.
local COUNTS = { tp = true, fp = true, fn = true, tn = true, threshold = true }

-- The scores, an arm of a run a row; bars where at most eight runs share an arm.
local function scores_table(page, runs)
  local arms, figures = {}, {}
  for _, run in ipairs(runs) do
    for arm, by_seed in pairs(run.metrics.scores) do
      arms[arm] = true
      for _, of in pairs(by_seed) do
        for name, v in pairs(type(of) == "table" and of or {}) do
          if type(v) == "number" and not COUNTS[name] then figures[name] = true end
        end
      end
    end
  end
  local names, rows = sorted_keys(figures), {}
  if #names == 0 then return end
  for _, arm in ipairs(sorted_keys(arms)) do
    for _, run in ipairs(runs) do
      local row, any = { arm, run.name }, false
      for k, figure in ipairs(names) do
        row[k + 2] = cell(run, arm, figure)
        any = any or row[k + 2] ~= nil
      end
      if any then rows[#rows + 1] = row end
    end
  end
  local columns = { "arm", "run" }
  for k, name in ipairs(names) do columns[k + 2] = name end
  page:heading "Scores"
  page:table { caption = "Means over the seeds of each run, with 95 % intervals.",
    columns = columns, rows = rows }
  for _, figure in ipairs { "auc", "f1", "accuracy", "score", "dice" } do
    if figures[figure] and #runs <= 8 then
      local labels, series = sorted_keys(arms), {}
      for i, run in ipairs(runs) do
        local s = { name = run.name, values = {}, low = {}, high = {} }
        for k, arm in ipairs(labels) do
          local c = cell(run, arm, figure) or { mean = 0 / 0 }
          s.values[k], s.low[k], s.high[k] = c.mean, c.low or 0 / 0, c.high or 0 / 0
        end
        series[i] = s
      end
      page:figure("bars", { labels = labels, series = series, y = figure,
        alt = figure .. " of the arms, a bar a run",
        caption = figure .. " of the arms, by run." })
      break
    end
  end
end

local function claims_table(page, runs)
  local order, of, seen = {}, {}, {}
  for i, run in ipairs(runs) do
    for _, claim in ipairs(run.metrics.claims) do
      if not seen[claim.id] then
        seen[claim.id] = true
        order[#order + 1] = claim
      end
      of[claim.id] = of[claim.id] or {}
      of[claim.id][i] = claim
    end
  end
  if #order == 0 then return end
  local columns, rows = { "claim", "paper" }, {}
  for i, run in ipairs(runs) do columns[i + 2] = run.name end
  for k, claim in ipairs(order) do
    local row = { claim.id, tostring(plain(claim.paper) or "") }
    for i in ipairs(runs) do
      local c = of[claim.id][i]
      local holds = c and plain(c.holds)
      row[i + 2] = not c and "" or ("%s, %s"):format(al.report.show(plain(c.measured)),
        holds == nil and "not judged" or holds and "holds" or "does not hold")
    end
    rows[k] = row
  end
  page:heading "Claims"
  page:table { caption = "What was measured, and the verdict.", columns = columns, rows = rows }
end

-- ---- trainings ------------------------------------------------------------------------------

-- Smaller is better of figures named so, larger of others.
local function falls(name)
  for _, word in ipairs { "loss", "err", "mae", "mse", "perplexity", "distance" } do
    if name:lower():find(word, 1, true) then return true end
  end
  return false
end

local function best(figure, values)
  local v = values[1]
  for _, w in ipairs(values) do v = falls(figure) and math.min(v, w) or math.max(v, w) end
  return v
end

-- The means of s over n stretches of its steps.
local function smoothed(s, n)
  local wide, x, y = math.max(1, math.floor(#s.loss / n)), {}, {}
  for at = 1, #s.loss - wide + 1, wide do
    local sum = 0
    for k = at, at + wide - 1 do sum = sum + s.loss[k] end
    x[#x + 1], y[#y + 1] = s.step[at + wide - 1], sum / wide
  end
  return x, y
end

-- The figures at the end of each training, and the best of its validation.
local function trainings_table(page, runs)
  local figures, rows, rate = {}, {}, false
  for _, run in ipairs(runs) do
    for _, t in ipairs(run.trainings) do
      rate = rate or t.lr ~= nil
      for name in pairs(t.val) do figures[name] = true end
    end
  end
  local names = sorted_keys(figures)
  local columns = { "run", "training", "steps", "loss at the end" }
  if rate then columns[5] = "largest rate" end
  local first = #columns
  for k, name in ipairs(names) do
    columns[first + 2 * k - 1] = "val " .. name .. ", last"
    columns[first + 2 * k] = "val " .. name .. (falls(name) and ", lowest" or ", highest")
  end
  for _, run in ipairs(runs) do
    for _, t in ipairs(run.trainings) do
      local _, y = smoothed(t, 50)
      local row = { run.name, t.name, t.step[#t.step], y[#y], t.lr }
      for k, name in ipairs(names) do
        local v = t.val[name] and t.val[name].value
        row[first + 2 * k - 1], row[first + 2 * k] = v and v[#v], v and best(name, v)
      end
      rows[#rows + 1] = row
    end
  end
  page:table { columns = columns, rows = rows, caption = "Loss: mean over the last fiftieth of "
    .. "the steps; val: of the validation." }
end

-- One figure of many curves: { name, x, y } each.
local function curves(page, series, y, of)
  table.sort(series, function(a, b) return a.name < b.name end)
  local caption = of
  if #series > 16 then
    caption = ("%s The first 16 of %d."):format(of, #series)
    for k = #series, 17, -1 do series[k] = nil end
  end
  page:figure("lines", { series = series, x = "step", y = y, keys = true,
    size = { 760, 300 }, alt = of .. " A curve a run.", caption = caption })
end

-- Losses and validation by step: the trainings of one name in one figure, those of a name of
-- their own in another together.
local function training(page, runs)
  local by_name, count = {}, {}
  for _, run in ipairs(runs) do
    for _, t in ipairs(run.trainings) do count[t.name] = (count[t.name] or 0) + 1 end
  end
  for _, run in ipairs(runs) do
    for _, t in ipairs(run.trainings) do
      local alone = count[t.name] == 1 and not run.metrics
      local group = alone and "" or t.name
      by_name[group] = by_name[group] or { losses = {}, val = {} }
      local to, name = by_name[group], run.name
      if alone and #run.trainings > 1 then name = name .. ", " .. t.name end
      local x, y = smoothed(t, 100)
      table.insert(to.losses, { name = name, x = x, y = y })
      for figure, v in pairs(t.val) do
        to.val[figure] = to.val[figure] or {}
        table.insert(to.val[figure], { name = name, x = v.step, y = v.value, points = true })
      end
    end
  end
  if next(by_name) == nil then return end
  page:heading "Training"
  trainings_table(page, runs)
  for k, group in ipairs(sorted_keys(by_name)) do
    local of = group == "" and "" or " of " .. group
    if k > 12 then return end
    curves(page, by_name[group].losses, "loss", ("Training loss%s."):format(of))
    for _, figure in ipairs(sorted_keys(by_name[group].val)) do
      curves(page, by_name[group].val[figure], figure, ("Validation%s: %s."):format(of, figure))
    end
  end
end

local function check(where)
  local ok = type(where) == "string" and where ~= "" or type(where) == "table" and #where > 0
  for _, path in ipairs(ok and type(where) == "table" and where or {}) do
    ok = ok and type(path) == "string"
  end
  if not ok then
    al.native.raise(('al.compare: the runs are a pattern, such as "runs/*", or a list of '
      .. "folders; got %s"):format(where == "" and '""' or type(where)))
  end
  if not pcall(require, "lfs") then
    al.native.raise "al.compare: lua-filesystem is missing (apt-get install lua-filesystem)"
  end
end

--- Runs side by side in one page: options that differ, scores with intervals, claims, losses
-- and validation. where: a pattern of run folders such as "runs/*", or a list of folders. A
-- run's folder holds metrics.json (al.lab's) or NAME.jsonl (of al.fit with save), or both; a
-- NAME.jsonl may be named itself. A file that cannot be read is named in the page and on
-- standard error, and left out. Options: out (the page; by default compare.html beside the
-- first run). Returns the page's path, and says it on standard error.
--   lua5.4 -l albedo -e 'albedo.compare("runs/*")'
return { compare = function(where, opts)
  local o = options("al.compare", opts, {}, { "out" })
  check(where)
  local runs, faults = require("albedo.report.runs").of(where)
  for _, text in ipairs(faults) do io.stderr:write("al.compare: ", text, "\n") end
  if #runs == 0 then
    al.native.raise(("al.compare: no run in %s: a run's folder holds metrics.json (al.lab) or "
      .. "NAME.jsonl (al.fit with save)%s")
      :format(type(where) == "table" and table.concat(where, ", ") or where,
      #faults > 0 and "; " .. table.concat(faults, "; ") or ""))
  end
  local page = al.report.new { lead = type(where) == "string" and where or nil,
    title = #runs == 1 and "One run: " .. runs[1].name
      or ("%d runs, side by side"):format(#runs) }
  for _, text in ipairs(faults) do page:note("Left out: " .. text) end
  overview(page, runs)
  local lab = of_lab(runs)
  if #lab > 0 then
    options_table(page, lab)
    scores_table(page, lab)
    claims_table(page, lab)
  end
  training(page, runs)
  local path = o.out or (runs[1].path:match "^(.*)/[^/]+$" or ".") .. "/compare.html"
  page:write(path)
  io.stderr:write(path, "\n")
  return path
end }
