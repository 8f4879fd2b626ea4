-- Overhead of an op on 8 float32 elements: medians of nanoseconds a call.
--   lua5.4 spec/bench/small.lua            targets: add under 400, (x * b):sum():backward() under 3000
local al = require "albedo"

local function median_ns(n, f)
  local took = {}
  for r = 1, 9 do
    local from = al.clock()
    al.scope(f, n)
    took[r] = (al.clock() - from) / n * 1e9
  end
  table.sort(took)
  return took[5]
end

local a, b = al.randn(8), al.randn(8)
local x = al.randn(8):requires_grad_()

local rows = {
  { "add", 20000, function(n) for _ = 1, n do local _ = a + b end end },
  { "add a number", 20000, function(n) for _ = 1, n do local _ = a + 1 end end },
  { "add, recorded", 20000, function(n) for _ = 1, n do local _ = x + b end end },
  { "relu", 20000, function(n) for _ = 1, n do a:relu() end end },
  { "forward and backward of (x * b):sum()", 5000, function(n) for _ = 1, n do (x * b):sum():backward() end end },
}
print(tostring(al.version()))
for _, row in ipairs(rows) do print(("%-40s %8.0f ns"):format(row[1], median_ns(row[2], row[3]))) end
