/* write.c: TIFF stacks, without loss. The file is made in memory, then written whole. */
#include "tiff.h"
#include <stdio.h>
#include <string.h>

/* A file in memory: libtiff goes back to enter what it learns late. */
typedef struct memory {
  al_bytes b;
  uint64_t at;
} memory;

static tmsize_t get(thandle_t h, void *p, tmsize_t n) {
  memory *m = h;
  if (n < 0 || m->at > m->b.n) return -1;
  size_t have = m->b.n - (size_t)m->at, take = have < (size_t)n ? have : (size_t)n;
  if (take) memcpy(p, m->b.p + m->at, take);
  m->at += take;
  return (tmsize_t)take;
}

static tmsize_t put(thandle_t h, void *p, tmsize_t n) {
  memory *m = h;
  uint64_t end = m->at + (uint64_t)n;
  if (n < 0 || (end > m->b.n && al_bytes_room(&m->b, (size_t)(end - m->b.n)))) return -1;
  if (m->at > m->b.n) memset(m->b.p + m->b.n, 0, (size_t)(m->at - m->b.n));
  if (n) memcpy(m->b.p + m->at, p, (size_t)n);
  m->at = end;
  if (end > m->b.n) m->b.n = (size_t)end;
  return n;
}

static toff_t seek(thandle_t h, toff_t to, int whence) {
  memory *m = h;
  m->at = to + (whence == SEEK_CUR ? m->at : whence == SEEK_END ? m->b.n : 0);
  return m->at;
}

static toff_t length(thandle_t h) { return ((memory *)h)->b.n; }
static int leave(thandle_t h) {
  (void)h;
  return 0;
}

/* How elements are stored. */
typedef struct layout {
  int64_t n, c, h, w;
  al_dtype dtype;
  int bits, format, codec, predictor;
  int64_t rows; /* a strip */
} layout;

/* int32 of 0 .. 65535, as 16-bit pictures are held. */
static bool short_enough(const al_tensor *x) {
  const int32_t *p = al_data(x);
  for (int64_t i = 0, n = al_numel(x); i < n; i++)
    if (p[i] < 0 || p[i] > 65535) return false;
  return true;
}

static int choose(const al_tensor *x, const char *codec, layout *l) {
  if (x->ndim < 2 || x->ndim > 4 || !al_numel(x) || x->dtype == AL_BFLOAT16)
    return al_fail("x is %s %s, wants H x W, C x H x W or P x C x H x W, and no bfloat16",
                   al_shape_text(x->ndim, x->shape), al_dtype_name(x->dtype));
  *l = (layout){.n = x->ndim == 4 ? x->shape[0] : 1,
                .c = x->ndim > 2 ? x->shape[x->ndim - 3] : 1,
                .h = x->shape[x->ndim - 2],
                .w = x->shape[x->ndim - 1],
                .dtype = x->dtype};
  if (l->c > 65535 || l->h > INT32_MAX || l->w > INT32_MAX / 8)
    return al_fail("x is too large for a TIFF: %s", al_shape_text(x->ndim, x->shape));
  l->bits = 8 * (int)al_dtype_size(l->dtype);
  l->format = l->dtype >= AL_FLOAT32 ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_INT;
  if (l->dtype == AL_BOOL) l->bits = 1;
  if (l->dtype == AL_INT32 && short_enough(x)) l->bits = 16;
  if (l->bits <= 16 && l->format == SAMPLEFORMAT_INT) l->format = SAMPLEFORMAT_UINT;
  if (!strcmp(codec, "none")) l->codec = COMPRESSION_NONE;
  else if (!strcmp(codec, "deflate")) l->codec = COMPRESSION_ADOBE_DEFLATE;
  else if (!strcmp(codec, "lzw")) l->codec = COMPRESSION_LZW;
  else if (!strcmp(codec, "zstd")) l->codec = COMPRESSION_ZSTD;
  else return al_fail("compression is %s: none, deflate, lzw, zstd", codec);
  if (!TIFFIsCODECConfigured((uint16_t)l->codec))
    return al_fail("this libtiff has no %s", codec);
  bool packs = l->codec != COMPRESSION_NONE && l->bits >= 8;
  l->predictor = !packs                             ? PREDICTOR_NONE
                 : l->format == SAMPLEFORMAT_IEEEFP ? PREDICTOR_FLOATINGPOINT
                 : l->bits <= 32                    ? PREDICTOR_HORIZONTAL
                                                    : PREDICTOR_NONE;
  int64_t row = (l->w * l->c * l->bits + 7) / 8;
  l->rows = row < 262144 ? 262144 / row : 1;
  if (l->rows > l->h) l->rows = l->h;
  return 0;
}

