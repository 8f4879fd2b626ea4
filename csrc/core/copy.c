// Copies: casting between dtypes, broadcasting, and the transposed case by tiles.
#include "internal.h"
#include "iter.h"
#include "stream.h"

#include <string.h>

// ---- casting loops, one for each pair of dtypes
// ------------------------------------------------- Floats to integers truncate; out of range
// gives an unspecified value, as in C. To bool: not zero.

#define TO_BOOL(x) ((uint8_t)((x) != 0))
#define TO_U8(x) ((uint8_t)(int32_t)(x))
#define TO_I32(x) ((int32_t)(x))
#define TO_I64(x) ((int64_t)(x))
#define TO_F32(x) ((float)(x))
#define TO_F64(x) ((double)(x))

#define CAST(NAME, TO, FROM, CONVERT)                                                        \
  static void NAME(int64_t n, char *const *ptr, const int64_t *stride, const void *unused) { \
    (void)unused;                                                                            \
    int64_t so = stride[0], si = stride[1];                                                  \
    if (so == sizeof(TO) && si == sizeof(FROM)) {                                            \
      TO *to = (TO *)ptr[0];                                                                 \
      const FROM *from = (const FROM *)ptr[1];                                               \
      for (int64_t i = 0; i < n; i++) to[i] = CONVERT(from[i]);                              \
    } else {                                                                                 \
      char *to = ptr[0];                                                                     \
      const char *from = ptr[1];                                                             \
      for (int64_t i = 0; i < n; i++)                                                        \
        *(TO *)(to + i * so) = CONVERT(*(const FROM *)(from + i * si));                      \
    }                                                                                        \
  }
