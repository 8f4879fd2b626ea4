-- Tensor memory through LuaJIT's FFI; `make luajit` runs this.
local al = require "albedo"

if not rawget(_G, "jit") then
  describe("al.ffi", function()
    it("says that it needs LuaJIT", function()
      assert.error_matches(function() al.ffi(al.ones(1)) end, "ffi: this needs LuaJIT")
    end)
  end)
  return
end

describe("al.ffi", function()
  local ffi = require "ffi"

  it("is the tensor's own memory, typed", function()
    local types = { float32 = "float *", float64 = "double *", int32 = "int32_t *", int64 = "int64_t *", uint8 = "uint8_t *" }
    for dtype, ctype in pairs(types) do
      local t = al.arange(1, 6):to(dtype):reshape(2, 3)
      local p = al.ffi(t)
      assert.equal(tostring(ffi.typeof(ctype)), tostring(ffi.typeof(p)))
      assert.equal(6, tonumber(p[5]))
      p[4] = 50
      assert.equal(50, t[2][2]:item())
      t[1] = 7
      assert.equal(7, tonumber(p[2]))
    end
    local b = al.tensor { true, false }
    assert.is_true(al.ffi(b)[0])
    assert.is_false(al.ffi(b)[1])
  end)

  it("starts at a view's first element", function()
    local t = al.arange(1, 6):to("float64"):reshape(2, 3)
    local column = t[":, 2"]
    local p, step = al.ffi(column), column:stride()[1]
    assert.same({ 2, 5 }, { p[0], p[step] })
  end)

  it("holds the tensor", function()
    local p = al.ffi(al.full({ 1000 }, 3))
    for _ = 1, 50 do al.zeros(1000) end
    collectgarbage()
    collectgarbage()
    for _ = 1, 50 do al.zeros(1000) end
    assert.equal(3, p[999])
    assert.error_matches(function() al.ffi(3) end, "a tensor is wanted, got number")
  end)

  it("sums as fast as compiled code reads", function()
    local t = al.ones(100000)
    local p, sum = al.ffi(t), 0
    for i = 0, 99999 do sum = sum + p[i] end
    assert.equal(100000, sum)
  end)
end)
