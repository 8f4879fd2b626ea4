/* match.c: each descriptor's nearest other descriptor of the same picture. */
#include "../kernel/match.h"
#include "op.h"

enum { BANDS = 4, SLACK = 16 };

typedef struct work {
  al_match m;
  const float *x;
  float *tiles, *half, *room, *distance;
  int64_t *at, rows, columns, padded; /* padded: positions, rounded up to whole tiles */
} work;

static void pack(int64_t begin, int64_t end, void *context) {
  const work *k = context;
  int64_t n = k->m.h * k->m.w, channels = k->m.channels;
  for (int64_t i = begin; i < end; i++)
    AL_SELECT(al_match_table)
        .pack(k->x + i * channels * n, channels, n, k->tiles + i * channels * k->padded,
              k->half + i * k->padded);
}

/* Job i is band i % BANDS of the rows of a picture. */
static void bands(int64_t begin, int64_t end, void *context) {
  const work *k = context;
  int64_t n = k->m.h * k->m.w, channels = k->m.channels;
  for (int64_t i = begin; i < end; i++) {
    int64_t picture = i / BANDS, band = i % BANDS;
    int64_t last = (band + 1) * k->rows / BANDS;
    for (int64_t row = band * k->rows / BANDS; row < last; row++) {
      int64_t to = (picture * k->rows + row) * k->columns;
      AL_SELECT(al_match_table)
          .row(&k->m, k->x + picture * channels * n, k->tiles + picture * channels * k->padded,
               k->half + picture * k->padded, row * k->m.stride,
               k->room + i * AL_MATCH_ASK * (k->padded + SLACK), k->distance + to, k->at + to);
      for (int64_t j = 0; j < k->columns; j++) k->at[to + j]++; /* positions count from 1 */
    }
  }
}

static int forward(al_call *c) {
  al_tensor *x = ARG_T(0);
  al_dtype dtype = (al_dtype)x->dtype;
  if (x->ndim != 4)
    return al_fail("x has shape %s, wants N x C x H x W", al_shape_text(x->ndim, x->shape));
  if (!al_is_float(dtype)) return al_fail("x is %s, wants a float", al_dtype_name(dtype));
  int64_t stride = ARG_I(1);
  if (stride < 1 || stride > INT32_MAX)
    return al_fail("stride is %lld, wants 1 or more", (long long)stride);
  if (x->shape[1] > AL_MATCH_CHANNELS)
    return al_fail("x has %lld channels, at most %d", (long long)x->shape[1],
                   AL_MATCH_CHANNELS);
  if (!(ARG_F(2) >= 0)) return al_fail("exclude is %g, wants 0 or more", ARG_F(2));
  int64_t h = x->shape[2], w = x->shape[3], oh = (h + stride - 1) / stride,
          ow = (w + stride - 1) / stride;
  int64_t pictures = x->shape[0], padded = (h * w + AL_MATCH_TILE - 1) & -AL_MATCH_TILE;
  work k = {
      .m = {x->shape[1], h, w, stride, ARG_F(2)}, .rows = oh, .columns = ow, .padded = padded};
  int64_t out[] = {pictures, oh, ow}, tiles[] = {pictures, x->shape[1], padded},
          half[] = {pictures, padded},
          room[] = {pictures * BANDS, AL_MATCH_ASK, padded + SLACK};
  al_tensor *dense = al_dense(x, AL_FLOAT32), *distance = al_empty(AL_FLOAT32, 3, out),
            *at = al_empty(AL_INT64, 3, out), *packed = al_empty(AL_FLOAT32, 3, tiles),
            *lengths = al_empty(AL_FLOAT32, 2, half), *scores = al_empty(AL_FLOAT32, 3, room);
  if (!dense || !distance || !at || !packed || !lengths || !scores) return -1;
  k.x = al_data(dense), k.distance = al_data(distance), k.at = al_data(at);
  k.tiles = al_data(packed), k.half = al_data(lengths), k.room = al_data(scores);
  if (al_numel(distance) > 0) {
    al_parallel(pictures, 1, pack, &k);
    al_parallel(pictures * BANDS, 1, bands, &k);
  }
  c->out[0] = dtype == AL_FLOAT32 ? distance : al_to(distance, dtype);
  c->out[1] = at;
  return c->out[0] ? 0 : -1;
}
AL_OP(self_match, .sig = "x:T stride:int=1 exclude:num=1 -> T T", .flags = AL_F_NODIFF,
      .doc =
          "Descriptors N x C x H x W: for those of every stride-th row and column, the nearest "
          "other descriptor of the same picture at `exclude` or more rows and columns "
          "(Euclidean) away.\n"
          "Returns the squared distance between the descriptors, N x H/stride x W/stride, and "
          "the position (row - 1) * W + column; infinity and 0 where none is far enough. "
          "Computed in float32.",
      .forward = forward, .sample = "{r(2, 3, 5, 4)}, {r(1, 4, 6, 6), 2, 2.5}");
