// Matrix product, blocked for the caches after Goto and van de Geijn, "Anatomy of
// high-performance matrix multiplication", ACM TOMS 34(3), 2008: C is cut in blocks of at most
// ROWS x COLS, one task each; for each DEPTH steps of the sum a task packs its rows of A and
// columns of B into panels, and runs the register tile (tile.h) over them.
#ifndef AL_REAL
#include "gemm.h"

#include <omp.h>

#include "../core/memory.h"
#include "kernel.h"

enum { ROWS = 384, COLS = 512, DEPTH = 256, DOTS = 4 };

#define AL_REAL 32
#include "gemm.c"
#define AL_REAL 64
#include "gemm.c"

const al_gemm_kernels AL_K(al_gemm) = {gemm_f32, gemm_f64, single_f32, single_f64};

#else
#include "real.h"
#include "tile.h"
#include "transpose.h"

enum { AL_S(WIDE) = NV * LANES };

typedef struct AL_S(product) {
  bool ta, tb;
  int64_t m, n, k;
  real alpha;
  const real *a;
  int64_t lda;
  const real *b;
  int64_t ldb;
  real beta;
  real *c;
  int64_t ldc;
  int64_t rows, cols; // of a block
} AL_S(product);

// op(A)[r0 .. r0 + rows][k0 .. k0 + kc] as row panels (panel, k, row), times alpha.
static void AL_S(pack_a)(const AL_S(product) * p, int64_t r0, int64_t rows, int64_t k0,
                         int64_t kc, real *to) {
  real *start = to;
  for (int64_t i = 0; i < al_ceil_div(rows, MR); i++) {
    int64_t m0 = AL_S(panel)(rows, i), mr = AL_S(panel)(rows, i + 1) - m0;
    if (p->ta) {
      const real *s = p->a + k0 * p->lda + r0 + m0;
      for (int64_t k = 0; k < kc; k++, s += p->lda) {
        if (mr == MR) memcpy(to + k * MR, s, MR * sizeof *s);
        else
          for (int64_t r = 0; r < mr; r++) to[k * mr + r] = s[r];
      }
    } else AL_S(transpose_strip)(p->a + (r0 + m0) * p->lda + k0, p->lda, mr, kc, to, mr);
    to += kc * mr;
  }
  if (p->alpha != 1)
    for (; start < to; start++) *start *= p->alpha;
}

// op(B)[k0 .. k0 + kc][c0 .. c0 + cols] as column panels (panel, k, WIDE); what lies past the
// last column is junk.
static void AL_S(pack_b)(const AL_S(product) * p, int64_t c0, int64_t cols, int64_t k0,
                         int64_t kc, real *to) {
  int64_t full = p->tb ? 0 : cols / AL_S(WIDE) * AL_S(WIDE), size = kc * AL_S(WIDE);
  // Four panels at once: whole cache lines and a bit more of each row of B.
  for (int64_t j = 0; j < full; j += 4 * AL_S(WIDE)) {
    int64_t panels = al_min(4, (full - j) / AL_S(WIDE));
    const real *s = p->b + k0 * p->ldb + c0 + j;
    for (int64_t k = 0; k < kc; k++, s += p->ldb)
      for (int64_t q = 0; q < panels; q++) {
        AL_UNROLL
        for (int v = 0; v < NV; v++) AL_S(store)
        (to + j * kc + q * size + k * AL_S(WIDE) + v * LANES,
         AL_S(load)(s + q * AL_S(WIDE) + v * LANES));
      }
  }
  for (int64_t j = full; j < cols; j += AL_S(WIDE)) {
    int64_t wide = al_min(AL_S(WIDE), cols - j);
    real *d = to + j * kc;
    if (p->tb)
      AL_S(transpose_strip)(p->b + (c0 + j) * p->ldb + k0, p->ldb, wide, kc, d, AL_S(WIDE));
    else
      for (int64_t k = 0; k < kc; k++)
        for (int64_t x = 0; x < wide; x++)
          d[k * AL_S(WIDE) + x] = p->b[(k0 + k) * p->ldb + c0 + j + x];
  }
}

