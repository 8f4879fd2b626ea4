/* scan.c: running sums and products along a dim. */
#include "../kernel/reduce.h"
#include "op.h"

enum { SUMS, PRODUCTS, TASK = 1 << 14 };

typedef struct job {
  const char *x;
  char *y;
  int64_t n, inner, size;
  int what;
  al_dtype dtype;
  bool reverse;
} job;

static void tasks(int64_t begin, int64_t end, void *context) {
  const job *j = context;
  for (int64_t o = begin; o < end; o++) {
    int64_t at = o * j->n * j->inner * j->size;
    AL_SELECT(al_reduce).scan[j->what][j->dtype](j->n, j->inner, j->x + at, j->y + at,
                                                 j->reverse);
  }
}

static int scan(al_call *c, int what) {
  int dim;
  al_dtype d = al_is_float(ARG_T(0)->dtype) ? (al_dtype)ARG_T(0)->dtype : AL_INT64;
  if (al_dim(ARG_I(1), ARG_T(0)->ndim, &dim)) return -1;
  al_tensor *x = al_dense(ARG_T(0), d), *y = x ? al_empty_like(x, d) : NULL;
  if (!y) return -1;
  if (!al_numel(x)) return al_ret(c, y);
  job j = {al_data(x), al_data(y), 1, 1, (int64_t)al_dtype_size(d), what, d, ARG_B(2)};
  if (x->ndim) j.n = x->shape[dim], j.inner = al_product(x->ndim - dim - 1, x->shape + dim + 1);
  al_parallel(al_numel(x) / (j.n * j.inner), 1 + TASK / (j.n * j.inner), tasks, &j);
  return al_ret(c, y);
}

static int cumsum(al_call *c) { return scan(c, SUMS); }
static int cumsum_grad(al_back *b);
AL_OP(cumsum, .sig = "x:T dim:dim {reverse:bool=false} -> T",
      .doc = "Running sum along dim; with reverse, from its end. Integers give int64.",
      .forward = cumsum, .grad = cumsum_grad,
      .sample = "{r(3,4), 1}, {r(3,4), 2}, {r(2,3,2), 2, {reverse=true}}");
static al_tensor *sums(al_tensor *x, int64_t dim, bool reverse) {
  return al_apply(&al_op_cumsum, x, dim, (int)reverse);
}
static int cumsum_grad(al_back *b) { return al_grad1(b, sums(b->g[0], b->a[1].i, !b->a[2].b)); }

static int cumprod(al_call *c) { return scan(c, PRODUCTS); }
static int cumprod_grad(al_back *b);
AL_OP(cumprod, .sig = "x:T dim:dim {reverse:bool=false} -> T",
      .doc = "Running product along dim; with reverse, from its end. Integers give int64.",
      .forward = cumprod, .grad = cumprod_grad, .save = "x out",
      .sample = "{away(3,4), 1}, {away(3,4), 2}, {away(2,3,2), 2, {reverse=true}}");

/* sum over i >= k of g_i prod over j <= i, j != k of x_j. Where x_k is not 0 that is the sum of
 * g_i y_i, over x_k. The first zero gets it from the products without it; what comes after a
 * zero gets nothing. */
static int cumprod_grad(al_back *b) {
  al_tensor *x = b->in[0], *g = b->g[0], *none = al_number(0), *one = al_number(1);
  const int64_t dim = b->a[1].i;
  const bool reverse = b->a[2].b;
  al_tensor *is_zero = al_eq(x, none), *rank = sums(is_zero, dim, reverse);
  al_tensor *first = al_mul(is_zero, al_eq(rank, al_integer(1)));
  al_tensor *without = al_apply(&al_op_cumprod, al_where(first, one, x), dim, (int)reverse);
  al_tensor *at_first = sums(al_mul(g, without), dim, !reverse);
  al_tensor *plain = sums(al_mul(g, b->out[0]), dim, !reverse);
  al_tensor *slope = al_div(plain, al_where(is_zero, one, x));
  return al_grad1(b, al_where(first, at_first, al_where(is_zero, none, slope)));
}
