/* simple.c: BMP by stb_image, PBM, PGM and PPM by hand. stb_image is given only bytes whose
 * header has been checked against their number, since it takes what is missing for zeros; its
 * PNM reader does not look for missing bytes at all, nor at the maximum value, nor at 16-bit
 * byte order. */
#include "image.h"
#include <string.h>

#define STB_IMAGE_IMPLEMENTATION
#define STBIDEF extern __attribute__((visibility("hidden")))
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MALLOC(n) al_malloc(n)
#define STBI_REALLOC_SIZED(p, from, to) NULL /* its BMP reader never reallocates */
#define STBI_FREE(p) al_free(p)
#define STBI_ASSERT(x) ((void)0)
#include <stb/stb_image.h>

/* ---- PNM ------------------------------------------------------------------------------------
 */
typedef struct scanner {
  const uint8_t *p;
  size_t n, at;
} scanner;

/* The next number of a PNM header, after spaces and # comments; -1 when there is none. */
static int64_t next_number(scanner *s) {
  for (;; s->at++) {
    if (s->at >= s->n) return -1;
    if (s->p[s->at] == '#') {
      while (s->at < s->n && s->p[s->at] != '\n') s->at++;
    } else if (!strchr(" \t\n\v\f\r", s->p[s->at]) || !s->p[s->at]) {
      break;
    }
  }
  int64_t value = -1;
  for (; s->at < s->n && s->p[s->at] >= '0' && s->p[s->at] <= '9'; s->at++) {
    value = (value < 0 ? 0 : value) * 10 + (s->p[s->at] - '0');
    if (value > 1000000000) return -1;
  }
  return value;
}

/* A PBM's next digit, 1 for black; -1 when there is none. */
static int64_t next_bit(scanner *s) {
  while (s->at < s->n && strchr(" \t\n\v\f\r", s->p[s->at]) && s->p[s->at]) s->at++;
  return s->at < s->n && (s->p[s->at] | 1) == '1' ? s->p[s->at++] - '0' : -1;
}

/* The kinds: 1 and 4 bits, 2 and 5 gray, 3 and 6 RGB; up to 3 as text, else binary. */
typedef struct pnm {
  scanner s;
  bool plain, bits;
  int64_t values, most, full; /* values a row; the file's white, ours */
} pnm;

/* One row's values to 8 or 16 bits; -1 where the text ends. */
static int pnm_row(pnm *f, void *row) {
  const uint8_t *from = f->s.p + f->s.at;
  bool deep = f->most > 255;
  if (!f->plain) f->s.at += (size_t)(f->bits ? (f->values + 7) / 8 : f->values * (deep + 1));
  for (int64_t i = 0; i < f->values; i++) {
    int64_t v = f->bits && f->plain ? next_bit(&f->s)
                : f->plain          ? next_number(&f->s)
                : f->bits           ? from[i / 8] >> (7 - i % 8) & 1
                : deep              ? from[2 * i] << 8 | from[2 * i + 1]
                                    : from[i];
    if (v < 0) return -1;
    if (f->bits) v = 1 - v;
    if (f->most != f->full) v = v >= f->most ? f->full : (v * f->full + f->most / 2) / f->most;
    else if (v > f->full) v = f->full;
    if (deep) ((uint16_t *)row)[i] = (uint16_t)v;
    else ((uint8_t *)row)[i] = (uint8_t)v;
  }
  return 0;
}

int al_pnm_decode(const uint8_t *p, size_t n, al_canvas *v) {
  int kind = p[1] - '0', channels = kind % 3 ? 1 : 3;
  pnm f = {.s = {p, n, 2}, .plain = kind < 4, .bits = kind % 3 == 1};
  int64_t w = next_number(&f.s), h = next_number(&f.s);
  f.most = f.bits ? 1 : next_number(&f.s);
  if (w < 1 || h < 1 || f.most < 1 || f.most > 65535)
    return al_fail("damaged PNM: its header is wrong");
  f.s.at++; /* the one separator before the data */
  f.values = w * channels;
  f.full = f.most > 255 ? 65535 : 255;
  /* as text a value takes a byte at least */
  int64_t row =
      !f.plain && f.bits ? (w + 7) / 8 : f.values * (!f.plain && f.most > 255 ? 2 : 1);
  if (f.s.at > n || h > (int64_t)(n - f.s.at) / row)
    return al_fail("damaged PNM: %lld x %lld pixels in %zu bytes", (long long)w, (long long)h,
                   n);
  if (al_canvas_open(v, w, h, channels, f.most > 255 ? 16 : 8, 1)) return -1;
  void *line = al_alloc((size_t)f.values * 2);
  if (!line) return -1;
  int bad = 0;
  for (int64_t y = 0; y < h && !bad; y++) {
    bad = pnm_row(&f, line);
    if (!bad) al_canvas_row(v, y, line);
  }
  al_release(line);
  return bad ? al_fail("damaged PNM: its values end early") : 0;
}

/* ---- BMP ------------------------------------------------------------------------------------
 */
static uint32_t le(const uint8_t *p, int bytes) {
  uint32_t value = 0;
  while (bytes--) value = value << 8 | p[bytes];
  return value;
}

/* Sizes of an uncompressed BMP, checked against the number of bytes. */
static int check_bmp(const uint8_t *p, size_t n) {
  if (n < 26) return al_fail("damaged BMP: it ends early");
  uint32_t start = le(p + 10, 4), header = le(p + 14, 4);
  bool old = header == 12;
  if (!old && (header < 40 || n < 54)) return al_fail("damaged BMP: its header is wrong");
  int64_t w = le(p + 18, old ? 2 : 4), h = le(p + (old ? 20 : 22), old ? 2 : 4);
  if (h > INT32_MAX) h = (1LL << 32) - h; /* negative: the top row comes first */
  uint32_t depth = le(p + (old ? 24 : 28), 2), packing = old ? 0 : le(p + 30, 4);
  if (packing == 1 || packing == 2) return al_fail("run-length BMP is not read");
  if (w < 1 || w > INT32_MAX || h < 1 || depth < 1 || depth > 32)
    return al_fail("damaged BMP: its header is wrong");
  int64_t row = (w * depth + 31) / 32 * 4;
  if (start > n || h > (int64_t)(n - start) / row)
    return al_fail("damaged BMP: %lld x %lld pixels in %zu bytes", (long long)w, (long long)h,
                   n);
  return 0;
}

int al_bmp_decode(const uint8_t *p, size_t n, al_canvas *v) {
  if (n > INT32_MAX) return al_fail("a BMP of more than 2 GB");
  if (check_bmp(p, n)) return -1;
  int w, h, channels;
  uint8_t *pixels = stbi_load_from_memory(p, (int)n, &w, &h, &channels, 0);
  if (!pixels) return al_fail("damaged BMP, or of a kind that is not read");
  int bad = al_canvas_open(v, w, h, channels, 8, 1);
  for (int64_t y = 0; !bad && y < h; y++) al_canvas_row(v, y, pixels + y * w * channels);
  al_free(pixels);
  return bad;
}
