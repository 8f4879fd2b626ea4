--- sim.lumbar: axial pictures through lumbar discs, and regions of interest by blocks.
--
--   local set = al.sim.lumbar { patients = 100, size = 160, seed = 1 }
--   set.x (n x 1 x size x size in [0, 1]), set.y, set.patient, set.mask (disc and canal)
--   local part = al.sim.lumbar.roi(set.x, 5, 4, { { 2, 2 }, { 4, 3 } })
--
-- Classes: 1 normal; 2 bulge: the disc's rim 3 to 5 mm out all round; 3 herniation: the disc 7
-- to 10 mm out over a width of 8 to 12 mm, left or right of the middle; 4 stenosis: the canal
-- at 55 to 70 % of its size, by thick joints and ligament behind. What else there is differs
-- from patient to patient and tells nothing: fat, muscles, joints, vessels, bowel, pose, the
-- coil. Anatomy in mm from textbooks: disc 50 x 36, canal 24 x 17, field of view 220; tissues
-- and scanner: sim/mri.lua. A patient has three slices, the middle one through the disc's
-- middle, the others 4 mm off, where the finding is weaker: the slices a selection would keep.
--
-- Options: patients = 90, size = 160, seed = 1, noise = 0.02, severity = 1 (factor on the
-- findings).

local al = require "albedo"
local dice = require "albedo.sim.dice"
local mri = require "albedo.sim.mri"
local options = require "albedo.options"

local S = mri.signal
local lumbar = {}

local function anatomy(draw)
  local p = { scale = draw(0.9, 1.1), fat = draw(12, 30), back = {}, bowel = {} }
  p.side = draw(0, 1) < 0.5 and -1 or 1
  p.out, p.narrow, p.joint = draw(0, 1), draw(0.55, 0.7), draw(7, 10)
  for k = 1, 9 do
    p.bowel[k] = { draw(-70, 70), draw(-75, -35), draw(5, 14), draw(5, 14), draw(0.05, 0.7) }
  end
  for k = 1, 14 do p.back[k] = { draw(-55, 55), draw(32, 60), draw(1.5, 4), draw(1.5, 4) } end
  return p
end

local function slice(o, p, class, off, draw, generator)
  local pose = { turn = draw(-0.08, 0.08), x = draw(-7, 7), y = draw(-7, 7) }
  local c, k = mri.canvas(o.size, 220, pose), p.scale
  local much = (off == 0 and 1 or 0.7) * o.severity
  c:paint(c:ellipse(0, 0, 100, 78), S.fat)
  c:paint(c:ellipse(0, 0, 100 - p.fat * 0.6, 78 - p.fat * 0.5), S.muscle)
  c:paint(c:ellipse(0, -50, 78, 32), S.fat * 0.8)
  for _, b in ipairs(p.bowel) do c:paint(c:ellipse(b[1], b[2], b[3], b[4]), b[5]) end
  for side = -1, 1, 2 do
    c:paint(c:ellipse(side * 42 * k, 2, 17, 20), S.muscle) -- psoas
    c:paint(c:ellipse(side * 30 * k, 45, 24, 20), S.muscle) -- of the back
  end
  c:paint(c:ellipse(-12, -34 * k, 8, 8), 0.05) -- flowing blood
  c:paint(c:ellipse(12, -33 * k, 9, 7), 0.05)
  for _, b in ipairs(p.back) do c:paint(c:ellipse(b[1], b[2], b[3], b[4]), S.fat) end
  -- canal, joints behind it, then the disc in front, which may push into it
  local canal = class == 4 and 1 - (1 - p.narrow) * much or 1
  local joint = p.joint + (class == 4 and 3 * much or 0)
  for side = -1, 1, 2 do
    c:paint(c:ellipse(side * 17 * k, 30 * k, joint, joint * 1.2, side * 0.5), S.bone)
    c:paint(c:ellipse(side * 17 * k, 30 * k, joint * 0.5, joint * 0.7, side * 0.5), S.marrow)
  end
  c:paint(c:ellipse(0, 41 * k, 4, 12), S.bone)
  c:paint(c:ellipse(0, 24 * k, 14 * k, 11 * k), S.fat)
  local tube = c:ellipse(0, 23.5 * k, 12 * k * canal, 8.5 * k * canal)
  c:paint(tube, S.fluid)
  for r = 1, 8 do -- roots in the fluid
    local a = r * math.pi / 4 + draw(-0.3, 0.3)
    local reach = k * canal * draw(3, 7)
    c:paint(c:ellipse(reach * math.cos(a), (24 * k) + 0.7 * reach * math.sin(a), 1, 1), S.white)
  end
  local rim = class == 2 and (3 + 2 * p.out) * much or 0
  local disc = c:ellipse(0, -3 * k, 25 * k + rim, 18 * k + rim)
  if class == 3 then
    local out, wide = (7 + 3 * p.out) * much, 4 + 2 * p.out
    disc = disc:maximum(c:ellipse(p.side * 5 * k, 13 * k, wide, 2 + out))
  end
  c:paint(disc, S.annulus)
  c:paint(c:ellipse(0, -3 * k, 17 * k, 11 * k), off == 0 and S.nucleus or S.nucleus * 0.8)
  local seen = disc:maximum(c:ellipse(0, 23.5 * k, 14 * k, 11 * k)):gt(0.5)
  return c:scan(generator, o.noise), seen
end

