// Any convolution, and its gradient in the input, as matrix products over a window read in
// place.
//
// The output rows are channels, the columns pixels, the sum runs over (channel, tap). A task
// takes a box of pixels of one image and a range of output channels. For each block of source
// channels it copies their window (window.h), about the size of the L1 to L2 caches, then runs
// the register tile (tile.h) over it; sums of a box stay in a private buffer until its last
// channel block, and leave in one go with the bias added. Weights are packed once a call.
//
// The gradient in the input gathers too, with no scattered addition: the positions of x with
// the same (position + pad) mod stride form a grid on which one subset of the taps contributes,
//   gx[c][p] = sum over k, t of w[k][c][t] gy[k][(p + pad - t * dil) / stride],
// so each residue is one pass with step 1. Stride 1 has one residue: a convolution with flipped
// taps.
#ifndef AL_REAL
#include <omp.h>

#include "../core/memory.h"
#include "conv_parts.h"
#include "window.h"

enum {
  DEPTH = 288,     // terms of a sum between two visits of the accumulators, about: L1 holds the
                   // tile's B
  SUMS = 64 << 10, // accumulators of a task, at most about
  WINDOW = 32 << 10, // elements of a window, about
  ROWS = 256,        // output channels of a task, at most
  TASKS = 16         // wanted at least, to share among threads
};

// One pass: what to compute and how it is cut. Offsets in elements.
typedef struct pass {
  window win;
  int64_t n, groups, rows,
      chans; // a group: `rows` output channels from `chans` source channels
  int64_t w_row, w_chan, w_group;      // strides of the weight
  int64_t block, blocks;               // source channels of a block, how many blocks
  int64_t panels, task_panels, splits; // row panels, of a task, ranges of them
  int64_t columns;                     // accumulators a row of a task has at most
} pass;

static void plan(pass *p, int64_t mr, int64_t tile, int64_t slack) {
  window *w = &p->win;
  int64_t taps = al_max(1, w->taps);
  p->blocks = al_ceil_div(p->chans, al_max(1, DEPTH / taps));
  p->block = al_ceil_div(p->chans, p->blocks);
  p->panels = al_ceil_div(p->rows, mr);
  int64_t rows = al_min(p->rows, ROWS);
  al_window_cut(w, al_max(4 * tile, al_min(SUMS / rows, WINDOW / p->block)));
  int64_t boxes = w->chunks[0] * w->chunks[1] * w->chunks[2] * p->n * p->groups;
  int64_t splits = al_max(al_ceil_div(p->rows, ROWS), al_ceil_div(TASKS, boxes));
  splits = al_min(splits, al_max(1, p->rows / (4 * mr)));
  p->task_panels = al_ceil_div(p->panels, splits);
  p->splits = al_ceil_div(p->panels, p->task_panels);
  p->columns = al_round_up(w->box[0] * w->size[1] * w->size[2], tile) + slack;
}

// The pixels of a chunk as vectors into its window: one run over the padded rows, junk between
// them included, or row by row, whichever has fewer. `pitch[]` are the places of a depth and of
// a row.
typedef struct layout {
  int64_t vectors, depth, row;
  bool flat;
} layout;

static layout lay_out(const window *w, const chunk *c, int64_t lanes) {
  int64_t span = ((c->len[0] - 1) * w->size[1] + c->len[1] - 1) * w->size[2] + c->len[2];
  int64_t flat = al_ceil_div(span, lanes), wide = al_ceil_div(c->len[2], lanes);
  int64_t each = c->len[0] * c->len[1] * wide;
  if (flat <= each) return (layout){flat, w->size[1] * w->size[2], w->size[2], true};
  return (layout){each, c->len[1] * wide * lanes, wide * lanes, false};
}

#define AL_REAL 32
#include "conv_gemm.c"
#define AL_REAL 64
#include "conv_gemm.c"
#else

#include "real.h"
#include "tile.h"
#include "window.h"

// Weights of one row panel of one channel block, (channel, tap) by mr rows.
static void AL_S(pack)(const pass *p, const real *w, int64_t c0, int64_t c1, int64_t m0,
                       int64_t m1, real *a) {
  for (int64_t c = c0; c < c1; c++)
    for (int64_t t = 0; t < p->win.taps; t++) {
      const real *s = w + c * p->w_chan + al_window_tap(&p->win, t);
      for (int64_t m = m0; m < m1; m++) *a++ = s[m * p->w_row];
    }
}

