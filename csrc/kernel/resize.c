/* resize.c: weighted sums of rows in tiles of 16 x 256, which stay in the first cache, stored
 * transposed. */
#include "resize.h"
#include "kernel.h"

#define TILE_ROWS 16
#define TILE_COLUMNS 256

#define AS_IS(v) (v)
/* rounded and clamped; NaN cannot come from bytes */
#define BYTE(v) ((uint8_t)((v) < 0 ? 0 : (v) > 255 ? 255 : (v) + 0.5f))

#define PASS(NAME, FROM, REAL, TO, STORE)                                           \
  static void NAME(const al_taps *t, const void *in_, int64_t width, int64_t begin, \
                   int64_t end, void *out_) {                                       \
    const FROM *in = in_;                                                           \
    TO *out = out_;                                                                 \
    REAL tile[TILE_ROWS][TILE_COLUMNS];                                             \
    for (int64_t r0 = begin; r0 < end; r0 += TILE_ROWS) {                           \
      int64_t rows = al_min(TILE_ROWS, end - r0);                                   \
      for (int64_t j0 = 0; j0 < width; j0 += TILE_COLUMNS) {                        \
        int64_t n = al_min(TILE_COLUMNS, width - j0);                               \
        for (int64_t r = 0; r < rows; r++) {                                        \
          const FROM *row = in + t->first[r0 + r] * width + j0;                     \
          const REAL *w = (const REAL *)t->weight + (r0 + r) * t->most;             \
          REAL *sum = tile[r], w0 = w[0];                                           \
          for (int64_t j = 0; j < n; j++) sum[j] = w0 * (REAL)row[j];               \
          for (int64_t k = 1; k < t->count[r0 + r]; k++) {                          \
            REAL wk = w[k];                                                         \
            row += width;                                                           \
            for (int64_t j = 0; j < n; j++) sum[j] += wk * (REAL)row[j];            \
          }                                                                         \
        }                                                                           \
        for (int64_t j = 0; j < n; j++)                                             \
          for (int64_t r = 0; r < rows; r++)                                        \
            out[(j0 + j) * t->rows + r0 + r] = STORE(tile[r][j]);                   \
      }                                                                             \
    }                                                                               \
  }
PASS(u8_f32, uint8_t, float, float, AS_IS)
PASS(f32_f32, float, float, float, AS_IS)
PASS(f32_u8, float, float, uint8_t, BYTE)
PASS(f64_f64, double, double, double, AS_IS)

const al_resize_kernels AL_K(al_resize) = {u8_f32, f32_f32, f32_u8, f64_f64};
