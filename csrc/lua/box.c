/* box.c: tensors as Lua values. One live box a tensor, so that p.grad == p.grad and tables
 * keyed by a tensor work: an op that returns its argument gives the argument's box (call.c),
 * and tensors that C hands out more than once (gradients) are published in a weak table that
 * leads from the tensor to its box. */
#include "binding.h"

void al_unlink_box(box *b) {
  b->prev->next = b->next;
  b->next->prev = b->prev;
  b->next = b->prev = b;
  b->in = NULL;
}

void al_release_box(box *b) {
  al_tensor *t = b->t;
  b->t = NULL;
  if (t && t->host == b) t->host = NULL;
  al_unref(t);
}

static int collect_box(lua_State *L) {
  box *b = al_to_box(L, STATE(L), 1); /* scripts can reach this function: anything may come */
  if (!b) return 0;
  al_unlink_box(b);
  al_release_box(b);
  return 0;
}

static box *push_raw(lua_State *L, state *st) {
  box *b = lua_newuserdatauv(L, sizeof *b, 0);
  b->owner = st;
  b->t = NULL;
  b->next = b->prev = b;
  b->in = NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->box_ref);
  lua_setmetatable(L, -2);
  return b;
}

box *al_push_box(lua_State *L, state *st) {
  box *b = push_raw(L, st);
  scope *s = st->open_scopes ? al_current_scope(L, st) : NULL;
  if (s) {
    b->in = s;
    b->next = s->ring.next;
    b->prev = &s->ring;
    b->next->prev = b->prev->next = b;
  }
  return b;
}

void al_fill_box(box *b, al_tensor *t) {
  b->t = t;
  if (!t->host) t->host = b;
}

void al_publish_box(lua_State *L, state *st, int i) {
  al_tensor *t = al_to_tensor(L, st, i);
  if (!t) return;
  i = lua_absindex(L, i);
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->boxes);
  lua_pushvalue(L, i);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

/* Pushes the published box of t, or a new one. */
void al_push_tensor(lua_State *L, state *st, al_tensor *t, bool held) {
  if (t->host) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->boxes);
    lua_rawgetp(L, -1, t);
    lua_remove(L, -2);
    box *old = lua_touserdata(L, -1);
    if (old && old->t == t) return;
    lua_pop(L, 1);
  }
  box *b = held ? push_raw(L, st) : al_push_box(L, st);
  al_fill_box(b, al_ref(t));
  t->host = b; /* a former box may be dead but not yet finalized */
  al_publish_box(L, st, -1);
}

box *al_to_box(lua_State *L, state *st, int i) {
  if (lua_type(L, i) != LUA_TUSERDATA || lua_rawlen(L, i) != sizeof(box)) return NULL;
  box *b = lua_touserdata(L, i);
  return b->owner == st ? b : NULL;
}

al_tensor *al_to_tensor(lua_State *L, state *st, int i) {
  box *b = al_to_box(L, st, i);
  if (!b) return NULL;
  if (!b->t)
    al_raise(L, st,
             "this tensor was released when its scope closed: al.keep(t), inside the scope, "
             "keeps it");
  return b->t;
}

al_tensor *al_check_tensor(lua_State *L, state *st, int i, const char *who) {
  al_tensor *t = al_to_tensor(L, st, i);
  if (!t) al_raise(L, st, "%s: a tensor is wanted, got %s", who, luaL_typename(L, i));
  return t;
}

/* The net under loops that open no scope: past the limit, one full collection, then twice what
 * lives. */
void al_collect_if_over(lua_State *L, state *st) {
  int64_t all = al_live_bytes();
  if (all <= st->limit / 2 && ++st->calls % 64)
    return; /* Lua's own heap is asked now and then */
  all += (int64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
  if (all <= st->limit) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  all = al_live_bytes() + (int64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
  st->limit = all + (all > st->slack ? all : st->slack);
}

void al_open_boxes(lua_State *L, state *st) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  st->boxes = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_pushlightuserdata(L, st);
  lua_pushcclosure(L, collect_box, 1);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, "albedo.tensor");
  lua_setfield(L, -2, "__name");
  st->box_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
