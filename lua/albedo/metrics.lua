--- al.metrics: what experiments report. Inputs are 1-d tensors or plain lists; labels count
-- from 1. NaN, an empty list, or a single class where two are needed raise an error naming the
-- metric.

local al = require "albedo"
local options = require "albedo.options"
local metrics = {}

-- A plain list of numbers from a list or tensor; NaN and emptiness raise.
local function list(what, name, values)
  if al.is_tensor(values) then values = values:reshape(-1):totable() end
  if type(values) ~= "table" then
    error(("%s: %s is a %s, not a list"):format(what, name, type(values)), 4)
  end
  if #values == 0 then error(("%s: %s is empty"):format(what, name), 4) end
  for i, v in ipairs(values) do
    if v ~= v then error(("%s: %s[%d] is NaN"):format(what, name, i), 4) end
  end
  return values
end

local function pair(what, a_name, a, b_name, b)
  a, b = list(what, a_name, a), list(what, b_name, b)
  if #a ~= #b then error(("%s: %d %s, %d %s"):format(what, #a, a_name, #b, b_name), 3) end
  return a, b
end

local function ratio(a, b) return b > 0 and a / b or 0 end

-- Is this label the positive class? Booleans say so themselves.
local function positive(label, class)
  if type(label) == "boolean" then return label end
  return label == class
end

--- - Counts
-- ------------------------------------------------------------------------------------------

local Confusion = {}
Confusion.__index = Confusion

