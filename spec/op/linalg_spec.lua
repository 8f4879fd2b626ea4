-- Linear algebra against closed forms; random cases against PyTorch are in spec/peer/rows/linalg.py.
local al = require "albedo"

local double = { dtype = "float64" }
local function matrix(rows) return al.tensor(rows, double) end
local function near(want, got, tolerance)
  if not al.is_tensor(want) then want = matrix(want) end
  assert.same(want.shape, got.shape)
  if want:numel() > 0 then
    local off = (want - got):abs():max():item()
    assert.is_true(off <= (tolerance or 1e-12), "off by " .. off)
  end
end
local function mT(x) return x:transpose(-1, -2) end

describe("solve", function()
  local a = matrix { { 2, 1 }, { 1, 3 } }
  it("gives x with a x = b, or x a = b", function()
    near({ { 1 }, { 2 } }, a:solve(matrix { { 4 }, { 7 } }))
    near({ 1, 2 }, a:solve(matrix { 4, 7 }))
    near({ { 1, 2 } }, a:solve(matrix { { 4, 7 } }, { left = false }))
    local upright = matrix { { 0, 1 }, { 2, 0 } } -- needs a row exchange
    near({ 4, 3 }, upright:solve(matrix { 3, 8 }))
    near({ { 0, 0.5 }, { 1, 0 } }, upright:inv())
  end)

  it("takes vectors as PyTorch does, and broadcasts leading dims", function()
    local stack = al.stack { a, a * 2, a * 4 }
    near({ { 1, 2 }, { 0.5, 1 }, { 0.25, 0.5 } }, stack:solve(matrix { 4, 7 }))
    near({ { 1, 2 }, { 1, 2 }, { 1, 2 } }, stack:solve(matrix { { 4, 7 }, { 8, 14 }, { 16, 28 } }))
    assert.same({ 3, 2, 5 }, stack:solve(al.ones(1, 2, 5)).shape)
    assert.same({ 4, 3, 2, 5 }, stack:solve(al.ones(4, 1, 2, 5)).shape)
  end)

  it("passes over what the triangle does not hold", function()
    local full = matrix { { 2, 5 }, { 7, 4 } }
    near({ -0.75, 2 }, full:solve_triangular(matrix { 8.5, 8 }, { upper = true }))
    near({ 4, -5 }, full:solve_triangular(matrix { 8, 8 }, { upper = false }))
    near({ 8, -48 }, full:solve_triangular(matrix { 8, 8 }, { upper = false, unitriangular = true }))
    near({ { 4, -4 } }, full:solve_triangular(matrix { { 8, 4 } }, { upper = true, left = false }), 1e-12)
  end)
end)

describe("det", function()
  it("follows row exchanges and signs", function()
    near(matrix { -2, 6, 0 }, al.stack {
      matrix { { 1, 2 }, { 3, 4 } }, matrix { { 0, -2 }, { 3, 1 } }, matrix { { 1, 2 }, { 2, 4 } },
    }:det())
    local sign, log = al.slogdet(al.stack { al.eye(2, double) * -3, matrix { { 0, 5 }, { 2, 1 } } })
    near({ 1, -1 }, sign)
    near({ 2 * math.log(3), math.log(10) }, log)
    sign, log = al.zeros({ 2, 2 }, double):slogdet()
    assert.equal(0, sign:item())
    assert.equal(-math.huge, log:item())
  end)

  it("has the cofactors for a gradient, of singular matrices too", function()
    local x = matrix { { 1, 2 }, { 2, 4 } }:requires_grad_()
    x:det():backward()
    near({ { 4, -2 }, { -2, 1 } }, x.grad)
    local zero = al.zeros({ 3, 3 }, double):requires_grad_()
    zero:det():backward()
    near(al.zeros({ 3, 3 }, double), zero.grad)
  end)
end)

describe("factorisations", function()
  local a = matrix { { 4, 2 }, { 2, 10 } }

  it("cholesky: x = l l^T", function()
    near({ { 2, 0 }, { 1, 3 } }, a:cholesky())
    near({ { 2, 1 }, { 0, 3 } }, a:cholesky { upper = true })
    near({ { 2, 0 }, { 1, 3 } }, matrix { { 4, 1 }, { 3, 10 } }:cholesky()) -- its symmetric part
  end)

  it("qr: orthonormal columns, upper triangle", function()
    for _, shape in ipairs { { 5, 3 }, { 3, 3 }, { 3, 5 }, { 2, 4, 3 } } do
      local x = al.randn(shape, double)
      local m, k = x:size(-2), math.min(x:size(-1), x:size(-2))
      for _, mode in ipairs { "reduced", "complete", "r" } do
        local q, r = x:qr(mode)
        near(r:triu(), r)
        if mode == "r" then
          assert.equal(0, q:numel())
          near(select(2, x:qr()), r)
        else
          near(x, q:matmul(r))
          near(al.eye(mode == "reduced" and k or m, double):expand(mT(q):matmul(q).shape), mT(q):matmul(q))
        end
      end
    end
  end)

  it("eigh: ascending values, orthonormal vectors", function()
    local w, v = matrix { { 2, 1 }, { 1, 2 } }:eigh()
    near({ 1, 3 }, w)
    near(al.full({ 2, 2 }, math.sqrt(0.5), double), v:abs())
    near(matrix { { 2, 1 }, { 1, 2 } }, (v * w):matmul(v:t()))
    near({ 1, 3 }, matrix { { 2, 0 }, { 2, 2 } }:eigvalsh())
  end)

  it("svd: descending values, full or reduced vectors", function()
    local x = matrix { { 3, 0 }, { 0, -4 }, { 0, 0 } }
    local u, s, v = x:svd()
    near({ 4, 3 }, s)
    assert.same({ { 3, 3 }, { 2, 2 } }, { u.shape, v.shape })
    near(x, (u:narrow(2, 1, 2) * s):matmul(v))
    near(al.eye(3, double), u:t():matmul(u))
    u, s, v = x:t():svd(false)
    assert.same({ { 2, 2 }, { 2, 3 } }, { u.shape, v.shape })
    near(x:t(), (u * s):matmul(v))
    near({ 4, 3 }, x:svdvals())
  end)

  it("values keep a finite gradient where they are equal", function()
    local x = al.eye(3, double):requires_grad_()
    x:svdvals():sum():backward()
    near(al.eye(3, double), x.grad)
    local y = al.eye(3, double):requires_grad_()
    y:eigvalsh():sum():backward()
    near(al.eye(3, double), y.grad)
    local z = al.eye(2, double):requires_grad_()
    local _, s = z:svd()
    s:sum():backward()
    near(al.eye(2, double), z.grad)
  end)
end)

