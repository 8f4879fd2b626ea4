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
  if op.inplace then lines[#lines + 1] = "  In place: " .. op.name .. "_" end
  if op.alias then lines[#lines + 1] = "  Also: " .. op.name .. " " .. op.alias end
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

--- Text on an op: its call, documentation, forms, an example with the shapes it gives, its
--- source's file and line; on a function or class by its path within al; on a part, what it
--- holds. Raises for an unknown name, with the nearest.
function help.text(name)
  name = name:gsub("^albedo%.", ""):gsub("^al%.", ""):gsub("^[%w_]*:", "")
  local ops = catalog.ops()
  local op = ops[name] or ops[(name:gsub("_$", ""))]
  if op then return op_text(name, op) end
  local text = catalog.comment(name)
  if text then
    local args = catalog.arguments(catalog.value(name))
    local last = name:match "[%w_]+$"
    if args and not text:find("^[%w_.:]*" .. last .. "[ ]?[({]") then
      text = ("%s(%s)\n%s"):format(name, table.concat(args, ", "), indent(text))
    end
    local at = place(name)
    return text .. (at and "\n  " .. at or "")
  end
  if is_part[name] then return part_text(name) end
  local known = {}
  for _, entry in ipairs(catalog.names()) do known[entry.path] = true end
  local hint = require("albedo.suggest")(name, ops, known)
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
al.help "nn.Linear"    a function or class by its path; a method: al.help "t:rows"
al.help "nn"           a part, and what it holds: nn optim data models metrics image io
                       plot report lab cli progress json sim classical
al.apropos "pool"      everything whose name or description holds a word
al.show(t)             a picture, a grid of pictures or a curve in the terminal]]

--- help "conv2d", help "nn.Linear", help(al.nn.Linear): prints what is known of an op,
--- function, class or part; help() says what can be asked.
function help.help(name)
  if name == nil then return print(INTRO) end
  if type(name) ~= "string" then
    if al.is_tensor(name) then
      return print "a tensor: al.help \"tensor\", or al.help \"t:NAME\" for a method"
    end
    name = path_of(name) or al.raise "help: no public function or class of al's; give its name"
  end
  print(help.text(name))
end

local function first_sentence(text)
  text = text:gsub("%s+", " ")
  return text:match("^(.-[.:]) ") or text
end
help.first_sentence = first_sentence

-- What apropos and completion say of an entry in a line, its own call left out.
local function summary(entry)
  local text = (entry.op and entry.op.doc or catalog.comment(entry.path) or ""):gsub("%s+", " ")
  local last = entry.path:match "[%w_]+$"
  text = text:gsub("^[%w_.:]*" .. last .. " ?%b(): ", ""):gsub("^%b(): ", "")
  return first_sentence(text)
end
help.summary = summary

--- apropos "pool" prints what has a word in its name or its documentation, a line each: first
--- the names that hold it.
function help.apropos(word)
  local low, names, others = word:lower(), {}, {}
  for _, entry in ipairs(catalog.names()) do
    local named = entry.path:lower():find(low, 1, true)
      or entry.op and entry.op.alias and entry.op.alias:find(low, 1, true)
    local text = entry.op and entry.op.doc or catalog.comment(entry.path) or ""
    if named or text:lower():find(low, 1, true) then
      local name = (entry.kind == "method" and "t:" or entry.kind == "field" and "t." or "")
        .. entry.path
      local line = ("%-28s %s"):format(name, summary(entry))
      if #line > 100 then line = line:sub(1, 97) .. "..." end
      table.insert(named and names or others, line)
    end
  end
  if #names > 0 and #others > 0 then names[#names + 1] = "-- in the text:" end
  for _, line in ipairs(others) do names[#names + 1] = line end
  print(#names > 0 and table.concat(names, "\n") or "nothing holds \"" .. word .. "\"")
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
