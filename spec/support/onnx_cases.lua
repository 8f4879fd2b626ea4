-- Networks and single ops to export: { name, net, example, opencv = whether Debian's OpenCV knows
-- all its nodes }. `full`: the architectures at the size they are published in.
local al = require "albedo"
local nn = al.nn
local cases = {}

local function pictures(n, c, side) return function() return al.randn(n, c, side, side) end end
local function words(n, steps) return function() return al.randint(1, 30, { n, steps }) end end

-- name, options when small, when full, inputs of both; OpenCV has no BiLSTM of these and no 3-D
-- transposed convolution.
local networks = {
  { "vgg11", { width = 0.125, hidden = 64, pool = 3 }, {}, pictures(2, 3, 64) },
  { "vgg16", { width = 0.125, hidden = 64, pool = 2, batch_norm = true }, {}, pictures(2, 3, 64) },
  { "resnet50", { width = 0.125 }, {}, pictures(2, 3, 64) },
  { "mobilenet_v2", { width = 0.25 }, {}, pictures(2, 3, 64) },
  { "mobilenet_v2", { width = 0.25, padding = "same_tf" }, nil, pictures(2, 3, 64) },
  { "squeezenet1_0", { width = 0.25 }, {}, pictures(2, 3, 64) },
  { "squeezenet1_1", { width = 0.25 }, {}, pictures(2, 3, 66) },
  { "densenet121", { width = 0.25 }, {}, pictures(1, 3, 64) },
  { "inception_v3", { width = 0.125, transform_input = true }, {}, pictures(1, 3, 107),
    pictures(1, 3, 299) },
  { "aconvnet", { width = 0.25 }, {}, pictures(2, 1, 88), pictures(1, 1, 88) },
  { "unet2d", { base = 4, levels = 3 }, {}, pictures(2, 1, 24), pictures(1, 1, 128) },
  { "unet2d", { base = 4, levels = 3, up = "linear" }, nil, pictures(2, 1, 24) },
  { "unet2d", { base = 4, levels = 3, up = "nearest" }, nil, pictures(2, 1, 24) },
  { "unet3d", { base = 4, levels = 3 }, {}, function() return al.randn(1, 3, 8, 8, 16) end,
    function() return al.randn(1, 3, 32, 32, 32) end, opencv = false },
  { "bilstm", { vocabulary = 30, embedding = 6, hidden = 5, num_layers = 2 }, {}, words(2, 7),
    words(2, 50), opencv = false },
  { "bilstm", { vocabulary = 30, embedding = 6, hidden = 5, pool = "max" }, nil, words(2, 7),
    opencv = false },
}

-- statistics as after training
local function lived(net)
  for name, b in net:buffers() do
    b:copy_(name:find "var$" and al.rand(b.shape) + 0.5 or al.randn(b.shape) * 0.1)
  end
  return net:eval()
end

--- A function that gives the next case, and its number.
function cases.networks(full)
  local i = 0
  return function()
    repeat i = i + 1 until not networks[i] or not full or networks[i][3]
    local n = networks[i]
    if not n then return nil end
    local net = lived(al.models[n[1]](full and n[3] or n[2]))
    local example = full and (n[5] or pictures(1, 3, 224))() or n[4]()
    return { name = ("%s_%d"):format(n[1], i), net = net, example = example,
      opencv = n.opencv ~= false }
  end
end

local function fn(f) return nn.Sequential { nn.Conv2d(3, 4, 3), nn.Fn(f) } end

-- OpenCV 4.6 adds an int64 constant as if it were 0.
local not_opencv = { max = true, argmin = true }

