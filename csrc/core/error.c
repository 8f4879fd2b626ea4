/* error.c: one message a thread. The kernel never prints, aborts or jumps: it fails with a sentence. */
#include "internal.h"
#include <stdarg.h>
#include <stdio.h>

_Thread_local al_context al_here;

static void set_message(const char *format, va_list ap) {
  vsnprintf(al_here.error, sizeof al_here.error, format, ap);
  al_here.described = false;
}

int al_fail(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  set_message(format, ap);
  va_end(ap);
  return -1;
}

void *al_null(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  set_message(format, ap);
  va_end(ap);
  return NULL;
}

const char *al_error(void) { return al_here.error[0] ? al_here.error : "unknown failure"; }

void al_error_clear(void) {
  al_here.error[0] = 0;
  al_here.described = al_here.no_memory = false;
}

bool al_out_of_memory(void) { return al_here.no_memory; }
