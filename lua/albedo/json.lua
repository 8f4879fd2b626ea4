--- al.json: JSON that never loses a run to one bad value.
--
--   al.json.encode(value [, { indent = true }])  -> text, notes
--   al.json.decode(text)                         -> value; null is al.json.null
--   al.json.write(path, value), al.json.read(path [, { max_bytes = 4e9 }])
--
-- Reading, and the escaping of strings, is lua-cjson's. Writing differs from it where a
-- measurement would suffer: numbers have the 15 to 17 digits that give them back, keys are
-- sorted, an empty table is [] (al.json.object({}) gives {}), tensors become numbers or nested
-- lists. What JSON cannot hold becomes null, and is noted: NaN, infinities, functions, cycles.
-- Where the whole is an object, the notes stand in it under "notes".

local json = {}

local found, cjson = pcall(require, "cjson")
if found then
  cjson = cjson.new()
  cjson.decode_max_depth(512)
end

local function library(level)
  if not found then
    error("al.json needs the package lua-cjson (apt-get install lua-cjson)", level + 1)
  end
  return cjson
end

json.null = found and cjson.null
  or setmetatable({}, { __tostring = function() return "null" end })

local Object = { __name = "albedo.json.object" }

--- Marks a table to be written as an object even when it is empty. Returns it.
function json.object(t) return setmetatable(t or {}, Object) end

