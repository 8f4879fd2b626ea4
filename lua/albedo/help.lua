-- What is known of ops and functions, for the REPL: al.help "conv2d", al.help "nn.Linear",
-- al.apropos "pool", al.ops. Ops are described in the registry, what is written in Lua by the
-- comment above it.
local al = require "albedo"

local help = {}

-- Functions that are C's and no ops.
local native = {
  tensor = "tensor(value, {dtype = \"float32\", requires_grad = false}): from a number, a "
    .. "regular nest of tables,\nor a copy of a tensor. Booleans give bool.",
  from_bytes = "from_bytes(string, dtype, [shape]): the tensor t:bytes() was made from.",
  is_tensor = "is_tensor(v): whether v is a tensor.",
  alive = "alive(t): false once its scope released t.",
  grad = "grad(outputs, inputs, {grad_outputs, retain_graph, create_graph, allow_unused, "
    .. "partial}): gradients of the outputs' sum (times grad_outputs) by each input; a list "
    .. "for a list.\nNo .grad is touched. create_graph: they can be differentiated again. "
    .. "allow_unused: nil for an input\nthat has no part; else an error. partial: computed "
    .. "inputs count as independent of the others.",
  backward = "t:backward([gradient], {retain_graph, create_graph}): adds to the .grad of every "
    .. "leaf t depends on.\nWithout a gradient t must have one element.",
  grad_enabled = "grad_enabled([on]): whether calls are recorded; sets it, and returns what it "
    .. "was.",
  keep = "keep(...): tensors, or tables of them, outlive the innermost scope they are in.",
  hold = "hold(...): tensors, or tables of them, leave all scopes.",
  memory = "memory(): {live, cached, peak, limit, resident (bytes), blocks, by_op}; by_op as "
    .. "al.profile saw it.",
  memory_limit = "memory_limit([bytes]): how much may be made before unreachable tensors are "
    .. "collected; returns what it was.",
  memory_trim = "memory_trim(): gives memory that waits for reuse back to the system.",
  memory_reset_peak = "memory_reset_peak(): the peak starts from what lives now.",
  threads = "threads([n]): how many threads ops use; sets it.",
  winograd = "winograd([on]): whether 3x3 convolutions of float32 may use Winograd's algorithm;"
    .. " sets it.",
  seed = "seed(n): where the default random stream starts.",
  generator = "generator(seed): a random stream of its own, for ops' option generator.",
  rng_state = "rng_state([state]): where the default stream is; sets it. generator:state "
    .. "likewise.",
  plugin = "plugin(name): the functions of albedo/native/NAME.so.",
  clock = "clock(): seconds by the wall.",
  scope_open = "scope_open(): a scope, as scope() opens it.",
  raise = "raise(message): an error at the script's line.",
  registry = "registry(): what is known of the ops, a table each.",
  fault_after = "fault_after(n, [count]): the n-th allocation from now fails, and those after "
    .. "it up to count; 0: none.\nFor tests.",
}

