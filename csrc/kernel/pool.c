// Max and average pooling, separably: a row of outputs first reduces its input rows, column by
// column, into one row of workspace, then reduces that row along its width. Both steps are
// vectors over contiguous columns: with stride s the row is kept as s phases, column u in phase
// u mod s at u / s, in which every tap of the window is a constant displacement.
//
// The maximum carries the winner's index along; of equal values the lowest index wins in both
// steps, which is the first in the window's own order.
#ifndef AL_REAL
#include "pool.h"

#include <limits.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "../core/memory.h"
#include "kernel.h"

static int64_t volume(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

// The taps t0 <= t < t1 of output o that fall inside x along axis i; tap t reads at + t * dil.
typedef struct span {
  int64_t at, t0, t1;
} span;

static span span_of(const al_pool *p, int i, int64_t o) {
  int64_t at = o * p->stride[i] - p->pad[i], dil = p->dil[i];
  int64_t t0 = at < 0 ? al_min(p->ker[i], (-at + dil - 1) / dil) : 0;
  int64_t t1 = at >= p->in[i] ? t0 : al_min(p->ker[i], (p->in[i] - at + dil - 1) / dil);
  return (span){at, t0, al_max(t0, t1)};
}

// What an average divides by along axis i; the divisor is the product over the axes.
static int64_t divisor(const al_pool *p, int i, int64_t o) {
  span s = span_of(p, i, o);
  if (!p->count_include_pad) return s.t1 - s.t0;
  int64_t room = p->in[i] + p->pad[i] - s.at; // places up to the end of the padding
  return al_min(p->ker[i], al_max(0, (room + p->dil[i] - 1) / p->dil[i]));
}

// The row in phases: columns -pad .. in + after, `len` places in each of `stride` phases.
typedef struct phases {
  int64_t len, width; // width = stride * len columns, the first at -pad
} phases;

static phases phases_of(const al_pool *p, int64_t lanes) {
  int64_t reach = (p->ker[2] - 1) * p->dil[2] / p->stride[2] + 1;
  int64_t len = al_max(p->out[2], al_ceil_div(p->pad[2] + p->in[2], p->stride[2])) + reach;
  len = al_round_up(len + lanes, lanes);
  return (phases){len, len * p->stride[2]};
}

#define AL_REAL 32
#include "pool.c"
#define AL_REAL 64
#include "pool.c"

const al_pool_kernels AL_K(al_pool) = {
    max_forward_f32, max_backward_f32, avg_forward_f32, avg_backward_f32,
    max_forward_f64, max_backward_f64, avg_forward_f64, avg_backward_f64,
};

#else
#include "real.h"

// from[u] for u < n to phases: to[(u + pad) mod s][(u + pad) / s].
AL_INLINE void AL_S(split)(const al_pool *p, phases f, const void *from, void *to) {
  const ireal *a = from;
  ireal *b = to;
  int64_t s = p->stride[2], pad = p->pad[2], n = p->in[2];
  for (int64_t r = 0; r < s; r++) {
    int64_t first = ((r - pad) % s + s) % s; // the first column of the phase
    ireal *d = b + r * f.len + (first + pad) / s;
    if (s == 2)
      for (int64_t u = first; u < n; u += 2) *d++ = a[u];
    else
      for (int64_t u = first; u < n; u += s) *d++ = a[u];
  }
}

// One more row x of the window, whose first element has index `base`, into the best so far.
AL_INLINE void AL_S(max_row)(const real *x, int64_t n, ireal base, bool index, real *best,
                             ireal *at) {
  int64_t u = 0;
  for (; u + LANES <= n; u += LANES) {
    rvec v = AL_S(load)(x + u), b = AL_S(load)(best + u);
    ivec win = (v > b) | ((v != v) & (b == b));
    AL_S(store)(best + u, AL_S(choose)(win, v, b));
    if (!index) continue;
    ivec here = {0}, old;
    for (int i = 0; i < (int)LANES; i++) here[i] = base + (ireal)u + i;
    memcpy(&old, at + u, sizeof old);
    old = AL_S(choose_int)(win, here, old);
    memcpy(at + u, &old, sizeof old);
  }
  for (; u < n; u++)
    if (x[u] > best[u] || (x[u] != x[u] && best[u] == best[u]))
      best[u] = x[u], at[u] = base + (ireal)u;
}

// y[o] = the best of the phases' taps of output o, o < out; rows of phases are padded with
// -inf.
AL_INLINE void AL_S(max_width)(const al_pool *p, phases f, const real *best, const ireal *at,
                               bool index, real *y, int32_t *where) {
  int64_t s = p->stride[2], n = p->out[2];
  for (int64_t o = 0; o < n; o += LANES) {
    rvec b = AL_S(load)(best + o);
    ivec w = {0};
    if (index) memcpy(&w, at + o, sizeof w);
    for (int64_t t = 1; t < p->ker[2]; t++) {
      int64_t u = t * p->dil[2], place = u % s * f.len + u / s + o;
      rvec v = AL_S(load)(best + place);
      ivec win = (v > b) | ((v != v) & (b == b));
      if (index) {
        ivec i;
        memcpy(&i, at + place, sizeof i);
        win |= ((v == b) | ((v != v) & (b != b))) & (i < w);
        w = AL_S(choose_int)(win, i, w);
      }
      b = AL_S(choose)(win, v, b);
    }
    if (o + LANES <= n) AL_S(store)(y + o, b);
    else
      for (int64_t i = o; i < n; i++) y[i] = b[i - o];
    if (index)
      for (int64_t i = 0; i < al_min(LANES, n - o); i++)
        where[o + i] = w[i] == INT_MAX ? -1 : (int32_t)w[i];
  }
}

// All rows of plane q at output depth i.
AL_INLINE void AL_S(max_slice)(const al_pool *p, phases f, const real *x, int64_t q, int64_t i,
                               bool index, real *y, int32_t *where, real *room) {
  int64_t n = p->in[2], rest = al_round_up(n, LANES);
  real *best = room, *split = room + rest;
  ireal *at = (ireal *)(split + f.width), *split_at = at + rest;
  for (int64_t u = 0; u < f.width; u++) split[u] = -(real)INFINITY, split_at[u] = INT_MAX;
  span d = span_of(p, 0, i);
  for (int64_t j = 0; j < p->out[1]; j++) {
    span h = span_of(p, 1, j);
    bool first = true;
    for (int64_t a = d.t0; a < d.t1; a++)
      for (int64_t b = h.t0; b < h.t1; b++, first = false) {
        int64_t row = ((d.at + a * p->dil[0]) * p->in[1] + h.at + b * p->dil[1]) * n;
        const real *s = x + q * volume(p->in) + row;
        if (!first) {
          AL_S(max_row)(s, n, (ireal)row, index, best, at);
          continue;
        }
        memcpy(best, s, (size_t)n * sizeof *best);
        if (index)
          for (int64_t u = 0; u < n; u++) at[u] = (ireal)(row + u);
      }
    if (first)
      for (int64_t u = 0; u < n; u++) best[u] = -(real)INFINITY, at[u] = INT_MAX;
    AL_S(split)(p, f, best, split);
    if (index) AL_S(split)(p, f, at, split_at);
    int64_t o = ((q * p->out[0] + i) * p->out[1] + j) * p->out[2];
    AL_S(max_width)(p, f, split, split_at, index, y + o, where + o);
  }
}

static int AL_S(max_forward)(const al_pool *p, const real *x, real *y, int32_t *at) {
  phases f = phases_of(p, LANES);
  int64_t each = al_round_up(2 * (al_round_up(p->in[2], LANES) + f.width), 64);
  real *room = al_alloc((size_t)(omp_get_max_threads() * each) * sizeof *room);
  if (!room) return -1;
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t q = 0; q < p->planes; q++)
    for (int64_t i = 0; i < p->out[0]; i++) {
      real *own = room + omp_get_thread_num() * each;
      if (at) AL_S(max_slice)(p, f, x, q, i, true, y, at, own);
      else AL_S(max_slice)(p, f, x, q, i, false, y, (int32_t *)own, own);
    }
  al_release(room);
  return 0;
}

