"""Random cases of albedo's ops with PyTorch's results, for spec/peer/run.lua. See spec/peer/README.md.

    python3 peer.py DIR [--seed N] [--scale F] [--op NAME] [--case K]

A row is one op: its name, a reference made of PyTorch's functions, and how to draw its arguments.
Tensors are drawn in float64 (rounded to float32 where the case is one); the reference runs in float64
with autograd, and once more in the case's own dtype to learn the dtype of each result.
"""
import argparse
import importlib
import inspect
import math
import os
import random
import sys
import warnings
import zlib

import torch

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
sys.modules.setdefault("peer", sys.modules[__name__])

ROWS = []
FORMATS = {torch.float64: "F64", torch.float32: "F32", torch.int64: "I64", torch.int32: "I32",
           torch.uint8: "U8", torch.bool: "BOOL"}
NAMES = {torch.float64: "float64", torch.float32: "float32", torch.int64: "int64",
         torch.int32: "int32", torch.uint8: "uint8", torch.bool: "bool"}
RENAMED = {"pad": "padding"}  # albedo's options by PyTorch's names


class Dim(int):
    """A dim or position: counts from 0 here, from 1 in Lua."""


def row(name, fn, draw, n=14, grad=True, dtype=True, positions=(), tol32=None, tol64=None, why=None,
        inplace=True):
    """One op. fn(*args, **options): PyTorch's result, a tensor or a tuple; draw(d): albedo's arguments,
    a dict last for options. n: cases. grad: compare gradients. dtype: compare the results' dtypes with
    what fn gives natively. positions: which outputs hold positions (from 0 in fn's result). tol32,
    tol64, why: another tolerance and its derivation. inplace: also compare the form name_."""
    ROWS.append(dict(name=name, fn=fn, draw=draw, n=n, grad=grad, dtype=dtype, positions=positions,
                     tol32=tol32, tol64=tol64, why=why, inplace=inplace))


