/* fn.c: ops written in Lua (al.fn, al.checkpoint).
 *
 * A node made here keeps a `kept`: the tensors its gradient reads, and the id under which Lua's
 * table of calls holds the function that computes it. The node owns it, as the memory of a
 * saved tensor; when the node lets go of it, from whatever thread, it joins the list at `home`,
 * which the next collection or backward pass turns into entries removed from the table.
 *
 * No lua_State is stored: the pass leaves the one it was called from where the gradient finds
 * it, for as long as it runs. The gradient runs in protected mode, outside the kernel's frames:
 * an error in it becomes the kernel's -1 and sentence. */
#include "../op/op.h"
#include "binding.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOME "albedo.home"

typedef struct home {
  _Atomic int refs; /* the Lua state's, and one of each kept */
  struct kept *_Atomic over;
} home;

typedef struct kept {
  home *home;
  struct kept *next;
  int64_t id;
  int nouts, n;
  struct {
    al_tensor *t; /* owned; NULL: output `slot`, which the node keeps */
    uint32_t version;
    int slot;
    bool constant; /* neither an argument, a result, nor of the graph */
  } saved[];
} kept;

/* The gradient under way. */
typedef struct job {
  al_back *b;
  al_tensor **gx; /* owned */
} job;
typedef struct running {
  lua_State *L;
  state *st;
  job *job;
} running;
static _Thread_local running *now __attribute__((tls_model("initial-exec")));

/* ---- letting go ---- */
static void home_unref(home *h) {
  if (atomic_fetch_sub(&h->refs, 1) != 1) return;
  for (kept *k = atomic_load(&h->over), *next; k; k = next) next = k->next, free(k);
  free(h);
}

static void let_go(void *p) {
  kept *k = p;
  home *h = k->home;
  for (int i = 0; i < k->n; i++) al_unref(k->saved[i].t);
  k->next = atomic_load(&h->over);
  while (!atomic_compare_exchange_weak(&h->over, &k->next, k)) {}
  home_unref(h);
}

/* Removes from the table what is over. Setting entries to nil raises nothing. */
void al_sweep_calls(lua_State *L, state *st) {
  if (!st->home || !atomic_load(&st->home->over) || !lua_checkstack(L, 4)) return;
  kept *k = atomic_exchange(&st->home->over, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->calls_ref);
  for (kept *next; k; k = next) {
    next = k->next;
    lua_pushnil(L);
    lua_rawseti(L, -2, k->id);
    free(k);
  }
  lua_pop(L, 1);
}

static int close_home(lua_State *L) {
  home **h = luaL_checkudata(L, 1, HOME);
  if (*h) home_unref(*h);
  *h = STATE(L)->home = NULL;
  return 0;
}

/* ---- the gradient: Lua is called ---- */
/* Calls f(argument) in protected mode; nothing is raised, not even for want of memory. */
int al_cpcall(lua_State *L, lua_CFunction f, void *argument) {
  if (!lua_checkstack(L, 4)) return al_fail("stack overflow");
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, argument);
  return lua_pcall(L, 1, 0, 0);
}

static int call_gradient(lua_State *L) {
  kept *k = al_data(now->job->b->extra[0]);
  lua_rawgeti(L, LUA_REGISTRYINDEX, now->st->calls_ref);
  lua_rawgeti(L, -1, (lua_Integer)k->id);
  lua_pushboolean(L, now->job->b->create_graph);
  lua_call(L, 1, 0);
  return 0;
}

/* fn_trace(message) -> the message, and how the user's code came there when that is more than
 * the line it names: the message handler of a gradient's call */
static int trace(lua_State *L) {
  lua_Debug ar;
  char text[400];
  const char *libdir = STATE(L)->libdir;
  size_t n = strlen(libdir), used = 0;
  int lines = 0;
  for (int level = 1; lua_getstack(L, level, &ar) && used < sizeof text - 100; level++) {
    lua_getinfo(L, "Slf", &ar);
    bool end = lua_tocfunction(L, -1) == call_gradient;
    lua_pop(L, 1);
    if (end) break;
    if (ar.currentline <= 0) continue;
    bool library = ar.source[0] == '@' && !strncmp(ar.source + 1, libdir, n);
    if (library) continue;
    used +=
        (size_t)snprintf(text + used, sizeof text - used, "%s%s:%d",
                         lines++ ? ", called from " : "\n  in ", ar.short_src, ar.currentline);
  }
  luaL_tolstring(L, 1, NULL);
  if (lines > 1) lua_pushlstring(L, text, used), lua_concat(L, 2);
  return 1;
}

