-- 13: derivatives of derivatives. Shows: create_graph through a network's input, a differential
-- equation solved by a network, a penalty on gradients, products with the Hessian.
local al = require "albedo"
local nn = al.nn
al.seed(1)

-- u'' = -u with u(0) = 0, u'(0) = 1 on 0 .. pi: the answer is sin. The network is a function of
-- t; its first two derivatives by t are gradients, and the loss is on them.
local net = nn.Sequential { nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(),
  nn.Linear(24, 1) }
local function derivatives(t)
  local u = net(t)
  local first = al.grad(u:sum(), t, { create_graph = true })
  return u, first, al.grad(first:sum(), t, { create_graph = true })
end

local opt = al.optim.adam(net:parameters(), { lr = 1e-2 })
local schedule = al.optim.schedule.cosine(opt, { steps = 600 })
for step = 1, 600 do
  local scope = al.scope()
  local t = (al.rand(64, 1) * math.pi):requires_grad_()
  local u, _, second = derivatives(t)
  local zero = al.zeros(1, 1):requires_grad_()
  local start, slope = derivatives(zero)
  local loss = (second + u):square():mean() + start:square():sum() + (slope - 1):square():sum()
  opt:zero_grad() loss:backward() opt:step()
  schedule:step()
  if step % 200 == 0 then print(("step %d  loss %.2e"):format(step, loss:item())) end
  scope:close()
end
local t = al.linspace(0, math.pi, 50):reshape(50, 1)
local off = (al.no_grad(net, t) - t:sin()):abs():max():item()
print(("largest distance from sin: %.4f"):format(off))
assert(off < 0.05)
al.show(al.no_grad(net, t):reshape(-1), { width = 60, height = 8 })

-- A penalty on the gradient by the input (R1 of GANs): backward goes through the gradient.
local critic = nn.Sequential { nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 1) }
local real = al.randn(32, 8):requires_grad_()
local slopes = al.grad(critic(real):sum(), real, { create_graph = true })
local penalty = slopes:square():sum(2):mean()
penalty:backward()
print(("penalty %.4f, its gradient by the first weight: %.4f"):format(penalty:item(),
  critic[1].weight.grad:norm():item()))

-- The largest eigenvalue of a Hessian, by power iteration on products with it: the matrix
-- itself is never made.
local a = al.randn(20, 20, { dtype = "float64" })
local symmetric = a + a:T()
local function form(x) return (x * symmetric:matmul(x)):sum() / 2 end
local x, v = al.randn(20, { dtype = "float64" }), al.randn(20, { dtype = "float64" })
local value
for _ = 1, 400 do
  local _, product = al.hvp(form, x, v)
  value = product:norm()
  v = product / value
end
local truth = al.eigvalsh(symmetric):abs():max()
print(("power iteration %.6f, eigvalsh %.6f"):format(value:item(), truth:item()))
assert(math.abs(value:item() - truth:item()) < 1e-3)
