/* lossless.c: lossless JPEG (ITU-T T.81, annex H), Huffman coded, as medical pictures are
 * stored: 2 to 16 bits, components of one size, in one scan or a scan each. */
#include "jpegs.h"

enum { TABLES = 4, CODES = 65536, SOF3 = 0xc3, DHT = 0xc4, EOI = 0xd9, SOS = 0xda, DRI = 0xdd };

typedef struct picture {
  const uint8_t *p, *end; /* what is left */
  uint32_t bits;          /* the next `have` bits, in its low ones */
  int have, missing;      /* missing: bits read beyond the end */
  /* [table][the next 16 bits] = length of the code << 8 | its symbol; 0: no code */
  uint16_t (*codes)[CODES];
  bool known[TABLES];
  int depth, shift, predictor, restart;
  uint8_t names[4], which[4]; /* of the components; their tables */
  al_tensor *y;
} picture;

/* The next n bits (at most 16) stay; beyond the data they are 0. */
static uint32_t peek(picture *s, int n) {
  while (s->have < n) {
    uint32_t byte = 0;
    bool stuffed = s->p + 1 < s->end && s->p[0] == 0xff && s->p[1] == 0;
    if (s->p < s->end && (*s->p != 0xff || stuffed)) {
      byte = *s->p;
      s->p += stuffed ? 2 : 1;
    } else {
      s->missing += 8;
    }
    s->bits = s->bits << 8 | byte;
    s->have += 8;
  }
  return s->bits >> (s->have - n) & ((1u << n) - 1);
}

/* The next difference; at an unknown code, more bits than there are. */
static int difference(picture *s, int table) {
  uint16_t code = s->codes[table][peek(s, 16)];
  if (!code) s->missing = s->have + 1;
  s->have -= code >> 8;
  int size = code & 255;
  if (size == 0 || size == 16) return size ? 32768 : 0;
  int v = (int)peek(s, size);
  s->have -= size;
  return v < 1 << (size - 1) ? v - (1 << size) + 1 : v;
}

/* Huffman's codes of a DHT segment, each under all the words it begins. */
static int read_tables(picture *s, const uint8_t *p, const uint8_t *end) {
  while (p + 17 <= end) {
    int table = *p & 15;
    const uint8_t *counts = p + 1, *symbol = p + 17;
    if (*p > 3) return al_fail("its table %d is of another kind", *p);
    memset(s->codes[table], 0, sizeof s->codes[table]);
    for (uint32_t length = 1, at = 0; length <= 16; length++)
      for (int k = 0; k < counts[length - 1]; k++) {
        uint32_t many = 1u << (16 - length);
        if (symbol >= end || *symbol > 16 || at + many > CODES)
          return al_fail("its codes are wrong");
        for (uint32_t i = 0; i < many; i++)
          s->codes[table][at + i] = (uint16_t)(length << 8 | *symbol);
        at += many;
        symbol++;
      }
    s->known[table] = true;
    p = symbol;
  }
  return p == end ? 0 : al_fail("its tables end early");
}

/* The samples' size and the components. A sample takes a bit at least. */
static int read_frame(picture *s, const uint8_t *p, size_t n, int64_t limit) {
  if (s->y || n < 6 || n != 6 + 3 * (size_t)p[5] || p[0] < 2 || p[0] > 16)
    return al_fail("its frame is wrong");
  int64_t h = al_be(p + 1, 2), w = al_be(p + 3, 2), c = p[5];
  s->depth = p[0];
  if (c > 4 || h * w * c > 8 * (s->end - p)) return al_fail("it claims more than it can hold");
  for (int k = 0; k < c; k++) {
    s->names[k] = p[6 + 3 * k];
    if (p[7 + 3 * k] != 0x11)
      return al_fail("its components differ in size, which is not read");
  }
  s->y = al_jpegs_room(c, h, w, limit);
  if (s->y) memset(al_data(s->y), 0, (size_t)al_numel(s->y) * 4);
  return s->y ? 0 : -1;
}

/* After so many samples the prediction begins anew, behind a marker. */
static int pass_restart(picture *s) {
  s->have = 0;
  if (s->missing || s->end - s->p < 2 || s->p[0] != 0xff || (s->p[1] & 0xf8) != 0xd0)
    return al_fail("a restart is missing");
  s->p += 2;
  return 0;
}

