#!/usr/bin/python3
"""What spec/bench/ops.lua and steps.lua time, in PyTorch on the CPU: the same names and fields.

usage: peer.py ops|steps [--threads N] [--repeats N] [--tuned] [--cpu] [NAME...]
--tuned raises glibc's malloc thresholds, so that large blocks are reused instead of faulted in afresh.
OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are dropped: OpenBLAS picks the machine's own kernels.
"""
import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=("ops", "steps"))
parser.add_argument("names", nargs="*")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--tuned", action="store_true")
parser.add_argument("--cpu", action="store_true")
parser.add_argument("--here", action="store_true")
args = parser.parse_intermixed_args()

if not args.here:
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    if args.tuned:
        env.update(MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="8589934592",
                   MALLOC_TOP_PAD_="268435456")
    sys.exit(subprocess.run([sys.executable] + sys.argv + ["--here"], env=env).returncode)

import torch  # noqa: E402  (after the environment is settled)
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(0)
clock = time.process_time if args.cpu else time.perf_counter


def median_ms(f):
    took = []
    for r in range(args.repeats + 2):
        start = clock()
        f()
        took.append((clock() - start) * 1e3)
    return statistics.median(took[2:])


# ---- ops: a name says what it is -----------------------------------------------------------------
MAP = (8, 64, 112, 112)


