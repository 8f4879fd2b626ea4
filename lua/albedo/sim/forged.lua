--- sim.forged: windows of real forgeries with masks, as test samples.
--
--   local set = al.sim.forged(al.data.photos(dir), { size = 256 })  -- dir: tampered/ and gt/
--
-- Class 2: windows that hold at least two whole pieces of the mask, a copy and its source.
-- Class 1: windows of the same pictures that the mask does not touch. All are re-compressed
-- alike.

local al = require "albedo"
local length_of = require "albedo.length"
local options = require "albedo.options"

local CELL = 4 -- the mask is followed on a grid of this many pixels

-- Boxes { top, left, bottom, right } of the pieces of a mask (H x W), in pixels.
local function pieces(mask)
  local grid = al.scope(function()
    local m = mask:to "float32"
    return m:reshape(1, 1, m:size(1), m:size(2)):max_pool2d(CELL)[1][1]:totable()
  end)
  local found = {}
  for r = 1, #grid do
    for c = 1, #grid[1] do
      if grid[r][c] > 0 then
        local box, open = { r, c, r, c }, { { r, c } }
        grid[r][c] = 0
        while #open > 0 do
          local at = table.remove(open)
          local y, x = at[1], at[2]
          box[1], box[2] = math.min(box[1], y), math.min(box[2], x)
          box[3], box[4] = math.max(box[3], y), math.max(box[4], x)
          for dy = -1, 1 do
            for dx = -1, 1 do
              local row = grid[y + dy]
              if row and (row[x + dx] or 0) > 0 then
                row[x + dx] = 0
                open[#open + 1] = { y + dy, x + dx }
              end
            end
          end
        end
        found[#found + 1] = { (box[1] - 1) * CELL + 1, (box[2] - 1) * CELL + 1, box[3] * CELL,
          box[4] * CELL }
      end
    end
  end
  return found
end

--- Windows of the pictures of `photos` (al.data.photos of a folder with tampered/ and gt/).
-- Options: size (256 pixels), most (8 windows a picture and class), quality (90). Returns { x
-- (uint8), y, photo }.
return function(photos, opts)
  local o = options("sim.forged", opts, { size = 256, most = 8, quality = 90 })
  local set, xs, ys, size = { photo = {} }, {}, {}, o.size
  for i = 1, length_of(photos) do
    local x, path = al.image.to_rgb(photos:get(i)), photos:field(i, "mask")
    local h, w = x:size(2), x:size(3)
    if path and h >= size and w >= size then
      local mask = al.image.load(path, { channels = 1 })[1]:gt(127)
      local function add(top, left, class)
        xs[#xs + 1] = x:narrow(2, top, size):narrow(3, left, size)
        ys[#ys + 1] = class
        set.photo[#set.photo + 1] = photos:field(i, "photo")
      end
      -- the first pixel of a window that holds first .. last, about their middle if it can be
      local function around(first, last, length)
        local start = math.min((first + last - size) / 2, first, length - size + 1)
        return math.floor(math.max(1, last - size + 1, start))
      end
      local boxes, count = pieces(mask), 0
      for a = 1, #boxes do
        for b = a + 1, #boxes do
          local p, q = boxes[a], boxes[b]
          local top, left = math.min(p[1], q[1]), math.min(p[2], q[2])
          local bottom, right = math.max(p[3], q[3]), math.max(p[4], q[4])
          if bottom - top < size and right - left < size and count < o.most then
            count = count + 1
            add(around(top, bottom, h), around(left, right, w), 2)
          end
        end
      end
      local clean = 0
      for top = 1, h - size + 1, size / 4 do
        for left = 1, w - size + 1, size / 4 do
          top, left = math.floor(top), math.floor(left)
          local window = mask:narrow(1, top, size):narrow(2, left, size)
          if clean < o.most and not window:any():item() then
            clean = clean + 1
            add(top, left, 1)
          end
        end
      end
    end
  end
  if #xs == 0 then error("sim.forged: no window of this size fits the pictures", 2) end
  set.x = al.image.jpeg(al.stack(xs, 1), o.quality)
  set.y = al.tensor(ys, { dtype = "int64" })
  return set
end
