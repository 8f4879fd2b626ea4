// The window of a convolution pass: which source elements a box of output pixels reads, copied
// once, padded with zeros and sorted by stride phase, into a small buffer in which every tap of
// the kernel is a constant displacement. This is an im2col without the copies: the register
// tile reads it in place.
//
// One pass computes dst[m][p] = sum over c, t of w[m][c][t] src[c][u(p, t)] on a grid of pixels
// p. Along each axis tap j of pixel o reads u = o * step + base + j * delta. A forward
// convolution has step = stride, base = -pad, delta = dil; a gradient in the input is one pass
// per residue of the input position modulo the stride, with step = 1 (conv_gemm.c).
//
// Along an axis write u - low = o * step + e_j, low being the least of base + j * delta. The
// element lies in phase e_j mod step, at place o + e_j / step of it. Only phases that some tap
// uses are stored. A copied axis stores a phase of its own for each tap, all at place o: more
// to fill, but rows are as wide as the box and follow each other without a gap.
#ifndef AL_KERNEL_WINDOW_H
#define AL_KERNEL_WINDOW_H

#include "conv.h"
#include "kernel.h"

typedef struct axis {
  int64_t src;                // extent of the source
  int64_t grid;               // pixels computed
  int64_t step, base, delta;  // u = o * step + base + j * delta
  int64_t taps;               // j < taps
  int64_t tap0, tap_step;     // tap j is the weight's tap0 + j * tap_step
  int64_t dst, first, stride; // pixel o is written at first + o * stride of an extent dst
  int64_t ker;                // extent of the weight
} axis;

typedef struct window {
  axis ax[3];
  int64_t low[3];    // least displacement
  int64_t reach[3];  // the largest place a tap adds
  int64_t phases[3]; // phases stored
  int64_t *place[3]; // (taps) e_j / step
  int64_t *slot[3];  // (taps) which stored phase
  int64_t *phase[3]; // (phases) e mod step of a stored phase
  int64_t box[3];    // pixels of a chunk along each axis, at most
  int64_t size[3];   // places stored along each axis: box + reach
  int64_t plane;     // elements of one channel's window
  int64_t chunks[3]; // chunks along each axis
  int64_t taps;      // all taps
  int64_t deep;      // elements of the source from one place of axis 0 to the next
  int64_t ahead;     // elements from what is copied to what to prefetch, or 0
} window;

// Axis i of a forward pass.
static inline axis al_axis_forward(const al_conv *cv, int i) {
  return (axis){.src = cv->in[i],
                .grid = cv->out[i],
                .step = cv->stride[i],
                .base = -cv->pad[i],
                .delta = cv->dil[i],
                .taps = cv->ker[i],
                .tap0 = 0,
                .tap_step = 1,
                .dst = cv->out[i],
                .first = 0,
                .stride = 1,
                .ker = cv->ker[i]};
}

static inline int64_t al_gcd(int64_t a, int64_t b) { return b ? al_gcd(b, a % b) : a; }

// The grid of positions p with (p + pad) mod stride = residue, and the taps that reach it:
// those with t * dil = residue mod stride, an arithmetic progression.
static inline axis al_axis_input(const al_conv *cv, int i, int64_t residue) {
  int64_t s = cv->stride[i], dil = cv->dil[i], pad = cv->pad[i], g = al_gcd(s, dil);
  int64_t first = ((residue - pad) % s + s) % s, t0 = 0;
  while (t0 < s && t0 * dil % s != residue) t0++;
  axis a = {.src = cv->out[i],
            .step = 1,
            .dst = cv->in[i],
            .first = first,
            .stride = s,
            .ker = cv->ker[i],
            .tap0 = t0,
            .tap_step = s / g,
            .delta = -dil / g};
  a.grid = first < cv->in[i] ? (cv->in[i] - first + s - 1) / s : 0;
  a.taps = t0 < s && t0 < cv->ker[i] ? (cv->ker[i] - t0 + a.tap_step - 1) / a.tap_step : 0;
  a.base = (first + pad - t0 * dil) / s;
  return a;
}

