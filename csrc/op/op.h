/* op.h: how an op is declared, and the ops other ops are made of. */
#ifndef AL_OP_H
#define AL_OP_H
#include "../albedo.h"
#include "../core/internal.h"
#include "../core/iter.h"

/* Declares an op and enters it in the registry:
 *   AL_OP(relu, .sig = "x:T -> T", .doc = "max(x, 0).", .forward = ..., .grad = ..., .save =
 * "out", .sample = "r(3,4)") */
#define AL_OP(id, ...)                           \
  al_op al_op_##id = {.name = #id, __VA_ARGS__}; \
  static al_op *const al_entry_##id __attribute__((section("al_ops"), used)) = &al_op_##id

/* Arguments by position in the signature. */
#define ARG_T(k) (c->a[k].t)
#define ARG_I(k) (c->a[k].i)
#define ARG_F(k) (c->a[k].f)
#define ARG_B(k) (c->a[k].b)
#define HAS(k) (c->a[k].given)

static inline int al_ret(al_call *c, al_tensor *y) {
  c->out[0] = y;
  return y ? 0 : -1;
}

/* The gradient's view of a recorded call. Fill gx[] for the inputs that need one, in the order
 * of the tensor parameters (lists flattened: see edge0). A gradient may keep its operands'
 * broadcast shape and dtype: the engine sums and casts it to the input's. NULL means zero. */
struct al_back {
  al_node *node;
  const al_arg *a; /* the call's options; tensors only when saved (in[]) */
  al_tensor **g;   /* cotangent of each output, never NULL for output 0 unless `sparse` */
  al_tensor *in[AL_MAX_ARGS], *out[AL_MAX_OUTS],
      *extra[AL_MAX_EXTRA]; /* what .save and extra[] kept */
  int edge0[AL_MAX_ARGS];   /* first edge of parameter i */
  int nedges;
  al_tensor **gx;    /* [nedges] */
  const bool *needs; /* [nedges] */
  bool create_graph; /* the gradient itself is being recorded: use composed forms */
};
/* Shape of the input behind an edge (as it was at the call). */
const int64_t *al_edge_shape(const al_back *b, int edge, int *ndim);
static inline int al_grad1(al_back *b, al_tensor *gx) {
  b->gx[0] = gx;
  return gx ? 0 : -1;
}

/* ---- ops callable from C (thin; the registry holds their documentation) ---- */
#define AL_UNARY_C(id)     \
  extern al_op al_op_##id; \
  static inline al_tensor *al_##id(al_tensor *x) { return al_apply(&al_op_##id, x); }
#define AL_BINARY_C(id)                                          \
  extern al_op al_op_##id;                                       \
  static inline al_tensor *al_##id(al_tensor *x, al_tensor *y) { \
    return al_apply(&al_op_##id, x, y);                          \
  }
// clang-format off
AL_BINARY_C(add) AL_BINARY_C(sub) AL_BINARY_C(mul) AL_BINARY_C(div) AL_BINARY_C(pow)
AL_BINARY_C(maximum) AL_BINARY_C(minimum) AL_BINARY_C(eq) AL_BINARY_C(ne) AL_BINARY_C(lt)
AL_BINARY_C(le) AL_BINARY_C(gt) AL_BINARY_C(ge) AL_BINARY_C(matmul) AL_UNARY_C(neg)
AL_UNARY_C(exp) AL_UNARY_C(log) AL_UNARY_C(sqrt) AL_UNARY_C(square) AL_UNARY_C(sigmoid)
AL_UNARY_C(tanh) AL_UNARY_C(relu) AL_UNARY_C(abs) AL_UNARY_C(sign) AL_UNARY_C(sin)
AL_UNARY_C(cos) AL_UNARY_C(reciprocal) AL_UNARY_C(contiguous) AL_UNARY_C(log1p)
AL_UNARY_C(expm1) AL_UNARY_C(rsqrt)
    // clang-format on
    extern al_op al_op_where,
    al_op_sum, al_op_mean, al_op_reshape, al_op_permute, al_op_expand,
    al_op_narrow, al_op_cat, al_op_to, al_op_transpose, al_op_unsqueeze, al_op_squeeze,
    al_op_softmax, al_op_log_softmax, al_op_clone;
static inline al_tensor *al_where(al_tensor *m, al_tensor *x, al_tensor *y) {
  return al_apply(&al_op_where, m, x, y);
}
/* sum(x, dims, keepdim); n = 0 dims: all */
static inline al_tensor *al_sum(al_tensor *x, const int64_t *dims, int n, bool keep) {
  return al_apply(&al_op_sum, x, dims, n, (int)keep);
}
static inline al_tensor *al_mean(al_tensor *x, const int64_t *dims, int n, bool keep) {
  return al_apply(&al_op_mean, x, dims, n, (int)keep);
}
static inline al_tensor *al_reshape(al_tensor *x, const int64_t *shape, int n) {
  return al_apply(&al_op_reshape, x, shape, n);
}
static inline al_tensor *al_permute(al_tensor *x, const int64_t *dims, int n) {
  return al_apply(&al_op_permute, x, dims, n);
}
static inline al_tensor *al_transpose(al_tensor *x, int64_t d, int64_t e) {
  return al_apply(&al_op_transpose, x, d, e);
}
static inline al_tensor *al_expand(al_tensor *x, const int64_t *shape, int n) {
  return al_apply(&al_op_expand, x, shape, n);
}
/* narrow(x, dim, start from 1, length) */
static inline al_tensor *al_narrow(al_tensor *x, int64_t d, int64_t start, int64_t len) {
  return al_apply(&al_op_narrow, x, d, start, len);
}
static inline al_tensor *al_unsqueeze(al_tensor *x, int64_t d) {
  return al_apply(&al_op_unsqueeze, x, d);
}
static inline al_tensor *al_cat(al_tensor **xs, int n, int64_t d) {
  return al_apply(&al_op_cat, xs, n, d);
}
static inline al_tensor *al_to(al_tensor *x, al_dtype d) {
  return al_apply(&al_op_to, x, (int)d);
} /* recorded cast */
al_tensor *al_sum_to(al_tensor *g, int ndim,
                     const int64_t *shape); /* sums what broadcasting repeated */
/* Returns y, or a copy of it where it is a view of parameter 0: a result of its own. */
static inline int al_ret_apart(al_call *c, al_tensor *y) {
  return al_ret(c, y && y->storage == ARG_T(0)->storage ? al_apply(&al_op_clone, y) : y);
}
static inline al_tensor *al_mul_num(al_tensor *x, double k) { return al_mul(x, al_number(k)); }
static inline al_tensor *al_add_num(al_tensor *x, double k) { return al_add(x, al_number(k)); }
static inline al_tensor *al_rsub_num(double k, al_tensor *x) { return al_sub(al_number(k), x); }
#endif
