--- classical.structure: what a segmented volume (depth x height x width, labels 1 .. k)
-- measures.
--
--   local s = al.classical.structure
--   s.fractions(labels, 4)             -- { 0.30, 0.55, 0.05, 0.10 }
--   s.surface(labels:eq(2))            -- area a volume, per voxel side
--   s.connectivity(labels:eq(1))       -- { pieces, share, largest }
--   s.tortuosity(labels:eq(1))         -- along dim 1
--   s.render(labels, colours)          -- a picture, 3 x h x w

local al = require "albedo"
local options = require "albedo.options"

local structure = {}
local unpack = table.unpack or unpack

--- The share of each label 1 .. classes, a list.
function structure.fractions(labels, classes)
  local counts = labels:reshape(-1):to("int64"):bincount(nil, classes):totable()
  for k = 1, classes do counts[k] = counts[k] / labels:numel() end
  return counts
end

--- Specific surface of a mask: its faces within the volume, per voxel, times 2/3, the mean
-- ratio of a surface's area to its faces over all directions (Cauchy).
function structure.surface(mask)
  local x, faces = mask:to "int32", 0
  for d = 1, 3 do
    local n = x:size(d) - 1
    faces = faces + x:narrow(d, 1, n):ne(x:narrow(d, 2, n)):to("int64"):sum():item()
  end
  return faces * (2 / 3) / mask:numel()
end

local function five(mask) return mask:unsqueeze(1):unsqueeze(1) end

