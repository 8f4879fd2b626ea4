/* distribution.c: draws from named distributions, one element after the other from one stream.
 */
#include "../core/random.h"
#include "op.h"

#include <math.h>

static al_rng *stream(const al_arg *a) {
  return a->given && a->rng ? a->rng : al_rng_default();
}

/* A uniform number in (0, 1): 52 bits and a half. */
static double unit(al_rng *r) {
  return ((double)al_rng_below(r, (uint64_t)1 << 52) + 0.5) * 0x1p-52;
}
/* Polar method (Marsaglia & Bray 1964), one of the pair. */
static double normal(al_rng *r) {
  for (;;) {
    double u = 2 * unit(r) - 1, v = 2 * unit(r) - 1, s = u * u + v * v;
    if (s < 1 && s > 0) return u * sqrt(-2 * log(s) / s);
  }
}

/* Knuth's product below 10; above, transformed rejection (Hörmann 1993, PTRS). */
static double poisson(al_rng *r, double mean) {
  if (!(mean > 0)) return mean == 0 ? 0 : (double)NAN;
  if (mean < 10) {
    double limit = exp(-mean), p = unit(r);
    int k = 0;
    while (p > limit) p *= unit(r), k++;
    return k;
  }
  double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
  double inverse = 1.1239 + 1.1328 / (b - 3.4), fast = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    double u = unit(r) - 0.5, v = unit(r), s = 0.5 - fabs(u);
    double k = floor((2 * a / s + b) * u + mean + 0.43);
    if (s >= 0.07 && v <= fast) return k;
    if (k < 0 || (s < 0.013 && v > s)) continue;
    if (log(v * inverse / (a / (s * s) + b)) <= k * log(mean) - mean - lgamma(k + 1)) return k;
  }
}

/* Marsaglia & Tsang (2000); shapes below 1 by a power of a uniform. */
static double gamma_(al_rng *r, double shape) {
  if (!(shape > 0)) return (double)NAN;
  if (isinf(shape)) return shape;
  if (shape < 1) return gamma_(r, shape + 1) * pow(unit(r), 1 / shape);
  double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    double x = normal(r), v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    if (log(unit(r)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
  }
}

/* A tensor of draws, one for each element of x, in x's dtype or, for integers, float32. */
static int each(al_call *c, double (*draw)(al_rng *, double)) {
  al_tensor *x = al_dense(ARG_T(0), AL_FLOAT64);
  al_tensor *y = x ? al_empty_like(x, AL_FLOAT64) : NULL;
  if (!y) return -1;
  const double *p = al_data(x);
  double *out = al_data(y);
  al_rng *r = stream(&c->a[1]);
  for (int64_t i = 0, n = al_numel(x); i < n; i++) out[i] = draw(r, p[i]);
  return al_ret(
      c, al_to(y, al_is_float(ARG_T(0)->dtype) ? (al_dtype)ARG_T(0)->dtype : AL_FLOAT32));
}
static int poisson_(al_call *c) { return each(c, poisson); }
AL_OP(poisson, .sig = "x:T {generator:rng?} -> T",
      .doc = "Poisson random numbers whose means are x (Hörmann 1993).", .forward = poisson_,
      .sample = "{pos(3,4) * 20}", .flags = AL_F_RANDOM | AL_F_NODIFF);
static int gammas(al_call *c) { return each(c, gamma_); }
AL_OP(gamma, .sig = "x:T {generator:rng?} -> T",
      .doc = "Gamma random numbers of shape x and scale 1 (Marsaglia & Tsang 2000).",
      .forward = gammas, .sample = "{pos(3,4)}", .flags = AL_F_RANDOM | AL_F_NODIFF);

static int exponential(al_call *c) {
  if (!(ARG_F(1) > 0)) return al_fail("rate must be above 0, got %g", ARG_F(1));
  extern al_op al_op_rand_like;
  al_tensor *x = ARG_T(0);
  al_tensor *u = al_apply(&al_op_rand_like, x, -1, HAS(2) ? c->a[2].rng : NULL);
  al_tensor *y = al_mul_num(al_log1p(al_neg(u)), -1 / ARG_F(1));
  if (!c->into) return al_ret(c, y);
  return al_copy(c->into, y) ? -1 : al_ret(c, c->into);
}
AL_OP(exponential, .sig = "x:T rate:num=1 {generator:rng?} -> T",
      .doc = "Exponential random numbers, mean 1 / rate, of x's shape; exponential_ fills x.",
      .forward = exponential, .sample = "{r(3,4), 2}",
      .flags = AL_F_RANDOM | AL_F_NODIFF | AL_F_INPLACE);

/* ---- multinomial ---- */

/* With replacement: where a uniform falls among the running sums. */
static void draw_with(al_rng *r, const double *sum, int64_t n, int64_t *out, int64_t count) {
  for (int64_t k = 0; k < count; k++) {
    double u = unit(r) * sum[n - 1];
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
      int64_t mid = (lo + hi) / 2;
      if (sum[mid] > u) hi = mid;
      else lo = mid + 1;
    }
    out[k] = lo + 1;
  }
}
/* Without: the smallest of exponential clocks of rates w (Efraimidis & Spirakis 2006). */
static void draw_without(al_rng *r, double *w, int64_t n, int64_t *out, int64_t count) {
  for (int64_t i = 0; i < n; i++) w[i] = w[i] > 0 ? -log(unit(r)) / w[i] : INFINITY;
  for (int64_t k = 0; k < count; k++) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
      if (w[i] < w[best]) best = i;
    out[k] = best + 1;
    w[best] = INFINITY;
  }
}

static int multinomial(al_call *c) {
  al_tensor *x = al_fresh_contiguous(ARG_T(0), AL_FLOAT64);
  int64_t count = ARG_I(1);
  if (!x) return -1;
  if (x->ndim < 1 || x->ndim > 2) return al_fail("x must have 1 or 2 dims, it has %d", x->ndim);
  if (count < 1) return al_fail("count must be at least 1, got %lld", (long long)count);
  const int64_t n = x->shape[x->ndim - 1], rows = x->ndim == 2 ? x->shape[0] : 1;
  int64_t shape[2] = {rows, count};
  al_tensor *y = x->ndim == 2 ? al_empty(AL_INT64, 2, shape) : al_empty(AL_INT64, 1, &count);
  al_rng *r = stream(&c->a[3]);
  if (!y) return -1;
  for (int64_t i = 0; i < rows; i++) {
    double *w = (double *)al_data(x) + i * n, sum = 0;
    int64_t *out = (int64_t *)al_data(y) + i * count, possible = 0;
    for (int64_t k = 0; k < n; k++) {
      if (!(w[k] >= 0) || isinf(w[k]))
        return al_fail("weights must be finite and not negative");
      sum += w[k], possible += w[k] > 0;
    }
    if (possible < (ARG_B(2) ? 1 : count))
      return al_fail("%lld of the weights are above 0, which is too few", (long long)possible);
    for (int64_t k = 1; ARG_B(2) && k < n; k++) w[k] += w[k - 1];
    if (ARG_B(2)) draw_with(r, w, n, out, count);
    else draw_without(r, w, n, out, count);
  }
  return al_ret(c, y);
}
AL_OP(multinomial, .sig = "x:T count:int {replacement:bool=false generator:rng?} -> T",
      .doc = "count positions (from 1) drawn by the weights in x, or in each row of x.",
      .forward = multinomial, .sample = "{pos(5), 2}, {pos(3,4), 6, {replacement=true}}",
      .flags = AL_F_RANDOM | AL_F_NODIFF);
