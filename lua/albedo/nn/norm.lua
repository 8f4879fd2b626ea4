--- Normalisation layers: batch, instance, group, layer, RMS; spectral_norm of a weight.
-- Formula of the first four: y = (x - mean) / sqrt(var + eps) * weight + bias; they differ in
-- what is averaged.

local al = require "albedo"
local module = require "albedo.nn.module"
local options = require "albedo.options"
local class, Parameter = module.class, module.Parameter
local layers = {}

local function affine(self, shape, o)
  if o.affine then
    self.weight = Parameter(al.ones(shape, { dtype = o.dtype }))
    self.bias = Parameter(al.zeros(shape, { dtype = o.dtype }))
  end
end

-- nn.BatchNormNd(channels, opts): x (n, channels, ...). In training, statistics of the batch
-- over n and space, and running_mean, running_var follow by `momentum` (the share of the new
-- value; the variance unbiased); in evaluation the running ones. Options: eps = 1e-5, momentum
-- = 0.1, affine = true, track = true (false: the batch's always), dtype.
local function batch_norm(dims)
  local name = ("BatchNorm%dd"):format(dims)
  local BatchNorm = class(name)
  layers[name] = BatchNorm
  function BatchNorm:init(channels, opts)
    local o = options(name, opts,
      { eps = 1e-5, momentum = 0.1, affine = true, track = true, dtype = "float32" })
    self.channels, self.eps, self.momentum = channels, o.eps, o.momentum
    affine(self, { channels }, o)
    if o.track then
      self:buffer("running_mean", al.zeros(channels, { dtype = o.dtype }))
      self:buffer("running_var", al.ones(channels, { dtype = o.dtype }))
    end
  end
  function BatchNorm:forward(x)
    local training = self.training and not self.frozen or self.running_mean == nil
    return al.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
      { training = training, momentum = self.momentum, eps = self.eps })
  end
  function BatchNorm:describe() return tostring(self.channels) end
end
for dims = 1, 3 do batch_norm(dims) end

-- nn.InstanceNormNd(channels, opts): each sample's channels normalised over space. x (n,
-- channels, ...). Options: eps = 1e-5, affine = false, dtype.
local function instance_norm(dims)
  local name = ("InstanceNorm%dd"):format(dims)
  local InstanceNorm = class(name)
  layers[name] = InstanceNorm
  function InstanceNorm:init(channels, opts)
    local o = options(name, opts, { eps = 1e-5, affine = false, dtype = "float32" })
    self.channels, self.eps = channels, o.eps
    affine(self, { channels }, o)
  end
  function InstanceNorm:forward(x)
    return al.group_norm(x, self.channels, self.weight, self.bias, { eps = self.eps })
  end
  function InstanceNorm:describe() return tostring(self.channels) end
end
for dims = 1, 3 do instance_norm(dims) end

--- Channels normalised in groups. x (n, channels, ...). Options: eps = 1e-5, affine = true,
-- dtype.
local GroupNorm = class "GroupNorm"
layers.GroupNorm = GroupNorm
function GroupNorm:init(groups, channels, opts)
  local o = options("GroupNorm", opts, { eps = 1e-5, affine = true, dtype = "float32" })
  if channels % groups ~= 0 then
    error(("GroupNorm: %d channels do not divide in %d groups"):format(channels, groups), 3)
  end
  self.groups, self.channels, self.eps = groups, channels, o.eps
  affine(self, { channels }, o)
end
function GroupNorm:forward(x)
  return al.group_norm(x, self.groups, self.weight, self.bias, { eps = self.eps })
end
function GroupNorm:describe() return ("%d groups, %d"):format(self.groups, self.channels) end

--- The last dims normalised. `shape`: their sizes, a number or a list. Options: eps = 1e-5,
-- affine = true, dtype.
local LayerNorm = class "LayerNorm"
layers.LayerNorm = LayerNorm
function LayerNorm:init(shape, opts)
  local o = options("LayerNorm", opts, { eps = 1e-5, affine = true, dtype = "float32" })
  self.shape, self.eps = type(shape) == "table" and shape or { shape }, o.eps
  affine(self, self.shape, o)
end
function LayerNorm:forward(x)
  return al.layer_norm(x, self.shape, self.weight, self.bias, { eps = self.eps })
end
function LayerNorm:describe() return table.concat(self.shape, "x") end

--- The last dims divided by their root mean square: y = x / sqrt(mean x^2 + eps) * weight.
-- `shape`: a number or a list. Options: eps (the spacing of floats at 1), affine = true, dtype.
local RMSNorm = class "RMSNorm"
layers.RMSNorm = RMSNorm
function RMSNorm:init(shape, opts)
  local o = options("RMSNorm", opts, { affine = true, dtype = "float32" }, { "eps" })
  self.shape, self.eps = type(shape) == "table" and shape or { shape }, o.eps
  if o.affine then self.weight = Parameter(al.ones(self.shape, { dtype = o.dtype })) end
end
function RMSNorm:forward(x)
  return al.rms_norm(x, self.shape, self.weight, { eps = self.eps })
end
function RMSNorm:describe() return table.concat(self.shape, "x") end

local function unit(v, eps) return v / v:norm():clamp(eps, math.huge) end

--- nn.spectral_norm(layer, opts): from now on the layer runs with its weight divided by the
-- largest singular value of weight as a matrix (outputs, rest), which power iteration follows,
-- a few steps each call in training. Returns the layer. State as that of PyTorch's
-- nn.utils.spectral_norm: weight_orig trains, buffers weight_u, weight_v. Options:
-- n_power_iterations = 1, eps = 1e-12, dim = 1: the weight's dim of outputs (2 in transposed
-- convolutions). Miyato et al. 2018, arXiv:1802.05957.
function layers.spectral_norm(layer, opts)
  local o = options("spectral_norm", opts, { n_power_iterations = 1, eps = 1e-12,
    dim = layer.classname:find "^ConvTranspose" and 2 or 1 })
  local weight, forward = layer.weight, layer.forward
  local function matrix(w)
    if o.dim ~= 1 then w = w:transpose(1, o.dim) end
    return w:reshape(w.shape[1], -1)
  end
  local rows, columns = (table.unpack or unpack)(matrix(weight:detach()).shape)
  layer.weight = nil
  layer.weight_orig = Parameter(weight)
  local like = { dtype = weight.dtype }
  layer:buffer("weight_u", unit(al.randn({ rows }, like), o.eps))
  layer:buffer("weight_v", unit(al.randn({ columns }, like), o.eps))
  -- the weight in use is no member of its own: neither trained nor saved
  layer._members.weight = layer.weight_orig
  function layer:forward(...)
    local m, original = matrix(self.weight_orig), self.weight_orig
    local u, v = self.weight_u, self.weight_v
    if self.training then
      al.no_grad(function()
        for _ = 1, o.n_power_iterations do
          v:copy_(unit(m:transpose(1, 2):matmul(u), o.eps))
          u:copy_(unit(m:matmul(v), o.eps))
        end
      end)
      u, v = u:clone(), v:clone() -- the graph keeps these; the next call overwrites the buffers
    end
    self._members.weight = original / u:dot(m:matmul(v))
    local y = forward(self, ...)
    self._members.weight = original
    return y
  end
  return layer
end

return layers
