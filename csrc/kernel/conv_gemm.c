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
//   gx[c][p] = sum over k, t of w[k][c][t] gy[k][(p + pad - t * dil) / stride].
// Each residue is a part of the pass: parts share the window, have their own taps and weights,
// and are interleaved as they leave. A forward convolution has one part.
//
// Where the planes are small, the images of a batch are folded into the unused axis of depth: a
// box then holds pixels of several, and no vector is left half empty at the end of each.
#ifndef AL_REAL
#include <omp.h>

#include "../core/memory.h"
#include "conv_parts.h"
#include "window.h"

enum {
  DEPTH = 144, // terms of a sum between two visits of the accumulators, about: B stays in L1
  SUMS = 32 << 10,   // accumulators of a task, at most about
  WINDOW = 32 << 10, // elements of a window, about
  STREAM = 24 << 20, // bytes of output from which it goes past the caches
  ROWS = 256,        // output channels of a task, at most
  TASKS = 16,        // wanted at least, to share among threads
  COPIES = 4,        // of a row for a strided gradient's taps, at most
  MANY = 16,         // output channels from which copies of rows may pay
  FILL = 6,          // cost of a vector copied, in multiplications
  AHEAD = 4,         // channels from the one copied to the one prefetched
  SMALL = 1 << 10    // pixels of a plane whose images are folded, at most
};

// The output positions first + o * stride, o < grid, and the taps that reach them.
typedef struct part {
  int64_t first[3], grid[3];
  int64_t taps;
  int64_t *tap;    // (taps) their numbers in the weight
  int64_t *off;    // (block * taps) where the terms of a block lie in the window
  int64_t weights; // where its packed weights start
} part;

// What to compute and how it is cut. Offsets in elements.
typedef struct pass {
  window win;
  int64_t dst[3], stride[3]; // extents of the output, distance of a part's positions
  int64_t n, groups, rows,
      chans; // a group: `rows` output channels from `chans` source channels
  int64_t w_row, w_chan, w_group;       // strides of the weight
  int64_t src_chan, dst_chan, dst_deep; // from a channel to the next; from an image folded in
  int first;                            // axis 0, or 1 when images are folded into it
  int64_t parts;                        // product of the strides
  part *part;                           // in the order of the residues, w fastest
  int64_t block, blocks;                // source channels of a block, how many blocks
  int64_t panels, task_panels, splits;  // row panels, of a task, ranges of them
  int64_t columns;                      // accumulators a row of a task has at most
  bool stream;                          // the output is too large for the caches
} pass;

// The convolution to plan, images folded into axis 0 or not; `from` and `to` are the extents of
// source and output.
static al_conv fold(pass *p, const al_conv *cv, const int64_t *from, const int64_t *to) {
  al_conv f = *cv;
  p->src_chan = al_volume(from), p->dst_chan = al_volume(to);
  p->win.deep = from[1] * from[2], p->dst_deep = to[1] * to[2];
  p->first = cv->n > 1 && from[0] == 1 && to[0] == 1 && cv->ker[0] == 1 && !cv->pad[0] &&
             cv->stride[0] == 1 && al_max(p->src_chan, p->dst_chan) <= SMALL;
  if (!p->first) return f;
  p->win.deep = p->groups * p->chans * p->src_chan;
  p->dst_deep = p->groups * p->rows * p->dst_chan;
  f.in[0] = f.out[0] = cv->n;
  p->n = f.n = 1;
  return f;
}

// The pixels of a chunk as vectors into its window: row by row, or, where that is fewer, one
// run over the rows, junk between them included. `depth` and `row` are the steps among the
// sums. Where each vector lies in one run of the output (row by row; rows as wide as the
// output's) a task of one part writes its tiles as they are finished.
typedef struct layout {
  int64_t vectors, depth, row, wide, span;
  bool flat, direct;
} layout;

static layout lay_out(const window *w, const chunk *c, int64_t lanes) {
  int64_t span = ((c->len[0] - 1) * w->size[1] + c->len[1] - 1) * w->size[2] + c->len[2];
  int64_t flat = al_ceil_div(span, lanes), wide = al_ceil_div(c->len[2], lanes);
  int64_t each = c->len[0] * c->len[1] * wide;
  bool direct = c->len[0] == 1 && w->size[2] == w->ax[2].grid;
  if (10 * each > (direct ? 10 : 11) * flat)
    return (layout){flat, w->size[1] * w->size[2], w->size[2], wide, span, true, direct};
  return (layout){each, c->len[1] * wide * lanes, wide * lanes, wide, span, false, true};
}

