/* read.c: TIFF stacks by libtiff. What a page claims is checked before anything is allocated
 * for it; libtiff itself is kept from mapping the file, whose end may move. */
#include "tiff.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern al_op *const __start_al_ops[] __attribute__((visibility("hidden")));
extern al_op *const __stop_al_ops[] __attribute__((visibility("hidden")));
void al_plugin_ops(al_op *const **first, al_op *const **last);
void al_plugin_ops(al_op *const **first, al_op *const **last) {
  *first = __start_al_ops;
  *last = __stop_al_ops;
}

static int complain(TIFF *tif, void *user, const char *module, const char *format,
                    va_list args) {
  al_tiff_trouble *t = user;
  (void)tif;
  (void)module;
  if (!t || t->text[0]) return 1;
  vsnprintf(t->text, sizeof t->text, format, args);
  for (char *p = t->text; *p; p++) /* it quotes bytes of the file */
    if ((unsigned char)*p < ' ') *p = ' ';
  return 1;
}

static int ignore(TIFF *tif, void *user, const char *module, const char *format, va_list args) {
  (void)tif;
  (void)user;
  (void)module;
  (void)format;
  (void)args;
  return 1;
}

TIFFOpenOptions *al_tiff_options(al_tiff_trouble *trouble, int64_t bytes) {
  TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
  if (!o) return al_null("no memory for a TIFF");
  TIFFOpenOptionsSetErrorHandlerExtR(o, complain, trouble);
  TIFFOpenOptionsSetWarningHandlerExtR(o, ignore, NULL);
  TIFFOpenOptionsSetMaxSingleMemAlloc(o, (tmsize_t)bytes);
  return o;
}

typedef struct page {
  uint32_t w, h;
  int samples, bits, format; /* as stored; format is TIFF's SampleFormat */
  int channels;              /* of the tensor: samples, or 3 from a palette */
  bool separate, inverted, palette, tiled;
  al_dtype dtype;
} page;

/* A file being read. */
typedef struct reader {
  TIFF *tif;
  const char *path;
  int64_t limit;
  al_tiff_trouble trouble;
} reader;

/* An error of libtiff's, or `what`. */
static int fail(const reader *r, const char *what) {
  return al_fail("damaged TIFF %s: %s", r->path, r->trouble.text[0] ? r->trouble.text : what);
}

/* The dtype of samples of a format and width; -1 when no tensor holds them. */
static int dtype_of(int format, int bits) {
  if (format == SAMPLEFORMAT_IEEEFP)
    return bits == 16 ? AL_FLOAT16 : bits == 32 ? AL_FLOAT32 : bits == 64 ? AL_FLOAT64 : -1;
  if (format == SAMPLEFORMAT_INT)
    return bits == 64 ? AL_INT64 : bits == 8 || bits == 16 || bits == 32 ? AL_INT32 : -1;
  if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) return -1;
  if (bits == 1) return AL_BOOL;
  if (bits <= 8) return AL_UINT8;
  if (bits <= 16) return AL_INT32;
  return bits == 32 || bits == 64 ? AL_INT64 : -1;
}

