-- Small fixed workloads for callgrind: lua5.4 spec/bench/instructions.lua NAME COUNT. .ci/instructions
-- counts their instructions and compares with spec/bench/instructions.txt.
local al = require "albedo"
al.threads(1)
al.seed(1)
local a, b, x = al.randn(8), al.randn(8), al.randn(8):requires_grad_()
local net = al.nn.Sequential { al.nn.Linear(32, 64), al.nn.ReLU(), al.nn.Linear(64, 10) }
local optim = al.optim.sgd(net:parameters(), { lr = 0.01 })
local input, target = al.randn(32, 32), al.randint(1, 10, { 32 })
local image, kernel = al.randn(1, 8, 16, 16), al.randn(16, 8, 3, 3)

local work = {
  add = function() return a + b end,
  backward = function() (x * b):sum():backward() end,
  index = function() return image[1]["1:4, 2"] end,
  mlp = function()
    optim:zero_grad()
    net(input):cross_entropy(target):backward()
    optim:step()
  end,
  conv = function() return al.conv2d(image, kernel, nil, { pad = 1 }) end,
}

local run = assert(work[arg[1]], "add, backward, index, mlp or conv")
al.scope(function()
  for _ = 1, tonumber(arg[2]) do run() end
end)
