/* error.c: every error carries the script's own line, not one inside the library, and the path
 * of the module it arose in. */
#include "binding.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Pushes "net.body.3: " when a module's call is on the stack, else "". The hook, set by
 * albedo.nn as registry["albedo.path"], turns a module into its dotted path. */
static void push_path(lua_State *L, int level) {
  lua_Debug ar;
  lua_getfield(L, LUA_REGISTRYINDEX,
               "albedo.call"); /* the function every module is called through */
  int call = lua_gettop(L);
  for (; !lua_isnil(L, call) && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "f", &ar);
    bool is = lua_rawequal(L, -1, call);
    lua_pop(L, 1);
    if (!is || !lua_getlocal(L, &ar, 1)) continue;
    lua_getfield(L, LUA_REGISTRYINDEX, "albedo.path");
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) || lua_type(L, -1) != LUA_TSTRING || !*lua_tostring(L, -1)) {
      lua_settop(L, call);
      break;
    }
    lua_pushfstring(L, "%s: ", lua_tostring(L, -1));
    lua_replace(L, call);
    lua_settop(L, call);
    return;
  }
  lua_settop(L, call);
  lua_pushliteral(L, "");
  lua_replace(L, call);
}

/* Pushes "file:line: " of the innermost function that is not the library's. */
void al_push_where(lua_State *L, state *st) {
  lua_Debug ar;
  size_t n = strlen(st->libdir);
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    if (n && ar.source[0] == '@' && !strncmp(ar.source + 1, st->libdir, n)) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

int al_raise(lua_State *L, state *st, const char *format, ...) {
  char message[sizeof al_message];
  va_list ap;
  va_start(ap, format);
  vsnprintf(message, sizeof message, format, ap);
  va_end(ap);
  luaL_checkstack(L, 10, "error");
  al_push_where(L, st);
  push_path(L, 1);
  lua_pushstring(L, message);
  lua_concat(L, 3);
  return lua_error(L);
}

int al_raise_kernel(lua_State *L, state *st) { return al_raise(L, st, "%s", al_error()); }
