/* sort.c: sort, argsort, topk. NaN counts as the largest value; equal values keep their order.
 */
#include "op.h"
#include <string.h>

extern al_op al_op_gather, al_op_scatter_add, al_op_sort;

/* One element: a key that orders as its value does, and its position. */
typedef struct item {
  int64_t key, at;
} item;

/* The bits of a double, arranged so that integers compare as the doubles do. */
static int64_t key_of(double v) {
  int64_t bits;
  if (v != v) return INT64_MAX;
  if (v == 0) v = 0; /* -0 too */
  memcpy(&bits, &v, sizeof bits);
  return bits < 0 ? bits ^ INT64_MAX : bits;
}

/* Stable merge sort, in `a` with `b` as room for as many. */
static void sort_items(item *a, item *b, int64_t n) {
  enum { RUN = 12 };
  item *to = a;
  for (int64_t s = 0; s < n; s += RUN)
    for (int64_t i = s + 1; i < s + RUN && i < n; i++) {
      item v = a[i];
      int64_t j = i;
      for (; j > s && a[j - 1].key > v.key; j--) a[j] = a[j - 1];
      a[j] = v;
    }
  for (int64_t width = RUN; width < n; width *= 2) {
    for (int64_t s = 0; s < n; s += 2 * width) {
      int64_t mid = s + width < n ? s + width : n, end = mid + width < n ? mid + width : n;
      for (int64_t i = s, j = mid, k = s; k < end; k++)
        b[k] = i < mid && (j >= end || a[i].key <= a[j].key) ? a[i++] : a[j++];
    }
    item *t = a;
    a = b;
    b = t;
  }
  if (a != to) memcpy(to, a, (size_t)n * sizeof *a);
}

/* The k smallest of n, sorted, at the front of a: few of many need no full sort. */
static void sort_first(item *a, int64_t n, int64_t k) {
  sort_items(a, a + n, k);
  for (int64_t i = k; k > 0 && i < n; i++) {
    item v = a[i];
    if (v.key >= a[k - 1].key) continue;
    int64_t j = k - 1;
    for (; j > 0 && a[j - 1].key > v.key; j--) a[j] = a[j - 1];
    a[j] = v;
  }
}

typedef struct job {
  const al_tensor *x;
  al_tensor *values, *index; /* contiguous, k entries along the dim */
  int64_t n, k, inner, step; /* entries; kept; runs side by side; stride of x along the dim */
  int dim;
  bool descending;
  item *room;
} job;

/* Element offset of the start of run r in x. */
static int64_t start_of(const job *j, int64_t r) {
  int64_t at = 0;
  for (int d = j->x->ndim - 1; d >= 0; d--) {
    if (d == j->dim) continue;
    at += r % j->x->shape[d] * j->x->stride[d];
    r /= j->x->shape[d];
  }
  return at;
}

static void sort_runs(int64_t begin, int64_t end, void *arg) {
  const job *j = arg;
  bool real = al_is_float(j->x->dtype);
  for (int64_t r = begin; r < end; r++) {
    item *a = j->room + r * 2 * j->n;
    int64_t from = start_of(j, r), to = r / j->inner * j->k * j->inner + r % j->inner;
    for (int64_t i = 0; i < j->n; i++) {
      int64_t at = from + i * j->step;
      int64_t key = real ? key_of(al_get(j->x, at)) : al_get_int(j->x, at);
      a[i] = (item){j->descending ? ~key : key, i};
    }
    if (j->k <= 64 && j->k < j->n) sort_first(a, j->n, j->k);
    else sort_items(a, a + j->n, j->n);
    for (int64_t i = 0; i < j->k; i++) {
      int64_t at = from + a[i].at * j->step;
      if (real) al_set(j->values, to + i * j->inner, al_get(j->x, at));
      else al_set_int(j->values, to + i * j->inner, al_get_int(j->x, at));
      al_set_int(j->index, to + i * j->inner, a[i].at + 1);
    }
  }
}

