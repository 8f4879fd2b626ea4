"""Linear algebra: well-conditioned matrices, so that float32 can be held to 1e-5."""
import torch

from peer import row

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
        y = fn(a, b.unsqueeze(-1) if vector else b, **opts)
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
