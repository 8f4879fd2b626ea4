/* resample.c: resizing by separable filters, one dim at a time: nearest, linear, cubic, area,
 * antialiased. Along a dim the result is a sparse matrix times x; the gradient is its
 * transpose, so both are ops. */
#include "../kernel/resample.h"
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_resample, al_op_resample_back;

/* ---- the filter ---- */

/* Output i is the sum of weight[i * width + t] x[start[i] + t], t < count[i]. */
typedef struct taps {
  int64_t in, out, width;
  int64_t *start, *count;
  double *weight;
} taps;

static double triangle_at(double t) { return fabs(t) < 1 ? 1 - fabs(t) : 0; }

/* Keys' cubic convolution kernel (IEEE Trans. ASSP 29(6), 1981) with parameter a. */
static double cubic_at(double t, double a) {
  t = fabs(t);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

/* Adds weight w at position k of x, clamped into it, to output i. */
static void add_tap(taps *f, int64_t i, int64_t k, double w) {
  k = k < 0 ? 0 : k >= f->in ? f->in - 1 : k;
  if (f->count[i] == 0) f->start[i] = k;
  int64_t t = k - f->start[i];
  if (t >= f->count[i]) f->count[i] = t + 1;
  f->weight[i * f->width + t] += w;
}

/* Widened by the scale when shrinking, as an antialiasing filter, and normalised. */
static void wide_taps(taps *f, int64_t i, double scale, bool cubic) {
  double stretch = scale > 1 ? scale : 1, support = (cubic ? 2 : 1) * stretch,
         centre = ((double)i + 0.5) * scale, sum = 0;
  int64_t lo = (int64_t)floor(centre - support + 0.5),
          hi = (int64_t)floor(centre + support + 0.5);
  if (lo < 0) lo = 0;
  if (hi > f->in) hi = f->in;
  for (int64_t k = lo; k < hi; k++) {
    double t = ((double)k - centre + 0.5) / stretch,
           w = cubic ? cubic_at(t, -0.5) : triangle_at(t);
    add_tap(f, i, k, w);
    sum += w;
  }
  for (int64_t t = 0; t < f->count[i]; t++) f->weight[i * f->width + t] /= sum;
}

enum { NEAREST, LINEAR, CUBIC, AREA };
static int mode_of(const char *s) {
  static const char *const names[] = {"nearest", "linear", "cubic", "area"};
  for (int i = 0; i < 4; i++)
    if (s && !strcmp(s, names[i])) return i;
  return al_fail("mode '%s' is none of nearest, linear, cubic, area", s ? s : "");
}

static void fill_taps(taps *f, int mode, bool align, bool antialias) {
  double in = (double)f->in, out = (double)f->out, scale = in / out;
  for (int64_t i = 0; i < f->out; i++) {
    double x = (double)i;
    if (mode == AREA) {
      int64_t lo = i * f->in / f->out, hi = ((i + 1) * f->in + f->out - 1) / f->out;
      for (int64_t k = lo; k < hi; k++) add_tap(f, i, k, 1.0 / (double)(hi - lo));
    } else if (mode == NEAREST) {
      add_tap(f, i, (int64_t)floor(x * scale), 1);
    } else if (antialias) {
      wide_taps(f, i, scale, mode == CUBIC);
    } else {
      double at = align ? (f->out > 1 ? x * (in - 1) / (out - 1) : 0) : (x + 0.5) * scale - 0.5;
      if (mode == LINEAR && at < 0) at = 0;
      int64_t k = (int64_t)floor(at);
      double t = at - (double)k;
      if (mode == LINEAR) {
        add_tap(f, i, k, 1 - t);
        if (t > 0) add_tap(f, i, k + 1, t);
      } else {
        for (int64_t j = -1; j <= 2; j++) add_tap(f, i, k + j, cubic_at(t - (double)j, -0.75));
      }
    }
  }
}

/* Table of zeros for `out` outputs of at most `width` taps, in tensors of the open frame. */
static int room_for(taps *f, int64_t in, int64_t out, int64_t width) {
  int64_t two[] = {2, out}, all[] = {out, width};
  al_tensor *spans = al_zeros(AL_INT64, 2, two), *weights = al_zeros(AL_FLOAT64, 2, all);
  if (!spans || !weights) return -1;
  *f =
      (taps){in, out, width, al_data(spans), (int64_t *)al_data(spans) + out, al_data(weights)};
  return 0;
}

/* The table for `in` -> `out` entries. */
static int make_taps(taps *f, int64_t in, int64_t out, const char *mode, bool align,
                     bool antialias) {
  int m = mode_of(mode);
  if (m < 0) return -1;
  if (in < 1 || out < 1 || in > INT32_MAX || out > INT32_MAX)
    return al_fail("sizes must be at least 1, got %lld to %lld", (long long)in, (long long)out);
  double ratio = in > out ? (double)in / (double)out : 1;
  if (room_for(f, in, out, (int64_t)ceil(ratio * (m == CUBIC ? 4 : 2)) + 3)) return -1;
  fill_taps(f, m, align, antialias);
  return 0;
}

/* The transposed table: outputs of f that read an input follow one another. */
static int transpose_taps(const taps *f, taps *to) {
  taps span;
  if (room_for(&span, f->out, f->in, 1)) return -1;
  int64_t width = 1;
  for (int64_t i = 0; i < f->out; i++)
    for (int64_t j = f->start[i]; j < f->start[i] + f->count[i]; j++) {
      if (span.count[j] == 0) span.start[j] = i;
      span.count[j] = i - span.start[j] + 1;
      if (span.count[j] > width) width = span.count[j];
    }
  if (room_for(to, f->out, f->in, width)) return -1;
  to->start = span.start;
  to->count = span.count;
  for (int64_t i = 0; i < f->out; i++)
    for (int64_t t = 0; t < f->count[i]; t++) {
      int64_t j = f->start[i] + t;
      to->weight[j * width + i - span.start[j]] += f->weight[i * f->width + t];
    }
  return 0;
}

/* The table as the kernel wants it: taps of all outputs side by side, no wider than needed. */
static int make_filter(const taps *f, al_dtype d, al_filter *to) {
  int64_t width = 1;
  for (int64_t i = 0; i < f->out; i++) width = f->count[i] > width ? f->count[i] : width;
  int64_t table[] = {width, f->out};
  al_tensor *index = al_zeros(AL_INT32, 2, table), *weight = al_zeros(d, 2, table);
  al_tensor *count = al_empty(AL_INT32, 1, &f->out);
  if (!index || !weight || !count) return -1;
  int32_t *at = al_data(index), *n = al_data(count);
  for (int64_t i = 0; i < f->out; i++) {
    n[i] = (int32_t)f->count[i];
    for (int64_t t = 0; t < f->count[i]; t++) {
      at[t * f->out + i] = (int32_t)(f->start[i] + t);
      al_set(weight, t * f->out + i, f->weight[i * f->width + t]);
    }
  }
  *to = (al_filter){f->in, f->out, width, at, n, al_data(weight)};
  return 0;
}

/* ---- applying it ---- */

typedef struct job {
  const al_filter *f;
  int64_t inner;
  const void *from;
  void *to;
  bool single;
} job;

/* x as (outer, in, inner) -> y (outer, out, inner): the outer entries [begin, end). */
static void apply_piece(int64_t begin, int64_t end, void *arg) {
  const job *j = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t x = i * j->f->in * j->inner, y = i * j->f->out * j->inner;
    if (j->single)
      AL_SELECT(al_resample)
          .apply_f32(j->f, j->inner, (const float *)j->from + x, (float *)j->to + y);
    else
      AL_SELECT(al_resample)
          .apply_f64(j->f, j->inner, (const double *)j->from + x, (double *)j->to + y);
  }
}

