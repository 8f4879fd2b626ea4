--- al.lab's training of transferred networks in stages, run:stages, and random patches of
-- volumes for run:fit, lab.patches.

local al = require "albedo"
local options = require "albedo.options"

-- a whole number from 1 to n, by the default generator
local function die(n) return math.min(n, 1 + math.floor(al.rand(1):item() * n)) end

return function(lab, Run)

--- Trains a network of models.adapted in stages, { share of the steps, factor on the rate, what
-- trains: "head" (all but the backbone), "last" (its last stage too) or "all" }. o: batches and
-- validate as run:fit's, label, lr, steps (run.steps, of all stages together), checks = 3.
function Run:stages(net, stages, o)
  local steps, done, share = o.steps or self.options.steps, 0, 0
  for k, stage in ipairs(stages) do
    net:unfreeze()
    if stage[3] == "head" then net:freeze "^net%."
    elseif stage[3] == "last" then net:only_last()
    elseif stage[3] ~= "all" then error("run:stages: head, last or all trains", 2) end
    share = share + stage[1]
    local count = math.max(1, math.floor(steps * share + 0.5) - done)
    done = done + count
    self:fit(net, o.batches, { steps = count, lr = o.lr * stage[2], checks = o.checks or 3,
      label = ("%s-%d"):format(o.label, k), validate = o.validate })
  end
  net:unfreeze()
  return net
end

--- A function for run:fit that cuts patches out of labelled volumes: x (batch x 1 x size^3) and
-- y (batch x size^3). lists: lists of volumes { x, y }, d x h x w; a batch takes from each in
-- turn. Patches lie anywhere, mirrored along any dim, and with dims 2 and 3 exchanged, at
-- random.
function lab.patches(lists, given)
  local o = options("lab.patches", given, { size = 32, batch = 2 })
  local function patch(volumes)
    local v = volumes[die(#volumes)]
    local x, y, flips = v.x, v.y, {}
    for d = 1, 3 do
      local at = die(v.x:size(d) - o.size + 1)
      x, y = x:narrow(d, at, o.size), y:narrow(d, at, o.size)
      if die(2) == 1 then flips[#flips + 1] = d end
    end
    if #flips > 0 then x, y = x:flip(flips), y:flip(flips) end
    if die(2) == 1 then x, y = x:transpose(2, 3), y:transpose(2, 3) end
    return x:unsqueeze(1):unsqueeze(1), y:unsqueeze(1)
  end
  return function()
    local xs, ys = {}, {}
    for k = 1, o.batch do xs[k], ys[k] = patch(lists[(k - 1) % #lists + 1]) end
    return al.cat(xs, 1), al.cat(ys, 1)
  end
end

end
