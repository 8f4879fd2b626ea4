/* attention.c: scaled dot-product attention, softmax(q k^T scale + mask) v (Vaswani et al.
 * 2017, arXiv:1706.03762).
 *
 * The matrix of weights is made in parts of about PART elements, some rows of some stacks at a
 * time, and made again for the gradient: nothing of its size is kept. */
#include "../grad/through.h"
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_attention, al_op_dropout, al_op_logical_and;
enum { PART = 1 << 19 };

/* true where query `row` + i may attend to key j <= row + i: (rows, keys) */
static al_tensor *lower(int64_t row, int64_t rows, int64_t keys) {
  al_tensor *m = al_empty(AL_BOOL, 2, (int64_t[]){rows, keys});
  uint8_t *v = m ? al_data(m) : NULL;
  for (int64_t i = 0; v && i < rows; i++)
    for (int64_t j = 0; j < keys; j++) v[i * keys + j] = j <= row + i;
  return m;
}

static al_tensor *only(al_tensor *p, al_tensor *allowed, double otherwise) {
  return allowed ? al_where(allowed, p, al_number(otherwise)) : p;
}

/* The weights of queries from `row` on, by recorded ops; a query that may attend to nothing has
 * weights 0. */
static al_tensor *weights(al_tensor *q, al_tensor *k, al_tensor *mask, double scale,
                          bool causal, int64_t row) {
  al_tensor *s = al_matmul(al_mul_num(q, scale), al_transpose(k, -1, -2)), *no = NULL;
  if (!s || (causal && !(no = lower(row, s->shape[s->ndim - 2], s->shape[s->ndim - 1]))))
    return NULL;
  if (mask && mask->dtype != AL_BOOL) s = al_add(s, mask);
  else if (mask && !(no = no ? al_apply(&al_op_logical_and, mask, no) : mask)) return NULL;
  al_tensor *p = al_apply(&al_op_softmax, only(s, no, -INFINITY), (int64_t)-1);
  return only(p, no, 0);
}

static al_tensor *attend(al_tensor *q, al_tensor *k, al_tensor *v, al_tensor *mask,
                         double scale, bool causal, int64_t row) {
  return al_matmul(weights(q, k, mask, scale, causal, row), v);
}

/* ---- part by part ---- */

typedef struct part {
  int64_t stack, stacks, row, rows, keys;
} part;

/* The part after *p of q (b, l, e) against `keys` keys; start from zeros. False at the end. */
static bool next_part(part *p, const al_tensor *q, int64_t keys, bool causal) {
  int64_t b = q->shape[0], l = q->shape[1], all = keys ? keys : 1;
  if (p->stacks && (p->row += p->rows) >= l) p->stack += p->stacks, p->row = 0;
  if (p->stack >= b || l == 0) return false;
  p->stacks = PART / (l * all) > 8 ? PART / (l * all) : 8; /* a stack a task */
  if (p->stacks > b - p->stack) p->stacks = b - p->stack;
  p->rows = PART / (p->stacks * all) > 16 ? PART / (p->stacks * all) : 16;
  if (p->rows > l - p->row) p->rows = l - p->row;
  p->keys = causal && p->row + p->rows < keys ? p->row + p->rows : keys;
  return true;
}

/* The view of t (b or 1, l or 1, w) at a part: its stacks, `n` entries of dim 1 from `at`, keys
 * of dim 2 when it is the mask. */
static al_tensor *view(al_tensor *t, const part *p, int64_t at, int64_t n, bool mask) {
  if (!t) return NULL;
  int64_t shape[] = {p->stacks, n, mask ? p->keys : t->shape[2]}, offset = t->offset;
  for (int d = 0; d < 2; d++) {
    if (mask && t->shape[d] == 1) shape[d] = 1;
    else offset += (d ? at : p->stack) * t->stride[d];
  }
  return al_alias(t, 3, shape, t->stride, offset);
}

/* q, k, v, mask at a part. */
static int views(al_tensor *const *in, const part *p, al_tensor **out) {
  for (int i = 0; i < 4; i++) {
    bool rows = i == 0 || i == 3;
    out[i] = view(in[i], p, rows ? p->row : 0, rows ? p->rows : p->keys, i == 3);
    if (in[i] && !out[i]) return -1;
  }
  return 0;
}

