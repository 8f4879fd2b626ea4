--- sim.photographs: what an experiment with photographs is given.
--
--   local photos, real, credit = al.sim.photographs(run.data)
--
-- photos: those of the folder `dir`; without one, those of the Debian packages
-- lomiri-wallpapers-16.04 and -20.04 (NAME_by_AUTHOR.jpg). real: forged photographs with
-- masks, when dir holds tampered/ and gt/, or a folder copymove_fau that does: they are tested
-- on, and training keeps to the packages. credit: whom to name.

local al = require "albedo"
local length = require "albedo.length"

local PACKAGED = "/usr/share/backgrounds"

local function opened(dir)
  local fine, photos = pcall(al.data.photos, dir)
  return fine and photos or nil
end

local function with_masks(photos)
  return photos and photos:field(1, "mask") and photos or nil
end

return function(dir)
  local real = dir and (with_masks(opened(dir)) or with_masks(opened(dir .. "/copymove_fau")))
  local photos = dir and not real and opened(dir)
  if photos then return photos, nil, "photographs of --data" end
  photos = opened(PACKAGED)
  local named, names = {}, {}
  for i = 1, photos and length(photos) or 0 do
    local name = photos:field(i, "photo")
    if name:find "_by_" then
      named[#named + 1], names[#names + 1] = i, name
    end
  end
  if #named == 0 then
    error("no photographs: apt-get install lomiri-wallpapers-16.04 lomiri-wallpapers-20.04, "
      .. "or --data DIR", 0)
  end
  local credit = "lomiri-wallpapers: %s; CC BY 4.0, CC BY-SA 4.0 or CC0, as the package's "
    .. "copyright file says"
  return photos:subset(named), real, credit:format(table.concat(names, ", "))
end
