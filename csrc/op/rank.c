/* rank.c: what rests on the order of values: medians, quantiles, distinct values, bins,
 * running extremes. Positions count from 1. */
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_sort, al_op_gather, al_op_index_select, al_op_lerp, al_op_isnan,
    al_op_linspace;

/* ---- medians, quantiles ---- */

/* x, or all of it as one row when no dim is given (argument `at`); the dim. */
static al_tensor *row_of(al_call *c, int at, int64_t *dim) {
  static const int64_t flat[] = {-1};
  al_tensor *x = ARG_T(0);
  int d = 0;
  if (HAS(at) && al_dim(ARG_I(at), x->ndim, &d)) return NULL;
  *dim = d;
  if (!HAS(at) || x->ndim == 0) x = al_reshape(x, flat, 1);
  if (x && x->shape[d] == 0) return al_null("there is no element to choose from");
  return x;
}

/* Values in order along dim and their positions, into out[0] and out[1]. */
static int ordered(al_tensor *x, int64_t dim, al_tensor **out) {
  al_call s = {.op = &al_op_sort};
  s.a[0] = (al_arg){.t = x, .given = true};
  s.a[1] = (al_arg){.i = dim, .given = true};
  s.a[2] = (al_arg){.b = false, .given = true};
  if (al_invoke(&s)) return -1;
  out[0] = s.out[0], out[1] = s.out[1];
  return 0;
}

/* The dim `d` of size 1 dropped, or all dims kept as 1. */
static al_tensor *reduced(al_call *c, al_tensor *y, int64_t dim, int at, bool keep) {
  const al_tensor *x = ARG_T(0);
  int64_t shape[AL_MAX_DIMS];
  int n = 0;
  for (int d = 0; d < x->ndim; d++)
    if (keep || (HAS(at) && d != dim)) shape[n++] = HAS(at) && d != dim ? x->shape[d] : 1;
  return al_reshape(y, shape, n);
}

static int middle(al_call *c, bool skip) {
  int64_t dim, shape[AL_MAX_DIMS];
  al_tensor *x = row_of(c, 1, &dim), *s[2];
  if (!x || ordered(x, dim, s)) return -1;
  const int64_t n = x->shape[dim];
  memcpy(shape, x->shape, sizeof shape);
  shape[dim] = 1;
  al_tensor *at = al_empty(AL_INT64, x->ndim, shape), *bad = NULL;
  if (!at) return -1;
  if (al_is_float(x->dtype) && !(bad = al_sum(al_apply(&al_op_isnan, x), &dim, 1, true)))
    return -1;
  for (int64_t i = 0; i < al_numel(at); i++) {
    int64_t lost = bad ? al_get_int(bad, i) : 0, left = n - lost;
    al_set_int(at, i, lost && (!skip || !left) ? n : (left + 1) / 2);
  }
  bool keep = ARG_B(2);
  c->out[0] = reduced(c, al_apply(&al_op_gather, s[0], dim, at), dim, 1, keep);
  if (HAS(1)) c->out[1] = reduced(c, al_apply(&al_op_gather, s[1], dim, at), dim, 1, keep);
  return c->out[0] && (c->out[1] || !HAS(1)) ? 0 : -1;
}
static int median(al_call *c) { return middle(c, false); }
static int nanmedian(al_call *c) { return middle(c, true); }
#define MEDIAN_SAMPLE "{distinct(3,5)}, {distinct(4,3), 1}, {distinct(2,4), 2, true}"
AL_OP(median, .sig = "x:T dim:dim? keepdim:bool=false -> T T", .flags = AL_F_COMPOSITE,
      .doc = "The middle value of all (the lower of two), or along dim: then values and "
             "positions. NaN wins.",
      .forward = median, .sample = MEDIAN_SAMPLE);
AL_OP(nanmedian, .sig = "x:T dim:dim? keepdim:bool=false -> T T", .flags = AL_F_COMPOSITE,
      .doc = "The median of what is not NaN.", .forward = nanmedian, .sample = MEDIAN_SAMPLE);

