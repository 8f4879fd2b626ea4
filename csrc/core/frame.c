/* frame.c: a frame owns every tensor made while it is open, so that formulas nest without a
 * word on ownership. */
#include "internal.h"
#include <string.h>

void al_frame_open(al_frame *f) {
  f->up = al_here.frame;
  f->v = f->small;
  f->n = 0;
  f->cap = (int)(sizeof f->small / sizeof *f->small);
  al_here.frame = f;
}

void al_frame_close(al_frame *f) {
  al_here.frame = f->up;
  for (int i = f->n - 1; i >= 0; i--) al_unref(f->v[i]);
  if (f->v != f->small) al_free(f->v);
}

static int grow(al_frame *f) {
  al_tensor **v = al_malloc((size_t)f->cap * 2 * sizeof *v);
  if (!v) return -1;
  memcpy(v, f->v, (size_t)f->n * sizeof *v);
  if (f->v != f->small) al_free(f->v);
  f->v = v;
  f->cap *= 2;
  return 0;
}

al_tensor *al_adopt(al_tensor *t) {
  al_frame *f = al_here.frame;
  if (!t || !f) return t;
  if (f->n == f->cap && grow(f)) {
    al_unref(t);
    return NULL;
  }
  return f->v[f->n++] = t;
}
