/* png.c: PNG by libpng, 8 and 16 bits, both ways. */
#include "image.h"
#include <png.h>
#include <string.h>

/* libpng leaves by longjmp, so what must be freed lives here and not in automatic variables. */
typedef struct job {
  png_structp png;
  png_infop info;
  const uint8_t *p; /* what is left to read */
  size_t n;
  al_bytes *out;
  uint8_t *rows; /* a row, or the whole picture when interlaced */
  png_bytep *index;
  bool no_memory;
} job;

static void on_error(png_structp png, png_const_charp message) {
  job *j = png_get_error_ptr(png);
  if (!j->no_memory) al_fail("damaged PNG: %s", message);
  png_longjmp(png, 1);
}
static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

static png_voidp take(png_structp png, png_alloc_size_t n) {
  void *p = al_malloc(n);
  if (!p) ((job *)png_get_mem_ptr(png))->no_memory = true;
  return p;
}
static void give(png_structp png, png_voidp p) { (void)png, al_free(p); }

static void supply(png_structp png, png_bytep to, size_t n) {
  job *j = png_get_io_ptr(png);
  if (n > j->n) png_error(png, "it ends early");
  memcpy(to, j->p, n);
  j->p += n;
  j->n -= n;
}

static void read_rows(job *j, al_canvas *v) {
  png_structp png = j->png;
  size_t n = j->n;
  /* texts, profiles and the like stay out: a thousand of them may inflate to 16 MB each */
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(png, j->info);
  png_uint_32 w = png_get_image_width(png, j->info), h = png_get_image_height(png, j->info);
  /* deflate cannot shrink beyond 1032:1, so a great picture in a few bytes is a lie */
  if ((double)png_get_rowbytes(png, j->info) * h > 1100.0 * (double)n)
    png_error(png, "it claims far more pixels than it can hold");
  png_set_expand(png); /* palettes, fewer than 8 bits, transparency by colour */
  png_set_swap(png);   /* 16 bits in native order */
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, j->info);
  size_t bytes = png_get_rowbytes(png, j->info);
  if (al_canvas_open(v, w, h, png_get_channels(png, j->info), png_get_bit_depth(png, j->info),
                     1))
    goto failed;
  if (passes == 1) {
    j->rows = al_alloc(bytes);
    if (!j->rows) goto failed;
    for (png_uint_32 y = 0; y < h; y++) {
      png_read_row(png, j->rows, NULL);
      al_canvas_row(v, y, j->rows);
    }
  } else {
    j->rows = al_alloc(bytes * h);
    j->index = j->rows ? al_malloc(sizeof *j->index * h) : NULL;
    if (!j->index) goto failed;
    for (png_uint_32 y = 0; y < h; y++) j->index[y] = j->rows + y * bytes;
    png_read_image(png, j->index);
    for (png_uint_32 y = 0; y < h; y++) al_canvas_row(v, y, j->index[y]);
  }
  png_read_end(png, NULL); /* the checksums of what follows */
  return;
failed: /* the message stands already */
  png_longjmp(png, 1);
}

int al_png_decode(const uint8_t *p, size_t n, al_canvas *v) {
  job j = {.p = p, .n = n};
  j.png =
      png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, take, give);
  if (!j.png) return -1;
  j.info = png_create_info_struct(j.png);
  int bad = j.info ? 0 : -1;
  if (!bad) {
    png_set_read_fn(j.png, &j, supply);
    png_set_user_limits(j.png, 0x7fffffff, 0x7fffffff);
    png_set_chunk_malloc_max(j.png, 16 << 20);
    png_set_option(j.png, PNG_IGNORE_ADLER32, PNG_OPTION_OFF);
    if (setjmp(png_jmpbuf(j.png))) bad = -1;
    else read_rows(&j, v);
  }
  png_destroy_read_struct(&j.png, &j.info, NULL);
  al_release(j.rows);
  al_free(j.index);
  return bad;
}

static void gather(png_structp png, png_bytep data, size_t n) {
  job *j = png_get_io_ptr(png);
  if (al_bytes_add(j->out, data, n)) png_longjmp(png, 1);
}
static void flush(png_structp png) { (void)png; }

static void write_rows(job *j, const al_tensor *x, int level) {
  static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                              PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
  png_structp png = j->png;
  int64_t c = x->shape[0], h = x->shape[1], w = x->shape[2];
  bool deep = x->dtype == AL_INT32;
  png_set_compression_level(png, level);
  png_set_IHDR(png, j->info, (png_uint_32)w, (png_uint_32)h, deep ? 16 : 8, types[c],
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, j->info);
  j->rows = al_alloc((size_t)(w * c * (deep ? 2 : 1)));
  if (!j->rows) png_longjmp(png, 1);
  for (int64_t y = 0; y < h; y++) {
    for (int64_t k = 0; k < c; k++) {
      int64_t from = (k * h + y) * w;
      uint8_t *to = j->rows + k * (deep ? 2 : 1);
      if (deep) {
        const int32_t *p = (const int32_t *)al_data(x) + from;
        for (int64_t i = 0; i < w; i++) { /* PNG is big-endian */
          to[i * c * 2] = (uint8_t)(p[i] >> 8);
          to[i * c * 2 + 1] = (uint8_t)p[i];
        }
      } else {
        const uint8_t *p = (const uint8_t *)al_data(x) + from;
        for (int64_t i = 0; i < w; i++) to[i * c] = p[i];
      }
    }
    png_write_row(png, j->rows);
  }
  png_write_end(png, NULL);
}

int al_png_encode(const al_tensor *x, int level, al_bytes *b) {
  job j = {.out = b};
  j.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, take,
                                    give);
  if (!j.png) return -1;
  j.info = png_create_info_struct(j.png);
  int bad = j.info ? 0 : -1;
  if (!bad) {
    png_set_write_fn(j.png, &j, gather, flush);
    if (setjmp(png_jmpbuf(j.png))) bad = -1;
    else write_rows(&j, x, level);
  }
  png_destroy_write_struct(&j.png, &j.info);
  al_release(j.rows);
  return bad;
}
