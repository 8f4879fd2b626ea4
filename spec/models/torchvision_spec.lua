-- Names, shapes and outputs of the architectures against torchvision's, the weights of both made
-- by one formula (spec/support/torchvision_models.py).
local al = require "albedo"

local function cases()
  for _, python in ipairs { "python3", "/usr/bin/python3" } do
    local pipe = io.popen(python .. " spec/support/torchvision_models.py 2>/dev/null")
    local text = pipe:read "*a"
    pipe:close()
    if text:find "\n}\n$" then return assert((loadstring or load)(text))() end
  end
end

local PRIME = 10007
local m = al.arange(0, PRIME - 1, { dtype = "float64" })
local numbers = m * m * m * 31 % PRIME / PRIME * 2 - 1

local function fill(name, shape)
  local start, count = 0, 1
  for i = 1, #name do start = start + name:byte(i) end
  for _, n in ipairs(shape) do count = count * n end
  start = start % PRIME
  local times = math.floor((start + count) / PRIME) + 1
  return numbers:tile({ times }):narrow(1, start + 1, count):reshape(shape)
end

-- Fills the network; the shapes by name.
local function weights(net)
  local shapes = {}
  for name, t in pairs(net:state_dict()) do
    al.scope(function()
      local v = fill(name, t.shape)
      if #t.shape > 1 then
        v = v * math.sqrt(6 / (t:numel() / t.shape[1]))
      elseif name:find "running_var$" or name:find "weight$" then
        v = v / 2 + 1
      end
      t:copy_(v)
    end)
    shapes[name] = {}
    for i, n in ipairs(t.shape) do shapes[name][i] = n end
  end
  return shapes
end

describe("models against torchvision's", function()
  local list = cases()
  if not list then
    pending "agree in names, shapes and outputs (no torchvision for Python here)"
    return
  end
  it("are not few", function() assert.is_true(#list > 6) end)
  for _, c in ipairs(list) do
    it("agree in names, shapes and outputs: " .. c.name, function()
      al.scope(function()
        local net = al.models[c.name](c.options):to("float64"):eval()
        assert.same(c.state, weights(net))
        local x = c.name == "bilstm" and (al.arange(0, 13) % 11 + 1):to("int64"):reshape(c.size)
          or fill("x", c.size)
        local y = al.no_grad(net, x):reshape(-1)
        local want = al.tensor(c.outputs, { dtype = "float64" })
        assert.same(want.shape, y.shape)
        local off = (y - want):abs():max():item() / want:abs():max():item()
        assert.is_true(off < 1e-9, ("outputs differ by %g"):format(off))
      end)
    end)
  end
end)

describe("models on photographs", function()
  local folder = "../shared/data/copymove_fau/tampered/"
  local photos = { folder .. "barrier.png", folder .. "supermarket.png", folder .. "lone_cat.png" }
  local out = os.tmpname()
  local batch = 3 * 3 * 224 * 224
  for _, python in ipairs { "python3", "/usr/bin/python3" } do
    os.execute(("%s spec/support/torchvision_photos.py %s %s 2>/dev/null")
      :format(python, out, table.concat(photos, " ")))
  end
  local file = assert(io.open(out, "rb"))
  local bytes = file:read "*a"
  file:close()
  os.remove(out)
  if #bytes ~= 4 * (batch + 2 * 3000) then
    pending "agree with torchvision (no torchvision for Python, no photographs or no weights here)"
    return
  end
  local results = al.from_bytes(bytes, "float32", { batch + 6000 })
  local x = results:narrow(1, 1, batch):reshape(3, 3, 224, 224)
  local mean = al.tensor({ 0.485, 0.456, 0.406 }):reshape(1, 3, 1, 1)
  local std = al.tensor({ 0.229, 0.224, 0.225 }):reshape(1, 3, 1, 1)

  it("are prepared as torchvision does, within 2 of 255 steps", function()
    local ours = al.models.preprocess(photos) * std + mean
    assert.is_true((ours - x):abs():max():item() < 2 / 255)
  end)

  for i, name in ipairs { "squeezenet1_0", "mobilenet_v2" } do
    it("are scored as PyTorch does with the same weights: " .. name, function()
      local net = al.models[name] { weights = "../shared/weights/" .. name .. ".safetensors" }
      local want = results:narrow(1, batch + 3000 * (i - 1) + 1, 3000):reshape(3, 1000)
      local y = al.no_grad(net:eval(), (x - mean) / std)
      assert.is_true((y - want):abs():max():item() < 1e-3)
    end)
  end
end)
