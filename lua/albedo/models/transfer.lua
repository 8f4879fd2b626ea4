--- What every model constructor does with its options weights and freeze.

local al = require "albedo"

--- Loads opts.weights into `net` (a safetensors path or a state dict; names as torchvision's),
-- leaving the head, whose names match `head`, as it is when its shape differs, and freezes the
-- parameters that match opts.freeze. The report of what matched becomes net.report. Returns net
-- and the file's metadata.
return function(net, opts, head)
  local metadata = {}
  if opts.weights then
    local state = opts.weights
    if type(state) == "string" then
      local file = al.io.open(state)
      state, metadata = {}, file.metadata
      for _, name in ipairs(file:names()) do state[name] = file:read(name) end
    end
    local replaced = false
    for name, own in pairs(net:state_dict()) do
      local value = name:find(head) and state[name]
      if value and table.concat(value.shape, "x") ~= table.concat(own.shape, "x") then
        replaced = true
      end
    end
    net.report = net:load_state_dict(state, { skip = replaced and head or nil })
  end
  if opts.freeze then net:freeze(opts.freeze) end
  return net, metadata
end
