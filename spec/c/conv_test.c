// Convolution kernels against the definition, summed in double: random shapes and options,
// fixed shapes that reach each algorithm, every build the machine can run, the same bits for 1
// and 3 threads.
#include "../../csrc/kernel/conv.h"
#include "kernel_check.h"

static int64_t volume(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

// Calls visit(x index, w index, y index) for every product in the convolution.
#define EACH_PRODUCT(cv, ...)                                                           \
  for (int64_t n_ = 0; n_ < cv->n; n_++)                                                \
    for (int64_t k_ = 0; k_ < cv->k; k_++)                                              \
      for (int64_t o_ = 0; o_ < volume(cv->out); o_++)                                  \
        for (int64_t c_ = 0; c_ < cv->c / cv->groups; c_++)                             \
          for (int64_t t_ = 0; t_ < volume(cv->ker); t_++) {                            \
            int64_t o[3] = {o_ / cv->out[2] / cv->out[1], o_ / cv->out[2] % cv->out[1], \
                            o_ % cv->out[2]};                                           \
            int64_t t[3] = {t_ / cv->ker[2] / cv->ker[1], t_ / cv->ker[2] % cv->ker[1], \
                            t_ % cv->ker[2]};                                           \
            int64_t u[3];                                                               \
            bool in = true;                                                             \
            for (int d_ = 0; d_ < 3; d_++) {                                            \
              u[d_] = o[d_] * cv->stride[d_] + t[d_] * cv->dil[d_] - cv->pad[d_];       \
              in = in && u[d_] >= 0 && u[d_] < cv->in[d_];                              \
            }                                                                           \
            if (!in) continue;                                                          \
            int64_t cg = cv->c / cv->groups, kg = cv->k / cv->groups;                   \
            int64_t xi = (n_ * cv->c + k_ / kg * cg + c_) * volume(cv->in) +            \
                         (u[0] * cv->in[1] + u[1]) * cv->in[2] + u[2];                  \
            int64_t wi = (k_ * cg + c_) * volume(cv->ker) + t_;                         \
            int64_t yi = (n_ * cv->k + k_) * volume(cv->out) + o_;                      \
            __VA_ARGS__                                                                 \
          }

// The largest error in units of the sum of magnitudes behind each element.
#define COMPARE(type, got, want, size, count)                         \
  for (int64_t i_ = 0; i_ < count; i_++) {                            \
    double e = fabs((double)got[i_] - want[i_]) / (size[i_] + 1e-30); \
    if (!(e <= worst)) worst = e;                                     \
  }

// Winograd's algorithm rounds more than direct sums; it serves float only, where it applies.
static double slack(const al_conv *cv) {
  bool fits =
      cv->ker[1] == 3 && cv->ker[2] == 3 && cv->c >= 16 && cv->k >= 16 && cv->groups == 1;
  return fits ? 3 : 1;
}

#define TEST_TYPE(type, suffix, limit)                                                      \
  static void test##suffix(const al_conv *cv, const al_conv_kernels *kernels,               \
                           const char *build) {                                             \
    int64_t nx = cv->n * cv->c * volume(cv->in), ny = cv->n * cv->k * volume(cv->out);      \
    int64_t nw = cv->k * (cv->c / cv->groups) * volume(cv->ker);                            \
    int64_t most = nx > ny ? nx : ny;                                                       \
    most = most > nw ? most : nw;                                                           \
    RANDOM_ARRAY(type, x, nx);                                                              \
    RANDOM_ARRAY(type, w, nw);                                                              \
    RANDOM_ARRAY(type, gy, ny);                                                             \
    RANDOM_ARRAY(type, b, cv->k);                                                           \
    double *want = malloc((size_t)most * sizeof *want),                                     \
           *size = malloc((size_t)most * sizeof *size);                                     \
    const char *names[] = {"forward", "forward without bias", "grad_input", "grad_weight"}; \
    for (int what = 0; what < 4; what++) {                                                  \
      int64_t count = what < 2 ? ny : what == 2 ? nx : nw;                                  \
      for (int64_t i = 0; i < count; i++) {                                                 \
        want[i] = what == 0 ? b[i / volume(cv->out) % cv->k] : 0;                           \
        size[i] = fabs(want[i]);                                                            \
      }                                                                                     \
      EACH_PRODUCT(cv, {                                                                    \
        double v = what < 2    ? (double)x[xi] * w[wi]                                      \
                   : what == 2 ? (double)gy[yi] * w[wi]                                     \
                               : (double)x[xi] * gy[yi];                                    \
        int64_t at = what < 2 ? yi : what == 2 ? xi : wi;                                   \
        want[at] += v, size[at] += fabs(v);                                                 \
      })                                                                                    \
      type *got[2];                                                                         \
      for (int r = 0; r < 2; r++) {                                                         \
        omp_set_num_threads(r ? 3 : 1);                                                     \
        got[r] = malloc((size_t)count * sizeof(type));                                      \
        memset(got[r], 0xff, (size_t)count * sizeof(type));                                 \
        int bad = what < 2    ? kernels->forward##suffix(cv, x, w, what ? NULL : b, got[r]) \
                  : what == 2 ? kernels->grad_input##suffix(cv, gy, w, got[r])              \
                              : kernels->grad_weight##suffix(cv, x, gy, got[r]);            \
        check(!bad, "%s returned %d", names[what], bad);                                    \
      }                                                                                     \
      double worst = 0;                                                                     \
      COMPARE(type, got[0], want, size, count)                                              \
      check(worst <= limit * slack(cv), "%s" #suffix " %s: error %g " SHAPE, names[what],   \
            build, worst, SHAPE_OF(cv));                                                    \
      check(!memcmp(got[0], got[1], (size_t)count * sizeof(type)),                          \
            "%s" #suffix " %s: bits depend on threads " SHAPE, names[what], build,          \
            SHAPE_OF(cv));                                                                  \
      free(got[0]), free(got[1]);                                                           \
    }                                                                                       \
    free(x), free(w), free(gy), free(b), free(want), free(size);                            \
  }

