-- onnx_full.lua FOLDER: every case at the spec's size, and the architectures at their full size,
-- as FOLDER/NAME.onnx with NAME.x.npy in and NAME.want.npy out. `make check-onnx` runs them.
local al = require "albedo"
local cases = require "spec.support.onnx_cases"
local folder = arg[1]
al.seed(4)

local function export(c, prefix)
  al.scope(function()
    local base = ("%s/%s%s"):format(folder, prefix, c.name)
    al.onnx.save(base .. ".onnx", c.net, c.example)
    al.save(base .. ".x.npy", c.example)
    al.save(base .. ".want.npy", (al.no_grad(c.net, c.example)):contiguous())
  end)
end

for _, c in ipairs(cases.ops()) do export(c, "op_") end
for c in cases.networks() do export(c, "small_") end
for c in cases.networks(true) do export(c, "full_") end
