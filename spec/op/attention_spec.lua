local al = require "albedo"

local function far(a, b) return (a:detach() - b:detach()):abs():max():item() end

describe("scaled_dot_product_attention", function()
  it("is the formula, at a size where it works part by part", function()
    al.seed(2)
    local function leaf(...) return al.randn({ ... }, { dtype = "float64" }):requires_grad_() end
    local l, s = 700, 650
    local may = al.rand(1, 1, l, s):gt(0.3)
    for _, case in ipairs { { mask = may }, { mask = leaf(1, 1, 1, s), causal = true } } do
      local q, k, v = leaf(2, 2, l, 4), leaf(2, 2, s, 4), leaf(2, 2, s, 3)
      local g = al.randn({ 2, 2, l, 3 }, { dtype = "float64" })
      local y = al.scaled_dot_product_attention(q, k, v, case)
      local scores = q:matmul(k:transpose(-1, -2)) * 0.5
      if case.causal then
        scores = (scores + case.mask)
          :masked_fill(al.ones(l, s):tril():logical_not(), -math.huge)
      else
        scores = scores:masked_fill(may:logical_not(), -math.huge)
      end
      local z = scores:softmax(-1):matmul(v)
      assert.is_true(far(y, z) < 1e-12)
      local leaves = { q, k, v, case.causal and case.mask }
      local got = al.grad(y, leaves, { grad_outputs = g })
      local want = al.grad(z, leaves, { grad_outputs = g })
      for i = 1, #leaves do assert.is_true(far(got[i], want[i]) < 1e-10, "gradient " .. i) end
    end
  end)

  it("gives 0 where a query may attend to nothing, and no NaN to the gradient", function()
    local q = al.ones(2, 3):requires_grad_()
    local y = al.scaled_dot_product_attention(q, al.ones(2, 3), al.ones(2, 3),
      { mask = al.tensor { { true, false }, { false, false } } })
    assert.same({ { 1, 1, 1 }, { 0, 0, 0 } }, y:totable())
    y:sum():backward()
    assert.same({ { 0, 0, 0 }, { 0, 0, 0 } }, q.grad:totable())
  end)

  it("drops weights, scaling the others", function()
    al.seed(4)
    local y = al.scaled_dot_product_attention(al.zeros(1, 1), al.zeros(4000, 1),
      al.ones(4000, 1), { dropout = 0.5 })
    assert.near(1, y:item(), 0.06)
    assert.is_true(y:item() ~= 1)
  end)
end)
