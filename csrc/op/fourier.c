/* fourier.c: the public Fourier and cosine transforms, made of dft (fft.c). Complex values are
 * float tensors whose last dim, of size 2, holds (re, im); dims are counted without it. */
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_dft, al_op_pad, al_op_roll, al_op_stack, al_op_arange, al_op_select,
    al_op_conv;
enum { FORWARD, INVERSE, HALF, WHOLE, COSINE, COSINES };

static al_tensor *dft(al_tensor *x, int dim, int64_t n, int kind, double middle, double scale) {
  return al_apply(&al_op_dft, x, (int64_t)dim, n, (int64_t)kind, middle, scale);
}

/* x cut or padded by zeros to n entries along dim. */
static al_tensor *resized(al_tensor *x, int dim, int64_t n) {
  int64_t pads[2 * AL_MAX_DIMS] = {0};
  int at = x->ndim - 1 - dim;
  if (n == x->shape[dim]) return x;
  if (n < x->shape[dim]) return al_narrow(x, dim, 1, n);
  pads[2 * at + 1] = n - x->shape[dim];
  return al_apply(&al_op_pad, x, pads, 2 * at + 2, "constant", 0.0);
}

static int scale_of(const char *norm, int64_t n, bool inverse, double *scale) {
  if (!strcmp(norm, "ortho")) *scale = 1 / sqrt((double)n);
  else if (!strcmp(norm, inverse ? "backward" : "forward")) *scale = 1 / (double)n;
  else if (!strcmp(norm, inverse ? "forward" : "backward")) *scale = 1;
  else return al_fail("norm '%s' is none of backward, ortho, forward", norm);
  return 0;
}

/* The dims of a transform and their sizes, of a tensor with `ndim` dims without the pair. */
typedef struct dims {
  int n, dim[AL_MAX_DIMS];
  int64_t size[AL_MAX_DIMS];
} dims;

/* From the arguments s and dim as PyTorch reads them: sizes alone mean the last dims; -1 keeps
 * a size. */
static int read_dims(dims *to, const al_tensor *x, int ndim, const al_arg *s, const al_arg *dim,
                     int otherwise) {
  to->n = dim->given ? dim->ints.n : s->given ? s->ints.n : otherwise ? otherwise : ndim;
  if (s->given && s->ints.n != to->n)
    return al_fail("s has %d entries, dim %d", s->ints.n, to->n);
  if (to->n > ndim) return al_fail("%d dims to transform, x has %d", to->n, ndim);
  for (int i = 0, seen = 0; i < to->n; i++) {
    if (al_dim(dim->given ? dim->ints.v[i] : i - to->n, ndim, &to->dim[i])) return -1;
    if (seen >> to->dim[i] & 1) return al_fail("dim %d is named twice", to->dim[i] + 1);
    seen |= 1 << to->dim[i];
    bool sized = s->given && s->ints.v[i] != -1;
    to->size[i] = sized ? s->ints.v[i] : x->shape[to->dim[i]];
  }
  return 0;
}

/* One transform: complex or of real x (HALF) or to real values (WHOLE), whose halved dim is the
 * last one named. */
static int over(al_call *c, int kind, const dims *given, const char *norm) {
  al_tensor *x = ARG_T(0);
  dims d = *given;
  bool inverse = kind == INVERSE || kind == WHOLE;
  double scale = 1, k = 1;
  if (d.n && x->ndim < 1 + (kind != HALF))
    return al_fail("x has %s to transform",
                   kind == HALF ? "no dim" : "no dim besides the pair");
  if (!al_is_float(x->dtype)) {
    if (kind != HALF) return al_fail("x is %s, needs a float", al_dtype_name(x->dtype));
    x = al_to(x, AL_FLOAT32);
  }
  for (int i = 0; i < d.n; i++) {
    if (d.size[i] < 1 || d.size[i] > 1 << 30)
      return al_fail("a transform of %lld points is impossible", (long long)d.size[i]);
    if (scale_of(norm, d.size[i], inverse, &k)) return -1;
    scale *= k;
  }
  int last = d.n - 1, end = x ? x->ndim - 1 - (kind != HALF) : 0; /* the last dim itself */
  if (d.n == 0) return al_ret(c, al_apply(&al_op_clone, x));
  for (int i = 0; x && i < d.n; i++)
    x = resized(x, d.dim[i], kind == WHOLE && i == last ? d.size[i] / 2 + 1 : d.size[i]);
  if (kind == HALF) {
    x = al_transpose(x, d.dim[last], end);
    x = dft(x, end, d.size[last], HALF, 1, scale);
    x = al_transpose(x, d.dim[last], end);
    scale = 1;
  }
  for (int i = kind < HALF ? last : last - 1; x && i >= 0; i--, scale = 1)
    x = dft(x, d.dim[i], d.size[i], inverse, 1, scale);
  if (kind == WHOLE) {
    x = al_transpose(x, d.dim[last], end);
    x = dft(x, end, d.size[last], WHOLE, 2, scale);
    x = al_transpose(x, d.dim[last], end);
  }
  return al_ret(c, x);
}

