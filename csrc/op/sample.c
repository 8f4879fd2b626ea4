/* sample.c: pictures read at points: affine_grid and grid_sample (Jaderberg et al. 2015,
 * arXiv:1506.02025).
 *
 * Without a gradient wanted grid_sample is one loop over points. With one it is made of
 * recorded ops (gather and arithmetic), so that gradients of any order follow. */
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_gather, al_op_stack;

/* ---- affine_grid ---- */

/* Coordinates of n pixel centres over -1..1; with `align` the outermost centres lie on the
 * ends. */
static double centre(int64_t i, int64_t n, bool align) {
  if (align) return n > 1 ? 2 * (double)i / (double)(n - 1) - 1 : 0;
  return (2 * (double)i + 1) / (double)n - 1;
}

/* (h w, 3): x, y, 1 of every pixel, or (d h w, 4) with z for volumes. */
static al_tensor *homogeneous(int n, const int64_t *size, bool align, al_dtype dtype) {
  int64_t points = al_product(n, size), shape[] = {points, n + 1};
  al_tensor *t = al_empty(dtype, 2, shape);
  for (int64_t i = 0; t && i < points; i++) {
    int64_t rest = i;
    for (int d = n - 1; d >= 0; d--) { /* the last dim is x */
      al_set(t, i * (n + 1) + (n - 1 - d), centre(rest % size[d], size[d], align));
      rest /= size[d];
    }
    al_set(t, i * (n + 1) + n, 1);
  }
  return t;
}

static int affine_grid_forward(al_call *c) {
  al_tensor *theta = ARG_T(0);
  int n = c->a[1].ints.n - 2;
  const int64_t *size = c->a[1].ints.v;
  if (n != 2 && n != 3)
    return al_fail("size has %d entries, needs (n, c, h, w) or (n, c, d, h, w)", n + 2);
  if (!al_is_float(theta->dtype) || theta->ndim != 3 || theta->shape[0] != size[0] ||
      theta->shape[1] != n || theta->shape[2] != n + 1)
    return al_fail("theta must be floating, %lldx%dx%d", (long long)size[0], n, n + 1);
  al_tensor *grid = al_matmul(homogeneous(n, size + 2, ARG_B(2), (al_dtype)theta->dtype),
                              al_transpose(theta, 1, 2));
  int64_t shape[5] = {size[0]};
  memcpy(shape + 1, size + 2, (size_t)n * sizeof *shape);
  shape[n + 1] = n;
  return al_ret(c, al_reshape(grid, shape, n + 2));
}

