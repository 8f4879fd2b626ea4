-- The REPL's parts: completion, what it prints, hints; and a session through a pipe.
local al = require "albedo"
local repl = require "albedo.repl"
local text = require "albedo.text"

local function has(list, name)
  for _, v in ipairs(list) do if v == name then return true end end
  return false
end

describe("completion", function()
  local globals = { al = al, x = al.ones(2), string = string, net = al.nn.Sequential {
    al.nn.Module { body = al.nn.Linear(2, 3), forward = function(self, x) return self.body(x) end },
  } }
  local function of(line) return repl.complete(line, globals) end

  it("knows ops, parts and what is loaded later", function()
    assert.same({ "al.apropos" }, of "print(al.apro")
    assert.is_true(has(of "al.conv", "al.conv2d"))
    assert.is_true(has(of "al.", "al.optim"))
    assert.is_true(has(of "al.nn.Lin", "al.nn.Linear"))
    assert.is_true(has(of "al.data.fo", "al.data.folder"))
    assert.is_true(has(of "y = al.optim.schedule.c", "al.optim.schedule.cosine"))
    assert.is_true(has(of "al.models.resnet", "al.models.resnet50"))
  end)

  it("knows methods and fields of tensors, in-place forms when asked for", function()
    assert.is_true(has(of "x:soft", "x:softmax"))
    assert.is_true(has(of "x:rows", "x:rows"))
    assert.is_true(has(of "x.sha", "x.shape"))
    assert.is_false(has(of "x:sha", "x:shape"))
    assert.is_false(has(of "x:add", "x:add_"))
    assert.is_true(has(of "x:add_", "x:add_"))
  end)

  it("knows children and methods of modules", function()
    assert.is_true(has(of "net[1].bo", "net[1].body"))
    assert.is_true(has(of "net[1].body.we", "net[1].body.weight"))
    assert.is_true(has(of "net:named_p", "net:named_parameters"))
    assert.is_true(has(of "net[1]:free", "net[1]:freeze"))
    assert.same({ "net[1]" }, of "y = net[")
    assert.is_false(has(of "net[1].body.", "net[1].body.forward"))
  end)

  it("knows globals, keywords, names inside help, and nothing of what is not there", function()
    assert.is_true(has(of "ne", "net"))
    assert.is_true(has(of "whi", "while"))
    assert.is_true(has(of 'al.help "nn.Lin', "nn.Linear"))
    assert.same({}, of "nowhere.a")
    assert.same({}, of "al.nowhere.a")
    assert.same({}, of "net[9].")
  end)
end)

describe("values as text", function()
  it("tables of tensors by shape and dtype", function()
    assert.equal("{\n  image = 2x3 float32\n  label = scalar int64\n  name = \"a\"\n}",
      text { image = al.ones(2, 3), label = al.tensor(1, { dtype = "int64" }), name = "a" })
    assert.equal("{ 1, 2, 3 }", text { 1, 2, 3 })
    assert.equal("{}", text {})
    assert.equal("nil", text(nil))
    local many = {}
    for i = 1, 100 do many[i] = i end
    assert.is_truthy(text(many):find("... 100 in all", 1, true))
  end)

  it("print(batch), where samples have fields", function()
    local set = al.data.list({ 1, 2, 3, 4 }, function(i) return { x = al.ones(3) * i, id = i } end)
    for batch in al.data.loader(set, { batch = 2 }) do
      assert.equal("{\n  id = 2 int64\n  x = 2x3 float32\n}", tostring(batch))
    end
  end)
end)

describe("a loader and a dataset", function()
  it("print what they are", function()
    local set = al.data.list({ 1, 2, 3, 4, 5 }, function(i) return al.ones(3) * i end)
    assert.equal("Dataset: 5 samples", tostring(set))
    local loader = al.data.loader(set, { batch = 2 })
    assert.equal("Loader: 5 samples, batch 2, 3 batches", tostring(loader))
    assert.equal("Loader: 5 samples, batch 2, 3 batches", text(loader))
  end)
end)

describe("the history's file", function()
  it("is told when it cannot be written", function()
    local path = os.tmpname()
    assert.is_true(repl.writable(path))
    os.remove(path)
    assert.is_false(repl.writable "/")
    assert.is_false(repl.writable(path .. "/none/history"))
  end)
end)

describe("a session", function()
  local function session(lines)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(table.concat(lines, "\n"), "\n")
    file:close()
    local command = ("%s -l albedo -e 'require \"albedo.repl\"()' < %s 2>&1")
      :format(os.getenv "LUA" or "lua5.4", path)
    local pipe = io.popen(command)
    local out = pipe:read "*a"
    pipe:close()
    os.remove(path)
    return out
  end

  it("prints values, goes on after errors, takes several lines, hints at names", function()
    local out = session {
      "1 + 1", "for i = 1, 2 do", "print('row', i)", "end", "al.reul", "al.nn.Linaer(2, 3)",
      "net = al.nn.Linear(2, 3)", "net:paramters()", "relu(1)", "= 3 +", "4", "nil",
      "al.nn.Linear(2, 3, { bais = false })", "al.ones(2):sotfmax(1)", "print({ al.ones(3) })",
      "x = )", "exit()", "print 'not reached'",
    }
    for _, wanted in ipairs {
      "> 2\n", "row\t1\nrow\t2\n", "did you mean relu?", "did you mean Linear?",
      "did you mean parameters?", "did you mean al.relu?", "> 7\n", "> nil\n", "did you mean bias?",
      "did you mean softmax?", "[1] = 3 float32", "unexpected symbol",
    } do
      assert.is_truthy(out:find(wanted, 1, true), wanted .. "\n" .. out)
    end
    assert.is_nil(out:find("not reached", 1, true))
  end)
end)

describe("unknown names of parts", function()
  it("raise, with the nearest; what is loaded later still loads", function()
    for call, wanted in pairs {
      ["al.nn.Linaer"] = 'al.nn has no "Linaer": did you mean Linear?',
      ["al.optim.schedule.cosin"] = "did you mean cosine?",
      ["al.data.fodler"] = "did you mean folder?",
      ["al.data.augment.flipp"] = "did you mean flip?",
      ["al.appropos"] = "did you mean apropos?",
      ["al.sim.nothing_like_it"] = 'al.sim has no "nothing_like_it"$',
    } do
      local chunk = (loadstring or load)("local al = ... return " .. call)
      local ok, message = pcall(chunk, al)
      assert.is_false(ok)
      assert.is_truthy(message:find((wanted:gsub("%?", "%%?"))), message)
    end
    assert.is_function(al.data.augment.flip)
    assert.is_nil(al.nn._private)
  end)
end)
