/* slice.c: rectangular parts of a tensor: narrow, select, strided slices, writing into them,
 * their gradients. */
#include "index.h"
#include "op.h"

extern al_op al_op_slice, al_op_slice_back, al_op_slice_assign;

/* The view of x that `start` (from 0), `step` and `count` describe, an entry a dim. Step 0
 * takes one element and drops the dim. Bounds are checked here, once for all callers. */
static al_tensor *part(al_tensor *x, const int64_t *start, const int64_t *step,
                       const int64_t *count) {
  int n = 0;
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS], offset = x->offset;
  for (int d = 0; d < x->ndim; d++) {
    int64_t size = x->shape[d], many = step[d] == 0 ? 1 : count[d];
    if (many < 0) return al_null("length %lld is negative", (long long)many);
    int64_t last;
    if (__builtin_mul_overflow(step[d], many - 1, &last) ||
        __builtin_add_overflow(last, start[d], &last) || last == INT64_MAX)
      last = INT64_MAX - 1;
    if (many > 0 && (start[d] < 0 || start[d] >= size || last < 0 || last >= size))
      return al_null("positions %lld to %lld of dim %d lie outside 1..%lld",
                     (long long)start[d] + 1, (long long)last + 1, d + 1, (long long)size);
    offset += many > 0 ? start[d] * x->stride[d] : 0;
    if (step[d] == 0) continue;
    shape[n] = many;
    stride[n++] = x->stride[d] * step[d];
  }
  return al_alias(x, n, shape, stride, offset);
}

/* Checks that three lists have an entry for each of n dims. */
static int lists_fit(const al_call *c, int first, int lists, int n) {
  for (int i = first; i < first + lists; i++)
    if (c->a[i].ints.n != n)
      return al_fail("%s has %d entries, needs %d", c->op->param[i].name, c->a[i].ints.n, n);
  return 0;
}

static int slice_forward(al_call *c) {
  if (lists_fit(c, 1, 3, ARG_T(0)->ndim)) return -1;
  return al_ret(c, part(ARG_T(0), c->a[1].ints.v, c->a[2].ints.v, c->a[3].ints.v));
}

static int slice_grad(al_back *b) {
  int n;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  return al_grad1(b, al_apply(&al_op_slice_back, b->g[0], shape, n, b->a[1].ints.v, n,
                              b->a[2].ints.v, n, 0.0));
}

AL_OP(slice, .sig = "x:T start:ints step:ints count:ints -> T",
      .flags = AL_F_VIEW | AL_F_HIDDEN,
      .doc = "Elements start, start + step, ... (from 0) of every dim; step 0 drops the dim.",
      .forward = slice_forward, .grad = slice_grad,
      .sample = "{r(4,5,3), {1,4,2}, {1,-2,0}, {2,2,1}}");

/* `count` of slice from the shape of what it gave: dropped dims are not there. */
static int counts_of(const al_tensor *g, int n, const int64_t *step, int64_t *count) {
  int k = 0;
  for (int d = 0; d < n; d++) {
    if (step[d] != 0 && k == g->ndim) return al_fail("g has too few dims");
    count[d] = step[d] == 0 ? 1 : g->shape[k++];
  }
  return k == g->ndim ? 0 : al_fail("g has too many dims");
}

static int slice_back_forward(al_call *c) {
  al_tensor *g = ARG_T(0);
  int n = c->a[1].ints.n;
  int64_t count[AL_MAX_DIMS];
  if (lists_fit(c, 2, 2, n) || counts_of(g, n, c->a[3].ints.v, count)) return -1;
  al_tensor *y = ARG_F(4) == 0 ? al_zeros((al_dtype)g->dtype, n, c->a[1].ints.v)
                               : al_empty((al_dtype)g->dtype, n, c->a[1].ints.v);
  if (y && ARG_F(4) != 0 && al_copy(y, al_number(ARG_F(4)))) return -1;
  al_tensor *at = y ? part(y, c->a[2].ints.v, c->a[3].ints.v, count) : NULL;
  return !at || al_copy(at, g) ? -1 : al_ret(c, y);
}

