local al = require "albedo"

describe("finalizers within reach of scripts", function()
  it("leave other values alone", function()
    local t, s = al.ones(2), al.scope()
    assert.is_nil(getmetatable(t).__gc)
    assert.is_false(pcall(getmetatable(s).__gc, io.stdout))
    s:close()
    assert.equal(2, t:sum():item())
  end)
end)

describe("from_bytes", function()
  it("takes 0 and 1 for bools, nothing else", function()
    assert.same({ true, false }, al.from_bytes("\1\0", "bool"):totable())
    assert.error_matches(function() return al.from_bytes("\1\5", "bool") end, "byte 2 is 5")
  end)
end)

describe("al.tensor", function()
  it("takes numbers, nests, booleans and tensors", function()
    assert.equal(2.5, al.tensor(2.5):item())
    assert.same({}, al.tensor(2.5).shape)
    local t = al.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    assert.same({ 2, 3 }, t.shape)
    assert.equal("float32", t.dtype)
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, t:totable())
    assert.equal("bool", al.tensor({ true, false }).dtype)
    assert.same({ true, false }, al.tensor({ true, false }):totable())
    local big = 2 ^ 53 + 2
    assert.equal(big, al.tensor({ big }, { dtype = "int64" }):item())
    local copy = al.tensor(t, { dtype = "float64" })
    t[1] = 9
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, copy:totable())
    assert.same({ 0 }, al.tensor({}).shape)
    assert.same({ 2, 0 }, al.tensor({ {}, {} }).shape)
  end)

  it("refuses what is no tensor", function()
    assert.error_matches(function() al.tensor { { 1, 2 }, { 3 } } end, "ragged")
    assert.error_matches(function() al.tensor { 1, { 2 } } end, "ragged")
    assert.error_matches(function() al.tensor { 1, "x" } end, "no number")
    assert.error_matches(function() al.tensor() end, "got nothing")
    assert.error_matches(function() al.tensor({ 1 }, { dtpye = "float32" }) end, "unknown option")
    assert.error_matches(function() al.tensor({ 1 }, { dtype = "int64", requires_grad = true }) end, "only floating")
  end)
end)

describe("indexing", function()
  local t
  before_each(function() t = al.arange(24):reshape(2, 3, 4) end)

  it("takes integers from either end", function()
    assert.same({ 3, 4 }, t[1].shape)
    assert.equal(24, t[-1][-1][-1]:item())
    assert.equal(t[2][3][4]:item(), t[{ 2, 3, 4 }]:item())
    assert.is_nil(t[3])
    assert.error_matches(function() return t[4] end, "4 is out of range for dim 1 of size 2")
    assert.error_matches(function() return t[0] end, "count from 1")
    assert.error_matches(function() return t[{ 1, 1, 1, 1 }] end, "3 dims is given 4 indices")
  end)

  it("takes ranges as tables and as text", function()
    assert.same({ { 1, 2 }, { 5, 6 } }, t[{ 1, { 1, 2 }, { 1, 2 } }]:totable())
    assert.same(t[{ {}, { 2, 3 }, -1 }]:totable(), t[":, 2:3, -1"]:totable())
    assert.same({ { 8, 12 }, { 20, 24 } }, t[":, 2:3, -1"]:totable())
    assert.same({ 4, 2 }, t["1, 1, ::-2"]:totable())
    assert.same({ 1, 3 }, t["1, 1, ::2"]:totable())
    assert.same({ 12, 24 }, t["..., 3, 4"]:totable())
    assert.same({ 2, 1, 4 }, t[{ {}, { 2 } }].shape)
    assert.same({ 2, 0, 4 }, t[{ {}, { 3, 2 } }].shape)
    assert.error_matches(function() return t["1:x"] end, "no slice")
    assert.error_matches(function() return t["0:2"] end, "count from 1")
    assert.error_matches(function() return t["::0"] end, "step")
    assert.error_matches(function() return t.shap end, "did you mean shape")
  end)

  it("takes masks and positions", function()
    assert.same({ 21, 22, 23, 24 }, t[t:gt(20)]:totable())
    assert.same(t[2]:totable(), t[al.tensor({ 2 }, { dtype = "int64" })]:totable()[1])
    local i = al.tensor({ 3, 1 }, { dtype = "int64" })
    assert.same({ { 9, 1 }, { 21, 13 } }, t[{ {}, i, 1 }]:totable())
  end)

  it("writes through every form", function()
    t[1] = 0
    t["2, 1"] = al.tensor { 5, 6, 7, 8 }
    t[{ 2, { 2, 3 }, 4 }] = -1
    assert.same({ { { 0, 0, 0, 0 }, { 0, 0, 0, 0 }, { 0, 0, 0, 0 } }, { { 5, 6, 7, 8 }, { 17, 18, 19, -1 }, { 21, 22, 23, -1 } } }, t:totable())
    t[t:lt(0)] = 100
    assert.equal(100, t[{ 2, 2, 4 }]:item())
    t[al.tensor({ 1 }, { dtype = "int64" })] = 3
    assert.equal(36, t[1]:sum():item())
    assert.error_matches(function() t[1] = "x" end, "is assigned")
    assert.error_matches(function() t[1] = al.zeros(5) end, "broadcast")
    assert.error_matches(function() t.colour = 1 end, "colour")
  end)

  it("ends ipairs and rows at the last entry", function()
    local n = 0
    for i, row in ipairs(t) do
      n = n + 1
      assert.equal(i, n)
      assert.same({ 3, 4 }, row.shape)
    end
    assert.equal(2, n)
    n = 0
    for _, row in t:rows() do n = n + row:sum():item() end
    assert.equal(300, n)
  end)
end)

