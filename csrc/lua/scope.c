/* scope.c: scopes release tensors at a known point. Each coroutine has a stack of its own; an
 * abandoned coroutine's scopes close when it is collected. A scope knows its boxes by a ring of
 * weak links. */
#include "binding.h"

static const char META[] = "albedo.scope";

/* The innermost scope of the running coroutine, or NULL. */
scope *al_current_scope(lua_State *L, state *st) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->threads);
  lua_pushthread(L);
  lua_rawget(L, -2);
  scope *s = lua_touserdata(L, -1);
  lua_pop(L, 2);
  while (s && !s->open) s = s->parent; /* another coroutine may have closed it */
  return s;
}

/* Makes the value on top (a scope or nil) the running coroutine's innermost; pops it. */
static void set_current(lua_State *L, state *st) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->threads);
  lua_pushthread(L);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

static void close_scope(state *st, scope *s) {
  if (!s->open) return;
  s->open = false;
  st->open_scopes--;
  st->closings++;
  while (s->ring.next != &s->ring) {
    box *b = s->ring.next;
    al_unlink_box(b);
    al_release_box(b);
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
  if (mine) {
    lua_getiuservalue(L, 1, 1); /* the parent */
    set_current(L, st);
  }
  return 0;
}

/* An abandoned scope leaves its tensors to the collector: what is still in use elsewhere,
 * perhaps by the call that made the collector run, must not go. */
static int scope_collect(lua_State *L) {
  scope *s = luaL_checkudata(L, 1, META);
  if (s->open) STATE(L)->open_scopes--;
  s->open = false;
  while (s->ring.next != &s->ring) al_unlink_box(s->ring.next);
  return 0;
}

/* scope_open() -> scope */
static int scope_open(lua_State *L) {
  state *st = STATE(L);
  scope *s = lua_newuserdatauv(L, sizeof *s, 1);
  s->ring.next = s->ring.prev = &s->ring;
  s->ring.t = NULL;
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

static void link_box(box *b, scope *s) {
  al_unlink_box(b);
  if (!s) return;
  b->in = s;
  b->next = s->ring.next;
  b->prev = &s->ring;
  b->next->prev = b->prev->next = b;
}

/* Moves the tensor on top outward: one scope, or out of all. A table not met before joins the
 * list at `seen`. */
static void move(lua_State *L, state *st, bool all, int seen) {
  box *b = al_to_box(L, st, -1);
  if (b) {
    scope *outer = b->in && !all ? b->in->parent : NULL;
    while (outer && !outer->open) outer = outer->parent;
    if (b->in) link_box(b, outer);
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
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  st->threads = luaL_ref(L, LUA_REGISTRYINDEX);
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
