--- Layers of single ops: activations, dropout, losses. (Those over space: albedo.nn.spatial.)

local al = require "albedo"
local module = require "albedo.nn.module"
local options = require "albedo.options"
local class = module.class
local unpack = table.unpack or unpack
local layers = {}

-- nn.ReLU(), nn.LeakyReLU(slope), nn.Softmax(dim), ...: the activation of the same name, its
-- options by position (name = { op, defaults }). nn.ReLU { inplace = true } writes into its
-- input, which must be a result that nothing else reads; nn.ReLU6 likewise.
for name, spec in pairs {
  ReLU = { "relu" }, ReLU6 = { "relu6" }, Sigmoid = { "sigmoid" }, Tanh = { "tanh" },
  SiLU = { "silu" }, GELU = { "gelu" }, SELU = { "selu" }, Mish = { "mish" },
  Hardswish = { "hardswish" }, Hardsigmoid = { "hardsigmoid" }, LogSigmoid = { "logsigmoid" },
  Softsign = { "softsign" }, LeakyReLU = { "leaky_relu", 0.01 }, ELU = { "elu", 1 },
  Softplus = { "softplus", 1, 20 }, Hardtanh = { "hardtanh", -1, 1 },
  Softmax = { "softmax", -1 }, LogSoftmax = { "log_softmax", -1 },
} do
  local Layer = class(name)
  layers[name] = Layer
  function Layer:init(...)
    self.arguments = { ... }
    if type((...)) == "table" and (name == "ReLU" or name == "ReLU6") then
      self.inplace = options(name, (...), { inplace = false }).inplace
      self.arguments = {}
    end
    for i = 2, #spec do
      if self.arguments[i - 1] == nil then self.arguments[i - 1] = spec[i] end
    end
  end
  local write = spec[1] .. "_"
  function Layer:forward(x)
    return al[self.inplace and write or spec[1]](x, unpack(self.arguments))
  end
  function Layer:describe()
    return self.inplace and "inplace" or table.concat(self.arguments, ", ")
  end
end

--- max(x, 0) + weight min(x, 0), one weight or one a channel: nn.PReLU(count, first value).
local PReLU = class "PReLU"
layers.PReLU = PReLU
function PReLU:init(count, value, opts)
  local o = options("PReLU", opts, { dtype = "float32" })
  self.weight = module.Parameter(al.full({ count or 1 }, value or 0.25, { dtype = o.dtype }))
end
function PReLU:forward(x)
  local shape = { -1 }
  for i = 3, #x.shape do shape[i - 1] = 1 end
  return al.relu(x) - self.weight:reshape(shape) * al.relu(-x)
end

-- nn.Dropout(p, opts), whole channels for Dropout1d, 2d, 3d: draws in training only, what stays
-- is scaled by 1 / (1 - p). Options: always = false (true: in evaluation too, Monte Carlo
-- dropout), generator.
for name, op in pairs {
  Dropout = "dropout", Dropout1d = "dropout1d", Dropout2d = "dropout2d",
  Dropout3d = "dropout3d",
} do
  local Dropout = class(name)
  layers[name] = Dropout
  function Dropout:init(p, opts)
    local o = options(name, opts, { always = false }, { "generator" })
    self.p, self.always, self.generator = p or 0.5, o.always, o.generator
  end
  function Dropout:forward(x)
    if not (self.training or self.always) or self.p == 0 then return x end
    return al[op](x, self.p, { generator = self.generator })
  end
  function Dropout:describe() return tostring(self.p) end
end

--- x (n, a, b, ...) -> (n, a * b * ...); nn.Flatten(first, last) names other dims.
local Flatten = class "Flatten"
layers.Flatten = Flatten
function Flatten:init(first, last) self.first, self.last = first or 2, last or -1 end
function Flatten:forward(x) return al.flatten(x, self.first, self.last) end

--- x as it is.
local Identity = class "Identity"
layers.Identity = Identity
function Identity.forward(_, ...) return ... end

--- A function as a layer: nn.Fn(function(x) return x:square() end, "square"). It may not hold
-- parameters.
local Fn = class "Fn"
layers.Fn = Fn
function Fn:init(fn, label) self.fn, self.label = fn, label end
function Fn:forward(...) return self.fn(...) end
function Fn:describe() return self.label or "" end

-- nn.CosineSimilarity(dim, eps)(a, b), nn.PairwiseDistance(p, eps, keepdim)(a, b).
for name, op in pairs {
  CosineSimilarity = "cosine_similarity", PairwiseDistance = "pairwise_distance",
} do
  local Layer = class(name)
  layers[name] = Layer
  function Layer:init(...) self.arguments = { ... } end
  function Layer:forward(a, b) return al[op](a, b, unpack(self.arguments)) end
end

-- Losses as layers: nn.CrossEntropyLoss(opts)(scores, labels); the functions take the same
-- options and arguments.
for name, op in pairs {
  CrossEntropyLoss = "cross_entropy", MSELoss = "mse_loss", L1Loss = "l1_loss", BCELoss = "bce",
  BCEWithLogitsLoss = "bce_with_logits", NLLLoss = "nll_loss", SmoothL1Loss = "smooth_l1_loss",
  HuberLoss = "huber_loss", KLDivLoss = "kl_div", HingeLoss = "hinge_loss",
  HingeEmbeddingLoss = "hinge_embedding_loss", SoftMarginLoss = "soft_margin_loss",
  MarginRankingLoss = "margin_ranking_loss", MultiMarginLoss = "multi_margin_loss",
  TripletMarginLoss = "triplet_margin_loss", CosineEmbeddingLoss = "cosine_embedding_loss",
  PoissonNLLLoss = "poisson_nll_loss", GaussianNLLLoss = "gaussian_nll_loss",
  DiceLoss = "dice_loss", FocalLoss = "focal_loss",
} do
  local Loss = class(name)
  layers[name] = Loss
  function Loss:init(opts) self.options = opts or {} end
  function Loss:forward(input, target, third)
    if third == nil then return al[op](input, target, self.options) end
    return al[op](input, target, third, self.options)
  end
end

return layers
