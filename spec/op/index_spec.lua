local al = require "albedo"

local function int(t) return al.tensor(t, { dtype = "int64" }) end

describe("ranges far outside", function()
  it("are clipped", function()
    local x, most, least = al.arange(3), math.maxinteger or 2 ^ 53, math.mininteger or -2 ^ 53
    assert.same({ 3 }, x[{ { nil, nil, least } }]:totable())
    assert.same({ 1 }, x[{ { nil, nil, most } }]:totable())
    assert.same({ 3, 2, 1 }, x[{ { most, least, -1 } }]:totable())
    assert.same({}, x[{ { most, least } }]:totable())
    assert.same({}, x[{ { least, most, -1 } }]:totable())
    assert.same({ 1, 2, 3 }, x[{ { least, most } }]:totable())
  end)
end)

describe("index tensors", function()
  local x
  before_each(function() x = al.arange(12):reshape(3, 4) end)

  it("select rows and columns, from either end, of any index shape", function()
    assert.same(
      { { 9, 10, 11, 12 }, { 1, 2, 3, 4 } },
      x:index_select(1, int { 3, 1 }):totable()
    )
    assert.same({ { 4, 1 }, { 8, 5 }, { 12, 9 } }, x:index_select(2, int { -1, 1 }):totable())
    assert.same({ 2, 2, 4 }, x:index_select(1, int { { 1, 2 }, { 3, 3 } }).shape)
    assert.same(x:index_select(1, int { 3, 1 }):totable(), x[int { 3, 1 }]:totable())
    assert.same({ 12, 1 }, x:take(int { -1, 1 }):totable())
    assert.error_matches(function() return x:index_select(1, int { 0 }) end, "count from 1")
    assert.error_matches(
      function() return x:index_select(1, int { 4 }) end,
      "4 lies outside 1..3"
    )
    assert.error_matches(
      function() return x:index_select(1, al.tensor { 1.5 }) end,
      "must hold integers"
    )
  end)

  it("gather and scatter follow the index along one dim", function()
    local index = int { { 1, 3, 2, 1 }, { 2, 2, 2, 2 } }
    assert.same({ { 1, 10, 7, 4 }, { 5, 6, 7, 8 } }, x:gather(1, index):totable())
    local z = al.zeros(3, 4):scatter(1, index, al.ones(2, 4) * al.tensor { { 1 }, { 2 } })
    assert.same({ { 1, 0, 0, 1 }, { 2, 2, 2, 2 }, { 0, 1, 0, 0 } }, z:totable())
    local s = al.zeros(3, 4):scatter_add(1, index, al.ones(2, 4))
    assert.same({ { 1, 0, 0, 1 }, { 1, 1, 2, 1 }, { 0, 1, 0, 0 } }, s:totable())
    assert.same({ 0, 7, 0 }, al.zeros(3):scatter(1, int { 2 }, 7):totable())
  end)

  it("scatter_reduce reduces what meets at one position", function()
    local own, index = al.tensor { 10, 20, 30 }, int { 1, 1, 3 }
    local src = al.tensor { 2, 4, 40 }
    local function at(reduce, opts) return own:scatter_reduce(1, index, src, reduce, opts or {}):totable() end
    local alone = { include_self = false }
    assert.same({ 16, 20, 70 }, at "sum")
    assert.same({ 80, 20, 1200 }, at "prod")
    assert.same({ 3, 20, 40 }, at("mean", alone))
    assert.same({ 10, 20, 40 }, at "amax")
    assert.same({ 4, 20, 40 }, at("amax", alone))
    assert.same({ 2, 20, 30 }, at "amin")
    assert.error_matches(function() return at "median" end, "reduce must be sum")
  end)

  it("repeated positions add up in index_add and in embedding's gradient", function()
    assert.same(
      { { 3, 3 }, { 0, 0 } }, al.zeros(2, 2):index_add(1, int { 1, 1, 1 },
      al.ones(3, 2)):totable()
    )
    assert.same(
      { -2, 0 }, al.zeros(2):index_add(1, int { 1 },
      al.tensor { 4 }, { alpha = -0.5 }):totable()
    )
    local w = al.zeros({ 3, 2 }):requires_grad_()
    w:embedding(int { { 1, 3 }, { 3, 3 } }):sum():backward()
    assert.same({ { 1, 1 }, { 0, 0 }, { 3, 3 } }, w.grad:totable())
    w.grad = nil
    w:embedding(int { 1, 3 }, { padding_idx = 3 }):sum():backward()
    assert.same({ { 1, 1 }, { 0, 0 }, { 0, 0 } }, w.grad:totable())
  end)

  it("wide rows add up the same on any number of threads", function()
    local index = al.randint(1, 50, { 3000 })
    local src = al.randn(3000, 200)
    local former = al.threads()
    al.threads(1)
    local one = al.zeros(50, 200):index_add(1, index, src)
    al.threads(4)
    local four = al.zeros(50, 200):index_add(1, index, src)
    al.threads(former)
    assert.is_true(one:eq(four):all():item())
  end)

  it("assignment by index and mask", function()
    x[int { 1, 3 }] = al.tensor { 0, 0, 0, 1 }
    assert.same({ { 0, 0, 0, 1 }, { 5, 6, 7, 8 }, { 0, 0, 0, 1 } }, x:totable())
    x[x:gt(5)] = -1
    assert.same({ 5, -1, -1, -1 }, x[2]:totable())
    x[x:eq(-1)] = al.tensor { 7, 8, 9 }
    assert.same({ 5, 7, 8, 9 }, x[2]:totable())
    x[al.tensor { true, false, false }] = 3
    assert.same({ 3, 3, 3, 3 }, x[1]:totable())
  end)
end)

