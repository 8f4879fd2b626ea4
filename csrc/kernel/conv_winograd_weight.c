// The gradient in the weights of 3x3 and 3x3x3 convolutions by Winograd's algorithm
// (winograd.h): the gradient of Y = A^T [ (G g G^T) . V ] A in g is
//
//   G^T [ sum over images and tiles of V . (A gY A^T) ] G,         V = B^T d B,
//
// 36 products of (channels x tiles) by (tiles x output channels). Lines (conv_winograd.h) are
// taken in batches. With few channels a fixed number of partial sums take a range of small
// batches each, from V and Z of their own, and are added in order. With many channels there is
// one sum; the threads transform a large batch together, then share out points and panels.
// float32 only.
//
//   V[point][channel block][tile][LANES]      Z[point][output block][tile][LANES]
//   sums[point][panel][depth tap][channel][WIDE]
#define AL_REAL 32
#include "conv_winograd.h"

#include <omp.h>

#include "../core/memory.h"

enum {
  TAPS = 9,
  SMALL = 64,    // tiles of a private batch, about
  TILES = 512,   // tiles of a shared batch, about
  PARTIALS = 16, // partial sums, at most
  SUMS = 4 << 20 // numbers of all partial sums together, at most
};

// sums[i][0 .. WIDE] += sum over tiles of v[tile][i] z[tile][0 .. WIDE], i < GR; z has WN
// blocks zk apart.
static void accumulate(const float *v, const float *z, int64_t zk, int64_t tiles, float *sums,
                       bool add) {
  al_vf acc[GR][WN];
  AL_UNROLL
  for (int i = 0; i < GR; i++) {
    AL_UNROLL
    for (int j = 0; j < WN; j++)
      acc[i][j] = add ? load_f32(sums + i * WIDE + j * AL_VF) : (al_vf){0};
  }
  for (int64_t t = 0; t < tiles; t++, v += AL_VF, z += AL_VF) {
    al_vf w[WN];
    AL_UNROLL
    for (int j = 0; j < WN; j++) w[j] = load_f32(z + j * zk);
    AL_UNROLL
    for (int i = 0; i < GR; i++) {
      AL_UNROLL
      for (int j = 0; j < WN; j++) acc[i][j] += v[i] * w[j];
    }
  }
  AL_UNROLL
  for (int i = 0; i < GR; i++) {
    AL_UNROLL
    for (int j = 0; j < WN; j++) store_f32(sums + i * WIDE + j * AL_VF, acc[i][j]);
  }
}

// gw of output block kb, depth tap d, channel block cb, from its sums, points ux apart.
static void finish(const winograd_plan *p, int64_t kb, int64_t d, int64_t cb, const float *sums,
                   int64_t ux, float *gw) {
  float s[TAPS * AL_VF * AL_VF] __attribute__((aligned(64))); // (channel, tap, output)
  for (int64_t c = 0; c < AL_VF; c++) {
    al_vf half[3][IN];
    AL_UNROLL
    for (int x = 0; x < IN; x++) {
      al_vf u[IN], o[3];
      AL_UNROLL
      for (int y = 0; y < IN; y++) u[y] = load_f32(sums + (y * IN + x) * ux + c * WIDE);
      winograd_weight_back(u, o);
      AL_UNROLL
      for (int y = 0; y < 3; y++) half[y][x] = o[y];
    }
    AL_UNROLL
    for (int y = 0; y < 3; y++) {
      al_vf o[3];
      winograd_weight_back(half[y], o);
      AL_UNROLL
      for (int x = 0; x < 3; x++) store_f32(s + (c * TAPS + y * 3 + x) * AL_VF, o[x]);
    }
  }
  int64_t kn = al_min(AL_VF, p->k - kb * AL_VF), cn = al_min(AL_VF, p->c - cb * AL_VF);
  int64_t each = p->depth * TAPS, row = p->c * each;
  float *to = gw + kb * AL_VF * row + cb * AL_VF * each + d * TAPS;
  if (p->depth == 1 && cn == AL_VF) { // TAPS * LANES numbers in a run
    transpose_strip_f32(s, AL_VF, TAPS * AL_VF, kn, to, row);
    return;
  }
  for (int64_t k = 0; k < kn; k++)
    for (int64_t c = 0; c < cn; c++)
      for (int64_t t = 0; t < TAPS; t++)
        to[k * row + c * each + t] = s[(c * TAPS + t) * AL_VF + k];
}

