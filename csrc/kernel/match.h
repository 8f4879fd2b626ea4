// Nearest neighbours among the descriptors of one picture.
#ifndef AL_KERNEL_MATCH_H
#define AL_KERNEL_MATCH_H

#include <stdint.h>

#include "../core/isa.h"

// Room is counted in positions rounded up to whole tiles: 64 divides by the tile of every
// build.
enum { AL_MATCH_CHANNELS = 256, AL_MATCH_TILE = 64, AL_MATCH_ASK = 4 };

typedef struct al_match {
  int64_t channels, h, w; // descriptors: channels x h x w, at most 256 channels
  int64_t stride;         // every stride-th row and column asks
  double exclude;         // positions nearer than this do not answer
} al_match;

typedef struct al_match_kernels {
  // Rearranges the descriptors of a picture, channels x n: tiles takes channels x n' numbers,
  // half n' (half the squared lengths), n' being n rounded up to 64.
  void (*pack)(const float *x, int64_t channels, int64_t n, float *tiles, float *half);
  // For the questions of row `row`: the squared distance of the nearest descriptor and its
  // position y * w + x (infinity and -1 when all are excluded; the first of equals). room: 4 x
  // (n'
  // + 16) numbers.
  void (*row)(const al_match *, const float *x, const float *tiles, const float *half,
              int64_t row, float *room, float *distance, int64_t *at);
} al_match_kernels;

AL_DECLARE_TABLE(al_match_kernels, al_match_table);

#endif
