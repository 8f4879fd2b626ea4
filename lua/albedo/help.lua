-- What the registry knows of the ops, for the REPL: al.help "conv2d", al.apropos "pool".
local al = require "albedo"

local help = {}

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

--- Text on an op: its call, its documentation, the forms it has. Raises for an unknown name,
--- with the nearest.
function help.text(name)
  local ops = entries()
  local op = ops[name] or ops[(name:gsub("_$", ""))]
  if not op then
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

--- Prints what is known of an op.
function help.help(name) print(help.text(name)) end

--- Prints the ops whose name or documentation holds `word`, a line each.
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

return help
