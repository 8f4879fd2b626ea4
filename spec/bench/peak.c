/* The multiply-add peak of one thread and of all: GFLOP/s in float32 on independent chains of the
 * widest vectors the compiler targets here (-march=native). */
#include <omp.h>
#include <stdio.h>
#include <time.h>

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
    printf("{\"threads\":%d,\"peak_gflops\":%.0f}\n", counts[k], best / 1e9);
  }
  return sink == 12345.0f;
}
