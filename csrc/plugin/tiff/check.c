/* check.c: what libtiff 4.5 would believe. It bounds each of its allocations, not their sum:
 * the entries of a directory may all claim the same megabytes. A sound file's parts do not
 * overlap, so all directories together, and the values of one, are no longer than the file.
 * TIFF 6.0, section 2; BigTIFF has 8 bytes where it has 4. */
#include "tiff.h"
#include <string.h>
#include <unistd.h>

typedef struct walk {
  int fd;
  int64_t size;
  bool big, swap; /* BigTIFF; the other order of bytes */
} walk;

static uint64_t number(const walk *w, const uint8_t *p, int n) {
  uint64_t v = 0;
  for (int k = 0; k < n; k++) v = v << 8 | p[w->swap ? k : n - 1 - k];
  return v;
}

/* Bytes of the n entries at p that lie elsewhere in the file. */
static double elsewhere(const walk *w, const uint8_t *p, int64_t n) {
  static const uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
  double sum = 0;
  for (; n; n--, p += w->big ? 20 : 12) {
    uint64_t type = number(w, p + 2, 2), count = number(w, p + 4, w->big ? 8 : 4);
    double bytes = type < sizeof sizes ? (double)count * sizes[type] : 0;
    if (bytes > (w->big ? 8 : 4)) sum += bytes;
  }
  return sum;
}

/* Reads the directory at `at`: its bytes, 0 where none can be read (libtiff will say so), -1
 * when its values are longer than the file; *next is the one after it. */
static int64_t directory(const walk *w, int64_t at, int64_t *next) {
  uint8_t head[8];
  int wide = w->big ? 8 : 2, each = w->big ? 20 : 12, link = w->big ? 8 : 4;
  *next = 0;
  if (pread(w->fd, head, (size_t)wide, at) != wide) return 0;
  uint64_t n = number(w, head, wide);
  if (n > (uint64_t)(w->size - at - wide) / (uint64_t)each) return 0;
  int64_t bytes = (int64_t)n * each + link;
  uint8_t *p = al_malloc((size_t)bytes);
  if (!p) return 0;
  ssize_t got = pread(w->fd, p, (size_t)bytes, at + wide);
  double sum = got >= bytes - link ? elsewhere(w, p, (int64_t)n) : 0;
  if (got == bytes) {
    uint64_t to = number(w, p + bytes - link, link);
    if (to < (uint64_t)w->size) *next = (int64_t)to;
  }
  al_free(p);
  return sum > (double)w->size + 65536 ? -1 : bytes + wide;
}

const char *al_tiff_check(int fd, int64_t size) {
  uint8_t head[16] = {0};
  walk w = {.fd = fd, .size = size};
  if (pread(fd, head, 16, 0) < 8) return NULL;
  w.swap = head[0] == 'M';
  w.big = number(&w, head + 2, 2) == 43;
  uint64_t first = w.big ? number(&w, head + 8, 8) : number(&w, head + 4, 4);
  int64_t at = first < (uint64_t)size ? (int64_t)first : 0, total = 0, next;
  for (; at > 0; at = next) { /* a circle ends by the sum */
    int64_t bytes = directory(&w, at, &next);
    if (bytes < 0) return "its entries claim more than the file holds";
    if (!bytes) return NULL;
    total += bytes;
    if (total > size) return "its directories overlap, or go in a circle";
  }
  return NULL;
}
