/* recurrent.c: one layer of LSTM or GRU over whole sequences, in one or both directions.
 *
 * The products with the inputs of all steps are one; the steps then go through rows of
 * sequences, each piece (a direction, some rows) on one thread with no meeting in between. Kept
 * for the gradient are the gates and, of an LSTM, the cells, of a GRU the state's share of n.
 * Shapes: x (n, t, f), y (n, t, dirs h), states (dirs, n, h), gates (n, t, 4 h or 3 h). */
#include "../kernel/recurrent.h"
#include "../grad/through.h"
#include "linear.h"
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_lstm, al_op_gru, al_op_linear, al_op_stack, al_op_select;
enum { X, WEIGHTS, STATE = 9, CELL, AFTER = 12 }; /* parameters; four weights a direction */

typedef struct layer {
  bool lstm, recording, small; /* ... the state's weights are few, see hold_weights */
  al_dtype d;
  int dirs;
  int64_t n, t, f, h, gates, rows, pieces, size; /* rows of a piece; pieces a direction */
  const int64_t *length;                         /* of each sequence, or NULL */
  const char *w[2], *b[2];                       /* of the state's product */
  char *a[2], *keep[2], *p, *y, *s, *c;          /* gates, see above; a step's products; ... */
  char *before[2], *g, *dx[2], *ds[2];           /* states before each step; cotangents */
  const char *cell;                              /* c0 or zeros */
} layer;

static int wrong(const char *name, const al_tensor *t, int n, const int64_t *shape) {
  return t && (t->ndim != n || memcmp(t->shape, shape, (size_t)n * sizeof *shape))
             ? al_fail("%s is %s, needs %s", name, al_shape_text(t->ndim, t->shape),
                       al_shape_text(n, shape))
             : 0;
}

/* Sizes of a call with tensors t[] by parameter; lengths as int64 in q->length. */
static int open_layer(layer *q, bool lstm, al_tensor *const *t) {
  al_tensor *x = t[X], *w = t[WEIGHTS + 1], *len = t[lstm ? CELL + 1 : CELL];
  *q = (layer){.lstm = lstm,
               .dirs = t[WEIGHTS + 4] ? 2 : 1,
               .d = al_promote(2, (al_tensor *const[]){x, w})};
  if (x->ndim != 3)
    return al_fail("x has %d dims, needs 3: (sequences, steps, features)", x->ndim);
  if (w->ndim != 2 || w->shape[1] < 1) return al_fail("w_hh needs 2 dims: (gates, units)");
  if (!al_is_float(q->d)) return al_fail("needs floating tensors");
  q->n = x->shape[0], q->t = x->shape[1], q->f = x->shape[2], q->h = w->shape[1];
  q->gates = (lstm ? 4 : 3) * q->h;
  q->size = (int64_t)al_dtype_size(q->d);
  int64_t wi[] = {q->gates, q->f}, wh[] = {q->gates, q->h}, state[] = {q->dirs, q->n, q->h};
  for (int k = WEIGHTS; k < WEIGHTS + 4 * q->dirs; k += 4) {
    if (!t[k] || !t[k + 1]) return al_fail("w_ih_reverse and w_hh_reverse go together");
    if (wrong("w_ih", t[k], 2, wi) || wrong("w_hh", t[k + 1], 2, wh) ||
        wrong("b_ih", t[k + 2], 1, wi) || wrong("b_hh", t[k + 3], 1, wi))
      return -1;
  }
  if (wrong("h0", t[STATE], 3, state) || (lstm && wrong("c0", t[CELL], 3, state)) ||
      wrong("lengths", len, 1, &q->n))
    return -1;
  for (int64_t i = 0; len && al_is_float(len->dtype) && i < q->n; i++)
    if (al_get(len, i) != floor(al_get(len, i)))
      return al_fail("lengths must be whole, got %g", al_get(len, i));
  if (len && !(len = al_dense(len, AL_INT64))) return -1;
  q->length = len ? al_data(len) : NULL;
  for (int64_t i = 0; len && i < q->n; i++)
    if (q->length[i] < 0 || q->length[i] > q->t)
      return al_fail("length %lld lies outside 0..%lld", (long long)q->length[i],
                     (long long)q->t);
  q->rows = (q->n * q->dirs + 7) / 8; /* some 8 pieces in all, none below 8 rows */
  if (q->rows < 8 * q->dirs) q->rows = 8 * q->dirs;
  q->pieces = (q->n + q->rows - 1) / q->rows;
  return 0;
}

