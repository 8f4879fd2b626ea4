// Elementwise ops: the registry's side of kernel/elementwise.def.
#include "elementwise.h"

#include "../core/stream.h"

#include <math.h>
#include <string.h>

// ---- running a loop over tensors ----

#define BLOCK \
  1024 /* elements packed at a time: four operands of 8 bytes fill a first-level cache */

typedef struct runner {
  al_core core;
  int nops, size[4];
  al_elementwise_context *context;
  bool stream; // the result is larger than the caches and none of the operands
} runner;

static void pack(char *to, const char *from, int64_t n, int64_t stride, int size) {
#define PACK(T) \
  for (int64_t i = 0; i < n; i++) ((T *)to)[i] = *(const T *)(from + i * stride)
  if (size == 4) PACK(uint32_t);
  else if (size == 8) PACK(uint64_t);
  else PACK(uint8_t);
}

static void unpack(char *to, const char *from, int64_t n, int64_t stride, int size) {
#define UNPACK(T) \
  for (int64_t i = 0; i < n; i++) *(T *)(to + i * stride) = ((const T *)from)[i]
  if (size == 4) UNPACK(uint32_t);
  else if (size == 8) UNPACK(uint64_t);
  else UNPACK(uint8_t);
}

// Operands that are not contiguous go through blocks on the stack; one that repeats a single
// value is laid out once.
static void run_blocks(const runner *r, int64_t n, char *const *ptr, const int64_t *stride) {
  _Alignas(64) char room[4][BLOCK * 8];
  const char *at[4] = {0};
  bool packed[4] = {false};
  for (int k = 0; k < r->nops; k++) {
    packed[k] = stride[k] != r->size[k];
    at[k] = packed[k] ? room[k] : ptr[k];
    if (k > 0 && stride[k] == 0) pack(room[k], ptr[k], n < BLOCK ? n : BLOCK, 0, r->size[k]);
  }
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    for (int k = 0; k < r->nops; k++) {
      if (!packed[k]) at[k] = ptr[k] + i * r->size[k];
      else if (k > 0 && stride[k] != 0)
        pack(room[k], ptr[k] + i * stride[k], m, stride[k], r->size[k]);
    }
    r->core(m, packed[0] ? room[0] : ptr[0] + i * r->size[0], at[1], at[2], at[3], r->context);
    if (packed[0]) unpack(ptr[0] + i * stride[0], room[0], m, stride[0], r->size[0]);
  }
}

// The result by way of a room so small that the processor loads the next operands while it
// streams out the last results: the bytes a second of a streaming copy.
static void run_stream(const runner *r, int64_t n, char *const *ptr) {
  enum { ROOM = 512 };
  _Alignas(64) char room[ROOM];
  const char *at[4] = {0};
  for (int64_t i = 0, m, most = ROOM / r->size[0]; i < n; i += m) {
    m = n - i < most ? n - i : most;
    for (int k = 1; k < r->nops; k++) at[k] = ptr[k] + i * r->size[k];
    r->core(m, room, at[1], at[2], at[3], r->context);
    al_stream(ptr[0] + i * r->size[0], room, m * r->size[0]);
  }
  al_stream_end();
}

static void run(int64_t n, char *const *ptr, const int64_t *stride, const void *context) {
  const runner *r = context;
  bool plain = true;
  for (int k = 0; k < r->nops; k++) plain &= stride[k] == r->size[k];
  if (plain && r->stream) run_stream(r, n, ptr);
  else if (plain || n == 1)
    r->core(n, ptr[0], r->nops > 1 ? ptr[1] : 0, r->nops > 2 ? ptr[2] : 0,
            r->nops > 3 ? ptr[3] : 0, r->context);
  else run_blocks(r, n, ptr, stride);
}

// Small tensors of one shape, all contiguous, need no walk.
static bool is_short_run(int nops, al_tensor *const *t, int64_t n) {
  if (n > BLOCK) return false;
  for (int k = 0; k < nops; k++)
    if ((k && !al_same_shape(t[0], t[k])) || !al_is_contiguous(t[k])) return false;
  return true;
}

