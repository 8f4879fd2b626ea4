/* pool.c: max and average pooling over 1 to 3 spatial dims, their adaptive and global forms. */
#include "../kernel/pool.h"
#include "op.h"
#include "spatial.h"
#include <math.h>
#include <string.h>

extern al_op al_op_max_pool_back, al_op_max_pool_pick, al_op_avg_pool, al_op_avg_pool_back,
    al_op_resample, al_op_scatter;

/* ---- geometry ---- */

/* Window of a call whose options kernel, stride, pad, dilation stand at a (dilation may be
 * NULL); spatial sizes of x given. Fills `out` by PyTorch's rule, where in ceil mode the last
 * window starts inside. */
static int window(al_pool *p, int n, const int64_t *in, const al_arg *kernel,
                  const al_arg *stride, const al_arg *pad, const al_arg *dilation,
                  bool ceil_mode) {
  *p = (al_pool){.in = {1, 1, 1},
                 .out = {1, 1, 1},
                 .ker = {1, 1, 1},
                 .stride = {1, 1, 1},
                 .dil = {1, 1, 1}};
  if (n < 1 || n > 3) return al_fail("x has %d spatial dims, needs 1 to 3", n);
  if (al_spread(kernel, n, 1, "kernel", p->ker) ||
      al_spread(stride->given ? stride : kernel, n, 1, "stride", p->stride) ||
      al_spread(pad, n, 0, "pad", p->pad) ||
      (dilation && al_spread(dilation, n, 1, "dilation", p->dil)))
    return -1;
  for (int d = 3 - n; d < 3; d++) {
    p->in[d] = in[d - 3 + n];
    if (2 * p->pad[d] > p->ker[d]) return al_fail("pad must be at most half the kernel");
    int64_t room = p->in[d] + 2 * p->pad[d] - p->dil[d] * (p->ker[d] - 1) - 1;
    if (room < 0)
      return al_fail("the window is wider than padded x (%lld)",
                     (long long)(p->in[d] + 2 * p->pad[d]));
    p->out[d] = (room + (ceil_mode ? p->stride[d] - 1 : 0)) / p->stride[d] + 1;
    if (ceil_mode && (p->out[d] - 1) * p->stride[d] >= p->in[d] + p->pad[d]) p->out[d]--;
  }
  return 0;
}

/* Spatial dims of x (planes are its leading two), checked against the name used (max_pool2d,
 * ...). */
static int rank_of(const al_call *c, const al_tensor *x) {
  const char *digit = c->called ? strpbrk(c->called, "123") : NULL;
  int n = x->ndim - 2;
  if (digit && *digit - '0' != n)
    return al_fail("x has %d dims, needs %d", x->ndim, *digit - '0' + 2);
  if (n < 1 || n > 3)
    return al_fail("x has %d dims, needs 3 to 5: (n, channels, ...)", x->ndim);
  return n;
}

static void pooled_shape(const al_tensor *x, const al_pool *p, int64_t *shape) {
  shape[0] = x->shape[0];
  shape[1] = x->shape[1];
  for (int i = 2; i < x->ndim; i++) shape[i] = p->out[3 - x->ndim + i];
}

static al_tensor *floating(al_tensor *x) {
  if (!al_is_float(x->dtype)) return al_null("needs a floating tensor");
  return al_dense(x, (al_dtype)x->dtype);
}

/* ---- max ---- */

/* Pools into out[0]; the winners' flat positions (from 0) into *at when asked. */
static int max_into(al_call *c, al_tensor **at, bool keep) {
  al_tensor *x = floating(ARG_T(0));
  al_pool p;
  int64_t shape[AL_MAX_DIMS];
  int n = x ? rank_of(c, x) : -1;
  if (n < 0 || window(&p, n, x->shape + 2, &c->a[1], &c->a[2], &c->a[3], &c->a[4], ARG_B(5)))
    return -1;
  pooled_shape(x, &p, shape);
  al_tensor *y = al_empty((al_dtype)x->dtype, n + 2, shape);
  *at = keep && y ? al_empty(AL_INT32, n + 2, shape) : NULL;
  if (!y || (keep && !*at)) return -1;
  p.planes = shape[0] * shape[1];
  int32_t *index = keep ? al_data(*at) : NULL;
  if (al_numel(y) == 0) return al_ret(c, y);
  int team = al_team_begin(al_numel(y) * al_product(3, p.ker));
  int bad = x->dtype == AL_FLOAT32
                ? AL_SELECT(al_pool).max_forward_f32(&p, al_data(x), al_data(y), index)
                : AL_SELECT(al_pool).max_forward_f64(&p, al_data(x), al_data(y), index);
  return al_team_end(team, bad) ? -1 : al_ret(c, y);
}