static void AL_S(scale)(const AL_S(product) * p, int64_t r0, int64_t rows, int64_t c0,
                        int64_t cols) {
  for (int64_t i = r0; i < r0 + rows; i++)
    for (int64_t j = c0; j < c0 + cols; j++) {
      real *c = &p->c[i * p->ldc + j];
      *c = p->beta == 0 ? 0 : p->beta * *c;
    }
}

// Adds one block product to C: pa packed; B packed at pb, or, if `off` is given, read in place,
// step k lying off[k] further, but for columns that do not fill a tile, which are at pb. Tiles
// that stick out of C go by way of a buffer.
static void AL_S(multiply)(const AL_S(product) * p, int64_t r0, int64_t rows, int64_t c0,
                           int64_t cols, int64_t kc, const real *pa, const real *pb,
                           const real *in_place, const int64_t *off, bool add) {
  for (int64_t j = 0; j < cols; j += AL_S(WIDE)) {
    int64_t wide = al_min(AL_S(WIDE), cols - j);
    const int64_t *steps = wide == AL_S(WIDE) ? off : NULL;
    const real *b[NV], *from = steps ? in_place + j : off ? pb : pb + j * kc;
    for (int v = 0; v < NV; v++) b[v] = from + v * LANES;
    for (int64_t i = 0; i < al_ceil_div(rows, MR); i++) {
      int64_t m0 = AL_S(panel)(rows, i), mr = AL_S(panel)(rows, i + 1) - m0;
      real *c = p->c + (r0 + m0) * p->ldc + c0 + j;
      if (wide == AL_S(WIDE)) {
        AL_S(tile)((int)mr, NV, kc, pa + m0 * kc, b, steps, c, p->ldc, add);
        continue;
      }
      real edge[MR * AL_S(WIDE)];
      for (int64_t r = 0; r < mr; r++)
        for (int64_t x = 0; x < AL_S(WIDE); x++)
          edge[r * AL_S(WIDE) + x] = add && x < wide ? c[r * p->ldc + x] : 0;
      AL_S(tile)((int)mr, NV, kc, pa + m0 * kc, b, NULL, edge, AL_S(WIDE), add);
      for (int64_t r = 0; r < mr; r++)
        for (int64_t x = 0; x < wide; x++) c[r * p->ldc + x] = edge[r * AL_S(WIDE) + x];
    }
  }
}

// One block of C, whole sum. With few rows packing B would cost as much as multiplying by it:
// it is read in place.
static void AL_S(block)(const AL_S(product) * p, int64_t r0, int64_t c0, real *pa, real *pb) {
  int64_t rows = al_min(p->rows, p->m - r0), cols = al_min(p->cols, p->n - c0);
  bool add = p->beta != 0 || !p->k, direct = !p->tb && p->m <= 4 * MR;
  if (add) AL_S(scale)(p, r0, rows, c0, cols);
  int64_t off[DEPTH];
  for (int64_t k = 0; direct && k < DEPTH; k++) off[k] = k * p->ldb;
  for (int64_t k0 = 0; k0 < p->k; k0 += DEPTH, add = true) {
    int64_t kc = al_min(DEPTH, p->k - k0), full = cols / AL_S(WIDE) * AL_S(WIDE);
    AL_S(pack_a)(p, r0, rows, k0, kc, pa);
    if (direct) AL_S(pack_b)(p, c0 + full, cols - full, k0, kc, pb);
    else AL_S(pack_b)(p, c0, cols, k0, kc, pb);
    AL_S(multiply)
    (p, r0, rows, c0, cols, kc, pa, pb, p->b + k0 * p->ldb + c0, direct ? off : NULL, add);
  }
}

