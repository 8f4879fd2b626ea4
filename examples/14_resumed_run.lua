-- 14: a run that is cut off goes on to the same bits. Shows: al.fit with checkpoints, what it
-- leaves on the disk, early stopping by patience, the figures of a run.
local al = require "albedo"
local nn = al.nn
os.execute "rm -rf runs/resumed && mkdir -p runs/resumed"

-- Two spirals; the same data, network and order of samples for every run below.
local function experiment()
  al.seed(5)
  local turn = al.rand(400, 1) * 3
  local label = al.randint(1, 2, { 400 })
  local angle = turn * math.pi + (label:to "float32" * math.pi):reshape(400, 1)
  local points = al.cat({ turn * angle:cos(), turn * angle:sin() }, 2) + 0.05 * al.randn(400, 2)
  local train, val = al.data.split(al.data.tensors(points, label), { 0.8, 0.2 })
  local net = nn.Sequential { nn.Linear(2, 48), nn.Tanh(), nn.Dropout(0.05), nn.Linear(48, 48),
    nn.Tanh(), nn.Linear(48, 2) }
  return net, al.data.loader(train, { batch = 32, shuffle = true, seed = 1 }),
    al.data.loader(val, { batch = 80 })
end

-- One run through: 60 epochs, ten looks at the validation set.
local function fit(name, on_check)
  local net, train, val = experiment()
  local function score(n)
    if on_check then on_check() end
    local right = 0
    for x, y in val() do right = right + n(x):argmax(2):eq(y):sum():item() end
    return right / 80
  end
  return net, al.fit(net, train, { epochs = 60, lr = 1e-2, warmup = 20, validate = score,
    save = "runs/resumed/" .. name, save_every = 0.005, label = name })
end
local whole, history = fit "whole"
print(("uninterrupted: accuracy %.3f on validation after %d steps"):format(history.best,
  history.step))

-- The same run, cut off at its fifth check, as by a power cut; kill -9 does the same.
local checks = 0
local ok, message = pcall(fit, "cut", function()
  checks = checks + 1
  if checks == 5 then error("the lights went out", 0) end
end)
print("cut off:", not ok and message)
for line in io.popen "ls runs/resumed":lines() do print("  " .. line) end

-- The same call again: it finds its checkpoint and goes on from there.
local resumed, second = fit "cut"
print(("resumed: %s; accuracy %.3f after %d steps"):format(tostring(second.resumed),
  second.best, second.step))
assert(second.resumed and not history.resumed)

-- Network, optimizer, schedule, random numbers, order of samples: all as if nothing had been.
local a, b = whole:state_dict(), resumed:state_dict()
for name, t in pairs(a) do assert(t:eq(b[name]):all():item(), name) end
print "the weights are the same, to the bit"

-- The figures of each step are lines of JSON.
local values = {}
for i, v in ipairs(second.loss.value or {}) do values[i] = v end
if #values > 1 then al.show(values, { width = 70, height = 8 }) end
