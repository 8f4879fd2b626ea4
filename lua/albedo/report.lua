--- al.report: one self-contained HTML page: tables, pictures, claims. It links to nothing
-- outside itself, reads in light and dark, prints, and names author and licence of every
-- picture that has them.
--
--   local r = al.report.new { title = "Copy-move forgeries", lead = "What was done." }
--   r:heading "Detection"; r:text "Figures are means over three seeds."
--   r:table { caption = "Test", columns = { "arm", "F1" }, rows = { { "custom", 0.91 } } }
--   r:picture { path = "examples.png", alt = "Forgeries", credit = "A. Author, CC BY" }
--   r:claims(list)
--   r:write "report.html"

local json = require "albedo.json"

local Report = {}
Report.__index = Report
local report = {}

local STYLE = [[
:root { color-scheme: light dark; --ink: #1b1b1f; --soft: #5c5f66; --paper: #fff;
  --line: #d9dbe0; --panel: #f5f6f8;
  --good: #14713b; --bad: #a3201f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6ea; --soft: #a2a5ad; --paper: #16171a; --line: #373a40;
    --panel: #1f2125; --good: #5fce8d; --bad: #ff8a80; }
}
@media print {
  :root { --ink: #000; --soft: #333; --paper: #fff; --line: #999; --panel: #fff;
    --good: #060; --bad: #800; }
  figure, table, .claim { break-inside: avoid; }
  body { max-width: none; font-size: 10pt; }
}
body { margin: 2.5rem auto; padding: 0 1.25rem; max-width: 60rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { line-height: 1.2; margin-bottom: .25rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
.lead { color: var(--soft); font-size: 1.1rem; }
.note, figcaption, caption, footer { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 1rem 0; }
caption { text-align: left; padding-bottom: .35rem; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
thead th { border-bottom: 2px solid var(--line); }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); }
img.pixels { image-rendering: pixelated; min-width: 50%; } .credit { display: block; }
.verdict { font-weight: 600; white-space: nowrap; }
.holds { color: var(--good); } .fails { color: var(--bad); }
pre { background: var(--panel); padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; }
]]

local ESCAPES = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
}
local function escape(v) return (tostring(v):gsub("[&<>\"']", ESCAPES)) end

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

--- A value, or a summary { mean, low, high } as run:summary gives it.
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

--- t: caption, columns (titles), rows (lists of numbers, texts, or summaries { mean, low, high
-- }).
function Report:table(t)
  local out, right = {}, {}
  for k = 1, #t.columns do
    right[k] = #t.rows > 0
    for _, cells in ipairs(t.rows) do
      right[k] = right[k] and (cells[k] == nil or is_number(cells[k]))
    end
  end
  local function cell(tag, k, text)
    return ("<%s%s%s>%s</%s>")
      :format(tag, right[k] and ' class="number"' or "", tag == "th" and ' scope="col"' or "",
      escape(text), tag)
  end
  for k, title in ipairs(t.columns) do out[#out + 1] = cell("th", k, title) end
  local body = {}
  for i, cells in ipairs(t.rows) do
    local line = {}
    for k = 1, #t.columns do line[k] = cell("td", k, show(cells[k])) end
    body[i] = "<tr>" .. table.concat(line) .. "</tr>"
  end
  return self:add('<div class="scroll"><table>%s<thead><tr>%s</tr></thead><tbody>\n%s\n'
    .. '</tbody></table></div>',
    t.caption and "<caption>" .. escape(t.caption) .. "</caption>" or "", table.concat(out),
      table.concat(body, "\n"))
end

--- p: path of a PNG or JPEG (or its bytes as data), alt (what a blind reader is told;
-- required), caption, credit (author and licence, shown below), pixels = true to enlarge
-- without smoothing.
function Report:picture(p)
  local data = p.data
  if not data then
    local file, message = io.open(p.path, "rb")
    if not file then return self:note("A picture is missing: " .. tostring(message)) end
    data = file:read "*a"
    file:close()
  end
  if not p.alt or p.alt == "" then error("report: a picture needs an alt text", 2) end
  local kind = data:sub(1, 3) == "\255\216\255" and "jpeg" or "png"
  if p.credit then self.credits[#self.credits + 1] = p.credit end
  local caption = p.caption and escape(p.caption) or ""
  if p.credit then
    caption = ('%s <span class="credit">Pictures: %s</span>'):format(caption, escape(p.credit))
  end
  self.parts[#self.parts + 1] = table.concat {
    '<figure><img', p.pixels and ' class="pixels"' or "", ' alt="', escape(p.alt),
      '" src="data:image/', kind,
    ";base64,", base64(data), '">', caption ~= "" and "<figcaption>" .. caption
      .. "</figcaption>" or "", "</figure>",
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
    local measured = show(c.measured)
    if c.interval and c.interval[1] then
      measured = ("%s [%s, %s]"):format(measured, show(c.interval[1]), show(c.interval[2]))
    end
    rows[i] = ('<tr class="claim"><th scope="row">%s</th><td>%s</td><td>%s</td>'
      .. '<td class="number">%s</td><td class="number">%s</td>'
      .. '<td class="verdict %s">%s</td></tr>'):format(escape(c.id or i), escape(c.text or ""),
      escape(show(c.paper)), escape(measured), escape(show(c.seeds)),
      c.holds == nil and "" or class, verdict)
  end
  return self:add('<div class="scroll"><table><thead><tr><th scope="col">claim</th>'
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
    "<title>" .. escape(self.title) .. "</title><style>\n" .. STYLE
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
  local page = {
    title = o.title or "Report", lead = o.lead, footer = o.footer, parts = {}, credits = {},
  }
  return setmetatable(page, Report)
end

return report
