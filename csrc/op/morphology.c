/* morphology.c: erosion and dilation by flat footprints, connected components, exact Euclidean
 * distances, in pictures and volumes. */
#include "picture.h"
#include <math.h>

/* ---- erosion, dilation ---- */

typedef struct job {
  const void *x;
  void *y;
  int64_t shape[4], count;
  const int64_t *at; /* (count, 3): offsets along d, h, w */
  bool dilate, whole;
  double start;      /* of floating x */
  int64_t start_int; /* of the others, which go through int64: exact */
} job;

/* Rows of (outer, d, h): the least (largest) of the footprint's pixels inside the picture. */
#define EXTREME_ROWS(T, first)                                                         \
  static void extreme_rows_##T(int64_t begin, int64_t end, void *context) {            \
    const job *j = context;                                                            \
    int64_t d = j->shape[1], h = j->shape[2], w = j->shape[3];                         \
    for (int64_t r = begin; r < end; r++) {                                            \
      T *to = (T *)j->y + r * w;                                                       \
      for (int64_t i = 0; i < w; i++) to[i] = j->first;                                \
      for (int64_t k = 0; k < j->count; k++) {                                         \
        const int64_t *at = j->at + 3 * k;                                             \
        int64_t z = r / h % d + at[0], y = r % h + at[1], by = at[2];                  \
        int64_t lo = by < 0 ? -by : 0, hi = by > 0 ? w - by : w;                       \
        if (z < 0 || z >= d || y < 0 || y >= h) continue;                              \
        const T *from = (const T *)j->x + (r + at[0] * h + at[1]) * w + by;            \
        if (j->dilate)                                                                 \
          for (int64_t i = lo; i < hi; i++) to[i] = from[i] > to[i] ? from[i] : to[i]; \
        else                                                                           \
          for (int64_t i = lo; i < hi; i++) to[i] = from[i] < to[i] ? from[i] : to[i]; \
      }                                                                                \
    }                                                                                  \
  }
EXTREME_ROWS(double, start)
EXTREME_ROWS(int64_t, start_int)

/* The value of an integer dtype that never wins. */
static int64_t neutral(al_dtype d, bool dilate) {
  if (d == AL_BOOL || d == AL_UINT8) return dilate ? 0 : d == AL_BOOL ? 1 : 255;
  if (d == AL_INT32) return dilate ? INT32_MIN : INT32_MAX;
  return dilate ? INT64_MIN : INT64_MAX;
}

static al_tensor *pass(al_tensor *x, job *j, al_tensor *offsets, int64_t count) {
  al_tensor *y = al_empty_like(x, (al_dtype)x->dtype);
  if (!y) return NULL;
  j->x = al_data(x), j->y = al_data(y), j->at = al_data(offsets), j->count = count;
  if (al_numel(y))
    al_parallel(al_product(3, j->shape), 1 + 32768 / (j->shape[3] * (count + 1)),
                j->whole ? extreme_rows_int64_t : extreme_rows_double, j);
  return y;
}

/* Offsets of a box's side along each spatial dim in turn, or of the true entries of a
 * footprint; dilation takes the footprint mirrored, so that opening and closing stay in place.
 */
static int extreme(al_call *c, bool dilate) {
  al_tensor *x = ARG_T(0), *footprint = ARG_T(2), *y, *offsets;
  int n = al_spatial(x, &c->a[3]), count = c->a[1].ints.n;
  al_dtype d = (al_dtype)x->dtype;
  job j = {.dilate = dilate,
           .whole = !al_is_float(d),
           .start = dilate ? -INFINITY : INFINITY,
           .start_int = neutral(d, dilate)};
  if (n < 0) return -1;
  al_volume(x, n, j.shape);
  if (!(y = al_dense(x, j.whole ? AL_INT64 : AL_FLOAT64))) return -1;
  int64_t sign = dilate ? -1 : 1;
  if (footprint) {
    int64_t size[4], room[] = {al_numel(footprint), 3}, used = 0;
    if (footprint->ndim != n)
      return al_fail("footprint has %d dims, x %d spatial ones", footprint->ndim, n);
    al_volume(footprint, n, size);
    footprint = al_dense(footprint, AL_BOOL);
    if (!footprint || !(offsets = al_empty(AL_INT64, 2, room))) return -1;
    const bool *on = al_data(footprint);
    int64_t *at = al_data(offsets);
    for (int64_t i = 0; i < room[0]; i++)
      if (on[i]) {
        at[3 * used] = sign * (i / size[3] / size[2] - size[1] / 2);
        at[3 * used + 1] = sign * (i / size[3] % size[2] - size[2] / 2);
        at[3 * used++ + 2] = sign * (i % size[3] - size[3] / 2);
      }
    if (!used) return al_fail("footprint has no true entry");
    y = pass(y, &j, offsets, used);
  } else {
    if (count != 1 && count != n)
      return al_fail("size has %d entries, needs 1 or %d", count, n);
    for (int k = 0; y && k < n; k++) {
      int64_t size = c->a[1].ints.v[count == 1 ? 0 : k], room[] = {size, 3};
      if (size < 1 || size > 1 << 20) return al_fail("size is %lld", (long long)size);
      if (!(offsets = al_zeros(AL_INT64, 2, room))) return -1;
      int64_t *at = al_data(offsets);
      for (int64_t i = 0; i < size; i++) at[3 * i + 3 - n + k] = sign * (i - size / 2);
      y = pass(y, &j, offsets, size);
    }
  }
  return al_ret(c, y ? al_dense(y, d) : NULL);
}

