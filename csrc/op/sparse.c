/* sparse.c: sparse codes of signals over a dictionary. */
#include "op.h"
#include <math.h>
#include <string.h>

/* Batch OMP (Rubinstein, Zibulevsky, Elad 2008) with whole columns of the Cholesky factor of
 * the chosen atoms' Gram matrix: q_s = (G[k_s] - sum_{j<s} q_j[k_s] q_j) / root, which serve as
 * directions too: the products of the residual with all atoms lose t_s q_s, its energy t_s^2.
 */
enum { PIECES = 16 };

typedef struct pursuit {
  const double *gram, *energy; /* (atoms, atoms), (signals) */
  double *code; /* (signals, atoms): in, products with the atoms; out, the code */
  double *room; /* (PIECES, most * (atoms + 1)) */
  int64_t *at;  /* (PIECES, most) */
  int64_t signals, atoms, most;
  double tol2;
} pursuit;

static int64_t largest(const double *v, int64_t n) {
  int64_t at = 0;
  for (int64_t i = 1; i < n; i++)
    if (fabs(v[i]) > fabs(v[at])) at = i;
  return at;
}

/* Greedily chooses atoms for a signal: v its products with all, `left` its energy; fills q, t
 * and the atoms' places, and returns how many. */
static int64_t choose(const pursuit *p, double *v, double left, double *q, double *t,
                      int64_t *at) {
  int64_t s = 0, n = p->atoms;
  for (; s < p->most && left > p->tol2; s++, q += n) {
    int64_t k = largest(v, n);
    const double *g = p->gram + k * n;
    if (!(fabs(v[k]) > 0)) break;
    memcpy(q, g, (size_t)n * sizeof *q);
    for (int64_t j = 0; j < s; j++) {
      const double *before = q - (s - j) * n, w = before[k];
      for (int64_t i = 0; i < n; i++) q[i] -= w * before[i];
    }
    if (!(q[k] > 1e-10 * g[k])) break; /* the atom depends on those chosen; NaN */
    double root = sqrt(q[k]);
    t[s] = v[k] / root, at[s] = k, left -= t[s] * t[s];
    for (int64_t i = 0; i < n; i++) {
      q[i] /= root;
      v[i] -= t[s] * q[i];
    }
    for (int64_t j = 0; j <= s; j++) v[at[j]] = 0; /* 0 but for rounding */
  }
  return s;
}

/* Piece i of the signals, in its own part of the room: the chosen atoms, then their weights by
 * back substitution, L[i][j] being q_j[k_i]. */
static void pursue(int64_t begin, int64_t end, void *arg) {
  const pursuit *p = arg;
  int64_t n = p->atoms, m = p->most;
  for (int64_t piece = begin; piece < end; piece++) {
    double *q = p->room + piece * m * (n + 1), *t = q + m * n;
    int64_t *at = p->at + piece * m, last = p->signals * (piece + 1) / PIECES;
    for (int64_t i = p->signals * piece / PIECES; i < last; i++) {
      double *v = p->code + i * n;
      int64_t s = choose(p, v, p->energy[i], q, t, at);
      memset(v, 0, (size_t)n * sizeof *v);
      for (int64_t j = s - 1; j >= 0; j--) {
        double w = t[j];
        for (int64_t k = j + 1; k < s; k++) w -= q[j * n + at[k]] * v[at[k]];
        v[at[j]] = w / q[j * n + at[j]];
      }
    }
  }
}

static int omp_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *d = ARG_T(1), *gram = HAS(3) ? ARG_T(3) : NULL;
  int64_t most = ARG_I(2);
  al_dtype dtype = (al_dtype)x->dtype;
  if (!al_is_float(dtype) || !al_is_float(d->dtype))
    return al_fail("signals are %s, atoms %s: floats are needed", al_dtype_name(dtype),
                   al_dtype_name((al_dtype)d->dtype));
  if (x->ndim != 2 || d->ndim != 2 || x->shape[1] != d->shape[1])
    return al_fail("signals %s and atoms %s: rows of the same length are needed",
                   al_shape_text(x->ndim, x->shape), al_shape_text(d->ndim, d->shape));
  pursuit p = {.signals = x->shape[0], .atoms = d->shape[0], .tol2 = ARG_F(4) * ARG_F(4)};
  if (most < 1) return al_fail("nonzeros is %lld, wants 1 or more", (long long)most);
  if (!(ARG_F(4) >= 0)) return al_fail("tol is %g, wants 0 or more", ARG_F(4));
  if (gram && (gram->ndim != 2 || gram->shape[0] != p.atoms || gram->shape[1] != p.atoms))
    return al_fail("gram is %s, wants %lld x %lld", al_shape_text(gram->ndim, gram->shape),
                   (long long)p.atoms, (long long)p.atoms);
  most = most < p.atoms ? most : p.atoms;
  p.most = most = most < x->shape[1] ? most : x->shape[1];
  x = al_dense(x, AL_FLOAT64), d = al_dense(d, AL_FLOAT64);
  if (!x || !d) return -1;
  al_tensor *turned = al_transpose(d, 0, 1), *y = al_matmul(x, turned);
  al_tensor *energy = al_sum(al_square(x), (int64_t[]){1}, 1, false);
  gram = gram ? al_dense(gram, AL_FLOAT64) : al_matmul(d, turned);
  int64_t room[] = {PIECES, most * (p.atoms + 1)}, at[] = {PIECES, most};
  al_tensor *work = al_empty(AL_FLOAT64, 2, room), *chosen = al_empty(AL_INT64, 2, at);
  if (!y || !energy || !gram || !work || !chosen) return -1;
  p.gram = al_data(gram), p.energy = al_data(energy), p.code = al_data(y);
  p.room = al_data(work), p.at = al_data(chosen);
  if (al_numel(y)) al_parallel(PIECES, 1, pursue, &p);
  return al_ret(c, al_dense(y, dtype));
}
AL_OP(omp, .sig = "signals:T atoms:T nonzeros:int gram:T? {tol:num=0} -> T",
      .flags = AL_F_NODIFF,
      .doc =
          "Sparse codes of signals over a dictionary, by orthogonal matching pursuit.\n"
          "signals N x D, atoms K x D of unit length, rows both; gives N x K, signals being "
          "near codes @ atoms. Takes the atom of the largest product with what is left, fits "
          "all chosen ones anew, until `nonzeros` are taken or what is left is not longer than "
          "tol (in float64 to about 1e-8 of the signal); an atom that depends on those chosen "
          "ends it. Batch OMP (Rubinstein et al. 2008): gram, atoms @ atoms^T, may be given.",
      .forward = omp_forward,
      .sample = "{r(4,6), r(5,6), 2}, {r(4,6), r(5,6), 3, definite(5,5)}, {r(4,6), r(5,6), 3, "
                "{tol=0.5}}");
