/* compat.h: what Lua 5.4 has and LuaJIT (5.1) has not, by the same names. Lua 5.4 needs nothing
 * of it. */
#ifndef AL_COMPAT_H
#define AL_COMPAT_H
#include <lauxlib.h>
#include <lua.h>
#if LUA_VERSION_NUM < 502
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LUA_OK 0
#define lua_rawlen lua_objlen

static inline int lua_absindex(lua_State *L, int i) {
  return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}

/* Numbers are doubles: those without a fraction count as integers, but for -0. */
static inline int lua_isinteger(lua_State *L, int i) {
  double v = lua_type(L, i) == LUA_TNUMBER ? lua_tonumber(L, i) : 0.5;
  return v == floor(v) && fabs(v) < 9.2e18 && !(v == 0 && signbit(v));
}
static inline lua_Integer al_tointegerx(lua_State *L, int i, int *ok) {
  int is = lua_isinteger(L, i);
  if (ok) *ok = is;
  return is ? (lua_Integer)lua_tonumber(L, i) : 0;
}
#define lua_tointegerx al_tointegerx

/* These return the type of what they push. */
static inline int al_rawget(lua_State *L, int i) {
  lua_rawget(L, i);
  return lua_type(L, -1);
}
static inline int al_rawgeti(lua_State *L, int i, lua_Integer k) {
  lua_rawgeti(L, i, (int)k);
  return lua_type(L, -1);
}
#define lua_rawget al_rawget
#define lua_rawgeti al_rawgeti
#define lua_rawseti(L, i, k) lua_rawseti(L, i, (int)(k))

/* One user value: held by the userdata's environment. */
#define lua_newuserdatauv(L, size, n) lua_newuserdata(L, size)
static inline void lua_setiuservalue(lua_State *L, int i, int n) {
  i = lua_absindex(L, i);
  lua_createtable(L, 1, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, n);
  lua_setfenv(L, i);
}
static inline void lua_getiuservalue(lua_State *L, int i, int n) {
  lua_getfenv(L, i);
  lua_rawgeti(L, -1, n);
  lua_remove(L, -2);
}

static inline const char *luaL_tolstring(lua_State *L, int i, size_t *n) {
  i = lua_absindex(L, i);
  if (!luaL_callmeta(L, i, "__tostring")) {
    if (lua_isstring(L, i)) lua_pushvalue(L, i);
    else if (lua_isnil(L, i)) lua_pushliteral(L, "nil");
    else if (lua_isboolean(L, i)) lua_pushstring(L, lua_toboolean(L, i) ? "true" : "false");
    else lua_pushfstring(L, "%s: %p", luaL_typename(L, i), lua_topointer(L, i));
  }
  return lua_tolstring(L, -1, n);
}
#else
#endif
#endif
