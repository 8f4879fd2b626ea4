-- Reductions: values computed by hand, NaN, empty tensors, accuracy, threads.
local al = require "albedo"

local nan, inf = 0 / 0, math.huge
local f64 = { dtype = "float64" }

describe("reductions", function()
  local t = al.arange(24):reshape(2, 3, 4)

  it("sum over any dims", function()
    assert.equal("int64", t:sum().dtype)
    assert.equal(300, t:sum():item())
    assert.same({}, t:sum().shape)
    assert.same({ 78, 222 }, t:sum({ 2, 3 }):totable())
    assert.same({ { 14, 16, 18, 20 }, { 22, 24, 26, 28 }, { 30, 32, 34, 36 } },
      t:sum(1):totable())
    assert.same({ 68, 100, 132 }, t:sum({ 1, -1 }):totable())
    assert.same({ 1, 3, 1 }, t:sum({ 1, 3 }, true).shape)
    assert.same({ 2, 3, 1 }, t:sum(3, { keepdim = true }).shape)
    assert.equal(2, al.tensor({ true, false, true }):sum():item())
    assert.equal(7, al.tensor(7):sum(1):item())
    assert.error_matches(function() t:sum(4) end, "out of range")
    assert.error_matches(function() t:sum({ 1, 1 }) end, "twice")
    assert.error_matches(function() t:mean() end, "must be floating")
  end)

  it("agree with loops over many shapes", function()
    for _, shape in ipairs { { 5000 }, { 3, 5000 }, { 5000, 3 }, { 7, 300, 5 }, { 300, 1, 41 },
      { 2, 130, 3, 70 }, { 1, 1 } } do
      local x = al.randn(shape, f64)
      for d = 1, #shape do
        local total = al.zeros(shape, f64):sum(d)
        local most = al.full(total.shape, -inf, f64)
        for i = 1, shape[d] do
          local slice = x:narrow(d, i, 1):squeeze(d)
          total, most = total + slice, most:maximum(slice)
        end
        assert.is_true((x:sum(d) - total):abs():max():item() < 1e-10)
        assert.equal(0, (x:amax(d) - most):abs():max():item())
        assert.equal(0, (x:to("float32"):amax(d) - most:to("float32")):abs():max():item())
        local values, places = x:max(d)
        assert.equal(0, (values - most):abs():max():item())
        assert.same(places:totable(), x:argmax(d):totable())
      end
    end
  end)

  it("of nothing", function()
    assert.equal(0, al.zeros(0):sum():item())
    assert.equal(1, al.zeros(0):prod():item())
    assert.same({ 0, 0, 0 }, al.zeros(2, 0, 3):sum({ 1, 2 }):totable())
    assert.same({ 0 }, al.zeros(0, 3):sum(2).shape)
    local m = al.zeros(0):mean():item()
    assert.is_true(m ~= m)
    assert.is_true(al.zeros(0):to("bool"):all():item())
    assert.is_false(al.zeros(0):to("bool"):any():item())
    assert.error_matches(function() al.zeros(0):max() end, "no element")
    assert.error_matches(function() al.zeros(2, 0):amax(2) end, "no element")
    assert.same({ 0 }, al.zeros(0, 2):amax(2).shape)
  end)

  it("mean, var, std", function()
    local x = al.tensor({ { 1, 2, 3, 4 }, { 2, 2, 2, 6 } }, f64)
    assert.same({ 2.5, 3 }, x:mean(2):totable())
    assert.same({ 5 / 3, 4 }, x:var(2):totable())
    assert.same({ 1.25, 3 }, x:var(2, { correction = 0 }):totable())
    assert.same({ 2 }, { x:std(2)[2]:item() })
    -- a large offset must not swamp the spread
    local far = al.tensor({ 1e8 + 1, 1e8 + 2, 1e8 + 3 }, f64)
    assert.is_true(math.abs(far:var():item() - 1) < 1e-9)
    local one = al.ones(1):var():item()
    assert.is_true(one ~= one)
  end)

  it("prod, with zeros in its gradient", function()
    assert.equal("int64", al.tensor({ 2, 3 }, { dtype = "int32" }):prod().dtype)
    assert.same({ 6, 40 }, al.tensor({ { 1, 2, 3 }, { 2, 4, 5 } }):prod(2):totable())
    local x = al.tensor({ { 2, 0, 5 }, { 0, 0, 3 }, { 2, 3, 4 } }, { dtype = "float64",
      requires_grad = true })
    x:prod(2):sum():backward()
    assert.same({ { 0, 10, 0 }, { 0, 0, 0 }, { 12, 8, 6 } }, x.grad:totable())
  end)

  it("extremes: first of equals, NaN wins, positions from 1", function()
    local x = al.tensor { { 3, 7, 7 }, { nan, 9, nan }, { -inf, -inf, -inf } }
    local v, i = x:max(2)
    assert.same({ 2, 1, 1 }, i:totable())
    assert.equal(7, v[1]:item())
    assert.is_true(v[2]:item() ~= v[2]:item())
    assert.same({ 2, 2, 2 }, x:argmax(1):totable())
    assert.equal(4, x:argmax():item())
    assert.equal("int64", i.dtype)
    local w, j = al.tensor({ 4, 1, 1 }, { dtype = "int32" }):min(1)
    assert.equal("int32", w.dtype)
    assert.same({ 1, 2 }, { w:item(), j:item() })
    local long = al.zeros(20000)
    long["9000"], long["15000"] = 1, 1
    assert.same({ 9000, 1 }, { long:argmax():item(), long:argmin():item() })
    long["19999"] = nan
    assert.equal(19999, long:argmax():item())
    local whole = x:max()
    assert.is_true(whole:item() ~= whole:item())
    assert.same({ 1, 1 }, { select("#", al.ones(2):min(1, true)) - 1, al.ones(2):min(1,
      true):numel() })
  end)

  it("ties share the gradient of a whole maximum; along a dim the first takes it", function()
    local x = al.tensor({ { 2, 2 }, { 1, 2 } }, { dtype = "float64", requires_grad = true })
    x:max():backward()
    for _, row in ipairs(x.grad:totable()) do
      for _, g in ipairs(row) do assert.is_true(g == 0 or math.abs(g - 1 / 3) < 1e-15) end
    end
    x.grad = nil
    x:max(2):sum():backward()
    assert.same({ { 1, 0 }, { 0, 1 } }, x.grad:totable())
  end)

  it("any, all, count_nonzero", function()
    local x = al.tensor { { 0, 1 }, { 2, 3 } }
    assert.same({ true, true }, x:any(2):totable())
    assert.same({ false, true }, x:all(2):totable())
    assert.equal(3, x:count_nonzero():item())
    assert.is_true(al.tensor({ nan }):any():item())
  end)

  it("norms", function()
    local x = al.tensor({ { 3, -4 }, { 0, 0 } }, f64)
    assert.equal(5, x:norm():item())
    assert.same({ 7, 0 }, x:norm(1, 2):totable())
    assert.same({ 4, 0 }, x:norm(inf, 2):totable())
    assert.same({ 3, 0 }, x:norm(-inf, 2):totable())
    assert.same({ 2, 0 }, x:norm(0, 2):totable())
    local leaf = al.zeros(3, { dtype = "float64" })
    leaf.requires_grad = true
    leaf:norm():backward()
    assert.same({ 0, 0, 0 }, leaf.grad:totable())
  end)

  it("cumsum both ways", function()
    local x = al.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    assert.same({ { 1, 3, 6 }, { 4, 9, 15 } }, x:cumsum(2):totable())
    assert.same({ { 1, 2, 3 }, { 5, 7, 9 } }, x:cumsum(1):totable())
    assert.same({ { 6, 5, 3 }, { 15, 11, 6 } }, x:cumsum(2, { reverse = true }):totable())
    assert.equal("int64", al.tensor({ true, true }):cumsum(1).dtype)
  end)

  it("cumprod, with zeros in its gradient", function()
    assert.same({ 1, 2, 6 }, al.tensor({ 1, 2, 3 }):cumprod(1):totable())
    assert.same({ 6, 6, 3 }, al.tensor({ 1, 2, 3 }):cumprod(1, { reverse = true }):totable())
    local x = al.tensor({ 2, 0, 5, 0, 3 }, { dtype = "float64", requires_grad = true })
    x:cumprod(1):sum():backward()
    assert.same({ 1, 12, 0, 0, 0 }, x.grad:totable()) -- 2 (1 + 5) at the first zero
  end)

  it("float32 sums are accurate to a few parts in 10^7", function()
    local x = al.rand(1000003, { generator = al.generator(4) })
    local exact = x:to("float64"):sum():item()
    assert.is_true(math.abs(x:sum():item() / exact - 1) < 2e-7)
    local tenth = al.full({ 10000000 }, 0.1)
    assert.is_true(math.abs(tenth:sum():item() / 1e6 - 1) < 2e-7)
    local cols = x["1:1000000"]:reshape(-1, 4)
    local down = cols:to("float64"):sum(1)
    assert.is_true(((cols:sum(1):to("float64") - down) / down):abs():max():item() < 2e-7)
  end)

  it("give the same bits for any number of threads", function()
    local x = al.randn(37, 211, 53, { generator = al.generator(5) })
    local former = al.threads()
    local first
    for _, n in ipairs { 1, 2, 4 } do
      al.threads(n)
      local all = { x:sum():item(), x:var():item(), x:sum(1):norm():item(), x:sum({ 1,
        3 }):totable(), x:softmax(2):sum():item(),
        x:logsumexp():item(), (x:amax({ 2, 3 })):totable() }
      first = first or all
      assert.same(first, all)
    end
    al.threads(former)
  end)
end)

