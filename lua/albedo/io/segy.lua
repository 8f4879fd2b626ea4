--- SEG-Y surveys, read by segyio (a plugin), written here. al.io has the functions.

local al = require "albedo"
local bytes = require "albedo.io.bytes"
local options = require "albedo.options"
local optional = require "albedo.optional"
local fail = bytes.fail

local segy = {}

-- sample format -> what segy_read gives of it
local FORMATS = { [1] = "F32", [2] = "I32", [3] = "I16", [5] = "F32", [8] = "I8" }

-- The different values of a list in order, and value -> place.
local function distinct(list)
  local values, place = {}, {}
  for _, v in ipairs(list) do
    if not place[v] then
      values[#values + 1] = v
      place[v] = true
    end
  end
  table.sort(values)
  for k, v in ipairs(values) do place[v] = k end
  return values, place
end

-- For each place of the cube the trace that lies there (0: none); nil when two do.
local function places_of(traces, axes)
  local total, at = 1, {}
  for _, axis in ipairs(axes) do total = total * #axis.values end
  if total > 64 * traces + 1024 then return nil end
  for k = 1, total do at[k] = 0 end
  for i = 1, traces do
    local k = 0
    for _, axis in ipairs(axes) do k = k * #axis.values + axis.place[axis.list[i]] - 1 end
    if at[k + 1] ~= 0 then return nil end
    at[k + 1] = i
  end
  return at
end

-- The text of the header: segyio takes it for EBCDIC, though some files hold ASCII.
local function text_of(path, lib)
  local raw = bytes.read(path, 0, 3200)
  return raw:find "^C ?%d" and raw or lib.segy_text(path):bytes()
end

--- A SEG-Y survey: inlines x crosslines x samples (x offsets before the samples when there are
-- several), or traces x samples where their numbers make no grid; and a table { inlines,
-- crosslines, offsets (the numbers, lists), interval (milliseconds), text (the header's), words
-- (places x traces) }. Traces that a grid lacks hold `fill`. float32 from IBM and IEEE floats,
-- integers as they are. Options: traces = { first, last } (only these, traces x samples),
-- inline = 189, crossline = 193, offset = 37 (bytes of the trace headers), fill (0), max_bytes
-- (4e9). Needs the plugin segy (libsegyio-dev).
function segy.segy(path, opts)
  local o = options("io.segy", opts,
    { inline = 189, crossline = 193, offset = 37, fill = 0, max_bytes = 4000000000 },
    { "traces" })
  local lib = optional.open "segy"
  if bytes.size(path) < 3600 then fail(path, "no SEG-Y file") end
  local sizes = lib.segy_sizes(path):totable()
  local traces, samples, format = sizes[1], sizes[2], FORMATS[sizes[3]]
  local first, count = 1, traces
  if o.traces then first, count = o.traces[1], o.traces[2] - o.traces[1] + 1 end
  local function within(n)
    if n * samples * math.max(4, bytes.SIZES[format]) > o.max_bytes then
      fail(path, "claims more than max_bytes = %.0f", o.max_bytes)
    end
  end
  within(count)
  local x = al.block_decode(lib.segy_read(path, first, math.floor(count)), 0, format,
    { math.floor(count), math.floor(samples) })
  local words = lib.segy_words(path, { o.inline, o.crossline, o.offset })
  local about = { interval = sizes[4] / 1000, text = text_of(path, lib), words = words }
  if o.traces then return x, about end
  local axes, names = {}, { "inlines", "crosslines", "offsets" }
  for k, list in ipairs(words:totable()) do
    local axis = { list = list, name = names[k] }
    axis.values, axis.place = distinct(list)
    if k < 3 or #axis.values > 1 then axes[#axes + 1] = axis end
  end
  local at = traces > 0 and places_of(traces, axes)
  if not at then return x, about end
  within(#at)
  local shape = {}
  for k, axis in ipairs(axes) do shape[k], about[axis.name] = #axis.values, axis.values end
  shape[#shape + 1] = math.floor(samples)
  local index = al.tensor(at, { dtype = "int64" })
  local cube = x:index_select(1, index:clamp(1, traces))
  if #at > traces then
    cube = al.where(index:eq(0):unsqueeze(2), al.full({ 1 }, o.fill, { dtype = x.dtype }), cube)
  end
  return cube:reshape(shape), about
end

-- The letters from blank to ~ in EBCDIC (code page 37).
local EBCDIC = "\64\90\127\123\91\108\80\125\77\93\92\78\107\96\75\97"
  .. "\240\241\242\243\244\245\246\247\248\249\122\94\76\126\110\111"
  .. "\124\193\194\195\196\197\198\199\200\201\209\210\211\212\213\214"
  .. "\215\216\217\226\227\228\229\230\231\232\233\186\224\187\176\109"
  .. "\121\129\130\131\132\133\134\135\136\137\145\146\147\148\149\150"
  .. "\151\152\153\162\163\164\165\166\167\168\169\192\79\208\161"

local function ebcdic(text)
  text = text:sub(1, 3200):gsub("[^ -~]", " ")
  text = text .. (" "):rep(3200 - #text)
  return (text:gsub(".", function(c) return EBCDIC:sub(c:byte() - 31, c:byte() - 31) end))
end

-- The word at a byte (from 1) of headers n x 60 int32.
local function set(words, byte, value)
  words:select(2, (byte - 1) / 4 + 1):copy_(value)
end

--- Writes x (float32), inlines x crosslines x samples or traces x samples, as SEG-Y (revision
-- 1, IEEE floats, big-endian). Options: interval (4, milliseconds), inlines, crosslines (the
-- numbers, lists; from 1 by default), text (up to 3200 letters of ASCII).
function segy.write_segy(path, x, opts)
  local o = options("io.write_segy", opts, { interval = 4, text = "" },
    { "inlines", "crosslines" })
  local fits = x.ndim > 1 and x.ndim < 4 and x:size(-1) < 32768 and x:numel() > 0
  if x.dtype ~= "float32" or not fits then
    fail(path, "SEG-Y wants float32 of 2 or 3 dims, at most 32767 samples a trace")
  end
  local micro = math.floor(o.interval * 1000 + 0.5)
  if micro < 0 or micro > 32767 then fail(path, "SEG-Y holds an interval up to 32 ms") end
  if x.ndim == 2 then x = x:unsqueeze(1) end
  local ni, nx, samples = x:size(1), x:size(2), x:size(3)
  local n = ni * nx
  local function numbers(what, count)
    if o[what] and #o[what] ~= count then fail(path, "%s wants %d numbers", what, count) end
    return o[what] and al.tensor(o[what], { dtype = "int32" })
      or al.arange(1, count, { dtype = "int32" })
  end
  local words = al.zeros(n, 60, { dtype = "int32" })
  set(words, 1, al.arange(1, n, { dtype = "int32" }))
  set(words, 29, al.full({ n }, 65536, { dtype = "int32" })) -- a seismic trace
  set(words, 113, al.full({ n }, samples, { dtype = "int32" })) -- at 115, two bytes
  set(words, 117, al.full({ n }, micro * 65536, { dtype = "int32" }))
  set(words, 189, numbers("inlines", ni):reshape(ni, 1):expand(ni, nx):reshape(n))
  set(words, 193, numbers("crosslines", nx):reshape(1, nx):expand(ni, nx):reshape(n))
  local raw = al.from_bytes(x:detach():contiguous():bytes(), "uint8")
  local values = al.block_decode(raw, 0, "I32", { n, samples })
  local function two(v) return bytes.put(v, 2):reverse() end
  -- binary header from byte 3201: interval at 3217, samples at 3221, format at 3225, revision
  -- at 3501, all traces as long at 3503
  local head = ebcdic(o.text) .. ("\0"):rep(16) .. two(micro)
    .. "\0\0" .. two(samples) .. "\0\0" .. two(5) .. ("\0"):rep(274) .. "\1\0" .. two(1)
  al.bytes_write(path, { al.from_bytes(head .. ("\0"):rep(3600 - #head), "uint8"),
    bytes.stored(al.cat({ words, values }, 2), true) })
end

return segy