// How the passes are cut, and the strides of V, Z and the sums.
typedef struct work {
  winograd_plan p;
  winograd_map x, y;
  int64_t lines, batches;      // lines of a batch, batches of a stack
  int64_t panels, outs, chans; // of WIDE outputs, of LANES outputs; channels rounded up
  int64_t vc, vx, zk, zx;      // from block to block and from point to point
  int64_t each, sx, sums;      // from panel to panel, from point to point, all sums
} work;

static work work_of(const al_conv *cv, int64_t tiles) {
  work w = {.p = winograd_plan_of(cv)};
  const winograd_plan *p = &w.p;
  w.x = (winograd_map){p->c, p->in[1], p->in[2], al_volume(p->in), p->tw};
  w.y = (winograd_map){p->k, p->out[1], p->out[2], al_volume(p->out), p->tw};
  w.batches = al_ceil_div(p->lines, al_max(1, tiles / p->tw));
  w.lines = al_ceil_div(p->lines, w.batches);
  w.batches = al_ceil_div(p->lines, w.lines);
  w.panels = al_ceil_div(p->k, WIDE), w.outs = al_ceil_div(p->k, AL_VF);
  w.chans = p->blocks * AL_VF;
  w.vc = (w.lines + p->depth - 1) * p->tw * AL_VF, w.vx = p->blocks * w.vc + SKEW;
  w.zk = w.lines * p->tw * AL_VF, w.zx = w.panels * WN * w.zk + SKEW;
  w.each = p->depth * w.chans * WIDE, w.sx = w.panels * w.each + SKEW, w.sums = POINTS * w.sx;
  return w;
}

// The transforms of batch b: as many steps as these, in any order.
static int64_t fill_steps(const work *w, int64_t n) {
  return (n + w->p.depth - 1) * w->p.blocks + n * w->outs;
}

static void fill(const work *w, const float *x, const float *gy, int64_t b, int64_t n,
                 int64_t i, float *s, float *v, float *z) {
  const winograd_plan *p = &w->p;
  int64_t in = n + p->depth - 1, tw = p->tw * AL_VF;
  bool back = i >= in * p->blocks;
  int64_t r = back ? i - in * p->blocks : i, l = back ? r % n : r % in,
          block = back ? r / n : r / in;
  winograd_place at = winograd_place_of(p, b / w->batches, b % w->batches * w->lines + l);
  if (back) {
    const float *from =
        gy + (at.n * p->k + block * AL_VF) * w->y.plane + at.z * w->y.h * w->y.w;
    winograd_line_back(&w->y, from, al_min(AL_VF, p->k - block * AL_VF), at.y * OUT, s,
                       z + block * w->zk + l * tw, w->zx);
    return;
  }
  int64_t d = at.z - p->pad[0];
  float *to = v + block * w->vc + l * tw;
  const float *from = x + (at.n * p->c + block * AL_VF) * w->x.plane + d * w->x.h * w->x.w;
  if (d >= 0 && d < p->in[0])
    winograd_line_in(&w->x, from, al_min(AL_VF, p->c - block * AL_VF), at.y * OUT - p->pad[1],
                     -p->pad[2], s, to, w->vx);
  else
    for (int64_t q = 0; q < POINTS; q++) memset(to + q * w->vx, 0, (size_t)tw * sizeof *to);
}

// Adds the products of point q and panel k over n lines to their sums.
static void add(const work *w, const float *v, const float *z, int64_t n, int64_t q, int64_t k,
                float *sums, bool more) {
  for (int64_t d = 0; d < w->p.depth; d++)
    for (int64_t c = 0; c < w->chans; c += GR)
      accumulate(v + q * w->vx + c / AL_VF * w->vc + c % AL_VF + d * w->p.tw * AL_VF,
                 z + q * w->zx + k * WN * w->zk, w->zk, n * w->p.tw,
                 sums + q * w->sx + k * w->each + (d * w->chans + c) * WIDE, more);
}

