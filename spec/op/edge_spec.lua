-- Empty shapes, results of their own, arguments that must raise; values as PyTorch 1.13's.
local al = require "albedo"
local nn = require "albedo.nn"
local fails = assert.error_matches

local function attend(q, k, v, opts)
  return al.scaled_dot_product_attention(al.zeros(q), al.zeros(k), al.zeros(v), opts)
end

describe("edges", function()
  it("attention of no queries, keys, features or stacks", function()
    assert.same({ 2, 0, 5 }, attend({ 2, 0, 4 }, { 2, 3, 4 }, { 2, 3, 5 }).shape)
    assert.same({ 2, 3, 0 }, attend({ 2, 3, 4 }, { 2, 3, 4 }, { 2, 3, 0 }).shape)
    assert.same({ 0, 3, 5 }, attend({ 0, 3, 4 }, { 0, 3, 4 }, { 0, 3, 5 }).shape)
    assert.same({ { 0, 0 }, { 0, 0 } }, attend({ 2, 4 }, { 0, 4 }, { 0, 2 }):totable())
    assert.same({ { 0, 0 }, { 0, 0 } }, attend({ 2, 0 }, { 3, 0 }, { 3, 2 }):totable())
    fails(function() attend({ 2, 4 }, { 3, 4 }, { 3, 2 }, { dropout = -1 }) end,
      "dropout must be in %[0, 1%]")
  end)

  it("lstm: no steps, lengths and sizes", function()
    local x = al.zeros(1, 0, 2):requires_grad_()
    local w = al.ones(4, 2):requires_grad_()
    local y, h = al.lstm(x, w, al.ones(4, 1))
    local g = al.grad((h:sum() + y:sum()), w, { create_graph = true })
    assert.same({ { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 } }, g:totable())
    fails(function()
      al.lstm(al.zeros(1, 2, 2), w, al.ones(4, 1), { lengths = al.tensor { 1.5 } })
    end, "lengths must be whole, got 1.5")
    fails(function() nn.LSTM(2, 0) end, "0 hidden units")
  end)

  it("clamp of integers by a bound that is not whole is floating", function()
    local x = al.tensor({ 1, 5 }, { dtype = "int64" })
    assert.same({ 2.5, 5 }, x:clamp(2.5):totable())
    assert.equal("float32", x:clamp(2.5).dtype)
    assert.equal("int64", x:clamp(2, 4).dtype)
    assert.same({ 2, 4 }, x:clamp(2, 4):totable())
  end)

  it("results are written to without x", function()
    local scalar, x = al.tensor(3), al.ones(1, 4, 1, 1)
    for name, y in pairs {
      cummax = (al.cummax(scalar, 1)), cummin = (al.cummin(scalar, 1)),
      tile = x:tile({ 1 }), interleave = x:repeat_interleave(1), diff = al.diff(x, { n = 0 }),
      shuffle = al.pixel_shuffle(x, 1), space = al.pixel_shuffle(x, 2),
      unshuffle = al.pixel_unshuffle(x, 1), channels = al.channel_shuffle(x, 4) } do
      y:fill_(7)
      assert.equal(3, scalar:item(), name)
      assert.equal(4, x:sum():item(), name)
    end
  end)

  it("equations and rows that are not there raise", function()
    for _, equation in ipairs { "ij-", "ij-ij" } do
      fails(function() al.einsum(equation, al.ones(2, 2)) end, "is no arrow")
    end
    local index = al.tensor({ 1 }, { dtype = "int64" })
    for _, row in ipairs { 7, 0, -4 } do
      fails(function() al.embedding(al.ones(3, 2), index, { padding_idx = row }) end,
        "padding_idx is .?" .. math.abs(row) .. ", outside 1..3")
    end
    fails(function() al.checkpoint(3, al.ones(1)) end, "must be a function, got number")
    fails(function() al.profile(3) end, "must be a function, got number")
  end)

  it("erode and dilate are exact beyond 2^53", function()
    local one = al.tensor({ 1, 1 }, { dtype = "int64" })
    local x = one:reshape(1, 2) * 2 ^ 53
    x = x:to("int64") + one
    assert.is_true(x:eq(al.erode(x)):all():item())
    assert.is_true(x:eq(al.dilate(x)):all():item())
  end)
end)
