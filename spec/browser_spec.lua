-- Reports as a browser shows them, light and dark, wide and narrow (spec/support/browser.js has the
-- checks): Debian's chromium, headless, on files alone.
local al = require "albedo"
local files = require "spec.support.files"

local function shell(command)
  local done = os.execute(command)
  return done == true or done == 0
end

local FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
  .. "--disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=4000 "
local scratch = files.tmp()
al.io.make_folder(scratch)

-- What chromium prints, with a profile of its own.
local function chromium(path, options)
  local command = ("cd / && timeout 120 chromium %s --user-data-dir=%s/profile %s file://%s 2>/dev/null")
    :format(FLAGS, scratch, options, path)
  local pipe = io.popen(command)
  local out = pipe:read "*a"
  pipe:close()
  return out
end

local DARK = "--blink-settings=preferredColorScheme=0"

-- The faults that the checks find in a page, a list; the first line says what was looked at.
local function look(path, options)
  local checks = files.read "spec/support/browser.js"
  local page = files.read(path):gsub("<head>", function()
    return "<head><script>" .. checks .. "</script>"
  end, 1)
  local copy = scratch .. "/page.html"
  files.write(copy, page)
  local answer = chromium(copy, options .. " --dump-dom"):match '<pre id="answer">(.-)end</pre>'
  assert.is_truthy(answer, "the page gave no answer")
  local lines = {}
  for line in answer:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function brightness(path, options)
  local shot = scratch .. "/shot.png"
  chromium(path, ("%s --window-size=1000,3000 --screenshot=%s"):format(options, shot))
  local x = al.image.to_gray(al.image.to_float(al.image.load(shot, { channels = 3 })))
  os.remove(shot)
  return x:mean():item(), x:std():item()
end

local function passes(path, figures)
  for _, way in ipairs {
    { "--window-size=1100,900", "light" }, { "--window-size=1100,900 " .. DARK, "dark" },
    { "--window-size=500,900", "light" },
  } do
    local said = look(path, way[1])
    local scheme, n = table.remove(said, 1):match "^looked: (%a+), %d+ wide, (%d+) figures"
    assert.equal("", table.concat(said, "\n"))
    assert.same({ way[2], figures }, { scheme, tonumber(n) })
  end
  local light, some = brightness(path, "")
  local dark, other = brightness(path, DARK)
  assert.is_true(light > 0.7 and dark < 0.4, ("brightness %g, dark %g"):format(light, dark))
  assert.is_true(some > 0.02 and other > 0.02, ("spread %g, dark %g"):format(some, other))
end

local stderr = io.stderr
setup(function() rawset(io, "stderr", io.open("/dev/null", "w")) end)
teardown(function()
  io.stderr:close()
  rawset(io, "stderr", stderr)
  shell("rm -rf '" .. scratch .. "'")
end)

