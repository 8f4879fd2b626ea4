/* optim.c: the optimizers' steps, fused over all parameters of a group. Each op writes into its
 * parameters and states in place, outside the graph, and returns its first parameter;
 * lua/albedo/optim keeps the states. */
#include "../kernel/optim.h"
#include "op.h"
#include <math.h>

enum {
  CHUNK = 16384,
  ROLES = 4
}; /* elements a thread takes at once; parameter, gradient, two states */

typedef struct update {
  int n;                /* parameters */
  al_tensor **t[ROLES]; /* [n] each: dense versions, or NULL where the rule has no such state */
  int64_t *first;       /* [n + 1]: number of the first chunk of each parameter */
  double *partial;      /* [chunks]: what clip_grads sums */
  const al_optim_options *options;
  const al_optim_rule *rule; /* [2] */
  double factor;
} update;

static void close(update *u) {
  al_free(u->t[0]);
  al_free(u->first);
  al_free(u->partial);
}

/* Parameter number and element range of chunk k. */
static int locate(const update *u, int64_t k, int64_t *begin, int64_t *count) {
  int low = 0, high = u->n - 1;
  while (low < high) {
    int mid = (low + high + 1) / 2;
    if (u->first[mid] <= k) low = mid;
    else high = mid - 1;
  }
  int64_t numel = al_numel(u->t[0][low]);
  *begin = (k - u->first[low]) * CHUNK;
  *count = numel - *begin < CHUNK ? numel - *begin : CHUNK;
  return low;
}

static void *at(al_tensor *const *t, int i, int64_t begin) {
  return t ? (char *)al_data(t[i]) + begin * (int64_t)al_dtype_size((al_dtype)t[i]->dtype)
           : NULL;
}

static int check(const al_arg *a, const char *const *name, int roles) {
  for (int r = 0; r < roles; r++) {
    if (!a[r].given || (r >= 2 && a[r].ts.n == 0)) continue;
    if (a[r].ts.n != a[0].ts.n)
      return al_fail("%d tensors in %s, %d in %s", a[0].ts.n, name[0], a[r].ts.n, name[r]);
    for (int i = 0; i < a[0].ts.n; i++) {
      const al_tensor *p = a[0].ts.v[i], *t = a[r].ts.v[i];
      if (!al_is_float(p->dtype))
        return al_fail("tensor %d of %s is %s, not floating", i + 1, name[0],
                       al_dtype_name((al_dtype)p->dtype));
      if (!al_same_shape(p, t) || (r != 1 && p->dtype != t->dtype))
        return al_fail("tensor %d is %s %s in %s, %s %s in %s", i + 1,
                       al_shape_text(p->ndim, p->shape), al_dtype_name((al_dtype)p->dtype),
                       name[0], al_shape_text(t->ndim, t->shape),
                       al_dtype_name((al_dtype)t->dtype), name[r]);
    }
  }
  return 0;
}

/* Lists a[0 .. roles-1] of equal length into u: dense copies where a tensor is strided, chunks
 * numbered. */
static int open(update *u, const al_arg *a, const char *const *name, int roles) {
  *u = (update){.n = a[0].ts.n};
  if (check(a, name, roles)) return -1;
  al_tensor **all = al_malloc(sizeof(al_tensor *) * (size_t)(ROLES * u->n + 1));
  u->t[0] = all;
  u->first = al_malloc(sizeof(int64_t) * (size_t)(u->n + 1));
  if (!all || !u->first) return -1;
  for (int r = 0; r < roles; r++) {
    bool absent = !a[r].given || a[r].ts.n == 0;
    u->t[r] = absent && r >= 2 ? NULL : all + r * u->n;
    for (int i = 0; u->t[r] && i < u->n; i++) {
      u->t[r][i] = al_dense(a[r].ts.v[i], (al_dtype)a[0].ts.v[i]->dtype);
      if (!u->t[r][i]) return -1;
    }
  }
  u->first[0] = 0;
  for (int i = 0; i < u->n; i++)
    u->first[i + 1] = u->first[i] + (al_numel(all[i]) + CHUNK - 1) / CHUNK;
  return 0;
}

