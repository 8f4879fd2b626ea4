local al = require "albedo"
local help = require "albedo.help"

describe("al.help", function()
  it("knows every public op", function()
    for _, op in ipairs(al.native.registry()) do
      if not op.hidden then
        local text = help.text(op.name)
        assert.is_truthy(text:find(op.name, 1, true))
        for _, p in ipairs(op.params) do assert.is_truthy(text:find(p.name, 1, true)) end
      end
    end
  end)

  it("knows aliases and suggests near names", function()
    assert.is_truthy(help.text("conv2d"):find("conv2d(x, w", 1, true))
    assert.error_matches(function() help.text("sotfmax") end, "did you mean softmax")
  end)

  it("knows every function of al, and classes by their path", function()
    local unknown = {}
    for name, f in pairs(al) do
      if type(f) == "function" and not pcall(help.text, name) then unknown[#unknown + 1] = name end
    end
    table.sort(unknown)
    assert.same({}, unknown)
    for _, name in ipairs { "grad", "vjp", "hessian", "fn", "checkpoint", "check", "profile", "memory", "gradcheck" } do
      assert.is_truthy(help.text(name):find("^" .. name .. "[({]"), name)
    end
    assert.is_truthy(help.text("nn.Linear"):find("y = x w^T", 1, true))
    for name, class in pairs(al.nn) do
      if type(class) == "table" and class.classname then
        assert.is_true(#help.text("nn." .. name) > 10, name)
      end
    end
    assert.is_truthy(help.text("nn.GRU"):find("nn.GRU(inputs, hidden", 1, true))
    for name, f in pairs(al.models) do
      if type(f) == "function" then
        assert.is_truthy(help.text("models." .. name):find("classes") or name == "preprocess" or name == "trunk", name)
      end
    end
    assert.is_truthy(help.text("models.resnet18"):find("^resnet18%(opts%).*stem = 7"))
    assert.is_truthy(help.text("rows"):find("first dim", 1, true))
    assert.error_matches(function() help.text("nn.Nothing") end, "nothing is known")
    assert.error_matches(function() help.text("no.such.path") end, "nothing is known")
  end)
end)

describe("al.ops", function()
  it("describes every public op in a sentence, forms and aliases not counted", function()
    local n = 0
    for name, text in pairs(al.ops) do
      n = n + 1
      assert.is_truthy(al[name], name)
      assert.is_nil(name:find("_$"), name)
      assert.is_true(#text > 2 and #text < 330 and not text:find("\n"), name .. ": " .. text)
      assert.is_string(help.text(name))
    end
    assert.is_true(n >= 200, n .. " ops")
    assert.equal("e^x / sum e^x along dim.", al.ops.softmax)
    assert.equal(al.ops.conv, al.ops.conv2d)
    assert.is_nil(al.ops.conv_grad_input)
    assert.is_nil(al.ops.nothing)
    for _, op in ipairs(al.native.registry()) do
      for alias in (op.alias or ""):gmatch("%S+") do assert.is_nil(rawget(al.ops, alias), alias) end
    end
  end)
end)
