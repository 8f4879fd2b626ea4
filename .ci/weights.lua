-- weights.lua FROM OUT: FROM/NAME/model.json of nsfwjs as OUT/NAME_nsfwjs.safetensors.
local al = require "albedo"
local from, out = arg[1], arg[2]

for _, arch in ipairs { "mobilenet_v2", "inception_v3" } do
  local state, topology = al.io.tfjs(("%s/%s/model.json"):format(from, arch))
  local weights, about = al.models.keras(arch, state, topology)
  local path, count = ("%s/%s_nsfwjs.safetensors"):format(out, arch), 0
  for _ in pairs(weights) do count = count + 1 end
  weights.arch = arch
  weights.source = "npm package nsfwjs 4.3.0: Keras' ImageNet network, its later layers "
    .. "trained on for five classes of pictures; 8 bits a weight; without the last layers"
  weights.license = "MIT (Copyright (c) 2019 Infinite Red, Inc.)"
  weights.padding = "tf_same"
  weights.input = "RGB in [0, 1]: "
    .. "al.models.preprocess(x, { mean = { 0, 0, 0 }, std = { 1, 1, 1 } })"
  weights.untouched = table.concat(about.frozen, " ") -- not trainable when the model was saved
  al.save(path, weights)
  print(("%s: %d tensors; ImageNet's untouched: %d of its convolutions and norms, %s ... %s")
    :format(path, count, #about.frozen, about.frozen[1], about.frozen[#about.frozen]))
end