// Cuts the grid in boxes of about `pixels`, at least `least`, leaving few lanes idle. Returns
// the vectors of all boxes.
static int64_t cut(window *w, int64_t pixels, int64_t least, int64_t lanes) {
  int64_t best = pixels, fewest = INT64_MAX;
  for (int64_t sixteenths = 24; sixteenths >= 8; sixteenths--) {
    al_window_cut(w, al_max(least, pixels * sixteenths / 16));
    chunk c = al_window_chunk(w, 0);
    int64_t all = w->chunks[0] * w->chunks[1] * w->chunks[2] * lay_out(w, &c, lanes).vectors;
    if (all < fewest) fewest = all, best = al_max(least, pixels * sixteenths / 16);
  }
  al_window_cut(w, best);
  return fewest;
}

// Plans a pass of `all` taps, `taps` of them in a part at most. Returns its cost a channel of
// the source, about, in multiplications of vectors.
static int64_t plan(pass *p, int64_t taps, int64_t all, int64_t mr, int64_t lanes,
                    int64_t tile) {
  window *w = &p->win;
  p->blocks = al_ceil_div(p->chans, al_max(1, DEPTH / taps));
  p->block = al_ceil_div(p->chans, p->blocks);
  p->panels = al_ceil_div(p->rows, mr);
  int64_t rows = al_min(p->rows, ROWS) * p->parts;
  // Sums that wait for more blocks share the L2 cache with the window and the weights.
  int64_t sums = p->blocks > 1 ? SUMS : 2 * SUMS;
  int64_t vectors = cut(w, al_min(sums / rows, WINDOW / p->block), 2 * tile, lanes);
  int64_t boxes = w->chunks[0] * w->chunks[1] * w->chunks[2] * p->n * p->groups;
  int64_t splits = al_max(al_ceil_div(p->rows, ROWS), al_ceil_div(TASKS, boxes));
  splits = al_min(splits, al_max(1, p->rows / (4 * mr)));
  p->task_panels = al_ceil_div(p->panels, splits);
  p->splits = al_ceil_div(p->panels, p->task_panels);
  // Row by row a chunk may take a tenth more vectors than in one run.
  p->columns = al_round_up(w->box[0] * w->size[1] * w->size[2] * 11 / 10, tile) + tile;
  w->ahead = AHEAD * p->src_chan;
  if (p->block * w->plane > 2 * WINDOW) return INT64_MAX;
  return vectors * p->rows * all +
         FILL * w->chunks[0] * w->chunks[1] * w->chunks[2] * w->plane / lanes;
}

// Terms of a block, numbered (channel, tap), given where the taps of its first channel lie.
static void spread(const pass *p, part *q) {
  for (int64_t k = q->taps; k < p->block * q->taps; k++)
    q->off[k] = q->off[k - q->taps] + p->win.plane;
}

// A pass of one part over three axes: a forward convolution, or a gradient of stride 1. `table`
// holds al_window_table(ax) numbers and plan_size(ax) more.
static void plan_one(pass *p, const axis *ax, int64_t mr, int64_t lanes, int64_t tile,
                     int64_t *table) {
  part *q = p->part;
  int64_t deep = p->win.deep, taps = ax[0].taps * ax[1].taps * ax[2].taps, least = INT64_MAX;
  int most = p->rows >= MANY && taps > 1 ? 3 : 0, copied = 0;
  for (int i = 0; i <= most; i++) { // the last time for good
    al_window_init(&p->win, ax, i < 3 ? i : copied, table);
    p->win.deep = deep;
    int64_t cost = plan(p, taps, taps, mr, lanes, tile);
    if (cost < least) least = cost, copied = i;
  }
  *q = (part){.taps = p->win.taps, .tap = table + al_window_table(ax)};
  q->off = q->tap + q->taps;
  for (int i = 0; i < 3; i++) p->dst[i] = ax[i].dst, p->stride[i] = 1, q->grid[i] = ax[i].grid;
  for (int64_t t = 0; t < q->taps; t++)
    q->tap[t] = al_window_tap(&p->win, t), q->off[t] = al_window_offset(&p->win, t);
  spread(p, q);
}

