/* filter.c: separable filters of pictures and volumes with SciPy's borders, and the median.
 *
 * Along a dim, y_i = sum_t w_t x_b(i + t - L/2), b the border. With v for input-, u for output-
 * shaped tensors the maps (v, w) -> u, (u, w) -> v, (v, u) -> w are the derivatives of one
 * trilinear form, so the gradients of each are the other two. */
#include "picture.h"
#include <math.h>

extern al_op al_op_correlate1d, al_op_correlate1d_back, al_op_correlate1d_weight, al_op_arange;

typedef struct job {
  const void *x, *w;
  void *y;
  int64_t n, inner, taps, block, blocks; /* rows of `inner` entries, `block` rows a piece */
  int64_t outer;
  int mode;
  bool back;
} job;

/* Piece p is rows [i0, i1) of one (n, inner) plane of y. Taps that stay inside are runs of
 * rows. */
#define ROWS(NAME, T)                                                                         \
  static void NAME##_add(T *restrict y, const T *x, T w, int64_t n) {                         \
    for (int64_t k = 0; k < n; k++) y[k] += w * x[k];                                         \
  }                                                                                           \
  static void NAME##_rows(int64_t begin, int64_t end, void *context) {                        \
    const job *j = context;                                                                   \
    for (int64_t p = begin; p < end; p++) {                                                   \
      int64_t n = j->n, m = j->inner, i0 = p % j->blocks * j->block, i1 = i0 + j->block;      \
      const T *x = (const T *)j->x + p / j->blocks * n * m;                                   \
      T *y = (T *)j->y + p / j->blocks * n * m;                                               \
      if (i1 > n) i1 = n;                                                                     \
      memset(y + i0 * m, 0, (size_t)((i1 - i0) * m) * sizeof(T));                             \
      for (int64_t t = 0; t < j->taps; t++) {                                                 \
        int64_t s = t - j->taps / 2, by = j->back ? -s : s;                                   \
        int64_t lo = by < 0 && -by > i0 ? -by : i0, hi = n - by < i1 ? n - by : i1;           \
        T w = ((const T *)j->w)[t];                                                           \
        if (hi > lo) NAME##_add(y + lo * m, x + (lo + by) * m, w, (hi - lo) * m);             \
        int64_t from = s < 0 ? 0 : n - s < 0 ? 0 : n - s, to = s < 0 ? (-s < n ? -s : n) : n; \
        if (!j->back) from = from > i0 ? from : i0, to = to < i1 ? to : i1;                   \
        for (int64_t i = from; i < to; i++) { /* outputs whose tap lies outside */            \
          int64_t at = al_beyond(j->mode, i + s, n), u = j->back ? at : i;                    \
          if (at >= 0 && u >= i0 && u < i1)                                                   \
            NAME##_add(y + u * m, x + (j->back ? i : at) * m, w, m);                          \
        }                                                                                     \
      }                                                                                       \
    }                                                                                         \
  }                                                                                           \
  static void NAME##_weight(int64_t begin, int64_t end, void *context) { /* taps */           \
    const job *j = context;                                                                   \
    for (int64_t t = begin; t < end; t++) {                                                   \
      double sum = 0;                                                                         \
      for (int64_t r = 0; r < j->outer * j->n; r++) {                                         \
        int64_t i = r % j->n, at = al_beyond(j->mode, i + t - j->taps / 2, j->n);             \
        const T *x = (const T *)j->x + (r - i + at) * j->inner;                               \
        const T *g = (const T *)j->w + r * j->inner;                                          \
        for (int64_t k = 0; at >= 0 && k < j->inner; k++) sum += (double)x[k] * (double)g[k]; \
      }                                                                                       \
      ((T *)j->y)[t] = (T)sum;                                                                \
    }                                                                                         \
  }
ROWS(f32, float)
ROWS(f64, double)

/* Common checks; the tensors of j and the dtype. x, w: the two operands. */
static int open_job(job *j, al_tensor *x, al_tensor *w, int64_t dim, const char *mode,
                    al_dtype *d) {
  int at;
  *d = al_promote(2, (al_tensor *[]){x, w});
  if (!al_is_float(*d)) return al_fail("needs floating tensors");
  if (al_dim(dim, x->ndim, &at) || (j->mode = al_border(mode)) < 0) return -1;
  if (!x->ndim) return al_fail("x has no dims");
  j->n = x->shape[at];
  j->inner = al_product(x->ndim - at - 1, x->shape + at + 1);
  j->outer = al_product(at, x->shape);
  j->block = 1 + 4096 / (j->inner + 1);
  j->blocks = (j->n + j->block - 1) / j->block;
  if (!(x = al_dense(x, *d)) || !(w = al_dense(w, *d))) return -1;
  j->x = al_data(x), j->w = al_data(w);
  return 0;
}

