--- al.data: datasets, splits by group, and the loader that makes batches of them.

local datasets = require "albedo.data.dataset"
local split = require "albedo.data.split"

local data = {
  tensors = datasets.tensors, list = datasets.list, concat = datasets.concat,
  collate = datasets.collate,
  is_dataset = datasets.is_dataset,
  loader = require "albedo.data.loader",
  split = split.split, kfold = split.kfold, class_weights = split.class_weights,
  shuffled = split.shuffled,
  photos = function(...) return require "albedo.data.photos"(...) end,
}
setmetatable(data, { __index = function(_, name)
  if name ~= "augment" then return nil end
  data.augment = require "albedo.data.augment"
  return data.augment
end })

return data
