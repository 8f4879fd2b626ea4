/* random.c: random tensors and dropout. Every element is a function of the stream's state at
 * the call and the element's position, so thread counts change nothing and dropout keeps no
 * mask. */
#include "../core/random.h"
#include "../kernel/random.h"
#include "elementwise.h"

#include <math.h>

enum { GRAIN = 1 << 14 }; /* elements a task: a multiple of the generator's group */

static al_rng *stream(const al_arg *a) {
  return a->given && a->rng ? a->rng : al_rng_default();
}

typedef enum filling { UNIFORM, NORMAL, INTEGER } filling;
typedef struct fill {
  filling kind;
  al_dtype dtype;
  al_rng from;
  void *out;
  double a, b;
  int64_t lo;
  uint64_t span;
} fill;

static void fill_piece(int64_t begin, int64_t end, void *context) {
  const fill *f = context;
  const al_random_kernels *k = &AL_SELECT(al_random);
  uint64_t key = f->from.key, at = f->from.counter;
  if (f->kind == INTEGER) k->integer_i64(key, at, begin, end, f->out, f->lo, f->span);
  else if (f->dtype == AL_FLOAT64)
    (f->kind == NORMAL ? k->normal_f64 : k->uniform_f64)(key, at, begin, end, f->out, f->a,
                                                         f->b);
  else
    (f->kind == NORMAL ? k->normal_f32 : k->uniform_f32)(key, at, begin, end, f->out,
                                                         (float)f->a, (float)f->b);
}

/* Fills t, which is float32 or float64 (int64 for INTEGER) and may be any view. */
static int fill_tensor(al_tensor *t, fill f, al_rng *r) {
  if (!t) return -1;
  if (!al_is_contiguous(t)) {
    al_tensor *dense = al_empty_like(t, (al_dtype)t->dtype);
    return fill_tensor(dense, f, r) ? -1 : al_copy(t, dense);
  }
  int64_t n = al_numel(t);
  f.dtype = (al_dtype)t->dtype;
  f.out = al_data(t);
  f.from = al_rng_take(r, f.kind == INTEGER || f.dtype == AL_FLOAT64 ? 2 * n : n);
  al_parallel(n, GRAIN, fill_piece, &f);
  return 0;
}

static int random_shape(al_call *c, filling kind, int ndim, const int64_t *shape,
                        const al_arg *dtype, const al_arg *rng, double a, double b) {
  int d = dtype && dtype->given ? dtype->dtype : AL_FLOAT32;
  if (!al_is_float(d))
    return al_fail("dtype must be float32 or float64, not %s", al_dtype_name((al_dtype)d));
  al_tensor *y = al_empty((al_dtype)d, ndim, shape);
  return fill_tensor(y, (fill){.kind = kind, .a = a, .b = b}, stream(rng)) ? -1 : al_ret(c, y);
}

static int rand_(al_call *c) {
  return random_shape(c, UNIFORM, c->a[0].ints.n, c->a[0].ints.v, &c->a[1], &c->a[2], 0, 1);
}
AL_OP(rand, .sig = "shape:ints... {dtype:dtype? generator:rng?} -> T",
      .doc = "Uniform random numbers in [0, 1).", .forward = rand_,
      .sample = "{3, 4}, {5, {dtype=\"float64\"}}", .flags = AL_F_RANDOM | AL_F_NODIFF);

static int randn(al_call *c) {
  return random_shape(c, NORMAL, c->a[0].ints.n, c->a[0].ints.v, &c->a[1], &c->a[2], 0, 1);
}
AL_OP(randn, .sig = "shape:ints... {dtype:dtype? generator:rng?} -> T",
      .doc = "Normal random numbers, mean 0, variance 1 (Box & Muller 1958).", .forward = randn,
      .sample = "{3, 4}, {5, {dtype=\"float64\"}}", .flags = AL_F_RANDOM | AL_F_NODIFF);

/* The `like` forms take x's dtype when it is floating. */
static int like(al_call *c, filling kind) {
  const al_tensor *x = ARG_T(0);
  al_arg own = {.dtype = x->dtype, .given = al_is_float(x->dtype)};
  return random_shape(c, kind, x->ndim, x->shape, HAS(1) ? &c->a[1] : &own, &c->a[2], 0, 1);
}
static int rand_like(al_call *c) { return like(c, UNIFORM); }
static int randn_like(al_call *c) { return like(c, NORMAL); }
AL_OP(rand_like, .sig = "x:T {dtype:dtype? generator:rng?} -> T",
      .doc = "rand of x's shape and dtype.", .forward = rand_like, .sample = "{r(3,4)}",
      .flags = AL_F_RANDOM | AL_F_NODIFF);
