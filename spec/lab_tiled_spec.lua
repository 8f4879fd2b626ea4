local al = require "albedo"

describe("lab.tiled", function()
  local path = os.tmpname() .. ".tif"
  teardown(function() os.remove(path) end)

  it("gives what the whole volume gives", function()
    al.seed(2)
    local net = al.models.unet3d { in_channels = 1, classes = 2, base = 2, levels = 2 }:eval()
    local x = al.randn(1, 26, 21, 40)
    local padded = al.cat({ x, x:narrow(2, 26, 1):expand(1, 2, 21, 40) }, 2)
    padded = al.cat({ padded, padded:narrow(3, 21, 1):expand(1, 28, 3, 40) }, 3)
    local whole = al.no_grad(net, padded:unsqueeze(1))[1]:narrow(2, 1, 26):narrow(3, 1, 21)
    local tiled = al.lab.tiled(net, x, { tile = 8, margin = 12, step = 4 })
    assert.same({ 2, 26, 21, 40 }, tiled.shape)
    assert.is_true((tiled - whole):abs():max():item() < 1e-5)
    local bare = al.lab.tiled(net, x, { tile = 8, margin = 0, step = 4 }) -- a margin is needed
    assert.is_true((bare - whole):abs():max():item() > 1e-3)
  end)

  it("goes from a TIFF stack to a TIFF stack, slab by slab", function()
    if not al.version().plugins.tiff then return pending "no libtiff" end
    local x = al.randint(0, 255, { 11, 9, 7 }):to "uint8"
    local out = al.lab.write_stack(path, 11, 9, 7)
    out:write(x:narrow(1, 1, 4))
    out:write(x:narrow(1, 5, 7))
    out:close()
    assert.is_true(al.image.load(path):reshape(11, 9, 7):eq(x):all():item())
    local source, slabs = al.lab.stack(path), {}
    assert.same({ 11, 9, 7 }, source.size)
    al.lab.tiled(function(v) return v + 1 end, source, { tile = 4, margin = 2, step = 2,
      write = function(slab, from) slabs[#slabs + 1] = { from, slab } end })
    assert.same({ 1, 5, 9 }, { slabs[1][1], slabs[2][1], slabs[3][1] })
    local back = al.cat({ slabs[1][2], slabs[2][2], slabs[3][2] }, 2)[1]
    assert.is_true((back - 1):eq(x:to "float32"):all():item())
    local short = al.lab.write_stack(path, 2, 9, 7)
    short:write(x:narrow(1, 1, 1))
    assert.has_error(function() short:close() end)
  end)
end)

describe("lab.patches", function()
  it("keeps x and y together, and takes from each list in turn", function()
    al.seed(3)
    local x = al.arange(1000):to("float32"):reshape(10, 10, 10)
    local first, second = { x = x, y = x:to "int64" }, { x = -x, y = x:to "int64" + 5000 }
    local batch = al.lab.patches({ { first }, { second } }, { size = 4, batch = 3 })
    for _ = 1, 5 do
      local xs, ys = batch()
      assert.same({ 3, 1, 4, 4, 4 }, xs.shape)
      assert.same({ 3, 4, 4, 4 }, ys.shape)
      assert.is_true(xs[1][1]:eq(ys[1]):all():item() and xs[3][1]:eq(ys[3]):all():item())
      assert.is_true((-xs[2][1] + 5000):eq(ys[2]):all():item())
    end
  end)
end)