describe("softmax", function()
  it("has its closed form, over rows and over channels", function()
    local x = al.tensor({ { 0, math.log(3) }, { 5, 5 } }, f64)
    local function is(expected, y)
      for i, row in ipairs(expected) do
        for j, v in ipairs(row) do assert.is_true(math.abs(y[i][j]:item() - v) < 1e-12) end
      end
    end
    is({ { 0.25, 0.75 }, { 0.5, 0.5 } }, x:softmax(2))
    is({ { 0.25, 0.5 }, { 0.75, 0.5 } }, x:transpose(1, 2):softmax(1))
    is({ { math.log(0.25), math.log(0.75) }, { -math.log(2), -math.log(2) } },
      x:log_softmax(-1))
    assert.is_true(math.abs(x:logsumexp(2)[1]:item() - math.log(4)) < 1e-12)
  end)

  it("neither overflows nor hides NaN", function()
    local y = al.tensor { { 1e4, 1e4 - 1, -1e4 }, { nan, 1, 2 }, { -inf, 0, -inf } }
    local s = y:softmax(2):totable()
    assert.is_true(math.abs(s[1][1] - 1 / (1 + math.exp(-1))) < 1e-6)
    for j = 1, 3 do assert.is_true(s[2][j] ~= s[2][j]) end
    assert.same({ 0, 1, 0 }, s[3])
    local wide = y:unsqueeze(-1):expand(3, 3, 5):softmax(2)["..., 5"]:totable()
    for j = 1, 3 do assert.is_true(wide[1][j] == s[1][j] and wide[2][j] ~= wide[2][j]) end
    local l = al.tensor({ { -inf, -inf }, { inf, 1 }, { nan, 1 } }):logsumexp(2):totable()
    assert.same({ -inf, inf }, { l[1], l[2] })
    assert.is_true(l[3] ~= l[3])
  end)

  -- Values of PyTorch 1.13.
  it("std of a constant and norms at zeros have gradient 0 there", function()
    local x = al.tensor({ 1, 1, 1 }, { dtype = "float32", requires_grad = true })
    assert.same({ 0, 0, 0 }, al.grad(x:std(), x):totable())
    assert.same({ 0, 0, 0 }, al.grad(x:std({ correction = 0 }), x):totable())
    local z = al.tensor({ 0, 1, 4 }, { dtype = "float64", requires_grad = true })
    assert.same({ 0, 3, 1.5 }, al.grad(z:norm(0.5), z):totable())
    assert.same({ 0, 0, 0 }, al.grad(z:norm(-1), z):totable())
    local first = al.grad(z:norm(0.5), z, { create_graph = true })
    local second = al.grad(first:sum(), z):totable()
    assert.equal(0, second[1])
  end)

  it("copies and fills too large for the caches, at odd offsets and lengths, are exact", function()
    local n = 4 * 1024 * 1024 + 7
    local x = al.zeros(n)
    x.requires_grad = true
    x:sum():backward()
    assert.is_true(x.grad:eq(1):all():item())
    local a = al.randn(n + 3)
    local part = a[{ { 2, n + 1 } }]
    assert.is_true(part:clone():eq(part):all():item())
  end)

  it("softmax of infinities and of what lies far below the largest", function()
    assert.same({ 0, 1, 0 }, al.tensor({ -inf, 0, -104 }):softmax(1):totable())
    local far = al.tensor({ 0, -80 }):softmax(1):totable()[2]
    assert.near(1, far / math.exp(-80), 1e-6)
    assert.is_true(al.tensor({ nan, 1 }):softmax(1):isnan():all():item())
    assert.is_true(al.tensor({ -inf, -inf }):softmax(1):isnan():all():item())
  end)
end)