/* Resizes dim of x from its size to `size` (or back: from the filter's output to its input,
 * `size`). */
static int along(al_call *c, bool back) {
  al_tensor *x = ARG_T(0);
  int d;
  int64_t shape[AL_MAX_DIMS], size = ARG_I(2);
  taps f, transposed;
  al_filter filter;
  al_dtype dtype = (al_dtype)x->dtype;
  if (!al_is_float(dtype)) return al_fail("needs a floating tensor");
  if (al_dim(ARG_I(1), x->ndim, &d)) return -1;
  int64_t in = back ? size : x->shape[d], out = back ? x->shape[d] : size;
  if (make_taps(&f, in, out, c->a[3].s, ARG_B(4), ARG_B(5))) return -1;
  if (back && transpose_taps(&f, &transposed)) return -1;
  if (make_filter(back ? &transposed : &f, dtype, &filter)) return -1;
  memcpy(shape, x->shape, sizeof shape);
  shape[d] = size;
  al_tensor *y = al_empty(dtype, x->ndim, shape);
  if (!(x = al_dense(x, dtype)) || !y) return -1;
  int64_t inner = al_product(x->ndim - d - 1, shape + d + 1);
  job j = {&filter, inner, al_data(x), al_data(y), dtype == AL_FLOAT32};
  int64_t work = (in + out) * inner * filter.width + 1;
  al_parallel(inner ? al_product(d, shape) : 0, 1 + (1 << 15) / work, apply_piece, &j);
  return al_ret(c, y);
}