static int check_saved(const al_back *b, const kept *k) {
  for (int i = 0; i < k->n; i++) {
    const al_tensor *t = k->saved[i].t;
    if (!t) continue; /* checked as the node's output */
    if (k->saved[i].version != al_version_of(t))
      return al_fail("%s keeps tensor %d for the gradient, but %s overwrote it",
                     b->node->op->name, i + 1,
                     t->storage->writer ? t->storage->writer : "an in-place op");
    if (b->create_graph && k->saved[i].constant && al_is_float(t->dtype))
      return al_fail(
          "create_graph: saved tensor %d is neither an argument nor a result, so how "
          "it came about is not known: compute it again in backward, or make a "
          "constant a field of ctx",
          i + 1);
  }
  return 0;
}

static int gradient(al_back *b) {
  running *r = now;
  if (!r) return al_fail("its gradient is written in Lua, which did not call backward");
  if (check_saved(b, al_data(b->extra[0]))) return -1;
  al_frame *frame = al_here.frame;
  bool mode = al_here.no_grad;
  uint32_t before[AL_MAX_OUTS];
  job j = {.b = b, .gx = b->gx}, *former = r->job;
  for (int k = 0; k < AL_MAX_OUTS; k++) before[k] = b->g[k] ? al_version_of(b->g[k]) : 0;
  r->job = &j;
  al_here.frame = NULL; /* results of Lua's ops belong to their boxes */
  int failed = al_cpcall(r->L, call_gradient, NULL);
  al_here.frame = frame;
  al_here.no_grad = mode;
  r->job = former;
  for (int e = 0; e < b->nedges; e++)
    if (b->gx[e] && !(b->gx[e] = al_adopt(b->gx[e]))) failed = -1;
  if (failed > 0) {
    const char *m = lua_tostring(r->L, -1);
    al_fail("%s", m ? m : "error");
    lua_pop(r->L, 1);
  }
  for (int k = 0; !failed && k < AL_MAX_OUTS; k++)
    if (b->g[k] && al_version_of(b->g[k]) != before[k])
      return al_fail("backward wrote into the gradient it was given: write to a clone");
  return failed ? -1 : 0;
}

static job *current(lua_State *L, state *st) {
  if (!now || !now->job) al_raise(L, st, "no backward pass is under way");
  return now->job;
}

/* fn_operands() -> list of what was saved, gradient of each result */
static int operands(lua_State *L) {
  state *st = STATE(L);
  al_back *b = current(L, st)->b;
  const kept *k = al_data(b->extra[0]);
  luaL_checkstack(L, k->nouts + 6, "backward");
  lua_createtable(L, k->n, 0);
  for (int i = 0; i < k->n; i++) {
    al_push_tensor(L, st, k->saved[i].t ? k->saved[i].t : b->out[k->saved[i].slot], false);
    lua_rawseti(L, -2, i + 1);
  }
  for (int o = 0; o < k->nouts; o++) {
    slot *made = al_push_box(L, st);
    al_tensor *g = b->g[o] ? al_ref(b->g[o])
                           : al_zeros((al_dtype)b->node->outs[o].dtype, b->node->outs[o].ndim,
                                      b->node->outs[o].shape);
    if (!g) return al_raise_kernel(L, st);
    al_fill(made, g);
  }
  return 1 + k->nouts;
}

/* fn_results(gradient or nil, ...): one for each tensor the call was given */
static int results(lua_State *L) {
  state *st = STATE(L);
  job *j = current(L, st);
  for (int e = 0; e < j->b->nedges; e++) {
    al_tensor *g = al_to_tensor(L, st, e + 1);
    if (!j->b->needs[e]) continue;
    al_unref(j->gx[e]);
    j->gx[e] = al_ref(g);
  }
  return 0;
}

int al_backward_from(lua_State *L, state *st, int nroots, al_tensor **roots,
                     al_tensor **cotangents, int ninputs, al_tensor **inputs, al_tensor **out,
                     int flags) {
  running r = {.L = L, .st = st}, *former = now;
  /* Lua may release its boxes of them meanwhile */
  for (int i = 0; i < nroots; i++) al_ref(roots[i]);
  for (int i = 0; i < ninputs; i++) al_ref(inputs[i]);
  now = &r;
  int failed = al_backward(nroots, roots, cotangents, ninputs, inputs, out, flags);
  now = former;
  for (int i = 0; i < nroots; i++) al_unref(roots[i]);
  for (int i = 0; i < ninputs; i++) al_unref(inputs[i]);
  al_sweep_calls(L, st);
  return failed;
}

