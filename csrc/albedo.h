/* albedo.h: the public C API of Albedo, tensors and autograd on the CPU.
 *
 * Conventions
 *   Failure    A function returning a pointer gives NULL, one returning int gives -1;
 * al_error() then holds one sentence. Every function taking a tensor passes a NULL tensor
 * through as a failure already reported, so expressions nest: al_mul(g, al_exp(x)). Ownership
 * A tensor is reference counted. With no frame open, the caller owns each tensor returned and
 * gives it back by al_unref. Inside a frame (al_frame_open ... al_frame_close) every tensor
 * made belongs to the frame; take a reference (al_ref) of what must outlive it. Op bodies and
 * gradients always run inside a frame and never call al_unref. Counting   C counts dims from 0
 * (negative from the end). Positions stored IN tensors (indices, labels, argmax) count from 1,
 * as the scripts see them. Threads    One thread works on one graph at a time. Storage
 * reference counts are atomic.
 */
#ifndef ALBEDO_H
#define ALBEDO_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AL_VERSION "0.1.0"
#define AL_MAX_DIMS 8
#define AL_MAX_ARGS 16 /* parameters of one op */
#define AL_MAX_OUTS 4
#define AL_MAX_INTS 32 /* integers in all list parameters of one call */
#define AL_MAX_EXTRA 4 /* further tensors an op saves for its gradient */

/* In promotion order: the larger of two is what an operation on both computes in. float16 and
 * bfloat16 are for storage: only ops marked AL_F_HALF take them, and they carry no gradient. */
typedef enum al_dtype {
  AL_BOOL,
  AL_UINT8,
  AL_INT32,
  AL_INT64,
  AL_FLOAT32,
  AL_FLOAT64,
  AL_FLOAT16,
  AL_BFLOAT16,
  AL_DTYPES
} al_dtype;

typedef struct al_storage al_storage;
typedef struct al_tensor al_tensor;
typedef struct al_node al_node;
typedef struct al_op al_op;
typedef struct al_call al_call;
typedef struct al_back al_back;
typedef struct al_rng {
  uint64_t key, counter;
} al_rng; /* one Philox stream: see core/random.c */

/* ---- tensors -------------------------------------------------------------------------------
 */
struct al_tensor {
  _Atomic int32_t refs;
  uint8_t dtype, ndim;
  bool requires_grad; /* a leaf asked for, or the result of, a recorded op */
  bool wrapped;       /* made from a plain number: yields to tensors in promotion */
  bool view;          /* shares the storage of another tensor of the graph */
  bool retains_grad;  /* a non-leaf whose .grad is kept */
  bool inlaid;        /* lies in its storage's block, which frees it */
  int32_t slot;       /* which output of `node` this is */
  uint32_t version;   /* the storage's version when this view was taken */
  int64_t shape[AL_MAX_DIMS], stride[AL_MAX_DIMS], offset; /* in elements */
  al_storage *storage;
  al_node *node;   /* producer, or NULL for a leaf */
  al_tensor *grad; /* gradient of a leaf, or NULL */
  void *host;      /* the host language's handle, not owned */
};

al_tensor *al_empty(al_dtype dtype, int ndim,
                    const int64_t *shape);                    /* contiguous, uninitialised */
al_tensor *al_empty_like(const al_tensor *x, al_dtype dtype); /* contiguous, x's shape */
al_tensor *al_zeros(al_dtype dtype, int ndim, const int64_t *shape);
al_tensor *al_scalar(double value, al_dtype dtype); /* 0-dim */
al_tensor *al_number(double value);                 /* 0-dim float, yields in promotion */
al_tensor *al_integer(int64_t value);               /* 0-dim int64, yields in promotion */
al_tensor *al_ref(al_tensor *t);                    /* takes a reference; NULL stays NULL */
void al_unref(al_tensor *t);

/* A tensor on t's storage with another geometry; not recorded. */
al_tensor *al_alias(al_tensor *t, int ndim, const int64_t *shape, const int64_t *stride,
                    int64_t offset);
al_tensor *al_detach(al_tensor *t); /* the same values outside the graph, sharing storage */

int64_t al_numel(const al_tensor *t);
bool al_is_contiguous(const al_tensor *t);
bool al_same_shape(const al_tensor *a, const al_tensor *b);
void *al_data(const al_tensor *t); /* address of the first element */
uint32_t al_version_of(const al_tensor *t);
void al_bump(al_tensor *t, const char *writer); /* note an in-place write by op `writer` */