static al_tensor *again(al_op *op, al_back *b) {
  int n, d;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  if (al_dim(b->a[1].i, n, &d)) return NULL;
  return al_apply(op, b->g[0], (int64_t)d, shape[d], b->a[3].s, (int)b->a[4].b, (int)b->a[5].b);
}
static int resample_forward(al_call *c) { return along(c, false); }
static int resample_grad(al_back *b) { return al_grad1(b, again(&al_op_resample_back, b)); }
static int resample_back_forward(al_call *c) { return along(c, true); }
static int resample_back_grad(al_back *b) { return al_grad1(b, again(&al_op_resample, b)); }

#define MODES                                                                                  \
  "{r(2,5,3), 2, 8, 'linear', false, false}, {r(2,5,3), 2, 3, 'cubic', false, false}, "        \
  "{r(2,7), 2, 3, 'area', false, false}, "                                                     \
  "{r(7,2), 1, 3, 'linear', false, true}, {r(2,4), 2, 6, 'linear', true, false}, {r(2,4), 2, " \
  "6, 'nearest', false, false}"
AL_OP(resample, .sig = "x:T dim:dim size:int mode:str align:bool antialias:bool -> T",
      .flags = AL_F_HIDDEN, .doc = "x resized along one dim; see interpolate.",
      .forward = resample_forward, .grad = resample_grad, .sample = MODES);
AL_OP(resample_back, .sig = "g:T dim:dim size:int mode:str align:bool antialias:bool -> T",
      .flags = AL_F_HIDDEN, .doc = "The transpose of resample, back to `size` entries.",
      .forward = resample_back_forward, .grad = resample_back_grad, .sample = MODES);

/* ---- interpolate ---- */

static const char *plain_mode(const char *s) {
  if (!strcmp(s, "bilinear") || !strcmp(s, "trilinear")) return "linear";
  return !strcmp(s, "bicubic") ? "cubic" : s;
}

static int interpolate_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = x;
  int n = x->ndim - 2;
  const char *mode = plain_mode(c->a[3].s);
  if (n < 1) return al_fail("x has %d dims, needs at least 3: (n, channels, ...)", x->ndim);
  if (HAS(1) == HAS(2)) return al_fail("give either size or scale");
  if (HAS(1) && c->a[1].ints.n != 1 && c->a[1].ints.n != n)
    return al_fail("size has %d entries, needs 1 or %d", c->a[1].ints.n, n);
  if (mode_of(mode) < 0) return -1;
  /* What shrinks goes first, leading dims before the last; what grows goes from the last. */
  for (int grow = 0; grow < 2; grow++)
    for (int k = 2; y && k < x->ndim; k++) {
      int d = grow ? x->ndim + 1 - k : k;
      int64_t in = x->shape[d];
      int64_t out = HAS(1) ? c->a[1].ints.v[c->a[1].ints.n == 1 ? 0 : d - 2]
                           : (int64_t)floor((double)in * ARG_F(2));
      if ((out >= in) == (grow == 1) && out != in)
        y = al_apply(&al_op_resample, y, (int64_t)d, out, mode, (int)ARG_B(4), (int)ARG_B(5));
    }
  return al_ret(c, y == x ? al_apply(&al_op_clone, x) : y);
}

AL_OP(interpolate,
      .sig = "x:T size:ints? {scale:num? mode:str=nearest align_corners:bool=false "
             "antialias:bool=false} -> T",
      .alias = "upsample", .flags = AL_F_COMPOSITE,
      .doc = "Resizes the spatial dims of x (n, c, ...) to `size`, or by the factor `scale`.\n"
             "mode: nearest, bilinear (linear, trilinear), bicubic, area (box means); "
             "antialias widens the filter when\n"
             "shrinking. Pixel centres as in PyTorch: corners of the outermost pixels align, "
             "or their centres with\n"
             "align_corners.",
      .forward = interpolate_forward,
      .sample = "{r(1,2,4,5), {7,3}, {mode='bilinear'}}, {r(1,2,4,4), {scale=2}}, {r(1,2,5,4), "
                "{3,6}, {mode='bicubic'}}, "
                "{r(1,2,6,5), 2, {mode='area'}}, {r(1,2,4,4), 7, {mode='bilinear', "
                "align_corners=true}}, "
                "{r(1,2,8,8), 3, {mode='bilinear', antialias=true}}");
