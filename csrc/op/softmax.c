/* softmax.c: softmax, log_softmax and logsumexp along one dim, last or not. */
#include "../core/stream.h"
#include "../kernel/reduce.h"
#include "loss.h"
#include "op.h"

#include <math.h>

enum { WIDE = 512, NARROW = 128, TALL = 128, TASK = 1 << 13 };

typedef struct job {
  int kind, real;
  int64_t n, inner, columns, blocks, size;
  const char *x, *g;
  char *y;
  bool stream; /* y is larger than the caches */
} job;

/* (outer, n, inner) around dim; tasks are rows, or blocks of columns as wide as a second-level
 * cache holds. */
static int open(job *j, const al_tensor *x, int64_t dim, int64_t *outer) {
  int d;
  if (al_dim(dim, x->ndim, &d)) return -1;
  j->n = x->ndim ? x->shape[d] : 1;
  j->inner = x->ndim ? al_product(x->ndim - d - 1, x->shape + d + 1) : 1;
  *outer = x->ndim ? al_product(d, x->shape) : 1;
  j->real = x->dtype == AL_FLOAT64;
  j->size = (int64_t)al_dtype_size((al_dtype)x->dtype);
  j->stream = j->kind <= AL_LOG_SOFTMAX && al_numel(x) * j->size >= AL_STREAM;
  j->columns = j->n <= TALL ? WIDE : NARROW;
  j->blocks = (j->inner + j->columns - 1) / j->columns;
  return 0;
}

static int64_t grain(const job *j) {
  int64_t work = j->n * (j->inner < j->columns ? j->inner : j->columns);
  return 1 + TASK / (work > 0 ? work : 1);
}

static void forward_tasks(int64_t begin, int64_t end, void *context) {
  const job *j = context;
  for (int64_t t = begin; t < end; t++) {
    int64_t o = t / j->blocks, first = t % j->blocks * j->columns, last = first + j->columns;
    int64_t rows = j->kind == AL_LOGSUMEXP ? 1 : j->kind == AL_LOG_PARTS ? 2 : j->n;
    char *y = j->y + o * rows * j->inner * j->size;
    AL_SELECT(al_softmax)
        .forward[j->real](j->kind, j->n, j->inner, first, last < j->inner ? last : j->inner,
                          j->x + o * j->n * j->inner * j->size, y, j->stream);
  }
  if (j->stream) al_stream_end();
}
static void backward_tasks(int64_t begin, int64_t end, void *context) {
  const job *j = context;
  for (int64_t t = begin; t < end; t++) {
    int64_t at = t / j->blocks * j->n * j->inner * j->size, first = t % j->blocks * j->columns,
            last = first + j->columns;
    AL_SELECT(al_softmax)
        .backward[j->real](j->kind, j->n, j->inner, first, last < j->inner ? last : j->inner,
                           j->x + at, j->g + at, j->y + at, j->stream);
  }
  if (j->stream) al_stream_end();
}

static int forward(al_call *c, int kind) {
  al_tensor *x = ARG_T(0);
  job j = {.kind = kind};
  int64_t outer;
  if (!al_is_float(x->dtype))
    return al_fail("x must be floating, not %s", al_dtype_name((al_dtype)x->dtype));
  al_tensor *dense = al_dense(x, (al_dtype)x->dtype),
            *y = dense ? al_empty_like(dense, (al_dtype)x->dtype) : NULL;
  if (!y || open(&j, x, ARG_I(1), &outer)) return -1;
  j.x = al_data(dense), j.y = al_data(y);
  if (j.n) al_parallel(outer * j.blocks, grain(&j), forward_tasks, &j);
  return al_ret(c, y);
}

/* softmax: y (g - sum g y). log_softmax: g - e^y sum g. */
static int gradient(al_back *b, int kind) {
  al_tensor *y = b->out[0], *g = b->g[0];
  int64_t dim = b->a[1].i, outer;
  if (b->create_graph) {
    al_tensor *p = kind == AL_SOFTMAX ? y : al_exp(y);
    al_tensor *total = al_sum(kind == AL_SOFTMAX ? al_mul(g, y) : g, &dim, 1, true);
    return al_grad1(b, kind == AL_SOFTMAX ? al_mul(y, al_sub(g, total))
                                          : al_sub(g, al_mul(p, total)));
  }
  job j = {.kind = kind};
  al_tensor *dense = al_dense(g, (al_dtype)g->dtype),
            *gx = dense ? al_empty_like(y, (al_dtype)y->dtype) : NULL;
  if (!gx || open(&j, y, dim, &outer)) return -1;
  j.x = al_data(y), j.g = al_data(dense), j.y = al_data(gx);
  if (j.n) al_parallel(outer * j.blocks, grain(&j), backward_tasks, &j);
  return al_grad1(b, gx);
}

