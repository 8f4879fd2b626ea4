local al = require "albedo"
local plot, report = al.plot, al.report

local made = {}
local function tmp(ending)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ending
  made[#made + 1] = path
  return path
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local bytes = file:read "*a"
  file:close()
  return bytes
end

teardown(function()
  for _, path in ipairs(made) do os.remove(path) end
end)

-- Draws and looks: a PNG of the size asked for, with something in it. Pending without gnuplot.
local function draws(kind, spec, size)
  local path = tmp ".png"
  local ok, reason = plot[kind](path, spec)
  if not plot.available() then
    assert.is_false(ok)
    assert.is_truthy(reason:find "gnuplot%-nox")
    return pending "gnuplot is not installed"
  end
  assert.is_true(ok, reason)
  local x = al.image.load(path, { channels = 3 })
  assert.same({ 3, size[2], size[1] }, x.shape)
  assert.is_true(x:min():item() < 100 and x:max():item() == 255)
  assert.is_nil(read(path .. ".new"))
  return x
end

describe("al.plot", function()
  it("draws lines with intervals, gaps, odd names and tensors", function()
    draws("lines", {
      title = "a \"title\" with $odd \\ `signs` and under_scores", x = "step", y = "loss",
        log_y = true,
      series = {
        { name = "one_a", x = { 1, 2, 3 }, y = { 3, 2, 0 / 0 }, low = { 2, 1, 1 },
          high = { 4, 3, 2 } },
        { name = "two", y = al.tensor { 1, 2, 4 }, points = true },
        { name = "none", y = {} },
      },
    }, { 900, 480 })
  end)

  it("draws bars with intervals", function()
    draws("bars", {
      y = "F1", labels = { "translated", "rotated" }, size = { 600, 300 }, y_range = { 0, 1 },
      series = {
        { name = "custom", values = { 0.9, 0.7 }, low = { 0.85, 0.6 }, high = { 0.95, 0.75 } },
        { name = "transfer", values = { 0.8, 0 / 0 } },
      },
    }, { 600, 300 })
  end)

  it("draws operating characteristics", function()
    draws("roc", { curves = { { name = "c", fpr = { 0, 0.1, 1 }, tpr = { 0, 0.8, 1 },
      auc = 0.85 } } },
      { 760, 520 })
  end)

  it("writes SVG, light and dark, without another program", function()
    local path = tmp ".svg"
    assert.is_true(plot.lines(path, { y = "loss", x = "step", series = {
      { name = "a <b>", x = { 1, 2, 3, 4 }, y = { 1, 0 / 0, -0.5, 2 }, low = { 0, 0, -1, 1 },
        high = { 2, 1, 0, 3 } }, { name = "c", y = al.tensor { 1, 2 } } } }))
    local svg = read(path)
    assert.is_truthy(svg:find '^<svg xmlns="http' and svg:find "prefers%-color%-scheme: dark")
    assert.is_truthy(svg:find("a &lt;b&gt;", 1, true) and svg:find(">\226\136\1461<", 1, true))
    assert.is_nil(svg:find "nan")
    assert.is_true(plot.bars(path, { labels = { "a", "b" }, series = { { values = { -1, 2 } } } }))
    assert.is_true(plot.roc(path, { curves = { al.metrics.roc({ 1, 2, 3 }, { 1, 2, 2 }) } }))
    local ok, reason = plot.lines(path, { series = { { y = { 1, 2 }, x = { 1 } } } })
    assert.is_false(ok)
    assert.is_truthy(reason:find "2 and 1 entries")
  end)

  it("gives a reason instead of an error", function()
    local path = tmp ".png"
    local ok, reason = plot.lines(path, { series = { { y = { 1, 2 }, x = { 1 } } } })
    assert.is_false(ok)
    assert.is_truthy(reason:find "2 and 1 entries")
    ok, reason = plot.lines("nowhere/at/all.png", { series = { { y = { 1, 2 } } } })
    assert.is_false(ok)
    assert.equal("string", type(reason))
    assert.is_nil(read(path))
  end)
end)

describe("a drawn figure", function()
  local function svg(kind, o)
    o.alt = "x"
    return report.figures[kind](o)
  end
  local function count(text, pattern)
    local _, n = text:gsub(pattern, "")
    return n
  end
  local nan, inf = 0 / 0, math.huge
  local long = ("name"):rep(60)

  it("draws points on their own, says what it leaves out, and where there is nothing", function()
    assert.equal(1, count(svg("lines", { series = { { y = { 1 } } } }), "<circle"))
    local some = svg("lines", { series = { { y = { 1, nan, 3, inf, 2 } } } })
    assert.equal(3, count(some, "<circle"))
    assert.is_truthy(some:find("Left out: 1 value too large.", 1, true))
    local log = svg("lines", { log_y = true, series = { { y = { 0, 10, -1, 100, 1000 } } } })
    assert.equal(1, count(log, "<circle"))
    assert.is_truthy(log:find("Left out: 2 values not above 0.", 1, true))
    for _, o in ipairs { { series = {} }, { series = { { y = { nan, inf } } } },
      { series = { { y = { 0, -1 } } }, log_y = true } } do
      assert.is_truthy(svg("lines", o):find(">no data<", 1, true))
    end
    assert.is_truthy(svg("bars", { labels = {}, series = { { values = {} } } }):find(">no data<", 1, true))
    assert.is_nil(svg("lines", { series = { { y = { 1, 2 } } } }):find("no data", 1, true))
    local y = {} -- every second value of 3000 is missing: gaps stay where curves are thinned
    for i = 1, 3000 do y[i] = i % 2 == 0 and i or nan end
    assert.is_true(count(svg("lines", { series = { { y = y } } }), "M%d") > 600)
  end)

  it("holds long names and many of them", function()
    local text = svg("lines", { title = long, x = long, y = long, series = { { name = long, y = { 1, 2 } },
      { name = "b", y = { 2, 3 } } } })
    assert.equal(4, count(text, "\226\128\166<title>" .. long)) -- shortened, whole when pointed at
    local bars = svg("bars", { labels = { long, "b" }, series = { { values = { 1, 2 } } } })
    local tall = tonumber(bars:match 'class="bar f1" x="[%d.]+" y="[%d.]+" width="[%d.]+" height="([%d.]+)"')
    assert.is_true(tall > 50)
    local heat = svg("heatmap", { values = { { 1, 2 } }, columns = { long, "b" }, rows = { long } })
    assert.is_true(tonumber(heat:match 'height="(%d+)"') < 400)
    local labels, values = {}, {}
    for i = 1, 60 do labels[i], values[i] = "class number " .. i, i end
    assert.equal(60, count(svg("bars", { labels = labels, series = { { values = values } } }), "rotate%(%-90"))
  end)

  it("tells more than eight series apart, and gives ticks their room", function()
    local series, seen = {}, {}
    for i = 1, 20 do series[i] = { name = "s" .. i, y = { i, i + 1 } } end
    for look in svg("lines", { series = series }):gmatch '<path (class="curve[^>]-) d="M[%d.]+ [%d.]+L' do
      assert.is_nil(seen[look], look)
      seen[look] = true
    end
    assert.is_truthy(next(seen))
    local tiny = svg("lines", { series = { { y = { 1e-300, 1.8e-300 } } } })
    local x = tonumber(tiny:match '<text x="([%d.]+)" y="[%d.]+" text%-anchor="end">1%.8e')
    assert.is_true(x > 55) -- eight characters of 13 px end there
    assert.is_nil(svg("lines", { series = { { y = { 1e308, -1e308 } } } }):find "nan")
    local near = svg("lines", { series = { { y = { 1234567, 1234568 } } } })
    local ticks = {}
    for t in near:gmatch '"end">([^<]+)<' do
      assert.is_nil(ticks[t], t)
      ticks[t] = true
    end
  end)

  it("shows a large matrix by the means of its blocks", function()
    local names = {}
    for i = 1, 500 do names[i] = "row " .. i end
    local text = svg("heatmap", { values = al.arange(500):reshape(500, 1):expand(500, 300), rows = names })
    assert.equal(167 * 150 + 40, count(text, '<rect class="cell"'))
    assert.is_truthy(text:find("Means over 3 x 2.", 1, true))
    assert.is_truthy(text:find(">row 1<", 1, true))
    assert.is_nil(text:find(">row 2<", 1, true))
    assert.is_nil(svg("heatmap", { values = al.rand(200, 200) }):find("Means", 1, true))
  end)

  it("has no bar without 0 to stand on", function()
    local o = { labels = { "a", "b" }, y_range = { 0.4, 1 }, series = { { values = { 0.9, 0.22 } } } }
    local text = svg("bars", o) -- 0.22 is below the range asked for: it is shown all the same
    assert.equal(2, count(text, "<circle"))
    assert.is_nil(text:find('<rect class="bar', 1, true))
    o.y_range = { 0, 1 }
    assert.equal(2, count(svg("bars", o), '<rect class="bar'))
  end)
end)

describe("al.report", function()
  -- What a call raises, at the line of the call.
  local function raises(wanted, fn)
    local ok, message = pcall(fn)
    assert.is_false(ok, wanted)
    assert.is_truthy(message:find("plot_spec%.lua:%d+: "), message)
    assert.is_truthy(message:find(wanted, 1, true), message)
  end

  it("refuses what is no spec, at the caller's line", function()
    local x, p = al.rand(3, 8, 8), report.new()
    for wanted, call in pairs {
      ['figure "grid" needs images'] = { "figure", "grid", { alt = "a" } },
      ["figure \"grid\": unknown option 'pictures'"] = { "figure", "grid", { alt = "a", pictures = { x } } },
      ['figure "overlay" needs masks'] = { "figure", "overlay", { alt = "a", image = x } },
      ["masks[1] has no mask"] = { "figure", "overlay", { alt = "a", image = x, masks = { { name = "m" } } } },
      ["an overlay's image is a string"] = { "figure", "overlay", { alt = "a", image = "x", masks = {} } },
      ["a volume is a tensor"] = { "figure", "volume", { alt = "a", volume = x[1] } },
      ["no figure is called pie: bars, confusion"] = { "figure", "pie", {} },
      ['figure "lines" needs a spec'] = { "figure", "lines" },
      ['figure "lines" needs series'] = { "figure", "lines", { alt = "a" } },
      ['figure "lines": series is a list'] = { "figure", "lines", { alt = "a", series = { y = { 1 } } } },
      ["series[1] has no y"] = { "figure", "lines", { alt = "a", series = { { values = { 1 } } } } },
      ["columns have 2 and 1 entries"] = { "figure", "lines", { alt = "a", series = { { y = { 1, 2 }, x = { 1 } } } } },
      ["a figure needs an alt text"] = { "figure", "lines", { series = {} } },
      ["series[1] has no values"] = { "figure", "bars", { alt = "a", labels = { "b" }, series = { { y = { 1 } } } } },
      ["curves[1] has no fpr and tpr"] = { "figure", "roc", { alt = "a", curves = { { y = { 1 } } } } },
      ["values are a matrix"] = { "figure", "heatmap", { alt = "a", values = {} } },
      ["rows have 2 and 1 entries"] = { "figure", "heatmap", { alt = "a", values = { { 1, 2 }, { 3 } } } },
      ["1 rows, 2 names"] = { "figure", "heatmap", { alt = "a", values = { { 1, 2 } }, rows = { "a", "b" } } },
      ["1 classes are named, 2 counted"] = { "confusion", { counts = { { 1, 2 }, { 3, 4 } }, classes = { "a" } } },
      ["row 1 of 2 has 1 counts"] = { "figure", "confusion", { counts = { { 1 }, { 3, 4 } } } },
      ["a grid of 1 pictures and 2 titles"] = { "figure", "grid", { alt = "a", images = { x }, titles = { "a", "b" } } },
      ["a table needs columns"] = { "table", { rows = {} } },
      ["no picture: none.png: No such file"] = { "picture", { alt = "a", path = "none.png" } },
      ["Makefile is no picture"] = { "picture", { alt = "a", path = "Makefile" } },
      ["data is no picture"] = { "picture", { alt = "a", data = al.image.encode(x, "png"):sub(1, 60) } },
      ["a picture needs a path"] = { "picture", { alt = "a" } },
      ["unknown option 'size'"] = { "picture", { alt = "a", size = 3 } },
      ["a picture needs an alt text"] = { "picture", { path = "none.png" } },
    } do
      raises(wanted, function() return p[call[1]](p, call[2], call[3]) end)
    end
    raises("unknown option 'titel'", function() return report.new { titel = "x" } end)
    assert.same({}, p.parts)
  end)

  it("makes large pictures smaller, and says so", function()
    local large = al.image.encode((al.rand(3, 30, 4000) * 255):to "uint8", "png")
    local html = report.new():picture { data = large, alt = "a", caption = "Wide." }:html()
    assert.is_truthy(html:find("Shown with 2000 x 15 of its 4000 x 30 pixels.", 1, true))
    assert.is_true(#html < #large)
    local small = al.image.encode(al.rand(3, 30, 40), "jpeg")
    html = report.new():picture { data = small, alt = "a" }:html()
    assert.is_truthy(html:find("image/jpeg;base64," .. report.base64(small), 1, true)) -- to the byte
    assert.is_nil(html:find("Shown with", 1, true))
    assert.is_nil(html:find("<figcaption>", 1, true)) -- no number without a caption
    local pgm = report.new():picture { data = "P5 2 2 255\nabcd", alt = "a" }:html()
    assert.is_truthy(pgm:find("image/png;base64,iVBOR", 1, true)) -- what no browser shows
    html = report.new():figure("grid", { images = { al.rand(1, 20, 3000) }, alt = "a" }):html()
    assert.is_truthy(html:find('width="2000" height="13"', 1, true))
  end)

  local picture = al.image.encode(al.zeros({ 3, 4, 4 }, { dtype = "uint8" }), "png")
  local function page()
    return report.new { title = "A <title> & more",
      lead = "Lead" }:heading "Scores":text "50 % <b>":table {
      caption = "Test", columns = { "arm", "F1" },
      rows = { { "custom", { mean = 0.5, low = 0.4, high = 0.6 } }, { "b", 0 / 0 }, { "c" } },
    }:picture { data = picture, alt = "black \"square\"", caption = "Nothing",
      credit = "A. Author, CC BY 4.0" }
      :claims {
        { id = "a", text = "t", paper = "+10", measured = 0.25, interval = { 0.2, 0.3 },
          seeds = 3, holds = true },
        { id = "b", text = "t", holds = false }, { id = "c", text = "t" },
      }
  end

  it("is one page that links to nothing", function()
    local html = page():html()
    for _, word in ipairs { "http", "<link", "<script", "<iframe", "@import", "url%(", "href",
      "src=\"[^d]" } do
      assert.is_nil(html:find(word), word)
    end
    assert.is_truthy(html:find('src="data:image/png;base64,iVBORw0KGgo', 1, true))
    assert.is_truthy(html:find "prefers%-color%-scheme: dark")
    assert.is_truthy(html:find "@media print")
    assert.is_truthy(html:find '<html lang="en">')
  end)

  it("escapes texts, shows intervals, verdicts and credits", function()
    local html = page():html()
    assert.is_truthy(html:find("<title>A &lt;title&gt; &amp; more</title>", 1, true))
    assert.is_nil(html:find("<b>", 1, true))
    assert.is_truthy(html:find('0.500<span class="between"> [0.400, 0.600]</span>', 1, true))
    assert.is_truthy(html:find("not a number", 1, true))
    assert.is_truthy(html:find('0.250<span class="between"> [0.200, 0.300]</span>', 1, true))
    assert.is_truthy(html:find("\226\156\147 holds", 1, true))
    assert.is_truthy(html:find("\226\156\151 does not hold", 1, true))
    assert.is_truthy(html:find("not judged", 1, true))
    assert.is_truthy(html:find("Pictures: A. Author, CC BY 4.0", 1, true))
    assert.is_truthy(html:find('alt="black &quot;square&quot;"', 1, true))
  end)

  it("asks for an alt text", function()
    assert.error_matches(function() report.new {}:picture { data = picture } end, "alt text")
  end)

  it("encodes base64 as RFC 4648 does", function()
    local plain = { "", "f", "fo", "foo", "foob", "fooba", "foobar" }
    local coded = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" }
    for i, text in ipairs(plain) do assert.equal(coded[i], report.base64(text)) end
    assert.equal("AP+A/w==", report.base64 "\0\255\128\255")
  end)

  it("is written whole", function()
    local path = tmp ".html"
    page():write(path)
    assert.equal("</html>\n", read(path):sub(-8))
    assert.error_matches(function() page():write "nowhere/at/all.html" end, "nowhere")
  end)
end)
