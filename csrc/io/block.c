/* block.c: tensors as raw bytes in files, the C half of safetensors; its header is read and
 * written by lua/albedo/io.lua. Bytes are little-endian, as on every machine we run on. */
#include "../op/op.h"
#include "file.h"
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files are little-endian"
#endif

/* Stored formats, by safetensors' names: what each becomes. */
typedef enum { AS_IS, SIGNED8, SIGNED16, UNSIGNED16, UNSIGNED32, UNSIGNED64 } widening;
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
    {"U64", 8, AL_INT64, UNSIGNED64},
};

static void widen(const struct format *f, int64_t n, const void *from, void *to) {
  const uint16_t *u = from;
  switch (f->widen) {
  case AS_IS:
  case UNSIGNED64: memcpy(to, from, (size_t)(n * f->size)); break;
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

/* A damaged file may hold any byte where 0 and 1 belong, and numbers that int64 does not hold.
 */
static int check_values(const struct format *f, const al_tensor *t) {
  const uint8_t *p = al_data(t);
  const int64_t *q = al_data(t);
  int64_t n = al_numel(t);
  for (int64_t i = 0; f->dtype == AL_BOOL && i < n; i++)
    if (p[i] > 1) return al_fail("a bool is stored as %d", p[i]);
  for (int64_t i = 0; f->widen == UNSIGNED64 && i < n; i++)
    if (q[i] < 0)
      return al_fail("%llu is stored, int64 ends at 2^63 - 1", (unsigned long long)q[i]);
  return 0;
}

static const struct format *format_of(const char *name) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (!strcmp(formats[i].name, name)) return &formats[i];
  return al_null("unknown format %s: F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL",
                 name);
}

/* n elements of `size` bytes with their bytes in the other order, in place. */
static void swap_bytes(uint8_t *p, int64_t n, int size) {
  for (int64_t i = 0; i < n; i++, p += size)
    for (int a = 0, b = size - 1; a < b; a++, b--) {
      uint8_t held = p[a];
      p[a] = p[b];
      p[b] = held;
    }
}

/* The tensor that views a large part of a file; NULL where it must be read instead. Each has a
 * storage of its own, so that a write to one leaves the versions of the others alone. */
static al_tensor *mapped(const char *path, int64_t at, const struct format *f, int64_t n,
                         int ndim, const int64_t *shape) {
  enum { WORTH = 1 << 16 };
  if (f->widen != AS_IS || f->dtype == AL_BOOL || n < WORTH / f->size || at % f->size)
    return NULL;
  al_map *m = al_file_map(path, at, (size_t)(n * f->size));
  if (!m) return NULL;
  al_storage *s = al_storage_wrap(m->data, (size_t)(n * f->size), al_map_free, m);
  if (!s) return al_map_free(m), NULL;
  int64_t stride[AL_MAX_DIMS], step = 1;
  for (int i = ndim - 1; i >= 0; i--) stride[i] = step, step *= shape[i];
  al_tensor *t = al_tensor_on(s, f->dtype, ndim, shape, stride, 0);
  al_storage_unref(s);
  return t;
}

/* The tensor stored at an offset of a file, or of bytes when they are given. */
static int block(al_call *c, const char *path, const al_tensor *bytes) {
  const struct format *f = format_of(c->a[2].s);
  if (!f) return -1;
  int ndim = c->a[3].ints.n;
  const int64_t *shape = c->a[3].ints.v;
  int64_t n = safe_numel(ndim, shape, f->size < 8 ? 8 : f->size), at = c->a[1].i;
  if (n < 0) return -1;
  int64_t size = n * f->size, have = bytes ? al_numel(bytes) : 0;
  if (bytes && (at < 0 || at > have || have - at < size))
    return al_fail("%lld bytes are too few: wanted %lld at %lld", (long long)have,
                   (long long)size, (long long)at);
  al_tensor *view =
      !bytes && c->a[5].b && !c->a[4].b ? mapped(path, at, f, n, ndim, shape) : NULL;
  if (view) return al_ret(c, view);
  bool direct = f->widen == AS_IS || f->widen == UNSIGNED64;
  al_tensor *y = NULL, *raw;
  if (direct) raw = y = al_empty(f->dtype, ndim, shape);
  else raw = al_empty(AL_UINT8, 1, &size);
  if (!raw) return -1;
  if (bytes && size) memcpy(al_data(raw), (const uint8_t *)al_data(bytes) + at, (size_t)size);
  if (!bytes && al_file_read_at(path, at, al_data(raw), (size_t)size)) return -1;
  if (c->a[4].b) swap_bytes(al_data(raw), n, f->size);
  if (!y && !(y = al_empty(f->dtype, ndim, shape))) return -1;
  if (!direct) widen(f, n, al_data(raw), al_data(y));
  return check_values(f, y) ? -1 : al_ret(c, y);
}

static int block_read(al_call *c) { return block(c, c->a[0].s, NULL); }
AL_OP(
    block_read,
    .sig = "path:str offset:int format:str shape:ints {big:bool=false map:bool=false} -> T",
    .doc =
        "The tensor stored in a file as raw little-endian bytes from `offset` (0 is the "
        "first byte).\n"
        "format: F64 F32 F16 BF16 I64 I32 U8 BOOL as they are; I8 I16 U16 become int32, "
        "U32 and U64 int64. big: big-endian. map: a large one views the file, page by page as "
        "it is used; writes stay in memory. The file may be replaced or removed meanwhile, "
        "but a program that cuts it short ends this one (SIGBUS).",
    .forward = block_read, .flags = AL_F_NODIFF,
    .sample = "{'LICENSE', 1, 'U8', {2, 4}}, {'LICENSE', 0, 'F16', {3}}, {'LICENSE', 0, "
              "'U32', {3}, {big=true}}");

static int block_decode(al_call *c) {
  al_tensor *x = c->a[0].t;
  if (x->dtype != AL_UINT8 || x->ndim != 1)
    return al_fail("bytes is %s %s, wants one dim of uint8", al_shape_text(x->ndim, x->shape),
                   al_dtype_name(x->dtype));
  x = al_dense(x, AL_UINT8);
  return x ? block(c, NULL, x) : -1;
}
AL_OP(block_decode, .sig = "bytes:T offset:int format:str shape:ints {big:bool=false} -> T",
      .doc = "The tensor that bytes (uint8) hold from `offset` on: see block_read.",
      .forward = block_decode, .flags = AL_F_NODIFF,
      .sample = "{ints(0, 255, 90):to('uint8'), 3, 'I16', {2, 3}}");

/* The tensors' raw bytes after `first` parts, to a file. */
static int write_all(al_call *c, const al_part *first, int before, al_tensor **xs, int n) {
  al_part *parts = al_malloc(sizeof *parts * (size_t)(n + before + 1));
  if (!parts) return -1;
  for (int i = 0; i < before; i++) parts[i] = first[i];
  int bad = 0;
  int64_t total = 0;
  for (int i = 0; i < n && !bad; i++) {
    size_t bytes = (size_t)al_numel(xs[i]) * al_dtype_size((al_dtype)xs[i]->dtype);
    al_tensor *t = al_dense(xs[i], (al_dtype)xs[i]->dtype);
    if (!t) bad = -1;
    else parts[i + before] = (al_part){bytes ? al_data(t) : NULL, bytes};
    total += (int64_t)bytes;
  }
  if (!bad) bad = al_file_write(c->a[0].s, parts, n + before);
  al_free(parts);
  return bad ? -1 : al_ret(c, al_integer(total));
}

/* path: u64 length of header, header, then the bytes of each tensor. */
static int blocks_write(al_call *c) {
  const char *header = c->a[1].s;
  uint64_t length = strlen(header);
  al_part first[] = {{&length, sizeof length}, {header, (size_t)length}};
  return write_all(c, first, 2, c->a[2].ts.v, c->a[2].ts.n);
}
AL_OP(blocks_write, .sig = "path:str header:str xs:T* -> T",
      .doc = "Writes a file of tensors: the header's length (8 bytes), the header, the "
             "tensors' raw bytes.\n"
             "The file appears whole or not at all: it is written under a temporary name, "
             "synced and renamed. "
             "Returns the tensors' bytes.",
      .forward = blocks_write, .flags = AL_F_NODIFF | AL_F_HALF,
      .sample = "{'/dev/null', '{}', {ints(1,9,2,3), ints(1,9,4)}}");

static int bytes_write(al_call *c) { return write_all(c, NULL, 0, c->a[1].ts.v, c->a[1].ts.n); }
AL_OP(bytes_write, .sig = "path:str xs:T* -> T",
      .doc = "Writes a file of the tensors' raw bytes, one after another; it appears whole or "
             "not at all. Returns their number.",
      .forward = bytes_write, .flags = AL_F_NODIFF | AL_F_HALF,
      .sample = "{'/dev/null', {ints(1,9,2,3), ints(1,9,4)}}");

/* PackBits (TIFF 6.0, section 9; DICOM part 5, annex G.3): a count k < 128 stands before k + 1
 * bytes as they are, k > 128 before one that comes 257 - k times; 128 says nothing. */
static int unpack_bits(al_call *c) {
  al_tensor *x = c->a[0].t;
  int64_t n = c->a[1].i, at = 0, to = 0, have = al_numel(x);
  if (x->dtype != AL_UINT8 || x->ndim != 1)
    return al_fail("bytes is %s %s, wants one dim of uint8", al_shape_text(x->ndim, x->shape),
                   al_dtype_name(x->dtype));
  if (n < 0 || n > 128 * have)
    return al_fail("%lld bytes cannot make %lld", (long long)have, (long long)n);
  x = al_dense(x, AL_UINT8);
  al_tensor *y = x ? al_empty(AL_UINT8, 1, &n) : NULL;
  if (!y) return -1;
  const uint8_t *p = al_data(x);
  uint8_t *q = al_data(y);
  while (to < n && at < have) {
    int64_t k = p[at++], run = k > 128 ? 257 - k : k + 1;
    if (k == 128) continue;
    if (at + (k > 128 ? 1 : run) > have) break;
    int64_t put = run < n - to ? run : n - to; /* a last run may be longer */
    if (k > 128) memset(q + to, p[at], (size_t)put);
    else memcpy(q + to, p + at, (size_t)put);
    at += k > 128 ? 1 : run;
    to += put;
  }
  if (to < n) return al_fail("%lld bytes come out, not %lld", (long long)to, (long long)n);
  return al_ret(c, y);
}
AL_OP(unpack_bits, .sig = "bytes:T n:int -> T",
      .doc = "The n bytes (uint8) that bytes make, packed by PackBits as in TIFF and DICOM.",
      .forward = unpack_bits, .flags = AL_F_NODIFF,
      .sample = "{t({2, 7, 8, 9, 254, 5}, {dtype='uint8'}), 6}");
