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

describe("al.report", function()
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
