/* fft.c: Fourier and cosine transforms along one dim; fourier.c makes the public ops of it.
 *
 * One hidden op, dft, is six linear maps, each the transpose of its neighbour: the gradient of
 * kind k is kind k ^ 1 with the same options. Everything runs in double. */
#include "../kernel/fft.h"
#include "op.h"
#include <math.h>
#include <string.h>

extern al_op al_op_dft;

/* ---- complex transforms of z (outer, n, inner) pairs ---- */

/* exp(-2 pi i j / n), by the octant so that the error stays below one unit of rounding. */
static void root(int64_t j, int64_t n, double *w) {
  int64_t octant = 8 * j / n;
  int64_t k = octant & 1 ? (octant + 1) / 2 * n - 4 * j : 4 * j - octant / 2 * n;
  double angle = M_PI_2 * (double)k / (double)n; /* from the nearest axis, k <= n / 2 */
  double c = cos(angle), s = octant & 1 ? -sin(angle) : sin(angle);
  switch ((octant + 1) / 2 & 3) {
  case 0: w[0] = c, w[1] = -s; break;
  case 1: w[0] = -s, w[1] = -c; break;
  case 2: w[0] = -c, w[1] = s; break;
  default: w[0] = s, w[1] = c;
  }
}

/* Room for n pairs in the open frame. */
static double *pairs(int64_t n) {
  int64_t shape[] = {n, 2};
  al_tensor *t = al_empty(AL_FLOAT64, 2, shape);
  return t ? al_data(t) : NULL;
}

/* count roots j step of n; NULL when memory is short. */
static double *roots(int64_t count, int64_t step, int64_t n) {
  double *w = pairs(count);
  for (int64_t j = 0; w && j < count; j++) root(j * step, n, w + 2 * j);
  return w;
}

static void times(double *a, const double *b) {
  double re = a[0] * b[0] - a[1] * b[1];
  a[1] = a[0] * b[1] + a[1] * b[0];
  a[0] = re;
}

/* What remains of n without the primes up to `largest`. */
static int64_t rough(int64_t n, int64_t largest) {
  for (int64_t p = 2; p <= largest; p++)
    while (n % p == 0) n /= p;
  return n;
}

typedef struct work {
  al_fft f;
  double *z, *to;
  const double *w, *low, *high;
  int64_t n, inner, n1, n2, m, first;
} work;

static double *transform(double *z, int64_t outer, int64_t n, int64_t inner);

static void direct_lines(int64_t begin, int64_t end, void *context) {
  const work *k = context;
  AL_SELECT(al_fft).lines(&k->f, k->z, k->inner, begin, end);
}

static double *direct(double *z, int64_t outer, int64_t n, int64_t inner) {
  work k = {.f = {.n = n, .w = roots(n, 1, n)}, .z = z, .inner = inner};
  if (!k.f.w) return NULL;
  for (int64_t rest = n, i = 0; rest > 1; i++) {
    static const int radices[] = {4, 2, 3, 5, 7, 11, 13};
    for (; rest % radices[i] == 0; rest /= radices[i]) k.f.radix[k.f.passes++] = radices[i];
  }
  al_parallel(outer * inner, 8 * (1 + 512 / n), direct_lines, &k);
  return z;
}

/* Long lines by rows and columns (Gentleman and Sande 1966): j = j1 n2 + j2, k = k1 + n1 k2. */
enum { LOW = 1024 };
static void twiddle(int64_t begin, int64_t end, void *context) { /* of (outer, n1) */
  const work *k = context;
  for (int64_t o = begin; o < end; o++)
    for (int64_t j = 0; j < k->n2; j++) {
      int64_t e = o % k->n1 * j;
      double w[] = {k->low[2 * (e % LOW)], k->low[2 * (e % LOW) + 1]};
      times(w, k->high + 2 * (e / LOW));
      for (int64_t i = 0; i < k->inner; i++)
        times(k->z + 2 * ((o * k->n2 + j) * k->inner + i), w);
    }
}
static void gather(int64_t begin, int64_t end, void *context) { /* 8 columns of (outer, n2) */
  const work *k = context;
  int64_t blocks = (k->n2 + 7) / 8;
  for (int64_t b = begin; b < end; b++) {
    int64_t j0 = b % blocks * 8, j1 = j0 + 8 < k->n2 ? j0 + 8 : k->n2;
    double *to = k->to + b / blocks * 2 * k->n * k->inner;
    const double *z = k->z + b / blocks * 2 * k->n * k->inner;
    for (int64_t i = 0; i < k->n1; i++)
      for (int64_t j = j0; j < j1; j++)
        memcpy(to + 2 * (j * k->n1 + i) * k->inner, z + 2 * (i * k->n2 + j) * k->inner,
               (size_t)k->inner * 2 * sizeof *z);
  }
}
static double *split(double *z, int64_t outer, int64_t n, int64_t inner) {
  work k = {.n = n, .inner = inner, .n1 = 1, .low = roots(LOW, 1, n)};
  for (int64_t d = 1; d * d <= n; d++)
    if (n % d == 0) k.n1 = d;
  k.n2 = n / k.n1;
  k.high = roots((n + LOW - 1) / LOW, LOW, n);
  if (!k.low || !k.high || !(k.z = transform(z, outer, k.n1, k.n2 * inner))) return NULL;
  al_parallel(outer * k.n1, 1 + 4096 / (k.n2 * inner), twiddle, &k);
  if (!(k.z = transform(k.z, outer * k.n1, k.n2, inner)) || !(k.to = pairs(outer * n * inner)))
    return NULL;
  al_parallel(outer * ((k.n2 + 7) / 8), 1, gather, &k);
  return k.to;
}