AL_OP(affine_grid, .sig = "theta:T size:ints {align_corners:bool=false} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "Where the pixels of a picture of `size` (n, c, h, w) come from under theta (n, "
             "2, 3): (n, h, w, 2), x then y,\n"
             "-1..1 from edge to edge. Volumes: size (n, c, d, h, w), theta (n, 3, 4).",
      .forward = affine_grid_forward,
      .sample = "{r(2,2,3), {2,1,3,4}}, {r(1,3,4), {1,1,2,3,2}, {align_corners=true}}");

/* ---- grid_sample ---- */

typedef struct options {
  bool nearest, border, align;
} options;

/* -1..1 -> pixels from 0 */
static double to_pixel(double u, int64_t size, options o) {
  double at = o.align ? (u + 1) / 2 * (double)(size - 1) : ((u + 1) * (double)size - 1) / 2;
  if (!o.border) return at;
  return at < 0 ? 0 : at > (double)(size - 1) ? (double)(size - 1) : at;
}
static al_tensor *to_pixels(al_tensor *u, int64_t size, options o) {
  double scale = o.align ? (double)(size - 1) / 2 : (double)size / 2;
  al_tensor *at = al_add_num(al_mul_num(u, scale), o.align ? scale : scale - 0.5);
  return o.border ? al_minimum(al_maximum(at, al_number(0)), al_number((double)(size - 1)))
                  : at;
}

typedef struct job {
  const char *x, *grid;
  char *y;
  int64_t c, h, w, points; /* points an image */
  options o;
  bool single;
} job;

static double value(const void *p, bool single, int64_t i) {
  return single ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

/* The up to four neighbours of a point: offsets in a plane and weights; how many lie inside. */
static int neighbours(const job *j, double px, double py, int64_t *at, double *weight) {
  int n = 0;
  if (!(fabs(px) < 1e15) || !(fabs(py) < 1e15)) return 0;
  double x0 = j->o.nearest ? nearbyint(px) : floor(px),
         y0 = j->o.nearest ? nearbyint(py) : floor(py);
  for (int k = 0; k < (j->o.nearest ? 1 : 4); k++) {
    int64_t x = (int64_t)x0 + (k & 1), y = (int64_t)y0 + (k >> 1);
    if (x < 0 || x >= j->w || y < 0 || y >= j->h) continue;
    double wx = k & 1 ? px - x0 : 1 - (px - x0), wy = k >> 1 ? py - y0 : 1 - (py - y0);
    at[n] = y * j->w + x;
    weight[n++] = j->o.nearest ? 1 : wx * wy;
  }
  return n;
}

static void sample_points(int64_t begin, int64_t end, void *arg) {
  const job *j = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t image = i / j->points * j->c, at[4];
    double weight[4];
    double px = to_pixel(value(j->grid, j->single, 2 * i), j->w, j->o);
    double py = to_pixel(value(j->grid, j->single, 2 * i + 1), j->h, j->o);
    int n = neighbours(j, px, py, at, weight);
    for (int64_t k = 0; k < j->c; k++) {
      int64_t plane = (image + k) * j->h * j->w, out = (image + k) * j->points + i % j->points;
      double v = 0;
      for (int t = 0; t < n; t++) v += weight[t] * value(j->x, j->single, plane + at[t]);
      if (j->single) ((float *)(void *)j->y)[out] = (float)v;
      else ((double *)(void *)j->y)[out] = v;
    }
  }
}

static al_tensor *sample_directly(al_tensor *x, al_tensor *grid, options o) {
  int64_t shape[] = {x->shape[0], x->shape[1], grid->shape[1], grid->shape[2]};
  al_tensor *y = al_empty((al_dtype)x->dtype, 4, shape);
  x = al_dense(x, (al_dtype)x->dtype);
  grid = x ? al_dense(grid, (al_dtype)x->dtype) : NULL;
  if (!y || !grid) return NULL;
  job j = {al_data(x),  al_data(grid),       al_data(y), x->shape[1],           x->shape[2],
           x->shape[3], shape[2] * shape[3], o,          x->dtype == AL_FLOAT32};
  al_parallel(shape[0] * j.points, 1 + (1 << 12) / (j.c + 4), sample_points, &j);
  return y;
}

/* Positions (from 1) of corner k of every point in a plane, clamped into it, and 1 where it
 * lies inside. */
static int corner(al_tensor *px, al_tensor *py, int k, int64_t w, int64_t h, bool nearest,
                  al_tensor **at, al_tensor **inside) {
  *at = al_empty_like(px, AL_INT64);
  *inside = al_empty_like(px, (al_dtype)px->dtype);
  al_tensor *dx = al_dense(px, AL_FLOAT64), *dy = al_dense(py, AL_FLOAT64);
  if (!*at || !*inside || !dx || !dy) return -1;
  const double *u = al_data(dx), *v = al_data(dy);
  for (int64_t i = 0, n = al_numel(px); i < n; i++) {
    double x = (nearest ? nearbyint(u[i]) : floor(u[i])) + (k & 1),
           y = (nearest ? nearbyint(v[i]) : floor(v[i])) + (k >> 1);
    bool in = x >= 0 && x < (double)w && y >= 0 && y < (double)h;
    al_set_int(*at, i, in ? (int64_t)y * w + (int64_t)x + 1 : 1);
    al_set(*inside, i, in);
  }
  return 0;
}

/* The distance of every point beyond the pixel before it, recorded; the pixel itself is a
 * constant. */
static al_tensor *fraction(al_tensor *p) {
  al_tensor *whole = p ? al_empty_like(p, (al_dtype)p->dtype) : NULL,
            *d = p ? al_dense(p, AL_FLOAT64) : NULL;
  if (!whole || !d) return NULL;
  const double *v = al_data(d);
  for (int64_t i = 0, n = al_numel(p); i < n; i++) al_set(whole, i, floor(v[i]));
  return al_sub(p, whole);
}

static al_tensor *sample_recorded(al_tensor *x, al_tensor *grid, options o) {
  int64_t n = x->shape[0], c = x->shape[1], h = x->shape[2], w = x->shape[3],
          points = grid->shape[1] * grid->shape[2];
  int64_t flat[] = {n, c, h * w}, list[] = {n, 1, points, 2}, all[] = {n, c, points},
          shape[] = {n, c, grid->shape[1], grid->shape[2]};
  al_tensor *g = al_reshape(grid, list, 4), *planes = al_reshape(x, flat, 3), *sum = NULL;
  int64_t one[] = {n, 1, points};
  al_tensor *px = to_pixels(al_reshape(al_narrow(g, 3, 1, 1), one, 3), w, o);
  al_tensor *py = to_pixels(al_reshape(al_narrow(g, 3, 2, 1), one, 3), h, o);
  al_tensor *fx = o.nearest ? px : fraction(px), *fy = o.nearest ? py : fraction(py);
  if (!fx || !fy || !planes) return NULL;
  for (int k = 0; k < (o.nearest ? 1 : 4); k++) {
    al_tensor *at, *weight;
    if (corner(px, py, k, w, h, o.nearest, &at, &weight)) return NULL;
    if (!o.nearest) {
      al_tensor *wx = k & 1 ? fx : al_rsub_num(1, fx), *wy = k >> 1 ? fy : al_rsub_num(1, fy);
      weight = al_mul(al_mul(wx, wy), weight);
    }
    al_tensor *part =
        al_mul(al_apply(&al_op_gather, planes, (int64_t)2, al_expand(at, all, 3)), weight);
    sum = sum ? al_add(sum, part) : part;
    if (!sum) return NULL;
  }
  return al_reshape(sum, shape, 4);
}

static int grid_sample_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *grid = ARG_T(1);
  const char *mode = c->a[2].s, *padding = c->a[3].s;
  options o = {.nearest = !strcmp(mode, "nearest"),
               .border = !strcmp(padding, "border"),
               .align = ARG_B(4)};
  if (!o.nearest && strcmp(mode, "bilinear"))
    return al_fail("mode '%s' is none of bilinear, nearest", mode);
  if (!o.border && strcmp(padding, "zeros"))
    return al_fail("padding_mode '%s' is none of zeros, border", padding);
  if (x->ndim != 4 || grid->ndim != 4 || grid->shape[3] != 2 || grid->shape[0] != x->shape[0])
    return al_fail("needs x (n, c, h, w) and grid (n, h', w', 2)");
  if (!al_is_float(x->dtype) || !al_is_float(grid->dtype))
    return al_fail("needs floating tensors");
  if (x->shape[2] * x->shape[3] == 0) return al_fail("x has no pixels");
  bool record = al_grad_enabled() && (x->requires_grad || grid->requires_grad);
  return al_ret(c, record ? sample_recorded(x, grid, o) : sample_directly(x, grid, o));
}