static int max_pool_forward(al_call *c) { return max_into(c, &c->extra[0], c->recording); }

static int max_pool_grad(al_back *b) {
  int n;
  const int64_t *x = al_edge_shape(b, 0, &n);
  return al_grad1(b, al_apply(&al_op_max_pool_back, b->g[0], b->extra[0], x + 2, n - 2));
}

#define POOL_SAMPLE                                                                         \
  "{distinct(2,3,6,6), 2}, {distinct(2,2,7,6), 3, {stride=2, pad=1}}, {distinct(1,2,7,7), " \
  "{2,3}, {dilation=2, stride=1}}, "                                                        \
  "{distinct(1,2,5,5), 2, {ceil_mode=true}}, {distinct(2,3,8), 2}, {distinct(1,2,4,4,4), 2}"

AL_OP(max_pool,
      .sig =
          "x:T kernel:ints stride:ints? {pad:ints=0 dilation:ints=1 ceil_mode:bool=false} -> T",
      .alias = "max_pool1d max_pool2d max_pool3d",
      .doc = "The largest value of each window; stride is the kernel's size by default.\n"
             "x (n, c, ...) -> (n, c, ...), each size (in + 2 pad - dilation (kernel - 1) - 1) "
             "/ stride + 1.",
      .forward = max_pool_forward, .grad = max_pool_grad, .sample = POOL_SAMPLE);

static int with_indices_forward(al_call *c) {
  al_tensor *at;
  if (max_into(c, &at, true)) return -1;
  al_tensor *index = al_fresh_contiguous(at, AL_INT64);
  if (!index) return -1;
  int64_t *v = al_data(index);
  for (int64_t i = 0, n = al_numel(index); i < n; i++) v[i]++;
  c->out[1] = index;
  if (c->recording) c->extra[0] = at;
  return 0;
}

AL_OP(
    max_pool_with_indices,
    .sig =
        "x:T kernel:ints stride:ints? {pad:ints=0 dilation:ints=1 ceil_mode:bool=false} -> T T",
    .doc = "max_pool, and the winners' positions in their plane, read row by row from 1.",
    .forward = with_indices_forward, .grad = max_pool_grad, .sample = "{distinct(2,3,6,6), 2}");

static int max_pool_back_forward(al_call *c) {
  al_tensor *g = floating(ARG_T(0)), *at = ARG_T(1);
  if (!g) return -1;
  int n = c->a[2].ints.n;
  if (g->ndim != n + 2 || !al_same_shape(g, at) || at->dtype != AL_INT32)
    return al_fail("shapes do not fit");
  al_pool p = {.planes = g->shape[0] * g->shape[1], .in = {1, 1, 1}, .out = {1, 1, 1}};
  int64_t shape[AL_MAX_DIMS] = {g->shape[0], g->shape[1]};
  for (int i = 0; i < n; i++) {
    shape[i + 2] = p.in[3 - n + i] = c->a[2].ints.v[i];
    p.out[3 - n + i] = g->shape[i + 2];
  }
  al_tensor *gx = al_empty((al_dtype)g->dtype, n + 2, shape);
  if (!gx || al_numel(gx) == 0) return al_ret(c, gx);
  int team = al_team_begin(al_numel(g) * al_product(3, p.ker));
  int bad = g->dtype == AL_FLOAT32
                ? AL_SELECT(al_pool).max_backward_f32(&p, al_data(g), al_data(at), al_data(gx))
                : AL_SELECT(al_pool).max_backward_f64(&p, al_data(g), al_data(at), al_data(gx));
  return al_team_end(team, bad) ? -1 : al_ret(c, gx);
}
static int max_pool_back_grad(al_back *b) {
  return al_grad1(b, al_apply(&al_op_max_pool_pick, b->g[0], b->in[1]));
}

