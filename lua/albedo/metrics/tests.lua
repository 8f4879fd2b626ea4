-- Two methods on the same samples, seeds or folds: is the difference more than chance?
local lists = require "albedo.metrics.lists"
local raise = lists.raise

local tests = {}

-- Chance that Student's t with `df` degrees lies in [0, t]. With t = sqrt(df) tan(u) the
-- density is proportional to cos(u)^(df - 1), integrated by Simpson's rule.
local function student_half(t, df, points)
  local function integral(a, b, n)
    local h = (b - a) / n
    local sum = math.cos(a) ^ (df - 1) + math.max(0, math.cos(b)) ^ (df - 1)
    for i = 1, n - 1 do sum = sum + math.cos(a + i * h) ^ (df - 1) * (i % 2 == 1 and 4 or 2) end
    return sum * h / 3
  end
  local at = math.atan(t / math.sqrt(df))
  local total = integral(0, math.pi / 2, points)
  return integral(0, at, points) / total / 2, integral(at, math.pi / 2, points) / total
end

--- The t that lies beyond the middle `level` of Student's distribution.
function tests.student_quantile(level, df)
  local low, high = 0, 1000
  for _ = 1, 60 do
    local mid = (low + high) / 2
    if student_half(mid, df, 400) < level / 2 then low = mid else high = mid end
  end
  return high
end

-- Two-sided tail of the normal distribution beyond |z| (erfc by its continued fraction, or the
-- series near 0).
local function normal_tails(z)
  local x = math.abs(z) / math.sqrt(2)
  if x < 2.5 then
    local term, sum, n = x, x, 0
    while math.abs(term) > 1e-17 * math.abs(sum) and n < 200 do
      n = n + 1
      term = -term * x * x / n
      sum = sum + term / (2 * n + 1)
    end
    return 1 - 2 / math.sqrt(math.pi) * sum
  end
  local f = 0
  for k = 60, 1, -1 do f = k / 2 / (x + f) end
  return math.exp(-x * x) / math.sqrt(math.pi) / (x + f)
end

-- a - b; an error for fewer than two pairs.
local function differences(what, a, b)
  a, b = lists.pair(what, "a", a, "b", b, "number", "number")
  if #a < 2 then raise(what, "at least two pairs are needed") end
  local out = {}
  for i = 1, #a do out[i] = a[i] - b[i] end
  return out
end

--- McNemar's exact test: of the samples that one method has right and the other wrong, is it as
-- often the one? a, b: lists of booleans, or of predicted labels with `actual` given.
-- Returns { p, a_only, b_only }; p = 1 when they never differ.
function tests.mcnemar(a, b, actual)
  a, b = lists.pair("mcnemar", "a", a, "b", b)
  if actual then
    actual = lists.list("mcnemar", "actual", actual)
    if #actual ~= #a then raise("mcnemar", "%d a, %d actual", #a, #actual) end
  end
  local a_only, b_only = 0, 0
  for i = 1, #a do
    local one, other = a[i], b[i]
    if actual then one, other = one == actual[i], other == actual[i] end
    if type(one) ~= "boolean" then
      raise("mcnemar", "a and b are lists of booleans, or give actual labels")
    end
    if one and not other then a_only = a_only + 1 end
    if other and not one then b_only = b_only + 1 end
  end
  local n, few = a_only + b_only, math.min(a_only, b_only)
  local log_choose, sum = -n * math.log(2), 0 -- of k = 0 under a fair coin
  for k = 0, few do
    sum = sum + math.exp(log_choose)
    log_choose = log_choose + math.log((n - k) / (k + 1))
  end
  return { p = math.min(1, 2 * sum), a_only = a_only, b_only = b_only }
end

--- Student's paired t-test, two-sided: { t, df, p, mean }. Differences without spread raise.
function tests.t_test(a, b)
  local d = differences("t_test", a, b)
  local n, sum, square = #d, 0, 0
  for i = 1, n do sum = sum + d[i] end
  local mean = sum / n
  for i = 1, n do square = square + (d[i] - mean) ^ 2 end
  if square == 0 then raise("t_test", "all differences are equal, they have no spread") end
  local t = mean / math.sqrt(square / (n - 1) / n)
  local _, p = student_half(math.abs(t), n - 1, 4000)
  return { t = t, df = n - 1, mean = mean, p = p }
end

--- Wilcoxon's signed-rank test, two-sided: { w, p, n }, w the smaller sum of ranks. Pairs
-- without a difference are left out. Up to 50 pairs the distribution over all signs is exact,
-- ties included; beyond, normal, its variance corrected for ties.
function tests.wilcoxon(a, b)
  local d = {}
  for _, v in ipairs(differences("wilcoxon", a, b)) do
    if v ~= 0 then d[#d + 1] = v end
  end
  local n = #d
  if n == 0 then raise("wilcoxon", "no pair differs") end
  local size = {}
  for i = 1, n do size[i] = math.abs(d[i]) end
  local rank, ties = lists.ranks(size)
  local plus, total = 0, n * (n + 1) / 2
  for i = 1, n do plus = plus + (d[i] > 0 and rank[i] or 0) end
  local w = math.min(plus, total - plus)
  if n > 50 then
    local variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48
    return { w = w, n = n, p = normal_tails((w - total / 2) / math.sqrt(variance)) }
  end
  local ways, top = { [0] = 1 }, 0 -- doubled ranks are whole: ways of each sum, as a share
  for i = 1, n do
    local r, new = math.floor(2 * rank[i] + 0.5), {}
    top = top + r
    for s = 0, top do new[s] = ((ways[s] or 0) + (ways[s - r] or 0)) / 2 end
    ways = new
  end
  local p = 0
  for s = 0, math.floor(2 * w + 0.5) do p = p + ways[s] end
  return { w = w, n = n, p = math.min(1, 2 * p) }
end

return tests
