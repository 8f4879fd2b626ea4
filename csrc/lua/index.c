/* index.c: t[...] in all its forms, reading and writing.
 *   t[2]  t[-1]                 a part along the first dim
 *   t[{ {1, 3}, {}, -1 }]       a list, one entry a dim: integer, {from, to, step}, {} for all,
 * index tensor t["1:3, :, -1"]             the same as text; both ends included; "..." fills up
 *   t[mask]  t[index]           a bool tensor, positions
 *   t.shape  t:relu()           fields and methods */
#include "../op/index.h"
#include "../op/watch.h"
#include "binding.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

extern al_op al_op_index_put;

enum { UP_STATE = 1, UP_METHODS, UP_FIELDS };

typedef struct pick {
  al_range r[AL_MAX_DIMS];
  int n;            /* dims covered by r */
  al_tensor *index; /* an index tensor or mask among the entries, or NULL */
  int index_at;     /* the dim of the sliced tensor it applies to */
} pick;

/* Position i (from 1, or from the end) of a dim of size n, from 0. */
static int64_t position(lua_State *L, const al_tensor *t, int d, int64_t i) {
  if (d >= t->ndim)
    al_raise(L, STATE(L), "index: a tensor of %d dims is given %d indices", t->ndim, d + 1);
  int64_t n = t->shape[d], at = i > 0 ? i - 1 : i + n;
  if (i == 0)
    al_raise(L, STATE(L), "index: indices and labels count from 1, got 0 for dim %d", d + 1);
  if (at < 0 || at >= n)
    al_raise(L, STATE(L), "index: %lld is out of range for dim %d of size %lld (t: %s %s)",
             (long long)i, d + 1, (long long)n, al_shape_text(t->ndim, t->shape),
             al_dtype_name((al_dtype)t->dtype));
  return at;
}

static al_range single(lua_State *L, const al_tensor *t, int d, int64_t i) {
  return (al_range){.start = position(L, t, d, i), .step = 1, .count = 1, .drop = true};
}

/* From a to b, both included, by step; an end may be absent (has = false). An empty range is
 * fine; ends are clipped to the dim as PyTorch clips them. */
static al_range range(lua_State *L, const al_tensor *t, int d, bool has_a, int64_t a,
                      bool has_b, int64_t b, int64_t step) {
  if (d >= t->ndim)
    al_raise(L, STATE(L), "index: a tensor of %d dims is given %d indices", t->ndim, d + 1);
  if (step == 0) al_raise(L, STATE(L), "index: the step of a range is 0 (dim %d)", d + 1);
  if ((has_a && a == 0) || (has_b && b == 0))
    al_raise(L, STATE(L), "index: indices and labels count from 1, got 0 for dim %d", d + 1);
  int64_t n = t->shape[d];
  int64_t from = !has_a ? (step > 0 ? 0 : n - 1) : a > 0 ? a - 1 : a + n;
  int64_t to = !has_b ? (step > 0 ? n - 1 : 0) : b > 0 ? b - 1 : b + n;
  if (step > 0) {
    if (from < 0) from = 0;
    if (to > n - 1) to = n - 1;
  } else {
    if (from > n - 1) from = n - 1;
    if (to < 0) to = 0;
  }
  if (step < -n) step = -n - 1; /* one entry at most: no larger stride is needed */
  if (step > n) step = n + 1;
  if (from > n) from = n; /* beyond the dim all positions are alike */
  if (from < -1) from = -1;
  if (to > n) to = n;
  if (to < -1) to = -1;
  int64_t span = step > 0 ? to - from : from - to, stride = step > 0 ? step : -step;
  al_range r = {.start = from, .step = step, .count = span < 0 ? 0 : span / stride + 1};
  if (r.count == 0) r.start = 0;
  return r;
}

static al_range whole(const al_tensor *t, int d) {
  return (al_range){.step = 1, .count = t->shape[d]};
}

/* ---- text ---- */
static const char *skip(const char *s) {
  while (isspace((unsigned char)*s)) s++;
  return s;
}

/* Reads an optional integer; true when there was one. */
static bool number(const char **s, int64_t *v) {
  char *end;
  *s = skip(*s);
  long long x = strtoll(*s, &end, 10);
  if (end == *s) return false;
  *v = x;
  *s = skip(end);
  return true;
}

static void parse_entry(lua_State *L, const al_tensor *t, pick *p, const char **s) {
  int64_t a = 0, b = 0, step = 1;
  bool has_a = number(s, &a), has_b = false;
  if (*(*s = skip(*s)) != ':') {
    if (!has_a) al_raise(L, STATE(L), "index: \"%s\" is no slice (such as \"1:3, :, -1\")", *s);
    p->r[p->n] = single(L, t, p->n, a);
    return;
  }
  ++*s;
  has_b = number(s, &b);
  if (**s == ':') {
    ++*s;
    if (!number(s, &step)) step = 1;
  }
  p->r[p->n] = range(L, t, p->n, has_a, a, has_b, b, step);
}