int al_elementwise(al_core core, int nops, al_tensor *const *t,
                   al_elementwise_context *context) {
  al_iter it;
  int64_t n = al_numel(t[0]);
  if (is_short_run(nops, t, n)) {
    if (n)
      core(n, al_data(t[0]), nops > 1 ? al_data(t[1]) : 0, nops > 2 ? al_data(t[2]) : 0,
           nops > 3 ? al_data(t[3]) : 0, context);
    return 0;
  }
  if (al_iter_open(&it, nops, t)) return -1;
  runner r = {core, nops, {0}, context, n * (int64_t)al_dtype_size(t[0]->dtype) >= AL_STREAM};
  for (int k = 0; k < nops; k++) {
    r.size[k] = (int)al_dtype_size(t[k]->dtype);
    r.stream &= !k || t[k]->storage != t[0]->storage;
  }
  al_iter_run(&it, run, &r);
  return 0;
}

// ---- operands and results ----

al_tensor *al_operand_as(al_tensor *t, al_dtype d, al_operand *room) {
  if (!t || t->dtype == d) return t;
  if (al_numel(t) != 1) return al_fresh_contiguous(t, d);
  memset(room, 0, sizeof *room);
  room->s.data = &room->value;
  room->s.bytes = sizeof room->value;
  room->t.storage = &room->s;
  room->t.dtype = (uint8_t)d;
  room->t.ndim = t->ndim;
  for (int i = 0; i < t->ndim; i++) room->t.shape[i] = room->t.stride[i] = 1;
  if (al_is_float(d) || al_is_float(t->dtype)) al_set(&room->t, 0, al_get(t, 0));
  else al_set_int(&room->t, 0, al_get_int(t, 0));
  return &room->t;
}

static bool same_view(const al_tensor *a, const al_tensor *b) {
  if (a->offset != b->offset || !al_same_shape(a, b)) return false;
  for (int i = 0; i < a->ndim; i++)
    if (a->stride[i] != b->stride[i] && a->shape[i] > 1) return false;
  return true;
}

// Whether reading t in order jumps about while another dim is contiguous: a tiled copy is
// faster.
static bool transposed(const al_tensor *t) {
  bool dense = false;
  int last = t->ndim - 1;
  while (last > 0 && t->shape[last] == 1) last--;
  for (int i = 0; i < last; i++) dense |= t->stride[i] == 1 && t->shape[i] > 1;
  return dense && t->stride[last] != 1 && t->stride[last] != 0 && al_numel(t) > BLOCK;
}

al_tensor *al_operand_for(al_tensor *t, al_dtype d, al_operand *room, const al_tensor *into) {
  if (t && into && t->dtype == d &&
      (t->storage == into->storage ? !same_view(t, into) : transposed(t)))
    return al_fresh_contiguous(t, d);
  return al_operand_as(t, d, room);
}

al_tensor *al_result(al_call *c, al_dtype d, int ndim, const int64_t *shape) {
  al_tensor *y = c->into;
  if (!y) return al_empty(d, ndim, shape);
  bool same = y->ndim == ndim;
  for (int i = 0; same && i < ndim; i++) same = y->shape[i] == shape[i];
  if (!same)
    return al_null("the result has shape %s, x in place has %s", al_shape_text(ndim, shape),
                   al_shape_text(y->ndim, y->shape));
  if (al_is_float(d) > al_is_float(y->dtype) || (d != AL_BOOL && y->dtype == AL_BOOL))
    return al_null("the result is %s and does not fit x in place, which is %s",
                   al_dtype_name(d), al_dtype_name((al_dtype)y->dtype));
  return y->dtype == d ? y : al_empty(d, ndim, shape);
}

