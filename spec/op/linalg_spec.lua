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

describe("einsum", function()
  local a, b = matrix { { 1, 2 }, { 3, 4 } }, matrix { { 5, 6 }, { 7, 8 } }
  it("sums products over named dims", function()
    near({ { 19, 22 }, { 43, 50 } }, al.einsum("ij,jk->ik", a, b))
    near({ { 19, 22 }, { 43, 50 } }, al.einsum(" i j , j k ", { a, b }))
    near({ { 19, 43 }, { 22, 50 } }, al.einsum("ij,jk->ki", a, b))
    near({ 1, 4 }, al.einsum("ii->i", a))
    assert.equal(5, al.einsum("ii", a):item())
    assert.equal(70, al.einsum("ij,ij->", a, b):item())
    near({ { 1, 3 }, { 2, 4 } }, al.einsum("ba", a))
    near({ 3, 7 }, al.einsum("...i->...", a))
    near(al.stack { a:matmul(b), b:matmul(b) }, al.einsum("...ij,jk->...ik", al.stack { a, b }, b))
    near({ 17 * 3, 39 * 3 }, al.einsum("ij,j,k->i", a, matrix { 5, 6 }, al.ones({ 3 }, double)))
    near({ 3, 12 }, al.einsum("i,ij->j", al.ones({ 1 }, double), matrix { { 1, 5 }, { 2, 7 } }))
    assert.same({ { 19, 22 }, { 43, 50 } }, al.einsum("ij,jk", a:to "int64", b:to "int64"):totable())
    assert.same({ 2, 0 }, al.einsum("ij,jk", al.ones(2, 3), al.ones(3, 0)).shape)
    near(al.zeros({ 2, 2 }, double), al.einsum("ij,jk", al.ones({ 2, 0 }, double), al.ones({ 0, 2 }, double)))
  end)

  it("never hands out an operand itself", function()
    local y = al.einsum("ij->ij", a)
    assert.is_false(rawequal(a, y))
    local z = a:clone():requires_grad_() * 1
    assert.is_false(rawequal(z, al.einsum("ij->ij", z)))
  end)

  it("names what is wrong with an equation", function()
    local cases = {
      ["operand 1 has 2 dims, the equation names 3"] = { "ijk->i", a },
      ["the equation does not name 2 operands"] = { "ij->i", a, b },
      ["a label stands for sizes 2 and 3"] = { "ij,jk", a, al.ones(3, 2) },
      ["operand 1 has sizes 2 and 3 under one label"] = { "ii", al.ones(2, 3) },
      ["in no operand"] = { "ij->k", a },
      ["stands there twice"] = { "ij->ii", a },
      ["\"1\" in the equation is no label"] = { "i1->i", a },
      ["takes 1 to 16 operands, got 0"] = { "ij" },
      ["xs%[2%] must be a tensor, got number"] = { "ij,j", a, 3 },
    }
    for message, args in pairs(cases) do
      assert.error_matches(function() al.einsum((table.unpack or unpack)(args)) end, message)
    end
  end)

  it("has tensordot, kron, cross and trace for relatives", function()
    near({ { 19, 22 }, { 43, 50 } }, a:tensordot(b, 1))
    assert.equal(70, a:tensordot(b):item())
    near({ { 19, 43 }, { 22, 50 } }, b:tensordot(a, { dims_x = { 1 }, dims_y = { 2 } }))
    near({ { 5, 6, 10, 12 }, { 7, 8, 14, 16 } }, matrix { { 1, 2 } }:kron(b))
    near({ 0, 0, 1 }, matrix { 1, 0, 0 }:cross(matrix { 0, 1, 0 }))
    assert.equal(5, a:trace():item())
    assert.error_matches(function() a:tensordot(al.ones(3, 2), 1) end, "dim 2 of x has size 2, dim 1 of y 3")
  end)
end)

