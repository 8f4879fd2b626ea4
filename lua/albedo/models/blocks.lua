--- Parts that several architectures share.

local nn = require "albedo.nn"
local blocks = {}

--- A square convolution of odd kernel without bias, padded so that stride 1 keeps the size, its
-- weight as He et al. 2015 draw it. Options: stride = 1, groups = 1, fan = "fan_out".
function blocks.conv(inputs, outputs, kernel, o)
  o = o or {}
  local layer = nn.Conv2d(inputs, outputs, kernel,
    { stride = o.stride or 1, pad = math.floor(kernel / 2), groups = o.groups or 1,
      bias = false })
  nn.init.kaiming_normal_(layer.weight, { mode = o.fan or "fan_out", nonlinearity = "relu" })
  return layer
end

return blocks
