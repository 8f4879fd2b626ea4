-- The REPL of `make repl`: Lua's own, with completion, saved history and hints.
--
--   lua5.4 -l albedo -e 'require "albedo.repl"()'
--
-- Line editing is GNU readline's, through Debian's lua-readline, where it is installed:
-- readline is under the GPL, so nothing else here asks for it, and without it lines are read
-- plainly.
local al = require "albedo"
local catalog = require "albedo.catalog"
local suggest = require "albedo.suggest"
local text_of = require "albedo.text"

local repl = {}

-- ---- completion
-- ------------------------------------------------------------------------------

local hidden = { init = true, describe = true, extend = true } -- for those who write a class

-- Adds to `set` what a value answers to by name; methods: only what can be called with a colon.
local function members(set, value, methods)
  local function add(t)
    for key, v in pairs(t) do
      if type(key) == "string" and key:find "^[%a][%w_]*$"
        and (not methods or type(v) == "function" or al.nn.is_module(v)) then
        set[key] = v
      end
    end
  end
  if al.is_tensor(value) then
    add(al.native.methods)
    if not methods then add(al.native.fields) end
    return
  end
  if type(value) == "string" then return add(string) end
  if type(value) ~= "table" then return end
  add(value)
  if al.nn.is_module(value) then
    if not methods then return add(rawget(value, "_members")) end
    local class = getmetatable(value)
    while class do
      for name, v in pairs(class) do
        if type(v) == "function" and not hidden[name] then set[name] = v end
      end
      class = class.super
    end
    return
  end
  local meta = getmetatable(value)
  if type(meta) ~= "table" then return end
  if value == al then
    for _, name in ipairs(catalog.parts) do set[name] = true end
    for _, entry in ipairs(catalog.names()) do
      if entry.kind == "function" and not entry.part then set[entry.path] = true end
    end
  end
  for name in pairs(rawget(meta, "homes") or {}) do
    set[name] = methods and nil or true
  end
  if type(rawget(meta, "__index")) == "table" then add(meta.__index) end
end

-- The value of "net.layer1[2].conv", by raw look-ups and what modules and parts hold: nothing
-- is called. nil when something on the way is missing.
local function value_of(expression, globals)
  local value, rest = globals, expression
  while rest ~= "" do
    local name, after = rest:match "^%.?([%a_][%w_]*)(.*)$"
    local key = name
    if not name then
      local number
      number, after = rest:match "^%[(%-?%d+)%](.*)$"
      key = tonumber(number)
    end
    if key == nil then return nil end
    local ok, v = pcall(function() return value[key] end)
    if not ok or v == nil then return nil end
    value, rest = v, after
  end
  return value
end

