local al = require "albedo"
local nn = al.nn

local function near(expected, actual, tolerance)
  expected = al.is_tensor(expected) and expected or al.tensor(expected, { dtype = "float64" })
  assert.same(expected.shape, actual.shape)
  local gap = (expected:to "float64" - actual:to "float64"):abs():max():item()
  assert.is_true(gap <= (tolerance or 1e-5), ("differs by %g"):format(gap))
end

describe("layers", function()
  before_each(function() al.seed(5) end)

  it("give the shapes PyTorch gives", function()
    local cases = {
      { nn.Linear(4, 7), { 3, 4 }, { 3, 7 } },
      { nn.Linear(4, 7, { bias = false }), { 2, 3, 4 }, { 2, 3, 7 } },
      { nn.Conv1d(2, 5, 3), { 1, 2, 10 }, { 1, 5, 8 } },
      { nn.Conv2d(2, 4, { 3, 1 }, { stride = { 2, 1 }, pad = { 1, 0 }, groups = 2 }),
        { 1, 2, 8, 6 }, { 1, 4, 4, 6 } },
      { nn.Conv3d(1, 2, 3, { pad = 1 }), { 1, 1, 4, 5, 6 }, { 1, 2, 4, 5, 6 } },
      { nn.ConvTranspose2d(3, 2, 2, { stride = 2 }), { 1, 3, 4, 4 }, { 1, 2, 8, 8 } },
      { nn.ConvTranspose2d(3, 2, 3, { stride = 2, pad = 1, output_padding = 1 }),
        { 1, 3, 4, 4 }, { 1, 2, 8, 8 } },
      { nn.ConvTranspose3d(2, 1, 2, { stride = 2 }), { 1, 2, 2, 2, 2 }, { 1, 1, 4, 4, 4 } },
      { nn.BatchNorm1d(3), { 4, 3 }, { 4, 3 } },
      { nn.BatchNorm2d(3), { 4, 3, 2, 2 }, { 4, 3, 2, 2 } },
      { nn.BatchNorm3d(3), { 2, 3, 2, 2, 2 }, { 2, 3, 2, 2, 2 } },
      { nn.GroupNorm(2, 4), { 2, 4, 3, 3 }, { 2, 4, 3, 3 } },
      { nn.InstanceNorm2d(4), { 2, 4, 3, 3 }, { 2, 4, 3, 3 } },
      { nn.LayerNorm(6), { 2, 4, 6 }, { 2, 4, 6 } },
      { nn.MaxPool1d(2), { 1, 2, 6 }, { 1, 2, 3 } },
      { nn.MaxPool2d(3, { stride = 2, ceil_mode = true }), { 1, 2, 8, 8 }, { 1, 2, 4, 4 } },
      { nn.MaxPool3d(2), { 1, 2, 4, 4, 4 }, { 1, 2, 2, 2, 2 } },
      { nn.AvgPool2d(2, { stride = 1, pad = 1 }), { 1, 2, 4, 4 }, { 1, 2, 5, 5 } },
      { nn.AdaptiveAvgPool2d(3), { 1, 2, 7, 5 }, { 1, 2, 3, 3 } },
      { nn.AdaptiveAvgPool2d { 1, 2 }, { 1, 2, 7, 5 }, { 1, 2, 1, 2 } },
      { nn.GlobalAvgPool(), { 2, 3, 4, 5 }, { 2, 3 } },
      { nn.Flatten(), { 2, 3, 4, 5 }, { 2, 60 } },
      { nn.Upsample { scale = 2 }, { 1, 2, 3, 4 }, { 1, 2, 6, 8 } },
      { nn.Upsample { size = { 5, 7 }, mode = "bilinear" }, { 1, 2, 3, 4 }, { 1, 2, 5, 7 } },
      { nn.Softmax(), { 2, 3 }, { 2, 3 } },
      { nn.Dropout2d(0.5), { 2, 3, 4, 4 }, { 2, 3, 4, 4 } },
      { nn.Identity(), { 2 }, { 2 } },
      { nn.RMSNorm { 4, 6 }, { 2, 4, 6 }, { 2, 4, 6 } },
      { nn.InstanceNorm1d(4), { 2, 4, 6 }, { 2, 4, 6 } },
      { nn.InstanceNorm3d(4, { affine = true }), { 1, 4, 2, 2, 2 }, { 1, 4, 2, 2, 2 } },
      { nn.Conv2d(2, 4, 3, { pad = "same", stride = 2 }), { 1, 2, 7, 6 }, { 1, 4, 4, 3 } },
      { nn.AdaptiveAvgPool3d(2), { 1, 2, 4, 5, 6 }, { 1, 2, 2, 2, 2 } },
      { nn.AdaptiveMaxPool1d(3), { 1, 2, 7 }, { 1, 2, 3 } },
      { nn.AdaptiveMaxPool2d { 3, 1 }, { 1, 2, 7, 5 }, { 1, 2, 3, 1 } },
      { nn.LPPool2d(2, 2, { stride = 1 }), { 1, 2, 4, 4 }, { 1, 2, 3, 3 } },
      { nn.MaxPool1d(2, { dilation = 2, stride = 1 }), { 1, 2, 6 }, { 1, 2, 4 } },
      { nn.AvgPool2d(2, { pad = 1, count_include_pad = false }), { 1, 2, 4, 4 },
        { 1, 2, 3, 3 } },
      { nn.ZeroPad2d { 1, 2, 3, 0 }, { 1, 2, 4, 4 }, { 1, 2, 7, 7 } },
      { nn.ConstantPad1d(2, 7), { 1, 2, 4 }, { 1, 2, 8 } },
      { nn.ReflectionPad2d(1), { 1, 2, 4, 4 }, { 1, 2, 6, 6 } },
      { nn.ReplicationPad3d(1), { 1, 2, 2, 2, 2 }, { 1, 2, 4, 4, 4 } },
      { nn.CircularPad1d { 1, 2 }, { 1, 2, 4 }, { 1, 2, 7 } },
      { nn.Unfold({ 2, 3 }, { stride = 1 }), { 1, 2, 4, 5 }, { 1, 12, 9 } },
      { nn.Fold({ 4, 5 }, { 2, 3 }), { 1, 12, 9 }, { 1, 2, 4, 5 } },
      { nn.PixelShuffle(2), { 1, 8, 3, 3 }, { 1, 2, 6, 6 } },
      { nn.PixelUnshuffle(3), { 1, 2, 6, 6 }, { 1, 18, 2, 2 } },
      { nn.ChannelShuffle(2), { 1, 4, 3, 3 }, { 1, 4, 3, 3 } },
      { nn.PReLU(3), { 2, 3, 4, 4 }, { 2, 3, 4, 4 } },
      { nn.LogSoftmax(2), { 2, 3, 4 }, { 2, 3, 4 } },
      { nn.Dropout3d(0.5), { 2, 3, 4, 4, 4 }, { 2, 3, 4, 4, 4 } },
      { nn.LSTM(3, 4, { bidirectional = true, num_layers = 2, dropout = 0.5 }), { 2, 5, 3 },
        { 2, 5, 8 } },
      { nn.GRU(3, 4), { 2, 5, 3 }, { 2, 5, 4 } },
      { nn.MultiheadAttention(6, 2, { dropout = 0.5 }), { 2, 5, 6 }, { 2, 5, 6 } },
      { nn.TransformerEncoderLayer(6, 2, { dim_feedforward = 8 }), { 2, 5, 6 }, { 2, 5, 6 } },
      { nn.Fn(function(x) return x:sum(2) end), { 2, 3 }, { 2 } },
    }
    for _, case in ipairs(cases) do
      assert.same(case[3], case[1](al.randn(case[2])).shape, tostring(case[1]))
      assert.is_string(tostring(case[1]))
    end
    local words = al.tensor({ { 1, 2, 10 }, { 3, 3, 3 } }, { dtype = "int64" })
    assert.same({ 2, 3, 4 }, nn.Embedding(10, 4)(words).shape)
    local padded = nn.Embedding(10, 4, { padding_idx = 3 })
    local rows = padded(words)
    assert.same({ 0, 0, 0, 0 }, rows[2][1]:totable())
    rows:sum():backward()
    assert.same({ 1, 0 }, { padded.weight.grad[1][1]:item(), padded.weight.grad[3][1]:item() })
    local y, at = nn.MaxPool2d(2, { return_indices = true })(al.randn(1, 2, 5, 4))
    assert.same({ 1, 2, 5, 4 }, nn.MaxUnpool2d(2)(y, at, { 5, 4 }).shape)
  end)

  it("activations are their formulas", function()
    local x = al.tensor({ -2, -0.5, 0, 3, 7 }, { dtype = "float64" })
    local t = x:totable()
    local formulas = {
      ReLU = function(v) return math.max(v, 0) end,
      ReLU6 = function(v) return math.min(math.max(v, 0), 6) end,
      LeakyReLU = function(v) return v < 0 and 0.01 * v or v end,
      Sigmoid = function(v) return 1 / (1 + math.exp(-v)) end,
      Tanh = function(v) return 1 - 2 / (math.exp(2 * v) + 1) end,
      SiLU = function(v) return v / (1 + math.exp(-v)) end,
      ELU = function(v) return v < 0 and math.exp(v) - 1 or v end,
      Softplus = function(v) return math.log(1 + math.exp(v)) end,
      Hardtanh = function(v) return math.min(math.max(v, -1), 1) end,
      Softsign = function(v) return v / (1 + math.abs(v)) end,
      LogSigmoid = function(v) return -math.log(1 + math.exp(-v)) end,
    }
    for name, f in pairs(formulas) do
      local want = {}
      for i, v in ipairs(t) do want[i] = f(v) end
      near(want, nn[name]()(x), 1e-12)
    end
    near({ -0.3, 3 }, nn.LeakyReLU(0.1)(al.tensor { -3, 3 }))
    near({ { -0.75, 3 } }, nn.PReLU()(al.tensor { { -3, 3 } }))
  end)

  it("batch norm keeps running statistics, in training only", function()
    local norm = nn.BatchNorm1d(1, { momentum = 0.1 })
    -- mean 3, biased var 3.5, unbiased 14/3
    local y = norm(al.tensor { { 1 }, { 2 }, { 3 }, { 6 } })
    near({ { -2 / math.sqrt(3.5) }, { -1 / math.sqrt(3.5) }, { 0 }, { 3 / math.sqrt(3.5) } }, y,
      1e-4)
    near({ 0.3 }, norm.running_mean)
    near({ 0.9 + 0.1 * 14 / 3 }, norm.running_var)
    norm:eval()
    near({ { (5 - 0.3) / math.sqrt(0.9 + 1.4 / 3) } }, norm(al.tensor { { 5 } }), 1e-4)
    near({ 0.3 }, norm.running_mean)
    local plain = nn.BatchNorm1d(1, { track = false, affine = false })
    assert.equal(0, #plain:parameters())
    plain:eval()
    near({ { -1 }, { 1 } }, plain(al.tensor { { 1 }, { 3 } }), 1e-4)
  end)

  it("dropout scales what it keeps, and rests in evaluation", function()
    local layer = nn.Dropout(0.25)
    local y = layer(al.ones(100, 100)):reshape(-1):totable()
    local kept = 0
    local wrong = 0
    for _, v in ipairs(y) do
      if math.abs(v) > 0 and math.abs(v - 4 / 3) > 1e-6 then wrong = wrong + 1 end
      if v ~= 0 then kept = kept + 1 end
    end
    assert.equal(0, wrong)
    assert.near(7500, kept, 150)
    local x = al.ones(3)
    assert.equal(x, layer:eval()(x))
    local always = nn.Dropout(0.5, { always = true, generator = al.generator(7) }):eval()
    local again = nn.Dropout(0.5, { always = true, generator = al.generator(7) }):eval()
    local ones = al.ones(1000)
    local first, second = always(ones), always(ones)
    assert.same(first:totable(), again(ones):totable())
    assert.is_true((first - second):abs():sum():item() > 100)
    local channels = nn.Dropout2d(0.5)(al.ones(1, 200, 2, 2)):reshape(200, 4):totable()
    for _, c in ipairs(channels) do assert.is_true(c[1] == c[2] and c[1] == c[4]) end
  end)

  it("start as PyTorch's do", function()
    local conv = nn.Conv2d(16, 32, 3)
    local bound = 1 / math.sqrt(16 * 9)
    for _, p in ipairs { conv.weight, conv.bias } do
      assert.is_true(p:abs():max():item() <= bound)
    end
    assert.near(bound / math.sqrt(3), conv.weight:detach():square():mean():sqrt():item(),
      bound * 0.02)
    local e = nn.Embedding(100, 50).weight:detach()
    assert.near(1, e:square():mean():item(), 0.05)
  end)

  it("nn.init knows the usual schemes", function()
    local w = al.empty(300, 200, { dtype = "float64" })
    local function rms() return w:square():mean():sqrt():item() end
    assert.equal(w, nn.init.kaiming_normal_(w, { mode = "fan_out", nonlinearity = "relu" }))
    assert.near(math.sqrt(2 / 300), rms(), 0.001)
    nn.init.xavier_uniform_(w)
    assert.near(math.sqrt(2 / 500), rms(), 0.001)
    assert.is_true(w:abs():max():item() <= math.sqrt(6 / 500))
    nn.init.xavier_normal_(w, { gain = 2 })
    assert.near(2 * math.sqrt(2 / 500), rms(), 0.002)
    nn.init.kaiming_uniform_(w, { a = math.sqrt(5) })
    assert.near(1 / math.sqrt(200) / math.sqrt(3), rms(), 0.001)
    nn.init.constant_(w, 3)
    assert.equal(3, rms())
    assert.has_error(function() nn.init.kaiming_normal_(w, { nonlinearity = "rleu" }) end)
    local p = nn.Parameter(al.empty(2, 2))
    nn.init.zeros_(p)
    assert.is_true(p.requires_grad and p.is_leaf)
  end)

  it("losses as layers are the functions", function()
    local scores, labels = al.randn(4, 3), al.tensor({ 1, 2, 3, 1 }, { dtype = "int64" })
    assert.equal(al.cross_entropy(scores, labels):item(),
      nn.CrossEntropyLoss()(scores, labels):item())
    assert.equal(al.bce(scores:sigmoid(), scores:gt(0):to "float32"):item(),
      nn.BCELoss()(scores:sigmoid(), scores:gt(0):to "float32"):item())
    assert.equal(al.triplet_margin_loss(scores, scores + 1, scores - 2, { swap = true }):item(),
      nn.TripletMarginLoss { swap = true }(scores, scores + 1, scores - 2):item())
    assert.same({ 4 }, nn.CosineSimilarity(2)(scores, scores).shape)
    assert.same({ 4, 1 }, nn.PairwiseDistance(1, 1e-6, true)(scores, scores).shape)
    assert.equal(al.mse_loss(scores, scores + 1):item(),
      nn.MSELoss()(scores, scores + 1):item())
  end)

  it("a tiny network learns XOR", function()
    al.seed(3)
    local x = al.tensor { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }
    local y = al.tensor({ 1, 2, 2, 1 }, { dtype = "int64" })
    local net = nn.Sequential { nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2) }
    local opt = al.optim.adam(net:parameters(), { lr = 0.05 })
    local loss
    for _ = 1, 200 do
      local scope = al.scope()
      local l = net(x):cross_entropy(y)
      opt:zero_grad()
      l:backward()
      opt:step()
      loss = l:item()
      scope:close()
    end
    assert.is_true(loss < 0.01, tostring(loss))
    assert.same({ 1, 2, 2, 1 }, net(x):argmax(2):totable())
  end)

  it("train in float64 and pass gradients to every parameter", function()
    local net = nn.Sequential {
      nn.Conv2d(1, 4, 3, { pad = 1 }), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
      nn.Conv2d(4, 4, 3, { groups = 4 }), nn.GroupNorm(2, 4), nn.SiLU(), nn.GlobalAvgPool(),
      nn.Linear(4, 3),
    }:to "float64"
    local x = al.randn(2, 1, 8, 8, { dtype = "float64" })
    net(x):cross_entropy(al.tensor({ 1, 3 }, { dtype = "int64" })):backward()
    for name, p in net:named_parameters() do
      assert.is_truthy(p.grad, name)
      assert.same(p.shape, p.grad.shape)
    end
    net:zero_grad()
    assert.is_nil(net[1].weight.grad)
  end)
end)

describe("nn.ReLU { inplace = true }", function()
  it("writes into its input and has the same gradients", function()
    for _, name in ipairs { "ReLU", "ReLU6" } do
      al.seed(4)
      local x = al.randn(5, 3) * 4
      local first = nn.Linear(3, 4)
      local function run(layer)
        local leaf = x:clone():requires_grad_()
        local y = layer(first(leaf) * 3)
        y:square():sum():backward()
        return leaf.grad, y
      end
      local want, y1 = run(nn[name]())
      local got, y2 = run(nn[name] { inplace = true })
      assert.same(want:totable(), got:totable())
      assert.same(y1:totable(), y2:totable())
      local t = al.tensor { -1, 2 }
      assert.equal(t, nn[name] { inplace = true }(t))
      assert.same({ 0, 2 }, t:totable())
    end
    assert.error_matches(function() nn.ReLU { inplce = true } end, "unknown option 'inplce'")
  end)
end)
