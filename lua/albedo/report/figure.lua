--- Figures drawn as SVG, for reports: figure.KIND(spec) -> text. Colours are the page's
-- variables, so that a figure follows the light or dark scheme, and prints; texts stay texts.
-- gnuplot makes the PNG files of al.plot; a page needs no other program.

local al = require "albedo"

local figure = {}

local ESCAPES = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
}
--- A text with what HTML reads as markup escaped.
local function escape(v) return (tostring(v):gsub("[&<>\"']", ESCAPES)) end
figure.escape = escape

-- ---- numbers and ticks ----------------------------------------------------------------------

local function log10(v) return math.log(v) / math.log(10) end

local function finite(v)
  return type(v) == "number" and v == v and v < math.huge and v > -math.huge
end

local function list(v, n)
  if v == nil then return nil end
  if al.is_tensor(v) then v = v:reshape(-1):totable() end
  if n and #v ~= n then
    error(("a figure's columns have %d and %d entries"):format(n, #v), 0)
  end
  return v
end

-- Round steps: about n ticks from low to high.
local function ticks(low, high, n)
  local raw = (high - low) / n
  local size = 10 ^ math.floor(log10(raw))
  local f = raw / size
  local step = (f < 1.5 and 1 or f < 3.5 and 2 or f < 7.5 and 5 or 10) * size
  local out = {}
  for k = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) do
    out[#out + 1] = k * step
  end
  return out, step
end

-- A tick's text: as many decimals as the step has, thousands apart, a true minus.
local function tick_text(v, step)
  local text
  if v ~= 0 and (math.abs(v) >= 1e6 or step < 1e-4) then
    local mantissa, exponent = ("%.1e"):format(v):match "(.-)%.?0?e([+-]%d+)"
    text = mantissa .. "e" .. tonumber(exponent)
  else
    text = ("%%.%df"):format(math.max(0, -math.floor(log10(step) + 1e-6))):format(v)
    if math.abs(v) >= 1e4 then
      text = text:reverse():gsub("(%d%d%d)", "%1\1"):reverse():gsub("^(%-?)\1", "%1")
        :gsub("\1", "\226\128\137")
    end
    if text:find "^%-[0.]*$" then text = text:sub(2) end
  end
  return (text:gsub("^%-", "\226\136\146"):gsub("e%-", "e\226\136\146"))
end

local function power_text(k)
  local raised = { [0] = "\226\129\176", "\194\185", "\194\178", "\194\179", "\226\129\180",
    "\226\129\181", "\226\129\182", "\226\129\183", "\226\129\184", "\226\129\185" }
  if k == 0 then return "1" elseif k == 1 then return "10" end
  local text = tostring(math.abs(k)):gsub("%d", function(d) return raised[tonumber(d)] end)
  return "10" .. (k < 0 and "\226\129\187" or "") .. text
end

-- Roughly how wide a text of 13 px is.
local function width_of(text)
  local _, n = tostring(text):gsub("[^\128-\191]", "")
  return n * 7.1
end

-- ---- a drawing ------------------------------------------------------------------------------

local Drawing = {}
Drawing.__index = Drawing

local function drawing(w, h)
  return setmetatable({ w = w, h = h, out = {} }, Drawing)
end

function Drawing:add(format, ...)
  self.out[#self.out + 1] = format:format(...)
end

function Drawing:text(x, y, text, class, anchor, more)
  self:add('<text x="%.1f" y="%.1f"%s%s%s>%s</text>', x, y,
    class and (' class="%s"'):format(class) or "",
    anchor and (' text-anchor="%s"'):format(anchor) or "", more or "", escape(text))
end

function Drawing:close(alt)
  if not alt or alt == "" then error("report: a figure needs an alt text", 0) end
  return ('<svg role="img" aria-label="%s" viewBox="0 0 %d %d" width="%d" height="%d">'
    .. '\n%s\n</svg>'):format(escape(alt), self.w, self.h,
    self.w, self.h, table.concat(self.out, "\n"))
end

-- The least and the largest finite value of lists; 0 and 1 where there is none.
local function extent(lists, positive)
  local low, high
  for _, values in ipairs(lists) do
    for _, v in ipairs(values) do
      if finite(v) and (not positive or v > 0) then
        low, high = math.min(low or v, v), math.max(high or v, v)
      end
    end
  end
  if not low then return 0, 1 end
  if low == high then
    local pad = low == 0 and 1 or math.abs(low) * 0.1
    return low - pad, high + pad
  end
  return low, high
end

-- A linear or logarithmic scale: { low, high, marks = { {value, text} }, at = v -> 0 .. 1 }.
local function scale(low, high, log, n, exact)
  if log then
    local a, b = log10(low), log10(high)
    if not exact then a, b = math.floor(a + 1e-9), math.ceil(b - 1e-9) end
    if a == b then b = a + 1 end
    local marks, step = {}, math.max(1, math.ceil((b - a) / 8))
    for k = math.ceil(a - 1e-9), math.floor(b + 1e-9), step do
      marks[#marks + 1] = { 10 ^ k, power_text(k) }
      for _, m in ipairs(b - a <= 2 and { 2, 5 } or {}) do
        local v = m * 10 ^ k
        if log10(v) < b then marks[#marks + 1] = { v, tick_text(v, 10 ^ k) } end
      end
    end
    return { low = low, high = high, marks = marks,
      at = function(v) return (log10(v) - a) / (b - a) end }
  end
  local at, step = ticks(low, high, n)
  if not exact then
    low, high = math.floor(low / step + 1e-6) * step, math.ceil(high / step - 1e-6) * step
    at = ticks(low, high, (high - low) / step)
  end
  local marks = {}
  for i, v in ipairs(at) do marks[i] = { v, tick_text(v, step) } end
  return { low = low, high = high, marks = marks,
    at = function(v) return (v - low) / (high - low) end }
end

-- Keys above the plot, in rows; returns the height they take. keys[i] = { name, class, line }.
local function legend(d, keys, left, top)
  local x, y = left, top + 12
  for _, key in ipairs(keys) do
    local wide = 30 + width_of(key[1])
    if x > left and x + wide > d.w - 4 then x, y = left, y + 20 end
    if key[3] then
      d:add('<path class="%s" d="M%.1f %.1fh18"/>', key[2], x, y - 4.5)
    else
      d:add('<rect class="%s" x="%.1f" y="%.1f" width="12" height="12" rx="2"/>', key[2], x + 3,
        y - 11)
    end
    d:text(x + 24, y, key[1], "name")
    x = x + wide + 14
  end
  return #keys > 0 and y - top + 14 or 0
end

-- Frame, grid, ticks and labels. Returns functions of data: X, Y, and the box.
local function frame(d, o, xs, ys, keys)
  local wide = 0
  for _, m in ipairs(ys.marks) do wide = math.max(wide, width_of(m[2])) end
  local left, right, top = wide + 12 + (o.y and 24 or 0), d.w - 14, 6
  if o.title then
    d:text(left, top + 12, o.title, "title")
    top = top + 26
  end
  top = top + legend(d, keys, left, top) + 4
  local bottom = d.h - 26 - (o.x and 22 or 0) - (xs.extra or 0)
  local function X(v) return left + xs.at(v) * (right - left) end
  local function Y(v) return bottom - ys.at(v) * (bottom - top) end
  for _, m in ipairs(ys.marks) do
    d:add('<path class="grid" d="M%.1f %.1fH%.1f"/>', left, Y(m[1]), right)
    d:text(left - 8, Y(m[1]) + 4.5, m[2], nil, "end")
  end
  for i, m in ipairs(xs.marks) do
    if xs.extra then
      d:text(X(m[1]), bottom + 16, m[2], "name", "end",
        (' transform="rotate(-32 %.1f %.1f)"'):format(X(m[1]), bottom + 16))
    else
      if not xs.plain then
        d:add('<path class="axis" d="M%.1f %.1fv5"/>', X(m[1]), bottom)
      end
      local last = i == #xs.marks and X(m[1]) + width_of(m[2]) / 2 > d.w
      d:text(last and d.w or X(m[1]), bottom + 20, m[2], xs.plain and "name",
        last and "end" or "middle")
    end
  end
  local base = xs.plain and ys.low < 0 and ys.high > 0 and Y(0) or bottom
  d:add('<path class="axis" d="M%.1f %.1fH%.1f"/>', left, base, right)
  if o.x then d:text((left + right) / 2, d.h - 6, o.x, nil, "middle") end
  if o.y then
    d:text(14, (top + bottom) / 2, o.y, nil, "middle",
      (' transform="rotate(-90 14 %.1f)"'):format((top + bottom) / 2))
  end
  return X, Y, { left = left, right = right, top = top, bottom = bottom }
end

-- ---- lines ----------------------------------------------------------------------------------

-- A path through the points, broken where a value is missing.
local function path(xs, ys, X, Y, positive)
  local out, pen = {}, "M"
  for k = 1, #ys do
    local x, y = xs and xs[k] or k, ys[k]
    if finite(x) and finite(y) and (not positive or y > 0) then
      out[#out + 1] = ("%s%.1f %.1f"):format(pen, X(x), Y(y))
      pen = "L"
    else
      pen = "M"
    end
  end
  return table.concat(out)
end

-- At most about 1200 points: the least and the largest of each of 600 stretches.
local function thinned(s)
  local n = #s.y
  if n <= 1200 or s.low then return s end
  local x, y = {}, {}
  for b = 0, 599 do
    local from, to = math.floor(b * n / 600) + 1, math.floor((b + 1) * n / 600)
    local low, high = from, from
    for k = from, to do
      if s.y[k] < s.y[low] then low = k end
      if s.y[k] > s.y[high] then high = k end
    end
    for _, k in ipairs(low < high and { low, high } or { high, low }) do
      x[#x + 1], y[#y + 1] = s.x and s.x[k] or k, s.y[k]
    end
  end
  return { name = s.name, x = x, y = y, points = s.points, dashed = s.dashed }
end

--- Curves. o: alt; series (a list of { name, x, y, low, high, points, dashed }; low and high
-- shade an interval), title, x, y (labels), log_y, x_range, y_range ({ low, high }), size ({
-- width, height }).
function figure.lines(o)
  local d = drawing(o.size and o.size[1] or 760, o.size and o.size[2] or 400)
  local all_x, all_y, series, keys = {}, {}, {}, {}
  for i, s in ipairs(o.series) do
    local y = list(s.y)
    s = thinned { name = s.name, x = list(s.x, #y), y = y, low = list(s.low, #y),
      high = list(s.high, #y), points = s.points, dashed = s.dashed, chance = s.chance }
    s.class = o.series[i].chance and "chance" or "curve c" .. (i - 1) % 8 + 1
    s.fill = "f" .. (i - 1) % 8 + 1
    series[i] = s
    all_x[#all_x + 1] = s.x or { 1, math.max(#s.y, 1) }
    for _, v in ipairs { s.y, s.low or {}, s.high or {} } do all_y[#all_y + 1] = v end
    if s.name and s.name ~= "" then keys[#keys + 1] = { s.name, s.class, true } end
  end
  local function range(given, lists, log)
    local low, high = extent(lists, log)
    local r = given or {}
    return r[1] or low, r[2] or high
  end
  local x_low, x_high = range(o.x_range, all_x)
  local y_low, y_high = range(o.y_range, all_y, o.log_y)
  local xs = scale(x_low, x_high, false, math.max(3, math.floor(d.w / 110)), true)
  local ys = scale(y_low, y_high, o.log_y, math.max(3, math.floor(d.h / 75)), o.y_range ~= nil)
  local X, Y = frame(d, o, xs, ys, (#series > 1 or o.keys) and keys or {})
  for _, s in ipairs(series) do
    if s.low and s.high then
      local there, back = {}, {}
      for k = 1, #s.y do
        local x = s.x and s.x[k] or k
        if finite(s.low[k]) and finite(s.high[k]) and not (o.log_y and s.low[k] <= 0) then
          there[#there + 1] = ("%.1f %.1f"):format(X(x), Y(s.low[k]))
          table.insert(back, 1, ("%.1f %.1f"):format(X(x), Y(s.high[k])))
        end
      end
      if #there > 1 then
        d:add('<path class="band %s" d="M%sL%sZ"/>', s.fill, table.concat(there, "L"),
          table.concat(back, "L"))
      end
    end
    d:add('<path class="%s"%s d="%s"/>', s.class, s.dashed and ' stroke-dasharray="6 5"' or "",
      path(s.x, s.y, X, Y, o.log_y))
    for k = 1, s.points and #s.y or 0 do
      if finite(s.y[k]) then
        d:add('<circle class="%s" cx="%.1f" cy="%.1f" r="3"/>', s.fill, X(s.x and s.x[k] or k),
          Y(s.y[k]))
      end
    end
  end
  return d:close(o.alt)
end

--- Operating characteristics. o: alt; curves (a list of { name, fpr, tpr, auc }, as
-- al.metrics.roc gives them), and as for lines.
function figure.roc(o)
  local series = {}
  for i, c in ipairs(o.curves) do
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

--- Groups of bars. o: alt; labels (of the groups), series (a list of { name, values, low, high
-- }, whiskers from low to high), title, x, y, y_range, size.
function figure.bars(o)
  local d = drawing(o.size and o.size[1] or 760, o.size and o.size[2] or 380)
  local n, groups, lists, keys = #o.series, #o.labels, { { 0 } }, {}
  if o.y_range then lists = {} end
  for i, s in ipairs(o.series) do
    for _, v in ipairs { list(s.values, groups), list(s.low, groups) or {},
      list(s.high, groups) or {} } do lists[#lists + 1] = v end
    if s.name and s.name ~= "" then keys[i] = { s.name, "f" .. (i - 1) % 8 + 1 } end
  end
  local low, high = extent(lists)
  local r = o.y_range or {}
  local ys = scale(r[1] or low, r[2] or high, false, math.max(3, math.floor(d.h / 75)),
    o.y_range ~= nil)
  local xs = { marks = {}, plain = true, at = function(v) return (v - 0.5) / groups end }
  local longest = 0
  for k, label in ipairs(o.labels) do
    xs.marks[k] = { k, tostring(label) }
    longest = math.max(longest, width_of(label))
  end
  if longest > (d.w - 80) / groups - 6 then xs.extra = longest * 0.53 end
  local X, Y = frame(d, o, xs, ys, n > 1 and keys or {})
  local slot = X(2) - X(1)
  local wide = math.min(slot * 0.78 / n, 64)
  for i, s in ipairs(o.series) do
    local values, a, b = list(s.values), list(s.low), list(s.high)
    for k = 1, groups do
      local x = X(k) + (i - (n + 1) / 2) * wide
      if finite(values[k]) then
        local from = Y(math.max(0, ys.low))
        local y = Y(math.min(math.max(values[k], ys.low), ys.high))
        d:add('<rect class="bar f%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>',
          (i - 1) % 8 + 1, x - wide * 0.46, math.min(y, from), wide * 0.92, math.abs(from - y))
        if a and b and finite(a[k]) and finite(b[k]) then
          local function clamp(v) return Y(math.min(math.max(v, ys.low), ys.high)) end
          local cap = math.min(5, wide * 0.2)
          d:add('<path class="whisker" d="M%.1f %.1fH%.1fM%.1f %.1fH%.1fM%.1f %.1fV%.1f"/>',
            x - cap, clamp(a[k]), x + cap, x - cap, clamp(b[k]), x + cap, x, clamp(a[k]),
            clamp(b[k]))
        end
      end
    end
  end
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

--- A matrix as colours. o: alt; values (a matrix: tensor or list of rows), rows, columns
-- (names), range ({ low, high }: the values' own), digits (of the numbers in the cells; none
-- where there are more than 12 x 12), title, x, y.
function figure.heatmap(o)
  local values = al.is_tensor(o.values) and o.values:totable() or o.values
  local n, m = #values, #values[1]
  local low, high = extent(values)
  if o.range then low, high = o.range[1], o.range[2] end
  local wide = 0
  for i = 1, n do wide = math.max(wide, o.rows and width_of(o.rows[i]) or 0) end
  local left, top = wide + 10 + (o.y and 24 or 0), (o.title and 28 or 6)
  local side = math.max(4, math.min(56, (660 - left) / m, 560 / n))
  local longest = 0
  for j = 1, m do longest = math.max(longest, o.columns and width_of(o.columns[j]) or 0) end
  local turned = longest > side - 4
  local below = longest > 0 and (turned and longest * 0.85 + 14 or 24) or 6
  local d = drawing(math.ceil(left + m * side + 86), math.ceil(top + math.max(n * side, 90)
    + below + (o.x and 22 or 0)))
  if o.title then d:text(left, 16, o.title, "title") end
  for i = 1, n do
    for j = 1, m do
      local v = values[i][j]
      local style = figure.cell_style(finite(v) and (v - low) / (high - low) or 0)
      local x, y = left + (j - 1) * side, top + (i - 1) * side
      d:add('<rect class="cell" style="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>',
        style, x, y, side + 0.3, side + 0.3)
      if side >= 30 and n <= 12 and m <= 12 and o.digits ~= false then
        local text = finite(v) and ("%." .. (o.digits or 2) .. "f"):format(v) or "\226\128\147"
        d:text(x + side / 2, y + side / 2 + 4.5, (text:gsub("^%-", "\226\136\146")), "on",
          "middle", (' style="%s"'):format(style))
      end
    end
    if o.rows then d:text(left - 8, top + (i - 0.5) * side + 4.5, o.rows[i], "name", "end") end
  end
  for j = 1, o.columns and m or 0 do
    local x, y = left + (j - 0.5) * side, top + n * side + (turned and 14 or 18)
    d:text(x, y, o.columns[j], "name", turned and "end" or "middle",
      turned and (' transform="rotate(-55 %.1f %.1f)"'):format(x, y) or nil)
  end
  if o.y then
    local y = top + n * side / 2
    d:text(14, y, o.y, nil, "middle", (' transform="rotate(-90 14 %.1f)"'):format(y))
  end
  if o.x then d:text(left + m * side / 2, d.h - 6, o.x, nil, "middle") end
  local at, tall = left + m * side + 18, math.max(90, n * side)
  for k = 0, 39 do -- the colour bar
    d:add('<rect class="cell" style="%s" x="%.1f" y="%.1f" width="14" height="%.1f"/>',
      figure.cell_style((39 - k) / 39), at, top + k * tall / 40, tall / 40 + 0.4)
  end
  local marks, step = ticks(low, high, 4)
  for _, v in ipairs(marks) do
    d:text(at + 20, top + (1 - (v - low) / (high - low)) * (tall - 8) + 8, tick_text(v, step))
  end
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
