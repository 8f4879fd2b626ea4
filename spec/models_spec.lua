local al = require "albedo"
local models = al.models

local function picture(n, side) return al.randn(n, 3, side, side) end

describe("models", function()
  before_each(function() al.seed(1) end)

  it("have torchvision's parameter counts", function()
    local counts = {
      vgg11 = 132863336, vgg16 = 138357544, squeezenet1_0 = 1248424, mobilenet_v2 = 3504872,
    }
    -- counted layer by layer at full size for the two small ones
    assert.equal(counts.squeezenet1_0, (models.squeezenet1_0():num_parameters()))
    assert.equal(counts.mobilenet_v2, (models.mobilenet_v2():num_parameters()))
    -- VGG's closed form: convolutions of 3x3 and the three linear layers, here at a quarter of
    -- the width
    local function vgg(stages, width, classes, hidden, pool)
      local total, c = 0, 3
      for stage, n in ipairs(stages) do
        local k = width * ({ 1, 2, 4, 8, 8 })[stage]
        for _ = 1, n do total, c = total + k * c * 9 + k, k end
      end
      return total + (c * pool * pool + 1) * hidden + (hidden + 1) * (hidden + classes)
    end
    assert.equal(counts.vgg11, vgg({ 1, 1, 2, 2, 2 }, 64, 1000, 4096, 7))
    assert.equal(counts.vgg16, vgg({ 2, 2, 3, 3, 3 }, 64, 1000, 4096, 7))
    local depths = {
      [11] = { 1, 1, 2, 2, 2 }, [13] = { 2, 2, 2, 2, 2 }, [16] = { 2, 2, 3, 3, 3 },
      [19] = { 2, 2, 4, 4, 4 },
    }
    for depth, stages in pairs(depths) do
      local net = models["vgg" .. depth] { width = 0.25, classes = 5, hidden = 64, pool = 2 }
      assert.equal(vgg(stages, 16, 5, 16, 2), (net:num_parameters()))
    end
  end)

  it("are as large as published", function()
    local counts = { resnet18 = 11689512, resnet34 = 21797672, resnet50 = 25557032,
      resnet101 = 44549160, squeezenet1_1 = 1235496, unet2d = 31042434, bilstm = 4242202,
      densenet121 = 7978856, vgg11_bn = 132868840, inception_v3 = 27161264, aconvnet = 303498 }
    for name, count in pairs(counts) do
      al.scope(function() assert.equal(count, (models[name]():num_parameters()), name) end)
    end
    -- Cicek et al. 2016 count convolutions alone
    local net, norms = models.unet3d(), 0
    for _, m in net:modules() do
      if m.classname == "BatchNorm3d" then norms = norms + m:num_parameters() end
    end
    assert.equal(19069955, net:num_parameters() - norms)
  end)

  it("take options in range only, and say which at the script's line", function()
    local function says(pattern, fn, o)
      local ok, message = pcall(function() fn(o) end)
      assert.is_false(ok)
      local line, rest = message:match "^(spec/models_spec%.lua:%d+: )([^\n]*)$"
      assert.is_truthy(line and rest:find(pattern, 1, true), message)
    end
    for _, name in ipairs { "vgg11", "vgg16_bn", "resnet18", "resnet50", "mobilenet_v2", "squeezenet1_0", "densenet121",
      "inception_v3", "aconvnet", "unet2d", "unet3d", "bilstm" } do
      local make = models[name]
      for _, v in ipairs { 0, -1, 0 / 0, 1 / 0, "2" } do
        says(name .. ": width is a number above 0, at most 1000, got ", make, { width = v })
      end
      for _, v in ipairs { 0, 1.5, -3, "2", true } do
        says(name .. ": classes is a whole number from 1 on, got " .. tostring(v), make, { classes = v })
      end
      for _, v in ipairs { 1, -0.1, 2, 0 / 0, "x" } do
        says(name .. ": dropout is a number from 0 on and below 1, got ", make, { dropout = v })
      end
      if name ~= "bilstm" then says(": in_channels is a whole number from 1 on, got 0", make, { in_channels = 0 }) end
    end
    says("vgg11: batch_norm is true or false, got 1", models.vgg11, { batch_norm = 1 })
    says("models.adapted: classes is a whole", function(o) models.adapted("resnet18", o) end, { classes = 0 })
    assert.is_true(models.aconvnet { width = 0.25, classes = 1, dropout = 0, in_channels = 2 }:num_parameters() > 0)
  end)

  it("have torchvision's names", function()
    local function has(net, ...)
      local all = net:state_dict()
      for _, name in ipairs { ... } do assert.is_truthy(all[name], name) end
      return all
    end
    local all = has(models.vgg16 { width = 0.125, hidden = 16, pool = 1 },
      "features.0.weight", "features.28.bias", "classifier.0.weight", "classifier.6.bias")
    assert.is_nil(all["features.30.weight"])
    has(models.vgg11 { width = 0.125, hidden = 16, pool = 1, batch_norm = true },
      "features.1.running_mean", "features.25.weight", "features.26.running_var")
    has(models.mobilenet_v2 { width = 0.25 },
      "features.0.0.weight", "features.1.conv.1.weight", "features.2.conv.1.1.running_var",
      "features.17.conv.3.bias", "features.18.1.weight", "classifier.1.weight")
  end)

  it("run, and give every parameter a gradient", function()
    for _, net in ipairs {
      models.vgg11 { width = 0.125, classes = 4, hidden = 64, pool = 2, batch_norm = true },
      models.squeezenet1_0 { width = 0.25, classes = 4 },
      models.mobilenet_v2 { width = 0.25, classes = 4 },
      models.resnet18 { width = 0.125, classes = 4, stem = 3 },
      models.resnet50 { width = 0.125, classes = 4, dropout = 0.1 },
      models.densenet121 { width = 0.25, classes = 4, dropout = 0.1 },
    } do
      local y = net(picture(2, 64))
      assert.same({ 2, 4 }, y.shape)
      y:square():sum():backward()
      for name, p in net:named_parameters() do assert.is_truthy(p.grad, name) end
    end
  end)

  it("take weights by name, a new head, and freeze", function()
    local source = models.vgg11 { width = 0.125, classes = 10, hidden = 64, pool = 1 }
    local path = os.tmpname()
    al.save(path, source)
    local net = models.vgg11 { width = 0.125, classes = 3, hidden = 64, pool = 1,
      weights = path, freeze = "^features" }
    os.remove(path)
    assert.same({ "classifier.6.bias", "classifier.6.weight" }, net.report.skipped)
    assert.same({}, net.report.missing)
    assert.same({}, net.report.unexpected)
    assert.equal(source.features[1].weight:bytes(), net.features[1].weight:bytes())
    assert.is_false(net.features[1].weight.requires_grad)
    assert.is_true(net.classifier[1].weight.requires_grad)
    local same = models.vgg11 { width = 0.125, classes = 10, hidden = 64, pool = 1,
      weights = source:state_dict() }
    assert.same({}, same.report.skipped)
  end)

  it("A-ConvNet scores chips of 88 x 88, and larger ones by parts", function()
    local net = models.aconvnet { width = 0.25 }:eval()
    local x = al.randn(2, 1, 96, 88)
    local y = net(x)
    assert.same({ 2, 10 }, y.shape)
    local parts = (net(x:narrow(3, 1, 88)) + net(x:narrow(3, 9, 88))) / 2
    assert.is_true((y - parts):abs():max():item() < 1e-5)
  end)

  it("Inception has a second head in training", function()
    local net = models.inception_v3 { width = 0.0625, classes = 3 }
    local x = al.randn(1, 3, 299, 299)
    local y, aux = net(al.cat({ x, x + 1 }, 1))
    assert.same({ 2, 3 }, y.shape)
    assert.same({ 2, 3 }, aux.shape)
    al.cat({ y, aux }, 1):square():sum():backward()
    for name, p in net:named_parameters() do assert.is_truthy(p.grad, name) end
    local _, none = net:eval()(x:narrow(3, 1, 75):narrow(4, 1, 75))
    assert.is_nil(none)
    local other = models.inception_v3 { width = 0.0625, classes = 5, aux = false,
      weights = net:state_dict() }
    assert.equal(4, #other.report.skipped)
    assert.is_nil(other:get "AuxLogits")
  end)

  it("segment: every plan of the U-Net, in 2 and 3 dims", function()
    for _, plan in ipairs { "ronneberger", "cicek" } do
      for _, up in ipairs { "conv", "nearest", "linear" } do
        local o = { base = 4, levels = 3, in_channels = 2, classes = 3, plan = plan, up = up,
          dropout = 0.1, dropout_at = up == "conv" and "inside" or "after",
          batch_norm = up ~= "linear" }
        for name, shape in pairs { unet2d = { 1, 2, 8, 12 }, unet3d = { 1, 2, 8, 4, 12 } } do
          local net = models[name](o)
          local y = net(al.randn(shape))
          shape[2] = 3
          assert.same(shape, y.shape)
          y:square():sum():backward()
          for key, p in net:named_parameters() do assert.is_truthy(p.grad, key) end
        end
      end
    end
    assert.error_matches(function() models.unet2d { levels = 3, base = 2 }(al.randn(1, 1, 8, 10)) end,
      "3 levels need sizes that are multiples of 4, dim 4 of x is 10")
    assert.error_matches(function() models.unet2d { plan = "x" } end,
      "plan is ronneberger or cicek, got x")
  end)

  it("encode sentences, padding without effect", function()
    local words = al.tensor({ { 3, 1, 4, 1, 5 }, { 9, 2, 6, 7, 7 } }, { dtype = "int64" })
    local lengths = al.tensor { 5, 3 }
    for _, pool in ipairs { "attention", "mean", "max" } do
      local net = models.bilstm { vocabulary = 9, embedding = 4, hidden = 3, tasks = 2,
        heads = "task", pool = pool }
      local y, weights = net(words, { task = 2, lengths = lengths })
      local alone, own = net(words["2:2, 1:3"], { task = 2 })
      assert.same({ 2, 2 }, y.shape)
      assert.near(0, (y[2] - alone[1]):abs():max():item(), 1e-6)
      if pool == "attention" then
        assert.near(1, weights[2]:sum():item(), 1e-6)
        assert.near(0, (weights["2, 1:3"] - own[1]):abs():max():item(), 1e-6)
        assert.is_true((net(words, { task = 1 }) - net(words, { task = 2 })):abs():max():item() > 0)
      end
    end
  end)

  it("know their options", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() local _ = models.resnet18 { deep = 1 } end)
    assert.is_false(ok)
    local state = models.resnet18 { width = 0.125 }:state_dict()
    local _, other = pcall(function() models.resnet18 { width = 0.25, weights = state } end)
    assert.is_truthy(other:find("models_spec.lua:" .. line + 3
      .. ": ResNet: bn1.bias is 16 here, 8 in the state dict", 1, true), other)
    assert.is_truthy(message:find("models_spec.lua:" .. line .. ": resnet18: unknown option 'deep'", 1, true), message)
  end)

  it("pad as TensorFlow does where the weights want it", function()
    local symmetric = models.mobilenet_v2 { width = 0.25, classes = 2 }:eval()
    local tf = models.mobilenet_v2 { width = 0.25, classes = 2,
      weights = symmetric:state_dict(), padding = "same_tf" }:eval()
    local x = picture(1, 33)
    -- odd sizes all the way (33, 17, 9, 5, 3) pad alike
    assert.is_true((symmetric(x) - tf(x)):abs():max():item() < 1e-5)
    assert.is_true((symmetric(picture(1, 64)) - tf(picture(1, 64))):abs():max():item() > 0)
  end)

  for _, name in ipairs { "squeezenet1_0", "mobilenet_v2" } do
    it("load the ImageNet weights of " .. name .. ", every name matched", function()
      local path = "../shared/weights/" .. name .. ".safetensors"
      local file = io.open(path)
      if not file then return pending(path .. " is absent") end
      file:close()
      local net = models[name] { weights = path }
      local n = 0
      for _ in pairs(net:state_dict()) do n = n + 1 end
      assert.equal(n, #net.report.matched)
      assert.same({}, net.report.missing)
      assert.same({}, net.report.unexpected)
      assert.same({ 1, 1000 }, al.no_grad(net:eval(), picture(1, 96)).shape)
    end)

    -- Class numbers of ImageNet-1k, from 1: 461 breakwater, 510 confectionery.
    it("know a breakwater and a sweet shop: " .. name, function()
      local path = "../shared/weights/" .. name .. ".safetensors"
      local photos = "../shared/data/copymove_fau/tampered/"
      local file = io.open(path) and io.open(photos .. "barrier.png")
      if not file then return pending(path .. " or the photographs are absent") end
      file:close()
      local x = models.preprocess { photos .. "barrier.png", photos .. "supermarket.png" }
      assert.same({ 2, 3, 224, 224 }, x.shape)
      for padding, least in pairs { symmetric = 0.4, same_tf = 0.8 } do
        local tf = padding == "same_tf"
        if not tf or name == "mobilenet_v2" then
          local net = models[name] { weights = path, padding = tf and padding or nil }:eval()
          assert.equal(not tf and name == "mobilenet_v2",
            tostring(net.report):find("same_tf", 1, true) ~= nil)
          local chances, classes = al.no_grad(net, x):softmax(2):topk(1, 2)
          assert.same({ { 461 }, { 510 } }, classes:totable())
          assert.is_true(chances:min():item() > least)
        end
      end
    end)
  end

  it("preprocess scales, cuts the middle out and normalises", function()
    local x = al.zeros(3, 40, 20)
    x[{ {}, { 16, 25 }, {} }] = 1
    local y = models.preprocess(x,
      { size = 10, margin = 1, mean = { 0, 0, 0 }, std = { 1, 1, 2 } })
    assert.same({ 1, 3, 10, 10 }, y.shape)
    assert.near(1, y[{ 1, 1, 5, 5 }]:item(), 1e-6)
    assert.near(0.5, y[{ 1, 3, 5, 5 }]:item(), 1e-6)
    assert.near(0, y[{ 1, 1, 1, 5 }]:item(), 1e-6)
    local gray = models.preprocess(al.full({ 1, 300, 300 }, 255, { dtype = "uint8" }))
    assert.near((1 - 0.485) / 0.229, gray[{ 1, 1, 100, 100 }]:item(), 1e-5)
  end)
end)

describe("models.trunk", function()
  it("takes the layers up to a quarter of the side, whichever network the file is of", function()
    local path = os.tmpname()
    al.seed(3)
    local net = al.models.squeezenet1_1()
    for _, arch in ipairs { "squeezenet1_1", false } do
      local state = net:state_dict()
      state.arch = arch or nil
      al.save(path, state)
      local trunk = al.models.trunk(path, { stride = 4 })
      assert.equal("squeezenet1_1", trunk.arch)
      local x = al.rand(2, 3, 64, 64)
      local y = trunk:eval()(x)
      assert.same({ 2, trunk.channels, 16, 16 }, y.shape)
      local mean, std = al.tensor { 0.485, 0.456, 0.406 }, al.tensor { 0.229, 0.224, 0.225 }
      local want = (x - mean:reshape { 3, 1, 1 }) / std:reshape { 3, 1, 1 }
      for _, layer in trunk.layers:children() do want = layer(want) end
      assert.same({ 15, 15 }, { want:size(3), want:size(4) })
      want = al.interpolate(want, { size = { 16, 16 }, mode = "bilinear" })
      assert.is_true((y - want):abs():max():item() < 1e-5)
      assert.same(net.features[1].weight:totable(), trunk.layers[1].weight:totable())
    end
    al.save(path, { x = al.ones(2) })
    assert.error_matches(function() al.models.trunk(path) end, "does not say which network")
    os.remove(path)
  end)
end)
