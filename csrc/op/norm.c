/* norm.c: batch, group and instance normalisation; layer_norm.c has the others.
 *
 * y = (x - mean) rstd w + b, rstd = 1 / sqrt(var + eps), mean and variance over a group of
 * elements. For batch, group and instance normalisation x is (n, c, s); a segment is one (n, c)
 * run of s elements, and each segment belongs to a group: its channel, or its image's block of
 * channels. With xhat = (x - mean) rstd, m elements in a group and averages over it (Ioffe and
 * Szegedy, 2015, arXiv:1502.03167, section 3): gx = rstd (w g - mean(w g) - xhat mean(w g
 * xhat)),  gw = sum g xhat,  gb = sum g. Sums are taken piece by piece and added in order: the
 * same bits for any number of threads. */
#include "norm.h"
#include "../core/stream.h"
#include <math.h>
#include <string.h>

enum { PIECE = 1 << 15 }; /* elements of a segment summed as one */

const al_norm_loops *al_norm_loops_of(const al_tensor *x) {
  return x->dtype == AL_FLOAT32 ? &AL_SELECT(al_norm).f32 : &AL_SELECT(al_norm).f64;
}
double *al_doubles(int64_t n) {
  al_tensor *t = al_empty(AL_FLOAT64, 1, &n);
  return t ? al_data(t) : NULL;
}
/* A vector as doubles, or `fill` repeated when there is none. */
static const double *vector(al_tensor *t, int64_t n, double fill) {
  if (t) return (t = al_dense(t, AL_FLOAT64)) ? al_data(t) : NULL;
  double *v = al_doubles(n);
  for (int64_t i = 0; v && i < n; i++) v[i] = fill;
  return v;
}

/* ---- segments ---- */

typedef struct segments {
  const al_norm_loops *k;
  int64_t n, c, s, per, size; /* pieces a segment; bytes an element */
  int64_t share,
      groups; /* channels a group (0: each channel over all n is one); how many groups */
  const char *x, *g;
  char *y;
  double *part;                      /* (n, c, per, 2) sums */
  double *shift, *mean, *var, *rstd; /* a group */
  double *s0, *s1, eps;              /* backward: sums of w g and w g (x - mean) a group */
  const double *w, *b;
  bool stream; /* y is larger than the caches */
  bool fixed;  /* mean and variance are no functions of x */
} segments;

static segments segments_of(const al_tensor *x, int64_t n, int64_t c, int64_t s,
                            int64_t share) {
  return (segments){.k = al_norm_loops_of(x),
                    .n = n,
                    .c = c,
                    .s = s,
                    .per = (s + PIECE - 1) / PIECE,
                    .size = (int64_t)al_dtype_size(x->dtype),
                    .share = share,
                    .groups = share ? n * (c / share) : c,
                    .stream = n * c * s * (int64_t)al_dtype_size(x->dtype) >= AL_STREAM,
                    .x = al_data(x)};
}
static int64_t group_of(const segments *q, int64_t segment) {
  int64_t ch = segment % q->c;
  return q->share ? segment / q->c * (q->c / q->share) + ch / q->share : ch;
}
/* Elements in a group. */
static double members(const segments *q) {
  return (double)(q->share ? q->share * q->s : q->n * q->s);
}

/* Piece t: its segment, offset in elements and length. */
static int64_t locate(const segments *q, int64_t t, int64_t *segment, int64_t *len) {
  int64_t from = t % q->per * PIECE;
  *segment = t / q->per;
  *len = q->s - from < PIECE ? q->s - from : PIECE;
  return *segment * q->s + from;
}

