// Reductions over rows or columns of contiguous matrices, indexed by kind and dtype.
#ifndef AL_KERNEL_REDUCE_H
#define AL_KERNEL_REDUCE_H
#include <stdbool.h>
#include <stdint.h>

#include "../core/isa.h"

// What is folded. Sums of squares and magnitudes fold their own results as AL_R_SUM does; any
// and all are the largest and smallest bool.
enum { AL_R_SUM, AL_R_SUM_SQUARES, AL_R_SUM_ABS, AL_R_PROD, AL_R_MAX, AL_R_MIN, AL_R_KINDS };

typedef struct al_fold {
  // out[r] = fold of x[r ld + 0 .. n-1], r < rows
  void (*row)(int64_t rows, int64_t n, int64_t ld, const void *x, void *out);
  // out[c] = fold over r < rows of x[r ld + c], c < cols
  void (*col)(int64_t rows, int64_t cols, int64_t ld, const void *x, void *out);
} al_fold;

typedef struct al_extreme {
  // The largest (smallest) of n elements and its position from 1, the first among equals; NaN
  // wins.
  void (*row)(int64_t rows, int64_t n, const void *x, void *value, int64_t *index);
  void (*col)(int64_t rows, int64_t cols, int64_t ld, const void *x, void *value,
              int64_t *index);
} al_extreme;

typedef struct al_reduce_kernels {
  // bool uint8 int32 int64 float32 float64. Sums of integers are int64; where there is no
  // kernel, int64 has one, and the caller casts.
  al_fold fold[AL_R_KINDS][6];
  al_extreme extreme[2][6]; // largest, smallest
  // y[r] = x[0] + ... + x[r] (or their product) down the rows of an n x inner matrix, or up
  // from the last row
  void (*scan[2][6])(int64_t n, int64_t inner, const void *x, void *y, bool reverse);
} al_reduce_kernels;
AL_DECLARE_TABLE(al_reduce_kernels, al_reduce);

// Softmax and its relatives along the middle of (outer, n, inner) arrays; `inner` columns at a
// stride.
enum { AL_SOFTMAX, AL_LOG_SOFTMAX, AL_LOGSUMEXP, AL_LOG_PARTS };
typedef struct al_softmax_kernels {
  // one (n, inner) matrix, columns [begin, end); logsumexp writes one row, log parts two: the
  // largest and log sum e^(x - largest). stream: y past the caches; al_stream_end follows.
  void (*forward[2])(int kind, int64_t n, int64_t inner, int64_t begin, int64_t end,
                     const void *x, void *y, bool stream);
  // gx = y (g - sum g y), or g - e^y sum g
  void (*backward[2])(int kind, int64_t n, int64_t inner, int64_t begin, int64_t end,
                      const void *y, const void *g, void *gx, bool stream);
} al_softmax_kernels;
AL_DECLARE_TABLE(al_softmax_kernels, al_softmax);
#endif
