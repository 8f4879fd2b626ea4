/* loss.c: losses. Labels count from 1. reduction: mean, sum, none.
 *
 * Cross-entropy of logits x against a distribution q over classes is -sum_c q_c log p_c with p
 * = softmax(x); labels are a q with one entry, spread by label_smoothing, scaled by class
 * weights. Its gradient is p sum_c q_c - q, piece by piece while p is in the cache. Nothing but
 * x is kept, and no tensor of x's shape made but the gradient. */
#include "loss.h"
#include "../kernel/reduce.h"
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_gather, al_op_softplus, al_op_all, al_op_bce_terms;

enum { MEAN, SUM, NONE };
static int reduction_of(const char *s) {
  if (s && !strcmp(s, "mean")) return MEAN;
  if (s && !strcmp(s, "sum")) return SUM;
  if (s && !strcmp(s, "none")) return NONE;
  return al_fail("reduction '%s' is none of mean, sum, none", s ? s : "");
}
int al_reduced(al_call *c, al_tensor *v, const char *reduction) {
  int r = reduction_of(reduction);
  if (r < 0 || !v) return -1;
  return al_ret(c, r == NONE  ? v
                   : r == SUM ? al_sum(v, NULL, 0, false)
                              : al_mean(v, NULL, 0, false));
}

/* ---- labels ---- */

/* Labels as contiguous int64 from 0, -1 where ignored; the shape must be x's without its
 * classes. */
static al_tensor *labels_of(al_tensor *target, const al_tensor *x, int64_t ignore) {
  int64_t shape[AL_MAX_DIMS], classes = x->shape[1];
  shape[0] = x->shape[0];
  memcpy(shape + 1, x->shape + 2, (size_t)(x->ndim - 2) * sizeof *shape);
  if (target->ndim != x->ndim - 1 ||
      memcmp(shape, target->shape, (size_t)target->ndim * sizeof *shape))
    return al_null("labels are %s, x (%s) expects %s",
                   al_shape_text(target->ndim, target->shape), al_shape_text(x->ndim, x->shape),
                   al_shape_text(x->ndim - 1, shape));
  al_tensor *t = al_fresh_contiguous(target, AL_INT64);
  int64_t *v = t ? al_data(t) : NULL;
  for (int64_t i = 0, n = t ? al_numel(t) : 0; i < n; i++) {
    if (v[i] == ignore) v[i] = -1;
    else if (v[i] == 0) return al_null("indices and labels count from 1");
    else if (v[i] < 0 || v[i] > classes)
      return al_null("label %lld lies outside 1..%lld", (long long)v[i], (long long)classes);
    else v[i]--;
  }
  return t;
}

static int check_logits(const al_tensor *x, const al_tensor *weight) {
  if (!al_is_float(x->dtype)) return al_fail("needs floating x");
  if (x->ndim < 2)
    return al_fail("x has %d dims, needs at least 2: (n, classes, ...)", x->ndim);
  if (weight && (weight->ndim != 1 || weight->shape[0] != x->shape[1]))
    return al_fail("weight needs %lld entries, one a class", (long long)x->shape[1]);
  return 0;
}

/* Everything a pass over positions reads. Position i = (n, s); x, gx are (n, c, s). */
typedef struct entropy {
  int64_t n, c, s;
  double smooth, total;  /* label smoothing; sum of the class weights */
  const double *w;       /* per class */
  const int64_t *label;  /* per position */
  const double *scale;   /* per position: cotangent over the divisor */
  const void *x, *parts; /* (n, c, s); (n, 2, s): log p = (x - the first) - the second */
  double *loss;          /* per position */
  void *gx;
  bool single;
} entropy;
enum { RUN = 512 }; /* positions a task */

/* log p of class j at position i */
static double log_p(const entropy *e, int64_t i, int64_t j) {
  const int64_t n = i / e->s, at = i % e->s, x = (n * e->c + j) * e->s + at,
                top = 2 * n * e->s + at;
  if (e->single) {
    const float *v = e->x, *part = e->parts;
    return (double)((v[x] - part[top]) - part[top + e->s]);
  }
  const double *v = e->x, *part = e->parts;
  return (v[x] - part[top]) - part[top + e->s];
}