/* Number of x's dims, without the pair where there is one; -1 and an error when x has none. */
static int rank_of(const al_tensor *x, int kind) {
  if (kind == HALF) return x->ndim;
  if (x->ndim < 1 || x->shape[x->ndim - 1] != 2)
    return al_fail("x has shape %s, needs complex values: a last dim of 2 (re, im)",
                   al_shape_text(x->ndim, x->shape));
  return x->ndim - 1;
}

/* (x, n, dim, norm) */
static int one(al_call *c, int kind) {
  dims d = {.n = 1};
  int rank = rank_of(ARG_T(0), kind);
  if (rank < 0 || al_dim(ARG_I(2), rank, &d.dim[0])) return -1;
  int64_t have = ARG_T(0)->shape[d.dim[0]];
  d.size[0] = HAS(1) ? ARG_I(1) : kind == WHOLE ? 2 * (have - 1) : have;
  return over(c, kind, &d, c->a[3].s);
}

/* (x, s, dim, norm) */
static int many(al_call *c, int kind, int otherwise) {
  dims d;
  int rank = rank_of(ARG_T(0), kind);
  if (rank < 0 || read_dims(&d, ARG_T(0), rank, &c->a[1], &c->a[2], otherwise)) return -1;
  if (kind == WHOLE && d.n && !(HAS(1) && c->a[1].ints.v[d.n - 1] != -1))
    d.size[d.n - 1] = 2 * (d.size[d.n - 1] - 1);
  if (d.n == 0 && kind >= HALF) return al_fail("needs a dim to transform");
  return over(c, kind, &d, c->a[3].s);
}