static int along(al_call *c, bool back) {
  al_tensor *x = ARG_T(0), *w = ARG_T(1);
  job j = {.back = back};
  al_dtype d;
  if (w->ndim != 1 || w->shape[0] < 1)
    return al_fail("w has shape %s, needs one dim of at least 1 tap",
                   al_shape_text(w->ndim, w->shape));
  if (open_job(&j, x, w, ARG_I(2), c->a[3].s, &d)) return -1;
  al_tensor *y = al_empty_like(x, d);
  if (!y) return -1;
  j.y = al_data(y), j.taps = w->shape[0];
  if (al_numel(y))
    al_parallel(j.outer * j.blocks, 1 + 65536 / (j.block * j.inner * j.taps),
                d == AL_FLOAT32 ? f32_rows : f64_rows, &j);
  return al_ret(c, y);
}
static int weight_forward(al_call *c) {
  job j = {.taps = ARG_I(2)};
  al_dtype d;
  if (!al_same_shape(ARG_T(0), ARG_T(1)) || j.taps < 1)
    return al_fail("x and g differ in shape, or taps is less than 1");
  if (open_job(&j, ARG_T(0), ARG_T(1), ARG_I(3), c->a[4].s, &d)) return -1;
  al_tensor *y = al_empty(d, 1, &j.taps);
  if (!y) return -1;
  j.y = al_data(y);
  al_parallel(j.taps, 1, d == AL_FLOAT32 ? f32_weight : f64_weight, &j);
  return al_ret(c, y);
}

static al_tensor *correlate(al_op *op, al_tensor *x, al_tensor *w, int64_t dim,
                            const char *mode) {
  return al_apply(op, x, w, dim, mode);
}
static al_tensor *weights(al_tensor *x, al_tensor *g, int64_t taps, int64_t dim,
                          const char *mode) {
  return al_apply(&al_op_correlate1d_weight, x, g, taps, dim, mode);
}
/* of correlate1d and, x and g swapped, of its transpose */
static int either_grad(al_back *b, bool back) {
  int n;
  int64_t dim = b->a[2].i, taps = al_edge_shape(b, 1, &n)[0];
  const char *mode = b->a[3].s;
  al_tensor *g = b->g[0], *x = b->in[0];
  if (b->needs[0] && !(b->gx[0] = correlate(back ? &al_op_correlate1d : &al_op_correlate1d_back,
                                            g, b->in[1], dim, mode)))
    return -1;
  if (b->needs[1] && !(b->gx[1] = weights(back ? g : x, back ? x : g, taps, dim, mode)))
    return -1;
  return 0;
}
static int correlate_forward(al_call *c) { return along(c, false); }
static int correlate_grad(al_back *b) { return either_grad(b, false); }
static int back_forward(al_call *c) { return along(c, true); }
static int back_grad(al_back *b) { return either_grad(b, true); }
static int weight_grad(al_back *b) {
  int64_t dim = b->a[3].i;
  const char *mode = b->a[4].s;
  if (b->needs[0] &&
      !(b->gx[0] = correlate(&al_op_correlate1d_back, b->in[1], b->g[0], dim, mode)))
    return -1;
  if (b->needs[1] && !(b->gx[1] = correlate(&al_op_correlate1d, b->in[0], b->g[0], dim, mode)))
    return -1;
  return 0;
}

AL_OP(correlate1d, .sig = "x:T w:T dim:dim=-1 mode:str=reflect -> T", .save = "x/w w/x",
      .doc =
          "Correlation with the taps w along dim, as SciPy's: y_i = sum_t w_t x_(i + t - L/2), "
          "of x's shape.\n"
          "mode, what lies outside: reflect (c b a | a b c | c b a), mirror (c b | a b c | b "
          "a), nearest, wrap, constant (0).",
      .forward = correlate_forward, .grad = correlate_grad,
      .sample = "{r(2,5), r(3)}, {r(5,3), r(4), 1, 'mirror'}, {r(2,4,2), r(3), 2, 'nearest'}, "
                "{r(3), r(9), 1, 'wrap'}, {r(6), r(5), 1, 'constant'}, {r(3), r(9)}");
