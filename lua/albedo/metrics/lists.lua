-- What all metrics check: lists of numbers, pairs of them, and which label is the positive one.
local al = require "albedo"

local lists = {}

--- A plain list of numbers from a list or tensor; NaN and emptiness raise.
function lists.list(what, name, values, level)
  level = (level or 3) + 1
  if al.is_tensor(values) then values = values:reshape(-1):totable() end
  if type(values) ~= "table" then
    error(("%s: %s is a %s, not a list"):format(what, name, type(values)), level)
  end
  if #values == 0 then error(("%s: %s is empty"):format(what, name), level) end
  for i, v in ipairs(values) do
    if v ~= v then error(("%s: %s[%d] is NaN"):format(what, name, i), level) end
  end
  return values
end

--- Two lists of one length.
function lists.pair(what, a_name, a, b_name, b)
  a, b = lists.list(what, a_name, a), lists.list(what, b_name, b)
  if #a ~= #b then error(("%s: %d %s, %d %s"):format(what, #a, a_name, #b, b_name), 3) end
  return a, b
end

--- Is this label the positive class? Booleans say so themselves.
function lists.positive(label, class)
  if type(label) == "boolean" then return label end
  return label == class
end

--- How many labels are positive; an error when all are, or none.
function lists.count_positives(what, labels, class)
  local n = 0
  for i = 1, #labels do n = n + (lists.positive(labels[i], class) and 1 or 0) end
  if n == 0 or n == #labels then
    error(("%s: all %d samples are %s; both classes are needed")
      :format(what, #labels, n == 0 and "negative" or "positive"), 3)
  end
  return n
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
