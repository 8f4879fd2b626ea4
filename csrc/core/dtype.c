/* dtype.c: element types, their names and the promotion rule. */
#include "internal.h"
#include <string.h>

static const struct {
  const char *name;
  uint8_t size;
} table[AL_DTYPES] = {
    [AL_BOOL] = {"bool", 1},   [AL_UINT8] = {"uint8", 1},     [AL_INT32] = {"int32", 4},
    [AL_INT64] = {"int64", 8}, [AL_FLOAT32] = {"float32", 4}, [AL_FLOAT64] = {"float64", 8},
};

size_t al_dtype_size(al_dtype d) { return table[d].size; }
const char *al_dtype_name(al_dtype d) { return table[d].name; }

int al_dtype_parse(const char *name) {
  for (int d = 0; d < AL_DTYPES; d++)
    if (!strcmp(name, table[d].name)) return d;
  if (!strcmp(name, "float")) return AL_FLOAT32;
  if (!strcmp(name, "double")) return AL_FLOAT64;
  if (!strcmp(name, "int")) return AL_INT32;
  if (!strcmp(name, "long")) return AL_INT64;
  return al_fail("unknown dtype \"%s\" (bool, uint8, int32, int64, float32, float64)", name);
}

/* bool, integer, float */
static int category(int d) { return al_is_float(d) ? 2 : d != AL_BOOL; }

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
