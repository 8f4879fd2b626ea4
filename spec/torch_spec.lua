local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"
local tmp, read, refuses = files.tmp, files.read, files.refuses

if not al.version().plugins.zlib then return pending "PyTorch's checkpoints (no zlib here)" end
local zip = require "albedo.io.zip"

teardown(files.clear)

-- A checkpoint of a pickle's text and storages.
local function checkpoint(text, storages)
  local path, list = tmp ".pth", { { "a/data.pkl", al.from_bytes(text, "uint8") } }
  for key, x in pairs(storages or {}) do list[#list + 1] = { "a/data/" .. key, x } end
  zip.save(path, list)
  return path
end

local function tensor(kind, key, numel, rest)
  return "ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\n" .. kind .. "Storage\nS'"
    .. key .. "'\nS'cpu'\nI" .. numel .. "\ntQ" .. rest .. "I00\nccollections\nOrderedDict\n)RtR."
end

describe("PyTorch's checkpoints", function()
  it("hold numbers, strings, lists, dicts by hand", function()
    local value = al.load(checkpoint("\128\2}(X\1\0\0\0aK\5X\1\0\0\0bG\63\248\0\0\0\0\0\0"
      .. "X\1\0\0\0c](K\1J\254\255\255\255M\0\1eX\1\0\0\0dNX\1\0\0\0e\136X\1\0\0\0f\138\2\0\255u."))
    assert.same({ a = 5, b = 1.5, c = { 1, -2, 256 }, e = true, f = -256 }, value)
  end)

  it("hold tensors by strides, which may share a storage", function()
    local x = al.arange(0, 11):to "float32"
    local function load(rest)
      return al.load(checkpoint(tensor("Float", "0", 12, rest), { ["0"] = x }))
    end
    assert.same({ { 0, 1, 2 }, { 3, 4, 5 } }, load("I0\n(I2\nI3\nt(I3\nI1\nt"):totable())
    assert.same({ { 4, 7 }, { 5, 8 } }, load("I4\n(I2\nI2\nt(I1\nI3\nt"):totable())
    assert.same({ { 0, 5 }, { 2, 7 } }, load("I0\n(I2\nI2\nt(I2\nI5\nt"):totable())
    assert.same({ { 3, 3 }, { 4, 4 } }, load("I3\n(I2\nI2\nt(I1\nI0\nt"):totable())
    assert.equal(11, load("I11\n(t(t"):item())
    assert.same({ 0, 4 }, load("I0\n(I0\nI4\nt(I4\nI1\nt").shape)
  end)

  it("that are hostile give one error", function()
    local x = { ["0"] = al.zeros(12) }
    local cases = {
      { "cos\nsystem\n(S'touch /tmp/x'\ntR.", "asks for os.system" },
      { "\128\4\140\5posix\140\6system\147\140\2ls\133R.", "asks for posix.system" },
      { "cbuiltins\neval\n(S'1'\ntR.", "asks for builtins.eval" },
      { "ctorch.nn.modules.linear\nLinear\n)\129.", "asks for torch.nn.modules.linear.Linear" },
      { "(S'a'\nS'b'\ni.", "unknown operation" },
      { "", "ends early" }, { "]", "ends early" }, { ".", "more from its stack" },
      { "t.", "no mark" }, { "(0(t0.", "more from its stack" }, { "h\5.", "never kept" },
      { "q\0.", "not there" }, { "](a.", "stack" }, { "]NR.", "no known function" },
      { "K\1a.", "wants a list" }, { "K\1K\2a.", "wants a list" }, { "}]K\1s.", "no string or number" },
      { "X\255\255\255\255a.", "ends early" },
      { "\141\255\255\255\255\255\255\255\255.", "ends early" },
      { "\139\255\255\255\127.", "more than 1000" }, { "Ix\n.", "number that is none" },
      { "(K\1d.", "key without" }, { "ctorch\nFloatStorage\n.", "bare type" },
      { tensor("Float", "0", 12, "I0\n(I4\nI4\nt(I4\nI1\nt"), "beyond its storage" },
      { tensor("Float", "0", 12, "I-1\n(I4\nt(I1\nt"), "wrong shape" },
      { tensor("Float", "0", 12, "I0\n(I-4\nt(I1\nt"), "wrong shape" },
      { tensor("Float", "0", 12, "I0\n(I4\nt(t"), "wrong shape" },
      { tensor("Float", "0", 12, "I0\n(I9999999999\nt(I0\nt"), "larger than max_bytes" },
      { tensor("Float", "0", 13, "I0\n(I4\nt(I1\nt"), "needs 52 bytes" },
      { tensor("Float", "1", 12, "I0\n(I4\nt(I1\nt"), "holds no a/data/1" },
      { tensor("Quantised", "0", 12, "I0\n(I4\nt(I1\nt"), "unknown kind" },
    }
    for _, case in ipairs(cases) do
      local path = checkpoint(case[1], x)
      refuses(function() al.load(path) end, case[2])
    end
    local cycle = al.load(checkpoint "]q\0h\0a.")
    assert.equal(cycle, cycle[1])
    local deep = al.load(checkpoint(("]"):rep(30000) .. ("a"):rep(29999) .. "."))
    assert.equal(1, #deep)
  end)

  it("that are cut or changed anywhere never crash", function()
    local path = checkpoint(tensor("Float", "0", 12, "I0\n(I2\nI3\nt(I3\nI1\nt"),
      { ["0"] = al.arange(0, 11):to "float32" })
    local entries = zip.open(path).entries["a/data.pkl"]
    files.mutate(read(path), ".pth", al.load)
    -- the pickle's own bytes, with their checksum made anew
    local text = tensor("Float", "0", 12, "I0\n(I2\nI3\nt(I3\nI1\nt")
    assert.equal(#text, entries.size)
    for k = 1, #text do
      for _, c in ipairs { "(", "R", "\0", "9", "." } do
        local ok, message = pcall(al.load,
          checkpoint(text:sub(1, k - 1) .. c .. text:sub(k + 1), { ["0"] = al.zeros(12) }))
        assert.is_true(ok or not message:find "\n", message)
      end
    end
  end)

  it("of PyTorch are read", function()
    local names, prefix = files.python("torch", [=[
import sys, torch, zipfile
from collections import OrderedDict
torch.manual_seed(1)
def keep(name, t):
  if t.is_complex(): t = torch.view_as_real(t)
  kinds = {torch.int8: torch.int32, torch.int16: torch.int32}
  t = t.detach().to(kinds.get(t.dtype, t.dtype)).contiguous()
  t = t.view(torch.int16) if t.dtype == torch.bfloat16 else t
  open(sys.argv[1] + name + '.raw', 'wb').write(t.numpy().tobytes())
  print(name)
all = OrderedDict()
for d in 'float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64'.split():
  all[d] = (torch.randn(3, 4) * 9).abs().to(getattr(torch, d))
base = torch.randn(6, 8)
all.update(base=base, turned=base.t(), slice=base[1:4, ::2], wide=base[:1].expand(3, 8),
  nchw=torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), scalar=torch.tensor(3.5),
  none=torch.zeros(0, 3), param=torch.nn.Parameter(torch.randn(4)))
torch.save(all, sys.argv[1] + 'all.pth')
with zipfile.ZipFile(sys.argv[1] + 'all.pth') as a, \
     zipfile.ZipFile(sys.argv[1] + 'deflated.pth', 'w', zipfile.ZIP_DEFLATED) as b:
  for n in a.namelist(): b.writestr(n, a.read(n))
for k in all: keep(k, all[k])
net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
net(torch.randn(5, 3)).sum().backward()
opt = torch.optim.Adam(net.parameters())
opt.step()
torch.save({'state_dict': net.state_dict(), 'optimizer': opt.state_dict(), 'epoch': 3, 'best': .5,
  'none': None, 'names': ['a', ('b', 2)], 'size': base.shape}, sys.argv[1] + 'nested.pt')
torch.save(net, sys.argv[1] + 'code.pt')
torch.save(base, sys.argv[1] + 'old.pt', _use_new_zipfile_serialization=False)
]=])
    if not names then return pending "python3-torch is not installed" end
    assert.equal(19, #names)
    for _, file in ipairs { "all.pth", "deflated.pth" } do
      local all = al.load(prefix .. file)
      for _, name in ipairs(names) do
        assert.is_true(all[name]:bytes() == read(prefix .. name .. ".raw"), file .. " " .. name)
      end
      all.base[1][1] = 77
      assert.equal(77, all.turned[1][1]:item())
      os.remove(prefix .. file)
    end
    local nested = al.load(prefix .. "nested.pt")
    assert.equal(3, nested.epoch)
    assert.equal(0.5, nested.best)
    assert.same({ "a", { "b", 2 } }, nested.names)
    assert.same({ 6, 8 }, nested.size)
    assert.is_nil(nested.none)
    assert.same({ 2, 3 }, nested.state_dict["0.weight"].shape)
    assert.same({ 2, 3 }, nested.optimizer.state[0].exp_avg.shape)
    local state = al.io.weights(prefix .. "nested.pt")
    local net = al.nn.Sequential { al.nn.Linear(3, 2), al.nn.BatchNorm1d(2) }
    net:load_state_dict(state)
    assert.is_true(net[1].weight:bytes() == state["0.weight"]:bytes())
    refuses(function() al.load(prefix .. "code.pt") end, "asks for torch.nn.modules")
    refuses(function() al.load(prefix .. "old.pt") end, "before 1.6")
    for _, file in ipairs { "nested.pt", "code.pt", "old.pt" } do os.remove(prefix .. file) end
  end)

  it("of ours are read back, and by torch.load, equal for every dtype", function()
    local state, path = { step = 3, big = 2 ^ 40, rate = 0.25, on = true, off = false, note = "caf\195\169",
      list = { 1, -2, 70000, { a = al.ones(2) } } }, tmp ".pth"
    state.list[5] = 2 ^ 31
    for _, dtype in ipairs { "float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool" } do
      state["t." .. dtype] = (al.arange(1, 24):remainder(7) - 3):abs():to(dtype):reshape(2, 3, 4)
      state["e." .. dtype] = al.zeros({ 0, 3 }, { dtype = dtype })
      state["s." .. dtype] = al.ones({}, { dtype = dtype })
    end
    state.view = al.arange(1, 6):reshape(2, 3):t()
    assert.equal(26, al.save(path, state))
    local back = al.load(path)
    for name, v in pairs(state) do
      if al.is_tensor(v) then
        assert.equal(v.dtype, back[name].dtype)
        assert.same(v.shape, back[name].shape)
        assert.is_true(v:contiguous():bytes() == back[name]:contiguous():bytes(), name)
      elseif type(v) ~= "table" then
        assert.equal(v, back[name])
      end
    end
    assert.same({ 1, -2, 70000 }, { back.list[1], back.list[2], back.list[3] })
    assert.same({ 1, 1 }, back.list[4].a:totable())
    local net = al.nn.Linear(3, 2)
    al.save(path:gsub("pth$", "pt"), { model = net })
    assert.is_true(al.load((path:gsub("pth$", "pt"))).model.weight:eq(net.weight):all():item())
    os.remove((path:gsub("pth$", "pt")))
    refuses(function() al.save(path, { f = print }) end, "is a function")
    local ring = {}
    ring.me = ring
    refuses(function() al.save(path, ring) end, "holds itself")
    assert.same({ { 1 }, { 1 } }, (function()
      local one = { 1 }
      al.save(path, { one, one })
      return al.load(path)
    end)())
    al.save(path, state)
    local lines = files.python("torch", ([=[
import torch
s = torch.load('%s')
n = 0
for k in 'float64 float32 float16 bfloat16 int64 int32 uint8 bool'.split():
  d = getattr(torch, k)
  want = (torch.arange(1, 25) %% 7 - 3).abs().to(d).reshape(2, 3, 4)
  assert s['t.' + k].dtype == d and torch.equal(s['t.' + k], want), k
  assert s['e.' + k].dtype == d and s['e.' + k].shape == (0, 3)
  assert s['s.' + k].dtype == d and s['s.' + k].shape == () and s['s.' + k].item() == 1
  n += 1
assert torch.equal(s['view'], torch.arange(1., 7).reshape(2, 3).t())
assert s['step'] == 3 and s['rate'] == .25 and s['on'] is True and s['off'] is False and s['note'] == 'caf\u00e9'
assert s['big'] == 2 ** 40 and s['list'][:3] == [1, -2, 70000] and s['list'][4] == 2 ** 31 and s['list'][3]['a'].tolist() == [1, 1]
s['t.float32'].add_(1)
torch.nn.Linear(4, 2).load_state_dict({'weight': s['t.float32'][0, :2], 'bias': s['view'][:2, 0]})
print(n)
]=]):format(path))
    assert.same(lines and { "8" }, lines)
  end)

  it("that cannot be written leave what was there", function()
    local path = tmp ".pth"
    al.save(path, { a = al.ones(3) })
    local before = read(path)
    refuses(function() al.save(path, { f = print }) end, "is a function")
    refuses(function() al.save("/dev/full", { a = al.ones(3) }) end, "No space left")
    assert.is_true(before == read(path))
  end)
end)
