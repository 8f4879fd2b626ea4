/* special.c: rarer functions of one or two numbers, in double whatever the dtype, one plain
 * loop for all of them; and small compositions of the same kind. */
#include "op.h"
#include <math.h>

extern al_op al_op_polygamma, al_op_logaddexp, al_op_isnan, al_op_isfinite, al_op_logical_or,
    al_op_logical_and;

static al_dtype real(al_dtype d) { return al_is_float(d) ? d : AL_FLOAT32; }

/* y = f(x[0], x[1], p) elementwise; operands contiguous, of y's shape and dtype. */
typedef struct map {
  double (*f)(double, double, double);
  const al_tensor *y, *x[2];
  double p;
} map;

static void map_piece(int64_t begin, int64_t end, void *arg) {
  const map *m = arg;
  for (int64_t i = begin; i < end; i++)
    al_set((al_tensor *)(uintptr_t)m->y, i, m->f(al_get(m->x[0], i), al_get(m->x[1], i), m->p));
}

/* f of one tensor (b NULL) or two that broadcast; integers compute in float32. */
static al_tensor *mapped(double (*f)(double, double, double), al_tensor *a, al_tensor *b,
                         double p) {
  al_tensor *in[2] = {a, b ? b : a};
  al_dtype d = real(al_promote(2, in));
  int n;
  int64_t shape[AL_MAX_DIMS];
  if (al_broadcast(2, in, &n, shape)) return NULL;
  map m = {f, al_empty(d, n, shape), {0}, p};
  for (int k = 0; k < 2; k++)
    if (!(m.x[k] = al_dense(al_expand(in[k], shape, n), d))) return NULL;
  if (!m.y) return NULL;
  al_parallel(al_numel(m.y), 1 << 11, map_piece, &m);
  return (al_tensor *)(uintptr_t)m.y;
}

/* ---- the gamma function's family ---- */

static double lgamma_of(double x, double b, double p) {
  (void)b, (void)p;
  int sign;
  return lgamma_r(x, &sign);
}

/* psi(x) = d log Gamma(x) / dx: upwards by psi(x) = psi(x + 1) - 1 / x to where the asymptotic
 * series holds (Abramowitz & Stegun 6.3.18); below 0 by psi(1 - x) - pi / tan(pi x). */
static double digamma_of(double x) {
  double less = 0, y = 0;
  if (x == 0) return copysign(INFINITY, -x);
  if (x < 0) {
    if (x == floor(x)) return NAN;
    less = M_PI / tan(M_PI * (x - floor(x)));
    x = 1 - x;
  }
  for (; x < 10; x += 1) y -= 1 / x;
  double z = 1 / (x * x);
  y +=
      log(x) - 0.5 / x -
      z * (1. / 12 - z * (1. / 120 -
                          z * (1. / 252 -
                               z * (1. / 240 - z * (1. / 132 - z * (691. / 32760 - z / 12))))));
  return y - less;
}

/* Hurwitz zeta(s, x) for integer s > 1: terms up to x >= 12, the rest by Euler and Maclaurin
 * (DLMF 25.11.5); B2j / (2j)! stand in the table. */
static double zeta(double s, double x) {
  static const double b[] = {1. / 12,           -1. / 720,
                             1. / 30240,        -1. / 1209600,
                             1. / 47900160,     -691. / 1307674368000,
                             1. / 74724249600., -3617. / 10670622842880000.};
  double y = 0;
  if (x < -4096) return NAN;
  for (; x < 12; x += 1) y += pow(x, -s);
  double power = pow(x, -s), term = s * power / x;
  y += x * power / (s - 1) + power / 2;
  for (int j = 0; j < 8; j++) {
    y += b[j] * term;
    term *= (s + 2 * j + 1) * (s + 2 * j + 2) / (x * x);
  }
  return y;
}

/* psi^(n)(x) = (-1)^(n+1) n! zeta(n + 1, x) */
static double polygamma_of(double x, double b, double n) {
  (void)b;
  if (n == 0) return digamma_of(x);
  return (fmod(n, 2) == 0 ? -1 : 1) * tgamma(n + 1) * zeta(n + 1, x);
}

static al_tensor *psi(int64_t n, al_tensor *x) { return al_apply(&al_op_polygamma, n, x); }