// Ends a forward: y computed, moved into the in-place target when it was made apart.
static int finish(al_call *c, al_tensor *y) {
  if (!y || !c->into || y == c->into) return al_ret(c, y);
  return al_copy(c->into, y) ? -1 : al_ret(c, c->into);
}

static const char *const bad_operand[] = {"", "division by zero",
                                          "integers have no negative integer powers"};

// Operands that a loop takes as they are: one dtype, one shape, contiguous.
static bool uniform(const al_call *c, int n, al_dtype d) {
  for (int i = 0; i < n; i++) {
    const al_tensor *t = ARG_T(i);
    if (t->dtype != d || !al_is_contiguous(t) || (i && !al_same_shape(t, ARG_T(0))))
      return false;
  }
  return true;
}

// Result t[0] and operands t[1 ..]; rooms hold converted scalars.
static int prepare(al_call *c, al_dtype d, al_dtype out, int n, al_tensor **t,
                   al_operand *room) {
  al_tensor *in[3];
  int64_t shape[AL_MAX_DIMS];
  int ndim;
  for (int i = 0; i < n; i++) t[i + 1] = in[i] = ARG_T(i);
  if (!c->into && uniform(c, n, d)) return (t[0] = al_empty_like(in[0], out)) ? 0 : -1;
  if (al_broadcast(n, in, &ndim, shape) || !(t[0] = al_result(c, out, ndim, shape))) return -1;
  for (int i = 0; i < n; i++)
    if (!(t[i + 1] = al_operand_for(in[i], d, &room[i], t[0]))) return -1;
  return 0;
}

static int compute(al_call *c, al_core core, al_dtype d, al_dtype out, int n,
                   al_elementwise_context *ctx) {
  al_operand room[3];
  al_tensor *t[4];
  if (prepare(c, d, out, n, t, room)) return -1;
  if (al_elementwise(core, n + 1, t, ctx)) return -1;
  if (ctx->bad) return al_fail("%s", bad_operand[ctx->bad]);
  return finish(c, t[0]);
}

// ---- unary ----

// The op's plain numbers; an absent one is an absent bound.
static al_elementwise_context numbers(const al_op *op, const al_arg *a) {
  al_elementwise_context ctx = {{-INFINITY, INFINITY}, 0};
  for (int i = 1; i < op->nparams && i < 3; i++)
    if (a[i].given || op->param[i].has_default) ctx.p[i - 1] = a[i].f;
  return ctx;
}

static int unary(al_call *c, int id) {
  al_dtype d = al_promote(1, &ARG_T(0));
  al_elementwise_context ctx = numbers(c->op, c->a);
  // Integers stay so only by whole numbers (an absent one is infinite).
  if (!al_is_float(d) && d != AL_BOOL &&
      (ctx.p[0] != trunc(ctx.p[0]) || ctx.p[1] != trunc(ctx.p[1])))
    d = AL_FLOAT32;
  al_core core = AL_SELECT(al_unary).f[id][d];
  if (!core && d == AL_BOOL && AL_SELECT(al_unary).f[id][AL_UINT8])
    return al_fail(
        "x is bool, for which %s has no meaning: x:logical_not(), or x:to('int64') first",
        c->op->name);
  if (!core) core = AL_SELECT(al_unary).f[id][d = AL_FLOAT32];
  return compute(c, core, d, d, 1, &ctx);
}

// Floating x: the loop. Integers are whole already.
static int step(al_call *c, int id) {
  al_dtype d = al_promote(1, &ARG_T(0));
  if (AL_SELECT(al_unary).f[id][d]) return unary(c, id);
  al_tensor *y = al_result(c, d, ARG_T(0)->ndim, ARG_T(0)->shape);
  if (!y || (y != ARG_T(0) && al_copy(y, ARG_T(0)))) return -1;
  return finish(c, y);
}

static int test(al_call *c, int id) {
  al_dtype d = (al_dtype)ARG_T(0)->dtype;
  al_elementwise_context ctx = {{0, 0}, 0};
  return compute(c, AL_SELECT(al_unary).test[id][d], d, AL_BOOL, 1, &ctx);
}

