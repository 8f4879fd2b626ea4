/* memory.c: every byte of tensor memory comes from here.
 *
 * Blocks are rounded up to size classes (four a power of two, so at most a quarter is lost) and freed
 * blocks wait in their class's list: a reused block costs no page fault. Blocks from 1 MiB on are mapped
 * directly. What waits is bounded: before a fresh block would lift live + waiting bytes above the highest
 * live amount seen plus 64 MiB, waiting blocks of the largest classes go back to the system.
 *
 * Each block is preceded by a 64-byte header, so data is 64-byte aligned. One mutex guards the lists. */
#include "internal.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEADER = 64, CLASSES = 8 + 4 * 44, MAPPED = 1 << 20, HUGE = 4 << 20, SLACK = 64 << 20 };

typedef struct block {
  struct block *next;
  size_t size; /* of the class, without header */
  int class_;
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static block *waiting[CLASSES];
static _Atomic int64_t live;
static int64_t cached, peak;
static _Atomic int64_t blocks; /* live blocks and bookkeeping objects */
static _Atomic int64_t fault_n, fault_count;

/* Class and its size of a request: units of 64 bytes, exact up to 8, then four steps a doubling. */
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

static block *system_block(size_t size) {
  void *p;
  if (size >= MAPPED) {
    p = mmap(NULL, size + HEADER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (size >= HUGE) madvise(p, size + HEADER, MADV_HUGEPAGE);
  } else {
    p = aligned_alloc(64, size + HEADER);
  }
  return p;
}

static void give_back(block *b) {
  if (b->size >= MAPPED) munmap(b, b->size + HEADER);
  else free(b);
}

/* Called with the lock held: frees waiting blocks, largest classes first, until at most `keep` bytes wait. */
static void trim_to(int64_t keep) {
  for (int k = CLASSES - 1; k >= 0 && cached > keep; k--)
    while (waiting[k] && cached > keep) {
      block *b = waiting[k];
      waiting[k] = b->next;
      cached -= (int64_t)b->size;
      give_back(b);
    }
}

void al_memory_trim(void) {
  pthread_mutex_lock(&lock);
  trim_to(0);
  pthread_mutex_unlock(&lock);
}

static void *no_memory(size_t bytes) {
  al_null("out of memory: %.1f MB wanted, %.1f MB live in %lld blocks", (double)bytes / 1e6,
          (double)live / 1e6, (long long)blocks);
  al_here.no_memory = true;
  return NULL;
}

void *al_alloc(size_t bytes) {
  size_t size;
  if (bytes > (size_t)1 << 46 || fault()) return no_memory(bytes);
  int k = class_of(bytes, &size);
  pthread_mutex_lock(&lock);
  block *b = waiting[k];
  if (b) {
    waiting[k] = b->next;
    cached -= (int64_t)size;
  } else {
    int64_t high = live + (int64_t)size > peak ? live + (int64_t)size : peak;
    int64_t keep = high + SLACK - live - (int64_t)size;
    if (cached > keep) trim_to(keep);
    b = system_block(size);
    if (!b && cached) {
      trim_to(0);
      b = system_block(size);
    }
  }
  if (b) {
    live += (int64_t)size;
    if (live > peak) peak = live;
  }
  pthread_mutex_unlock(&lock);
  if (!b) return no_memory(bytes);
  b->size = size;
  b->class_ = k;
  atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
  return (char *)b + HEADER;
}

void al_release(void *p) {
  if (!p) return;
  block *b = (block *)(void *)((char *)p - HEADER);
  atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
  pthread_mutex_lock(&lock);
  b->next = waiting[b->class_];
  waiting[b->class_] = b;
  live -= (int64_t)b->size;
  cached += (int64_t)b->size;
  pthread_mutex_unlock(&lock);
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
  pthread_mutex_lock(&lock);
  al_memory_info m = {live, cached, peak, blocks};
  pthread_mutex_unlock(&lock);
  return m;
}

void al_memory_reset_peak(void) {
  pthread_mutex_lock(&lock);
  peak = live;
  pthread_mutex_unlock(&lock);
}
