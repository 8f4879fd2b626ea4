"""The dtype of a result: every pair of dtypes, of tensors with dims, without, and plain numbers."""
import itertools
import operator

import torch
from peer import row

TYPES = (torch.bool, torch.uint8, torch.int32, torch.int64, torch.float32, torch.float64)
KINDS = [(t, s) for t in TYPES for s in ([2], [])] + [(2, None), (0.5, None)]
PAIRS = [(a, b) for a, b in itertools.product(KINDS, KINDS) if isinstance(a[0], torch.dtype) or isinstance(b[0], torch.dtype)]


def operand(d, kind):
    t, shape = kind
    if shape is None:
        return t
    return d.float(d.values(shape, 0.5, 2), t, grad=False) if t.is_floating_point else d.ints(1, 1, shape, t)


def pair(d):
    return [operand(d, k) for k in PAIRS[d.k % len(PAIRS)]]


row("add", operator.add, pair, n=len(PAIRS), grad=False)
row("mul", operator.mul, pair, n=len(PAIRS), grad=False)
row("div", operator.truediv, pair, n=len(PAIRS), grad=False)
row("le", operator.le, pair, n=len(PAIRS), grad=False)
