// The element type of a kernel body that is compiled for float and for double. Such a file
// reads
//
//   #ifndef AL_REAL
//   #define AL_REAL 32
//   #include "file.c"
//   #define AL_REAL 64
//   #include "file.c"
//   #else
//   #include "real.h"
//   ... body, in terms of real, rvec, ireal, ivec, LANES, AL_R(name) ...
//   #undef AL_REAL
//   #endif
//
// Included once per pass, hence no guard.
#include "kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#undef real
#undef rvec
#undef ireal
#undef ivec
#undef rvec_u
#undef LANES
#undef AL_S
#undef AL_R
#if AL_REAL == 32
#define real float
#define rvec al_vf
#define ireal int32_t // the integer of the same size
#define ivec al_vi
#define rvec_u al_vfu
#define LANES AL_VF
#define AL_S(name) name##_f32       // a static of this file
#define AL_R(name) AL_K(name##_f32) // shared between files of this folder
#else
#define real double
#define rvec al_vd
#define ireal int64_t
#define ivec al_vl
#define rvec_u al_vdu
#define LANES AL_VD
#define AL_S(name) name##_f64
#define AL_R(name) AL_K(name##_f64)
#endif

AL_INLINE rvec AL_S(load)(const real *p) { return *(const rvec_u *)p; }
AL_INLINE void AL_S(store)(real *p, rvec v) { *(rvec_u *)p = v; }
AL_INLINE rvec AL_S(splat)(real a) { return a - (rvec){0}; } // exact, -0 too
// mask ? a : b, lane by lane; a mask is what a comparison of vectors gives.
AL_INLINE rvec AL_S(choose)(ivec mask, rvec a, rvec b) {
  return (rvec)((mask & (ivec)a) | (~mask & (ivec)b));
}
AL_INLINE ivec AL_S(choose_int)(ivec mask, ivec a, ivec b) { return (mask & a) | (~mask & b); }

// Lanes lo..hi of the vector at p, the others 0; and lanes 0..n stored. Nothing outside is
// touched.
AL_INLINE rvec AL_S(load_part)(const real *p, int64_t lo, int64_t hi) {
#if AL_BYTES == 64 && AL_REAL == 32 && defined(__AVX512F__)
  return (rvec)_mm512_maskz_loadu_ps((__mmask16)((1u << hi) - (1u << lo)), p);
#elif AL_BYTES == 32 && AL_REAL == 32 && defined(__AVX2__)
  al_vi i = {0, 1, 2, 3, 4, 5, 6, 7}, m = (i >= (int)lo) & (i < (int)hi);
  return (rvec)_mm256_maskload_ps(p, (__m256i)m);
#else
  rvec v = {0};
  for (int64_t i = lo; i < hi; i++) v[i] = p[i];
  return v;
#endif
}

AL_INLINE void AL_S(store_part)(real *p, int64_t n, rvec v) {
#if AL_BYTES == 64 && AL_REAL == 32 && defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif AL_BYTES == 32 && AL_REAL == 32 && defined(__AVX2__)
  al_vi i = {0, 1, 2, 3, 4, 5, 6, 7};
  _mm256_maskstore_ps(p, (__m256i)(i < (int)n), (__m256)v);
#else
  for (int64_t i = 0; i < n; i++) p[i] = v[i];
#endif
}

// A store past the caches, for outputs too large to be still there when they are read: p is
// aligned to the vector. al_stream_end() comes before other threads may read.
AL_INLINE void AL_S(stream)(real *p, rvec v) {
#if AL_BYTES == 64 && defined(__AVX512F__)
  _mm512_stream_si512((void *)p, (__m512i)v);
#elif AL_BYTES == 32 && defined(__AVX2__)
  _mm256_stream_si256((__m256i *)p, (__m256i)v);
#elif AL_BYTES == 16 && defined(__x86_64__)
  _mm_stream_si128((__m128i *)p, (__m128i)v);
#else
  AL_S(store)(p, v);
#endif
}
#ifndef AL_STREAM_END
#define AL_STREAM_END
// y[i] = V(AT) for i < n, where V names its operands AT(p): lane by lane or one by one. A
// streamed row begins with what leads to its first line of 64 bytes. The statement of nothing
// keeps the few elements at the ends from being vectorised, which is long.
#define AL_WRITE(y, n, streamed, V)                                       \
  do {                                                                    \
    int64_t i = 0, lead = (int64_t)((-(uintptr_t)(y)&63) / sizeof(real)); \
    for (; streamed && i < lead && i < (n); i++) {                        \
      (y)[i] = V(AL_ONE);                                                 \
      __asm__ volatile("");                                               \
    }                                                                     \
    for (; i + LANES <= (n); i += LANES) {                                \
      if (streamed) AL_S(stream)((y) + i, V(AL_LANES));                   \
      else AL_S(store)((y) + i, V(AL_LANES));                             \
    }                                                                     \
    for (; i < (n); i++) {                                                \
      (y)[i] = V(AL_ONE);                                                 \
      __asm__ volatile("");                                               \
    }                                                                     \
  } while (0)
#define AL_ONE(p) (p)[i]
#define AL_LANES(p) AL_S(load)((p) + i)
AL_INLINE void al_stream_end(void) {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}
#endif
