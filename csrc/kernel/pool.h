// Max and average pooling of planes with 1 to 3 spatial dims, unused leading dims being 1.
//
// x is (planes, in), y (planes, out). Windows read o * stride + t * dil - pad. Ceil mode is
// expressed by `out`. Taps outside x never win a maximum; an average divides by the taps inside
// x, or, with count_include_pad, by the taps inside x padded by `pad` on both sides (PyTorch's
// rule). A window without a tap inside gives -inf (index -1), respectively 0. Each function
// returns 0, or -1 when workspace could not be had.
#ifndef AL_KERNEL_POOL_H
#define AL_KERNEL_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/isa.h"

typedef struct al_pool {
  int64_t planes, in[3], out[3], ker[3], stride[3], dil[3], pad[3];
  bool count_include_pad;
} al_pool;

typedef struct al_pool_kernels {
  // y = the maxima (a NaN wins); at, if not NULL, the winner's index in its plane (the first of
  // equals).
  int (*max_forward_f32)(const al_pool *, const float *x, float *y, int32_t *at);
  // gx = 0, then gx[at] += gy.
  int (*max_backward_f32)(const al_pool *, const float *gy, const int32_t *at, float *gx);
  int (*avg_forward_f32)(const al_pool *, const float *x, float *y);
  int (*avg_backward_f32)(const al_pool *, const float *gy, float *gx);
  int (*max_forward_f64)(const al_pool *, const double *x, double *y, int32_t *at);
  int (*max_backward_f64)(const al_pool *, const double *gy, const int32_t *at, double *gx);
  int (*avg_forward_f64)(const al_pool *, const double *x, double *y);
  int (*avg_backward_f64)(const al_pool *, const double *gy, double *gx);
} al_pool_kernels;

AL_DECLARE_TABLE(al_pool_kernels, al_pool);

#endif
