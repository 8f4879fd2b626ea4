/* tensor.c: tensors from and to Lua values, and their fields. */
#include "binding.h"
#include <string.h>

/* ---- options of a trailing table: dtype, requires_grad ---- */
typedef struct making {
  int dtype;
  bool requires_grad;
} making;

static making read_making(lua_State *L, int i, const char *who) {
  making m = {.dtype = -1};
  if (lua_isnoneornil(L, i)) return m;
  if (!lua_istable(L, i))
    al_raise(L, STATE(L), "%s: options are a table, got %s", who, luaL_typename(L, i));
  lua_pushnil(L);
  while (lua_next(L, i)) {
    const char *k = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (!strcmp(k, "dtype") && lua_type(L, -1) == LUA_TSTRING) {
      m.dtype = al_dtype_parse(lua_tostring(L, -1));
      if (m.dtype < 0) al_raise(L, STATE(L), "%s: %s", who, al_error());
    } else if (!strcmp(k, "requires_grad") && lua_isboolean(L, -1)) {
      m.requires_grad = lua_toboolean(L, -1);
    } else {
      al_raise(L, STATE(L), "%s: unknown option or value \"%s\" (valid: dtype, requires_grad)",
               who, k);
    }
    lua_pop(L, 1);
  }
  return m;
}

/* ---- from Lua ---- */
/* The shape of the nested table at i, along its first elements. Leaves the first leaf on top.
 */
