local al = require "albedo"
local data = al.data

local function numbers(n)
  local x = al.arange(1, n):to "float32"
  return data.tensors(x:reshape(n, 1), x:to "int64")
end

local function labels_of(loader)
  local out = {}
  for _, y in loader() do
    for _, v in ipairs(y:totable()) do out[#out + 1] = v end
  end
  return out
end

describe("data.loader", function()
  it("gives batches, the last one smaller", function()
    local sizes, seen = {}, {}
    for x, y in data.loader(numbers(10), { batch = 4 }) do
      sizes[#sizes + 1] = #x
      assert.same({ #x, 1 }, x.shape)
      assert.equal("int64", y.dtype)
      for _, v in ipairs(y:totable()) do seen[#seen + 1] = v end
    end
    assert.same({ 4, 4, 2 }, sizes)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, seen)
    local dropped = data.loader(numbers(10), { batch = 4, drop_last = true })
    assert.equal(2, #dropped)
    assert.equal(8, #labels_of(dropped))
    assert.equal(3, #data.loader(numbers(10), { batch = 4 }))
  end)

  it("shuffles by (seed, epoch): anew each epoch, the same again from the same seed", function()
    local a = data.loader(numbers(50), { batch = 7, shuffle = true, seed = 5 })
    local b = data.loader(numbers(50), { batch = 50, shuffle = true, seed = 5 })
    local first, second = labels_of(a), labels_of(a)
    assert.same(first, labels_of(b))
    assert.same(second, labels_of(b))
    assert.not_same(first, second)
    table.sort(second)
    for i = 1, 50 do assert.equal(i, second[i]) end
    al.seed(9)
    local c = labels_of(data.loader(numbers(50), { shuffle = true }))
    al.seed(9)
    assert.same(c, labels_of(data.loader(numbers(50), { shuffle = true })))
  end)

  it("resumes at an epoch", function()
    local a = data.loader(numbers(20), { batch = 20, shuffle = true, seed = 1 })
    labels_of(a)
    local b = data.loader(numbers(20), { batch = 20, shuffle = true, seed = 8 })
    b:load_state_dict(a:state_dict())
    assert.same(labels_of(a), labels_of(b))
  end)

  it("releases each step's tensors, and leaves no scope open", function()
    local kept, lost
    for x in data.loader(numbers(4), { batch = 2 }) do
      if lost then assert.is_false(al.alive(lost)) end
      lost = x * 2
      kept = al.keep(x + 1)
    end
    assert.is_false(al.alive(lost))
    assert.is_true(al.alive(kept))
    for x in data.loader(numbers(4), { batch = 2 }) do
      lost = x * 2
      if #x == 2 then break end
    end
    assert.is_false(al.alive(lost), "break closes the scope")
    pcall(function()
      for x in data.loader(numbers(4), { batch = 2 }) do
        lost = x * 2
        error "stop"
      end
    end)
    assert.is_false(al.alive(lost), "an error closes the scope")
    local outside = al.ones(1)
    assert.is_true(al.alive(outside))
  end)

  it("keeps parameters, gradients and optimizer state; leaves no live block", function()
    local function train()
      local net = al.nn.Linear(1, 1)
      local opt = al.optim.adam(net, { lr = 0.01 })
      for x in data.loader(numbers(8), { batch = 2 }) do
        opt:zero_grad()
        net(x):square():mean():backward()
        opt:step()
      end
      assert.is_true(al.alive(net.weight.grad))
    end
    train()
    collectgarbage()
    collectgarbage()
    local before = al.memory().blocks
    train()
    collectgarbage()
    collectgarbage()
    assert.equal(before, al.memory().blocks)
  end)

  it("nests", function()
    local count = 0
    for x in data.loader(numbers(4), { batch = 2 }) do
      for z in data.loader(numbers(2)) do count = count + z:sum():item() end
      assert.is_true(al.alive(x))
    end
    assert.equal(6, count)
  end)

  it("collates samples value by value", function()
    local set = data.list({ { 1 }, { 2 }, { 3 } }, function(item, i)
      return al.full({ 2 }, item[1]), i, i / 2, i == 2, "s" .. i, { a = al.ones(1), b = i }
    end)
    for t, whole, real, truth, text, named in data.loader(set, { batch = 3 }) do
      assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 } }, t:totable())
      assert.same({ 1, 2, 3 }, whole:totable())
      assert.equal("int64", whole.dtype)
      assert.same({ 0.5, 1, 1.5 }, real:totable())
      assert.same({ false, true, false }, truth:totable())
      assert.same({ "s1", "s2", "s3" }, text)
      assert.same({ 3, 1 }, named.a.shape)
      assert.same({ 1, 2, 3 }, named.b:totable())
    end
    local function count(samples) return #samples, samples[1].n end
    for n in data.loader(set, { batch = 3, collate = count }) do
      assert.equal(3, n)
    end
  end)

  it("tells what is wrong", function()
    local loader = data.loader(numbers(4))
    assert.has_error(function() for _ in loader do loader() end end,
      "a loader in a variable starts an epoch when called: `for x, y in loader() do`")
    for _, n in ipairs { -1, 0.5, 65, "2" } do
      assert.error_matches(function() data.loader(numbers(4), { workers = n }) end,
        "data.loader: workers is a whole number from 0 to 64, got " .. tostring(n):gsub("%-", "%%-"))
    end
    assert.has_error(function() data.loader({ 1, 2 }) end,
      "data.loader: expects a dataset, as al.data.tensors(x, y) is; got a table")
    assert.has_error(function() data.loader(numbers(4), { batch = 0 }) end)
    assert.has_error(function() data.tensors(al.ones(3), al.ones(4)) end,
      "data.tensors: tensor 1 has 3 samples, number 2 has 4")
  end)
end)

describe("datasets", function()
  it("index, map, subset, concat, iterate", function()
    local set = numbers(5)
    assert.equal(5, #set)
    local x, y = set:get(3)
    assert.same({ { 3 }, 3 }, { x:totable(), y:item() })
    local doubled = set:map(function(a, b) return a * 2, b end)
    assert.same({ 6 }, doubled:get(3):totable())
    local part = doubled:subset { 5, 1 }
    assert.same({ 10 }, part:get(1):totable())
    assert.equal(2, #part)
    local both = data.concat(part, set)
    assert.equal(7, #both)
    assert.same({ 1 }, both:get(3):totable())
    local n = 0
    for i in both:each() do n = n + i end
    assert.equal(28, n)
    assert.has_error(function() set:subset { 6 } end, "subset: sample 6 of 5")
    for a in data.loader(set:subset { 4, 2 }, { batch = 2 }) do
      assert.same({ { 4 }, { 2 } }, a:totable())
    end
  end)
end)

describe("data.split", function()
  local function photos(n, crops)
    local items = {}
    for p = 1, n do
      for c = 1, crops do items[#items + 1] = { photo = "p" .. p, crop = c } end
    end
    return data.list(items)
  end
  local function groups(set)
    local out = {}
    for i = 1, #set do out[set:field(i, "photo")] = true end
    return out
  end

  it("lets no group cross, and comes near the shares", function()
    local set = photos(19, 10)
    local train, val, test = data.split(set, { 0.6, 0.2, 0.2 }, { by = "photo", seed = 2 })
    assert.equal(190, #train + #val + #test)
    assert.is_true(math.abs(#train - 114) <= 10 and math.abs(#val - 38) <= 10
      and math.abs(#test - 38) <= 10)
    local a, b, c = groups(train), groups(val), groups(test)
    for name in pairs(a) do assert.is_nil(b[name] or c[name]) end
    for name in pairs(b) do assert.is_nil(c[name]) end
    local again = data.split(set, { 0.6, 0.2, 0.2 }, { by = "photo", seed = 2 })
    assert.same(train.indices, again.indices)
    local other = data.split(set, { 0.6, 0.2, 0.2 }, { by = "photo", seed = 3 })
    assert.not_same(train.indices, other.indices)
  end)

  it("takes keys as a list, a tensor, a function, and none", function()
    local set = numbers(6)
    local keys = { 1, 1, 2, 2, 3, 3 }
    local function key(i) return keys[i] end
    for _, by in ipairs { keys, al.tensor(keys, { dtype = "int64" }), key } do
      local a, b = data.split(set, { 2 / 3, 1 / 3 }, { by = by })
      assert.equal(4, #a)
      assert.equal(2, #b)
      assert.equal(keys[b.indices[1]], keys[b.indices[2]])
    end
    local a, b = data.split(set, { 0.5, 0.5 })
    assert.equal(3, #a)
    assert.equal(3, #b)
    assert.has_error(function() data.split(set, { 0.5, 0.4 }) end,
      "data.split: the shares sum to 0.9, not 1")
    local function one() return 1 end
    assert.has_error(function() data.split(set, { 0.5, 0.5 }, { by = one }) end,
      "data.split: part 2 is empty: 1 groups for 2 parts")
    assert.has_error(function() data.split(set, { 0.5, 0.5 }, { by = "photo" }) end,
      "data.split: sample 1 has no field 'photo'")
  end)

  it("k-fold by group tests each sample once", function()
    local set, tested = photos(7, 3), {}
    for fold, train, test in data.kfold(set, 3, { by = "photo" }) do
      assert.equal(21, #train + #test)
      local inside = groups(train)
      for name in pairs(groups(test)) do assert.is_nil(inside[name]) end
      for _, i in ipairs(test.indices) do
        assert.is_nil(tested[i])
        tested[i] = fold
      end
    end
    assert.equal(21, #tested)
    assert.has_error(function() data.kfold(set, 8, { by = "photo" }) end,
      "data.kfold: 7 groups for 8 folds")
  end)

  it("class weights balance", function()
    local w = data.class_weights { 1, 1, 1, 2 }
    assert.same({ 2 / 3, 2 }, { math.floor(w[1]:item() * 3 + 0.5) / 3, w[2]:item() })
    assert.has_error(function() data.class_weights({ 1, 3 }, 3) end,
      "data.class_weights: class 2 has no sample")
  end)
end)

describe("data.photos", function()
  it("lists a folder by photograph, and forged ones with their masks", function()
    local dir = os.tmpname()
    os.remove(dir)
    os.execute(("mkdir -p %s/sub %s/f/tampered %s/f/gt"):format(dir, dir, dir))
    for _, name in ipairs { "b.png", "sub/a.JPG", "notes.txt", "f/tampered/x.png",
      "f/gt/x.png" } do
      assert(io.open(dir .. "/" .. name, "w")):close()
    end
    local set = data.photos(dir .. "/f")
    assert.equal(1, #set)
    assert.equal("x", set:field(1, "photo"))
    assert.equal(dir .. "/f/gt/x.png", set:field(1, "mask"))
    set = data.photos(dir .. "/sub")
    assert.equal("a", set:field(1, "name"))
    assert.equal(4, #data.photos(dir))
    assert.has_error(function() data.photos(dir .. "/none") end,
      ("data.photos: no folder '%s/none'"):format(dir))
    os.execute("rm -r " .. dir)
  end)
end)
