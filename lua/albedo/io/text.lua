--- Texts: tables with a column a name (CSV), labelled lines, tokens and vocabularies. al.io has
-- the functions.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local options = require "albedo.options"
local fail = bytes.fail

local text = {}

-- The text of a file, where that and `each` bytes for each of what `mark` matches, which its
-- values take, are no more than `limit`.
local function whole_file(path, limit, mark, each)
  local size = bytes.size(path)
  local s = size <= limit and bytes.read(path, 0, size) or ""
  if size * each > limit and s ~= "" then
    local _, n = s:gsub(mark, "%0")
    size = size + n * each
  end
  if size > limit then
    fail(path, "takes %.0f bytes, more than max_bytes = %.0f", size, limit)
  end
  return s:sub(1, 3) == "\239\187\191" and s:sub(4) or s
end

-- The field of s at `at`: its text, whether it was quoted, and where what ends it lies.
local function field(path, s, at, plain, line)
  if s:sub(at, at) ~= '"' then
    local stop = s:find(plain, at) or #s + 1
    return s:sub(at, stop - 1), false, stop
  end
  local parts, from = {}, at + 1
  while true do
    local quote = s:find('"', from, true)
    if not quote then fail(path, "line %d: a quote is not closed", line) end
    parts[#parts + 1] = s:sub(from, quote - 1)
    if s:sub(quote + 1, quote + 1) ~= '"' then
      return table.concat(parts, '"'), true, quote + 1
    end
    from = quote + 2
  end
end

-- Calls fn(row, how many fields, its number) for each row; the table is the same each time.
local function each_row(path, s, separator, fn)
  local at, line, count, row = 1, 1, 0, {}
  local plain = "[\r\n%" .. separator .. "]"
  while at <= #s do
    local n, quoted, stop = 0
    repeat
      n = n + 1
      row[n], quoted, stop = field(path, s, at, plain, line)
      at = stop + 1
    until s:sub(stop, stop) ~= separator
    local ending = s:match("^\r?\n", stop) or s:match("^\r", stop)
    if not ending and stop <= #s then fail(path, "line %d: text after a quote", line) end
    at, line = stop + #(ending or ""), line + 1
    if n > 1 or row[1] ~= "" or quoted then
      count = count + 1
      fn(row, n, count)
    end
  end
  return count
end

-- The number that a field holds (none: NaN), or nil.
local function number_of(v)
  return v:find "^%s*[-+]?%.?%d[%d.eE+-]*%s*$" and tonumber(v)
    or (v:find "^%s*$" or v:lower() == "nan") and al.nan or nil
end

-- A column being read: numbers, gathered in tensors of some thousands, as long as all are.
local Column = {}
Column.__index = Column

function Column:add(v)
  if self.texts then
    self.count = self.count + 1
    self.texts[self.count] = v
  elseif not self.mixed then
    local n = number_of(v)
    if not n then
      self.mixed = true -- read again, as texts
      return
    end
    self.some = self.some or n == n
    self.whole = self.whole and n % 1 == 0 and math.abs(n) < 2 ^ 53
    self.few[#self.few + 1] = n
    if #self.few == 4096 then self:gather() end
  end
end

function Column:gather()
  self.parts[#self.parts + 1] = al.tensor(self.few, { dtype = "float64" })
  self.few = {}
end

function Column:value()
  if self.texts then return self.texts end
  if #self.few > 0 then self:gather() end
  local all = al.cat(self.parts, 1)
  return self.whole and all:to "int64" or all
end

local function new_column(texts)
  return setmetatable(
    { texts = texts and {}, count = 0, parts = {}, few = {}, whole = true }, Column)
end

-- The columns, in order, and the number of rows; is_text[k] says which hold texts, `names` is
-- filled from the first row.
local function read_columns(path, s, o, names, is_text)
  local columns, wanted = {}, nil
  local count = each_row(path, s, o.separator, function(row, n, number)
    if not wanted then
      wanted = n
      for k = 1, n do
        names[k], columns[k] = o.header and row[k] or k, new_column(is_text[k])
      end
      if o.header then return end
    end
    if n ~= wanted then
      fail(path, "row %d has %d fields, not %d", number - (o.header and 1 or 0), n, wanted)
    end
    for k = 1, n do columns[k]:add(row[k]) end
  end)
  return columns, math.max(count - (o.header and 1 or 0), 0)
end

--- The rows of a CSV file, each a list of its fields as text; empty lines are none, so that an
-- empty file has none. Options:
-- separator (","), max_bytes.
function text.rows(path, opts)
  local o = options("io.rows", opts, { separator = ",", max_bytes = 4000000000 })
  local rows = {}
  local s = whole_file(path, o.max_bytes, "[\n%" .. o.separator .. "]", 72)
  each_row(path, s, o.separator, function(row, n, k)
    rows[k] = {}
    for i = 1, n do rows[k][i] = row[i] end
  end)
  return rows
end

--- A table from a CSV file: { names, columns, rows (how many) }; columns[name] is a tensor
-- where every field is a number (int64, or float64 with NaN for none), else a list of strings.
-- Quoted fields may hold separators, quotes ("") and line ends. Options: separator (","),
-- header (true; false: the names are 1, 2, ...), max_bytes. A file without any row is an error.
function text.csv(path, opts)
  local o = options("io.csv", opts, { separator = ",", header = true, max_bytes = 4000000000 })
  local s = whole_file(path, o.max_bytes, "[\n%" .. o.separator .. "]", 16)
  if s == "" then fail(path, "is empty: no table of columns") end
  local names, is_text = {}, {}
  local columns, rows, again
  repeat -- once more when a column of numbers turned out to hold a text, or no number at all
    again = false
    columns, rows = read_columns(path, s, o, names, is_text)
    for k, column in ipairs(columns) do
      if not column.texts and (column.mixed or not column.some) then
        is_text[k], again = true, true
      end
    end
  until not again
  local out = {}
  for k, name in ipairs(names) do
    if out[name] then fail(path, "two columns are named %s", name) end
    out[name], columns[k] = columns[k]:value(), false
  end
  return { names = names, columns = out, rows = rows }
end

--- Writes a table as io.csv gives it. Numbers keep all their digits.
function text.write_csv(path, t)
  local function quote(v)
    v = type(v) ~= "number" and tostring(v) or v ~= v and "" or v % 1 == 0
      and math.abs(v) < 2 ^ 53 and ("%d"):format(v) or ("%.17g"):format(v)
    if v:find '[",\r\n]' or v == "" and #t.names == 1 then
      return '"' .. v:gsub('"', '""') .. '"'
    end
    return v
  end
  local lists, lines, head = {}, {}, {}
  for k, name in ipairs(t.names) do
    local c = t.columns[name]
    lists[k], head[k] = al.is_tensor(c) and c:totable() or c, quote(name)
  end
  lines[1] = table.concat(head, ",")
  for i = 1, t.rows do
    local row = {}
    for k, list in ipairs(lists) do row[k] = quote(list[i]) end
    lines[i + 1] = table.concat(row, ",")
  end
  al.bytes_write(path, { al.from_bytes(table.concat(lines, "\n") .. "\n", "uint8") })
end

--- Labelled lines, label, TAB, text: two lists of strings, the texts and the labels. Options:
-- separator ("\t"), max_bytes.
function text.labelled(path, opts)
  local o = options("io.labelled", opts, { separator = "\t", max_bytes = 4000000000 })
  local texts, labels, line = {}, {}, 0
  for s in whole_file(path, o.max_bytes, "\n", 72):gmatch "([^\n]*)\n?" do
    line = line + 1
    s = s:gsub("\r$", "")
    local at, stop = s:find(o.separator, 1, true)
    if not at and s ~= "" then fail(path, "line %d has no label", line) end
    if at then labels[#labels + 1], texts[#texts + 1] = s:sub(1, at - 1), s:sub(stop + 1) end
  end
  return texts, labels
end

--- The words of a text, in lower case; punctuation marks are words of their own. Letters beyond
-- ASCII belong to words.
function text.tokens(s)
  local list = {}
  for blank in s:lower():gmatch "%S+" do
    for word, mark in blank:gmatch "([%w'\128-\255]*)([^%w'\128-\255]?)" do
      if word ~= "" then list[#list + 1] = word end
      if mark ~= "" then list[#list + 1] = mark end
    end
  end
  return list
end

local Vocabulary = {}
Vocabulary.__index = Vocabulary

--- A vocabulary of texts (strings, or lists of words): 1 is padding, 2 an unknown word, then
-- the words by falling frequency. Options: size (at most so many entries), least (1: how often
-- a word is to occur). v.words lists them, v.index finds them.
function text.vocabulary(texts, opts)
  local o = options("io.vocabulary", opts, { least = 1 }, { "size" })
  local count, words = {}, {}
  for _, s in ipairs(texts) do
    for _, word in ipairs(type(s) == "string" and text.tokens(s) or s) do
      if not count[word] then words[#words + 1] = word end
      count[word] = (count[word] or 0) + 1
    end
  end
  table.sort(words, function(a, b)
    if count[a] ~= count[b] then return count[a] > count[b] end
    return a < b
  end)
  local v = setmetatable({ words = { "<pad>", "<unknown>" }, index = {} }, Vocabulary)
  for _, word in ipairs(words) do
    if count[word] >= o.least and #v.words < (o.size or math.huge) then
      v.words[#v.words + 1] = word
      v.index[word] = #v.words
    end
  end
  return v
end

--- Texts as numbers, N x T int64 padded by 1, and their lengths (int64, at least 1). Options:
-- length (T: longer texts are cut; by default that of the longest).
function Vocabulary:encode(texts, opts)
  local o = options("vocabulary:encode", opts, {}, { "length" })
  local lists, longest, lengths = {}, 1, {}
  for k, s in ipairs(texts) do
    lists[k] = type(s) == "string" and text.tokens(s) or s
    longest = math.max(longest, #lists[k])
  end
  longest = o.length or longest
  local rows = {}
  for k, list in ipairs(lists) do
    local row = {}
    for i = 1, longest do row[i] = list[i] and (self.index[list[i]] or 2) or 1 end
    rows[k], lengths[k] = row, math.max(1, math.min(#list, longest))
  end
  return al.tensor(rows, { dtype = "int64" }), al.tensor(lengths, { dtype = "int64" })
end

return text
