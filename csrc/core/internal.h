/* internal.h: what the layers under csrc share and hosts do not see. */
#ifndef AL_INTERNAL_H
#define AL_INTERNAL_H
#include "../albedo.h"

struct al_storage {
  _Atomic int32_t refs;
  _Atomic uint32_t version; /* counts in-place writes */
  uint32_t recorded;  /* version after the last in-place write that the graph knows; 0: none */
  const char *writer; /* op of the last in-place write */
  size_t bytes;
  void *data;
  void (*release)(
      void *owner); /* foreign memory: called with `owner` instead of al_release(data) */
  void *owner;
};
al_storage *al_storage_new(size_t bytes);
/* Wraps memory owned elsewhere; `release(owner)` when the last tensor goes. On failure the
 * memory stays the caller's. */
al_storage *al_storage_wrap(void *data, size_t bytes, void (*release)(void *), void *owner);
void al_storage_ref(al_storage *s);
void al_storage_unref(al_storage *s);
al_tensor *al_tensor_on(al_storage *s, al_dtype dtype, int ndim, const int64_t *shape,
                        const int64_t *stride, int64_t offset); /* takes a reference of s */

/* The stored halves and float, bit by bit; to them to the nearest, ties to even. */
float al_from_half(uint16_t h);
float al_from_bfloat(uint16_t h);
uint16_t al_to_half(float f);
uint16_t al_to_bfloat(float f);

/* Everything that belongs to the running thread. */
typedef struct al_context {
  bool no_grad;
  bool described; /* al_invoke has put op and arguments into the message */
  bool wrote;     /* the call at hand has overwritten a tensor: it must not be tried again */
  bool no_memory; /* the failure at hand is an allocation */
  uint8_t watch;  /* AL_WATCH_... */
  uint8_t passes; /* backward passes under way, one within another */
  uint16_t tag;   /* of the blocks made meanwhile: the op at hand, see op/watch.h */
  al_frame *frame;
  uint64_t culprit; /* seq of the node whose gradient failed last */
  al_rng rng;
  bool rng_ready;
} al_context;
/* small, so that it fits the room a loaded module gets beside the program's own thread
 * variables */
extern _Thread_local al_context al_here __attribute__((tls_model("initial-exec")));
/* What failures need of a thread, made at its first one. */
typedef struct al_text {
  char message[1024];             /* the last failure's sentence */
  int plain, plain_size;          /* where in it the cause stands, without op and arguments */
  char ring[8][AL_MAX_DIMS * 21]; /* al_shape_text's results */
  unsigned turn;
} al_text;
al_text *al_thread_text(void);
#define al_message (al_thread_text()->message)

/* A node of the graph: one recorded call. */
typedef struct al_edge {
  al_node *node;   /* producer of the input (owned), or NULL */
  al_tensor *leaf; /* the leaf itself (owned), when it wants a gradient */
  int32_t slot;
  uint8_t dtype, ndim;
  int64_t shape[AL_MAX_DIMS];
} al_edge;
typedef struct al_saved {
  al_tensor *t; /* owned; an output is kept as an alias outside the graph */
  uint32_t version;
} al_saved;
struct al_node {
  _Atomic int32_t refs;
  const al_op *op;
  int nedges, nouts;
  bool freed;         /* a backward pass consumed what was saved */
  uint64_t seq;       /* creation order */
  uint64_t mark;      /* backward pass that reached it */
  bool useful;        /* in that pass: some wanted input lies behind it */
  al_node *next_free; /* list of nodes to destroy */
  al_tensor *gout[AL_MAX_OUTS];
  struct {
    uint8_t dtype, ndim;
    int64_t shape[AL_MAX_DIMS];
  } outs[AL_MAX_OUTS];
  al_saved in[AL_MAX_ARGS], out[AL_MAX_OUTS], extra[AL_MAX_EXTRA];
  int edge0[AL_MAX_ARGS];
  al_arg a[AL_MAX_ARGS]; /* options; tensor entries are NULL */
  int64_t pool[AL_MAX_INTS];
  char text[48];  /* string options */
  al_edge edge[]; /* flattened tensor arguments */
};
void al_node_unref(al_node *n);
int al_record(al_call *c);   /* makes the node of a call whose outputs are ready */
uint64_t al_graph_now(void); /* seq of the node made last, by any thread */
int al_check_view(
    const al_tensor *t); /* -1 when t is a view and was overwritten since it was taken */
int al_check_stale(
    const al_call *c); /* -1 when an input view was overwritten since it was taken */

/* Looking on: op/watch.c. */
enum { AL_WATCH_TIME = 1, AL_WATCH_INF = 2, AL_WATCH_NAN = 4 /* and not infinities */ };
int al_watched(al_call *c);                /* al_invoke, when al_here.watch is set */
int al_invoke_unwatched(al_call *c);       /* the call itself */
int al_watched_gradient(al_back *b);       /* b->node->op->grad(b), likewise */
int al_describe_failure(const al_call *c); /* puts op and arguments into the message; -1 */
/* Bytes each tag held when memory was at its peak; [n]. */
void al_memory_tags(int n, int64_t *bytes);

/* parallel loops: fn(begin, end, context) over [0, n) in pieces of `grain`, whose borders
 * depend on n and grain only */
void al_parallel(int64_t n, int64_t grain, void (*fn)(int64_t, int64_t, void *), void *context);
/* Around a kernel with parallel regions of its own: `int team = al_team_begin(operations)`,
 * then `al_team_end(team, kernel(...))`, which passes the result through. Small work stays on
 * this thread. */
int al_team_begin(int64_t operations);
int al_team_end(int former, int result);
/* description of arguments for error messages, e.g. "x: 8x3 float32, dim=2" */
void al_describe(const al_call *c, char *buffer, size_t size);
#endif
