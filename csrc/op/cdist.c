/* cdist.c: distances between all pairs of rows, in doubles. */
#include "linalg.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 512 }; /* distances of one row at work in the first cache */

/* Stacks of rows x (.., n, k) and y (.., m, k), dense doubles; columns: y is (.., k, m). */
typedef struct pairs {
  const double *x, *y, *g, *dist, *norm; /* norm: the squared lengths of y's rows */
  double *out, p;
  int64_t n, m, k;
} pairs;

/* |x - y|^2 as |x|^2 + |y|^2 - 2 x y, the products being in `out`; by the differences where
 * that would cancel to less than a thousandth. */
static void euclid_rows(int64_t begin, int64_t end, void *arg) {
  const pairs *q = arg;
  for (int64_t i = begin; i < end; i++) {
    const double *x = q->x + i * q->k;
    double length = 0;
    for (int64_t l = 0; l < q->k; l++) length += x[l] * x[l];
    for (int64_t j = 0; j < q->m; j++) {
      int64_t row = i / q->n * q->m + j;
      double *out = q->out + i * q->m + j, both = length + q->norm[row], d = both - 2 * *out;
      if (!(d > 1e-3 * both)) { /* NaN and infinities too */
        const double *y = q->y + row * q->k;
        d = 0;
        for (int64_t l = 0; l < q->k; l++) d += (x[l] - y[l]) * (x[l] - y[l]);
      }
      *out = sqrt(d);
    }
  }
}

/* Distances of x's row i from all rows of y, given as columns. */
static void distances(const pairs *q, const double *x, const double *y, double *restrict d,
                      int64_t len) {
  const double p = q->p;
  memset(d, 0, (size_t)len * sizeof *d);
  for (int64_t l = 0; l < q->k; l++, y += q->m) {
    const double v = x[l];
    if (p == 1)
      for (int64_t j = 0; j < len; j++) d[j] += fabs(v - y[j]);
    else
      for (int64_t j = 0; j < len; j++) {
        double a = fabs(v - y[j]);
        if (!isinf(p)) d[j] += p == 0 ? a != 0 : pow(a, p);
        else if (a > d[j] || a != a) d[j] = a;
      }
  }
  for (int64_t j = 0; j < len && p != 1 && p != 0 && !isinf(p); j++) d[j] = pow(d[j], 1 / p);
}
static void forward_rows(int64_t begin, int64_t end, void *arg) {
  const pairs *q = arg;
  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j < q->m; j += BLOCK)
      distances(q, q->x + i * q->k, q->y + i / q->n * q->k * q->m + j, q->out + i * q->m + j,
                q->m - j < BLOCK ? q->m - j : BLOCK);
}

/* The slope of a distance d > 0 by one difference v. */
static double slope(double p, double v, double d) {
  double sign = v > 0 ? 1 : v < 0 ? -1 : v;
  if (p == 1) return sign;
  if (isinf(p)) return fabs(v) == d ? sign : 0;
  return v == 0 ? 0 : sign * pow(fabs(v) / d, p - 1);
}
/* Row i of x: sum over j of g_ij slope(x_i - y_j, d_ij). */
static void backward_rows(int64_t begin, int64_t end, void *arg) {
  const pairs *q = arg;
  for (int64_t i = begin; i < end; i++) {
    const double *x = q->x + i * q->k, *y = q->y + i / q->n * q->m * q->k;
    double *restrict out = q->out + i * q->k;
    memset(out, 0, (size_t)q->k * sizeof *out);
    for (int64_t j = 0; j < q->m; j++, y += q->k) {
      double d = q->dist[i * q->m + j], w = q->g[i * q->m + j];
      if (d == 0) continue;
      for (int64_t l = 0; l < q->k && isinf(q->p); l++) /* unrounded */
        d = l == 0 ? fabs(x[0] - y[0]) : fmax(d, fabs(x[l] - y[l]));
      if (q->p == 2)
        for (int64_t l = 0; l < q->k; l++) out[l] += w / d * (x[l] - y[l]);
      else
        for (int64_t l = 0; l < q->k; l++) out[l] += w * slope(q->p, x[l] - y[l], d);
    }
  }
}

static const double *doubles(al_tensor *t) {
  t = t ? al_dense(t, AL_FLOAT64) : NULL;
  return t ? al_data(t) : NULL;
}
/* fn on each row of x, from y's rows (or columns), into out: (.., n, m) or (.., n, k). */
static al_tensor *run(pairs *q, al_tensor *x, al_tensor *y, double p, al_tensor *out,
                      bool columns, void (*fn)(int64_t, int64_t, void *)) {
  int n = x->ndim;
  q->n = x->shape[n - 2], q->k = x->shape[n - 1], q->m = y->shape[n - 2], q->p = p;
  if (!out || !(q->x = doubles(x)) || !(q->y = doubles(columns ? al_mT(y) : y))) return NULL;
  q->out = al_data(out);
  al_parallel(al_product(n - 1, x->shape), 1 + (1 << 15) / (q->m * q->k + 1), fn, q);
  return out;
}

