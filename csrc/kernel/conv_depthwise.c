// Depthwise convolution, one channel in and one out a group: c = k = groups. There is no sum
// over channels to feed a matrix product, so each plane is convolved directly from its window
// (window.h), every tap being a shifted vector load.
#ifndef AL_REAL
#include <omp.h>

#include "../core/memory.h"
#include "conv_parts.h"
#include "window.h"

enum { PLANE = 8 << 10 }; // pixels of a chunk, at most about

#define AL_REAL 32
#include "conv_depthwise.c"
#define AL_REAL 64
#include "conv_depthwise.c"
#else

#include "real.h"
#include "window.h"

enum { AL_S(RUN) = 4, AL_S(TAPS) = 9 }; // vectors summed side by side; taps summed together

// One chunk of output: y[p] = bias + sum over t of w[t] v[off[t] + p], row by row, vectors of
// several rows side by side. y is the chunk's first output, `depth` and `row` its steps.
static void AL_S(plane)(const window *win, const chunk *c, const real *v, const int64_t *off,
                        const real *w, int64_t taps, real bias, real *y, int64_t depth,
                        int64_t row) {
  int64_t wide = al_ceil_div(c->len[2], LANES), all = c->len[0] * c->len[1] * wide;
  int64_t d = 0, h = 0, x = 0;
  for (int64_t i = 0; i < all; i += AL_S(RUN)) {
    const real *from[AL_S(RUN)];
    real *to[AL_S(RUN)];
    int64_t n[AL_S(RUN)];
    for (int j = 0; j < AL_S(RUN); j++) {
      from[j] = v + (d * win->size[1] + h) * win->size[2] + x;
      to[j] = y + d * depth + h * row + x;
      n[j] = i + j < all ? al_min(LANES, c->len[2] - x) : 0;
      if (i + j + 1 < all && (x += LANES) >= c->len[2]) {
        x = 0;
        if (++h == c->len[1]) h = 0, d++;
      }
    }
    rvec acc[AL_S(RUN)];
    AL_UNROLL
    for (int j = 0; j < AL_S(RUN); j++) acc[j] = AL_S(splat)(bias);
    for (int64_t t = 0; t < taps; t++) {
      rvec a = AL_S(splat)(w[t]);
      AL_UNROLL
      for (int j = 0; j < AL_S(RUN); j++) acc[j] += a * AL_S(load)(from[j] + off[t]);
    }
    AL_UNROLL
    for (int j = 0; j < AL_S(RUN); j++)
      if (n[j] == LANES) AL_S(store)(to[j], acc[j]);
      else AL_S(store_part)(to[j], n[j], acc[j]);
  }
}

// Forward, and the gradient in the input of stride 1, alike: one pass over all planes.
static int AL_S(pass)(const al_conv *cv, const axis *ax, const real *src, const real *w,
                      const real *bias, real *dst) {
  window win;
  int64_t taps = al_volume(cv->ker);
  int64_t *table = al_alloc((size_t)(al_window_table(ax) + 2 * taps) * sizeof *table);
  if (!table) return -1;
  int64_t *off = table, *tap = table + taps;
  al_window_init(&win, ax, 0, table + 2 * taps);
  al_window_cut(&win, PLANE);
  int64_t threads = omp_get_max_threads();
  int64_t room = al_round_up(win.plane + taps + LANES, 64);
  real *own = al_alloc((size_t)(threads * room) * sizeof *own);
  if (!own) return al_release(table), -1;
  for (int64_t t = 0; t < taps; t++)
    off[t] = al_window_offset(&win, t), tap[t] = al_window_tap(&win, t);
  int64_t from = ax[0].src * ax[1].src * ax[2].src, to = ax[0].dst * ax[1].dst * ax[2].dst;
  int64_t chunks = win.chunks[0] * win.chunks[1] * win.chunks[2];
#pragma omp parallel
  {
    real *wt = own + omp_get_thread_num() * room, *v = wt + taps;
    memset(wt, 0, (size_t)room * sizeof *wt);
    chunk c = al_window_chunk(&win, 0);
#pragma omp for schedule(static)
    for (int64_t q = 0; q < cv->n * cv->groups; q++) {
      int64_t k = q % cv->groups;
      for (int64_t t = 0; t < taps; t++) wt[t] = w[k * taps + tap[t]];
      for (int64_t b = 0; b < chunks; b++) {
        if (chunks > 1) c = al_window_chunk(&win, b);
        AL_S(window_fill)(&win, &c, src + q * from, v);
        real *y = dst + q * to + (c.at[0] * ax[1].dst + c.at[1]) * ax[2].dst + c.at[2];
        AL_S(plane)
        (&win, &c, v, off, wt, taps, bias ? bias[k] : 0, y, ax[1].dst * ax[2].dst, ax[2].dst);
      }
    }
  }
  al_release(own), al_release(table);
  return 0;
}

