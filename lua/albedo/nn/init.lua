--- al.nn: modules and layers. See al.nn.Module for what a module is and how to write one.
--
--   local net = nn.Sequential {
--     nn.Conv2d(1, 16, 3, { pad = 1 }), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
--     nn.Flatten(), nn.Linear(16 * 14 * 14, 10),
--   }

local module = require "albedo.nn.module"

local nn = {
  Module = module.Module, Parameter = module.Parameter, class = module.class,
  is_module = module.is_module, path_of = module.path_of,
  init = require "albedo.nn.weights",
}
for _, part in ipairs {
  "linear", "norm", "simple", "spatial", "container", "recurrent", "attention",
} do
  for name, layer in pairs(require("albedo.nn." .. part)) do nn[name] = layer end
end
require "albedo.nn.transfer" -- methods of every module
return nn
