--- Recurrent layers over sequences x (n, steps, features), batch first always: LSTM, GRU, and
-- their cells for one step. Parameters are named and laid out as PyTorch's (weight_ih_l0,
-- weight_hh_l0, bias_ih_l0, bias_hh_l0, ..._l1, ..._reverse), uniform in +-1/sqrt(hidden).

local al = require "albedo"
local module = require "albedo.nn.module"
local init = require "albedo.nn.weights"
local options = require "albedo.options"
local class, Parameter = module.class, module.Parameter
local layers = {}

local roles = { "weight_ih", "weight_hh", "bias_ih", "bias_hh" }

-- The parameters of one layer in one direction, their names ending in `suffix`.
local function parameters(self, suffix, gates, inputs, hidden, o)
  if not (inputs >= 1 and hidden >= 1) then
    al.raise(("a recurrent layer of %s inputs and %s hidden units is empty")
      :format(inputs, hidden))
  end
  local shapes = { { gates * hidden, inputs }, { gates * hidden, hidden }, { gates * hidden },
    { gates * hidden } }
  for i = 1, o.bias and 4 or 2 do
    local p = Parameter(al.empty(shapes[i], { dtype = o.dtype }))
    init.uniform_(p, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))
    self[roles[i] .. suffix] = p
  end
end

local function weights(self, suffix)
  return self["weight_ih" .. suffix], self["weight_hh" .. suffix], self["bias_ih" .. suffix],
    self["bias_hh" .. suffix]
end

-- nn.LSTM(inputs, hidden, opts)(x, { h0, c0, lengths }) -> y, h, c
-- nn.GRU(inputs, hidden, opts)(x, { h0, lengths }) -> y, h
-- y (n, steps, dirs * hidden) of the last layer; h, c and h0, c0 (layers * dirs, n, hidden), as
-- PyTorch orders them. lengths (n): steps of each sequence, see al.help "lstm". Options:
-- num_layers = 1, bidirectional = false, dropout = 0 (of every layer's input but the
-- first's, in training), bias = true, dtype.
local function recurrent(name, op, gates)
  local Layer = class(name)
  layers[name] = Layer

  function Layer:init(inputs, hidden, opts)
    local o = options(name, opts, { num_layers = 1, bidirectional = false, dropout = 0,
      bias = true, dtype = "float32" })
    self.inputs, self.hidden, self.num_layers = inputs, hidden, o.num_layers
    self.bidirectional, self.dropout = o.bidirectional, o.dropout
    local dirs = o.bidirectional and 2 or 1
    for l = 0, o.num_layers - 1 do
      local from = l == 0 and inputs or dirs * hidden
      parameters(self, "_l" .. l, gates, from, hidden, o)
      if dirs == 2 then parameters(self, "_l" .. l .. "_reverse", gates, from, hidden, o) end
    end
  end

  function Layer:forward(x, opts)
    local o = options(name, opts, {}, { "lengths", "h0", gates == 4 and "c0" or nil })
    local dirs, h, c = self.bidirectional and 2 or 1, {}, {}
    for l = 0, self.num_layers - 1 do
      if l > 0 and self.training and self.dropout > 0 then x = al.dropout(x, self.dropout) end
      local suffix, given = "_l" .. l, { lengths = o.lengths }
      for _, key in ipairs { "h0", "c0" } do
        given[key] = o[key] and o[key]:narrow(1, l * dirs + 1, dirs)
      end
      local wi, wh, bi, bh = weights(self, suffix)
      if dirs == 2 then
        local wi2, wh2, bi2, bh2 = weights(self, suffix .. "_reverse")
        given.w_ih_reverse, given.w_hh_reverse = wi2, wh2
        given.b_ih_reverse, given.b_hh_reverse = bi2, bh2
      end
      x, h[l + 1], c[l + 1] = al[op](x, wi, wh, bi, bh, given)
    end
    if self.num_layers == 1 then return x, h[1], c[1] end
    return x, al.cat(h, 1), c[1] and al.cat(c, 1)
  end

  function Layer:describe()
    return ("%d -> %d%s%s"):format(self.inputs, self.hidden,
      self.num_layers > 1 and ", " .. self.num_layers .. " layers" or "",
      self.bidirectional and ", bidirectional" or "")
  end

  -- nn.LSTMCell(inputs, hidden)(x, h, c) -> h, c and nn.GRUCell(inputs, hidden)(x, h) -> h, of
  -- one step: x (n, inputs), states (n, hidden), zeros by default. Options: bias = true, dtype.
  local Cell = class(name .. "Cell")
  layers[name .. "Cell"] = Cell

  function Cell:init(inputs, hidden, opts)
    local o = options(name .. "Cell", opts, { bias = true, dtype = "float32" })
    self.inputs, self.hidden = inputs, hidden
    parameters(self, "", gates, inputs, hidden, o)
  end

  function Cell:forward(x, h, c)
    local wi, wh, bi, bh = weights(self, "")
    local _, h1, c1 = al[op](x:unsqueeze(2), wi, wh, bi, bh,
      { h0 = h and h:unsqueeze(1), c0 = c and c:unsqueeze(1) })
    return h1:squeeze(1), c1 and c1:squeeze(1)
  end

  function Cell:describe() return ("%d -> %d"):format(self.inputs, self.hidden) end
end
recurrent("LSTM", "lstm", 4)
recurrent("GRU", "gru", 3)

return layers
