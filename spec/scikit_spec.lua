-- What scikit-image and scikit-learn give on the same data; see spec/bench/scikit.py.
local al = require "albedo"

local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir " .. folder)
teardown(function() os.execute("rm -r " .. folder) end)

local function theirs(name, size)
  local pipe = io.popen(("/usr/bin/python3 spec/bench/scikit.py %s %s %d 1 2>/dev/null"):format(name, folder, size))
  local found = pipe:read "*l"
  pipe:close()
  return found and al.load(("%s/%s.npz"):format(folder, name))
end

describe("scikit", function()
  it("image's iradon gives the same picture", function()
    local t = theirs("fbp", 96)
    if not t then return pending "no scikit-image" end
    local y = t.sinogram:iradon(t.angles)
    assert.is_true((y - t.picture):abs():max():item() < 1e-10)
    local single = t.sinogram:to("float32"):iradon(t.angles)
    assert.is_true((single:to "float64" - t.picture):abs():max():item() < 1e-3)
  end)

  it("learn's orthogonal matching pursuit gives the same codes", function()
    local t = theirs("omp", 40)
    if not t then return pending "no scikit-learn" end
    local y = t.signals:t():omp(t.atoms:t(), 10):t()
    assert.is_true((y - t.code):abs():max():item() < 1e-12)
  end)

  -- Its dictionary learning starts elsewhere and solves another problem (an l1 penalty). Coded alike by
  -- OMP, K-SVD's best of three starts has to represent the same signals as well.
  it("learn's dictionaries represent no better than K-SVD's", function()
    local t = theirs("learn", 300)
    if not t then return pending "no scikit-learn" end
    local x, n, best = t.signals, 3, math.huge
    local function rest(atoms) return (x - x:omp(atoms, n):matmul(atoms)):square():sum():item() end
    for seed = 1, 3 do
      local d = al.classical.sparse.ksvd(x, { atoms = #t.atoms, nonzeros = n, iterations = 40,
        generator = al.generator(seed) })
      best = math.min(best, rest(d.atoms))
    end
    assert.is_true(best < rest(t.atoms), best .. " " .. rest(t.atoms))
  end)
end)
