/* image.c: the plugin's ops. Pictures are C x H x W: uint8, or int32 holding 0..65535 where a
 * PNG or PNM has 16 bits. Gray, gray with alpha, RGB and RGBA are C = 1, 2, 3, 4. */
#include "image.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

extern al_op *const __start_al_ops[] __attribute__((visibility("hidden")));
extern al_op *const __stop_al_ops[] __attribute__((visibility("hidden")));
void al_plugin_ops(al_op *const **first, al_op *const **last);
void al_plugin_ops(al_op *const **first, al_op *const **last) {
  *first = __start_al_ops;
  *last = __stop_al_ops;
}

/* ---- reading
 * --------------------------------------------------------------------------------- */
static int decode(const uint8_t *p, size_t n, al_canvas *v) {
  if (n >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8)) return al_png_decode(p, n, v);
  if (n >= 3 && !memcmp(p, "\xff\xd8\xff", 3)) return al_jpeg_decode(p, n, v);
  if (n >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6') return al_pnm_decode(p, n, v);
  if (n >= 2 && !memcmp(p, "BM", 2)) return al_bmp_decode(p, n, v);
  return al_fail("not a picture: PNG, JPEG, BMP, PBM, PGM and PPM are read");
}

/* The canvas of the options; -1 and an error when they are wrong. */
static int prepare(const al_call *c, al_canvas *v) {
  int64_t want = c->a[1].i, limit = c->a[2].i;
  *v = (al_canvas){.want = (int)want, .limit = limit};
  if (limit < 1) return al_fail("max_bytes is %lld: from 1 on", (long long)limit);
  if (want >= 0 && want <= 4) return 0;
  return al_fail("channels is %lld: 0 as stored, 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA",
                 (long long)want);
}

static int image_read(al_call *c) {
  const char *path = c->a[0].s;
  al_canvas v;
  al_bytes b;
  if (prepare(c, &v) || al_file_read(path, AL_IMAGE_LIMIT, &b)) return -1;
  int bad = decode(b.p, b.n, &v);
  al_bytes_free(&b);
  return bad ? -1 : al_ret(c, v.tensor);
}
AL_OP(image_read, .sig = "path:str {channels:int=0 max_bytes:int=4000000000} -> T",
      .doc =
          "The picture in a PNG, JPEG, BMP, PGM or PPM file, C x H x W: uint8, or int32 of "
          "0..65535 from 16 bits.\n"
          "channels: 0 as stored, 1 gray (BT.601), 2 gray and alpha, 3 RGB, 4 RGBA. A JPEG "
          "is turned upright by its "
          "EXIF orientation. A damaged file, or one claiming more than max_bytes, is an error.",
      .forward = image_read, .flags = AL_F_NODIFF,
      .sample = "{'spec/data/dot.png'}, {'spec/data/dot.png', {channels=3}}");

static int image_decode(al_call *c) {
  al_tensor *x = c->a[0].t;
  al_canvas v;
  if (prepare(c, &v)) return -1;
  if (x->dtype != AL_UINT8 || x->ndim != 1)
    return al_fail("bytes is %s %s, wants one dim of uint8", al_shape_text(x->ndim, x->shape),
                   al_dtype_name(x->dtype));
  x = al_dense(x, AL_UINT8);
  if (!x) return -1;
  return decode(al_data(x), (size_t)al_numel(x), &v) ? -1 : al_ret(c, v.tensor);
}
AL_OP(image_decode, .sig = "bytes:T {channels:int=0 max_bytes:int=4000000000} -> T",
      .doc = "The picture in the bytes (uint8) of a PNG, JPEG, BMP, PGM or PPM file: see "
             "image_read.",
      .forward = image_decode, .flags = AL_F_NODIFF,
      .sample = "{t({80, 53, 32, 49, 32, 50, 32, 57, 10, 3, 9}, {dtype='uint8'})}");

/* ---- writing
 * --------------------------------------------------------------------------------- */
