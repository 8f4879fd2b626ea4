/* system.c: memory, threads, seeds, the registry as data, plugins, signals. */
#define _GNU_SOURCE
#include "../core/isa.h"
#include "../op/linear.h"
#include "binding.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void put(lua_State *L, const char *name, int64_t v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, name);
}

/* memory() -> {live, cached, peak (bytes), blocks (count), limit, resident, by_op}; by_op:
 * bytes of the peak by the op that made them, as far as al.profile looked on */
static int memory(lua_State *L) {
  al_memory_info m = al_memory();
  lua_createtable(L, 0, 6);
  put(L, "live", m.live);
  put(L, "cached", m.cached);
  put(L, "peak", m.peak);
  put(L, "blocks", m.blocks);
  put(L, "limit", STATE(L)->limit);
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f) {
    if (fscanf(f, "%*s %ld", &pages) != 1) pages = 0;
    fclose(f);
  }
  put(L, "resident", (int64_t)pages * 4096);
  al_push_by_op(L);
  lua_setfield(L, -2, "by_op");
  return 1;
}

static int memory_trim(lua_State *L) {
  (void)L;
  al_memory_trim();
  return 0;
}
static int memory_reset_peak(lua_State *L) {
  (void)L;
  al_memory_reset_peak();
  return 0;
}

/* memory_limit([slack bytes]) -> former: how much may be made beyond what lived after the last
 * collection */
static int memory_limit(lua_State *L) {
  state *st = STATE(L);
  int64_t former = st->slack;
  if (!lua_isnoneornil(L, 1)) {
    st->slack = luaL_checkinteger(L, 1);
    st->limit = al_live_bytes() + (int64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + st->slack;
  }
  lua_pushinteger(L, former);
  return 1;
}

static int fault_after(lua_State *L) {
  al_fault_after(luaL_checkinteger(L, 1), luaL_optinteger(L, 2, 1));
  return 0;
}

/* threads([n]) -> number of threads ops use */
static int threads(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) {
    int64_t n = luaL_checkinteger(L, 1);
    if (n < 1 || n > 1024)
      return al_raise(L, STATE(L), "threads: 1 to 1024, got %lld", (long long)n);
    al_set_threads((int)n);
  }
  lua_pushinteger(L, al_threads());
  return 1;
}

/* ---- random numbers ---- */
static int seed(lua_State *L) {
  al_rng_seed(al_rng_default(), (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}

static al_rng *push_generator(lua_State *L) {
  al_rng *r = lua_newuserdata(L, sizeof *r);
  luaL_setmetatable(L, "albedo.generator");
  return r;
}

/* generator(seed) -> a stream of random numbers of its own */
static int generator(lua_State *L) {
  uint64_t s = (uint64_t)luaL_checkinteger(L, 1);
  al_rng_seed(push_generator(L), s);
  return 1;
}

/* 64 bits as decimal text: a number of LuaJIT's holds 53 of them, and a state goes from one Lua
 * to the other in a checkpoint. */
static void push_bits(lua_State *L, uint64_t v) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)v);
  lua_pushstring(L, text);
}

/* Those bits; or a whole number, as checkpoints of Lua 5.4 held them once. */
static uint64_t check_bits(lua_State *L, int i) {
  if (lua_type(L, i) == LUA_TNUMBER) {
    lua_Number v = lua_tonumber(L, i);
    if (sizeof(lua_Integer) == 8 && LUA_VERSION_NUM >= 503)
      return (uint64_t)luaL_checkinteger(L, i);
    if (v >= -0x1p53 && v <= 0x1p53) return (uint64_t)(int64_t)v;
    al_raise(L, STATE(L),
             "the random state is of a checkpoint that only Lua 5.4 reads exactly");
  }
  return strtoull(luaL_checkstring(L, i), NULL, 10);
}

/* generator:state([{key, counter}]) -> {key, counter}, as text; without a generator, the
 * default stream
 */
static int rng_state(lua_State *L) {
  al_rng *r = luaL_testudata(L, 1, "albedo.generator");
  int i = r ? 2 : 1;
  if (!r) r = al_rng_default();
  if (lua_istable(L, i)) {
    lua_rawgeti(L, i, 1);
    lua_rawgeti(L, i, 2);
    uint64_t key = check_bits(L, -2);
    r->counter = check_bits(L, -1);
    r->key = key;
  }
  lua_createtable(L, 2, 0);
  push_bits(L, r->key);
  lua_rawseti(L, -2, 1);
  push_bits(L, r->counter);
  lua_rawseti(L, -2, 2);
  return 1;
}

