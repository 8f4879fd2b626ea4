/* join.c: tensors put together or repeated: cat, stack, tile, repeat_interleave, roll, pad,
 * tril, triu. */
#include "op.h"
#include <string.h>

extern al_op al_op_index_select, al_op_slice, al_op_slice_back, al_op_tril, al_op_triu;

/* ---- cat, stack ---- */

/* The part [from, from + n) of dim d of y, as a view. */
static al_tensor *span(al_tensor *y, int d, int64_t from, int64_t n) {
  int64_t shape[AL_MAX_DIMS];
  memcpy(shape, y->shape, sizeof shape);
  shape[d] = n;
  return al_alias(y, y->ndim, shape, y->stride, y->offset + from * y->stride[d]);
}

/* An empty vector joins anything, as in PyTorch. */
static bool is_nothing(const al_tensor *t) { return t->ndim == 1 && t->shape[0] == 0; }

static int cat_forward(al_call *c) {
  al_tensor **xs = c->a[0].ts.v, *model = NULL;
  int n = c->a[0].ts.n, dim;
  int64_t shape[AL_MAX_DIMS], at = 0;
  if (n == 0) return al_fail("no tensors to join");
  for (int i = 0; i < n; i++)
    if (!model || (is_nothing(model) && !is_nothing(xs[i]))) model = xs[i];
  if (al_dim(ARG_I(1), model->ndim, &dim)) return -1;
  memcpy(shape, model->shape, sizeof shape);
  shape[dim] = 0;
  for (int i = 0; i < n; i++) {
    if (is_nothing(xs[i])) continue;
    bool fits = xs[i]->ndim == model->ndim;
    for (int d = 0; fits && d < model->ndim; d++)
      fits = d == dim || xs[i]->shape[d] == shape[d];
    if (!fits)
      return al_fail("tensor %d (%s) does not fit the first (%s) outside dim %d", i + 1,
                     al_shape_text(xs[i]->ndim, xs[i]->shape),
                     al_shape_text(model->ndim, model->shape), dim + 1);
    shape[dim] += xs[i]->shape[dim];
  }
  for (int i = 0; i < n; i++) /* halves have no place in promotion */
    if (xs[i]->dtype != model->dtype && (al_is_half(xs[i]->dtype) || al_is_half(model->dtype)))
      return al_fail("tensor %d is %s, the first %s", i + 1, al_dtype_name(xs[i]->dtype),
                     al_dtype_name(model->dtype));
  al_tensor *y = al_empty(al_promote(n, xs), model->ndim, shape);
  for (int i = 0; y && i < n; i++) {
    if (is_nothing(xs[i])) continue;
    al_tensor *part = span(y, dim, at, xs[i]->shape[dim]);
    if (!part || al_copy(part, xs[i])) return -1;
    at += xs[i]->shape[dim];
  }
  return al_ret(c, y);
}

static int cat_grad(al_back *b) {
  int dim;
  if (al_dim(b->a[1].i, b->g[0]->ndim, &dim)) return -1;
  for (int64_t i = 0, at = 1; i < b->nedges; i++) {
    int n;
    const int64_t *shape = al_edge_shape(b, (int)i, &n);
    int64_t len = n == 1 && shape[0] == 0 ? 0 : shape[dim];
    if (b->needs[i] && len > 0 && !(b->gx[i] = al_narrow(b->g[0], dim, at, len))) return -1;
    at += len;
  }
  return 0;
}

AL_OP(cat, .sig = "xs:T* dim:dim=1 -> T", .alias = "concat", .flags = AL_F_HALF,
      .doc = "Joins tensors along dim; their other sizes agree. Empty vectors are skipped.",
      .forward = cat_forward, .grad = cat_grad,
      .sample = "{{r(2,3), r(4,3)}}, {{r(2,3), r(2,1), r(2,2)}, 2}, {{r(2,3), r(2,2)}, -1}");

