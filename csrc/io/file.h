/* file.h: whole files in and out, and a buffer that grows. */
#ifndef AL_FILE_H
#define AL_FILE_H
#include "../albedo.h"

/* Bytes being gathered. Empty is {0}; al_bytes_free when done. */
typedef struct al_bytes {
  uint8_t *p;
  size_t n, cap;
} al_bytes;
int al_bytes_add(al_bytes *b, const void *data,
                 size_t n);               /* -1 and an error when there is no memory */
int al_bytes_room(al_bytes *b, size_t n); /* at least n bytes beyond b->n */
void al_bytes_free(al_bytes *b);

/* Reads all of `path`; more than `limit` bytes is an error. On failure b is empty. */
int al_file_read(const char *path, size_t limit, al_bytes *b);

/* Reads `size` bytes at `offset` into p; a shorter file is an error. */
int al_file_read_at(const char *path, int64_t offset, void *p, size_t size);

/* A part of a file in memory, copied page by page when it is written to: the file stays as it
 * is. al_map_free when done. Reading a page that the file has lost since is a bus error. */
typedef struct al_map {
  void *data, *base;
  size_t length;
} al_map;
al_map *al_file_map(const char *path, int64_t offset, size_t size);
void al_map_free(void *map);

typedef struct al_part {
  const void *data;
  size_t size;
} al_part;
/* Writes the parts, one after another, so that `path` holds all of them or what it held before:
 * into a temporary file beside it, synced, then renamed. Devices and pipes are written to
 * directly. */
int al_file_write(const char *path, const al_part *parts, int n);
#endif
