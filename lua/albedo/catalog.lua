-- Every public name of Albedo, what it is, what is written about it and where its source
-- stands: the one place that al.help, al.apropos, completion, the manual and the annotations
-- read.
--
-- Ops are described in the registry, what is written in Lua by the comment above it (its first
-- line has three dashes), what is C and no op below.
local al = require "albedo"

local catalog = {}

-- Functions and methods that are C's and no ops, and fields of tensors.
local native = {
  tensor = "tensor(value, {dtype = \"float32\", requires_grad = false}): from a number, a "
    .. "regular nest of tables,\nor a copy of a tensor. Booleans give bool.",
  from_bytes = "from_bytes(string, dtype, [shape]): the tensor t:bytes() was made from.",
  is_tensor = "is_tensor(v): whether v is a tensor.",
  alive = "alive(t): false once its scope released t.",
  grad = "grad(outputs, inputs, {grad_outputs, retain_graph, create_graph, allow_unused, "
    .. "partial}): gradients of outputs of one element, or of the sum of outputs times "
    .. "grad_outputs, by each input; a list for a list.\nNo .grad is touched. "
    .. "create_graph: they can be differentiated again. "
    .. "allow_unused: nil for an input\nthat has no part; else an error. partial: computed "
    .. "inputs count as independent of the others.\nOf a tensor, t.grad: what backward added "
    .. "up, nil before and after t.grad = nil.",
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
  item = "t:item(): the Lua number (or boolean) of a tensor of one element.",
  totable = "t:totable(): the values as nested Lua tables, a number for a 0-dim tensor.",
  bytes = "t:bytes(): the elements' memory, row by row, as a string: see from_bytes.",
  numel = "t:numel(): how many elements.",
  size = "t:size([dim]): the size of a dim, or the list of all (a copy of t.shape).",
  stride = "t:stride([dim]): steps in memory between neighbours along a dim, in elements.",
  is_contiguous = "t:is_contiguous(): whether the elements stand row by row without gaps.",
  data_ptr = "t:data_ptr(): the address of the first element, a light userdata.",
  shape = "t.shape: the sizes of the dims, a plain table.",
  dtype = "t.dtype: \"float32\" (the default), \"float64\", \"int64\", \"int32\", \"uint8\", "
    .. "\"bool\", or for storage\n\"float16\" and \"bfloat16\".",
  ndim = "t.ndim: how many dims; 0 for a scalar.",
  requires_grad = "t.requires_grad: whether what is computed from t is recorded; can be set on "
    .. "leaves.",
  grad_fn = "t.grad_fn: the name of the op that made t, nil for a leaf.",
  is_leaf = "t.is_leaf: whether no recorded op made t.",
}
for to, dtype in pairs { float = "float32", double = "float64", long = "int64", int = "int32",
  half = "float16", float32 = "float32", float64 = "float64", int64 = "int64",
  int32 = "int32", uint8 = "uint8", bool = "bool", float16 = "float16",
  bfloat16 = "bfloat16" } do
  native[to] = ("t:%s(): as %s; see to."):format(to, dtype)
end

-- For the parts in Lua and the specs, not for scripts.
local internal = { fault_after = true, registry = true, plugin = true }

-- ---- sources
-- ---------------------------------------------------------------------------------
local here = debug.getinfo(1, "S").source:match "^@(.*)catalog%.lua$"
local root = here:gsub("lua/albedo/$", ""):gsub("build/%w+/$", "") -- of a variant: the clone's

local texts = setmetatable({}, { __mode = "v" }) -- path -> { lines }
local function lines_of(path)
  local lines = texts[path]
  if lines then return lines end
  local file = io.open(path)
  if not file then return nil end
  lines = {}
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  texts[path] = lines
  return lines
end

