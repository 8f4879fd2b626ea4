/* reduce.c: sums, means, products, extremes, norms over any dims.
 *
 * A reduction folds one group of adjacent dims at a time, innermost first, as (outer, n, inner)
 * arrays: rows where inner = 1, columns otherwise. Long groups are cut into chunks of fixed
 * size whose partial results are folded again, so that the order of additions depends on the
 * shape alone. */
#include "../kernel/reduce.h"
#include "op.h"

#include <math.h>
#include <string.h>

enum {
  ROW_CHUNK = 4096,
  COL_CHUNK = 128,
  COL_BLOCK = 1024,
  NARROW = 64,
  TASK = 1 << 14 /* elements worth a task */
};

static int64_t at_least_1(int64_t n) { return n < 1 ? 1 : n; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- one group ---- */

typedef struct job {
  const al_fold *fold;
  const char *x;
  char *out;
  int64_t n, inner, chunk, chunks, blocks, size_x, size_out; /* sizes of an element */
} job;

/* Tasks: (outer, chunk of n, block of inner), the last fastest. */
static void fold_tasks(int64_t begin, int64_t end, void *context) {
  const job *j = context;
  if (j->inner == 1 && j->chunks == 1) { /* whole rows */
    j->fold->row(end - begin, j->n, j->n, j->x + begin * j->n * j->size_x,
                 j->out + begin * j->size_out);
    return;
  }
  for (int64_t t = begin; t < end; t++) {
    int64_t first = t % j->blocks * COL_BLOCK, part = t / j->blocks,
            from = part % j->chunks * j->chunk;
    int64_t rows = least(j->chunk, j->n - from), cols = least(COL_BLOCK, j->inner - first);
    const char *x = j->x + ((part / j->chunks * j->n + from) * j->inner + first) * j->size_x;
    char *out = j->out + (part * j->inner + first) * j->size_out;
    if (j->inner == 1) j->fold->row(1, rows, rows, x, out);
    else j->fold->col(rows, cols, j->inner, x, out);
  }
}

static bool is_sum(int kind) {
  return kind == AL_R_SUM || kind == AL_R_SUM_SQUARES || kind == AL_R_SUM_ABS;
}
static al_dtype folded_dtype(int kind, al_dtype d) {
  return !al_is_float(d) && (is_sum(kind) || kind == AL_R_PROD) ? AL_INT64 : d;
}

static int fold_group(int kind, al_dtype d, int64_t outer, int64_t n, int64_t inner,
                      const void *x, void *out);

/* A few columns fill no vector: k rows are laid side by side as one of k * inner columns, then
 * those k are folded. The last n % k rows join as one more. */
static int fold_narrow(int kind, al_dtype d, int64_t outer, int64_t n, int64_t inner,
                       const void *x, void *out) {
  const al_dtype od = folded_dtype(kind, d);
  const int64_t k = NARROW / inner, whole = n / k, rest = n % k,
                size = (int64_t)al_dtype_size(d), out_size = (int64_t)al_dtype_size(od);
  const int64_t parts = k + (rest > 0);
  char *part = al_alloc((size_t)(outer * parts * inner * out_size));
  int failed = !part;
  for (int64_t o = 0; !failed && o < outer; o++) {
    const char *from = (const char *)x + o * n * inner * size;
    char *to = part + o * parts * inner * out_size;
    failed = fold_group(kind, d, 1, whole, k * inner, from, to) ||
             (rest && fold_group(kind, d, 1, rest, inner, from + whole * k * inner * size,
                                 to + k * inner * out_size));
  }
  failed =
      failed || fold_group(is_sum(kind) ? AL_R_SUM : kind, od, outer, parts, inner, part, out);
  al_release(part);
  return failed ? -1 : 0;
}

/* out (outer, inner) = fold of x (outer, n, inner) over n */
static int fold_group(int kind, al_dtype d, int64_t outer, int64_t n, int64_t inner,
                      const void *x, void *out) {
  al_dtype od = folded_dtype(kind, d);
  job j = {&AL_SELECT(al_reduce).fold[kind][d],
           x,
           out,
           n,
           inner,
           at_least_1(n),
           1,
           1,
           (int64_t)al_dtype_size(d),
           (int64_t)al_dtype_size(od)};
  int64_t chunk = inner == 1 ? ROW_CHUNK : COL_CHUNK;
  if (outer == 0 || inner == 0) return 0;
  if (inner > 1 && inner <= NARROW / 4 && n >= 8 * NARROW)
    return fold_narrow(kind, d, outer, n, inner, x, out);
  if (n >= 2 * chunk) j.chunk = chunk, j.chunks = (n + chunk - 1) / chunk;
  j.blocks = (inner + COL_BLOCK - 1) / COL_BLOCK;
  if (j.chunks > 1 && !(j.out = al_alloc((size_t)(outer * j.chunks * inner * j.size_out))))
    return -1;
  int64_t work = at_least_1(j.chunk * least(inner, COL_BLOCK));
  al_parallel(outer * j.chunks * j.blocks, at_least_1(TASK / work), fold_tasks, &j);
  if (j.chunks == 1) return 0;
  int failed =
      fold_group(is_sum(kind) ? AL_R_SUM : kind, od, outer, j.chunks, inner, j.out, out);
  al_release(j.out);
  return failed;
}

/* ---- any dims ---- */

/* Which dims are reduced: all when none is named. */
static int read_dims(const al_arg *a, int ndim, bool cut[AL_MAX_DIMS]) {
  bool all = !a->given || a->ints.n == 0;
  for (int i = 0; i < AL_MAX_DIMS; i++) cut[i] = all;
  for (int i = 0; !all && i < a->ints.n; i++) {
    int d;
    if (al_dim(a->ints.v[i], ndim, &d)) return -1;
    if (cut[d]) return al_fail("dim %d is named twice", d + 1);
    cut[d] = true;
  }
  return 0;
}

static int kept_shape(const al_tensor *x, const bool *cut, bool keep, int64_t *shape) {
  int n = 0;
  for (int d = 0; d < x->ndim; d++) {
    if (cut[d] && !keep) continue;
    shape[n++] = cut[d] ? 1 : x->shape[d];
  }
  return n;
}

/* Groups of adjacent dims of one fate; dims of size 1 do not count. */
static int make_groups(const al_tensor *x, const bool *cut, int64_t *size, bool *is_cut) {
  int n = 0;
  for (int d = 0; d < x->ndim; d++) {
    if (x->shape[d] == 1) continue;
    if (n && is_cut[n - 1] == cut[d]) size[n - 1] *= x->shape[d];
    else size[n] = x->shape[d], is_cut[n++] = cut[d];
  }
  return n;
}

static al_tensor *fold(al_tensor *x, int kind, const bool *cut, bool keep) {
  if (!x) return NULL;
  al_dtype d = (al_dtype)x->dtype, wanted = folded_dtype(kind, d);
  if (!AL_SELECT(al_reduce).fold[kind][d].row) d = AL_INT64;
  if (!(x = al_dense(x, d))) return NULL;
  int64_t shape[AL_MAX_DIMS], size[AL_MAX_DIMS + 1], last[AL_MAX_DIMS];
  bool is_cut[AL_MAX_DIMS + 1];
  int nlast = kept_shape(x, cut, keep, last), n = make_groups(x, cut, size, is_cut), groups = 0;
  for (int i = 0; i < n; i++) groups += is_cut[i];
  if (!groups) size[n] = 1, is_cut[n++] = true, groups = 1;
  while (groups) {
    int g = n - 1;
    while (!is_cut[g]) g--;
    int64_t outer = al_product(g, size), inner = al_product(n - g - 1, size + g + 1);
    shape[0] = outer * inner;
    al_dtype od = folded_dtype(kind, d);
    al_tensor *y = groups == 1 ? al_empty(od, nlast, last) : al_empty(od, 1, shape);
    if (!y || fold_group(kind, d, outer, size[g], inner, al_data(x), al_data(y))) return NULL;
    if (g > 0 && g + 1 < n)
      size[g - 1] *= size[g + 1],
          memmove(size + g, size + g + 2, (size_t)(n - g - 2) * sizeof *size),
          memmove(is_cut + g, is_cut + g + 2, (size_t)(n - g - 2)), n -= 2;
    else
      memmove(size + g, size + g + 1, (size_t)(n - g - 1) * sizeof *size),
          memmove(is_cut + g, is_cut + g + 1, (size_t)(n - g - 1)), n--;
    groups--, x = y, d = od;
    if (is_sum(kind)) kind = AL_R_SUM;
  }
  return d == wanted ? x : al_to(x, wanted);
}

static int64_t count_cut(const al_tensor *x, const bool *cut) {
  int64_t n = 1;
  for (int d = 0; d < x->ndim; d++) n *= cut[d] ? x->shape[d] : 1;
  return n;
}

/* Checks and folds the call x, dims (argument i), keepdim (i + 1). */
static al_tensor *fold_call(al_call *c, al_tensor *x, int kind, int i) {
  bool cut[AL_MAX_DIMS];
  if (!x || read_dims(&c->a[i], x->ndim, cut)) return NULL;
  if ((kind == AL_R_MAX || kind == AL_R_MIN) && x->dtype != AL_BOOL && count_cut(x, cut) == 0)
    return al_null("there is no element to choose from");
  return fold(x, kind, cut, ARG_B(i + 1));
}

static int need_float(const al_tensor *x) {
  if (al_is_float(x->dtype)) return 0;
  return al_fail("x must be floating, not %s: x:to('float32') first",
                 al_dtype_name((al_dtype)x->dtype));
}

/* ---- gradients: back to x's shape ---- */

static al_tensor *with_dims(al_back *b, al_tensor *t,
                            int i) { /* t with its reduced dims put back as 1 */
  int ndim;
  const int64_t *shape = al_edge_shape(b, 0, &ndim);
  bool cut[AL_MAX_DIMS];
  int64_t kept[AL_MAX_DIMS];
  if (read_dims(&b->a[i], ndim, cut)) return NULL;
  for (int d = 0; d < ndim; d++) kept[d] = cut[d] ? 1 : shape[d];
  return t && t->ndim == ndim ? t : al_reshape(t, kept, ndim);
}
static al_tensor *spread(al_back *b, al_tensor *t, int i) { /* and repeated along them */
  int ndim;
  const int64_t *shape = al_edge_shape(b, 0, &ndim);
  return al_expand(with_dims(b, t, i), shape, ndim);
}
static double reduced_count(al_back *b, int i) {
  int ndim;
  al_tensor x = {.ndim = 0};
  const int64_t *shape = al_edge_shape(b, 0, &ndim);
  bool cut[AL_MAX_DIMS];
  x.ndim = (uint8_t)ndim;
  memcpy(x.shape, shape, sizeof *shape * (size_t)ndim);
  read_dims(&b->a[i], ndim, cut);
  return (double)count_cut(&x, cut);
}
/* Sum over the same dims as the call, keeping them. */
static al_tensor *sum_like(al_back *b, al_tensor *t, int i) {
  return al_sum(t, b->a[i].ints.v, b->a[i].given ? b->a[i].ints.n : 0, true);
}
static al_tensor *mean_like(al_back *b, al_tensor *t, int i) {
  return al_mean(t, b->a[i].ints.v, b->a[i].given ? b->a[i].ints.n : 0, true);
}

/* ---- sums ---- */

#define DIMS_SAMPLE \
  "{r(3,4,2)}, {r(3,4,2), 2}, {r(3,4,2), {1,3}, true}, {r(3,4,2), {keepdim=true}}"

static int sum(al_call *c) { return al_ret(c, fold_call(c, ARG_T(0), AL_R_SUM, 1)); }
static int sum_grad(al_back *b) { return al_grad1(b, spread(b, b->g[0], 1)); }
AL_OP(sum, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "Sum over dims (all by default). bool and integers give int64. float32 is added "
             "pairwise in chunks.",
      .forward = sum, .grad = sum_grad, .sample = DIMS_SAMPLE);

static al_tensor *over(al_tensor *x, double n) { return al_div(x, al_number(n)); }

static int mean(al_call *c) {
  bool cut[AL_MAX_DIMS];
  if (need_float(ARG_T(0)) || read_dims(&c->a[1], ARG_T(0)->ndim, cut)) return -1;
  return al_ret(
      c, over(fold(ARG_T(0), AL_R_SUM, cut, ARG_B(2)), (double)count_cut(ARG_T(0), cut)));
}
static int mean_grad(al_back *b) {
  return al_grad1(b, spread(b, over(b->g[0], reduced_count(b, 1)), 1));
}
AL_OP(mean, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "Mean over dims (all by default) of a floating tensor.", .forward = mean,
      .grad = mean_grad, .sample = DIMS_SAMPLE);

/* Two passes: the mean, then the squares of what is left. */
static al_tensor *variance(al_call *c) {
  al_tensor *x = ARG_T(0);
  bool cut[AL_MAX_DIMS];
  if (need_float(x) || read_dims(&c->a[1], x->ndim, cut)) return NULL;
  double n = (double)count_cut(x, cut), free = n - (double)ARG_I(3);
  al_tensor *middle = over(fold(x, AL_R_SUM, cut, true), n);
  al_tensor *squares = fold(al_sub(x, middle), AL_R_SUM_SQUARES, cut, ARG_B(2));
  return over(squares, free > 0 ? free : 0);
}
static al_tensor *
variance_slope(al_back *b) { /* d var / dx = 2 (x - mean) / (n - correction) */
  double free = reduced_count(b, 1) - (double)b->a[3].i;
  return al_mul_num(al_sub(b->in[0], mean_like(b, b->in[0], 1)), 2 / free);
}
static int var(al_call *c) { return al_ret(c, variance(c)); }
static int var_grad(al_back *b) {
  return al_grad1(b, al_mul(with_dims(b, b->g[0], 1), variance_slope(b)));
}
AL_OP(var, .sig = "x:T dims:dims? keepdim:bool=false {correction:int=1} -> T",
      .doc = "Variance over dims, divided by n - correction (Bessel's 1 by default).",
      .forward = var, .grad = var_grad, .save = "x",
      .sample = DIMS_SAMPLE ", {r(5), {correction=0}}");
static int std_(al_call *c) { return al_ret(c, al_sqrt(variance(c))); }
static int std_grad(al_back *b) {
  al_tensor *flat = al_eq(b->out[0], al_number(0)), /* of a constant: 0 */
      *safe = al_where(flat, al_number(1), b->out[0]),
            *g = al_where(flat, al_number(0), al_div(b->g[0], al_mul_num(safe, 2)));
  return al_grad1(b, al_mul(with_dims(b, g, 1), variance_slope(b)));
}
AL_OP(std, .sig = "x:T dims:dims? keepdim:bool=false {correction:int=1} -> T",
      .doc = "Standard deviation: the square root of var.", .forward = std_, .grad = std_grad,
      .save = "x out", .sample = DIMS_SAMPLE ", {r(5), {correction=0}}");

static int prod(al_call *c) { return al_ret(c, fold_call(c, ARG_T(0), AL_R_PROD, 1)); }
extern al_op al_op_prod;
/* The product of the others. One zero leaves it at the zero only; two leave nothing. */
static int prod_grad(al_back *b) {
  al_tensor *x = b->in[0], *zero = al_number(0), *is_zero = al_eq(x, zero);
  al_tensor *zeros = sum_like(b, is_zero, 1), *rest = al_where(is_zero, al_number(1), x);
  al_tensor *others =
      al_apply(&al_op_prod, rest, b->a[1].ints.v, b->a[1].given ? b->a[1].ints.n : 0, 1);
  al_tensor *at_zero = al_where(al_eq(zeros, al_integer(1)), others, zero);
  al_tensor *elsewhere = al_where(al_eq(zeros, al_integer(0)), al_div(others, rest), zero);
  return al_grad1(b, al_mul(with_dims(b, b->g[0], 1), al_where(is_zero, at_zero, elsewhere)));
}
AL_OP(prod, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "Product over dims (all by default). Integers give int64.", .forward = prod,
      .grad = prod_grad, .save = "x", .sample = DIMS_SAMPLE);

static int count_nonzero(al_call *c) {
  return al_ret(c, fold_call(c, al_ne(ARG_T(0), al_integer(0)), AL_R_SUM, 1));
}
AL_OP(count_nonzero, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "How many elements over dims are not zero.", .forward = count_nonzero,
      .sample = DIMS_SAMPLE, .flags = AL_F_NODIFF);

static al_tensor *truth(al_tensor *x) {
  return x->dtype == AL_BOOL ? x : al_ne(x, al_integer(0));
}
static int any(al_call *c) { return al_ret(c, fold_call(c, truth(ARG_T(0)), AL_R_MAX, 1)); }
static int all(al_call *c) {
  bool cut[AL_MAX_DIMS]; /* an empty "all" is true, where the least of no bools is not */
  if (read_dims(&c->a[1], ARG_T(0)->ndim, cut)) return -1;
  if (count_cut(ARG_T(0), cut)) return al_ret(c, fold_call(c, truth(ARG_T(0)), AL_R_MIN, 1));
  return al_ret(c, al_eq(fold_call(c, truth(ARG_T(0)), AL_R_MAX, 1), al_integer(0)));
}
AL_OP(any, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "Whether some element over dims is not zero.", .forward = any,
      .sample = "{mask(3,4)}, {mask(3,4), 1}", .flags = AL_F_NODIFF);
AL_OP(all, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "Whether every element over dims is nonzero.", .forward = all,
      .sample = "{mask(3,4)}, {mask(3,4), 1}", .flags = AL_F_NODIFF);

/* ---- extremes ---- */

static int amax(al_call *c) { return al_ret(c, fold_call(c, ARG_T(0), AL_R_MAX, 1)); }
static int amin(al_call *c) { return al_ret(c, fold_call(c, ARG_T(0), AL_R_MIN, 1)); }
/* Ties share the gradient evenly. */
static al_tensor *share(al_back *b, al_tensor *x, al_tensor *y) {
  al_tensor *hit = al_to(al_eq(x, with_dims(b, y, 1)), (al_dtype)x->dtype);
  return al_mul(with_dims(b, b->g[0], 1), al_div(hit, sum_like(b, hit, 1)));
}
static int extreme_grad(al_back *b) { return al_grad1(b, share(b, b->in[0], b->out[0])); }
AL_OP(amax, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "Largest element over dims; NaN wins. Ties share the gradient.", .forward = amax,
      .grad = extreme_grad, .save = "x out",
      .sample = "{distinct(3,4,2)}, {distinct(3,4,2), {1,3}, true}");
AL_OP(amin, .sig = "x:T dims:dims? keepdim:bool=false -> T",
      .doc = "Smallest element over dims; NaN wins. Ties share the gradient.", .forward = amin,
      .grad = extreme_grad, .save = "x out",
      .sample = "{distinct(3,4,2)}, {distinct(3,4,2), 2}");

typedef struct search {
  const al_extreme *kernel;
  const char *x;
  char *value;
  int64_t *index, n, inner, blocks, size;
} search;
static void search_tasks(int64_t begin, int64_t end, void *context) {
  const search *s = context;
  if (s->inner == 1) {
    s->kernel->row(end - begin, s->n, s->x + begin * s->n * s->size, s->value + begin * s->size,
                   s->index + begin);
    return;
  }
  for (int64_t t = begin; t < end; t++) {
    int64_t o = t / s->blocks, first = t % s->blocks * COL_BLOCK, at = o * s->inner + first;
    s->kernel->col(s->n, least(COL_BLOCK, s->inner - first), s->inner,
                   s->x + (o * s->n * s->inner + first) * s->size, s->value + at * s->size,
                   s->index + at);
  }
}

/* One long row: the best of each chunk, the best of those, and where it is in its chunk. */
static int search_chunks(const search *s, al_dtype d, bool smallest) {
  const int64_t whole = s->n / ROW_CHUNK, rest = s->n % ROW_CHUNK;
  const int64_t parts = whole + (rest > 0);
  al_tensor *best = al_empty(d, 1, &parts);
  if (!best) return -1;
  char *value = al_data(best);
  const al_fold *fold = &AL_SELECT(al_reduce).fold[smallest ? AL_R_MIN : AL_R_MAX][d];
  job j = {fold, s->x, value, ROW_CHUNK, 1, ROW_CHUNK, 1, 1, s->size, s->size};
  al_parallel(whole, TASK / ROW_CHUNK, fold_tasks, &j);
  if (rest)
    fold->row(1, rest, rest, s->x + whole * ROW_CHUNK * s->size, value + whole * s->size);
  s->kernel->row(1, parts, value, s->value, s->index);
  const int64_t from = (*s->index - 1) * ROW_CHUNK;
  s->kernel->row(1, least(ROW_CHUNK, s->n - from), s->x + from * s->size, s->value, s->index);
  *s->index += from;
  return 0;
}

/* Value and position from 1 along dim (or in all of x, read in order): the shape without dim,
 * or with it as 1. */
static int find(al_tensor *x, bool smallest, bool whole, int64_t dim, bool keep,
                al_tensor **value, al_tensor **index) {
  int64_t shape[AL_MAX_DIMS], n, outer = 1, inner = 1;
  int d = 0, ndim = 0;
  if (!whole && al_dim(dim, x->ndim, &d)) return -1;
  for (int i = 0; i < x->ndim; i++) {
    bool cut = whole || i == d;
    if (!cut || keep) shape[ndim++] = cut ? 1 : x->shape[i];
    if (!whole && i < d) outer *= x->shape[i];
    if (!whole && i > d) inner *= x->shape[i];
  }
  n = whole ? al_numel(x) : x->ndim ? x->shape[d] : 1;
  if (n == 0) return al_fail("there is no element to choose from");
  al_dtype own = (al_dtype)x->dtype, t = own == AL_INT32 ? AL_INT64 : own;
  x = al_dense(x, t);
  *value = al_empty(t, ndim, shape), *index = al_empty(AL_INT64, ndim, shape);
  if (!x || !*value || !*index) return -1;
  search s = {&AL_SELECT(al_reduce).extreme[smallest][t],
              al_data(x),
              al_data(*value),
              al_data(*index),
              n,
              inner,
              (inner + COL_BLOCK - 1) / COL_BLOCK,
              (int64_t)al_dtype_size(t)};
  if (outer * inner == 1 && n >= 2 * ROW_CHUNK) {
    if (search_chunks(&s, t, smallest)) return -1;
  } else {
    al_parallel(outer * s.blocks, at_least_1(TASK / at_least_1(n * least(inner, COL_BLOCK))),
                search_tasks, &s);
  }
  if (t != own) *value = al_to(*value, own);
  return *value ? 0 : -1;
}

static int extreme(al_call *c, bool smallest) {
  if (!HAS(1)) {
    bool all[AL_MAX_DIMS] = {true, true, true, true, true, true, true, true};
    if (!al_numel(ARG_T(0))) return al_fail("there is no element to choose from");
    return al_ret(c, fold(ARG_T(0), smallest ? AL_R_MIN : AL_R_MAX, all, ARG_B(2)));
  }
  return find(ARG_T(0), smallest, false, ARG_I(1), ARG_B(2), &c->out[0], &c->out[1]);
}
static int max(al_call *c) { return extreme(c, false); }
static int min(al_call *c) { return extreme(c, true); }
/* Along a dim the gradient goes to the position found; over everything, ties share it. */
static int positioned_grad(al_back *b) {
  int ndim, d;
  const int64_t *shape = al_edge_shape(b, 0, &ndim);
  if (!b->a[1].given) { /* dims absent: share reads parameter 1 as "all" */
    al_arg none[AL_MAX_ARGS] = {{.i = 0}};
    al_back whole = *b;
    whole.a = none;
    return al_grad1(b, share(&whole, b->in[0], b->out[0]));
  }
  if (al_dim(b->a[1].i, ndim, &d)) return -1;
  if (ndim == 0) return al_grad1(b, b->g[0]);
  int64_t kept[AL_MAX_DIMS], ramp[AL_MAX_DIMS];
  for (int i = 0; i < ndim; i++)
    kept[i] = i == d ? 1 : shape[i], ramp[i] = i == d ? shape[i] : 1;
  al_tensor *place = al_empty(AL_INT64, ndim, ramp);
  if (!place) return -1;
  for (int64_t i = 0; i < shape[d]; i++) al_set_int(place, i, i + 1);
  al_tensor *hit = al_eq(al_reshape(b->out[1], kept, ndim), place);
  return al_grad1(b, al_where(hit, al_reshape(b->g[0], kept, ndim), al_number(0)));
}
#define EXTREME_DOC(which)                                                                \
  which " element of all, or along dim: then values and positions (from 1, the first of " \
        "equals). NaN wins."
AL_OP(max, .sig = "x:T dim:dim? keepdim:bool=false -> T T", .doc = EXTREME_DOC("Largest"),
      .forward = max, .grad = positioned_grad, .save = "x out out2",
      .sample = "{distinct(3,4,2)}, {distinct(3,4,2), 2}, {distinct(3,4), 1, true}");
AL_OP(min, .sig = "x:T dim:dim? keepdim:bool=false -> T T", .doc = EXTREME_DOC("Smallest"),
      .forward = min, .grad = positioned_grad, .save = "x out out2",
      .sample = "{distinct(3,4,2)}, {distinct(3,4,2), 2}, {distinct(3,4), 1, true}");

static int position(al_call *c, bool smallest) {
  al_tensor *value;
  return find(ARG_T(0), smallest, !HAS(1), ARG_I(1), ARG_B(2), &value, &c->out[0]);
}
static int argmax(al_call *c) { return position(c, false); }
static int argmin(al_call *c) { return position(c, true); }
AL_OP(argmax, .sig = "x:T dim:dim? keepdim:bool=false -> T",
      .doc = "Position (from 1) of the largest element along dim, or in all of x.",
      .forward = argmax, .sample = "{distinct(3,4)}, {distinct(3,4), 2}", .flags = AL_F_NODIFF);
AL_OP(argmin, .sig = "x:T dim:dim? keepdim:bool=false -> T",
      .doc = "Position (from 1) of the smallest element along dim, or in all of x.",
      .forward = argmin, .sample = "{distinct(3,4)}, {distinct(3,4), 2}", .flags = AL_F_NODIFF);

/* ---- norms ---- */

static int norm(al_call *c) {
  al_tensor *x = ARG_T(0);
  double p = ARG_F(1);
  if (need_float(x)) return -1;
  if (p == 2) return al_ret(c, al_sqrt(fold_call(c, x, AL_R_SUM_SQUARES, 2)));
  if (p == 1) return al_ret(c, fold_call(c, x, AL_R_SUM_ABS, 2));
  if (p == 0)
    return al_ret(c,
                  al_to(fold_call(c, al_ne(x, al_number(0)), AL_R_SUM, 2), (al_dtype)x->dtype));
  if (isinf(p)) return al_ret(c, fold_call(c, al_abs(x), p > 0 ? AL_R_MAX : AL_R_MIN, 2));
  return al_ret(
      c, al_pow(fold_call(c, al_pow(al_abs(x), al_number(p)), AL_R_SUM, 2), al_number(1 / p)));
}
/* sign(x) |x|^(p-1) / y^(p-1), 0 where x = 0 or y = 0 */
static int norm_grad(al_back *b) {
  al_tensor *x = b->in[0], *y = with_dims(b, b->out[0], 2), *g = with_dims(b, b->g[0], 2),
            *slope;
  double p = b->a[1].f;
  if (p == 0) return al_grad1(b, al_mul_num(x, 0));
  if (p == 1) return al_grad1(b, al_mul(g, al_sign(x)));
  if (isinf(p)) {
    al_tensor *hit = al_to(al_eq(al_abs(x), y), (al_dtype)x->dtype);
    return al_grad1(b, al_mul(g, al_mul(al_sign(x), al_div(hit, sum_like(b, hit, 2)))));
  }
  al_tensor *flat = al_eq(y, al_number(0)), *safe = al_where(flat, al_number(1), y);
  if (p == 2) {
    slope = al_div(x, safe);
  } else {
    al_tensor *size = al_where(al_eq(x, al_number(0)), al_number(1), al_abs(x));
    slope = al_mul(al_sign(x), al_pow(al_div(size, safe), al_number(p - 1)));
  }
  return al_grad1(b, al_where(flat, al_number(0), al_mul(g, slope)));
}
AL_OP(norm, .sig = "x:T p:num=2 dims:dims? keepdim:bool=false -> T",
      .doc = "(sum |x|^p)^(1/p) over dims; p = inf: the largest |x|, -inf: the smallest, 0: "
             "how many are not zero.",
      .forward = norm, .grad = norm_grad, .save = "x out",
      .sample = "{away(3,4)}, {away(3,4), 2, 1, true}, {away(3,4), 1, 2}, {away(3,4), 3}, "
                "{distinct(3,4), math.huge, 1}");

/* ---- what broadcasting repeated ---- */

al_tensor *al_sum_to(al_tensor *g, int ndim, const int64_t *shape) {
  int64_t dims[AL_MAX_DIMS];
  int n = 0;
  if (!g) return NULL;
  int lead = g->ndim - ndim;
  for (int d = 0; d < g->ndim; d++)
    if (d < lead || (shape[d - lead] == 1 && g->shape[d] != 1)) dims[n++] = d;
  if (!n) return g;
  al_tensor *y = al_sum(g, dims, n, true);
  return lead > 0 ? al_reshape(y, shape, ndim) : y;
}
