/* Files: whole or not at all, every failure a sentence, nothing left behind. */
#define _GNU_SOURCE
#include "check.h"
#include "io/file.h"
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_text(const char *path, const char *text) {
  return al_file_write(path, &(al_part){text, strlen(text)}, 1);
}

static int holds(const char *path, const char *text) {
  al_bytes b;
  if (al_file_read(path, 1 << 20, &b)) return 0;
  int same = b.n == strlen(text) && !memcmp(b.p ? (char *)b.p : "", text, b.n);
  al_bytes_free(&b);
  return same;
}

int main(void) {
  char dir[] = "/tmp/albedo-file-XXXXXX", path[256], link_path[256], pattern[256];
  if (!mkdtemp(dir)) return 77;
  snprintf(path, sizeof path, "%s/a", dir);
  snprintf(link_path, sizeof link_path, "%s/link", dir);
  snprintf(pattern, sizeof pattern, "%s/*", dir);

  CHECK(!write_text(path, "first") && holds(path, "first"), "%s", al_error());
  al_part parts[] = {{"ab", 2}, {NULL, 0}, {"cde", 3}};
  CHECK(!al_file_write(path, parts, 3) && holds(path, "abcde"), "%s", al_error());
  CHECK(!al_file_write(path, NULL, 0) && holds(path, ""), "an empty file: %s", al_error());

  /* a link stays one, permissions stay */
  CHECK(!write_text(path, "x") && !chmod(path, 0640) && !symlink(path, link_path), "set-up");
  CHECK(!write_text(link_path, "through"), "%s", al_error());
  struct stat st;
  CHECK(!lstat(link_path, &st) && S_ISLNK(st.st_mode), "the link was replaced");
  CHECK(!stat(path, &st) && (st.st_mode & 07777) == 0640, "mode %o",
        (unsigned)st.st_mode & 07777u);
  CHECK(holds(path, "through"), "the target was not written");

  /* failures */
  CHECK(write_text("/dev/full", "x") && strstr(al_error(), "No space left"), "%s", al_error());
  CHECK(write_text("/nowhere/at/all", "x") && strstr(al_error(), "/nowhere/at/all"), "%s",
        al_error());
  CHECK(write_text(dir, "x") && strstr(al_error(), "directory"), "%s", al_error());
  CHECK(!write_text("/dev/null", "x"), "%s", al_error());
  al_bytes b;
  CHECK(al_file_read("/nowhere", 10, &b) && !b.p && strstr(al_error(), "No such file"), "%s",
        al_error());
  CHECK(al_file_read(dir, 10, &b) && strstr(al_error(), "directory"), "%s", al_error());
  CHECK(al_file_read("/dev/zero", 10, &b) && strstr(al_error(), "regular"), "%s", al_error());
  CHECK(al_file_read(path, 3, &b) && strstr(al_error(), "limit"), "%s", al_error());

  char part[4] = "";
  CHECK(!al_file_read_at(path, 2, part, 3) && !memcmp(part, "rou", 3), "got %.3s", part);
  CHECK(al_file_read_at(path, 5, part, 3) && al_file_read_at(path, -1, part, 1),
        "past the end");
  CHECK(al_file_read_at(path, INT64_MAX, part, 1), "far past the end");
  CHECK(!al_file_read_at(path, 7, part, 0), "nothing, at the end: %s", al_error());

  /* no temporary file is left, no block lives */
  glob_t found;
  CHECK(!glob(pattern, 0, NULL, &found) && found.gl_pathc == 2, "%zu files", found.gl_pathc);
  globfree(&found);
  CHECK(al_memory().live == 0, "%lld bytes live", (long long)al_memory().live);

  /* bytes that grow, and allocations that fail */
  b = (al_bytes){0};
  for (int i = 0; i < 100000; i++)
    if (al_bytes_add(&b, "0123456789", 10)) break;
  CHECK(b.n == 1000000 && !memcmp(b.p + 999990, "0123456789", 10), "%zu bytes", b.n);
  al_fault_after(1, 1);
  CHECK(al_bytes_room(&b, 2000000) && b.n == 1000000, "a failed growth keeps what there was");
  al_fault_after(1, 1);
  al_bytes c;
  CHECK(al_file_read(path, 100, &c) && !c.p, "reading without memory");
  al_fault_after(0, 0);
  al_bytes_free(&b);
  CHECK(al_memory().live == 0, "%lld bytes live", (long long)al_memory().live);

  unlink(link_path);
  unlink(path);
  rmdir(dir);
  return check_done();
}
