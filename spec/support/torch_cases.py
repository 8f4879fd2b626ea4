"""Values and gradients by PyTorch, as a Lua chunk on standard output: see spec/op/torch_spec.lua.

The chunk is function(T) -> list of {name, args, n, opts, y, g, grads}; T(values, shape, dtype) makes a
tensor. `grads` belong to the floating tensors among args, in order, for the cotangent g; false where an
argument has none.
"""
import math
import warnings

import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore")
torch.manual_seed(0)
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
randn, rand = torch.randn, torch.rand
REDUCTIONS = ("mean", "sum", "none")


def lua(v):
    if isinstance(v, torch.Tensor):
        dtype = {torch.int64: "int64", torch.bool: "bool"}.get(v.dtype, "float64")
        values = v.detach().reshape(-1).tolist()
        return "T(%s,%s,'%s')" % (lua(values), lua(list(v.shape)), dtype)
    if isinstance(v, dict):
        return "{" + ",".join("%s=%s" % (k, lua(x)) for k, x in v.items()) + "}"
    if isinstance(v, (list, tuple)):
        return "{" + ",".join(map(lua, v)) + "}"
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, str):
        return "'%s'" % v
    if isinstance(v, float) and not math.isfinite(v):
        return "(0/0)" if math.isnan(v) else "math.huge" if v > 0 else "-math.huge"
    return "nil" if v is None else "false" if v is False else repr(v)


def case(name, fn, leaves, args=None, **opts):
    """One check: fn(*leaves) by PyTorch, albedo's `name` on args (the leaves unless given) and opts."""
    args = leaves if args is None else args
    for t in leaves:
        if t is not None:
            t.requires_grad_()
    y = fn(*leaves)
    g = randn(y.shape)
    floats = [t for t in leaves if t is not None]
    grads = torch.autograd.grad(y, floats, g, allow_unused=True)
    grads = [False if t is None else t for t in grads]
    fields = dict(name=name, args=args, n=len(args), opts=opts, y=y, g=g, grads=grads)
    print("c[#c+1]=" + lua(fields))


def torch_names(opts):
    return {"padding" if k == "pad" else k: v for k, v in opts.items()}


def conv(x, w, bias=True, **opts):
    n = len(w) - 2
    fn = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    leaves = [randn(x), randn(w), randn(w[0]) if bias else None]
    case("conv%dd" % n, lambda *t: fn(*t, **torch_names(opts)), leaves, **opts)


def conv_transpose(x, w, bias=True, groups=1, **opts):
    n = len(w) - 2
    fn = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
    leaves = [randn(x), randn(w), randn(w[1] * groups) if bias else None]
    opts["groups"] = groups
    case("conv_transpose%dd" % n, lambda *t: fn(*t, **torch_names(opts)), leaves, **opts)


def pool(kind, shape, kernel, stride=None, **opts):
    name = "%s_pool%dd" % (kind, len(shape) - 2)
    x = randn(shape)
    fn = getattr(F, name)
    args = [x, kernel] + ([stride] if stride else [])
    case(name, lambda t: fn(t, kernel, stride, **torch_names(opts)), [x], args, **opts)


def convolutions():
    conv((2, 3, 8, 9), (4, 3, 3, 3), pad=1)
    conv((2, 3, 8, 9), (4, 3, 3, 2), stride=2, pad=[1, 0])
    conv((2, 4, 9, 9), (6, 2, 3, 3), groups=2, dilation=2)
    conv((2, 4, 9, 9), (4, 1, 3, 3), groups=4, pad=1, stride=2)
    conv((2, 4, 9), (5, 4, 3), bias=False, pad=2)
    conv((1, 2, 5, 6, 7), (3, 2, 3, 3, 3), pad=1, stride=[1, 2, 1])
    conv((2, 3, 4, 4), (5, 3, 1, 1))
    conv_transpose((2, 3, 4, 5), (3, 4, 3, 3), stride=2, pad=1, output_padding=1)
    conv_transpose((2, 4, 4, 5), (4, 3, 3, 2), groups=2, stride=[2, 3], dilation=2)
    conv_transpose((2, 3, 5), (3, 2, 4), bias=False, stride=3)
    conv_transpose((1, 2, 3, 3, 3), (2, 3, 2, 2, 2), stride=2)