static int slice_back_grad(al_back *b) {
  int n = b->a[1].ints.n;
  int64_t count[AL_MAX_DIMS], k = 0;
  int gn;
  const int64_t *shape = al_edge_shape(b, 0, &gn);
  for (int d = 0; d < n; d++) count[d] = b->a[3].ints.v[d] == 0 ? 1 : shape[k++];
  return al_grad1(
      b, al_apply(&al_op_slice, b->g[0], b->a[2].ints.v, n, b->a[3].ints.v, n, count, n));
}

AL_OP(slice_back, .sig = "g:T shape:ints start:ints step:ints value:num=0 -> T",
      .flags = AL_F_HIDDEN,
      .doc = "A tensor of `shape` filled with `value` whose slice is g: the gradient of slice, "
             "and padding.",
      .forward = slice_back_forward, .grad = slice_back_grad,
      .sample = "{r(2,2), {4,5,3}, {1,4,2}, {1,-2,0}, 0}");

/* x with a slice replaced by value; in place when asked. */
static int slice_assign_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = c->into ? c->into : al_fresh_contiguous(x, (al_dtype)x->dtype);
  if (!y || lists_fit(c, 2, 3, x->ndim)) return -1;
  al_tensor *at = part(y, c->a[2].ints.v, c->a[3].ints.v, c->a[4].ints.v), *v = ARG_T(1);
  if (!at) return -1;
  if (v->storage == y->storage)
    v = al_fresh_contiguous(v, (al_dtype)v->dtype); /* may overlap: t[2..5] = t[1..4] */
  return !v || al_copy(at, v) ? -1 : al_ret(c, y);
}

static int slice_assign_grad(al_back *b) {
  int n = b->a[2].ints.n;
  const int64_t *start = b->a[2].ints.v, *step = b->a[3].ints.v, *count = b->a[4].ints.v;
  if (b->needs[0])
    b->gx[0] =
        al_apply(&al_op_slice_assign, b->g[0], al_number(0), start, n, step, n, count, n);
  if (b->needs[1]) b->gx[1] = al_apply(&al_op_slice, b->g[0], start, n, step, n, count, n);
  return (b->needs[0] && !b->gx[0]) || (b->needs[1] && !b->gx[1]) ? -1 : 0;
}

AL_OP(slice_assign, .sig = "x:T value:N start:ints step:ints count:ints -> T",
      .flags = AL_F_INPLACE | AL_F_HIDDEN | AL_F_HALF,
      .doc = "x with the slice (start, step, count; see slice) replaced by value.",
      .forward = slice_assign_forward, .grad = slice_assign_grad,
      .sample = "{r(4,5), r(2), {1,4}, {0,-2}, {1,2}}, {r(4,5), r(1,2), {1,0}, {1,1}, {3,2}}");

/* ---- narrow, select ---- */

static void whole(const al_tensor *x, int64_t *start, int64_t *step, int64_t *count) {
  for (int d = 0; d < x->ndim; d++) {
    start[d] = 0;
    step[d] = 1;
    count[d] = x->shape[d];
  }
}

/* A position from 1, or negative from the end, as one from 0. */
static int position(int64_t i, int64_t size, int64_t *out) {
  if (i == 0) return al_fail("indices and labels count from 1");
  *out = i > 0 ? i - 1 : i + size;
  return 0;
}

/* Gradient of a slice along one dim: a[1] is the dim, a[2] the position. */
static int back_along(al_back *b, bool drop) {
  int n, d;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  int64_t start[AL_MAX_DIMS] = {0}, step[AL_MAX_DIMS];
  for (int i = 0; i < n; i++) step[i] = 1;
  if (al_dim(b->a[1].i, n, &d) || position(b->a[2].i, shape[d], &start[d])) return -1;
  if (drop) step[d] = 0;
  return al_grad1(b, al_apply(&al_op_slice_back, b->g[0], shape, n, start, n, step, n, 0.0));
}

