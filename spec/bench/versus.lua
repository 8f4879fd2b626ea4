-- Ours against PyTorch's in one run: for each row a process of each in turn, `--rounds` times; medians
-- of the rounds' medians, the ratio (PyTorch's time / ours), and the geometric means.
--   lua5.4 spec/bench/versus.lua ops|steps [--rounds N] [--threads N] [--repeats N] [--cpu] [--tuned] [NAME...]
local al = require "albedo"

local what, rounds, pass, names, tuned = arg[1] or "steps", 3, {}, {}, false
local i = 2
while arg[i] do
  if arg[i] == "--rounds" then
    rounds, i = tonumber(arg[i + 1]), i + 1
  elseif arg[i] == "--tuned" then
    tuned = true
  elseif arg[i] == "--threads" or arg[i] == "--repeats" then
    pass[#pass + 1], pass[#pass + 2], i = arg[i], arg[i + 1], i + 1
  elseif arg[i] == "--cpu" then
    pass[#pass + 1] = arg[i]
  else
    names[#names + 1] = arg[i]
  end
  i = i + 1
end

local function row(command)
  local pipe = io.popen(command)
  local line = pipe:read "*l"
  pipe:close()
  return line and al.json.decode(line)
end

local script = ("%s spec/bench/%s.lua"):format(arg[-1] or "lua5.4", what)
local python = "/usr/bin/python3 spec/bench/peer.py " .. what .. (tuned and " --tuned" or "")
local options = table.concat(pass, " ")
if #names == 0 then
  local pipe = io.popen(script .. " --list")
  for line in pipe:lines() do names[#names + 1] = line end
  pipe:close()
end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

local fields = what == "steps" and { "step_ms", "infer_ms", "peak_mb" } or { "fwd_ms", "fwdbwd_ms" }
local logs = {}
for _, name in ipairs(names) do
  local ours, theirs = {}, {}
  for _ = 1, rounds do
    for _, side in ipairs { { ours, script }, { theirs, python } } do
      local r = row(("%s %s %s"):format(side[2], options, name))
      for _, f in ipairs(r and fields or {}) do
        side[1][f] = side[1][f] or {}
        table.insert(side[1][f], r[f])
      end
    end
  end
  local text = {}
  for _, f in ipairs(fields) do
    local a, b = ours[f] and median(ours[f]), theirs[f] and median(theirs[f])
    text[#text + 1] = ("%s %9.2f"):format(f, a or 0 / 0)
    if b then
      text[#text + 1] = ("/ %9.2f = %5.2f  "):format(b, b / a)
      logs[f] = logs[f] or {}
      table.insert(logs[f], math.log(b / a))
    end
  end
  print(("%-50s %s"):format(name, table.concat(text, " ")))
  io.stdout:flush()
end
for _, f in ipairs(fields) do
  local sum, least = 0, math.huge
  for _, v in ipairs(logs[f] or {}) do sum, least = sum + v, math.min(least, v) end
  if logs[f] then
    print(("%s: geometric mean of PyTorch's / ours %.2f, least %.2f"):format(f,
      math.exp(sum / #logs[f]), math.exp(least)))
  end
end
