/* linalg.c: linear systems, determinants and factorisations, by the LAPACK inside OpenBLAS.
 *
 * LAPACK counts down the columns: the rows of a dense matrix are its columns, so it is given A
 * as A^T, or a transposed copy. A stack is split among threads matrix by matrix, each handled
 * by one call on one thread: the same bits for any number of threads. Gradients after Giles
 * (2008), "Collected matrix derivative results for forward and reverse mode algorithmic
 * differentiation", unless said otherwise; written in ops, so they have gradients themselves.
 * Where a matrix is symmetric by definition its symmetric part (x + x^T) / 2 is meant, which
 * makes the gradient symmetric. */
#include "linalg.h"
#include "linear.h"
#include <limits.h>
#include <math.h>
#include <string.h>

// clang-format off
LAPACK(getrf, const int *m, const int *n, void *a, const int *lda, int *pivots, int *info);
LAPACK(getrs, const char *trans, const int *n, const int *k, const void *a, const int *lda,
       const int *pivots, void *b, const int *ldb, int *info, size_t);
LAPACK(trsm, const char *side, const char *uplo, const char *trans, const char *diag,
       const int *m, const int *n, const void *alpha, const void *a, const int *lda, void *b,
       const int *ldb, size_t, size_t, size_t, size_t);
LAPACK(potrf, const char *uplo, const int *n, void *a, const int *lda, int *info, size_t);
// clang-format on

/* ---- stacks of matrices ---- */

void *al_part(const al_tensor *t, int64_t i, int64_t count) {
  return (char *)al_data(t) +
         i * (al_numel(t) / count) * (int64_t)al_dtype_size((al_dtype)t->dtype);
}
static void each(int64_t begin, int64_t end, void *arg) {
  const al_stack *s = arg;
  for (int64_t i = begin; i < end; i++) s->one(s, i, al_part(s->info, i, s->count));
}

/* Runs s->one on every matrix. Fails when one of them reports a failure, as `what`. */
int al_stack_run(al_stack *s, const char *what) {
  if (!getrf[s->real]) return al_fail("needs OpenBLAS, which this build is without");
  if (s->room > INT_MAX) return al_fail("the matrix is too large for LAPACK");
  int64_t shape[] = {s->count, s->room}, ishape[] = {s->count, s->irooms},
          size = s->m > s->n ? s->m : s->n;
  s->work = al_empty(s->real ? AL_FLOAT64 : AL_FLOAT32, 2, shape);
  s->iwork = al_empty(AL_INT32, 2, ishape);
  s->info = al_zeros(AL_INT32, 1, shape);
  if (!s->work || !s->iwork || !s->info) return -1;
  al_blas_open();
  al_parallel(s->count, 1 + (1 << 16) / (size * size * size + 1), each, s);
  for (int64_t i = 0; what && i < s->count; i++)
    if (al_get_int(s->info, i) != 0) {
      if (s->count == 1) return al_fail("the matrix %s", what);
      return al_fail("matrix %lld of the stack %s", (long long)i + 1, what);
    }
  return 0;
}

int al_check_matrix(const al_tensor *x, const char *name, bool square) {
  int n = x->ndim;
  if (x->dtype != AL_FLOAT32 && x->dtype != AL_FLOAT64)
    return al_fail("%s must be float32 or float64, not %s", name,
                   al_dtype_name((al_dtype)x->dtype));
  if (n < 2) return al_fail("%s has %d dims, a matrix has 2", name, n);
  if (x->shape[n - 1] > INT_MAX / 64 || x->shape[n - 2] > INT_MAX / 64)
    return al_fail("%s is too large", name);
  if (square && x->shape[n - 1] != x->shape[n - 2])
    return al_fail("%s has %lld rows and %lld columns, needs a square matrix", name,
                   (long long)x->shape[n - 2], (long long)x->shape[n - 1]);
  return 0;
}

/* The stack of x's matrices, m x n. */
al_stack al_stack_of(const al_tensor *x, void (*one)(const al_stack *, int64_t, int *)) {
  return (al_stack){.one = one,
                    .real = x->dtype == AL_FLOAT64,
                    .m = (int)x->shape[x->ndim - 2],
                    .n = (int)x->shape[x->ndim - 1],
                    .count = al_product(x->ndim - 2, x->shape)};
}