describe("matrices without entries", function()
  local function empty(...) return al.zeros({ ... }, double) end
  it("give what PyTorch gives", function()
    assert.equal(1, empty(0, 0):det():item())
    assert.same({ 1, 1 }, (empty(2, 0, 0):slogdet()):totable())
    for _, op in ipairs { "inv", "cholesky" } do assert.same({ 0, 0 }, al[op](empty(0, 0)).shape) end
    assert.same({ 0, 3 }, empty(0, 0):solve(empty(0, 3)).shape)
    assert.same({ 2, 0 }, al.eye(2, double):solve(empty(2, 0)).shape)
    local u, s, v = empty(3, 0):svd()
    near(al.eye(3, double), u)
    assert.same({ { 0 }, { 0, 0 } }, { s.shape, v.shape })
    local q, r = empty(3, 0):qr()
    assert.same({ { 3, 0 }, { 0, 0 } }, { q.shape, r.shape })
    assert.same({ 0, 2 }, empty(0, 2, 2):eigvalsh().shape)
    local x = empty(0, 0):requires_grad_()
    x:det():backward()
    assert.same({ 0, 0 }, x.grad.shape)
  end)
end)

describe("matrices that cannot be treated", function()
  it("raise, naming what is wrong", function()
    local eye, zero = al.eye(2, double), al.zeros({ 2, 2 }, double)
    local cases = {
      ["inv: the matrix is singular %(x: 2x2 float64%)"] = function() zero:inv() end,
      ["solve: matrix 2 of the stack is singular"] = function()
        al.stack({ eye, zero }):solve(al.ones({ 2, 2 }, double))
      end,
      ["cholesky: the matrix is not positive definite"] = function() (-eye):cholesky() end,
      ["cholesky: the matrix is not pos"] = function() (eye * al.nan):cholesky() end,
      ["svd: x has entries that are NaN or infinite"] = function() (eye * al.nan):svd() end,
      ["eigh: x has entries that are NaN"] = function() (eye / 0):eigh() end,
      ["x has 2 rows and 3 columns, needs a square matrix"] = function() al.ones(2, 3):det() end,
      ["x has 1 dims, a matrix has 2"] = function() al.ones(2):inv() end,
      ["x must be float32 or float64, not int64"] = function() al.eye(2, { dtype = "int64" }):inv() end,
      ["a is 2x2, b has 3 rows"] = function() eye:solve(al.ones(3, 1)) end,
      ["a is 2x2, b has 3 columns"] = function() eye:solve(al.ones(1, 3), { left = false }) end,
      ['mode "x" is unknown: reduced, complete or r'] = function() eye:qr "x" end,
      ['mode "r" keeps no q'] = function()
        local x = al.eye(2, double):requires_grad_()
        select(2, x:qr "r"):sum():backward()
      end,
      ['mode "complete" has a gradient when'] = function()
        local x = al.ones({ 3, 2 }, double):requires_grad_()
        select(2, x:qr "complete"):sum():backward()
      end,
    }
    for message, run in pairs(cases) do assert.error_matches(run, message) end
    assert.is_true((eye * al.nan):inv():isnan():all():item())
    assert.is_true(zero:solve_triangular(al.ones({ 2 }, double), { upper = true }):isnan():any():item())
  end)
end)

describe("stacks", function()
  it("give the same bits on any number of threads", function()
    local former = al.threads()
    local x = al.randn({ 300, 7, 7 }, double)
    local function all()
      local list = { x:inv(), x:det(), (x:matmul(mT(x))):cholesky() }
      for _, op in ipairs { "qr", "svd", "eigh" } do
        for _, y in ipairs { al[op](x) } do list[#list + 1] = y end
      end
      return list
    end
    al.threads(1)
    local one = all()
    for _, n in ipairs { 2, 4 } do
      al.threads(n)
      for i, y in ipairs(all()) do assert.is_true(one[i]:eq(y):all():item()) end
    end
    al.threads(former)
  end)
end)
