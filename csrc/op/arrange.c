/* arrange.c: compositions that lay tensors out anew: diagonals, differences, grids, moved dims;
 * and those of sums. */
#include "op.h"
#include <string.h>

extern al_op al_op_diagonal, al_op_diagonal_back, al_op_flip, al_op_gather, al_op_mask_put,
    al_op_isnan, al_op_std, al_op_var, al_op_logical_not;

/* ---- diagonals ---- */

/* Rows of the square that holds n elements on a diagonal. */
static int square(int64_t n, int64_t offset, int64_t *rows) {
  if (offset < -INT32_MAX || offset > INT32_MAX) return al_fail("offset is too large");
  *rows = n + (offset < 0 ? -offset : offset);
  return 0;
}

static int diag_embed(al_call *c) {
  al_tensor *x = ARG_T(0);
  int d, e, n = x->ndim + 1, k = 0;
  int64_t shape[AL_MAX_DIMS], offset = ARG_I(1), rows = 0;
  if (x->ndim == 0 || n > AL_MAX_DIMS) return al_fail("x has %d dims", x->ndim);
  if (al_dim(HAS(2) ? ARG_I(2) : -2, n, &d) || al_dim(HAS(3) ? ARG_I(3) : -1, n, &e)) return -1;
  if (d == e) return al_fail("dim1 and dim2 are the same");
  if (square(x->shape[x->ndim - 1], offset, &rows)) return -1;
  for (int i = 0; i < n; i++) shape[i] = i == d || i == e ? rows : x->shape[k++];
  return al_ret(c, al_apply(&al_op_diagonal_back, x, shape, n, offset, (int64_t)d, (int64_t)e));
}
AL_OP(diag_embed, .sig = "x:T offset:int=0 dim1:dim? dim2:dim? -> T", .flags = AL_F_COMPOSITE,
      .doc = "Zeros with the last dim of x on a diagonal of the new dims dim1 and dim2 (the "
             "last two).",
      .forward = diag_embed, .sample = "{r(2,3)}, {r(2,3), -1}, {r(2,3), 1, 1, 3}");

static int diag(al_call *c) {
  al_tensor *x = ARG_T(0);
  if (x->ndim == 2)
    return al_ret(c, al_apply(&al_op_diagonal, x, ARG_I(1), (int64_t)0, (int64_t)1));
  if (x->ndim != 1) return al_fail("x has %d dims, needs 1 or 2", x->ndim);
  int64_t n = 0;
  if (square(x->shape[0], ARG_I(1), &n)) return -1;
  return al_ret(c, al_apply(&al_op_diagonal_back, x, (int64_t[]){n, n}, 2, ARG_I(1), (int64_t)0,
                            (int64_t)1));
}
AL_OP(diag, .sig = "x:T diagonal:int=0 -> T", .flags = AL_F_COMPOSITE,
      .doc = "A matrix with the vector x on a diagonal, or the diagonal of a matrix.",
      .forward = diag, .sample = "{r(3)}, {r(3), -1}, {r(3,4), 1}");

/* ---- dims ---- */

static int movedim(al_call *c) {
  al_tensor *x = ARG_T(0);
  int n = c->a[1].ints.n, from[AL_MAX_DIMS], to[AL_MAX_DIMS];
  int64_t order[AL_MAX_DIMS];
  if (n != c->a[2].ints.n || n > x->ndim) return al_fail("source and destination do not match");
  bool used[AL_MAX_DIMS] = {false};
  for (int d = 0; d < x->ndim; d++) order[d] = -1;
  for (int i = 0; i < n; i++) {
    if (al_dim(c->a[1].ints.v[i], x->ndim, &from[i]) ||
        al_dim(c->a[2].ints.v[i], x->ndim, &to[i]))
      return -1;
    if (used[from[i]] || order[to[i]] >= 0) return al_fail("a dim is named twice");
    used[from[i]] = true, order[to[i]] = from[i];
  }
  for (int d = 0, k = 0; d < x->ndim; d++) {
    while (k < x->ndim && used[k]) k++;
    if (order[d] < 0) order[d] = k++;
  }
  return al_ret(c, al_permute(x, order, x->ndim));
}
AL_OP(movedim, .sig = "x:T source:dims destination:dims -> T", .alias = "moveaxis",
      .flags = AL_F_COMPOSITE, .doc = "Moves dims to other places; the rest keep their order.",
      .forward = movedim, .sample = "{r(2,3,4), 1, 3}, {r(2,3,4), {1,2}, {-1,1}}");

