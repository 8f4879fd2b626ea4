local al = require "albedo"
local sparse = al.classical.sparse
local f64 = { dtype = "float64" }

local function unit(x) return x / x:norm(2, 2, true) end

-- Orthogonal matching pursuit as its definition reads: least squares on the residual's best atoms.
local function naive(x, atoms, nonzeros)
  local code = al.zeros({ #x, #atoms }, f64)
  for i = 1, #x do
    local chosen, rest = {}, x[i]
    for _ = 1, nonzeros do
      chosen[#chosen + 1] = atoms:matmul(rest:unsqueeze(2)):abs():reshape(-1):argmax():item()
      local own = atoms:index_select(1, al.tensor(chosen, { dtype = "int64" }))
      local w = own:matmul(own:t()):solve(own:matmul(x[i]:unsqueeze(2))):reshape(-1)
      rest = x[i] - w:unsqueeze(1):matmul(own):reshape(-1)
      for k, at in ipairs(chosen) do code[i][at] = w[k] end
    end
  end
  return code
end

-- Signals by positive weights on four vectors a class: sacrc adds weights up, so their signs matter.
local function mixture(n, classes, seed)
  local g = al.generator(seed)
  local opts = { dtype = "float64", generator = g }
  local truth, x, y = al.randn(classes, 4, 24, opts), {}, {}
  for i = 1, n do
    local c = (i - 1) % classes + 1
    x[i] = (al.rand(1, 4, opts):matmul(truth[c]) + 0.3 * al.randn(1, 24, opts))
    y[i] = c
  end
  return unit(al.cat(x, 1)), al.tensor(y, { dtype = "int64" })
end

describe("omp", function()
  before_each(function() al.seed(3) end)

  it("finds a code of (1 + 1 / coherence) / 2 atoms at most exactly", function()
    -- spikes and a Hadamard basis of 64: coherence 1/8, so that 4 atoms are found for sure
    local h = al.ones({ 1, 1 }, f64)
    for _ = 1, 6 do h = al.cat({ al.cat({ h, h }, 2), al.cat({ h, -h }, 2) }, 1) end
    local atoms = al.cat({ al.eye(64, f64), h / 8 }, 1)
    local products = atoms:matmul(atoms:t()) - al.eye(128, f64)
    assert.near(1 / 8, products:abs():max():item(), 1e-12)
    local code = al.zeros({ 50, 128 }, f64)
    for i = 1, 50 do
      local at = al.randperm(128)
      for k = 1, 4 do code[i][at[k]:item()] = (k % 2 * 2 - 1) * (0.2 + al.rand(1):item()) end
    end
    local found = code:matmul(atoms):omp(atoms, 4)
    assert.near(0, (found - code):abs():max():item(), 1e-12)
  end)

  it("is what its definition gives", function()
    local atoms, x = unit(al.randn(40, 16, f64)), al.randn(9, 16, f64)
    local y = x:omp(atoms, 5)
    assert.near(0, (y - naive(x, atoms, 5)):abs():max():item(), 1e-10)
    assert.same(y:totable(), x:omp(atoms, 5, atoms:matmul(atoms:t())):totable())
  end)

  it("stops where what is left is short enough, or nothing is", function()
    local atoms, x = al.eye(5, f64), al.tensor({ { 3, 0, -0.5, 0.1, 0 } }, f64)
    assert.same({ { 3, 0, 0, 0, 0 } }, x:omp(atoms, 5, nil, { tol = 0.6 }):totable())
    assert.same({ { 3, 0, -0.5, 0, 0 } }, x:omp(atoms, 5, nil, { tol = 0.2 }):totable())
    assert.same({ { 3, 0, -0.5, 0.1, 0 } }, x:omp(atoms, 99):totable())
    assert.equal(0, (x * 0):omp(atoms, 3):abs():max():item())
    local twice = al.cat({ atoms, atoms }, 1) -- the second of two equal atoms depends on the first
    assert.same({ 3, 0, -0.5, 0.1, 0, 0, 0, 0, 0, 0 }, x:omp(twice, 5):totable()[1])
  end)

  it("gives the same bits for any number of threads", function()
    local atoms, x, former = unit(al.randn(64, 20)), al.randn(200, 20), al.threads()
    al.threads(1)
    local one = x:omp(atoms, 6):bytes()
    al.threads(3)
    local three = x:omp(atoms, 6):bytes()
    al.threads(former)
    assert.is_true(one == three)
  end)

  it("names what does not fit", function()
    assert.has_error(function() al.ones(2, 3):omp(al.ones(2, 4), 1) end)
    assert.has_error(function() al.ones(2, 3):omp(al.ones(4, 3), 0) end)
    assert.has_error(function() al.ones(2, 3):omp(al.ones(4, 3), 1, al.ones(3, 3)) end)
  end)
end)

describe("dictionaries", function()
  before_each(function() al.seed(5) end)

  it("of K-SVD never leave more, and have atoms of length 1", function()
    local x = mixture(120, 3, 1)
    local d = sparse.ksvd(x, { atoms = 20, nonzeros = 3, iterations = 8 })
    for i = 2, #d.objective do
      assert.is_true(d.objective[i] <= d.objective[i - 1] * (1 + 1e-12), i)
    end
    assert.is_true(d.objective[#d.objective] < 0.8 * d.objective[1])
    assert.near(0, (d.atoms:norm(2, 2) - 1):abs():max():item(), 1e-12)
    assert.is_true(d.code:ne(0):to("int64"):sum(2):max():item() <= 3)
    local left = (x - d.code:matmul(d.atoms)):square():sum():item()
    assert.near(left, d.objective[#d.objective], 1e-9)
  end)

  it("of K-SVD find the one that made the signals", function()
    local truth = unit(al.randn(12, 16, f64))
    local code = al.zeros({ 600, 12 }, f64)
    for i = 1, 600 do
      local at = al.randperm(12)
      for k = 1, 2 do code[i][at[k]:item()] = al.randn(1, f64):item() end
    end
    local d = sparse.ksvd(code:matmul(truth), { atoms = 16, nonzeros = 2, iterations = 30 })
    local found = truth:matmul(d.atoms:t()):abs():amax(2):gt(0.99):to("int64"):sum():item()
    assert.is_true(found >= 10, found)
  end)

  it("of a class, and label-consistent ones, tell classes apart; shuffled labels do not", function()
    local x, y = mixture(240, 3, 2)
    local fit, test = x:narrow(1, 1, 180), x:narrow(1, 181, 60)
    local function right(scores) return scores:argmax(2):eq(y:narrow(1, 181, 60)):to("float64"):mean():item() end
    local d = sparse.by_class(fit, y:narrow(1, 1, 180), { atoms = 6, nonzeros = 3, iterations = 5 })
    assert.same({ 18, 24 }, d.atoms.shape)
    for _, name in ipairs { "src", "crc", "sacrc" } do
      assert.is_true(right(sparse[name](test, d)) > 0.8, name)
    end
    local lc = sparse.lcksvd(fit, y:narrow(1, 1, 180), { atoms = 6, nonzeros = 3, iterations = 5 })
    assert.is_true(right(sparse.linear(test, lc)) > 0.8)
    for i = 2, #lc.objective do
      assert.is_true(lc.objective[i] <= lc.objective[i - 1] * (1 + 1e-12), i)
    end
    local mixed = y:narrow(1, 1, 180):index_select(1, al.randperm(180))
    assert.is_true(right(sparse.sacrc(test, sparse.by_class(fit, mixed, { atoms = 6 }))) < 0.6)
  end)

  it("code collaboratively in closed form", function()
    local x, y = mixture(30, 3, 4)
    local d = sparse.by_class(x, y, { atoms = 4, nonzeros = 2, iterations = 0 })
    local lambda = 0.05
    local code = sparse.ridge(x, d, lambda)
    -- the gradient of |x - c a|^2 + lambda |c|^2 vanishes; and the residual's closed form
    local rest = x - code:matmul(d.atoms)
    assert.near(0, (rest:matmul(d.atoms:t()) - code * lambda):abs():max():item(), 1e-12)
    local system = d.atoms:t():matmul(d.atoms) / lambda + al.eye(24, f64)
    assert.near(0, (rest - system:solve(x:t()):t()):abs():max():item(), 1e-10)
  end)
end)

describe("sparse.ensemble", function()
  it("scores by every classifier, standardised", function()
    local x, y = mixture(150, 3, 6)
    local scores = sparse.ensemble(x:narrow(1, 1, 120), y:narrow(1, 1, 120), { atoms = 6, nonzeros = 3 })(
      x:narrow(1, 121, 30))
    for _, name in ipairs { "src", "crc", "sacrc", "lcksvd" } do
      local s = scores[name]
      assert.same({ 30, 3 }, s.shape)
      assert.near(0, s:mean():item(), 1e-9)
      assert.near(1, s:std():item(), 1e-6)
      assert.is_true(s:argmax(2):eq(y:narrow(1, 121, 30)):to("float64"):mean():item() > 0.7, name)
    end
  end)
end)
