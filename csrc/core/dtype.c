/* dtype.c: element types, their names and the promotion rule. */
#include "internal.h"
#include <string.h>

static const struct {
  const char *name;
  uint8_t size;
} table[AL_DTYPES] = {
    [AL_BOOL] = {"bool", 1},       [AL_UINT8] = {"uint8", 1},
    [AL_INT32] = {"int32", 4},     [AL_INT64] = {"int64", 8},
    [AL_FLOAT32] = {"float32", 4}, [AL_FLOAT64] = {"float64", 8},
    [AL_FLOAT16] = {"float16", 2}, [AL_BFLOAT16] = {"bfloat16", 2},
};

size_t al_dtype_size(al_dtype d) { return table[d].size; }
const char *al_dtype_name(al_dtype d) { return table[d].name; }

int al_dtype_parse(const char *name) {
  for (int d = 0; d < AL_DTYPES; d++)
    if (!strcmp(name, table[d].name)) return d;
  if (!strcmp(name, "float")) return AL_FLOAT32;
  if (!strcmp(name, "double")) return AL_FLOAT64;
  if (!strcmp(name, "half")) return AL_FLOAT16;
  if (!strcmp(name, "int")) return AL_INT32;
  if (!strcmp(name, "long")) return AL_INT64;
  return al_fail("unknown dtype \"%s\" (bool, uint8, int32, int64, float32, float64, float16, "
                 "bfloat16)",
                 name);
}

/* ---- halves ---- */

/* IEEE 754 binary16 to binary32, by bits. */
float al_from_half(uint16_t h) {
  uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = (h >> 10) & 31, fraction = h & 1023,
           bits;
  if (exponent == 31) {
    bits = sign | 0x7f800000u | fraction << 13;
  } else if (exponent) {
    bits = sign | (exponent + 112) << 23 | fraction << 13;
  } else {
    float tiny = (float)fraction * 0x1p-24f; /* zero and subnormals: exact */
    memcpy(&bits, &tiny, 4);
    bits |= sign;
  }
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

float al_from_bfloat(uint16_t h) {
  uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

uint16_t al_to_half(float f) {
  uint32_t bits, sign;
  memcpy(&bits, &f, 4);
  sign = bits >> 16 & 0x8000, bits &= 0x7fffffff;
  if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00);  /* NaN */
  if (bits >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* from 65520 on: infinite */
  if (bits < 0x38800000) { /* below 2^-14: in units of 2^-24, which those of 0.5 are */
    float shifted;
    memcpy(&shifted, &bits, 4);
    shifted += 0.5f;
    memcpy(&bits, &shifted, 4);
    return (uint16_t)(sign | (bits - 0x3f000000));
  }
  bits += 0xfff + (bits >> 13 & 1);
  return (uint16_t)(sign | (bits - (112u << 23)) >> 13);
}

uint16_t al_to_bfloat(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  if (f != f) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---- promotion ---- */

/* bool, integer, float */
static int category(int d) { return d >= AL_FLOAT32 ? 2 : d != AL_BOOL; }

/* Tensors with dims decide; a 0-dim tensor, and after it a plain number, only lifts the
 * category (torch.result_type). A number that lifts takes the default type of its category. */
al_dtype al_promote(int n, al_tensor *const *t) {
  int best[3] = {-1, -1, -1}; /* by rank: dims, 0-dim, number */
  for (int i = 0; i < n; i++) {
    if (!t[i]) continue;
    int rank = t[i]->wrapped ? 2 : t[i]->ndim == 0, d = t[i]->dtype;
    if (rank == 2 && al_is_float(d)) d = AL_FLOAT32;
    if (d > best[rank]) best[rank] = d;
  }
  int d = best[0];
  for (int rank = 1; rank < 3; rank++)
    if (best[rank] >= 0 && (d < 0 || category(best[rank]) > category(d))) d = best[rank];
  return (al_dtype)(d < 0 ? AL_FLOAT32 : d);
}
