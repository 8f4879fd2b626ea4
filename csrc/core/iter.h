/* iter.h: one walk over several tensors of broadcast shape. Operand 0 is the output and gives
 * the shape. */
#ifndef AL_ITER_H
#define AL_ITER_H
#include "../albedo.h"

#define AL_ITER_MAX 5
/* The inner loop: n elements, one pointer and one byte stride an operand. */
typedef void (*al_loop)(int64_t n, char *const *ptr, const int64_t *stride,
                        const void *context);

typedef struct al_iter {
  int nops, ndim;
  int64_t numel;
  int64_t shape[AL_MAX_DIMS];               /* innermost last, coalesced */
  int64_t stride[AL_ITER_MAX][AL_MAX_DIMS]; /* bytes */
  char *data[AL_ITER_MAX];
} al_iter;

/* t[1..] broadcast to t[0]'s shape; -1 and an error when they cannot. */
int al_iter_open(al_iter *it, int nops, al_tensor *const *t);
/* Runs `loop` over everything, in parallel when large. The split depends on the shape only. */
void al_iter_run(const al_iter *it, al_loop loop, const void *context);
#endif
