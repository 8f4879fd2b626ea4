-- vjp, jvp, hvp, jacobian, hessian: closed forms, and each against the others.
local al = require "albedo"

local function double(v) return al.tensor(v, { dtype = "float64" }) end
local function near(a, b, eps)
  assert.same(b.shape, a.shape)
  local d = (a - b):abs():max():item()
  assert.is_true(d <= (eps or 1e-12), ("differs by %g"):format(d))
end

local A = double { { 1, 2, 3 }, { 4, 5, 6 } }
local B = double { { 2, 1, 0 }, { 1, 3, -1 }, { 0, -1, 4 } }
local x = double { 0.5, -1, 2 }

describe("al.vjp and al.jvp", function()
  it("are the products with a matrix", function()
    local function f(v) return A:mv(v) end
    local y, g = al.vjp(f, x, double { 1, -2 })
    near(y, A:mv(x))
    near(g, A:t():mv(double { 1, -2 }))
    local z, d = al.jvp(f, x, double { 1, 0, -1 })
    near(z, A:mv(x))
    near(d, A:mv(double { 1, 0, -1 }))
    assert.is_false(d.requires_grad or g.requires_grad or y.requires_grad)
  end)

  it("take and give lists, and leave .grad alone", function()
    local w = double { 1, 2, 3 }:requires_grad_()
    local ys, g = al.vjp(function(a, b) return a * b, (a + b):sum() end, { x, w },
      { double { 1, 1, 1 }, double(10) })
    assert.equal(2, #ys)
    near(g[1], double { 11, 12, 13 })
    near(g[2], x + 10)
    assert.is_nil(w.grad)
    local _, d = al.jvp(function(a, b) return { a * b, a } end, { x, w }, { w:detach(), x })
    near(d[1], w:detach() * w:detach() + x * x)
    near(d[2], w:detach())
  end)

  it("need no v for one element, and else say what is wrong", function()
    local _, g = al.vjp(function(v) return (v * v):sum() end, x)
    near(g, x * 2)
    local function square(v) return v * v end
    local _, message = pcall(function() al.vjp(square, x) end)
    assert.is_truthy(message:find("^[^\n]*functional_spec.lua:%d+: vjp: v is missing"), message)
    assert.error_matches(function() al.jvp(square, x, double { 1 }) end, "v%[1%] has shape 1, the input 3")
    assert.error_matches(function() al.jvp(square, { x, x }, x) end, "v holds 1 tensors, there are 2 inputs")
    assert.error_matches(function() al.vjp(square, al.tensor({ 1 }, { dtype = "int64" })) end, "input 1 is int64")
    assert.error_matches(function() al.vjp(function() return 3 end, x) end, "what fn returns must be a tensor")
    assert.error_matches(function() al.vjp(square, x, x, { create = true }) end, "unknown option 'create'")
  end)

  it("give zeros where nothing depends", function()
    local _, g = al.vjp(function() return double { 1, 2 } end, x, double { 1, 1 })
    near(g, double { 0, 0, 0 })
    local _, d = al.jvp(function(v) return v:detach() end, x, x)
    near(d, double { 0, 0, 0 })
  end)

  it("are differentiable with create_graph", function()
    local w = double { 0.3, 0.7, -0.4 }:requires_grad_()
    local _, d = al.jvp(function(v) return v ^ 3 end, w, x, { create_graph = true })
    near(al.grad(d:sum(), w), w:detach() * x * 6)
    local _, g = al.vjp(function(v) return v:exp() end, w, x, { create_graph = true })
    near(al.grad(g:sum(), w), w:detach():exp() * x)
  end)
end)

describe("al.jacobian", function()
  it("has the outputs' dims before the inputs'", function()
    near(al.jacobian(function(v) return A:mv(v) end, x), A)
    local j = al.jacobian(function(m) return m:sum(1) end, A)
    assert.same({ 3, 2, 3 }, j.shape)
    for k = 1, 3 do near(j[k]:sum(1), al.eye(3, { dtype = "float64" })[k] * 2) end
    assert.same({ 3, 0 }, al.jacobian(function(v) return x * v:sum() end, al.zeros(0)).shape)
  end)

  it("of lists is a table of tables", function()
    local j = al.jacobian(function(a, b) return a * b, b:sum() end, { x, x })
    near(j[1][1], x:unsqueeze(2) * al.eye(3, { dtype = "float64" }))
    near(j[2][1], x * 0)
    near(j[2][2], x * 0 + 1)
  end)
end)

describe("al.hessian and al.hvp", function()
  local function form(v) return v:dot(B:mv(v)) + (v ^ 3):sum() end
  local H = B + B:t() + (x * 6):unsqueeze(2) * al.eye(3, { dtype = "float64" })

  it("are the second derivatives", function()
    near(al.hessian(form, x), H)
    local y, h = al.hvp(form, x, double { 1, 2, 3 })
    near(h, H:mv(double { 1, 2, 3 }))
    near(y, form(x))
  end)

  it("go over several inputs", function()
    local h = al.hessian(function(a, b) return (a * a * b):sum() end, { x, x + 1 })
    local eye = al.eye(3, { dtype = "float64" })
    near(h[1][1], (x + 1):unsqueeze(2) * eye * 2)
    near(h[1][2], x:unsqueeze(2) * eye * 2)
    near(h[2][2], eye * 0)
  end)

  it("are zero for a linear function, and want one element", function()
    near(al.hessian(function(v) return v:sum() end, x), B * 0)
    assert.error_matches(function() al.hessian(function(v) return v * 2 end, x) end, "fn must give one element, got 3")
    assert.error_matches(function() al.hvp(function(v) return v, v end, x, x) end, "got 2 tensors")
  end)

  it("give third derivatives with create_graph", function()
    local w = double { 2, 3 }:requires_grad_()
    local h = al.hessian(function(v) return (v ^ 4):sum() end, w, { create_graph = true })
    near(al.grad(h:sum(), w), w:detach() * 24)
  end)

  it("leave no block behind", function()
    collectgarbage() collectgarbage()
    local blocks = al.memory().blocks
    al.scope(function() al.hessian(form, x) al.jvp(form, x, x) end)
    collectgarbage() collectgarbage()
    assert.equal(blocks, al.memory().blocks)
  end)
end)
