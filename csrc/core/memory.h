/* memory.h: the block cache; its functions are part of the public API. */
#ifndef AL_MEMORY_H
#define AL_MEMORY_H
#include "../albedo.h"

/* Bytes before a block's data that its owner may use. */
enum { AL_OWNER_ROOM = 64 };
#endif
