/* index.c: reading and writing by index tensors and masks. Positions stored in tensors count
 * from 1. */
#include "index.h"
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_index_select, al_op_index_add, al_op_index_put, al_op_gather, al_op_scatter,
    al_op_scatter_add, al_op_mask_put, al_op_slice_back;

/* ---- positions ---- */

/* Index tensor -> contiguous int64 positions from 0, each checked against `size`. */
static al_tensor *positions(al_tensor *index, int64_t size) {
  if (al_is_float(index->dtype) || index->dtype == AL_BOOL)
    return al_null("index must hold integers, not %s", al_dtype_name(index->dtype));
  al_tensor *p = al_fresh_contiguous(index, AL_INT64);
  if (!p) return NULL;
  int64_t *v = al_data(p), n = al_numel(p);
  for (int64_t i = 0; i < n; i++) {
    int64_t k = v[i];
    if (k == 0) return al_null("indices and labels count from 1");
    if (k > size || k < -size)
      return al_null("index %lld lies outside 1..%lld", (long long)k, (long long)size);
    v[i] = k > 0 ? k - 1 : k + size;
  }
  return p;
}

/* The tensor an op with the forms f and f_ writes into: `into` itself or a copy of x,
 * contiguous. */
static al_tensor *target(const al_call *c, al_tensor *x) {
  if (c->into && al_is_contiguous(c->into)) return c->into;
  return al_fresh_contiguous(x, (al_dtype)x->dtype);
}
static int finish(al_call *c, al_tensor *y) {
  if (!c->into || y == c->into) return al_ret(c, y);
  return al_copy(c->into, y) ? -1 : al_ret(c, c->into);
}

/* value broadcast to a shape as contiguous elements of dtype d, never on y's storage. */
static al_tensor *spread(al_tensor *value, al_dtype d, int n, const int64_t *shape,
                         const al_tensor *y) {
  al_tensor *v = al_expand(value, shape, n);
  if (!v) return NULL;
  return v->storage == y->storage ? al_fresh_contiguous(v, d) : al_dense(v, d);
}

/* x seen as (outer, size, inner) around a dim; a 0-dim tensor has one of size 1. */
typedef struct blocks {
  int dim;
  int64_t outer, size, inner;
} blocks;
static int blocks_of(const al_tensor *x, int64_t dim, blocks *k) {
  if (x->ndim == 0) return al_fail("x is a scalar, which has no dims to index");
  if (al_dim(dim, x->ndim, &k->dim)) return -1;
  k->outer = al_product(k->dim, x->shape);
  k->size = x->shape[k->dim];
  k->inner = al_product(x->ndim - k->dim - 1, x->shape + k->dim + 1);
  return 0;
}

/* x's shape with dim replaced by the index tensor's dims; its count of dims, or -1. */
static int replaced(const al_tensor *x, int dim, const al_tensor *index, int64_t *shape) {
  int n = x->ndim - 1 + index->ndim, k = 0;
  if (n > AL_MAX_DIMS)
    return al_fail("the result would have %d dims, at most %d are possible", n, AL_MAX_DIMS);
  for (int d = 0; d < dim; d++) shape[k++] = x->shape[d];
  for (int d = 0; d < index->ndim; d++) shape[k++] = index->shape[d];
  for (int d = dim + 1; d < x->ndim; d++) shape[k++] = x->shape[d];
  return n;
}

/* ---- whole rows: index_select, embedding, index_add, index_put ---- */

/* Rows `at[j]` of (outer, size, bytes) move to rows j of (outer, n, bytes), or back. */
typedef struct rows {
  char *x, *v;
  const int64_t *at;
  int64_t n, size, bytes;
} rows;

static void take_rows(int64_t begin, int64_t end, void *arg) {
  const rows *r = arg;
  for (int64_t i = begin; i < end; i++)
    memcpy(r->v + i * r->bytes, r->x + (i / r->n * r->size + r->at[i % r->n]) * r->bytes,
           (size_t)r->bytes);
}

/* In order of j, so that of two rows with one position the later stays. */
static void put_rows(const rows *r, int64_t outer) {
  for (int64_t i = 0; i < outer * r->n; i++)
    memcpy(r->x + (i / r->n * r->size + r->at[i % r->n]) * r->bytes, r->v + i * r->bytes,
           (size_t)r->bytes);
}

