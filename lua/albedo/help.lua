--- What is known of ops, functions and classes, for the REPL: al.help "conv2d",
-- al.help "nn.Linear", al.help(al.nn), al.apropos "pool", al.ops.
local al = require "albedo"
local catalog = require "albedo.catalog"
local sampled = require "albedo.sampled"

local help = {}

-- "x:T stride:ints=1 ..." as a call: conv2d(x, w, [b], {stride, pad})
local function usage(name, op)
  local positional, named = {}, {}
  for _, p in ipairs(op.params) do
    if p.named then named[#named + 1] = p.name
    else
      local text = p.name .. (p.variadic and "..." or "")
      positional[#positional + 1] = p.optional and "[" .. text .. "]" or text
    end
  end
  if #named > 0 then positional[#positional + 1] = "{" .. table.concat(named, ", ") .. "}" end
  return name .. "(" .. table.concat(positional, ", ") .. ")"
end
help.usage = usage

local function indent(text) return "  " .. text:gsub("\n", "\n  ") end

-- "2x4x5x5 float32" of each tensor among an example's results.
local function results(call)
  local run = (loadstring or load)("local al = ... return " .. call)
  local state, texts = al.rng_state(), {}
  local ok = pcall(al.scope, function()
    for _, y in ipairs { run(al) } do
      texts[#texts + 1] = al.is_tensor(y)
        and (y.ndim == 0 and "scalar" or table.concat(y.shape, "x")) .. " " .. y.dtype
        or type(y)
    end
  end)
  al.rng_state(state)
  return ok and table.concat(texts, ", ") or nil
end

--- The first call of an op's sample and the shapes it gives: "al.relu(al.randn(3, 4))", "3x4
-- float32". nil without a sample.
function help.example(name, op)
  local call = sampled(op, name)[1]
  local shapes = call and results(call)
  if shapes then return call, shapes end
end

local function place(name)
  local file, line = catalog.source(name)
  return file and ("Source: %s:%d"):format(file, line or 1)
end

local function op_text(name, op)
  local lines = { usage(name, op), indent(op.doc) }
  if op.inplace and name ~= op.name .. "_" then
    lines[#lines + 1] = "  In place: " .. op.name .. "_"
  end
  local also = (op.name == name and "" or op.name .. " ") .. (op.alias or "")
  if also:find "%S" then lines[#lines + 1] = "  Also: " .. also end
  lines[#lines + 1] = "  Signature: " .. op.signature
  if not op.differentiable then lines[#lines + 1] = "  Not differentiable." end
  local call, shapes = help.example(name, op)
  if call then lines[#lines + 1] = ("  Example: %s  --> %s"):format(call, shapes) end
  lines[#lines + 1] = place(name) and "  " .. place(name)
  return table.concat(lines, "\n")
end

-- A part: the header of its file, and what it holds.
local function part_text(part)
  local names, width = {}, 0
  for _, entry in ipairs(catalog.names()) do
    if entry.part == part then names[#names + 1] = entry.path:sub(#part + 2) end
  end
  local lines = { catalog.header(part) or "al." .. part, "", "al." .. part .. " holds:" }
  local line = " "
  for _, name in ipairs(names) do
    if width + #name > 76 then lines[#lines + 1], line, width = line, " ", 0 end
    line, width = line .. " " .. name, width + #name + 1
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local is_part = {}
for _, part in ipairs(catalog.parts) do is_part[part] = true end

-- What an object answers to: "Loader" and its methods, a line each; nil for an unknown class.
local function class_text(class)
  local lines = {}
  for _, m in ipairs(catalog.methods()) do
    if m.class == class and m.name ~= "init" then
      lines[#lines + 1] = ("  %-34s %s"):format(m.call, help.first_sentence(m.text))
    end
  end
  if #lines == 0 then return nil end
  return ("Methods of a %s:\n%s"):format(class, table.concat(lines, "\n"))
end

-- A class, in whatever case; a module's class has the methods of Module.
local function class_of(name)
  for _, m in ipairs(catalog.methods()) do
    if m.class:lower() == name:lower() then return m.class end
  end
  for key, class in pairs(al.nn) do
    if key:lower() == name:lower() and type(class) == "table" then return "Module" end
  end
  if name == "net" or name == "model" then return "Module" end
  if name == "opt" then return "Optimizer" end
end

local function method_text(m)
  return ("%s\n%s\n  Source: lua/albedo/%s:%d"):format(m.path .. m.args, indent(m.text), m.file,
    m.line)
end

-- "Loader:state_dict", "net:freeze" (a method of any object), "t:rows" (one of tensors: nil).
local function of_object(owner, name)
  local class, texts = class_of(owner), {}
  local layer = class and (catalog.value("nn." .. class) or class == "Module")
  for _, m in ipairs(catalog.methods()) do
    local fits = not class or m.class == class or layer and m.class == "Module"
    if fits and m.name:lower() == name:lower() then texts[#texts + 1] = method_text(m) end
  end
  local tensors = not class and (catalog.ops()[name] or al.native.methods[name])
  return not tensors and #texts > 0 and table.concat(texts, "\n\n") or nil
end

local function path_text(name)
  local text = catalog.comment(name)
  if not text then return nil end
  local args, last = catalog.arguments(catalog.value(name)), name:match "[%w_]+$"
  if args and not text:find("^[%w_.:]*" .. last .. "[ ]?[({]") then
    text = ("%s(%s)\n%s"):format(name, table.concat(args, ", "), indent(text))
  end
  local methods, at = class_text(catalog.made_by[name]), place(name)
  return text .. (at and "\n  " .. at or "") .. (methods and "\n" .. methods or "")
end

-- The names whose last parts are `name`: "loader" -> { "data.loader" }, "schedule.cosine" -> {
-- "optim.schedule.cosine" }; by the letters' case where that finds one.
local function endings(name)
  local same, other, low = {}, {}, name:lower()
  local function look(path)
    if path:sub(-#name - 1):find("^[.:]") or #path == #name then
      local tail = path:sub(-#name)
      if tail == name then same[#same + 1] = path
      elseif tail:lower() == low then other[#other + 1] = path end
    end
  end
  for _, entry in ipairs(catalog.names()) do look(entry.path) end
  for alias, op in pairs(catalog.ops()) do if alias ~= op.name then look(alias) end end
  for _, part in ipairs(catalog.parts) do look(part) end
  if #same + #other == 0 then
    for _, m in ipairs(catalog.methods()) do look(m.path) end
  end
  return #same > 0 and same or other
end

-- The text of a name as it stands, or nil.
local function exact(name)
  local owner, method = name:match "^([%w_.]*):([%w_]+)$"
  if owner then
    local text = of_object(owner:match "[%w_]*$", method)
    if text then return text end
    name = method
  end
  local ops = catalog.ops()
  local op = ops[name] or ops[(name:gsub("_$", ""))]
  if op then return op_text(name, op) end
  return path_text(name) or is_part[name] and part_text(name) or nil
end

-- The text of a name, of the only one it ends ("AdamW", "loader", "torch.cat"), or of a class.
local function found(name)
  local text = exact(name)
  if text then return text end
  local last = name:match "[%w_]+$"
  if not last then return nil end
  local list = endings(name)
  if #list == 0 and (name:find "^torch%." or name:find "^F%.") then list = endings(last) end
  if #list == 1 then return exact(list[1]) end
  if #list > 1 then
    table.sort(list)
    return ("%s is the name of several: %s"):format(name, table.concat(list, ", "))
  end
  return class_text(class_of(name))
end

--- Text on an op: its call, documentation, forms, an example with the shapes it gives, its
--- source's file and line; on a function or class by its path within al or the end of it; on
--- an object's method ("Loader:state_dict", "net:freeze"); on a part, what it holds. Raises for
--- an unknown name, with the nearest.
function help.text(name)
  name = name:match("^%s*(.-)%s*$"):gsub("%(.*$", ""):gsub("^albedo%.", ""):gsub("^al%.", "")
  if name == "al" or name == "albedo" then return help.intro() end
  if not name:find "%a" then
    al.raise(("help: \"%s\" is no name; al.help() says what can be asked"):format(name))
  end
  local text = found(name)
  if text then return text end
  local known = {}
  for _, entry in ipairs(catalog.names()) do
    known[entry.path] = true
    known[entry.path:match "[%w_]+$"] = true
  end
  local hint = require("albedo.suggest")(name, catalog.ops(), known)
  al.raise(("help: nothing is known of \"%s\"%s"):format(name, hint))
end

-- The path of a value: al.help(al.relu) serves as al.help "relu".
local function path_of(value)
  for _, part in ipairs(catalog.parts) do
    if al[part] == value then return part end
  end
  for _, entry in ipairs(catalog.names()) do
    if entry.value == value then return entry.path end
  end
  if al.nn.is_module(value) then return path_of(getmetatable(value)) end
end

local INTRO = [[
al.help "conv2d"       an op: its call, shapes, formula, an example, its source
al.help "nn.Linear"    a function or class by its path, or its last name: al.help "loader"
al.help "net:freeze"   a method of a module, loader, report, run; of a tensor: "t:rows"
al.help "nn"           a part, and what it holds: %s
al.apropos "pool"      everything whose name or description holds a word, or all of several
al.show(t)             a picture, a grid of pictures or a curve in the terminal]]

-- What can be asked; the parts as the catalog has them.
function help.intro()
  local lines, line = {}, ""
  for _, part in ipairs(catalog.parts) do
    if #line + #part > 40 then lines[#lines + 1], line = line, "" end
    line = line .. (line == "" and "" or " ") .. part
  end
  lines[#lines + 1] = line
  return INTRO:format(table.concat(lines, "\n" .. (" "):rep(23)))
end

--- help "conv2d", help "nn.Linear", help(al.nn.Linear): prints what is known of an op,
--- function, class, method or part, or, where nothing has the name, what speaks of it; help()
--- says what can be asked.
function help.help(name)
  if name == nil then return print(help.intro()) end
  if type(name) ~= "string" then
    if al.is_tensor(name) then
      return print "a tensor: al.help \"tensor\", or al.help \"t:NAME\" for a method"
    end
    if type(name) ~= "table" and type(name) ~= "function" then
      al.raise(("help: a name or a value of al's is wanted, not %s"):format(tostring(name)))
    end
    name = path_of(name) or al.raise "help: no public function or class of al's; give its name"
  end
  local ok, text = pcall(help.text, name)
  if ok then return print(text) end
  local about = name:find "%a" and help.about(name:match "[%w_ ]+$" or "", true) or {}
  if #about == 0 then al.raise((tostring(text):gsub("^.-(help: )", "%1"))) end
  print(("nothing is named \"%s\"; of it speak:\n%s"):format(name, table.concat(about, "\n")))
end

--- The first sentence of a text: up to a full stop (not that of "e.g." or "1 .. n") or a blank
--- line.
local function first_sentence(text)
  text = (text:match "^(.-)\n[ \t]*\n" or text):gsub("%s+", " ")
  local at = 1
  while true do
    local stop = text:find("%. ", at)
    if not stop then return text end
    local word = text:sub(1, stop - 1):match "[%a)]*$"
    local before = text:sub(stop - 1, stop - 1)
    if before ~= "." and (text:find("^%. [%u\"`{(]", stop)
      or before:find "[%a)]" and not (" al e g i vs "):find(" " .. word .. " ", 1, true)) then
      return text:sub(1, stop)
    end
    at = stop + 1
  end
end
help.first_sentence = first_sentence

-- What apropos and completion say of an entry in a line, its own call left out.
local function summary(entry)
  local text = entry.op and entry.op.doc or entry.text or catalog.comment(entry.path) or ""
  local last = entry.path:match "[%w_]+$"
  text = text:gsub("^[%w_.:]*" .. last .. " ?%b():%s+", ""):gsub("^%b():%s+", "")
    :gsub("^[%w_.]*" .. last .. ":%s+", "")
  return first_sentence(text)
end
help.summary = summary

-- Whether a text holds every word; whole: as words of their own.
local function holds(text, words, whole)
  text = text:lower()
  for _, word in ipairs(words) do
    local at = whole and text:find("%f[%w]" .. word .. "%f[^%w]")
      or not whole and text:find(word, 1, true)
    if not at then return false end
  end
  return true
end

--- Lines on what holds every word of `said` in its name, then on what holds them in its text.
function help.about(said, whole)
  local words, names, others = {}, {}, {}
  for word in said:lower():gmatch "%S+" do words[#words + 1] = word end
  if #words == 0 then return names end
  local function look(entry)
    local text = entry.op and entry.op.doc or entry.text or catalog.comment(entry.path) or ""
    local name = entry.path .. " " .. (entry.op and entry.op.alias or "")
    local named = holds(name, words, whole)
    if named or holds(name .. " " .. text, words, whole) then
      local line = ("%-28s %s"):format((entry.kind == "method" and "t:"
        or entry.kind == "field" and "t." or "") .. entry.path, summary(entry))
      if #line > 100 then line = line:sub(1, 97):gsub("[\128-\255]+$", "") .. "..." end
      table.insert(named and names or others, line)
    end
  end
  for _, entry in ipairs(catalog.names()) do look(entry) end
  for _, method in ipairs(catalog.methods()) do look(method) end
  if #names > 0 and #others > 0 then names[#names + 1] = "-- in the text:" end
  for _, line in ipairs(others) do names[#names + 1] = line end
  return names
end

--- apropos "pool" prints what has a word, or each of several, in its name or its documentation,
--- a line each: first the names that hold it.
function help.apropos(word)
  if type(word) ~= "string" or not word:find "%S" then
    al.raise "apropos: a word is wanted: al.apropos \"pool\""
  end
  local lines = help.about(word)
  print(#lines > 0 and table.concat(lines, "\n") or "nothing holds \"" .. word .. "\"")
end

-- name -> first sentence, of every public op. Aliases (conv2d of conv) can be asked for, but
-- are not counted, nor in-place forms.
help.ops = {}
for _, op in ipairs(al.native.registry()) do
  if not op.hidden and rawget(al, op.name) then help.ops[op.name] = first_sentence(op.doc) end
end
for _, name in ipairs { "split", "chunk" } do
  help.ops[name] = first_sentence(catalog.comment(name) or name)
end
setmetatable(help.ops, { __index = function(_, name)
  local op = catalog.ops()[name]
  return op and first_sentence(op.doc)
end })

return help
