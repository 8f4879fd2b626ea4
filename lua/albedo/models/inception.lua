--- Inception-v3 (Szegedy et al. 2016) with its auxiliary head, torchvision's layout and names.

local al = require "albedo"
local nn = require "albedo.nn"
local define = require "albedo.models.define"

-- Convolution, batch norm, ReLU. With stride 1 the size stays, unless pad = 0.
local ConvNorm = nn.class "ConvNorm"

function ConvNorm:init(inputs, outputs, kernel, stride, pad)
  local k = type(kernel) == "table" and kernel or { kernel, kernel }
  stride = stride or 1
  pad = pad or stride == 1 and { math.floor(k[1] / 2), math.floor(k[2] / 2) } or 0
  self.conv = nn.Conv2d(inputs, outputs, k, { stride = stride, pad = pad, bias = false })
  self.bn = nn.BatchNorm2d(outputs, { eps = 1e-3 })
  nn.init.normal_(self.conv.weight, 0, 0.1)
end

function ConvNorm:forward(x) return self.bn(self.conv(x)):relu_() end

-- Branches side by side. Steps of each: { suffix of the name, outputs, kernel, stride } a
-- convolution, { fork = { .. } } two of the same input, "avg" and "max" poolings.
local Mixed = nn.class "InceptionBlock"

function Mixed:init(inputs, wide, plan)
  self.plan, self.outputs = plan, 0
  for b = 1, #plan do
    local channels = inputs
    for _, step in ipairs(plan[b]) do
      if type(step) == "table" then
        local sum = 0
        for _, c in ipairs(step.fork or { step }) do
          self["branch" .. c[1]] = ConvNorm(channels, wide(c[2]), c[3], c[4])
          sum = sum + wide(c[2])
        end
        channels = sum
      end
    end
    self.outputs = self.outputs + channels
  end
end

local function run(self, step, x)
  if step == "avg" then
    return al.avg_pool2d(x, 3, 1, { pad = 1, count_include_pad = not self.tensorflow })
  end
  if step == "max" then return al.max_pool2d(x, 3, 2) end
  if not step.fork then return self["branch" .. step[1]](x) end
  return al.cat({ run(self, step.fork[1], x), run(self, step.fork[2], x) }, 2)
end

function Mixed:forward(x)
  local parts = {}
  for b, branch in ipairs(self.plan) do
    local y = x
    for _, step in ipairs(branch) do y = run(self, step, y) end
    parts[b] = y
  end
  return al.cat(parts, 2)
end

local row, column, low, high = { 1, 7 }, { 7, 1 }, { 1, 3 }, { 3, 1 }

-- 35 x 35, `pool` channels of the pooling's branch
local function block_a(pool)
  return {
    { { "1x1", 64, 1 } },
    { { "5x5_1", 48, 1 }, { "5x5_2", 64, 5 } },
    { { "3x3dbl_1", 64, 1 }, { "3x3dbl_2", 96, 3 }, { "3x3dbl_3", 96, 3 } },
    { "avg", { "_pool", pool, 1 } },
  }
end

-- 35 x 35 -> 17 x 17
local block_b = {
  { { "3x3", 384, 3, 2 } },
  { { "3x3dbl_1", 64, 1 }, { "3x3dbl_2", 96, 3 }, { "3x3dbl_3", 96, 3, 2 } },
  { "max" },
}

-- 17 x 17, 7x7 convolutions split in rows and columns of c channels
local function block_c(c)
  return {
    { { "1x1", 192, 1 } },
    { { "7x7_1", c, 1 }, { "7x7_2", c, row }, { "7x7_3", 192, column } },
    { { "7x7dbl_1", c, 1 }, { "7x7dbl_2", c, column }, { "7x7dbl_3", c, row },
      { "7x7dbl_4", c, column }, { "7x7dbl_5", 192, row } },
    { "avg", { "_pool", 192, 1 } },
  }
end

-- 17 x 17 -> 8 x 8
local block_d = {
  { { "3x3_1", 192, 1 }, { "3x3_2", 320, 3, 2 } },
  { { "7x7x3_1", 192, 1 }, { "7x7x3_2", 192, row }, { "7x7x3_3", 192, column },
    { "7x7x3_4", 192, 3, 2 } },
  { "max" },
}

-- 8 x 8
local block_e = {
  { { "1x1", 320, 1 } },
  { { "3x3_1", 384, 1 }, { fork = { { "3x3_2a", 384, low }, { "3x3_2b", 384, high } } } },
  { { "3x3dbl_1", 448, 1 }, { "3x3dbl_2", 384, 3 },
    { fork = { { "3x3dbl_3a", 384, low }, { "3x3dbl_3b", 384, high } } } },
  { "avg", { "_pool", 192, 1 } },
}

