-- A short run of `make fuzz`: mutated files to every reader give a value or one clear error.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local fuzz = require "fuzz.reader"

local INPUTS = os.getenv "ALBEDO_LIGHT" and 2000 or 500 -- the longer one where ASan looks on

describe("mutated files", function()
  local dir = os.tmpname()
  os.remove(dir)
  setup(function() assert(require "lfs".mkdir(dir)) end)
  teardown(function() require "lfs".rmdir(dir) end)
  for _, row in ipairs(fuzz.rows()) do
    it(row.name .. ": a value, or one error that names the file", function()
      local wrong = {}
      fuzz.run(row, INPUTS, 20, dir, function(what) wrong[#wrong + 1] = what end)
      assert.same({}, wrong)
    end)
  end

  it("are the same for the same seed, and wrong errors are told from right ones", function()
    local mutator = require "fuzz.mutate"
    local a, b, c = mutator({ "some seed", "another" }, {}, 3), mutator({ "some seed", "another" }, {}, 3),
      mutator({ "some seed", "another" }, {}, 4)
    local same, all = 0, {}
    for _ = 1, 200 do
      local s = a:next()
      assert.equal(s, b:next())
      if s == c:next() then same = same + 1 end
      all[s] = true
    end
    local n = 0
    for _ in pairs(all) do n = n + 1 end
    assert.is_true(same < 100 and n > 100)
    assert.is_nil(fuzz.slip("read: a.png is damaged", "a.png"))
    assert.equal("the file is not named", fuzz.slip("damaged", "a.png"))
    assert.equal("more than one line", fuzz.slip("a.png\nis", "a.png"))
    assert.equal("an error of the machine", fuzz.slip("a.png: attempt to index a nil value", "a.png"))
    local wrong = {}
    fuzz.run({ name = "bad", ending = ".bad", seeds = function() return { "1234" } end, read = function(path)
      local file = io.open(path, "rb")
      local s = file:read "*a"
      file:close()
      if #s > 4 then return al.zeros(30000000) end
      if s ~= "1234" then error "no" end
    end }, 50, 1, dir, function(what) wrong[what:match "^%d+ bytes were" or what:match "^[%a ]+"] = true end)
    assert.is_true(wrong["the file is not named"])
  end)
end)