static al_tensor *take(al_tensor *x, int64_t dim, al_tensor *index) {
  blocks k;
  int64_t shape[AL_MAX_DIMS];
  if (blocks_of(x, dim, &k)) return NULL;
  int n = replaced(x, k.dim, index, shape);
  if (n < 0) return NULL;
  al_tensor *p = positions(index, k.size), *xd = al_dense(x, (al_dtype)x->dtype),
            *y = al_empty((al_dtype)x->dtype, n, shape);
  if (!p || !xd || !y) return NULL;
  rows r = {al_data(xd), al_data(y), al_data(p),
            al_numel(p), k.size,     k.inner * (int64_t)al_dtype_size(x->dtype)};
  if (r.bytes > 0) al_parallel(k.outer * r.n, 1 + (1 << 16) / (r.bytes + 16), take_rows, &r);
  return y;
}

/* Gradient of taking rows: zeros with the rows of g added at their positions. */
static al_tensor *taken_back(al_back *b, al_tensor *index, int64_t dim) {
  int n;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  al_tensor *zero = al_zeros((al_dtype)b->g[0]->dtype, n, shape);
  if (!zero || b->create_graph)
    return zero ? al_apply(&al_op_index_add, zero, dim, index, b->g[0], 1.0) : NULL;
  al_call c = {.op = &al_op_index_add, .into = zero}; /* only the rows used are written */
  c.a[0].t = zero;
  c.a[1].i = dim;
  c.a[2].t = index;
  c.a[3].t = b->g[0];
  c.a[4].f = 1;
  return al_invoke(&c) ? NULL : zero;
}

static int index_select_forward(al_call *c) {
  return al_ret(c, take(ARG_T(0), ARG_I(1), ARG_T(2)));
}
static int index_select_grad(al_back *b) {
  return al_grad1(b, taken_back(b, b->in[2], b->a[1].i));
}

AL_OP(index_select, .sig = "x:T dim:dim index:T -> T", .save = "index", .flags = AL_F_HALF,
      .doc = "Entries `index` (from 1; negative from the end) of dim. The dims of an index of "
             "several dims, or none,\n"
             "take the place of dim.",
      .forward = index_select_forward, .grad = index_select_grad,
      .sample =
          "{r(5,3), 1, ints(1,5,4)}, {r(2,5,3), 2, ints(-5,-1,2,2)}, {r(2,4), -1, ints(1,4)}");

static int embedding_forward(al_call *c) {
  if (ARG_T(0)->ndim != 2)
    return al_fail("weight has %d dims, needs 2: (entries, width)", ARG_T(0)->ndim);
  int64_t n = ARG_T(0)->shape[0], i = ARG_I(2);
  if (HAS(2) && (i == 0 || i > n || i < -n))
    return al_fail("padding_idx is %lld, outside 1..%lld", (long long)i, (long long)n);
  return al_ret(c, take(ARG_T(0), 0, ARG_T(1)));
}
static int embedding_grad(al_back *b) {
  al_tensor *gw = taken_back(b, b->in[1], 0);
  if (b->a[2].given)
    gw = al_apply(&al_op_index_put, gw, (int64_t)0, al_integer(b->a[2].i), al_number(0));
  return al_grad1(b, gw);
}

AL_OP(embedding, .sig = "weight:T index:T {padding_idx:int?} -> T", .save = "index",
      .doc = "Rows of weight (entries, width) by index of any shape: (index shape, width). Row "
             "padding_idx gets no gradient.",
      .forward = embedding_forward, .grad = embedding_grad,
      .sample = "{r(6,3), ints(1,6,2,4)}, {r(6,3), ints(1,6,5)}");

static int take_forward(al_call *c) {
  static const int64_t flat[] = {-1};
  return al_ret(
      c, al_apply(&al_op_index_select, al_reshape(ARG_T(0), flat, 1), (int64_t)0, ARG_T(1)));
}
AL_OP(take, .sig = "x:T index:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "Elements of x, read as one row, by index of any shape.", .forward = take_forward,
      .sample = "{r(3,4), ints(1,12,5)}");

