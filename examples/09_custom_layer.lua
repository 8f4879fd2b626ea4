-- 09: a layer of your own. Shows: nn.class with parameters, a child, a buffer and options; a
-- network that uses it; its gradient checked; names, printing, saving.
local al = require "albedo"
local nn = al.nn
al.seed(1)

-- Channels weighed by what the whole picture holds (squeeze and excitation, Hu et al. 2018),
-- and a count of the calls, which is saved but not trained.
local Excite = nn.class "Excite"

function Excite:init(channels, opts)
  opts = opts or {}
  local inner = opts.inner or math.max(1, math.floor(channels / 4))
  self.down = nn.Linear(channels, inner)
  self.up = nn.Linear(inner, channels)
  self.strength = nn.Parameter(al.ones(1))
  self:buffer("calls", al.zeros(1))
  self.channels = channels -- a plain field
end

-- x (n, c, h, w) -> the same shape.
function Excite:forward(x)
  al.no_grad(function() self.calls:add_(1) end)
  local n, c = x:size(1), self.channels
  local weight = self.up(self.down(x:mean { 3, 4 }):relu()):sigmoid()
  return x * (1 + self.strength * weight:reshape(n, c, 1, 1))
end

-- What print shows beside the name.
function Excite:describe() return ("%d channels"):format(self.channels) end

local net = nn.Sequential {
  nn.Conv2d(1, 8, 3, { pad = 1 }), nn.BatchNorm2d(8), nn.ReLU(), Excite(8),
  nn.GlobalAvgPool(), nn.Linear(8, 2),
}
print(net)

-- The layer alone, in float64: analytic gradients against differences, twice.
local layer = Excite(4):to "float64"
local x = al.randn(2, 4, 3, 3, { dtype = "float64" }):requires_grad_()
assert(al.gradcheck(function(v) return layer(v) end, { x }))
assert(al.gradgradcheck(function(v) return layer(v) end, { x }))

-- Trained: is the picture brighter in its upper or its lower half?
local function pictures(n)
  local noise, labels = al.randn(n, 1, 8, 8), al.randint(1, 2, { n })
  local ramp = al.linspace(1, -1, 8):reshape(1, 1, 8, 1)
  local sign = (labels:to "float32" * -2 + 3):reshape(n, 1, 1, 1)
  return noise + ramp * sign, labels
end
net:replace("4", nn.Flatten())
net:replace("5", nn.Linear(8 * 64, 2))
local opt = al.optim.adam(net:parameters(), { lr = 1e-2 })
for _ = 1, 60 do
  local scope = al.scope()
  local pixels, labels = pictures(32)
  local loss = net(pixels):cross_entropy(labels)
  opt:zero_grad() loss:backward() opt:step()
  scope:close()
end
net:eval()
local pixels, labels = pictures(200)
local right = net(pixels):argmax(2):eq(labels):to "float32":mean():item()
print(("accuracy %.2f after %d calls; strength %.2f"):format(right, net[4].calls:item(),
  net[4].strength:item()))
assert(right > 0.9 and net[4].calls:item() == 61)

-- In the state dict the layer's tensors have dotted names, the buffer too.
for name, t in pairs(net[4]:state_dict()) do print("3." .. name, table.concat(t.shape, "x")) end
