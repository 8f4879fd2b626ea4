-- The same bits for any number of threads: forward and gradients, at sizes where the work is split.
local al = require "albedo"

local function leaf(...) return al.randn(...):requires_grad_() end

local cases = {
  { "sum", function(x) return x:sum() end, { 300, 1000 } },
  { "sum of a dim", function(x) return x:sum(1) end, { 300, 1000 } },
  { "mean, var", function(x) return x:mean(2) + x:var(2) end, { 300, 1000 } },
  { "softmax", function(x) return x:softmax(2) end, { 64, 3000 } },
  { "logsumexp", function(x) return x:logsumexp(1) end, { 3000, 64 } },
  { "exp", function(x) return x:exp() end, { 200, 1000 } },
  { "streamed ops", function(x, y) return (x + y):relu():exp() end, { 1601, 2003 }, { 1601, 2003 } },
  { "cumsum", function(x) return x:cumsum(2) end, { 50, 4000 } },
  { "broadcast", function(x, b) return x * b end, { 500, 300 }, { 300 } },
  { "matmul", function(x, w) return x:matmul(w) end, { 257, 300 }, { 300, 123 } },
  { "batched matmul", function(x, w) return x:matmul(w) end, { 9, 100, 70 }, { 9, 70, 50 } },
  { "linear", function(x, w, b) return al.linear(x, w, b) end, { 128, 300 }, { 200, 300 }, { 200 } },
  { "conv2d", function(x, w, b) return al.conv2d(x, w, b, { pad = 1 }) end, { 4, 16, 30, 30 }, { 24, 16, 3, 3 }, { 24 } },
  { "strided conv2d", function(x, w) return al.conv2d(x, w, nil, { stride = 2, pad = 2 }) end, { 4, 3, 64, 64 }, { 16, 3, 5, 5 } },
  { "depthwise conv2d", function(x, w) return al.conv2d(x, w, nil, { pad = 1, groups = 32 }) end, { 4, 32, 40, 40 }, { 32, 1, 3, 3 } },
  { "conv3d", function(x, w) return al.conv3d(x, w, nil, { pad = 1 }) end, { 1, 8, 16, 20, 20 }, { 12, 8, 3, 3, 3 } },
  { "conv_transpose2d", function(x, w) return al.conv_transpose2d(x, w, nil, { stride = 2 }) end, { 4, 16, 20, 20 }, { 16, 8, 2, 2 } },
  { "max_pool2d", function(x) return x:max_pool2d(2) end, { 8, 32, 40, 40 } },
  { "avg_pool2d", function(x) return x:avg_pool2d(3, { stride = 2 }) end, { 8, 32, 40, 40 } },
  { "batch_norm", function(x, w, b) return al.batch_norm(x, w, b, nil, nil, { training = true }) end, { 16, 24, 30, 30 }, { 24 }, { 24 } },
  { "layer_norm", function(x, w, b) return al.layer_norm(x, 300, w, b) end, { 512, 300 }, { 300 }, { 300 } },
  { "streamed layer_norm", function(x, w, b) return al.layer_norm(x, 1001, w, b) end, { 3201, 1001 }, { 1001 }, { 1001 } },
  { "streamed group_norm", function(x, w, b) return al.group_norm(x, 3, w, b) end, { 8, 6, 257, 263 }, { 6 }, { 6 } },
  { "streamed softmax", function(x) return x:softmax(2) end, { 3201, 1001 } },
  { "streamed softmax of columns", function(x) return x:softmax(2):log_softmax(2) end, { 3, 17, 251, 253 } },
  { "cross_entropy", function(x) return x:cross_entropy(al.arange(500):remainder(40):to("int64") + 1) end, { 500, 40 } },
  { "transposed copy", function(x) return x:transpose(1, 2):contiguous() end, { 700, 300 } },
  { "lstm", function(x, i, h, i2, h2) return (al.lstm(x, i, h, nil, nil, i2, h2)) end,
    { 37, 9, 30 }, { 200, 30 }, { 200, 50 }, { 200, 30 }, { 200, 50 } },
  { "gru", function(x, i, h) return (al.gru(x, i, h)) end, { 37, 9, 30 }, { 150, 30 }, { 150, 50 } },
  { "dropout", function(x) return x:dropout({ p = 0.3, training = true }) end, { 500, 300 } },
}

