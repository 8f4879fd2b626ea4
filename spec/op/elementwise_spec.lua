-- Elementwise ops against Lua's own mathematics and hand-computed values.
local al = require "albedo"

local nan, inf = 0 / 0, math.huge
local f64 = { dtype = "float64" }

local function near(expected, got, tolerance)
  if expected ~= expected then return assert.is_true(got ~= got,
    "NaN expected, got " .. tostring(got)) end
  if math.abs(expected) == inf then return assert.equal(expected, got) end
  assert.is_true(math.abs(expected - got) <= tolerance * math.max(1, math.abs(expected)),
    ("%.17g, not %.17g"):format(got, expected))
end

local function tanh(x)
  local e = math.exp(-2 * math.abs(x))
  local t = (1 - e) / (1 + e)
  return x < 0 and -t or t
end
local function sigmoid(x) return 1 / (1 + math.exp(-x)) end
local function softplus(x) return x > 20 and x or math.max(x,
  0) + math.log(1 + math.exp(-math.abs(x))) end
local function truncate(x) return x < 0 and math.ceil(x) or math.floor(x) end

local forms = {
  neg = function(x) return -x end,
  abs = math.abs,
  square = function(x) return x * x end,
  reciprocal = function(x) return 1 / x end,
  exp = math.exp,
  exp2 = function(x) return 2 ^ x end,
  expm1 = function(x) return math.exp(x) - 1 end,
  sin = math.sin, cos = math.cos, tan = math.tan, atan = math.atan,
  sinh = function(x) return (math.exp(x) - math.exp(-x)) / 2 end,
  cosh = function(x) return (math.exp(x) + math.exp(-x)) / 2 end,
  asinh = function(x) return (x < 0 and -1 or
    1) * math.log(math.abs(x) + math.sqrt(x * x + 1)) end,
  tanh = tanh, sigmoid = sigmoid, softplus = softplus,
  logsigmoid = function(x) return -softplus(-x) end,
  relu = function(x) return math.max(x, 0) end,
  relu6 = function(x) return math.min(math.max(x, 0), 6) end,
  leaky_relu = function(x) return x > 0 and x or 0.01 * x end,
  elu = function(x) return x > 0 and x or math.exp(x) - 1 end,
  silu = function(x) return x * sigmoid(x) end,
  mish = function(x) return x * tanh(softplus(x)) end,
  gelu_tanh = function(x)
    return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ^ 3)))
  end,
  hardtanh = function(x) return math.min(math.max(x, -1), 1) end,
  hardsigmoid = function(x) return math.min(math.max(x + 3, 0), 6) / 6 end,
  hardswish = function(x) return x * math.min(math.max(x + 3, 0), 6) / 6 end,
  softsign = function(x) return x / (1 + math.abs(x)) end,
  floor = math.floor, ceil = math.ceil,
  trunc = truncate,
  frac = function(x) return x - truncate(x) end,
  sign = function(x) return x > 0 and 1 or x < 0 and -1 or 0 end,
}
local positive = {
  log = math.log, sqrt = math.sqrt,
  log2 = function(x) return math.log(x) / math.log(2) end,
  log10 = function(x) return math.log(x) / math.log(10) end,
  log1p = function(x) return math.log(1 + x) end,
  rsqrt = function(x) return 1 / math.sqrt(x) end,
}

