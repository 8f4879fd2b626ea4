-- Turns the samples of the op registry into argument lists for the generated specs.
local al = require "albedo"

local samples = {}

local none = {} -- stands for nil in a sample

local function generators(dtype)
  local g = al.generator(20)
  local opts = { dtype = dtype, generator = g }
  local function shape(...)
    if select("#", ...) == 1 and type(...) == "table" then return ... end
    return { ... }
  end
  local env = { none = none, math = math }
  function env.r(...) return al.randn(shape(...), opts) end
  function env.uniform(...) return al.rand(shape(...), opts) end
  function env.pos(...) return al.rand(shape(...), opts) * 1.5 + 0.5 end
  function env.unit(...) return al.rand(shape(...), opts) * 1.8 - 0.9 end
  function env.away(...)
    local s = shape(...)
    local sign = (al.rand(s, opts):lt(0.5)):to(dtype) * 2 - 1
    return (al.rand(s, opts) * 1.5 + 0.3) * sign
  end
  -- values 0.25 apart in random order, around zero but never at it
  function env.distinct(...)
    local s = shape(...)
    local n = 1
    for _, d in ipairs(s) do n = n * d end
    local order = al.randperm(n, { generator = g }):to(dtype)
    return ((order - (n + 1) / 2) * 0.25 + 0.06):reshape(s)
  end
  function env.ints(lo, hi, ...) return al.randint(lo, hi, shape(...), { generator = g }) end
  -- symmetric, eigenvalues of at least 0.5
  function env.definite(...)
    local m = al.randn(shape(...), opts)
    return m:matmul(m:transpose(-1, -2)) + 0.5 * al.eye(m:size(-1), { dtype = dtype })
  end
  function env.mask(...) return al.rand(shape(...), { generator = g }):lt(0.5) end
  function env.t(...) return al.tensor(...) end
  return env
end

--- List of argument lists {n = count, ...} of an op's sample; floating tensors in `dtype`.
function samples.of(op, dtype)
  local text = "return { " .. (op.sample or "") .. " }"
  local env = generators(dtype or "float64")
  local chunk
  if setfenv then
    chunk = assert(loadstring(text, "sample of " .. op.name))
    setfenv(chunk, env)
  else
    chunk = assert(load(text, "sample of " .. op.name, "t", env))
  end
  local lists = chunk()
  for _, list in ipairs(lists) do
    list.n = #list
    for k = 1, list.n do
      if list[k] == none then list[k] = nil end
    end
  end
  return lists
end

--- Calls visit(tensor) -> replacement on every floating tensor of an argument list (also inside lists and the
--- option table); returns a new list.
function samples.map(args, visit)
  local function walk(v)
    if al.is_tensor(v) then return v.dtype:sub(1, 5) == "float" and visit(v) or v end
    if type(v) ~= "table" then return v end
    local out = {}
    for k, e in pairs(v) do out[k] = walk(e) end
    return out
  end
  local out = { n = args.n }
  for k = 1, args.n do out[k] = walk(args[k]) end
  return out
end

--- Splits an argument list into its floating tensors (in a fixed order) and a function that puts others in their place.
function samples.leaves(args)
  local leaves = {}
  local order = {}
  local function walk(v)
    if al.is_tensor(v) then
      if v.dtype:sub(1, 5) == "float" and not order[v] then
        leaves[#leaves + 1] = v
        order[v] = #leaves
      end
    elseif type(v) == "table" then
      local keys = {}
      for k in pairs(v) do keys[#keys + 1] = k end
      table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
      for _, k in ipairs(keys) do walk(v[k]) end
    end
  end
  for k = 1, args.n do walk(args[k]) end
  return leaves, function(values)
    return samples.map(args, function(t) return values[order[t]] end)
  end
end

return samples
