--- classical.pca: principal components, by SVD of the centred rows of x (n x d).
--
--   local p = al.classical.pca(x, { components = 2 })
--   local z = p:transform(x)      -- n x 2
--   local y = p:inverse(z)        -- n x d: x as far as two components tell it
--
-- p.mean (d); p.components (k x d), orthonormal rows in which the entry of largest magnitude is
-- positive; p.variance (k), over n - 1; p.ratio (k), each one's share of the whole variance.
-- Options: components = min(n, d); whiten = false: scores of variance 1.

local al = require "albedo"
local options = require "albedo.options"

local pca = {}
pca.__index = pca

--- Scores of the rows of x.
function pca:transform(x)
  local z = (x - self.mean):matmul(self.components:t())
  return self.whiten and z / self.variance:sqrt() or z
end

--- Rows of these scores.
function pca:inverse(z)
  if self.whiten then z = z * self.variance:sqrt() end
  return z:matmul(self.components) + self.mean
end

return function(x, given)
  local o = options("pca", given, { whiten = false }, { "components" })
  if x.ndim ~= 2 or #x < 2 then error("pca: x must be n x d with n of at least 2", 2) end
  local n, d = #x, x:size(2)
  local k = o.components or math.min(n, d)
  if k < 1 or k > math.min(n, d) then
    error(("pca: components is %s, x allows 1 to %d"):format(k, math.min(n, d)), 2)
  end
  local mean, v, variance, ratio = al.no_grad(al.scope, function()
    local m = x:mean(1)
    local _, s, rows = (x - m):svd(false)
    rows = rows:narrow(1, 1, k)
    local sign = rows:gather(2, rows:abs():argmax(2, true)):sign()
    local all = s * s / (n - 1)
    local kept = all:narrow(1, 1, k):clone()
    return m, rows * sign, kept, kept / all:sum()
  end)
  return setmetatable({
    mean = mean, components = v, variance = variance, ratio = ratio, whiten = o.whiten,
  }, pca)
end
