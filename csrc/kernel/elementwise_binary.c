// Binary loops: arithmetic, comparisons, logic, selection.
#ifndef AL_REAL
#include "loops.h"
#include "vmath.h"

// A loop that meets such an operand says so; threads may say it at once, always the same word.
#define BAD(code) __atomic_store_n(&ctx->bad, code, __ATOMIC_RELAXED)

AL_INLINE uint64_t int_pow(uint64_t x, uint64_t n) {
  uint64_t y = 1;
  for (; n; n >>= 1, x *= x)
    if (n & 1) y *= x;
  return y;
}
// y != 0; -1 apart, because the least integer has no negative
AL_INLINE int64_t int_fmod(int64_t x, int64_t y) { return y == -1 ? 0 : x % y; }
AL_INLINE int64_t int_remainder(int64_t x, int64_t y) {
  int64_t r = int_fmod(x, y);
  return r && (r ^ y) < 0 ? r + y : r;
}
AL_INLINE int64_t int_floor_divide(int64_t x, int64_t y) {
  if (y == -1) return (int64_t)(0 - (uint64_t)x);
  return x / y - (x % y && (x ^ y) < 0);
}

#define AL_REAL 32
#include "elementwise_binary.c"
#define AL_REAL 64
#include "elementwise_binary.c"

#define ROWS "elementwise.def"
#define T uint8_t
#define U uint32_t
#define BINARY_BOOL(name, F) AL_LOOP2(name##_bool, T, T, F)
#define BINARY_INT(name, F) AL_LOOP2(name##_u8, T, T, F)
#define COMPARE(name, doc, sample, F) AL_LOOP2(name##_u8, uint8_t, T, F)
#define LOGIC(name, doc, sample, F) AL_LOOP2(name##_bool, T, T, F)
#define BITS(name, doc, sample, F, B) \
  AL_LOOP2(name##_bool, T, T, B) AL_LOOP2(name##_u8, T, T, F)
#include ROWS
#undef T
#define T int32_t
#define BINARY_INT(name, F) AL_LOOP2(name##_i32, T, T, F)
#define COMPARE(name, doc, sample, F) AL_LOOP2(name##_i32, uint8_t, T, F)
#define BITS(name, doc, sample, F, B) AL_LOOP2(name##_i32, T, T, F)
#include ROWS
#undef T
#undef U
#define T int64_t
#define U uint64_t
#define BINARY_INT(name, F) AL_LOOP2(name##_i64, T, T, F)
#define COMPARE(name, doc, sample, F) AL_LOOP2(name##_i64, uint8_t, T, F)
#define BITS(name, doc, sample, F, B) AL_LOOP2(name##_i64, T, T, F)
#include ROWS

// out = mask ? x : y, by element size
#define AL_WHERE(NAME, TX)                                                    \
  static void NAME(AL_CORE_ARGS) {                                            \
    AL_SIMD for (int64_t i = 0; i < n; i++)((TX *)out)[i] =                   \
        ((const uint8_t *)px)[i] ? ((const TX *)py)[i] : ((const TX *)pz)[i]; \
  }
AL_WHERE(where_1, uint8_t)
AL_WHERE(where_4, uint32_t)
AL_WHERE(where_8, uint64_t)

#define AT(name, d, s) [AL_B_##name][d] = name##_##s,
#define INTEGERS(name) AT(name, 1, u8) AT(name, 2, i32) AT(name, 3, i64)
#define FLOATS(name) AT(name, 4, f32) AT(name, 5, f64)
const al_binary_kernels AL_K(al_binary) = {
    .f =
        {
#define BINARY(name, ...) FLOATS(name)
#define BINARY_INT(name, ...) INTEGERS(name)
#define BINARY_BOOL(name, ...) AT(name, 0, bool)
#define COMPARE(name, ...) AT(name, 0, u8) INTEGERS(name) FLOATS(name)
#define LOGIC(name, ...) AT(name, 0, bool)
#define BITS(name, ...) AT(name, 0, bool) INTEGERS(name)
#include ROWS
        },
    .where = {where_1, 0, where_4, where_8},
};

#else
#include "real.h"
#undef M
#undef K
#define M(f) AL_S(vm_##f)
#define K(c) ((real)(c))
#define BINARY(name, alias, doc, save, sample, F, DX, DY) AL_LOOP2(AL_S(name), real, real, F)
#define COMPARE(name, doc, sample, F) AL_LOOP2(AL_S(name), uint8_t, real, F)
#include "elementwise.def"
#undef AL_REAL
#endif
