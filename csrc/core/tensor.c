/* tensor.c: storage and tensors: making, counting, geometry, single elements. */
#include "internal.h"
#include "memory.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* ---- storage: stands in the owner's room before its block, or by itself around foreign memory
 * ---- */
_Static_assert(sizeof(al_storage) <= AL_OWNER_ROOM, "a storage fits before its block");

static al_storage *storage_at(void *p, void *data, size_t bytes) {
  al_storage *s = p;
  *s = (al_storage){.bytes = bytes, .data = data};
  atomic_init(&s->refs, 1);
  return s;
}

al_storage *al_storage_new(size_t bytes) {
  char *data = al_alloc(bytes);
  return data ? storage_at(data - AL_OWNER_ROOM, data, bytes) : NULL;
}

al_storage *al_storage_wrap(void *data, size_t bytes, void (*release)(void *), void *owner) {
  void *p = al_alloc(sizeof(al_storage));
  if (!p) return NULL;
  al_storage *s = storage_at(p, data, bytes);
  s->release = release;
  s->owner = owner;
  return s;
}

void al_storage_ref(al_storage *s) {
  atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void al_storage_unref(al_storage *s) {
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  if (s->release) {
    s->release(s->owner);
    al_release(s);
  } else {
    al_release(s->data); /* s itself lies in that block's room */
  }
}

/* ---- tensors ---- */
static al_tensor *tensor_at(al_tensor *t, bool inlaid, al_storage *s, al_dtype dtype, int ndim,
                            const int64_t *shape, const int64_t *stride, int64_t offset) {
  memset(t, 0, offsetof(al_tensor, shape));
  t->inlaid = inlaid;
  atomic_init(&t->refs, 1);
  t->dtype = (uint8_t)dtype;
  t->ndim = (uint8_t)ndim;
  if (ndim) { /* a scalar's may be NULL */
    memcpy(t->shape, shape, (size_t)ndim * sizeof *shape);
    memcpy(t->stride, stride, (size_t)ndim * sizeof *stride);
  }
  if (!ndim) t->shape[0] = 1, t->stride[0] = 0; /* al_dim takes a scalar's only dim for this */
  t->offset = offset;
  t->storage = s;
  t->node = NULL;
  t->grad = NULL;
  t->host = NULL;
  return al_adopt(t);
}

al_tensor *al_tensor_on(al_storage *s, al_dtype dtype, int ndim, const int64_t *shape,
                        const int64_t *stride, int64_t offset) {
  al_tensor *t = al_alloc(sizeof *t);
  if (!t) return NULL;
  al_storage_ref(s);
  return tensor_at(t, false, s, dtype, ndim, shape, stride, offset);
}

/* A small tensor stands behind its elements, in one block; its storage outlives it there. */
enum { SMALL = 1024 };
static al_tensor *small_tensor(size_t bytes, al_dtype dtype, int ndim, const int64_t *shape,
                               const int64_t *stride) {
  size_t room = (bytes + 63) / 64 * 64;
  al_storage *s = al_storage_new(room + sizeof(al_tensor));
  if (!s) return NULL;
  s->bytes = bytes;
  al_tensor *t = (al_tensor *)(void *)((char *)s->data + room);
  return tensor_at(t, true, s, dtype, ndim, shape, stride, 0);
}

/* Row-major strides; returns the number of elements, or -1 when it does not fit. */
static int64_t row_major(int ndim, const int64_t *shape, int64_t *stride) {
  int64_t n = 1;
  bool empty = false;
  for (int d = ndim - 1; d >= 0; d--) {
    stride[d] = n;
    if (shape[d] == 0) empty = true;
    else if (__builtin_mul_overflow(n, shape[d], &n)) return -1;
  }
  return empty ? 0 : n;
}

al_tensor *al_empty(al_dtype dtype, int ndim, const int64_t *shape) {
  int64_t stride[AL_MAX_DIMS], n;
  if (ndim > AL_MAX_DIMS)
    return al_null("%d dims wanted, at most %d are possible", ndim, AL_MAX_DIMS);
  for (int d = 0; d < ndim; d++)
    if (shape[d] < 0)
      return al_null("size %lld of dim %d is negative", (long long)shape[d], d + 1);
  n = row_major(ndim, shape, stride);
  if (n < 0 || n > INT64_MAX / 16)
    return al_null("a tensor of %s elements is too large", al_shape_text(ndim, shape));
  size_t bytes = (size_t)n * al_dtype_size(dtype);
  if (bytes <= SMALL) return small_tensor(bytes, dtype, ndim, shape, stride);
  al_storage *s = al_storage_new(bytes);
  if (!s) return NULL;
  al_tensor *t = al_tensor_on(s, dtype, ndim, shape, stride, 0);
  al_storage_unref(s);
  return t;
}

al_tensor *al_empty_like(const al_tensor *x, al_dtype dtype) {
  return x ? al_empty(dtype, x->ndim, x->shape) : NULL;
}

al_tensor *al_zeros(al_dtype dtype, int ndim, const int64_t *shape) {
  al_tensor *t = al_empty(dtype, ndim, shape);
  if (t) memset(t->storage->data, 0, t->storage->bytes);
  return t;
}

al_tensor *al_scalar(double value, al_dtype dtype) {
  al_tensor *t = al_empty(dtype, 0, NULL);
  if (t) al_set(t, 0, value);
  return t;
}

al_tensor *al_number(double value) {
  al_tensor *t = al_scalar(value, AL_FLOAT64);
  if (t) t->wrapped = true;
  return t;
}

al_tensor *al_integer(int64_t value) {
  al_tensor *t = al_empty(AL_INT64, 0, NULL);
  if (!t) return NULL;
  al_set_int(t, 0, value);
  t->wrapped = true;
  return t;
}

al_tensor *al_ref(al_tensor *t) {
  if (t) atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
  return t;
}

/* A loop along .grad, which may be a chain of any length. */
void al_unref(al_tensor *t) {
  while (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
    al_storage *s = t->storage;
    al_node *n = t->node;
    al_tensor *g = t->grad;
    if (!t->inlaid) al_release(t);
    al_storage_unref(s);
    if (n) al_node_unref(n); /* iterative: see grad/node.c */
    t = g;
  }
}

al_tensor *al_alias(al_tensor *t, int ndim, const int64_t *shape, const int64_t *stride,
                    int64_t offset) {
  if (!t) return NULL;
  int64_t n = 1;
  bool fits = true, empty = false;
  for (int d = 0; d < ndim; d++) {
    empty = empty || shape[d] == 0;
    fits = fits && !__builtin_mul_overflow(n, shape[d], &n);
  }
  if (!empty && (!fits || n > INT64_MAX / 16))
    return al_null("a view of %s elements is too large", al_shape_text(ndim, shape));
  return al_tensor_on(t->storage, t->dtype, ndim, shape, stride, offset);
}

al_tensor *al_detach(al_tensor *t) {
  return t ? al_alias(t, t->ndim, t->shape, t->stride, t->offset) : NULL;
}

/* ---- geometry ---- */
/* A product no int64 holds becomes the largest one, which fits no tensor. */
int64_t al_product(int n, const int64_t *v) {
  int64_t p = 1;
  bool over = false;
  for (int i = 0; i < n; i++) {
    if (v[i] == 0) return 0;
    over = __builtin_mul_overflow(p, v[i], &p) || over;
  }
  return over ? INT64_MAX : p;
}

int64_t al_numel(const al_tensor *t) { return al_product(t->ndim, t->shape); }

bool al_is_contiguous(const al_tensor *t) {
  int64_t n = 1;
  for (int d = t->ndim - 1; d >= 0; d--) {
    if (t->shape[d] == 0) return true;
    if (t->shape[d] != 1 && t->stride[d] != n) {
      for (int e = d - 1; e >= 0; e--)
        if (t->shape[e] == 0) return true;
      return false;
    }
    n *= t->shape[d];
  }
  return true;
}

bool al_same_shape(const al_tensor *a, const al_tensor *b) {
  return a->ndim == b->ndim && !memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape);
}

