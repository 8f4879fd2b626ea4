-- 04: training. Shows: a dataset, a split, the loader, an optimizer with a schedule, progress,
-- validation with an interval. The task: tell points inside a ring from those outside it.
local al = require "albedo"
local nn, metrics = al.nn, al.metrics
al.seed(7)

-- 1,000 points in the square; class 2 inside the ring 0.4 < r < 0.8, class 1 elsewhere.
local points = al.rand(1000, 2) * 2 - 1
local radius = points:square():sum(2):sqrt()
local labels = radius:gt(0.4):logical_and(radius:lt(0.8)):to "int64" + 1

local set = al.data.tensors(points, labels)
local train, test = al.data.split(set, { 0.8, 0.2 }) -- { by = "photo" } keeps groups together

local net = nn.Sequential {
  nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2),
}
local opt = al.optim.adamw(net:parameters(), { lr = 5e-3 })

local epochs = 60
local batches = al.data.loader(train, { batch = 50, shuffle = true })
local schedule = al.optim.schedule.cosine(opt, { steps = epochs * #batches, warmup = 20 })
local bar = al.progress { total = epochs * #batches, label = "train" }
for _ = 1, epochs do
  for x, y in batches() do -- each step's tensors are released at its end
    local loss = net(x):cross_entropy(y)
    opt:zero_grad()
    loss:backward()
    opt:step()
    schedule:step()
    bar:step { loss = loss:item() }
  end
end
bar:done()

-- Scores on points never seen: the chance of class 2, its AUC with a bootstrap interval, and
-- the counts.
net:eval()
local scores, truth = {}, {}
for x, y in al.data.loader(test, { batch = 100 }) do
  al.no_grad(function()
    for _, row in ipairs(net(x):softmax(2):totable()) do scores[#scores + 1] = row[2] end
  end)
  for _, label in ipairs(y:totable()) do truth[#truth + 1] = label end
end
local r = metrics.binary(scores, truth)
local interval = metrics.bootstrap(function(indices)
  local s, t = {}, {}
  for k, i in ipairs(indices) do s[k], t[k] = scores[i], truth[i] end
  return metrics.auc(s, t)
end, #scores, { rounds = 200 })
print(("AUC %.3f [%.3f, %.3f]  precision %.2f  recall %.2f  F1 %.2f"):format(
  r.auc, interval[1], interval[2], r.precision, r.recall, r.f1))
local guess = {}
for i, s in ipairs(scores) do guess[i] = s >= 0.5 and 2 or 1 end
print(metrics.confusion(guess, truth))
assert(r.f1 > 0.9)