-- The comment above line `at` of a Lua file, past at most three lines on `name`; its first line
-- begins with three dashes.
local function comment_above(source, at, name, nearest)
  local file = source:sub(1, 1) == "@" and io.open(source:sub(2))
  if not file then return nil end
  local lines = {}
  for l in file:lines() do
    lines[#lines + 1] = l
    if #lines == at then break end
  end
  file:close()
  local last, first = at - 1, nil
  while last >= math.max(1, at - 4) and not lines[last]:find("^%-%-")
    and lines[last]:find(name, 1, true) do
    last = last - 1
  end
  for k = last, 1, -1 do -- the topmost line with three dashes of the block
    if not lines[k]:find("^%-%-") then break end
    if lines[k]:find("^%-%-%-") then first = k end
  end
  if not first and nearest then -- a class made by a function for many: the next comment up
    last = at - 1
    while last > 0 and not lines[last]:find("^%s*%-%-") do
      if lines[last]:find("^end") then return nil end
      last = last - 1
    end
    first = last
    while first > 1 and lines[first - 1]:find("^%s*%-%-") do first = first - 1 end
  end
  local text = {}
  for k = first or last + 1, last do text[#text + 1] = lines[k]:gsub("^%s*%-+ ?", "") end
  return #text > 0 and table.concat(text, "\n") or nil
end

-- What stands above the definition of al.PATH, a function or a class.
local function comment_of(path)
  local value, name = al, nil
  for part in path:gmatch("[^.]+") do
    name = part
    local ok, v = pcall(function() return value[part] end)
    value = ok and v or nil
    if type(value) ~= "table" and type(value) ~= "function" then break end
  end
  local class = type(value) == "table"
  if class then value = rawget(value, "init") or rawget(value, "forward") end
  if type(value) ~= "function" then value = al.native.methods[path] end
  if type(value) ~= "function" then return nil end
  local info = debug.getinfo(value, "S")
  local at = info.linedefined
  return at > 0 and comment_above(info.source, at, name, class) or nil
end

-- Of a part of al.models, the last comment with three dashes in its file.
local function model_comment(path)
  local name = path:match("^models%.([%w_]+)$")
  local home = name and getmetatable(al.models).homes[name]
  if not home then return nil end
  local here = debug.getinfo(1, "S").source:sub(2)
  local part = home:gsub("^albedo%.", ""):gsub("%.", "/")
  local file = io.open((here:gsub("help%.lua$", part .. ".lua")))
  if not file then return nil end
  local block, inside = {}, false
  for l in file:lines() do
    if l:find("^%-%-%-") and not inside then block = {} end
    inside = l:find("^%-%-") and (inside or l:find("^%-%-%-")) and true
    if inside then block[#block + 1] = l:gsub("^%-+ ?", "") end
  end
  file:close()
  return table.concat(block, "\n")
end

-- name -> registry entry, aliases too; hidden ops are not for scripts.
local function entries()
  local map = {}
  for _, op in ipairs(al.native.registry()) do
    if not op.hidden then
      map[op.name] = op
      for alias in (op.alias or ""):gmatch("%S+") do map[alias] = op end
    end
  end
  return map
end

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

--- Text on an op: its call, its documentation, the forms it has; or on a function or class, by
--- its path within al. Raises for an unknown name, with the nearest.
function help.text(name)
  local ops = entries()
  local op = ops[name] or ops[(name:gsub("_$", ""))]
  if not op then
    local text = native[name] or model_comment(name) or comment_of(name)
    if text then return text end
    local hint = require("albedo.suggest")(name, ops)
    al.raise(("help: nothing is known of \"%s\"%s"):format(name, hint))
  end
  local lines = { usage(name, op), "  " .. op.doc:gsub("\n", "\n  ") }
  if op.inplace then lines[#lines + 1] = "  In place: " .. op.name .. "_" end
  if op.alias then lines[#lines + 1] = "  Also: " .. op.name .. " " .. op.alias end
  lines[#lines + 1] = "  Signature: " .. op.signature
  if not op.differentiable then lines[#lines + 1] = "  Not differentiable." end
  return table.concat(lines, "\n")
end

--- help "conv2d", help "nn.Linear": prints what is known of an op, function or class.
function help.help(name) print(help.text(name)) end

--- apropos "pool" prints the ops whose name or documentation holds `word`, a line
--- each.
function help.apropos(word)
  local found = {}
  for name, op in pairs(entries()) do
    if name:find(word, 1, true) or op.doc:lower():find(word:lower(), 1, true) then
      found[#found + 1] = ("%-28s %s"):format(name, op.doc:match("^[^\n]*"))
    end
  end
  table.sort(found)
  print(#found > 0 and table.concat(found, "\n") or "nothing holds \"" .. word .. "\"")
end

local function first_sentence(text)
  text = text:gsub("%s+", " ")
  return text:match("^(.-[.:]) ") or text
end

-- name -> first sentence, of every public op. Aliases (conv2d of conv) can be asked for, but
-- are not counted, nor in-place forms.
help.ops = {}
for _, op in ipairs(al.native.registry()) do
  if not op.hidden and rawget(al, op.name) then help.ops[op.name] = first_sentence(op.doc) end
end
for _, name in ipairs { "split", "chunk" } do
  help.ops[name] = first_sentence(comment_of(name) or name)
end
setmetatable(help.ops, { __index = function(_, name)
  local op = entries()[name]
  return op and first_sentence(op.doc)
end })

return help
