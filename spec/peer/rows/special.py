"""Rarer functions of one or two numbers."""
import scipy.special
import torch
from peer import row
from elementwise import unary

unary("lgamma", lo=0.2, hi=6, ints=(1, 9))
unary("lgamma", lo=-3.9, hi=-0.1, away=range(-4, 1), p=0, n=8)


class Psi(torch.autograd.Function):
    """psi^(n)(x) by SciPy: PyTorch's own trigamma is good to 1e-9 only."""

    @staticmethod
    def forward(ctx, n, x):
        ctx.n = n
        ctx.save_for_backward(x)
        f = scipy.special.polygamma(n, x.numpy()) if n else scipy.special.digamma(x.numpy())
        return torch.as_tensor(f, dtype=x.dtype if x.is_floating_point() else torch.get_default_dtype())

    @staticmethod
    def backward(ctx, g):
        return None, g * Psi.apply(ctx.n + 1, ctx.saved_tensors[0])


unary("digamma", lambda x: Psi.apply(0, x), lo=0.2, hi=30, ints=(1, 9), special=0)
unary("digamma", torch.digamma, p=0, special=1)
row("polygamma", Psi.apply, lambda d: (d.int(0, 3), d.x(lo=0.3, hi=15)), n=20)
unary("erfinv", lo=-0.99, hi=0.99, ints=(0, 0))
unary("sinc", away=(0,), special=0, p=0)
row("nan_to_num", torch.nan_to_num, lambda d: d.choice(
    lambda: d.any(special=0.7), lambda: (d.any(special=0.7), d.num(-1, 1), d.num(-9, 9)),
    lambda: (d.any(special=0.7), {"neginf": d.num(-9, 9)}))(), n=20)


def two(name, **k):
    fn = getattr(torch, name)
    row(name, fn, lambda d: (lambda a, b: (d.x(a, away=(0,)), d.x(b, **k)))(*d.broadcast()), n=20)


two("hypot")
two("copysign", away=(0,))
two("xlogy", lo=0.2, hi=3)
two("logaddexp")
row("xlogy", torch.xlogy, lambda d: (lambda a, b: (d.float(d.ints(-1, 1, a)), d.x(b, lo=0.2)))(*d.broadcast()), n=8)
row("logaddexp", torch.logaddexp, lambda d: (lambda s: (d.special(d.x(s)), d.special(d.x(s))))(d.shape()), n=8)
row("heaviside", torch.heaviside, lambda d: (lambda a, b: (d.float(d.ints(-1, 1, a), grad=False), d.x(b, grad=False)))(*d.broadcast()))
row("isclose", torch.isclose, lambda d: (lambda s: ((x := d.any(s, special=0.5, p=0.3)), near(d, x), *d.choice((), (0.1, 0.05)),
                                                    {"equal_nan": d.bool()}))(d.shape()), n=24)


def near(d, x):
    if not x.is_floating_point():
        return d.lay(x.clone())
    y = d.float(x + d.values(list(x.shape), -0.1, 0.1) * (torch.rand(x.shape, generator=d.gen) < 0.5), x.native, grad=False)
    return y
