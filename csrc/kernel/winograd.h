// Winograd's convolution F(4x4, 3x3): 16 outputs of a 3x3 convolution from 36 multiplications
// instead of 144. S. Winograd, "Arithmetic complexity of computations", SIAM 1980; A. Lavin and
// S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016:
//
//   Y = A^T [ (G g G^T) . (B^T d B) ] A,     d 6x6 inputs, g 3x3 weights, Y 4x4 outputs
//
// Summed over channels before the last transform, the products become 36 matrix products.
// Interpolation points 0, +-1/sqrt2, +-sqrt2 and infinity: as cheap as the usual 0, +-1, +-2,
// and 2 to 5 times more accurate, the transforms' entries being closer to 1. With p the points'
// squares 1/2 and 2, p1 p2 = 1.
//
// An infinity or a NaN in a tile spreads to all its outputs; finite inputs give finite outputs.
//
// Vectors hold LANES channels. For float only; include real.h with AL_REAL 32 first.
#ifndef AL_KERNEL_WINOGRAD_H
#define AL_KERNEL_WINOGRAD_H

#include "conv.h"
#include "transpose.h"

enum { POINTS = 36, OUT = 4, IN = 6 }; // products a tile, side of a tile's outputs and inputs

#define PA 0.70710678118654752f
#define PB 1.41421356237309505f
#define PA3 0.35355339059327376f // PA^3
#define PB3 2.82842712474619010f // PB^3

// o = B^T d, 6 -> 6
AL_INLINE void winograd_input(const al_vf d[IN], al_vf o[IN]) {
  al_vf e1 = d[4] - 2 * d[2], f1 = d[3] - 2 * d[1];
  al_vf e2 = d[4] - 0.5f * d[2], f2 = d[3] - 0.5f * d[1];
  o[0] = d[0] + (d[4] - 2.5f * d[2]);
  o[1] = e1 + PA * f1, o[2] = e1 - PA * f1;
  o[3] = e2 + PB * f2, o[4] = e2 - PB * f2;
  o[5] = d[1] + (d[5] - 2.5f * d[3]);
}

// y = A^T m, 6 -> 4
AL_INLINE void winograd_output(const al_vf m[IN], al_vf y[OUT]) {
  al_vf s1 = m[1] + m[2], d1 = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
  y[0] = m[0] + s1 + s2;
  y[1] = PA * d1 + PB * d2;
  y[2] = 0.5f * s1 + 2 * s2;
  y[3] = PA3 * d1 + (PB3 * d2 + m[5]);
}

// m = A y, 4 -> 6: the gradient of the output transform
AL_INLINE void winograd_output_back(const al_vf y[OUT], al_vf m[IN]) {
  al_vf s1 = y[0] + 0.5f * y[2], d1 = PA * y[1] + PA3 * y[3];
  al_vf s2 = y[0] + 2 * y[2], d2 = PB * y[1] + PB3 * y[3];
  m[0] = y[0], m[5] = y[3];
  m[1] = s1 + d1, m[2] = s1 - d1;
  m[3] = s2 + d2, m[4] = s2 - d2;
}

// u = G g, 3 -> 6
AL_INLINE void winograd_weight(const al_vf g[3], al_vf u[IN]) {
  al_vf s1 = g[0] + 0.5f * g[2], d1 = PA * g[1], s2 = g[0] + 2 * g[2], d2 = PB * g[1];
  u[0] = g[0], u[5] = g[2];
  u[1] = (s1 + d1) * (-2 / 3.f), u[2] = (s1 - d1) * (-2 / 3.f);
  u[3] = (s2 + d2) * (1 / 6.f), u[4] = (s2 - d2) * (1 / 6.f);
}

// g = G^T u, 6 -> 3: the gradient of the weight transform
AL_INLINE void winograd_weight_back(const al_vf u[IN], al_vf g[3]) {
  al_vf s1 = (u[1] + u[2]) * (-2 / 3.f), d1 = (u[1] - u[2]) * (-2 / 3.f);
  al_vf s2 = (u[3] + u[4]) * (1 / 6.f), d2 = (u[3] - u[4]) * (1 / 6.f);
  g[0] = u[0] + s1 + s2;
  g[1] = PA * d1 + PB * d2;
  g[2] = 0.5f * s1 + 2 * s2 + u[5];
}

// A map of c channels over h x w, cut in tw tiles across; `plane` elements from channel to
// channel.
typedef struct winograd_map {
  int64_t c, h, w, plane, tw;
} winograd_map;

// Numbers of scratch that a line of `tw` tiles needs.
static inline int64_t winograd_scratch(int64_t tw) {
  return IN * (OUT * tw + 2 + 2 * AL_VF) * AL_VF;
}

