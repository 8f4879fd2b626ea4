/* matrices.c: what is made of products and factorisations of matrices. */
#include "linalg.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern al_op al_op_diagonal, al_op_roll, al_op_pinv_rank;

/* ---- sums of products ---- */

/* beta x + alpha y; x is not looked at when beta is 0. */
static int blend(al_call *c, al_tensor *y, int options) {
  double beta = ARG_F(options), alpha = ARG_F(options + 1);
  if (alpha != 1) y = al_mul_num(y, alpha);
  if (beta == 0) return al_ret(c, y);
  return al_ret(c, al_add(beta == 1 ? ARG_T(0) : al_mul_num(ARG_T(0), beta), y));
}
static int addmm_forward(al_call *c) { return blend(c, al_matmul(ARG_T(1), ARG_T(2)), 3); }
static int addbmm_forward(al_call *c) {
  return blend(c, al_sum(al_matmul(ARG_T(1), ARG_T(2)), (const int64_t[]){0}, 1, false), 3);
}
AL_OP(addmm, .sig = "x:T a:T b:T {beta:num=1 alpha:num=1} -> T", .alias = "baddbmm addmv",
      .flags = AL_F_COMPOSITE,
      .doc = "beta x + alpha (a matmul b), x broadcast; beta = 0 leaves x unread.",
      .forward = addmm_forward,
      .sample = "{r(2,3), r(2,4), r(4,3)}, {r(3), r(2,2,4), r(2,4,3), {beta=0.5, alpha=2}}, "
                "{r(2), r(2,3), r(3), {beta=0}}");
AL_OP(addbmm, .sig = "x:T a:T b:T {beta:num=1 alpha:num=1} -> T", .flags = AL_F_COMPOSITE,
      .doc =
          "beta x + alpha times the sum of the products of two stacks of matrices, (b, n, m) "
          "and (b, m, p).",
      .forward = addbmm_forward, .sample = "{r(2,3), r(2,2,4), r(2,4,3), {beta=0.5, alpha=2}}");

static int trace_forward(al_call *c) {
  if (ARG_T(0)->ndim != 2) return al_fail("x has %d dims, needs 2", ARG_T(0)->ndim);
  al_tensor *d = al_apply(&al_op_diagonal, ARG_T(0), (int64_t)0, (int64_t)0, (int64_t)1);
  return al_ret(c, al_sum(d, NULL, 0, false));
}
AL_OP(trace, .sig = "x:T -> T", .flags = AL_F_COMPOSITE, .doc = "Sum of a matrix's diagonal.",
      .forward = trace_forward, .sample = "{r(3,3)}, {r(2,4)}");

static int kron_forward(al_call *c) {
  int64_t shape[3][2 * AL_MAX_DIMS];
  int n = ARG_T(0)->ndim > ARG_T(1)->ndim ? ARG_T(0)->ndim : ARG_T(1)->ndim;
  if (2 * n > AL_MAX_DIMS) return al_fail("takes at most %d dims", AL_MAX_DIMS / 2);
  for (int d = 0; d < n; d++) {
    for (int k = 0; k < 2; k++) { /* sizes of x and y in turn: a 1 b 1, 1 c 1 d */
      int lead = n - ARG_T(k)->ndim;
      shape[k][2 * d + k] = d < lead ? 1 : ARG_T(k)->shape[d - lead];
      shape[k][2 * d + 1 - k] = 1;
    }
    shape[2][d] = shape[0][2 * d] * shape[1][2 * d + 1];
  }
  return al_ret(c, al_reshape(al_mul(al_reshape(ARG_T(0), shape[0], 2 * n),
                                     al_reshape(ARG_T(1), shape[1], 2 * n)),
                              shape[2], n));
}
AL_OP(
    kron, .sig = "x:T y:T -> T", .flags = AL_F_COMPOSITE,
    .doc = "Kronecker product: every entry of x times all of y, (a, b) and (c, d) -> (ac, bd).",
    .forward = kron_forward, .sample = "{r(2,3), r(2,2)}, {r(3), r(2,2)}, {r(2,2,2), r(2)}");