/* ---- the call: recorded ---- */
/* One op a name and set of kept outputs; they live as long as the process. */
static const al_op *op_named(const char *name, uint32_t outs) {
  typedef struct named {
    al_op op;
    struct named *next;
    char name[];
  } named;
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static al_param xs = {.name = "xs", .kind = AL_K_TENSORS};
  static named *all;
  pthread_mutex_lock(&lock);
  named *m = all;
  while (m && (m->op.save_out != outs || strcmp(m->name, name))) m = m->next;
  if (!m && (m = calloc(1, sizeof *m + strlen(name) + 1))) {
    strcpy(m->name, name);
    m->op = (al_op){.name = m->name,
                    .grad = gradient,
                    .nparams = 1,
                    .nouts = AL_MAX_OUTS,
                    .param = &xs,
                    .save_out = outs};
    m->next = all;
    all = m;
  }
  pthread_mutex_unlock(&lock);
  return m ? &m->op : al_null("out of memory");
}

typedef struct made {
  int64_t id;
  int nxs, nsaved, nys;
  al_tensor **xs, **saved, **ys, *out[AL_MAX_OUTS];
} made;

static bool among(const al_tensor *t, al_tensor **v, int n, bool storage) {
  for (int i = 0; i < n; i++)
    if (storage ? v[i]->storage == t->storage : v[i] == t) return true;
  return false;
}

/* The kept as the memory of a tensor, which the node will own. */
static al_tensor *new_kept(const made *m, home *h) {
  kept *k = malloc(sizeof *k + (size_t)m->nsaved * sizeof *k->saved);
  if (!k) return al_null("out of memory");
  k->home = h;
  k->id = m->id;
  k->nouts = m->nys;
  k->n = m->nsaved;
  for (int i = 0; i < k->n; i++) {
    al_tensor *t = m->saved[i];
    k->saved[i].slot = 0;
    while (k->saved[i].slot < m->nys && m->ys[k->saved[i].slot] != t) k->saved[i].slot++;
    k->saved[i].t = k->saved[i].slot < m->nys ? NULL : al_ref(t);
    k->saved[i].version = al_version_of(t);
    k->saved[i].constant = !t->requires_grad && !among(t, m->xs, m->nxs, false);
  }
  atomic_fetch_add(&h->refs, 1);
  al_storage *s = al_storage_wrap(k, 0, let_go, k);
  if (!s) {
    let_go(k);
    return NULL;
  }
  al_tensor *t = al_tensor_on(s, AL_UINT8, 1, (int64_t[]){0}, (int64_t[]){1}, 0);
  al_storage_unref(s);
  return t;
}

/* The results are new tensors on the memory of what forward gave; never on an argument's. */
static int enter(made *m, const char *name, home *h) {
  uint32_t outs = 0;
  al_call c = {.recording = true};
  for (int i = 0; i < m->nsaved; i++)
    for (int k = 0; k < m->nys; k++) outs |= (uint32_t)(m->saved[i] == m->ys[k]) << k;
  c.op = op_named(name, outs);
  c.a[0].ts.v = m->xs;
  c.a[0].ts.n = m->nxs;
  if (!c.op || al_check_stale(&c)) return -1;
  for (int k = 0; k < m->nys; k++) {
    al_tensor *y = m->ys[k];
    c.out[k] = among(y, m->xs, m->nxs, true) ? al_fresh_contiguous(y, (al_dtype)y->dtype)
                                             : al_detach(y);
    if (!c.out[k]) return -1;
  }
  c.extra[0] = new_kept(m, h);
  if (!c.extra[0] || al_record(&c)) return -1;
  for (int k = 0; k < m->nys; k++) m->out[k] = al_ref(c.out[k]);
  return 0;
}

