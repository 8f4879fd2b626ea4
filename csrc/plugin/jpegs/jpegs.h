/* jpegs.h: decoders of the JPEGs that DICOM holds besides the usual one. */
#ifndef AL_JPEGS_H
#define AL_JPEGS_H
#include "../../op/op.h"
#include <string.h>

/* The picture in n bytes, C x H x W of int32, at most `limit` bytes (told before anything is
 * allocated); NULL and an error when they are damaged. */
al_tensor *al_jpeg_lossless(const uint8_t *p, size_t n, int64_t limit);
al_tensor *al_jpeg_2000(const uint8_t *p, size_t n, int64_t limit);

/* An empty picture of checked size; NULL and an error. */
al_tensor *al_jpegs_room(int64_t c, int64_t h, int64_t w, int64_t limit);

static inline uint32_t al_be(const uint8_t *p, int n) {
  uint32_t v = 0;
  while (n--) v = v << 8 | *p++;
  return v;
}
#endif
