-- 16: what is on a photograph. A pretrained network names the subject of each file:
--
--   lua5.4 examples/16_classify.lua --weights mobilenet_v2.safetensors --labels names.txt a.jpg
--
-- --labels FILE    line k names class k; without it classes are numbers, from 1 (ImageNet's
--                  lists often count from 0)
-- --arch NAME      the network, where the file does not say: al.models.NAME
-- --padding WORD   same_tf for weights trained with TensorFlow's padding
-- --map LAYER      also writes a.jpg.map.png, where that layer looked (Grad-CAM)
-- Shows: al.models, al.models.preprocess, al.io.open, al.gradcam, al.image.
local al = require "albedo"

local o, photos, key = {}, {}, nil
for _, word in ipairs(arg or {}) do
  if key then o[key], key = word, nil
  elseif word:find "^%-%-" then key = word:sub(3)
  else photos[#photos + 1] = word end
end
if not o.weights or #photos == 0 then
  print "usage: lua5.4 examples/16_classify.lua --weights FILE [--labels FILE] PHOTO ..."
  return
end

local labels = {}
if o.labels then
  for line in io.lines(o.labels) do labels[#labels + 1] = line end
end

local arch = o.arch or al.io.open(o.weights).metadata.arch
if not arch then error(o.weights .. " does not say which network it is of: give --arch", 0) end
local net = al.models[arch] { weights = o.weights, padding = o.padding }:eval()
print(arch, net.report)

for _, path in ipairs(photos) do
  local x = al.models.preprocess(al.image.load(path))
  local chances, classes = al.no_grad(net, x):softmax(2):topk(5, 2)
  print(path)
  for i = 1, 5 do
    local class = classes[1][i]:item()
    local name, chance = labels[class] or "", chances[1][i]:item()
    print(("  %5.1f %%  %4d  %s"):format(100 * chance, class, name))
  end
  if o.map then
    local map = al.gradcam(net, x, { layer = o.map, class = classes[1][1]:item() })
    al.image.save(path .. ".map.png", map / (map:max() + 1e-12))
  end
end
