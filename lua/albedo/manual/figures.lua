-- The manual's page of pictures: what the augmentations and figures look like, made as it is
-- built.
local al = require "albedo"

-- A picture without anyone's rights: hills, a sun, a house.
local function landscape()
  local h, w = 240, 240
  local y, x = al.linspace(0, 1, h):reshape(1, h, 1), al.linspace(0, 1, w):reshape(1, 1, w)
  local function color(r, g, b) return al.tensor({ r, g, b }):reshape(3, 1, 1) end
  local photo = color(0.35, 0.6, 0.9) * (1 - y) + color(0.95, 0.85, 0.7) * y + 0 * x
  local function paint(where, c) photo = al.where(where, c, photo) end
  paint(((x - 0.78) ^ 2 + (y - 0.2) ^ 2):lt(0.008), color(1, 0.9, 0.35))
  paint(y:gt(0.62 + 0.1 * (x * 7):sin()), color(0.45, 0.62, 0.35))
  paint(y:gt(0.76 + 0.06 * (x * 5 + 2):sin()), color(0.25, 0.45, 0.25))
  local wall = x:gt(0.3):logical_and(x:lt(0.55)):logical_and(y:gt(0.5)):logical_and(y:lt(0.78))
  paint(wall, color(0.85, 0.8, 0.72))
  local roof = ((x - 0.425):abs() * 0.9 + 0.36):lt(y):logical_and(y:lt(0.52))
  paint(roof, color(0.65, 0.25, 0.2))
  paint(x:gt(0.39):logical_and(x:lt(0.46)):logical_and(y:gt(0.62)):logical_and(y:lt(0.78)),
    color(0.35, 0.22, 0.15))
  return photo:clamp(0, 1)
end

local function figure(file, alt, code, lua)
  return ('<figure><img src="img/%s" alt="%s" loading="lazy"><figcaption>%s</figcaption>'
    .. "</figure>\n<pre><code>%s</code></pre>"):format(file, alt, alt, lua(code))
end

-- Each: file, what it shows, the code that made it; run here, so that it is true.
local PLOTS = {
  { "lines.png", "Two curves, one with an interval", [[
local x = al.arange(100):to "float64"
local y = (x / -30):exp()
al.plot.lines(path, { title = "Training", x = "step", y = "loss", series = {
  { name = "plain", x = x, y = y + 0.05, low = y, high = y + 0.1 },
  { name = "augmented", x = x, y = y * 0.8 },
} })]] },
  { "bars.png", "Bars with intervals", [[
al.plot.bars(path, { y = "F1", labels = { "translated", "rotated", "scaled" }, series = {
  { name = "custom", values = { 0.9, 0.7, 0.6 },
    low = { 0.85, 0.6, 0.5 }, high = { 0.93, 0.8, 0.7 } },
  { name = "transfer", values = { 0.92, 0.8, 0.75 } },
} })]] },
  { "roc.png", "A receiver operating characteristic", [[
local fpr = al.linspace(0, 1, 50, { dtype = "float64" })
al.plot.roc(path, { curves = {
  { name = "custom", fpr = fpr, tpr = fpr:pow(0.3), auc = 0.77 },
} })]] },
}

return function(folder, lua)
  local photo = landscape()
  al.seed(1)
  local out = { "<h1>Figures</h1>", "<h2>Augmentations</h2>" }
  local sheet, names = al.data.augment.gallery(photo, { side = 150, columns = 5, seed = 4 })
  al.image.save(folder .. "/img/augment.png", sheet)
  out[#out + 1] = figure("augment.png", "Row by row: " .. table.concat(names, ", "),
    'local sheet, names = al.data.augment.gallery(photo,\n'
    .. '  { side = 150, columns = 5, seed = 4 })\n'
    .. 'al.image.save("augment.png", sheet)', lua)
  out[#out + 1] = "<h2>Pictures</h2>"
  local grid = al.image.grid({ photo, al.image.rotate(photo, 20), al.image.to_gray(photo),
    al.image.overlay(photo, photo[1]:gt(0.6), { color = "magenta" }),
    al.image.boxes(photo, { { 120, 72, 68, 60 } }, { color = "blue" }),
    al.image.heatmap(photo:mean(1)) }, { columns = 3, pad = 4 })
  al.image.save(folder .. "/img/pictures.png", grid)
  out[#out + 1] = figure("pictures.png",
    "A picture, turned, gray; with a mask, a box, as a heat map", [[
local sheet = al.image.grid({ photo, al.image.rotate(photo, 20), al.image.to_gray(photo),
  al.image.overlay(photo, mask, { color = "magenta" }),
  al.image.boxes(photo, { { 120, 72, 68, 60 } }, { color = "blue" }),
  al.image.heatmap(photo:mean(1)) }, { columns = 3, pad = 4 })]], lua)
  if al.plot.available() then
    out[#out + 1] = "<h2>Plots</h2>"
    for _, p in ipairs(PLOTS) do
      local path = folder .. "/img/" .. p[1]
      local chunk = assert((loadstring or load)("local al, path = ...\n" .. p[3]))
      chunk(al, path)
      out[#out + 1] = figure(p[1], p[2], p[3], lua)
    end
  end
  return table.concat(out, "\n")
end
