// |q - k|^2 = |q|^2 + 2 (|k|^2 / 2 - q.k): the nearest k is the one of the largest
// q.k - |k|^2 / 2.
#include "match.h"

#include <math.h>

#include "kernel.h"

// ASK questions at once read each descriptor once; WIDE vectors of answers in flight for each.
#define ASK 4
#if AL_BYTES == 64
#define WIDE 4
#else
#define WIDE 2
#endif

AL_INLINE al_vf load(const float *p) { return *(const al_vfu *)p; }

// score[a * n + j] = q_a.k_j - half[j] for ASK questions (q: channels x ASK) and n positions.
static void score_all(const float *q, const float *x, const float *half, int64_t channels,
                      int64_t n, float *score) {
  int64_t j = 0;
  for (; j + WIDE * AL_VF <= n; j += WIDE * AL_VF) {
    al_vf sum[ASK][WIDE];
    AL_UNROLL
    for (int v = 0; v < WIDE; v++) {
      al_vf start = -load(half + j + v * AL_VF);
      AL_UNROLL
      for (int a = 0; a < ASK; a++) sum[a][v] = start;
    }
    for (int64_t c = 0; c < channels; c++) {
      const float *k = x + c * n + j;
      al_vf kv[WIDE];
      AL_UNROLL
      for (int v = 0; v < WIDE; v++) kv[v] = load(k + v * AL_VF);
      AL_UNROLL
      for (int a = 0; a < ASK; a++) {
        AL_UNROLL
        for (int v = 0; v < WIDE; v++) sum[a][v] += q[c * ASK + a] * kv[v];
      }
    }
    AL_UNROLL
    for (int a = 0; a < ASK; a++) {
      AL_UNROLL
      for (int v = 0; v < WIDE; v++) *(al_vfu *)(score + a * n + j + v * AL_VF) = sum[a][v];
    }
  }
  for (; j < n; j++)
    for (int a = 0; a < ASK; a++) {
      float sum = -half[j];
      for (int64_t c = 0; c < channels; c++) sum += q[c * ASK + a] * x[c * n + j];
      score[a * n + j] = sum;
    }
}

static float largest(const float *s, int64_t n) {
  float best = -INFINITY;
  int64_t j = 0;
  if (n >= AL_VF) {
    al_vf m = load(s);
    for (j = AL_VF; j + AL_VF <= n; j += AL_VF) {
      al_vf v = load(s + j);
      al_vi more = v > m;
      m = (al_vf)((more & (al_vi)v) | (~more & (al_vi)m));
    }
    for (int i = 0; i < AL_VF; i++) best = m[i] > best ? m[i] : best;
  }
  for (; j < n; j++) best = s[j] > best ? s[j] : best;
  return best;
}

static void exclude(const al_match *m, int64_t row, int64_t column, float *score) {
  double r2 = m->exclude * m->exclude;
  for (int64_t y = 0; y < m->h; y++) {
    double rest = r2 - (double)((y - row) * (y - row));
    if (rest <= 0) continue;
    int64_t reach = (int64_t)ceil(sqrt(rest)) - 1; // the largest dx with dx^2 < rest
    int64_t from = al_max(column - reach, 0), to = al_min(column + reach, m->w - 1);
    for (int64_t x = from; x <= to; x++) score[y * m->w + x] = -INFINITY;
  }
}

static void match_row(const al_match *m, const float *x, const float *half, int64_t row,
                      float *room, float *distance, int64_t *at) {
  int64_t n = m->h * m->w, count = al_ceil_div(m->w, m->stride);
  float q[AL_MATCH_CHANNELS * ASK];
  for (int64_t i = 0; i < count; i++) {
    float *score = room + i % ASK * n;
    int64_t here = row * m->w + i * m->stride, j = 0;
    if (i % ASK == 0) {
      for (int64_t c = 0; c < m->channels; c++)
        for (int64_t a = 0; a < ASK; a++) // past the end the last one again
          q[c * ASK + a] = x[c * n + row * m->w + al_min(i + a, count - 1) * m->stride];
      score_all(q, x, half, m->channels, n, room);
    }
    exclude(m, row, i * m->stride, score);
    float best = largest(score, n);
    if (best == -INFINITY) {
      at[i] = -1, distance[i] = INFINITY;
      continue;
    }
    while (score[j] != best) j++;
    at[i] = j;
    float d = 2 * (half[here] - best);
    distance[i] = d > 0 ? d : 0;
  }
}

const al_match_kernels AL_K(al_match_table) = {.row = match_row};
