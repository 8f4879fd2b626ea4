// Softmax, log-softmax, logsumexp and their gradients, along rows or down columns.
#ifndef AL_REAL
#include "reduce.h"
#include "vmath.h"

enum {
  BLOCK = 512
}; // columns at a time, at most: maxima and sums stay in the first-level cache

#define AL_REAL 32
#include "softmax.c"
#define AL_REAL 64
#include "softmax.c"

const al_softmax_kernels AL_K(al_softmax) = {{forward_f32, forward_f64},
                                             {backward_f32, backward_f64}};

#else
#include "real.h"
#undef M
#define M(f) AL_S(vm_##f)

// One row: largest element first, so that no power overflows. NaN reaches every element by the
// sum.
AL_INLINE void AL_S(row)(int kind, int64_t n, const real *x, real *y) {
  real top = -(real)INFINITY, sum = 0;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
  if (kind == AL_SOFTMAX) {
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
      real e = M(exp_below)(x[i] - top);
      y[i] = e;
      sum += e;
    }
    sum = 1 / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] *= sum;
    return;
  }
  if (kind == AL_LOGSUMEXP && top - top != 0) top = 0; // infinite: the powers say it all
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += M(exp)(x[i] - top);
  sum = M(log)(sum);
  if (kind == AL_LOGSUMEXP) {
    *y = top + sum;
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; i++) y[i] = (x[i] - top) - sum;
}

// Columns [begin, end) of one (n, inner) matrix.
AL_INLINE void AL_S(columns)(int kind, int64_t n, int64_t inner, int64_t w, const real *x,
                             real *y) {
  real top[BLOCK], sum[BLOCK];
  for (int64_t c = 0; c < w; c++) top[c] = -(real)INFINITY, sum[c] = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < w; c++)
      top[c] = x[i * inner + c] > top[c] ? x[i * inner + c] : top[c];
  if (kind == AL_SOFTMAX) {
    for (int64_t i = 0; i < n; i++) {
#pragma omp simd
      for (int64_t c = 0; c < w; c++) {
        real e = M(exp_below)(x[i * inner + c] - top[c]);
        y[i * inner + c] = e;
        sum[c] += e;
      }
    }
    for (int64_t c = 0; c < w; c++) sum[c] = 1 / sum[c];
    for (int64_t i = 0; i < n; i++) {
#pragma omp simd
      for (int64_t c = 0; c < w; c++) y[i * inner + c] *= sum[c];
    }
    return;
  }
  if (kind == AL_LOGSUMEXP)
    for (int64_t c = 0; c < w; c++) top[c] = top[c] - top[c] == 0 ? top[c] : 0;
  for (int64_t i = 0; i < n; i++) {
#pragma omp simd
    for (int64_t c = 0; c < w; c++) sum[c] += M(exp)(x[i * inner + c] - top[c]);
  }
#pragma omp simd
  for (int64_t c = 0; c < w; c++) sum[c] = M(log)(sum[c]);
  if (kind == AL_LOGSUMEXP) {
    for (int64_t c = 0; c < w; c++) y[c] = top[c] + sum[c];
    return;
  }
  for (int64_t i = 0; i < n; i++) {
#pragma omp simd
    for (int64_t c = 0; c < w; c++) y[i * inner + c] = (x[i * inner + c] - top[c]) - sum[c];
  }
}

static void AL_S(forward)(int kind, int64_t n, int64_t inner, int64_t begin, int64_t end,
                          const void *px, void *py) {
  const real *x = px;
  real *y = py;
  if (inner == 1) {
    if (kind == AL_SOFTMAX) AL_S(row)(AL_SOFTMAX, n, x, y);
    else AL_S(row)(kind, n, x, y);
    return;
  }
  for (int64_t c = begin; c < end; c += BLOCK)
    AL_S(columns)(kind, n, inner, al_min(BLOCK, end - c), x + c, y + c);
}

// The kind is known when this is compiled: log_softmax alone takes powers.
AL_INLINE void AL_S(back)(int kind, int64_t n, int64_t inner, int64_t w, const real *y,
                          const real *g, real *gx) {
  real sum[BLOCK];
  if (inner == 1) {
    real s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) s += kind == AL_SOFTMAX ? g[i] * y[i] : g[i];
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
      gx[i] = kind == AL_SOFTMAX ? y[i] * (g[i] - s) : g[i] - M(exp)(y[i]) * s;
    return;
  }
  for (int64_t c = 0; c < w; c++) sum[c] = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < w; c++)
      sum[c] += kind == AL_SOFTMAX ? g[i * inner + c] * y[i * inner + c] : g[i * inner + c];
  for (int64_t i = 0; i < n; i++) {
#pragma omp simd
    for (int64_t c = 0; c < w; c++) {
      const int64_t k = i * inner + c;
      gx[k] = kind == AL_SOFTMAX ? y[k] * (g[k] - sum[c]) : g[k] - M(exp)(y[k]) * sum[c];
    }
  }
}

static void AL_S(backward)(int kind, int64_t n, int64_t inner, int64_t begin, int64_t end,
                           const void *py, const void *pg, void *pgx) {
  const real *y = py, *g = pg;
  real *gx = pgx;
  for (int64_t c = begin; c < end; c += BLOCK) {
    const int64_t w = al_min(BLOCK, end - c);
    if (kind == AL_SOFTMAX) AL_S(back)(AL_SOFTMAX, n, inner, w, y + c, g + c, gx + c);
    else AL_S(back)(AL_LOG_SOFTMAX, n, inner, w, y + c, g + c, gx + c);
  }
}
#undef AL_REAL
#endif