def pools():
    pool("max", (2, 3, 7, 8), 2)
    pool("max", (2, 3, 7, 8), [3, 2], 2, pad=1)
    pool("max", (2, 3, 7, 8), 2, 3, ceil_mode=True)
    pool("max", (1, 2, 9, 9), 3, 2, dilation=2, pad=1)
    pool("max", (2, 3, 9), 3, 2, pad=1)
    pool("max", (1, 2, 5, 6, 7), 2, ceil_mode=True)
    pool("avg", (2, 3, 7, 8), 2)
    pool("avg", (2, 3, 7, 8), 3, 2, pad=1)
    pool("avg", (2, 3, 7, 8), 3, 2, pad=1, ceil_mode=True)
    pool("avg", (2, 3, 7, 8), 3, 2, pad=1, count_include_pad=False, ceil_mode=True)
    pool("avg", (2, 3, 9), 3, 2, pad=1)
    pool("avg", (1, 2, 5, 6, 7), 2)
    for size in ([2, 3], [7, 5], [1, 1], [3, 3]):
        x = randn(2, 3, 7, 5)
        case("adaptive_avg_pool2d", lambda t, s=size: F.adaptive_avg_pool2d(t, s), [x], [x, size])


def norms():
    for shape in ((6, 3), (4, 3, 5), (2, 3, 20, 20), (3, 4, 2, 3, 2)):
        x, w, b = randn(shape) * 2 + 3, randn(shape[1]), randn(shape[1])
        fn = lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 1e-3)
        case("batch_norm", fn, [x, w, b], training=True, eps=1e-3)
        if len(shape) > 2:
            x = randn(shape)
            case("instance_norm", lambda x, w, b: F.instance_norm(x, None, None, w, b), [x, w, b])
    x, w, b, mean, var = randn(4, 3, 5), randn(3), randn(3), randn(3), rand(3) + 0.5
    fn = lambda x, w, b: F.batch_norm(x, mean, var, w, b, False)
    case("batch_norm", fn, [x, w, b], [x, w, b, mean, var])
    for shape, groups in (((2, 6, 5, 5), 3), ((2, 4), 2), ((2, 4, 3), 1)):
        x, w, b = randn(shape), randn(shape[1]), randn(shape[1])
        fn = lambda x, w, b, k=groups: F.group_norm(x, k, w, b)
        case("group_norm", fn, [x, w, b], [x, groups, w, b])
    for shape, last in (((4, 5, 6), [5, 6]), ((40, 17), [17])):
        x, w, b = randn(shape), randn(last), randn(last)
        fn = lambda x, w, b, s=last: F.layer_norm(x, s, w, b)
        case("layer_norm", fn, [x, w, b], [x, last, w, b])


def class_losses(red):
    target = torch.randint(0, 4, (5, 3))
    target[0, 0] = -100
    labels = torch.where(target < 0, target, target + 1)
    for weight in (None, rand(4) + 0.5):
        opts = dict(reduction=red) if weight is None else dict(reduction=red, weight=weight)
        for smooth in (0.0, 0.1):
            x, p = randn(5, 4, 3), torch.softmax(randn(5, 4, 3), 1)
            more = dict(weight=weight, reduction=red, label_smoothing=smooth)
            fn = lambda x: F.cross_entropy(x, target, **more)
            case("cross_entropy", fn, [x], [x, labels], label_smoothing=smooth, **opts)
            fn = lambda x, p: F.cross_entropy(x, p, **more)
            case("cross_entropy", fn, [x, p], label_smoothing=smooth, **opts)
        x = randn(5, 4, 3)
        fn = lambda x: F.nll_loss(x, target, weight=weight, reduction=red)
        case("nll_loss", fn, [x], [x, labels], **opts)


