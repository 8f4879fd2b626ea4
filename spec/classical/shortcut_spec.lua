local al = require "albedo"
local shortcut = al.classical.shortcut

describe("shortcut", function()
  local function right(scores, y) return scores:argmax(2):eq(y):to("float64"):mean():item() end

  it("sees borders, not what is within; pixels see that", function()
    al.seed(4)
    local y = al.randint(1, 2, { 80 })
    local plain = 0.1 * al.rand(80, 1, 32, 32)
    local framed, inner = plain:clone(), plain:clone()
    for i = 1, 80 do
      if y[i]:item() == 2 then
        framed[i][1][1] = 1
        inner[i][1]["12:20, 12:20"] = 1
      end
    end
    local function halves(x)
      return { x = x:narrow(1, 1, 40), y = y:narrow(1, 1, 40) }, x:narrow(1, 41, 40), y:narrow(1, 41, 40)
    end
    local fit, x, truth = halves(framed)
    assert.equal(1, right(shortcut.border(fit, x, 2), truth))
    fit, x, truth = halves(inner)
    assert.is_true(right(shortcut.border(fit, x, 2), truth) < 0.75)
    assert.equal(1, right(shortcut.pixels(fit, x, 2), truth))
  end)
end)
