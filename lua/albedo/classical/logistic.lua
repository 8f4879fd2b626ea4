--- classical.logistic: logistic regression of labels 1 .. k on the rows of x (n x d).
--
--   local m = al.classical.logistic(x, y, { l2 = 1 })
--   m:probabilities(x)          -- n x k
--   m:predict(x)                -- n labels
--   m.weights, m.bias           -- d x k, k
--
-- Minimises the summed cross-entropy + l2 / 2 |weights|^2, the bias free, by Newton's method
-- in float64, halving steps that do not descend; m.converged says whether the gradient came
-- below tolerance * n. The weights of two classes are -w / 2 and w / 2 of one vector w, and the
-- penalty is l2 / 2 |w|^2.
-- Options: l2 = 1, classes = the largest label, iterations = 100, tolerance = 1e-8.

local al = require "albedo"
local options = require "albedo.options"

local logistic = {}
logistic.__index = logistic

--- Log-odds up to a constant a row, n x k.
function logistic:scores(x) return x:matmul(self.weights) + self.bias end
--- Probabilities of the classes, n x k.
function logistic:probabilities(x) return self:scores(x):softmax(2) end
--- The likeliest class of each row.
function logistic:predict(x) return self:scores(x):argmax(2) end

-- theta (d + 1) x k holds the bias in its last row; `shrink` is the penalty of each entry.
local function loss(x, hot, theta, shrink)
  local data = (x:matmul(theta):log_softmax(2) * hot):sum()
  return ((theta * theta * shrink):sum() * 0.5 - data):item()
end

-- The gradient and Newton's step. A constant added to all classes changes no probability: the
-- last term makes the Hessian regular there, where the gradient is 0.
local function newton(x, hot, theta, shrink)
  local k, d = hot:size(2), x:size(2)
  local p = x:matmul(theta):softmax(2)
  local g = x:t():matmul(p - hot) + shrink * theta
  local px = al.einsum("nk,nd->nkd", p, x):reshape(#x, k * d)
  local eye = al.eye(k, { dtype = "float64" })
  local h = al.einsum("nkd,ne,kl->kdle", px:reshape(#x, k, d), x, eye):reshape(k * d, k * d)
    - px:t():matmul(px)
  h = h + al.eye(k * d, { dtype = "float64" }) * shrink:t():reshape(-1)
    + al.kron(eye * 0 + 1, al.eye(d, { dtype = "float64" }))
  return g, h:solve(g:t():reshape(-1)):reshape(k, d):t()
end

local function fit(x, hot, o)
  local n, d, k = #x, x:size(2), hot:size(2)
  x = al.cat({ x, al.ones({ n, 1 }, { dtype = "float64" }) }, 2)
  local shrink = al.full({ d + 1, k }, k == 2 and 2 * o.l2 or o.l2, { dtype = "float64" })
  shrink[d + 1] = 0
  local theta, converged = al.zeros({ d + 1, k }, { dtype = "float64" }), false
  local value = loss(x, hot, theta, shrink)
  for _ = 1, o.iterations do
    local stop
    theta, value, stop = al.scope(function()
      local g, step = newton(x, hot, theta, shrink)
      converged = g:abs():max():item() <= o.tolerance * n
      for halvings = 0, 40 do
        if converged then break end
        local t = theta - step * 0.5 ^ halvings
        local v = loss(x, hot, t, shrink)
        if v < value then return t, v end
      end
      return theta, value, true
    end)
    if stop then break end
  end
  return theta, converged
end

return function(x, y, given)
  local defaults = { l2 = 1, iterations = 100, tolerance = 1e-8 }
  local o = options("logistic", given, defaults, { "classes" })
  if x.ndim ~= 2 or y.ndim ~= 1 or #x ~= #y then
    error("logistic: x must be n x d and y hold n labels", 2)
  end
  local theta, converged = al.no_grad(al.scope, function()
    local hot = y:one_hot(o.classes or y:max():item(), { dtype = "float64" })
    return fit(x:detach():to "float64", hot, o)
  end)
  theta = theta:to(x.dtype)
  local d = x:size(2)
  return setmetatable({
    weights = theta:narrow(1, 1, d), bias = theta[d + 1], converged = converged,
  }, logistic)
end
