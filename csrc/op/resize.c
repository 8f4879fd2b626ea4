/* resize.c: pictures at another size, without aliasing: for data, not for networks (see
 * interpolate). */
#include "../kernel/resize.h"
#include "op.h"
#include <math.h>
#include <string.h>

/* ---- the weights of one axis ---- */
static double triangle(double x) { return x < 0 ? 1 + x : 1 - x; }

/* Keys 1981, a = -0.5 */
static double cubic(double x) {
  x = fabs(x);
  return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
}

static const struct mode {
  const char *name;
  double (*filter)(double);
  double support; /* half the filter's width, in pixels of the coarser grid; 0: by overlap */
} modes[] = {
    {"area", NULL, 0}, {"bilinear", triangle, 1}, {"bicubic", cubic, 2}, {"nearest", NULL, 0}};

/* Which input pixels output pixel i covers, of `in` to `out`: [*first, *first + count). Weights
 * sum to 1. */
static int32_t taps_of(const struct mode *m, int64_t in, int64_t out, int64_t i, int32_t *first,
                       double *w) {
  double scale = (double)in / (double)out, center = ((double)i + 0.5) * scale;
  if (m == &modes[3]) {
    int64_t at = (int64_t)center;
    *first = (int32_t)(at < in ? at : in - 1);
    w[0] = 1;
    return 1;
  }
  double half = m->filter ? m->support * fmax(scale, 1) : scale / 2;
  int64_t a, b;
  if (m->filter) { /* the pixels whose centres lie under the filter */
    a = (int64_t)fmax(0, floor(center - half + 0.5));
    b = (int64_t)fmin((double)in, floor(center + half + 0.5));
  } else { /* the pixels it touches; 1e-9: an edge that ought to fall between two */
    a = (int64_t)fmax(0, floor(center - half + 1e-9));
    b = (int64_t)fmin((double)in, ceil(center + half - 1e-9));
  }
  if (b <= a) b = a + 1;
  double total = 0;
  for (int64_t k = a; k < b; k++) {
    double left = (double)k;
    w[k - a] = m->filter ? m->filter((left + 0.5 - center) / fmax(scale, 1))
                         : fmax(0, fmin(left + 1, center + half) - fmax(left, center - half));
    total += w[k - a];
  }
  for (int64_t k = a; k < b; k++) w[k - a] /= total;
  *first = (int32_t)a;
  return (int32_t)(b - a);
}

/* The taps of an axis, in frame tensors; weights float64 or float32. */
static int make_taps(const struct mode *m, int64_t in, int64_t out, al_dtype real, al_taps *t) {
  double scale = (double)in / (double)out;
  t->rows = out;
  t->most = (int64_t)(2 * ceil(fmax(m->support, 0.5) * fmax(scale, 1)) + 2);
  al_tensor *places = al_empty(AL_INT32, 2, (int64_t[]){2, out});
  al_tensor *weights = al_zeros(AL_FLOAT64, 2, (int64_t[]){out, t->most});
  if (!places || !weights) return -1;
  int32_t *first = al_data(places), *count = first + out;
  double *w = al_data(weights);
  for (int64_t i = 0; i < out; i++)
    count[i] = taps_of(m, in, out, i, first + i, w + i * t->most);
  weights = al_dense(weights, real);
  if (!weights) return -1;
  t->first = first;
  t->count = count;
  t->weight = al_data(weights);
  return 0;
}

/* ---- a pass over every plane ---- */
typedef struct pass {
  void (*run)(const al_taps *, const void *, int64_t, int64_t, int64_t, void *);
  const al_taps *taps;
  const char *in;
  char *out;
  int64_t width, in_bytes, out_bytes; /* of a plane */
  int64_t blocks;                     /* of BLOCK output rows, in a plane */
} pass;
#define BLOCK 16

static void run_blocks(int64_t begin, int64_t end, void *context) {
  const pass *p = context;
  for (int64_t i = begin; i < end; i++) {
    int64_t plane = i / p->blocks, r = i % p->blocks * BLOCK;
    int64_t last = r + BLOCK < p->taps->rows ? r + BLOCK : p->taps->rows;
    p->run(p->taps, p->in + plane * p->in_bytes, p->width, r, last,
           p->out + plane * p->out_bytes);
  }
}

