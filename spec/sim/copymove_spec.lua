local al = require "albedo"

-- A photograph of smooth noise: textured everywhere, no two places alike.
local function photo(seed, h, w)
  local rng = { generator = al.generator(seed) }
  local x = al.randn(3, h, w, rng) + al.randn({ 1, h, w }, rng) * 2
  x = x:reshape(1, 3, h, w):avg_pool2d(3, { stride = 1, pad = 1 })[1]
  return (x * 60 + 128):clamp(0, 255):to "uint8"
end

local function album_of(forge)
  return forge:album { photo(1, 200, 240), photo(2, 200, 240), al.full({ 3, 200, 200 }, 90, { dtype = "uint8" }) }
end

describe("sim.copymove", function()
  local forge = al.sim.copymove { size = 96 }
  local album = album_of(forge)

  it("leaves out photographs without texture", function()
    assert.are.equal(2, #album)
    assert.are.same({ "3" }, album.left_out)
  end)

  it("copies pixels exactly when it only translates", function()
    local plain = al.sim.copymove { size = 96, regimes = { { name = "exact", feather = { 1e-3, 1e-3 } } } }
    local x = album[1].pixels:narrow(2, 1, 96):narrow(3, 1, 96)
    math.randomseed(3)
    local plan = plain:plan(plain.regimes[1], function(a, b) return a + (b - a) * math.random() end)
    local y, copy, source = plain:apply(x, plan)
    local from, to = plan.centres[1], plan.centres[2]
    local before, after = x:to "float32", y
    local moved = before:roll({ to[1] - from[1], to[2] - from[2] }, { 2, 3 })
    local mask = copy:to "float32":unsqueeze(1)
    assert.is_true(((after - moved):abs() * mask):max():item() < 1e-3)
    assert.are.equal(0, ((after - before):abs() * (1 - mask)):max():item())
    assert.is_true(copy:to "float32":sum():item() > 200)
    -- the source has the copy's shape, elsewhere
    local shifted = source:roll({ to[1] - from[1], to[2] - from[2] }, { 1, 2 })
    assert.are.equal(0, (shifted:to "float32" - copy:to "float32"):abs():sum():item())
    assert.are.equal(0, source:bitwise_and(copy):to "float32":sum():item())
  end)

  it("keeps copies inside the picture and apart from their source, in every regime", function()
    local rng = al.generator(4)
    for _, regime in ipairs(forge.regimes) do
      for _ = 1, 5 do
        local _, _, truth = forge:pairs(album, 1, { regimes = { regime.name }, generator = rng })
        local plan = truth.plans[1]
        assert.are.equal(regime.name, plan.regime)
        local n = #plan.centres - 1
        assert.is_true(n >= regime.clones[1] and n <= regime.clones[2])
        assert.is_true(plan.quality >= regime.quality[1] and plan.quality <= regime.quality[2])
        assert.are.equal(0, truth.copy:bitwise_and(truth.source):to "float32":sum():item())
        assert.is_true(truth.copy:to "float32":sum():item() > 50)
        assert.is_true(truth.source:to "float32":sum():item() > 50)
      end
    end
  end)

  it("changes nothing of a pair but the copied region, before compression", function()
    local clean = al.sim.copymove { size = 96, jpeg = { 100, 100 }, regimes = { { name = "hard" } } }
    local x, y, truth = clean:pairs(album, 3, { generator = al.generator(9) })
    assert.are.same({ 1, 1, 1, 2, 2, 2 }, y:totable())
    local change = (x:narrow(1, 1, 3) - x:narrow(1, 4, 3)):abs():amax { 2 }
    local far = al.max_pool2d(truth.copy:to "float32":unsqueeze(2), 33, { stride = 1, pad = 16 }):squeeze(2)
    assert.is_true((change * (1 - far)):max():item() < 1e-6)
    assert.is_true((change * truth.copy:to "float32"):max():item() > 0.1)
  end)

  it("makes a fixed set the same each time, with an entry a sample", function()
    local a, b = forge:fixed(album, 2, { seed = 7 }), forge:fixed(album, 2, { seed = 7 })
    local c = forge:fixed(album, 2, { seed = 8 })
    assert.are.equal(4 * #forge.regimes, #a.x)
    assert.are.equal(#a.x, #a.regime)
    assert.are.equal(#a.x, #a.photo)
    assert.are.equal(2 * #forge.regimes, #a.truth.copy)
    assert.are.equal(0, (a.x:to "float32" - b.x:to "float32"):abs():max():item())
    assert.is_true((a.x:to "float32" - c.x:to "float32"):abs():max():item() > 0)
    assert.are.equal(#a.x / 2, a.y:eq(2):to "float32":sum():item())
  end)

  it("streams fresh batches, and deals labels anew for a control", function()
    al.seed(5)
    local stream = forge:stream(album, { batch = 4 })
    local x1, y1, truth = stream(1)
    local x2 = stream(2)
    assert.are.same({ 4, 3, 96, 96 }, x1.shape)
    assert.are.same({ 1, 1, 2, 2 }, y1:totable())
    assert.are.same({ 2, 96, 96 }, truth.copy.shape)
    assert.is_true((x1 - x2):abs():max():item() > 0.1)
    local _, y, none = forge:stream(album, { batch = 8, shuffled = true })(1)
    assert.is_nil(none)
    assert.are.equal(4, y:eq(2):to "float32":sum():item())
  end)

  it("splices from another place without a source", function()
    local _, _, truth = forge:pairs(album, 2, { splice = true, generator = al.generator(2) })
    assert.are.equal(0, truth.source:to "float32":sum():item())
    assert.is_true(truth.copy:to "float32":sum():item() > 100)
  end)

  it("shows a forgery of each regime, its masks, and where a detector points", function()
    local small = al.sim.copymove { size = 96, regimes = { { name = "translation" }, { name = "small" } } }
    local set = small:fixed(album, 2, { seed = 3 })
    local sheet = small:show(set, { function() return al.ones(1, 1, 8, 8) end, function() return al.zeros(1, 4, 4) end })
    assert.are.same({ 3, 2 + 98, 2 + 98 * 8 }, sheet.shape)
    local function tile(k) return sheet[{ {}, { 3, 98 }, { 3 + 98 * (k - 1), 98 * k } }]:to "int64" end
    local forged = set.x[3]:to "int64"
    assert.is_true((tile(1) - forged):abs():max():item() <= 1)
    assert.is_true((tile(4) - forged):abs():max():item() <= 1) -- nothing marked
    local red = tile(3) - forged
    assert.is_true(red[1]:to "float32":mean():item() > 20 and red[2]:to "float32":mean():item() < -20)
    local marked = (tile(2) - forged):abs():amax(1):gt(8)
    local truth = set.truth.copy[1]:bitwise_or(set.truth.source[1])
    assert.is_true(marked:ne(truth):to "float32":mean():item() < 0.02)
  end)

  it("splits by photograph", function()
    local one, other = al.data.split(album, { 0.5, 0.5 }, { by = "photo", seed = 2 })
    assert.are.equal(1, #one)
    assert.are.equal(1, #other)
    assert.are_not.equal(one[1].name, other[1].name)
  end)

  it("refuses unknown regimes, crops too small and an empty album", function()
    assert.error_matches(function() forge:pairs(album, 1, { regimes = { "translatoin" } }) end, "no regime is named")
    local tiny = al.sim.copymove { size = 8 }
    assert.error_matches(function() tiny:pairs(album, 1, { regimes = { "feather" } }) end, "too small for a forgery")
    assert.error_matches(function() forge:pairs(album:subset {}, 1) end, "holds no photograph")
  end)

  it("names a setting it does not know", function()
    assert.has_error(function() al.sim.copymove { regimes = { { name = "odd", colour = 1 } } } end,
      "sim.copymove: regime odd has no setting colour")
  end)
end)

describe("sim.forged", function()
  it("finds windows with and without copies", function()
    local dir = os.tmpname()
    os.remove(dir)
    os.execute(("mkdir -p '%s/tampered' '%s/gt'"):format(dir, dir))
    local x, mask = photo(5, 128, 256), al.zeros({ 1, 128, 256 }, { dtype = "uint8" })
    mask[{ {}, { 10, 25 }, { 10, 25 } }] = 255
    mask[{ {}, { 30, 45 }, { 35, 50 } }] = 255
    al.image.save(dir .. "/tampered/a.png", x)
    al.image.save(dir .. "/gt/a.png", mask)
    local set = al.sim.forged(al.data.photos(dir), { size = 64, most = 3 })
    os.execute(("rm -r '%s'"):format(dir))
    assert.are.same({ 4, 3, 64, 64 }, set.x.shape)
    assert.are.same({ 2, 1, 1, 1 }, set.y:totable())
    assert.are.same({ "a", "a", "a", "a" }, set.photo)
  end)
end)
