--- data.loader: batches of a dataset, each within a memory scope of its own.
--
-- for x, y in al.data.loader(train, { batch = 64, shuffle = true }) do ... end      -- one
-- epoch
-- local batches = al.data.loader(train, { batch = 64, shuffle = true, seed = 1 })   -- several,
-- each in a new order
--   for epoch = 1, 10 do
--     for x, y in batches() do ... end
--   end
--
-- At each step the tensors made in the step before are released, unless they were kept
-- (al.keep) or are held by a module, an optimizer or a .grad; the last scope closes when the
-- loop ends, breaks or raises.

local al = require "albedo"
local length = require "albedo.length"
local datasets = require "albedo.data.dataset"
local split = require "albedo.data.split"
local options = require "albedo.options"

local Loader = {}
Loader.__index = Loader

-- The positions of one epoch's samples.
local function order_of(self, epoch)
  if self.shuffle then return split.shuffled(length(self.set), self.seed * 1000003 + epoch) end
  local order = {}
  for i = 1, length(self.set) do order[i] = i end
  return order
end

local function pack(...) return { n = select("#", ...), ... } end

local function read(self, indices)
  if self.set.batch and not self.collate then return self.set:batch(indices) end
  local samples = {}
  for k, i in ipairs(indices) do samples[k] = pack(self.set:get(i)) end
  return (self.collate or datasets.collate)(samples)
end

-- One epoch: next(run) opens a scope and reads a batch in it; closing the run closes the scope.
local Run = {}
Run.__index = Run
function Run:__close() -- called by the generic for
  if self.scope then
    local scope = self.scope
    self.scope = nil
    scope:close()
  end
end

local function next_batch(loader, run)
  if run == nil then
    error("a loader in a variable starts an epoch when called: `for x, y in loader() do`", 2)
  end
  Run.__close(run)
  if not run.order then
    run.order, run.at = order_of(loader, loader.epoch), 0
    loader.epoch = loader.epoch + 1
  end
  local indices = {}
  for k = 1, math.min(loader.batch, #run.order - run.at) do
    indices[k] = run.order[run.at + k]
  end
  if #indices == 0 or loader.drop_last and #indices < loader.batch then return nil end
  run.at = run.at + #indices
  run.scope = al.scope()
  return read(loader, indices)
end

-- Called with no argument by the user: a new epoch. Called by the generic for: the next batch.
function Loader:__call(...)
  if select("#", ...) > 0 then return next_batch(self, (...)) end
  local run = setmetatable({}, Run)
  return self, run, nil, run
end

--- Batches in an epoch.
function Loader:__len()
  local n = length(self.set) / self.batch
  return self.drop_last and math.floor(n) or math.ceil(n)
end

--- For a checkpoint: the epoch to come; orders follow from (seed, epoch).
function Loader:state_dict()
  return { epoch = self.epoch, seed = self.seed }
end

function Loader:load_state_dict(dict)
  self.epoch, self.seed = dict.epoch, dict.seed
end

--- Options: batch = 1; shuffle = false; drop_last = false (a last, smaller batch is given);
-- seed (drawn from the default generator, so that al.seed fixes it); collate =
-- function(samples) -> values, samples[i] = { value, ..., n = count }; workers = 0. Without
-- `collate`: tensors are stacked, numbers become tensors, other values lists.
return function(set, opts)
  local o = options("data.loader", opts,
    { batch = 1, shuffle = false, drop_last = false, workers = 0 },
    { "seed", "collate" })
  if not datasets.is_dataset(set) then
    error("data.loader: expects a dataset, as al.data.tensors(x, y) is; got a " .. type(set), 2)
  end
  if o.workers ~= 0 then error("data.loader: workers are not there yet; use workers = 0", 2) end
  if type(o.batch) ~= "number" or o.batch < 1 or o.batch % 1 ~= 0 then
    error("data.loader: batch is a whole number from 1, got " .. tostring(o.batch), 2)
  end
  if o.shuffle and not o.seed then o.seed = al.randint(1, 2 ^ 31 - 1, { 1 }):item() end
  local self = setmetatable({
    set = set, batch = o.batch, shuffle = o.shuffle, drop_last = o.drop_last,
    collate = o.collate,
    seed = o.seed or 0, epoch = 1,
  }, Loader)
  return self()
end