#define L(v) (long long)(v)
#define SHAPE                                                                        \
  "n%lld c%lld k%lld g%lld in %lldx%lldx%lld out %lldx%lldx%lld ker %lldx%lldx%lld " \
  "stride %lld,%lld,%lld dil %lld,%lld,%lld pad %lld,%lld,%lld"
#define TRIPLE(v) L((v)[0]), L((v)[1]), L((v)[2])
#define SHAPE_OF(cv)                                                            \
  L(cv->n), L(cv->c), L(cv->k), L(cv->groups), TRIPLE(cv->in), TRIPLE(cv->out), \
      TRIPLE(cv->ker), TRIPLE(cv->stride), TRIPLE(cv->dil), TRIPLE(cv->pad)

TEST_TYPE(float, _f32, 2e-6)
TEST_TYPE(double, _f64, 4e-15)

// A convolution with out derived from the rest; false when it would be empty.
static bool settle(al_conv *cv, int64_t after) {
  for (int i = 0; i < 3; i++) {
    int64_t room =
        cv->in[i] + cv->pad[i] + (cv->pad[i] ? after : 0) - cv->dil[i] * (cv->ker[i] - 1) - 1;
    cv->out[i] = room < 0 ? 0 : room / cv->stride[i] + 1;
    if (cv->out[i] < 1) return false;
  }
  return true;
}

static al_conv random_conv(void) {
  al_conv cv;
  do {
    int dims = (int)pick(1, 3);
    cv.n = pick(1, 3);
    cv.groups = pick(0, 2) ? 1 : pick(1, 4);
    cv.c = cv.groups * (pick(0, 3) ? pick(1, 9) : 1);
    cv.k = cv.groups * (pick(0, 3) ? pick(1, 20) : 1);
    for (int i = 0; i < 3; i++) {
      bool used = i >= 3 - dims;
      cv.in[i] = used ? pick(1, dims == 1 ? 60 : dims == 2 ? 20 : 8) : 1;
      cv.ker[i] = used ? pick(1, dims == 3 ? 3 : 5) : 1;
      cv.stride[i] = used ? pick(1, 3) : 1;
      cv.dil[i] = used && !pick(0, 2) ? pick(1, 3) : 1;
      cv.pad[i] = used ? pick(-1, 3) : 0;
    }
  } while (!settle(&cv, pick(-1, 2)));
  return cv;
}

static al_conv square(int64_t n, int64_t c, int64_t k, int64_t side, int64_t ker,
                      int64_t stride, int64_t pad, int64_t groups) {
  al_conv cv = {.n = n,
                .c = c,
                .k = k,
                .groups = groups,
                .in = {1, side, side},
                .ker = {1, ker, ker},
                .stride = {1, stride, stride},
                .dil = {1, 1, 1},
                .pad = {0, pad, pad}};
  settle(&cv, pad);
  return cv;
}