-- Invalid UTF-8, byte by byte, becomes U+FFFD, so that every reader accepts the file.
local REPLACEMENT = "\239\191\189"
local function clean(s)
  if not s:find "[\128-\255]" then return s end
  local out, i = {}, 1
  while i <= #s do
    local a, b, c, d = s:byte(i, i + 3)
    local function more(x, low, high) return x and x >= (low or 128) and x <= (high or 191) end
    local n = a < 128 and 1
      or a >= 194 and a <= 223 and more(b) and 2
      or a >= 224 and a <= 239 and more(b, a == 224 and 160, a == 237 and 159) and more(c) and 3
      or a >= 240 and a <= 244 and more(b, a == 240 and 144, a == 244 and 143) and more(c)
        and more(d) and 4
    out[#out + 1] = n and s:sub(i, i + n - 1) or REPLACEMENT
    i = i + (n or 1)
  end
  return table.concat(out)
end

local function quote(s)
  return (library(3).encode(clean(s)):gsub("\\/", "/"))
end

local integer = math.type or function() return nil end

-- The shortest of 15, 16, 17 digits that reads back as the same number.
local function number(v)
  if integer(v) == "integer" then return ("%d"):format(v) end
  for digits = 15, 16 do
    local text = ("%." .. digits .. "g"):format(v)
    if tonumber(text) == v then return text end
  end
  return ("%.17g"):format(v)
end

-- A list has keys 1..n and no other; returns n, or nil.
local function list_length(t)
  if getmetatable(t) == Object then return nil end
  local n = #t
  local count = 0
  for key in pairs(t) do
    if type(key) ~= "number" or key < 1 or key > n or key % 1 ~= 0 then return nil end
    count = count + 1
  end
  return count == n and n or nil
end

local function sorted_keys(t)
  local keys, value_of = {}, {}
  for key, value in pairs(t) do
    local name = type(key) == "number" and number(key) or tostring(key)
    if value_of[name] == nil then keys[#keys + 1] = name end
    value_of[name] = value
  end
  table.sort(keys)
  return keys, value_of
end

local function plain(v)
  local kind = type(v)
  return kind == "number" or kind == "boolean" or kind == "string" and #v < 40
end

local Writer = {}
Writer.__index = Writer

function Writer:note(path, what)
  self.notes[#self.notes + 1] = (path == "" and "the value" or path) .. ": " .. what
  return "null"
end

function Writer:join(open, parts, close, depth, flat)
  if #parts == 0 then return open .. close end
  if not self.indent then return open .. table.concat(parts, ",") .. close end
  if flat then return open .. table.concat(parts, ", ") .. close end
  local inner, outer = "\n" .. ("  "):rep(depth + 1), "\n" .. ("  "):rep(depth)
  return open .. inner .. table.concat(parts, "," .. inner) .. outer .. close
end

function Writer:table(t, path, depth)
  if self.open[t] then return self:note(path, "a table within itself") end
  if depth > 200 then return self:note(path, "nested too deeply") end
  self.open[t] = true
  local n, parts, flat = list_length(t), {}, true
  local text
  if n then
    for i = 1, n do
      flat = flat and plain(t[i])
      parts[i] = self:value(t[i], ("%s[%d]"):format(path, i), depth + 1)
    end
    text = self:join("[", parts, "]", depth, flat)
  else
    local keys, value_of = sorted_keys(t)
    for i, key in ipairs(keys) do
      local below = path == "" and key or path .. "." .. key
      parts[i] = quote(key) .. (self.indent and ": " or ":")
        .. self:value(value_of[key], below, depth + 1)
    end
    if depth == 0 and #self.notes > 0 and value_of.notes == nil then
      parts[#parts + 1] = quote "notes" .. (self.indent and ": " or ":")
        .. self:value(self.notes, "notes", depth + 1)
    end
    text = self:join("{", parts, "}", depth, false)
  end
  self.open[t] = nil
  return text
end

-- A tensor as a number or nested lists; nil when v is none, or cannot be read (released).
local function from_tensor(v)
  local ok, value = pcall(function()
    if #v.shape == 0 then return v:item() end
    return v:totable()
  end)
  if ok then return value end
  return nil
end

function Writer:value(v, path, depth)
  local kind = type(v)
  if v == nil or v == json.null then return "null" end
  if kind == "string" then
    return quote(v)
  elseif kind == "number" then
    if v ~= v then return self:note(path, "NaN") end
    if v == math.huge or v == -math.huge then
      return self:note(path, v > 0 and "infinity" or "-infinity")
    end
    return number(v)
  elseif kind == "boolean" then
    return tostring(v)
  elseif kind == "table" then
    return self:table(v, path, depth)
  end
  local value = kind == "userdata" and from_tensor(v)
  if value == nil or value == false and kind ~= "userdata" then
    return self:note(path, "a " .. kind)
  end
  return self:value(value, path, depth)
end

--- The JSON text of a value, and the list of what became null in it (nil when nothing did).
function json.encode(value, options)
  library(2)
  local writer = setmetatable({ notes = {}, open = {}, indent = options and options.indent },
    Writer)
  local text = writer:value(value, "", 0)
  return text, #writer.notes > 0 and writer.notes or nil
end

-- cjson reads every number as a float; whole ones are integers for us, where there are
-- integers.
local to_integer = math.tointeger or function(v) return v end
local function integers(t)
  for key, value in pairs(t) do
    if type(value) == "number" then
      if value >= -2 ^ 53 and value <= 2 ^ 53 then t[key] = to_integer(value) or value end
    elseif type(value) == "table" then
      integers(value)
    end
  end
  return t
end

--- The value of a JSON text; an error says where it is wrong.
function json.decode(text)
  local ok, value = pcall(library(2).decode, text)
  if not ok then error("al.json: " .. tostring(value), 2) end
  return integers({ value })[1]
end

--- Writes a value to a file, indented, whole or not at all. Returns the notes of encode.
function json.write(path, value)
  local text, notes = json.encode(value, { indent = true })
  json.write_file(path, text .. "\n")
  return notes
end

--- Replaces a file by `text`: written under another name first, then renamed.
function json.write_file(path, text)
  local temporary = path .. ".new"
  local file, message = io.open(temporary, "wb")
  if not file then error("cannot write " .. tostring(message), 2) end
  local ok, reason = file:write(text)
  local closed, late = file:close()
  if ok and closed then ok, reason = os.rename(temporary, path) end
  if not (ok and closed) then
    os.remove(temporary)
    error(("cannot write %s: %s"):format(path, tostring(reason or late)), 2)
  end
end

-- What a JSON text may take as tables: 80 bytes each, 40 a value with its key, beside the text.
local function weight(text)
  local _, tables = text:gsub("[%[{]", "%0")
  local _, values = text:gsub(",", "%0")
  return #text + 80 * tables + 40 * values
end

--- The value in a JSON file. Options: max_bytes (4e9), of the file and of what its tables take.
function json.read(path, opts)
  local limit = require "albedo.options"("json.read", opts, { max_bytes = 4e9 }).max_bytes
  local file, message = io.open(path, "rb")
  if not file then error("cannot read " .. tostring(message), 2) end
  local size = file:seek "end"
  file:seek "set"
  local text = size <= limit and file:read "*a" or ""
  file:close()
  if 80 * size > limit then size = math.max(size, weight(text)) end
  if size > limit then
    error(("%s: takes %.0f bytes, more than max_bytes = %.0f"):format(path, size, limit), 2)
  end
  local ok, value = pcall(json.decode, text)
  if not ok then error(path .. ": " .. tostring(value), 2) end
  return value
end

return json
