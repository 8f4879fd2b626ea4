-- 06: higher derivatives, an op written in Lua, memory for time, and what to do when something
-- is wrong or slow. Shows: hessian and hvp, al.fn, al.checkpoint, al.check, al.profile.
local al = require "albedo"
al.seed(1)

-- Rosenbrock's function and Newton's method: the Hessian of a small function is one call.
local function valley(p)
  local x, y = p[1], p[2]
  return (1 - x) ^ 2 + (y - x ^ 2) ^ 2 * 100
end
local p = al.tensor({ -1.2, 1 }, { dtype = "float64" })
for _ = 1, 7 do
  local _, slope = al.vjp(valley, p)
  p = p - al.solve(al.hessian(valley, p), slope)
end
print("Newton's method, 7 steps:", p)
-- For large ones a product with the Hessian costs two backward passes.
local _, curved = al.hvp(valley, p, al.ones(2, { dtype = "float64" }))
print("H (1, 1):", curved)

-- An op of your own: forward is not recorded, backward gives a gradient for each argument.
local softcap = al.fn {
  name = "softcap", -- k tanh(x / k)
  forward = function(ctx, x, k)
    local y = (x / k):tanh() * k
    ctx.k = k
    ctx:save(y)
    return y
  end,
  backward = function(ctx, g)
    local y = ctx:saved()
    return g * (1 - (y / ctx.k) ^ 2) -- nothing for k, a number
  end,
}
local x = al.randn(5, { dtype = "float64" }):requires_grad_()
assert(al.gradcheck(function(v) return softcap(v, 2) end, { x }))
assert(al.gradgradcheck(function(v) return softcap(v, 2) end, { x }))

-- A deep stack keeps what each layer gave for backward; checkpoints keep the blocks' ends.
local w = (al.randn(64, 64) / 8):requires_grad_()
local function block(h)
  for _ = 1, 10 do h = h:matmul(w):tanh() end
  return h
end
local function peak(run)
  collectgarbage()
  al.memory_reset_peak()
  local before = al.memory().live
  al.scope(function()
    local h = al.randn(256, 64)
    for _ = 1, 10 do h = run(h) end
    h:square():mean():backward()
  end)
  return (al.memory().peak - before) / 1e6
end
print(("peak: %.1f MB, with checkpoints %.1f MB"):format(
  peak(block), peak(function(h) return al.checkpoint(block, h) end)))

-- The first NaN, by op and line, forward or backward.
al.check(true)
local z = al.tensor({ 4, 0 }, { requires_grad = true })
local root = z:sqrt()
print(select(2, pcall(function() root:sum():backward() end)))
al.check(false)

-- Where time goes: a row an op, the dearest first.
al.profile(function()
  local loss = block(al.randn(256, 64)):square():mean()
  loss:backward()
end)
