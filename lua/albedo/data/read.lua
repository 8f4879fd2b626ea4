-- One batch of a dataset, by the loader or by one of its workers.
--
-- Random numbers of the default stream are keyed by (seed, epoch, sample), so that a sample is
-- changed alike whoever reads it and whatever was read before.
local al = require "albedo"
local datasets = require "albedo.data.dataset"

local function pack(...) return { n = select("#", ...), ... } end

local function key(seed, epoch, i)
  return (seed * 1000003 + epoch) % 4194301 * 2 ^ 30 + i
end

-- task: { set, collate, seed }; epoch, indices: what to read. task.sample is the one at hand.
local function values_of(task, epoch, indices)
  local set, whole = task.set, key(task.seed, epoch, indices[1]) + 2 ^ 29
  if set.batch and not task.collate then
    al.seed(whole)
    return set:batch(indices)
  end
  local samples = {}
  for k, i in ipairs(indices) do
    task.sample = i
    al.seed(key(task.seed, epoch, i))
    samples[k] = pack(set:get(i))
  end
  task.sample = nil
  al.seed(whole) -- what collate draws
  return (task.collate or datasets.collate)(samples)
end

local function back(former, ...)
  al.rng_state(former)
  return ...
end

return function(task, epoch, indices)
  return back(al.rng_state(), values_of(task, epoch, indices))
end
