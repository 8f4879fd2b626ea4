/* slide.c: whole slides by OpenSlide (https://openslide.org), read region by region. Slides
 * stay open in a small table, since opening one parses all of its pyramid; OpenSlide's own
 * reads may run side by side. */
#include "../../op/op.h"
#include <openslide.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern al_op *const __start_al_ops[] __attribute__((visibility("hidden")));
extern al_op *const __stop_al_ops[] __attribute__((visibility("hidden")));
void al_plugin_ops(al_op *const **first, al_op *const **last);

/* OpenSlide's libtiff would print: its handlers are the process's. (csrc/plugin/tiff has its
 * own for each file.) */
typedef void (*handler)(const char *, const char *, va_list);
extern handler TIFFSetErrorHandler(handler) __attribute__((weak));
extern handler TIFFSetWarningHandler(handler) __attribute__((weak));

void al_plugin_ops(al_op *const **first, al_op *const **last) {
  if (TIFFSetErrorHandler) TIFFSetErrorHandler(NULL);
  if (TIFFSetWarningHandler) TIFFSetWarningHandler(NULL);
  *first = __start_al_ops;
  *last = __stop_al_ops;
}

/* An open slide: the file of that name, size and time. */
typedef struct slide {
  char *path;
  struct stat file;
  openslide_t *os;
  int users;
  long used; /* when, counted by `clock_now` */
} slide;
enum { OPEN = 4 };
static slide open_slides[OPEN];
static long clock_now;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static bool same_file(const slide *s, const char *path, const struct stat *f) {
  return s->os && !strcmp(s->path, path) && s->file.st_ino == f->st_ino &&
         s->file.st_size == f->st_size && s->file.st_mtime == f->st_mtime;
}

/* The slot of a slide, opened when it is not; NULL and an error. The guard is held. */
static slide *find(const char *path, const struct stat *f) {
  slide *free_one = NULL;
  for (int i = 0; i < OPEN; i++) {
    slide *s = &open_slides[i];
    if (same_file(s, path, f)) return s;
    if (!s->users && (!free_one || s->used < free_one->used)) free_one = s;
  }
  if (!free_one) return al_null("%d slides are being read already", OPEN);
  openslide_t *os = openslide_open(path);
  if (!os) return al_null("%s is no slide that OpenSlide reads", path);
  const char *trouble = openslide_get_error(os);
  char *name = trouble ? NULL : strdup(path);
  if (!name) {
    al_fail("damaged slide %s: %s", path, trouble ? trouble : "no memory");
    openslide_close(os);
    return NULL;
  }
  if (free_one->os) openslide_close(free_one->os);
  free(free_one->path);
  *free_one = (slide){.path = name, .file = *f, .os = os};
  return free_one;
}

static slide *take(const char *path) {
  struct stat f;
  if (stat(path, &f)) return al_null("%s: no such file", path);
  pthread_mutex_lock(&guard);
  slide *s = find(path, &f);
  if (s) s->users++, s->used = ++clock_now;
  pthread_mutex_unlock(&guard);
  return s;
}

/* Gives it back; one that met an error reads nothing more and is closed. -1 and that error. */
static int give(slide *s) {
  const char *trouble = openslide_get_error(s->os);
  int bad = trouble ? al_fail("damaged slide %s: %s", s->path, trouble) : 0;
  pthread_mutex_lock(&guard);
  if (!--s->users && trouble) {
    openslide_close(s->os);
    s->os = NULL;
  }
  pthread_mutex_unlock(&guard);
  return bad;
}