static int unflatten(al_call *c) {
  al_tensor *x = ARG_T(0);
  int d, n = c->a[2].ints.n, rest;
  int64_t shape[AL_MAX_DIMS];
  if (al_dim(ARG_I(1), x->ndim, &d)) return -1;
  if (x->ndim == 0 || x->ndim - 1 + n > AL_MAX_DIMS) return al_fail("x has %d dims", x->ndim);
  rest = x->ndim - d - 1;
  memcpy(shape, x->shape, (size_t)d * sizeof *shape);
  memcpy(shape + d, c->a[2].ints.v, (size_t)n * sizeof *shape);
  memcpy(shape + d + n, x->shape + d + 1, (size_t)rest * sizeof *shape);
  int64_t size = 1, whole = x->shape[d];
  int hole = -1;
  bool fits = true;
  for (int i = d; i < d + n; i++)
    if (shape[i] == -1 && hole < 0) hole = i;
    else fits = fits && shape[i] >= 0 && !__builtin_mul_overflow(size, shape[i], &size);
  if (fits && hole >= 0 && size > 0) size *= shape[hole] = whole / size;
  if (!fits || size != whole) return al_fail("sizes do not multiply to %lld", (long long)whole);
  return al_ret(c, al_reshape(x, shape, d + n + rest));
}
AL_OP(unflatten, .sig = "x:T dim:dim sizes:ints -> T", .flags = AL_F_COMPOSITE,
      .doc = "Splits one dim into several; one size may be -1.", .forward = unflatten,
      .sample = "{r(2,6), 2, {3,-1}}, {r(4,3), 1, {2,2}}");

static int rot90(al_call *c) {
  static const int64_t plane[] = {0, 1};
  al_tensor *x = ARG_T(0);
  const int64_t *dims = HAS(2) ? c->a[2].ints.v : plane;
  int64_t k = ((ARG_I(1) % 4) + 4) % 4;
  if (HAS(2) && c->a[2].ints.n != 2) return al_fail("dims must be two dims");
  int d, e;
  if (al_dim(dims[0], x->ndim, &d) || al_dim(dims[1], x->ndim, &e)) return -1;
  if (d == e) return al_fail("the two dims are the same");
  if (k == 2) x = al_apply(&al_op_flip, x, dims, 2);
  else if (k) x = al_apply(&al_op_flip, x, dims + (k == 1), 1);
  else x = al_apply(&al_op_clone, x);
  return al_ret(c, k % 2 ? al_transpose(x, d, e) : x);
}
AL_OP(rot90, .sig = "x:T k:int=1 dims:dims? -> T", .flags = AL_F_COMPOSITE,
      .doc = "x turned k times by 90 degrees, from the first of two dims (1 and 2) to the "
             "second.",
      .forward = rot90, .sample = "{r(2,3)}, {r(2,3), 2}, {r(2,3,2), -1, {2,3}}");

static int meshgrid(al_call *c) {
  const int n = c->a[0].ts.n;
  int64_t shape[AL_MAX_OUTS], one[AL_MAX_OUTS];
  bool xy = !strcmp(c->a[1].s, "xy");
  if (!xy && strcmp(c->a[1].s, "ij")) return al_fail("indexing must be ij or xy");
  if (n < 1 || n > AL_MAX_OUTS) return al_fail("1 to %d vectors are possible", AL_MAX_OUTS);
  for (int i = 0; i < n; i++) {
    const al_tensor *x = c->a[0].ts.v[i];
    if (x->ndim > 1) return al_fail("a grid is made of vectors, not of %d dims", x->ndim);
    shape[xy && n > 1 && i < 2 ? 1 - i : i] = al_numel(x);
  }
  for (int i = 0; i < n; i++) {
    int at = xy && n > 1 && i < 2 ? 1 - i : i;
    for (int d = 0; d < n; d++) one[d] = d == at ? shape[d] : 1;
    c->out[i] = al_expand(al_reshape(c->a[0].ts.v[i], one, n), shape, n);
    if (!c->out[i]) return -1;
  }
  return 0;
}
AL_OP(meshgrid, .sig = "xs:T* {indexing:str=ij} -> T T T T", .flags = AL_F_COMPOSITE,
      .doc = "Coordinates of a grid: for vectors x (n) and y (m), x and y at each of its n x m "
             "points; up to four vectors. With\n"
             "indexing xy the first two dims are swapped.",
      .forward = meshgrid, .sample = "{{r(3), r(4)}}, {{r(2), r(3), r(2)}, {indexing='xy'}}");