/* Columns [begin, end) of all rows v[j] * alpha added to rows at[j] of x, in order of j. */
#define ADD_ROWS(T)                                                                    \
  static void add_rows_##T(const rows *r, int64_t inner, int64_t begin, int64_t end,   \
                           double alpha) {                                             \
    T *x = (T *)(void *)r->x;                                                          \
    const T *v = (const T *)(const void *)r->v, a = (T)alpha;                          \
    for (int64_t j = 0; j < r->n; j++)                                                 \
      for (int64_t i = begin; i < end; i++)                                            \
        x[r->at[j] * inner + i] = (T)(x[r->at[j] * inner + i] + a * v[j * inner + i]); \
  }
/* clang-format off */
ADD_ROWS(uint8_t) ADD_ROWS(int32_t) ADD_ROWS(int64_t) ADD_ROWS(float) ADD_ROWS(double)
    /* clang-format on */

    typedef struct adding {
  rows r;
  int64_t inner;
  double alpha;
  int dtype;
} adding;
enum {
  COLUMNS = 64
}; /* of a row, a task: rows may repeat, so a column belongs to one thread */

static void add_piece(int64_t begin, int64_t end, void *arg) {
  const adding *a = arg;
  int64_t per = (a->inner + COLUMNS - 1) / COLUMNS, size = a->r.bytes / a->inner;
  for (int64_t i = begin; i < end; i++) {
    int64_t from = i % per * COLUMNS,
            to = from + COLUMNS < a->inner ? from + COLUMNS : a->inner;
    rows r = a->r;
    r.x += i / per * r.size * r.bytes;
    r.v += i / per * r.n * r.bytes;
    switch (size == 1 ? AL_UINT8 : a->dtype) {
    case AL_INT32: add_rows_int32_t(&r, a->inner, from, to, a->alpha); break;
    case AL_INT64: add_rows_int64_t(&r, a->inner, from, to, a->alpha); break;
    case AL_FLOAT32: add_rows_float(&r, a->inner, from, to, a->alpha); break;
    case AL_FLOAT64: add_rows_double(&r, a->inner, from, to, a->alpha); break;
    default: add_rows_uint8_t(&r, a->inner, from, to, a->alpha);
    }
  }
}

static int index_add_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *index = ARG_T(2), *src = ARG_T(3), *y = target(c, x);
  blocks k;
  int64_t shape[AL_MAX_DIMS];
  if (x->dtype == AL_BOOL) return al_fail("bool does not add");
  if (!y || blocks_of(x, ARG_I(1), &k)) return -1;
  int n = replaced(x, k.dim, index, shape);
  if (n < 0) return -1;
  al_tensor *p = positions(index, k.size),
            *v = p ? spread(src, (al_dtype)x->dtype, n, shape, y) : NULL;
  if (!v) return -1;
  adding a = {.r = {al_data(y), al_data(v), al_data(p), al_numel(p), k.size,
                    k.inner * (int64_t)al_dtype_size(x->dtype)},
              .inner = k.inner,
              .alpha = ARG_F(4),
              .dtype = x->dtype};
  int64_t tasks = k.inner > 0 ? k.outer * ((k.inner + COLUMNS - 1) / COLUMNS) : 0;
  int64_t each = a.r.n * (k.inner < COLUMNS ? k.inner : COLUMNS) + 1;
  al_parallel(tasks, 1 + (1 << 14) / each, add_piece, &a);
  return finish(c, y);
}
static int index_add_grad(al_back *b) {
  if (b->needs[0]) b->gx[0] = b->g[0];
  if (!b->needs[2]) return 0;
  al_tensor *g = al_apply(&al_op_index_select, b->g[0], b->a[1].i, b->in[2]);
  b->gx[2] = b->a[4].f == 1 ? g : al_mul_num(g, b->a[4].f);
  return b->gx[2] ? 0 : -1;
}

