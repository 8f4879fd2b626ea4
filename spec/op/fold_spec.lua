local al = require "albedo"

describe("unfold and fold", function()
  it("lay windows side by side, channel by channel", function()
    local x = al.arange(9):to("float32"):reshape(1, 1, 3, 3)
    assert.same({ { { 1, 2, 4, 5 }, { 2, 3, 5, 6 }, { 4, 5, 7, 8 }, { 5, 6, 8, 9 } } },
      al.unfold(x, 2):totable())
    local counts = al.fold(al.unfold(al.ones(1, 1, 3, 3), 2), { 3, 3 }, 2)
    assert.same({ { { { 1, 2, 1 }, { 2, 4, 2 }, { 1, 2, 1 } } } }, counts:totable())
  end)

  it("make a convolution a product, in 1 to 3 dims", function()
    al.seed(1)
    local opts = { dtype = "float64" }
    for _, space in ipairs { { 9 }, { 6, 7 }, { 4, 5, 6 } } do
      local x = al.randn({ 2, 3, (table.unpack or unpack)(space) }, opts)
      local kernel = {}
      for i = 1, #space do kernel[i] = i == 1 and 3 or 2 end
      local w = al.randn({ 4, 3, (table.unpack or unpack)(kernel) }, opts)
      local o = { stride = 2, pad = 1, dilation = 1 }
      local want = al.conv(x, w, o):flatten(3)
      local got = w:flatten(2):matmul(al.unfold(x, kernel, o))
      assert.is_true((want - got):abs():max():item() < 1e-12)
    end
  end)
end)

describe("max_unpool", function()
  it("puts maxima back where they came from, each once", function()
    local x = al.tensor { { { { 1, 2, 3 }, { 4, 9, 6 }, { 7, 8, 5 } } } }
    local y, at = al.max_pool_with_indices(x, 2, 1)
    assert.same({ { { { 0, 0, 0 }, { 0, 9, 0 }, { 0, 0, 0 } } } },
      al.max_unpool(y, at, 2, 1):totable())
  end)
end)

describe("channels", function()
  it("are shuffled, or traded for space, and back", function()
    local x = al.arange(16):reshape(1, 4, 2, 2)
    local first = al.channel_shuffle(x, 2):flatten(3):select(3, 1)
    assert.same({ { 1, 9, 5, 13 } }, first:totable())
    assert.same({ 1, 5, 2, 6 }, al.pixel_shuffle(x, 2)[1][1][1]:totable())
    assert.same(x:totable(), al.pixel_unshuffle(al.pixel_shuffle(x, 2), 2):totable())
  end)
end)
