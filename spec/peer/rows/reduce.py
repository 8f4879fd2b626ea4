"""Reductions, running sums, sorting."""
import math

import torch
from peer import row

NUMBERS = (torch.int64, torch.int32, torch.uint8)
P32 = (torch.float32, torch.float64)


def dims_of(d, x, least=1):
    """No dims, one dim or a list, and keepdim; as albedo and PyTorch take them by position."""
    if d.rng.random() < 0.25:
        return ()
    which = d.dim(x) if d.bool() else d.dims(x, least) or d.dim(x)
    return (which,) if d.bool() else (which, d.bool())


def over(fn):
    """fn(x, dims, keepdim) with all dims when none is named."""
    def call(x, dims=None, keepdim=False, **k):
        if dims is None or (isinstance(dims, list) and not dims):
            dims = list(range(x.dim()))
        return fn(x, dims, keepdim, **k)
    return call


def one_by_one(fn):
    """The same for a PyTorch reduction that takes one dim."""
    def call(x, dims, keepdim):
        dims = [dims] if isinstance(dims, int) else dims
        if x.dim() == 0:
            return fn(x, 0, keepdim)
        for k in sorted((v % x.dim() for v in dims), reverse=True):
            x = fn(x, k, keepdim)
        return x
    return over(call)


def reduction(name, fn, draw=None, **k):
    draw = draw or (lambda d: d.any(special=0.05, dtypes=k.get("dtypes"), expand=True))
    k.pop("dtypes", None)
    row(name, fn, lambda d: ((x := draw(d)), *dims_of(d, x)), n=k.pop("n", 24), **k)


def full(d, **k):
    """No zero sizes."""
    return d.x(least=1, expand=True, **k)


reduction("sum", over(lambda x, dims, keep: torch.sum(x, dims, keep) if x.dim() else x.sum()))
reduction("mean", over(lambda x, dims, keep: torch.mean(x, dims, keep)), full)
reduction("prod", one_by_one(lambda x, k, keep: torch.prod(x, k, keep)),
          lambda d: d.any(lo=0.4, hi=1.6, special=0, expand=True))
reduction("count_nonzero", over(lambda x, dims, keep: (x != 0).sum(dims, keep) if x.dim() else (x != 0).sum()),
          lambda d: d.any(p=0.7, ints=(-1, 1), special=0.3))
reduction("any", one_by_one(lambda x, k, keep: torch.any(x != 0, k, keep)), lambda d: d.any(p=0.8, ints=(0, 1)))
reduction("all", one_by_one(lambda x, k, keep: torch.all(x != 0, k, keep)), lambda d: d.any(p=0.8, ints=(0, 1)))
reduction("amax", over(torch.amax), lambda d: d.any(least=1, dtypes=NUMBERS))
reduction("amin", over(torch.amin), lambda d: d.any(least=1, dtypes=NUMBERS))
reduction("logsumexp", over(torch.logsumexp), full)


def spread(d):
    """Dims of two or more, so that a variance exists."""
    return d.float(d.values(d.shape((1, 4), least=2), -1, 3))


def moments(d):
    x = spread(d)
    where = dims_of(d, x)
    return (x, *where) if d.bool() else (x, *where, {"correction": d.int(0, 1)})


def moment(fn):
    return over(lambda x, dims, keep, correction=1: fn(x, dims, correction=correction, keepdim=keep))


row("var", moment(torch.var), moments, n=24)
row("std", moment(torch.std), moments, n=24)


def norm(x, p=2, dims=None, keepdim=False):
    if dims is None:
        dims = list(range(x.dim()))
    return torch.linalg.vector_norm(x, p, dims if x.dim() else None, keepdim)


row("norm", norm, lambda d: ((x := full(d, away=(0,))), d.choice(2, 1, 3, 1.5, 0, math.inf, -math.inf), *dims_of(d, x)), n=28)
row("softmax", torch.softmax, lambda d: ((x := d.x()), d.dim(x)))
row("log_softmax", torch.log_softmax, lambda d: ((x := d.x(lo=-5, hi=5)), d.dim(x)))


def extreme(fn):
    def call(x, dim=None, keepdim=False):
        if dim is None:
            return fn(x)
        return tuple(fn(x, dim, keepdim))
    return call


def extreme_args(d):
    x = d.distinct(least=1) if d.rng.random() < 0.7 else d.ints(-3, 3, None, d.choice(*NUMBERS), least=1)
    return x, d.dim(x), *d.choice((), (d.bool(),))


row("max", extreme(torch.max), extreme_args, n=20, positions=(1,))
row("min", extreme(torch.min), extreme_args, n=20, positions=(1,))
row("max", torch.max, lambda d: d.any(least=1, dtypes=NUMBERS), n=6)
row("min", torch.min, lambda d: d.any(least=1, dtypes=NUMBERS), n=6)
row("argmax", torch.argmax, lambda d: extreme_args(d) if d.bool() else d.distinct(least=1), n=20, positions=(0,))
row("argmin", torch.argmin, lambda d: extreme_args(d) if d.bool() else d.distinct(least=1), n=20, positions=(0,))


def running(fn):
    def call(x, dim, reverse=False):
        return fn(x.flip(dim), dim).flip(dim) if reverse and x.dim() else fn(x, dim)
    return call


def running_args(d, **k):
    x = d.any(special=0.05, **k)
    return (x, d.dim(x)) if d.bool() else (x, d.dim(x), {"reverse": d.bool()})


row("cumsum", running(torch.cumsum), running_args, n=20)
row("cumprod", running(torch.cumprod), lambda d: running_args(d, lo=0.5, hi=1.5), n=20)


def sorted_args(d):
    x = d.distinct() if d.rng.random() < 0.6 else d.any(p=0.7, special=0, dtypes=NUMBERS)
    return x, *d.choice((), (d.dim(x),)), {"descending": d.bool()}


def stable(x, dim=-1, descending=False):
    return tuple(torch.sort(x, dim=dim, descending=descending, stable=True))


row("sort", stable, sorted_args, n=24, positions=(1,))
row("argsort", lambda *a, **k: stable(*a, **k)[1], sorted_args, n=20, positions=(0,))
row("topk", lambda x, k, dim=-1, largest=True: tuple(torch.topk(x, k, dim, largest, True)),
    lambda d: ((x := d.distinct(nd=(1, 4), least=1)), d.int(1, x.shape[(k := d.dim(x))]), k, d.bool()), n=20, positions=(1,))
