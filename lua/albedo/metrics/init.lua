--- al.metrics: what experiments report. Inputs are 1-d tensors or plain lists; what was
-- predicted comes first, then the truth. Labels count from 1. Where a class is judged against
-- the rest they are booleans, or 1 and 2, of which 2 is positive; of other classes (0 and 1, or
-- three) the option `positive` names the one. NaN, an empty list, or a single class where two
-- are needed raise an error naming the metric.

local al = require "albedo"
local options = require "albedo.options"
local tests = require "albedo.metrics.tests"
local metrics = {}

local lists = require "albedo.metrics.lists"
local list, pair, raise, between = lists.list, lists.pair, lists.raise, lists.between
local ascending, scored = lists.ascending, lists.scored

local function ratio(a, b) return b > 0 and a / b or 0 end

--- - Counts
-- ------------------------------------------------------------------------------------------

local Confusion = {}
Confusion.__index = Confusion

-- Counts of so many classes take 268 MB.
local MANY = 4096

--- A table of counts, counts[actual][predicted], over classes 1 .. `classes` (by default the
-- largest label seen, up to 4096), with accuracy(), class(k), macro(), micro(); print shows it.
function metrics.confusion(predicted, actual, classes)
  predicted, actual = pair("confusion", "predicted", predicted, "actual", actual)
  if classes then between("confusion", "classes", classes, 1, 2 ^ 15, true) end
  local largest = classes or 0
  for i = 1, #actual do
    for _, v in ipairs { predicted[i], actual[i] } do
      if type(v) ~= "number" or v < 1 or v % 1 ~= 0 or classes and v > classes then
        raise("confusion", "sample %d has label %s; labels are integers from 1%s%s", i,
          lists.text(v), classes and " to " .. classes or "",
          v == 0 and ": labels + 1, if they are from 0" or "")
      elseif v > MANY and not classes then
        raise("confusion", "sample %d has label %s: a table of as many classes? The third "
          .. "argument says how many there are", i, lists.text(v))
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

--- { precision, recall, f1, ... } of predicted against actual labels. Options: average =
-- "binary" (booleans, or classes 1 and 2; of other labels class `positive` against the rest),
-- "macro" or "micro" (over all classes).
function metrics.f1(predicted, actual, opts)
  local o = options("f1", opts, { average = "binary" }, { "positive" })
  if o.average == "macro" or o.average == "micro" then
    local c = metrics.confusion(predicted, actual)
    return c[o.average](c)
  elseif o.average ~= "binary" then
    raise("f1", "average is 'binary', 'macro' or 'micro', got '%s'", tostring(o.average))
  end
  predicted, actual = pair("f1", "predicted", predicted, "actual", actual)
  local guesses, truths = lists.truths("f1", o.positive, "predicted", predicted, "actual",
    actual)
  local tp, fp, fn, tn = 0, 0, 0, 0
  for i, truth in ipairs(truths) do
    if guesses[i] and truth then tp = tp + 1
    elseif guesses[i] then fp = fp + 1
    elseif truth then fn = fn + 1
    else tn = tn + 1 end
  end
  if tp + fn == 0 then
    raise("f1", "no actual sample is positive (true, or class %s)", tostring(o.positive or 2))
  end
  return {
    tp = tp, fp = fp, fn = fn, tn = tn, accuracy = (tp + tn) / #actual,
    precision = ratio(tp, tp + fp), recall = ratio(tp, tp + fn),
    f1 = 2 * tp / (2 * tp + fp + fn),
  }
end

--- - Scores
-- ------------------------------------------------------------------------------------------

--- Area under the ROC curve: the chance that a positive scores above a negative, ties counting
-- one half (Mann and Whitney 1947). Scores first, then labels: booleans, or 1 and 2 (2 is
-- positive); of other labels the option `positive` names the class judged against the rest.
function metrics.auc(scores, labels, opts)
  local o = options("auc", opts, {}, { "positive" })
  local s, truths, np = scored("auc", scores, labels, o.positive)
  local n, order, rank_sum, i = #s, ascending(s), 0, 1
  while i <= n do
    local j, tied = i, 0
    while j <= n and s[order[j]] == s[order[i]] do
      tied = tied + (truths[order[j]] and 1 or 0)
      j = j + 1
    end
    rank_sum = rank_sum + tied * (i + j - 1) / 2 -- mean rank of the tie, from 1
    i = j
  end
  return (rank_sum - np * (np + 1) / 2) / (np * (n - np))
end