static void describe(TIFF *t, const layout *l) {
  uint16_t extra[4] = {EXTRASAMPLE_UNSPECIFIED, EXTRASAMPLE_UNSPECIFIED};
  bool colour = (l->c == 3 || l->c == 4) && l->bits >= 8;
  TIFFSetField(t, TIFFTAG_IMAGEWIDTH, (uint32_t)l->w);
  TIFFSetField(t, TIFFTAG_IMAGELENGTH, (uint32_t)l->h);
  TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, (int)l->c);
  TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, l->bits);
  TIFFSetField(t, TIFFTAG_SAMPLEFORMAT, l->format);
  TIFFSetField(t, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(t, TIFFTAG_PHOTOMETRIC, colour ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
  if (l->c == 2 || l->c == 4) {
    if (l->format == SAMPLEFORMAT_UINT) extra[0] = EXTRASAMPLE_UNASSALPHA;
    TIFFSetField(t, TIFFTAG_EXTRASAMPLES, l->c == 4 && !colour ? 3 : 1, extra);
  }
  TIFFSetField(t, TIFFTAG_COMPRESSION, l->codec);
  if (l->predictor != PREDICTOR_NONE) TIFFSetField(t, TIFFTAG_PREDICTOR, l->predictor);
  TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, (uint32_t)l->rows);
  if (l->n > 1) TIFFSetField(t, TIFFTAG_SUBFILETYPE, FILETYPE_PAGE);
}

/* Planes at `from` to one interleaved row. */
static void join_row(const layout *l, const uint8_t *from, int64_t y, uint8_t *to) {
  int64_t plane = l->h * l->w, size = (int64_t)al_dtype_size(l->dtype);
  if (l->bits == 1) memset(to, 0, (size_t)((l->w * l->c + 7) / 8));
  for (int64_t k = 0; k < l->c; k++) {
    const uint8_t *p = from + (k * plane + y * l->w) * size;
    for (int64_t x = 0; x < l->w; x++) {
      int64_t at = x * l->c + k;
      if (l->bits == 1) to[at >> 3] |= (uint8_t)(p[x] << (7 - (at & 7)));
      else if (l->dtype == AL_INT32 && l->bits == 16)
        ((uint16_t *)(void *)to)[at] = (uint16_t)((const int32_t *)(const void *)p)[x];
      else memcpy(to + at * size, p + x * size, (size_t)size);
    }
  }
}

static int write_page(TIFF *t, const layout *l, const uint8_t *from, uint8_t *strip) {
  int64_t across = (l->w * l->c * l->bits + 7) / 8;
  describe(t, l);
  for (int64_t y = 0; y < l->h; y += l->rows) {
    int64_t rows = l->h - y < l->rows ? l->h - y : l->rows;
    for (int64_t k = 0; k < rows; k++) join_row(l, from, y + k, strip + k * across);
    if (TIFFWriteEncodedStrip(t, (uint32_t)(y / l->rows), strip, rows * across) < 0) return -1;
  }
  return TIFFWriteDirectory(t) ? 0 : -1;
}

/* The file's bytes into m; -1 and an error. */
static int encode(const layout *l, const al_tensor *x, bool big, memory *m) {
  al_tiff_trouble trouble = {""};
  int64_t page = l->c * l->h * l->w * (int64_t)al_dtype_size(l->dtype);
  uint8_t *strip = al_alloc((size_t)(l->rows * ((l->w * l->c * l->bits + 7) / 8)));
  TIFFOpenOptions *o = strip ? al_tiff_options(&trouble, INT64_MAX / 2) : NULL;
  TIFF *t = NULL;
  if (o) {
    big = big || l->n * page > 3900000000LL;
    t = TIFFClientOpenExt("TIFF", big ? "w8" : "w", m, get, put, seek, leave, length, NULL,
                          NULL, o);
    TIFFOpenOptionsFree(o);
  }
  int bad = t ? 0 : -1;
  for (int64_t k = 0; k < l->n && !bad; k++)
    bad = write_page(t, l, (const uint8_t *)al_data(x) + k * page, strip);
  if (t) TIFFClose(t);
  al_release(strip);
  if (bad && o) al_fail("libtiff: %s", trouble.text[0] ? trouble.text : "no memory");
  return bad;
}

static int tiff_write(al_call *c) {
  al_tensor *x = al_dense(c->a[1].t, c->a[1].t->dtype);
  layout l = {0};
  if (!x || choose(x, c->a[2].s, &l)) return -1;
  memory m = {0};
  int bad = encode(&l, x, c->a[3].b, &m);
  int64_t n = (int64_t)m.b.n;
  if (!bad) bad = al_file_write(c->a[0].s, &(al_part){m.b.p, m.b.n}, 1);
  al_bytes_free(&m.b);
  return bad ? -1 : al_ret(c, al_integer(n));
}
AL_OP(tiff_write, .sig = "path:str x:T {compression:str=deflate big:bool=false} -> T",
      .doc =
          "Writes x, H x W, C x H x W or P x C x H x W (a page each), as TIFF without loss; "
          "returns the bytes written.\n"
          "bool takes 1 bit, int32 of 0..65535 16 bits, all others their own width. "
          "compression: none, deflate, lzw, zstd. BigTIFF with big = true, or beyond 3.9 GB. "
          "The file appears whole or not at all.",
      .forward = tiff_write, .flags = AL_F_NODIFF | AL_F_HALF,
      .sample = "{'/dev/null', ints(0, 255, 2, 3, 5, 4):to('uint8')}, {'/dev/null', ints(0, "
                "70000, 4, 5), "
                "{compression='none', big=true}}");
