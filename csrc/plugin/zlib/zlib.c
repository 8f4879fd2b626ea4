/* zlib.c: deflated bytes in files, as zip and gzip hold them. What comes out is bounded before
 * it is allocated: deflate makes at most 1032 bytes of one. */
#include "../../io/file.h"
#include "../../op/op.h"
#include <string.h>
#include <zlib.h>

extern al_op *const __start_al_ops[] __attribute__((visibility("hidden")));
extern al_op *const __stop_al_ops[] __attribute__((visibility("hidden")));
void al_plugin_ops(al_op *const **first, al_op *const **last);
void al_plugin_ops(al_op *const **first, al_op *const **last) {
  *first = __start_al_ops;
  *last = __stop_al_ops;
}

enum { RAW = -15, GZIP = 15 + 16 };

/* zlib takes its memory from us, so that it is counted. */
static void *take(void *opaque, unsigned n, unsigned size) {
  (void)opaque;
  return al_malloc((size_t)n * size);
}
static void give(void *opaque, void *p) {
  (void)opaque;
  al_free(p);
}

/* Inflates n bytes at p into `out`, at most `limit` of them; gzip files may have members one
 * after another. -1 and an error. */
static int inflate_all(const char *path, const uint8_t *p, size_t n, int window, size_t limit,
                       al_bytes *out) {
  z_stream z = {.zalloc = take, .zfree = give};
  if (inflateInit2(&z, window) != Z_OK) return al_fail("no memory to inflate %s", path);
  size_t at = 0;
  int bad = 0, state = Z_OK;
  while (!bad && (state != Z_STREAM_END || (window == GZIP && at < n))) {
    if (state == Z_STREAM_END) inflateReset(&z);
    if (out->n == out->cap) {
      if (out->n > limit) break;
      bad = al_bytes_room(out, 1);
      if (bad) break;
    }
    size_t room = out->cap - out->n, have = n - at;
    z.next_out = out->p + out->n;
    z.avail_out = (unsigned)(room < (1u << 30) ? room : (1u << 30));
    z.next_in = (Bytef *)(uintptr_t)(p + at);
    z.avail_in = (unsigned)(have < (1u << 30) ? have : (1u << 30));
    state = inflate(&z, Z_NO_FLUSH);
    out->n = (size_t)(z.next_out - out->p);
    at = (size_t)(z.next_in - p);
    if (state == Z_BUF_ERROR || (state == Z_OK && at == n && z.avail_out))
      bad = al_fail("damaged file %s: its compressed data end early", path);
    else if (state != Z_OK && state != Z_STREAM_END)
      bad =
          al_fail("damaged file %s: %s", path, z.msg ? z.msg : "its compressed data are wrong");
  }
  inflateEnd(&z);
  if (!bad && out->n > limit)
    bad = al_fail("%s holds more than the %zu bytes allowed", path, limit);
  return bad;
}

/* How many bytes are to be expected: a zip archive says so (when it is a likely number), a gzip
 * file's last four bytes do. */
static int64_t likely(const al_bytes *in, int64_t size, int window, int64_t most,
                      int64_t limit) {
  if (window == RAW) return limit < 16 * size + 4096 ? limit : 16 * size + 4096;
  if (size < 18) return 4096;
  uint32_t said;
  memcpy(&said, in->p + size - 4, 4);
  int64_t n = said < most ? said : most;
  return n < limit ? n : limit;
}

