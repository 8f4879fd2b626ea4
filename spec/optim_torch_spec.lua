-- Optimizers and schedules against PyTorch's, step by step (spec/support/torch_optim.py).
local al = require "albedo"

local function cases()
  for _, python in ipairs { "python3", "/usr/bin/python3" } do
    local pipe = io.popen(python .. " spec/support/torch_optim.py 2>/dev/null")
    local text = pipe:read "*a"
    pipe:close()
    if text:find "\n}\n$" then return assert((loadstring or load)(text))() end
  end
end

local scale = al.tensor({ { 1, 3 }, { 0.5, 2 } }, { dtype = "float64" })
local function objective(a, b)
  local head, tail = a:narrow(1, 1, 3), a:narrow(1, 2, 3)
  return (10 * (tail - head:square()):square() + (1 - head):square()):sum()
    + (b * scale):square():sum() + (b:sum() - a:sum()):square()
end

local function leaf(values)
  return al.tensor(values, { dtype = "float64" }):requires_grad_()
end

describe("optim against PyTorch's", function()
  local all = cases()
  if not all then
    pending "trajectories agree (no torch for Python here)"
    return
  end
  for _, case in ipairs(all.steps) do
    local name, options, text, expected = (table.unpack or unpack)(case)
    it(("%s %s"):format(name, text), function()
      local a, b = leaf { -1.2, 1.0, 0.5, -0.3 }, leaf { { 0.3, -0.7 }, { 1.1, 0.9 } }
      local opt = al.optim[name]({ a, b }, options)
      local function closure()
        opt:zero_grad()
        local loss = objective(a, b)
        loss:backward()
        return loss
      end
      for t, wanted in ipairs(expected) do
        if name == "lbfgs" then
          opt:step(closure)
        else
          closure()
          opt:step()
        end
        local got = al.cat({ a:detach(), b:detach():reshape(-1) }, 1):totable()
        for k, v in ipairs(wanted) do
          assert.near(v, got[k], 1e-8, ("step %d, value %d"):format(t, k))
        end
      end
    end)
  end
  for _, case in ipairs(all.rates) do
    local name, options, text, expected = (table.unpack or unpack)(case)
    it(("schedule.%s %s"):format(name, text), function()
      local opt = al.optim.sgd({ al.ones(1):requires_grad_() }, { lr = 2 })
      local schedule = al.optim.schedule[name](opt, options)
      for t, rate in ipairs(expected) do
        assert.near(rate, opt.groups[1].lr, 1e-9, "step " .. t)
        schedule:step(all.values[t])
      end
    end)
  end
end)
