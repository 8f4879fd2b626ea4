/* conv.c: convolution of 1, 2 and 3 spatial dims, its transpose, and the two gradients as ops
 * of their own.
 *
 * With v for input-shaped, u for output-shaped and w for weight-shaped tensors the three maps
 *   conv(v, w) -> u,   conv_grad_input(u, w) -> v,   conv_grad_weight(v, u) -> w
 * are the partial derivatives of one trilinear form, so the gradients of each are the other
 * two. */
#include "../kernel/conv.h"
#include "op.h"
#include "spatial.h"
#include <string.h>

extern al_op al_op_conv, al_op_conv_grad_input, al_op_conv_grad_weight, al_op_pad;

/* ---- geometry ---- */

/* Where the options start in a call, by parameter number; they come in the order stride, pad,
 * dilation, groups. */
typedef struct options {
  const al_arg *stride, *pad, *dilation, *groups;
} options;
static options options_at(const al_arg *a) { return (options){a, a + 1, a + 2, a + 3}; }

/* Fills everything but `in` and `out` from a weight shape (k, c / groups, ker...) and the
 * options. */
static int geometry(al_conv *v, int n, const int64_t *w, options o) {
  *v = (al_conv){.k = w[0],
                 .groups = o.groups->i,
                 .in = {1, 1, 1},
                 .out = {1, 1, 1},
                 .ker = {1, 1, 1},
                 .stride = {1, 1, 1},
                 .dil = {1, 1, 1}};
  if (v->groups < 1 || v->k % v->groups)
    return al_fail("%lld groups do not divide %lld channels", (long long)v->groups,
                   (long long)v->k);
  v->c = w[1] * v->groups;
  memcpy(v->ker + 3 - n, w + 2, (size_t)n * sizeof *w);
  return al_spread(o.stride, n, 1, "stride", v->stride) ||
                 al_spread(o.pad, n, 0, "pad", v->pad) ||
                 al_spread(o.dilation, n, 1, "dilation", v->dil)
             ? -1
             : 0;
}

/* Multiply-adds of the convolution, twice. */
static int64_t operations(const al_conv *v) {
  return 2 * v->n * v->k * (v->c / v->groups) * al_product(3, v->ker) * al_product(3, v->out);
}

static int64_t reach(const al_conv *v, int d) { return v->dil[d] * (v->ker[d] - 1) + 1; }

/* Number of spatial dims, from the weight; checks x's dims and the name it was called by
 * (conv2d, ...). */
static int rank_of(const al_call *c, const al_tensor *x, const al_tensor *w) {
  int n = w->ndim - 2;
  if (n < 1 || n > 3)
    return al_fail("w has %d dims, needs 3 to 5: (out, in / groups, kernel...)", w->ndim);
  const char *digit = c->called ? strpbrk(c->called, "123") : NULL;
  if (digit && *digit - '0' != n) return al_fail("w has %d spatial dims, needs %c", n, *digit);
  if (x->ndim != n + 2)
    return al_fail("x has %d dims, w (%d dims) expects as many", x->ndim, w->ndim);
  return n;
}

static al_dtype common(al_tensor *x, al_tensor *w, al_tensor *b) {
  al_tensor *all[3] = {x, w, b};
  return al_promote(b ? 3 : 2, all);
}

static bool hollow(const al_conv *v) {
  return v->n * v->c * v->k * al_product(3, v->in) * al_product(3, v->out) *
             al_product(3, v->ker) ==
         0;
}

/* Copies a bias (channels) over y (n, channels, spatial...). */
static int fill_bias(al_tensor *y, al_tensor *bias) {
  int64_t shape[AL_MAX_DIMS] = {1, y->shape[1], 1, 1, 1};
  al_tensor *b = bias ? al_reshape(bias, shape, y->ndim) : al_number(0);
  return b ? al_copy(y, b) : -1;
}

static int check_bias(const al_tensor *b, int64_t n) {
  if (b && (b->ndim != 1 || b->shape[0] != n))
    return al_fail("b needs %lld entries", (long long)n);
  return 0;
}

/* Sum of g over all but its channels. */
static al_tensor *sum_channels(al_tensor *g) {
  static const int64_t dims[] = {0, 2, 3, 4};
  return al_sum(g, dims, g->ndim - 1, false);
}

/* ---- conv ---- */

/* conv's own padding: what both sides of a dim share is the kernel's, the rest, in al_op_pad's
 * order, goes around x. */