AL_OP(
    index_add, .sig = "x:T dim:dim index:T src:T {alpha:num=1} -> T", .save = "index",
    .flags = AL_F_INPLACE,
    .doc =
        "x with alpha * src added at the positions `index` of dim; repeated positions add up.",
    .forward = index_add_forward, .grad = index_add_grad,
    .sample =
        "{r(5,3), 1, ints(1,5,4), r(4,3)}, {r(2,4), 2, ints(1,4,6), r(2,6), {alpha=-0.5}}");

static int index_put_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *index = ARG_T(2), *y = target(c, x);
  blocks k;
  int64_t shape[AL_MAX_DIMS];
  if (!y || blocks_of(x, ARG_I(1), &k)) return -1;
  int n = replaced(x, k.dim, index, shape);
  if (n < 0) return -1;
  al_tensor *p = positions(index, k.size),
            *v = p ? spread(ARG_T(3), (al_dtype)x->dtype, n, shape, y) : NULL;
  if (!v) return -1;
  rows r = {al_data(y),  al_data(v), al_data(p),
            al_numel(p), k.size,     k.inner * (int64_t)al_dtype_size(x->dtype)};
  put_rows(&r, r.bytes > 0 ? k.outer : 0);
  return finish(c, y);
}
static int index_put_grad(al_back *b) {
  if (b->needs[0] &&
      !(b->gx[0] = al_apply(&al_op_index_put, b->g[0], b->a[1].i, b->in[2], al_number(0))))
    return -1;
  if (b->needs[2] && !(b->gx[2] = al_apply(&al_op_index_select, b->g[0], b->a[1].i, b->in[2])))
    return -1;
  return 0;
}

AL_OP(index_put, .sig = "x:T dim:dim index:T value:N -> T", .save = "index",
      .alias = "index_copy index_fill", .flags = AL_F_INPLACE,
      .doc = "x with the entries `index` of dim replaced by value (broadcast). Positions "
             "should not repeat.",
      .forward = index_put_forward, .grad = index_put_grad,
      .sample = "{r(5,3), 1, ints(2,2,1), r(1,3)}, {r(2,4), 2, ints(-1,-1,1), r(2,1)}");

/* ---- single elements: gather, scatter, scatter_add ---- */

/* One row: element j of s answers x[at[j] * along + j * across]. Steps in elements. */
typedef struct row {
  void *x, *s;
  const int64_t *at;
  int64_t n, along, across, step;
} row;
#define ROW(name, T, action)                                                                \
  static void name(const row *r) {                                                          \
    for (int64_t j = 0; j < r->n; j++) {                                                    \
      T *p = (T *)r->x + r->at[j] * r->along + j * r->across, *q = (T *)r->s + j * r->step; \
      action;                                                                               \
    }                                                                                       \
  }
/* clang-format off */
ROW(get_1, uint8_t, *q = *p) ROW(get_4, uint32_t, *q = *p) ROW(get_8, uint64_t, *q = *p)
ROW(put_1, uint8_t, *p = *q) ROW(put_4, uint32_t, *p = *q) ROW(put_8, uint64_t, *p = *q)
ROW(add_uint8, uint8_t, *p = (uint8_t)(*p + *q))
ROW(add_int32, int32_t, *p += *q)
ROW(add_int64, int64_t, *p += *q)
ROW(add_float32, float, *p += *q)
ROW(add_float64, double, *p += *q)
    /* clang-format on */

    typedef struct walk {
  void (*fn)(const row *);
  al_tensor *x, *s, *at; /* s: values, of at's shape; at: contiguous positions */
  int dim;
  int64_t lead; /* rows for each coordinate of the first dim */
} walk;

/* All rows whose first coordinate lies in [begin, end). */
static void walk_piece(int64_t begin, int64_t end, void *arg) {
  const walk *w = arg;
  const al_tensor *at = w->at;
  int last = at->ndim - 1;
  int64_t size = (int64_t)al_dtype_size(w->x->dtype), n = at->shape[last];
  for (int64_t i = begin * w->lead; i < end * w->lead; i++) {
    int64_t rest = i, px = 0, ps = 0;
    for (int d = last - 1; d >= 0; d--) {
      int64_t k = rest % at->shape[d];
      rest /= at->shape[d];
      if (d != w->dim) px += k * w->x->stride[d];
      ps += k * w->s->stride[d];
    }
    row r = {(char *)al_data(w->x) + px * size,
             (char *)al_data(w->s) + ps * size,
             (int64_t *)al_data(at) + i * n,
             n,
             w->x->stride[w->dim],
             last == w->dim ? 0 : w->x->stride[last],
             w->s->stride[last]};
    w->fn(&r);
  }
}

