"""Linear algebra: well-conditioned matrices, so that float32 can be held to 1e-5."""
import torch

from peer import Dim, row

L = torch.linalg


def lead(d):
    return d.shape(0, 2, 3)


def square(d, shape=None, n=None):
    """Matrices of eigenvalues around 2."""
    n = n or d.int(1, 6)
    x = d.normal((lead(d) if shape is None else shape) + [n, n]) * 0.3 / n ** 0.5
    return d.float(x + 2 * torch.eye(n))


def spread(d, m=None, n=None, shape=None):
    """m x n matrices of singular values 1, 2, 3, ..."""
    m, n = m or d.int(1, 5), n or d.int(1, 5)
    k, shape = min(m, n), lead(d) if shape is None else shape
    u = L.qr(d.normal(shape + [m, k]).detach())[0]
    v = L.qr(d.normal(shape + [n, k]).detach())[0]
    return d.float(u * torch.arange(1.0, k + 1) @ v.mT)


def definite(d):
    n = d.int(1, 5)
    q = L.qr(d.normal(lead(d) + [n, n]).detach())[0]
    return d.float(q * torch.arange(1.0, n + 1) @ q.mT)


def system(d):
    """a and b: matrices or vectors, leading dims broadcast."""
    a = square(d)
    n, batch = a.shape[-1], list(a.shape[:-2])
    left = d.bool()
    if left and d.bool():
        return a, d.x(d.choice([n], batch + [n]))
    if batch and d.bool():
        batch = [1] + batch[1:]
    return a, d.x(batch + ([n, d.int(1, 3)] if left else [d.int(1, 3), n])), dict(left=left)


def triangular(d):
    a, b, *opts = system(d)
    return a, b, dict(opts[0] if opts else {}, upper=d.bool(), unitriangular=d.bool())


def as_matrix(fn):
    """fn for vectors too, which PyTorch 1.13's solve_triangular does not take."""
    def run(a, b, **opts):
        vector = opts.get("left", True) and (b.dim() == 1 or b.shape == a.shape[:-1])
        y = fn(a, b.expand(a.shape[:-1]).unsqueeze(-1) if vector else b, **opts)
        return y.squeeze(-1) if vector else y
    return run


def weights(k):
    return torch.arange(1.0, k + 1)


def eigh(x):
    w, v = L.eigh(x)
    return w, v * weights(w.shape[-1]).to(w) @ v.mT


def svd(x, full_matrices):
    u, s, v = L.svd(x, full_matrices=False)
    w = weights(s.shape[-1]).to(s)
    return s, u * w @ v, u * w @ u.mT, v.mT * w @ v


def qr(x, mode="reduced"):
    q, r = L.qr(x, mode)
    k = min(x.shape[-2:])
    sign = torch.sign(torch.diagonal(r, dim1=-2, dim2=-1)).unsqueeze(-2)
    return q[..., :k] * sign, r[..., :k, :] * sign.mT


row("solve", as_matrix(L.solve), system)
row("solve_triangular", as_matrix(L.solve_triangular), triangular)
row("inv", L.inv, square)
row("det", L.det, square)
row("slogdet", lambda x: tuple(L.slogdet(x)), square)
row("cholesky", L.cholesky, lambda d: (definite(d), dict(upper=d.bool())))
row("eigvalsh", L.eigvalsh, definite)
row("eigh", eigh, definite)
row("svdvals", L.svdvals, spread)
row("svd", svd, lambda d: (spread(d), d.bool()))


def for_qr(d):
    """The leading square block decides how well q and r are determined."""
    x = spread(d, m=d.int(3, 5), n=d.int(1, 3))
    if x.shape[-2] > x.shape[-1] or d.bool():
        return x, d.choice("reduced", "complete") if x.shape[-2] == x.shape[-1] else "reduced"
    more = d.normal(list(x.shape[:-1]) + [d.int(1, 3)])
    return d.float(torch.cat([x, more], -1)), d.choice("reduced", "complete")


row("qr", qr, for_qr)


# ---- products ----

EQUATIONS = ("ij,jk->ik", "ij,jk", "ij,kj", "bij,bjk->bik", "ii", "ii->i", "iji,jk->k", "ij->ji", "i,j->ji",
             "ij,ij", "ij,ij->", "i,i,i->i", "ab,bc,cd->ad", "bnhd,bmhd->bhnm", "ijk->", "aab,bc->ca",
             "...i,...i->...", "i...,ij->...j", "...ij,...jk->...ik", "...ab->...ba", "aB,Ba->B", "ab...,b...->a...")