AL_OP(grid_sample,
      .sig =
          "x:T grid:T {mode:str=bilinear padding_mode:str=zeros align_corners:bool=false} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "x (n, c, h, w) read at the points of grid (n, h', w', 2), x then y in -1..1 from "
             "edge to edge (see\n"
             "affine_grid): (n, c, h', w'). mode: bilinear, nearest. Outside are zeros, or the "
             "nearest pixel with\n"
             "padding_mode border.",
      .forward = grid_sample_forward,
      .sample = "{r(2,2,4,5), unit(2,3,3,2)}, {r(1,2,4,5), unit(1,3,3,2) * 1.3, "
                "{padding_mode='border'}}, "
                "{r(1,1,3,4), unit(1,2,3,2), {mode='nearest'}}, {r(1,2,4,4), unit(1,3,2,2), "
                "{align_corners=true}}");

/* ---- map_coordinates ---- */

enum { RUN = 128 }; /* points taken together: their neighbours and weights stay in the cache */

typedef struct reading {
  const char *x;
  const double *at; /* (d, points), in pixels from 0 */
  char *y;
  int64_t planes, plane, points, size[3];
  int d;
  bool nearest, border;
  double fill;
} reading;

/* The 2^d neighbours (1 when nearest) of each point of a run: offsets in a plane, clamped into
 * it, and weights, 0 outside unless the border counts there. */