/* Tells the graph that the lists in `written` (bits) changed, and takes dense copies back. */
static int commit(const update *u, const al_arg *a, unsigned written, const char *writer) {
  for (int r = 0; r < ROLES; r++)
    for (int i = 0; written >> r & 1 && u->t[r] && i < u->n; i++) {
      if (u->t[r][i] != a[r].ts.v[i] && al_copy(a[r].ts.v[i], u->t[r][i])) return -1;
      al_bump(a[r].ts.v[i], writer);
    }
  return 0;
}

/* Runs fn over all chunks, on one thread when there is too little to share. */
static void run(update *u, void (*fn)(int64_t, int64_t, void *)) {
  int64_t total = 0;
  for (int i = 0; i < u->n; i++) total += al_numel(u->t[0][i]);
  al_parallel(u->first[u->n], total > 2 * CHUNK ? 1 : u->first[u->n], fn, u);
}

static void step_chunks(int64_t from, int64_t to, void *context) {
  const update *u = context;
  for (int64_t k = from; k < to; k++) {
    int64_t begin, count;
    int i = locate(u, k, &begin, &count);
    u->rule[u->t[0][i]->dtype == AL_FLOAT64](count, at(u->t[0], i, begin),
                                             at(u->t[1], i, begin), at(u->t[2], i, begin),
                                             at(u->t[3], i, begin), u->options);
  }
}

/* Without grads, the .grad of each parameter. */
static int own_gradients(al_call *c) {
  if (c->a[1].given) return 0;
  int64_t n = c->a[0].ts.n, bytes = n * (int64_t)sizeof(al_tensor *);
  al_tensor *room = al_empty(AL_UINT8, 1, &bytes), **g = room ? al_data(room) : NULL;
  if (!g) return -1;
  for (int64_t i = 0; i < n; i++)
    if (!(g[i] = c->a[0].ts.v[i]->grad))
      return al_fail("parameter %lld has no gradient", (long long)i + 1);
  c->a[1].ts.v = g;
  c->a[1].ts.n = (int)n;
  c->a[1].given = true;
  return 0;
}

/* Runs a rule over the call's lists: parameters, gradients, then `states` lists of states. */
static int step(al_call *c, const al_optim_rule *rule, const al_optim_options *o, int states) {
  static const char *const name[] = {"params", "grads", "the first state", "the second state"};
  update u;
  if (c->a[0].ts.n == 0) return al_fail("params is an empty list");
  if (own_gradients(c)) return -1;
  int failed = open(&u, c->a, name, 2 + states);
  if (!failed) {
    u.rule = rule;
    u.options = o;
    run(&u, step_chunks);
    failed = commit(&u, c->a, 1u | 4u | 8u, c->op->name);
  }
  close(&u);
  return failed ? -1 : al_ret(c, c->a[0].ts.v[0]);
}

static int sgd_forward(al_call *c) {
  al_optim_options o = {
      .lr = ARG_F(3), .momentum = ARG_F(4), .weight_decay = ARG_F(5), .nesterov = ARG_B(6)};
  return step(c, AL_SELECT(al_optim).sgd, &o, 1);
}
AL_OP(sgd_step,
      .sig = "params:T* grads:T*? momenta:T*? {lr:num momentum:num=0 weight_decay:num=0 "
             "nesterov:bool=false} -> T",
      .doc = "One step of stochastic gradient descent, in place; momenta: one buffer a "
             "parameter, at first 0, or none. Without grads each parameter's .grad.",
      .forward = sgd_forward, .flags = AL_F_NODIFF | AL_F_HIDDEN,
      .sample = "{{r(3), r(2,2)}, {r(3), r(2,2)}, {r(3), r(2,2)}, {lr=0.1, momentum=0.9, "
                "nesterov=true}}, {{r(5)}, {r(5)}, {lr=0.1}}");

