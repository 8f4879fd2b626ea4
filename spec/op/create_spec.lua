local al = require "albedo"

describe("creation", function()
  it("fills shapes", function()
    assert.same({ { 0, 0 } }, al.zeros(1, 2):totable())
    assert.same({ 1, 1 }, al.ones({ 2 }):totable())
    assert.equal("int32", al.ones(2, { dtype = "int32" }).dtype)
    assert.same({ { 2.5 }, { 2.5 } }, al.full({ 2, 1 }, 2.5):totable())
    assert.same({ true }, al.full({ 1 }, 1, { dtype = "bool" }):totable())
    local x = al.zeros(2, 3, { dtype = "float64" })
    assert.equal("float64", al.ones_like(x).dtype)
    assert.same({ 2, 3 }, al.full_like(x, 4, { dtype = "int64" }).shape)
    assert.same({ 7, 7 }, al.empty(2):fill_(7):totable())
    assert.same({ 0, 0 }, al.ones(2):zero_():totable())
    assert.equal(0, al.zeros(3, 0):numel())
    assert.error_matches(function() al.zeros(-1) end, "negative")
  end)

  it("arange counts from 1 and includes its end when hit", function()
    assert.same({ 1, 2, 3 }, al.arange(3):totable())
    assert.equal("int64", al.arange(3).dtype)
    assert.same({ 2, 4, 6 }, al.arange(2, 6, 2):totable())
    assert.same({ 2, 4, 6 }, al.arange(2, 7, 2):totable())
    assert.same({ 5, 3, 1 }, al.arange(5, 1, -2):totable())
    assert.same({}, al.arange(0):totable())
    assert.same({}, al.arange(3, 1):totable())
    assert.equal(11, al.arange(0, 1, 0.1):numel())
    assert.equal(1, al.arange(0, 1, 0.1, { dtype = "float64" })[-1]:item())
    assert.equal("float32", al.arange(0, 1, 0.5).dtype)
    assert.error_matches(function() al.arange(1, 2, 0) end, "step")
  end)

  it("linspace, eye, one_hot", function()
    assert.same({ 0, 0.25, 0.5, 0.75, 1 }, al.linspace(0, 1, 5):totable())
    assert.same({ 3 }, al.linspace(3, 9, 1):totable())
    assert.same({ { 1, 0, 0 }, { 0, 1, 0 } }, al.eye(2, 3):totable())
    assert.same({ { 0, 1, 0 }, { 1, 0, 0 } }, al.one_hot(al.tensor({ 2, 1 },
      { dtype = "int64" }), 3):totable())
    assert.error_matches(function() al.one_hot(al.tensor({ 0 }, { dtype = "int64" })) end,
      "count from 1")
    assert.error_matches(function() al.one_hot(al.tensor({ 4 }, { dtype = "int64" }), 3) end,
      "beyond")
  end)
end)

describe("casts and copies", function()
  it("convert every pair of dtypes", function()
    local names = { "bool", "uint8", "int32", "int64", "float32", "float64" }
    for _, from in ipairs(names) do
      for _, to in ipairs(names) do
        local x = al.tensor({ 0, 1, 1, 0, 1 }, { dtype = from })
        local y = x:to(to)
        assert.equal(to, y.dtype)
        assert.same({ 0, 1, 1, 0, 1 }, y:to("int64"):totable())
        assert.same({ 0, 1, 1 }, x["1::2"]:to(to):to("int64"):totable())
      end
    end
    assert.same({ -1, 2 }, al.tensor({ -1.9, 2.9 }):to("int64"):totable())
    local x = al.ones(2)
    assert.equal(x, x:to("float32"))
    assert.not_equal(x, x:clone())
  end)

  it("carry gradients back in the source's dtype", function()
    local x = al.ones(2, { dtype = "float32" })
    x.requires_grad = true
    (x:to("float64") * 3):sum():backward()
    assert.equal("float32", x.grad.dtype)
    assert.same({ 3, 3 }, x.grad:totable())
  end)

  it("transpose, permute and repeat in any size", function()
    for _, s in ipairs { { 1, 7 }, { 5, 64 }, { 33, 65 }, { 200, 31 } } do
      for _, dtype in ipairs { "float32", "float64", "uint8" } do
        local x = al.arange(s[1] * s[2]):to(dtype):reshape(s)
        local t = x:transpose(1, 2):contiguous()
        for _ = 1, 20 do
          local i, j = math.random(s[1]), math.random(s[2])
          assert.equal(x[i][j]:item(), t[j][i]:item())
        end
      end
    end
    local x = al.randn(3, 40, 50)
    local y = x:permute(3, 1, 2):contiguous()
    assert.equal(x[2][17][33]:item(), y[33][2][17]:item())
    assert.same(x:totable(), y:permute(2, 3, 1):contiguous():totable())
    assert.same({ { 1, 1 }, { 2, 2 } }, al.tensor({ { 1 }, { 2 } }):expand(2,
      2):contiguous():totable())
    local v = al.arange(5)
    v["2:5"]:copy_(v["1:4"])
    assert.same({ 1, 1, 2, 3, 4 }, v:totable())
  end)

  it("detach shares memory and leaves the graph", function()
    local x = al.ones(2)
    x.requires_grad = true
    local d = (x * 2):detach()
    assert.is_false(d.requires_grad)
  end)
end)
