--- What a training leaves on the disk, sound at any instant: NAME.part.safetensors, the
-- checkpoint to go on from, and NAME.previous.safetensors, the one before it; NAME.jsonl, the
-- figures of the steps, a line each, never fewer than the checkpoint's steps. al.fit's.

local al = require "albedo"
local json = require "albedo.json"

local Saves = {}
Saves.__index = Saves

local exists = al.io.exists

-- Temporary files of processes that were killed while they wrote one of ours.
local function sweep(folder, name)
  local found, lfs = pcall(require, "lfs")
  if not found then return end
  for file in lfs.dir(folder) do
    if file:sub(1, #name) == name and file:find "%.safetensors%.%w%w%w%w%w%w$" then
      os.remove(folder .. "/" .. file)
    end
  end
end

--- Forgets what a training that is over, or begins anew, does not need: all but the last
-- checkpoint, from which a longer one goes on.
function Saves:remove()
  for _, path in ipairs { self.part .. ".new", self.previous, self.best } do
    os.remove(path)
  end
end

--- The checkpoint's parts are handed to `into`, the rest is returned; nil when there is none.
-- Falls back on the one before when the last is missing or unsound.
function Saves:load(into)
  local reason
  for _, path in ipairs { self.part, self.previous } do
    if exists(path) then
      local sound, why = pcall(al.io.open, path)
      if sound then return al.load(path, into) end
      reason = tostring(why):match "al%.load: (.*)" or why
      os.remove(path) -- else it would take the place of the sound one at the next save
    end
  end
  if reason then error("no checkpoint can be read: " .. tostring(reason), 0) end
  return nil
end

--- Replaces the checkpoint, and keeps the former. true; or nil and the reason, as on a full
-- disk, and the former stands.
function Saves:save(state)
  local ok, reason = self:flush()
  if not ok then return nil, reason end
  if self.good > 0 then al.native.sync(self.lines) end
  local new = self.part .. ".new"
  ok, reason = pcall(al.save, new, state)
  if not ok then
    os.remove(new)
    return nil, tostring(reason)
  end
  os.rename(self.part, self.previous)
  ok, reason = os.rename(new, self.part)
  al.native.sync(self.folder)
  return ok, reason
end

--- Adds a line of figures; on the disk a second later at most, and before a checkpoint.
function Saves:line(figures)
  self.pending[#self.pending + 1] = json.encode(figures) .. "\n"
  if al.clock() - self.flushed > 1 then self:flush() end
end

--- Writes the lines that wait. true, or nil and the reason; they wait on then.
function Saves:flush()
  self.flushed = al.clock()
  if #self.pending == 0 then return true end
  local file, reason = io.open(self.lines, self.good > 0 and "r+b" or "wb")
  if not file then return nil, "cannot write " .. tostring(reason) end
  local text = table.concat(self.pending)
  file:seek("set", self.good)
  local ok, why = file:write(text)
  local closed, late = file:close()
  if not (ok and closed) then
    return nil, ("cannot write %s: %s"):format(self.lines, tostring(why or late))
  end
  self.good, self.pending = self.good + #text, {}
  return true
end

--- Keeps the lines up to a step; what came after it will come again.
function Saves:rewind(step)
  local file, kept = io.open(self.lines, "rb"), {}
  for line in (file and file:read "*a" or ""):gmatch "[^\n]*\n" do
    local ok, figures = pcall(json.decode, line)
    if not ok or type(figures) ~= "table" or (figures.step or math.huge) > step then break end
    kept[#kept + 1] = line
  end
  if file then file:close() end
  local text = table.concat(kept)
  json.write_file(self.lines, text)
  self.good, self.pending = #text, {}
end

--- The saves of a training under a path without ending: "runs/digits/net".
return function(stem)
  local folder, name = stem:match "^(.*)/([^/]+)$"
  folder, name = folder or ".", name or stem
  al.io.make_folder(folder)
  sweep(folder, name)
  return setmetatable({
    folder = folder, part = stem .. ".part.safetensors",
    previous = stem .. ".previous.safetensors", best = stem .. ".best.safetensors",
    final = stem .. ".safetensors", lines = stem .. ".jsonl",
    good = 0, pending = {}, flushed = al.clock(),
  }, Saves)
end
