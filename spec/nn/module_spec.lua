local al = require "albedo"
local nn = al.nn

local function names_of(iterator)
  local names = {}
  for name in iterator do names[#names + 1] = name end
  return names
end

describe("nn.Module", function()
  local Block = nn.class "Block"
  function Block:init(width)
    self.conv = nn.Conv2d(width, width, 3, { pad = 1, bias = false })
    self.norm = nn.BatchNorm2d(width)
    self.scale = nn.Parameter(al.ones(1))
    self.note = "plain"
  end
  function Block:forward(x) return x + self.scale * self.norm(self.conv(x)) end

  it("sorts what is assigned: parameters, buffers, children, the rest", function()
    local block = Block(4)
    assert.same({ "scale", "conv.weight", "norm.weight", "norm.bias" },
      names_of(block:named_parameters()))
    assert.same({ "norm.running_mean", "norm.running_var" }, names_of(block:buffers()))
    assert.same({ "conv", "norm" }, names_of(block:children()))
    assert.same({ "", "conv", "norm" }, names_of(block:modules()))
    assert.equal("plain", block.note)
    assert.equal(4, #block:parameters())
    local all, trained = block:num_parameters()
    assert.equal(4 * 4 * 9 + 4 + 4 + 1, all)
    assert.equal(all, trained)
  end)

  it("names the children of containers from 0, and indexes them from 1", function()
    local net = nn.Sequential { nn.Linear(2, 3), nn.ReLU(), nn.Sequential { nn.Linear(3, 1) } }
    assert.same({ "0.weight", "0.bias", "2.0.weight", "2.0.bias" },
      names_of(net:named_parameters()))
    assert.equal(3, #net)
    assert.equal("Linear", net[1].classname)
    assert.equal("Sequential", net[-1].classname)
    assert.is_nil(net[4])
    net[2] = nn.Tanh()
    assert.equal("Tanh", net[2].classname)
    assert.equal("Tanh", net:get("1").classname)
    net[#net + 1] = nn.Identity()
    assert.equal("3", net[4]:path())
    assert.equal("2.0", net[3][1]:path())
    assert.equal("2.0", nn.path_of(net[3][1]))
    assert.equal("", net:path())
    assert.equal(2, #net:slice(2, 3))
    assert.equal("2.0", net[3][1]:path(), "a slice takes no parts away")
  end)

  it("registers anew what replaces something else", function()
    local m = nn.Module { part = false }
    m.part = nn.Linear(2, 2)
    assert.equal(2, #m:parameters())
    m.part = nn.Parameter(al.zeros(3))
    assert.same({ "part" }, names_of(m:named_parameters()))
    m.part = al.zeros(3)
    assert.same({ "part" }, names_of(m:named_parameters()), "a parameter stays one")
    m.part = nil
    assert.equal(0, #m:parameters())
  end)

  it("counts a shared tensor or module once", function()
    local shared = nn.Linear(2, 2)
    local net = nn.Sequential { shared, shared }
    assert.equal(2, #net:parameters())
  end)

  it("refuses what would go wrong silently", function()
    local m = nn.Module {}
    assert.has_error(function() m.train = nn.ReLU() end,
      "Module: 'train' is a method of every module: choose another name")
    assert.has_error(function() m.parts = { nn.ReLU() } end,
      "Module.parts: a plain table would hide its modules' parameters: use nn.ModuleList")
    assert.has_error(function() m["a.b"] = nn.ReLU() end)
    local outer = nn.Sequential { m }
    assert.has_error(function() m.outer = outer end, "Module: a module cannot hold itself")
    assert.has_error(function() nn.Conv2d(1, 2, 3, { padding = 1 }) end,
      "Conv2d: unknown option 'padding' (valid: bias, dilation, dtype, groups, pad, stride)")
  end)

  it("reads well as a functional module", function()
    local net = nn.Module {
      fc = nn.Linear(3, 2),
      forward = function(self, x) return self.fc(x):relu() end,
    }
    assert.same({ 5, 2 }, net(al.randn(5, 3)).shape)
    assert.same({ "fc.weight", "fc.bias" }, names_of(net:named_parameters()))
  end)

  it("inherits", function()
    local Wide = Block:extend "Wide"
    function Wide:init(width)
      Block.init(self, width)
      self.extra = nn.ReLU()
    end
    local m = Wide(2)
    assert.equal("Wide", m.classname)
    assert.same({ 1, 2, 4, 4 }, m(al.randn(1, 2, 4, 4)).shape)
    assert.is_true(nn.is_module(m))
    assert.is_false(nn.is_module {})
    assert.is_false(nn.is_module(al.zeros(1)))
  end)

  it("switches modes for all below", function()
    local net = nn.Sequential { nn.Dropout(0.5), Block(2) }
    net:eval()
    for _, m in net:modules() do assert.is_false(m.training) end
    local x = al.randn(4, 4)
    assert.equal(x, net[1](x))
    net:train()
    assert.is_true(net[2].norm.training)
  end)

  it("freezes by pattern", function()
    local net = nn.Sequential { nn.Linear(2, 3), nn.Linear(3, 1) }
    assert.equal(2, net:freeze "^0%.")
    local _, trained = net:num_parameters()
    assert.equal(4, trained)
    net(al.randn(2, 2)):sum():backward()
    assert.is_nil(net[1].weight.grad)
    assert.is_truthy(net[2].weight.grad)
    net:unfreeze()
    assert.is_true(net[1].weight.requires_grad)
    assert.has_error(function() net:freeze "nothing" end,
      "Sequential: no parameter's name matches 'nothing'")
  end)

  it("prints as a tree with shapes and counts", function()
    local net = nn.Sequential {
      nn.Conv2d(1, 8, 3, { pad = 1, stride = 2 }), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
      nn.Linear(8 * 196, 10),
    }
    net:freeze "^0%."
    assert.equal(table.concat({
      "Sequential                                                                       15,786",
      "  0: Conv2d(1 -> 8, 3x3, stride=2, pad=1)  weight 8x1x3x3 frozen, bias 8 frozen      80",
      "  1: BatchNorm2d(8)                        weight 8, bias 8                          16",
      "  2: ReLU",
      "  3: Flatten",
      "  4: Linear(1568 -> 10)                    weight 10x1568, bias 10               15,690",
      "15,786 parameters, 15,706 of them trained",
    }, "\n"), tostring(net))
  end)

  it("hands out and takes back state, with a report", function()
    local a, b = Block(3), Block(3)
    a.norm.running_mean:fill_(2)
    local report = b:load_state_dict(a:state_dict())
    assert.same({ "conv.weight", "norm.bias", "norm.running_mean", "norm.running_var",
      "norm.weight", "scale" },
      report.matched)
    assert.equal("6 matched", tostring(report))
    local x = al.randn(2, 3, 4, 4)
    a:eval()
    b:eval()
    assert.same(a(x):totable(), b(x):totable())
    assert.is_true(b.conv.weight.requires_grad)

    local state = a:state_dict()
    state["norm.bias"], state.other = nil, al.zeros(1)
    state["norm.num_batches_tracked"] = al.zeros(1)
    report = b:load_state_dict(state, { strict = false })
    assert.same({ "norm.bias" }, report.missing)
    assert.same({ "other" }, report.unexpected)
    assert.has_error(function() b:load_state_dict(state) end,
      "Block: the state dict does not fit: 5 matched; 1 missing: norm.bias; "
        .. "1 unexpected: other")
    report = b:load_state_dict(state, { strict = false, skip = "^norm" })
    assert.equal(4, #report.skipped)
    state.scale = al.zeros(2)
    assert.has_error(function() b:load_state_dict(state) end,
      "Block: scale is 1 here, 2 in the state dict")
  end)

  it("gives copies of its state on demand", function()
    local m = nn.Linear(1, 1)
    local before, live = m:state_dict { copy = true }, m:state_dict()
    al.no_grad(function() m.weight:fill_(7) end)
    assert.equal(7, live.weight:item())
    assert.not_equal(7, before.weight:item())
  end)

  it("survives the scope it was made in", function()
    local net, plain
    al.scope(function()
      net = nn.Sequential { nn.Linear(2, 2), nn.BatchNorm1d(2) }
      net[1].mask = al.ones(2)
      plain = al.ones(2)
    end)
    assert.is_false(al.alive(plain))
    assert.same({ 3, 2 }, net(al.randn(3, 2)).shape)
    assert.is_true(al.alive(net[1].mask))
  end)

  it("casts", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.BatchNorm1d(2) }:to "float64"
    assert.equal("float64", net[1].weight.dtype)
    assert.is_true(net[1].weight.requires_grad)
    assert.equal("float64", net[2].running_var.dtype)
    assert.equal("float64", net(al.randn(3, 2, { dtype = "float64" })).dtype)
  end)

  it("applies a function to all, children first", function()
    local seen = {}
    local net = nn.Sequential { nn.ReLU(), nn.Sequential { nn.Tanh() } }
    net:apply(function(m) seen[#seen + 1] = m.classname end)
    assert.same({ "Tanh", "Sequential", "ReLU", "Sequential" }, seen)
  end)

  it("puts its path before an error's message", function()
    local net = nn.Sequential { nn.Identity(), nn.Module {
      conv = nn.Conv2d(4, 8, 3), forward = function(self, x) return self.conv(x) end,
    } }
    local ok, message = pcall(net, al.randn(1, 3, 8, 8))
    assert.is_false(ok)
    assert.is_truthy(message:find("1.conv: conv", 1, true), message)
    assert.is_truthy(message:find("module_spec.lua:%d+: "), message)
  end)
end)