#define CAST_TO(name, TO, CONVERT)           \
  CAST(bool_to_##name, TO, uint8_t, CONVERT) \
  CAST(u8_to_##name, TO, uint8_t, CONVERT)   \
  CAST(i32_to_##name, TO, int32_t, CONVERT)  \
  CAST(i64_to_##name, TO, int64_t, CONVERT)  \
  CAST(f32_to_##name, TO, float, CONVERT)    \
  CAST(f64_to_##name, TO, double, CONVERT)
CAST_TO(bool, uint8_t, TO_BOOL)
CAST_TO(u8, uint8_t, TO_U8)
CAST_TO(i32, int32_t, TO_I32)
CAST_TO(i64, int64_t, TO_I64)
CAST_TO(f32, float, TO_F32)
CAST_TO(f64, double, TO_F64)
CAST(f16_to_f32, float, uint16_t, al_from_half)
CAST(bf16_to_f32, float, uint16_t, al_from_bfloat)
CAST(f32_to_f16, uint16_t, float, al_to_half)
CAST(f32_to_bf16, uint16_t, float, al_to_bfloat)

#define ROW(name) \
  { bool_to_##name, u8_to_##name, i32_to_##name, i64_to_##name, f32_to_##name, f64_to_##name }
static const al_loop casts[AL_FLOAT16][AL_FLOAT16] = { // [to][from]
    ROW(bool), ROW(u8), ROW(i32), ROW(i64), ROW(f32), ROW(f64)};

// Halves convert to and from float32 only, the others by way of it.
static al_loop cast_of(int to, int from) {
  if (al_is_half(from)) return from == AL_FLOAT16 ? f16_to_f32 : bf16_to_f32;
  if (al_is_half(to)) return to == AL_FLOAT16 ? f32_to_f16 : f32_to_bf16;
  return casts[to][from];
}

// ---- the same dtype ----

static void move_rows(int64_t n, char *const *ptr, const int64_t *stride, const void *size_of) {
  const int64_t size = *(const int64_t *)size_of, so = stride[0], si = stride[1];
  char *to = ptr[0];
  const char *from = ptr[1];
#define MOVE(T)                                              \
  if (si == 0) {                                             \
    const T v = *(const T *)from;                            \
    for (int64_t i = 0; i < n; i++) *(T *)(to + i * so) = v; \
  } else                                                     \
    for (int64_t i = 0; i < n; i++) *(T *)(to + i * so) = *(const T *)(from + i * si)
  if (so == size && si == size) memcpy(to, from, (size_t)(n * size));
  else if (size == 4) {
    MOVE(uint32_t);
  } else if (size == 8) {
    MOVE(uint64_t);
  } else if (size == 2) {
    MOVE(uint16_t);
  } else {
    MOVE(uint8_t);
  }
}

// A transposed copy: writes run along dim `p`, reads along dim `q`. Tiles of 32 x 32 keep both
// sides in whole cache lines; a task is one band of tiles.
enum { TILE = 32 };
typedef struct transposed {
  const al_iter *it;
  int p, q;
  int64_t size, bands;
} transposed;

/* to[j * to_row + i * size] = from[i * from_col + j * size], i < m, j < n. Through a square on
 * the stack: rows a power of two apart share few cache sets, and must not be visited again and
 * again. */
#define COPY(T)                                                                               \
  static void copy_tile_##T(char *to, const char *from, int64_t m, int64_t n, int64_t to_row, \
                            int64_t from_col) {                                               \
    T square[TILE][TILE + 1];                                                                 \
    for (int64_t i = 0; i < m; i++)                                                           \
      for (int64_t j = 0; j < n; j++) square[i][j] = ((const T *)(from + i * from_col))[j];   \
    for (int64_t j = 0; j < n; j++)                                                           \
      for (int64_t i = 0; i < m; i++) ((T *)(to + j * to_row))[i] = square[i][j];             \
  }
COPY(uint8_t)
COPY(uint16_t)
COPY(uint32_t)
COPY(uint64_t)

/* A whole tile of 4-byte elements, in blocks of 4 x 4 held in vectors. */
typedef uint32_t four __attribute__((vector_size(16)));
typedef uint32_t four_u __attribute__((vector_size(16), aligned(4), may_alias));
static void copy_tile_4(char *to, const char *from, int64_t to_row, int64_t from_col) {
  four square[TILE][TILE / 4 + 1];
  for (int i = 0; i < TILE; i++)
    for (int j = 0; j < TILE / 4; j++)
      square[i][j] = ((const four_u *)(from + i * from_col))[j];
  for (int j = 0; j < TILE / 4; j++, to += 4 * to_row)
    for (int i = 0; i < TILE; i += 4) {
      four a = square[i][j], b = square[i + 1][j], c = square[i + 2][j], d = square[i + 3][j];
      four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
           cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      *(four_u *)(to + i * 4) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
      *(four_u *)(to + to_row + i * 4) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
      ab = __builtin_shufflevector(a, b, 2, 6, 3, 7),
      cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      *(four_u *)(to + 2 * to_row + i * 4) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
      *(four_u *)(to + 3 * to_row + i * 4) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    }
}

static void copy_tile(char *to, const char *from, int64_t m, int64_t n, int64_t to_row,
                      int64_t from_col, int64_t size) {
  if (size == 4 && m == TILE && n == TILE) copy_tile_4(to, from, to_row, from_col);
  else if (size == 4) copy_tile_uint32_t(to, from, m, n, to_row, from_col);
  else if (size == 8) copy_tile_uint64_t(to, from, m, n, to_row, from_col);
  else if (size == 2) copy_tile_uint16_t(to, from, m, n, to_row, from_col);
  else copy_tile_uint8_t(to, from, m, n, to_row, from_col);
}

static void copy_bands(int64_t begin, int64_t end, void *context) {
  const transposed *c = context;
  const al_iter *it = c->it;
  const int64_t np = it->shape[c->p], nq = it->shape[c->q];
  for (int64_t task = begin; task < end; task++) {
    int64_t rest = task / c->bands, j = task % c->bands * TILE;
    char *to = it->data[0] + j * it->stride[0][c->q];
    const char *from = it->data[1] + j * it->stride[1][c->q];
    for (int d = it->ndim - 1; d >= 0; d--) {
      if (d == c->p || d == c->q) continue;
      int64_t i = rest % it->shape[d];
      rest /= it->shape[d];
      to += i * it->stride[0][d], from += i * it->stride[1][d];
    }
    int64_t n = nq - j < TILE ? nq - j : TILE;
    for (int64_t i = 0; i < np; i += TILE)
      copy_tile(to + i * c->size, from + i * it->stride[1][c->p], np - i < TILE ? np - i : TILE,
                n, it->stride[0][c->q], it->stride[1][c->p], c->size);
  }
}

// Whether the walk is a transposition worth tiling, and if so does it.
static bool copy_transposed(const al_iter *it, int64_t size) {
  int p = it->ndim - 1, q = -1;
  if (it->ndim < 2 || it->stride[0][p] != size || it->stride[1][p] == size ||
      it->stride[1][p] == 0)
    return false;
  for (int d = 0; d < p; d++)
    if (it->stride[1][d] == size) q = d;
  if (q < 0 || it->shape[p] < 4 || it->shape[q] < 4) return false;
  transposed c = {it, p, q, size, (it->shape[q] + TILE - 1) / TILE};
  int64_t outer = it->numel / it->shape[p] / it->shape[q], work = TILE * it->shape[p];
  al_parallel(outer * c.bands, 1 + 16384 / (work > 0 ? work : 1), copy_bands, &c);
  return true;
}

typedef struct flat {
  char *to;
  const char *from;
  int64_t size;
  bool stream;
} flat;
static void copy_flat(int64_t begin, int64_t end, void *context) {
  const flat *c = context;
  begin *= c->size, end *= c->size;
  if (!c->stream) {
    memcpy(c->to + begin, c->from + begin, (size_t)(end - begin));
    return;
  }
  al_stream(c->to + begin, c->from + begin, end - begin);
  al_stream_end();
}
/* A large result of one value: a block of it, streamed again and again. */
static void fill_flat(int64_t begin, int64_t end, void *context) {
  const flat *c = context;
  _Alignas(16) char block[4096];
  begin *= c->size, end *= c->size;
  for (int64_t i = 0; i < (int64_t)sizeof block; i += c->size)
    memcpy(block + i, c->from, (size_t)c->size);
  for (int64_t n; begin < end; begin += n) {
    n = end - begin < (int64_t)sizeof block ? end - begin : (int64_t)sizeof block;
    al_stream(c->to + begin, block, n);
  }
  al_stream_end();
}

static bool is_one_value(const al_tensor *t) { /* repeated */
  for (int d = 0; d < t->ndim; d++)
    if (t->stride[d] && t->shape[d] > 1) return false;
  return true;
}

int al_copy(al_tensor *dst, const al_tensor *src) {
  if (!dst || !src) return -1;
  int64_t size = (int64_t)al_dtype_size((al_dtype)dst->dtype);
  int64_t n = al_numel(dst);
  bool flat_to = dst->dtype == src->dtype && al_same_shape(dst, src) && al_is_contiguous(dst);
  flat c = {al_data(dst), al_data(src), size, n * size >= AL_STREAM};
  if (flat_to && c.stream && is_one_value(src) && dst->storage != src->storage) {
    al_parallel(n, 1 << 18, fill_flat, &c);
    return 0;
  }
  if (flat_to && al_is_contiguous(src)) {
    if (n && c.to != c.from) al_parallel(n, 1 << 18, copy_flat, &c);
    return 0;
  }
  bool overlap = dst->storage == src->storage && dst != src;
  bool half = dst->dtype != src->dtype && dst->dtype != AL_FLOAT32 &&
              src->dtype != AL_FLOAT32 && (al_is_half(dst->dtype) || al_is_half(src->dtype));
  if (overlap || half) { // through a copy
    al_frame frame;
    al_frame_open(&frame);
    al_tensor *t = al_empty_like(src, half ? AL_FLOAT32 : (al_dtype)src->dtype);
    int bad = !t || al_copy(t, src) || al_copy(dst, t);
    al_frame_close(&frame);
    return bad ? -1 : 0;
  }
  al_iter it;
  if (al_iter_open(&it, 2, (al_tensor *[]){dst, (al_tensor *)(uintptr_t)src})) return -1;
  if (dst->dtype != src->dtype) al_iter_run(&it, cast_of(dst->dtype, src->dtype), NULL);
  else if (!copy_transposed(&it, size)) al_iter_run(&it, move_rows, &size);
  return 0;
}

al_tensor *al_fresh_contiguous(al_tensor *t, al_dtype dtype) {
  al_tensor *y = t ? al_empty_like(t, dtype) : NULL;
  if (!y || !al_copy(y, t)) return y;
  if (!al_here.frame) al_unref(y);
  return NULL;
}

al_tensor *al_dense(al_tensor *t, al_dtype dtype) {
  if (!t) return NULL;
  if (t->dtype == dtype && al_is_contiguous(t)) return al_here.frame ? t : al_ref(t);
  return al_fresh_contiguous(t, dtype);
}
