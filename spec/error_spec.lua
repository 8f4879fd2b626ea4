local al = require "albedo"
local lua = os.getenv "LUA" or "lua5.4"

local function message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return message
end

describe("a list with a name in it", function()
  it("is an error: the option would be lost", function()
    local x = al.ones(2, 2)
    assert.error_matches(function() return al.sum(x, { 1, keepdim = true }) end, '"keepdim" stands in the list dims')
    assert.error_matches(function() return al.cat { x, x, dim = 2 } end, '"dim" stands in the list xs')
    assert.same({ 1, 2 }, al.sum(x, { 1 }, { keepdim = true }).shape)
  end)
end)

describe("an error", function()
  local here = "spec/error_spec.lua:"

  it("names op, arguments and the script's line", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local m = message_of(function() return al.ones(2, 3) + al.ones(2, 4) end)
    assert.is_truthy(m:find(here .. line .. ": ", 1, true), m)
    assert.is_truthy(m:find("add: ", 1, true), m)
    assert.is_truthy(m:find("2x3 float32", 1, true), m)
    assert.is_truthy(m:find("2x4 float32", 1, true), m)
  end)

  it("of a convolution says which sizes disagree", function()
    local m = message_of(function() return al.conv2d(al.zeros(8, 3, 32, 32), al.zeros(16, 4, 3, 3)) end)
    assert.is_truthy(m:find("conv2d: x has 3 channels, w expects 4 (x: 8x3x32x32 float32, w: 16x4x3x3 float32", 1, true), m)
  end)

  it("of an unknown option names the valid ones", function()
    local m = message_of(function() return al.conv2d(al.zeros(1, 1, 3, 3), al.zeros(1, 1, 3, 3), { strid = 2 }) end)
    assert.is_truthy(m:find("unknown option \"strid\"", 1, true), m)
    assert.is_truthy(m:find("stride", 1, true), m)
  end)

  it("is raised at the line within any coroutine", function()
    local line
    local co = coroutine.create(function()
      coroutine.yield()
      line = debug.getinfo(1, "l").currentline + 1
      return al.ones(2):matmul(al.ones(3))
    end)
    coroutine.resume(co)
    local ok, m = coroutine.resume(co)
    assert.is_false(ok)
    assert.is_truthy(m:find(here .. line .. ": matmul: ", 1, true), m)
  end)

  it("passes over the library's own lines", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local m = message_of(function() return al.ones(2):requires_grad_("x") .. al.ones(2, 2) end)
    assert.is_truthy(m:find(here .. line .. ": ", 1, true), m)
  end)

  it("suggests the near name", function()
    assert.is_truthy(message_of(function() return al.reul end):find("did you mean relu?", 1, true))
    assert.is_truthy(message_of(function() return al.ones(1):sofmax(1) end):find("did you mean softmax?", 1, true))
  end)

  it("says what is wrong with a dim, an index, a dtype", function()
    assert.is_truthy(message_of(function() return al.ones(2):sum(0) end):find("dims count from 1", 1, true))
    assert.is_truthy(message_of(function() return al.ones(2):sum(3) end):find("dim 3 is out of range", 1, true))
    assert.is_truthy(message_of(function() return al.ones(2):to("float31") end):find("unknown dtype", 1, true))
    assert.is_truthy(message_of(function() return al.ones(2):to("float32\0") end):find("dtype holds a zero byte", 1, true))
    assert.is_truthy(message_of(function() return al.zeros(-1) end):find("negative", 1, true))
    assert.is_truthy(message_of(function() return al.zeros(2 ^ 31, 2 ^ 31, 2 ^ 31) end):find("too large", 1, true))
  end)
end)

describe("an assignment that does not fit", function()
  it("is told as the user wrote it", function()
    local t = al.zeros(4, 5)
    local message = message_of(function() t[{ { 1, 2 } }] = al.ones(3) end)
    assert.is_truthy(message:find("index: 3 does not broadcast to 2x5 (x: 4x5 float32, value: 3 float32)", 1, true), message)
  end)
end)

describe("the module", function()
  it("touches no global", function()
    local p = io.popen(lua .. [[ -e 'local had = {} for k in pairs(_G) do had[k] = true end
      require "albedo" local al = require "albedo" local _ = al.nn
      for k in pairs(_G) do if not had[k] then print(k) end end' 2>&1]])
    assert.equal("", p:read("a"))
    p:close()
  end)

  it("is found by its parts first, and from other folders", function()
    local p = io.popen(lua .. [[ -e 'local nn = require "albedo.nn" print(nn == require("albedo").nn)' 2>&1]])
    assert.equal("true\n", p:read("a"))
    p:close()
  end)
end)

describe("what the binding keeps for itself", function()
  it("is no field of a tensor", function()
    local t = al.ones(2)
    assert.is_truthy(message_of(function() return t.__set end):find("no field or method", 1, true))
    assert.is_truthy(message_of(function() t.grad = t end):find("its own grad", 1, true))
    assert.is_truthy(message_of(function() t.grad = al.ones(2, { dtype = "float64" }) end)
      :find("grad is 2 float64, the tensor 2 float32", 1, true))
  end)

  it("is not overrun by long lists", function()
    local s = {}
    for k = 1, 32 do s[k] = 1 end
    assert.is_false(pcall(al.conv2d, al.ones(1, 1, 4, 4), al.ones(1, 1, 3, 3), nil, { stride = s, pad = "same" }))
  end)
end)