static void loss_piece(int64_t begin, int64_t end, void *arg) {
  const entropy *e = arg;
  for (int64_t i = begin; i < end; i++) {
    int64_t k = e->label[i];
    double sum = 0;
    if (k >= 0) {
      sum = (1 - e->smooth) * e->w[k] * log_p(e, i, k);
      if (e->smooth > 0) {
        double all = 0;
        for (int64_t j = 0; j < e->c; j++) all += e->w[j] * log_p(e, i, j);
        sum += e->smooth / (double)e->c * all;
      }
    }
    e->loss[i] = -sum;
  }
}

/* gx becomes p, then scale (p sum q - q), for positions in runs within one n. */
#define GRADIENT(T)                                                                      \
  static void gradient_##T(const entropy *e, int64_t n, int64_t from, int64_t to) {      \
    T *gx = (T *)e->gx + n * e->c * e->s;                                                \
    const double share = e->smooth / (double)e->c, *scale = e->scale + n * e->s;         \
    const int64_t *label = e->label + n * e->s;                                          \
    T mass[RUN];                                                                         \
    for (int64_t i = from; i < to; i++) {                                                \
      double q = label[i] < 0 ? 0 : (1 - e->smooth) * e->w[label[i]] + share * e->total; \
      mass[i - from] = (T)(scale[i] * q);                                                \
    }                                                                                    \
    if (e->s == 1)                                                                       \
      for (int64_t j = 0; j < e->c; j++) gx[j] *= mass[0];                               \
    else                                                                                 \
      for (int64_t j = 0; j < e->c; j++)                                                 \
        for (int64_t i = from; i < to; i++) gx[j * e->s + i] *= mass[i - from];          \
    for (int64_t i = from; i < to; i++) {                                                \
      if (label[i] < 0) continue;                                                        \
      gx[label[i] * e->s + i] -= (T)(scale[i] * (1 - e->smooth) * e->w[label[i]]);       \
      for (int64_t j = 0; share > 0 && j < e->c; j++)                                    \
        gx[j * e->s + i] -= (T)(scale[i] * share * e->w[j]);                             \
    }                                                                                    \
  }
GRADIENT(float)
GRADIENT(double)

static void gradient_piece(int64_t begin, int64_t end, void *arg) {
  const entropy *e = arg;
  int64_t runs = (e->s + RUN - 1) / RUN;
  for (int64_t t = begin; t < end; t++) {
    int64_t from = t % runs * RUN, to = from + RUN < e->s ? from + RUN : e->s;
    int64_t at = t / runs * e->c * e->s * (e->single ? 4 : 8);
    AL_SELECT(al_softmax)
        .forward[!e->single](AL_SOFTMAX, e->c, e->s, from, to, (const char *)e->x + at,
                             (char *)e->gx + at, false);
    if (e->single) gradient_float(e, t / runs, from, to);
    else gradient_double(e, t / runs, from, to);
  }
}

static double *doubles(int64_t n) {
  al_tensor *t = al_empty(AL_FLOAT64, 1, &n);
  return t ? al_data(t) : NULL;
}

/* Labels, weights and sizes of a call on labels. */
static int open_entropy(entropy *e, al_tensor *x, al_tensor *target, al_tensor *weight,
                        int64_t ignore, double smooth) {
  *e = (entropy){.n = x->shape[0],
                 .c = x->shape[1],
                 .s = al_product(x->ndim - 2, x->shape + 2),
                 .smooth = smooth,
                 .single = x->dtype == AL_FLOAT32};
  al_tensor *t = labels_of(target, x, ignore);
  if (!t) return -1;
  e->label = al_data(t);
  double *w = doubles(e->c);
  for (int64_t j = 0; w && j < e->c; j++) {
    w[j] = weight ? al_get(weight, j * weight->stride[0]) : 1;
    e->total += w[j];
  }
  e->w = w;
  return w ? 0 : -1;
}
/* What a mean divides by: the weights of the labels that count. */
static double divisor(const entropy *e) {
  double sum = 0;
  for (int64_t i = 0; i < e->n * e->s; i++) sum += e->label[i] < 0 ? 0 : e->w[e->label[i]];
  return sum;
}

/* ---- cross_entropy ---- */

