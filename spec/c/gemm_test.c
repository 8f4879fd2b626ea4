// Matrix products against the definition, summed in double.
#include "../../csrc/kernel/gemm.h"
#include "kernel_check.h"

#define TEST_TYPE(type, suffix, limit)                                                      \
  static void test##suffix(int64_t m, int64_t n, int64_t k, const al_gemm_kernels *kernels, \
                           const char *build) {                                             \
    bool ta = pick(0, 1), tb = pick(0, 1);                                                  \
    int64_t lda = (ta ? m : k) + pick(0, 3), ldb = (tb ? k : n) + pick(0, 3),               \
            ldc = n + pick(0, 3);                                                           \
    type alpha = pick(0, 2) ? 1 : (type)uniform(), beta = pick(0, 1) ? 0 : (type)uniform(); \
    int64_t na = (ta ? k : m) * lda, nb = (tb ? n : k) * ldb, nc = m * ldc;                 \
    RANDOM_ARRAY(type, a, na);                                                              \
    RANDOM_ARRAY(type, b, nb);                                                              \
    RANDOM_ARRAY(type, c, nc);                                                              \
    if (beta == 0)                                                                          \
      for (int64_t i = 0; i < nc; i++) c[i] = (type)NAN; /* beta = 0 must not read C */     \
    type *got[3];                                                                           \
    for (int r = 0; r < 3; r++) {                                                           \
      omp_set_num_threads(r ? 3 : 1);                                                       \
      got[r] = malloc((size_t)nc * sizeof(type) + 1);                                       \
      memcpy(got[r], c, (size_t)nc * sizeof(type));                                         \
      int bad = (r == 2 ? kernels->single##suffix : kernels->PLAIN##suffix)(                \
          ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, got[r], ldc);                       \
      check(!bad, "gemm returned %d", bad);                                                 \
    }                                                                                       \
    double worst = 0;                                                                       \
    for (int64_t i = 0; i < m; i++)                                                         \
      for (int64_t j = 0; j < n; j++) {                                                     \
        double want = beta == 0 ? 0 : (double)beta * c[i * ldc + j], size = fabs(want);     \
        for (int64_t x = 0; x < k; x++) {                                                   \
          double v = (double)alpha * a[ta ? x * lda + i : i * lda + x] *                    \
                     b[tb ? j * ldb + x : x * ldb + j];                                     \
          want += v, size += fabs(v);                                                       \
        }                                                                                   \
        double e = fabs(want - (double)got[0][i * ldc + j]) / (size + 1e-30);               \
        if (!(e <= worst)) worst = e;                                                       \
      }                                                                                     \
    check(worst <= limit, #suffix " %s m%d n%d k%d ta%d tb%d alpha %g beta %g: error %g",   \
          build, (int)m, (int)n, (int)k, ta, tb, (double)alpha, (double)beta, worst);       \
    for (int r = 1; r < 3; r++)                                                             \
      for (int64_t i = 0; i < m; i++)                                                       \
        check(!memcmp(got[0] + i * ldc, got[r] + i * ldc, (size_t)n * sizeof(type)),        \
              #suffix " %s m%d n%d k%d: bits depend on threads", build, (int)m, (int)n,     \
              (int)k);                                                                      \
    free(a), free(b), free(c), free(got[0]), free(got[1]), free(got[2]);                    \
  }

#define PLAIN_f32 f32
#define PLAIN_f64 f64
TEST_TYPE(float, _f32, 2e-6)
TEST_TYPE(double, _f64, 4e-15)

static void test_faults(const al_gemm_kernels *kernels, const char *build) {
  RANDOM_ARRAY(float, a, 60 * 60);
  RANDOM_ARRAY(float, c, 60 * 60);
  SWEEP_FAULTS(kernels->f32(false, false, 60, 60, 60, 1, a, 60, a, 60, 0, c, 60), "%s", build);
  free(a), free(c);
}

int main(int argc, char **argv) {
  struct {
    const char *name;
    const al_gemm_kernels *kernels;
    al_isa_level level;
  } builds[] = BUILDS(al_gemm);
  int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS(150);
  static const int64_t fixed[][3] = {{1, 1, 1},   {1, 200, 300}, {200, 1, 300}, {3, 5, 0},
                                     {0, 4, 4},   {300, 50, 70}, {64, 900, 40}, {97, 101, 600},
                                     {2, 700, 2}, {250, 800, 3}, {48, 48, 48},  {1, 5, 2000}};
  for (size_t b = 0; b < sizeof builds / sizeof *builds; b++) {
    if (builds[b].level > al_isa()) continue;
    test_faults(builds[b].kernels, builds[b].name);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
      for (int r = 0; r < 4; r++) {
        test_f32(fixed[i][0], fixed[i][1], fixed[i][2], builds[b].kernels, builds[b].name);
        test_f64(fixed[i][0], fixed[i][1], fixed[i][2], builds[b].kernels, builds[b].name);
      }
    for (int i = 0; i < rounds; i++) {
      test_f32(pick(1, 60), pick(1, 80), pick(1, 90), builds[b].kernels, builds[b].name);
      test_f64(pick(1, 60), pick(1, 80), pick(1, 90), builds[b].kernels, builds[b].name);
    }
  }
  return report();
}