static int attention_forward(al_call *c) {
  al_tensor *in[] = {ARG_T(0), ARG_T(1), ARG_T(2), ARG_T(3)}, *at[4];
  int64_t shape[] = {in[0]->shape[0], in[0]->shape[1], in[2]->shape[2]};
  al_tensor *y = al_empty(al_promote(3, in), 3, shape);
  part p = {0};
  while (y && next_part(&p, in[0], in[1]->shape[1], ARG_B(5))) {
    al_frame frame;
    al_frame_open(&frame);
    al_tensor *to = view(y, &p, p.row, p.rows, false), *from = NULL;
    if (!views(in, &p, at))
      from = attend(at[0], at[1], at[2], at[3], ARG_F(4), ARG_B(5), p.row);
    int failed = !to || !from || al_copy(to, from);
    al_frame_close(&frame);
    if (failed) return -1;
  }
  return al_ret(c, y);
}

static int attention_form(const al_back *b, al_tensor **in, al_tensor **out) {
  out[0] = attend(in[0], in[1], in[2], in[3], b->a[4].f, b->a[5].b, 0);
  return out[0] ? 0 : -1;
}

/* sum[part] += g */
static int add_part(al_tensor *sum, al_tensor *g) {
  al_call add = {.op = &al_op_add, .into = sum};
  add.a[0] = (al_arg){.t = sum, .given = true};
  add.a[1] = (al_arg){.t = g, .given = true};
  return sum ? al_invoke(&add) : -1;
}

/* One part recorded and differentiated at once; its gradients added to sums[]. */
static int part_gradient(al_back *b, const part *p, al_tensor *const *sums) {
  al_tensor *at[4], *to[4], *wanted[4], *gx[4], *y,
      *g = view(b->g[0], p, p->row, p->rows, false);
  int n = 0;
  if (!g || views(b->in, p, at) || views(sums, p, to)) return -1;
  for (int i = 0; i < 4; i++)
    if (at[i] && sums[i]) {
      at[i]->requires_grad = true;
      to[n] = to[i];
      wanted[n++] = at[i];
    }
  bool former = al_set_grad_enabled(true);
  y = attend(at[0], at[1], at[2], at[3], b->a[4].f, b->a[5].b, p->row);
  al_set_grad_enabled(former);
  if (!y || al_backward(1, &y, &g, n, wanted, gx, 0)) return -1;
  for (int i = 0; i < n; i++)
    if (!(gx[i] = al_adopt(gx[i]))) return -1;
  for (int i = 0; i < n; i++)
    if (add_part(to[i], gx[i])) return -1;
  return 0;
}

static int attention_grad(al_back *b) {
  if (b->create_graph) return al_grad_through(b, attention_form);
  part p = {0};
  for (int i = 0; i < 4; i++) {
    al_tensor *x = b->in[i];
    if (b->needs[i] && !(b->gx[i] = al_zeros((al_dtype)x->dtype, x->ndim, x->shape))) return -1;
  }
  while (next_part(&p, b->in[0], b->in[1]->shape[1], b->a[5].b)) {
    al_frame frame;
    al_frame_open(&frame);
    int failed = part_gradient(b, &p, b->gx);
    al_frame_close(&frame);
    if (failed) return -1;
  }
  return 0;
}

AL_OP(attention, .sig = "q:T k:T v:T mask:T? scale:num causal:bool -> T", .flags = AL_F_HIDDEN,
      .save = "q k v mask",
      .doc =
          "scaled_dot_product_attention of stacks q (b, l, e), k (b, s, e), v (b, s, f), mask "
          "(b or 1, l or 1, s).",
      .forward = attention_forward, .grad = attention_grad,
      .sample = "{r(2,3,2), r(2,4,2), r(2,4,3), none, 0.7, false}, {r(2,3,2), r(2,4,2), "
                "r(2,4,3), r(1,3,4), 1, true}, {r(2,3,2), r(2,4,2), r(2,4,3), "
                "t({{{true,false,true,true}}}), 1, false}");

/* ---- the public op ---- */

/* t with the leading dims of q (n dims before the last two), as (b, rows, columns). */
static al_tensor *stacked(al_tensor *t, const int64_t *lead, int n, bool spread) {
  int64_t shape[AL_MAX_DIMS];
  if (!t) return NULL;
  if (t->ndim < 2 || t->ndim > n + 2)
    return al_null("a tensor of %d dims does not go with q's %d", t->ndim, n + 2);
  memcpy(shape, lead, (size_t)n * sizeof *shape);
  memcpy(shape + n, t->shape + t->ndim - 2, 2 * sizeof *shape);
  if (spread || al_product(t->ndim - 2, t->shape) > 1) t = al_expand(t, shape, n + 2);
  if (!t) return NULL;
  int64_t stacks = al_product(t->ndim - 2, t->shape);
  return al_reshape(t, (int64_t[]){stacks, shape[n], shape[n + 1]}, 3);
}

