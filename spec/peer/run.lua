-- Compares every public op with the cases that spec/peer/peer.py wrote: lua5.4 run.lua DIR [WHOLE]
-- Prints a table, an op a line; the last line is `N passed, N failed`, a case each. WHOLE: an op
-- without any case is a failure.
local al = require "albedo"
package.path = "./spec/peer/?.lua;" .. package.path
local unpack = table.unpack or unpack
local calls = require "calls"
local dir, whole = arg[1], arg[2] == "whole"
local blob = dir .. "/blob"
local TOL32, TOL64 = 1e-5, 1e-10

-- ---- arguments ----
local function read(offset, format, shape)
  return al.native.ops.block_read(blob, offset, format, shape)
end

-- The values of t in another layout: letter and dim. t transposed storage, s every second element,
-- o an offset, r reversed, e one entry expanded.
local function lay(t, layout)
  local kind, dim = layout:match "^(%a)(%d+)$"
  if not kind then return t end
  dim = tonumber(dim)
  if kind == "t" then
    local back = {}
    for i = 1, t.ndim do back[i] = t.ndim + 1 - i end
    return t:permute(back):contiguous():permute(back)
  end
  if kind == "e" then return t:narrow(dim, 1, 1):expand(t.shape) end
  if kind == "r" then
    local range = {}
    for i = 1, t.ndim do range[i] = i == dim and { -1, 1, -1 } or {} end
    return t:flip(dim)[range]
  end
  if kind == "o" then
    local junk = t:narrow(dim, 1, 1)
    return al.cat({ junk, t }, dim):narrow(dim, 2, t:size(dim))
  end
  return al.stack({ t, t:flip(dim) }, -1):select(-1, 1)
end

local leaves, single
local env = { math = math }
function env.const(offset, format, shape, layout)
  if format == "F32" then single = true end
  return lay(read(offset, format, shape), layout)