AL_OP(correlate1d_back, .sig = "g:T w:T dim:dim mode:str -> T", .flags = AL_F_HIDDEN,
      .save = "g/w w/g", .doc = "The transpose of correlate1d.", .forward = back_forward,
      .grad = back_grad,
      .sample =
          "{r(2,5), r(3), 2, 'reflect'}, {r(5,3), r(4), 1, 'mirror'}, {r(2,4,2), r(3), 2, "
          "'nearest'}, {r(3), r(9), 1, 'wrap'}, {r(6), r(5), 1, 'constant'}");
AL_OP(correlate1d_weight, .sig = "x:T g:T taps:int dim:dim mode:str -> T", .save = "x/g g/x",
      .flags = AL_F_HIDDEN, .doc = "The gradient of correlate1d in w.",
      .forward = weight_forward, .grad = weight_grad,
      .sample = "{r(2,5), r(2,5), 3, 2, 'reflect'}, {r(5,3), r(5,3), 4, 1, 'constant'}");

/* ---- compositions ---- */

static int separable_forward(al_call *c) {
  al_tensor *y = ARG_T(0);
  int n = c->a[1].ts.n;
  if (n < 1 || n > y->ndim) return al_fail("%d kernels for %d dims", n, y->ndim);
  for (int k = 0; y && k < n; k++)
    y = correlate(&al_op_correlate1d, y, c->a[1].ts.v[k], k - n, c->a[2].s);
  return al_ret(c, y);
}
AL_OP(separable_filter, .sig = "x:T kernels:T* {mode:str=reflect} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "correlate1d with a kernel along each of the last dims, as many as kernels.\n"
             "Taps are 1-dim tensors; gradients reach them.",
      .forward = separable_forward,
      .sample = "{r(2,5,4), {r(3), r(2)}}, {r(4,5), {r(3)}, {mode='constant'}}");

/* Taps as a tensor of x's dtype. */
static al_tensor *taps_of(const al_tensor *x, int n, const double *v) {
  int64_t length = n;
  al_tensor *w = al_empty((al_dtype)x->dtype, 1, &length);
  for (int i = 0; w && i < n; i++) al_set(w, i, v[i]);
  return w;
}
static int needs_float(const al_tensor *x) {
  return al_is_float(x->dtype)
             ? 0
             : al_fail("x is %s, needs a float", al_dtype_name((al_dtype)x->dtype));
}

/* exp(-t^2 / 2 s^2) / sum, t = -r .. r, r = floor(truncate s + 1/2); of ops, so that s may have
 * a gradient. */
static int gaussian_forward(al_call *c) {
  al_tensor *y = ARG_T(0), *sigma = ARG_T(1);
  int64_t count = al_numel(sigma);
  al_arg given = c->a[4];
  if (sigma->ndim > 1 || count > 3) return al_fail("sigma needs one number, or one a dim");
  if (!given.given && sigma->ndim) given = (al_arg){.i = count, .given = true};
  int n = al_spatial(y, &given);
  if (n < 0 || needs_float(y)) return -1;
  if (sigma->ndim && count != n)
    return al_fail("sigma has %lld entries, x %d spatial dims", (long long)count, n);
  if (!(ARG_F(2) >= 0)) return al_fail("truncate is %g, wants 0 or more", ARG_F(2));
  for (int k = 0; y && k < n; k++) {
    al_tensor *s = sigma->ndim ? al_narrow(sigma, 0, k + 1, 1) : sigma;
    if (sigma->wrapped) s = al_scalar(al_get(sigma, 0), AL_FLOAT64);
    double value = s ? al_get(s, 0) : 0;
    if (!(value >= 0 && value * ARG_F(2) < 1 << 24))
      return al_fail("sigma is %g, wants 0 or more", value);
    if (value == 0) continue;
    int64_t radius = (int64_t)(ARG_F(2) * value + 0.5), length = 2 * radius + 1;
    al_tensor *t = al_empty(AL_FLOAT64, 1, &length);
    for (int64_t i = 0; t && i < length; i++)
      al_set(t, i, -0.5 * (double)((i - radius) * (i - radius)));
    al_tensor *w = al_exp(al_div(t, al_square(al_to(s, AL_FLOAT64))));
    w = al_to(al_div(w, al_sum(w, NULL, 0, false)), (al_dtype)y->dtype);
    y = correlate(&al_op_correlate1d, y, w, k - n, c->a[3].s);
  }
  return al_ret(c, y == ARG_T(0) ? al_apply(&al_op_clone, y) : y);
}
AL_OP(gaussian_blur, .sig = "x:T sigma:N {truncate:num=4 mode:str=reflect spatial:int?} -> T",
      .alias = "gaussian_filter", .flags = AL_F_COMPOSITE,
      .doc =
          "Gaussian filter of standard deviation sigma, a number or a tensor of one for each "
          "spatial dim; as SciPy's gaussian_filter.\n" AL_PICTURE_DOC
          "\nThe taps end truncate sigmas from the centre. mode: see correlate1d. "
          "Gradients reach sigma.",
      .forward = gaussian_forward,
      .sample = "{r(2,5,4), 0.8}, {r(6,5), pos(2), {truncate=2, mode='nearest'}}, "
                "{r(4,3,3), 0.4, {spatial=3}}");