static int narrow_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int d;
  int64_t start[AL_MAX_DIMS], step[AL_MAX_DIMS], count[AL_MAX_DIMS];
  whole(x, start, step, count);
  if (al_dim(ARG_I(1), x->ndim, &d) || position(ARG_I(2), x->shape[d], &start[d])) return -1;
  count[d] = ARG_I(3);
  return al_ret(c, part(x, start, step, count));
}
static int narrow_grad(al_back *b) { return back_along(b, false); }

AL_OP(narrow, .sig = "x:T dim:dim start:int length:int -> T", .flags = AL_F_VIEW,
      .doc = "`length` entries of dim from position `start` (from 1; negative from the end).",
      .forward = narrow_forward, .grad = narrow_grad,
      .sample = "{r(4,3), 1, 2, 2}, {r(2,5), 2, -3, 3}");

static int select_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int d;
  int64_t start[AL_MAX_DIMS], step[AL_MAX_DIMS], count[AL_MAX_DIMS];
  whole(x, start, step, count);
  if (al_dim(ARG_I(1), x->ndim, &d) || position(ARG_I(2), x->shape[d], &start[d])) return -1;
  if (start[d] < 0 || start[d] >= x->shape[d])
    return al_fail("index %lld lies outside 1..%lld", (long long)ARG_I(2),
                   (long long)x->shape[d]);
  step[d] = 0;
  return al_ret(c, part(x, start, step, count));
}
static int select_grad(al_back *b) { return back_along(b, true); }

AL_OP(select, .sig = "x:T dim:dim index:int -> T", .flags = AL_F_VIEW,
      .doc = "Entry `index` (from 1; negative from the end) of dim, which goes.",
      .forward = select_forward, .grad = select_grad,
      .sample = "{r(4,3), 1, 2}, {r(2,5), 2, -1}");

/* ---- from C ---- */

/* r[0 .. n-1], the other dims whole, as the lists of slice. */
static int lists_of(const al_tensor *x, const al_range *r, int n, int64_t *start, int64_t *step,
                    int64_t *count) {
  if (n > x->ndim) return al_fail("%d indices for a tensor of %d dims", n, x->ndim);
  whole(x, start, step, count);
  for (int d = 0; d < n; d++) {
    start[d] = r[d].start;
    step[d] = r[d].drop ? 0 : r[d].step;
    count[d] = r[d].count;
  }
  return 0;
}

al_tensor *al_slice(al_tensor *x, const al_range *r, int n) {
  int64_t start[AL_MAX_DIMS], step[AL_MAX_DIMS], count[AL_MAX_DIMS];
  if (!x || lists_of(x, r, n, start, step, count)) return NULL;
  return al_apply(&al_op_slice, x, start, x->ndim, step, x->ndim, count, x->ndim);
}

/* Not `given`: the user wrote a slice, and an error shows none of these lists. */
static al_arg list_arg(const int64_t *v, int n) { return (al_arg){.ints = {v, n}}; }

int al_slice_assign(al_tensor *x, const al_range *r, int n, al_tensor *value) {
  int64_t start[AL_MAX_DIMS], step[AL_MAX_DIMS], count[AL_MAX_DIMS];
  if (!x || !value || lists_of(x, r, n, start, step, count)) return -1;
  al_call c = {.op = &al_op_slice_assign, .called = "index", .into = x};
  c.a[0] = (al_arg){.t = x, .given = true};
  c.a[1] = (al_arg){.t = value, .given = true};
  c.a[2] = list_arg(start, x->ndim);
  c.a[3] = list_arg(step, x->ndim);
  c.a[4] = list_arg(count, x->ndim);
  return al_invoke(&c);
}
