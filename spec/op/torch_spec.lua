-- Values and gradients of the structured ops against PyTorch, where Debian's is installed.
local al = require "albedo"

package.path = "./spec/?.lua;" .. package.path
local torch = require "support.torch"

-- Largest difference, over one plus the largest value.
local function off(a, b)
  if not a then return b:abs():max():item() end
  local same = al.is_tensor(a) and table.concat(a.shape, "x") == table.concat(b.shape, "x")
  if not same then return 1 end
  return (a:detach() - b):abs():max():item() / (1 + b:abs():max():item())
end

local function check(c)
  local leaves = {}
  for k = 1, c.n do
    local t = c.args[k]
    if al.is_tensor(t) and t.dtype == "float64" and #leaves < #c.grads then
      leaves[#leaves + 1] = t:requires_grad_()
    end
  end
  local args = {}
  for k = 1, c.n do args[k] = c.args[k] end
  args[c.n + 1] = next(c.opts) and c.opts or nil
  local y = al[c.name]((table.unpack or unpack)(args, 1, c.n + (next(c.opts) and 1 or 0)))
  assert.is_true(off(y, c.y) < 1e-9, c.name .. ": value")
  y:backward(c.g)
  for k, x in ipairs(leaves) do
    local want = c.grads[k]
    assert.is_true(not want or off(x.grad, want) < 1e-9, c.name .. ": gradient " .. k)
  end
end

describe("PyTorch", function()
  local make = torch.run "torch_cases"
  if not make then
    pending "gives the same values and gradients (no torch for Python here)"
    return
  end
  it("gives the same values and gradients", function()
    local cases = make(torch.tensor)
    assert.is_true(#cases > 100)
    for _, c in ipairs(cases) do al.scope(check, c) end
  end)
end)
