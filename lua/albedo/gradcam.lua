-- Where a network looks.
local al = require "albedo"
local options = require "albedo.options"

-- The given classes as int64 (n); those of the highest scores (n, classes) by default.
local function chosen(given, scores)
  if not given then return scores:detach():argmax(2) end
  local n = scores.shape[1]
  if type(given) == "number" then given = al.full({ n }, given) end
  return (al.is_tensor(given) and given or al.tensor(given)):to("int64"):reshape(n)
end

--- gradcam(net, x, { layer, class }): maps (n, sizes of x) and the classes (n) they belong to,
--- the highest scores' by default. Selvaraju et al. 2017: with A the maps of the module named
--- `layer` and y_c the score of class c (a segmentation's, summed over space), alpha_k = the
--- mean over space of dy_c / dA_k, map = relu(sum_k alpha_k A_k), resized to the size of x
--- (resize = false: as it is). class: a number, or one a sample. The network runs in
--- evaluation mode, and no .grad changes.
local function gradcam(net, x, opts)
  local o = options("gradcam", opts, { resize = true }, { "layer", "class" })
  if not o.layer then al.raise("gradcam: option 'layer', a module's name, is missing") end
  local module, maps = net:get(o.layer), nil
  if not module then
    al.raise(("gradcam: %s has no module '%s'"):format(net.classname, tostring(o.layer)))
  end
  local unhook = module:hook(function(_, _, out)
    out[1] = out[1]:detach():requires_grad_()
    maps = out[1]
  end)
  local function run()
    local scores = al.with_grad(true, net, x)
    if not maps then al.raise("gradcam: forward did not call '" .. o.layer .. "'") end
    if scores.ndim > 2 then scores = scores:flatten(3, -1):sum(3) end
    local classes = chosen(o.class, scores)
    local slope = al.grad(scores:gather(2, classes:unsqueeze(2)):sum(), maps)
    local dims = {}
    for d = 3, maps.ndim do dims[d - 2] = d end
    local alpha = slope:mean(dims, { keepdim = true })
    local map = (alpha * maps:detach()):sum(2, { keepdim = true }):relu()
    if o.resize then
      local size = {}
      for d = 3, x.ndim do size[d - 2] = x.shape[d] end
      map = al.interpolate(map, size, { mode = "linear" })
    end
    return map:squeeze(2), classes
  end
  local ok, map, classes = pcall(net.evaluating, net, run)
  unhook()
  if not ok then error(map, 0) end
  return map, classes
end

return { gradcam = gradcam }
