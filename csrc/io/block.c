/* block.c: tensors as raw bytes in files, the C half of safetensors; its header is read and
 * written by lua/albedo/io.lua. Bytes are little-endian, as on every machine we run on. */
#include "../op/op.h"
#include "file.h"
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files are little-endian"
#endif

/* Stored formats, by safetensors' names: what each becomes. */
typedef enum { AS_IS, SIGNED8, SIGNED16, UNSIGNED16, UNSIGNED32 } widening;
static const struct format {
  const char *name;
  int size;
  al_dtype dtype;
  widening widen;
} formats[] = {
    {"F64", 8, AL_FLOAT64, AS_IS},    {"F32", 4, AL_FLOAT32, AS_IS},
    {"I64", 8, AL_INT64, AS_IS},      {"I32", 4, AL_INT32, AS_IS},
    {"U8", 1, AL_UINT8, AS_IS},       {"BOOL", 1, AL_BOOL, AS_IS},
    {"F16", 2, AL_FLOAT16, AS_IS},    {"BF16", 2, AL_BFLOAT16, AS_IS},
    {"I8", 1, AL_INT32, SIGNED8},     {"I16", 2, AL_INT32, SIGNED16},
    {"U16", 2, AL_INT32, UNSIGNED16}, {"U32", 4, AL_INT64, UNSIGNED32},
};

static void widen(const struct format *f, int64_t n, const void *from, void *to) {
  const uint16_t *u = from;
  switch (f->widen) {
  case AS_IS: memcpy(to, from, (size_t)(n * f->size)); break;
  case SIGNED8:
    for (int64_t i = 0; i < n; i++) ((int32_t *)to)[i] = ((const int8_t *)from)[i];
    break;
  case SIGNED16:
    for (int64_t i = 0; i < n; i++) ((int32_t *)to)[i] = ((const int16_t *)from)[i];
    break;
  case UNSIGNED16:
    for (int64_t i = 0; i < n; i++) ((int32_t *)to)[i] = u[i];
    break;
  case UNSIGNED32:
    for (int64_t i = 0; i < n; i++) ((int64_t *)to)[i] = ((const uint32_t *)from)[i];
    break;
  }
}

/* The number of elements of a shape read from a file, where products may overflow; -1 and an
 * error. */
static int64_t safe_numel(int n, const int64_t *shape, int size) {
  if (n > AL_MAX_DIMS)
    return al_fail("the shape has %d dims, at most %d are possible", n, AL_MAX_DIMS);
  int64_t bytes = size;
  for (int i = 0; i < n; i++) {
    if (shape[i] < 0) return al_fail("the shape has a negative size %lld", (long long)shape[i]);
    if (__builtin_mul_overflow(bytes, shape[i], &bytes))
      return al_fail("the shape is too large");
  }
  return bytes / size;
}

/* A damaged file may hold any byte where 0 and 1 belong. */
static int check_bools(const al_tensor *t) {
  const uint8_t *p = al_data(t);
  for (int64_t i = 0, n = al_numel(t); i < n; i++)
    if (p[i] > 1) return al_fail("a bool is stored as %d", p[i]);
  return 0;
}

static int block_read(al_call *c) {
  const char *path = c->a[0].s, *name = c->a[2].s;
  const struct format *f = NULL;
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (!strcmp(formats[i].name, name)) f = &formats[i];
  if (!f)
    return al_fail("unknown format %s: F64 F32 F16 BF16 I64 I32 I16 I8 U32 U16 U8 BOOL", name);
  int ndim = c->a[3].ints.n;
  const int64_t *shape = c->a[3].ints.v;
  int64_t n = safe_numel(ndim, shape, f->size < 8 ? 8 : f->size);
  if (n < 0) return -1;
  size_t bytes = (size_t)(n * f->size);
  if (f->widen == AS_IS) {
    al_tensor *y = al_empty(f->dtype, ndim, shape);
    if (!y || al_file_read_at(path, c->a[1].i, al_data(y), bytes)) return -1;
    if (f->dtype == AL_BOOL && check_bools(y)) return -1;
    return al_ret(c, y);
  }
  al_tensor *raw = al_empty(AL_UINT8, 1, (int64_t[]){(int64_t)bytes});
  if (!raw || al_file_read_at(path, c->a[1].i, al_data(raw), bytes)) return -1;
  al_tensor *y = al_empty(f->dtype, ndim, shape);
  if (!y) return -1;
  widen(f, n, al_data(raw), al_data(y));
  return al_ret(c, y);
}
AL_OP(block_read, .sig = "path:str offset:int format:str shape:ints -> T",
      .doc = "The tensor stored in a file as raw little-endian bytes from `offset` (0 is the "
             "first byte).\n"
             "format: F64 F32 F16 BF16 I64 I32 U8 BOOL as they are; I8 I16 U16 become int32, "
             "U32 int64.",
      .forward = block_read, .flags = AL_F_NODIFF,
      .sample = "{'LICENSE', 1, 'U8', {2, 4}}, {'LICENSE', 0, 'F16', {3}}");

/* path: u64 length of header, header, then the bytes of each tensor. */
static int blocks_write(al_call *c) {
  const char *header = c->a[1].s;
  int n = c->a[2].ts.n;
  uint64_t length = strlen(header);
  al_part *parts = al_malloc(sizeof *parts * (size_t)(n + 2));
  if (!parts) return -1;
  parts[0] = (al_part){&length, sizeof length};
  parts[1] = (al_part){header, (size_t)length};
  int bad = 0;
  int64_t total = 0;
  for (int i = 0; i < n && !bad; i++) {
    al_tensor *t = c->a[2].ts.v[i];
    size_t bytes = (size_t)al_numel(t) * al_dtype_size((al_dtype)t->dtype);
    t = al_dense(t, (al_dtype)t->dtype);
    if (!t) bad = -1;
    else parts[i + 2] = (al_part){bytes ? al_data(t) : NULL, bytes};
    total += (int64_t)bytes;
  }
  if (!bad) bad = al_file_write(c->a[0].s, parts, n + 2);
  al_free(parts);
  return bad ? -1 : al_ret(c, al_integer(total));
}
AL_OP(blocks_write, .sig = "path:str header:str xs:T* -> T",
      .doc = "Writes a file of tensors: the header's length (8 bytes), the header, the "
             "tensors' raw bytes.\n"
             "The file appears whole or not at all: it is written under a temporary name, "
             "synced and renamed. "
             "Returns the tensors' bytes.",
      .forward = blocks_write, .flags = AL_F_NODIFF | AL_F_HALF,
      .sample = "{'/dev/null', '{}', {ints(1,9,2,3), ints(1,9,4)}}");
