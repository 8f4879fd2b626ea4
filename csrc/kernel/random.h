// Random fills: elements [begin, end) of a tensor, each a function of (key, counter, its
// position).
//
// Words come in groups of 64: word e of group k is word e / 16 of Philox at counter + 16 k + e
// % 16, an order in which sixteen counters run side by side in vector registers and nothing is
// transposed. A float32 takes one word an element, a float64 or a 64-bit integer two (group of
// 32).
#ifndef AL_KERNEL_RANDOM_H
#define AL_KERNEL_RANDOM_H
#include <stdint.h>

#include "../core/isa.h"

typedef struct al_random_kernels {
  // begin is a multiple of 64 (32 for 64-bit elements)
  void (*uniform_f32)(uint64_t key, uint64_t counter, int64_t begin, int64_t end, float *out,
                      float lo, float hi);
  void (*uniform_f64)(uint64_t key, uint64_t counter, int64_t begin, int64_t end, double *out,
                      double lo, double hi);
  void (*normal_f32)(uint64_t key, uint64_t counter, int64_t begin, int64_t end, float *out,
                     float mean, float std);
  void (*normal_f64)(uint64_t key, uint64_t counter, int64_t begin, int64_t end, double *out,
                     double mean, double std);
  void (*integer_i64)(uint64_t key, uint64_t counter, int64_t begin, int64_t end, int64_t *out,
                      int64_t lo, uint64_t span);
  // y = keep ? x * scale : 0, kept where word < threshold
  void (*dropout_f32)(uint64_t key, uint64_t counter, int64_t begin, int64_t end,
                      const float *x, float *y, uint32_t threshold, float scale);
  void (*dropout_f64)(uint64_t key, uint64_t counter, int64_t begin, int64_t end,
                      const double *x, double *y, uint32_t threshold, double scale);
} al_random_kernels;
AL_DECLARE_TABLE(al_random_kernels, al_random);
#endif
