/* jpegs.c: the op, and what its parts share. */
#include "jpegs.h"

extern al_op *const __start_al_ops[] __attribute__((visibility("hidden")));
extern al_op *const __stop_al_ops[] __attribute__((visibility("hidden")));
void al_plugin_ops(al_op *const **first, al_op *const **last);
void al_plugin_ops(al_op *const **first, al_op *const **last) {
  *first = __start_al_ops;
  *last = __stop_al_ops;
}

al_tensor *al_jpegs_room(int64_t c, int64_t h, int64_t w, int64_t limit) {
  if (c < 1 || c > 4 || h < 1 || w < 1)
    return al_null("a picture of %lld x %lld x %lld is not read", (long long)c, (long long)h,
                   (long long)w);
  if ((double)c * (double)h * (double)w * 4 > (double)limit)
    return al_null("it claims more than max_bytes = %lld", (long long)limit);
  return al_empty(AL_INT32, 3, (int64_t[]){c, h, w});
}

static int jpegs_decode(al_call *c) {
  al_tensor *x = c->a[0].t;
  if (x->dtype != AL_UINT8 || x->ndim != 1)
    return al_fail("bytes is %s %s, wants one dim of uint8", al_shape_text(x->ndim, x->shape),
                   al_dtype_name(x->dtype));
  x = al_dense(x, AL_UINT8);
  if (!x) return -1;
  const uint8_t *p = al_data(x);
  size_t n = (size_t)al_numel(x);
  int64_t limit = c->a[1].i;
  if (n >= 4 && !memcmp(p, "\xff\x4f\xff\x51", 4)) return al_ret(c, al_jpeg_2000(p, n, limit));
  if (n < 4 || p[0] != 0xff || p[1] != 0xd8) return al_fail("no JPEG begins here");
  return al_ret(c, al_jpeg_lossless(p, n, limit));
}
AL_OP(jpegs_decode, .sig = "bytes:T {max_bytes:int=4000000000} -> T",
      .doc = "The picture, C x H x W of int32, in the bytes (uint8) of a JPEG 2000 codestream "
             "or a lossless JPEG (Huffman, up to 16 bits).\n"
             "Damaged bytes, or a picture of more than max_bytes, are an error.",
      .forward = jpegs_decode, .flags = AL_F_NODIFF,
      .sample =
          "{t({255, 216, 255, 195, 0, 11, 8, 0, 1, 0, 1, 1, 1, 17, 0, 255, 196, 0, 20, 0, "
          "1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 218, 0, 8, 1, 1, 0, 1, "
          "0, 0, 63, 255, 217}, {dtype='uint8'})}");