static void sum_moments(int64_t begin, int64_t end, void *arg) {
  const segments *q = arg;
  for (int64_t t = begin, seg, len; t < end; t++) {
    int64_t at = locate(q, t, &seg, &len);
    q->part[2 * t] = q->part[2 * t + 1] = 0;
    q->k->moments(q->x + at * q->size, len, q->shift[group_of(q, seg)], q->part + 2 * t);
  }
}
static void sum_dots(int64_t begin, int64_t end, void *arg) {
  const segments *q = arg;
  for (int64_t t = begin, seg, len; t < end; t++) {
    int64_t at = locate(q, t, &seg, &len);
    q->part[2 * t] = q->part[2 * t + 1] = 0;
    q->k->dots(q->g + at * q->size, NULL, q->x + at * q->size, len, q->mean[group_of(q, seg)],
               q->part + 2 * t);
  }
}
static void write_scaled(int64_t begin, int64_t end, void *arg) {
  const segments *q = arg;
  for (int64_t t = begin, seg, len; t < end; t++) {
    int64_t at = locate(q, t, &seg, &len), i = group_of(q, seg), ch = seg % q->c;
    q->k->scale(q->x + at * q->size, q->y + at * q->size, len, q->mean[i],
                q->rstd[i] * q->w[ch], q->b[ch], q->stream);
  }
  if (q->stream) al_stream_end();
}
static void write_gradient(int64_t begin, int64_t end, void *arg) {
  const segments *q = arg;
  double m = members(q);
  for (int64_t t = begin, seg, len; t < end; t++) {
    int64_t at = locate(q, t, &seg, &len), i = group_of(q, seg);
    double r = q->rstd[i], b = q->fixed ? 0 : -r * r * r * q->s1[i] / m,
           c = q->fixed ? 0 : -r * q->s0[i] / m;
    q->k->blend(q->g + at * q->size, q->x + at * q->size, q->y + at * q->size, len, q->mean[i],
                r * q->w[seg % q->c], b, c, q->stream);
  }
  if (q->stream) al_stream_end();
}
static void over_pieces(segments *q, void (*fn)(int64_t, int64_t, void *)) {
  int64_t len = q->s < PIECE ? q->s : PIECE;
  al_parallel(q->n * q->c * q->per, 1 + (1 << 14) / (len + 16), fn, q);
}

/* ---- group by group ---- */

/* fn over the pieces of group i: the segments of its channels, or of one channel over all n. */
static void group_pieces(segments *q, int64_t i, void (*fn)(int64_t, int64_t, void *)) {
  for (int64_t j = 0; j < (q->share ? q->share : q->n); j++) {
    int64_t seg = q->share ? i * q->share + j : j * q->c + i;
    fn(seg * q->per, (seg + 1) * q->per, q);
  }
}

/* An element of each group, to be taken away before squaring. */
static void choose_shifts(segments *q) {
  for (int64_t i = 0; i < q->groups; i++) {
    const char *first = q->x + i * (q->share ? q->share : 1) * q->s * q->size;
    q->shift[i] = q->size == 4 ? (double)*(const float *)(const void *)first
                               : *(const double *)(const void *)first;
    if (!isfinite(q->shift[i])) q->shift[i] = 0;
    q->mean[i] = q->var[i] = 0;
  }
}
static void add_moments(int64_t begin, int64_t end, void *arg) {
  segments *q = arg;
  for (int64_t t = begin; t < end; t++) {
    int64_t i = group_of(q, t / q->per);
    q->mean[i] += q->part[2 * t];
    q->var[i] += q->part[2 * t + 1];
  }
}
static void settle(segments *q, int64_t i) {
  double d = q->mean[i] / members(q), v = q->var[i] / members(q) - d * d;
  q->mean[i] = q->shift[i] + d;
  q->var[i] = v < 0 ? 0 : v; /* NaN passes */
  q->rstd[i] = 1 / sqrt(q->var[i] + q->eps);
}
static void add_dots(int64_t begin, int64_t end, void *arg) {
  segments *q = arg;
  for (int64_t t = begin; t < end; t++) {
    int64_t i = group_of(q, t / q->per), ch = t / q->per % q->c;
    q->s0[i] += q->w[ch] * q->part[2 * t];
    q->s1[i] += q->w[ch] * q->part[2 * t + 1];
  }
}

static void forward_groups(int64_t begin, int64_t end, void *arg) {
  segments *q = arg;
  for (int64_t i = begin; i < end; i++) {
    group_pieces(q, i, sum_moments);
    group_pieces(q, i, add_moments);
    settle(q, i);
    group_pieces(q, i, write_scaled);
  }
}
static void backward_groups(int64_t begin, int64_t end, void *arg) {
  segments *q = arg;
  for (int64_t i = begin; i < end; i++) {
    group_pieces(q, i, sum_dots);
    group_pieces(q, i, add_dots);
    if (q->y) group_pieces(q, i, write_gradient);
  }
}

/* Enough groups to share, each small enough to stay in the second-level cache from the sums to
 * the results: memory is read once. */