static void AL_S(pack_all)(const pass *p, const real *w, real *a) {
#pragma omp parallel for collapse(3)
  for (int64_t g = 0; g < p->groups; g++)
    for (int64_t b = 0; b < p->blocks; b++)
      for (int64_t i = 0; i < p->panels; i++) {
        int64_t c0 = b * p->block, c1 = al_min(p->chans, c0 + p->block);
        int64_t m0 = AL_S(panel)(p->rows, i), m1 = AL_S(panel)(p->rows, i + 1);
        real *to = a + (g * p->rows * p->chans + c0 * p->rows + m0 * (c1 - c0)) * p->win.taps;
        AL_S(pack)(p, w + g * p->w_group, c0, c1, m0, m1, to);
      }
}

// Writes the finished sums of rows m0..m1 of a chunk: dst is the image's first channel of the
// group.
static void AL_S(write_out)(const pass *p, const chunk *c, layout l, const real *sums,
                            int64_t m0, int64_t m1, const real *bias, real *dst) {
  const axis *a = p->win.ax;
  int64_t plane = a[0].dst * a[1].dst * a[2].dst, s = a[2].stride;
  for (int64_t m = m0; m < m1; m++, sums += p->columns) {
    real b = bias ? bias[m] : 0;
    for (int64_t d = 0; d < c->len[0]; d++)
      for (int64_t h = 0; h < c->len[1]; h++) {
        int64_t row = (a[0].first + (c->at[0] + d) * a[0].stride) * a[1].dst + a[1].first +
                      (c->at[1] + h) * a[1].stride;
        real *y = dst + m * plane + row * a[2].dst + a[2].first + c->at[2] * s;
        const real *v = sums + d * l.depth + h * l.row;
        int64_t x = 0, n = c->len[2];
        if (s == 1) {
          for (; x + LANES <= n; x += LANES) AL_S(store)(y + x, AL_S(load)(v + x) + b);
          for (; x < n; x++) y[x] = v[x] + b;
        } else
          for (; x < n; x++) y[x * s] = v[x] + b;
      }
  }
}

// A thread's workspace.
typedef struct AL_S(bench) {
  real *win, *sums;
  int64_t *base;
} AL_S(bench);

// One task: box `box` of image n, group g, row range `part`. src and dst are whole tensors.
static void AL_S(task)(const pass *p, int64_t n, int64_t g, int64_t box, int64_t part,
                       const real *src, const real *packed, const int64_t *off,
                       const real *bias, real *dst, AL_S(bench) t) {
  const window *w = &p->win;
  const axis *a = w->ax;
  chunk c = al_window_chunk(w, box);
  layout l = lay_out(w, &c, LANES);
  int64_t vectors = al_round_up(l.vectors, NV), wide = al_ceil_div(c.len[2], LANES);
  for (int64_t v = 0; v < vectors; v++) {
    int64_t u = al_min(v, l.vectors - 1), r = u / wide;
    t.base[v] =
        l.flat ? u * LANES
               : (r / c.len[1] * w->size[1] + r % c.len[1]) * w->size[2] + u % wide * LANES;
  }
  int64_t i0 = part * p->task_panels, i1 = al_min(p->panels, i0 + p->task_panels);
  int64_t first = AL_S(panel)(p->rows, i0), last = AL_S(panel)(p->rows, i1);
  int64_t plane = a[0].src * a[1].src * a[2].src;
  for (int64_t c0 = 0; c0 < p->chans; c0 += p->block) {
    int64_t c1 = al_min(p->chans, c0 + p->block), kc = (c1 - c0) * w->taps;
    for (int64_t k = c0; k < c1; k++) AL_S(window_fill)
    (w, &c, src + ((n * p->groups + g) * p->chans + k) * plane, t.win + (k - c0) * w->plane);
    const real *block = packed + (g * p->rows * p->chans + c0 * p->rows) * w->taps;
    for (int64_t v = 0; v < vectors; v += NV) {
      const real *b[NV];
      for (int j = 0; j < NV; j++) b[j] = t.win + t.base[v + j];
      for (int64_t i = i0; i < i1; i++) {
        int64_t m0 = AL_S(panel)(p->rows, i), m1 = AL_S(panel)(p->rows, i + 1);
        AL_S(tile)
        ((int)(m1 - m0), kc, block + m0 * kc, b, off,
         t.sums + (m0 - first) * p->columns + v * LANES, p->columns, c0 > 0);
      }
    }
  }
  int64_t outs = a[0].dst * a[1].dst * a[2].dst;
  AL_S(write_out)
  (p, &c, l, t.sums, first, last, bias ? bias + g * p->rows : NULL,
   dst + (n * p->groups + g) * p->rows * outs);
}

