/* view.c: the same elements under another shape. All but flip share the storage of their
 * argument. */
#include "op.h"

static void dense_strides(int n, const int64_t *shape, int64_t *stride) {
  int64_t step = 1;
  for (int d = n - 1; d >= 0; d--) {
    stride[d] = step;
    step *= shape[d] > 1 ? shape[d] : 1;
  }
}

/* Resolves dims that may count from the end; -1 and an error when out of range or repeated. */
static int distinct_dims(const al_tensor *x, int n, const int64_t *dims, int *out) {
  unsigned seen = 0;
  for (int i = 0; i < n; i++) {
    if (al_dim(dims[i], x->ndim, &out[i])) return -1;
    if (seen >> out[i] & 1) return al_fail("dim %d is named twice", out[i] + 1);
    seen |= 1u << out[i];
  }
  return 0;
}

/* Gradient of every op below that only regroups elements: back to the input's shape. */
static int back_to_shape(al_back *b) {
  int n;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  return al_grad1(b, al_reshape(b->g[0], shape, n));
}

/* ---- reshape, view, flatten ---- */

/* Strides that show x in another shape without moving data; false when that takes a copy. Runs
 * of x's dims that lie dense behind one another are matched with runs of the new dims. */
static bool restride(const al_tensor *x, int n, const int64_t *shape, int64_t *stride) {
  if (al_numel(x) == 0 || x->ndim == 0) return dense_strides(n, shape, stride), true;
  int v = n - 1;
  int64_t base = x->stride[x->ndim - 1], have = 1, made = 1;
  for (int d = x->ndim - 1; d >= 0; d--) {
    have *= x->shape[d];
    if (d > 0 && (x->shape[d - 1] == 1 || x->stride[d - 1] == have * base)) continue;
    for (; v >= 0 && (made < have || shape[v] == 1); v--) {
      stride[v] = made * base;
      made *= shape[v];
    }
    if (made != have) return false;
    if (d > 0) base = x->stride[d - 1];
    have = made = 1;
  }
  return v < 0;
}

/* Replaces the one -1 of a requested shape by what is left of x's elements. */
static int infer_shape(const al_tensor *x, int n, const int64_t *want, int64_t *shape) {
  if (n > AL_MAX_DIMS) return al_fail("a tensor has at most %d dims, got %d", AL_MAX_DIMS, n);
  int hole = -1;
  int64_t known = 1, numel = al_numel(x);
  for (int d = 0; d < n; d++) {
    shape[d] = want[d];
    if (want[d] >= 0) {
      if (__builtin_mul_overflow(known, want[d], &known))
        return al_fail("shape %s is too large", al_shape_text(n, want));
    } else if (want[d] != -1)
      return al_fail("size %lld of dim %d is negative", (long long)want[d], d + 1);
    else if (hole >= 0) return al_fail("only one size may be -1");
    else hole = d;
  }
  if (hole >= 0 && known > 0 && numel % known == 0) shape[hole] = numel / known;
  else if (hole >= 0 || known != numel)
    return al_fail("%lld elements (%s) do not fit shape %s", (long long)numel,
                   al_shape_text(x->ndim, x->shape), al_shape_text(n, want));
  return 0;
}

static al_tensor *regroup(al_tensor *x, int n, const int64_t *shape) {
  int64_t stride[AL_MAX_DIMS];
  if (restride(x, n, shape, stride)) return al_alias(x, n, shape, stride, x->offset);
  al_tensor *y = al_fresh_contiguous(x, (al_dtype)x->dtype);
  dense_strides(n, shape, stride);
  return y ? al_alias(y, n, shape, stride, y->offset) : NULL;
}

static int reshape_forward(al_call *c) {
  int64_t shape[AL_MAX_DIMS];
  al_tensor *x = ARG_T(0);
  if (infer_shape(x, c->a[1].ints.n, c->a[1].ints.v, shape)) return -1;
  return al_ret(c, regroup(x, c->a[1].ints.n, shape));
}

AL_OP(reshape, .sig = "x:T shape:ints... -> T", .flags = AL_F_VIEW,
      .doc = "The elements of x in row-major order under another shape; one size may be -1.\n"
             "Shares x's storage where strides allow, else copies.",
      .forward = reshape_forward, .grad = back_to_shape,
      .sample = "{r(2,6), 3, -1}, {r(4,3):t(), {2,2,3}}");

