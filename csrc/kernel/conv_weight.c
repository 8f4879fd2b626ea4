// The gradient in the weights of any convolution,
//   gw[k][c][t] = sum over images and pixels q of gy[k][q] x[c][q * stride + t * dil - pad].
//
// The sum over pixels is long and the result small, so pixels are cut in chunks, chunks dealt
// to a fixed number of partial sums, and partials added in order: the cut depends on shapes
// only, hence so do the bits. A task is one partial of one group for a range of output
// channels. For each chunk it transposes gy to panels (pixel, channel vector), fills the window
// of x (window.h) a block of channels at a time, and accumulates (MR rows of (channel, tap)) x
// (NV vectors of output channels) in registers.
#ifndef AL_REAL
#include <omp.h>

#include "../core/memory.h"
#include "conv_parts.h"
#include "window.h"

enum {
  PIXELS = 256,      // of a chunk, about
  AHEAD = 4,         // channels from the one copied to the one prefetched
  WINDOW = 32 << 10, // elements of a window, about
  PARTIALS = 16,     // partial sums, at most
  TASKS = 16,        // wanted at least
  SUMS = 5 << 19     // elements of all partials together, at most about
};

typedef struct weight_plan {
  window win;
  int64_t n, groups, kg, cg, taps, terms; // terms = cg * taps, the rows of a partial
  int64_t boxes;                          // chunks of an image
  int64_t block;                          // channels of x whose window is held at once
  int64_t partials, parts,
      width;    // partial sums, ranges of output channels, padded width of one
  int64_t wide; // output channels of a panel
  int64_t x_chan, x_deep, y_chan,
      y_deep; // from a channel, from an image folded in, to the next
} weight_plan;

enum { SMALL = 1 << 10 }; // pixels of a plane whose images are folded, at most

// The convolution to plan: where planes are small, with the images folded into the unused axis
// 0, so that a chunk holds pixels of several.
static al_conv fold_weight(weight_plan *p, const al_conv *cv) {
  al_conv f = *cv;
  p->x_chan = al_volume(cv->in), p->y_chan = al_volume(cv->out);
  p->x_deep = cv->in[1] * cv->in[2], p->y_deep = cv->out[1] * cv->out[2];
  if (cv->in[0] != 1 || cv->out[0] != 1 || cv->ker[0] != 1 || cv->pad[0] ||
      cv->stride[0] != 1 || cv->n == 1 || p->x_chan > SMALL)
    return f;
  p->x_deep = cv->c * p->x_chan, p->y_deep = cv->k * p->y_chan;
  f.in[0] = f.out[0] = cv->n;
  p->n = f.n = 1;
  return f;
}

static void plan_weight(weight_plan *p, int64_t tile) {
  window *w = &p->win;
  al_window_cut(w, PIXELS);
  p->boxes = w->chunks[0] * w->chunks[1] * w->chunks[2];
  p->block = al_min(p->cg, al_max(1, WINDOW / w->plane));
  int64_t size = p->groups * p->kg * p->terms;
  p->partials = al_min(al_min(PARTIALS, p->n * p->boxes), al_max(1, SUMS / size));
  int64_t parts = al_min(al_ceil_div(TASKS, p->partials * p->groups), al_ceil_div(p->kg, tile));
  p->width = al_round_up(al_ceil_div(p->kg, parts), tile);
  p->parts = al_ceil_div(p->kg, p->width);
}

#define AL_REAL 32
#include "conv_weight.c"
#define AL_REAL 64
#include "conv_weight.c"
#else

#include "real.h"
#include "tile.h"
#include "transpose.h"
#include "window.h"

// gy of output channels k0 .. k0 + width on a chunk, transposed to z[panel][pixel][wide],
// pixels in the order of the chunk's box; channels past the last are junk.
static void AL_S(turn)(const weight_plan *p, const chunk *c, const real *gy, int64_t k0,
                       real *z) {
  int64_t across = p->win.ax[2].grid;
  for (int64_t k = k0; k < k0 + p->width; k += p->wide)
    for (int64_t d = 0; d < c->len[0]; d++)
      for (int64_t h = 0; h < c->len[1]; h++, z += c->len[2] * p->wide) {
        int64_t row = (c->at[0] + d) * p->y_deep + (c->at[1] + h) * across + c->at[2];
        if (k < p->kg) AL_S(transpose_strip)
        (gy + k * p->y_chan + row, p->y_chan, al_min(p->wide, p->kg - k), c->len[2], z,
         p->wide);
      }
}

