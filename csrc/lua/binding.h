/* binding.h: what the files of the Lua binding share. These are the only files that know Lua.
 *
 * Order in every binding: parse everything, push empty boxes, call the kernel, store or raise.
 * Parsing and pushing may raise; nothing of C's is held then. No lua_State is stored anywhere.
 */
#ifndef AL_BINDING_H
#define AL_BINDING_H
#include "../core/internal.h"
#include <lauxlib.h>
#include <lua.h>

/* A tensor as Lua holds it: the box owns one reference, until its scope closes or it is
 * collected. */
typedef struct box {
  const struct state
      *owner;   /* the state that made it: tells boxes from other userdata of their size */
  al_tensor *t; /* NULL: released */
  struct box *next, *prev; /* ring of its scope's boxes; points to itself when in none */
  struct scope *in;
} box;

typedef struct scope {
  box ring;             /* head */
  struct scope *parent; /* kept alive by the user value */
  bool open;
} scope;

/* One a Lua state; upvalue 1 of every function of the binding. */
typedef struct state {
  int box_ref, boxes; /* registry references: the boxes' metatable; tensor -> box, weak */
  int threads;        /* coroutine -> its innermost scope, weak keys */
  int open_scopes;
  unsigned closings;    /* scopes closed by hand so far */
  unsigned calls;       /* ops called: the soft limit asks for Lua's heap every so many */
  int64_t limit, slack; /* collect when native + Lua memory passes `limit`; it is then live +
                           max(slack, live) */
  char libdir[1024];    /* where lua/albedo was found */
} state;

#define STATE(L) ((state *)lua_touserdata(L, lua_upvalueindex(1)))

/* box.c */
box *al_push_box(lua_State *L, state *st); /* pushes an empty box, in the innermost scope */
void al_fill_box(box *b, al_tensor *t);    /* a new tensor: b takes the caller's reference */
void al_publish_box(lua_State *L, state *st,
                    int i); /* the tensor at i may come back from C: its box must be found */
void al_push_tensor(lua_State *L, state *st, al_tensor *t,
                    bool held); /* borrows t; held: in no scope */
al_tensor *al_to_tensor(lua_State *L, state *st,
                        int i); /* NULL when not a tensor; raises when released */
al_tensor *al_check_tensor(lua_State *L, state *st, int i, const char *who);
box *al_to_box(lua_State *L, state *st, int i);
void al_release_box(box *b);
void al_unlink_box(box *b);
void al_collect_if_over(lua_State *L, state *st); /* the soft limit */
void al_open_boxes(lua_State *L, state *st);
/* error.c */
int al_raise(lua_State *L, state *st, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int al_raise_kernel(lua_State *L, state *st); /* the kernel's message */
/* scope.c */
scope *al_current_scope(lua_State *L, state *st);
void al_open_scopes(lua_State *L, state *st, int state_index); /* adds to the table on top */
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
void al_open_autograd(lua_State *L, int state_index);
void al_open_system(lua_State *L, int state_index);
void al_set_functions(lua_State *L, int state_index,
                      const luaL_Reg *r); /* with the state as upvalue */
#endif
