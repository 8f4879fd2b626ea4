/* radon.c: projections of pictures along lines and back, in scikit-image's geometry.
 *
 * One hidden op, project, is four linear maps between square pictures and sinograms, each the
 * transpose of its neighbour: the gradient of kind k is kind k ^ 1. */
#include "../kernel/radon.h"
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_project, al_op_pad, al_op_rfft, al_op_irfft;

/* With n = size, m = n / 2 (rounded down), angle a, and interpolation linear, 0 outside.
 *
 * ROTATE: sinogram[c][a] = sum over r < n of picture at x = m + (c - m) cos a + (r - m) sin a,
 * y = m - (c - m) sin a + (r - m) cos a; SPREAD is its transpose.
 *
 * SMEAR: picture[y][x] = sum over angles of sinogram[.][a] at d = (x - m) cos a - (y - m) sin a
 * from its middle; GATHER is its transpose. */
enum { ROTATE, SPREAD, SMEAR, GATHER, PARTS = 8 };

typedef struct job {
  /* Pictures (planes, n, n), or lines (planes, angles, detectors + AL_RADON_PAD): sinograms
   * turned, each line ending in zeros. Of pictures scattered into, `to` is PARTS partial sums.
   */
  const double *from;
  double *to;
  const double *sine, *cosine;
  int64_t n, detectors, angles;
  int kind;
} job;

/* The four weights of a picture at (x, y), added in (value given) or summed up (returned). */
static double picture_at(double *p, int64_t n, double x, double y, double value, bool add) {
  int64_t i = (int64_t)floor(x), j = (int64_t)floor(y);
  double fx = x - (double)i, fy = y - (double)j, sum = 0;
  if (i >= 0 && j >= 0 && i < n - 1 && j < n - 1 && !add) {
    const double *at = p + j * n + i;
    double top = at[0] + fx * (at[1] - at[0]), low = at[n] + fx * (at[n + 1] - at[n]);
    return top + fy * (low - top);
  }
  if (i < -1 || j < -1 || i >= n || j >= n) return 0;
  for (int k = 0; k < 4; k++) {
    int64_t u = i + (k & 1), v = j + (k >> 1);
    double w = (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy);
    if (u < 0 || v < 0 || u >= n || v >= n) continue;
    if (add) p[v * n + u] += w * value;
    else sum += w * p[v * n + u];
  }
  return sum;
}

/* ROTATE and SPREAD of angles [a0, a1). */
static void rotate(const job *j, double *picture, double *lines, int64_t a0, int64_t a1) {
  double m = (double)(j->n / 2);
  for (int64_t a = a0; a < a1; a++)
    for (int64_t c = 0; c < j->n; c++) {
      double s = j->sine[a], k = j->cosine[a], u = (double)c - m, sum = 0;
      double *at = lines + a * (j->detectors + AL_RADON_PAD) + c;
      for (int64_t r = 0; r < j->n; r++) {
        double v = (double)r - m, x = m + u * k + v * s, y = m - u * s + v * k;
        sum += picture_at(picture, j->n, x, y, *at, j->kind == SPREAD);
      }
      if (j->kind == ROTATE) *at = sum;
    }
}

/* SMEAR and GATHER of rows [y0, y1) and angles [a0, a1). Along a row d is monotone: the x with
 * 0 <= d <= detectors - 1 are neighbours, none when the angle is NaN. */
static void smear(const job *j, double *picture, double *lines, int64_t y0, int64_t y1,
                  int64_t a0, int64_t a1) {
  double m = (double)(j->n / 2), middle = (double)(j->detectors / 2);
  double most = (double)(j->detectors - 1);
  for (int64_t y = y0; y < y1; y++)
    for (int64_t a = a0; a < a1; a++) {
      double *p = picture + y * j->n, *line = lines + a * (j->detectors + AL_RADON_PAD);
      double k = j->cosine[a], t = ((double)y - m) * j->sine[a];
      int64_t x0 = 0, x1 = j->n;
#define AT(x) (((double)(x)-m) * k - t + middle)
#define INSIDE(x) (AT(x) >= 0 && AT(x) <= most)
      while (x0 < x1 && !INSIDE(x0)) x0++;
      while (x1 > x0 && !INSIDE(x1 - 1)) x1--;
      if (j->kind == SMEAR) {
        AL_SELECT(al_radon).smear(p, line, x0, x1, m, k, t, middle);
        continue;
      }
      for (int64_t x = x0; x < x1; x++) {
        double d = AT(x);
        int64_t i = (int64_t)d;
        line[i] += (1 - (d - (double)i)) * p[x], line[i + 1] += (d - (double)i) * p[x];
      }
    }
}

