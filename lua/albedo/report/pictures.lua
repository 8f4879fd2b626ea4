-- Pictures of a report: grids of tiles, masks over pictures, slices of volumes. Each gives the
-- HTML that stands in a <figure>, above its caption.

local al = require "albedo"
local draw = require "albedo.report.draw"
local escape, raise = draw.escape, draw.raise

local pictures = {}

-- Marks for masks, told apart by most eyes and on gray.
local COLORS = {
  { 230, 57, 70 }, { 46, 196, 132 }, { 255, 183, 3 }, { 64, 145, 245 }, { 200, 92, 214 },
}

-- A page is 912 pixels wide at most, twice as many on a fine screen.
local WIDEST = 2000

-- x (C x H x W), no larger than a page can show.
local function scaled(x)
  local h, w = x:size(-2), x:size(-1)
  local share = math.min(1, WIDEST / w, math.sqrt(4 * WIDEST * WIDEST / (h * w)))
  if share == 1 then return x end
  return al.image.resize(x, { math.max(1, math.floor(h * share + 0.5)),
    math.max(1, math.floor(w * share + 0.5)) })
end

--- The bytes of a picture's file as a page holds them, "png" or "jpeg", and what is to be said
-- of them: that they are fewer. What no browser shows becomes PNG; no picture raises.
function pictures.inlined(data)
  return al.scope(function()
    local kind = data:sub(1, 3) == "\255\216\255" and "jpeg"
      or data:sub(1, 8) == "\137PNG\r\n\26\n" and "png"
    local x = al.image.decode(data)
    local y = scaled(x)
    if kind and rawequal(x, y) then return data, kind end
    local bytes = al.image.encode(y, kind or "png")
    if #bytes > 3e6 and y:size(-3) % 2 == 1 then -- without alpha
      bytes, kind = al.image.encode(y, "jpeg"), "jpeg"
    end
    local note = ("Shown with %d x %d of its %d x %d pixels."):format(y:size(-1), y:size(-2),
      x:size(-1), x:size(-2))
    return bytes, kind or "png", not rawequal(x, y) and note or nil
  end)
end

-- An <img> of a tensor; small pictures keep their pixels.
local function img(x, alt, pixels)
  if not alt or alt == "" then raise "a picture needs an alt text" end
  if not al.is_tensor(x) or x.ndim < 2 or x.ndim > 3 then
    raise("a picture is a tensor, H x W or C x H x W; got %s", al.is_tensor(x)
      and table.concat(x.shape, " x ") or type(x))
  end
  x = scaled(x.ndim == 2 and x:unsqueeze(1) or x)
  local small = pixels or pixels == nil and math.max(x:size(-1), x:size(-2)) < 160
  local data = al.image.encode(al.image.to_bytes(x:detach()), "png")
  return ('<img%s alt="%s" width="%d" height="%d" src="data:image/png;base64,%s">'):format(
    small and ' class="pixels"' or "", escape(alt), x:size(-1), x:size(-2),
    require("albedo.report").base64(data))
end

local function tile(html, title)
  return ("<figure>%s%s</figure>"):format(html,
    title and "<figcaption>" .. escape(title) .. "</figcaption>" or "")
end

