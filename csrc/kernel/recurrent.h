/* recurrent.h: one step of an LSTM or GRU cell for one row; kernel/recurrent.c, one build per
 * instruction set. h units; vectors of gates are 4 h (i, f, g, o) or 3 h (r, z, n) long. */
#ifndef AL_KERNEL_RECURRENT_H
#define AL_KERNEL_RECURRENT_H
#include "../core/isa.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct al_recurrent_kernels { /* [0] float, [1] double */
  /* gates: the input's share, becomes the gates' values; p: the state's share, b: its bias.
   * c (cell), s (state) are updated; y: a copy of s. */
  void (*lstm[2])(int64_t h, void *gates, const void *p, const void *b, void *c, void *s,
                  void *y);
  /* dh, dc: cotangents of state and cell, after and then before the step (dh: 0, the caller
   * adds the product with dx); g: cotangent of y; c, before: the cell after and before. dx:
   * cotangent of the gates' arguments. */
  void (*lstm_back[2])(int64_t h, const void *gates, const void *c, const void *before,
                       const void *g, void *dh, void *dc, void *dx);
  /* q: W_hn s + b_hn, kept for gru_back */
  void (*gru[2])(int64_t h, void *gates, const void *p, const void *b, void *q, void *s,
                 void *y);
  /* before: the state before; ds: cotangent of p + b (dx: of the input's share) */
  void (*gru_back[2])(int64_t h, const void *gates, const void *q, const void *before,
                      const void *g, void *dh, void *dx, void *ds);
  /* C (m x n) = A (m x k, rows lda apart) B (k x n), or added to C: few rows, and a B that
   * stays in the cache from step to step, readable for 64 bytes past its end. */
  void (*product[2])(int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
                     bool add, void *c);
} al_recurrent_kernels;
AL_DECLARE_TABLE(al_recurrent_kernels, al_recurrent);
#endif
