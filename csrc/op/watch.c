/* watch.c: what al_invoke does while somebody looks: time, traffic and memory an op
 * (al.profile), and the first NaN or infinity (al.check). Off, it costs one test a call. */
#include "watch.h"
#include "op.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ROWS = 1024, CHECKING = AL_WATCH_NAN | AL_WATCH_INF };
static al_watch_row rows[ROWS]; /* rows[0] stands for whatever is not of an op */
static int used = 1;
static _Thread_local double inner; /* seconds spent in the ops called by the one at hand */

int al_watch_rows(const al_watch_row **first) {
  *first = rows;
  return used;
}

void al_watch_reset(void) {
  for (int i = 0; i < used; i++)
    rows[i] = (al_watch_row){.op = rows[i].op, .gradient = rows[i].gradient};
}

/* A row keeps its place: blocks of memory carry it. */
static al_watch_row *row_of(const al_op *op, bool gradient) {
  int i = 1;
  while (i < used && (rows[i].op != op || rows[i].gradient != gradient)) i++;
  if (i == ROWS) return &rows[0];
  if (i == used) rows[used++] = (al_watch_row){.op = op, .gradient = gradient};
  return &rows[i];
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what a call moves and computes ---- */
static double bytes_of(const al_tensor *t) {
  if (!t) return 0;
  double n = (double)al_numel(t) * (double)al_dtype_size((al_dtype)t->dtype);
  return n < (double)t->storage->bytes ? n : (double)t->storage->bytes; /* expanded */
}

static double traffic(const al_call *c) {
  double n = 0;
  if (c->op->flags & (AL_F_VIEW | AL_F_COMPOSITE)) return 0;
  for (int i = 0; i < c->op->nparams; i++) {
    if (c->op->param[i].kind == AL_K_TENSOR) n += bytes_of(c->a[i].t);
    else if (c->op->param[i].kind == AL_K_TENSORS)
      for (int j = 0; j < c->a[i].ts.n; j++) n += bytes_of(c->a[i].ts.v[j]);
  }
  for (int k = 0; k < c->op->nouts; k++) n += bytes_of(c->out[k]);
  return n;
}

/* Multiply-adds count two. Each element of `each` meets one row of `row`'s first dim. */
static double flops(const al_call *c) {
  const al_tensor *each = c->out[0], *row = NULL;
  const char *name = c->op->name;
  if (!strcmp(name, "conv")) row = c->a[1].t;
  else if (!strcmp(name, "conv_grad_input")) each = c->a[0].t, row = c->a[1].t;
  else if (!strcmp(name, "conv_grad_weight")) each = c->a[1].t, row = c->out[0];
  else if (!strcmp(name, "linear")) row = c->a[1].t;
  else if (!strcmp(name, "matmul") && c->a[0].t->ndim)
    return 2 * (double)al_numel(each) * (double)c->a[0].t->shape[c->a[0].t->ndim - 1];
  if (!row || !row->ndim || !row->shape[0]) return 0;
  return 2 * (double)al_numel(each) * (double)(al_numel(row) / row->shape[0]);
}

/* ---- the first NaN or infinity ---- */
typedef struct fault {
  int64_t nan, inf; /* position of the first, or -1 */
} fault;

static fault look(al_tensor *t) {
  fault f = {-1, -1};
  if (!t || !al_is_float(t->dtype)) return f;
  al_tensor *d = al_dense(t, t->dtype == AL_FLOAT64 ? AL_FLOAT64 : AL_FLOAT32);
  if (!d) return f;
  int64_t n = al_numel(d), i = 0;
  const float *x = al_data(d);
  const double *y = al_data(d);
  while (i < n) { /* v - v is 0, or NaN when v is not finite */
    int64_t end = i + 4096 < n ? i + 4096 : n;
    double sum = 0;
    if (d->dtype == AL_FLOAT64)
      for (int64_t k = i; k < end; k++) sum += y[k] - y[k];
    else
      for (int64_t k = i; k < end; k++) sum += (double)(x[k] - x[k]);
    for (; sum != 0 && i < end; i++) {
      double v = al_get(d, i);
      if (isnan(v) && f.nan < 0) f.nan = i;
      if (isinf(v) && f.inf < 0) f.inf = i;
    }
    i = end;
  }
  return f;
}

static void join(fault *all, fault f) {
  if (f.nan >= 0) all->nan = 0;
  if (f.inf >= 0) all->inf = 0;
}

/* What the arguments hold; *tensors: whether there are any. The one written in place was seen
 * before the call. */
static fault look_at_arguments(const al_call *c, bool *tensors) {
  fault all = {-1, -1};
  for (int i = 0; i < c->op->nparams; i++) {
    const al_arg *a = &c->a[i];
    switch (c->op->param[i].kind) {
    case AL_K_TENSOR:
      *tensors = *tensors || a->t;
      if (a->t != c->into) join(&all, look(a->t));
      break;
    case AL_K_TENSORS:
      *tensors = true;
      for (int j = 0; j < a->ts.n; j++) join(&all, look(a->ts.v[j]));
      break;
    case AL_K_NUM:
      if (isnan(a->f)) all.nan = 0;
      if (isinf(a->f)) all.inf = 0;
      break;
    default: break;
    }
  }
  return all;
}

/* "element {2,3}", counted from 1 */
static const char *position(const al_tensor *t, int64_t at, char *text) {
  char *s = text;
  int64_t i[AL_MAX_DIMS];
  if (!t->ndim) return "the only element";
  for (int d = t->ndim - 1; d >= 0; d--) i[d] = at % t->shape[d] + 1, at /= t->shape[d];
  s += sprintf(s, "element {");
  for (int d = 0; d < t->ndim; d++) s += sprintf(s, d ? ",%lld" : "%lld", (long long)i[d]);
  strcpy(s, "}");
  return text;
}

/* Fails when the results hold a NaN, or an infinity, and the arguments do not. */
static int check(const al_call *c, fault before) {
  bool tensors = false;
  char text[AL_MAX_DIMS * 21 + 12];
  if (!strncmp(c->op->name, "empty", 5)) return 0;
  for (int k = 0; k < c->op->nouts; k++) {
    fault f = look(c->out[k]);
    if (al_here.watch & AL_WATCH_NAN) f.inf = -1;
    if (f.nan < 0 && f.inf < 0) continue;
    fault given = look_at_arguments(c, &tensors);
    join(&given, before);
    if (!tensors || (f.nan >= 0 ? given.nan >= 0 : given.nan >= 0 || given.inf >= 0)) return 0;
    int64_t at = f.nan >= 0 ? f.nan : f.inf;
    return al_fail("this call makes the first %s, at %s of its result",
                   f.nan >= 0 ? "nan" : "inf", position(c->out[k], at, text));
  }
  return 0;
}

static int checked(al_call *c, fault before) {
  al_frame frame;
  al_frame_open(&frame);
  int failed = check(c, before);
  al_frame_close(&frame);
  if (!failed) return 0;
  for (int k = 0; !al_here.frame && k < c->op->nouts; k++) al_unref(c->out[k]);
  return al_describe_failure(c);
}

/* ---- the call ---- */
static fault look_before(al_tensor *t) {
  al_frame frame;
  al_frame_open(&frame);
  fault f = look(t);
  al_frame_close(&frame);
  return f;
}

/* A stretch of time that belongs to a row, but for what is spent in others meanwhile. */
typedef struct stretch {
  al_watch_row *row;
  double start, outer;
  uint16_t tag;
} stretch;

static stretch begin(const al_op *op, bool gradient) {
  stretch s = {row_of(op, gradient), seconds(), inner, al_here.tag};
  inner = 0;
  al_here.tag = (uint16_t)(s.row - rows);
  return s;
}

/* Returns whether no other row was at work meanwhile. */
static bool end(const stretch *s) {
  double took = seconds() - s->start;
  bool alone = inner == 0;
  al_here.tag = s->tag;
  s->row->seconds += took - inner;
  s->row->calls++;
  inner = s->outer + took;
  return alone;
}

int al_watched(al_call *c) {
  fault before = {-1, -1};
  bool checking = al_here.watch & CHECKING;
  if (checking && c->into) before = look_before(c->into);
  if (!(al_here.watch & AL_WATCH_TIME)) {
    if (al_invoke_unwatched(c)) return -1;
    return checking ? checked(c, before) : 0;
  }
  stretch s = begin(c->op, false);
  int failed = al_invoke_unwatched(c);
  end(&s);
  if (failed) return -1;
  s.row->bytes += traffic(c);
  if (!(c->op->flags & AL_F_COMPOSITE)) s.row->flops += flops(c);
  return checking ? checked(c, before) : 0;
}

static double traffic_back(const al_back *b) {
  double n = 0;
  for (int i = 0; i < b->node->op->nparams; i++) n += bytes_of(b->in[i]);
  for (int k = 0; k < b->node->nouts; k++) n += bytes_of(b->g[k]) + bytes_of(b->out[k]);
  for (int e = 0; e < b->nedges; e++) n += bytes_of(b->gx[e]);
  return n;
}

/* The frame of the gradient is open. */
static int check_back(const al_back *b) {
  fault all = {-1, -1};
  char text[AL_MAX_DIMS * 21 + 12];
  for (int e = 0; e < b->nedges; e++) {
    fault f = look(b->gx[e]);
    if (al_here.watch & AL_WATCH_NAN) f.inf = -1;
    if (f.nan < 0 && f.inf < 0) continue;
    for (int i = 0; i < b->node->op->nparams; i++) join(&all, look(b->in[i]));
    for (int k = 0; k < b->node->nouts; k++)
      join(&all, look(b->g[k])), join(&all, look(b->out[k]));
    if (f.nan >= 0 ? all.nan >= 0 : all.nan >= 0 || all.inf >= 0) return 0;
    return al_fail("its gradient makes the first %s, at %s", f.nan >= 0 ? "nan" : "inf",
                   position(b->gx[e], f.nan >= 0 ? f.nan : f.inf, text));
  }
  return 0;
}

int al_watched_gradient(al_back *b) {
  const al_op *op = b->node->op;
  bool timing = al_here.watch & AL_WATCH_TIME;
  stretch s;
  if (timing) s = begin(op, true);
  int failed = op->grad(b);
  if (timing && end(&s)) s.row->bytes += traffic_back(b);
  if (failed) return -1;
  return al_here.watch & CHECKING ? check_back(b) : 0;
}