static void neighbourhood(const reading *r, int64_t from, int64_t n, int64_t (*at)[RUN],
                          double (*weight)[RUN]) {
  int corners = r->nearest ? 1 : 1 << r->d;
  for (int k = 0; k < corners; k++)
    for (int64_t t = 0; t < n; t++) at[k][t] = 0, weight[k][t] = 1;
  for (int i = 0; i < r->d; i++) {
    const double *c = r->at + i * r->points + from;
    int64_t size = r->size[i];
    double most = (double)size + 1;
    for (int64_t t = 0; t < n; t++) {
      double p = r->nearest ? c[t] + 0.5 : c[t];
      p = p > -2 ? p < most ? p : most : -2; /* NaN is outside */
      int64_t low = (int64_t)(p + 2) - 2;    /* floor */
      double part[2] = {1, p - (double)low};
      int64_t place[2] = {low, low + 1};
      if (!r->nearest) part[0] = 1 - part[1];
      for (int side = 0; side < 2; side++) {
        if (place[side] >= 0 && place[side] < size) continue;
        if (!r->border) part[side] = 0;
        place[side] = place[side] < 0 ? 0 : size - 1;
      }
      for (int k = 0; k < corners; k++) {
        at[k][t] = at[k][t] * size + place[k >> i & 1];
        weight[k][t] *= part[k >> i & 1];
      }
    }
  }
}

/* Each plane's sum over the neighbours; what their weights lack of 1 is the fill's. */
#define READ(NAME, T, REAL, STORE)                                                          \
  static void read_##NAME(int64_t begin, int64_t end, void *context) {                      \
    const reading r = *(const reading *)context;                                            \
    int corners = 1 << r.d;                                                                 \
    for (int64_t from = begin * RUN; from < end * RUN && from < r.points; from += RUN) {    \
      int64_t at[8][RUN], n = r.points - from < RUN ? r.points - from : RUN;                \
      double weight[8][RUN];                                                                \
      neighbourhood(&r, from, n, at, weight);                                               \
      for (int64_t plane = 0; plane < r.planes; plane++) {                                  \
        const T *x = (const T *)(const void *)r.x + plane * r.plane;                        \
        T *y = (T *)(void *)r.y + plane * r.points + from;                                  \
        REAL sum[RUN];                                                                      \
        for (int64_t t = 0; t < n; t++) sum[t] = 0;                                         \
        if (!r.border && r.fill != 0)                                                       \
          for (int64_t t = 0; t < n; t++) {                                                 \
            double all = 0;                                                                 \
            for (int k = 0; k < corners; k++) all += weight[k][t];                          \
            sum[t] = (REAL)(1 - all) * (REAL)r.fill;                                        \
          }                                                                                 \
        for (int k = 0; k < corners; k++)                                                   \
          for (int64_t t = 0; t < n; t++) sum[t] += (REAL)x[at[k][t]] * (REAL)weight[k][t]; \
        for (int64_t t = 0; t < n; t++) y[t] = STORE(sum[t]);                               \
      }                                                                                     \
    }                                                                                       \
  }
#define READ_BYTE(v) ((uint8_t)((v) + 0.5f))
#define READ_AS_IS(v) (v)
READ(u8, uint8_t, float, READ_BYTE)
READ(f32, float, float, READ_AS_IS)
READ(f64, double, double, READ_AS_IS)

/* The nearest element of any dtype, `width` bytes; `fill` points to one. */
typedef struct picking {
  reading r;
  const char *fill;
  int64_t width;
} picking;
static void pick(int64_t begin, int64_t end, void *context) {
  const picking *p = context;
  const reading *r = &p->r;
  for (int64_t from = begin * RUN; from < end * RUN && from < r->points; from += RUN) {
    int64_t at[1][RUN], n = r->points - from < RUN ? r->points - from : RUN;
    double weight[1][RUN];
    neighbourhood(r, from, n, at, weight);
    for (int64_t plane = 0; plane < r->planes; plane++) {
      const char *x = r->x + plane * r->plane * p->width;
      char *y = r->y + (plane * r->points + from) * p->width;
      for (int64_t t = 0; t < n; t++) {
        const char *v = weight[0][t] > 0 ? x + at[0][t] * p->width : p->fill;
        if (p->width == 1) y[t] = *v;
        else memcpy(y + t * p->width, v, (size_t)p->width);
      }
    }
  }
}

