/* codestream.c: JPEG 2000 codestreams by OpenJPEG (https://www.openjpeg.org). It allocates what
 * headers ask for, so they are read here first (ISO 15444-1, annex A). */
#include "jpegs.h"
#include <openjpeg.h>
#include <stdio.h>

typedef struct stream {
  const uint8_t *p;
  size_t n, at;
  char why[120]; /* the library's first complaint */
} stream;

/* What the headers ask for. */
typedef struct claim {
  int64_t w, h, c, tiles, tile_w, tile_h, layers, limit;
} claim;

static OPJ_SIZE_T on_read(void *to, OPJ_SIZE_T n, void *context) {
  stream *s = context;
  if (n > s->n - s->at) n = s->n - s->at;
  if (!n) return (OPJ_SIZE_T)-1;
  memcpy(to, s->p + s->at, n);
  s->at += n;
  return n;
}
static OPJ_BOOL on_seek(OPJ_OFF_T to, void *context) {
  stream *s = context;
  if (to < 0 || (size_t)to > s->n) return OPJ_FALSE;
  s->at = (size_t)to;
  return OPJ_TRUE;
}
static OPJ_OFF_T on_skip(OPJ_OFF_T n, void *context) {
  stream *s = context;
  return on_seek((OPJ_OFF_T)s->at + n, context) ? n : -1;
}
static void on_error(const char *message, void *context) {
  stream *s = context;
  if (!s->why[0]) snprintf(s->why, sizeof s->why, "%.*s", (int)strcspn(message, "\n"), message);
}

/* SIZ: the picture, its tiles and components. The library keeps 8 kB a tile. */
static int check_size(claim *q, const uint8_t *p, size_t n) {
  if (n < 36 || n != 36 + 3 * (size_t)al_be(p + 34, 2)) return al_fail("its header is wrong");
  int64_t v[8]; /* right, bottom, left, top of the picture; size and start of the tiles */
  for (int k = 0; k < 8; k++) v[k] = al_be(p + 2 + 4 * k, 4);
  *q = (claim){.w = v[0] - v[2],
               .h = v[1] - v[3],
               .c = al_be(p + 34, 2),
               .tile_w = v[4],
               .tile_h = v[5],
               .layers = 1,
               .limit = q->limit};
  if (q->w < 1 || q->h < 1 || q->c < 1 || q->c > 4 || v[4] < 1 || v[5] < 1 || v[6] > v[2] ||
      v[7] > v[3])
    return al_fail("its header is wrong");
  for (int64_t k = 0; k < q->c; k++)
    if ((p[36 + 3 * k] & 127) > 15 || p[37 + 3 * k] != 1 || p[38 + 3 * k] != 1)
      return al_fail("its components differ in size or have more than 16 bits");
  if ((double)q->w * (double)q->h * (double)q->c * 4 > (double)q->limit)
    return al_fail("it claims more than max_bytes = %lld", (long long)q->limit);
  q->tiles = ((v[0] - v[6] - 1) / v[4] + 1) * ((v[1] - v[7] - 1) / v[5] + 1);
  if (q->tile_w > v[0]) q->tile_w = v[0];
  if (q->tile_h > v[1]) q->tile_h = v[1];
  return q->tiles > 512 && q->tiles > q->w * q->h * q->c / 1024
             ? al_fail("it claims %lld tiles", (long long)q->tiles)
             : 0;
}

/* COD (or COC: of one component): what the library keeps of layers and precincts stays in
 * proportion to the picture. p is at the number of levels. */