void *al_data(const al_tensor *t) {
  return (char *)t->storage->data + t->offset * (int64_t)al_dtype_size(t->dtype);
}

uint32_t al_version_of(const al_tensor *t) { return atomic_load(&t->storage->version); }

void al_bump(al_tensor *t, const char *writer) {
  atomic_fetch_add(&t->storage->version, 1);
  t->storage->writer = writer;
  al_here.wrote = true;
}

int al_dim(int64_t d, int ndim, int *out) {
  int n = ndim ? ndim : 1; /* a 0-dim tensor accepts its only dim, as PyTorch's does */
  if (d < -n || d >= n) {
    if (d < 0) return al_fail("dim %lld is out of range for %d dims", (long long)d, ndim);
    return al_fail("dim %lld is out of range for %d dims", (long long)d + 1, ndim);
  }
  *out = (int)(d < 0 ? d + n : d);
  return 0;
}

int al_broadcast(int n, al_tensor *const *t, int *ndim, int64_t *shape) {
  *ndim = 0;
  for (int i = 0; i < n; i++)
    if (t[i] && t[i]->ndim > *ndim) *ndim = t[i]->ndim;
  for (int d = 0; d < *ndim; d++) shape[d] = 1;
  for (int i = 0; i < n; i++)
    for (int d = 0; t[i] && d < t[i]->ndim; d++) {
      int64_t *s = &shape[*ndim - t[i]->ndim + d], v = t[i]->shape[d];
      if (v == *s || v == 1) continue;
      if (*s != 1)
        return al_fail("shapes do not broadcast: size %lld against %lld in dim %d from the end",
                       (long long)*s, (long long)v, t[i]->ndim - d);
      *s = v;
    }
  return 0;
}

