/* through.h: the gradient of a fused op by way of a form of it made of recorded ops. */
#ifndef AL_GRAD_THROUGH_H
#define AL_GRAD_THROUGH_H
#include "../op/op.h"

/* A flag of al_backward beside the public ones: nothing behind the given inputs is visited, so
 * that a pass may run within another one. */
enum { AL_STOP = 8 };

/* Makes the op's outputs from its tensors in[] (by parameter; NULL where absent) by ops that
 * record themselves; b->a holds the options. */
typedef int (*al_form)(const al_back *b, al_tensor **in, al_tensor **out);

/* Fills b->gx through `form`: what a fused op does when create_graph is set. The op saves all
 * its tensors and takes no lists of them. */
int al_grad_through(al_back *b, al_form form);
#endif