/* Places (from 1) below and above each quantile of n values, and how far between they are. */
static int places(const al_tensor *q, const char *how, int64_t n, al_tensor *low,
                  al_tensor *high, al_tensor *part) {
  for (int64_t i = 0; i < al_numel(q); i++) {
    double v = al_get(q, i);
    if (!(v >= 0 && v <= 1)) return al_fail("q lies outside [0, 1]");
    double rank = v * (double)(n - 1), below = floor(rank), above = ceil(rank);
    if (!strcmp(how, "lower")) above = rank = below;
    else if (!strcmp(how, "higher")) below = rank = above;
    else if (!strcmp(how, "nearest")) below = above = rank = nearbyint(rank);
    else if (!strcmp(how, "midpoint")) rank = (below + above) / 2;
    else if (strcmp(how, "linear"))
      return al_fail("interpolation must be linear, lower, higher, midpoint or nearest");
    al_set_int(low, i, (int64_t)below + 1), al_set_int(high, i, (int64_t)above + 1);
    al_set(part, i, rank - below);
  }
  return 0;
}

static int quantile(al_call *c) {
  int64_t dim, weight[AL_MAX_DIMS], order[AL_MAX_DIMS], last;
  al_tensor *x = row_of(c, 2, &dim), *q = al_dense(ARG_T(1), AL_FLOAT64), *s[2];
  if (!x || !q) return -1;
  if (!al_is_float(x->dtype))
    return al_fail("x must be floating, not %s", al_dtype_name(x->dtype));
  if (q->ndim > 1) return al_fail("q has %d dims, at most one is possible", q->ndim);
  const int64_t n = x->shape[dim], m = al_numel(q);
  al_tensor *low = al_empty(AL_INT64, 1, &m), *high = al_empty(AL_INT64, 1, &m);
  for (int d = 0; d < x->ndim; d++) weight[d] = d == dim ? m : 1;
  al_tensor *part = al_empty((al_dtype)x->dtype, x->ndim, weight);
  if (!low || !high || !part || places(q, c->a[4].s, n, low, high, part)) return -1;
  if (ordered(x, dim, s)) return -1;
  al_tensor *y = al_apply(&al_op_lerp, al_apply(&al_op_index_select, s[0], dim, low),
                          al_apply(&al_op_index_select, s[0], dim, high), part);
  /* NaN is the largest value: where there is one, all quantiles are NaN */
  y = al_where(al_apply(&al_op_isnan, al_narrow(s[0], dim, n, 1)), al_number(NAN), y);
  if (!q->ndim) return al_ret(c, reduced(c, y, dim, 2, ARG_B(3)));
  order[0] = dim, last = 1; /* the quantiles become the first dim */
  for (int d = 0; d < x->ndim; d++)
    if (d != dim) order[last++] = d;
  y = al_permute(y, order, x->ndim);
  const al_tensor *whole = ARG_T(0);
  int k = 0;
  order[k++] = m;
  for (int d = 0; d < whole->ndim; d++)
    if (ARG_B(3) || (HAS(2) && d != dim)) order[k++] = HAS(2) && d != dim ? x->shape[d] : 1;
  return al_ret(c, al_reshape(y, order, k));
}
AL_OP(quantile, .sig = "x:T q:N dim:dim? keepdim:bool=false {interpolation:str=linear} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "The value below which a part q of all lies, or along dim; several q (a vector) "
             "come as the first dim.\n"
             "At rank q (n - 1) between two values, interpolation says which: linear, lower, "
             "higher, midpoint, nearest. NaN wins.",
      .forward = quantile,
      .sample =
          "{distinct(3,5), 0.3}, {distinct(4,3), t{0.1, 0.9}, 1}, {distinct(2,4), 0.6, 2, "
          "true, {interpolation='midpoint'}}");

/* ---- distinct values, counts ---- */

/* Whether elements i and j of a contiguous tensor are equal; NaN equals nothing. */
static bool equal(const al_tensor *t, int64_t i, int64_t j) {
  return al_is_float(t->dtype) ? al_get(t, i) == al_get(t, j)
                               : al_get_int(t, i) == al_get_int(t, j);
}

