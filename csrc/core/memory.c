/* memory.c: every byte of tensor memory comes from here.
 *
 * Blocks are rounded up to size classes (four a power of two, 16 from 1 MiB on: at most a
 * quarter or a 16th is lost) and freed blocks wait in their class's list: a reused block costs
 * no page fault. Blocks from 1 MiB on are mapped directly. What waits is bounded: before a
 * fresh block would lift live + waiting bytes above the highest live amount seen plus 16 MiB,
 * waiting blocks of the largest classes go back to the system.
 *
 * Each block is preceded by its header and by 64 bytes for its owner (a storage stands there),
 * so data is 64-byte aligned. One lock guards the lists; it is held for a few instructions
 * only. */
#include "memory.h"
#include "internal.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* AddressSanitizer sees what was asked for, not what the class holds, and nothing that waits.
 */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

enum {
  HEADER = 64 + AL_OWNER_ROOM,
  FINE = 14, /* log2 of the units from which classes are fine */
  COARSE = 8 + 4 * (FINE - 3),
  CLASSES = COARSE + 16 * 28,
  NEAR = 3, /* larger classes that serve as well */
  MAPPED = 1 << 20,
  HUGE = 4 << 20,
  SLACK = 16 << 20,
  SLAB = 16 << 10,
  SMALL = 1 << 10
};

typedef struct block {
  struct block *next;
  size_t size; /* of the class, without header */
  int class_;
  uint16_t tag; /* whose block it is, while somebody looks; 0: nobody's */
} block;

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
 * doubling, or 16. */
static int class_of(size_t bytes, size_t *size) {
  size_t units = bytes / 64 + (bytes % 64 != 0);
  if (units <= 8) {
    if (!units) units = 1;
    *size = units * 64;
    return (int)units - 1;
  }
  int log = 63 - __builtin_clzll(units);
  bool fine = log >= FINE;
  size_t step = (size_t)1 << (log - (fine ? 4 : 2)),
         above = (units - ((size_t)1 << log) + step - 1) / step;
  *size = (((size_t)1 << log) + above * step) * 64;
  return (fine ? COARSE + 16 * (log - FINE) : 8 + 4 * (log - 3)) + (int)above - 1;
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

static void give_back(block *b) {
  ASAN_UNPOISON_MEMORY_REGION((char *)b + HEADER, b->size);
  if (b->size >= MAPPED) munmap(b, b->size + HEADER);
  else free(b);
}

/* Called with the lock held: frees waiting blocks, largest classes first, until at most `keep`
 * bytes wait. */
static void trim_to(int64_t keep) {
  for (int k = CLASSES - 1; k >= 0 && cached > keep; k--)
    while (waiting[k] && waiting[k]->size > SMALL && cached > keep) {
      block *b = waiting[k];
      waiting[k] = b->next;
      cached -= (int64_t)b->size;
      give_back(b);
    }
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

/* Makes room for `size` fresh bytes, then asks the system, giving it all that waits when it
 * refuses. */
static block *fresh_block(size_t size) {
  lock();
  int64_t all = live + (int64_t)size, high = all > peak ? all : peak;
  if (cached > high + SLACK - all) trim_to(high + SLACK - all);
  unlock();
  block *b = system_block(size);
  if (b) return b;
  al_memory_trim();
  return system_block(size);
}

static void count_live(const block *b, int64_t size) { /* with the lock held */
  int64_t now = atomic_load_explicit(&live, memory_order_relaxed) + size;
  atomic_store_explicit(&live, now, memory_order_relaxed);
  if (b->tag) held[b->tag] += size, tagging = true;
  if (now <= peak) return;
  peak = now;
  if (tagging) memcpy(at_peak, held, sizeof held);
}

void *al_alloc(size_t bytes) {
  size_t size;
  if (bytes > (size_t)1 << 46 || fault()) return no_memory(bytes);
  int k = class_of(bytes, &size);
  lock();
  for (int last = k >= COARSE ? k + NEAR : k; k < last && !waiting[k]; k++) {}
  block *b = waiting[k];
  if (b) {
    waiting[k] = b->next;
    cached -= (int64_t)b->size;
    b->tag = al_here.tag;
    count_live(b, (int64_t)b->size);
  }
  unlock();
  if (!b) {
    k = class_of(bytes, &size);
    if (!(b = size <= SMALL ? cut_slab(size, k) : fresh_block(size))) return no_memory(bytes);
    b->size = size;
    b->class_ = k;
    b->tag = al_here.tag;
    lock();
    count_live(b, (int64_t)size);
    unlock();
  }
  atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
  ASAN_POISON_MEMORY_REGION((char *)b + HEADER, size);
  ASAN_UNPOISON_MEMORY_REGION((char *)b + HEADER, bytes);
  return (char *)b + HEADER;
}

void al_release(void *p) {
  if (!p) return;
  block *b = (block *)(void *)((char *)p - HEADER);
  atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
  ASAN_POISON_MEMORY_REGION(p, b->size);
  lock();
  b->next = waiting[b->class_];
  waiting[b->class_] = b;
  count_live(b, -(int64_t)b->size);
  cached += (int64_t)b->size;
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
  al_memory_info m = {live, cached, peak, blocks};
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
