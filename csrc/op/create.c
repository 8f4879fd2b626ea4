/* create.c: tensors out of nothing. float32 unless a dtype is given. */
#include "elementwise.h"

#include <math.h>
#include <string.h>

static al_dtype dtype_or(const al_arg *a, al_dtype d) {
  return a->given ? (al_dtype)a->dtype : d;
}

static al_tensor *filled(al_dtype d, int ndim, const int64_t *shape, double value) {
  if (value == 0) return al_zeros(d, ndim, shape);
  al_tensor *y = al_empty(d, ndim, shape), *v = al_scalar(value, d);
  return !y || !v || al_copy(y, v) ? NULL : y;
}

#define SHAPED(id, text, make)                                                         \
  static int id##_(al_call *c) {                                                       \
    const al_dtype d = dtype_or(&c->a[1], AL_FLOAT32);                                 \
    const int n = c->a[0].ints.n;                                                      \
    const int64_t *shape = c->a[0].ints.v;                                             \
    return al_ret(c, make);                                                            \
  }                                                                                    \
  AL_OP(id, .sig = "shape:ints... {dtype:dtype?} -> T", .doc = text, .forward = id##_, \
        .sample = "{3, 4}, {{2}, {dtype=\"int64\"}}", .flags = AL_F_NODIFF | AL_F_HALF);
#define LIKE(id, text, make)                                                 \
  static int id##_(al_call *c) {                                             \
    const al_tensor *x = ARG_T(0);                                           \
    const al_dtype d = dtype_or(&c->a[1], (al_dtype)x->dtype);               \
    return al_ret(c, make);                                                  \
  }                                                                          \
  AL_OP(id, .sig = "x:T {dtype:dtype?} -> T", .doc = text, .forward = id##_, \
        .sample = "{r(3,4)}, {r(2), {dtype=\"int64\"}}", .flags = AL_F_NODIFF | AL_F_HALF);

SHAPED(zeros, "A tensor of zeros.", al_zeros(d, n, shape))
SHAPED(ones, "A tensor of ones.", filled(d, n, shape, 1))
LIKE(zeros_like, "Zeros of x's shape and dtype.", al_zeros(d, x->ndim, x->shape))
LIKE(ones_like, "Ones of x's shape and dtype.", filled(d, x->ndim, x->shape, 1))

/* Their values are whatever memory holds: no sample compares them. */
static int empty(al_call *c) {
  return al_ret(c, al_empty(dtype_or(&c->a[1], AL_FLOAT32), c->a[0].ints.n, c->a[0].ints.v));
}
AL_OP(empty, .sig = "shape:ints... {dtype:dtype?} -> T",
      .doc = "A tensor whose values are whatever the memory held.", .forward = empty,
      .sample = "{0, 4}", .flags = AL_F_NODIFF | AL_F_HALF);
static int empty_like(al_call *c) {
  return al_ret(c, al_empty_like(ARG_T(0), dtype_or(&c->a[1], (al_dtype)ARG_T(0)->dtype)));
}
AL_OP(empty_like, .sig = "x:T {dtype:dtype?} -> T",
      .doc = "An uninitialised tensor of x's shape and dtype.", .forward = empty_like,
      .sample = "{r(0,4)}", .flags = AL_F_NODIFF | AL_F_HALF);

static int full(al_call *c) {
  return al_ret(
      c, filled(dtype_or(&c->a[2], AL_FLOAT32), c->a[0].ints.n, c->a[0].ints.v, ARG_F(1)));
}
AL_OP(full, .sig = "shape:ints value:num {dtype:dtype?} -> T",
      .doc = "A tensor of one value: full({2, 3}, 7).", .forward = full,
      .sample = "{{3,4}, 2.5}, {{2}, 7, {dtype=\"int64\"}}", .flags = AL_F_NODIFF | AL_F_HALF);
static int full_like(al_call *c) {
  return al_ret(c, filled(dtype_or(&c->a[2], (al_dtype)ARG_T(0)->dtype), ARG_T(0)->ndim,
                          ARG_T(0)->shape, ARG_F(1)));
}
AL_OP(full_like, .sig = "x:T value:num {dtype:dtype?} -> T",
      .doc = "One value in x's shape and dtype.", .forward = full_like,
      .sample = "{r(3,4), 2.5}", .flags = AL_F_NODIFF | AL_F_HALF);

static int fill(al_call *c) {
  al_tensor *y = c->into ? c->into : al_empty_like(ARG_T(0), (al_dtype)ARG_T(0)->dtype);
  return !y || al_copy(y, al_scalar(ARG_F(1), (al_dtype)y->dtype)) ? -1 : al_ret(c, y);
}
AL_OP(fill, .sig = "x:T value:num -> T",
      .doc = "One value in x's shape; fill_ writes it into x.", .forward = fill,
      .sample = "{r(3,4), 2.5}", .flags = AL_F_NODIFF | AL_F_HALF | AL_F_INPLACE);
static int zero(al_call *c) {
  al_tensor *y = c->into ? c->into : al_empty_like(ARG_T(0), (al_dtype)ARG_T(0)->dtype);
  return !y || al_copy(y, al_scalar(0, (al_dtype)y->dtype)) ? -1 : al_ret(c, y);
}
AL_OP(zero, .sig = "x:T -> T", .doc = "Zeros of x's shape; zero_ writes them into x.",
      .forward = zero, .sample = "{r(3,4)}", .flags = AL_F_NODIFF | AL_F_INPLACE | AL_F_HALF);