static int unique(al_call *c) {
  static const int64_t flat[] = {-1};
  al_tensor *x = ARG_T(0), *row = al_reshape(al_detach(x), flat, 1), *s[2];
  if (!row || ordered(row, 0, s)) return -1;
  const int64_t n = al_numel(x);
  al_tensor *first = al_empty(AL_INT64, 1, &n), *inverse = al_empty_like(x, AL_INT64);
  int64_t k = 0;
  if (!first || !inverse) return -1;
  for (int64_t i = 0; i < n; i++) {
    if (i == 0 || !equal(s[0], i, i - 1)) al_set_int(first, k++, i + 1);
    al_set_int(inverse, al_get_int(s[1], i) - 1, k);
  }
  first = al_narrow(first, 0, 1, k);
  al_tensor *counts = al_empty(AL_INT64, 1, &k);
  c->out[0] = al_apply(&al_op_index_select, s[0], (int64_t)0, first);
  if (!counts || !c->out[0]) return -1;
  for (int64_t i = 0; i < k; i++)
    al_set_int(counts, i,
               (i + 1 < k ? al_get_int(first, i + 1) : n + 1) - al_get_int(first, i));
  int out = 1;
  if (ARG_B(1)) c->out[out++] = inverse;
  if (ARG_B(2)) c->out[out] = counts;
  return 0;
}
AL_OP(unique, .sig = "x:T {return_inverse:bool=false return_counts:bool=false} -> T T T",
      .flags = AL_F_NODIFF,
      .doc = "The distinct values of x in order; with return_inverse also where each element "
             "of x is among them (in x's shape),\n"
             "with return_counts also how often each comes. Every NaN is its own value.",
      .forward = unique,
      .sample = "{ints(1,5,3,4)}, {ints(1,3,7), {return_inverse=true, return_counts=true}}");

static int bincount(al_call *c) {
  al_tensor *x = ARG_T(0), *w = ARG_T(1);
  if (al_is_float(x->dtype) || x->dtype == AL_BOOL || x->ndim != 1)
    return al_fail("x must be a vector of integers");
  if (w && !al_same_shape(x, w)) return al_fail("weights differ from x in shape");
  al_dtype d = !w ? AL_INT64 : w->dtype == AL_FLOAT32 ? AL_FLOAT32 : AL_FLOAT64;
  int64_t n = x->shape[0], size = ARG_I(2);
  if (!(x = al_dense(x, AL_INT64)) || (w && !(w = al_dense(w, AL_FLOAT64)))) return -1;
  const int64_t *v = al_data(x);
  for (int64_t i = 0; i < n; i++) {
    if (v[i] < 1)
      return al_fail("x holds %lld: indices and labels count from 1", (long long)v[i]);
    if (v[i] > size) size = v[i];
  }
  al_tensor *y = al_zeros(w ? AL_FLOAT64 : AL_INT64, 1, &size);
  if (!y) return -1;
  for (int64_t i = 0; i < n; i++) {
    if (w) ((double *)al_data(y))[v[i] - 1] += al_get(w, i);
    else ((int64_t *)al_data(y))[v[i] - 1]++;
  }
  return al_ret(c, al_dense(y, d));
}
AL_OP(bincount, .sig = "x:T weights:T? minlength:int=0 -> T", .flags = AL_F_NODIFF,
      .doc = "y[k]: how often k >= 1 comes in the vector x, or the sum of its weights; at "
             "least minlength entries.",
      .forward = bincount, .sample = "{ints(1,5,9)}, {ints(1,3,4), r(4), 6}");

/* ---- bins ---- */

/* How many of the n ordered numbers at v lie below x, or not above it (`right`); NaN is the
 * largest. */
static int64_t below(const double *v, int64_t n, double x, bool right) {
  int64_t lo = 0;
  while (n > 0) {
    int64_t half = n / 2;
    double m = v[lo + half];
    bool less = right ? !(x < m) && (m == m || x != x) : m < x || (x != x && m == m);
    if (less) lo += half + 1, n -= half + 1;
    else n = half;
  }
  return lo;
}

