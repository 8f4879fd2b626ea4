// |q - k|^2 = |q|^2 + 2 (|k|^2 / 2 - q.k): the nearest k is the one of the largest
// q.k - |k|^2 / 2.
#include "match.h"

#include <math.h>

#include "kernel.h"

// ASK questions at once read each descriptor once; WIDE vectors of answers in flight for each.
#define ASK AL_MATCH_ASK
#if AL_BYTES == 64
#define WIDE 4
#else
#define WIDE 2
#endif

AL_INLINE al_vf load(const float *p) { return *(const al_vfu *)p; }

#define TILE (WIDE * AL_VF) // positions side by side; a tile holds all channels of them

// x (channels x n) as tiles (n / TILE, rounded up) x channels x TILE: rows a power of two apart
// would fall on one another in the cache. half as al_match_kernels has it.
static void pack(const float *x, int64_t channels, int64_t n, float *tiles, float *half) {
  for (int64_t j = 0; j < al_round_up(n, TILE); j++) {
    float *to = tiles + j / TILE * channels * TILE + j % TILE;
    float sum = 0;
    for (int64_t c = 0; c < channels; c++) {
      float v = j < n ? x[c * n + j] : 0;
      to[c * TILE] = v;
      sum += v * v;
    }
    half[j] = j < n ? sum / 2 : INFINITY;
  }
}

// score[a * stride + j] = q_a.k_j - half[j] for ASK questions (q: channels x ASK) and n
// positions, a multiple of TILE.
static void score_all(const float *q, const float *tiles, const float *half, int64_t channels,
                      int64_t n, float *score, int64_t stride) {
  for (int64_t j = 0; j < n; j += TILE, tiles += channels * TILE) {
    al_vf sum[ASK][WIDE];
    AL_UNROLL
    for (int v = 0; v < WIDE; v++) {
      al_vf start = -load(half + j + v * AL_VF);
      AL_UNROLL
      for (int a = 0; a < ASK; a++) sum[a][v] = start;
    }
    for (int64_t c = 0; c < channels; c++) {
      al_vf kv[WIDE];
      AL_UNROLL
      for (int v = 0; v < WIDE; v++) kv[v] = load(tiles + c * TILE + v * AL_VF);
      AL_UNROLL
      for (int a = 0; a < ASK; a++) {
        AL_UNROLL
        for (int v = 0; v < WIDE; v++) sum[a][v] += q[c * ASK + a] * kv[v];
      }
    }
    AL_UNROLL
    for (int a = 0; a < ASK; a++) {
      AL_UNROLL
      for (int v = 0; v < WIDE; v++)
        *(al_vfu *)(score + a * stride + j + v * AL_VF) = sum[a][v];
    }
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

// The first position of the largest of n scores; -1 when all are -inf.
static int64_t winner(const float *s, int64_t n) {
  enum { CHUNK = 256 };
  float best = -INFINITY;
  int64_t chunk = -1;
  for (int64_t j = 0; j < n; j += CHUNK) {
    float v = largest(s + j, al_min(CHUNK, n - j));
    if (v > best) best = v, chunk = j;
  }
  while (chunk >= 0 && s[chunk] != best) chunk++;
  return chunk;
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

static void match_row(const al_match *m, const float *x, const float *tiles, const float *half,
                      int64_t row, float *room, float *distance, int64_t *at) {
  int64_t n = m->h * m->w, count = al_ceil_div(m->w, m->stride),
          stride = al_round_up(n, AL_MATCH_TILE) + AL_VF;
  float q[AL_MATCH_CHANNELS * ASK];
  for (int64_t i = 0; i < count; i++) {
    float *score = room + i % ASK * stride;
    int64_t here = row * m->w + i * m->stride;
    if (i % ASK == 0) {
      for (int64_t c = 0; c < m->channels; c++)
        for (int64_t a = 0; a < ASK; a++) // past the end the last one again
          q[c * ASK + a] = x[c * n + row * m->w + al_min(i + a, count - 1) * m->stride];
      score_all(q, tiles, half, m->channels, al_round_up(n, TILE), room, stride);
    }
    exclude(m, row, i * m->stride, score);
    at[i] = winner(score, n);
    float d = at[i] < 0 ? INFINITY : 2 * (half[here] - score[at[i]]);
    distance[i] = d > 0 ? d : 0;
  }
}

const al_match_kernels AL_K(al_match_table) = {.pack = pack, .row = match_row};