-- Output and gradients as bytes.
local function bits(case, threads)
  al.threads(threads)
  al.seed(5)
  return al.scope(function()
    local inputs = {}
    for k = 3, #case do inputs[k - 2] = leaf(case[k]) end
    local y = case[2]((table.unpack or unpack)(inputs))
    local out = { y:bytes() }
    local g = al.randn(y.shape)
    for k, gx in ipairs(al.grad(y, inputs, { grad_outputs = { g } })) do out[k + 1] = gx:bytes() end
    return out
  end)
end

describe("the number of threads changes no bit of", function()
  local former = al.threads()
  teardown(function() al.threads(former) end)
  for _, case in ipairs(cases) do
    it(case[1], function()
      local one = bits(case, 1)
      for _, threads in ipairs { 2, 4 } do
        local many = bits(case, threads)
        for k = 1, #one do
          assert.is_true(one[k] == many[k], ("%s differs with %d threads"):format(k == 1 and "the result" or "gradient " .. k - 1, threads))
        end
      end
    end)
  end

  it("random numbers", function()
    local function draw(threads)
      al.threads(threads)
      local g = al.generator(3)
      return al.randn({ 300, 333 }, { generator = g }):bytes() .. al.rand({ 77777 }, { generator = g }):bytes()
        .. al.randint(1, 1000, { 50000 }, { generator = g }):bytes()
    end
    local one = draw(1)
    assert.is_true(one == draw(2))
    assert.is_true(one == draw(4))
  end)
end)

-- Results larger than the caches are written past them.
it("a large elementwise result is its parts'", function()
  for _, dtype in ipairs { "float32", "float64", "int64" } do
    local x = al.arange(3300001):to(dtype)
    local y = x * 3 - x
    assert.equal(0, (y - al.arange(3300001):to(dtype) * 2):abs():max():item())
    for _, at in ipairs { 1, 1638400, 3299990 } do
      local part = x:narrow(1, at, 11)
      assert.equal((part * 3 - part):bytes(), y:narrow(1, at, 11):bytes())
    end
  end
end)

it("large rows and columns are normalised as small ones are", function()
  local function near(a, b) assert.is_true((a - b):abs():max():item() < 2e-6) end
  local x, w, b = al.randn(3201, 1001), al.randn(1001), al.randn(1001)
  local part = x:narrow(1, 1597, 9):contiguous()
  assert.equal(part:softmax(2):bytes(), x:softmax(2):narrow(1, 1597, 9):bytes())
  assert.equal(part:log_softmax(2):bytes(), x:log_softmax(2):narrow(1, 1597, 9):bytes())
  near(al.layer_norm(part, 1001, w, b), al.layer_norm(x, 1001, w, b):narrow(1, 1597, 9))
  near(al.layer_norm(part, 1001), al.layer_norm(x, 1001):narrow(1, 1597, 9))
  near(part:transpose(1, 2):contiguous():softmax(1):transpose(1, 2), part:softmax(2))
  local c = al.randn(3, 17, 251, 253)
  near(c:narrow(3, 100, 3):contiguous():softmax(2), c:softmax(2):narrow(3, 100, 3))
  near(c:narrow(3, 100, 3):contiguous():log_softmax(2), c:log_softmax(2):narrow(3, 100, 3))
  for _, f in ipairs { al.softmax, al.log_softmax } do -- gradients too
    local function grad(t)
      t = t:detach():requires_grad_()
      return al.grad(f(t, 2):square():sum(), { t })[1]
    end
    near(grad(part), grad(x):narrow(1, 1597, 9))
    near(grad(c:narrow(3, 100, 3):contiguous()), grad(c):narrow(3, 100, 3))
  end
end)
