-- ONNX files of the architectures and of single ops, checked by onnx.checker and run by OpenCV
-- (spec/support/onnx_run.py); `make check-onnx` runs them, and the full sizes, in ONNX Runtime.
local al = require "albedo"
local nn = al.nn
local cases = require "spec.support.onnx_cases"

local function run(folder)
  for _, python in ipairs { "python3", "/usr/bin/python3" } do
    local pipe = io.popen(("%s spec/support/onnx_run.py %s 2>/dev/null"):format(python, folder))
    local text = pipe:read "*a"
    pipe:close()
    if text:find "done\n$" then return text end
  end
end

-- Exports cases, and what each file's evaluators say: name -> { said, want, got }.
local function evaluated(list)
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  local results = {}
  for _, c in ipairs(list) do
    local base = folder .. "/" .. c.name
    al.onnx.save(base .. ".onnx", c.net, c.example)
    al.save(base .. ".x.npy", c.example)
    results[c.name] = { want = al.hold((al.no_grad(c.net, c.example))) }
  end
  local text = run(folder)
  for name, said in (text or ""):gmatch "(%S+) ([^\n]+)\n" do
    results[name].said = said
    if said == "ok" then results[name].got = al.hold(al.load(("%s/%s.y.npy"):format(folder, name))) end
  end
  os.execute("rm -r " .. folder)
  return text and results
end

-- opencv: true when it must agree, false when it is known not to, nil when it may not run.
local function check(r, opencv)
  if r.said:find "^opencv" and not opencv then return end
  assert.equal("ok", r.said)
  if opencv == false then return end
  local off = (r.got:reshape(-1) - r.want:reshape(-1)):abs():max():item()
  assert.is_true(off <= 1e-4 * r.want:abs():max():item(), ("off by %g"):format(off))
end

describe("onnx", function()
  al.seed(4)
  local networks = {}
  for case in cases.networks() do networks[#networks + 1] = case end
  local found = evaluated(networks)
  if not found then
    pending "files satisfy onnx.checker and run in OpenCV (no python3-onnx and python3-opencv here)"
  else
    for _, c in ipairs(networks) do
      it("file is sound" .. (c.opencv and " and gives the same in OpenCV: " or ": ") .. c.name,
        function() check(found[c.name], c.opencv) end)
    end
    local ops, knows = cases.ops(), 0
    local each = evaluated(ops)
    for _, c in ipairs(ops) do
      it("op is sound, and the same where OpenCV knows it: " .. c.name, function()
        local opencv -- may not run
        if not c.opencv then opencv = false end
        check(each[c.name], opencv)
        if each[c.name].said == "ok" then knows = knows + 1 end
      end)
    end
    it("ops are known to OpenCV, most of them", function() assert.is_true(knows >= 30) end)
  end

  local path = os.tmpname()
  teardown(function() os.remove(path) end)
  local function save(f, ...) return al.onnx.save(path, nn.Sequential { nn.ReLU(), nn.Fn(f) }, ...) end
  local function says(message, f, ...)
    local ok, err = pcall(save, f, ...)
    assert.is_false(ok)
    assert.is_truthy(err:find(message, 1, true), err)
    assert.equal(0, al.native.watch())
  end

  it("names the op without a translation, and its layer", function()
    local x = al.randn(2, 3, 4)
    says("1: onnx: cumsum has no translation", function(y) return y:cumsum(2) end, x)
    says('1: onnx: pad with mode = "circular" has no translation',
      function(y) return al.pad(y, { 1, 1 }, { mode = "circular" }) end, x)
    says("1: onnx: t[...] = v has no translation", function(y) y = y + 0 y["1"] = 0 return y end, x)
    says("1: onnx: t[...] has no translation", function(y) return y[al.tensor({ 1, 2 }, { dtype = "int64" })] end, x)
    says("the result of odd is out of sight", al.fn { name = "odd",
      forward = function(_, y) return y * 1 end, backward = function(_, g) return g end }, x)
    local norm = nn.BatchNorm1d(3, { track = false })
    assert.error_matches(function() al.onnx.save(path, norm, x) end,
      "batch_norm by the batch's own statistics")
  end)

  it("says how it is called", function()
    local x = al.randn(2, 3)
    assert.error_matches(function() al.onnx.save(nn.ReLU(), x) end, "onnx.save%(path, net, example%)")
    assert.error_matches(function() al.onnx.save(path, nn.ReLU(), x, { batches = 1 }) end,
      "unknown option 'batches'")
    assert.error_matches(function() al.onnx.save("/nowhere/net.onnx", nn.ReLU(), x) end,
      "cannot write /nowhere/net.onnx")
  end)

  it("leaves net, gradients and modes as they were; constants fold; what is not needed is not saved",
    function()
      local net = nn.Sequential { nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3) }
      local mean = net[3].running_mean:bytes()
      local x = al.randn(2, 3)
      assert.equal(2, al.onnx.save(path, net, x))
      assert.is_true(net.training and net[2].training)
      assert.equal(mean, net[3].running_mean:bytes())
      assert.is_nil(net[1].weight.grad)
      assert.is_false(x.requires_grad)
      local scale = nn.Parameter(al.randn(3))
      assert.equal(2, save(function(y)
        local _ = y:exp()
        return y * (scale:relu() + al.ones(3)):sum()
      end, x))
    end)

  it("writes the bytes of the format", function()
    -- by hand from onnx.proto: y = relu(x), float32 (1, 2)
    al.onnx.save(path, nn.ReLU(), al.zeros(1, 2), { inputs = { "x" }, outputs = { "y" } })
    local file = io.open(path, "rb")
    local text = file:read "*a"
    file:close()

    assert.is_truthy(text:find("\10\1x\18\1y\26\6node_y\34\4Relu", 1, true)
      or text:find("\10\1x\18\1y\26\11node_relu_1\34\4Relu", 1, true))
    assert.is_truthy(text:find("\90\19\10\1x\18\14\10\12\8\1\18\8\10\2\8\1\10\2\8\2", 1, true))
    assert.equal("\8\7\18\6albedo", text:sub(1, 10))
    assert.equal("\66\4\10\0\16\13", text:sub(-6))
    local varint = require "albedo.onnx.protobuf"
    local m = varint.message()
    varint.int(m, 3, -1)
    varint.int(m, 3, 300)
    varint.float(m, 2, 1.5)
    assert.equal("\24" .. ("\255"):rep(9) .. "\1\24\172\2\21\0\0\192\63", table.concat(m))
    assert.equal(#table.concat(m), m.size)
  end)

  it("takes several arguments, tensors in options, and open batches", function()
    local net = al.models.bilstm { vocabulary = 9, embedding = 3, hidden = 2, tasks = 2 }
    local words = al.randint(1, 9, { 2, 5 })
    assert.is_true(al.onnx.save(path, net, { words, { task = 2, lengths = al.tensor({ 5, 3 }) } }) > 5)
    local small = al.models.resnet18 { width = 0.125, classes = 2, stem = 3 }
    al.onnx.save(path, small, al.zeros(2, 3, 32, 32), { batch = "samples" })
    local file = io.open(path, "rb")
    assert.is_truthy(file:read "*a":find("\18\7samples", 1, true))
    file:close()
  end)
end)
