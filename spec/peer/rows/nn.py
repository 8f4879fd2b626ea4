"""Convolution, pooling, normalisation, resampling, attention to detail of images."""
import torch
import torch.nn.functional as F
from peer import row

NAMES = ("1d", "2d", "3d")


def window(d, n, lo, hi):
    """A number for all spatial dims, or one each."""
    return d.int(lo, hi) if d.bool() else [d.int(lo, hi) for _ in range(n)]


def conv(n, big=False):
    def draw(d):
        groups = d.choice(1, 1, 2, 3)
        k = [d.int(1, 3) for _ in range(n)] if d.bool() or n == 3 else [3] * n
        dilation = d.choice(1, 1, 2)
        inner, outer = d.int(1, 3), d.int(1, 3)
        if big:
            groups, inner, outer, k, dilation = 1, d.int(16, 40), d.int(16, 40), [3] * n, 1
        elif d.rng.random() < 0.2:
            groups, inner, outer = d.int(2, 9), 1, 1
        x = d.normal([d.int(1, 2), groups * inner] + [(v - 1) * dilation + 1 + d.int(0, 9) for v in k])
        w = d.normal([groups * outer, inner] + k)
        b = d.normal([groups * outer]) if d.bool() else None
        return x, w, b, {"stride": 1 if big else window(d, n, 1, 2), "pad": window(d, n, 0, 2), "dilation": dilation,
                         "groups": groups}
    return draw


def conv_transpose(n):
    def draw(d):
        groups, dilation = d.choice(1, 1, 2), d.choice(1, 1, 2)
        k = [d.int(1, 3) for _ in range(n)]
        stride = d.int(1, 3)
        inner, outer = d.int(1, 3), d.int(1, 3)
        x = d.normal([d.int(1, 2), groups * inner] + [d.int(1, 5) for _ in k])
        w = d.normal([groups * inner, outer] + k)
        b = d.normal([groups * outer]) if d.bool() else None
        pad = d.int(0, 1)
        x = d.normal([x.shape[0], x.shape[1]] + [max(v, 2 * pad + 1) for v in x.shape[2:]])
        return x, w, b, {"stride": stride, "pad": pad, "output_padding": d.int(0, max(stride, dilation) - 1), "groups": groups,
                         "dilation": dilation}
    return draw


for _n, _name in enumerate(NAMES, 1):
    row("conv" + _name, getattr(F, "conv" + _name), conv(_n), n=24)
    row("conv_transpose" + _name, getattr(F, "conv_transpose" + _name), conv_transpose(_n), n=16)
row("conv2d", F.conv2d, conv(2, True), n=12)  # in float32 by Winograd's algorithm


def planes(d, n, least=5):
    return d.normal([d.int(1, 2), d.int(1, 3)] + [d.int(least, 9) for _ in range(n)])


def distinct_planes(d, n, least=5):
    return d.distinct([d.int(1, 2), d.int(1, 3)] + [d.int(least, 9 if n < 3 else 6) for _ in range(n)])


def pool(n, dilated):
    def draw(d):
        k = window(d, n, 2, 3)
        o = {"pad": d.int(0, 1), "ceil_mode": d.bool()}
        if dilated:
            o["dilation"] = d.int(1, 2)
        else:
            o["count_include_pad"] = d.bool()
        x = distinct_planes(d, n) if dilated else planes(d, n)
        return (x, k, window(d, n, 1, 3), o) if d.bool() else (x, k, o)
    return draw


def pooled(name):
    fn = getattr(F, name)
    return lambda x, k, stride=None, **o: fn(x, k, stride, **o)


for _n, _name in enumerate(NAMES, 1):
    row("max_pool" + _name, pooled("max_pool" + _name), pool(_n, True), n=16)
    row("avg_pool" + _name, pooled("avg_pool" + _name), pool(_n, False), n=16)
    row("adaptive_avg_pool" + _name, getattr(F, "adaptive_avg_pool" + _name),
        (lambda n: lambda d: (planes(d, n), [d.int(1, 6) for _ in range(n)] if d.bool() else d.int(1, 6)))(_n))
row("max_pool_with_indices", lambda x, k, stride=None, **o: F.max_pool2d(x, k, stride, return_indices=True, **o),
    pool(2, True), positions=(1,))
row("global_max_pool", lambda x: x.flatten(2).amax(-1), lambda d: d.distinct(tuple(d.int(1, 4) for _ in range(d.int(3, 5)))))
row("global_avg_pool", lambda x: x.flatten(2).mean(-1), lambda d: planes(d, d.int(1, 3)))