--- What the end of a line can become: a list of whole words, each beginning with the line's
--- last word ("net.la" -> "net.layer1", "x:so" -> "x:softmax(", "al.help \"con" -> names).
function repl.complete(line, globals)
  globals = globals or _G
  local asked = line:match "help%s*%(?%s*[\"']([%w_.:]*)$"
  local list, set = {}, {}
  local stem, word
  if asked then
    stem, word = "", asked
    for _, entry in ipairs(catalog.names()) do set[entry.path] = true end
    for name in pairs(catalog.ops()) do set[name] = true end
    for _, part in ipairs(catalog.parts) do set[part] = true end
  else
    local path = line:match "[%a_][%w_.:%[%]%-]*$" or ""
    local many, digits = path:match "^(.*)%[(%d*)$"
    if many then -- the children of a Sequential, by position
      local value = value_of(many, globals)
      for i = 1, al.nn.is_module(value) and #rawget(value, "_children") or 0 do
        if tostring(i):sub(1, #digits) == digits then
          list[#list + 1] = ("%s[%d]"):format(many, i)
        end
      end
      return list
    end
    local owner, sign, last = path:match "^(.*)([.:])([%w_]*)$"
    if owner then
      local value = value_of(owner, globals)
      if value == nil then return {} end
      stem, word = owner .. sign, last
      members(set, value, sign == ":")
    else
      stem, word = "", path
      for name, v in pairs(globals) do
        if type(name) == "string" then set[name] = v end
      end
      for name in ("and break do else elseif end false for function if in local nil not or "
        .. "repeat return then true until while"):gmatch "%a+" do
        set[name] = true
      end
    end
  end
  for name in pairs(set) do
    -- in-place forms and private names only when asked for
    if name:sub(1, #word) == word and (word:find "_" or not name:find "_$")
      and (word:find "^_" or not name:find "^_") then
      list[#list + 1] = stem .. name
    end
  end
  table.sort(list)
  return list
end

-- ---- running
-- ----------------------------------------------------------------------------------

-- What a mistyped name may have been, for Lua's own errors: "... method 'paramters' ...".
local function hint(message, globals)
  local kind, name = message:match "(%a+) '([%w_]+)'"
  if not name or message:find "did you mean" then return "" end
  if kind == "global" then
    local reserved = { al = true }
    for key in pairs(al.ops) do
      if key == name then return (": did you mean al.%s?"):format(name) end
    end
    return suggest(name, globals, reserved)
  end
  if kind == "method" or kind == "field" then
    return suggest(name, al.nn.Module, al.native.methods, al.optim.Optimizer)
  end
  return ""
end

local unpack = table.unpack or unpack

local function show_values(values)
  for i = 1, values.n do
    io.write(text_of(values[i]), "\n")
  end
end

-- What is between the reader and the traceback of no interest: a syntax error or a message
-- alone.
local function handler(message)
  if type(message) ~= "string" then
    local meta = getmetatable(message)
    return meta and meta.__tostring and tostring(message)
      or "(error object is a " .. type(message) .. ")"
  end
  local trace, lines = debug.traceback("", 2), {}
  for line in trace:gmatch "[^\n]+" do
    if line:find "albedo/repl" or line:find "%[C%]: in function 'xpcall'" then break end
    if line:find "^\t" and not line:find "lua/albedo/" and not line:find "%[C%]" then
      lines[#lines + 1] = line
    end
  end
  return message .. (#lines > 1 and "\n" .. table.concat(lines, "\n") or "")
end

local compile = loadstring or load

--- Compiles a line: as an expression, else as statements. Returns the chunk; nil and true when
--- the line is not yet complete; nil and the error.
function repl.compile(text)
  text = text:gsub("^%s*=", "return ")
  local chunk = compile("return " .. text, "=stdin")
  if chunk then return chunk end
  local message
  chunk, message = compile(text, "=stdin")
  if chunk then return chunk end
  if message:find "<eof>" or message:find "'<eof>'" then return nil, true, message end
  return nil, message
end

-- Runs a chunk and prints its results, or the error with a hint.
function repl.run(chunk, globals)
  local function pack(...) return { n = select("#", ...), ... } end
  local results = pack(xpcall(chunk, handler))
  if not results[1] then
    local first, rest = tostring(results[2]):match "^([^\n]*)(.*)$"
    local more = first == "interrupted!"
      and " (Lua's interpreter catches one: the next Ctrl-C ends the session)"
    io.stderr:write(first, more or hint(first, globals or _G), rest, "\n")
    return false
  end
  local values = { n = results.n - 1, unpack(results, 2, results.n) }
  local ok, message = pcall(show_values, values)
  if not ok then io.stderr:write(tostring(message), "\n") end
  return ok
end

local KEPT = 2000 -- lines of history

local function history_file()
  local base = os.getenv "XDG_STATE_HOME"
  if base and base ~= "" then return base .. "/albedo_history" end
  return (os.getenv "HOME" or "/tmp") .. "/.albedo_history"
end

--- Whether a file can be added to: not a folder, nor in one that may not be written.
function repl.writable(path)
  local file = io.open(path, "a")
  return file ~= nil and file:close() and true
end

-- Adds a line to the history at once (a session that is killed loses none); without a line,
-- cuts a file that grew to twice what is kept.
local function remember(path, line)
  local file = io.open(path, line and "a" or "r")
  if not file then return end
  if line then file:write(line, "\n") return file:close() end
  local lines = {}
  local ok = pcall(function() -- a folder opens, and raises when it is read
    for l in file:lines() do lines[#lines + 1] = l end
  end)
  file:close()
  if not ok then return end
  if #lines < 2 * KEPT then return end
  file = io.open(path, "w")
  if file then
    file:write(table.concat(lines, "\n", #lines - KEPT + 1), "\n")
    file:close()
  end
end

-- read(prompt) -> line, nil at the end; what to say about it.
local function reader()
  local ok, readline = pcall(require, "readline")
  if not ok or not require("albedo.terminal").is_tty() then
    return function(prompt)
      io.write(prompt)
      io.flush()
      return io.read "*l"
    end, not ok and "no completion or history: lua-readline is not installed"
  end
  local path, last = history_file(), nil
  local kept = pcall(remember, path) and repl.writable(path)
  if not kept or not pcall(readline.set_options, { histfile = path, completion = true }) then
    kept = false
    pcall(readline.set_options, { histfile = "", completion = true })
  end
  readline.set_complete_function(function(text, from, to)
    local ok_, list = pcall(repl.complete, text:sub(1, to))
    if not ok_ then return {} end
    -- readline replaces text[from + 1 .. to]; words here begin earlier, at the owner
    local head = text:sub(1, to):match "[%a_][%w_.:%[%]%-]*$" or ""
    local before = math.max(0, #head - (to - from))
    local matches = {}
    for i, word in ipairs(list) do matches[i] = word:sub(before + 1) end
    readline.set_completion_append_character ""
    return matches
  end)
  return function(prompt)
    local line = readline.readline(prompt)
    if kept and line and line:find "%S" and line ~= last then
      remember(path, line)
      last = line
    end
    return line
  end, "Tab completes, " .. (kept and "history in " .. path
    or "no history: " .. path .. " cannot be written")
end

-- print shows plain tables by what they hold, as the REPL shows values.
local function print_values(...)
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = text_of((select(i, ...))) end
  io.write(table.concat(texts, "\t"), "\n")
end

--- Reads, runs and prints until the end of input or exit().
function repl.start()
  _G.al = al
  local read, note = reader()
  print(("%s, Albedo %s as al: al.help() helps, Ctrl-D ends")
    :format(_VERSION, al.version().version))
  if note then print(note) end
  _G.print = print_values
  local leaving = false
  _G.exit = function() leaving = true end
  while not leaving do
    local ok, text = pcall(read, "> ")
    if not ok then text = "" end -- interrupted: a fresh line
    if not text then break end
    local chunk, more, message = repl.compile(text)
    while more == true do
      local fine, line = pcall(read, ">> ")
      if not fine or not line then more = fine and message or nil break end
      text = text .. "\n" .. line
      chunk, more, message = repl.compile(text)
    end
    if chunk then
      if text:find "%S" then repl.run(chunk) end
    elseif type(more) == "string" then
      io.stderr:write(more, "\n")
    end
  end
  if not leaving then print "" end
end

return setmetatable(repl, { __call = function(_, ...) return repl.start(...) end })
