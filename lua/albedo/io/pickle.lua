--- Python's pickles as torch.save writes them (protocols 0 to 5), read without running
-- anything: the stack machine of pickletools, in which the few callables of tensors and
-- containers are known by name and everything else is refused.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local le = bytes.le

local MARK, NONE = {}, {}
local DEEPEST = 4000000 -- values on the stack; Python's own pickler keeps to about a thousand
local CONTAINER = 200 -- bytes one takes, about

-- Known names: module and name -> what calls of it give, from the machine and the arguments.
local CALLS = {
  ["collections OrderedDict"] = function(m, args)
    local dict = m:make "dict"
    for _, pair in ipairs(args[1] or {}) do m:set(dict, pair[1], pair[2]) end
    return dict
  end,
  ["torch._utils _rebuild_tensor_v2"] = function(m, args) return m.rebuild(m, args) end,
  ["torch._utils _rebuild_parameter"] = function(_, args) return args[1] end,
  ["torch._utils _rebuild_parameter_with_state"] = function(_, args) return args[1] end,
  ["torch Size"] = function(_, args) return args[1] end,
  ["torch device"] = function(_, args) return args[1] end,
}
for _, module in ipairs { "builtins", "__builtin__" } do
  for _, name in ipairs { "set", "frozenset", "list", "tuple" } do
    CALLS[module .. " " .. name] = function(m, args) return args[1] or m:make "list" end
  end
end

-- torch's storages and dtypes are names too; anything else could be code.
local function known(name)
  return CALLS[name] or name:find "^torch %w+Storage$" or name:find "^torch [%l]+%d*$"
end

local Machine = {}
Machine.__index = Machine

function Machine:fail(message, ...)
  bytes.fail(self.path, "its pickle %s", message:format(...))
end

--- A new container of a kind: list, dict, tuple, name.
function Machine:make(kind, value)
  value = value or {}
  self.made = self.made + 1
  if self.made > self.most then self:fail "makes more containers than max_bytes allows" end
  self.kinds[value] = kind
  return value
end

function Machine:set(dict, key, value)
  local kind = type(key)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" or key ~= key then
    self:fail "has a key that is no string or number"
  end
  dict[key] = value
end

function Machine:push(v)
  self.n = self.n + 1
  if self.n > DEEPEST then self:fail "piles up more values than any real one" end
  self.stack[self.n] = v
end

function Machine:pop()
  local v = self.stack[self.n]
  if self.n == 0 or v == MARK then self:fail "takes more from its stack than there is" end
  self.stack[self.n] = nil
  self.n = self.n - 1
  return v
end

-- What lies above the last mark, which goes.
function Machine:above_mark()
  local at = self.n
  while at > 0 and self.stack[at] ~= MARK do at = at - 1 end
  if at == 0 then self:fail "has no mark where one belongs" end
  local list = {}
  for k = at + 1, self.n do list[k - at] = self.stack[k] end
  for k = at, self.n do self.stack[k] = nil end
  self.n = at - 1
  return list
end

function Machine:top(kind)
  local v = self.stack[self.n]
  if v == nil or self.kinds[v] ~= kind then self:fail("wants a %s that is not there", kind) end
  return v
end

-- The next n bytes.
function Machine:take(n)
  if n < 0 or self.at + n - 1 > #self.text then self:fail "ends early" end
  local s = self.text:sub(self.at, self.at + n - 1)
  self.at = self.at + n
  return s
end

function Machine:number(n) return le(self:take(n), 1, n) end

function Machine:line()
  local stop = self.text:find("\n", self.at, true)
  if not stop then self:fail "ends early" end
  local s = self.text:sub(self.at, stop - 1)
  self.at = stop + 1
  return s
end

-- Two's complement of n bytes; beyond 2^63 a float.
local function signed(s)
  local n = #s
  if n == 0 then return 0 end
  local v = le(s, 1, math.min(n, 8))
  if n > 8 then
    v = 0.0
    for k = n, 1, -1 do v = v * 256.0 + s:byte(k) end
  end
  if s:byte(n) >= 128 and v > 0 then v = v - 256 ^ n end
  return math.tointeger and math.tointeger(v) or v
