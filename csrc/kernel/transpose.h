// Transposing in registers: LANES vectors of LANES numbers, and long strips of rows. Include
// after real.h.
//
// Three kinds of shuffles, each the native one of its width: pairs of floats within 16 bytes,
// pairs of doubles within 16 bytes, then 16-byte pieces across the register.
#ifndef AL_KERNEL_TRANSPOSE_H
#define AL_KERNEL_TRANSPOSE_H

#if AL_BYTES == 16
#define AL_FLOAT_LO 0, 4, 1, 5
#define AL_FLOAT_HI 2, 6, 3, 7
#define AL_DOUBLE_LO 0, 2
#define AL_DOUBLE_HI 1, 3
#elif AL_BYTES == 32
#define AL_FLOAT_LO 0, 8, 1, 9, 4, 12, 5, 13
#define AL_FLOAT_HI 2, 10, 3, 11, 6, 14, 7, 15
#define AL_DOUBLE_LO 0, 4, 2, 6
#define AL_DOUBLE_HI 1, 5, 3, 7
#define AL_PIECE_LO 0, 1, 4, 5
#define AL_PIECE_HI 2, 3, 6, 7
#else
#define AL_FLOAT_LO 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define AL_FLOAT_HI 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define AL_DOUBLE_LO 0, 8, 2, 10, 4, 12, 6, 14
#define AL_DOUBLE_HI 1, 9, 3, 11, 5, 13, 7, 15
#define AL_PIECE_LO 0, 1, 4, 5, 8, 9, 12, 13 // even pieces of both
#define AL_PIECE_HI 2, 3, 6, 7, 10, 11, 14, 15
#endif
#define AL_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

// The steps on doubles: r holds `n` vectors, which are transposed as n x n blocks of doubles, n
// being the doubles of a register.
AL_INLINE void al_transpose_doubles(al_vd *r) {
  al_vd t[AL_VD];
  AL_UNROLL
  for (int i = 0; i < AL_VD; i += 2) {
    t[i] = AL_SHUFFLE(r[i], r[i + 1], AL_DOUBLE_LO);
    t[i + 1] = AL_SHUFFLE(r[i], r[i + 1], AL_DOUBLE_HI);
  }
#if AL_BYTES == 16
  r[0] = t[0], r[1] = t[1];
#elif AL_BYTES == 32
  AL_UNROLL
  for (int i = 0; i < 2; i++) {
    r[i] = AL_SHUFFLE(t[i], t[i + 2], AL_PIECE_LO);
    r[i + 2] = AL_SHUFFLE(t[i], t[i + 2], AL_PIECE_HI);
  }
#else
  // t[i], i even or odd, holds pieces 0..3 = columns 2 p + i % 2 of rows i & ~1, i | 1.
  AL_UNROLL
  for (int i = 0; i < 2; i++) {
    al_vd a = AL_SHUFFLE(t[i], t[i + 2], AL_PIECE_LO),
          b = AL_SHUFFLE(t[i], t[i + 2], AL_PIECE_HI);
    al_vd c = AL_SHUFFLE(t[i + 4], t[i + 6], AL_PIECE_LO),
          d = AL_SHUFFLE(t[i + 4], t[i + 6], AL_PIECE_HI);
    r[i] = AL_SHUFFLE(a, c, AL_PIECE_LO), r[i + 4] = AL_SHUFFLE(a, c, AL_PIECE_HI);
    r[i + 2] = AL_SHUFFLE(b, d, AL_PIECE_LO), r[i + 6] = AL_SHUFFLE(b, d, AL_PIECE_HI);
  }
#endif
}
#endif

#if !defined(AL_TRANSPOSE_DONE) || AL_TRANSPOSE_DONE != AL_REAL
#undef AL_TRANSPOSE_DONE
#if AL_REAL == 32
#define AL_TRANSPOSE_DONE 32
#else
#define AL_TRANSPOSE_DONE 64
#endif

