-- What every op must do, generated from the registry: nothing here names an op.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local samples = require "support.samples"
local unpack = table.unpack or unpack

-- Plugins' ops are checked as all others.
local ops = {}
for name, built in pairs(al.version().plugins) do
  for op, f in pairs(built and al.plugin(name) or {}) do ops[op] = f end
end
setmetatable(ops, { __index = al.native.ops })

local function call(op, args)
  if op.random then al.seed(3) end
  return ops[op.name](unpack(args, 1, args.n))
end

-- An op that writes into its arguments gets its own.
local function copy(t) return t:clone() end

local function floats(list)
  local out = {}
  for _, y in ipairs(list) do
    if al.is_tensor(y) then out[#out + 1] = y end
  end
  return out
end

local function max_error(a, b) -- largest difference over the root mean square of b
  if a:numel() == 0 then return 0 end
  a, b = a:to("float64"):detach(), b:to("float64"):detach()
  local d = (a - b):abs():max():item()
  return d / math.max((b * b):mean():sqrt():item(), 1e-30)
end

local function has_float(args)
  return #samples.leaves(args) > 0
end

for _, op in ipairs(al.native.registry()) do
  describe("op " .. op.name, function()
    it("has documentation and a sample", function()
      assert.is_truthy(op.doc and #op.doc > 0, "no doc")
      assert.is_truthy(op.sample and #op.sample > 0, "no sample")
      assert.is_true(#samples.of(op) > 0)
    end)

    it("runs on its sample", function()
      for _, args in ipairs(samples.of(op)) do assert.is_truthy(#floats { call(op, args) } > 0) end
    end)

    if op.differentiable then
      local function each_sample(check)
        local checked = 0
        for _, args in ipairs(samples.of(op)) do
          local leaves, put = samples.leaves(args)
          if #leaves > 0 then
            for _, x in ipairs(leaves) do x.requires_grad = true end
            leaves.n = #leaves
            local ok, why = check(function(...) return call(op, put { ... }) end, leaves)
            assert.is_true(ok, why)
            checked = checked + 1
          end
        end
        assert.is_true(checked > 0, "no sample with a floating tensor")
      end
      it("passes gradcheck", function() al.scope(each_sample, al.gradcheck) end)
      it("passes gradgradcheck", function() al.scope(each_sample, al.gradgradcheck) end)
      it("passes gradcheck on strided inputs", function()
        al.scope(each_sample, function(fn, leaves)
          return al.gradcheck(function(...)
            local strided = {}
            for k, x in ipairs { ... } do
              local wide = x:unsqueeze(-1)
              strided[k] = al.cat({ wide, wide }, -1)["..., 1"]
            end
            return fn(unpack(strided))
          end, leaves)
        end)
      end)
    end

    if not op.random then
      it("gives in float32 what it gives in float64", function()
        al.scope(function()
          for _, args in ipairs(samples.of(op)) do
            local exact = floats { call(op, samples.map(args, copy)) }
            local single = floats { call(op, samples.map(args, function(t) return t:to("float32") end)) }
            for i, y in ipairs(exact) do
              assert.is_true(max_error(single[i], y) < 2e-5, ("output %d differs by %g"):format(i, max_error(single[i], y)))
            end
          end
        end)
      end)

      it("gives for strided inputs what it gives for contiguous ones", function()
        al.scope(function()
          for _, args in ipairs(samples.of(op)) do
            if has_float(args) then
              local plain = floats { call(op, samples.map(args, copy)) }
              local strided = floats { call(op, samples.map(args, function(t)
                local wide = t:unsqueeze(-1)
                return al.cat({ wide, wide }, -1)["..., 1"]
              end)) }
              for i, y in ipairs(plain) do
                assert.same(y.shape, strided[i].shape)
                assert.is_true(max_error(strided[i], y) < 1e-12, "output " .. i)
              end
            end
          end
        end)
      end)
    end

    -- No overflow in C (a sanitized build sees it), no endless loop: a result or an error, which names
    -- the op that was called and not one it is made of.
    if not op.hidden then
      it("lives with the largest and smallest integers", function()
        local huge = math.maxinteger or 2 ^ 53
        for _, args in ipairs(samples.of(op)) do
          for k = 1, args.n do
            for _, v in ipairs { huge, -huge - (math.maxinteger and 1 or 0) } do
              local list = type(args[k]) == "table" and not al.is_tensor(args[k])
              for key, e in pairs(list and args[k] or { args[k] }) do
                if type(e) == "number" and e == math.floor(e) then
                  local bad = samples.map(args, copy)
                  if list then bad[k][key] = v else bad[k] = v end
                  local done, message = al.scope(pcall, call, op, bad)
                  assert.is_true(done or message:find(op.name .. ": ", 1, true) ~= nil, message)
                end
              end
            end
          end
        end
      end)
    end

    it("rejects bad arguments by name", function()
      local f = ops[op.name]
      local args = samples.of(op)[1]
      local function raises(pattern, ...)
        local ok, message = pcall(f, ...)
        assert.is_false(ok, "no error for " .. pattern)
        assert.is_truthy(tostring(message):find(pattern, 1, true), message)
        assert.is_truthy(tostring(message):find(op.name, 1, true), message)
      end
      local function print_() end
      for k, p in ipairs(op.params) do
        if not p.named and k <= args.n and not p.variadic then
          local bad = { n = args.n, unpack(args, 1, args.n) }
          bad[k] = print_
          raises(p.name .. " must be", unpack(bad, 1, bad.n))
        end
      end
      local given = { unpack(args, 1, args.n) }
      local n = args.n
      if type(given[n]) == "table" and not al.is_tensor(given[n]) and #given[n] == 0 then n = n - 1 end
      given[n + 1] = { no_such_option = 1 }
      raises("unknown option \"no_such_option\"", unpack(given, 1, n + 1))
      if op.params[1] and not op.params[1].optional and not op.params[1].variadic then raises("is missing") end
    end)
  end)
end

describe("the registry", function()
  it("knows which ops are not differentiable", function()
    local list = {}
    for _, op in ipairs(al.native.registry()) do
      if not op.differentiable then list[#list + 1] = op.name end
    end
    local file = assert(io.open("spec/not_differentiable.txt"))
    local known = {}
    for name in file:read("a"):gsub("#[^\n]*", ""):gmatch("%S+") do known[#known + 1] = name end
    file:close()
    table.sort(known)
    table.sort(list)
    assert.same(known, list)
  end)
end)
