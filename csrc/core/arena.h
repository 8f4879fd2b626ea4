/* arena.h: blocks of 1 MiB and more, cut from regions of the system's memory. Every function is
 * called with memory.c's lock held. */
#ifndef AL_ARENA_H
#define AL_ARENA_H
#include "memory.h"

enum { HEADER = 64 + AL_OWNER_ROOM, ARENA_FROM = 1 << 20, ARENA_STEP = 4096 };

/* The header of every block, its first 64 bytes. The last four fields are the arena's. */
typedef struct block {
  struct block *next;
  size_t size; /* without header */
  int class_;
  uint16_t tag; /* whose block it is, while somebody looks; 0: nobody's */
  bool free;
  struct block *previous; /* in the list of its class */
  struct block *before;   /* the neighbour below; NULL: the first of its region */
  size_t resident;        /* while free: at most so many of its bytes hold pages */
} block;
_Static_assert(sizeof(block) <= HEADER - AL_OWNER_ROOM, "a header is 64 bytes");

/* A block of at least `bytes`, from what is free; NULL: nothing free is as large. */
block *al_arena_take(size_t bytes);
/* Adds a region that holds a block of `bytes`; false: the system has none. */
bool al_arena_grow(size_t bytes);
/* Frees a block, joined with free neighbours. */
void al_arena_give(block *b);
/* Pages of free blocks go back to the system, the largest first, until at most `keep` bytes
 * hold any; regions that are free as a whole go as a whole. */
void al_arena_trim(int64_t keep);
/* Bytes of free blocks that may hold pages. */
int64_t al_arena_resident(void);
#endif
