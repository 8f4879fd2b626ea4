-- A report of what is at the edge: points on their own, nothing, huge and tiny numbers, long
-- names, many bars, series and classes, wide tables, for spec/browser_spec.lua.
local al = require "albedo"
al.seed(4)
local nan, inf = 0 / 0, math.huge
local long = "a_name_without_a_space_that_goes_on_and_on_" .. ("word_"):rep(30)
local page = al.report.new { title = "The edge " .. long, lead = long }
page:text(long)
page:heading "Points on their own"
local function lines(alt, o)
  o.alt, o.caption, o.size = alt, alt .. ".", o.size or { 520, 240 }
  page:figure("lines", o)
end
lines("One point", { series = { { name = "one", y = { 1 } } } })
lines("Isolated points", { series = { { y = { 1, nan, 3, inf, 2 } } }, x = "step" })
lines("A zero on a logarithmic axis", { series = { { y = { 0, 10, 0, 100, 1000 } } }, log_y = true })
lines("Nothing", { series = {} })
lines("Nothing but NaN", { series = { { name = "a", y = { nan, nan } } }, log_y = true })
lines("Huge numbers", { series = { { y = { 1e308, -1e307, 5e306 } } }, x = "n", y = "value" })
lines("Tiny numbers", { series = { { y = { 1e-300, 1.8e-300, 3e-300 } } }, y = "value" })
lines("Near numbers", { series = { { y = { 1234567.25, 1234567.5, 1234568 } } } })
lines("Long names", { title = long, x = long, y = long,
  series = { { name = long, y = { 1, 2 } }, { name = "short", y = { 2, 1 } } } })
local many, bars = {}, {}
for i = 1, 20 do
  many[i] = { name = "series " .. i, y = { i, i + 2 * math.sin(i), i + 1 }, points = i % 2 == 0 }
  bars[i] = { name = "series " .. i, values = { i, 20 - i } }
end
lines("Twenty series", { series = many, size = { 760, 420 } })
page:heading "Bars"
page:figure("bars", { alt = "Twenty series of bars", labels = { "a", "b" }, series = bars })
page:figure("bars", { alt = "No bars", labels = {}, series = { { values = {} } }, caption = "No bars." })
page:figure("bars", { alt = "Long labels", labels = { long, "short", long }, y = "share",
  series = { { values = { 1, 2, 3 } } }, caption = "Long labels." })
local labels, values = {}, {}
for i = 1, 60 do labels[i], values[i] = "class number " .. i, i % 7 + 1 end
page:figure("bars", { alt = "Sixty bars", labels = labels, series = { { values = values } }, caption = "Sixty." })
for i = 61, 150 do labels[i], values[i] = "class number " .. i, i % 7 + 1 end
page:figure("bars", { alt = "Many bars", labels = labels, series = { { values = values } }, caption = "150." })
page:figure("bars", { alt = "Without 0", labels = { "a", "b" }, y_range = { 0.4, 1 }, caption = "Dots.",
  series = { { values = { 0.5, 0.22 }, low = { 0.45, 0.2 }, high = { 0.6, 0.3 } } } })
page:heading "Matrices"
local names = {}
for i = 1, 30 do names[i] = "class " .. i end
names[7] = long
page:figure("heatmap", { alt = "Long names", values = al.rand(3, 4), rows = { "a", long, "c" },
  columns = { "one", long, "three", "four" }, x = long, y = long, caption = "Long names." })
page:figure("heatmap", { alt = "Thirty classes", values = al.rand(30, 30) * 1e7, rows = names,
  columns = names, caption = "Thirty." })
page:figure("heatmap", { alt = "Holes", values = { { 1, nan, 1234.5 }, { inf, -12345.678, 0.001 } },
  caption = "Places without a value." })
local guesses, truth = {}, {}
for i = 1, 900 do truth[i], guesses[i] = i % 30 + 1, (i % 30 + (i % 11 == 0 and 1 or 0)) % 30 + 1 end
page:confusion { counts = al.metrics.confusion(guesses, truth), classes = names }
local columns, row = {}, {}
for i = 1, 18 do columns[i], row[i] = "a wide column " .. i, { mean = i / 7, low = i / 8, high = i / 6 } end
row[1] = "an arm"
columns[18] = "the last column"
page:table { caption = "Eighteen columns.", columns = columns, rows = { row, row } }
page:table { caption = "Long words.", columns = { "what", "is" }, rows = { { long, long } } }
page:code(long)
page:heading "Pictures"
page:picture { data = al.image.encode(al.rand(3, 150, 2400), "png"), alt = "wide", caption = "A wide picture." }
return page
