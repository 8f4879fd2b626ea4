"""Matrix products and linear layers."""
import torch
import torch.nn.functional as F
from peer import row


def matmul_shapes(d):
    m, k, n = (d.int(1, 7) for _ in range(3))
    a, b = d.choice(([k], [k]), ([k], [k, n]), ([m, k], [k]), ([m, k], [k, n]), ([k], [3, k, n]), ([3, m, k], [k]),
                    ([2, m, k], [2, k, n]), ([3, 1, m, k], [2, k, n]), ([m, k], [2, k, n]), ([2, m, k], [k, n]),
                    ([m * 9, k * 11], [k * 11, n * 8]))
    return d.x(a), d.x(b)


def product(d, *shapes):
    size = {c: d.int(1, 7) for c in "bmknio"}
    return [d.x([size[c] for c in s]) for s in shapes]


row("matmul", torch.matmul, matmul_shapes, n=30)
row("mm", torch.mm, lambda d: product(d, "mk", "kn"))
row("mv", torch.mv, lambda d: product(d, "mk", "k"))
row("dot", torch.dot, lambda d: product(d, "k", "k"))
row("bmm", torch.bmm, lambda d: product(d, "bmk", "bkn"))
row("outer", torch.outer, lambda d: product(d, "m", "n"))
row("linear", F.linear, lambda d: product(d, *d.choice(("mi", "oi", "o"), ("mi", "oi"), ("bmi", "oi", "o"), ("i", "oi", "o"))), n=20)