def plain_losses(red):
    for name, opts in (("mse_loss", {}), ("l1_loss", {}), ("smooth_l1_loss", dict(beta=0.7)),
                       ("huber_loss", dict(delta=0.7))):
        fn = getattr(F, name)
        opts = dict(opts, reduction=red)
        case(name, lambda a, b: fn(a, b, **opts), [randn(3, 4), randn(3, 4)], **opts)
    p, t, w, pw = rand(3, 4), rand(3, 4), rand(4), rand(4)
    fn = lambda p: F.binary_cross_entropy(p, t, weight=w, reduction=red)
    case("bce", fn, [p], [p, t], reduction=red, weight=w)
    x = randn(3, 4)
    with_logits = F.binary_cross_entropy_with_logits
    fn = lambda x: with_logits(x, t, weight=w, pos_weight=pw, reduction=red)
    case("bce_with_logits", fn, [x], [x, t], reduction=red, weight=w, pos_weight=pw)
    x = randn(3, 4)
    case("bce_with_logits", lambda x: with_logits(x, t, reduction=red), [x], [x, t], reduction=red)
    x = randn(3, 4)
    case("kl_div", lambda x: F.kl_div(x, t, reduction=red), [x], [x, t], reduction=red)


def resampling():
    modes = (("nearest", None, False), ("bilinear", False, False), ("bilinear", True, False),
             ("bicubic", False, False), ("bicubic", True, False), ("area", None, False),
             ("bilinear", False, True), ("bicubic", False, True))
    for size in ([9, 4], [3, 3], [5, 14], [10, 14]):
        for mode, align, smooth in modes:
            x = randn(2, 3, 5, 7)
            fn = lambda x: F.interpolate(x, size=size, mode=mode, align_corners=align, antialias=smooth)
            case("interpolate", fn, [x], [x, size], mode=mode, align_corners=bool(align), antialias=smooth)
    x = randn(1, 2, 4, 3, 5)
    fn = lambda x: F.interpolate(x, size=[3, 5, 7], mode="trilinear")
    case("interpolate", fn, [x], [x, [3, 5, 7]], mode="trilinear")
    for mode in ("bilinear", "nearest"):
        for edge in ("zeros", "border"):
            for align in (True, False):
                fn = lambda x, g: F.grid_sample(x, g, mode, edge, align)
                case("grid_sample", fn, [randn(2, 3, 5, 7), randn(2, 4, 5, 2) * 0.9], mode=mode,
                     padding_mode=edge, align_corners=align)
    for shape, size in (((2, 2, 3), [2, 1, 4, 5]), ((1, 3, 4), [1, 1, 4, 5, 3])):
        for align in (True, False):
            t = randn(shape)
            fn = lambda t: F.affine_grid(t, size, align)
            case("affine_grid", fn, [t], [t, size], align_corners=align)


def products():
    for a, b in (((5,), (5,)), ((5,), (5, 3)), ((4, 5), (5,)), ((4, 5), (5, 3)), ((2, 4, 5), (5, 3)),
                 ((2, 4, 5), (2, 5, 3)), ((3, 1, 4, 5), (2, 5, 3)), ((4, 5), (2, 5, 3)),
                 ((2, 4, 5), (5,)), ((5,), (2, 5, 3))):
        case("matmul", torch.matmul, [randn(a), randn(b)])
    case("linear", F.linear, [randn(2, 4, 5), randn(3, 5), randn(3)])
    for pads, mode in (([1, 2], "constant"), ([1, 2, 0, 1], "constant"), ([-1, 2, 1, -2], "constant"),
                       ([2, 1, 1, 3], "reflect"), ([2, 1, 1, 3], "replicate"), ([2, 1, 1, 3], "circular")):
        x = randn(2, 2, 4, 5)
        case("pad", lambda x: F.pad(x, pads, mode), [x], [x, pads], mode=mode)


if __name__ == "__main__":
    print("return function(T) local c = {}")
    convolutions()
    pools()
    norms()
    for reduction in REDUCTIONS:
        class_losses(reduction)
        plain_losses(reduction)
    resampling()
    products()
    print("return c end")
