-- 03: modules. Shows: Sequential, a class of your own, parameter names, printing, freezing,
-- saving and loading.
local al = require "albedo"
local nn = al.nn

-- Layers in a row. print shows the tree, the shapes and the count of parameters.
local body = nn.Sequential {
  nn.Conv2d(1, 8, 3, { pad = 1 }), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
}
print(body)
print("one picture in:", table.concat(body(al.randn(1, 1, 28, 28)).shape, "x"))

-- A class: whatever is assigned to self is sorted by what it is. Modules and parameters
-- register by themselves.
local Residual = nn.class "Residual"

function Residual:init(width)
  self.conv = nn.Conv2d(width, width, 3, { pad = 1, bias = false })
  self.norm = nn.BatchNorm2d(width)
  self.strength = nn.Parameter(al.zeros(1)) -- starts as the identity
end

function Residual:forward(x)
  return x + self.strength * self.norm(self.conv(x)):relu()
end

local net = nn.Sequential {
  body, Residual(8), Residual(8), nn.GlobalAvgPool(), nn.Linear(8, 10),
}
for name, p in net:named_parameters() do
  if name:find "^1%." then print(name, table.concat(p.shape, "x")) end
end

-- In code the first child is net[1]; in names and files children count from 0, as PyTorch
-- writes them.
assert(net[2].conv == net:get "1.conv" and net[2].conv:path() == "1.conv")

-- Training and evaluation differ for batch norm and dropout.
net:eval()
local x = al.randn(2, 1, 28, 28)
local before = net(x)

-- A state dict is name -> tensor; files are safetensors, written whole or not at all.
local path = os.tmpname()
al.save(path, { model = net })
for _, p in ipairs(net:parameters()) do nn.init.constant_(p, 0) end
al.load(path, { model = net })
os.remove(path)
assert(net(x):eq(before):all():item())

-- Freeze by pattern: what matches no longer trains.
net:freeze "^0%."
print(("%d parameters, %d of them trained"):format(net:num_parameters()))

-- A wrong shape is reported with the path of the layer it happened in.
print(select(2, pcall(net, al.randn(1, 3, 28, 28))))
