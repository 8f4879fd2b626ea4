"""Sequences, attention, losses with margins, regions."""
import math

import torch
import torch.nn.functional as F
from peer import row


# ---- recurrent layers: each sequence alone, so that lengths need no packing ----
def recurrent(gates, run):
    def fn(x, wi, wh, bi=None, bh=None, wi2=None, wh2=None, bi2=None, bh2=None, h0=None, c0=None, lengths=None):
        n, t, _ = x.shape
        h, dirs = wh.shape[1], 1 if wi2 is None else 2
        zero = x.new_zeros(gates * h)
        weights = [wi, wh, zero if bi is None else bi, zero if bh is None else bh]
        if dirs == 2:
            weights += [wi2, wh2, zero if bi2 is None else bi2, zero if bh2 is None else bh2]
        none = x.new_zeros(dirs, n, h)
        h0, c0 = none if h0 is None else h0, none if c0 is None else c0
        outs = []
        for i in range(n):
            steps = t if lengths is None else int(lengths[i])
            start = h0[:, i:i + 1], c0[:, i:i + 1]
            y = run(x[i:i + 1, :steps], start, weights, dirs == 2)
            outs.append((F.pad(y[0], [0, 0, 0, t - steps]),) + tuple(y[1:]))
        return tuple(torch.cat(parts, 0 if k == 0 else 1) for k, parts in enumerate(zip(*outs)))

    def draw(d):
        n, t, f, h = d.int(1, 4), d.int(1, 6), d.int(1, 5), d.int(1, 5)
        weight = lambda shape: d.x(shape, -0.7, 0.7)  # no gate saturates: float32 is compared too
        dirs = 2 if d.bool() else 1
        args = [d.x([n, t, f])]
        for k in range(dirs):
            bias = d.bool()
            args += [weight([gates * h, f]), weight([gates * h, h])]
            args += [weight([gates * h]), weight([gates * h])] if bias else [None, None]
        options = {}
        if d.bool():
            options["h0"] = d.x([dirs, n, h])
        if gates == 4 and d.bool():
            options["c0"] = d.x([dirs, n, h])
        if d.bool():
            options["lengths"] = d.ints(1, t, [n])
        return tuple(args) + ((options,) if options else ())
    return fn, draw


row("lstm", *recurrent(4, lambda x, s, w, both: torch.lstm(x, s, w, True, 1, 0.0, False, both, True)), n=24)
row("gru", *recurrent(3, lambda x, s, w, both: torch.gru(x, s[0], w, True, 1, 0.0, False, both, True)), n=24)


