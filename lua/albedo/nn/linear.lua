--- Linear and Embedding layers, and the convolutions.

local al = require "albedo"
local module = require "albedo.nn.module"
local init = require "albedo.nn.weights"
local options = require "albedo.options"
local class, Parameter = module.class, module.Parameter
local unpack = table.unpack or unpack
local layers = {}

--- y = x w^T + b. x (..., inputs) -> (..., outputs). Parameters weight (outputs, inputs), bias
-- (outputs). Options: bias = true, dtype.
local Linear = class "Linear"
function Linear:init(inputs, outputs, opts)
  local o = options("Linear", opts, { bias = true, dtype = "float32" })
  self.weight = Parameter(al.empty(outputs, inputs, { dtype = o.dtype }))
  if o.bias then self.bias = Parameter(al.empty(outputs, { dtype = o.dtype })) end
  init.default_(self.weight, self.bias)
end
function Linear:forward(x) return al.linear(x, self.weight, self.bias) end
function Linear:describe()
  return ("%d -> %d"):format(self.weight.shape[2], self.weight.shape[1])
end
layers.Linear = Linear

--- Rows of a table: labels (...) counted from 1 -> (..., dims). Parameter weight (count, dims),
-- normal(0, 1). Options: padding_idx, a row that starts at zero and gets no gradient; dtype.
local Embedding = class "Embedding"
function Embedding:init(count, dims, opts)
  local o = options("Embedding", opts, { dtype = "float32" }, { "padding_idx" })
  self.weight, self.padding_idx = Parameter(al.empty(count, dims, { dtype = o.dtype })),
    o.padding_idx
  init.normal_(self.weight)
  if o.padding_idx then
    al.no_grad(function() self.weight:narrow(1, o.padding_idx, 1):fill_(0) end)
  end
end
function Embedding:forward(labels)
  return al.embedding(self.weight, labels, { padding_idx = self.padding_idx })
end
function Embedding:describe()
  return ("%d, %d"):format(self.weight.shape[1], self.weight.shape[2])
end
layers.Embedding = Embedding

-- { 3, 3 } from 3, or from { 3, 3 }
local function each_dim(what, name, value, dims)
  local all = {}
  for i = 1, dims do all[i] = type(value) == "table" and value[i] or value end
  if type(value) == "number" or type(value) == "table" and #value == dims then return all end
  error(("%s: %s is a number or a list of %d"):format(what, name, dims), 4)
end

-- The layers Conv1d, Conv2d, Conv3d and ConvTranspose1d, 2d, 3d:
--   nn.ConvNd(inputs, outputs, kernel, opts)           x (n, inputs, ...) -> (n, outputs, ...)
-- kernel: a number, or one a dim. Parameters weight (outputs, inputs / groups, kernel)
-- (transposed: inputs and outputs change places), bias (outputs). Options: stride = 1, pad = 0,
-- dilation = 1, groups = 1, each a number or a list; bias = true, dtype; transposed only:
-- output_padding = 0.
local function convolution(dims, transposed)
  local name = (transposed and "ConvTranspose%dd" or "Conv%dd"):format(dims)
  local op = (transposed and "conv_transpose%dd" or "conv%dd"):format(dims)
  local Conv = class(name)
  layers[name] = Conv

  function Conv:init(inputs, outputs, kernel, opts)
    local o = options(name, opts, {
      stride = 1, pad = 0, dilation = 1, groups = 1, bias = true, dtype = "float32",
      output_padding = transposed and 0 or nil,
    })
    if inputs % o.groups ~= 0 or outputs % o.groups ~= 0 then
      error(("%s: %d inputs and %d outputs do not divide in %d groups")
        :format(name, inputs, outputs, o.groups), 3)
    end
    local shape = each_dim(name, "kernel", kernel, dims)
    self.kernel = table.concat(shape, "x")
    if transposed then inputs, outputs = outputs, inputs end
    shape = { outputs, math.floor(inputs / o.groups), unpack(shape) }
    self.weight = Parameter(al.empty(shape, { dtype = o.dtype }))
    if o.bias then
      self.bias = Parameter(al.empty(transposed and inputs or outputs, { dtype = o.dtype }))
    end
    init.default_(self.weight, self.bias)
    o.bias, o.dtype = nil, nil
    self.options = o
  end

  function Conv:forward(x) return al[op](x, self.weight, self.bias, self.options) end

  function Conv:describe()
    local o, shape = self.options, self.weight.shape
    local from, to = shape[2] * o.groups, shape[1]
    if transposed then from, to = to, from end
    local parts = { ("%d -> %d, %s"):format(from, to, self.kernel) }
    for _, key in ipairs { "stride", "pad", "output_padding", "dilation", "groups" } do
      local value = o[key]
      value = type(value) == "table" and table.concat(value, "x") or value and tostring(value)
      if value and not value:find(key:find "pad" and "^[0x]*$" or "^[1x]*$") then
        parts[#parts + 1] = key .. "=" .. value
      end
    end
    return table.concat(parts, ", ")
  end
end
for dims = 1, 3 do
  convolution(dims, false)
  convolution(dims, true)
end

return layers
