--- al.models: known architectures under torchvision's parameter names, so that its state dicts
-- load as they are.
--
--   local net = al.models.vgg16 { classes = 2, width = 0.5, batch_norm = true }
--   local net = al.models.mobilenet_v2 { weights = "mobilenet_v2.safetensors", classes = 5,
--     freeze = "^features" }
--   print(net.report)                                  -- which names matched
--
-- al.help "models.define" tells the options of all: classes, width, weights, freeze, rename;
-- al.help "models.resnet18" what else a network takes.

local models = {}
local homes = {
  define = "albedo.models.define", preprocess = "albedo.models.preprocess",
  trunk = "albedo.models.trunk", adapted = "albedo.models.adapted",
  keras = "albedo.models.keras",
}

local files = {
  vgg = "vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn",
  resnet = "resnet18 resnet34 resnet50 resnet101",
  mobilenet = "mobilenet_v2", squeezenet = "squeezenet1_0 squeezenet1_1",
  densenet = "densenet121", inception = "inception_v3", aconvnet = "aconvnet",
  unet = "unet2d unet3d", bilstm = "bilstm",
}
for file, names in pairs(files) do
  for name in names:gmatch "%S+" do
    homes[name] = "albedo.models." .. file
    models[name] = function(opts) return require(homes[name])[name](opts) end
  end
end

function models.preprocess(pictures, opts)
  return require(homes.preprocess)(pictures, opts)
end
function models.trunk(...) return require(homes.trunk)(...) end
function models.adapted(name, opts) return require(homes.adapted)(name, opts) end
function models.keras(...) return require(homes.keras)(...) end

-- `homes` serves al.help.
return setmetatable(models, { homes = homes, __index = function(_, name)
  if type(name) ~= "string" then return nil end
  local hint = require("albedo.suggest")(name, homes)
  require("albedo").raise(("al.models has no \"%s\"%s"):format(name, hint))
end })
