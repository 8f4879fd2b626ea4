/* call.c: the one binding of every op. The op's signature says how to read the arguments, so
 * there is no binding code an op. */
#include "../op/spatial.h"
#include "../op/watch.h"
#include "binding.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Upvalue 2 of an op's function, after the state: which op, under which name. */
enum { UP_STATE = 1, UP_ENTRY };
typedef struct entry {
  const al_op *op;
  bool inplace;
  char name[]; /* the alias it goes by, with the in-place form's underscore */
} entry;

/* What parsing leaves for later: plain numbers become tensors once nothing can raise any more.
 */
enum { FEW = 32 }; /* tensors of lists that need no block */
typedef struct parsed {
  al_call c;
  state *st;
  int last;         /* stack index of the last argument */
  al_tensor **list; /* the tensors of all lists, `listed` so far of at most `room` */
  int room, listed;
  al_tensor *few[FEW];
  char text[32]; /* a number given as a string option */
  const char *name;
  bool number[AL_MAX_ARGS], whole[AL_MAX_ARGS], truth[AL_MAX_ARGS];
  double value[AL_MAX_ARGS];
  int64_t integer[AL_MAX_ARGS];
} parsed;

static int wrong(lua_State *L, const parsed *p, const al_param *param, const char *wanted,
                 int i) {
  return al_raise(L, STATE(L), "%s: %s must be %s, got %s", p->name, param->name, wanted,
                  lua_isnoneornil(L, i) ? "nothing" : luaL_typename(L, i));
}

static bool is_integer(lua_State *L, int i, int64_t *v) {
  if (lua_type(L, i) != LUA_TNUMBER) return false;
  int ok;
  *v = lua_tointegerx(L, i, &ok);
  return ok;
}

/* A dim counted from 1, or from the end when negative, as C counts it. */
static int64_t read_dim(lua_State *L, const parsed *p, const al_param *param, int i) {
  int64_t d = 0;
  if (!is_integer(L, i, &d)) wrong(L, p, param, "a dim (an integer)", i);
  if (d == 0) al_raise(L, STATE(L), "%s: %s is 0, dims count from 1", p->name, param->name);
  return d > 0 ? d - 1 : d;
}

static void add_int(lua_State *L, parsed *p, const al_param *param, al_arg *a, int i) {
  int64_t v = 0;
  if (param->kind == AL_K_DIMS) v = read_dim(L, p, param, i);
  else if (!is_integer(L, i, &v)) wrong(L, p, param, "integers", i);
  if (p->c.pooled == AL_MAX_INTS)
    al_raise(L, STATE(L), "%s: %s is too long", p->name, param->name);
  p->c.pool[p->c.pooled++] = v;
  a->ints.n++;
}

/* A list holds no names: {1, keepdim = true} would lose its option without a word. */
static void check_list(lua_State *L, const parsed *p, const al_param *param, int i) {
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING)
      al_raise(L, STATE(L),
               "%s: \"%s\" stands in the list %s: options have a table of their own", p->name,
               lua_tostring(L, -2), param->name);
}

/* One integer, or a table of them (or, for pad, a word); variadic: all integers from i up to
 * `last`. Returns how many values it took. */
static int read_ints(lua_State *L, parsed *p, const al_param *param, al_arg *a, int i,
                     int last) {
  a->ints.v = p->c.pool + p->c.pooled;
  a->ints.n = 0;
  a->given = true;
  if (lua_istable(L, i)) {
    int n = (int)lua_rawlen(L, i);
    check_list(L, p, param, i);
    for (int k = 1; k <= n; k++) {
      lua_rawgeti(L, i, k);
      add_int(L, p, param, a, lua_gettop(L));
      lua_pop(L, 1);
    }
    return 1;
  }
  if (lua_type(L, i) == LUA_TSTRING && !strcmp(param->name, "pad")) {
    bool same = !strcmp(lua_tostring(L, i), "same");
    if (!same && strcmp(lua_tostring(L, i), "valid"))
      al_raise(L, STATE(L), "%s: pad must be integers, \"same\" or \"valid\", got \"%s\"",
               p->name, lua_tostring(L, i));
    if (p->c.pooled == AL_MAX_INTS) al_raise(L, STATE(L), "%s: pad is too long", p->name);
    p->c.pool[p->c.pooled++] = same ? AL_SAME : 0;
    return a->ints.n = 1;
  }
  add_int(L, p, param, a, i);
  int took = 1;
  while (param->variadic && i + took <= last && lua_type(L, i + took) == LUA_TNUMBER)
    add_int(L, p, param, a, i + took++);
  return took;
}

