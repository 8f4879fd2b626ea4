local al = require "albedo"
local help = require "albedo.help"

describe("a mistyped name", function()
  it("of a part, a table in it or a tensor raises with the nearest, or the one it begins", function()
    local t = al.ones(2)
    for _, case in ipairs {
      { function() return al.image.laod end, 'al.image has no "laod": did you mean load?' },
      { function() return al.optim.schedule.cosin end, "did you mean cosine?" },
      { function() return al.data.augment.filp end, "did you mean flip?" },
      { function() return t:reul() end, "did you mean relu?" },
      { function() return al.plot.lin end, "did you mean lines?" },
      { function() return al.nn.init.kaiming end, "did you mean kaiming_normal_?" },
    } do
      local ok, message = pcall(case[1])
      assert.is_false(ok)
      assert.is_truthy(tostring(message):find(case[2], 1, true), message)
    end
  end)
end)

describe("al.help", function()
  it("knows every public op", function()
    for _, op in ipairs(al.native.registry()) do
      if not op.hidden then
        local text = help.text(op.name)
        assert.is_truthy(text:find(op.name, 1, true))
        for _, p in ipairs(op.params) do assert.is_truthy(text:find(p.name, 1, true)) end
      end
    end
  end)

  it("knows aliases and suggests near names", function()
    assert.is_truthy(help.text("conv2d"):find("conv2d(x, w", 1, true))
    assert.error_matches(function() help.text("sotfmax") end, "did you mean softmax")
  end)

  it("knows every function of al, and classes by their path", function()
    local unknown = {}
    for name, f in pairs(al) do
      if type(f) == "function" and not pcall(help.text, name) then unknown[#unknown + 1] = name end
    end
    table.sort(unknown)
    assert.same({}, unknown)
    for _, name in ipairs { "grad", "vjp", "hessian", "fn", "checkpoint", "check", "profile", "memory", "gradcheck" } do
      assert.is_truthy(help.text(name):find("^" .. name .. "[({]"), name)
    end
    assert.is_truthy(help.text("nn.Linear"):find("y = x w^T", 1, true))
    for name, class in pairs(al.nn) do
      if type(class) == "table" and rawget(class, "classname") then
        assert.is_true(#help.text("nn." .. name) > 10, name)
      end
    end
    assert.is_truthy(help.text("nn.GRU"):find("nn.GRU(inputs, hidden", 1, true))
    for name, f in pairs(al.models) do
      if type(f) == "function" then
        assert.is_truthy(help.text("models." .. name):find("classes") or name == "preprocess" or name == "trunk" or name == "keras", name)
      end
    end
    assert.is_truthy(help.text("models.resnet18"):find("^resnet18%(opts%).*stem = 7"))
    assert.is_truthy(help.text("rows"):find("first dim", 1, true))
    assert.error_matches(function() help.text("nn.Nothing") end, "nothing is known")
    assert.error_matches(function() help.text("no.such.path") end, "nothing is known")
  end)
end)

describe("al.help on a function, class, part, method", function()
  it("says where its source is: a file and a line that holds its name", function()
    local catalog = require "albedo.catalog"
    for _, entry in ipairs(catalog.names()) do
      local file, line = catalog.source(entry.path)
      if entry.kind == "op" then assert.is_string(file, entry.path) end
      if file then
        local lines = {}
        for l in io.lines(file) do lines[#lines + 1] = l end
        assert.is_true(line >= 1 and line <= #lines, entry.path)
        if entry.kind == "op" and file ~= "csrc/op/fourier.c" then
          local text = lines[line] .. (lines[line + 1] or "")
          assert.is_truthy(text:find("%f[%w_]" .. entry.path .. "%f[^%w_]"), entry.path .. ": " .. text)
        end
      end
    end
    assert.is_truthy(help.text("conv2d"):find("Source: csrc/op/conv.c:%d+"))
    assert.is_truthy(help.text("nn.Linear"):find("Source: lua/albedo/nn/linear.lua:%d+"))
  end)

  it("gives an example that runs, with the shapes of its results", function()
    local n = 0
    for name in pairs(help.ops) do
      local op = require "albedo.catalog".ops()[name]
      if op then
        local call, shapes = help.example(name, op)
        if call then
          n = n + 1
          assert.is_truthy(call:find("^al%." .. name .. "%("), call)
          assert.is_truthy(shapes:find("%l+%d*$"), call)
        else
          assert.is_true(op.sample == nil or op.sample == "", name .. " has a sample that does not run")
        end
      end
    end
    assert.is_true(n > 230, n)
    assert.is_truthy(help.text("conv2d"):find("{ pad = 1 })  --> 2x4x5x5 float32", 1, true))
  end)

  it("takes values, prefixes and parts", function()
    local said = {}
    local former = print
    _G.print = function(v) said[#said + 1] = v end
    help.help(al.relu) help.help(al.nn.Linear) help.help(al.nn) help.help() help.help(al.nn.Linear(2, 3))
    help.help "al.conv2d" help.help "t:rows" help.apropos "pool"
    _G.print = former
    assert.is_truthy(said[1]:find "^relu%(x%)")
    assert.is_truthy(said[2]:find "^nn.Linear%(inputs, outputs, opts%)")
    assert.is_truthy(said[3]:find("al.nn holds:.*MaxPool2d"))
    assert.is_truthy(said[4]:find("al.apropos", 1, true))
    assert.equal(said[2], said[5])
    assert.is_truthy(said[6]:find "^conv2d%(")
    assert.is_truthy(said[7]:find "first dim")
    assert.is_truthy(said[8]:find "nn.MaxPool2d" and said[8]:find "max_pool" and said[8]:find "in the text")
  end)

  it("leaves no public name without a word", function()
    local catalog, silent = require "albedo.catalog", {}
    for _, entry in ipairs(catalog.names()) do
      local text = entry.op and entry.op.doc or catalog.comment(entry.path) or ""
      if not text:find "%w" then silent[#silent + 1] = entry.path end
    end
    assert.same({}, silent)
  end)
end)

describe("al.ops", function()
  it("describes every public op in a sentence, forms and aliases not counted", function()
    local n = 0
    for name, text in pairs(al.ops) do
      n = n + 1
      assert.is_truthy(al[name], name)
      assert.is_nil(name:find("_$"), name)
      assert.is_true(#text > 2 and #text < 330 and not text:find("\n"), name .. ": " .. text)
      assert.is_string(help.text(name))
    end
    assert.is_true(n >= 200, n .. " ops")
    assert.equal("e^x / sum e^x along dim.", al.ops.softmax)
    assert.equal(al.ops.conv, al.ops.conv2d)
    assert.is_nil(al.ops.conv_grad_input)
    assert.is_nil(al.ops.nothing)
    for _, op in ipairs(al.native.registry()) do
      for alias in (op.alias or ""):gmatch("%S+") do assert.is_nil(rawget(al.ops, alias), alias) end
    end
  end)
end)

describe("al.help by what a stranger types", function()
  -- What help prints, or its error.
  local function said(name)
    local lines, former = {}, print
    _G.print = function(v) lines[#lines + 1] = v end
    local ok, message = pcall(help.help, name)
    _G.print = former
    return ok and table.concat(lines, "\n") or "ERROR " .. tostring(message)
  end

  it("finds a name by its last part, in whatever case, and with another library's prefix", function()
    for name, wanted in pairs {
      loader = "^data.loader%(set, opts%)\n  Batches of a dataset", AdamW = "^optim.adamw%(",
      ["schedule.cosine"] = "^optim.schedule.cosine%(", ["torch.cat"] = "^cat%(xs",
      auc = "^metrics.auc%(", Conv2d = "^nn.Conv2d%(", conv2D = "conv2d",
    } do
      assert.is_truthy(said(name):find(wanted), name .. ": " .. said(name))
    end
  end)

  it("knows the methods of objects, each its own text", function()
    assert.is_truthy(said "net:freeze":find "^Module:freeze%(pattern%)\n  Stops the training")
    assert.equal(said "net:freeze", said "Sequential:freeze")
    assert.is_truthy(said "Run:fit":find "al.fit with the run's manners")
    assert.is_truthy(said "Report:figure":find "A drawn figure")
    assert.is_truthy(said "Loader":find "Methods of a Loader")
    assert.is_truthy(said "Module":find "Modules: tables.*freeze%(pattern%)")
    assert.is_truthy(said "foo:relu":find "^relu%(x%)")
  end)

  it("tells where an unknown name is spoken of, and takes nothing else", function()
    assert.is_truthy(said "metrics.ece":find "metrics.calibration")
    assert.is_truthy(said "metrics.recall":find "metrics.precision_recall")
    for _, name in ipairs { "", "%", "+", "3", 3, true } do
      local text = said(name)
      assert.is_truthy(text:find "ERROR.*help: " and not text:find "did you mean", text)
    end
    assert.is_truthy(said "al":find 'al.help "net:freeze"')
    assert.is_nil(said "add":find "Also: add")
    assert.is_nil(said "relu_":find "In place")
    for _, part in ipairs(require "albedo.catalog".parts) do
      assert.is_truthy(help.intro():find("%f[%w]" .. part .. "%f[%W]"), part)
    end
  end)

  it("apropos takes several words, objects' methods; says what it wants", function()
    local function list(words) return table.concat(help.about(words), "\n") end
    assert.is_truthy(list "early stopping":find "fit ")
    assert.is_truthy(list "freeze":find "Module:freeze ")
    assert.same({}, help.about "zzzyx")
    for _, wrong in ipairs { 3, "" } do
      assert.error_matches(function() help.apropos(wrong) end, "apropos: a word is wanted")
    end
    assert.error_matches(function() help.apropos() end, "apropos: a word is wanted")
  end)

  it("has no summary cut at a colon or at dots between numbers", function()
    assert.equal("Area under: a chance, over 1 .. n.", help.first_sentence "Area under: a chance, over 1 .. n. More.")
    for _, entry in ipairs(require "albedo.catalog".names()) do
      assert.is_nil(help.summary(entry):find ":$", entry.path)
    end
    assert.is_truthy(help.text "models.resnet34":find "resnet34%(opts%): x.*classes = 1000.*freeze ")
    assert.is_truthy(help.text "models.preprocess":find "^models.preprocess%(pictures, opts%)")
  end)

  it("keeps the library's own out", function()
    for _, entry in ipairs(require "albedo.catalog".names()) do
      assert.is_nil(({ fault_after = 1, registry = 1, plugin = 1 })[entry.path])
    end
    for _, m in ipairs(require "albedo.catalog".methods()) do assert.not_equal("Graph", m.class) end
  end)
end)