/* Task t is part t % PARTS (of the angles, or for SMEAR of the rows) of plane t / PARTS. */
static void tasks(int64_t begin, int64_t end, void *context) {
  const job *j = context;
  int64_t pixels = j->n * j->n, samples = (j->detectors + AL_RADON_PAD) * j->angles;
  for (int64_t t = begin; t < end; t++) {
    int64_t plane = t / PARTS, part = t % PARTS;
    int64_t a0 = j->angles * part / PARTS, a1 = j->angles * (part + 1) / PARTS;
    int64_t y0 = j->n * part / PARTS, y1 = j->n * (part + 1) / PARTS;
    bool from_picture = j->kind == ROTATE || j->kind == GATHER;
    double *in =
        (double *)j->from + plane * (from_picture ? pixels : samples); /* not written */
    switch (j->kind) {
    case ROTATE: rotate(j, in, j->to + plane * samples, a0, a1); break;
    case SPREAD: rotate(j, j->to + t * pixels, in, a0, a1); break;
    case SMEAR: smear(j, j->to + plane * pixels, in, y0, y1, 0, j->angles); break;
    default: smear(j, in, j->to + plane * samples, 0, j->n, a0, a1);
    }
  }
}

/* Copies sinograms (planes, detectors, angles) to lines, or back. */
static void flip(const job *j, int64_t planes, double *sinogram, double *lines, bool to_lines) {
  for (int64_t i = 0; i < planes * j->detectors; i++)
    for (int64_t a = 0; a < j->angles; a++) {
      int64_t plane = i / j->detectors, k = i % j->detectors;
      double *s = sinogram + i * j->angles + a;
      double *l = lines + (plane * j->angles + a) * (j->detectors + AL_RADON_PAD) + k;
      if (to_lines) *l = *s;
      else *s = *l;
    }
}

static int project_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *angles = ARG_T(1);
  int kind = (int)ARG_I(2), last = x->ndim - 1;
  bool from_picture = kind == ROTATE || kind == GATHER;
  int64_t shape[AL_MAX_DIMS], size = ARG_I(3);
  al_dtype d = (al_dtype)x->dtype;
  if (!al_is_float(d)) return al_fail("x is %s, needs a float", al_dtype_name(d));
  if (angles->ndim != 1 || angles->requires_grad)
    return al_fail("angles must be one dim, and have no gradient");
  if (kind < 0 || kind > GATHER || last < 1 || size < 0 ||
      (from_picture ? x->shape[last] != x->shape[last - 1]
                    : x->shape[last] != angles->shape[0]))
    return al_fail("shape %s does not suit %lld angles", al_shape_text(x->ndim, x->shape),
                   (long long)angles->shape[0]);
  job j = {.kind = kind, .angles = angles->shape[0]};
  j.n = from_picture ? x->shape[last] : size;
  j.detectors = from_picture ? size : x->shape[last - 1];
  if (j.detectors >= INT32_MAX) return al_fail("%lld detectors", (long long)j.detectors);
  if (kind < SMEAR && j.n != j.detectors) return al_fail("size %lld is wrong", (long long)size);
  int64_t planes = al_product(last - 1, x->shape);
  memcpy(shape, x->shape, sizeof shape);
  shape[last - 1] = size, shape[last] = from_picture ? j.angles : size;
  int64_t sums[] = {planes, PARTS, size * size}, two[] = {2, j.angles};
  int64_t turned[] = {planes, j.angles, j.detectors + AL_RADON_PAD};
  al_tensor *in = al_dense(x, AL_FLOAT64), *turn = al_empty(AL_FLOAT64, 2, two), *parts;
  al_tensor *y = al_zeros(AL_FLOAT64, x->ndim, shape), *lines = al_zeros(AL_FLOAT64, 3, turned);
  parts = kind == SPREAD ? al_zeros(AL_FLOAT64, 3, sums) : from_picture ? lines : y;
  if (!in || !turn || !y || !lines || !parts) return -1;
  if (!from_picture) flip(&j, planes, al_data(in), al_data(lines), true);
  double *sine = al_data(turn);
  for (int64_t a = 0; a < j.angles; a++) {
    double degrees = al_get(angles, a * angles->stride[0]);
    sine[a] = sin(degrees * (M_PI / 180)), sine[j.angles + a] = cos(degrees * (M_PI / 180));
  }
  j.sine = sine, j.cosine = sine + j.angles, j.from = al_data(from_picture ? in : lines),
  j.to = al_data(parts);
  if (al_numel(y) && al_numel(in)) al_parallel(planes * PARTS, 1, tasks, &j);
  for (int64_t i = 0; kind == SPREAD && i < planes * PARTS; i++)
    for (int64_t k = 0; k < size * size; k++)
      ((double *)al_data(y))[i / PARTS * size * size + k] += j.to[i * size * size + k];
  if (from_picture) flip(&j, planes, al_data(y), al_data(lines), false);
  return al_ret(c, al_dense(y, d));
}
static int project_grad(al_back *b) {
  int n, kind = (int)b->a[2].i;
  const int64_t *shape = al_edge_shape(b, 0, &n);
  return al_grad1(
      b, al_apply(&al_op_project, b->g[0], b->in[1], (int64_t)(kind ^ 1), shape[n - 2]));
}
#define ANGLES "t({0, 30, 75, 90, 160}, {dtype='int64'})"
AL_OP(project, .sig = "x:T angles:T kind:int size:int -> T", .flags = AL_F_HIDDEN,
      .save = "angles", .doc = "The linear maps behind radon and iradon; see op/radon.c.",
      .forward = project_forward, .grad = project_grad,
      .sample = "{r(2,5,5), " ANGLES ", 0, 5}, {r(6,5), " ANGLES ", 1, 6}, {r(5,5), " ANGLES
                ", 2, 4}, {r(2,4,4), " ANGLES ", 3, 7}");