AL_OP(max_pool_back, .sig = "g:T at:T size:ints -> T", .flags = AL_F_HIDDEN, .save = "at",
      .doc = "Gradient of max_pool: g put at the winners' positions `at` of planes of `size`.",
      .forward = max_pool_back_forward, .grad = max_pool_back_grad,
      .sample = "{r(1,2,2,2), ints(0,15,1,2,2,2):to('int32'), {4,4}}");

/* y = the elements of x's planes at positions `at`, 0 where a window was empty (-1). */
static int pick_forward(al_call *c) {
  al_tensor *x = floating(ARG_T(0)), *at = ARG_T(1),
            *y = x ? al_empty_like(at, (al_dtype)x->dtype) : NULL;
  if (!y) return -1;
  int64_t planes = at->shape[0] * at->shape[1], size = planes ? al_numel(x) / planes : 0,
          n = al_numel(at);
  int64_t each = planes ? n / planes : 0;
  const int32_t *k = al_data(at);
  for (int64_t i = 0; i < n; i++) {
    int64_t from = i / each * size + k[i];
    if (x->dtype == AL_FLOAT32)
      ((float *)al_data(y))[i] = k[i] < 0 ? 0 : ((float *)al_data(x))[from];
    else ((double *)al_data(y))[i] = k[i] < 0 ? 0 : ((double *)al_data(x))[from];
  }
  return al_ret(c, y);
}
static int pick_grad(al_back *b) {
  int n;
  const int64_t *x = al_edge_shape(b, 0, &n);
  return al_grad1(b, al_apply(&al_op_max_pool_back, b->g[0], b->in[1], x + 2, n - 2));
}

AL_OP(max_pool_pick, .sig = "x:T at:T -> T", .flags = AL_F_HIDDEN, .save = "at",
      .doc = "Gradient of max_pool_back: x at the winners' positions.", .forward = pick_forward,
      .grad = pick_grad, .sample = "{r(1,2,4,4), ints(0,15,1,2,2,2):to('int32')}");

/* ---- average ---- */

static int avg_pool_forward(al_call *c) {
  al_tensor *x = floating(ARG_T(0));
  al_pool p;
  int64_t shape[AL_MAX_DIMS];
  int n = x ? rank_of(c, x) : -1;
  if (n < 0 || window(&p, n, x->shape + 2, &c->a[1], &c->a[2], &c->a[3], NULL, ARG_B(4)))
    return -1;
  pooled_shape(x, &p, shape);
  p.planes = shape[0] * shape[1];
  p.count_include_pad = ARG_B(5);
  al_tensor *y = al_empty((al_dtype)x->dtype, n + 2, shape);
  if (!y || al_numel(y) == 0) return al_ret(c, y);
  int team = al_team_begin(al_numel(y) * al_product(3, p.ker));
  int bad = x->dtype == AL_FLOAT32
                ? AL_SELECT(al_pool).avg_forward_f32(&p, al_data(x), al_data(y))
                : AL_SELECT(al_pool).avg_forward_f64(&p, al_data(x), al_data(y));
  return al_team_end(team, bad) ? -1 : al_ret(c, y);
}

static int avg_pool_grad(al_back *b) {
  int n;
  const int64_t *x = al_edge_shape(b, 0, &n);
  const al_arg *a = b->a, *stride = a[2].given ? a + 2 : a + 1;
  return al_grad1(b, al_apply(&al_op_avg_pool_back, b->g[0], x + 2, n - 2, a[1].ints.v,
                              a[1].ints.n, stride->ints.v, stride->ints.n, a[3].ints.v,
                              a[3].ints.n, (int)a[4].b, (int)a[5].b));
}

AL_OP(avg_pool,
      .sig = "x:T kernel:ints stride:ints? {pad:ints=0 ceil_mode:bool=false "
             "count_include_pad:bool=true} -> T",
      .alias = "avg_pool1d avg_pool2d avg_pool3d",
      .doc = "The mean of each window; stride is the kernel's size by default. Padding counts "
             "as zeros, or not at all\n"
             "with count_include_pad = false.",
      .forward = avg_pool_forward, .grad = avg_pool_grad,
      .sample = "{r(2,3,6,6), 2}, {r(2,2,7,6), 3, {stride=2, pad=1}}, {r(1,2,5,5), 2, "
                "{ceil_mode=true}}, "
                "{r(1,2,5,5), 3, {pad=1, count_include_pad=false}}, {r(2,3,8), 2}, "
                "{r(1,2,4,4,4), {2,1,2}}");

