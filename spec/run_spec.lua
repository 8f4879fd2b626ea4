-- The runner itself: what must not pass for success. Each case is a suite in a file of its own.
local function run(body, ctest)
  local name = os.tmpname()
  local spec = name .. ".lua" -- busted reads nothing else
  local file = assert(io.open(spec, "w"))
  file:write(body)
  file:close()
  local command = "env -u LD_PRELOAD LUA=lua5.4 PRELOAD= spec/run . %s '' %s 2>&1; echo $?"
  local pipe = assert(io.popen(command:format(spec, ctest or "")))
  local out = pipe:read "*a" or ""
  pipe:close()
  os.remove(spec)
  os.remove(name)
  local skipped, passed, failed, status =
    out:match "skipped: ([^\n]*)\n(%d+) passed, (%d+) failed\n(%d+)\n$"
  assert.is_truthy(status, "no closing lines in:\n" .. out)
  return { skipped = skipped, passed = tonumber(passed), failed = tonumber(failed),
    ok = status == "0", out = out }
end

describe("spec/run", function()
  it("passes a suite that passes", function()
    local r = run 'it("adds", function() assert.equal(2, 1 + 1) end)'
    assert.same({ "none", 1, 0, true }, { r.skipped, r.passed, r.failed, r.ok })
  end)

  it("counts failures and errors, in full", function()
    local r = run [[
      describe("d", function()
        it("fails", function() assert.equal(1, 2) end)
        it("raises", function() error "on purpose" end)
        it("raises a table", function() error { code = 7 } end)
        it("passes", function() end)
      end)]]
    assert.same({ 1, 3, false }, { r.passed, r.failed, r.ok })
    assert.is_truthy(r.out:find("on purpose", 1, true) and r.out:find("code = 7", 1, true))
  end)

  it("fails where a file does not load, raises or holds no test", function()
    local raises = "describe('d', function() error 'x' end)"
    for _, body in ipairs { "not Lua", "error 'early'", raises, "" } do
      local r = run(body)
      assert.is_false(r.ok)
      assert.is_true(r.failed > 0)
    end
  end)

  it("is not fooled by os.exit, whatever was printed before", function()
    local r = run [[
      it("quits", function()
        print("skipped: none\n9 passed, 0 failed")
        io.stdout:flush()
        os.exit(0)
      end)]]
    assert.same({ 0, 1, false }, { r.passed, r.failed, r.ok })
    assert.is_false(run("os.exit(0)").ok)
  end)

  it("fails on a skip that spec/skips.txt does not name", function()
    local r = run [[
      it("a", function() end)
      it("b", function() pending "why" end)
      pending "c"]]
    assert.same({ "b; c", 1, 2, false }, { r.skipped, r.passed, r.failed, r.ok })
  end)

  it("adds what C programs report, or their status", function()
    local suite = 'it("a", function() end)'
    local r = run(suite, "/bin/true")
    assert.same({ 2, 0, true }, { r.passed, r.failed, r.ok })
    r = run(suite, "/bin/false")
    assert.same({ 1, 1, false }, { r.passed, r.failed, r.ok })
  end)
end)
