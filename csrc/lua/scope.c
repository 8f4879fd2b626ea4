/* scope.c: scopes release tensors at a known point. Each coroutine has a stack of its own; an
 * abandoned coroutine's scopes close when it is collected. A scope knows its tensors' slots by
 * a ring of links. */
#include "binding.h"

static const char META[] = "albedo.scope";

/* The innermost scope of the running coroutine, or NULL. What is remembered of the last one
 * asked for holds: the table keeps its scope, and a scope that is collected is forgotten. */
scope *al_current_scope(lua_State *L, state *st) {
  if (st->scope_of != L) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->threads);
    lua_pushthread(L);
    lua_rawget(L, -2);
    st->scope = lua_touserdata(L, -1);
    st->scope_of = L;
    lua_pop(L, 2);
  }
  scope *s = st->scope;
  while (s && !s->open) s = s->parent; /* another coroutine may have closed it */
  return s;
}

/* Makes the value on top (a scope or nil) the running coroutine's innermost; pops it. */
static void set_current(lua_State *L, state *st) {
  st->scope_of = NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->threads);
  lua_pushthread(L);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

void al_link_slot(slot *s, scope *in) {
  s->prev->next = s->next;
  s->next->prev = s->prev;
  s->next = s->prev = s;
  s->in = in;
  if (!in) return;
  s->next = in->ring.next;
  s->prev = &in->ring;
  s->next->prev = s->prev->next = s;
}

static void close_scope(state *st, scope *s) {
  if (!s->open) return;
  s->open = false;
  st->open_scopes--;
  st->closings++;
  while (s->ring.next != &s->ring) {
    slot *at = s->ring.next;
    al_link_slot(at, NULL);
    al_release_slot(at);
  }
}

/* scope:close(): closes it and those opened inside it since. Closing twice is harmless. */
static int scope_close(lua_State *L) {
  state *st = STATE(L);
  scope *s = luaL_checkudata(L, 1, META);
  if (!s->open) return 0;
  scope *inner = al_current_scope(L, st);
  bool mine = false;
  for (scope *i = inner; i && !mine; i = i->parent) mine = i == s;
  while (mine && inner != s) {
    scope *next = inner->parent;
    close_scope(st, inner);
    inner = next;
  }
  close_scope(st, s);
  al_lower_limit(L, st);
  if (mine) {
    lua_getiuservalue(L, 1, 1); /* the parent */
    set_current(L, st);
  }
  return 0;
}

/* An abandoned scope leaves its tensors to the collector: what is still in use elsewhere,
 * perhaps by the call that made the collector run, must not go. */
static int scope_collect(lua_State *L) {
  state *st = STATE(L);
  scope *s = luaL_checkudata(L, 1, META);
  if (s->open) st->open_scopes--;
  s->open = false;
  st->scope_of = NULL;
  while (s->ring.next != &s->ring) al_link_slot(s->ring.next, NULL);
  return 0;
}

/* scope_open() -> scope */
static int scope_open(lua_State *L) {
  state *st = STATE(L);
  scope *s = lua_newuserdatauv(L, sizeof *s, 1);
  s->ring.next = s->ring.prev = &s->ring;
  s->ring.t = NULL;
  s->ring.box = NULL;
  s->ring.in = NULL;
  s->open = false;
  s->parent = NULL;
  luaL_setmetatable(L, META);
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->threads);
  lua_pushthread(L);
  lua_rawget(L, -2);
  s->parent = lua_touserdata(L, -1);
  lua_setiuservalue(L, -3, 1);
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  set_current(L, st);
  s->open = true;
  st->open_scopes++;
  return 1;
}

/* Moves the tensor on top outward: one scope, or out of all. A table not met before joins the
 * list at `seen`. */
static void move(lua_State *L, state *st, bool all, int seen) {
  slot *s = al_to_slot(L, st, -1);
  if (s) {
    scope *outer = s->in && !all ? s->in->parent : NULL;
    while (outer && !outer->open) outer = outer->parent;
    if (s->in) al_link_slot(s, outer);
    return;
  }
  if (!lua_istable(L, -1)) return;
  lua_pushvalue(L, -1);
  if (lua_rawget(L, seen) == LUA_TNIL) {
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, seen);
    lua_pushvalue(L, -2);
    lua_rawseti(L, seen, (lua_Integer)lua_rawlen(L, seen) + 1);
  }
  lua_pop(L, 1);
}

/* Tables are walked in a row, not by recursion: a list of a million links is fine. */
static int keep_all(lua_State *L, bool all) {
  state *st = STATE(L);
  int n = lua_gettop(L), seen = n + 1;
  luaL_checkstack(L, 8, "keep");
  lua_newtable(L);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, i);
    move(L, st, all, seen);
    lua_pop(L, 1);
  }
  for (lua_Integer k = 1; lua_rawgeti(L, seen, k) != LUA_TNIL; k++) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      move(L, st, all, seen);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_settop(L, n);
  return n;
}

/* keep(...) -> ...: tensors, or tables of them, survive the innermost scope they are in. */
static int keep(lua_State *L) { return keep_all(L, false); }
/* hold(...) -> ...: they leave all scopes: parameters, buffers, optimizer state. */
static int hold(lua_State *L) { return keep_all(L, true); }

void al_open_scopes(lua_State *L, state *st, int self) {
  (void)st;
  luaL_newmetatable(L, META);
  static const luaL_Reg methods[] = {
      {"close", scope_close}, {"__close", scope_close}, {"__gc", scope_collect}, {NULL, NULL}};
  al_set_functions(L, self, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  static const luaL_Reg functions[] = {
      {"scope_open", scope_open}, {"keep", keep}, {"hold", hold}, {NULL, NULL}};
  al_set_functions(L, self, functions);
}