static int AL_S(max_backward)(const al_pool *p, const real *gy, const int32_t *at, real *gx) {
  int64_t in = volume(p->in), out = volume(p->out);
#pragma omp parallel for schedule(static)
  for (int64_t q = 0; q < p->planes; q++) {
    memset(gx + q * in, 0, (size_t)in * sizeof *gx);
    for (int64_t o = q * out; o < (q + 1) * out; o++)
      if (at[o] >= 0) gx[q * in + at[o]] += gy[o];
  }
  return 0;
}

AL_INLINE void AL_S(add_row)(real *sum, const real *x, int64_t n) {
  int64_t u = 0;
  for (; u + LANES <= n; u += LANES)
    AL_S(store)(sum + u, AL_S(load)(sum + u) + AL_S(load)(x + u));
  for (; u < n; u++) sum[u] += x[u];
}

static void AL_S(avg_slice)(const al_pool *p, phases f, const real *x, int64_t q, int64_t i,
                            real *y, const real *count, real *sum) {
  int64_t n = p->in[2], s = p->stride[2];
  real *split = sum + al_round_up(n, LANES);
  memset(split, 0, (size_t)f.width * sizeof *split);
  span d = span_of(p, 0, i);
  for (int64_t j = 0; j < p->out[1]; j++) {
    span h = span_of(p, 1, j);
    real part = (real)(divisor(p, 0, i) * divisor(p, 1, j));
    memset(sum, 0, (size_t)n * sizeof *sum);
    for (int64_t a = d.t0; a < d.t1; a++)
      for (int64_t b = h.t0; b < h.t1; b++) {
        int64_t row = ((d.at + a * p->dil[0]) * p->in[1] + h.at + b * p->dil[1]) * n;
        AL_S(add_row)(sum, x + q * volume(p->in) + row, n);
      }
    AL_S(split)(p, f, sum, split);
    real *to = y + ((q * p->out[0] + i) * p->out[1] + j) * p->out[2];
    for (int64_t o = 0; o < p->out[2]; o += LANES) {
      rvec v = AL_S(load)(split + o);
      for (int64_t t = 1; t < p->ker[2]; t++) {
        int64_t u = t * p->dil[2];
        v += AL_S(load)(split + u % s * f.len + u / s + o);
      }
      for (int k = 0; k < (int)LANES; k++) // count is padded with ones
        v[k] = part * count[o + k] > 0 ? v[k] / (part * count[o + k]) : 0;
      if (o + LANES <= p->out[2]) AL_S(store)(to + o, v);
      else
        for (int64_t k = o; k < p->out[2]; k++) to[k] = v[k - o];
    }
  }
}

