/* resample.c: a filter along one dim, rows at a time or along the row; see resample.h. */
#ifndef AL_REAL
#include "resample.h"

#include "kernel.h"

#define AL_REAL 32
#include "resample.c"
#undef AL_REAL
#define AL_REAL 64
#include "resample.c"
const al_resample_kernels AL_K(al_resample) = {apply_f32, apply_f64};

#else
#include "real.h"

/* y = a u + b v, or y += */
AL_INLINE void AL_S(pair)(real *restrict y, const real *u, const real *v, real a, real b,
                          int64_t n, bool more) {
  for (int64_t k = 0; k < n; k++) y[k] = (more ? y[k] : 0) + (a * u[k] + b * v[k]);
}

/* Whole rows of `inner` elements, two taps a pass. */
static void AL_S(rows)(const al_filter *f, int64_t inner, const real *x, real *y) {
  const real *w = f->weight;
  for (int64_t i = 0; i < f->out; i++, y += inner) {
    int64_t n = f->count[i], t = 0;
    if (n == 0) memset(y, 0, (size_t)inner * sizeof *y);
    if (n % 2) {
      const real *u = x + f->index[i] * inner, a = w[i];
      for (int64_t k = 0; k < inner; k++) y[k] = a * u[k];
      t = 1;
    }
    for (; t < n; t += 2) {
      const real *u = x + f->index[t * f->out + i] * inner,
                 *v = x + f->index[(t + 1) * f->out + i] * inner;
      if (t) AL_S(pair)(y, u, v, w[t * f->out + i], w[(t + 1) * f->out + i], inner, true);
      else AL_S(pair)(y, u, v, w[i], w[f->out + i], inner, false);
    }
  }
}

/* Along the row itself: a tap of all outputs a pass. */
static void AL_S(along)(const al_filter *f, const real *x, real *restrict y) {
  const real *w = f->weight;
  const int32_t *at = f->index;
  if (f->width == 1) {
    for (int64_t i = 0; i < f->out; i++) y[i] = w[i] * x[at[i]];
    return;
  }
  const real *w1 = w + f->out;
  const int32_t *at1 = at + f->out;
  for (int64_t i = 0; i < f->out; i++) y[i] = w[i] * x[at[i]] + w1[i] * x[at1[i]];
  for (int64_t t = 2; t < f->width; t++) {
    const real *wt = w + t * f->out;
    const int32_t *att = at + t * f->out;
    for (int64_t i = 0; i < f->out; i++) y[i] += wt[i] * x[att[i]];
  }
}

static void AL_S(apply)(const al_filter *f, int64_t inner, const real *x, real *y) {
  if (inner == 1) AL_S(along)(f, x, y);
  else AL_S(rows)(f, inner, x, y);
}
#endif