end

function Machine:global(module, name)
  local full = module .. " " .. name
  if not known(full) then
    self:fail("asks for %s.%s: only tensors, containers, numbers and strings are read, no code "
      .. "runs", module:gsub("%c", "?"):sub(1, 60), (name:gsub("%c", "?"):sub(1, 60)))
  end
  local dtype = full:match "^torch (%l+%d*)$"
  self:push(dtype and not CALLS[full] and dtype or self:make("name", { full }))
end

function Machine:call()
  local args, f = self:pop(), self:pop()
  if self.kinds[f] ~= "name" or self.kinds[args] ~= "tuple" or not CALLS[f[1]] then
    self:fail "calls what is no known function"
  end
  for k = 1, #args do if args[k] == NONE then args[k] = false end end
  self:push(CALLS[f[1]](self, args))
end

function Machine:memo(key)
  local v = self.stack[self.n]
  if v == nil or v == MARK then self:fail "keeps what is not there" end
  self.memory[key] = v
end

function Machine:recall(key)
  local v = self.memory[key]
  if v == nil then self:fail "recalls what it never kept" end
  self:push(v)
end

function Machine:pairs(list, dict)
  if #list % 2 == 1 then self:fail "has a key without a value" end
  for k = 1, #list, 2 do self:set(dict, list[k], list[k + 1]) end
end

function Machine:tuple(n)
  local t = {}
  for k = n, 1, -1 do t[k] = self:pop() end
  self:push(self:make("tuple", t))
end

-- ---- the operations, by their byte -----

local OPS = {}
local function text_of(n) return function(m) m:push(m:take(m:number(n))) end end
local function value(v) return function(m) m:push(v) end end

OPS["\128"] = function(m) m:take(1) end -- PROTO
OPS["\149"] = function(m) m:take(8) end -- FRAME
OPS["("] = value(MARK)
OPS["0"] = function(m)
  if m.stack[m.n] == MARK then m:above_mark() else m:pop() end
end
OPS["1"] = function(m) m:above_mark() end
OPS["2"] = function(m)
  local v = m:pop()
  m:push(v)
  m:push(v)
end
OPS["N"], OPS["\136"], OPS["\137"] = value(NONE), value(true), value(false)
OPS["J"] = function(m) m:push(signed(m:take(4))) end
OPS["K"] = function(m) m:push(m:number(1)) end
OPS["M"] = function(m) m:push(m:number(2)) end
OPS["\138"] = function(m) m:push(signed(m:take(m:number(1)))) end
OPS["\139"] = function(m)
  local n = m:number(4)
  if n > 1000 then m:fail "holds a number of more than 1000 bytes" end
  m:push(signed(m:take(n)))
end
OPS["G"] = function(m)
  local raw = al.from_bytes(m:take(8), "uint8")
  m:push(al.block_decode(raw, 0, "F64", {}, { big = true }):item())
end
for _, letter in ipairs { "I", "L", "F" } do
  OPS[letter] = function(m)
    local line = m:line()
    if letter == "I" and (line == "00" or line == "01") then return m:push(line == "01") end
    local v = tonumber((line:gsub("L$", "")))
    if not v then m:fail "holds a number that is none" end
    m:push(v)
  end
