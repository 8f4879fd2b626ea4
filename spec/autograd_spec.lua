local al = require "albedo"

local function leaf(v) return al.tensor(v, { dtype = "float64", requires_grad = true }) end

describe("backward", function()
  it("adds to the leaves' gradients", function()
    local x, w = leaf { 1, 2, 3 }, leaf { 4, 5, 6 };
    (x * w):sum():backward()
    assert.same({ 4, 5, 6 }, x.grad:totable())
    assert.same({ 1, 2, 3 }, w.grad:totable());
    (x * 2):sum():backward()
    assert.same({ 6, 7, 8 }, x.grad:totable())
    assert.is_true(x.grad == x.grad)
    x:zero_grad()
    assert.is_nil(x.grad)
  end)

  it("sums where inputs were broadcast and reused", function()
    local x, b = leaf { { 1, 2 }, { 3, 4 } }, leaf { 10, 20 };
    (x + b + b):sum():backward()
    assert.same({ 4, 4 }, b.grad:totable())
    local s = leaf(3);
    (s * s * s):backward()
    assert.equal(27, s.grad:item())
  end)

  it("never shares .grad with another tensor", function()
    local x, g = leaf { 0, 0 }, al.ones(2, { dtype = "float64" })
    x:backward(g)
    x:backward(g)
    assert.same({ 1, 1 }, g:totable())
    assert.same({ 2, 2 }, x.grad:totable())
    local a, b = leaf(1), leaf(2);
    (a + b):backward { create_graph = true };
    (a * 5):backward()
    assert.equal(6, a.grad:item())
    assert.equal(1, b.grad:item())
  end)

  it("refuses a view from before its storage was written, with a node or without", function()
    local w = leaf { 2 }
    local x = al.zeros(3, { dtype = "float64" })
    local v, apart = x["1:1"], x:detach()
    local of_apart = apart["1:1"]
    x["1:1"] = w * 3
    assert.error_matches(function() return v * w end, "take the view again")
    assert.error_matches(function() return v * 2 end, "take the view again");
    (apart * 2 + of_apart):sum()
    assert.equal(6, al.no_grad(function() return v * 1 end):item())
    local y = w * 1
    local u = y[1]
    y:mul_(2)
    assert.error_matches(function() u:backward() end, "take the view again")
  end)

  it("goes through an assignment by list and index tensor", function()
    local w, y = leaf { 1, 2 }, al.zeros(2, 3, { dtype = "float64" })
    y[{ 1, al.tensor({ 1, 3 }, { dtype = "int64" }) }] = w
    assert.same({ { 1, 0, 2 }, { 0, 0, 0 } }, y:totable());
    (y * al.tensor({ { 1, 10, 100 }, { 0, 0, 0 } }, { dtype = "float64" })):sum():backward()
    assert.same({ 1, 100 }, w.grad:totable())
  end)

  it("walks a long chain without recursion", function()
    local x = leaf(1)
    local y = x
    for _ = 1, 100000 do y = y + 0 end
    y:backward()
    assert.equal(1, x.grad:item())
    y = nil
    collectgarbage()
  end)

  it("needs a gradient argument for more than one element", function()
    local y = leaf { 1, 2 } * 2
    assert.error_matches(function() y:backward() end, "needs a gradient")
    assert.error_matches(function() y:backward(al.ones(3)) end, "shape 3")
    assert.error_matches(function() al.ones(1):sum():backward() end, "does not depend")
  end)

  it("consumes the graph unless told to keep it", function()
    local x = leaf { 1, 2 }
    local y = (x * x):sum()
    y:backward(nil, { retain_graph = true })
    y:backward()
    assert.same({ 4, 8 }, x.grad:totable())
    assert.error_matches(function() y:backward() end, "retain_graph")
    assert.error_matches(function() y:backward({ keep = true }) end, "unknown option")
  end)

  it("names who saved and who overwrote", function()
    local x = leaf { 1, 2 }
    local y = x * 2
    local z = y * y
    y:add_(1)
    assert.error_matches(function() z:sum():backward() end, "mul keeps its .-, but add overwrote it")
  end)

  it("follows in-place writes", function()
    local x = leaf { 1, 2, 3 }
    local y = x * 1
    y:mul_(2)
    y[1] = 0
    y:sum():backward()
    assert.same({ 0, 2, 2 }, x.grad:totable())
    local v = leaf(5)
    local t = al.zeros(2, { dtype = "float64" })
    t[2] = v;
    (t * 3):sum():backward()
    assert.equal(3, v.grad:item())
  end)

  it("refuses in-place writes that would be wrong", function()
    local x = leaf { 1, 2 }
    assert.error_matches(function() x:add_(1) end, "no_grad")
    assert.error_matches(function() x[1] = 3 end, "no_grad")
    al.no_grad(function() x:add_(1) end)
    assert.same({ 2, 3 }, x:totable())
    local y = x * 1
    local v = y["1:1"]
    assert.error_matches(function() v:mul_(2) end, "view")
    y:mul_(2)
    assert.error_matches(function() return v * 2 end, "take the view again")
  end)
end)

