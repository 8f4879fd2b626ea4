--- data.named: sets that a user has a copy of, by name.
--
--   local train = al.data.named("mstar", { part = "train" })      -- under ALBEDO_DATA
--   local tiles = al.data.named("histology_tiles", { dir = "/data" })
--
-- dir holds the set's folder, or is that folder.

local al = require "albedo"
local csv = require "albedo.data.tables".csv
local datasets = require "albedo.data.dataset"
local folders = require "albedo.data.folder"
local options = require "albedo.options"

local sets = {}

-- The folder of a part, among those there are.
local function part_of(name, o, parts)
  local found = parts[o.part or "train"]
  if found then return found end
  local known = {}
  for part in pairs(parts) do known[#known + 1] = part end
  table.sort(known)
  error(("data.named: %s has no part '%s' (there are: %s)")
    :format(name, tostring(o.part), table.concat(known, ", ")), 0)
end

-- A picture, and its mask; fields domain, exam, slice.
function sets.lumbar_mri(dir)
  return folders.masked(dir, { describe = function(item)
    item.domain, item.exam, item.slice = item.name:match "^(%w+)_(%w+)_(%w+)$"
    item.exam = tostring(item.domain) .. "_" .. tostring(item.exam)
  end })
end

function sets.copymove_fau(dir) return al.data.photos(dir) end

function sets.seismic_f3(dir) return al.data.photos(dir) end

function sets.mstar(dir, o)
  local part = part_of("mstar", o, { train = "train_17deg", test = "test_15deg" })
  return folders.folder(dir .. "/" .. part, { channels = 1 })
end

-- NIH's names start with the patient.
function sets.chest_xray(dir)
  return folders.folder(dir, { channels = 1, describe = function(item)
    item.patient = item.name:match "^(%d%d%d%d%d%d%d%d)_%d+$" or item.name
  end })
end

function sets.brain_tumour(dir, o)
  local part = part_of("brain_tumour", o, { train = "Training", test = "Testing" })
  return folders.folder(dir .. "/" .. part, { channels = 1 })
end

-- The coil20 objects by their name's start, the orl faces by folder.
function sets.gan_domains(dir, o)
  local part = part_of("gan_domains", { part = o.part or "orl" },
    { orl = "orl_faces_23x28", coil20 = "coil20_32x32" })
  local items, classes, known = {}, {}, {}
  for i, path in ipairs(folders.files(dir .. "/" .. part)) do
    local class = o.part == "coil20" and path:match "([^/_]+)__%d+%.%w+$"
      or path:match "([^/]+)/[^/]+$"
    if not known[class] then
      classes[#classes + 1] = class
      known[class] = #classes
    end
    items[i] = { path = path, class = class, label = known[class] }
  end
  local set = datasets.list(items, function(item)
    return al.image.load(item.path, { channels = 1 }), item.label
  end)
  set.classes = classes
  return set
end

function sets.pneumonia_mnist(dir, o)
  local part = part_of("pneumonia_mnist", o, { train = "train", val = "val", test = "test" })
  local all = al.load(dir .. "/pneumoniamnist.npz")
  return datasets.tensors(all[part .. "_images"]:unsqueeze(2),
    all[part .. "_labels"]:reshape(-1):to "int64" + 1)
end

-- A tile and its organ's class; fields patient, organ, section, split.
function sets.histology_tiles(dir)
  local classes, known = {}, {}
  local set = csv(dir .. "/labels.csv", { read = function(row)
    return al.image.load(dir .. "/" .. row.file, { channels = 3 }), row.label
  end })
  for _, row in ipairs(set.items) do known[row.organ] = true end
  for organ in pairs(known) do classes[#classes + 1] = organ end
  table.sort(classes)
  for k, organ in ipairs(classes) do known[organ] = k end
  for _, row in ipairs(set.items) do row.label = known[row.organ] end
  set.classes = classes
  return set
end

-- The stacks as they are: name, and a tensor.
function sets.electrode(dir)
  local items = {}
  for i, path in ipairs(folders.files(dir)) do
    items[i] = { path = path, name = path:match "([^/]+)%.%w+$" }
  end
  return datasets.list(items, function(item) return al.image.load(item.path) end)
end

-- Texts and their classes: 1 negative, 2 positive; field task.
function sets.reviews_16(dir, o)
  local part = part_of("reviews_16", o, { train = "train", dev = "dev", test = "test" })
  local items, tasks = {}, {}
  for _, task in ipairs { "apparel", "baby", "books", "camera", "dvd", "elec", "health", "imdb",
    "kitchen", "mag", "mr", "music", "soft", "sports", "toys", "video" } do
    local file = io.open(("%s/%s.task.%s"):format(dir, task, part), "rb")
    if file and (not o.task or o.task == task) then
      tasks[#tasks + 1] = task
      for line in file:lines() do
        local label, text = line:match "^([01])\t(.*)$"
        if label then
          items[#items + 1] = { text = text, label = tonumber(label) + 1, task = task }
        end
      end
    end
    if file then file:close() end
  end
  local set = datasets.list(items, function(item) return item.text, item.label end)
  set.tasks = tasks
  return set
end

local function is_folder(path)
  local fine, lfs = pcall(require, "lfs")
  return fine and lfs.attributes(path, "mode") == "directory"
end

--- Options: dir (default: the environment's ALBEDO_DATA), part (where the set has several:
-- train, test, ...), task (reviews_16). An unknown name raises, naming those there are.
return function(name, opts)
  local o = options("data.named", opts, {}, { "dir", "part", "task" })
  local set = sets[name]
  if not set then
    local known = {}
    for known_name in pairs(sets) do known[#known + 1] = known_name end
    table.sort(known)
    error(("data.named: no set '%s' (there are: %s)")
      :format(tostring(name), table.concat(known, ", ")), 2)
  end
  local root = o.dir or os.getenv "ALBEDO_DATA"
  if not root then error("data.named: say dir = FOLDER, or set ALBEDO_DATA", 2) end
  local dir = is_folder(root .. "/" .. name) and root .. "/" .. name or root
  if not is_folder(dir) then error(("data.named: no folder '%s'"):format(dir), 2) end
  return set(dir, o)
end
