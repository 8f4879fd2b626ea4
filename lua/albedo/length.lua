--- #v, also where v's metatable gives it: LuaJIT's # does not ask that of a table.
return function(v)
  local meta = type(v) == "table" and getmetatable(v)
  local len = type(meta) == "table" and rawget(meta, "__len")
  return len and len(v) or #v
end