static int stack_forward(al_call *c) {
  al_tensor **xs = c->a[0].ts.v, **up;
  int n = c->a[0].ts.n, dim;
  if (n == 0) return al_fail("no tensors to stack");
  if (al_dim(ARG_I(1), xs[0]->ndim + 1, &dim)) return -1;
  for (int i = 1; i < n; i++)
    if (!al_same_shape(xs[i], xs[0]))
      return al_fail("tensor %d is %s, the first %s", i + 1,
                     al_shape_text(xs[i]->ndim, xs[i]->shape),
                     al_shape_text(xs[0]->ndim, xs[0]->shape));
  if (!(up = al_malloc((size_t)n * sizeof *up))) return -1;
  bool made = true;
  for (int i = 0; i < n; i++) made = (up[i] = al_unsqueeze(xs[i], dim)) && made;
  int r = made ? al_ret(c, al_cat(up, n, dim)) : -1;
  al_free(up);
  return r;
}

AL_OP(stack, .sig = "xs:T* dim:dim=1 -> T", .flags = AL_F_COMPOSITE | AL_F_HALF,
      .doc = "Joins tensors of one shape along a new dim at `dim`.", .forward = stack_forward,
      .sample = "{{r(2,3), r(2,3)}}, {{r(2,3), r(2,3), r(2,3)}, -1}");

/* ---- tile, repeat_interleave, roll ---- */

/* Dim d of x repeated k times, as a whole (blocks) or entry by entry: x as (before, [k,] size,
 * [k,] after), the new dim expanded. */
static al_tensor *repeat_dim(al_tensor *x, int d, int64_t k, bool each) {
  if (!x || k == 1) return x;
  int n = x->ndim;
  int64_t before = al_product(d, x->shape), size = x->shape[d],
          after = al_product(n - d - 1, x->shape + d + 1);
  int64_t up[] = {before, each ? size : 1, each ? 1 : size, after};
  int64_t wide[] = {before, each ? size : k, each ? k : size, after}, shape[AL_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  if (k < 0 || __builtin_mul_overflow(shape[d], k, &shape[d]))
    return al_null("%lld repeats of %lld entries are impossible", (long long)k,
                   (long long)size);
  return al_reshape(al_expand(al_reshape(x, up, 4), wide, 4), shape, n);
}

static int tile_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int n = c->a[1].ints.n, lead = n > x->ndim ? n - x->ndim : 0;
  int64_t shape[AL_MAX_DIMS];
  if (n > AL_MAX_DIMS) return al_fail("a tensor has at most %d dims", AL_MAX_DIMS);
  for (int d = 0; d < lead; d++) shape[d] = 1;
  memcpy(shape + lead, x->shape, (size_t)x->ndim * sizeof *shape);
  al_tensor *y = lead ? al_reshape(x, shape, lead + x->ndim) : x;
  for (int i = 0; i < n; i++) {
    int64_t k = c->a[1].ints.v[i];
    if (k < 0) return al_fail("repeats of dim %d are negative", i + 1);
    y = repeat_dim(y, lead + x->ndim - n + i, k, false);
  }
  return al_ret_apart(c, y);
}

AL_OP(tile, .sig = "x:T repeats:ints... -> T", .alias = "repeat", .flags = AL_F_COMPOSITE,
      .doc = "x repeated along each dim, counts aligned to the last dims; more counts than "
             "dims add leading dims.",
      .forward = tile_forward, .sample = "{r(2,3), 2, 3}, {r(3), {2, 2}}, {r(2,2), 3}");

static int repeat_interleave_forward(al_call *c) {
  int d;
  if (al_dim(ARG_I(2), ARG_T(0)->ndim, &d)) return -1;
  if (ARG_I(1) < 0) return al_fail("repeats are negative");
  return al_ret_apart(c, repeat_dim(ARG_T(0), d, ARG_I(1), true));
}

AL_OP(repeat_interleave, .sig = "x:T repeats:int dim:dim=1 -> T", .flags = AL_F_COMPOSITE,
      .doc = "Each entry of dim repeated `repeats` times: 1 1 2 2 3 3.",
      .forward = repeat_interleave_forward, .sample = "{r(2,3), 2}, {r(2,3), 3, 2}");

static al_tensor *roll_dim(al_tensor *x, int d, int64_t shift) {
  int64_t n = x ? x->shape[d] : 0;
  int64_t k = n > 0 ? ((shift % n) + n) % n : 0;
  if (k == 0) return x;
  al_tensor *parts[] = {al_narrow(x, d, n - k + 1, k), al_narrow(x, d, 1, n - k)};
  return parts[0] && parts[1] ? al_cat(parts, 2, d) : NULL;
}

