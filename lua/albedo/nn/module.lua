--- Modules: tables with a `forward`, called like functions.
--
-- Everything assigned to a module is sorted by what it is: a tensor that requires a gradient is
-- a parameter, another module is a child, a tensor named by self:buffer(...) is a buffer, the
-- rest are plain fields. Names are dotted paths, and those of the children of Sequential and
-- ModuleList count from 0, as PyTorch writes them; in code `net[1]` is the first child.
--
--   local Block = nn.class "Block"                       -- a class, with a constructor ...
--   function Block:init(width)
--     self.conv = nn.Conv2d(width, width, 3, { pad = 1 })
--     self.scale = nn.Parameter(al.ones(1))
--   end
--   function Block:forward(x) return x + self.scale * self.conv(x):relu() end
--   local net = Block(16); local y = net(x)
--
--   local net = nn.Module {                              -- ... or a single module, in place
--     conv = nn.Conv2d(1, 8, 3),
--     forward = function(self, x) return self.conv(x):relu() end,
--   }

local al = require "albedo"
local describe = require("albedo.nn.describe").describe
local select, type = select, type -- on the path of every call

-- A module is { _members = name -> value, _kinds = name -> kind, _tensors and _children = names
-- in order of registration, _name = its own in its parent }. Every field lives in _members, so
-- that __newindex sees each assignment.
local Module

-- The first module a module was put in, weakly: a part taken out of a network does not keep the
-- rest alive.
local parent_of = setmetatable({}, { __mode = "kv" })

local function new(class, ...)
  local self = { _members = { training = true }, _kinds = {}, _tensors = {}, _children = {} }
  setmetatable(self, class)
  self:init(...)
  return self
end

--- is_module(value): whether a value is a module.
local function is_module(value)
  local class = type(value) == "table" and getmetatable(value)
  return type(class) == "table" and rawget(class, "is_module_class") == true
end

local function disown(self, child)
  if parent_of[child] == self then parent_of[child] = nil end
end

local function drop(self, name)
  disown(self, self._members[name])
  local names = self._kinds[name] == "module" and self._children or self._tensors
  for i, known in ipairs(names) do
    if known == name then table.remove(names, i) break end
  end
  self._members[name], self._kinds[name] = nil, nil
end

-- Enters `value` under `name` as a "parameter", "buffer", "module" or "tensor" (held, but in no
-- state dict).
local function register(self, name, kind, value)
  if type(name) ~= "string" or name == "" or name:find(".", 1, true) then
    error(("%s: '%s' cannot name a %s: a name is a string without dots")
      :format(self.classname, tostring(name), kind), 3)
  elseif Module[name] ~= nil then
    error(("%s: '%s' is a method of every module: choose another name")
      :format(self.classname, name), 3)
  end
  local old = self._kinds[name]
  if old and (old == "module") ~= (kind == "module") then drop(self, name) end
  if old == "module" then disown(self, self._members[name]) end
  if kind == "module" then
    local above = self
    while above do
      if above == value then error(self.classname .. ": a module cannot hold itself", 3) end
      above = parent_of[above]
    end
    if not parent_of[value] then
      parent_of[value] = self
      rawset(value, "_name", name)
    end
  else
    al.hold(value)
  end
  if not self._kinds[name] then
    table.insert(kind == "module" and self._children or self._tensors, name)
  end
  self._members[name], self._kinds[name] = value, kind
end

local function kind_of(self, name, value)
  if is_module(value) then return "module" end
  if not al.is_tensor(value) then return nil end
  local known = self._kinds[name]
  if known == "parameter" or known == "buffer" then return known end
  return value.requires_grad and value.is_leaf and "parameter" or "tensor"
end

