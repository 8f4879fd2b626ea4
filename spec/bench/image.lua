-- Pictures: medians in milliseconds, for one thread and for all. Give a photograph as argument
-- for its loading and shrinking too.
local al = require "albedo"
local image = al.image

local function median(fn)
  local times = {}
  for i = 1, 15 do
    local began = al.clock()
    al.scope(fn)
    times[i] = al.clock() - began
  end
  table.sort(times)
  return times[8] * 1e3
end

local y, x = al.linspace(0, 9, 128):reshape(1, 1, 128, 1),
  al.linspace(0, 9, 128):reshape(1, 1, 1, 128)
local crops = ((y * x):sin() * 0.4 + 0.5 + 0.03 * al.randn(32, 3, 128, 128)):clamp(0, 1)
local bytes = image.to_bytes(crops)
local photo = arg[1] and image.load(arg[1])

local all = al.threads()
for _, threads in ipairs(all > 1 and { 1, all } or { 1 }) do
  al.threads(threads)
  local function report(what,
    fn) print(("%d threads  %-44s %8.2f ms"):format(threads, what, median(fn))) end
  report("JPEG there and back, 32 x 3x128x128", function() image.jpeg(bytes, 85) end)
  report("resize to 96x96, 32 x 3x128x128", function() image.resize(bytes, { 96, 96 }) end)
  report("rotate, 32 x 3x128x128", function() image.rotate(bytes, 20) end)
  if photo then
    report("load " .. table.concat(photo.shape, "x"), function() image.load(arg[1]) end)
    report("shrink it to 512", function() image.resize(photo, 512, "area") end)
  end
end
