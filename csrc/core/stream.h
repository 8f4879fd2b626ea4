/* stream.h: stores past the caches, for results that would not be in them any more when they
 * are read. A plain store reads its line from memory first, half of what a copy must move; and
 * what the caches hold of the operands stays there. */
#ifndef AL_CORE_STREAM_H
#define AL_CORE_STREAM_H
#include <stdint.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Bytes of a result from which this pays. Copies round two to four buffers, one thread, 32 MB
 * of last-level cache: plain stores are twice as fast up to 4 MB, streaming ones a half
 * from 16. */
enum { AL_STREAM = 12 << 20 };

/* memcpy. al_stream_end comes before other threads
 * read `to`. */
static inline void al_stream(void *to, const void *from, int64_t bytes) {
#ifdef __x86_64__
  char *p = to;
  const char *q = from;
  int64_t head = -(intptr_t)p & 15;
  if (head > bytes) head = bytes;
  memcpy(p, q, (size_t)head);
  for (p += head, q += head, bytes -= head; bytes >= 16; p += 16, q += 16, bytes -= 16)
    _mm_stream_si128((__m128i *)(void *)p, _mm_loadu_si128((const __m128i *)(const void *)q));
  memcpy(p, q, (size_t)bytes);
#else
  memcpy(to, from, (size_t)bytes);
#endif
}

static inline void al_stream_end(void) {
#ifdef __x86_64__
  _mm_sfence();
#endif
}
#endif
