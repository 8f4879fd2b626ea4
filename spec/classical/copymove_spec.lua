local al = require "albedo"
local blocks = al.classical.copymove

-- N pictures 3 x 64 x 64 of smooth noise in [0, 1]
local function pictures(n)
  local rng = { generator = al.generator(11) }
  local x = al.randn({ n, 1, 64, 64 }, rng):avg_pool2d(5, { stride = 1, pad = 2 })
  return (x * 0.9 + 0.5):clamp(0, 1):expand(n, 3, 64, 64):contiguous()
end

describe("self_match", function()
  it("finds what a search over all pairs finds", function()
    local rng = { generator = al.generator(3) }
    for _, case in ipairs { { 7, 9, 2, 2.5 }, { 12, 5, 1, 1 }, { 10, 17, 3, 4 } } do
      local h, w, stride, apart = case[1], case[2], case[3], case[4]
      local x = al.randn({ 2, 5, h, w }, rng)
      local distance, at = al.self_match(x, stride, apart)
      local v = x:permute(1, 3, 4, 2):reshape(2, h * w, 5):totable()
      distance, at = distance:totable(), at:totable()
      for n = 1, 2 do
        for i, r in ipairs(distance[n]) do
          for j, d in ipairs(r) do
            local y, z = (i - 1) * stride, (j - 1) * stride
            local best, where = math.huge, 0
            for k = 1, h * w do
              local ky = math.floor((k - 1) / w)
              local kx = k - 1 - ky * w
              if (ky - y) ^ 2 + (kx - z) ^ 2 >= apart * apart then
                local s = 0
                for c = 1, 5 do s = s + (v[n][y * w + z + 1][c] - v[n][k][c]) ^ 2 end
                if s < best then best, where = s, k end
              end
            end
            assert.are.equal(where, at[n][i][j])
            assert.is_true(math.abs(best - d) < 1e-4)
          end
        end
      end
    end
  end)

  it("says so when nothing is far enough", function()
    local distance, at = al.self_match(al.ones(1, 2, 3, 3), 1, 9)
    assert.are.equal(math.huge, distance:max():item())
    assert.are.equal(0, at:max():item())
  end)
end)

describe("classical.copymove", function()
  it("describes blocks by numbers blind to brightness", function()
    local x = pictures(1)
    local a, b = blocks.describe(x), blocks.describe(x * 0.8)
    assert.are.same({ 1, 14, 32, 32 }, a.shape)
    assert.is_true((a * a):sum(2):max():item() <= 1)
    local brighter = blocks.describe(x + 0.1)
    assert.is_true((a - brighter):abs():max():item() < 1e-4)
    assert.is_true((a - b):abs():max():item() < 0.2)
    assert.is_true(blocks.describe(al.full({ 1, 3, 64, 64 }, 0.3)):abs():max():item() < 1e-4)
  end)

  it("points from a copy to its source", function()
    local x = pictures(1)
    x[{ {}, {}, { 37, 60 }, { 33, 56 } }] = x[{ {}, {}, { 5, 28 }, { 7, 30 } }]:clone()
    local field = blocks.field(x)
    -- pixel 49, 45 (place 13, 12): 32 rows and 26 columns from where it came
    assert.are.equal(-32, field.dy[1][13][12]:item())
    assert.are.equal(-26, field.dx[1][13][12]:item())
    assert.is_true(field.distance[1][13][12]:item() < 1e-5)
    assert.are.same({ 1, 6, 16, 16 }, blocks.features(field).shape)
  end)

  it("scores pictures with copies above those without", function()
    local x = pictures(6)
    x[{ { 4, 6 }, {}, { 37, 60 }, { 33, 56 } }] = x[{ { 4, 6 }, {}, { 5, 28 }, { 7, 30 } }]:clone()
    local score, map = blocks.detect(x)
    assert.are.same({ 6, 16, 16 }, map.shape)
    assert.is_true(score:narrow(1, 1, 3):max():item() < score:narrow(1, 4, 3):min():item())
    assert.is_true(map[5]:narrow(1, 10, 5):narrow(2, 9, 5):mean():item() > 0.3)
  end)
end)
