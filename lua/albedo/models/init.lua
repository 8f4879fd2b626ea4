--- al.models: known architectures under torchvision's parameter names, so that its state dicts
-- load as they are.
--
--   local net = al.models.vgg16 { classes = 2, width = 0.5, batch_norm = true }
--   local net = al.models.mobilenet_v2 { weights = "mobilenet_v2.safetensors", classes = 5,
--     freeze = "^features" }
--   print(net.report)                                  -- which names matched
--
-- Options of all: classes, width, dropout, weights, freeze (albedo.models.define); each file
-- says what else its networks take.

local models = {}

local files = {
  vgg = "vgg11 vgg13 vgg16 vgg19", resnet = "resnet18 resnet34 resnet50 resnet101",
  mobilenet = "mobilenet_v2", squeezenet = "squeezenet1_0 squeezenet1_1",
  densenet = "densenet121", inception = "inception_v3", aconvnet = "aconvnet",
  unet = "unet2d unet3d", bilstm = "bilstm",
}
for file, names in pairs(files) do
  for name in names:gmatch "%S+" do
    models[name] = function(opts) return require("albedo.models." .. file)[name](opts) end
  end
end

--- Pictures as a batch for these networks: see albedo.models.preprocess.
function models.preprocess(...) return require "albedo.models.preprocess"(...) end

return models
