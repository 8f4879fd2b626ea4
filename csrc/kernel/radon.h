/* radon.h: a line of a sinogram added along a row of a picture. */
#ifndef AL_KERNEL_RADON_H
#define AL_KERNEL_RADON_H
#include "../core/isa.h"
#include <stdint.h>

enum { AL_RADON_PAD = 16 }; /* entries that can be read after a line's last */

typedef struct al_radon_kernels {
  /* row[x] += line at (x - m) step - offset + middle, linear between entries, for x0 <= x < x1;
   * all those places lie in [0, length - 1], and |step| <= 1 */
  void (*smear)(double *row, const double *line, int64_t x0, int64_t x1, double m, double step,
                double offset, double middle);
} al_radon_kernels;
AL_DECLARE_TABLE(al_radon_kernels, al_radon);
#endif
