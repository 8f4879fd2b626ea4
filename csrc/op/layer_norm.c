/* layer_norm.c: layer and rms normalisation: norm.c's formulas over rows, each read while it is
 * in the first-level cache. */
#include "../core/stream.h"
#include "norm.h"
#include <math.h>
#include <string.h>

typedef struct rows {
  const al_norm_loops *k;
  int64_t rows, d, size;
  const char *x, *g, *w, *b;
  char *y;
  double *mean, *rstd, eps;
  char *part;  /* (chunks, 2, d): sums for gw and gb */
  bool stream; /* y is larger than the caches */
} rows;
enum { CHUNK = 128 }; /* rows whose share of gw and gb is summed in the element type */

static void layer_rows(int64_t begin, int64_t end, void *arg) {
  const rows *q = arg;
  for (int64_t i = begin; i < end; i++) {
    const char *x = q->x + i * q->d * q->size;
    double first = q->size == 4 ? (double)*(const float *)(const void *)x
                                : *(const double *)(const void *)x,
           sum[2] = {0, 0};
    if (!isfinite(first)) first = 0;
    q->k->moments(x, q->d, first, sum);
    double m = sum[0] / (double)q->d, v = sum[1] / (double)q->d - m * m;
    q->mean[i] = first + m;
    q->rstd[i] = 1 / sqrt((v < 0 ? 0 : v) + q->eps);
    q->k->scale_by(x, q->w, q->b, q->y + i * q->d * q->size, q->d, q->mean[i], q->rstd[i],
                   q->stream);
  }
  if (q->stream) al_stream_end();
}

/* One chunk of rows: gx of each, their share of gw and gb. */
static void layer_back(int64_t begin, int64_t end, void *arg) {
  const rows *q = arg;
  for (int64_t t = begin; t < end; t++) {
    char *gw = q->part + t * 2 * q->d * q->size, *gb = gw + q->d * q->size;
    for (int64_t i = t * CHUNK; i < (t + 1) * CHUNK && i < q->rows; i++) {
      const char *x = q->x + i * q->d * q->size, *g = q->g + i * q->d * q->size;
      double sum[2] = {0, 0}, r = q->rstd[i], n = (double)q->d;
      q->k->dots(g, q->w, x, q->d, q->mean[i], sum);
      q->k->blend_by(g, q->w, x, q->y + i * q->d * q->size, gw, gb, q->d, q->mean[i], r,
                     -r * r * r * sum[1] / n, -r * sum[0] / n, q->stream);
    }
  }
  if (q->stream) al_stream_end();
}

/* The rows of x that are normalised: its last n dims must be `shape`. */
static int rows_of(rows *q, const al_tensor *x, const al_arg *shape) {
  int n = shape->ints.n;
  if (n < 1 || n > x->ndim ||
      memcmp(x->shape + x->ndim - n, shape->ints.v, (size_t)n * sizeof *x->shape))
    return al_fail("shape %s is not that of x's last dims", al_shape_text(n, shape->ints.v));
  *q = (rows){.k = al_norm_loops_of(x),
              .d = al_product(n, shape->ints.v),
              .size = (int64_t)al_dtype_size(x->dtype)};
  q->rows = q->d ? al_numel(x) / q->d : 0;
  q->stream = al_numel(x) * q->size >= AL_STREAM;
  return 0;
}

static int layer_norm_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *w = ARG_T(2), *b = ARG_T(3);
  al_dtype d = (al_dtype)x->dtype;
  rows q;
  if (al_norm_check(x, 1) || rows_of(&q, x, &c->a[1]) || al_norm_check_affine(w, b, q.d))
    return -1;
  al_tensor *xd = al_dense(x, d), *y = al_empty_like(x, d);
  al_tensor *mean = al_empty(AL_FLOAT64, 1, &q.rows), *rstd = al_empty(AL_FLOAT64, 1, &q.rows);
  if (!xd || !y || !mean || !rstd || (w && !(w = al_dense(w, d))) ||
      (b && !(b = al_dense(b, d))))
    return -1;
  q.x = al_data(xd);
  q.w = w ? al_data(w) : NULL;
  q.b = b ? al_data(b) : NULL;
  q.y = al_data(y);
  q.mean = al_data(mean);
  q.rstd = al_data(rstd);
  q.eps = ARG_F(4);
  al_parallel(q.rows, 1 + (1 << 14) / (q.d + 16), layer_rows, &q);
  if (c->recording) c->extra[0] = mean, c->extra[1] = rstd;
  return al_ret(c, y);
}