/* copy_(x, y): the one op whose in-place form is the point of it */
static int copy(al_call *c) {
  al_tensor *y = c->into ? c->into : al_empty_like(ARG_T(0), (al_dtype)ARG_T(0)->dtype);
  return !y || al_copy(y, ARG_T(1)) ? -1 : al_ret(c, y);
}
static int copy_grad(al_back *b) {
  if (b->needs[0]) b->gx[0] = NULL;
  if (b->needs[1]) b->gx[1] = b->g[0];
  return 0;
}
AL_OP(copy, .sig = "x:T y:N -> T",
      .doc = "y broadcast to x's shape, in x's dtype; copy_ writes it into x.", .forward = copy,
      .grad = copy_grad, .sample = "{r(3,4), r(4)}", .flags = AL_F_INPLACE | AL_F_HALF);

/* start + i * step, i = 0 .. n-1, computed in double (integers up to 2^53 exact) */
static al_tensor *ramp(al_dtype d, int64_t n, double start, double step) {
  al_tensor *y = al_empty(AL_FLOAT64, 1, &n);
  if (!y) return NULL;
  double *v = al_data(y);
  for (int64_t i = 0; i < n; i++) v[i] = start + (double)i * step;
  return al_to(y, d);
}

static int arange(al_call *c) {
  double a = HAS(1) ? ARG_F(0) : 1, b = HAS(1) ? ARG_F(1) : ARG_F(0), step = ARG_F(2);
  if (step == 0 || !isfinite(step)) return al_fail("step must be finite and not 0");
  if (!isfinite(a) || !isfinite(b)) return al_fail("start and stop must be finite");
  double count = floor((b - a) / step * (1 + 1e-12) + 1e-9) +
                 1; /* b is included when hit, rounding apart */
  bool whole = a == floor(a) && b == floor(b) && step == floor(step);
  if (count > 1e15) return al_fail("%g elements are too many", count);
  return al_ret(c, ramp(dtype_or(&c->a[3], whole ? AL_INT64 : AL_FLOAT32),
                        count > 0 ? (int64_t)count : 0, a, step));
}
AL_OP(arange, .sig = "start:num stop:num? step:num=1 {dtype:dtype?} -> T",
      .doc = "arange(n): 1 to n. arange(start, stop, step): from start, stop included when "
             "hit. int64 when all "
             "are whole numbers, else float32.",
      .forward = arange, .sample = "{5}, {0, 1, 0.25}, {5, 1, -2}", .flags = AL_F_NODIFF);

static int linspace(al_call *c) {
  int64_t n = ARG_I(2);
  al_dtype d = dtype_or(&c->a[3], AL_FLOAT32);
  if (n < 0) return al_fail("steps must not be negative, got %lld", (long long)n);
  al_tensor *y =
      ramp(AL_FLOAT64, n, ARG_F(0), n > 1 ? (ARG_F(1) - ARG_F(0)) / (double)(n - 1) : 0);
  if (y && n > 1) ((double *)al_data(y))[n - 1] = ARG_F(1);
  return al_ret(c, al_to(y, d));
}
AL_OP(linspace, .sig = "start:num stop:num steps:int {dtype:dtype?} -> T",
      .doc = "steps numbers at equal distances from start to stop, both included.",
      .forward = linspace, .sample = "{0, 1, 5}, {3, -3, 4, {dtype=\"float64\"}}",
      .flags = AL_F_NODIFF);

static int eye(al_call *c) {
  int64_t n = ARG_I(0), m = HAS(1) ? ARG_I(1) : n;
  if (n < 0 || m < 0) return al_fail("the sizes must not be negative");
  al_tensor *y = al_zeros(dtype_or(&c->a[2], AL_FLOAT32), 2, (int64_t[]){n, m});
  for (int64_t i = 0; y && i < n && i < m; i++) al_set(y, i * (m + 1), 1);
  return al_ret(c, y);
}
AL_OP(eye, .sig = "n:int m:int? {dtype:dtype?} -> T",
      .doc = "Ones on the diagonal of an n x m matrix (m = n), zeros elsewhere.",
      .forward = eye, .sample = "{3}, {2, 4}", .flags = AL_F_NODIFF);

static int one_hot(al_call *c) {
  al_tensor *x = ARG_T(0);
  if (al_is_float(x->dtype) || x->dtype == AL_BOOL)
    return al_fail("x must hold integers, not %s", al_dtype_name((al_dtype)x->dtype));
  if (x->ndim == AL_MAX_DIMS) return al_fail("x has %d dims already", AL_MAX_DIMS);
  al_tensor *dense = al_dense(x, AL_INT64);
  if (!dense) return -1;
  const int64_t *label = al_data(dense), n = al_numel(x);
  int64_t classes = HAS(1) ? ARG_I(1) : 0, shape[AL_MAX_DIMS];
  for (int64_t i = 0; i < n; i++) {
    if (label[i] == 0) return al_fail("indices and labels count from 1");
    if (label[i] < 0) return al_fail("label %lld is negative", (long long)label[i]);
    if (HAS(1) && label[i] > classes)
      return al_fail("label %lld is beyond the %lld classes", (long long)label[i],
                     (long long)classes);
    if (label[i] > classes) classes = label[i];
  }
  memcpy(shape, x->shape, sizeof shape);
  shape[x->ndim] = classes;
  al_tensor *y = al_zeros(dtype_or(&c->a[2], AL_INT64), x->ndim + 1, shape);
  for (int64_t i = 0; y && i < n; i++) al_set_int(y, i * classes + label[i] - 1, 1);
  return al_ret(c, y);
}
AL_OP(one_hot, .sig = "x:T classes:int? {dtype:dtype?} -> T",
      .doc = "A last dim with 1 at the label and 0 elsewhere; labels count from 1. int64 by "
             "default.",
      .forward = one_hot, .sample = "{ints(1,3,4)}, {ints(1,3,2,2), 5}", .flags = AL_F_NODIFF);
