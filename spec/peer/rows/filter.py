"""Filters, shapes and distances in pictures and volumes, against SciPy's ndimage."""
import numpy as np
import torch
from peer import Dim, row
from scipy import ndimage

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")


def matrix(n, w, mode):
    """(n, n, L): y = m w x, built by SciPy from unit vectors."""
    return torch.as_tensor(np.stack([[ndimage.correlate1d(e, t, mode=mode) for t in np.eye(w)] for e in np.eye(n)])).permute(2, 0, 1)


def correlate(x, w, dim=-1, mode="reflect"):
    m = (matrix(x.shape[dim], len(w), mode).to(x) @ w.to(x)[:, None])[..., 0]
    return (m @ x.transpose(dim, -1)[..., None])[..., 0].transpose(dim, -1)


def picture(d, grad=True, most=9, least=2):
    n = d.choice(2, 2, 3, 4, 5)
    spatial = d.choice(2, 3) if n == 3 else None
    lead = n - (spatial or (3 if n == 5 else 2))
    s = [d.int(1, 2) for _ in range(lead)] + [d.int(least, most) for _ in range(n - lead)]
    return d.normal(s, grad=grad), {"mode": d.choice(*MODES), **({"spatial": spatial} if spatial else {})}


def spatial_of(x, spatial=None):
    return spatial or (3 if x.dim() == 5 else 2)


row("correlate1d", correlate, lambda d: (
    (x := d.normal(d.shape((1, 3), 9, least=1))), d.normal([d.int(1, 7)]), d.dim(x), d.choice(*MODES)), n=30)


def separable(x, kernels, mode="reflect"):
    for k, w in enumerate(kernels):
        x = correlate(x, w, k - len(kernels), mode)
    return x


row("separable_filter", separable, lambda d: (
    d.normal(d.shape((2, 4), 8, least=1)), [d.normal([d.int(1, 5)]) for _ in range(d.int(1, 2))], {"mode": d.choice(*MODES)}))


def gaussian(x, sigma, truncate=4.0, mode="reflect", spatial=None):
    n = spatial_of(x, spatial)
    for k in range(n):
        s = sigma[k] if isinstance(sigma, torch.Tensor) else torch.tensor(sigma).to(x)
        r = int(truncate * float(s) + 0.5)
        w = torch.exp(-0.5 * torch.arange(-r, r + 1).to(x) ** 2 / s ** 2)
        x = correlate(x, w / w.sum(), k - n, mode)
    return x


def gaussian_args(d):
    x, o = picture(d)
    n = spatial_of(x, o.get("spatial"))
    sigma = d.num(0.3, 2) if d.bool() else d.x([n], 0.3, 1.5)
    return x, sigma, {**o, "truncate": d.choice(4.0, 2.5)}


def gaussian_scipy(x, sigma, truncate=4.0, mode="reflect", spatial=None):
    n = spatial_of(x, spatial)
    s = [0] * (x.dim() - n) + ([sigma] * n if isinstance(sigma, float) else sigma.tolist())
    return torch.as_tensor(ndimage.gaussian_filter(x.detach().double().numpy(), s, truncate=truncate, mode=mode)).to(x)


row("gaussian_blur", gaussian, gaussian_args, n=20, dtype=False)
row("gaussian_blur", gaussian_scipy, gaussian_args, n=20, grad=False, dtype=False)


def sizes(d, x, o):
    n = spatial_of(x, o.get("spatial"))
    return d.int(1, 4) if d.bool() else [d.int(1, 4) for _ in range(n)]


def boxes(fn):
    def reference(x, size, mode="reflect", spatial=None):
        n = spatial_of(x, spatial)
        s = [1] * (x.dim() - n) + ([size] * n if isinstance(size, int) else size)
        return torch.as_tensor(fn(x.detach().numpy(), size=s, mode=mode))
    return reference


def uniform(x, size, mode="reflect", spatial=None):
    n = spatial_of(x, spatial)
    for k in range(n):
        s = size if isinstance(size, int) else size[k]
        x = correlate(x, torch.full([s], 1 / s).to(x), k - n, mode)
    return x


row("uniform_filter", uniform, lambda d: ((p := picture(d))[0], sizes(d, *p), p[1]))
row("uniform_filter", boxes(ndimage.uniform_filter), lambda d: ((p := picture(d))[0], sizes(d, *p), p[1]), grad=False)
row("median_filter", boxes(ndimage.median_filter), lambda d: ((p := picture(d))[0], sizes(d, *p), p[1]), n=24, grad=False)


def sobel(x, dim=None, mode="reflect", spatial=None):
    n = spatial_of(x, spatial)
    slopes = []
    for k in range(n) if dim is None else [dim % x.dim() - x.dim() + n]:
        y = x
        for e in range(n):
            y = correlate(y, torch.tensor([-1, 0, 1] if e == k else [1, 2, 1]).to(x), e - n, mode)
        slopes.append(y)
    return slopes[0] if dim is not None else (sum((s / 2 / 4 ** (n - 1)) ** 2 for s in slopes) / n).sqrt()


def sobel_scipy(x, dim, mode="reflect"):
    return torch.as_tensor(ndimage.sobel(x.detach().numpy(), dim, mode=mode))


row("sobel", sobel, lambda d: ((p := picture(d, most=6, least=3))[0], (dim := d.some(0.5, Dim(-d.int(1, 2)))),
                               p[1] if dim is not None or p[1]["mode"] != "mirror" else {**p[1], "mode": "wrap"}))  # mirrored: 0 in corners
row("sobel", sobel_scipy, lambda d: (d.normal([d.int(3, 9), d.int(3, 9)]), Dim(d.int(0, 1)), {"mode": d.choice(*MODES)}), grad=False)
row("laplace", lambda x, mode="reflect", spatial=None: sum(
    correlate(x, torch.tensor([1, -2, 1]).to(x), k - spatial_of(x, spatial), mode) for k in range(spatial_of(x, spatial))),
    lambda d: picture(d))
