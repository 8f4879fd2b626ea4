--- Normalisation layers: batch, instance, group, layer.
-- Formula of all: y = (x - mean) / sqrt(var + eps) * weight + bias; they differ in what is
-- averaged.

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
      { eps = 1e-5, momentum = 0.1, affine = true, track = true, dtype = "float32" }, nil, 4)
    self.channels, self.eps, self.momentum = channels, o.eps, o.momentum
    affine(self, { channels }, o)
    if o.track then
      self:buffer("running_mean", al.zeros(channels, { dtype = o.dtype }))
      self:buffer("running_var", al.ones(channels, { dtype = o.dtype }))
    end
  end
  function BatchNorm:forward(x)
    local training = self.training or self.running_mean == nil
    return al.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
      { training = training, momentum = self.momentum, eps = self.eps })
  end
  function BatchNorm:describe() return tostring(self.channels) end
end
for dims = 1, 3 do batch_norm(dims) end

--- Each sample's channels normalised over space. x (n, channels, h, w). Options: eps = 1e-5,
-- affine = false, dtype.
local InstanceNorm2d = class "InstanceNorm2d"
layers.InstanceNorm2d = InstanceNorm2d
function InstanceNorm2d:init(channels, opts)
  local o = options("InstanceNorm2d", opts, { eps = 1e-5, affine = false, dtype = "float32" },
    nil, 4)
  self.channels, self.eps = channels, o.eps
  affine(self, { channels }, o)
end
function InstanceNorm2d:forward(x)
  return al.group_norm(x, self.channels, self.weight, self.bias, { eps = self.eps })
end
function InstanceNorm2d:describe() return tostring(self.channels) end

--- Channels normalised in groups. x (n, channels, ...). Options: eps = 1e-5, affine = true,
-- dtype.
local GroupNorm = class "GroupNorm"
layers.GroupNorm = GroupNorm
function GroupNorm:init(groups, channels, opts)
  local o = options("GroupNorm", opts, { eps = 1e-5, affine = true, dtype = "float32" }, nil, 4)
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
  local o = options("LayerNorm", opts, { eps = 1e-5, affine = true, dtype = "float32" }, nil, 4)
  self.shape, self.eps = type(shape) == "table" and shape or { shape }, o.eps
  affine(self, self.shape, o)
end
function LayerNorm:forward(x)
  return al.layer_norm(x, self.shape, self.weight, self.bias, { eps = self.eps })
end
function LayerNorm:describe() return table.concat(self.shape, "x") end

return layers
