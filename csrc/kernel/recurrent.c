/* recurrent.c: the gates of recurrent cells, element by element; the compiler vectorises. */
#ifndef AL_REAL
#include "recurrent.h"
#include "vmath.h"
#define AL_REAL 32
#include "recurrent.c"
#undef AL_REAL
#define AL_REAL 64
#include "recurrent.c"
#undef AL_REAL

const al_recurrent_kernels AL_K(al_recurrent) = {
    .lstm = {lstm_f32, lstm_f64},
    .lstm_back = {lstm_back_f32, lstm_back_f64},
    .gru = {gru_f32, gru_f64},
    .gru_back = {gru_back_f32, gru_back_f64},
    .product = {product_f32, product_f64},
};

#else
#include "real.h"
#if AL_REAL == 32
#define SIGMOID vm_sigmoid_f32
#define TANH vm_tanh_f32
#else
#define SIGMOID vm_sigmoid_f64
#define TANH vm_tanh_f64
#endif

static void AL_S(sigmoids)(int64_t n, real *x) {
  for (int64_t j = 0; j < n; j++) x[j] = SIGMOID(x[j]);
}

/* c = f c + i g,  h = o tanh c (Hochreiter and Schmidhuber 1997, Gers et al. 2000) */
static void AL_S(lstm)(int64_t h, void *vgates, const void *vp, const void *vb, void *vc,
                       void *vs, void *vy) {
  real *restrict a = vgates, *restrict c = vc, *restrict s = vs, *restrict y = vy;
  const real *restrict p = vp, *restrict b = vb;
  for (int64_t j = 0; j < 4 * h; j++) a[j] += p[j] + b[j];
  AL_S(sigmoids)(2 * h, a);
  AL_S(sigmoids)(h, a + 3 * h);
  for (int64_t j = 0; j < h; j++) {
    real g = TANH(a[2 * h + j]), v = a[h + j] * c[j] + a[j] * g;
    a[2 * h + j] = g;
    c[j] = v;
    s[j] = y[j] = a[3 * h + j] * TANH(v);
  }
}

static void AL_S(lstm_back)(int64_t h, const void *vgates, const void *vc, const void *vbefore,
                            const void *vg, void *vdh, void *vdc, void *vdx) {
  const real *restrict a = vgates, *restrict c = vc, *restrict before = vbefore,
                       *restrict gy = vg;
  real *restrict dh = vdh, *restrict dc = vdc, *restrict dx = vdx;
  for (int64_t j = 0; j < h; j++) {
    real i = a[j], f = a[h + j], g = a[2 * h + j], o = a[3 * h + j], t = TANH(c[j]);
    real d = gy[j] + dh[j], e = dc[j] + d * o * (1 - t * t);
    dx[j] = e * g * i * (1 - i);
    dx[h + j] = e * before[j] * f * (1 - f);
    dx[2 * h + j] = e * i * (1 - g * g);
    dx[3 * h + j] = d * t * o * (1 - o);
    dc[j] = e * f;
    dh[j] = 0;
  }
}

/* n = tanh(x_n + r q),  h = (1 - z) n + z h (Cho et al. 2014, the reset gate after the product)
 */
static void AL_S(gru)(int64_t h, void *vgates, const void *vp, const void *vb, void *vq,
                      void *vs, void *vy) {
  real *restrict a = vgates, *restrict q = vq, *restrict s = vs, *restrict y = vy;
  const real *restrict p = vp, *restrict b = vb;
  for (int64_t j = 0; j < 2 * h; j++) a[j] += p[j] + b[j];
  AL_S(sigmoids)(2 * h, a);
  for (int64_t j = 0; j < h; j++) {
    real k = p[2 * h + j] + b[2 * h + j], n = TANH(a[2 * h + j] + a[j] * k);
    a[2 * h + j] = n;
    q[j] = k;
    s[j] = y[j] = n + a[h + j] * (s[j] - n);
  }
}

static void AL_S(gru_back)(int64_t h, const void *vgates, const void *vq, const void *vbefore,
                           const void *vg, void *vdh, void *vdx, void *vds) {
  const real *restrict a = vgates, *restrict q = vq, *restrict before = vbefore,
                       *restrict gy = vg;
  real *restrict dh = vdh, *restrict dx = vdx, *restrict ds = vds;
  for (int64_t j = 0; j < h; j++) {
    real r = a[j], z = a[h + j], n = a[2 * h + j], d = gy[j] + dh[j];
    real dn = d * (1 - z) * (1 - n * n);
    ds[j] = dx[j] = dn * q[j] * r * (1 - r);
    ds[h + j] = dx[h + j] = d * (before[j] - n) * z * (1 - z);
    dx[2 * h + j] = dn;
    ds[2 * h + j] = dn * r;
    dh[j] = d * z;
  }
}

/* `rows` rows of C, the columns of `nv` vectors, of which `left` exist. */
AL_INLINE void AL_S(tile)(const int rows, const int nv, int64_t n, int64_t k, const real *a,
                          int64_t lda, const real *b, bool add, real *c, int64_t left) {
  rvec sum[4][3] = {{{0}}};
  for (int64_t l = 0; l < k; l++) {
    rvec w[3];
    AL_UNROLL for (int v = 0; v < nv; v++) w[v] = AL_S(load)(b + l * n + v * LANES);
    AL_UNROLL for (int r = 0; r < rows; r++) {
      rvec x = AL_S(splat)(a[r * lda + l]);
      AL_UNROLL for (int v = 0; v < nv; v++) sum[r][v] += x * w[v];
    }
  }
  AL_UNROLL for (int r = 0; r < rows; r++) AL_UNROLL for (int v = 0; v < nv; v++) {
    real *to = c + r * n + v * LANES;
    int64_t m = al_min(left - v * LANES, LANES);
    rvec y = sum[r][v];
    if (add) y += m == LANES ? AL_S(load)(to) : AL_S(load_part)(to, 0, m);
    if (m == LANES) AL_S(store)(to, y);
    else AL_S(store_part)(to, m, y);
  }
}

static void AL_S(product)(int64_t m, int64_t n, int64_t k, const void *va, int64_t lda,
                          const void *vb, bool add, void *vc) {
  const real *a = va, *b = vb;
  real *c = vc;
  for (int64_t j = 0; j < n;) {
    int wide = n - j > 2 * LANES ? 3 : 1;
    int64_t i = 0;
    for (; i + 4 <= m; i += 4)
      if (wide == 3) AL_S(tile)(4, 3, n, k, a + i * lda, lda, b + j, add, c + i * n + j, n - j);
      else AL_S(tile)(4, 1, n, k, a + i * lda, lda, b + j, add, c + i * n + j, n - j);
    for (; i < m; i++)
      if (wide == 3) AL_S(tile)(1, 3, n, k, a + i * lda, lda, b + j, add, c + i * n + j, n - j);
      else AL_S(tile)(1, 1, n, k, a + i * lda, lda, b + j, add, c + i * n + j, n - j);
    j += wide * LANES;
  }
}
#undef SIGMOID
#undef TANH
#endif