static int uniform_forward(al_call *c) {
  al_tensor *y = ARG_T(0);
  int n = al_spatial(y, &c->a[3]), m = c->a[1].ints.n;
  if (n < 0 || needs_float(y)) return -1;
  if (m != 1 && m != n) return al_fail("size has %d entries, needs 1 or %d", m, n);
  for (int k = 0; y && k < n; k++) {
    int64_t size = c->a[1].ints.v[m == 1 ? 0 : k];
    if (size < 1 || size > 1 << 24) return al_fail("size is %lld", (long long)size);
    al_tensor *one = al_scalar(1 / (double)size, (al_dtype)y->dtype);
    y = correlate(&al_op_correlate1d, y, one ? al_expand(one, &size, 1) : NULL, k - n,
                  c->a[2].s);
  }
  return al_ret(c, y);
}
AL_OP(uniform_filter, .sig = "x:T size:ints=3 {mode:str=reflect spatial:int?} -> T",
      .alias = "box_filter", .flags = AL_F_COMPOSITE,
      .doc = "Mean over boxes of `size` (one number or one a spatial dim), as "
             "SciPy's.\n" AL_PICTURE_DOC,
      .forward = uniform_forward,
      .sample = "{r(2,5,4)}, {r(6,5), {2,3}, {mode='constant'}}, {r(4,3,3), 3, {spatial=3}}");

/* The derivative along spatial dim k of n by SciPy's Sobel taps. */
static al_tensor *slope(al_tensor *x, int n, int k, const char *mode) {
  al_tensor *difference = taps_of(x, 3, (double[]){-1, 0, 1});
  al_tensor *smooth = taps_of(x, 3, (double[]){1, 2, 1}), *y = x;
  for (int d = 0; d < n; d++)
    y = correlate(&al_op_correlate1d, y, d == k ? difference : smooth, d - n, mode);
  return y;
}
static int sobel_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *sum = NULL;
  int n = al_spatial(x, &c->a[3]), d;
  if (n < 0 || needs_float(x)) return -1;
  if (HAS(1)) {
    if (al_dim(ARG_I(1), x->ndim, &d)) return -1;
    if (d < x->ndim - n) return al_fail("dim %d is not spatial", d + 1);
    return al_ret(c, slope(x, n, d - x->ndim + n, c->a[2].s));
  }
  for (d = 0; d < n; d++) {
    al_tensor *s = al_square(slope(x, n, d, c->a[2].s));
    sum = d ? al_add(sum, s) : s;
  }
  return al_ret(c, al_mul_num(al_sqrt(sum), 1 / (2 * pow(4, n - 1) * sqrt(n))));
}
AL_OP(sobel, .sig = "x:T dim:dim? {mode:str=reflect spatial:int?} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "Edges by Sobel's filter.\n" AL_PICTURE_DOC
             "\nWith dim: taps -1 0 1 along it and 1 2 1 across, as SciPy's sobel (8 times the "
             "slope of a picture). Without: the gradient's magnitude as scikit-image's, of "
             "slopes over 2, divided by sqrt of the number of dims; no gradient where it is 0.",
      .forward = sobel_forward,
      .sample = "{r(2,5,4)}, {r(6,5), 1, {mode='constant'}}, {r(4,3,3), -1, {spatial=3}}");