/* A list of tensors; variadic: all values from i up to `last` may stand for it. Returns how
 * many values it took. */
static int read_list(lua_State *L, parsed *p, const al_param *param, al_arg *a, int i,
                     int last) {
  bool table = lua_istable(L, i);
  if (!table && !(param->variadic && lua_isuserdata(L, i)))
    wrong(L, p, param, "a list of tensors", i);
  int n = table ? (int)lua_rawlen(L, i) : last - i + 1;
  if (table) check_list(L, p, param, i);
  if (n > p->room - p->listed) al_raise(L, p->st, "%s: a list grew under it", p->name);
  al_tensor **v = p->list + p->listed;
  p->listed += n;
  for (int k = 0; k < n; k++) {
    if (table) lua_rawgeti(L, i, k + 1);
    else lua_pushvalue(L, i + k);
    v[k] = al_to_tensor(L, STATE(L), -1);
    if (!v[k])
      al_raise(L, STATE(L), "%s: %s[%d] must be a tensor, got %s", p->name, param->name, k + 1,
               luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  a->ts.v = v;
  a->ts.n = n;
  return table ? 1 : n;
}

static void read_tensor(lua_State *L, parsed *p, int k, int i) {
  const al_param *param = &p->c.op->param[k];
  al_arg *a = &p->c.a[k];
  if ((a->t = al_to_tensor(L, p->st, i))) return;
  int type = lua_type(L, i);
  if (!param->number_ok || (type != LUA_TNUMBER && type != LUA_TBOOLEAN))
    wrong(L, p, param, param->number_ok ? "a tensor or a number" : "a tensor", i);
  p->number[k] = true;
  p->truth[k] = type == LUA_TBOOLEAN;
  p->whole[k] = p->truth[k] || lua_isinteger(L, i);
  if (p->truth[k]) p->integer[k] = lua_toboolean(L, i);
  else if (p->whole[k]) p->integer[k] = lua_tointeger(L, i);
  else p->value[k] = lua_tonumber(L, i);
}

static const char *read_text(lua_State *L, const parsed *p, const al_param *param,
                             const char *wanted, int i) {
  if (lua_type(L, i) != LUA_TSTRING) wrong(L, p, param, wanted, i);
  const char *s = lua_tostring(L, i);
  if (strlen(s) != lua_rawlen(L, i))
    al_raise(L, p->st, "%s: %s holds a zero byte after \"%s\"", p->name, param->name, s);
  return s;
}

static void read_dtype(lua_State *L, const parsed *p, const al_param *param, al_arg *a, int i) {
  a->dtype = al_dtype_parse(read_text(L, p, param, "a dtype's name", i));
  if (a->dtype < 0) al_raise(L, STATE(L), "%s: %s", p->name, al_error());
}

/* Reads the value at i into parameter k; returns how many stack values it took. */
static int read_value(lua_State *L, parsed *p, int k, int i, int last) {
  const al_param *param = &p->c.op->param[k];
  al_arg *a = &p->c.a[k];
  a->given = true;
  switch (param->kind) {
  case AL_K_TENSOR: read_tensor(L, p, k, i); break;
  case AL_K_TENSORS: return read_list(L, p, param, a, i, last);
  case AL_K_INT:
    if (!is_integer(L, i, &a->i)) wrong(L, p, param, "an integer", i);
    break;
  case AL_K_NUM:
    if (lua_type(L, i) != LUA_TNUMBER) wrong(L, p, param, "a number", i);
    a->f = lua_tonumber(L, i);
    break;
  case AL_K_BOOL:
    if (!lua_isboolean(L, i)) wrong(L, p, param, "true or false", i);
    a->b = lua_toboolean(L, i);
    break;
  case AL_K_STR:
    if (lua_type(L, i) == LUA_TNUMBER) { /* as its text: ord = 1 or "fro" */
      snprintf(p->text, sizeof p->text, "%.14g", lua_tonumber(L, i));
      a->s = p->text;
    } else {
      a->s = read_text(L, p, param, "a string", i);
    }
    break;
  case AL_K_INTS:
  case AL_K_DIMS: return read_ints(L, p, param, a, i, last);
  case AL_K_DIM: a->i = read_dim(L, p, param, i); break;
  case AL_K_DTYPE: read_dtype(L, p, param, a, i); break;
  case AL_K_RNG:
    a->rng = luaL_testudata(L, i, "albedo.generator");
    if (!a->rng) wrong(L, p, param, "a generator (al.generator(seed))", i);
    break;
  }
  return 1;
}

/* A trailing table with a string key, or an empty one, holds options. */
static bool is_options(lua_State *L, int i) {
  if (!lua_istable(L, i) || lua_rawlen(L, i)) return false;
  lua_pushnil(L);
  if (!lua_next(L, i)) return true;
  bool text = lua_type(L, -2) == LUA_TSTRING;
  lua_pop(L, 2);
  return text;
}

static int unknown_option(lua_State *L, const parsed *p, const char *name) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int k = 0; k < p->c.op->nparams; k++) {
    if (p->c.op->param[k].kind == AL_K_TENSOR && !p->c.op->param[k].optional) continue;
    luaL_addstring(&b, p->c.op->param[k].name);
    luaL_addstring(&b, " ");
  }
  luaL_pushresult(&b);
  const char *valid = lua_tostring(L, -1);
  return *valid ? al_raise(L, STATE(L), "%s: unknown option \"%s\" (valid: %.*s)", p->name,
                           name, (int)strlen(valid) - 1, valid)
                : al_raise(L, STATE(L), "%s: unknown option \"%s\" (it takes none)", p->name,
                           name);
}

