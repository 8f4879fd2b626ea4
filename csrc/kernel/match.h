// Nearest neighbours among the descriptors of one picture.
#ifndef AL_KERNEL_MATCH_H
#define AL_KERNEL_MATCH_H

#include <stdint.h>

#include "../core/isa.h"

enum { AL_MATCH_CHANNELS = 256, AL_MATCH_ROOM = 4 };

typedef struct al_match {
  int64_t channels, h, w; // descriptors: channels x h x w, at most 256 channels
  int64_t stride;         // every stride-th row and column asks
  double exclude;         // positions nearer than this do not answer
} al_match;

typedef struct al_match_kernels {
  // For the questions of row `row` of the picture: the squared distance of the nearest
  // descriptor and its position y * w + x (-1 and infinity when all are excluded; the first of
  // equals). half: (h x w) half the squared lengths; room: AL_MATCH_ROOM x h x w numbers.
  void (*row)(const al_match *, const float *x, const float *half, int64_t row, float *room,
              float *distance, int64_t *at);
} al_match_kernels;

AL_DECLARE_TABLE(al_match_kernels, al_match_table);

#endif