--- counts[actual][predicted] over classes 1 .. `classes` (by default the largest label seen).
-- Methods below.
function metrics.confusion(predicted, actual, classes)
  predicted, actual = pair("confusion", "predicted", predicted, "actual", actual)
  local largest = classes or 0
  for i = 1, #actual do
    for _, v in ipairs { predicted[i], actual[i] } do
      if type(v) ~= "number" or v < 1 or v % 1 ~= 0 or classes and v > classes then
        error(("confusion: sample %d has label %s; labels are integers from 1%s")
          :format(i, tostring(v), classes and " to " .. classes or ""), 2)
      end
      largest = math.max(largest, v)
    end
  end
  local self = setmetatable({ classes = largest, total = #actual, counts = {} }, Confusion)
  for k = 1, largest do
    self.counts[k] = {}
    for j = 1, largest do self.counts[k][j] = 0 end
  end
  for i = 1, #actual do
    local row = self.counts[actual[i]]
    row[predicted[i]] = row[predicted[i]] + 1
  end
  return self
end

--- Share of the samples on the diagonal.
function Confusion:accuracy()
  local right = 0
  for k = 1, self.classes do right = right + self.counts[k][k] end
  return right / self.total
end

--- { tp, fp, fn, tn, precision, recall, f1 } of one class against the rest; 0/0 counts as 0.
function Confusion:class(k)
  local tp, row, column = self.counts[k][k], 0, 0
  for j = 1, self.classes do
    row, column = row + self.counts[k][j], column + self.counts[j][k]
  end
  local fp, fn = column - tp, row - tp
  return {
    tp = tp, fp = fp, fn = fn, tn = self.total - tp - fp - fn,
    precision = ratio(tp, column), recall = ratio(tp, row),
    f1 = ratio(2 * tp, 2 * tp + fp + fn),
  }
end

--- Unweighted means of precision, recall and F1 over the classes that occur, as { precision,
-- recall, f1 }.
function Confusion:macro()
  local sum, n = { precision = 0, recall = 0, f1 = 0 }, 0
  for k = 1, self.classes do
    local c = self:class(k)
    if c.tp + c.fp + c.fn > 0 then
      n = n + 1
      for name in pairs(sum) do sum[name] = sum[name] + c[name] end
    end
  end
  for name in pairs(sum) do sum[name] = sum[name] / n end
  return sum
end

--- The counts of all classes pooled: with one label a sample, all three are the accuracy.
function Confusion:micro()
  local a = self:accuracy()
  return { precision = a, recall = a, f1 = a }
end

function Confusion:__tostring()
  local width, lines = #tostring(self.total) + 2, { "actual \\ predicted" }
  local function row(head, values)
    for i, v in ipairs(values) do values[i] = ("%" .. width .. "d"):format(v) end
    lines[#lines + 1] = ("%6s"):format(head) .. table.concat(values)
  end
  local head = {}
  for k = 1, self.classes do head[k] = k end
  row("", head)
  for k = 1, self.classes do
    local copy = {}
    for j = 1, self.classes do copy[j] = self.counts[k][j] end
    row(tostring(k), copy)
  end
  return table.concat(lines, "\n")
end

--- Share of equal labels.
function metrics.accuracy(predicted, actual)
  predicted, actual = pair("accuracy", "predicted", predicted, "actual", actual)
  local right = 0
  for i = 1, #actual do right = right + (predicted[i] == actual[i] and 1 or 0) end
  return right / #actual
end

--- { precision, recall, f1, ... } of predicted against actual labels.
-- Options: average = "binary" (class `positive`, 2 by default), "macro" or "micro".
function metrics.f1(predicted, actual, opts)
  local o = options("f1", opts, { average = "binary", positive = 2 })
  if o.average == "macro" or o.average == "micro" then
    local c = metrics.confusion(predicted, actual)
    return c[o.average](c)
  elseif o.average ~= "binary" then
    error("f1: average is 'binary', 'macro' or 'micro', got '" .. tostring(o.average) .. "'", 2)
  end
  predicted, actual = pair("f1", "predicted", predicted, "actual", actual)
  local tp, fp, fn, tn = 0, 0, 0, 0
  for i = 1, #actual do
    local guess, truth = positive(predicted[i], o.positive), positive(actual[i], o.positive)
    if guess and truth then tp = tp + 1
    elseif guess then fp = fp + 1
    elseif truth then fn = fn + 1
    else tn = tn + 1 end
  end
  if tp + fn == 0 then error("f1: no actual sample is positive", 2) end
  return {
    tp = tp, fp = fp, fn = fn, tn = tn, accuracy = (tp + tn) / #actual,
    precision = ratio(tp, tp + fp), recall = ratio(tp, tp + fn),
    f1 = 2 * tp / (2 * tp + fp + fn),
  }
end

--- - Scores
-- ------------------------------------------------------------------------------------------

-- Order of the scores, ascending.
local function ascending(scores)
  local order = {}
  for i = 1, #scores do order[i] = i end
  table.sort(order, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] < scores[b] end
    return a < b
  end)
  return order
end

local function count_positives(what, labels, class)
  local n = 0
  for i = 1, #labels do n = n + (positive(labels[i], class) and 1 or 0) end
  if n == 0 or n == #labels then
    error(("%s: all %d samples are %s; both classes are needed")
      :format(what, #labels, n == 0 and "negative" or "positive"), 3)
  end
  return n
end

--- Area under the ROC curve: the chance that a positive scores above a negative, ties counting
-- one half (Mann and Whitney 1947). Labels: booleans, or classes of which `positive` (2) is the
-- positive one.
function metrics.auc(scores, labels, opts)
  local o = options("auc", opts, { positive = 2 })
  scores, labels = pair("auc", "scores", scores, "labels", labels)
  local n, np = #scores, count_positives("auc", labels, o.positive)
  local order, rank_sum, i = ascending(scores), 0, 1
  while i <= n do
    local j, tied = i, 0
    while j <= n and scores[order[j]] == scores[order[i]] do
      tied = tied + (positive(labels[order[j]], o.positive) and 1 or 0)
      j = j + 1
    end
    rank_sum = rank_sum + tied * (i + j - 1) / 2 -- mean rank of the tie, from 1
    i = j
  end
  return (rank_sum - np * (np + 1) / 2) / (np * (n - np))
end

--- The threshold t for which "positive when score >= t" has the best F1, and that F1; for use
-- on validation scores.
function metrics.best_threshold(scores, labels, opts)
  local o = options("best_threshold", opts, { positive = 2 })
  scores, labels = pair("best_threshold", "scores", scores, "labels", labels)
  local np = count_positives("best_threshold", labels, o.positive)
  local order, tp, best, best_f1 = ascending(scores), 0, nil, -1
  for rank = #order, 1, -1 do
    local i = order[rank]
    tp = tp + (positive(labels[i], o.positive) and 1 or 0)
    local below = order[rank - 1]
    if not below or scores[below] < scores[i] then
      local f1 = 2 * tp / (#order - rank + 1 + np)
      if f1 > best_f1 then best, best_f1 = scores[i], f1 end
    end
  end
  return best, best_f1
end

--- Everything on a binary detector: { auc, precision, recall, f1, accuracy, tp, fp, fn, tn,
-- threshold }. Options: threshold = 0.5 (positive when score >= threshold), positive = 2.
function metrics.binary(scores, labels, opts)
  local o = options("binary", opts, { threshold = 0.5, positive = 2 })
  scores, labels = pair("binary", "scores", scores, "labels", labels)
  local auc = metrics.auc(scores, labels, { positive = o.positive })
  local guess, truth = {}, {}
  for i = 1, #scores do
    guess[i], truth[i] = scores[i] >= o.threshold, positive(labels[i], o.positive)
  end
  local out = metrics.f1(guess, truth)
  out.auc, out.threshold = auc, o.threshold
  return out
end

--- - Spread
-- ------------------------------------------------------------------------------------------

--- Mean and standard deviation (n - 1; 0 for one value) of a list.
function metrics.mean_std(values)
  values = list("mean_std", "values", values)
  local n, sum, square = #values, 0, 0
  for i = 1, n do sum = sum + values[i] end
  local mean = sum / n
  for i = 1, n do square = square + (values[i] - mean) ^ 2 end
  return mean, n > 1 and math.sqrt(square / (n - 1)) or 0
end

--- The q-quantile of a list, interpolated linearly between order statistics.
function metrics.quantile(values, q)
  local sorted = {}
  for i, v in ipairs(list("quantile", "values", values)) do sorted[i] = v end
  table.sort(sorted)
  local at = 1 + (#sorted - 1) * q
  local low = math.floor(at)
  local high = math.min(low + 1, #sorted)
  return sorted[low] + (at - low) * (sorted[high] - sorted[low])
end

--- Percentile interval of statistic(indices) when whole groups are drawn with replacement
-- (Efron 1979). groups[i]: the group of sample i (photograph, patient); a number n stands for n
-- samples on their own. Options: rounds = 1000, level = 0.95, seed = 1. Draws on which the
-- statistic raises or gives nil (one class only) are left out; an error when fewer than half
-- remain. Returns { low, high, rounds = draws used }.
function metrics.bootstrap(statistic, groups, opts)
  local o = options("bootstrap", opts, { rounds = 1000, level = 0.95, seed = 1 })
  local members, names = {}, {}
  for i = 1, type(groups) == "number" and groups or #groups do
    local name = type(groups) == "number" and i or groups[i]
    if not members[name] then
      members[name] = {}
      names[#names + 1] = name
    end
    table.insert(members[name], i)
  end
  if #names == 0 then error("bootstrap: no samples", 2) end
  local rng, values, reason = al.generator(o.seed), {}, nil
  for _ = 1, o.rounds do
    local draw = al.rand(#names, { dtype = "float64", generator = rng }):totable()
    local indices = {}
    for k = 1, #names do
      for _, i in ipairs(members[names[math.floor(draw[k] * #names) + 1]]) do
        indices[#indices + 1] = i
      end
    end
    local fine, value = pcall(statistic, indices)
    if fine and value and value == value then
      values[#values + 1] = value
    else
      reason = value
    end
  end
  if #values < o.rounds / 2 then
    error(("bootstrap: the statistic failed on %d of %d draws (%s)")
      :format(o.rounds - #values, o.rounds, tostring(reason)), 2)
  end
  local tail = (1 - o.level) / 2
  local low, high = metrics.quantile(values, tail), metrics.quantile(values, 1 - tail)
  return { low, high, rounds = #values }
end

-- Chance that Student's t with `df` degrees lies in [0, t]. With t = sqrt(df) tan(u) the
-- density is proportional to cos(u)^(df - 1), integrated by Simpson's rule.
local function student_half(t, df)
  local function integral(b, n)
    local h, sum = b / n, 1 + math.cos(b) ^ (df - 1)
    for i = 1, n - 1 do sum = sum + math.cos(i * h) ^ (df - 1) * (i % 2 == 1 and 4 or 2) end
    return sum * h / 3
  end
  return integral(math.atan(t / math.sqrt(df)), 400) / integral(math.pi / 2, 400) / 2
end

local function student_quantile(level, df)
  local low, high = 0, 1000
  for _ = 1, 60 do
    local mid = (low + high) / 2
    if student_half(mid, df) < level / 2 then low = mid else high = mid end
  end
  return high
end

-- Ranks from 1, ties at their mean.
local function ranks(values)
  local order, rank = {}, {}
  for i = 1, #values do order[i] = i end
  table.sort(order, function(i, j) return values[i] < values[j] end)
  local from = 1
  while from <= #order do
    local to = from
    while to < #order and values[order[to + 1]] == values[order[from]] do to = to + 1 end
    for k = from, to do rank[order[k]] = (from + to) / 2 end
    from = to + 1
  end
  return rank
end

--- Spearman's rank correlation of two lists or tensors of one length; NaN when one is constant.
function metrics.spearman(a, b)
  a, b = pair("spearman", "a", a, "b", b)
  local x, y = ranks(a), ranks(b)
  local middle, xy, xx, yy = (#x + 1) / 2, 0, 0, 0
  for i = 1, #x do
    local u, v = x[i] - middle, y[i] - middle
    xy, xx, yy = xy + u * v, xx + u * u, yy + v * v
  end
  return xy / math.sqrt(xx * yy)
end

--- a against b measured on the same seeds or folds: { mean, std, n, interval = { low, high } }
-- of a - b, the interval Student's at `level` (0.95). One pair alone has no interval.
function metrics.paired(a, b, level)
  a, b = pair("paired", "a", a, "b", b)
  local difference = {}
  for i = 1, #a do difference[i] = a[i] - b[i] end
  local mean, std = metrics.mean_std(difference)
  local out = { mean = mean, std = std, n = #a }
  if #a > 1 then
    local half = student_quantile(level or 0.95, #a - 1) * std / math.sqrt(#a)
    out.interval = { mean - half, mean + half }
  end
  return out
end

return metrics