def attention(q, k, v, mask=None, causal=False, scale=None):
    s = q @ k.transpose(-1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None and mask.dtype != torch.bool:
        s = s + mask
    elif mask is not None:
        s = s.masked_fill(~mask, -math.inf)
    if causal:
        s = s.masked_fill(~torch.ones(s.shape[-2:], dtype=torch.bool).tril(), -math.inf)
    return torch.softmax(s, -1) @ v


def draw_attention(d):
    lead, l, s, e, f = d.shape((0, 2), size=3, least=1), d.int(1, 6), d.int(1, 6), d.int(1, 4), d.int(1, 4)
    args = [d.x(lead + [l, e], -1, 1), d.x(lead + [s, e], -1, 1), d.x(lead + [s, f])]
    kind = d.choice("none", "bool", "float", "rows")
    if kind == "float":
        args.append(d.x([l, s]))
    elif kind != "none":
        mask = d.mask(lead + [1 if kind == "rows" else l, s])
        mask[..., 0] = True  # a query always has something to attend to
        args.append(mask)
    options = {}
    if d.bool():
        options["causal"] = True
    if d.bool():
        options["scale"] = d.num(0.2, 1)
    return tuple(args) + ((options,) if options else ())


row("scaled_dot_product_attention", attention, draw_attention, n=24)


def rms_norm(x, shape, w=None, eps=None):
    tiny = torch.finfo(getattr(x, "native", x.dtype)).eps if eps is None else eps
    y = x * torch.rsqrt((x * x).mean(tuple(range(x.dim() - len(shape), x.dim())), True) + tiny)
    return y if w is None else y * w


def draw_rms(d):
    x = d.x(d.shape((1, 4), least=2))
    shape = list(x.shape[d.int(0, x.dim() - 1):])
    return (x, shape) + ((d.x(shape),) if d.bool() else ()) + (({"eps": 0.01},) if d.bool() else ())


row("rms_norm", rms_norm, draw_rms)


# ---- losses ----
def reduction(d, **options):
    return dict(options, reduction=d.choice("mean", "sum", "none"))


def signs(d, shape):
    return d.float(d.ints(0, 1, shape).double() * 2 - 1, grad=False)


def reduce(v, reduction):
    return v if reduction == "none" else getattr(v, reduction)()


row("hinge_loss", lambda x, t, reduction, margin: reduce(F.relu(margin - t * x), reduction),
    lambda d: ((x := d.x(least=1, away=(-1, 1, -.7, .7))), signs(d, x.shape), reduction(d, margin=d.choice(1, 0.7))))
row("hinge_embedding_loss", F.hinge_embedding_loss,
    lambda d: ((x := d.x(least=1, away=(1, .7))), signs(d, x.shape), reduction(d, margin=d.choice(1, 0.7))))
row("soft_margin_loss", F.soft_margin_loss, lambda d: ((x := d.x(least=1)), signs(d, x.shape), reduction(d)))
row("margin_ranking_loss", F.margin_ranking_loss,
    lambda d: ((x := d.distinct(least=1)), d.x(x.shape, 0.01, 0.03), signs(d, x.shape), reduction(d, margin=0.12)))


def draw_margin(d):
    n, c = d.int(1, 5), d.int(2, 5)
    options = reduction(d, p=d.choice(1, 2), margin=0.6)
    if d.bool():
        options["weight"] = d.x([c], 0.2, 1, grad=False)
    return d.distinct([n, c]), d.index(c, [n]), options


row("multi_margin_loss", F.multi_margin_loss, draw_margin)
row("pairwise_distance", F.pairwise_distance,
    lambda d: ((s := d.shape((1, 3), least=1)), d.x(s, 2, 4), d.x(s, -1, 1), d.choice(1, 2, 3), 1e-6, d.bool())[1:])
row("triplet_margin_loss", F.triplet_margin_loss,
    lambda d: ((s := d.shape((2, 2), least=2)), d.x(s), d.x(s), d.x(s),
               reduction(d, margin=3, p=d.choice(2, 3), swap=d.bool()))[1:])
row("cosine_similarity", F.cosine_similarity,
    lambda d: ((x := d.x(d.shape((1, 3), least=2), .2)), d.x(x.shape, .2), d.dim(x)))
def cosine_embedding(x, y, t, reduction, margin):  # torch's own adds 1e-12 to the squares
    s = F.cosine_similarity(x, y)
    return reduce(torch.where(t > 0, 1 - s, F.relu(s - margin)), reduction)


row("cosine_embedding_loss", cosine_embedding,
    lambda d: ((s := d.shape((2, 2), least=2)), d.x(s, .2), d.x(s, -1, -.1), signs(d, s[:1]), reduction(d, margin=-2))[1:])
row("poisson_nll_loss", F.poisson_nll_loss,
    lambda d: ((s := d.shape((1, 3), least=1)), d.x(s, .1), d.x(s, .1, 6, away=(1,), grad=False),
               reduction(d, log_input=d.bool(), full=d.bool()))[1:])
row("gaussian_nll_loss", F.gaussian_nll_loss,
    lambda d: ((s := d.shape((1, 3), least=1)), d.x(s), d.x(s), d.x(s, .1), reduction(d, full=d.bool()))[1:])


def dice(x, t, reduction, smooth):
    dims = list(range(2 if x.dim() > 2 else 1, x.dim()))
    return reduce(1 - (2 * (x * t).sum(dims) + smooth) / ((x + t).sum(dims) + smooth), reduction)


def focal(x, t, reduction, alpha, gamma):
    p = torch.sigmoid(x)
    hit = p * t + (1 - p) * (1 - t)
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none") * (1 - hit) ** gamma
    return reduce(loss * (alpha * t + (1 - alpha) * (1 - t)) if alpha >= 0 else loss, reduction)


row("dice_loss", dice, lambda d: ((s := d.shape((2, 4), least=1)), d.x(s, 0.1, 0.5), d.x(s, 0, 1), reduction(d, smooth=d.num(0.1, 1)))[1:])
row("focal_loss", focal, lambda d: ((s := d.shape((1, 3), least=1)), d.x(s), d.x(s, 0.1, 0.9),
                                    reduction(d, alpha=d.choice(0.25, -1), gamma=d.choice(2, 1.5)))[1:])


# ---- pooling, windows, channels ----
def by_rank(name):
    return lambda x, *args, **k: getattr(F, "%s%dd" % (name, x.dim() - 2))(x, *args, **k)


def spatial(d, lo=3, hi=8):
    """A shape (n, c, ...) of 1 to 3 spatial dims."""
    return [d.int(1, 2), d.int(1, 3)] + [d.int(lo, hi) for _ in range(d.int(1, 3))]


def draw_adaptive(d):
    x = d.distinct(spatial(d))
    return x, [d.int(1, 5) for _ in x.shape[2:]]


row("adaptive_max_pool", by_rank("adaptive_max_pool"), draw_adaptive)
row("adaptive_max_pool_with_indices",
    lambda x, size: by_rank("adaptive_max_pool")(x, size, return_indices=True), draw_adaptive, positions=(1,))


def draw_unpool(d):
    x = d.distinct(spatial(d, 4))
    k, s = d.int(2, 3), d.int(1, 3)
    y, at = by_rank("max_pool")(x, k, s, return_indices=True)
    at = d.lay(at.contiguous())
    how, at.native, at.position = at.how, torch.int64, True
    at.how = how
    return d.float(y), at, k, s, {"size": list(x.shape[2:])}


row("max_unpool", lambda x, at, k, s, size: by_rank("max_unpool")(x, at, k, s, 0, list(x.shape[:2]) + list(size)),
    draw_unpool)


def lp_pool(x, p, k, s, ceil_mode=False):
    size = k ** (x.dim() - 2)
    return (by_rank("avg_pool")(x ** p, k, s, 0, ceil_mode) * size) ** (1 / p)


row("lp_pool", lp_pool, lambda d: (d.x(spatial(d), 0.2), d.choice(2, 3), d.int(1, 3), d.int(1, 3), {"ceil_mode": d.bool()}))


def windows(d, dims=2):
    return {"kernel": d.int(1, 3), "dilation": d.int(1, 2), "pad": d.int(0, 1), "stride": d.int(1, 2)}


def draw_unfold(d):
    return d.x([d.int(1, 2), d.int(1, 3), d.int(5, 8), d.int(5, 8)]), windows(d)


def draw_fold(d):
    x, o = draw_unfold(d)
    y = F.unfold(x, o["kernel"], o["dilation"], o["pad"], o["stride"])
    return d.x(y.shape), list(x.shape[2:]), o


row("unfold", lambda x, kernel, dilation, pad, stride: F.unfold(x, kernel, dilation, pad, stride), draw_unfold)
row("fold", lambda x, size, kernel, dilation, pad, stride: F.fold(x, list(size), kernel, dilation, pad, stride), draw_fold)
row("sliding_window", lambda x, dim, size, step: x.unfold(dim, size, step),
    lambda d: ((x := d.x(d.shape((1, 3), least=2))), d.dim(x), d.int(1, 2), d.int(1, 3)))
row("pixel_shuffle", F.pixel_shuffle, lambda d: ((r := d.int(1, 3)), d.x([d.int(1, 2), r * r * d.int(1, 2), 3, 2]), r)[1:])
row("pixel_unshuffle", F.pixel_unshuffle, lambda d: ((r := d.int(1, 3)), d.x([2, d.int(1, 2), 3 * r, 2 * r]), r)[1:])
row("channel_shuffle", lambda x, g: x.reshape(x.shape[0], g, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape),
    lambda d: ((g := d.int(1, 3)), d.x([2, g * d.int(1, 3)] + d.shape((1, 2), least=1)), g)[1:])


# ---- convolution padded by "same" (TensorFlow's) and by pairs ----
def conv_pads(x, w, b=None, stride=1, pad=0, dilation=1):
    n = x.dim() - 2
    if pad == "same":
        pairs = []
        for i in range(n):
            size, reach = x.shape[2 + i], dilation * (w.shape[2 + i] - 1) + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            pairs += [total // 2, total - total // 2]
    else:
        pairs = [0] * (2 * n) if pad == "valid" else pad
    flipped = [v for i in reversed(range(n)) for v in pairs[2 * i:2 * i + 2]]
    return getattr(F, "conv%dd" % n)(F.pad(x, flipped), w, b, stride, 0, dilation)


def draw_conv_pads(n):
    def draw(d):
        c, k = d.int(1, 3), d.int(1, 3)
        x, w = d.x([2, c] + [d.int(5, 8) for _ in range(n)]), d.x([k, c] + [d.int(1, 3) for _ in range(n)])
        pads = [d.int(0, 3) for _ in range(2 * n)]
        return x, w, d.x([k]), {"stride": d.int(1, 3), "dilation": d.int(1, 2), "pad": d.choice("same", "valid", pads)}
    return draw


for _n in (1, 2, 3):
    row("conv%dd" % _n, conv_pads, draw_conv_pads(_n), n=10)
