-- What specs of files share: names, bytes in and out, and what others write.
local assert = require "luassert"

local files, made = {}, {}

--- A name that nothing has, removed by files.clear.
function files.tmp(ending)
  local path = os.tmpname()
  os.remove(path)
  path = path .. (ending or "")
  made[#made + 1] = path
  return path
end

--- Has files.clear remove a file made under another name.
function files.keep(path)
  made[#made + 1] = path
  return path
end

function files.clear()
  for _, path in ipairs(made) do os.remove(path) end
end

function files.write(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  return path
end

function files.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

function files.same(a, b, what)
  assert.same(a.shape, b.shape, what)
  assert.equal(a.dtype, b.dtype, what)
  assert.is_true(a:bytes() == b:bytes(), what or "the values differ")
end

--- fn raises one line that holds the pattern.
function files.refuses(fn, pattern)
  local ok, message = pcall(fn)
  assert.is_false(ok, pattern)
  assert.is_nil(message:find "\n", message)
  assert.is_truthy(message:find(pattern), message)
end

--- Runs a Python script with a folder's prefix as its argument; the lines it prints, or nil when a
-- module is missing. Every file it makes is to begin with the prefix and be printed.
function files.python(modules, script)
  local probe = ("/usr/bin/python3 -c 'import %s' 2>/dev/null"):format(modules)
  local ok = os.execute(probe)
  if ok ~= true and ok ~= 0 then return nil end
  local path, prefix = files.write(files.tmp ".py", script), files.tmp "-"
  local pipe, lines = io.popen(("/usr/bin/python3 %s %s"):format(path, prefix)), {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
    made[#made + 1] = prefix .. line
    made[#made + 1] = prefix .. line .. ".raw"
  end
  pipe:close()
  return lines, prefix
end

--- Cuts and changes a file's bytes: load is to give an error of one line or a value, at once.
function files.mutate(bytes, ending, load, rounds)
  local path, seed = files.tmp(ending), 5
  local step = math.max(1, math.floor(#bytes / 150))
  for n = 0, #bytes - 1, step do
    local ok, message = pcall(load, files.write(path, bytes:sub(1, n)))
    assert.is_true(ok or not message:find "\n", message)
  end
  for _ = 1, rounds or 300 do
    seed = seed * 16807 % 2147483647
    local at = seed % #bytes + 1
    seed = seed * 16807 % 2147483647
    if seed % 3 > 0 then at = at % math.min(#bytes, 400) + 1 end
    local ok, message = pcall(load, files.write(path, bytes:sub(1, at - 1)
      .. string.char(seed % 256) .. bytes:sub(at + 1)))
    assert.is_true(ok or not message:find "\n", message)
  end
end

return files
