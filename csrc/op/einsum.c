/* einsum.c: sums of products over named dims, made of permute, reshape, sum and matmul. */
#include "op.h"
#include <string.h>

extern al_op al_op_diagonal, al_op_einsum;

/* Labels: A-Z 0 .. 25, a-z 26 .. 51; the dims of an ellipsis end at 59, so that they align at
 * the right. */
enum { ELLIPSIS = 60 };
typedef uint64_t set;
typedef struct term {
  al_tensor *t;
  int n;
  int label[2 * AL_MAX_DIMS]; /* of each dim */
} term;

static set bit(int label) { return (set)1 << label; }
static set labels_of(const term *x) {
  set s = 0;
  for (int d = 0; d < x->n; d++) s |= bit(x->label[d]);
  return s;
}
static int place_of(const term *x, int label) {
  for (int d = 0; d < x->n; d++)
    if (x->label[d] == label) return d;
  return -1;
}
static int64_t size_of(const term *x, int label) {
  int d = place_of(x, label);
  return d < 0 ? 1 : x->t->shape[d];
}

/* Sums x over what is not in `keep`. */
static void sum_out(term *x, set keep) {
  int64_t dims[AL_MAX_DIMS];
  int n = 0, left = 0;
  for (int d = 0; d < x->n; d++) {
    if (keep & bit(x->label[d])) x->label[left++] = x->label[d];
    else dims[n++] = d;
  }
  x->n = left;
  if (n) x->t = al_sum(x->t, dims, n, false);
}

/* x with its dims in the order of `label`, those it lacks of size 1; then as `shape`. */
static al_tensor *ordered(const term *x, int n, const int *label, const int64_t *expand,
                          int nshape, const int64_t *shape) {
  int64_t order[AL_MAX_DIMS], wide[2 * AL_MAX_DIMS];
  int k = 0;
  for (int i = 0; i < n; i++) {
    int d = place_of(x, label[i]);
    if (d < 0) continue;
    order[k] = d;
    wide[k++] = expand[i];
  }
  al_tensor *t = k ? al_expand(al_permute(x->t, order, k), wide, k) : x->t;
  return al_reshape(t, shape, nshape);
}

/* x y summed over their common labels outside `keep`, as a stack of matrix products: (batch,
 * left, inner) by (batch, inner, right). Nothing to sum: an elementwise product. */
static int multiply(term *x, const term *y, set keep) {
  set sx = labels_of(x), sy = labels_of(y);
  set group[] = {sx & sy & keep, sx & ~sy, sx & sy & ~keep, sy & ~sx};
  int label[4 * AL_MAX_DIMS], n = 0, n_out = 0;
  int64_t expand[4 * AL_MAX_DIMS], count[4] = {1, 1, 1, 1}, left[4 * AL_MAX_DIMS],
                                   right[4 * AL_MAX_DIMS], out[4 * AL_MAX_DIMS];
  for (int g = 0; g < 4; g++)
    for (int l = 0; l < ELLIPSIS; l++) {
      if (!(group[g] & bit(l))) continue;
      int64_t a = size_of(x, l), b = size_of(y, l);
      label[n] = l;
      expand[n] = a == 1 ? b : a;
      count[g] *= expand[n];
      if (g != 2) {
        left[n_out] = g == 3 ? 1 : expand[n];
        right[n_out] = g == 1 ? 1 : expand[n];
        out[n_out++] = expand[n];
      }
      n++;
    }
  if (n_out > AL_MAX_DIMS)
    return al_fail("a product of two operands has %d dims, at most %d are possible", n_out,
                   AL_MAX_DIMS);
  if (group[2]) {
    int64_t a[] = {count[0], count[1], count[2]}, b[] = {count[0], count[2], count[3]};
    x->t = al_matmul(ordered(x, n, label, expand, 3, a), ordered(y, n, label, expand, 3, b));
    x->t = al_reshape(x->t, out, n_out);
  } else {
    x->t = al_mul(ordered(x, n, label, expand, n_out, left),
                  ordered(y, n, label, expand, n_out, right));
  }
  x->n = 0;
  for (int i = 0; i < n; i++)
    if (!(group[2] & bit(label[i]))) x->label[x->n++] = label[i];
  return x->t ? 0 : -1;
}

/* The product of all terms, from the left, summed to the labels of `out`, in that order. */
static al_tensor *contract(int n, term *x, const term *out) {
  const al_tensor *first = x[0].t;
  for (int k = 0; k < n; k++) {
    set keep = labels_of(out);
    for (int j = k + 1; j < n; j++) keep |= labels_of(&x[j]);
    if (k == 0) sum_out(&x[0], keep);
    else {
      sum_out(&x[k], keep | labels_of(&x[0]));
      if (!x[k].t || multiply(&x[0], &x[k], keep)) return NULL;
    }
    if (!x[0].t) return NULL;
  }
  int64_t order[AL_MAX_DIMS];
  bool same = x[0].t != first; /* an operand itself is not handed out */
  for (int d = 0; d < out->n; d++) {
    order[d] = place_of(&x[0], out->label[d]);
    same = same && order[d] == d;
  }
  return same     ? x[0].t
         : out->n ? al_permute(x[0].t, order, out->n)
                  : al_reshape(x[0].t, NULL, 0);
}

