--- sim.dice: draw(a, b), uniform numbers from a generator (absent: the default one), taken 64
-- at a time.

local al = require "albedo"

return function(generator)
  local left = {}
  return function(a, b)
    if #left == 0 then
      left = al.scope(function()
        return al.rand(64, { dtype = "float64", generator = generator }):totable()
      end)
    end
    return a + (b - a) * table.remove(left)
  end
end
