// Elementwise loop bodies over contiguous arrays. Strided and repeated operands are packed
// block by block by op/elementwise.c, so that an op is one loop a dtype and gives the same bits
// in any layout. The result may be one of the operands exactly (in-place ops), never a shifted
// view of one.
#ifndef AL_LOOPS_H
#define AL_LOOPS_H
#include "elementwise.h"
#include "kernel.h"

#define AL_SIMD _Pragma("omp simd")
#define AL_CORE_ARGS                                                        \
  int64_t n, void *out, AL_UNUSED const void *px, AL_UNUSED const void *py, \
      AL_UNUSED const void *pz, AL_UNUSED al_elementwise_context *ctx

// out[i] = EXPR(x); p0 and p1 are the op's numbers
#define AL_LOOP1(NAME, TO, TX, EXPR)                                       \
  static void NAME(AL_CORE_ARGS) {                                         \
    AL_UNUSED const AL_NUM p0 = (AL_NUM)ctx->p[0], p1 = (AL_NUM)ctx->p[1]; \
    AL_SIMD for (int64_t i = 0; i < n; i++) {                              \
      AL_UNUSED const TX x = ((const TX *)px)[i];                          \
      ((TO *)out)[i] = (TO)(EXPR);                                         \
    }                                                                      \
  }
// out[i] = EXPR(x, y)
#define AL_LOOP2(NAME, TO, TX, EXPR)                             \
  static void NAME(AL_CORE_ARGS) {                               \
    AL_SIMD for (int64_t i = 0; i < n; i++) {                    \
      const TX x = ((const TX *)px)[i], y = ((const TX *)py)[i]; \
      ((TO *)out)[i] = (TO)(EXPR);                               \
    }                                                            \
  }
#endif
