// Softmax, log-softmax, logsumexp and their gradients, along rows or down columns.
#ifndef AL_REAL
#include "reduce.h"
#include "vmath.h"

enum {
  BLOCK = 512,   // columns at a time, at most: maxima and sums stay in the first-level cache
  ROOM = 1 << 16 // bytes of powers that wait for their sum when the result is streamed
};
#define TIMES_SUM(AT) (AT(e) * sum)
#define LESS_SUM(AT) ((AT(x) - top) - sum)

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

// Asks for n elements that are read next, ahead of the pass that would wait for each line.
AL_INLINE void AL_S(ask)(const real *p, int64_t n) {
  for (int64_t i = 0; i < n; i += (int64_t)(64 / sizeof *p)) __builtin_prefetch(p + i, 0, 2);
}

// One row: largest element first, so that no power overflows. NaN reaches every element by the
// sum.
AL_INLINE void AL_S(row)(int kind, int64_t n, const real *x, real *y, real *e, bool stream) {
  real top = -(real)INFINITY, sum = 0;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
  if (kind == AL_SOFTMAX) {
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
      real power = M(exp_below)(x[i] - top);
      e[i] = power;
      sum += power;
    }
    sum = 1 / sum;
    AL_WRITE(y, n, stream, TIMES_SUM);
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
  if (kind == AL_LOG_PARTS) {
    y[0] = top, y[1] = sum;
    return;
  }
  AL_WRITE(y, n, stream, LESS_SUM);
}

// w columns of one (n, inner) matrix; powers into e, whose rows are `le` apart.
AL_INLINE void AL_S(columns)(int kind, int64_t n, int64_t inner, int64_t w, const real *x,
                             real *y, real *e, int64_t le, bool stream) {
  real top[BLOCK], sum[BLOCK];
  for (int64_t c = 0; c < w; c++) top[c] = -(real)INFINITY, sum[c] = 0;
  for (int64_t i = 0; i < n; i++) {
    if (i + 1 < n) AL_S(ask)(x + (i + 1) * inner, w);
    for (int64_t c = 0; c < w; c++)
      top[c] = x[i * inner + c] > top[c] ? x[i * inner + c] : top[c];
  }
  if (kind == AL_SOFTMAX) {
    for (int64_t i = 0; i < n; i++) {
#pragma omp simd
      for (int64_t c = 0; c < w; c++) {
        real power = M(exp_below)(x[i * inner + c] - top[c]);
        e[i * le + c] = power;
        sum[c] += power;
      }
    }
    for (int64_t c = 0; c < w; c++) sum[c] = 1 / sum[c];
#define TIMES_SUMS(AT) (AT(e) * AT(sum))
    for (int64_t k = 0; k < n; k++, y += inner, e += le) AL_WRITE(y, w, stream, TIMES_SUMS);
#undef TIMES_SUMS
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
  if (kind == AL_LOG_PARTS) {
    for (int64_t c = 0; c < w; c++) y[c] = top[c], y[inner + c] = sum[c];
    return;
  }
#define LESS_SUMS(AT) ((AT(x) - AT(top)) - AT(sum))
  for (int64_t k = 0; k < n; k++, y += inner, x += inner) AL_WRITE(y, w, stream, LESS_SUMS);
#undef LESS_SUMS
}

static void AL_S(forward)(int kind, int64_t n, int64_t inner, int64_t begin, int64_t end,
                          const void *px, void *py, bool stream) {
  _Alignas(64) real room[ROOM / sizeof(real)];
  const int64_t fits = (int64_t)(ROOM / sizeof(real)) / al_max(n, 1);
  const real *x = px;
  real *y = py;
  if (inner == 1) {
    // a line that two rows share would leave in two parts
    stream &= n % (int64_t)(64 / sizeof(real)) == 0 && (kind != AL_SOFTMAX || fits > 0);
    if (kind == AL_SOFTMAX) AL_S(row)(AL_SOFTMAX, n, x, y, stream ? room : y, stream);
    else AL_S(row)(kind, n, x, y, NULL, stream);
    return;
  }
  stream &= fits >= 64; // shorter pieces of rows fill too few lines
  const int64_t width = stream ? al_min(BLOCK, fits & -64) : BLOCK;
  for (int64_t c = begin, le = stream ? width : inner; c < end; c += width) {
    real *e = stream ? room : y + c;
    AL_S(columns)(kind, n, inner, al_min(width, end - c), x + c, y + c, e, le, stream);
  }
}

// The kind is known when this is compiled: log_softmax alone takes powers.
AL_INLINE void AL_S(back)(int kind, int64_t n, int64_t inner, int64_t w, const real *y,
                          const real *g, real *gx, bool stream) {
#define BACK_ROW(AT) (AT(y) * (AT(g) - s))
#define BACK_COLUMNS(AT) (AT(y) * (AT(g) - AT(sum)))
  real sum[BLOCK];
  if (inner == 1) {
    real s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) s += kind == AL_SOFTMAX ? g[i] * y[i] : g[i];
    if (kind == AL_SOFTMAX) {
      AL_WRITE(gx, n, stream, BACK_ROW);
      return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) gx[i] = g[i] - M(exp)(y[i]) * s;
    return;
  }
  for (int64_t c = 0; c < w; c++) sum[c] = 0;
  for (int64_t i = 0; i < n; i++) {
    if (i + 1 < n) AL_S(ask)(y + (i + 1) * inner, w), AL_S(ask)(g + (i + 1) * inner, w);
    for (int64_t c = 0; c < w; c++)
      sum[c] += kind == AL_SOFTMAX ? g[i * inner + c] * y[i * inner + c] : g[i * inner + c];
  }
  for (int64_t k = 0; k < n; k++, y += inner, g += inner, gx += inner) {
    if (kind == AL_SOFTMAX) {
      AL_WRITE(gx, w, stream, BACK_COLUMNS);
      continue;
    }
#pragma omp simd
    for (int64_t c = 0; c < w; c++) gx[c] = g[c] - M(exp)(y[c]) * sum[c];
  }
#undef BACK_ROW
#undef BACK_COLUMNS
}

static void AL_S(backward)(int kind, int64_t n, int64_t inner, int64_t begin, int64_t end,
                           const void *py, const void *pg, void *pgx, bool stream) {
  const real *y = py, *g = pg;
  real *gx = pgx;
  for (int64_t c = begin; c < end; c += BLOCK) {
    const int64_t w = al_min(BLOCK, end - c);
    if (kind == AL_SOFTMAX) AL_S(back)(AL_SOFTMAX, n, inner, w, y + c, g + c, gx + c, stream);
    else AL_S(back)(AL_LOG_SOFTMAX, n, inner, w, y + c, g + c, gx + c, false);
  }
}
#undef AL_REAL
#endif
