-- 05: images. Shows: files, JPEG re-compression, geometry and colour, drawing on pictures.
-- Leaves its pictures in runs/images/.
local al = require "albedo"
local image = al.image
os.execute "mkdir -p runs/images"

-- A picture is a tensor, channels x height x width; bytes count 0 to 255, floats 0 to 1.
local h, w = 120, 160
local y, x = al.linspace(0, 1, h):reshape(1, h, 1), al.linspace(0, 1, w):reshape(1, 1, w)
local sky = al.cat({ 0.2 + 0.5 * y + 0 * x, 0.4 + 0.4 * y + 0 * x, 0.9 - 0.3 * y + 0 * x }, 1)
local sun = ((x - 0.7) ^ 2 + ((y - 0.35) * h / w) ^ 2):lt(0.01)
local photo = al.where(sun, al.tensor({ 1, 0.9, 0.4 }):reshape(3, 1, 1), sky)
photo = (photo + 0.02 * al.randn { 3, h, w }):clamp(0, 1)

image.save("runs/images/photo.png", photo)
local bytes = image.load "runs/images/photo.png"
print(bytes.dtype, table.concat(bytes.shape, "x"), "mean", bytes:to("float32"):mean():item())

-- Sixteen bits go through PNG to the bit.
local deep = al.arange(0, 65535, 257):to("int32"):reshape(1, 16, 16)
image.save("runs/images/deep.png", deep)
assert((image.load "runs/images/deep.png"):eq(deep):all():item())

-- JPEG throws something away; a batch is done in parallel, each picture at its own quality.
local qualities = { 30, 60, 90, 98 }
local batch = al.stack({ bytes, bytes, bytes, bytes }, 1)
local again = image.jpeg(batch, qualities)
local lost = (again:to "float32" - batch:to "float32"):abs():mean({ 2, 3, 4 })
for i, quality in ipairs(qualities) do
  print(("quality %d: %.2f levels lost"):format(quality, lost[i]:item()))
end

-- Geometry and colour; every function keeps the kind (bytes or floats) that it is given.
local small = image.resize(bytes, { 60, 80 }) -- antialiased
local turned = image.rotate(bytes, 20, { fill = 255 })
local warm = image.adjust(bytes, { brightness = 1.1, contrast = 1.2, saturation = 1.4 })
print("small", table.concat(small.shape, "x"))

-- Drawing: a box around the sun, a mask over it, the noise as a heat map.
local boxed = image.boxes(bytes, { { 22, 92, 42, 42 } }, { color = "magenta" })
local tinted = image.overlay(bytes, sun, { color = "blue" })
local noise = image.heatmap((photo - sky):abs():mean(1), { low = 0, high = 0.1 })

image.save("runs/images/all.png", image.grid({
  bytes, image.flip(bytes), turned, warm, boxed, tinted, noise, again[1], image.to_gray(bytes),
}, { columns = 3 }))
print "runs/images/all.png"
