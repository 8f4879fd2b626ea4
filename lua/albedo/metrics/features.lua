-- How far two sets of feature vectors (N x D and M x D) are apart.
local al = require "albedo"
local lists = require "albedo.metrics.lists"
local options = require "albedo.options"
local raise = lists.raise

local features = {}

local function matrices(what, a, b)
  local out = {}
  for k, name in ipairs { "a", "b" } do
    local v = ({ a, b })[k]
    if not al.is_tensor(v) or v.ndim ~= 2 then
      raise(what, "%s is a matrix of features, a sample a row", name)
    end
    if v.shape[1] < 2 then raise(what, "%s has fewer than 2 samples", name) end
    out[k] = v:detach():to "float64"
    if not out[k]:isfinite():all():item() then
      raise(what, "%s holds NaN or infinities", name)
    end
  end
  if a.shape[2] ~= b.shape[2] then
    raise(what, "%d features and %d", a.shape[2], b.shape[2])
  end
  return out[1], out[2]
end

--- Frechet distance between Gaussians fitted to two sets of features (Heusel et al. 2017),
-- squared as usual: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), covariances over n - 1. With
-- centred rows X and Y and their triangular factors R, S of QR, the last trace is the sum of
-- the singular values of R S^T / sqrt((n - 1)(m - 1)): no root of a matrix is taken, so that
-- covariances without full rank do no harm.
function features.frechet(a, b)
  local x, y = matrices("frechet", a, b)
  return al.scope(function()
    local mx, my = x:mean { 1 }, y:mean { 1 }
    local n, m = x.shape[1] - 1, y.shape[1] - 1
    local function factor(v) return (select(2, al.qr(v))) end
    x, y = factor(x - mx) / math.sqrt(n), factor(y - my) / math.sqrt(m)
    local cross = al.svdvals(x:matmul(y:t())):sum()
    local d = (mx - my):square():sum() + x:square():sum() + y:square():sum() - cross * 2
    return math.max(0, d:item())
  end)
end

-- The median of the distances between different rows.
local function median_distance(distances)
  local n = distances.shape[1]
  local list = {}
  local rows = distances:totable()
  for i = 1, n do
    for j = i + 1, n do list[#list + 1] = rows[i][j] end
  end
  table.sort(list)
  local half = #list / 2
  if half % 1 == 0 then return (list[half] + list[half + 1]) / 2 end
  return list[half + 0.5]
end

--- Maximum mean discrepancy with a Gaussian kernel exp(-d^2 / (2 h^2)), squared and unbiased,
-- and a permutation test of "one distribution" (Gretton et al. 2012): { mmd2, p, bandwidth }.
-- p = (1 + permutations at least as far apart) / (1 + permutations). Options: bandwidth (h; the
-- median distance of all samples), permutations = 1000 (0: no p), seed = 1.
function features.mmd(a, b, opts)
  local o = options("mmd", opts, { permutations = 1000, seed = 1 }, { "bandwidth" })
  lists.between("mmd", "permutations", o.permutations, 0, math.huge, true)
  if o.bandwidth ~= nil then
    lists.between("mmd", "bandwidth", o.bandwidth, 1e-300, 1e300)
  end
  local x, y = matrices("mmd", a, b)
  return al.scope(function()
    local n, m = x.shape[1], y.shape[1]
    local all = al.cat({ x, y }, 1)
    local d2 = al.cat({ x, y }, 1):square():sum { 2 }
    d2 = (d2:unsqueeze(2) + d2:unsqueeze(1) - all:matmul(all:t()) * 2):clamp(0)
    local h = o.bandwidth or median_distance(d2:sqrt())
    if not (h > 0) then
      raise("mmd", "half of the samples are equal: the median distance is 0, give a bandwidth")
    end
    local k = (d2 / (-2 * h * h)):exp()
    k = k - al.diag(al.diag(k))
    -- rows of w mark the samples counted as a's: w k w^T sums the kernel among them
    local function statistic(w)
      local other = 1 - w
      local wk, ok = w:matmul(k), other:matmul(k)
      return (wk * w):sum { 2 } / (n * (n - 1)) + (ok * other):sum { 2 } / (m * (m - 1))
        - (wk * other):sum { 2 } * (2 / (n * m))
    end
    local own = al.cat({ al.ones(1, n, { dtype = "float64" }),
      al.zeros(1, m, { dtype = "float64" }) }, 2)
    local out = { mmd2 = statistic(own):item(), bandwidth = h }
    if o.permutations == 0 then return out end
    local generator, as_far, left = al.generator(o.seed), 0, o.permutations
    while left > 0 do -- 100 permutations at a time
      local rows = {}
      for i = 1, math.min(left, 100) do
        rows[i] = own[1]:index_select(1, al.randperm(n + m, { generator = generator }))
      end
      left = left - #rows
      -- the same sums in another order may differ in their last bits
      local far = statistic(al.stack(rows, 1)):ge(out.mmd2 - 1e-12)
      as_far = as_far + far:to("int64"):sum():item()
    end
    out.p = (1 + as_far) / (1 + o.permutations)
    return out
  end)
end

return features