// sums[i][0..wide] += sum over the chunk's pixels of x_i[pixel] z[pixel][0..wide], i < mr, wide
// = nv vectors; x_i lies in the window at x + off[i].
AL_INLINE void AL_S(accumulate_run)(int mr, int nv, const window *w, const chunk *c,
                                    const real *x, const int64_t *off, const real *z,
                                    real *sums, int64_t ld) {
  rvec acc[MR][NV];
  AL_UNROLL
  for (int i = 0; i < mr; i++) {
    AL_UNROLL
    for (int j = 0; j < nv; j++) acc[i][j] = AL_S(load)(sums + i * ld + j * LANES);
  }
  for (int64_t d = 0; d < c->len[0]; d++)
    for (int64_t h = 0; h < c->len[1]; h++) {
      const real *row[MR];
      AL_UNROLL
      for (int i = 0; i < mr; i++) row[i] = x + off[i] + (d * w->size[1] + h) * w->size[2];
      for (int64_t q = 0; q < c->len[2]; q++, z += nv * LANES) {
        rvec v[NV];
        AL_UNROLL
        for (int j = 0; j < nv; j++) v[j] = AL_S(load)(z + j * LANES);
        AL_UNROLL
        for (int i = 0; i < mr; i++) {
          AL_UNROLL
          for (int j = 0; j < nv; j++) acc[i][j] += row[i][q] * v[j];
        }
      }
    }
  AL_UNROLL
  for (int i = 0; i < mr; i++) {
    AL_UNROLL
    for (int j = 0; j < nv; j++) AL_S(store)(sums + i * ld + j * LANES, acc[i][j]);
  }
}

#define ROWS_OF(mr)                                                        \
  case mr:                                                                 \
    if (nv == NV) AL_S(accumulate_run)(mr, NV, w, c, x, off, z, sums, ld); \
    else AL_S(accumulate_run)(mr, NV - 1, w, c, x, off, z, sums, ld);      \
    break;
static void AL_S(accumulate)(int mr, int64_t nv, const window *w, const chunk *c, const real *x,
                             const int64_t *off, const real *z, real *sums, int64_t ld) {
  switch (mr) {
    ROWS_OF(1)
    ROWS_OF(2)
    ROWS_OF(3)
    ROWS_OF(4)
#if MR > 4
    ROWS_OF(5)
    ROWS_OF(6)
#endif
#if MR > 6
    ROWS_OF(7)
    ROWS_OF(8)
#endif
#if MR > 8
    ROWS_OF(9)
    ROWS_OF(10)
    ROWS_OF(11)
    ROWS_OF(12)
    ROWS_OF(13)
    ROWS_OF(14)
#endif
  }
}
#undef ROWS_OF

// Channels of a panel: of NV vectors, or of two of three where that leaves fewer idle.
static int64_t AL_S(panel_width)(int64_t kg) {
  bool fewer = NV == 3 && al_round_up(kg, 2 * LANES) < al_round_up(kg, 3 * LANES);
  return (fewer ? 2 : NV) * LANES;
}

// One task: partial sum `partial` of group g for output channels part * width onwards, into
// sums (terms x width). x and gy are whole tensors.
static void AL_S(weight_task)(const weight_plan *p, int64_t g, int64_t partial, int64_t part,
                              const real *x, const real *gy, const int64_t *off, real *win,
                              real *z, real *sums) {
  const window *w = &p->win;
  int64_t all = p->n * p->boxes;
  memset(sums, 0, (size_t)(p->terms * p->width) * sizeof *sums);
  for (int64_t q = all * partial / p->partials; q < all * (partial + 1) / p->partials; q++) {
    int64_t n = q / p->boxes;
    chunk c = al_window_chunk(w, q % p->boxes);
    int64_t pixels = c.len[0] * c.len[1] * c.len[2];
    AL_S(turn)(p, &c, gy + (n * p->groups + g) * p->kg * p->y_chan, part * p->width, z);
    for (int64_t c0 = 0; c0 < p->cg; c0 += p->block) {
      int64_t c1 = al_min(p->cg, c0 + p->block), terms = (c1 - c0) * p->taps;
      for (int64_t k = c0; k < c1; k++) AL_S(window_fill)
      (w, &c, x + ((n * p->groups + g) * p->cg + k) * p->x_chan, win + (k - c0) * w->plane);
      for (int64_t k = 0; k < p->width; k += p->wide)
        for (int64_t i = 0; i < al_ceil_div(terms, MR); i++) {
          int64_t m0 = AL_S(panel)(terms, i), m1 = AL_S(panel)(terms, i + 1);
          AL_S(accumulate)
          ((int)(m1 - m0), p->wide / LANES, w, &c, win, off + m0, z + k * pixels,
           sums + (c0 * p->taps + m0) * p->width + k, p->width);
        }
    }
  }
}

