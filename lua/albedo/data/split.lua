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

-- fn(i) -> sample i's key, by a field's name, a list or tensor of keys, or a function(i).
local function keys_of(what, set, by, level)
  if al.is_tensor(by) then by = by:totable() end
  return function(i)
    local key
    if by == nil then key = i
    elseif type(by) == "string" then key = set:field(i, by)
    elseif type(by) == "function" then key = by(i)
    else key = by[i] end
    if key == nil then
      error(("%s: sample %d has no %s")
        :format(what, i, type(by) == "string" and "field '" .. by .. "'" or "group"), level)
    end
    return key
  end
end

-- What deal asks for a sample's class; nil without `stratify`.
local function classes_of(what, set, stratify)
  return stratify ~= nil and keys_of(what, set, stratify, 5) or nil
end

-- Groups of a dataset in shuffled order: list of { key, samples }. by: nil (each sample alone),
-- a field's name, a list or tensor of keys, or a function(i).
local function groups_of(what, set, by, seed)
  local groups, known = {}, {}
  local key_of = keys_of(what, set, by, 4)
  for i = 1, length(set) do
    local key = key_of(i)
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

-- How many samples of each class a list has.
local function count_classes(samples, class_of)
  local count = {}
  for _, i in ipairs(samples) do count[class_of(i)] = (count[class_of(i)] or 0) + 1 end
  return count
end

-- Hands each group in turn to the part that lacks most of its share: of each class the group
-- has, weighed by how much of the class that is. Without class_of all are one class. Lists of
-- sample positions, sorted.
local function deal(groups, shares, class_of)
  class_of = class_of or function() return 1 end
  local parts, lacks, total = {}, {}, {}
  for _, group in ipairs(groups) do
    group.count = count_classes(group.samples, class_of)
    for class, n in pairs(group.count) do total[class] = (total[class] or 0) + n end
  end
  for k, share in ipairs(shares) do
    parts[k], lacks[k] = {}, {}
    for class, n in pairs(total) do lacks[k][class] = share * n end
  end
  for _, group in ipairs(groups) do
    local best, most = 1, -math.huge
    for k = 1, #parts do
      local lack = 0
      for class, n in pairs(group.count) do lack = lack + lacks[k][class] * n / total[class] end
      if lack > most + 1e-9 then best, most = k, lack end
    end
    for class, n in pairs(group.count) do lacks[best][class] = lacks[best][class] - n end
    for _, i in ipairs(group.samples) do table.insert(parts[best], i) end
  end
  for _, part in ipairs(parts) do table.sort(part) end
  return parts
end

-- Groups in decreasing size, those of one size as they were.
local function largest_first(groups)
  for rank, group in ipairs(groups) do group.rank = rank end
  table.sort(groups, function(a, b)
    if #a.samples ~= #b.samples then return #a.samples > #b.samples end
    return a.rank < b.rank
  end)
end

--- Parts of a dataset in these shares: local train, val, test = data.split(set, { 0.6, 0.2, 0.2
-- }, { by = "photo" }). Options: by = a field's name, a list or tensor of keys, or a
-- function(i) (absent: samples are their own groups); stratify = the same, for classes whose
-- shares each part is to have (a group goes where its classes lack most, the largest first);
-- seed = 1. Raises when a part would be empty.
function split.split(set, shares, opts)
  local o = options("data.split", opts, { seed = 1 }, { "by", "stratify" })
  local sum = 0
  for _, share in ipairs(shares) do sum = sum + share end
  if math.abs(sum - 1) > 1e-6 then
    error(("data.split: the shares sum to %g, not 1"):format(sum), 2)
  end
  local groups = groups_of("data.split", set, o.by, o.seed)
  if o.stratify ~= nil then largest_first(groups) end
  local parts = deal(groups, shares, classes_of("data.split", set, o.stratify))
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
  local o = options("data.kfold", opts, { seed = 1 }, { "by", "stratify" })
  local groups = groups_of("data.kfold", set, o.by, o.seed)
  if #groups < k then error(("data.kfold: %d groups for %d folds"):format(#groups, k), 2) end
  largest_first(groups)
  local shares = {}
  for i = 1, k do shares[i] = 1 / k end
  local folds, fold = deal(groups, shares, classes_of("data.kfold", set, o.stratify)), 0
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

--- Fold number `fold` of a set of n samples, and a validation part of the rest: three lists of
-- positions, fit, val, test. Options: k = 5 folds; by, a list of keys: groups stay together;
-- stratify, a list of classes; val = 0.2, its share of the rest; seed = 1, of the validation
-- part: the folds are the same whatever it is.
function split.fold(n, fold, opts)
  local o = options("data.fold", opts, { k = 5, val = 0.2, seed = 1 }, { "by", "stratify" })
  if fold < 1 or fold > o.k then error(("data.fold: fold %d of %d"):format(fold, o.k), 2) end
  local positions = {}
  for i = 1, n do positions[i] = i end
  local all = require("albedo.data.dataset").list(positions)
  for at, rest, test in split.kfold(all, o.k, { by = o.by, stratify = o.stratify }) do
    if at == fold then
      local function key(i) return o.by and o.by[rest.indices[i]] or i end
      local fit, val = split.split(rest, { 1 - o.val, o.val }, { seed = o.seed, by = key })
      for _, part in ipairs { fit, val } do
        for k, i in ipairs(part.indices) do part.indices[k] = rest.indices[i] end
      end
      return fit.indices, val.indices, test.indices
    end
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

--- For a loader's option `sampler`: `count` samples an epoch (default: as many as there are
-- weights), each drawn with a chance in proportion to its weight (a list or tensor), with
-- replacement.
function split.weighted(weights, count)
  if not al.is_tensor(weights) then weights = al.tensor(weights, { dtype = "float64" }) end
  al.hold(weights)
  count = count or #weights
  return {
    count = count,
    draw = function(generator)
      return weights:multinomial(count, { replacement = true, generator = generator }):totable()
    end,
  }
end

--- A sampler that draws every class as often: labels, a list or tensor from 1.
function split.balanced(labels, count)
  if al.is_tensor(labels) then labels = labels:reshape(-1):totable() end
  local all, weights = {}, {}
  for _, label in ipairs(labels) do all[label] = (all[label] or 0) + 1 end
  for i, label in ipairs(labels) do weights[i] = 1 / all[label] end
  return split.weighted(weights, count)
end

return split