// The fused gradient: gx from g and what was saved, in one pass.
static int fused(al_back *b, int id, al_tensor *saved) {
  al_elementwise_context ctx = numbers(b->node->op, b->a);
  al_tensor *t[3] = {al_empty_like(b->g[0], (al_dtype)b->g[0]->dtype), b->g[0], saved};
  if (!t[0] || al_elementwise(AL_SELECT(al_unary).grad[id][t[0]->dtype], 3, t, &ctx)) return -1;
  return al_grad1(b, t[0]);
}

// ---- two operands ----

static int binary(al_call *c, int id) {
  al_dtype d = al_promote(2, (al_tensor *[]){ARG_T(0), ARG_T(1)});
  al_core core = AL_SELECT(al_binary).f[id][d];
  if (!core && d == AL_BOOL && AL_SELECT(al_binary).f[id][AL_UINT8])
    return al_fail(
        "x and y are bool, for which %s has no meaning: convert one with :to('int64')",
        c->op->name);
  if (!core && AL_SELECT(al_binary).f[id][AL_FLOAT32])
    core = AL_SELECT(al_binary).f[id][d = AL_FLOAT32];
  if (!core) return al_fail("x and y must be integers or bool, not %s", al_dtype_name(d));
  al_elementwise_context ctx = {{0, 0}, 0};
  return compute(c, core, d, d, 2, &ctx);
}

// x^2, x^3, x^0.5 and x^-1 by arithmetic: an exponent is mostly one of these.
static al_tensor *pow_simple(al_tensor *x, al_tensor *y) {
  if (!y->wrapped || !al_is_float(x->dtype)) return NULL;
  double n = al_get(y, 0);
  return n == 2     ? al_square(x)
         : n == 0.5 ? al_sqrt(x)
         : n == -1  ? al_reciprocal(x)
         : n == 3   ? al_mul(x, al_square(x))
                    : NULL;
}

static int power(al_call *c, int id) {
  al_tensor *y = pow_simple(ARG_T(0), ARG_T(1));
  return y ? finish(c, y) : binary(c, id);
}

static int compare(al_call *c, int id) {
  al_dtype d = al_promote(2, (al_tensor *[]){ARG_T(0), ARG_T(1)});
  al_elementwise_context ctx = {{0, 0}, 0};
  return compute(c, AL_SELECT(al_binary).f[id][d], d, AL_BOOL, 2, &ctx);
}

static int logic(al_call *c, int id) {
  al_elementwise_context ctx = {{0, 0}, 0};
  return compute(c, AL_SELECT(al_binary).f[id][AL_BOOL], AL_BOOL, AL_BOOL, 2, &ctx);
}

// ---- pieces of the recorded gradients ----

extern al_op al_op_cosh, al_op_sinh, al_op_softplus, al_op_erf, al_op_floor_divide, al_op_trunc;
#define APPLY1(name) \
  static al_tensor *al_##name(al_tensor *x) { return al_apply(&al_op_##name, x); }
APPLY1(cosh)
APPLY1(sinh) APPLY1(erf) APPLY1(trunc) static al_tensor *al_softplus(al_tensor *x) {
  return al_apply(&al_op_softplus, x, 1.0, 20.0);
}
static al_tensor *al_floor_divide(al_tensor *x, al_tensor *y) {
  return al_apply(&al_op_floor_divide, x, y);
}

#define SELU_SCALE 1.0507009873554804934
#define SELU_ALPHA 1.6732632423543772848

// g where lo < x < hi, else 0
static al_tensor *inside(al_tensor *g, al_tensor *x, double lo, double hi) {
  return al_mul(g, al_mul(al_gt(x, al_number(lo)), al_lt(x, al_number(hi))));
}
static al_tensor *within(al_tensor *g, al_tensor *x, double lo, double hi) {
  return al_mul(g, al_mul(al_ge(x, al_number(lo)), al_le(x, al_number(hi))));
}