/* ---- by position ---- */

static int take_along_dim(al_call *c) {
  static const int64_t flat[] = {-1};
  al_tensor *x = ARG_T(0), *index = ARG_T(1);
  int64_t to[2][AL_MAX_DIMS];
  int d;
  if (!HAS(2))
    return al_ret(c, al_apply(&al_op_gather, al_reshape(x, flat, 1), (int64_t)0,
                              al_reshape(index, flat, 1)));
  if (x->ndim != index->ndim) return al_fail("x has %d dims, index %d", x->ndim, index->ndim);
  if (al_dim(ARG_I(2), x->ndim, &d)) return -1;
  for (int i = 0; i < x->ndim; i++) {
    int64_t a = x->shape[i], b = index->shape[i], most = a == 1 ? b : a;
    to[0][i] = i == d ? a : most, to[1][i] = i == d ? b : most;
  }
  return al_ret(c, al_apply(&al_op_gather, al_expand(x, to[0], x->ndim), (int64_t)d,
                            al_expand(index, to[1], x->ndim)));
}
AL_OP(take_along_dim, .sig = "x:T index:T dim:dim? -> T", .flags = AL_F_COMPOSITE,
      .doc = "gather whose x and index broadcast beside dim; without dim over all of x.",
      .forward = take_along_dim,
      .sample = "{r(3,4), ints(1,4,1,2), 2}, {r(3,4), ints(1,12,5)}");

static int masked_scatter(al_call *c) {
  static const int64_t flat[] = {-1};
  al_tensor *x = ARG_T(0), *mask = ARG_T(1);
  if (mask->dtype != AL_BOOL)
    return al_fail("mask is %s, needs bool", al_dtype_name(mask->dtype));
  if (!(mask = al_expand(mask, x->shape, x->ndim))) return -1;
  al_tensor *count = al_sum(mask, NULL, 0, false), *src = al_reshape(ARG_T(2), flat, 1);
  if (!count || !src) return -1;
  int64_t n = al_get_int(count, 0);
  if (n > src->shape[0])
    return al_fail("mask holds %lld times, src has %lld elements", (long long)n,
                   (long long)src->shape[0]);
  al_tensor *y = al_apply(&al_op_mask_put, al_reshape(x, flat, 1), al_reshape(mask, flat, 1),
                          al_narrow(src, 0, 1, n));
  return al_ret(c, y ? al_reshape(y, x->shape, x->ndim) : NULL);
}
AL_OP(masked_scatter, .sig = "x:T mask:T src:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "x with the elements where mask holds replaced, in order, by the first of src.",
      .forward = masked_scatter,
      .sample = "{r(3,4), mask(3,4), r(12)}, {r(3,4), mask(4), r(3,5)}");

/* ---- differences and sums ---- */

/* x without its first (from = 1) or last (0) entry along d. */
static al_tensor *side(al_tensor *x, int d, int from) {
  return x ? al_narrow(x, d, from + 1, x->shape[d] > 0 ? x->shape[d] - 1 : 0) : NULL;
}

static int diff(al_call *c) {
  al_tensor *x = ARG_T(0);
  int d;
  if (x->ndim == 0) return al_fail("x is a scalar");
  if (al_dim(ARG_I(2), x->ndim, &d)) return -1;
  if (ARG_I(1) < 0) return al_fail("n is negative");
  for (int64_t k = 0; k < ARG_I(1) && x && x->shape[d] > 0; k++)
    x = x->dtype == AL_BOOL ? al_ne(side(x, d, 1), side(x, d, 0))
                            : al_sub(side(x, d, 1), side(x, d, 0));
  return al_ret_apart(c, x);
}
AL_OP(diff, .sig = "x:T n:int=1 dim:dim=-1 -> T", .flags = AL_F_COMPOSITE,
      .doc = "Differences of neighbours along dim, n times over.", .forward = diff,
      .sample = "{r(3,4)}, {r(4,3), 2, 1}");

