-- The nearest name to a mistyped one.

-- Edits (insert, delete, change, swap) that lead from a to b.
local function distance(a, b)
  local before, last = nil, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

--- ": did you mean relu?" for the nearest key of the tables given, or the shortest that begins
-- with the name, or "".
return function(name, ...)
  local best, least = nil, math.max(1, math.floor(#name / 3)) + 1
  for _, names in ipairs { ... } do
    for key in pairs(names) do
      if type(key) == "string" then
        local d = distance(name, key)
        if d < least or (d == least and best and key < best) then best, least = key, d end
      end
    end
  end
  for _, names in ipairs(best and {} or #name > 2 and { ... } or {}) do
    for key in pairs(names) do
      if type(key) == "string" and key:sub(1, #name) == name
        and (not best or #key < #best or #key == #best and key < best) then
        best = key
      end
    end
  end
  return best and (": did you mean %s?"):format(best) or ""
end
