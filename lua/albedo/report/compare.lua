-- al.compare: runs side by side in one page.
local al = require "albedo"
local json = require "albedo.json"

-- Folders that match a pattern whose last parts may hold *: "runs/*", "runs/copymove-*".
local function matching(pattern)
  local found, lfs = pcall(require, "lfs")
  if not found then error("al.compare needs the package lua-filesystem", 0) end
  local paths = { pattern:sub(1, 1) == "/" and "/" or "" }
  for part in pattern:gmatch "[^/]+" do
    local next_paths = {}
    local glob = "^" .. part:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
    for _, base in ipairs(paths) do
      if not part:find("*", 1, true) then
        next_paths[#next_paths + 1] = base .. part
      elseif base == "" or lfs.attributes(base, "mode") == "directory" then
        for name in lfs.dir(base == "" and "." or base) do
          if name:sub(1, 1) ~= "." and name:find(glob) then
            next_paths[#next_paths + 1] = base .. name
          end
        end
      end
    end
    for i, path in ipairs(next_paths) do next_paths[i] = path .. "/" end
    paths = next_paths
  end
  for i, path in ipairs(paths) do paths[i] = path:gsub("/$", "") end
  table.sort(paths)
  return paths
end

-- The runs of a pattern, or of a list of folders: { name, path, metrics }.
local function runs_of(where)
  local runs = {}
  for _, path in ipairs(type(where) == "table" and where or matching(where)) do
    local file = path .. "/metrics.json"
    if al.io.exists(file) then
      local ok, metrics = pcall(json.read, file)
      if ok and type(metrics) == "table" and metrics.scores then
        runs[#runs + 1] = { name = path:match "([^/]+)$", path = path, metrics = metrics }
      end
    end
  end
  return runs
end

local function sorted_keys(set)
  local keys = {}
  for key in pairs(set) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function plain(v)
  if v == json.null then return nil end
  return v
end

-- The options in which the runs differ.
local function options_table(page, runs)
  local values, rows = {}, {}
  for _, run in ipairs(runs) do
    for key in pairs(run.metrics.options or {}) do values[key] = true end
  end
  values.out = nil
  for _, key in ipairs(sorted_keys(values)) do
    local row, differs = { key }, false
    for i, run in ipairs(runs) do
      local v = plain((run.metrics.options or {})[key])
      row[i + 1] = v == nil and "" or tostring(v)
      differs = differs or row[i + 1] ~= row[2]
    end
    if differs then rows[#rows + 1] = row end
  end
  for title, of in pairs { experiment = "experiment", device = "device" } do
    local row, differs = { title }, false
    for i, run in ipairs(runs) do
      row[i + 1] = tostring(plain(run.metrics[of]) or "")
      differs = differs or row[i + 1] ~= row[2]
    end
    if differs then table.insert(rows, 1, row) end
  end
  local time = { "seconds" }
  for i, run in ipairs(runs) do
    time[i + 1] = ("%.0f"):format(plain(run.metrics.seconds) or 0)
  end
  rows[#rows + 1] = time
  local columns = { "" }
  for i, run in ipairs(runs) do columns[i + 1] = run.name end
  page:heading "What differs"
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
    for _, claim in ipairs(run.metrics.claims or {}) do
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

-- Losses by step from the runs' NAME.jsonl, smoothed over a hundredth of the steps.
local function training(page, runs)
  local lfs, by_name = require "lfs", {}
  for _, run in ipairs(runs) do
    for file in lfs.dir(run.path) do
      local name = file:match "^(.*)%.jsonl$"
      if name then
        local s = { name = run.name, x = {}, y = {} }
        for line in io.lines(run.path .. "/" .. file) do
          local ok, figures = pcall(json.decode, line)
          if ok and type(figures) == "table" and type(figures.loss) == "number" then
            s.x[#s.x + 1], s.y[#s.y + 1] = figures.step, figures.loss
          end
        end
        local wide, x, y = math.max(1, math.floor(#s.y / 100)), {}, {}
        for at = 1, #s.y - wide + 1, wide do
          local sum = 0
          for k = at, at + wide - 1 do sum = sum + s.y[k] end
          x[#x + 1], y[#y + 1] = s.x[at + wide - 1], sum / wide
        end
        by_name[name] = by_name[name] or {}
        if #y > 1 and #by_name[name] < 8 then
          table.insert(by_name[name], { name = s.name, x = x, y = y })
        end
      end
    end
  end
  local names = sorted_keys(by_name)
  if #names > 0 then page:heading "Training" end
  for k, name in ipairs(names) do
    if k <= 12 and #by_name[name] > 0 then
      page:figure("lines", { series = by_name[name], x = "step", y = "loss", keys = true,
        size = { 760, 300 }, alt = "Training loss of " .. name .. " by step, a curve a run",
        caption = "Training loss of " .. name .. "." })
    end
  end
end

--- Runs side by side in one page: options that differ, scores with intervals, claims, losses.
-- where: a pattern of run folders such as "runs/*", or a list of folders; those without
-- metrics.json are passed over. Options: out (the page; by default compare.html beside the
-- first run). Returns the page's path, and says it on standard error.
--   lua5.4 -l albedo -e 'albedo.compare("runs/*")'
return { compare = function(where, opts)
  local o = require "albedo.options"("al.compare", opts, {}, { "out" })
  local runs = runs_of(where)
  if #runs == 0 then
    error(("al.compare: no run with a metrics.json in %s")
      :format(type(where) == "table" and table.concat(where, ", ") or tostring(where)), 2)
  end
  local page = al.report.new { title = ("%d runs, side by side"):format(#runs),
    lead = type(where) == "string" and where or nil }
  options_table(page, runs)
  scores_table(page, runs)
  claims_table(page, runs)
  training(page, runs)
  local path = o.out or (runs[1].path:match "^(.*)/[^/]+$" or ".") .. "/compare.html"
  page:write(path)
  io.stderr:write(path, "\n")
  return path
end }
