// Convolution on plain arrays: one N-d form, N = 1..3, unused leading spatial dims being 1.
//
//   y[n][k][o] = b[k] + sum over c, t of w[k][c][t] x[n][g C/G + c][o * stride + t * dil - pad]
//
// x is (n, c, in), y (n, k, out), w (k, c / groups, ker), all contiguous; positions outside x
// count as zero. `pad` is the padding before; the padding after is whatever `out` implies. Each
// function returns 0, or -1 when workspace could not be had (the allocator's error stands).
// Results are the same bits for every number of threads.
#ifndef AL_KERNEL_CONV_H
#define AL_KERNEL_CONV_H

#include <stdint.h>

#include "../core/isa.h"

typedef struct al_conv {
  int64_t n, c, k, groups;
  int64_t in[3], out[3], ker[3], stride[3], dil[3], pad[3];
} al_conv;

typedef struct al_conv_kernels {
  // y = x * w + b; b may be NULL.
  int (*forward_f32)(const al_conv *, const float *x, const float *w, const float *b, float *y);
  // gx = the gradient in x, overwritten; also the forward pass of the transposed convolution.
  int (*grad_input_f32)(const al_conv *, const float *gy, const float *w, float *gx);
  // gw = the gradient in w, overwritten.
  int (*grad_weight_f32)(const al_conv *, const float *x, const float *gy, float *gw);
  int (*forward_f64)(const al_conv *, const double *x, const double *w, const double *b,
                     double *y);
  int (*grad_input_f64)(const al_conv *, const double *gy, const double *w, double *gx);
  int (*grad_weight_f64)(const al_conv *, const double *x, const double *gy, double *gw);
} al_conv_kernels;

AL_DECLARE_TABLE(al_conv_kernels, al_conv);

#endif
