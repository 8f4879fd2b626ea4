-- al.compare: runs of al.lab and of al.fit side by side, sound or not.
local al = require "albedo"
local files = require "spec.support.files"

local root = files.tmp()
local said

local stderr = io.stderr
local function silent()
  said = {}
  rawset(io, "stderr", { write = function(_, ...) said[#said + 1] = table.concat { ... } end })
end
setup(function() al.io.make_folder(root) end)
before_each(silent)
after_each(function() rawset(io, "stderr", stderr) end)
teardown(function() os.execute("rm -rf '" .. root .. "'") end)

local function put(path, text)
  al.io.make_folder((root .. "/" .. path):match "^(.*)/")
  files.write(root .. "/" .. path, text)
end

-- A training's lines: loss 1/step, an accuracy that is best in the middle.
local function lines(n, rate)
  local out = {}
  for step = 1, n do
    local val = step % 10 == 0 and (',"val_accuracy":%g,"val_loss":%g')
      :format(0.9 - math.abs(step - n / 2) / n, 2 / step) or ""
    out[step] = ('{"loss":%.6g,"lr":%g,"seconds":%g,"step":%d%s}\n')
      :format(rate / step, rate, step / 10, step, val)
  end
  return table.concat(out)
end

local function page(where, opts) return files.read(al.compare(where, opts)) end

describe("al.compare", function()
  it("reads what al.fit leaves: losses, validation, rates", function()
    put("fit/one/net.jsonl", lines(100, 0.25))
    put("fit/two/net.jsonl", lines(60, 0.5) .. '{"loss":1,"st') -- killed as it wrote
    put("fit/notes.txt", "no run")
    local html = page(root .. "/fit/*")
    assert.equal(root .. "/fit/compare.html\n", said[#said])
    assert.is_truthy(html:find("2 runs, side by side", 1, true))
    assert.is_nil(html:find("Left out", 1, true))
    -- 0.25 / 100 and / 99; the last accuracy .4, the highest .9 at half the steps; loss 2 / 100
    local row = html:match '<tr><th[^>]*>one</th><td[^>]*>net</td>(.-)</tr>'
    local cells = {}
    for v in row:gmatch ">([^<]+)</td>" do cells[#cells + 1] = v end
    assert.same({ "100", "0.003", "0.250", "0.400", "0.900", "0.020", "0.020" }, cells)
    local _, figures = html:gsub("<svg", "")
    assert.equal(3, figures)
    local loss = html:match '<svg role="img" aria%-label="Training loss of net.-</svg>'
    local _, curves = loss:gsub('class="curve', "")
    assert.equal(4, curves) -- two, and their keys
  end)

  it("takes one file, one folder, lists, and names of their own in one figure", function()
    put("own/a.jsonl", lines(40, 1))
    put("own/b.jsonl", lines(40, 2))
    assert.is_truthy(page(root .. "/own"):find("One run: own", 1, true))
    local html = page({ root .. "/own/a.jsonl", root .. "/own/b.jsonl" })
    assert.is_truthy(html:find("2 runs", 1, true))
    local _, figures = html:gsub("<svg", "")
    assert.equal(3, figures)
    assert.is_truthy(page(root .. "/own/*.jsonl"):find("2 runs", 1, true))
    assert.equal(root .. "/x.html", al.compare(root .. "/own", { out = root .. "/x.html" }))
  end)

  it("names what it cannot read, and makes the page of the rest", function()
    put("mixed/good/net.jsonl", lines(20, 1))
    put("mixed/shape/metrics.json", '{"options":3,"scores":"x","claims":[1]}')
    put("mixed/cut/metrics.json", '{"a":')
    put("mixed/list/metrics.json", '{"scores":{"a":1}}')
    put("mixed/claim/metrics.json", '{"claims":[{"text":"no id"}]}')
    put("mixed/torn/net.jsonl", '{"loss":1,"step":1}\n{"loss":2,"st\n{"loss":3,"step":3}\n')
    local html = page(root .. "/mixed/*")
    local all = table.concat(said)
    for _, wanted in ipairs { "shape/metrics.json: options is a number, not a table",
      "cut/metrics.json: ", "list/metrics.json: scores.a is no table of seeds",
      "claim/metrics.json: claims[1] has no id", "torn/net.jsonl: 1 lines are no JSON" } do
      assert.is_truthy(all:find(wanted, 1, true), wanted .. " is not in " .. all)
      assert.is_truthy(html:find(wanted, 1, true), wanted)
    end
    assert.is_truthy(html:find("2 runs", 1, true)) -- good and torn
    local claims = root .. "/claims.html"
    assert.equal(0, al.lab.claims(claims, { root .. "/mixed/shape", root .. "/mixed/cut" }))
    assert.is_truthy(files.read(claims):find("options is a number", 1, true))
  end)

  it("asks for runs, at the caller's line", function()
    for _, where in ipairs { false, 3, {}, { 1 }, "" } do
      local ok, message = pcall(function() return al.compare(where or nil) end)
      assert.is_false(ok)
      assert.is_truthy(message:find "compare_spec%.lua:%d+: al%.compare: the runs are a pattern",
        message)
    end
    local _, message = pcall(function() al.compare(root .. "/nothing/*") end)
    assert.is_truthy(message:find "compare_spec%.lua:%d+: al%.compare: no run in .*al%.fit with save")
    assert.error_matches(function() al.compare { root .. "/gone" } end, "gone: not found")
  end)

  it("keeps the order of its rows, and says when no option differs", function()
    for k, name in ipairs { "a", "b" } do
      put("lab/" .. name .. "/metrics.json", al.json.encode { experiment = "toy", seconds = 3,
        device = "machine " .. k, options = { steps = 5, out = name }, complete = k == 1,
        scores = { arm = { ["1"] = { auc = 0.5 + k / 10 } } } })
    end
    local html = page(root .. "/lab/*")
    assert.is_truthy(html:find("All options are the same", 1, true))
    local row = '<th class="word" scope="row">%s</th><td class="word">toy</td>'
      .. '<td class="number">3</td><td class="word">%s</td><td>machine %d</td>'
    assert.is_truthy(html:find(row:format("a", "yes", 1), 1, true))
    assert.is_truthy(html:find(row:format("b", "no", 2), 1, true))
    local one = page { root .. "/lab/a" }
    assert.is_truthy(one:find("One run: a", 1, true))
    assert.is_nil(one:find("What differs", 1, true))
  end)
end)