// Runs a pass. The axes may have no taps at all: the output is then the bias.
static int AL_S(run)(pass *p, const axis *ax, const real *src, const real *w, const real *bias,
                     real *dst) {
  int64_t *table = al_alloc((size_t)al_max(1, al_window_table(ax)) * sizeof *table);
  if (!table) return -1;
  al_window_init(&p->win, ax, table);
  plan(p, MR, NV * LANES, 2 * NV * LANES);
  int64_t threads = omp_get_max_threads(), taps = p->win.taps;
  int64_t lead = al_round_up(p->block * p->win.plane + p->columns,
                             64); // the last tile reads past the window
  int64_t sums = al_round_up(al_min(p->rows, p->task_panels * MR) * p->columns, 64);
  real *packed =
      al_alloc((size_t)al_max(1, p->groups * p->rows * p->chans * taps) * sizeof *packed);
  real *room = al_alloc((size_t)(threads * (lead + sums)) * sizeof *room);
  int64_t *off = al_alloc((size_t)(p->block * taps + threads * p->columns + 1) * sizeof *off);
  int bad = !packed || !room || !off ? -1 : 0;
  if (!bad) {
    for (int64_t k = 0; k < p->block * taps; k++)
      off[k] = k / taps * p->win.plane + al_window_offset(&p->win, k % taps);
    AL_S(pack_all)(p, w, packed);
    int64_t boxes = p->win.chunks[0] * p->win.chunks[1] * p->win.chunks[2];
#pragma omp parallel
    {
      int64_t id = omp_get_thread_num();
      AL_S(bench)
      t = {room + id * (lead + sums), room + id * (lead + sums) + lead,
           off + p->block * taps + id * p->columns};
      memset(t.win, 0, (size_t)lead * sizeof *t.win);
#pragma omp for collapse(4) schedule(dynamic)
      for (int64_t n = 0; n < p->n; n++)
        for (int64_t g = 0; g < p->groups; g++)
          for (int64_t box = 0; box < boxes; box++)
            for (int64_t part = 0; part < p->splits; part++)
              AL_S(task)(p, n, g, box, part, src, packed, off, bias, dst, t);
    }
  }
  al_release(off), al_release(room), al_release(packed), al_release(table);
  return bad;
}

int AL_R(al_conv_gemm_forward)(const al_conv *cv, const real *x, const real *w, const real *b,
                               real *y) {
  int64_t taps = al_volume(cv->ker), cg = cv->c / cv->groups, kg = cv->k / cv->groups;
  axis ax[3] = {al_axis_forward(cv, 0), al_axis_forward(cv, 1), al_axis_forward(cv, 2)};
  al_axis_join(ax);
  pass p = {.n = cv->n,
            .groups = cv->groups,
            .rows = kg,
            .chans = cg,
            .w_row = cg * taps,
            .w_chan = taps,
            .w_group = kg * cg * taps};
  return AL_S(run)(&p, ax, x, w, b, y);
}

int AL_R(al_conv_gemm_input)(const al_conv *cv, const real *gy, const real *w, real *gx) {
  int64_t taps = al_volume(cv->ker), cg = cv->c / cv->groups, kg = cv->k / cv->groups;
  int64_t r[3];
  for (r[0] = 0; r[0] < cv->stride[0]; r[0]++)
    for (r[1] = 0; r[1] < cv->stride[1]; r[1]++)
      for (r[2] = 0; r[2] < cv->stride[2]; r[2]++) {
        axis ax[3];
        for (int i = 0; i < 3; i++) ax[i] = al_axis_input(cv, i, r[i]);
        if (!ax[0].grid || !ax[1].grid || !ax[2].grid) continue;
        al_axis_join(ax);
        pass p = {.n = cv->n,
                  .groups = cv->groups,
                  .rows = cg,
                  .chans = kg,
                  .w_row = taps,
                  .w_chan = cg * taps,
                  .w_group = kg * cg * taps};
        if (AL_S(run)(&p, ax, gy, w, NULL, gx)) return -1;
      }
  return 0;
}

#undef AL_REAL
#endif
