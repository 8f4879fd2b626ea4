local al = require "albedo"
local data = al.data

-- A folder that goes away when fn ends.
local function with_folder(fn)
  local dir = os.tmpname()
  os.remove(dir)
  os.execute("mkdir -p " .. dir)
  local ok, message = pcall(fn, dir)
  os.execute("rm -r " .. dir)
  if not ok then error(message, 0) end
end
local function picture(path, value)
  os.execute("mkdir -p " .. path:match "^(.*)/")
  al.image.save(path, al.full({ 1, 4, 5 }, value, { dtype = "uint8" }))
end
local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end
local function count_of(set) return require "albedo.length"(set) end

describe("data.folder and data.masked", function()
  it("one class a folder, in order", function()
    with_folder(function(dir)
      for i, name in ipairs { "dog/b.png", "dog/a.png", "cat/p7_1.png", "cat/.hidden.png" } do
        picture(dir .. "/" .. name, i)
      end
      write(dir .. "/notes.txt", "no picture")
      local set = data.folder(dir, { describe = function(item)
        item.patient = item.name:match "^(p%d+)_" or item.name
      end })
      assert.same({ "cat", "dog" }, set.classes)
      assert.equal(3, count_of(set))
      local x, class = set:get(2)
      assert.same({ 1, 4, 5 }, x.shape)
      assert.same({ 2, 2 }, { x[1][1][1]:item(), class })
      assert.same({ "p7", "cat" }, { set:field(1, "patient"), set:field(1, "class") })
      for a, y in data.loader(set, { batch = 3, workers = 2 }) do
        assert.same({ 3, 1, 4, 5 }, a.shape)
        assert.same({ 1, 2, 2 }, y:totable())
      end
      assert.error_matches(function() data.folder(dir .. "/none") end, "data.folder: no folder")
      assert.error_matches(function() data.folder(dir .. "/cat") end, "no picture in folders of")
    end)
  end)

  it("masks beside images, by name", function()
    with_folder(function(dir)
      picture(dir .. "/images/a.png", 10)
      picture(dir .. "/masks/a.png", 1)
      local x, mask = data.masked(dir):get(1)
      assert.same({ 10, 1 }, { x[1][2][3]:item(), mask[1][2][3]:item() })
      picture(dir .. "/images/b.png", 10)
      assert.error_matches(function() data.masked(dir) end, "no mask for 'b'")
    end)
  end)
end)

describe("data.csv", function()
  it("reads columns, numbers, quotes and empty fields", function()
    with_folder(function(dir)
      write(dir .. "/t.csv", '\239\187\191name,age,note\r\n"Ann ""A""",31,"a,\nb"\r\nBob,,x\n\n')
      local set = data.csv(dir .. "/t.csv")
      assert.same({ "name", "age", "note" }, set.columns)
      assert.same({ name = 'Ann "A"', age = 31, note = "a,\nb" }, set:get(1))
      assert.same({ name = "Bob", note = "x" }, set:get(2))
      assert.equal(2, count_of(set))
      assert.equal("Bob", set:field(2, "name"))
      write(dir .. "/u.csv", "1;2.5\n-3;\n;4")
      local rows = data.csv(dir .. "/u.csv", { header = false, separator = ";",
        read = function(row) return row[1] or 0, row[2] or 0 end })
      assert.same({ 1, 2.5 }, { rows:get(1) })
      assert.same({ -3, 0 }, { rows:get(2) })
      assert.same({ 0, 4 }, { rows:get(3) })
      write(dir .. "/v.csv", "a,b\n1\n")
      assert.error_matches(function() data.csv(dir .. "/v.csv") end, "row 1 has 1 fields, not 2")
      write(dir .. "/w.csv", 'a,b\n"1,2\n')
      assert.error_matches(function() data.csv(dir .. "/w.csv") end, "line 2: a quote is not closed")
      assert.error_matches(function() data.csv(dir .. "/none") end, "No such file")
    end)
  end)
end)

describe("data.patches", function()
  it("cover the volume, and the mask alike", function()
    local volume = al.arange(1, 5 * 6 * 7):to "float32":reshape(1, 5, 6, 7)
    local set = data.patches(volume, { size = { 2, 3, 4 }, stride = { 2, 3, 2 } },
      volume:to "int64"[1])
    local seen = al.zeros(5, 6, 7)
    for i, patch, mask in set:each() do
      assert.same({ 1, 2, 3, 4 }, patch.shape)
      assert.equal(0, (patch[1]:to "int64" - mask):abs():max():item())
      local f = set:field(i, "from")
      assert.equal(volume[1][f[1]][f[2]][f[3]]:item(), patch[1][1][1][1]:item())
      seen[{ { f[1], f[1] + 1 }, { f[2], f[2] + 2 }, { f[3], f[3] + 3 } }] = 1
    end
    assert.equal(3 * 2 * 3, count_of(set)) -- depth from 1, 3 and 4; width from 1, 3 and 4
    assert.equal(5 * 6 * 7, seen:sum():item())
    assert.equal(4, count_of(data.patches(al.ones(3, 4, 4), { size = 2 })))
    assert.error_matches(function() data.patches(volume, { size = 9 }) end, "a patch of 9 from 5 voxels")
    assert.error_matches(function() data.patches(volume) end, "option 'size' is missing")
  end)
end)

