/* random.h: Philox4x32-10, the counter-based generator (Salmon, Moraes, Dror, Shaw: Parallel
 * random numbers: as easy as 1, 2, 3; SC 2011). Four 32-bit words are a function of (key,
 * counter) alone, so that any element of a random tensor can be made anywhere, by any thread,
 * and made again. */
#ifndef AL_RANDOM_H
#define AL_RANDOM_H
#include "../albedo.h"

static inline void al_philox(uint64_t key, uint64_t counter, uint32_t out[4]) {
  uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)c0 * 0xD2511F53u, b = (uint64_t)c2 * 0xCD9E8D57u;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0, c1 = (uint32_t)b;
    c2 = (uint32_t)(a >> 32) ^ c3 ^ k1, c3 = (uint32_t)a;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Takes enough of the stream for n 32-bit words: the state from which they start. Streams are
 * handed out in groups of AL_RNG_GROUP words = AL_RNG_BLOCKS counters, laid out in
 * kernel/random.h. */
enum { AL_RNG_BLOCKS = 16, AL_RNG_GROUP = 4 * AL_RNG_BLOCKS };
al_rng al_rng_take(al_rng *r, int64_t n);

/* Sequential draws from a stream (shuffles): an integer in [0, n), n >= 1. */
uint64_t al_rng_below(al_rng *r, uint64_t n);
#endif