static int map_coordinates(al_call *c) {
  al_tensor *x = ARG_T(0), *at = ARG_T(1);
  const char *mode = c->a[2].s;
  bool nearest = !strcmp(mode, "nearest");
  int64_t d = at->ndim > 0 ? at->shape[0] : 0, shape[AL_MAX_DIMS];
  if (!nearest && strcmp(mode, "linear"))
    return al_fail("mode '%s' is none of linear, nearest", mode);
  if (d < 1 || d > 3 || d > x->ndim)
    return al_fail("at has shape %s, wants d x ... for the last d (1 to 3) dims of x",
                   al_shape_text(at->ndim, at->shape));
  al_dtype dtype = (al_dtype)x->dtype;
  if (!nearest && dtype != AL_UINT8 && dtype != AL_FLOAT32 && dtype != AL_FLOAT64)
    return al_fail("x is %s, wants uint8, float32 or float64 unless nearest",
                   al_dtype_name(dtype));
  int lead = x->ndim - (int)d, ndim = lead + at->ndim - 1;
  if (ndim > AL_MAX_DIMS) return al_fail("the result has %d dims", ndim);
  memcpy(shape, x->shape, sizeof *shape * (size_t)lead);
  memcpy(shape + lead, at->shape + 1, sizeof *shape * (size_t)(at->ndim - 1));
  reading r = {.planes = al_product(lead, x->shape),
               .plane = 1,
               .d = (int)d,
               .nearest = nearest,
               .border = ARG_B(4),
               .fill = c->a[3].f};
  for (int i = 0; i < d; i++) r.plane *= r.size[i] = x->shape[lead + i];
  if (!r.plane) return al_fail("x has no elements");
  if (dtype == AL_UINT8 && !(r.fill >= 0 && r.fill <= 255))
    return al_fail("fill is %g, wants 0 to 255", r.fill);
  x = al_dense(x, dtype);
  at = al_dense(at, AL_FLOAT64);
  al_tensor *y = al_empty(dtype, ndim, shape), *one = al_empty(dtype, 0, NULL);
  if (!x || !at || !y || !one) return -1;
  al_set(one, 0, c->a[3].f);
  r.x = al_data(x), r.at = al_data(at), r.y = al_data(y);
  r.points = al_numel(at) / d;
  picking p = {r, al_data(one), (int64_t)al_dtype_size(dtype)};
  int64_t runs = (r.points + RUN - 1) / RUN;
  if (nearest) al_parallel(runs, 64, pick, &p);
  else
    al_parallel(runs, 1 + 64 / (r.planes + 8),
                dtype == AL_UINT8     ? read_u8
                : dtype == AL_FLOAT32 ? read_f32
                                      : read_f64,
                &r);
  return al_ret(c, y);
}
AL_OP(map_coordinates, .sig = "x:T at:T {mode:str=linear fill:num=0 border:bool=false} -> T",
      .doc =
          "x (..., spatial) read at points: at (d, ...) holds the positions along each of x's "
          "last d dims (1 to 3),\n"
          "in pixels from 0. The result has the points' shape for the spatial dims. mode: "
          "linear between the 2^d\n"
          "neighbours (uint8, float32, float64), nearest (any dtype). Outside lies `fill`, or "
          "with border the nearest\n"
          "pixel: SciPy's map_coordinates with order 1 or 0 and mode grid-constant or nearest. "
          "Not differentiable: see grid_sample.",
      .forward = map_coordinates, .flags = AL_F_NODIFF,
      .sample = "{r(2,4,5), r(2,3,2) * 2 + 1}, {ints(0,255,3,4,5):to('uint8'), r(3,7) * 3, "
                "{border=true}}, {ints(1,9,2,6), r(1,4) * 4, {mode='nearest', fill=-1}}");