// The gradient in the input of a strided convolution: the window holds what all residues read.
static void plan_residues(pass *p, const al_conv *cv, int64_t mr, int64_t lanes, int64_t tile,
                          int64_t *table) {
  static int64_t count[COPIES] = {0, 1, 2, 3};
  window *w = &p->win;
  int64_t taps = 1, least = INT64_MAX, reach[3];
  int tries = p->rows >= MANY ? 3 : 0, copied = 0;
  for (int i = 0; i < 3; i++) {
    int64_t low = INT64_MAX, high = INT64_MIN, most = 0, grid = 0;
    for (int64_t r = 0; r < cv->stride[i]; r++) {
      axis a = al_axis_input(cv, i, r);
      grid = al_max(grid, a.grid), most = al_max(most, a.taps);
      if (!a.taps) continue;
      int64_t last = a.base + (a.taps - 1) * a.delta;
      low = al_min(low, al_min(a.base, last)), high = al_max(high, al_max(a.base, last));
    }
    w->ax[i] = (axis){.src = cv->out[i], .grid = grid, .step = 1};
    w->low[i] = low, reach[i] = high - low, w->phase[i] = count;
    p->dst[i] = cv->in[i], p->stride[i] = cv->stride[i];
    taps *= most;
  }
  for (int j = 0; j <= tries; j++) { // the last time for good
    for (int i = 0; i < 3; i++) {
      bool copy = i >= 3 - (j < 3 ? j : copied) && reach[i] < COPIES;
      w->phases[i] = copy ? reach[i] + 1 : 1, w->reach[i] = copy ? 0 : reach[i];
    }
    int64_t cost = plan(p, taps, al_volume(cv->ker), mr, lanes, tile);
    if (cost < least) least = cost, copied = j;
  }
  int64_t weights = 0;
  for (int64_t r = 0; r < p->parts; r++) {
    axis a[3] = {al_axis_input(cv, 0, r / cv->stride[2] / cv->stride[1]),
                 al_axis_input(cv, 1, r / cv->stride[2] % cv->stride[1]),
                 al_axis_input(cv, 2, r % cv->stride[2])};
    part *q = &p->part[r];
    *q = (part){.taps = a[0].taps * a[1].taps * a[2].taps, .tap = table, .weights = weights};
    q->off = table + q->taps, table = q->off + p->block * q->taps;
    weights += p->groups * p->rows * p->chans * q->taps;
    for (int i = 0; i < 3; i++) q->first[i] = a[i].first, q->grid[i] = a[i].grid;
    for (int64_t t = 0; t < q->taps; t++) {
      int64_t j[3] = {t / a[2].taps / a[1].taps, t / a[2].taps % a[1].taps, t % a[2].taps};
      int64_t tap = 0, slot[3], place[3];
      for (int i = 0; i < 3; i++) {
        int64_t e = a[i].base + j[i] * a[i].delta - w->low[i];
        tap = tap * cv->ker[i] + a[i].tap0 + j[i] * a[i].tap_step;
        slot[i] = w->reach[i] ? 0 : e, place[i] = w->reach[i] ? e : 0;
      }
      q->tap[t] = tap, q->off[t] = al_window_at(w, slot, place);
    }
    spread(p, q);
  }
}

#define AL_REAL 32
#include "conv_gemm.c"
#define AL_REAL 64
#include "conv_gemm.c"
#else

#include "real.h"
#include "tile.h"
#include "transpose.h"
#include "window.h"

// Packs all weights: part, group, channel block, row panel, (channel, tap), row.
static void AL_S(pack)(const pass *p, const real *w, real *packed) {
#pragma omp parallel for collapse(4)
  for (int64_t r = 0; r < p->parts; r++)
    for (int64_t g = 0; g < p->groups; g++)
      for (int64_t b = 0; b < p->blocks; b++)
        for (int64_t i = 0; i < p->panels; i++) {
          const part *q = &p->part[r];
          int64_t c0 = b * p->block, c1 = al_min(p->chans, c0 + p->block);
          int64_t m0 = AL_S(panel)(p->rows, i), m1 = AL_S(panel)(p->rows, i + 1);
          real *a = packed + q->weights +
                    (g * p->rows * p->chans + c0 * p->rows + m0 * (c1 - c0)) * q->taps;
          for (int64_t c = c0; c < c1; c++)
            for (int64_t t = 0; t < q->taps; t++) {
              const real *s = w + g * p->w_group + c * p->w_chan + q->tap[t];
              for (int64_t m = m0; m < m1; m++) *a++ = s[m * p->w_row];
            }
        }
}