const char *al_shape_text(int ndim, const int64_t *shape) {
  al_text *text = al_thread_text();
  char *p = text->ring[text->turn++ % 8], *s = p;
  if (!ndim) return "scalar";
  for (int d = 0; d < ndim; d++)
    s += snprintf(s, 21, d ? "x%lld" : "%lld", (long long)shape[d]);
  return p;
}

/* ---- single elements ---- */
double al_get(const al_tensor *t, int64_t offset) {
  const void *p = t->storage->data;
  int64_t i = t->offset + offset;
  switch (t->dtype) {
  case AL_BOOL: return ((const bool *)p)[i];
  case AL_UINT8: return ((const uint8_t *)p)[i];
  case AL_INT32: return ((const int32_t *)p)[i];
  case AL_INT64: return (double)((const int64_t *)p)[i];
  case AL_FLOAT32: return (double)((const float *)p)[i];
  case AL_FLOAT16: return (double)al_from_half(((const uint16_t *)p)[i]);
  case AL_BFLOAT16: return (double)al_from_bfloat(((const uint16_t *)p)[i]);
  default: return ((const double *)p)[i];
  }
}

int64_t al_get_int(const al_tensor *t, int64_t offset) {
  if (t->dtype == AL_INT64) return ((const int64_t *)t->storage->data)[t->offset + offset];
  double v = al_get(t, offset);
  if (!(v >= -9.2233720368547758e18)) return INT64_MIN; /* NaN too */
  return v >= 9.2233720368547758e18 ? INT64_MAX : (int64_t)v;
}

void al_set_int(al_tensor *t, int64_t offset, int64_t value) {
  void *p = t->storage->data;
  int64_t i = t->offset + offset;
  switch (t->dtype) {
  case AL_BOOL: ((bool *)p)[i] = value != 0; break;
  case AL_UINT8: ((uint8_t *)p)[i] = (uint8_t)value; break;
  case AL_INT32: ((int32_t *)p)[i] = (int32_t)value; break;
  case AL_INT64: ((int64_t *)p)[i] = value; break;
  case AL_FLOAT32: ((float *)p)[i] = (float)value; break;
  case AL_FLOAT64: ((double *)p)[i] = (double)value; break;
  default: al_set(t, offset, (double)value);
  }
}

/* A double that no int64 holds (NaN, infinities, too large) becomes the smallest one, as x86
 * converts. */
static int64_t to_int(double v) {
  return v >= -9.2233720368547758e18 && v < 9.2233720368547758e18 ? (int64_t)v : INT64_MIN;
}

void al_set(al_tensor *t, int64_t offset, double value) {
  if (t->dtype == AL_FLOAT32) ((float *)t->storage->data)[t->offset + offset] = (float)value;
  else if (t->dtype == AL_FLOAT64) ((double *)t->storage->data)[t->offset + offset] = value;
  else if (t->dtype == AL_FLOAT16)
    ((uint16_t *)t->storage->data)[t->offset + offset] = al_to_half((float)value);
  else if (t->dtype == AL_BFLOAT16)
    ((uint16_t *)t->storage->data)[t->offset + offset] = al_to_bfloat((float)value);
  else if (t->dtype == AL_BOOL) ((bool *)t->storage->data)[t->offset + offset] = value != 0;
  else al_set_int(t, offset, to_int(value));
}
