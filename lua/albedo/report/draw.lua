-- What drawn figures share: numbers and ticks, the width of texts, an SVG drawing, its frame.
local al = require "albedo"

local draw = {}

local ESCAPES = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
}
--- A text with what HTML reads as markup escaped.
function draw.escape(v) return (tostring(v):gsub("[&<>\"']", ESCAPES)) end
local escape = draw.escape

--- Raises at the script's line.
function draw.raise(format, ...) al.native.raise("report: " .. format:format(...)) end

-- ---- numbers and ticks ----------------------------------------------------------------------

local function log10(v) return math.log(v) / math.log(10) end

--- Whether v can be drawn: a number, and the difference of two such is one, too.
function draw.finite(v) return type(v) == "number" and v > -8e307 and v < 8e307 end
local finite = draw.finite

--- A list from a list or tensor (nil stays nil), of n entries where n is given.
function draw.list(v, n)
  if v == nil then return nil end
  if al.is_tensor(v) then v = v:reshape(-1):totable() end
  if type(v) ~= "table" then draw.raise("a figure's column is a %s, not a list", type(v)) end
  if n and #v ~= n then draw.raise("a figure's columns have %d and %d entries", n, #v) end
  return v
end

--- Round steps: about n ticks from low to high, and how far apart they are.
function draw.ticks(low, high, n)
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

--- A tick's text: as many decimals as the step has, thousands apart, a true minus.
function draw.tick_text(v, step)
  local text
  if v ~= 0 and (math.abs(v) >= 1e6 or step < 1e-4) then
    local digits = math.min(math.max(math.ceil(log10(math.abs(v) / step) - 1e-6), 1), 15)
    local mantissa, exponent = ("%." .. digits .. "e"):format(v):match "(.-)%.?0*e([+-]%d+)"
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

--- The least and the largest finite value of lists (above 0, where positive); nil where there
-- is none. One value alone gets room.
function draw.extent(lists, positive)
  local low, high
  for _, values in ipairs(lists) do
    for _, v in ipairs(values) do
      if finite(v) and (not positive or v > 0) then
        low, high = math.min(low or v, v), math.max(high or v, v)
      end
    end
  end
  if low and low == high then
    local pad = low == 0 and 1 or math.abs(low) * 0.1
    return low - pad, high + pad
  end
  return low, high
end

