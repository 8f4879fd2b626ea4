-- al.check names the first NaN, al.profile says where time and memory go.
local al = require "albedo"

local function leaf(v) return al.tensor(v, { dtype = "float64", requires_grad = true }) end
local function line() return debug.getinfo(2, "l").currentline end
-- The message of f's error, the spec's own name short.
local function message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return (message:gsub("%.?/?spec/watch_spec%.lua", "S"))
end

describe("al.check", function()
  before_each(function() al.check(true) end)
  after_each(function() al.check(false) end)

  it("names the op, the line, the element and the arguments", function()
    local x = leaf { { 1, 2 }, { -1, 3 } }
    local here = line() + 1
    local m = message_of(function() local y = x:log() return y + 1 end)
    assert.equal(("S:%d: log: this call makes the first nan, at element {2,1} of its result (x: 2x2 float64)"):format(here), m)
    assert.is_truthy(message_of(function() return x[1][1] / 0 + 1 end):find("div: this call makes the first inf, at the only element"))
    assert.is_truthy(message_of(function() x:detach():cross_entropy(al.tensor { 1, 2 } * 0 / 0) end):find("div: .* nan, at element {1}"))
  end)

  it("finds it in long, strided and float32 results", function()
    local x = al.ones(100, 100)
    x[{ 77, 3 }] = -1
    assert.is_truthy(message_of(function() return x:log() + 1 end):find("{77,3}", 1, true))
    assert.is_truthy(message_of(function() return x:t():log() + 1 end):find("{3,77}", 1, true))
    x[{ 77, 3 }] = 1
    assert.equal(0, x:log():sum():item())
  end)

  it("blames neither what was there before nor what is asked for", function()
    local x = al.tensor { 1, al.nan, 2 }
    assert.is_true((x + 1)[2]:item() ~= (x + 1)[2]:item())
    local masked = al.zeros(2, 3):masked_fill(al.tensor { true, false, false }, -al.inf)
    assert.equal(0, masked:softmax(2)[1][1]:item())
    assert.equal(al.inf, al.full({ 2 }, al.inf):sum():item())
    assert.equal(-al.inf, (masked + 1)[1][1]:item())
    al.empty(1000)
    masked:add_(1)
    -- but a NaN that infinities make is a first one
    assert.is_truthy(message_of(function() return (masked - masked) + 1 end):find("sub: .* nan"))
  end)

  it("sees what is written in place", function()
    local x = al.ones(3)
    assert.is_truthy(message_of(function() x:div_(al.zeros(3)) end):find("div_?: this call makes the first inf"))
  end)

  it("names the op whose gradient it was, and the line that recorded it", function()
    local x = leaf { 4, 0 }
    local recorded = line() + 1
    local y = x:sqrt()
    local here = line() + 1
    local m = message_of(function() y:sum():backward() end)
    assert.equal(("S:%d: backward of sqrt: its gradient makes the first inf, at element {2} (recorded at S:%d)"):format(here, recorded), m)
    assert.is_truthy(message_of(function() al.grad((x / 1e308 / 1e308):sum() * 1e308 * 1e308, x) end):find("mul: this call makes"))
    local g = al.grad(x:pow(2):sum(), x, { create_graph = true })
    assert.is_truthy(message_of(function() return g / x + 1 end):find("div: this call makes the first nan, at element {2}"))
  end)

  it("looks inside ops written in Lua", function()
    local root = al.fn {
      name = "root",
      forward = function(ctx, x) ctx:save(x) return x:sqrt() end,
      backward = function(ctx, g) return g / (ctx:saved():sqrt() * 2) end,
    }
    local x = leaf { 0 }
    local recorded = line() + 1
    local y = root(x)
    local m = message_of(function() y:backward() end)
    assert.is_truthy(m:find("backward of root: S:%d+: div: this call makes the first inf"), m)
    assert.is_truthy(m:find(("recorded at S:%d"):format(recorded), 1, true), m)
  end)

  it("with \"nan\" lets infinities pass", function()
    assert.is_true(al.check "nan")
    assert.equal("nan", al.check())
    assert.equal(al.inf, (al.ones(1) / 0):item())
    assert.is_truthy(message_of(function() return al.zeros(1) / 0 + 1 end):find("first nan"))
    assert.equal("nan", al.check(false))
    assert.is_false(al.check())
    assert.is_true((al.zeros(1) / 0):item() ~= 0)
    assert.error_matches(function() al.check(3) end, "check: true, false or \"nan\"")
  end)

  it("leaves no block behind", function()
    local x = leaf { -1, 0 }
    local function blocks()
      if jit then jit.flush() end -- compiled loops hold what they met
      for _ = 1, 4 do collectgarbage() end
      return al.memory().blocks
    end
    local before = blocks()
    for _ = 1, 3 do
      pcall(function() return x:log() + 1 end)
      pcall(function() x:sqrt():sum():backward() end)
      pcall(function() (x * 0):sqrt():sum():backward() end)
    end
    assert.equal(before, blocks())
  end)
end)

