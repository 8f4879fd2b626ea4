/* picture.h: which dims of a tensor are a picture's, for filters and morphology. */
#ifndef AL_OP_PICTURE_H
#define AL_OP_PICTURE_H
#include "op.h"
#include <string.h>

#define AL_PICTURE_DOC                                                                      \
  "x: H x W, C x H x W, N x C x H x W, or N x C x D x H x W; spatial says how many of the " \
  "last dims are spatial where that is not 2, of five dims 3."

/* Number of spatial dims: the option `spatial`, or 3 of 5 dims, else 2 (1 of one dim). */
static inline int al_spatial(const al_tensor *x, const al_arg *spatial) {
  int64_t n = spatial->given ? spatial->i : x->ndim == 5 ? 3 : x->ndim < 2 ? 1 : 2;
  if (n < 1 || n > 3 || n > x->ndim)
    return al_fail("x has %d dims, needs 1 to 3 spatial ones among them, not %lld", x->ndim,
                   (long long)n);
  return (int)n;
}

/* Shape of x as (outer, d, h, w), the spatial dims last. */
static inline void al_volume(const al_tensor *x, int n, int64_t *shape) {
  shape[0] = al_product(x->ndim - n, x->shape);
  for (int d = 0; d < 3; d++) shape[1 + d] = d < 3 - n ? 1 : x->shape[x->ndim - 3 + d];
}

/* What lies outside a line of n entries, SciPy's names: reflect (c b a | a b c | c b a), mirror
 * (c b | a b c | b a), nearest, wrap, constant (0). */
enum { AL_REFLECT, AL_MIRROR, AL_NEAREST, AL_WRAP, AL_CONSTANT };
static inline int al_border(const char *s) {
  static const char *const names[] = {"reflect", "mirror", "nearest", "wrap", "constant"};
  for (int i = 0; i < 5; i++)
    if (!strcmp(s, names[i])) return i;
  return al_fail("mode '%s' is none of reflect, mirror, nearest, wrap, constant", s);
}
/* The entry that stands at position p; -1: 0 stands there. */
static inline int64_t al_beyond(int mode, int64_t p, int64_t n) {
  if (p >= 0 && p < n) return p;
  if (mode == AL_CONSTANT) return -1;
  if (mode == AL_NEAREST) return p < 0 ? 0 : n - 1;
  int64_t period = mode == AL_WRAP ? n : mode == AL_REFLECT ? 2 * n : n > 1 ? 2 * n - 2 : 1;
  p = (p % period + period) % period;
  return p < n ? p : period - p - (mode == AL_REFLECT);
}
#endif