/* x (H x W or C x H x W) as contiguous C x H x W; NULL and an error when it is no picture. */
static al_tensor *picture(al_tensor *x, int most_channels, bool deep) {
  bool kind = x->dtype == AL_UINT8 || (deep && x->dtype == AL_INT32);
  if (!kind || x->ndim < 2 || x->ndim > 3 || !al_numel(x))
    return al_null("x is %s %s, wants H x W or C x H x W of uint8%s",
                   al_shape_text(x->ndim, x->shape), al_dtype_name(x->dtype),
                   deep ? " (8 bits) or int32 (16 bits)" : "");
  x = al_dense(x, (al_dtype)x->dtype);
  if (!x) return NULL;
  int64_t shape[3] = {1, x->shape[x->ndim - 2], x->shape[x->ndim - 1]};
  if (x->ndim == 3) shape[0] = x->shape[0];
  if (shape[0] > most_channels || (most_channels == 3 && shape[0] == 2))
    return al_null("x has %lld channels, %s are possible", (long long)shape[0],
                   most_channels == 3 ? "1 and 3" : "1 to 4");
  int64_t stride[3] = {shape[1] * shape[2], shape[2], 1};
  if (shape[1] > 0x7fffffff || shape[2] > 0x7fffffff)
    return al_null("x is too large for a picture file");
  return al_alias(x, 3, shape, stride, x->offset);
}

static int encode_png(al_tensor *x, int64_t level, al_bytes *b) {
  if (level < 0 || level > 9)
    return al_fail("level is %lld: 0 (fast) to 9 (small)", (long long)level);
  x = picture(x, 4, true);
  if (!x) return -1;
  if (x->dtype == AL_INT32) {
    const int32_t *p = al_data(x);
    for (int64_t i = 0, n = al_numel(x); i < n; i++)
      if (p[i] < 0 || p[i] > 65535) return al_fail("x holds %d: 16 bits hold 0 to 65535", p[i]);
  }
  return al_png_encode(x, (int)level, b);
}

static int encode_jpeg(al_tensor *x, int64_t quality, al_bytes *b) {
  if (quality < 1 || quality > 100)
    return al_fail("quality is %lld: 1 to 100", (long long)quality);
  x = picture(x, 3, false);
  if (!x) return -1;
  if (x->shape[1] > 65535 || x->shape[2] > 65535)
    return al_fail("x is too large: a JPEG has at most 65535 x 65535 pixels");
  return al_jpeg_encode(al_data(x), x->shape[2], x->shape[1], (int)x->shape[0], (int)quality,
                        b);
}

/* Ends an encoding: the bytes as a tensor, or in a file. Frees them. */
static int finish(al_call *c, int bad, al_bytes *b, const char *path) {
  al_tensor *y = NULL;
  if (!bad && path) bad = al_file_write(path, &(al_part){b->p, b->n}, 1);
  if (!bad && path) y = al_integer((int64_t)b->n);
  if (!bad && !path) y = al_empty(AL_UINT8, 1, (int64_t[]){(int64_t)b->n});
  if (y && !path) memcpy(al_data(y), b->p, b->n);
  al_bytes_free(b);
  return al_ret(c, y);
}

static int png_write(al_call *c) {
  al_bytes b = {0};
  int bad = encode_png(c->a[1].t, c->a[2].i, &b);
  return finish(c, bad, &b, c->a[0].s);
}
AL_OP(
    png_write, .sig = "path:str x:T {level:int=6} -> T",
    .doc =
        "Writes x, H x W or C x H x W (gray, gray and alpha, RGB, RGBA), as PNG; returns the "
        "bytes written.\n"
        "uint8 gives 8 bits, int32 of 0..65535 gives 16. The file appears whole or not at all.",
    .forward = png_write, .flags = AL_F_NODIFF,
    .sample = "{'/dev/null', ints(0, 255, 3, 4, 5):to('uint8')}, {'/dev/null', ints(0, 65535, "
              "4, 5):to('int32'), {level=9}}");

static int png_encode(al_call *c) {
  al_bytes b = {0};
  int bad = encode_png(c->a[0].t, c->a[1].i, &b);
  return finish(c, bad, &b, NULL);
}
AL_OP(png_encode, .sig = "x:T {level:int=6} -> T",
      .doc = "The bytes (uint8) of the PNG file that png_write would write.",
      .forward = png_encode, .flags = AL_F_NODIFF,
      .sample = "{ints(0, 255, 2, 4, 5):to('uint8')}");

static int jpeg_write(al_call *c) {
  al_bytes b = {0};
  int bad = encode_jpeg(c->a[1].t, c->a[2].i, &b);
  return finish(c, bad, &b, c->a[0].s);
}
AL_OP(jpeg_write, .sig = "path:str x:T quality:int=90 -> T",
      .doc =
          "Writes x, H x W or C x H x W of uint8 (gray or RGB), as baseline JPEG; returns the "
          "bytes written.\n"
          "quality 1 to 100 as libjpeg counts; colour is stored at half resolution up to 90.",
      .forward = jpeg_write, .flags = AL_F_NODIFF,
      .sample = "{'/dev/null', ints(0, 255, 3, 9, 5):to('uint8'), 75}");