describe("al.grad", function()
  it("gives gradients without touching .grad", function()
    local x, w = leaf { 1, 2 }, leaf { 3, 4 }
    local y = (x * w * w):sum()
    local g = al.grad(y, { x, w })
    local gx, gw = g[1], g[2]
    assert.same({ 9, 16 }, gx:totable())
    assert.same({ 6, 16 }, gw:totable())
    assert.is_nil(x.grad)
    assert.is_nil(w.grad)
  end)

  it("differentiates its own results", function()
    local x = leaf(2)
    local g = al.grad(x ^ 4, x, { create_graph = true })
    assert.equal(32, g:item())
    local h = al.grad(g, x, { create_graph = true })
    assert.equal(48, h:item())
    assert.equal(48, al.grad(h, x):item())
  end)

  it("reaches computed tensors and names unused inputs", function()
    local x, other = leaf { 1, 2 }, leaf { 1 }
    local y = x * 3
    assert.same({ 2, 2 }, al.grad((y * 2):sum(), y, { retain_graph = true }):totable())
    assert.error_matches(function() al.grad((x * 2):sum(), { x, other }) end, "input 2 was not used")
    assert.is_nil(al.grad((x * 2):sum(), { x, other }, { allow_unused = true })[2])
  end)
end)

describe("al.grad, partial", function()
  it("lets no path go through another input", function()
    local x = leaf(3)
    local y = x * x
    local z = x * y
    local total = al.grad(z, { x, y }, { retain_graph = true })
    assert.same({ 27, 3 }, { total[1]:item(), total[2]:item() })
    local partial = al.grad(z, { x, y }, { partial = true })
    assert.same({ 9, 3 }, { partial[1]:item(), partial[2]:item() })
  end)
end)

describe("no_grad", function()
  it("records nothing inside, also after an error", function()
    local x = leaf { 1 }
    assert.is_false(al.no_grad(function() return x * 2 end).requires_grad)
    assert.is_false(pcall(al.no_grad, function() error("x") end))
    assert.is_true((x * 2).requires_grad)
    assert.is_false((x * 2):detach().requires_grad)
  end)
end)

describe("no_grad", function()
  it("belongs to its coroutine, even one that yields or is abandoned inside", function()
    local x = al.tensor({ 1 }, { requires_grad = true })
    local function inside()
      return al.no_grad(function()
        coroutine.yield((x * 2).requires_grad)
        return (x * 2).requires_grad
      end)
    end
    local co = coroutine.create(inside)
    assert.same({ true, false }, { coroutine.resume(co) })
    assert.is_true((x * 2).requires_grad)
    assert.same({ true, false }, { coroutine.resume(co) })
    assert.is_true((x * 2).requires_grad)
    for _ = 1, 50 do -- addresses of dead coroutines come back
      coroutine.resume(coroutine.create(inside))
      collectgarbage()
      local _, recorded = coroutine.resume(coroutine.create(function() return (x * 2).requires_grad end))
      assert.is_true(recorded)
    end
  end)

  it("is left when an error passes through it", function()
    local x = al.tensor({ 1 }, { requires_grad = true })
    assert.is_false(pcall(al.no_grad, function() error "stop" end))
    assert.is_true((x * 2).requires_grad)
    assert.is_true(al.no_grad(function() return al.with_grad(true, function() return (x * 2).requires_grad end) end))
  end)
end)