/* Address of row (i, t) of a (n, steps, width) array. */
static char *row(const layer *q, char *base, int64_t i, int64_t t, int64_t width) {
  return base + (i * q->t + t) * width * q->size;
}
static char *output(const layer *q, char *base, int dir, int64_t i, int64_t t) {
  return base + ((i * q->t + t) * q->dirs + dir) * q->h * q->size;
}
static char *state(const layer *q, char *base, int dir, int64_t i) {
  return base ? base + (dir * q->n + i) * q->h * q->size : NULL;
}
static bool ended(const layer *q, int64_t i, int64_t t) {
  return q->length && t >= q->length[i];
}

static void forward_pieces(int64_t begin, int64_t end, void *arg) {
  const layer *q = arg;
  const al_recurrent_kernels *k = &AL_SELECT(al_recurrent);
  size_t bytes = (size_t)(q->h * q->size);
  int real = q->d == AL_FLOAT64;
  for (int64_t z = begin; z < end; z++) {
    int dir = (int)(z / q->pieces);
    int64_t from = z % q->pieces * q->rows, to = from + q->rows < q->n ? from + q->rows : q->n;
    char *p = q->p + (dir * q->n + from) * q->gates * q->size;
    for (int64_t step = 0; step < q->t; step++) {
      int64_t t = dir ? q->t - 1 - step : step;
      const char *before = state(q, q->s, dir, from);
      if (q->small)
        k->product[real](to - from, q->gates, q->h, before, q->h, q->w[dir], false, p);
      else
        al_one_product(q->d, to - from, q->gates, q->h, before, q->h, q->w[dir], q->h, true, 0,
                       p, q->gates);
      for (int64_t i = from; i < to; i++) {
        char *a = row(q, q->a[dir], i, t, q->gates), *s = state(q, q->s, dir, i),
             *c = state(q, q->c, dir, i), *y = output(q, q->y, dir, i, t),
             *keep =
                 q->recording ? row(q, q->keep[dir], i, t, q->h) : state(q, q->keep[0], dir, i);
        const char *share = p + (i - from) * q->gates * q->size;
        bool over = ended(q, i, t);
        if (over) memset(y, 0, bytes);
        else if (q->lstm) k->lstm[real](q->h, a, share, q->b[dir], c, s, y);
        else k->gru[real](q->h, a, share, q->b[dir], keep, s, y);
        if (q->lstm && q->recording) memcpy(keep, c, bytes);
      }
    }
  }
}

static void backward_pieces(int64_t begin, int64_t end, void *arg) {
  const layer *q = arg;
  const al_recurrent_kernels *k = &AL_SELECT(al_recurrent);
  size_t bytes = (size_t)(q->gates * q->size);
  int real = q->d == AL_FLOAT64;
  for (int64_t z = begin; z < end; z++) {
    int dir = (int)(z / q->pieces);
    int64_t from = z % q->pieces * q->rows, to = from + q->rows < q->n ? from + q->rows : q->n;
    for (int64_t step = q->t - 1; step >= 0; step--) {
      int64_t t = dir ? q->t - 1 - step : step, last = dir ? t + 1 : t - 1;
      for (int64_t i = from; i < to; i++) {
        char *a = row(q, q->a[dir], i, t, q->gates), *keep = row(q, q->keep[dir], i, t, q->h),
             *dx = row(q, q->dx[dir], i, t, q->gates), *ds = row(q, q->ds[dir], i, t, q->gates),
             *g = output(q, q->g, dir, i, t), *dh = state(q, q->s, dir, i);
        if (ended(q, i, t)) {
          memset(dx, 0, bytes);
          memset(ds, 0, bytes);
        } else if (q->lstm) {
          const char *cell = step ? row(q, q->keep[dir], i, last, q->h)
                                  : q->cell + (dir * q->n + i) * q->h * q->size;
          k->lstm_back[real](q->h, a, keep, cell, g, dh, state(q, q->c, dir, i), dx);
        } else {
          k->gru_back[real](q->h, a, keep, row(q, q->before[dir], i, t, q->h), g, dh, dx, ds);
        }
      }
      const char *ds = row(q, q->ds[dir], from, t, q->gates);
      char *dh = state(q, q->s, dir, from);
      if (q->small)
        k->product[real](to - from, q->h, q->gates, ds, q->t * q->gates, q->w[dir], true, dh);
      else
        al_one_product(q->d, to - from, q->h, q->gates, ds, q->t * q->gates, q->w[dir], q->h,
                       false, 1, dh, q->h);
    }
  }
}

