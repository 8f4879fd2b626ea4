--- al.lab's training: run:fit, and what asks a trained network: lab.predict, lab.seconds.

local al = require "albedo"

local clock = al.clock

return function(lab, Run)

--- al.fit with the run's manners: steps are run.steps, the label is the arm; the training is
-- saved in the run's folder as LABEL-SEED.safetensors (save = false: not at all), LABEL-SEED-2
-- for the arm's second one; the same --out goes on where it stopped. Options and result as
-- al.fit's.
function Run:fit(net, batches, opts)
  local o = { extend = false, steps = self.options.steps, label = self.current_arm or "train" }
  for key, value in pairs(opts or {}) do o[key] = value end
  if o.epochs and not (opts or {}).steps then o.steps = nil end
  local stem = ("%s-%s"):format(o.label:gsub("[^%w_-]", "_"), self.current_seed or 0)
  self.stems[stem] = (self.stems[stem] or 0) + 1 -- an arm may train twice: source, then target
  if self.stems[stem] > 1 then stem = stem .. "-" .. self.stems[stem] end
  if o.save == nil or o.save == true then o.save = self:path(stem) end
  local history = al.fit(net, batches, o)
  table.insert(self.trainings, { name = stem, history = history })
  return history
end

-- ---- asking a trained network ---------------------------------------------------------------

--- net(x) over N x ..., batch by batch without a graph, a module in evaluation mode; the
-- outputs joined. net may be any function of a batch.
function lab.predict(net, x, batch)
  batch = batch or 64
  local was = al.nn.is_module(net) and net.training
  if was then net:eval() end
  local outputs = {}
  for at = 1, #x, batch do
    outputs[#outputs + 1] = al.scope(function()
      return al.no_grad(net, x:narrow(1, at, math.min(batch, #x - at + 1)))
    end)
  end
  if was then net:train() end
  return al.cat(outputs, 1)
end

--- A table of what networks cost, under `name`: parameters, seconds of training, milliseconds a
-- picture one at a time and in a batch. o: networks (name -> module), order (names), x (a
-- batch), training (name -> seconds), caption. Returns name -> seconds of the batch.
function Run:costs(name, o)
  local rows, took = {}, {}
  for k, key in ipairs(o.order) do
    local net, n = o.networks[key], o.x.shape[1]
    took[key] = lab.seconds(net, o.x)
    rows[k] = { key, (net:num_parameters()), o.training[key],
      lab.seconds(net, o.x:narrow(1, 1, 1)) * 1000, took[key] * 1000 / n }
  end
  self:table(name, { caption = o.caption, rows = rows, columns = { "network", "parameters",
    "training s", "batch of 1", "batch of " .. o.x.shape[1] } })
  return took
end

--- Seconds that net(x) takes, without a graph: the median of 7.
function lab.seconds(net, x)
  local took = {}
  for k = 1, 7 do
    local began = clock()
    al.scope(function() al.no_grad(net, x) end)
    took[k] = clock() - began
  end
  table.sort(took)
  return took[4]
end

end
