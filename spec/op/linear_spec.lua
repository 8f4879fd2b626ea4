local al = require "albedo"

-- the definition, entry by entry
local function product(a, b)
  local out = {}
  for i = 1, #a do
    out[i] = {}
    for j = 1, #b[1] do
      local s = 0
      for k = 1, #b do s = s + a[i][k] * b[k][j] end
      out[i][j] = s
    end
  end
  return out
end

-- products of these are exact
local function small(...) return al.randint(-4, 4, { ... }):to("float32") end

describe("matmul", function()
  it("agrees with the definition, whatever the strides", function()
    local a, b = small(5, 7), small(7, 3)
    local want = product(a:totable(), b:totable())
    assert.same(want, a:matmul(b):totable())
    assert.same(want, a:t():contiguous():t():matmul(b:t():contiguous():t()):totable())
    assert.same(want, al.cat({ a, a }, 2)["..., 1:7"]:matmul(b):totable())
    assert.same(want, al.stack({ a, a }, -1)["..., 1"]:matmul(b:flip(1):flip(1)):totable())
    assert.same(want, a:flip(1)["::-1"]:matmul(b):totable())
    for _, dtype in ipairs { "float64", "int64", "int32" } do
      assert.same(want, a:to(dtype):matmul(b:to(dtype)):totable())
    end
  end)

  it("treats vectors as row and column, stacks by broadcasting", function()
    local v, m = al.tensor { 1, 2 }, al.tensor { { 1, 2 }, { 3, 4 } }
    assert.equal(5, v:matmul(v):item())
    assert.same({ 7, 10 }, v:matmul(m):totable())
    assert.same({ 5, 11 }, m:matmul(v):totable())
    assert.same({ 3, 2, 2 }, al.ones(3, 2, 2):matmul(m).shape)
    assert.same({ 3, 2 }, al.ones(3, 2, 2):matmul(v).shape)
    assert.same({ 4, 3, 2, 5 }, al.ones(4, 1, 2, 6):matmul(al.ones(3, 6, 5)).shape)
    assert.same({ { 1, 2 }, { 2, 4 } }, v:outer(v):totable())
    assert.equal(5, v:dot(v):item())
    assert.same({ 2, 3 }, al.ones(2, 0):matmul(al.ones(0, 3)).shape)
    assert.equal(0, al.ones(2, 0):matmul(al.ones(0, 3)):sum():item())
    local a, b = small(3, 4, 5), small(3, 5, 2)
    local ab = a:bmm(b)
    for i = 1, 3 do assert.same(product(a[i]:totable(), b[i]:totable()), ab[i]:totable()) end
    local e = small(1, 4, 5):expand(3, 4, 5)
    local eb = e:matmul(b)
    for i = 1, 3 do assert.same(product(e[1]:totable(), b[i]:totable()), eb[i]:totable()) end
  end)

  it("names sizes that do not fit", function()
    assert.error_matches(
      function() return al.ones(2, 3):matmul(al.ones(2, 3)) end,
      "x has 3 columns, y 2 rows"
    )
    assert.error_matches(
      function() return al.ones(2, 2, 2):matmul(al.ones(3, 2, 2)) end,
      "do not broadcast"
    )
    assert.error_matches(
      function() return al.ones(2, 2):bmm(al.ones(2, 2)) end,
      "needs tensors of 3"
    )
    assert.error_matches(function() return al.tensor(1):matmul(al.ones(1)) end, "scalar")
  end)

  it("gives the same bits on any number of threads", function()
    local former = al.threads()
    local sizes = { { 300, 200, 150 }, { 40, 900, 300 }, { 1, 500, 700 }, { 700, 500, 1 } }
    for _, s in ipairs(sizes) do
      local a, b = al.randn(s[1], s[2]), al.randn(s[2], s[3])
      al.threads(1)
      local one = a:matmul(b)
      al.threads(4)
      assert.is_true(one:eq(a:matmul(b)):all():item())
    end
    al.threads(former)
  end)
end)

describe("linear", function()
  it("is x w^T + b over the last dim", function()
    local x, w = al.tensor { { 1, 2 }, { 3, 4 } }, al.tensor { { 1, 0 }, { 0, 1 }, { 1, 1 } }
    local b = al.tensor { 10, 20, 30 }
    assert.same({ { 11, 22, 33 }, { 13, 24, 37 } }, x:linear(w, b):totable())
    assert.same({ 1, 2, 3 }, x[1]:linear(w):totable())
    assert.same({ 2, 5, 3 }, al.ones(2, 5, 2):linear(w, b).shape)
    assert.error_matches(
      function() return al.ones(2, 3):linear(w) end,
      "x has 3 features, w expects 2"
    )
    assert.error_matches(function() return x:linear(w, al.ones(2)) end, "b needs 3 entries")
  end)
end)