al_tensor *al_columns(al_tensor *x) {
  x = al_mT(x);
  return x ? al_fresh_contiguous(x, (al_dtype)x->dtype) : NULL;
}
al_tensor *al_flipped(al_tensor *t) {
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS];
  int n = t ? t->ndim : 0;
  if (!t) return NULL;
  memcpy(shape, t->shape, sizeof shape);
  memcpy(stride, t->stride, sizeof stride);
  shape[n - 1] = t->shape[n - 2], shape[n - 2] = t->shape[n - 1];
  stride[n - 1] = t->stride[n - 2], stride[n - 2] = t->stride[n - 1];
  return al_alias(t, n, shape, stride, t->offset);
}
al_tensor *al_symmetric(al_tensor *x) { return al_mul_num(al_add(x, al_mT(x)), 0.5); }

al_tensor *al_pattern(const al_tensor *x, int64_t n, double below, double on, double above) {
  al_tensor *y = al_empty((al_dtype)x->dtype, 2, (const int64_t[]){n, n});
  float *f = y ? al_data(y) : NULL;
  double *d = y ? al_data(y) : NULL;
  for (int64_t i = 0; y && i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      double v = i > j ? below : i < j ? above : on;
      if (y->dtype == AL_FLOAT64) d[i * n + j] = v;
      else f[i * n + j] = (float)v;
    }
  return y;
}
int al_decompose(al_op *op, al_tensor *x, al_call *c) {
  *c = (al_call){.op = op};
  c->a[0].t = x;
  c->a[0].given = true;
  return al_invoke(c);
}
al_tensor *al_rebuild(al_tensor *u, al_tensor *s, al_tensor *v) {
  return al_matmul(al_mul(u, al_unsqueeze(s, -2)), v);
}
/* ---- systems ---- */

static void solve_one(const al_stack *s, int64_t i, int *info) {
  int *pivots = al_stack_ints(s, i);
  getrf[s->real](&s->n, &s->n, al_stack_at(s, 0, i), &s->n, pivots, info);
  if (*info == 0)
    getrs[s->real](s->job, &s->n, &s->k, al_stack_at(s, 0, i), &s->n, pivots,
                   al_stack_at(s, 1, i), &s->n, info, 1);
}

/* b is a stack of vectors for a (as PyTorch decides): one dim, or a's shape without the last.
 */
static bool is_vectors(int na, const int64_t *a, int nb, const int64_t *b) {
  return nb == 1 || (nb == na - 1 && !memcmp(a, b, (size_t)nb * sizeof *a));
}

int al_share_lead(al_tensor **a, al_tensor **b) {
  al_tensor *lead[2];
  int64_t shape[AL_MAX_DIMS];
  int n;
  for (int k = 0; k < 2; k++) { /* the leading dims, as tensors of their own */
    al_tensor *t = k ? *b : *a;
    lead[k] = al_alias(t, t->ndim - 2, t->shape, t->stride, t->offset);
  }
  if (!lead[0] || !lead[1] || al_broadcast(2, lead, &n, shape)) return -1;
  for (int k = 0; k < 2; k++) {
    al_tensor **t = k ? b : a;
    memcpy(shape + n, (*t)->shape + (*t)->ndim - 2, 2 * sizeof *shape);
    if (!(*t = al_expand(*t, shape, n + 2))) return -1;
  }
  return 0;
}

/* a and b of one dtype, stacked alike by broadcasting, b's vectors as one column each. */
static int align(al_tensor **a, al_tensor **b, bool left, bool *vectors) {
  al_dtype d = al_promote(2, (al_tensor *[]){*a, *b});
  if (al_check_matrix(*a, "a", true)) return -1;
  *vectors = left && is_vectors((*a)->ndim, (*a)->shape, (*b)->ndim, (*b)->shape);
  *b = al_to(*vectors ? al_unsqueeze(*b, -1) : *b, d);
  *a = al_to(*a, d);
  if (!*a || !*b || al_check_matrix(*b, "b", false)) return -1;
  int64_t n = (*a)->shape[(*a)->ndim - 1], have = (*b)->shape[(*b)->ndim - (left ? 2 : 1)];
  if (have != n)
    return al_fail("a is %lldx%lld, b has %lld %s", (long long)n, (long long)n, (long long)have,
                   left ? "rows" : "columns");
  return al_share_lead(a, b);
}

