/* decompose.c: QR, eigenvalues of symmetric matrices, singular values; see linalg.c. */
#include "linalg.h"
#include <math.h>
#include <string.h>

// clang-format off
LAPACK(geqrf, const int *m, const int *n, void *a, const int *lda, void *tau, void *work,
       const int *lwork, int *info);
LAPACK(orgqr, const int *m, const int *n, const int *k, void *a, const int *lda,
       const void *tau, void *work, const int *lwork, int *info);
LAPACK(syevd, const char *jobz, const char *uplo, const int *n, void *a, const int *lda,
       void *w, void *work, const int *lwork, int *iwork, const int *liwork, int *info, size_t,
       size_t);
LAPACK(gesdd, const char *jobz, const int *m, const int *n, void *a, const int *lda, void *s,
       void *u, const int *ldu, void *vt, const int *ldvt, void *work, const int *lwork,
       int *iwork, int *info, size_t);
// clang-format on

/* Room for results: x's leading dims, then rows x cols (cols < 0: rows only). */
static al_tensor *made(const al_tensor *x, int64_t rows, int64_t cols) {
  int64_t shape[AL_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[x->ndim - 2] = rows;
  if (cols >= 0) shape[x->ndim - 1] = cols;
  return al_empty((al_dtype)x->dtype, x->ndim - (cols < 0), shape);
}
static int all_finite(const al_tensor *x) {
  int64_t n = al_numel(x);
  bool ok = true;
  for (int64_t i = 0; i < n; i++)
    ok &= x->dtype == AL_FLOAT64 ? isfinite(((double *)al_data(x))[i])
                                 : isfinite(((float *)al_data(x))[i]);
  return ok ? 0 : al_fail("x has entries that are NaN or infinite");
}

static al_tensor *times_eye(al_tensor *s) { /* a diagonal matrix */
  al_tensor *row = al_unsqueeze(s, -2);
  return row ? al_mul(row, al_pattern(row, row->shape[row->ndim - 1], 0, 1, 0)) : NULL;
}

static al_tensor *sized(const al_tensor *x, const al_tensor *like) {
  return x ? (al_tensor *)x : al_zeros((al_dtype)like->dtype, like->ndim, like->shape);
}
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- QR ---- */

/* t: the columns of x, then of q (room for the larger count); r; the reflectors' factors. */
static void qr_one(const al_stack *s, int64_t i, int *info) {
  char *a = al_stack_at(s, 0, i), *r = al_stack_at(s, 1, i);
  void *tau = al_stack_at(s, 2, i), *work = al_stack_room(s, i);
  int k = s->m < s->n ? s->m : s->n, room = (int)s->room, size = s->real ? 8 : 4;
  int rows = (int)(al_numel(s->t[1]) / s->count / s->n);
  geqrf[s->real](&s->m, &s->n, a, &s->m, tau, work, &room, info);
  memset(r, 0, (size_t)rows * (size_t)s->n * (size_t)size);
  for (int64_t row = 0; row < k; row++)
    for (int64_t col = row; col < s->n; col++)
      memcpy(r + (row * s->n + col) * size, a + (col * s->m + row) * size, (size_t)size);
  if (s->k) orgqr[s->real](&s->m, &s->k, &k, a, &s->m, tau, work, &room, info);
}

/* The first `rows` of the last-but-one dim, in storage of their own. */
static al_tensor *first_rows(al_tensor *t, int64_t rows) {
  t = t ? al_narrow(t, -2, 1, rows) : NULL;
  return t ? al_fresh_contiguous(t, (al_dtype)t->dtype) : NULL;
}

static int qr_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  const char *mode = c->a[1].s ? c->a[1].s : "reduced";
  bool only_r = !strcmp(mode, "r"), full = !strcmp(mode, "complete");
  if (!only_r && !full && strcmp(mode, "reduced"))
    return al_fail("mode \"%s\" is unknown: reduced, complete or r", mode);
  if (al_check_matrix(x, "x", false)) return -1;
  al_stack s = al_stack_of(x, qr_one);
  int64_t k = s.m < s.n ? s.m : s.n, cols = full ? s.m : k, wide = most(s.n, cols);
  s.k = only_r ? 0 : (int)cols;
  s.room = wide < 32 ? wide : 32 * wide;
  s.t[0] = made(x, wide, s.m); /* row j is column j of x */
  s.t[1] = made(x, cols, s.n);
  s.t[2] = made(x, k, -1);
  if (!s.t[0] || !s.t[1] || !s.t[2] || al_copy(al_narrow(s.t[0], -2, 1, s.n), al_mT(x)))
    return -1;
  if (al_numel(x) && al_stack_run(&s, "could not be factored")) return -1;
  if (!al_numel(x) && full && al_copy(s.t[0], al_pattern(x, s.m, 0, 1, 0))) return -1;
  c->out[0] = only_r ? al_empty((al_dtype)x->dtype, 1, (const int64_t[]){0})
                     : al_flipped(first_rows(s.t[0], cols));
  c->out[1] = s.t[1];
  return c->out[0] ? 0 : -1;
}

