/* margin.c: losses with margins, similarities, and losses of regions and counts; all made of
 * other ops. reduction: mean, sum, none. */
#include "loss.h"
#include "op.h"
#include <math.h>

extern al_op al_op_gather, al_op_softplus, al_op_norm, al_op_one_hot;

/* ---- two classes, targets +1 and -1 ---- */

static int hinge_forward(al_call *c) {
  al_tensor *loss = al_relu(al_rsub_num(ARG_F(3), al_mul(ARG_T(0), ARG_T(1))));
  return al_reduced(c, loss, c->a[2].s);
}
AL_OP(hinge_loss, .sig = "x:T target:N {reduction:str=mean margin:num=1} -> T",
      .flags = AL_F_COMPOSITE, .doc = "max(0, margin - t x) for targets +1 and -1.",
      .forward = hinge_forward,
      .sample = "{away(3,4), 1}, {away(3,4), t({1,-1,1,-1}), {margin=0.1, reduction='sum'}}");

/* x where the target is +1, `other` where it is -1 */
static al_tensor *by_sign(al_tensor *target, al_tensor *x, al_tensor *other) {
  return al_where(al_gt(target, al_number(0)), x, other);
}

static int hinge_embedding_forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  return al_reduced(c, by_sign(ARG_T(1), x, al_relu(al_rsub_num(ARG_F(3), x))), c->a[2].s);
}
AL_OP(hinge_embedding_loss, .sig = "x:T target:T {reduction:str=mean margin:num=1} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "A distance x where the target is +1, max(0, margin - x) where it is -1.",
      .forward = hinge_embedding_forward,
      .sample = "{away(3,4), t({1,-1,1,-1})}, {away(3,4), t({1,-1,1,-1}), {margin=0.1, "
                "reduction='sum'}}");

static int soft_margin_forward(al_call *c) {
  al_tensor *x = al_neg(al_mul(ARG_T(0), ARG_T(1)));
  return al_reduced(c, al_apply(&al_op_softplus, x, 1.0, 1000.0), c->a[2].s);
}
AL_OP(soft_margin_loss, .sig = "x:T target:N {reduction:str=mean} -> T",
      .flags = AL_F_COMPOSITE, .doc = "log(1 + e^(-t x)) for targets +1 and -1.",
      .forward = soft_margin_forward,
      .sample = "{r(3,4), t({1,-1,1,-1})}, {r(3,4), 1, {reduction='none'}}");

static int margin_ranking_forward(al_call *c) {
  al_tensor *d = al_mul(ARG_T(2), al_sub(ARG_T(1), ARG_T(0)));
  return al_reduced(c, al_relu(al_add_num(d, ARG_F(4))), c->a[3].s);
}
AL_OP(margin_ranking_loss, .sig = "x1:T x2:T target:N {reduction:str=mean margin:num=0} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "max(0, margin - t (x1 - x2)): target +1 wants x1 above x2, -1 below.",
      .forward = margin_ranking_forward,
      .sample = "{distinct(3,4), r(3,1):mul(0.01), t({1,-1,1,-1})}, {distinct(3,4), "
                "r(3,1):mul(0.01), 1, {margin=0.11, reduction='sum'}}");

/* ---- several classes ---- */

static int multi_margin_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *label = ARG_T(1), *weight = ARG_T(4);
  double p = ARG_F(2);
  if (x->ndim != 2 || label->ndim != 1 || label->shape[0] != x->shape[0])
    return al_fail("needs x (n, classes) and n labels");
  if (p != 1 && p != 2) return al_fail("p is 1 or 2, got %g", p);
  al_tensor *own = al_apply(&al_op_gather, x, (int64_t)1, al_unsqueeze(label, 1));
  al_tensor *z = al_relu(al_add_num(al_sub(x, own), ARG_F(3)));
  if (p == 2) z = al_square(z);
  if (weight)
    z = al_mul(z, al_unsqueeze(al_apply(&al_op_gather, weight, (int64_t)0, label), 1));
  al_tensor *hot = al_apply(&al_op_one_hot, label, x->shape[1], (int)AL_BOOL);
  return al_reduced(c, al_mean(al_where(hot, al_number(0), z), (const int64_t[]){1}, 1, false),
                    c->a[5].s);
}
AL_OP(multi_margin_loss,
      .sig = "x:T target:T p:num=1 margin:num=1 weight:T? {reduction:str=mean} -> T",
      .flags = AL_F_COMPOSITE,
      .doc =
          "sum over classes j but the label y of max(0, margin - x_y + x_j)^p, over the number "
          "of classes:\n"
          "scores x (n, classes), labels (n) from 1; p is 1 or 2; weight: one a class, of the "
          "label.",
      .forward = multi_margin_forward,
      .sample = "{distinct(3,4), ints(1,4,3), 1, 0.6}, {distinct(3,4), ints(1,4,3), {p=2, "
                "margin=0.6, weight=pos(4), reduction='none'}}");