static int view_forward(al_call *c) {
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS];
  al_tensor *x = ARG_T(0);
  int n = c->a[1].ints.n;
  if (infer_shape(x, n, c->a[1].ints.v, shape)) return -1;
  if (!restride(x, n, shape, stride))
    return al_fail("this shape cannot share the storage of a strided tensor; reshape copies "
                   "where it must");
  return al_ret(c, al_alias(x, n, shape, stride, x->offset));
}

AL_OP(view, .sig = "x:T shape:ints... -> T", .flags = AL_F_VIEW,
      .doc = "reshape that never copies: an error when x's strides do not allow the shape.",
      .forward = view_forward, .grad = back_to_shape, .sample = "{r(2,6), 3, -1}");

static int flatten_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int first = 0, last = x->ndim - 1, n = 0;
  int64_t shape[AL_MAX_DIMS];
  if (x->ndim == 0) return shape[0] = 1, al_ret(c, regroup(x, 1, shape));
  if (HAS(1) && al_dim(ARG_I(1), x->ndim, &first)) return -1;
  if (HAS(2) && al_dim(ARG_I(2), x->ndim, &last)) return -1;
  if (last < first)
    return al_fail("last dim %d comes before first dim %d", last + 1, first + 1);
  for (int d = 0; d < first; d++) shape[n++] = x->shape[d];
  shape[n++] = al_product(last - first + 1, x->shape + first);
  for (int d = last + 1; d < x->ndim; d++) shape[n++] = x->shape[d];
  return al_ret(c, regroup(x, n, shape));
}

AL_OP(flatten, .sig = "x:T first:dim? last:dim? -> T", .flags = AL_F_VIEW,
      .doc = "Joins the dims first .. last (all by default) into one.",
      .forward = flatten_forward, .grad = back_to_shape,
      .sample = "{r(2,3,2)}, {r(2,3,2), 2}, {r(2,3,2,2), 2, 3}");

/* ---- squeeze, unsqueeze ---- */

static int unsqueeze_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int at;
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS];
  if (x->ndim == AL_MAX_DIMS) return al_fail("a tensor has at most %d dims", AL_MAX_DIMS);
  if (al_dim(ARG_I(1), x->ndim + 1, &at)) return -1;
  for (int d = 0, s = 0; d <= x->ndim; d++) {
    shape[d] = d == at ? 1 : x->shape[s];
    stride[d] = d == at ? (s < x->ndim ? x->shape[s] * x->stride[s] : 1) : x->stride[s];
    s += d != at;
  }
  return al_ret(c, al_alias(x, x->ndim + 1, shape, stride, x->offset));
}

AL_OP(unsqueeze, .sig = "x:T dim:dim -> T", .flags = AL_F_VIEW,
      .doc = "Inserts a dim of size 1 at `dim`.", .forward = unsqueeze_forward,
      .grad = back_to_shape, .sample = "{r(2,3), 1}, {r(2,3), -1}, {r(2,3), 2}");

static int squeeze_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int which[AL_MAX_INTS], n = 0;
  unsigned drop = HAS(1) ? 0 : ~0u;
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS];
  if (HAS(1) && distinct_dims(x, c->a[1].ints.n, c->a[1].ints.v, which)) return -1;
  for (int i = 0; HAS(1) && i < c->a[1].ints.n; i++) drop |= 1u << which[i];
  for (int d = 0; d < x->ndim; d++) {
    if (x->shape[d] == 1 && (drop >> d & 1)) continue;
    shape[n] = x->shape[d];
    stride[n++] = x->stride[d];
  }
  return al_ret(c, al_alias(x, n, shape, stride, x->offset));
}

AL_OP(squeeze, .sig = "x:T dims:dims?... -> T", .flags = AL_F_VIEW,
      .doc = "Drops the dims of size 1 among `dims` (all by default).",
      .forward = squeeze_forward, .grad = back_to_shape,
      .sample = "{r(1,3,1)}, {r(1,3,1), 1}, {r(1,3,1), -1}");

/* ---- permute, transpose ---- */

static al_tensor *permuted(al_tensor *x, const int *order) {
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS];
  for (int d = 0; d < x->ndim; d++) {
    shape[d] = x->shape[order[d]];
    stride[d] = x->stride[order[d]];
  }
  return al_alias(x, x->ndim, shape, stride, x->offset);
}

