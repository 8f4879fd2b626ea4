local al = require "albedo"

local function grid(...)
  local n = 1
  for _, d in ipairs { ... } do n = n * d end
  return al.arange(n):reshape(...)
end

describe("views", function()
  it("whose elements no integer counts are refused", function()
    assert.error_matches(function() return al.zeros(0):reshape(2 ^ 32, 2 ^ 32) end, "too large")
    assert.error_matches(function() return al.zeros(4):view(4, math.tointeger(2 ^ 62) + 1) end, "too large")
    assert.error_matches(function() return al.zeros(1):expand(2 ^ 40, 2 ^ 40) end, "too large")
    assert.same({ 0, 2 ^ 40 }, al.zeros(1):expand(2 ^ 40):unsqueeze(1)["2:1"].shape)
  end)

  it("reshape infers one size, shares storage where it can and copies where it must", function()
    local x = grid(2, 6)
    local y = x:reshape(3, -1)
    assert.same({ { 1, 2, 3, 4 }, { 5, 6, 7, 8 }, { 9, 10, 11, 12 } }, y:totable())
    y[1] = 0
    assert.same({ 0, 0, 0, 0, 5, 6 }, x[1]:totable())
    local z = grid(2, 3):t():reshape(6)
    assert.same({ 1, 4, 2, 5, 3, 6 }, z:totable())
    assert.error_matches(function() return grid(2, 3):t():view(6) end, "reshape copies")
    assert.error_matches(
      function() return x:reshape(5, -1) end,
      "12 elements %(2x6%) do not fit"
    )
    assert.error_matches(function() return x:reshape(-1, -1) end, "only one size")
    assert.same({}, al.ones(1):reshape({}).shape)
    assert.same({ 0, 3 }, al.zeros(3, 0):reshape(0, 3).shape)
  end)

  it("views of views keep strides", function()
    local x = grid(2, 3, 4)
    local v = x:permute(3, 1, 2):narrow(1, 2, 2):select(2, -1)
    assert.same({ { 14, 18, 22 }, { 15, 19, 23 } }, v:totable())
    assert.same({ 14, 18, 22, 15, 19, 23 }, v:flatten():totable())
    assert.same({ 2, 4, 3 }, x:transpose(2, 3).shape)
    assert.same({ 2, 12 }, x:flatten(2).shape)
    assert.same({ 2, 1, 3, 1, 4 }, x:unsqueeze(2):unsqueeze(-2).shape)
    assert.same({ 3, 4 }, x[1]:unsqueeze(1):squeeze(1).shape)
    assert.same({ 2, 3, 4 }, x:squeeze().shape)
  end)

  it("expand repeats without copying and gathers the gradient", function()
    local x = al.tensor({ { 1 }, { 2 } }, { requires_grad = true })
    local y = x:expand(3, -1, 2)
    assert.same({ 3, 2, 2 }, y.shape)
    y:sum():backward()
    assert.same({ { 6 }, { 6 } }, x.grad:totable())
    assert.error_matches(function() return x:expand(2, 3, 1) end, "does not become 3")
  end)

  it("diagonal and flip", function()
    local x = grid(3, 4)
    assert.same({ 1, 6, 11 }, x:diagonal():totable())
    assert.same({ 2, 7, 12 }, x:diagonal(1):totable())
    assert.same({ 9 }, x:diagonal(-2):totable())
    assert.same({}, x:diagonal(9):totable())
    assert.same({ { 4, 3, 2, 1 }, { 8, 7, 6, 5 }, { 12, 11, 10, 9 } }, x:flip(2):totable())
    assert.same({ 12, 11, 10, 9 }, x:flip(1, 2)[1]:totable())
    assert.error_matches(function() return x:flip(1, -2) end, "named twice")
  end)

  it("a write through a view reaches the whole", function()
    local x = al.zeros(2, 3)
    x:t()[2] = al.tensor { 5, 6 }
    assert.same({ { 0, 5, 0 }, { 0, 6, 0 } }, x:totable())
    x["::-1, 1"] = al.tensor { 1, 2 }
    assert.same({ { 2, 5, 0 }, { 1, 6, 0 } }, x:totable())
    local wide = al.ones(1, 3):expand(2, 3)
    assert.error_matches(function() wide[1] = 4 end, "repeats its elements")
    assert.error_matches(function() wide:add_(1) end, "repeats its elements")
  end)
end)

describe("slice assignment", function()
  it("cuts the region out of the old value's gradient and gives it to the new one's", function()
    local x = al.ones({ 2, 3 }):requires_grad_()
    local v = al.tensor({ 4, 5 }, { requires_grad = true })
    local y = x * 2
    y[{ 2, { 2, 3 } }] = v
    assert.same({ { 2, 2, 2 }, { 2, 4, 5 } }, y:totable())
    local w = al.arange(6):reshape(2, 3)
    local loss = (y * w):sum()
    loss:backward()
    assert.same({ { 2, 4, 6 }, { 8, 0, 0 } }, x.grad:totable())
    assert.same({ 5, 6 }, v.grad:totable())
  end)

  it("copes with overlap", function()
    local x = al.arange(5)
    x["2:5"] = x["1:4"]
    assert.same({ 1, 1, 2, 3, 4 }, x:totable())
  end)
end)
