--- classical.kmeans: k clusters of the rows of x (n x d) around their means.
--
--   local m = al.classical.kmeans(x, 8, { seed = 1 })
--   m.centers      -- k x d
--   m.labels       -- n labels 1 .. k
--   m.inertia      -- sum of squared distances to the centers, a number
--   m:predict(y)   -- labels of other rows
--
-- Lloyd's iterations from centers drawn by k-means++ (Arthur and Vassilvitskii 2007); the best
-- of `restarts`. A cluster left empty starts again at the row farthest from its center.
-- Options: seed = 0, restarts = 4, iterations = 100.

local al = require "albedo"
local options = require "albedo.options"

local kmeans = {}
kmeans.__index = kmeans

local function nearest(x, centers) return x:cdist(centers):min(2) end

--- Labels of rows.
function kmeans:predict(x) return (select(2, nearest(x, self.centers))) end

-- Each center a row, drawn by the squared distance to those already there.
local function first_centers(x, k, rng)
  local chosen = { x[al.randint(1, #x, { 1 }, rng)] }
  local distance = x:cdist(chosen[1]):squeeze(2)
  for i = 2, k do
    local weights = distance * distance
    if weights:sum():item() == 0 then weights = weights + 1 end -- fewer different rows than k
    chosen[i] = x[weights:multinomial(1, rng)]
    distance = distance:minimum(x:cdist(chosen[i]):squeeze(2))
  end
  return al.cat(chosen, 1)
end

-- One step: the means of what lies nearest to each center.
local function means(x, k, distance, labels)
  local member = labels:one_hot(k, { dtype = x.dtype })
  local count = member:sum(1)
  local centers = member:t():matmul(x) / count:clamp(1):unsqueeze(2)
  for j = 1, k do
    if count[j]:item() == 0 then
      local far = distance:argmax():item()
      centers[j], distance[far] = x[far], 0
    end
  end
  return centers
end

local function cluster(x, k, o, rng)
  local centers = al.scope(first_centers, x, k, rng)
  local distance, labels = nearest(x, centers)
  for _ = 1, o.iterations do
    local former = labels
    centers, distance, labels = al.scope(function()
      local c = means(x, k, distance:clone(), former)
      return c, nearest(x, c)
    end)
    if labels:eq(former):all():item() then break end
  end
  return (distance * distance):sum():item(), centers, labels
end

return function(x, k, given)
  local o = options("kmeans", given, { seed = 0, restarts = 4, iterations = 100 })
  if x.ndim ~= 2 then error("kmeans: x must be n x d", 2) end
  if k < 1 or k > #x then error(("kmeans: k is %s, x has %d rows"):format(k, #x), 2) end
  local rng = { generator = al.generator(o.seed) }
  local m = { inertia = math.huge }
  al.no_grad(function()
    local rows = x:detach()
    for _ = 1, o.restarts do
      local inertia, centers, labels = al.scope(cluster, rows, k, o, rng)
      if inertia < m.inertia then
        m = { inertia = inertia, centers = centers, labels = labels }
      end
    end
  end)
  if not m.centers then error("kmeans: x has entries that are NaN or infinite", 2) end
  return setmetatable(m, kmeans)
end
