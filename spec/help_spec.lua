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
end)
