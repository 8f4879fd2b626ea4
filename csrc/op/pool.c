/* pool.c: max and average pooling over 1 to 3 spatial dims, adaptive and global averages. */
#include "../kernel/pool.h"
#include "op.h"
#include "spatial.h"
#include <string.h>

extern al_op al_op_max_pool_back, al_op_max_pool_pick, al_op_avg_pool, al_op_avg_pool_back,
    al_op_resample;

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

static int global_avg_forward(al_call *c) {
  static const int64_t dims[] = {2, 3, 4};
  int n = rank_of(c, ARG_T(0));
  return n < 0 ? -1 : al_ret(c, al_mean(ARG_T(0), dims, n, false));
}

AL_OP(global_avg_pool, .sig = "x:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "The mean of each channel: (n, c, ...) -> (n, c).", .forward = global_avg_forward,
      .sample = "{r(2,3,4,5)}, {r(2,3,4)}");