/* The first k of each run along dim, sorted, and their positions, into out[0] and out[1]. */
static int sorted(al_call *c, int64_t dim, int64_t k, bool descending) {
  al_tensor *x = ARG_T(0);
  job j = {.x = x, .descending = descending};
  if (x->ndim == 0) {
    if (!(x = al_unsqueeze(x, 0))) return -1;
    j.x = x;
    dim = 0;
  }
  if (al_dim(dim, x->ndim, &j.dim)) return -1;
  j.n = x->shape[j.dim];
  j.k = k < 0 ? j.n : k;
  if (j.k > j.n) return al_fail("k = %lld, dim has %lld", (long long)j.k, (long long)j.n);
  int64_t shape[AL_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[j.dim] = j.k;
  j.values = al_empty((al_dtype)x->dtype, x->ndim, shape);
  j.index = al_empty(AL_INT64, x->ndim, shape);
  int64_t numel = al_numel(x), room[] = {numel, 2, 2};
  al_tensor *items = al_empty(AL_INT64, 3, room);
  if (!j.values || !j.index || !items) return -1;
  j.room = al_data(items);
  j.step = x->stride[j.dim];
  j.inner = al_product(x->ndim - j.dim - 1, shape + j.dim + 1);
  if (numel > 0) al_parallel(numel / j.n, 1 + (1 << 12) / j.n, sort_runs, &j);
  bool scalar = ARG_T(0)->ndim == 0;
  c->out[0] = scalar ? al_reshape(j.values, NULL, 0) : j.values;
  c->out[1] = scalar ? al_reshape(j.index, NULL, 0) : j.index;
  return c->out[0] && c->out[1] ? 0 : -1;
}

/* Cotangents go back to where the values came from: extra[0] holds the positions. */
static al_tensor *unsorted(al_back *b, int64_t dim) {
  int n;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  if (n == 0) return b->g[0];
  al_tensor *zero = al_zeros((al_dtype)b->g[0]->dtype, n, shape);
  return zero ? al_apply(&al_op_scatter_add, zero, dim, b->extra[0], b->g[0]) : NULL;
}

static int sort_forward(al_call *c) {
  if (sorted(c, ARG_I(1), -1, ARG_B(2))) return -1;
  if (c->recording) c->extra[0] = c->out[1];
  return 0;
}
static int sort_grad(al_back *b) { return al_grad1(b, unsorted(b, b->a[1].i)); }
AL_OP(
    sort, .sig = "x:T dim:dim=-1 descending:bool=false -> T T",
    .doc =
        "Values along dim in order, and their positions (from 1). NaN is the largest; stable.",
    .forward = sort_forward, .grad = sort_grad,
    .sample = "{distinct(3,5)}, {distinct(4,3), 1, true}, {distinct(2,20)}");

static int argsort_forward(al_call *c) {
  if (sorted(c, ARG_I(1), -1, ARG_B(2))) return -1;
  return al_ret(c, c->out[1]);
}
AL_OP(argsort, .sig = "x:T dim:dim=-1 descending:bool=false -> T", .flags = AL_F_NODIFF,
      .doc = "Positions (from 1) along dim in the order of the values.",
      .forward = argsort_forward, .sample = "{distinct(3,5)}, {distinct(4,3), 1, true}");

static int topk_forward(al_call *c) {
  if (ARG_I(1) < 0) return al_fail("k is negative");
  if (sorted(c, ARG_I(2), ARG_I(1), ARG_B(3))) return -1;
  if (c->recording) c->extra[0] = c->out[1];
  return 0;
}
static int topk_grad(al_back *b) { return al_grad1(b, unsorted(b, b->a[2].i)); }
AL_OP(
    topk, .sig = "x:T k:int dim:dim=-1 largest:bool=true -> T T",
    .doc =
        "The k largest (or smallest) values along dim, in order, and their positions (from 1).",
    .forward = topk_forward, .grad = topk_grad,
    .sample = "{distinct(3,5), 2}, {distinct(4,3), 2, 1, false}");
