/* watch.c: al.check and al.profile: which line recorded a call, and the figures an op. */
#include "../op/watch.h"
#include "binding.h"
#include <string.h>

enum { REMEMBERED = 200000 }; /* calls whose lines are known, at most twice as many */
static const char LINES[] = "albedo.lines";

/* Notes the script's line for the nodes made after `since`: seq -> "file:line". Kept in two
 * generations, [1] and [2], of which the older is dropped in time. */
void al_note_lines(lua_State *L, state *st, uint64_t since) {
  uint64_t last = al_graph_now();
  if (!(al_here.watch & (AL_WATCH_INF | AL_WATCH_NAN)) || last == since) return;
  luaL_checkstack(L, 8, "check");
  lua_getfield(L, LUA_REGISTRYINDEX, LINES);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, LINES);
  }
  lua_getfield(L, -1, "first");
  if (lua_isnil(L, -1) || last - (uint64_t)lua_tonumber(L, -1) > REMEMBERED) {
    lua_rawgeti(L, -2, 1);
    lua_rawseti(L, -3, 2);
    lua_newtable(L);
    lua_rawseti(L, -3, 1);
    lua_pushnumber(L, (lua_Number)last);
    lua_setfield(L, -3, "first");
  }
  lua_pop(L, 1);
  lua_rawgeti(L, -1, 1);
  al_push_where(L, st);
  for (uint64_t s = since + 1; s <= last; s++) {
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (int)s);
  }
  lua_pop(L, 3);
}

/* Raises what a backward pass failed with, and where the call was recorded when that is known.
 */
int al_raise_backward(lua_State *L, state *st, const char *who) {
  char message[sizeof al_message];
  const char *line = NULL;
  strcpy(message, al_error());
  if (!strncmp(message, "backward of", 11) && al_here.watch) {
    lua_getfield(L, LUA_REGISTRYINDEX, LINES);
    for (int k = 1; !line && k <= 2 && lua_istable(L, -1); k++) {
      lua_rawgeti(L, -1, k);
      if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, (int)al_here.culprit);
        line = lua_tostring(L, -1);
        lua_remove(L, -2);
      }
      lua_insert(L, -2);
    }
  }
  if (strncmp(message, "backward", 8)) return al_raise(L, st, "%s: %s", who, message);
  if (!line || !*line) return al_raise(L, st, "%s", message);
  return al_raise(L, st, "%s (recorded at %.*s)", message, (int)strlen(line) - 2, line);
}

/* watch([flags]) -> former flags: 1 figures an op, 2 NaN and infinities, 4 NaN only, 8
 * calls told to the hook "calls" */
static int watch(lua_State *L) {
  lua_settop(L, 1);
  lua_pushinteger(L, al_here.watch);
  if (lua_isnoneornil(L, 1)) return 1;
  al_here.watch = (uint8_t)luaL_checkinteger(L, 1);
  lua_pushnil(L);
  if (!(al_here.watch & (AL_WATCH_INF | AL_WATCH_NAN)))
    lua_setfield(L, LUA_REGISTRYINDEX, LINES);
  lua_settop(L, 2);
  return 1;
}

static void push_name(lua_State *L, const al_watch_row *row) {
  lua_pushfstring(L, row->gradient ? "backward of %s" : "%s", row->op->name);
}

void al_push_by_op(lua_State *L) {
  const al_watch_row *row;
  int n = al_watch_rows(&row);
  int64_t *at_peak = lua_newuserdata(L, (size_t)n * sizeof *at_peak);
  al_memory_tags(n, at_peak);
  lua_newtable(L);
  for (int i = 1; i < n; i++) {
    if (at_peak[i] <= 0) continue;
    push_name(L, &row[i]);
    lua_pushinteger(L, at_peak[i]);
    lua_rawset(L, -3);
  }
  lua_remove(L, -2);
}

/* watch_rows() -> list of {op, calls, seconds, bytes, flops} since watch_reset() */
static int watch_rows(lua_State *L) {
  const al_watch_row *row;
  int n = al_watch_rows(&row);
  lua_newtable(L);
  for (int i = 1; i < n; i++) {
    const struct {
      const char *name;
      double value;
    } fields[] = {{"calls", (double)row[i].calls},
                  {"seconds", row[i].seconds},
                  {"bytes", row[i].bytes},
                  {"flops", row[i].flops}};
    lua_createtable(L, 0, 5);
    push_name(L, &row[i]);
    lua_setfield(L, -2, "op");
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
      lua_pushnumber(L, fields[k].value);
      lua_setfield(L, -2, fields[k].name);
    }
    lua_rawseti(L, -2, i);
  }
  return 1;
}

static int watch_reset(lua_State *L) {
  (void)L;
  al_watch_reset();
  return 0;
}

void al_open_watch(lua_State *L, int state_index) {
  static const luaL_Reg functions[] = {
      {"watch", watch}, {"watch_rows", watch_rows}, {"watch_reset", watch_reset}, {NULL, NULL}};
  al_set_functions(L, state_index, functions);
}