end
function env.leaf(...)
  local t = env.const(...):detach()
  t.requires_grad = true
  leaves[#leaves + 1] = t
  return t
end

local function parse(line)
  if setfenv then return setfenv(assert(loadstring(line)), env)() end
  return assert(load(line, "case", "t", env))()
end

-- ---- comparison ----
local function shape_text(t)
  local s = {}
  for i, n in ipairs(t.shape) do s[i] = n end
  return (#s == 0 and "scalar" or table.concat(s, "x")) .. " " .. t.dtype
end

-- max|ours - reference| / rms(reference) of finite entries; the others must be the same. Not a number
-- (a text) where the two are not comparable.
local function off(ours, ref)
  if not al.is_tensor(ours) then return "there is none" end
  if #ours.shape ~= #ref.shape then return shape_text(ours) .. ", not " .. shape_text(ref) end
  for i, n in ipairs(ref.shape) do
    if ours.shape[i] ~= n then return shape_text(ours) .. ", not " .. shape_text(ref) end
  end
  if ref:numel() == 0 then return 0 end
  ours = ours:detach()
  if ref.dtype:sub(1, 5) ~= "float" then
    if ours.dtype == "bool" and ref.dtype ~= "bool" or ours.dtype:sub(1, 5) == "float" then
      return ours.dtype .. ", not " .. ref.dtype
    end
    return ours:to("int64"):eq(ref:to("int64")):all():item() and 0 or "other values"
  end
  ours = ours:to "float64"
  local finite = ref:isfinite()
  if not finite:all():item() then
    local same = ours:eq(ref):logical_or(ours:isnan():logical_and(ref:isnan()))
    if not same:logical_or(finite):all():item() then return "other infinities or NaN" end
    if not finite:any():item() then return 0 end
    ours, ref = ours:masked_select(finite), ref:masked_select(finite)
  end
  local d = (ours - ref):abs():max():item()
  if d ~= d then return "NaN" end
  return d / math.max((ref * ref):mean():sqrt():item(), 1e-30)
end

local rows, order = {}, {}
local function row_of(name)
  if not rows[name] then
    rows[name] = { name = name, cases = 0, failed = 0, single = 0, double = 0, gradients = 0 }
    order[#order + 1] = name
  end
  return rows[name]
end

local function copy(v, into)
  if al.is_tensor(v) then return v:detach() end
  if type(v) ~= "table" then return v end
  local out = into or {}
  for k, e in pairs(v) do out[k] = copy(e) end
  return out
end

-- name_ on a copy of the first argument gives the same.
local function check_inplace(c, args, first, limit, expect)
  local f = rawget(al, c.name .. "_")
  if not f or not c.inplace or not al.is_tensor(args[1]) or expect.ndim ~= args[1].ndim then return end
  for i, n in ipairs(expect.shape) do if args[1].shape[i] ~= n then return end end
  if first.dtype ~= args[1].dtype then return end
  local mine = copy(args)
  -- a strided target, where there is one to be had
  mine[1] = args[1].ndim > 0 and al.stack({ mine[1], mine[1] }, -1):select(-1, 2) or mine[1]:clone()
  local y = f(unpack(mine, 1, c.n))
  local e = off(y, expect)
  if type(e) == "string" or e > limit then return "in place: " .. tostring(e) end
end

local function check(line, row)
  leaves, single = {}, false
  local c = parse(line)
  if c.fails then return "the reference fails: " .. c.fails end
  local args = { n = c.n }
  for k, v in pairs(c.args) do args[tonumber(k)] = v end
  local f = calls[c.name] or al[c.name]
  local outs = { f(unpack(args, 1, c.n)) }
  if #outs == 1 and type(outs[1]) == "table" and not al.is_tensor(outs[1]) then outs = outs[1] end
  for _, y in ipairs(outs) do single = single or (al.is_tensor(y) and y.dtype == "float32") end
  local limit = single and (c.tol32 or TOL32) or (c.tol64 or TOL64)
  local kind = single and "single" or "double"
  if #outs ~= #c.want then return ("%d results, not %d"):format(#outs, #c.want) end
  for i, want in ipairs(c.want) do
    local e = off(outs[i], want[1])
    if type(e) == "string" then return ("output %d: %s"):format(i, e) end
    row[kind] = math.max(row[kind], e)
    if not (e <= limit) then return ("output %d: error %.3g"):format(i, e) end
    if want[2] and outs[i].dtype ~= want[2] then
      return ("output %d: dtype %s, not %s"):format(i, outs[i].dtype, want[2])
    end
  end
  local roots, cots = {}, {}
  for i, g in ipairs(c.cots) do
    if g then
      if not outs[i].requires_grad then return ("output %d: no gradient"):format(i) end
      roots[#roots + 1], cots[#cots + 1] = outs[i], g:to(outs[i].dtype)
    end
  end
  if #roots > 0 then
    local total
    for i, y in ipairs(roots) do
      local s = (y * cots[i]):sum()
      total = total and total + s or s
    end
    total:backward()
    for i, want in ipairs(c.grads) do
      local g = leaves[i].grad
      if want and not g then g = al.zeros_like(leaves[i]) end
      if want or g then
        local e = off(g, want or al.zeros_like(leaves[i]):to("float64"))
        if type(e) == "string" then return ("gradient %d: %s"):format(i, e) end
        row.gradients = row.gradients + 1
        row[kind] = math.max(row[kind], e)
        if not (e <= limit) then return ("gradient %d: error %.3g"):format(i, e) end
      end
    end
  end
  return check_inplace(c, args, outs[1], limit, c.want[1][1])
end

-- ---- all cases ----
local passed, failed = 0, 0
for line in io.lines(dir .. "/cases") do
  local row = row_of(line:match "name='([^']+)'")
  local ok, why = pcall(al.scope, check, line, row)
  row.cases = row.cases + 1
  if ok and not why then
    passed = passed + 1
  else
    failed, row.failed = failed + 1, row.failed + 1
    if row.failed <= 3 then
      print(("NOT  %s case %s: %s"):format(row.name, line:match "case=(%d+)", tostring(why)))
    end
  end
end

-- ---- ops that a comparison says nothing about ----
local function statistical(name, fn)
  local row = row_of(name)
  row.cases, row.note = row.cases + 1, "by statistics or shape"
  local ok, fine, why = pcall(al.scope, fn)
  if ok and fine then
    passed = passed + 1
  else
    failed, row.failed = failed + 1, row.failed + 1
    print(("NOT  %s: %s"):format(name, tostring(ok and why or fine)))
  end
end
if whole then
  al.seed(11)
  for name, fn in pairs(require "statistics") do statistical(name, fn) end
end

-- ---- the table ----
local missing = {}
if whole then
  for _, op in ipairs(al.native.registry()) do
    if not op.hidden and not rows[op.name] then
      local covered
      for alias in (op.alias or ""):gmatch "%S+" do covered = covered or rows[alias] end
      if not covered then missing[#missing + 1] = op.name end
    end
  end
end
table.sort(order)
print(("%-34s %5s %9s %10s %10s"):format("op", "cases", "gradients", "float32", "float64"))
for _, name in ipairs(order) do
  local r = rows[name]
  print(("%-34s %5d %9d %10.2g %10.2g  %s"):format(name, r.cases, r.gradients, r.single, r.double,
    r.failed > 0 and r.failed .. " FAILED" or r.note or ""))
end
for _, name in ipairs(missing) do print(("%-34s compared with nothing: FAILED"):format(name)) end
print(("%d ops, worst error over the reference's rms per dtype; limits %g and %g"):format(#order, TOL32, TOL64))
failed = failed + #missing
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0)
