/* node.c: the nodes of the graph: recording a call, keeping what its gradient reads, letting
 * go. */
#include "../core/internal.h"
#include <stdatomic.h>
#include <string.h>

static _Atomic uint64_t sequence;

uint64_t al_graph_now(void) { return atomic_load(&sequence); }

bool al_grad_enabled(void) { return !al_here.no_grad; }

bool al_set_grad_enabled(bool on) {
  bool former = !al_here.no_grad;
  al_here.no_grad = !on;
  return former;
}

/* ---- letting go, without recursion: a chain of a million nodes is a loop ---- */
static _Thread_local al_node *doomed;
static _Thread_local bool draining;

static void drop_contents(al_node *n) {
  for (int i = 0; i < n->op->nparams; i++) al_unref(n->in[i].t);
  for (int i = 0; i < n->nouts; i++) al_unref(n->out[i].t), al_unref(n->gout[i]);
  for (int i = 0; i < AL_MAX_EXTRA; i++) al_unref(n->extra[i].t);
  for (int e = 0; e < n->nedges; e++) {
    al_unref(n->edge[e].leaf);
    if (n->edge[e].node) al_node_unref(n->edge[e].node);
  }
  al_release(n);
}

void al_node_unref(al_node *n) {
  if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1) return;
  n->next_free = doomed;
  doomed = n;
  if (draining) return;
  draining = true;
  while (doomed) {
    al_node *next = doomed;
    doomed = next->next_free;
    drop_contents(next);
  }
  draining = false;
}

/* ---- recording ---- */
static int count_edges(const al_call *c) {
  int n = 0;
  for (int i = 0; i < c->op->nparams; i++)
    n += c->op->param[i].kind == AL_K_TENSOR    ? 1
         : c->op->param[i].kind == AL_K_TENSORS ? c->a[i].ts.n
                                                : 0;
  return n;
}

static void make_edge(al_edge *e, al_tensor *t) {
  memset(e, 0, sizeof *e);
  if (!t) return;
  e->dtype = t->dtype;
  e->ndim = t->ndim;
  memcpy(e->shape, t->shape, sizeof *t->shape * t->ndim);
  if (!t->requires_grad || !al_is_float(t->dtype)) return;
  if (t->node) {
    e->node = t->node;
    e->slot = t->slot;
    atomic_fetch_add_explicit(&t->node->refs, 1, memory_order_relaxed);
  } else {
    e->leaf = al_ref(t);
  }
}

static bool edge_wants(const al_edge *e) { return e->node || e->leaf; }

/* A short copy of a string option, in the node's own text; longer ones are no option of a
 * differentiable op. */
static const char *copy_text(al_node *n, size_t *used, const char *s) {
  size_t len = s ? strlen(s) + 1 : 0;
  if (!len || *used + len > sizeof n->text) return NULL;
  char *copy = memcpy(n->text + *used, s, len);
  *used += len;
  return copy;
}

/* Options are copied; integer lists and strings move into the node's own pools. */
static void copy_options(al_node *n, const al_call *c) {
  int used = 0;
  size_t letters = 0;
  for (int i = 0; i < c->op->nparams; i++) {
    al_kind k = c->op->param[i].kind;
    n->a[i] = c->a[i];
    if (k == AL_K_TENSOR) n->a[i].t = NULL;
    else if (k == AL_K_TENSORS) n->a[i].ts.v = NULL;
    else if (k == AL_K_INTS || k == AL_K_DIMS) {
      int len = n->a[i].ints.n;
      if (used + len > AL_MAX_INTS) len = AL_MAX_INTS - used;
      if (len) memcpy(n->pool + used, c->a[i].ints.v, (size_t)len * sizeof *n->pool);
      n->a[i].ints.v = n->pool + used;
      used += len;
    } else if (k == AL_K_STR) {
      n->a[i].s = copy_text(n, &letters, c->a[i].s);
    } else if (k == AL_K_RNG) {
      n->a[i].rng = NULL; /* a random op keeps its state in extra[] */
    }
  }
}

static int save(al_saved *s, al_tensor *t, bool alias, uint32_t before) {
  if (!t) return 0;
  s->version = al_version_of(t) - before;
  if (alias) t = al_detach(t);
  s->t = al_ref(t);
  return t ? 0 : -1;
}

/* Inputs are kept as they are, outputs as aliases outside the graph (a node must not hold
 * itself). */
static int save_all(al_node *n, const al_call *c) {
  const al_op *op = c->op;
  for (int i = 0; i < op->nparams; i++) {
    if (!(op->save_in >> i & 1) || op->param[i].kind != AL_K_TENSOR) continue;
    if (op->save_for[i] >= 0 && !edge_wants(&n->edge[n->edge0[op->save_for[i]]])) continue;
    bool self = c->into && c->a[i].t == c->into;
    if (save(&n->in[i], c->a[i].t, self, self)) return -1;
  }
  for (int k = 0; k < op->nouts; k++)
    if (op->save_out >> k & 1 && save(&n->out[k], c->out[k], true, 0)) return -1;
  for (int k = 0; k < AL_MAX_EXTRA; k++)
    if (save(&n->extra[k], c->extra[k], false, 0)) return -1;
  return 0;
}

static void attach(al_node *n, al_tensor *t, int slot) {
  n->outs[slot].dtype = t->dtype;
  n->outs[slot].ndim = t->ndim;
  memcpy(n->outs[slot].shape, t->shape, sizeof t->shape);
  if (!al_is_float(t->dtype)) return;
  al_node *former = t->node;
  t->node = n;
  t->slot = slot;
  t->requires_grad = true;
  atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
  if (former) al_node_unref(former);
}

int al_record(al_call *c) {
  const al_op *op = c->op;
  if (!op->grad) return al_fail("no gradient is known for this op");
  int edges = count_edges(c);
  al_node *n = al_alloc(sizeof *n + (size_t)edges * sizeof *n->edge);
  if (!n) return -1;
  memset(n, 0, sizeof *n);
  atomic_init(&n->refs, 1);
  n->op = op;
  n->nouts = op->nouts;
  n->seq = atomic_fetch_add_explicit(&sequence, 1, memory_order_relaxed) + 1;
  for (int i = 0; i < op->nparams; i++) {
    n->edge0[i] = n->nedges;
    if (op->param[i].kind == AL_K_TENSOR) make_edge(&n->edge[n->nedges++], c->a[i].t);
    else if (op->param[i].kind == AL_K_TENSORS)
      for (int j = 0; j < c->a[i].ts.n; j++) make_edge(&n->edge[n->nedges++], c->a[i].ts.v[j]);
  }
  copy_options(n, c);
  int failed = save_all(n, c);
  for (int k = 0; !failed && k < op->nouts; k++)
    if (c->out[k]) attach(n, c->out[k], k);
  al_node_unref(n); /* the outputs hold it now */
  return failed;
}
