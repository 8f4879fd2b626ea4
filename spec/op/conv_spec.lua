local al = require "albedo"

local fails = assert.error_matches

describe("options far too large", function()
  it("are errors, for convolutions and pools", function()
    local x, w, far = al.ones(1, 1, 8, 8), al.ones(1, 1, 5, 5), 2 ^ 62
    for _, option in ipairs { "dilation", "pad", "stride" } do
      assert.error_matches(function() return al.conv2d(x, w, { [option] = far }) end, option .. " is too large")
      assert.error_matches(function() return al.avg_pool2d(x, 3, { [option] = far }) end, option)
    end
    assert.error_matches(function() return al.max_pool2d(x, 5, { dilation = far }) end, "too large")
    assert.error_matches(function() return al.ones(4):repeat_interleave(far) end, "impossible")
  end)
end)

describe("conv", function()
  it("counts what the kernel covers", function()
    local x = al.ones(1, 1, 3, 3)
    local w = al.ones(1, 1, 3, 3)
    assert.same({ { 9 } }, x:conv2d(w)[1][1]:totable())
    local y = x:conv2d(w, { pad = 1 })
    assert.same({ { 4, 6, 4 }, { 6, 9, 6 }, { 4, 6, 4 } }, y[1][1]:totable())
    assert.same({ { 4, 4 }, { 4, 4 } }, x:conv2d(w, { pad = 1, stride = 2 })[1][1]:totable())
    assert.same({ { 5 } }, x:conv2d(w, al.tensor { -4 })[1][1]:totable())
    assert.same({ { 4 } }, x:conv2d(al.ones(1, 1, 2, 2), { dilation = 2 })[1][1]:totable())
  end)

  it("pads by words and by pairs", function()
    local x, w = al.tensor { { { 1, 2, 3, 4 } } }, al.ones(1, 1, 2)
    assert.same({ 3, 5, 7, 4 }, x:conv1d(w, { pad = "same" })[1][1]:totable())
    assert.same({ 3, 7 }, x:conv1d(w, { pad = "same", stride = 2 })[1][1]:totable())
    assert.same({ 3, 5, 7 }, x:conv1d(w, { pad = "valid" })[1][1]:totable())
    assert.same({ 0, 1, 3, 5, 7 }, x:conv1d(w, { pad = { 2, 0 } })[1][1]:totable())
    fails(function() return x:conv1d(w, { pad = "full" }) end, 'same" or "valid", got "full"')
    fails(function() return x:max_pool1d(2, { pad = "same" }) end, "is for conv only")
  end)

  it("is a cross-correlation: the kernel is not flipped", function()
    local x = al.tensor { { { 1, 2, 3, 4 } } }
    local w = al.tensor { { { 1, 0, -1 } } }
    assert.same({ { { -2, -2 } } }, x:conv1d(w):totable())
    assert.same({ { { -2, -2, -2, 3 } } }, x:conv(w, { pad = 1 }):totable())
  end)

  it("groups see their own channels", function()
    local x = al.tensor { { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } } } -- 1x4x2
    local w = al.ones(2, 2, 1)
    assert.same({ { { 4, 6 }, { 12, 14 } } }, x:conv1d(w, { groups = 2 }):totable())
    local each = al.arange(4):reshape(4, 1, 1)
    assert.same(
      { { { 1, 2 }, { 6, 8 }, { 15, 18 }, { 28, 32 } } },
      x:conv1d(each, { groups = 4 }):totable()
    )
  end)

  it("volumes, and one number a dim", function()
    local x = al.ones(1, 2, 3, 3, 3)
    local y = x:conv3d(al.ones(3, 2, 2, 3, 2), { pad = { 0, 1, 0 } })
    assert.same({ 1, 3, 2, 3, 2 }, y.shape)
    assert.equal(16, x:conv3d(al.ones(1, 2, 2, 2, 2)):max():item())
  end)

  it("names what does not fit", function()
    local x, w = al.ones(8, 3, 32, 32), al.ones(16, 4, 3, 3)
    fails(function() return x:conv2d(w) end, "conv2d: x has 3 channels, w expects 4")
    fails(function() return x:conv3d(w) end, "w has 2 spatial dims, needs 3")
    fails(function() return x:conv2d(al.ones(4, 3, 40, 3)) end, "kernel reaches 40 wide")
    fails(
      function() return x:conv2d(al.ones(4, 3, 3, 3), { stride = { 1, 2, 3 } }) end,
      "needs 1 or 2"
    )
    fails(function() return x:conv2d(al.ones(4, 3, 3, 3), { stride = 0 }) end, "at least 1")
    fails(function() return x:conv2d(al.ones(4, 1, 3, 3), { groups = 3 }) end, "do not divide")
    fails(function() return x:conv2d(al.ones(4, 3, 3, 3), al.ones(3)) end, "b needs 4 entries")
    fails(function() return x:conv2d(al.ones(4, 3, 3, 3), { padding = 1 }) end, "padding")
  end)

  it("knows empty batches", function()
    assert.same({ 0, 4, 3, 3 }, al.ones(0, 3, 5, 5):conv2d(al.ones(4, 3, 3, 3)).shape)
  end)

  it("leaves the same bits, backwards too, on any number of threads", function()
    local former = al.threads()
    local function run(threads)
      al.threads(threads)
      al.seed(4)
      local x = al.randn(3, 8, 20, 20):requires_grad_()
      local w = al.randn(12, 8, 3, 3):requires_grad_()
      local y = x:conv2d(w, { pad = 1 })
      y:square():sum():backward()
      return { y:detach(), x.grad, w.grad }
    end
    local one, four = run(1), run(4)
    for k = 1, 3 do assert.equal(0, one[k]:ne(four[k]):sum():item()) end
    al.threads(former)
  end)