static al_conv cube(int64_t n, int64_t c, int64_t k, int64_t side, int64_t ker, int64_t stride,
                    int64_t pad) {
  al_conv cv = {.n = n,
                .c = c,
                .k = k,
                .groups = 1,
                .in = {side, side, side},
                .ker = {ker, ker, ker},
                .stride = {stride, stride, stride},
                .dil = {1, 1, 1},
                .pad = {pad, pad, pad}};
  settle(&cv, pad);
  return cv;
}

// Error of Winograd's algorithm and of direct float sums against double ones: the largest and
// the root mean square, in units of the root mean square of the output. Inputs as after a ReLU,
// weights as initialised. The bounds are three times what was measured for the worst of these
// shapes.
static void test_winograd_error(const al_conv_kernels *kernels, const char *build) {
  for (int64_t c = 16; c <= 256; c *= 4) {
    al_conv cv = square(1, c, 32, 16, 3, 1, 1, 1);
    int64_t nx = cv.n * c * volume(cv.in), ny = cv.k * volume(cv.out), nw = cv.k * c * 9;
    RANDOM_ARRAY(float, x, nx);
    RANDOM_ARRAY(float, w, nw);
    for (int64_t i = 0; i < nx; i++) x[i] = x[i] > 0 ? x[i] : 0;
    double *xd = malloc((size_t)nx * 8), *wd = malloc((size_t)nw * 8),
           *want = malloc((size_t)ny * 8);
    for (int64_t i = 0; i < nx; i++) xd[i] = x[i];
    for (int64_t i = 0; i < nw; i++) wd[i] = w[i];
    kernels->forward_f64(&cv, xd, wd, NULL, want);
    float *y[2];
    double most[2] = {0}, square_sum[2] = {0}, rms = 0;
    for (int on = 0; on < 2; on++) {
      al_winograd(on);
      y[on] = malloc((size_t)ny * sizeof(float));
      kernels->forward_f32(&cv, x, w, NULL, y[on]);
      for (int64_t i = 0; i < ny; i++) {
        double e = fabs((double)y[on][i] - want[i]);
        most[on] = fmax(most[on], e), square_sum[on] += e * e,
        rms += on ? 0 : want[i] * want[i];
      }
    }
    rms = sqrt(rms / (double)ny);
    for (int on = 0; on < 2; on++) {
      double e = sqrt(square_sum[on] / (double)ny) / rms;
      if (getenv("VERBOSE"))
        printf("%s %s c%d: largest %.1e, rms %.1e\n", build, on ? "winograd" : "direct", (int)c,
               most[on] / rms, e);
      check(most[on] / rms < (on ? 3e-5 : 1e-5) && e < (on ? 4e-6 : 2e-6),
            "%s %s c%d: error %.1e, rms %.1e", build, on ? "winograd" : "direct", (int)c,
            most[on] / rms, e);
    }
    check(memcmp(y[0], y[1], (size_t)ny * sizeof(float)),
          "%s: the Winograd switch changes nothing", build);
    free(x), free(w), free(xd), free(wd), free(want), free(y[0]), free(y[1]);
  }
}

static void test_faults(const al_conv_kernels *kernels, const char *build) {
  al_conv shapes[] = {square(1, 3, 20, 9, 3, 2, 1, 1), square(1, 4, 4, 9, 5, 1, 2, 4),
                      square(1, 18, 20, 9, 3, 1, 1, 1), square(1, 260, 256, 4, 3, 1, 1, 1)};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const al_conv *cv = &shapes[i];
    RANDOM_ARRAY(float, x, cv->n * cv->c * volume(cv->in));
    RANDOM_ARRAY(float, y, cv->n * cv->k * volume(cv->out));
    RANDOM_ARRAY(float, w, cv->k *(cv->c / cv->groups) * volume(cv->ker));
    SWEEP_FAULTS(kernels->forward_f32(cv, x, w, NULL, y), "forward %s " SHAPE, build,
                 SHAPE_OF(cv));
    SWEEP_FAULTS(kernels->grad_input_f32(cv, y, w, x), "grad_input %s " SHAPE, build,
                 SHAPE_OF(cv));
    SWEEP_FAULTS(kernels->grad_weight_f32(cv, x, y, w), "grad_weight %s " SHAPE, build,
                 SHAPE_OF(cv));
    free(x), free(y), free(w);
  }
}