#define SIG "x:T size:ints=3 footprint:T? {spatial:int?} -> T"
#define SAMPLE                                                                        \
  "{r(2,5,4)}, {r(6,5), {2,3}}, {r(5,6), 3, t({{1,1,0},{0,1,1}}, {dtype='uint8'})}, " \
  "{mask(5,4)}, {r(4,3,3), {spatial=3}}"
static int erode_forward(al_call *c) { return extreme(c, false); }
static int dilate_forward(al_call *c) { return extreme(c, true); }
AL_OP(erode, .sig = SIG, .alias = "erosion", .flags = AL_F_NODIFF,
      .doc = "The least value under a flat footprint: a box of `size`, or the true entries of "
             "`footprint` about its entry size / 2 (from 0).\n" AL_PICTURE_DOC
             "\nAny dtype, of bool the minimum is and; pixels outside do not count (where none "
             "is inside: the largest value). NaN loses.",
      .forward = erode_forward, .sample = SAMPLE);
AL_OP(dilate, .sig = SIG, .alias = "dilation", .flags = AL_F_NODIFF,
      .doc = "The largest value under the footprint mirrored at its centre; else as erode.",
      .forward = dilate_forward, .sample = SAMPLE);

static int twice(al_call *c, al_op *first, al_op *second) {
  const al_arg *a = c->a;
  al_tensor *x = a[0].t;
  for (int k = 0; x && k < 2; k++) {
    al_call one = {.op = k ? second : first};
    memcpy(one.a, a, 4 * sizeof *a);
    one.a[0].t = x;
    x = al_invoke(&one) ? NULL : one.out[0];
  }
  return al_ret(c, x);
}
static int opening_forward(al_call *c) { return twice(c, &al_op_erode, &al_op_dilate); }
static int closing_forward(al_call *c) { return twice(c, &al_op_dilate, &al_op_erode); }
AL_OP(opening, .sig = SIG, .flags = AL_F_NODIFF,
      .doc = "Erosion, then dilation: what the footprint fits into; see erode.",
      .forward = opening_forward, .sample = SAMPLE);
AL_OP(closing, .sig = SIG, .flags = AL_F_NODIFF,
      .doc =
          "Dilation, then erosion: gaps the footprint does not fit into are filled; see erode.",
      .forward = closing_forward, .sample = SAMPLE);

/* ---- connected components ---- */

typedef struct label_job {
  const bool *x;
  int64_t *y, *counts, shape[4], before[13][3];
  int neighbours;
} label_job;

static int64_t root_of(int64_t *up, int64_t i) {
  while (up[i] != i) i = up[i] = up[up[i]];
  return i;
}

/* Union-find: y holds parents (the root is the first pixel of its part), then labels. */
static void label_volumes(int64_t begin, int64_t end, void *context) {
  const label_job *j = context;
  int64_t d = j->shape[1], h = j->shape[2], w = j->shape[3], size = d * h * w;
  for (int64_t o = begin; o < end; o++) {
    const bool *x = j->x + o * size;
    int64_t *y = j->y + o * size, count = 0;
    for (int64_t i = 0; i < size; i++) {
      y[i] = i;
      if (!x[i]) continue;
      for (int k = 0; k < j->neighbours; k++) {
        const int64_t *by = j->before[k];
        int64_t a = i / w / h + by[0], b = i / w % h + by[1], c = i % w + by[2];
        if (a < 0 || b < 0 || b >= h || c < 0 || c >= w) continue;
        int64_t at = (a * h + b) * w + c;
        if (!x[at]) continue;
        int64_t p = root_of(y, at), q = root_of(y, i);
        if (p < q) y[q] = p;
        else y[p] = q;
      }
    }
    for (int64_t i = 0; i < size; i++) /* parents come first and are labels by now */
      y[i] = !x[i] ? 0 : y[i] == i ? -++count : y[y[i]];
    for (int64_t i = 0; i < size; i++) y[i] = -y[i];
    j->counts[o] = count;
  }
}