// slopes of x sigmoid(x), x tanh(softplus x), x Phi(x) and its tanh form
static al_tensor *silu_form(al_tensor *s, al_tensor *x) {
  return al_mul(s, al_add_num(al_mul(x, al_rsub_num(1, s)), 1));
}
static al_tensor *mish_form(al_tensor *t, al_tensor *s, al_tensor *x) {
  return al_add(t, al_mul(al_mul(x, s), al_rsub_num(1, al_square(t))));
}
static al_tensor *gelu_form(al_tensor *x) {
  al_tensor *phi = al_mul_num(al_exp(al_mul_num(al_square(x), -0.5)), 0.3989422804014326779);
  al_tensor *cdf = al_mul_num(al_add_num(al_erf(al_mul_num(x, M_SQRT1_2)), 1), 0.5);
  return al_add(cdf, al_mul(x, phi));
}
static al_tensor *gelu_tanh_form(al_tensor *x) {
  const double k = 0.79788456080286535588;
  al_tensor *cubic = al_add_num(al_mul_num(al_square(x), 0.044715), 1);
  al_tensor *t = al_tanh(al_mul(al_mul_num(x, k), cubic));
  al_tensor *slope = al_mul_num(al_add_num(al_mul_num(al_square(x), 3 * 0.044715), 1), k);
  al_tensor *side = al_mul(al_mul(x, al_rsub_num(1, al_square(t))), slope);
  return al_mul_num(al_add(al_add_num(t, 1), side), 0.5);
}

// An integer or plain number in the dtype of g, so that what is made of it is as exact.
static al_tensor *exact(al_tensor *x, al_tensor *g) {
  if (!x || !g) return NULL;
  return x->wrapped ? al_scalar(al_get(x, 0), (al_dtype)g->dtype)
                    : al_to(x, (al_dtype)g->dtype);
}

// y x^(y-1), 0 where y = 0 even at x = 0
static al_tensor *pow_dx(al_tensor *g, al_tensor *x, al_tensor *y) {
  if (y && y->wrapped && al_get(y, 0) == 2) return al_mul(g, al_mul_num(x, 2));
  al_tensor *less = y && y->wrapped ? al_number(al_get(y, 0) - 1) : al_add_num(exact(y, g), -1);
  al_tensor *slope = al_mul(y, al_pow(x, less));
  return al_mul(g, al_where(al_eq(y, al_number(0)), al_number(0), slope));
}
// x^y log x, 0 where x = 0 and y >= 0
static al_tensor *pow_dy(al_tensor *g, al_tensor *x, al_tensor *y) {
  x = exact(x, g);
  al_tensor *flat = al_mul(al_eq(x, al_number(0)), al_ge(y, al_number(0)));
  al_tensor *base =
      al_where(flat, al_number(1), x); // log 1 = 0, and no infinity in further gradients
  return al_mul(g, al_mul(al_pow(x, y), al_log(base)));
}
// x^2 + y^2 in the result's dtype
static al_tensor *square_norm(al_tensor *g, al_tensor *x, al_tensor *y) {
  return al_add(al_square(exact(x, g)), al_square(exact(y, g)));
}
// 1 where a > b, a half at ties
static al_tensor *win(al_tensor *a, al_tensor *b) {
  return al_add(al_gt(a, b), al_mul_num(al_eq(a, b), 0.5));
}

// ---- the registry ----

