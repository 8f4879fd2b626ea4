-- 01: tensors. Run it with `lua examples/01_tensors.lua`, or type it line by line after `lua -i
-- -l albedo`. Shows: making tensors, arithmetic with broadcasting, slices that are views,
-- reductions, dtypes, randomness.
local al = require "albedo"

-- A tensor is a grid of numbers. Everything counts from 1, and float32 is the default.
local x = al.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
print(x)
print("shape", table.concat(x.shape, "x"), "dtype", x.dtype, "elements", x:numel(), "rows", #x)

-- Operators work element by element; shapes broadcast as in PyTorch.
local row = al.tensor { 10, 20, 30 }
print(x * 2 + row)
print("matrix product", x:matmul(x:T()))

-- Slices: by position, by ranges with both ends included, by text, by mask. They are views:
-- writing shows through.
print("second row", x[2])
print("last column", x[{ {}, -1 }])
print("as text", x["1:2, 1:3:2"])
print("above 3", x[x:gt(3)])
local copy = x:clone()
copy[{ 1, {} }] = 0
copy[{ 2, 3 }] = 99
print(copy)

-- Reductions give 0-dim tensors; item() makes a Lua number of one, totable() a table of any.
print("sum", x:sum():item(), "mean of each column", x:mean(1))
local largest, where = x:max():item(), x:argmax(2):totable()
print("largest", largest, "largest of each row at", where[1], where[2])

-- Shapes: reshape, permute, cat, stack. `..` joins along the first dim.
print(al.cat({ x, x }, 2).shape[2], (x .. x).shape[1], x:reshape(3, 2), x:permute(2, 1))

-- dtypes: float32, float64, int64, int32, uint8, bool.
print(al.arange(5), al.linspace(0, 1, 5, { dtype = "float64" }), x:gt(2))

-- Random numbers: the same seed gives the same numbers, whatever the number of threads.
al.seed(42)
local a = al.randn(2, 2)
al.seed(42)
assert(al.randn(2, 2):eq(a):all():item())
print(a)

-- Errors name the op, what it got, and this script's line.
print(select(2, pcall(function() return x:matmul(row:reshape(1, 3)) end)))