def convolution(name):
    m = re.match(r"conv(t?)(\d)d_n(\d+)_c(\d+)_s(\d+)_k(\d+)_(\d+)x\d+_stride(\d+)(?:_groups(\d+))?$", name)
    if not m:
        return None
    dims, n, c, side, out, k, stride = map(int, m.groups()[1:8])
    groups, turned = int(m[9] or 1), bool(m[1])
    pad = 0 if turned else k // 2
    x = torch.randn(n, c, *[side] * dims)
    w = torch.randn(*((c, out) if turned else (out, c // groups)), *[k] * dims) * 0.05
    f = getattr(F, "conv%s%dd" % ("_transpose" if turned else "", dims))
    to = side * stride if turned else (side + 2 * pad - k) // stride + 1
    flops = 2 * n * out * (c // groups) * (1 if turned else k ** dims) * to ** dims
    run = (lambda a, b: f(a, b, None, stride)) if turned else \
        (lambda a, b: f(a, b, None, stride, pad, groups=groups))
    return [x, w], run, flops


def normed(f, *shape):
    return lambda: ([torch.randn(*shape), torch.ones(shape[1]), torch.zeros(shape[1])], f, 0)


def plain(f, *shape):
    return lambda: ([torch.randn(*shape)], f, 0)


OPS = {
    "relu": plain(F.relu, *MAP), "exp": plain(torch.exp, *MAP), "sum": plain(torch.sum, *MAP),
    "add": lambda: ([torch.randn(*MAP), torch.randn(*MAP)], torch.add, 0),
    "softmax_rows": plain(lambda a: F.softmax(a, 1), 8192, 1000),
    "softmax_channels": plain(lambda a: F.softmax(a, 1), *MAP),
    "max_pool2d": plain(lambda a: F.max_pool2d(a, 2), *MAP),
    "avg_pool2d": plain(lambda a: F.avg_pool2d(a, 2), *MAP),
    "max_pool3d": plain(lambda a: F.max_pool3d(a, 2), 1, 32, 64, 64, 64),
    "batch_norm_train": normed(lambda a, w, b: F.batch_norm(a, None, None, w, b, True), *MAP),
    "group_norm": normed(lambda a, w, b: F.group_norm(a, 8, w, b), *MAP),
    "layer_norm": normed(lambda a, w, b: F.layer_norm(a, (a.shape[1],), w, b), 8192, 1000),
    "upsample_bilinear": plain(
        lambda a: F.interpolate(a, scale_factor=2, mode="bilinear", align_corners=False), 8, 64, 56, 56),
}


def operation(name):
    if name in OPS:
        return OPS[name]()
    m = re.match(r"matmul_(\d+)x(\d+)x(\d+)$", name)
    if m:
        a, k, b = map(int, m.groups())
        return [torch.randn(a, k), torch.randn(k, b)], torch.matmul, 2 * a * k * b
    return convolution(name)


def time_op(name):
    leaves, f, flops = operation(name)
    with torch.no_grad():
        fwd = median_ms(lambda: f(*leaves))
    for t in leaves:
        t.requires_grad_(True)
    cotangent = torch.randn_like(f(*leaves))

    def both():
        for t in leaves:
            t.grad = None
        f(*leaves).backward(cotangent)
    fwdbwd = median_ms(both)
    return dict(name=name, fwd_ms=fwd, fwdbwd_ms=fwdbwd, gflops_fwd=flops / fwd / 1e6,
                gflops_fwdbwd=3 * flops / fwdbwd / 1e6, mb=leaves[0].numel() * 4 / 2 ** 20)


# ---- steps: torchvision's networks where it has them ------------------------------------------------
class UNet(nn.Module):
    def __init__(self, dims, i, o, base, drop):
        super().__init__()
        conv, norm, up = ((nn.Conv2d, nn.BatchNorm2d, nn.ConvTranspose2d) if dims == 2 else
                          (nn.Conv3d, nn.BatchNorm3d, nn.ConvTranspose3d))
        self.pool = F.max_pool2d if dims == 2 else F.max_pool3d

        def double(a, b):
            return nn.Sequential(conv(a, b, 3, padding=1), norm(b), nn.ReLU(True), nn.Dropout(drop),
                                 conv(b, b, 3, padding=1), norm(b), nn.ReLU(True))
        w = [base << k for k in range(4)]
        self.down = nn.ModuleList(double(a, b) for a, b in zip([i] + w, w))
        self.up = nn.ModuleList(up(w[k + 1], w[k], 2, 2) for k in range(3))
        self.join = nn.ModuleList(double(2 * w[k], w[k]) for k in range(3))
        self.head = conv(base, o, 1)

    def forward(self, x):
        skips = []
        for k, block in enumerate(self.down):
            x = block(self.pool(x, 2) if k else x)
            skips.append(x)
        for k in (2, 1, 0):
            x = self.join[k](torch.cat([skips[k], self.up[k](x)], 1))
        return self.head(x)


class BiLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20000, 200)
        self.lstm = nn.LSTM(200, 100, bidirectional=True, batch_first=True)
        self.query = nn.Parameter(torch.randn(16, 200) * 0.1)
        self.head = nn.Linear(200, 2)

    def forward(self, x):
        h, _ = self.lstm(self.embed(x))
        return self.head((torch.softmax(h @ self.query[0], 1).unsqueeze(-1) * h).sum(1))


def small_cnn():
    body = []
    for i, o, k in ((3, 32, 5), (32, 64, 3), (64, 128, 3)):
        body += [nn.Conv2d(i, o, k, padding=k // 2), nn.ReLU(True), nn.MaxPool2d(2)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(128 * 64, 256), nn.ReLU(True), nn.Linear(256, 2))


def vision(name):
    import torchvision.models as known
    return lambda: getattr(known, name)(num_classes=2)


def image(*shape):
    return lambda: torch.randn(*shape)


def labels(classes, *shape):
    return lambda: torch.randint(classes, shape)


STEPS = {
    "vgg16_224_b4": (vision("vgg16"), image(4, 3, 224, 224), labels(2, 4)),
    "resnet50_224_b4": (vision("resnet50"), image(4, 3, 224, 224), labels(2, 4)),
    "mobilenetv2_224_b8": (vision("mobilenet_v2"), image(8, 3, 224, 224), labels(2, 8)),
    "smallcnn_64_b64": (small_cnn, image(64, 3, 64, 64), labels(2, 64)),
    "unet2d_128_b8": (lambda: UNet(2, 1, 2, 32, 0.2), image(8, 1, 128, 128), labels(2, 8, 128, 128)),
    "unet3d_64_b1": (lambda: UNet(3, 1, 3, 16, 0), image(1, 1, 64, 64, 64), labels(3, 1, 64, 64, 64)),
    "bilstm_attn_b16_t200": (BiLSTM, labels(20000, 16, 200), labels(2, 16)),
    "mlp_32_64_10_b32": (lambda: nn.Sequential(nn.Linear(32, 64), nn.ReLU(True), nn.Linear(64, 10)),
                         image(32, 32), labels(10, 32)),
}


def time_step(name):
    model, x, y = (make() for make in STEPS[name])
    small = name.startswith("mlp")
    times = 300 if small else 1
    opt = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0 if small else 0.9)

    def step():
        opt.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        opt.step()

    def repeated(f):
        return median_ms(lambda: [f() for _ in range(times)] and None) / times
    step_ms = repeated(step)
    model.eval()
    with torch.no_grad():
        infer_ms = repeated(lambda: model(x) is None)
    return dict(name=name, params=sum(p.numel() for p in model.parameters()), infer_ms=infer_ms,
                step_ms=step_ms, peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


for name in args.names:
    row = time_op(name) if args.what == "ops" else time_step(name)
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}), flush=True)