static void read_options(lua_State *L, parsed *p, int i) {
  lua_pushnil(L);
  while (lua_next(L, i)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      al_raise(L, STATE(L), "%s: options go by name", p->name);
    const char *name = lua_tostring(L, -2);
    int k = 0, top = lua_gettop(L);
    while (k < p->c.op->nparams && strcmp(p->c.op->param[k].name, name)) k++;
    if (k == p->c.op->nparams) unknown_option(L, p, name);
    if (p->c.a[k].given) al_raise(L, STATE(L), "%s: %s is given twice", p->name, name);
    read_value(L, p, k, top, top);
    lua_pop(L, 1);
  }
}

static void fill_absent(lua_State *L, parsed *p) {
  for (int k = 0; k < p->c.op->nparams; k++) {
    const al_param *param = &p->c.op->param[k];
    al_arg *a = &p->c.a[k];
    if (a->given) continue;
    if (param->has_default) {
      *a = param->value;
    } else if (param->optional || param->variadic) {
      *a = (al_arg){0};
      if (param->kind == AL_K_DTYPE) a->dtype = -1;
    } else {
      al_raise(L, STATE(L), "%s: %s is missing", p->name, param->name);
    }
  }
}

/* An empty trailing table is a list where the signature still waits for one, else options. */
static bool is_wanted_list(lua_State *L, const parsed *p, int i) {
  if (i > p->c.op->nparams) return false;
  const al_param *param = &p->c.op->param[i - 1];
  if (param->named || param->optional || param->has_default) return false;
  if (param->kind != AL_K_TENSORS && param->kind != AL_K_INTS) return false;
  lua_pushnil(L);
  if (!lua_next(L, i)) return true;
  lua_pop(L, 2);
  return false;
}

/* Reads the arguments, which stand below p->last on the stack. Allocates nothing from Lua and
 * leaves the stack as it was: no finalizer runs between the reading of a tensor and its use. */
static void parse(lua_State *L, parsed *p) {
  const al_op *op = p->c.op;
  int last = p->last, options = 0, k = 0;
  p->c.pooled = p->listed = 0;
  for (int j = 0; j < op->nparams; j++) p->c.a[j].given = p->number[j] = false;
  if (last && is_options(L, last) && !is_wanted_list(L, p, last)) options = last--;
  for (int i = 1; i <= last; k++) {
    if (k < op->nparams && op->param[k].kind == AL_K_TENSOR && !op->param[k].named &&
        (p->c.a[k].t = al_to_tensor(L, p->st, i))) { /* most arguments are these */
      p->c.a[k].given = true;
      i++;
      continue;
    }
    if (k == op->nparams || op->param[k].named)
      al_raise(L, STATE(L), "%s takes at most %d arguments before its options, got %d", p->name,
               k, last);
    if (lua_isnil(L, i) && (op->param[k].optional || op->param[k].has_default)) i++;
    else i += read_value(L, p, k, i, last);
  }
  if (options) read_options(L, p, options);
  fill_absent(L, p);
}

