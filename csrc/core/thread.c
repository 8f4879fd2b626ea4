/* thread.c: parallel loops. Pieces depend on the problem only, never on the number of threads.
 */
#include "internal.h"
#include <omp.h>

int al_threads(void) { return omp_get_max_threads(); }
void al_set_threads(int n) { omp_set_num_threads(n < 1 ? 1 : n); }

enum { WORTH = 1 << 17 }; /* operations for which waking other threads pays */

int al_team_begin(int64_t operations) {
  int former = omp_get_max_threads();
  if (operations < WORTH) omp_set_num_threads(1);
  return former;
}

int al_team_end(int former, int result) {
  omp_set_num_threads(former);
  return result;
}

void al_parallel(int64_t n, int64_t grain, void (*fn)(int64_t, int64_t, void *),
                 void *context) {
  if (grain < 1) grain = 1;
  int64_t pieces = (n + grain - 1) / grain;
  if (pieces <= 1 || omp_get_max_threads() == 1 || omp_in_parallel()) {
    for (int64_t p = 0; p < pieces; p++) {
      int64_t end = (p + 1) * grain;
      fn(p * grain, end < n ? end : n, context);
    }
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < pieces; p++) {
    int64_t end = (p + 1) * grain;
    fn(p * grain, end < n ? end : n, context);
  }
}
