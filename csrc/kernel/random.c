// Random fills by Philox4x32-10, sixteen counters at a time.
#include "random.h"

#include "vmath.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define AL_SIMD _Pragma("omp simd")
enum { BLOCKS = 16, GROUP = 64 };

// Vectors of 64-bit lanes, one counter a lane: the product of two 32-bit values is one
// instruction, which reads the low half of a lane only, so nothing has to clear the upper
// halves.
typedef uint64_t lanes __attribute__((vector_size(AL_BYTES)));
typedef uint32_t words __attribute__((vector_size(AL_BYTES / 2), aligned(4), may_alias));
enum { WIDTH = AL_BYTES / 8 };

AL_INLINE lanes mul_low(lanes a, lanes b) {
#if defined(__AVX512F__) && AL_BYTES == 64
  return (lanes)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && AL_BYTES == 32
  return (lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && AL_BYTES == 16
  return (lanes)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xFFFFFFFFu) * b;
#endif
}

// The 64 words of the group that starts at `counter`; see core/random.h for the scalar form.
static __attribute__((noinline)) void group_words(uint64_t key, uint64_t counter, uint32_t *w) {
  enum { TWO = 4 * WIDTH < BLOCKS ? 4 * WIDTH : BLOCKS, N = TWO / WIDTH };
  const lanes m0 = (lanes){0} + 0xD2511F53u, m1 = (lanes){0} + 0xCD9E8D57u;
  for (int first = 0; first < BLOCKS; first += TWO) {
    lanes c0[N], c1[N], c2[N], c3[N];
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    AL_UNROLL for (int v = 0; v < N; v++) {
      uint64_t start[WIDTH];
      for (int i = 0; i < WIDTH; i++) start[i] = counter + (uint64_t)(first + v * WIDTH + i);
      memcpy(&c0[v], start, sizeof start);
      c1[v] = c0[v] >> 32, c2[v] = c3[v] = (lanes){0};
    }
    AL_UNROLL for (int round = 0; round < 10; round++) {
      AL_UNROLL for (int v = 0; v < N; v++) {
        lanes a = mul_low(c0[v], m0), b = mul_low(c2[v], m1);
        c0[v] = (b >> 32) ^ c1[v] ^ k0, c1[v] = b;
        c2[v] = (a >> 32) ^ c3[v] ^ k1, c3[v] = a;
      }
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    AL_UNROLL for (int v = 0; v < N; v++) {
      uint32_t *out = w + first + v * WIDTH;
      *(words *)out = __builtin_convertvector(c0[v], words);
      *(words *)(out + BLOCKS) = __builtin_convertvector(c1[v], words);
      *(words *)(out + 2 * BLOCKS) = __builtin_convertvector(c2[v], words);
      *(words *)(out + 3 * BLOCKS) = __builtin_convertvector(c3[v], words);
    }
  }
}

#define ARGS uint64_t key, uint64_t counter, int64_t begin, int64_t end
// Runs the body for each group of `size` elements: w holds its words, n of its elements are
// wanted.
#define EACH_GROUP(size)                         \
  uint32_t w[GROUP];                             \
  for (int64_t i = begin, n; i < end; i += size) \
    if (n = al_min(size, end - i),               \
        group_words(key, counter + (uint64_t)(i / (size)*BLOCKS), w), true)

// 53 random bits in [0, 1) for element e of a group of 32
AL_INLINE double unit_f64(const uint32_t w[GROUP], int e) {
  int at = e / BLOCKS * 2 * BLOCKS + e % BLOCKS;
  return (double)(w[at] >> 5) * 0x1p-27 + (double)(w[at + BLOCKS] >> 6) * 0x1p-53;
}

static void uniform_f32(ARGS, float *out, float lo, float hi) {
  const float span = hi - lo;
  EACH_GROUP(GROUP) {
    float v[GROUP];
    AL_SIMD for (int e = 0; e < GROUP; e++) v[e] =
        lo + span * ((float)(int32_t)(w[e] >> 8) * 0x1p-24f);
    memcpy(out + i, v, (size_t)n * sizeof *v);
  }
}

static void uniform_f64(ARGS, double *out, double lo, double hi) {
  const double span = hi - lo;
  EACH_GROUP(GROUP / 2)
  for (int e = 0; e < n; e++) out[i + e] = lo + span * unit_f64(w, e);
}

// Box & Muller (1958): a pair of uniforms gives a pair of normals, here elements 16 apart.
static void normal_f32(ARGS, float *out, float mean, float std) {
  EACH_GROUP(GROUP) {
    float v[GROUP];
    for (int half = 0; half < GROUP; half += 2 * BLOCKS)
      AL_SIMD for (int e = half; e < half + BLOCKS; e++) {
        float u = (float)(int32_t)(w[e] >> 1) * 0x1p-31f + 0x1p-32f, s, c; // in (0, 1]
        float r = std * sqrtf(-2.0f * vm_log_f32(u));
        vm_sincos_turn_f32((float)(int32_t)(w[e + BLOCKS] >> 8) * 0x1p-24f, &s, &c);
        v[e] = mean + r * c, v[e + BLOCKS] = mean + r * s;
      }
    memcpy(out + i, v, (size_t)n * sizeof *v);
  }
}

static void normal_f64(ARGS, double *out, double mean, double std) {
  EACH_GROUP(GROUP / 2) {
    double v[GROUP / 2];
    for (int e = 0; e < BLOCKS; e++) {
      double r = std * sqrt(-2.0 * log(1.0 - unit_f64(w, e))),
             angle = 6.28318530717958647693 * unit_f64(w, e + BLOCKS);
      v[e] = mean + r * cos(angle), v[e + BLOCKS] = mean + r * sin(angle);
    }
    memcpy(out + i, v, (size_t)n * sizeof *v);
  }
}

// lo + floor(u span / 2^64); span 0 stands for 2^64
static void integer_i64(ARGS, int64_t *out, int64_t lo, uint64_t span) {
  EACH_GROUP(GROUP / 2)
  for (int e = 0; e < n; e++) {
    int at = e / BLOCKS * 2 * BLOCKS + e % BLOCKS;
    uint64_t u = (uint64_t)w[at] << 32 | w[at + BLOCKS];
    if (span) u = (uint64_t)(((unsigned __int128)u * span) >> 64);
    out[i + e] = (int64_t)((uint64_t)lo + u);
  }
}

#define DROPOUT(NAME, T)                                                                \
  static void NAME(ARGS, const T *x, T *y, uint32_t threshold, T scale) {               \
    EACH_GROUP(GROUP) {                                                                 \
      if (n == GROUP)                                                                   \
        AL_SIMD for (int e = 0; e < GROUP; e++) y[i + e] =                              \
            w[e] < threshold ? x[i + e] * scale : 0;                                    \
      else                                                                              \
        for (int e = 0; e < n; e++) y[i + e] = w[e] < threshold ? x[i + e] * scale : 0; \
    }                                                                                   \
  }
DROPOUT(dropout_f32, float)
DROPOUT(dropout_f64, double)

const al_random_kernels AL_K(al_random) = {
    uniform_f32, uniform_f64, normal_f32, normal_f64, integer_i64, dropout_f32, dropout_f64,
};