static al_tensor *per_class(al_tensor *w, int ndim) {
  int64_t shape[AL_MAX_DIMS] = {1, -1, 1, 1, 1, 1, 1, 1};
  return al_reshape(w, shape, ndim);
}

/* q for class probabilities: w (t (1 - e) + e / c) */
static al_tensor *soft_target(al_tensor *t, al_tensor *weight, double smooth, int64_t classes) {
  if (smooth > 0) t = al_add_num(al_mul_num(t, 1 - smooth), smooth / (double)classes);
  return weight ? al_mul(t, per_class(weight, t ? t->ndim : 1)) : t;
}

static int soft_forward(al_call *c, al_tensor *x, al_tensor *t, al_tensor *weight) {
  static const int64_t classes[] = {1};
  if (!al_same_shape(x, t)) return al_fail("class probabilities need x's shape");
  al_tensor *q = soft_target(t, weight, ARG_F(5), x->shape[1]);
  al_tensor *loss =
      al_neg(al_sum(al_mul(q, al_apply(&al_op_log_softmax, x, (int64_t)1)), classes, 1, false));
  return al_reduced(c, loss, c->a[4].s);
}

static int cross_entropy_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *weight = ARG_T(2);
  int r = reduction_of(c->a[4].s);
  if (r < 0 || check_logits(x, weight)) return -1;
  if (ARG_F(5) < 0 || ARG_F(5) > 1) return al_fail("label_smoothing lies in 0..1");
  if (al_is_float(ARG_T(1)->dtype)) return soft_forward(c, x, ARG_T(1), weight);
  entropy e;
  al_tensor *xd = al_dense(x, (al_dtype)x->dtype), *parts = xd ? al_log_parts(xd, 1) : NULL;
  if (!parts || open_entropy(&e, x, ARG_T(1), weight, ARG_I(3), ARG_F(5))) return -1;
  int64_t count = e.n * e.s;
  e.x = al_data(xd);
  e.parts = al_data(parts);
  if (!(e.loss = doubles(count))) return -1;
  al_parallel(count, 1 << 12, loss_piece, &e);
  if (r == NONE) {
    al_tensor *y = al_empty((al_dtype)x->dtype, ARG_T(1)->ndim, ARG_T(1)->shape);
    for (int64_t i = 0; y && i < count; i++) al_set(y, i, e.loss[i]);
    return al_ret(c, y);
  }
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += e.loss[i];
  return al_ret(c, al_scalar(r == SUM ? sum : sum / divisor(&e), (al_dtype)x->dtype));
}

/* Labels as a dense q, for the recorded form. */
static al_tensor *hard_target(const entropy *e, const al_tensor *x) {
  al_tensor *q = al_zeros((al_dtype)x->dtype, x->ndim, x->shape);
  for (int64_t i = 0; q && i < e->n * e->s; i++) {
    int64_t first = i / e->s * e->c * e->s + i % e->s, k = e->label[i];
    for (int64_t j = 0; k >= 0 && j < e->c; j++)
      al_set(q, first + j * e->s,
             e->w[j] * ((j == k ? 1 - e->smooth : 0) + e->smooth / (double)e->c));
  }
  return q;
}

/* g as a tensor that broadcasts over classes, over the divisor of a mean. */
static al_tensor *spread(al_tensor *g, int reduction, double over) {
  if (reduction == NONE) return al_unsqueeze(g, 1);
  return reduction == MEAN ? al_mul_num(g, 1 / over) : g;
}

static int cross_entropy_composed(al_back *b, const entropy *e, int r) {
  static const int64_t classes[] = {1};
  al_tensor *x = b->in[0], *t = b->in[1];
  bool soft = al_is_float(t->dtype);
  al_tensor *q = soft ? soft_target(t, b->in[2], b->a[5].f, x->shape[1]) : hard_target(e, x);
  double over = soft ? (double)(al_numel(x) / x->shape[1]) : divisor(e);
  al_tensor *scale = spread(b->g[0], r, over);
  if (!q || !scale) return -1;
  al_tensor *p = al_apply(&al_op_softmax, x, (int64_t)1);
  if (b->needs[0] &&
      !(b->gx[0] = al_mul(scale, al_sub(al_mul(p, al_sum(q, classes, 1, true)), q))))
    return -1;
  if (!b->needs[1]) return 0;
  al_tensor *lp = al_mul_num(al_apply(&al_op_log_softmax, x, (int64_t)1), b->a[5].f - 1);
  if (b->in[2]) lp = al_mul(lp, per_class(b->in[2], x->ndim));
  return (b->gx[1] = al_mul(scale, lp)) ? 0 : -1;
}