static bool by_group(const segments *q) {
  return q->groups >= 8 && members(q) * (double)q->size <= 1 << 19;
}
static int64_t group_grain(const segments *q) { return 1 + (1 << 14) / (int64_t)members(q); }

/* Statistics of the groups into q->mean, var, rstd, and y. */
static int normalise(segments *q) {
  q->part = al_doubles(q->n * q->c * q->per * 2);
  q->shift = al_doubles(q->groups);
  if (!q->part || !q->shift) return -1;
  choose_shifts(q);
  if (by_group(q)) {
    al_parallel(q->groups, group_grain(q), forward_groups, q);
    return 0;
  }
  over_pieces(q, sum_moments);
  add_moments(0, q->n * q->c * q->per, q);
  for (int64_t i = 0; i < q->groups; i++) settle(q, i);
  over_pieces(q, write_scaled);
  return 0;
}

/* The fused gradient: gx into q->y, sums over channels into gw and gb. */
static int gradient(segments *q, double *gw, double *gb) {
  q->s0 = al_doubles(q->groups), q->s1 = al_doubles(q->groups);
  q->part = al_doubles(q->n * q->c * q->per * 2);
  if (!q->s0 || !q->s1 || !q->part) return -1;
  memset(q->s0, 0, (size_t)q->groups * sizeof *q->s0);
  memset(q->s1, 0, (size_t)q->groups * sizeof *q->s1);
  if (by_group(q)) {
    al_parallel(q->groups, group_grain(q), backward_groups, q);
  } else {
    over_pieces(q, sum_dots);
    add_dots(0, q->n * q->c * q->per, q);
    if (q->y) over_pieces(q, write_gradient);
  }
  for (int64_t ch = 0; ch < q->c; ch++) gw[ch] = gb[ch] = 0;
  for (int64_t t = 0; t < q->n * q->c * q->per; t++) {
    int64_t ch = t / q->per % q->c;
    gb[ch] += q->part[2 * t];
    gw[ch] += q->part[2 * t + 1] * q->rstd[group_of(q, t / q->per)];
  }
  return 0;
}

/* ---- shared by the ops ---- */

int al_norm_check_affine(const al_tensor *w, const al_tensor *b, int64_t n) {
  if (w && al_numel(w) != n)
    return al_fail("weight has %lld entries, needs %lld", (long long)al_numel(w), (long long)n);
  if (b && al_numel(b) != n)
    return al_fail("bias has %lld entries, needs %lld", (long long)al_numel(b), (long long)n);
  return 0;
}
int al_norm_check(const al_tensor *x, int least) {
  if (!al_is_float(x->dtype)) return al_fail("needs a floating tensor");
  return x->ndim < least ? al_fail("x has %d dims, needs at least %d", x->ndim, least) : 0;
}
static int64_t spatial(const al_tensor *x) { return al_product(x->ndim - 2, x->shape + 2); }

/* x as dense (n, c, s); runs too short for the loops are gathered first: (c, n s) then. */
static al_tensor *runs(al_tensor *x, bool gathered) {
  x = al_dense(x, (al_dtype)x->dtype);
  if (!x || !gathered) return x;
  int64_t shape[] = {x->shape[0], x->shape[1], spatial(x)};
  return al_dense(al_transpose(al_reshape(x, shape, 3), 0, 1), (al_dtype)x->dtype);
}
/* The inverse of runs, for a result of x's shape. */
static al_tensor *unruns(al_tensor *y, const int64_t *x, int ndim, bool gathered) {
  int64_t shape[] = {x[1], x[0], al_product(ndim - 2, x + 2)};
  return gathered ? al_reshape(al_transpose(al_reshape(y, shape, 3), 0, 1), x, ndim) : y;
}

static al_tensor *per_channel(al_tensor *v, int ndim) {
  int64_t shape[AL_MAX_DIMS] = {1, -1, 1, 1, 1, 1, 1, 1};
  return v ? al_reshape(v, shape, ndim) : NULL;
}
static al_tensor *sum_channels(al_tensor *g) {
  static const int64_t dims[] = {0, 2, 3, 4, 5, 6, 7};
  return al_sum(g, dims, g->ndim - 1, false);
}
al_tensor *al_norm_times(al_tensor *g, al_tensor *w) { return w ? al_mul(g, w) : g; }

