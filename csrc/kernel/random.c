// Random fills by Philox4x32-10, sixteen counters at a time.
#include "random.h"

#include "vmath.h"

enum { BLOCKS = 16, GROUP = 64 };

// The 64 words of the group that starts at `counter`; see core/random.h for the scalar form.
AL_INLINE void group_words(uint64_t key, uint64_t counter, uint32_t w[GROUP]) {
  uint32_t c0[BLOCKS], c1[BLOCKS], c2[BLOCKS], c3[BLOCKS];
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int i = 0; i < BLOCKS; i++) {
    uint64_t c = counter + (uint64_t)i;
    c0[i] = (uint32_t)c, c1[i] = (uint32_t)(c >> 32), c2[i] = 0, c3[i] = 0;
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < BLOCKS; i++) {
      uint64_t a = (uint64_t)c0[i] * 0xD2511F53u, b = (uint64_t)c2[i] * 0xCD9E8D57u;
      c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0, c1[i] = (uint32_t)b;
      c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1, c3[i] = (uint32_t)a;
    }
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  memcpy(w, c0, sizeof c0), memcpy(w + BLOCKS, c1, sizeof c1);
  memcpy(w + 2 * BLOCKS, c2, sizeof c2), memcpy(w + 3 * BLOCKS, c3, sizeof c3);
}

#define ARGS uint64_t key, uint64_t counter, int64_t begin, int64_t end
// Runs the body for each group of `size` elements: w holds its words, n of its elements are wanted.
#define EACH_GROUP(size)                                                                 \
  uint32_t w[GROUP];                                                                     \
  for (int64_t i = begin, n; i < end; i += size)                                         \
    if (n = al_min(size, end - i), group_words(key, counter + (uint64_t)(i / (size) * BLOCKS), w), true)

// 53 random bits in [0, 1) for element e of a group of 32
AL_INLINE double unit_f64(const uint32_t w[GROUP], int e) {
  int at = e / BLOCKS * 2 * BLOCKS + e % BLOCKS;
  return (double)(w[at] >> 5) * 0x1p-27 + (double)(w[at + BLOCKS] >> 6) * 0x1p-53;
}

static void uniform_f32(ARGS, float *out, float lo, float hi) {
  const float span = hi - lo;
  EACH_GROUP(GROUP) {
    float v[GROUP];
    for (int e = 0; e < GROUP; e++) v[e] = lo + span * ((float)(int32_t)(w[e] >> 8) * 0x1p-24f);
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
      for (int e = half; e < half + BLOCKS; e++) {
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
      double r = std * sqrt(-2.0 * log(1.0 - unit_f64(w, e))), angle = 6.28318530717958647693 * unit_f64(w, e + BLOCKS);
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

#define DROPOUT(NAME, T)                                                                 \
  static void NAME(ARGS, const T *x, T *y, uint32_t threshold, T scale) {                \
    EACH_GROUP(GROUP) {                                                                  \
      if (n == GROUP)                                                                    \
        for (int e = 0; e < GROUP; e++) y[i + e] = w[e] < threshold ? x[i + e] * scale : 0; \
      else                                                                               \
        for (int e = 0; e < n; e++) y[i + e] = w[e] < threshold ? x[i + e] * scale : 0;  \
    }                                                                                    \
  }
DROPOUT(dropout_f32, float)
DROPOUT(dropout_f64, double)

const al_random_kernels AL_K(al_random) = {
  uniform_f32, uniform_f64, normal_f32, normal_f64, integer_i64, dropout_f32, dropout_f64,
};
