-- What serves transfer: hooks, features, replaced parts, frozen statistics, groups, unfreezing,
-- loading under other names, Grad-CAM, summaries.
local al = require "albedo"
local nn = al.nn

local function small()
  return nn.Sequential {
    nn.Conv2d(2, 3, 3, { pad = 1 }), nn.BatchNorm2d(3), nn.ReLU(), nn.GlobalAvgPool(),
    nn.Linear(3, 4),
  }
end

local function off(a, b) return (a - b):abs():max():item() end

describe("transfer", function()
  before_each(function() al.seed(3) end)

  it("hooks see and change what a module gives, until they are taken away", function()
    local net, seen = nn.Linear(2, 2), {}
    local x = al.randn(1, 2)
    local plain = net(x)
    local one = net:hook(function(m, inputs, outputs)
      seen[#seen + 1] = "one"
      assert.equal(net, m)
      assert.equal(x, inputs[1])
      outputs[1] = outputs[1] * 2
    end)
    local two = net:hook(function() seen[#seen + 1] = "two" end)
    assert.near(0, off(net(x), plain * 2), 1e-6)
    one()
    assert.near(0, off(net(x), plain), 1e-6)
    two()
    net(x)
    assert.same({ "one", "two", "two" }, seen)
    local lstm, count = nn.LSTM(2, 3), nil
    lstm:hook(function(_, _, outputs) count = outputs.n end)
    assert.same({ 1, 2, 3 }, (select(3, lstm(al.randn(2, 2, 2)))).shape)
    assert.equal(3, count)
  end)

  it("features_at gives what a layer gives, and stops there", function()
    local net, x = small():eval(), al.randn(2, 2, 5, 5)
    assert.equal(0, off(net:features_at("2", x), net:slice(1, 3)(x)))
    local late, early = net:features_at({ "4", "1" }, x)
    assert.equal(0, off(late, net(x)))
    assert.equal(0, off(early, net:slice(1, 2)(x)))
    local ran
    net:hook(function() ran = true end)
    net[5]:hook(function() ran = true end)
    net:features_at("3", x)
    assert.is_nil(ran)
    assert.error_matches(function() net:features_at("9", x) end, "Sequential has no module '9'")
    assert.error_matches(function() net:features_at("0", al.randn(2, 3, 5, 5)) end, "conv2d: ")
    assert.equal(0, off(net:features_at("2", x), net:slice(1, 3)(x)))
    local other = nn.Module { a = nn.ReLU(), forward = function(_, y) return y end }
    assert.error_matches(function() other:features_at("a", x) end, "forward did not call 'a'")
  end)

  it("replace puts a module at a path", function()
    local net = nn.Module { body = small(), forward = function(self, x) return self.body(x) end }
    local old = net.body[5]
    local head = nn.Linear(3, 2)
    assert.equal(old, net:replace("body.4", head))
    assert.same({ 1, 2 }, net(al.randn(1, 2, 4, 4)).shape)
    assert.equal("body.4", head:path())
    assert.equal("", old:path())
    assert.error_matches(function() net:replace("body.9", head) end, "no module 'body.9'")
  end)

  it("freeze_norm keeps statistics in training; weights still train", function()
    local net = small()
    local norm = net[2]
    norm.running_mean:copy_(al.randn(3))
    norm.running_var:copy_(al.rand(3) + 0.5)
    local mean, x = norm.running_mean:clone(), al.randn(4, 2, 5, 5)
    local want = net:eval()(x)
    net:train()
    assert.equal(1, net:freeze_norm())
    assert.near(0, off(net(x), want), 1e-6)
    assert.equal(0, off(mean, norm.running_mean))
    net(x):square():sum():backward()
    assert.is_truthy(norm.weight.grad)
    assert.equal(1, net:unfreeze_norm "^1$")
    assert.is_true(off(net(x), want) > 1e-3)
    assert.is_true(off(mean, norm.running_mean) > 1e-3)
    assert.error_matches(function() net:freeze_norm "^2" end, "name that matches '%^2'")
  end)

  it("param_groups sorts parameters by pattern, with rates", function()
    local net = small()
    local groups = net:param_groups { { "^4", lr = 1, weight_decay = 0.1 }, { "weight", lr = 0.1 } }
    assert.same({ 2, 2, 2 }, { #groups[1].params, #groups[2].params, #groups[3].params })
    assert.equal(net[5].weight, groups[1].params[1])
    assert.same({ 1, 0.1 }, { groups[1].lr, groups[1].weight_decay })
    assert.is_nil(groups[3].lr)
    local opt = al.optim.adam(groups, { lr = 0.5 })
    assert.same({ 1, 0.1, 0.5 }, { opt.groups[1].lr, opt.groups[2].lr, opt.groups[3].lr })
    local rates = net:param_groups({ "^4", "^1" }, { lr = 8, decay = 0.5 })
    assert.same({ 8, 4, 2 }, { rates[1].lr, rates[2].lr, rates[3].lr })
    assert.equal(2, #net:param_groups({ "^4", "^[01]" }, { lr = 1 }))
    assert.error_matches(function() net:param_groups { "^4", "^4.weight" } end,
      "no parameter is left for '%^4.weight'")
  end)

  it("thaw unfreezes from the head down", function()
    local net = small()
    local thaw = net:thaw({ "^4", "^1", "" }, { every = 2 })
    local function trained()
      local names = {}
      for name, p in net:named_parameters() do
        if p.requires_grad then names[#names + 1] = name end
      end
      return table.concat(names, " ")
    end
    assert.equal("4.weight 4.bias", trained())
    assert.equal("thaw: 1 of 3 stages train after 0 steps, one more every 2: ^4", tostring(thaw))
    assert.equal(1, thaw:step())
    assert.equal("4.weight 4.bias", trained())
    assert.equal(2, thaw:step())
    assert.equal("1.weight 1.bias 4.weight 4.bias", trained())
    local state = thaw:state_dict()
    thaw:step()
    assert.equal(3, thaw:step())
    assert.equal("0.weight 0.bias 1.weight 1.bias 4.weight 4.bias", trained())
    assert.equal(3, thaw:step())
    thaw:load_state_dict(state)
    assert.equal("1.weight 1.bias 4.weight 4.bias", trained())
  end)

  it("a state dict loads under other names, around a head of another shape", function()
    local net, state = small(), {}
    for name, t in pairs(small():state_dict()) do state["module." .. name:gsub("^4%.", "fc.")] = t end
    local rename = { { "^module%.", "" }, { "^fc%.", "4." } }
    assert.equal(8, #net:load_state_dict(state, { rename = rename, head = "^4" }).matched)
    assert.equal(net[5].weight:bytes(), state["module.fc.weight"]:bytes())
    net[5] = nn.Linear(3, 2)
    local report = net:load_state_dict(state, { rename = rename, head = "^4" })
    assert.same({ "4.bias", "4.weight" }, report.skipped)
    assert.equal(6, #report.matched)
    -- torchvision's file of DenseNet writes norm.1, its network norm1
    local dense = al.models.densenet121 { width = 0.125, classes = 2 }
    local old = {}
    for name, t in pairs(dense:state_dict()) do
      old[name:gsub("(denselayer%d+%.%a+)(%d)%.", "%1.%2.")] = t
    end
    assert.is_truthy(old["features.denseblock2.denselayer3.norm.1.running_mean"])
    local again = al.models.densenet121 { width = 0.125, classes = 3, weights = old }
    assert.same({}, again.report.missing)
    assert.equal(2, #again.report.skipped)
  end)

  it("gradcam is the published formula", function()
    local net = small()
    local x = al.randn(2, 2, 4, 6)
    net:freeze "^0"
    local map, classes = al.gradcam(net, x, { layer = "2", class = 3, resize = false })
    assert.same({ 3, 3 }, classes:totable())
    net[2]:eval()
    local a = net:slice(1, 3)(x):detach()
    -- here dy_c / dA^k_ij = w_ck / 24 everywhere, and alpha_k as much
    local alpha = net[5].weight[3]:detach():reshape(1, 3, 1, 1) / 24
    local want = (alpha * a):sum(2):relu()
    assert.is_true(want:max():item() > 0)
    assert.near(0, off(map, want), 1e-6)
    assert.is_true(net.training)
    for _, p in ipairs(net:parameters()) do assert.is_nil(p.grad) end
    local best = net:eval()(x):argmax(2):totable()
    local large, found = al.gradcam(net, x, { layer = "0" })
    assert.same(best, found:totable())
    assert.same({ 2, 4, 6 }, large.shape)
    local unet = al.models.unet2d { base = 2, levels = 2 }
    assert.same({ 1, 8, 8 }, al.gradcam(unet, al.randn(1, 1, 8, 8), { layer = "down.1" }).shape)
    assert.error_matches(function() al.gradcam(net, x, { layer = "7" }) end, "no module '7'")
  end)

  it("gradcam finds where the evidence is", function()
    local net = nn.Sequential { nn.Conv2d(1, 1, 3, { pad = 1, bias = false }), nn.ReLU(),
      nn.GlobalAvgPool(), nn.Linear(1, 2, { bias = false }) }
    nn.init.ones_(net[1].weight)
    net[4].weight:detach():copy_(al.tensor { { 1 }, { -1 } })
    local x = al.zeros(1, 1, 16, 16)
    x["1, 1, 3:5, 10:12"] = 1
    local map = al.gradcam(net, x, { layer = "1", class = 1 })
    assert.near(1, map["1, 2:6, 9:13"]:sum():item() / map:sum():item(), 1e-6)
    assert.equal(0, al.gradcam(net, x, { layer = "1", class = 2 }):sum():item())
  end)

  it("summary counts by hand", function()
    local net = small()
    net:freeze "^0"
    local rows = al.summary(net, { 2, 2, 5, 7 })
    local names = {}
    for i, row in ipairs(rows) do names[i] = row.name .. row.layer end
    assert.same({ "0Conv2d", "1BatchNorm2d", "2ReLU", "3GlobalAvgPool", "4Linear" }, names)
    assert.same({ 2, 3, 5, 7 }, rows[1].shape)
    assert.equal(2 * 35 * 3 * 2 * 9, rows[1].multiply_adds)
    assert.equal(2 * 3 * 4, rows[5].multiply_adds)
    assert.same({ 57, 6, 0, 0, 16 }, { rows[1].parameters, rows[2].parameters, rows[3].parameters,
      rows[4].parameters, rows[5].parameters })
    assert.equal(4 * (57 + 12 + 16), rows.parameter_bytes)
    assert.same({ 79, 22 }, { rows.parameters, rows.trained })
    assert.equal(4 * (3 * 2 * 3 * 35 + 2 * 3 + 2 * 4), rows.activation_bytes)
    assert.is_true(net.training)
    assert.is_truthy(tostring(rows):find("2x3x5x7%s+57%s+3,780%s+0.00"))
    local up = al.summary(nn.ConvTranspose2d(4, 3, 2, { stride = 2 }), { 1, 4, 5, 5 })
    assert.equal(25 * 4 * 3 * 4, up.multiply_adds)
    local text = al.summary(al.models.bilstm { vocabulary = 9, embedding = 3, hidden = 5 },
      { 2, 7 }, { dtype = "int64" })
    assert.equal(2 * 7 * 2 * 20 * (3 + 5) + 2 * 10 * 2, text.multiply_adds)
    -- a branch that does not run, and torchvision's figure of 0.30 thousand million
    local head = al.summary(al.models.inception_v3 { width = 0.0625 }, { 1, 3, 75, 75 })
    assert.is_nil(head[#head].shape)
    assert.equal(300774272, al.summary(al.models.mobilenet_v2(), { 1, 3, 224, 224 }).multiply_adds)
  end)
end)