/* The formula above in recorded ops, for gradients of gradients: gx for x and weighted
 * cotangent g, means over dims; *xhat is left for the caller. */
al_tensor *al_norm_composed(al_tensor *x, al_tensor *g, const int64_t *dims, int n, double eps,
                            al_tensor **xhat) {
  al_tensor *centred = al_sub(x, al_mean(x, dims, n, true));
  al_tensor *rstd = al_rsqrt(al_add_num(al_mean(al_square(centred), dims, n, true), eps));
  *xhat = al_mul(centred, rstd);
  al_tensor *along = al_mul(*xhat, al_mean(al_mul(g, *xhat), dims, n, true));
  return al_mul(rstd, al_sub(al_sub(g, al_mean(g, dims, n, true)), along));
}

/* gx, gw, gb into the edges 0, 1, 2 from doubles. */
int al_norm_fill(al_back *b, const double *gw, const double *gb, int64_t n, al_dtype d) {
  const double *from[] = {gw, gb};
  for (int e = 1; e <= 2; e++) {
    if (!b->needs[e]) continue;
    if (!(b->gx[e] = al_empty(d, 1, &n))) return -1;
    for (int64_t i = 0; i < n; i++) al_set(b->gx[e], i, from[e - 1][i]);
  }
  return 0;
}

/* ---- batch_norm ---- */

static bool short_runs(int64_t n, int64_t s) { return s < 8 && n > 1; }

static int update(al_tensor *t, const double *v, int64_t n, double momentum, double scale) {
  for (int64_t i = 0; i < n; i++) {
    int64_t at = i * t->stride[0];
    al_set(t, at, (1 - momentum) * al_get(t, at) + momentum * scale * v[i]);
  }
  al_bump(t, "batch_norm");
  return 0;
}

static int batch_norm_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *run_mean = ARG_T(3), *run_var = ARG_T(4);
  bool training = ARG_B(5);
  if (al_norm_check(x, 2)) return -1;
  int64_t n = x->shape[0], ch = x->shape[1], s = spatial(x), count = n * s;
  bool gathered = short_runs(n, s);
  if (al_norm_check_affine(ARG_T(1), ARG_T(2), ch)) return -1;
  if ((run_mean && (run_mean->ndim != 1 || run_mean->shape[0] != ch)) ||
      (run_var && (run_var->ndim != 1 || run_var->shape[0] != ch)))
    return al_fail("running statistics need %lld entries", (long long)ch);
  if (!training && (!run_mean || !run_var))
    return al_fail("without training it needs running_mean and running_var");
  if (training && count < 2)
    return al_fail("training needs more than one value a channel, x is %s",
                   al_shape_text(x->ndim, x->shape));
  al_tensor *xr = runs(x, gathered), *y = xr ? al_empty_like(x, (al_dtype)x->dtype) : NULL;
  al_tensor *mean = al_empty(AL_FLOAT64, 1, &ch), *rstd = al_empty(AL_FLOAT64, 1, &ch);
  if (!y || !mean || !rstd) return -1;
  segments q = gathered ? segments_of(xr, 1, ch, n * s, 0) : segments_of(xr, n, ch, s, 0);
  q.mean = al_data(mean);
  q.rstd = al_data(rstd);
  q.var = al_doubles(ch);
  q.eps = ARG_F(7);
  q.w = vector(ARG_T(1), ch, 1);
  q.b = vector(ARG_T(2), ch, 0);
  q.y = al_data(y);
  if (!q.w || !q.b || !q.var) return -1;
  if (training) {
    if (normalise(&q)) return -1;
    if (run_mean) update(run_mean, q.mean, ch, ARG_F(6), 1);
    if (run_var) update(run_var, q.var, ch, ARG_F(6), (double)count / (double)(count - 1));
  } else {
    for (int64_t i = 0; i < ch; i++) {
      q.mean[i] = al_get(run_mean, i * run_mean->stride[0]);
      q.rstd[i] = 1 / sqrt(al_get(run_var, i * run_var->stride[0]) + q.eps);
    }
    over_pieces(&q, write_scaled);
  }
  if (c->recording) c->extra[0] = mean, c->extra[1] = rstd;
  if (!gathered) return al_ret(c, y);
  return al_ret(c, al_fresh_contiguous(unruns(y, x->shape, x->ndim, true), (al_dtype)x->dtype));
}

