--- print(net): the tree of modules with shapes and parameter counts.

local function thousands(n)
  local text = ("%.0f"):format(n)
  local count
  repeat text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2") until count == 0
  return text
end

-- Own parameters of a module, e.g. "weight 16x3x3x3, bias 16 frozen".
local function shapes(module)
  local parts = {}
  for _, name in ipairs(module._tensors) do
    local kind, value = module._kinds[name], module._members[name]
    if kind == "parameter" then
      local shape = #value.shape == 0 and "scalar" or table.concat(value.shape, "x")
      parts[#parts + 1] = name .. " " .. shape .. (value.requires_grad and "" or " frozen")
    end
  end
  return table.concat(parts, ", ")
end

local function rows_of(module, name, depth, rows)
  local options = module.describe and module:describe() or ""
  rows[#rows + 1] = {
    ("  "):rep(depth) .. (name and name .. ": " or "") .. module.classname
      .. (options ~= "" and "(" .. options .. ")" or ""),
    shapes(module),
    (module:num_parameters()),
  }
  for child, m in module:children() do rows_of(m, child, depth + 1, rows) end
  return rows
end

local function describe(module)
  local rows, width = rows_of(module, nil, 0, {}), { 0, 0, 0 }
  for _, row in ipairs(rows) do
    row[3] = row[3] > 0 and thousands(row[3]) or ""
    for i = 1, 3 do width[i] = math.max(width[i], #row[i]) end
  end
  local lines = {}
  for i, row in ipairs(rows) do
    local line = row[1] .. (" "):rep(width[1] - #row[1] + 2)
      .. row[2] .. (" "):rep(width[2] - #row[2] + 2 + width[3] - #row[3]) .. row[3]
    lines[i] = line:gsub("%s+$", "")
  end
  local all, trained = module:num_parameters()
  lines[#lines + 1] = thousands(all) .. " parameters"
    .. (trained < all and ", " .. thousands(trained) .. " of them trained" or "")
  return table.concat(lines, "\n")
end

return { describe = describe, thousands = thousands }