typedef struct padding {
  al_arg options[4]; /* the call's, with the kernel's pad */
  int64_t both[3], more[6];
  bool uneven;
} padding;

/* From options a: pad is one number, one a dim, pairs (before, after) a dim, or "same", which
 * gives ceil(in / stride) outputs, an odd one padded after (TensorFlow's rule). */
static int open_padding(padding *p, int n, const int64_t *in, const int64_t *ker,
                        const al_arg *a) {
  int64_t stride[3], dil[3], lo, hi;
  const int64_t *pad = a[1].ints.v;
  bool same = a[1].ints.n == 1 && pad[0] == AL_SAME;
  memcpy(p->options, a, sizeof p->options);
  p->uneven = false;
  if (!same && a[1].ints.n != 2 * n) return 0;
  if (al_spread(a, n, 1, "stride", stride) || al_spread(a + 2, n, 1, "dilation", dil))
    return -1;
  for (int i = 0, d = 3 - n; i < n; i++, d++) {
    if (same) {
      int64_t out = (in[i] + stride[d] - 1) / stride[d],
              all = (out - 1) * stride[d] + dil[d] * (ker[i] - 1) + 1 - in[i];
      lo = all > 0 ? all / 2 : 0;
      hi = all > 0 ? all - lo : 0;
    } else if ((lo = pad[2 * i]) < 0 || (hi = pad[2 * i + 1]) < 0 || lo + hi > 1 << 30) {
      return al_fail("pad lies in 0..2^30");
    }
    p->both[i] = lo < hi ? lo : hi;
    p->more[2 * (n - 1 - i)] = lo - p->both[i];
    p->more[2 * (n - 1 - i) + 1] = hi - p->both[i];
    p->uneven = p->uneven || lo != hi;
  }
  p->options[1].ints.v = p->both;
  p->options[1].ints.n = n;
  return 0;
}
/* x with the uneven rest around it, or (back) without. */
static al_tensor *surround(const padding *p, al_tensor *x, int n, bool back) {
  int64_t more[6];
  for (int i = 0; i < 2 * n; i++) more[i] = back ? -p->more[i] : p->more[i];
  return p->uneven ? al_apply(&al_op_pad, x, more, 2 * n, "constant", 0.0) : x;
}

static int conv_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *w = ARG_T(1), *b = ARG_T(2);
  int n = rank_of(c, x, w);
  al_conv v;
  padding p;
  if (n < 0 || open_padding(&p, n, x->shape + 2, w->shape + 2, c->a + 3) ||
      geometry(&v, n, w->shape, options_at(p.options)) || check_bias(b, w->shape[0]) ||
      !(x = surround(&p, x, n, false)))
    return -1;
  if (x->shape[1] != v.c)
    return al_fail("x has %lld channels, w expects %lld", (long long)x->shape[1],
                   (long long)v.c);
  int64_t shape[AL_MAX_DIMS] = {v.n = x->shape[0], v.k};
  for (int d = 3 - n, i = 2; d < 3; d++, i++) {
    v.in[d] = x->shape[i];
    int64_t room = v.in[d] + 2 * v.pad[d] - reach(&v, d);
    if (room < 0)
      return al_fail("the kernel reaches %lld wide, padded x is %lld in dim %d",
                     (long long)reach(&v, d), (long long)(v.in[d] + 2 * v.pad[d]), i + 1);
    shape[i] = v.out[d] = room / v.stride[d] + 1;
  }
  al_dtype d = common(x, w, b);
  if (!al_is_float(d)) return al_fail("needs floating tensors");
  al_tensor *y = al_empty(d, n + 2, shape);
  if (!y) return -1;
  if (hollow(&v)) return fill_bias(y, b) ? -1 : al_ret(c, y);
  if (!(x = al_dense(x, d)) || !(w = al_dense(w, d)) || (b && !(b = al_dense(b, d)))) return -1;
  int team = al_team_begin(operations(&v));
  int r = d == AL_FLOAT32 ? AL_SELECT(al_conv).forward_f32(&v, al_data(x), al_data(w),
                                                           b ? al_data(b) : NULL, al_data(y))
                          : AL_SELECT(al_conv).forward_f64(&v, al_data(x), al_data(w),
                                                           b ? al_data(b) : NULL, al_data(y));
  return al_team_end(team, r) ? -1 : al_ret(c, y);
}

