local al = require "albedo"

describe("pooled", function()
  local function filled()
    local pooled = al.pooled()
    local keys = { photo = { "a", "a", "b", "b" }, regime = { "x", "y", "x", "y" } }
    keys.y = al.tensor({ 1, 2, 1, 2 }, { dtype = "int64" })
    pooled:add("net", 1, keys, { 0.1, 0.9, 0.2, 0.8 })         -- AUC 1
    pooled:add("net", 2, keys, al.tensor { 0.1, 0.9, 0.8, 0.2 }) -- 0.75
    return pooled
  end

  it("gives the mean over the seeds, with an interval over groups", function()
    local auc = filled():auc "net"
    assert.are.equal(0.875, auc.mean)
    assert.are.equal(2, auc.n)
    assert.is_true(auc.low >= 0.5 and auc.low < 0.875 and auc.high == 1)
  end)

  it("chooses samples by a field", function()
    local pooled = al.pooled()
    pooled:add("net", 1, { y = { 1, 2, 1, 2 }, photo = { 1, 1, 1, 1 }, part = { 1, 1, 2, 2 } },
      { 0, 1, 1, 0 })
    assert.are.equal(1, pooled:auc("net", { part = 1 }).mean)
    assert.are.equal(0, pooled:auc("net", { part = 2 }).mean)
  end)

  it("breaks the AUC down by a field, in a table and bars", function()
    local pooled, seen = al.pooled(), {}
    pooled:add("net", 1, { photo = { "a", "a", "b", "b" }, regime = { "x", "x", "y", "y" }, y = { 1, 2, 1, 2 } },
      { 0.1, 0.9, 0.8, 0.2 })
    pooled:breakdown({
      table = function(_, name, t) seen.name, seen.table = name, t end,
      plot = function(_, kind, _, spec) seen.kind, seen.spec = kind, spec end,
    }, { by = "regime", levels = { "x", "y" }, arms = { "net" }, titles = { "the net" } })
    local rows = seen.table.rows
    assert.same({ "auc_by_regime", "bars" }, { seen.name, seen.kind })
    assert.same({ "regime", "the net" }, seen.table.columns)
    assert.same({ "x", 1, "y", 0, "all", 0.75 },
      { rows[1][1], rows[1][2].mean, rows[2][1], rows[2][2].mean, rows[3][1], rows[3][2].mean })
    assert.same({ 1, 0 }, seen.spec.series[1].values)
  end)

  it("takes any name, and says which it does not know", function()
    local pooled = al.pooled()
    pooled:add("auc", 1, { y = { 1, 2 }, photo = { 1, 1 } }, { 0, 1 })
    assert.are.equal(1, pooled:auc("auc").mean)
    assert.error_matches(function() pooled:auc "add" end, "nothing was added for add")
    assert.error_matches(function() pooled:auc("auc", { by = "colour" }) end, "no field colour")
  end)

  it("wants a score a sample", function()
    assert.has_error(function() al.pooled():add("net", 1, { y = { 1, 2 } }, { 1 }) end,
      "pooled: 1 scores of net for 2 samples")
  end)
end)