/* ---- distances and similarities ---- */

/* (sum |x1 - x2 + eps|^p)^(1/p) along the last dim */
static al_tensor *distance(al_tensor *x1, al_tensor *x2, double p, double eps, bool keep) {
  return al_apply(&al_op_norm, al_add_num(al_sub(x1, x2), eps), p, (const int64_t[]){-1}, 1,
                  (int)keep);
}
static int pairwise_forward(al_call *c) {
  return al_ret(c, distance(ARG_T(0), ARG_T(1), ARG_F(2), ARG_F(3), ARG_B(4)));
}
AL_OP(pairwise_distance, .sig = "x1:T x2:T p:num=2 eps:num=1e-6 keepdim:bool=false -> T",
      .flags = AL_F_COMPOSITE, .doc = "The p-norm of x1 - x2 + eps along the last dim.",
      .forward = pairwise_forward,
      .sample = "{r(3,4), r(3,4)}, {away(3,4), r(4):mul(0.1), 1, 1e-6, true}");

static int triplet_forward(al_call *c) {
  double p = ARG_F(5), eps = ARG_F(6);
  al_tensor *near = distance(ARG_T(0), ARG_T(1), p, eps, false),
            *far = distance(ARG_T(0), ARG_T(2), p, eps, false);
  if (ARG_B(7)) far = al_minimum(far, distance(ARG_T(1), ARG_T(2), p, eps, false));
  return al_reduced(c, al_relu(al_add_num(al_sub(near, far), ARG_F(4))), c->a[3].s);
}
AL_OP(triplet_margin_loss,
      .sig = "anchor:T positive:T negative:T {reduction:str=mean margin:num=1 p:num=2 "
             "eps:num=1e-6 swap:bool=false} -> T",
      .flags = AL_F_COMPOSITE,
      .doc =
          "max(0, d(anchor, positive) - d(anchor, negative) + margin), d the pairwise_distance "
          "of norm p; swap:\n"
          "d(positive, negative) where that is smaller.",
      .forward = triplet_forward,
      .sample = "{r(3,4), r(3,4), r(3,4), {margin=2}}, {r(3,4), r(3,4), r(3,4), {swap=true, "
                "reduction='sum', p=3, eps=0.01}}");

/* x1 x2 / (max(|x1|, eps) max(|x2|, eps)) along dim */
static al_tensor *cosine(al_tensor *x1, al_tensor *x2, int64_t dim, double eps) {
  al_tensor *floor = al_number(eps * eps), *n[2], *x[2] = {x1, x2};
  for (int i = 0; i < 2; i++)
    n[i] = al_sqrt(al_maximum(al_sum(al_square(x[i]), &dim, 1, false), floor));
  return al_div(al_sum(al_mul(x1, x2), &dim, 1, false), al_mul(n[0], n[1]));
}
static int cosine_forward(al_call *c) {
  return al_ret(c, cosine(ARG_T(0), ARG_T(1), ARG_I(2), ARG_F(3)));
}
AL_OP(cosine_similarity, .sig = "x1:T x2:T dim:dim=2 eps:num=1e-8 -> T",
      .flags = AL_F_COMPOSITE, .doc = "x1 x2 / (max(|x1|, eps) max(|x2|, eps)) along dim.",
      .forward = cosine_forward, .sample = "{r(3,4), r(3,4)}, {r(3,4), r(3,4), 1, 1e-3}");

static int cosine_embedding_forward(al_call *c) {
  al_tensor *s = cosine(ARG_T(0), ARG_T(1), -1, 1e-6);
  al_tensor *loss = by_sign(ARG_T(2), al_rsub_num(1, s), al_relu(al_add_num(s, -ARG_F(4))));
  return al_reduced(c, loss, c->a[3].s);
}
AL_OP(cosine_embedding_loss, .sig = "x1:T x2:T target:T {reduction:str=mean margin:num=0} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "1 - cos(x1, x2) along the last dim where the target is +1, max(0, cos - margin) "
             "where it is -1.",
      .forward = cosine_embedding_forward,
      .sample = "{r(4,3), r(4,3), t({1,-1,1,-1})}, {r(4,3), r(4,3), t({1,-1,1,-1}), "
                "{margin=-0.9, reduction='none'}}");

/* ---- counts, uncertain values ---- */

