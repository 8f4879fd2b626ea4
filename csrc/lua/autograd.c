/* autograd.c: backward, grad and the recording mode. */
#include "../grad/through.h"
#include "binding.h"
#include <string.h>

static bool flag(lua_State *L, int i, const char *name) {
  lua_getfield(L, i, name);
  bool on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}

/* {retain_graph, create_graph, allow_unused, grad_outputs, partial}: the flags; others raise.
 */
static int read_flags(lua_State *L, int i, const char *who) {
  static const char *const valid[] = {"retain_graph", "create_graph", "allow_unused",
                                      "grad_outputs", "partial"};
  if (lua_isnoneornil(L, i)) return 0;
  if (!lua_istable(L, i))
    al_raise(L, STATE(L), "%s: options are a table, got %s", who, luaL_typename(L, i));
  lua_pushnil(L);
  while (lua_next(L, i)) {
    const char *k = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    int j = 0;
    while (j < 5 && strcmp(k, valid[j])) j++;
    if (j == 5)
      al_raise(L, STATE(L),
               "%s: unknown option \"%s\" (valid: retain_graph create_graph allow_unused "
               "grad_outputs partial)",
               who, k);
    lua_pop(L, 1);
  }
  return (flag(L, i, "retain_graph") ? AL_RETAIN_GRAPH : 0) |
         (flag(L, i, "create_graph") ? AL_CREATE_GRAPH : 0) |
         (flag(L, i, "allow_unused") ? AL_ALLOW_UNUSED : 0) |
         (flag(L, i, "partial") ? AL_STOP : 0);
}

/* t:backward([gradient], {retain_graph = false, create_graph = false}): adds to the .grad of
 * every leaf t depends on. A tensor of one element needs no gradient argument. */
static int backward(lua_State *L) {
  state *st = STATE(L);
  al_collect_large(L, st);
  al_enter(L, st);
  al_tensor *t = al_check_tensor(L, st, 1, "backward"), *g = al_to_tensor(L, st, 2);
  if (!g && !lua_isnoneornil(L, 2) && !lua_istable(L, 2))
    return al_raise(L, st, "backward: gradient must be a tensor, got %s", luaL_typename(L, 2));
  int flags = read_flags(L, lua_istable(L, 2) ? 2 : 3, "backward");
  al_error_clear();
  if (al_backward_from(L, st, 1, &t, g ? &g : NULL, 0, NULL, NULL, flags))
    return al_raise_backward(L, st, "backward");
  return 0;
}

/* Entries of a list of tensors; 1 for a tensor. */
static int count_tensors(lua_State *L, int i, const char *who, const char *what) {
  if (al_is_box(L, STATE(L), i)) return 1;
  if (!lua_istable(L, i))
    al_raise(L, STATE(L), "%s: %s must be a tensor or a list of tensors, got %s", who, what,
             luaL_typename(L, i));
  return (int)lua_rawlen(L, i);
}

/* v[0 .. n-1] = the tensors of that list; holes: nil is one. Allocates nothing. */
static void fill_tensors(lua_State *L, int i, const char *who, const char *what, int n,
                         bool holes, al_tensor **v) {
  state *st = STATE(L);
  if (n == 1 && (v[0] = al_to_tensor(L, st, i))) return;
  if (!lua_istable(L, i)) al_raise(L, st, "%s: %s must be a list of %d tensors", who, what, n);
  for (int k = 0; k < n; k++) {
    lua_rawgeti(L, i, k + 1);
    v[k] = al_to_tensor(L, st, -1);
    if (!v[k] && !(holes && lua_isnil(L, -1)))
      al_raise(L, st, "%s: %s[%d] must be a tensor, got %s", who, what, k + 1,
               luaL_typename(L, -1));
    lua_pop(L, 1);
  }
}

/* A tensor, or a list of them, as an array of Lua's. */
al_tensor **al_read_tensors(lua_State *L, int i, const char *who, const char *what, int *n) {
  *n = count_tensors(L, i, who, what);
  al_tensor **v = lua_newuserdata(L, (size_t)(*n + 1) * sizeof *v);
  fill_tensors(L, i, who, what, *n, false, v);
  return v;
}

/* grad(outputs, inputs, {grad_outputs, retain_graph, create_graph, allow_unused, partial}) ->
 * gradients, one an input; a list for a list. No .grad is touched. partial: computed inputs
 * count as independent of the others, no path goes through them. */
static int grad(lua_State *L) {
  state *st = STATE(L);
  int flags = read_flags(L, 3, "grad");
  lua_settop(L, 3);
  if (lua_istable(L, 3)) lua_getfield(L, 3, "grad_outputs");
  else lua_pushnil(L);
  int nroots = count_tensors(L, 1, "grad", "outputs");
  int ninputs = count_tensors(L, 2, "grad", "inputs");
  bool single = al_is_box(L, st, 2);
  al_limit(L, st);
  size_t nr = (size_t)nroots, ni = (size_t)ninputs;
  al_tensor **roots = lua_newuserdata(L, (2 * nr + 2 * ni + 1) * sizeof *roots);
  al_tensor **inputs = roots + nr, **out = inputs + ni, **g = out + ni;
  slot **at = lua_newuserdata(L, (ni + 1) * sizeof *at);
  lua_createtable(L, ninputs, 0);
  int list = lua_gettop(L);
  for (int k = 0; k < ninputs; k++) {
    at[k] = al_push_box(L, st);
    lua_rawseti(L, list, k + 1);
  }
  al_mode(L, st);
  fill_tensors(L, 1, "grad", "outputs", nroots, false, roots);
  fill_tensors(L, 2, "grad", "inputs", ninputs, false, inputs);
  bool given = !lua_isnil(L, 4);
  if (given) fill_tensors(L, 4, "grad", "grad_outputs", nroots, true, g);
  al_error_clear();
  if (al_backward_from(L, st, nroots, roots, given ? g : NULL, ninputs, inputs, out, flags))
    return al_raise_backward(L, st, "grad");
  for (int k = 0; k < ninputs; k++)
    if (out[k]) al_fill(at[k], out[k]);
  for (int k = 0; k < ninputs; k++) {
    if (out[k]) continue;
    lua_pushnil(L);
    lua_rawseti(L, list, k + 1);
  }
  if (single) lua_rawgeti(L, list, 1);
  return 1;
}

/* grad_enabled([on]) -> whether this coroutine's calls are recorded; with an argument, sets it
 * and returns the former state */
static int grad_enabled(lua_State *L) {
  al_enter(L, STATE(L));
  if (lua_isnoneornil(L, 1)) lua_pushboolean(L, al_grad_enabled());
  else {
    lua_pushboolean(L, al_grad_enabled());
    al_set_mode(L, STATE(L), lua_toboolean(L, 1));
  }
  return 1;
}

/* has_grad(t): whether t.grad is there, without making a variable of it. */
static int has_grad(lua_State *L) {
  lua_pushboolean(L, al_check_tensor(L, STATE(L), 1, "has_grad")->grad != NULL);
  return 1;
}

void al_open_autograd(lua_State *L, int state_index) {
  static const luaL_Reg functions[] = {
      {"grad", grad}, {"grad_enabled", grad_enabled}, {"has_grad", has_grad}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"backward", backward}, {NULL, NULL}};
  al_set_functions(L, state_index, functions);
  lua_getfield(L, -1, "methods");
  al_set_functions(L, state_index, methods);
  lua_pop(L, 1);
}