int AL_R(al_conv_depthwise_forward)(const al_conv *cv, const real *x, const real *w,
                                    const real *b, real *y) {
  axis ax[3] = {al_axis_forward(cv, 0), al_axis_forward(cv, 1), al_axis_forward(cv, 2)};
  return AL_S(pass)(cv, ax, x, w, b, y);
}

int AL_R(al_conv_depthwise_input)(const al_conv *cv, const real *gy, const real *w, real *gx) {
  axis ax[3] = {al_axis_input(cv, 0, 0), al_axis_input(cv, 1, 0), al_axis_input(cv, 2, 0)};
  return AL_S(pass)(cv, ax, gy, w, NULL, gx);
}

// acc[t] += sum over x < n of g[x] v[off[t] + x], for TAPS taps.
AL_INLINE void AL_S(dot)(const real *g, const real *v, const int64_t *off, int64_t n,
                         rvec acc[AL_S(TAPS)]) {
  int64_t x = 0;
  for (; x + LANES <= n; x += LANES) {
    rvec a = AL_S(load)(g + x);
    AL_UNROLL
    for (int t = 0; t < AL_S(TAPS); t++) acc[t] += a * AL_S(load)(v + off[t] + x);
  }
  if (x == n) return;
  ivec lane, none = {0};
  for (int i = 0; i < (int)LANES; i++) lane[i] = i;
  ivec mask =
      lane < (ireal)(n - x); // what lies past the row must not meet a zero: it may be infinite
  rvec a = AL_S(load_part)(g + x, 0, n - x);
  AL_UNROLL
  for (int t = 0; t < AL_S(TAPS); t++)
    acc[t] += a * AL_S(choose)(mask, AL_S(load)(v + off[t] + x), (rvec)none);
}

// The same over a chunk, added to sums (TAPS vectors). gy is its plane.
static void AL_S(dots)(const window *win, const chunk *c, const real *gy, const real *v,
                       const int64_t *off, real *sums) {
  const axis *ax = win->ax;
  rvec acc[AL_S(TAPS)];
  AL_UNROLL
  for (int t = 0; t < AL_S(TAPS); t++) acc[t] = AL_S(load)(sums + t * LANES);
  for (int64_t d = 0; d < c->len[0]; d++)
    for (int64_t h = 0; h < c->len[1]; h++) {
      const real *g = gy + ((c->at[0] + d) * ax[1].grid + c->at[1] + h) * ax[2].grid + c->at[2];
      AL_S(dot)(g, v + (d * win->size[1] + h) * win->size[2], off, c->len[2], acc);
    }
  AL_UNROLL
  for (int t = 0; t < AL_S(TAPS); t++) AL_S(store)(sums + t * LANES, acc[t]);
}

int AL_R(al_conv_depthwise_weight)(const al_conv *cv, const real *x, const real *gy, real *gw) {
  window win;
  axis ax[3] = {al_axis_forward(cv, 0), al_axis_forward(cv, 1), al_axis_forward(cv, 2)};
  int64_t taps = al_volume(cv->ker), padded = al_round_up(taps, AL_S(TAPS));
  int64_t *table = al_alloc((size_t)(al_window_table(ax) + padded) * sizeof *table),
          *off = table;
  if (!table) return -1;
  al_window_init(&win, ax, 0, table + padded);
  al_window_cut(&win, PLANE);
  int64_t threads = omp_get_max_threads(), lead = al_round_up(padded * LANES, 64);
  int64_t room = lead + al_round_up(win.plane + LANES, 64);
  real *own = al_alloc((size_t)(threads * room) * sizeof *own);
  if (!own) return al_release(table), -1;
  for (int64_t t = 0; t < padded; t++) off[t] = al_window_offset(&win, al_min(t, taps - 1));
  int64_t from = al_volume(cv->in), to = al_volume(cv->out);
  int64_t chunks = win.chunks[0] * win.chunks[1] * win.chunks[2];
#pragma omp parallel for schedule(static)
  for (int64_t k = 0; k < cv->groups; k++) {
    real *sums = own + omp_get_thread_num() * room, *v = sums + lead; // a vector a tap
    memset(sums, 0, (size_t)lead * sizeof *sums);
    chunk c = al_window_chunk(&win, 0);
    for (int64_t q = k; q < cv->n * cv->groups; q += cv->groups)
      for (int64_t b = 0; b < chunks; b++) {
        if (chunks > 1) c = al_window_chunk(&win, b);
        AL_S(window_fill)(&win, &c, x + q * from, v);
        for (int64_t t = 0; t < taps; t += AL_S(TAPS))
          AL_S(dots)(&win, &c, gy + q * to, v, off + t, sums + t * LANES);
      }
    for (int64_t t = 0; t < taps; t++) {
      real sum = 0;
      for (int i = 0; i < (int)LANES; i++) sum += sums[t * LANES + i];
      gw[k * taps + t] = sum;
    }
  }
  al_release(own), al_release(table);
  return 0;
}

#undef AL_REAL
#endif