// y[x] = v[x] + b, x < n.
AL_INLINE void AL_S(write_row)(real *y, const real *v, real b, int64_t n, bool stream) {
  int64_t x = 0;
  if (stream && n >= LANES) {
    for (; (uintptr_t)(y + x) % sizeof(rvec); x++) y[x] = v[x] + b;
    for (; x + LANES <= n; x += LANES) AL_S(stream)(y + x, AL_S(load)(v + x) + b);
  } else
    for (; x + LANES <= n; x += LANES) AL_S(store)(y + x, AL_S(load)(v + x) + b);
  for (; x < n; x++) y[x] = v[x] + b;
}

// y[2 x] = even[x], x < n_even, and y[2 x + 1] = odd[x], x < n_odd = n_even or n_even - 1.
AL_INLINE void AL_S(interleave)(real *y, const real *even, const real *odd, int64_t n_even,
                                int64_t n_odd) {
  int64_t x = 0;
  for (; x + LANES <= n_odd; x += LANES) {
    rvec lo, hi;
    AL_S(zip)(AL_S(load)(even + x), AL_S(load)(odd + x), &lo, &hi);
    AL_S(store)(y + 2 * x, lo), AL_S(store)(y + 2 * x + LANES, hi);
  }
  for (; x < n_odd; x++) y[2 * x] = even[x], y[2 * x + 1] = odd[x];
  if (n_even > n_odd) y[2 * x] = even[x];
}

// Writes the finished sums of rows m0..m1 of a chunk, (part, row, column), rows and parts
// `columns` and `size` apart. dst is the image's first channel of the group.
static __attribute__((noinline)) void AL_S(write_out)(const pass *p, const chunk *c, layout l,
                                                      const real *sums, int64_t size,
                                                      int64_t m0, int64_t m1, const real *bias,
                                                      real *dst) {
  int64_t s = p->stride[2];
  for (int64_t m = m0; m < m1; m++, sums += p->columns)
    for (int64_t r = 0; r < p->parts; r += s) {
      const part *q = &p->part[r];
      int64_t len[2], n[2] = {0};
      for (int i = 0; i < 2; i++) len[i] = al_min(c->len[i], q->grid[i] - c->at[i]);
      for (int64_t d = 0; d < len[0]; d++)
        for (int64_t h = 0; h < len[1]; h++) {
          int64_t z = q->first[0] + (c->at[0] + d) * p->stride[0];
          int64_t row = q->first[1] + (c->at[1] + h) * p->stride[1];
          real *y = dst + m * p->dst_chan + z * p->dst_deep + row * p->dst[2] + c->at[2] * s;
          const real *v = sums + r * size + d * l.depth + h * l.row, *both[2] = {v, v};
          for (int64_t f = 0; f < s; f++) {
            int64_t len_w = al_max(0, al_min(c->len[2], q[f].grid[2] - c->at[2]));
            if (s == 1) AL_S(write_row)(y, v, bias ? bias[m] : 0, len_w, p->stream);
            else if (s == 2) both[q[f].first[2]] = v + f * size, n[q[f].first[2]] = len_w;
            else
              for (int64_t x = 0; x < len_w; x++) y[q[f].first[2] + x * s] = v[f * size + x];
          }
          if (s == 2) AL_S(interleave)(y, both[0], both[1], n[0], n[1]);
        }
    }
}

// Where a vector of a chunk lies: in the window, and in a plane of the output, how many lanes
// of it.
typedef struct AL_S(place) {
  int64_t win, out, lanes;
} AL_S(place);

static void AL_S(places)(const pass *p, const chunk *c, layout l, int64_t cover,
                         AL_S(place) * to) {
  const window *w = &p->win;
  for (int64_t v = 0; v < cover; v++) {
    int64_t u = al_min(v, l.vectors - 1), r = u / l.wide, x = u % l.wide * LANES;
    int64_t d = r / c->len[1], h = r % c->len[1];
    if (l.flat)
      to[v] =
          (AL_S(place)){u * LANES, c->at[0] * p->dst_deep + c->at[1] * p->dst[2] + u * LANES,
                        v < l.vectors ? al_min(LANES, l.span - u * LANES) : 0};
    else
      to[v] = (AL_S(place)){(d * w->size[1] + h) * w->size[2] + x,
                            (c->at[0] + d) * p->dst_deep + (c->at[1] + h) * p->dst[2] +
                                c->at[2] + x,
                            v < l.vectors ? al_min(LANES, c->len[2] - x) : 0};
  }
}

