// Depthwise 3x3 convolutions of stride 1 and 2, and their gradients, float32 only. Planes are
// read in place, a strip of LANES output columns at a time, down a block of rows: the strip's
// last three input rows wait in registers, each as three vectors, one for each tap of a row.
// Edges are masked loads; the generic build has none, and stays with conv_depthwise.c.
#define AL_REAL 32
#include <omp.h>

#include "../core/memory.h"
#include "conv_parts.h"
#include "real.h"
#include "transpose.h"

#if AL_BYTES > 16

enum {
  TAPS = 9,
  BLOCK = 4 << 10, // pixels of a block of rows, about
  SMALL = 1 << 10  // pixels of a plane at stride 1, at most
};

// y is oh x ow: y[o][q] = sum over taps i, j of w[i][j] x[o step + i - up][q step + j - left].
typedef struct plane {
  int64_t step, h, w, oh, ow, up, left;
} plane;

// Output columns q .. q + n. The vectors that hold their sources begin `at` in an input row;
// of vector i, lanes lo[i] .. hi[i] are read, the others being padding or past the strip.
typedef struct strip {
  int64_t q, n, at, lo[4], hi[4];
} strip;

static plane plane_of(const al_conv *cv) {
  return (plane){cv->stride[2], cv->in[1],  cv->in[2], cv->out[1],
                 cv->out[2],    cv->pad[1], cv->pad[2]};
}

// Where vector i begins in the strip: a tap's columns are a vector of their own (step 1) or
// every second element of two (step 2).
AL_INLINE int64_t begin(int step, int i) {
  return step == 1 ? i : (i & 1) * AL_VF + (i >> 1) * 2;
}

static strip strip_of(const plane *p, int64_t q) {
  strip s = {.q = q, .n = al_min(AL_VF, p->ow - q), .at = q * p->step - p->left};
  for (int i = 0; i < 2 + p->step; i++) {
    int64_t u = s.at + begin((int)p->step, i);
    int64_t end = al_min(p->step == 1 ? s.n : 2 * s.n - (i & 1) * AL_VF, p->w - u);
    s.lo[i] = al_min(AL_VF, al_max(0, -u));
    s.hi[i] = al_max(s.lo[i], al_min(AL_VF, end));
  }
  return s;
}

// e[j][l] = what tap j of output column q + l reads of row r, 0 outside the plane.
AL_INLINE void load_row(const plane *p, const strip *s, const float *x, int64_t r, int step,
                        al_vf e[3]) {
  al_vf v[4] = {{0}};
  const float *row = x + r * p->w + s->at;
  if (r >= 0 && r < p->h) {
    AL_UNROLL
    for (int i = 0; i < 2 + step; i++)
      v[i] = load_part_f32(row + begin(step, i), s->lo[i], s->hi[i]);
  }
  e[0] = step == 1 ? v[0] : evens_f32(v[0], v[1]);
  e[1] = step == 1 ? v[1] : odds_f32(v[0], v[1]);
  e[2] = step == 1 ? v[2] : evens_f32(v[2], v[3]);
}

// Moves the rows in e on to those of output row o: `step` new ones.
AL_INLINE void next_rows(const plane *p, const strip *s, const float *x, int64_t o, int step,
                         al_vf e[3][3]) {
  AL_UNROLL
  for (int i = 0; i < 3; i++) {
    if (i >= 3 - step) load_row(p, s, x, o * step + i - p->up, step, e[i]);
    else
      for (int j = 0; j < 3; j++) e[i][j] = e[i + step][j];
  }
}

// Rows that the first output row o of a block needs beside its new ones.
AL_INLINE void first_rows(const plane *p, const strip *s, const float *x, int64_t o, int step,
                          al_vf e[3][3]) {
  AL_UNROLL
  for (int i = 0; i < 3 - step; i++) load_row(p, s, x, o * step + i - p->up, step, e[i + step]);
}

AL_INLINE void put(float *to, int64_t n, al_vf v) {
  if (n >= AL_VF) store_f32(to, v);
  else if (n > 0) store_part_f32(to, n, v);
}

