-- What the Python scripts beside this file print, where Debian's PyTorch is installed.
local al = require "albedo"

local torch = {}

--- Runs spec/support/NAME.py and returns the function its Lua chunk defines; nil without PyTorch.
function torch.run(name)
  for _, python in ipairs { "python3", "/usr/bin/python3" } do
    local pipe = io.popen(("%s spec/support/%s.py 2>/dev/null"):format(python, name))
    local text = pipe:read "*a"
    pipe:close()
    if text:find "return c end" then return assert((loadstring or load)(text))() end
  end
end

--- The tensors of such a chunk.
function torch.tensor(values, shape, dtype)
  return al.tensor(values, { dtype = dtype }):reshape(shape)
end

return torch
