--- Datasets: anything with a length (#set) and set:get(i), which gives the values of sample i
-- (from 1).

local al = require "albedo"
local length = require "albedo.length"

local Dataset = {}
Dataset.__index = Dataset
Dataset.__len = function(self) return self.length end

Dataset.__tostring = function(self) return ("Dataset: %d samples"):format(self.length) end

local function new(fields)
  local self = {}
  for key, value in pairs(fields) do self[key] = value end
  return setmetatable(self, Dataset)
end

--- A field of sample i's description, such as "photo": what split and kfold group by. nil when
-- there is none.
function Dataset.field() return nil end

-- A text that tells sample i from others without reading it, such as its path and class; nil
-- when nothing does. al.fit's record of a run asks.
function Dataset.mark() return nil end

--- The samples fn(get(i)): a dataset whose values are what fn makes of this one's, each time
-- anew.
function Dataset:map(fn)
  return new {
    length = length(self),
    get = function(_, i) return fn(self:get(i)) end,
    field = function(_, i, name) return self:field(i, name) end,
    mark = function(_, i) return self:mark(i) end,
  }
end

--- The samples at these positions (a list), in this order.
function Dataset:subset(indices)
  for _, i in ipairs(indices) do
    if type(i) ~= "number" or i < 1 or i > length(self) then
      error(("subset: sample %s of %d"):format(tostring(i), length(self)), 2)
    end
  end
  return new {
    length = #indices,
    indices = indices,
    get = function(_, k) return self:get(indices[k]) end,
    field = function(_, k, name) return self:field(indices[k], name) end,
    mark = function(_, k) return self:mark(indices[k]) end,
    batch = self.batch and function(_, ks)
      local mapped = {}
      for n, k in ipairs(ks) do mapped[n] = indices[k] end
      return self:batch(mapped)
    end or nil,
  }
end

--- Iterates: for i, x, y in set:each() do ... end
function Dataset:each()
  local i = 0
  return function()
    i = i + 1
    if i <= length(self) then return i, self:get(i) end
  end
end

local datasets = { Dataset = Dataset }

--- Tensors of equal first dim: sample i is x[i], y[i], ... Batches are taken by one indexing op
-- each.
function datasets.tensors(...)
  local all = { ... }
  local n = #all > 0 and al.is_tensor(all[1]) and all[1].shape[1]
  if not n then error("data.tensors: expects tensors of one dim or more", 2) end
  for k, t in ipairs(all) do
    if not al.is_tensor(t) or t.shape[1] ~= n then
      error(("data.tensors: tensor 1 has %d samples, number %d has %s")
        :format(n, k, al.is_tensor(t) and t.shape[1] or "none: it is a " .. type(t)), 2)
    end
    al.hold(t)
  end
  local function values(fn)
    local out = {}
    for k, t in ipairs(all) do out[k] = fn(t) end
    return (table.unpack or unpack)(out)
  end
  return new {
    length = n,
    tensors = all,
    get = function(_, i) return values(function(t) return t[i] end) end,
    mark = function(_, i) -- of each tensor's row the middle
      local out = {}
      for k, t in ipairs(all) do
        local row = t:narrow(1, i, 1):reshape(-1)
        local few = math.min(row:numel(), 16)
        out[k] = row:narrow(1, math.floor((row:numel() - few) / 2) + 1, few):bytes()
      end
      return table.concat(out)
    end,
    batch = function(_, indices)
      local at = al.tensor(indices, { dtype = "int64" })
      return values(function(t) return t:index_select(1, at) end)
    end,
  }
end

-- The fields of a description that are text or numbers, of paths the last two parts: where a
-- dataset lies is no part of it.
local function mark_of(item)
  if type(item) ~= "table" then return type(item) ~= "function" and tostring(item) or nil end
  local fields = {}
  for key, v in pairs(item) do
    if type(v) == "string" or type(v) == "number" then
      fields[#fields + 1] = tostring(key) .. "=" .. tostring(v):match "[^/]*/?[^/]*$"
    end
  end
  table.sort(fields)
  return table.concat(fields, "\n")
end

--- A list of descriptions, read by fn(item, i) -> values (without fn: the items themselves).
-- The items' fields serve for grouping: data.list({ { path = "a1.png", photo = "a" }, ... },
-- load).
function datasets.list(items, fn)
  return new {
    length = #items,
    items = items,
    get = function(_, i)
      if fn then return fn(items[i], i) end
      return items[i]
    end,
    field = function(_, i, name) return type(items[i]) == "table" and items[i][name] or nil end,
    mark = function(_, i) return mark_of(items[i]) end,
  }
end

--- One dataset after another.
function datasets.concat(...)
  local parts, starts, n = { ... }, {}, 0
  for k, part in ipairs(parts) do
    starts[k] = n
    n = n + length(part)
  end
  local function find(i)
    for k = #parts, 1, -1 do
      if i > starts[k] then return parts[k], i - starts[k] end
    end
  end
  return new {
    length = n,
    get = function(_, i)
      local part, k = find(i)
      return part:get(k)
    end,
    field = function(_, i, name)
      local part, k = find(i)
      return part:field(k, name)
    end,
    mark = function(_, i)
      local part, k = find(i)
      return part:mark(k)
    end,
  }
end

--- Is this a dataset: has it get(i) and a length?
function datasets.is_dataset(value)
  return type(value) == "table" and type(value.get) == "function"
end

--- Turns samples into a batch, value by value: tensors are stacked, whole numbers become an
-- int64 tensor, others a float32 one, tables with names are batched by name, anything else
-- stays a list. samples[i] = { n = count, ... }.
local function batch_values(values)
  local first = values[1]
  if al.is_tensor(first) then return al.stack(values, 1) end
  if type(first) == "number" then
    local whole = true
    for _, v in ipairs(values) do whole = whole and v % 1 == 0 end
    return al.tensor(values, { dtype = whole and "int64" or "float32" })
  end
  if type(first) == "boolean" then return al.tensor(values, { dtype = "bool" }) end
  if type(first) == "table" and #first == 0 and next(first) ~= nil then
    local out = {}
    for name in pairs(first) do
      local column = {}
      for i, v in ipairs(values) do column[i] = v[name] end
      out[name] = batch_values(column)
    end
    return out
  end
  return values
end

--- collate(samples) -> a batch: samples[i] = { value, ..., n = count }; tensors are stacked,
--- numbers become tensors, tables of fields are batched field by field, other values become
--- lists.
function datasets.collate(samples)
  local out, width = {}, samples[1].n
  for k = 1, width do
    local values = {}
    for i, sample in ipairs(samples) do
      if sample[k] == nil then
        error(("collate: sample %d of the batch has no value %d"):format(i, k), 2)
      end
      values[i] = sample[k]
    end
    out[k] = batch_values(values)
  end
  return (table.unpack or unpack)(out, 1, width)
end

return datasets
