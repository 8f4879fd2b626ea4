--- sim.xrays: chest X-rays of a folder, or simulated ones.
--
--   local load = al.sim.xrays(run:data_dir "chest_xray", { size = 128, patients = 150 })
--   local set = load(seed)   -- x (n x 1 x size x size in [0, 1]), y, patient, classes, real
--   local data = set:parts(seed)     -- data.fit, data.val, data.test: a fold by patient
--
-- dir: a folder with a subfolder a class, such as chest_xray (classes no_findings, pneumonia,
-- covid19; NIH's file names start with the patient, others are patients of their own); or one
-- with pneumoniamnist.npz, all its parts together (no patients are known, each picture is its
-- own). Without it, sim.thorax with the seed. Options: size = 128, patients = 120.

local al = require "albedo"
local length = require "albedo.length"
local options = require "albedo.options"

local ORDER = { no_findings = 1, pneumonia = 2, covid19 = 3 }

local function of_folder(dir, size)
  local folder = al.data.folder(dir, { channels = 1 })
  local set = { patient = {}, y = {}, real = true, classes = {} }
  local known = true
  for _, name in ipairs(folder.classes) do known = known and ORDER[name] ~= nil end
  for k, name in ipairs(folder.classes) do set.classes[known and ORDER[name] or k] = name end
  local pictures = {}
  for i = 1, length(folder) do
    pictures[i] = al.scope(function()
      local x, class = folder:get(i)
      set.y[i] = known and ORDER[folder.classes[class]] or class
      return al.image.resize(al.image.to_float(x), { size, size }, "area"):unsqueeze(1)
    end)
    local name = folder:field(i, "name")
    set.patient[i] = name:match "^(%d%d%d%d%d%d%d%d)_%d+" or name
  end
  set.x, set.y = al.cat(pictures, 1), al.tensor(set.y, { dtype = "int64" })
  return set
end

local function of_npz(path, size)
  local file, xs, ys = al.load(path), {}, {}
  for k, part in ipairs { "train", "val", "test" } do
    xs[k], ys[k] = file[part .. "_images"], file[part .. "_labels"]:reshape(-1)
  end
  local x = al.cat(xs, 1):unsqueeze(2):to "float32" * (1 / 255)
  local set = { real = true, classes = { "normal", "pneumonia" }, patient = {} }
  set.x = x:interpolate({ size, size }, { mode = "bilinear" })
  set.y = al.cat(ys, 1):to "int64" + 1
  for i = 1, #x do set.patient[i] = i end
  return set
end

local Set = {}
Set.__index = Set

--- Fold (seed - 1) % 5 + 1 of five, patients apart: { fit, val, test }, each { x, y }.
function Set:parts(seed)
  local out, o = {}, { by = self.patient, stratify = self.y:totable(), seed = seed }
  local lists = { al.data.fold(#self.x, (seed - 1) % 5 + 1, o) }
  for k, name in ipairs { "fit", "val", "test" } do
    local at = al.tensor(lists[k], { dtype = "int64" })
    out[name] = { x = self.x:index_select(1, at), y = self.y:index_select(1, at) }
  end
  return out
end

return function(dir, given)
  local o = options("xrays", given, { size = 128, patients = 120 })
  if not dir then
    return function(seed)
      local set = al.sim.thorax { patients = o.patients, size = o.size, seed = seed }
      return setmetatable(set, Set)
    end
  end
  local path = dir .. "/pneumoniamnist.npz"
  local set = al.io.exists(path) and of_npz(path, o.size) or of_folder(dir, o.size)
  return function() return setmetatable(set, Set) end
end
