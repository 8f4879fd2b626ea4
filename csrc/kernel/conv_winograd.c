// 3x3 convolutions of stride 1 by Winograd's algorithm (winograd.h), and 3x3x3 ones plane by
// plane, the three depth taps being terms of the same sum. Forward and gradient in the input,
// which is a forward convolution with the taps reversed and the channels exchanged. float32
// only.
//
// A line is a row of tiles across one plane. Lines are taken in chunks: inputs transformed to
// V, 36 matrix products M = V U, outputs transformed from M. With few channels the chunks are
// small and each has one thread, so that V and M stay in its cache and U, transformed once, is
// read from the shared cache. With many channels and few tiles U is the large operand: V of all
// tiles is shared, and each thread takes panels of output channels, transforming the weights of
// a panel just before use.
//
//   V[point][channel block][tile][LANES]        U[point][panel][depth tap][channel][WIDE]
//   M[point][output block][tile][LANES]
#define AL_REAL 32
#include "conv_winograd.h"

#include <omp.h>

#include "../core/memory.h"

enum {
  TILES = 28,       // of a small chunk, about
  SHARED = 1 << 17, // shared V: tiles x channels at most
  LARGE = 1 << 16   // shared V: channels x output channels at least
};

// One tile of the products: mr tiles by WIDE output channels. v points to the first tile;
// channel blocks lie vc apart, depth taps vd; m gets WN blocks, mk apart.
AL_INLINE void multiply_run(int mr, const float *v, int64_t blocks, int64_t vc, int64_t depth,
                            int64_t vd, const float *u, float *m, int64_t mk) {
  al_vf acc[WR][WN];
  AL_UNROLL
  for (int i = 0; i < mr; i++) {
    AL_UNROLL
    for (int j = 0; j < WN; j++) acc[i][j] = (al_vf){0};
  }
  for (int64_t d = 0; d < depth; d++)
    for (int64_t b = 0; b < blocks; b++) {
      const float *p = v + d * vd + b * vc;
      for (int e = 0; e < AL_VF; e++, p++, u += WIDE) {
        al_vf w[WN];
        AL_UNROLL
        for (int j = 0; j < WN; j++) w[j] = load_f32(u + j * AL_VF);
        AL_UNROLL
        for (int i = 0; i < mr; i++) {
          AL_UNROLL
          for (int j = 0; j < WN; j++) acc[i][j] += p[i * AL_VF] * w[j];
        }
      }
    }
  AL_UNROLL
  for (int i = 0; i < mr; i++) {
    AL_UNROLL
    for (int j = 0; j < WN; j++) store_f32(m + j * mk + i * AL_VF, acc[i][j]);
  }
}

#define MULTIPLY(n)                                                                   \
  static void multiply_##n(const float *v, int64_t blocks, int64_t vc, int64_t depth, \
                           int64_t vd, const float *u, float *m, int64_t mk) {        \
    multiply_run(n, v, blocks, vc, depth, vd, u, m, mk);                              \
  }
// clang-format off
MULTIPLY(1) MULTIPLY(2) MULTIPLY(3) MULTIPLY(4)
#if WR > 4
MULTIPLY(5) MULTIPLY(6)
#endif
#if WR > 6
MULTIPLY(7) MULTIPLY(8) MULTIPLY(9) MULTIPLY(10) MULTIPLY(11) MULTIPLY(12)
#endif
#if WR > 12
MULTIPLY(13) MULTIPLY(14)
#endif
static void (*const multiply[])(const float *, int64_t, int64_t, int64_t, int64_t, const float *,
                                float *, int64_t) = {
  0, multiply_1, multiply_2, multiply_3, multiply_4,
#if WR > 4
  multiply_5, multiply_6,
#endif
#if WR > 6
  multiply_7, multiply_8, multiply_9, multiply_10, multiply_11, multiply_12,
#endif
#if WR > 12
  multiply_13, multiply_14,
#endif
};
// clang-format on

// U of output channels k0 .. k0 + WIDE, points ux apart: (depth tap, channel, WIDE) each.
// Channels and outputs that do not exist give zeros.
static void weights(const winograd_plan *p, const float *w, int64_t k0, float *u, int64_t ux) {
  enum { TAPS = 9 };
  float s[TAPS * AL_VF] __attribute__((aligned(64))) = {0};
  for (int64_t j = 0; j < WN; j++, k0 += AL_VF, u += AL_VF) {
    int64_t n = al_min(AL_VF, p->k - k0);
    for (int64_t d = 0; d < p->depth; d++)
      for (int64_t c = 0; c < p->blocks * AL_VF; c++) {
        if (c >= p->c || n <= 0) memset(s, 0, sizeof s);
        else {
          int64_t dw = p->flip ? p->depth - 1 - d : d;
          const float *g = w + k0 * p->w_row + c * p->w_chan + dw * TAPS;
          transpose_strip_f32(g, p->w_row, n, TAPS, s, AL_VF);
        }
        al_vf half[IN][3];
        AL_UNROLL
        for (int x = 0; x < 3; x++) {
          al_vf g[3], o[IN];
          AL_UNROLL
          for (int y = 0; y < 3; y++) {
            int t = y * 3 + x;
            g[y] = load_f32(s + (p->flip ? TAPS - 1 - t : t) * AL_VF);
          }
          winograd_weight(g, o);
          AL_UNROLL
          for (int y = 0; y < IN; y++) half[y][x] = o[y];
        }
        float *to = u + (d * p->blocks * AL_VF + c) * WIDE;
        for (int y = 0; y < IN; y++) {
          al_vf o[IN];
          winograd_weight(half[y], o);
          AL_UNROLL
          for (int x = 0; x < IN; x++) store_f32(to + (y * IN + x) * ux, o[x]);
        }
      }
  }
}

