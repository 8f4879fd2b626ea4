-- Ops that no reference answers for: name -> a function that returns true when all is well, else what
-- is wrong. Random numbers: mean and variance of many against the distribution's, in standard errors,
-- and the range; uninitialised memory: the shape; files: what was written is read.
local al = require "albedo"
local N = 40000
local checks = {}

local function options()
  return { generator = al.generator(7), dtype = "float64" }
end

-- The sample mean and variance lie within 5 standard errors of mean and var; kurtosis is E(x-mean)^4/var^2.
local function moments(x, mean, var, kurtosis)
  x = x:to "float64"
  local n = x:numel()
  local m, v = x:mean():item(), x:var():item()
  local off_m = math.abs(m - mean) / math.sqrt(var / n)
  local off_v = math.abs(v - var) / (var * math.sqrt((kurtosis - 1) / n))
  if off_m < 5 and off_v < 5 then return true end
  return nil, ("mean %g not %g, variance %g not %g"):format(m, mean, v, var)
end

local function within(x, lo, hi)
  local least, most = x:min():item(), x:max():item()
  return least >= lo and most <= hi
end
local function both(ok, why, inside) return ok and inside, why or "out of range" end

local function uniform(x, lo, hi)
  local ok, why = moments(x, (lo + hi) / 2, (hi - lo) ^ 2 / 12, 1.8)
  return both(ok, why, within(x, lo, hi))
end

function checks.rand() return uniform(al.rand(200, N / 200, options()), 0, 1) end
function checks.rand_like() return uniform(al.rand_like(al.zeros(N), options()), 0, 1) end
function checks.uniform() return uniform(al.uniform(al.zeros(N), -2, 3), -2, 3) end
function checks.randn() return moments(al.randn(N, options()), 0, 1, 3) end
function checks.randn_like() return moments(al.randn_like(al.zeros(N), options()), 0, 1, 3) end
function checks.normal() return moments(al.normal(al.zeros(N), 2, 0.5), 2, 0.25, 3) end
function checks.exponential() return moments(al.exponential(al.zeros(N), 2), 0.5, 0.25, 9) end
function checks.gamma() return moments(al.gamma(al.full({ N }, 2.5)), 2.5, 2.5, 3 + 6 / 2.5) end
function checks.poisson() return moments(al.poisson(al.full({ N }, 4)), 4, 4, 3 + 1 / 4) end
function checks.bernoulli()
  return moments(al.bernoulli(al.full({ N }, 0.3)), 0.3, 0.21, 1 + (1 - 4 * 0.21) / 0.21 + 1)
end
function checks.randint()
  local x = al.randint(-3, 6, N) -- both ends included: 10 values
  local ok, why = moments(x, 1.5, 99 / 12, 1.8)
  return both(ok, why, within(x, -3, 6) and x:eq(-3):any():item() and x:eq(6):any():item())
end
function checks.randperm()
  local p = al.randperm(1000)
  local sorted = p:sort()
  return sorted:eq(al.arange(1000)):all():item() and not p:eq(sorted):all():item(), "no permutation"
end
function checks.multinomial()
  local x = al.multinomial(al.tensor { 1, 0, 2, 1 }, N, { replacement = true })
  local ok, why = moments(x, 2.75, 1.1875, 2) -- positions 1, 3, 4 with 1/4, 1/2, 1/4
  local once = al.multinomial(al.ones(50), 50):sort()
  return both(ok, why, not x:eq(2):any():item() and once:eq(al.arange(50)):all():item())
end

-- Dropped with probability p, scaled by 1 / (1 - p), the gradient by the same mask.
local function dropped(op, shape)
  local x = al.ones(shape):requires_grad_()
  local y = op(x, 0.25)
  y:sum():backward()
  local kept = y:detach():gt(0)
  local right = y:detach():eq(kept:to "float32" / 0.75):all():item()
  local rest = op(x, 0.25, { training = false }):eq(x):all():item()
  local ok, why = moments(kept, 0.75, 0.1875, 1 + 1 / 3 + 1)
  return both(ok, why, right and rest and x.grad:eq(y):all():item())
end
function checks.dropout() return dropped(al.dropout, { N }) end
function checks.feature_dropout()
  local y = al.feature_dropout(al.ones(20, 30, 2, 2), 0.5)
  local one = y:flatten(3):amax(3):eq(y:flatten(3):amin(3)):all():item()
  local ok, why = dropped(al.feature_dropout, { N / 4, 4, 1 })
  return both(ok, why, one)
end

function checks.empty()
  local x = al.empty(3, 0, 2, { dtype = "int64" })
  return table.concat(x.shape, "x") == "3x0x2" and x.dtype == "int64"
end
function checks.empty_like()
  local x = al.empty_like(al.zeros(3, 2), { dtype = "bool" })
  return table.concat(x.shape, "x") == "3x2" and x.dtype == "bool"
end

local function round_trip()
  local path = os.tmpname()
  local a, b = al.randn(3, 5, options()), al.randint(-9, 9, 4)
  al.native.ops.blocks_write(path, "head", { a, b })
  local x = al.native.ops.block_read(path, 12, "F64", { 3, 5 })
  local y = al.native.ops.block_read(path, 12 + 120, "I64", { 4 })
  os.remove(path)
  return x:eq(a):all():item() and y:eq(b):all():item(), "read back something else"
end
checks.block_read, checks.blocks_write = round_trip, round_trip

local function bytes_trip()
  local path, ops = os.tmpname(), al.native.ops
  local a, b = al.randn(3, 5, options()), al.randint(-9, 9, 4)
  ops.bytes_write(path, { a, b })
  local bytes = ops.block_read(path, 0, "U8", { 120 + 32 })
  os.remove(path)
  local x, y = ops.block_decode(bytes, 0, "F64", { 3, 5 }), ops.block_decode(bytes, 120, "I64", { 4 })
  return x:eq(a):all():item() and y:eq(b):all():item(), "read back something else"
end
checks.bytes_write, checks.block_decode = bytes_trip, bytes_trip

return checks
