/* memory.c: every byte of tensor memory comes from here.
 *
 * Blocks below 1 MiB are rounded up to size classes (four a power of two: at most a quarter is
 * lost) and freed blocks wait in their class's list: a reused block costs no page fault. Larger
 * ones are cut from regions, see arena.c. What waits is bounded: before live + waiting bytes
 * rise above the highest live amount seen plus 16 MiB, waiting pages go back to the system,
 * those of large blocks first.
 *
 * Each block is preceded by its header and by 64 bytes for its owner (a storage stands there),
 * so data is 64-byte aligned. One lock guards the lists; it is held for a few instructions
 * only. */
#include "arena.h"
#include "internal.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* AddressSanitizer sees what was asked for, not what the class holds, and nothing that waits.
 */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

enum {
  CLASSES = 8 + 4 * 11,
  LARGEST = ARENA_FROM / 8 * 7, /* the last class below the arena's blocks */
  SLACK = 16 << 20,
  SLAB = 16 << 10,
  SMALL = 1 << 10
};

static atomic_flag busy = ATOMIC_FLAG_INIT;
static block *waiting[CLASSES];
static _Atomic int64_t live;
static int64_t cached, peak;
enum { TAGS = 1024 };
static int64_t held[TAGS], at_peak[TAGS]; /* bytes by tag, now and at the peak */
static bool tagging;                      /* once a tag was met */
static _Atomic int64_t blocks;            /* live blocks and bookkeeping objects */
static _Atomic int64_t fault_n, fault_count;

static void lock(void) {
  for (int spins = 0; atomic_flag_test_and_set_explicit(&busy, memory_order_acquire); spins++)
    if (spins > 64) sched_yield();
}
static void unlock(void) { atomic_flag_clear_explicit(&busy, memory_order_release); }

/* Class and its size of a request: units of 64 bytes, exact up to 8, then four steps a
 * doubling. */
static int class_of(size_t bytes, size_t *size) {
  size_t units = bytes / 64 + (bytes % 64 != 0);
  if (units <= 8) {
    if (!units) units = 1;
    *size = units * 64;
    return (int)units - 1;
  }
  int log = 63 - __builtin_clzll(units);
  size_t step = (size_t)1 << (log - 2), above = (units - ((size_t)1 << log) + step - 1) / step;
  *size = (((size_t)1 << log) + above * step) * 64;
  return 8 + 4 * (log - 3) + (int)above - 1;
}

/* True when fault injection wants this allocation to fail. */
static bool fault(void) {
  if (!atomic_load_explicit(&fault_count, memory_order_relaxed)) return false;
  if (atomic_fetch_sub(&fault_n, 1) > 1) return false;
  atomic_fetch_sub(&fault_count, 1);
  return true;
}

void al_fault_after(int64_t n, int64_t count) {
  atomic_store(&fault_n, n);
  atomic_store(&fault_count, n > 0 ? count : 0);
}

/* Small blocks are cut from slabs, which stay: a slab's blocks, beyond the first, go straight
 * to the list. */
static block *cut_slab(size_t size, int k) {
  size_t each = size + HEADER, n = SLAB / each;
  char *p = aligned_alloc(64, n * each);
  if (!p) return NULL;
  block *first = (block *)(void *)p;
  lock();
  for (size_t i = n - 1; i > 0; i--) {
    block *b = (block *)(void *)(p + i * each);
    b->size = size;
    b->class_ = k;
    b->next = waiting[k];
    waiting[k] = b;
  }
  cached += (int64_t)((n - 1) * size);
  unlock();
  return first;
}

/* With the lock held: gives waiting blocks back, the largest first, until at most `keep` bytes
 * wait. */
static void trim_to(int64_t keep) {
  al_arena_trim(keep > cached ? keep - cached : 0);
  for (int k = CLASSES - 1; k >= 0 && cached + al_arena_resident() > keep; k--)
    while (waiting[k] && waiting[k]->size > SMALL && cached + al_arena_resident() > keep) {
      block *b = waiting[k];
      waiting[k] = b->next;
      cached -= (int64_t)b->size;
      ASAN_UNPOISON_MEMORY_REGION((char *)b + HEADER, b->size);
      free(b);
    }
}

