--- al.show(t): a tensor as a picture, a grid of pictures or a curve in the terminal.
local al = require "albedo"
local options = require "albedo.options"
local terminal = require "albedo.terminal"

local show = {}

local MOST = 64 -- pictures of a grid

local function short(v)
  return v == math.floor(v) and math.abs(v) < 1e6 and ("%.0f"):format(v) or ("%.4g"):format(v)
end

local function about(t)
  return ("%s %s"):format(t.ndim == 0 and "scalar" or table.concat(t.shape, "x"), t.dtype)
end

-- ---- curves
-- ----------------------------------------------------------------------------------

-- Braille cells hold 2 x 4 dots; the bit of each, by row and column.
local DOTS = { { 1, 8 }, { 2, 16 }, { 4, 32 }, { 64, 128 } }

local function braille(bits)
  local code = 0x2800 + bits
  return string.char(0xE2, 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

-- Sets the dots of the polyline through values (NaN and infinities are gaps):
-- dots[row][column].
local function trace(values, wide, high, low, top)
  local dots = {}
  for i = 1, high do dots[i] = {} end
  local span = top > low and top - low or 1
  local px, py
  local function dot(x, y) dots[y][x] = true end
  for k, v in ipairs(values) do
    local x = #values == 1 and 1 or 1 + math.floor((k - 1) / (#values - 1) * (wide - 1) + 0.5)
    if v ~= v or v == math.huge or v == -math.huge then px = nil
    else
      local y = high - math.floor((v - low) / span * (high - 1) + 0.5)
      local n = px and math.max(x - px, math.abs(y - py)) or 0
      for s = 0, n do
        local f = n == 0 and 1 or s / n
        dot(math.floor((px or x) + (x - (px or x)) * f + 0.5),
          math.floor((py or y) + (y - (py or y)) * f + 0.5))
      end
      px, py = x, y
    end
  end
  return dots
end

local function curve(t, o)
  local values, low, high = t:to("float64"):totable(), math.huge, -math.huge
  for _, v in ipairs(values) do
    if v == v and math.abs(v) ~= math.huge then
      low, high = math.min(low, v), math.max(high, v)
    end
  end
  if low > high then return "no finite value in " .. about(t) end
  local labels = { short(high), short(low) }
  local margin = math.max(#labels[1], #labels[2]) + 1
  local ascii = o.mode == "ascii"
  local columns = math.max(8, math.min(o.width, 100) - margin - 1)
  local rows = math.max(4, math.min(o.height, 16))
  local sx, sy = ascii and 1 or 2, ascii and 1 or 4
  local dots = trace(values, columns * sx, rows * sy, low, high)
  local lines = {}
  for i = 1, rows do
    local cells = {}
    for j = 1, columns do
      local bits = 0
      for dy = 1, sy do
        for dx = 1, sx do
          if dots[(i - 1) * sy + dy][(j - 1) * sx + dx] then bits = bits + DOTS[dy][dx] end
        end
      end
      cells[j] = ascii and (bits > 0 and "*" or " ") or bits > 0 and braille(bits) or " "
    end
    local label = i == 1 and labels[1] or i == rows and labels[2] or ""
    lines[i] = (" "):rep(margin - #label - 1) .. label .. (ascii and " |" or " \226\148\130")
      .. (table.concat(cells):gsub(" +$", ""))
  end
  lines[#lines + 1] = (" "):rep(margin) .. (ascii and "+" or "\226\148\148")
    .. (ascii and "-" or "\226\148\128"):rep(columns)
  local last = tostring(#values)
  lines[#lines + 1] = (" "):rep(margin + 1) .. "1" .. (" "):rep(columns - 1 - #last) .. last
  return table.concat(lines, "\n")
end

-- ---- pictures
-- --------------------------------------------------------------------------------

-- Values brought to 0 .. 1 as (n, 3, h, w) float32, and what was done, in words.
local function scaled(x)
  if x.dtype == "uint8" then return x:to "float32" / 255, "0 to 255" end
  if x.dtype == "bool" then return x:to "float32", "false and true" end
  x = x:to "float32"
  local finite = x:isfinite()
  local note = finite:all():item() and "" or ", what is not finite as black"
  if note ~= "" then
    x = al.where(finite, x, finite:any():item() and x[finite]:min() or al.zeros {})
  end
  local low, high = x:min():item(), x:max():item()
  if low >= 0 and high <= 1 then return x, "0 to 1" .. note end
  return (x - low) / (high > low and high - low or 1),
    ("%s to %s"):format(short(low), short(high)) .. note
end

-- Any picture, or several, as (n, c, h, w) with c = 1 or 3.
local function pictures(t)
  local s = t.shape
  if t.ndim == 2 then return t:reshape(1, 1, s[1], s[2]) end
  if t.ndim == 3 and (s[1] == 1 or s[1] == 3) then return t:unsqueeze(1) end
  if t.ndim == 3 and s[1] == 4 then return t:narrow(1, 1, 3):unsqueeze(1) end -- RGB and alpha
  if t.ndim == 3 then return t:unsqueeze(2) end
  if t.ndim == 4 and (s[2] == 1 or s[2] == 3) then return t end
  return t:reshape(-1, 1, s[t.ndim - 1], s[t.ndim])
end

-- Columns of the grid whose shape is nearest the terminal's.
local function columns_of(n, h, w, o)
  local best, least = n, math.huge
  for columns = 1, n do
    local rows = math.ceil(n / columns)
    local factor = math.max(columns * w / o.width, rows * h / (2 * o.height))
    if factor < least then best, least = columns, factor end
  end
  return best
end

-- x (3, h, w) with as many pixels as the mode has room for; small pictures grow by whole
-- factors.
local function fitted(x, o)
  local h, w = x.shape[2], x.shape[3]
  local cell = (o.mode == "kitty" or o.mode == "sixel") and 8 or 1
  local wide, high = o.width * cell, o.height * 2 * cell
  local factor = math.min(wide / w, high / h)
  if factor >= 2 then
    factor = math.min(math.floor(factor), math.max(1, math.floor(48 * cell / math.max(h, w))))
    x = x:repeat_interleave(factor, 2):repeat_interleave(factor, 3)
  elseif factor < 1 then
    x = al.image.resize(x, { math.max(1, math.floor(h * factor)),
      math.max(1, math.floor(w * factor)) })
  end
  if o.mode == "ascii" then -- a letter is twice as high as wide
    x = al.image.resize(x, { math.max(1, math.ceil(x.shape[2] / 2)), x.shape[3] })
  end
  return x
end

local function picture(t, o)
  local x = pictures(t)
  local n = x.shape[1]
  if n == 0 or x:numel() == 0 then return "nothing to show" end
  if n > MOST then x = x:narrow(1, 1, MOST) end
  local range
  x, range = scaled(x)
  if x.shape[2] == 1 then x = x:expand(-1, 3, -1, -1) end
  local count = x.shape[1]
  if count > 1 then
    x = al.image.to_float(al.image.grid(x,
      { columns = columns_of(count, x.shape[3], x.shape[4], o), pad = 1 }))
  else
    x = x[1]
  end
  x = (fitted(x, o):clamp(0, 1) * 255):round():to "uint8"
  local art = terminal[o.mode](x, math.min(o.width, math.ceil(x.shape[3] / 8)))
  return art .. "\n", range .. (n > MOST and (", the first %d of %d"):format(MOST, n) or "")
end

--- The text al.show prints; options as there.
function show.text(t, opts)
  local o = options("show", opts, {}, { "mode", "width", "height" })
  if not o.mode then o.mode = terminal.mode() end
  if o.mode ~= "ascii" and o.mode ~= "blocks" and o.mode ~= "sixel" and o.mode ~= "kitty" then
    al.raise(("show: mode is ascii, blocks, sixel or kitty, got %s"):format(tostring(o.mode)))
  end
  local columns, rows = terminal.size()
  o.width, o.height = o.width or columns - 1, o.height or math.max(6, rows - 4)
  if type(t) == "string" then t = al.image.load(t) end
  if type(t) == "table" and type(t[1]) == "number" then
    t = al.tensor(t, { dtype = "float64" })
  end
  if type(t) == "table" and al.is_tensor(t[1]) then
    local ok, all = pcall(al.stack, t, 1)
    if not ok then al.raise "show: a list of tensors is shown when they have one shape" end
    t = all.ndim == 3 and all:unsqueeze(2) or all -- three gray pictures are no colours
  end
  if not al.is_tensor(t) then return tostring(t) end
  if t:numel() == 0 or t.ndim == 0 then return tostring(t) end
  return al.scope(function()
    local d = t:detach()
    if d.dtype == "float16" or d.dtype == "bfloat16" then d = d:to "float32" end
    if d.ndim == 1 then return curve(d, o) end
    local art, range = picture(d, o)
    return range and ("%s[%s, %s]"):format(art, about(t), range) or art
  end)
end

--- show(t, {mode, width, height}): draws in the terminal: a 1-d tensor or list of numbers as a
--- curve; (h, w), (1 | 3, h, w) as a picture; (n, h, w), (n, 1 | 3, h, w), a list of pictures
--- of one shape as a grid, feature maps (n, c, h, w) too; a string as the picture in that file.
--- Floats between 0 and 1 and bytes as they are, other values from the least to the largest.
--- mode: "blocks" (half blocks, 24-bit colour), "sixel", "kitty", "ascii"; by default what the
--- terminal says it knows, ascii where there is none. width, height: in letters.
function show.show(t, opts)
  io.write(show.text(t, opts), "\n")
end

return show