static int64_t batch_lines(const work *w, int64_t b) {
  return al_min(w->lines, w->p.lines - b % w->batches * w->lines);
}

// The last panel may lack its second block: zeros.
static void clear_missing(const work *w, float *z) {
  for (int64_t i = 0; i < POINTS && w->panels * WN > w->outs; i++)
    memset(z + i * w->zx + w->outs * w->zk, 0, (size_t)w->zk * sizeof *z);
}

// Few channels: `partials` sums, each over its own range of batches, from private V and Z.
static void run_partials(const work *w, const float *x, const float *gy, int64_t partials,
                         float *sums, float *room, int64_t own) {
  int64_t all = w->p.stacks * w->batches;
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < partials; i++) {
    float *v = room + omp_get_thread_num() * own, *z = v + POINTS * w->vx,
          *s = z + POINTS * w->zx;
    clear_missing(w, z);
    for (int64_t b = all * i / partials, first = b; b < all * (i + 1) / partials; b++) {
      int64_t n = batch_lines(w, b);
      for (int64_t j = 0; j < fill_steps(w, n); j++) fill(w, x, gy, b, n, j, s, v, z);
      for (int64_t q = 0; q < POINTS; q++)
        for (int64_t k = 0; k < w->panels; k++)
          add(w, v, z, n, q, k, sums + i * w->sums, b > first);
    }
  }
#pragma omp parallel for schedule(static)
  for (int64_t j = 0; j < w->sums; j += WIDE)
    for (int64_t i = 1; i < partials; i++)
      for (int64_t l = j; l < al_min(j + WIDE, w->sums); l++) sums[l] += sums[i * w->sums + l];
}

// Many channels: one sum; all threads transform a batch, then share out its points and panels.
static void run_shared(const work *w, const float *x, const float *gy, float *sums, float *v,
                       float *room, int64_t own) {
  float *z = v + POINTS * w->vx;
  clear_missing(w, z);
#pragma omp parallel
  for (int64_t b = 0; b < w->p.stacks * w->batches; b++) {
    int64_t n = batch_lines(w, b);
    float *s = room + omp_get_thread_num() * own;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < fill_steps(w, n); i++) fill(w, x, gy, b, n, i, s, v, z);
#pragma omp for collapse(2) schedule(static)
    for (int64_t q = 0; q < POINTS; q++)
      for (int64_t k = 0; k < w->panels; k++) add(w, v, z, n, q, k, sums, b > 0);
  }
}

int AL_K(al_conv_winograd_weight)(const al_conv *cv, const float *x, const float *gy,
                                  float *gw) {
  work w = work_of(cv, SMALL);
  int64_t partials = al_min(al_min(PARTIALS, SUMS / w.sums), w.p.stacks * w.batches);
  bool private = partials >= 4;
  if (!private) w = work_of(cv, TILES), partials = 1;
  int64_t threads = omp_get_max_threads(), scratch = al_round_up(winograd_scratch(w.p.tw), 64);
  int64_t maps = al_round_up(POINTS * (w.vx + w.zx), 64);
  float *room = al_alloc(
      (size_t)(private ? threads * (maps + scratch) : maps + threads * scratch) * sizeof *room);
  float *sums = al_alloc((size_t)(partials * w.sums) * sizeof *sums);
  if (!room || !sums) return al_release(room), al_release(sums), -1;
  if (private) run_partials(&w, x, gy, partials, sums, room, maps + scratch);
  else run_shared(&w, x, gy, sums, room, room + maps, scratch);
#pragma omp parallel for collapse(3) schedule(static)
  for (int64_t b = 0; b < w.outs; b++)
    for (int64_t d = 0; d < w.p.depth; d++)
      for (int64_t c = 0; c < w.p.blocks; c++)
        finish(&w.p, b, d, c,
               sums + b / WN * w.each + b % WN * AL_VF + (d * w.chans + c * AL_VF) * WIDE, w.sx,
               gw);
  al_release(sums), al_release(room);
  return 0;
}