double al_get(const al_tensor *t, int64_t offset); /* element at an element offset, as double */
int64_t al_get_int(const al_tensor *t, int64_t offset); /* same, as integer (floats truncate) */
void al_set(al_tensor *t, int64_t offset, double value); /* no version bump */
void al_set_int(al_tensor *t, int64_t offset, int64_t value);
int al_copy(al_tensor *dst,
            const al_tensor *src); /* dst[...] = src, broadcasting and casting */
al_tensor *al_fresh_contiguous(al_tensor *t,
                               al_dtype dtype); /* a new contiguous copy, cast; not recorded */
al_tensor *al_dense(
    al_tensor *t,
    al_dtype dtype); /* t itself when contiguous and of that dtype, else a copy; not recorded */

/* ---- dtypes --------------------------------------------------------------------------------
 */
size_t al_dtype_size(al_dtype d);
const char *al_dtype_name(al_dtype d);
int al_dtype_parse(const char *name); /* -1 and an error when unknown */
static inline bool al_is_float(int d) { return d == AL_FLOAT32 || d == AL_FLOAT64; }
static inline bool al_is_half(int d) { return d >= AL_FLOAT16; }
al_dtype al_promote(
    int n,
    al_tensor *const *t); /* PyTorch's rule: dims beat 0-dim beat numbers, category first */

/* ---- shapes --------------------------------------------------------------------------------
 */
int al_dim(int64_t d, int ndim,
           int *out); /* resolves a negative dim; -1 and an error when out of range */
int al_broadcast(int n, al_tensor *const *t, int *ndim, int64_t *shape);
int64_t al_product(int n, const int64_t *v);
const char *al_shape_text(
    int ndim,
    const int64_t *shape); /* "8x3x32x32", "scalar"; in a ring of thread-local buffers */

/* ---- frames --------------------------------------------------------------------------------
 */
typedef struct al_frame {
  struct al_frame *up;
  al_tensor **v;
  int n, cap;
  al_tensor *small[24];
} al_frame;
void al_frame_open(al_frame *f);
void al_frame_close(al_frame *f); /* gives back every tensor made since it opened */
al_tensor *
al_adopt(al_tensor *t); /* hands the caller's reference to the open frame, if there is one */

/* ---- errors --------------------------------------------------------------------------------
 */
int al_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* always -1 */
void *al_null(const char *format, ...) __attribute__((format(printf, 1, 2))); /* always NULL */
const char *al_error(void);
void al_error_clear(void);
bool al_out_of_memory(void); /* the last failure was an allocation */

/* ---- memory --------------------------------------------------------------------------------
 */
void *
al_alloc(size_t bytes); /* 64-byte aligned, from the block cache; NULL with an error set */
void al_release(void *block);  /* NULL is fine */
void *al_malloc(size_t bytes); /* small bookkeeping objects: counted, fault-injected malloc */
void al_free(void *p);
typedef struct al_memory_info {
  int64_t live, cached, peak, blocks;
} al_memory_info; /* bytes; count of live blocks */
al_memory_info al_memory(void);
int64_t al_live_bytes(void); /* the first of these, without a lock */
void al_memory_trim(void);   /* give cached blocks back to the system */
void al_memory_reset_peak(void);
void al_fault_after(
    int64_t n,
    int64_t count); /* from the n-th allocation on, `count` of them fail; n = 0: none */

/* ---- threads, instruction sets, random numbers ----------------------------------------------
 */
int al_threads(void);
void al_set_threads(int n);
const char *al_isa_name(void);
void al_rng_seed(al_rng *r, uint64_t seed);
al_rng *al_rng_default(void); /* this thread's */

/* ---- autograd -------------------------------------------------------------------------------
 */
bool al_grad_enabled(void);
bool al_set_grad_enabled(bool on); /* returns the former state */
enum { AL_RETAIN_GRAPH = 1, AL_CREATE_GRAPH = 2, AL_ALLOW_UNUSED = 4 };
/* Gradients of sum_i <root_i, cotangent_i>. With inputs == NULL they are added to the .grad of
 * every leaf reached; otherwise out[i] receives an owned gradient of inputs[i] and no .grad is
 * touched. cotangents may be NULL (ones; roots of one element only), as may each of its
 * entries. */
