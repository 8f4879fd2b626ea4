// Scalar mathematics that compilers turn into vector code: branch-free, no tables, no calls.
//
// Each function exists as vm_name_f32 (ours) and vm_name_f64 (the C library's, except where a
// short form is exact enough), so that a body compiled for both types writes M(exp)(x).
//
// Method: additive range reduction with a two-part ln 2 (Cody & Waite, Software Manual for the
// Elementary Functions, 1980), then a polynomial in the reduced argument. The coefficients are
// our own: Chebyshev fits computed with 40 digits, rounded to float. The largest error measured
// over the domain, in units in the last place (with FMA; without, at most 0.1 more), stands
// with each function. NaN, infinities, zeros and overflow come out as C defines them; the
// rounding mode is nearest.
#ifndef AL_VMATH_H
#define AL_VMATH_H
#include <math.h>

#include "kernel.h"

AL_INLINE uint32_t vm_bits(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}
AL_INLINE float vm_float(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}
// 2^n, -126 <= n <= 127
AL_INLINE float vm_pow2(int32_t n) { return vm_float((uint32_t)(n + 127) << 23); }

// x = n ln 2 + r with |r| <= ln 2 / 2; returns r. |x| < 2^21.
AL_INLINE float vm_reduce(float x, int32_t *n) {
  float t = x * 1.44269504f + 12582912.0f; // 1.5 * 2^23: the low bits now hold round(x / ln 2)
  *n = (int32_t)(vm_bits(t) - 0x4B400000u);
  t -= 12582912.0f;
  return (x - t * 0.693359375f) - t * -2.12194440e-4f;
}

// e^r - 1 on |r| <= ln 2 / 2, relative error 1e-8
AL_INLINE float vm_expm1_poly(float r) {
  float q = 0.001392692661f;
  q = q * r + 0.008363773874f;
  q = q * r + 0.04166655011f;
  q = q * r + 0.1666657338f;
  q = q * r + 0.5f;
  return q * (r * r) + r;
}

// 1.05 ulp
AL_INLINE float vm_exp_f32(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  int32_t n;
  float r = vm_reduce(x, &n);
  int32_t half =
      n >> 1; // 2^n in two steps: results reach down to the denormals, up to infinity
  return ((1.0f + vm_expm1_poly(r)) * vm_pow2(half)) * vm_pow2(n - half);
}

// e^x for x <= 0 (softmax), 1.05 ulp; 0 below 2^-126. The bits of t are n + 127 after the
// shift, n = round(x / ln 2): that of 2^n when moved to the exponent, 0 at n = -127.
AL_INLINE float vm_exp_below_f32(float x) {
  x = x < -88.0f ? -88.0f : x;
  float t = x * 1.44269504f + 12583039.0f; // 1.5 * 2^23 + 127
  float s = vm_float(vm_bits(t) << 23);
  t -= 12583039.0f;
  float r = (x - t * 0.693359375f) - t * -2.12194440e-4f;
  return s * vm_expm1_poly(r) + s;
}

// e^x - 1 = 2 (s p + (s - 1/2)), s = 2^(n-1); 1.7 ulp
AL_INLINE float vm_expm1_f32(float x) {
  float v = x > 89.0f ? 89.0f : x;
  v = v < -30.0f ? -30.0f : v;
  int32_t n;
  float r = vm_reduce(v, &n);
  float s = vm_pow2(n - 1);
  float y = 2.0f * (s * vm_expm1_poly(r) + (s - 0.5f));
  return x == 0.0f ? x : y;
}

// 1.05 ulp
AL_INLINE float vm_exp2_f32(float x) {
  x = x > 129.0f ? 129.0f : x;
  x = x < -151.0f ? -151.0f : x;
  float t = x + 12582912.0f;
  int32_t n = (int32_t)(vm_bits(t) - 0x4B400000u), half = n >> 1;
  float r = (x - (t - 12582912.0f)) * 0.693147181f;
  return ((1.0f + vm_expm1_poly(r)) * vm_pow2(half)) * vm_pow2(n - half);
}

