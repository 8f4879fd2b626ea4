-- Values from one Lua state to another, as a text and a list of tensors.
--
-- What crosses: nil, booleans, numbers, strings; tensors (the storage is shared); tables with
-- their metatables; functions in Lua with their upvalues; whatever a module loaded by require
-- is or holds in a field, by its name. Each table and function arrives once, so that cycles and
-- shared parts stay; globals are those of the other side. Anything else raises, naming where it
-- was met.
local al = require "albedo"

local cross = {}

-- Modules' names: Lua's own first, then albedo's, so that what others hand on is not sought
-- there.
local function module_names()
  local names, rank = {}, { _G = 1 }
  for _, name in ipairs { "coroutine", "debug", "io", "math", "os", "string", "table" } do
    rank[name] = 2
  end
  for name in pairs(package.loaded) do
    if type(name) == "string" then
      names[#names + 1] = name
      rank[name] = rank[name] or name:find "^albedo" and 3 or 4
    end
  end
  table.sort(names, function(a, b)
    if rank[a] ~= rank[b] then return rank[a] < rank[b] end
    return a < b
  end)
  return names
end

-- value -> { module, field }: what can be had on the other side by require.
local function known_values()
  local known, names = {}, module_names()
  local function note(value, module, field)
    local kind = type(value)
    if (kind == "table" or kind == "function") and not known[value] then
      known[value] = { module, field }
    end
  end
  for _, name in ipairs(names) do note(package.loaded[name], name, "") end
  for _, name in ipairs(names) do
    local module = package.loaded[name]
    for field, value in next, type(module) == "table" and module or {} do
      -- a script's own globals are not there on the other side
      local own = name == "_G"
        and (type(value) ~= "function" or debug.getinfo(value, "S").what ~= "C")
      if type(field) == "string" and not own then note(value, name, field) end
    end
  end
  return known
end

local Writer = {}
Writer.__index = Writer

local function put(self, ...)
  for k = 1, select("#", ...) do self.out[#self.out + 1] = (select(k, ...)) end
end
local function put_text(self, text) put(self, "s", #text, ":", text) end

local DEEPEST = 1000 -- tables within tables; far below what the stack holds

local function refuse(self, where, what)
  if #where > 400 then where = where:sub(1, 200) .. " ... " .. where:sub(-100) end
  error(("%s: %s cannot go to a worker: it is %s"):format(self.what, where, what), 0)
end

local function describe(fn)
  local info = debug.getinfo(fn, "S")
  return ("the function at %s:%d"):format(info.short_src, info.linedefined)
end

function Writer:table(t, where)
  put(self, "{")
  for key, value in next, t do
    self:value(key, "a key of " .. where)
    local named = type(key) == "string" and ("%s.%s"):format(where, key)
      or ("%s[%s]"):format(where, tostring(key))
    self:value(value, named)
  end
  put(self, "}")
  self:value(debug.getmetatable(t), "the metatable of " .. where)
end

function Writer:fn(fn, where)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" then refuse(self, where, "a function in C, of no module") end
  put(self, "F")
  put_text(self, string.dump(fn))
  local i = 1
  while true do
    local name, value = debug.getupvalue(fn, i)
    if not name then break end
    put(self, "u")
    if name == "_ENV" then value = package.loaded._G end
    self:value(value, ("upvalue '%s' of %s"):format(name, describe(fn)))
    i = i + 1
  end
  put(self, ".")
end

function Writer:value(value, where)
  local kind = type(value)
  if kind == "nil" then put(self, "n")
  elseif kind == "boolean" then put(self, value and "t" or "f")
  elseif kind == "string" then put_text(self, value)
  elseif kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then
      put(self, value ~= value and "x" or value > 0 and "+" or "-")
    elseif math.type and math.type(value) == "integer" then
      put(self, "i", ("%d;"):format(value))
    else
      put(self, "d", ("%.17g;"):format(value))
    end
  elseif al.is_tensor(value) then
    local k = self.place[value]
    if not k then
      k = #self.tensors + 1
      self.tensors[k], self.place[value] = value, k
    end
    put(self, "T", k, value.requires_grad and value.is_leaf and "g;" or ";")
  elseif self.known[value] then
    put(self, "M")
    put_text(self, self.known[value][1])
    put_text(self, self.known[value][2])
  elseif kind == "table" or kind == "function" then
    if self.place[value] then return put(self, "R", self.place[value], ";") end
    self.count = self.count + 1
    self.place[value] = self.count
    self.depth = self.depth + 1
    if self.depth > DEEPEST then refuse(self, where, "too deep, within 1000 others") end
    if kind == "table" then self:table(value, where) else self:fn(value, where) end
    self.depth = self.depth - 1
  else
    refuse(self, where, "a " .. (kind == "userdata" and "userdata" or kind))
  end
end

--- The values of a list, and `what` for errors: a text and a list of tensors.
function cross.pack(what, values, count)
  local self = setmetatable({ what = what, out = {}, tensors = {}, place = {}, count = 0,
    depth = 0, known = known_values() }, Writer)
  for k = 1, count do
    self:value(values[k], values.names and values.names[k] or "value " .. k)
  end
  return table.concat(self.out), self.tensors
end

-- ---- reading --------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

function Reader:number(last)
  local to = self.text:find(last, self.at, true)
  local digits = self.text:sub(self.at, to - 1)
  self.at = to + 1
  return digits
end

local function string_of(self)
  local n = tonumber(self:number ":")
  self.at = self.at + n
  return self.text:sub(self.at - n, self.at - 1)
end

local read = {
  n = function() return nil end, t = function() return true end,
  f = function() return false end,
  x = function() return 0 / 0 end, ["+"] = function() return math.huge end,
  ["-"] = function() return -math.huge end,
  s = string_of,
  i = function(self) return tonumber(self:number ";") end,
  d = function(self) return tonumber(self:number ";") + 0.0 end,
  R = function(self) return self.met[tonumber(self:number ";")] end,
  T = function(self)
    local k, grad = self:number(";"):match "^(%d+)(g?)$"
    local t = self.tensors[tonumber(k)]
    if grad == "g" then t.requires_grad = true end
    return t
  end,
  M = function(self)
    local module, field = self:value(), self:value()
    local value = require(module)
    if field ~= "" then value = value[field] end
    if value == nil then error(("%s.%s is not there"):format(module, field), 0) end
    return value
  end,
}

read["{"] = function(self)
  local t = {}
  self.met[#self.met + 1] = t
  while self.text:sub(self.at, self.at) ~= "}" do
    local key = self:value()
    t[key] = self:value()
  end
  self.at = self.at + 1
  return debug.setmetatable(t, self:value())
end

function read.F(self)
  local place = #self.met + 1
  self.met[place] = false
  self.at = self.at + 1
  local fn = assert((loadstring or load)(string_of(self)))
  self.met[place] = fn
  local i = 1
  while self.text:sub(self.at, self.at) == "u" do
    self.at = self.at + 1
    debug.setupvalue(fn, i, (self:value()))
    i = i + 1
  end
  self.at = self.at + 1
  return fn
end

function Reader:value()
  local tag = self.text:sub(self.at, self.at)
  self.at = self.at + 1
  return read[tag](self)
end

--- What pack was given.
function cross.unpack(text, tensors)
  local self = setmetatable({ text = text, tensors = tensors, at = 1, met = {} }, Reader)
  local out, n = {}, 0
  while self.at <= #text do
    n = n + 1
    out[n] = self:value()
  end
  return out, n
end

return cross
