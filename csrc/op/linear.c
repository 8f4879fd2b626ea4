/* linear.c: matrix products. OpenBLAS, each piece on one thread of it; our own engine where a
 * BLAS is slow (few rows) or absent. Engine and split among threads depend on shapes only, so
 * results are the same bits for any number of threads. */
#include "linear.h"
#include "../kernel/gemm.h"
#include "op.h"
#include <pthread.h>
#include <string.h>
#ifndef AL_NO_BLAS
#include <cblas.h>
#endif

/* ---- one product, on this thread ---- */

/* A stored matrix: rows x cols elements at p, or its transpose (t), `ld` elements from row to
 * row. */
typedef struct mat {
  char *p;
  int64_t ld;
  bool t;
} mat;

/* Our own engine, on this thread or on all; -1 when its workspace could not be had. */
static int engine(int dtype, int64_t m, int64_t n, int64_t k, mat a, mat b, double beta, mat c,
                  bool all) {
  const al_gemm_kernels *e = &AL_SELECT(al_gemm);
  if (dtype == AL_FLOAT32)
    return (all ? e->f32 : e->single_f32)(a.t, b.t, m, n, k, 1, (float *)(void *)a.p, a.ld,
                                          (float *)(void *)b.p, b.ld, (float)beta,
                                          (float *)(void *)c.p, c.ld);
  return (all ? e->f64 : e->single_f64)(a.t, b.t, m, n, k, 1, (double *)(void *)a.p, a.ld,
                                        (double *)(void *)b.p, b.ld, beta,
                                        (double *)(void *)c.p, c.ld);
}

#ifdef AL_NO_BLAS
void al_blas_open(void) {}
const char *al_blas_name(void) { return "our own"; }

static void product(int dtype, int64_t m, int64_t n, int64_t k, mat a, mat b, double beta,
                    mat c) {
  engine(dtype, m, n, k, a, b, beta, c, false);
}
#else
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void one_thread(void) { openblas_set_num_threads(1); }
void al_blas_open(void) { pthread_once(&once, one_thread); }
const char *al_blas_name(void) { return openblas_get_corename(); }

/* y = op(A) x + beta y, A stored r x s. */
static void vector_product(int dtype, bool t, int64_t r, int64_t s, mat a, const char *x,
                           int64_t dx, double beta, char *y, int64_t dy) {
  CBLAS_TRANSPOSE op = t ? CblasTrans : CblasNoTrans;
  if (dtype == AL_FLOAT32)
    cblas_sgemv(CblasRowMajor, op, (blasint)r, (blasint)s, 1, (const float *)(const void *)a.p,
                (blasint)a.ld, (const float *)(const void *)x, (blasint)dx, (float)beta,
                (float *)(void *)y, (blasint)dy);
  else
    cblas_dgemv(CblasRowMajor, op, (blasint)r, (blasint)s, 1, (const double *)(const void *)a.p,
                (blasint)a.ld, (const double *)(const void *)x, (blasint)dx, beta,
                (double *)(void *)y, (blasint)dy);
}

/* C (m x n) = A (m x k) B (k x n) + beta C */
static void product(int dtype, int64_t m, int64_t n, int64_t k, mat a, mat b, double beta,
                    mat c) {
  if (n == 1) {
    vector_product(dtype, a.t, a.t ? k : m, a.t ? m : k, a, b.p, b.t ? 1 : b.ld, beta, c.p,
                   c.ld);
    return;
  }
  if (m == 1) {
    vector_product(dtype, !b.t, b.t ? n : k, b.t ? k : n, b, a.p, a.t ? a.ld : 1, beta, c.p, 1);
    return;
  }
  CBLAS_TRANSPOSE ta = a.t ? CblasTrans : CblasNoTrans, tb = b.t ? CblasTrans : CblasNoTrans;
  if (dtype == AL_FLOAT32)
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, 1,
                (const float *)(const void *)a.p, (blasint)a.ld,
                (const float *)(const void *)b.p, (blasint)b.ld, (float)beta,
                (float *)(void *)c.p, (blasint)c.ld);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, 1,
                (const double *)(const void *)a.p, (blasint)a.ld,
                (const double *)(const void *)b.p, (blasint)b.ld, beta, (double *)(void *)c.p,
                (blasint)c.ld);
}
#endif

