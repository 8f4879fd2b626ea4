--- Figures drawn as SVG, for reports: figure.KIND(spec) -> text. Colours are the page's
-- variables, so that a figure follows the light or dark scheme, and prints; texts stay texts.
-- gnuplot makes the PNG files of al.plot; a page needs no other program.

local al = require "albedo"
local draw = require "albedo.report.draw"

local figure = { escape = draw.escape }
local finite, list, width_of, raise = draw.finite, draw.list, draw.width_of, draw.raise

-- ---- lines ----------------------------------------------------------------------------------

-- A path through the points, broken where a value is missing.
local function path(s, X, Y, shown)
  local out, pen = {}, "M"
  for k = 1, #s.y do
    local x, y = s.x and s.x[k] or k, s.y[k]
    if finite(x) and shown(y) then
      out[#out + 1] = ("%s%.1f %.1f"):format(pen, X(x), Y(y))
      pen = "L"
    else
      pen = "M"
    end
  end
  return table.concat(out)
end

-- At most about 1200 points: the least and the largest of each of 600 stretches, and the gaps.
local function thinned(s)
  local n = #s.y
  if n <= 1200 or s.low then return s end
  local x, y = {}, {}
  for b = 0, 599 do
    local low, high, gap = nil, nil, false
    for k = math.floor(b * n / 600) + 1, math.floor((b + 1) * n / 600) do
      if finite(s.y[k]) then
        if not low or s.y[k] < s.y[low] then low = k end
        if not high or s.y[k] > s.y[high] then high = k end
      else
        gap = true
      end
    end
    for _, k in ipairs(low and (low < high and { low, high } or { high, low }) or {}) do
      x[#x + 1], y[#y + 1] = s.x and s.x[k] or k, s.y[k]
    end
    if gap then x[#x + 1], y[#y + 1] = x[#x] or 1, 0 / 0 end
  end
  s.x, s.y = x, y
  return s
end

-- What a figure leaves out, as lines of text: values that its axes have no place for.
local function left_out(all_y, log)
  local low, huge = 0, 0
  for _, values in ipairs(all_y) do
    for _, v in ipairs(values) do
      if type(v) == "number" and v == v then
        if not finite(v) then huge = huge + 1 elseif log and v <= 0 then low = low + 1 end
      end
    end
  end
  local said = {}
  local function say(n, what)
    if n > 0 then said[#said + 1] = ("%d value%s %s"):format(n, n > 1 and "s" or "", what) end
  end
  say(low, "not above 0")
  say(huge, "too large")
  return #said > 0 and { "Left out: " .. table.concat(said, ", ") .. "." } or nil
end

-- The interval of a curve, shaded.
local function band(d, s, X, Y, shown)
  local there, back = {}, {}
  for k = 1, #s.y do
    local x = s.x and s.x[k] or k
    if shown(s.low[k]) and shown(s.high[k]) then
      there[#there + 1] = ("%.1f %.1f"):format(X(x), Y(s.low[k]))
      table.insert(back, 1, ("%.1f %.1f"):format(X(x), Y(s.high[k])))
    end
  end
  if #there > 1 then
    d:add('<path class="band %s" d="M%sL%sZ"/>', s.fill, table.concat(there, "L"),
      table.concat(back, "L"))
  end
end

-- The series of lines with their classes; beside them all x, all y, the keys.
local function series_of(o)
  local all_x, all_y, series, keys = {}, {}, {}, {}
  for i, given in ipairs(o.series) do
    local y = list(given.y)
    if not y then raise("series[%d] has no y", i) end
    local s, class = { name = given.name, x = list(given.x, #y), y = y,
      low = list(given.low, #y), high = list(given.high, #y), points = given.points },
      draw.classes(i)
    s.class, s.fill = given.chance and "chance" or class.line, class.fill
    s.dash = given.dashed and ' stroke-dasharray="6 5"' or given.chance and "" or class.dash
    all_x[#all_x + 1] = s.x or { 1, math.max(#y, 1) }
    for _, v in ipairs { y, s.low or {}, s.high or {} } do all_y[#all_y + 1] = v end
    series[i] = s
    if s.name and s.name ~= "" then keys[#keys + 1] = { s.name, s.class, s.dash } end
  end
  return series, all_x, all_y, keys
end

--- Curves. o: alt; series (a list of { name, x, y, low, high, points, dashed }; low and high
-- shade an interval), title, x, y (labels), log_y, x_range, y_range ({ low, high }), size ({
-- width, height }). Points between missing values are dots; what a logarithmic axis cannot show
-- is counted above the plot.
function figure.lines(o)
  local d = draw.new(o.size and o.size[1] or 760, o.size and o.size[2] or 400)
  local series, all_x, all_y, keys = series_of(o)
  local function shown(v) return finite(v) and not (o.log_y and v <= 0) end
  local function range(given, lists, log)
    local low, high = draw.extent(lists, log)
    local r = given or {}
    low, high = r[1] or low or log and 1 or 0, r[2] or high or log and 10 or 1
    if not (low < high) then high = log and low * 10 or low + 1 end
    return low, high
  end
  local x_low, x_high = range(o.x_range, all_x)
  local y_low, y_high = range(o.y_range, all_y, o.log_y)
  local xs = draw.scale(x_low, x_high, false, math.max(3, math.floor(d.w / 110)), true)
  local ys = draw.scale(y_low, y_high, o.log_y, math.max(3, math.floor(d.h / 75)),
    o.y_range ~= nil)
  local X, Y, box = draw.frame(d, setmetatable({ notes = left_out(all_y, o.log_y) },
    { __index = o }), xs, ys, (#series > 1 or o.keys) and keys or {})
  local any = false
  for _, s in ipairs(series) do
    s = thinned(s)
    if s.low and s.high then band(d, s, X, Y, shown) end
    local drawn = path(s, X, Y, shown)
    any = any or drawn ~= ""
    d:add('<path class="%s"%s d="%s"/>', s.class, s.dash, drawn)
    for k = 1, #s.y do
      local x = s.x and s.x[k] or k
      local alone = not shown(s.y[k - 1]) and not shown(s.y[k + 1])
      if finite(x) and shown(s.y[k]) and (s.points or alone) then
        d:add('<circle class="%s" cx="%.1f" cy="%.1f" r="3"/>', s.fill, X(x), Y(s.y[k]))
      end
    end
  end
  if not any then draw.nothing(d, box) end
  return d:close(o.alt)
end

--- Operating characteristics. o: alt; curves (a list of { name, fpr, tpr, auc }, as
-- al.metrics.roc gives them), and as for lines.
function figure.roc(o)
  local series = {}
  for i, c in ipairs(o.curves) do
    if not (c.fpr and c.tpr) then raise("curves[%d] has no fpr and tpr", i) end
    local name = c.name or (#o.curves > 1 and "curve " .. i or "ROC")
    if c.auc then name = ("%s (AUC %.3f)"):format(name, c.auc) end
    series[i] = { name = name, x = c.fpr, y = c.tpr }
  end
  series[#series + 1] = { name = "chance", x = { 0, 1 }, y = { 0, 1 }, chance = true }
  local all = { x = "false positive rate", y = "true positive rate", size = { 520, 480 },
    x_range = { 0, 1 }, y_range = { 0, 1 } }
  for key, value in pairs(o) do all[key] = value end
  all.series = series
  return figure.lines(all)
end

-- ---- bars -----------------------------------------------------------------------------------

-- How the names of groups stand below: level, slanted, or upright where there are many; then
-- the drawing grows, and every second or third name is left out where that is not enough.
local function group_names(d, o, labels, groups)
  local xs = { marks = {}, plain = true, at = function(v) return (v - 0.5) / groups end }
  local longest = 0
  for k, label in ipairs(labels) do
    xs.marks[k] = { k, tostring(label) }
    longest = math.max(longest, width_of(label))
  end
  local room = (d.w - 80) / math.max(groups, 1)
  if longest <= room - 6 then return xs end
  longest = math.min(longest, 190)
  xs.turn, xs.longest = room < 24 and 90 or 32, longest
  xs.extra = xs.turn == 90 and longest - 8 or longest * 0.53
  if xs.turn == 90 then
    if not o.size then d.w = math.max(d.w, math.min(80 + groups * 15, 910)) end
    xs.every = math.ceil(13.5 * groups / (d.w - 80))
  else -- the first name reaches to the left
    local half = 0.5 / groups
    xs.left = (longest * 0.85 + 4 - (d.w - 14) * half) / (1 - half)
  end
  if not o.size then d.h = d.h + math.max(0, xs.extra - 40) end
  return xs
end

-- A bar from 0, or where the axis has no 0 a dot: a bar's length would mislead.
local function bar(d, class, ys, Y, x, wide, v)
  if ys.low > 0 or ys.high < 0 then
    return d:add('<circle class="%s" cx="%.1f" cy="%.1f" r="%.1f"/>', class.bar, x, Y(v),
      math.min(6, wide * 0.4))
  end
  d:add('<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>', class.bar,
    x - wide * 0.46, math.min(Y(v), Y(0)), wide * 0.92, math.abs(Y(0) - Y(v)))
end

--- Groups of bars. o: alt; labels (of the groups), series (a list of { name, values, low, high
-- }, whiskers from low to high), title, x, y, y_range (widened to hold all values; without 0 in
-- it the values are dots), size.
function figure.bars(o)
  local d = draw.new(o.size and o.size[1] or 760, o.size and o.size[2] or 380)
  local n, groups, lists, keys, r, any = #o.series, #o.labels, {}, {}, o.y_range, false
  lists[1] = r and { r[1], r[2] } or { 0 }
  for i, s in ipairs(o.series) do
    local values = list(s.values, groups)
    if not values then raise("series[%d] has no values", i) end
    for _, v in ipairs { values, list(s.low, groups) or {}, list(s.high, groups) or {} } do
      lists[#lists + 1] = v
    end
    for _, v in ipairs(values) do any = any or finite(v) end
    if s.name and s.name ~= "" then keys[#keys + 1] = { s.name, draw.classes(i).bar } end
  end
  local low, high = draw.extent(lists)
  if not any and not r then low, high = 0, 1 end
  local inside = r and r[1] and r[2] and low >= r[1] and high <= r[2]
  local ys = draw.scale(low, high, false, math.max(3, math.floor(d.h / 75)), inside)
  local xs = group_names(d, o, o.labels, groups)
  local X, Y, box = draw.frame(d, setmetatable({ notes = left_out(lists) }, { __index = o }),
    xs, ys, n > 1 and keys or {})
  local wide = math.min((X(2) - X(1)) * 0.78 / n, 64)
  for i, s in ipairs(o.series) do
    local values, a, b, class = list(s.values), list(s.low), list(s.high), draw.classes(i)
    for k = 1, groups do
      local x = X(k) + (i - (n + 1) / 2) * wide
      if finite(values[k]) then
        bar(d, class, ys, Y, x, wide, values[k])
        if a and b and finite(a[k]) and finite(b[k]) then
          local cap = math.min(5, wide * 0.2)
          d:add('<path class="whisker" d="M%.1f %.1fH%.1fM%.1f %.1fH%.1fM%.1f %.1fV%.1f"/>',
            x - cap, Y(a[k]), x + cap, x - cap, Y(b[k]), x + cap, x, Y(a[k]), Y(b[k]))
        end
      end
    end
  end
  if not any then draw.nothing(d, box) end
  return d:close(o.alt)
end

-- ---- colour of a value ----------------------------------------------------------------------

-- From paper to deep blue, and from dark paper to pale blue, in sRGB.
local RAMPS = {
  light = { { 246, 248, 251 }, { 183, 211, 236 }, { 76, 145, 204 }, { 8, 64, 120 } },
  dark = { { 34, 38, 46 }, { 26, 72, 118 }, { 54, 132, 200 }, { 186, 222, 250 } },
}

local function ramp(name, share)
  local stops = RAMPS[name]
  local at = math.min(math.max(share, 0), 1) * (#stops - 1)
  local k = math.min(math.floor(at), #stops - 2)
  local out = {}
  for i = 1, 3 do
    out[i] = math.floor(stops[k + 1][i] + (at - k) * (stops[k + 2][i] - stops[k + 1][i]) + 0.5)
  end
  return out
end

-- Black or white, whichever is read better on a colour (WCAG's luminance; at least 4.58 to 1).
local function ink_on(c)
  local y = 0
  for i, weight in ipairs { 0.2126, 0.7152, 0.0722 } do
    local v = c[i] / 255
    y = y + weight * (v <= 0.04045 and v / 12.92 or ((v + 0.055) / 1.055) ^ 2.4)
  end
  return y > 0.179 and "#000" or "#fff"
end

--- A cell's colours as a style, for the light and the dark page: share 0 to 1.
function figure.cell_style(share)
  local light, dark = ramp("light", share), ramp("dark", share)
  return ("--l:#%02x%02x%02x;--lt:%s;--d:#%02x%02x%02x;--dt:%s"):format(light[1], light[2],
    light[3], ink_on(light), dark[1], dark[2], dark[3], ink_on(dark))
end

-- The rows of a heat-map, all of one length.
local function matrix(v)
  local values = al.is_tensor(v) and v:totable() or v
  if type(values) ~= "table" or type(values[1]) ~= "table" or #values[1] == 0 then
    raise "a heat-map's values are a matrix: a tensor, or a list of rows, not empty"
  end
  for _, row in ipairs(values) do
    if type(row) ~= "table" or #row ~= #values[1] then
      raise("a heat-map's rows have %d and %s entries", #values[1],
        type(row) == "table" and #row or "no")
    end
  end
  return values, #values, #values[1]
end

-- A matrix of at most 200 x 200 for one that is larger: means over blocks of by x across, of
-- what is finite in them.
local function blocks(values, n, m)
  local by, across, out = math.ceil(n / 200), math.ceil(m / 200), {}
  if by == 1 and across == 1 then return values, n, m, 1, 1 end
  for i = 1, math.ceil(n / by) do
    out[i] = {}
    for j = 1, math.ceil(m / across) do
      local sum, count = 0, 0
      for k = (i - 1) * by + 1, math.min(i * by, n) do
        for l = (j - 1) * across + 1, math.min(j * across, m) do
          local v = values[k][l]
          if finite(v) then sum, count = sum + v, count + 1 end
        end
      end
      out[i][j] = sum / count
    end
  end
  return out, #out, #out[1], by, across
end

-- Every k-th of the names.
local function each(names, k)
  local out = {}
  for i = 1, names and #names or 0, k do out[#out + 1] = names[i] end
  return names and out
end

-- Widest of the n names; an error where they are not as many.
local function longest_of(what, names, n, most)
  local wide = 0
  if names and #names ~= n then raise("%d %s, %d names", n, what, #names) end
  for i = 1, names and n or 0 do wide = math.max(wide, width_of(names[i])) end
  return math.min(wide, most)
end

-- The colour bar at the right.
local function color_bar(d, at, top, tall, low, high)
  for k = 0, 39 do
    d:add('<rect class="cell" style="%s" x="%.1f" y="%.1f" width="14" height="%.1f"/>',
      figure.cell_style((39 - k) / 39), at, top + k * tall / 40, tall / 40 + 0.4)
  end
  local marks, step = draw.ticks(low, high, 4)
  for _, v in ipairs(marks) do
    d:text(at + 20, top + (1 - (v - low) / (high - low)) * (tall - 8) + 8,
      draw.tick_text(v, step))
  end
end

local function cell(d, v, share, x, y, side, digits)
  local style = figure.cell_style(share)
  if finite(v) then
    d:add('<rect class="cell" style="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>',
      style, x, y, side + 0.3, side + 0.3)
  end
  if digits then
    local text = finite(v) and (("%." .. digits .. "f"):format(v):gsub("^%-", "\226\136\146"))
      or "\226\128\147"
    if finite(v) and width_of(text) > side then
      text = ("%.1e"):format(v):gsub("e%+?(-?)0*", "e%1"):gsub("%-", "\226\136\146")
    end
    d:text(x + side / 2, y + side / 2 + 4.5, text, finite(v) and "on" or nil, "middle",
      finite(v) and (' style="%s"'):format(style) or nil, side + 1)
  end
end

--- A matrix as colours; a value that is not finite leaves its place empty, and beyond 200 rows
-- or columns means over blocks are shown. o: alt; values (a
-- matrix: tensor or list of rows), rows, columns (names), range ({ low, high }: the values'
-- own), digits (of the numbers in the cells; none where there are more than 12 x 12), title, x,
-- y.
function figure.heatmap(o)
  local all, rows, columns = matrix(o.values)
  longest_of("rows", o.rows, rows, 0)
  longest_of("columns", o.columns, columns, 0)
  local values, n, m, by, across = blocks(all, rows, columns)
  local row_names, column_names = each(o.rows, by), each(o.columns, across)
  local low, high = draw.extent(values)
  low, high = o.range and o.range[1] or low or 0, o.range and o.range[2] or high or 1
  if not (low < high) then high = low + 1 end
  local wide, longest = longest_of("rows", row_names, n, 220),
    longest_of("columns", column_names, m, 170)
  local coarse = n * m < rows * columns
  local left, top = wide + 10 + (o.y and 24 or 0), (o.title and 28 or 6) + (coarse and 22 or 0)
  local function size() return math.max(4, math.min(56, (660 - left) / m, 560 / n)) end
  local turned = longest > size() - 4
  if turned then left = math.max(left, longest * 0.58 + 4 - size() / 2) end
  local side = size()
  local below = longest > 0 and (turned and longest * 0.85 + 18 or 24) or 6
  local marks, step = draw.ticks(low, high, 4)
  local ticks = 0
  for _, v in ipairs(marks) do ticks = math.max(ticks, width_of(draw.tick_text(v, step))) end
  local d = draw.new(math.ceil(left + m * side + 42 + ticks), math.ceil(top
    + math.max(n * side, 90) + below + (o.x and 22 or 0)))
  if o.title then d:text(left, 16, o.title, "title", nil, nil, (d.w - left) * 0.82) end
  if coarse then
    d:text(left, top - 10, ("Means over %d x %d."):format(by, across), nil, nil,
      nil, d.w - left)
  end
  local digits = side >= 30 and n <= 12 and m <= 12 and o.digits ~= false and (o.digits or 2)
  for i = 1, n do
    for j = 1, m do
      local v = values[i][j]
      cell(d, v, finite(v) and (v - low) / (high - low) or 0, left + (j - 1) * side,
        top + (i - 1) * side, side, digits)
    end
  end
  local every = math.ceil(15 / side) -- names nearer than 15 px would stand in one another
  for i = 1, row_names and n or 0, every do
    d:text(left - 8, top + (i - 0.5) * side + 4.5, row_names[i], "name", "end", nil, wide)
  end
  for j = 1, column_names and m or 0, turned and every or 1 do
    local x, y = left + (j - 0.5) * side, top + n * side + (turned and 14 or 18)
    d:text(x, y, column_names[j], "name", turned and "end" or "middle",
      turned and (' transform="rotate(-55 %.1f %.1f)"'):format(x, y) or nil, longest)
  end
  if o.y then
    local y = top + n * side / 2
    d:text(14, y, o.y, nil, "middle", (' transform="rotate(-90 14 %.1f)"'):format(y),
      2 * math.min(y, d.h - y) - 6)
  end
  if o.x then
    local x = left + m * side / 2
    d:text(x, d.h - 6, o.x, nil, "middle", nil, 2 * math.min(x, d.w - x) - 6)
  end
  color_bar(d, left + m * side + 18, top, math.max(90, n * side), low, high)
  return d:close(o.alt)
end

--- The text of a figure as a file of its own.
function figure.standalone(svg)
  local style = require("albedo.report.style").figure
  local space = "http:" .. "//www.w3.org/2000/svg" -- a name, nothing is fetched
  return svg:gsub("^<svg", function() return ('<svg xmlns="%s"'):format(space) end)
    :gsub(">", function() return "><style>" .. style .. "</style>" end, 1) .. "\n"
end

return figure