/* out[plane] = (taps in[plane]) transposed; in is rows_in x width. */
static void run_pass(pass p, int64_t planes) {
  p.blocks = (p.taps->rows + BLOCK - 1) / BLOCK;
  int64_t work = p.width * BLOCK * p.taps->most;
  al_parallel(planes * p.blocks, work ? 1 + 100000 / work : 1, run_blocks, &p);
}

static int forward(al_call *c) {
  al_tensor *x = c->a[0].t;
  const int64_t *size = c->a[1].ints.v;
  int sizes = c->a[1].ints.n;
  const struct mode *m = NULL;
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (!strcmp(modes[i].name, c->a[2].s)) m = &modes[i];
  if (!m) return al_fail("unknown mode %s: area, bilinear, bicubic, nearest", c->a[2].s);
  if (x->ndim < 2) return al_fail("x has %d dims, wants ... x H x W", x->ndim);
  if (sizes < 1 || sizes > 2)
    return al_fail("size has %d entries, wants {height, width}", sizes);
  int64_t h = size[0], w = size[sizes - 1], in_h = x->shape[x->ndim - 2],
          in_w = x->shape[x->ndim - 1];
  if (h < 1 || w < 1 || h > INT32_MAX || w > INT32_MAX || in_h > INT32_MAX || in_w > INT32_MAX)
    return al_fail("the size %lld x %lld is impossible", (long long)h, (long long)w);
  if (in_h < 1 || in_w < 1) return al_fail("x has no pixels");
  al_dtype from = (al_dtype)x->dtype;
  if (from == AL_BOOL) return al_fail("x is bool: cast it to uint8 or float32");
  bool bytes = from == AL_UINT8, narrow = bytes || from == AL_FLOAT32;
  al_dtype real = narrow ? AL_FLOAT32 : AL_FLOAT64;
  x = al_dense(x, bytes ? AL_UINT8 : real);

  al_taps down, across;
  if (!x || make_taps(m, in_h, h, real, &down) || make_taps(m, in_w, w, real, &across))
    return -1;
  int64_t shape[AL_MAX_DIMS], planes = al_product(x->ndim - 2, x->shape),
                              unit = al_dtype_size(real) == 4 ? 4 : 8;
  memcpy(shape, x->shape, sizeof shape);
  shape[x->ndim - 2] = h;
  shape[x->ndim - 1] = w;
  al_tensor *half = al_empty(real, 3, (int64_t[]){planes, in_w, h});
  al_tensor *y = al_empty(bytes ? AL_UINT8 : real, x->ndim, shape);
  if (!half || !y) return -1;
  if (!planes) return al_ret(c, y);
  const al_resize_kernels *k = &AL_SELECT(al_resize);
  int64_t in_bytes = in_h * in_w * (bytes ? 1 : unit), out_bytes = h * w * (bytes ? 1 : unit);
  pass first = {.run = bytes    ? k->u8_f32
                       : narrow ? k->f32_f32
                                : k->f64_f64,
                .taps = &down,
                .in = al_data(x),
                .out = al_data(half),
                .width = in_w,
                .in_bytes = in_bytes,
                .out_bytes = in_w * h * unit};
  pass second = {.run = bytes    ? k->f32_u8
                        : narrow ? k->f32_f32
                                 : k->f64_f64,
                 .taps = &across,
                 .in = al_data(half),
                 .out = al_data(y),
                 .width = h,
                 .in_bytes = in_w * h * unit,
                 .out_bytes = out_bytes};
  run_pass(first, planes);
  run_pass(second, planes);
  if (al_is_float(from) || bytes) return al_ret(c, y);
  double *v = al_data(y);
  for (int64_t i = 0, n = al_numel(y); i < n; i++) v[i] = floor(v[i] + 0.5);
  return al_ret(c, al_dense(y, from));
}
AL_OP(resize, .sig = "x:T size:ints {mode:str=bilinear} -> T",
      .doc = "x, ... x H x W, at size {height, width}; integer pictures are rounded.\n"
             "mode: area (the mean of what a pixel covers), bilinear or bicubic (a = -0.5), "
             "both widened when shrinking so that "
             "nothing aliases, nearest. Pixel centres lie at half steps, as in Pillow. Not "
             "differentiable: see interpolate.",
      .forward = forward, .flags = AL_F_NODIFF,
      .sample = "{r(2, 7, 5), {4, 9}}, {r(1, 3, 6, 6), 3, {mode='area'}}, {r(5, 4), {9, 2}, "
                "{mode='bicubic'}}, {r(5, 4), {7, 3}, {mode='nearest'}}");
