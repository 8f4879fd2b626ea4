/* iter.c: the walk over several broadcast tensors that every elementwise op shares. */
#include "iter.h"
#include "internal.h"

enum { PIECE = 1 << 14 }; /* elements a thread takes at a time */

/* Drops dims of size 1 and merges a dim into its inner neighbour when every operand steps
 * through both as one. */
static void coalesce(al_iter *it) {
  int n = 0;
  for (int d = 0; d < it->ndim; d++) {
    if (it->shape[d] == 1) continue;
    bool merge = n > 0;
    for (int k = 0; merge && k < it->nops; k++)
      merge = it->stride[k][n - 1] == it->stride[k][d] * it->shape[d];
    if (!merge) n++;
    it->shape[n - 1] = merge ? it->shape[n - 1] * it->shape[d] : it->shape[d];
    for (int k = 0; k < it->nops; k++) it->stride[k][n - 1] = it->stride[k][d];
  }
  it->ndim = n;
}

/* Puts the output's smallest stride innermost (insertion sort; no change for a contiguous
 * output). */
static void order(al_iter *it) {
  for (int d = 1; d < it->ndim; d++)
    for (int e = d; e > 0; e--) {
      int64_t a = it->stride[0][e - 1], b = it->stride[0][e];
      if ((a < 0 ? -a : a) >= (b < 0 ? -b : b)) break;
      int64_t s = it->shape[e];
      it->shape[e] = it->shape[e - 1];
      it->shape[e - 1] = s;
      for (int k = 0; k < it->nops; k++) {
        s = it->stride[k][e];
        it->stride[k][e] = it->stride[k][e - 1];
        it->stride[k][e - 1] = s;
      }
    }
}

int al_iter_open(al_iter *it, int nops, al_tensor *const *t) {
  it->nops = nops;
  it->ndim = t[0]->ndim;
  it->numel = al_numel(t[0]);
  for (int d = 0; d < it->ndim; d++) it->shape[d] = t[0]->shape[d];
  for (int k = 0; k < nops; k++) {
    const al_tensor *x = t[k];
    int64_t size = (int64_t)al_dtype_size(x->dtype);
    int lead = it->ndim - x->ndim;
    if (lead < 0) goto mismatch;
    it->data[k] = al_data(x);
    for (int d = 0; d < it->ndim; d++) {
      int64_t n = d < lead ? 1 : x->shape[d - lead];
      if (n != it->shape[d] && n != 1) goto mismatch;
      it->stride[k][d] = n == 1 ? 0 : x->stride[d - lead] * size;
    }
    continue;
  mismatch:
    return al_fail("%s does not broadcast to %s", al_shape_text(x->ndim, x->shape),
                   al_shape_text(t[0]->ndim, t[0]->shape));
  }
  order(it);
  coalesce(it);
  return 0;
}

typedef struct job {
  const al_iter *it;
  al_loop loop;
  const void *context;
} job;

/* Elements [begin, end) of the walk, row by row of the innermost dim. */
static void run_piece(int64_t begin, int64_t end, void *arg) {
  const job *j = arg;
  const al_iter *it = j->it;
  int last = it->ndim - 1;
  int64_t at[AL_MAX_DIMS], rest = begin, inner[AL_ITER_MAX];
  char *p[AL_ITER_MAX];
  for (int k = 0; k < it->nops; k++) p[k] = it->data[k], inner[k] = it->stride[k][last];
  for (int d = last; d >= 0; d--) {
    at[d] = rest % it->shape[d];
    rest /= it->shape[d];
    for (int k = 0; k < it->nops; k++) p[k] += at[d] * it->stride[k][d];
  }
  while (begin < end) {
    int64_t n = it->shape[last] - at[last];
    if (n > end - begin) n = end - begin;
    j->loop(n, p, inner, j->context);
    begin += n;
    if (begin >= end) break;
    for (int k = 0; k < it->nops; k++) p[k] -= at[last] * inner[k];
    at[last] = 0;
    for (int d = last - 1; d >= 0; d--) {
      for (int k = 0; k < it->nops; k++) p[k] += it->stride[k][d];
      if (++at[d] < it->shape[d]) break;
      for (int k = 0; k < it->nops; k++) p[k] -= it->shape[d] * it->stride[k][d];
      at[d] = 0;
    }
  }
}

void al_iter_run(const al_iter *it, al_loop loop, const void *context) {
  if (it->numel == 0) return;
  if (it->ndim <= 1) { /* one row: no coordinates to keep */
    static const int64_t zero[AL_ITER_MAX];
    int64_t stride[AL_ITER_MAX];
    if (it->numel <= PIECE) {
      for (int k = 0; k < it->nops; k++) stride[k] = it->ndim ? it->stride[k][0] : 0;
      loop(it->numel, it->data, it->ndim ? stride : zero, context);
      return;
    }
  }
  job j = {it, loop, context};
  al_parallel(it->numel, PIECE, run_piece, &j);
}