describe("data.split", function()
  it("stratifies: each part has its share of every class, and no group crosses", function()
    local items = {}
    for p = 1, 60 do -- patients of 1 to 4 samples, a fifth of them of class 2
      for s = 1, 1 + p % 4 do
        items[#items + 1] = { patient = "p" .. p, label = p % 5 == 0 and 2 or 1, s = s }
      end
    end
    local set = data.list(items)
    local function shares(part)
      local n, groups = { 0, 0 }, {}
      for i = 1, count_of(part) do
        n[part:field(i, "label")] = n[part:field(i, "label")] + 1
        groups[part:field(i, "patient")] = true
      end
      return n, groups
    end
    local whole = shares(set)
    local parts = { data.split(set, { 0.6, 0.2, 0.2 }, { by = "patient", stratify = "label" }) }
    local met = {}
    for k, share in ipairs { 0.6, 0.2, 0.2 } do
      local n, groups = shares(parts[k])
      for class = 1, 2 do assert.near(share * whole[class], n[class], 2) end
      for group in pairs(groups) do
        assert.is_nil(met[group])
        met[group] = true
      end
    end
    for _, train, test in data.kfold(set, 4, { by = "patient", stratify = "label" }) do
      local n = shares(test)
      for class = 1, 2 do assert.near(whole[class] / 4, n[class], 2) end
      assert.equal(count_of(set), count_of(train) + count_of(test))
    end
    assert.error_matches(function() data.split(set, { 0.5, 0.5 }, { stratify = "grade" }) end,
      "data.split: sample %d+ has no field 'grade'")
  end)
end)

describe("samplers", function()
  local labels = {}
  for i = 1, 100 do labels[i] = i <= 90 and 1 or 2 end
  local set = data.list(labels, function(label, i) return label, i end)
  local function drawn(opts)
    local n, order = { 0, 0 }, {}
    for y, i in data.loader(set, opts) do
      for _, label in ipairs(y:totable()) do n[label] = n[label] + 1 end
      for _, k in ipairs(i:totable()) do order[#order + 1] = k end
    end
    return n, order
  end

  it("draw every class as often, the same again from the same seed", function()
    local n, order = drawn { batch = 50, seed = 1, sampler = data.balanced(labels, 2000) }
    assert.equal(2000, n[1] + n[2])
    assert.near(1000, n[1], 5 * math.sqrt(500))
    local _, again = drawn { batch = 64, seed = 1, workers = 2, sampler = data.balanced(labels, 2000) }
    assert.same(order, again)
    local _, other = drawn { batch = 50, seed = 2, sampler = data.balanced(labels, 2000) }
    assert.not_same(order, other)
  end)

  it("draw by weight", function()
    local weights = al.zeros(100)
    weights[3], weights[95] = 3, 1
    local n, order = drawn { batch = 10, seed = 4, sampler = data.weighted(weights, 400) }
    assert.near(300, n[1], 5 * math.sqrt(75))
    for _, i in ipairs(order) do assert.is_true(i == 3 or i == 95) end
    assert.error_matches(function() data.loader(set, { sampler = 3 }) end, "sampler is one of")
  end)
end)

describe("data.named", function()
  it("says which sets there are", function()
    assert.error_matches(function() data.named "cifar" end,
      "data.named: no set 'cifar' %(there are: brain_tumour, chest_xray, copymove_fau, electrode, gan_domains,")
    assert.error_matches(function() data.named("mstar", { dir = "/none" }) end, "no folder '/none'")
  end)

  -- what the sets hold: samples, classes; where ALBEDO_DATA has them
  for name, case in pairs {
    lumbar_mri = { fields = { "exam", "slice" } }, copymove_fau = { 10 }, seismic_f3 = { 9 },
    mstar = { 2747, 10 }, chest_xray = { 1124, 3, fields = { "patient" } },
    brain_tumour = { 2870, 4 }, gan_domains = { 400, 40 }, pneumonia_mnist = { 2428 },
    histology_tiles = { 704, 8, fields = { "patient", "section", "split" } },
    electrode = { 2 }, reviews_16 = { 22180, fields = { "task" } },
  } do
    local root = os.getenv "ALBEDO_DATA"
    local there = root and os.execute(("test -d %s/%s"):format(root, name))
    if there ~= true and there ~= 0 then
      pending("reads " .. name .. " (ALBEDO_DATA does not hold it)")
    else
      it("reads " .. name, function()
        local set = data.named(name)
        if case[1] then assert.equal(case[1], count_of(set)) end
        if case[2] then assert.equal(case[2], #set.classes) end
        for _, field in ipairs(case.fields or {}) do assert.is_truthy(set:field(1, field)) end
        local first = set:get(count_of(set))
        assert.is_true(al.is_tensor(first) or type(first) == "string")
      end)
    end
  end
end)