# ---- normalisation: values spread enough that a variance is far from eps ----
def affine(d, shape):
    return [d.normal(shape) if d.bool() else None for _ in range(2)]


def batch_norm(x, w=None, b=None, mean=None, var=None, training=False, eps=1e-5):
    return F.batch_norm(x, mean, var, w, b, training, 0.1, eps)


def batch_norm_args(d):
    x = d.normal([d.int(4, 6), d.int(1, 4)] + [d.int(2, 5) for _ in range(d.int(0, 3))])
    c = [x.shape[1]]
    if d.bool():
        return x, *affine(d, c), None, None, {"training": True, "eps": d.choice(1e-5, 1e-3)}
    return x, *affine(d, c), d.float(d.values(c, -1, 1), grad=False), d.float(d.values(c, 0.5, 2), grad=False)


row("batch_norm", batch_norm, batch_norm_args, n=24)


def batch_norm_running(x, w, b, mean, var, training, momentum):
    """The running statistics too, which training moves: see calls.lua."""
    mean, var = mean.clone(), var.clone()
    return F.batch_norm(x, mean, var, w, b, training, momentum), mean, var


row("batch_norm", batch_norm_running, lambda d: (*(a := batch_norm_args(d))[:1], *affine(d, (c := [a[0].shape[1]])),
                                                 d.float(d.values(c, -1, 1), grad=False), d.float(d.values(c, 0.5, 2), grad=False),
                                                 {"training": True, "momentum": d.num(0.05, 0.5)}), n=12)
NEAR = (1e-5, 1e-2)  # eps
row("instance_norm", lambda x, w=None, b=None, eps=1e-5: F.instance_norm(x, None, None, w, b, eps=eps),
    lambda d: ((x := d.normal([d.int(1, 3), d.int(1, 4)] + [d.int(3, 6) for _ in range(d.int(1, 3))])), *affine(d, [x.shape[1]]),
               {"eps": d.choice(*NEAR)}))
# PyTorch 1.13 fails on a bias without a weight
row("group_norm", lambda x, g, w=None, b=None, eps=1e-5:
    F.group_norm(x, g, torch.ones(x.shape[1], dtype=x.dtype) if w is None else w, b, eps), lambda d: (
    (g := d.int(1, 3)), (x := d.normal([d.int(1, 3), g * d.int(1, 3)] + [d.int(3, 6) for _ in range(d.int(1, 3))])), g,
    *affine(d, [x.shape[1]]), {"eps": d.choice(*NEAR)})[1:], n=20)
row("layer_norm", F.layer_norm, lambda d: (
    (s := [d.int(3, 6) for _ in range(d.int(1, 2))]), d.normal(d.shape(0, 2) + s), s, *affine(d, s), {"eps": d.choice(*NEAR)})[1:],
    n=20)


# ---- resampling ----
def interpolate(x, size=None, scale=None, mode="nearest", align_corners=False, antialias=False):
    if mode in ("nearest", "area"):
        return F.interpolate(x, size, scale, mode)
    return F.interpolate(x, size, scale, mode, align_corners, antialias=antialias)


def interpolate_args(d):
    n = d.int(1, 3)
    mode = d.choice("nearest", "area", ("linear", "bilinear", "trilinear")[n - 1], *(["bicubic"] if n == 2 else []))
    o = {"mode": mode}
    if mode not in ("nearest", "area"):
        o["align_corners"] = d.bool()
        o["antialias"] = n == 2 and d.bool() and not o["align_corners"]
    return planes(d, n, 3), [d.int(1, 12) for _ in range(n)], o


row("interpolate", interpolate, interpolate_args, n=32)
row("interpolate", lambda x, scale, mode: F.interpolate(x, scale_factor=scale, mode=mode, recompute_scale_factor=True),
    lambda d: (planes(d, 2, 3), {"scale": d.choice(2, 0.5, 1.7), "mode": d.choice("nearest", "bilinear", "area")}))
row("grid_sample", lambda x, g, mode="bilinear", padding_mode="zeros", align_corners=False:
    F.grid_sample(x, g, mode, padding_mode, align_corners),
    lambda d: ((x := planes(d, 2)), d.x([x.shape[0], d.int(1, 5), d.int(1, 5), 2], lo=-1.2, hi=1.2),
               {"mode": d.choice("bilinear", "nearest"), "padding_mode": d.choice("zeros", "border"), "align_corners": d.bool()}),
    n=24)
row("affine_grid", F.affine_grid, lambda d: (
    (n := d.int(2, 3)), (b := d.int(1, 2)), d.normal([b, n, n + 1]), [b, 1] + [d.int(1, 5) for _ in range(n)],
    {"align_corners": d.bool()})[2:])
