--- Weight initialisation (nn.init): each function fills a tensor in place, outside the graph,
-- and returns it. Random ones take { generator = g }. For a weight (out, in, k...), fan_in = in
-- * prod(k), fan_out = out * prod(k). Formulas: Glorot and Bengio 2010 (xavier), He et al. 2015
-- (kaiming).

local al = require "albedo"
local options = require "albedo.options"
local init = {}

local function quietly(tensor, method, ...)
  al.no_grad(function(...) tensor[method](tensor, ...) end, ...)
  return tensor
end

--- fan_in and fan_out of a weight of two dims or more.
function init.fans(tensor)
  local shape = tensor.shape
  if #shape < 2 then
    error("nn.init: fans need a weight of 2 dims or more, got " .. #shape, 3)
  end
  local field = 1
  for i = 3, #shape do field = field * shape[i] end
  return shape[2] * field, shape[1] * field
end

local gains = {
  linear = 1, sigmoid = 1, tanh = 5 / 3, relu = math.sqrt(2), selu = 3 / 4,
}

--- The gain that keeps the variance through a nonlinearity; `slope` is leaky_relu's (0.01).
function init.gain(nonlinearity, slope)
  if nonlinearity == "leaky_relu" then return math.sqrt(2 / (1 + (slope or 0.01) ^ 2)) end
  return gains[nonlinearity]
    or error("nn.init: unknown nonlinearity '" .. tostring(nonlinearity)
      .. "' (valid: leaky_relu, linear, relu, selu, sigmoid, tanh)", 2)
end

--- Uniform in [low, high).
function init.uniform_(tensor, low, high, opts)
  return quietly(tensor, "uniform_", low or 0, high or 1, opts or {})
end

--- Normal with a mean and a standard deviation.
function init.normal_(tensor, mean, std, opts)
  return quietly(tensor, "normal_", mean or 0, std or 1, opts or {})
end

--- Filled with one number.
function init.constant_(tensor, value) return quietly(tensor, "fill_", value) end
--- Filled with 0.
function init.zeros_(tensor) return init.constant_(tensor, 0) end
--- Filled with 1.
function init.ones_(tensor) return init.constant_(tensor, 1) end

local function rng(o) return { generator = o.generator } end

--- Uniform in +-gain sqrt(6 / (fan_in + fan_out)). Options: gain = 1.
function init.xavier_uniform_(tensor, opts)
  local o = options("xavier_uniform_", opts, { gain = 1 }, { "generator" })
  local fan_in, fan_out = init.fans(tensor)
  local bound = o.gain * math.sqrt(6 / (fan_in + fan_out))
  return init.uniform_(tensor, -bound, bound, rng(o))
end

--- Normal with std gain sqrt(2 / (fan_in + fan_out)). Options: gain = 1.
function init.xavier_normal_(tensor, opts)
  local o = options("xavier_normal_", opts, { gain = 1 }, { "generator" })
  local fan_in, fan_out = init.fans(tensor)
  return init.normal_(tensor, 0, o.gain * math.sqrt(2 / (fan_in + fan_out)), rng(o))
end

local function kaiming(what, tensor, opts)
  local o = options(what, opts, { nonlinearity = "leaky_relu", a = 0, mode = "fan_in" },
    { "generator" })
  local fan_in, fan_out = init.fans(tensor)
  if o.mode ~= "fan_in" and o.mode ~= "fan_out" then
    error(what .. ": mode is 'fan_in' or 'fan_out', got '" .. tostring(o.mode) .. "'", 3)
  end
  return init.gain(o.nonlinearity, o.a) / math.sqrt(o.mode == "fan_in" and fan_in or fan_out), o
end

--- Uniform in +-sqrt(3) gain / sqrt(fan). Options: a = 0 (leaky_relu's slope), mode = "fan_in",
-- nonlinearity = "leaky_relu".
function init.kaiming_uniform_(tensor, opts)
  local std, o = kaiming("kaiming_uniform_", tensor, opts)
  return init.uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std, rng(o))
end

--- Normal with std gain / sqrt(fan). Options as kaiming_uniform_.
function init.kaiming_normal_(tensor, opts)
  local std, o = kaiming("kaiming_normal_", tensor, opts)
  return init.normal_(tensor, 0, std, rng(o))
end

--- PyTorch's default for linear and convolution layers: the weight uniform in +-1/sqrt(fan_in)
-- (which is kaiming_uniform_ with a = sqrt(5)), and so the bias.
function init.default_(weight, bias)
  local fan_in = init.fans(weight)
  local bound = fan_in > 0 and 1 / math.sqrt(fan_in) or 0
  init.uniform_(weight, -bound, bound)
  if bias then init.uniform_(bias, -bound, bound) end
end

return init
