// Matrix products on plain arrays: C = alpha op(A) op(B) + beta C, row major.
//
// op(A) is m x k, op(B) k x n, C m x n; ta means that A is stored k x m, tb that B is stored n
// x k. lda, ldb, ldc count the elements from one stored row to the next. beta = 0 never reads
// C. Each function returns 0, or -1 when workspace could not be had.
#ifndef AL_KERNEL_GEMM_H
#define AL_KERNEL_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/isa.h"

typedef struct al_gemm_kernels {
  // Shared among OpenMP threads; the same bits for every number of them.
  int (*f32)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
             int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
  int (*f64)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
             int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc);
  // On the calling thread alone, for callers that are parallel themselves (batches); the same
  // bits.
  int (*single_f32)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                    const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                    float *c, int64_t ldc);
  int (*single_f64)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha,
                    const double *a, int64_t lda, const double *b, int64_t ldb, double beta,
                    double *c, int64_t ldc);
} al_gemm_kernels;

AL_DECLARE_TABLE(al_gemm_kernels, al_gemm);

#endif
