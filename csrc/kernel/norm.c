/* norm.c: sums and affine maps for batch, group and layer normalisation; see norm.h. */
#ifndef AL_REAL
#include "norm.h"

#include "kernel.h"

enum { BLOCK = 2048 };
#define AL_REAL 32
#include "norm.c"
#undef AL_REAL
#define AL_REAL 64
#include "norm.c"

#define LOOPS(bits) \
  { moments_##bits, dots_##bits, scale_##bits, scale_by_##bits, blend_##bits, blend_by_##bits }
const al_norm_kernels AL_K(al_norm) = {LOOPS(f32), LOOPS(f64)};

#else
#include "real.h"

/* Lanes are added as a tree. */
AL_INLINE double AL_S(total)(rvec v) {
  double s[LANES];
  for (int i = 0; i < LANES; i++) s[i] = (double)v[i];
  for (int h = LANES / 2; h; h /= 2)
    for (int i = 0; i < h; i++) s[i] += s[i + h];
  return s[0];
}

static void AL_S(moments)(const void *from, int64_t n, double mid, double *sum) {
  const real shift = (real)mid;
  for (const real *x = from; n > 0; x += BLOCK, n -= BLOCK) {
    int64_t len = al_min(n, BLOCK), i = 0;
    rvec s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0};
    for (; i + 2 * LANES <= len; i += 2 * LANES) {
      rvec u = AL_S(load)(x + i) - shift, v = AL_S(load)(x + i + LANES) - shift;
      s0 += u, s1 += v;
      q0 += u * u, q1 += v * v;
    }
    sum[0] += AL_S(total)(s0 + s1);
    sum[1] += AL_S(total)(q0 + q1);
    for (; i < len; i++) {
      real u = x[i] - shift;
      sum[0] += (double)u;
      sum[1] += (double)(u * u);
    }
  }
}

AL_INLINE void AL_S(dots_of)(const real *g, const real *w, const real *x, int64_t len,
                             real shift, double *sum, bool weighs) {
  int64_t i = 0;
  rvec s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0};
  for (; i + 2 * LANES <= len; i += 2 * LANES) {
    rvec u = AL_S(load)(g + i), v = AL_S(load)(g + i + LANES);
    if (weighs) u *= AL_S(load)(w + i), v *= AL_S(load)(w + i + LANES);
    s0 += u, s1 += v;
    q0 += u * (AL_S(load)(x + i) - shift);
    q1 += v * (AL_S(load)(x + i + LANES) - shift);
  }
  sum[0] += AL_S(total)(s0 + s1);
  sum[1] += AL_S(total)(q0 + q1);
  for (; i < len; i++) {
    real u = weighs ? g[i] * w[i] : g[i];
    sum[0] += (double)u;
    sum[1] += (double)(u * (x[i] - shift));
  }
}

static void AL_S(dots)(const void *g, const void *w, const void *x, int64_t n, double mid,
                       double *sum) {
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t len = al_min(n - i, BLOCK);
    if (w) AL_S(dots_of)
    ((const real *)g + i, (const real *)w + i, (const real *)x + i, len, (real)mid, sum, true);
    else AL_S(dots_of)((const real *)g + i, NULL, (const real *)x + i, len, (real)mid, sum,
                       false);
  }
}

static void AL_S(scale)(const void *from, void *to, int64_t n, double mean, double scale,
                        double shift, bool stream) {
  const real *x = from, m = (real)mean, a = (real)scale, b = (real)shift;
  real *y = to;
#define SCALED(AT) ((AT(x) - m) * a + b)
  AL_WRITE(y, n, stream, SCALED);
#undef SCALED
}

static void AL_S(scale_by)(const void *from, const void *weight, const void *bias, void *to,
                           int64_t n, double mean, double scale, bool stream) {
  const real *x = from, *w = weight, *b = bias, m = (real)mean, a = (real)scale;
  real *y = to;
#define BOTH(AT) ((AT(x) - m) * a * AT(w) + AT(b))
#define WEIGHED(AT) ((AT(x) - m) * a * AT(w))
#define PLAIN(AT) ((AT(x) - m) * a)
  if (w && b) AL_WRITE(y, n, stream, BOTH);
  else if (w) AL_WRITE(y, n, stream, WEIGHED);
  else AL_WRITE(y, n, stream, PLAIN);
  for (int64_t i = 0; b && !w && i < n; i++) y[i] += b[i];
#undef BOTH
#undef WEIGHED
#undef PLAIN
}

static void AL_S(blend)(const void *grad, const void *from, void *to, int64_t n, double mean,
                        double a0, double b0, double c0, bool stream) {
  const real *g = grad, *x = from, m = (real)mean, a = (real)a0, b = (real)b0, c = (real)c0;
  real *gx = to;
#define BLENDED(AT) (a * AT(g) + b * (AT(x) - m) + c)
  AL_WRITE(gx, n, stream, BLENDED);
#undef BLENDED
}

static void AL_S(blend_by)(const void *grad, const void *weight, const void *from, void *to,
                           void *to_weight, void *to_bias, int64_t n, double mean, double a0,
                           double b0, double c0, bool stream) {
  const real *g = grad, *w = weight, *x = from, m = (real)mean, a = (real)a0, b = (real)b0,
             c = (real)c0;
  real *gx = to, *restrict gw = to_weight, *restrict gb = to_bias;
#define BLENDED(AT) (a * AT(g) * AT(w) + b * (AT(x) - m) + c)
  if (w) AL_WRITE(gx, n, stream, BLENDED);
  else AL_S(blend)(g, x, gx, n, mean, a0, b0, c0, stream);
#undef BLENDED
  for (int64_t i = 0; i < n; i++) {
    gw[i] += g[i] * (x[i] - m) * a;
    gb[i] += g[i];
  }
}
#endif
