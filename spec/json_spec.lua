local al = require "albedo"
local json = al.json

local path = os.tmpname()
teardown(function() os.remove(path) end)

describe("al.json.encode", function()
  it("makes NaN and infinities null, and notes where they stood", function()
    local text, notes = json.encode { f1 = 0 / 0,
      tables = { auc = { 1, math.huge, -math.huge } } }
    assert.same({ "f1: NaN", "tables.auc[2]: infinity", "tables.auc[3]: -infinity" }, notes)
    local back = json.decode(text)
    assert.equal(json.null, back.f1)
    assert.equal(json.null, back.tables.auc[2])
    assert.equal(1, back.tables.auc[1])
    assert.same(notes, back.notes)
    text, notes = json.encode { 0 / 0, 2 }
    assert.equal("[null,2]", text)
    assert.same({ "[1]: NaN" }, notes)
    assert.is_nil(select(2, json.encode { 1, 2 }))
  end)

  it("never loses a run to one bad value", function()
    local cycle = { name = "a" }
    cycle.self = cycle
    local value = { cycle = cycle, fn = print, thread = coroutine.create(print), good = 7 }
    local text, notes = json.encode(value)
    assert.equal(7, json.decode(text).good)
    assert.equal(3, #notes)
    assert.equal("a\239\191\189b", json.decode(json.encode { "a\255b" })[1])
    assert.equal("\u{e9}\u{1f600}", json.decode(json.encode { "\u{e9}\u{1f600}" })[1])
    assert.equal("\239\191\189\239\191\189\239\191\189",
      json.decode(json.encode { "\237\160\128" })[1])
    assert.equal('q"\\/\n\0', json.decode(json.encode { 'q"\\/\n\0' })[1])
  end)

  it("keeps every digit", function()
    for _, v in ipairs { 0.1, 1 / 3, 2 ^ 53, 1e300, 5e-324, -1.5, 123456789.123456789, math.pi,
      1e15, 1e16 } do
      assert.equal(v, json.decode(json.encode { v })[1])
    end
    assert.equal("[9007199254740993]", json.encode { 9007199254740993 })
    assert.equal("[0.1,1]", json.encode { 0.1, 1 })
    assert.equal("integer", math.type(json.decode("[3]")[1]))
    assert.equal("float", math.type(json.decode("[3.5]")[1]))
  end)

  it("writes empty lists as [], objects when marked, keys in order", function()
    assert.equal('{"a":[],"b":{},"c":[[]]}',
      json.encode { c = { {} }, b = json.object {}, a = {} })
    local list = {}
    for i = 1, 200 do list["key" .. i] = i end
    local first = json.encode(list)
    local again = {}
    for i = 200, 1, -1 do again["key" .. i] = i end
    assert.equal(first, json.encode(again))
    assert.equal('{"1":"a","3":"c"}', json.encode { [1] = "a", [3] = "c" })
    assert.equal('{"1":"a","x":1}', json.encode { [1] = "a", x = 1 })
  end)

  it("reads tensors", function()
    assert.equal('{"m":[[1,2],[3,4]],"s":2.5,"t":true}', json.encode {
      m = al.tensor { { 1, 2 }, { 3, 4 } }, s = al.tensor(2.5), t = al.tensor(true),
    })
  end)

  it("indents, short lists on a line", function()
    local text = json.encode({ a = { 1, 2 }, b = { { x = 1 } } }, { indent = true })
    assert.equal('{\n  "a": [1, 2],\n  "b": [\n    {\n      "x": 1\n    }\n  ]\n}', text)
  end)
end)

describe("al.json.decode", function()
  it("says what is wrong", function()
    for _, text in ipairs { "", "{", "[1,]", "nul", "{\"a\" 1}", ("["):rep(2000) } do
      assert.error_matches(function() json.decode(text) end, "al.json: ")
    end
  end)
end)

describe("al.json.write", function()
  it("replaces a file whole or not at all", function()
    assert.is_nil(json.write(path, { a = 1 }))
    assert.same({ "b: NaN" }, json.write(path, { a = 2, b = 0 / 0 }))
    assert.equal(2, json.read(path).a)
    assert.error_matches(function() json.write("nowhere/at/all.json", {}) end, "nowhere")
    assert.error_matches(function() json.read "nowhere/at/all.json" end, "nowhere")
    assert.is_nil(io.open(path .. ".new"))
  end)

  it("is read by others", function()
    if os.execute "python3 -c 'import json' 2>/dev/null" ~= true then
      return pending "python3 is absent"
    end
    json.write(path, { x = 0 / 0, y = { 1 / 3, "\255\n" }, z = {} })
    local pipe = io.popen(([[python3 -c "
import json
d = json.load(open('%s'))
print(d['x'], d['y'][0] == 1/3, d['z'])"]]):format(path))
    assert.equal("None True []", pipe:read "*l")
    pipe:close()
  end)
end)