static al_tensor *search(al_tensor *edges, al_tensor *x, bool right) {
  int last = edges->ndim - 1;
  if (last < 0) return al_null("the ordered values have no dim");
  bool fits = last == 0 || x->ndim == edges->ndim;
  for (int d = 0; fits && d < last; d++) fits = x->shape[d] == edges->shape[d];
  if (!fits)
    return al_null("the ordered values (%s) do not fit those sought (%s)",
                   al_shape_text(edges->ndim, edges->shape), al_shape_text(x->ndim, x->shape));
  al_tensor *v = al_dense(edges, AL_FLOAT64), *y = al_empty_like(x, AL_INT64);
  if (!v || !y || !(x = al_dense(x, AL_FLOAT64))) return NULL;
  const int64_t n = edges->shape[last], each = last ? x->shape[last] : al_numel(x);
  for (int64_t i = 0; i < al_numel(x); i++)
    ((int64_t *)al_data(y))[i] =
        1 + below((double *)al_data(v) + i / each * n, n, al_get(x, i), right);
  return y;
}

static int searchsorted(al_call *c) { return al_ret(c, search(ARG_T(0), ARG_T(1), ARG_B(2))); }
static int bucketize(al_call *c) { return al_ret(c, search(ARG_T(1), ARG_T(0), ARG_B(2))); }
AL_OP(searchsorted, .sig = "sorted:T values:N {right:bool=false} -> T", .flags = AL_F_NODIFF,
      .doc = "Where each value would go to keep the last dim of `sorted` in order: 1 is before "
             "all. Before equal values, or with\n"
             "right after them. A vector serves all values; else leading dims agree.",
      .forward = searchsorted,
      .sample = "{distinct(5):sort(), r(3,4)}, {distinct(3,5):sort(), r(3,4), {right=true}}");
AL_OP(bucketize, .sig = "x:N boundaries:T {right:bool=false} -> T", .flags = AL_F_NODIFF,
      .doc = "The number (from 1) of each value's bucket between ordered boundaries: bucket k "
             "ends at boundaries[k],\n"
             "included unless right.",
      .forward = bucketize,
      .sample = "{r(3,4), (distinct(5):sort())}, {r(4), (distinct(5):sort()), {right=true}}");

/* Edges of `bins` equal bins over [lo, hi]; over x's own range when that is empty. */
static al_tensor *equal_bins(al_tensor *x, int64_t bins, double lo, double hi, double widen) {
  if (bins < 1 || bins > 1 << 28) return al_null("bins must lie between 1 and 2^28");
  if (lo == hi) {
    lo = INFINITY, hi = -INFINITY;
    for (int64_t i = 0; i < al_numel(x); i++)
      lo = fmin(lo, al_get(x, i)), hi = fmax(hi, al_get(x, i));
    if (lo > hi) lo = hi = 0;
  }
  if (lo == hi) lo -= widen, hi += widen;
  if (!(lo < hi) || isinf(lo) || isinf(hi)) return al_null("the range is not finite, or empty");
  return al_apply(&al_op_linspace, lo, hi, bins + 1, AL_FLOAT64);
}

/* The last bin holds its end too; what lies outside is not counted. */
static al_tensor *counted(al_tensor *x, al_tensor *edges, al_tensor *w) {
  if (!edges) return NULL;
  const int64_t n = edges->shape[0], bins = n - 1;
  const double *e = al_data(edges);
  al_tensor *y = al_zeros(AL_FLOAT64, 1, &bins);
  for (int64_t i = 0; y && i < al_numel(x); i++) {
    double v = al_get(x, i);
    if (!(v >= e[0] && v <= e[bins])) continue;
    int64_t k = below(e, n, v, true) - 1;
    ((double *)al_data(y))[k < bins ? k : bins - 1] += w ? al_get(w, i) : 1;
  }
  return y;
}

