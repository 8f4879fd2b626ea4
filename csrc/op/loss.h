/* loss.h: what losses share. */
#ifndef AL_OP_LOSS_H
#define AL_OP_LOSS_H
#include "op.h"

/* The call's result: v summed up as the option `reduction` says (mean, sum, none). */
int al_reduced(al_call *c, al_tensor *v, const char *reduction);

/* Of a dense x, seen as (outer, n, inner) around dim: (outer, 2, inner), the largest and log
 * sum e^(x - largest). log_softmax is (x - the first) - the second. */
al_tensor *al_log_parts(al_tensor *x, int64_t dim);
#endif
