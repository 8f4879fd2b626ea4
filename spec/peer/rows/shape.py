"""Shapes, views, joining, repeating, making."""
import torch
import torch.nn.functional as F
from peer import Dim, row


def factors(d, n):
    """A random shape of n elements, perhaps with one -1."""
    out = []
    while n > 1 and len(out) < 4:
        k = d.choice(*[v for v in range(1, n + 1) if n % v == 0])
        out.append(k)
        n //= k
    if n > 1:
        out.append(n)
    out = out or [1]
    if d.bool():
        out[d.rng.randrange(len(out))] = -1
    return out


def contiguous(d, **k):
    x = d.any(special=0, **k)
    x.how = ""
    return x


row("reshape", torch.reshape, lambda d: ((x := d.any(special=0, least=1)), factors(d, x.numel())), n=20)
row("view", lambda x, s: x.reshape(s), lambda d: ((x := contiguous(d, least=1)), factors(d, x.numel())))
row("flatten", lambda x, a=0, b=-1: torch.flatten(x, a, b) if x.dim() else x.reshape(1),
    lambda d: ((x := d.any(special=0, nd=(1, 4))), Dim(a := d.int(0, x.dim() - 1)), Dim(d.int(a, x.dim() - 1)))
    if d.rng.random() < 0.7 else d.any(special=0))
row("squeeze", lambda x, dims=None: x.squeeze() if dims is None else
    x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in [v % x.dim() for v in (dims if isinstance(dims, list) else [dims])]]),
    lambda d: ((x := d.x([d.choice(1, 1, 3) for _ in range(d.int(1, 4))])), d.dims(x) if d.bool() else d.dim(x))
    if d.bool() else d.x([d.choice(1, 1, 3) for _ in range(d.int(0, 4))]))
row("unsqueeze", torch.unsqueeze, lambda d: ((x := d.any(special=0)), d.dim(x, new=True)))
row("permute", lambda x, dims: x.permute(dims), lambda d: (
    (x := d.any(special=0, nd=(1, 4))), [Dim(v) for v in d.rng.sample(range(x.dim()), x.dim())]))
row("transpose", torch.transpose, lambda d: ((x := d.any(special=0, nd=(1, 4))), d.dim(x), d.dim(x)))
row("t", torch.t, lambda d: d.any(special=0, nd=(0, 2)))
row("expand", lambda x, s: x.expand(s), lambda d: (
    (x := d.x([d.choice(1, 3) for _ in range(d.int(0, 3))])),
    [d.int(1, 3) for _ in range(d.int(0, 2))] + [d.choice(-1, n) if n > 1 else d.int(1, 4) for n in x.shape] or [2]))
row("diagonal", torch.diagonal, lambda d: ((x := d.x(nd=(2, 4))), d.int(-2, 2), *pair(d, x)) if d.bool() else
    (d.x(d.shape((2, 2))), d.int(-2, 2)))


def pair(d, x):
    return [Dim(v - x.dim() if d.bool() else v) for v in d.rng.sample(range(x.dim()), 2)]


row("flip", torch.flip, lambda d: ((x := d.any(special=0, nd=(1, 4))), d.dims(x)))
row("narrow", torch.narrow, lambda d: ((x := d.any(special=0, nd=(1, 4), least=1)), (k := d.dim(x)),
                                       Dim(a := d.int(0, x.shape[k] - 1)), int(d.int(0, x.shape[k] - a))))
row("select", torch.select, lambda d: ((x := d.any(special=0, nd=(1, 4), least=1)), (k := d.dim(x)),
                                       Dim(d.int(-x.shape[k], x.shape[k] - 1))))


def joined(d):
    shape = d.shape((1, 4), least=1)
    k = d.rng.randrange(len(shape))
    xs = [d.x([d.int(0, 4) if i == k else n for i, n in enumerate(shape)]) for _ in range(d.int(1, 4))]
    return xs, Dim(k - len(shape) if d.bool() else k)


