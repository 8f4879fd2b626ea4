-- al.metrics against scikit-learn, SciPy and formulas in NumPy float64 (spec/support/sklearn_metrics.py
-- has the formulas), to 1e-12 on random and degenerate cases.
local al = require "albedo"
local metrics = al.metrics

local function cases()
  for _, python in ipairs { "python3", "/usr/bin/python3" } do
    local pipe = io.popen(python .. " spec/support/sklearn_metrics.py 2>/dev/null")
    local text = pipe:read "*a"
    pipe:close()
    if text:find "}\n$" then return assert((loadstring or load)(text))() end
  end
end

local function near(expected, found, what)
  assert.is_true(math.abs(expected - found) <= 1e-12 * math.max(1, math.abs(expected)),
    ("%s: %.17g, not %.17g"):format(what, found, expected))
end

local function same(expected, found, what)
  for i, v in ipairs(expected) do near(v, found[i], ("%s[%d]"):format(what, i)) end
  assert.equal(#expected, #found, what)
end

describe("metrics against scikit-learn's", function()
  local all = cases()
  if not all then
    pending "values agree (no scikit-learn for Python here)"
    return
  end

  it("AUC, AP, curves, F1, precision, recall, calibration", function()
    for i, c in ipairs(all.scores) do
      local roc, pr = metrics.roc(c.s, c.y), metrics.precision_recall(c.s, c.y)
      near(c.auc, metrics.auc(c.s, c.y), "auc")
      near(c.auc, roc.auc, "roc.auc")
      same(c.fpr, roc.fpr, "fpr")
      same(c.tpr, roc.tpr, "tpr")
      near(c.ap, metrics.average_precision(c.s, c.y), "ap " .. i)
      -- scikit-learn 1.2 ends where recall reaches 1 first or at all scores: ours goes on
      for k, v in ipairs(c.recall) do
        near(v, pr.recall[k], "recall")
        near(c.precision[k], pr.precision[k], "precision")
      end
      local b = metrics.binary(c.s, c.y)
      for name, v in pairs { f1 = c.f1, precision = c.p, recall = c.r, accuracy = c.accuracy } do
        near(v, b[name], name)
      end
      local calibration = metrics.calibration(c.s, c.y)
      near(c.ece, calibration.ece, "ece")
      near(c.brier, calibration.brier, "brier")
      near(c.ece5, metrics.calibration(c.s, c.y, { bins = 5 }).ece, "ece of 5 bins")
    end
  end)

  it("several classes: macro, micro, confusion, Dice, Jaccard", function()
    for _, c in ipairs(all.classes) do
      local macro = metrics.f1(c.g, c.y, { average = "macro" })
      near(c.macro, macro.f1, "macro")
      near(c.precision, macro.precision, "macro precision")
      near(c.recall, macro.recall, "macro recall")
      near(c.micro, metrics.f1(c.g, c.y, { average = "micro" }).f1, "micro")
      assert.same(c.confusion, metrics.confusion(c.g, c.y, c.k).counts)
      local g, y = al.tensor(c.g, { dtype = "int64" }), al.tensor(c.y, { dtype = "int64" })
      for k = 1, c.k do
        near(c.dice[k], metrics.dice(g, y, { class = k, empty = 0 }), "dice")
        near(c.jaccard[k], metrics.iou(g:eq(k), y:eq(k), { empty = 0 }), "iou")
      end
    end
  end)

  it("Frechet distance and MMD of features", function()
    for _, c in ipairs(all.features) do
      local x, y = al.tensor(c.x, { dtype = "float64" }), al.tensor(c.y, { dtype = "float64" })
      near(c.frechet, metrics.frechet(x, y), "frechet")
      local m = metrics.mmd(x, y, { permutations = 0 })
      near(c.h, m.bandwidth, "bandwidth")
      near(c.mmd2, m.mmd2, "mmd2")
    end
  end)

  it("paired tests", function()
    for i, c in ipairs(all.paired) do
      local t = metrics.t_test(c.a, c.b)
      near(c.t, t.t, "t")
      assert.near(c.p, t.p, 1e-10)
      if c.wilcoxon >= 0 then
        local w = metrics.wilcoxon(c.a, c.b)
        near(c.w, w.w, "w " .. i)
        near(c.wilcoxon, w.p, "wilcoxon " .. i)
      end
      near(c.mcnemar, metrics.mcnemar(c.one, c.other).p, "mcnemar")
    end
  end)
end)
