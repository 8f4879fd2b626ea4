/* registry.c: every op, found by name, with its signature parsed once.
 *
 * Grammar of a signature:
 *   sig    = param* [ "{" param* "}" ] "->" "T"+
 *   param  = name ":" kind ["?"] ["..."] ["=" default]
 *   kind   = T tensor | N tensor or plain number | T* list of tensors | int | num | bool | str
 *          | ints | dim | dims | dtype | rng
 * Parameters before the braces go by position or by name, those within by name only.
 *
 * Grammar of a sample: Lua argument lists, comma separated, in which r(..), pos(..), away(..),
 * unit(..), distinct(..), definite(..), ints(lo, hi, ..), mask(..) make tensors of the shape
 * given (spec/support/samples.lua). */
#include "../core/internal.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

extern al_op *const __start_al_ops[] __attribute__((visibility("hidden")));
extern al_op *const __stop_al_ops[] __attribute__((visibility("hidden")));

/* Only ever added to, under the lock: plugins open in any thread, while others look ops up. */
enum { CAPACITY = 2048 };
static const al_op *all[CAPACITY];
static _Atomic int count;
static bool opened; /* by the first Lua, before there are other threads */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const kinds[] = {"T",    "T*",  "int",  "num",   "bool", "str",
                                    "ints", "dim", "dims", "dtype", "rng"};

static int bad(const al_op *op, const char *at) {
  return al_fail("op %s: signature \"%s\" is wrong at \"%s\"", op->name, op->sig, at);
}

static const char *spaces(const char *s) {
  while (*s == ' ') s++;
  return s;
}

/* Length of the word at s made of characters up to any of `stop`. */
static size_t word(const char *s, const char *stop) { return strcspn(s, stop); }

static int parse_kind(al_param *p, const char *s, size_t n) {
  if (n == 1 && *s == 'N') {
    p->kind = AL_K_TENSOR;
    p->number_ok = true;
    return 0;
  }
  for (int k = 0; k < (int)(sizeof kinds / sizeof *kinds); k++)
    if (strlen(kinds[k]) == n && !strncmp(kinds[k], s, n)) {
      p->kind = (al_kind)k;
      return 0;
    }
  return -1;
}

/* Reads the default after '='; strings are kept as offsets into the signature's copy. */
static int parse_default(al_param *p, const char *s, size_t n) {
  char text[64];
  if (n >= sizeof text) return -1;
  memcpy(text, s, n);
  text[n] = 0;
  p->has_default = true;
  switch (p->kind) {
  case AL_K_INT: p->value.i = atoll(text); break;
  case AL_K_DIM: p->value.i = atoll(text) > 0 ? atoll(text) - 1 : atoll(text); break;
  case AL_K_NUM: p->value.f = strtod(text, NULL); break;
  case AL_K_BOOL: p->value.b = text[0] == 't'; break;
  case AL_K_INTS:
    p->ints[0] = atoll(text);
    p->value.ints.v = p->ints;
    p->value.ints.n = 1;
    break;
  case AL_K_STR: {
    char *copy = malloc(n + 1);
    if (!copy) return -1;
    memcpy(copy, text, n + 1);
    p->value.s = copy;
    break;
  }
  default: return -1;
  }
  return 0;
}

static int parse_param(al_op *op, const char **at, bool named) {
  const char *s = *at;
  if (op->nparams % 4 == 0) { /* room for four more; kept as long as the process */
    al_param *grown = realloc(op->param, (size_t)(op->nparams + 4) * sizeof *grown);
    if (!grown) return -1;
    op->param = grown;
    for (int i = 0; i < op->nparams;
         i++) /* defaults of kind ints point into their own parameter */
      if (op->param[i].value.ints.v && op->param[i].kind == AL_K_INTS)
        op->param[i].value.ints.v = op->param[i].ints;
  }
  al_param *p = &op->param[op->nparams];
  size_t n = word(s, ":");
  if (op->nparams == AL_MAX_ARGS || s[n] != ':' || n >= sizeof p->name) return -1;
  memset(p, 0, sizeof *p);
  memcpy(p->name, s, n);
  p->named = named;
  s += n + 1;
  n = word(s, " ?.=}");
  if (parse_kind(p, s, n)) return -1;
  s += n;
  if (*s == '?') p->optional = true, s++;
  if (!strncmp(s, "...", 3)) p->variadic = true, s += 3;
  if (*s == '=') {
    n = word(++s, " }");
    if (parse_default(p, s, n)) return -1;
    s += n;
  }
  if (p->kind == AL_K_RNG) p->optional = true;
  op->nparams++;
  *at = spaces(s);
  return 0;
}