-- Labels of the pieces that reach from the first to the last layer along dim 1, a set.
local function spanning(pieces)
  local first, through = {}, {}
  for _, k in ipairs(pieces[1]:reshape(-1):unique():totable()) do first[k] = k > 0 end
  for _, k in ipairs(pieces[#pieces]:reshape(-1):unique():totable()) do
    if first[k] then through[#through + 1] = k end
  end
  return through
end

--- Of a mask's pieces (neighbours share a face): pieces, how many; largest, the largest one's
-- share of the mask; share, that of the pieces reaching from the first layer to the last.
function structure.connectivity(mask)
  local pieces, n = al.label(five(mask), 1)
  pieces, n = pieces[1][1], n:sum():item()
  if n == 0 then return { pieces = 0, largest = 0, share = 0 } end
  local counts = pieces[pieces:gt(0)]:bincount():totable()
  local total, largest, through = 0, 0, 0
  for _, c in ipairs(counts) do total, largest = total + c, math.max(largest, c) end
  for _, k in ipairs(spanning(pieces)) do through = through + counts[k] end
  return { pieces = n, largest = largest / total, share = through / total }
end

-- Minus the divergence of the gradient of x within the mask, links[d] telling which neighbours
-- along dim d are both in it; the first and last layers also touch plates half a voxel away.
local function flow(x, links, plates)
  local y = x * plates
  for d = 1, 3 do
    local n = x:size(d) - 1
    if n > 0 then
      local g = (x:narrow(d, 2, n) - x:narrow(d, 1, n)) * links[d]
      y:narrow(d, 1, n):sub_(g)
      y:narrow(d, 2, n):add_(g)
    end
  end
  return y
end

--- Tortuosity of a mask along dim 1: its share of the volume over the effective diffusivity,
-- relative to the free one. Laplace's equation between plates at 1 and 0 (Cooper et al. 2016)
-- by conjugate gradients; infinity where no piece spans the volume. Options: tolerance = 1e-5
-- of the first residual, iterations = 2000.
function structure.tortuosity(mask, given)
  local o = options("tortuosity", given, { tolerance = 1e-5, iterations = 2000 })
  local pieces = al.label(five(mask), 1)[1][1]
  local through = spanning(pieces)
  if #through == 0 then return math.huge end
  return al.no_grad(al.scope, function()
    local m = pieces:eq(through[1])
    for i = 2, #through do m = m:logical_or(pieces:eq(through[i])) end
    m = m:to "float64"
    local links, plates, depth = {}, al.zeros_like(m), #m
    for d = 1, 3 do
      local n = m:size(d) - 1
      if n > 0 then links[d] = m:narrow(d, 1, n) * m:narrow(d, 2, n) end
    end
    plates[1]:add_(m[1] * 2)
    plates[depth]:add_(m[depth] * 2)
    local x = al.zeros_like(m)
    local r = al.zeros_like(m)
    r[1] = m[1] * 2
    local p = r:clone()
    local energy = r:square():sum():item()
    local stop = energy * o.tolerance ^ 2
    for _ = 1, o.iterations do
      if energy <= stop then break end
      al.scope(function()
        local q = flow(p, links, plates)
        local step = energy / (p * q):sum():item()
        x:add_(p * step)
        r:sub_(q * step)
        local former = energy
        energy = r:square():sum():item()
        p:mul_(energy / former):add_(r)
      end)
    end
    local through_plate = ((1 - x[1]) * m[1] * 2):sum():item()
    local diffusivity = through_plate * depth / x[1]:numel()
    return mask:to("float64"):mean():item() / diffusivity
  end)
end

--- How a segmentation compares with the truth, phases being names of the labels 1 .. k: { dice,
-- iou (means over the phases), dice_NAME (2 |a and b| / (|a| + |b|), F1 of the counts),
-- surface_error_NAME (relative), fraction_error (the largest of a phase's share of the volume),
-- connected_error (of the share of label 1 that spans the volume), tortuosity_ratio (of label
-- 1; nil where nothing spans it) }.
function structure.compare(found, truth, phases)
  local n = #phases
  local counts = al.metrics.confusion(found:reshape(-1), truth:reshape(-1), n)
  local here, there = structure.fractions(found, n), structure.fractions(truth, n)
  local f = { dice = 0, iou = 0, fraction_error = 0 }
  for k, name in ipairs(phases) do
    local d = counts:class(k).f1
    f["dice_" .. name], f.dice, f.iou = d, f.dice + d / n, f.iou + d / (2 - d) / n
    f.fraction_error = math.max(f.fraction_error, math.abs(here[k] - there[k]))
    local a, b = structure.surface(found:eq(k)), structure.surface(truth:eq(k))
    f["surface_error_" .. name] = math.abs(a - b) / b
  end
  f.connected_error = math.abs(structure.connectivity(found:eq(1)).share
    - structure.connectivity(truth:eq(1)).share)
  local a, b = structure.tortuosity(found:eq(1)), structure.tortuosity(truth:eq(1))
  f.tortuosity_ratio = a < math.huge and b < math.huge and a / b or nil
  return f
end

--- A slice of labels (h x w) in colours, { r, g, b } a label: 3 x h x w.
function structure.paint(labels, colours)
  local h, w = labels:size(1), labels:size(2)
  return al.tensor(colours):index_select(1, labels:reshape(-1):to "int64"):reshape(h, w, 3)
    :permute(3, 1, 2)
end

--- A picture of a volume seen from above a corner, label 1 clear: 3 x size x size, floats in
-- [0, 1]. colours: { r, g, b } for each label. Options: size = 192.
function structure.render(labels, colours, given)
  local o = options("render", given, { size = 192 })
  return al.no_grad(al.scope, function()
    local shape, n = labels.shape, math.max(unpack(labels.shape))
    local s = o.size
    -- the eye looks along `ahead`; right and up span the picture; all over (z, y, x)
    local ahead, right, up = { -0.5, -0.612, -0.612 }, { 0, -0.707, 0.707 }, { 0.866, -0.354,
      -0.354 }
    local axis = (al.arange(s):to "float32" - (s + 1) / 2) * (1.75 * n / s)
    local across, above = axis:reshape(1, s), -axis:reshape(s, 1)
    local solid = labels:ne(1):to "float32"
    local soft = five(solid):gaussian_blur(1)[1][1]
    local flat, soft_flat = labels:reshape(-1):to "int64", soft:reshape(-1)
    local seen, light = al.zeros({ s, s }, { dtype = "int64" }), al.zeros { s, s }
    local function place(t, shift)
      local at, inside = {}, nil
      for d = 1, 3 do
        at[d] = (across * right[d] + above * up[d] + (t * ahead[d] + (shift and shift[d] or 0)
          + (shape[d] + 1) / 2)):round()
        local ok = at[d]:ge(1):logical_and(at[d]:le(shape[d]))
        inside = inside and inside:logical_and(ok) or ok
        at[d] = at[d]:clamp(1, shape[d])
      end
      local index = ((at[1] - 1) * shape[2] + at[2] - 1) * shape[3] + at[3]
      return index:to("int64"):reshape(-1), inside
    end
    for t = -n, n, 0.7 do
      al.scope(function()
        local index, inside = place(t)
        local here = flat:index_select(1, index):reshape(s, s)
        local fresh = here:gt(1):logical_and(inside):logical_and(seen:eq(0))
        if not fresh:any():item() then return end
        -- brighter where the solid thins out towards the lamp, above and to the left
        local lit = soft_flat:index_select(1, index)
          - soft_flat:index_select(1, (place(t, { 1.5, 0.9, -0.3 })))
        seen:copy_(al.where(fresh, here, seen))
        light:copy_(al.where(fresh, lit:reshape(s, s), light))
      end)
    end
    local shade = (0.55 + 0.7 * light):clamp(0.25, 1)
    local planes = {}
    for c = 1, 3 do
      local tints = { 1 }
      for k, colour in ipairs(colours) do tints[k + 1] = k == 1 and 1 or colour[c] end
      local tint = al.tensor(tints):index_select(1, seen:reshape(-1) + 1):reshape(s, s)
      planes[c] = al.where(seen:gt(0), tint * shade, al.ones_like(tint)):unsqueeze(1)
    end
    return al.cat(planes, 1)
  end)
end

return structure
