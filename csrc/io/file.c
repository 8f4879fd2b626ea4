/* file.c: whole files in and out. Every failure says which file, what was tried, and why. */
#define _GNU_SOURCE
#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int al_bytes_room(al_bytes *b, size_t n) {
  if (n <= b->cap - b->n) return 0;
  size_t cap = b->cap < 2048 ? 4096 : 2 * b->cap;
  if (cap - b->n < n) cap = b->n + n; /* what is asked for at once is not doubled */
  uint8_t *p = al_alloc(cap);
  if (!p) return -1;
  if (b->n) memcpy(p, b->p, b->n);
  al_release(b->p);
  b->p = p;
  b->cap = cap;
  return 0;
}

int al_bytes_add(al_bytes *b, const void *data, size_t n) {
  if (al_bytes_room(b, n)) return -1;
  if (n) memcpy(b->p + b->n, data, n);
  b->n += n;
  return 0;
}

void al_bytes_free(al_bytes *b) {
  al_release(b->p);
  *b = (al_bytes){0};
}

static int fail_errno(const char *what, const char *path) {
  return al_fail("cannot %s %s: %s", what, path, strerror(errno));
}

/* A regular file opened for reading and its size; -1 and an error otherwise. */
static int open_regular(const char *path, int64_t *size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us */
  if (fd < 0) return fail_errno("open", path);
  struct stat st;
  if (fstat(fd, &st)) {
    fail_errno("open", path);
  } else if (!S_ISREG(st.st_mode)) {
    al_fail("cannot read %s: %s", path,
            S_ISDIR(st.st_mode) ? "it is a directory" : "not a regular file");
  } else {
    *size = (int64_t)st.st_size;
    return fd;
  }
  close(fd);
  return -1;
}

static int read_exactly(int fd, const char *path, int64_t offset, uint8_t *p, size_t size) {
  while (size) {
    ssize_t got = pread(fd, p, size < (1u << 30) ? size : (1u << 30), (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read", path);
    if (got == 0) return al_fail("%s ended %zu bytes early", path, size);
    p += got;
    offset += got;
    size -= (size_t)got;
  }
  return 0;
}

int al_file_read(const char *path, size_t limit, al_bytes *b) {
  int64_t size;
  *b = (al_bytes){0};
  int fd = open_regular(path, &size);
  if (fd < 0) return -1;
  int bad = 0;
  if ((uint64_t)size > limit)
    bad = al_fail("%s has %lld bytes, the limit is %zu", path, (long long)size, limit);
  if (!bad && size) bad = al_bytes_room(b, (size_t)size);
  if (!bad && size) bad = read_exactly(fd, path, 0, b->p, (size_t)size);
  close(fd);
  if (bad) {
    al_bytes_free(b);
    return -1;
  }
  b->n = (size_t)size;
  return 0;
}

/* A file that has `size` bytes at `offset`, opened; -1 and an error otherwise. */
static int open_part(const char *path, int64_t offset, size_t size) {
  int64_t have;
  int fd = open_regular(path, &have);
  if (fd < 0 || (offset >= 0 && offset <= have && (uint64_t)(have - offset) >= size)) return fd;
  close(fd);
  return al_fail("%s has %lld bytes, wanted %zu at %lld", path, (long long)have, size,
                 (long long)offset);
}

int al_file_read_at(const char *path, int64_t offset, void *p, size_t size) {
  int fd = open_part(path, offset, size);
  if (fd < 0) return -1;
  int bad = read_exactly(fd, path, offset, p, size);
  close(fd);
  return bad;
}

al_map *al_file_map(const char *path, int64_t offset, size_t size) {
  int fd = open_part(path, offset, size);
  al_map *m = fd < 0 ? NULL : al_malloc(sizeof *m);
  if (m) {
    size_t before = (size_t)offset % (size_t)sysconf(_SC_PAGESIZE);
    m->length = size + before;
    m->base = mmap(NULL, m->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd,
                   (off_t)(offset - (int64_t)before));
    m->data = (char *)m->base + before;
    if (m->base == MAP_FAILED) {
      fail_errno("map", path);
      al_free(m);
      m = NULL;
    }
  }
  if (fd >= 0) close(fd);
  return m;
}

void al_map_free(void *map) {
  al_map *m = map;
  munmap(m->base, m->length);
  al_free(m);
}

static int write_parts(int fd, const char *path, const al_part *parts, int n) {
  for (int i = 0; i < n; i++) {
    const char *p = parts[i].data;
    size_t left = parts[i].size;
    while (left) {
      ssize_t put = write(fd, p, left < (1u << 30) ? left : (1u << 30));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return fail_errno("write", path);
      p += put;
      left -= (size_t)put;
    }
  }
  return 0;
}

/* Closes fd; the first failure of writing, syncing or closing is the one reported. */
static int finish(int fd, const char *path, int bad, bool sync) {
  if (!bad && sync && fsync(fd)) bad = fail_errno("write", path);
  if (close(fd) && !bad) bad = fail_errno("write", path);
  return bad;
}

/* A rename outlives a power failure once its directory is synced; where the file system cannot,
 * it is not our failure. */
static void sync_folder(char *target) {
  char *slash = strrchr(target, '/');
  if (slash) slash[slash == target] = 0;
  int fd = open(slash ? target : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd);
  close(fd);
}

int al_file_write(const char *path, const al_part *parts, int n) {
  char target[PATH_MAX], temporary[PATH_MAX + 16];
  struct stat st;
  bool exists = !stat(path, &st);
  if (exists && S_ISDIR(st.st_mode)) return al_fail("cannot write %s: it is a directory", path);
  if (exists && !S_ISREG(st.st_mode)) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno("write", path);
    return finish(fd, path, write_parts(fd, path, parts, n), false);
  }
  /* a link stays a link: what it points to is replaced */
  if (!exists || !realpath(path, target)) {
    if ((size_t)snprintf(target, sizeof target, "%s", path) >= sizeof target)
      return al_fail("the path is too long");
  }
  snprintf(temporary, sizeof temporary, "%s.XXXXXX", target);
  int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0) return fail_errno("write", path);
  mode_t mask = umask(0);
  umask(mask);
  int bad = write_parts(fd, path, parts, n);
  if (!bad && fchmod(fd, exists ? st.st_mode & 07777 : 0666 & ~mask))
    bad = fail_errno("write", path);
  bad = finish(fd, path, bad, true);
  if (!bad && rename(temporary, target)) bad = fail_errno("write", path);
  if (bad) unlink(temporary);
  if (!bad) sync_folder(target);
  return bad;
}
