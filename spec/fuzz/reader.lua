--- Feeds one reader of spec/fuzz/readers.lua: lua5.4 spec/fuzz/reader.lua NAME INPUTS SEED DIR KEEP. Inputs
-- are written to DIR (a memory file system); one that gives neither a value nor one clear error is
-- copied to KEEP. What a sanitizer stops stays in DIR as well: spec/fuzz/run looks there.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local mutator = require "fuzz.mutate"

local fuzz = {}

-- No file may claim more in these runs, so none needs more memory than this allows.
fuzz.max_bytes = 1048576
local ROOM = 4 * fuzz.max_bytes + 16 * 1048576

-- What a reader must never say: words of Lua's own errors, and of memory for files this small.
local SLIPS = {
  "attempt to", "bad argument", "stack overflow", "not enough memory", "out of memory", "too large to",
  "resulting string", "no integer representation", "malformed", "index is", "table overflow", "is not in range",
  "invalid key", "invalid value", "invalid order function", "wrong number of", "expected, got", "memory allocation",
}

local function write(path, s)
  local file = assert(io.open(path, "wb"))
  file:write(s)
  file:close()
end

--- What is wrong with an error's message, or nil.
function fuzz.slip(message, path)
  if type(message) ~= "string" then return "the error is a " .. type(message) end
  if message:find "\n" then return "more than one line" end
  if not message:find(path, 1, true) then return "the file is not named" end
  for _, words in ipairs(SLIPS) do
    if message:find(words, 1, true) then return "an error of the machine" end
  end
  return nil
end

-- Megabytes that were resident at most.
local function most_resident()
  for line in io.lines "/proc/self/status" do
    local n = line:match "^VmHWM:%s*(%d+)"
    if n then return n / 1024 end
  end
end
local MARGIN = 160 -- what al's cache of blocks, ASan's quarantine and the room above may add

-- Bytes of a value's tensors.
local function size_of(v, seen)
  if al.is_tensor(v) then return v:numel() * 8 end
  if type(v) ~= "table" or seen[v] then return 0 end
  seen[v] = true
  local n = 0
  for _, part in pairs(v) do n = n + size_of(part, seen) end
  return n
end

-- One input: what is wrong with what came of it, or nil; and the error, nil when it was read.
local function try(row, path)
  local before, start = al.memory().live, al.native.clock()
  al.native.memory_reset_peak()
  local ok, value = pcall(al.scope, function()
    local v = row.read(path, fuzz.max_bytes)
    return size_of(v, {})
  end)
  local used, took = al.memory().peak - before, al.native.clock() - start
  if not ok then
    local slip = fuzz.slip(value, path)
    if slip then return slip .. ": " .. tostring(value), value end
  elseif value > 16 * fuzz.max_bytes then
    return ("%d bytes were read, more than max_bytes"):format(value)
  end
  if used > ROOM then return ("%d bytes were used"):format(used), value end
  if took > 5 then return ("it took %.1f s"):format(took), value end
  return nil, not ok and value or nil
end

--- The seed files of a row.
function fuzz.seeds(row, dir)
  local function make(ending, fn)
    local path = dir .. "/seed" .. ending
    fn(path)
    local file = assert(io.open(path, "rb"))
    local s = file:read "*a"
    file:close()
    os.remove(path)
    return s
  end
  return al.scope(function() return row.seeds(make) end)
end

--- Reads n mutated inputs of a row; fail(what, input) is told each that went wrong, tell(k, read)
-- where it is. Every seed must be read as it is.
function fuzz.run(row, n, seed, dir, fail, tell)
  local seeds = fuzz.seeds(row, dir)
  local path = ("%s/%s%s"):format(dir, row.name, row.ending)
  local source = mutator(seeds, row.words, seed)
  local put, read = row.wrap or write, 0
  for _, s in ipairs(seeds) do
    put(path, s)
    local wrong, refused = try(row, path)
    if wrong or refused then fail(wrong or "a seed is not read: " .. refused, s) end
  end
  collectgarbage()
  collectgarbage()
  local blocks = al.memory().blocks
  for k = 1, n do
    local s = source:next()
    if row.repair and k % 2 == 0 then s = row.repair(s) end
    put(path, s)
    local wrong, refused = try(row, path)
    if wrong then fail(wrong, s) end
    if not refused then read = read + 1 end
    if tell then tell(k, read) end
  end
  collectgarbage()
  collectgarbage()
  if al.memory().blocks > blocks then
    fail(("%d blocks of memory stay behind"):format(al.memory().blocks - blocks), "")
  end
  os.remove(path)
  return read
end

--- The rows whose plugins are there; or the one of that name.
function fuzz.rows(name)
  local list, have = {}, al.version().plugins
  for _, row in ipairs(require "fuzz.readers") do
    if (not name or row.name == name) and (not row.plugin or have[row.plugin]) then
      list[#list + 1] = row
    end
  end
  return list
end

local function main(name, n, seed, dir, keep)
  if name == "names" then
    for _, row in ipairs(fuzz.rows()) do print(row.name) end
    return 0
  end
  local row = fuzz.rows(name)[1]
  if not row then
    print("no reader " .. name)
    return 2
  end
  local wrong, start, last, resident = 0, al.native.clock(), 0, nil
  local function fail(what, input)
    wrong = wrong + 1
    if wrong > 5 then return end
    local to = ("%s/%s-%d-%d%s"):format(keep, name, seed, wrong, row.ending)
    write(to, input)
    print(("FAILED %s: %s\n  kept as %s"):format(name, what, to))
  end
  local read = fuzz.run(row, n, seed, dir, fail, function(k, read)
    local now = al.native.clock()
    resident = resident or most_resident()
    if now - last < 2 or k % 50 > 0 then return end
    last = now
    local rate = k / (now - start)
    io.stderr:write(("\r%-12s %6d of %d, %.0f a second, %.0f s left, %.0f %% read "):format(name, k, n,
      rate, (n - k) / rate, 100 * read / k))
  end)
  if most_resident() > resident + MARGIN then
    fail(("the memory grew from %.0f to %.0f MB"):format(resident, most_resident()), "")
  end
  if last > 0 then io.stderr:write("\r", (" "):rep(78), "\r") end
  print(("%s   %-12s %6d inputs, %.0f a second, %.0f %% were read, %d wrong"):format(wrong == 0 and "ok " or "NOT",
    name, n, n / (al.native.clock() - start), 100 * read / n, wrong))
  return wrong == 0 and 0 or 1
end

if arg and arg[0] and arg[0]:find "spec/fuzz/reader%.lua$" then
  os.exit(main(arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4], arg[5]), false)
end

return fuzz
