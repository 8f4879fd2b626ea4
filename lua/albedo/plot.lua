--- al.plot: curves and bars as files: PNG through gnuplot when it is present, SVG, light and
-- dark, by our own hand (al.report.figures).
--
--   al.plot.lines("loss.png", { title = "Training", x = "step", y = "loss", series = {
--     { name = "custom", x = steps, y = losses, low = lower, high = upper } } })
--   al.plot.bars("f1.png", { y = "F1", labels = { "translated", "rotated" }, series = {
--     { name = "custom", values = { 0.9, 0.7 }, low = { 0.8, 0.6 }, high = { 0.93, 0.8 } } } })
--   al.plot.roc("roc.png", { curves = { { name = "custom", fpr = f, tpr = t, auc = 0.93 } } })
--
-- Each returns true, or false and the reason when gnuplot is absent or cannot draw; a plot
-- never ends a run.

local plot = {}

-- Okabe and Ito's colours, told apart by every eye.
local COLORS = {
  "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933",
}

local known -- nil: not asked yet

--- Whether gnuplot is there.
function plot.available()
  if known == nil then
    local pipe = io.popen("command -v gnuplot 2>/dev/null", "r")
    known = pipe ~= nil and (pipe:read "*l" or "") ~= ""
    if pipe then pipe:close() end
  end
  return known
end

local function quote(text)
  return '"' .. tostring(text):gsub('[\\"]', "\\%0"):gsub("[%c]", " ") .. '"'
end

-- A number as gnuplot reads it; what is no finite number is missing.
local function number(v)
  if type(v) ~= "number" then v = tonumber(tostring(v)) end
  if not v or v ~= v or v == math.huge or v == -math.huge then return "NaN" end
  return ("%.9g"):format(v)
end

-- A list from a list or a tensor.
local function list(v, n)
  if v == nil then return nil end
  if type(v) == "userdata" then v = v:totable() end
  if n and #v ~= n then error(("a plot's columns have %d and %d entries"):format(n, #v), 0) end
  return v
end

local function block(name, rows)
  return ("$%s << EOD\n%s\nEOD\n"):format(name, table.concat(rows, "\n"))
end

local function row(...)
  local cells = { ... }
  for i = 1, select("#", ...) do cells[i] = number(cells[i]) end
  return table.concat(cells, " ")
end