/* Of the samples left (a), above (b) and above left (c); table H.1 */
static int predicted(int predictor, int a, int b, int c) {
  switch (predictor) {
  case 1: return a;
  case 2: return b;
  case 3: return c;
  case 4: return a + b - c;
  case 5: return a + ((b - c) >> 1);
  case 6: return b + ((a - c) >> 1);
  default: return (a + b) >> 1;
  }
}

/* The samples of `count` components, the index of each in `list`. */
static int read_samples(picture *s, const int *list, int count) {
  int64_t h = s->y->shape[1], w = s->y->shape[2], first = 0;
  if (s->restart % w) return al_fail("its restarts are within lines, which is not read");
  s->bits = 0, s->have = s->missing = 0;
  for (int64_t y = 0; y < h; y++) {
    if (y && s->restart && y % (s->restart / w) == 0) {
      if (pass_restart(s)) return -1;
      first = y;
    }
    for (int64_t x = 0; x < w; x++)
      for (int k = 0; k < count; k++) {
        int32_t *to = (int32_t *)al_data(s->y) + (list[k] * h + y) * w + x;
        int guess = y == first ? x ? to[-1] : 1 << (s->depth - s->shift - 1)
                    : x ? predicted(s->predictor, to[-1], to[-w], to[-w - 1])
                               : to[-w];
        *to = (guess + difference(s, s->which[list[k]])) & 0xffff;
      }
    if (s->missing > s->have) return al_fail("its data end early or are wrong");
  }
  return 0;
}

static int read_scan(picture *s, const uint8_t *p, size_t n) {
  if (!s->y || n < 4 || n != 4 + 2 * (size_t)p[0]) return al_fail("its scan is wrong");
  int count = p[0], list[4];
  if (count < 1 || count > s->y->shape[0]) return al_fail("its scan is wrong");
  s->predictor = p[n - 3];
  s->shift = p[n - 1] & 15;
  if (s->predictor < 1 || s->predictor > 7 || s->shift >= s->depth)
    return al_fail("its prediction %d is not read", s->predictor);
  for (int k = 0; k < count; k++) {
    int at = 0, table = p[2 + 2 * k] >> 4;
    while (at < s->y->shape[0] && s->names[at] != p[1 + 2 * k]) at++;
    if (at == s->y->shape[0] || table >= TABLES || !s->known[table])
      return al_fail("its scan names what is not there");
    s->which[at] = (uint8_t)table;
    list[k] = at;
  }
  return read_samples(s, list, count);
}

static int read_all(picture *s, int64_t limit) {
  int64_t left = -1; /* components not seen yet */
  s->p += 2;
  while (left) {
    while (s->p < s->end && *s->p != 0xff) s->p++;
    while (s->p < s->end && *s->p == 0xff) s->p++;
    if (s->end - s->p < 3 || *s->p == EOI) return al_fail("it ends early");
    int kind = *s->p++;
    if (kind == 0) continue;
    size_t n = al_be(s->p, 2);
    if (n < 2 || (size_t)(s->end - s->p) < n) return al_fail("it ends early");
    const uint8_t *p = s->p + 2;
    s->p += n;
    n -= 2;
    int bad = 0;
    if (kind == SOF3) {
      bad = read_frame(s, p, n, limit);
      left = bad ? 0 : s->y->shape[0];
    } else if (kind == DHT) {
      bad = read_tables(s, p, p + n);
    } else if (kind == DRI && n == 2) {
      s->restart = (int)al_be(p, 2);
    } else if (kind == SOS) {
      bad = read_scan(s, p, n);
      left = left > p[0] ? left - p[0] : 0;
    } else if (kind >= 0xc0 && kind <= 0xcf) {
      bad = al_fail("JPEG of the kind %d is not read", kind - 0xc0);
    }
    if (bad) return -1;
  }
  return 0;
}

al_tensor *al_jpeg_lossless(const uint8_t *p, size_t n, int64_t limit) {
  picture s = {.p = p, .end = p + n, .codes = al_alloc(TABLES * CODES * sizeof(uint16_t))};
  int bad = s.codes ? read_all(&s, limit) : -1;
  al_release(s.codes);
  if (bad) return NULL;
  int32_t *v = al_data(s.y);
  for (int64_t i = 0, all = al_numel(s.y); s.shift && i < all; i++)
    v[i] = v[i] << s.shift & 0xffff;
  return s.y;
}
