/* threshold.c: thresholds that part a picture's values by their histogram, as scikit-image's.
 */
#include "op.h"
#include <math.h>

enum { MOST_BINS = 4096, MOST_CLASSES = 5 };

typedef struct histogram {
  int64_t bins;
  double count[MOST_BINS], centre[MOST_BINS];
} histogram;

/* Of integers within a range of at most MOST_BINS one bin each; else `bins` equal ones from the
 * least to the largest value, as NumPy's. */
static int fill(histogram *to, al_tensor *x, int64_t bins) {
  al_dtype d = (al_dtype)x->dtype;
  int64_t n = al_numel(x);
  if (n < 1) return al_fail("x is empty");
  if (bins < 2 || bins > MOST_BINS)
    return al_fail("nbins is %lld, wants 2 to %d", (long long)bins, MOST_BINS);
  if (!(x = al_dense(x, AL_FLOAT64))) return -1;
  const double *v = al_data(x);
  double lo = v[0], hi = v[0];
  for (int64_t i = 0; i < n; i++) {
    if (!isfinite(v[i])) return al_fail("x holds %g", v[i]);
    lo = v[i] < lo ? v[i] : lo;
    hi = v[i] > hi ? v[i] : hi;
  }
  bool whole = !al_is_float(d) && hi - lo < MOST_BINS;
  double width = whole ? 1 : hi > lo ? (hi - lo) / (double)bins : 1 / (double)bins;
  if (whole) bins = (int64_t)(hi - lo) + 1;
  else if (hi <= lo) bins = 1;
  to->bins = bins;
  for (int64_t k = 0; k < bins; k++) {
    to->count[k] = 0;
    to->centre[k] = hi <= lo ? lo : whole ? lo + (double)k : lo + ((double)k + 0.5) * width;
  }
  for (int64_t i = 0; i < n; i++) {
    int64_t k = (int64_t)((v[i] - lo) / width);
    if (k >= bins) k = bins - 1;
    if (!whole && k > 0 && v[i] < lo + (double)k * width) k--; /* rounding, as NumPy mends it */
    else if (!whole && k + 1 < bins && v[i] >= lo + (double)(k + 1) * width) k++;
    to->count[k]++;
  }
  return 0;
}

static al_dtype result(const al_tensor *x) {
  return x->dtype == AL_FLOAT32 ? AL_FLOAT32 : AL_FLOAT64;
}

/* The thresholds that part the bins into classes of the largest variance between them: of all
 * such the first in order. best[c][i]: of the bins from i in c + 1 classes; the weight of a
 * class is (sum of p v)^2 / sum of p, of whole numbers, so that ties are exact. */
static int part(const histogram *h, int classes, double *threshold) {
  static const int rows = MOST_CLASSES;
  int64_t n = h->bins, shape[] = {rows + 1, n + 1};
  al_tensor *room = al_zeros(AL_FLOAT64, 2, shape), *ends = al_zeros(AL_INT64, 2, shape);
  if (!room || !ends) return -1;
  double *best = al_data(room), *p0 = best + rows * (n + 1);
  int64_t *end = al_data(ends), used = 0, bins[MOST_BINS];
  al_tensor *first = al_zeros(AL_FLOAT64, 1, shape + 1);
  if (!first) return -1;
  double *p1 = al_data(first);
  for (int64_t i = 0; i < n; i++) {
    p0[i + 1] = p0[i] + h->count[i];
    p1[i + 1] = p1[i] + h->count[i] * (double)i;
    if (h->count[i] > 0) bins[used++] = i;
  }
  if (used < classes)
    return al_fail("x has %lld different values or bins, fewer than %d classes",
                   (long long)used, classes);
  if (used == classes) {
    for (int k = 0; k + 1 < classes; k++) threshold[k] = h->centre[bins[k]];
    return 0;
  }
  for (int c = 0; c < classes; c++)
    for (int64_t i = n - 1; i >= 0; i--) {
      double *to = &best[c * (n + 1) + i];
      *to = -INFINITY;
      for (int64_t j = c ? i : n - 1; j < n - (c > 0); j++) { /* this class: bins i .. j */
        double w = p0[j + 1] - p0[i], m = p1[j + 1] - p1[i];
        double value = (w > 0 ? m * m / w : 0) + (c ? best[(c - 1) * (n + 1) + j + 1] : 0);
        if (value > *to) *to = value, end[c * (n + 1) + i] = j;
      }
    }
  for (int64_t c = classes - 1, i = 0, k = 0; c > 0; c--, k++) {
    int64_t j = end[c * (n + 1) + i];
    threshold[k] = h->centre[j];
    i = j + 1;
  }
  return 0;
}

static int otsu_forward(al_call *c) {
  histogram h;
  double at = 0;
  if (fill(&h, ARG_T(0), ARG_I(1))) return -1;
  if (h.bins == 1) at = h.centre[0];
  else if (part(&h, 2, &at)) return -1;
  return al_ret(c, al_scalar(at, result(ARG_T(0))));
}
AL_OP(
    threshold_otsu, .sig = "x:T nbins:int=256 -> T", .alias = "otsu", .flags = AL_F_NODIFF,
    .doc =
        "Otsu's threshold (IEEE Trans. SMC 9(1), 1979) of all of x, as scikit-image's: values "
        "above it are the brighter class.\n"
        "A scalar: the centre of the histogram bin that makes the variance between the "
        "classes largest. Integers have a bin for each value, floats nbins of them.",
    .forward = otsu_forward, .sample = "{r(8,9)}, {ints(0,255,7,7), 64}");

static int multiotsu_forward(al_call *c) {
  histogram h;
  double at[MOST_CLASSES];
  int64_t classes = ARG_I(1);
  if (classes < 2 || classes > MOST_CLASSES)
    return al_fail("classes is %lld, wants 2 to %d", (long long)classes, MOST_CLASSES);
  int64_t count = classes - 1;
  if (fill(&h, ARG_T(0), ARG_I(2)) || part(&h, (int)classes, at)) return -1;
  al_tensor *y = al_empty(result(ARG_T(0)), 1, &count);
  for (int64_t k = 0; y && k < count; k++) al_set(y, k, at[k]);
  return al_ret(c, y);
}
AL_OP(threshold_multiotsu, .sig = "x:T classes:int=3 nbins:int=256 -> T", .alias = "multi_otsu",
      .flags = AL_F_NODIFF,
      .doc = "The classes - 1 thresholds that part x's values into `classes` (2 to 5) of the "
             "largest variance between them, rising, as scikit-image's; see threshold_otsu.",
      .forward = multiotsu_forward,
      .sample = "{r(8,9)}, {ints(0,255,7,7), 4}, {r(9,9), 5, 32}");
