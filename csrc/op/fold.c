/* fold.c: windows laid side by side: unfold (im2col) and fold, its adjoint; windows of one dim;
 * channels shuffled, or traded for space. */
#include "op.h"
#include "spatial.h"
#include <string.h>

extern al_op al_op_unfold, al_op_fold, al_op_index_select;

/* ---- unfold, fold ---- */

/* Planes of `in` and their windows, `out` of them, each of ker elements. */
typedef struct windows {
  int64_t in[3], out[3], ker[3], stride[3], pad[3], dil[3];
  char *x, *y; /* (planes, in), (planes, ker, out) */
  bool single, back;
} windows;

/* Options kernel, dilation, pad, stride at a, for n spatial dims of sizes `in`. */
static int open_windows(windows *w, int n, const int64_t *in, const al_arg *a) {
  *w = (windows){.in = {1, 1, 1},
                 .out = {1, 1, 1},
                 .ker = {1, 1, 1},
                 .stride = {1, 1, 1},
                 .dil = {1, 1, 1}};
  if (n < 1 || n > 3) return al_fail("needs 1 to 3 spatial dims, not %d", n);
  if (al_spread(a, n, 1, "kernel", w->ker) || al_spread(a + 1, n, 1, "dilation", w->dil) ||
      al_spread(a + 2, n, 0, "pad", w->pad) || al_spread(a + 3, n, 1, "stride", w->stride))
    return -1;
  for (int d = 3 - n; d < 3; d++) {
    w->in[d] = in[d - 3 + n];
    if (w->in[d] < 0 || w->in[d] > 1LL << 40)
      return al_fail("a size of %lld is not possible", (long long)w->in[d]);
    int64_t room = w->in[d] + 2 * w->pad[d] - w->dil[d] * (w->ker[d] - 1) - 1;
    if (room < 0)
      return al_fail("the window is wider than padded x (%lld)",
                     (long long)(w->in[d] + 2 * w->pad[d]));
    w->out[d] = room / w->stride[d] + 1;
  }
  return 0;
}

/* Element k of the windows in one dim: the first of them, o, that lies inside x, and one past
 * the last. */
static int64_t inside(const windows *w, int d, int64_t k, int64_t *end) {
  int64_t at = k * w->dil[d] - w->pad[d], s = w->stride[d];
  int64_t from = at < 0 ? (-at + s - 1) / s : 0;
  *end = at >= w->in[d] ? 0 : (w->in[d] - 1 - at) / s + 1;
  if (*end > w->out[d]) *end = w->out[d];
  return from;
}

/* y[i] = x[s i], or x[s i] += y[i] */
#define MOVE(T)                                                       \
  static void move_##T(int64_t n, T *x, int64_t s, T *y, bool back) { \
    if (back)                                                         \
      for (int64_t i = 0; i < n; i++) x[i * s] += y[i];               \
    else                                                              \
      for (int64_t i = 0; i < n; i++) y[i] = x[i * s];                \
  }
MOVE(float)
MOVE(double)

/* Row `k` (its coordinates in the window) of a plane's windows. */
static void move_row(const windows *w, int64_t plane, const int64_t *k, int64_t row) {
  int64_t end[3], from[3], size = w->single ? 4 : 8, n;
  for (int d = 0; d < 3; d++) from[d] = inside(w, d, k[d], end + d);
  if ((n = end[2] - from[2]) <= 0) return;
  for (int64_t a = from[0]; a < end[0]; a++)
    for (int64_t b = from[1]; b < end[1]; b++) {
      int64_t i = a * w->stride[0] - w->pad[0] + k[0] * w->dil[0],
              j = b * w->stride[1] - w->pad[1] + k[1] * w->dil[1],
              l = from[2] * w->stride[2] - w->pad[2] + k[2] * w->dil[2];
      char *x = w->x + (((plane * w->in[0] + i) * w->in[1] + j) * w->in[2] + l) * size,
           *y = w->y +
                (((plane * al_product(3, w->ker) + row) * w->out[0] + a) * w->out[1] + b) *
                    w->out[2] * size +
                from[2] * size;
      if (w->single)
        move_float(n, (float *)(void *)x, w->stride[2], (float *)(void *)y, w->back);
      else move_double(n, (double *)(void *)x, w->stride[2], (double *)(void *)y, w->back);
    }
}

static void move_planes(int64_t begin, int64_t end, void *context) {
  const windows *w = context;
  for (int64_t p = begin; p < end; p++)
    for (int64_t k[3] = {0}, row = 0; k[0] < w->ker[0]; k[0]++)
      for (k[1] = 0; k[1] < w->ker[1]; k[1]++)
        for (k[2] = 0; k[2] < w->ker[2]; k[2]++) move_row(w, p, k, row++);
}