// Writes one finished tile: mr rows from c, vector j to y + to[j].out, rows of y `plane` apart.
AL_INLINE void AL_S(write_tile)(const real *c, int64_t ldc, int64_t mr, int64_t nv,
                                const AL_S(place) * to, const real *bias, real *y,
                                int64_t plane, bool stream) {
  bool full = nv == NV;
  for (int j = 0; j < nv; j++) {
    full = full && to[j].lanes == LANES;
    stream = stream && (uintptr_t)(y + to[j].out) % sizeof(rvec) == 0 && plane % LANES == 0;
  }
  for (int64_t i = 0; i < mr; i++, c += ldc, y += plane) {
    rvec b = AL_S(splat)(bias ? bias[i] : 0);
    if (!full) {
      for (int j = 0; j < nv; j++)
        AL_S(store_part)(y + to[j].out, to[j].lanes, AL_S(load)(c + j * LANES) + b);
      continue;
    }
    rvec v[NV];
    AL_UNROLL
    for (int j = 0; j < NV; j++) v[j] = AL_S(load)(c + j * LANES) + b;
    AL_UNROLL
    for (int j = 0; j < NV; j++)
      if (stream) AL_S(stream)(y + to[j].out, v[j]);
      else AL_S(store)(y + to[j].out, v[j]);
  }
}

// A thread's workspace.
typedef struct AL_S(bench) {
  real *win, *sums;
  AL_S(place) * place;
} AL_S(bench);

// One task: box `box` of image n, group g, row range `range`. src and dst are whole tensors.
static void AL_S(task)(const pass *p, int64_t n, int64_t g, int64_t box, int64_t range,
                       const real *src, const real *packed, const real *bias, real *dst,
                       AL_S(bench) t) {
  const window *w = &p->win;
  chunk c = al_window_chunk(w, box);
  layout l = lay_out(w, &c, LANES);
  bool few = p->rows <= FEW; // of whose rows a tile holds twice the vectors
  AL_S(places)
  (p, &c, l, few ? al_round_up(l.vectors, 2 * NV) : AL_S(tile_cover)(l.vectors), t.place);
  int64_t i0 = range * p->task_panels, i1 = al_min(p->panels, i0 + p->task_panels);
  int64_t first = AL_S(panel)(p->rows, i0), last = AL_S(panel)(p->rows, i1);
  int64_t size = (last - first) * p->columns, outs = p->dst_chan;
  real *y = dst + (n * p->groups + g) * p->rows * outs;
  const real *b_group = bias ? bias + g * p->rows : NULL;
  bool at_once = l.direct && p->parts == 1;
  for (int64_t c0 = 0; c0 < p->chans; c0 += p->block) {
    int64_t c1 = al_min(p->chans, c0 + p->block);
    for (int64_t k = c0; k < c1; k++) AL_S(window_fill)
    (w, &c, src + ((n * p->groups + g) * p->chans + k) * p->src_chan,
     t.win + (k - c0) * w->plane);
    for (int64_t r = 0; r < p->parts; r++) {
      const part *q = &p->part[r];
      int64_t kc = (c1 - c0) * q->taps;
      const real *block =
          packed + q->weights + (g * p->rows * p->chans + c0 * p->rows) * q->taps;
      for (int64_t v = 0, step; v < l.vectors; v += step) {
        const real *b[2 * NV];
        step = few ? 2 * NV : AL_S(tile_width)(l.vectors - v);
        for (int j = 0; j < step; j++) b[j] = t.win + t.place[v + j].win;
        for (int64_t i = i0; i < i1; i++) {
          int64_t m0 = AL_S(panel)(p->rows, i), m1 = AL_S(panel)(p->rows, i + 1);
          real *sums = t.sums + r * size + (m0 - first) * p->columns + v * LANES;
          if (at_once && p->blocks == 1) sums = t.sums; // in no one's way
          const real *a = block + m0 * kc;
          if (!few)
            AL_S(tile)((int)(m1 - m0), (int)step, kc, a, b, q->off, sums, p->columns, c0 > 0);
          else AL_S(tile_few)((int)(m1 - m0), kc, a, b, q->off, sums, p->columns, c0 > 0);
          for (int64_t j = 0; at_once && c1 == p->chans && j < step; j += NV) AL_S(write_tile)
          (sums + j * LANES, p->columns, m1 - m0, al_min(step, NV), t.place + v + j,
           b_group ? b_group + m0 : NULL, y + m0 * outs, outs, p->stream);
        }
      }
    }
  }
  if (!at_once) AL_S(write_out)(p, &c, l, t.sums, size, first, last, b_group, y);
}

