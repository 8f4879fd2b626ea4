// Folds of contiguous matrices by columns and by rows, extremes with positions, running sums.
#include "reduce.h"

#include "vmath.h"

enum { LANES_ROW = 32, COLUMNS = 1024 };

// One copy of each loop; and none vectorised where widening makes that long and hardly faster.
#if defined(__clang__)
#define KEEP __attribute__((noinline))
#define PLAIN KEEP
#else
#define KEEP __attribute__((noinline, noclone))
#define PLAIN __attribute__((noinline, noclone, optimize("no-tree-vectorize")))
#endif

#define HALVE(TA, h, JOIN) \
  for (int i = 0; i < h; i++) acc[i] = JOIN(TA, acc[i], acc[i + h])

// One body for every fold. Columns: four rows at a time, joined as a tree before they meet the
// accumulator, which stays in the first-level cache. A row is folded as a matrix of 32 columns,
// then those are joined as a tree; a float32 sum of 4096 elements has 32 additions in sequence.
#define FOLD_AS(HOW, NAME, TX, TA, INIT, MAP, JOIN)                                            \
  static HOW void NAME##_block(int64_t rows, int64_t cols, int64_t ld, const TX *x,            \
                               TA *restrict out) {                                             \
    int64_t r = 0;                                                                             \
    for (int64_t c = 0; c < cols; c++) out[c] = INIT;                                          \
    for (; r + 4 <= rows; r += 4, x += 4 * ld) {                                               \
      const TX *x1 = x + ld, *x2 = x1 + ld, *x3 = x2 + ld;                                     \
      for (int64_t c = 0; c < cols; c++) {                                                     \
        TA a = JOIN(TA, MAP(TA, x[c]), MAP(TA, x1[c])),                                        \
           b = JOIN(TA, MAP(TA, x2[c]), MAP(TA, x3[c]));                                       \
        a = JOIN(TA, a, b);                                                                    \
        out[c] = JOIN(TA, out[c], a);                                                          \
      }                                                                                        \
    }                                                                                          \
    for (; r < rows; r++, x += ld)                                                             \
      for (int64_t c = 0; c < cols; c++) {                                                     \
        TA a = MAP(TA, x[c]);                                                                  \
        out[c] = JOIN(TA, out[c], a);                                                          \
      }                                                                                        \
  }                                                                                            \
  static void NAME##_col(int64_t rows, int64_t cols, int64_t ld, const void *x, void *out) {   \
    for (int64_t c = 0; c < cols; c += COLUMNS)                                                \
      NAME##_block(rows, al_min(COLUMNS, cols - c), ld, (const TX *)x + c, (TA *)out + c);     \
  }                                                                                            \
  static KEEP TA NAME##_one(int64_t n, const TX *x) {                                          \
    TA acc[LANES_ROW];                                                                         \
    if (n < LANES_ROW) {                                                                       \
      TA a = INIT;                                                                             \
      for (int64_t i = 0; i < n; i++) {                                                        \
        TA b = MAP(TA, x[i]);                                                                  \
        a = JOIN(TA, a, b);                                                                    \
      }                                                                                        \
      return a;                                                                                \
    }                                                                                          \
    NAME##_block(n / LANES_ROW, LANES_ROW, LANES_ROW, x, acc);                                 \
    x += n / LANES_ROW * LANES_ROW;                                                            \
    for (int64_t i = 0; i < n % LANES_ROW; i++) {                                              \
      TA b = MAP(TA, x[i]);                                                                    \
      acc[i] = JOIN(TA, acc[i], b);                                                            \
    }                                                                                          \
    HALVE(TA, 16, JOIN);                                                                       \
    HALVE(TA, 8, JOIN);                                                                        \
    HALVE(TA, 4, JOIN);                                                                        \
    HALVE(TA, 2, JOIN);                                                                        \
    return JOIN(TA, acc[0], acc[1]);                                                           \
  }                                                                                            \
  static void NAME##_row(int64_t rows, int64_t n, int64_t ld, const void *x, void *out) {      \
    for (int64_t r = 0; r < rows; r++) ((TA *)out)[r] = NAME##_one(n, (const TX *)x + r * ld); \
  }