/* x cut (negative) or padded by `by` entries along dim, half of them before as scikit-image
 * does: the middle entry size / 2 stays the middle one. */
static al_tensor *centred(al_tensor *x, int dim, int64_t size) {
  int64_t old = x->shape[dim], pads[2 * AL_MAX_DIMS] = {0};
  int at = x->ndim - 1 - dim;
  pads[2 * at] = size / 2 - old / 2;
  pads[2 * at + 1] = size - old - pads[2 * at];
  return size == old ? x : al_apply(&al_op_pad, x, pads, 2 * at + 2, "constant", 0.0);
}

static int check(const al_tensor *x, const al_tensor *angles) {
  if (x->ndim < 2) return al_fail("x has %d dims, needs 2 or more", x->ndim);
  if (!al_is_float(x->dtype))
    return al_fail("x is %s, needs a float", al_dtype_name((al_dtype)x->dtype));
  if (angles->ndim != 1) return al_fail("angles needs one dim, has %d", angles->ndim);
  return angles->requires_grad ? al_fail("there is no gradient in angles") : 0;
}

static int radon_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  if (check(x, ARG_T(1))) return -1;
  int64_t h = x->shape[x->ndim - 2], w = x->shape[x->ndim - 1], size = h < w ? h : w;
  if (ARG_B(2)) {
    for (int k = 1; x && k <= 2; k++) {
      int64_t excess = ARG_T(0)->shape[x->ndim - k] - size;
      if (excess) x = al_narrow(x, x->ndim - k, 1 + (excess + 1) / 2, size);
    }
  } else {
    size = (int64_t)ceil(M_SQRT2 * (double)(h < w ? w : h));
    x = centred(x, x->ndim - 2, size);
    x = x ? centred(x, x->ndim - 1, size) : NULL;
  }
  return al_ret(c, al_apply(&al_op_project, x, ARG_T(1), (int64_t)ROTATE, size));
}
AL_OP(radon, .sig = "x:T angles:T {circle:bool=true} -> T", .flags = AL_F_COMPOSITE,
      .doc =
          "Radon transform: sums along lines of pictures ... x H x W, at angles in degrees, as "
          "scikit-image's.\n"
          "Gives ... x detectors x angles. circle: the picture is 0 outside the circle in it, "
          "cut square when it is not, detectors its side; without, it is padded to its "
          "diagonal. Column a holds the sums over the rows of the picture turned by a about "
          "pixel (H / 2, W / 2), counted from 0, bilinear. The gradient is the exact "
          "transpose.",
      .forward = radon_forward,
      .sample = "{r(2,5,5), " ANGLES "}, {r(4,7), " ANGLES "}, {r(3,4), " ANGLES
                ", {circle=false}}");

/* What multiplies the spectrum, entries 0 .. n / 2: the ramp of the discrete kernel (Kak and
 * Slaney 1988, eq. 61) by a window. */
