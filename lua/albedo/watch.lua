-- Looking on while ops run: where the first NaN comes from, where the time goes.
local al = require "albedo"
local options = require "albedo.options"
local native = al.native
local unpack = table.unpack or unpack

local watch = {}

local function pack(...) return { n = select("#", ...), ... } end

local TIME, INF, NAN = 1, 2, 4
local function has(flags, bit) return flags % (2 * bit) >= bit end

--- check(true) makes the op that gives the first NaN or infinity raise: in its result, and not
--- in its arguments. The error has the script's line, the op and its arguments; in a backward
--- pass also the op whose gradient it was and the line that recorded it. check "nan" lets
--- infinities pass; check(false) ends it. For this thread. Returns the former state. Every
--- result is read once more: for finding mistakes, not for training.
function watch.check(on)
  local flags = native.watch()
  local former = has(flags, NAN) and "nan" or has(flags, INF)
  if on ~= nil then
    if type(on) ~= "boolean" and on ~= "nan" then
      al.raise(("check: true, false or \"nan\" is wanted, got %s"):format(tostring(on)))
    end
    native.watch(flags % 2 + (on == "nan" and NAN or on and INF or 0))
  end
  return former
end

local function line(cells)
  return ("%-28s %7s %10s %6s %8s %9s %9s"):format(unpack(cells))
end

local function rate(amount, seconds)
  return amount > 0 and seconds > 0 and ("%.1f"):format(amount / seconds * 1e-9) or ""
end

local Report = {}
function Report:__tostring()
  local lines = { line { "op", "calls", "ms", "%", "GB/s", "GFLOP/s", "peak MB" } }
  for _, r in ipairs(self) do
    lines[#lines + 1] = line { r.op, ("%d"):format(r.calls), ("%.3f"):format(r.seconds * 1e3),
      ("%.1f"):format(100 * r.seconds / self.seconds), rate(r.bytes, r.seconds),
      rate(r.flops, r.seconds), r.at_peak > 0 and ("%.2f"):format(r.at_peak / 1e6) or "" }
  end
  lines[#lines + 1] = line { "outside ops", "", ("%.3f"):format(self.outside * 1e3),
    ("%.1f"):format(100 * self.outside / self.seconds), "", "",
    ("%.2f"):format(self.peak / 1e6) }
  return table.concat(lines, "\n")
end

--- profile(fn, {print = true}) runs fn() and prints a row an op, the dearest first: calls, time
--- without the ops it calls itself, GB/s of arguments and results, GFLOP/s of conv, linear and
--- matmul (gradients too), and what was made by it of the memory in use at its peak. Gradients
--- have rows of their own. Returns the rows {op, calls, seconds, bytes, flops, at_peak}
--- as a list with the fields seconds, outside (of all ops) and peak, then what fn returns. The
--- peak of al.memory starts anew. For this thread.
function watch.profile(fn, opts)
  local meta = getmetatable(fn)
  if type(fn) ~= "function" and not (type(meta) == "table" and meta.__call) then
    al.raise("profile: the first argument must be a function, got " .. type(fn))
  end
  opts = options("profile", opts, { print = true })
  local flags = native.watch()
  if has(flags, TIME) then al.raise "profile: it is running already" end
  native.watch_reset()
  al.memory_reset_peak()
  native.watch(flags + TIME)
  local start = native.clock()
  local results = pack(pcall(fn))
  local report = { seconds = native.clock() - start }
  native.watch(flags)
  if not results[1] then error(results[2], 0) end
  local memory = al.memory()
  report.outside, report.peak = report.seconds, memory.peak
  for _, row in ipairs(native.watch_rows()) do
    row.at_peak = memory.by_op[row.op] or 0
    if row.calls > 0 or row.at_peak > 0 then
      report[#report + 1] = row
      report.outside = report.outside - row.seconds
    end
  end
  table.sort(report, function(a, b)
    if a.seconds ~= b.seconds then return a.seconds > b.seconds end
    return a.op < b.op
  end)
  setmetatable(report, Report)
  if opts.print then print(report) end
  return report, unpack(results, 2, results.n)
end

return watch