#define FOLD(...) FOLD_AS(KEEP, __VA_ARGS__)
#define SAME(T, x) ((T)(x))
#define SQUARE(T, x) ((T)(x) * (T)(x))
#define MAGNITUDE(T, x) ((x) < 0 ? -(x) : (x))
#define ADD(T, a, b) ((a) + (b))
#define ADD_WRAP(T, a, b) ((T)((uint64_t)(a) + (uint64_t)(b)))
#define MUL(T, a, b) ((a) * (b))
#define MUL_WRAP(T, a, b) ((T)((uint64_t)(a) * (uint64_t)(b)))
#define LARGER(T, a, b) ((a) > (b) ? (a) : (b))
#define SMALLER(T, a, b) ((a) < (b) ? (a) : (b))
#define LARGER_NAN(T, a, b) larger_##T(a, b)
#define SMALLER_NAN(T, a, b) smaller_##T(a, b)
// NaN wins. In two steps: a single condition becomes a branch, and the loop is not vectorised.
#define EXTREMES(T)                   \
  AL_INLINE T larger_##T(T a, T b) {  \
    T m = a > b ? a : b;              \
    return a != a ? a : m;            \
  }                                   \
  AL_INLINE T smaller_##T(T a, T b) { \
    T m = a < b ? a : b;              \
    return a != a ? a : m;            \
  }
EXTREMES(float)
EXTREMES(double)