/* fn_record(name, gradient, xs, saved, ys) -> the ys as recorded results of the xs */
static int record(lua_State *L) {
  state *st = STATE(L);
  const char *name = luaL_checkstring(L, 1);
  made m = {.id = ++st->last_call};
  slot *b[AL_MAX_OUTS];
  unsigned closings;
  lua_settop(L, 5);
  if (!st->home) return al_raise(L, st, "%s: Lua is closing", name);
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->calls_ref);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, m.id);
  do { /* again when a finalizer closed a scope meanwhile */
    lua_settop(L, 6);
    closings = st->closings;
    m.xs = al_read_tensors(L, 3, name, "its arguments", &m.nxs);
    m.saved = al_read_tensors(L, 4, name, "what it saves", &m.nsaved);
    m.ys = al_read_tensors(L, 5, name, "what forward returns", &m.nys);
    if (m.nys < 1 || m.nys > AL_MAX_OUTS)
      return al_raise(L, st, "%s: forward must return 1 to %d tensors, got %d", name,
                      AL_MAX_OUTS, m.nys);
    luaL_checkstack(L, m.nys, name);
    for (int k = 0; k < m.nys; k++) b[k] = al_push_box(L, st);
  } while (closings != st->closings);
  al_frame frame;
  uint64_t since = al_graph_now();
  al_error_clear();
  al_frame_open(&frame);
  int failed = enter(&m, name, st->home);
  al_frame_close(&frame);
  if (failed) {
    lua_pushnil(L);
    lua_rawseti(L, 6, m.id);
    return al_raise(L, st, "%s: %s", name, al_error());
  }
  for (int k = 0; k < m.nys; k++) al_fill(b[k], m.out[k]);
  if (al_here.watch) al_note_lines(L, st, since);
  return m.nys;
}

/* ---- what a stretch of recorded calls depends on ---- */
/* Queues at 3 the node of t if it is newer than `since`; else t or, with none, a stand-in for
 * the older node's output joins the list at 2. The table at 4 holds what was met. */
static void meet(lua_State *L, state *st, al_node *n, int output, al_tensor *t,
                 const al_edge *e, uint64_t since) {
  if (n && n->seq > since) output = 0;
  lua_pushlightuserdata(L, n ? (char *)(void *)n + output : (char *)(void *)t);
  lua_pushvalue(L, -1);
  lua_rawget(L, 4);
  bool met = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (met) {
    lua_pop(L, 1);
    return;
  }
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, 4);
  int to = 2;
  if (n && n->seq > since) {
    to = 3;
  } else {
    lua_pop(L, 1);
    slot *at = al_push_box(L, st);
    if (t) {
      al_ref(t);
    } else {
      al_storage *s = al_storage_new(8);
      t = s ? al_tensor_on(s, e->dtype, e->ndim, e->shape, (int64_t[AL_MAX_DIMS]){0}, 0) : NULL;
      al_storage_unref(s);
      if (!t) al_raise_kernel(L, st);
      t->node = n;
      t->slot = output;
      t->requires_grad = true;
      atomic_fetch_add(&n->refs, 1);
    }
    al_fill(at, t);
  }
  lua_rawseti(L, to, (int)lua_rawlen(L, to) + 1);
}

/* fn_frontier(ys, since) -> the tensors that require a gradient of which the ys were computed,
 * by the calls recorded after graph_now() gave `since`. For computed ones stand-ins, whose
 * elements mean nothing. */
static int frontier(lua_State *L) {
  state *st = STATE(L);
  uint64_t since = (uint64_t)luaL_checkinteger(L, 2);
  int n;
  lua_settop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  lua_newtable(L);
  al_tensor **ys = al_read_tensors(L, 1, "checkpoint", "what the function returns", &n);
  for (int i = 0; i < n; i++)
    if (ys[i]->requires_grad) meet(L, st, ys[i]->node, ys[i]->slot, ys[i], NULL, since);
  for (int i = 1;; i++) {
    lua_rawgeti(L, 3, i);
    const al_node *at = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!at) break;
    for (int e = 0; e < at->nedges; e++)
      if (at->edge[e].node || at->edge[e].leaf)
        meet(L, st, at->edge[e].node, at->edge[e].slot, at->edge[e].leaf, &at->edge[e], since);
  }
  lua_pushvalue(L, 2);
  return 1;
}

static int graph_now(lua_State *L) {
  return lua_pushinteger(L, (lua_Integer)al_graph_now()), 1;
}

void al_open_fn(lua_State *L, state *st, int state_index) {
  static const luaL_Reg functions[] = {
      {"fn_record", record}, {"fn_operands", operands}, {"fn_results", results},
      {"fn_trace", trace},   {"fn_frontier", frontier}, {"graph_now", graph_now},
      {NULL, NULL}};
  static const luaL_Reg of_home[] = {{"__gc", close_home}, {NULL, NULL}};
  al_set_functions(L, state_index, functions);
  if (st->home) return;
  luaL_newmetatable(L, HOME);
  al_set_functions(L, state_index, of_home);
  home **h = lua_newuserdata(L, sizeof *h);
  *h = NULL;
  lua_insert(L, -2);
  lua_setmetatable(L, -2);
  if (!(*h = calloc(1, sizeof **h))) luaL_error(L, "albedo: out of memory");
  atomic_init(&(*h)->refs, 1);
  st->home = *h;
  luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  st->calls_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