/* The solution of a x = b, or of x a = b: then b's rows are what LAPACK calls columns. */
static al_tensor *solution(al_tensor *a, al_tensor *b, bool left) {
  al_stack s = al_stack_of(a, solve_one);
  s.t[0] = al_fresh_contiguous(a, (al_dtype)a->dtype);
  s.t[1] = left ? al_columns(b) : al_fresh_contiguous(b, (al_dtype)b->dtype);
  s.k = (int)b->shape[b->ndim - (left ? 1 : 2)];
  s.irooms = s.n;
  s.job = left ? "T" : "N";
  if (!s.t[0] || !s.t[1]) return NULL;
  if (al_numel(a) && al_stack_run(&s, "is singular")) return NULL;
  return left ? al_flipped(s.t[1]) : s.t[1];
}

static int solve_forward(al_call *c) {
  al_tensor *a = ARG_T(0), *b = ARG_T(1);
  bool vectors;
  if (align(&a, &b, ARG_B(2), &vectors)) return -1;
  al_tensor *x = solution(a, b, ARG_B(2));
  return al_ret(c, x && vectors ? al_alias(x, x->ndim - 1, x->shape, x->stride, x->offset) : x);
}

/* gb solves the transposed system for g; ga = -gb x^T, and -x^T gb when x stood at the left.
 * The form of solve_triangular is the same. */
static int system_grad(al_back *b, bool left, al_tensor *(*again)(al_back *, al_tensor *),
                       al_tensor *mask) {
  int na, nb;
  const int64_t *sa = al_edge_shape(b, 0, &na), *sb = al_edge_shape(b, 1, &nb);
  al_tensor *gb = again(b, b->g[0]), *x = b->out[0];
  bool vectors = left && is_vectors(na, sa, nb, sb);
  if (b->needs[0]) {
    al_tensor *u = vectors ? al_unsqueeze(gb, -1) : gb, *v = vectors ? al_unsqueeze(x, -1) : x;
    al_tensor *ga = left ? al_matmul(u, al_mT(v)) : al_matmul(al_mT(v), u);
    b->gx[0] = mask ? al_mul(al_neg(ga), mask) : al_neg(ga);
    if (!b->gx[0]) return -1;
  }
  if (b->needs[1]) b->gx[1] = gb;
  return gb ? 0 : -1;
}
static al_tensor *solve_again(al_back *b, al_tensor *g) {
  return al_apply(&al_op_solve, al_mT(b->in[0]), g, (int)b->a[2].b);
}
static int solve_grad(al_back *b) { return system_grad(b, b->a[2].b, solve_again, NULL); }

AL_OP(solve, .sig = "a:T b:T {left:bool=true} -> T",
      .doc =
          "The solution x of a x = b, of x a = b with left = false, by LU with row "
          "exchanges.\n"
          "a: (.., n, n); b: (.., n, k), or vectors: (n), or a's shape without its last dim. "
          "Leading dims broadcast.\nRaises when a is singular.",
      .forward = solve_forward, .grad = solve_grad, .save = "a out",
      .sample = "{r(3,3), r(3,2)}, {r(3,3), r(3)}, {r(2,3,3), r(2,3)}, {r(2,1,3,3), r(2,3,2)}, "
                "{r(2,3,3), r(2,3), {left=false}}, {r(2,3,3), r(3)}");

static void triangular_one(const al_stack *s, int64_t i, int *info) {
  const float one = 1;
  const double unit = 1;
  (void)info;
  trsm[s->real](s->side, s->uplo, "N", s->job, &s->m, &s->k,
                s->real ? (const void *)&unit : &one, al_stack_at(s, 0, i), &s->n,
                al_stack_at(s, 1, i), &s->m, 1, 1, 1, 1);
}

static int triangular_forward(al_call *c) {
  al_tensor *a = ARG_T(0), *b = ARG_T(1);
  bool vectors, left = ARG_B(3);
  if (align(&a, &b, left, &vectors)) return -1;
  a = al_dense(a, (al_dtype)a->dtype);
  b = al_fresh_contiguous(b, (al_dtype)b->dtype);
  if (!a || !b) return -1;
  al_stack s = al_stack_of(a, triangular_one);
  s.m = (int)b->shape[b->ndim - 1], s.k = (int)b->shape[b->ndim - 2];
  s.t[0] = a, s.t[1] = b;
  s.side = left ? "R" : "L";
  s.uplo = ARG_B(2) ? "L" : "U";
  s.job = ARG_B(4) ? "U" : "N";
  if (al_numel(b) && al_stack_run(&s, NULL)) return -1;
  return al_ret(c, vectors ? al_alias(b, b->ndim - 1, b->shape, b->stride, b->offset) : b);
}
static al_tensor *triangular_again(al_back *b, al_tensor *g) {
  return al_solve_triangular(al_mT(b->in[0]), g, !b->a[2].b, b->a[3].b, b->a[4].b);
}
static int triangular_grad(al_back *b) {
  int n;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  bool upper = b->a[2].b;
  al_tensor *mask = al_pattern(b->out[0], shape[n - 1], !upper, !b->a[4].b, upper);
  return mask ? system_grad(b, b->a[3].b, triangular_again, mask) : -1;
}