static int cross_entropy_grad(al_back *b) {
  al_tensor *x = b->in[0], *t = b->in[1];
  int r = reduction_of(b->a[4].s);
  entropy e;
  if (r < 0) return -1;
  if (al_is_float(t->dtype)) return cross_entropy_composed(b, NULL, r);
  if (open_entropy(&e, x, t, b->in[2], b->a[3].i, b->a[5].f)) return -1;
  if (b->create_graph) return cross_entropy_composed(b, &e, r);
  int64_t count = e.n * e.s;
  al_tensor *g = al_dense(b->g[0], AL_FLOAT64), *xd = al_dense(x, (al_dtype)x->dtype);
  al_tensor *gx = xd ? al_empty_like(xd, (al_dtype)x->dtype) : NULL;
  double *scale = doubles(count);
  if (!g || !gx || !scale) return -1;
  const double *gv = al_data(g), over = r == MEAN ? divisor(&e) : 1;
  for (int64_t i = 0; i < count; i++) scale[i] = gv[r == NONE ? i : 0] / over;
  e.scale = scale;
  e.x = al_data(xd);
  e.gx = al_data(gx);
  int64_t runs = (e.s + RUN - 1) / RUN;
  al_parallel(e.n * runs, 1 + (1 << 14) / (e.c * (e.s < RUN ? e.s : RUN) + 1), gradient_piece,
              &e);
  return al_grad1(b, gx);
}

AL_OP(cross_entropy,
      .sig = "x:T target:T {weight:T? ignore_index:int=-100 reduction:str=mean "
             "label_smoothing:num=0} -> T",
      .save = "x target weight",
      .doc = "Cross-entropy of logits x (n, classes, ...) against labels (n, ...) from 1, or "
             "class probabilities of x's\n"
             "shape. weight: one a class. A mean divides by the weights of the labels that are "
             "not ignore_index.",
      .forward = cross_entropy_forward, .grad = cross_entropy_grad,
      .sample = "{r(4,5), ints(1,5,4)}, {r(2,3,4), ints(1,3,2,4), "
                "{weight=pos(3):to('float32'), label_smoothing=0.1}}, "
                "{r(4,3), ints(1,3,4), {reduction='none'}}, {r(4,3), ints(1,3,4), "
                "{ignore_index=2, reduction='sum'}}, "
                "{r(4,3), pos(4,3), {label_smoothing=0.2}}, {r(2,3,2), r(2,3,2), "
                "{reduction='none', weight=pos(3):to('float32')}}");

/* ---- nll_loss ---- */

static int nll_loss_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *weight = ARG_T(2);
  int r = reduction_of(c->a[4].s);
  entropy e;
  if (r < 0 || check_logits(x, weight) || open_entropy(&e, x, ARG_T(1), weight, ARG_I(3), 0))
    return -1;
  al_tensor *index = al_empty(AL_INT64, ARG_T(1)->ndim, ARG_T(1)->shape);
  al_tensor *scale = al_empty((al_dtype)x->dtype, ARG_T(1)->ndim, ARG_T(1)->shape);
  if (!index || !scale) return -1;
  double over = r == MEAN ? divisor(&e) : 1;
  for (int64_t i = 0; i < e.n * e.s; i++) {
    al_set_int(index, i, e.label[i] < 0 ? 1 : e.label[i] + 1);
    al_set(scale, i, e.label[i] < 0 ? 0 : -e.w[e.label[i]] / over);
  }
  al_tensor *picked = al_apply(&al_op_gather, x, (int64_t)1, al_unsqueeze(index, 1));
  al_tensor *loss =
      al_mul(picked ? al_reshape(picked, index->shape, index->ndim) : NULL, scale);
  return al_ret(c, r == NONE || !loss ? loss : al_sum(loss, NULL, 0, false));
}

