import numpy as np
import torch

from peer import row


def omp(signals, atoms, nonzeros, gram=None, tol=0.0):
    """The definition: least squares on the atoms chosen so far, one signal at a time."""
    d, codes = atoms.double().numpy(), []
    for y in signals.double().numpy():
        chosen, rest, code = [], y, np.zeros(len(d))
        while len(chosen) < min(nonzeros, *d.shape) and np.linalg.norm(rest) > tol:
            chosen.append(int(np.argmax(np.abs(d @ rest))))
            w = np.linalg.lstsq(d[chosen].T, y, rcond=None)[0]
            rest = y - w @ d[chosen]
            code[chosen] = w
        codes.append(code)
    return torch.as_tensor(np.array(codes)).reshape(len(signals), len(d))



row("omp", omp, lambda d: (d.normal((d.int(1, 5), n := d.int(4, 9))), d.normal((d.int(3, 12), n)), d.int(1, 3)),
    grad=False, dtype=False)
