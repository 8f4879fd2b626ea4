-- What scores are worth at every threshold, and whether probabilities mean what they say.
local al = require "albedo"
local lists = require "albedo.metrics.lists"
local options = require "albedo.options"

local curves = {}

-- Counts when the highest 1, 2, ... scores are called positive, once a distinct score:
-- { tp, fp, threshold } lists, and the positives and negatives in all.
local function counts(what, given, labels, opts)
  local o = options(what, opts, {}, { "positive" })
  local scores, truths, positives = lists.scored(what, given, labels, o.positive)
  local order, tp, fp = lists.ascending(scores), 0, 0
  local out = { tp = {}, fp = {}, threshold = {} }
  for rank = #order, 1, -1 do
    local i = order[rank]
    if truths[i] then tp = tp + 1 else fp = fp + 1 end
    local below = order[rank - 1]
    if not below or scores[below] < scores[i] then
      table.insert(out.tp, tp)
      table.insert(out.fp, fp)
      table.insert(out.threshold, scores[i])
    end
  end
  return out, positives, #truths - positives
end

--- The ROC curve, from (0, 0) to (1, 1), tied scores one point: { fpr, tpr, threshold, auc };
-- al.plot.roc takes it as a curve. threshold[k]: scores from it on are positive (the first is
-- infinite). Labels and the option `positive` as auc's.
function curves.roc(scores, labels, opts)
  local c, np, nn = counts("roc", scores, labels, opts)
  local out = { fpr = { 0 }, tpr = { 0 }, threshold = { math.huge }, auc = 0 }
  for k = 1, #c.tp do
    local fpr, tpr = c.fp[k] / nn, c.tp[k] / np
    out.auc = out.auc + (fpr - out.fpr[k]) * (tpr + out.tpr[k]) / 2
    out.fpr[k + 1], out.tpr[k + 1], out.threshold[k + 1] = fpr, tpr, c.threshold[k]
  end
  return out
end

local function precision_recall(what, scores, labels, opts)
  local c, np = counts(what, scores, labels, opts)
  local out = { precision = { 1 }, recall = { 0 }, threshold = { math.huge }, ap = 0 }
  for k = 1, #c.tp do
    local precision, recall = c.tp[k] / (c.tp[k] + c.fp[k]), c.tp[k] / np
    out.ap = out.ap + precision * (recall - out.recall[k])
    out.precision[k + 1], out.recall[k + 1] = precision, recall
    out.threshold[k + 1] = c.threshold[k]
  end
  return out
end

--- Precision against recall, from recall 0 on (precision 1 there), tied scores one point:
-- { precision, recall, threshold, ap }; ap is the average precision, the sum of precision times
-- the rise of recall, nothing interpolated. Labels and the option `positive` as auc's.
function curves.precision_recall(scores, labels, opts)
  return precision_recall("precision_recall", scores, labels, opts)
end

--- Average precision: precision_recall's ap.
function curves.average_precision(scores, labels, opts)
  return precision_recall("average_precision", scores, labels, opts).ap
end

-- Confidence and correctness of each sample: of P(positive) the positive class' own; of N x C
-- probabilities the largest one's.
local function confidences(probabilities, labels, class)
  local what = "calibration"
  if not (al.is_tensor(probabilities) and probabilities.ndim == 2) then
    local p, y = lists.pair(what, "probabilities", probabilities, "labels", labels, "number")
    return p, (lists.truths(what, class, "labels", y))
  end
  local top, at = probabilities:max(2)
  local p, guess = lists.pair(what, "probabilities", top, "labels", at)
  local y, right = lists.list(what, "labels", labels, "number"), {}
  if #y ~= #p then lists.raise(what, "%d probabilities, %d labels", #p, #y) end
  for i = 1, #y do
    lists.between(what, ("labels[%d]"):format(i), y[i], 1, probabilities.shape[2], true)
    right[i] = guess[i] == y[i]
  end
  return p, right
end

--- Whether probabilities mean what they say: { ece, mce, brier, bins }. probabilities: of the
-- positive class, a list (labels and the option `positive` as auc's); or N x C, of which the
-- largest counts. In `bins` (15) bins of
-- equal width, (lower, upper], 0 in the first: ece is the mean of |accuracy - confidence|
-- weighted by the bins' counts (Guo et al. 2017), mce the largest; bins[k] = { confidence,
-- accuracy, n }. brier: the mean of (probability - outcome) squared.
function curves.calibration(probabilities, labels, opts)
  local o = options("calibration", opts, { bins = 15 }, { "positive" })
  lists.between("calibration", "bins", o.bins, 1, 1e6, true)
  local p, right = confidences(probabilities, labels, o.positive)
  local out = { ece = 0, mce = 0, brier = 0, bins = {} }
  for k = 1, o.bins do out.bins[k] = { confidence = 0, accuracy = 0, n = 0 } end
  for i, v in ipairs(p) do
    if v < 0 or v > 1 then
      lists.raise("calibration", "probabilities[%d] is %g, not of 0 to 1", i, v)
    end
    local bin, hit = out.bins[math.max(1, math.ceil(v * o.bins))], right[i] and 1 or 0
    bin.n, bin.confidence, bin.accuracy = bin.n + 1, bin.confidence + v, bin.accuracy + hit
    out.brier = out.brier + (v - hit) ^ 2 / #p
  end
  for _, bin in ipairs(out.bins) do
    if bin.n > 0 then
      bin.confidence, bin.accuracy = bin.confidence / bin.n, bin.accuracy / bin.n
      local gap = math.abs(bin.accuracy - bin.confidence)
      out.ece, out.mce = out.ece + gap * bin.n / #p, math.max(out.mce, gap)
    end
  end
  return out
end

return curves
