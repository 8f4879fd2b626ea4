-- The loader's share of a training step: a small CNN on 3x64x64 pictures read from JPEG files
-- and augmented, by workers = 0, 1, 2. `make bench-loader`; ARGS='--threads 1'.
local al = require "albedo"
local nn, augment = al.nn, al.data.augment
for k = 1, #arg do
  if arg[k] == "--threads" then al.threads(tonumber(arg[k + 1])) end
end

local N, BATCH, STEPS = 512, 64, 8
al.seed(1)
local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir " .. folder)
local items = {}
for i = 1, N do
  items[i] = { path = ("%s/%d.jpg"):format(folder, i), label = i % 10 + 1 }
  al.image.save(items[i].path, al.image.resize(al.rand(3, 8, 8), { 96, 96 }))
end
local change = augment.compose {
  augment.resized_crop { size = 64 }, augment.flip(), augment.affine { degrees = 10 },
  augment.color { brightness = 0.2, contrast = 0.2 },
}
local set = al.data.list(items, function(item)
  return al.image.to_float(change(al.image.load(item.path))), item.label
end)

local function conv(a, b)
  return nn.Conv2d(a, b, 3, { pad = 1 }), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)
end
local net = nn.Sequential {}
for _, pair in ipairs { { 3, 32 }, { 32, 64 }, { 64, 128 } } do
  for _, layer in ipairs { conv(pair[1], pair[2]) } do net:add(layer) end
end
net:add(nn.Flatten())
net:add(nn.Linear(128 * 8 * 8, 10))
local opt = al.optim.adamw(net:parameters(), { lr = 1e-3 })

-- Seconds of an epoch, and those of them spent waiting for batches after the first.
local function epoch(workers)
  local waited, steps, started, last = 0, 0, nil, nil
  for x, y in al.data.loader(set, { batch = BATCH, shuffle = true, seed = 1, workers = workers }) do
    local now = al.clock()
    if last then waited = waited + now - last end
    started = started or now
    local loss = net(x):cross_entropy(y)
    opt:zero_grad()
    loss:backward()
    opt:step()
    steps, last = steps + 1, al.clock()
  end
  assert(steps == STEPS)
  return last - started, waited
end

epoch(0)
print(("small CNN, %d x 3x64x64, %d threads; JPEG, crop, flip, affine, colours")
  :format(BATCH, al.threads()))
for _, workers in ipairs { 0, 1, 2 } do
  local best, share = math.huge, 0
  for _ = 1, 3 do
    local total, waited = epoch(workers)
    if total < best then best, share = total, waited / total end
  end
  print(("workers %d: %6.1f ms a step, loader's share %4.1f %%"):format(workers, best / STEPS * 1e3,
    share * 100))
end
os.execute("rm -r " .. folder)
