/* watch.h: figures an op, gathered while al_here.watch has AL_WATCH_TIME. */
#ifndef AL_WATCH_H
#define AL_WATCH_H
#include "../core/internal.h"

enum { AL_WATCH_CALLS = 8 }; /* the binding tells of each call: lua/call.c */

typedef struct al_watch_row {
  const al_op *op;
  bool gradient; /* of the op, where it is no op itself */
  int64_t calls;
  double seconds, bytes, flops; /* of its own, without the ops it calls */
} al_watch_row;

/* The rows, by what blocks of memory are tagged with; returns how many. */
int al_watch_rows(const al_watch_row **first);
void al_watch_reset(void);
#endif