/* Bluestein (1970): 2 j k = j^2 + k^2 - (k - j)^2 makes any length a convolution with the chirp
 * w_j = exp(-i pi j^2 / n), done at a length m >= 2 n - 1 of small factors. */
static void chirp_in(int64_t begin, int64_t end, void *context) {
  const work *k = context;
  for (int64_t l = begin; l < end; l++) {
    int64_t line = k->first + l;
    const double *from = k->z + 2 * (line / k->inner * k->n * k->inner + line % k->inner);
    double *to = k->to + 2 * l * k->m;
    memset(to, 0, (size_t)k->m * 2 * sizeof *to);
    for (int64_t j = 0; j < k->n; j++) {
      memcpy(to + 2 * j, from + 2 * j * k->inner, 2 * sizeof *to);
      times(to + 2 * j, k->w + 2 * j);
    }
  }
}
/* Times the chirp's transform and conjugated, so that a second forward transform goes back. */
static void chirp_over(int64_t begin, int64_t end, void *context) {
  const work *k = context;
  for (int64_t i = begin * k->m; i < end * k->m; i++) {
    times(k->to + 2 * i, k->high + 2 * (i % k->m));
    k->to[2 * i + 1] = -k->to[2 * i + 1];
  }
}
static void chirp_out(int64_t begin, int64_t end, void *context) {
  const work *k = context;
  for (int64_t l = begin; l < end; l++) {
    int64_t line = k->first + l;
    double *to = k->z + 2 * (line / k->inner * k->n * k->inner + line % k->inner);
    for (int64_t j = 0; j < k->n; j++) {
      const double *v = k->to + 2 * (l * k->m + j);
      double *y = to + 2 * j * k->inner;
      y[0] = v[0] / (double)k->m, y[1] = -v[1] / (double)k->m;
      times(y, k->w + 2 * j);
    }
  }
}
static double *bluestein(double *z, int64_t outer, int64_t n, int64_t inner) {
  work k = {.z = z, .n = n, .inner = inner, .m = 2 * n - 1};
  while (rough(k.m, 5) > 1) k.m++;
  double *w = pairs(n), *c = pairs(k.m);
  if (!w || !c) return NULL;
  memset(c, 0, (size_t)k.m * 2 * sizeof *c);
  for (int64_t j = 0, square = 0; j < n; j++) { /* square: j^2 mod 2 n */
    root(square, 2 * n, w + 2 * j);
    square = (square + 2 * j + 1) % (2 * n);
    c[2 * j] = w[2 * j], c[2 * j + 1] = -w[2 * j + 1];
    if (j) memcpy(c + 2 * (k.m - j), c + 2 * j, 2 * sizeof *c);
  }
  k.w = w;
  k.high = transform(c, 1, k.m, 1);
  int64_t lines = outer * inner, most = 8 + (1 << 20) / k.m;
  double *room = pairs(k.m * (lines < most ? lines : most));
  if (!k.high || !room) return NULL;
  for (k.first = 0; k.first < lines; k.first += most) {
    int64_t count = lines - k.first < most ? lines - k.first : most, grain = 1 + 4096 / k.m;
    al_frame frame;
    al_frame_open(&frame); /* for what the transforms take */
    k.to = room;
    al_parallel(count, grain, chirp_in, &k);
    if ((k.to = transform(k.to, count, k.m, 1))) {
      al_parallel(count, grain, chirp_over, &k);
      if ((k.to = transform(k.to, count, k.m, 1))) al_parallel(count, grain, chirp_out, &k);
    }
    al_frame_close(&frame);
    if (!k.to) return NULL;
  }
  return z;
}

/* The forward transform of z, there or in memory of the open frame; NULL when that is short. */
static double *transform(double *z, int64_t outer, int64_t n, int64_t inner) {
  if (rough(n, AL_FFT_RADIX) > 1) return bluestein(z, outer, n, inner);
  return n <= AL_FFT_LONGEST ? direct(z, outer, n, inner) : split(z, outer, n, inner);
}