-- Files of the kernel that enter ops; there in a clone, absent beside an installed copy.
local function kernel_files()
  local pipe = io.open(root .. "csrc/op/op.h") and io.popen(("cd '%s' && ls csrc/op/*.c "
    .. "csrc/io/*.c csrc/kernel/*.def csrc/plugin/*/*.c 2>/dev/null"):format(root))
  local list = {}
  if pipe then
    for path in pipe:lines() do list[#list + 1] = path end
    pipe:close()
  end
  return list
end

local op_source -- op -> { path, line }

-- Finds `MACRO(name, ...` at a line's start; the formatter may put the name on the next line.
local function find_ops()
  op_source = {}
  local known = {}
  for _, op in ipairs(al.native.registry()) do known[op.name] = true end
  for _, path in ipairs(kernel_files()) do
    local lines = lines_of(root .. path)
    for i, line in ipairs(lines) do
      local macro, id = line:match "^([%u][%u_%d]+)%(%s*([%w_]*)"
      if id == "" then id = (lines[i + 1] or ""):match "^%s+([%w_]+)," end
      if macro and id then
        local family = not known[id] and {} or { id }
        if macro == "FAMILY" then family = { id, id .. "2", id .. "n" } end
        for _, name in ipairs(family) do
          op_source[name] = op_source[name] or { path, i }
        end
      end
    end
  end
end

-- ---- names
-- ----------------------------------------------------------------------------------- The parts
-- in the order of the manual; a part is al.NAME.
catalog.parts = {
  "nn", "optim", "data", "models", "metrics", "image", "io", "plot", "report", "lab", "cli",
  "progress", "json", "sim", "classical", "pooled",
}
do -- what is not in this order comes after it
  local known, rest = {}, {}
  for _, part in ipairs(catalog.parts) do known[part] = true end
  for part in pairs(getmetatable(al).parts) do
    if not known[part] then rest[#rest + 1] = part end
  end
  table.sort(rest)
  for _, part in ipairs(rest) do table.insert(catalog.parts, part) end
end

local function is_class(v)
  return type(v) == "table" and (rawget(v, "is_module_class") or rawget(v, "init")) and true
end

--- The value of a path, such as "conv2d", "nn.Linear" or "optim.schedule.cosine"; nil when
--- there
-- is none.
function catalog.value(path)
  local value = al
  for name in path:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    local ok, v = pcall(function() return value[name] end)
    value = ok and v or nil
  end
  return value
end

-- What lies in a table, with what is loaded when first touched.
local function keys_of(t)
  local keys = {}
  local meta = getmetatable(t)
  for _, from in ipairs { t, type(meta) == "table" and rawget(meta, "homes") or {} } do
    for key in pairs(from) do
      if type(key) == "string" and not key:find "^_" then keys[key] = true end
    end
  end
  local list = {}
  for key in pairs(keys) do list[#list + 1] = key end
  table.sort(list)
  return list
end

local function walk(list, prefix, t, part)
  for _, key in ipairs(keys_of(t)) do
    local path = prefix .. key
    local value = catalog.value(path)
    if is_class(value) then
      list[#list + 1] = { path = path, kind = "class", part = part, value = value }
    elseif type(value) == "function" then
      list[#list + 1] = { path = path, kind = "function", part = part, value = value }
    elseif type(value) == "table" and rawget(value, "__index") ~= value then
      walk(list, path .. ".", value, part)
    end
  end
end

--- name -> registry entry, aliases too; hidden ops are not for scripts.
local map
function catalog.ops()
  if map then return map end
  map = {}
  for _, op in ipairs(al.native.registry()) do
    if not op.hidden then
      map[op.name] = op
      for alias in (op.alias or ""):gmatch("%S+") do map[alias] = op end
    end
  end
  return map
end

--- Every public name: a list of { path, kind = "op" | "function" | "class" | "method" |
--- "field",
-- part, op, value }. Methods are those of tensors; an op stands once, under its own name.
function catalog.names()
  local list, ops = {}, catalog.ops()
  for name, op in pairs(ops) do
    if name == op.name and rawget(al, name) then
      list[#list + 1] = { path = name, kind = "op", op = op, value = al[name] }
    end
  end
  local parts = {}
  for _, part in ipairs(catalog.parts) do parts[part] = true end
  for _, name in ipairs(keys_of(al)) do
    local value = al[name]
    if type(value) == "function" and not parts[name] and not internal[name]
      and not ops[(name:gsub("_$", ""))] then
      list[#list + 1] = { path = name, kind = "function", value = value }
    end
  end
  for _, part in ipairs(catalog.parts) do
    local value = al[part]
    if type(value) == "table" then walk(list, part .. ".", value, part)
    else list[#list + 1] = { path = part, kind = "function", part = part, value = value } end
  end
  for name, value in pairs(al.native.methods) do
    if not ops[(name:gsub("_$", ""))] and not rawget(al, name) then
      list[#list + 1] = { path = name, kind = "method", value = value }
    end
  end
  for name in pairs(al.native.fields) do
    if not name:find "^_" then list[#list + 1] = { path = name, kind = "field" } end
  end
  table.sort(list, function(a, b) return a.path < b.path end)
  return list
end

--- name -> the part's file, "albedo.nn.linear".
local function file_of_part(path)
  local meta = getmetatable(al.models)
  local name = path:match "^models%.([%w_]+)$"
  return name and meta.homes[name]
end

-- The line of `x.name = ...` under a comment: what a factory made is documented there.
local function assigned(file, name)
  local lines = lines_of(file) or {}
  for i = 2, #lines do
    if lines[i]:find("^[%w_.]+%." .. name .. " = ") and lines[i - 1]:find "^%-%-" then
      return i
    end
  end
end

-- Where a function stands, or a class (its constructor): path of the file, line, whether a
-- class.
local function definition(path)
  local value = catalog.value(path) or al.native.methods[path]
  local class = type(value) == "table"
  if class then value = rawget(value, "init") or rawget(value, "forward") end
  if type(value) ~= "function" then return nil end
  local info = debug.getinfo(value, "S")
  if info.linedefined < 1 or info.source:sub(1, 1) ~= "@" then return nil end
  local file = info.source:sub(2)
  return file, assigned(file, path:match "[%w_]+$") or info.linedefined, class
end

--- Where the source of an op, function or class is: a path relative to the clone (to what holds
--- lua/ of an installed copy), a line. nil for what is C's, installed.
function catalog.source(path)
  local op = catalog.ops()[path]
  if op then
    if not op_source then find_ops() end
    local at = op_source[op.name]
    if at then return at[1], at[2] end
  end
  local file, line = definition(path)
  local home = file_of_part(path)
  if home then
    file = here .. home:gsub("^albedo%.", ""):gsub("%.", "/") .. ".lua"
    local name = path:match "[%w_]+$"
    for i, l in ipairs(lines_of(file) or {}) do
      if l:find("[. ]" .. name .. "%f[^%w_]") and l:find "^[%a]" then line = i break end
    end
  end
  if not file then return nil end
  if file:sub(1, #root) == root then file = file:sub(#root + 1):gsub("^build/%w+/", "") end
  return file, line
end

-- The comment that ends above line `at`, past at most three lines on `name`: the run of lines
-- from one with three dashes on. `nearest`: for a class made by a function for many, the next
-- comment up.
local function comment_above(file, at, name, nearest)
  local lines = lines_of(file)
  if not lines then return nil end
  local last, first = at - 1, nil
  while last >= math.max(1, at - 4) and not lines[last]:find("^%-%-")
    and lines[last]:find(name, 1, true) do
    last = last - 1
  end
  for k = last, 1, -1 do -- the topmost line with three dashes of the block
    if not lines[k]:find("^%-%-") then break end
    if lines[k]:find("^%-%-%-") then first = k end
  end
  if not first and nearest then
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

-- Of a part of al.models, the last comment with three dashes in its file.
local function model_comment(path)
  local home = file_of_part(path)
  local lines = home
    and lines_of(here .. home:gsub("^albedo%.", ""):gsub("%.", "/") .. ".lua")
  if not lines then return nil end
  local block, inside = {}, false
  for _, l in ipairs(lines) do
    if l:find("^%-%-%-") and not inside then block = {} end
    inside = l:find("^%-%-") and (inside or l:find("^%-%-%-")) and true
    if inside then block[#block + 1] = l:gsub("^%-+ ?", "") end
  end
  local text = table.concat(block, "\n")
  text = text:gsub("^[%w_]+%(opts%)[^:]*:", path:match "[%w_]+$" .. "(opts):")
  if text:find "those of%s+models%.define" then -- which is written down once, for all of them
    text = text:gsub("those of%s+models%.define", "those of every network") .. "\nOf every "
      .. "network: classes = 1000; width = 1 (a factor on all channels);\n"
    for _, l in ipairs(lines_of(here .. "models/define.lua")) do
      if l:find "^%-%-   +[%w ]" then text = text .. l:sub(4) .. "\n" end
    end
  end
  return text
end

--- The header of a file, or of a part's, without its dashes: catalog.header "nn" of
--- nn/init.lua.
function catalog.header(part)
  local lines = lines_of(part) or lines_of(here .. part .. ".lua")
    or lines_of(here .. part .. "/init.lua")
  local text = {}
  for _, l in ipairs(lines or {}) do
    if not l:find "^%-%-" then break end
    text[#text + 1] = l:gsub("^%-+ ?", "")
  end
  return #text > 0 and table.concat(text, "\n") or nil
end

--- What is written about a function, class, tensor method or field; nil when nothing is.
function catalog.comment(path)
  if native[path] then return native[path] end
  if path == "nn.Module" then return catalog.header "nn/module" end
  local text = model_comment(path)
  if text then return text end
  local file, at, class = definition(path)
  local name = path:match "[%w_]+$"
  text = file and comment_above(file, at, name, class)
  -- a file that is one function is described by its header
  return text or file and file:match "([%w_]+)%.lua$" == name and catalog.header(file) or nil
end

--- The files of a part, relative to lua/albedo: "nn/linear.lua", ...
function catalog.part_files(part)
  local pipe = io.popen(("cd '%s' && ls %s.lua %s/*.lua 2>/dev/null"):format(here, part, part))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

-- Objects that only the library itself handles.
local inner = {}
for class in ("Graph Machine Source Drawing Canvas Dice Set"):gmatch "%a+" do
  inner[class] = true
end

--- The class of the object a function gives, whose methods help lists below it.
catalog.made_by = {
  ["nn.Module"] = "Module", ["data.loader"] = "Loader", ["data.list"] = "Dataset",
  ["data.tensors"] = "Dataset", ["optim.sgd"] = "Optimizer", ["optim.ema"] = "Ema",
  ["report.new"] = "Report", ["lab.start"] = "Run", ["metrics.confusion"] = "Confusion",
  ["io.open"] = "File", ["io.slide"] = "Slide", ["io.vocabulary"] = "Vocabulary",
  ["progress.bar"] = "Bar", ["sim.electrode"] = "Electrode", ["pooled.new"] = "Pooled",
}

--- Methods of the objects that the functions of a file make, from its source: { path =
--- "Optimizer:step", class, name, args = "(closure)", call = "step(closure)", text, file, line
--- }.
function catalog.object_methods(file)
  local list = {}
  for i, line in ipairs(lines_of(here .. file) or {}) do
    local class, name, args = line:match "^function (%u[%w]*):([%a][%w_]*)(%b())"
    local text = class and not inner[class] and comment_above(here .. file, i, name, false)
    if text and not text:find "^%s*$" then
      list[#list + 1] = { path = class .. ":" .. name, class = class, name = name, args = args,
        call = name .. args, text = text, file = file, line = i, kind = "object" }
    end
  end
  return list
end

local all_methods
--- Methods of the objects of every part.
function catalog.methods()
  if all_methods then return all_methods end
  all_methods = {}
  for _, part in ipairs(catalog.parts) do
    for _, file in ipairs(catalog.part_files(part)) do
      for _, m in ipairs(catalog.object_methods(file)) do
        m.part = part
        all_methods[#all_methods + 1] = m
      end
    end
  end
  return all_methods
end

--- The parameters of a Lua function by name, or nil: { "x", "[opts]" } for function(x, opts).
function catalog.arguments(value, drop)
  if type(value) == "table" then
    value, drop = rawget(value, "init"), 1
  end
  if type(value) ~= "function" then return nil end
  local info = debug.getinfo(value, "u")
  if not info.nparams then return nil end
  local names = {}
  for i = 1 + (drop or 0), info.nparams do
    names[#names + 1] = debug.getlocal(value, i) or "?"
  end
  if info.isvararg then names[#names + 1] = "..." end
  return names
end

return catalog
