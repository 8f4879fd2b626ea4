--- Splits and folds by group: the samples of one photograph, patient or volume never stand on
-- two sides.

local al = require "albedo"
local length = require "albedo.length"
local options = require "albedo.options"
local split = {}

--- 1 .. n in an order drawn from a seed (Fisher and Yates).
function split.shuffled(n, seed)
  local order = {}
  for i = 1, n do order[i] = i end
  if n < 2 then return order end
  local draw = al.rand(n, { dtype = "float64", generator = al.generator(seed) }):totable()
  for i = n, 2, -1 do
    local j = math.floor(draw[i] * i) + 1
    order[i], order[j] = order[j], order[i]
  end
  return order
end

-- Groups of a dataset in shuffled order: list of { key, samples }. by: nil (each sample alone),
-- a field's name, a list or tensor of keys, or a function(i).
local function groups_of(what, set, by, seed)
  if al.is_tensor(by) then by = by:totable() end
  local groups, known = {}, {}
  for i = 1, length(set) do
    local key
    if by == nil then key = i
    elseif type(by) == "string" then key = set:field(i, by)
    elseif type(by) == "function" then key = by(i)
    else key = by[i] end
    if key == nil then
      error(("%s: sample %d has no %s")
        :format(what, i, type(by) == "string" and "field '" .. by .. "'" or "group"), 3)
    end
    if not known[key] then
      known[key] = { key = key, samples = {} }
      groups[#groups + 1] = known[key]
    end
    table.insert(known[key].samples, i)
  end
  local out = {}
  for k, i in ipairs(split.shuffled(#groups, seed)) do out[k] = groups[i] end
  return out
end

-- Hands each group in turn to the part that lacks most of its share. Lists of sample positions,
-- sorted.
local function deal(groups, shares, total)
  local parts = {}
  for k, share in ipairs(shares) do parts[k] = { lack = share * total } end
  for _, group in ipairs(groups) do
    local best = 1
    for k = 2, #parts do
      if parts[k].lack > parts[best].lack + 1e-9 then best = k end
    end
    parts[best].lack = parts[best].lack - #group.samples
    for _, i in ipairs(group.samples) do table.insert(parts[best], i) end
  end
  for k, part in ipairs(parts) do
    part.lack = nil
    table.sort(part)
    parts[k] = part
  end
  return parts
end

--- Parts of a dataset in these shares: local train, val, test = data.split(set, { 0.6, 0.2, 0.2
-- }, { by = "photo" }). Options: by = a field's name, a list or tensor of keys, or a
-- function(i) (absent: samples are their own groups); seed = 1. Raises when a part would be
-- empty.
function split.split(set, shares, opts)
  local o = options("data.split", opts, { seed = 1 }, { "by" })
  local sum = 0
  for _, share in ipairs(shares) do sum = sum + share end
  if math.abs(sum - 1) > 1e-6 then
    error(("data.split: the shares sum to %g, not 1"):format(sum), 2)
  end
  local groups = groups_of("data.split", set, o.by, o.seed)
  local parts = deal(groups, shares, length(set))
  for k, part in ipairs(parts) do
    if #part == 0 then
      error(("data.split: part %d is empty: %d groups for %d parts")
        :format(k, #groups, #shares), 2)
    end
    parts[k] = set:subset(part)
  end
  return (table.unpack or unpack)(parts)
end

--- for fold, train, test in data.kfold(set, 5, { by = "patient", seed = 1 }) do ... end
-- Each sample is tested once; the folds are of about equal size. Options as split.
function split.kfold(set, k, opts)
  local o = options("data.kfold", opts, { seed = 1 }, { "by" })
  local groups = groups_of("data.kfold", set, o.by, o.seed)
  if #groups < k then error(("data.kfold: %d groups for %d folds"):format(#groups, k), 2) end
  for rank, group in ipairs(groups) do group.rank = rank end
  table.sort(groups, function(a, b)
    if #a.samples ~= #b.samples then return #a.samples > #b.samples end
    return a.rank < b.rank
  end)
  local shares = {}
  for i = 1, k do shares[i] = 1 / k end
  local folds, fold = deal(groups, shares, length(set)), 0
  return function()
    fold = fold + 1
    if fold > k then return nil end
    local train = {}
    for i, part in ipairs(folds) do
      for _, sample in ipairs(i ~= fold and part or {}) do train[#train + 1] = sample end
    end
    table.sort(train)
    return fold, set:subset(train), set:subset(folds[fold])
  end
end

--- Weights that balance the classes in a loss: samples / (classes * count of the class), as a
-- float32 tensor. labels: a list or tensor, from 1. A class without samples raises.
function split.class_weights(labels, classes)
  if al.is_tensor(labels) then labels = labels:reshape(-1):totable() end
  local count, largest = {}, classes or 0
  for _, label in ipairs(labels) do
    count[label] = (count[label] or 0) + 1
    if not classes then largest = math.max(largest, label) end
  end
  local weights = {}
  for k = 1, largest do
    if not count[k] then error(("data.class_weights: class %d has no sample"):format(k), 2) end
    weights[k] = #labels / (largest * count[k])
  end
  return al.tensor(weights)
end

return split
