/* mask.c: reading and writing where a bool mask holds; nonzero; behind t[...]. */
#include "index.h"
#include "op.h"
#include <string.h>

extern al_op al_op_mask_put, al_op_index_select, al_op_index_put;

/* Flat positions, from 1, where a mask holds: (count). */
static al_tensor *held(al_tensor *mask) {
  al_tensor *m = al_dense(mask, AL_BOOL);
  if (!m) return NULL;
  const bool *v = al_data(m);
  int64_t n = al_numel(m), count = 0;
  for (int64_t i = 0; i < n; i++) count += v[i];
  al_tensor *p = al_empty(AL_INT64, 1, &count);
  if (!p) return NULL;
  int64_t *at = al_data(p);
  for (int64_t i = 0, k = 0; i < n; i++)
    if (v[i]) at[k++] = i + 1;
  return p;
}

/* x's shape with the dims a mask covers joined into one: (all of them, other dims). */
static int joined(const al_tensor *x, const al_tensor *mask, int64_t *shape) {
  if (mask->ndim > x->ndim) return al_fail("the mask has %d dims, x %d", mask->ndim, x->ndim);
  for (int d = 0; d < mask->ndim; d++)
    if (mask->shape[d] != x->shape[d])
      return al_fail("the mask (%s) does not cover the leading dims of x (%s)",
                     al_shape_text(mask->ndim, mask->shape), al_shape_text(x->ndim, x->shape));
  shape[0] = al_product(mask->ndim, x->shape);
  for (int d = mask->ndim; d < x->ndim; d++) shape[d - mask->ndim + 1] = x->shape[d];
  return x->ndim - mask->ndim + 1;
}

al_tensor *al_index_mask(al_tensor *x, al_tensor *mask) {
  int64_t shape[AL_MAX_DIMS + 1];
  if (!x || !mask) return NULL;
  if (mask->ndim == 0) return al_null("a mask needs at least one dim");
  int n = joined(x, mask, shape);
  if (n < 0) return NULL;
  al_frame f;
  al_frame_open(&f);
  al_tensor *p = held(mask);
  al_tensor *y =
      al_ref(p ? al_apply(&al_op_index_select, al_reshape(x, shape, n), (int64_t)0, p) : NULL);
  al_frame_close(&f);
  return al_adopt(y);
}

static int masked_select_forward(al_call *c) {
  al_tensor *pair[2] = {ARG_T(0), ARG_T(1)};
  int n;
  int64_t shape[AL_MAX_DIMS];
  if (pair[1]->dtype != AL_BOOL)
    return al_fail("mask is %s, needs bool", al_dtype_name(pair[1]->dtype));
  if (al_broadcast(2, pair, &n, shape)) return -1;
  if (n == 0) shape[n++] = 1;
  return al_ret(c, al_index_mask(al_expand(pair[0], shape, n), al_expand(pair[1], shape, n)));
}

AL_OP(
    masked_select, .sig = "x:T mask:T -> T", .flags = AL_F_COMPOSITE,
    .doc = "The elements of x where mask holds (both broadcast), in row-major order: (count).",
    .forward = masked_select_forward, .sample = "{r(3,4), mask(3,4)}, {r(3,1), mask(3,4)}");

static int mask_put_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *v = ARG_T(2);
  int64_t shape[AL_MAX_DIMS + 1];
  int n = joined(x, ARG_T(1), shape);
  if (n < 0) return -1;
  bool here = c->into && al_is_contiguous(c->into);
  al_tensor *y = here ? c->into : al_fresh_contiguous(x, (al_dtype)x->dtype),
            *p = held(ARG_T(1));
  if (!y || !p) return -1;
  shape[0] = al_numel(p);
  v = al_expand(v, shape, n);
  if (v)
    v = v->storage == y->storage ? al_fresh_contiguous(v, (al_dtype)x->dtype)
                                 : al_dense(v, (al_dtype)x->dtype);
  if (!v) return -1;
  const int64_t *at = al_data(p);
  size_t bytes = (size_t)al_product(n - 1, shape + 1) * al_dtype_size(x->dtype);
  for (int64_t k = 0; bytes > 0 && k < shape[0]; k++)
    memcpy((char *)al_data(y) + (size_t)(at[k] - 1) * bytes,
           (char *)al_data(v) + (size_t)k * bytes, bytes);
  if (c->into && !here && al_copy(c->into, y)) return -1;
  return al_ret(c, c->into ? c->into : y);
}
static int mask_put_grad(al_back *b) {
  if (b->needs[0] && !(b->gx[0] = al_apply(&al_op_mask_put, b->g[0], b->in[1], al_number(0))))
    return -1;
  if (b->needs[2] && !(b->gx[2] = al_index_mask(b->g[0], b->in[1]))) return -1;
  return 0;
}

AL_OP(mask_put, .sig = "x:T mask:T value:N -> T", .save = "mask",
      .flags = AL_F_INPLACE | AL_F_HIDDEN,
      .doc = "x with the entries where mask (over x's leading dims) holds replaced by value, "
             "broadcast to (count, rest).",
      .forward = mask_put_forward, .grad = mask_put_grad,
      .sample = "{r(3,4), mask(3), r(4)}, {r(3,4), mask(3,4), r(1)}");

static int nonzero_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *p = held(x);
  if (!p) return -1;
  int64_t shape[2] = {al_numel(p), x->ndim};
  al_tensor *y = al_empty(AL_INT64, 2, shape);
  if (!y) return -1;
  const int64_t *at = al_data(p);
  int64_t *v = al_data(y);
  for (int64_t k = 0; k < shape[0]; k++) {
    int64_t rest = at[k] - 1;
    for (int d = x->ndim - 1; d >= 0; d--) {
      v[k * x->ndim + d] = rest % x->shape[d] + 1;
      rest /= x->shape[d];
    }
  }
  return al_ret(c, y);
}

AL_OP(nonzero, .sig = "x:T -> T", .alias = "argwhere", .flags = AL_F_NODIFF,
      .doc = "Positions (from 1) of the elements that are not zero, in row-major order: "
             "(count, dims of x).",
      .forward = nonzero_forward, .sample = "{mask(3,4)}");

/* ---- from C ---- */

al_tensor *al_index_tensor(al_tensor *x, int64_t dim, al_tensor *index) {
  return x && index ? al_apply(&al_op_index_select, x, dim, index) : NULL;
}

int al_assign_mask(al_tensor *x, al_tensor *mask, al_tensor *value) {
  if (!x || !mask || !value) return -1;
  al_call c = {.op = &al_op_mask_put, .into = x};
  al_tensor *t[] = {x, mask, value};
  for (int i = 0; i < 3; i++) c.a[i] = (al_arg){.t = t[i], .given = true};
  return al_invoke(&c);
}

int al_assign_index(al_tensor *x, int64_t dim, al_tensor *index, al_tensor *value) {
  if (!x || !index || !value) return -1;
  al_call c = {.op = &al_op_index_put, .into = x};
  c.a[0] = (al_arg){.t = x, .given = true};
  c.a[1] = (al_arg){.i = dim, .given = true};
  c.a[2] = (al_arg){.t = index, .given = true};
  c.a[3] = (al_arg){.t = value, .given = true};
  return al_invoke(&c);
}
