"""Pictures as data: affine maps, resizing, nearest descriptors. None has gradients."""
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from peer import row


def affine(x, matrix, size=None, mode="bilinear", fill=0.0):
    batch = x.reshape(-1 if matrix.dim() == 3 else 1, math.prod(x.shape[(matrix.dim() == 3):-2]), *x.shape[-2:])
    h, w = x.shape[-2:]
    out = size or [h, w]
    dy, dx = torch.meshgrid(torch.arange(out[0]) - (out[0] - 1) / 2, torch.arange(out[1]) - (out[1] - 1) / 2, indexing="ij")
    p = torch.stack([dx, dy, torch.ones_like(dx)], -1).double() @ matrix.reshape(-1, 1, 2, 3).mT
    grid = torch.stack([p[..., 0] / ((w - 1) / 2), p[..., 1] / ((h - 1) / 2)], -1)
    y = F.grid_sample(batch.double() - fill, grid.double(), mode, "zeros", True) + fill
    return y.reshape(*x.shape[:-2], *out)


row("affine", affine, lambda d: (
    (b := d.int(1, 2)), d.normal([b, d.int(1, 3), d.int(4, 9), d.int(4, 9)]), d.normal([b, 2, 3]),
    [d.int(2, 9), d.int(2, 9)], {"mode": d.choice("bilinear", "nearest"), "fill": d.num(-1, 1)})[1:], n=24, grad=False, dtype=False)


def map_coordinates(x, at, mode="linear", fill=0.0, border=False):
    planes = x.reshape(-1, *x.shape[-at.shape[0]:]).double().numpy()
    y = [ndimage.map_coordinates(p, at.double().numpy(), order=int(mode == "linear"), mode="nearest" if border else "grid-constant", cval=fill)
         for p in planes]
    return torch.tensor(np.stack(y)).reshape(*x.shape[:-at.shape[0]], *at.shape[1:])


row("map_coordinates", map_coordinates, lambda d: (
    (k := d.int(1, 3)), d.normal([d.int(1, 3), *[d.int(2, 7) for _ in range(k)]]), d.normal([k, d.int(1, 9), 2]) * 3,
    {"mode": d.choice("linear", "nearest"), "fill": d.num(-1, 1), "border": d.choice(True, False)})[1:], n=24, grad=False, dtype=False)


def covered(n, m):
    """(m, n) matrix: means over what each of m pixels covers of n."""
    a = torch.zeros(m, n)
    for i in range(m):
        for j in range(n):
            a[i, j] = max(0, min((i + 1) * n / m, j + 1) - max(i * n / m, j))
    return a * m / n


def resize(x, size, mode="bilinear"):
    if mode == "area":
        return covered(x.shape[-2], size[0]).to(x) @ x @ covered(x.shape[-1], size[1]).to(x).T
    flat = x.reshape(1, -1, *x.shape[-2:])
    if mode == "nearest":
        y = F.interpolate(flat, size, mode="nearest-exact")
    else:
        y = F.interpolate(flat, size, mode=mode, antialias=True, align_corners=False)
    return y.reshape(*x.shape[:-2], *size)


row("resize", resize, lambda d: (d.normal([d.int(1, 3)] * d.int(0, 2) + [d.int(3, 9), d.int(3, 9)]), [d.int(2, 12), d.int(2, 12)],
                                 {"mode": d.choice("area", "bilinear", "bicubic", "nearest")}), n=24, grad=False)


def self_match(x, stride=1, exclude=1.0):
    n, c, h, w = x.shape
    flat = x.double().flatten(2).mT
    d = ((flat[:, :, None] - flat[:, None]) ** 2).sum(-1)
    r, q = torch.arange(h * w) // w, torch.arange(h * w) % w
    near = ((r[:, None] - r) ** 2 + (q[:, None] - q) ** 2).double().sqrt() < exclude
    d[:, near] = math.inf
    value, at = d.min(-1)
    at = torch.where(value.isinf(), -1, at)
    return value.reshape(n, h, w)[:, ::stride, ::stride], at.reshape(n, h, w)[:, ::stride, ::stride]


row("self_match", self_match, lambda d: (  # in float32 whatever x is
    d.float(torch.randn([d.int(1, 2), d.int(2, 6), d.int(2, 7), d.int(2, 7)], generator=d.gen), torch.float32),
    d.int(1, 2), d.num(1, 3)), grad=False, dtype=False, positions=(1,))


def unpack_bits(data, n):
    out, at, data = [], 0, data.tolist()
    while len(out) < n:
        k = data[at]
        out += data[at + 1:at + 2 + k] if k < 128 else [data[at + 1]] * (257 - k)
        at += k + 2 if k < 128 else 2
    return torch.tensor(out[:n], dtype=torch.uint8)


row("unpack_bits", unpack_bits, lambda d: (
    torch.tensor([2, d.int(0, 255), 5, 6, 257 - d.int(2, 99), d.int(0, 255), 0, 9], dtype=torch.uint8), 5), n=4, grad=False, dtype=False)