describe("cdist", function()
  local x, y = matrix { { 0, 0 }, { 3, 4 } }, matrix { { 0, 0 }, { 6, 8 }, { 0, 1 } }
  it("gives every pair's distance", function()
    near({ { 0, 10, 1 }, { 5, 5, math.sqrt(18) } }, x:cdist(y))
    near({ { 0, 14, 1 }, { 7, 7, 6 } }, x:cdist(y, 1))
    near({ { 0, 8, 1 }, { 4, 4, 3 } }, x:cdist(y, math.huge))
    near({ { 0, 2, 1 }, { 2, 2, 2 } }, x:cdist(y, 0))
    near({ { 728 ^ (1 / 3) } }, x[{ { 1, 1 } }]:cdist(y[{ { 2, 2 } }], 3), 1e-11)
    assert.same({ 4, 2, 3 }, al.ones(4, 2, 5):cdist(al.ones(3, 5)).shape)
    assert.same({ 2, 0 }, al.ones(2, 5):cdist(al.ones(0, 5)).shape)
    near({ { 0 } }, al.ones({ 1, 0 }, double):cdist(al.ones({ 1, 0 }, double)))
  end)

  it("does not cancel far from the origin", function()
    local far = al.tensor { { 10000, 10000 } }
    assert.equal(0.0009765625, far:cdist(al.tensor { { 10000.0009765625, 10000 } }):item())
  end)

  it("has a gradient of 0 at distance 0", function()
    for _, p in ipairs { 1, 1.5, 2, 3, math.huge } do
      local z = matrix { { 1, 2 } }:requires_grad_()
      z:cdist(matrix { { 1, 2 } }, p):sum():backward()
      near({ { 0, 0 } }, z.grad)
    end
    local z = matrix { { 3, 4 } }:requires_grad_()
    z:cdist(matrix { { 0, 0 } }):sum():backward()
    near({ { 0.6, 0.8 } }, z.grad)
  end)
end)

describe("norms, ranks, least squares", function()
  local a = matrix { { 3, 0 }, { 0, -4 } }
  it("matrix_norm", function()
    local want = { fro = 5, nuc = 7, [1] = 4, [-1] = 3, [2] = 4, [-2] = 3, [math.huge] = 4, [-math.huge] = 3 }
    for ord, v in pairs(want) do near(matrix(v), a:matrix_norm(ord)) end
    local b = matrix { { 1, -2 }, { 3, 4 } }
    assert.same({ 6, 4, 7, 3 }, {
      b:matrix_norm(1):item(), b:matrix_norm(-1):item(), b:matrix_norm(math.huge):item(), b:matrix_norm(-math.huge):item(),
    })
    assert.same({ 1, 3, 1 }, al.ones(2, 3, 4):matrix_norm("nuc", { 1, 3 }, true).shape)
    assert.error_matches(function() a:matrix_norm(3) end, 'ord "3" is unknown')
    assert.error_matches(function() a:matrix_norm("fro", { 1 }) end, "dims names 1 dims")
    assert.equal(0, al.zeros(0, 3):matrix_norm("nuc"):item())
  end)

  it("pinv and matrix_rank", function()
    local b = matrix { { 1, 2 }, { 2, 4 }, { 0, 0 } } -- u s v^T with u = (1 2 0), v = (1 2)
    near(b:t() / 25, b:pinv())
    assert.equal(1, b:matrix_rank():item())
    assert.equal(2, a:matrix_rank():item())
    assert.equal(1, a:matrix_rank({ atol = 3.5 }):item())
    assert.equal(0, a:matrix_rank({ rtol = 1 }):item())
    near({ { 0, 0 }, { 0, -0.25 } }, a:pinv { atol = 3.5 })
    assert.same({ 3, 0 }, al.zeros(0, 3):pinv().shape)
    assert.equal(0, al.zeros(0, 3):matrix_rank():item())
  end)

  it("lstsq fits a line", function()
    local t = matrix { { 1, 0 }, { 1, 1 }, { 1, 2 } }
    local x, residual, rank = t:lstsq(matrix { 1, 2, 4 }) -- 5/6 + 3/2 t
    near({ 5 / 6, 1.5 }, x)
    near(matrix(1 / 6), residual)
    assert.equal(2, rank:item())
    x, residual, rank = t:t():lstsq(matrix { { 1 }, { 0 } }) -- of all solutions the shortest
    near({ { 5 / 6 }, { 1 / 3 }, { -1 / 6 } }, x)
    assert.same({ 0, 2 }, { residual:numel(), rank:item() })
  end)

  it("matrix_power and cholesky_solve", function()
    local f = matrix { { 1, 1 }, { 1, 0 } } -- Fibonacci's numbers
    near({ { 89, 55 }, { 55, 34 } }, f:matrix_power(10))
    near({ { 0, 1 }, { 1, -1 } }, f:matrix_power(-1))
    near(al.eye(2, double), f:matrix_power(0))
    local m, b = matrix { { 4, 2 }, { 2, 10 } }, matrix { { 8 }, { 22 } }
    near(m:solve(b), al.cholesky_solve(b, m:cholesky()))
    near(m:solve(b), al.cholesky_solve(b, m:cholesky { upper = true }, { upper = true }))
    near({ { 3 } }, al.addmm(matrix { { al.nan } }, matrix { { 1 } }, matrix { { 3 } }, { beta = 0 }))
  end)
end)