-- Name of the i-th child, from 1, negative from the end; nil when there is none.
local function child_name(self, i)
  return self._children[i < 0 and #self._children + 1 + i or i]
end

local function index(class)
  return function(self, key)
    local value = self._members[key]
    if value == nil then value = class[key] end
    if value == nil and type(key) == "number" then
      return self._members[child_name(self, key) or false]
    end
    return value
  end
end

local function newindex(self, key, value)
  if type(key) == "number" then key = child_name(self, key) or ("%d"):format(key - 1) end
  local kind = kind_of(self, key, value)
  if kind then
    register(self, key, kind, value)
  else
    if type(value) == "table" and not getmetatable(value) and is_module(value[1]) then
      error(("%s.%s: a plain table would hide its modules' parameters: use nn.ModuleList")
        :format(self.classname, key), 2)
    end
    if self._kinds[key] then drop(self, key) end
    self._members[key] = value
  end
end

-- Every module is called through this function, whose frame keeps `self` on the stack while
-- forward runs (it is no tail call): errors find the running module by it.
local function call(self, ...)
  return select(1, self:forward(...))
end

local function make_class(name, parent)
  local class = {
    classname = name, super = parent, is_module_class = true,
    __newindex = newindex, __call = call, __name = "albedo." .. name,
    __tostring = function(self) return describe(self) end,
    __len = function(self) return #self._children end,
  }
  class.__index = index(class)
  return setmetatable(class, {
    __index = parent,
    __tostring = function() return "module class " .. name end,
    __call = new,
  })
end

Module = make_class "Module"

--- Gives the module its fields: by default those of a table, in the order of their names.
function Module:init(fields)
  local names = {}
  for name in pairs(fields or {}) do
    if type(name) ~= "string" then
      error(self.classname .. ": a module's fields have names; nn.Sequential takes a list", 3)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do self[name] = fields[name] end
end

function Module:forward()
  error(("%s has no forward: define `function %s:forward(x)`")
    :format(self.classname, self.classname), 2)
end

--- A subclass of this class: `local Net = nn.Module:extend "Net"`; nn.class "Net" is the same.
function Module.extend(class, name)
  return make_class(name, class)
end

--- Registers a tensor that is saved with the module but not trained (running statistics).
-- Returns it.
function Module:buffer(name, tensor)
  register(self, name, "buffer", tensor)
  return tensor
end

--- Registers a tensor as a parameter under a name; the same as assigning nn.Parameter(tensor).
-- Returns it.
function Module:parameter(name, tensor)
  tensor.requires_grad = true
  register(self, name, "parameter", tensor)
  return tensor
end

-- Visits self and all below it, parents first, each module once: visit(module, dotted name, ""
-- for self).
local function walk(self, visit, prefix, seen)
  if seen[self] then return end
  seen[self] = true
  visit(self, prefix)
  for _, name in ipairs(self._children) do
    walk(self._members[name], visit, prefix == "" and name or prefix .. "." .. name, seen)
  end
end

-- The members of a kind below self as two lists, names and values; a shared tensor appears
-- once.
local function collect(self, kind)
  local names, values, seen = {}, {}, {}
  walk(self, function(module, prefix)
    for _, name in ipairs(module._tensors) do
      local value = module._members[name]
      if module._kinds[name] == kind and not seen[value] then
        seen[value] = true
        names[#names + 1] = prefix == "" and name or prefix .. "." .. name
        values[#values + 1] = value
      end
    end
  end, "", {})
  return names, values
end

local function iterate(names, values)
  local i = 0
  return function()
    i = i + 1
    return names[i], values[i]
  end
end

--- The parameters as a list, frozen ones too.
function Module:parameters()
  local _, values = collect(self, "parameter")
  return values
end

--- for name, p in net:named_parameters() do ... end
function Module:named_parameters() return iterate(collect(self, "parameter")) end

--- for name, b in net:buffers() do ... end
function Module:buffers() return iterate(collect(self, "buffer")) end

--- for name, m in net:modules() do ... end: this module (named "") and every one below it.
function Module:modules()
  local names, values = {}, {}
  walk(self, function(module, name)
    names[#names + 1], values[#values + 1] = name, module
  end, "", {})
  return iterate(names, values)
end

--- for name, m in net:children() do ... end: the modules directly inside this one.
function Module:children()
  local names, values = {}, {}
  for i, name in ipairs(self._children) do names[i], values[i] = name, self._members[name] end
  return iterate(names, values)
end

--- The module at a dotted path, e.g. net:get "features.0"; nil when there is none.
function Module:get(path)
  local module = self
  for name in path:gmatch "[^.]+" do
    if not module then return nil end
    module = module._kinds[name] == "module" and module._members[name] or nil
  end
  return module
end

--- Dotted path from the outermost module that holds this one; "" for that one itself.
function Module:path()
  local names, module = {}, self
  while parent_of[module] do
    table.insert(names, 1, module._name)
    module = parent_of[module]
  end
  return table.concat(names, ".")
end

--- Calls fn(module) on every module below, then on this one. Returns self.
function Module:apply(fn)
  local all = {}
  for _, module in self:modules() do all[#all + 1] = module end
  for i = #all, 1, -1 do fn(all[i]) end
  return self
end

--- Training mode: dropout draws, batch norm uses and updates batch statistics. `on` = false:
-- evaluation.
function Module:train(on)
  for _, module in self:modules() do module.training = on ~= false end
  return self
end

--- Evaluation mode. Returns self.
function Module:eval() return self:train(false) end

local function set_requires_grad(self, pattern, on)
  local count = 0
  for name, p in self:named_parameters() do
    if not pattern or name:find(pattern) then
      p.requires_grad = on
      count = count + 1
    end
  end
  if count == 0 then
    al.raise(("%s: no parameter's name matches '%s'"):format(self.classname, tostring(pattern)))
  end
  return count
end

--- Stops the training of the parameters whose dotted names match a Lua pattern (all without
-- one); their count.
function Module:freeze(pattern) return set_requires_grad(self, pattern, false) end

--- The reverse of freeze.
function Module:unfreeze(pattern) return set_requires_grad(self, pattern, true) end

--- Forgets the gradients of every parameter.
function Module:zero_grad()
  for _, p in ipairs(self:parameters()) do p.grad = nil end
end

--- Two counts: of the elements of all parameters, and of those that train.
function Module:num_parameters()
  local all, trained = 0, 0
  for _, p in ipairs(self:parameters()) do
    local n = p:numel()
    all = all + n
    if p.requires_grad then trained = trained + n end
  end
  return all, trained
end

--- Casts every floating parameter and buffer. The tensors are new: build the optimizer
-- afterwards.
function Module:to(dtype)
  walk(self, function(module)
    for name, kind in pairs(module._kinds) do
      local value = module._members[name]
      if (kind == "parameter" or kind == "buffer") and value.dtype:find "^float" then
        local cast = value:detach():to(dtype)
        cast.requires_grad = value.requires_grad
        module[name] = cast
      end
    end
  end, "", {})
  return self
end

--- Dotted name -> tensor for every parameter and buffer. The tensors are the module's own,
-- outside the graph; `{ copy = true }` gives copies that later training does not change (held:
-- they outlive the scope).
function Module:state_dict(options)
  local state = {}
  for _, kind in ipairs { "parameter", "buffer" } do
    for name, t in iterate(collect(self, kind)) do
      t = t:detach()
      state[name] = options and options.copy and al.hold(t:clone()) or t
    end
  end
  return state
end

local Report = {}
Report.__index = Report
local MANY = 14 -- names to print of one part
function Report:__tostring()
  local text = ("%d matched"):format(#self.matched)
  for _, part in ipairs { "missing", "unexpected", "skipped" } do
    if #self[part] > 0 then
      local n, more = #self[part], ""
      if n > MANY then n, more = MANY, (" and %d more"):format(n - MANY) end
      text = text .. ("; %d %s: %s%s"):format(#self[part], part,
        table.concat(self[part], ", ", 1, n), more)
    end
  end
  return text .. (self.note and "; " .. self.note or "")
end

local function shape_of(t) return table.concat(t.shape, "x") end

-- Whether state has no name that matches, or one whose shape differs.
local function differs(own, state, pattern)
  local none = true
  for name, target in pairs(own) do
    local value = name:find(pattern) and state[name]
    if value and shape_of(value) ~= shape_of(target) then return true end
    none = none and not value
  end
  return none
end

-- Which names load_state_dict leaves as they are.
local function skipping(own, state, o)
  local patterns = { o.skip }
  for _, head in ipairs(type(o.head) == "table" and o.head or { o.head }) do
    if differs(own, state, head) then patterns[#patterns + 1] = head end
  end
  return function(name)
    for _, pattern in ipairs(patterns) do
      if name:find(pattern) then return true end
    end
    return false
  end
end

local function renamed(state, rules)
  local out = {}
  for name, value in pairs(state) do
    for _, rule in ipairs(rules) do name = name:gsub(rule[1], rule[2]) end
    out[name] = value
  end
  return out
end

--- Copies a state dict's values into the parameters and buffers of the same names.
-- Returns a report { matched, missing, unexpected, skipped }, each a sorted list of names,
-- printable. Options: strict = true raises when a name is missing or unexpected; skip = Lua
-- pattern of names to leave as they are; head = such a pattern, or a list, each in force only
-- where the state has none of those names or a shape differs (a replaced head); rename =
-- { { pattern, replacement }, ... }, applied by string.gsub to the state's names first. A
-- matched name whose shape differs raises. PyTorch's num_batches_tracked is ignored, and so is
-- what is no tensor (a file's metadata).
function Module:load_state_dict(state, options)
  options = options or {}
  if options.rename then state = renamed(state, options.rename) end
  local own = self:state_dict()
  local skip = skipping(own, state, options)
  local report = setmetatable({ matched = {}, missing = {}, unexpected = {}, skipped = {} },
    Report)
  for name in pairs(own) do
    local value = state[name]
    if skip(name) then
      table.insert(report.skipped, name)
    elseif value == nil then
      table.insert(report.missing, name)
    else
      table.insert(report.matched, name)
    end
  end
  for name in pairs(state) do
    if own[name] == nil and al.is_tensor(state[name]) and not name:find "num_batches_tracked$"
      and not skip(name) then
      table.insert(report.unexpected, name)
    end
  end
  for _, names in pairs(report) do table.sort(names) end
  for _, name in ipairs(report.matched) do
    local have, want = shape_of(state[name]), shape_of(own[name])
    if have ~= want then
      al.raise(("%s: %s is %s here, %s in the state dict")
        :format(self.classname, name, want, have))
    end
  end
  if options.strict ~= false and #report.missing + #report.unexpected > 0 then
    al.raise(self.classname .. ": the state dict does not fit: " .. tostring(report))
  end
  al.no_grad(function()
    for _, name in ipairs(report.matched) do own[name]:copy_(state[name]) end
  end)
  return report
end

--- Marks a tensor as trainable, so that assigning it to a module registers a parameter. Returns
-- it.
local function Parameter(tensor)
  tensor = tensor.is_leaf and tensor or tensor:detach()
  tensor.requires_grad = true
  return al.hold(tensor)
end

-- Errors name the module they arose in: the binding looks for `call` on the stack and asks for
-- the module's path.
al.native.set_hook("call", call)
al.native.set_hook("path", function(module) return module:path() end)

--- class(name, [parent]) -> a class of modules: write its init(self, ...) and forward(self,
--- ...), and call it to make one. parent: a class to inherit from, nn.Module by default.
local function class(name, parent) return make_class(name, parent or Module) end

--- path_of(module) -> its dotted path in the network it lies in, "" for the outermost.
local function path_of(module) return module:path() end

return {
  Module = Module, Parameter = Parameter, class = class, is_module = is_module,
  path_of = path_of,
}
