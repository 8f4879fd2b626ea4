// Pooling against the definition. Maxima are exact; averages are summed in double.
#include "../../csrc/kernel/pool.h"
#include "kernel_check.h"

static int64_t volume(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

// Element of the plane that tap t of output o reads, or -1 outside.
static int64_t element(const al_pool *p, int64_t o, int64_t t) {
  int64_t at[3] = {o / p->out[2] / p->out[1], o / p->out[2] % p->out[1], o % p->out[2]};
  int64_t tap[3] = {t / p->ker[2] / p->ker[1], t / p->ker[2] % p->ker[1], t % p->ker[2]};
  int64_t index = 0;
  for (int i = 0; i < 3; i++) {
    int64_t u = at[i] * p->stride[i] + tap[i] * p->dil[i] - p->pad[i];
    if (u < 0 || u >= p->in[i]) return -1;
    index = index * p->in[i] + u;
  }
  return index;
}

// Whether tap t of output o lies in x padded by pad on both sides.
static bool in_padding(const al_pool *p, int64_t o, int64_t t) {
  int64_t at[3] = {o / p->out[2] / p->out[1], o / p->out[2] % p->out[1], o % p->out[2]};
  int64_t tap[3] = {t / p->ker[2] / p->ker[1], t / p->ker[2] % p->ker[1], t % p->ker[2]};
  for (int i = 0; i < 3; i++) {
    int64_t u = at[i] * p->stride[i] + tap[i] * p->dil[i] - p->pad[i];
    if (u < -p->pad[i] || u >= p->in[i] + p->pad[i]) return false;
  }
  return true;
}

#define TEST_TYPE(type, suffix, limit)                                                        \
  static void test##suffix(const al_pool *p, bool nans, const al_pool_kernels *kernels,       \
                           const char *build) {                                               \
    int64_t in = volume(p->in), out = volume(p->out), nx = p->planes * in,                    \
            ny = p->planes * out;                                                             \
    RANDOM_ARRAY(type, x, nx);                                                                \
    RANDOM_ARRAY(type, gy, ny);                                                               \
    for (int64_t i = 0; i < nx; i++) x[i] = (type)(floor(x[i] * 20) / 8); /* with equals */   \
    if (nans)                                                                                 \
      for (int i = 0; i < 3; i++) x[pick(0, nx - 1)] = (type)(i ? NAN : -INFINITY);           \
    type *y = malloc((size_t)ny * sizeof *y), *gx = malloc((size_t)nx * sizeof *gx);          \
    type *y2 = malloc((size_t)ny * sizeof *y);                                                \
    int32_t *at = malloc((size_t)ny * sizeof *at);                                            \
    double *want = calloc((size_t)nx, sizeof *want);                                          \
    omp_set_num_threads((int)pick(1, 3));                                                     \
    kernels->max_forward##suffix(p, x, y, at);                                                \
    kernels->max_forward##suffix(p, x, y2, NULL);                                             \
    kernels->max_backward##suffix(p, gy, at, gx);                                             \
    int wrong = memcmp(y, y2, (size_t)ny * sizeof *y) != 0;                                   \
    for (int64_t q = 0; q < ny; q++) {                                                        \
      int64_t best = -1;                                                                      \
      const type *s = x + q / out * in;                                                       \
      for (int64_t t = 0; t < volume(p->ker); t++) {                                          \
        int64_t u = element(p, q % out, t);                                                   \
        if (u >= 0 && (best < 0 || s[u] > s[best] || (isnan(s[u]) && !isnan(s[best]))))       \
          best = u;                                                                           \
      }                                                                                       \
      type v = best < 0 ? -(type)INFINITY : s[best];                                          \
      wrong += at[q] != best || !(y[q] == v || (isnan(y[q]) && isnan(v)));                    \
      if (best >= 0) want[q / out * in + best] += gy[q];                                      \
    }                                                                                         \
    check(!wrong, "max_forward" #suffix " %s: %d wrong " SHAPE, build, wrong, SHAPE_OF(p));   \
    double worst = 0;                                                                         \
    for (int64_t i = 0; i < nx; i++) worst = fmax(worst, fabs(want[i] - (double)gx[i]));      \
    check(worst <= 10 * limit, "max_backward" #suffix " %s: %g " SHAPE, build, worst,         \
          SHAPE_OF(p));                                                                       \
    for (int64_t i = 0; i < nx; i++) x[i] = (type)uniform(), want[i] = 0;                     \
    kernels->avg_forward##suffix(p, x, y);                                                    \
    kernels->avg_backward##suffix(p, gy, gx);                                                 \
    worst = 0;                                                                                \
    for (int64_t q = 0; q < ny; q++) {                                                        \
      double sum = 0, count = 0;                                                              \
      for (int64_t t = 0; t < volume(p->ker); t++) {                                          \
        int64_t u = element(p, q % out, t);                                                   \
        count += p->count_include_pad ? in_padding(p, q % out, t) : u >= 0;                   \
        if (u >= 0) sum += x[q / out * in + u];                                               \
      }                                                                                       \
      worst = fmax(worst, fabs((count > 0 ? sum / count : 0) - (double)y[q]));                \
      for (int64_t t = 0; t < volume(p->ker); t++) {                                          \
        int64_t u = element(p, q % out, t);                                                   \
        if (u >= 0) want[q / out * in + u] += gy[q] / count;                                  \
      }                                                                                       \
    }                                                                                         \
    check(worst <= limit, "avg_forward" #suffix " %s: %g " SHAPE, build, worst, SHAPE_OF(p)); \
    worst = 0;                                                                                \
    for (int64_t i = 0; i < nx; i++) worst = fmax(worst, fabs(want[i] - (double)gx[i]));      \
    check(worst <= 10 * limit, "avg_backward" #suffix " %s: %g " SHAPE, build, worst,         \
          SHAPE_OF(p));                                                                       \
    free(x), free(gy), free(y), free(y2), free(gx), free(at), free(want);                     \
  }

#define L(v) (long long)(v)
#define SHAPE                                                                                  \
  "planes %lld in %lldx%lldx%lld out %lldx%lldx%lld ker %lldx%lldx%lld stride %lld,%lld,%lld " \
  "dil %lld,%lld,%lld pad %lld,%lld,%lld count_include_pad %d"
#define TRIPLE(v) L((v)[0]), L((v)[1]), L((v)[2])
#define SHAPE_OF(p)                                                               \
  L(p->planes), TRIPLE(p->in), TRIPLE(p->out), TRIPLE(p->ker), TRIPLE(p->stride), \
      TRIPLE(p->dil), TRIPLE(p->pad), p->count_include_pad

TEST_TYPE(float, _f32, 1e-6)
TEST_TYPE(double, _f64, 1e-14)

static al_pool random_pool(void) {
  al_pool p;
  int dims = (int)pick(1, 3), kind = (int)pick(0, 3);
  p.planes = pick(1, 5);
  p.count_include_pad = pick(0, 1);
  bool ceil_mode = pick(0, 1);
  for (int i = 0; i < 3;) {
    bool used = i >= 3 - dims;
    p.in[i] = used ? pick(1, dims == 1 ? 90 : dims == 2 ? 40 : 9) : 1;
    p.ker[i] = !used ? 1 : kind == 0 ? 2 : kind == 1 ? 3 : pick(1, 4);
    p.stride[i] = !used ? 1 : kind < 2 ? 2 : pick(1, 3);
    p.dil[i] = used && kind == 3 ? pick(1, 2) : 1;
    p.pad[i] = used ? pick(0, p.ker[i] / 2) : 0;
    int64_t room = p.in[i] + 2 * p.pad[i] - p.dil[i] * (p.ker[i] - 1) - 1;
    if (room < 0) continue;
    p.out[i] = (room + (ceil_mode ? p.stride[i] - 1 : 0)) / p.stride[i] + 1;
    if ((p.out[i] - 1) * p.stride[i] >= p.in[i] + p.pad[i])
      p.out[i]--; // the last window starts inside
    i++;
  }
  return p;
}

static void test_faults(const al_pool_kernels *kernels, const char *build) {
  al_pool p = {.planes = 1,
               .in = {1, 6, 6},
               .out = {1, 3, 3},
               .ker = {1, 2, 2},
               .stride = {1, 2, 2},
               .dil = {1, 1, 1}};
  float x[36] = {0}, y[9];
  SWEEP_FAULTS(kernels->max_forward_f32(&p, x, y, NULL), "max %s", build);
  SWEEP_FAULTS(kernels->avg_forward_f32(&p, x, y), "avg %s", build);
  SWEEP_FAULTS(kernels->avg_backward_f32(&p, y, x), "avg backward %s", build);
}

int main(int argc, char **argv) {
  struct {
    const char *name;
    const al_pool_kernels *kernels;
    al_isa_level level;
  } builds[] = BUILDS(al_pool);
  int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS(80);
  for (size_t b = 0; b < sizeof builds / sizeof *builds; b++) {
    if (builds[b].level > al_isa()) continue;
    test_faults(builds[b].kernels, builds[b].name);
    for (int i = 0; i < rounds; i++) {
      al_pool p = random_pool();
      test_f32(&p, pick(0, 3) == 0, builds[b].kernels, builds[b].name);
      test_f64(&p, pick(0, 3) == 0, builds[b].kernels, builds[b].name);
    }
  }
  return report();
}
