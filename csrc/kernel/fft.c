/* fft.c: Stockham's self-sorting transform, as many lines side by side as a register has lanes.
 * A pass of radix r turns x (r, m, s) into y (m, r, s), n = r m s of the passes to come:
 *   y[p][k][q] = w^(s p k) sum_j x[j][p][q] exp(-2 pi i j k / r),  w = exp(-2 pi i / n);
 * after the last, m = 1, the order is the natural one. */
#include "fft.h"

#include "kernel.h"

typedef struct pair {
  al_vd re, im;
} pair;

AL_INLINE pair add(pair a, pair b) { return (pair){a.re + b.re, a.im + b.im}; }
AL_INLINE pair sub(pair a, pair b) { return (pair){a.re - b.re, a.im - b.im}; }
AL_INLINE pair turn(pair a) { return (pair){a.im, -a.re}; } /* times -i */
AL_INLINE pair times(pair a, const double *w) {
  return (pair){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

AL_INLINE void even_radix(int r, const pair *x, int64_t step, pair *y) {
  if (r == 2) {
    y[0] = add(x[0], x[step]);
    y[1] = sub(x[0], x[step]);
    return;
  }
  pair a = add(x[0], x[2 * step]), b = sub(x[0], x[2 * step]);
  pair c = add(x[step], x[3 * step]), d = turn(sub(x[step], x[3 * step]));
  y[0] = add(a, c), y[1] = add(b, d), y[2] = sub(a, c), y[3] = sub(b, d);
}

/* Entries j and r - j share their products: y[k], y[r - k] = C -+ i S. */
AL_INLINE void odd_radix(int r, const pair *x, int64_t step, pair *y, const double *w,
                         int64_t root) {
  pair plus[AL_FFT_RADIX / 2], minus[AL_FFT_RADIX / 2], sum = x[0];
  for (int j = 1; j <= r / 2; j++) {
    pair a = x[j * step], b = x[(r - j) * step];
    plus[j - 1] = add(a, b), minus[j - 1] = sub(a, b);
    sum = add(sum, plus[j - 1]);
  }
  y[0] = sum;
  for (int k = 1; k <= r / 2; k++) {
    pair c = x[0], s = {{0}, {0}};
    for (int j = 1, at = k; j <= r / 2; j++, at = (at + k) % r) {
      double cosine = w[2 * at * root], sine = -w[2 * at * root + 1];
      c.re += cosine * plus[j - 1].re, c.im += cosine * plus[j - 1].im;
      s.re += sine * minus[j - 1].re, s.im += sine * minus[j - 1].im;
    }
    y[k] = add(c, turn(s)), y[r - k] = sub(c, turn(s));
  }
}

AL_INLINE void pass(const al_fft *f, int r, int64_t m, int64_t s, const pair *x, pair *y) {
  pair t[AL_FFT_RADIX];
  for (int64_t p = 0; p < m; p++)
    for (int64_t q = 0; q < s; q++) {
      if (r == 2 || r == 4) even_radix(r, x + p * s + q, m * s, t);
      else odd_radix(r, x + p * s + q, m * s, t, f->w, f->n / r);
      y[p * r * s + q] = t[0];
      for (int k = 1; k < r; k++) y[(p * r + k) * s + q] = times(t[k], f->w + 2 * s * p * k);
    }
}

/* The lines at z[0 .. count) through x and y. */
static void transform(const al_fft *f, double *const *z, int count, int64_t step, pair *x,
                      pair *y) {
  for (int64_t i = 0; i < f->n; i++)
    for (int v = 0; v < AL_VD; v++) {
      const double *from = z[v < count ? v : 0] + 2 * step * i;
      x[i].re[v] = from[0], x[i].im[v] = from[1];
    }
  int64_t m = f->n, s = 1;
  for (int i = 0; i < f->passes; i++) {
    int r = f->radix[i];
    m /= r;
    switch (r) {
    case 2: pass(f, 2, m, s, x, y); break;
    case 3: pass(f, 3, m, s, x, y); break;
    case 4: pass(f, 4, m, s, x, y); break;
    default: pass(f, r, m, s, x, y);
    }
    s *= r;
    pair *former = x;
    x = y, y = former;
  }
  for (int64_t i = 0; i < f->n; i++)
    for (int v = 0; v < count; v++) {
      double *to = z[v] + 2 * step * i;
      to[0] = x[i].re[v], to[1] = x[i].im[v];
    }
}

static void lines(const al_fft *f, double *z, int64_t inner, int64_t first, int64_t last) {
  pair x[AL_FFT_LONGEST], y[AL_FFT_LONGEST];
  double *at[AL_VD];
  for (int64_t l = first; l < last; l += AL_VD) {
    int count = (int)al_min(AL_VD, last - l);
    for (int v = 0; v < count; v++)
      at[v] = z + 2 * ((l + v) / inner * f->n * inner + (l + v) % inner);
    transform(f, at, count, inner, x, y);
  }
}

const al_fft_kernels AL_K(al_fft) = {lines};
