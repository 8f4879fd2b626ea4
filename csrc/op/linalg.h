/* linalg.h: what the files of linear algebra share. A matrix is the last two dims of a tensor;
 * the dims before them make a stack of matrices. */
#ifndef AL_OP_LINALG_H
#define AL_OP_LINALG_H
#include "op.h"

extern al_op al_op_solve, al_op_inv, al_op_solve_triangular, al_op_svd, al_op_svdvals,
    al_op_prod, al_op_tril, al_op_norm, al_op_amax, al_op_amin;

/* x as dtype float32 or float64 with two dims at least, both equal when `square`; -1 and an
 * error otherwise. */
int al_check_matrix(const al_tensor *x, const char *name, bool square);
/* Expands the dims before the last two, of both, to what they broadcast to. */
int al_share_lead(al_tensor **a, al_tensor **b);
/* An n x n matrix of x's dtype: these values below, on and above the diagonal. */
al_tensor *al_pattern(const al_tensor *x, int64_t n, double below, double on, double above);
/* A routine of LAPACK: name[0] works on float32, name[1] on float64; the sizes at the end are
 * the lengths of the strings, as Fortran passes them. */
#ifdef AL_NO_BLAS
#define LAPACK(name, ...) static void (*const name[2])(__VA_ARGS__) = {NULL, NULL}
#else
#define LAPACK(name, ...)              \
  extern void s##name##_(__VA_ARGS__); \
  extern void d##name##_(__VA_ARGS__); \
  static void (*const name[2])(__VA_ARGS__) = {s##name##_, d##name##_}
#endif
typedef struct al_stack al_stack;
struct al_stack {
  void (*one)(const al_stack *s, int64_t i, int *info); /* works on matrix i */
  int real, m, n, k;                                    /* real: 1 when float64 */
  int64_t room, irooms; /* entries of work room a matrix: floating, integer */
  const char *job, *side, *uplo;
  al_tensor *t[5]; /* dense; each matrix has an equal part of each */
  int64_t count;
  al_tensor *work, *iwork, *info;
};

void *al_part(const al_tensor *t, int64_t i, int64_t count); /* where equal part i starts */
static inline void *al_stack_at(const al_stack *s, int k, int64_t i) {
  return al_part(s->t[k], i, s->count);
}
static inline void *al_stack_room(const al_stack *s, int64_t i) {
  return al_part(s->work, i, s->count);
}
static inline int *al_stack_ints(const al_stack *s, int64_t i) {
  return al_part(s->iwork, i, s->count);
}
/* The stack of x's matrices, m x n. */
al_stack al_stack_of(const al_tensor *x, void (*one)(const al_stack *, int64_t, int *));
/* Runs s->one on every matrix. Fails when one of them reports a failure, as `what`, if given.
 */
int al_stack_run(al_stack *s, const char *what);

al_tensor *al_columns(al_tensor *x);   /* a transposed copy */
al_tensor *al_flipped(al_tensor *t);   /* transposed strides: not a view to the graph */
al_tensor *al_symmetric(al_tensor *x); /* (x + x^T) / 2 */
/* op(x) with its other options absent or false; all outputs in c->out. */
int al_decompose(al_op *op, al_tensor *x, al_call *c);
/* sum over k of u[.., i, k] s[.., k] v[.., k, j] */
al_tensor *al_rebuild(al_tensor *u, al_tensor *s, al_tensor *v);

static inline al_tensor *al_mT(al_tensor *x) { return al_transpose(x, -1, -2); }
static inline al_tensor *al_solve_triangular(al_tensor *a, al_tensor *b, bool upper, bool left,
                                             bool unit) {
  return al_apply(&al_op_solve_triangular, a, b, (int)upper, (int)left, (int)unit);
}
#endif
