-- A report with every kind of figure and table, for spec/browser_spec.lua.
local al = require "albedo"
al.seed(3)
local page = al.report.new { title = "Every kind of figure",
  lead = "A page that a browser looks at, in light and dark and on paper." }
page:heading "Claims":claims {
  { id = "translation", text = "AUC on translated copies", paper = "about 0.9", measured = 0.943,
  interval = { 0.921, 0.96 }, seeds = 3, holds = true },
  { id = "transfer", text = "F1 of transfer minus F1 of custom", paper = "+10 points", measured = -0.0123,
  interval = { -0.04, 0.02 }, seeds = 3, holds = false },
  { id = "time", text = "inference time ratio", measured = 1.83, seeds = 1 },
}
page:heading "Scores":text "Figures are means over three seeds."
page:table { caption = "Means over 3 seeds, with 95 % intervals.", columns = { "arm", "AUC", "F1",
  "parameters", "note" },
  rows = { { "custom", { mean = 0.91, low = 0.88, high = 0.93 }, 0.87, 123456, "small" }, { "transfer",
  { mean = 0.93, low = 0.9, high = 0.95 }, 0.9, 2345678, "wide" }, { "control", { mean = 0.5, low = 0.45,
  high = 0.56 }, 0.33, 123456, "" } } }
local x, a, b, lo, hi = {}, {}, {}, {}, {}
for i = 1, 60 do x[i] = i * 20; a[i] = 0.2 + 2 * math.exp(-i / 12) + 0.05 * math.sin(i);
  b[i] = 0.5 + 1.6 * math.exp(-i / 20); lo[i], hi[i] = a[i] - 0.1, a[i] + 0.12 end
page:heading "Curves":figure("lines", { alt = "Loss of two networks",
  caption = "Loss, mean and interval over the seeds.", x = "step", y = "loss",
  series = { { name = "custom", x = x, y = a, low = lo, high = hi }, { name = "transfer", x = x, y = b } } })
page:figure("lines", { alt = "Error by size", caption = "A logarithmic axis.", log_y = true, x = "samples",
  y = "error", series = { { y = { 1, 0.1, 0.03, 0.002 }, x = { 1000, 20000, 30000, 52000 },
  points = true } } })
local scores, labels = {}, {}
for i = 1, 200 do labels[i] = i % 2 + 1;
  scores[i] = (labels[i] == 2 and 0.3 or 0) + (i * 7919 % 997) / 997 end
local roc = al.metrics.roc(scores, labels); roc.name = "custom"
local pr = al.metrics.precision_recall(scores, labels)
page:figure("roc", { curves = { roc }, alt = "ROC curve", caption = "Receiver operating characteristic." })
page:figure("lines", { alt = "Precision by recall", caption = "Precision against recall.", x = "recall",
  y = "precision", x_range = { 0, 1 }, y_range = { 0, 1 }, size = { 520, 420 }, series = { { x = pr.recall,
  y = pr.precision } } })
page:heading "Bars":figure("bars", { alt = "AUC by regime", caption = "AUC by regime, with intervals.",
  y = "AUC", y_range = { 0.4, 1 }, labels = { "translation", "rotation", "scaling", "blur", "noise",
  "JPEG 75", "small", "several" },
  series = { { name = "custom", values = { 0.9, 0.7, 0.8, 0.75, 0.66, 0.88, 0.6, 0.93 }, low = { 0.85, 0.6,
  0.7, 0.7, 0.6, 0.8, 0.5, 0.9 }, high = { 0.95, 0.8, 0.85, 0.8, 0.7, 0.92, 0.7, 0.96 } },
  { name = "blocks", values = { 0.95, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 0.97 } } } })
page:figure("bars", { alt = "Change of loss", caption = "Negative values.", y = "change", labels = { "a",
  "b", "c" }, size = { 420, 260 }, series = { { values = { -0.5, 0.25, -0.125 } } } })
page:heading "Confusion":figure("confusion", { counts = al.metrics.confusion({ 1, 1, 2, 2, 2, 3, 3, 1, 2,
  3, 1 }, { 1, 1, 2, 2, 1, 3, 3, 3, 2, 3, 2 }), classes = { "benign", "malignant", "normal" },
  caption = "Test set: counts, and their share of the actual class." })
page:figure("heatmap", { alt = "Correlation of eight features", caption = "Correlation.",
  values = al.rand(8, 8), rows = { "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8" }, columns = { "area",
  "perimeter", "texture", "contrast", "energy", "entropy", "mean", "deviation" }, range = { 0, 1 } })
page:figure("heatmap", { alt = "Attention of 40 tokens", caption = "Attention.", values = al.randn(40,
  40):softmax(2), x = "key", y = "query" })
page:heading "Pictures"
local imgs = {}
for i = 1, 8 do
  local u, v = al.linspace(0, 1, 48):unsqueeze(1), al.linspace(0, 1, 48):unsqueeze(2)
  imgs[i] = al.stack({ (u * i):sin():abs() * al.ones(48, 1), (v * (9 - i)):cos():abs() * al.ones(1, 48),
  (u * v) }, 1)
end
page:figure("grid", { images = imgs, alt = "Samples", titles = { "cat", "dog", "ship", "horse", "frog",
  "plane", "bird", "truck" }, caption = "Eight samples.", credit = "A. Author, CC BY 4.0" })
local yy, xx = al.linspace(-1, 1, 200):unsqueeze(2), al.linspace(-1, 1, 200):unsqueeze(1)
local rad = (yy * yy + xx * xx):sqrt()
page:figure("overlay", { image = (-rad):exp(), masks = { { name = "lesion", mask = rad:lt(0.4) },
  { name = "prediction", mask = ((yy - 0.1) * (yy - 0.1) + xx * xx):sqrt():lt(0.3) } },
  alt = "A round lesion", caption = "A mask over its picture." })
local z = al.linspace(-1, 1, 32):reshape(32, 1, 1)
local vol = (z * z + yy:narrow(1, 1, 200):reshape(1, 200, 1) ^ 2 + xx:reshape(1, 1, 200) ^ 2):sqrt()
page:figure("volume", { volume = -vol, masks = { { name = "nodule", mask = vol:lt(0.5) } }, alt = "A ball",
  caption = "Eight slices of a ball.", count = 8, columns = 4 })
page:picture { data = al.image.encode(al.image.to_bytes(imgs[3]), "png"), alt = "a picture",
  caption = "One picture, enlarged without smoothing.", pixels = true, credit = "B. Author, CC0" }
page:code "lua5.4 experiments/copymove.lua --quick"
page:note "albedo, 2 threads."
return page