static void parse_text(lua_State *L, const al_tensor *t, pick *p, const char *s) {
  int commas = 0;
  for (const char *q = s; *q; q++) commas += *q == ',';
  for (s = skip(s); *s;) {
    if (p->n >= t->ndim && strncmp(s, "...", 3))
      al_raise(L, STATE(L), "index: a tensor of %d dims is given %d indices", t->ndim,
               p->n + 1);
    if (!strncmp(s, "...", 3)) {
      for (int fill = t->ndim - commas; fill > 0 && p->n < t->ndim; fill--, p->n++)
        p->r[p->n] = whole(t, p->n);
      s = skip(s + 3);
    } else {
      parse_entry(L, t, p, &s);
      p->n++;
    }
    if (*s == ',') s = skip(s + 1);
    else if (*s) al_raise(L, STATE(L), "index: \"%s\" is no slice (such as \"1:3, :, -1\")", s);
  }
}

/* ---- lists ---- */
static bool integer_at(lua_State *L, int i, int k, int64_t *v) {
  lua_rawgeti(L, i, k);
  int ok = 0;
  if (lua_type(L, -1) == LUA_TNUMBER) *v = lua_tointegerx(L, -1, &ok);
  bool absent = lua_isnil(L, -1);
  lua_pop(L, 1);
  if (!ok && !absent) al_raise(L, STATE(L), "index: a range holds integers: {from, to, step}");
  return ok;
}

static void parse_list(lua_State *L, const al_tensor *t, pick *p, int i) {
  int n = (int)lua_rawlen(L, i);
  for (int k = 1; k <= n; k++) {
    if (p->n >= t->ndim)
      al_raise(L, STATE(L), "index: a tensor of %d dims is given %d indices", t->ndim, n);
    lua_rawgeti(L, i, k);
    int at = lua_gettop(L), ok;
    int64_t a = 0, b = 0, step = 1;
    if (lua_type(L, at) == LUA_TNUMBER) {
      a = lua_tointegerx(L, at, &ok);
      if (!ok) al_raise(L, STATE(L), "index: %f is not an integer", lua_tonumber(L, at));
      p->r[p->n] = single(L, t, p->n, a);
    } else if (lua_istable(L, at)) {
      bool has_a = integer_at(L, at, 1, &a), has_b = integer_at(L, at, 2, &b);
      if (!integer_at(L, at, 3, &step)) step = 1;
      if (has_a && !has_b && lua_rawlen(L, at) == 1)
        b = a, has_b = true; /* {k}: one entry, the dim stays */
      p->r[p->n] = range(L, t, p->n, has_a, a, has_b, b, step);
    } else if (al_to_tensor(L, STATE(L), at)) {
      if (p->index) al_raise(L, STATE(L), "index: only one index tensor may stand in a list");
      p->index = al_to_tensor(L, STATE(L), at);
      p->index_at = 0;
      for (int d = 0; d < p->n; d++) p->index_at += !p->r[d].drop;
      p->r[p->n] = whole(t, p->n);
    } else {
      al_raise(L, STATE(L),
               "index: entry %d is a %s; integer, {from, to, step}, {} or tensor is wanted", k,
               luaL_typename(L, at));
    }
    p->n++;
    lua_settop(L, at - 1);
  }
}

/* The key at stack index 2 into *p. */
static void parse_key(lua_State *L, const al_tensor *t, pick *p) {
  int ok;
  memset(p, 0, sizeof *p);
  switch (lua_type(L, 2)) {
  case LUA_TNUMBER: {
    int64_t i = lua_tointegerx(L, 2, &ok);
    if (!ok) al_raise(L, STATE(L), "index: %f is not an integer", lua_tonumber(L, 2));
    if (!t->ndim)
      al_raise(L, STATE(L),
               "index: a 0-dim tensor has no elements to index; its value is t:item()");
    p->r[p->n++] = single(L, t, 0, i);
    return;
  }
  case LUA_TSTRING: parse_text(L, t, p, lua_tostring(L, 2)); return;
  case LUA_TTABLE: parse_list(L, t, p, 2); return;
  default:
    p->index = al_to_tensor(L, STATE(L), 2);
    if (!p->index)
      al_raise(L, STATE(L), "index: a tensor is indexed by %s", luaL_typename(L, 2));
  }
}

static al_tensor *read_pick(al_tensor *t, const pick *p) {
  al_tensor *x = p->n ? al_slice(t, p->r, p->n) : t;
  if (!x || !p->index) return x;
  return p->index->dtype == AL_BOOL && !p->n ? al_index_mask(x, p->index)
         : p->index->dtype == AL_BOOL        ? al_null("index: a mask stands alone, as t[mask]")
                                             : al_index_tensor(x, p->index_at, p->index);
}

/* A field or method named by the string at 2; false when there is none. */
static bool named(lua_State *L) {
  if (!strncmp(lua_tostring(L, 2), "__", 2)) return false; /* the binding's own */
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(UP_METHODS));
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(UP_FIELDS));
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return true;
}

/* Text that starts like a name cannot be a slice. */
static bool is_name(const char *s) {
  s = skip(s);
  return isalpha((unsigned char)*s) || *s == '_';
}