describe("masks", function()
  it("select in row-major order and know where they came from", function()
    local x = al.tensor({ { 1, -2 }, { -3, 4 } }, { requires_grad = true })
    local y = x[x:gt(0)]
    assert.same({ 1, 4 }, y:totable())
    local loss = (y * al.tensor { 10, 20 }):sum()
    loss:backward()
    assert.same({ { 10, 0 }, { 0, 20 } }, x.grad:totable())
    assert.same({ { 1, 1 }, { 2, 2 } }, x:gt(0):nonzero():totable())
    assert.same({ 0 }, x[x:gt(9)].shape)
    assert.same({ { -3, 4 } }, x[al.tensor { false, true }]:totable())
    assert.error_matches(function() return x[al.tensor { true }] end, "does not cover")
  end)
end)

describe("sorting", function()
  it("is stable and puts NaN last", function()
    local v, i = al.tensor({ 3, 1, 0 / 0, 1, -2 }):sort()
    assert.same({ -2, 1, 1, 3 }, v["1:4"]:totable())
    assert.same({ 5, 2, 4, 1, 3 }, i:totable())
    v, i = al.tensor({ 3, 1, 1, -2 }):sort(1, true)
    assert.same({ 3, 1, 1, -2 }, v:totable())
    assert.same({ 1, 2, 3, 4 }, i:totable())
    assert.same({ { 1, 2 }, { 3, 4 } }, (al.tensor { { 3, 2 }, { 1, 4 } }:sort(1)):totable())
    local big = 2 ^ 53
    assert.same({ 2, 1 }, int({ big + 2, big }):argsort():totable())
  end)

  it("topk keeps the ends", function()
    local v, i = al.tensor({ { 5, 9, 7 }, { 1, 3, 2 } }):topk(2)
    assert.same({ { 9, 7 }, { 3, 2 } }, v:totable())
    assert.same({ { 2, 3 }, { 2, 3 } }, i:totable())
    assert.same({ 1 }, (al.tensor({ 5, 1 }):topk(1, 1, false)):totable())
    assert.error_matches(function() return al.ones(2):topk(3) end, "k = 3")
  end)

  it("orders many", function()
    local v = al.randn(5000)
    local s = v:sort()
    assert.is_true((s["2:"] - s["1:-2"]):ge(0):all():item())
    assert.is_true(math.abs(s:sum():item() - v:sum():item()) < 1e-2)
  end)
end)