end)

describe("conv_transpose", function()
  it("spreads each value over its window", function()
    local x = al.tensor { { { { 1, 2 }, { 3, 4 } } } }
    local w = al.ones(1, 1, 2, 2)
    local y = x:conv_transpose2d(w)
    assert.same({ { 1, 3, 2 }, { 4, 10, 6 }, { 3, 7, 4 } }, y[1][1]:totable())
    assert.same(
      { { 1, 1, 2, 2 }, { 1, 1, 2, 2 }, { 3, 3, 4, 4 }, { 3, 3, 4, 4 } },
      x:conv_transpose2d(w, { stride = 2 })[1][1]:totable()
    )
    y = x:conv_transpose2d(w, al.tensor { 0.5 }, { stride = 2, pad = 1, output_padding = 1 })
    assert.same({ { 1.5, 2.5, 2.5 }, { 3.5, 4.5, 4.5 }, { 3.5, 4.5, 4.5 } }, y[1][1]:totable())
    fails(
      function() return x:conv_transpose2d(w, { output_padding = 1 }) end,
      "less than stride"
    )
  end)

  it("is the adjoint of conv", function()
    al.seed(5)
    local opts = { stride = 2, pad = 1 }
    local x = al.randn({ 2, 3, 7, 9 }, { dtype = "float64" })
    local w = al.randn({ 4, 3, 3, 3 }, { dtype = "float64" })
    local y = x:conv(w, opts)
    local u = al.randn(y.shape, { dtype = "float64" })
    local a, b = (y * u):sum():item(), (x * u:conv_transpose(w, opts)):sum():item()
    assert.near(a, b, 1e-9)
  end)

  it("has gradients of x's shape when output_padding is no less than the stride", function()
    local x, w = al.randn(1, 1, 4, { dtype = "float64" }), al.randn(1, 2, 2, { dtype = "float64" })
    local opts = { dilation = 2, pad = 1, output_padding = 1 }
    assert.same({ 1, 2, 5 }, al.conv_transpose(x, w, nil, opts).shape)
    assert.is_true(al.gradcheck(function(a, b) return al.conv_transpose(a, b, nil, opts) end,
      { x:requires_grad_(), w:requires_grad_() }))
    assert.is_true(al.gradgradcheck(function(a, b) return al.conv_transpose(a, b, nil, opts) end, { x, w }))
  end)
end)