/* Tells the hook "calls" of op/watch.h: "slice" with x, from (from 0), step, count of each dim
 * in order, and the result on top; or what has no such form, "t[...]" and the operands. */
static void tell(lua_State *L, const char *what, const pick *p, int result) {
  static const char *const lists[] = {"from", "step", "count"};
  luaL_checkstack(L, 8, what);
  lua_getfield(L, LUA_REGISTRYINDEX, "albedo.calls");
  lua_pushstring(L, what);
  lua_newtable(L);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "x");
  lua_pushvalue(L, result ? 2 : 3);
  lua_setfield(L, -2, result ? "key" : "value");
  for (int k = 0; k < 3; k++) {
    lua_createtable(L, p->n, 0);
    for (int d = 0; d < p->n; d++) {
      const al_range *r = &p->r[d];
      lua_pushinteger(L, (lua_Integer)(k == 0 ? r->start : k == 1 ? r->step : r->count));
      lua_rawseti(L, -2, d + 1);
    }
    lua_setfield(L, -2, lists[k]);
  }
  if (result) lua_pushvalue(L, result);
  lua_call(L, result ? 3 : 2, 0);
}

int al_tensor_index(lua_State *L) {
  state *st = STATE(L);
  if (lua_type(L, 2) == LUA_TSTRING) {
    if (named(L)) return 1;
    if (is_name(lua_tostring(L, 2))) {
      lua_getfield(L, lua_upvalueindex(UP_FIELDS),
                   "__missing"); /* Lua side: raises, with a suggestion */
      if (lua_isfunction(L, -1)) {
        lua_pushvalue(L, 2);
        lua_call(L, 1, 1);
        return al_raise(L, st, "%s", lua_tostring(L, -1));
      }
      return al_raise(L, st, "a tensor has no field or method \"%s\"", lua_tostring(L, 2));
    }
  }
  al_tensor *t = al_check_tensor(L, st, 1, "index");
  int64_t i;
  int ok = 0;
  if (lua_type(L, 2) == LUA_TNUMBER && (i = lua_tointegerx(L, 2, &ok), ok) && t->ndim &&
      i == t->shape[0] + 1)
    return lua_pushnil(L), 1; /* so that ipairs ends */
  al_enter(L, st);
  slot *s = al_push_box(L, st);
  al_mode(L, st);
  pick p; /* nothing is allocated from Lua, and so no finalizer runs, after t and the key are
             read */
  t = al_check_tensor(L, st, 1, "index");
  parse_key(L, t, &p);
  al_frame f;
  al_frame_open(&f);
  al_tensor *y = al_ref(read_pick(t, &p));
  al_frame_close(&f);
  if (!y) return al_raise_kernel(L, st);
  al_fill(s, y);
  if (al_here.watch & AL_WATCH_CALLS) tell(L, p.index ? "t[...]" : "slice", &p, lua_gettop(L));
  return 1;
}

static int write_pick(al_tensor *t, const pick *p, al_tensor *value) {
  if (!p->index) return al_slice_assign(t, p->r, p->n, value);
  if (p->index->dtype == AL_BOOL && !p->n) return al_assign_mask(t, p->index, value);
  if (p->index->dtype == AL_BOOL) return al_fail("index: a mask stands alone, as t[mask] = v");
  if (!p->n) return al_assign_index(t, 0, p->index, value);
  al_tensor *part = al_slice(t, p->r, p->n);
  if (!part) return -1;
  if (!al_grad_enabled() || !(t->requires_grad || value->requires_grad))
    return al_assign_index(part, p->index_at, p->index, value);
  part = al_apply(&al_op_index_put, part, (int64_t)p->index_at, p->index,
                  value); /* recorded writes go to t itself */
  return part ? al_slice_assign(t, p->r, p->n, part) : -1;
}

int al_tensor_newindex(lua_State *L) {
  state *st = STATE(L);
  al_enter(L, st);
  al_tensor *t = al_check_tensor(L, st, 1, "index");
  if (lua_type(L, 2) == LUA_TSTRING && is_name(lua_tostring(L, 2))) {
    lua_getfield(L, lua_upvalueindex(UP_FIELDS), "__set");
    lua_insert(L, 1);
    lua_call(L, 3, 0);
    return 0;
  }
  pick p;
  parse_key(L, t, &p);
  al_tensor *value = al_to_tensor(L, st, 3);
  int type = lua_type(L, 3);
  if (!value && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
    return al_raise(L, st, "index: a tensor or a number is assigned, got %s",
                    luaL_typename(L, 3));
  al_frame f;
  al_frame_open(&f);
  if (type == LUA_TBOOLEAN) value = al_integer(lua_toboolean(L, 3));
  else if (type == LUA_TNUMBER)
    value =
        lua_isinteger(L, 3) ? al_integer(lua_tointeger(L, 3)) : al_number(lua_tonumber(L, 3));
  int failed = value ? write_pick(t, &p, value) : -1;
  al_frame_close(&f);
  if (failed) return al_raise_kernel(L, st);
  if (al_here.watch & AL_WATCH_CALLS) tell(L, "t[...] = v", &p, 0);
  return 0;
}