row("cat", torch.cat, joined, n=20)
row("stack", torch.stack, lambda d: ((s := d.shape()), (xs := [d.x(s) for _ in range(d.int(1, 4))]), d.dim(xs[0], new=True))[1:])
row("tile", lambda x, r: torch.tile(x, r), lambda d: (d.any(special=0, nd=(0, 3)), [d.int(1, 3) for _ in range(d.int(1, 4))]))
row("repeat_interleave", torch.repeat_interleave, lambda d: ((x := d.any(special=0, nd=(1, 4))), d.int(1, 3), d.dim(x)))
row("roll", torch.roll, lambda d: ((x := d.any(special=0, nd=(1, 4))), (k := d.dims(x)) and [d.int(-7, 7) for _ in k], k)
    if d.bool() else (d.any(special=0, nd=(1, 4)), d.int(-7, 7)))
row("tril", torch.tril, lambda d: (d.any(special=0, nd=(2, 4)), d.int(-3, 3)))
row("triu", torch.triu, lambda d: (d.any(special=0, nd=(2, 4)), d.int(-3, 3)))


def padded(d):
    n = d.int(1, 2)
    x = d.x(d.shape((n, 4), least=3, size=6))
    return x, [d.int(-1, 3) for _ in range(2 * n)], {"value": d.num(-2, 2)}


def wrapped(d):
    """PyTorch pads all but the first one or two dims by reflection: n dims of n + 2."""
    n = d.int(1, 3)
    x = d.x([d.int(1, 2), d.int(1, 2)] + [d.int(3, 6) for _ in range(n)])
    mode = d.choice("reflect", "replicate", "circular")
    return x, [d.int(0, 2) for _ in range(2 * n)], {"mode": mode}


row("pad", lambda x, p, value: F.pad(x, p, "constant", value), padded, n=16)
row("pad", lambda x, p, mode: F.pad(x, p, mode), wrapped, n=20)

# ---- making ----
TYPES = (torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool)
for _name in "zeros ones".split():
    row(_name, getattr(torch, _name), lambda d: (d.shape((1, 4)), {"dtype": d.choice(*TYPES)}))
for _name in "zeros_like ones_like".split():
    row(_name, getattr(torch, _name), lambda d: (d.any(special=0), {"dtype": d.choice(*TYPES)}) if d.bool() else d.any(special=0))
row("full", lambda s, v, dtype: torch.full(s, v, dtype=dtype), lambda d: (d.shape((1, 4)), d.int(0, 5), {"dtype": d.choice(*TYPES[:5])}))
row("full_like", torch.full_like, lambda d: (d.x(), d.num(-3, 3)) if d.bool() else (d.x(), d.int(0, 3), {"dtype": d.choice(*TYPES[:5])}))
row("fill", lambda x, v: torch.full_like(x, v), lambda d: (d.x(), d.num(-3, 3)))
row("zero", torch.zeros_like, lambda d: d.any(special=0))
row("eye", lambda n, m=None, dtype=torch.float32: torch.eye(n, n if m is None else m, dtype=dtype),
    lambda d: (d.int(0, 5), d.int(0, 5), {"dtype": d.choice(*TYPES[:3])}) if d.bool() else d.int(1, 5))
row("arange", lambda a, b=None, step=1, dtype=None: torch.as_tensor(
    [a + step * i for i in range(int((b - a) / step + 1e-9) + 1)] if b is not None else list(range(1, a + 1)),
    dtype=dtype or (torch.int64 if all(isinstance(v, int) for v in (a, b or 0, step)) else torch.float32)),
    lambda d: d.choice(lambda: d.int(0, 9), lambda: ((a := d.int(-5, 5)), a + d.int(0, 9), d.int(1, 3)),
                       lambda: ((a := d.num(-5, 5)), a + d.num(1, 9), 0.37), lambda: (5, -5, -2),
                       lambda: (d.int(0, 3), d.int(4, 9), {"dtype": d.choice(*TYPES[:5])}))(), n=24)
row("linspace", lambda a, b, n, dtype=torch.float32: torch.linspace(a, b, n, dtype=torch.float64),
    lambda d: (d.num(-5, 5), d.num(-5, 5), d.int(1, 9), {"dtype": d.choice(*TYPES[:2])}), dtype=False)