/* ---- the maps ---- */

/* With E = exp(-2 pi i j k / n), c_k = 1 for the first entry (and, of HALF and WHOLE, for k = n
 * / 2), `middle` for others, all times `scale`: FORWARD y_k = sum_j x_j E            INVERSE
 * the same with conj E HALF    y_k = c_k sum_j x_j E, x real, k <= n / 2 WHOLE   y_j = sum_k
 * c_k Re(x_k conj E), k <= n / 2 COSINE  y_k = c_k sum_j x_j cos(pi k (2 j + 1) / 2 n) COSINES
 * its transpose HALF and WHOLE of even n take half the length, two real entries for a complex
 * one; cosines by the order of Makhoul (IEEE Trans. ASSP 28(1), 1980): even entries, then the
 * odd ones backwards. */
enum { FORWARD, INVERSE, HALF, WHOLE, COSINE, COSINES };

typedef struct map {
  int kind;
  bool in_single, single;
  const void *x;
  void *y;
  double *z;
  const double *w; /* of real kinds: exp(-2 pi i k / n), of cosines exp(-i pi k / 2 n) */
  int64_t n, h, m; /* m: length of the complex transform; h: entries of half a spectrum */
  double middle, scale;
} map;

static double get(const map *p, int64_t i) {
  return p->single ? (double)((const float *)p->x)[i] : ((const double *)p->x)[i];
}
static void put(const map *p, int64_t i, double v) {
  v *= p->scale;
  if (p->single) ((float *)p->y)[i] = (float)v;
  else ((double *)p->y)[i] = v;
}
static double weight(const map *p, int64_t k) {
  return k == 0 || (p->kind < COSINE && 2 * k == p->n) ? 1 : p->middle;
}
static int64_t shuffled(int64_t j, int64_t n) { return 2 * j < n ? 2 * j : 2 * (n - j) - 1; }

/* Entries of a line of half a spectrum as WHOLE takes it: what is imaginary at its ends is not
 * read. */
static void half_entry(const map *p, int64_t line, int64_t k, double *v) {
  double c = weight(p, k);
  bool end = k == 0 || 2 * k == p->n;
  if (!end) c /= 2;
  v[0] = c * get(p, 2 * (line * p->h + k));
  v[1] = end ? 0 : c * get(p, 2 * (line * p->h + k) + 1);
}

static void load(int64_t begin, int64_t end, void *context) {
  const map *p = context;
  for (int64_t l = begin; l < end; l++) {
    double *z = p->z + 2 * l * p->m, a[2], b[2];
    int64_t x = l * p->n;
    for (int64_t k = 0; k < p->m; k++, z += 2) switch (p->kind) {
      case FORWARD: z[0] = get(p, 2 * (x + k)), z[1] = get(p, 2 * (x + k) + 1); break;
      case INVERSE: z[1] = get(p, 2 * (x + k)), z[0] = get(p, 2 * (x + k) + 1); break;
      case HALF:
        if (p->m < p->n) z[0] = get(p, x + 2 * k), z[1] = get(p, x + 2 * k + 1);
        else z[0] = get(p, x + k), z[1] = 0;
        break;
      case WHOLE: /* swapped, as INVERSE */
        if (p->m < p->n) {
          half_entry(p, l, k, a), half_entry(p, l, p->m - k, b);
          double o[] = {a[0] - b[0], a[1] + b[1]}, back[] = {p->w[2 * k], -p->w[2 * k + 1]};
          times(o, back);
          z[1] = a[0] + b[0] - o[1], z[0] = a[1] - b[1] + o[0];
        } else {
          half_entry(p, l, k < p->h ? k : p->n - k, a);
          z[1] = a[0], z[0] = k < p->h ? a[1] : -a[1];
        }
        break;
      case COSINE: z[0] = get(p, x + shuffled(k, p->n)), z[1] = 0; break;
      default: z[0] = weight(p, k) * get(p, x + k), z[1] = 0; times(z, p->w + 2 * k);
      }
  }
}

