--- al.report: one self-contained HTML page: tables, pictures, claims. It links to nothing
-- outside itself, reads in light and dark, prints, and names author and licence of every
-- picture that has them.
--
--   local r = al.report.new { title = "Copy-move forgeries", lead = "What was done." }
--   r:heading "Detection"; r:text "Figures are means over three seeds."
--   r:table { caption = "Test", columns = { "arm", "F1" }, rows = { { "custom", 0.91 } } }
--   r:figure("lines", { series = { { name = "loss", y = losses } }, alt = "Loss", x = "step" })
--   r:picture { path = "examples.png", alt = "Forgeries", credit = "A. Author, CC BY" }
--   r:claims(list)
--   r:write "report.html"

local al = require "albedo"
local json = require "albedo.json"
local options = require "albedo.options"

local Report = {}
Report.__index = Report
local report = {}

local drawn = require "albedo.report.figure"
local style = require "albedo.report.style"
local escape, raise = drawn.escape, require("albedo.report.draw").raise

-- ---- base64 ---------------------------------------------------------------------------------
local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local pairs_of_digits -- two digits for each of 4096 values

--- base64(bytes) -> text, as data: addresses want it.
local function base64(bytes)
  if not pairs_of_digits then
    pairs_of_digits = {}
    for i = 0, 4095 do
      local high, low = math.floor(i / 64) + 1, i % 64 + 1
      pairs_of_digits[i] = DIGITS:sub(high, high) .. DIGITS:sub(low, low)
    end
  end
  local out, n, floor = {}, 0, math.floor
  for i = 1, #bytes - 2, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local high = floor(b / 16)
    out[n + 1] = pairs_of_digits[a * 16 + high]
    out[n + 2] = pairs_of_digits[(b - high * 16) * 256 + c]
    n = n + 2
  end
  local rest = #bytes % 3
  if rest > 0 then
    local a, b = bytes:byte(#bytes - rest + 1, #bytes)
    local high = floor((b or 0) / 16)
    out[n + 1] = pairs_of_digits[a * 16 + high]
    out[n + 2] = rest == 2 and pairs_of_digits[((b or 0) - high * 16) * 256]:sub(1, 1) .. "="
      or "=="
  end
  return table.concat(out)
end
report.base64 = base64

-- ---- numbers --------------------------------------------------------------------------------

--- A number as a reader wants it: three decimals for measures, fewer digits where they mean
-- nothing.
local function number(v)
  if v ~= v then return "not a number" end
  if v == math.huge or v == -math.huge then return v > 0 and "infinite" or "-infinite" end
  if v % 1 == 0 and math.abs(v) < 1e15 then return ("%.0f"):format(v) end
  local size = math.abs(v)
  if size >= 1000 then return ("%.0f"):format(v) end
  if size >= 100 then return ("%.1f"):format(v) end
  if size >= 1e-3 then return ("%.3f"):format(v) end
  return ("%.2e"):format(v)
end

--- A value, or a summary { mean, low, high } as run:summary gives it, as text.
local function show(v)
  if type(v) == "number" then return number(v) end
  if type(v) == "table" and v.mean then
    if v.low and v.high then
      return ("%s [%s, %s]"):format(number(v.mean), number(v.low), number(v.high))
    end
    return number(v.mean)
  end
  if type(v) == "boolean" then return v and "yes" or "no" end
  if v == nil or v == json.null then return "" end
  return tostring(v)
end
report.show = show

-- The same as typeset: a true minus, thousands apart from 10,000 on; in a column of fractions
-- whole numbers have decimals, too.
local function typeset(v, fractions)
  local decimals = fractions and v % 1 == 0 and math.abs(v) < 100
  local text = decimals and ("%.3f"):format(v) or number(v)
  if text:find "^%-?%d%d%d%d%d+$" then
    text = text:reverse():gsub("(%d%d%d)", "%1\1"):reverse():gsub("^(%-?)\1", "%1")
      :gsub("\1", "\226\128\137")
  end
  return (text:gsub("^%-", "\226\136\146"):gsub("e%-", "e\226\136\146"))
end

local function is_number(v) return type(v) == "number" or type(v) == "table"
  and v.mean ~= nil end

-- ---- parts ----------------------------------------------------------------------------------

function Report:add(format, ...)
  self.parts[#self.parts + 1] = format:format(...)
  return self
end

function Report:heading(text) return self:add("<h2>%s</h2>", escape(text)) end
function Report:text(text) return self:add("<p>%s</p>", escape(text)) end
function Report:note(text) return self:add('<p class="note">%s</p>', escape(text)) end
function Report:code(text) return self:add("<pre>%s</pre>", escape(text)) end

-- A cell's HTML: the interval of a summary stands back behind its mean.
local function cell_html(v, fractions)
  if type(v) == "table" and v.mean and v.low and v.high then
    return ('%s<span class="between"> [%s, %s]</span>'):format(
      typeset(v.mean, fractions), typeset(v.low, fractions), typeset(v.high, fractions))
  end
  if type(v) == "number" then return typeset(v, fractions) end
  if type(v) == "table" and v.mean then return typeset(v.mean, fractions) end
  return escape(show(v))
end

-- A table of many columns is printed in smaller letters: their number tells how small.
local function wide(n, class)
  if n <= 8 then return class and (' class="%s"'):format(class) or "" end
  return (' class="%swide" style="--n:%d"'):format(class and class .. " " or "", n)
end

--- t: caption, columns (titles), rows (lists of numbers, texts, or summaries { mean, low, high
-- }). Texts in the first column head their rows.
function Report:table(t)
  t = options("report:table", t, {}, { "caption", "columns", "rows" })
  if type(t.columns) ~= "table" or type(t.rows) ~= "table" then
    raise "a table needs columns (a list of titles) and rows (a list of lists)"
  end
  local out, right, fractions = {}, {}, {}
  for k = 1, #t.columns do
    right[k] = #t.rows > 0
    for _, cells in ipairs(t.rows) do
      local v = cells[k]
      right[k] = right[k] and (v == nil or is_number(v))
      if is_number(v) and (type(v) == "table" and v.mean or v) % 1 > 0 then
        fractions[k] = true
      end
    end
  end
  local function cell(tag, scope, k, html)
    local class = right[k] and "number" or #html < 28 and not html:find " " and "word"
    for word in html:gsub("<.->", " "):gmatch "%S+" do -- printed, it may be broken
      if #word > 10 then class = (class and class .. " " or "") .. "long" break end
    end
    return ("<%s%s%s>%s</%s>"):format(tag, class and (' class="%s"'):format(class) or "",
      scope and (' scope="%s"'):format(scope) or "", html, tag)
  end
  for k, title in ipairs(t.columns) do
    out[k] = title == "" and cell("td", nil, k, "") or cell("th", "col", k, escape(title))
  end
  local body = {}
  for i, cells in ipairs(t.rows) do
    local line = {}
    for k = 1, #t.columns do
      local heads = k == 1 and not right[1] and cells[1] ~= nil
      line[k] = cell(heads and "th" or "td", heads and "row", k,
        cell_html(cells[k], fractions[k]))
    end
    body[i] = "<tr>" .. table.concat(line) .. "</tr>"
  end
  return self:add('<div class="scroll"><table%s>%s<thead><tr>%s</tr></thead><tbody>\n%s\n'
    .. '</tbody></table></div>', wide(#t.columns),
    t.caption and "<caption>" .. escape(t.caption) .. "</caption>" or "", table.concat(out),
      table.concat(body, "\n"))
end

local function caption_of(o, note)
  local text = o.caption and escape(o.caption) or ""
  if note then text = ('%s <span class="credit">%s</span>'):format(text, escape(note)) end
  if o.credit then
    text = ('%s <span class="credit">Pictures: %s</span>'):format(text, escape(o.credit))
  end
  return text ~= "" and "<figcaption>" .. text .. "</figcaption>" or ""
end

-- What a figure's spec holds: first what it must.
local FIELDS = {
  lines = { 1, "series", "title", "x", "y", "log_y", "x_range", "y_range", "size", "keys" },
  roc = { 1, "curves", "title", "x", "y", "x_range", "y_range", "size", "keys" },
  bars = { 2, "labels", "series", "title", "x", "y", "y_range", "size" },
  heatmap = { 1, "values", "rows", "columns", "range", "digits", "title", "x", "y" },
  confusion = { 1, "counts", "classes" },
  grid = { 1, "images", "titles", "columns", "pixels" },
  overlay = { 2, "image", "masks", "alpha", "pixels" },
  volume = { 1, "volume", "masks", "axis", "count", "slices", "window", "names", "columns",
    "pixels", "alpha" },
}
local LISTS = { series = true, curves = true, labels = true, images = true, masks = true }

-- The spec of a figure, checked.
local function spec_of(kind, o)
  local what, names = ('figure "%s"'):format(kind), { "alt", "caption", "credit" }
  for k = 2, #FIELDS[kind] do names[#names + 1] = FIELDS[kind][k] end
  if type(o) ~= "table" then raise("%s needs a spec, got %s", what, type(o)) end
  o = options(what, o, {}, names)
  for k = 2, 1 + FIELDS[kind][1] do
    local name = FIELDS[kind][k]
    local v = o[name]
    if v == nil then raise("%s needs %s", what, name) end
    if LISTS[name] and not al.is_tensor(v) and (type(v) ~= "table" or #v == 0 and next(v)) then
      raise("%s: %s is a list", what, name)
    end
  end
  return o
end

--- A drawn figure. kind: "lines", "bars", "roc", "heatmap" (see al.report.figures), "grid",
-- "overlay", "volume" (see al.report.pictures), with its spec; beside it alt (what a blind
-- reader is told; required), caption, credit (author and licence of pictures). "confusion": see
-- below.
function Report:figure(kind, o)
  if not FIELDS[kind] then
    local names = {}
    for name in pairs(FIELDS) do names[#names + 1] = name end
    table.sort(names)
    raise("no figure is called %s: %s", tostring(kind), table.concat(names, ", "))
  end
  o = spec_of(kind, o)
  if kind == "confusion" then return self:confusion(o) end
  local make = rawget(drawn, kind) or rawget(require "albedo.report.pictures", kind)
  local html = make(o)
  if o.credit then self.credits[#self.credits + 1] = o.credit end
  self.parts[#self.parts + 1] = ("<figure>%s%s</figure>"):format(html, caption_of(o))
  return self
end

--- A table of counts, actual classes down, predicted ones across, tinted by their share of the
-- row. o: counts (an al.metrics.confusion, or rows), classes (names, as many), caption.
function Report:confusion(o)
  o = spec_of("confusion", o)
  local counts = o.counts.counts or o.counts
  local names, head, body = o.classes or {}, {}, {}
  if o.classes and #names ~= #counts then
    raise("confusion: %d classes are named, %d counted", #names, #counts)
  end
  for i, row in ipairs(counts) do
    if type(row) ~= "table" or #row ~= #counts then
      raise("confusion: row %d of %d has %s counts", i, #counts,
        type(row) == "table" and #row or "no")
    end
    local sum, line, name = 0, {}, escape(names[i] or i)
    if #name > 20 then name = ('<span title="%s">%s</span>'):format(name, name) end -- cut off
    for _, n in ipairs(row) do sum = sum + n end
    head[i] = ('<th scope="col">%s</th>'):format(name)
    for k, n in ipairs(row) do
      local share = sum > 0 and n / sum or 0
      line[k] = ('<td style="%s">%s<small>%.0f %%</small></td>'):format(drawn.cell_style(share),
        escape(number(n)), share * 100)
    end
    body[i] = ('<tr><th scope="row">%s</th>%s</tr>'):format(name, table.concat(line))
  end
  return self:add('<div class="scroll"><table%s><caption>%s</caption><thead>'
    .. '<tr><td style="background:none"></td><th scope="colgroup" colspan="%d">predicted</th>'
    .. '</tr><tr><th scope="col">actual</th>%s</tr></thead><tbody>\n%s\n</tbody></table></div>',
    wide(#counts, "confusion"),
    escape(o.caption or "Confusion: counts, and their share of the actual class."), #counts,
    table.concat(head), table.concat(body, "\n"))
end

--- p: path of a PNG or JPEG (or of another picture that al.image reads, or its bytes as data),
-- alt (what a blind reader is told; required), caption, credit (author and licence, shown
-- below), pixels = true to enlarge without smoothing. One wider than the page shows on a fine
-- screen (2000 pixels) is made smaller, and the caption says so.
function Report:picture(p)
  p = options("report:picture", p, {}, { "path", "data", "alt", "caption", "credit", "pixels" })
  if not p.alt or p.alt == "" then raise "a picture needs an alt text" end
  local data = p.data
  if not data then
    if type(p.path) ~= "string" then raise "a picture needs a path, or its bytes as data" end
    local file, message = io.open(p.path, "rb")
    data = file and file:read "*a"
    if file then file:close() end
    if not data then raise("no picture: %s", message or p.path .. " cannot be read") end
  end
  local ok, bytes, kind, note = pcall(require("albedo.report.pictures").inlined, data)
  if not ok then
    raise("%s is no picture: %s", p.path or "data", tostring(bytes):gsub("^.-: ", "", 1))
  end
  if p.credit then self.credits[#self.credits + 1] = p.credit end
  self.parts[#self.parts + 1] = table.concat {
    '<figure><img', p.pixels and ' class="pixels"' or "", ' alt="', escape(p.alt),
    '" src="data:image/', kind, ";base64,", base64(bytes), '">', caption_of(p, note),
    "</figure>",
  }
  return self
end

--- list: { id, text, paper, measured, interval = { low, high }, seeds, holds } each; holds is
-- true, false, or nil when it was not judged.
function Report:claims(list)
  local rows = {}
  for i, c in ipairs(list) do
    local class = c.holds and "holds" or "fails"
    local verdict = c.holds == nil and "not judged" or c.holds and "\226\156\147 holds"
      or "\226\156\151 does not hold"
    local measured = c.measured
    if type(measured) == "number" and c.interval and c.interval[1] then
      measured = { mean = measured, low = c.interval[1], high = c.interval[2] }
    end
    local interval = type(measured) == "table"
    rows[i] = ('<tr class="claim"><th scope="row">%s</th><td>%s</td><td>%s</td>'
      .. '<td class="number">%s</td><td class="number">%s</td>'
      .. '<td class="verdict %s">%s</td></tr>'):format(escape(c.id or i), escape(c.text or ""),
      escape(show(c.paper)), cell_html(measured, interval), escape(show(c.seeds)),
      c.holds == nil and "" or class, verdict)
  end
  return self:add('<div class="scroll"><table aria-label="Claims"><thead><tr>'
    .. '<th scope="col">claim</th>'
    .. '<th scope="col">statement</th><th scope="col">paper</th>'
    .. '<th scope="col" class="number">measured</th><th scope="col" class="number">seeds</th>'
    .. '<th scope="col">verdict</th></tr></thead><tbody>\n%s\n</tbody></table></div>',
      table.concat(rows, "\n"))
end

--- The page as text.
function Report:html()
  local out = {
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    "<title>" .. escape(self.title) .. "</title><style>\n" .. style.page
      .. "</style></head><body><main>",
    "<h1>" .. escape(self.title) .. "</h1>",
    self.lead and '<p class="lead">' .. escape(self.lead) .. "</p>" or "",
    table.concat(self.parts, "\n"),
    "</main>",
    self.footer and "<footer><p>" .. escape(self.footer) .. "</p></footer>" or "",
    "</body></html>\n",
  }
  return table.concat(out, "\n")
end

--- Writes the page, whole or not at all.
function Report:write(path)
  json.write_file(path, self:html())
  return path
end

--- A new page. o: title, lead (a sentence below it), footer.
function report.new(o)
  local page = options("report.new", o, { title = "Report" }, { "lead", "footer" })
  page.parts, page.credits = {}, {}
  return setmetatable(page, Report)
end

--- The functions that draw: figures.lines(spec) -> SVG, bars, roc, heatmap; pictures.grid(spec)
-- -> HTML, overlay, volume.
report.figures = drawn
report.pictures = setmetatable({}, { __index = function(_, kind)
  return rawget(require "albedo.report.pictures", kind)
end })

return report