static int roll_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = x;
  const int64_t flat[] = {-1}, *shift = c->a[1].ints.v;
  if (!HAS(2)) {
    if (c->a[1].ints.n != 1) return al_fail("%d shifts without dims", c->a[1].ints.n);
    y = al_reshape(roll_dim(al_reshape(x, flat, 1), 0, shift[0]), x->shape, x->ndim);
  } else if (c->a[1].ints.n != c->a[2].ints.n) {
    return al_fail("%d shifts for %d dims", c->a[1].ints.n, c->a[2].ints.n);
  } else {
    for (int i = 0, d; i < c->a[1].ints.n; i++) {
      if (al_dim(c->a[2].ints.v[i], x->ndim, &d)) return -1;
      y = roll_dim(y, d, shift[i]);
    }
  }
  return al_ret(c, y && y->storage == x->storage ? al_apply(&al_op_clone, y) : y);
}

AL_OP(roll, .sig = "x:T shifts:ints dims:dims? -> T", .flags = AL_F_COMPOSITE,
      .doc = "Moves entries by `shifts` along `dims`, what falls off one end coming in at the "
             "other; without dims over\n"
             "the flattened tensor.",
      .forward = roll_forward,
      .sample = "{r(2,3), 1}, {r(3,4), {1,-1}, {1,2}}, {r(3,4), -2, 2}");

/* ---- pad ---- */

/* Positions (from 1) that extend a dim of n entries by lo and hi entries (negative: crop). */
static al_tensor *border(int64_t n, int64_t lo, int64_t hi, const char *mode) {
  int64_t size = n + lo + hi;
  bool reflect = !strcmp(mode, "reflect"), wrap = !strcmp(mode, "circular");
  if (size < 0 || n == 0)
    return al_null("padding %lld, %lld does not fit size %lld", (long long)lo, (long long)hi,
                   (long long)n);
  if ((reflect && (lo >= n || hi >= n)) || (wrap && (lo > n || hi > n)))
    return al_null("%s padding %lld, %lld reaches beyond size %lld", mode, (long long)lo,
                   (long long)hi, (long long)n);
  al_tensor *index = al_empty(AL_INT64, 1, &size);
  int64_t *at = index ? al_data(index) : NULL;
  for (int64_t i = 0; at && i < size; i++) {
    int64_t k = i - lo;
    if (reflect) k = k < 0 ? -k : k >= n ? 2 * n - 2 - k : k;
    else if (wrap) k = (k + n) % n;
    else k = k < 0 ? 0 : k >= n ? n - 1 : k;
    at[i] = k + 1;
  }
  return index;
}

static al_tensor *pad_constant(al_tensor *x, const int64_t *lo, const int64_t *hi,
                               double value) {
  int n = x->ndim;
  int64_t start[AL_MAX_DIMS], step[AL_MAX_DIMS], keep[AL_MAX_DIMS], at[AL_MAX_DIMS],
      shape[AL_MAX_DIMS];
  bool crops = false, grows = false;
  for (int d = 0; d < n; d++) {
    start[d] = lo[d] < 0 ? -lo[d] : 0;
    keep[d] = x->shape[d] - start[d] + (hi[d] < 0 ? hi[d] : 0);
    at[d] = lo[d] > 0 ? lo[d] : 0;
    step[d] = 1;
    if (keep[d] < 0)
      return al_null("padding %lld, %lld does not fit size %lld", (long long)lo[d],
                     (long long)hi[d], (long long)x->shape[d]);
    shape[d] = keep[d] + at[d] + (hi[d] > 0 ? hi[d] : 0);
    crops = crops || lo[d] < 0 || hi[d] < 0;
    grows = grows || lo[d] > 0 || hi[d] > 0;
  }
  if (crops) x = al_apply(&al_op_slice, x, start, n, step, n, keep, n);
  return grows ? al_apply(&al_op_slice_back, x, shape, n, at, n, step, n, value) : x;
}