#define FLOAT_FOLDS(S, T)                             \
  FOLD(sum_##S, T, T, 0, SAME, ADD)                   \
  FOLD(squares_##S, T, T, 0, SQUARE, ADD)             \
  FOLD(abs_##S, T, T, 0, MAGNITUDE, ADD)              \
  FOLD(prod_##S, T, T, 1, SAME, MUL)                  \
  FOLD(max_##S, T, T, -(T)INFINITY, SAME, LARGER_NAN) \
  FOLD(min_##S, T, T, (T)INFINITY, SAME, SMALLER_NAN)
FLOAT_FOLDS(f32, float)
FLOAT_FOLDS(f64, double)
FOLD_AS(PLAIN, sum_u8, uint8_t, int64_t, 0, SAME, ADD_WRAP)
FOLD(max_u8, uint8_t, uint8_t, 0, SAME, LARGER)
FOLD(min_u8, uint8_t, uint8_t, UINT8_MAX, SAME, SMALLER)
FOLD(sum_i64, int64_t, int64_t, 0, SAME, ADD_WRAP)
FOLD_AS(PLAIN, prod_i64, int64_t, int64_t, 1, SAME, MUL_WRAP)
FOLD(max_i64, int64_t, int64_t, INT64_MIN, SAME, LARGER)
FOLD(min_i64, int64_t, int64_t, INT64_MAX, SAME, SMALLER)

// ---- extremes with positions ----

// BEATS(x, best): strictly better, or the first NaN. A row: the value by the fold, then where
// it is.
#define EXTREME(NAME, T, FOLDED, BEATS)                                                       \
  static void NAME##_row(int64_t rows, int64_t n, const void *px, void *pv, int64_t *index) { \
    for (int64_t r = 0; r < rows; r++) {                                                      \
      const T *x = (const T *)px + r * n, best = FOLDED##_one(n, x);                          \
      int64_t i = 0;                                                                          \
      if (best == best)                                                                       \
        while (i < n - 1 && !(x[i] == best)) i++;                                             \
      else                                                                                    \
        while (i < n - 1 && x[i] == x[i]) i++;                                                \
      ((T *)pv)[r] = best, index[r] = i + 1;                                                  \
    }                                                                                         \
  }                                                                                           \
  static void NAME##_col(int64_t rows, int64_t cols, int64_t ld, const void *px, void *pv,    \
                         int64_t *index) {                                                    \
    const T *x = px;                                                                          \
    T *restrict best = pv;                                                                    \
    for (int64_t c = 0; c < cols; c++) best[c] = x[c], index[c] = 1;                          \
    for (int64_t r = 1; r < rows; r++) {                                                      \
      x += ld;                                                                                \
      for (int64_t c = 0; c < cols; c++) {                                                    \
        bool wins = BEATS(x[c], best[c]);                                                     \
        best[c] = wins ? x[c] : best[c];                                                      \
        index[c] = wins ? r + 1 : index[c];                                                   \
      }                                                                                       \
    }                                                                                         \
  }
#define ABOVE(x, b) ((x) > (b))
#define BELOW(x, b) ((x) < (b))
#define ABOVE_NAN(x, b) (((x) > (b)) | (((x) != (x)) & ((b) == (b))))
#define BELOW_NAN(x, b) (((x) < (b)) | (((x) != (x)) & ((b) == (b))))
EXTREME(argmax_u8, uint8_t, max_u8, ABOVE)
EXTREME(argmin_u8, uint8_t, min_u8, BELOW)
EXTREME(argmax_i64, int64_t, max_i64, ABOVE)
EXTREME(argmin_i64, int64_t, min_i64, BELOW)
EXTREME(argmax_f32, float, max_f32, ABOVE_NAN)
EXTREME(argmin_f32, float, min_f32, BELOW_NAN)
EXTREME(argmax_f64, double, max_f64, ABOVE_NAN)
EXTREME(argmin_f64, double, min_f64, BELOW_NAN)

// ---- running sums ----

// float32 along a row is carried in double: one rounding an element.
#define SCAN(NAME, T, TA, UNIT, JOIN)                                                       \
  static void NAME(int64_t n, int64_t inner, const void *px, void *py, bool reverse) {      \
    const T *x = px;                                                                        \
    T *y = py;                                                                              \
    int64_t step = reverse ? -inner : inner;                                                \
    if (!n) return;                                                                         \
    if (reverse) x += (n - 1) * inner, y += (n - 1) * inner;                                \
    if (inner == 1) {                                                                       \
      TA a = UNIT;                                                                          \
      for (int64_t r = 0; r < n; r++, x += step, y += step) a = JOIN(TA, a, *x), *y = (T)a; \
      return;                                                                               \
    }                                                                                       \
    memcpy(y, x, (size_t)inner * sizeof *y);                                                \
    for (int64_t r = 1; r < n; r++) {                                                       \
      x += step, y += step;                                                                 \
      _Pragma("omp simd") for (int64_t c = 0; c < inner; c++) y[c] =                        \
          JOIN(T, y[c - step], x[c]);                                                       \
    }                                                                                       \
  }
SCAN(sums_i64, int64_t, int64_t, 0, ADD_WRAP)
SCAN(sums_f32, float, double, 0, ADD)
SCAN(sums_f64, double, double, 0, ADD)
SCAN(products_i64, int64_t, int64_t, 1, MUL_WRAP)
SCAN(products_f32, float, double, 1, MUL)
SCAN(products_f64, double, double, 1, MUL)

#define F(name) \
  { name##_row, name##_col }
#define FLOATS(name) [4] = F(name##_f32), [5] = F(name##_f64)
#define ALL(name) [0] = F(name##_u8), [1] = F(name##_u8), [3] = F(name##_i64), FLOATS(name)
const al_reduce_kernels AL_K(al_reduce) = {
    .fold =
        {
            [AL_R_SUM] = {ALL(sum)},
            [AL_R_SUM_SQUARES] = {FLOATS(squares)},
            [AL_R_SUM_ABS] = {FLOATS(abs)},
            [AL_R_PROD] = {[3] = F(prod_i64), FLOATS(prod)},
            [AL_R_MAX] = {ALL(max)},
            [AL_R_MIN] = {ALL(min)},
        },
    .extreme = {{ALL(argmax)}, {ALL(argmin)}},
    .scan = {{[3] = sums_i64, sums_f32, sums_f64},
             {[3] = products_i64, products_f32, products_f64}},
};
