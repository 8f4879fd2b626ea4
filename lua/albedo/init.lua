-- Albedo's module, as scripts see it: the native functions and ops, tensor operators, and the
-- parts written in Lua, loaded when first touched. Touches no global.
--
-- Called by albedo.so with (native, libdir): the native functions, and the folder of this file.
local native, libdir = ...

if native == nil or type(native) ~= "table" then
  error("albedo is a native module: build it with `make`, then run lua5.4 beside albedo.so", 0)
end

-- Serve "albedo.*" from beside this file, and leave package.path alone.
local searchers = package.searchers or package.loaders
local function search(name)
  local part = name:match("^albedo%.([%w_.]+)$")
  if not part then return nil end
  for _, pattern in ipairs { "%s/%s.lua", "%s/%s/init.lua" } do
    local path = pattern:format(libdir, (part:gsub("%.", "/")))
    local file = io.open(path, "r")
    if file then
      file:close()
      return assert(loadfile(path)), path
    end
  end
  -- no falling through: albedo.so itself answers to the parts' names, by requiring them
  error(("albedo has no part \"%s\" in %s"):format(part, libdir), 0)
end
if searchers.albedo ~= libdir then -- once a Lua state, however often the module is opened
  searchers.albedo = libdir
  table.insert(searchers, 2, search)
end

local al = {}
package.loaded["albedo"] = al

-- not for scripts: what the parts in Lua are made of
local inner = {
  graph_now = true, set_hook = true, system = true, workers_open = true, interrupts = true,
  sync = true, lock = true, unlock = true, has_grad = true,
}
for name, f in pairs(native) do
  if type(f) == "function" and not inner[name] and not name:find "^fn_"
    and not name:find "^watch" then
    al[name] = f
  end
end
al.native = native

-- Ops: functions of the module, and methods where the first argument is a tensor.
for _, op in ipairs(native.registry()) do
  local names = { op.name }
  for alias in (op.alias or ""):gmatch("%S+") do names[#names + 1] = alias end
  for _, name in ipairs(names) do
    for _, suffix in ipairs { "", "_" } do
      local f = native.ops[name .. suffix]
      if f and not op.hidden then
        al[name .. suffix] = f
        local first = op.params[1]
        if first and first.kind == "tensor" and not native.methods[name .. suffix] then
          native.methods[name .. suffix] = f
        end
      end
    end
  end
end

--- Runs fn(...) without recording a graph, and returns what it returns.
function al.no_grad(fn, ...)
  return al.with_grad(false, fn, ...)
end

local function finish(former, ok, ...)
  native.grad_enabled(former)
  if not ok then error((...), 0) end
  return ...
end

--- Runs fn(...) with recording switched on or off, and returns what it returns.
function al.with_grad(on, fn, ...)
  return finish(native.grad_enabled(on), pcall(fn, ...))
end

local function leave(scope, ok, ...)
  if ok then native.keep(...) end
  scope:close()
  if not ok then error((...), 0) end
  return ...
end

--- scope() opens a scope: `local s <close> = al.scope()`, or s:close(). scope(fn, ...) runs fn
--- inside one and returns its results, whose tensors are kept; all other tensors made inside
--- are released.
function al.scope(fn, ...)
  local scope = native.scope_open()
  if fn == nil then return scope end
  return leave(scope, pcall(fn, ...))
end

--- What was built and what runs: {version, path, isa, threads, blas, blas_forced (what
--- OPENBLAS_CORETYPE says), plugins: name -> whether it was built}; as text by tostring.
function al.version()
  local info = native.system()
  info.plugins = require "albedo.optional".list()
  return setmetatable(info, { __tostring = function(v)
    local with, without = {}, {}
    for name, built in pairs(v.plugins) do table.insert(built and with or without, name) end
    table.sort(with)
    table.sort(without)
    local products = v.blas .. (v.blas_forced and " by OPENBLAS_CORETYPE" or "")
    local line = "albedo %s (%s kernels, matrix products %s, %d threads) from %s, with %s%s"
    return line:format(v.version, v.isa, products, v.threads, v.path, table.concat(with, ", "),
        #without > 0 and ", without " .. table.concat(without, ", ") or "")
  end })
end

for _, dtype in ipairs {
  "float32", "float64", "int32", "int64", "uint8", "bool", "float16", "bfloat16",
} do
  al[dtype] = dtype
end
al.pi, al.inf, al.nan = math.pi, math.huge, 0 / 0

require "albedo.tensor"

-- The parts, loaded when first touched.
local parts = {
  nn = true, optim = true, data = true, metrics = true, models = true, image = true,
  json = true, plot = true, report = true, lab = true, cli = true, io = true,
  progress = true, sim = true,
  classical = true, pooled = true, onnx = true,
}
-- Functions that live in a part, under the names scripts use.
local homes = {
  save = "io", load = "io", show = "show", gradcheck = "gradcheck", gradgradcheck = "gradcheck",
  help = "help", apropos = "help", ops = "help",
  vjp = "functional", jvp = "functional", hvp = "functional", jacobian = "functional",
  hessian = "functional", fn = "fn", checkpoint = "fn",
  check = "watch", profile = "watch", summary = "nn.summary", gradcam = "gradcam",
  ffi = "ffi", fit = "fit", compare = "report.compare",
}

setmetatable(al, { -- `homes` and `parts` serve the catalog
  homes = homes, parts = parts,
  __index = function(_, name)
    if parts[name] then
      local part = require("albedo." .. name)
      if type(part) == "table" then require "albedo.near"(part, "al." .. name) end
      rawset(al, name, part)
      return part
    end
    if homes[name] then
      local f = require("albedo." .. homes[name])[name]
      rawset(al, name, f)
      return f
    end
    if type(name) ~= "string" or name:sub(1, 1) == "_" then return nil end
    local hint = require("albedo.suggest")(name, al, parts, homes)
    native.raise(("albedo has no \"%s\"%s"):format(name, hint))
  end,
})

return al