#define UNARY(id, par, text, keep, args, F, D, TENSORS)                                        \
  static al_tensor *form_##id(al_tensor *g, al_tensor *x, al_tensor *y, double p0,             \
                              double p1) {                                                     \
    (void)x, (void)y, (void)p0, (void)p1;                                                      \
    return TENSORS;                                                                            \
  }                                                                                            \
  static int forward_##id(al_call *c) { return unary(c, AL_U_##id); }                          \
  static int grad_##id(al_back *b) {                                                           \
    al_tensor *saved = keep[0] == 'x' ? b->in[0] : b->out[0];                                  \
    if (saved && !b->create_graph) return fused(b, AL_U_##id, saved);                          \
    al_elementwise_context n = numbers(b->node->op, b->a);                                     \
    return al_grad1(b, form_##id(b->g[0], b->in[0], b->out[0], n.p[0], n.p[1]));               \
  }                                                                                            \
  AL_OP(id, .sig = "x:N" par " -> T", .doc = text, .forward = forward_##id, .grad = grad_##id, \
        .save = keep, .sample = args, .flags = AL_F_INPLACE);

#define STEP(id, text, args, F)                                                    \
  static int forward_##id(al_call *c) { return step(c, AL_U_##id); }               \
  AL_OP(id, .sig = "x:N -> T", .doc = text, .forward = forward_##id, .grad = zero, \
        .sample = args, .flags = AL_F_INPLACE);

#define TEST(id, text, args, F, I)                                                   \
  static int forward_##id(al_call *c) { return test(c, AL_T_##id); }                 \
  AL_OP(id, .sig = "x:N -> T", .doc = text, .forward = forward_##id, .sample = args, \
        .flags = AL_F_NODIFF);

#define BINARY(id, more, text, keep, args, F, DX, DY)                                       \
  static int forward_##id(al_call *c) {                                                     \
    return AL_B_##id == AL_B_pow ? power(c, AL_B_##id) : binary(c, AL_B_##id);              \
  }                                                                                         \
  static int grad_##id(al_back *b) {                                                        \
    al_tensor *g = b->g[0], *x = b->in[0], *y = b->in[1];                                   \
    (void)g, (void)x, (void)y;                                                              \
    if (b->needs[0] && !(b->gx[0] = DX)) return -1;                                         \
    return b->needs[1] && !(b->gx[1] = DY) ? -1 : 0;                                        \
  }                                                                                         \
  AL_OP(id, .sig = "x:N y:N -> T", .doc = text, .forward = forward_##id, .grad = grad_##id, \
        .save = keep, .sample = args, .alias = more, .flags = AL_F_INPLACE);

#define COMPARE(id, text, args, F)                                                       \
  static int forward_##id(al_call *c) { return compare(c, AL_B_##id); }                  \
  AL_OP(id, .sig = "x:N y:N -> T", .doc = text, .forward = forward_##id, .sample = args, \
        .flags = AL_F_NODIFF);

#define LOGIC(id, text, args, F)                                                         \
  static int forward_##id(al_call *c) { return logic(c, AL_B_##id); }                    \
  AL_OP(id, .sig = "x:N y:N -> T", .doc = text, .forward = forward_##id, .sample = args, \
        .flags = AL_F_NODIFF);

#define BITS(id, text, args, F, B)                                                       \
  static int forward_##id(al_call *c) { return binary(c, AL_B_##id); }                   \
  AL_OP(id, .sig = "x:N y:N -> T", .doc = text, .forward = forward_##id, .sample = args, \
        .flags = AL_F_NODIFF);

static int zero(al_back *b) {
  return b->create_graph ? al_grad1(b, al_mul_num(b->g[0], 0)) : 0;
}
#include "../kernel/elementwise.def"

// ~x: the complement of integers, not of bool
static int bitwise_not(al_call *c) {
  al_tensor *x = ARG_T(0);
  if (al_is_float(x->dtype))
    return al_fail("x must be integers or bool, not %s", al_dtype_name((al_dtype)x->dtype));
  if (x->dtype == AL_BOOL) return al_ret(c, al_eq(x, al_integer(0)));
  return al_ret(c, al_to(al_sub(al_integer(-1), al_to(x, AL_INT64)), (al_dtype)x->dtype));
}
AL_OP(bitwise_not, .sig = "x:T -> T", .doc = "Bit by bit not, of integers or bool.",
      .forward = bitwise_not, .sample = "{ints(0,9,3,4)}, {mask(3,4)}", .flags = AL_F_NODIFF);
