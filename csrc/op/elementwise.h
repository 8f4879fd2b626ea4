// elementwise.h: what the elementwise ops share with other families.
#ifndef AL_OP_ELEMENTWISE_H
#define AL_OP_ELEMENTWISE_H
#include "../kernel/elementwise.h"
#include "op.h"

// A stand-in for a one-element operand in the dtype of the computation: no allocation.
typedef struct al_operand {
  al_tensor t;
  al_storage s;
  int64_t value;
} al_operand;
// t in dtype d: itself, a stand-in on `room`, or a cast copy.
al_tensor *al_operand_as(al_tensor *t, al_dtype d, al_operand *room);
// The same, and apart from the memory of `into` unless it is exactly that view.
al_tensor *al_operand_for(al_tensor *t, al_dtype d, al_operand *room, const al_tensor *into);

// Runs a contiguous loop over tensors of broadcast shape: t[0] the result, then up to three
// operands, each already of the dtype the loop expects.
int al_elementwise(al_core core, int nops, al_tensor *const *t,
                   al_elementwise_context *context);

// The tensor a result of dtype d and this shape goes to: c->into, when it can hold it, or a new
// one.
al_tensor *al_result(al_call *c, al_dtype d, int ndim, const int64_t *shape);
#endif