describe("a report in a browser", function()
  if jit or os.getenv "ALBEDO_LIGHT" then return it("is looked at with Lua 5.4", function() end) end
  if not shell "command -v chromium >/dev/null 2>&1" then
    pending "(no chromium here)"
    return
  end

  it("finds the faults of a faulty page", function()
    local path = scratch .. "/faulty.html"
    files.write(path, '<!doctype html><html><head><title>x</title></head><body><main><h1>a</h1><h3>b</h3>'
      .. '<p style="color:#999">pale</p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
      .. "<table><thead><tr><th>x</th></tr></thead></table><script>undefined_function()</script>"
      .. '<svg width="100" height="100"><text x="90">long text</text></svg>'
      .. "<p style='width:3000px'>wide</p></main></body></html>")
    local said = table.concat(look(path, ""), "\n")
    for _, wanted in ipairs {
      "no lang", "heading level", 'contrast 2.85 of "pale"', "no alt text", "without scope",
      "neither caption nor label", "undefined_function", "no role or label", "nothing is drawn",
      "cut off", "wider than",
    } do assert.is_truthy(said:find(wanted, 1, true), wanted .. " is not in\n" .. said) end
  end)

  it("shows every kind of figure and table", function()
    local path = scratch .. "/all.html"
    dofile("spec/support/report_page.lua"):write(path)
    passes(path, 27)
  end)

  it("shows what is at the edge: alone, nothing, long, many", function()
    local path = scratch .. "/edges.html"
    dofile("spec/support/report_edges.lua"):write(path)
    passes(path, 20)
  end)

  it("prints every column of a wide table", function()
    if not shell "command -v pdftotext >/dev/null 2>&1" then return pending "no pdftotext here" end
    local page, path = al.report.new { title = "Wide" }, scratch .. "/wide.html"
    local counts, columns, row = {}, {}, {}
    for i = 1, 30 do
      counts[i] = {}
      for k = 1, 30 do counts[i][k] = 1000 + i end
    end
    for i = 1, 16 do columns[i], row[i] = "column" .. i, { mean = i / 7, low = 0.123, high = 5.678 } end
    page:confusion { counts = counts }
    page:table { columns = columns, rows = { row } }
    page:code(("word "):rep(60) .. "final")
    page:write(path)
    chromium(path, "--no-pdf-header-footer --print-to-pdf=" .. scratch .. "/wide.pdf")
    -- what lies outside the paper is not in its text
    local pipe = io.popen(("pdftotext -layout '%s/wide.pdf' -"):format(scratch))
    local text = pipe:read "*a"
    pipe:close()
    for i = 1, 30 do
      local _, n = text:gsub("%f[%d]" .. 1000 + i .. "%f[%D]", "")
      assert.equal(30, n)
    end
    assert.is_truthy(text:find "column16" and text:find "final" and text:find("2.286", 1, true))
  end)

  it("shows an experiment's own page, runs side by side, the page of claims", function()
    for k = 1, 2 do
      local run = al.lab.start("toy", { title = "A toy", about = "Two arms.", seeds = 2, rate = k },
        { "--out", scratch .. "/runs/toy-" .. k, "--seed", tostring(k) })
      for seed in run:seeds() do
        for arm, n in run:arms { a = 4, b = 8 } do
          local net = al.nn.Sequential { al.nn.Linear(2, n), al.nn.Tanh(), al.nn.Linear(n, 2) }
          run:fit(net, function()
            local x = al.randn(16, 2)
            return x, x:prod(2):gt(0):to "int64" + 1
          end, { steps = 12, checks = 4, validate = function() return n end, save_every = 100 })
          run:score(arm, seed, { auc = 0.7 + n / 100 + seed / 300, loss = -0.5 })
        end
      end
      run:scores { "auc", "loss" }
      run:plot("bars", "auc", { y = "AUC", labels = { "a", "b" },
        series = { { values = { 0.7, 0.8 } } } }, { alt = "AUC of the arms", caption = "AUC." })
      run:claim { id = "better", text = "b is better", paper = "yes",
        measured = run:paired("b", "a", "auc"), above = 0 }
      run:claim { id = "worse", text = "b is worse", measured = -1, holds = false }
      passes(run:report(), 3)
    end
    local command = ("%s -l albedo -e 'albedo.compare(\"%s/runs/*\")' 2>&1")
      :format(os.getenv "LUA" or "lua5.4", scratch)
    local pipe = io.popen(command)
    assert.equal(scratch .. "/runs/compare.html\n", pipe:read "*a")
    pipe:close()
    local html = files.read(scratch .. "/runs/compare.html")
    assert.is_truthy(html:find("toy-1", 1, true) and html:find("does not hold", 1, true))
    passes(scratch .. "/runs/compare.html", 13)
    al.lab.claims(scratch .. "/CLAIMS.html",
      { scratch .. "/runs/toy-1", scratch .. "/runs/toy-2", scratch .. "/none" })
    passes(scratch .. "/CLAIMS.html", 0)
  end)
end)
