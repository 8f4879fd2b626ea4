/* optim.h: loops of the optimizers' steps over plain arrays; kernel/optim.c, one build per
 * instruction set. */
#ifndef AL_KERNEL_OPTIM_H
#define AL_KERNEL_OPTIM_H
#include "../core/isa.h"
#include <stdbool.h>
#include <stdint.h>

/* Options of every rule, those a rule does not know left at 0; adam's corrections 1 - beta^t
 * come computed. */
typedef struct al_optim_options {
  double lr, weight_decay, momentum, alpha, beta1, beta2, eps, correction1, correction2;
  bool nesterov, decoupled;
} al_optim_options;

/* One rule over n elements: parameter p, gradient g, states a and b (NULL where the rule has
 * none). */
typedef void (*al_optim_rule)(int64_t n, void *p, const void *g, void *a, void *b,
                              const al_optim_options *o);

typedef struct al_optim_kernels { /* [0] float, [1] double */
  al_optim_rule sgd[2], adam[2], rmsprop[2];
  double (*sum_of_squares[2])(int64_t n, const void *x);
  void (*scale[2])(int64_t n, void *x, double k);
} al_optim_kernels;
AL_DECLARE_TABLE(al_optim_kernels, al_optim);
#endif