AL_OP(randn_like, .sig = "x:T {dtype:dtype? generator:rng?} -> T",
      .doc = "randn of x's shape and dtype.", .forward = randn_like, .sample = "{r(3,4)}",
      .flags = AL_F_RANDOM | AL_F_NODIFF);

static int refill(al_call *c, filling kind) {
  al_tensor *y = c->into ? c->into : al_empty_like(ARG_T(0), (al_dtype)ARG_T(0)->dtype);
  if (y && !al_is_float(y->dtype))
    return al_fail("x must be float32 or float64, not %s", al_dtype_name((al_dtype)y->dtype));
  return fill_tensor(y, (fill){.kind = kind, .a = ARG_F(1), .b = ARG_F(2)}, stream(&c->a[3]))
             ? -1
             : al_ret(c, y);
}
static int uniform(al_call *c) { return refill(c, UNIFORM); }
static int normal(al_call *c) { return refill(c, NORMAL); }
AL_OP(uniform, .sig = "x:T from:num=0 to:num=1 {generator:rng?} -> T",
      .doc = "Uniform random numbers in [from, to), of x's shape; uniform_ fills x.",
      .forward = uniform, .sample = "{r(3,4), -1, 1}",
      .flags = AL_F_RANDOM | AL_F_NODIFF | AL_F_INPLACE);
AL_OP(normal, .sig = "x:T mean:num=0 std:num=1 {generator:rng?} -> T",
      .doc = "Normal random numbers, of x's shape; normal_ fills x.", .forward = normal,
      .sample = "{r(3,4), 1, 0.1}", .flags = AL_F_RANDOM | AL_F_NODIFF | AL_F_INPLACE);

static int randint(al_call *c) {
  int64_t lo = ARG_I(0), hi = ARG_I(1);
  al_dtype d = HAS(3) ? (al_dtype)c->a[3].dtype : AL_INT64;
  if (hi < lo) return al_fail("the range %lld to %lld is empty", (long long)lo, (long long)hi);
  al_tensor *y = al_empty(AL_INT64, c->a[2].ints.n, c->a[2].ints.v);
  fill f = {.kind = INTEGER, .lo = lo, .span = (uint64_t)hi - (uint64_t)lo + 1};
  return fill_tensor(y, f, stream(&c->a[4])) ? -1 : al_ret(c, al_to(y, d));
}
AL_OP(randint, .sig = "lo:int hi:int shape:ints... {dtype:dtype? generator:rng?} -> T",
      .doc = "Random integers from lo to hi, both included, each as likely; int64 by default.",
      .forward = randint, .sample = "{1, 6, 3, 4}, {0, 1, {5}, {dtype=\"float32\"}}",
      .flags = AL_F_RANDOM | AL_F_NODIFF);

/* Fisher & Yates' shuffle, as Durstenfeld gave it (1964). */
static int randperm(al_call *c) {
  int64_t n = ARG_I(0);
  if (n < 0) return al_fail("n must not be negative, got %lld", (long long)n);
  al_tensor *y = al_empty(AL_INT64, 1, &n);
  if (!y) return -1;
  int64_t *v = al_data(y);
  al_rng *r = stream(&c->a[1]);
  for (int64_t i = 0; i < n; i++) {
    int64_t j = (int64_t)al_rng_below(r, (uint64_t)i + 1);
    v[i] = i + 1;
    int64_t t = v[j];
    v[j] = v[i], v[i] = t;
  }
  return al_ret(c, y);
}
AL_OP(randperm, .sig = "n:int {generator:rng?} -> T",
      .doc = "The integers 1 to n in random order.", .forward = randperm, .sample = "{10}",
      .flags = AL_F_RANDOM | AL_F_NODIFF);

static int bernoulli(al_call *c) {
  al_tensor *x = ARG_T(0);
  al_dtype d = al_is_float(x->dtype) ? (al_dtype)x->dtype : AL_FLOAT32;
  if (HAS(1) && !(ARG_F(1) >= 0 && ARG_F(1) <= 1))
    return al_fail("p must be in [0, 1], got %g", ARG_F(1));
  al_tensor *u = al_empty_like(x, d);
  if (fill_tensor(u, (fill){.kind = UNIFORM, .a = 0, .b = 1}, stream(&c->a[2]))) return -1;
  al_tensor *y = al_to(al_lt(u, HAS(1) ? al_number(ARG_F(1)) : x), (al_dtype)x->dtype);
  if (!c->into) return al_ret(c, y);
  return !y || al_copy(c->into, y) ? -1 : al_ret(c, c->into);
}
AL_OP(bernoulli, .sig = "x:T p:num? {generator:rng?} -> T",
      .doc = "1 with probability p, else 0, of x's shape and dtype; without p, x holds the "
             "probabilities.",
      .forward = bernoulli, .sample = "{r(3,4), 0.3}, {pos(3,4) / 2}",
      .flags = AL_F_RANDOM | AL_F_NODIFF | AL_F_INPLACE);

