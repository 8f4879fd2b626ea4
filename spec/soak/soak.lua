-- kill -9 at random instants of a training, taken up each time. soak(kills, steps) returns the
-- number of kills that hit; it raises when a checkpoint cannot be read, or when the end differs
-- from the uninterrupted run's in the weights or in the lines of figures.
local al = require "albedo"
local lua = os.getenv "LUA" or "lua5.4"

local function shell(command)
  local done, _, code = os.execute(command)
  return done == true or done == 0, code
end

local function train(stem, steps)
  return ("%s spec/soak/train.lua %s %d 0.02 >>%s.log 2>&1"):format(lua, stem, steps, stem)
end

-- What is left after a kill: every checkpoint under its name is whole.
local function check_files(stem)
  for _, ending in ipairs { ".part", ".previous", ".best", "" } do
    local path = stem .. ending .. ".safetensors"
    if al.io.exists(path) then al.load(path) end
  end
end

-- The figures of the steps, 1, 2, ... each once.
local function lines_of(stem)
  local out = {}
  for line in io.lines(stem .. ".jsonl") do
    local figures = al.json.decode(line)
    figures.seconds = nil
    out[#out + 1] = al.json.encode(figures)
    assert(figures.step == #out, ("line %d is of step %d"):format(#out, figures.step))
  end
  return out
end

local function same_end(a, b)
  local one, other = al.load(a .. ".safetensors"), al.load(b .. ".safetensors")
  for name, t in pairs(one) do
    if al.is_tensor(t) then
      assert(t:bytes() == other[name]:bytes(), name .. " differs from the uninterrupted run's")
    else
      assert(t == other[name], name .. " differs")
    end
  end
  local function bytes(stem)
    local file = assert(io.open(stem .. ".safetensors", "rb"))
    local text = file:read "*a"
    file:close()
    return text
  end
  assert(bytes(a) == bytes(b), "the files differ")
  local x, y = lines_of(a), lines_of(b)
  assert(#x == #y, ("%d lines of figures, %d uninterrupted"):format(#y, #x))
  for i = 1, #x do assert(x[i] == y[i], x[i] .. " became " .. y[i]) end
end

return function(kills, steps, report)
  local folder = os.tmpname()
  os.remove(folder)
  al.io.make_folder(folder)
  local whole = folder .. "/whole"
  local began = al.clock()
  assert(shell(train(whole, steps)), "the training fails, see " .. whole .. ".log")
  local took = al.clock() - began
  assert(#lines_of(whole) == steps)
  local random, hits, run = al.generator(os.time()), 0, 0
  while hits < kills do -- a run may end before its kills are used up: then another
    run = run + 1
    local stem, over = ("%s/run%d"):format(folder, run), false
    while not over and hits < kills do
      local share = al.rand(1, { generator = random }):item()
      local wait = 0.05 + share * 2 * took / math.max(3, kills / 3)
      local ok, code = shell(("timeout -s KILL %.3f %s"):format(wait, train(stem, steps)))
      over = ok
      if not ok then
        assert(code == nil or code == 137,
          ("the training ended with %s, see %s.log"):format(tostring(code), stem))
        hits = hits + 1
        check_files(stem)
      end
    end
    if not over then assert(shell(train(stem, steps)), "it does not go on, see " .. stem) end
    same_end(whole, stem)
    if report then report(hits, run) end
  end
  shell("rm -r " .. folder)
  return hits
end