void al_one_product(al_dtype d, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                    const void *b, int64_t ldb, bool b_transposed, double beta, void *c,
                    int64_t ldc) {
  union { /* a product never writes to its factors */
    const void *from;
    char *p;
  } pa = {a}, pb = {b};
  al_blas_open();
  product(d, m, n, k, (mat){pa.p, lda, false}, (mat){pb.p, ldb, b_transposed}, beta,
          (mat){c, ldc, false});
}

/* ---- many products, on all threads ---- */

typedef struct products {
  int dtype, nbatch;
  int64_t m, n, k, rows, cols; /* a piece computes rows x cols of one product */
  mat a, b, c;
  double beta;
  int64_t shape[AL_MAX_DIMS], sa[AL_MAX_DIMS], sb[AL_MAX_DIMS],
      sc; /* batch dims; steps in elements */
} products;

static int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void product_piece(int64_t begin, int64_t end, void *arg) {
  const products *q = arg;
  int64_t size = (int64_t)al_dtype_size((al_dtype)q->dtype);
  int64_t down = pieces(q->m, q->rows), across = pieces(q->n, q->cols);
  for (int64_t i = begin; i < end; i++) {
    int64_t which = i / (down * across), rest = which, i0 = i / across % down * q->rows,
            j0 = i % across * q->cols;
    mat a = q->a, b = q->b, c = q->c;
    c.p += (which * q->sc + i0 * c.ld + j0) * size;
    a.p += (a.t ? i0 : i0 * a.ld) * size;
    b.p += (b.t ? j0 * b.ld : j0) * size;
    for (int d = q->nbatch - 1; d >= 0; d--) {
      a.p += rest % q->shape[d] * q->sa[d] * size;
      b.p += rest % q->shape[d] * q->sb[d] * size;
      rest /= q->shape[d];
    }
    product(q->dtype, least(q->rows, q->m - i0), least(q->cols, q->n - j0), q->k, a, b, q->beta,
            c);
  }
}

/* One product of few rows and a matrix out of cache: OpenBLAS packs the matrix, at the cost of
 * the product (32x1024x512 by a transposed matrix: 41 GFLOP/s, ours 72; 8x1024x1024: 35, 60).
 */
static bool thin(const products *q, int64_t batch) {
  return batch == 1 && q->nbatch == 0 && q->m > 1 && q->m <= (q->b.t ? 64 : 32) && !q->a.t &&
         q->n >= 64 && q->n * q->k >= 1 << 17;
}

/* A product is halved along its longer side up to three times, never below 128: square pieces
 * pack least. */
static int run_products(products *q) {
  int64_t batch = al_product(q->nbatch, q->shape), work = q->m * q->n * q->k;
  if (batch * q->m * q->n == 0) return 0;
  if (thin(q, batch)) {
    if (!engine(q->dtype, q->m, q->n, q->k, q->a, q->b, q->beta, q->c, true)) return 0;
    return -1;
  }
  al_blas_open();
  q->rows = q->m;
  q->cols = q->n;
  for (int i = 0; i < 3 && batch < 8 && work >= 1 << 18; i++) {
    int64_t *side = q->rows >= q->cols ? &q->rows : &q->cols;
    if (*side >= (i < 2 ? 256 : 1024)) *side = (*side / 2 + 15) / 16 * 16;
  }
  int64_t tasks = batch * pieces(q->m, q->rows) * pieces(q->n, q->cols);
  int64_t each = q->rows * q->cols * q->k + 1;
  al_parallel(tasks, 1 + (1 << 17) / each, product_piece, q);
  return 0;
}

/* The last two dims of t as a stored matrix; false when its strides do not allow it. */
static bool stored(const al_tensor *t, mat *a) {
  int64_t r = t->shape[t->ndim - 2], c = t->shape[t->ndim - 1], rs = t->stride[t->ndim - 2],
          cs = t->stride[t->ndim - 1];
  if (r == 1) rs = c > 1 && cs != 1 ? 1 : c;
  if (c == 1) cs = rs >= 1 ? 1 : r;
  a->p = al_data(t);
  a->t = !(cs == 1 && rs >= (c > 1 ? c : 1));
  a->ld = a->t ? cs : rs;
  if (a->ld < 1) a->ld = 1;
  return !a->t || (rs == 1 && cs >= (r > 1 ? r : 1));
}