/* ---- the registry as data ---- */
static void set_text(lua_State *L, const char *name, const char *v) {
  if (!v) return;
  lua_pushstring(L, v);
  lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool on) {
  lua_pushboolean(L, on);
  lua_setfield(L, -2, name);
}

static void push_params(lua_State *L, const al_op *op) {
  static const char *const kinds[] = {"tensor", "tensors", "int",  "num",   "bool", "str",
                                      "ints",   "dim",     "dims", "dtype", "rng"};
  lua_createtable(L, op->nparams, 0);
  for (int k = 0; k < op->nparams; k++) {
    const al_param *p = &op->param[k];
    lua_createtable(L, 0, 6);
    set_text(L, "name", p->name);
    set_text(L, "kind", kinds[p->kind]);
    set_flag(L, "optional", p->optional || p->has_default);
    set_flag(L, "named", p->named);
    set_flag(L, "variadic", p->variadic);
    set_flag(L, "number", p->number_ok);
    lua_rawseti(L, -2, k + 1);
  }
}

/* registry() -> list of {name, signature, doc, sample, alias, params, outputs, differentiable,
 * inplace, random, view, hidden} */
static int registry(lua_State *L) {
  lua_createtable(L, al_op_count(), 0);
  for (int i = 0; i < al_op_count(); i++) {
    const al_op *op = al_op_at(i);
    lua_createtable(L, 0, 12);
    set_text(L, "name", op->name);
    set_text(L, "signature", op->sig);
    set_text(L, "doc", op->doc);
    set_text(L, "sample", op->sample);
    set_text(L, "alias", op->alias);
    set_flag(L, "differentiable", !(op->flags & AL_F_NODIFF));
    set_flag(L, "inplace", op->flags & AL_F_INPLACE);
    set_flag(L, "random", op->flags & AL_F_RANDOM);
    set_flag(L, "view", op->flags & AL_F_VIEW);
    set_flag(L, "hidden", op->flags & AL_F_HIDDEN);
    put(L, "outputs", op->nouts);
    push_params(L, op);
    lua_setfield(L, -2, "params");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- plugins ---- */
typedef void (*plugin_ops)(al_op *const **first, al_op *const **last);

/* plugin(name) -> table of its functions. Opens native/NAME.so beside the Lua files, at first
 * use. */
static int plugin(lua_State *L) {
  state *st = STATE(L);
  const char *name = luaL_checkstring(L, 1);
  if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
    return al_raise(L, st, "plugin: \"%s\" is no name", name);
  lua_pushfstring(L, "%s/native/%s.so", st->libdir, name);
  void *so = dlopen(lua_tostring(L, -1), RTLD_NOW | RTLD_LOCAL);
  if (!so) return al_raise(L, st, "plugin %s cannot be opened: %s", name, dlerror());
  plugin_ops ops;
  *(void **)&ops = dlsym(so, "al_plugin_ops");
  if (!ops) return al_raise(L, st, "plugin %s has no al_plugin_ops", name);
  al_op *const *first, *const *last;
  ops(&first, &last);
  if (al_register(first, last)) return al_raise_kernel(L, st);
  lua_newtable(L);
  al_open_ops(L, lua_upvalueindex(1), first, last);
  return 1;
}

/* winograd([on]) -> whether 3x3 convolutions of float32 may use Winograd's algorithm; sets it
 */
static int winograd(lua_State *L) {
  lua_pushboolean(L, al_winograd_on());
  if (!lua_isnoneornil(L, 1)) al_winograd(lua_toboolean(L, 1));
  return 1;
}

/* system() -> {version, isa, blas, blas_forced, path, threads} */
static int system_info(lua_State *L) {
  const char *forced = getenv("OPENBLAS_CORETYPE");
  lua_createtable(L, 0, 6);
  set_text(L, "blas", al_blas_name());
  if (forced && *forced) set_text(L, "blas_forced", forced);
  set_text(L, "version", AL_VERSION);
  set_text(L, "isa", al_isa_name());
  set_text(L, "path", STATE(L)->libdir);
  put(L, "threads", al_threads());
  return 1;
}

/* clock() -> seconds by the wall, from an arbitrary start */
static int wall_clock(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec), 1;
}

/* ---- what a training needs of the system ---- */
static volatile sig_atomic_t signals_seen;
static void note_signal(int s) { (void)s, signals_seen = 1; }

/* interrupts([on]) -> whether SIGINT or SIGTERM came since they were caught. true: from now on
 * the first of each is only noted, the next ends the process; false: as it was before. */
static int interrupts(lua_State *L) {
  static const int which[] = {SIGINT, SIGTERM};
  static struct sigaction former[2];
  static bool on;
  bool keep = lua_isnoneornil(L, 1) || lua_toboolean(L, 1) == on;
  lua_pushboolean(L, signals_seen != 0);
  if (keep) return 1;
  on = !on;
  signals_seen = 0;
  struct sigaction note = {.sa_handler = note_signal,
                           .sa_flags = SA_RESTART | (int)SA_RESETHAND};
  sigemptyset(&note.sa_mask);
  for (int i = 0; i < 2; i++)
    if (on) sigaction(which[i], &note, &former[i]);
    else sigaction(which[i], &former[i], NULL);
  return 1;
}

/* sync(path) -> true once a file's, or a folder's names', changes are on the disk, else false
 */
static int sync_path(lua_State *L) {
  int fd = open(luaL_checkstring(L, 1), O_RDONLY | O_CLOEXEC);
  lua_pushboolean(L, fd >= 0 && !fsync(fd));
  if (fd >= 0) close(fd);
  return 1;
}

/* lock(path) -> a number for unlock: this call alone holds the file, which is made where it is
 * missing and tells the process; false while another holds it; nil, reason. The system frees it
 * when the process ends, however it does. A file system without locks lets all have it. */
static int lock_path(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  for (;;) {
    struct stat mine, named;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return lua_pushnil(L), lua_pushstring(L, strerror(errno)), 2;
    bool taken = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
    bool same = !fstat(fd, &mine) && !stat(path, &named) && mine.st_ino == named.st_ino;
    if (!taken && same) {
      if (!ftruncate(fd, 0)) dprintf(fd, "%ld\n", (long)getpid());
      return lua_pushinteger(L, fd), 1;
    }
    close(fd);
    if (taken) return lua_pushboolean(L, 0), 1;
  } /* its holder removed the file in between: that lock is worth nothing */
}

/* unlock(path, number): frees the lock and removes its file. */
static int unlock_path(lua_State *L) {
  unlink(luaL_checkstring(L, 1));
  close((int)luaL_checkinteger(L, 2));
  return 0;
}

/* set_hook(name, value): "call" = the function modules are called through, "path" = module ->
 * dotted path, "calls" = what is told of each call, see watch */
static int set_hook(lua_State *L) {
  lua_pushfstring(L, "albedo.%s", luaL_checkstring(L, 1));
  lua_pushvalue(L, 2);
  lua_settable(L, LUA_REGISTRYINDEX);
  return 0;
}

/* raise(message): an error at the script's line */
static int raise_message(lua_State *L) {
  return al_raise(L, STATE(L), "%s", luaL_checkstring(L, 1));
}

void al_open_system(lua_State *L, int state_index) {
  static const luaL_Reg functions[] = {{"memory", memory},
                                       {"memory_trim", memory_trim},
                                       {"memory_reset_peak", memory_reset_peak},
                                       {"memory_limit", memory_limit},
                                       {"fault_after", fault_after},
                                       {"threads", threads},
                                       {"seed", seed},
                                       {"generator", generator},
                                       {"rng_state", rng_state},
                                       {"registry", registry},
                                       {"plugin", plugin},
                                       {"system", system_info},
                                       {"set_hook", set_hook},
                                       {"raise", raise_message},
                                       {"clock", wall_clock},
                                       {"winograd", winograd},
                                       {"interrupts", interrupts},
                                       {"sync", sync_path},
                                       {"lock", lock_path},
                                       {"unlock", unlock_path},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {{"state", rng_state}, {NULL, NULL}};
  al_set_functions(L, state_index, functions);
  if (luaL_newmetatable(L, "albedo.generator")) {
    lua_newtable(L);
    al_set_functions(L, state_index, methods);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}