#define FAMILY(id, kind, text, shape, r1, s1)                                                 \
  static int id##_one(al_call *c) { return one(c, kind); }                                    \
  static int id##_two(al_call *c) { return many(c, kind, 2); }                                \
  static int id##_all(al_call *c) { return many(c, kind, 0); }                                \
  AL_OP(id, .sig = "x:T n:int? dim:dim=-1 {norm:str=backward} -> T", .flags = AL_F_COMPOSITE, \
        .doc = text "\n" shape " n cuts x or pads it by zeros. norm, where n points are "     \
                    "divided: backward (the inverse by n), ortho (both by sqrt n), forward.", \
        .forward = id##_one,                                                                  \
        .sample = "{r(2,5," r1 ")}, {r(4,3" s1 "), 6, 1, {norm='ortho'}}, {r(2,6" s1 "), 5, " \
                  "{norm='forward'}}");                                                       \
  AL_OP(id##2, .sig = "x:T s:ints? dim:dims? {norm:str=backward} -> T",                       \
        .flags = AL_F_COMPOSITE, .doc = "As " #id "n, over the last two dims.",               \
        .forward = id##_two, .sample = "{r(2,3,4" s1 ")}, {r(3,4" s1 "), {4,6}}");            \
  AL_OP(id##n, .sig = "x:T s:ints? dim:dims? {norm:str=backward} -> T",                       \
        .flags = AL_F_COMPOSITE,                                                              \
        .doc = "As " #id ", over the dims `dim` (all, or as many as s has, the last ones), "  \
               "brought to sizes s (-1: as it is).",                                          \
        .forward = id##_all,                                                                  \
        .sample = "{r(2,3,4" s1 ")}, {r(3,4,2" s1 "), {2,6}, {norm='ortho'}}, {r(3,4,2" s1    \
                  "), {5,-1}, {1,2}, {norm='forward'}}")

FAMILY(
    fft, FORWARD,
    "Discrete Fourier transform of complex values: sum_j x_j exp(-2 pi i j k / n).",
    "x (..., n, ..., 2) -> the same shape; dim counts without the last. O(n log n) for any n, "
    "computed in double. Of real values: rfft, or complex(x).",
    "2", ",2");
FAMILY(ifft, INVERSE, "Inverse of fft: sum_k x_k exp(2 pi i j k / n) / n.",
       "x (..., n, ..., 2) -> the same shape.", "2", ",2");
FAMILY(rfft, HALF,
       "Fourier transform of real x: the entries 0 .. n / 2 of fft, the others being "
       "their conjugates.",
       "x (..., n, ...) -> (..., n / 2 + 1, ..., 2).", "3", "");
FAMILY(irfft, WHOLE, "Inverse of rfft: real values of half a spectrum.",
       "x (..., n / 2 + 1, ..., 2) -> (..., n, ...), n even unless given; what is imaginary in "
       "the first and, of even n, the last entry does not count.",
       "2", ",2");

/* ---- cosine transforms ---- */

static int cosine(al_call *c, bool inverse) {
  al_tensor *x = ARG_T(0);
  int64_t type = ARG_I(1);
  int dim;
  bool ortho = !strcmp(c->a[3].s, "ortho");
  if (type != 2 && type != 3) return al_fail("type is %lld, wants 2 or 3", (long long)type);
  if (!ortho && strcmp(c->a[3].s, "backward"))
    return al_fail("norm '%s' is neither backward nor ortho", c->a[3].s);
  if (al_dim(ARG_I(2), x->ndim, &dim)) return -1;
  if (!x->ndim || x->shape[dim] < 1) return al_fail("a transform of 0 points is impossible");
  if (!al_is_float(x->dtype)) x = al_to(x, AL_FLOAT32);
  double n = (double)ARG_T(0)->shape[dim], scale = inverse ? 1 / (2 * n) : 1;
  bool second = (type == 2) != inverse;
  x = al_transpose(x, dim, -1);
  x = dft(x, ARG_T(0)->ndim - 1, (int64_t)n, second ? COSINE : COSINES,
          ortho    ? M_SQRT2
          : second ? 1
                   : 2,
          ortho    ? sqrt(1 / n)
          : second ? 2 * scale
                   : scale);
  return al_ret(c, al_transpose(x, dim, -1));
}
static int dct_forward(al_call *c) { return cosine(c, false); }
static int idct_forward(al_call *c) { return cosine(c, true); }
AL_OP(dct, .sig = "x:T type:int=2 dim:dim=-1 {norm:str=backward} -> T", .flags = AL_F_COMPOSITE,
      .doc = "Cosine transform of type 2 or 3 along dim, as SciPy's.\n"
             "Type 2: y_k = 2 sum_j x_j cos(pi k (2 j + 1) / 2 n); type 3: y_j = x_0 + 2 sum_k "
             "x_k cos(pi k (2 j + 1) / 2 n). norm ortho makes both orthogonal.",
      .forward = dct_forward,
      .sample = "{r(2,5)}, {r(4,3), 3, 1}, {r(2,6), 2, {norm='ortho'}}, {r(5), 3, "
                "{norm='ortho'}}");
AL_OP(idct, .sig = "x:T type:int=2 dim:dim=-1 {norm:str=backward} -> T",
      .flags = AL_F_COMPOSITE, .doc = "The inverse of dct of the same type and norm.",
      .forward = idct_forward,
      .sample = "{r(2,5)}, {r(4,3), 3, 1}, {r(2,6), 2, {norm='ortho'}}");

/* ---- frequencies ---- */

static int freq(al_call *c, bool half) {
  int64_t n = ARG_I(0), m = half ? n / 2 + 1 : n;
  al_dtype d = HAS(2) ? (al_dtype)c->a[2].dtype : AL_FLOAT32;
  if (n < 1 || ARG_F(1) == 0) return al_fail("n must be at least 1 and d not 0");
  al_tensor *y = al_empty(d, 1, &m);
  for (int64_t k = 0; y && k < m; k++)
    al_set(y, k, (double)(half || 2 * k < n ? k : k - n) / ((double)n * ARG_F(1)));
  return al_ret(c, y);
}
static int fftfreq_forward(al_call *c) { return freq(c, false); }
static int rfftfreq_forward(al_call *c) { return freq(c, true); }
AL_OP(fftfreq, .sig = "n:int d:num=1 {dtype:dtype?} -> T", .flags = AL_F_NODIFF,
      .doc = "Frequencies of the entries of fft for samples d apart: 0, 1, ..., -1 over n d.",
      .forward = fftfreq_forward, .sample = "{5}, {6, 0.5, {dtype='float64'}}");
AL_OP(rfftfreq, .sig = "n:int d:num=1 {dtype:dtype?} -> T", .flags = AL_F_NODIFF,
      .doc = "Frequencies of the entries of rfft: 0, 1, ..., n / 2 over n d.",
      .forward = rfftfreq_forward, .sample = "{5}, {6, 0.5, {dtype='float64'}}");

static int shift(al_call *c, bool back) {
  al_tensor *x = ARG_T(0);
  bool named = HAS(1), twofold = x->ndim && x->shape[x->ndim - 1] == 2;
  if (!named && !HAS(2) && twofold)
    return al_fail("x may be complex or not: say complex=true or false, or give dim");
  if (HAS(2) && ARG_B(2) && !twofold) return al_fail("x is not complex: no last dim of 2");
  int64_t by[AL_MAX_DIMS], at[AL_MAX_DIMS];
  int rank = x->ndim - (HAS(2) && ARG_B(2)), n = named ? c->a[1].ints.n : rank, d;
  for (int i = 0; i < n; i++) {
    if (i == AL_MAX_DIMS || al_dim(named ? c->a[1].ints.v[i] : i, rank, &d)) return -1;
    at[i] = d;
    by[i] = (x->shape[d] + back) / 2;
  }
  return al_ret(c, n ? al_apply(&al_op_roll, x, by, n, at, n) : al_apply(&al_op_clone, x));
}
static int fftshift_forward(al_call *c) { return shift(c, false); }
static int ifftshift_forward(al_call *c) { return shift(c, true); }
AL_OP(fftshift, .sig = "x:T dim:dims? {complex:bool?} -> T", .flags = AL_F_COMPOSITE,
      .doc = "Brings frequency 0 from the start to the middle of the dims `dim` (all).\n"
             "complex: x's last dim holds (re, im) and is no dim of its own.",
      .forward = fftshift_forward,
      .sample = "{r(3,4), {complex=false}}, {r(5,2), 1}, {r(3,4,2), {complex=true}}");
AL_OP(ifftshift, .sig = "x:T dim:dims? {complex:bool?} -> T", .flags = AL_F_COMPOSITE,
      .doc = "The inverse of fftshift.", .forward = ifftshift_forward,
      .sample = "{r(3,4), {complex=false}}, {r(5,2), 1}, {r(3,4,2), {complex=true}}");

/* ---- complex values ---- */

static al_tensor *part(al_tensor *x, int k) {
  return al_apply(&al_op_select, x, (int64_t)-1, k + (int64_t)1);
}
static al_tensor *join(al_tensor *re, al_tensor *im) {
  al_tensor *both[] = {re, im};
  return re && im ? al_apply(&al_op_stack, both, 2, (int64_t)-1) : NULL;
}
static int complex_forward(al_call *c) {
  return al_ret(c, join(ARG_T(0), HAS(1) ? ARG_T(1) : al_mul_num(ARG_T(0), 0)));
}
AL_OP(complex, .sig = "re:T im:T? -> T", .flags = AL_F_COMPOSITE,
      .doc = "Complex values of a real and an imaginary part (zero): (...) -> (..., 2).",
      .forward = complex_forward, .sample = "{r(3,4), r(3,4)}, {r(3)}");

static int complex_mul_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y = ARG_T(1);
  if (rank_of(x, 0) < 0 || rank_of(y, 0) < 0) return -1;
  al_tensor *a = part(x, 0), *b = part(x, 1), *u = part(y, 0), *v = part(y, 1);
  return al_ret(c,
                join(al_sub(al_mul(a, u), al_mul(b, v)), al_add(al_mul(a, v), al_mul(b, u))));
}
AL_OP(complex_mul, .sig = "x:T y:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "Products of complex values: (..., 2) and (..., 2), broadcasting.",
      .forward = complex_mul_forward, .sample = "{r(3,4,2), r(4,2)}");

