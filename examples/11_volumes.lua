-- 11: volumes. Shows: three-dimensional pictures in NIfTI files, patches, a 3D U-Net,
-- augmentation of a volume with its mask, Dice, a slice in the terminal. The task: find balls.
local al = require "albedo"
al.seed(2)
math.randomseed(2)

-- 24 x 24 x 24 voxels of noise with three balls, and the mask of the balls.
local function scan()
  local axis = al.arange(24):to "float32"
  local z, y, x = axis:reshape(24, 1, 1), axis:reshape(1, 24, 1), axis:reshape(1, 1, 24)
  local mask = al.zeros(24, 24, 24, { dtype = "bool" })
  for _ = 1, 3 do
    local c = { math.random(5, 20), math.random(5, 20), math.random(5, 20) }
    local ball = ((z - c[1]) ^ 2 + (y - c[2]) ^ 2 + (x - c[3]) ^ 2):lt(math.random(9, 20))
    mask = mask:logical_or(ball)
  end
  return al.randn(24, 24, 24) * 0.4 + mask:to "float32", mask:to "int64" + 1 -- classes 1 and 2
end

-- Files keep the spacing of the voxels, in millimetres.
os.execute "mkdir -p runs/volumes"
local volume, mask = scan()
al.io.write_nifti("runs/volumes/scan.nii", volume, { spacing = { 2, 1, 1 } })
local again, header = al.io.nifti "runs/volumes/scan.nii"
assert(again:allclose(volume))
print("spacing", table.concat(header.spacing, " x "), "mm")

-- Patches of 16 voxels, a step of 8, image and mask alike; N x C x D x H x W in batches.
local parts = {}
for i = 1, 6 do
  if i > 1 then volume, mask = scan() end
  parts[i] = al.data.patches(volume:unsqueeze(1), { size = 16, stride = 8 }, mask:unsqueeze(1))
end
local augment = al.data.augment
local change = augment.flip { dims = 3, axes = { 1, 2, 3 } }
local set = al.data.concat((table.unpack or unpack)(parts)):map(function(x, y)
  x, y = change(x, y)
  return x, y:squeeze(1)
end)
print(#set, "patches")

-- A U-Net of two levels; the loss counts voxels and overlap.
local net = al.models.unet3d { in_channels = 1, classes = 2, base = 4, levels = 2 }
local opt = al.optim.adamw(net:parameters(), { lr = 1e-2 })
local batches = al.data.loader(set, { batch = 8, shuffle = true })
for epoch = 1, 3 do
  local total = 0
  for x, y in batches() do
    local scores = net(x)
    local loss = scores:cross_entropy(y)
      + scores:softmax(2):select(2, 2):dice_loss(y:eq(2):to "float32")
    opt:zero_grad() loss:backward() opt:step()
    total = total + loss:item()
  end
  print(("epoch %d  loss %.3f"):format(epoch, total / #batches))
end

-- A scan never seen, in one piece.
net:eval()
volume, mask = scan()
local found = al.no_grad(net, volume:reshape(1, 1, 24, 24, 24))[1]:argmax(1)
local p, t = found:eq(2), mask:eq(2)
local dice = 2 * p:logical_and(t):sum():item() / (p:sum():item() + t:sum():item())
print(("Dice %.2f"):format(dice))
assert(dice > 0.7)

-- The slice with most of a ball: as scanned, as it is, as found.
local z = t:sum { 2, 3 }:argmax():item()
al.show({ (volume[z] + 0.5):clamp(0, 2) / 2, t[z]:to "float32", p[z]:to "float32" },
  { width = 78, height = 14 })
