// The register tile: the one inner loop of matrix products and convolutions. Include after
// real.h.
//
//   c[i][j] += sum over k < kc of a[k * mr + i] * b_j[off(k)]      i < mr rows, j < NV vectors
//
// a is packed, mr numbers a step. Each of the NV vectors of B has its own base pointer, and
// step k lies off[k] elements further (a convolution reads its window where it is) or k * NV *
// LANES further (a packed panel). MR x NV accumulators stay in registers: 14 x 2 of AVX-512's
// 32 (double: 8 x 3), 6 x 2 of AVX2's 16. Every output is one chain of multiply-adds in the
// order of k, whatever the shape of the tile.
#define FEW (MR / 2)
#undef MR
#undef NV
#if AL_BYTES == 64 && AL_REAL == 32
#define MR 14
#define NV 2
#elif AL_BYTES == 32
#define MR 6
#define NV 2
#elif AL_BYTES == 16 && defined(__x86_64__)
#define MR 4
#define NV 2
#else
#define MR 8
#define NV 3
#endif

AL_INLINE void AL_S(tile_run)(int mr, int nv, int64_t kc, const real *a, const real *const *b,
                              const int64_t *off, real *c, int64_t ldc, bool add) {
  rvec acc[MR][2 * NV];
  const real *bv[2 * NV];
  AL_UNROLL
  for (int j = 0; j < nv; j++) bv[j] = b[j];
  AL_UNROLL
  for (int i = 0; i < mr; i++) {
    AL_UNROLL
    for (int j = 0; j < nv; j++)
      acc[i][j] = add ? AL_S(load)(c + i * ldc + j * LANES) : (rvec){0};
  }
  for (int64_t k = 0; k < kc; k++, a += mr) {
    int64_t o = off ? off[k] : k * nv * LANES;
    if (mr < nv) { // the shorter side waits in registers
      rvec r[MR];
      AL_UNROLL
      for (int i = 0; i < mr; i++) r[i] = AL_S(splat)(a[i]);
      AL_UNROLL
      for (int j = 0; j < nv; j++) {
        rvec v = AL_S(load)(bv[j] + o);
        AL_UNROLL
        for (int i = 0; i < mr; i++) acc[i][j] += r[i] * v;
      }
      continue;
    }
    rvec v[2 * NV];
    AL_UNROLL
    for (int j = 0; j < nv; j++) v[j] = AL_S(load)(bv[j] + o);
    AL_UNROLL
    for (int i = 0; i < mr; i++) {
      AL_UNROLL
      for (int j = 0; j < nv; j++) acc[i][j] += a[i] * v[j];
    }
  }
  AL_UNROLL
  for (int i = 0; i < mr; i++) {
    AL_UNROLL
    for (int j = 0; j < nv; j++) AL_S(store)(c + i * ldc + j * LANES, acc[i][j]);
  }
}

// c has mr rows of nv * LANES numbers, ldc apart; add = false starts from zero. nv is NV or NV
// - 1.
#define TILE_ROWS(mr)                                                 \
  case mr:                                                            \
    if (nv == NV) AL_S(tile_run)(mr, NV, kc, a, b, off, c, ldc, add); \
    else AL_S(tile_run)(mr, NV - 1, kc, a, b, off, c, ldc, add);      \
    break;
AL_UNUSED static void AL_S(tile)(int mr, int nv, int64_t kc, const real *a,
                                 const real *const *b, const int64_t *off, real *c, int64_t ldc,
                                 bool add) {
  switch (mr) {
    TILE_ROWS(1)
    TILE_ROWS(2)
    TILE_ROWS(3)
    TILE_ROWS(4)
#if MR > 4
    TILE_ROWS(5)
    TILE_ROWS(6)
#endif
#if MR > 6
    TILE_ROWS(7)
    TILE_ROWS(8)
#endif
#if MR > 8
    TILE_ROWS(9)
    TILE_ROWS(10)
    TILE_ROWS(11)
    TILE_ROWS(12)
    TILE_ROWS(13)
    TILE_ROWS(14)
#endif
  }
}
#undef TILE_ROWS

// How many vectors the next tile takes of those left: NV, or one less where that comes out
// even.
AL_INLINE int64_t AL_S(tile_width)(int64_t left) {
  return left == NV - 1 || (NV == 3 && left == 4) ? NV - 1 : NV;
}
// Vectors that tiles of `left` vectors cover together, the last one's overhang included.
AL_INLINE int64_t AL_S(tile_cover)(int64_t left) {
  int64_t cover = 0;
  for (; cover < left; cover += AL_S(tile_width)(left - cover)) {}
  return cover;
}

// The same with mr <= FEW rows of 2 * NV * LANES numbers.
AL_UNUSED static void AL_S(tile_few)(int mr, int64_t kc, const real *a, const real *const *b,
                                     const int64_t *off, real *c, int64_t ldc, bool add) {
  switch (mr) {
  case 1: AL_S(tile_run)(1, 2 * NV, kc, a, b, off, c, ldc, add); break;
  case 2: AL_S(tile_run)(2, 2 * NV, kc, a, b, off, c, ldc, add); break;
#if MR > 4
  case 3: AL_S(tile_run)(3, 2 * NV, kc, a, b, off, c, ldc, add); break;
#endif
#if MR > 6
  case 4: AL_S(tile_run)(4, 2 * NV, kc, a, b, off, c, ldc, add); break;
#endif
#if MR > 8
  case 5: AL_S(tile_run)(5, 2 * NV, kc, a, b, off, c, ldc, add); break;
  case 6: AL_S(tile_run)(6, 2 * NV, kc, a, b, off, c, ldc, add); break;
  case 7: AL_S(tile_run)(7, 2 * NV, kc, a, b, off, c, ldc, add); break;
#endif
  }
}

// Rows m0..m1 of panel p when m rows are split into panels of at most MR, as even as can be.
AL_INLINE int64_t AL_S(panel)(int64_t m, int64_t p) { return m * p / al_ceil_div(m, MR); }