-- Name, then outputs, kernel, stride and padding of a convolution, or the plan of a block; or
-- nothing, a pooling.
local layers = {
  { "Conv2d_1a_3x3", 32, 3, 2 }, { "Conv2d_2a_3x3", 32, 3, 1, 0 }, { "Conv2d_2b_3x3", 64, 3 },
  { "maxpool1" }, { "Conv2d_3b_1x1", 80, 1 }, { "Conv2d_4a_3x3", 192, 3, 1, 0 }, { "maxpool2" },
  { "Mixed_5b", block_a(32) }, { "Mixed_5c", block_a(64) }, { "Mixed_5d", block_a(64) },
  { "Mixed_6a", block_b }, { "Mixed_6b", block_c(128) }, { "Mixed_6c", block_c(160) },
  { "Mixed_6d", block_c(160) }, { "Mixed_6e", block_c(192) },
  { "Mixed_7a", block_d }, { "Mixed_7b", block_e }, { "Mixed_7c", block_e },
}

-- The head that helps in training, on the 17 x 17 maps of Mixed_6e.
local Auxiliary = nn.class "InceptionAux"

function Auxiliary:init(inputs, o)
  self.conv0 = ConvNorm(inputs, o.wide(128), 1)
  self.conv1 = ConvNorm(o.wide(128), o.wide(768), 5, 1, 0)
  self.fc = nn.Linear(o.wide(768), o.classes)
  nn.init.normal_(self.conv1.conv.weight, 0, 0.01)
  nn.init.normal_(self.fc.weight, 0, 0.001)
end

function Auxiliary:forward(x)
  x = self.conv1(self.conv0(al.avg_pool2d(x, 5, 3)))
  return self.fc(al.global_avg_pool(x):flatten(2, -1))
end

local Inception = nn.class "Inception3"

function Inception:init(o)
  local channels = o.in_channels
  for _, layer in ipairs(layers) do
    local name, what = layer[1], layer[2]
    if not what then
      self[name] = nn.MaxPool2d(3, { stride = 2 })
    elseif type(what) == "table" then
      self[name] = Mixed(channels, o.wide, what)
      channels = self[name].outputs
    else
      self[name] = ConvNorm(channels, o.wide(what), layer[3], layer[4], layer[5])
      channels = o.wide(what)
    end
    if name == "Mixed_6e" then self.AuxLogits = Auxiliary(channels, o) end
  end
  self.transform_input = o.transform_input
  self.dropout, self.fc = nn.Dropout(o.dropout), nn.Linear(channels, o.classes)
  nn.init.normal_(self.fc.weight, 0, 0.1)
end

-- mean and std of ImageNet's channels to 1/2
local function transform(x)
  local function channels(list)
    return al.tensor(list, { dtype = "float64" }):to(x.dtype):reshape(1, 3, 1, 1)
  end
  return x * (channels { 0.229, 0.224, 0.225 } * 2) + (channels { 0.485, 0.456, 0.406 } * 2 - 1)
end

function Inception:forward(x)
  if self.transform_input then x = transform(x) end
  local aux
  for _, layer in ipairs(layers) do
    x = self[layer[1]](x)
    if layer[1] == "Mixed_6e" and self.training and self.AuxLogits then
      aux = self.AuxLogits(x)
    end
  end
  return self.fc(self.dropout(al.global_avg_pool(x):flatten(2, -1))), aux
end

--- inception_v3(opts): x (n, in_channels, h, w), sides of 75 or more (299 in the paper) ->
-- scores (n, classes) and, in training, the auxiliary scores, for which sides are 299 or near.
-- Options: in_channels = 3, dropout = 0.5, aux = true (false: no auxiliary head),
-- transform_input = false (true: from ImageNet's normalisation of channels to (x - 0.5) / 0.5,
-- as torchvision's weights want it), padding = "symmetric" (torchvision's) or "same_tf"
-- (TensorFlow's: poolings leave the padding out of their means), and those of models.define.
local make = define("inception_v3", Inception,
  { "^fc%.", "^AuxLogits%.fc%.", "^AuxLogits%.conv" }, { in_channels = 3, dropout = 0.5,
    aux = true, transform_input = false, padding = "symmetric" })

return {
  inception_v3 = function(opts)
    local net = make(opts)
    if opts and opts.aux == false then net.AuxLogits = nil end
    return net
  end,
}