static int avg_pool_back_forward(al_call *c) {
  al_tensor *g = floating(ARG_T(0));
  al_pool p;
  int n = c->a[1].ints.n;
  if (!g || window(&p, n, c->a[1].ints.v, &c->a[2], &c->a[3], &c->a[4], NULL, ARG_B(5)))
    return -1;
  int64_t shape[AL_MAX_DIMS] = {g->shape[0], g->shape[1]};
  for (int i = 0; i < n; i++) {
    shape[i + 2] = p.in[3 - n + i];
    if (g->ndim != n + 2 || g->shape[i + 2] != p.out[3 - n + i])
      return al_fail("g does not fit the window");
  }
  p.planes = shape[0] * shape[1];
  p.count_include_pad = ARG_B(6);
  al_tensor *gx = al_empty((al_dtype)g->dtype, n + 2, shape);
  if (!gx || al_numel(gx) == 0) return al_ret(c, gx);
  int team = al_team_begin(al_numel(g) * al_product(3, p.ker));
  int bad = g->dtype == AL_FLOAT32
                ? AL_SELECT(al_pool).avg_backward_f32(&p, al_data(g), al_data(gx))
                : AL_SELECT(al_pool).avg_backward_f64(&p, al_data(g), al_data(gx));
  return al_team_end(team, bad) ? -1 : al_ret(c, gx);
}
static int avg_pool_back_grad(al_back *b) {
  const al_arg *a = b->a;
  return al_grad1(b, al_apply(&al_op_avg_pool, b->g[0], a[2].ints.v, a[2].ints.n, a[3].ints.v,
                              a[3].ints.n, a[4].ints.v, a[4].ints.n, (int)a[5].b, (int)a[6].b));
}

AL_OP(avg_pool_back,
      .sig = "g:T size:ints kernel:ints stride:ints pad:ints ceil_mode:bool "
             "count_include_pad:bool -> T",
      .flags = AL_F_HIDDEN, .doc = "Gradient of avg_pool for planes of `size`.",
      .forward = avg_pool_back_forward, .grad = avg_pool_back_grad,
      .sample = "{r(2,3,3,3), {6,6}, {2}, {2}, {0}, false, true}");

/* ---- adaptive, global ---- */

/* Sizes that divide are an ordinary pool; else each dim is averaged on its own (the mean over a
 * box is the mean of means, all boxes of one output being of one size a dim). */
static int adaptive_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int n = rank_of(c, x);
  int64_t size[3] = {1, 1, 1}, kernel[3];
  bool even = true;
  if (n < 0 || al_spread(&c->a[1], n, 1, "size", size)) return -1;
  for (int i = 0; i < n; i++) {
    int64_t in = x->shape[i + 2], out = size[3 - n + i];
    even = even && in % out == 0 && in > 0;
    kernel[i] = in / out;
  }
  static const int64_t none[] = {0};
  if (even) return al_ret(c, al_apply(&al_op_avg_pool, x, kernel, n, kernel, n, none, 1, 0, 1));
  for (int i = 0; x && i < n; i++)
    x = al_apply(&al_op_resample, x, (int64_t)i + 2, size[3 - n + i], "area", 0, 0);
  return al_ret(c, x);
}

AL_OP(adaptive_avg_pool, .sig = "x:T size:ints -> T",
      .alias = "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d",
      .flags = AL_F_COMPOSITE,
      .doc = "Means of boxes that tile x into `size`: output i covers floor(i in / out) .. "
             "ceil((i + 1) in / out) - 1.",
      .forward = adaptive_forward,
      .sample = "{r(2,3,6,6), 2}, {r(2,3,5,7), {2,3}}, {r(2,3,6,4), 1}, {r(1,2,5), 3}");

/* What adaptive maxima read: planes of x, positions of the winners. */
typedef struct boxes {
  const void *x;
  bool single;
  int64_t in[3], out[3];
  int32_t *at;
} boxes;

static double at_position(const boxes *q, int64_t i) {
  return q->single ? (double)((const float *)q->x)[i] : ((const double *)q->x)[i];
}

