--- What every architecture's constructor does: options, weights, freezing.

local al = require "albedo"
local options = require "albedo.options"
local ranges = require "albedo.models.ranges"

-- `weights`, a file's path or a state dict, as a state dict; and its metadata.
local function read(weights)
  if type(weights) ~= "string" then return weights, {} end
  return al.io.weights(weights)
end

--- define(name, make, head, defaults, rename) -> function(opts) -> make(o), o the options:
-- `defaults`, classes = 1000, width = 1 (factor on all channels); and
--   weights  a safetensors or PyTorch file or a state dict, names as torchvision's. The
--            head, whose parameters match the Lua pattern `head`, stays new where its shape
--            differs or the file has none. The report of what matched is net.report.
--   rename   what load_state_dict does to the file's names first; `rename` by default
--   freeze   a Lua pattern of parameters that shall not train.
--   padding  where `defaults` has it: "symmetric", torchvision's, or "same_tf", TensorFlow's.
--            Where a file says that it was trained with TensorFlow's, net.report notes it.
-- Numbers out of range (width > 0, 0 <= dropout < 1, all others whole, from 1 on) raise.
-- o.wide(n) is n channels times width, rounded, at least 1.
return function(name, make, head, defaults, rename)
  local all = { classes = 1000, width = 1 }
  for key, value in pairs(defaults) do all[key] = value end
  return function(opts)
    local o = options(name, opts, all, { "weights", "freeze", "rename" })
    ranges(name, o, all)
    function o.wide(n) return math.max(1, math.floor(n * o.width + 0.5)) end
    if o.padding and o.padding ~= "symmetric" and o.padding ~= "same_tf" then
      al.raise(("%s: padding is symmetric or same_tf, got %s")
        :format(name, tostring(o.padding)))
    end
    local net = make(o)
    if o.padding == "same_tf" then net:apply(function(m) m.tensorflow = true end) end
    if o.weights then
      local state, metadata = read(o.weights)
      net.report = net:load_state_dict(state, { head = head, rename = o.rename or rename })
      net.metadata = metadata
      if o.padding == "symmetric" and metadata.padding == "tf_same" then
        net.report.note = "trained with TensorFlow's padding, try padding = \"same_tf\""
      end
    end
    if o.freeze then net:freeze(o.freeze) end
    return net
  end
end