static int polygamma(al_call *c) {
  if (ARG_I(0) < 0 || ARG_I(0) > 1 << 20) return al_fail("n wants to be 0 to 2^20");
  return al_ret(c, mapped(polygamma_of, ARG_T(1), NULL, (double)ARG_I(0)));
}
static int polygamma_grad(al_back *b) {
  return al_grad1(b, al_mul(b->g[0], psi(b->a[0].i + 1, b->in[1])));
}
AL_OP(polygamma, .sig = "n:int x:T -> T", .save = "x",
      .doc = "The n-th derivative of digamma (n = 0: digamma itself); x above -4096.",
      .forward = polygamma, .grad = polygamma_grad,
      .sample = "{0, pos(3,4)}, {1, pos(5)}, {2, pos(5)}");

static int digamma(al_call *c) { return al_ret(c, psi(0, ARG_T(0))); }
AL_OP(digamma, .sig = "x:T -> T", .flags = AL_F_COMPOSITE,
      .doc = "The derivative of lgamma; -inf at 0, NaN at negative integers.",
      .forward = digamma, .sample = "{pos(3,4)}");

static int lgamma_(al_call *c) { return al_ret(c, mapped(lgamma_of, ARG_T(0), NULL, 0)); }
static int lgamma_grad(al_back *b) { return al_grad1(b, al_mul(b->g[0], psi(0, b->in[0]))); }
AL_OP(lgamma, .sig = "x:T -> T", .save = "x", .doc = "log |Gamma(x)|.", .forward = lgamma_,
      .grad = lgamma_grad, .sample = "{pos(3,4)}");

/* ---- others of one number ---- */

/* A start by Winitzki's formula (2008), then three steps of Halley on erf(y) = x, by erfc where
 * x is close to 1. */
static double erfinv_of(double x, double b, double p) {
  (void)b, (void)p;
  double a = fabs(x);
  if (!(a < 1)) return a == 1 ? x * INFINITY : NAN;
  double l = log1p(-a * a), h = 2 / (M_PI * 0.147) + l / 2,
         y = sqrt(fmax(sqrt(h * h - l / 0.147) - h, 0));
  for (int i = 0; i < 3; i++) {
    double off = a < 0.5 ? erf(y) - a : (1 - a) - erfc(y), slope = M_2_SQRTPI * exp(-y * y);
    double step = off / slope;
    y -= step / (1 + y * step);
  }
  return copysign(y, x);
}
static int erfinv(al_call *c) { return al_ret(c, mapped(erfinv_of, ARG_T(0), NULL, 0)); }
static int erfinv_grad(al_back *b) {
  return al_grad1(b, al_mul(al_mul_num(b->g[0], 1 / M_2_SQRTPI), al_exp(al_square(b->out[0]))));
}
AL_OP(erfinv, .sig = "x:T -> T", .save = "out",
      .doc = "The inverse of erf; infinite at -1 and 1, NaN beyond.", .forward = erfinv,
      .grad = erfinv_grad, .sample = "{unit(3,4)}");

static int sinc(al_call *c) {
  al_tensor *x = al_to(ARG_T(0), real((al_dtype)ARG_T(0)->dtype));
  al_tensor *zero = al_eq(x, al_number(0)), *one = al_number(1);
  al_tensor *t = al_mul_num(al_where(zero, one, x), M_PI);
  return al_ret(c, al_where(zero, one, al_div(al_sin(t), t)));
}
AL_OP(sinc, .sig = "x:T -> T", .flags = AL_F_COMPOSITE, .doc = "sin(pi x) / (pi x), 1 at 0.",
      .forward = sinc, .sample = "{away(3,4)}");

static int nan_to_num(al_call *c) {
  al_tensor *x = ARG_T(0);
  if (!al_is_float(x->dtype)) return al_ret(c, al_apply(&al_op_clone, x));
  double most = x->dtype == AL_FLOAT64 ? 0x1.fffffffffffffp1023 : 0x1.fffffep127;
  al_tensor *y = al_where(al_apply(&al_op_isnan, x), al_number(ARG_F(1)), x);
  y = al_where(al_eq(x, al_number(INFINITY)), al_number(HAS(2) ? ARG_F(2) : most), y);
  y = al_where(al_eq(x, al_number(-INFINITY)), al_number(HAS(3) ? ARG_F(3) : -most), y);
  return al_ret(c, y);
}
AL_OP(nan_to_num, .sig = "x:T nan:num=0 posinf:num? neginf:num? -> T", .flags = AL_F_COMPOSITE,
      .doc = "x with NaN and infinities replaced; the latter by the dtype's largest numbers.",
      .forward = nan_to_num, .sample = "{r(3,4)}, {r(3) / 0, 0.5, 2, -2}");