static int permute_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int order[AL_MAX_INTS];
  if (c->a[1].ints.n != x->ndim)
    return al_fail("x has %d dims, the order names %d", x->ndim, c->a[1].ints.n);
  if (distinct_dims(x, x->ndim, c->a[1].ints.v, order)) return -1;
  return al_ret(c, permuted(x, order));
}

static int permute_grad(al_back *b) {
  int64_t inverse[AL_MAX_DIMS];
  int n = b->a[1].ints.n, d;
  for (int i = 0; i < n; i++) {
    if (al_dim(b->a[1].ints.v[i], n, &d)) return -1;
    inverse[d] = i;
  }
  return al_grad1(b, al_permute(b->g[0], inverse, n));
}

AL_OP(permute, .sig = "x:T dims:dims... -> T", .flags = AL_F_VIEW,
      .doc = "Reorders dims: dim i of the result is dim dims[i] of x.",
      .forward = permute_forward, .grad = permute_grad,
      .sample = "{r(2,3,4), 3, 1, 2}, {r(2,3), {2, 1}}");

static int swap(al_call *c, int64_t d, int64_t e) {
  al_tensor *x = ARG_T(0);
  int i, j, order[AL_MAX_DIMS];
  if (al_dim(d, x->ndim, &i) || al_dim(e, x->ndim, &j)) return -1;
  for (int k = 0; k < x->ndim; k++) order[k] = k == i ? j : k == j ? i : k;
  return al_ret(c, permuted(x, order));
}

static int transpose_forward(al_call *c) { return swap(c, ARG_I(1), ARG_I(2)); }
static int transpose_grad(al_back *b) {
  return al_grad1(b, al_transpose(b->g[0], b->a[1].i, b->a[2].i));
}

AL_OP(transpose, .sig = "x:T dim1:dim dim2:dim -> T", .alias = "swapaxes swapdims",
      .flags = AL_F_VIEW, .doc = "Swaps two dims.", .forward = transpose_forward,
      .grad = transpose_grad, .sample = "{r(2,3,4), 1, 3}, {r(2,3), -1, -2}");

static int t_forward(al_call *c) {
  if (ARG_T(0)->ndim > 2)
    return al_fail("x has %d dims; t is for at most 2, see transpose and permute",
                   ARG_T(0)->ndim);
  al_tensor *x = ARG_T(0);
  return x->ndim == 2 ? swap(c, 0, 1)
                      : al_ret(c, al_alias(x, x->ndim, x->shape, x->stride, x->offset));
}
extern al_op al_op_t;
static int t_grad(al_back *b) { return al_grad1(b, al_apply(&al_op_t, b->g[0])); }

AL_OP(t, .sig = "x:T -> T", .flags = AL_F_VIEW,
      .doc = "The transpose of a matrix; a vector stays itself.", .forward = t_forward,
      .grad = t_grad, .sample = "{r(2,3)}, {r(3)}");

/* ---- expand ---- */

static int expand_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int n = c->a[1].ints.n, lead = n - x->ndim;
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS];
  if (n > AL_MAX_DIMS || lead < 0) return al_fail("x has %d dims, the shape %d", x->ndim, n);
  for (int d = 0; d < n; d++) {
    int64_t want = c->a[1].ints.v[d], have = d < lead ? 1 : x->shape[d - lead];
    if (want == -1 && d >= lead) want = have;
    if (want < 0 || (have != want && have != 1))
      return al_fail("size %lld of dim %d does not become %lld", (long long)have, d + 1,
                     (long long)want);
    shape[d] = want;
    stride[d] = d < lead || have != want ? 0 : x->stride[d - lead];
  }
  return al_ret(c, al_alias(x, n, shape, stride, x->offset));
}

static int expand_grad(al_back *b) {
  return al_grad1(b, b->g[0]);
} /* the engine sums what was repeated */

AL_OP(expand, .sig = "x:T shape:ints... -> T", .alias = "broadcast_to", .flags = AL_F_VIEW,
      .doc = "Repeats dims of size 1 (and new leading ones) without copying; -1 keeps a size.",
      .forward = expand_forward, .grad = expand_grad,
      .sample = "{r(3,1), 3, 4}, {r(3), {2, -1}}");

/* ---- diagonal, flip ---- */

