local al = require "albedo"

describe("joining", function()
  it("cat promotes, skips empty vectors and names what does not fit", function()
    local a, b = al.tensor { { 1, 2 } }, al.tensor { { 3, 4 }, { 5, 6 } }
    assert.same({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, al.cat({ a, b }):totable())
    assert.same({ { 3, 4, 3, 4 }, { 5, 6, 5, 6 } }, al.cat({ b, b }, -1):totable())
    assert.same({ { 1, 2 } }, al.cat({ al.zeros(0), a }):totable())
    local mixed = al.cat { al.tensor({ 1 }, { dtype = "int64" }), al.tensor { 0.5 } }
    assert.equal("float32", mixed.dtype)
    assert.error_matches(
      function() return al.cat { a, al.ones(2, 3) } end,
      "tensor 2 %(2x3%) does not fit"
    )
    assert.error_matches(function() return al.cat {} end, "no tensors")
  end)

  it("stack makes a dim anywhere", function()
    local a, b = al.tensor { 1, 2 }, al.tensor { 3, 4 }
    assert.same({ { 1, 2 }, { 3, 4 } }, al.stack({ a, b }):totable())
    assert.same({ { 1, 3 }, { 2, 4 } }, al.stack({ a, b }, -1):totable())
    assert.error_matches(function() return al.stack { a, al.ones(3) } end, "tensor 2 is 3")
  end)

  it("tile, repeat_interleave, roll", function()
    local x = al.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ { 1, 2, 1, 2 }, { 3, 4, 3, 4 } }, x:tile(2):totable())
    assert.same({ 2, 4, 2 }, x:tile(2, 2, 1).shape)
    assert.same({ { 1, 2 }, { 1, 2 }, { 3, 4 }, { 3, 4 } }, x:repeat_interleave(2):totable())
    assert.same(
      { { 1, 1, 1, 2, 2, 2 }, { 3, 3, 3, 4, 4, 4 } },
      x:repeat_interleave(3, 2):totable()
    )
    assert.same({ { 4, 1 }, { 2, 3 } }, x:roll(1):totable())
    assert.same({ { 2, 1 }, { 4, 3 } }, x:roll(-1, 2):totable())
    assert.same({ { 4, 3 }, { 2, 1 } }, x:roll({ 1, 1 }, { 1, 2 }):totable())
  end)

  it("pad follows its mode, the last dim first", function()
    local x = al.tensor { { 1, 2, 3 } }
    assert.same({ { 0, 1, 2, 3, 0, 0 } }, x:pad({ 1, 2 }):totable())
    assert.same({ { 7, 7, 7 }, { 1, 2, 3 } }, x:pad({ 0, 0, 1, 0 }, { value = 7 }):totable())
    assert.same({ { 2, 3, 0 } }, x:pad({ -1, 1 }):totable())
    assert.same({ { 3, 2, 1, 2, 3, 2 } }, x:pad({ 2, 1 }, { mode = "reflect" }):totable())
    assert.same({ { 1, 1, 1, 2, 3, 3 } }, x:pad({ 2, 1 }, { mode = "replicate" }):totable())
    assert.same({ { 2, 3, 1, 2, 3, 1 } }, x:pad({ 2, 1 }, { mode = "circular" }):totable())
    assert.error_matches(
      function() return x:pad({ 3, 0 }, { mode = "reflect" }) end,
      "reaches beyond"
    )
    assert.error_matches(function() return x:pad({ 1 }) end, "pairs")
    assert.error_matches(
      function() return x:pad({ 1, 1 }, { mode = "mirror" }) end,
      "none of constant"
    )
  end)

  it("tril and triu", function()
    local x = al.ones(3, 3)
    assert.same({ { 1, 0, 0 }, { 1, 1, 0 }, { 1, 1, 1 } }, x:tril():totable())
    assert.same({ { 0, 1, 1 }, { 0, 0, 1 }, { 0, 0, 0 } }, x:triu(1):totable())
    assert.same({ { 0, 0, 0 }, { 1, 0, 0 }, { 1, 1, 0 } }, x:tril(-1):totable())
    assert.equal(0, (x * (0 / 0)):tril(-3):abs():sum():item())
  end)
end)