static int softmax(al_call *c) { return forward(c, AL_SOFTMAX); }
static int softmax_grad(al_back *b) { return gradient(b, AL_SOFTMAX); }
AL_OP(softmax, .sig = "x:T dim:dim -> T", .doc = "e^x / sum e^x along dim.", .forward = softmax,
      .grad = softmax_grad, .save = "out", .sample = "{r(3,4), 2}, {r(2,3,4), 2}, {r(5), 1}");

static int log_softmax(al_call *c) { return forward(c, AL_LOG_SOFTMAX); }
static int log_softmax_grad(al_back *b) { return gradient(b, AL_LOG_SOFTMAX); }
AL_OP(log_softmax, .sig = "x:T dim:dim -> T", .doc = "x - log sum e^x along dim.",
      .forward = log_softmax, .grad = log_softmax_grad, .save = "out",
      .sample = "{r(3,4), 2}, {r(2,3,4), 2}, {r(5), 1}");

/* ---- logsumexp over any dims: one after the other, as log sum e^(log sum e^x) is the whole
 * ---- */

static al_tensor *lse(al_tensor *x, int d) {
  job j = {.kind = AL_LOGSUMEXP};
  int64_t outer, shape[AL_MAX_DIMS];
  al_tensor *dense = al_dense(x, (al_dtype)x->dtype);
  if (!dense || open(&j, x, d, &outer)) return NULL;
  for (int i = 0; i < x->ndim; i++) shape[i] = i == d ? 1 : x->shape[i];
  al_tensor *y = al_empty((al_dtype)x->dtype, x->ndim, shape);
  if (!y) return NULL;
  j.x = al_data(dense), j.y = al_data(y);
  al_parallel(outer * j.blocks, grain(&j), forward_tasks, &j);
  return y;
}

al_tensor *al_log_parts(al_tensor *x, int64_t dim) {
  job j = {.kind = AL_LOG_PARTS};
  int64_t outer;
  if (open(&j, x, dim, &outer)) return NULL;
  int64_t shape[] = {outer, 2, j.inner};
  al_tensor *y = al_empty((al_dtype)x->dtype, 3, shape);
  if (!y) return NULL;
  j.x = al_data(x), j.y = al_data(y);
  if (j.n) al_parallel(outer * j.blocks, grain(&j), forward_tasks, &j);
  return y;
}

/* the reduced dims of a call on a tensor of ndim dims */
static int which(const al_arg *a, int ndim, bool *cut) {
  for (int i = 0; i < AL_MAX_DIMS; i++) cut[i] = !a->given || !a->ints.n;
  for (int i = 0, d; a->given && i < a->ints.n; i++) {
    if (al_dim(a->ints.v[i], ndim, &d)) return -1;
    if (cut[d]) return al_fail("dim %d is named twice", d + 1);
    cut[d] = true;
  }
  return 0;
}

static int logsumexp(al_call *c) {
  al_tensor *x = ARG_T(0);
  bool cut[AL_MAX_DIMS];
  int64_t shape[AL_MAX_DIMS];
  int n = 0;
  if (!al_is_float(x->dtype))
    return al_fail("x must be floating, not %s", al_dtype_name((al_dtype)x->dtype));
  if (which(&c->a[1], x->ndim, cut)) return -1;
  for (int d = 0; d < x->ndim; d++)
    if (!cut[d] || ARG_B(2)) shape[n++] = cut[d] ? 1 : x->shape[d];
  al_tensor *y = x;
  for (int d = x->ndim - 1; y && d >= 0; d--)
    if (cut[d]) y = lse(y, d);
  if (y == x) y = al_fresh_contiguous(x, (al_dtype)x->dtype);
  return al_ret(c, al_reshape(y, shape, n));
}
static int logsumexp_grad(al_back *b) { /* g e^(x - y), 0 where y is -inf */
  al_tensor *x = b->in[0];
  bool cut[AL_MAX_DIMS];
  int64_t shape[AL_MAX_DIMS];
  if (which(&b->a[1], x->ndim, cut)) return -1;
  for (int d = 0; d < x->ndim; d++) shape[d] = cut[d] ? 1 : x->shape[d];
  al_tensor *y = al_reshape(b->out[0], shape, x->ndim),
            *g = al_reshape(b->g[0], shape, x->ndim);
  y = al_where(al_eq(y, al_number(-INFINITY)), al_number(0), y);
  return al_grad1(b, al_mul(g, al_exp(al_sub(x, y))));
}
AL_OP(logsumexp, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "log sum e^x over dims, without overflow.", .forward = logsumexp,
      .grad = logsumexp_grad, .save = "x out",
      .sample = "{r(3,4)}, {r(3,4), 2}, {r(2,3,4), {1,3}, true}");