static int jpeg_encode(al_call *c) {
  al_bytes b = {0};
  int bad = encode_jpeg(c->a[0].t, c->a[1].i, &b);
  return finish(c, bad, &b, NULL);
}
AL_OP(jpeg_encode, .sig = "x:T quality:int=90 -> T",
      .doc = "The bytes (uint8) of the JPEG file that jpeg_write would write.",
      .forward = jpeg_encode, .flags = AL_F_NODIFF,
      .sample = "{ints(0, 255, 9, 8):to('uint8'), 95}");

/* ---- recompression
 * --------------------------------------------------------------------------- */
typedef struct recode {
  const uint8_t *from;
  uint8_t *to;
  const int64_t *quality; /* one a picture */
  int64_t c, h, w;
  atomic_flag failed;
  char reason[256]; /* of the first failure: errors are a thread's own */
} recode;

static void recode_some(int64_t begin, int64_t end, void *context) {
  recode *r = context;
  int64_t size = r->c * r->h * r->w;
  al_bytes b = {0};
  for (int64_t i = begin; i < end; i++) {
    al_canvas v = {
        .want = (int)r->c, .planes = r->to + i * size, .fixed_w = r->w, .fixed_h = r->h};
    b.n = 0;
    if (al_jpeg_encode(r->from + i * size, r->w, r->h, (int)r->c, (int)r->quality[i], &b) ||
        al_jpeg_decode(b.p, b.n, &v)) {
      if (!atomic_flag_test_and_set(&r->failed))
        snprintf(r->reason, sizeof r->reason, "%s", al_error());
      break;
    }
  }
  al_bytes_free(&b);
}

/* quality (a number, one element or n of them) as n int64; NULL and an error otherwise. */
static const int64_t *qualities(al_tensor *q, int64_t n) {
  int64_t have = al_numel(q);
  if (have != 1 && (q->ndim != 1 || have != n))
    return al_null("quality has shape %s, wants a number or one for each of the %lld pictures",
                   al_shape_text(q->ndim, q->shape), (long long)n);
  al_tensor *flat = al_empty(AL_INT64, 1, &n);
  al_tensor *dense = al_dense(q, AL_INT64);
  if (!flat || !dense) return NULL;
  int64_t *v = al_data(flat);
  for (int64_t i = 0; i < n; i++) {
    v[i] = ((const int64_t *)al_data(dense))[have == 1 ? 0 : i];
    if (v[i] < 1 || v[i] > 100) return al_null("quality is %lld: 1 to 100", (long long)v[i]);
  }
  return v;
}

static int jpeg_recompress(al_call *c) {
  al_tensor *x = c->a[0].t;
  if (x->dtype != AL_UINT8 || x->ndim < 3 || x->ndim > 4)
    return al_fail("x is %s %s, wants C x H x W or N x C x H x W of uint8",
                   al_shape_text(x->ndim, x->shape), al_dtype_name(x->dtype));
  const int64_t *s = x->shape + x->ndim - 3;
  int64_t n = x->ndim == 4 ? x->shape[0] : 1;
  if (s[0] != 1 && s[0] != 3)
    return al_fail("x has %lld channels, 1 and 3 are possible", (long long)s[0]);
  if (s[1] > 65535 || s[2] > 65535)
    return al_fail("x is too large: a JPEG has at most 65535 x 65535 pixels");
  al_tensor *y = al_empty_like(x, AL_UINT8);
  if (!y || !al_numel(x)) return al_ret(c, y);
  const int64_t *q = qualities(c->a[1].t, n);
  x = al_dense(x, AL_UINT8);
  if (!q || !x) return -1;
  recode r = {al_data(x), al_data(y), q, s[0], s[1], s[2], ATOMIC_FLAG_INIT, ""};
  al_parallel(n, 1, recode_some, &r);
  if (r.reason[0]) return al_fail("%s", r.reason);
  return al_ret(c, y);
}
AL_OP(jpeg_recompress, .sig = "x:T quality:N -> T",
      .doc = "x after being stored as JPEG and read back: C x H x W, or N x C x H x W in "
             "parallel, uint8, gray or RGB.\n"
             "quality: 1 to 100, a number or one for each picture.",
      .forward = jpeg_recompress, .flags = AL_F_NODIFF,
      .sample = "{ints(0, 255, 3, 16, 17):to('uint8'), 80}, {ints(0, 255, 2, 1, 9, "
                "8):to('uint8'), ints(50, 95, 2)}");
