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

static int scope_collect(lua_State *L) {
  close_scope(STATE(L), lua_touserdata(L, 1));
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

/* Moves the tensors in the value at `i` outward: one scope, or out of all. Tables are walked
 * once each. */
static void move(lua_State *L, state *st, int i, bool all, int seen) {
  box *b = al_to_box(L, st, i);
  if (b) {
    scope *outer = b->in && !all ? b->in->parent : NULL;
    while (outer && !outer->open) outer = outer->parent;
    if (b->in) link_box(b, outer);
    return;
  }
  if (!lua_istable(L, i)) return;
  lua_pushvalue(L, i);
  lua_rawget(L, seen);
  bool known = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (known) return;
  lua_pushvalue(L, i);
  lua_pushboolean(L, 1);
  lua_rawset(L, seen);
  luaL_checkstack(L, 8, "al.keep: tables nested too deep");
  lua_pushnil(L);
  while (lua_next(L, i)) {
    move(L, st, lua_gettop(L), all, seen);
    lua_pop(L, 1);
  }
}

static int keep_all(lua_State *L, bool all) {
  state *st = STATE(L);
  int n = lua_gettop(L);
  lua_newtable(L);
  for (int i = 1; i <= n; i++) move(L, st, i, all, n + 1);
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