// Transforms one channel block of lines at .. at + lines + depth - 1 of a stack into V.
static void line_in(const winograd_plan *p, const float *x, int64_t stack, int64_t line,
                    int64_t block, float *s, float *v, int64_t vx) {
  winograd_place at = winograd_place_of(p, stack, line);
  int64_t z = at.z - p->pad[0];
  if (z < 0 || z >= p->in[0]) {
    for (int64_t i = 0; i < POINTS; i++)
      memset(v + i * vx, 0, (size_t)(p->tw * AL_VF) * sizeof *v);
    return;
  }
  winograd_map m = {p->c, p->in[1], p->in[2], p->in[0] * p->in[1] * p->in[2], p->tw};
  const float *from = x + (at.n * p->c + block * AL_VF) * m.plane + z * m.h * m.w;
  winograd_line_in(&m, from, al_min(AL_VF, p->c - block * AL_VF), at.y * OUT - p->pad[1],
                   -p->pad[2], s, v, vx);
}

static void line_out(const winograd_plan *p, float *y, int64_t stack, int64_t line,
                     int64_t block, const float *bias, float *s, const float *sums,
                     int64_t mx) {
  winograd_place at = winograd_place_of(p, stack, line);
  winograd_map m = {p->k, p->out[1], p->out[2], p->out[0] * p->out[1] * p->out[2], p->tw};
  float *to = y + (at.n * p->k + block * AL_VF) * m.plane + at.z * m.h * m.w;
  winograd_line_out(&m, to, al_min(AL_VF, p->k - block * AL_VF), at.y * OUT,
                    bias ? bias + block * AL_VF : NULL, s, sums, mx);
}

// M of one panel from V of `lines` lines: all points.
static void products(const winograd_plan *p, const float *v, int64_t vx, int64_t vc,
                     const float *u, int64_t ux, int64_t tiles, float *m, int64_t mx,
                     int64_t mk, int64_t x0, int64_t x1) {
  int64_t parts = al_ceil_div(tiles, WR);
  for (int64_t x = x0; x < x1; x++)
    for (int64_t b = 0; b < parts; b++) {
      int64_t t0 = tiles * b / parts, t1 = tiles * (b + 1) / parts;
      multiply[t1 - t0](v + x * vx + t0 * AL_VF, p->blocks, vc, p->depth, p->tw * AL_VF,
                        u + x * ux, m + x * mx + t0 * AL_VF, mk);
    }
}

// Small chunks, a thread each; U of everything first.
static int run_chunks(const winograd_plan *p, const float *x, const float *w, const float *bias,
                      float *y) {
  int64_t panels = al_ceil_div(p->k, WIDE), each = p->depth * p->blocks * AL_VF * WIDE;
  int64_t ux = panels * each + SKEW, lines = p->chunk, tiles = lines * p->tw;
  int64_t vc = winograd_odd((lines + p->depth - 1) * p->tw * AL_VF), vx = p->blocks * vc + SKEW;
  int64_t mk = tiles * AL_VF, mx = panels * WN * mk + SKEW;
  int64_t own = winograd_scratch(p->tw) + POINTS * (vx + mx),
          chunks = al_ceil_div(p->lines, lines);
  float *u = al_alloc((size_t)(POINTS * ux) * sizeof *u);
  float *room = al_alloc((size_t)(omp_get_max_threads() * own) * sizeof *room);
  if (!u || !room) return al_release(u), al_release(room), -1;
#pragma omp parallel
  {
    float *v = room + omp_get_thread_num() * own, *m = v + POINTS * vx, *s = m + POINTS * mx;
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < panels; i++) weights(p, w, i * WIDE, u + i * each, ux);
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t stack = 0; stack < p->stacks; stack++)
      for (int64_t i = 0; i < chunks; i++) {
        int64_t l0 = i * lines, n = al_min(lines, p->lines - l0);
        for (int64_t b = 0; b < p->blocks; b++)
          for (int64_t l = 0; l < n + p->depth - 1; l++)
            line_in(p, x, stack, l0 + l, b, s, v + b * vc + l * p->tw * AL_VF, vx);
        for (int64_t q = 0; q < POINTS; q++)
          for (int64_t k = 0; k < panels; k++)
            products(p, v, vx, vc, u + k * each, ux, n * p->tw, m + k * WN * mk, mx, mk, q,
                     q + 1);
        for (int64_t b = 0; b < al_ceil_div(p->k, AL_VF); b++)
          for (int64_t l = 0; l < n; l++)
            line_out(p, y, stack, l0 + l, b, bias, s, m + b * mk + l * p->tw * AL_VF, mx);
      }
  }
  al_release(room), al_release(u);
  return 0;
}

