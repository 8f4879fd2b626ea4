/* box.c: tensors as Lua values. One live box a tensor, so that p.grad == p.grad and tables
 * keyed by a tensor work: a tensor knows its slot (`host`), the slot its box. */
#include "binding.h"
#include <time.h>

enum { FIRST = 256 }; /* slots of the first chunk; each further one doubles */

/* ---- slots ---- */

/* Another chunk of slots, in a userdata, so that it goes with the state. Making it may run
 * finalizers, which may need, or sweep up, slots themselves. */
static void add_chunk(lua_State *L, state *st) {
  int k = st->nchunks, n = FIRST << k, first = n - FIRST + 1;
  if (k == (int)(sizeof st->chunk / sizeof *st->chunk))
    al_raise(L, st, "too many tensors: %d are alive", first - 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->chunks);
  slot *s = lua_newuserdatauv(L, (size_t)n * sizeof *s, 0);
  if (st->free || st->nchunks != k) {
    lua_pop(L, 2);
    return;
  }
  lua_rawseti(L, -2, k + 1);
  lua_pop(L, 1);
  st->chunk[st->nchunks++] = s;
  for (int i = n - 1; i >= 0; i--) {
    s[i] = (slot){.next = st->free, .index = first + i};
    st->free = &s[i];
  }
}

void al_release_slot(slot *s) {
  al_tensor *t = s->t;
  s->t = NULL;
  if (t && t->host == s) t->host = NULL;
  al_unref(t);
}

static void give_back(state *st, slot *s) {
  s->box = NULL; /* first: what is let go of below may call back */
  al_link_slot(s, NULL);
  al_release_slot(s);
  s->next = st->free;
  st->free = s;
}

/* Gives back the slots whose boxes are gone. */
static void sweep(lua_State *L, state *st) {
  al_sweep_calls(L, st);
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->boxes);
  for (int k = 0; k < st->nchunks; k++)
    for (int i = 0; i < FIRST << k; i++) {
      slot *s = &st->chunk[k][i];
      if (!s->box) continue;
      if (lua_rawgeti(L, -1, s->index) == LUA_TNIL) give_back(st, s);
      lua_pop(L, 1);
    }
  lua_pop(L, 1);
}

/* A sentry is garbage from the start: each collection finds it, sweeps, and posts the next. */
static void post_sentry(lua_State *L) {
  lua_newuserdatauv(L, 1, 0);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}
static int sentry_found(lua_State *L) {
  sweep(L, STATE(L));
  post_sentry(L);
  return 0;
}

/* Lua closes: every tensor goes. */
static int close_state(lua_State *L) {
  state *st = lua_touserdata(L, 1);
  for (int k = 0; k < st->nchunks; k++)
    for (int i = 0; i < FIRST << k; i++)
      if (st->chunk[k][i].box) give_back(st, &st->chunk[k][i]);
  return 0;
}

/* ---- boxes ---- */
static slot *push_raw(lua_State *L, state *st) {
  box *b = lua_newuserdatauv(L, sizeof *b, 0);
  b->owner = NULL;
  while (!st->free) add_chunk(L, st);
  slot *s = st->free;
  st->free = s->next;
  s->box = b;
  s->next = s->prev = s;
  b->owner = st;
  b->at = s;
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->boxes);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, s->index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->box_ref);
  lua_setmetatable(L, -3);
  lua_pop(L, 1);
  return s;
}

slot *al_push_box(lua_State *L, state *st) {
  slot *s = push_raw(L, st);
  if (st->open_scopes) al_link_slot(s, al_current_scope(L, st));
  return s;
}

void al_fill(slot *s, al_tensor *t) {
  s->t = t;
  if (!t->host) t->host = s;
}

bool al_push_live_box(lua_State *L, state *st, const al_tensor *t) {
  const slot *s = t->host;
  if (!s) return false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->boxes);
  lua_rawgeti(L, -1, s->index);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1); /* gone, but not swept yet */
  return false;
}

void al_push_tensor(lua_State *L, state *st, al_tensor *t, bool held) {
  if (al_push_live_box(L, st, t)) return;
  slot *s = held ? push_raw(L, st) : al_push_box(L, st);
  t->host = NULL;
  al_fill(s, al_ref(t));
}

static box *to_box(lua_State *L, const state *st, int i) {
  if (lua_type(L, i) != LUA_TUSERDATA || lua_rawlen(L, i) != sizeof(box)) return NULL;
  box *b = lua_touserdata(L, i);
  return b->owner == st ? b : NULL;
}

