/* module.c: require "albedo". Builds the table of native functions and hands it to
 * lua/albedo/init.lua, which returns the module scripts see. Opening again in the same Lua
 * state (busted does) reuses the state. */
#define _GNU_SOURCE
#include "binding.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern al_op *const __start_al_ops[] __attribute__((visibility("hidden")));
extern al_op *const __stop_al_ops[] __attribute__((visibility("hidden")));

void al_set_functions(lua_State *L, int state_index, const luaL_Reg *r) {
  lua_pushvalue(L, state_index);
  luaL_setfuncs(L, r, 1);
}

/* Where this .so lies decides where its Lua files are: beside it, or where make install puts
 * them. */
static int find_libdir(lua_State *L, char *out, size_t size) {
  static const char *const places[] = {"lua/albedo", "../../../share/lua/5.4/albedo",
                                       "../../../../share/lua/5.4/albedo"};
  char so[PATH_MAX], init[PATH_MAX + 64], found[PATH_MAX];
  Dl_info info;
  if (!dladdr((void *)find_libdir, &info) || !info.dli_fname || !realpath(info.dli_fname, so))
    return luaL_error(L, "albedo: cannot find out where albedo.so lies");
  char *slash = strrchr(so, '/');
  if (slash) *slash = 0;
  for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
    snprintf(init, sizeof init, "%s/%s", so, places[k]);
    if (!realpath(init, found) || strlen(found) + 1 > size) continue;
    snprintf(init, sizeof init, "%s/init.lua", found);
    if (access(init, R_OK)) continue;
    memcpy(out, found, strlen(found) + 1);
    return 0;
  }
  return luaL_error(L, "albedo: no lua/albedo/init.lua beside %s/albedo.so", so);
}

/* Pushes the state, new or the one this Lua already has. */
static state *push_state(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "albedo.state");
  state *st = lua_touserdata(L, -1);
  if (st) return st;
  lua_pop(L, 1);
  st = lua_newuserdata(L, sizeof *st);
  memset(st, 0, sizeof *st);
  find_libdir(L, st->libdir, sizeof st->libdir);
  st->slack = 128LL << 20;
  st->limit = al_live_bytes() + (int64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + st->slack;
  al_open_boxes(L, st);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, "albedo.state");
  return st;
}

__attribute__((visibility("default"))) int luaopen_albedo(lua_State *L) {
  if (lua_isnumber(L, 1)) return luaL_error(L, "albedo: bad call");
  if (al_registry_open()) return luaL_error(L, "albedo: %s", al_error());
  lua_settop(L, 0);
  state *st = push_state(L);
  lua_newtable(L);
  al_open_scopes(L, st, 1);
  al_open_tensor(L, 1);
  al_open_autograd(L, 1);
  al_open_fn(L, st, 1);
  al_open_watch(L, 1);
  al_open_system(L, 1);
  al_open_workers(L, 1);
  lua_newtable(L);
  al_open_ops(L, 1, __start_al_ops, __stop_al_ops);
  lua_setfield(L, 2, "ops");
  lua_pushfstring(L, "%s/init.lua", st->libdir);
  if (luaL_loadfile(L, lua_tostring(L, -1))) return lua_error(L);
  lua_pushvalue(L, 2);
  lua_pushstring(L, st->libdir);
  lua_call(L, 2, 1);
  return 1;
}

/* require "albedo.nn" before require "albedo": Lua finds albedo.so for it and asks for these.
 */
static int open_part(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED"); /* LuaJIT notes there that it is loading it */
  lua_pushfstring(L, "albedo.%s", name);
  lua_pushnil(L);
  lua_settable(L, -3);
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushvalue(L, -1);
  lua_pushliteral(L, "albedo");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, name);
  return 1;
}
#define PART(name)                                                                 \
  __attribute__((visibility("default"))) int luaopen_albedo_##name(lua_State *L) { \
    return open_part(L, #name);                                                    \
  }
int luaopen_albedo_nn(lua_State *), luaopen_albedo_optim(lua_State *),
    luaopen_albedo_data(lua_State *), luaopen_albedo_image(lua_State *),
    luaopen_albedo_metrics(lua_State *), luaopen_albedo_models(lua_State *),
    luaopen_albedo_lab(lua_State *), luaopen_albedo_json(lua_State *),
    luaopen_albedo_plot(lua_State *), luaopen_albedo(lua_State *);
PART(nn)
PART(optim) PART(data) PART(image) PART(metrics) PART(models) PART(lab) PART(json) PART(plot)
