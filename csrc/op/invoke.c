/* invoke.c: the one way an op is run: checks, forward, recording, and the message when it
 * fails. */
#include "../core/internal.h"
#include "op.h"
#include "spatial.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- describing a call ---- */
static int put(char *b, size_t size, size_t *n, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int put(char *b, size_t size, size_t *n, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  int k = vsnprintf(b + *n, size - *n, format, ap);
  va_end(ap);
  if (k > 0) *n = *n + (size_t)k < size ? *n + (size_t)k : size - 1;
  return 0;
}

static void put_tensor(char *b, size_t size, size_t *n, const al_tensor *t) {
  if (!t) put(b, size, n, "none");
  else if (t->wrapped) put(b, size, n, "%g", al_get(t, 0));
  else
    put(b, size, n, "%s %s", al_shape_text(t->ndim, t->shape),
        al_dtype_name((al_dtype)t->dtype));
}

static void put_ints(char *b, size_t size, size_t *n, const al_arg *a, bool dims) {
  put(b, size, n, a->ints.n == 1 ? "" : "{");
  for (int i = 0; i < a->ints.n; i++) {
    int64_t v = a->ints.v[i];
    if (v == AL_SAME) put(b, size, n, "\"same\"");
    else put(b, size, n, i ? ",%lld" : "%lld", (long long)(dims && v >= 0 ? v + 1 : v));
  }
  put(b, size, n, a->ints.n == 1 ? "" : "}");
}

static void put_arg(char *b, size_t size, size_t *n, const al_param *p, const al_arg *a) {
  bool tensor = p->kind == AL_K_TENSOR || p->kind == AL_K_TENSORS;
  if (!a->given) return;
  put(b, size, n, "%s%s%s", *n ? ", " : "", p->name, tensor ? ": " : "=");
  switch (p->kind) {
  case AL_K_TENSOR: put_tensor(b, size, n, a->t); break;
  case AL_K_TENSORS:
    for (int i = 0; i < a->ts.n && i < 4; i++) {
      if (i) put(b, size, n, " and ");
      put_tensor(b, size, n, a->ts.v[i]);
    }
    if (a->ts.n > 4) put(b, size, n, " and %d more", a->ts.n - 4);
    break;
  case AL_K_DIM: put(b, size, n, "%lld", (long long)(a->i >= 0 ? a->i + 1 : a->i)); break;
  case AL_K_INT: put(b, size, n, "%lld", (long long)a->i); break;
  case AL_K_NUM: put(b, size, n, "%g", a->f); break;
  case AL_K_BOOL: put(b, size, n, a->b ? "true" : "false"); break;
  case AL_K_STR: put(b, size, n, "\"%s\"", a->s); break;
  case AL_K_INTS: put_ints(b, size, n, a, false); break;
  case AL_K_DIMS: put_ints(b, size, n, a, true); break;
  case AL_K_DTYPE: put(b, size, n, "%s", al_dtype_name((al_dtype)a->dtype)); break;
  case AL_K_RNG: put(b, size, n, "..."); break;
  }
}

void al_describe(const al_call *c, char *buffer, size_t size) {
  size_t n = 0;
  buffer[0] = 0;
  for (int i = 0; i < c->op->nparams; i++)
    put_arg(buffer, size, &n, &c->op->param[i], &c->a[i]);
}

/* "conv2d: x has 3 channels, w expects 4 (x: ..., w: ...)". The op that the user called stands
 * in the message: one made of others puts its own name and arguments where theirs were. */
int al_describe_failure(const al_call *c) {
  al_text *t = al_thread_text();
  char message[481], arguments[512];
  if (al_here.described)
    snprintf(message, sizeof message, "%.*s", t->plain_size, t->message + t->plain);
  else snprintf(message, sizeof message, "%s", al_error());
  al_describe(c, arguments, sizeof arguments);
  t->plain =
      snprintf(t->message, sizeof t->message, "%s: ", c->called ? c->called : c->op->name);
  t->plain_size = (int)strlen(message);
  snprintf(t->message + t->plain, sizeof t->message - (size_t)t->plain, "%s (%.480s)", message,
           arguments);
  al_here.described = true;
  return -1;
}

/* ---- running ---- */
static bool wants(const al_tensor *t) { return t && t->requires_grad; }

static bool any_wants(const al_call *c) {
  for (int i = 0; i < c->op->nparams; i++) {
    if (c->op->param[i].kind == AL_K_TENSOR) {
      if (wants(c->a[i].t)) return true;
    } else if (c->op->param[i].kind == AL_K_TENSORS) {
      for (int j = 0; j < c->a[i].ts.n; j++)
        if (wants(c->a[i].ts.v[j])) return true;
    }
  }
  return false;
}

/* A view's node says how its elements came to be. A later write makes that untrue; for a view
 * without a node only a write that was itself recorded does. */
int al_check_view(const al_tensor *t) {
  if (!t || !t->view || t->version == al_version_of(t)) return 0;
  if (!t->node && t->version >= t->storage->recorded) return 0;
  return al_fail(
      "%s wrote into the storage after this view of it was taken: take the view again",
      t->storage->writer ? t->storage->writer : "an in-place op");
}

int al_check_stale(const al_call *c) {
  for (int i = 0; i < c->op->nparams; i++) {
    if (c->op->param[i].kind == AL_K_TENSOR) {
      if (c->a[i].t != c->into && al_check_view(c->a[i].t)) return -1;
    } else if (c->op->param[i].kind == AL_K_TENSORS) {
      for (int j = 0; j < c->a[i].ts.n; j++)
        if (al_check_view(c->a[i].ts.v[j])) return -1;
    }
  }
  return 0;
}

static int check_into(const al_call *c, bool record) {
  if (!al_here.no_grad && c->into->requires_grad && !c->into->node)
    return al_fail("%s is a leaf that requires a gradient: write to it within al.no_grad",
                   c->op->param[0].name);
  if (record && c->into->view)
    return al_fail("%s is a view: write through the tensor it was taken from",
                   c->op->param[0].name);
  for (int d = 0; d < c->into->ndim; d++)
    if (c->into->stride[d] == 0 && c->into->shape[d] > 1)
      return al_fail("%s repeats its elements (expand): write to a clone of it",
                     c->op->param[0].name);
  return 0;
}

static bool missing_tensor(const al_call *c) {
  for (int i = 0; i < c->op->nparams; i++) {
    const al_param *p = &c->op->param[i];
    if (p->kind == AL_K_TENSOR && !c->a[i].t && !p->optional) return true;
    if (p->kind == AL_K_TENSORS)
      for (int j = 0; j < c->a[i].ts.n; j++)
        if (!c->a[i].ts.v[j]) return true;
  }
  return false;
}

/* What is detached, and views of it, follow no later write. */
enum { NEVER = 0xffffffff };
static bool cut_off(const al_call *c) {
  const al_tensor *x = c->a[0].t;
  return c->op->flags & AL_F_NODIFF || (x->view && x->version == NEVER && !c->recording);
}

/* Halves are for storage: an op that computes refuses them. */
static int refuse_half(const al_call *c) {
  for (int i = 0; i < c->op->nparams; i++) {
    const al_param *p = &c->op->param[i];
    const al_arg *a = &c->a[i];
    const al_tensor *t = p->kind == AL_K_TENSOR ? a->t : NULL;
    for (int j = 0; p->kind == AL_K_TENSORS && j < a->ts.n; j++)
      if (a->ts.v[j] && al_is_half(a->ts.v[j]->dtype)) t = a->ts.v[j];
    if (t && al_is_half(t->dtype))
      return al_fail("%s is %s, which is for storage only: take %s:to\"float32\"", p->name,
                     al_dtype_name((al_dtype)t->dtype), p->name);
    if (p->kind == AL_K_DTYPE && a->given && al_is_half(a->dtype))
      return al_fail("%s is for storage only: make float32, then :to\"%s\"",
                     al_dtype_name((al_dtype)a->dtype), al_dtype_name((al_dtype)a->dtype));
  }
  return 0;
}

static int run(al_call *c, bool record) {
  const al_op *op = c->op;
  bool former = al_here.no_grad;
  if (!(op->flags & (AL_F_HALF | AL_F_VIEW)) && refuse_half(c)) return -1;
  if (c->into && check_into(c, record)) return -1;
  if (!al_here.no_grad && !(op->flags & AL_F_NODIFF) && al_check_stale(c)) return -1;
  if (!(op->flags & AL_F_COMPOSITE)) al_here.no_grad = true;
  int failed = op->forward(c);
  al_here.no_grad = former;
  if (failed) return -1;
  if (c->into) {
    if (c->out[0] != c->into) return al_fail("the in-place form is not supported");
    al_bump(c->into, op->name);
  }
  if (op->flags & AL_F_VIEW && c->out[0] != c->a[0].t &&
      c->out[0]->storage == c->a[0].t->storage) {
    c->out[0]->view = true;
    c->out[0]->version = cut_off(c) ? NEVER : al_version_of(c->out[0]);
  }
  if (!c->recording) return 0;
  if (al_record(c)) return -1;
  if (c->into) c->into->storage->recorded = al_version_of(c->into);
  return 0;
}

int al_invoke(al_call *c) { return al_here.watch ? al_watched(c) : al_invoke_unwatched(c); }

int al_invoke_unwatched(al_call *c) {
  const al_op *op = c->op;
  al_frame frame;
  if (missing_tensor(c)) return -1; /* its maker has already said why */
  bool record = !al_here.no_grad && !(op->flags & AL_F_NODIFF) && any_wants(c);
  c->recording = record && !(op->flags & AL_F_COMPOSITE);
  memset(c->out, 0, sizeof c->out);
  memset(c->extra, 0, sizeof c->extra);
  al_frame_open(&frame);
  int failed = run(c, record);
  for (int k = 0; !failed && k < op->nouts; k++) al_ref(c->out[k]);
  if (failed) al_describe_failure(c); /* an op may have put a tensor of its frame into c->a */
  al_frame_close(&frame);
  if (failed) return -1;
  for (int k = 0; k < op->nouts; k++)
    if (c->out[k] && !al_adopt(c->out[k])) {
      for (int j = k + 1; j < op->nouts; j++) al_unref(c->out[j]);
      return al_describe_failure(c);
    }
  return 0;
}

static void read_ints(al_arg *a, const int64_t *v, int n) {
  a->ints.v = v;
  a->ints.n = n;
  a->given = n > 0;
}

al_tensor *al_apply(al_op *op, ...) {
  al_call c;
  va_list ap;
  c.op = op;
  c.into = NULL;
  c.called = NULL;
  c.pooled = 0;
  va_start(ap, op);
  for (int i = 0; i < op->nparams; i++) {
    al_arg *a = &c.a[i];
    a->given = true;
    switch (op->param[i].kind) {
    case AL_K_TENSOR:
      a->t = va_arg(ap, al_tensor *);
      a->given = a->t != NULL;
      break;
    case AL_K_TENSORS:
      a->ts.v = va_arg(ap, al_tensor **);
      a->ts.n = va_arg(ap, int);
      break;
    case AL_K_INT:
    case AL_K_DIM: a->i = va_arg(ap, int64_t); break;
    case AL_K_NUM: a->f = va_arg(ap, double); break;
    case AL_K_BOOL: a->b = va_arg(ap, int); break;
    case AL_K_STR:
      a->s = va_arg(ap, const char *);
      a->given = a->s != NULL;
      break;
    case AL_K_INTS:
    case AL_K_DIMS: {
      const int64_t *v = va_arg(ap, const int64_t *);
      read_ints(a, v, va_arg(ap, int));
      break;
    }
    case AL_K_DTYPE:
      a->dtype = va_arg(ap, int);
      a->given = a->dtype >= 0;
      break;
    case AL_K_RNG:
      a->rng = va_arg(ap, al_rng *);
      a->given = a->rng != NULL;
      break;
    }
  }
  va_end(ap);
  return al_invoke(&c) ? NULL : c.out[0];
}
