-- 08: augmentation. Shows: random changes of pictures and masks, each the same again from the
-- same seed; the sheet of all of them. Leaves its pictures in runs/augmentation/.
-- Takes a photograph's path; draws a scene without one.
local al = require "albedo"
local image, augment = al.image, al.data.augment
os.execute "mkdir -p runs/augmentation"

local function scene(h, w)
  local y, x = al.linspace(0, 1, h):reshape(1, h, 1), al.linspace(0, 1, w):reshape(1, 1, w)
  local stripes = ((x * 9):floor() + (y * 7):floor()):remainder(2)
  local red, green, blue = 0.35 + 0.4 * x + 0 * y, 0.5 + 0.3 * y + 0 * x, 0.8 - 0.5 * y + 0 * x
  local ground = al.cat({ red, green, blue }, 1) * (0.8 + 0.2 * stripes)
  local ball = ((x - 0.45) ^ 2 * (w / h) ^ 2 + (y - 0.5) ^ 2):lt(0.06)
  local drawn = al.where(ball, al.tensor({ 0.9, 0.3, 0.2 }):reshape(3, 1, 1), ground)
  return image.to_bytes(drawn), ball:squeeze(1):to "int64"
end

local photo, mask = scene(240, 320)
local path = ...
if path then photo, mask = image.to_rgb(image.load(path)), nil end

-- Every transform on one picture, row by row.
local sheet, names = augment.gallery(photo, { side = 128, columns = 6 })
image.save("runs/augmentation/all.png", sheet)
print("all.png: " .. table.concat(names, ", "))

-- A chain takes picture and mask through the same geometry; labels stay labels.
local change = augment.compose {
  augment.flip(), augment.affine { degrees = 25, scale = 0.2, fill = 0.5 },
  augment.elastic { amount = 4, smooth = 10 },
  augment.color { brightness = 0.3, hue = 0.05 }, augment.noise { sd = { 0, 0.03 }, p = 0.5 },
}
mask = mask or al.zeros(photo:size(-2), photo:size(-1), { dtype = "int64" })
local shown = {}
for k = 1, 6 do
  al.seed(k) -- a loader does this by (seed, epoch, sample)
  local x, m = change(photo, mask)
  shown[k] = image.overlay(x, m:eq(1), { color = "yellow", alpha = 0.5 })
end
image.save("runs/augmentation/masks.png", image.grid(shown, { columns = 3 }))

-- The same seed, the same picture, to the bit.
al.seed(2)
local again = change(photo, mask)
al.seed(2)
print("the same again:", again:eq((change(photo, mask))):all():item())

-- Batches: mixed with themselves, or cut into one another.
local batch, classes = al.rand(4, 3, 8, 8), al.tensor({ 1, 2, 1, 2 }, { dtype = "int64" })
local _, shares, share = augment.cutmix(batch, classes, { classes = 2 })
print(("cutmix: %.2f of each, %s"):format(share, table.concat(shares.shape, "x")))
