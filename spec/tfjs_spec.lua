-- TensorFlow.js layers models, and Keras' weights under torchvision's names.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"
local write, refuses = files.write, files.refuses

teardown(files.clear)

-- Writes a model of one group whose bytes are cut in shards; its path.
local function model(weights, shards, more)
  local path, paths = files.tmp ".json", {}
  for i, data in ipairs(shards) do
    local shard = write(files.tmp(".shard" .. i), data)
    paths[i] = shard:match "[^/]*$"
  end
  local all = more or {}
  all.weightsManifest = all.weightsManifest or { { paths = paths, weights = weights } }
  return write(path, (al.json.encode(all)))
end

local function q(dtype, scale, min) return { dtype = dtype, scale = scale, min = min } end

local four = {
  { name = "a/kernel", shape = { 2, 2 }, dtype = "float32", quantization = q("uint8", 0.5, -1) },
  { name = "b", shape = { 2 }, dtype = "float32", quantization = q("uint16", 0.25, 1) },
  { name = "c", shape = { 2 }, dtype = "float32", quantization = { dtype = "float16" } },
  { name = "d", shape = { 1 }, dtype = "int32" },
  { name = "e", shape = { 2 }, dtype = "int32", quantization = q("uint8", 1.5, -2) },
  { name = "f", shape = {}, dtype = "float32" },
}
-- 0 1 2 255; 1 and 65535; 1.5 and -2; -2; 0 and 3; 0.5
local data = "\0\1\2\255" .. "\1\0\255\255" .. "\0\62\0\192" .. "\254\255\255\255" .. "\0\3"
  .. "\0\0\0\63"

