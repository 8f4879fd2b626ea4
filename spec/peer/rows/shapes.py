"""Morphology, labels, distances, thresholds and projections, against SciPy and scikit-image's formulas."""
import itertools
import math

import numpy as np
import torch
from peer import row
from scipy import ndimage


def rank(x, spatial):
    return spatial or (3 if x.dim() == 5 else 2)


def each(x, spatial, fn):
    """fn of every picture of x."""
    n = rank(x, spatial)
    v = x.detach().numpy()
    flat = v.reshape(-1, *v.shape[v.ndim - n:])
    out = np.stack([fn(p) for p in flat])
    return torch.as_tensor(out.reshape(v.shape[:v.ndim - n] + out.shape[1:]))


def draw(d, kinds=("float", "bool", "uint8"), most=8):
    n = d.choice(2, 3, 4, 5)
    spatial = d.choice(2, 3) if n == 3 else None
    m = spatial or (3 if n == 5 else 2)
    s = [d.int(1, 2) for _ in range(n - m)] + [d.int(1, most) for _ in range(m)]
    kind = d.choice(*kinds)
    x = d.normal(s, grad=False) if kind == "float" else d.mask(s) if kind == "bool" else d.ints(0, 255, s, torch.uint8)
    return x, m, {"spatial": spatial} if spatial else {}


def grey(name):
    def reference(x, size, footprint=None, spatial=None):
        n = rank(x, spatial)
        box = np.ones([size] * n if isinstance(size, int) else size, bool)
        f = box if footprint is None else footprint.numpy().astype(bool)

        def one(p, which):
            dilate = which == "dilate"
            fn = ndimage.grey_dilation if dilate else ndimage.grey_erosion
            v = fn(p.astype(float), footprint=f, mode="constant", cval=-np.inf if dilate else np.inf)
            low, high = {"b": (0, 1), "u": (0, 255)}.get(p.dtype.kind, (-np.inf, np.inf))
            return np.clip(v, low, high).astype(p.dtype)
        steps = {"opening": ("erode", "dilate"), "closing": ("dilate", "erode")}.get(name, (name,))

        def run(p):
            for s in steps:
                p = one(p, s)
            return p
        return each(x, spatial, run)
    return reference


def footprint(d, n):
    f = d.mask([d.int(1, 4) for _ in range(n)])
    if not f.any():
        f.reshape(-1)[0] = True
    return f


for name in ("erode", "dilate", "opening", "closing"):
    row(name, grey(name), lambda d: (
        (a := draw(d))[0], d.int(1, 4) if d.bool() else [d.int(1, 4) for _ in range(a[1])],
        d.some(0.5, footprint(d, a[1])), a[2]), n=24, grad=False)


def label(x, connectivity=1, spatial=None):
    n = rank(x, spatial)
    s = ndimage.generate_binary_structure(n, connectivity)
    return (each(x != 0, spatial, lambda p: ndimage.label(p, s)[0].astype(np.int64)),
            each(x != 0, spatial, lambda p: np.int64(ndimage.label(p, s)[1])))


row("label", label, lambda d: ((a := draw(d, ("bool",), 12))[0], d.int(1, a[1]), a[2]), n=24, grad=False)


def distance(x, sampling=None, spatial=None):
    n = rank(x, spatial)
    step = np.ones(n) * (1 if sampling is None else sampling if isinstance(sampling, float) else sampling.numpy())

    def one(p):
        at = np.stack(np.meshgrid(*map(np.arange, p.shape), indexing="ij"), -1).reshape(-1, n) * step
        zero = at[(p == 0).reshape(-1)]
        if not len(zero):
            return np.where(p, np.inf, 0)
        return np.sqrt(((at[:, None] - zero) ** 2).sum(-1).min(1)).reshape(p.shape)
    return each(x, spatial, one)


row("distance_transform", distance, lambda d: (
    (a := draw(d, ("bool",)))[0], d.choice(None, d.num(0.3, 2), d.x([a[1]], 0.4, 2, grad=False)), a[2]), n=24,
    grad=False, dtype=False)


def histogram(x, nbins):
    if not x.dtype.is_floating_point:
        v = x.numpy().astype(np.int64).reshape(-1)
        return np.bincount(v - v.min()).astype(float), np.arange(v.min(), v.max() + 1).astype(float)
    counts, edges = np.histogram(x.numpy().reshape(-1), nbins)
    return counts.astype(float), (edges[1:] + edges[:-1]) / 2


def otsu(x, nbins=256):
    """scikit-image's threshold_otsu."""
    counts, centres = histogram(x, nbins)
    if len(counts) == 1:
        return torch.tensor(centres[0])
    w1, w2 = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    m1 = np.cumsum(counts * centres) / w1
    m2 = (np.cumsum((counts * centres)[::-1]) / np.cumsum(counts[::-1]))[::-1]
    return torch.tensor(centres[np.argmax(w1[:-1] * w2[1:] * (m1[:-1] - m2[1:]) ** 2)])


def multiotsu(x, classes=3, nbins=256):
    """By trying all thresholds, the first best."""
    counts, centres = histogram(x, nbins)
    at = np.arange(len(counts)).astype(float)
    best, where = -1, None
    for t in itertools.combinations(range(len(counts) - 1), classes - 1):
        cut = [0] + [v + 1 for v in t] + [len(counts)]
        value = 0
        for a, b in zip(cut, cut[1:]):
            w = counts[a:b].sum()
            value += (counts[a:b] * at[a:b]).sum() ** 2 / w if w else 0
        if value > best * (1 + 1e-12):
            best, where = value, t
    return torch.as_tensor(centres[list(where)])