/* ---- the equation ---- */

/* Labels of one operand, or of the result, from s up to `end`; an ellipsis stands for `dots`
 * dims. */
static int read_labels(const char *s, const char *end, int dots, term *x) {
  bool seen = false;
  x->n = 0;
  for (; s < end; s++) {
    if (*s == ' ') continue;
    int label = *s >= 'A' && *s <= 'Z' ? *s - 'A' : *s >= 'a' && *s <= 'z' ? *s - 'a' + 26 : -1;
    if (label < 0 && (seen || end - s < 3 || strncmp(s, "...", 3)))
      return al_fail("\"%c\" in the equation is no label (a letter, or ... once)", *s);
    if (x->n + (label < 0 ? dots : 1) > AL_MAX_DIMS)
      return al_fail("a term of the equation has more than %d dims", AL_MAX_DIMS);
    if (label >= 0) {
      x->label[x->n++] = label;
      continue;
    }
    seen = true;
    s += 2;
    for (int d = 0; d < dots; d++) x->label[x->n++] = ELLIPSIS - dots + d;
  }
  return 0;
}

/* An operand: its labels, one diagonal taken for each repeated one. */
static int read_operand(const char *s, const char *end, int which, al_tensor *t, term *x) {
  int letters = 0;
  bool dots = false;
  for (const char *p = s; p < end; p++) letters += *p != ' ' && *p != '.', dots |= *p == '.';
  if (letters > t->ndim || (!dots && letters < t->ndim))
    return al_fail("operand %d has %d dims, the equation names %d", which, t->ndim, letters);
  if (read_labels(s, end, t->ndim - letters, x)) return -1;
  x->t = t;
  for (int d = 0; d < x->n; d++)
    for (int e = d + 1; e < x->n; e++) {
      if (x->label[e] != x->label[d]) continue;
      int label = x->label[d];
      if (x->t->shape[d] != x->t->shape[e])
        return al_fail("operand %d has sizes %lld and %lld under one label", which,
                       (long long)x->t->shape[d], (long long)x->t->shape[e]);
      x->t = al_apply(&al_op_diagonal, x->t, (int64_t)0, (int64_t)d, (int64_t)e);
      if (!x->t) return -1;
      x->n--;
      for (int i = e; i < x->n; i++) x->label[i] = x->label[i + 1];
      for (int i = d; i < x->n - 1; i++) x->label[i] = x->label[i + 1];
      x->label[x->n - 1] = label;
      d = -1; /* once more from the start */
      break;
    }
  return 0;
}

/* Without "->": the ellipsis, then the letters that stand once, in alphabetic order. */
static void implicit_result(const char *s, const char *end, term *out, set all) {
  int times[128] = {0};
  for (; s < end; s++) times[*s & 127]++;
  out->n = 0;
  for (int l = ELLIPSIS - AL_MAX_DIMS; l < ELLIPSIS; l++)
    if (all & bit(l)) out->label[out->n++] = l;
  for (int l = 0; l < 52; l++)
    if (times[l < 26 ? 'A' + l : 'a' + l - 26] == 1 && out->n < 2 * AL_MAX_DIMS)
      out->label[out->n++] = l;
}

static int einsum_forward(al_call *c) {
  const char *s = c->a[0].s, *arrow = strstr(s, "->"), *end = arrow ? arrow : s + strlen(s);
  int n = c->a[1].ts.n, dots = 0;
  int64_t size[ELLIPSIS];
  set all = 0;
  term x[AL_MAX_ARGS], out = {0};
  if (n < 1 || n > AL_MAX_ARGS)
    return al_fail("takes 1 to %d operands, got %d", AL_MAX_ARGS, n);
  const char *p = s;
  for (int k = 0; k < n; k++) {
    size_t len = strcspn(p, ",-");
    if (p + len > end) len = (size_t)(end - p);
    if ((k < n - 1) != (p[len] == ','))
      return al_fail("the equation does not name %d operands", n);
    if (k == n - 1 && p + len != end)
      return al_fail("\"-\" in the equation is no arrow \"->\"");
    if (read_operand(p, p + len, k + 1, c->a[1].ts.v[k], &x[k])) return -1;
    for (int d = 0; d < x[k].n; d++) {
      int l = x[k].label[d];
      int64_t m = x[k].t->shape[d];
      if (all & bit(l) && size[l] != m && size[l] != 1 && m != 1)
        return al_fail("a label stands for sizes %lld and %lld", (long long)size[l],
                       (long long)m);
      if (!(all & bit(l)) || size[l] == 1) size[l] = m;
      all |= bit(l);
    }
    p += len + 1;
  }
  for (int l = ELLIPSIS - AL_MAX_DIMS; l < ELLIPSIS; l++) dots += (int)(all >> l & 1);
  if (!arrow) implicit_result(s, end, &out, all);
  else if (read_labels(arrow + 2, s + strlen(s), dots, &out)) return -1;
  if (out.n > AL_MAX_DIMS) return al_fail("the result has %d dims", out.n);
  for (int d = 0; d < out.n; d++)
    if (!(all & bit(out.label[d])) || place_of(&out, out.label[d]) != d)
      return al_fail("a label of the result stands there twice, or in no operand");
  return al_ret(c, contract(n, x, &out));
}