static int batch_norm_composed(al_back *b) {
  static const int64_t dims[] = {0, 2, 3, 4, 5, 6, 7};
  al_tensor *x = b->in[0], *g = b->g[0], *xhat, *gx,
            *gw = al_norm_times(g, per_channel(b->in[1], x->ndim));
  if (b->a[5].b) {
    gx = al_norm_composed(x, gw, dims, x->ndim - 1, b->a[7].f, &xhat);
  } else {
    al_tensor *rstd = per_channel(al_to(b->extra[1], (al_dtype)x->dtype), x->ndim);
    xhat =
        al_mul(al_sub(x, per_channel(al_to(b->extra[0], (al_dtype)x->dtype), x->ndim)), rstd);
    gx = al_mul(gw, rstd);
  }
  if (!gx || !xhat) return -1;
  b->gx[0] = gx;
  if (b->needs[1] && !(b->gx[1] = sum_channels(al_mul(g, xhat)))) return -1;
  if (b->needs[2] && !(b->gx[2] = sum_channels(g))) return -1;
  return 0;
}

static int batch_norm_grad(al_back *b) {
  if (b->create_graph) return batch_norm_composed(b);
  al_tensor *x = b->in[0];
  int64_t n = x->shape[0], ch = x->shape[1], s = spatial(x);
  bool gathered = short_runs(n, s);
  al_tensor *xr = runs(x, gathered), *g = runs(al_dense(b->g[0], (al_dtype)x->dtype), gathered);
  al_tensor *gx = xr && g && b->needs[0] ? al_empty_like(x, (al_dtype)x->dtype) : NULL;
  double *gw = al_doubles(ch), *gb = al_doubles(ch);
  if (!xr || !g || !gw || !gb || (b->needs[0] && !gx)) return -1;
  segments q = gathered ? segments_of(xr, 1, ch, n * s, 0) : segments_of(xr, n, ch, s, 0);
  q.g = al_data(g);
  q.y = gx ? al_data(gx) : NULL;
  q.mean = al_data(b->extra[0]);
  q.rstd = al_data(b->extra[1]);
  q.fixed = !b->a[5].b;
  if (!(q.w = vector(b->in[1], ch, 1)) || gradient(&q, gw, gb)) return -1;
  if (gx && !(b->gx[0] = unruns(gx, x->shape, x->ndim, gathered))) return -1;
  return al_norm_fill(b, gw, gb, ch, (al_dtype)x->dtype);
}

AL_OP(batch_norm,
      .sig = "x:T weight:T? bias:T? running_mean:T? running_var:T? {training:bool=false "
             "momentum:num=0.1 eps:num=1e-5} -> T",
      .save = "x weight",
      .doc = "Normalises each channel of x (n, c, ...) by mean and variance over the other "
             "dims, then weight and bias (c).\n"
             "With training they are those of x, and running_mean, running_var move towards "
             "them by `momentum`\n"
             "(variance unbiased); else the running ones are used. Ioffe and Szegedy 2015, "
             "arXiv:1502.03167.",
      .forward = batch_norm_forward, .grad = batch_norm_grad,
      .sample = "{r(4,3,5), r(3), r(3), {training=true}}, {r(6,3), r(3), r(3), "
                "{training=true}}, {r(2,3,4,4), {training=true}}, "
                "{r(2,3,4,4), r(3), r(3), r(3):to('float32'), pos(3):to('float32'), "
                "{training=false, eps=0.01}}");

/* ---- group_norm, instance_norm ---- */

/* groups of x's channels; weight and bias are arguments 1 and 2 of the recorded edges. */
static int normalise_groups(al_call *c, int64_t groups, al_tensor *weight, al_tensor *bias,
                            double eps) {
  al_tensor *x = ARG_T(0);
  if (al_norm_check(x, 2) || al_norm_check_affine(weight, bias, x->shape[1])) return -1;
  if (groups < 1 || x->shape[1] % groups)
    return al_fail("%lld groups do not divide %lld channels", (long long)groups,
                   (long long)x->shape[1]);
  int64_t count = x->shape[0] * groups;
  al_tensor *xr = runs(x, false), *y = al_empty_like(x, (al_dtype)x->dtype);
  al_tensor *mean = al_empty(AL_FLOAT64, 1, &count), *rstd = al_empty(AL_FLOAT64, 1, &count);
  if (!xr || !y || !mean || !rstd) return -1;
  if (al_numel(x) == 0) return al_ret(c, y);
  segments q = segments_of(xr, x->shape[0], x->shape[1], spatial(x), x->shape[1] / groups);
  q.mean = al_data(mean);
  q.rstd = al_data(rstd);
  q.var = al_doubles(count);
  q.eps = eps;
  q.w = vector(weight, x->shape[1], 1);
  q.b = vector(bias, x->shape[1], 0);
  q.y = al_data(y);
  if (!q.w || !q.b || !q.var || normalise(&q)) return -1;
  if (c->recording) c->extra[0] = mean, c->extra[1] = rstd;
  return al_ret(c, y);
}