/* Roberts and Roberts (2020), arXiv:2009.10071. Tall: (gq + q sym(m)) r^-T with m = r gr^T -
 * gq^T q, sym its lower half mirrored. Wide, x = (x1 x2) and r = (r1 r2): r2 = q^T x2 hands its
 * cotangent to q and x2, and q r1 = x1 is square. */
static int qr_grad(al_back *b) {
  al_tensor *q = b->out[0], *r = b->out[1], *gq = b->g[0], *gr = sized(b->g[1], r), *g2 = NULL;
  const char *mode = b->a[1].s;
  if (mode && !strcmp(mode, "r"))
    return al_fail("mode \"r\" keeps no q, which the gradient needs");
  if (!gr) return -1;
  int64_t m = q->shape[q->ndim - 2], n = r->shape[r->ndim - 1], k = q->shape[q->ndim - 1];
  if (m > n && k > n)
    return al_fail("mode \"complete\" has a gradient when x has no more rows than columns");
  if (n > k) {
    al_tensor *gr2 = al_narrow(gr, -1, k + 1, n - k);
    gq = al_add(gq, al_matmul(al_narrow(b->in[0], -1, k + 1, n - k), al_mT(gr2)));
    g2 = al_matmul(q, gr2);
    r = al_narrow(r, -1, 1, k);
    gr = al_narrow(gr, -1, 1, k);
    if (!g2) return -1;
  }
  al_tensor *half = al_pattern(q, k, 1, 0.5, 0);
  al_tensor *low = al_mul(al_sub(al_matmul(r, al_mT(gr)), al_matmul(al_mT(gq), q)), half);
  al_tensor *g = al_add(gq, al_matmul(q, al_add(low, al_mT(low))));
  g = al_solve_triangular(al_mT(r), g, false, false, false);
  return al_grad1(b, g && g2 ? al_cat((al_tensor *[]){g, g2}, 2, -1) : g);
}

AL_OP(qr, .sig = "x:T mode:str=reduced -> T T",
      .doc =
          "q with orthonormal columns and upper triangular r, x = q r, of matrices (.., m, n) "
          "by Householder reflections.\nmode reduced: q (m, k), r (k, n), k = min(m, n); "
          "complete: q (m, m), r (m, n); r: an empty q.",
      .forward = qr_forward, .grad = qr_grad, .save = "x out1 out2",
      .sample = "{r(4,3)}, {r(2,3,3)}, {r(2,2,4)}, {r(3,4), \"complete\"}");

/* ---- eigenvalues of symmetric matrices ---- */

static void eigh_one(const al_stack *s, int64_t i, int *info) {
  int room = (int)s->room, irooms = (int)s->irooms;
  syevd[s->real](s->job, "U", &s->n, al_stack_at(s, 0, i), &s->n, al_stack_at(s, 1, i),
                 al_stack_room(s, i), &room, al_stack_ints(s, i), &irooms, info, 1, 1);
}