/* Room for the tensors of all lists among the arguments, in a block of Lua's if they are many.
 */
static void make_room(lua_State *L, parsed *p) {
  size_t n = (size_t)p->last;
  for (int i = 1; i <= p->last; i++) {
    if (!lua_istable(L, i)) continue;
    n += lua_rawlen(L, i);
    if (i < p->last) continue;
    for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) /* lists may stand among options */
      if (lua_istable(L, -1)) n += lua_rawlen(L, -1);
  }
  if (n > INT_MAX / 2) al_raise(L, p->st, "%s: a list is too long", p->name);
  p->list = n > FEW ? lua_newuserdata(L, n * sizeof *p->list) : p->few;
  p->room = n > FEW ? (int)n : FEW;
}

/* Numbers become 0-dim tensors of the open frame. */
static void make_numbers(parsed *p) {
  for (int k = 0; k < p->c.op->nparams; k++) {
    if (!p->number[k]) continue;
    p->c.a[k].t = p->whole[k] ? al_integer(p->integer[k]) : al_number(p->value[k]);
    if (p->truth[k] && p->c.a[k].t) { /* a bool number: yields like the others */
      p->c.a[k].t = al_fresh_contiguous(p->c.a[k].t, AL_BOOL);
      if (p->c.a[k].t) p->c.a[k].t->wrapped = true;
    }
  }
}

static int attempt(parsed *p) {
  al_frame frame;
  bool numbers = false;
  al_error_clear();
  for (int k = 0; k < p->c.op->nparams; k++) numbers |= p->number[k];
  if (!numbers) return al_invoke(&p->c); /* no frame is open here: the results are ours */
  al_frame_open(&frame);
  make_numbers(p);
  int failed = al_invoke(&p->c);
  for (int k = 0; !failed && k < p->c.op->nouts; k++) al_ref(p->c.out[k]);
  al_frame_close(&frame);
  return failed;
}

/* Puts result t, which is ours, where its empty box stands; nil for an absent one, and the box
 * it has for a tensor that has one already: an argument returned. */
static void settle(lua_State *L, state *st, slot *s, al_tensor *t, int at) {
  if (t && !t->host) {
    al_fill(s, t);
    return;
  }
  if (!t) lua_pushnil(L);
  else if (!al_push_live_box(L, st, t)) { /* its former box is gone */ t->host = NULL;
    al_fill(s, t);
    return;
  }
  al_unref(t);
  lua_replace(L, at);
}

static int run(lua_State *L, parsed *p, bool inplace) {
  parse(L, p);
  if (inplace && p->number[0])
    al_raise(L, p->st, "%s: %s must be a tensor, got number", p->name, p->c.op->param[0].name);
  p->c.into = inplace ? p->c.a[0].t : NULL;
  return attempt(p);
}

static void push_whole(lua_State *L, const al_param *param, int64_t v) {
  bool dim = param->kind == AL_K_DIM || param->kind == AL_K_DIMS;
  lua_pushinteger(L, (lua_Integer)(dim && v >= 0 ? v + 1 : v));
}

static void push_argument(lua_State *L, const parsed *p, int k) {
  const al_param *param = &p->c.op->param[k];
  const al_arg *a = &p->c.a[k];
  bool absent = !a->given && !param->has_default;
  if (p->number[k] && p->truth[k]) lua_pushboolean(L, p->integer[k] != 0);
  else if (p->number[k] && p->whole[k]) lua_pushinteger(L, (lua_Integer)p->integer[k]);
  else if (p->number[k]) lua_pushnumber(L, p->value[k]);
  else if (absent) lua_pushnil(L);
  else switch (param->kind) {
    case AL_K_TENSOR:
      if (!a->t || !al_push_live_box(L, p->st, a->t)) lua_pushnil(L);
      break;
    case AL_K_TENSORS:
      lua_createtable(L, a->ts.n, 0);
      for (int i = 0; i < a->ts.n; i++) {
        if (!al_push_live_box(L, p->st, a->ts.v[i])) lua_pushboolean(L, 0);
        lua_rawseti(L, -2, i + 1);
      }
      break;
    case AL_K_INT:
    case AL_K_DIM: push_whole(L, param, a->i); break;
    case AL_K_INTS:
    case AL_K_DIMS:
      lua_createtable(L, a->ints.n, 0);
      for (int i = 0; i < a->ints.n; i++) {
        push_whole(L, param, a->ints.v[i]);
        lua_rawseti(L, -2, i + 1);
      }
      break;
    case AL_K_NUM: lua_pushnumber(L, a->f); break;
    case AL_K_BOOL: lua_pushboolean(L, a->b); break;
    case AL_K_STR: lua_pushstring(L, a->s); break;
    case AL_K_DTYPE:
      lua_pushstring(L, a->dtype < 0 ? NULL : al_dtype_name((al_dtype)a->dtype));
      break;
    case AL_K_RNG: lua_pushnil(L);
    }
}