static int laplace_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *sum = NULL;
  int n = al_spatial(x, &c->a[2]);
  if (n < 0 || needs_float(x)) return -1;
  al_tensor *w = taps_of(x, 3, (double[]){1, -2, 1});
  for (int d = 0; d < n; d++) {
    al_tensor *s = correlate(&al_op_correlate1d, x, w, d - n, c->a[1].s);
    sum = d ? al_add(sum, s) : s;
  }
  return al_ret(c, sum);
}
AL_OP(laplace, .sig = "x:T {mode:str=reflect spatial:int?} -> T", .flags = AL_F_COMPOSITE,
      .doc = "Sum of the second differences, 1 -2 1, along the spatial dims.\n" AL_PICTURE_DOC,
      .forward = laplace_forward, .sample = "{r(2,5,4)}, {r(4,3,3), {spatial=3, mode='wrap'}}");

/* ---- median ---- */

enum { MOST = 2048 };
typedef struct median {
  const double *x;
  double *y;
  int64_t shape[4], size[3];
  int mode;
} median;

/* The k-th smallest of v, which is reordered (Hoare's select). */
static double kth(double *v, int64_t n, int64_t k) {
  for (int64_t lo = 0, hi = n - 1; lo < hi;) {
    double pivot = v[k];
    int64_t i = lo, j = hi;
    while (i <= j) {
      while (v[i] < pivot) i++;
      while (pivot < v[j]) j--;
      if (i <= j) {
        double t = v[i];
        v[i++] = v[j], v[j--] = t;
      }
    }
    if (j < k) lo = i;
    if (k < i) hi = j;
  }
  return v[k];
}

static void median_rows(int64_t begin, int64_t end, void *context) {
  const median *m = context;
  double v[MOST];
  int64_t d = m->shape[1], h = m->shape[2], w = m->shape[3];
  for (int64_t r = begin; r < end; r++) {
    const double *plane = m->x + r / (d * h) * d * h * w;
    for (int64_t x = 0; x < w; x++) {
      int64_t n = 0, z0 = r / h % d - m->size[0] / 2, y0 = r % h - m->size[1] / 2;
      for (int64_t a = z0; a < z0 + m->size[0]; a++)
        for (int64_t b = y0; b < y0 + m->size[1]; b++) {
          int64_t z = al_beyond(m->mode, a, d), y = al_beyond(m->mode, b, h);
          for (int64_t e = x - m->size[2] / 2, k = 0; k < m->size[2]; k++, e++) {
            int64_t at = al_beyond(m->mode, e, w);
            v[n++] = z < 0 || y < 0 || at < 0 ? 0 : plane[(z * h + y) * w + at];
          }
        }
      m->y[r * w + x] = kth(v, n, n / 2);
    }
  }
}

static int median_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int n = al_spatial(x, &c->a[3]), count = c->a[1].ints.n;
  median m = {.size = {1, 1, 1}, .mode = al_border(c->a[2].s)};
  if (n < 0 || m.mode < 0) return -1;
  if (count != 1 && count != n) return al_fail("size has %d entries, needs 1 or %d", count, n);
  for (int d = 0; d < n; d++) {
    m.size[3 - n + d] = c->a[1].ints.v[count == 1 ? 0 : d];
    if (m.size[3 - n + d] < 1 || m.size[3 - n + d] > MOST || al_product(3, m.size) > MOST)
      return al_fail("size must be 1 or more, at most %d pixels in all", MOST);
  }
  al_volume(x, n, m.shape);
  al_tensor *in = al_dense(x, AL_FLOAT64), *y = al_empty_like(x, AL_FLOAT64);
  if (!in || !y) return -1;
  m.x = al_data(in), m.y = al_data(y);
  if (al_numel(y))
    al_parallel(al_product(3, m.shape), 1 + 4096 / (m.shape[3] * al_product(3, m.size)),
                median_rows, &m);
  return al_ret(c, al_dense(y, (al_dtype)x->dtype));
}
AL_OP(median_filter, .sig = "x:T size:ints=3 {mode:str=reflect spatial:int?} -> T",
      .flags = AL_F_NODIFF,
      .doc = "Median over boxes of `size`, as SciPy's: of an even number the upper of the two "
             "middle values.\n" AL_PICTURE_DOC "\nAny dtype; computed in float64.",
      .forward = median_forward,
      .sample = "{r(2,5,4)}, {r(6,5), {2,3}, {mode='constant'}}, {r(4,3,3), 3, {spatial=3}}");
