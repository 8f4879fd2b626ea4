--- Plugins: parts that need another library, opened at first use, absent where the library was
-- when Albedo was built.

local al = require "albedo"

-- What each brings, and the Debian packages it is built with.
local NEEDS = {
  image = { "PNG and JPEG", "libpng-dev libjpeg62-turbo-dev libstb-dev" },
  jpegs = { "JPEG 2000 and lossless JPEG", "libopenjp2-7-dev" },
  segy = { "SEG-Y", "libsegyio-dev" },
  slide = { "whole slides", "libopenslide-dev" },
  tiff = { "TIFF", "libtiff-dev" },
  zlib = { "compressed files", "zlib1g-dev" },
}

local optional, opened = {}, {}

local function built(name)
  local file = io.open(("%s/native/%s.so"):format(al.native.system().path, name), "rb")
  if file then file:close() end
  return file ~= nil
end

--- The functions of a plugin.
function optional.open(name)
  if not opened[name] then
    if not built(name) then
      al.native.raise(("%s: Albedo was built without the plugin %s: install %s and run make")
        :format(NEEDS[name][1], name, NEEDS[name][2]))
    end
    opened[name] = al.plugin(name)
  end
  return opened[name]
end

--- The plugins there are, name -> whether it was built.
function optional.list()
  local list = {}
  for name in pairs(NEEDS) do list[name] = built(name) end
  return list
end

return optional