// Infinities stay where the definition has them: no tap outside its window, no padding, meets
// them.
static void test_infinite(const al_conv_kernels *kernels, const char *build) {
  al_conv shapes[] = {square(2, 3, 5, 11, 3, 1, 1, 1), square(1, 4, 4, 11, 3, 1, 1, 4),
                      square(1, 4, 4, 11, 3, 2, 1, 4), square(1, 5, 18, 13, 5, 2, 2, 1)};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const al_conv *cv = &shapes[i];
    int64_t nx = cv->n * cv->c * volume(cv->in), ny = cv->n * cv->k * volume(cv->out);
    int64_t nw = cv->k * (cv->c / cv->groups) * volume(cv->ker);
    RANDOM_ARRAY(double, x, nx);
    RANDOM_ARRAY(double, gy, ny);
    RANDOM_ARRAY(double, gw, nw);
    x[pick(0, nx - 1)] = INFINITY;
    double *want = calloc((size_t)nw, sizeof *want);
    EACH_PRODUCT(cv, { want[wi] += x[xi] * gy[yi]; })
    kernels->grad_weight_f64(cv, x, gy, gw);
    int wrong = 0;
    for (int64_t k = 0; k < nw; k++) wrong += isfinite(gw[k]) != isfinite(want[k]);
    check(!wrong, "grad_weight %s: %d infinities misplaced " SHAPE, build, wrong, SHAPE_OF(cv));
    free(x), free(gy), free(gw), free(want);
  }
}

static double products(const al_conv *cv) {
  return (double)cv->n * (double)cv->k * (double)volume(cv->out) *
         (double)(cv->c / cv->groups) * (double)volume(cv->ker);
}

int main(int argc, char **argv) {
  struct {
    const char *name;
    const al_conv_kernels *kernels;
    al_isa_level level;
  } builds[] = BUILDS(al_conv);
  bool light = getenv("ALBEDO_LIGHT"); // under a sanitizer or an emulator
  int rounds = argc > 1 ? atoi(argv[1]) : light ? 15 : ROUNDS(60);
  al_conv fixed[] = {
      square(2, 3, 24, 33, 7, 2, 3, 1),
      square(1, 300, 40, 9, 1, 1, 0, 1),
      square(1, 70, 33, 14, 3, 2, 1, 1),
      square(2, 20, 36, 17, 3, 1, 1, 1),
      square(2, 12, 12, 19, 3, 1, 1, 12),
      square(2, 12, 12, 19, 3, 2, 1, 12),
      square(1, 6, 6, 40, 5, 1, 2, 6),
      square(2, 5, 5, 31, 3, 1, 1, 5),
      square(2, 5, 5, 69, 3, 2, 1, 5),
      square(1, 5, 5, 80, 3, 2, 0, 5),
      square(1, 5, 5, 36, 3, 2, 2, 5),
      square(1, 5, 5, 14, 3, 1, 2, 5),
      square(1, 5, 5, 28, 3, 1, 0, 5),
      square(1, 2, 2, 150, 3, 2, 1, 2),
      square(1, 8, 16, 24, 1, 2, 0, 1),
      square(1, 8, 4, 10, 2, 2, 0, 1),
      square(1, 8, 4, 10, 4, 2, 1, 1),
      square(1, 1, 32, 40, 3, 1, 1, 1),
      cube(1, 3, 18, 9, 3, 1, 1),
      cube(1, 5, 7, 6, 2, 2, 0),
      cube(1, 4, 4, 9, 3, 2, 1),
      square(1, 24, 48, 12, 3, 1, 1, 4),
      square(1, 2, 2, 90, 3, 1, 1, 2),
      // Winograd: both orders of work, partial channel blocks, partial tiles, every padding,
      // depth.
      square(2, 16, 16, 12, 3, 1, 1, 1),
      square(1, 19, 37, 23, 3, 1, 0, 1),
      square(2, 33, 17, 9, 3, 1, 2, 1),
      square(1, 300, 230, 7, 3, 1, 1, 1),
      square(3, 24, 50, 31, 3, 1, 1, 1),
      cube(1, 18, 21, 10, 3, 1, 1),
      cube(2, 16, 40, 9, 3, 1, 0),
  };
  for (size_t b = 0; b < sizeof builds / sizeof *builds; b++) {
    if (builds[b].level > al_isa()) continue;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
      if (light && products(&fixed[i]) > 2e6) continue;
      test_f32(&fixed[i], builds[b].kernels, builds[b].name);
      test_f64(&fixed[i], builds[b].kernels, builds[b].name);
    }
    test_faults(builds[b].kernels, builds[b].name);
    test_infinite(builds[b].kernels, builds[b].name);
    if (rounds >= 10) test_winograd_error(builds[b].kernels, builds[b].name);
    for (int i = 0; i < rounds; i++) {
      al_conv cv = random_conv();
      test_f32(&cv, builds[b].kernels, builds[b].name);
      test_f64(&cv, builds[b].kernels, builds[b].name);
    }
  }
  return report();
}