--- The threshold t for which "positive when score >= t" has the best F1, and that F1; for use
-- on validation scores. Labels and the option `positive` as auc's.
function metrics.best_threshold(scores, labels, opts)
  local o = options("best_threshold", opts, {}, { "positive" })
  local s, truths, np = scored("best_threshold", scores, labels, o.positive)
  local order, tp, best, best_f1 = ascending(s), 0, nil, -1
  for rank = #order, 1, -1 do
    local i = order[rank]
    tp = tp + (truths[i] and 1 or 0)
    local below = order[rank - 1]
    if not below or s[below] < s[i] then
      local f1 = 2 * tp / (#order - rank + 1 + np)
      if f1 > best_f1 then best, best_f1 = s[i], f1 end
    end
  end
  return best, best_f1
end

--- Everything on a binary detector: { auc, precision, recall, f1, accuracy, tp, fp, fn, tn,
-- threshold }. Options: threshold = 0.5 (positive when score >= threshold), positive (as
-- auc's).
function metrics.binary(scores, labels, opts)
  local o = options("binary", opts, { threshold = 0.5 }, { "positive" })
  between("binary", "threshold", o.threshold, -math.huge, math.huge)
  local s, truths = scored("binary", scores, labels, o.positive)
  local guess = {}
  for i, v in ipairs(s) do guess[i] = v >= o.threshold end
  local out = metrics.f1(guess, truths)
  out.auc, out.threshold = metrics.auc(s, truths), o.threshold
  return out
end

--- - Spread
-- ------------------------------------------------------------------------------------------

--- Mean and standard deviation (n - 1; 0 for one value) of a list.
function metrics.mean_std(values)
  values = list("mean_std", "values", values, "number")
  local n, sum, square = #values, 0, 0
  for i = 1, n do sum = sum + values[i] end
  local mean = sum / n
  for i = 1, n do square = square + (values[i] - mean) ^ 2 end
  return mean, n > 1 and math.sqrt(square / (n - 1)) or 0
end

--- The q-quantile of a list, 0 <= q <= 1, interpolated linearly between order statistics.
function metrics.quantile(values, q)
  between("quantile", "q", q, 0, 1)
  local sorted = {}
  for i, v in ipairs(list("quantile", "values", values, "number")) do sorted[i] = v end
  table.sort(sorted)
  local at = 1 + (#sorted - 1) * q
  local low = math.floor(at)
  local high = math.min(low + 1, #sorted)
  return sorted[low] + (at - low) * (sorted[high] - sorted[low])
end

-- The options of what draws with replacement, checked; `further` names more of them.
local function drawing(what, opts, further)
  local o = options(what, opts, { rounds = 1000, level = 0.95, seed = 1 }, further)
  between(what, "rounds", o.rounds, 1, math.huge, true)
  between(what, "level", o.level, 1e-9, 1 - 1e-9)
  return o
end

--- Percentile interval of statistic(indices) when whole groups are drawn with replacement
-- (Efron 1979). groups[i]: the group of sample i (photograph, patient); a number n stands for n
-- samples on their own. Options: rounds = 1000, level = 0.95, seed = 1. Draws on which the
-- statistic raises or gives nil (one class only) are left out; an error when fewer than half
-- remain. Returns { low, high, rounds = draws used }.
function metrics.bootstrap(statistic, groups, opts)
  local o = drawing("bootstrap", opts)
  if type(groups) == "number" then
    between("bootstrap", "the number of samples", groups, 1, 2 ^ 53, true)
  else
    groups = list("bootstrap", "groups", groups)
  end
  local members, names = {}, {}
  for i = 1, type(groups) == "number" and groups or #groups do
    local name = type(groups) == "number" and i or groups[i]
    if not members[name] then
      members[name] = {}
      names[#names + 1] = name
    end
    table.insert(members[name], i)
  end
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
    if fine and type(value) == "table" then
      raise("bootstrap", "the statistic gives a table, not a number: take a field of it")
    elseif fine and value and value == value then
      values[#values + 1] = value
    else
      reason = value
    end
  end
  if #values < o.rounds / 2 then
    raise("bootstrap", "the statistic failed on %d of %d draws (%s)", o.rounds - #values,
      o.rounds, tostring(reason))
  end
  local tail = (1 - o.level) / 2
  local low, high = metrics.quantile(values, tail), metrics.quantile(values, 1 - tail)
  return { low, high, rounds = #values }
end

--- Spearman's rank correlation of two lists or tensors of one length, ties at their mean rank.
-- A constant list has none, and raises.
function metrics.spearman(a, b)
  a, b = pair("spearman", "a", a, "b", b, "number", "number")
  local x, y = lists.ranks(a), lists.ranks(b)
  local middle, xy, xx, yy = (#x + 1) / 2, 0, 0, 0
  for i = 1, #x do
    local u, v = x[i] - middle, y[i] - middle
    xy, xx, yy = xy + u * v, xx + u * u, yy + v * v
  end
  if xx == 0 or yy == 0 then
    raise("spearman", "all values of %s are equal, they have no order", xx == 0 and "a" or "b")
  end
  return xy / math.sqrt(xx * yy)
end

--- a against b measured on the same seeds or folds: { mean, std, n, interval = { low, high } }
-- of a - b, the interval Student's at `level` (0.95). One pair alone has no interval.
function metrics.paired(a, b, level)
  a, b = pair("paired", "a", a, "b", b, "number", "number")
  between("paired", "level", level or 0.95, 1e-9, 1 - 1e-9)
  local difference = {}
  for i = 1, #a do difference[i] = a[i] - b[i] end
  local mean, std = metrics.mean_std(difference)
  local out = { mean = mean, std = std, n = #a }
  if #a > 1 then
    local half = tests.student_quantile(level or 0.95, #a - 1) * std / math.sqrt(#a)
    out.interval = { mean - half, mean + half }
  end
  return out
end

-- A metric's value on all samples, which must be a number, and groups of as many as they are.
local function whole(what, o, metric, predicted, actual)
  local v = metric(predicted, actual)
  if type(v) ~= "number" then
    raise(what, "the metric gives a %s, not a number%s", type(v), type(v) == "table"
      and ": function(p, a) return metrics.f1(p, a).f1 end takes a field" or "")
  end
  if o.groups and #lists.list(what, "groups", o.groups) ~= #actual then
    raise(what, "%d groups, %d samples", #lists.list(what, "groups", o.groups), #actual)
  end
  return v
end

--- The value of metric(predicted, actual), a number, with its percentile interval by bootstrap:
-- { mean = value, low, high, n }, as reports show it. Options: groups (a list: whole groups are
-- drawn), rounds = 1000, level = 0.95, seed = 1.
--   metrics.interval(metrics.auc, scores, labels, { groups = photo_of })
function metrics.interval(metric, predicted, actual, opts)
  local o = drawing("interval", opts, { "groups" })
  predicted, actual = pair("interval", "predicted", predicted, "actual", actual)
  local value = whole("interval", o, metric, predicted, actual)
  local interval = metrics.bootstrap(function(drawn)
    local p, a = {}, {}
    for k, i in ipairs(drawn) do p[k], a[k] = predicted[i], actual[i] end
    return metric(p, a)
  end, o.groups or #actual, { rounds = o.rounds, level = o.level, seed = o.seed })
  return { mean = value, low = interval[1], high = interval[2], n = #actual }
end

--- Two predictors on the same samples: metric(a, actual) - metric(b, actual) with its interval
-- by bootstrap over samples, or over whole groups: { mean, low, high, p, n }; p is twice the
-- share of draws on the other side of 0, at least 2 / (draws + 1), at most 1. Options as
-- interval's.
function metrics.paired_bootstrap(metric, a, b, actual, opts)
  local o = drawing("paired_bootstrap", opts, { "groups" })
  a, actual = pair("paired_bootstrap", "a", a, "actual", actual)
  b = pair("paired_bootstrap", "b", b, "actual", actual)
  local mean = whole("paired_bootstrap", o, metric, a, actual)
    - whole("paired_bootstrap", o, metric, b, actual)
  local function difference(drawn)
    local p, q, t = {}, {}, {}
    for k, i in ipairs(drawn) do p[k], q[k], t[k] = a[i], b[i], actual[i] end
    return metric(p, t) - metric(q, t)
  end
  local values = {}
  local interval = metrics.bootstrap(function(drawn)
    local d = difference(drawn)
    values[#values + 1] = d
    return d
  end, o.groups or #actual, { rounds = o.rounds, level = o.level, seed = o.seed })
  local below, above = 0, 0
  for _, d in ipairs(values) do
    if d <= 0 then below = below + 1 end
    if d >= 0 then above = above + 1 end
  end
  return {
    mean = mean, low = interval[1], high = interval[2],
    n = #actual, p = math.min(1, 2 * (math.min(below, above) + 1) / (#values + 1)),
  }
end

for _, part in ipairs { "curves", "overlap", "features", "tests" } do
  for name, f in pairs(require("albedo.metrics." .. part)) do metrics[name] = f end
end

return metrics