/* ---- two numbers ---- */

#define TWO(name, text, keep, args, VALUE, DX, DY)                                  \
  static double name##_of(double x, double y, double p) {                           \
    (void)p;                                                                        \
    return VALUE;                                                                   \
  }                                                                                 \
  static int name##_(al_call *c) {                                                  \
    return al_ret(c, mapped(name##_of, ARG_T(0), ARG_T(1), 0));                     \
  }                                                                                 \
  static int name##_grad(al_back *b) {                                              \
    al_tensor *g = b->g[0], *x = b->in[0], *y = b->in[1], *z = b->out[0];           \
    (void)x, (void)y, (void)z;                                                      \
    if (b->needs[0] && !(b->gx[0] = DX)) return -1;                                 \
    return b->needs[1] && !(b->gx[1] = DY) ? -1 : 0;                                \
  }                                                                                 \
  AL_OP(name, .sig = "x:N y:N -> T", .save = keep, .doc = text, .forward = name##_, \
        .grad = name##_grad, .sample = args);

static al_tensor *unless(al_tensor *where, al_tensor *x) {
  return al_where(where, al_number(0), x);
}
static al_tensor *zero_at(al_tensor *x) { return al_eq(x, al_number(0)); }

TWO(hypot, "sqrt(x^2 + y^2), without overflow.", "x y out", "{away(3,4), away(4)}", hypot(x, y),
    al_mul(g, al_div(x, z)), al_mul(g, al_div(y, z)))
TWO(copysign, "|x| with the sign of y. No gradient at x = 0, nor towards y.", "x out",
    "{away(3,4), away(4)}", copysign(x, y), unless(zero_at(x), al_mul(g, al_div(z, x))),
    al_mul_num(g, 0))
TWO(xlogy, "x log y, 0 where x = 0.", "x y", "{away(3,4), pos(4)}",
    y != y   ? y
    : x == 0 ? 0
             : x * log(y),
    unless(al_mul(zero_at(x), al_le(y, al_number(0))), al_mul(g, al_log(y))),
    al_mul(g, al_div(x, y)))
TWO(logaddexp, "log(e^x + e^y), without overflow.", "x y", "{r(3,4), r(4)}",
    x == y ? x + M_LN2 : fmax(x, y) + log1p(exp(-fabs(x - y))),
    al_mul(g, al_sigmoid(al_sub(x, y))), al_mul(g, al_sigmoid(al_sub(y, x))))

static int heaviside(al_call *c) {
  al_tensor *x = ARG_T(0);
  return al_ret(c, al_where(zero_at(x), al_to(ARG_T(1), (al_dtype)x->dtype),
                            al_to(al_gt(x, al_number(0)), (al_dtype)x->dtype)));
}
AL_OP(heaviside, .sig = "x:T values:T -> T", .flags = AL_F_NODIFF,
      .doc = "0 below 0, 1 above, `values` at 0; in x's dtype.", .forward = heaviside,
      .sample = "{r(3,4), r(4)}");

static int isclose(al_call *c) {
  al_tensor *x = ARG_T(0), *y = ARG_T(1);
  al_dtype d = al_promote(2, (al_tensor *[]){x, y});
  if (!al_is_float(d)) d = AL_FLOAT64;
  x = al_to(x, d), y = al_to(y, d);
  al_tensor *off = al_abs(al_sub(x, y));
  al_tensor *near = al_le(off, al_add_num(al_mul_num(al_abs(y), ARG_F(2)), ARG_F(3)));
  near = al_apply(&al_op_logical_and, near, al_apply(&al_op_isfinite, off));
  near = al_apply(&al_op_logical_or, near, al_eq(x, y));
  if (ARG_B(4))
    near = al_apply(
        &al_op_logical_or, near,
        al_apply(&al_op_logical_and, al_apply(&al_op_isnan, x), al_apply(&al_op_isnan, y)));
  return al_ret(c, near);
}
AL_OP(isclose, .sig = "x:T y:N rtol:num=1e-5 atol:num=1e-8 {equal_nan:bool=false} -> T",
      .flags = AL_F_NODIFF,
      .doc = "Whether |x - y| <= atol + rtol |y|, elementwise; see allclose.",
      .forward = isclose,
      .sample = "{r(3,4), r(3,4)}, {r(3), r(3), 0.5, 0.1, {equal_nan=true}}");