describe("unary ops", function()
  local any = { -30.5, -7.25, -2.5, -1, -0.3, -1e-3, 1e-3, 0.1, 0.5, 1.5, 2.75, 6.5, 20.25 }
  local above = { 1e-30, 1e-3, 0.2, 0.7, 1, 1.3, 5, 1e4, 1e30 }
  -- long enough for vector bodies and their tails, in every position
  local function check(name, form, values)
    for _, dtype in ipairs { "float32", "float64" } do
      local long = {}
      for i = 1, 5 * #values do long[i] = values[(i - 1) % #values + 1] end
      local x = al.tensor(long, { dtype = dtype })
      local y, strided = x[name](x):totable(), al.stack({ x, x }, 2)[":, 1"]
      strided = strided[name](strided):totable()
      for i, v in ipairs(x:totable()) do
        near(form(v), y[i], dtype == "float32" and 1e-6 or 1e-13)
        assert.equal(y[i], strided[i])
      end
    end
  end
  for name, form in pairs(forms) do
    it(name .. " agrees with Lua's mathematics", function() check(name, form, any) end)
  end
  for name, form in pairs(positive) do
    it(name .. " agrees with Lua's mathematics", function() check(name, form, above) end)
  end

  it("keep NaN, infinities and the ends of the range", function()
    local x = al.tensor { nan, inf, -inf, 0, 89, -110, 1e-40 }
    local function is(name, expected)
      local y = x[name](x):totable()
      for i, v in ipairs(expected) do near(v, y[i], 1e-6) end
    end
    is("exp", { nan, inf, 0, 1, inf, 0, 1 })
    is("log", { nan, inf, nan, -inf, math.log(89), nan, math.log(1e-40) })
    is("tanh", { nan, 1, -1, 0, 1, -1, 0 })
    is("sigmoid", { nan, 1, 0, 0.5, 1, 0, 0.5 })
    is("relu", { nan, inf, 0, 0, 89, 0, 0 })
    is("clamp", { nan, inf, -inf, 0, 89, -110, 0 })
    is("log1p", { nan, inf, nan, 0, math.log(90), nan, 0 })
    is("expm1", { nan, inf, -1, 0, inf, -1, 0 })
    is("erf", { nan, 1, -1, 0, 1, -1, 0 })
    is("sign", { nan, 1, -1, 0, 1, -1, 1 })
    assert.same({ true, false, false, false, false, false, false }, x:isnan():totable())
    assert.same({ false, true, true, false, false, false, false }, x:isinf():totable())
    assert.same({ false, false, false, true, true, true, true }, x:isfinite():totable())
  end)

  it("erf and erfc have their tabulated values (Abramowitz & Stegun 7.1)", function()
    local x = al.tensor({ 0.5, 1, 2, -1 }, f64)
    local known = { 0.5204998778130465, 0.8427007929497149, 0.9953222650189527,
      -0.8427007929497149 }
    local single = x:to("float32"):erf():totable()
    for i, v in ipairs(x:erf():totable()) do
      near(known[i], v, 1e-15)
      near(known[i], single[i], 2e-7)
    end
    near(0.15729920705028513, x:erfc()[2]:item(), 1e-15)
    near(0.8413447460685429, al.gelu(al.tensor({ 1 }, f64)):item(), 1e-14)
  end)

  it("integers keep their dtype where that has a meaning, and turn to float32 elsewhere",
    function()
    local x = al.tensor({ -3, 0, 5 }, { dtype = "int32" })
    assert.equal("int32", x:abs().dtype)
    assert.same({ 3, 0, 5 }, x:abs():totable())
    assert.same({ 3, 0, -5 }, x:neg():totable())
    assert.same({ -1, 0, 1 }, x:sign():totable())
    assert.same({ 9, 0, 25 }, x:square():totable())
    assert.same({ 0, 0, 5 }, x:relu():totable())
    assert.same({ -3, 0, 5 }, x:floor():totable())
    assert.same({ -2, 0, 4 }, x:clamp(-2, 4):totable())
    assert.equal("float32", x:exp().dtype)
    assert.same({ 2, -1, -6 }, x:bitwise_not():totable())
    assert.error_matches(function() al.tensor({ true }):neg() end, "bool")
    assert.error_matches(function() x:exp_() end, "does not fit")
  end)
end)