// All tiles of a stack shared, a panel of output channels a task.
static int run_panels(const winograd_plan *p, const float *x, const float *w, const float *bias,
                      float *y) {
  int64_t panels = al_ceil_div(p->k, WIDE), ux = p->depth * p->blocks * AL_VF * WIDE + SKEW;
  int64_t lines = p->lines, tiles = lines * p->tw, in = lines + p->depth - 1;
  int64_t vc = winograd_odd(in * p->tw * AL_VF), vx = p->blocks * vc + SKEW, mk = tiles * AL_VF,
          mx = WN * mk + SKEW;
  int64_t own = al_round_up(winograd_scratch(p->tw) + POINTS * (ux + mx), 64);
  float *v = al_alloc((size_t)(POINTS * vx) * sizeof *v);
  float *room = al_alloc((size_t)(omp_get_max_threads() * own) * sizeof *room);
  if (!v || !room) return al_release(v), al_release(room), -1;
#pragma omp parallel
  {
    float *u = room + omp_get_thread_num() * own, *m = u + POINTS * ux, *s = m + POINTS * mx;
    for (int64_t stack = 0; stack < p->stacks; stack++) {
#pragma omp for collapse(2) schedule(static)
      for (int64_t b = 0; b < p->blocks; b++)
        for (int64_t l = 0; l < in; l++)
          line_in(p, x, stack, l, b, s, v + b * vc + l * p->tw * AL_VF, vx);
#pragma omp for schedule(dynamic)
      for (int64_t k = 0; k < panels; k++) {
        weights(p, w, k * WIDE, u, ux);
        products(p, v, vx, vc, u, ux, tiles, m, mx, mk, 0, POINTS);
        for (int64_t j = 0; j < WN && (k * WN + j) * AL_VF < p->k; j++)
          for (int64_t l = 0; l < lines; l++)
            line_out(p, y, stack, l, k * WN + j, bias, s, m + j * mk + l * p->tw * AL_VF, mx);
      }
    }
  }
  al_release(room), al_release(v);
  return 0;
}

static int run(winograd_plan *p, const float *x, const float *w, const float *bias, float *y) {
  int64_t all = p->lines * p->tw;
  if (p->stacks == 1 && p->c * p->k >= LARGE && all * p->c <= SHARED)
    return run_panels(p, x, w, bias, y);
  int64_t lines = al_max(1, al_max(TILES, p->c / 5) / p->tw);
  p->chunk = al_max(1, al_min(lines, al_ceil_div(p->lines * p->stacks, 8)));
  p->chunk = al_min(p->chunk, p->lines);
  return run_chunks(p, x, w, bias, y);
}

bool AL_K(al_conv_winograd_fits)(const al_conv *cv) {
  const int64_t *k = cv->ker, *o = cv->out;
  for (int i = 0; i < 3; i++)
    if (cv->stride[i] != 1 || cv->dil[i] != 1 || cv->pad[i] < 0 || cv->pad[i] >= k[i])
      return false;
  bool shape = (k[0] == 1 || k[0] == 3) && k[1] == 3 && k[2] == 3;
  int64_t tiles = al_ceil_div(o[1], OUT) * al_ceil_div(o[2], OUT);
  // Worth it while the products are at most 2/3 of the direct sum's.
  return shape && al_winograd_on() && cv->groups == 1 && cv->c >= 16 && cv->k >= 16 &&
         3 * POINTS * tiles <= 2 * 9 * o[1] * o[2];
}

int AL_K(al_conv_winograd_forward)(const al_conv *cv, const float *x, const float *w,
                                   const float *b, float *y) {
  winograd_plan p = winograd_plan_of(cv);
  int64_t taps = al_volume(cv->ker);
  p.w_row = cv->c * taps, p.w_chan = taps;
  return run(&p, x, w, b, y);
}

int AL_K(al_conv_winograd_input)(const al_conv *cv, const float *gy, const float *w,
                                 float *gx) {
  al_conv back = *cv;
  back.c = cv->k, back.k = cv->c;
  for (int i = 0; i < 3; i++)
    back.in[i] = cv->out[i], back.out[i] = cv->in[i], back.pad[i] = cv->ker[i] - 1 - cv->pad[i];
  winograd_plan p = winograd_plan_of(&back);
  int64_t taps = al_volume(cv->ker);
  p.w_row = taps, p.w_chan = cv->c * taps, p.flip = true;
  return run(&p, gy, w, NULL, gx);
}