def einsum(d):
    equation = d.choice(*EQUATIONS)
    size = {c: d.int(1, 4) for c in "ijkabcdnmhB"}
    dots = d.shape(0, 2, 3)
    operands = []
    for text in equation.split("->")[0].split(","):
        shape = []
        for c in text.replace("...", "."):
            shape += [v if d.bool() else 1 for v in dots] if c == "." else [size[c]]
        operands.append(d.x(shape))
    return [equation] + (operands if d.bool() else [operands])


def tensordot(d):
    inner = d.shape(0, 3, 3)
    n = len(inner)
    x, y = d.x(d.shape(0, 2, 3) + inner), d.x(inner + d.shape(0, 2, 3))
    if d.bool():
        return x, y, n
    at = list(range(n))
    d.rng.shuffle(at)
    lead = x.dim() - n
    return x, y, dict(dims_x=[Dim(lead + i) for i in at], dims_y=[Dim(i) for i in at])


def kron(d):
    return d.x(d.shape(0, 3, 3)), d.x(d.shape(0, 3, 3))


def cross(d):
    x, y = d.broadcast(nd=(0, 3), least=1, size=3)
    at = d.int(0, min(len(x), len(y)))
    return (d.x(x[:len(x) - at] + [3] + x[len(x) - at:]), d.x(y[:len(y) - at] + [3] + y[len(y) - at:]),
            Dim(-1 - at))


def product(d, batch=False):
    b, n, m, k = ([d.int(1, 3)] if batch else []), d.int(1, 4), d.int(1, 4), d.int(1, 4)
    out = [n, k][d.int(0, 1):]
    return d.x(out), d.x(b + [n, m]), d.x(b + [m, k]), dict(beta=d.choice(0, 1, 0.5), alpha=d.choice(1, 2))


row("einsum", torch.einsum, einsum, n=60)
row("tensordot", lambda x, y, dims=2, dims_x=None, dims_y=None: torch.tensordot(
    x, y, dims if dims_x is None else (dims_x, dims_y)), tensordot, n=30)
row("kron", torch.kron, kron)
row("cross", lambda x, y, dim: L.cross(*torch.broadcast_tensors(x, y), dim=dim), cross)
row("trace", lambda x: x.diagonal().sum(), lambda d: d.x(d.shape(2, 2)))
row("addmm", lambda x, a, b, beta, alpha: torch.addmm(x, a, b, beta=beta, alpha=alpha), product)
row("addbmm", lambda x, a, b, beta, alpha: torch.addbmm(x, a, b, beta=beta, alpha=alpha),
    lambda d: product(d, True))

# ---- made of factorisations ----


def norm(d):
    x = spread(d)
    options = dict(keepdim=d.bool())
    if d.bool():
        x = spread(d, shape=[])
        return x, d.choice("fro", "nuc", 1, -1, 2, -2), [Dim(1), Dim(-2)], options
    return x, d.choice("fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf")), options


def fit(d):
    a = spread(d)
    return a, d.x(list(a.shape[:-1]) + [d.int(1, 3)])


def lstsq(a, b):
    x = L.pinv(a) @ b
    more = a.shape[-2] > a.shape[-1]
    return x, ((a @ x - b) ** 2).sum(-2) if more else a.new_empty(0), torch.full(a.shape[:-2], min(a.shape[-2:]))


def low_rank(d):
    x = spread(d, m=4, n=5, shape=[2])
    u, s, v = L.svd(x, full_matrices=False)
    s = torch.where(s > d.int(0, 3) + 0.5, s, torch.zeros(()))
    return d.float(u * s.unsqueeze(-2) @ v)


def distances(d):
    batch, k = d.shape(0, 2, 3), d.int(1, 6)
    p = d.choice(2, 2, 1, 0, float("inf"), 3, 1.5)
    x, y = d.x(batch + [d.int(1, 5), k]), d.x(batch + [d.int(1, 5), k])
    return x, y, p


row("matrix_norm", lambda x, ord, dims=(-2, -1), keepdim=False: L.matrix_norm(x, ord, tuple(dims), keepdim), norm, n=40)
row("matrix_power", L.matrix_power, lambda d: (square(d, n=d.int(1, 3)), d.int(-2, 4)))
row("pinv", L.pinv, spread)
row("lstsq", lstsq, fit)
row("matrix_rank", L.matrix_rank, lambda d: (low_rank(d), dict(atol=1e-3, rtol=0.0)))
row("cholesky_solve", lambda b, l: torch.cholesky_solve(b, l.tril()), lambda d: (
    l := d.float(L.cholesky(definite(d).detach())), d.x(list(l.shape[:-1]) + [d.int(1, 3)]))[::-1])
row("cdist", torch.cdist, distances, n=40)