static int shape_of(lua_State *L, int i, int64_t *shape) {
  int n = 0;
  lua_pushvalue(L, i);
  while (lua_istable(L, -1)) {
    if (n == AL_MAX_DIMS)
      al_raise(L, STATE(L), "tensor: tables nest deeper than %d dims", AL_MAX_DIMS);
    shape[n++] = (int64_t)lua_rawlen(L, -1);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  return n;
}

static void fill(lua_State *L, al_tensor *t, int d, int64_t *at);

static void fill_leaf(lua_State *L, al_tensor *t, int64_t *at) {
  int type = lua_type(L, -1);
  if (type == LUA_TBOOLEAN) al_set_int(t, (*at)++, lua_toboolean(L, -1));
  else if (type != LUA_TNUMBER)
    al_raise(L, STATE(L),
             type == LUA_TTABLE
                 ? "tensor: the table is ragged: a table stands where numbers do (element %lld)"
                 : "tensor: element %lld is no number",
             (long long)*at + 1);
  else if (lua_isinteger(L, -1)) al_set_int(t, (*at)++, lua_tointeger(L, -1));
  else al_set(t, (*at)++, lua_tonumber(L, -1));
}

/* The value on top fills dims d.. of t from element *at on. */
static void fill(lua_State *L, al_tensor *t, int d, int64_t *at) {
  if (d == t->ndim) {
    fill_leaf(L, t, at);
    return;
  }
  if (!lua_istable(L, -1) || (int64_t)lua_rawlen(L, -1) != t->shape[d])
    al_raise(
        L, STATE(L),
        "tensor: the table is ragged: dim %d has %lld entries in one row and %lld in another",
        d + 1, (long long)t->shape[d], lua_istable(L, -1) ? (long long)lua_rawlen(L, -1) : 1LL);
  luaL_checkstack(L, 4, "tensor");
  for (int64_t k = 1; k <= t->shape[d]; k++) {
    lua_rawgeti(L, -1, k);
    fill(L, t, d + 1, at);
    lua_pop(L, 1);
  }
}

/* tensor(value, {dtype = "float32", requires_grad = false}): a number, a boolean, a regular
 * nest of tables of them, or a tensor (copied). Booleans give bool, numbers float32. */
static int tensor(lua_State *L) {
  state *st = STATE(L);
  making m = read_making(L, 2, "tensor");
  int64_t shape[AL_MAX_DIMS], at = 0;
  al_tensor *source = al_to_tensor(L, st, 1), *t;
  int n = source ? 0 : shape_of(L, 1, shape);
  if (!source && lua_isnoneornil(L, 1))
    return al_raise(L, st, "tensor: a table, a number or a tensor is wanted, got nothing");
  if (m.dtype < 0)
    m.dtype = source ? source->dtype : lua_isboolean(L, -1) ? AL_BOOL : AL_FLOAT32;
  if (m.requires_grad && !al_is_float(m.dtype))
    return al_raise(L, st, "tensor: only floating tensors have gradients");
  al_enter(L, st);
  slot *s = al_push_box(L, st);
  if (source) source = al_to_tensor(L, st, 1); /* unless a finalizer just closed its scope */
  t = source ? al_fresh_contiguous(source, (al_dtype)m.dtype)
             : al_empty((al_dtype)m.dtype, n, shape);
  if (!t) return al_raise_kernel(L, st);
  t->requires_grad = m.requires_grad;
  al_fill(s, t);
  if (source) return 1;
  lua_pushvalue(L, 1);
  fill(L, t, 0, &at);
  lua_pop(L, 1);
  return 1;
}

/* ---- to Lua ---- */
static void push_element(lua_State *L, const al_tensor *t, int64_t offset) {
  if (t->dtype == AL_BOOL) lua_pushboolean(L, al_get(t, offset) != 0);
  else if (t->dtype >= AL_FLOAT32) lua_pushnumber(L, al_get(t, offset));
  else lua_pushinteger(L, al_get_int(t, offset));
}

/* t:item() -> the number (or boolean) of a one-element tensor */
static int item(lua_State *L) {
  al_tensor *t = al_check_tensor(L, STATE(L), 1, "item");
  if (al_numel(t) != 1)
    return al_raise(L, STATE(L), "item: one element is wanted (t: %s %s)",
                    al_shape_text(t->ndim, t->shape), al_dtype_name((al_dtype)t->dtype));
  push_element(L, t, 0);
  return 1;
}

static void push_nested(lua_State *L, const al_tensor *t, int d, int64_t offset) {
  if (d == t->ndim) {
    push_element(L, t, offset);
    return;
  }
  luaL_checkstack(L, 3, "totable");
  lua_createtable(L, (int)(t->shape[d] < 1 << 20 ? t->shape[d] : 1 << 20), 0);
  for (int64_t k = 0; k < t->shape[d]; k++) {
    push_nested(L, t, d + 1, offset + k * t->stride[d]);
    lua_rawseti(L, -2, k + 1);
  }
}

/* t:totable() -> nested tables; a 0-dim tensor gives its number */
static int totable(lua_State *L) {
  push_nested(L, al_check_tensor(L, STATE(L), 1, "totable"), 0, 0);
  return 1;
}

/* t:tostring_bytes() -> the elements' bytes, contiguous; al.from_bytes(s, dtype, shape) reads
 * them */
static int bytes(lua_State *L) {
  state *st = STATE(L);
  slot *s = al_push_box(L, st);
  al_tensor *t = al_check_tensor(L, st, 1, "bytes");
  al_tensor *dense = al_fresh_contiguous(t, (al_dtype)t->dtype);
  if (!dense) return al_raise_kernel(L, st);
  al_fill(s, dense);
  lua_pushlstring(L, al_data(dense),
                  (size_t)al_numel(dense) * al_dtype_size((al_dtype)dense->dtype));
  return 1;
}

static int from_bytes(lua_State *L) {
  state *st = STATE(L);
  size_t len;
  int64_t shape[AL_MAX_DIMS];
  const char *s = luaL_checklstring(L, 1, &len);
  int dtype = al_dtype_parse(luaL_checkstring(L, 2)), n = 0;
  if (dtype < 0) return al_raise(L, st, "from_bytes: %s", al_error());
  if (lua_istable(L, 3)) {
    n = (int)lua_rawlen(L, 3);
    if (n > AL_MAX_DIMS)
      return al_raise(L, st, "from_bytes: at most %d dims are possible", AL_MAX_DIMS);
    for (int d = 0; d < n; d++) {
      lua_rawgeti(L, 3, d + 1);
      shape[d] = luaL_checkinteger(L, -1);
    }
  } else {
    shape[n++] = (int64_t)(len / al_dtype_size((al_dtype)dtype));
  }
  slot *at = al_push_box(L, st);
  al_tensor *t = al_empty((al_dtype)dtype, n, shape);
  if (!t) return al_raise_kernel(L, st);
  al_fill(at, t);
  if (len != (size_t)al_numel(t) * al_dtype_size((al_dtype)dtype))
    return al_raise(L, st, "from_bytes: %lld bytes do not make a tensor of %s %s",
                    (long long)len, al_shape_text(n, shape), al_dtype_name((al_dtype)dtype));
  for (size_t k = 0; dtype == AL_BOOL && k < len; k++)
    if ((unsigned char)s[k] > 1)
      return al_raise(L, st, "from_bytes: byte %lld is %d, bools are 0 and 1", (long long)k + 1,
                      (unsigned char)s[k]);
  memcpy(al_data(t), s, len);
  return 1;
}

/* ---- fields ---- */
static int push_dims(lua_State *L, const int64_t *v, int n) {
  lua_createtable(L, n, 0);
  for (int d = 0; d < n; d++) {
    lua_pushinteger(L, v[d]);
    lua_rawseti(L, -2, d + 1);
  }
  return 1;
}

static al_tensor *self(lua_State *L, const char *who) {
  return al_check_tensor(L, STATE(L), 1, who);
}
static int f_shape(lua_State *L) {
  al_tensor *t = self(L, "shape");
  return push_dims(L, t->shape, t->ndim);
}
static int m_stride(lua_State *L) {
  al_tensor *t = self(L, "stride");
  return push_dims(L, t->stride, t->ndim);
}
static int f_dtype(lua_State *L) {
  return lua_pushstring(L, al_dtype_name((al_dtype)self(L, "dtype")->dtype)), 1;
}
static int f_ndim(lua_State *L) { return lua_pushinteger(L, self(L, "ndim")->ndim), 1; }
static int f_requires_grad(lua_State *L) {
  return lua_pushboolean(L, self(L, "requires_grad")->requires_grad), 1;
}
static int f_is_leaf(lua_State *L) { return lua_pushboolean(L, !self(L, "is_leaf")->node), 1; }
static int m_numel(lua_State *L) { return lua_pushinteger(L, al_numel(self(L, "numel"))), 1; }
static int m_is_contiguous(lua_State *L) {
  return lua_pushboolean(L, al_is_contiguous(self(L, "is_contiguous"))), 1;
}
static int m_data_ptr(lua_State *L) {
  return lua_pushlightuserdata(L, al_data(self(L, "data_ptr"))), 1;
}

static int f_grad(lua_State *L) {
  al_tensor *t = self(L, "grad");
  if (t->grad) al_push_tensor(L, STATE(L), t->grad, true);
  else lua_pushnil(L);
  return 1;
}

static int f_grad_fn(lua_State *L) {
  al_tensor *t = self(L, "grad_fn");
  if (t->node) lua_pushstring(L, t->node->op->name);
  else lua_pushnil(L);
  return 1;
}

static int m_len(lua_State *L) {
  al_tensor *t = self(L, "#");
  if (!t->ndim) return al_raise(L, STATE(L), "#: a 0-dim tensor has no length");
  return lua_pushinteger(L, t->shape[0]), 1;
}

static int m_size(lua_State *L) {
  al_tensor *t = self(L, "size");
  int d;
  if (lua_isnoneornil(L, 2)) return push_dims(L, t->shape, t->ndim);
  int64_t i = luaL_checkinteger(L, 2);
  if (i == 0) return al_raise(L, STATE(L), "size: dim is 0, dims count from 1");
  if (al_dim(i > 0 ? i - 1 : i, t->ndim, &d) || !t->ndim) return al_raise_kernel(L, STATE(L));
  return lua_pushinteger(L, t->shape[d]), 1;
}

/* fields.__set(t, name, value) */
static int set_field(lua_State *L) {
  state *st = STATE(L);
  /* al_tensor_newindex put this function below its own three arguments */
  al_tensor *t = self(L, "index");
  const char *name = lua_tostring(L, 2);
  if (!strcmp(name, "requires_grad")) {
    if (!lua_isboolean(L, 3))
      return al_raise(L, st, "requires_grad must be true or false, got %s",
                      luaL_typename(L, 3));
    if (lua_toboolean(L, 3) && !al_is_float(t->dtype))
      return al_raise(L, st, "only floating tensors have gradients (t: %s)",
                      al_dtype_name((al_dtype)t->dtype));
    if (t->node)
      return al_raise(
          L, st,
          "requires_grad of a computed tensor is set by its inputs; t:detach() cuts it off");
    t->requires_grad = lua_toboolean(L, 3);
    return 0;
  }
  if (!strcmp(name, "grad")) {
    al_tensor *g = al_to_tensor(L, st, 3);
    if (!g && !lua_isnil(L, 3))
      return al_raise(L, st, "grad must be a tensor or nil, got %s", luaL_typename(L, 3));
    if (g && (!al_same_shape(g, t) || g->dtype != t->dtype))
      return al_raise(L, st, "grad is %s %s, the tensor %s %s",
                      al_shape_text(g->ndim, g->shape), al_dtype_name((al_dtype)g->dtype),
                      al_shape_text(t->ndim, t->shape), al_dtype_name((al_dtype)t->dtype));
    if (g == t) return al_raise(L, st, "a tensor cannot be its own grad");
    al_tensor *former = t->grad;
    t->grad = al_ref(g);
    al_unref(former);
    return 0;
  }
  return al_raise(L, st, "a tensor's field \"%s\" cannot be set", name);
}

/* istensor(v) -> boolean */
static int istensor(lua_State *L) { return lua_pushboolean(L, al_is_box(L, STATE(L), 1)), 1; }

/* alive(t) -> false once its scope released it */
static int alive(lua_State *L) {
  return lua_pushboolean(L, al_to_slot(L, STATE(L), 1) != NULL), 1;
}

void al_open_tensor(lua_State *L, int state_index) {
  static const luaL_Reg functions[] = {{"tensor", tensor},
                                       {"from_bytes", from_bytes},
                                       {"is_tensor", istensor},
                                       {"alive", alive},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"item", item},       {"totable", totable},     {"bytes", bytes},
      {"stride", m_stride}, {"numel", m_numel},       {"is_contiguous", m_is_contiguous},
      {"size", m_size},     {"data_ptr", m_data_ptr}, {NULL, NULL}};
  static const luaL_Reg fields[] = {{"shape", f_shape},
                                    {"dtype", f_dtype},
                                    {"ndim", f_ndim},
                                    {"requires_grad", f_requires_grad},
                                    {"grad", f_grad},
                                    {"is_leaf", f_is_leaf},
                                    {"grad_fn", f_grad_fn},
                                    {"__set", set_field},
                                    {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__len", m_len}, {NULL, NULL}};
  state *st = lua_touserdata(L, state_index);
  al_set_functions(L, state_index, functions);
  lua_rawgeti(L, LUA_REGISTRYINDEX, st->box_ref);
  al_set_functions(L, state_index, meta);
  lua_newtable(L);
  al_set_functions(L, state_index, methods);
  lua_newtable(L);
  al_set_functions(L, state_index, fields);
  /* module, meta, methods, fields */
  for (int k = 0; k < 2; k++) {
    lua_pushvalue(L, state_index);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, k ? al_tensor_newindex : al_tensor_index, 3);
    lua_setfield(L, -4, k ? "__newindex" : "__index");
  }
  lua_setfield(L, -4, "fields");
  lua_setfield(L, -3, "methods");
  lua_setfield(L, -2, "meta");
}
