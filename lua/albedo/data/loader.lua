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
-- With workers, threads with Lua states of their own read the batches ahead: the same ones in
-- the same order. The dataset and collate go to them at the start of each epoch, as tensors
-- (the memory is shared), plain tables, and functions whose upvalues are those or required
-- modules; what a worker changes stays there. Globals of the script are not known there.
--
-- At each step the tensors made in the step before are released, unless they were kept
-- (al.keep) or are held by a module, an optimizer or a .grad; the last scope closes when the
-- loop ends, breaks or raises.

local al = require "albedo"
local length = require "albedo.length"
local cross = require "albedo.data.cross"
local datasets = require "albedo.data.dataset"
local read = require "albedo.data.read"
local split = require "albedo.data.split"
local options = require "albedo.options"

local Loader = {}
Loader.__index = Loader

-- The positions of one epoch's samples.
local function order_of(self, epoch)
  if self.sampler then
    return self.sampler.draw(al.generator(self.seed * 1000003 + epoch))
  end
  if self.shuffle then return split.shuffled(length(self.set), self.seed * 1000003 + epoch) end
  local order = {}
  for i = 1, length(self.set) do order[i] = i end
  return order
end

-- One epoch: next(run) opens a scope and reads a batch in it; closing the run closes the scope.
local Run = {}
Run.__index = Run
function Run:__close() -- called by the generic for
  if self.mark then self.mark.over = true end
  if self.scope then
    local scope = self.scope
    self.scope = nil
    scope:close()
  end
  if self.pool then
    local pool = self.pool
    self.pool = nil
    pool:close()
  end
end

-- A batch of tables of fields prints as its tensors' shapes and dtypes.
local Fields = { __tostring = function(t) return require "albedo.text"(t, 0, true) end }
local function printable(...)
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    if type(v) == "table" and getmetatable(v) == nil then setmetatable(v, Fields) end
  end
  return ...
end