static int label_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  int n = al_spatial(x, &c->a[2]);
  int64_t reach = HAS(1) ? ARG_I(1) : 1;
  if (n < 0) return -1;
  if (reach < 1 || reach > n)
    return al_fail("connectivity is %lld, wants 1 to %d", (long long)reach, n);
  label_job j = {0};
  al_volume(x, n, j.shape);
  for (int64_t k = 0; k < 13; k++) { /* those before the pixel in reading order */
    int64_t by[] = {k / 9 - 1, k / 3 % 3 - 1, k % 3 - 1};
    if (by[0] * by[0] + by[1] * by[1] + by[2] * by[2] <= reach)
      memcpy(j.before[j.neighbours++], by, sizeof by);
  }
  al_tensor *on = al_dense(x, AL_BOOL), *y = al_empty_like(x, AL_INT64);
  al_tensor *counts = al_zeros(AL_INT64, x->ndim - n, x->shape);
  if (!on || !y || !counts) return -1;
  j.x = al_data(on), j.y = al_data(y), j.counts = al_data(counts);
  if (al_numel(y)) al_parallel(j.shape[0], 1, label_volumes, &j);
  c->out[0] = y;
  c->out[1] = counts;
  return 0;
}
AL_OP(
    label, .sig = "x:T connectivity:int? {spatial:int?} -> T T",
    .alias = "connected_components", .flags = AL_F_NODIFF,
    .doc =
        "Connected components of what is not 0: labels (int64) of x's shape, 0 the background, "
        "1 .. n in the order of their first pixels, and n of each picture.\n" AL_PICTURE_DOC
        "\nPixels touch that differ by 1 in at most `connectivity` dims (1: faces only; 2: "
        "also diagonals; 3).",
    .forward = label_forward,
    .sample = "{mask(2,5,6)}, {mask(6,5), 2}, {mask(3,4,4), 3, {spatial=3}}");

/* ---- distances ---- */

typedef struct distance {
  double *y;
  int64_t n, inner;
  double step;
  double *room; /* 3 lines of n + 1 a piece */
  int64_t grain;
} distance;

/* min_k y_k + (step (i - k))^2 along the lines (Felzenszwalb and Huttenlocher, Theory of
 * Computing 8, 2012): the lower envelope of parabolas, of finite y_k. */
static void distance_lines(int64_t begin, int64_t end, void *context) {
  const distance *j = context;
  int64_t n = j->n;
  double *f = j->room + begin / j->grain * 3 * (n + 1), *v = f + n + 1, *z = v + n + 1;
  for (int64_t l = begin; l < end; l++) {
    double *y = j->y + l / j->inner * n * j->inner + l % j->inner;
    int64_t top = -1;
    for (int64_t i = 0; i < n; i++) {
      f[i] = y[i * j->inner];
      if (!(f[i] < INFINITY)) continue;
      double s = -INFINITY, at = (double)i * j->step;
      for (; top >= 0; top--) { /* where parabola i passes below the last one */
        double from = v[top] * j->step;
        s = (f[i] + at * at - f[(int64_t)v[top]] - from * from) / (2 * (at - from));
        if (s > z[top]) break;
      }
      v[++top] = (double)i;
      z[top] = top ? s : -INFINITY;
    }
    for (int64_t i = 0, k = 0; top >= 0 && i < n; i++) {
      while (k < top && z[k + 1] < (double)i * j->step) k++;
      double by = ((double)i - v[k]) * j->step;
      y[i * j->inner] = f[(int64_t)v[k]] + by * by;
    }
  }
}

static int distance_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *sampling = ARG_T(1);
  int n = al_spatial(x, &c->a[2]);
  if (n < 0) return -1;
  if (sampling && (sampling->ndim > 1 || (sampling->ndim && sampling->shape[0] != n)))
    return al_fail("sampling needs one number, or one of %d dims", n);
  al_tensor *on = al_dense(x, AL_BOOL), *y = al_empty_like(x, AL_FLOAT64);
  if (!on || !y) return -1;
  double *to = al_data(y);
  int64_t all = al_numel(y);
  for (int64_t i = 0; i < all; i++) to[i] = ((const bool *)al_data(on))[i] ? INFINITY : 0;
  for (int k = 0; all && k < n; k++) {
    int d = x->ndim - n + k;
    distance j = {to, x->shape[d], al_product(n - 1 - k, x->shape + d + 1), 1, NULL, 1};
    int64_t lines = all / j.n;
    j.grain = lines / 64 + 1 + 4096 / j.n;
    int64_t room[] = {lines / j.grain + 1, 3, j.n + 1};
    al_tensor *t = al_empty(AL_FLOAT64, 3, room);
    if (!t) return -1;
    j.room = al_data(t);
    if (sampling) j.step = al_get(sampling, sampling->ndim ? k * sampling->stride[0] : 0);
    if (!(j.step > 0) || !isfinite(j.step)) return al_fail("sampling is %g", j.step);
    al_parallel(lines, j.grain, distance_lines, &j);
  }
  for (int64_t i = 0; i < all; i++) to[i] = sqrt(to[i]);
  return al_ret(c, al_dense(y, x->dtype == AL_FLOAT64 ? AL_FLOAT64 : AL_FLOAT32));
}
AL_OP(distance_transform, .sig = "x:T sampling:N? {spatial:int?} -> T",
      .alias = "distance_transform_edt", .flags = AL_F_NODIFF,
      .doc =
          "Exact Euclidean distance of each pixel that is not 0 to the nearest one that is; "
          "infinity where none is.\n" AL_PICTURE_DOC
          "\nsampling: the pixels' spacing, a number or a tensor of one for each spatial dim. "
          "float32, float64 of float64; computed in float64.",
      .forward = distance_forward,
      .sample = "{mask(2,5,6)}, {mask(6,5), 0.5}, {mask(3,4,4), pos(3), {spatial=3}}");
