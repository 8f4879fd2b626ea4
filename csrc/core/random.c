/* random.c: streams of random numbers. A stream is a key (the seed) and the next counter. */
#include "random.h"
#include "internal.h"

/* Mixes the seed so that neighbouring seeds give unrelated keys (the finaliser of MurmurHash3,
 * by Appleby, with the constants of splitmix64, Steele et al. 2014). */
void al_rng_seed(al_rng *r, uint64_t seed) {
  uint64_t z = seed + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  r->key = z ^ (z >> 31);
  r->counter = 0;
}

al_rng *al_rng_default(void) {
  if (!al_here.rng_ready) {
    al_rng_seed(&al_here.rng, 0);
    al_here.rng_ready = true;
  }
  return &al_here.rng;
}

al_rng al_rng_take(al_rng *r, int64_t n) {
  al_rng from = *r;
  r->counter += (uint64_t)((n + AL_RNG_GROUP - 1) / AL_RNG_GROUP) * AL_RNG_BLOCKS;
  return from;
}

/* The high word of a 64 x 64 product: uneven by less than n / 2^64. */
uint64_t al_rng_below(al_rng *r, uint64_t n) {
  uint32_t w[4];
  al_philox(r->key, r->counter++, w);
  uint64_t u = (uint64_t)w[0] << 32 | w[1];
  return (uint64_t)(((unsigned __int128)u * n) >> 64);
}
