-- Fourier and cosine transforms: closed forms and identities (PyTorch and SciPy: spec/peer).
local al = require "albedo"

local f64 = { dtype = "float64" }
local function rms(x) return x:square():mean():sqrt():item() end
local function off(a, b) return (a - b):abs():max():item() / rms(b) end
local lengths = { 1, 2, 7, 16, 31, 360, 997, 1009, 997 * 2, 3 * 1021, 4096, 30030 }

describe("fft", function()
  it("of one wave is one peak", function()
    local t = al.arange(12):to("float64") - 1
    local wave = al.complex((t * (2 * math.pi * 3 / 12)):cos(), (t * (2 * math.pi * 3 / 12)):sin())
    local want = al.zeros(12, 2, f64)
    want[4][1] = 12
    assert.is_true((wave:fft() - want):abs():max():item() < 1e-13)
    assert.same({ 1, 1, 1, 1 }, al.tensor({ 1, 0, 0, 0 }):complex():fft():complex_abs():totable())
  end)

  it("keeps energy and comes back, at any length", function()
    al.seed(4)
    for _, n in ipairs(lengths) do
      local x = al.randn(3, n, 2, f64)
      local y = x:fft()
      assert.near(1, y:square():sum():item() / x:square():sum():item() / n, 1e-13)
      assert.is_true(off(y:ifft(), x) < 1e-13, "length " .. n)
      local r = al.randn(2, n, f64)
      assert.is_true(off(r:rfft():irfft(n), r) < 1e-13, "real, length " .. n)
      assert.is_true(off(r:dct():idct(), r) < 1e-13, "cosine, length " .. n)
      assert.is_true(off(r:dct { norm = "ortho" }:square():sum(), r:square():sum()) < 1e-13)
    end
  end)

  it("in float32 is as exact as float32 is", function()
    al.seed(4)
    for _, n in ipairs(lengths) do
      local x = al.randn(2, n, 2)
      assert.is_true(off(x:fft():to("float64"), x:to("float64"):fft()) < 1e-6, "length " .. n)
      assert.is_true(off(x:fft():ifft(), x) < 1e-6)
    end
  end)

  it("of a strided view is that of its copy", function()
    local x = al.randn(6, 5, 2, f64):transpose(1, 2)
    assert.equal(0, (x:fft() - x:contiguous():fft()):abs():max():item())
    local r = al.randn(40, 6, f64):t()
    assert.equal(0, (r:rfft() - r:contiguous():rfft()):abs():max():item())
  end)

  it("along any dim is that along the last", function()
    local x = al.randn(30, 7, 2, f64)
    assert.is_true(off(x:fft(1), x) > 0) -- cut to one entry
    assert.is_true(off(x:fft(nil, 1), x:transpose(1, 2):fft():transpose(1, 2)) < 1e-14)
    assert.is_true(off(x:fft2(), x:fft(nil, 1):fft(nil, 2)) < 1e-14)
  end)

  it("gives the same bits for any number of threads", function()
    local former = al.threads()
    local x, r = al.randn(40, 1009, 2), al.randn(1, 20000)
    local long = al.randn(30000, 2, f64)
    local function bits(n)
      al.threads(n)
      return x:fft():bytes() .. x:fft(nil, 1):bytes() .. r:rfft():bytes() .. long:fft():bytes() .. r:dct():bytes()
    end
    local one, two, four = bits(1), bits(2), bits(4)
    al.threads(former)
    assert.is_true(one == two and one == four)
  end)

  it("names what it cannot do", function()
    local function raises(pattern, f)
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.is_truthy(message:find(pattern), message)
    end
    raises("needs complex values", function() al.ones(3, 4):fft() end)
    raises("transform of 0 points", function() al.ones(3, 4, 2):fft(0) end)
    raises("transform of 0 points", function() al.ones(3, 0, 2):fft() end)
    raises("none of backward, ortho, forward", function() al.ones(4, 2):fft { norm = "both" } end)
    raises("named twice", function() al.ones(4, 4, 2):fft2(nil, { 1, 1 }) end)
    raises("out of range", function() al.ones(4, 2):fft(nil, 2) end)
    raises("say complex", function() al.ones(4, 2):fftshift() end)
    raises("wants 2 or 3", function() al.ones(4):dct(4) end)
    raises("x has 3 channels, w expects 2", function() al.ones(1, 3, 4, 4):fft_conv2d(al.ones(1, 2, 3, 3)) end)
  end)

  it("of nothing is nothing", function()
    assert.same({ 0, 5, 2 }, al.zeros(0, 5, 2):fft().shape)
    assert.same({ 0, 3, 2 }, al.zeros(0, 5):rfft().shape)
    assert.same({ 0, 4 }, al.zeros(0, 3, 2):irfft().shape)
    assert.same({ 0, 5 }, al.zeros(0, 5):dct().shape)
  end)

  it("keeps NaN and infinity to their lines", function()
    local x = al.ones(2, 8)
    x["1, 3"] = al.nan
    local y = x:rfft()
    assert.is_true(y["1, :, 1"]:isnan():all():item() and not y[2]:isnan():any():item())
  end)
end)

describe("fft_conv2d", function()
  it("gives what conv2d gives, with gradients", function()
    al.seed(5)
    local x, w = al.randn(2, 3, 20, 17, f64):requires_grad_(), al.randn(4, 3, 9, 6, f64):requires_grad_()
    local b = al.randn(4, f64)
    local y, z = al.fft_conv2d(x, w, b, { pad = { 2, 1 } }), al.conv2d(x, w, b, { pad = { 2, 1 } })
    assert.is_true(off(y, z) < 1e-13)
    local g = al.randn(z.shape, f64)
    local got, want = al.grad(y, { x, w }, { grad_outputs = { g } }), al.grad(z, { x, w }, { grad_outputs = { g } })
    for k = 1, 2 do assert.is_true(off(got[k], want[k]) < 1e-13) end
  end)
end)
