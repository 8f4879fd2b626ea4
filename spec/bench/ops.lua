-- Times single operations, forward, and forward and backward: the convolutions of the reference
-- models, matrix products, pooling, normalisation, softmax, elementwise. One JSON object a line, with
-- the names and fields of the PyTorch script it is compared with: name, fwd_ms, fwdbwd_ms (medians),
-- gflops_fwd, gflops_fwdbwd (two operations a multiply-add, backward as twice forward), mb (input, MiB).
--   lua5.4 spec/bench/ops.lua [--threads N] [--repeats N] [NAME...]
package.path = "./spec/bench/?.lua;" .. package.path
local al = require "albedo"
local bench = require "bench"

local function conv(n, c, side, out, k, o)
  o = o or {}
  local stride, groups, dims = o.stride or 1, o.groups or 1, o.dims or 2
  local pad = o.transposed and 0 or math.floor(k / 2)
  local x, w = { n, c }, o.transposed and { c, out } or { out, c / groups }
  for d = 1, dims do x[2 + d], w[2 + d] = side, k end
  local run = al[("conv%s%dd"):format(o.transposed and "_transpose" or "", dims)]
  local opts = { stride = stride, pad = pad, groups = groups }
  local to = o.transposed and side * stride or math.floor((side + 2 * pad - k) / stride) + 1
  return {
    name = ("conv%s%dd_n%d_c%d_s%d_k%d_%dx%d_stride%d%s"):format(o.transposed and "t" or "", dims, n,
      c, side, out, k, k, stride, groups > 1 and "_groups" .. groups or ""),
    make = function() return { al.randn(x), al.randn(w) * 0.05 } end,
    run = function(a, b) return run(a, b, nil, opts) end,
    flops = 2 * n * out * (c / groups) * (o.transposed and 1 or k ^ dims) * to ^ dims,
  }
end

local function matmul(m, k, n)
  k, n = k or m, n or m
  return {
    name = ("matmul_%dx%dx%d"):format(m, k, n), run = al.matmul, flops = 2 * m * k * n,
    make = function() return { al.randn(m, k), al.randn(k, n) } end,
  }
end

local function plain(name, run, ...)
  local shape = { ... }
  return { name = name, run = run, flops = 0, make = function() return { al.randn(shape) } end }
end

local function norm(name, run, ...)
  local shape = { ... }
  return { name = name, run = run, flops = 0,
    make = function() return { al.randn(shape), al.ones(shape[2]), al.zeros(shape[2]) } end }
end

local N, C, S = 8, 64, 112
local rows = {
  conv(8, 3, 224, 64, 7, { stride = 2 }), conv(8, 3, 224, 64, 3), conv(8, 64, 56, 64, 3),
  conv(8, 128, 28, 128, 3), conv(8, 256, 14, 256, 3), conv(8, 512, 7, 512, 3),
  conv(4, 64, 224, 64, 3), conv(8, 128, 56, 128, 3, { stride = 2 }),
  conv(8, 256, 28, 256, 3, { stride = 2 }), conv(8, 64, 56, 256, 1), conv(8, 256, 56, 64, 1),
  conv(8, 512, 28, 128, 1), conv(8, 256, 56, 512, 1, { stride = 2 }),
  conv(8, 144, 56, 144, 3, { groups = 144 }), conv(8, 144, 56, 144, 3, { stride = 2, groups = 144 }),
  conv(8, 576, 14, 576, 3, { groups = 576 }), conv(1, 1, 64, 32, 3, { dims = 3 }),
  conv(1, 32, 64, 32, 3, { dims = 3 }), conv(1, 64, 32, 64, 3, { dims = 3 }),
  conv(1, 128, 16, 128, 3, { dims = 3 }),
  conv(1, 64, 32, 32, 2, { stride = 2, dims = 3, transposed = true }),
  conv(8, 64, 64, 32, 2, { stride = 2, transposed = true }),
  matmul(256), matmul(1024), matmul(2048), matmul(32, 1024, 1024), matmul(1, 1024, 1024),
  plain("relu", al.relu, N, C, S, S), plain("exp", al.exp, N, C, S, S), plain("sum", al.sum, N, C, S, S),
  { name = "add", run = al.add, flops = 0,
    make = function() return { al.randn(N, C, S, S), al.randn(N, C, S, S) } end },
  plain("softmax_rows", function(x) return x:softmax(2) end, 8192, 1000),
  plain("softmax_channels", function(x) return x:softmax(2) end, N, C, S, S),
  plain("max_pool2d", function(x) return x:max_pool2d(2) end, N, C, S, S),
  plain("avg_pool2d", function(x) return x:avg_pool2d(2) end, N, C, S, S),
  plain("max_pool3d", function(x) return x:max_pool3d(2) end, 1, 32, 64, 64, 64),
  norm("batch_norm_train", function(x, w, b)
    return al.batch_norm(x, w, b, nil, nil, { training = true })
  end, N, C, S, S),
  norm("group_norm", function(x, w, b) return al.group_norm(x, 8, w, b) end, N, C, S, S),
  norm("layer_norm", function(x, w, b) return al.layer_norm(x, { x:size(2) }, w, b) end, 8192, 1000),
  plain("upsample_bilinear", function(x)
    return al.interpolate(x, { scale = 2, mode = "bilinear" })
  end, 8, 64, 56, 56),
}

local function time(row, o)
  local leaves = row.make()
  local unpack = table.unpack
  local forward = bench.median_ms(o.repeats, function() al.no_grad(row.run, unpack(leaves)) end)
  for _, x in ipairs(leaves) do x.requires_grad = true end
  local cotangent = al.randn(row.run(unpack(leaves)).shape)
  local both = bench.median_ms(o.repeats, function()
    for _, x in ipairs(leaves) do x.grad = nil end
    row.run(unpack(leaves)):backward(cotangent)
  end)
  bench.print { name = row.name, fwd_ms = forward, fwdbwd_ms = both,
    gflops_fwd = row.flops / forward / 1e6, gflops_fwdbwd = 3 * row.flops / both / 1e6,
    mb = leaves[1]:numel() * 4 / 2 ^ 20 }
end

local o = bench.options { repeats = 7 }
for _, row in ipairs(rows) do
  if o.list then print(row.name)
  elseif bench.wanted(o, row.name) then al.scope(time, row, o) end
end
