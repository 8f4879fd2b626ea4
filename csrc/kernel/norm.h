/* norm.h: the loops normalisation is made of, on contiguous runs of n elements.
 *
 * Values are centred before they are multiplied, so that a mean far from zero costs no digits.
 * Sums are formed in vectors of the element type over blocks of 2048 elements and added up in
 * double. `stream`: y is written past the caches; al_stream_end follows. Pointers are float or
 * double by the table taken: AL_SELECT(al_norm).f32 or .f64. */
#ifndef AL_KERNEL_NORM_H
#define AL_KERNEL_NORM_H
#include "../core/isa.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct al_norm_loops {
  /* sum[0] += sum (x - shift), sum[1] += sum (x - shift)^2 */
  void (*moments)(const void *x, int64_t n, double shift, double *sum);
  /* sum[0] += sum g w, sum[1] += sum g w (x - shift); w may be NULL (ones) */
  void (*dots)(const void *g, const void *w, const void *x, int64_t n, double shift,
               double *sum);
  /* y = (x - mean) a + b */
  void (*scale)(const void *x, void *y, int64_t n, double mean, double a, double b,
                bool stream);
  /* y = (x - mean) a w + b, with vectors w and b; either may be NULL (ones, zeros) */
  void (*scale_by)(const void *x, const void *w, const void *b, void *y, int64_t n, double mean,
                   double a, bool stream);
  /* gx = a g + b (x - mean) + c */
  void (*blend)(const void *g, const void *x, void *gx, int64_t n, double mean, double a,
                double b, double c, bool stream);
  /* gx = a g w + b (x - mean) + c, gw += g (x - mean) a, gb += g; w may be NULL (ones) */
  void (*blend_by)(const void *g, const void *w, const void *x, void *gx, void *gw, void *gb,
                   int64_t n, double mean, double a, double b, double c, bool stream);
} al_norm_loops;

typedef struct al_norm_kernels {
  al_norm_loops f32, f64;
} al_norm_kernels;
AL_DECLARE_TABLE(al_norm_kernels, al_norm);
#endif