// Row (i, j) of gx gathers the shares of the output rows whose windows cover it, then spreads
// them along the width.
static void AL_S(avg_back_slice)(const al_pool *p, phases f, const real *gy, int64_t q,
                                 int64_t i, real *gx, const real *count, real *sum) {
  int64_t n = p->out[2], s = p->stride[2], pad = p->pad[2];
  real *split = sum + al_round_up(n, LANES);
  for (int64_t j = 0; j < p->in[1]; j++) {
    memset(sum, 0, (size_t)al_round_up(n, LANES) * sizeof *sum);
    for (int64_t a = 0; a < p->ker[0]; a++)
      for (int64_t b = 0; b < p->ker[1]; b++) {
        int64_t d = i + p->pad[0] - a * p->dil[0], h = j + p->pad[1] - b * p->dil[1];
        if (d < 0 || h < 0 || d % p->stride[0] || h % p->stride[1]) continue;
        d /= p->stride[0], h /= p->stride[1];
        if (d >= p->out[0] || h >= p->out[1]) continue;
        real part = (real)(divisor(p, 0, d) * divisor(p, 1, h));
        const real *g = gy + ((q * p->out[0] + d) * p->out[1] + h) * n;
        for (int64_t o = 0; o < n; o++)
          sum[o] += part * count[o] > 0 ? g[o] / (part * count[o]) : 0;
      }
    memset(split, 0, (size_t)f.width * sizeof *split);
    for (int64_t t = 0; t < p->ker[2]; t++) {
      int64_t u = t * p->dil[2];
      AL_S(add_row)(split + u % s * f.len + u / s, sum, n);
    }
    real *to = gx + ((q * p->in[0] + i) * p->in[1] + j) * p->in[2];
    for (int64_t r = 0; r < s; r++) {
      int64_t first = ((r - pad) % s + s) % s;
      const real *from = split + r * f.len + (first + pad) / s;
      if (s == 2)
        for (int64_t u = first; u < p->in[2]; u += 2) to[u] = *from++;
      else
        for (int64_t u = first; u < p->in[2]; u += s) to[u] = *from++;
    }
  }
}

// Average forward (from x to y) or backward (from gy to gx).
static int AL_S(avg)(const al_pool *p, const real *from, real *to, bool back) {
  phases f = phases_of(p, LANES);
  int64_t wide = al_round_up(p->out[2], LANES), threads = omp_get_max_threads();
  int64_t each = al_round_up(al_round_up(al_max(p->in[2], p->out[2]), LANES) + f.width, 64);
  real *count = al_alloc((size_t)(wide + threads * each) * sizeof *count), *room = count + wide;
  if (!count) return -1;
  for (int64_t o = 0; o < wide; o++) count[o] = o < p->out[2] ? (real)divisor(p, 2, o) : 1;
  int64_t slices = back ? p->in[0] : p->out[0];
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t q = 0; q < p->planes; q++)
    for (int64_t i = 0; i < slices; i++) {
      real *own = room + omp_get_thread_num() * each;
      if (back) AL_S(avg_back_slice)(p, f, from, q, i, to, count, own);
      else AL_S(avg_slice)(p, f, from, q, i, to, count, own);
    }
  al_release(count);
  return 0;
}

static int AL_S(avg_forward)(const al_pool *p, const real *x, real *y) {
  return AL_S(avg)(p, x, y, false);
}

static int AL_S(avg_backward)(const al_pool *p, const real *gy, real *gx) {
  return AL_S(avg)(p, gy, gx, true);
}

#undef AL_REAL
#endif
