/* worker.c: threads with Lua states of their own. Messages between them are a text and tensors;
 * what a text says is lua/albedo/data/cross.lua's business.
 *
 * A tensor crosses as an alias: an al_tensor of its own on the shared storage, whose reference
 * count is atomic. A message belongs to whoever holds it, so nothing else needs a lock than the
 * pool's lists. */
#include "binding.h"
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct message {
  struct message *next;
  int64_t id;
  bool failed; /* the text is an error's */
  size_t size;
  char *text;
  int n;
  al_tensor *t[]; /* owned */
} message;

enum { MOST = 256 };
typedef struct pool {
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  bool stop, broken; /* broken: a thread ended for want of memory, and its job is lost */
  int started;
  message *setup; /* read by every worker: never changed */
  message *jobs, **last, *results;
  pthread_t thread[MOST];
} pool;

#define META "albedo.workers"

static void drop(message *m) {
  if (!m) return;
  for (int k = 0; k < m->n; k++) al_unref(m->t[k]);
  al_free(m->text);
  al_free(m);
}
static void drop_all(message *m) {
  while (m) {
    message *next = m->next;
    drop(m);
    m = next;
  }
}

/* A message of this text with room for n tensors, which are counted as they are put in. */
static message *new_message(int64_t id, const char *text, size_t size, int n) {
  message *m = al_malloc(sizeof *m + (size_t)n * sizeof *m->t);
  if (!m) return NULL;
  *m = (message){.id = id, .size = size, .text = al_malloc(size + 1)};
  if (!m->text) return al_free(m), NULL;
  memcpy(m->text, text, size);
  m->text[size] = 0;
  return m;
}

/* A message of the text at i and the list of tensors at i + 1 of the stack; NULL with an error
 * set. Allocates nothing of Lua's. */
static message *read_message(lua_State *L, state *st, int i, int64_t id) {
  size_t size;
  const char *text = lua_tolstring(L, i, &size);
  int n = lua_istable(L, i + 1) ? (int)lua_rawlen(L, i + 1) : 0;
  message *m = new_message(id, text ? text : "", text ? size : 0, n);
  for (int k = 0; m && k < n; k++) {
    lua_rawgeti(L, i + 1, k + 1);
    slot *s = al_to_slot(L, st, -1);
    lua_pop(L, 1);
    al_tensor *t = s ? al_detach(s->t) : al_null("a tensor was released on its way");
    if (!t) return drop(m), NULL;
    m->t[m->n++] = t;
  }
  return m;
}

/* Pushes the text and the list of tensors. Each worker aliases those of the setup; a result's
 * are taken out of it. */
static void push_message(lua_State *L, state *st, message *m, bool take) {
  lua_pushlstring(L, m->text, m->size);
  lua_createtable(L, m->n, 0);
  for (int k = 0; k < m->n; k++) {
    slot *s = al_push_box(L, st);
    al_tensor *t = take ? m->t[k] : al_detach(m->t[k]);
    if (!t) al_raise_kernel(L, st);
    if (take) m->t[k] = NULL;
    al_fill(s, t);
    lua_rawseti(L, -2, k + 1);
  }
}

/* ---- a worker ---- */

static state *state_of(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "albedo.state");
  state *st = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return st;
}

/* Opens this Lua and leaves the function that does jobs: (job) -> text, tensors, scope. */
static int prepare(lua_State *L) {
  message *setup = lua_touserdata(L, 1);
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_albedo);
  lua_setfield(L, -2, "albedo");
  lua_getglobal(L, "require");
  lua_pushvalue(L, -1);
  lua_pushliteral(L, "albedo");
  lua_call(L, 1, 0);
  lua_pushliteral(L, "albedo.data.worker");
  lua_call(L, 1, 1);
  push_message(L, state_of(L), setup, false);
  lua_call(L, 2, 1);
  return 1;
}

/* The text of the error on top, as a failure. */
static message *failure(lua_State *L, int64_t id) {
  const char *text = lua_tostring(L, -1);
  if (!text) text = "not enough memory";
  message *m = new_message(id, text, strlen(text), 0);
  if (m) m->failed = true;
  return m;
}

/* One job, and what came of it; read by job_body, which runs protected. */
typedef struct task {
  const message *job;
  message *out;
} task;

/* (handler, task) */
static int job_body(lua_State *L) {
  task *t = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_pushlstring(L, t->job->text, t->job->size);
  lua_call(L, 1, 3);
  t->out = read_message(L, state_of(L), 1, t->job->id);
  if (!t->out) al_raise_kernel(L, state_of(L));
  lua_getfield(L, 3, "close"); /* of the batch's scope */
  lua_pushvalue(L, 3);
  lua_call(L, 1, 0);
  return 0;
}

/* The handler is at 1. */
static message *do_job(lua_State *L, const message *job) {
  task t = {.job = job};
  lua_pushcfunction(L, job_body);
  lua_pushvalue(L, 1);
  lua_pushlightuserdata(L, &t);
  if (lua_pcall(L, 2, 0, 0)) {
    drop(t.out);
    t.out = failure(L, job->id);
  }
  lua_settop(L, 1);
  return t.out;
}