/* Fills zeros `to` from `from`. */
static int move_all(windows *w, al_tensor *x, al_tensor *y, int64_t planes, bool back) {
  w->x = al_data(x), w->y = al_data(y);
  w->single = x->dtype == AL_FLOAT32;
  w->back = back;
  al_parallel(planes, 1 + (1 << 14) / (al_product(3, w->ker) * al_product(3, w->out) + 1),
              move_planes, w);
  return 0;
}

static int unfold_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y;
  windows w;
  if (!al_is_float(x->dtype)) return al_fail("needs a floating tensor");
  if (x->ndim < 3 || open_windows(&w, x->ndim - 2, x->shape + 2, c->a + 1))
    return x->ndim < 3 ? al_fail("x has %d dims, needs 3 to 5: (n, channels, ...)", x->ndim)
                       : -1;
  int64_t shape[] = {x->shape[0], x->shape[1] * al_product(3, w.ker), al_product(3, w.out)};
  if (!(x = al_dense(x, (al_dtype)x->dtype)) || !(y = al_zeros((al_dtype)x->dtype, 3, shape)) ||
      move_all(&w, x, y, x->shape[0] * x->shape[1], false))
    return -1;
  return al_ret(c, y);
}

#define PASS(a, from)                                                             \
  (a)[from].ints.v, (a)[from].ints.n, (a)[from + 1].ints.v, (a)[from + 1].ints.n, \
      (a)[from + 2].ints.v, (a)[from + 2].ints.n, (a)[from + 3].ints.v, (a)[from + 3].ints.n

static int unfold_grad(al_back *b) {
  int n;
  const int64_t *x = al_edge_shape(b, 0, &n);
  return al_grad1(b, al_apply(&al_op_fold, b->g[0], x + 2, n - 2, PASS(b->a, 1)));
}

AL_OP(
    unfold, .sig = "x:T kernel:ints dilation:ints=1 pad:ints=0 stride:ints=1 -> T",
    .alias = "im2col",
    .doc =
        "The windows of x (n, c, ...) as columns: (n, c kernel, windows), in PyTorch's order, "
        "over 1 to 3 spatial\n"
        "dims; zeros where a window reaches into the padding.",
    .forward = unfold_forward, .grad = unfold_grad,
    .sample = "{r(2,2,4,5), 2}, {r(1,2,5,5), {2,3}, 2, 1, {2,1}}, {r(2,3,6), 3, {stride=2}}, "
              "{r(1,1,3,3,3), 2}");

static int fold_forward(al_call *c) {
  al_tensor *y = ARG_T(0), *x;
  windows w;
  int n = c->a[1].ints.n;
  if (!al_is_float(y->dtype)) return al_fail("needs a floating tensor");
  if (open_windows(&w, n, c->a[1].ints.v, c->a + 2)) return -1;
  int64_t ker = al_product(3, w.ker), shape[AL_MAX_DIMS];
  if (y->ndim != 3 || y->shape[1] % ker || y->shape[2] != al_product(3, w.out))
    return al_fail("needs (n, channels x %lld, %lld)", (long long)ker,
                   (long long)al_product(3, w.out));
  shape[0] = y->shape[0];
  shape[1] = y->shape[1] / ker;
  memcpy(shape + 2, c->a[1].ints.v, (size_t)n * sizeof *shape);
  if (!(y = al_dense(y, (al_dtype)y->dtype)) ||
      !(x = al_zeros((al_dtype)y->dtype, n + 2, shape)) ||
      move_all(&w, x, y, shape[0] * shape[1], true))
    return -1;
  return al_ret(c, x);
}
static int fold_grad(al_back *b) {
  return al_grad1(b, al_apply(&al_op_unfold, b->g[0], PASS(b->a, 2)));
}

AL_OP(fold, .sig = "x:T size:ints kernel:ints dilation:ints=1 pad:ints=0 stride:ints=1 -> T",
      .alias = "col2im",
      .doc =
          "Columns (n, c kernel, windows) added up where unfold of a tensor of spatial `size` "
          "would take them from:\n"
          "(n, c, size). One entry of size a spatial dim.",
      .forward = fold_forward, .grad = fold_grad,
      .sample = "{r(2,8,12), {4,5}, 2}, {r(1,12,6), {5,5}, {2,3}, {dilation=2, pad=1, "
                "stride={2,2}}}, {r(2,6,2), {6}, 3, 1, 0, 2}");

/* ---- windows of one dim ---- */