static int eigen(al_call *c, bool vectors) {
  al_tensor *x = ARG_T(0);
  if (al_check_matrix(x, "x", true)) return -1;
  al_stack s = al_stack_of(x, eigh_one);
  s.t[0] = al_fresh_contiguous(al_symmetric(x), (al_dtype)x->dtype);
  s.t[1] = made(x, s.n, -1);
  s.job = vectors ? "V" : "N";
  s.room = 1 + 6 * (int64_t)s.n + 2 * (int64_t)s.n * s.n;
  s.irooms = 3 + 5 * (int64_t)s.n;
  if (!s.t[0] || !s.t[1] || all_finite(s.t[0])) return -1;
  if (al_numel(x) && al_stack_run(&s, "has eigenvalues that did not converge")) return -1;
  c->out[0] = s.t[1];
  c->out[1] = vectors ? al_flipped(s.t[0]) : NULL;
  return 0;
}

/* v (diag(gl) + (v^T gv) / (l_j - l_i)) v^T, its symmetric part */
static int eigh_forward(al_call *c) { return eigen(c, true); }
static int eigh_grad(al_back *b) {
  al_tensor *l = b->out[0], *v = b->out[1], *inner = times_eye(b->g[0]);
  if (b->g[1] && inner) {
    al_tensor *eye = al_pattern(v, v->shape[v->ndim - 1], 0, 1, 0);
    al_tensor *gaps = al_add(al_sub(al_unsqueeze(l, -2), al_unsqueeze(l, -1)), eye);
    al_tensor *off = al_pattern(v, v->shape[v->ndim - 1], 1, 0, 1);
    inner = al_add(inner, al_div(al_mul(al_matmul(al_mT(v), b->g[1]), off), gaps));
  }
  return al_grad1(b, al_symmetric(al_matmul(al_matmul(v, inner), al_mT(v))));
}
AL_OP(eigh, .sig = "x:T -> T T",
      .doc = "Eigenvalues (.., n), ascending, and eigenvectors (.., n, n), in columns, of "
             "symmetric matrices (.., n, n).\nThe symmetric part of x is what is decomposed. A "
             "vector's sign is open; its gradient is infinite where eigenvalues are equal.",
      .forward = eigh_forward, .grad = eigh_grad, .save = "out1 out2",
      .sample = "{definite(3,3)}, {r(2,3,3)}");

extern al_op al_op_eigh;
static int eigvalsh_forward(al_call *c) { return eigen(c, false); }
static int eigvalsh_grad(al_back *b) {
  al_call c;
  if (al_decompose(&al_op_eigh, b->in[0], &c)) return -1;
  return al_grad1(b, al_rebuild(c.out[1], b->g[0], al_mT(c.out[1])));
}
AL_OP(eigvalsh, .sig = "x:T -> T",
      .doc =
          "Eigenvalues of symmetric matrices (.., n, n), ascending: eigh without the vectors, "
          "whose gradient stays finite where eigenvalues are equal.",
      .forward = eigvalsh_forward, .grad = eigvalsh_grad, .save = "x",
      .sample = "{definite(3,3)}, {r(2,3,3)}");

/* ---- singular values ---- */

/* LAPACK's matrix is x^T = v s u^T: its left vectors in columns are the rows of v^T here, its
 * right ones in rows the columns of u. */
static void svd_one(const al_stack *s, int64_t i, int *info) {
  int room = (int)s->room, ldu = *s->job == 'A' ? s->m : s->k;
  void *u = s->t[2] ? al_stack_at(s, 2, i) : NULL, *v = s->t[3] ? al_stack_at(s, 3, i) : NULL;
  gesdd[s->real](s->job, &s->n, &s->m, al_stack_at(s, 0, i), &s->n, al_stack_at(s, 1, i), v,
                 &s->n, u, &ldu, al_stack_room(s, i), &room, al_stack_ints(s, i), info, 1);
}

