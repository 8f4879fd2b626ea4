--- Whole slides, read lazily by OpenSlide (a plugin). al.io has the function.
--
--   local slide = al.io.slide "tumour.svs"
--   slide.levels                                -- { { height, width, downsample }, ... }
--   slide.properties["openslide.mpp-x"]         -- micrometres a pixel, as text
--   slide:read { at = { 30001, 12001 }, size = 256, level = 2 }
--   al.data.loader(slide:tiles { size = 256 }, { workers = 2 })

local al = require "albedo"
local options = require "albedo.options"
local optional = require "albedo.optional"

local Slide = {}
Slide.__index = Slide

local function pair(what, v)
  if type(v) == "number" then return { v, v } end
  if type(v) ~= "table" or type(v[1]) ~= "number" or type(v[2]) ~= "number" then
    al.native.raise(("slide: %s is a number, or { rows, columns }"):format(what))
  end
  return v
end

local function level_of(self, k)
  local level = self.levels[k]
  if not level then
    al.native.raise(("%s has %d levels, none numbered %s")
      :format(self.path, #self.levels, tostring(k)))
  end
  return level
end

--- A region, 3 x H x W uint8 (RGB, white beyond the scan). Options: at = { 1, 1 } (row and
-- column of its corner, in pixels of the level), size (a number, or { height, width }), level =
-- 1 (the finest).
function Slide:read(opts)
  local o = options("slide:read", opts, { at = { 1, 1 }, level = 1 }, { "size" })
  local level, at, size = level_of(self, o.level), pair("at", o.at), pair("size", o.size)
  return optional.open("slide").slide_read(self.path, o.level,
    math.floor((at[1] - 1) * level[3] + 0.5), math.floor((at[2] - 1) * level[3] + 0.5),
    size[1], size[2])
end

--- The tiles that lie wholly within the slide, as a dataset, row by row: get(i) reads one.
-- Items have at. Options: size (as for read), level = 1, stride = size.
function Slide:tiles(opts)
  local o = options("slide:tiles", opts, { level = 1 }, { "size", "stride" })
  local level, size = level_of(self, o.level), pair("size", o.size)
  local stride, items = pair("stride", o.stride or o.size), {}
  for y = 1, level[1] - size[1] + 1, stride[1] do
    for x = 1, level[2] - size[2] + 1, stride[2] do items[#items + 1] = { at = { y, x } } end
  end
  local slide, number = self, o.level
  return al.data.list(items, function(item)
    return slide:read { at = item.at, size = size, level = number }
  end)
end

return {
  --- A whole slide (Aperio, Hamamatsu, Leica, Mirax, Philips, Ventana, tiled TIFF): path,
  -- levels, properties; slide:read gives a region, slide:tiles a dataset of them. Nothing but
  -- what is asked for is read. Needs the plugin slide (libopenslide-dev).
  slide = function(path)
    local lib = optional.open "slide"
    local self = setmetatable({ path = path, properties = {} }, Slide)
    self.levels = lib.slide_levels(path):totable()
    for name, value in lib.slide_properties(path):bytes():gmatch "(%Z*)%z(%Z*)%z" do
      self.properties[name] = value
    end
    return self
  end,
}
