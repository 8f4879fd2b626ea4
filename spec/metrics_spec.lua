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
    local flat = al.metrics.spearman({ 1, 1, 1 }, { 1, 2, 3 })
    assert.is_true(flat ~= flat)
  end)
end)