static int sdpa_forward(al_call *c) {
  al_tensor *q = ARG_T(0), *k = ARG_T(1), *v = ARG_T(2), *mask = ARG_T(3);
  int n = q->ndim - 2;
  if (n < 0 || k->ndim < 2 || v->ndim < 2)
    return al_fail("needs at least 2 dims: (.., steps, features)");
  int64_t e = q->shape[n + 1], l = q->shape[n], keys = k->shape[k->ndim - 2],
          shape[AL_MAX_DIMS];
  if (k->shape[k->ndim - 1] != e)
    return al_fail("q has %lld features, k %lld", (long long)e,
                   (long long)k->shape[k->ndim - 1]);
  if (v->shape[v->ndim - 2] != keys)
    return al_fail("k has %lld entries, v %lld", (long long)keys,
                   (long long)v->shape[v->ndim - 2]);
  if (!(ARG_F(4) >= 0 && ARG_F(4) <= 1))
    return al_fail("dropout must be in [0, 1], got %g", ARG_F(4));
  memcpy(shape, q->shape, sizeof shape);
  shape[n + 1] = v->shape[v->ndim - 1];
  while (mask && mask->ndim < 2) mask = al_unsqueeze(mask, 0);
  if (mask && mask->shape[mask->ndim - 1] != keys) {
    int64_t wide[AL_MAX_DIMS];
    memcpy(wide, mask->shape, sizeof wide);
    wide[mask->ndim - 1] = keys;
    mask = al_expand(mask, wide, mask->ndim);
  }
  if (HAS(3) &&
      (!mask || (mask->shape[mask->ndim - 2] != l && mask->shape[mask->ndim - 2] != 1)))
    return mask ? al_fail("mask has %lld rows, q %lld", (long long)mask->shape[mask->ndim - 2],
                          (long long)l)
                : -1;
  if (HAS(3) && mask->dtype != AL_BOOL && !al_is_float(mask->dtype))
    return al_fail("mask is bool (true: may attend) or floating (added)");
  al_tensor *y, *q3 = stacked(q, q->shape, n, true), *k3 = stacked(k, q->shape, n, true),
                *v3 = stacked(v, q->shape, n, true), *m3 = stacked(mask, q->shape, n, false);
  if (!q3 || !k3 || !v3 || (mask && !m3)) return -1;
  double scale = HAS(6) ? ARG_F(6) : 1 / sqrt((double)e);
  if (ARG_F(4) > 0) {
    al_tensor *p = weights(q3, k3, m3, scale, ARG_B(5), 0);
    y = al_matmul(al_apply(&al_op_dropout, p, ARG_F(4), 1, HAS(7) ? c->a[7].rng : NULL), v3);
  } else {
    y = al_apply(&al_op_attention, q3, k3, v3, m3, scale, (int)ARG_B(5));
  }
  return al_ret(c, al_reshape(y, shape, q->ndim));
}

AL_OP(scaled_dot_product_attention,
      .sig = "q:T k:T v:T mask:T? {dropout:num=0 causal:bool=false scale:num? generator:rng?} "
             "-> T",
      .flags = AL_F_COMPOSITE,
      .doc =
          "softmax(q k^T scale + mask) v: q (.., l, e), k (.., s, e), v (.., s, f) -> (.., l, "
          "f).\n"
          "mask broadcasts to (.., l, s): bool, true where a query may attend (none at all: "
          "weights 0), or floating,\nadded. causal: query i attends to keys up to i. scale: "
          "1 / sqrt(e) by default. Without dropout (of the\nweights, whenever it is not 0) no "
          "matrix of l x s is kept: parts of it are made again for the gradient.\n"
          "Vaswani et al. 2017, arXiv:1706.03762.",
      .forward = sdpa_forward,
      .sample = "{r(2,2,3,2), r(2,2,4,2), r(2,2,4,3)}, {r(2,3,2), r(3,2), r(3,3), "
                "t({{true,false,true}}), {causal=true, scale=0.5}}, {r(3,2), r(4,2), r(4,3), "
                "r(3,4)}, {r(2,2,3,2), r(2,2,4,2), r(2,2,4,3), r(2,1,1,4)}");