/* A contiguous copy of t in the layer's dtype, or zeros of `shape`. */
static al_tensor *copy_or_zeros(const layer *q, al_tensor *t, const int64_t *shape) {
  return t ? al_fresh_contiguous(t, q->d) : al_zeros(q->d, 3, shape);
}

/* The state's weights and biases as arrays. A step's product of few rows costs the BLAS less
 * than arranging the weights for it: those that fit a cache are arranged once, w_hh as it is
 * for the gradient, transposed for the forward pass. */
static int hold_weights(layer *q, al_tensor *const *t, bool transposed) {
  int64_t shape[] = {q->gates + 1, q->h + 64}; /* room past the end */
  q->small = q->rows <= 32 && q->h * q->gates * q->size <= 1 << 20;
  for (int dir = 0; dir < q->dirs; dir++) {
    al_tensor *w = t[WEIGHTS + 4 * dir + 1], *b = t[WEIGHTS + 4 * dir + 3];
    b = b ? al_dense(b, q->d) : al_zeros(q->d, 1, &q->gates);
    if (q->small) {
      al_tensor *room = al_zeros(q->d, 2, shape),
                *from = transposed ? al_transpose(w, 0, 1) : w;
      if (!room || !from) return -1;
      int64_t step[] = {from->shape[1], 1};
      w = al_alias(room, 2, from->shape, step, room->offset);
      if (!w || al_copy(w, from)) return -1;
    } else {
      w = al_dense(w, q->d);
    }
    if (!w || !b) return -1;
    q->w[dir] = al_data(w);
    q->b[dir] = al_data(b);
  }
  return 0;
}

static int run_forward(al_call *c, bool lstm) {
  al_tensor *in[AFTER] = {0};
  layer q;
  for (int k = 0; k < c->op->nparams; k++) in[k] = ARG_T(k);
  if (open_layer(&q, lstm, in) || hold_weights(&q, in, true)) return -1;
  q.recording = c->recording;
  int64_t out[] = {q.n, q.t, q.dirs * q.h}, states[] = {q.dirs, q.n, q.h},
          keep[] = {q.n, q.t, q.h}, products[] = {q.dirs, q.n, q.gates};
  al_tensor *y = al_empty(q.d, 3, out), *p = al_empty(q.d, 3, products), *x = al_to(in[X], q.d),
            *s = copy_or_zeros(&q, in[STATE], states),
            *cell = lstm ? copy_or_zeros(&q, in[CELL], states) : NULL;
  for (int dir = 0; dir < q.dirs; dir++) {
    al_tensor **w = in + WEIGHTS + 4 * dir, *a = al_apply(&al_op_linear, x, w[0], w[2]),
              *k = al_empty(q.d, 3, q.recording ? keep : states);
    if (!a || !k || !(a = al_dense(a, q.d))) return -1;
    q.a[dir] = al_data(a);
    q.keep[dir] = al_data(k);
    if (q.recording) c->extra[dir] = a, c->extra[2 + dir] = k;
  }
  if (!y || !p || !s || (lstm && !cell)) return -1;
  q.y = al_data(y), q.p = al_data(p), q.s = al_data(s), q.c = lstm ? al_data(cell) : NULL;
  al_parallel(q.n ? q.dirs * q.pieces : 0, 1, forward_pieces, &q);
  c->out[0] = y, c->out[1] = s;
  if (lstm) c->out[2] = cell;
  return 0;
}

