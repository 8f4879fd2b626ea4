-- Every examples/*.lua in a fresh interpreter: it ends well, and leaves no live block.
local function lines_of(command)
  local pipe, out = io.popen(command), {}
  for line in pipe:lines() do out[#out + 1] = line end
  pipe:close()
  return out
end

-- Runs after the example; its locals are gone by then.
local check = [[
local al = require "albedo"
dofile(table.remove(arg, 1)) -- the example itself has no arguments
if jit then jit.flush() end -- compiled loops hold what they met
collectgarbage() collectgarbage()
local blocks = al.memory().blocks
if blocks > 0 then
  io.stderr:write(("%d blocks live at the end\n"):format(blocks)) os.exit(1)
end
]]

describe("examples", function()
  local runner = os.tmpname()
  local file = assert(io.open(runner, "w"))
  file:write(check)
  file:close()
  teardown(function() os.remove(runner) end)

  for _, path in ipairs(lines_of "ls examples/*.lua") do
    it(path .. " runs and leaves no live block", function()
      local out = lines_of(("%s %s %s 2>&1; echo $?"):format(os.getenv "LUA" or "lua5.4", runner, path))
      assert.equal("0", table.remove(out), table.concat(out, "\n"))
      local source = io.open(path):read "*a"
      local _, n = source:gsub("\n", "")
      assert.is_true(n <= 80, ("%d lines: a page at most"):format(n))
    end)
  end
end)