static int cross_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = ARG_T(1);
  int d, e;
  if (al_dim(ARG_I(2), x->ndim, &d) || al_dim(ARG_I(2), y->ndim, &e)) return -1;
  if (x->shape[d] != 3 || y->shape[e] != 3) return al_fail("the dim needs 3 entries");
  const int64_t s1 = -1, s2 = -2, dx = d, dy = e;
  return al_ret(c, al_sub(al_mul(al_apply(&al_op_roll, x, &s1, 1, &dx, 1),
                                 al_apply(&al_op_roll, y, &s2, 1, &dy, 1)),
                          al_mul(al_apply(&al_op_roll, x, &s2, 1, &dx, 1),
                                 al_apply(&al_op_roll, y, &s1, 1, &dy, 1))));
}
AL_OP(cross, .sig = "x:T y:T dim:dim=-1 -> T", .flags = AL_F_COMPOSITE,
      .doc = "Cross products of vectors of 3 entries along dim; other dims broadcast.",
      .forward = cross_forward, .sample = "{r(2,3), r(2,3)}, {r(3,2), r(3,1), 1}");

/* ---- powers, norms ---- */

static int matrix_power_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = NULL;
  int64_t n = ARG_I(1);
  if (al_check_matrix(x, "x", true)) return -1;
  if (n < 0) x = al_apply(&al_op_inv, x);
  if (n == 0) { /* x counts, with a gradient of 0 */
    al_tensor *eye = al_pattern(x, x->shape[x->ndim - 1], 0, 1, 0);
    return al_ret(c, al_where(al_eq(eye, eye), eye, x));
  }
  for (uint64_t k = n < 0 ? -(uint64_t)n : (uint64_t)n;;) { /* square and multiply */
    if (!x) return -1;
    if (k & 1) y = y ? al_matmul(y, x) : x;
    if (!(k >>= 1)) break;
    x = al_matmul(x, x);
  }
  return al_ret(c, y == ARG_T(0) ? al_apply(&al_op_clone, y) : y);
}
AL_OP(
    matrix_power, .sig = "x:T n:int -> T", .flags = AL_F_COMPOSITE,
    .doc = "x multiplied with itself n times, (.., k, k); n < 0: the inverse; 0: the identity.",
    .forward = matrix_power_forward,
    .sample = "{r(3,3), 3}, {r(2,3,3), 4}, {r(3,3), -2}, {r(3,3), 1}");

static int matrix_norm_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  const char *text = ARG_T(0) && c->a[1].s ? c->a[1].s : "fro";
  bool fro = !strcmp(text, "fro"), nuc = !strcmp(text, "nuc"), keep = ARG_B(3);
  char *end;
  double ord = strtod(text, &end), size = fabs(ord);
  int d[2] = {x->ndim - 2, x->ndim - 1};
  if (!fro && !nuc && (*end || end == text || (size != 1 && size != 2 && !isinf(ord))))
    return al_fail("ord \"%s\" is unknown: fro, nuc, 1, -1, 2, -2, inf or -inf", text);
  if (al_check_matrix(x, "x", false)) return -1;
  if (HAS(2) && c->a[2].ints.n != 2) return al_fail("dims names %d dims", c->a[2].ints.n);
  for (int k = 0; HAS(2) && k < 2; k++)
    if (al_dim(c->a[2].ints.v[k], x->ndim, &d[k])) return -1;
  if (d[0] == d[1]) return al_fail("the two dims are the same");
  int64_t order[AL_MAX_DIMS], kept[AL_MAX_DIMS], last = -1, both[] = {d[0], d[1]};
  if (fro) return al_ret(c, al_apply(&al_op_norm, x, 2.0, both, 2, (int)keep));
  int n = 0;
  for (int k = 0; k < x->ndim; k++) {
    bool of_matrix = k == d[0] || k == d[1];
    if (!of_matrix) order[n++] = k;
    kept[k] = of_matrix ? 1 : x->shape[k];
  }
  order[n] = d[0];
  order[n + 1] = d[1];
  x = al_permute(x, order, n + 2);
  if (nuc || size == 2) x = al_apply(&al_op_svdvals, x);
  else x = al_sum(al_abs(x), (const int64_t[]){size == 1 ? -2 : -1}, 1, false);
  if (nuc) x = al_sum(x, &last, 1, false);
  else x = al_apply(ord > 0 ? &al_op_amax : &al_op_amin, x, &last, 1, (int)false);
  return al_ret(c, keep ? al_reshape(x, kept, n + 2) : x);
}
AL_OP(
    matrix_norm, .sig = "x:T ord:str=fro dims:dims? keepdim:bool=false -> T",
    .flags = AL_F_COMPOSITE,
    .doc =
        "Norms of matrices in the last two dims, or `dims`. ord: \"fro\" the root of the sum "
        "of squares; \"nuc\" the sum of the singular values, 2 the largest, -2 the least of "
        "them;\n1 (math.huge) the largest sum of magnitudes of a column (row), -1 (-math.huge) "
        "the least.",
    .forward = matrix_norm_forward,
    .sample =
        "{r(3,4)}, {r(2,3,4), \"nuc\"}, {r(3,4), 2}, {r(3,4), -2}, {r(2,3,4), 1, {3,1}, "
        "true}, {r(3,4), -1}, {r(3,4), math.huge}, {r(2,3,2), -math.huge, {keepdim=true}}");

