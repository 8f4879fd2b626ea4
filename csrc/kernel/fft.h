/* fft.h: discrete Fourier transforms of many lines at once; see op/fft.c. */
#ifndef AL_KERNEL_FFT_H
#define AL_KERNEL_FFT_H
#include "../core/isa.h"
#include <stdint.h>

enum { AL_FFT_LONGEST = 1024, AL_FFT_RADIX = 13 };

typedef struct al_fft {
  int64_t n; /* the length, at most AL_FFT_LONGEST */
  int passes, radix[12];
  const double *w; /* n pairs: cos and -sin of 2 pi j / n */
} al_fft;

typedef struct al_fft_kernels {
  /* Lines [first, last) of z (outer, n, inner) pairs in place; line l is (l / inner, l %
   * inner). */
  void (*lines)(const al_fft *, double *z, int64_t inner, int64_t first, int64_t last);
} al_fft_kernels;
AL_DECLARE_TABLE(al_fft_kernels, al_fft);
#endif
