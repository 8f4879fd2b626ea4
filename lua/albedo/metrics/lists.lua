-- What all metrics check: lists of numbers, pairs of them, options, and which label is the
-- positive one. Errors name the metric, at the caller's line.
local al = require "albedo"

local lists = {}

--- Raises what: message, formatted, at the line of the script.
function lists.raise(what, message, ...)
  al.native.raise(("%s: " .. message):format(what, ...))
end
local raise = lists.raise

--- A label as a reader sees it: 1, not 1.0.
function lists.text(v) return type(v) == "number" and ("%.14g"):format(v) or tostring(v) end
local text = lists.text

--- A plain list from a list or tensor; NaN and emptiness raise. kind = "number": and so does
-- what is no number.
function lists.list(what, name, values, kind)
  if al.is_tensor(values) then values = values:reshape(-1):totable() end
  if type(values) ~= "table" then
    raise(what, "%s is a %s, not a list", name, type(values))
  end
  if #values == 0 then raise(what, "%s is empty", name) end
  for i, v in ipairs(values) do
    if v ~= v then raise(what, "%s[%d] is NaN", name, i) end
    if kind and type(v) ~= kind then
      raise(what, "%s[%d] is a %s, not a %s", name, i, type(v), kind)
    end
  end
  return values
end

--- Two lists of one length; of numbers where their kind says so.
function lists.pair(what, a_name, a, b_name, b, a_kind, b_kind)
  a, b = lists.list(what, a_name, a, a_kind), lists.list(what, b_name, b, b_kind)
  if #a ~= #b then raise(what, "%d %s, %d %s", #a, a_name, #b, b_name) end
  return a, b
end

--- v, a number between low and high (ends included), a whole one where asked.
function lists.between(what, name, v, low, high, whole)
  if type(v) ~= "number" or not (v >= low and v <= high) or whole and v % 1 ~= 0 then
    raise(what, "%s is a %snumber %s, got %s", name, whole and "whole " or "",
      high == math.huge and ("from %g on"):format(low) or ("from %g to %g"):format(low, high),
      text(v))
  end
  return v
end

-- Notes the labels of a list, as keys of seen, and in their order.
local function note(what, name, labels, seen, order)
  for i, v in ipairs(labels) do
    if type(v) == "number" and v % 1 ~= 0 then
      raise(what, "%s[%d] is %s, no class%s", name, i, text(v),
        name == "labels" and ": scores come first, then labels" or ": classes are wanted here")
    end
    if not seen[v] then
      seen[v] = true
      order[#order + 1] = v
    end
  end
end

-- "0, 1 and 2", and the last of them.
local function named(classes)
  local list = {}
  table.sort(classes, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) < type(b)
  end)
  for i, v in ipairs(classes) do
    list[i] = type(v) == "string" and ("%q"):format(v) or text(v)
  end
  local last = table.remove(list)
  if #list > 6 then return table.concat(list, ", ", 1, 6) .. ", ...", last end
  return #list > 0 and table.concat(list, ", ") .. " and " .. last or last, last
end

-- Raises unless the classes are some of 1 and 2.
local function judged(what, classes)
  if #classes == 0 then return end
  local all, last = named(classes)
  if #classes > 2 then
    raise(what, "there are %d classes, %s: options.positive = %s judges one against the rest%s",
      #classes, all, last, what == "f1" and ', average = "macro" or "micro" all of them' or "")
  end
  for _, v in ipairs(#classes == 2 and classes or {}) do
    if v ~= 1 and v ~= 2 then
      raise(what, "labels are %s here; classes count from 1, and 2 is the positive one: give "
        .. "options.positive = %s%s", all, last, all == "0 and 1" and ", or labels + 1" or "")
    end
  end
end

--- Labels as booleans, whether each is of the positive class: lists.truths("f1", positive,
-- "predicted", predicted, "actual", actual) gives two lists. Booleans say so themselves.
-- Others are classes: 1 and 2, of which 2 is positive; with `positive` given that one against
-- the rest, whatever and however many they are. Labels that are neither raise: 0 and 1 would
-- all be negative, 1 to 3 silently one against two.
function lists.truths(what, positive, ...)
  local given, seen, order, classes, out = { ... }, {}, {}, {}, {}
  for i = 1, #given, 2 do note(what, given[i], given[i + 1], seen, order) end
  for _, v in ipairs(order) do classes[#classes + 1] = type(v) ~= "boolean" and v or nil end
  if positive == nil then judged(what, classes) end
  for i = 2, #given, 2 do
    local list = {}
    for k, v in ipairs(given[i]) do
      if type(v) == "boolean" then list[k] = v else list[k] = v == (positive or 2) end
    end
    out[i / 2] = list
  end
  return (unpack or table.unpack)(out)
end

--- How many of the booleans are true; an error when all are, or none.
function lists.count_positives(what, truths, positive)
  local n = 0
  for i = 1, #truths do n = n + (truths[i] and 1 or 0) end
  if n == 0 or n == #truths then
    raise(what, "all %d samples are %s; both classes are needed (positive: true, or class %s)",
      #truths, n == 0 and "negative" or "positive", text(positive or 2))
  end
  return n
end

--- Scores and labels of a detector: the scores, booleans, how many are true (some, not all).
function lists.scored(what, scores, labels, positive)
  scores, labels = lists.pair(what, "scores", scores, "labels", labels, "number")
  local truths = lists.truths(what, positive, "labels", labels)
  return scores, truths, lists.count_positives(what, truths, positive)
end

--- Order of the scores, ascending.
function lists.ascending(scores)
  local order = {}
  for i = 1, #scores do order[i] = i end
  table.sort(order, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] < scores[b] end
    return a < b
  end)
  return order
end

--- Ranks from 1, tied values the mean of theirs; and the sum of c^3 - c over the ties' counts.
function lists.ranks(values)
  local order, rank, ties, i = lists.ascending(values), {}, 0, 1
  while i <= #values do
    local j = i
    while j < #values and values[order[j + 1]] == values[order[i]] do j = j + 1 end
    for k = i, j do rank[order[k]] = (i + j) / 2 end
    ties = ties + (j - i + 1) ^ 3 - (j - i + 1)
    i = j + 1
  end
  return rank, ties
end

return lists