AL_OP(einsum, .sig = "equation:str xs:T*... -> T", .flags = AL_F_COMPOSITE,
      .doc = "Products of tensors summed over named dims: \"ij,jk->ik\" is a matrix product.\n"
             "Each dim has a letter; a letter twice in one operand takes a diagonal, one that "
             "the result lacks is summed; ... stands for further dims, which broadcast.\n"
             "Without -> the result has the letters that stand once, in alphabetic order. "
             "Operands one by one or in a table; contracted from the left.",
      .forward = einsum_forward,
      .sample =
          "{\"ij,jk->ik\", r(2,3), r(3,4)}, {\"ij,jk\", {r(2,3), r(3,2)}}, "
          "{\"bij,bkj->bik\", r(2,3,2), r(2,2,2)}, {\"ii->i\", r(3,3)}, {\"ii\", r(3,3)}, "
          "{\"ij->ji\", r(2,3)}, {\"i,j,k->kij\", r(2), r(3), r(2)}, "
          "{\"...ij,...jk->...ik\", r(2,1,2,3), r(3,3,2)}, {\"ij,ij->\", r(2,3), r(2,3)}, "
          "{\"iji,jk->ki\", r(2,3,2), r(3,2)}, {\"ab,bc,cd\", r(2,3), r(3,2), r(2,2)}");

static int tensordot_forward(al_call *c) {
  al_tensor *a = ARG_T(0), *b = ARG_T(1);
  int64_t count = HAS(3) ? c->a[3].ints.n : ARG_I(2);
  if (HAS(3) != HAS(4) || (HAS(3) && c->a[3].ints.n != c->a[4].ints.n))
    return al_fail("dims_x and dims_y need as many entries");
  if (count < 0 || count > a->ndim || count > b->ndim)
    return al_fail("%lld dims of tensors of %d and %d", (long long)count, a->ndim, b->ndim);
  term x[2] = {{.t = a, .n = a->ndim}, {.t = b, .n = b->ndim}}, out = {0};
  for (int d = 0; d < a->ndim; d++) x[0].label[d] = d;
  for (int d = 0; d < b->ndim; d++) x[1].label[d] = AL_MAX_DIMS + d;
  set inner = 0;
  for (int i = 0; i < count; i++) {
    int d = a->ndim - (int)count + i, e = i;
    if (HAS(3) &&
        (al_dim(c->a[3].ints.v[i], a->ndim, &d) || al_dim(c->a[4].ints.v[i], b->ndim, &e)))
      return -1;
    if (a->shape[d] != b->shape[e])
      return al_fail("dim %d of x has size %lld, dim %d of y %lld", d + 1,
                     (long long)a->shape[d], e + 1, (long long)b->shape[e]);
    if (inner & bit(d) || x[1].label[e] < AL_MAX_DIMS) return al_fail("a dim is named twice");
    x[1].label[e] = d;
    inner |= bit(d);
  }
  if (a->ndim + b->ndim - 2 * count > AL_MAX_DIMS)
    return al_fail("the result has too many dims");
  for (int k = 0; k < 2; k++)
    for (int d = 0; d < x[k].n; d++)
      if (!(inner & bit(x[k].label[d]))) out.label[out.n++] = x[k].label[d];
  return al_ret(c, contract(2, x, &out));
}

AL_OP(tensordot, .sig = "x:T y:T dims:int=2 {dims_x:dims? dims_y:dims?} -> T",
      .flags = AL_F_COMPOSITE,
      .doc = "Products summed over the last `dims` dims of x and the first of y, or over the "
             "pairs of dims_x and dims_y; the other dims of x, then of y, remain.",
      .forward = tensordot_forward,
      .sample =
          "{r(2,3,4), r(3,4,2)}, {r(2,3), r(3,2), 1}, {r(2,3,4), r(4,2,2), {dims_x={1,3}, "
          "dims_y={2,1}}}, {r(2), r(3), 0}");