local function make(given)
  local o = options("lumbar", given, { patients = 90, size = 160, seed = 1, noise = 0.02,
    severity = 1 })
  local draw = dice(al.generator(o.seed))
  local set = { y = {}, patient = {} }
  set.classes = { "normal", "bulge", "herniation", "stenosis" }
  local pictures, masks = {}, {}
  for k = 1, o.patients do
    local p, class = anatomy(draw), (k - 1) % 4 + 1
    for off = -1, 1 do
      local n = #pictures + 1
      local noise = al.generator(o.seed * 100003 + n)
      local x, seen = al.no_grad(al.scope, slice, o, p, class, off, draw, noise)
      pictures[n], masks[n] = x:unsqueeze(1):unsqueeze(1), seen:unsqueeze(1):unsqueeze(1)
      set.y[n], set.patient[n] = class, "P" .. k
    end
  end
  set.x, set.mask = al.cat(pictures, 1), al.cat(masks, 1)
  set.y = al.tensor(set.y, { dtype = "int64" })
  return set
end

--- The box of blocks from { row, column } to { row, column } (from 1) of a grid of rows x
-- columns blocks, the rest dropped: views of ... x h x w. The paper cuts 20 blocks of 82 x 94
-- pixels.
function lumbar.roi(x, rows, columns, keep)
  local h, w = x:size(-2) / rows, x:size(-1) / columns
  local top, left = math.floor((keep[1][1] - 1) * h), math.floor((keep[1][2] - 1) * w)
  local bottom, right = math.floor(keep[2][1] * h), math.floor(keep[2][2] * w)
  return x:narrow(-2, top + 1, bottom - top):narrow(-1, left + 1, right - left)
end

-- Blocks that hold the box x0, y0, x1, y1 of a picture h x w.
local function covering(row, h, w, rows, columns)
  local function block(v, size, n) return math.min(n, math.max(1, math.ceil(v / size * n))) end
  return { { block(row.y0 + 1, h, rows), block(row.x0 + 1, w, columns) },
    { block(row.y1, h, rows), block(row.x1, w, columns) } }
end

--- Real exams of the folder lumbar_mri: sagittal slices, the class of the lowest disc by its
-- height over the vertebra's: 1 narrow, 2 normal, parted at the median. As lumbar's set, with
-- keep, the blocks that hold the disc's box, and real = true. size: pixels along a side.
function lumbar.exams(dir, size)
  local rows, ratios = al.data.csv(dir .. "/boxes.csv"), {}
  local set = { y = {}, patient = {}, keep = {}, real = true, classes = { "narrow", "normal" } }
  local pictures, masks, kept = {}, {}, {}
  for i = 1, #rows do
    local row = rows:get(i)
    if row.kind == "disc" and row.index_from_bottom == 0 and row.height_ratio then
      kept[#kept + 1], ratios[#ratios + 1] = row, row.height_ratio
    end
  end
  local middle = al.metrics.quantile(ratios, 0.5)
  for n, row in ipairs(kept) do
    al.scope(function()
      local x = al.image.load(dir .. "/images/" .. row.file, { channels = 1, float = true })
      local h, w = x:size(-2), x:size(-1)
      local mask = al.zeros(1, h, w)
      mask:narrow(2, row.y0 + 1, row.y1 - row.y0):narrow(3, row.x0 + 1, row.x1 - row.x0)
        :fill_(1)
      set.keep[n] = covering(row, h, w, 5, 4)
      pictures[n] = al.keep(al.image.resize(x, { size, size }, "area"):unsqueeze(1))
      masks[n] = al.keep(al.image.resize(mask, { size, size }, "area"):gt(0.5):unsqueeze(1))
    end)
    set.y[n] = row.height_ratio < middle and 1 or 2
    set.patient[n] = tostring(row.domain) .. tostring(row.exam)
  end
  set.x, set.mask = al.cat(pictures, 1), al.cat(masks, 1)
  set.y = al.tensor(set.y, { dtype = "int64" })
  return set
end

local MIDDLE = { { 2, 2 }, { 4, 3 } } -- of 5 x 4 blocks: disc and canal

--- What a network sees of a set, n x 1 x side x side, and the mask there: "full", the whole;
-- "roi", the blocks of set.keep (the middle six by default) of 5 x 4; "random", as many blocks
-- elsewhere, other ones for every picture, drawn from the generator.
function lumbar.view(set, kind, side, generator)
  local draw, xs, masks = dice(generator), {}, {}
  local function moved(keep, d, n) -- the same extent at another place
    local extent = keep[2][d] - keep[1][d]
    if n - extent <= 1 then return keep[1][d] end
    return 1 + math.floor(draw(0, n - extent - 1e-6))
  end
  for i = 1, #set.x do
    local x, mask, keep = set.x[i], set.mask[i]:to "float32", set.keep and set.keep[i] or MIDDLE
    if kind == "random" then
      local top, left, tries = keep[1][1], keep[1][2], 0
      while top == keep[1][1] and left == keep[1][2] and tries < 50 do
        top, left, tries = moved(keep, 1, 5), moved(keep, 2, 4), tries + 1
      end
      keep = { { top, left },
        { top + keep[2][1] - keep[1][1], left + keep[2][2] - keep[1][2] } }
    end
    if kind ~= "full" then
      x, mask = lumbar.roi(x, 5, 4, keep), lumbar.roi(mask, 5, 4, keep)
    end
    xs[i] = al.image.resize(x, { side, side }, "area"):unsqueeze(1)
    masks[i] = al.image.resize(mask, { side, side }, "area"):gt(0.5):unsqueeze(1)
  end
  return al.cat(xs, 1), al.cat(masks, 1)
end

return setmetatable(lumbar, { __call = function(_, given) return make(given) end })