describe("al.winograd", function()
  it("switches the algorithm of 3x3 convolutions, whose error stays bounded", function()
    al.seed(5)
    local x, w = al.randn(2, 64, 24, 24):relu(), al.randn(64, 64, 3, 3) * 0.05
    local function conv() return al.conv2d(x, w, nil, { pad = 1 }) end
    local exact = al.conv2d(x:double(), w:double(), nil, { pad = 1 })
    local function off(y) return (y:double() - exact):abs():max():item() / exact:square():mean():sqrt():item() end
    local fast = conv()
    assert.is_true(al.winograd(false))
    local plain = conv()
    assert.is_false(al.winograd(true))
    assert.is_true(off(fast) < 2e-5 and off(plain) < 2e-5)
    if al.version().isa ~= "generic" then assert.is_false((fast - plain):abs():max():item() == 0) end
    assert.equal(0, (conv() - fast):abs():max():item())
  end)

  it("stays within 2e-5 of the rms at 512 channels, forwards and in both gradients", function()
    al.seed(6)
    local x = al.randn(2, 512, 14, 14):relu() -- as after a ReLU: the mean is not 0
    local w, g = al.randn(512, 512, 3, 3) * (2 / (512 * 9)) ^ 0.5, al.randn(2, 512, 14, 14)
    local function passes(a, b, c)
      a, b = a:detach():requires_grad_(), b:detach():requires_grad_()
      local y = al.conv2d(a, b, nil, { pad = 1 })
      y:backward(c)
      return { y:detach(), a.grad, b.grad }
    end
    local fast, exact = passes(x, w, g), passes(x:double(), w:double(), g:double())
    for k = 1, 3 do
      local off = (fast[k]:double() - exact[k]):abs():max():item() / exact[k]:square():mean():sqrt():item()
      assert.is_true(off > 0 and off < 2e-5, ("pass %d: %.1e"):format(k, off))
    end
  end)

  -- Two runs of a seed differ by the algorithm alone, runs of two seeds by chance: on average over the
  -- seeds the first difference must be below the second's spread, at each step of the curve.
  it("leaves training curves within the noise of the seeds", function()
    local steps, seeds = 24, 5
    local function curve(seed, on)
      al.winograd(on)
      al.seed(seed)
      local nn = al.nn
      local net = nn.Sequential {
        nn.Conv2d(3, 16, 3, { pad = 1 }), nn.ReLU(), nn.Conv2d(16, 16, 3, { pad = 1 }), nn.BatchNorm2d(16),
        nn.ReLU(), nn.Conv2d(16, 16, 3, { pad = 1 }), nn.ReLU(), nn.AvgPool2d(16), nn.Flatten(), nn.Linear(16, 4),
      }
      local opt = al.optim.sgd(net:parameters(), { lr = 0.1, momentum = 0.9 })
      local losses = {}
      for step = 1, steps do
        local x, y = al.randn(8, 3, 16, 16), al.arange(8) % 4 + 1
        for i = 1, 8 do x[i] = x[i] * (0.4 + 0.3 * y[i]:item()) end -- classes differ in contrast
        local loss = net(x):cross_entropy(y:to "int64")
        opt:zero_grad()
        loss:backward()
        opt:step()
        losses[step] = loss:item()
      end
      return losses
    end
    local fast, plain = {}, {}
    for s = 1, seeds do fast[s], plain[s] = curve(s, true), curve(s, false) end
    al.winograd(true)
    local differ, first, last = false, 0, 0
    for step = 1, steps do
      local mean, spread, between = 0, 0, 0
      for s = 1, seeds do mean = mean + plain[s][step] / seeds end
      for s = 1, seeds do
        spread = spread + (plain[s][step] - mean) ^ 2 / (seeds - 1)
        between = between + (fast[s][step] - plain[s][step]) ^ 2 / seeds
      end
      differ = differ or between > 0
      assert.is_true(between <= spread, ("step %d: %.2e of %.2e"):format(step, between ^ 0.5, spread ^ 0.5))
      if step <= 4 then first = first + mean / 4 end
      if step > steps - 4 then last = last + mean / 4 end
    end
    assert.is_true(last < 0.8 * first, ("it trains: %.3f to %.3f"):format(first, last))
    assert.is_true(differ or al.version().isa == "generic")
  end)
end)

describe("al.version", function()
  it("names the kernels of matrix products, and who chose them", function()
    assert.is_true(#al.version().blas > 0)
    if jit then return end
    local pipe = io.popen [[OPENBLAS_CORETYPE=Haswell lua5.4 -e 'print(require "albedo".version())' 2>&1]]
    local text = pipe:read "*a"
    pipe:close()
    assert.is_truthy(text:find("by OPENBLAS_CORETYPE", 1, true), text)
  end)
end)
