--- Options of a trailing table, checked: options("Conv2d", given, { stride = 1, bias = true })
-- returns the defaults overlaid with what was given. A key without a default raises, naming the
-- valid ones; `optional` lists further keys, which have none. `level` is error's, seen from the
-- caller.

return function(what, given, defaults, optional, level)
  local out = {}
  for key, value in pairs(defaults) do out[key] = value end
  if given == nil then return out end
  if type(given) ~= "table" then
    error(("%s: options are a table, such as { %s = ... }; got %s")
      :format(what, next(defaults) or "name", type(given)), (level or 2) + 1)
  end
  local known = {}
  for _, key in ipairs(optional or {}) do known[key] = true end
  for key, value in pairs(given) do
    if defaults[key] == nil and not known[key] then
      local names = {}
      for name in pairs(defaults) do names[#names + 1] = name end
      for name in pairs(known) do names[#names + 1] = name end
      table.sort(names)
      error(("%s: unknown option '%s' (valid: %s)")
        :format(what, tostring(key), table.concat(names, ", ")),
        (level or 2) + 1)
    end
    out[key] = value
  end
  return out
end