/* ---- dropout ---- */

typedef struct drop {
  const al_tensor *x;
  al_tensor *y;
  al_rng from;
  uint32_t threshold;
  double scale;
} drop;

static void drop_piece(int64_t begin, int64_t end, void *context) {
  const drop *d = context;
  const al_random_kernels *k = &AL_SELECT(al_random);
  if (d->x->dtype == AL_FLOAT64)
    k->dropout_f64(d->from.key, d->from.counter, begin, end, al_data(d->x), al_data(d->y),
                   d->threshold, d->scale);
  else
    k->dropout_f32(d->from.key, d->from.counter, begin, end, al_data(d->x), al_data(d->y),
                   d->threshold, (float)d->scale);
}

/* The mask of a recorded stream state, applied: linear in x, and its own gradient. */
static int dropout_mask(al_call *c) {
  al_tensor *x = al_dense(ARG_T(0), (al_dtype)ARG_T(0)->dtype),
            *y = x ? al_empty_like(x, (al_dtype)x->dtype) : NULL;
  if (!y) return -1;
  const int64_t *state = al_data(ARG_T(1));
  double keep = 1 - ARG_F(2);
  drop d = {x,
            y,
            {(uint64_t)state[0], (uint64_t)state[1]},
            (uint32_t)llrint(fmin(keep * 0x1p32, 0x1p32 - 1)),
            keep > 0 ? 1 / keep : 0};
  al_parallel(al_numel(x), GRAIN, drop_piece, &d);
  return al_ret(c, y);
}
static int dropout_mask_grad(al_back *b);
AL_OP(dropout_mask, .sig = "x:T state:T p:num -> T",
      .doc = "Dropout by the mask of a recorded generator state.", .forward = dropout_mask,
      .grad = dropout_mask_grad, .save = "state",
      .sample = "{r(3,4), t({7, 16}, {dtype=\"int64\"}), 0.4}", .flags = AL_F_HIDDEN);
static int dropout_mask_grad(al_back *b) {
  return al_grad1(b, al_apply(&al_op_dropout_mask, b->g[0], b->in[1], b->a[2].f));
}

static int dropout(al_call *c) {
  al_tensor *x = ARG_T(0);
  double p = ARG_F(1);
  if (!(p >= 0 && p <= 1)) return al_fail("p must be in [0, 1], got %g", p);
  if (!al_is_float(x->dtype))
    return al_fail("x must be floating, not %s", al_dtype_name((al_dtype)x->dtype));
  if (!ARG_B(2) || p == 0) return al_ret(c, x);
  al_rng from = al_rng_take(stream(&c->a[3]), al_numel(x));
  al_tensor *state = al_empty(AL_INT64, 1, (int64_t[]){2});
  if (!state) return -1;
  ((int64_t *)al_data(state))[0] = (int64_t)from.key;
  ((int64_t *)al_data(state))[1] = (int64_t)from.counter;
  return al_ret(c, al_apply(&al_op_dropout_mask, x, state, p));
}
AL_OP(dropout, .sig = "x:T p:num=0.5 {training:bool=true generator:rng?} -> T",
      .doc = "x with each element zeroed with probability p, the others times 1 / (1 - p); x "
             "itself when not "
             "training. The gradient makes the mask again from 16 bytes (Hinton et al. 2012).",
      .forward = dropout, .sample = "{r(3,4), 0.3, {training=false}}",
      .flags = AL_F_COMPOSITE | AL_F_RANDOM);

static int feature_dropout(al_call *c) {
  al_tensor *x = ARG_T(0);
  int64_t shape[AL_MAX_DIMS];
  if (x->ndim < 2) return al_fail("x must have a batch and a channel dim, it has %d", x->ndim);
  if (!ARG_B(2) || ARG_F(1) == 0) return al_ret(c, x);
  for (int i = 0; i < x->ndim; i++) shape[i] = i < 2 ? x->shape[i] : 1;
  al_tensor *one = al_scalar(1, (al_dtype)x->dtype),
            *ones = al_empty((al_dtype)x->dtype, x->ndim, shape);
  if (!ones || al_copy(ones, one)) return -1;
  extern al_op al_op_dropout;
  return al_ret(
      c, al_mul(x, al_apply(&al_op_dropout, ones, ARG_F(1), 1, HAS(3) ? c->a[3].rng : NULL)));
}
AL_OP(feature_dropout, .sig = "x:T p:num=0.5 {training:bool=true generator:rng?} -> T",
      .doc = "Dropout of whole channels: x is (batch, channels, ...) (Tompson et al. 2015).",
      .forward = feature_dropout, .sample = "{r(2,3,4), 0.3, {training=false}}",
      .alias = "dropout1d dropout2d dropout3d", .flags = AL_F_COMPOSITE | AL_F_RANDOM);
