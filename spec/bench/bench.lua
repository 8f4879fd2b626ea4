-- What the benchmarks share: options, medians, a JSON object a line.
local al = require "albedo"
local bench = { clock = al.clock }

--- { threads, repeats, names, cpu } from the command line: [--threads N] [--repeats N] [--cpu] [NAME...]
-- --cpu counts the processor's time instead of the clock's: with one thread, a figure that other work on
-- the machine disturbs little.
function bench.options(defaults)
  local o, i = { threads = 2, repeats = defaults.repeats, names = {} }, 1
  while arg[i] do
    local key = arg[i]:match "^%-%-(.+)$"
    if key == "cpu" or key == "here" or key == "list" or key == "flops" then
      o[key] = true
      i = i + 1
    elseif key then
      o[key] = assert(tonumber(arg[i + 1]), arg[i] .. " wants a number")
      i = i + 2
    else
      o.names[arg[i]] = true
      i = i + 1
    end
  end
  al.threads(o.threads)
  if o.cpu then bench.clock = os.clock end
  return o
end

--- Runs a benchmark for one name in a process of its own.
function bench.again(script, o, name)
  local command = ("%s %s --here --threads %d --repeats %d %s %s %s"):format(arg[-1] or "lua5.4",
    script, o.threads, o.repeats, o.cpu and "--cpu" or "", o.flops and "--flops" or "", name)
  local ok = os.execute(command)
  if ok ~= true and ok ~= 0 then os.exit(1) end
end

function bench.wanted(o, name) return next(o.names) == nil or o.names[name] end

--- Median of `repeats` calls in milliseconds, each in a scope, after two that warm up.
function bench.median_ms(repeats, f)
  local took = {}
  for r = -1, repeats do
    local from = bench.clock()
    al.scope(f)
    if r > 0 then took[r] = (bench.clock() - from) * 1e3 end
  end
  table.sort(took)
  return took[math.floor((repeats + 1) / 2)]
end

--- A row as one line of JSON, figures rounded to 3 places.
function bench.print(row)
  for key, v in pairs(row) do
    if type(v) == "number" then row[key] = math.floor(v * 1000 + 0.5) / 1000 end
  end
  print((al.json.encode(row)))
  io.stdout:flush()
end

return bench