static int slide_levels(al_call *c) {
  slide *s = take(c->a[0].s);
  if (!s) return -1;
  int64_t n = openslide_get_level_count(s->os), shape[] = {n < 0 ? 0 : n, 3};
  al_tensor *y = al_empty(AL_FLOAT64, 2, shape);
  for (int32_t k = 0; y && k < n; k++) {
    int64_t w = 0, h = 0;
    openslide_get_level_dimensions(s->os, k, &w, &h);
    al_set(y, 3 * k, (double)h);
    al_set(y, 3 * k + 1, (double)w);
    al_set(y, 3 * k + 2, openslide_get_level_downsample(s->os, k));
  }
  return give(s) ? -1 : al_ret(c, y);
}
AL_OP(slide_levels, .sig = "path:str -> T",
      .doc = "Of each level of a whole slide: height, width, and how much smaller it is than "
             "the first.",
      .forward = slide_levels, .flags = AL_F_NODIFF, .sample = "{'spec/data/slide.tif'}");

static int slide_properties(al_call *c) {
  slide *s = take(c->a[0].s);
  if (!s) return -1;
  const char *const *names = openslide_get_property_names(s->os);
  int64_t n = 0;
  al_tensor *y = NULL;
  for (int fill = 0; fill < 2; fill++) { /* count, then copy */
    char *to = fill ? al_data(y) : NULL;
    for (int k = 0; names && names[k]; k++) {
      const char *parts[] = {names[k], openslide_get_property_value(s->os, names[k])};
      for (int i = 0; i < 2; i++) {
        size_t size = parts[i] ? strlen(parts[i]) + 1 : 1;
        if (!fill) n += (int64_t)size;
        else if (parts[i]) memcpy(to, parts[i], size), to += size;
        else *to++ = 0;
      }
    }
    if (!fill && !(y = al_empty(AL_UINT8, 1, &n))) break;
  }
  return give(s) ? -1 : al_ret(c, y);
}
AL_OP(slide_properties, .sig = "path:str -> T",
      .doc = "The properties of a whole slide as bytes (uint8): name, 0, value, 0, ...",
      .forward = slide_properties, .flags = AL_F_NODIFF, .sample = "{'spec/data/slide.tif'}");

static int slide_read(al_call *c) {
  int64_t level = c->a[1].i, y0 = c->a[2].i, x0 = c->a[3].i, h = c->a[4].i, w = c->a[5].i;
  if (h < 1 || w < 1 || h > INT32_MAX || w > INT32_MAX || h * w > INT64_C(1000000000))
    return al_fail("a region of %lld x %lld is impossible", (long long)h, (long long)w);
  slide *s = take(c->a[0].s);
  if (!s) return -1;
  int64_t shape[] = {3, h, w};
  uint32_t *argb = NULL;
  al_tensor *y = NULL;
  int bad = 0;
  if (level < 1 || level > openslide_get_level_count(s->os))
    bad = al_fail("%s has %d levels, none numbered %lld", s->path,
                  (int)openslide_get_level_count(s->os), (long long)level);
  if (!bad) argb = al_malloc((size_t)(h * w) * sizeof *argb);
  if (argb) y = al_empty(AL_UINT8, 3, shape);
  if (y) openslide_read_region(s->os, argb, x0, y0, (int32_t)level - 1, w, h);
  bad = give(s) || bad;
  if (y && !bad) {
    /* colours are multiplied by their opacity: the rest is white, as the glass */
    uint8_t *to = al_data(y);
    for (int64_t i = 0; i < h * w; i++) {
      uint32_t v = argb[i], white = 255 - (v >> 24);
      for (int k = 0; k < 3; k++) {
        uint32_t sum = (v >> (16 - 8 * k) & 255) + white;
        to[k * h * w + i] = (uint8_t)(sum < 255 ? sum : 255);
      }
    }
  }
  al_free(argb);
  return bad ? -1 : al_ret(c, y);
}
AL_OP(slide_read, .sig = "path:str level:int y:int x:int h:int w:int -> T",
      .doc =
          "A region of a whole slide, 3 x h x w uint8, white beyond the scan: h x w pixels of "
          "the level (from 1), whose corner lies at (y, x) from 0 in the first level's.",
      .forward = slide_read, .flags = AL_F_NODIFF,
      .sample = "{'spec/data/slide.tif', 1, 3, 5, 4, 6}");
