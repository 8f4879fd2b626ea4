--- classical.shortcut: what a picture gives away without its subject, as controls beside
-- networks.
--
--   local scores = al.classical.shortcut.border(fit, test.x, classes)    -- n x classes
--
-- fit = { x (n x c x h x w), y }; logistic regression on a few numbers a picture.

local al = require "albedo"

local shortcut = {}

local function regress(of, fit, x, classes)
  return al.no_grad(function()
    local a, b = of(fit.x):to "float64", of(x):to "float64"
    local mean, spread = a:mean(1), a:std(1) + 1e-6
    local m = al.classical.logistic((a - mean) / spread, fit.y, { classes = classes })
    return m:probabilities((b - mean) / spread)
  end)
end

--- Probabilities by the means and standard deviations of the four edges, four pixels deep: what
-- tells a picture's source, not what it shows.
function shortcut.border(fit, x, classes)
  return regress(function(pictures)
    local list = {}
    for k, dim in ipairs { 3, 3, 4, 4 } do
      local edge = pictures:narrow(dim, k % 2 == 1 and 1 or pictures:size(dim) - 3, 4)
      edge = edge:flatten(2, -1)
      list[2 * k - 1], list[2 * k] = edge:mean(2, true), edge:std(2, true)
    end
    return al.cat(list, 2)
  end, fit, x, classes)
end

--- Probabilities by the picture averaged down to `side` pixels along each side (16).
function shortcut.pixels(fit, x, classes, side)
  side = side or 16
  return regress(function(pictures)
    local h, w = pictures:size(3), pictures:size(4)
    return pictures:avg_pool2d({ math.floor(h / side), math.floor(w / side) }):flatten(2, -1)
  end, fit, x, classes)
end

return shortcut