// A B^T with few rows of A: row i of A times row j of B, vectors along the sum, for 4 j at
// once.
static void AL_S(dots)(const AL_S(product) * p, int64_t i, int64_t j, int64_t n) {
  const real *a = p->a + i * p->lda, *b[4];
  for (int64_t x = 0; x < 4; x++) b[x] = p->b + (j + al_min(x, n - 1)) * p->ldb;
  rvec s[4][2] = {{{0}}};
  int64_t k = 0;
  for (; k + 2 * LANES <= p->k; k += 2 * LANES) {
    rvec u = AL_S(load)(a + k), v = AL_S(load)(a + k + LANES);
    AL_UNROLL
    for (int x = 0; x < 4; x++) {
      s[x][0] += u * AL_S(load)(b[x] + k);
      s[x][1] += v * AL_S(load)(b[x] + k + LANES);
    }
  }
  for (int64_t x = 0; x < n; x++) {
    real sum = 0, *c = &p->c[i * p->ldc + j + x];
    s[x][0] += s[x][1];
    for (int l = 0; l < (int)LANES; l++) sum += s[x][0][l];
    for (int64_t t = k; t < p->k; t++) sum += a[t] * b[x][t];
    *c = p->alpha * sum + (p->beta == 0 ? 0 : p->beta * *c);
  }
}

static void AL_S(run_dots)(const AL_S(product) * p, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads((int)threads) if (threads > 1)
  for (int64_t j = 0; j < al_ceil_div(p->n, 4); j++)
    for (int64_t i = 0; i < p->m; i++) AL_S(dots)(p, i, j * 4, al_min(4, p->n - j * 4));
}

static int AL_S(run)(AL_S(product) * p, int64_t threads) {
  if (!p->m || !p->n) return 0;
  if (p->n == 1 && p->ldc == 1 && p->m > 1) { // a column is the row of the transposed product
    AL_S(product) t = *p;
    t.ta = !p->tb, t.a = p->b, t.lda = p->ldb, t.tb = !p->ta, t.b = p->a, t.ldb = p->lda;
    t.m = 1, t.n = p->m, t.ldc = p->m;
    return AL_S(run)(&t, threads);
  }
  if (p->m * p->n * p->k < 1 << 15) threads = 1;
  if (p->m <= DOTS && p->tb && (!p->ta || (p->m == 1 && p->lda == 1)))
    return AL_S(run_dots)(p, threads), 0;
  // Even blocks, as near to square as the limits allow, and at least 8 of them when the product
  // is big.
  p->rows = al_ceil_div(p->m, al_ceil_div(p->m, ROWS));
  p->cols = al_ceil_div(p->n, al_ceil_div(p->n, COLS));
  int64_t down = al_ceil_div(p->m, p->rows), across = al_ceil_div(p->n, p->cols);
  if (down * across < 8 && p->m * p->n * p->k > 1 << 16) {
    across = al_min(al_ceil_div(8, down), al_ceil_div(p->n, 4 * AL_S(WIDE)));
    p->cols = al_round_up(al_ceil_div(p->n, across), AL_S(WIDE));
    across = al_ceil_div(p->n, p->cols);
    if (down * across < 8) {
      down = al_min(al_ceil_div(8, across), al_ceil_div(p->m, 4 * MR));
      p->rows = al_round_up(al_ceil_div(p->m, down), MR);
      down = al_ceil_div(p->m, p->rows);
    }
  }
  threads = al_min(threads, down * across);
  int64_t kc = al_min(DEPTH, p->k), lead = al_round_up(p->rows * kc + LANES, 64);
  int64_t room = lead + al_round_up(p->cols, AL_S(WIDE)) * kc + LANES;
  room = al_round_up(room, 64);
  real *own = al_alloc((size_t)(threads * room + 1) * sizeof *own);
  if (!own) return -1;
#pragma omp parallel for collapse(2) schedule(dynamic) \
    num_threads((int)threads) if (threads > 1)
  for (int64_t i = 0; i < down; i++)
    for (int64_t j = 0; j < across; j++) {
      real *pa = own + (threads > 1 ? omp_get_thread_num() : 0) * room;
      AL_S(block)(p, i * p->rows, j * p->cols, pa, pa + lead);
    }
  al_release(own);
  return 0;
}

static int AL_S(gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha,
                      const real *a, int64_t lda, const real *b, int64_t ldb, real beta,
                      real *c, int64_t ldc) {
  AL_S(product) p = {ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, 0, 0};
  return AL_S(run)(&p, omp_get_max_threads());
}

static int AL_S(single)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha,
                        const real *a, int64_t lda, const real *b, int64_t ldb, real beta,
                        real *c, int64_t ldc) {
  AL_S(product) p = {ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, 0, 0};
  return AL_S(run)(&p, 1);
}

#undef AL_REAL
#endif
