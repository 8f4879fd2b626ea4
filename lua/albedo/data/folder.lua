--- Pictures in folders as datasets: one folder a class, or masks beside images.

local al = require "albedo"
local datasets = require "albedo.data.dataset"
local options = require "albedo.options"

local folder = {}

local pictures = { png = true, jpg = true, jpeg = true, bmp = true, ppm = true, pgm = true,
  pnm = true, tif = true, tiff = true }

-- lua-filesystem, and an error when `dir` is no folder.
local function need(what, dir)
  local fine, lfs = pcall(require, "lfs")
  if not fine then error(what .. ": needs lua-filesystem (apt: lua-filesystem)", 3) end
  if type(dir) ~= "string" or lfs.attributes(dir, "mode") ~= "directory" then
    error(("%s: no folder '%s'"):format(what, tostring(dir)), 3)
  end
  return lfs
end

local function name_of(path) return path:match "([^/]+)%.%w+$" end

-- Names in a folder, sorted, but those that start with a dot.
local function names_in(lfs, dir)
  local names = {}
  for name in lfs.dir(dir) do
    if name:sub(1, 1) ~= "." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function find(lfs, dir, paths)
  for _, name in ipairs(names_in(lfs, dir)) do
    local path = dir .. "/" .. name
    if lfs.attributes(path, "mode") == "directory" then
      find(lfs, path, paths)
    elseif pictures[(name:match "%.(%w+)$" or ""):lower()] then
      paths[#paths + 1] = path
    end
  end
  return paths
end

--- The paths of the pictures under a folder and its subfolders, folder by folder, by name.
function folder.files(dir) return find(need("data.files", dir), dir, {}) end

--- One class a subfolder: get(i) gives the picture (uint8, C x H x W) and its class, from 1, in
-- the order of the names in set.classes. Items have path, name and class (the subfolder).
-- Options: channels (as al.image.load), describe (fn(item): adds fields, such as the patient,
-- from item.name).
function folder.folder(dir, opts)
  local o = options("data.folder", opts, { channels = 0 }, { "describe" })
  local lfs = need("data.folder", dir)
  local classes, items = {}, {}
  for _, class in ipairs(names_in(lfs, dir)) do
    local at = dir .. "/" .. class
    if lfs.attributes(at, "mode") == "directory" then
      classes[#classes + 1] = class
      for _, path in ipairs(find(lfs, at, {})) do
        local item = { path = path, name = name_of(path), class = class, label = #classes }
        if o.describe then o.describe(item) end
        items[#items + 1] = item
      end
    end
  end
  if #items == 0 then error(("data.folder: no picture in folders of '%s'"):format(dir), 2) end
  local channels = o.channels
  local set = datasets.list(items, function(item)
    return al.image.load(item.path, { channels = channels }), item.label
  end)
  set.classes = classes
  return set
end

--- Pictures and the masks of the same names: get(i) gives both, uint8. Items have path, mask
-- and name. Options: images = "images", masks = "masks" (subfolders of dir), channels,
-- describe.
function folder.masked(dir, opts)
  local o = options("data.masked", opts, { images = "images", masks = "masks", channels = 0 },
    { "describe" })
  local lfs = need("data.masked", dir)
  local images, masks = dir .. "/" .. o.images, dir .. "/" .. o.masks
  need("data.masked", images)
  need("data.masked", masks)
  local mask_of, items = {}, {}
  for _, path in ipairs(find(lfs, masks, {})) do mask_of[name_of(path)] = path end
  for i, path in ipairs(find(lfs, images, {})) do
    local item = { path = path, name = name_of(path), mask = mask_of[name_of(path)] }
    if not item.mask then
      error(("data.masked: no mask for '%s' in '%s'"):format(item.name, masks), 2)
    end
    if o.describe then o.describe(item) end
    items[i] = item
  end
  if #items == 0 then error(("data.masked: no picture in '%s'"):format(images), 2) end
  local channels = o.channels
  return datasets.list(items, function(item)
    return al.image.load(item.path, { channels = channels }), al.image.load(item.mask)
  end)
end

return folder