describe("al.profile", function()
  local function row(report, op)
    for _, r in ipairs(report) do
      if r.op == op then return r end
    end
  end

  it("counts calls, bytes and operations", function()
    local x, w = al.randn(2, 3, 8, 8), al.randn(5, 3, 3, 3):requires_grad_()
    local a, b = al.randn(4, 6), al.randn(6, 7)
    local report, result = al.profile(function()
      local y = x:conv2d(w, nil, { pad = 1 })
      y:sum():backward()
      local _ = x + x
      return a:matmul(b) and nil
    end, { print = false })
    assert.is_nil(result)
    local macs = 2 * 5 * 8 * 8 * 3 * 3 * 3
    assert.equal(2 * macs, row(report, "conv").flops)
    assert.equal(2 * macs, row(report, "conv_grad_weight").flops)
    assert.equal(2 * 4 * 6 * 7, row(report, "matmul").flops)
    assert.equal(1, row(report, "add").calls)
    assert.equal(3 * 4 * 2 * 3 * 8 * 8, row(report, "add").bytes)
    assert.equal(1, row(report, "backward of conv").calls)
    assert.is_nil(row(report, "exp"))
  end)

  it("adds up: every second is in one row or outside", function()
    local x = al.randn(64, 64)
    local report = al.profile(function()
      for _ = 1, 20 do x:softmax(2):mm(x):cross_entropy(al.ones(64, { dtype = "int64" })) end
    end, { print = false })
    local sum = report.outside
    for k, r in ipairs(report) do
      sum = sum + r.seconds
      assert.is_true(r.seconds >= 0)
      assert.is_true(k == 1 or r.seconds <= report[k - 1].seconds)
    end
    assert.is_true(math.abs(sum - report.seconds) < 1e-9)
    assert.is_true(report.outside >= 0)
    assert.equal(20, row(report, "softmax").calls)
    local text = tostring(report)
    assert.is_truthy(text:find("^op +calls +ms +%% +GB/s +GFLOP/s +peak MB\n"), text)
    assert.is_truthy(text:find("\nsoftmax +20 "), text)
    assert.is_truthy(text:find("\noutside ops"), text)
  end)

  it("tells whose bytes the peak of memory held", function()
    local x = al.ones(1000, 1000)
    local report = al.profile(function()
      local y = x + 1
      local z = y * 2 -- the peak: x, y and z, 4 MB each
      y = nil
      for _ = 1, 3 do collectgarbage() end
      return z:exp():sum():item()
    end, { print = false })
    local by_op = al.memory().by_op
    for _, op in ipairs { "add", "mul" } do
      assert.is_true(by_op[op] >= 4e6 and by_op[op] < 4.4e6, op)
      assert.equal(by_op[op], row(report, op).at_peak)
    end
    assert.is_true((by_op.exp or 0) < 1e5)
    assert.is_true(report.peak >= 12e6)
    for _ = 1, 3 do collectgarbage() end
    al.memory_reset_peak()
    assert.is_true((al.memory().by_op.mul or 0) < 1e5)
  end)

  it("gives what the function gives, and ends with it", function()
    local _, a, b, c = al.profile(function() return 1, nil, 3 end, { print = false })
    assert.same({ 1, 3 }, { a, c })
    assert.is_nil(b)
    assert.error_matches(function() al.profile(function() error "stop" end) end, "stop")
    assert.equal(0, al.native.watch())
    assert.error_matches(function()
      al.profile(function() al.profile(function() end) end)
    end, "profile: it is running already")
    assert.equal(0, al.native.watch())
    local lines, former = {}, print
    _G.print = function(v) lines[#lines + 1] = tostring(v) end
    local report = al.profile(function() return al.ones(1) + 1 end)
    _G.print = former
    assert.same({ tostring(report) }, lines)
  end)
end)