-- The next positions of the run, or nil when it is over.
local function cut(loader, run)
  local indices = {}
  for k = 1, math.min(loader.batch, #run.order - run.at) do
    indices[k] = run.order[run.at + k]
  end
  if #indices == 0 or loader.drop_last and #indices < loader.batch then return nil end
  run.at = run.at + #indices
  return indices
end

-- Starts the workers of an epoch.
local function open_pool(loader)
  local task = { set = loader.set, collate = loader.collate, seed = loader.seed }
  local ok, text, tensors = pcall(cross.pack, "data.loader",
    { task, names = { "the task" } }, 1)
  if not ok then al.raise(text) end
  -- the paths first: what the text names is required by them
  local setup = cross.pack("data.loader", { package.path, package.cpath, text }, 3)
  return al.native.workers_open(loader.workers, setup, tensors)
end

-- The next batch of the workers, who are kept two batches each ahead.
local function receive(loader, run)
  run.sent, run.taken = run.sent or 0, (run.taken or 0) + 1
  while run.sent < run.taken + 2 * loader.workers - 1 do
    local indices = cut(loader, run)
    if not indices then break end
    run.sent = run.sent + 1
    run.pool:submit(run.sent, (cross.pack("data.loader", { run.epoch, indices }, 2)))
  end
  if run.taken > run.sent then return nil end
  run.scope = al.scope()
  local text, tensors = run.pool:take(run.taken)
  if not text then error(tensors, 0) end
  local values, n = cross.unpack(text, tensors)
  return printable((table.unpack or unpack)(values, 1, n))
end

-- Counts what is given; past the last batch the epoch is over.
local function given(run, first, ...)
  if first == nil then run.mark.over = true else run.mark.given = run.mark.given + 1 end
  return first, ...
end

local function next_batch(loader, run)
  if run == nil then
    error("a loader in a variable starts an epoch when called: `for x, y in loader() do`", 2)
  end
  if run.scope then
    run.scope:close()
    run.scope = nil
  end
  if not run.order then
    run.order, run.epoch = order_of(loader, loader.epoch), loader.epoch
    run.at = math.min(loader.skip * loader.batch, #run.order)
    run.mark = { epoch = run.epoch, given = loader.skip }
    loader.epoch, loader.skip, loader.mark = loader.epoch + 1, 0, run.mark
    if loader.workers > 0 then run.pool = open_pool(loader) end
  end
  if run.pool then return given(run, receive(loader, run)) end
  local indices = cut(loader, run)
  if not indices then return given(run, nil) end
  run.scope = al.scope()
  return given(run, printable(read(loader, run.epoch, indices)))
end

-- Called with no argument by the user: a new epoch. Called by the generic for: the next batch.
function Loader:__call(...)
  if select("#", ...) > 0 then return next_batch(self, (...)) end
  local run = setmetatable({}, Run)
  return self, run, nil, run
end

--- Batches in an epoch.
function Loader:__len()
  local n = (self.sampler and self.sampler.count or length(self.set)) / self.batch
  return self.drop_last and math.floor(n) or math.ceil(n)
end

function Loader:__tostring()
  return ("Loader: %d samples, batch %d, %d batches"):format(length(self.set), self.batch,
    Loader.__len(self))
end

--- For a checkpoint: the epoch, and the batches of it that were given; orders follow from
-- (seed, epoch). After load_state_dict the next epoch is what is left of that one.
function Loader:state_dict()
  local mark = self.mark -- of the last epoch begun
  if mark and not mark.over then
    return { epoch = mark.epoch, given = mark.given, seed = self.seed }
  end
  return { epoch = self.epoch, given = self.skip, seed = self.seed }
end

function Loader:load_state_dict(dict)
  self.epoch, self.seed, self.skip, self.mark = dict.epoch, dict.seed, dict.given or 0, nil
end

--- Batches of a dataset: a loader, called for an epoch, as in `for x, y in batches() do`;
-- #batches is how many there are. Each step has a memory scope of its own. Before each sample
-- the default generator is seeded by (seed, epoch, sample), so workers give the same batches as
-- none.
-- Options:
--   batch (1)              samples of a batch
--   shuffle (false)        a new order each epoch
--   drop_last (false)      leaves out a last, smaller batch
--   seed                   of orders and samples; drawn from the default generator
--   workers (0)            threads that read ahead
--   sampler                al.data.weighted or al.data.balanced, instead of shuffle
--   collate                function(samples) -> values, samples[i] = { value, ..., n = count };
--                          without it tensors are stacked, numbers become tensors, other values
--                          lists
return function(set, opts)
  local o = options("data.loader", opts,
    { batch = 1, shuffle = false, drop_last = false, workers = 0 },
    { "seed", "collate", "sampler" })
  if not datasets.is_dataset(set) then
    error("data.loader: expects a dataset, as al.data.tensors(x, y) is; got a " .. type(set), 2)
  end
  if type(o.workers) ~= "number" or o.workers < 0 or o.workers > 64 or o.workers % 1 ~= 0 then
    error("data.loader: workers is a whole number from 0 to 64, got " .. tostring(o.workers),
      2)
  end
  if type(o.batch) ~= "number" or o.batch < 1 or o.batch % 1 ~= 0 then
    error("data.loader: batch is a whole number from 1, got " .. tostring(o.batch), 2)
  end
  if o.sampler and (type(o.sampler) ~= "table" or type(o.sampler.draw) ~= "function") then
    error("data.loader: sampler is one of al.data.weighted, al.data.balanced", 2)
  end
  if (o.shuffle or o.sampler) and not o.seed then
    o.seed = al.randint(1, 2 ^ 31 - 1, { 1 }):item()
  end
  local self = setmetatable({
    set = set, batch = o.batch, shuffle = o.shuffle, drop_last = o.drop_last,
    collate = o.collate, sampler = o.sampler,
    seed = o.seed or 0, epoch = 1, skip = 0, workers = o.workers,
  }, Loader)
  return self()
end
