// What the tests of csrc/kernel share: a counter, random numbers, the kernel builds this
// machine can run, and a stand-in for the block cache (weak: a linked csrc/core/memory.c wins).
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

/* Random rounds of a test; sanitizers, ten times slower, get fewer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS(n) ((n) / 10)
#else
#define ROUNDS(n) (n)
#endif

#include <math.h>
#include <omp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/albedo.h"
#include "../../csrc/core/isa.h"

static int passed, failed;

__attribute__((format(printf, 2, 3))) static void check(bool ok, const char *what, ...) {
  if (ok) {
    passed++;
    return;
  }
  failed++;
  va_list args;
  va_start(args, what);
  fputs("FAILED ", stdout);
  vprintf(what, args);
  va_end(args);
  putchar('\n');
}

static int report(void) {
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}

static uint64_t random_state = 88172645463325252u;
static uint64_t random_bits(void) {
  random_state ^= random_state << 13, random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}
// lo..hi, both ends.
static int64_t pick(int64_t lo, int64_t hi) {
  return lo + (int64_t)(random_bits() % (uint64_t)(hi - lo + 1));
}
static double uniform(void) {
  return (double)(random_bits() >> 11) / 9007199254740992.0 * 2 - 1;
}

// An array of exactly n random elements: the address sanitizer sees a kernel that reads past
// it.
#define RANDOM_ARRAY(type, name, n)                \
  type *name = malloc((size_t)(n) * sizeof(type)); \
  for (int64_t i_ = 0; i_ < (n); i_++) name[i_] = (type)uniform()

#if defined(__x86_64__)
#define BUILDS(table)                                                              \
  {                                                                                \
    {"generic", &table##_generic, AL_GENERIC}, {"avx2", &table##_avx2, AL_AVX2}, { \
      "avx512", &table##_avx512, AL_AVX512                                         \
    }                                                                              \
  }
#else
#define BUILDS(table)                           \
  {                                             \
    { "generic", &table##_generic, AL_GENERIC } \
  }
#endif

static int64_t stand_in_live, stand_in_fault;
__attribute__((weak)) void *al_alloc(size_t bytes) {
  if (stand_in_fault && !--stand_in_fault) return NULL;
  stand_in_live++;
  return aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
}
__attribute__((weak)) void al_release(void *block) {
  stand_in_live -= block != NULL;
  free(block);
}
__attribute__((weak)) int64_t al_live_bytes(void) { return stand_in_live; }
__attribute__((weak)) void al_fault_after(int64_t n, int64_t count) {
  stand_in_fault = count ? n : 0;
}

// Runs `call` with its first allocation failing, then its second, ... until it succeeds: each
// time an error, and nothing left alive.
#define SWEEP_FAULTS(call, ...)                                        \
  do {                                                                 \
    int64_t live_ = al_live_bytes();                                   \
    int bad_ = -1, n_ = 0;                                             \
    while (bad_ && ++n_ < 20) {                                        \
      al_fault_after(n_, 1);                                           \
      bad_ = call;                                                     \
      al_fault_after(0, 0);                                            \
      check(al_live_bytes() == live_, "workspace kept: " __VA_ARGS__); \
    }                                                                  \
    check(!bad_ && n_ > 1, "faults: " __VA_ARGS__);                    \
  } while (0)

#endif
