/* binding.h: what the files of the Lua binding share. These are the only files that know Lua.
 *
 * Order in every binding: let Lua allocate (empty boxes, blocks), read the arguments, call the
 * kernel, store or raise. Allocating runs finalizers, which may close scopes, sweep tensors up
 * and change the grad mode: no tensor read before it may be used after it. Nothing of C's is
 * held while Lua may raise. No lua_State is stored anywhere, but to be compared.
 */
#ifndef AL_BINDING_H
#define AL_BINDING_H
#include "../core/internal.h"
#include "compat.h"

/* A tensor as Lua holds it: a box (userdata) that leads to a slot, which owns one reference
 * until its scope closes or the box is gone. Boxes have no finalizer: a call of one costs as
 * much as a small op. Instead a weak table knows which boxes live, and a sweep after each of
 * Lua's collections gives back the slots of the others. */
typedef struct slot {
  al_tensor *t;             /* NULL: empty, or released */
  struct box *box;          /* the box it serves; NULL: free */
  struct slot *next, *prev; /* ring of its scope's slots; points to itself when in none */
  struct scope *in;
  int index; /* of its box in the weak table, from 1 */
} slot;

typedef struct box {
  const struct state
      *owner; /* the state that made it: tells boxes from other userdata of their size */
  slot *at;   /* its own only as long as at->box says so */
} box;

typedef struct scope {
  slot ring;            /* head */
  struct scope *parent; /* kept alive by the user value */
  bool open;
} scope;

/* One a Lua state; upvalue 1 of every function of the binding. */
typedef struct state {
  int box_ref, boxes; /* registry references: the boxes' metatable; index -> box, weak */
  int chunks;         /* registry reference: the slots' memory, userdata in a list */
  slot *free;         /* free slots, by `next` */
  slot *chunk[22];    /* chunk k holds FIRST << k slots: see box.c */
  int nchunks;
  int threads; /* coroutine -> its innermost scope, weak keys */
  int modes;   /* coroutines that do not record, weak keys */
  int open_scopes;
  /* The coroutine whose scope and mode stand here, only ever compared, and those two. */
  const lua_State *scope_of, *mode_of;
  scope *scope;
  bool no_grad;
  int calls_ref;        /* id -> what computes the gradient of a call written in Lua */
  int64_t last_call;    /* the latest of these ids */
  struct home *home;    /* which of them are over: fn.c */
  unsigned closings;    /* scopes closed by hand so far */
  unsigned calls;       /* ops called: the soft limit asks for Lua's heap every so many */
  int64_t limit, slack; /* collect when native + Lua memory passes `limit`: what lived after the
                           last collection, and slack; see al_limit */
  double rested;        /* the time from which another collection is cheap enough */
  char libdir[1024];    /* where lua/albedo was found */
} state;

#define STATE(L) ((state *)lua_touserdata(L, lua_upvalueindex(1)))

/* box.c */
slot *al_push_box(lua_State *L, state *st); /* pushes an empty box, in the innermost scope */
void al_fill(slot *s, al_tensor *t);        /* takes the caller's reference */
void al_push_tensor(lua_State *L, state *st, al_tensor *t,
                    bool held); /* borrows t; its box, or a new one; held: in no scope */
bool al_push_live_box(lua_State *L, state *st,
                      const al_tensor *t); /* false, and nothing pushed: t has none */
bool al_is_box(lua_State *L, const state *st, int i);
slot *al_to_slot(lua_State *L, const state *st,
                 int i); /* NULL when not a tensor, or a released one */
al_tensor *al_to_tensor(lua_State *L, state *st,
                        int i); /* NULL when not a tensor; raises when released */
al_tensor *al_check_tensor(lua_State *L, state *st, int i, const char *who);
void al_release_slot(slot *s); /* lets go of its tensor, which then reads as released */
void al_limit(lua_State *L, state *st);         /* the soft limit: may collect */
void al_lower_limit(lua_State *L, state *st);   /* after much was let go */
void al_collect_large(lua_State *L, state *st); /* before a backward pass */
void al_mode(lua_State *L, state *st);  /* grad mode of the coroutine; after the last allocation
                                           of  Lua's before the kernel is called */
void al_enter(lua_State *L, state *st); /* both, where nothing is allocated in between */
void al_collect(lua_State *L, state *st); /* a full collection, unreachable tensors included */
void al_set_mode(lua_State *L, state *st, bool on); /* whether this coroutine records */
void al_open_boxes(lua_State *L, state *st);        /* the state is on top of the stack */
/* error.c */
int al_raise(lua_State *L, state *st, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int al_raise_kernel(lua_State *L, state *st); /* the kernel's message */
void al_push_where(lua_State *L, state *st);  /* "file:line: " of the script, or "" */
/* watch.c */
void al_note_lines(lua_State *L, state *st,
                   uint64_t since); /* when al_here.watch: who recorded the latest calls */
int al_raise_backward(lua_State *L, state *st, const char *who);
void al_push_by_op(lua_State *L); /* op -> bytes at the peak of memory */
void al_open_watch(lua_State *L, int state_index);
/* scope.c */
scope *al_current_scope(lua_State *L, state *st);
void al_link_slot(slot *s, scope *in);                         /* NULL: out of all scopes */
void al_open_scopes(lua_State *L, state *st, int state_index); /* adds to the table on top */
/* fn.c */
int al_cpcall(lua_State *L, lua_CFunction f, void *argument); /* lua_pcall that never raises */
int al_backward_from(lua_State *L, state *st, int nroots, al_tensor **roots,
                     al_tensor **cotangents, int ninputs, al_tensor **inputs, al_tensor **out,
                     int flags); /* al_backward, for gradients written in Lua to find L */
void al_sweep_calls(lua_State *L, state *st);
void al_open_fn(lua_State *L, state *st, int state_index);
/* call.c */
void al_push_op(lua_State *L, int state_index, const al_op *op, const char *called,
                bool inplace);
void al_open_ops(lua_State *L, int state_index, al_op *const *first,
                 al_op *const *last); /* into the table on top */
/* index.c, tensor.c, module.c */
int al_tensor_index(lua_State *L);
int al_tensor_newindex(lua_State *L);
void al_open_tensor(lua_State *L,
                    int state_index); /* module functions on tensors, into the table on top */
al_tensor **al_read_tensors(lua_State *L, int i, const char *who, const char *what,
                            int *n); /* a tensor or a list of them, in a block of Lua's */
void al_open_autograd(lua_State *L, int state_index);
void al_open_system(lua_State *L, int state_index);
void al_open_workers(lua_State *L, int state_index);
int luaopen_albedo(lua_State *L);
void al_set_functions(lua_State *L, int state_index,
                      const luaL_Reg *r); /* with the state as upvalue */
#endif