local function tiles(list, columns)
  local square = math.min(6, math.ceil((#list) ^ 0.5) + 1)
  columns = math.min(columns or (#list <= 4 and #list or square), #list)
  return ('<div class="tiles%s" style="--n:%d">%s</div>'):format(#list == 1 and " one" or "",
    columns, table.concat(list, "\n"))
end

local function pictures_of(v)
  local list = {}
  if al.is_tensor(v) then
    for i = 1, v.shape[1] do list[i] = v[i] end
  else
    for i, x in ipairs(v) do list[i] = x end
  end
  if #list == 0 then raise "a grid of no pictures" end
  return list
end

--- Pictures side by side. o: images (a list of pictures, or N x C x H x W), alt (of the whole;
-- with its title each picture is named), titles (a list), columns, pixels.
function pictures.grid(o)
  local out, images = {}, pictures_of(o.images)
  if o.titles and #o.titles ~= #images then
    raise("a grid of %d pictures and %d titles", #images, #o.titles)
  end
  for i, x in ipairs(images) do
    local title = o.titles and o.titles[i]
    local alt = ("%s: %s"):format(o.alt or "", title or i)
    out[i] = tile(img(x, o.alt and alt, o.pixels), title)
  end
  return tiles(out, o.columns)
end

local function color_of(m, i) return m.color or COLORS[(i - 1) % #COLORS + 1] end

local function share(c)
  if type(c) ~= "table" then return c end
  return { c[1] / 255, c[2] / 255, c[3] / 255 }
end

-- A picture (H x W or C x H x W) with masks over it.
local function marked(x, masks, alpha)
  if x.ndim == 2 then x = x:unsqueeze(1) end
  local y = al.image.to_rgb(al.image.to_float(x:detach()))
  for i, m in ipairs(masks) do
    local mask = m.mask
    if not al.is_tensor(mask) then raise("masks[%d] has no mask, a tensor", i) end
    if mask.dtype == "int64" or mask.dtype == "uint8" then mask = mask:ne(0) end
    y = al.image.overlay(y, mask, { color = share(color_of(m, i)), alpha = alpha })
  end
  return y
end

local function keys(masks)
  local out = {}
  for i, m in ipairs(masks) do
    local c = color_of(m, i)
    out[i] = ('<li><span style="background:%s"></span>%s</li>'):format(
      type(c) == "table" and ("rgb(%d,%d,%d)"):format(c[1], c[2], c[3]) or escape(c),
      escape(m.name or "mask " .. i))
  end
  return #out > 0 and ('<ul class="keys">%s</ul>'):format(table.concat(out)) or ""
end

--- A picture beside itself with masks over it. o: image (H x W or C x H x W), masks (a list of
-- { name, mask = H x W (bool, 0 and 1, or weights 0 to 1), color = { r, g, b } to 255 }), alt,
-- alpha (0.55), pixels.
function pictures.overlay(o)
  local names = {}
  if not al.is_tensor(o.image) then raise("an overlay's image is a %s", type(o.image)) end
  for i, m in ipairs(o.masks) do names[i] = m.name or "mask " .. i end
  local alt = o.alt and o.alt .. ", with " .. table.concat(names, ", ") .. " marked"
  return tiles({
    tile(img(o.image, o.alt, o.pixels), "picture"),
    tile(img(marked(o.image, o.masks, o.alpha or 0.55), alt, o.pixels),
      table.concat(names, ", ")),
  }) .. keys(o.masks)
end

--- Slices of a volume. o: volume (D x H x W, or 1 x D x H x W), alt, axis (1 of D, H, W),
-- count (8), slices (numbers, instead), window ({ low, high }: the 0.5 and 99.5 % quantiles),
-- masks (as overlay's, of the volume's shape), names (of the axes: z, y, x), columns, pixels.
function pictures.volume(o)
  local v = o.volume
  if al.is_tensor(v) and v.ndim == 4 then v = v:squeeze(1) end
  if not al.is_tensor(v) or v.ndim ~= 3 then raise "a volume is a tensor, D x H x W" end
  local axis, count = o.axis or 1, o.count or 8
  local n = v.shape[axis]
  local at = o.slices
  if not at then
    at = {}
    count = math.min(count, n)
    for k = 1, count do at[k] = math.floor((k - 0.5) * n / count) + 1 end
  end
  return al.scope(function()
    v = v:detach():to "float32"
    local low, high
    if o.window then
      low, high = o.window[1], o.window[2]
    else
      local flat = v:reshape(-1):sort()
      low = flat[math.floor(0.005 * (#flat - 1)) + 1]:item()
      high = flat[math.ceil(0.995 * (#flat - 1)) + 1]:item()
    end
    local shown = ((v - low) / math.max(high - low, 1e-12)):clamp(0, 1)
    local list, name = {}, (o.names or { "z", "y", "x" })[axis]
    for k, i in ipairs(at) do
      local masks = {}
      for j, m in ipairs(o.masks or {}) do
        local mask = m.mask.ndim == 4 and m.mask:squeeze(1) or m.mask
        masks[j] = { mask = mask:select(axis, i), color = color_of(m, j) }
      end
      local title = ("%s = %d"):format(name, i)
      list[k] = tile(img(marked(shown:select(axis, i), masks, o.alpha or 0.55),
        o.alt and o.alt .. ", slice " .. title, o.pixels), title)
    end
    return tiles(list, o.columns) .. keys(o.masks or {})
  end)
end

return pictures
