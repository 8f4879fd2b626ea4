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
    state = ",".join("['%s']=%s" % (k, lua(v)) for k, v in module.state_dict().items())  # before it moves
    outputs = run(module, x)
    seeds = [randn(y.shape) for y in outputs]
    leaves = [x] + list(module.parameters())
    grads = torch.autograd.grad(outputs, leaves, seeds)
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


def attention():
    never = torch.triu(torch.ones(5, 5), 1) > 0
    padding = torch.arange(5).expand(3, 5) >= torch.tensor([[5], [3], [2]])
    make = "nn.MultiheadAttention(6,2,{dtype='float64'})"
    three = "m(x,k,v,{need_weights=true})"
    k, v = randn(3, 4, 6), randn(3, 4, 6)
    module = nn.MultiheadAttention(6, 2, batch_first=True)
    check("MHA", make, module, three, lambda m, x: m(x, k, v), randn(3, 5, 6), k=k, v=v)
    for mask, pad in ((never, None), (None, padding), (never, padding), (randn(5, 5), padding),
                      (randn(6, 5, 5), None), (randn(6, 5, 5) > 1, None)):
        call = "m(x,{attn_mask=mask,key_padding_mask=pad,need_weights=true})"
        run = lambda m, x: m(x, x, x, key_padding_mask=pad, attn_mask=mask)
        check("MHA masked", make, module, call, run, randn(3, 5, 6), mask=mask, pad=pad)
    for first, act in ((False, "relu"), (True, "gelu")):
        layer = nn.TransformerEncoderLayer(6, 2, 8, 0.1, act, batch_first=True, norm_first=first)
        module = nn.TransformerEncoder(layer, 2, nn.LayerNorm(6))
        for p in module.parameters():
            p.data += 0.1 * randn(p.shape)
        made = ("nn.TransformerEncoder(nn.TransformerEncoderLayer(6,2,{dim_feedforward=8,activation='%s',"
                "norm_first=%s,dtype='float64'}),2,nn.LayerNorm(6,{dtype='float64'}))" % (act, str(first).lower()))
        check("encoder", made + ":eval()", module.eval(), "m(x,{src_mask=mask,src_key_padding_mask=pad})",
              lambda m, x: (m(x, never, padding),), randn(3, 5, 6), mask=never, pad=padding)


def spectral():
    for dims, made in ((4, nn.Linear(4, 3)), (0, nn.Conv2d(2, 3, 2)), (0, nn.ConvTranspose2d(2, 3, 2))):
        make = {"Linear": "nn.Linear(4,3", "Conv2d": "nn.Conv2d(2,3,2", "ConvTranspose2d": "nn.ConvTranspose2d(2,3,2"}
        text = "nn.spectral_norm(%s,{dtype='float64'}))" % make[type(made).__name__]
        module = nn.utils.spectral_norm(made)
        x = randn(5, 4) if dims else randn(2, 2, 4, 4)
        check("spectral_norm", text, module, "m(x)", lambda m, x: (m(x),), x)
        check("spectral_norm at rest", text + ":eval()", module.eval(), "m(x)", lambda m, x: (m(x),), randn(x.shape))


print("return function(T, nn) local c = {}")
recurrent()
attention()
spectral()
print("return c end")
