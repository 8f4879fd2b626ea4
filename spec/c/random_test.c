/* Philox against the known answer of its authors (Random123, kat_vectors), the vector fills
 * against the scalar form, and fills begun in the middle against whole ones. */
#include "check.h"
#include "core/isa.h"
#include "core/random.h"
#include "kernel/random.h"
#include <string.h>

enum { N = 1000 };

static void known_answer(void) {
  uint32_t w[4];
  al_philox(0, 0, w);
  CHECK(w[0] == 0x6627e8d5 && w[1] == 0xe169c58d && w[2] == 0xbc57ac4c && w[3] == 0x9b00dbd8,
        "%x %x %x %x", w[0], w[1], w[2], w[3]);
}

static void fills(const al_random_kernels *k, const char *name) {
  const uint64_t key = 0x123456789abcdef0u,
                 counter = 0xfffffff8u; /* the low word carries on the way */
  static float f[N], part[N];
  static double d[N];
  uint32_t w[4];
  int bad = 0;
  k->uniform_f32(key, counter, 0, N, f, 0, 1);
  for (int i = 0; i < N; i++) {
    al_philox(key, counter + (uint64_t)(i / 64 * 16 + i % 16), w);
    bad += f[i] != (float)(w[i % 64 / 16] >> 8) * 0x1p-24f;
  }
  CHECK(bad == 0, "%s: %d float32 words differ", name, bad);
  k->uniform_f32(key, counter, 640, N, part, 0, 1);
  CHECK(!memcmp(part + 640, f + 640, (N - 640) * sizeof *f), "%s: the second part differs",
        name);
  k->uniform_f64(key, counter, 0, N, d, 0, 1);
  bad = 0;
  for (int i = 0; i < N; i++) {
    al_philox(key, counter + (uint64_t)(i / 32 * 16 + i % 16), w);
    const uint32_t *pair = w + i % 32 / 16 * 2;
    bad += d[i] != (double)(pair[0] >> 5) * 0x1p-27 + (double)(pair[1] >> 6) * 0x1p-53;
  }
  CHECK(bad == 0, "%s: %d float64 words differ", name, bad);
}

int main(void) {
  known_answer();
#if defined(__x86_64__)
  if (al_isa() >= AL_AVX2) fills(&al_random_avx2, "avx2");
  if (al_isa() >= AL_AVX512) fills(&al_random_avx512, "avx512");
#endif
  fills(&al_random_generic, "generic");
  return check_done();
}
