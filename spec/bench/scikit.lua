-- Ours beside scikit-image's and scikit-learn's, on the same data: best times, their ratio, the largest difference.
--   lua5.4 spec/bench/scikit.lua [fbp] [omp] [--threads N] [--rounds N]
local al = require "albedo"

local threads, rounds, wanted, i = 1, 3, {}, 1
while arg[i] do
  if arg[i] == "--threads" then threads, i = tonumber(arg[i + 1]), i + 1
  elseif arg[i] == "--rounds" then rounds, i = tonumber(arg[i + 1]), i + 1
  else wanted[arg[i]] = true end
  i = i + 1
end
al.threads(threads)

local works = {
  { "fbp", 512, "iradon, 512x512 from 360 angles", function(t)
    return t.sinogram:iradon(t.angles), t.picture
  end },
  { "omp", 10000, "OMP, 10,000 signals of 512, 1,024 atoms, 10 nonzeros", function(t)
    return t.signals:t():omp(t.atoms:t(), 10):t(), t.code
  end },
}
local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir " .. folder))
for _, work in ipairs(works) do
  local name, size, title, ours = (table.unpack or unpack)(work)
  if next(wanted) == nil or wanted[name] then
    local pipe = io.popen(("/usr/bin/python3 spec/bench/scikit.py %s %s %d %d %d"):format(name, folder, size,
      rounds, threads))
    local theirs = assert(tonumber(pipe:read "*l"), "no scikit-image or scikit-learn")
    pipe:close()
    local data = al.load(("%s/%s.npz"):format(folder, name))
    local best, off = math.huge, nil
    for _ = 1, rounds + 1 do
      al.scope(function()
        local began = al.clock()
        local y, want = ours(data)
        best = math.min(best, (al.clock() - began) * 1e3)
        off = (y:to "float64" - want):abs():max():item()
      end)
    end
    print(("%-54s %d threads  ours %8.1f ms  theirs %8.1f ms  ratio %5.2f  largest difference %.1e"):format(title,
      threads, best, theirs, theirs / best, off))
    os.remove(("%s/%s.npz"):format(folder, name))
  end
end
os.execute("rmdir " .. folder)