--- A linear or logarithmic scale: { low, high, marks = { {value, text} }, at = v -> 0 .. 1 }.
function draw.scale(low, high, log, n, exact)
  if log then
    local a, b = log10(low), log10(high)
    if not exact then a, b = math.floor(a + 1e-9), math.ceil(b - 1e-9) end
    if a == b then b = a + 1 end
    local marks, step = {}, math.max(1, math.ceil((b - a) / 8))
    for k = math.ceil(a - 1e-9), math.floor(b + 1e-9), step do
      marks[#marks + 1] = { 10 ^ k, power_text(k) }
      for _, m in ipairs(b - a <= 2 and { 2, 5 } or {}) do
        local v = m * 10 ^ k
        if log10(v) < b then marks[#marks + 1] = { v, draw.tick_text(v, 10 ^ k) } end
      end
    end
    return { low = low, high = high, marks = marks,
      at = function(v) return (log10(v) - a) / (b - a) end }
  end
  local at, step = draw.ticks(low, high, n)
  if not exact then
    low, high = math.floor(low / step + 1e-6) * step, math.ceil(high / step - 1e-6) * step
    at = draw.ticks(low, high, (high - low) / step)
  end
  local marks = {}
  for i, v in ipairs(at) do marks[i] = { v, draw.tick_text(v, step) } end
  return { low = low, high = high, marks = marks,
    at = function(v) return (v - low) / (high - low) end }
end

-- ---- texts ----------------------------------------------------------------------------------

-- How wide a character of 13 px is, rather too wide than cut off: DejaVu Sans' widths.
local function character(c)
  if c:find "^[ijlI|.,:;'! ]" then return 4.3 end
  if c:find "^[frt()%[%]/-]" then return 5.5 end
  if c:find "^[mwMW@%%]" then return 12.9 end
  if c:find "^[A-Z]" then return 9.2 end
  if c:find "^[0-9bdghnpqu]" then return 8.3 end
  return c:byte() >= 227 and 13 or #c > 1 and 8.5 or 8
end

local CHARACTER = "[%z\1-\127\194-\244][\128-\191]*"

--- Roughly how wide a text is.
function draw.width_of(text)
  local sum = 0
  for c in tostring(text):gmatch(CHARACTER) do sum = sum + character(c) end
  return sum
end
local width_of = draw.width_of

--- The text, or its begin and an ellipsis where it is wider than that.
function draw.fit(text, wide)
  text = tostring(text)
  if width_of(text) <= wide then return text end
  local out, left = {}, wide - 13
  for c in text:gmatch(CHARACTER) do
    left = left - character(c)
    if left < 0 then break end
    out[#out + 1] = c
  end
  return table.concat(out) .. "\226\128\166"
end

-- ---- a drawing ------------------------------------------------------------------------------

local Drawing = {}
Drawing.__index = Drawing

--- A drawing of w x h pixels.
function draw.new(w, h) return setmetatable({ w = w, h = h, out = {} }, Drawing) end

function Drawing:add(format, ...)
  self.out[#self.out + 1] = format:format(...)
end

--- A text of at most `wide` pixels; what is cut off can be pointed at.
function Drawing:text(x, y, text, class, anchor, more, wide)
  local shown = wide and draw.fit(text, wide) or tostring(text)
  self:add('<text x="%.1f" y="%.1f"%s%s%s>%s%s</text>', x, y,
    class and (' class="%s"'):format(class) or "",
    anchor and (' text-anchor="%s"'):format(anchor) or "", more or "", escape(shown),
    shown ~= tostring(text) and ("<title>%s</title>"):format(escape(text)) or "")
end

function Drawing:close(alt)
  if not alt or alt == "" then draw.raise "a figure needs an alt text" end
  local w, h = math.ceil(self.w), math.ceil(self.h)
  return ('<svg role="img" aria-label="%s" viewBox="0 0 %d %d" width="%d" height="%d">'
    .. '\n%s\n</svg>'):format(escape(alt), w, h, w, h,
    table.concat(self.out, "\n"))
end

--- The classes of series i: eight colours, then again with other dashes or paler bars.
function draw.classes(i)
  local color, turn = (i - 1) % 8 + 1, math.floor((i - 1) / 8)
  local dash = ({ "8 4", "2 4", "10 4 2 4", "5 2" })[turn]
  return { line = "curve c" .. color, fill = "f" .. color, turn = turn,
    dash = dash and (' stroke-dasharray="%s"'):format(dash) or "",
    bar = turn == 0 and "bar f" .. color
      or ("bar f%d c%d p%d"):format(color, color, math.min(turn, 2)) }
end

-- Keys above the plot, in rows; returns the height they take. keys[i] = { name, class, dash },
-- a line where dash is there.
local function legend(d, keys, left, top)
  local x, y = left, top + 12
  for _, key in ipairs(keys) do
    local room = d.w - 4 - left - 30
    local wide = 30 + math.min(width_of(key[1]), room)
    if x > left and x + wide > d.w - 4 then x, y = left, y + 20 end
    if key[3] then
      d:add('<path class="%s"%s d="M%.1f %.1fh18"/>', key[2], key[3], x, y - 4.5)
    else
      d:add('<rect class="%s" x="%.1f" y="%.1f" width="12" height="12" rx="2"/>', key[2], x + 3,
        y - 11)
    end
    d:text(x + 24, y, key[1], "name", nil, nil, room)
    x = x + wide + 14
  end
  return #keys > 0 and y - top + 14 or 0
end

-- Names below the x axis: level, slanted or upright; every xs.every-th of them.
local function names_below(d, xs, X, bottom)
  for i, m in ipairs(xs.marks) do
    local x = X(m[1])
    if xs.turn then
      if (i - 1) % (xs.every or 1) == 0 then
        local y = bottom + (xs.turn == 90 and 10 or 16)
        d:text(x + (xs.turn == 90 and 4.5 or 0), y, m[2], "name", "end",
          (' transform="rotate(-%d %.1f %.1f)"'):format(xs.turn,
            x + (xs.turn == 90 and 4.5 or 0), y), xs.longest)
      end
    else
      if not xs.plain then d:add('<path class="axis" d="M%.1f %.1fv5"/>', x, bottom) end
      local last = i == #xs.marks and x + width_of(m[2]) / 2 > d.w
      d:text(last and d.w or x, bottom + 20, m[2], xs.plain and "name",
        last and "end" or "middle")
    end
  end
end

--- Frame, grid, ticks and labels. xs and ys are scales; xs.plain: names of groups, turned by
-- xs.turn (32 or 90 degrees), at most xs.longest wide, xs.extra high; o.notes: lines above the
-- plot. Returns functions of data: X, Y, and the box.
function draw.frame(d, o, xs, ys, keys)
  local wide = 0
  for _, m in ipairs(ys.marks) do wide = math.max(wide, width_of(m[2])) end
  local left, right, top = math.max(wide + 12 + (o.y and 24 or 0), xs.left or 0), d.w - 14, 6
  if o.title then
    d:text(left, top + 12, o.title, "title", nil, nil, (d.w - left) * 0.82)
    top = top + 26
  end
  top = top + legend(d, keys, left, top) + 4
  for _, note in ipairs(o.notes or {}) do
    d:text(left, top + 10, note, nil, nil, nil, d.w - left)
    top = top + 22
  end
  local bottom = d.h - 26 - (o.x and 22 or 0) - (xs.extra or 0)
  local function X(v) return left + xs.at(v) * (right - left) end
  local function Y(v) return bottom - ys.at(v) * (bottom - top) end
  for _, m in ipairs(ys.marks) do
    d:add('<path class="grid" d="M%.1f %.1fH%.1f"/>', left, Y(m[1]), right)
    d:text(left - 8, Y(m[1]) + 4.5, m[2], nil, "end")
  end
  names_below(d, xs, X, bottom)
  local base = xs.plain and ys.low < 0 and ys.high > 0 and Y(0) or bottom
  d:add('<path class="axis" d="M%.1f %.1fH%.1f"/>', left, base, right)
  if o.x then d:text((left + right) / 2, d.h - 6, o.x, nil, "middle", nil, right - left) end
  if o.y then
    d:text(14, (top + bottom) / 2, o.y, nil, "middle",
      (' transform="rotate(-90 14 %.1f)"'):format((top + bottom) / 2), bottom - top)
  end
  return X, Y, { left = left, right = right, top = top, bottom = bottom }
end

--- Says in an empty box that there is nothing to draw.
function draw.nothing(d, box)
  d:text((box.left + box.right) / 2, (box.top + box.bottom) / 2 + 5, "no data", "name",
    "middle")
end

return draw