/* t itself, or a dense copy when it is no stored matrix of dtype d. */
static al_tensor *storable(al_tensor *t, al_dtype d, mat *a) {
  if (!t) return NULL;
  if (t->dtype != d || !stored(t, a)) {
    t = al_fresh_contiguous(t, d);
    if (!t || !stored(t, a)) return NULL;
  }
  return t;
}

/* ---- matmul ---- */

static al_tensor *integer_product(al_tensor *x, al_tensor *y, int n, const int64_t *shape,
                                  al_dtype d) {
  int64_t m = shape[n - 2], cols = shape[n - 1], k = x->shape[x->ndim - 1];
  int64_t full[AL_MAX_DIMS];
  memcpy(full, shape, sizeof full);
  full[n - 1] = k;
  al_tensor *a = al_dense(al_expand(x, full, n), AL_INT64);
  full[n - 2] = k;
  full[n - 1] = cols;
  al_tensor *b = al_dense(al_expand(y, full, n), AL_INT64), *c = al_zeros(AL_INT64, n, shape);
  if (!a || !b || !c) return NULL;
  const int64_t *pa = al_data(a), *pb = al_data(b);
  int64_t *pc = al_data(c), all = al_product(n - 2, shape) * m;
  for (int64_t i = 0; i < all; i++)
    for (int64_t l = 0; l < k; l++)
      for (int64_t j = 0; j < cols; j++)
        pc[i * cols + j] += pa[i * k + l] * pb[(i / m * k + l) * cols + j];
  return al_dense(c, d);
}

/* Products of matrices x (.., m, k) and y (.., k, n), their leading dims broadcast. */
static al_tensor *multiply(al_tensor *x, al_tensor *y) {
  al_tensor *pair[2] = {x, y};
  int nx = x->ndim - 2, ny = y->ndim - 2, n;
  products q = {.m = x->shape[nx], .k = x->shape[nx + 1], .n = y->shape[ny + 1]};
  int64_t shape[AL_MAX_DIMS];
  if (q.k != y->shape[ny])
    return al_null("x has %lld columns, y %lld rows", (long long)q.k, (long long)y->shape[ny]);
  q.dtype = al_promote(2, pair);
  n = nx > ny ? nx : ny;
  for (int d = 0; d < n; d++) {
    int64_t sx = d < n - nx ? 1 : x->shape[d - n + nx],
            sy = d < n - ny ? 1 : y->shape[d - n + ny];
    if (sx != sy && sx != 1 && sy != 1)
      return al_null("leading dims %s and %s do not broadcast", al_shape_text(nx, x->shape),
                     al_shape_text(ny, y->shape));
    shape[d] = sx == 1 ? sy : sx;
  }
  shape[n] = q.m;
  shape[n + 1] = q.n;
  if (!al_is_float(q.dtype)) return integer_product(x, y, n + 2, shape, (al_dtype)q.dtype);
  al_tensor *z = q.k == 0 ? al_zeros((al_dtype)q.dtype, n + 2, shape)
                          : al_empty((al_dtype)q.dtype, n + 2, shape);
  if (!z || q.k == 0 || al_numel(z) == 0) return z;
  x = storable(x, (al_dtype)q.dtype, &q.a);
  y = storable(y, (al_dtype)q.dtype, &q.b);
  if (!x || !y) return NULL;
  q.c = (mat){al_data(z), q.n, false};
  q.sc = q.m * q.n;
  if (ny == 0 && !q.a.t && al_is_contiguous(x)) { /* one tall product */
    q.m *= al_product(n, shape);
    n = 0;
  }
  q.nbatch = n;
  for (int d = 0; d < n; d++) {
    int dx = d - n + nx, dy = d - n + ny;
    q.shape[d] = shape[d];
    q.sa[d] = dx < 0 || x->shape[dx] == 1 ? 0 : x->stride[dx];
    q.sb[d] = dy < 0 || y->shape[dy] == 1 ? 0 : y->stride[dy];
  }
  return run_products(&q) ? NULL : z;
}

