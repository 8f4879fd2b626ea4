--- al.progress: a line that says how far, how fast, how long still, and the figures of the
-- moment.
--
--   local bar = al.progress { total = 1000, label = "train" }
--   for step = 1, 1000 do ...; bar:step { loss = loss:item() } end
--   bar:done()
--
-- On a terminal the line is redrawn at most ten times a second; elsewhere (a log, a pipe) a
-- plain line appears now and then: after 1 s, and each time 1.5 times as long again. Writes to
-- standard error.

local options = require "albedo.options"

local Bar = {}
Bar.__index = Bar

local terminal -- whether standard error is one; asked once
local function is_terminal()
  if terminal == nil then
    local fine = os.execute "test -t 2 2>/dev/null"
    terminal = fine == true or fine == 0
  end
  return terminal
end

-- Wall clock in seconds where the kernel gives it, else processor time is of no use and whole
-- seconds serve.
local function clock()
  local al = package.loaded.albedo
  return type(al) == "table" and al.clock and al.clock() or os.time()
end

local function duration(seconds)
  if seconds ~= seconds or seconds == math.huge then return "?" end
  seconds = math.floor(seconds + 0.5)
  if seconds < 60 then return ("%ds"):format(seconds) end
  if seconds < 3600 then return ("%dm%02ds"):format(math.floor(seconds / 60), seconds % 60) end
  return ("%dh%02dm"):format(math.floor(seconds / 3600), math.floor(seconds % 3600 / 60))
end

local function text(self, now)
  local elapsed = math.max(now - self.start, 1e-9)
  local rate = (self.count - self.from) / elapsed
  local parts = { self.label ~= "" and self.label .. " " or "" }
  if self.total then
    local share = math.min(self.count / self.total, 1)
    local filled = math.floor(share * 20)
    parts[#parts + 1] = ("[%s%s] %d/%d")
      :format(("#"):rep(filled), ("."):rep(20 - filled), self.count, self.total)
  else
    parts[#parts + 1] = ("%d"):format(self.count)
  end
  parts[#parts + 1] = ("  %.3g/s"):format(rate)
  if self.finished then
    parts[#parts + 1] = "  in " .. duration(elapsed)
  elseif self.total then
    parts[#parts + 1] = "  " .. duration((self.total - self.count) / rate) .. " left"
  end
  for _, name in ipairs(self.names) do
    local value = self.values[name]
    parts[#parts + 1] = ("  %s %s")
      :format(name, type(value) == "number" and ("%.4g"):format(value) or tostring(value))
  end
  return table.concat(parts)
end

local function draw(self, now)
  if self.terminal then
    self.out:write("\r", text(self, now), "\27[K", self.finished and "\n" or "")
  else
    self.out:write(text(self, now), "\n")
  end
  self.out:flush()
end

--- Counts n steps more (1), with figures to show: bar:step { loss = 0.3 } or bar:step(16, {
-- loss = 0.3 }).
function Bar:step(n, values)
  if type(n) == "table" then n, values = 1, n end
  self.count = self.count + (n or 1)
  for name, value in pairs(values or {}) do
    if self.values[name] == nil then
      table.insert(self.names, name)
      table.sort(self.names)
    end
    self.values[name] = value
  end
  local now = clock()
  if now >= self.due then
    draw(self, now)
    self.due = self.terminal and now + 0.1 or self.start + math.max(now - self.start, 1) * 1.5
  end
end

--- Ends the line with the time it took. Safe to call twice.
function Bar:done()
  if self.finished then return end
  self.finished = true
  draw(self, clock())
end

--- al.progress { total = steps or nil, from = steps done before (0), label = "train", out =
-- io.stderr, terminal = true or false to override }
return function(opts)
  local o = options("progress", opts, { label = "", from = 0 }, { "total", "out", "terminal" })
  local now = clock()
  local on_terminal = o.terminal
  if on_terminal == nil then on_terminal = not o.out and is_terminal() end
  return setmetatable({
    total = o.total, label = o.label, out = o.out or io.stderr, terminal = on_terminal,
    count = o.from, from = o.from, start = now,
    due = on_terminal and now or now + 1, values = {}, names = {},
    finished = false,
  }, Bar)
end
