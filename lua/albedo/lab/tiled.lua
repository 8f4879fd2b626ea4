--- al.lab's inference over volumes, in tiles and from TIFF stack to TIFF stack.

local al = require "albedo"
local put = require("albedo.io.bytes").put
local options = require "albedo.options"

-- Where the tiles of a dim of n begin, what they read and keep: { from, size, keep_from, keep
-- }. Reading begins at multiples of `step`, so that poolings fall as over the whole; ends are
-- padded.
local function cuts(n, tile, margin, step)
  local list = {}
  for at = 1, n, tile do
    local from = math.max(1, at - math.ceil(margin / step) * step)
    local keep = math.min(tile, n - at + 1)
    local last = math.min(n, at + keep - 1 + margin)
    list[#list + 1] = { from = from, size = last - from + 1, at = at, skip = at - from,
      keep = keep }
  end
  return list
end

-- x (c x d x h x w) with repeated border voxels at its ends up to multiples of step
local function filled(x, step)
  for d = 2, 4 do
    local lack = -x:size(d) % step
    if lack > 0 then
      local edge = x:narrow(d, x:size(d), 1)
      local shape = { -1, -1, -1, -1 }
      shape[d] = lack
      x = al.cat({ x, edge:expand(shape) }, d)
    end
  end
  return x
end

return function(lab)

--- net(1 x c x d x h x w) over a volume in tiles, each read with a margin around it that is
-- thrown away: what the whole would give, if the margin covers the net's reach. source: a
-- tensor c x D x H x W, or { size = { D, H, W }, read = function(from, count) -> c x count x H
-- x W }, such as lab.stack's. Options: tile = 64, margin = 16; step = 8, a multiple of the
-- net's strides (tile is one of it); write = function(slab, from), called down the volume with
-- what the net made of tile layers (k x n x H x W), so that only those are in memory; without
-- it all are joined.
function lab.tiled(net, source, given)
  local o = options("lab.tiled", given, { tile = 64, margin = 16, step = 8 }, { "write" })
  if o.tile % o.step ~= 0 then error("lab.tiled: tile must be a multiple of step", 2) end
  local read, size
  if not al.is_tensor(source) then
    read, size = source.read, source.size
  else
    size = { source:size(2), source:size(3), source:size(4) }
    read = function(from, count) return source:narrow(2, from, count) end
  end
  local slabs = {}
  local write = o.write or function(slab) slabs[#slabs + 1] = slab end
  for _, z in ipairs(cuts(size[1], o.tile, o.margin, o.step)) do
    local slab = al.no_grad(al.scope, function()
      local thick, rows = read(z.from, z.size), {}
      for _, y in ipairs(cuts(size[2], o.tile, o.margin, o.step)) do
        local row = {}
        for _, x in ipairs(cuts(size[3], o.tile, o.margin, o.step)) do
          row[#row + 1] = al.scope(function()
            local part = thick:narrow(3, y.from, y.size):narrow(4, x.from, x.size)
            local out = net(filled(part, o.step):unsqueeze(1))[1]
            return out:narrow(2, z.skip + 1, z.keep):narrow(3, y.skip + 1, y.keep)
              :narrow(4, x.skip + 1, x.keep):contiguous()
          end)
        end
        rows[#rows + 1] = al.cat(row, 4)
      end
      return al.cat(rows, 3)
    end)
    write(slab, z.at)
  end
  if not o.write then return al.cat(slabs, 2) end
end

--- A TIFF stack as a source of lab.tiled, read page by page: { size, read }, gray, float32.
function lab.stack(path)
  local function page(k) return al.image.load(path, { page = k }) end
  local first = page(1)
  local low, high = 1, 2
  while pcall(page, high) do low, high = high, high * 2 end -- how many pages: doubled, halved
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if pcall(page, middle) then low = middle else high = middle end
  end
  return {
    size = { low, first:size(2), first:size(3) },
    read = function(from, count)
      local pages = {}
      for k = 1, count do pages[k] = page(from + k - 1):narrow(1, 1, 1):to "float32" end
      return al.cat(pages, 1):unsqueeze(1)
    end,
  }
end

--- Writes a TIFF stack of depth x height x width bytes slab by slab: stack:write(slab), uint8
-- n x height x width, until depth layers are written; stack:close(). BigTIFF, uncompressed, so
-- that every page's place is known beforehand: page k's pixels, then its directory.
function lab.write_stack(path, depth, height, width)
  local file = assert(io.open(path, "wb"))
  local pixels, entries = height * width, 9
  local directory = 8 + entries * 20 + 8
  file:write("II", put(43, 2), put(8, 2), put(0, 2), put(16 + pixels, 8))
  local stack, k = {}, 0
  function stack.write(_, slab)
    for i = 1, #slab do
      if k == depth then error("lab.write_stack: more layers than " .. depth, 2) end
      local at = 16 + k * (pixels + directory)
      k = k + 1
      local fields = { { 256, 4, width }, { 257, 4, height }, { 258, 3, 8 }, { 259, 3, 1 },
        { 262, 3, 1 }, { 273, 16, at }, { 277, 3, 1 }, { 278, 4, height }, { 279, 16, pixels } }
      file:write(slab[i]:contiguous():bytes(), put(entries, 8))
      for _, f in ipairs(fields) do
        file:write(put(f[1], 2), put(f[2], 2), put(1, 8), put(f[3], 8))
      end
      file:write(put(k < depth and at + pixels + directory + pixels or 0, 8))
    end
  end
  function stack.close()
    file:close()
    if k ~= depth then error(("lab.write_stack: %d of %d layers"):format(k, depth), 2) end
  end
  return stack
end

--- Segments a TIFF stack into another: at each voxel the likeliest class of net, from 1; slab
-- by slab, so that neither need fit into memory. Options as for lab.tiled.
function lab.segment_stack(net, from, to, given)
  local source, o = lab.stack(from), {}
  local out = lab.write_stack(to, source.size[1], source.size[2], source.size[3])
  for key, value in pairs(given or {}) do o[key] = value end
  o.write = function(slab) out:write(slab:argmax(1):to "uint8") end
  lab.tiled(net, source, o)
  out:close()
end

end