static int layer_norm_grad(al_back *b) {
  al_tensor *x = b->in[0], *w = b->in[2], *g = b->g[0];
  al_dtype d = (al_dtype)x->dtype;
  rows q;
  if (rows_of(&q, x, &b->a[1])) return -1;
  if (b->create_graph) {
    int64_t dims[AL_MAX_DIMS];
    al_tensor *xhat;
    for (int i = 0; i < b->a[1].ints.n; i++) dims[i] = x->ndim - 1 - i;
    b->gx[0] = al_norm_composed(x, al_norm_times(g, w), dims, b->a[1].ints.n, b->a[4].f, &xhat);
    if (b->needs[1]) b->gx[1] = al_mul(g, xhat); /* the engine sums the leading dims */
    if (b->needs[2]) b->gx[2] = g;
    return !b->gx[0] || (b->needs[1] && !b->gx[1]) ? -1 : 0;
  }
  al_tensor *xd = al_dense(x, d), *gd = al_dense(g, d), *gx = al_empty_like(x, d);
  int64_t chunks[] = {(q.rows + CHUNK - 1) / CHUNK, 2 * q.d};
  al_tensor *part = al_zeros(d, 2, chunks);
  double *sum = al_doubles(2 * q.d);
  if (!xd || !gd || !gx || !part || !sum || (w && !(w = al_dense(w, d)))) return -1;
  q.x = al_data(xd);
  q.g = al_data(gd);
  q.w = w ? al_data(w) : NULL;
  q.y = al_data(gx);
  q.mean = al_data(b->extra[0]);
  q.rstd = al_data(b->extra[1]);
  q.part = al_data(part);
  al_parallel(chunks[0], 1 + (1 << 13) / (q.d * CHUNK + 1), layer_back, &q);
  if (!(part = al_dense(part, AL_FLOAT64))) return -1;
  const double *from = al_data(part);
  for (int64_t i = 0; i < 2 * q.d; i++) sum[i] = 0;
  for (int64_t t = 0; t < chunks[0]; t++)
    for (int64_t i = 0; i < 2 * q.d; i++) sum[i] += from[t * 2 * q.d + i];
  b->gx[0] = gx;
  if (al_norm_fill(b, sum, sum + q.d, q.d, d)) return -1;
  for (int e = 1; e <= 2; e++) {
    int n;
    const int64_t *shape = al_edge_shape(b, e, &n);
    if (b->needs[e] && n != 1 && !(b->gx[e] = al_reshape(b->gx[e], shape, n))) return -1;
  }
  return 0;
}

AL_OP(
    layer_norm, .sig = "x:T shape:ints weight:T? bias:T? {eps:num=1e-5} -> T",
    .save = "x weight",
    .doc = "Normalises over the last dims, whose sizes are `shape`, then weight and bias of "
           "that shape.\n"
           "Ba, Kiros, Hinton 2016, arXiv:1607.06450.",
    .forward = layer_norm_forward, .grad = layer_norm_grad,
    .sample =
        "{r(3,6), 6, r(6), r(6)}, {r(2,3,4), {3,4}, r(3,4), r(3,4)}, {r(2,5), 5, {eps=0.01}}");

/* ---- rms_norm ---- */

static int rms_norm_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *w = ARG_T(2);
  int64_t dims[AL_MAX_DIMS];
  rows q;
  if (al_norm_check(x, 1) || rows_of(&q, x, &c->a[1]) || al_norm_check_affine(w, NULL, q.d))
    return -1;
  int n = c->a[1].ints.n;
  for (int i = 0; i < n; i++) dims[i] = x->ndim - 1 - i;
  double eps = HAS(3) ? ARG_F(3) : x->dtype == AL_FLOAT32 ? 0x1p-23 : 0x1p-52;
  al_tensor *rms = al_rsqrt(al_add_num(al_mean(al_square(x), dims, n, true), eps));
  return al_ret(c, al_norm_times(al_mul(x, rms), w));
}

AL_OP(
    rms_norm, .sig = "x:T shape:ints weight:T? {eps:num?} -> T", .flags = AL_F_COMPOSITE,
    .doc =
        "x / sqrt(mean x^2 + eps) over the last dims, whose sizes are `shape`, then weight of "
        "that shape; eps is the\n"
        "spacing of floats at 1 by default. Zhang and Sennrich 2019, arXiv:1910.07467.",
    .forward = rms_norm_forward,
    .sample = "{r(3,6), 6, r(6)}, {r(2,3,4), {3,4}, r(3,4), {eps=0.01}}");