static int poisson_nll_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *t = ARG_T(1), *loss;
  if (ARG_B(3)) loss = al_sub(al_exp(x), al_mul(t, x));
  else loss = al_sub(x, al_mul(t, al_log(al_add_num(x, ARG_F(5)))));
  if (ARG_B(4)) { /* Stirling's formula for log t! */
    al_tensor *some = al_gt(t, al_number(1)), *safe = al_where(some, t, al_number(1));
    al_tensor *log = al_sub(al_mul(safe, al_log(safe)), safe),
              *half = al_mul_num(al_log(al_mul_num(safe, 2 * M_PI)), 0.5);
    loss = al_add(loss, al_where(some, al_add(log, half), al_number(0)));
  }
  return al_reduced(c, loss, c->a[2].s);
}
AL_OP(
    poisson_nll_loss,
    .sig = "x:T target:N {reduction:str=mean log_input:bool=true full:bool=false eps:num=1e-8} "
           "-> T",
    .flags = AL_F_COMPOSITE,
    .doc = "Minus the log-likelihood of counts t under Poisson(e^x), without the constant: e^x "
           "- t x; with\n"
           "log_input = false x is the rate: x - t log(x + eps). full adds log t! by "
           "Stirling's formula (t > 1).",
    .forward = poisson_nll_forward,
    .sample = "{r(3,4), ints(0,5,3,4)}, {pos(3,4), pos(3,4) * 2 + 0.1, {log_input=false, "
              "full=true, eps=0.01, reduction='sum'}}");

static int gaussian_nll_forward(al_call *c) {
  al_tensor *var = al_maximum(ARG_T(2), al_number(ARG_F(5)));
  al_tensor *loss = al_add(al_log(var), al_div(al_square(al_sub(ARG_T(0), ARG_T(1))), var));
  loss = al_mul_num(loss, 0.5);
  return al_reduced(c, ARG_B(4) ? al_add_num(loss, 0.5 * log(2 * M_PI)) : loss, c->a[3].s);
}
AL_OP(gaussian_nll_loss,
      .sig = "x:T target:N var:N {reduction:str=mean full:bool=false eps:num=1e-6} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "(log v + (x - t)^2 / v) / 2 for v = max(var, eps); full adds log(2 pi) / 2.",
      .forward = gaussian_nll_forward,
      .sample = "{r(3,4), r(3,4), pos(3,4)}, {r(3,4), r(3,4), pos(4), {full=true, eps=0.1, "
                "reduction='sum'}}");

/* ---- regions ---- */

static int dice_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *t = ARG_T(1);
  int64_t dims[AL_MAX_DIMS], first = x->ndim > 2 ? 2 : 1;
  int n = 0;
  if (x->ndim < 2 || !al_same_shape(x, t)) return al_fail("needs x and target (n, ..) alike");
  for (int64_t d = first; d < x->ndim; d++) dims[n++] = d;
  al_tensor *both = al_sum(al_mul(x, t), dims, n, false),
            *all = al_sum(al_add(x, t), dims, n, false);
  al_tensor *share =
      al_div(al_add_num(al_mul_num(both, 2), ARG_F(3)), al_add_num(all, ARG_F(3)));
  return al_reduced(c, al_rsub_num(1, share), c->a[2].s);
}
AL_OP(
    dice_loss, .sig = "x:T target:T {reduction:str=mean smooth:num=1} -> T",
    .flags = AL_F_COMPOSITE,
    .doc = "1 - (2 sum x t + smooth) / (sum x + sum t + smooth) of probabilities x and targets "
           "t (n, classes, ..):\n"
           "sums over space, a loss each image and class; of (n, m) sums over m. Milletari et "
           "al. 2016, arXiv:1606.04797.",
    .forward = dice_forward,
    .sample = "{pos(2,3,4), pos(2,3,4)}, {pos(2,3), pos(2,3), {smooth=0.1, reduction='none'}}");

/* With q = sigmoid(x) the probability missed is m = q + t - 2 q t. */
static int focal_forward(al_call *c) {
  extern al_op al_op_binary_cross_entropy_with_logits;
  al_tensor *x = ARG_T(0), *t = ARG_T(1), *none = NULL, *q = al_sigmoid(x);
  al_tensor *miss = al_sub(al_add(q, t), al_mul_num(al_mul(q, t), 2)),
            *loss = al_apply(&al_op_binary_cross_entropy_with_logits, x, t, none, none, "none");
  loss = al_mul(loss, al_pow(miss, al_number(ARG_F(4))));
  double a = ARG_F(3);
  if (a >= 0) loss = al_mul(loss, al_add_num(al_mul_num(t, 2 * a - 1), 1 - a));
  return al_reduced(c, loss, c->a[2].s);
}
AL_OP(focal_loss, .sig = "x:T target:N {reduction:str=mean alpha:num=0.25 gamma:num=2} -> T",
      .alias = "sigmoid_focal_loss", .flags = AL_F_COMPOSITE,
      .doc = "binary_cross_entropy_with_logits times (1 - p)^gamma, p the probability given to "
             "the target, times alpha\n"
             "for target 1, 1 - alpha for 0 (alpha < 0: no such weights). Lin et al. 2017, "
             "arXiv:1708.02002.",
      .forward = focal_forward,
      .sample = "{r(3,4), t({1,0,1,0})}, {r(3,4), pos(4) / 2.1, {alpha=-1, gamma=1.5, "
                "reduction='sum'}}");
