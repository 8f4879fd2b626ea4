"""Elementwise ops: one operand, two operands, comparisons, logic, bits."""
import operator

import torch
import torch.nn.functional as F
from peer import row

INTS = NUMBERS = (torch.int64, torch.int32, torch.uint8)


def unary(name, fn=None, lo=-2.0, hi=2.0, away=(), ints=(-5, 5), p=0.25, dtypes=None, special=0.12, **k):
    row(name, fn or getattr(torch, name),
        lambda d: (d.any(None, lo, hi, away=away, ints=ints, p=p, dtypes=dtypes, special=special,
                          expand=True),), **k)


for _name in "exp exp2 expm1 sin cos sinh cosh tanh asinh atan erf erfc sigmoid".split():
    unary(_name)
unary("tan", lo=-1.3, hi=1.3, ints=(-1, 1))
for _name in "sqrt rsqrt log log2 log10 log1p reciprocal".split():
    unary(_name, lo=0.1, hi=3, ints=(0, 9))
unary("logit", lo=0.05, hi=0.95, p=0)
for _name in "asin acos atanh".split():
    unary(_name, lo=-0.95, hi=0.95, ints=(-2, 2))
unary("acosh", lo=1.1, hi=4)
unary("neg", dtypes=INTS)
unary("abs", away=(0,), dtypes=INTS)
unary("square", dtypes=INTS)
unary("sign", away=(0,), special=0)  # of NaN: NaN as NumPy, not PyTorch's 0
for _name in "floor ceil trunc round frac".split():
    unary(_name, lo=-4, hi=4, away=range(-4, 5), p=0 if _name == "frac" else 0.25, dtypes=INTS)
for _name in "isnan isinf isfinite logical_not".split():
    unary(_name)
row("bitwise_not", torch.bitwise_not, lambda d: (d.ints(-9, 9, dtype=d.choice(torch.int64, torch.int32)),
                                                  ) if d.bool() else (d.mask(),))

# activations
unary("relu", F.relu, away=(0,), p=0.2, dtypes=INTS)
unary("relu6", F.relu6, -2, 9, away=(0, 6), p=0)
for _name in "selu silu mish gelu softsign logsigmoid".split():
    unary(_name, getattr(F, _name), away=(0,), p=0)
