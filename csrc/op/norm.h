/* norm.h: what norm.c shares with layer_norm.c. */
#ifndef AL_OP_NORM_H
#define AL_OP_NORM_H
#include "../kernel/norm.h"
#include "op.h"

const al_norm_loops *al_norm_loops_of(const al_tensor *x);
double *al_doubles(int64_t n); /* room for n, the frame's; NULL: none */
int al_norm_check_affine(const al_tensor *w, const al_tensor *b, int64_t n);
int al_norm_check(const al_tensor *x, int least);
al_tensor *al_norm_times(al_tensor *g, al_tensor *w); /* g w, or g without w */
/* gx in recorded ops, for gradients of gradients; see norm.c. */
al_tensor *al_norm_composed(al_tensor *x, al_tensor *g, const int64_t *dims, int n, double eps,
                            al_tensor **xhat);
/* gw and gb, n each, into the edges 1 and 2 that need them. */
int al_norm_fill(al_back *b, const double *gw, const double *gb, int64_t n, al_dtype d);
#endif
