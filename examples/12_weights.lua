-- 12: weights. Shows: state dicts, safetensors read tensor by tensor, names that differ, a head
-- that does not fit, half-precision files, npz for NumPy, averages of weights.
local al = require "albedo"
local nn = al.nn
al.seed(1)
os.execute "mkdir -p runs/weights"

-- A network by name, saved: the file holds torchvision's names.
local source = al.models.squeezenet1_1 { classes = 10, width = 0.25 }
al.save("runs/weights/source.safetensors", { model = source, note = "ten classes" })

-- A file is opened without being read; a tensor is read when asked for.
local file = al.io.open "runs/weights/source.safetensors"
local names = file:names()
print(#names, "tensors, among them", names[1])
print("features.0.weight", table.concat(file:read("model.features.0.weight").shape, "x"))

-- State dicts are plain tables: name -> tensor.
local total = 0
for _, t in pairs(source:state_dict()) do total = total + t:numel() end
print(total, "numbers; parameters:", (source:num_parameters()))

-- Into a network with another head: the report says what matched and what stayed new.
local state = source:state_dict()
local target = al.models.squeezenet1_1 { classes = 3, width = 0.25, weights = state,
  freeze = "^features" }
print(target.report)
local _, trained = target:num_parameters()
print("trained now:", trained)

-- Names of another's making are changed on the way in.
local foreign = {}
for name, t in pairs(state) do foreign["module.net." .. name] = t end
local renamed = {}
for name, t in pairs(foreign) do renamed[name:gsub("^module%.net%.", "")] = t end
local copy = al.models.squeezenet1_1 { classes = 10, width = 0.25 }
copy:load_state_dict(renamed)
copy:eval() source:eval()
local x = al.randn(1, 3, 64, 64)
assert(copy(x):eq(source(x)):all():item())

-- A name too many or a shape that differs is an error that says which.
print(select(2, pcall(function()
  nn.Linear(2, 3):load_state_dict { weight = al.zeros(3, 4), bias = al.zeros(3) }
end)))

-- Half the bytes: float16 and bfloat16 are for storage.
local half = {}
for name, t in pairs(state) do half[name] = t:to "bfloat16" end
al.save("runs/weights/half.safetensors", half)
local function bytes(path)
  local f = assert(io.open(path, "rb"))
  local n = f:seek "end"
  f:close()
  return n
end
print(("%d bytes in float32, %d in bfloat16"):format(
  bytes "runs/weights/source.safetensors", bytes "runs/weights/half.safetensors"))
local back = {}
for name, t in pairs(al.load "runs/weights/half.safetensors") do back[name] = t:to "float32" end
copy:load_state_dict(back)
print(("largest change of an output: %.4f"):format((copy(x) - source(x)):abs():max():item()))

-- For NumPy: numpy.load("all.npz")["x"].
al.save("runs/weights/all.npz", { x = x, y = source(x):detach() })
assert(al.load("runs/weights/all.npz").x:eq(x):all():item())
