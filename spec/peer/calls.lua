-- Ops whose results are free in sign or order, or lie in arguments: what is compared instead of
-- al[name].
local al = require "albedo"
local calls = {}

local function weights(t) return al.arange(t:size(-1)):to(t.dtype) end

-- Vectors of matrices' decompositions have no sign: products of them, weighted 1, 2, 3, ...
function calls.eigh(x)
  local w, v = al.eigh(x)
  return w, (v * weights(w)):matmul(v:transpose(-1, -2))
end

function calls.svd(x, full)
  local u, s, v = al.svd(x, full)
  local k, w = s:size(-1), weights(s)
  u, v = u:narrow(-1, 1, k), v:narrow(-2, 1, k)
  return s, (u * w):matmul(v), (u * w):matmul(u:transpose(-1, -2)), (v:transpose(-1, -2) * w):matmul(v)
end

-- The diagonal of r made positive.
function calls.qr(x, mode)
  local q, r = al.qr(x, mode)
  local k = math.min(x:size(-1), x:size(-2))
  local sign = r:diagonal(0, -2, -1):detach():sign()
  return q:narrow(-1, 1, k) * sign:unsqueeze(-2), r:narrow(-2, 1, k) * sign:unsqueeze(-1)
end

-- In training the running statistics move.
function calls.batch_norm(x, w, b, mean, var, opts)
  if not opts then return al.batch_norm(x, w, b, mean, var) end
  return al.batch_norm(x, w, b, mean, var, opts), mean, var
end

return calls