static int adam_forward(al_call *c) {
  if (ARG_I(10) < 1) return al_fail("step counts from 1");
  double t = (double)ARG_I(10);
  al_optim_options o = {.lr = ARG_F(4),
                        .beta1 = ARG_F(5),
                        .beta2 = ARG_F(6),
                        .eps = ARG_F(7),
                        .weight_decay = ARG_F(8),
                        .decoupled = ARG_B(9),
                        .correction1 = 1 - pow(ARG_F(5), t),
                        .correction2 = 1 - pow(ARG_F(6), t)};
  return step(c, AL_SELECT(al_optim).adam, &o, 2);
}
AL_OP(adam_step,
      .sig = "params:T* grads:T*? m:T* v:T* {lr:num beta1:num=0.9 beta2:num=0.999 eps:num=1e-8 "
             "weight_decay:num=0 decoupled:bool=false step:int} -> T",
      .doc = "Step number `step` of Adam (Kingma and Ba 2015), in place; decoupled weight "
             "decay makes it AdamW.",
      .forward = adam_forward, .flags = AL_F_NODIFF | AL_F_HIDDEN,
      .sample = "{{r(3), r(2,2)}, {r(3), r(2,2)}, {r(3), r(2,2)}, {pos(3), pos(2,2)}, {lr=0.1, "
                "step=3}}, "
                "{{r(3)}, {r(3)}, {r(3)}, {pos(3)}, {lr=0.1, step=1, weight_decay=0.1, "
                "decoupled=true}}");

static int rmsprop_forward(al_call *c) {
  al_optim_options o = {.lr = ARG_F(4),
                        .alpha = ARG_F(5),
                        .eps = ARG_F(6),
                        .weight_decay = ARG_F(7),
                        .momentum = ARG_F(8)};
  return step(c, AL_SELECT(al_optim).rmsprop, &o, 2);
}
AL_OP(rmsprop_step,
      .sig = "params:T* grads:T*? squares:T* momenta:T*? {lr:num alpha:num=0.99 eps:num=1e-8 "
             "weight_decay:num=0 momentum:num=0} -> T",
      .doc = "One step of RMSprop (Tieleman and Hinton 2012), in place.",
      .forward = rmsprop_forward, .flags = AL_F_NODIFF | AL_F_HIDDEN,
      .sample = "{{r(3)}, {r(3)}, {pos(3)}, {lr=0.1}}, {{r(3)}, {r(3)}, {pos(3)}, {r(3)}, "
                "{lr=0.1, momentum=0.5}}");

static void square_chunks(int64_t from, int64_t to, void *context) {
  const update *u = context;
  for (int64_t k = from; k < to; k++) {
    int64_t begin, count;
    int i = locate(u, k, &begin, &count);
    u->partial[k] = AL_SELECT(al_optim).sum_of_squares[u->t[0][i]->dtype == AL_FLOAT64](
        count, at(u->t[0], i, begin));
  }
}

static void scale_chunks(int64_t from, int64_t to, void *context) {
  const update *u = context;
  for (int64_t k = from; k < to; k++) {
    int64_t begin, count;
    int i = locate(u, k, &begin, &count);
    AL_SELECT(al_optim).scale[u->t[0][i]->dtype == AL_FLOAT64](count, at(u->t[0], i, begin),
                                                               u->factor);
  }
}

static int clip_forward(al_call *c) {
  static const char *const name[] = {"grads"};
  update u;
  double sum = 0;
  int failed = open(&u, c->a, name, 1);
  if (!failed) u.partial = al_malloc(sizeof(double) * (size_t)(u.first[u.n] + 1));
  if (!failed && u.partial) {
    run(&u, square_chunks);
    for (int64_t k = 0; k < u.first[u.n]; k++) sum += u.partial[k];
    u.factor = ARG_F(1) / (sqrt(sum) + 1e-6);
    if (!(u.factor >= 1)) { /* NaN spreads, as it should */
      run(&u, scale_chunks);
      failed = commit(&u, c->a, 1u, c->op->name);
    }
  } else failed = -1;
  close(&u);
  return failed ? -1 : al_ret(c, al_scalar(sqrt(sum), AL_FLOAT64));
}
AL_OP(clip_grads, .sig = "grads:T* {max:num} -> T",
      .doc = "Scales all gradients in place so that their joint L2 norm is at most `max`; "
             "gives the norm before.",
      .forward = clip_forward, .flags = AL_F_NODIFF | AL_F_HIDDEN,
      .sample = "{{r(3), r(2,2)}, {max=100}}");
