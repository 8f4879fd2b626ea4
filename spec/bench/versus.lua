-- Ours beside PyTorch's in one run: each round times us, PyTorch as installed and PyTorch with its
-- malloc tuned (--no-tuned leaves that out) in turn, in processes of their own; medians of the rounds.
-- A line: our figure / PyTorch's = ratio (PyTorch's / ours; peak memory: ours / PyTorch's), in brackets
-- the ratio to the tuned one, then the share of the multiply-add peak or of a threaded streaming copy
-- of the same run (`--peak PROGRAM`; Winograd's share counts the direct form's operations and may pass
-- 100 %). Geometric means and the bars that are missed stand last.
--   lua5.4 spec/bench/versus.lua ops|steps [--rounds N] [--threads N] [--repeats N] [--cpu] [NAME...]
local al = require "albedo"

local what, rounds, pass, names, tuned, peak = arg[1] or "steps", 2, {}, {}, true, nil
local i = 2
while arg[i] do
  local key = arg[i]
  if key == "--rounds" then rounds = tonumber(arg[i + 1])
  elseif key == "--peak" then peak = arg[i + 1]
  elseif key == "--threads" or key == "--repeats" then pass[#pass + 1] = key .. " " .. arg[i + 1]
  elseif key == "--no-tuned" then tuned = false
  elseif key == "--cpu" then pass[#pass + 1] = key
  else names[#names + 1] = key
  end
  i = i + (key:find "^%-%-[rtp]" and 2 or 1)
end

-- The rows a command prints, called visit(row) one by one.
local function rows(command, visit)
  local pipe = io.popen(command)
  for line in pipe:lines() do
    if line:sub(1, 1) == "{" then visit(al.json.decode(line)) end
  end
  pipe:close()
end

local script = ("%s spec/bench/%s.lua"):format(arg[-1] or "lua5.4", what)
if #names == 0 then
  local pipe = io.popen(script .. " --list")
  for line in pipe:lines() do names[#names + 1] = line end
  pipe:close()
end

-- ---- the bars: least ratio of a row, of the geometric mean; most for memory ----------------------
local bars = {
  step_ms = { least = 1.3, mean = 2, tuned = 1.1, tuned_mean = 1.5 },
  infer_ms = { least = 1, mean = 1.8 },
  peak_mb = { most = 0.6, mean_most = 0.6 },
}
local own_bar = {
  vgg16_224_b4 = { peak_mb = 0.85 }, mlp_32_64_10_b32 = { step_ms = 5, infer_ms = 0, peak_mb = 1 },
}
local function op_bar(name)
  local dims, c, s, k, stride = name:match "^conv(%d)d_n%d+_c(%d+)_s(%d+)_k%d+_(%d)x%d_stride(%d)"
  local grouped = name:find "groups"
  if dims and k == "3" and stride == "1" and s and not grouped
    and tonumber(c) >= (dims == "3" and 32 or 64) then return 2 end
  if name:find "^conv" then return 1.3 end
  return (name:find "norm" or name:find "pool" or name:find "softmax") and 2
end
local STREAM = { relu = 2, add = 3 } -- arrays that pass through memory

-- ---- measure ---------------------------------------------------------------------------------
local fields = what == "steps" and { "step_ms", "infer_ms", "peak_mb" } or { "fwd_ms", "fwdbwd_ms" }
local sides = {
  { command = script .. (what == "steps" and " --flops" or "") },
  { command = "/usr/bin/python3 spec/bench/peer.py " .. what },
  tuned and { command = "/usr/bin/python3 spec/bench/peer.py " .. what .. " --tuned" } or nil,
}
local machine = {}
local function measure_machine()
  if not peak then return end
  rows(peak, function(r)
    for _, f in ipairs { "peak_gflops", "copy_gbs" } do
      machine[f] = math.max(machine[f] or 0, r[f])
    end
  end)
end

local function measure(list)
  for _, side in ipairs(sides) do
    rows(("%s %s %s"):format(side.command, table.concat(pass, " "), list), function(r)
      side[r.name] = side[r.name] or {}
      table.insert(side[r.name], r)
    end)
  end
end
for _ = 1, rounds do
  measure_machine()
  if what == "ops" then measure(table.concat(names, " ")) end
  for _, name in ipairs(what == "steps" and names or {}) do measure(name) end -- its peak memory is its own
end

local function median(side, name, field)
  local list = {}
  for _, r in ipairs(side and side[name] or {}) do list[#list + 1] = r[field] end
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

-- ---- report ------------------------------------------------------------------------------------
local logs, missed = {}, {}
local function log(key, ratio)
  logs[key] = logs[key] or {}
  table.insert(logs[key], math.log(ratio))
end
local function hold(name, f, ratio, least, most)
  if least and ratio < least or most and ratio > most then
    missed[#missed + 1] = ("%s %s %.2f, bar %s %.2f"):format(name, f, ratio, least and ">=" or "<=",
      least or most)
  end
end

local function share(name, f, ours)
  local r = sides[1][name][1]
  if STREAM[name] and f == "fwd_ms" and machine.copy_gbs then
    local part = STREAM[name] * r.mb * 2 ^ 20 / ours / 1e6 / machine.copy_gbs
    hold(name, "share of a streaming copy", part, 0.9)
    return (" %3.0f%% of copy"):format(part * 100)
  end
  local rate = median(sides[1], name, ({ fwd_ms = "gflops_fwd", fwdbwd_ms = "gflops_fwdbwd",
    step_ms = "gflops_step" })[f] or "")
  if rate and rate > 0 and machine.peak_gflops then
    return (" %3.0f%%"):format(100 * rate / machine.peak_gflops)
  end
  return ""
end

local function compare(name, f)
  local ours, theirs, best = median(sides[1], name, f), median(sides[2], name, f),
    median(sides[3], name, f)
  if not ours then return f .. " none" end
  local memory, mlp = f == "peak_mb", name:find "^mlp"
  local text = ("%s %.2f"):format(f, ours)
  if theirs then
    local ratio = memory and ours / theirs or theirs / ours
    local own, bar = (own_bar[name] or {})[f], bars[f] or { least = op_bar(name) }
    text = text .. ("/%.2f = %.2f"):format(theirs, ratio)
    if not mlp then log(f, ratio) end
    hold(name, f, ratio, not memory and (own or bar.least) or nil, memory and (own or bar.most) or nil)
    if best and not memory then
      text = text .. (" (%.2f)"):format(best / ours)
      if not mlp then log(f .. " tuned", best / ours) end
      hold(name, f .. " tuned", best / ours, bar.tuned)
    end
  end
  return text .. share(name, f, ours)
end

if machine.peak_gflops then
  print(("multiply-add peak %.0f GFLOP/s, streaming copy %.1f GB/s"):format(machine.peak_gflops,
    machine.copy_gbs))
end
for _, name in ipairs(names) do
  local text = {}
  for _, f in ipairs(fields) do text[#text + 1] = compare(name, f) end
  print(("%-44s %s"):format(name, table.concat(text, "  ")))
end
for _, f in ipairs(fields) do
  for _, key in ipairs { f, f .. " tuned" } do
    local sum, all = 0, logs[key] or {}
    for _, v in ipairs(all) do sum = sum + v end
    if #all > 0 then
      local mean, bar = math.exp(sum / #all), bars[f] or {}
      print(("%s: geometric mean %.2f of %d"):format(key, mean, #all))
      hold("geometric mean", key, mean, key == f and bar.mean or key ~= f and bar.tuned_mean or nil,
        key == f and bar.mean_most or nil)
    end
  end
end
print(#missed == 0 and "every bar holds" or ("%d bars missed:\n  %s"):format(#missed,
  table.concat(missed, "\n  ")))