/* The state before each step: y a step earlier, h0 at the first of a sequence. */
static al_tensor *states_before(const layer *q, al_tensor *y, al_tensor *h0, int dir) {
  int64_t shape[] = {q->n, q->t, q->h};
  size_t bytes = (size_t)(q->h * q->size);
  al_tensor *b = al_empty(q->d, 3, shape);
  for (int64_t i = 0; b && i < q->n; i++)
    for (int64_t t = 0; t < q->t; t++) {
      int64_t last = dir ? t + 1 : t - 1;
      char *to = row(q, al_data(b), i, t, q->h);
      if (last >= 0 && last < q->t && !(dir && ended(q, i, last)))
        memcpy(to, output(q, al_data(y), dir, i, last), bytes);
      else if (h0) memcpy(to, state(q, al_data(h0), dir, i), bytes);
      else memset(to, 0, bytes);
    }
  return b;
}

/* Cotangents of one direction's weights and biases, and its share of x's. */
static int weight_gradients(al_back *b, const layer *q, int dir, al_tensor *dx, al_tensor *ds,
                            al_tensor *before) {
  int64_t flat[] = {q->n * q->t, q->gates}, in[] = {flat[0], q->f}, h[] = {flat[0], q->h},
          whole[] = {q->n, q->t, q->f}, rows[] = {0};
  int e = b->edge0[WEIGHTS + 4 * dir];
  dx = al_reshape(dx, flat, 2);
  ds = al_reshape(ds, flat, 2);
  if (!dx || !ds) return -1;
  if (b->needs[0]) {
    al_tensor *gx = al_reshape(al_matmul(dx, b->in[WEIGHTS + 4 * dir]), whole, 3);
    if (!(b->gx[0] = dir ? al_add(b->gx[0], gx) : gx)) return -1;
  }
  if (b->needs[e] &&
      !(b->gx[e] = al_matmul(al_transpose(dx, 0, 1), al_reshape(b->in[X], in, 2))))
    return -1;
  if (b->needs[e + 1] &&
      !(b->gx[e + 1] = al_matmul(al_transpose(ds, 0, 1), al_reshape(before, h, 2))))
    return -1;
  if (b->needs[e + 2] && !(b->gx[e + 2] = al_sum(dx, rows, 1, false))) return -1;
  return b->needs[e + 3] && !(b->gx[e + 3] = al_sum(ds, rows, 1, false)) ? -1 : 0;
}

static int form(const al_back *b, al_tensor **in, al_tensor **out);

static int run_gradient(al_back *b, bool lstm) {
  layer q;
  if (b->create_graph) return al_grad_through(b, form);
  if (open_layer(&q, lstm, b->in) || hold_weights(&q, b->in, false)) return -1;
  int64_t gates[] = {q.n, q.t, q.gates}, states[] = {q.dirs, q.n, q.h};
  al_tensor *dx[2], *ds[2], *before[2], *g = al_dense(b->g[0], q.d),
                                        *dh = copy_or_zeros(&q, b->g[1], states), *dc = NULL,
                                        *h0 = b->in[STATE], *c0 = NULL;
  if (!g || !dh || (h0 && !(h0 = al_dense(h0, q.d)))) return -1;
  if (lstm) {
    dc = copy_or_zeros(&q, b->g[2], states);
    c0 = b->in[CELL] ? al_dense(b->in[CELL], q.d) : al_zeros(q.d, 3, states);
    if (!dc || !c0) return -1;
    q.c = al_data(dc);
    q.cell = al_data(c0);
  }
  q.g = al_data(g), q.s = al_data(dh);
  for (int dir = 0; dir < q.dirs; dir++) {
    dx[dir] = al_empty(q.d, 3, gates);
    ds[dir] = lstm ? dx[dir] : al_empty(q.d, 3, gates);
    before[dir] = states_before(&q, b->out[0], h0, dir);
    if (!dx[dir] || !ds[dir] || !before[dir]) return -1;
    q.dx[dir] = al_data(dx[dir]), q.ds[dir] = al_data(ds[dir]);
    q.before[dir] = al_data(before[dir]);
    q.a[dir] = al_data(b->extra[dir]), q.keep[dir] = al_data(b->extra[2 + dir]);
  }
  al_parallel(q.n ? q.dirs * q.pieces : 0, 1, backward_pieces, &q);
  for (int dir = 0; dir < q.dirs; dir++)
    if (weight_gradients(b, &q, dir, dx[dir], ds[dir], before[dir])) return -1;
  b->gx[b->edge0[STATE]] = dh;
  if (lstm) b->gx[b->edge0[CELL]] = dc;
  return 0;
}

