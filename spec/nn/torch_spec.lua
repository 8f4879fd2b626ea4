-- Modules with PyTorch's own weights: the state dicts load as they are, outputs and gradients agree.
local al = require "albedo"

package.path = "./spec/?.lua;" .. package.path
local torch = require "support.torch"

local function agree(got, want, what)
  assert.same(want.shape, got.shape, what)
  local gap = (got:detach() - want):abs():max():item()
  assert.is_true(gap < 1e-10 * (1 + want:abs():max():item()), what .. (" differs by %g"):format(gap))
end

local function check(c)
  local report = c.module:load_state_dict(c.state)
  assert.equal(0, #report.missing + #report.unexpected)
  c.x.requires_grad = true
  local got = { c.call(c.module) }
  local total = 0
  for i, want in ipairs(c.outputs) do
    agree(got[i], want, c.name .. ": output " .. i)
    total = total + (got[i] * c.cotangents[i]):sum()
  end
  total:backward()
  agree(c.x.grad, c.gx, c.name .. ": gradient of x")
  for name, p in c.module:named_parameters() do
    agree(p.grad, c.grads[name], c.name .. ": gradient of " .. name)
  end
end

describe("PyTorch's weights", function()
  local make = torch.run "torch_modules"
  if not make then
    pending "give the same outputs and gradients (no torch for Python here)"
    return
  end
  it("give the same outputs and gradients", function()
    local cases = make(torch.tensor, al.nn)
    assert.is_true(#cases > 10)
    for _, c in ipairs(cases) do check(c) end
  end)
end)
