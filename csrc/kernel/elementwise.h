// The loops of elementwise.def, as tables indexed by op and dtype.
#ifndef AL_KERNEL_ELEMENTWISE_H
#define AL_KERNEL_ELEMENTWISE_H
#include <stdint.h>

#include "../core/isa.h"

enum {
#define UNARY(name, ...) AL_U_##name,
#define STEP(name, ...) AL_U_##name,
#include "elementwise.def"
  AL_U_COUNT
};
enum {
#define TEST(name, ...) AL_T_##name,
#include "elementwise.def"
  AL_T_COUNT
};
enum {
#define BINARY(name, ...) AL_B_##name,
#define COMPARE(name, ...) AL_B_##name,
#define LOGIC(name, ...) AL_B_##name,
#define BITS(name, ...) AL_B_##name,
#include "elementwise.def"
  AL_B_COUNT
};

enum {
  AL_BAD_ZERO = 1,
  AL_BAD_POWER = 2
}; // what an integer loop met: see al_elementwise_context

// Handed to every loop: the op's numbers, and where a loop notes an operand it cannot take.
typedef struct al_elementwise_context {
  double p[2];
  int bad;
} al_elementwise_context;

// n contiguous elements of the result and up to three operands.
typedef void (*al_core)(int64_t n, void *out, const void *x, const void *y, const void *z,
                        al_elementwise_context *context);

// The last index is the operands' dtype, in the order of al_dtype: bool uint8 int32 int64
// float32 float64. NULL: no such loop.
typedef struct al_unary_kernels {
  al_core f[AL_U_COUNT][6];
  al_core grad[AL_U_COUNT][6]; // (out = gx, g, saved)
  al_core test[AL_T_COUNT][6];
} al_unary_kernels;
typedef struct al_binary_kernels {
  al_core f[AL_B_COUNT][6];
  al_core where[4]; // (out, mask, x, y), by log2 of the element size
} al_binary_kernels;

AL_DECLARE_TABLE(al_unary_kernels, al_unary);
AL_DECLARE_TABLE(al_binary_kernels, al_binary);
#endif