/* ---- pseudo-inverse, least squares, rank ---- */

/* Which singular values (.., k) of m x n matrices count: those above max(atol, rtol s_1).
 * Option `at` holds rtol (and at + 1 atol, when `both`); rtol is eps max(m, n) unless atol is
 * given. */
static al_tensor *counted(const al_call *c, al_tensor *s, const al_tensor *x, int at,
                          bool both) {
  int64_t m = x->shape[x->ndim - 2], n = x->shape[x->ndim - 1], last = -1;
  double eps = x->dtype == AL_FLOAT64 ? 0x1p-52 : 0x1p-23,
         atol = both && HAS(at + 1) ? ARG_F(at + 1) : 0;
  double rtol = HAS(at) ? ARG_F(at) : atol > 0 ? 0 : eps * (double)(m > n ? m : n);
  if (!s || m == 0 || n == 0) return s ? al_gt(s, al_number(0)) : NULL;
  al_tensor *bound = al_mul_num(al_apply(&al_op_amax, s, &last, 1, (int)true), rtol);
  return al_gt(s, al_maximum(bound, al_number(atol)));
}
static int pinv_rank_forward(al_call *c) {
  al_call f;
  al_tensor *x = ARG_T(0);
  if (al_check_matrix(x, "x", false) || al_decompose(&al_op_svd, x, &f)) return -1;
  const int64_t last = -1;
  al_tensor *s = f.out[1], *used = counted(c, s, x, 1, true);
  al_tensor *turned = al_where(used, al_reciprocal(s), al_number(0));
  c->out[0] = al_rebuild(al_mT(f.out[2]), turned, al_mT(f.out[0]));
  c->out[1] = al_sum(used, &last, 1, false);
  return c->out[0] && c->out[1] ? 0 : -1;
}
/* With p the pseudo-inverse (Golub and Pereyra 1973): -p^T g p^T + (1 - x p) g^T p p^T + p^T p
 * g^T (1 - p x) */
static int pinv_rank_grad(al_back *b) {
  al_tensor *x = b->in[0], *p = b->out[0], *pt = al_mT(p), *gt = al_mT(b->g[0]);
  al_tensor *inner = al_matmul(al_matmul(pt, b->g[0]), pt);
  al_tensor *gp = al_matmul(gt, p), *pg = al_matmul(p, gt);
  al_tensor *rows = al_matmul(al_sub(gt, al_matmul(x, pg)), al_matmul(p, pt));
  al_tensor *cols = al_matmul(al_matmul(pt, p), al_sub(gt, al_matmul(gp, x)));
  return al_grad1(b, al_sub(al_add(rows, cols), inner));
}
AL_OP(pinv_rank, .sig = "x:T {rtol:num? atol:num?} -> T T", .flags = AL_F_HIDDEN,
      .doc = "The pseudo-inverse and the rank: see pinv.", .forward = pinv_rank_forward,
      .grad = pinv_rank_grad, .save = "x out1",
      .sample = "{r(3,4)}, {r(2,4,2), {rtol=1e-9, atol=1e-9}}, {r(3,3)}");

