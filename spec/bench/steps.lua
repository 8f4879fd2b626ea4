-- Times one training step (forward, loss, backward, SGD with momentum) and one inference pass of each
-- reference model, a fresh process a model, so that peak memory is the model's own. One JSON object a
-- line: name, params, infer_ms, step_ms (medians, milliseconds), peak_mb (MiB, the whole process).
-- --flops adds gflops_step, of the convolutions and matrix products. The last row is a network so small
-- that the calls are what it costs: a step is the mean of 300, by plain SGD.
--   lua5.4 spec/bench/steps.lua [--threads N] [--repeats N] [--cpu] [--flops] [NAME...]
package.path = "./spec/bench/?.lua;" .. package.path
local al = require "albedo"
local bench = require "bench"
local nn, models = al.nn, al.models

local function image(...)
  local shape = { ... }
  return function() return al.randn(shape) end
end
local function labels(classes, ...)
  local shape = { ... }
  return function() return al.randint(1, classes, shape) end
end

local function small_cnn(channels, side, classes)
  local wide = 128 * (side / 8) ^ 2
  return nn.Sequential {
    nn.Conv2d(channels, 32, 5, { pad = 2 }), nn.ReLU { inplace = true }, nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, { pad = 1 }), nn.ReLU { inplace = true }, nn.MaxPool2d(2),
    nn.Conv2d(64, 128, 3, { pad = 1 }), nn.ReLU { inplace = true }, nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(wide, 256), nn.ReLU { inplace = true }, nn.Linear(256, classes),
  }
end

local work = { -- name, model, input, target
  { "vgg16_224_b4", function() return models.vgg16 { classes = 2 } end, image(4, 3, 224, 224), labels(2, 4) },
  { "resnet50_224_b4", function() return models.resnet50 { classes = 2 } end, image(4, 3, 224, 224),
    labels(2, 4) },
  { "mobilenetv2_224_b8", function() return models.mobilenet_v2 { classes = 2 } end,
    image(8, 3, 224, 224), labels(2, 8) },
  { "smallcnn_64_b64", function() return small_cnn(3, 64, 2) end, image(64, 3, 64, 64), labels(2, 64) },
  { "unet2d_128_b8", function() return models.unet2d { base = 32, levels = 4, dropout = 0.2 } end,
    image(8, 1, 128, 128), labels(2, 8, 128, 128) },
  { "unet3d_64_b1", function()
    return models.unet3d { in_channels = 1, base = 16, levels = 4, plan = "ronneberger", up_bias = true }
  end, image(1, 1, 64, 64, 64), labels(3, 1, 64, 64, 64) },
  { "bilstm_attn_b16_t200", function() return models.bilstm { tasks = 16 } end, labels(20000, 16, 200),
    labels(2, 16) },
  { "mlp_32_64_10_b32", function()
    return nn.Sequential { nn.Linear(32, 64), nn.ReLU { inplace = true }, nn.Linear(64, 10) }
  end, image(32, 32), labels(10, 32), momentum = 0, times = 300 },
}

-- The peak of the process's resident memory, in MiB.
local function peak_mb()
  local peak = 0
  for line in io.lines "/proc/self/status" do peak = tonumber(line:match "^VmHWM:%s*(%d+)") or peak end
  return math.floor(peak / 1024 + 0.5)
end

local function run(row, o)
  al.seed(0)
  local net, x, y = row[2](), row[3](), row[4]()
  local optim = al.optim.sgd(net:parameters(), { lr = 1e-4, momentum = row.momentum or 0.9 })
  local function train()
    optim:zero_grad()
    net(x):cross_entropy(y):backward()
    optim:step()
  end
  local times = row.times or 1
  local step = bench.median_ms(o.repeats, function()
    for _ = 1, times do al.scope(train) end
  end) / times
  net:eval()
  local infer = bench.median_ms(o.repeats, function()
    for _ = 1, times do al.scope(al.no_grad, net, x) end
  end) / times
  local out = { name = row[1], params = (net:num_parameters()), infer_ms = infer, step_ms = step,
    peak_mb = peak_mb() }
  if o.flops then
    net:train()
    local flops = 0
    for _, r in ipairs((al.profile(train, { print = false }))) do flops = flops + r.flops end
    out.gflops_step = flops / step / 1e6
  end
  bench.print(out)
end

local o = bench.options { repeats = 5 }
if o.list then
  for _, row in ipairs(work) do print(row[1]) end
elseif o.here then
  for _, row in ipairs(work) do
    if o.names[row[1]] then run(row, o) end
  end
else
  for _, row in ipairs(work) do
    if bench.wanted(o, row[1]) then bench.again("spec/bench/steps.lua", o, row[1]) end
  end
end
