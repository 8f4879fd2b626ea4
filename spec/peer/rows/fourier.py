"""Fourier and cosine transforms, filters, projections, pictures' shapes; complex values as (re, im)."""
import math

import numpy as np
import scipy.fft
import torch
from peer import Dim, row

c, r = torch.view_as_complex, torch.view_as_real


def cx(x):
    return c(x.contiguous())


def shapes(d, size=9, most=3):  # few points: float32 rounds the sum of all, sqrt(points) times the rms, by 6e-8
    s = d.shape(1, most, size, least=1)
    if d.int(1, 5) == 1:
        s = [min(v, 2) for v in s[-2:-1]] + [d.choice(16, 31, 97, 127, 210, 1009, 1994, 2187)]
    return s


def some_n(d, *more):
    return d.some(0.5, d.int(2, 12))


NORMS = ("backward", "ortho", "forward")


def one(d, pair):
    s = shapes(d)
    return (d.normal(s + [2] * pair), some_n(d), Dim(d.int(-len(s), len(s) - 1)), {"norm": d.choice(*NORMS)})


def dims_of(d, n, least):
    dims = d.rng.sample(range(n), d.int(least, n))
    return [Dim(v - n if d.bool() else v) for v in dims]


def many(d, pair, two):
    s = shapes(d)
    if two and len(s) == 1:
        s = [d.int(2, 5)] + s
    dims = d.some(0.5, d.rng.sample([Dim(v) for v in range(len(s))], 2) if two else dims_of(d, len(s), 1))
    count = len(dims) if dims else 2 if two else d.int(1, len(s))
    sizes = d.some(0.5, [d.choice(-1, d.int(2, 9)) for _ in range(count)])
    return (d.normal(s + [2] * pair), sizes, dims, {"norm": d.choice(*NORMS)})


def half(f):  # the last size may be left to the default, 2 (n - 1), which must not be 0
    def draw(d, *a):
        while True:
            args = f(d, *a)
            if isinstance(args[1], list) and args[1][-1] == -1:
                continue
            at = args[2] if isinstance(args[2], Dim) else args[2][-1] if args[2] else -1
            shape = args[0].shape[:-1]
            if args[1] is not None or shape[at] > 1:
                return args
    return draw


f = torch.fft
for name in ("fft", "ifft"):
    row(name, lambda x, n, dim, norm, g=getattr(f, name): r(g(cx(x), n, dim, norm)), lambda d: one(d, True), n=30)
    for k in ("2", "n"):
        def fn(x, s, dim, norm, g=getattr(f, name + k), k=k):
            more = {"dim": dim} if dim is not None else {}
            return r(g(cx(x), s, norm=norm, **more))
        row(name + k, fn, lambda d, k=k: many(d, True, k == "2"))
row("rfft", lambda x, n, dim, norm: r(f.rfft(x, n, dim, norm)), lambda d: one(d, False), n=30)
row("irfft", lambda x, n, dim, norm: f.irfft(cx(x), n, dim, norm), lambda d: half(one)(d, True), n=30)
for k in ("2", "n"):
    def rfn(x, s, dim, norm, g=getattr(f, "rfft" + k)):
        return r(g(x, s, norm=norm, **({"dim": dim} if dim is not None else {})))

    def irfn(x, s, dim, norm, g=getattr(f, "irfft" + k)):
        return g(cx(x), s, norm=norm, **({"dim": dim} if dim is not None else {}))
    row("rfft" + k, rfn, lambda d, k=k: many(d, False, k == "2"))
    row("irfft" + k, irfn, lambda d, k=k: half(many)(d, True, k == "2"))


def shift_of(g):
    return lambda x, dim, complex: r(g(cx(x), dim)) if complex else g(x, dim)


for name in ("fftshift", "ifftshift"):
    row(name, shift_of(getattr(f, name)), lambda d: (
        (p := d.bool(), s := shapes(d, most=4), x := d.normal(s + [2] * p)) and x,
        d.some(0.5, dims_of(d, len(s), 1)), {"complex": p}))
for name in ("fftfreq", "rfftfreq"):
    row(name, lambda n, d, dtype, g=getattr(f, name): g(n, d, dtype=getattr(torch, dtype)),
        lambda d: (d.int(1, 20), d.num(0.1, 3), {"dtype": d.choice("float32", "float64")}), grad=False)


def dct(x, type=2, dim=-1, norm="backward", inverse=False):
    """By the matrix SciPy's transform of the unit vectors makes, so that gradients come too."""
    g = scipy.fft.idct if inverse else scipy.fft.dct
    m = torch.as_tensor(g(np.eye(x.shape[dim]), type, axis=0, norm=norm)).to(x)
    return (m @ x.transpose(dim, -1)[..., None])[..., 0].transpose(dim, -1)


for name in ("dct", "idct"):
    row(name, lambda x, type, dim, norm, i=name == "idct": dct(x, type, dim, norm, i), lambda d: (
        (x := d.normal(shapes(d))), d.int(2, 3), d.dim(x), {"norm": d.choice("backward", "ortho")}), n=24)

row("complex", lambda re, im=None: torch.stack([re, torch.zeros_like(re) if im is None else im], -1),
    lambda d: ((x := d.x(nd=(0, 3))), d.some(0.7, d.x(list(x.shape)))))
row("complex_mul", lambda x, y: r(cx(x) * cx(y)), lambda d: (d.normal([d.int(1, 4), 3, 2]), d.normal([3, 2])))
row("complex_conj", lambda x: r(cx(x).conj().resolve_conj()), lambda d: (d.normal(d.shape((0, 3), least=1) + [2]),))
row("complex_abs", lambda x: cx(x).abs(), lambda d: (d.normal(d.shape((0, 3), least=1) + [2]),))
row("fft_conv2d", lambda x, w, b, padding: torch.nn.functional.conv2d(x, w, b, padding=tuple(padding)), lambda d: (
    (ch := d.int(1, 4)) and d.normal([d.int(1, 3), ch, d.int(5, 14), d.int(5, 14)]),
    (w := d.normal([d.int(1, 4), ch, d.int(1, 5), d.int(1, 5)])), d.some(0.5, d.normal([w.shape[0]])),
    {"pad": [d.int(0, 2), d.int(0, 2)]}))