AL_OP(nll_loss, .sig = "x:T target:T {weight:T? ignore_index:int=-100 reduction:str=mean} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "Minus the log-probability x (n, classes, ...) of the labels (n, ...) from 1; see "
             "cross_entropy.",
      .forward = nll_loss_forward,
      .sample = "{r(4,5), ints(1,5,4)}, {r(2,3,4), ints(1,3,2,4), "
                "{weight=pos(3):to('float32')}}, {r(4,3), ints(1,3,4), {reduction='none'}}, "
                "{r(4,3), ints(1,3,4), {ignore_index=2, reduction='sum'}}");

/* ---- regression ---- */

static int mse_loss_forward(al_call *c) {
  return al_reduced(c, al_square(al_sub(ARG_T(0), ARG_T(1))), c->a[2].s);
}
AL_OP(mse_loss, .sig = "x:T target:N {reduction:str=mean} -> T", .flags = AL_F_COMPOSITE,
      .doc = "(x - target)^2.", .forward = mse_loss_forward,
      .sample = "{r(3,4), r(3,4)}, {r(3,4), r(4), {reduction='sum'}}, {r(3), r(3), "
                "{reduction='none'}}");

static int l1_loss_forward(al_call *c) {
  return al_reduced(c, al_abs(al_sub(ARG_T(0), ARG_T(1))), c->a[2].s);
}
AL_OP(l1_loss, .sig = "x:T target:N {reduction:str=mean} -> T", .flags = AL_F_COMPOSITE,
      .doc = "|x - target|.", .forward = l1_loss_forward,
      .sample = "{away(3,4), 0}, {away(3,4), 0, {reduction='sum'}}");

/* where(d < k, d^2 / (2 k'), d - k / 2), d = |x - target|, times `times` */
static al_tensor *huber(al_tensor *x, al_tensor *target, double k, double times) {
  al_tensor *d = al_abs(al_sub(x, target));
  if (k == 0) return d;
  al_tensor *inner = al_mul_num(al_square(d), 0.5 / k), *outer = al_add_num(d, -0.5 * k);
  al_tensor *y = al_where(al_lt(d, al_number(k)), inner, outer);
  return times == 1 ? y : al_mul_num(y, times);
}
static int smooth_l1_forward(al_call *c) {
  if (ARG_F(3) < 0) return al_fail("beta is negative");
  return al_reduced(c, huber(ARG_T(0), ARG_T(1), ARG_F(3), 1), c->a[2].s);
}
AL_OP(smooth_l1_loss, .sig = "x:T target:N {reduction:str=mean beta:num=1} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "d^2 / (2 beta) for d = |x - target| < beta, else d - beta / 2.",
      .forward = smooth_l1_forward,
      .sample = "{away(3,4), 0}, {away(3,4), 0, {beta=0.2, reduction='sum'}}");
static int huber_forward(al_call *c) {
  if (ARG_F(3) <= 0) return al_fail("delta must be positive");
  return al_reduced(c, huber(ARG_T(0), ARG_T(1), ARG_F(3), ARG_F(3)), c->a[2].s);
}
AL_OP(huber_loss, .sig = "x:T target:N {reduction:str=mean delta:num=1} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "d^2 / 2 for d = |x - target| < delta, else delta (d - delta / 2).",
      .forward = huber_forward, .sample = "{away(3,4), 0, {delta=0.2}}");

/* ---- two classes, distributions ---- */

static al_tensor *floored_log(al_tensor *x) { return al_maximum(al_log(x), al_number(-100)); }

static int bce_terms_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *t = ARG_T(1);
  al_tensor *yes = al_mul(t, floored_log(x));
  return al_ret(c,
                al_neg(al_add(yes, al_mul(al_rsub_num(1, t), floored_log(al_rsub_num(1, x))))));
}
/* (x - t) / (x (1 - x)), the divisor at least 1e-12: finite at 0 and 1, 0 where x = t */
static int bce_terms_grad(al_back *b) {
  al_tensor *x = b->in[0], *t = b->in[1], *left = al_rsub_num(1, x);
  if (b->needs[0]) {
    al_tensor *spread = al_maximum(al_mul(x, left), al_number(1e-12));
    if (!(b->gx[0] = al_mul(b->g[0], al_div(al_sub(x, t), spread)))) return -1;
  }
  if (b->needs[1] && !(b->gx[1] = al_mul(b->g[0], al_sub(floored_log(left), floored_log(x)))))
    return -1;
  return 0;
}
AL_OP(bce_terms, .sig = "x:T target:N -> T", .flags = AL_F_HIDDEN, .save = "x target",
      .doc = "The terms of binary_cross_entropy, x in [0, 1].", .forward = bce_terms_forward,
      .grad = bce_terms_grad, .sample = "{r(3,4):sigmoid(), pos(3,4)}, {r(3,4):sigmoid(), 1}");

