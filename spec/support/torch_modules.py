"""Modules of PyTorch run with their own weights, as a Lua chunk on standard output: see spec/nn/torch_spec.lua.

The chunk is function(T, nn) -> list of {name, module, state, call, outputs, cotangents, grads, gx}; call(module)
runs it on the same inputs. Sequences come batch first.
"""
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torch_cases import lua, randn


def check(name, make, module, call, run, x, **tensors):
    """call: Lua of m(x, ...) in terms of the names in `tensors`; run: the same in PyTorch, a tuple."""
    x.requires_grad_()
    outputs = run(module, x)
    seeds = [randn(y.shape) for y in outputs]
    leaves = [x] + list(module.parameters())
    grads = torch.autograd.grad(outputs, leaves, seeds)
    state = ",".join("['%s']=%s" % (k, lua(v)) for k, v in module.state_dict().items())
    names = [k for k, _ in module.named_parameters()]
    print("do local x=%s" % lua(x))
    for k, v in tensors.items():
        print("local %s=%s" % (k, lua(v)))
    print("c[#c+1]={name='%s',x=x,module=%s,state={%s}," % (name, make, state))
    print("call=function(m) return %s end," % call)
    print("outputs=%s,cotangents=%s,gx=%s," % (lua(outputs), lua(seeds), lua(grads[0])))
    print("grads={%s}} end" % ",".join("['%s']=%s" % (k, lua(g)) for k, g in zip(names, grads[1:])))


def flat(y, state):
    return (y,) + tuple(state if isinstance(state, tuple) else (state,))


def recurrent():
    for kind in ("LSTM", "GRU"):
        for layers, both, bias in ((1, False, True), (1, True, False), (2, True, True), (2, False, True)):
            module = getattr(nn, kind)(3, 4, layers, bias, True, bidirectional=both)
            make = "nn.%s(3,4,{num_layers=%d,bidirectional=%s,bias=%s,dtype='float64'})" % (
                kind, layers, str(both).lower(), str(bias).lower())
            check(kind, make, module, "m(x)", lambda m, x: flat(*m(x)), randn(5, 7, 3))
            lengths = torch.tensor([7, 6, 3, 3, 1])
            dirs = 2 if both else 1
            h0, c0 = randn(layers * dirs, 5, 4), randn(layers * dirs, 5, 4)

            def run(m, x):
                start = (h0, c0) if kind == "LSTM" else h0
                y, state = m(pack_padded_sequence(x, lengths, True), start)
                return flat(pad_packed_sequence(y, True)[0], state)
            call = "m(x,{h0=h0,%slengths=lengths})" % ("c0=c0," if kind == "LSTM" else "")
            check(kind + " packed", make, module, call, run, randn(5, 7, 3), h0=h0, c0=c0, lengths=lengths)
    h, c = randn(5, 4), randn(5, 4)
    check("LSTMCell", "nn.LSTMCell(3,4,{dtype='float64'})", nn.LSTMCell(3, 4), "m(x,h,k)",
          lambda m, x: m(x, (h, c)), randn(5, 3), h=h, k=c)
    check("GRUCell", "nn.GRUCell(3,4,{dtype='float64'})", nn.GRUCell(3, 4), "m(x,h)",
          lambda m, x: (m(x, h),), randn(5, 3), h=h)


print("return function(T, nn) local c = {}")
recurrent()
print("return c end")