static int check_coding(const claim *q, const uint8_t *p, size_t n, bool sized) {
  if (n < 5 || p[0] > 32) return al_fail("its coding is wrong");
  int least = 15;
  for (size_t k = 0; sized && k <= p[0]; k++) {
    if (5 + k >= n) return al_fail("its coding is wrong");
    int a = p[5 + k] & 15, b = p[5 + k] >> 4;
    if (a < least) least = a;
    if (b < least) least = b;
  }
  double parts = (double)((q->tile_w >> least) + 2) * (double)((q->tile_h >> least) + 2);
  double kept = parts * (p[0] + 1) * (double)q->c * (double)(q->layers + 16);
  return kept > 1e6 + 4.0 * (double)q->w * (double)q->h
             ? al_fail("it claims %.0f parts of %lld layers", parts, (long long)q->layers)
             : 0;
}

/* Every segment of every header, up to the end or what is not one. */
static int check(claim *q, const uint8_t *p, size_t n) {
  size_t at = 2, part = 0, next = 0;
  while (at + 4 <= n && p[at] == 0xff) {
    int kind = p[at + 1];
    if (kind == 0x93) { /* SOD: the data, up to the next tile's part */
      if (next <= at) return 0;
      at = next;
      continue;
    }
    size_t size = al_be(p + at + 2, 2);
    const uint8_t *v = p + at + 4;
    if (size < 2 || at + 2 + size > n) return al_fail("its headers end early");
    size -= 2;
    int bad = 0;
    if (kind == 0x51) {
      bad = q->c ? al_fail("its header is wrong") : check_size(q, v, size);
    } else if (kind == 0x52 && size > 5) {
      int64_t layers = al_be(v + 2, 2);
      if (layers > q->layers) q->layers = layers;
      bad = check_coding(q, v + 5, size - 5, v[0] & 1);
    } else if (kind == 0x53 && size > 2) {
      bad = check_coding(q, v + 2, size - 2, v[1] & 1);
    } else if (kind == 0x90 && size == 8) {
      part = al_be(v + 2, 4);
      next = part ? at + part : n;
    }
    if (bad) return -1;
    at += size + 4;
  }
  return q->c ? 0 : al_fail("its header is missing");
}

static al_tensor *gathered(const opj_image_t *image, const claim *q) {
  bool fits = image->numcomps == (uint64_t)q->c;
  for (uint32_t k = 0; fits && k < image->numcomps; k++)
    fits = image->comps[k].data && image->comps[k].w == (uint64_t)q->w &&
           image->comps[k].h == (uint64_t)q->h;
  if (!fits) return al_null("its components are wrong");
  al_tensor *y = al_jpegs_room(q->c, q->h, q->w, q->limit);
  for (int64_t k = 0; y && k < q->c; k++)
    memcpy((int32_t *)al_data(y) + k * q->w * q->h, image->comps[k].data,
           (size_t)(q->w * q->h) * 4);
  return y;
}

al_tensor *al_jpeg_2000(const uint8_t *p, size_t n, int64_t limit) {
  claim q = {.limit = limit};
  if (check(&q, p, n)) return NULL;
  stream s = {.p = p, .n = n};
  opj_dparameters_t how;
  opj_image_t *image = NULL;
  al_tensor *y = NULL;
  opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
  opj_stream_t *in = opj_stream_create(65536, OPJ_TRUE);
  opj_set_default_decoder_parameters(&how);
  if (codec && in) {
    opj_set_error_handler(codec, on_error, &s);
    opj_stream_set_user_data(in, &s, NULL);
    opj_stream_set_user_data_length(in, n);
    opj_stream_set_read_function(in, on_read);
    opj_stream_set_skip_function(in, on_skip);
    opj_stream_set_seek_function(in, on_seek);
    if (opj_setup_decoder(codec, &how) && opj_read_header(in, codec, &image) &&
        opj_decode(codec, in, image) && opj_end_decompress(codec, in))
      y = gathered(image, &q);
    else al_fail("%s", s.why[0] ? s.why : "its data are wrong");
  } else {
    al_fail("no memory for JPEG 2000");
  }
  if (image) opj_image_destroy(image);
  if (in) opj_stream_destroy(in);
  if (codec) opj_destroy_codec(codec);
  return y;
}