static int bce_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *in = al_mul(al_ge(x, al_number(0)), al_le(x, al_number(1)));
  if (!in || !(in = al_apply(&al_op_all, in, NULL, 0, 0))) return -1;
  if (!al_get(in, 0)) return al_fail("x has an element outside [0, 1]: no probability");
  al_tensor *loss = al_apply(&al_op_bce_terms, x, ARG_T(1));
  return al_reduced(c, HAS(2) ? al_mul(loss, ARG_T(2)) : loss, c->a[3].s);
}
AL_OP(binary_cross_entropy, .sig = "x:T target:N {weight:T? reduction:str=mean} -> T",
      .alias = "bce", .flags = AL_F_COMPOSITE,
      .doc = "-(t log x + (1 - t) log(1 - x)) for probabilities x in [0, 1]; logarithms end at "
             "-100.\nThe gradient divides by x (1 - x), but by no less than 1e-12.",
      .forward = bce_forward,
      .sample = "{r(3,4):sigmoid(), pos(3,4)}, {r(3,4):sigmoid(), 1, {weight=pos(4), "
                "reduction='sum'}}");

/* Without pos_weight softplus(x) - x t; with it (1 - t) x + (1 + (p - 1) t) softplus(-x). */
static int bce_logits_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *t = ARG_T(1), *loss;
  if (HAS(3)) {
    al_tensor *k = al_add_num(al_mul(al_add_num(ARG_T(3), -1), t), 1);
    loss = al_add(al_mul(al_rsub_num(1, t), x),
                  al_mul(k, al_apply(&al_op_softplus, al_neg(x), 1.0, 1000.0)));
  } else {
    loss = al_sub(al_apply(&al_op_softplus, x, 1.0, 1000.0), al_mul(x, t));
  }
  return al_reduced(c, HAS(2) ? al_mul(loss, ARG_T(2)) : loss, c->a[4].s);
}
AL_OP(
    binary_cross_entropy_with_logits,
    .sig = "x:T target:N {weight:T? pos_weight:T? reduction:str=mean} -> T",
    .alias = "bce_with_logits", .flags = AL_F_COMPOSITE,
    .doc =
        "binary_cross_entropy of sigmoid(x), stable; pos_weight multiplies the positive part.",
    .forward = bce_logits_forward,
    .sample = "{r(3,4), pos(3,4)}, {r(3,4), 1, {weight=pos(4), reduction='sum'}}, {r(3,4), "
              "pos(3,4), {pos_weight=pos(4)}}");

static int kl_div_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *t = ARG_T(1), *loss;
  if (ARG_B(3)) {
    loss = al_mul(al_exp(t), al_sub(t, x));
  } else {
    al_tensor *some = al_gt(t, al_number(0)), *safe = al_where(some, t, al_number(1));
    loss = al_sub(al_mul(t, al_log(safe)), al_mul(t, x));
  }
  if (c->a[2].s && !strcmp(c->a[2].s, "batchmean")) {
    double n = x->ndim > 0 && x->shape[0] > 0 ? (double)x->shape[0] : 1;
    return al_ret(c, al_mul_num(al_sum(loss, NULL, 0, false), 1 / n));
  }
  return al_reduced(c, loss, c->a[2].s);
}
AL_OP(kl_div, .sig = "x:T target:T {reduction:str=mean log_target:bool=false} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "t (log t - x) for log-probabilities x and probabilities t (or their logarithms "
             "with log_target); reduction\n"
             "batchmean divides the sum by the first dim's size, as the definition does.",
      .forward = kl_div_forward,
      .sample = "{r(3,4), pos(3,4)}, {r(3,4), r(3,4), {log_target=true, "
                "reduction='batchmean'}}, {r(3,4), pos(3,4), {reduction='sum'}}");
