-- LuaCATS annotations for editors (lua-language-server), from the registry and the comments: a
-- library folder with one file, `---@meta`, which editors read and nothing runs. `make docs`.
local al = require "albedo"
local catalog = require "albedo.catalog"

local TYPES = {
  tensor = "albedo.Tensor", tensors = "albedo.Tensor[]", int = "integer", num = "number",
  bool = "boolean", str = "string", dim = "integer", ints = "integer|integer[]",
  dims = "integer|integer[]", dtype = "albedo.Dtype", rng = "userdata",
}

local reserved = {}
for word in ("and break do else elseif end false for function goto if in local nil not or "
  .. "repeat return then true until while"):gmatch "%a+" do
  reserved[word] = true
end

local function name_of(name) return reserved[name] and name .. "_" or name end

local function type_of(p)
  return TYPES[p.kind] .. (p.number and "|number" or "")
end

-- A definition; a method whose name is Lua's own word stands in brackets.
local function define(out, owner, name, args)
  args = table.concat(args, ", ")
  if not reserved[name] then
    out[#out + 1] = ("function %s%s(%s) end\n"):format(owner, name, args)
    return
  end
  if owner:sub(-1) == ":" then args = args == "" and "self" or "self, " .. args end
  out[#out + 1] = ('%s["%s"] = function(%s) end\n'):format(owner:sub(1, -2), name, args)
end

-- The comment as `---` lines.
local function comment(out, text)
  for line in (text .. "\n"):gmatch "(.-)\n" do out[#out + 1] = "---" .. line end
end

-- An op as a function of `owner` ("al.", or "Tensor:", whose self is the first argument).
local function op_lines(out, owner, name, op)
  comment(out, op.doc)
  local args, options = {}, {}
  for i, p in ipairs(op.params) do
    if p.named then options[#options + 1] = ("%s?: %s"):format(p.name, type_of(p))
    elseif p.variadic then
      out[#out + 1] = ("---@param ... %s %s"):format(type_of(p), p.name)
      args[#args + 1] = "..."
    elseif i > 1 or owner == "al." then
      out[#out + 1] = ("---@param %s%s %s"):format(name_of(p.name), p.optional and "?" or "",
        type_of(p))
      args[#args + 1] = name_of(p.name)
    end
  end
  if #options > 0 and args[#args] ~= "..." then
    out[#out + 1] = ("---@param opts? { %s }"):format(table.concat(options, ", "))
    args[#args + 1] = "opts"
  end
  for _ = 1, op.outputs do out[#out + 1] = "---@return albedo.Tensor" end
  define(out, owner, name, args)
end

-- A function written in Lua (or C and no op).
local function function_lines(out, owner, path, value, drop)
  comment(out, catalog.comment(path) or "")
  local args = catalog.arguments(value, drop) or { "..." }
  for i, arg in ipairs(args) do
    args[i] = name_of(arg)
    if arg ~= "..." then out[#out + 1] = ("---@param %s any"):format(args[i]) end
  end
  out[#out + 1] = "---@return any"
  define(out, owner, path:match "[%w_]+$", args)
end

local HEAD = [[
---@meta albedo
-- Made by `make docs` from Albedo's registry and comments; to be read by editors, not run.

---@alias albedo.Dtype
---| "float32" | "float64" | "int64" | "int32" | "uint8" | "bool" | "float16" | "bfloat16"

---@class albedo.Tensor
---@field shape integer[] the sizes of the dims
---@field dtype albedo.Dtype
---@field ndim integer
---@field requires_grad boolean
---@field grad albedo.Tensor?
---@field grad_fn string?
---@field is_leaf boolean
---@operator add(albedo.Tensor|number): albedo.Tensor
---@operator sub(albedo.Tensor|number): albedo.Tensor
---@operator mul(albedo.Tensor|number): albedo.Tensor
---@operator div(albedo.Tensor|number): albedo.Tensor
---@operator pow(albedo.Tensor|number): albedo.Tensor
---@operator mod(albedo.Tensor|number): albedo.Tensor
---@operator unm: albedo.Tensor
---@operator concat(albedo.Tensor): albedo.Tensor
---@operator len: integer
local Tensor = {}

---@class albedo.Module
---@overload fun(...): any
local Module = {}

---@class albedo
local al = {}
]]

local function ops(out)
  local names = {}
  for name, op in pairs(catalog.ops()) do
    if rawget(al, name) then names[#names + 1] = { name, op } end
  end
  table.sort(names, function(a, b) return a[1] < b[1] end)
  for _, e in ipairs(names) do
    local name, op = e[1], e[2]
    op_lines(out, "al.", name, op)
    local method = op.params[1] and op.params[1].kind == "tensor"
    if method then op_lines(out, "Tensor:", name, op) end
    if method and op.inplace then op_lines(out, "Tensor:", name .. "_", op) end
  end
end

-- al.PATH = {}, after those around it.
local function tables(out, path, made)
  local owner = path:match "^(.*)%.[%w_]+$"
  if owner and owner ~= "" and not made[owner] then tables(out, owner, made) end
  if not made[path] then
    made[path] = true
    out[#out + 1] = ("al.%s = {}\n"):format(path)
  end
end

--- The text of the annotations.
return function()
  local out, methods, made = { HEAD }, {}, {}
  ops(out)
  for name, f in pairs(al.nn.Module) do -- methods of every module
    if type(f) == "function" and not name:find "^_" and name ~= "init" then
      methods[#methods + 1] = name
    end
  end
  table.sort(methods)
  for _, name in ipairs(methods) do
    function_lines(out, "Module:", "nn.Module." .. name, al.nn.Module[name], 1)
  end
  for _, entry in ipairs(catalog.names()) do
    local owner = entry.path:match "^(.*)%.[%w_]+$"
    if owner then tables(out, owner, made) end
    if entry.kind == "class" then
      out[#out + 1] = ("---@class albedo.%s: albedo.Module"):format(entry.path)
      comment(out, catalog.comment(entry.path) or "")
      local args = catalog.arguments(entry.value) or {}
      local types = {}
      for i, arg in ipairs(args) do
        types[i] = arg == "..." and "...: any" or name_of(arg) .. "?: any"
      end
      out[#out + 1] = ("---@overload fun(%s): albedo.%s"):format(table.concat(types, ", "),
        entry.path)
      out[#out + 1] = ("al.%s = {}\n"):format(entry.path)
    elseif entry.kind == "function" then
      function_lines(out, owner and ("al.%s."):format(owner) or "al.", entry.path, entry.value)
    elseif entry.kind == "method" then
      function_lines(out, "Tensor:", entry.path, entry.value, 1)
    end
  end
  out[#out + 1] = "return al"
  return table.concat(out, "\n")
end