/* Applies fn to every element of `index`; values s broadcast to its shape. Threads split the
 * first dim, unless that is `dim`, along which two positions may meet (gather only reads x and
 * need not care). */
static int along(void (*fn)(const row *), al_tensor *x, int64_t dim, al_tensor *index,
                 al_tensor *s, bool reads) {
  walk w = {.fn = fn, .x = x, .s = s};
  if (x->ndim == 0 || index->ndim != x->ndim)
    return al_fail("x has %d dims, index %d", x->ndim, index->ndim);
  if (al_dim(dim, x->ndim, &w.dim)) return -1;
  for (int d = 0; d < x->ndim; d++)
    if (d != w.dim && index->shape[d] > x->shape[d])
      return al_fail("index has %lld entries in dim %d, x has %lld", (long long)index->shape[d],
                     d + 1, (long long)x->shape[d]);
  if (!(w.at = positions(index, x->shape[w.dim]))) return -1;
  if (al_numel(index) == 0) return 0;
  int last = x->ndim - 1;
  bool split = last > 0 && (reads || w.dim != 0);
  int64_t first = last > 0 ? index->shape[0] : 1;
  w.lead = last > 0 ? al_product(last - 1, index->shape + 1) : 1;
  al_parallel(first, split ? 1 + (1 << 14) / (w.lead * index->shape[last]) : first, walk_piece,
              &w);
  return 0;
}

static void (*by_size(int dtype, void (*f1)(const row *), void (*f4)(const row *),
                      void (*f8)(const row *)))(const row *) {
  size_t size = al_dtype_size((al_dtype)dtype);
  return size == 1 ? f1 : size == 4 ? f4 : f8;
}

static int gather_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *index = ARG_T(2), *y = al_empty_like(index, (al_dtype)x->dtype);
  if (!y || along(by_size(x->dtype, get_1, get_4, get_8), x, ARG_I(1), index, y, true))
    return -1;
  return al_ret(c, y);
}
static int gather_grad(al_back *b) {
  int n;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  al_tensor *zero = al_zeros((al_dtype)b->g[0]->dtype, n, shape);
  return al_grad1(b, zero ? al_apply(&al_op_scatter_add, zero, b->a[1].i, b->in[2], b->g[0])
                          : NULL);
}

AL_OP(gather, .sig = "x:T dim:dim index:T -> T", .save = "index",
      .doc = "y[i][j] = x[index[i][j]][j] for dim 1, and so on for other dims and shapes; y "
             "has index's shape.",
      .forward = gather_forward, .grad = gather_grad,
      .sample =
          "{r(4,3), 1, ints(1,4,2,3)}, {r(3,5), 2, ints(1,5,3,7)}, {r(4), 1, ints(-4,-1,6)}");

/* A source must cover the index; its gradient is zero beyond. */
static al_tensor *cover(al_tensor *src, const al_tensor *index, al_dtype d,
                        const al_tensor *y) {
  if (src->ndim == 0) return spread(src, d, index->ndim, index->shape, y);
  if (src->ndim != index->ndim)
    return al_null("src has %d dims, index %d", src->ndim, index->ndim);
  for (int k = 0; k < src->ndim; k++)
    if (index->shape[k] > src->shape[k])
      return al_null("index has %lld entries in dim %d, src has %lld",
                     (long long)index->shape[k], k + 1, (long long)src->shape[k]);
  return src->storage == y->storage ? al_fresh_contiguous(src, d) : al_dense(src, d);
}
static al_tensor *uncover(al_back *b, al_tensor *g) {
  int n;
  const int64_t *shape = al_edge_shape(b, b->edge0[3], &n);
  int64_t start[AL_MAX_DIMS] = {0}, step[AL_MAX_DIMS];
  bool same = true;
  for (int d = 0; g && d < n; d++) same = same && g->shape[d] == shape[d], step[d] = 1;
  if (!g || same || n == 0) return g;
  return al_apply(&al_op_slice_back, g, shape, n, start, n, step, n, 0.0);
}