AL_OP(
    solve_triangular,
    .sig = "a:T b:T {upper:bool left:bool=true unitriangular:bool=false} -> T",
    .doc = "The solution x of a x = b, of x a = b with left = false, a being triangular: only "
           "that half of it is read,\nwithout the diagonal when unitriangular (taken as 1). "
           "Shapes as in solve. A zero on the diagonal gives infinities.",
    .forward = triangular_forward, .grad = triangular_grad, .save = "a out",
    .sample =
        "{away(3,3), r(3,2), {upper=true}}, {away(2,3,3), r(2,3), {upper=false}}, "
        "{away(3,3), r(2,2,3), {upper=true, left=false}}, {r(2,3,3), r(3,2), {upper=false, "
        "unitriangular=true}}, {r(3,3), r(2,3), {upper=true, left=false, unitriangular=true}}");

static int inv_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  if (al_check_matrix(x, "x", true)) return -1;
  al_tensor *eye = al_pattern(x, x->shape[x->ndim - 1], 0, 1, 0);
  eye = eye ? al_expand(eye, x->shape, x->ndim) : NULL;
  return al_ret(c, eye ? solution(x, eye, false) : NULL); /* which copies less */
}
static int inv_grad(al_back *b) {
  al_tensor *p = al_mT(b->out[0]);
  return al_grad1(b, al_neg(al_matmul(al_matmul(p, b->g[0]), p)));
}
AL_OP(
    inv, .sig = "x:T -> T", .alias = "inverse",
    .doc = "The inverse of square matrices (.., n, n). To solve a system, solve is faster and "
           "more accurate.\nRaises when a matrix is singular.",
    .forward = inv_forward, .grad = inv_grad, .save = "out", .sample = "{r(3,3)}, {r(2,3,3)}");

/* ---- determinants ---- */

static void lu_one(const al_stack *s, int64_t i, int *info) {
  getrf[s->real](&s->n, &s->n, al_stack_at(s, 0, i), &s->n, al_stack_ints(s, i), info);
}

/* Signs and logarithms of the absolute determinants, or the determinants themselves: products
 * of the pivots, each row exchange turning the sign. */
static int determinants(al_call *c, bool logs) {
  al_tensor *x = ARG_T(0);
  if (al_check_matrix(x, "x", true)) return -1;
  al_stack s = al_stack_of(x, lu_one);
  al_tensor *first = al_empty((al_dtype)x->dtype, x->ndim - 2, x->shape),
            *second = al_empty((al_dtype)x->dtype, x->ndim - 2, x->shape);
  s.t[0] = al_fresh_contiguous(x, (al_dtype)x->dtype);
  s.irooms = s.n;
  if (!first || !second || !s.t[0] || (al_numel(x) && al_stack_run(&s, NULL))) return -1;
  for (int64_t i = 0; i < s.count; i++) {
    double det = 1, log_det = 0;
    for (int64_t j = 0; j < s.n; j++) {
      double v = al_get(s.t[0], (i * s.n + j) * s.n + j);
      if (al_stack_ints(&s, i)[j] != j + 1) det = -det;
      det *= !logs ? v : v > 0 ? 1 : v < 0 ? -1 : v; /* 0 and NaN stay */
      log_det += log(fabs(v));
    }
    al_set(first, i, det);
    al_set(second, i, log_det);
  }
  c->out[0] = first;
  c->out[1] = logs ? second : NULL;
  return 0;
}

/* g times the matrix of cofactors: det(x) x^-T. Without a further gradient by the SVD u s v in
 * float64, right for singular matrices too: det(u) det(v) u diag(prod of the other s) v. */
