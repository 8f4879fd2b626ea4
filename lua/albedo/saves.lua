--- What a training leaves on the disk, sound at any instant: NAME.part.safetensors, the
-- checkpoint to go on from, and NAME.previous.safetensors, the one before it; NAME.jsonl, the
-- figures of the steps, a line each, never fewer than the checkpoint's steps; while it trains
-- NAME.lock, which holds the process. al.fit's.

local al = require "albedo"
local json = require "albedo.json"
local optional = require "albedo.optional"

local Saves = {}
Saves.__index = Saves

local exists = al.io.exists

-- Temporary files of processes that were killed while they wrote one of ours: "NAME.XXXXXX",
-- NAME a file of this training.
local function sweep(self)
  local found, lfs = pcall(require, "lfs")
  if not found then return end
  local ours = { [self.lines .. ".new"] = true }
  for _, path in ipairs { self.part, self.previous, self.best, self.final } do
    ours[path], ours[path .. ".new"] = true, true
  end
  local readable, entries, folder = pcall(lfs.dir, self.folder)
  for file in readable and entries or function() end, folder do
    local path = (self.stem:find "/" and self.folder .. "/" or "") .. file
    if ours[path:match "^(.*)%.%w%w%w%w%w%w$" or ""] then os.remove(path) end
  end
  os.remove(self.lines .. ".new")
  os.remove(self.part .. ".new")
end

--- Makes the training ours until unlock, or until this process ends, however it does. true; or
-- nil and why nothing can be written; raises when another process has it.
function Saves:lock()
  local made, why = pcall(al.io.make_folder, self.folder)
  local held
  if made then held, why = al.native.lock(self.locked) end
  if held == false then
    local file = io.open(self.locked)
    local id = file and file:read "*l"
    if file then file:close() end
    al.raise(("al.fit: %s is being trained by process %s: another `save`, or wait for its end")
      :format(self.stem, id or "?"))
  end
  self.held = held
  if held then sweep(self) end
  return held and true, not held and ("cannot write %s: %s"):format(self.locked, why) or nil
end

function Saves:unlock()
  if self.held then al.native.unlock(self.locked, self.held) end
  self.held = nil
end

--- Forgets what a training that is over, or begins anew, does not need: all but the last
-- checkpoint, from which a longer one goes on.
function Saves:remove()
  for _, path in ipairs { self.part .. ".new", self.previous, self.best } do
    os.remove(path)
  end
end

-- ---- checkpoints ----------------------------------------------------------------------------

-- CRC-32 of a file's tensors; nil where Albedo was built without zlib.
local function checksum(file)
  if not optional.list().zlib then return nil end
  local last = file.order[#file.order]
  local size = last and file.entries[last].data_offsets[2] or 0
  return al.scope(function()
    local bytes = al.block_read(file.path, file.start, "U8", { size }, { map = true })
    return ("%08x"):format(optional.open("zlib").crc32(bytes):item())
  end)
end

local NONE = "no crc32" -- as long as a checksum

-- Writes the checksum of a new checkpoint into its header.
local function seal(path)
  local file = al.io.open(path)
  local sum = checksum(file)
  if not sum then return end
  local out = assert(io.open(path, "r+b"))
  local at = out:read(file.start):find('"crc32":"' .. NONE, 1, true)
  out:seek("set", at + 8)
  local ok, why = out:write(sum)
  local closed, late = out:close()
  if not (ok and closed) then error(("cannot write %s: %s"):format(path, why or late), 0) end
  al.native.sync(path)
end

-- A checkpoint opened, its checksum right; or nil and the reason.
local function opened(path)
  local sound, file = pcall(al.io.open, path)
  if not sound then return nil, tostring(file):match "al%.load: (.*)" or tostring(file) end
  local kept = file.metadata.crc32
  if kept and kept ~= NONE and kept ~= (checksum(file) or kept) then
    return nil, path .. " is damaged: its checksum is another"
  end
  return file
end

--- The last sound checkpoint, opened: the one before where the last is missing or not sound.
-- nil when there is none; and why the last is not it. Raises when none is sound.
function Saves:open()
  local reason
  for _, path in ipairs { self.part, self.previous } do
    if exists(path) then
      local file, why = opened(path)
      if file then return file, reason end
      reason = reason or why
      self.damaged = self.damaged or path == self.part
    end
  end
  if reason then
    al.raise(("al.fit: no checkpoint can be read: %s. fresh = true begins anew"):format(reason))
  end
  return nil
end

--- Replaces the checkpoint, and keeps the former. true; or nil and the reason, as on a full
-- disk, and the former stands.
function Saves:save(state)
  local ok, reason = self:flush()
  if not ok then return nil, reason end
  if self.good > 0 then al.native.sync(self.lines) end
  local new = self.part .. ".new"
  state.crc32 = NONE
  ok, reason = pcall(function()
    al.save(new, state)
    seal(new)
  end)
  if not ok then
    os.remove(new)
    return nil, (tostring(reason):gsub("^.-al%.save: ", ""))
  end
  -- one that is damaged does not take the place of a sound one
  if self.damaged then os.remove(self.part) else os.rename(self.part, self.previous) end
  self.damaged = nil
  ok, reason = os.rename(new, self.part)
  al.native.sync(self.folder)
  return ok, not ok and ("%s: %s"):format(self.part, reason) or nil
end

-- ---- the figures of the steps ---------------------------------------------------------------

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

-- The lines, each with its figures, up to the first that is none.
local function lines_of(path)
  local file, text = io.open(path, "rb"), ""
  if file then
    text = file:read "*a" or ""
    file:close()
  end
  local next_line = text:gmatch "[^\n]*\n"
  return function()
    local line = next_line()
    local ok, figures = pcall(json.decode, line or "")
    if ok and type(figures) == "table" then return line, figures end
  end
end

--- Keeps the lines up to a step; what came after it will come again. Returns their number.
function Saves:rewind(step)
  local kept = {}
  for line, figures in lines_of(self.lines) do
    if (figures.step or math.huge) > step then break end
    kept[#kept + 1] = line
  end
  local text = table.concat(kept)
  json.write_file(self.lines, text)
  self.good, self.pending = #text, {}
  return #kept
end

--- The seconds that the lines say the training took.
function Saves:seconds()
  local last = 0
  for _, figures in lines_of(self.lines) do last = figures.seconds or last end
  return last
end

--- The saves of a training under a path without ending: "runs/digits/net".
return function(stem)
  return setmetatable({
    stem = stem, folder = stem:match "^(.*)/[^/]+$" or ".", locked = stem .. ".lock",
    part = stem .. ".part.safetensors", previous = stem .. ".previous.safetensors",
    best = stem .. ".best.safetensors", final = stem .. ".safetensors",
    lines = stem .. ".jsonl", good = 0, pending = {}, flushed = al.clock(),
  }, Saves)
end