/* The diagonal `offset` of dims d, e as a view: those dims go, the diagonal comes last. */
static al_tensor *diagonal_of(al_tensor *x, int64_t offset, int64_t d0, int64_t e0) {
  int d, e, n = 0;
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS];
  if (x->ndim < 2) return al_null("x has %d dims, needs 2", x->ndim);
  if (al_dim(d0, x->ndim, &d) || al_dim(e0, x->ndim, &e)) return NULL;
  if (d == e) return al_null("the two dims are the same");
  int64_t rows = x->shape[d] + (offset < 0 ? offset : 0),
          cols = x->shape[e] - (offset > 0 ? offset : 0);
  int64_t len = rows < cols ? rows : cols;
  for (int i = 0; i < x->ndim; i++) {
    if (i == d || i == e) continue;
    shape[n] = x->shape[i];
    stride[n++] = x->stride[i];
  }
  shape[n] = len > 0 ? len : 0;
  stride[n++] = x->stride[d] + x->stride[e];
  int64_t at = len <= 0 ? 0 : offset > 0 ? offset * x->stride[e] : -offset * x->stride[d];
  return al_alias(x, n, shape, stride, x->offset + at);
}

static int diagonal_forward(al_call *c) {
  int64_t d = HAS(2) ? ARG_I(2) : 0, e = HAS(3) ? ARG_I(3) : 1;
  return al_ret(c, diagonal_of(ARG_T(0), ARG_I(1), d, e));
}
extern al_op al_op_diagonal_back, al_op_diagonal, al_op_flip;
static int diagonal_grad(al_back *b) {
  int n;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  int64_t d = b->a[2].given ? b->a[2].i : 0, e = b->a[3].given ? b->a[3].i : 1;
  return al_grad1(b, al_apply(&al_op_diagonal_back, b->g[0], shape, n, b->a[1].i, d, e));
}

AL_OP(diagonal, .sig = "x:T offset:int=0 dim1:dim? dim2:dim? -> T", .flags = AL_F_VIEW,
      .doc = "The diagonal of dims dim1 and dim2 (1 and 2) as the last dim; offset > 0 lies "
             "above the main one.",
      .forward = diagonal_forward, .grad = diagonal_grad,
      .sample = "{r(3,4)}, {r(3,4), 1}, {r(3,4,2), -1, 2, 3}");

static int diagonal_back_forward(al_call *c) {
  al_tensor *y = al_zeros((al_dtype)ARG_T(0)->dtype, c->a[1].ints.n, c->a[1].ints.v);
  al_tensor *at = y ? diagonal_of(y, ARG_I(2), ARG_I(3), ARG_I(4)) : NULL;
  return !at || al_copy(at, ARG_T(0)) ? -1 : al_ret(c, y);
}
static int diagonal_back_grad(al_back *b) {
  return al_grad1(b, al_apply(&al_op_diagonal, b->g[0], b->a[2].i, b->a[3].i, b->a[4].i));
}

AL_OP(diagonal_back, .sig = "g:T shape:ints offset:int dim1:dim dim2:dim -> T",
      .flags = AL_F_HIDDEN,
      .doc = "Zeros of `shape` with g on a diagonal: the gradient of diagonal.",
      .forward = diagonal_back_forward, .grad = diagonal_back_grad,
      .sample = "{r(3), {3,4}, 0, 1, 2}, {r(4,2), {4,2,3}, 1, 2, 3}");

static int flip_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int dims[AL_MAX_INTS], n = c->a[1].ints.n;
  int64_t stride[AL_MAX_DIMS], offset = x->offset;
  for (int d = 0; d < x->ndim; d++) stride[d] = x->stride[d];
  if (distinct_dims(x, n, c->a[1].ints.v, dims)) return -1;
  for (int i = 0; i < n; i++) {
    offset += x->shape[dims[i]] > 0 ? (x->shape[dims[i]] - 1) * stride[dims[i]] : 0;
    stride[dims[i]] = -stride[dims[i]];
  }
  al_tensor *back = al_alias(x, x->ndim, x->shape, stride, offset);
  return al_ret(c, back ? al_fresh_contiguous(back, (al_dtype)x->dtype) : NULL);
}
static int flip_grad(al_back *b) {
  return al_grad1(b, al_apply(&al_op_flip, b->g[0], b->a[1].ints.v, b->a[1].ints.n));
}

AL_OP(flip, .sig = "x:T dims:dims... -> T",
      .doc = "A copy of x with the order along `dims` reversed.", .forward = flip_forward,
      .grad = flip_grad, .sample = "{r(2,3), 1}, {r(2,3,2), {1, 3}}");
