-- The n-th allocation of a training step fails, for every n: an error each time, nothing stays.
local al = require "albedo"
local nn = al.nn

local function train()
  local net = nn.Sequential {
    nn.Conv2d(1, 2, 3, { pad = 1 }),
    nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(2 * 9, 3),
  }
  local opt = al.optim.adamw(net, { lr = 1e-3 })
  local set = al.data.tensors(al.randn(2, 1, 6, 6), al.randint(1, 3, { 2 }))
  for x, y in al.data.loader(set, { batch = 2, shuffle = true, seed = 1 }) do
    local loss = net(x):cross_entropy(y)
    opt:zero_grad()
    loss:backward()
    al.optim.clip_grad_norm(net, 1)
    opt:step()
  end
end

local function live()
  if jit then jit.flush() end -- compiled loops hold what they met
  collectgarbage()
  collectgarbage()
  return al.memory().blocks
end

describe("a training step whose allocations fail", function()
  it("raises and leaves no live block, whichever it is", function()
    train()
    local before, n, wrong, ok, message = live(), 0, 0, nil, nil
    repeat
      n = n + 1
      al.fault_after(n, 1000)
      ok, message = pcall(train)
      al.fault_after(0)
      if not ok and not message:find("out of memory", 1, true) then wrong = wrong + 1 end
      if live() ~= before then wrong = wrong + 1 end
    until ok or n == 2000
    assert.equal(0, wrong)
    assert.is_true(ok and n > 100, tostring(message))
  end)
end)