static int pad_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = x;
  const char *mode = c->a[2].s;
  int n = c->a[1].ints.n;
  int64_t lo[AL_MAX_DIMS] = {0}, hi[AL_MAX_DIMS] = {0};
  if (n % 2 || n / 2 > x->ndim)
    return al_fail("pads come in pairs, at most %d for x, got %d numbers", x->ndim, n);
  for (int i = 0; i < n; i++)
    if (c->a[1].ints.v[i] > 1LL << 40 || c->a[1].ints.v[i] < -(1LL << 40))
      return al_fail("pads hold %lld", (long long)c->a[1].ints.v[i]);
  for (int i = 0; i < n / 2; i++) {
    lo[x->ndim - 1 - i] = c->a[1].ints.v[2 * i];
    hi[x->ndim - 1 - i] = c->a[1].ints.v[2 * i + 1];
  }
  if (!strcmp(mode, "constant")) {
    y = pad_constant(x, lo, hi, ARG_F(3));
  } else if (!strcmp(mode, "reflect") || !strcmp(mode, "replicate") ||
             !strcmp(mode, "circular")) {
    for (int d = 0; y && d < x->ndim; d++) {
      if (lo[d] == 0 && hi[d] == 0) continue;
      al_tensor *index = border(x->shape[d], lo[d], hi[d], mode);
      y = index ? al_apply(&al_op_index_select, y, (int64_t)d, index) : NULL;
    }
  } else {
    return al_fail("mode '%s' is none of constant, reflect, replicate, circular", mode);
  }
  return al_ret_apart(c, y);
}

AL_OP(pad, .sig = "x:T pads:ints {mode:str=constant value:num=0} -> T", .flags = AL_F_COMPOSITE,
      .doc = "Pads dims by pairs (before, after), the last dim first, as PyTorch's; negative "
             "pads crop.\n"
             "mode: constant (value), reflect, replicate, circular.",
      .forward = pad_forward,
      .sample = "{r(2,3), {1,2}}, {r(2,3), {0,1,2,0}, {value=3}}, {r(2,4), {-1,2}}, {r(3,4), "
                "{2,1,1,2}, {mode='reflect'}}, "
                "{r(2,3), {2,2}, {mode='replicate'}}, {r(2,3), {1,2}, {mode='circular'}}");

/* ---- tril, triu ---- */

/* A copy of x with the entries beyond diagonal k (above it for lower) zero. */
static al_tensor *triangle(al_tensor *x, int64_t k, bool lower) {
  if (x->ndim < 2) return al_null("x has %d dims, needs 2", x->ndim);
  al_tensor *y = al_fresh_contiguous(x, (al_dtype)x->dtype);
  if (!y) return NULL;
  size_t size = al_dtype_size(x->dtype);
  int64_t rows = y->shape[y->ndim - 2], cols = y->shape[y->ndim - 1],
          all = cols ? al_numel(y) / cols : 0;
  k = k < -rows - 1 ? -rows - 1 : k > cols ? cols : k;
  for (int64_t i = 0; i < all; i++) {
    int64_t edge =
        i % rows + k + (lower ? 1 : 0); /* first column above the diagonal, or on it */
    edge = edge < 0 ? 0 : edge > cols ? cols : edge;
    char *row = (char *)al_data(y) + (size_t)(i * cols) * size;
    if (lower) memset(row + (size_t)edge * size, 0, (size_t)(cols - edge) * size);
    else memset(row, 0, (size_t)edge * size);
  }
  return y;
}

static int tril_forward(al_call *c) { return al_ret(c, triangle(ARG_T(0), ARG_I(1), true)); }
static int triu_forward(al_call *c) { return al_ret(c, triangle(ARG_T(0), ARG_I(1), false)); }
static int tril_grad(al_back *b) {
  return al_grad1(b, al_apply(&al_op_tril, b->g[0], b->a[1].i));
}
static int triu_grad(al_back *b) {
  return al_grad1(b, al_apply(&al_op_triu, b->g[0], b->a[1].i));
}

AL_OP(tril, .sig = "x:T diagonal:int=0 -> T",
      .doc = "The lower triangle of the last two dims, zero above `diagonal`.",
      .forward = tril_forward, .grad = tril_grad,
      .sample = "{r(3,4)}, {r(2,3,3), -1}, {r(3,3), 1}");
AL_OP(triu, .sig = "x:T diagonal:int=0 -> T",
      .doc = "The upper triangle of the last two dims, zero below `diagonal`.",
      .forward = triu_forward, .grad = triu_grad,
      .sample = "{r(3,4)}, {r(2,3,3), -1}, {r(3,3), 1}");
