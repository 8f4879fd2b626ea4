local al = require "albedo"
local data = al.data

local function settle()
  collectgarbage()
  collectgarbage()
  return al.memory().blocks
end

local function options(workers, more)
  local o = { batch = 5, shuffle = true, seed = 7, workers = workers }
  for key, value in pairs(more or {}) do o[key] = value end
  return o
end
local function loader_of(set, workers, more) return data.loader(set, options(workers, more)) end

-- The error that reading a set by a worker ends in.
local function message_of(set)
  local count = 0
  local ok, message = pcall(function()
    for _ in loader_of(set, 1) do count = count + 1 end
  end)
  assert.is_false(ok)
  assert.equal(0, count)
  return message
end
local function holds(pattern, message) assert.is_truthy(message:find(pattern), message) end

local items = {}
for i = 1, 23 do items[i] = { value = i / 3, name = "s" .. i } end
local pictures = al.hold(al.rand(23, 3, 12, 12))

-- Pictures changed at random.
local function changed()
  local change = data.augment.compose { data.augment.flip(), data.augment.affine { degrees = 20 },
    data.augment.noise() }
  return data.list(items, function(item, i)
    return change(pictures[i]) * item.value, i, item.name
  end)
end

-- The epochs of several loaders of one set, run side by side, must be the same.
local function same_for_any_number(set, more)
  local wanted
  for _, workers in ipairs { 0, 1, 2, 4 } do
    local loader, got = loader_of(set, workers, more), {}
    for _ = 1, 2 do
      for x, y, name in loader() do
        got[#got + 1] = table.concat({ x:bytes(), y:bytes(),
          table.concat(name or {}, ",") }, "/")
      end
    end
    wanted = wanted or got
    assert.equal(#wanted, #got)
    for k, text in ipairs(wanted) do
      assert.is_true(text == got[k], ("%d workers, batch %d"):format(workers, k))
    end
  end
  return wanted
end

describe("data.loader's workers", function()
  it("give the same batches, 0, 1, 2 or 4 of them", function()
    local all = same_for_any_number(changed())
    assert.equal(10, #all)
    for k = 1, 5 do assert.not_equal(all[k], all[k + 5]) end -- a new epoch, new draws
    same_for_any_number(changed(), { drop_last = true })
    same_for_any_number(data.tensors(al.rand(23, 4), al.arange(1, 23)))
    same_for_any_number(changed():map(function(x, i, name) return x + al.rand(1), i, name end)
      :subset { 4, 9, 2, 11, 23, 1 })
    same_for_any_number(changed(), { collate = function(samples)
      return al.rand(#samples), al.tensor { samples[1][2] }
    end })
  end)

  it("leave the default generator where it was", function()
    al.seed(5)
    local wanted = al.rand(3):bytes()
    for workers = 0, 1 do
      al.seed(5)
      for x in loader_of(changed(), workers) do assert.equal(4, x.ndim) end
      assert.equal(wanted, al.rand(3):bytes())
    end
  end)

  it("share the tensors' memory", function()
    local big = al.zeros(1000000)
    local at = al.memory().live
    local set = data.list({ 1, 2, 3, 4 }, function(i) return tostring(big:data_ptr()), big[i] end)
    for place in loader_of(set, 2, { batch = 1 }) do
      assert.equal(tostring(big:data_ptr()), place[1])
      assert.is_true(al.memory().live < at + 2000000)
    end
  end)

  it("run ops on one thread, know required modules, take tables, cycles and metatables", function()
    local suggest, find, floor = require "albedo.suggest", string.find, math.floor
    local ring = { inf = math.huge, [2] = -0.5, t = true, f = false, text = "a\0b\n" }
    ring.self = ring
    local class = { __index = { double = function(self) return 2 * self.n end } }
    local object = setmetatable({ n = 21 }, class)
    local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
    local nothing = nil
    local set = data.list({ 1 }, function()
      assert(type(suggest) == "function" and find("abc", "b") == 2 and floor(1.5) == 1)
      assert(ring.self == ring and ring.inf == math.huge and ring[2] == -0.5 and ring.t == true)
      assert(ring.f == false and ring.text == "a\0b\n" and nothing == nil)
      return al.threads(), object:double(), factorial(10)
    end)
    for threads, doubled, ten in loader_of(set, 1) do
      assert.equal(1, threads:item())
      assert.equal(42, doubled:item())
      assert.equal(3628800, ten:item())
    end
  end)

  it("hand on errors with the line they came from", function()
    local line = debug.getinfo(1, "l").currentline + 2
    local set = data.list(items, function(_, i)
      if i == 8 then error "eight is bad" end
      return i
    end)
    local seen = 0
    local ok, message = pcall(function()
      for _ in loader_of(set, 2, { shuffle = false }) do seen = seen + 1 end
    end)
    assert.is_false(ok)
    assert.equal(1, seen, "the batch before comes")
    assert.is_truthy(message:find(("worker_spec.lua:%d: eight is bad"):format(line), 1, true), message)
    assert.is_truthy(message:find("(sample 8, in a loader's worker)", 1, true))
    assert.is_truthy(message:find("stack traceback:", 1, true))
    local odd = data.list(items, function() error { code = 3 } end)
    holds("^table: ", message_of(odd))
    local op = data.list(items, function() return al.ones(2):matmul(al.ones(3)) end)
    holds("^[^\n]*worker_spec.lua:%d+: matmul", message_of(op))
  end)

  it("refuse what cannot cross, by name", function()
    local file, thread = io.stdout, coroutine.create(print)
    local deep = { list = { {}, { handle = file } } }
    local generator = al.generator(1)
    local chain, odd, words = {}, { [file] = 1 }, string.gmatch("a", "a")
    for _ = 1, 3000 do chain = { chain } end
    local meta = setmetatable({}, { __index = function() return file end })
    for text, fn in pairs {
      ["upvalue 'file' of the function at .*worker_spec.lua:%d+ cannot go to a worker: it is a userdata"] =
        function() return file end,
      ["upvalue 'thread' of the function at .*: it is a thread"] = function() return thread end,
      ["upvalue 'deep' of the function at .-%.list%[2%]%.handle cannot go .*: it is a userdata"] =
        function() return deep end,
      ["generator"] = data.augment.flip { generator = generator },
      ["upvalue 'chain' of .* %.%.%. .*%[1%] cannot go to a worker: it is too deep"] =
        function() return chain end,
      ["a key of upvalue 'odd' of the function at .*: it is a userdata"] =
        function() return odd end,
      ["upvalue 'words' of the function at .*: it is a function in C, of no module"] =
        function() return words end,
      ["upvalue 'file' of the function at .*worker_spec.lua"] = function() return meta.x end,
    } do
      holds(text, message_of(data.list(items, fn)))
    end
    local back = data.list(items, function() return coroutine.create(print) end)
    holds("data.loader: a batch: value 1%[1%] cannot go to a worker: it is a thread",
      message_of(back))
  end)

  it("end cleanly on break, on errors and when collected; nothing is left", function()
    local function leave(how)
      local count = 0
      pcall(function()
        for x in loader_of(changed(), 2) do
          count = count + x:numel()
          if how == "break" then break end
          if how == "error" then error "stop" end
        end
      end)
      assert.is_true(count > 0)
    end
    local function abandon()
      local loader = loader_of(changed(), 2)
      local step, run = loader()
      step(run)
    end
    leave "end"
    abandon()
    local before = settle()
    for _, how in ipairs { "end", "break", "error", "end" } do
      leave(how)
      assert.equal(before, settle(), how)
    end
    abandon()
    assert.equal(before, settle(), "collected")
  end)

  it("end when Lua does, in the middle of an epoch", function()
    local lua = _G.arg and arg[-1] or "lua5.4"
    for i = -1, -9, -1 do lua = arg[i] or lua end
    local script = os.tmpname()
    local f = io.open(script, "w")
    f:write [[
      local al = require "albedo"
      local set = al.data.list({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(i) return al.rand(100, 100), i end)
      local step, run = al.data.loader(set, { workers = 3 })()
      step(run)
      print "in the middle"
      kept = run
      if arg[1] == "close" then os.exit(0, true) end
      if arg[1] == "exit" then os.exit(0) end
    ]]
    f:close()
    for _, how in ipairs { "end", "close", "exit" } do
      local pipe = io.popen(("%s %s %s 2>&1; echo status $?"):format(lua, script, how))
      assert.equal("in the middle\nstatus 0\n", pipe:read "*a")
      pipe:close()
    end
    os.remove(script)
  end)

  it("that run out of memory end the epoch by an error, whichever allocation fails", function()
    local set = data.list({ 1, 2, 3, 4, 5, 6 }, function(_, i) return al.rand(3, 8, 8), i end)
    local function epoch()
      for _ in data.loader(set, { batch = 1, workers = 2 }) do end -- luacheck: ignore
    end
    pcall(epoch)
    local before, failed = settle(), 0
    for n = 1, 60, 3 do
      al.fault_after(n, 2) -- the second one hits the error's own message
      local ok, message = pcall(epoch)
      al.fault_after(0)
      if not ok then
        failed = failed + 1
        holds("memory", tostring(message))
      end
    end
    assert.is_true(failed > 5)
    assert.equal(before, settle())
  end)
end)