/* The options of the recorded call, passed on to another op of the family. */
#define PASS(a)                                                                             \
  (a)[0].ints.v, (a)[0].ints.n, (a)[1].ints.v, (a)[1].ints.n, (a)[2].ints.v, (a)[2].ints.n, \
      (a)[3].i

static al_tensor *input_gradient(al_tensor *g, al_tensor *w, const int64_t *spatial, int n,
                                 const al_arg *a) {
  return al_apply(&al_op_conv_grad_input, g, w, spatial, n, PASS(a));
}
static al_tensor *weight_gradient(al_tensor *x, al_tensor *g, const int64_t *kernel, int n,
                                  const al_arg *a) {
  return al_apply(&al_op_conv_grad_weight, x, g, kernel, n, PASS(a));
}
static al_tensor *plain(al_tensor *x, al_tensor *w, const al_arg *a) {
  return al_apply(&al_op_conv, x, w, (al_tensor *)NULL, PASS(a));
}

/* The same as the gradient of an input: an output_padding of a stride or more leaves room for
 * further windows, which that input does not have. */
static al_tensor *plain_like(al_back *b, int edge, al_tensor *x, al_tensor *w) {
  int n;
  const int64_t *shape = al_edge_shape(b, edge, &n);
  al_tensor *y = plain(x, w, b->a + 3);
  for (int d = 2; y && d < n; d++)
    if (y->shape[d] > shape[d]) y = al_narrow(y, d, 1, shape[d]);
  return y;
}

static int conv_grad(al_back *b) {
  int n, k;
  const int64_t *x = al_edge_shape(b, 0, &n), *w = al_edge_shape(b, 1, &k);
  int64_t size[3];
  padding p;
  if (open_padding(&p, n -= 2, x + 2, w + 2, b->a + 3)) return -1;
  for (int i = 0, j = 2 * (n - 1); i < n; i++, j -= 2)
    size[i] = x[i + 2] + (p.uneven ? p.more[j] + p.more[j + 1] : 0);
  if (b->needs[0]) {
    al_tensor *gx = input_gradient(b->g[0], b->in[1], size, n, p.options);
    if (!gx || !(b->gx[0] = surround(&p, gx, n, true))) return -1;
  }
  if (b->needs[1]) {
    al_tensor *from = surround(&p, b->in[0], n, false);
    if (!from || !(b->gx[1] = weight_gradient(from, b->g[0], w + 2, n, p.options))) return -1;
  }
  if (b->needs[2] && !(b->gx[2] = sum_channels(b->g[0]))) return -1;
  return 0;
}

AL_OP(
    conv, .sig = "x:T w:T b:T? {stride:ints=1 pad:ints=0 dilation:ints=1 groups:int=1} -> T",
    .alias = "conv1d conv2d conv3d", .save = "x/w w/x",
    .doc =
        "Convolution (cross-correlation) over the 1 to 3 spatial dims of w.\n"
        "x (n, c, ...), w (k, c / groups, kernel...), b (k) -> (n, k, ...), each spatial size\n"
        "(in + 2 pad - dilation (kernel - 1) - 1) / stride + 1, rounded down. pad: one number, "
        "one a dim,\n"
        "pairs (before, after) for each dim, \"valid\" (0), or \"same\": in / stride outputs, "
        "rounded up; an odd\n"
        "one is padded after, as TensorFlow does.",
    .forward = conv_forward, .grad = conv_grad,
    .sample =
        "{r(2,3,5,5), r(4,3,3,3), r(4), {pad=1}}, {r(2,3,6,5), r(4,3,3,2), r(4), {stride=2, "
        "pad={1,0}}}, "
        "{r(1,2,7,7), r(2,2,3,3), {dilation=2}}, {r(2,4,5,5), r(6,2,3,3), r(6), {groups=2}}, "
        "{r(2,4,5,5), r(4,1,3,3), {groups=4, pad=1}}, {r(2,3,4,4), r(5,3,1,1), r(5)}, "
        "{r(2,3,8), r(4,3,3), r(4)}, "
        "{r(1,2,4,4,4), r(3,2,3,3,3), r(3), {pad=1, stride={1,2,2}}}, {r(1,2,5,4), "
        "r(2,2,2,3), {pad='same', stride={1,2}}}, {r(1,2,3,4), r(2,2,2,2), r(2), "
        "{pad={2,0,0,1}}}, {r(1,2,4), r(2,2,3), {pad='valid'}}");

/* ---- its gradients ---- */

