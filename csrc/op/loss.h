/* loss.h: what losses share. */
#ifndef AL_OP_LOSS_H
#define AL_OP_LOSS_H
#include "op.h"

/* The call's result: v summed up as the option `reduction` says (mean, sum, none). */
int al_reduced(al_call *c, al_tensor *v, const char *reduction);
#endif