end
OPS["X"], OPS["T"], OPS["B"] = text_of(4), text_of(4), text_of(4)
OPS["\140"], OPS["U"], OPS["C"] = text_of(1), text_of(1), text_of(1)
OPS["\141"], OPS["\142"], OPS["\150"] = text_of(8), text_of(8), text_of(8)
OPS["V"] = function(m) m:push(m:line()) end
OPS["S"] = function(m) m:push((m:line():gsub("^['\"](.*)['\"]$", "%1"))) end
OPS["]"] = function(m) m:push(m:make "list") end
OPS["\143"] = OPS["]"]
OPS["}"] = function(m) m:push(m:make "dict") end
OPS[")"] = function(m) m:tuple(0) end
OPS["\133"] = function(m) m:tuple(1) end
OPS["\134"] = function(m) m:tuple(2) end
OPS["\135"] = function(m) m:tuple(3) end
OPS["t"] = function(m) m:push(m:make("tuple", m:above_mark())) end
OPS["l"] = function(m) m:push(m:make("list", m:above_mark())) end
OPS["\145"] = OPS["l"]
OPS["d"] = function(m)
  local list, dict = m:above_mark(), m:make "dict"
  m:pairs(list, dict)
  m:push(dict)
end
OPS["a"] = function(m)
  local v = m:pop()
  table.insert(m:top "list", v)
end
OPS["e"] = function(m)
  local list = m:above_mark()
  local to = m:top "list"
  for _, v in ipairs(list) do to[#to + 1] = v end
end
OPS["\144"] = OPS["e"]
OPS["s"] = function(m)
  local v, key = m:pop(), m:pop()
  m:set(m:top "dict", key, v)
end
OPS["u"] = function(m)
  local list = m:above_mark()
  m:pairs(list, m:top "dict")
end
OPS["q"] = function(m) m:memo(m:number(1)) end
OPS["r"] = function(m) m:memo(m:number(4)) end
OPS["p"] = function(m) m:memo(tonumber(m:line()) or -1) end
OPS["\148"] = function(m)
  m:memo(m.kept)
  m.kept = m.kept + 1
end
OPS["h"] = function(m) m:recall(m:number(1)) end
OPS["j"] = function(m) m:recall(m:number(4)) end
OPS["g"] = function(m) m:recall(tonumber(m:line()) or -1) end
OPS["c"] = function(m)
  local module = m:line()
  m:global(module, m:line())
end
OPS["\147"] = function(m)
  local name, module = m:pop(), m:pop()
  if type(name) ~= "string" or type(module) ~= "string" then
    m:fail "has a name that is none"
  end
  m:global(module, name)
end
OPS["R"], OPS["\129"] = Machine.call, Machine.call
OPS["b"] = function(m) -- BUILD: an OrderedDict's attributes, such as _metadata
  m:pop()
  m:top "dict"
end
OPS["Q"] = function(m)
  local id = m:pop()
  if m.kinds[id] ~= "tuple" then m:fail "has a storage that is none" end
  m:push(m:make("storage", id))
end

-- The value with None as nil, in place; a list of work, since values nest without a bound.
local function clean(m, top)
  local work, seen = { { top } }, {}
  local first = work[1]
  while #work > 0 do
    local t, names = table.remove(work), {}
    for key in pairs(t) do names[#names + 1] = key end
    for _, key in ipairs(names) do
      local v = t[key]
      local kind = type(v) == "table" and m.kinds[v]
      if kind == "name" or kind == "storage" then m:fail "holds a bare type or storage" end
      if v == NONE then
        t[key] = nil
      elseif kind and not seen[v] then
        seen[v] = true
        work[#work + 1] = v
      end
    end
  end
  return first[1]
end

--- The value of a pickle. rebuild(machine, args) makes a tensor of _rebuild_tensor_v2's
-- arguments; machine.kinds tells lists, tuples, storages and names apart.
return function(path, text, rebuild, max_bytes)
  local m = setmetatable({ path = path, text = text, at = 1, stack = {}, n = 0, memory = {},
    kept = 0, kinds = setmetatable({}, { __mode = "k" }), made = 0,
    most = (max_bytes or 4000000000) / CONTAINER, rebuild = rebuild }, Machine)
  while true do
    local op = m:take(1)
    if op == "." then break end
    local run = OPS[op]
    if not run then m:fail("has the unknown operation %d", op:byte()) end
    run(m)
  end
  return clean(m, m:pop())
end