local function head(path, o)
  local size = o.size or { 900, 480 }
  local out = {
    ("set terminal pngcairo noenhanced size %d,%d font 'sans,11' background rgb 'white'")
      :format(size[1], size[2]),
    "set output " .. quote(path),
    "set datafile missing 'NaN'",
    "set border 3 lc rgb '#555555'",
    "set tics nomirror",
    "set grid lc rgb '#dddddd' lt 1",
    "set key outside right top reverse Left",
  }
  if o.title then out[#out + 1] = "set title " .. quote(o.title) end
  if o.x then out[#out + 1] = "set xlabel " .. quote(o.x) end
  if o.y then out[#out + 1] = "set ylabel " .. quote(o.y) end
  if o.log_y then out[#out + 1] = "set logscale y" end
  for _, axis in ipairs { "x", "y" } do
    local range = o[axis .. "_range"]
    if range then
      out[#out + 1] = ("set %srange [%s:%s]"):format(axis, range[1] and number(range[1]) or "*",
        range[2] and number(range[2]) or "*")
    end
  end
  return table.concat(out, "\n") .. "\n"
end

-- Runs a script whose output is `temporary`, then gives that its name.
local function run(path, temporary, script)
  if not plot.available() then
    return false, "gnuplot is not installed (apt-get install gnuplot-nox)"
  end
  local complaints = os.tmpname()
  local pipe = io.popen(("gnuplot >/dev/null 2>'%s'"):format(complaints), "w")
  if not pipe then
    os.remove(complaints)
    return false, "gnuplot cannot be started"
  end
  pipe:write(script)
  pipe:close()
  local file = io.open(complaints, "r")
  local said = file and file:read "*a" or ""
  if file then file:close() end
  os.remove(complaints)
  local made = io.open(temporary, "rb")
  local bytes = made and made:seek "end" or 0
  if made then made:close() end
  if bytes == 0 then
    os.remove(temporary)
    return false, "gnuplot drew nothing: "
      .. (said:match "line %d+: ([^\n]+)" or said:gsub("%s+", " "))
  end
  local ok, reason = os.rename(temporary, path)
  if not ok then
    os.remove(temporary)
    return false, reason
  end
  return true
end

-- Builds and runs; a mistake in the data is a reason, too.
local function draw(path, build, o, kind)
  if path:find "%.svg$" then
    local figure = require "albedo.report.figure"
    return pcall(function()
      local all = setmetatable({ alt = o.alt or o.title or kind }, { __index = o })
      require("albedo.json").write_file(path, figure.standalone(figure[kind](all)))
    end)
  end
  local temporary = path .. ".new"
  local ok, script = pcall(build, temporary, o)
  if not ok then return false, tostring(script) end
  return run(path, temporary, script)
end

local function color(i, s) return s.color or COLORS[(i - 1) % #COLORS + 1] end

local function lines(path, o)
  local out, parts = { head(path, o) }, {}
  for i, s in ipairs(o.series) do
    local y = list(s.y)
    local x = list(s.x, #y)
    local low, high = list(s.low, #y), list(s.high, #y)
    local rows = {}
    for k = 1, #y do
      rows[k] = row(x and x[k] or k, y[k], low and low[k] or y[k], high and high[k] or y[k])
    end
    if #rows == 0 then rows[1] = "NaN NaN NaN NaN" end
    out[#out + 1] = block("d" .. i, rows)
    if low and high then
      parts[#parts + 1] = ("$d%d using 1:3:4 with filledcurves fs transparent solid 0.18 "
        .. "noborder fc rgb '%s' notitle")
        :format(i, color(i, s))
    end
    parts[#parts + 1] = ("$d%d using 1:2 with %s lw 2 pt 7 ps 0.6 lc rgb '%s' dt %d title %s")
      :format(
      i, s.points and "linespoints" or "lines", color(i, s), s.dashed and 2 or 1,
        quote(s.name or ""))
  end
  out[#out + 1] = "plot " .. table.concat(parts, ", ") .. "\n"
  return table.concat(out)
end

--- Curves. o: series (a list of { name, x, y, low, high, color, points, dashed }), title, x, y
-- (labels), log_y, x_range, y_range ({ low, high }), size ({ width, height } in pixels). low
-- and high shade an interval.
function plot.lines(path, o) return draw(path, lines, o, "lines") end

local function bars(path, o)
  local n = #o.series
  local width = 0.8 / n
  local out, parts, tics = { head(path, o) }, {}, {}
  for k, label in ipairs(o.labels) do tics[k] = ("%s %d"):format(quote(label), k) end
  out[#out + 1] = ("set xtics (%s)\nset xrange [0.4:%g]\n"
    .. "set style fill solid 0.85 noborder\nset boxwidth %g\n")
    :format(table.concat(tics, ", "), #o.labels + 0.6, width * 0.94)
  if not o.y_range then out[#out + 1] = "set yrange [*<0:*]\n" end
  for i, s in ipairs(o.series) do
    local values = list(s.values, #o.labels)
    local low, high = list(s.low, #values), list(s.high, #values)
    local rows = {}
    for k = 1, #values do
      local at = k + (i - (n + 1) / 2) * width
      rows[k] = row(at, values[k], low and low[k] or values[k], high and high[k] or values[k])
    end
    out[#out + 1] = block("d" .. i, rows)
    parts[#parts + 1] = ("$d%d using 1:2 with boxes fc rgb '%s' title %s")
      :format(i, color(i, s), quote(s.name or ""))
    if low and high then
      parts[#parts + 1] =
        ("$d%d using 1:2:3:4 with yerrorbars ps 0 lw 1.5 lc rgb '#333333' notitle"):format(i)
    end
  end
  out[#out + 1] = "plot " .. table.concat(parts, ", ") .. "\n"
  return table.concat(out)
end

--- Groups of bars. o: labels (of the groups), series (a list of { name, values, low, high }),
-- and as for lines.
function plot.bars(path, o) return draw(path, bars, o, "bars") end

--- Receiver operating characteristics. o: curves (a list of { name, fpr, tpr, auc }), and as
-- for lines.
function plot.roc(path, o)
  if path:find "%.svg$" then return draw(path, nil, o, "roc") end
  local series = {}
  for i, c in ipairs(o.curves or {}) do
    local name = c.name or ("curve " .. i)
    if c.auc then name = ("%s (AUC %.3f)"):format(name, c.auc) end
    series[i] = { name = name, x = c.fpr, y = c.tpr, color = c.color }
  end
  series[#series + 1] = { name = "chance", x = { 0, 1 }, y = { 0, 1 }, color = "#888888",
    dashed = true }
  local all = { x = "false positives", y = "true positives", size = { 760, 520 } }
  all.x_range, all.y_range = { 0, 1 }, { 0, 1 }
  for key, value in pairs(o) do all[key] = value end
  all.series = series
  return draw(path, lines, all)
end

return plot