// Output rows o0 .. o1 of a strip.
AL_INLINE void forward(const plane *p, const strip *s, const float *x, const float *w,
                       float bias, float *y, int64_t o0, int64_t o1, int step) {
  al_vf e[3][3], k[TAPS], b = splat_f32(bias);
  AL_UNROLL
  for (int t = 0; t < TAPS; t++) k[t] = splat_f32(w[t]);
  first_rows(p, s, x, o0, step, e);
  for (int64_t o = o0; o < o1; o++) {
    next_rows(p, s, x, o, step, e);
    al_vf sum = b;
    AL_UNROLL
    for (int t = 0; t < TAPS; t++) sum += k[t] * e[t / 3][t % 3];
    put(y + o * p->ow + s->q, s->n, sum);
  }
}

// sums[t] (a vector a tap) += the products of gradient and input in rows o0 .. o1 of a strip.
AL_INLINE void weight(const plane *p, const strip *s, const float *x, const float *gy,
                      float *sums, int64_t o0, int64_t o1, int step) {
  al_vf e[3][3], acc[TAPS];
  AL_UNROLL
  for (int t = 0; t < TAPS; t++) acc[t] = load_f32(sums + t * AL_VF);
  first_rows(p, s, x, o0, step, e);
  for (int64_t o = o0; o < o1; o++) {
    next_rows(p, s, x, o, step, e);
    const float *from = gy + o * p->ow + s->q;
    al_vf g = load_part_f32(from, 0, s->n);
    AL_UNROLL
    for (int t = 0; t < TAPS; t++) acc[t] += g * e[t / 3][t % 3];
  }
  AL_UNROLL
  for (int t = 0; t < TAPS; t++) store_f32(sums + t * AL_VF, acc[t]);
}

// The gradient in the input of stride 2. Position p = u + left of a padded row takes the middle
// tap of gradient p / 2 where p is odd, and where it is even tap 0 of gradient p / 2 and tap 2
// of the one before; rows likewise. Columns 2 q .. 2 q + 2 LANES, padded rows 2 o0 .. 2 o1.
AL_INLINE void spread(const plane *p, int64_t q, const float *gy, const float *w, float *gx,
                      int64_t o0, int64_t o1) {
  int64_t odd = p->left & 1, at = q + p->left / 2 - !odd, n = p->w - 2 * q;
  int64_t lo = al_min(AL_VF, al_max(0, -at)), hi = al_max(lo, al_min(AL_VF, p->ow - at)),
          end = al_max(lo, al_min(AL_VF, p->ow - at - 1)),
          lo1 = al_min(end, al_max(0, -at - 1));
  al_vf k[TAPS], pair = {0}, middle = {0}; // what the gradient's last row gives the next two
  AL_UNROLL
  for (int t = 0; t < TAPS; t++) k[t] = splat_f32(w[t]);
  for (int64_t o = o0 - 1; o < o1; o++) {
    const float *row = gy + o * p->ow + at;
    al_vf before = {0}, after = {0};
    if (o >= 0 && o < p->oh) {
      before = load_part_f32(row, lo, hi);
      after = load_part_f32(row + 1, lo1, end);
    }
    al_vf here = odd ? before : after;
    AL_UNROLL
    for (int i = 0; i < 3; i++) {
      int64_t u = 2 * o + i - p->up; // i = 2: the sums that wait for the next gradient row
      al_vf a = k[3 * i] * after + k[3 * i + 2] * before, b = k[3 * i + 1] * here;
      if (i == 0) a += pair, b += middle;
      if (i == 2) pair = a, middle = b;
      else if (o >= o0 && u >= 0 && u < p->h) {
        al_vf first, second;
        if (odd) zip_f32(b, a, &first, &second);
        else zip_f32(a, b, &first, &second);
        put(gx + u * p->w + 2 * q, n, first);
        put(gx + u * p->w + 2 * q + AL_VF, n - AL_VF, second);
      }
    }
  }
}