int al_backward(int nroots, al_tensor **roots, al_tensor **cotangents, int ninputs,
                al_tensor **inputs, al_tensor **out, int flags);

/* ---- the op registry ------------------------------------------------------------------------
 */
typedef enum al_kind {
  AL_K_TENSOR,
  AL_K_TENSORS,
  AL_K_INT,
  AL_K_NUM,
  AL_K_BOOL,
  AL_K_STR,
  AL_K_INTS,
  AL_K_DIM,
  AL_K_DIMS,
  AL_K_DTYPE,
  AL_K_RNG
} al_kind;

typedef struct al_arg {
  union {
    al_tensor *t;
    struct {
      al_tensor **v;
      int n;
    } ts;
    int64_t i; /* int, dim */
    double f;
    bool b;
    const char *s;
    struct {
      const int64_t *v;
      int n;
    } ints; /* ints, dims; inside the call's pool */
    int dtype;
    al_rng *rng;
  };
  bool given; /* false: absent and without default (tensors: NULL; ints: n = 0) */
} al_arg;

typedef struct al_param {
  char name[20];
  al_kind kind;
  bool optional;  /* may be absent */
  bool named;     /* stands in braces: only by name, in the trailing table */
  bool variadic;  /* takes all remaining integers */
  bool number_ok; /* a tensor parameter for which a plain number will do */
  bool has_default;
  al_arg value;    /* the default */
  int64_t ints[4]; /* backs a default of kind ints */
} al_param;

enum {
  AL_F_INPLACE = 1,   /* has the form name_ that writes into its first argument */
  AL_F_COMPOSITE = 2, /* its forward is made of other ops, which record themselves */
  AL_F_NODIFF = 4,    /* not differentiable, on purpose */
  AL_F_VIEW = 8,      /* result shares its first argument's storage */
  AL_F_RANDOM = 16,   /* draws random numbers */
  AL_F_HIDDEN = 32,   /* internal (a gradient's kernel): not shown to scripts */
  AL_F_HALF = 64      /* takes float16 and bfloat16, as every view does: it only moves values */
};

/* One op: everything there is to say of it. Declared through AL_OP(id, ...), see op/op.h. */
struct al_op {
  const char *name;
  const char
      *sig; /* "x:T w:T b:T? {stride:ints=1 pad:ints=0} -> T": grammar in op/registry.c */
  const char *doc; /* first sentence short; then shapes, units, formula with its source */
  int (*forward)(al_call *);
  int (*grad)(al_back *);
  const char
      *save; /* what the gradient reads: "x w", "out", "x/w" = x only when w needs a gradient */
  const char *sample; /* Lua: argument lists for the generated specs, see op/registry.c */
  const char *alias;  /* further names, space separated */
  unsigned flags;
  /* filled in once by al_registry_open */
  int nparams, nouts;
  al_param *param; /* [nparams] */
  uint32_t save_in, save_out;
  int8_t save_for[AL_MAX_ARGS];
};

struct al_call {
  const al_op *op;
  const char *called; /* the alias it was called by, or NULL */
  al_arg a[AL_MAX_ARGS];
  al_tensor *out[AL_MAX_OUTS];
  al_tensor *into; /* in-place form: write the result here */
  al_tensor
      *extra[AL_MAX_EXTRA]; /* further tensors for the gradient; set only when `recording` */
  bool recording;           /* a gradient will be wanted */
  int pooled;
  int64_t pool[AL_MAX_INTS];
};

int al_registry_open(void); /* parses every op once; idempotent */
int al_op_count(void);
const al_op *al_op_at(int i);
const al_op *al_op_find(const char *name); /* by name or alias; NULL without an error */
int al_register(al_op *const *first, al_op *const *last); /* a plugin's ops */

/* Runs c->op: checks, forward, records. On success c->out[0 .. nouts-1] belong to the open
 * frame, or to the caller when none is open. On failure the message names op and arguments. */
int al_invoke(al_call *c);
/* The same from C, every parameter in order: T al_tensor*; T* al_tensor**, int; int, dim
 * int64_t; num double; bool int; str const char*; ints, dims const int64_t*, int; dtype int
 * (-1: absent); rng al_rng*. Returns out[0]. */
al_tensor *al_apply(al_op *op, ...);
#endif
