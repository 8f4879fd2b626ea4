-- 02: gradients. Shows: requires_grad and backward, second derivatives, switching recording
-- off, memory scopes, and a line fitted by gradient descent written out by hand.
local al = require "albedo"

-- What is computed from a tensor that requires a gradient is recorded; backward fills in .grad.
local x = al.tensor({ 1, 2, 3 }, { requires_grad = true })
local y = (x ^ 2):sum()
y:backward()
print("d(sum x^2)/dx = 2x:", x.grad)

-- al.grad gives gradients without touching .grad; create_graph records them too, for
-- derivatives of derivatives.
local t = al.tensor(0.5, { dtype = "float64", requires_grad = true })
local first = al.grad(t:sin(), t, { create_graph = true })
local second = al.grad(first, t)
print(("sin' = cos: %.6f   sin'' = -sin: %.6f"):format(first:item(), second:item()))

-- Gradients add up over calls of backward, until they are forgotten.
local more = (x * 10):sum()
more:backward()
print("2x + 10:", x.grad)
x.grad = nil

-- Inside no_grad nothing is recorded.
print("recorded:", (x * 2).requires_grad, "in no_grad:",
  al.no_grad(function() return (x * 2).requires_grad end))

-- Least squares: find w and b of y = 3 x - 1 from noisy points.
al.seed(1)
local points = al.rand(100) * 4 - 2
local target = points * 3 - 1 + al.randn(100) * 0.1
local w = al.zeros(1):requires_grad_()
local b = al.zeros(1):requires_grad_()
for step = 1, 100 do
  -- A scope releases what is made inside it, at once; parameters and their gradients stay.
  local scope = al.scope()
  local loss = (w * points + b - target):square():mean()
  loss:backward()
  al.no_grad(function()
    w:sub_(w.grad * 0.1)
    b:sub_(b.grad * 0.1)
  end)
  w.grad, b.grad = nil, nil
  if step % 25 == 0 then print(("step %3d  loss %.4f"):format(step, loss:item())) end
  scope:close()
end
print(("w = %.2f (true: 3)   b = %.2f (true: -1)"):format(w:item(), b:item()))
assert(math.abs(w:item() - 3) < 0.1 and math.abs(b:item() + 1) < 0.1)