static int trapezoid(al_call *c) {
  al_tensor *y = ARG_T(0), *x = ARG_T(1);
  int d, e = 0;
  if (y->ndim == 0) return al_fail("y is a scalar");
  if (al_dim(ARG_I(3), y->ndim, &d)) return -1;
  al_tensor *width = NULL;
  if (x) {
    int64_t shape[AL_MAX_DIMS];
    for (int i = 0; i < y->ndim; i++) shape[i] = i == d ? y->shape[d] : 1;
    if (x->ndim == 1) x = al_reshape(x, shape, y->ndim);
    if (!x || al_dim(d - y->ndim, x->ndim, &e)) return -1;
    width = al_sub(side(x, e, 1), side(x, e, 0));
  }
  al_tensor *height = al_add(side(y, d, 1), side(y, d, 0));
  if (x) height = al_mul(height, width);
  int64_t dim = d;
  return al_ret(c, al_mul_num(al_sum(height, &dim, 1, false), x ? 0.5 : ARG_F(2) / 2));
}
AL_OP(trapezoid, .sig = "y:T x:T? dx:num=1 dim:dim=-1 -> T", .alias = "trapz",
      .flags = AL_F_COMPOSITE,
      .doc = "The integral of y along dim by the trapezoidal rule, at places x (a vector or "
             "y's shape) or dx apart.",
      .forward = trapezoid,
      .sample = "{r(3,4)}, {r(4,3), r(4), 1, 1}, {r(4,3), {dx=0.5, dim=1}}");

/* The op's dims (argument 1) and keepdim (2), passed on. */
#define DIMS_OF(c) (c)->a[1].ints.v, (c)->a[1].given ? (c)->a[1].ints.n : 0, (c)->a[2].b

static int moments(al_call *c, al_op *second) {
  c->out[0] = al_apply(second, ARG_T(0), DIMS_OF(c), ARG_I(3));
  c->out[1] = al_apply(&al_op_mean, ARG_T(0), DIMS_OF(c));
  return c->out[0] && c->out[1] ? 0 : -1;
}
static int std_mean(al_call *c) { return moments(c, &al_op_std); }
static int var_mean(al_call *c) { return moments(c, &al_op_var); }
#define MOMENTS_SIG "x:T dims:dims? keepdim:bool=false {correction:int=1} -> T T"
#define SUM_SAMPLE "{r(3,4,2)}, {r(3,4,2), 2}, {r(3,4,2), {1,3}, true}"
AL_OP(std_mean, .sig = MOMENTS_SIG, .flags = AL_F_COMPOSITE, .doc = "std and mean.",
      .forward = std_mean, .sample = SUM_SAMPLE ", {r(5), {correction=0}}");
AL_OP(var_mean, .sig = MOMENTS_SIG, .flags = AL_F_COMPOSITE, .doc = "var and mean.",
      .forward = var_mean, .sample = SUM_SAMPLE ", {r(5), {correction=0}}");

static al_tensor *zero_nan(al_tensor *x) {
  return al_where(al_apply(&al_op_isnan, x), al_number(0), x);
}
static int nansum(al_call *c) {
  al_tensor *x = al_is_float(ARG_T(0)->dtype) ? zero_nan(ARG_T(0)) : ARG_T(0);
  return al_ret(c, al_sum(x, DIMS_OF(c)));
}
static int nanmean(al_call *c) {
  al_tensor *some = al_apply(&al_op_logical_not, al_apply(&al_op_isnan, ARG_T(0)));
  if (!al_is_float(ARG_T(0)->dtype)) return al_fail("x must be floating");
  return al_ret(c, al_div(al_sum(zero_nan(ARG_T(0)), DIMS_OF(c)), al_sum(some, DIMS_OF(c))));
}
AL_OP(nansum, .sig = "x:T dims:dims? keepdim:bool=false -> T", .flags = AL_F_COMPOSITE,
      .doc = "sum of what is not NaN.", .forward = nansum, .sample = SUM_SAMPLE);
AL_OP(nanmean, .sig = "x:T dims:dims? keepdim:bool=false -> T", .flags = AL_F_COMPOSITE,
      .doc = "mean of what is not NaN.", .forward = nanmean, .sample = SUM_SAMPLE);
