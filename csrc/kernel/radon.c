/* radon.c: back-projection along a row; see radon.h. */
#include "radon.h"
#include "kernel.h"

static void smear(double *restrict row, const double *restrict line, int64_t x0, int64_t x1,
                  double m, double step, double offset, double middle) {
  int64_t x = x0;
#if AL_BYTES == 64
  /* As |step| <= 1, the entries of eight neighbours lie within ten: two loads and a permutation
   * each, a quarter of a gather's time. */
  const al_vd lane = {0, 1, 2, 3, 4, 5, 6, 7};
  for (; x + 8 <= x1; x += 8) {
    al_vd d = (lane + (double)x - m) * step - offset + middle;
    al_vl i = __builtin_convertvector(d, al_vl);
    al_vd f = d - __builtin_convertvector(i, al_vd);
    const double *at = line + (step < 0 ? i[7] : i[0]);
    al_vd low = *(const al_vdu *)at, high = *(const al_vdu *)(at + 8);
    i -= step < 0 ? i[7] : i[0];
    al_vd u = __builtin_shuffle(low, high, i), v = __builtin_shuffle(low, high, i + 1);
    *(al_vdu *)(row + x) += u + f * (v - u);
  }
#endif
  for (; x < x1; x++) {
    double d = ((double)x - m) * step - offset + middle;
    int32_t i = (int32_t)d;
    double f = d - (double)i;
    row[x] += line[i] + f * (line[i + 1] - line[i]);
  }
}

const al_radon_kernels AL_K(al_radon) = {smear};