/* ---- the same of recorded ops ---- */

static al_tensor *gate(al_tensor *a, int k, int64_t h) {
  return al_narrow(a, -1, k * h + 1, h);
}

/* One step: *h and *c replaced; xt (n, gates) the input's share. */
static int form_step(bool lstm, int64_t n, al_tensor *xt, al_tensor *p, al_tensor **h,
                     al_tensor **c) {
  if (lstm) {
    al_tensor *a = al_add(xt, p);
    al_tensor *i = al_sigmoid(gate(a, 0, n)), *f = al_sigmoid(gate(a, 1, n)),
              *g = al_tanh(gate(a, 2, n)), *o = al_sigmoid(gate(a, 3, n));
    *c = al_add(al_mul(f, *c), al_mul(i, g));
    *h = al_mul(o, al_tanh(*c));
    return *h ? 0 : -1;
  }
  al_tensor *r = al_sigmoid(al_add(gate(xt, 0, n), gate(p, 0, n))),
            *z = al_sigmoid(al_add(gate(xt, 1, n), gate(p, 1, n))),
            *m = al_tanh(al_add(gate(xt, 2, n), al_mul(r, gate(p, 2, n))));
  return (*h = al_add(m, al_mul(z, al_sub(*h, m)))) ? 0 : -1;
}

/* 1 where sequence i goes on at step t: (n, 1). */
static al_tensor *going(const layer *q, int64_t t) {
  al_tensor *m = al_empty(AL_BOOL, 2, (int64_t[]){q->n, 1});
  for (int64_t i = 0; m && i < q->n; i++) al_set(m, i, !ended(q, i, t));
  return m;
}

static int form_direction(const layer *q, int dir, al_tensor **in, al_tensor **y, al_tensor **h,
                          al_tensor **c) {
  al_tensor **w = in + WEIGHTS + 4 * dir, *none = al_zeros(q->d, 2, (int64_t[]){q->n, q->h});
  al_tensor *a = al_apply(&al_op_linear, in[X], w[0], w[2]);
  *h = in[STATE] ? al_apply(&al_op_select, in[STATE], (int64_t)0, (int64_t)dir + 1) : none;
  *c = q->lstm && in[CELL] ? al_apply(&al_op_select, in[CELL], (int64_t)0, (int64_t)dir + 1)
                           : none;
  if (!a || !none || !*h || !*c) return -1;
  if (!q->t && !(y[0] = al_narrow(a, -1, 1, q->h))) return -1; /* (n, 0, h), recorded */
  for (int64_t step = 0; step < q->t; step++) {
    int64_t t = dir ? q->t - 1 - step : step;
    al_tensor *h1 = *h, *c1 = *c, *m = q->length ? going(q, t) : NULL;
    al_tensor *p = al_apply(&al_op_linear, *h, w[1], w[3]),
              *xt = al_apply(&al_op_select, a, (int64_t)1, t + 1);
    if (form_step(q->lstm, q->h, xt, p, &h1, &c1)) return -1;
    y[t] = q->length ? al_where(m, h1, none) : h1;
    *h = q->length ? al_where(m, h1, *h) : h1;
    *c = q->length ? al_where(m, c1, *c) : c1;
    if (!y[t] || !*h || !*c) return -1;
  }
  return 0;
}

