"""torchvision_photos.py OUT PHOTO...: what torchvision makes of photographs, as float32 one after another in OUT: the
batch (n, 3, 224, 224) in [0, 1], resized and cropped; then, for each of ../shared/weights, the scores (n, 1000)."""
import json
import sys

import numpy as np
from PIL import Image
import torch
import torchvision.models as tv
from torchvision import transforms as T

prepare = T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor()])
normalise = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def safetensors(path):
    data = open(path, "rb").read()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)

    def tensor(d):
        a, b = d["data_offsets"]
        return torch.from_numpy(np.frombuffer(data[start + a:start + b], "<f4").reshape(d["shape"]).copy())
    return {name: tensor(d) for name, d in header.items()}


x = torch.stack([prepare(Image.open(p).convert("RGB")) for p in sys.argv[2:]])
parts = [x]
with torch.no_grad():
    for name in ("squeezenet1_0", "mobilenet_v2"):
        net = getattr(tv, name)()
        net.load_state_dict(safetensors("../shared/weights/%s.safetensors" % name), strict=False)
        parts.append(net.eval()(normalise(x)))
with open(sys.argv[1], "wb") as out:
    for part in parts:
        out.write(part.numpy().astype("<f4").tobytes())
