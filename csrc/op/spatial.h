/* spatial.h: options given for each spatial dim, as convolution and pooling read them. */
#ifndef AL_OP_SPATIAL_H
#define AL_OP_SPATIAL_H
#include "op.h"

/* What the binding makes of pad = "same". */
#define AL_SAME INT64_MIN

/* A list of one entry a spatial dim, or one for all, into the last n of three slots. */
static inline int al_spread(const al_arg *a, int n, int64_t least, const char *name,
                            int64_t *out) {
  if (a->ints.n != 1 && a->ints.n != n)
    return al_fail("%s has %d entries, needs 1 or %d", name, a->ints.n, n);
  for (int d = 0; d < n; d++) {
    out[3 - n + d] = a->ints.v[a->ints.n == 1 ? 0 : d];
    if (out[3 - n + d] == AL_SAME) return al_fail("%s = \"same\" is for conv only", name);
    if (out[3 - n + d] < least)
      return al_fail("%s must be at least %lld", name, (long long)least);
    if (out[3 - n + d] > 1 << 30) /* so that sums and products of them do not overflow */
      return al_fail("%s is too large: %lld", name, (long long)out[3 - n + d]);
  }
  return 0;
}

#endif