static int matmul_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = ARG_T(1);
  bool row = x->ndim == 1, col = y->ndim == 1;
  if (x->ndim == 0 || y->ndim == 0) return al_fail("a scalar is no matrix; multiply with *");
  if (row) x = al_unsqueeze(x, 0);
  if (col) y = al_unsqueeze(y, 1);
  al_tensor *z = x && y ? multiply(x, y) : NULL;
  if (!z || (!row && !col)) return al_ret(c, z);
  int64_t shape[AL_MAX_DIMS];
  int n = 0;
  for (int d = 0; d < z->ndim; d++)
    if (!(row && d == z->ndim - 2) && !(col && d == z->ndim - 1)) shape[n++] = z->shape[d];
  return al_ret(c, al_reshape(z, shape, n));
}

static int matmul_grad(al_back *b) {
  al_tensor *x = b->in[0], *y = b->in[1], *g = b->g[0];
  int nx, ny;
  const int64_t *sx = al_edge_shape(b, 0, &nx), *sy = al_edge_shape(b, 1, &ny);
  if (nx == 1) g = al_unsqueeze(g, ny == 1 ? -1 : -2);
  if (ny == 1) g = al_unsqueeze(g, -1);
  if (!g) return -1;
  if (b->needs[0]) {
    al_tensor *gx =
        ny == 1 ? al_matmul(g, al_unsqueeze(y, 0)) : al_matmul(g, al_transpose(y, -1, -2));
    b->gx[0] = gx && nx == 1 ? al_apply(&al_op_squeeze, gx, (const int64_t[]){-2}, 1) : gx;
    if (!b->gx[0]) return -1;
  }
  if (b->needs[1]) {
    if (nx == 1) x = al_unsqueeze(x, 0);
    if (ny <= 2 && nx > 2) { /* one product sums over the leading dims */
      x = al_reshape(x, (const int64_t[]){-1, sx[nx - 1]}, 2);
      g = al_reshape(g, (const int64_t[]){-1, ny == 1 ? 1 : sy[1]}, 2);
    }
    al_tensor *gy = x ? al_matmul(al_transpose(x, -1, -2), g) : NULL;
    b->gx[1] = gy && ny == 1 ? al_apply(&al_op_squeeze, gy, (const int64_t[]){-1}, 1) : gy;
    if (!b->gx[1]) return -1;
  }
  return 0;
}

AL_OP(matmul, .sig = "x:T y:T -> T", .save = "x/y y/x",
      .doc = "Matrix product. Vectors: a row at the left, a column at the right, that dim "
             "dropped from the result.\n"
             "More than 2 dims: a stack of matrices, leading dims broadcast.",
      .forward = matmul_forward, .grad = matmul_grad,
      .sample =
          "{r(3,4), r(4,2)}, {r(4), r(4)}, {r(4), r(4,2)}, {r(3,4), r(4)}, {r(2,3,4), r(4,2)}, "
          "{r(2,3,4), r(2,4,2)}, "
          "{r(3,4), r(2,4,5)}, {r(2,1,3,4), r(3,4,2)}, {r(2,3,4), r(4)}, {r(4), r(2,4,3)}");

/* Checked forms: (dims of x, dims of y). */
static int checked(al_call *c, int nx, int ny) {
  if (ARG_T(0)->ndim != nx || ARG_T(1)->ndim != ny)
    return al_fail("needs tensors of %d and %d dims, got %d and %d", nx, ny, ARG_T(0)->ndim,
                   ARG_T(1)->ndim);
  return al_ret(c, al_matmul(ARG_T(0), ARG_T(1)));
}
static int mm_forward(al_call *c) { return checked(c, 2, 2); }
static int mv_forward(al_call *c) { return checked(c, 2, 1); }
static int dot_forward(al_call *c) { return checked(c, 1, 1); }
static int bmm_forward(al_call *c) {
  if (ARG_T(0)->ndim == 3 && ARG_T(1)->ndim == 3 && ARG_T(0)->shape[0] != ARG_T(1)->shape[0])
    return al_fail("x is a stack of %lld, y of %lld", (long long)ARG_T(0)->shape[0],
                   (long long)ARG_T(1)->shape[0]);
  return checked(c, 3, 3);
}

