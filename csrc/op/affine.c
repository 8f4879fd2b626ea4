/* affine.c: pictures turned, scaled, sheared and shifted by sampling: augmentation and
 * simulation. */
#include "op.h"
#include <math.h>
#include <string.h>

typedef struct warp {
  const char *in;
  char *out;
  const double *matrix; /* 2 x 3, one for each picture, or one for all */
  int64_t planes;       /* of a picture, all sampled at the same places */
  int64_t h, w, in_h, in_w;
  bool shared, nearest;
  double fill;
} warp;

/* A row of every plane of a picture. Pixels outside count as `fill`; interpolation runs in
 * REAL. */
#define ROWS(NAME, T, REAL, STORE)                                                 \
  static inline REAL NAME##_at(const warp *v, const T *in, int64_t x, int64_t y) { \
    bool inside = x >= 0 && x < v->in_w && y >= 0 && y < v->in_h;                  \
    return inside ? (REAL)in[y * v->in_w + x] : (REAL)v->fill;                     \
  }                                                                                \
  static void NAME##_rows(int64_t begin, int64_t end, void *context) {             \
    const warp v = *(const warp *)context;                                         \
    int64_t in_plane = v.in_h * v.in_w, out_plane = v.h * v.w;                     \
    for (int64_t i = begin; i < end; i++) {                                        \
      int64_t picture = i / v.h, y = i % v.h;                                      \
      const double *m = v.matrix + (v.shared ? 0 : picture * 6);                   \
      const T *in = (const T *)v.in + picture * v.planes * in_plane;               \
      T *out = (T *)v.out + picture * v.planes * out_plane + y * v.w;              \
      double dy = (double)y - (double)(v.h - 1) / 2;                               \
      for (int64_t x = 0; x < v.w; x++) {                                          \
        double dx = (double)x - (double)(v.w - 1) / 2;                             \
        double sx = m[0] * dx + m[1] * dy + m[2] + (double)(v.in_w - 1) / 2;       \
        double sy = m[3] * dx + m[4] * dy + m[5] + (double)(v.in_h - 1) / 2;       \
        if (v.nearest) sx = floor(sx + 0.5), sy = floor(sy + 0.5);                 \
        int64_t l = (int64_t)sx, t = (int64_t)sy;                                  \
        l -= sx < (double)l; /* floor, without a call */                           \
        t -= sy < (double)t;                                                       \
        REAL fx = (REAL)(sx - (double)l), fy = (REAL)(sy - (double)t);             \
        const T *p = in;                                                           \
        if (l >= 0 && t >= 0 && l + 1 < v.in_w && t + 1 < v.in_h) {                \
          p += t * v.in_w + l;                                                     \
          for (int64_t k = 0; k < v.planes; k++, p += in_plane) {                  \
            REAL a = p[0], c = p[v.in_w];                                          \
            a += ((REAL)p[1] - a) * fx;                                            \
            c += ((REAL)p[v.in_w + 1] - c) * fx;                                   \
            out[k * out_plane + x] = STORE(a + (c - a) * fy);                      \
          }                                                                        \
        } else {                                                                   \
          for (int64_t k = 0; k < v.planes; k++, p += in_plane) {                  \
            REAL a = NAME##_at(&v, p, l, t), c = NAME##_at(&v, p, l, t + 1);       \
            a += (NAME##_at(&v, p, l + 1, t) - a) * fx;                            \
            c += (NAME##_at(&v, p, l + 1, t + 1) - c) * fx;                        \
            out[k * out_plane + x] = STORE(a + (c - a) * fy);                      \
          }                                                                        \
        }                                                                          \
      }                                                                            \
    }                                                                              \
  }
#define BYTE(v) ((uint8_t)((v) + 0.5f))
#define AS_IS(v) (v)
ROWS(u8, uint8_t, float, BYTE)
ROWS(f32, float, float, AS_IS)
ROWS(f64, double, double, AS_IS)

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
  int64_t planes = x->ndim > 2 ? x->shape[x->ndim - 3] : 1;
  int64_t pictures = x->ndim > 3 ? al_product(x->ndim - 3, x->shape) : 1;
  warp v = {al_data(x), al_data(y), coefficients, planes,  h,        w,
            in_h,       in_w,       shared,       nearest, c->a[4].f};
  al_parallel(pictures * h, 1 + 8192 / (w * planes),
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
