--- Tables in text files, and volumes cut in patches.

local al = require "albedo"
local datasets = require "albedo.data.dataset"
local options = require "albedo.options"
local text = require "albedo.io.text"

local tables = {}

--- The rows of a CSV file as a dataset of tables: row.COLUMN, a number where the text is one,
-- nil where it is empty. Options: separator = ",", header = true (false: row[1], row[2], ...),
-- read = fn(row, i) -> values (default: the row). set.columns: the names in order.
function tables.csv(path, opts)
  local o = options("data.csv", opts, { separator = ",", header = true }, { "read" })
  local rows = text.rows(path, { separator = o.separator })
  local columns = o.header and table.remove(rows, 1) or nil
  local items = {}
  for i, fields in ipairs(rows) do
    if columns and #fields ~= #columns then
      al.native.raise(("%s: row %d has %d fields, not %d"):format(path, i, #fields, #columns))
    end
    items[i] = {}
    for k, value in ipairs(fields) do
      if value ~= "" then items[i][columns and columns[k] or k] = tonumber(value) or value end
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
