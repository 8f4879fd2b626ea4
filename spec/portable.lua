-- Run by .ci/portable under an emulated processor: a few training steps through every layer.
local al = require "albedo"

al.seed(7)
local x = al.randn(4, 3, 12, 12)
local w = al.randn(8, 3, 3, 3):requires_grad_()
local v = al.randn(10, 8 * 6 * 6):requires_grad_()
local labels = al.tensor({ 1, 4, 7, 10 }, { dtype = "int64" })

local first, last
for _ = 1, 5 do
  local h = x:conv2d(w, nil, { pad = 1 }):relu():max_pool2d(2):reshape(4, -1)
  local loss = h:matmul(v:t()):cross_entropy(labels)
  loss:backward()
  first, last = first or loss:item(), loss:item()
  al.no_grad(function()
    w:sub_(w.grad * 1e-3)
    v:sub_(v.grad * 1e-3)
  end)
  w.grad, v.grad = nil, nil
end
print(("loss %.4f, then %.4f"):format(first, last))
assert(last < first, "the loss does not fall")
