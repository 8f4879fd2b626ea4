/* What the machine can do, by one thread and by all: GFLOP/s of float32 multiply-adds on independent
 * chains of the widest vectors the compiler targets here (-march=native), and GB/s, read and written,
 * of a copy between arrays of 25.7 MB as large as the op table's, with streaming stores or memcpy,
 * whichever is faster. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
typedef float vec __attribute__((vector_size(BYTES)));
enum { CHAINS = 12, STEPS = 20000000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static float chains(long steps) {
  vec a[CHAINS], x = (vec){0} + 1.0000001f, y = (vec){0} + 1e-9f;
  for (int i = 0; i < CHAINS; i++) a[i] = x * (float)i;
  for (long s = 0; s < steps; s++) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y;
    __asm__ volatile("" ::"x"(a[0])); /* keeps the loop */
  }
  vec sum = {0};
  for (int i = 0; i < CHAINS; i++) sum += a[i];
  return sum[0];
}

static void copy(char *to, const char *from, long n, int streams) {
  if (!streams) {
    memcpy(to, from, (size_t)n);
    return;
  }
#ifdef __x86_64__
  for (long i = 0; i < n; i += 16)
    _mm_stream_si128((__m128i *)(to + i), _mm_load_si128((const __m128i *)(from + i)));
  _mm_sfence();
#endif
}

/* Best GB/s of 20 copies each way. */
static double copying(int threads) {
  enum { SIZE = 8 * 64 * 112 * 112 * 4, PIECES = 64 };
  char *a = aligned_alloc(4096, SIZE), *b = aligned_alloc(4096, SIZE);
  if (!a || !b) return 0;
  memset(a, 1, SIZE), memset(b, 1, SIZE);
  double best = 0;
#ifdef __x86_64__
  int ways = 2;
#else
  int ways = 1;
#endif
  for (int r = 0; r < 20 * ways; r++) {
    double from = now();
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int p = 0; p < PIECES; p++)
      copy(b + (long)p * (SIZE / PIECES), a + (long)p * (SIZE / PIECES), SIZE / PIECES, r % ways);
    double rate = 2.0 * SIZE / (now() - from) / 1e9;
    if (rate > best) best = rate;
  }
  free(a), free(b);
  return best;
}

int main(void) {
  volatile float sink = chains(1000);
  int counts[2] = {1, omp_get_max_threads()};
  for (int k = 0; k < 2; k++) {
    double best = 0;
    for (int r = 0; r < 5; r++) {
      double from = now();
#pragma omp parallel num_threads(counts[k])
      sink = chains(STEPS / 20);
      double took = now() - from, flop = 2.0 * CHAINS * BYTES / 4 * (STEPS / 20) * counts[k];
      if (flop / took > best) best = flop / took;
    }
    printf("{\"threads\":%d,\"peak_gflops\":%.0f,\"copy_gbs\":%.1f}\n", counts[k], best / 1e9,
           copying(counts[k]));
  }
  return sink == 12345.0f;
}