static int param_index(const al_op *op, const char *s, size_t n) {
  for (int i = 0; i < op->nparams; i++)
    if (strlen(op->param[i].name) == n && !strncmp(op->param[i].name, s, n)) return i;
  return -1;
}

/* "x w/x out": what to keep for the gradient. */
static int parse_save(al_op *op) {
  memset(op->save_for, -1, sizeof op->save_for);
  for (const char *s = spaces(op->save ? op->save : ""); *s; s = spaces(s)) {
    size_t n = word(s, " /");
    if (n >= 3 && !strncmp(s, "out", 3)) {
      op->save_out |= 1u << (n > 3 ? s[3] - '1' : 0);
      s += n;
      continue;
    }
    int i = param_index(op, s, n);
    if (i < 0) return al_fail("op %s: it saves \"%s\", which is no parameter", op->name, s);
    op->save_in |= 1u << i;
    s += n;
    if (*s == '/') {
      n = word(++s, " ");
      int j = param_index(op, s, n);
      if (j < 0)
        return al_fail("op %s: it saves for \"%s\", which is no parameter", op->name, s);
      op->save_for[i] = (int8_t)j;
      s += n;
    }
  }
  return 0;
}

static int parse(al_op *op) {
  op->nparams = op->nouts = 0;
  op->param = NULL;
  const char *s = spaces(op->sig);
  while (*s && *s != '{' && strncmp(s, "->", 2))
    if (parse_param(op, &s, false)) return bad(op, s);
  if (*s == '{') {
    s = spaces(s + 1);
    while (*s && *s != '}')
      if (parse_param(op, &s, true)) return bad(op, s);
    if (*s != '}') return bad(op, s);
    s = spaces(s + 1);
  }
  if (strncmp(s, "->", 2)) return bad(op, s);
  for (s = spaces(s + 2); *s == 'T'; s = spaces(s + 1)) op->nouts++;
  if (*s || op->nouts < 1 || op->nouts > AL_MAX_OUTS) return bad(op, s);
  return parse_save(op);
}

static int add(al_op *op) {
  if (al_op_find(op->name)) return 0;
  if (count == CAPACITY) return al_fail("op registry: more than %d ops", CAPACITY);
  if (parse(op)) return -1;
  all[count] = op;
  count++;
  return 0;
}

int al_register(al_op *const *first, al_op *const *last) {
  int failed = 0;
  pthread_mutex_lock(&lock);
  for (; first < last && !failed; first++) failed = add(*first);
  pthread_mutex_unlock(&lock);
  return failed;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const al_op *const *)a)->name, (*(const al_op *const *)b)->name);
}

int al_registry_open(void) {
  if (opened) return 0;
  if (al_register(__start_al_ops, __stop_al_ops)) return -1;
  qsort(all, (size_t)count, sizeof *all, by_name);
  opened = true;
  return 0;
}

int al_op_count(void) { return count; }
const al_op *al_op_at(int i) { return i >= 0 && i < count ? all[i] : NULL; }

static bool has_alias(const al_op *op, const char *name) {
  size_t n = strlen(name);
  for (const char *s = op->alias; s && *s; s = spaces(s + word(s, " ")))
    if (word(s, " ") == n && !strncmp(s, name, n)) return true;
  return false;
}

const al_op *al_op_find(const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(all[i]->name, name) || has_alias(all[i], name)) return all[i];
  return NULL;
}