/* What the current directory holds; -1 and an error when it cannot be read. */
static int describe(reader *r, page *p) {
  uint16_t samples, bits, format, planar, colours, codec;
  uint32_t depth = 1;
  memset(p, 0, sizeof *p);
  TIFFGetFieldDefaulted(r->tif, TIFFTAG_COMPRESSION, &codec);
  if (!TIFFGetField(r->tif, TIFFTAG_IMAGEWIDTH, &p->w) ||
      !TIFFGetField(r->tif, TIFFTAG_IMAGELENGTH, &p->h) || !p->w || !p->h)
    return fail(r, "a page has no size");
  TIFFGetFieldDefaulted(r->tif, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(r->tif, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(r->tif, TIFFTAG_SAMPLEFORMAT, &format);
  TIFFGetFieldDefaulted(r->tif, TIFFTAG_PLANARCONFIG, &planar);
  TIFFGetFieldDefaulted(r->tif, TIFFTAG_IMAGEDEPTH, &depth);
  if (!TIFFGetField(r->tif, TIFFTAG_PHOTOMETRIC, &colours)) colours = PHOTOMETRIC_MINISBLACK;
  int dtype = dtype_of(format, bits);
  if (dtype < 0 || !samples)
    return al_fail("%s has %d samples of %d bits (format %d), which no dtype holds", r->path,
                   samples, bits, format);
  if (depth != 1) return al_fail("%s has pages of depth %u, 1 is read", r->path, depth);
  if (codec == COMPRESSION_OJPEG || !TIFFIsCODECConfigured(codec))
    return al_fail("%s is compressed by scheme %d, which is not read", r->path, codec);
  if (codec == COMPRESSION_JPEG && bits != 8)
    return al_fail("%s is JPEG of %d bits, 8 are read", r->path, bits);
  if (colours == PHOTOMETRIC_YCBCR && codec == COMPRESSION_JPEG) {
    TIFFSetField(r->tif, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  } else if (colours == PHOTOMETRIC_YCBCR || TIFFIsUpSampled(r->tif)) {
    return al_fail("%s holds YCbCr without JPEG, which is not read", r->path);
  }
  p->samples = p->channels = samples;
  p->bits = bits;
  p->format = format;
  p->separate = planar == PLANARCONFIG_SEPARATE && samples > 1;
  p->tiled = TIFFIsTiled(r->tif);
  p->dtype = (al_dtype)dtype;
  bool count = format == SAMPLEFORMAT_UINT || format == SAMPLEFORMAT_VOID;
  p->inverted = colours == PHOTOMETRIC_MINISWHITE && count && bits <= 16 && samples == 1;
  p->palette = colours == PHOTOMETRIC_PALETTE && count && bits <= 16 && samples == 1;
  if (p->palette) {
    p->channels = 3;
    p->dtype = AL_UINT8;
  }
  return 0;
}

/* Value `at` of a row of values of less than 8 bits, or 9 to 15, packed from the high bit. */
static uint32_t packed(const uint8_t *row, int64_t at, int bits) {
  uint32_t v = 0;
  for (int64_t k = at * bits, end = k + bits; k < end; k++)
    v = v << 1 | ((unsigned)row[k >> 3] >> (7 - (k & 7)) & 1u);
  return v;
}

#define TAKE(FROM, TO)            \
  for (int64_t k = 0; k < n; k++) \
  ((TO *)to)[k] = (TO)((const FROM *)(const void *)row)[k * step + sample]

/* n values, one in `step` from `sample` on, of a decoded row, as elements of the page's dtype.
 */
static void take(const page *p, const uint8_t *row, int sample, int step, int64_t n, void *to) {
  bool sign = p->format == SAMPLEFORMAT_INT;
  if (p->bits == 8) {
    if (sign) TAKE(int8_t, int32_t);
    else TAKE(uint8_t, uint8_t);
  } else if (p->bits == 16) {
    if (p->dtype == AL_FLOAT16) TAKE(uint16_t, uint16_t);
    else if (sign) TAKE(int16_t, int32_t);
    else TAKE(uint16_t, int32_t);
  } else if (p->bits == 32) {
    if (p->dtype == AL_INT64) TAKE(uint32_t, int64_t);
    else TAKE(uint32_t, uint32_t);
  } else if (p->bits == 64) {
    TAKE(uint64_t, uint64_t);
  } else if (p->dtype == AL_INT32) {
    for (int64_t k = 0; k < n; k++)
      ((int32_t *)to)[k] = (int32_t)packed(row, k * step + sample, p->bits);
  } else {
    for (int64_t k = 0; k < n; k++)
      ((uint8_t *)to)[k] = (uint8_t)packed(row, k * step + sample, p->bits);
  }
  if (!p->inverted) return;
  int32_t top = (int32_t)((1u << p->bits) - 1);
  for (int64_t k = 0; k < n; k++) {
    if (p->dtype == AL_INT32) ((int32_t *)to)[k] = top - ((int32_t *)to)[k];
    else ((uint8_t *)to)[k] = (uint8_t)(top - ((uint8_t *)to)[k]);
  }
}

/* The same of a palette's indices: red, green and blue `plane` bytes apart. Some writers store
 * colours of 8 bits where 16 belong. */
static void take_colours(const reader *r, const page *p, const uint8_t *row, int64_t n,
                         uint8_t *to, int64_t plane) {
  uint16_t *map[3];
  if (!TIFFGetField(r->tif, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2])) return;
  int shift = 0;
  for (int k = 0; k < 3; k++)
    for (int64_t i = 0; i < 1 << p->bits; i++)
      if (map[k][i] > 255) shift = 8;
  for (int64_t x = 0; x < n; x++) {
    uint32_t v = p->bits == 8    ? row[x]
                 : p->bits == 16 ? ((const uint16_t *)(const void *)row)[x]
                                 : packed(row, x, p->bits);
    for (int k = 0; k < 3; k++) to[k * plane + x] = (uint8_t)(map[k][v] >> shift);
  }
}

/* A decoded block (strip or tile) of rows `across` bytes long, whose corner is pixel (x, y), to
 * the planes of the page at `to`. `sample` is its plane when they are stored apart. */
static void place(const reader *r, const page *p, const uint8_t *block, int64_t across,
                  uint32_t x, uint32_t y, int64_t w, int64_t h, int sample, uint8_t *to) {
  int64_t size = (int64_t)al_dtype_size(p->dtype), plane = (int64_t)p->w * p->h;
  for (int64_t k = 0; k < h; k++) {
    const uint8_t *row = block + k * across;
    int64_t at = ((int64_t)y + k) * p->w + x;
    if (p->palette) {
      take_colours(r, p, row, w, to + at, plane);
    } else if (p->separate) {
      take(p, row, 0, 1, w, to + (sample * plane + at) * size);
    } else {
      for (int s = 0; s < p->samples; s++)
        take(p, row, s, p->samples, w, to + (s * plane + at) * size);
    }
  }
}

/* The current directory's pixels. A block is refused when it is far larger than the page. */
static int pixels(reader *r, const page *p, uint8_t *to) {
  uint32_t bw = p->w, bh = p->h;
  if (p->tiled) {
    if (!TIFFGetField(r->tif, TIFFTAG_TILEWIDTH, &bw) ||
        !TIFFGetField(r->tif, TIFFTAG_TILELENGTH, &bh))
      return fail(r, "a page has tiles of no size");
  } else {
    TIFFGetFieldDefaulted(r->tif, TIFFTAG_ROWSPERSTRIP, &bh);
    if (bh > p->h) bh = p->h;
  }
  int64_t across = p->tiled ? TIFFTileRowSize(r->tif) : TIFFScanlineSize(r->tif);
  int64_t bytes = p->tiled ? TIFFTileSize(r->tif) : TIFFStripSize(r->tif);
  int64_t most =
      (8 << 20) + 2 * (int64_t)p->w * p->h * p->channels * (int64_t)al_dtype_size(p->dtype);
  int64_t bits = (int64_t)bw * (p->separate ? 1 : p->samples) * p->bits;
  if (!bw || !bh || across < (bits + 7) / 8 || bytes <= 0 || bytes > most ||
      bytes / across < (int64_t)bh)
    return fail(r, "a page's strips or tiles have a wrong size");
  if (p->palette) {
    uint16_t *map[3];
    if (!TIFFGetField(r->tif, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
      return fail(r, "a palette is missing");
  }
  uint8_t *block = al_alloc((size_t)bytes);
  if (!block) return -1;
  int bad = 0;
  for (int s = 0; s < (p->separate ? p->samples : 1); s++)
    for (int64_t y = 0; y < p->h && !bad; y += bh)
      for (int64_t x = 0; x < p->w && !bad; x += bw) {
        int64_t h = p->h - y < bh ? p->h - y : bh, w = p->w - x < bw ? p->w - x : bw;
        uint32_t X = (uint32_t)x, Y = (uint32_t)y;
        int64_t want = p->tiled ? bytes : h * across, got;
        if (p->tiled)
          got = TIFFReadEncodedTile(r->tif, TIFFComputeTile(r->tif, X, Y, 0, (uint16_t)s),
                                    block, bytes);
        else
          got = TIFFReadEncodedStrip(r->tif, TIFFComputeStrip(r->tif, Y, (uint16_t)s), block,
                                     want);
        if (got < want || r->trouble.text[0]) bad = fail(r, "its data end early");
        else place(r, p, block, across, X, Y, w, h, s, to);
      }
  al_release(block);
  return bad;
}

/* Thumbnails and transparency masks are no pages of the stack. */
static bool counts(const reader *r) {
  uint32_t kind = 0;
  TIFFGetFieldDefaulted(r->tif, TIFFTAG_SUBFILETYPE, &kind);
  return !(kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK));
}

/* Goes to the next page; 1 there is one, 0 that was the last, -1 and an error. */
static int next(reader *r) {
  do {
    if (TIFFLastDirectory(r->tif)) return 0;
    if (!TIFFReadDirectory(r->tif)) return fail(r, "a directory is damaged");
  } while (!counts(r));
  return 1;
}

/* The first page: 0, or -1 and an error. */
static int rewind_pages(reader *r) {
  if (!TIFFSetDirectory(r->tif, 0)) return fail(r, "it has no directory");
  if (counts(r)) return 0;
  int more = next(r);
  return more < 0 ? -1 : more ? 0 : TIFFSetDirectory(r->tif, 0) ? 0 : fail(r, "it has no page");
}

/* Pages alike the first, which `p` tells, from the current one on; -1 and an error when one
 * differs. */
static int64_t count_pages(reader *r, const page *p) {
  int64_t n = 1;
  page q;
  for (int more; (more = next(r)) != 0; n++) {
    if (more < 0 || describe(r, &q)) return -1;
    if (q.w != p->w || q.h != p->h || q.channels != p->channels || q.dtype != p->dtype)
      return al_fail("%s: page %lld is %dx%ux%u %s, the first %dx%ux%u %s: read it by its "
                     "number, { page = %lld }",
                     r->path, (long long)n + 1, q.channels, q.h, q.w, al_dtype_name(q.dtype),
                     p->channels, p->h, p->w, al_dtype_name(p->dtype), (long long)n + 1);
  }
  return n;
}

/* The stack, or the one page whose number is wanted (0: all). */
static al_tensor *stack(reader *r, int64_t wanted) {
  page p;
  if (rewind_pages(r)) return NULL;
  for (int64_t k = 1; k < wanted; k++) {
    int more = next(r);
    if (more < 0) return NULL;
    if (!more)
      return al_null("%s has %lld pages, none numbered %lld", r->path, (long long)k,
                     (long long)wanted);
  }
  if (describe(r, &p)) return NULL;
  int64_t n = wanted ? 1 : count_pages(r, &p), bytes = (int64_t)al_dtype_size(p.dtype);
  if (n < 0) return NULL;
  int64_t shape[4] = {n, p.channels, p.h, p.w};
  for (int k = 0; k < 4; k++)
    if (__builtin_mul_overflow(bytes, shape[k], &bytes) || bytes > r->limit)
      return al_null("%s claims %s %s, more than max_bytes = %lld", r->path,
                     al_shape_text(4, shape), al_dtype_name(p.dtype), (long long)r->limit);
  bool one = n == 1;
  al_tensor *y = al_empty(p.dtype, one ? 3 : 4, one ? shape + 1 : shape);
  if (!y) return NULL;
  if (n > 1 && (rewind_pages(r) || describe(r, &p))) return NULL;
  for (int64_t k = 0; k < n; k++) {
    if (k && (next(r) < 1 || describe(r, &p))) return NULL;
    if (p.channels != shape[1] || p.w != shape[3] || p.h != shape[2])
      return al_null("%s changed while it was read", r->path);
    if (pixels(r, &p, (uint8_t *)al_data(y) + bytes / n * k)) return NULL;
  }
  return y;
}

static int tiff_read(al_call *c) {
  reader r = {.path = c->a[0].s, .limit = c->a[2].i};
  if (c->a[1].i < 0) return al_fail("page is %lld: 0 all, or from 1 on", (long long)c->a[1].i);
  struct stat st;
  int fd = open(r.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return al_fail("cannot open %s: %s", r.path, strerror(errno));
  if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
    close(fd);
    return al_fail("cannot read %s: not a regular file", r.path);
  }
  const char *lie = al_tiff_check(fd, (int64_t)st.st_size);
  if (lie) {
    close(fd);
    return al_fail("damaged TIFF %s: %s", r.path, lie);
  }
  TIFFOpenOptions *o = al_tiff_options(&r.trouble, (8 << 20) + 2 * (int64_t)st.st_size);
  if (o) r.tif = TIFFFdOpenExt(fd, r.path, "rm", o);
  if (o) TIFFOpenOptionsFree(o);
  if (!r.tif) {
    close(fd);
    return o ? fail(&r, "not a TIFF") : -1;
  }
  al_tensor *y = stack(&r, c->a[1].i);
  TIFFClose(r.tif);
  return al_ret(c, y);
}
AL_OP(tiff_read, .sig = "path:str {page:int=0 max_bytes:int=4000000000} -> T",
      .doc = "The pages of a TIFF or BigTIFF file (strips or tiles, any of libtiff's codecs), "
             "P x C x H x W; C x H x W when there is one, or one is asked for by its number.\n"
             "1 bit gives bool, up to 8 uint8, up to 16 and signed ones int32, 32 unsigned "
             "int64, 64 int64; floats of 16, 32, 64 bits as they are. Palettes become RGB, "
             "white-is-zero is turned over. Thumbnails and masks are passed over. More than "
             "max_bytes is refused.",
      .forward = tiff_read, .flags = AL_F_NODIFF | AL_F_HALF,
      .sample = "{'spec/data/dot.tif'}, {'spec/data/dot.tif', {page=1}}");
