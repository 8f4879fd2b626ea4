// Times the convolution, matrix product and pooling kernels on the shapes of common networks:
// forward, gradient in the input, gradient in the weights; milliseconds (the least of many, as
// other programs only ever add) and effective GFLOP/s (operations of the direct convolution
// over time).
//
// usage: conv [SUBSTRING]      rows whose name contains it; OMP_NUM_THREADS and ALBEDO_ISA are
// honoured
#include <malloc.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../csrc/kernel/conv.h"
#include "../../csrc/kernel/gemm.h"
#include "../../csrc/kernel/pool.h"

__attribute__((weak)) void *al_alloc(size_t bytes) {
  return aligned_alloc(64, (bytes + 127) / 64 * 64);
}
__attribute__((weak)) void al_release(void *block) { free(block); }

// With one thread the processor's time, which other programs do not disturb; else the wall
// clock's.
static double now(void) {
  struct timespec t;
  clock_gettime(omp_get_max_threads() > 1 ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int up(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Sets `result` to the least milliseconds of a statement.
#define TIME(result, ...)                                      \
  do {                                                         \
    double took[41], since = now();                            \
    int count = -2;                                            \
    while (count < 5 || (count < 40 && now() - since < 400)) { \
      double t_ = now();                                       \
      __VA_ARGS__;                                             \
      if (count++ >= 0) took[count - 1] = now() - t_;          \
    }                                                          \
    qsort(took, (size_t)count, sizeof *took, up);              \
    result = took[0];                                          \
  } while (0)

static float *array(int64_t n) {
  float *a = al_alloc((size_t)n * sizeof *a);
  uint32_t s = 12345;
  for (int64_t i = 0; i < n; i++)
    a[i] = (float)((s = s * 1664525u + 1013904223u) >> 8) / 8388608.f - 1.f;
  return a;
}

static int64_t volume(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

static const char *filter = "";

static void conv(int64_t n, int64_t c, int64_t side, int64_t k, int64_t ker, int64_t stride,
                 int64_t groups, int dims) {
  int64_t pad = stride == ker ? 0 : ker / 2, out = (side + 2 * pad - ker) / stride + 1;
  al_conv cv = {.n = n, .c = c, .k = k, .groups = groups};
  for (int i = 0; i < 3; i++) {
    bool used = i >= 3 - dims;
    cv.in[i] = used ? side : 1, cv.out[i] = used ? out : 1, cv.ker[i] = used ? ker : 1;
    cv.stride[i] = used ? stride : 1, cv.dil[i] = 1, cv.pad[i] = used ? pad : 0;
  }
  char name[120];
  snprintf(name, sizeof name, "conv%dd n%d c%d s%d k%d %dx%d stride%d%s", dims, (int)n, (int)c,
           (int)side, (int)k, (int)ker, (int)ker, (int)stride, groups > 1 ? " depthwise" : "");
  if (!strstr(name, filter)) return;
  const al_conv_kernels *f = &AL_SELECT(al_conv);
  int64_t nx = n * c * volume(cv.in), ny = n * k * volume(cv.out),
          nw = k * c / groups * volume(cv.ker);
  float *x = array(nx), *y = array(ny), *w = array(nw), *gx = array(nx), *gw = array(nw),
        *gy = array(ny);
  double ops = 2e-6 * (double)ny * (double)(c / groups * volume(cv.ker)), t[3];
  TIME(t[0], f->forward_f32(&cv, x, w, NULL, y));
  TIME(t[1], f->grad_input_f32(&cv, gy, w, gx));
  TIME(t[2], f->grad_weight_f32(&cv, x, gy, gw));
  printf("%-46s %8.2f %8.2f %8.2f ms  %5.0f %5.0f %5.0f GFLOP/s  all %.1f ms\n", name, t[0],
         t[1], t[2], ops / t[0], ops / t[1], ops / t[2], t[0] + t[1] + t[2]);
  fflush(stdout);
  al_release(x), al_release(y), al_release(w), al_release(gx), al_release(gw), al_release(gy);
}

static void matmul(int64_t m, int64_t k, int64_t n) {
  char name[120];
  snprintf(name, sizeof name, "matmul %dx%dx%d", (int)m, (int)k, (int)n);
  if (!strstr(name, filter)) return;
  float *a = array(m * k), *b = array(k * n), *c = array(m * n);
  double ops = 2e-6 * (double)m * (double)n * (double)k, t[3];
  TIME(t[0], AL_SELECT(al_gemm).f32(false, false, m, n, k, 1, a, k, b, n, 0, c, n));
  TIME(t[1], AL_SELECT(al_gemm).f32(false, true, m, n, k, 1, a, k, b, k, 0, c, n));
  TIME(t[2], AL_SELECT(al_gemm).f32(true, false, m, n, k, 1, a, m, b, n, 0, c, n));
  printf("%-46s %8.3f %8.3f %8.3f ms  %5.0f %5.0f %5.0f GFLOP/s  (nn nt tn)\n", name, t[0],
         t[1], t[2], ops / t[0], ops / t[1], ops / t[2]);
  al_release(a), al_release(b), al_release(c);
}

static void pool(int64_t planes, int64_t side, int64_t ker, int64_t stride, int64_t pad,
                 int dims) {
  al_pool p = {.planes = planes};
  for (int i = 0; i < 3; i++) {
    bool used = i >= 3 - dims;
    p.in[i] = used ? side : 1, p.ker[i] = used ? ker : 1, p.stride[i] = used ? stride : 1,
    p.dil[i] = 1;
    p.pad[i] = used ? pad : 0, p.out[i] = (p.in[i] + 2 * p.pad[i] - p.ker[i]) / p.stride[i] + 1;
  }
  char name[120];
  snprintf(name, sizeof name, "pool%dd planes%d s%d %d/%d", dims, (int)planes, (int)side,
           (int)ker, (int)stride);
  if (!strstr(name, filter)) return;
  float *x = array(planes * volume(p.in)), *y = array(planes * volume(p.out));
  int32_t *at = al_alloc((size_t)(planes * volume(p.out)) * sizeof *at);
  double t[5];
  const al_pool_kernels *f = &AL_SELECT(al_pool);
  TIME(t[0], f->max_forward_f32(&p, x, y, NULL));
  TIME(t[1], f->max_forward_f32(&p, x, y, at));
  TIME(t[2], f->max_backward_f32(&p, y, at, x));
  TIME(t[3], f->avg_forward_f32(&p, x, y));
  TIME(t[4], f->avg_backward_f32(&p, y, x));
  printf("%-46s max %.2f, with index %.2f, backward %.2f; average %.2f, backward %.2f ms\n",
         name, t[0], t[1], t[2], t[3], t[4]);
  al_release(x), al_release(y), al_release(at);
}

int main(int argc, char **argv) {
  if (argc > 1) filter = argv[1];
  mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, 2000000000), mallopt(M_TOP_PAD, 500000000);
  printf("%s, %d threads: forward, gradient in the input, gradient in the weights\n",
         al_isa_name(), omp_get_max_threads());
  static const int rows[][8] = {
      {8, 3, 224, 64, 7, 2, 1, 2},     {8, 3, 224, 64, 3, 1, 1, 2},
      {8, 64, 56, 64, 3, 1, 1, 2},     {8, 128, 28, 128, 3, 1, 1, 2},
      {8, 256, 14, 256, 3, 1, 1, 2},   {8, 512, 7, 512, 3, 1, 1, 2},
      {4, 64, 224, 64, 3, 1, 1, 2},    {8, 128, 56, 128, 3, 2, 1, 2},
      {8, 256, 28, 256, 3, 2, 1, 2},   {8, 64, 56, 256, 1, 1, 1, 2},
      {8, 256, 56, 64, 1, 1, 1, 2},    {8, 512, 28, 128, 1, 1, 1, 2},
      {8, 256, 56, 512, 1, 2, 1, 2},   {8, 144, 56, 144, 3, 1, 144, 2},
      {8, 144, 56, 144, 3, 2, 144, 2}, {8, 576, 14, 576, 3, 1, 576, 2},
      {8, 960, 7, 960, 3, 1, 960, 2},  {64, 3, 64, 32, 3, 1, 1, 2},
      {64, 32, 32, 64, 3, 1, 1, 2},    {8, 1, 128, 32, 3, 1, 1, 2},
      {1, 1, 64, 32, 3, 1, 1, 3},      {1, 32, 64, 32, 3, 1, 1, 3},
      {1, 64, 32, 64, 3, 1, 1, 3},     {1, 128, 16, 128, 3, 1, 1, 3},
      {1, 32, 64, 64, 2, 2, 1, 3},     {8, 32, 128, 64, 2, 2, 1, 2},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    conv(rows[i][0], rows[i][1], rows[i][2], rows[i][3], rows[i][4], rows[i][5], rows[i][6],
         rows[i][7]);
  matmul(256, 256, 256), matmul(1024, 1024, 1024), matmul(2048, 2048, 2048);
  matmul(32, 1024, 1024), matmul(1, 1024, 1024), matmul(8, 512, 512);
  pool(512, 112, 2, 2, 0, 2), pool(512, 112, 3, 2, 1, 2), pool(32, 64, 2, 2, 0, 3);
  return 0;
}
