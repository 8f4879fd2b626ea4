// Max and average pooling, plane by plane.
#ifndef AL_REAL
#include "pool.h"

#include <math.h>
#include <string.h>

#include "kernel.h"

static int64_t volume(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

// The taps t0 <= t < t1 of output o that fall inside x along axis i.
typedef struct span {
  int64_t at, t0, t1;  // tap t reads at + t * dil
} span;

static span span_of(const al_pool *p, int i, int64_t o) {
  int64_t at = o * p->stride[i] - p->pad[i], dil = p->dil[i];
  int64_t t0 = at < 0 ? al_min(p->ker[i], (-at + dil - 1) / dil) : 0;
  int64_t t1 = at >= p->in[i] ? t0 : al_min(p->ker[i], (p->in[i] - at + dil - 1) / dil);
  return (span){ at, t0, al_max(t0, t1) };
}

// What an average divides by along axis i; the divisor is the product over the axes.
static int64_t divisor(const al_pool *p, int i, span s) {
  if (!p->count_include_pad) return s.t1 - s.t0;
  int64_t room = p->in[i] + p->pad[i] - s.at;  // places up to the end of the padding
  return al_min(p->ker[i], al_max(0, (room + p->dil[i] - 1) / p->dil[i]));
}

#define AL_REAL 32
#include "pool.c"
#define AL_REAL 64
#include "pool.c"

const al_pool_kernels AL_K(al_pool) = {
  max_forward_f32,  max_backward_f32, avg_forward_f32,  avg_backward_f32,
  max_forward_f64,  max_backward_f64, avg_forward_f64,  avg_backward_f64,
};

#else
#include "real.h"

// The maximum of one window, and where.
AL_INLINE real AL_S(max_window)(const al_pool *p, const real *x, span d, span h, span w, int64_t *at) {
  real best = -(real)INFINITY;
  int64_t where = -1;
  for (int64_t i = d.t0; i < d.t1; i++)
    for (int64_t j = h.t0; j < h.t1; j++)
      for (int64_t k = w.t0; k < w.t1; k++) {
        int64_t u = ((d.at + i * p->dil[0]) * p->in[1] + h.at + j * p->dil[1]) * p->in[2] + w.at +
                    k * p->dil[2];
        if (where < 0 || x[u] > best || (x[u] != x[u] && best == best)) best = x[u], where = u;
      }
  *at = where;
  return best;
}

static void AL_S(max_forward)(const al_pool *p, const real *x, real *y, int32_t *at) {
  int64_t in = volume(p->in), out = volume(p->out);
#pragma omp parallel for schedule(static)
  for (int64_t q = 0; q < p->planes; q++) {
    int64_t o = q * out;
    for (int64_t i = 0; i < p->out[0]; i++)
      for (int64_t j = 0; j < p->out[1]; j++) {
        span d = span_of(p, 0, i), h = span_of(p, 1, j);
        for (int64_t k = 0; k < p->out[2]; k++, o++) {
          int64_t where;
          y[o] = AL_S(max_window)(p, x + q * in, d, h, span_of(p, 2, k), &where);
          if (at) at[o] = (int32_t)where;
        }
      }
  }
}

static void AL_S(max_backward)(const al_pool *p, const real *gy, const int32_t *at, real *gx) {
  int64_t in = volume(p->in), out = volume(p->out);
#pragma omp parallel for schedule(static)
  for (int64_t q = 0; q < p->planes; q++) {
    memset(gx + q * in, 0, (size_t)in * sizeof *gx);
    for (int64_t o = q * out; o < (q + 1) * out; o++)
      if (at[o] >= 0) gx[q * in + at[o]] += gy[o];
  }
}

// Average forward (y from x) and backward (gx from gy) walk the same windows.
AL_INLINE void AL_S(avg)(const al_pool *p, const real *x, real *y, const real *gy, real *gx) {
  int64_t in = volume(p->in), out = volume(p->out);
#pragma omp parallel for schedule(static)
  for (int64_t q = 0; q < p->planes; q++) {
    int64_t o = q * out;
    if (gx) memset(gx + q * in, 0, (size_t)in * sizeof *gx);
    for (int64_t i = 0; i < p->out[0]; i++)
      for (int64_t j = 0; j < p->out[1]; j++) {
        span d = span_of(p, 0, i), h = span_of(p, 1, j);
        int64_t part = divisor(p, 0, d) * divisor(p, 1, h);
        for (int64_t k = 0; k < p->out[2]; k++, o++) {
          span w = span_of(p, 2, k);
          int64_t count = part * divisor(p, 2, w);
          real sum = 0, share = gx && count ? gy[o] / (real)count : 0;
          for (int64_t a = d.t0; a < d.t1; a++)
            for (int64_t b = h.t0; b < h.t1; b++) {
              int64_t row = ((d.at + a * p->dil[0]) * p->in[1] + h.at + b * p->dil[1]) * p->in[2];
              for (int64_t c = w.t0; c < w.t1; c++) {
                int64_t u = q * in + row + w.at + c * p->dil[2];
                if (gx) gx[u] += share;
                else sum += x[u];
              }
            }
          if (!gx) y[o] = count ? sum / (real)count : 0;
        }
      }
  }
}

static void AL_S(avg_forward)(const al_pool *p, const real *x, real *y) { AL_S(avg)(p, x, y, NULL, NULL); }

static void AL_S(avg_backward)(const al_pool *p, const real *gy, real *gx) {
  AL_S(avg)(p, NULL, NULL, gy, gx);
}

#undef AL_REAL
#endif
