-- A training that has all a checkpoint must hold: workers, augmentation, dropout, batch norm,
-- averages, accumulation, clipping, a schedule, early stopping. spec/soak/soak.lua kills it.
--   lua5.4 spec/soak/train.lua PATH STEPS SAVE_EVERY
local al = require "albedo"
local nn = al.nn

al.seed(3)
local x = al.rand(240, 1, 12, 12)
local y = x:mean { 2, 3, 4 }:gt(0.5):to "int64" + 1
local change = al.data.augment.compose {
  al.data.augment.flip(), al.data.augment.affine { degrees = 15, scale = { 0.9, 1.1 } },
}
local set = al.data.tensors(x, y)
local train = al.data.loader(set:map(change), { batch = 8, shuffle = true, workers = 2 })
local net = nn.Sequential {
  nn.Conv2d(1, 8, 3, { pad = 1 }), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
  nn.Dropout(0.3), nn.Flatten(), nn.Linear(8 * 36, 2),
}
local steps = tonumber(arg[2])
al.fit(net, train, {
  steps = steps, lr = 3e-3, warmup = 5, accumulate = 2, clip = 1, ema = 0.9, checks = steps / 5,
  validate = al.data.loader(set, { batch = 60 }), patience = steps, save = arg[1],
  save_every = tonumber(arg[3]),
})