-- One op each, behind a convolution of (2, 3, 8, 9): x is (2, 4, 6, 7).
local singles = {
  relu6 = function(x) return (x * 9):relu6() end,
  clamp = function(x) return x:clamp(-0.1, 0.2) end,
  gelu = al.gelu, silu = al.silu, mish = al.mish, hardswish = al.hardswish, elu = al.elu,
  selu = al.selu, softsign = al.softsign, logsigmoid = al.logsigmoid, hardsigmoid = al.hardsigmoid,
  softplus = function(x) return al.softplus(x, 2) end,
  leaky_relu = function(x) return al.leaky_relu(x, 0.2) end,
  hardtanh = function(x) return al.hardtanh(x, -0.2, 0.3) end,
  numbers = function(x) return (2 - x) / (x * x + 1) ^ 0.5 - x:abs():rsqrt():minimum(3) end,
  squares = function(x) return x:square():sqrt() + x:exp():log() - x:sin() * x:cos() end,
  compare = function(x) return x:gt(0.1):float() + x:le(x:mean(1, true)):float() - x:ne(x):float() end,
  where = function(x) return al.where(x:lt(0), x * 2, x:tanh()):masked_fill(x:gt(0.3), 7) end,
  slice = function(x) return x[{ {}, { 2, 3 }, { -1, 1, -2 }, 4 }] end,
  slice_text = function(x) return x["..., 2:5"]:relu() end,
  narrow = function(x) return x:narrow(3, 2, 3):select(2, -1) end,
  shapes = function(x) return x:permute(1, 3, 2, 4):reshape(2, 6, -1):transpose(-1, 2):unsqueeze(-1) end,
  stack = function(x) return al.stack({ x, x:neg() }, 2):squeeze(3):flatten(2, 3) end,
  expand = function(x) return x:mean({ 3, 4 }, true):expand(2, 4, 3, 5) end,
  split = function(x) local parts = x:chunk(2, 2) return al.cat({ parts[2], parts[1] }, -1) end,
  pad = function(x) return al.pad(x, { 1, 2, 0, 3 }, { value = 0.5 }) end,
  reflect = function(x) return al.pad(x, { 1, 2, 3, 0 }, { mode = "reflect" }) end,
  replicate = function(x) return al.pad(x, { 1, 2, 3, 0 }, { mode = "replicate" }) end,
  reduce = function(x) return x:sum(3) + x:amax(3) - x:amin(-2) + x:mean(3) * x:prod(3) end,
  reduce_all = function(x) return x:sum() + x:mean() end,
  max = function(x) local v, at = x:max(2) return v * at:float() end,
  argmin = function(x) return x:argmin(-1):float() end,
  softmax = function(x) return x:softmax(2) + x:log_softmax(-1) + x:logsumexp(3, true) end,
  gather = function(x) return x:gather(2, x:argmax(2, true)) end,
  index_select = function(x) return x:index_select(4, al.tensor({ 7, 1, 1 }, { dtype = "int64" })) end,
  matmul = function(x) return x:matmul(x:transpose(3, 4)):softmax(-1):matmul(x) end,
  max_pool = function(x) return al.max_pool2d(x, 3, 2, { pad = 1, ceil_mode = true }) end,
  max_pool_ceil = function(x) return al.max_pool2d(x, 2, 2, { ceil_mode = true }) end,
  avg_pool = function(x) return al.avg_pool2d(x, 3, 2, { pad = 1 }) end,
  avg_pool_inside = function(x)
    return al.avg_pool2d(x, { 3, 2 }, { 1, 2 }, { pad = { 1, 0 }, count_include_pad = false })
  end,
  adaptive = function(x) return al.adaptive_avg_pool2d(x, { 4, 3 }) end,
  adaptive_even = function(x) return al.adaptive_avg_pool2d(x, { 3, 1 }) end,
  global = function(x) return al.global_max_pool(x) - al.global_avg_pool(x):flatten(2, -1) end,
  nearest = function(x) return al.interpolate(x, { 9, 10 }) end,
  linear_up = function(x) return al.interpolate(x, { 9, 20 }, { mode = "bilinear" }) end,
  corners = function(x) return al.interpolate(x, { 9, 20 }, { mode = "bilinear", align_corners = true }) end,
  pixel_shuffle = function(x) return al.pixel_shuffle(x, 2) end,
}

local layers = {
  same = function() return nn.Conv2d(3, 4, { 3, 4 }, { pad = "same", dilation = { 1, 2 } }) end,
  conv = function() return nn.Conv2d(3, 6, 3, { stride = { 2, 1 }, pad = { 1, 2 }, groups = 3 }) end,
  transposed = function()
    return nn.ConvTranspose2d(3, 4, 3, { stride = 2, pad = 1, output_padding = 1, bias = false })
  end,
  group_norm = function() return nn.Sequential { nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4) } end,
  instance_norm = function() return nn.InstanceNorm2d(3, { affine = true }) end,
  layer_norm = function() return nn.LayerNorm({ 8, 9 }) end,
  batch_norm = function() return nn.BatchNorm2d(3, { affine = false }) end,
  prelu = function() return nn.PReLU(3) end,
  linear = function() return nn.Sequential { nn.Linear(9, 4), nn.ReLU(), nn.Linear(4, 3, { bias = false }) } end,
  attention = function()
    return nn.Sequential { nn.Fn(function(x) return x:flatten(2, 3) end), nn.GRU(9, 5),
      nn.LSTM(5, 4, { bidirectional = true, num_layers = 2 }) }
  end,
}

--- The ops, as a list of cases by name.
function cases.ops()
  local list = {}
  for name, f in pairs(singles) do list[#list + 1] = { name = name, net = fn(f) } end
  for name, make in pairs(layers) do list[#list + 1] = { name = name, net = make() } end
  for _, case in ipairs(list) do
    case.example, case.opencv = al.randn(2, 3, 8, 9), not not_opencv[case.name]
    lived(case.net)
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return cases