static int scatter_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = target(c, x),
            *s = y ? cover(ARG_T(3), ARG_T(2), (al_dtype)x->dtype, y) : NULL;
  if (!s || along(by_size(x->dtype, put_1, put_4, put_8), y, ARG_I(1), ARG_T(2), s, false))
    return -1;
  return finish(c, y);
}
static int scatter_grad(al_back *b) {
  if (b->needs[0] &&
      !(b->gx[0] = al_apply(&al_op_scatter, b->g[0], b->a[1].i, b->in[2], al_number(0))))
    return -1;
  if (b->needs[2] &&
      !(b->gx[2] = uncover(b, al_apply(&al_op_gather, b->g[0], b->a[1].i, b->in[2]))))
    return -1;
  return 0;
}

AL_OP(scatter, .sig = "x:T dim:dim index:T src:N -> T", .save = "index", .flags = AL_F_INPLACE,
      .doc = "x with y[index[i][j]][j] = src[i][j] for dim 1, and so on. Of repeated positions "
             "the last stays.",
      .forward = scatter_forward, .grad = scatter_grad,
      .sample = "{r(4,3), 1, ints(2,2,1,3), r(1,3)}, {r(4,3), 2, ints(3,3,2,1), r(4,2)}");

static int scatter_add_forward(al_call *c) {
  static void (*const add[])(const row *) = {NULL,      add_uint8,   add_int32,
                                             add_int64, add_float32, add_float64};
  al_tensor *x = ARG_T(0);
  if (x->dtype == AL_BOOL) return al_fail("bool does not add");
  al_tensor *y = target(c, x), *s = y ? cover(ARG_T(3), ARG_T(2), (al_dtype)x->dtype, y) : NULL;
  if (!s || along(add[x->dtype], y, ARG_I(1), ARG_T(2), s, false)) return -1;
  return finish(c, y);
}
static int scatter_add_grad(al_back *b) {
  if (b->needs[0]) b->gx[0] = b->g[0];
  if (b->needs[2] &&
      !(b->gx[2] = uncover(b, al_apply(&al_op_gather, b->g[0], b->a[1].i, b->in[2]))))
    return -1;
  return 0;
}

AL_OP(scatter_add, .sig = "x:T dim:dim index:T src:T -> T", .save = "index",
      .flags = AL_F_INPLACE,
      .doc = "x with src[i][j] added at [index[i][j]][j] for dim 1, and so on; repeated "
             "positions add up.",
      .forward = scatter_add_forward, .grad = scatter_add_grad,
      .sample = "{r(4,3), 1, ints(1,4,5,3), r(5,3)}, {r(3,4), 2, ints(1,4,3,6), r(3,7)}");

/* ---- scatter_reduce ---- */

enum { SUMS, PRODUCTS, LARGEST, SMALLEST, MEANS };
/* clang-format off */
ROW(prod_float32, float, *p *= *q)
ROW(prod_float64, double, *p *= *q)
ROW(max_float32, float, if (*q > *p || *q != *q) *p = *q)
ROW(max_float64, double, if (*q > *p || *q != *q) *p = *q)
ROW(min_float32, float, if (*q < *p || *q != *q) *p = *q)
ROW(min_float64, double, if (*q < *p || *q != *q) *p = *q)
/* clang-format on */

static const struct {
  const char *name;
  double start;
  void (*fn[2])(const row *);
} reductions[] = {[SUMS] = {"sum", 0, {add_float32, add_float64}},
                  [PRODUCTS] = {"prod", 1, {prod_float32, prod_float64}},
                  [LARGEST] = {"amax", -INFINITY, {max_float32, max_float64}},
                  [SMALLEST] = {"amin", INFINITY, {min_float32, min_float64}},
                  [MEANS] = {"mean", 0, {add_float32, add_float64}}};

static int reduction_of(const char *name) {
  for (int k = 0; k <= MEANS; k++)
    if (!strcmp(name, reductions[k].name)) return k;
  return al_fail("reduce must be sum, prod, mean, amax or amin");
}

