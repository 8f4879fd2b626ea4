-- Tensor memory for LuaJIT's FFI.
local al = require "albedo"

local types = {
  float32 = "float *", float64 = "double *", int32 = "int32_t *", int64 = "int64_t *",
  uint8 = "uint8_t *", bool = "bool *", float16 = "uint16_t *", bfloat16 = "uint16_t *",
}
local held = setmetatable({}, { __mode = "k" })

local part = {}

--- ffi(t) -> a typed pointer to t's first element, without a copy (LuaJIT only): p[0] is the
--- first; strides are t:stride(). The pointer keeps t from being collected, but not from being
--- released by its scope. Writes through it are not seen by backward's checks.
function part.ffi(t)
  local known, ffi = pcall(require, "ffi")
  if not known then al.raise "ffi: this needs LuaJIT; t:data_ptr() is the address" end
  if not al.is_tensor(t) then al.raise(("ffi: a tensor is wanted, got %s"):format(type(t))) end
  local p = ffi.cast(types[t.dtype], t:data_ptr())
  held[p] = t
  return p
end

return part