// A 1x1 convolution of stride 1 sees no geometry: its axes from `first` on join into one.
static inline void al_axis_join(axis *a, int first) {
  int64_t all = 1;
  for (int i = first; i < 3; i++) {
    all *= a[i].grid;
    if (a[i].taps != 1 || a[i].ker != 1 || a[i].step != 1 || a[i].base ||
        a[i].src != a[i].grid || a[i].stride != 1 || a[i].dst != a[i].grid)
      return;
  }
  a[2].src = a[2].grid = a[2].dst = all;
  for (int i = first; i < 2; i++) a[i].src = a[i].grid = a[i].dst = 1;
}

// Numbers that al_window_init needs for its tables.
static inline int64_t al_window_table(const axis *ax) {
  return 3 * (ax[0].taps + ax[1].taps + ax[2].taps);
}

// Describes the window over three axes, the last `copied` of which are copied; `table` holds
// al_window_table(ax) numbers and outlives it.
static inline void al_window_init(window *w, const axis *ax, int copied, int64_t *table) {
  w->taps = ax[0].taps * ax[1].taps * ax[2].taps;
  w->deep = ax[1].src * ax[2].src, w->ahead = 0;
  for (int i = 0; i < 3; i++) {
    const axis *a = &ax[i];
    int64_t step = i < 3 - copied ? a->step : INT64_MAX;
    w->ax[i] = *a;
    w->place[i] = table, w->slot[i] = table + a->taps, w->phase[i] = table + 2 * a->taps;
    table += 3 * a->taps;
    w->low[i] = a->base + al_min(0, (a->taps - 1) * a->delta);
    w->reach[i] = w->phases[i] = 0;
    for (int64_t j = 0; j < a->taps; j++) {
      int64_t e = a->base + j * a->delta - w->low[i], s = 0;
      w->place[i][j] = e / step;
      w->reach[i] = al_max(w->reach[i], e / step);
      while (s < w->phases[i] && w->phase[i][s] != e % step) s++;
      if (s == w->phases[i]) w->phase[i][w->phases[i]++] = e % step;
      w->slot[i][j] = s;
    }
  }
}

// Cuts the grid into boxes of about `pixels` pixels, as even as can be, whole rows first.
static inline void al_window_cut(window *w, int64_t pixels) {
  for (int i = 2; i >= 0; i--) {
    int64_t grid = w->ax[i].grid;
    w->chunks[i] = al_ceil_div(grid, al_min(grid, al_max(1, pixels)));
    w->box[i] = al_ceil_div(grid, w->chunks[i]);
    w->chunks[i] = al_ceil_div(grid, w->box[i]);
    pixels = w->chunks[i] > 1 ? 1 : pixels / w->box[i];
  }
  w->plane = 1;
  for (int i = 0; i < 3; i++) {
    w->size[i] = w->box[i] + w->reach[i];
    w->plane *= w->phases[i] * w->size[i];
  }
}

// Where the chunk's pixel 0 finds the element at `place` of the phases `slot`: phases of d,
// then of h, then of w, are outermost.
static inline int64_t al_window_at(const window *w, const int64_t slot[3],
                                   const int64_t place[3]) {
  int64_t s = 0, p = 0;
  for (int i = 0; i < 3; i++) s = s * w->phases[i] + slot[i], p = p * w->size[i] + place[i];
  return s * w->size[0] * w->size[1] * w->size[2] + p;
}

// The same for tap t, numbered over the pass's own taps, w fastest.
static inline int64_t al_window_offset(const window *w, int64_t t) {
  int64_t j[3] = {t / (w->ax[2].taps * w->ax[1].taps), t / w->ax[2].taps % w->ax[1].taps,
                  t % w->ax[2].taps},
          slot[3], place[3];
  for (int i = 0; i < 3; i++) slot[i] = w->slot[i][j[i]], place[i] = w->place[i][j[i]];
  return al_window_at(w, slot, place);
}

// The weight's own number of tap t of the pass.
static inline int64_t al_window_tap(const window *w, int64_t t) {
  const axis *a = w->ax;
  int64_t d = t / (a[2].taps * a[1].taps), h = t / a[2].taps % a[1].taps, x = t % a[2].taps;
  int64_t p = (a[0].tap0 + d * a[0].tap_step) * a[1].ker + a[1].tap0 + h * a[1].tap_step;
  return p * a[2].ker + a[2].tap0 + x * a[2].tap_step;
}

