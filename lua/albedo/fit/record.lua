--- What a training was: kept in its files, so that a call with another network, other data or
-- options is not taken for the same one. A record is name -> text. Functions are not looked
-- into; what they do is the caller's to say, in `about`.

local al = require "albedo"
local json = require "albedo.json"
local length = require "albedo.length"

local record = {}

local MOST = 20000 -- samples that are looked at, evenly over the dataset

-- A hash of texts: h = 31 h + byte, modulo the prime below 2^32.
local function hash(texts)
  local h = 7
  for _, text in ipairs(texts) do
    for i = 1, #text do h = (h * 31 + text:byte(i)) % 4294967291 end
    h = (h * 31 + 10) % 4294967291
  end
  return ("%08x"):format(h)
end

local function text_of(v)
  if type(v) == "number" then return ("%.14g"):format(v) end
  return type(v) == "function" and "a function" or tostring(v)
end

-- Names, shapes, dtypes of the weights, and which of them learn.
local function of_network(net)
  local lines, numbers, learn = {}, 0, {}
  for _, p in ipairs(net:parameters()) do learn[p:data_ptr()] = p.requires_grad end
  for name, t in pairs(net:state_dict()) do
    lines[#lines + 1] = ("%s %s %s %s"):format(name, table.concat(t.shape, "x"), t.dtype,
      tostring(learn[t:data_ptr()]))
    numbers = numbers + t:numel()
  end
  table.sort(lines)
  return ("%d tensors of %d numbers (%s)"):format(#lines, numbers, hash(lines))
end

-- What tells the samples apart without reading them, as far as the dataset knows: see
-- Dataset:mark.
local function of_samples(set)
  local n, marks = length(set), {}
  if type(set.mark) ~= "function" then return ("%d samples"):format(n) end
  al.scope(function()
    for i = 1, n, math.ceil(n / MOST) do marks[#marks + 1] = set:mark(i) or "" end
  end)
  return ("%d samples (%s)"):format(n, hash(marks))
end

local function of_batches(batches)
  if type(batches) ~= "table" or type(batches.set) ~= "table" then return "a function" end
  return ("%s by %s%s%s"):format(of_samples(batches.set), text_of(batches.batch),
    batches.shuffle and ", shuffled" or "", batches.drop_last and ", drop_last" or "")
end

-- The options an optimizer was made with; its rates change as it goes.
local function of_optimizer(optim, out)
  out.optim = ("%s, groups: %d"):format(optim.rule and optim.rule.name or "another",
    #optim.groups)
  for name, v in pairs(optim.defaults or {}) do
    if type(v) ~= "table" then out[name] = text_of(v) end
  end
end

--- The record of a training: its network, batches, optimizer, and options (al.fit's). How long
-- it is to be, how often it is validated and saved are not in it.
function record.of(net, batches, optim, o)
  local out = {
    network = of_network(net), data = of_batches(batches),
    validate = o.validate and of_batches(o.validate),
    loss = o.loss and "a function" or "cross_entropy",
    schedule = type(o.schedule) == "table" and "given"
      or text_of(o.schedule or (optim.closure and "none" or "cosine")),
    ema = type(o.ema) == "table" and "given" or o.ema and text_of(o.ema),
    about = o.about and json.encode(o.about),
  }
  of_optimizer(optim, out)
  for _, name in ipairs { "warmup", "clip", "accumulate", "watch", "best" } do
    out[name] = o[name] ~= nil and text_of(o[name]) or nil
  end
  for name, v in pairs(out) do out[name] = v or nil end
  return out
end

--- What differs between a record kept and one of now, as words; nil when nothing does.
function record.difference(kept, now)
  local names, words = {}, {}
  for name in pairs(kept) do names[#names + 1] = name end
  for name in pairs(now) do
    if kept[name] == nil then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    if kept[name] ~= now[name] then
      words[#words + 1] = ("%s was %s, is %s"):format(name, kept[name] or "not given",
        now[name] or "not given")
    end
  end
  return words[1] and table.concat(words, "; ")
end

return record