static int grad_input_forward(al_call *c) {
  al_tensor *g = ARG_T(0), *w = ARG_T(1);
  int n = rank_of(c, g, w);
  al_conv v;
  if (n < 0 || geometry(&v, n, w->shape, options_at(c->a + 3))) return -1;
  if (g->shape[1] != v.k)
    return al_fail("g has %lld channels, w %lld", (long long)g->shape[1], (long long)v.k);
  if (c->a[2].ints.n != n) return al_fail("size has %d entries, needs %d", c->a[2].ints.n, n);
  int64_t shape[AL_MAX_DIMS] = {v.n = g->shape[0], v.c};
  for (int d = 3 - n, i = 2; d < 3; d++, i++) {
    shape[i] = v.in[d] = c->a[2].ints.v[i - 2];
    v.out[d] = g->shape[i];
  }
  al_dtype d = common(g, w, NULL);
  if (!al_is_float(d)) return al_fail("needs floating tensors");
  al_tensor *gx = hollow(&v) ? al_zeros(d, n + 2, shape) : al_empty(d, n + 2, shape);
  if (!gx || hollow(&v)) return al_ret(c, gx);
  if (!(g = al_dense(g, d)) || !(w = al_dense(w, d))) return -1;
  int team = al_team_begin(operations(&v));
  int r = d == AL_FLOAT32
              ? AL_SELECT(al_conv).grad_input_f32(&v, al_data(g), al_data(w), al_data(gx))
              : AL_SELECT(al_conv).grad_input_f64(&v, al_data(g), al_data(w), al_data(gx));
  return al_team_end(team, r) ? -1 : al_ret(c, gx);
}
static int grad_input_grad(al_back *b) {
  int n;
  const int64_t *w = al_edge_shape(b, 1, &n);
  if (b->needs[0] && !(b->gx[0] = plain_like(b, 0, b->g[0], b->in[1]))) return -1;
  if (b->needs[1] && !(b->gx[1] = weight_gradient(b->g[0], b->in[0], w + 2, n - 2, b->a + 3)))
    return -1;
  return 0;
}

AL_OP(conv_grad_input,
      .sig = "g:T w:T size:ints stride:ints pad:ints dilation:ints groups:int -> T",
      .flags = AL_F_HIDDEN, .save = "g/w w/g",
      .doc = "Gradient of conv in x, of spatial size `size`.", .forward = grad_input_forward,
      .grad = grad_input_grad,
      .sample = "{r(2,4,3,3), r(4,3,3,3), {6,5}, {2}, {1}, {1}, 1}, {r(1,4,5), r(4,1,3), {5}, "
                "{1}, {1}, {1}, 2}");

static int grad_weight_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *g = ARG_T(1);
  int n = x->ndim - 2;
  al_conv v;
  if (n < 1 || n > 3 || g->ndim != n + 2)
    return al_fail("x has %d dims, g %d", x->ndim, g->ndim);
  if (c->a[2].ints.n != n) return al_fail("kernel has %d entries, needs %d", c->a[2].ints.n, n);
  if (ARG_I(6) < 1 || x->shape[1] % ARG_I(6))
    return al_fail("groups do not divide x's channels");
  int64_t shape[AL_MAX_DIMS] = {g->shape[1], x->shape[1] / ARG_I(6)};
  memcpy(shape + 2, c->a[2].ints.v, (size_t)n * sizeof *shape);
  if (geometry(&v, n, shape, options_at(c->a + 3))) return -1;
  v.n = x->shape[0];
  memcpy(v.in + 3 - n, x->shape + 2, (size_t)n * sizeof *v.in);
  memcpy(v.out + 3 - n, g->shape + 2, (size_t)n * sizeof *v.out);
  al_dtype d = common(x, g, NULL);
  if (!al_is_float(d)) return al_fail("needs floating tensors");
  al_tensor *gw = hollow(&v) ? al_zeros(d, n + 2, shape) : al_empty(d, n + 2, shape);
  if (!gw || hollow(&v)) return al_ret(c, gw);
  if (!(x = al_dense(x, d)) || !(g = al_dense(g, d))) return -1;
  int team = al_team_begin(operations(&v));
  int r = d == AL_FLOAT32
              ? AL_SELECT(al_conv).grad_weight_f32(&v, al_data(x), al_data(g), al_data(gw))
              : AL_SELECT(al_conv).grad_weight_f64(&v, al_data(x), al_data(g), al_data(gw));
  return al_team_end(team, r) ? -1 : al_ret(c, gw);
}
static int grad_weight_grad(al_back *b) {
  int n;
  const int64_t *x = al_edge_shape(b, 0, &n);
  if (b->needs[0] && !(b->gx[0] = input_gradient(b->in[1], b->g[0], x + 2, n - 2, b->a + 3)))
    return -1;
  if (b->needs[1] && !(b->gx[1] = plain_like(b, 1, b->in[0], b->g[0]))) return -1;
  return 0;
}

