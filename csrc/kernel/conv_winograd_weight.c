// The gradient in the weights of 3x3 and 3x3x3 convolutions by Winograd's algorithm
// (winograd.h): the gradient of Y = A^T [ (G g G^T) . V ] A in g is
//
//   G^T [ sum over images and tiles of V . (A gY A^T) ] G,         V = B^T d B,
//
// 36 products of (channels x tiles) by (tiles x output channels). Lines (conv_winograd.h) are
// taken in batches: all threads transform a batch, then share out the points and panels of its
// products, each sum having one owner and one order. float32 only.
//
//   V[point][channel block][tile][LANES]      Z[point][output block][tile][LANES]
//   sums[point][panel][depth tap][channel][WIDE]
#define AL_REAL 32
#include "conv_winograd.h"

#include <omp.h>

#include "../core/memory.h"

enum { TILES = 256, TAPS = 9 }; // tiles of a batch, about

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

int AL_K(al_conv_winograd_weight)(const al_conv *cv, const float *x, const float *gy,
                                  float *gw) {
  winograd_plan plan = winograd_plan_of(cv), *p = &plan;
  int64_t most = al_min(p->lines, al_max(1, TILES / p->tw)),
          batches = al_ceil_div(p->lines, most);
  int64_t lines = al_ceil_div(p->lines, batches), tw = p->tw * AL_VF;
  int64_t outs = al_ceil_div(p->k, AL_VF), panels = al_ceil_div(p->k, WIDE);
  int64_t vc = (lines + p->depth - 1) * tw, vx = p->blocks * vc + SKEW;
  int64_t zk = lines * tw, zx = panels * WN * zk + SKEW;
  int64_t chans = p->blocks * AL_VF, each = p->depth * chans * WIDE, ux = panels * each + SKEW;
  int64_t own = al_round_up(winograd_scratch(p->tw), 64);
  float *v = al_alloc((size_t)(POINTS * (vx + zx) + omp_get_max_threads() * own) * sizeof *v);
  float *sums = al_alloc((size_t)(POINTS * ux) * sizeof *sums);
  if (!v || !sums) return al_release(v), al_release(sums), -1;
  float *z = v + POINTS * vx, *room = z + POINTS * zx;
  winograd_map mx = {p->c, p->in[1], p->in[2], al_volume(p->in), p->tw};
  winograd_map my = {p->k, p->out[1], p->out[2], al_volume(p->out), p->tw};
  for (int64_t i = 0; i < POINTS && panels * WN > outs; i++) // the last panel's missing block
    memset(z + i * zx + outs * zk, 0, (size_t)zk * sizeof *z);
#pragma omp parallel
  for (int64_t batch = 0; batch < p->stacks * batches; batch++) {
    float *s = room + omp_get_thread_num() * own;
    int64_t stack = batch / batches, l0 = batch % batches * lines,
            n = al_min(lines, p->lines - l0);
    int64_t in = n + p->depth - 1;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < in * p->blocks + n * outs; i++) {
      bool back = i >= in * p->blocks;
      int64_t r = back ? i - in * p->blocks : i, l = back ? r % n : r % in,
              b = back ? r / n : r / in;
      winograd_place at = winograd_place_of(p, stack, l0 + l);
      if (back) {
        const float *from = gy + (at.n * p->k + b * AL_VF) * my.plane + at.z * my.h * my.w;
        winograd_line_back(&my, from, al_min(AL_VF, p->k - b * AL_VF), at.y * OUT, s,
                           z + b * zk + l * tw, zx);
        continue;
      }
      int64_t d = at.z - p->pad[0];
      float *to = v + b * vc + l * tw;
      const float *from = x + (at.n * p->c + b * AL_VF) * mx.plane + d * mx.h * mx.w;
      if (d >= 0 && d < p->in[0])
        winograd_line_in(&mx, from, al_min(AL_VF, p->c - b * AL_VF), at.y * OUT - p->pad[1],
                         -p->pad[2], s, to, vx);
      else
        for (int64_t q = 0; q < POINTS; q++) memset(to + q * vx, 0, (size_t)tw * sizeof *to);
    }
#pragma omp for collapse(2) schedule(static)
    for (int64_t q = 0; q < POINTS; q++)
      for (int64_t k = 0; k < panels; k++)
        for (int64_t d = 0; d < p->depth; d++)
          for (int64_t c = 0; c < chans; c += GR)
            accumulate(v + q * vx + c / AL_VF * vc + c % AL_VF + d * tw,
                       z + q * zx + k * WN * zk, zk, n * p->tw,
                       sums + q * ux + k * each + (d * chans + c) * WIDE, batch > 0);
  }
#pragma omp parallel for collapse(3) schedule(static)
  for (int64_t b = 0; b < outs; b++)
    for (int64_t d = 0; d < p->depth; d++)
      for (int64_t c = 0; c < p->blocks; c++)
        finish(p, b, d, c,
               sums + b / WN * each + b % WN * AL_VF + (d * chans + c * AL_VF) * WIDE, ux, gw);
  al_release(sums), al_release(v);
  return 0;
}
