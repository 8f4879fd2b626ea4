/* arena.c: large blocks, cut from regions of the system's memory and joined again.
 *
 * A region is one mapping, filled without gaps by blocks in address order and a closing header
 * of size 0 that is never free. No two neighbours are both free. Free blocks stand in the list
 * of their class, by the size rounded down: 16 classes a doubling. A request takes the best fit
 * of its own class, else any block of the next class that has one (after Masmano et al., TLSF,
 * ECRTS 2004). What is cut off is free again.
 *
 * A region's pages come when they are first written, in huge pages where the system has them.
 * `resident` bounds how much of a free block holds pages, so that what waits can be counted and
 * given back without unmapping. */
#include "arena.h"
#include "internal.h"
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

enum {
  FROM_LOG = 11, /* what is cut off has at least a page less a header */
  CLASSES = 16 * 37,
  HUGE_PAGE = 2 << 20,
  LEAST = 8 << 20, /* bytes of the first region; others are a quarter of what is mapped */
  MOST = 128 << 20
};

static block *lists[CLASSES];
static int64_t resident, mapped;

/* The class whose sizes begin at or below `size`. */
static int class_below(size_t size) {
  int log = 63 - __builtin_clzll(size);
  return 16 * (log - FROM_LOG) + (int)((size >> (log - 4)) & 15);
}

static block *after(const block *b) { return (block *)(void *)((char *)b + HEADER + b->size); }

static void list(block *b) {
  b->free = true;
  resident += (int64_t)b->resident;
  int k = class_below(b->size);
  b->previous = NULL;
  if ((b->next = lists[k])) b->next->previous = b;
  lists[k] = b;
}

static void unlist(block *b) {
  b->free = false;
  resident -= (int64_t)b->resident;
  if (b->next) b->next->previous = b->previous;
  if (b->previous) b->previous->next = b->next;
  else lists[class_below(b->size)] = b->next;
}

/* A header at `p` for what lies between `before` and the one above. */
static block *head(void *p, block *before, size_t size) {
  ASAN_UNPOISON_MEMORY_REGION(p, HEADER);
  block *b = p;
  *b = (block){.before = before, .size = size};
  after(b)->before = b;
  return b;
}

static block *find(size_t size) {
  int k = class_below(size);
  block *best = NULL;
  for (block *b = lists[k]; b; b = b->next)
    if (b->size >= size && (!best || b->size < best->size)) best = b;
  while (!best && ++k < CLASSES) best = lists[k];
  return best;
}

/* The size of the block of a request: blocks begin at pages. */
static size_t rounded(size_t bytes) {
  if (bytes < ARENA_FROM) bytes = ARENA_FROM;
  size_t all = (bytes + HEADER + ARENA_STEP - 1) & ~(size_t)(ARENA_STEP - 1);
  return all - HEADER;
}

block *al_arena_take(size_t bytes) {
  size_t size = rounded(bytes);
  block *b = find(size);
  if (!b) return NULL;
  unlist(b);
  if (b->size - size < ARENA_STEP) return b;
  size_t left = b->size - size - HEADER, pages = b->resident;
  b->size = size;
  block *rest = head(after(b), b, left);
  rest->resident = pages < left ? pages : left;
  list(rest);
  return b;
}

void al_arena_give(block *b) {
  b->resident = b->size;
  block *low = b->before, *high = after(b);
  if (high->free) {
    unlist(high);
    b->size += HEADER + high->size;
    b->resident += HEADER + high->resident;
  }
  if (low && low->free) {
    unlist(low);
    low->size += HEADER + b->size;
    low->resident += HEADER + b->resident;
    b = low;
  }
  after(b)->before = b;
  list(b);
}

/* A mapping that begins at a huge page, or any when there is no room for that. */
static void *map(size_t *bytes, size_t least) {
  int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
  char *p = mmap(NULL, *bytes + HUGE_PAGE, prot, flags, -1, 0);
  if (p == MAP_FAILED) {
    *bytes = least;
    p = mmap(NULL, least, prot, flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
  }
  size_t skip = -(uintptr_t)p & (HUGE_PAGE - 1);
  if (skip) munmap(p, skip);
  if (skip < HUGE_PAGE) munmap(p + skip + *bytes, HUGE_PAGE - skip);
  madvise(p + skip, *bytes, MADV_HUGEPAGE);
  return p + skip;
}

/* A page of its own for the closing header: written in a huge page it would bring all of it. */
bool al_arena_grow(size_t bytes) {
  size_t least = rounded(bytes) + HEADER + ARENA_STEP, quarter = (size_t)mapped / 4,
         all = quarter < LEAST  ? LEAST
               : quarter < MOST ? quarter
                                : MOST;
  all = (all & ~(size_t)(HUGE_PAGE - 1)) + ARENA_STEP;
  if (all < least) all = least;
  char *p = map(&all, least);
  if (!p) return false;
  mapped += (int64_t)all;
  block *end = (block *)(void *)(p + all - HEADER);
  *end = (block){.size = 0};
  list(head(p, NULL, all - 2 * HEADER));
  return true;
}

static void unmap(block *b) {
  size_t all = b->size + 2 * HEADER;
  ASAN_UNPOISON_MEMORY_REGION(b, all);
  mapped -= (int64_t)all;
  munmap(b, all);
}

/* Whole pages of `step` bytes. */
static void give_pages(block *b, size_t step) {
  uintptr_t from = ((uintptr_t)b + HEADER + step - 1) & ~(step - 1),
            to = (uintptr_t)after(b) & ~(step - 1);
  if (from >= to) return;
  madvise((void *)from, to - from, MADV_DONTNEED);
  size_t left = b->size - (to - from);
  if (left < b->resident) {
    resident -= (int64_t)(b->resident - left);
    b->resident = left;
  }
}

/* From the largest on, while more than `keep` bytes are resident. */
static void give_while_above(int64_t keep, size_t step) {
  for (int k = CLASSES - 1; k >= 0 && resident > keep; k--)
    for (block *b = lists[k], *next; b && resident > keep; b = next) {
      next = b->next;
      if (!b->before && !after(b)->size) {
        unlist(b);
        unmap(b);
      } else if (b->resident) {
        give_pages(b, step);
      }
    }
}

/* Huge pages stay whole as long as that is enough. */
void al_arena_trim(int64_t keep) {
  give_while_above(keep, HUGE_PAGE);
  give_while_above(keep, ARENA_STEP);
}

int64_t al_arena_resident(void) { return resident; }
