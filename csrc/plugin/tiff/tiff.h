/* tiff.h: the TIFF plugin's parts. A stack is P x C x H x W, one page C x H x W. */
#ifndef AL_TIFF_H
#define AL_TIFF_H
#include "../../io/file.h"
#include "../../op/op.h"
#include <tiffio.h>

/* libtiff's first complaint about a file; its warnings are dropped. */
typedef struct al_tiff_trouble {
  char text[400];
} al_tiff_trouble;

/* Options that send complaints to `trouble` and bound each of libtiff's allocations; the caller
 * frees them by TIFFOpenOptionsFree. */
TIFFOpenOptions *al_tiff_options(al_tiff_trouble *trouble, int64_t bytes);

/* What is wrong with the directories when they claim more than the file has bytes; or NULL. */
const char *al_tiff_check(int fd, int64_t size);
#endif