class Draw:
    """Everything random about one case."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.gen = torch.Generator().manual_seed(zlib.crc32(seed.encode()))
        self.dtype = self.rng.choice([torch.float32, torch.float64])
        self.grads = True
        self.k = 0  # the case's number

    # plain values
    def choice(self, *options):
        return self.rng.choice(options)

    def int(self, lo, hi):
        return self.rng.randint(lo, hi)

    def num(self, lo, hi):
        return round(self.rng.uniform(lo, hi), 3)

    def bool(self):
        return self.rng.random() < 0.5

    def some(self, p, value, other=None):
        return value if self.rng.random() < p else other

    # shapes and dims
    def shape(self, lo=0, hi=None, size=6, least=None, nd=None):
        """lo .. hi dims, or (lo, hi) first; sizes 1 .. size, now and then 0 unless `least` says otherwise."""
        if isinstance(lo, tuple):
            nd, size = lo, hi or size
        lo, hi = nd or (lo, 4 if hi is None else hi)
        n = self.rng.randint(lo, hi)
        s = [self.rng.randint(least or 1, size) for _ in range(n)]
        if n and least is None and self.rng.random() < 0.05:
            s[self.rng.randrange(n)] = 0
        if self.rng.random() < 0.03 and n == 1 and least is None:
            s = [self.rng.randint(4097, 9000)]
        return s

    def broadcast(self, count=2, **k):
        """Shapes that broadcast together: dims replaced by 1 or, in front, left out."""
        full = self.shape(**k)
        out = [list(full)]
        for _ in range(count - 1):
            s = [1 if self.rng.random() < 0.25 else v for v in full]
            out.append(s[self.rng.randint(0, len(s)):] if self.rng.random() < 0.4 else s)
        self.rng.shuffle(out)
        return out

    def wide(self, **k):
        """Two shapes, the second of which broadcasts to the first."""
        full = self.shape(**k)
        s = [1 if self.rng.random() < 0.25 else v for v in full]
        return full, s[self.rng.randint(0, len(s)):] if self.rng.random() < 0.4 else s

    def dim(self, x, new=False):
        """One of x's dims, from either end (a new dim's place, if new)."""
        n = x.dim() + bool(new)
        if n == 0:
            return Dim(self.choice(0, -1))
        return Dim(self.rng.randint(-n, n - 1))

    def dims(self, x, least=1):
        """A list of different dims."""
        n = x.dim()
        picked = self.rng.sample(range(n), self.rng.randint(min(least, n), n))
        return [Dim(v - n if self.bool() else v) for v in picked]

    # tensors
    def lay(self, t, expand=True):
        """Gives t a layout for Lua: contiguous, transposed, sliced, offset, reversed, expanded."""
        t.how = ""
        if t.dim() and t.numel() and self.rng.random() < 0.6:
            t.how = self.choice("t", "s", "o", "r") + str(self.rng.randint(1, t.dim()))
        return t

    def values(self, shape, lo, hi, away=(), margin=0.05):
        t = torch.empty(shape, dtype=torch.float64).uniform_(lo, hi, generator=self.gen)
        for p in away:
            t = torch.where((t - p).abs() < margin, t + 2 * margin, t)
        return t

    def float(self, t, dtype=None, grad=True):
        """A floating argument with the values of t."""
        t = t.to(torch.float64).clone()
        if (dtype or self.dtype) == torch.float32:
            t = t.to(torch.float32).to(torch.float64)
        t.native = dtype or self.dtype
        t.wants = grad
        return self.lay(t)

    def x(self, shape=None, lo=-2.0, hi=2.0, away=(), grad=True, dtype=None, expand=False, **k):
        shape = self.shape(**k) if shape is None else list(shape)
        if expand and shape and self.rng.random() < 0.12:
            d = self.rng.randrange(len(shape))
            small = shape[:d] + [min(1, shape[d])] + shape[d + 1:]
            t = self.float(self.values(small, lo, hi, away), dtype, grad)
            wide = t.expand(shape).clone()
            wide.native, wide.wants = t.native, grad
            wide.how = "e%d" % (d + 1) if wide.numel() else ""
            return wide
        return self.float(self.values(shape, lo, hi, away), dtype, grad)

    def normal(self, shape, grad=True):
        return self.float(torch.randn(shape, dtype=torch.float64, generator=self.gen), grad=grad)

    def distinct(self, shape=None, step=0.25, **k):
        """Values `step` apart in random order, none at 0."""
        shape = self.shape(**k) if shape is None else list(shape)
        n = math.prod(shape)
        order = torch.randperm(n, generator=self.gen).double()
        return self.float(((order - n / 2) * step + 0.06).reshape(shape))

    def special(self, x):
        """x with infinities, NaN and zeros among its values; no gradients in such a case."""
        self.grads = False
        if x.how.startswith("e"):
            x.how = ""
        flat = x.reshape(-1)
        for v in (math.inf, -math.inf, math.nan, 0.0, -0.0):
            if flat.numel() and self.rng.random() < 0.7:
                flat[self.rng.randrange(flat.numel())] = v
        return x

    def ints(self, lo, hi, shape=None, dtype=torch.int64, **k):
        shape = self.shape(**k) if shape is None else list(shape)
        t = torch.randint(lo, hi + 1, shape, generator=self.gen, dtype=torch.int64).to(dtype)
        return self.lay(t)

    def index(self, n, shape):
        """Positions 0 .. n - 1 here, 1 .. n in Lua."""
        t = self.ints(0, n - 1, shape, dtype=self.choice(torch.int64, torch.int64, torch.int32))
        native = t.dtype
        how, t = t.how, t.to(torch.int64)
        t.how, t.native, t.position = how, native, True
        return t

    def mask(self, shape=None, **k):
        return self.ints(0, 1, shape, torch.bool, **k)

    def any(self, shape=None, lo=-2.0, hi=2.0, ints=(-5, 5), dtypes=None, p=0.25, special=0.12, **k):
        """A floating tensor, or with probability p one of integers or bool; sometimes special values."""
        if self.rng.random() >= p:
            x = self.x(shape, lo, hi, **k)
            return self.special(x) if self.rng.random() < special else x
        d = self.choice(*(dtypes or (torch.int64, torch.int32, torch.uint8, torch.bool)))
        low, high = ints
        if d == torch.uint8:
            low = max(low, 0)
        if d == torch.bool:
            low, high = 0, 1
        k = {v: k[v] for v in k if v in ("least", "size", "nd")}
        return self.ints(low, max(low, high), shape, d, **k)


# ---- writing ------------------------------------------------------------------------------------


class Blob:
    def __init__(self, path):
        self.file, self.at = open(path, "wb"), 0

    def put(self, t):
        """Writes t; the Lua arguments that read it back."""
        data = t.detach().contiguous().numpy().tobytes()
        text = "%d,'%s',{%s}" % (self.at, FORMATS[t.dtype], ",".join(map(str, t.shape)))
        self.file.write(data)
        self.at += len(data)
        return text


def lua(v, blob, leaves):
    if isinstance(v, torch.Tensor):
        t = v.detach()
        if getattr(v, "position", False):
            t = (t + 1).to(v.native)
        t = t.to(getattr(v, "native", t.dtype))
        leaf = v.requires_grad
        if leaf:
            leaves.append(v)
        return "%s(%s,'%s')" % ("leaf" if leaf else "const", blob.put(t), getattr(v, "how", ""))
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, Dim):
        return str(v + 1 if v >= 0 else int(v))
    if isinstance(v, float) and not math.isfinite(v):
        return "(0/0)" if math.isnan(v) else "math.huge" if v > 0 else "-math.huge"
    if isinstance(v, dict):
        return "{" + ",".join("%s=%s" % (k, lua(v[k], blob, leaves)) for k in v) + "}"
    if isinstance(v, (list, tuple)):
        return "{" + ",".join(lua(x, blob, leaves) for x in v) + "}"
    if isinstance(v, torch.dtype):
        return "'%s'" % NAMES[v]
    if isinstance(v, str):
        return "'%s'" % v
    return "nil" if v is None else repr(v)


def walk(v, fn):
    """v with fn applied to every tensor inside."""
    if isinstance(v, torch.Tensor):
        return fn(v)
    if isinstance(v, (list, tuple)):
        return [walk(x, fn) for x in v]
    if isinstance(v, dict):
        return {k: walk(v[k], fn) for k in v}
    return v


def as_list(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


def call(r, args, options):
    fn = r["fn"]
    try:
        known = inspect.signature(fn).parameters
    except ValueError:
        known = {}
    options = {RENAMED[k] if k in RENAMED and k not in known else k: v for k, v in options.items()}
    return as_list(fn(*args, **options))


def native_dtypes(r, args, options):
    """The dtypes of fn's results in the arguments' own dtypes; None where fn does not take them."""
    def native(t):
        return t.detach() if getattr(t, "position", False) else t.detach().to(getattr(t, "native", t.dtype))
    torch.set_default_dtype(torch.float32)
    try:
        with torch.no_grad():
            return [y.dtype for y in call(r, walk(args, native), walk(options, native))]
    except (RuntimeError, TypeError, NotImplementedError):
        return None
    finally:
        torch.set_default_dtype(torch.float64)


def results(r, args, options, cots=None, gen=None):
    """fn's results, cotangents (drawn by gen unless given), and the gradients of the leaves."""
    leaves = []
    walk([args, options], lambda t: leaves.append(t) if t.requires_grad else None)
    outs = call(r, args, options)
    if cots is None:
        cots = [gen(y) if leaves and y.requires_grad else None for y in outs]
    total = [(y, g) for y, g in zip(outs, cots) if g is not None]
    grads = [None] * len(leaves)
    if total:
        grads = torch.autograd.grad([y for y, _ in total], leaves, [g for _, g in total], allow_unused=True)
    return outs, cots, grads