/* t with `value` at the positions, unless x itself takes part. */
static al_tensor *without_self(const al_arg *a, al_tensor *t, al_tensor *index, double value) {
  if (a[5].b) return t;
  return al_apply(&al_op_scatter, t, a[1].i, index, al_number(value));
}

static al_tensor *ones(const al_tensor *x) {
  al_tensor *y = al_empty_like(x, (al_dtype)x->dtype), *one = al_scalar(1, (al_dtype)x->dtype);
  return !y || !one || al_copy(y, one) ? NULL : y;
}
/* How many elements each element of the result is made of, at least 1. */
static al_tensor *counts(const al_arg *a, al_tensor *x, al_tensor *src, al_tensor *index) {
  al_tensor *own = without_self(a, ones(x), index, 0);
  return al_maximum(al_apply(&al_op_scatter_add, own, a[1].i, index, ones(src)), al_number(1));
}

static int scatter_reduce_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *index = ARG_T(2), *src = ARG_T(3);
  int kind = reduction_of(c->a[4].s);
  if (kind < 0) return -1;
  if (!al_is_float(x->dtype) || src->dtype != x->dtype)
    return al_fail("x and src must be of one floating dtype");
  if (!al_same_shape(src, index)) return al_fail("src and index differ in shape");
  al_tensor *y = al_fresh_contiguous(without_self(c->a, x, index, reductions[kind].start),
                                     (al_dtype)x->dtype);
  if (!y || along(reductions[kind].fn[x->dtype == AL_FLOAT64], y, ARG_I(1), index, src, false))
    return -1;
  return al_ret(c, kind == MEANS ? al_div(y, counts(c->a, x, src, index)) : y);
}

/* Of an extreme all that reach it take an equal share. */
static int scatter_reduce_grad(al_back *b) {
  al_tensor *x = b->in[0], *index = b->in[2], *src = b->in[3], *y = b->out[0], *g = b->g[0];
  int kind = reduction_of(b->a[4].s);
  const int64_t dim = b->a[1].i;
  al_tensor *gx, *gs;
  if (kind == LARGEST || kind == SMALLEST) {
    al_tensor *hit = al_to(al_eq(src, al_apply(&al_op_gather, y, dim, index)), src->dtype);
    al_tensor *own = without_self(b->a, al_to(al_eq(x, y), x->dtype), index, 0);
    g = al_div(g, al_apply(&al_op_scatter_add, own, dim, index, hit));
    gx = al_mul(g, own), gs = al_mul(al_apply(&al_op_gather, g, dim, index), hit);
  } else {
    if (kind == MEANS) g = al_div(g, counts(b->a, x, src, index));
    if (kind == PRODUCTS) g = al_mul(g, y);
    gs = al_apply(&al_op_gather, g, dim, index), gx = g;
    if (kind == PRODUCTS) gs = al_div(gs, src), gx = al_div(g, x);
    gx = without_self(b->a, gx, index, 0);
  }
  b->gx[0] = gx, b->gx[2] = gs;
  return gx && gs ? 0 : -1;
}
AL_OP(
    scatter_reduce, .sig = "x:T dim:dim index:T src:T reduce:str {include_self:bool=true} -> T",
    .save = "x index src out",
    .doc = "x with the elements of src (of index's shape) gathered at the positions "
           "[index[i][j]][j] for dim 1, and so on, and reduced:\n"
           "sum, prod, mean, amax or amin of them and, unless include_self = false, x's own. "
           "prod has gradients where nothing is 0.",
    .forward = scatter_reduce_forward, .grad = scatter_reduce_grad,
    .sample = "{away(3,4), 2, ints(1,4,3,6), away(3,6), 'sum'}, {away(4,3), 1, "
              "ints(1,4,5,3), away(5,3), 'prod'}, {away(4,3), 1, ints(1,4,5,3), away(5,3), "
              "'mean', {include_self=false}}, {distinct(4,3), 1, ints(1,4,5,3), "
              "distinct(5,3) + 0.1, 'amax'}, {distinct(4,3), 1, ints(1,4,5,3), distinct(5,3) + "
              "0.1, 'amin', {include_self=false}}");
