/* optim.c: one element of a parameter after another; the compiler vectorises. Formulas:
 * PyTorch's documentation. */
#ifndef AL_REAL
#include "optim.h"
#include <math.h>
#include <stddef.h>
#define AL_REAL 32
#include "optim.c"
#undef AL_REAL
#define AL_REAL 64
#include "optim.c"
#undef AL_REAL

#include "kernel.h"
const al_optim_kernels AL_K(al_optim) = {
    .sgd = {sgd_f32, sgd_f64},
    .adam = {adam_f32, adam_f64},
    .rmsprop = {rmsprop_f32, rmsprop_f64},
    .sum_of_squares = {sum_of_squares_f32, sum_of_squares_f64},
    .scale = {scale_f32, scale_f64},
};

#else
#include "real.h"
#if AL_REAL == 32
#define SQRT sqrtf
#else
#define SQRT sqrt
#endif

/* g += wd p;  a = momentum a + g;  p -= lr (nesterov ? g + momentum a : a) */
static void AL_S(sgd)(int64_t n, void *vp, const void *vg, void *va, void *vb,
                      const al_optim_options *o) {
  real *restrict p = vp, *restrict a = va;
  const real *restrict g = vg;
  const real lr = (real)o->lr, decay = (real)o->weight_decay, momentum = (real)o->momentum;
  (void)vb;
  if (!a)
    for (int64_t i = 0; i < n; i++) p[i] -= lr * (g[i] + decay * p[i]);
  else if (o->nesterov)
    for (int64_t i = 0; i < n; i++) {
      real d = g[i] + decay * p[i];
      a[i] = momentum * a[i] + d;
      p[i] -= lr * (d + momentum * a[i]);
    }
  else
    for (int64_t i = 0; i < n; i++) {
      a[i] = momentum * a[i] + (g[i] + decay * p[i]);
      p[i] -= lr * a[i];
    }
}

/* Kingma and Ba 2015; decoupled: Loshchilov and Hutter 2019, p *= 1 - lr wd in place of g += wd
 * p. a = b1 a + (1-b1) g;  b = b2 b + (1-b2) g^2;  p -= lr / c1 * a / (sqrt(b / c2) + eps),  c
 * = 1 - beta^t */
static void AL_S(adam)(int64_t n, void *vp, const void *vg, void *va, void *vb,
                       const al_optim_options *o) {
  real *restrict p = vp, *restrict a = va, *restrict b = vb;
  const real *restrict g = vg;
  const real decay = o->decoupled ? 0 : (real)o->weight_decay;
  const real keep = o->decoupled ? (real)(1 - o->lr * o->weight_decay) : 1;
  const real b1 = (real)o->beta1, b2 = (real)o->beta2, c1 = (real)(1 - o->beta1),
             c2 = (real)(1 - o->beta2);
  const real step = (real)(o->lr / o->correction1), root = (real)(1 / sqrt(o->correction2)),
             eps = (real)o->eps;
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + decay * p[i];
    a[i] = b1 * a[i] + c1 * d;
    b[i] = b2 * b[i] + c2 * (d * d);
    p[i] = keep * p[i] - step * a[i] / (SQRT(b[i]) * root + eps);
  }
}

/* Tieleman and Hinton 2012: a = alpha a + (1-alpha) g^2;  d = g / (sqrt(a) + eps);  with a
 * momentum buffer b, b = momentum b + d and p -= lr b, else p -= lr d */
static void AL_S(rmsprop)(int64_t n, void *vp, const void *vg, void *va, void *vb,
                          const al_optim_options *o) {
  real *restrict p = vp, *restrict a = va, *restrict b = vb;
  const real *restrict g = vg;
  const real lr = (real)o->lr, decay = (real)o->weight_decay, eps = (real)o->eps;
  const real alpha = (real)o->alpha, rest = (real)(1 - o->alpha), momentum = (real)o->momentum;
  for (int64_t i = 0; i < n; i++) {
    real d = g[i] + decay * p[i];
    a[i] = alpha * a[i] + rest * (d * d);
    d /= SQRT(a[i]) + eps;
    if (b) d = b[i] = momentum * b[i] + d;
    p[i] -= lr * d;
  }
}

/* In double, over 16 fixed lanes: the same bits whatever the width of a register. */
static double AL_S(sum_of_squares)(int64_t n, const void *vx) {
  const real *x = vx;
  double lane[16] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
  for (; i < n; i++) sum += (double)x[i] * (double)x[i];
  for (int k = 0; k < 16; k++) sum += lane[k];
  return sum;
}

static void AL_S(scale)(int64_t n, void *vx, double k) {
  real *x = vx;
  for (int64_t i = 0; i < n; i++) x[i] *= (real)k;
}
#undef SQRT
#endif
