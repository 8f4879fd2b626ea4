--- al.models.trunk: the first layers of a pretrained network, as a module of feature maps.
--
--   local trunk = al.models.trunk("mobilenet_v2.safetensors", { stride = 4 })
--   trunk(x)            -- x (n, 3, h, w) in [0, 1] -> (n, trunk.channels, h / 4, w / 4)

local al = require "albedo"
local nn = require "albedo.nn"
local options = require "albedo.options"

-- A name that only this architecture's weights hold, for files that do not say what they are.
local telltale = {
  { "mobilenet_v2", "features.18.0.weight" }, { "squeezenet1_0", "features.5.squeeze.weight" },
  { "squeezenet1_1", "features.6.squeeze.weight" },
  { "vgg19", "features.34.weight" }, { "vgg16", "features.28.weight" },
}

local function architecture(file, path)
  if file.metadata.arch then return file.metadata.arch end
  local has = {}
  for _, name in ipairs(file:names()) do has[name] = true end
  for _, pair in ipairs(telltale) do
    if has[pair[2]] then return pair[1] end
  end
  error(("models.trunk: %s does not say which network it is of"):format(path), 3)
end

local Trunk = nn.class "Trunk"

function Trunk:init(layers, o)
  self.layers, self.stride = layers, o.stride
  self:buffer("mean", al.tensor(o.mean):reshape { 3, 1, 1 })
  self:buffer("std", al.tensor(o.std):reshape { 3, 1, 1 })
end

function Trunk:forward(x)
  local y = self.layers((x - self.mean) / self.std)
  local h, w = x:size(-2) / self.stride, x:size(-1) / self.stride
  if y:size(-2) == h and y:size(-1) == w then return y end
  return al.interpolate(y, { size = { h, w }, mode = "bilinear" })
end

--- The layers of the network in the safetensors file `path` (its metadata's `arch`, or told by
-- names) up to the last whose maps are not smaller than 4/5 of 1/stride of the picture; brought
-- to exactly that by interpolation. Options: stride = 4, mean and std of a channel
-- (torchvision's). The field `channels` says how many it gives, `arch` of which network.
return function(path, opts)
  local o = options("models.trunk", opts,
    { stride = 4, mean = { 0.485, 0.456, 0.406 }, std = { 0.229, 0.224, 0.225 } })
  local arch = architecture(al.io.open(path), path)
  if not al.models[arch] then error("models.trunk: no model is named " .. arch, 2) end
  local features = al.models[arch] { weights = path }.features
  if not features then error(("models.trunk: %s has no row of features"):format(arch), 2) end
  local count, channels, side = 0, 0, 128
  features:eval()
  al.no_grad(function()
    local y = al.zeros(1, 3, side, side)
    for _, layer in features:children() do
      y = layer(y)
      if y:size(3) < 0.8 * side / o.stride then break end
      count, channels = count + 1, y:size(2)
    end
  end)
  local trunk = Trunk(features:slice(1, count):train(), o)
  trunk.channels, trunk.arch = channels, arch
  return trunk
end
