/* image.h: the image plugin's parts. Decoders hand rows to a canvas, encoders take rows from a
 * tensor. */
#ifndef AL_IMAGE_H
#define AL_IMAGE_H
#include "../../io/file.h"
#include "../../op/op.h"

/* What a file read, or by default a decoded picture, may take: more is refused before
 * allocation. */
#define AL_IMAGE_LIMIT 4000000000LL

/* Where decoded rows go: planes of uint8 (8 bits) or int32 (16 bits), turned upright and with
 * the channels wanted (1 gray, 2 gray and alpha, 3 RGB, 4 RGBA). */
typedef struct al_canvas {
  int want;          /* in: channels wanted, 0 = those of the file */
  int64_t limit;     /* in: bytes the picture may take; 0: AL_IMAGE_LIMIT */
  al_tensor *tensor; /* out: C x H x W; when `planes` was given: NULL */
  void *planes;      /* in: existing memory of exactly fixed_w x fixed_h, else NULL */
  int64_t fixed_w, fixed_h;
  int64_t w, h;                        /* as stored in the file */
  int channels, bits;                  /* as stored */
  int64_t corner, across, down, plane; /* place of pixel (x, y): corner + x across + y down */
} al_canvas;

/* A decoder calls open once, then row for y = 0 .. h-1: interleaved uint8, or uint16 in native
 * order. `turn` is EXIF's orientation, 1 to 8. */
int al_canvas_open(al_canvas *v, int64_t w, int64_t h, int channels, int bits, int turn);
void al_canvas_row(const al_canvas *v, int64_t y, const void *row);

/* Decoders: -1 and an error when the bytes are damaged. No memory stays behind. */
int al_png_decode(const uint8_t *p, size_t n, al_canvas *v);
int al_jpeg_decode(const uint8_t *p, size_t n, al_canvas *v);
int al_pnm_decode(const uint8_t *p, size_t n, al_canvas *v);
int al_bmp_decode(const uint8_t *p, size_t n, al_canvas *v);

/* n pixels of three bytes to three planes, and back. */
void al_split3(int64_t n, const uint8_t *restrict rgb, uint8_t *restrict r, uint8_t *restrict g,
               uint8_t *restrict b);
void al_join3(int64_t n, const uint8_t *restrict r, const uint8_t *restrict g,
              const uint8_t *restrict b, uint8_t *restrict rgb);

/* Encoders append to b. x is contiguous C x H x W, uint8, or int32 for a 16-bit PNG. */
int al_png_encode(const al_tensor *x, int level, al_bytes *b);
/* planes: c (1 or 3) planes of h x w bytes. Chroma is halved up to quality 90, as cameras do.
 */
int al_jpeg_encode(const uint8_t *planes, int64_t w, int64_t h, int c, int quality,
                   al_bytes *b);
#endif