static int inflate_read(al_call *c) {
  const char *path = c->a[0].s;
  int64_t offset = c->a[1].i, size = c->a[2].i, limit = c->a[3].i;
  int window = c->a[4].b ? GZIP : RAW;
  if (offset < 0 || size < 0 || limit < 0) return al_fail("a size is negative");
  al_bytes in = {0}, out = {0};
  if (al_bytes_room(&in, (size_t)size + 1)) return -1;
  int bad = al_file_read_at(path, offset, in.p, (size_t)size);
  /* what is known to come out, one byte more to find the end */
  int64_t most = size < (INT64_MAX >> 11) ? size * 1032 + 64 : limit;
  if (window == RAW && limit > most)
    bad = bad ? bad
              : al_fail("%s claims %lld bytes in %lld deflated", path, (long long)limit,
                        (long long)size);
  if (!bad) bad = al_bytes_room(&out, (size_t)likely(&in, size, window, most, limit) + 1);
  if (!bad) bad = inflate_all(path, in.p, (size_t)size, window, (size_t)limit, &out);
  al_bytes_free(&in);
  al_tensor *y = bad ? NULL : al_empty(AL_UINT8, 1, (int64_t[]){(int64_t)out.n});
  if (y && out.n) memcpy(al_data(y), out.p, out.n);
  al_bytes_free(&out);
  return al_ret(c, y);
}
AL_OP(inflate_read, .sig = "path:str offset:int size:int limit:int {gzip:bool=false} -> T",
      .doc =
          "The bytes (uint8) that `size` deflated ones of a file, from `offset` on (0 is the "
          "first), make; more than `limit` is an error.\n"
          "gzip: they have gzip's header and checksum, and may be several members.",
      .forward = inflate_read, .flags = AL_F_NODIFF,
      .sample = "{'spec/data/dot.gz', 0, 29, 9, {gzip=true}}");

static int deflate_bytes(al_call *c) {
  al_tensor *x = al_dense(c->a[0].t, c->a[0].t->dtype);
  if (!x) return -1;
  int level = (int)c->a[1].i;
  if (level < 0 || level > 9) return al_fail("level is %d: 0 (fast) to 9 (small)", level);
  z_stream z = {.zalloc = take, .zfree = give};
  if (deflateInit2(&z, level, Z_DEFLATED, c->a[2].b ? GZIP : RAW, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    return al_fail("no memory to deflate");
  const uint8_t *p = al_data(x);
  size_t at = 0, n = (size_t)al_numel(x) * al_dtype_size(x->dtype);
  al_bytes out = {0};
  int bad = 0, state = Z_OK;
  while (!bad && state != Z_STREAM_END) {
    size_t have = n - at < (1u << 30) ? n - at : (1u << 30);
    bad = al_bytes_room(&out, 65536);
    if (bad) break;
    z.next_out = out.p + out.n;
    z.avail_out = 65536;
    z.next_in = (Bytef *)(uintptr_t)(p + at);
    z.avail_in = (unsigned)have;
    state = deflate(&z, at + have == n ? Z_FINISH : Z_NO_FLUSH);
    if (state == Z_STREAM_ERROR) bad = al_fail("deflate failed");
    out.n = (size_t)(z.next_out - out.p);
    at = (size_t)(z.next_in - p);
  }
  deflateEnd(&z);
  al_tensor *y = bad ? NULL : al_empty(AL_UINT8, 1, (int64_t[]){(int64_t)out.n});
  if (y) memcpy(al_data(y), out.p, out.n);
  al_bytes_free(&out);
  return al_ret(c, y);
}
AL_OP(deflate_bytes, .sig = "x:T {level:int=6 gzip:bool=false} -> T",
      .doc = "The raw bytes of x deflated (uint8), level 0 (fast) to 9 (small); gzip: as a "
             "gzip file.",
      .forward = deflate_bytes, .flags = AL_F_NODIFF,
      .sample = "{ints(0, 255, 90):to('uint8')}, {ints(0, 9, 90):to('uint8'), {level=9, "
                "gzip=true}}");

static int crc32_of(al_call *c) {
  al_tensor *x = al_dense(c->a[0].t, c->a[0].t->dtype);
  if (!x) return -1;
  size_t n = (size_t)al_numel(x) * al_dtype_size(x->dtype);
  return al_ret(c, al_integer((int64_t)crc32_z(0, al_data(x), n)));
}
AL_OP(crc32, .sig = "bytes:T -> T",
      .doc = "The checksum CRC-32 of bytes (uint8), as zip has it.", .forward = crc32_of,
      .flags = AL_F_NODIFF, .sample = "{ints(0, 255, 90):to('uint8')}");
