--- al.data: datasets, splits by group, and the loader that makes batches of them.

local datasets = require "albedo.data.dataset"
local split = require "albedo.data.split"

local data = {
  tensors = datasets.tensors, list = datasets.list, concat = datasets.concat,
  collate = datasets.collate,
  is_dataset = datasets.is_dataset,
  loader = require "albedo.data.loader",
  split = split.split, kfold = split.kfold, fold = split.fold,
  class_weights = split.class_weights,
  shuffled = split.shuffled,
  weighted = split.weighted, balanced = split.balanced,
}


--- photos(dir, opts): the photographs of a folder, or the packaged ones without one; see
--- albedo/data/photos.lua for the options.
function data.photos(...) return require "albedo.data.photos"(...) end

-- Parts and functions loaded when first touched.
local homes = { folder = "folder", masked = "folder", files = "folder", csv = "tables",
  patches = "tables" }
local parts = { augment = true, named = true }
for name in pairs(homes) do parts[name] = true end
setmetatable(data, { homes = parts, __index = function(_, name)
  if name == "augment" or name == "named" then
    data[name] = require("albedo.data." .. name)
  elseif homes[name] then
    data[name] = require("albedo.data." .. homes[name])[name]
  end
  return rawget(data, name)
end })

return data
