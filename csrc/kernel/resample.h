/* resample.h: one dim of an array resized by a filter: y[i] = sum_t weight[t][i]
 * x[index[t][i]]. */
#ifndef AL_KERNEL_RESAMPLE_H
#define AL_KERNEL_RESAMPLE_H
#include "../core/isa.h"
#include <stdint.h>

typedef struct al_filter {
  int64_t in, out, width;
  const int32_t *index; /* (width, out); entries of weight 0 point at some valid x */
  const int32_t *count; /* (out): taps in use */
  const void *weight;   /* (width, out), float or double */
} al_filter;

typedef struct al_resample_kernels {
  /* x (in, inner) -> y (out, inner) */
  void (*apply_f32)(const al_filter *, int64_t inner, const float *x, float *y);
  void (*apply_f64)(const al_filter *, int64_t inner, const double *x, double *y);
} al_resample_kernels;
AL_DECLARE_TABLE(al_resample_kernels, al_resample);
#endif
