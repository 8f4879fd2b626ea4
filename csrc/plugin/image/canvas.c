/* canvas.c: decoded rows to planes, upright, with the channels wanted. */
#include "image.h"

/* Byte shuffles, chosen when the plugin is loaded: 3 us a 128 x 128 picture, 33 without. */
#if defined(__x86_64__) && !defined(__clang__)
#define SHUFFLES __attribute__((target_clones("default", "ssse3")))
#else
#define SHUFFLES
#endif

SHUFFLES void al_split3(int64_t n, const uint8_t *restrict rgb, uint8_t *restrict r,
                        uint8_t *restrict g, uint8_t *restrict b) {
  for (int64_t i = 0; i < n; i++) {
    r[i] = rgb[3 * i];
    g[i] = rgb[3 * i + 1];
    b[i] = rgb[3 * i + 2];
  }
}

SHUFFLES void al_join3(int64_t n, const uint8_t *restrict r, const uint8_t *restrict g,
                       const uint8_t *restrict b, uint8_t *restrict rgb) {
  for (int64_t i = 0; i < n; i++) {
    rgb[3 * i] = r[i];
    rgb[3 * i + 1] = g[i];
    rgb[3 * i + 2] = b[i];
  }
}

int al_canvas_open(al_canvas *v, int64_t w, int64_t h, int channels, int bits, int turn) {
  int want = v->want ? v->want : channels, element = bits == 16 ? 4 : 1;
  if (w < 1 || h < 1) return al_fail("the picture is %lld x %lld", (long long)w, (long long)h);
  int64_t limit = v->limit ? v->limit : AL_IMAGE_LIMIT;
  if (w > limit || h > limit / w / want / element)
    return al_fail("the picture claims %lld x %lld pixels, more than max_bytes = %lld",
                   (long long)w, (long long)h, (long long)limit);
  /* where the first pixel goes, and which way a step in x and in y leads (TIFF 6.0, tag 274) */
  bool turned = turn >= 5;
  int64_t out_w = turned ? h : w, out_h = turned ? w : h;
  bool from_right = turn == 2 || turn == 3 || turn == 6 || turn == 7;
  bool from_bottom = turn == 3 || turn == 4 || turn == 7 || turn == 8;
  int64_t right = from_right ? -1 : 1, below = from_bottom ? -out_w : out_w;
  v->corner = (from_right ? out_w - 1 : 0) + (from_bottom ? (out_h - 1) * out_w : 0);
  v->across = turned ? below : right;
  v->down = turned ? right : below;
  v->plane = w * h;
  v->w = w;
  v->h = h;
  v->channels = channels;
  v->bits = bits;
  v->want = want;
  if (v->planes) {
    if (w == v->fixed_w && h == v->fixed_h) return 0;
    return al_fail("the picture is %lld x %lld, not %lld x %lld", (long long)w, (long long)h,
                   (long long)v->fixed_w, (long long)v->fixed_h);
  }
  v->tensor = al_empty(bits == 16 ? AL_INT32 : AL_UINT8, 3, (int64_t[]){want, out_h, out_w});
  if (!v->tensor) return -1;
  v->planes = al_data(v->tensor);
  return 0;
}

/* One row, for element types FROM and TO. Luma weights: ITU-R BT.601, in 1/65536. The sizes are
 * copied, since bytes written through `to` could be the canvas itself for all the compiler
 * knows. */
#define ROW(NAME, FROM, TO, FULL)                                                           \
  static void NAME(const al_canvas *v, int64_t y, const FROM *row) {                        \
    const int64_t w = v->w, c = v->channels, step = v->across, plane = v->plane;            \
    TO *to = (TO *)v->planes + v->corner + y * v->down;                                     \
    const bool color = c >= 3;                                                              \
    if (color && v->want >= 3) {                                                            \
      TO *g = to + plane, *b = g + plane;                                                   \
      for (int64_t x = 0; x < w; x++) {                                                     \
        const FROM *p = row + x * c;                                                        \
        to[x * step] = p[0];                                                                \
        g[x * step] = p[1];                                                                 \
        b[x * step] = p[2];                                                                 \
      }                                                                                     \
    } else if (color) {                                                                     \
      for (int64_t x = 0; x < w; x++) {                                                     \
        const FROM *p = row + x * c;                                                        \
        to[x * step] = (TO)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 32768u) >> 16); \
      }                                                                                     \
    } else {                                                                                \
      for (int64_t k = 0; k < (v->want >= 3 ? 3 : 1); k++)                                  \
        for (int64_t x = 0; x < w; x++) to[k * plane + x * step] = row[x * c];              \
    }                                                                                       \
    if (v->want == 2 || v->want == 4) {                                                     \
      TO *alpha = to + (v->want - 1) * plane;                                               \
      bool stored = c == 2 || c == 4;                                                       \
      for (int64_t x = 0; x < w; x++) alpha[x * step] = stored ? row[x * c + c - 1] : FULL; \
    }                                                                                       \
  }
ROW(row8, uint8_t, uint8_t, 255)
ROW(row16, uint16_t, int32_t, 65535)

void al_canvas_row(const al_canvas *v, int64_t y, const void *row) {
  if (v->bits == 16) {
    row16(v, y, row);
  } else if (v->channels == 3 && v->want == 3 && v->across == 1) {
    uint8_t *r = (uint8_t *)v->planes + v->corner + y * v->down;
    al_split3(v->w, row, r, r + v->plane, r + 2 * v->plane);
  } else {
    row8(v, y, row);
  }
}
