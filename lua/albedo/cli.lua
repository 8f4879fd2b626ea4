--- al.cli: the options every experiment takes, and those of one experiment, over lua-argparse.
--
--   local o = al.cli.parse("copymove", "Copy-move forgery detection.", {
--     depth = 4, width = 24, steps = 1200,          -- become --depth, --width, --steps
--     seeds = 3,                                    -- another default for a common option
--     quick = { steps = 60, seeds = 1 },            -- what --quick changes
--     claims = { seeds = 5 },                       -- what --claims changes
--     help = { depth = "blocks of the network" },
--   })
--
-- Every experiment takes --data DIR (default: $ALBEDO_DATA), --weights PATH, --seeds N (3),
-- --seed N (1, the first), --threads N, --out DIR (runs/NAME-DATE), --quick (a small run),
-- --claims (one large enough to judge the paper's claims) and --help. An option given on the
-- command line wins over --quick and --claims. A boolean default makes --name and --no-name.

local cli = {}

local COMMON = {
  { "data", "DIR", "the data set, or a folder of data sets (default: $ALBEDO_DATA)" },
  { "weights", "PATH", "pretrained weights: a safetensors file, or a folder of them" },
  { "seeds", "N", "how many seeds to run" },
  { "seed", "N", "the first seed" },
  { "threads", "N", "processor threads to use" },
  { "out", "DIR", "the run folder (default: runs/NAME-DATE)" },
}
local DEFAULTS = { seeds = 3, seed = 1 }
local RESERVED = { quick = true, claims = true, help = true }

local function library()
  local found, argparse = pcall(require, "argparse")
  if not found then
    error("the package lua-argparse is missing: apt-get install lua-argparse", 0)
  end
  return argparse
end

local function integer(text)
  local v = tonumber(text)
  if not v or v % 1 ~= 0 then return nil, ("'%s' is no whole number"):format(text) end
  return math.floor(v)
end

local function number(text)
  local v = tonumber(text)
  if not v then return nil, ("'%s' is no number"):format(text) end
  return v
end

local function positive(text)
  local v, message = integer(text)
  if v and v < 1 then return nil, ("'%s' must be at least 1"):format(text) end
  return v, message
end

local CONVERT = { seeds = positive, seed = integer, threads = positive }

local function converter(default)
  if type(default) ~= "number" then return tostring end
  local whole = math.type and math.type(default) == "integer" or not math.type
    and default % 1 == 0
  return whole and integer or number
end

local function flag(name) return "--" .. name:gsub("_", "-") end

local function show(default)
  if default == nil then return "" end
  return (" (default: %s)"):format(tostring(default))
end

-- The parser, and the list of the experiment's own option names.
local function build(name, about, own)
  local parser = library()(name, about)
  for _, option in ipairs(COMMON) do
    local key, unit, text = option[1], option[2], option[3]
    parser:option(flag(key), text .. show(own[key] or DEFAULTS[key])):argname("<" .. unit
      .. ">")
      :target(key):convert(CONVERT[key] or tostring)
  end
  parser:flag("--quick", "a small run, to see that everything works"):target "quick"
  parser:flag("--claims", "a run large enough to judge the paper's claims"):target "claims"

  local names, common = {}, {}
  for _, option in ipairs(COMMON) do common[option[1]] = true end
  for key in pairs(own) do
    if type(key) ~= "string" then error("cli: options have names", 0) end
    if not RESERVED[key] and not common[key] then names[#names + 1] = key end
  end
  table.sort(names)
  local help = own.help or {}
  for _, key in ipairs(names) do
    local default = own[key]
    if type(default) == "boolean" then
      parser:flag(flag(key), help[key]
        or ("switch %s on%s"):format(key, default and " (the default)" or ""))
        :target(key)
      parser:flag("--no-" .. flag(key):sub(3),
        ("switch %s off%s"):format(key, default and "" or " (the default)"))
        :target("no_" .. key)
    else
      parser:option(flag(key), (help[key] or key) .. show(default)):argname("<" .. key:upper()
        .. ">")
        :target(key):convert(converter(default))
    end
  end
  return parser, names
end

local function overlay(out, changes)
  for key, value in pairs(changes or {}) do out[key] = value end
end

--- The options of a command line (default: the script's). Prints usage and ends the process on
-- --help or a mistake.
function cli.parse(name, about, own, args)
  own = own or {}
  local parser, names = build(name, about, own)
  local given = parser:parse(args or arg or {})
  local out = {}
  overlay(out, DEFAULTS)
  for _, key in ipairs(names) do out[key] = own[key] end
  for _, option in ipairs(COMMON) do
    if own[option[1]] ~= nil then out[option[1]] = own[option[1]] end
  end
  if given.quick and given.claims then
    parser:error "--quick and --claims exclude each other"
  end
  if given.quick then overlay(out, own.quick) end
  if given.claims then overlay(out, own.claims) end
  for key, value in pairs(given) do
    local off = key:match "^no_(.*)$"
    if off and type(own[off]) == "boolean" then out[off] = false else out[key] = value end
  end
  out.quick, out.claims = given.quick or false, given.claims or false
  out.data = out.data or os.getenv "ALBEDO_DATA"
  if out.data == "" then out.data = nil end
  return out
end

return cli
