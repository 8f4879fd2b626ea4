/* index.h: reading and writing parts of a tensor, as the bindings' t[...] needs them. All
 * record. */
#ifndef AL_OP_INDEX_H
#define AL_OP_INDEX_H
#include "../albedo.h"

/* What a slice keeps of one dim: `count` elements from `start` (from 0) by `step` (may be
 * negative); `drop` takes the one element at `start` and loses the dim. */
typedef struct al_range {
  int64_t start, step, count;
  bool drop;
} al_range;

/* r[0 .. n-1] for the leading dims, the others whole. A view of x. */
al_tensor *al_slice(al_tensor *x, const al_range *r, int n);
/* The same part of x becomes `value` (broadcast, cast), in place. */
int al_slice_assign(al_tensor *x, const al_range *r, int n, al_tensor *value);

/* Entries of x where mask (bool, of the shape of x's leading dims) holds: (count, x's other
 * dims). */
al_tensor *al_index_mask(al_tensor *x, al_tensor *mask);
int al_assign_mask(al_tensor *x, al_tensor *mask, al_tensor *value);

/* x with dim `dim` replaced by the dims of the index tensor (positions from 1, negative from
 * the end). */
al_tensor *al_index_tensor(al_tensor *x, int64_t dim, al_tensor *index);
int al_assign_index(al_tensor *x, int64_t dim, al_tensor *index, al_tensor *value);
#endif