/* Tells the function that hook "calls" set of a call that is over: its op, the arguments by
 * name, and the results, which stand from `first` on. */
static void tell(lua_State *L, const parsed *p, int first) {
  int n = p->c.op->nouts;
  luaL_checkstack(L, n + 6, p->name);
  lua_getfield(L, LUA_REGISTRYINDEX, "albedo.calls");
  lua_pushstring(L, p->c.op->name);
  lua_createtable(L, 0, p->c.op->nparams);
  for (int k = 0; k < p->c.op->nparams; k++) {
    push_argument(L, p, k);
    lua_setfield(L, -2, p->c.op->param[k].name);
  }
  for (int k = 0; k < n; k++) lua_pushvalue(L, first + k);
  lua_call(L, 2 + n, 0);
}

/* Everything Lua has to allocate comes first. */
static int run_op(lua_State *L) {
  state *st = STATE(L);
  parsed p;
  const entry *e = lua_touserdata(L, lua_upvalueindex(UP_ENTRY));
  p.st = st;
  p.c.op = e->op;
  p.c.called = p.name = e->name;
  p.last = lua_gettop(L);
  al_limit(L, st);
  luaL_checkstack(L, AL_MAX_OUTS + 12, p.name);
  make_room(L, &p);
  slot *s[AL_MAX_OUTS];
  int first = lua_gettop(L) + 1, n = p.c.op->nouts;
  for (int k = 0; k < n; k++) s[k] = al_push_box(L, st);
  al_mode(L, st);
  uint64_t since = al_here.watch ? al_graph_now() : 0;
  if (run(L, &p, e->inplace)) {
    if (!al_out_of_memory() || al_here.wrote) return al_raise_kernel(L, st);
    al_collect(L, st); /* unreachable tensors first, then once more */
    al_memory_trim();
    al_mode(L, st);
    if (run(L, &p, e->inplace)) return al_raise_kernel(L, st);
  }
  for (int k = 0; k < n; k++) settle(L, st, s[k], p.c.out[k], first + k);
  if (al_here.watch) {
    al_note_lines(L, st, since);
    if (al_here.watch & AL_WATCH_CALLS) tell(L, &p, first);
  }
  return n;
}

void al_push_op(lua_State *L, int state_index, const al_op *op, const char *called,
                bool inplace) {
  size_t n = strlen(called) + 1;
  lua_pushvalue(L, state_index);
  entry *e = lua_newuserdata(L, sizeof *e + n);
  e->op = op;
  e->inplace = inplace;
  memcpy(e->name, called, n);
  lua_pushcclosure(L, run_op, 2);
}

static void set_op(lua_State *L, int state_index, const al_op *op, const char *name, size_t n) {
  lua_pushlstring(L, name, n);
  al_push_op(L, state_index, op, lua_tostring(L, -1), false);
  lua_rawset(L, -3);
  if (!(op->flags & AL_F_INPLACE)) return;
  lua_pushlstring(L, name, n);
  lua_pushliteral(L, "_");
  lua_concat(L, 2);
  lua_pushvalue(L, -1);
  al_push_op(L, state_index, op, lua_tostring(L, -1), true);
  lua_rawset(L, -4);
  lua_pop(L, 1);
}

void al_open_ops(lua_State *L, int state_index, al_op *const *first, al_op *const *last) {
  for (; first < last; first++) {
    const al_op *op = *first;
    set_op(L, state_index, op, op->name, strlen(op->name));
    for (const char *s = op->alias; s && *s;) {
      size_t n = strcspn(s, " ");
      set_op(L, state_index, op, s, n);
      for (s += n; *s == ' '; s++) {}
    }
  }
}
