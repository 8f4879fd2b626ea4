/* box.c: tensors as Lua values. One live box a tensor: a weak table leads from the tensor to it, so that
 * p.grad == p.grad and tables keyed by a tensor work. */
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
  box *b = lua_touserdata(L, 1);
  al_unlink_box(b);
  al_release_box(b);
  return 0;
}

static box *push_raw(lua_State *L, state *st) {
  box *b = lua_newuserdata(L, sizeof *b);
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

/* Replaces the box on top by the one t already has, if that one lives. */
static bool reuse(lua_State *L, state *st, al_tensor *t) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->boxes);
  lua_rawgetp(L, -1, t);
  box *old = lua_touserdata(L, -1);
  if (old && old->t == t) {
    lua_replace(L, -3);
    lua_pop(L, 1);
    return true;
  }
  lua_pop(L, 2);
  return false;
}

void al_fill_box(lua_State *L, state *st, box *b, al_tensor *t) {
  b->t = t;
  if (t->host && reuse(L, st, t)) { /* the caller's reference goes; the emptied box is garbage */
    al_unlink_box(b);
    b->t = NULL;
    al_unref(t);
    return;
  }
  t->host = b;
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->boxes);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

void al_push_tensor(lua_State *L, state *st, al_tensor *t, bool held) {
  box *b = held ? push_raw(L, st) : al_push_box(L, st);
  al_fill_box(L, st, b, al_ref(t));
}

box *al_to_box(lua_State *L, state *st, int i) {
  void *p = lua_touserdata(L, i);
  if (!p || !lua_getmetatable(L, i)) return NULL;
  bool is = lua_topointer(L, -1) == st->box_meta;
  lua_pop(L, 1);
  return is ? p : NULL;
}

al_tensor *al_to_tensor(lua_State *L, state *st, int i) {
  box *b = al_to_box(L, st, i);
  if (!b) return NULL;
  if (!b->t)
    al_raise(L, st, "this tensor was released when its scope closed: al.keep(t), inside the scope, keeps it");
  return b->t;
}

al_tensor *al_check_tensor(lua_State *L, state *st, int i, const char *who) {
  al_tensor *t = al_to_tensor(L, st, i);
  if (!t) al_raise(L, st, "%s: a tensor is wanted, got %s", who, luaL_typename(L, i));
  return t;
}

/* The net under loops that open no scope: past the limit, one full collection, then twice what lives. */
void al_collect_if_over(lua_State *L, state *st) {
  int64_t all = al_live_bytes() + (int64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
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
  lua_pushcfunction(L, collect_box);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, "albedo.tensor");
  lua_setfield(L, -2, "__name");
  st->box_meta = lua_topointer(L, -1);
  st->box_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