static al_tensor *filter_of(const char *name, int64_t n) {
  static const char *const names[] = {"ramp",    "shepp-logan", "cosine",
                                      "hamming", "hann",        "none"};
  int which = 0;
  while (which < 6 && strcmp(name, names[which])) which++;
  if (which == 6)
    return al_null("filter '%s' is none of ramp, shepp-logan, cosine, hamming, hann, none",
                   name);
  al_tensor *f = al_zeros(AL_FLOAT64, 1, &n);
  double *v = f ? al_data(f) : NULL;
  for (int64_t k = 1; v && k < n; k += 2) {
    double d = (double)(k < n / 2 ? k : n - k) * M_PI;
    v[k] = -1 / (d * d);
  }
  if (!v) return NULL;
  v[0] = 0.25;
  al_tensor *y = al_narrow(al_apply(&al_op_rfft, f, n, (int64_t)-1, "backward"), 1, 1, 1);
  y = y ? al_fresh_contiguous(y, AL_FLOAT64) : NULL;
  v = y ? al_data(y) : NULL;
  for (int64_t k = 0; v && k <= n / 2; k++) {
    double t = M_PI * (double)k / (double)n, turn = 2 * M_PI / (double)(n - 1);
    /* windows of odd symmetry about (n - 1) / 2: the mean of those at k and -k */
    double cosine =
        (cos(turn * (double)((k + n / 2) % n)) + cos(turn * (double)(n / 2 - k))) / 2;
    v[k] *= 2;
    if (which == 1 && k) v[k] *= sin(t) / t;
    if (which == 2) v[k] *= k == n / 2 ? 0 : cos(t);
    if (which == 3) v[k] *= 0.54 - 0.46 * cosine;
    if (which == 4) v[k] *= 0.5 - 0.5 * cosine;
    if (which == 5) v[k] = 1;
  }
  return y;
}

static int iradon_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *angles = ARG_T(1), *f;
  bool circle = ARG_B(4);
  if (check(x, angles)) return -1;
  int dim = x->ndim - 2;
  int64_t side = x->shape[dim], n = 64;
  if (x->shape[dim + 1] != angles->shape[0])
    return al_fail("x has %lld angles, angles %lld", (long long)x->shape[dim + 1],
                   (long long)angles->shape[0]);
  int64_t size = HAS(3)   ? ARG_I(3)
                 : circle ? side
                          : (int64_t)floor(sqrt((double)(side * side) / 2));
  if (size < 0 || size > 1 << 20) return al_fail("size is %lld", (long long)size);
  if (circle) x = centred(x, dim, (int64_t)ceil(M_SQRT2 * (double)side));
  if (!x) return -1;
  int64_t detectors = x->shape[dim];
  while (n < 2 * detectors) n *= 2;
  if (!(f = filter_of(c->a[2].s, n))) return -1;
  int64_t line[] = {n / 2 + 1, 1, 1};
  f = al_reshape(al_to(f, (al_dtype)x->dtype), line, 3);
  x = al_mul(al_apply(&al_op_rfft, x, n, (int64_t)dim, "backward"), f);
  x = al_narrow(al_apply(&al_op_irfft, x, n, (int64_t)dim, "backward"), dim, 1, detectors);
  x = al_apply(&al_op_project, x, angles, (int64_t)SMEAR, size);
  if (circle && x) {
    int64_t plane[] = {size, size}, m = size / 2;
    al_tensor *mask = al_zeros((al_dtype)x->dtype, 2, plane);
    for (int64_t i = 0; mask && i < size * size; i++) {
      int64_t u = i / size - m, v = i % size - m;
      if (u * u + v * v <= m * m) al_set(mask, i, 1);
    }
    x = al_mul(x, mask);
  }
  int64_t count = angles->shape[0];
  return al_ret(c, al_mul_num(x, M_PI / (2 * (double)(count ? count : 1))));
}
AL_OP(iradon, .sig = "x:T angles:T {filter:str=ramp size:int? circle:bool=true} -> T",
      .flags = AL_F_COMPOSITE,
      .doc =
          "Filtered back-projection of sinograms ... x detectors x angles (degrees), as "
          "scikit-image's: the inverse of radon.\n"
          "Gives ... x size x size (detectors; without circle detectors / sqrt 2), 0 outside "
          "the circle. filter: ramp, shepp-logan, cosine, hamming, hann, none. Back-projection "
          "interpolates linearly along the detectors.",
      .forward = iradon_forward,
      .sample = "{r(2,5,5), " ANGLES "}, {r(6,5), " ANGLES
                ", {filter='hann', size=4}}, {r(7,5), " ANGLES
                ", {filter='cosine', circle=false}}, {r(5,5), " ANGLES
                ", {filter='shepp-logan'}}, {r(5,5), " ANGLES
                ", {filter='hamming'}}, {r(4,5), " ANGLES ", {filter='none'}}");