static int sliding_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int64_t size = ARG_I(2), step = ARG_I(3), order[AL_MAX_DIMS];
  int d;
  if (al_dim(ARG_I(1), x->ndim, &d)) return -1;
  if (x->ndim == 0 || size < 1 || step < 1 || size > x->shape[d])
    return al_fail("windows of %lld by %lld do not fit", (long long)size, (long long)step);
  int64_t shape[] = {(x->shape[d] - size) / step + 1, size};
  al_tensor *at = al_empty(AL_INT64, 2, shape);
  int64_t *v = at ? al_data(at) : NULL;
  for (int64_t i = 0; v && i < shape[0] * size; i++) v[i] = i / size * step + i % size + 1;
  for (int i = 0; i <= x->ndim; i++) order[i] = i == x->ndim ? d + 1 : i > d ? i + 1 : i;
  return al_ret(
      c, at ? al_permute(al_apply(&al_op_index_select, x, (int64_t)d, at), order, x->ndim + 1)
            : NULL);
}
AL_OP(
    sliding_window, .sig = "x:T dim:dim size:int step:int=1 -> T", .flags = AL_F_COMPOSITE,
    .doc =
        "Windows of `size` entries of dim, `step` apart: dim counts them, a new last dim runs "
        "within. PyTorch's\n"
        "Tensor.unfold, as a copy.",
    .forward = sliding_forward, .sample = "{r(2,7), 2, 3, 2}, {r(5,2), 1, 2}");

/* ---- channels ---- */

/* (n, c r^2, h, w) <-> (n, c, h r, w r) */
static int shuffle(al_call *c, bool back) {
  static const int64_t out[] = {0, 1, 4, 2, 5, 3}, in[] = {0, 1, 3, 5, 2, 4};
  al_tensor *x = ARG_T(0);
  int64_t r = ARG_I(1), *s = x->shape;
  if (x->ndim != 4) return al_fail("x has %d dims, needs 4: (n, c, h, w)", x->ndim);
  if (r < 1 || r > INT32_MAX || (back ? s[2] % r || s[3] % r : s[1] % (r * r)))
    return al_fail("a factor of %lld does not divide x", (long long)r);
  int64_t apart[] = {s[0], back ? s[1] : s[1] / (r * r), back ? s[2] / r : r,
                     r,    back ? s[3] / r : s[2],       back ? r : s[3]};
  int64_t together[] = {s[0], back ? s[1] * r * r : s[1] / (r * r), back ? s[2] / r : s[2] * r,
                        back ? s[3] / r : s[3] * r};
  al_tensor *y = al_permute(al_reshape(x, apart, 6), back ? in : out, 6);
  return al_ret_apart(c, al_reshape(y, together, 4));
}
static int pixel_shuffle_forward(al_call *c) { return shuffle(c, false); }
static int pixel_unshuffle_forward(al_call *c) { return shuffle(c, true); }
AL_OP(pixel_shuffle, .sig = "x:T factor:int -> T", .flags = AL_F_COMPOSITE,
      .doc =
          "Channels traded for space: (n, c r^2, h, w) -> (n, c, h r, w r). Shi et al. 2016, "
          "arXiv:1609.05158.",
      .forward = pixel_shuffle_forward, .sample = "{r(2,8,3,2), 2}");
AL_OP(pixel_unshuffle, .sig = "x:T factor:int -> T", .flags = AL_F_COMPOSITE,
      .doc = "The reverse of pixel_shuffle: (n, c, h r, w r) -> (n, c r^2, h, w).",
      .forward = pixel_unshuffle_forward, .sample = "{r(2,2,6,4), 2}");

static int channel_shuffle_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int64_t g = ARG_I(1), shape[] = {0, g, 0, -1};
  if (x->ndim < 3)
    return al_fail("x has %d dims, needs at least 3: (n, channels, ...)", x->ndim);
  if (g < 1 || x->shape[1] % g)
    return al_fail("%lld groups do not divide %lld channels", (long long)g,
                   (long long)x->shape[1]);
  shape[0] = x->shape[0];
  shape[2] = x->shape[1] / g;
  shape[3] = al_product(x->ndim - 2, x->shape + 2);
  al_tensor *y = al_transpose(al_reshape(x, shape, 4), 1, 2);
  return al_ret_apart(c, al_reshape(y, x->shape, x->ndim));
}
AL_OP(channel_shuffle, .sig = "x:T groups:int -> T", .flags = AL_F_COMPOSITE,
      .doc = "Deals channels (g, c / g) out as (c / g, g): the first of each group, then the "
             "second. arXiv:1707.01083.",
      .forward = channel_shuffle_forward, .sample = "{r(2,6,3), 2}, {r(1,4,2,2), 2}");
