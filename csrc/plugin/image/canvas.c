/* canvas.c: decoded rows to planes, upright, with the channels wanted. */
#include "image.h"

int al_canvas_open(al_canvas *v, int64_t w, int64_t h, int channels, int bits, int turn) {
  int want = v->want ? v->want : channels, element = bits == 16 ? 4 : 1;
  if (w < 1 || h < 1) return al_fail("the picture is %lld x %lld", (long long)w, (long long)h);
  if (w > AL_IMAGE_LIMIT || h > AL_IMAGE_LIMIT / w / want / element)
    return al_fail("the picture claims %lld x %lld pixels, more than 4 GB", (long long)w,
                   (long long)h);
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

/* One row, for element types FROM and TO. Luma weights: ITU-R BT.601, in 1/65536. */
#define ROW(NAME, FROM, TO, FULL)                                                             \
  static void NAME(const al_canvas *v, int64_t y, const FROM *row) {                          \
    TO *base = (TO *)v->planes + v->corner + y * v->down;                                     \
    int64_t c = v->channels, step = v->across;                                                \
    bool color = c >= 3, alpha = v->want == 2 || v->want == 4;                                \
    int colors = v->want >= 3 ? 3 : 1;                                                        \
    for (int k = 0; k < colors; k++) {                                                        \
      TO *to = base + k * v->plane;                                                           \
      if (color && colors == 1) {                                                             \
        for (int64_t x = 0; x < v->w; x++) {                                                  \
          const FROM *p = row + x * c;                                                        \
          to[x * step] = (TO)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 32768u) >> 16); \
        }                                                                                     \
      } else {                                                                                \
        const FROM *p = row + (color ? k : 0);                                                \
        for (int64_t x = 0; x < v->w; x++) to[x * step] = p[x * c];                           \
      }                                                                                       \
    }                                                                                         \
    if (alpha) {                                                                              \
      TO *to = base + colors * v->plane;                                                      \
      bool stored = c == 2 || c == 4;                                                         \
      for (int64_t x = 0; x < v->w; x++) to[x * step] = stored ? row[x * c + c - 1] : FULL;   \
    }                                                                                         \
  }
ROW(row8, uint8_t, uint8_t, 255)
ROW(row16, uint16_t, int32_t, 65535)

void al_canvas_row(const al_canvas *v, int64_t y, const void *row) {
  if (v->bits == 16) row16(v, y, row);
  else row8(v, y, row);
}
