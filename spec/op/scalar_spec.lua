-- Scalars where a dim is wanted, and other arguments at the edge: no read outside, no surprise.
local al = require "albedo"

local function message(f, ...)
  local ok, m = pcall(f, ...)
  assert.is_false(ok)
  return m
end

describe("a scalar", function()
  local t = al.tensor(3)

  it("has one dim of one entry wherever an op takes its dim", function()
    assert.equal(3, al.flip(t, 1):item())
    assert.equal(3, t:sum(1):item())
    assert.equal(3, t:cumsum(1):item())
  end)

  it("cannot be transformed", function()
    assert.is_truthy(message(al.rfft, t, 5):find("no dim to transform", 1, true))
    assert.is_truthy(message(al.fft, al.ones(2)):find("no dim besides the pair", 1, true))
  end)

  it("is a mask of all", function()
    local q = al.ones(3, 1)
    assert.same({ { 1 }, { 1 }, { 1 } }, al.scaled_dot_product_attention(q, q, q, al.tensor(true)):totable())
  end)
end)

describe("scaled_dot_product_attention", function()
  it("gives 0 to a query that mask and causal together leave nothing", function()
    local q = al.ones(3, 1):requires_grad_()
    local y = al.scaled_dot_product_attention(q, q, q, al.tensor { false, false, true }, { causal = true })
    assert.same({ { 0 }, { 0 }, { 1 } }, y:totable())
    y:sum():backward()
    assert.same({ { 0 }, { 0 }, { 1 } }, q.grad:totable())
  end)
end)

describe("arguments out of range", function()
  it("are refused", function()
    local x, w = al.ones(1, 1, 4, 4), al.ones(1, 1, 2, 2)
    for _, pad in ipairs { {}, { 1, 2 ^ 40 }, { 1, 2, 3 }, { -1 } } do
      assert.is_truthy(message(al.fft_conv2d, x, w, { pad = pad }):find("pad wants", 1, true))
    end
    local one = al.tensor({ 1 }, { dtype = "int64" })
    assert.is_truthy(message(al.index_add, al.tensor { true }, 1, one, al.tensor { true }):find("bool does not add", 1, true))
    assert.is_truthy(message(al.polygamma, 2 ^ 40, al.ones(1)):find("n wants", 1, true))
    assert.is_truthy(message(al.threshold_multiotsu, al.rand(5, 5), -2 ^ 62):find("classes is", 1, true))
    assert.same({ 8, 8 }, al.iradon(al.ones(8, 3), al.tensor { 0 / 0, 1e300, 1 }).shape)
  end)
end)