/* With the lock held, before `size` more bytes live: what waits keeps within its bound. */
static void make_room(size_t size) {
  int64_t all = live + (int64_t)size, keep = (all > peak ? all : peak) + SLACK - all;
  if (cached + al_arena_resident() > keep) trim_to(keep);
}

void al_memory_trim(void) {
  lock();
  trim_to(0);
  unlock();
}

static void *no_memory(size_t bytes) {
  al_null("out of memory: %.1f MB wanted, %.1f MB live in %lld blocks", (double)bytes / 1e6,
          (double)live / 1e6, (long long)blocks);
  al_here.no_memory = true;
  return NULL;
}

static void count_live(const block *b, int64_t size) { /* with the lock held */
  int64_t now = atomic_load_explicit(&live, memory_order_relaxed) + size;
  atomic_store_explicit(&live, now, memory_order_relaxed);
  if (b->tag) held[b->tag] += size, tagging = true;
  if (now <= peak) return;
  peak = now;
  if (tagging) memcpy(at_peak, held, sizeof held);
}

/* A waiting block of the class, or a fresh one. */
static block *take_small(size_t bytes) {
  size_t size;
  int k = class_of(bytes, &size);
  lock();
  block *b = waiting[k];
  if (b) {
    waiting[k] = b->next;
    cached -= (int64_t)size;
    b->tag = al_here.tag;
    count_live(b, (int64_t)size);
  } else if (size > SMALL) {
    make_room(size);
  }
  unlock();
  if (b) return b;
  b = size <= SMALL ? cut_slab(size, k) : aligned_alloc(64, size + HEADER);
  if (!b) return NULL;
  *b = (block){.size = size, .class_ = k, .tag = al_here.tag};
  lock();
  count_live(b, (int64_t)size);
  unlock();
  return b;
}

static block *take_large(size_t bytes) {
  lock();
  block *b = al_arena_take(bytes);
  if (!b && al_arena_grow(bytes)) b = al_arena_take(bytes);
  if (b) {
    make_room(b->size);
    b->tag = al_here.tag;
    count_live(b, (int64_t)b->size);
  }
  unlock();
  return b;
}

void *al_alloc(size_t bytes) {
  if (bytes > (size_t)1 << 46 || fault()) return no_memory(bytes);
  block *(*take)(size_t) = bytes <= LARGEST ? take_small : take_large, *b = take(bytes);
  if (!b) { /* everything that waits goes back, then once more */
    al_memory_trim();
    if (!(b = take(bytes))) return no_memory(bytes);
  }
  atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
  ASAN_POISON_MEMORY_REGION((char *)b + HEADER, b->size);
  ASAN_UNPOISON_MEMORY_REGION((char *)b + HEADER, bytes);
  return (char *)b + HEADER;
}

void al_release(void *p) {
  if (!p) return;
  block *b = (block *)(void *)((char *)p - HEADER);
  atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
  ASAN_POISON_MEMORY_REGION(p, b->size);
  lock();
  count_live(b, -(int64_t)b->size);
  if (b->size >= ARENA_FROM) {
    al_arena_give(b);
  } else {
    b->next = waiting[b->class_];
    waiting[b->class_] = b;
    cached += (int64_t)b->size;
  }
  unlock();
}

void *al_malloc(size_t bytes) {
  void *p = fault() ? NULL : malloc(bytes);
  if (!p) return no_memory(bytes);
  atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
  return p;
}

void al_free(void *p) {
  if (!p) return;
  atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
  free(p);
}

int64_t al_live_bytes(void) { return atomic_load_explicit(&live, memory_order_relaxed); }

al_memory_info al_memory(void) {
  lock();
  al_memory_info m = {live, cached + al_arena_resident(), peak, blocks};
  unlock();
  return m;
}

void al_memory_reset_peak(void) {
  lock();
  peak = live;
  memcpy(at_peak, held, sizeof held);
  unlock();
}

void al_memory_tags(int n, int64_t *bytes) {
  lock();
  for (int i = 0; i < n; i++) bytes[i] = i < TAGS ? at_peak[i] : 0;
  unlock();
}