AL_OP(mm, .sig = "x:T y:T -> T", .flags = AL_F_COMPOSITE, .doc = "Matrix times matrix.",
      .forward = mm_forward, .sample = "{r(3,4), r(4,2)}");
AL_OP(mv, .sig = "x:T y:T -> T", .flags = AL_F_COMPOSITE, .doc = "Matrix times vector.",
      .forward = mv_forward, .sample = "{r(3,4), r(4)}");
AL_OP(dot, .sig = "x:T y:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "Inner product of two vectors.", .forward = dot_forward, .sample = "{r(5), r(5)}");
AL_OP(bmm, .sig = "x:T y:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "Products of two stacks of matrices: (b,m,k) and (b,k,n).", .forward = bmm_forward,
      .sample = "{r(2,3,4), r(2,4,2)}");

static int outer_forward(al_call *c) {
  if (ARG_T(0)->ndim != 1 || ARG_T(1)->ndim != 1) return al_fail("needs two vectors");
  return al_ret(c, al_mul(al_unsqueeze(ARG_T(0), 1), ARG_T(1)));
}
AL_OP(outer, .sig = "x:T y:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "All products of entries of two vectors: (n, m).", .forward = outer_forward,
      .sample = "{r(3), r(4)}");

/* ---- linear ---- */

static int linear_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *w = ARG_T(1), *bias = ARG_T(2), *all[3] = {x, w, bias};
  if (w->ndim != 2 || x->ndim < 1) return al_fail("w has %d dims, needs 2: (out, in)", w->ndim);
  int64_t in = w->shape[1], out = w->shape[0], shape[AL_MAX_DIMS];
  if (x->shape[x->ndim - 1] != in)
    return al_fail("x has %lld features, w expects %lld", (long long)x->shape[x->ndim - 1],
                   (long long)in);
  if (bias && (bias->ndim != 1 || bias->shape[0] != out))
    return al_fail("b needs %lld entries", (long long)out);
  al_dtype d = al_promote(bias ? 3 : 2, all);
  if (!al_is_float(d)) return al_fail("needs floating tensors");
  memcpy(shape, x->shape, sizeof shape);
  shape[x->ndim - 1] = out;
  al_tensor *y = al_empty(d, x->ndim, shape);
  products q = {.dtype = d,
                .m = al_product(x->ndim - 1, shape),
                .n = out,
                .k = in,
                .beta = bias || in == 0 ? 1 : 0};
  if (!y || ((bias || in == 0) && al_copy(y, bias ? bias : al_number(0)))) return -1;
  x = storable(al_reshape(x, (const int64_t[]){q.m, in}, 2), d, &q.a);
  w = storable(w, d, &q.b);
  if (!x || !w) return -1;
  q.b.t = !q.b.t; /* the product takes w transposed */
  q.c = (mat){al_data(y), out > 0 ? out : 1, false};
  if (in > 0 && run_products(&q)) return -1;
  return al_ret(c, y);
}

static int linear_grad(al_back *b) {
  int nx, nw;
  const int64_t *sx = al_edge_shape(b, 0, &nx), *sw = al_edge_shape(b, 1, &nw);
  int64_t flat[] = {al_product(nx - 1, sx), sw[0]};
  al_tensor *g = al_reshape(b->g[0], flat, 2);
  if (b->needs[0] && !(b->gx[0] = al_matmul(b->g[0], b->in[1]))) return -1;
  if (b->needs[1]) {
    flat[1] = sw[1];
    b->gx[1] = al_matmul(al_transpose(g, 0, 1), al_reshape(b->in[0], flat, 2));
    if (!b->gx[1]) return -1;
  }
  if (b->needs[2] && !(b->gx[2] = al_sum(g, (const int64_t[]){0}, 1, false))) return -1;
  return 0;
}

AL_OP(linear, .sig = "x:T w:T b:T? -> T", .save = "x/w w/x",
      .doc = "y = x w^T + b: x (.., in), w (out, in), b (out) -> (.., out).",
      .forward = linear_forward, .grad = linear_grad,
      .sample = "{r(3,4), r(2,4), r(2)}, {r(2,3,4), r(5,4)}, {r(4), r(2,4), r(2)}");
