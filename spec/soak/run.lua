-- lua5.4 spec/soak/run.lua [KILLS]: see soak.lua.
package.path = "spec/soak/?.lua;" .. package.path
local kills = tonumber(arg[1]) or 20
local hits = require "soak"(kills, 200, function(n, runs)
  print(("%d kills, %d runs: weights and figures as those of the uninterrupted run"):format(n, runs))
end)
print(("%d passed, 0 failed"):format(hits))