def grey_values(d, n):
    x = torch.cat([torch.randn(n, generator=d.gen, dtype=torch.float64) * 0.4 + m for m in (-2, 0.3, 2.5)])
    return x


row("threshold_otsu", otsu, lambda d: (
    (d.float(grey_values(d, d.int(20, 60)), torch.float64, False) if d.bool() else d.ints(0, 255, [d.int(2, 40), 3], torch.uint8)),
    d.choice(256, 64, 10)), n=24, grad=False, dtype=False)
row("threshold_multiotsu", multiotsu, lambda d: (
    d.float(grey_values(d, d.int(20, 60)), torch.float64, False) if d.bool() else d.ints(0, 18, [40], torch.uint8),
    d.int(2, 4), d.choice(14, 17)), n=12, grad=False, dtype=False)


def lines(n, angles):
    """(n, angles, n * n): the sums scikit-image's radon takes, as weights of the pixels."""
    m, a = n // 2, torch.deg2rad(angles.double())
    c, r = torch.meshgrid(torch.arange(n) - m, torch.arange(n) - m, indexing="ij")
    x = m + c[:, None] * a.cos()[:, None] + r[:, None] * a.sin()[:, None]
    y = m - c[:, None] * a.sin()[:, None] + r[:, None] * a.cos()[:, None]
    near = lambda v: (1 - (v[..., None] - torch.arange(n)).abs()).clamp(min=0)
    return torch.einsum("darx,dary->dayx", near(x), near(y)).reshape(n, len(a), n * n)


def centred(x, dim, size):
    before = size // 2 - x.shape[dim] // 2
    shape = list(x.shape)
    shape[dim] = before
    after = shape[:dim] + [size - x.shape[dim] - before] + shape[dim + 1:]
    return torch.cat([x.new_zeros(shape), x, x.new_zeros(after)], dim)


def radon(x, angles, circle=True):
    h, w = x.shape[-2:]
    n = min(h, w)
    if circle:
        i, j = math.ceil((h - n) / 2), math.ceil((w - n) / 2)
        x = x[..., i:i + n, j:j + n]
    else:
        n = math.ceil(math.sqrt(2) * max(h, w))
        x = centred(centred(x, x.dim() - 2, n), x.dim() - 1, n)
    return (x.flatten(-2)[..., None, None, :] * lines(n, angles).to(x)).sum(-1)


def iradon(x, angles, filter="ramp", size=None, circle=True):
    """scikit-image's iradon, the whole spectrum at a time."""
    side = x.shape[-2]
    size = size or (side if circle else math.floor(math.sqrt(side ** 2 / 2)))
    if circle:
        x = centred(x, x.dim() - 2, math.ceil(math.sqrt(2) * side))
    n = x.shape[-2]
    padded = max(64, 2 ** math.ceil(math.log2(2 * n)))
    k = np.concatenate((np.arange(1, padded / 2 + 1, 2), np.arange(padded / 2 - 1, 0, -2)))
    f = np.zeros(padded)
    f[0], f[1::2] = 0.25, -1 / (np.pi * k) ** 2
    f = 2 * np.real(np.fft.fft(f))
    if filter == "shepp-logan":
        omega = np.pi * np.fft.fftfreq(padded)[1:]
        f[1:] *= np.sin(omega) / omega
    elif filter == "cosine":
        f *= np.fft.fftshift(np.sin(np.linspace(0, np.pi, padded, endpoint=False)))
    elif filter in ("hamming", "hann"):
        f *= np.fft.fftshift(np.hamming(padded) if filter == "hamming" else np.hanning(padded))
    elif filter == "none":
        f[:] = 1
    wide = torch.cat([x, x.new_zeros(*x.shape[:-2], padded - n, x.shape[-1])], -2)
    x = torch.fft.ifft(torch.fft.fft(wide, dim=-2) * torch.as_tensor(f).to(x)[:, None], dim=-2).real[..., :n, :]
    m, a = size // 2, torch.deg2rad(angles.double())
    v, u = torch.meshgrid(torch.arange(size) - m, torch.arange(size) - m, indexing="ij")
    t = u[..., None] * a.cos() - v[..., None] * a.sin()
    at = torch.arange(n) - n // 2
    w = (1 - (t[..., None] - at).abs()).clamp(min=0)
    w = torch.where((t[..., None] < at[0]) | (t[..., None] > at[-1]), 0.0, w)
    y = torch.einsum("yxad,...da->...yx", w.to(x), x)
    return (y * (u ** 2 + v ** 2 <= m ** 2) if circle else y) * math.pi / (2 * len(a))


def angles(d, n):
    return d.x([n], 0.5, 179.3, grad=False)


row("radon", radon, lambda d: (
    d.normal(d.shape((0, 2), 3, least=1) + [d.int(1, 8), d.int(1, 8)]), angles(d, d.int(1, 5)), {"circle": d.bool()}), n=20, dtype=False)
row("iradon", iradon, lambda d: (
    d.normal(d.shape((0, 2), 2, least=1) + [d.int(2, 9), (n := d.int(1, 5))]), angles(d, n),
    {"filter": d.choice("ramp", "shepp-logan", "cosine", "hamming", "hann", "none"), "circle": d.bool(),
     **({"size": d.int(1, 8)} if d.bool() else {})}), n=30, dtype=False)