static int group_gradient(al_back *b, int64_t groups, al_tensor *weight, double eps) {
  al_tensor *x = b->in[0], *g = b->g[0];
  int64_t ch = x->shape[1];
  if (b->create_graph) {
    int64_t rows[] = {x->shape[0], groups, al_numel(x) / (x->shape[0] * groups)}, last[] = {2};
    al_tensor *gw = al_norm_times(g, per_channel(weight, x->ndim)), *xhat;
    al_tensor *gx =
        al_norm_composed(al_reshape(x, rows, 3), al_reshape(gw, rows, 3), last, 1, eps, &xhat);
    if (!(b->gx[0] = al_reshape(gx, x->shape, x->ndim))) return -1;
    if (b->needs[1] &&
        !(b->gx[1] = sum_channels(al_mul(g, al_reshape(xhat, x->shape, x->ndim)))))
      return -1;
    return b->needs[2] && !(b->gx[2] = sum_channels(g)) ? -1 : 0;
  }
  al_tensor *xr = runs(x, false), *gr = al_dense(g, (al_dtype)x->dtype),
            *gx = al_empty_like(x, (al_dtype)x->dtype);
  double *gw = al_doubles(ch), *gb = al_doubles(ch);
  if (!xr || !gr || !gx || !gw || !gb) return -1;
  if (!b->extra[0]) return b->gx[0] = gx, 0; /* no elements */
  segments q = segments_of(xr, x->shape[0], ch, spatial(x), ch / groups);
  q.g = al_data(gr);
  q.y = al_data(gx);
  q.mean = al_data(b->extra[0]);
  q.rstd = al_data(b->extra[1]);
  if (!(q.w = vector(weight, ch, 1)) || gradient(&q, gw, gb)) return -1;
  b->gx[0] = gx;
  return al_norm_fill(b, gw, gb, ch, (al_dtype)x->dtype);
}

static int group_norm_forward(al_call *c) {
  return normalise_groups(c, ARG_I(1), ARG_T(2), ARG_T(3), ARG_F(4));
}
static int group_norm_grad(al_back *b) {
  return group_gradient(b, b->a[1].i, b->in[2], b->a[4].f);
}
AL_OP(group_norm, .sig = "x:T groups:int weight:T? bias:T? {eps:num=1e-5} -> T",
      .save = "x weight",
      .doc = "Normalises blocks of c / groups channels of each image of x (n, c, ...), then "
             "weight and bias (c).\n"
             "Wu and He 2018, arXiv:1803.08494.",
      .forward = group_norm_forward, .grad = group_norm_grad,
      .sample =
          "{r(2,4,3,3), 2, r(4), r(4)}, {r(2,6,5), 3, {eps=0.01}}, {r(2,4), 2, r(4), r(4)}");

static int instance_norm_forward(al_call *c) {
  if (ARG_T(0)->ndim < 3) return al_fail("x has %d dims, needs at least 3", ARG_T(0)->ndim);
  return normalise_groups(c, ARG_T(0)->shape[1], ARG_T(1), ARG_T(2), ARG_F(3));
}
static int instance_norm_grad(al_back *b) {
  return group_gradient(b, b->in[0]->shape[1], b->in[1], b->a[3].f);
}
AL_OP(instance_norm, .sig = "x:T weight:T? bias:T? {eps:num=1e-5} -> T", .save = "x weight",
      .doc = "Normalises each channel of each image of x (n, c, ...), then weight and bias "
             "(c). arXiv:1607.08022.",
      .forward = instance_norm_forward, .grad = instance_norm_grad,
      .sample = "{r(2,3,4,4), r(3), r(3)}, {r(2,3,5)}");