unary("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), p=0)
unary("hardsigmoid", lambda x: F.relu6(x + 3) / 6, -5, 5, away=(-3, 3), p=0)
unary("hardswish", F.hardswish, -5, 5, away=(-3, 3), p=0)
row("leaky_relu", F.leaky_relu, lambda d: (d.any(away=(0,), p=0), d.num(0, 0.5)) if d.bool() else d.any(away=(0,), p=0))
row("elu", F.elu, lambda d: (d.any(away=(0,), p=0), d.num(0.2, 2)))
row("softplus", F.softplus, lambda d: (d.x(away=(), lo=-9, hi=9), d.num(0.5, 1.5), 25))
row("hardtanh", F.hardtanh, lambda d: (d.any(away=(-0.5, 0.75), p=0), -0.5, 0.75))
row("clamp", torch.clamp, lambda d: d.choice(
    lambda: (d.any(away=(-0.5, 0.75), p=0), -0.5, 0.75), lambda: (d.any(away=(0.5,), p=0), 0.5),
    lambda: (d.any(away=(0.5,), p=0), {"max": 0.5}), lambda: (d.any(p=1, dtypes=INTS), 1, 3))())


def binary(name, fn=None, x=(-2, 2), y=(-2, 2), ints=(-5, 5), p=0.3, dtypes=None, away=(), yaway=(),
           special=0.08, scalar=0.15, low=None, **k):
    """Broadcast operands; floats, integers of two dtypes, or a number on either side."""
    def draw(d):
        a, b = d.broadcast()
        one = lambda s, r, v: d.any(s, r[0], r[1], ints=ints, p=p, dtypes=dtypes, away=v, special=special,
                                    expand=True)
        u, v = one(a, x, away), one(b, y, yaway)
        if d.bool():  # one dtype for both floats in half of the cases, else any two
            for t in (u, v):
                if t.is_floating_point():
                    t.native = d.choice(torch.float32, torch.float64)
                    t.copy_(t.to(t.native))
        if d.rng.random() < scalar:
            v = d.num(*y) if u.is_floating_point() or d.bool() else d.int(1, 4)
        elif d.rng.random() < scalar / 2:
            u = d.num(*x)
        return u, v
    row(name, fn or getattr(torch, name), draw, n=k.pop("n", 24), **k)


_t = lambda v: v if isinstance(v, torch.Tensor) else torch.tensor(v)
_both = lambda fn: lambda x, y: fn(_t(x), _t(y))
for _name in "add mul".split():
    binary(_name, getattr(operator, _name))
binary("sub", operator.sub, dtypes=NUMBERS)
binary("div", operator.truediv, y=(0.3, 2), ints=(1, 5), dtypes=NUMBERS)
binary("pow", operator.pow, x=(0.2, 2), ints=(0, 4), dtypes=NUMBERS, scalar=0.3)
binary("maximum", _both(torch.maximum), scalar=0)
binary("minimum", _both(torch.minimum), scalar=0)
# PyTorch's own gradient wraps around in uint8 and fails for bool
binary("atan2", _both(torch.atan2), x=(0.3, 2), y=(0.3, 2), ints=(1, 5), scalar=0, dtypes=NUMBERS[:2])
binary("remainder", lambda x, y: operator.mod(_t(x), y), x=(-5, 5), y=(0.6, 2), ints=(1, 5), dtypes=NUMBERS)
binary("remainder", lambda x, y: operator.mod(_t(x), y), x=(-5, 5), y=(-2, -0.6), ints=(-5, -1), dtypes=NUMBERS[:2], n=8)
binary("fmod", _both(torch.fmod), x=(-5, 5), y=(0.6, 2), ints=(1, 5), dtypes=NUMBERS, scalar=0)
binary("floor_divide", operator.floordiv, x=(-5, 5), y=(0.6, 2), ints=(1, 5), dtypes=NUMBERS, grad=False)
binary("floor_divide", operator.floordiv, x=(-5, 5), y=(-2, -0.6), ints=(-5, -1), dtypes=NUMBERS[:2],
       grad=False, n=8)
for _name in "eq ne lt le gt ge".split():
    binary(_name, getattr(operator, _name), p=0.6)
for _name in "logical_and logical_or logical_xor".split():
    binary(_name, _both(getattr(torch, _name)), p=0.7, ints=(-1, 1), scalar=0)
for _name in "and or xor".split():
    binary("bitwise_" + _name, getattr(operator, _name + "_" * (_name != "xor")), p=1, special=0, scalar=0)
for _name in "left right".split():
    binary("bitwise_%s_shift" % _name, _both(getattr(torch, "bitwise_%s_shift" % _name)), p=1, special=0,
           ints=(0, 7), scalar=0, dtypes=NUMBERS)


def three(d, **k):
    a, b, c = d.broadcast(3)
    return d.x(a, **k), d.x(b, **k), d.x(c, lo=0.4, hi=2)


row("addcmul", torch.addcmul, lambda d: (*three(d), {"value": d.num(-2, 2)}))
row("addcdiv", torch.addcdiv, lambda d: (*three(d), {"value": d.num(-2, 2)}))
row("lerp", torch.lerp, lambda d: three(d) if d.bool() else (*three(d)[:2], d.num(0, 1)))
row("where", torch.where, lambda d: (lambda a, b, c: (d.mask(a), d.any(b), d.any(c)))(*d.broadcast(3)))
row("masked_fill", torch.masked_fill, lambda d: (lambda a, b: (d.x(a), d.mask(b), d.num(-2, 2)))(*d.wide()))
row("to", lambda x, t: x.to(t), lambda d: (d.any(special=0), d.choice(*INTS, torch.bool, torch.float32, torch.float64)),
    n=24, inplace=False)
row("clone", torch.clone, lambda d: d.any())
row("contiguous", lambda x: x, lambda d: d.any(expand=True))
row("detach", torch.detach, lambda d: d.any(expand=True))
row("copy", lambda x, y: y.expand(x.shape).to(x.dtype),
    lambda d: (lambda a, b: (d.x(a), d.any(b, special=0)))(*d.wide()), dtype=False)