// Rows h0 .. h0 + rows of LANES channels from x (the first of `n` that exist; the others are
// 0), columns w0 .. w0 + wide, as s[row][column][LANES], `pitch` columns a row. Zeros outside
// the map.
AL_INLINE void winograd_load(const winograd_map *m, const float *x, int64_t n, int64_t h0,
                             int64_t rows, int64_t w0, int64_t wide, float *s, int64_t pitch) {
  for (int64_t i = 0; i < rows; i++, s += pitch * AL_VF) {
    int64_t h = h0 + i;
    if (h < 0 || h >= m->h) {
      memset(s, 0, (size_t)(wide * AL_VF) * sizeof *s);
      continue;
    }
    for (int64_t q = 0; q < wide; q += AL_VF) {
      const float *from = x + h * m->w + w0 + q;
      int64_t lo = al_min(AL_VF, al_max(0, -(w0 + q))),
              hi = al_max(lo, al_min(AL_VF, m->w - w0 - q));
      al_vf r[AL_VF];
      if (n == AL_VF && lo == 0 && hi == AL_VF) {
        AL_UNROLL
        for (int c = 0; c < AL_VF; c++) r[c] = load_f32(from + c * m->plane);
      } else
        for (int c = 0; c < AL_VF; c++)
          r[c] = c < n ? load_part_f32(from + c * m->plane, lo, hi) : (al_vf){0};
      transpose_f32(r);
      AL_UNROLL
      for (int c = 0; c < AL_VF; c++) store_f32(s + (q + c) * AL_VF, r[c]);
    }
  }
}

// V[point][tile][LANES] = B^T d B of one line of tiles: input rows h0 .. h0 + 6 of up to LANES
// channels at x, tiles 4 columns apart from w0; points lie vx apart.
AL_UNUSED static void winograd_line_in(const winograd_map *m, const float *x, int64_t n,
                                       int64_t h0, int64_t w0, float *s, float *v, int64_t vx) {
  int64_t wide = OUT * m->tw + 2, pitch = wide + 2 * AL_VF;
  winograd_load(m, x, n, h0, IN, w0, wide, s, pitch);
  for (int64_t q = 0; q < wide; q++) {
    al_vf d[IN], o[IN];
    AL_UNROLL
    for (int i = 0; i < IN; i++) d[i] = load_f32(s + (i * pitch + q) * AL_VF);
    winograd_input(d, o);
    AL_UNROLL
    for (int i = 0; i < IN; i++) store_f32(s + (i * pitch + q) * AL_VF, o[i]);
  }
  for (int64_t t = 0; t < m->tw; t++)
    for (int i = 0; i < IN; i++) {
      al_vf d[IN], o[IN];
      AL_UNROLL
      for (int j = 0; j < IN; j++) d[j] = load_f32(s + (i * pitch + t * OUT + j) * AL_VF);
      winograd_input(d, o);
      AL_UNROLL
      for (int j = 0; j < IN; j++) store_f32(v + (i * IN + j) * vx + t * AL_VF, o[j]);
    }
}

// Z[point][tile][LANES] = A g A^T of one line of tiles of gradients: rows h0 .. h0 + 4.
AL_UNUSED static void winograd_line_back(const winograd_map *m, const float *g, int64_t n,
                                         int64_t h0, float *s, float *z, int64_t zx) {
  int64_t wide = OUT * m->tw, pitch = wide + AL_VF;
  winograd_load(m, g, n, h0, OUT, 0, wide, s, pitch);
  for (int64_t t = 0; t < m->tw; t++) {
    al_vf half[IN][OUT];
    AL_UNROLL
    for (int j = 0; j < OUT; j++) {
      al_vf d[OUT], o[IN];
      AL_UNROLL
      for (int i = 0; i < OUT; i++) d[i] = load_f32(s + (i * pitch + t * OUT + j) * AL_VF);
      winograd_output_back(d, o);
      AL_UNROLL
      for (int i = 0; i < IN; i++) half[i][j] = o[i];
    }
    for (int i = 0; i < IN; i++) {
      al_vf o[IN];
      winograd_output_back(half[i], o);
      AL_UNROLL
      for (int j = 0; j < IN; j++) store_f32(z + (i * IN + j) * zx + t * AL_VF, o[j]);
    }
  }
}

// Y = A^T M A of one line of tiles, to rows h0 .. h0 + 4 of n channels at y, plus their bias if
// any.
AL_UNUSED static void winograd_line_out(const winograd_map *m, float *y, int64_t n, int64_t h0,
                                        const float *bias, float *s, const float *sums,
                                        int64_t mx) {
  int64_t pitch = OUT * m->tw + AL_VF;
  al_vf b = {0};
  if (bias) b = load_part_f32(bias, 0, n);
  for (int64_t t = 0; t < m->tw; t++) {
    al_vf half[IN][OUT];
    for (int i = 0; i < IN; i++) {
      al_vf d[IN];
      AL_UNROLL
      for (int j = 0; j < IN; j++) d[j] = load_f32(sums + (i * IN + j) * mx + t * AL_VF);
      winograd_output(d, half[i]);
    }
    AL_UNROLL
    for (int j = 0; j < OUT; j++) {
      al_vf d[IN], o[OUT];
      AL_UNROLL
      for (int i = 0; i < IN; i++) d[i] = half[i][j];
      winograd_output(d, o);
      AL_UNROLL
      for (int i = 0; i < OUT; i++) store_f32(s + (i * pitch + t * OUT + j) * AL_VF, o[i] + b);
    }
  }
  for (int64_t i = 0; i < al_min(OUT, m->h - h0); i++)
    for (int64_t q = 0; q < m->w; q += AL_VF) {
      float *to = y + (h0 + i) * m->w + q;
      al_vf r[AL_VF];
      AL_UNROLL
      for (int c = 0; c < AL_VF; c++) r[c] = load_f32(s + (i * pitch + q + c) * AL_VF);
      transpose_f32(r);
      if (m->w - q >= AL_VF)
        for (int64_t c = 0; c < n; c++) store_f32(to + c * m->plane, r[c]);
      else
        for (int64_t c = 0; c < n; c++) store_part_f32(to + c * m->plane, m->w - q, r[c]);
    }
}

#endif
