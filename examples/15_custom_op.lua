-- 15: an op of your own, in Lua. Shows: al.fn with a gradient that is not the derivative,
-- several arguments and results, what is saved and what is a field, a gradient that can be
-- differentiated again. For an op in C see "Writing an op" in the manual (make docs).
local al = require "albedo"
al.seed(1)

-- Rounding has derivative 0 nearly everywhere. The straight-through estimator (Bengio et al.
-- 2013) passes the gradient on where the value was within the range.
local quantize = al.fn {
  name = "quantize", -- x in -1 .. 1 to `levels` values
  forward = function(ctx, x, levels)
    ctx:save(x)
    local k = (levels - 1) / 2
    return (x:clamp(-1, 1) * k):round() / k
  end,
  backward = function(ctx, g)
    local x = ctx:saved()
    return g * x:abs():le(1):to(g.dtype) -- one gradient an argument; `levels` is a number: nil
  end,
}
local x = al.tensor({ -1.4, -0.6, 0.1, 0.7 }, { requires_grad = true })
local y = quantize(x, 3)
y:sum():backward()
print(y, x.grad)

-- A layer whose weights take three values, trained through the estimator: 2-bit weights.
local w = (al.randn(16, 1) * 0.5):requires_grad_()
local truth = (al.randint(1, 3, { 16, 1 }) - 2):to "float32"
local opt = al.optim.adam({ w }, { lr = 0.05 })
for _ = 1, 200 do
  local scope = al.scope()
  local inputs = al.randn(64, 16)
  local loss = (inputs:matmul(quantize(w, 3)) - inputs:matmul(truth)):square():mean()
  opt:zero_grad() loss:backward() opt:step()
  scope:close()
end
local equal = quantize(w, 3):eq(truth):sum():item()
print(("%d of 16 ternary weights found"):format(equal))
assert(equal == 16)

-- Four arguments, two results: the complex product of (a, b) and (c, d), gradients by hand.
-- Made of recorded ops, backward can itself be differentiated.
local product = al.fn {
  name = "product",
  forward = function(ctx, a, b, c, d)
    ctx:save(a, b, c, d)
    return a * c - b * d, a * d + b * c
  end,
  backward = function(ctx, g, h) -- of the real and the imaginary part
    local a, b, c, d = ctx:saved()
    return g * c + h * d, h * c - g * d, g * a + h * b, h * a - g * b
  end,
}
local function leaf() return al.randn(3, { dtype = "float64" }):requires_grad_() end
local args = { leaf(), leaf(), leaf(), leaf() }
assert(al.gradcheck(product, args))
assert(al.gradgradcheck(product, args))
print(product(args[1], args[2], args[3], args[4]))

-- A saved tensor that is written to before backward is an error, not a wrong gradient.
local v = al.ones(2):requires_grad_()
local u = v * 1
local z = quantize(u, 3)
u:add_(1)
print(select(2, pcall(function() z:sum():backward() end)))
