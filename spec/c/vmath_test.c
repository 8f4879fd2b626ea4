/* The polynomial functions against the C library's doubles, over floats of every size, in units
 * in the last place. */
#include "check.h"
#include "kernel/vmath.h"

static double ulp(float x) {
  float a = fabsf(x) < 1.17549435e-38f ? 1.17549435e-38f : fabsf(x);
  return (double)nextafterf(a, INFINITY) - (double)a;
}

/* every 4099th float, both signs, from zero over the denormals to infinity and NaN */
static void compare(const char *name, float (*ours)(float), double (*reference)(double),
                    double bound) {
  double worst = 0;
  float at = 0;
  int bad = 0;
  for (uint64_t u = 0; u < 1ull << 32; u += 4099) {
    float x = vm_float((uint32_t)u), y = ours(x);
    double want = reference((double)x);
    float rounded = (float)want;
    if (isnan(rounded) || isinf(rounded) || isnan(y) || isinf(y)) {
      bad += isnan(rounded) ? !isnan(y) : rounded != y;
      continue;
    }
    double error = fabs((double)y - want) / ulp(rounded);
    if (error > worst) worst = error, at = x;
  }
  CHECK(bad == 0, "%s: %d special values", name, bad);
  CHECK(worst <= bound, "%s: %.3f ulp at %g", name, worst, (double)at);
}

#define OURS(name) \
  static float our_##name(float x) { return vm_##name##_f32(x); }
OURS(exp)
OURS(expm1)
OURS(exp2)
OURS(log)
OURS(log2)
OURS(log1p)
OURS(tanh)
OURS(erf)

static void sines(void) {
  double worst = 0;
  for (int i = -1000000; i <= 1000000; i++) {
    float x = (float)i * 0.0977f;
    worst = fmax(worst, fabs((double)vm_sin_f32(x) - sin((double)x)));
    worst = fmax(worst, fabs((double)vm_cos_f32(x) - cos((double)x)));
  }
  CHECK(worst < 1e-7, "sin, cos: %g", worst);
  CHECK(isnan(vm_sin_f32(INFINITY)) && isnan(vm_cos_f32(NAN)), "sin inf, cos NaN");
  CHECK(fabsf(vm_sin_f32(3e38f)) <= 1 && fabsf(vm_cos_f32(1e20f)) <= 1, "bounded");
}

int main(void) {
  compare("exp", our_exp, exp, 1.1);
  compare("expm1", our_expm1, expm1, 1.8);
  compare("exp2", our_exp2, exp2, 1.1);
  compare("log", our_log, log, 0.9);
  compare("log2", our_log2, log2, 1.8);
  compare("log1p", our_log1p, log1p, 1.6);
  compare("tanh", our_tanh, tanh, 2.6);
  compare("erf", our_erf, erf, 2.6);
  sines();
  return check_done();
}
