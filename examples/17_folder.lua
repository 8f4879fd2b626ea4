-- 17: a classifier of your own pictures: `lua5.4 examples/17_folder.lua DIR`, where DIR holds a
-- folder a class; without DIR it draws stripes. Shows: al.data.folder, al.fit, a
-- report. Cut off by Ctrl-C or killed, the same command goes on. Leaves runs/DIR/. In the REPL:
-- trained = loadfile "examples/17_folder.lua" "DIR"; trained.name "picture.jpg".
local al = require "albedo"
local nn = al.nn
al.seed(1)
math.randomseed(1)

local function draw(dir)
  os.execute(("mkdir -p %s/lying %s/standing"):format(dir, dir))
  local row, column = al.arange(32):reshape(32, 1):to "float32", al.arange(32):to "float32"
  for i = 1, 40 do
    for name, along in pairs { lying = row, standing = column } do
      local wave = (along * (0.5 + math.random()) + 6 * math.random()):sin()
      local photo = wave:expand(3, 32, 32) * 0.2 + 0.5 + 0.2 * al.randn(3, 32, 32)
      al.image.save(("%s/%s/%02d.png"):format(dir, name, i), photo:clamp(0, 1))
    end
  end
  return dir
end

-- Pictures, split by class; what the network sees: RGB of one size, around 0.
local dir = ... or draw "runs/stripes/photos"
local out = "runs/" .. (... and dir:match "([^/]+)/*$" or "stripes")
local size, channels = 32, 3
local set = al.data.folder(dir, { channels = channels })
local classes = set.classes
print(("%d pictures of %s"):format(#set, table.concat(classes, ", ")))
local train, val = al.data.split(set, { 0.75, 0.25 }, { stratify = "class" })
local function floats(x) return al.image.to_float(al.image.resize(x, { size, size })) - 0.5 end
local change = al.data.augment.flip()
local function seen(x, y) return change(floats(x)), y end
local training = al.data.loader(train:map(seen), { batch = 20, shuffle = true })
local function plain(x, y) return floats(x), y end
local validation = al.data.loader(val:map(plain), { batch = 20 })

local net = nn.Sequential {
  nn.Conv2d(channels, 8, 3, { pad = 1 }), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
  nn.Conv2d(8, 16, 3, { pad = 1 }), nn.BatchNorm2d(16), nn.ReLU(), nn.GlobalAvgPool(),
  nn.Linear(16, #classes),
}
local history = al.fit(net, training, { epochs = 10, lr = 2e-2, validate = validation,
  save = out .. "/net", about = { classes = classes, size = size, channels = channels } })

-- What it says of the pictures kept apart, and a page that shows it.
local guesses, truth = {}, {}
for x, y in validation() do
  for _, c in ipairs(al.no_grad(net, x):argmax(2):totable()) do guesses[#guesses + 1] = c end
  for _, c in ipairs(y:totable()) do truth[#truth + 1] = c end
end
local counts = al.metrics.confusion(guesses, truth, #classes)
for i, name in ipairs(classes) do print(i, name) end
print(counts)
local page = al.report.new { title = "Pictures of " .. table.concat(classes, ", "),
  lead = ("%d pictures; %.0f %% of those kept apart are named rightly."):format(#set,
    100 * counts:accuracy()) }
page:figure("lines", { alt = "The loss falls", x = "step", y = "loss", caption = "Training",
  series = { { name = "training", x = history.loss.step, y = history.loss.value },
    { name = "kept apart", x = history.score.step, y = history.score.value } } })
page:confusion { counts = counts, classes = classes, caption = "Pictures kept apart: actual "
  .. "down, named across" }
page:write(out .. "/report.html")
print(("%s/report.html; weights in %s/net.safetensors"):format(out, out))

-- One picture, a file: shown, and its classes by their chances.
local function name(path)
  local photo = al.image.load(path, { channels = channels })
  al.show(photo, { width = 32 })
  local chances = al.no_grad(net, floats(photo):unsqueeze(1)):softmax(2)[1]:totable()
  for i, class in ipairs(classes) do print(("%.2f %s"):format(chances[i], class)) end
end
name(set.items[1].path)
return { net = net, classes = classes, name = name }