static int form(const al_back *b, al_tensor **in, al_tensor **out) {
  layer q;
  al_tensor *part[2], *h[2], *c[2], **y;
  if (open_layer(&q, b->node->op == &al_op_lstm, in)) return -1;
  if (!(y = al_malloc((size_t)(q.t + 1) * sizeof *y))) return -1;
  int failed = 0;
  for (int dir = 0; !failed && dir < q.dirs; dir++) {
    failed = form_direction(&q, dir, in, y, h + dir, c + dir);
    if (!failed) part[dir] = q.t ? al_apply(&al_op_stack, y, (int)q.t, (int64_t)1) : y[0];
    failed = failed || !part[dir];
  }
  al_free(y);
  if (failed) return -1;
  out[0] = q.dirs > 1 ? al_cat(part, 2, -1) : part[0];
  out[1] = al_apply(&al_op_stack, h, q.dirs, (int64_t)0);
  if (q.lstm) out[2] = al_apply(&al_op_stack, c, q.dirs, (int64_t)0);
  return out[0] && out[1] && (!q.lstm || out[2]) ? 0 : -1;
}

/* ---- the ops ---- */

static int lstm_forward(al_call *c) { return run_forward(c, true); }
static int lstm_grad(al_back *b) { return run_gradient(b, true); }
static int gru_forward(al_call *c) { return run_forward(c, false); }
static int gru_grad(al_back *b) { return run_gradient(b, false); }

#define WEIGHTS_SIG                                                    \
  "x:T w_ih:T w_hh:T b_ih:T? b_hh:T? w_ih_reverse:T? w_hh_reverse:T? " \
  "b_ih_reverse:T? b_hh_reverse:T? "
#define WEIGHTS_SAVE \
  "x w_ih w_hh b_ih b_hh w_ih_reverse w_hh_reverse b_ih_reverse b_hh_reverse h0 lengths out "
#define LENGTHS_DOC                                                                            \
  "States (dirs, n, h) start at h0, or 0. With lengths (n) sequences end early: outputs past " \
  "the end are 0, final\nstates are those at the end, and the reverse direction starts there."

AL_OP(lstm, .sig = WEIGHTS_SIG "{h0:T? c0:T? lengths:T?} -> T T T", .save = WEIGHTS_SAVE "c0",
      .doc =
          "One LSTM layer over x (n, steps, f): outputs (n, steps, dirs h), last states, last "
          "cells (dirs, n, h).\n"
          "i, f, o = sigmoid, g = tanh of w_ih x + b_ih + w_hh h + b_hh, rows in the order "
          "i f g o: w_ih (4 h, f),\nw_hh (4 h, h); c = f c + i g, h = o tanh(c), as "
          "PyTorch's. Weights _reverse make it bidirectional.\n" LENGTHS_DOC,
      .forward = lstm_forward, .grad = lstm_grad,
      .sample = "{r(2,3,2), r(8,2), r(8,2), r(8), r(8)}, {r(2,3,2), r(8,2), r(8,2)}, "
                "{r(2,3,2), r(8,2), r(8,2), r(8), r(8), r(8,2), r(8,2), r(8), r(8), "
                "{h0=r(2,2,2), c0=r(2,2,2), lengths=t({2,3}, {dtype='int64'})}}");

AL_OP(gru, .sig = WEIGHTS_SIG "{h0:T? lengths:T?} -> T T", .save = WEIGHTS_SAVE,
      .doc =
          "One GRU layer over x (n, steps, f): outputs (n, steps, dirs h), last states (dirs, "
          "n, h).\n"
          "r, z = sigmoid(w_ih x + b_ih + w_hh h + b_hh), n = tanh(w_in x + b_in + r (w_hn h "
          "+ b_hn)), rows in the\norder r z n: w_ih (3 h, f), w_hh (3 h, h); h = (1 - z) n + "
          "z h, as PyTorch's. Weights _reverse make it\nbidirectional. " LENGTHS_DOC,
      .forward = gru_forward, .grad = gru_grad,
      .sample = "{r(2,3,2), r(6,2), r(6,2), r(6), r(6)}, {r(2,3,2), r(6,2), r(6,2)}, "
                "{r(2,3,2), r(6,2), r(6,2), r(6), r(6), r(6,2), r(6,2), r(6), r(6), "
                "{h0=r(2,2,2), lengths=t({2,3}, {dtype='int64'})}}");
