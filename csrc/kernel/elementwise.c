// Unary loops: values, fused first-order gradients, tests.
#ifndef AL_REAL
#include "loops.h"
#include "vmath.h"

#define SELU_SCALE 1.0507009873554804934
#define SELU_ALPHA 1.6732632423543772848
#define INV_SQRT_2PI 0.3989422804014326779

#define AL_REAL 32
#include "elementwise.c"
#define AL_REAL 64
#include "elementwise.c"

// ---- integers ----
#undef AL_NUM
#define AL_NUM double
#define T uint8_t
#define U uint32_t
#define UNARY_INT(name, F) AL_LOOP1(name##_u8, T, T, F)
#include "elementwise.def"
#define TEST(name, doc, sample, F, I) AL_LOOP1(name##_u8, uint8_t, T, I)
#include "elementwise.def"
#undef T
#define T int32_t
#define UNARY_INT(name, F) AL_LOOP1(name##_i32, T, T, F)
#include "elementwise.def"
#define TEST(name, doc, sample, F, I) AL_LOOP1(name##_i32, uint8_t, T, I)
#include "elementwise.def"
#undef T
#undef U
#define T int64_t
#define U uint64_t
#define UNARY_INT(name, F) AL_LOOP1(name##_i64, T, T, F)
#include "elementwise.def"
#define TEST(name, doc, sample, F, I) AL_LOOP1(name##_i64, uint8_t, T, I)
#include "elementwise.def"

const al_unary_kernels AL_K(al_unary) = {
    .f =
        {
#define UNARY(name, ...) [AL_U_##name][4] = name##_f32, [AL_U_##name][5] = name##_f64,
#define STEP(name, ...) [AL_U_##name][4] = name##_f32, [AL_U_##name][5] = name##_f64,
#define UNARY_INT(name, ...) \
  [AL_U_##name][1] = name##_u8, [AL_U_##name][2] = name##_i32, [AL_U_##name][3] = name##_i64,
#include "elementwise.def"
        },
    .grad =
        {
#define UNARY(name, ...) [AL_U_##name][4] = name##_grad_f32, [AL_U_##name][5] = name##_grad_f64,
#include "elementwise.def"
        },
    .test =
        {
#define TEST(name, ...) \
  [AL_T_##name] = {name##_u8, name##_u8, name##_i32, name##_i64, name##_f32, name##_f64},
#include "elementwise.def"
        },
};

#else
#include "real.h"
#undef M
#undef K
#undef AL_NUM
#define M(f) AL_S(vm_##f)
#define K(c) ((real)(c))
#define AL_NUM real

AL_INLINE real M(softplus)(real x) {
  return (x < 0 ? 0 * x : x) + M(log1p)(M(exp)(-M(fabs)(x)));
}
AL_INLINE real M(hard_gate)(real x) {
  real t = x / K(6) + K(0.5);
  return t < 0 ? 0 : t > 1 ? 1 : t;
}
AL_INLINE real M(gelu_arg)(real x) {
  return K(0.79788456080286535588) * (x + K(0.044715) * x * x * x);
}
// slopes of x s(x), x tanh(softplus x) and gelu_tanh, from s = sigmoid x and t = the tanh
AL_INLINE real M(silu_slope)(real s, real x) { return s * (1 + x * (1 - s)); }
AL_INLINE real M(mish_slope)(real t, real s, real x) { return t + x * s * (1 - t * t); }
AL_INLINE real M(gelu_tanh_slope)(real t, real x) {
  real slope = K(0.79788456080286535588) * (1 + K(3 * 0.044715) * x * x);
  return K(0.5) * (1 + t) + K(0.5) * x * (1 - t * t) * slope;
}

// gx[i] = D(g, saved): the saved tensor is x or y by the row's choice
#define AL_LOOP_GRAD(NAME, D)                                                           \
  static void NAME(AL_CORE_ARGS) {                                                      \
    AL_UNUSED const real p0 = (real)ctx->p[0], p1 = (real)ctx->p[1];                    \
    AL_SIMD for (int64_t i = 0; i < n; i++) {                                           \
      AL_UNUSED const real g = ((const real *)px)[i], x = ((const real *)py)[i], y = x; \
      ((real *)out)[i] = D;                                                             \
    }                                                                                   \
  }

#define UNARY(name, par, doc, save, sample, F, D, T) \
  AL_LOOP1(AL_S(name), real, real, F)                \
  AL_LOOP_GRAD(AL_S(name##_grad), D)
#define STEP(name, doc, sample, F) AL_LOOP1(AL_S(name), real, real, F)
#define TEST(name, doc, sample, F, I) AL_LOOP1(AL_S(name), uint8_t, real, F)
#include "elementwise.def"
#undef AL_REAL
#endif
