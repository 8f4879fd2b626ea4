--- data.photos: the photographs of a folder, one group each.

local al = require "albedo"

local files = require "albedo.data.folder".files

--- The pictures under `dir` and its subfolders, as a dataset of their descriptions: get(i)
-- reads number i as an image tensor (channels, height, width). Items have path, name (no
-- folder, no extension) and photo (the group: the name), and `mask`, the path of the picture of
-- the same name under gt/, when `dir` holds tampered/ and gt/.
return function(dir)
  local fine, lfs = pcall(require, "lfs")
  if not fine then error("data.photos: needs lua-filesystem (apt: lua-filesystem)", 2) end
  if lfs.attributes(dir, "mode") ~= "directory" then
    error(("data.photos: no folder '%s'"):format(tostring(dir)), 2)
  end
  local forged = lfs.attributes(dir .. "/tampered", "mode") == "directory"
  local masks, items = {}, {}
  if forged then
    for _, path in ipairs(files(dir .. "/gt")) do
      masks[path:match "([^/]+)%.%w+$"] = path
    end
  end
  for i, path in ipairs(files(forged and dir .. "/tampered" or dir)) do
    local name = path:match "([^/]+)%.%w+$"
    items[i] = { path = path, name = name, photo = name, mask = masks[name] }
  end
  if #items == 0 then error(("data.photos: no picture in '%s'"):format(dir), 2) end
  return require("albedo.data.dataset").list(items,
    function(item) return al.image.load(item.path) end)
end
