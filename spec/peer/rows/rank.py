"""Medians, quantiles, distinct values, bins, running extremes."""
import torch
from peer import row

INTS = (torch.int64, torch.int32, torch.uint8)


def along(d, x):
    return d.choice((), (d.dim(x),), (d.dim(x), d.bool()))


def middle(fn):
    def call(x, dim=None, keepdim=False):
        return fn(x) if dim is None else tuple(fn(x, dim, keepdim))
    return call


def holed(d, x, p=0.3):
    """x with NaN in places; no gradients then."""
    if x.numel() and d.rng.random() < p:
        x[torch.rand(x.shape, generator=d.gen) < 0.3] = torch.nan
        d.grads = False
    return x


row("median", middle(torch.median), lambda d: ((x := d.distinct(least=1)), *along(d, x)), n=24, positions=(1,))
row("nanmedian", middle(torch.nanmedian), lambda d: ((x := d.distinct(least=1)), *along(d, x)), positions=(1,))
for _name in "median nanmedian".split():
    row(_name, lambda x, *a, f=middle(getattr(torch, _name)): (lambda y: y[0] if isinstance(y, tuple) else y)(f(x, *a)),
        lambda d: holed(d, d.distinct(least=1)), n=8)
    row(_name, getattr(torch, _name), lambda d: d.ints(-9, 9, None, d.choice(*INTS[:2]), least=1), n=4)


def quantile(x, q, dim=None, keepdim=False, interpolation="linear"):
    return torch.quantile(x, torch.as_tensor(q, dtype=x.dtype), dim, keepdim, interpolation=interpolation)


def quantile_args(d):
    x = holed(d, d.distinct(least=1, size=9), 0.15)
    q = d.num(0, 1) if d.bool() else d.x(d.choice([], [1], [3]), 0, 1, grad=False)
    o = {"interpolation": d.choice("linear", "lower", "higher", "nearest", "midpoint")} if d.bool() else {}
    return x, q, *along(d, x), o


row("quantile", quantile, quantile_args, n=40)


def unique(x, return_inverse=False, return_counts=False):
    y = torch.unique(x, return_inverse=return_inverse, return_counts=return_counts)
    if not return_inverse:
        return y
    return y[0], y[1] + 1, *y[2:]


row("unique", unique, lambda d: (d.ints(-4, 4, None, d.choice(*INTS)) if d.bool() else d.float(d.ints(-4, 4) / 2, grad=False),
                                 {"return_inverse": d.bool(), "return_counts": d.bool()}), n=28)


def counted(d):
    x = d.index(d.int(1, 9), [d.int(1, 30)])
    return d.choice(lambda: (x,), lambda: (x, None, d.int(0, 12)), lambda: (x, d.x(list(x.shape), grad=False), d.int(0, 12)))()


row("bincount", lambda x, w=None, n=0: torch.bincount(x.long(), w, n), counted, n=20)


def ordered(d, shape):
    t = d.float(torch.sort(d.values(shape, -2, 2).mul(4).round() / 4)[0], grad=False)
    return t


def sought(d, shape):
    """Among them values that equal those in order."""
    return d.float(d.values(shape, -2.5, 2.5).mul(4).round() / 4, grad=False)


def search_args(d):
    n = d.int(0, 9)
    if d.bool():
        return ordered(d, [n]), sought(d, d.shape()), {"right": d.bool()}
    lead = d.shape((1, 2), least=1)
    return ordered(d, lead + [n]), sought(d, lead + [d.int(0, 5)]), {"right": d.bool()}


row("searchsorted", torch.searchsorted, search_args, n=24, positions=(0,))
row("searchsorted", torch.searchsorted, lambda d: (ordered(d, [5]), d.num(-2, 2)), n=6, positions=(0,))
row("bucketize", torch.bucketize, lambda d: (sought(d, d.shape()), ordered(d, [d.int(0, 9)]), {"right": d.bool()}), n=20,
    positions=(0,))


def histogram(x, bins, min=0.0, max=0.0, weight=None, density=False):
    if isinstance(bins, torch.Tensor):
        return tuple(torch.histogram(x, bins, weight=weight, density=density))
    return tuple(torch.histogram(x, bins, range=(min, max) if min != max else None, weight=weight, density=density))


def histogram_args(d):
    x = d.x(d.shape(least=1), grad=False)
    o = {"density": d.bool()} if d.bool() else {}
    if d.bool():
        o["weight"] = d.x(list(x.shape), 0.5, 1.5, grad=False)
    if d.bool():
        lo = x.min().item() - 0.01  # something falls into it: a density has a sum
        bins = d.float(torch.cat([torch.tensor([lo]), torch.linspace(lo + 0.3, 3, d.int(2, 5))]), x.native, grad=False)
        return x, bins, o
    return x, d.int(1, 9), {**o, "min": -2.5, "max": 2.25} if d.bool() else o


row("histogram", histogram, histogram_args, n=28, grad=False)
row("histc", torch.histc, lambda d: ((x := d.x(least=1, grad=False)), d.int(1, 9), *d.choice((), (-1, 1.5))), n=20, grad=False)
for _name in "cummax cummin".split():
    row(_name, lambda x, k, f=getattr(torch, _name): tuple(f(x, k)), lambda d: ((x := d.distinct()), d.dim(x)), positions=(1,))
    row(_name, lambda x, k, f=getattr(torch, _name): tuple(f(x, k)),
        lambda d: ((x := holed(d, d.distinct(nd=(1, 3)), 1) if d.bool() else d.ints(-2, 2, None, d.choice(*INTS))), d.dim(x)),
        positions=(1,), n=10)
