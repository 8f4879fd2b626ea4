// What conv_winograd.c and conv_winograd_weight.c share: how a convolution is cut in lines of
// tiles, and the sizes of their register tiles. Define AL_REAL 32 first.
#ifndef AL_KERNEL_CONV_WINOGRAD_H
#define AL_KERNEL_CONV_WINOGRAD_H

#include "conv_parts.h"
#include "real.h"
#include "winograd.h"

// Products in registers: WR tiles x WN vectors of output channels (forward), GR channels x WN
// (weights).
#define WN 2
#if AL_BYTES == 64
#define WR 14
#define GR 8
#elif AL_BYTES == 32
#define WR 6
#define GR 4
#elif defined(__x86_64__)
#define WR 4
#define GR 4
#else
#define WR 12
#define GR 4
#endif
#define WIDE (WN * AL_VF) // output channels of a panel
#define SKEW 80           // numbers between the 36 points, against cache sets that collide

// In two dimensions there is one stack, of all lines of all images; in three a stack is the
// lines of one row of tiles through the depth of one image, in which depth tap d of line l is
// line l + d.
typedef struct winograd_plan {
  int64_t n, c, k, depth;
  int64_t in[3], out[3], pad[3];
  int64_t th, tw;        // tiles down and across a plane
  int64_t stacks, lines; // output lines of a stack
  int64_t blocks;        // of LANES input channels
  int64_t chunk;         // lines of a task
  int64_t w_row,
      w_chan; // strides of the weights, from output to output and from channel to channel
  bool flip;  // taps reversed
} winograd_plan;

// A distance of n numbers or a little more that walks through all cache sets: an odd number of
// lines.
static inline int64_t winograd_odd(int64_t n) { return al_round_up(n, 16) | 16; }

static inline winograd_plan winograd_plan_of(const al_conv *cv) {
  winograd_plan p = {.n = cv->n, .c = cv->c, .k = cv->k, .depth = cv->ker[0]};
  for (int i = 0; i < 3; i++) p.in[i] = cv->in[i], p.out[i] = cv->out[i], p.pad[i] = cv->pad[i];
  p.th = al_ceil_div(p.out[1], OUT), p.tw = al_ceil_div(p.out[2], OUT);
  p.stacks = p.depth == 1 ? 1 : p.n * p.th;
  p.lines = p.depth == 1 ? p.n * p.out[0] * p.th : p.out[0];
  p.blocks = al_ceil_div(p.c, AL_VF);
  return p;
}

// Where line l of a stack lies: image, plane, row of tiles.
typedef struct winograd_place {
  int64_t n, z, y;
} winograd_place;

static inline winograd_place winograd_place_of(const winograd_plan *p, int64_t stack,
                                               int64_t l) {
  if (p->depth > 1) return (winograd_place){stack / p->th, l, stack % p->th};
  return (winograd_place){l / p->th / p->out[0], l / p->th % p->out[0], l % p->th};
}

#endif