describe("binary ops", function()
  it("follow Python's sign for remainder and floor_divide, C's for fmod", function()
    for _, dtype in ipairs { "int32", "int64", "float32", "float64" } do
      local x, y = al.tensor({ 7, -7, 7, -7 }, { dtype = dtype }), al.tensor({ 3, 3, -3, -3 },
        { dtype = dtype })
      assert.same({ 1, 2, -2, -1 }, (x % y):totable())
      assert.same({ 2, -3, -3, 2 }, x:floor_divide(y):totable())
      assert.same({ 1, -1, 1, -1 }, x:fmod(y):totable())
    end
    near(9, al.floor_divide(al.tensor({ 1 }, f64), 0.1):item(), 0) -- as Python: 1 // 0.1
  end)

  it("wrap integers and refuse to divide them by zero", function()
    local big = al.tensor({ 2147483647 }, { dtype = "int32" })
    assert.same({ -2147483648 }, (big + 1):totable())
    assert.same({ 4 }, (al.tensor({ 250 }, { dtype = "uint8" }) + 10):totable())
    for _, name in ipairs { "remainder", "fmod", "floor_divide" } do
      assert.error_matches(function() return big[name](big, 0) end,
        name .. ": division by zero")
    end
    assert.same({ 8, 1 }, al.tensor({ 2, 5 }, { dtype = "int64" }):pow(al.tensor({ 3, 0 },
      { dtype = "int64" })):totable())
    assert.error_matches(function() return big:pow(-1) end, "negative integer powers")
    assert.equal("float32", (big / 2).dtype)
    assert.same({ inf }, (al.tensor({ 1 }, { dtype = "int64" }) / 0):totable())
    assert.error_matches(function() return al.tensor({ true }) - al.tensor({ true }) end,
      "bool")
    assert.same({ true, true }, (al.tensor { true, false } + al.tensor { true,
      true }):totable())
  end)

  it("promote as PyTorch: dims beat 0-dim, category first", function()
    local i, f, d = al.tensor({ 1 }, { dtype = "int32" }), al.tensor { 1 }, al.tensor({ 1 },
      f64)
    assert.equal("int32", (i + 1).dtype)
    assert.equal("float32", (i + 1.5).dtype)
    assert.equal("float64", (f + d).dtype)
    assert.equal("float32", (f + d[1]).dtype)
    assert.equal("float64", (i + d[1]).dtype)
    assert.equal("int64", (i + al.tensor({ 1 }, { dtype = "int64" })).dtype)
    assert.equal("bool", i:eq(f).dtype)
  end)

  it("let NaN through maximum, minimum and comparisons", function()
    local x, y = al.tensor { nan, 1, 2, nan }, al.tensor { 1, nan, 1, nan }
    local most, least = x:maximum(y):totable(), x:minimum(y):totable()
    for _, i in ipairs { 1, 2, 4 } do assert.is_true(most[i] ~= most[i] and
      least[i] ~= least[i]) end
    assert.same({ 2, 1 }, { most[3], least[3] })
    assert.same({ false, false, false, false }, x:eq(y):totable())
    assert.same({ true, true, true, true }, x:ne(y):totable())
  end)

  it("powers: simple exponents give what the general form gives", function()
    local x = al.tensor({ 0.3, 1.7, 4 }, f64)
    for _, n in ipairs { 2, 3, 0.5, -1 } do
      local simple, general = x:pow(n):totable(), x:pow(al.full({ 3 }, n, f64)):totable()
      for i = 1, 3 do near(general[i], simple[i], 1e-15) end
    end
    assert.same({ 1 }, al.tensor({ 0 }, f64):pow(0):totable())
  end)

  it("write in place, also onto a shifted or transposed view of the operand", function()
    local x = al.arange(9, { dtype = "float32" }):reshape(3, 3)
    x:add_(x:transpose(1, 2))
    assert.same({ { 2, 6, 10 }, { 6, 10, 14 }, { 10, 14, 18 } }, x:totable())
    local v = al.arange(5, { dtype = "float32" })
    v["2:5"]:add_(v["1:4"])
    assert.same({ 1, 3, 5, 7, 9 }, v:totable())
    local i = al.tensor({ 1, 2 }, { dtype = "int64" })
    assert.error_matches(function() i:add_(0.5) end, "does not fit")
    assert.error_matches(function() v:add_(al.ones(2, 5)) end, "in place")
  end)

  it("read any layout: broadcast, transposed, repeated", function()
    local x = al.randn(70, 90)
    local plain = (x:transpose(1, 2):contiguous() + al.ones(90, 1) * 2):totable()
    assert.same(plain, (x:transpose(1, 2) + al.full({ 1 }, 2)):totable())
    assert.same({ { 11, 21 }, { 12, 22 } }, (al.tensor { { 1 }, { 2 } } + al.tensor { 10,
      20 }):totable())
    assert.same({ 0, 4 }, (al.ones(0, 4) + al.ones(4)).shape)
    assert.error_matches(function() return al.ones(2, 3) + al.ones(4) end, "broadcast")
  end)

  it("logic and bits", function()
    local x, y = al.tensor({ 12, 0, 255 }, { dtype = "uint8" }), al.tensor({ 10, 5, 1 },
      { dtype = "uint8" })
    assert.same({ 8, 0, 1 }, x:bitwise_and(y):totable())
    assert.same({ 14, 5, 255 }, x:bitwise_or(y):totable())
    assert.same({ 6, 5, 254 }, x:bitwise_xor(y):totable())
    assert.same({ true, false, true }, x:logical_and(y):totable())
    assert.same({ true, true, true }, x:logical_or(y):totable())
    assert.same({ false, true, false }, al.tensor({ 0.5, nan, 0 }):logical_xor(al.tensor { 1,
      0, 0 }):totable())
    local z = al.tensor({ -8, 5 }, { dtype = "int32" })
    assert.same({ -16, 10 }, z:bitwise_left_shift(1):totable())
    assert.same({ -2, 1 }, z:bitwise_right_shift(2):totable())
    assert.same({ -1, 0 }, z:bitwise_right_shift(40):totable())
    assert.error_matches(function() return al.ones(1):bitwise_and(1) end, "integers or bool")
    assert.same({ true, false }, al.tensor(0.5):logical_and(al.tensor { 0.2, 0 }):totable())
  end)

  it("the ends of softplus and logsigmoid", function()
    local x = al.tensor { math.huge, -math.huge }
    assert.same({ 0, -math.huge }, x:logsigmoid():totable())
    assert.same({ math.huge, 0 }, x:softplus():totable())
  end)

  it("gradients of powers of and by plain numbers and integers are float64's", function()
    local function slope(f, at)
      local x = al.tensor({ at }, { dtype = "float64" }):requires_grad_()
      f(x):sum():backward()
      return x.grad:item()
    end
    assert.near(-1.9 * 0.7 ^ -2.9, slope(function(x) return x ^ -1.9 end, 0.7), 1e-14)
    assert.near(0.3 ^ 0.7 * math.log(0.3), slope(function(x) return 0.3 ^ x end, 0.7), 1e-14)
    local five = al.tensor({ 5 }, { dtype = "uint8" })
    assert.near(5 * 0.7 ^ 4, slope(function(x) return x[1] ^ five end, 0.7), 1e-14)
    local yes = al.tensor { true }
    assert.near(1 / (1 + 0.49), slope(function(x) return x:atan2(yes) end, 0.7), 1e-14)
  end)
end)

describe("where, masked_fill, lerp", function()
  it("select by mask", function()
    local m = al.tensor { true, false }
    assert.same({ 1, 20 }, al.where(m, al.tensor { 1, 2 }, al.tensor { 10, 20 }):totable())
    assert.same({ { 1, 0 }, { 1, 0 } }, al.where(m, 1, al.zeros(2, 2)):totable())
    local x = al.tensor { 5, nan }
    assert.same({ 7 }, { x:masked_fill(m, 7)[1]:item() })
    x:masked_fill_(x:isnan(), 0)
    assert.same({ 5, 0 }, x:totable())
    assert.same({ 2.5 }, al.lerp(al.tensor { 1 }, al.tensor { 4 }, 0.5):totable())
    assert.error_matches(function() al.where(al.ones(2), 1, 2) end, "mask must be bool")
  end)
end)