describe("TensorFlow.js models", function()
  it("give quantised and plain weights, wherever the shards are cut", function()
    for _, cut in ipairs { 0, 1, 5, 11, 14, #data } do
      local path = model(four, { data:sub(1, cut), data:sub(cut + 1) },
        { modelTopology = { keras_version = "2" } })
      local state, topology = al.io.tfjs(path)
      assert.same({ { -1, -0.5 }, { 0, 126.5 } }, state["a/kernel"]:totable())
      assert.same({ 1.25, 1 + 65535 / 4 }, state.b:totable())
      assert.same({ 1.5, -2 }, state.c:totable())
      assert.same({ -2 }, state.d:totable())
      assert.same({ -2, 2 }, state.e:totable()) -- 2.5 to the even one
      assert.equal(0.5, state.f:item())
      assert.same({ "float32", "int32" }, { state.c.dtype, state.e.dtype })
      assert.equal("2", topology.keras_version)
      assert.same(state.b:totable(), al.load(path).b:totable())
    end
  end)

  it("refuse what is wrong in one line", function()
    local function bad(pattern, change, shards, opts)
      local w = { name = "w", shape = { 4 }, dtype = "float32", quantization = q("uint8", 1, 0) }
      for key, v in pairs(change or {}) do w[key] = v end
      refuses(function() al.io.tfjs(model({ w }, shards or { "1234" }), opts) end, pattern)
    end
    assert.same({ 49, 50 }, al.io.tfjs(model({ { name = "w", shape = { 2 }, dtype = "float32",
      quantization = q("uint8", 1, 0) } }, { "12" })).w:totable())
    bad("w has a wrong shape", { shape = { -4 } })
    bad("w has a wrong shape", { shape = { 1e15, 1e15 } })
    bad("w has a wrong shape", { shape = { 0.5 } })
    bad("w has a wrong shape", { shape = "4" })
    bad("w has a wrong shape", { shape = { 2, 2 } }, nil, { max_bytes = 400 / 64 })
    bad("no name", { name = 3 })
    bad("dtype string", { dtype = "string" })
    bad("unknown kind", { quantization = q("int3", 1, 0) })
    bad("unknown kind", { quantization = q("uint8", "x", 0) })
    bad("unknown kind", { quantization = "uint8" })
    bad("shards hold 3 bytes, the weights need 4", nil, { "123" })
    bad("at least 5 bytes, the weights need 4", nil, { "12345", "6" })
    local manifest = { paths = { "shard" }, weights = four }
    local function whole(pattern, m)
      refuses(function() al.io.tfjs(model(nil, {}, { weightsManifest = m })) end, pattern)
    end
    for _, name in ipairs { "../x", "/etc/passwd", "a/b", "", "a\\b", ".." } do
      whole("not that of a file beside it", { { paths = { name }, weights = four } })
    end
    whole("its shard shard cannot be opened", { manifest })
    whole("no paths or no weights", { 3 })
    whole("no paths or no weights", { { weights = four } })
    whole("two weights are named w", { { paths = {}, weights = {
      { name = "w", shape = { 0 }, dtype = "float32" }, { name = "w", shape = { 0 }, dtype = "float32" },
    } } })
    whole("holds no model", "x")
    refuses(function() al.io.tfjs(write(files.tmp ".json", "{")) end, "holds no model")
    refuses(function() al.io.tfjs(write(files.tmp ".json", ("[],"):rep(10000))) end, "holds no model")
    refuses(function() al.io.tfjs(write(files.tmp ".json", (" "):rep(3e6))) end, "longer than")
    refuses(function() al.load(write(files.tmp ".json", "[1]")) end, "holds no model")
    refuses(function() al.io.tfjs "/nowhere/model.json" end, "nowhere")
    local big = { { name = "v", shape = { 100 }, dtype = "float32" },
      { name = "w", shape = { 100 }, dtype = "float32" } }
    refuses(function() al.io.tfjs(model(big, { ("x"):rep(800) }), { max_bytes = 799 }) end,
      "more than max_bytes")
    local path = model(four, { data })
    files.mutate(files.read(path), ".json", al.io.tfjs, 300)
  end)
end)

describe("Keras' weights", function()
  it("stand under torchvision's names and layout", function()
    -- two layers by hand; the rest by shape, from what the network itself has
    local net = al.models.mobilenet_v2 { classes = 5 }
    local state, own = {}, net:state_dict()
    local function keras(name, layer)
      local w = own[name .. ".weight"]
      if w.ndim == 4 and layer:find "depthwise" then
        state[layer .. "/depthwise_kernel"] = w:permute(3, 4, 1, 2)
      elseif w.ndim == 4 then
        state[layer .. "/kernel"] = w:permute(3, 4, 2, 1)
      else
        state[layer .. "/gamma"], state[layer .. "/beta"] = w, own[name .. ".bias"]
        state[layer .. "/moving_mean"] = own[name .. ".running_mean"]
        state[layer .. "/moving_variance"] = own[name .. ".running_var"]
      end
    end
    keras("features.0.0", "Conv1") keras("features.0.1", "bn_Conv1")
    keras("features.18.0", "Conv_1") keras("features.18.1", "Conv_1_bn")
    keras("features.1.conv.0.0", "expanded_conv_depthwise")
    keras("features.1.conv.0.1", "expanded_conv_depthwise_BN")
    keras("features.1.conv.1", "expanded_conv_project")
    keras("features.1.conv.2", "expanded_conv_project_BN")
    for i = 1, 16 do
      local from, to = ("features.%d.conv."):format(i + 1), "block_" .. i
      keras(from .. "0.0", to .. "_expand") keras(from .. "0.1", to .. "_expand_BN")
      keras(from .. "1.0", to .. "_depthwise") keras(from .. "1.1", to .. "_depthwise_BN")
      keras(from .. "2", to .. "_project") keras(from .. "3", to .. "_project_BN")
    end
    local layers = { { config = { name = "Conv1", trainable = false } },
      { config = { name = "Conv_1", trainable = true } } }
    local weights, about = al.models.keras("mobilenet_v2", state,
      { model_config = { config = { layers = layers } } })
    assert.same({ "features.0.0" }, about.frozen)
    local other = al.models.mobilenet_v2 { weights = weights, classes = 5 }
    assert.same({ "classifier.1.bias", "classifier.1.weight" }, other.report.skipped)
    for name, t in pairs(other:state_dict()) do
      if name:find "running_var$" then t = t - (1e-3 - 1e-5) end
      if not name:find "^classifier" then
        assert.is_true((t - own[name]):abs():max():item() < 1e-6, name)
      end
    end
    state["block_3_project/kernel"] = nil
    refuses(function() al.models.keras("mobilenet_v2", state) end, "it has no block_3_project/")
    refuses(function() al.models.keras("vgg16", state) end, "mobilenet_v2 or inception_v3, got vgg16")
  end)

  -- (7 row + 3 column + 5 channel) mod 11 / 10, from 0
  local function pattern(n)
    local function places(count, ...) return al.arange(0, count - 1):reshape(...) end
    return ((places(n, 1, 1, n, 1) * 7 + places(n, 1, 1, 1, n) * 3 + places(3, 1, 3, 1, 1) * 5) % 11
      ):to "float64":to "float32" / 10
  end

  it("are fetched by make weights", function() -- a merge once lost the target, not the script
    local makefile = assert(io.open "Makefile")
    local text = makefile:read "*a"
    makefile:close()
    assert.is_truthy(text:find("\nweights: [^\n]*##[^\n]*\n\t@[^\n]*%.ci/weights\n"))
  end)

  -- The pooled maps as TensorFlow.js 4.22 gives them for nsfwjs 4.3.0: mean, largest and its place
  -- from 1, and some of the first twelve.
  local known = {
    { "mobilenet_v2", 224, "classifier", 0.03205847, 5.592386, 1212, { [5] = 0.02649781, [1] = 0 } },
    { "inception_v3", 299, "fc", 0.003227031, 0.5872536, 120,
      { 0.003376338, 0, 0.0658026, 0, 0, 0.0001881966, 0.05834278 } },
  }
  for _, k in ipairs(known) do
    it("make the network that TensorFlow.js runs: " .. k[1], function()
      local path = ("weights/%s_nsfwjs.safetensors"):format(k[1])
      if not al.io.exists(path) then return pending(path .. " is absent (make weights)") end
      local net = al.models[k[1]] { weights = path, classes = 5, padding = "same_tf" }:eval()
      assert.same({}, net.report.missing)
      assert.same({}, net.report.unexpected)
      assert.equal("MIT", net.metadata.license:match "^%w+")
      net:replace(k[3], al.nn.Identity())
      local y = al.no_grad(net, pattern(k[2]))
      assert.near(k[4], y:mean():item(), 1e-6 * k[5])
      assert.near(k[5], y:max():item(), 1e-5 * k[5])
      assert.equal(k[6], y:argmax(2):item())
      for i, v in pairs(k[7]) do assert.near(v, y[1][i]:item(), 1e-5 * k[5]) end
      local plain = al.models[k[1]] { weights = path, classes = 5 }
      assert.is_truthy(tostring(plain.report):find("same_tf", 1, true))
    end)
  end
end)