// Calls f(first row, end, column) for blocks of `rows` rows of `wide` columns, strip by strip
// of LANES. The last strip of a wide enough plane begins early, so that it is a whole one, if
// outputs may be written twice.
#define EACH_STRIP(rows, wide, twice, q, o0, o1, ...)                                 \
  for (int64_t o0 = 0, part_ = al_max(8, BLOCK / (wide)); o0 < (rows); o0 += part_) { \
    int64_t o1 = al_min((rows), o0 + part_);                                          \
    for (int64_t q_ = 0; q_ < (wide); q_ += AL_VF) {                                  \
      int64_t q = (twice) && (wide) >= AL_VF ? al_min(q_, (wide)-AL_VF) : q_;         \
      __VA_ARGS__                                                                     \
    }                                                                                 \
  }

// f with the step as a constant.
#define SPECIAL(f, ...)                 \
  do {                                  \
    if (p.step == 1) f(__VA_ARGS__, 1); \
    else f(__VA_ARGS__, 2);             \
  } while (0)

static void run(const al_conv *cv, plane p, const float *x, const float *w, bool flip,
                const float *bias, float *y) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < cv->n * cv->groups; i++) {
    const float *from = x + i * p.h * p.w, *wi = w + i % cv->groups * TAPS;
    float *to = y + i * p.oh * p.ow, b = bias ? bias[i % cv->groups] : 0, k[TAPS];
    for (int t = 0; t < TAPS; t++) k[t] = wi[flip ? TAPS - 1 - t : t];
    EACH_STRIP(p.oh, p.ow, true, q, o0, o1, {
      strip s = strip_of(&p, q);
      SPECIAL(forward, &p, &s, from, k, b, to, o0, o1);
    })
  }
}

// At stride 1 it does not pay on planes that fill the first cache.
bool AL_K(al_conv_depthwise3_fits)(const al_conv *cv) {
  const int64_t *k = cv->ker, *s = cv->stride, *pad = cv->pad;
  bool shape = k[0] == 1 && k[1] == 3 && k[2] == 3 && cv->in[0] == 1 && cv->out[0] == 1 &&
               cv->dil[1] == 1 && cv->dil[2] == 1 && s[1] == s[2] && s[1] <= 2;
  bool edges = pad[0] == 0 && al_max(pad[1], pad[2]) <= 2 && al_min(pad[1], pad[2]) >= 0;
  return shape && edges && cv->groups > 1 && cv->c == cv->groups && cv->k == cv->groups &&
         (s[1] == 2 || cv->in[1] * cv->in[2] <= SMALL);
}

int AL_K(al_conv_depthwise3_forward)(const al_conv *cv, const float *x, const float *w,
                                     const float *b, float *y) {
  run(cv, plane_of(cv), x, w, false, b, y);
  return 0;
}

int AL_K(al_conv_depthwise3_input)(const al_conv *cv, const float *gy, const float *w,
                                   float *gx) {
  plane p = plane_of(cv);
  if (p.step == 1) {
    run(cv, (plane){1, p.oh, p.ow, p.h, p.w, 2 - p.up, 2 - p.left}, gy, w, true, NULL, gx);
    return 0;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < cv->n * cv->groups; i++) {
    const float *from = gy + i * p.oh * p.ow, *k = w + i % cv->groups * TAPS;
    float *to = gx + i * p.h * p.w;
    EACH_STRIP((p.h + p.up + 1) / 2, (p.w + 1) / 2, p.w % 2 == 0, q, o0, o1,
               { spread(&p, q, from, k, to, o0, o1); })
  }
  return 0;
}

int AL_K(al_conv_depthwise3_weight)(const al_conv *cv, const float *x, const float *gy,
                                    float *gw) {
  plane p = plane_of(cv);
#pragma omp parallel for schedule(static)
  for (int64_t k = 0; k < cv->groups; k++) {
    float sums[TAPS * AL_VF] __attribute__((aligned(64))) = {0};
    for (int64_t i = k; i < cv->n * cv->groups; i += cv->groups) {
      const float *from = x + i * p.h * p.w, *g = gy + i * p.oh * p.ow;
      EACH_STRIP(p.oh, p.ow, false, q, o0, o1, {
        strip s = strip_of(&p, q);
        SPECIAL(weight, &p, &s, from, g, sums, o0, o1);
      })
    }
    for (int t = 0; t < TAPS; t++) {
      float sum = 0;
      for (int i = 0; i < AL_VF; i++) sum += sums[t * AL_VF + i];
      gw[k * TAPS + t] = sum;
    }
  }
  return 0;
}

#endif
