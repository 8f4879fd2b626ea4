--- Tables in text files, and volumes cut in patches.

local al = require "albedo"
local datasets = require "albedo.data.dataset"
local options = require "albedo.options"

local tables = {}

-- The fields of one record from position `at`, and where the next begins. Quoted fields may
-- hold the separator, quotes doubled, and line ends (RFC 4180).
local function record(text, at, separator)
  local fields = {}
  while true do
    local value
    if text:sub(at, at) == '"' then
      local from = at + 1
      local close
      repeat
        close = text:find('"', from, true)
        if not close then return nil end
        from = close + 2
      until text:sub(close + 1, close + 1) ~= '"'
      value, at = text:sub(at + 1, close - 1):gsub('""', '"'), close + 1
    else
      local stop = text:find("[" .. separator .. "\r\n]", at) or #text + 1
      value, at = text:sub(at, stop - 1), stop
    end
    fields[#fields + 1] = value
    if text:sub(at, at) ~= separator then
      local _, last = text:find("^\r?\n?", at)
      return fields, last + 1
    end
    at = at + 1
  end
end

--- The rows of a CSV file as a dataset of tables: row.COLUMN, a number where the text is one,
-- nil where it is empty. Options: separator = ",", header = true (false: row[1], row[2], ...),
-- read = fn(row, i) -> values (default: the row). set.columns: the names in order.
function tables.csv(path, opts)
  local o = options("data.csv", opts, { separator = ",", header = true }, { "read" })
  local file, why = io.open(path, "rb")
  if not file then error("data.csv: " .. why, 2) end
  local text = file:read "*a":gsub("^\239\187\191", "")
  file:close()
  local items, columns, at = {}, nil, 1
  while at <= #text do
    local fields, after = record(text, at, o.separator)
    if not fields then
      error(("data.csv: %s: a quote after byte %d is not closed"):format(path, at - 1), 2)
    end
    at = after
    if o.header and not columns then
      columns = fields
    elseif #fields > 1 or fields[1] ~= "" then
      if columns and #fields ~= #columns then
        error(("data.csv: %s: row %d has %d fields, the header %d")
          :format(path, #items + 1, #fields, #columns), 2)
      end
      local row = {}
      for k, value in ipairs(fields) do
        if value ~= "" then row[columns and columns[k] or k] = tonumber(value) or value end
      end
      items[#items + 1] = row
    end
  end
  local set = datasets.list(items, o.read)
  set.columns = columns
  return set
end

--- A volume (C x D x H x W; also pictures, C x H x W) cut in patches: get(i) gives the patch,
-- and the same part of each further tensor, such as a mask. Items have from, the corner (from
-- 1). The last patch of a row lies at the end, so that all is covered. Options: size (a number,
-- or one a dim), stride = size.
function tables.patches(volume, opts, ...)
  local o = options("data.patches", opts, {}, { "size", "stride" })
  local parts = { volume, ... }
  local d = volume.ndim - 1
  local function each(v) return type(v) == "table" and v or { v, v, v } end
  if not o.size then error("data.patches: option 'size' is missing", 2) end
  local size, stride = each(o.size), each(o.stride or o.size)
  local corners = { {} }
  for k = 1, d do
    local n, starts, further = volume:size(k + 1), {}, {}
    if size[k] > n then
      error(("data.patches: a patch of %d from %d voxels"):format(size[k], n), 2)
    end
    for from = 1, n - size[k] + 1, stride[k] do starts[#starts + 1] = from end
    if starts[#starts] < n - size[k] + 1 then starts[#starts + 1] = n - size[k] + 1 end
    for _, corner in ipairs(corners) do
      for _, from in ipairs(starts) do
        local longer = { (table.unpack or unpack)(corner) }
        longer[k] = from
        further[#further + 1] = longer
      end
    end
    corners = further
  end
  local items = {}
  for i, corner in ipairs(corners) do items[i] = { from = corner } end
  al.hold(parts)
  return datasets.list(items, function(item)
    local out = {}
    for p, t in ipairs(parts) do
      for k = 1, d do t = t:narrow(k - d - 1, item.from[k], size[k]) end
      out[p] = t
    end
    return (table.unpack or unpack)(out)
  end)
end

return tables
