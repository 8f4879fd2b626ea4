"""Losses."""
import torch
import torch.nn.functional as F
from peer import row

REDUCTIONS = ("mean", "sum", "none")


def two(d, **k):
    s = d.shape(least=1)
    return d.x(s, **k), d.x(s, **k)


def plain(name, option=None, **k):
    row(name, getattr(F, name), lambda d: (*two(d), {"reduction": d.choice(*REDUCTIONS),
                                                      **({option: d.num(0.3, 1.5)} if option else {})}), n=16, **k)


plain("mse_loss")
plain("l1_loss")
plain("smooth_l1_loss", "beta")
plain("huber_loss", "delta")


def labelled(d, soft=False):
    n, c = d.int(1, 5), d.int(2, 5)
    rest = [d.int(1, 4) for _ in range(d.int(0, 2))]
    x = d.x([n, c] + rest, -3, 3)
    if soft:
        t = d.float(torch.softmax(d.values([n, c] + rest, -2, 2), 1))
    else:
        t = d.index(c, [n] + rest)
    o = {"reduction": d.choice(*REDUCTIONS)}
    if d.bool():
        o["weight"] = d.x([c], 0.5, 1.5, grad=False)
    return x, t, o


def smoothed(d, **k):
    x, t, o = labelled(d, **k)
    return x, t, {**o, "label_smoothing": d.choice(0.0, 0.1, 0.3)}


row("cross_entropy", F.cross_entropy, smoothed, n=24)
row("cross_entropy", F.cross_entropy, lambda d: smoothed(d, soft=True), n=16)


def ignoring(d):
    """Some labels left out: never all of them, whose mean is not a number."""
    x, t, o = labelled(d)
    x = d.x([x.shape[0] + 1, *x.shape[1:]], -3, 3)
    t = d.index(x.shape[1], [x.shape[0], *t.shape[1:]])
    skip = torch.rand(t.shape, generator=d.gen) < 0.3
    skip[0] = False
    t[skip] = -101
    return x, t, {**o, "ignore_index": -100}


row("cross_entropy", lambda x, t, ignore_index, **k: F.cross_entropy(x, t, ignore_index=-101, **k), ignoring, n=12)
row("nll_loss", F.nll_loss, labelled, n=16)
row("nll_loss", lambda x, t, ignore_index, **k: F.nll_loss(x, t, ignore_index=-101, **k), ignoring, n=8)


def binary(d, lo, hi):
    s = d.shape(least=1)
    o = {"reduction": d.choice(*REDUCTIONS)}
    if d.bool():
        o["weight"] = d.x(s[d.int(0, len(s)):], 0.5, 1.5, grad=False)
    return d.x(s, lo, hi), d.x(s, 0, 1, grad=False), o


def with_positive(d):
    x, t, o = binary(d, -4, 4)
    if d.bool():
        o["pos_weight"] = d.x(list(x.shape[-1:]), 0.5, 2, grad=False)
    return x, t, o


for _name in ("bce", "binary_cross_entropy"):
    row(_name, F.binary_cross_entropy, lambda d: binary(d, 0.05, 0.95))
for _name in ("bce_with_logits", "binary_cross_entropy_with_logits"):
    row(_name, F.binary_cross_entropy_with_logits, with_positive)
row("kl_div", F.kl_div, lambda d: ((s := d.shape((1, 3), least=1)), d.x(s, -3, 0), d.x(s, 0.1, 1),
                                   {"reduction": d.choice(*REDUCTIONS, "batchmean")})[1:])
row("kl_div", F.kl_div, lambda d: ((s := d.shape((1, 3), least=1)), d.x(s, -3, 0), d.x(s, -3, 0),
                                   {"log_target": True, "reduction": d.choice(*REDUCTIONS, "batchmean")})[1:])
