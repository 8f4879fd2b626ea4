// Detection of the instruction set, once, at first use.
#include "isa.h"

#include <stdlib.h>
#include <string.h>

static al_isa_level detect(void) {
  al_isa_level best = AL_GENERIC;
#if defined(__x86_64__)
  __builtin_cpu_init();
  // The levels' names ("x86-64-v3") are younger than clang 14: the features are asked one by
  // one.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
    best = AL_AVX2;
  if (best == AL_AVX2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    best = AL_AVX512;
#endif
  const char *wish = getenv("ALBEDO_ISA");
  if (wish && !strcmp(wish, "generic")) best = AL_GENERIC;
  if (wish && !strcmp(wish, "avx2") && best > AL_AVX2) best = AL_AVX2;
  return best;
}

al_isa_level al_isa(void) {
  static int known = -1; // a race writes the same value twice
  int level = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (level < 0) {
    level = (int)detect();
    __atomic_store_n(&known, level, __ATOMIC_RELAXED);
  }
  return (al_isa_level)level;
}

const char *al_isa_name(void) {
  static const char *const names[] = {"generic", "avx2", "avx512"};
  return names[al_isa()];
}

static bool winograd = true;
void al_winograd(bool on) { __atomic_store_n(&winograd, on, __ATOMIC_RELAXED); }
bool al_winograd_on(void) { return __atomic_load_n(&winograd, __ATOMIC_RELAXED); }
