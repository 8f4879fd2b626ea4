/* The C tests' harness: CHECK in main, end with `return check_done();`. No state outside this
 * file. */
#ifndef SPEC_CHECK_H
#define SPEC_CHECK_H
#include <math.h>
#include <stdio.h>

static int check_passed, check_failed;

/* CHECK(condition, "what %d", n): counts, and says where and what when it does not hold */
#define CHECK(cond, ...)                                \
  do {                                                  \
    if (cond) {                                         \
      check_passed++;                                   \
    } else {                                            \
      check_failed++;                                   \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #cond); \
      printf(__VA_ARGS__);                              \
      printf("\n");                                     \
    }                                                   \
  } while (0)

/* |got - want| <= tol * max(1, |want|); NaN equals NaN only */
static inline int check_near(double got, double want, double tol) {
  if (isnan(want)) return isnan(got);
  if (isinf(want)) return got == want;
  return fabs(got - want) <= tol * fmax(1.0, fabs(want));
}

static inline int check_done(void) {
  printf("%d passed, %d failed\n", check_passed, check_failed);
  return check_failed > 0 || check_passed == 0;
}
#endif