describe("operators", function()
  it("are elementwise and broadcast", function()
    local a, b = al.tensor { 1, 2, 3 }, al.tensor { { 10 }, { 20 } }
    assert.same({ { 11, 12, 13 }, { 21, 22, 23 } }, (a + b):totable())
    assert.same({ 3, 5, 7 }, (2 * a + 1):totable())
    assert.same({ 1, 4, 9 }, (a ^ 2):totable())
    assert.same({ 1, 0, 1 }, (a % 2):totable())
    assert.same({ -1, -2, -3 }, (-a):totable())
    assert.equal(3, #a)
    local i = al.tensor({ 6, 3 }, { dtype = "int64" })
    assert.equal("int64", (i + 1).dtype)
    assert.equal("float32", (i + 1.5).dtype)
    assert.equal("float32", (i / 2).dtype)
    assert.equal("float64", (a + al.zeros(3, { dtype = "float64" })).dtype)
    assert.equal("float32", (a + al.zeros({}, { dtype = "float64" })).dtype)
  end)

  it("join, compare and identify", function()
    local a, b = al.tensor { 1 }, al.tensor { 2, 3 }
    assert.same({ 1, 2, 3 }, (a .. b):totable())
    assert.is_truthy((a .. "!"):find("!", 1, true))
    assert.is_true(al.tensor(1) < al.tensor(2))
    assert.is_true(al.tensor(1) <= 1)
    assert.error_matches(function() return b < a end, "a:lt%(b%)")
    assert.is_false(a == al.tensor { 1 })
    assert.is_true(a == a)
  end)
end)

describe("printing", function()
  it("shows values, shape and dtype within 80 columns", function()
    local text = tostring(al.randn(2, 3))
    assert.is_truthy(text:find("float32 2x3", 1, true))
    local wide = tostring(al.randn(100, 100))
    for line in wide:gmatch("[^\n]+") do assert.is_true(#line <= 82, line) end
    assert.is_truthy(wide:find("...", 1, true))
    assert.equal("[[1., 2.],\n [3., 4.]]\n[float32 2x2]", tostring(al.tensor { { 1, 2 }, { 3, 4 } }))
    assert.equal("[float32 0]", tostring(al.tensor {}))
    assert.equal("5.\n[float32 scalar]", tostring(al.tensor(5)))
    assert.is_truthy(tostring(al.tensor { 0 / 0, 1 / 0 }):find("nan, inf", 1, true))
    assert.is_truthy(tostring(al.tensor({ 1 }, { requires_grad = true }):exp()):find("<exp>", 1, true))
  end)
end)
