-- Values as text for people: a batch by its tensors' shapes and dtypes.
local al = require "albedo"

-- One line, or nil for a plain table.
local function describe(v)
  if al.is_tensor(v) then
    return ("%s %s"):format(v.ndim == 0 and "scalar" or table.concat(v.shape, "x"), v.dtype)
  end
  if type(v) == "string" then
    return #v > 60 and ("%q..."):format(v:sub(1, 57)) or ("%q"):format(v)
  end
  if type(v) == "table" and getmetatable(v) == nil then return nil end
  return (tostring(v):match "^[^\n]*")
end

--- A value as the REPL and print(batch) show it: plain tables entry by entry, tensors in them
--- by
-- shape and dtype. raw: v itself is taken as a plain table.
local text_of
function text_of(v, depth, raw)
  depth = depth or 0
  local meta = type(v) == "table" and not raw and getmetatable(v)
  if type(v) ~= "table" or meta and (type(meta) ~= "table" or meta.__tostring) then
    return depth == 0 and (type(v) == "string" and v or tostring(v)) or describe(v)
  end
  if next(v) == nil then return "{}" end
  if depth > 2 then return "{...}" end
  local keys, lines, plain = {}, {}, true
  for key, e in pairs(v) do
    keys[#keys + 1] = key
    plain = plain and (type(e) == "number" or type(e) == "boolean") and type(key) == "number"
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) == "number" and type(b) ~= "number"
  end)
  local most = depth == 0 and 40 or 12
  for i, key in ipairs(keys) do
    if i > most then
      lines[#lines + 1] = ("... %d in all"):format(#keys)
      break
    end
    local text = describe(v[key]) or text_of(v[key], depth + 1)
    lines[i] = plain and text
      or (type(key) == "string" and key or "[" .. tostring(key) .. "]") .. " = " .. text
  end
  if plain then return "{ " .. table.concat(lines, ", ") .. " }" end
  local pad = ("  "):rep(depth + 1)
  return "{\n" .. pad .. table.concat(lines, "\n" .. pad) .. "\n" .. ("  "):rep(depth) .. "}"
end

return text_of
