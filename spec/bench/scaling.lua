-- How time grows with batch, size, depth and threads: medians in milliseconds, and the exponent e of
-- time = a n^e that fits them best (least squares of the logarithms).
--   lua5.4 spec/bench/scaling.lua [--threads N] [--repeats N] [--cpu]
package.path = "./spec/bench/?.lua;" .. package.path
local al = require "albedo"
local bench = require "bench"
local nn = al.nn
local o = bench.options { repeats = 5 }

-- A training step of `depth` 3x3 convolutions of 32 channels with batch norm and ReLU.
local function network(batch, side, depth)
  local net = nn.Sequential { nn.Conv2d(3, 32, 3, { pad = 1 }) }
  for _ = 1, depth do
    net:add(nn.Conv2d(32, 32, 3, { pad = 1 })):add(nn.BatchNorm2d(32)):add(nn.ReLU { inplace = true })
  end
  local head, x = nn.Linear(32, 2), al.randn(batch, 3, side, side)
  local y = al.randint(1, 2, { batch })
  local optim = al.optim.sgd(net:parameters(), { lr = 0.01 })
  return function()
    optim:zero_grad()
    head(net(x):mean({ 3, 4 })):cross_entropy(y):backward()
    optim:step()
  end
end

local function recurrence(steps)
  local lstm, x = nn.LSTM(64, 64), al.randn(steps, 16, 64)
  return function() lstm(x):sum():backward() end
end

local function product(n)
  local a, b = al.randn(n, n), al.randn(n, n)
  return function() al.matmul(a, b) end
end

local function attention(length)
  local q = al.randn(1, 4, length, 32)
  return function() al.scaled_dot_product_attention(q, q, q) end
end

local function exponent(ns, ms)
  local n, sx, sy, sxx, sxy = #ns, 0, 0, 0, 0
  for i = 1, n do
    local x, y = math.log(ns[i]), math.log(ms[i])
    sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y
  end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

local function curve(name, expected, ns, make, set)
  local ms, text = {}, {}
  for i, n in ipairs(ns) do
    al.scope(function()
      if set then set(n) end
      ms[i] = bench.median_ms(o.repeats, make(n))
    end)
    text[i] = ("%d: %.2f"):format(n, ms[i])
  end
  print(("%-24s exponent %5.2f (work grows as %s)   ms by n: %s"):format(name, exponent(ns, ms),
    expected, table.concat(text, ", ")))
  io.stdout:flush()
end

curve("step, batch", "n", { 2, 4, 8, 16, 32 }, function(n) return network(n, 32, 4) end)
curve("step, side of picture", "n^2", { 16, 32, 64, 128 }, function(n) return network(4, n, 4) end)
curve("step, depth", "n", { 2, 4, 8, 16, 32 }, function(n) return network(4, 32, n) end)
curve("LSTM, length", "n", { 16, 32, 64, 128, 256 }, recurrence)
curve("matrix product, side", "n^3", { 128, 256, 512, 1024 }, product)
curve("attention, length", "n^2", { 128, 256, 512, 1024 }, attention)
local counts = {}
for n = 1, o.threads do
  if n == 1 or n == o.threads or math.floor(math.log(n) / math.log(2)) == math.log(n) / math.log(2) then
    counts[#counts + 1] = n
  end
end
if #counts > 1 then
  curve("step, threads", "1/n", counts, function() return network(16, 64, 4) end, al.threads)
end
