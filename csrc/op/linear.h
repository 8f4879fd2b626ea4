/* linear.h: products for ops that run on all threads themselves. */
#ifndef AL_OP_LINEAR_H
#define AL_OP_LINEAR_H
#include "../albedo.h"

/* C (m x n) = A (m x k) B (k x n, or stored n x k) + beta C, floats or doubles, on this thread;
 * ld: elements from one stored row to the next. No size is 0. */
void al_one_product(al_dtype d, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                    const void *b, int64_t ldb, bool b_transposed, double beta, void *c,
                    int64_t ldc);
const char *al_blas_name(void); /* of the kernels that matrix products run on */
void al_blas_open(void);        /* once: the BLAS works on the thread that calls it */
#endif