/* The first largest element, or the last NaN, of output o's box in a plane. */
static int64_t winner(const boxes *q, int64_t plane, const int64_t *o) {
  int64_t from[3], to[3], best = -1, first = plane * al_product(3, q->in);
  for (int d = 0; d < 3; d++) {
    from[d] = o[d] * q->in[d] / q->out[d];
    to[d] = ((o[d] + 1) * q->in[d] + q->out[d] - 1) / q->out[d];
  }
  double top = 0;
  for (int64_t i = from[0]; i < to[0]; i++)
    for (int64_t j = from[1]; j < to[1]; j++)
      for (int64_t k = from[2]; k < to[2]; k++) {
        int64_t p = (i * q->in[1] + j) * q->in[2] + k;
        double v = at_position(q, first + p);
        if (best < 0 || v > top || v != v) best = p, top = v;
      }
  return best;
}

static void winners(int64_t begin, int64_t end, void *context) {
  const boxes *q = context;
  int32_t *at = q->at + begin * al_product(3, q->out);
  for (int64_t p = begin; p < end; p++)
    for (int64_t o[3] = {0}; o[0] < q->out[0]; o[0]++)
      for (o[1] = 0; o[1] < q->out[1]; o[1]++)
        for (o[2] = 0; o[2] < q->out[2]; o[2]++) *at++ = (int32_t)winner(q, p, o);
}

/* Positions (from 0) of the largest elements of the boxes, int32. */
static al_tensor *adaptive_winners(al_call *c) {
  al_tensor *x = floating(ARG_T(0)), *at;
  int n = x ? rank_of(c, x) : -1;
  boxes q = {.in = {1, 1, 1}, .out = {1, 1, 1}};
  if (n < 0 || al_spread(&c->a[1], n, 1, "size", q.out)) return NULL;
  int64_t shape[AL_MAX_DIMS] = {x->shape[0], x->shape[1]};
  for (int i = 0; i < n; i++) {
    q.in[3 - n + i] = x->shape[i + 2];
    shape[i + 2] = q.out[3 - n + i];
    if (x->shape[i + 2] < 1) return al_null("x is empty in dim %d", i + 3);
  }
  if (!(at = al_empty(AL_INT32, n + 2, shape))) return NULL;
  q.x = al_data(x), q.single = x->dtype == AL_FLOAT32, q.at = al_data(at);
  al_parallel(shape[0] * shape[1], 1 + (1 << 14) / al_product(3, q.in), winners, &q);
  return at;
}

static int adaptive_max_forward(al_call *c) {
  al_tensor *at = adaptive_winners(c);
  return al_ret(c, at ? al_apply(&al_op_max_pool_pick, ARG_T(0), at) : NULL);
}
static int adaptive_indices_forward(al_call *c) {
  al_tensor *at = adaptive_winners(c);
  c->out[1] = at ? al_add(al_to(at, AL_INT64), al_integer(1)) : NULL;
  return c->out[1] ? al_ret(c, al_apply(&al_op_max_pool_pick, ARG_T(0), at)) : -1;
}

AL_OP(
    adaptive_max_pool, .sig = "x:T size:ints -> T",
    .alias = "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d",
    .flags = AL_F_COMPOSITE,
    .doc = "The largest values of the boxes of adaptive_avg_pool: (n, c, ...) -> (n, c, size).",
    .forward = adaptive_max_forward,
    .sample = "{distinct(2,3,6,6), 2}, {distinct(2,3,5,7), {2,3}}, {distinct(1,2,5), 3}, "
              "{distinct(1,2,3,4,5), {2,3,2}}");
AL_OP(
    adaptive_max_pool_with_indices, .sig = "x:T size:ints -> T T", .flags = AL_F_COMPOSITE,
    .doc =
        "adaptive_max_pool, and the winners' positions in their plane, read row by row from 1.",
    .forward = adaptive_indices_forward, .sample = "{distinct(2,3,5,7), {2,3}}");

/* ---- undone maxima, powers ---- */