static int complex_conj_forward(al_call *c) {
  if (rank_of(ARG_T(0), 0) < 0) return -1;
  return al_ret(c, join(part(ARG_T(0), 0), al_neg(part(ARG_T(0), 1))));
}
AL_OP(complex_conj, .sig = "x:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "Conjugates of complex values (..., 2).", .forward = complex_conj_forward,
      .sample = "{r(3,4,2)}");

static int complex_abs_forward(al_call *c) {
  if (rank_of(ARG_T(0), 0) < 0) return -1;
  int64_t last = -1;
  return al_ret(c, al_sqrt(al_sum(al_square(ARG_T(0)), &last, 1, false)));
}
AL_OP(complex_abs, .sig = "x:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "Moduli of complex values: (..., 2) -> (...). No gradient at 0.",
      .forward = complex_abs_forward, .sample = "{away(3,4,2)}");

/* ---- convolution ---- */

/* The products of two complex matrices (batch, n, c) x (batch, c, k) given as parts. */
static int fft_conv2d_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *w = ARG_T(1), *b = ARG_T(2);
  if (x->ndim != 4 || w->ndim != 4) return al_fail("x and w need 4 dims");
  if (x->shape[1] != w->shape[1])
    return al_fail("x has %lld channels, w expects %lld", (long long)x->shape[1],
                   (long long)w->shape[1]);
  if (b && (b->ndim != 1 || b->shape[0] != w->shape[0]))
    return al_fail("b needs %lld entries", (long long)w->shape[0]);
  int64_t n = x->shape[0], ch = x->shape[1], k = w->shape[0], pads[4], out[2], size[2];
  for (int d = 0; d < 2; d++) {
    int given = c->a[3].ints.n;
    int64_t p = given == 1 || given == 2 ? c->a[3].ints.v[given == 2 ? d : 0] : -1;
    if (p < 0 || p > 1 << 20) return al_fail("pad wants 1 or 2 numbers from 0 to 2^20");
    pads[2 - 2 * d] = pads[3 - 2 * d] = p;
    size[d] = x->shape[2 + d] + 2 * p;
    out[d] = size[d] - w->shape[2 + d] + 1;
    if (out[d] < 1 || w->shape[2 + d] < 1)
      return al_fail("the kernel reaches %lld wide, padded x is %lld in dim %d",
                     (long long)w->shape[2 + d], (long long)size[d], d + 3);
    for (int64_t m = size[d];; m++) { /* a length of small factors */
      int64_t rest = m;
      for (int f = 2; f <= 5; f++)
        while (rest % f == 0) rest /= f;
      if (rest == 1) {
        size[d] = m;
        break;
      }
    }
  }
  int64_t half = size[1] / 2 + 1, in[] = {size[0] * half, 1, 1};
  static const int64_t x_order[] = {2, 3, 0, 1}, w_order[] = {2, 3, 1, 0},
                       back[] = {2, 3, 0, 1};
  extern al_op al_op_rfft2, al_op_irfft2;
  x = al_apply(&al_op_pad, x, pads, 4, "constant", 0.0);
  al_tensor *f = al_apply(&al_op_rfft2, x, size, 2, NULL, 0, "backward");
  al_tensor *g = al_apply(&al_op_rfft2, w, size, 2, NULL, 0, "backward");
  al_tensor *p[2], *q[2];
  for (int i = 0; i < 2; i++) {
    in[1] = n, in[2] = ch;
    p[i] = al_reshape(al_permute(f ? part(f, i) : NULL, x_order, 4), in, 3);
    in[1] = ch, in[2] = k;
    q[i] = al_reshape(al_permute(g ? part(g, i) : NULL, w_order, 4), in, 3);
  }
  /* times the kernel's conjugate: correlation, as conv2d */
  al_tensor *re = al_add(al_matmul(p[0], q[0]), al_matmul(p[1], q[1]));
  al_tensor *im = al_sub(al_matmul(p[1], q[0]), al_matmul(p[0], q[1]));
  int64_t whole[] = {size[0], half, n, k};
  al_tensor *y = join(al_permute(al_reshape(re, whole, 4), back, 4),
                      al_permute(al_reshape(im, whole, 4), back, 4));
  y = al_apply(&al_op_irfft2, y, size, 2, NULL, 0, "backward");
  y = al_narrow(al_narrow(y, 2, 1, out[0]), 3, 1, out[1]);
  int64_t each[] = {1, k, 1, 1};
  return al_ret(c, b ? al_add(y, al_reshape(b, each, 4)) : y);
}
AL_OP(fft_conv2d, .sig = "x:T w:T b:T? {pad:ints=0} -> T", .flags = AL_F_COMPOSITE,
      .doc = "What conv2d gives, by Fourier transforms, at a cost that hardly grows with the "
             "kernel.\n"
             "x (n, c, h, w), w (k, c, kernel...), b (k); stride and dilation 1, one group. On "
             "256 x 256 pictures, one thread: faster than conv2d from kernels of about 26 x 26 "
             "with 8 or 32 channels (31 x 31: 1.5 times), of about 45 x 45 with one.",
      .forward = fft_conv2d_forward,
      .sample = "{r(2,3,5,6), r(4,3,3,2), r(4)}, {r(1,2,4,4), r(2,2,3,3), {pad={1,2}}}");
