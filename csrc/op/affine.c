/* affine.c: pictures turned, scaled, sheared and shifted by sampling: augmentation and
 * simulation. */
#include "op.h"
#include <math.h>
#include <string.h>

typedef struct warp {
  const char *in;
  char *out;
  const double *matrix; /* 2 x 3, one for each of `groups` runs of planes, or one for all */
  int64_t planes_each, h, w, in_h, in_w;
  bool shared, nearest;
  double fill;
} warp;

/* Sample (x, y) of a plane; pixels outside count as `fill`. */
#define SAMPLE(NAME, T, STORE)                                                           \
  static inline double NAME##_at(const warp *v, const T *in, int64_t x, int64_t y) {     \
    return x >= 0 && x < v->in_w && y >= 0 && y < v->in_h ? (double)in[y * v->in_w + x]  \
                                                          : v->fill;                     \
  }                                                                                      \
  static T NAME##_sample(const warp *v, const T *in, double x, double y) {               \
    if (v->nearest)                                                                      \
      return STORE(NAME##_at(v, in, (int64_t)floor(x + 0.5), (int64_t)floor(y + 0.5)));  \
    if (!(x > -1 && y > -1 && x < (double)v->in_w && y < (double)v->in_h))               \
      return STORE(v->fill);                                                             \
    int64_t left = (int64_t)floor(x), top = (int64_t)floor(y);                           \
    double fx = x - (double)left, fy = y - (double)top;                                  \
    double a = NAME##_at(v, in, left, top), b = NAME##_at(v, in, left + 1, top);         \
    double c = NAME##_at(v, in, left, top + 1), d = NAME##_at(v, in, left + 1, top + 1); \
    return STORE((a + (b - a) * fx) * (1 - fy) + (c + (d - c) * fx) * fy);               \
  }                                                                                      \
  static void NAME##_rows(int64_t begin, int64_t end, void *context) {                   \
    const warp *v = context;                                                             \
    for (int64_t i = begin; i < end; i++) {                                              \
      int64_t plane = i / v->h, y = i % v->h;                                            \
      const double *m = v->matrix + (v->shared ? 0 : plane / v->planes_each * 6);        \
      const T *in = (const T *)v->in + plane * v->in_h * v->in_w;                        \
      T *out = (T *)v->out + i * v->w;                                                   \
      double dy = (double)y - (double)(v->h - 1) / 2;                                    \
      for (int64_t x = 0; x < v->w; x++) {                                               \
        double dx = (double)x - (double)(v->w - 1) / 2;                                  \
        double sx = m[0] * dx + m[1] * dy + m[2] + (double)(v->in_w - 1) / 2;            \
        double sy = m[3] * dx + m[4] * dy + m[5] + (double)(v->in_h - 1) / 2;            \
        out[x] = NAME##_sample(v, in, sx, sy);                                           \
      }                                                                                  \
    }                                                                                    \
  }
#define BYTE(v) ((uint8_t)((v) + 0.5))
#define FLOAT(v) ((float)(v))
#define DOUBLE(v) (v)
SAMPLE(u8, uint8_t, BYTE)
SAMPLE(f32, float, FLOAT)
SAMPLE(f64, double, DOUBLE)

static int forward(al_call *c) {
  al_tensor *x = c->a[0].t, *m = c->a[1].t;
  const char *mode = c->a[3].s;
  bool nearest = !strcmp(mode, "nearest");
  if (!nearest && strcmp(mode, "bilinear"))
    return al_fail("unknown mode %s: bilinear, nearest", mode);
  if (x->ndim < 2) return al_fail("x has %d dims, wants ... x H x W", x->ndim);
  if (x->dtype != AL_UINT8 && !al_is_float(x->dtype))
    return al_fail("x is %s, wants uint8 or a float", al_dtype_name((al_dtype)x->dtype));
  bool shared = m->ndim == 2;
  if (m->ndim < 2 || m->ndim > 3 || m->shape[m->ndim - 2] != 2 || m->shape[m->ndim - 1] != 3 ||
      (!shared && (x->ndim != 4 || m->shape[0] != x->shape[0])))
    return al_fail("matrix has shape %s, wants 2x3, or Nx2x3 for x of N x C x H x W",
                   al_shape_text(m->ndim, m->shape));
  if (x->dtype == AL_UINT8 && !(c->a[4].f >= 0 && c->a[4].f <= 255))
    return al_fail("fill is %g, wants 0 to 255", c->a[4].f);
  int64_t shape[AL_MAX_DIMS], in_h = x->shape[x->ndim - 2], in_w = x->shape[x->ndim - 1],
                              h = in_h, w = in_w;
  if (HAS(2) && c->a[2].ints.n) {
    if (c->a[2].ints.n > 2)
      return al_fail("size has %d entries, wants {height, width}", c->a[2].ints.n);
    h = c->a[2].ints.v[0];
    w = c->a[2].ints.v[c->a[2].ints.n - 1];
    if (h < 1 || w < 1)
      return al_fail("the size %lld x %lld is impossible", (long long)h, (long long)w);
  }
  memcpy(shape, x->shape, sizeof shape);
  shape[x->ndim - 2] = h;
  shape[x->ndim - 1] = w;
  al_dtype dtype = (al_dtype)x->dtype;
  x = al_dense(x, dtype);
  m = al_dense(m, AL_FLOAT64);
  al_tensor *y = al_empty(dtype, x ? x->ndim : 0, shape);
  if (!x || !m || !y || !al_numel(y)) return al_ret(c, x && m ? y : NULL);
  const double *coefficients = al_data(m);
  for (int64_t i = 0, n = al_numel(m); i < n; i++)
    if (!(fabs(coefficients[i]) < 1e9)) return al_fail("matrix holds %g", coefficients[i]);
  int64_t planes = al_product(x->ndim - 2, x->shape);
  warp v = {al_data(x), al_data(y), coefficients, shared ? 1 : x->shape[1], h, w, in_h, in_w,
            shared,     nearest,    c->a[4].f};
  al_parallel(planes * h, 1 + 8192 / w,
              dtype == AL_UINT8     ? u8_rows
              : dtype == AL_FLOAT32 ? f32_rows
                                    : f64_rows,
              &v);
  return al_ret(c, y);
}
AL_OP(
    affine, .sig = "x:T matrix:T size:ints? {mode:str=bilinear fill:num=0} -> T",
    .doc = "Pictures ... x H x W resampled through a linear map, uint8 or float; matrix 2x3, "
           "or Nx2x3 for a batch.\n"
           "The output pixel at offset (dx, dy) from the output's centre takes the input at "
           "matrix (dx, dy, 1) from the input's "
           "centre, in pixels, x to the right and y down; outside lies `fill`. size: {height, "
           "width} of the output. mode: "
           "bilinear, nearest. Not differentiable.",
    .forward = forward, .flags = AL_F_NODIFF,
    .sample =
        "{r(3, 6, 5), r(2, 3)}, {r(2, 3, 6, 5), r(2, 2, 3), {4, 7}, {mode='nearest', fill=1}}");