// Runs a planned pass; `taps` are those of the weight.
static int AL_S(run)(pass *p, int64_t taps, const real *src, const real *w, const real *bias,
                     real *dst) {
  int64_t threads = omp_get_max_threads(),
          boxes = p->win.chunks[0] * p->win.chunks[1] * p->win.chunks[2];
  int64_t lead = al_round_up(p->block * p->win.plane + p->columns,
                             64); // the last tile reads past the window
  int64_t rows = al_min(p->rows, p->task_panels * MR) * p->parts;
  int64_t room = lead + al_round_up(rows * p->columns, 64);
  real *packed = al_alloc((size_t)(p->groups * p->rows * p->chans * taps) * sizeof *packed);
  real *own = al_alloc((size_t)(threads * room) * sizeof *own);
  AL_S(place) *place = al_alloc((size_t)(threads * p->columns / LANES) * sizeof *place);
  int bad = !packed || !own || !place ? -1 : 0;
  if (!bad) {
    int64_t outs = p->dst[0] * p->dst[1] * p->dst[2];
    p->stream = p->n * p->groups * p->rows * outs * (int64_t)sizeof *dst > STREAM;
    AL_S(pack)(p, w, packed);
#pragma omp parallel
    {
      int64_t id = omp_get_thread_num();
      AL_S(bench)
      t = {own + id * room, own + id * room + lead, place + id * p->columns / LANES};
      memset(t.win, 0, (size_t)lead * sizeof *t.win);
#pragma omp for collapse(4) schedule(dynamic)
      for (int64_t n = 0; n < p->n; n++)
        for (int64_t g = 0; g < p->groups; g++)
          for (int64_t box = 0; box < boxes; box++)
            for (int64_t range = 0; range < p->splits; range++)
              AL_S(task)(p, n, g, box, range, src, packed, bias, dst, t);
      al_stream_end();
    }
  }
  al_release(place), al_release(own), al_release(packed);
  return bad;
}

int AL_R(al_conv_gemm_forward)(const al_conv *cv, const real *x, const real *w, const real *b,
                               real *y) {
  int64_t taps = al_volume(cv->ker), cg = cv->c / cv->groups, kg = cv->k / cv->groups;
  part one;
  pass p = {.n = cv->n,
            .groups = cv->groups,
            .rows = kg,
            .chans = cg,
            .parts = 1,
            .part = &one,
            .w_row = cg * taps,
            .w_chan = taps,
            .w_group = kg * cg * taps};
  al_conv f = fold(&p, cv, cv->in, cv->out);
  axis ax[3] = {al_axis_forward(&f, 0), al_axis_forward(&f, 1), al_axis_forward(&f, 2)};
  al_axis_join(ax, p.first);
  int64_t *table =
      al_alloc((size_t)(al_window_table(ax) + taps + al_max(taps, DEPTH)) * sizeof *table);
  if (!table) return -1;
  plan_one(&p, ax, MR, LANES, 2 * NV * LANES, table);
  int bad = AL_S(run)(&p, taps, x, w, b, y);
  al_release(table);
  return bad;
}

int AL_R(al_conv_gemm_input)(const al_conv *cv, const real *gy, const real *w, real *gx) {
  int64_t taps = al_volume(cv->ker), cg = cv->c / cv->groups, kg = cv->k / cv->groups;
  int64_t parts = al_volume(cv->stride);
  pass p = {.n = cv->n,
            .groups = cv->groups,
            .rows = cg,
            .chans = kg,
            .parts = parts,
            .w_row = taps,
            .w_chan = cg * taps,
            .w_group = kg * cg * taps};
  al_conv f = fold(&p, cv, cv->out, cv->in);
  axis ax[3] = {al_axis_input(&f, 0, 0), al_axis_input(&f, 1, 0), al_axis_input(&f, 2, 0)};
  int64_t size = al_window_table(ax) + taps + al_max(taps, DEPTH) * parts;
  int64_t *table = al_alloc((size_t)size * sizeof *table);
  p.part = al_alloc((size_t)parts * sizeof *p.part);
  int bad = !table || !p.part ? -1 : 0;
  if (!bad && parts == 1) {
    al_axis_join(ax, p.first);
    plan_one(&p, ax, MR, LANES, 2 * NV * LANES, table);
  } else if (!bad) plan_residues(&p, &f, MR, LANES, 2 * NV * LANES, table);
  if (!bad) bad = AL_S(run)(&p, taps, gy, w, NULL, gx);
  al_release(p.part), al_release(table);
  return bad;
}

#undef AL_REAL
#endif