// r[i][j] <-> r[j][i].
AL_INLINE void AL_S(transpose)(rvec r[LANES]) {
#if AL_REAL == 64
  al_transpose_doubles(r);
#else
  // Pairs of rows interleaved give, as doubles, (row i, row i + 1) of one column: two
  // transposes of doubles, over the low and the high columns of each 16 bytes, finish the work.
  al_vd lo[AL_VD], hi[AL_VD];
  AL_UNROLL
  for (int i = 0; i < AL_VD; i++) {
    lo[i] = (al_vd)AL_SHUFFLE(r[2 * i], r[2 * i + 1], AL_FLOAT_LO);
    hi[i] = (al_vd)AL_SHUFFLE(r[2 * i], r[2 * i + 1], AL_FLOAT_HI);
  }
  al_transpose_doubles(lo), al_transpose_doubles(hi);
  AL_UNROLL
  for (int i = 0; i < AL_VD; i += 2) { // lo: columns 4 p, 4 p + 1; hi: 4 p + 2, 4 p + 3
    r[2 * i] = (rvec)lo[i], r[2 * i + 1] = (rvec)lo[i + 1];
    r[2 * i + 2] = (rvec)hi[i], r[2 * i + 3] = (rvec)hi[i + 1];
  }
#endif
}

// a0 b0 a1 b1 ..., the low and the high half.
AL_INLINE void AL_S(zip)(rvec a, rvec b, rvec *lo, rvec *hi) {
#if AL_REAL == 64
  al_vd l = AL_SHUFFLE(a, b, AL_DOUBLE_LO), h = AL_SHUFFLE(a, b, AL_DOUBLE_HI);
#else
  al_vd l = (al_vd)AL_SHUFFLE(a, b, AL_FLOAT_LO), h = (al_vd)AL_SHUFFLE(a, b, AL_FLOAT_HI);
#endif
  // l and h hold pairs of 16-byte pieces: piece p of l comes before piece p of h.
#if AL_BYTES == 16
  *lo = (rvec)l, *hi = (rvec)h;
#elif AL_BYTES == 32
  *lo = (rvec)AL_SHUFFLE(l, h, AL_PIECE_LO), *hi = (rvec)AL_SHUFFLE(l, h, AL_PIECE_HI);
#else
  *lo = (rvec)AL_SHUFFLE(l, h, 0, 1, 8, 9, 2, 3, 10, 11);
  *hi = (rvec)AL_SHUFFLE(l, h, 4, 5, 12, 13, 6, 7, 14, 15);
#endif
}

#undef AL_EVENS
#if AL_BYTES * 8 / AL_REAL == 2
#define AL_EVENS(o) o, 2 + o
#elif AL_BYTES * 8 / AL_REAL == 4
#define AL_EVENS(o) o, 2 + o, 4 + o, 6 + o
#elif AL_BYTES * 8 / AL_REAL == 8
#define AL_EVENS(o) o, 2 + o, 4 + o, 6 + o, 8 + o, 10 + o, 12 + o, 14 + o
#else
#define AL_EVENS(o)                                                                      \
  o, 2 + o, 4 + o, 6 + o, 8 + o, 10 + o, 12 + o, 14 + o, 16 + o, 18 + o, 20 + o, 22 + o, \
      24 + o, 26 + o, 28 + o, 30 + o
#endif
// a0 a2 a4 ... b0 b2 ... and a1 a3 a5 ... b1 b3 ...
AL_INLINE rvec AL_S(evens)(rvec a, rvec b) { return AL_SHUFFLE(a, b, AL_EVENS(0)); }
AL_INLINE rvec AL_S(odds)(rvec a, rvec b) { return AL_SHUFFLE(a, b, AL_EVENS(1)); }

// to[c * ld_to + r] = from[r * ld + c] for r < rows, c < cols, any sizes. Writes whole vectors:
// up to LANES - 1 numbers after each column's rows are overwritten with junk, those of the
// columns to come being written later; the caller leaves that much room after the last.
AL_UNUSED static void AL_S(transpose_strip)(const real *from, int64_t ld, int64_t rows,
                                            int64_t cols, real *to, int64_t ld_to) {
  // The last rows first: their junk falls on rows still to be written.
  for (int64_t r0 = (rows - 1) / LANES * LANES; r0 >= 0; r0 -= LANES) {
    int64_t n = al_min(LANES, rows - r0), c = 0;
    const real *s = from + r0 * ld;
    real *d = to + r0;
    for (; c + LANES <= cols; c += LANES, d += LANES * ld_to) {
      rvec v[LANES];
      AL_UNROLL
      for (int i = 0; i < (int)LANES; i++) v[i] = AL_S(load)(s + al_min(i, n - 1) * ld + c);
      AL_S(transpose)(v);
      AL_UNROLL
      for (int i = 0; i < (int)LANES; i++) AL_S(store)(d + i * ld_to, v[i]);
    }
    for (; c < cols; c++, d += ld_to)
      for (int64_t r = 0; r < n; r++) d[r] = s[r * ld + c];
  }
}

#endif
