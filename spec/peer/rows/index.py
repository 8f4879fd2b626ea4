"""Reading and writing by positions and masks."""
import torch
import torch.nn.functional as F
from peer import Dim, row


def rows_of(d, ndim=None):
    """x, one of its dims, and an index of some dims into it."""
    x = d.x(d.shape((1, 3), least=1))
    k = d.dim(x)
    return x, k, d.index(x.shape[k], d.shape((0, 2), size=5) if ndim is None else [d.int(0, 7)])


def select(x, dim, index):
    dim %= x.dim()
    y = x.index_select(dim, index.reshape(-1))
    return y.reshape([*x.shape[:dim], *index.shape, *x.shape[dim + 1:]])


row("index_select", select, rows_of, n=20)
row("take", torch.take, lambda d: ((x := d.x(least=1)), d.index(x.numel(), d.shape((0, 2)))))
row("embedding", lambda w, i: F.embedding(i, w), lambda d: ((w := d.x([d.int(1, 7), d.int(1, 5)])), d.index(w.shape[0], d.shape((0, 3)))))
row("embedding", lambda w, i, padding_idx: F.embedding(i, w, padding_idx),
    lambda d: ((w := d.x([d.int(1, 7), d.int(1, 5)])), d.index(w.shape[0], d.shape((0, 3))),
               {"padding_idx": Dim(d.int(0, w.shape[0] - 1))}))


def source(d, x, k, index):
    k %= x.dim()
    return d.x([*x.shape[:k], *index.shape, *x.shape[k + 1:]])


def index_add(x, dim, index, src, alpha=1.0):
    dim %= x.dim()
    flat = src.reshape(*x.shape[:dim], -1, *x.shape[dim + 1:]) if src.numel() else None
    return x.index_add(dim, index.reshape(-1), flat, alpha=alpha) if flat is not None else x + 0 * x


row("index_add", index_add, lambda d: ((a := rows_of(d))[0], a[1], a[2], source(d, *a), {"alpha": d.num(-2, 2)}), n=20)


def index_put(x, dim, index, value):
    dim %= x.dim()
    shape = [*x.shape[:dim], *index.shape, *x.shape[dim + 1:]]
    value = torch.as_tensor(value).expand(shape)
    return x.index_copy(dim, index.reshape(-1), value.reshape(*x.shape[:dim], index.numel(), *x.shape[dim + 1:]).to(x.dtype))


def different(d, n, count):
    """`count` different positions."""
    t = d.index(n, [0])
    p = torch.randperm(n, generator=d.gen)[:count].clone()
    p.native, p.position, p.how = t.native, True, ""
    return p


row("index_put", index_put, lambda d: ((x := d.x(d.shape((1, 3), least=1))), (k := d.dim(x)),
                                       (i := different(d, x.shape[k], d.int(0, x.shape[k]))),
                                       source(d, x, k, i) if d.bool() else d.num(-2, 2)), n=20)


def gathered(d, fit=True):
    """x, a dim, and an index of as many dims, no larger than x beside that dim."""
    x = d.x(d.shape((1, 3), least=1))
    k = d.dim(x)
    shape = [d.int(0, 7) if i == k % x.dim() else d.int(1, n) for i, n in enumerate(x.shape)]
    return x, k, d.index(x.shape[k], shape)


row("gather", torch.gather, gathered, n=20)
row("scatter_add", torch.scatter_add,
    lambda d: ((a := gathered(d))[0], a[1], a[2], d.x(list(a[2].shape))), n=20)


def reduced(d):
    a = gathered(d)
    x = d.distinct(list(a[0].shape))
    return x, a[1], a[2], d.float(d.distinct(list(a[2].shape)) + 0.1), d.choice("sum", "prod", "mean", "amax", "amin"), {
        "include_self": d.bool()}


row("scatter_reduce", torch.scatter_reduce, reduced, n=40)


def scattered(d):
    """Different positions along the dim."""
    x = d.x(d.shape((1, 3), least=1))
    k = d.dim(x)
    order = torch.rand(x.shape, generator=d.gen).argsort(k % x.dim())
    index = d.index(x.shape[k], [0])
    p = order.narrow(k % x.dim(), 0, d.int(1, x.shape[k])).clone()
    p.native, p.position, p.how = index.native, True, ""
    return x, k, p, d.x(list(p.shape)) if d.bool() else d.num(-2, 2)


row("scatter", torch.scatter, scattered, n=20)
row("masked_select", torch.masked_select, lambda d: (lambda a, b: (d.x(a), d.mask(b)))(*d.broadcast()))
row("nonzero", torch.nonzero, lambda d: d.any(p=0.8, ints=(0, 1), special=0), positions=(0,))
row("one_hot", F.one_hot, lambda d: ((i := d.index(d.int(1, 6), d.shape((0, 3), least=1))), int(i.max()) + 1 + d.int(0, 2)))
row("one_hot", lambda i, n, dtype: F.one_hot(i, n).to(dtype), lambda d: (
    d.index(4, d.shape((0, 2))), 4, {"dtype": d.choice(torch.float32, torch.bool, torch.uint8)}), n=6)
row("one_hot", F.one_hot, lambda d: d.index(d.int(1, 6), d.shape((0, 3), least=1)), n=6)