// A chunk: its first pixel and its extent along each axis.
typedef struct chunk {
  int64_t at[3], len[3];
} chunk;

static inline chunk al_window_chunk(const window *w, int64_t index) {
  chunk c;
  for (int i = 2; i >= 0; i--) {
    c.at[i] = index % w->chunks[i] * w->box[i];
    c.len[i] = al_min(w->box[i], w->ax[i].grid - c.at[i]);
    index /= w->chunks[i];
  }
  return c;
}

#endif

#ifdef AL_REAL // the copying, once per element type
#include "transpose.h"

// One row of a window: d[z] = s[u0 + z * step] for z < size, zero outside 0 <= u < extent.
// Writes whole vectors: up to LANES - 1 numbers past the row, which belong to rows written
// later; the caller leaves that much room after the last.
AL_INLINE void AL_S(window_row)(real *d, const real *s, int64_t size, int64_t u0, int64_t step,
                                int64_t extent) {
  int64_t lo = u0 < 0 ? al_min(size, (-u0 + step - 1) / step) : 0;
  int64_t hi = u0 >= extent ? 0 : al_min(size, (extent - u0 + step - 1) / step);
  int64_t z = 0;
  for (; z < lo; z += LANES) AL_S(store)(d + z, (rvec){0});
  z = lo;
  if (step == 1) {
    for (; z + LANES <= hi; z += LANES) AL_S(store)(d + z, AL_S(load)(s + u0 + z));
    if (z < hi) AL_S(store)(d + z, AL_S(load_part)(s + u0 + z, 0, hi - z)), z += LANES;
  } else if (step == 2) {
    for (; z < hi; z += LANES) {
      const real *p = s + u0 + 2 * z;
      int64_t left = extent - u0 - 2 * z;
      rvec a, b;
      if (left >= 2 * LANES) a = AL_S(load)(p), b = AL_S(load)(p + LANES);
      else {
        a = AL_S(load_part)(p, 0, al_min(LANES, left));
        b = left > LANES ? AL_S(load_part)(p + LANES, 0, left - LANES) : (rvec){0};
      }
      AL_S(store)(d + z, AL_S(evens)(a, b));
    }
  } else
    for (; z < hi; z++) d[z] = s[u0 + z * step];
  for (; z < size; z += LANES) AL_S(store)(d + z, (rvec){0});
}

// Asks for n numbers at s + at, which may lie anywhere.
AL_INLINE void AL_S(window_ahead)(const real *s, int64_t at, int64_t n) {
  uintptr_t p = (uintptr_t)s + (uintptr_t)at * sizeof *s, end = p + (uintptr_t)n * sizeof *s;
  for (; p < end; p += 64) __builtin_prefetch((const void *)p);
}

// Copies the window of one channel for one chunk: d gets w->plane numbers, s is the channel's
// source.
AL_UNUSED static __attribute__((noinline)) void
AL_S(window_fill)(const window *w, const chunk *ch, const real *s, real *d) {
  const axis *a = w->ax;
  int64_t u0[3];
  for (int i = 0; i < 3; i++) u0[i] = w->low[i] + ch->at[i] * a[i].step;
  for (int64_t fd = 0; fd < w->phases[0]; fd++)
    for (int64_t fh = 0; fh < w->phases[1]; fh++)
      for (int64_t fw = 0; fw < w->phases[2]; fw++)
        for (int64_t zd = 0; zd < w->size[0]; zd++) {
          int64_t ud = u0[0] + w->phase[0][fd] + zd * a[0].step;
          for (int64_t zh = 0; zh < w->size[1]; zh++, d += w->size[2]) {
            int64_t uh = u0[1] + w->phase[1][fh] + zh * a[1].step;
            bool inside = ud >= 0 && ud < a[0].src && uh >= 0 && uh < a[1].src;
            int64_t at = ud * w->deep + uh * a[2].src + u0[2];
            if (w->ahead && fw == 0)
              AL_S(window_ahead)(s, at + w->ahead, w->size[2] * a[2].step);
            if (!inside) memset(d, 0, (size_t)w->size[2] * sizeof *d);
            else AL_S(window_row)
            (d, s + ud * w->deep + uh * a[2].src, w->size[2], u0[2] + w->phase[2][fw],
             a[2].step, a[2].src);
          }
        }
}

#endif