static int singular(al_call *c, bool vectors, bool full) {
  al_tensor *x = ARG_T(0);
  if (al_check_matrix(x, "x", false)) return -1;
  al_stack s = al_stack_of(x, svd_one);
  int64_t k = s.k = s.m < s.n ? s.m : s.n, large = most(s.m, s.n);
  s.job = !vectors ? "N" : full ? "A" : "S";
  s.room = 4 * k * k + 7 * k + large + (k < 32 ? 0 : 32 * (k + large));
  s.irooms = 8 * k;
  s.t[0] = al_fresh_contiguous(x, (al_dtype)x->dtype);
  s.t[1] = made(x, k, -1);
  if (!s.t[0] || !s.t[1] || all_finite(s.t[0])) return -1;
  c->out[0] = s.t[1];
  if (vectors) {
    c->out[0] = s.t[2] = made(x, s.m, full ? s.m : k);
    c->out[1] = s.t[1];
    c->out[2] = s.t[3] = made(x, full ? s.n : k, s.n);
    if (!s.t[2] || !s.t[3]) return -1;
    if (full && !k &&
        (al_copy(s.t[2], al_pattern(x, s.m, 0, 1, 0)) ||
         al_copy(s.t[3], al_pattern(x, s.n, 0, 1, 0))))
      return -1;
  }
  return al_numel(x) ? al_stack_run(&s, "has singular values that did not converge") : 0;
}

static al_tensor *skew(al_tensor *x) { return al_sub(x, al_mT(x)); }

/* With e_ij = s_j^2 - s_i^2 (1 on the diagonal):
 * u ((skew(u^T gu) / e) s + s (skew(v^T gv) / e) + diag(gs)) v^T
 *   + (1 - u u^T) gu s^-1 v^T + u s^-1 gv^T (1 - v v^T) */
static int svd_forward(al_call *c) { return singular(c, true, ARG_B(1)); }
static int svd_grad(al_back *b) {
  al_tensor *s = b->out[1];
  int64_t k = s->shape[s->ndim - 1];
  al_tensor *u = al_narrow(b->out[0], -1, 1, k), *v = al_narrow(b->out[2], -2, 1, k);
  al_tensor *row = al_unsqueeze(s, -2), *col = al_unsqueeze(s, -1),
            *gx = times_eye(sized(b->g[1], s));
  if (!u || !v || !row || !col || !gx) return -1;
  al_tensor *e = al_add(al_sub(al_square(row), al_square(col)), al_pattern(s, k, 0, 1, 0));
  al_tensor *gu = b->node->gout[0] ? al_narrow(b->g[0], -1, 1, k) : NULL, *ugu = NULL,
            *gv = b->g[2] ? al_narrow(b->g[2], -2, 1, k) : NULL, *vgv = NULL;
  if (gu) {
    ugu = al_matmul(al_mT(u), gu);
    gx = al_add(gx, al_mul(al_div(skew(ugu), e), row));
  }
  if (gv) {
    vgv = al_matmul(v, al_mT(gv));
    gx = al_add(gx, al_mul(al_div(skew(vgv), e), col));
  }
  gx = al_matmul(al_matmul(u, gx), v);
  if (gu && u->shape[u->ndim - 2] > k)
    gx = al_add(gx, al_matmul(al_div(al_sub(gu, al_matmul(u, ugu)), row), v));
  if (gv && v->shape[v->ndim - 1] > k)
    gx = al_add(gx, al_matmul(u, al_div(al_sub(gv, al_matmul(al_mT(vgv), v)), col)));
  return al_grad1(b, gx);
}
AL_OP(svd, .sig = "x:T full_matrices:bool=true -> T T T",
      .doc =
          "u, s and v^T with x = u diag(s) v^T, s descending, of matrices (.., m, n), k = "
          "min(m, n).\nu (m, m), s (k), v^T (n, n); with full_matrices = false u (m, k), v^T "
          "(k, n), as the gradient sees them.\nThe sign of a pair of vectors is open; their "
          "gradient is infinite where singular values are equal.",
      .forward = svd_forward, .grad = svd_grad, .save = "out1 out2 out3",
      .sample = "{r(3,3), true}, {r(4,2), false}, {r(2,2,4), {full_matrices=false}}");

static int svdvals_forward(al_call *c) { return singular(c, false, false); }
static int svdvals_grad(al_back *b) {
  al_call c;
  if (al_decompose(&al_op_svd, b->in[0], &c)) return -1;
  return al_grad1(b, al_rebuild(c.out[0], b->g[0], c.out[2]));
}
AL_OP(svdvals, .sig = "x:T -> T",
      .doc =
          "Singular values of matrices (.., m, n), descending: svd without the vectors, whose "
          "gradient stays finite where singular values are equal.",
      .forward = svdvals_forward, .grad = svdvals_grad, .save = "x",
      .sample = "{r(3,4)}, {r(2,4,3)}");
