-- What runs leave in their folders, read for pages about them: metrics.json of al.lab's, and
-- NAME.jsonl of al.fit's trainings. A file that is not sound is named, and passed over.
local al = require "albedo"
local json = require "albedo.json"

local runs = {}

--- v, or nil for JSON's null.
function runs.known(v)
  if v == json.null then return nil end
  return v
end
local known = runs.known

-- What is wrong with the figures of metrics.json, or nil.
local function fault(m)
  if type(m) ~= "table" then return "it holds no object" end
  for _, field in ipairs { "options table", "scores table", "claims table", "seconds number",
    "experiment string", "device string" } do
    local name, kind = field:match "(%a+) (%a+)"
    local v = known(m[name])
    if v ~= nil and type(v) ~= kind then
      return ("%s is a %s, not a %s"):format(name, type(v), kind)
    end
  end
  for arm, by_seed in pairs(known(m.scores) or {}) do
    if type(by_seed) ~= "table" then return ("scores.%s is no table of seeds"):format(arm) end
  end
  for i, claim in ipairs(known(m.claims) or {}) do
    if type(claim) ~= "table" or type(claim.id) ~= "string" then
      return ("claims[%d] has no id"):format(i)
    end
  end
end

--- metrics.json of a folder: the table, with options, scores and claims; or nil, and what is
-- wrong with the file (nothing where there is none).
function runs.metrics(folder)
  local path = folder .. "/metrics.json"
  if not al.io.exists(path) then return nil end
  local ok, m = pcall(json.read, path)
  local wrong = not ok and tostring(m):gsub("^.-: ", "", 1):gsub("%s+", " ") or ok and fault(m)
  if wrong then return nil, ("%s: %s"):format(path, wrong) end
  for _, name in ipairs { "options", "scores", "claims" } do m[name] = known(m[name]) or {} end
  return m
end

--- The lines of a training, NAME.jsonl, as columns: { name, step, loss, lr, seconds, val =
-- { figure -> { step, value } } } (step, loss and lr lists of numbers; seconds of the last
-- line); nil where no line holds a loss. A line that is no JSON is passed over: the last one of
-- a run that was killed; of others the second result says how many.
function runs.training(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local t = { name = path:match "([^/]+)%.jsonl$", step = {}, loss = {}, val = {} }
  local bad, last_bad = 0, false
  for line in file:lines() do
    local ok, figures = pcall(json.decode, line)
    last_bad = not ok or type(figures) ~= "table"
    bad = bad + (last_bad and 1 or 0)
    if not last_bad and type(figures.loss) == "number" then
      local n = #t.loss + 1
      local step = type(figures.step) == "number" and figures.step or n
      t.step[n], t.loss[n] = step, figures.loss
      if type(figures.lr) == "number" then t.lr = math.max(t.lr or figures.lr, figures.lr) end
      t.seconds = type(figures.seconds) == "number" and figures.seconds or t.seconds
      for key, v in pairs(figures) do
        local name = key:match "^val_(.+)$"
        if name and type(v) == "number" then
          t.val[name] = t.val[name] or { step = {}, value = {} }
          table.insert(t.val[name].step, step)
          table.insert(t.val[name].value, v)
        end
      end
    end
  end
  file:close()
  if last_bad then bad = bad - 1 end
  local said = bad > 0 and ("%s: %d lines are no JSON and left out"):format(path, bad) or nil
  return #t.loss > 0 and t or nil, said
end

-- Folders (and files) that match a pattern whose parts may hold *: "runs/*", "runs/copymove-*".
local function matching(pattern)
  local lfs = require "lfs"
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
  for i, path in ipairs(paths) do paths[i] = path:gsub("(.)/$", "%1") end
  table.sort(paths)
  return paths
end

-- A run of a path, or nil: a folder, or the NAME.jsonl of a training saved among others.
local function run_of(path, faults)
  local lfs = require "lfs"
  local run, files = { name = path:match "([^/]+)/*$", path = path, trainings = {} }, {}
  if lfs.attributes(path, "mode") == "directory" then
    run.metrics, faults[#faults + 1] = runs.metrics(path)
    for file in lfs.dir(path) do
      if file:find "%.jsonl$" then files[#files + 1] = path .. "/" .. file end
    end
    table.sort(files)
  elseif path:find "%.jsonl$" then
    run.name, files = run.name:gsub("%.jsonl$", ""), { path }
  end
  for _, file in ipairs(files) do
    run.trainings[#run.trainings + 1], faults[#faults + 1] = runs.training(file)
  end
  return (run.metrics or #run.trainings > 0) and run or nil
end

--- The runs of a pattern, or of a list of folders: { name, path, metrics (nil without a sound
-- metrics.json), trainings } each; and a list of what could not be read.
function runs.of(where)
  local found, faults, paths = {}, {}, type(where) == "table" and where or matching(where)
  for _, path in ipairs(paths) do
    local run = run_of(path, faults)
    found[#found + 1] = run
    if not run and type(where) == "table" then
      faults[#faults + 1] = path .. (al.io.exists(path) and ": no run" or ": not found")
    end
  end
  return found, faults
end

return runs