static void store(int64_t begin, int64_t end, void *context) {
  const map *p = context;
  for (int64_t l = begin; l < end; l++) {
    const double *line = p->z + 2 * l * p->m;
    int64_t y = l * p->n;
    if (p->kind == HALF)
      for (int64_t k = 0; k < p->h; k++) {
        double v[] = {line[2 * (k % p->m)], line[2 * (k % p->m) + 1]}, c = weight(p, k);
        if (p->m < p->n) { /* E + w^k O of the even and the odd entries */
          const double *u = line + 2 * ((p->m - k) % p->m);
          double o[] = {(v[1] + u[1]) / 2, (u[0] - v[0]) / 2};
          v[0] = (v[0] + u[0]) / 2, v[1] = (v[1] - u[1]) / 2;
          times(o, p->w + 2 * k);
          v[0] += o[0], v[1] += o[1];
        }
        bool real = k == 0 || 2 * k == p->n;
        put(p, 2 * (l * p->h + k), c * v[0]),
            put(p, 2 * (l * p->h + k) + 1, real ? 0 : c * v[1]);
      }
    else
      for (int64_t k = 0; k < p->m; k++) {
        double v[] = {line[2 * k], line[2 * k + 1]};
        switch (p->kind) {
        case FORWARD: put(p, 2 * (y + k), v[0]), put(p, 2 * (y + k) + 1, v[1]); break;
        case INVERSE: put(p, 2 * (y + k), v[1]), put(p, 2 * (y + k) + 1, v[0]); break;
        case WHOLE:
          if (p->m < p->n) put(p, y + 2 * k, v[1]), put(p, y + 2 * k + 1, v[0]);
          else put(p, y + k, v[1]);
          break;
        case COSINE: times(v, p->w + 2 * k), put(p, y + k, weight(p, k) * v[0]); break;
        default: put(p, y + shuffled(k, p->n), v[0]);
        }
      }
  }
}

static int dft_forward(al_call *c) {
  al_tensor *x = ARG_T(0), *y;
  al_dtype d = (al_dtype)x->dtype;
  int kind = (int)ARG_I(3), dim = (int)ARG_I(1), tail = kind < HALF;
  bool pairs_in = tail || kind == WHOLE;
  int64_t shape[AL_MAX_DIMS], n = ARG_I(2), inner = 1;
  if (!al_is_float(d)) return al_fail("x is %s, needs a float", al_dtype_name(d));
  if (kind == HALF && x->ndim == AL_MAX_DIMS) return al_fail("x has too many dims");
  if (dim < 0 || dim + pairs_in >= x->ndim || (pairs_in && x->shape[x->ndim - 1] != 2) ||
      (!tail && dim != x->ndim - 1 - pairs_in) || kind < FORWARD || kind > COSINES || n < 1 ||
      x->shape[dim] != (kind == WHOLE ? n / 2 + 1 : n))
    return al_fail("kind %d along dim %d, n %lld does not suit x", kind, dim, (long long)n);
  if (n > 1 << 30) return al_fail("n is too large: %lld", (long long)n);
  map p = {.kind = kind, .single = d == AL_FLOAT32, .n = n, .h = n / 2 + 1, .m = n};
  p.middle = ARG_F(4), p.scale = ARG_F(5);
  memcpy(shape, x->shape, sizeof shape);
  if (kind == HALF) shape[dim] = p.h, shape[x->ndim] = 2;
  else shape[dim] = n;
  y = al_empty(d, x->ndim + (kind == HALF) - (kind == WHOLE), shape);
  if (!(x = al_dense(x, d)) || !y) return -1;
  if (!al_numel(y)) return al_ret(c, y);
  if (tail) inner = al_product(x->ndim - 2 - dim, shape + dim + 1);
  else if (kind <= WHOLE && n % 2 == 0) p.m = n / 2;
  int64_t lines = al_product(dim, shape) * inner;
  p.x = al_data(x), p.y = al_data(y), p.z = pairs(lines * p.m);
  if (kind >= COSINE) p.w = roots(n, 1, 4 * n);
  else if (p.m < n) p.w = roots(p.h, 1, n);
  if (!p.z || (!tail && p.m < n && !p.w)) return -1;
  int64_t grain = 1 + 4096 / p.m;
  al_parallel(lines, grain, load, &p);
  if (!(p.z = transform(p.z, lines / inner, p.m, inner))) return -1;
  al_parallel(lines, grain, store, &p);
  return al_ret(c, y);
}
static int dft_grad(al_back *b) {
  return al_grad1(b, al_apply(&al_op_dft, b->g[0], b->a[1].i, b->a[2].i, b->a[3].i ^ 1,
                              b->a[4].f, b->a[5].f));
}
AL_OP(dft, .sig = "x:T dim:int n:int kind:int middle:num scale:num -> T", .flags = AL_F_HIDDEN,
      .doc = "The linear maps behind the Fourier and cosine transforms; see op/fft.c.",
      .forward = dft_forward, .grad = dft_grad,
      .sample = "{r(2,6,3,2), 1, 6, 0, 1, 0.5}, {r(5,2), 0, 5, 1, 1, 1}, {r(2,6), 1, 6, 2, 2, "
                "1}, {r(5), 0, 5, 2, 1, 1}, {r(2,4,2), 1, 6, 3, 1, 2}, {r(3,2), 0, 5, 3, 2, "
                "1}, {r(2,6), 1, 6, 4, 2, 1}, {r(5), 0, 5, 5, 3, 1}, {r(17), 0, 17, 2, 1, 1}");
