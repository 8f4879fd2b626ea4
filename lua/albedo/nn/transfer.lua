--- What transfer adds to every module: hooks, features at a named layer, parts replaced,
-- frozen statistics, groups of parameters by pattern, gradual unfreezing.

local al = require "albedo"
local options = require "albedo.options"
local module = require "albedo.nn.module"
local Module = module.Module
local unpack = table.unpack or unpack

-- The module at a dotted path, or an error that names the nearest.
local function part(self, what, path)
  local found = path ~= "" and self:get(path)
  if found then return found end
  local names = {}
  for name in self:modules() do names[name] = true end
  al.raise(("%s: %s has no module '%s'%s"):format(what, self.classname, tostring(path),
    require "albedo.suggest"(tostring(path), names)))
end

local function pack(...) return { n = select("#", ...), ... } end

--- net:hook(fn) calls fn(module, inputs, outputs), two lists, after every forward of this
-- module; what it writes in `outputs` is what the caller gets. Returns a function that takes
-- the hook away. A module without hooks pays nothing.
function Module:hook(fn)
  local fields, former = self._members, self._members.forward
  local forward, live = self.forward, true
  local function hooked(module_, ...)
    local outputs = pack(forward(module_, ...))
    if live then fn(module_, pack(...), outputs) end
    return unpack(outputs, 1, outputs.n)
  end
  fields.forward = hooked
  return function()
    live = false
    if fields.forward == hooked then fields.forward = former end
  end
end

-- Runs undo() whatever happened; errors go on.
local function finally(undo, ok, ...)
  undo()
  if not ok then error((...), 0) end
  return ...
end

--- net:evaluating(fn, ...): fn(...) with the network in evaluation mode; afterwards every
-- module is in the mode it was in. Returns what fn does.
function Module:evaluating(fn, ...)
  local modes = {}
  for _, m in self:modules() do modes[m] = m.training end
  self:eval()
  return finally(function()
    for m, mode in pairs(modes) do m.training = mode end
  end, pcall(fn, ...))
end

--- net:features_at("layer3", x ...) -> the output of that module for net(x ...); of a list of
-- names, their outputs in that order. What comes after the last of them is not computed.
function Module:features_at(names, ...)
  if type(names) ~= "table" then names = { names } end
  local found, left, undo, enough = {}, #names, {}, {}
  for i, name in ipairs(names) do
    undo[i] = part(self, "features_at", name):hook(function(_, _, y)
      if found[i] == nil then found[i], left = y[1], left - 1 end
      if left == 0 then error(enough, 0) end
    end)
  end
  local function run(...)
    local ok, err = pcall(self, ...)
    if not ok and err ~= enough then error(err, 0) end
  end
  finally(function() for i = #undo, 1, -1 do undo[i]() end end, pcall(run, ...))
  for i, name in ipairs(names) do
    if found[i] == nil then
      al.raise(("features_at: forward did not call '%s'"):format(name))
    end
  end
  return unpack(found, 1, #names)
end

--- net:replace("classifier.6", nn.Linear(4096, 2)): puts a module at a dotted path, such as a
-- new head. Returns what stood there.
function Module:replace(path, value)
  local old = part(self, "replace", path)
  local above, name = path:match "^(.*)%.([^.]+)$"
  local holder = above and self:get(above) or self
  holder[name or path] = value
  return old
end

local function set_frozen_norm(self, what, pattern, on)
  local count = 0
  for name, m in self:modules() do
    if m.running_mean and (not pattern or name:find(pattern)) then
      m.frozen, count = on, count + 1
    end
  end
  if count == 0 then
    al.raise(("%s: no module with running statistics%s"):format(what,
      pattern and " has a name that matches '" .. pattern .. "'" or ""))
  end
  return count
end

--- Batch norms whose names match a Lua pattern (all without one) use their running statistics
-- in training too, and leave them as they are; weight and bias still train unless frozen.
-- Their count.
function Module:freeze_norm(pattern)
  return set_frozen_norm(self, "freeze_norm", pattern, true)
end

--- The reverse of freeze_norm.
function Module:unfreeze_norm(pattern)
  return set_frozen_norm(self, "unfreeze_norm", pattern, nil)
end

--- Groups of parameters for an optimizer, each parameter in the first whose Lua pattern its
-- name matches:
--
--   local groups = net:param_groups { { "^fc", lr = 1e-3 }, { "^layer4", lr = 1e-4 } }
--   local opt = al.optim.adam(groups, { lr = 1e-5 })
--   net:param_groups({ "^fc", "^layer4", "^layer3" }, { lr = 1e-3, decay = 0.3 })
--
-- What matches none forms a last group, with the optimizer's own options. Plain patterns take
-- the rate lr * decay^(i - 1), i their place, and the last group the next. Frozen parameters
-- are in their groups, so that they train once unfrozen.
function Module:param_groups(patterns, opts)
  local o = options("param_groups", opts, { decay = 1 }, { "lr" })
  local groups, found = {}, {}
  for i = 1, #patterns + 1 do -- the last for what matches none
    local given = type(patterns[i]) == "table" and patterns[i] or { patterns[i] or "" }
    groups[i] = { lr = o.lr and o.lr * o.decay ^ (i - 1) }
    for key, value in pairs(given) do groups[i][key] = value end
    found[i] = {}
  end
  for name, p in self:named_parameters() do
    local i = 1
    while not name:find(groups[i][1]) do i = i + 1 end
    table.insert(found[i], p)
  end
  for i, group in ipairs(groups) do
    if #found[i] == 0 and i <= #patterns then
      al.raise(("param_groups: no parameter is left for '%s'"):format(group[1]))
    end
    group[1], group.params = nil, found[i]
  end
  if #found[#groups] == 0 then groups[#groups] = nil end
  return groups
end

local Thaw = {}
Thaw.__index = Thaw

local function apply(self)
  local stages = math.min(#self.stages, 1 + math.floor(self.t / self.every))
  self.net:freeze()
  for i = 1, stages do self.net:unfreeze(self.stages[i]) end
  self.count = stages
end

--- Gradual unfreezing (Howard and Ruder 2018): of a list of patterns, from the head down, the
-- first trains at once and one more every `every` steps (1), a step being an epoch or whatever
-- thaw:step() is called after; the rest is frozen.
--
--   local thaw = net:thaw({ "^fc", "^layer4", "^layer3", "" }, { every = 2 })
--   local opt = al.optim.adam(net:param_groups({ "^fc", "^layer4" , "^layer3" }, { lr = 1e-3,
--     decay = 0.3 }))
--   for epoch = 1, 10 do ... thaw:step() end
function Module:thaw(stages, opts)
  local o = options("thaw", opts, { every = 1 })
  local thaw = setmetatable({ net = self, stages = stages, every = o.every, t = 0 }, Thaw)
  apply(thaw)
  return thaw
end

function Thaw:__tostring()
  return ("thaw: %d of %d stages train after %d steps, one more every %d: %s")
    :format(self.count, #self.stages, self.t, self.every,
      table.concat(self.stages, " ", 1, self.count))
end

--- To be called after each step; returns how many stages train now.
function Thaw:step()
  self.t = self.t + 1
  apply(self)
  return self.count
end

--- For a checkpoint: the steps done.
function Thaw:state_dict() return { t = self.t } end

function Thaw:load_state_dict(dict)
  self.t = dict.t
  apply(self)
end

return {}
