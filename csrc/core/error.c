/* error.c: one message a thread. The kernel never prints, aborts or jumps: it fails with a
 * sentence. */
#include "internal.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Thread_local al_context al_here __attribute__((tls_model("initial-exec")));

static pthread_key_t text_key;
static pthread_once_t text_once = PTHREAD_ONCE_INIT;
static void make_key(void) { pthread_key_create(&text_key, free); }

/* Not a plain thread variable: those of a loaded module must be few bytes to be reached fast.
 */
al_text *al_thread_text(void) {
  static al_text last_resort; /* shared; used only when not even 2 KB can be had */
  pthread_once(&text_once, make_key);
  al_text *t = pthread_getspecific(text_key);
  if (t) return t;
  t = calloc(1, sizeof *t);
  if (!t) return &last_resort;
  pthread_setspecific(text_key, t);
  return t;
}

static void set_message(const char *format, va_list ap) {
  vsnprintf(al_message, sizeof al_message, format, ap);
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

const char *al_error(void) { return al_message[0] ? al_message : "unknown failure"; }

void al_error_clear(void) { al_here.described = al_here.no_memory = al_here.wrote = false; }

bool al_out_of_memory(void) { return al_here.no_memory; }