static message *next_job(pool *p) {
  pthread_mutex_lock(&p->lock);
  while (!p->stop && !p->jobs) pthread_cond_wait(&p->work, &p->lock);
  message *job = p->stop ? NULL : p->jobs;
  if (job && !(p->jobs = job->next)) p->last = &p->jobs;
  pthread_mutex_unlock(&p->lock);
  return job;
}

/* NULL: no memory for a result; the thread ends, and take() says so. */
static bool hand_in(pool *p, message *m) {
  pthread_mutex_lock(&p->lock);
  if (m) {
    m->next = p->results;
    p->results = m;
  } else {
    p->broken = true;
  }
  pthread_cond_broadcast(&p->done);
  pthread_mutex_unlock(&p->lock);
  return m;
}

static void *work(void *context) {
  pool *p = context;
  al_set_threads(1);
  lua_State *L = luaL_newstate();
  if (L) {
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, p->setup);
    bool ready = !lua_pcall(L, 1, 1, 0); /* else its message stands there */
    for (message *job; (job = next_job(p));) {
      message *m = ready ? do_job(L, job) : failure(L, job->id);
      drop(job);
      if (!hand_in(p, m)) break;
    }
    lua_close(L);
  } else {
    hand_in(p, NULL);
  }
  return NULL;
}

/* ---- the side that asks ---- */

static pool *check_pool(lua_State *L) { return luaL_checkudata(L, 1, META); }

/* Ends the threads, after the jobs at hand, and forgets all messages. Also when collected. */
static int workers_close(lua_State *L) {
  pool *p = check_pool(L);
  pthread_mutex_lock(&p->lock);
  p->stop = true;
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->lock);
  for (; p->started > 0; p->started--) pthread_join(p->thread[p->started - 1], NULL);
  drop_all(p->jobs);
  drop_all(p->results);
  drop(p->setup);
  p->jobs = p->results = p->setup = NULL;
  p->last = &p->jobs;
  return 0;
}

/* workers_open(n, text, tensors) -> n threads, each of which calls require
 * "albedo.data.worker"(text, tensors) and what that returns for each job */
static int workers_open(lua_State *L) {
  state *st = STATE(L);
  int64_t n = luaL_checkinteger(L, 1);
  luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  if (n < 1 || n > MOST)
    return al_raise(L, st, "workers: 1 to %d, got %lld", MOST, (long long)n);
  pool *p = lua_newuserdata(L, sizeof *p);
  memset(p, 0, sizeof *p);
  p->last = &p->jobs;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  pthread_cond_init(&p->done, NULL);
  luaL_setmetatable(L, META);
  p->setup = read_message(L, st, 2, 0);
  if (!p->setup) return al_raise_kernel(L, st);
  sigset_t all, former; /* signals are the main thread's */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &former);
  while (p->started < n && !pthread_create(&p->thread[p->started], NULL, work, p)) p->started++;
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  if (p->started < n)
    return al_raise(L, st, "workers: thread %d cannot be started", p->started + 1);
  return 1;
}

/* workers:submit(id, text): a job, done in the order of submission */
static int workers_submit(lua_State *L) {
  pool *p = check_pool(L);
  size_t size;
  const char *text = luaL_checklstring(L, 3, &size);
  message *m = new_message(luaL_checkinteger(L, 2), text, size, 0);
  if (!m) return al_raise_kernel(L, STATE(L));
  pthread_mutex_lock(&p->lock);
  *p->last = m;
  p->last = &m->next;
  pthread_cond_signal(&p->work);
  pthread_mutex_unlock(&p->lock);
  return 0;
}

/* Where the result of that job is linked, or NULL. */
static message **find(pool *p, int64_t id) {
  message **at = &p->results;
  while (*at && (*at)->id != id) at = &(*at)->next;
  return *at ? at : NULL;
}

static int push_taken(lua_State *L) {
  message *m = lua_touserdata(L, 1);
  push_message(L, state_of(L), m, true);
  return 2;
}

/* workers:take(id) -> text, tensors; or nil, the error's text. Waits for the job. */
static int workers_take(lua_State *L) {
  pool *p = check_pool(L);
  int64_t id = luaL_checkinteger(L, 2);
  al_limit(L, STATE(L));
  message **at, *m = NULL;
  pthread_mutex_lock(&p->lock);
  while (!(at = find(p, id)) && !p->broken && !p->stop) pthread_cond_wait(&p->done, &p->lock);
  if (at) m = *at, *at = m->next;
  pthread_mutex_unlock(&p->lock);
  if (!m) return al_raise(L, STATE(L), "workers: out of memory, one has ended");
  lua_pushcfunction(L, push_taken);
  lua_pushlightuserdata(L, m);
  bool failed = m->failed;
  int wrong = lua_pcall(L, 1, 2, 0);
  drop(m);
  if (wrong) return lua_error(L);
  if (failed) {
    lua_pushnil(L);
    lua_pushvalue(L, -3);
  }
  return 2;
}

void al_open_workers(lua_State *L, int state_index) {
  static const luaL_Reg methods[] = {{"submit", workers_submit},
                                     {"take", workers_take},
                                     {"close", workers_close},
                                     {"__gc", workers_close},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"workers_open", workers_open}, {NULL, NULL}};
  al_set_functions(L, state_index, functions);
  if (luaL_newmetatable(L, META)) {
    al_set_functions(L, state_index, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}
