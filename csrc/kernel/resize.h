/* resize.h: one axis of a picture resampled, a plane at a time. */
#ifndef AL_KERNEL_RESIZE_H
#define AL_KERNEL_RESIZE_H
#include "../core/isa.h"
#include <stdint.h>

/* Output row r is the sum over k < count[r] of weight[r * most + k] times input row first[r] +
 * k. */
typedef struct al_taps {
  const int32_t *first, *count;
  const void *weight; /* of the type computed in */
  int64_t most, rows; /* weights a row; output rows */
} al_taps;

/* Output rows [begin, end) of one plane, written transposed: out[j * taps->rows + r] for the
 * column j < width. Two passes resample both axes, and each runs along contiguous rows. */
typedef struct al_resize_kernels {
  void (*u8_f32)(const al_taps *, const void *in, int64_t width, int64_t begin, int64_t end,
                 void *out);
  void (*f32_f32)(const al_taps *, const void *in, int64_t width, int64_t begin, int64_t end,
                  void *out);
  void (*f32_u8)(const al_taps *, const void *in, int64_t width, int64_t begin, int64_t end,
                 void *out);
  void (*f64_f64)(const al_taps *, const void *in, int64_t width, int64_t begin, int64_t end,
                  void *out);
} al_resize_kernels;

AL_DECLARE_TABLE(al_resize_kernels, al_resize);
#endif