def sensitivity(r, args, options, found):
    """How far results and gradients move, over their rms, when each input moves by half a unit of
    float32's last place: what the best float32 program can do little about."""
    outs, cots, grads = found

    def shake(t):
        if not t.is_floating_point():
            return t
        u = t.detach() * (1 + 2.0 ** -24 * (torch.randint(0, 2, t.shape) * 2 - 1))
        return u.requires_grad_(t.requires_grad)
    try:
        moved = results(r, walk(args, shake), walk(options, shake), cots)
    except RuntimeError:
        return 0.0  # of another shape
    worst = 0.0
    for a, b in zip([*outs, *grads], [*moved[0], *moved[2]]):
        if a is None or b is None or a.shape != b.shape or not a.is_floating_point() or a.numel() == 0:
            continue
        off = (a - b).abs().max().item() / max(a.square().mean().sqrt().item(), 1e-30)
        worst = max(worst, off) if math.isfinite(off) else worst
    return worst


REDRAWN = 0


def draw(r, k, seed):
    """A case: its Draw, arguments, options and what the reference gives. One in float32 whose result
    hangs on the last bits of its inputs is drawn again, at most five times."""
    global REDRAWN
    for attempt in range(6):
        name = "%d/%s/%d" % (seed, r["name"], k) + "'" * attempt
        d = Draw(name)
        d.k = k
        torch.manual_seed(zlib.crc32(name.encode()))
        drawn = r["draw"](d)
        args = list(drawn) if isinstance(drawn, (tuple, list)) else [drawn]
        options = args.pop() if args and isinstance(args[-1], dict) else {}
        single = []

        def mark(t):
            single.append(getattr(t, "native", None) == torch.float32)
            if r["grad"] and d.grads and getattr(t, "wants", False):
                t.requires_grad_()
            return t
        walk(args, mark), walk(options, mark)

        def cotangent(y):
            return torch.randn(y.shape, generator=d.gen, dtype=torch.float64).float().double()
        found = results(r, args, options, gen=cotangent)
        if not any(single) or sensitivity(r, args, options, found) < 1e-6:
            break
        REDRAWN += 1
    return args, options, found