// gw[k][term] = the partials' sum, in order. sums is (group, partial, part, term, width).
static void AL_S(add_partials)(const weight_plan *p, const real *sums, real *gw) {
  int64_t each = p->terms * p->width, stride = p->parts * each, blocks = p->width / LANES;
#pragma omp parallel for collapse(2)
  for (int64_t q = 0; q < p->groups * p->parts; q++)
    for (int64_t b = 0; b < blocks; b++) {
      int64_t g = q / p->parts, part = q % p->parts, k0 = part * p->width + b * LANES;
      int64_t n = al_min(LANES, p->kg - k0);
      const real *from = sums + g * p->partials * stride + part * each + b * LANES;
      real *to = gw + (g * p->kg + k0) * p->terms;
      for (int64_t r = 0; r < p->terms && n > 0; r += LANES) {
        int64_t m = al_min(LANES, p->terms - r);
        rvec v[LANES];
        AL_UNROLL
        for (int i = 0; i < (int)LANES; i++) {
          const real *s = from + (r + al_min(i, m - 1)) * p->width;
          v[i] = AL_S(load)(s);
          for (int64_t j = 1; j < p->partials; j++) v[i] += AL_S(load)(s + j * stride);
        }
        AL_S(transpose)(v);
        for (int64_t k = 0; k < n; k++)
          memcpy(to + k * p->terms + r, &v[k], (size_t)m * sizeof *to);
      }
    }
}

int AL_R(al_conv_gemm_weight)(const al_conv *cv, const real *x, const real *gy, real *gw) {
  weight_plan p = {.n = cv->n,
                   .groups = cv->groups,
                   .kg = cv->k / cv->groups,
                   .cg = cv->c / cv->groups,
                   .taps = al_volume(cv->ker)};
  p.terms = p.cg * p.taps;
  al_conv f = fold_weight(&p, cv);
  axis ax[3] = {al_axis_forward(&f, 0), al_axis_forward(&f, 1), al_axis_forward(&f, 2)};
  al_axis_join(ax, f.n < cv->n);
  int64_t *table = al_alloc((size_t)(al_window_table(ax) + p.terms) * sizeof *table);
  if (!table) return -1;
  al_window_init(&p.win, ax, 0, table + p.terms);
  p.win.deep = p.x_deep, p.win.ahead = AHEAD * p.x_chan;
  p.wide = AL_S(panel_width)(p.kg);
  plan_weight(&p, p.wide);
  int64_t threads = omp_get_max_threads(), pixels = al_volume(p.win.box);
  int64_t lead = al_round_up(p.block * p.win.plane + LANES, 64),
          room = lead + al_round_up(pixels * p.width, 64);
  int64_t tasks = p.groups * p.partials * p.parts, each = p.terms * p.width;
  real *own = al_alloc((size_t)(threads * room) * sizeof *own);
  real *sums = al_alloc((size_t)(tasks * each) * sizeof *sums);
  int bad = !own || !sums ? -1 : 0;
  if (!bad) {
    for (int64_t k = 0; k < p.block * p.taps; k++)
      table[k] = k / p.taps * p.win.plane + al_window_offset(&p.win, k % p.taps);
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < tasks; i++) {
      real *win = own + omp_get_thread_num() * room;
      AL_S(weight_task)
      (&p, i / p.parts / p.partials, i / p.parts % p.partials, i % p.parts, x, gy, table, win,
       win + lead, sums + i * each);
    }
    AL_S(add_partials)(&p, sums, gw);
  }
  al_release(sums), al_release(own), al_release(table);
  return bad;
}

#undef AL_REAL
#endif
