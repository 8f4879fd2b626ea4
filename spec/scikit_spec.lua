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
end)