def case(r, k, seed, blob):
    """One case as a line of Lua."""
    args, options, (outs, cotangents, grads) = draw(r, k, seed)
    leaves = []
    text = ["['%d']=%s" % (i + 1, lua(v, blob, leaves)) for i, v in enumerate(args)]
    n = len(args)
    if options:
        n += 1
        text.append("['%d']=%s" % (n, lua(options, blob, leaves)))
    dtypes = native_dtypes(r, args, options) if r["dtype"] else None
    want = []
    for i, y in enumerate(outs):
        y = y.detach()
        if i in r["positions"]:
            y = y + 1
        name = NAMES[dtypes[i]] if dtypes else None
        y = y if y.dtype in FORMATS else y.to(torch.float64)
        want.append("{const(%s,''),%s}" % (blob.put(y), lua(name, blob, [])))
    cots = ["false" if g is None else "const(%s,'')" % blob.put(g) for g in cotangents]
    gs = ["false" if g is None else "const(%s,'')" % blob.put(g) for g in grads]
    fields = dict(name="'%s'" % r["name"], case=k, n=n, args="{%s}" % ",".join(text),
                  want="{%s}" % ",".join(want), cots="{%s}" % ",".join(cots), grads="{%s}" % ",".join(gs),
                  inplace=lua(r["inplace"], blob, []), tol32=lua(r["tol32"], blob, []),
                  tol64=lua(r["tol64"], blob, []))
    return "return {" + ",".join("%s=%s" % kv for kv in fields.items()) + "}"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("dir")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--op")
    options.add_argument("--case", type=int)
    o = options.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:0] = [here, os.path.join(here, "rows")]
    for file in sorted(os.listdir(os.path.join(here, "rows"))):
        if file.endswith(".py"):
            importlib.import_module(file[:-3])
    torch.set_default_dtype(torch.float64)
    other = sorted({r["name"] for r in ROWS if r["tol32"] or r["tol64"]})
    for name in other:
        if not all(r["why"] for r in ROWS if r["name"] == name and (r["tol32"] or r["tol64"])):
            sys.exit("%s has another tolerance without its derivation" % name)
    if len(other) > 5:
        sys.exit("more than five ops have another tolerance: " + ", ".join(other))
    blob = Blob(os.path.join(o.dir, "blob"))
    counts = {}
    with open(os.path.join(o.dir, "cases"), "w") as out:
        for r in ROWS:
            if o.op and r["name"] not in o.op.split(","):
                continue
            for _ in range(max(2, round(r["n"] * o.scale))):
                k = counts[r["name"]] = counts.get(r["name"], 0) + 1
                if o.case and k != o.case:
                    continue
                try:
                    line = case(r, k, o.seed, blob)
                except Exception as e:
                    why = lua(("%s: %s" % (type(e).__name__, e)).translate(str.maketrans("\n'\\", "   ")), None, [])
                    line = "return {name='%s',case=%d,fails=%s}" % (r["name"], k, why)
                out.write(line + "\n")
    blob.file.close()
    print("%d cases in float32 drawn again: their results hang on the inputs' last bits" % REDRAWN)


if __name__ == "__main__":
    main()
