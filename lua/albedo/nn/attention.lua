--- Attention layers over sequences (n, steps, width), batch first: MultiheadAttention and the
-- Transformer's encoder. Parameters are named as PyTorch's.

local al = require "albedo"
local length = require "albedo.length"
local module = require "albedo.nn.module"
local init = require "albedo.nn.weights"
local options = require "albedo.options"
local linear = require "albedo.nn.linear"
local simple = require "albedo.nn.simple"
local norm = require "albedo.nn.norm"
local container = require "albedo.nn.container"
local class, Parameter = module.class, module.Parameter
local layers = {}

--- nn.MultiheadAttention(width, heads, opts)(q, k, v, opts) -> y, weights
-- q (n, l, width), k and v (n, s, width), by default v = k = q; y (n, l, width). Options of one
-- call: key_padding_mask (n, s) and attn_mask (l, s) or (n * heads, l, s), bool, true where one
-- may NOT attend (as PyTorch's module has it, unlike scaled_dot_product_attention), or
-- floating, added; causal = false; need_weights = false: the weights (n, l, s), a mean over the
-- heads, are computed on their own. Options of the layer: dropout = 0 (of the weights, in
-- training), bias = true, dtype. Parameters in_proj_weight (3 width, width), in_proj_bias,
-- out_proj.weight, out_proj.bias.
local MultiheadAttention = class "MultiheadAttention"
layers.MultiheadAttention = MultiheadAttention
function MultiheadAttention:init(width, heads, opts)
  local o = options("MultiheadAttention", opts, { dropout = 0, bias = true, dtype = "float32" })
  if width % heads ~= 0 then
    error(("MultiheadAttention: %d heads do not divide %d"):format(heads, width), 3)
  end
  self.width, self.heads, self.dropout = width, heads, o.dropout
  self.in_proj_weight = Parameter(al.empty(3 * width, width, { dtype = o.dtype }))
  init.xavier_uniform_(self.in_proj_weight)
  if o.bias then self.in_proj_bias = Parameter(al.zeros(3 * width, { dtype = o.dtype })) end
  self.out_proj = linear.Linear(width, width, { bias = o.bias, dtype = o.dtype })
  if o.bias then init.zeros_(self.out_proj.bias) end
end

-- Inputs through rows [part, part + parts) of the three projections.
local function project(self, x, part, parts)
  local first, count = (part - 1) * self.width + 1, parts * self.width
  local w, b = self.in_proj_weight, self.in_proj_bias
  if parts == 3 then return al.linear(x, w, b) end
  return al.linear(x, w:narrow(1, first, count), b and b:narrow(1, first, count))
end

-- (n, steps, heads * d) -> (n, heads, steps, d)
local function split(self, x)
  local s = x.shape
  return x:reshape(s[1], s[2], self.heads, -1):transpose(2, 3)
end

-- PyTorch's two masks as one of scaled_dot_product_attention: bool, true where one may attend,
-- or floating; nil without any.
local function joined(self, n, padding, mask, dtype)
  if padding then padding = padding:unsqueeze(2):unsqueeze(2) end
  if mask and #mask.shape == 3 then
    mask = mask:reshape(n, self.heads, mask.shape[2], mask.shape[3])
  end
  if not (padding and mask) then
    local one = padding or mask
    return one and (one.dtype == "bool" and one:logical_not() or one)
  end
  if padding.dtype == "bool" and mask.dtype == "bool" then
    return padding:logical_or(mask):logical_not()
  end
  local function added(m)
    if m.dtype ~= "bool" then return m end
    return al.zeros(m.shape, { dtype = dtype }):masked_fill(m, -math.huge)
  end
  return added(padding) + added(mask)
end

function MultiheadAttention:forward(q, k, v, opts)
  if type(k) == "table" then k, opts = nil, k end
  local o = options("MultiheadAttention", opts, { causal = false, need_weights = false },
    { "key_padding_mask", "attn_mask" })
  k = k or q
  v = v or k
  local n, l = q.shape[1], q.shape[2]
  local mask = joined(self, n, o.key_padding_mask, o.attn_mask, q.dtype)
  if q == k and k == v then
    local all = project(self, q, 1, 3)
    q, k, v = all:narrow(-1, 1, self.width), all:narrow(-1, self.width + 1, self.width),
      all:narrow(-1, 2 * self.width + 1, self.width)
  else
    q, k, v = project(self, q, 1, 1), project(self, k, 2, 1), project(self, v, 3, 1)
  end
  q, k, v = split(self, q), split(self, k), split(self, v)
  local y = al.scaled_dot_product_attention(q, k, v, { mask = mask, causal = o.causal,
    dropout = self.training and self.dropout or 0 })
  y = self.out_proj(y:transpose(2, 3):reshape(n, l, self.width))
  if not o.need_weights then return y end
  -- attention to the rows of a unit matrix is the weights themselves
  local s = k.shape[3]
  return y, al.scaled_dot_product_attention(q, k, al.eye(s, { dtype = q.dtype }),
    { mask = mask, causal = o.causal }):mean(2)
end

function MultiheadAttention:describe()
  return ("%d, %d heads"):format(self.width, self.heads)
end

--- nn.TransformerEncoderLayer(width, heads, opts)(x, opts): self-attention, then two linear
-- layers, each added to its input and normalised. x (n, steps, width). Options:
-- dim_feedforward = 2048, dropout = 0.1, activation = "relu" (or "gelu"), norm_first = false,
-- layer_norm_eps = 1e-5, dtype; of a call: src_mask, src_key_padding_mask (see
-- MultiheadAttention), causal.
local EncoderLayer = class "TransformerEncoderLayer"
layers.TransformerEncoderLayer = EncoderLayer
function EncoderLayer:init(width, heads, opts)
  local o = options("TransformerEncoderLayer", opts, { dim_feedforward = 2048, dropout = 0.1,
    activation = "relu", norm_first = false, layer_norm_eps = 1e-5, dtype = "float32" })
  self.arguments = { width, heads, o }
  self.norm_first, self.activation = o.norm_first, o.activation
  self.self_attn = MultiheadAttention(width, heads, { dropout = o.dropout, dtype = o.dtype })
  self.linear1 = linear.Linear(width, o.dim_feedforward, { dtype = o.dtype })
  self.dropout = simple.Dropout(o.dropout)
  self.linear2 = linear.Linear(o.dim_feedforward, width, { dtype = o.dtype })
  for i = 1, 2 do
    self["norm" .. i] = norm.LayerNorm(width, { eps = o.layer_norm_eps, dtype = o.dtype })
    self["dropout" .. i] = simple.Dropout(o.dropout)
  end
end

function EncoderLayer:forward(x, opts)
  local o = options("TransformerEncoderLayer", opts, { causal = false },
    { "src_mask", "src_key_padding_mask" })
  local given = { attn_mask = o.src_mask, key_padding_mask = o.src_key_padding_mask,
    causal = o.causal }
  local function attention(v) return self.dropout1(self.self_attn(v, given)) end
  local function feed(v)
    return self.dropout2(self.linear2(self.dropout(al[self.activation](self.linear1(v)))))
  end
  if self.norm_first then
    x = x + attention(self.norm1(x))
    return x + feed(self.norm2(x))
  end
  x = self.norm1(x + attention(x))
  return self.norm2(x + feed(x))
end

--- nn.TransformerEncoder(layer, count, norm): `count` layers like `layer` (a
-- TransformerEncoderLayer), starting from its weights, and a normalisation if given.
local Encoder = class "TransformerEncoder"
layers.TransformerEncoder = Encoder
function Encoder:init(layer, count, last)
  self.layers = container.ModuleList()
  for i = 1, count do
    local arguments = layer.arguments
    self.layers:add(i == 1 and layer or EncoderLayer(arguments[1], arguments[2], arguments[3]))
    self.layers[i]:load_state_dict(layer:state_dict())
  end
  if last then self.norm = last end
end
function Encoder:forward(x, opts)
  for i = 1, length(self.layers) do x = self.layers[i](x, opts) end
  return self.norm and self.norm(x) or x
end

return layers