/* pinv_rank(x) by the options at `at`: rtol, and atol when `both`. */
static int pseudo(const al_call *c, int at, bool both, al_call *f) {
  *f = (al_call){.op = &al_op_pinv_rank};
  f->a[0] = c->a[0];
  f->a[1] = c->a[at];
  if (both) f->a[2] = c->a[at + 1];
  return al_invoke(f);
}
static int pinv_forward(al_call *c) {
  al_call f;
  return pseudo(c, 1, true, &f) ? -1 : al_ret(c, f.out[0]);
}
AL_OP(
    pinv, .sig = "x:T {rtol:num? atol:num?} -> T", .flags = AL_F_COMPOSITE,
    .doc =
        "The pseudo-inverse (.., n, m) of matrices (.., m, n), by SVD. Singular values of at "
        "most max(atol, rtol times the largest) count as 0;\nrtol is eps max(m, n) unless atol "
        "is given. The gradient holds while the rank stays.",
    .forward = pinv_forward, .sample = "{r(3,4)}, {r(2,4,2), {rtol=1e-9, atol=1e-9}}");

static int lstsq_forward(al_call *c) {
  al_call f;
  al_tensor *a = ARG_T(0), *b = ARG_T(1);
  if (pseudo(c, 2, false, &f)) return -1;
  al_tensor *x = c->out[0] = al_matmul(f.out[0], b), *rank = c->out[2] = f.out[1];
  const int64_t none = 0, dim = b->ndim == 1 ? -1 : -2, m = a->shape[a->ndim - 2],
                n = a->shape[a->ndim - 1];
  bool full = m > n && rank;
  for (int64_t i = 0; full && i < al_numel(rank); i++) full = al_get_int(rank, i) == n;
  c->out[1] = full ? al_sum(al_square(al_sub(al_matmul(a, x), b)), &dim, 1, false)
                   : al_empty((al_dtype)a->dtype, 1, &none);
  return x && c->out[1] ? 0 : -1;
}
AL_OP(
    lstsq, .sig = "a:T b:T {rcond:num?} -> T T T", .flags = AL_F_COMPOSITE,
    .doc =
        "Least squares by pinv: x, of least norm, that minimises |a x - b|; the squared "
        "residuals; the ranks of a.\na (.., m, n); b (.., m, k), or one vector (m). Residuals "
        "(.., k) when m > n and all ranks are n, else empty. rcond: rtol of pinv.",
    .forward = lstsq_forward,
    .sample = "{r(4,2), r(4,3)}, {r(4,2), r(4)}, {r(2,2,3), r(2,2,1), {rcond=1e-9}}");

static int matrix_rank_forward(al_call *c) {
  const int64_t last = -1;
  al_tensor *s = al_apply(&al_op_svdvals, ARG_T(0));
  return al_ret(c, al_sum(s ? counted(c, s, ARG_T(0), 1, true) : NULL, &last, 1, false));
}
AL_OP(matrix_rank, .sig = "x:T {rtol:num? atol:num?} -> T", .flags = AL_F_NODIFF,
      .doc = "How many singular values count, of those of matrices (.., m, n): see pinv.",
      .forward = matrix_rank_forward, .sample = "{r(3,4)}, {r(2,3,3), {rtol=1e-9, atol=1e-9}}");

static int cholesky_solve_forward(al_call *c) {
  bool upper = ARG_B(2);
  al_tensor *l = upper ? al_mT(ARG_T(1)) : ARG_T(1);
  al_tensor *y = al_solve_triangular(l, ARG_T(0), false, true, false);
  return al_ret(c, al_solve_triangular(al_mT(l), y, true, true, false));
}
AL_OP(cholesky_solve, .sig = "b:T l:T {upper:bool=false} -> T", .flags = AL_F_COMPOSITE,
      .doc = "The solution x of a x = b, given cholesky(a) = l; with upper, its transpose.",
      .forward = cholesky_solve_forward,
      .sample = "{r(3,2), away(3,3)}, {r(2,3), away(2,3,3), {upper=true}}");
