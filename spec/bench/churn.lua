-- 100 steps of 120 temporaries of 2 MB inside loader scopes, and without scopes: seconds and peak memory.
--   lua5.4 spec/bench/churn.lua            target: resident peak under 300 MB
local al = require "albedo"

local function peak_resident()
  for line in io.lines("/proc/self/status") do
    local kb = line:match("^VmHWM:%s+(%d+) kB")
    if kb then return tonumber(kb) / 1024 end
  end
end

local SIDE = 724 -- 724 x 724 float32: 2 MB
local function step(x)
  for _ = 1, 120 do x = x + 1 end
  return x
end

local set = al.data.tensors(al.zeros(100, 1))
local from = al.clock()
for _ in al.data.loader(set, { batch = 1 }) do step(al.zeros(SIDE, SIDE)) end
print(("loader scopes: %.2f s, peak %.0f MB resident"):format(al.clock() - from, peak_resident()))

from = al.clock()
for _ = 1, 100 do step(al.zeros(SIDE, SIDE)) end
print(("no scopes:     %.2f s, peak %.0f MB resident"):format(al.clock() - from, peak_resident()))
