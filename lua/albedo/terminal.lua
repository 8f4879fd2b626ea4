-- What the terminal can show, and pictures in its languages: half blocks of 24-bit colour,
-- sixel (DEC's, https://vt100.net/docs/vt3xx-gp/chapter14.html), kitty's graphics protocol
-- (https://sw.kovidgoyal.net/kitty/graphics-protocol/), plain letters.
local al = require "albedo"

local terminal = {}

local function env(name) return os.getenv(name) or "" end

--- Whether standard output is a terminal.
function terminal.is_tty()
  local ok = os.execute "test -t 1"
  return ok == true or ok == 0
end

--- Columns and rows: of the environment, of the terminal, or 80 x 24.
function terminal.size()
  local columns, rows = tonumber(env "COLUMNS"), tonumber(env "LINES")
  if not (columns and rows) then
    local pipe = io.popen "stty size 2>/dev/null </dev/tty"
    local r, c = (pipe and pipe:read "*a" or ""):match "(%d+) (%d+)"
    if pipe then pipe:close() end
    columns, rows = columns or tonumber(c), rows or tonumber(r)
  end
  return math.max(20, columns and columns > 0 and columns or 80),
    math.max(8, rows and rows > 0 and rows or 24)
end

--- "ascii" where there is no terminal or a dumb one, "kitty" and "sixel" where it says that it
--- knows them, else "blocks". Inside tmux and screen the outer terminal is out of reach.
function terminal.mode()
  local term, program = env "TERM", env "TERM_PROGRAM"
  if term == "" or term == "dumb" or not terminal.is_tty() then return "ascii" end
  if env "TMUX" ~= "" or term:find "^screen" or term:find "^tmux" then return "blocks" end
  if term:find "kitty" or term:find "ghostty" or program == "WezTerm" then return "kitty" end
  if term:find "sixel" or term:find "^foot" or term:find "^mlterm" or program == "mlterm"
    or program == "contour" then
    return "sixel"
  end
  return "blocks"
end

-- ---- pictures: x (3, h, w), uint8
-- -------------------------------------------------------------

-- The bytes of each plane: at(row, column) -> r, g, b.
local function reader(x)
  local h, w, bytes = x.shape[2], x.shape[3], x:contiguous():bytes()
  local plane = h * w
  return function(i, j)
    local k = (i - 1) * w + j
    return bytes:byte(k), bytes:byte(plane + k), bytes:byte(2 * plane + k)
  end, h, w
end

--- Two rows of pixels a line: the upper one colours the half block, the lower its background.
function terminal.blocks(x)
  local at, h, w = reader(x)
  local lines = {}
  for i = 1, h, 2 do
    local parts, former = {}, nil
    for j = 1, w do
      local r, g, b = at(i, j)
      local color = ("\27[38;2;%d;%d;%d"):format(r, g, b)
      if i < h then color = color .. (";48;2;%d;%d;%d"):format(at(i + 1, j)) end
      parts[#parts + 1] = (color ~= former and color .. "m" or "") .. "\226\150\128"
      former = color
    end
    lines[#lines + 1] = table.concat(parts) .. "\27[0m"
  end
  return table.concat(lines, "\n")
end

local RAMP = " .:-=+*#%@"

--- Letters from dark to light, a row of pixels a line.
function terminal.ascii(x)
  local at, h, w = reader(x)
  local lines = {}
  for i = 1, h do
    local parts = {}
    for j = 1, w do
      local r, g, b = at(i, j)
      local k = math.floor((0.299 * r + 0.587 * g + 0.114 * b) / 255.001 * #RAMP) + 1
      parts[j] = RAMP:sub(k, k)
    end
    lines[i] = (table.concat(parts):gsub(" +$", ""))
  end
  return table.concat(lines, "\n")
end

--- PNG in kitty's escapes, at most 4096 letters each; columns: how wide it is shown.
function terminal.kitty(x, columns)
  local text = require("albedo.report").base64(al.image.encode(x, "png"))
  local parts, n = {}, math.max(1, math.ceil(#text / 4096))
  for i = 1, n do
    local head = i == 1 and ("f=100,a=T,c=%d,"):format(columns) or ""
    parts[i] = ("\27_G%sm=%d;%s\27\\"):format(head, i < n and 1 or 0,
      text:sub((i - 1) * 4096 + 1, i * 4096))
  end
  return table.concat(parts)
end

local LEVELS = 6 -- of red, green, blue: 216 colours, within the 256 all sixel terminals have

-- One band of six rows: for each colour in it, a letter a column, repeats counted.
local function band(index, h, w, top)
  local masks, order = {}, {}
  for dy = 0, math.min(5, h - top) do
    for j = 1, w do
      local c = index(top + dy, j)
      if not masks[c] then
        masks[c] = {}
        order[#order + 1] = c
      end
      masks[c][j] = (masks[c][j] or 0) + 2 ^ dy
    end
  end
  local rows = {}
  for _, c in ipairs(order) do
    local parts, j = { ("#%d"):format(c) }, 1
    while j <= w do
      local m, from = masks[c][j] or 0, j
      repeat j = j + 1 until j > w or (masks[c][j] or 0) ~= m
      local letter = string.char(63 + m)
      parts[#parts + 1] = j - from > 3 and ("!%d%s"):format(j - from, letter)
        or letter:rep(j - from)
    end
    rows[#rows + 1] = table.concat(parts)
  end
  return table.concat(rows, "$") .. "-"
end

--- Sixels, the colours rounded to a cube of 6 x 6 x 6 with an ordered dither of 4 x 4.
function terminal.sixel(x)
  local at, h, w = reader(x)
  local bayer = { 0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5 }
  local function index(i, j)
    local nudge = (bayer[(i % 4) * 4 + j % 4 + 1] + 0.5) / 16
    local function level(v) return math.floor(v / 255 * (LEVELS - 1) + nudge) end
    local r, g, b = at(i, j)
    return (math.min(level(r), 5) * LEVELS + math.min(level(g), 5)) * LEVELS
      + math.min(level(b), 5)
  end
  local out = { ('\27Pq"1;1;%d;%d'):format(w, h) }
  for c = 0, LEVELS ^ 3 - 1 do
    local r, g, b = math.floor(c / 36), math.floor(c / 6) % 6, c % 6
    out[#out + 1] = ("#%d;2;%d;%d;%d"):format(c, r * 20, g * 20, b * 20)
  end
  for top = 1, h, 6 do out[#out + 1] = band(index, h, w, top) end
  out[#out + 1] = "\27\\"
  return table.concat(out)
end

return terminal