static int histogram(al_call *c) {
  al_tensor *x = ARG_T(0), *bins = ARG_T(1), *w = ARG_T(4), *edges;
  al_dtype d = al_is_float(x->dtype) ? (al_dtype)x->dtype : AL_FLOAT32;
  if (w && !al_same_shape(x, w)) return al_fail("weight differs from x in shape");
  x = al_dense(x, AL_FLOAT64), w = w ? al_dense(w, AL_FLOAT64) : NULL;
  if (!x || (ARG_T(4) && !w)) return -1;
  if (bins->ndim == 0) edges = equal_bins(x, al_get_int(bins, 0), ARG_F(2), ARG_F(3), 0.5);
  else if (bins->ndim > 1 || bins->shape[0] < 2)
    return al_fail("bins must be a number or a vector of edges");
  else edges = al_dense(bins, AL_FLOAT64);
  al_tensor *y = counted(x, edges, w);
  if (y && ARG_B(5)) {
    const int64_t n = al_numel(y);
    al_tensor *width = al_sub(al_narrow(edges, 0, 2, n), al_narrow(edges, 0, 1, n));
    y = al_div(y, al_mul(width, al_sum(y, NULL, 0, false)));
  }
  c->out[0] = al_dense(y, d), c->out[1] = al_dense(edges, d);
  return c->out[0] && c->out[1] ? 0 : -1;
}
AL_OP(histogram, .sig = "x:T bins:N {min:num=0 max:num=0 weight:T? density:bool=false} -> T T",
      .flags = AL_F_NODIFF,
      .doc = "How many elements of x (or how much weight) fall into each bin, and the bins' "
             "edges; all but the last bin without their end.\n"
             "bins: their number, equal over [min, max] (by default x's range), or the edges, "
             "ascending. density: the integral becomes 1.",
      .forward = histogram,
      .sample = "{r(3,4), 5}, {r(9), t{-1, 0, 2}, {weight=pos(9), density=true}}, {r(9), 3, "
                "{min=-1, max=1}}");

static int histc(al_call *c) {
  al_tensor *x = al_dense(ARG_T(0), AL_FLOAT64);
  if (!x) return -1;
  al_tensor *y = counted(x, equal_bins(x, ARG_I(1), ARG_F(2), ARG_F(3), 1), NULL);
  return al_ret(
      c, al_dense(y, al_is_float(ARG_T(0)->dtype) ? (al_dtype)ARG_T(0)->dtype : AL_FLOAT32));
}
AL_OP(histc, .sig = "x:T bins:int=100 min:num=0 max:num=0 -> T", .flags = AL_F_NODIFF,
      .doc = "The counts of histogram alone.", .forward = histc,
      .sample = "{r(3,4)}, {r(9), 4, -1, 1}");

/* ---- running extremes ---- */

/* Where the extreme of each run so far is; of equals the last, and NaN stays. */
static al_tensor *leaders(al_tensor *x, int d, double sign) {
  al_tensor *v = al_dense(x, (al_dtype)x->dtype), *at = v ? al_empty_like(v, AL_INT64) : NULL;
  if (!at) return NULL;
  const bool whole = !al_is_float(x->dtype);
  const int64_t n = x->ndim ? x->shape[d] : 1,
                inner = x->ndim ? al_product(x->ndim - d - 1, x->shape + d + 1) : 1;
  for (int64_t i = 0; i < al_numel(x); i++) {
    int64_t k = i / inner % n, best = k ? al_get_int(at, i - inner) - 1 : 0,
            from = i - (k - best) * inner;
    bool wins;
    if (whole) {
      int64_t a = al_get_int(v, i), b = al_get_int(v, from);
      wins = sign > 0 ? a >= b : a <= b;
    } else {
      double a = al_get(v, i), b = al_get(v, from);
      wins = a != a || (b == b && sign * a >= sign * b);
    }
    al_set_int(at, i, 1 + (wins ? k : best));
  }
  return at;
}

static int running(al_call *c, double sign) {
  int d = 0;
  al_tensor *x = ARG_T(0);
  if (al_dim(ARG_I(1), x->ndim, &d)) return -1;
  c->out[1] = leaders(x, d, sign);
  c->out[0] =
      x->ndim ? al_apply(&al_op_gather, x, (int64_t)d, c->out[1]) : al_apply(&al_op_clone, x);
  return c->out[0] && c->out[1] ? 0 : -1;
}
static int cummax(al_call *c) { return running(c, 1); }
static int cummin(al_call *c) { return running(c, -1); }
AL_OP(cummax, .sig = "x:T dim:dim -> T T", .flags = AL_F_COMPOSITE,
      .doc = "The largest value so far along dim, and its position (of equals the last). NaN "
             "wins.",
      .forward = cummax, .sample = "{distinct(3,5), 2}, {distinct(4,2), 1}");
AL_OP(cummin, .sig = "x:T dim:dim -> T T", .flags = AL_F_COMPOSITE,
      .doc = "The smallest value so far along dim, and its position (of equals the last). NaN "
             "wins.",
      .forward = cummin, .sample = "{distinct(3,5), 2}, {distinct(4,2), 1}");
