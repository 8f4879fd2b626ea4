-- al.show as text: what is drawn where, in each of the terminal's languages.
local al = require "albedo"
local text = require "albedo.show".text

local function lines(s)
  local list = {}
  for line in (s .. "\n"):gmatch "(.-)\n" do list[#list + 1] = line end
  return list
end

describe("al.show", function()
  it("draws a curve between its least and largest value", function()
    local out = lines(text({ 0, 1, 2, 3 }, { mode = "ascii", width = 24, height = 4 }))
    assert.equal("3 |", out[1]:sub(1, 3))
    assert.equal("0 |", out[4]:sub(1, 3))
    assert.equal("*", out[1]:sub(-1)) -- rises to the right
    assert.equal("*", out[4]:sub(4, 4))
    local _, last = out[1]:find "%*+$"
    assert.equal(24, last)
    assert.is_truthy(out[6]:find "^ +1 +4$")
    local dots = text({ 0, 1, 2, 3 }, { mode = "blocks", width = 24, height = 4 })
    assert.is_truthy(dots:find("\226[\160-\163]"))
    assert.is_truthy(text({ 1, 0 / 0, math.huge, 2 }, { mode = "ascii" }):find "^2 |")
    assert.is_truthy(text({ 0 / 0 }, { mode = "ascii" }):find "no finite value")
    assert.is_truthy(text({ 5, 5, 5 }, { mode = "ascii" }):find "5 |")
  end)

  it("draws pictures in letters, dark to light", function()
    local x = al.tensor { { 0, 255 }, { 0, 255 } }:to "uint8"
    local out = lines(text(x, { mode = "ascii", width = 8, height = 4 }))
    assert.equal("    @@@@", out[1])
    assert.equal("[2x2 uint8, 0 to 255]", out[#out])
  end)

  it("draws half blocks: the upper pixel in front, the lower behind", function()
    local x = al.zeros(3, 2, 1)
    x[{ 1, 1, 1 }], x[{ 3, 2, 1 }] = 1, 1
    local out = text(x, { mode = "blocks", width = 1, height = 1 })
    assert.equal("\27[38;2;255;0;0;48;2;0;0;255m\226\150\128\27[0m\n[3x2x1 float32, 0 to 1]", out)
  end)

  it("says what range is shown, and that some is not finite", function()
    local x = al.tensor { { -2, 0 }, { 0 / 0, 2 } }
    local out = text(x, { mode = "ascii", width = 8, height = 4 })
    assert.is_truthy(out:find("-2 to 2, what is not finite as black", 1, true))
    assert.is_truthy(text(al.ones(3, 3) * 7, { mode = "ascii" }):find "7 to 7")
    assert.is_truthy(text(al.full({ 2, 2 }, 0 / 0), { mode = "ascii" }):find "not finite")
  end)

  it("draws grids of pictures, feature maps, lists", function()
    for _, x in ipairs { al.rand(6, 8, 8), al.rand(6, 1, 8, 8), al.rand(2, 3, 8, 8), al.rand(2, 5, 8, 8),
      al.rand(2, 2, 5, 8, 8), al.rand(4, 8, 8), al.rand(1, 8, 8) } do
      local out = lines(text(x, { mode = "ascii", width = 60, height = 20 }))
      assert.is_true(#out > 3 and #out <= 23, #out)
      for _, line in ipairs(out) do assert.is_true(#line <= 60) end
    end
    assert.is_truthy(text({ al.rand(4, 4), al.rand(4, 4) }, { mode = "ascii" }):find "2x1x4x4 float32")
    assert.is_truthy(text({ al.rand(4, 4), al.rand(4, 4), al.rand(4, 4) }, { mode = "ascii" }):find "3x1x4x4")
    assert.is_truthy(text(al.rand(100, 4, 4), { mode = "ascii" }):find "the first 64 of 100")
    assert.error_matches(function() text { al.rand(4, 4), al.rand(4, 5) } end, "one shape")
  end)

  it("fits large pictures to the width", function()
    local out = lines(text(al.rand(3, 300, 600), { mode = "ascii", width = 40, height = 30 }))
    assert.equal(10 + 1, #out) -- 40 wide, 20 high, two rows a letter
  end)

  it("writes kitty's escapes and sixels", function()
    local x = al.rand(3, 64, 64)
    local kitty = text(x, { mode = "kitty", width = 20, height = 10 })
    assert.is_truthy(kitty:find "^\27_Gf=100,a=T,c=%d+,m=[01];iVBORw0KGgo")
    for chunk in kitty:gmatch "\27_G[^;]*;(.-)\27\\" do assert.is_true(#chunk <= 4096) end
    local sixel = text(x, { mode = "sixel", width = 20, height = 10 })
    assert.is_truthy(sixel:find '^\27Pq"1;1;%d+;%d+#0;2;0;0;0')
    assert.is_truthy(sixel:find("\27\\", 1, true))
    -- one red picture of 6 x 4 pixels: one band, its colour's letter ~ (all six bits), repeated
    local red = al.zeros(3, 6, 4)
    red[1] = 1
    assert.is_truthy(require "albedo.terminal".sixel((red * 255):to "uint8")
      :find("#180!4~-\27\\", 1, true))
  end)

  it("prints what is no picture, and refuses unknown modes", function()
    assert.equal(tostring(al.tensor(3)), text(al.tensor(3)))
    assert.equal("nil", text(nil))
    assert.error_matches(function() text(al.ones(2), { mode = "svg" }) end, "mode is ascii")
    assert.error_matches(function() text(al.ones(2), { mod = "svg" }) end, "did you mean mode")
  end)

  it("reads a picture from a file, and half-precision tensors", function()
    local path = os.tmpname() .. ".png"
    al.image.save(path, al.rand(3, 5, 7))
    assert.is_truthy(text(path, { mode = "ascii" }):find "3x5x7 uint8")
    os.remove(path)
    assert.is_truthy(text(al.rand(4, 4):to "float16", { mode = "ascii" }):find "0 to 1")
  end)

  it("leaves no tensor behind", function()
    collectgarbage() collectgarbage()
    local before = al.memory().blocks
    text(al.rand(3, 20, 20), { mode = "blocks" })
    collectgarbage() collectgarbage()
    assert.equal(before, al.memory().blocks)
  end)
end)