AL_OP(conv_grad_weight,
      .sig = "x:T g:T kernel:ints stride:ints pad:ints dilation:ints groups:int -> T",
      .flags = AL_F_HIDDEN, .save = "x/g g/x",
      .doc = "Gradient of conv in w, of spatial size `kernel`.", .forward = grad_weight_forward,
      .grad = grad_weight_grad,
      .sample = "{r(2,3,6,5), r(2,4,3,3), {3,3}, {2}, {1}, {1}, 1}, {r(1,4,5), r(1,4,5), {3}, "
                "{1}, {1}, {1}, 2}");

/* ---- transposed convolution ---- */

/* The gradient of a convolution whose output is x: w is laid out (channels of x, out / groups,
 * kernel...). */
static int transpose_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *w = ARG_T(1), *b = ARG_T(2);
  int n = rank_of(c, x, w);
  al_conv v;
  int64_t size[3], extra[3];
  if (n < 0 || geometry(&v, n, w->shape, options_at(c->a + 3)) || check_bias(b, v.c)) return -1;
  if (x->shape[1] != v.k)
    return al_fail("x has %lld channels, w expects %lld", (long long)x->shape[1],
                   (long long)v.k);
  if (al_spread(&c->a[7], n, 0, "output_padding", extra)) return -1;
  for (int d = 3 - n, i = 0; d < 3; d++, i++) {
    if (extra[d] >= v.stride[d] && extra[d] >= v.dil[d])
      return al_fail("output_padding must be less than stride or dilation");
    size[i] = (x->shape[i + 2] - 1) * v.stride[d] - 2 * v.pad[d] + reach(&v, d) + extra[d];
    if (size[i] < 0) return al_fail("pad leaves no output in dim %d", i + 3);
  }
  al_tensor *y = input_gradient(x, w, size, n, c->a + 3);
  if (!y || !b) return al_ret(c, y);
  int64_t shape[AL_MAX_DIMS] = {1, v.c, 1, 1, 1};
  al_call add = {.op = &al_op_add, .into = y};
  add.a[0] = (al_arg){.t = y, .given = true};
  add.a[1] = (al_arg){.t = al_reshape(b, shape, n + 2), .given = true};
  return al_invoke(&add) ? -1 : al_ret(c, y);
}
static int transpose_grad(al_back *b) {
  int n;
  const int64_t *w = al_edge_shape(b, 1, &n);
  if (b->needs[0] && !(b->gx[0] = plain_like(b, 0, b->g[0], b->in[1]))) return -1;
  if (b->needs[1] && !(b->gx[1] = weight_gradient(b->g[0], b->in[0], w + 2, n - 2, b->a + 3)))
    return -1;
  if (b->needs[2] && !(b->gx[2] = sum_channels(b->g[0]))) return -1;
  return 0;
}

AL_OP(
    conv_transpose,
    .sig = "x:T w:T b:T? {stride:ints=1 pad:ints=0 dilation:ints=1 groups:int=1 "
           "output_padding:ints=0} -> T",
    .alias = "conv_transpose1d conv_transpose2d conv_transpose3d", .save = "x/w w/x",
    .doc =
        "Transposed convolution: the gradient of conv in its input, used forwards.\n"
        "x (n, c, ...), w (c, k / groups, kernel...), b (k) -> (n, k, ...), each spatial size\n"
        "(in - 1) stride - 2 pad + dilation (kernel - 1) + output_padding + 1.",
    .forward = transpose_forward, .grad = transpose_grad,
    .sample = "{r(2,3,3,3), r(3,4,2,2), r(4), {stride=2}}, {r(1,4,3,4), r(4,2,3,3), r(4), "
              "{stride=2, pad=1, "
              "output_padding={1,0}, groups=2}}, {r(2,2,4), r(2,3,3), {dilation=2}}, "
              "{r(1,2,2,2,2), r(2,3,2,2,2), r(3), {stride=2}}");
