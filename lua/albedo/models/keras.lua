--- Weights of Keras' applications under torchvision's names and layout: what al.io.tfjs reads
-- of a MobileNetV2 or Inception-v3.
--
--   local state, topology = al.io.tfjs "model.json"
--   local weights, about = al.models.keras("mobilenet_v2", state, topology)
--   al.models.mobilenet_v2 { weights = weights, classes = 5, padding = "same_tf" }

local al = require "albedo"

-- Keras' batch norms add 1e-3 to the variance, torchvision's MobileNetV2 1e-5.
local EPSILON = { mobilenet_v2 = 1e-3 - 1e-5, inception_v3 = 0 }

-- torchvision's name -> Keras' layer, of the convolutions and batch norms.
local names = {}

function names.mobilenet_v2()
  local map = {
    ["features.0.0"] = "Conv1", ["features.0.1"] = "bn_Conv1",
    ["features.18.0"] = "Conv_1", ["features.18.1"] = "Conv_1_bn",
  }
  for i = 1, 17 do
    local block = i == 1 and "expanded_conv" or "block_" .. i - 1
    local to, k = ("features.%d.conv."):format(i), 0
    for _, part in ipairs(i > 1 and { "expand", "depthwise" } or { "depthwise" }) do
      map[to .. k .. ".0"] = block .. "_" .. part
      map[to .. k .. ".1"] = block .. "_" .. part .. "_BN"
      k = k + 1
    end
    map[to .. k], map[to .. k + 1] = block .. "_project", block .. "_project_BN"
  end
  return map
end

-- Keras numbers its layers in the order in which they are built, which is torchvision's.
function names.inception_v3()
  local map, k = {}, 0
  for name, m in al.models.inception_v3 { width = 0.02, classes = 1 }:modules() do
    if m.classname == "ConvNorm" and not name:find "^AuxLogits" then
      k = k + 1
      map[name .. ".conv"] = "conv2d_" .. k
      map[name .. ".bn"] = "batch_normalization_" .. k
    end
  end
  return map
end

-- A kernel (h, w, inputs, outputs) as (outputs, inputs, h, w); a depthwise one is (h, w,
-- channels, 1) and becomes (channels, 1, h, w).
local function kernel(w, depthwise)
  if depthwise then return w:permute(3, 4, 1, 2):contiguous() end
  return w:permute(4, 3, 1, 2):contiguous()
end

-- The layers of a topology by name.
local function layers_of(topology)
  local found, config = {}, topology.model_config
  config = type(config) == "table" and config.config
  local list = type(config) == "table" and (config.layers or config) or {}
  for _, layer in ipairs(type(list) == "table" and list or {}) do
    local own = type(layer) == "table" and type(layer.config) == "table" and layer.config
    if own and type(own.name) == "string" then found[own.name] = own end
  end
  return found
end

--- keras(arch, state, topology) -> state dict of al.models[arch], about. arch: "mobilenet_v2"
--- or "inception_v3", at full width; state and topology as al.io.tfjs gives them. The last
--- layer has no counterpart and is left out. about.frozen: the names of the modules that were
--- not trainable when the model was saved.
return function(arch, state, topology)
  if not names[arch] then
    al.raise(("models.keras: mobilenet_v2 or inception_v3, got %s"):format(tostring(arch)))
  end
  local out, frozen, layers = {}, {}, layers_of(topology or {})
  local function get(layer, part, missing)
    local x = state[layer .. "/" .. part]
    if not al.is_tensor(x) then
      if missing then return missing end
      al.raise(("models.keras: the file is no %s: it has no %s/%s"):format(arch, layer, part))
    end
    return x
  end
  for name, layer in pairs(names[arch]()) do
    local depthwise = state[layer .. "/depthwise_kernel"]
    if depthwise or state[layer .. "/kernel"] then
      out[name .. ".weight"] = kernel(depthwise or state[layer .. "/kernel"], depthwise ~= nil)
    else
      local mean = get(layer, "moving_mean")
      out[name .. ".running_mean"] = mean
      out[name .. ".running_var"] = get(layer, "moving_variance") + EPSILON[arch]
      out[name .. ".bias"] = get(layer, "beta")
      out[name .. ".weight"] = get(layer, "gamma", al.ones_like(mean)) -- Inception has none
    end
    if layers[layer] and layers[layer].trainable == false then frozen[#frozen + 1] = name end
  end
  table.sort(frozen)
  return out, { frozen = frozen }
end
