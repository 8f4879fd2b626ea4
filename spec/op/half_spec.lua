-- float16 and bfloat16: storage and casts.
local al = require "albedo"
local inf, nan = math.huge, 0 / 0

local function through(values, dtype)
  return al.tensor(values, { dtype = "float64" }):to(dtype):to("float64"):totable()
end

describe("half tensors", function()
  it("round to the nearest value, ties to even, as IEEE 754 and bfloat16 say", function()
    -- 2049 lies between 2048 and 2050; 2^-25 is a tie with 0; 65520 is beyond the largest
    assert.same({ 1, 2048, 2052, 65504, inf, -inf }, through({ 1, 2049, 2051, 65519, 65520, -1e9 }, "float16"))
    assert.same({ 0, 2 ^ -24, 2 ^ -14, 2 ^ -23, 0.333251953125 },
      through({ 2 ^ -25, 2 ^ -25 * 1.01, 2 ^ -14, 3 * 2 ^ -25, 1 / 3 }, "float16"))
    assert.same({ 256, 260, 2 ^ 127, inf, 0.333984375 }, through({ 257, 259, 2 ^ 127, 3.4e38, 1 / 3 }, "bfloat16"))
    for _, dtype in ipairs { "float16", "bfloat16" } do
      assert.is_true(al.tensor({ nan }):to(dtype):to("float32"):isnan():item())
      assert.equal(-inf, 1 / al.tensor({ -0.0 }):to(dtype):item())
    end
  end)

  it("come back from every 16-bit pattern of float16", function()
    local bits = {}
    for i = 0, 0xffff do
      if i % 0x8000 <= 0x7c00 then bits[#bits + 1] = string.char(i % 256, math.floor(i / 256)) end
    end
    local text = table.concat(bits)
    local h = al.from_bytes(text, "float16", #bits)
    assert.equal(text, h:to("float32"):to("float16"):bytes())
    assert.equal(text, h:to("float64"):to("float16"):bytes())
  end)

  it("are cast from and to every dtype", function()
    for _, dtype in ipairs { "bool", "uint8", "int32", "int64", "float32", "float64" } do
      local x = al.tensor({ 0, 1, 1 }):to(dtype)
      for _, half in ipairs { "float16", "bfloat16" } do
        local back = x:to(half):to(dtype)
        assert.equal(dtype, back.dtype)
        assert.is_true(back:eq(x):all():item())
      end
    end
    assert.same({ 0.5, 2 }, al.tensor({ 0.5, 2 }):half():bfloat16():totable())
  end)

  it("are made, viewed, sliced, written, joined, picked from, printed", function()
    local x = al.arange(6):reshape(2, 3):float16()
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, x:t():contiguous():totable())
    assert.same({ { 2, 3 }, { 5, 6 } }, x["1:2, 2:3"]:totable())
    assert.same({ { 4, 5, 6 } }, x:index_select(1, al.tensor({ 2 }, { dtype = "int64" })):totable())
    x[{ 1, 2 }] = 9.5
    x[2] = al.tensor { 7, 8, 9 }
    assert.same({ { 1, 9.5, 3 }, { 7, 8, 9 } }, x:totable())
    assert.equal("float16", al.cat({ x, x }, 1).dtype)
    assert.same({ 2, 2, 3 }, al.stack({ x, x }).shape)
    assert.same({ { 1, 1 } }, al.ones(1, 2, { dtype = "bfloat16" }):totable())
    assert.same({ 2.5 }, al.full({ 1 }, 2.5, { dtype = "float16" }):totable())
    local wide = al.randn(70, 90):bfloat16()
    assert.is_true(wide:t():contiguous():float():eq(wide:float():t()):all():item())
    assert.is_truthy(tostring(x):find("9.5", 1, true))
    assert.is_truthy(tostring(x:bfloat16()):find("bfloat16", 1, true))
    assert.equal(2 * 6, #x:bytes())
  end)

  it("come back from files", function()
    local path = os.tmpname()
    al.save(path, { a = al.tensor({ 1.5 }):float16(), b = al.tensor({ -2 }):bfloat16() })
    local t = al.load(path)
    os.remove(path)
    assert.same({ "float16", 1.5, "bfloat16", -2 }, { t.a.dtype, t.a:item(), t.b.dtype, t.b:item() })
  end)

  it("do not compute, and say what to do", function()
    local x = al.ones(2):float16()
    assert.error_matches(function() return x + 1 end, 'add: x is float16, which is for storage only: take x:to"float32"')
    assert.error_matches(function() return al.ones(2) * x end, "y is float16")
    assert.error_matches(function() return al.randn(2, { dtype = "bfloat16" }) end, 'make float32, then :to"bfloat16"')
    assert.error_matches(function() return al.cat({ al.ones(1), x }) end, "tensor 2 is float16, the first float32")
    assert.error_matches(function() return x:sum() end, "storage only")
    assert.error_matches(function() x.requires_grad = true end, "float")
    assert.error_matches(function() return al.ones(2):requires_grad_():half() end, "carries none")
    assert.equal("float16", al.no_grad(function() return al.ones(2):requires_grad_():half() end).dtype)
  end)
end)