bool al_is_box(lua_State *L, const state *st, int i) { return to_box(L, st, i) != NULL; }

slot *al_to_slot(lua_State *L, const state *st, int i) {
  const box *b = to_box(L, st, i);
  return b && b->at->box == b && b->at->t ? b->at : NULL;
}

al_tensor *al_to_tensor(lua_State *L, state *st, int i) {
  const box *b = to_box(L, st, i);
  if (!b) return NULL;
  if (b->at->box != b || !b->at->t)
    al_raise(L, st,
             "this tensor was released when its scope closed: al.keep(t), inside the scope, "
             "keeps it");
  return b->at->t;
}

al_tensor *al_check_tensor(lua_State *L, state *st, int i, const char *who) {
  al_tensor *t = al_to_tensor(L, st, i);
  if (!t) al_raise(L, st, "%s: a tensor is wanted, got %s", who, luaL_typename(L, i));
  return t;
}

/* ---- before an op ---- */
void al_collect(lua_State *L, state *st) {
  lua_gc(L, LUA_GCCOLLECT, 0);
  sweep(L, st); /* a finalizer that collects is refused the sentry's */
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int64_t next_limit(lua_State *L, const state *st) {
  return al_live_bytes() + (int64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + st->slack;
}

void al_lower_limit(lua_State *L, state *st) {
  int64_t next = next_limit(L, st);
  if (next < st->limit) st->limit = next;
}

static void collect_timed(lua_State *L, state *st, double now) {
  enum { SHARE = 30 }; /* time between collections over the time of one */
  al_collect(L, st);
  st->rested = now + (1 + SHARE) * (seconds() - now);
  st->limit = next_limit(L, st);
}

/* Before a backward pass: dead variables of the forward pass would keep what it frees as it
 * goes. */
void al_collect_large(lua_State *L, state *st) {
  enum { LARGE = 64 << 20 };
  double now;
  if (al_live_bytes() >= LARGE && (now = seconds()) >= st->rested) collect_timed(L, st, now);
}

/* The net under loops that open no scope: a full collection when `slack` was made since the
 * last one. Where Lua's own heap is so large that this would cost more than a few percent of
 * the time, not before as much was made as lives. */
void al_limit(lua_State *L, state *st) {
  int64_t all = al_live_bytes();
  if (all <= st->limit / 2 && ++st->calls % 64)
    return; /* Lua's own heap is asked now and then */
  all += (int64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
  if (all <= st->limit) return;
  double now = seconds();
  if (now < st->rested && all <= 2 * st->limit - st->slack) return; /* limit = live + slack */
  collect_timed(L, st, now);
}

/* A coroutine that does not record is looked up each time: the address may be a new one's. */
static void read_mode(lua_State *L, state *st) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->modes);
  lua_pushthread(L);
  lua_rawget(L, -2);
  st->no_grad = lua_toboolean(L, -1);
  st->mode_of = L;
  lua_pop(L, 2);
}

void al_set_mode(lua_State *L, state *st, bool on) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->modes);
  lua_pushthread(L);
  if (on) lua_pushnil(L);
  else lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  read_mode(L, st);
  al_set_grad_enabled(on);
}

void al_mode(lua_State *L, state *st) {
  if (st->mode_of != L || st->no_grad) read_mode(L, st);
  al_set_grad_enabled(!st->no_grad);
}

/* Pushes an empty table whose keys or values ("k", "v") are weak. */
static int weak_table(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

void al_enter(lua_State *L, state *st) {
  al_limit(L, st);
  al_mode(L, st);
}

void al_open_boxes(lua_State *L, state *st) {
  lua_newtable(L);
  lua_pushcfunction(L, close_state);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  st->boxes = weak_table(L, "v");
  st->threads = weak_table(L, "k");
  st->modes = weak_table(L, "k");
  lua_newtable(L);
  st->chunks = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_pushliteral(L, "albedo.tensor");
  lua_setfield(L, -2, "__name");
  st->box_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L); /* of sentries */
  lua_pushlightuserdata(L, st);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, sentry_found, 2);
  lua_setfield(L, -2, "__gc");
  lua_newuserdatauv(L, 1, 0);
  lua_insert(L, -2);
  lua_setmetatable(L, -2);
  lua_pop(L, 1); /* the first sentry is garbage */
}
