local al = require "albedo"

describe("sim.xrays", function()
  it("reads a folder a class, patients by NIH's names", function()
    local dir = os.tmpname()
    os.remove(dir)
    for class, names in pairs { no_findings = { "00000061_012", "00000061_015" }, covid19 = { "a-b" },
      pneumonia = { "00000150_002" } } do
      os.execute(("mkdir -p %s/%s"):format(dir, class))
      for _, name in ipairs(names) do
        al.image.save(("%s/%s/%s.png"):format(dir, class, name), al.rand(1, 40, 40))
      end
    end
    local set = al.sim.xrays(dir, { size = 32 })(1)
    os.execute("rm -r " .. dir)
    assert.same({ 4, 1, 32, 32 }, set.x.shape)
    assert.same({ "no_findings", "pneumonia", "covid19" }, set.classes)
    local of = {}
    for i, name in ipairs(set.patient) do of[#of + 1] = name .. " " .. set.y[i]:item() end
    table.sort(of)
    assert.same({ "00000061 1", "00000061 1", "00000150 2", "a-b 3" }, of)
  end)

  it("simulates without one", function()
    local set = al.sim.xrays(nil, { size = 48, patients = 6 })(2)
    assert.is_nil(set.real)
    assert.same(3, #set.classes)
  end)
end)

describe("data.fold", function()
  it("keeps groups apart, tests everyone once, and parts the rest by its seed", function()
    local by, tested = {}, {}
    for i = 1, 60 do by[i] = "p" .. math.floor((i - 1) / 3) end
    for fold = 1, 5 do
      local fit, val, test = al.data.fold(60, fold, { by = by, seed = 7 })
      assert.equal(60, #fit + #val + #test)
      local of = {}
      for name, part in pairs { fit = fit, val = val, test = test } do
        for _, i in ipairs(part) do
          assert.is_true(of[by[i]] == nil or of[by[i]] == name)
          of[by[i]] = name
        end
      end
      for _, i in ipairs(test) do
        assert.is_nil(tested[i])
        tested[i] = true
      end
      local _, other, same = al.data.fold(60, fold, { by = by, seed = 8 })
      assert.same(test, same)
      if fold == 1 then assert.is_false(table.concat(val, " ") == table.concat(other, " ")) end
    end
    for i = 1, 60 do assert.is_true(tested[i]) end
    assert.has_error(function() al.data.fold(9, 6) end)
  end)
end)
