-- How far a predicted region covers the true one.
local al = require "albedo"
local options = require "albedo.options"
local raise = require("albedo.metrics.lists").raise

local overlap = {}

-- Pixels in both, and in each: of masks (bool, or 0 and 1), or of the class of a map of labels.
local function count(what, predicted, actual, opts)
  local o = options(what, opts, {}, { "class", "empty" })
  for k, name in ipairs { "predicted", "actual" } do
    local v = ({ predicted, actual })[k]
    if not al.is_tensor(v) then raise(what, "%s is a %s, no tensor", name, type(v)) end
    if v.dtype:find "float" and v:isnan():any():item() then
      raise(what, "%s holds NaN", name)
    end
  end
  local one, other = table.concat(predicted.shape, "x"), table.concat(actual.shape, "x")
  if one ~= other then
    raise(what, "predicted is %s, actual %s", one, other)
  end
  local function mask(v)
    if o.class then return v:eq(o.class) end
    if v.dtype ~= "bool" and not v:eq(0):logical_or(v:eq(1)):all():item() then
      raise(what, "a mask holds other values than 0 and 1; options.class names a label")
    end
    return v:ne(0)
  end
  return al.scope(function()
    local p, t = mask(predicted), mask(actual)
    local function sum(v) return v:to("int64"):sum():item() end
    return sum(p:logical_and(t)), sum(p), sum(t), o.empty
  end)
end

--- Dice's coefficient 2 |P and T| / (|P| + |T|) of two masks (bool, or 0 and 1, any shape), or
-- of label `class` of two label maps. Both empty: an error, or the option `empty`.
function overlap.dice(predicted, actual, opts)
  local both, p, t, empty = count("dice", predicted, actual, opts)
  if p + t > 0 then return 2 * both / (p + t) end
  return empty or raise("dice", "both masks are empty (options.empty says what that is worth)")
end

--- Intersection over union |P and T| / |P or T| (Jaccard); arguments as dice's.
function overlap.iou(predicted, actual, opts)
  local both, p, t, empty = count("iou", predicted, actual, opts)
  if p + t > 0 then return both / (p + t - both) end
  return empty or raise("iou", "both masks are empty (options.empty says what that is worth)")
end

return overlap
