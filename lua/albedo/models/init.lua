--- al.models: known architectures under torchvision's parameter names, so that its state dicts
-- load as they are.
--
--   local net = al.models.vgg16 { classes = 2, width = 0.5, batch_norm = true }
-- local net = al.models.mobilenet_v2 { weights = "mobilenet_v2.safetensors", classes = 5,
-- freeze = "^features" }
--   print(net.report)                                  -- which names matched

local models = {}

for _, depth in ipairs { 11, 13, 16, 19 } do
  models["vgg" .. depth] = function(opts) return require "albedo.models.vgg"(depth, opts) end
end
function models.squeezenet1_0(opts) return require "albedo.models.squeezenet"(opts) end
function models.mobilenet_v2(opts) return require "albedo.models.mobilenet"(opts) end

--- Pictures as a batch for these networks: see albedo.models.preprocess.
function models.preprocess(...) return require "albedo.models.preprocess"(...) end

return models