static int unpool_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *at = ARG_T(1);
  int n = rank_of(c, x);
  const al_arg *step = HAS(3) ? &c->a[3] : &c->a[2];
  int64_t ker[3], stride[3], pad[3], size[3], shape[AL_MAX_DIMS], flat[] = {0, 0, -1};
  if (n < 0 || al_spread(&c->a[2], n, 1, "kernel", ker) ||
      al_spread(step, n, 1, "stride", stride) || al_spread(&c->a[4], n, 0, "pad", pad) ||
      (HAS(5) && al_spread(&c->a[5], n, 1, "size", size)))
    return -1;
  if (!al_same_shape(x, at)) return al_fail("indices need x's shape");
  for (int i = 0; i < n + 2; i++) {
    int d = 1 - n + i;
    shape[i] = i < 2    ? (flat[i] = x->shape[i])
               : HAS(5) ? size[d]
                        : (x->shape[i] - 1) * stride[d] - 2 * pad[d] + ker[d];
    if (shape[i] < 0) return al_fail("pad leaves no output in dim %d", i + 1);
  }
  int64_t plane[] = {flat[0], flat[1], al_product(n, shape + 2)};
  al_tensor *zero = al_zeros((al_dtype)x->dtype, 3, plane);
  if (al_numel(x) == 0) return al_ret(c, al_reshape(zero, shape, n + 2));
  al_tensor *y = al_apply(&al_op_scatter, zero, (int64_t)2, al_reshape(at, flat, 3),
                          al_reshape(x, flat, 3));
  return al_ret(c, al_reshape(y, shape, n + 2));
}
AL_OP(max_unpool, .sig = "x:T indices:T kernel:ints stride:ints? {pad:ints=0 size:ints?} -> T",
      .alias = "max_unpool1d max_unpool2d max_unpool3d", .flags = AL_F_COMPOSITE,
      .doc =
          "Zeros but for x at `indices`, as max_pool_with_indices gives them: undoes max_pool "
          "of the same options.\n"
          "size: of the result's spatial dims, (in - 1) stride - 2 pad + kernel by default.",
      .forward = unpool_forward,
      .sample = "{r(1,2,2), t({{{1,4},{2,3}}}, {dtype='int64'}), 2}, {r(1,1,1,2), "
                "t({{{{5,3}}}}, {dtype='int64'}), 2, 1, {pad=0, "
                "size={3,3}}}");

/* (sum over a window of x^p)^(1/p): the mean times the elements a full window has */
static int lp_pool_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int n = rank_of(c, x);
  double p = ARG_F(1);
  int64_t ker[3] = {1, 1, 1}, none[] = {0};
  const al_arg *k = &c->a[2], *s = HAS(3) ? &c->a[3] : k;
  if (n < 0 || al_spread(k, n, 1, "kernel", ker)) return -1;
  al_tensor *y = al_apply(&al_op_avg_pool, al_pow(x, al_number(p)), k->ints.v, k->ints.n,
                          s->ints.v, s->ints.n, none, 1, (int)ARG_B(4), 1);
  y = al_mul_num(y, (double)al_product(n, ker + 3 - n));
  /* the root's slope at 0 has no bound: as PyTorch, no gradient there */
  al_tensor *zero = al_eq(y, al_number(0)), *safe = al_where(zero, al_number(1), y);
  return al_ret(
      c, al_where(zero, al_number(p > 0 ? 0 : INFINITY), al_pow(safe, al_number(1 / p))));
}
AL_OP(lp_pool, .sig = "x:T p:num kernel:ints stride:ints? {ceil_mode:bool=false} -> T",
      .alias = "lp_pool1d lp_pool2d lp_pool3d", .flags = AL_F_COMPOSITE,
      .doc = "(sum of x^p over each window)^(1/p); stride is the kernel's size by default.",
      .forward = lp_pool_forward,
      .sample = "{pos(2,3,6), 3, 2}, {pos(1,2,5,5), 2, {2,3}, 2, {ceil_mode=true}}");

static int global_avg_forward(al_call *c) {
  static const int64_t dims[] = {2, 3, 4};
  int n = rank_of(c, ARG_T(0));
  return n < 0 ? -1 : al_ret(c, al_mean(ARG_T(0), dims, n, false));
}

AL_OP(global_avg_pool, .sig = "x:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "The mean of each channel: (n, c, ...) -> (n, c).", .forward = global_avg_forward,
      .sample = "{r(2,3,4,5)}, {r(2,3,4)}");

static int global_max_forward(al_call *c) {
  static const int64_t dims[] = {2, 3, 4};
  extern al_op al_op_amax;
  int n = rank_of(c, ARG_T(0));
  return n < 0 ? -1 : al_ret(c, al_apply(&al_op_amax, ARG_T(0), dims, n, 0));
}

AL_OP(global_max_pool, .sig = "x:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "The largest value over the spatial dims of x (n, c, ...), as (n, c).",
      .forward = global_max_forward, .sample = "{distinct(2,3,4)}, {distinct(1,2,3,4)}");
