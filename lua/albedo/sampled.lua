-- An op's sample in the registry as a call a reader can type: al.conv2d(al.randn(2, 3, 5, 5),
-- ...).
local unpack = table.unpack or unpack

local Text = {} -- Lua source that stands for a value; arithmetic and methods make more of it

local function source(v)
  if getmetatable(v) == Text then return rawget(v, "text") end
  if type(v) == "string" then return ("%q"):format(v) end
  if type(v) ~= "table" then
    return v == math.huge and "math.huge" or v == -math.huge and "-math.huge"
      or type(v) == "number" and ("%.14g"):format(v) or tostring(v)
  end
  local parts, keys = {}, {}
  for _, e in ipairs(v) do parts[#parts + 1] = source(e) end
  for key in pairs(v) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = ("%s = %s"):format(key, source(v[key]))
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local function made(text) return setmetatable({ text = text }, Text) end

local function call(name, ...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = source((select(i, ...))) end
  return made(("%s(%s)"):format(name, table.concat(parts, ", ")))
end

Text.__index = function(self, name)
  local text = source(self)
  if text:find " [-+*/] [%d.]+$" then text = "(" .. text .. ")" end
  return function(_, ...)
    local y = call(text .. ":" .. name, ...)
    return name == "sort" and made("(" .. source(y) .. ")") or y -- the values, no positions
  end
end

for event, sign in pairs { __add = "+", __sub = "-", __mul = "*", __div = "/" } do
  Text[event] = function(a, b)
    return made(("(%s %s %s)"):format(source(a), sign, source(b)))
  end
end
Text.__unm = function(a) return made("(-" .. source(a) .. ")") end

-- The makers samples are written with; spec/support/samples.lua makes tensors of the same
-- names.
local none = made "nil"
local function maker(name, after)
  return function(...) return made(source(call("al." .. name, ...)) .. (after or "")) end
end
local function sizes(first, ...)
  return type(first) == "table" and first or { first, ... }
end
local env = {
  none = none, math = math, r = maker "randn", uniform = maker "rand",
  pos = maker("rand", " + 0.5"), unit = maker("rand", " - 0.5"), away = maker "randn",
  distinct = maker "randn", mask = maker("rand", ":gt(0.5)"), t = maker "tensor",
}
function env.ints(lo, hi, ...) return call("al.randint", lo, hi, sizes(...)) end
function env.definite(...)
  local s = sizes(...)
  local unit = ("al.eye(%d)"):format(s[#s])
  if #s > 2 then unit = source(call(unit .. ":expand", unpack(s))) end
  return made(unit .. " * 2")
end

--- The calls of an op's sample under `name`, one text each; {} where it has none.
return function(op, name)
  local text = "return { " .. (op.sample or "") .. " }"
  local chunk
  if setfenv then
    chunk = setfenv(assert(loadstring(text)), env)
  else
    chunk = assert(load(text, op.name, "t", env))
  end
  local calls = {}
  for _, list in ipairs(chunk()) do
    local args = {}
    for k, v in ipairs(list) do args[k] = source(v) end
    calls[#calls + 1] = ("al.%s(%s)"):format(name or op.name, table.concat(args, ", "))
  end
  return calls
end
