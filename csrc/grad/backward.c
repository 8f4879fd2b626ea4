/* backward.c: one backward pass. Nodes reached from the roots are sorted by creation, newest
 * first: that is already an order in which every consumer of a value comes before its producer.
 * No recursion anywhere. */
#include "../core/internal.h"
#include "../op/op.h"
#include "through.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 100 };

/* What a node held for the pass during which this one runs (a gradient written in Lua may ask
 * for gradients itself): taken at the first visit, put back at the end. */
typedef struct lent {
  al_node *node;
  bool useful;
  al_tensor *gout[AL_MAX_OUTS];
} lent;

typedef struct pass {
  al_node **node; /* reached, newest first after sorting */
  lent *lent;     /* only in a pass within a pass, in the order reached */
  int64_t n, cap;
  bool inner;
  uint64_t mark;
  int ninputs;
  al_tensor **inputs, **out; /* wanted gradients, or ninputs == 0: accumulate in the leaves */
  bool create, retain, stop;
} pass;

const int64_t *al_edge_shape(const al_back *b, int edge, int *ndim) {
  *ndim = b->node->edge[edge].ndim;
  return b->node->edge[edge].shape;
}

/* ---- which nodes ---- */
static void *grown(void *former, int64_t n, int64_t cap, size_t size) {
  void *v = al_malloc((size_t)cap * size);
  if (!v) return NULL;
  if (n) memcpy(v, former, (size_t)n * size);
  al_free(former);
  return v;
}

static int grow(pass *p) {
  int64_t cap = p->cap ? 2 * p->cap : 64;
  void *v = grown(p->node, p->n, cap, sizeof *p->node);
  if (!v) return -1;
  p->node = v;
  if (p->inner) {
    if (!(v = grown(p->lent, p->n, cap, sizeof *p->lent))) return -1;
    p->lent = v;
  }
  p->cap = cap;
  return 0;
}

static int push(pass *p, al_node *n) {
  if (n->mark == p->mark) return 0;
  if (p->n == p->cap && grow(p)) return -1;
  if (p->inner) {
    lent *former = &p->lent[p->n];
    former->node = n;
    former->useful = n->useful;
    memcpy(former->gout, n->gout, sizeof n->gout);
    memset(n->gout, 0, sizeof n->gout);
  }
  n->mark = p->mark;
  n->useful = p->ninputs == 0;
  p->node[p->n++] = n;
  return 0;
}