extern al_op al_op_det;
static int det_forward(al_call *c) { return determinants(c, false); }
static int det_grad(al_back *b) {
  al_tensor *g = b->g[0], *cofactors;
  if (b->create_graph) {
    g = al_mul(g, b->out[0]);
    cofactors = al_mT(al_apply(&al_op_inv, b->in[0]));
  } else {
    al_call c;
    if (al_decompose(&al_op_svd, al_to(b->in[0], AL_FLOAT64), &c)) return -1;
    al_tensor *u = c.out[0], *s = c.out[1], *v = c.out[2];
    int64_t n = s->shape[s->ndim - 1];
    al_tensor *others = al_add(al_mul(al_unsqueeze(s, -2), al_pattern(s, n, 1, 0, 1)),
                               al_pattern(s, n, 0, 1, 0));
    others = al_apply(&al_op_prod, others, (const int64_t[]){-1}, 1, (int)false);
    cofactors = al_rebuild(u, others, v);
    g = al_mul(g, al_mul(al_apply(&al_op_det, u), al_apply(&al_op_det, v)));
  }
  return al_grad1(b, al_mul(al_unsqueeze(al_unsqueeze(g, -1), -1), cofactors));
}
AL_OP(det, .sig = "x:T -> T",
      .doc = "Determinants of square matrices (.., n, n), by LU. The gradient is right for "
             "singular matrices too;\nits own gradient needs the inverse.",
      .forward = det_forward, .grad = det_grad, .save = "x out",
      .sample = "{r(3,3)}, {r(2,3,3)}, {r(1,1)}");

static int slogdet_forward(al_call *c) { return determinants(c, true); }
static int slogdet_grad(al_back *b) {
  if (!b->g[1]) return 0;
  al_tensor *g = al_unsqueeze(al_unsqueeze(b->g[1], -1), -1);
  return al_grad1(b, al_mul(g, al_mT(al_apply(&al_op_inv, b->in[0]))));
}
AL_OP(slogdet, .sig = "x:T -> T T",
      .doc = "Sign and logarithm of the absolute determinant of (.., n, n); singular: 0 and "
             "-inf. The gradient needs the inverse.",
      .forward = slogdet_forward, .grad = slogdet_grad, .save = "x",
      .sample = "{r(3,3)}, {r(2,3,3)}");

/* ---- Cholesky ---- */

static void cholesky_one(const al_stack *s, int64_t i, int *info) {
  potrf[s->real]("U", &s->n, al_stack_at(s, 0, i), &s->n, info, 1);
  for (int64_t j = 0; j < s->n; j++) {
    double v = al_get(s->t[0], (i * s->n + j) * s->n + j);
    if (!(v > 0)) *info = 1; /* NaN too */
  }
}
static int cholesky_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  if (al_check_matrix(x, "x", true)) return -1;
  al_stack s = al_stack_of(x, cholesky_one);
  s.t[0] = al_fresh_contiguous(al_symmetric(x), (al_dtype)x->dtype);
  if (!s.t[0] || (al_numel(x) && al_stack_run(&s, "is not positive definite"))) return -1;
  al_tensor *l = al_apply(&al_op_tril, s.t[0], (int64_t)0);
  return al_ret(c, ARG_B(1) ? al_flipped(l) : l);
}
/* With x = l l^T: the symmetric part of l^-T P(l^T gl) l^-1, P the lower half with half the
 * diagonal (Murray 2016, arXiv:1602.07527). */
static int cholesky_grad(al_back *b) {
  bool upper = b->a[1].b;
  al_tensor *l = upper ? al_mT(b->out[0]) : b->out[0], *g = upper ? al_mT(b->g[0]) : b->g[0];
  if (!l || !g) return -1;
  al_tensor *p =
      al_mul(al_matmul(al_mT(l), g), al_pattern(l, l->shape[l->ndim - 1], 1, 0.5, 0));
  p = al_solve_triangular(al_mT(l), p, true, true, false);
  return al_grad1(b, al_symmetric(al_solve_triangular(l, p, false, false, false)));
}
AL_OP(cholesky, .sig = "x:T {upper:bool=false} -> T",
      .doc =
          "The lower triangular l with x = l l^T, or with upper its transpose, of positive "
          "definite matrices (.., n, n).\nThe symmetric part of x is what is factored. Raises "
          "when it is not positive definite.",
      .forward = cholesky_forward, .grad = cholesky_grad, .save = "out",
      .sample = "{definite(3,3)}, {definite(2,3,3), {upper=true}}");
