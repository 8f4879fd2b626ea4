--- What al.fit is given, looked at before anything is trained: whatever is wrong with it is one
-- sentence at the caller's line.

local al = require "albedo"
local datasets = require "albedo.data.dataset"
local json = require "albedo.json"
local length = require "albedo.length"
local options = require "albedo.options"

local DEFAULTS = {
  lr = 1e-3, weight_decay = 0.01, warmup = 0, checks = 10, accumulate = 1, save_every = 20,
  save = false, fresh = false, extend = true, label = "train",
}
local FURTHER = {
  "steps", "epochs", "optim", "loss", "schedule", "validate", "watch", "best", "patience",
  "clip", "ema", "about",
}

local given = {}

--- An error of al.fit at the caller's line.
function given.wrong(format, ...) al.raise("al.fit: " .. format:format(...)) end
local wrong = given.wrong

local function has(v, ...)
  for _, name in ipairs { ... } do
    if type(v) ~= "table" or type(v[name]) ~= "function" then return false end
  end
  return true
end

local function callable(v)
  local meta = type(v) == "table" and getmetatable(v)
  return type(v) == "function" or type(meta) == "table" and meta.__call ~= nil
end

local function called(v)
  if v == nil then return "nothing" end
  if type(v) == "string" then return ("%q"):format(v) end
  if al.is_tensor(v) then return "a tensor" end
  if type(v) ~= "table" and type(v) ~= "function" then return tostring(v) end
  if al.nn.is_module(v) then return "a module" end
  if datasets.is_dataset(v) then
    return "a dataset: al.data.loader(set, { batch = 32 }) is one"
  end
  return "a " .. type(v)
end

--- The batches of a loader's epoch, at least one; nil for what cannot say.
local function epoch_of(what, v)
  local meta = getmetatable(v)
  if type(v) ~= "table" or type(meta) ~= "table" or not meta.__len then return nil end
  local n = length(v)
  if n > 0 then return n end
  if type(v.set) == "table" and v.batch then
    wrong("%s gives no batch: %d samples, batch = %s%s", what, length(v.set), v.batch,
      v.drop_last and ", drop_last" or "")
  end
  wrong("%s gives no batch", what)
end

-- Numbers: { name, what is wanted, test }.
local function whole(v) return v >= 1 and v % 1 == 0 end
local NUMBERS = {
  { "steps", "a whole number from 1", whole }, { "epochs", "a whole number from 1", whole },
  { "accumulate", "a whole number from 1", whole },
  { "patience", "a whole number from 1", whole },
  { "checks", "a number from 1 on", function(v) return v >= 1 end },
  { "clip", "a number above 0", function(v) return v > 0 end },
  { "warmup", "a whole number from 0", function(v) return v >= 0 and v % 1 == 0 end },
  { "save_every", "seconds, from 0", function(v) return v >= 0 end },
  { "lr", "a number from 0", function(v) return v >= 0 and v < math.huge end },
  { "weight_decay", "a number from 0", function(v) return v >= 0 and v < math.huge end },
}

local function check_numbers(o)
  for _, rule in ipairs(NUMBERS) do
    local name, wanted, fine = rule[1], rule[2], rule[3]
    local v = o[name]
    if v ~= nil and not (type(v) == "number" and fine(v)) then
      wrong("%s is %s, got %s", name, wanted, called(v))
    end
  end
  local ema = o.ema
  if ema ~= nil and not has(ema, "update", "with", "swap")
    and not (type(ema) == "number" and ema >= 0 and ema < 1) then
    wrong("ema is a decay from 0 on and below 1, or al.optim.ema(net); got %s", called(ema))
  end
end

local function check_parts(o, opts)
  if o.optim ~= nil then
    if not (has(o.optim, "step", "zero_grad") and type(o.optim.groups) == "table") then
      wrong("optim is an optimizer, such as al.optim.sgd(net:parameters(), { lr = 0.1 }); "
        .. "got %s", called(o.optim))
    end
    for _, name in ipairs { "lr", "weight_decay" } do
      if opts[name] ~= nil then wrong("%s is for AdamW; optim has its own", name) end
    end
    if o.optim.closure and o.clip then
      wrong "clip would change the slopes that this optimizer searches along"
    end
  end
  if o.loss ~= nil and not callable(o.loss) then
    wrong("loss is a function(output, y, x, z) -> tensor, such as al.mse_loss; got %s",
      called(o.loss))
  end
  if o.validate == nil then
    if o.patience then wrong "patience waits for a better validate, and there is none" end
  elseif not callable(o.validate) then
    wrong("validate is a loader, or a function(net) -> score; got %s", called(o.validate))
  else
    epoch_of("validate", o.validate)
  end
  if o.best ~= nil and o.best ~= "low" and o.best ~= "high" then
    wrong('best is "low" or "high", got %s', called(o.best))
  end
end

local function check_about(about)
  if about == nil then return end
  local notes = { "got " .. called(about) }
  if type(about) == "table" then notes = select(2, json.encode(about)) end
  if notes then
    wrong("about is a table of names, numbers and lists to keep with the weights; %s",
      notes[1])
  end
end

-- A path without ending; a folder's own name is none.
local function stem_of(save)
  if not save then return nil end
  if type(save) ~= "string" then
    wrong('save is a path without ending, such as "runs/digits/net"; got %s', called(save))
  end
  local stem = save:gsub("%.safetensors$", "")
  if stem == "" or stem:find "/$" or al.io.exists(stem .. "/.") then
    wrong('save = "%s" is a folder: a name in it is wanted, such as "%s/net"', save,
      (stem:gsub("/+$", "")))
  end
  return stem
end

-- The steps asked for, by themselves or as epochs.
local function steps_of(o, batches)
  if o.steps and o.epochs then wrong "steps or epochs, not both" end
  if o.steps then return o.steps end
  if not o.epochs then wrong "steps or epochs is wanted: how long to train" end
  local epoch = epoch_of("the loader", batches)
  if not epoch then wrong "epochs count a loader's batches; here steps must be given" end
  return math.max(1, math.floor(o.epochs * epoch / o.accumulate))
end

--- The options, filled in; their `steps` is there, `save` without ending.
function given.check(net, batches, opts)
  if not has(net, "parameters", "train", "eval", "state_dict") then
    wrong("net is a module such as al.nn.Sequential; got %s",
      called(net))
  end
  if not callable(batches) or al.nn.is_module(batches) then
    wrong("batches is a loader, or a function(i) -> x, y; got %s",
      called(batches))
  end
  local o = options("al.fit", opts, DEFAULTS, FURTHER)
  check_numbers(o)
  check_parts(o, opts)
  check_about(o.about)
  epoch_of("the loader", batches)
  o.steps = steps_of(o, batches)
  if o.warmup > o.steps then
    wrong("warmup = %d is longer than the training, %d steps", o.warmup, o.steps)
  end
  o.save = stem_of(o.save)
  return o
end

return given
