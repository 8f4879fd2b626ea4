"""Outputs of torchvision's networks as a Lua chunk on standard output: see spec/models/torchvision_spec.lua.

No weights are written: both sides fill every tensor by the formula of fill(). The chunk is a list of
{name, options, size, state = {name = shape}, outputs}; a network runs on fill("x", size) in evaluation mode.
"""
import math
import sys

import torch
from torch import nn
import torchvision.models as tv

from torch_cases import lua

PRIME = 10007
M = torch.arange(PRIME, dtype=torch.float64)
NUMBERS = M * M * M * 31 % PRIME / PRIME * 2 - 1


def fill(name, shape):
    """Pseudo-random numbers in (-1, 1), exact in both languages: NUMBERS again and again, from a place by name."""
    count, start = math.prod(shape), sum(name.encode()) % PRIME
    return NUMBERS.repeat((start + count) // PRIME + 1)[start:start + count].reshape(shape)


def weights(module):
    state = {k: t for k, t in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    for name, t in state.items():
        v = fill(name, t.shape)
        if t.dim() > 1:
            v = v * math.sqrt(6 / t[0].numel())
        elif name.endswith(("running_var", "weight")):
            v = 1 + v / 2
        t.copy_(v)
    return {k: list(t.shape) for k, t in state.items()}


def check(name, options, module, *size, x=None):
    module = module.double().eval()
    with torch.no_grad():
        state = weights(module)
        y = module(fill("x", size) if x is None else x)
    state = ",".join("['%s']=%s" % (k, lua(v)) for k, v in state.items())
    print("{name='%s',options=%s,size=%s,state={%s},outputs=%s}," % (
        name, options, lua(list(size)), state, lua(y.reshape(-1).tolist())))


def small_vgg(norm):
    net = (tv.vgg11_bn if norm else tv.vgg13)(num_classes=2, init_weights=False)
    net.avgpool = nn.AdaptiveAvgPool2d(1)
    net.classifier[0], net.classifier[3], net.classifier[6] = nn.Linear(512, 64), nn.Linear(64, 64), nn.Linear(64, 7)
    return net


def torchvision():
    check("vgg11", "{hidden=64,pool=1,classes=7,batch_norm=true}", small_vgg(True), 1, 3, 40, 40)
    check("vgg13", "{hidden=64,pool=1,classes=7}", small_vgg(False), 1, 3, 40, 40)
    check("resnet18", "{classes=7}", tv.resnet18(num_classes=7), 1, 3, 50, 40)
    check("resnet50", "{classes=7}", tv.resnet50(num_classes=7), 1, 3, 50, 40)
    check("squeezenet1_0", "{classes=7}", tv.squeezenet1_0(num_classes=7), 2, 3, 65, 50)
    check("squeezenet1_1", "{classes=7}", tv.squeezenet1_1(num_classes=7), 2, 3, 65, 50)
    check("mobilenet_v2", "{classes=7,width=0.5}", tv.mobilenet_v2(num_classes=7, width_mult=0.5), 2, 3, 50, 40)
    check("densenet121", "{classes=7,width=0.25}",
          tv.DenseNet(8, (6, 12, 24, 16), 16, num_classes=7), 1, 3, 50, 65)
    inception = tv.inception_v3(weights=None, num_classes=7, init_weights=False, transform_input=True)
    check("inception_v3", "{classes=7,transform_input=true}", inception, 1, 3, 75, 80)


def steps():
    """The networks whose speed is compared."""
    try:
        sys.path.insert(0, "../shared/peers")
        import torch_steps as peer
    except ImportError:
        return
    check("unet2d", "{base=4,levels=4,dropout=0.2}", peer.UNet(2, 1, 2, 4, 4, 0.2), 2, 1, 24, 16)
    check("unet3d", "{base=4,levels=3,plan='ronneberger',up_bias=true,in_channels=1}", peer.UNet(3, 1, 3, 4, 3),
          1, 1, 12, 8, 4)
    words = (torch.arange(14) % 11).reshape(2, 7)
    check("bilstm", "{vocabulary=11,embedding=5,hidden=3,tasks=4}", peer.SharedAttention(11, 5, 3, 4), 2, 7, x=words)


print("return {")
torchvision()
steps()
print("}")
