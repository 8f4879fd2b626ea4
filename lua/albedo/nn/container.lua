--- Containers: Sequential runs its children in order, ModuleList only holds them.
-- `net[1]` is the first child, `net[-1]` the last, `#net` their count; in parameter names they
-- count from 0.

local module = require "albedo.nn.module"
local simple = require "albedo.nn.simple"
local class, is_module = module.class, module.is_module

-- Base of both: a module whose members are its children, in order.
local List = class "ModuleList"

--- nn.ModuleList { a, b, c }: each a module or a function (which becomes nn.Fn).
function List:init(list)
  for _, value in ipairs(list or {}) do self:add(value) end
end

--- Appends a child: net:add(module), or under a name of its own, net:add("conv0", module).
-- Returns self.
function List:add(name, value)
  if value == nil then name, value = tostring(#self._children), name end
  if type(value) == "function" then value = simple.Fn(value) end
  if not is_module(value) then
    error(("%s: child %s is a %s, not a module"):format(self.classname, name, type(value)), 2)
  end
  self[name] = value
  return self
end

local Sequential = List:extend "Sequential"

--- nn.Sequential { a, b, c }: runs its children, modules or functions, each on the last one's
-- result.
function Sequential:forward(x)
  local members = self._members
  for _, name in ipairs(self._children) do x = members[name](x) end
  return x
end

--- A Sequential of the children first .. last (both included, negative from the end), the
-- modules shared.
function Sequential:slice(first, last)
  local n, part = #self._children, Sequential()
  last = last or n
  for i = first < 0 and n + 1 + first or first, last < 0 and n + 1 + last or last do
    part:add(self[i])
  end
  return part
end

return { Sequential = Sequential, ModuleList = List }