// x = 2^e m with sqrt(1/2) <= m < sqrt(2), for positive finite x; returns log m
AL_INLINE float vm_log_mantissa(float x, float *e) {
  bool tiny = x < 1.17549435e-38f;
  x = tiny ? x * 8388608.0f : x;
  uint32_t u = vm_bits(x) - 0x3F3504F3u;
  *e = (float)((int32_t)u >> 23) - (tiny ? 23.0f : 0.0f);
  float f = vm_float((u & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
  float p = 0.06971611471f;
  p = p * f - 0.1147973385f;
  p = p * f + 0.1168541992f;
  p = p * f - 0.1242568733f;
  p = p * f + 0.1424905765f;
  p = p * f - 0.1666780232f;
  p = p * f + 0.2000071575f;
  p = p * f - 0.2499999696f;
  p = p * f + 0.3333333118f;
  float z = f * f;
  return p * f * z - 0.5f * z + f;
}
// the special values of every logarithm
AL_INLINE float vm_log_ends(float x, float y) {
  y = x > 3.40282347e38f ? x : y;
  y = x > 0.0f ? y : (float)NAN;
  return x == 0.0f ? -(float)INFINITY : y;
}

// 0.84 ulp
AL_INLINE float vm_log_f32(float x) {
  float e, l = vm_log_mantissa(x, &e);
  return vm_log_ends(x, (l + e * -2.12194440e-4f) + e * 0.693359375f);
}
// 1.7 ulp
AL_INLINE float vm_log2_f32(float x) {
  float e, l = vm_log_mantissa(x, &e);
  return vm_log_ends(x, l * 1.44269504f + e);
}

// log(1 + x) = log u + (x - (u - 1)) / u with u = fl(1 + x), which carries the rounding of
// u; 1.5 ulp
AL_INLINE float vm_log1p_f32(float x) {
  float u = 1.0f + x, e, l = vm_log_mantissa(u, &e);
  l += (x - (u - 1.0f)) / u;
  float y = vm_log_ends(u, (l + e * -2.12194440e-4f) + e * 0.693359375f);
  return x == 0.0f ? x : y;
}

// tanh |x| = m / (m + 2) with m = e^(2|x|) - 1; 2.5 ulp
AL_INLINE float vm_tanh_f32(float x) {
  float a = fabsf(x);
  a = a > 10.0f ? 10.0f : a;
  float m = vm_expm1_f32(2.0f * a);
  return copysignf(m / (m + 2.0f), x);
}

// 2 ulp; 0 where e^-x overflows, below -88.7
AL_INLINE float vm_sigmoid_f32(float x) { return 1.0f / (1.0f + vm_exp_f32(-x)); }

// |x| <= 1: x P(x^2); beyond: 1 - exp(|x| Q(|x|)), Q fitted to log(erfc t) / t; 2.5 ulp
AL_INLINE float vm_erf_f32(float x) {
  float z = x * x;
  float p = 7.875875063e-5f;
  p = p * z - 8.016864287e-4f;
  p = p * z + 5.189087423e-3f;
  p = p * z - 2.685421201e-2f;
  p = p * z + 0.1128359472f;
  p = p * z - 0.3761262667f;
  p = p * z + 1.128379166f;
  float t = fabsf(x);
  t = t > 4.1f ? 4.1f : t;
  float q = 2.069286267e-7f;
  q = q * t - 3.100915717e-6f;
  q = q * t + 9.58247528e-7f;
  q = q * t + 3.319304912e-4f;
  q = q * t - 3.827759939e-3f;
  q = q * t + 2.430221896e-2f;
  q = q * t - 0.1069712415f;
  q = q * t - 0.6346597282f;
  q = q * t - 1.128778965f;
  float far = copysignf(1.0f - vm_exp_f32(q * t), x);
  return t > 1.0f ? far : p * x;
}

// sin and cos of 2 pi u for u in [0, 1): quarter turns, then polynomials in the rest
AL_INLINE void vm_sincos_turn_f32(float u, float *s, float *c) {
  float t = u * 4.0f, k = t + 12582912.0f;
  uint32_t q = vm_bits(k);
  float f = t - (k - 12582912.0f), z = f * f;
  float a = 1.582063036e-4f;
  a = a * z - 4.681266257e-3f;
  a = a * z + 7.969258273e-2f;
  a = a * z - 0.6459640961f;
  a = (a * z + 1.570796327f) * f;
  float b = 9.036280664e-4f;
  b = b * z - 2.08600695e-2f;
  b = b * z + 0.2536692037f;
  b = b * z - 1.233700541f;
  b = b * z + 1.0f;
  float sv = q & 1u ? b : a, cv = q & 1u ? a : b;
  *s = vm_float(vm_bits(sv) ^ ((q & 2u) << 30));
  *c = vm_float(vm_bits(cv) ^ (((q + 1u) & 2u) << 30));
}

// sin (quarter = 0) or cos (quarter = 1), reduced in double precision by a two-part pi / 2: 1.5
// ulp up to |x| = 1e5, 4e-8 up to 2^28; beyond, where floats lie further apart than a period,
// some value in
// [-1, 1].
AL_INLINE float vm_trig(float x, uint32_t quarter) {
  double t = (double)x * 0.63661977236758134308 + 6755399441055744.0; // 1.5 * 2^52
  uint64_t u;
  memcpy(&u, &t, 8);
  uint32_t q = (uint32_t)u + quarter;
  t -= 6755399441055744.0;
  float r = (float)(((double)x - t * 1.57079632673412561417) - t * 6.07710050650619224932e-11);
  r = r > 0.8f ? 0.8f : r;
  r = r < -0.8f ? -0.8f : r;
  float z = r * r;
  float a = -1.958285585e-4f;
  a = a * z + 8.332724733e-3f;
  a = a * z - 0.1666666454f;
  a = a * z * r + r;
  float b = 2.454289634e-5f;
  b = b * z - 1.388827945e-3f;
  b = b * z + 4.166666454e-2f;
  b = b * z * z - 0.5f * z + 1.0f;
  float v = q & 1u ? b : a;
  return vm_float(vm_bits(v) ^ ((q & 2u) << 30));
}
AL_INLINE float vm_sin_f32(float x) { return vm_trig(x, 0); }
AL_INLINE float vm_cos_f32(float x) { return vm_trig(x, 1); }

// ---- the same names in double precision, and what both leave to the C library ----
#define AL_LIBM(name) \
  AL_INLINE double vm_##name##_f64(double x) { return name(x); }
#define AL_LIBM_BOTH(name)                                        \
  AL_INLINE float vm_##name##_f32(float x) { return name##f(x); } \
  AL_LIBM(name)
// clang-format off
AL_LIBM(exp) AL_LIBM(expm1) AL_LIBM(exp2) AL_LIBM(log) AL_LIBM(log2) AL_LIBM(log1p)
AL_LIBM(tanh) AL_LIBM(erf) AL_LIBM(sin) AL_LIBM(cos)
AL_LIBM_BOTH(sqrt) AL_LIBM_BOTH(fabs) AL_LIBM_BOTH(floor) AL_LIBM_BOTH(ceil)
AL_LIBM_BOTH(trunc) AL_LIBM_BOTH(rint) AL_LIBM_BOTH(log10) AL_LIBM_BOTH(tan)
AL_LIBM_BOTH(asin) AL_LIBM_BOTH(acos) AL_LIBM_BOTH(atan) AL_LIBM_BOTH(sinh)
AL_LIBM_BOTH(cosh) AL_LIBM_BOTH(asinh) AL_LIBM_BOTH(acosh) AL_LIBM_BOTH(atanh)
AL_LIBM_BOTH(erfc)
    // clang-format on

    AL_INLINE double vm_sigmoid_f64(double x) {
  return 1.0 / (1.0 + exp(-x));
}
AL_INLINE double vm_exp_below_f64(double x) { return exp(x); }
AL_INLINE float vm_pow_f32(float x, float y) { return powf(x, y); }
AL_INLINE double vm_pow_f64(double x, double y) { return pow(x, y); }
AL_INLINE float vm_atan2_f32(float x, float y) { return atan2f(x, y); }
AL_INLINE double vm_atan2_f64(double x, double y) { return atan2(x, y); }
AL_INLINE float vm_fmod_f32(float x, float y) { return fmodf(x, y); }
AL_INLINE double vm_fmod_f64(double x, double y) { return fmod(x, y); }
AL_INLINE float vm_copysign_f32(float x, float y) { return copysignf(x, y); }
AL_INLINE double vm_copysign_f64(double x, double y) { return copysign(x, y); }

// The remainder takes the divisor's sign, as Lua's % and Python's do.
#define AL_REMAINDERS(T, S)                                                                  \
  AL_INLINE T vm_remainder_##S(T x, T y) {                                                   \
    T r = vm_fmod_##S(x, y);                                                                 \
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;                                         \
  }                                                                                          \
  /* floor of the exact quotient: from the remainder, so that rounding of x / y cannot reach \
   * the next integer; Python's float floor division */                                      \
  AL_INLINE T vm_floor_divide_##S(T x, T y) {                                                \
    if (y == 0) return x / y;                                                                \
    T r = vm_fmod_##S(x, y), q = (x - r) / y;                                                \
    if (r != 0 && (r < 0) != (y < 0)) q -= 1;                                                \
    if (q == 0) return vm_copysign_##S(0, x / y);                                            \
    T f = vm_floor_##S(q);                                                                   \
    return q - f > (T)0.5 ? f + 1 : f;                                                       \
  }
AL_REMAINDERS(float, f32)
AL_REMAINDERS(double, f64)
#endif