static int cdist_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = ARG_T(1);
  pairs q = {0};
  al_dtype d = al_promote(2, (al_tensor *[]){x, y});
  if (x->ndim < 2 || y->ndim < 2) return al_fail("x and y need 2 dims: (n, k) and (m, k)");
  if (!(ARG_F(2) >= 0)) return al_fail("p must not be negative");
  if (!al_is_float(d)) return al_fail("x or y must be floating");
  if (y->shape[y->ndim - 1] != x->shape[x->ndim - 1])
    return al_fail("rows of x have %lld entries, of y %lld", (long long)x->shape[x->ndim - 1],
                   (long long)y->shape[y->ndim - 1]);
  if (al_share_lead(&x, &y)) return -1;
  if (ARG_F(2) == 2) {
    const int64_t last = -1;
    x = al_dense(x, AL_FLOAT64);
    y = al_dense(y, AL_FLOAT64);
    al_tensor *out = al_matmul(x, al_mT(y)), *norm = al_sum(al_square(y), &last, 1, false);
    if (!out || !(q.norm = doubles(norm))) return -1;
    out = run(&q, x, y, 2, out, false, euclid_rows);
    return al_ret(c, out ? al_dense(out, d) : NULL);
  }
  int64_t shape[AL_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[x->ndim - 1] = y->shape[y->ndim - 2];
  al_tensor *out =
      run(&q, x, y, ARG_F(2), al_empty(AL_FLOAT64, x->ndim, shape), true, forward_rows);
  return al_ret(c, out ? al_dense(out, d) : NULL);
}

/* The gradient of x by its differences from y, in one pass. */
static al_tensor *pulled(al_tensor *g, al_tensor *x, al_tensor *y, al_tensor *dist, double p) {
  pairs q = {0};
  if (al_share_lead(&x, &y) || !(q.g = doubles(g)) || !(q.dist = doubles(dist))) return NULL;
  return run(&q, x, y, p, al_empty(AL_FLOAT64, x->ndim, x->shape), false, backward_rows);
}

/* The same of ops, for gradients of gradients: over (.., n, m, k) differences. */
static int differences_grad(al_back *b, double p) {
  al_tensor *none = al_number(0), *one = al_number(1), *dist = al_unsqueeze(b->out[0], -1);
  al_tensor *v = al_sub(al_unsqueeze(b->in[0], -2), al_unsqueeze(b->in[1], -3)),
            *s = al_sign(v);
  al_tensor *flat = al_eq(dist, none), *safe = al_where(flat, one, dist), *a = al_abs(v);
  if (isinf(p)) s = al_mul(s, al_eq(a, dist));
  else if (p == 2) s = al_div(v, safe);
  else if (p != 1) {
    al_tensor *zero = al_eq(a, none), *ratio = al_div(al_where(zero, one, a), safe);
    s = al_where(zero, none, al_mul(s, al_pow(ratio, al_number(p - 1))));
  }
  s = al_where(flat, none, al_mul(al_unsqueeze(b->g[0], -1), s));
  const int64_t m = -2, n = -3;
  if (b->needs[0] && !(b->gx[0] = al_sum(s, &m, 1, false))) return -1;
  if (b->needs[1] && !(b->gx[1] = al_neg(al_sum(s, &n, 1, false)))) return -1;
  return 0;
}
static int cdist_grad(al_back *b) {
  al_tensor *x = b->in[0], *y = b->in[1], *dist = b->out[0];
  double p = b->a[2].f;
  if (p == 0 || !al_numel(dist)) return 0;
  if (b->create_graph) return differences_grad(b, p);
  if (b->needs[0] && !(b->gx[0] = pulled(b->g[0], x, y, dist, p))) return -1;
  if (b->needs[1] && !(b->gx[1] = pulled(al_mT(b->g[0]), y, x, al_mT(dist), p))) return -1;
  return 0;
}

AL_OP(
    cdist, .sig = "x:T y:T p:num=2 -> T",
    .doc =
        "Distances (sum |x_i - y_j|^p)^(1/p) between all rows of x (.., n, k) and y (.., m, "
        "k): "
        "(.., n, m).\np = math.huge: the largest difference; 0: how many differ. Leading dims "
        "broadcast. The gradient is 0 where the distance is.",
    .forward = cdist_forward, .grad = cdist_grad, .save = "x y out",
    .sample = "{r(3,2), r(4,2)}, {r(2,3,2), r(4,2), 1}, {distinct(3,2), distinct(2,2) * 2.2, "
              "math.huge}, {r(2,2), r(2,2,2), 3}, {r(3,2), r(2,2), 1.5}");