static int newest_first(const void *a, const void *b) {
  uint64_t x = (*(al_node *const *)a)->seq, y = (*(al_node *const *)b)->seq;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* Partial derivatives do not go through an input. */
static bool ends_at(const pass *p, const al_node *n) {
  for (int i = 0; p->stop && i < p->ninputs; i++)
    if (p->inputs[i]->node == n) return true;
  return false;
}

static int reach(pass *p, int nroots, al_tensor **roots) {
  for (int i = 0; i < nroots; i++)
    if (roots[i]->node && push(p, roots[i]->node)) return -1;
  for (int64_t i = 0; i < p->n; i++) {
    if (ends_at(p, p->node[i])) continue;
    for (int e = 0; e < p->node[i]->nedges; e++) {
      al_node *n = p->node[i]->edge[e].node;
      if (n && push(p, n)) return -1;
    }
  }
  if (p->n) qsort(p->node, (size_t)p->n, sizeof *p->node, newest_first);
  return 0;
}

static bool wanted_leaf(const pass *p, const al_tensor *leaf) {
  if (!leaf) return false;
  if (!p->ninputs) return true;
  for (int i = 0; i < p->ninputs; i++)
    if (p->inputs[i] == leaf) return true;
  return false;
}

static bool wanted_edge(const pass *p, const al_edge *e) {
  return e->node ? e->node->useful : wanted_leaf(p, e->leaf);
}

/* With given inputs, only what leads to them is worth computing. Oldest first: producers are
 * settled first. */
static void mark_useful(pass *p) {
  for (int i = 0; i < p->ninputs; i++)
    if (p->inputs[i]->node && p->inputs[i]->node->mark == p->mark)
      p->inputs[i]->node->useful = true;
  for (int64_t i = p->n - 1; i >= 0; i--)
    for (int e = 0; !p->node[i]->useful && e < p->node[i]->nedges; e++)
      p->node[i]->useful = wanted_edge(p, &p->node[i]->edge[e]);
}

/* ---- adding gradients up ---- */
static bool sole(const al_tensor *t) {
  return atomic_load(&t->refs) == 1 && atomic_load(&t->storage->refs) == 1;
}

/* *sum += g, in place when nobody else can see *sum. The reference in *sum is owned. */
static int add_up(al_tensor **sum, al_tensor *g, bool create) {
  if (!*sum) {
    *sum = al_ref(g);
    return 0;
  }
  if (!create && sole(*sum) && al_same_shape(*sum, g) && al_is_contiguous(*sum)) {
    al_call c = {.op = &al_op_add, .into = *sum};
    c.a[0].t = *sum;
    c.a[1].t = g;
    return al_invoke(&c);
  }
  al_tensor *total = al_ref(al_add(*sum, g));
  if (!total) return -1;
  al_unref(*sum);
  *sum = total;
  return 0;
}

/* A leaf's .grad is a tensor of its own, contiguous, of the leaf's dtype and shape. */
static int add_to_leaf(al_tensor *leaf, al_tensor *g, bool create) {
  if (leaf->grad) {
    if (create) return add_up(&leaf->grad, g, true);
    al_call c = {.op = &al_op_add, .into = leaf->grad};
    c.a[0].t = leaf->grad;
    c.a[1].t = g;
    return al_invoke(&c);
  }
  /* the frame and possibly a node's list hold references: a storage of its own is what counts
   */
  bool own = atomic_load(&g->storage->refs) == 1 && atomic_load(&g->refs) <= 1 &&
             al_is_contiguous(g) && !g->node;
  if (!own)
    g = create ? al_apply(&al_op_clone, g) : al_fresh_contiguous(g, (al_dtype)leaf->dtype);
  if (!g) return -1;
  leaf->grad = al_ref(g);
  return 0;
}

static int deliver(pass *p, al_tensor *leaf, al_tensor *g) {
  if (!p->ninputs) return add_to_leaf(leaf, g, p->create);
  for (int i = 0; i < p->ninputs; i++)
    if (p->inputs[i] == leaf && add_up(&p->out[i], g, true)) return -1;
  return 0;
}

static int send(pass *p, al_node *n, const al_edge *e, al_tensor *g) {
  g = al_sum_to(g, e->ndim, e->shape);
  if (g && g->dtype != e->dtype) g = al_to(g, (al_dtype)e->dtype);
  if (!g) return -1;
  if (g->ndim != e->ndim || memcmp(g->shape, e->shape, sizeof *g->shape * e->ndim))
    return al_fail("its gradient has shape %s, the input %s", al_shape_text(g->ndim, g->shape),
                   al_shape_text(e->ndim, e->shape));
  (void)n;
  return e->node ? add_up(&e->node->gout[e->slot], g, p->create) : deliver(p, e->leaf, g);
}

/* ---- one node ---- */
static int unpack(const al_node *n, const al_saved *s, const char *what, al_tensor **out) {
  *out = s->t;
  if (!s->t || s->version == al_version_of(s->t)) return 0;
  const char *writer = s->t->storage->writer;
  return al_fail("%s keeps its %s for the gradient, but %s overwrote it", n->op->name, what,
                 writer ? writer : "an in-place op");
}

/* A saved output stands outside the graph; with create_graph it is put back into it for the
 * time of the call. */
static int unpack_output(al_node *n, int k, bool create, al_tensor **out) {
  if (unpack(n, &n->out[k], "result", out)) return -1;
  if (!*out || !create) return 0;
  al_tensor *t = al_detach(*out);
  if (!t) return -1;
  t->node = n;
  t->slot = k;
  t->requires_grad = true;
  atomic_fetch_add(&n->refs, 1);
  *out = t;
  return 0;
}

static int gradient_of(pass *p, al_node *n) {
  al_back b = {.node = n, .a = n->a, .nedges = n->nedges, .create_graph = p->create};
  bool needs[n->nedges + 1];
  al_tensor *gx[n->nedges + 1], *g[AL_MAX_OUTS];
  memset(gx, 0, sizeof gx);
  memcpy(b.edge0, n->edge0, sizeof b.edge0);
  for (int e = 0; e < n->nedges; e++) needs[e] = wanted_edge(p, &n->edge[e]);
  for (int i = 0; i < n->op->nparams; i++)
    if (unpack(n, &n->in[i], n->op->param[i].name, &b.in[i])) return -1;
  for (int k = 0; k < AL_MAX_EXTRA; k++)
    if (unpack(n, &n->extra[k], "state", &b.extra[k])) return -1;
  for (int k = 0; k < n->nouts; k++) {
    if (unpack_output(n, k, p->create, &b.out[k])) return -1;
    g[k] = n->gout[k];
  }
  if (!g[0]) g[0] = al_zeros((al_dtype)n->outs[0].dtype, n->outs[0].ndim, n->outs[0].shape);
  if (!g[0]) return -1;
  b.g = g;
  b.gx = gx;
  b.needs = needs;
  if (al_here.watch ? al_watched_gradient(&b) : n->op->grad(&b)) return -1;
  /* own results pass on without a copy: the frame's reference is the only other one */
  for (int e = 0; e < n->nedges; e++)
    if (needs[e] && gx[e] && send(p, n, &n->edge[e], gx[e])) return -1;
  return 0;
}

static void forget_saved(al_node *n) {
  for (int i = 0; i < n->op->nparams; i++) al_unref(n->in[i].t), n->in[i].t = NULL;
  for (int k = 0; k < n->nouts; k++) al_unref(n->out[k].t), n->out[k].t = NULL;
  for (int k = 0; k < AL_MAX_EXTRA; k++) al_unref(n->extra[k].t), n->extra[k].t = NULL;
  n->freed = true;
}

static int fail_at(const al_node *n) {
  char message[sizeof al_message];
  strncpy(message, al_error(), sizeof message - 1);
  message[sizeof message - 1] = 0;
  al_fail("backward of %s: %.900s", n->op->name, message);
  al_thread_text()->plain = 0;
  al_thread_text()->plain_size = (int)strlen(al_message);
  al_here.described = true;
  al_here.culprit = n->seq;
  return -1;
}

static int capture(pass *p, al_node *n) {
  for (int i = 0; i < p->ninputs; i++)
    if (p->inputs[i]->node == n && n->gout[p->inputs[i]->slot] &&
        add_up(&p->out[i], n->gout[p->inputs[i]->slot], true))
      return -1;
  return 0;
}

static int visit(pass *p, al_node *n) {
  bool any = false;
  for (int k = 0; k < n->nouts; k++) any = any || n->gout[k];
  if (!any) return 0;
  if (p->ninputs && capture(p, n)) return -1;
  if (ends_at(p, n)) return 0;
  bool leads = false;
  for (int e = 0; e < n->nedges; e++) leads = leads || wanted_edge(p, &n->edge[e]);
  if (!leads) return 0;
  if (n->freed)
    return al_fail("the graph was consumed by an earlier backward pass: give that one "
                   "{retain_graph = true}");
  al_frame frame;
  al_frame_open(&frame);
  int failed = gradient_of(p, n);
  al_frame_close(&frame);
  for (int k = 0; k < n->nouts; k++) al_unref(n->gout[k]), n->gout[k] = NULL;
  if (failed) return fail_at(n);
  if (!p->retain) forget_saved(n);
  return 0;
}

/* ---- the pass ---- */
static int seed(pass *p, al_tensor *root, al_tensor *cotangent) {
  if (!root->requires_grad)
    return al_fail("the tensor does not depend on anything that requires a gradient");
  if (al_check_view(root)) return -1;
  if (!cotangent) {
    if (al_numel(root) != 1)
      return al_fail("a tensor of %s needs a gradient of its own shape as argument",
                     al_shape_text(root->ndim, root->shape));
    cotangent = al_empty_like(root, (al_dtype)root->dtype);
    if (!cotangent) return -1;
    al_set(cotangent, 0, 1);
  } else if (!al_same_shape(root, cotangent)) {
    return al_fail("the gradient given has shape %s, the tensor %s",
                   al_shape_text(cotangent->ndim, cotangent->shape),
                   al_shape_text(root->ndim, root->shape));
  }
  if (cotangent->dtype != root->dtype) cotangent = al_to(cotangent, (al_dtype)root->dtype);
  if (!cotangent) return -1;
  if (root->node) return add_up(&root->node->gout[root->slot], cotangent, true);
  if (!wanted_leaf(p, root)) return 0;
  cotangent = al_apply(&al_op_clone, cotangent); /* .grad is never the caller's own tensor */
  return cotangent ? deliver(p, root, cotangent) : -1;
}

static void cleanup(pass *p) {
  for (int64_t i = 0; i < p->n; i++)
    for (int k = 0; k < p->node[i]->nouts; k++)
      al_unref(p->node[i]->gout[k]), p->node[i]->gout[k] = NULL;
  for (int64_t i = 0; p->inner && i < p->n; i++) {
    p->lent[i].node->useful = p->lent[i].useful;
    memcpy(p->lent[i].node->gout, p->lent[i].gout, sizeof p->lent[i].gout);
  }
  al_free(p->node);
  al_free(p->lent);
}

static int run(pass *p, int nroots, al_tensor **roots, al_tensor **cotangents) {
  if (reach(p, nroots, roots)) return -1;
  mark_useful(p);
  for (int i = 0; i < nroots; i++)
    if (seed(p, roots[i], cotangents ? cotangents[i] : NULL)) return -1;
  for (int64_t i = 0; i < p->n; i++)
    if (p->node[i]->useful && visit(p, p->node[i])) return -1;
  return 0;
}

/* Takes (+1) or gives back (-1) a reference of each: a gradient written in the host language
 * may let go of what the pass was called with. */
static void hold(int n, al_tensor **t, int by) {
  for (int i = 0; t && i < n; i++) {
    if (by > 0) al_ref(t[i]);
    else al_unref(t[i]);
  }
}

int al_backward(int nroots, al_tensor **roots, al_tensor **cotangents, int ninputs,
                al_tensor **inputs, al_tensor **out, int flags) {
  static _Atomic uint64_t passes;
  pass p = {.mark = atomic_fetch_add(&passes, 1) + 1,
            .ninputs = ninputs,
            .inputs = inputs,
            .out = out,
            .inner = al_here.passes > 0,
            .create = flags & AL_CREATE_GRAPH,
            .stop = flags & AL_STOP,
            .retain = flags & (AL_CREATE_GRAPH | AL_RETAIN_GRAPH)};
  if (al_here.passes >= DEEPEST) return al_fail("backward passes nest deeper than %d", DEEPEST);
  for (int i = 0; i < ninputs; i++) {
    out[i] = NULL;
    if (!inputs[i]->requires_grad)
      return al_fail("input %d does not require a gradient", i + 1);
  }
  bool former = al_here.no_grad;
  al_frame frame;
  al_frame_open(&frame);
  al_here.no_grad = !p.create;
  al_here.passes++;
  hold(nroots, roots, 1), hold(nroots, cotangents, 1), hold(ninputs, inputs, 1);
  int failed = run(&p, nroots, roots, cotangents);
  hold(nroots, roots, -1), hold(nroots, cotangents, -1), hold(ninputs, inputs, -1);
  al_here.passes--;
  al_here.no_grad = former;
  cleanup(&p);
  al_frame_close(&frame);
  for (int i = 0; !failed && i < ninputs; i++)
    if (!out[i] && !(flags & AL_ALLOW_UNUSED))
      failed =
          al_fail("input %d was not used: pass {allow_unused = true} to get nil for it", i + 1);
  for (int i = 0; failed && i < ninputs; i++) al_unref(out[i]), out[i] = NULL;
  return failed;
}
