// Matrix product, blocked for the caches after Goto and van de Geijn, "Anatomy of
// high-performance matrix multiplication", ACM TOMS 34(3), 2008: C is cut in blocks of at most
// ROWS x COLS, one task each; for each DEPTH steps of the sum a task packs its rows of A and
// columns of B into panels, and runs the register tile (tile.h) over them.
#ifndef AL_REAL
#include "gemm.h"

#include <omp.h>

#include "../core/memory.h"
#include "kernel.h"

enum { ROWS = 240, COLS = 768, DEPTH = 256 };

#define AL_REAL 32
#include "gemm.c"
#define AL_REAL 64
#include "gemm.c"

const al_gemm_kernels AL_K(al_gemm) = {gemm_f32, gemm_f64, single_f32, single_f64};

#else
#include "real.h"
#include "tile.h"

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

// alpha op(A)[r0 .. r0 + rows][k0 .. k0 + kc] as row panels (panel, k, row).
static void AL_S(pack_a)(const AL_S(product) * p, int64_t r0, int64_t rows, int64_t k0,
                         int64_t kc, real *to) {
  for (int64_t i = 0; i < al_ceil_div(rows, MR); i++) {
    int64_t m0 = AL_S(panel)(rows, i), mr = AL_S(panel)(rows, i + 1) - m0;
    if (p->ta) {
      for (int64_t k = 0; k < kc; k++, to += mr)
        for (int64_t r = 0; r < mr; r++)
          to[r] = p->alpha * p->a[(k0 + k) * p->lda + r0 + m0 + r];
    } else {
      for (int64_t r = 0; r < mr; r++) {
        const real *s = p->a + (r0 + m0 + r) * p->lda + k0;
        for (int64_t k = 0; k < kc; k++) to[k * mr + r] = p->alpha * s[k];
      }
      to += kc * mr;
    }
  }
}

// op(B)[k0 .. k0 + kc][c0 .. c0 + cols] as column panels (panel, k, WIDE), zeros past the last
// column.
static void AL_S(pack_b)(const AL_S(product) * p, int64_t c0, int64_t cols, int64_t k0,
                         int64_t kc, real *to) {
  for (int64_t j = 0; j < cols; j += AL_S(WIDE), to += kc * AL_S(WIDE)) {
    int64_t wide = al_min(AL_S(WIDE), cols - j);
    if (wide < AL_S(WIDE)) memset(to, 0, (size_t)(kc * AL_S(WIDE)) * sizeof *to);
    if (p->tb) {
      for (int64_t x = 0; x < wide; x++) {
        const real *s = p->b + (c0 + j + x) * p->ldb + k0;
        for (int64_t k = 0; k < kc; k++) to[k * AL_S(WIDE) + x] = s[k];
      }
    } else {
      for (int64_t k = 0; k < kc; k++) {
        const real *s = p->b + (k0 + k) * p->ldb + c0 + j;
        if (wide == AL_S(WIDE)) {
          AL_UNROLL
          for (int v = 0; v < NV; v++)
            AL_S(store)(to + k * AL_S(WIDE) + v * LANES, AL_S(load)(s + v * LANES));
        } else
          for (int64_t x = 0; x < wide; x++) to[k * AL_S(WIDE) + x] = s[x];
      }
    }
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

// Adds one packed block product to C. Tiles that stick out of C go by way of a buffer.
static void AL_S(multiply)(const AL_S(product) * p, int64_t r0, int64_t rows, int64_t c0,
                           int64_t cols, int64_t kc, const real *pa, const real *pb, bool add) {
  for (int64_t j = 0; j < cols; j += AL_S(WIDE)) {
    const real *b[NV];
    for (int v = 0; v < NV; v++) b[v] = pb + j * kc + v * LANES;
    int64_t wide = al_min(AL_S(WIDE), cols - j);
    for (int64_t i = 0; i < al_ceil_div(rows, MR); i++) {
      int64_t m0 = AL_S(panel)(rows, i), mr = AL_S(panel)(rows, i + 1) - m0;
      real *c = p->c + (r0 + m0) * p->ldc + c0 + j;
      if (wide == AL_S(WIDE)) {
        AL_S(tile)((int)mr, kc, pa + m0 * kc, b, NULL, c, p->ldc, add);
        continue;
      }
      real edge[MR * AL_S(WIDE)];
      for (int64_t r = 0; r < mr; r++)
        for (int64_t x = 0; x < AL_S(WIDE); x++)
          edge[r * AL_S(WIDE) + x] = add && x < wide ? c[r * p->ldc + x] : 0;
      AL_S(tile)((int)mr, kc, pa + m0 * kc, b, NULL, edge, AL_S(WIDE), add);
      for (int64_t r = 0; r < mr; r++)
        for (int64_t x = 0; x < wide; x++) c[r * p->ldc + x] = edge[r * AL_S(WIDE) + x];
    }
  }
}

// One block of C, whole sum.
static void AL_S(block)(const AL_S(product) * p, int64_t r0, int64_t c0, real *pa, real *pb) {
  int64_t rows = al_min(p->rows, p->m - r0), cols = al_min(p->cols, p->n - c0);
  bool add = p->beta != 0 || !p->k;
  if (add) AL_S(scale)(p, r0, rows, c0, cols);
  for (int64_t k0 = 0; k0 < p->k; k0 += DEPTH, add = true) {
    int64_t kc = al_min(DEPTH, p->k - k0);
    AL_S(pack_a)(p, r0, rows, k0, kc, pa);
    AL_S(pack_b)(p, c0, cols, k0, kc, pb);
    AL_S(multiply)(p, r0, rows, c0, cols, kc, pa, pb, add);
  }
}

static int AL_S(run)(AL_S(product) * p, int64_t threads) {
  if (!p->m || !p->n) return 0;
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
  if (p->m * p->n * p->k < 1 << 14) threads = 1;
  threads = al_min(threads, down * across);
  int64_t kc = al_min(DEPTH, p->k), lead = al_round_up(p->rows * kc, 64);
  int64_t room = lead + al_round_up(p->cols, AL_S(WIDE)) * kc;
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
