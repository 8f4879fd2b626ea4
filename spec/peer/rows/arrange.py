"""Diagonals, moved dims, grids, differences, and sums of them; lists of parts."""
import torch
from peer import Dim, row
from index import different, gathered, source
from reduce import dims_of, moment, moments, over
from shape import factors, pair

row("diag", torch.diag, lambda d: (d.x([d.int(3, 6) for _ in range(d.int(1, 2))]), d.int(-2, 2)))
row("diag_embed", torch.diag_embed, lambda d: ((x := d.x([d.int(0, 5) for _ in range(d.int(1, 3))])), d.int(-2, 2), *d.choice((), pair(d, x.unsqueeze(0)))))


def moved(d):
    x = d.any(special=0, nd=(1, 4))
    k = d.int(1, x.dim())
    return x, [Dim(v) for v in d.rng.sample(range(x.dim()), k)], [Dim(v) for v in d.rng.sample(range(x.dim()), k)]


row("movedim", torch.movedim, moved)
row("unflatten", lambda x, k, s: x.unflatten(k, s), lambda d: ((x := d.x(nd=(1, 3), least=1)), (k := d.dim(x)), factors(d, x.shape[k])))
row("rot90", lambda x, k=1, dims=(0, 1): torch.rot90(x, k, dims),
    lambda d: ((x := d.any(special=0, nd=(2, 4))), d.int(-5, 5), *([pair(d, x)] if d.bool() else [])))
row("meshgrid", lambda xs, indexing="ij": torch.meshgrid(*xs, indexing=indexing), lambda d: (
    [d.x([d.int(0, 4)]) for _ in range(d.int(1, 4))], {"indexing": d.choice("ij", "xy")}))
row("take_along_dim", lambda x, i, k=None: torch.take_along_dim(x, i, k), lambda d: (
    (a := gathered(d)) and (a[0], narrowed(d, a[2], a[1]), a[1])) if d.bool() else
    ((x := d.x(least=1)), d.index(x.numel(), d.shape((0, 2)))), n=20)


def narrowed(d, index, k):
    """The index with some dims beside k of size 1, which broadcast, and the others as x has them."""
    return d.index(1, [n if i == k % index.dim() else 1 for i, n in enumerate(index.shape)])


row("masked_scatter", lambda x, m, s: torch.masked_scatter(x, m, s), lambda d: (lambda a, b: (
    d.x(a), d.mask(b), d.x([max(1, torch.Size(a).numel()) + d.int(0, 2)])))(*d.wide()))
row("diff", lambda x, n=1, k=-1: torch.diff(x, n, k), lambda d: ((x := d.any(special=0, nd=(1, 3))), d.int(0, 2), d.dim(x)))
row("trapezoid", lambda y, x=None, dx=1.0, dim=-1: torch.trapezoid(y, x, dim=dim) if x is not None else torch.trapezoid(y, dx=dx, dim=dim),
    lambda d: d.choice(lambda: ((y := d.x(nd=(1, 3), least=2)), {"dx": d.num(0.5, 2), "dim": d.dim(y)}),
                       lambda: ((y := d.x(nd=(1, 3), least=2)), d.x(list(y.shape)), {"dim": d.dim(y)}),
                       lambda: ((y := d.x(nd=(1, 3), least=2)), d.x([y.shape[-1]])))())
for _name in "std_mean var_mean".split():
    row(_name, moment(getattr(torch, _name)), moments, n=16)
for _name, _fn in (("nansum", torch.nansum), ("nanmean", torch.nanmean)):
    row(_name, over(_fn), lambda d: ((x := d.x(least=1)), *dims_of(d, x)))
    row(_name, over(_fn), lambda d: ((x := d.special(d.x(least=2))), *dims_of(d, x)), n=8)

row("split", torch.split, lambda d: ((x := d.x(nd=(1, 3), least=1)), d.int(1, 4), d.dim(x)))
row("chunk", torch.chunk, lambda d: ((x := d.x(nd=(1, 3), least=1)), d.int(1, 4), d.dim(x)))
row("unbind", torch.unbind, lambda d: ((x := d.x(nd=(1, 3), least=1)), d.dim(x)))
row("index_copy", torch.index_copy, lambda d: ((x := d.x(d.shape((1, 3), least=1))), (k := d.dim(x)),
    (i := different(d, x.shape[k], d.int(0, x.shape[k]))), source(d, x, k, i)))
row("index_fill", torch.index_fill, lambda d: ((x := d.x(d.shape((1, 3), least=1))), (k := d.dim(x)),
    different(d, x.shape[k], d.int(0, x.shape[k])), d.num(-2, 2)))
