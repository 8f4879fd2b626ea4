local al = require "albedo"
local metrics = al.metrics

describe("metrics", function()
  it("confusion counts, and what follows from the counts", function()
    local actual = { 1, 1, 1, 2, 2, 3, 3, 3, 3, 1 }
    local guess = { 1, 2, 1, 2, 2, 3, 1, 3, 3, 3 }
    local c = metrics.confusion(guess, al.tensor(actual, { dtype = "int64" }))
    assert.same({ { 2, 1, 1 }, { 0, 2, 0 }, { 1, 0, 3 } }, c.counts)
    assert.near(0.7, c:accuracy(), 1e-15)
    local one = c:class(1)
    assert.same({ 2, 1, 2, 5 }, { one.tp, one.fp, one.fn, one.tn })
    assert.near(2 / 3, one.precision, 1e-15)
    assert.near(0.5, one.recall, 1e-15)
    assert.near(4 / 7, one.f1, 1e-15)
    local macro = c:macro()
    assert.near((2 / 3 + 2 / 3 + 3 / 4) / 3, macro.precision, 1e-15)
    assert.near((0.5 + 1 + 0.75) / 3, macro.recall, 1e-15)
    assert.near((4 / 7 + 0.8 + 0.75) / 3, macro.f1, 1e-15)
    assert.near(0.7, c:micro().f1, 1e-15)
    assert.near(0.7, metrics.accuracy(guess, actual), 1e-15)
    assert.near(macro.f1, metrics.f1(guess, actual, { average = "macro" }).f1, 1e-15)
    assert.is_truthy(tostring(c):find("predicted", 1, true))
    assert.equal(4, metrics.confusion({ 1 }, { 1 }, 4).classes)
  end)

  it("binary precision, recall, F1", function()
    local r = metrics.f1({ 2, 2, 1, 1, 2 }, { 2, 1, 2, 1, 2 })
    assert.same({ 2, 1, 1, 1 }, { r.tp, r.fp, r.fn, r.tn })
    assert.near(2 / 3, r.precision, 1e-15)
    assert.near(2 / 3, r.f1, 1e-15)
    assert.near(0.6, r.accuracy, 1e-15)
    assert.equal(0, metrics.f1({ 1, 1 }, { 1, 2 }).precision)
    assert.equal(1, metrics.f1({ true, false }, { true, false }).f1)
    assert.near(0.5, metrics.f1({ 1, 1, 2 }, { 1, 2, 1 }, { positive = 1 }).f1, 1e-15)
  end)

  it("AUC counts pairs, ties as one half", function()
    al.seed(11)
    for round = 1, 20 do
      local n = 5 + round * 3
      local draw = al.rand(2, n, { dtype = "float64" }):totable()
      local scores, labels = {}, {}
      for i = 1, n do
        scores[i] = round % 2 == 0 and draw[1][i] or math.floor(draw[1][i] * 5)
        labels[i] = (i == 1 or draw[2][i] < 0.4 and i ~= 2) and 2 or 1
      end
      local wins, pairs_ = 0, 0
      for i = 1, n do
        for j = 1, n do
          if labels[i] == 2 and labels[j] == 1 then
            pairs_ = pairs_ + 1
            wins = wins + (scores[i] > scores[j] and 1 or scores[i] == scores[j] and 0.5 or 0)
          end
        end
      end
      assert.near(wins / pairs_, metrics.auc(scores, labels), 1e-12)
    end
    assert.equal(0.5, metrics.auc({ 1, 1, 1 }, { 1, 2, 1 }))
    assert.equal(1, metrics.auc({ 1, 2 }, { false, true }))
  end)

  it("the best threshold is found among the scores", function()
    local t, f1 = metrics.best_threshold({ 0.1, 0.4, 0.35, 0.8 }, { 1, 1, 2, 2 })
    assert.equal(0.35, t)
    assert.near(0.8, f1, 1e-15)
    local all = metrics.binary({ 0.1, 0.4, 0.35, 0.8 }, { 1, 1, 2, 2 }, { threshold = t })
    assert.near(f1, all.f1, 1e-15)
    assert.near(0.75, all.auc, 1e-15)
    assert.equal(1, (metrics.best_threshold({ 1, 1, 1 }, { 1, 2, 2 })))
  end)

  it("raises, naming itself, on NaN, one class, nothing, other lengths", function()
    local function fails(wanted, fn, ...)
      local ok, text = pcall(fn, ...)
      assert.is_false(ok)
      assert.is_truthy(text:find(wanted, 1, true), text)
    end
    fails("auc: scores[2] is NaN", metrics.auc, { 1, 0 / 0 }, { 1, 2 })
    fails("auc: all 2 samples are negative; both classes are needed",
      metrics.auc, { 1, 2 }, { 1, 1 })
    fails("auc: all 2 samples are positive", metrics.auc, { 1, 2 }, { 2, 2 })
    fails("auc: scores is empty", metrics.auc, {}, {})
    fails("accuracy: 1 predicted, 2 actual", metrics.accuracy, { 1 }, { 1, 2 })
    fails("f1: no actual sample is positive", metrics.f1, { 1 }, { 1 })
    fails("labels are integers from 1", metrics.confusion, { 0 }, { 1 })
    fails("mean_std: values[1] is NaN", metrics.mean_std, { 0 / 0 })
    fails("best_threshold: all 2", metrics.best_threshold, { 1, 2 }, { 1, 1 })
  end)

  it("means, quantiles, paired differences", function()
    local mean, std = metrics.mean_std { 1, 2, 3, 6 }
    assert.equal(3, mean)
    assert.near(math.sqrt(14 / 3), std, 1e-15)
    assert.equal(0, select(2, metrics.mean_std { 5 }))
    assert.near(2.5, metrics.quantile({ 4, 1, 3, 2 }, 0.5), 1e-15)
    assert.near(1.75, metrics.quantile({ 4, 1, 3, 2 }, 0.25), 1e-15)

    -- two-sided 95 % points of Student's t: 12.7062 (1), 4.30265 (2), 3.18245 (3), 2.26216 (9)
    for df, t in pairs { [1] = 12.7062, [2] = 4.30265, [3] = 3.18245, [9] = 2.26216 } do
      local a, b = {}, {}
      for i = 1, df + 1 do a[i], b[i] = i % 3 + i, 0 end
      local p = metrics.paired(a, b)
      local half = (p.interval[2] - p.interval[1]) / 2
      assert.near(t, half / (p.std / math.sqrt(df + 1)), 1e-4)
    end
    assert.is_nil(metrics.paired({ 1 }, { 2 }).interval)
  end)

  it("bootstrap draws whole groups, reproducibly", function()
    local values, groups = {}, {}
    for i = 1, 60 do
      groups[i] = "photo" .. math.ceil(i / 6)
      values[i] = math.ceil(i / 6) -- constant within a group: the spread is between groups only
    end
    local function mean(indices)
      local sum = 0
      for _, i in ipairs(indices) do sum = sum + values[i] end
      return sum / #indices
    end
    local a = metrics.bootstrap(mean, groups, { rounds = 2000, seed = 3 })
    local b = metrics.bootstrap(mean, groups, { rounds = 2000, seed = 3 })
    assert.same(a, b)
    -- standard error of a mean of 10 draws from 1..10: sqrt(8.25 / 10)
    local half = 1.96 * math.sqrt(0.825)
    assert.near(5.5 - half, a[1], 0.25)
    assert.near(5.5 + half, a[2], 0.25)
    local narrow = metrics.bootstrap(mean, #values, { rounds = 500 })
    assert.is_true(narrow[2] - narrow[1] < (a[2] - a[1]) * 0.6)
    local function nothing() end
    assert.has_error(function() metrics.bootstrap(nothing, 3, { rounds = 10 }) end)
  end)
end)

describe("metrics of pairs and sets", function()
  it("any metric with an interval, over samples or groups", function()
    local scores, labels, groups = {}, {}, {}
    for i = 1, 60 do
      scores[i], labels[i], groups[i] = (i * 37 % 60) / 60, i * 37 % 60 > 25 and 2 or 1, i % 6
      if i % 7 == 0 then labels[i] = 3 - labels[i] end
    end
    local one = metrics.interval(metrics.auc, scores, labels, { rounds = 200 })
    assert.equal(metrics.auc(scores, labels), one.mean)
    assert.is_true(one.low < one.mean and one.mean < one.high and one.n == 60)
    assert.same(one, metrics.interval(metrics.auc, scores, labels, { rounds = 200 }))
    local grouped = metrics.interval(metrics.auc, scores, labels,
      { rounds = 200, groups = groups })
    assert.equal(one.mean, grouped.mean)
    assert.not_equal(one.low, grouped.low)
    local worse = {}
    for i, v in ipairs(scores) do worse[i] = i % 2 == 0 and v or 1 - v end
    local p = metrics.paired_bootstrap(metrics.auc, scores, worse, labels, { rounds = 300 })
    assert.is_true(p.low > 0 and p.p < 0.02)
    p = metrics.paired_bootstrap(metrics.auc, scores, scores, labels, { rounds = 50 })
    assert.same({ 0, 0, 0, 1 }, { p.mean, p.low, p.high, p.p })
  end)

  it("Wilcoxon is exact with ties: all signs counted", function()
    local d = { 1, -1, 2, 2, -3, 4, 4 }
    local zeros, rank = { 0, 0, 0, 0, 0, 0, 0 }, { 1.5, 1.5, 3.5, 3.5, 5, 6.5, 6.5 }
    local w, few = metrics.wilcoxon(d, zeros), 0
    assert.equal(6.5, w.w) -- 1.5 and 5 are negative
    for signs = 0, 127 do
      local sum = 0
      for i = 1, 7 do
        if math.floor(signs / 2 ^ (i - 1)) % 2 == 1 then sum = sum + rank[i] end
      end
      if sum <= 6.5 then few = few + 1 end
    end
    assert.near(2 * few / 128, w.p, 1e-15)
    assert.equal(6, metrics.wilcoxon({ 1, -1, 2, 2, -3, 0, 4 }, zeros).n)
  end)

  it("McNemar of labels: 1 against 5 by the binomial", function()
    local m = metrics.mcnemar({ 1, 2, 2, 2, 2, 2, 2 }, { 2, 1, 1, 1, 1, 1, 2 },
      { 1, 2, 2, 2, 2, 2, 2 })
    assert.same({ 6, 0 }, { m.a_only, m.b_only })
    assert.near(2 / 64, m.p, 1e-15)
    assert.equal(1, metrics.mcnemar({ true }, { true }).p)
  end)

  it("MMD finds a shift and no difference where there is none", function()
    al.seed(4)
    local a, b = al.randn(30, 2), al.randn(25, 2)
    local none = metrics.mmd(a, b, { permutations = 199 })
    local shift = metrics.mmd(a, b + 2, { permutations = 199 })
    assert.near(1 / 200, shift.p, 1e-15)
    assert.is_true(none.p > 0.02 and none.mmd2 < shift.mmd2)
    assert.same(none, metrics.mmd(a, b, { permutations = 199 }))
    -- alike in law: p falls below 0.2 about one time in five
    local low = 0
    for _ = 1, 40 do
      local m = metrics.mmd(al.randn(12, 1), al.randn(12, 1), { permutations = 49 })
      low = low + (m.p <= 0.2 and 1 or 0)
    end
    assert.is_true(low >= 1 and low <= 18, low)
    assert.near(0, metrics.frechet(a, a), 1e-12)
    assert.near(8, metrics.frechet(a, a + 2), 1e-5)
  end)

  it("calibration of N x C takes the largest probability", function()
    local p = al.tensor { { 0.9, 0.1 }, { 0.3, 0.7 }, { 0.95, 0.05 } }
    local c = metrics.calibration(p, { 1, 2, 2 }, { bins = 10 })
    -- 0.9 right, 0.7 right, 0.95 wrong: gaps 0.1, 0.3, 0.95
    assert.near((0.1 + 0.3 + 0.95) / 3, c.ece, 1e-6)
    assert.near(0.95, c.mce, 1e-6)
  end)

  it("name what is degenerate", function()
    local nan, one, mask = 0 / 0, al.zeros(1, 2), al.zeros(2, 2)
    for _, case in ipairs {
      { "roc: all 2 samples are negative", metrics.roc, { 1, 2 }, { 1, 1 } },
      { "roc: scores%[1%] is NaN", metrics.roc, { nan, 2 }, { 1, 2 } },
      { "average_precision: all 2 samples are positive", metrics.average_precision, { 1, 2 }, { 2, 2 } },
      { "precision_recall: labels is empty", metrics.precision_recall, { 1 }, {} },
      { "calibration: probabilities%[2%] is 1.5", metrics.calibration, { 1, 1.5 }, { 1, 2 } },
      { "calibration: probabilities%[1%] is NaN", metrics.calibration, { nan }, { 1 } },
      { "frechet: a has fewer than 2", metrics.frechet, one, mask },
      { "frechet: b holds NaN", metrics.frechet, mask, mask * nan },
      { "mmd: 2 features and 3", metrics.mmd, mask, al.zeros(2, 3) },
      { "mmd: half of the samples are equal", metrics.mmd, mask, mask },
      { "dice: both masks are empty", metrics.dice, mask, mask },
      { "iou: predicted is 2x2, actual 1x2", metrics.iou, mask, one },
      { "iou: a mask holds other values", metrics.iou, mask + 2, mask },
      { "dice: actual holds NaN", metrics.dice, mask, mask * nan },
      { "t_test: all differences are equal", metrics.t_test, { 1, 2 }, { 0, 1 } },
      { "wilcoxon: no pair differs", metrics.wilcoxon, { 1, 2 }, { 1, 2 } },
      { "t_test: at least two pairs", metrics.t_test, { 1 }, { 2 } },
      { "mcnemar: a and b are lists of booleans", metrics.mcnemar, { 1 }, { 2 } },
      { "interval: 1 predicted, 2 actual", metrics.interval, metrics.auc, { 1 }, { 1, 2 } },
    } do
      local ok, message = pcall(case[2], case[3], case[4], case[5])
      assert.is_false(ok, case[1])
      assert.is_truthy(message:find(case[1]), message)
    end
  end)
end)

describe("labels of a metric", function()
  -- What a call raises, at the line of the call.
  local function raises(wanted, fn)
    local ok, message = pcall(fn)
    assert.is_false(ok, wanted)
    assert.is_truthy(message:find("metrics_spec%.lua:%d+: "), message)
    assert.is_truthy(message:find(wanted, 1, true), message)
  end
  local scores, truth = { 0.1, 0.9, 0.4, 0.8 }, { 0, 1, 0, 1 }

  it("are 1 and 2; 0 and 1 raise, saying what to do", function()
    for _, name in ipairs { "auc", "roc", "precision_recall", "average_precision", "binary",
      "best_threshold", "calibration", "f1" } do
      local given = name == "f1" and { 0, 1, 1, 1 } or scores
      raises(name .. ": labels are 0 and 1 here; classes count from 1, and 2 is the positive "
        .. "one: give options.positive = 1, or labels + 1",
        function() return metrics[name](given, truth) end)
      assert.same(metrics[name](name == "f1" and { 1, 2, 2, 2 } or scores, { 1, 2, 1, 2 }),
        metrics[name](given, truth, { positive = 1 }))
    end
    assert.equal(1, metrics.auc(scores, al.tensor(truth), { positive = 1 }))
    raises('labels are "cat" and "dog" here', function()
      return metrics.auc(scores, { "cat", "dog", "cat", "dog" })
    end)
    assert.equal(1, metrics.auc(scores, { "cat", "dog", "cat", "dog" }, { positive = "dog" }))
    raises("auc: all 4 samples are negative; both classes are needed", function()
      return metrics.auc(scores, { 0, 0, 0, 0 })
    end)
    raises("confusion: sample 1 has label 0; labels are integers from 1: labels + 1",
      function() return metrics.confusion(truth, truth) end)
  end)

  it("given for scores are told apart", function()
    raises("auc: labels[1] is 0.1, no class: scores come first, then labels", function()
      return metrics.auc(truth, scores)
    end)
    raises("f1: predicted[1] is 0.1, no class", function() return metrics.f1(scores, truth) end)
    raises("auc: scores[2] is a string, not a number", function()
      return metrics.auc({ 1, "a" }, { 1, 2 })
    end)
  end)

  it("of three classes are judged one against the rest, when asked", function()
    local three = { 1, 3, 2, 3 }
    raises("roc: there are 3 classes, 1, 2 and 3: options.positive = 3 judges one",
      function() return metrics.roc(scores, three) end)
    raises('average = "macro" or "micro"', function() return metrics.f1(three, three) end)
    assert.equal(metrics.auc(scores, { 1, 2, 1, 2 }),
      metrics.auc(scores, three, { positive = 3 }))
    assert.equal(1, metrics.f1(three, three, { positive = 2 }).f1)
  end)

  it("that are ids do not become a table of their square", function()
    raises("confusion: sample 1 has label 1000000000: a table of as many classes?",
      function() return metrics.confusion({ 1, 1e9 }, { 1e9, 2 }) end)
    assert.equal(5000, metrics.confusion({ 1 }, { 1 }, 5000).classes)
    raises("confusion: classes is a whole number from 1 to 32768, got 1000000",
      function() return metrics.confusion({ 1 }, { 1 }, 1e6) end)
  end)

  it("every mistake is told at the caller's line, and by name", function()
    local m, x = metrics, al.randn(4, 2)
    local nan = 0 / 0
    for wanted, fn in pairs {
      ["calibration: bins is a whole number from 1"] = function()
        return m.calibration(scores, { 1, 2, 1, 2 }, { bins = 0 }) end,
      ["calibration: labels[2] is a whole number from 1 to 2, got 3"] = function()
        return m.calibration(al.rand(2, 2), { 1, 3 }) end,
      ["bootstrap: level is a number from"] = function()
        return m.bootstrap(function() return 1 end, 3, { level = 2 }) end,
      ["bootstrap: rounds is a whole number from 1"] = function()
        return m.bootstrap(function() return 1 end, 3, { rounds = 0 }) end,
      ["bootstrap: the statistic gives a table"] = function()
        return m.bootstrap(function() return {} end, 3) end,
      ["bootstrap: the number of samples"] = function()
        return m.bootstrap(function() return 1 end, 0) end,
      ["quantile: q is a number from 0 to 1, got 2"] = function() return m.quantile({ 1 }, 2) end,
      ["mmd: permutations is a whole number from 0 on, got -1"] = function()
        return m.mmd(x, x, { permutations = -1 }) end,
      ["mmd: bandwidth is a number from"] = function() return m.mmd(x, x, { bandwidth = 0 }) end,
      ["mmd: a holds NaN"] = function() return m.mmd(x * nan, x) end,
      ["interval: the metric gives a table, not a number: function(p, a) return metrics.f1"] =
        function() return m.interval(m.f1, { 1, 2 }, { 1, 2 }) end,
      ["interval: 1 groups, 2 samples"] = function()
        return m.interval(m.accuracy, { 1, 2 }, { 1, 2 }, { groups = { 1 } }) end,
      ["paired_bootstrap: the metric gives a table"] = function()
        return m.paired_bootstrap(m.f1, { 1, 2 }, { 1, 2 }, { 1, 2 }) end,
      ["paired: level is a number"] = function() return m.paired({ 1, 2 }, { 2, 4 }, 95) end,
      ["average_precision: scores[1] is NaN"] = function()
        return m.average_precision({ nan, 1 }, { 1, 2 }) end,
      ["f1: predicted[1] is NaN"] = function() return m.f1({ nan, 1 }, { 1, 2 }) end,
      ["f1: no actual sample is positive"] = function() return m.f1({ 1, 2 }, { 1, 1 }) end,
      ["calibration: probabilities[1] is NaN"] = function()
        return m.calibration({ nan, 1 }, { 1, 2 }) end,
      ["t_test: a[1] is a string, not a number"] = function()
        return m.t_test({ "a", "b" }, { 1, 2 }) end,
      ["wilcoxon: no pair differs"] = function() return m.wilcoxon({ 1, 2 }, { 1, 2 }) end,
      ["dice: both masks are empty"] = function() return m.dice(x:eq(9), x:eq(9)) end,
      ["dice: predicted is a nil, no tensor"] = function() return m.dice() end,
    } do raises(wanted, fn) end
  end)
end)

describe("progress", function()
  local function sink()
    local out = { text = "" }
    function out:write(...) self.text = self.text .. table.concat { ... } return self end
    function out.flush() end
    return out
  end

  it("draws on a terminal, and says little elsewhere", function()
    local out = sink()
    local bar = al.progress { total = 4, label = "train", out = out, terminal = true }
    for _ = 1, 4 do bar:step { loss = 0.25 } end
    bar:done()
    bar:done()
    assert.is_truthy(out.text:find("\r", 1, true))
    assert.is_truthy(out.text:find("train [####################] 4/4", 1, true))
    assert.is_truthy(out.text:find("loss 0.25", 1, true))
    local quiet = sink()
    bar = al.progress { total = 100000, out = quiet }
    for _ = 1, 100000 do bar:step(1) end
    bar:done()
    local _, lines = quiet.text:gsub("\n", "")
    assert.is_true(lines <= 3, quiet.text)
    assert.is_nil(quiet.text:find("\r", 1, true))
  end)
end)

describe("spearman", function()
  it("is the correlation of ranks, ties at their mean", function()
    assert.near(1, al.metrics.spearman({ 1, 5, 9 }, { 2, 3, 100 }), 1e-12)
    assert.near(-1, al.metrics.spearman({ 1, 5, 9 }, { 4, 3, 1 }), 1e-12)
    assert.near(0.9486832980505138, al.metrics.spearman({ 1, 2, 2, 3 }, { 1, 2, 3, 4 }), 1e-12) -- SciPy
    assert.error_matches(function() al.metrics.spearman({ 1, 1, 1 }, { 1, 2, 3 }) end,
      "spearman: all values of a are equal")
  end)
end)
